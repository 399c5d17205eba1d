"""Which invoices QuickBooks mails to the customer once more. Pure.

One reminder answers every day of the rules that was reached until then: after a week without a pass one goes out, not three.
"""

from __future__ import annotations

import polars as pl

from qbsf_pipeline.aging.buckets import reached
from qbsf_pipeline.aging.inputs import AgingInputs, AgingParameters
from qbsf_pipeline.aging.tables import REMINDERS, SENT_REMINDERS
from qbsf_pipeline.settings import AgingRules


def reminder_key(realm_id: str, invoice_id: str, number: int) -> str:
    """The key of the write that sends reminder ``number`` of an invoice."""
    return f"send_reminder:{realm_id}:{invoice_id}:{number}"


def sent_reminders(inputs: AgingInputs, parameters: AgingParameters) -> pl.DataFrame:
    """Reminders that went out, as the state remembers them and as the ledger does: :data:`.tables.SENT_REMINDERS`.

    A crash between the two leaves one of them behind; each reminder counts once.
    """
    prefix = f"send_reminder:{parameters.realm_id}:"
    done = inputs.ledger.filter((pl.col("status") == "done") & pl.col("key").str.starts_with(prefix))
    parts = pl.col("key").str.strip_prefix(prefix).str.split_exact(":", 1)
    from_ledger = done.select(
        parts.struct.field("field_0").alias("invoice_id"),
        parts.struct.field("field_1").cast(pl.Int64, strict=False).alias("number"),
        pl.col("done_at").alias("sent_at"),
    ).drop_nulls("number")
    every = pl.concat([inputs.reminders.select(*SENT_REMINDERS), from_ledger])
    return every.group_by("invoice_id", "number").agg(pl.col("sent_at").min())


def plan_reminders(aged: pl.DataFrame, inputs: AgingInputs, rules: AgingRules, parameters: AgingParameters) -> pl.DataFrame:
    """Reminders that the rules ask for today, those that are held among them: :data:`.tables.REMINDERS`.

    Only for invoices of deals. Held are those of disputed invoices, of invoices that were never mailed or have no address, whose
    open amount is in doubt, or that the customer's own unapplied money covers; and those beyond the limit or within the pause.

    Args:
        aged: :data:`.tables.INVOICES`.
    """
    if not rules.reminders_after:
        return REMINDERS.empty()
    due = (
        aged.filter(pl.col("opportunity_id").is_not_null())
        .with_columns(after=reached(pl.col("days_past_due"), rules.reminders_after))
        .filter(pl.col("after").is_not_null())
    )
    zone, as_of = parameters.time_zone, pl.lit(parameters.as_of)
    sent = (
        sent_reminders(inputs, parameters)
        .group_by("invoice_id")
        .agg(
            pl.col("number").max().alias("sent"),
            pl.col("sent_at").max().dt.convert_time_zone(zone).dt.date().alias("reminded_on"),
        )
    )
    mail = inputs.mail.unique("invoice_id", keep="first", maintain_order=True).select(
        "invoice_id", "email", pl.col("delivered_at").dt.convert_time_zone(zone).dt.date().alias("delivered_on")
    )
    # Money that is here and not applied yet: the customer has paid, as far as the customer knows.
    credits = inputs.unapplied.group_by("customer_id", "currency").agg(pl.col("amount").sum().alias("credit"))
    credits = credits.with_columns(pl.col("currency").fill_null(parameters.home_currency))
    rows = (
        due.join(sent, on="invoice_id", how="left")
        .join(mail, on="invoice_id", how="left")
        .join(credits.group_by("customer_id", "currency").agg(pl.col("credit").sum()), on=["customer_id", "currency"], how="left")
        .with_columns(
            pl.col("sent").fill_null(0),
            email=pl.when(pl.col("email").str.strip_chars() != "").then(pl.col("email").str.strip_chars()),
            mailed_on=pl.max_horizontal("reminded_on", "delivered_on"),
            asked_on=pl.col("due_date") + pl.duration(days=pl.col("after")),
        )
        # A reminder that went out since the newest of these days was reached has answered it.
        .filter((pl.col("sent") == 0) | (pl.col("reminded_on") < pl.col("asked_on")).fill_null(False))
        .with_columns(number=pl.col("sent") + 1, quiet_days=(as_of - pl.col("mailed_on")).dt.total_days())
        .with_columns(held=_held(rules))
    )
    sends = pl.col("held").is_null()
    why = pl.concat_str(
        pl.lit("Invoice "),
        "doc_number",
        pl.lit(" is "),
        pl.col("days_past_due").cast(pl.String),
        pl.lit(" days past due: reminder "),
        pl.col("number").cast(pl.String),
        pl.lit(f" of at most {rules.reminder_limit}, to "),
        pl.col("email").fill_null(""),
        pl.lit("."),
    )
    key = pl.concat_str(
        pl.lit(f"send_reminder:{parameters.realm_id}:"), "invoice_id", pl.lit(":"), pl.col("number").cast(pl.String)
    )
    return (
        rows.with_columns(
            action=pl.when(sends).then(pl.lit("send")).otherwise(pl.lit("hold")),
            why=pl.when(sends).then(why).otherwise("held"),
            write_key=pl.when(sends).then(key),
        )
        .sort("invoice_id")
        .select(*REMINDERS.polars_schema)
        .cast(REMINDERS.polars_schema)
    )


def _held(rules: AgingRules) -> pl.Expr:
    """Why a reminder is not sent, as a sentence; null where it is."""
    pause = rules.reminder_pause_days
    times = pl.when(pl.col("sent") == 1).then(pl.lit("1 reminder")).otherwise(pl.col("sent").cast(pl.String) + " reminders")
    return (
        pl.when("disputed")
        .then(pl.lit("The customer disputes the invoice."))
        .when(~pl.col("explained") | (pl.col("balance") <= 0).fill_null(False))
        .then(pl.lit("What is open by its payments and credits is not what QuickBooks says is open."))
        .when((pl.col("credit") >= pl.col("open")).fill_null(False))
        .then(pl.lit("The customer has payments or credits that are not applied yet and cover it."))
        .when(pl.col("email").is_null())
        .then(pl.lit("The invoice has no e-mail address."))
        .when(~pl.col("emailed"))
        .then(pl.lit("QuickBooks never mailed the invoice, so there is nothing to remind of."))
        .when(pl.col("sent") >= rules.reminder_limit)
        .then(times + pl.lit(f" went out, and the rules allow {rules.reminder_limit}."))
        .when((pl.col("quiet_days") < pause).fill_null(False))
        .then(
            pl.lit("It was mailed on ")
            + pl.col("mailed_on").dt.strftime("%d %b %Y")
            + pl.lit(f"; {pause} days lie between mails.")
        )
    )
