"""How old what is open is: per invoice, per deal, and in total. Pure; whole frames at once."""

from __future__ import annotations

import polars as pl

from qbsf_pipeline.aging.buckets import bucket, bucket_positions, days_after
from qbsf_pipeline.aging.inputs import AgingInputs, AgingParameters
from qbsf_pipeline.aging.tables import CREDITS, DEALS, INVOICES, RECEIVABLES, TOTALS
from qbsf_pipeline.settings import AgingRules
from qbsf_pipeline.warehouse.tables import AMOUNT

#: Payment statuses of documents that are no claim any more, whatever their amounts say.
_NO_CLAIM = ("Voided", "Deleted")


def is_open() -> pl.Expr:
    """Whether something of an invoice (:data:`.tables.RECEIVABLES`) is still owed."""
    return (pl.col("open") > 0).fill_null(False) & ~pl.col("status").is_in(_NO_CLAIM).fill_null(False)


def is_claim() -> pl.Expr:
    """Whether an invoice is a claim still, settled or not."""
    return ~pl.col("status").is_in(_NO_CLAIM).fill_null(False)


def shown_number() -> pl.Expr:
    """The number of an invoice as people see it; its id where it has none."""
    return pl.coalesce(filled("doc_number"), "invoice_id").alias("doc_number")


def filled(name: str) -> pl.Expr:
    """A text without white space at its ends; null where it is empty."""
    text = pl.col(name).str.strip_chars()
    return pl.when(text != "").then(text)


