"""Our ageing beside QuickBooks' own report of the same day: every difference by its name, or said to be unexplained. Pure.

QuickBooks counts open invoices, less unapplied payments, less open credit memos, plus or minus the lines of journal entries on
accounts receivable (Intuit, A/R ageing summary). Our ageing counts invoices, payments and credits from their applications; the
journal lines are counted here. What is left over is a missing entity, a torn read or an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import polars as pl

from qbsf_pipeline.money import CENT, format_amount
from qbsf_pipeline.quickbooks.reports import AgedReceivables
from qbsf_pipeline.warehouse.tables import AMOUNT, TIMESTAMP, Column, PolarsType, TableSchema

AR_TIE_OUT = TableSchema(
    "pipeline",
    "ar_tie_out",
    (
        Column("as_of", pl.Date, "The day of both"),
        Column("currency", pl.String, "ISO code of every amount: the company's currency"),
        Column("quickbooks_total", AMOUNT, "Total of QuickBooks' report AgedReceivables"),
        Column("invoices", AMOUNT, "Open invoices of our ageing"),
        Column("unapplied_payments", AMOUNT, "Payments and deposits not applied; 0 or below"),
        Column("open_credits", AMOUNT, "Credit memos not applied; 0 or below"),
        Column("journal_lines", AMOUNT, "Lines of journal entries on accounts receivable, less what was applied of them"),
        Column("unexplained", AMOUNT, "QuickBooks' total less the four before; 0 is right"),
        Column("agrees", pl.Boolean, "Whether nothing is unexplained, customer by customer"),
        Column("finding", pl.String, "The outcome as a sentence"),
        Column("compared_at", TIMESTAMP, "When QuickBooks was asked (UTC)"),
    ),
    ("as_of",),
    "Our ageing beside QuickBooks' own. A row is one day",
)
_PART_TYPES: dict[str, PolarsType] = {
    "customer_id": pl.String,
    "part": pl.String,
    "amount": pl.Decimal(38, 2),
    "foreign": pl.Int64,
    "unrated": pl.Int64,
}
#: Parts of what is owed, by customer: ``part`` is invoices, unapplied_payments, open_credits or journal_lines; ``amount`` is in
#: the company's currency; ``foreign``: how many documents of other currencies are in it, each rounded by itself; ``unrated``:
#: how many of these have no exchange rate and are not in the amount.
PARTS = pl.Schema(_PART_TYPES)
_PART_OF_KIND = {"invoice": "invoices", "payment": "unapplied_payments", "deposit": "unapplied_payments"}
_PARTS = ("invoices", "unapplied_payments", "open_credits", "journal_lines")


@dataclass(frozen=True)
class TieOut:
    """The comparison of one day.

    Attributes:
        as_of: the day.
        currency: ISO code of every amount.
        quickbooks_total: total of QuickBooks' report.
        parts: amount by part.
        unexplained: what the parts do not explain of the total.
        agrees: nothing is unexplained, customer by customer.
        finding: the outcome as a sentence.
    """

    as_of: date
    currency: str
    quickbooks_total: Decimal
    parts: Mapping[str, Decimal]
    unexplained: Decimal
    agrees: bool
    finding: str

    def row(self, compared_at: datetime) -> dict[str, object]:
        """As a row of :data:`AR_TIE_OUT`."""
        return {
            "as_of": self.as_of,
            "currency": self.currency,
            "quickbooks_total": self.quickbooks_total,
            **self.parts,
            "unexplained": self.unexplained,
            "agrees": self.agrees,
            "finding": self.finding,
            "compared_at": compared_at,
        }


def aged_parts(aging: pl.DataFrame) -> pl.DataFrame:
    """Invoices, unapplied payments and open credits as :data:`PARTS`. Journal credits are left to :func:`journal_parts`.

    Args:
        aging: kind, customer_id, currency, home_currency, open_home of ``reporting.ar_aging``.
    """
    foreign = (pl.col("currency") != pl.col("home_currency")).fill_null(False)
    return (
        aging.filter(pl.col("kind") != "journal_entry")
        .with_columns(pl.col("kind").replace_strict(_PART_OF_KIND, default="open_credits").alias("part"), foreign=foreign)
        .group_by("customer_id", "part")
        .agg(
            pl.col("open_home").cast(pl.Decimal(38, 2)).sum().alias("amount"),
            pl.col("foreign").cast(pl.Int64).sum(),
            pl.col("open_home").is_null().cast(pl.Int64).sum().alias("unrated"),
        )
        .cast(PARTS)
        .select(list(PARTS))
    )


def journal_parts(
    entries: pl.DataFrame,
    journal_lines: pl.DataFrame,
    accounts: pl.DataFrame,
    payments: pl.DataFrame,
    payment_lines: pl.DataFrame,
    home_currency: str,
    as_of: date,
) -> pl.DataFrame:
    """What journal entries add to what customers owe, or take off it, as :data:`PARTS`: their lines on accounts receivable, less
    what payments used or paid of them.

    Args:
        entries: id, txn_date, currency, exchange_rate, is_deleted of ``quickbooks.journal_entry``.
        journal_lines: ``receivables.tables.JOURNAL_LINES``.
        accounts: id, account_type of ``quickbooks.account``.
        payments: id, customer_id, txn_date, is_deleted of ``quickbooks.payment``.
        payment_lines: ``receivables.tables.PAYMENT_LINES``.
        home_currency: ISO code.
        as_of: the day; later documents do not count.
    """
    receivable = accounts.filter(pl.col("account_type") == "Accounts Receivable").get_column("id")
    known = ~pl.col("is_deleted") & (pl.col("txn_date") <= as_of)
    signed = pl.when(pl.col("posting").str.to_lowercase() == "debit").then(pl.col("amount")).otherwise(-pl.col("amount"))
    owed = (
        journal_lines.filter(pl.col("account_id").is_in(receivable.implode()) & pl.col("customer_id").is_not_null())
        .join(entries.filter(known), left_on="journal_entry_id", right_on="id")
        .group_by("journal_entry_id", "customer_id", "currency", "exchange_rate", maintain_order=True)
        .agg(signed.cast(pl.Decimal(38, 2)).sum().alias("owed"))
        .with_columns(pl.len().over("journal_entry_id").alias("customers"))
    )
    used = (
        payment_lines.filter(pl.col("txn_type") == "JournalEntry")
        .join(payments.filter(known), left_on="source_id", right_on="id")
        .group_by("txn_id", "customer_id")
        .agg(pl.col("amount").cast(pl.Decimal(38, 2)).sum().alias("used"))
    )
    # A line of a payment names the entry, not its line: what the payer's own line cannot explain is the entry's only line.
    by_customer = used.rename({"txn_id": "journal_entry_id"})
    by_entry = used.group_by("txn_id").agg(pl.col("used").sum().alias("used_by_all")).rename({"txn_id": "journal_entry_id"})
    found = owed.join(by_customer, on=["journal_entry_id", "customer_id"], how="left").join(
        by_entry, on="journal_entry_id", how="left"
    )
    taken = pl.when(pl.col("customers") == 1).then(pl.col("used_by_all")).otherwise(pl.col("used")).fill_null(Decimal("0.00"))
    left = pl.max_horizontal(pl.col("owed").abs() - taken, pl.lit(Decimal("0.00"), dtype=pl.Decimal(38, 2)))
    is_home = (pl.col("currency") == home_currency).fill_null(True)
    open_amount = pl.when(pl.col("owed") < 0).then(-left).otherwise(left)
    at_rate = (open_amount.cast(pl.Decimal(18, 2)) * pl.col("exchange_rate")).round(2, mode="half_away_from_zero")
    return (
        found.with_columns(is_home=is_home, open=open_amount)
        .filter(pl.col("open") != 0)
        .with_columns(amount=pl.when(pl.col("is_home")).then(pl.col("open")).otherwise(at_rate.cast(pl.Decimal(38, 2))))
        .group_by("customer_id")
        .agg(
            pl.lit("journal_lines").alias("part"),
            pl.col("amount").sum(),
            (~pl.col("is_home")).cast(pl.Int64).sum().alias("foreign"),
            pl.col("amount").is_null().cast(pl.Int64).sum().alias("unrated"),
        )
        .cast(PARTS)
        .select(list(PARTS))
    )


def compare(report: AgedReceivables, parts: pl.DataFrame, names: Mapping[str, str], currency: str, as_of: date) -> TieOut:
    """QuickBooks' report beside our parts of the same day.

    A document in another currency may differ by a cent, for each side rounds it by itself; nothing else may.

    Args:
        parts: :data:`PARTS` of everything that is owed.
        names: display name by customer id, for the sentence, and to find customers that the report names without an id.
        currency: the company's currency.
        as_of: the day of the parts.
    """
    amounts = {
        part: Decimal(parts.filter(pl.col("part") == part).get_column("amount").sum() or 0).quantize(CENT) for part in _PARTS
    }
    ours = sum(amounts.values(), Decimal("0.00"))
    unexplained = report.total - ours
    named = ", ".join(f"{part.replace('_', ' ')} {amounts[part]:,.2f}" for part in _PARTS)
    problems: list[str] = []
    if report.report_date is not None and report.report_date != as_of:
        problems.append(f"QuickBooks answered for {report.report_date}, not for {as_of}")
    if report.currency is not None and currency and report.currency != currency:
        problems.append(f"QuickBooks counts in {report.currency}, our ageing in {currency}")
    unrated = int(parts.get_column("unrated").sum())
    if unrated:
        problems.append(f"{unrated} documents in other currencies have no exchange rate")
    allowed = CENT * int(parts.get_column("foreign").sum())
    if abs(unexplained) > allowed:
        problems.append(f"{format_amount(unexplained, currency)} is not explained")
    if report.whole and report.report_date in (None, as_of):
        problems += _by_customer(report, parts, names)
    elif not report.whole:
        problems.append("the customers of QuickBooks' report do not add up to its total, so only the totals were compared")
    shown = f"QuickBooks shows {format_amount(report.total, currency)} open on {as_of}; ours is {named}"
    todo = "A payment recorded since the last pull shows up here until tomorrow; else run qbsf sync --full and look again"
    finding = f"{shown}. Nothing is unexplained." if not problems else f"{shown}. {'; '.join(problems)}. {todo}."
    return TieOut(as_of, currency, report.total, amounts, unexplained, not problems, finding)


def _by_customer(report: AgedReceivables, parts: pl.DataFrame, names: Mapping[str, str]) -> list[str]:
    """The customers whose amounts differ, the largest differences first."""
    ids = {name: customer_id for customer_id, name in names.items()}
    theirs: dict[str, Decimal] = {}
    for customer in report.customers:
        key = customer.customer_id or ids.get(customer.name, customer.name)
        theirs[key] = theirs.get(key, Decimal(0)) + customer.amount
    ours = {
        row["customer_id"] or "": (row["amount"], row["foreign"])
        for row in parts.group_by("customer_id").agg(pl.col("amount", "foreign").sum()).iter_rows(named=True)
    }
    differences = {
        key: theirs.get(key, Decimal(0)) - ours.get(key, (Decimal(0), 0))[0]
        for key in dict.fromkeys([*theirs, *ours])
        if abs(theirs.get(key, Decimal(0)) - ours.get(key, (Decimal(0), 0))[0]) > CENT * ours.get(key, (Decimal(0), 0))[1]
    }
    if not differences:
        return []
    ranked = sorted(differences.items(), key=lambda item: (-abs(item[1]), names.get(item[0], item[0])))
    most = 5
    listed = ", ".join(f"{names.get(key, key) or 'no customer'} {amount:+,.2f}" for key, amount in ranked[:most])
    more = f" and {len(ranked) - most} more" if len(ranked) > most else ""
    return [f"QuickBooks less ours by customer: {listed}{more}"]
