"""The status of an invoice: what became of it, derived from what was applied to it and never from its balance alone.

A void, a credit and a payment all bring the balance to 0, and mean three things. The first row that applies:

==================================================  ==============  ===================================================
What is true                                        Status          Cases
==================================================  ==============  ===================================================
The invoice is gone from QuickBooks                 Deleted         invoice deleted
Its amounts are 0 and its note says so              Voided          invoice voided, also a paid one: its payments stay
                                                                    and are unapplied from then on
More is applied than the total                      Overpaid        never by QuickBooks itself; a check names it
Nothing is open, and a payment that paid it has     Overpaid        over-payment: the rest is unapplied on the customer.
money left                                                          Once the rest is applied elsewhere, or paid back by
                                                                    an entry that uses it up, the status is Paid
Nothing is open, money came, and no more than       Paid            full payment; several payments for one invoice; one
that was written off                                                payment over several; payment before the invoice,
                                                                    applied later; foreign currency (amounts are the
                                                                    invoice's, exchange differences are nobody's debt);
                                                                    payment by the parent for its sub-customer; deposit
                                                                    on the invoice or applied to it; a credit for a part
                                                                    and money for the rest
Nothing is open, and something was applied          Credited        credit memo through a payment of zero; write-off by
                                                                    journal entry or by credit memo on bad debts (the
                                                                    reason says which; ``written_off`` has the amount)
Something is open, and something was applied        Partially Paid  part payment; credits that QuickBooks applied by
                                                                    itself, so that the invoice was born part-paid
Nothing was applied, QuickBooks mailed it           Sent            payment deleted, voided, or moved to another invoice:
Nothing was applied                                 Invoiced        back to where it was; a payment that bounced (its
                                                                    money now pays the entry that took it back)
==================================================  ==============  ===================================================

A refund receipt is applied to no invoice and changes no status. An edited payment or invoice is derived anew from what it is
now: every status goes back as well as forward. An invoice of 0 that nothing was applied to stays Sent or Invoiced: nobody
paid anything. For a past day only documents dated until then count; a void and a deletion have no date of their own and
change the past (the daily snapshots keep it).
"""

from __future__ import annotations

import polars as pl

from qbsf_pipeline.warehouse.tables import AMOUNT

INVOICED, SENT, PARTIALLY_PAID, PAID, OVERPAID = "Invoiced", "Sent", "Partially Paid", "Paid", "Overpaid"
CREDITED, VOIDED, DELETED = "Credited", "Voided", "Deleted"
#: Every status that an invoice may have; a deal without an invoice is Not Invoiced.
STATUSES = (INVOICED, SENT, PARTIALLY_PAID, PAID, OVERPAID, CREDITED, VOIDED, DELETED)


def with_status(invoices: pl.DataFrame) -> pl.DataFrame:
    """``invoices`` with status and status_reason.

    Args:
        invoices: deleted, voided, emailed (bool); total, paid, credited, written_off, open, left_over (what payments of the
            invoice have left); last_payment_on; currency.
    """
    applied = (pl.col("paid") + pl.col("credited") + pl.col("written_off")) > 0
    settled = (pl.col("open") <= 0) & applied
    status = (
        pl.when("deleted")
        .then(pl.lit(DELETED))
        .when("voided")
        .then(pl.lit(VOIDED))
        .when(applied & (pl.col("open") < 0))
        .then(pl.lit(OVERPAID))
        .when(settled & (pl.col("left_over") > 0))
        .then(pl.lit(OVERPAID))
        .when(settled & (pl.col("paid") > 0) & (pl.col("paid") >= pl.col("written_off")))
        .then(pl.lit(PAID))
        .when(settled)
        .then(pl.lit(CREDITED))
        .when(applied)
        .then(pl.lit(PARTIALLY_PAID))
        .when("emailed")
        .then(pl.lit(SENT))
        .otherwise(pl.lit(INVOICED))
    )
    return invoices.with_columns(status=status).with_columns(status_reason=_reason())


def _reason() -> pl.Expr:
    is_status = pl.col("status")
    listed = pl.concat_str(
        _part("paid", " was paid"),
        _part("credited", " was credited"),
        _part("written_off", " was written off"),
        separator=", ",
        ignore_nulls=True,
    )
    on = pl.col("last_payment_on").dt.strftime("%d %b %Y")
    newest = pl.when(on.is_not_null()).then(pl.lit(", the last payment on ") + on).otherwise(pl.lit(""))
    rest = (
        pl.when(pl.col("open") < 0)
        .then(pl.lit("; that is ") + _amount(-pl.col("open")) + pl.lit(" more than its total"))
        .otherwise(pl.lit("; ") + _amount(pl.col("left_over")) + pl.lit(" of its payments is applied to nothing"))
    )
    return (
        pl.when(is_status == DELETED)
        .then(pl.lit("The invoice was deleted in QuickBooks."))
        .when(is_status == VOIDED)
        .then(pl.lit("The invoice was voided in QuickBooks."))
        .when(is_status == OVERPAID)
        .then(listed + newest + rest + pl.lit("."))
        .when(is_status.is_in([PAID, CREDITED]))
        .then(listed + newest + pl.lit("; nothing is open."))
        .when(is_status == PARTIALLY_PAID)
        .then(listed + newest + pl.lit("; ") + _amount(pl.col("open")) + pl.lit(" is open."))
        .when((pl.col("total") == 0) & (pl.col("open") == 0))
        .then(pl.lit("The total of the invoice is 0, and nothing was paid."))
        .when(is_status == SENT)
        .then(pl.lit("QuickBooks mailed the invoice; nothing is paid yet."))
        .otherwise(pl.lit("QuickBooks did not mail the invoice; nothing is paid yet."))
    )


def _part(name: str, what: str) -> pl.Expr:
    return pl.when(pl.col(name) > 0).then(_amount(pl.col(name)) + pl.lit(what))


def _amount(amount: pl.Expr) -> pl.Expr:
    """``12,500.00 USD``, as :func:`money.format_amount` writes it."""
    text = amount.cast(AMOUNT).cast(pl.String)
    whole, cents = text.str.slice(0, text.str.len_chars() - 3), text.str.slice(-3)
    grouped = whole.str.reverse().str.replace_all(r"(\d{3})", "${1},").str.strip_chars_end(",").str.reverse()
    return (grouped + cents + pl.lit(" ") + pl.col("currency").fill_null("")).str.strip_chars_end()
