"""The checks of what is owed: whether QuickBooks' documents agree with each other, and whether every invoice has one deal.

They warn and stop nothing by themselves: one torn document must not stop the deals of all others. The flows that write leave
out the invoices that are not explained, and their gates close where there are many (``gates.max_unexplained``). What a payment
has unapplied, and the account receivable, say nothing of one invoice: whatever of them was not read shows in its invoices too.
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from qbsf_pipeline.flows.gates import GateOutcome, some
from qbsf_pipeline.quickbooks.objects import ACCOUNT
from qbsf_pipeline.receivables.identities import (
    accounts_are_outdated,
    company_differences,
    invoice_differences,
    source_differences,
)
from qbsf_pipeline.receivables.inputs import links_of, read_inputs
from qbsf_pipeline.receivables.tables import APPLICATIONS, CONTESTED, INVOICES
from qbsf_pipeline.resources import WAREHOUSE_POOL, DoorsResource, WarehouseResource
from qbsf_pipeline.warehouse.assets import table_key
from qbsf_pipeline.warehouse.connection import read_table
from qbsf_pipeline.warehouse.raw import WATERMARKS

_KEY = table_key(INVOICES)
_KINDS = {"payment": "payment", "credit_memo": "credit memo"}


def invoices_are_explained(differences: pl.DataFrame, invoices: int) -> GateOutcome:
    """What is applied to every invoice gives the balance that QuickBooks says.

    Args:
        differences: :func:`.identities.invoice_differences`.
        invoices: how many there are.
    """
    named = [
        f"invoice {number or invoice_id}: {total} less {applied} applied, and QuickBooks says {balance} {currency or ''}".rstrip()
        for invoice_id, number, total, applied, balance, currency in differences.select(
            "invoice_id", "doc_number", "total", "applied", "balance", "currency"
        ).iter_rows()
    ]
    text = (
        f"{invoices} invoices, each with the balance that its payments and credits give."
        if not named
        else f"The balance of {len(named)} of {invoices} invoices is not what was applied: {some(named)}."
    )
    return GateOutcome("invoices_are_explained", not named, text, {"invoices": invoices, "differences": len(named)})


def payments_are_explained(differences: pl.DataFrame) -> GateOutcome:
    """What every payment and credit memo has unapplied is what its lines leave.

    Args:
        differences: :func:`.identities.source_differences`.
    """
    named = [
        f"{_KINDS[kind]} {source_id}: its lines leave {derived}, and QuickBooks says {unapplied}"
        for kind, source_id, derived, unapplied in differences.select("kind", "source_id", "derived", "unapplied").iter_rows()
    ]
    text = "What payments and credit memos have unapplied is what their lines leave."
    if named:
        text = f"{len(named)} payments or credit memos do not add up: {some(named)}."
    return GateOutcome("payments_are_explained", not named, text, {"differences": len(named)})


def accounts_receivable_agree(differences: pl.DataFrame, *, outdated: bool = False) -> GateOutcome:
    """All that is open gives the balance of the accounts receivable.

    Args:
        differences: :func:`.identities.company_differences`.
        outdated: documents are newer than what is known of the accounts (:func:`.identities.accounts_are_outdated`).
    """
    named = [
        f"{documents} {currency or ''} by the documents, {account} on the account".replace("  ", " ")
        for currency, documents, account in differences.filter("exact").select("currency", "documents", "account").iter_rows()
    ]
    text = "All that is open gives the balance of the accounts receivable."
    if named and outdated:
        named = []
        text = (
            "Documents were read since the balance of the accounts receivable was: both are compared after the next full read "
            "(qbsf sync --full)."
        )
    elif named:
        text = f"Accounts receivable do not agree: {some(named)}."
    elif differences.height:
        text = "Accounts receivable hold several currencies on one account, so they can only be compared about."
    return GateOutcome("accounts_receivable_agree", not named, text, {"differences": len(named)})


def invoices_bill_one_deal(contested: pl.DataFrame) -> GateOutcome:
    """No invoice is claimed by several deals.

    Args:
        contested: columns of :data:`.tables.CONTESTED`.
    """
    grouped = contested.group_by("invoice_id", "doc_number").agg(pl.col("opportunity_id").sort()).sort("invoice_id")
    named = [
        f"invoice {number or invoice_id} by {', '.join(deals)}"
        for invoice_id, number, deals in grouped.select("invoice_id", "doc_number", "opportunity_id").iter_rows()
    ]
    text = "No invoice is claimed by several deals."
    if named:
        text = (
            f"{len(named)} invoices are claimed by several deals and follow none of them: {some(named)}. Take the invoice off "
            "the wrong deals, or say which one it bills: qbsf review link-invoice."
        )
    return GateOutcome("invoices_bill_one_deal", not named, text, {"invoices": len(named)})


@dg.multi_asset_check(
    name="receivables_checks",
    specs=[
        dg.AssetCheckSpec("invoices_are_explained", asset=_KEY, description="Applications give QuickBooks' balance of each."),
        dg.AssetCheckSpec("payments_are_explained", asset=_KEY, description="The lines of payments leave what is unapplied."),
        dg.AssetCheckSpec("accounts_receivable_agree", asset=_KEY, description="All that is open is on accounts receivable."),
        dg.AssetCheckSpec("invoices_bill_one_deal", asset=_KEY, description="Protects against a payment told to the wrong deal."),
    ],
    pool=WAREHOUSE_POOL,
)
def receivables_checks(doors: DoorsResource, warehouse: WarehouseResource) -> Iterator[dg.AssetCheckResult]:
    """The identities over what was derived, and contested invoices."""
    opened = doors.open(warehouse)
    invoice_links, customer_links = links_of(opened.state)
    with opened.warehouse.connection() as connection:
        inputs = read_inputs(connection, invoice_links, customer_links, opened.settings.rules)
        invoices = read_table(connection, INVOICES)
        applications = read_table(connection, APPLICATIONS)
        contested = read_table(connection, CONTESTED)
        marks = read_table(connection, WATERMARKS, ["table_name", "last_full_at"])
    outdated = accounts_are_outdated(inputs, dict(marks.iter_rows()).get(f"{ACCOUNT.schema}.{ACCOUNT.name}"))
    outcomes = (
        invoices_are_explained(invoice_differences(invoices, applications), invoices.height),
        payments_are_explained(source_differences(inputs)),
        accounts_receivable_agree(company_differences(inputs), outdated=outdated),
        invoices_bill_one_deal(contested),
    )
    for outcome in outcomes:
        yield dg.AssetCheckResult(
            check_name=outcome.name,
            asset_key=_KEY,
            passed=outcome.open,
            severity=dg.AssetCheckSeverity.WARN,
            description=outcome.text,
            metadata={"found": outcome.text, **outcome.figures},
        )