def live(records: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """Columns of the records that are not deleted, each id once."""
    kept = records.filter(~pl.col("is_deleted").fill_null(False)).select("id", *columns)
    return kept.unique("id", keep="first", maintain_order=True)


def open_invoices(inputs: AgingInputs, rules: AgingRules, parameters: AgingParameters) -> pl.DataFrame:
    """Every open invoice with its age, its customer and its deal: :data:`.tables.INVOICES`, the oldest first."""
    as_of = parameters.as_of
    due = pl.coalesce("due_date", "txn_date", pl.lit(as_of))
    issued = pl.coalesce("txn_date", "due_date", pl.lit(as_of))
    counted_from = due if rules.days_from == "due_date" else issued
    invoices = (
        inputs.invoices.select(*RECEIVABLES)
        .filter(is_open())
        .unique("invoice_id", keep="first", maintain_order=True)
        .with_columns(
            shown_number(),
            pl.col("currency").fill_null(parameters.home_currency),
            pl.col("emailed", "disputed").fill_null(False),
            pl.col("explained").fill_null(True),
            pl.col("due_date_imputed").fill_null(False) | pl.col("due_date").is_null(),
            due_date=due,
            days_past_due=days_after(due, as_of),
            days=days_after(counted_from, as_of),
            as_of=pl.lit(as_of),
        )
        .with_columns(bucket=bucket(pl.col("days"), rules.buckets))
    )
    return (
        invoices.join(_deals(inputs), on="opportunity_id", how="left")
        .join(_customers(inputs), on="customer_id", how="left")
        .join(_addresses(inputs.mail), on="invoice_id", how="left")
        .with_columns(
            pl.col("owner_state").fill_null("none"),
            contact=pl.concat_str(
                "person", pl.coalesce("email", "customer_email"), "phone", separator=", ", ignore_nulls=True
            ).replace("", None),
        )
        .sort("days_past_due", "due_date", "invoice_id", descending=[True, False, False])
        .select(*INVOICES.polars_schema)
        .cast(INVOICES.polars_schema)
    )


def _deals(inputs: AgingInputs) -> pl.DataFrame:
    owners = live(inputs.user, "name", "email", "is_active").select(
        pl.col("id").alias("owner_id"),
        pl.coalesce(filled("name"), filled("email"), "id").alias("owner_name"),
        pl.col("is_active").fill_null(True).alias("owner_active"),
        filled("email").alias("owner_address"),
    )
    accounts = live(inputs.account, "name").rename({"id": "account_id", "name": "account_name"})
    deals = live(inputs.opportunity, "name", "account_id", "owner_id").with_columns(deal=pl.coalesce(filled("name"), "id"))
    return (
        deals.rename({"id": "opportunity_id"})
        .join(owners, on="owner_id", how="left")
        .join(accounts, on="account_id", how="left")
        .select(
            "opportunity_id",
            "deal",
            "account_id",
            "account_name",
            "owner_name",
            owner_email=pl.when("owner_active").then("owner_address"),
            # A user whom Salesforce does not show any more can be asked no more than one who left.
            owner_state=pl.when(pl.col("owner_id").is_null())
            .then(pl.lit("none"))
            .when(pl.col("owner_active").fill_null(False))
            .then(pl.lit("active"))
            .otherwise(pl.lit("left")),
        )
    )


def _customers(inputs: AgingInputs) -> pl.DataFrame:
    person = pl.concat_str(filled("given_name"), filled("family_name"), separator=" ", ignore_nulls=True).replace("", None)
    return inputs.customer.unique("id", keep="first", maintain_order=True).select(
        pl.col("id").alias("customer_id"),
        pl.col("display_name").alias("customer_name"),
        person.alias("person"),
        filled("email").alias("customer_email"),
        filled("phone").alias("phone"),
    )


def _addresses(mail: pl.DataFrame) -> pl.DataFrame:
    return mail.unique("invoice_id", keep="first", maintain_order=True).select("invoice_id", filled("email").alias("email"))


def deals_of(aged: pl.DataFrame, inputs: AgingInputs, rules: AgingRules, parameters: AgingParameters) -> pl.DataFrame:
    """What each deal shall show: :data:`.tables.DEALS`, in the order of their ids.

    A deal has the age of its oldest open invoice. One that has none, and still shows an age, shall show none.

    Args:
        aged: :func:`open_invoices`.
    """
    known = live(inputs.opportunity, "name", "account_id", "owner_id", "days_outstanding", "aging_bucket", "invoice_id").select(
        pl.col("id").alias("opportunity_id"),
        pl.coalesce(filled("name"), "id").alias("deal"),
        "account_id",
        "owner_id",
        pl.col("days_outstanding").alias("stored_days"),
        filled("aging_bucket").alias("stored_bucket"),
        filled("invoice_id").alias("written_invoice_id"),
    )
    oldest = aged.filter(pl.col("opportunity_id").is_not_null()).sort(
        "days", "due_date", "invoice_id", descending=[True, False, False]
    )
    open_deals = (
        oldest.group_by("opportunity_id", maintain_order=True)
        .agg(
            pl.col("days", "bucket", "invoice_id", "doc_number", "due_date", "txn_date").first(),
            pl.len().cast(pl.Int64).alias("open_invoices"),
            pl.col("open").sum(),
            pl.col("currency").min(),
            pl.col("currency").max().alias("other_currency"),
        )
        .with_columns(pl.when(pl.col("currency") == pl.col("other_currency")).then(pl.col("open", "currency")))
    )
    billed = inputs.invoices.select("opportunity_id").unique()
    shows = pl.col("stored_days").is_not_null() | pl.col("stored_bucket").is_not_null()
    written_before = pl.col("opportunity_id").is_in(_written_before(inputs.ledger).implode())
    rest = known.join(open_deals, on="opportunity_id", how="anti")
    no_longer = rest.filter(
        shows
        & (
            pl.col("opportunity_id").is_in(billed.get_column("opportunity_id").drop_nulls().implode())
            | pl.col("written_invoice_id").is_not_null()
            | written_before
        )
    )
    concerned = known.join(open_deals, on="opportunity_id", how="inner")
    if parameters.writes:
        concerned = pl.concat([concerned, no_longer], how="diagonal")
    differs = pl.col("stored_days").ne_missing(pl.col("days")) | pl.col("stored_bucket").ne_missing(pl.col("bucket"))
    return (
        concerned.with_columns(
            days_outstanding=pl.col("days"),
            aging_bucket=pl.col("bucket"),
            open_invoices=pl.col("open_invoices").fill_null(0),
            differs=differs if parameters.writes else pl.lit(None, dtype=pl.Boolean),
            reason=_reason(rules),
        )
        .sort("opportunity_id")
        .select(*DEALS.polars_schema)
        .cast(DEALS.polars_schema)
    )


def _reason(rules: AgingRules) -> pl.Expr:
    number = pl.lit("Invoice ") + pl.col("doc_number")
    days = pl.when(pl.col("days") == 1).then(pl.lit("1 day")).otherwise(pl.col("days").cast(pl.String) + " days")
    if rules.days_from == "due_date":
        due = pl.col("due_date").dt.strftime("%d %b %Y")
        counted = (
            pl.when(pl.col("days") > 0)
            .then(number + pl.lit(" was due on ") + due + pl.lit(", ") + days + pl.lit(" ago."))
            .otherwise(number + pl.lit(" is due on ") + due + pl.lit("."))
        )
    else:
        issued = pl.coalesce("txn_date", "due_date").dt.strftime("%d %b %Y")
        counted = number + pl.lit(" is of ") + issued + pl.lit(", ") + days + pl.lit(" old.")
    more = (
        pl.when(pl.col("open_invoices") > 1)
        .then(pl.lit(" It is the oldest of ") + pl.col("open_invoices").cast(pl.String) + pl.lit(" that are open."))
        .otherwise(pl.lit(""))
    )
    return pl.when(pl.col("doc_number").is_null()).then(pl.lit("No invoice of the deal is open.")).otherwise(counted + more)


def _written_before(ledger: pl.DataFrame) -> pl.Series:
    keys = ledger.filter((pl.col("status") == "done") & pl.col("key").str.starts_with("update_aging:")).get_column("key")
    return keys.str.split(":").list.get(2, null_on_oob=True).drop_nulls().unique()


def totals_of(aged: pl.DataFrame, inputs: AgingInputs, rules: AgingRules, parameters: AgingParameters) -> pl.DataFrame:
    """What is open by currency and bucket: :data:`.tables.TOTALS`. The buckets of a currency are all there, and their sum is all
    that is open in it. Payments and credits that are not applied stand beside it, below 0, by the age of their own date.

    Args:
        aged: :func:`open_invoices`.
    """
    owed = aged.group_by("currency", "bucket").agg(pl.len().cast(pl.Int64).alias("invoices"), pl.col("open").sum())
    credits = (
        inputs.unapplied.select(*CREDITS)
        .filter(pl.col("amount") > 0)
        .select(
            pl.col("currency").fill_null(parameters.home_currency),
            bucket(days_after(pl.coalesce("txn_date", pl.lit(parameters.as_of)), parameters.as_of), rules.buckets).alias(
                "bucket"
            ),
            pl.col("amount").alias("credits"),
        )
        .group_by("currency", "bucket")
        .agg(-pl.col("credits").sum())
    )
    currencies = pl.concat([owed.select("currency"), credits.select("currency")]).unique()
    zero = pl.lit("0").cast(AMOUNT)
    return (
        currencies.join(bucket_positions(rules.buckets), how="cross")
        .join(owed, on=["currency", "bucket"], how="left")
        .join(credits, on=["currency", "bucket"], how="left")
        .with_columns(
            pl.col("invoices").fill_null(0),
            pl.col("open").fill_null(zero),
            pl.col("credits").fill_null(zero),
            as_of=pl.lit(parameters.as_of),
        )
        .sort("currency", "position")
        .select(*TOTALS.polars_schema)
        .cast(TOTALS.polars_schema)
    )
