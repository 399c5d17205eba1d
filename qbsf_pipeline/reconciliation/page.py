"""The month-end report as a page for a browser and for paper: the bridge as a picture, and every difference with its reason.

One file that needs nothing else: no script, no style, no picture from elsewhere. Everything in it that comes from a record is
escaped. Pure: a report in, text out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from importlib import resources
from typing import Any

import jinja2
import markupsafe
import polars as pl

from qbsf_pipeline.money import format_amount, to_cents
from qbsf_pipeline.reconciliation.chart import change
from qbsf_pipeline.reconciliation.classes import DifferenceClass
from qbsf_pipeline.reconciliation.report import Report
from qbsf_pipeline.reconciliation.sections import CurrencySection, counted, in_reading_order, sections, title_of, verdict
from qbsf_pipeline.reconciliation.still_open import sums_by_class, told

#: Rows of one class and currency, and of changes. The workbook holds all; what the page leaves out it says, with its sum.
MOST_ROWS = 200
_LONGEST_TEXT = 1_000
_DAY = "%d %b %Y"


def page(report: Report, classes: Sequence[DifferenceClass]) -> str:
    """The report as one HTML file.

    Args:
        report: an open month, or a closed one with its changes since then.
        classes: the table of classes in order of precedence, for their titles and rules.
    """
    template = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    )
    found = sections(report)
    closing = report.closing
    return template.render(
        month=f"{report.month:%B %Y}",
        company=report.company,
        produced=f"{report.produced_at:{_DAY}, %H:%M %Z}",
        closing=closing and {"by": closing.closed_by, "at": f"{closing.closed_at:{_DAY}, %H:%M %Z}"},
        verdict=verdict([one.differences for one in found]),
        currencies=[_currency(one, place, classes) for place, one in enumerate(found, start=1)],
        carried=_carried(report.carried, classes),
        changes=[_change(row, classes) for row in report.changes.head(MOST_ROWS).iter_rows(named=True)],
        changes_text=f"{counted(report.changes.height, 'record')} {'is' if report.changes.height == 1 else 'are'} not as then.",
        more_changes=_left_out(report.changes.height),
        accept=_accept(report, found),
        rules=classes if found or report.carried.height else (),
    )


def _currency(section: CurrencySection, place: int, classes: Sequence[DifferenceClass]) -> dict[str, Any]:
    totals, waterfall = section.totals, section.waterfall
    codes = section.differences["class"].unique(maintain_order=True).to_list()
    anchors = {code: f"class-{place}-{number}" for number, code in enumerate(codes, start=1)}
    explained = totals["differences"] - totals["unexplained_cases"]
    return {
        "currency": section.currency,
        "problems": section.problems,
        "won": _figure(totals["won"]),
        "deals": counted(totals["deals"], "deal"),
        "invoiced": _figure(totals["invoiced"]),
        "invoices": counted(totals["invoices"], "invoice"),
        "explained": _figure(totals["explained"]),
        "explained_cases": counted(explained, "difference"),
        "unexplained": _figure(totals["unexplained"]),
        "unexplained_cases": totals["unexplained_cases"],
        "unexplained_text": counted(totals["unexplained_cases"], "difference"),
        "chart": _with_description(waterfall.svg(), waterfall.description),
        "axis": f"The axis begins at {_figure(waterfall.begins_at)}, not at 0." if waterfall.begins_at else "",
        "steps": [
            {
                "title": row["title"] or title_of(row["class"], classes),
                "cases": f"{row['cases']:,}",
                "change": change(row["amount"]),
                "anchor": anchors.get(row["class"]),
            }
            for row in section.bridge
        ],
        "groups": [_group(section, code, anchors[code], classes) for code in codes],
    }


def _group(section: CurrencySection, code: str | None, anchor: str, classes: Sequence[DifferenceClass]) -> dict[str, Any]:
    cases = section.differences.filter(pl.col("class").eq_missing(pl.lit(code, pl.String)))
    left_out = cases.slice(MOST_ROWS)
    more = ""
    if left_out.height:
        amount = format_amount(_sum(left_out), section.currency)
        more = f"and {left_out.height:,} more with differences of {amount}: they are in the workbook."
    return {
        "anchor": anchor,
        "title": title_of(code, classes),
        "rule": next((one.rule for one in classes if one.code == code), ""),
        "explained": bool(cases["explained"].fill_null(False).all()),
        "count": counted(cases.height, "record"),
        "amount": format_amount(_sum(cases), section.currency),
        "rows": [_row(row) for row in cases.head(MOST_ROWS).iter_rows(named=True)],
        "more": more,
    }


def _carried(carried: pl.DataFrame, classes: Sequence[DifferenceClass]) -> dict[str, Any]:
    """What is still open of earlier months: by currency and class, and record by record."""
    ordered = in_reading_order(carried)
    return {
        "told": told(carried),
        "sums": [
            {
                "currency": row["currency"] or "no currency",
                "title": title_of(row["class"], classes),
                "cases": f"{row['cases']:,}",
                "amount": _figure(row["amount"]),
            }
            for row in sums_by_class(carried).iter_rows(named=True)
        ],
        "tables": [_carried_in(ordered, currency, classes) for currency in sorted(ordered["currency"].unique(), key=str)],
    }


def _carried_in(ordered: pl.DataFrame, currency: str | None, classes: Sequence[DifferenceClass]) -> dict[str, Any]:
    cases = ordered.filter(pl.col("currency").eq_missing(pl.lit(currency, pl.String)))
    more = ""
    if cases.height > MOST_ROWS:
        left_out = cases.slice(MOST_ROWS)
        amount = format_amount(_sum(left_out), currency or "").strip()
        more = f"and {left_out.height:,} more with differences of {amount}: they are in the workbook."
    rows = [
        {**_row(row), "month": f"{row['month']:%b %Y}", "title": title_of(row["class"], classes), "again": False}
        for row in cases.head(MOST_ROWS).iter_rows(named=True)
    ]
    return {"currency": currency or "no currency", "rows": rows, "more": more}


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    accepted = ""
    if row["accepted_by"] is not None:
        accepted = f"by {row['accepted_by']}{_on(row['accepted_on'])}: {_text(row['accepted_reason'])}"
    return {
        "key": row["case_key"],
        "deal": _text(row["deal"] or row["opportunity_id"]),
        "deal_link": _link(row["deal_link"]),
        "deal_note": _note(row["account"], row["owner"], f"closed {row['closed_on']:{_DAY}}" if row["closed_on"] else ""),
        "invoice": _text(row["numbers"] or row["invoice_ids"]),
        "invoice_link": _link(row["invoice_link"]),
        "invoice_note": _note(row["customer"], f"{row['invoiced_on']:{_DAY}}" if row["invoiced_on"] else ""),
        "won": _figure(row["won"]),
        "invoiced": _figure(row["invoiced"]),
        "difference": _figure(row["difference"]),
        "explanation": _text(row["explanation"]),
        "cause": _text(row["cause"]),
        "accepted": accepted,
        "acts": row["acts"] or "",
        "since": f"{row['since']:{_DAY}}" if row["since"] else "",
        "first_seen": f"{row['first_seen_on']:{_DAY}}" if row["first_seen_on"] else "",
        "again": bool(row["seen_last_month"]),
    }


def _change(row: Mapping[str, Any], classes: Sequence[DifferenceClass]) -> dict[str, Any]:
    then, now = (title_of(row[name], classes) for name in ("class_then", "class_now"))
    return {
        "key": row["case_key"],
        "name": _note(row["deal"], row["numbers"]),
        "change": row["change"] or "",
        "classes": f"{then} → {now}" if then and now and then != now else then or now,
        **{
            name: "" if row[name] is None else format_amount(row[name], row["currency"] or "").strip()
            for name in ("won_then", "won_now", "invoiced_then", "invoiced_now")
        },
        "explanation": _text(row["explanation"]),
    }


def _accept(report: Report, found: Sequence[CurrencySection]) -> str:
    """The command that accepts the most urgent difference; none in a closed month, which takes no decisions."""
    if report.closing is not None:
        return ""
    open_keys = (one.differences.filter(pl.col("accepted_by").is_null())["case_key"] for one in found)
    key = next((keys[0] for keys in open_keys if keys.len()), None)
    return "" if key is None else f'qbsf reconcile accept {key} --month {report.month:%Y-%m} --reason "..."'


def _with_description(svg: str, description: str) -> markupsafe.Markup:
    """The drawing as one picture for a screen reader. Its own text is escaped by who drew it."""
    label = markupsafe.escape(description)
    return markupsafe.Markup(svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1))


def _left_out(rows: int) -> str:
    return f"and {rows - MOST_ROWS:,} more: they are in the workbook." if rows > MOST_ROWS else ""


def _sum(cases: pl.DataFrame) -> Decimal:
    return sum(cases["difference"].drop_nulls(), Decimal(0))


def _figure(amount: Decimal | None) -> str:
    return "" if amount is None else f"{to_cents(amount):,.2f}"


def _on(day: date | None) -> str:
    return "" if day is None else f" on {day:{_DAY}}"


def _note(*parts: str | None) -> str:
    return _text(" · ".join(part for part in parts if part))


def _text(text: str | None) -> str:
    text = text or ""
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"


def _link(url: str | None) -> str | None:
    """The link where a browser may follow it: an address of the web and nothing that runs."""
    return url if url and url.startswith(("https://", "http://")) else None
