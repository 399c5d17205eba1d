"""What month end is made from: frames with declared schemas. Shapes only; :mod:`.reading` takes them from the warehouse.

Amounts are in the currency of their row. Days of what has only an instant (created, modified) are the company's days.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from functools import partial

import polars as pl

from qbsf_pipeline.warehouse.tables import AMOUNT, RATE

_S, _B, _I, _D = pl.String(), pl.Boolean(), pl.Int64(), pl.Date()

#: All opportunities: salesforce.opportunity.
DEALS = pl.Schema(
    {
        "opportunity_id": _S,  # id
        "deal": _S,  # name
        "account_id": _S,
        "owner_id": _S,
        "close_date": _D,
        "stage": _S,  # stage_name
        "is_won": _B,
        "is_closed": _B,
        "is_deleted": _B,
        "amount": RATE,
        "currency": _S,
        "billing_frequency": _S,
        "billing_periods": RATE,
        "created_on": _D,  # day of created_at
        "modified_on": _D,  # day of source_modified_at
    }
)
#: Products of deals: salesforce.opportunity_line_item, those that are not deleted. Only deals with a difference need them.
DEAL_LINES = pl.Schema({"opportunity_id": _S, "label": _S, "amount": RATE})
#: All invoices: receivables.invoices, with recurring_id, created_at, source_modified_at and the marker of quickbooks.invoice.
INVOICES = pl.Schema(
    {
        "invoice_id": _S,
        "number": _S,  # doc_number
        "customer_id": _S,
        "opportunity_id": _S,  # the deal that it bills, by an explicit link only
        "linked_by": _S,
        "marked_deal": _S,  # quickbooks.invoice.opportunity_id: what its note says
        "txn_date": _D,
        "total": AMOUNT,
        "tax": AMOUNT,
        "currency": _S,
        "exchange_rate": RATE,
        "written_off": AMOUNT,
        "status": _S,  # receivables.invoices.status: Voided, Deleted, or what it is paid
        "recurring_id": _S,
        "created_on": _D,
        "modified_on": _D,
    }
)
#: Lines of invoices; ``kind``: item, freight or discount. Only invoices with a difference need them.
INVOICE_LINES = pl.Schema({"invoice_id": _S, "kind": _S, "label": _S, "description": _S, "amount": AMOUNT})
#: All credit memos: quickbooks.credit_memo; ``tax`` from TxnTaxDetail.TotalTax of the record.
CREDIT_MEMOS = pl.Schema(
    {
        "credit_memo_id": _S,
        "number": _S,
        "customer_id": _S,
        "txn_date": _D,
        "total": AMOUNT,
        "tax": AMOUNT,
        "currency": _S,
        "is_deleted": _B,
        "modified_on": _D,
    }
)
#: To which invoices credit memos are applied: receivables.applications of source_type credit_memo.
CREDITS = pl.Schema({"credit_memo_id": _S, "invoice_id": _S, "amount": AMOUNT, "is_write_off": _B})
#: Customers of each account: customers.matches of outcome linked, and pipeline.customer_links.
ACCOUNT_CUSTOMERS = pl.Schema({"account_id": _S, "customer_id": _S})
CUSTOMERS = pl.Schema({"customer_id": _S, "customer": _S, "parent_id": _S})
ACCOUNTS = pl.Schema({"account_id": _S, "account": _S})
OWNERS = pl.Schema({"owner_id": _S, "owner": _S})
#: What the invoice flow made of each won deal: invoices.deals.
OUTCOMES = pl.Schema({"opportunity_id": _S, "outcome": _S, "detail": _S, "billed_with": _S, "difference": AMOUNT})
#: Why it refused deals: invoices.refusals.
REFUSALS = pl.Schema({"opportunity_id": _S, "code": _S, "reason": _S, "remedy": _S, "position": _I})
#: Invoices in the ledger: operation create_invoice. ``amount``: what was billed; ``generation``: last part of the key.
BILLINGS = pl.Schema(
    {"opportunity_id": _S, "invoice_id": _S, "generation": _I, "status": _S, "amount": AMOUNT, "done_on": _D}  # result_id
)
#: What voided and deleted invoices were before. May be empty.
INVOICE_LAST_KNOWN = pl.Schema({"invoice_id": _S, "total": AMOUNT, "tax": AMOUNT})
#: Invoices that several deals claim: receivables.contested.
CONTESTED = pl.Schema({"invoice_id": _S, "opportunity_id": _S})
#: Units of a currency for one of the corporate currency: salesforce.currency_type.
EXCHANGE_RATES = pl.Schema({"currency": _S, "rate": RATE})


@dataclass(frozen=True)
class ReconciliationInputs:
    """Everything that month end is made from. Each frame has the schema of the same name in this module.

    Attributes:
        home_currency: of the QuickBooks company; empty where it is not known.
        org_currency: of the Salesforce org, for deals that name none; empty where it is not known.
        go_live: deals closed before it are never billed; None for no limit.
        held: why planned invoices are not sent, as a sentence (a closed gate, an approval that is missing); empty for nothing.
    """

    deals: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=DEALS))
    deal_lines: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=DEAL_LINES))
    invoices: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=INVOICES))
    invoice_lines: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=INVOICE_LINES))
    credit_memos: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=CREDIT_MEMOS))
    credits: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=CREDITS))
    account_customers: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=ACCOUNT_CUSTOMERS))
    customers: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=CUSTOMERS))
    accounts: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=ACCOUNTS))
    owners: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=OWNERS))
    outcomes: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=OUTCOMES))
    refusals: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=REFUSALS))
    billings: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=BILLINGS))
    last_known: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=INVOICE_LAST_KNOWN))
    contested: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=CONTESTED))
    exchange_rates: pl.DataFrame = field(default_factory=partial(pl.DataFrame, schema=EXCHANGE_RATES))
    home_currency: str = ""
    org_currency: str = ""
    go_live: date | None = None
    held: str = ""


@dataclass(frozen=True)
class Links:
    """Where a person opens a record, with ``{id}`` for its id; empty for no links."""

    deal: str = ""
    invoice: str = ""


def with_a_difference(deals: pl.DataFrame, invoices: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The deals whose amount is not that of their invoices, and those invoices: only of these are the lines needed.

    Args:
        deals: :data:`DEALS`.
        invoices: :data:`INVOICES`.

    Returns:
        opportunity_id; invoice_id. Credit memos do not count, so a few may be too many, and none is missing.
    """
    stands = ~pl.col("status").is_in(["Voided", "Deleted"]).fill_null(False)
    linked = invoices.lazy().filter(pl.col("opportunity_id").is_not_null())
    net = pl.col("total").fill_null(0) - pl.col("tax").fill_null(0)
    billed = linked.filter(stands).group_by("opportunity_id").agg(net.sum().cast(RATE).alias("billed"))
    differing = (
        deals.lazy()
        .select("opportunity_id", "amount", "is_won")
        .join(billed, on="opportunity_id", how="left")
        # A deal without an amount is worth its products.
        .filter((pl.col("amount").ne_missing(pl.col("billed")) & pl.col("billed").is_not_null()) | pl.col("amount").is_null())
        .select("opportunity_id")
        .unique()
        .collect()
    )
    return differing, linked.join(differing.lazy(), on="opportunity_id", how="semi").select("invoice_id").unique().collect()
