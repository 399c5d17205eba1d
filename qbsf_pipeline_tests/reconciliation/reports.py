"""Made-up month-end reports: cases in, a report whose totals and bridge are summed from them out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl

from qbsf_pipeline.reconciliation.classes import CLASSES, NO_DIFFERENCE, POSITIONS
from qbsf_pipeline.reconciliation.report import CHANGES, REPORT_CASES, Closing, Report
from qbsf_pipeline.reconciliation.tables import BRIDGE, DOCUMENTS, TOTALS

MONTH = date(2026, 3, 1)
PRODUCED = datetime(2026, 4, 1, 6, 30, tzinfo=UTC)
CLOSING = Closing("Ada Lovelace", datetime(2026, 4, 2, 9, 0, tzinfo=UTC))
DEAL_LINK = "https://acme.my.salesforce.com/lightning/r/Opportunity/006{:015d}/view"
INVOICE_LINK = "https://qbo.intuit.com/app/invoice?txnId={}"


def case(number: int, code: str = "matched", won: str = "100.00", invoiced: str = "100.00", **values: Any) -> dict[str, Any]:
    """A row of ``Report.cases``."""
    definition = next(one for one in CLASSES if one.code == code)
    row: dict[str, Any] = {
        "month": MONTH,
        "currency": "USD",
        "case_key": f"deal:006{number:015d}",
        "class": code,
        "position": POSITIONS[code],
        "opportunity_id": f"006{number:015d}",
        "deal": f"Deal {number}",
        "owner_id": "005000000000001AAA",
        "owner": "Grace Hopper",
        "account_id": f"001{number:015d}",
        "account": f"Account {number}",
        "customer_id": str(number),
        "customer": f"Customer {number}",
        "closed_on": date(2026, 3, 4),
        "invoiced_on": date(2026, 3, 5),
        "invoice_ids": str(1000 + number),
        "numbers": f"INV-{number}",
        "deal_amount": Decimal(won),
        "billed": Decimal(invoiced),
        "won": Decimal(won),
        "invoiced": Decimal(invoiced),
        "explained": definition.explained,
        "cause": None,
        "explanation": f"{definition.title}: the sentence of case {number}.",
        "acts": definition.acts,
        "since": date(2026, 3, 5),
        "deal_link": DEAL_LINK.format(number),
        "invoice_link": INVOICE_LINK.format(1000 + number),
        "amounts": f"{code} {won} {invoiced}",
        "first_seen_on": None,
        "seen_last_month": False,
        "accepted_by": None,
        "accepted_reason": None,
        "accepted_on": None,
    }
    row.update(values)
    return {**row, "difference": row["won"] - row["invoiced"]}


def document(place: int, **values: Any) -> dict[str, Any]:
    return {
        "month": MONTH,
        "currency": "USD",
        "case_key": f"deal:006{place:015d}",
        "kind": "invoice",
        "document_id": str(1000 + place),
        "number": f"INV-{place}",
        "dated_on": date(2026, 3, 5),
        "status": "live",
        "amount": Decimal("100.00"),
        "counted": True,
        **values,
    }


def changed(number: int, **values: Any) -> dict[str, Any]:
    return {
        "currency": "USD",
        "case_key": f"deal:006{number:015d}",
        "deal": f"Deal {number}",
        "numbers": f"INV-{number}",
        "change": "changed",
        "class_then": "matched",
        "class_now": "unexplained",
        "won_then": Decimal("100.00"),
        "won_now": Decimal("120.00"),
        "invoiced_then": Decimal("100.00"),
        "invoiced_now": Decimal("100.00"),
        "explanation": "The amount of the deal was raised.",
        **values,
    }


def report(
    cases: Sequence[dict[str, Any]],
    documents: Sequence[dict[str, Any]] = (),
    changes: Sequence[dict[str, Any]] = (),
    closing: Closing | None = None,
    company: str = "Northwind Traders",
    carried: Sequence[dict[str, Any]] = (),
) -> Report:
    frame = pl.DataFrame(list(cases), schema=REPORT_CASES, orient="row")
    titles = {one.code: one.title for one in CLASSES}
    keys = ("month", "currency")
    is_open = ~pl.col("class").is_in(NO_DIFFERENCE)
    bridge = (
        frame.group_by(*keys, "position", "class", maintain_order=True)
        .agg(pl.col("explained").all(), pl.len().cast(pl.Int64).alias("cases"), pl.col("difference").sum().alias("amount"))
        .with_columns(pl.col("class").replace_strict(titles, return_dtype=pl.String).alias("title"))
    )
    totals = frame.group_by(*keys, maintain_order=True).agg(
        pl.col("won", "invoiced").sum(),
        pl.col("difference").filter("explained").sum().alias("explained"),
        pl.col("difference").filter(~pl.col("explained")).sum().alias("unexplained"),
        (~pl.col("explained")).sum().cast(pl.Int64).alias("unexplained_cases"),
        pl.col("opportunity_id").is_not_null().sum().cast(pl.Int64).alias("deals"),
        pl.col("invoice_ids").is_not_null().sum().cast(pl.Int64).alias("invoices"),
        pl.len().cast(pl.Int64).alias("cases"),
        is_open.sum().cast(pl.Int64).alias("differences"),
    )
    return Report(
        month=MONTH,
        produced_at=PRODUCED,
        totals=totals.select(TOTALS.polars_schema.names()).cast(dict(TOTALS.polars_schema)),
        bridge=bridge.select(BRIDGE.polars_schema.names()).cast(dict(BRIDGE.polars_schema)),
        cases=frame,
        documents=pl.DataFrame(list(documents), schema=DOCUMENTS.polars_schema, orient="row"),
        company=company,
        closing=closing,
        changes=pl.DataFrame(list(changes), schema=CHANGES, orient="row"),
        carried=pl.DataFrame(list(carried), schema=REPORT_CASES, orient="row"),
    )
