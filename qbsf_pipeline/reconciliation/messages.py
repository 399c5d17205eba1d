"""What finance reads in Slack about a month. Pure: a report in, messages out; nothing is sent here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date
from typing import Any

import polars as pl

from qbsf_pipeline.flows.messages import fitting, sections
from qbsf_pipeline.money import format_amount
from qbsf_pipeline.reconciliation.decisions import differences_of, most_urgent, unexplained_of
from qbsf_pipeline.reconciliation.months import key_of, title_of
from qbsf_pipeline.reconciliation.report import Report
from qbsf_pipeline.reconciliation.still_open import told
from qbsf_pipeline.slack.blocks import escape, link
from qbsf_pipeline.state.outbox import Message

#: Differences that the message itself names.
MOST_NAMED = 5
_LONGEST_NAME = 120
_LONGEST_EXPLANATION = 400


def summary_messages(
    report: Report, titles: Mapping[str, str], today: date, places: Mapping[str, str], report_link: str, channel: str
) -> list[Message]:
    """Totals by currency, how much is unexplained, how much of earlier months is still open, and the five differences to look at
    first. Told once for each content.

    Args:
        titles: title of each class by its code.
        today: in the company's time zone: a month that is not over is told as "so far".
        places: where the report stands: workbook and page by what they are called.
        report_link: opens the report in the Dagster UI.
    """
    running = (report.month.year, report.month.month) == (today.year, today.month)
    heading = f"{title_of(report.month)}{' so far' if running else ''}: won against invoiced"
    unexplained = unexplained_of(report.cases).height
    lines = [f":bar_chart: *{heading}*"]
    lines += [_totals(row) for row in report.totals.sort("currency").iter_rows(named=True)]
    if report.totals.is_empty():
        lines.append("No deal was won and nothing was invoiced.")
    lines.append(_verdict(report, unexplained))
    if not report.carried.is_empty():
        lines.append(f":hourglass: still open from earlier months: {told(report.carried)}")
    if report.closing is not None:
        lines.append(_closed(report))
    standing = report.cases.filter(pl.col("accepted_by").is_null())
    named = most_urgent(standing, MOST_NAMED)
    if named.height:
        lines += ["", "*To look at first*" if named.height > 1 else "*To look at*"]
        for row in named.iter_rows(named=True):
            lines += _difference(row, titles)
    more = differences_of(standing).height - named.height
    if more:
        lines.append(f"_and {more} more in the report_")
    where = [link(report_link, "Open the report in Dagster"), *(f"{name}: `{escape(path)}`" for name, path in places.items())]
    lines += ["", " · ".join(where)]
    key = f"month-end:{key_of(report.month)}:{_digest(report, named)}"
    state = f"{unexplained} unexplained" if unexplained else "nothing unexplained"
    return [
        Message(
            dedupe_key=key if number == 0 else f"{key}:{number}",
            channel=channel,
            text=f"{heading}: {state}"[:3000],
            blocks=sections(part),
            thread_of=None if number == 0 else key,
            kind="reconciliation",
        )
        for number, part in enumerate(fitting(lines))
    ]


def _totals(row: Mapping[str, Any]) -> str:
    currency = row["currency"]
    parts = [
        f"won *{format_amount(row['won'], currency)}*",
        f"invoiced *{format_amount(row['invoiced'], currency)}*",
        f"difference {format_amount(row['won'] - row['invoiced'], currency)}",
        f"unexplained {format_amount(row['unexplained'], currency)}",
    ]
    counts = f"{_number(row['deals'], 'deal')}, {_number(row['invoices'], 'invoice')}"
    return f"• {' · '.join(parts)} ({counts})"


def _verdict(report: Report, unexplained: int) -> str:
    differences = differences_of(report.cases)
    total = differences.height
    if not total:
        return ":white_check_mark: Every deal has its invoice, and every invoice its deal."
    accepted = differences.filter(pl.col("accepted_by").is_not_null()).height
    told = f"{_number(total, 'difference')}" + (f", {accepted} of them accepted" if accepted else "")
    if unexplained:
        return f":red_circle: *{unexplained} unexplained* of {told}"
    return f":white_check_mark: Nothing is unexplained; {told}, each with its cause."


def _closed(report: Report) -> str:
    assert report.closing is not None
    told = f":lock: Closed on {report.closing.closed_at:%d %b %Y} by {escape(_short(report.closing.closed_by, _LONGEST_NAME))}"
    if report.changes.is_empty():
        return f"{told}; nothing has changed since."
    return f"{told}; *{_number(report.changes.height, 'record')} changed since*: see the report."


def _difference(row: Mapping[str, Any], titles: Mapping[str, str]) -> list[str]:
    records = []
    if row["deal"] or row["opportunity_id"]:
        records.append(link(row["deal_link"], _short(row["deal"] or row["opportunity_id"], _LONGEST_NAME)))
    if row["numbers"] or row["invoice_ids"]:
        records.append(link(row["invoice_link"], f"invoice {_short(row['numbers'] or row['invoice_ids'], _LONGEST_NAME)}"))
    title = titles.get(row["class"], str(row["class"]).replace("_", " "))
    parts = [*records, f"*{format_amount(row['difference'], row['currency'])}*", escape(title)]
    if row["acts"] and row["acts"] != "nobody":
        parts.append(f"for {escape(row['acts'])}")
    if row["seen_last_month"]:
        parts.append("open since last month")
    lines = ["• " + " · ".join(parts)]
    if row["explanation"]:
        lines.append(f"   {escape(_short(row['explanation'], _LONGEST_EXPLANATION))}")
    return lines


def _digest(report: Report, named: pl.DataFrame) -> str:
    """What the message says in figures: an explanation that counts days does not make it another message."""
    closing = report.closing
    said = [
        str(report.totals.sort("currency").rows()),
        str(named.select("case_key", "amounts", "accepted_by").rows()),
        str(closing and replace(closing, closed_at=closing.closed_at.astimezone(UTC))),
        str(report.changes.drop("explanation").rows()),
    ]
    if not report.carried.is_empty():
        said.append(told(report.carried))
    return hashlib.sha256("|".join(said).encode("utf-8", "replace")).hexdigest()[:16]


def _short(text: str, longest: int) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def _number(count: int, name: str) -> str:
    return f"{count:,} {name}{'s' if count != 1 else ''}"
