"""What rules would do to everything that is there: which links would appear, vanish or change. Pure: frames in, a frame out."""

from __future__ import annotations

import polars as pl

from qbsf_pipeline.warehouse.tables import AMOUNT

REPLAYED = pl.Schema(
    [
        ("account_id", pl.String()),
        ("account_name", pl.String()),
        ("change", pl.String()),
        ("customer_before", pl.String()),
        ("customer_before_name", pl.String()),
        ("customer_after", pl.String()),
        ("customer_after_name", pl.String()),
        ("method", pl.String()),
        ("reason", pl.String()),
        ("score", AMOUNT),
    ]
)


def compare_matches(before: pl.DataFrame, after: pl.DataFrame, customers: pl.DataFrame) -> pl.DataFrame:
    """The links in which two matchings of the same records differ.

    Args:
        before: columns of ``plan.MATCHES``: what is in force.
        after: the same: what the rules that are tried would make.
        customers: id, display_name.

    Returns:
        Columns of :data:`REPLAYED`. ``change`` is ``appears`` (a link that is not there now), ``vanishes`` (a link that the
        rules would not make) or ``changes`` (to another customer); method, reason and score are those of ``after``. In this
        order, within it by name of the account.
    """
    names = customers.select(pl.col("id").alias("customer_id"), "display_name").unique("customer_id", keep="first")
    linked = pl.when(pl.col("outcome") == "linked").then(pl.col("customer_id"))
    old = before.select("account_id", "account_name", linked.alias("customer_before"))
    new = after.select("account_id", linked.alias("customer_after"), "method", "reason", "score")
    both = old.join(new, on="account_id", how="inner").filter(pl.col("customer_before").ne_missing(pl.col("customer_after")))
    change = (
        pl.when(pl.col("customer_before").is_null())
        .then(pl.lit("appears"))
        .when(pl.col("customer_after").is_null())
        .then(pl.lit("vanishes"))
        .otherwise(pl.lit("changes"))
    )
    told = (
        both.with_columns(change.alias("change"))
        .join(
            names.rename({"customer_id": "customer_before", "display_name": "customer_before_name"}),
            on="customer_before",
            how="left",
        )
        .join(
            names.rename({"customer_id": "customer_after", "display_name": "customer_after_name"}),
            on="customer_after",
            how="left",
        )
        .with_columns(pl.col("change").replace_strict({"changes": 0, "vanishes": 1, "appears": 2}).alias("order"))
        .sort("order", "account_name", "account_id", nulls_last=True)
    )
    return told.select(list(REPLAYED)).cast(REPLAYED)
