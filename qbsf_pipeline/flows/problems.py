"""Puts into the outbox what people must be told about records that need them, each thing once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

import polars as pl

from qbsf_pipeline.flows.messages import Words, problem_messages, resolved_messages
from qbsf_pipeline.flows.remedies import remedy
from qbsf_pipeline.settings import Settings
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.failures import Failure, Problem, Reason
from qbsf_pipeline.state.ledger import LedgerEntry

#: A write that failed this often is told, although it goes on being tried.
TOLD_AFTER_ATTEMPTS = 3


def tell_problems(
    state: State,
    settings: Settings,
    problems: Sequence[Problem],
    flow: str,
    words: Words,
    now: datetime,
    *,
    told_elsewhere: Collection[str] = (),
) -> int:
    """Tell of problems that are new, changed or went away. Returns how many records have a problem now.

    Args:
        problems: the complete set of records of this flow that need a person now.
        words: how the flow speaks of its records.
        told_elsewhere: codes of reasons that people are asked about in another message: a record with no other reason is
            listed, and not told here.
    """

    def to_tell(failures: Iterable[Failure]) -> list[Failure]:
        return [one for one in failures if any(reason.code not in told_elsewhere for reason in one.problem.reasons)]

    channel, single = settings.environment.alerts_channel, settings.rules.slack.single_failures
    with state.transaction():
        changes = state.failures.report(problems, flow, now)
        state.outbox.put(problem_messages(to_tell(changes.new), to_tell(changes.changed), channel, single, words), now)
        state.outbox.put(resolved_messages(to_tell(changes.resolved), channel, single), now)
    return len(problems)


def entries_to_tell(state: State, flow: str) -> list[LedgerEntry]:
    """Writes of a flow that failed or were refused for good. What waits for a service that is down was told with the outage."""
    down = {outage.partition(":")[0] for outage in state.services.down()}
    failed = [entry for entry in state.ledger.entries(flow=flow, status="failed") if entry.target_system not in down]
    return failed + state.ledger.entries(flow=flow, status="dead")


def deal_problems(refusals: pl.DataFrame, flow: str, instance_url: str) -> list[Problem]:
    """Deals that were refused before anything was sent: one problem for each, with all its reasons.

    Args:
        refusals: one row for each reason: code, opportunity_id, deal, amount, currency, reason, remedy.
        instance_url: base URL of the Salesforce org, for links.
    """
    problems: list[Problem] = []
    rows = refusals.filter(pl.col("opportunity_id").is_not_null()).sort("opportunity_id", "code", maintain_order=True)
    for keys, reasons in rows.group_by(["opportunity_id"], maintain_order=True):
        opportunity_id = str(keys[0])
        first = reasons.row(0, named=True)
        problems.append(
            Problem(
                key=f"{flow}:{opportunity_id}",
                flow=flow,
                source_object="Opportunity",
                source_id=opportunity_id,
                label=str(first["deal"] or opportunity_id),
                link=record_link(instance_url, opportunity_id),
                kind="refused",
                reasons=tuple(Reason(row["code"], row["reason"], row["remedy"]) for row in reasons.iter_rows(named=True)),
                amount=first["amount"],
                currency=first["currency"],
            )
        )
    return problems


def with_refused_writes(
    problems: Iterable[Problem], entries: Collection[LedgerEntry], flow: str, instance_url: str
) -> list[Problem]:
    """The problems, and those that services had with writes: one for each record, with all its reasons.

    Args:
        problems: what was refused before anything was sent.
        entries: of :func:`entries_to_tell`.
        instance_url: base URL of the Salesforce org, for links.
    """
    known = {problem.source_id: problem for problem in problems}
    for entry in entries:
        if entry.status == "failed" and entry.attempts < TOLD_AFTER_ATTEMPTS:
            continue
        source_id = entry.opportunity_id or entry.account_id or entry.source_id
        before = known.get(source_id)
        reason = Reason(entry.error_code or "", entry.error_message or "", remedy(entry.error_code or ""))
        source_object = "Opportunity" if entry.opportunity_id else "Account" if entry.account_id else entry.source_object
        known[source_id] = Problem(
            key=f"{flow}:{source_id}",
            flow=flow,
            source_object=source_object,
            source_id=source_id,
            label=before.label if before else entry.label,
            link=record_link(instance_url, source_id, source_object),
            kind="failed",
            reasons=(*(before.reasons if before else ()), reason),
            amount=entry.amount,
            currency=entry.currency,
        )
    return list(known.values())


def record_link(instance_url: str, record_id: str, record_object: str = "Opportunity") -> str:
    """A link that opens a Salesforce record."""
    return f"{instance_url}/lightning/r/{record_object}/{record_id}/view"
