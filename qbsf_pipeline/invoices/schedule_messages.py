"""What finance reads in Slack about billing schedules. Pure: rows in, messages out; nothing is sent here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from qbsf_pipeline.flows.messages import fitting, sections
from qbsf_pipeline.slack.blocks import escape, link
from qbsf_pipeline.state.outbox import Message

_LONGEST_NAME = 160


def stopped_messages(rows: Iterable[Mapping[str, Any]], channel: str, deal_links: Mapping[str, str]) -> list[Message]:
    """One message for each schedule that stopped because its deal is not won any more.

    Args:
        rows: of :data:`.schedule_tables.SCHEDULE_AGREEMENTS`; those that are not to be told are left out.
        deal_links: by opportunity_id.
    """
    return [
        _message(
            f"schedule-stopped:{row['opportunity_id']}:{row['generation']}:{row['version']}",
            ":octagonal_sign: *Billing stopped*",
            row["deal"] or row["opportunity_id"],
            deal_links[row["opportunity_id"]],
            [row["sentence"]],
            channel,
        )
        for row in rows
        if row["told"]
    ]


def question_messages(rows: Sequence[Mapping[str, Any]], channel: str, deal_links: Mapping[str, str]) -> list[Message]:
    """One message for each change of a schedule that a person has to approve; the same question is asked once.

    Args:
        rows: of the plan, those that are always asked about: change_schedule, create_credit_memo.
        deal_links: by opportunity_id.
    """
    return [
        _message(
            f"schedule-change:{row['key']}",
            ":calendar: *A billing schedule waits for you*",
            row["label"],
            deal_links[row["opportunity_id"]],
            [row["reason"], f"`qbsf approve {row['plan_id']}` or `qbsf reject {row['plan_id']}`"],
            channel,
            plain_from=1,
        )
        for row in rows
    ]


def template_messages(told: Sequence[tuple[str, str, str, str]], channel: str) -> list[Message]:
    """What became of recurring templates in one pass; a long list takes several messages.

    Args:
        told: of each template the key of the write, name and link of its deal, and what was done.
    """
    messages: list[Message] = []
    lines = [f"• {link(url, ' '.join(deal.split())[:_LONGEST_NAME])}: {escape(text)}" for _, deal, url, text in told]
    for part in fitting(lines):
        digest = hashlib.sha256(" ".join([*sorted(key for key, *_ in told), str(len(messages))]).encode()).hexdigest()[:16]
        count = f"{len(part)} recurring template{'s' if len(part) != 1 else ''} of QuickBooks"
        messages.append(
            Message(
                dedupe_key=f"templates:{digest}",
                channel=channel,
                text=f"{count} made or deleted",
                blocks=sections([f":repeat: *{count} made or deleted*", *part]),
                thread_of=None,
                kind="schedules",
            )
        )
    return messages


def _message(
    key: str, title: str, deal: str, deal_link: str, lines: Sequence[str], channel: str, *, plain_from: int | None = None
) -> Message:
    name = " ".join(deal.split())[:_LONGEST_NAME]
    shown = [text if plain_from is not None and place >= plain_from else escape(text) for place, text in enumerate(lines)]
    return Message(
        dedupe_key=key,
        channel=channel,
        text=f"{title.split('*')[1]}: {name}",
        blocks=sections([f"{title} · {link(deal_link, name)}", *shown]),
        thread_of=None,
        kind="schedules",
    )
