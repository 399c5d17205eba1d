"""Days and bucket of deals as writes to Salesforce, and what Salesforce does not keep. Pure; whole frames at once.

The key of a write names the version of the record that it was decided from, what stood there, and what is written:
``update_aging:{org}:{deal}:{version}:{days}/{bucket}>{days}/{bucket}``. So the same age can be written again after another edit,
and the keys of a deal, read in order, tell whether its writes were kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import polars as pl

from qbsf_pipeline.aging.ages import live
from qbsf_pipeline.aging.inputs import AgingInputs, AgingParameters
from qbsf_pipeline.aging.tables import FLOW, PLAN
from qbsf_pipeline.settings import Rules, bucket_names

#: So many writes in a row that were not kept are no accident.
_NOT_KEPT = 3


def plan_updates(
    deals: pl.DataFrame, inputs: AgingInputs, rules: Rules, parameters: AgingParameters
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A write for each deal whose age in Salesforce is another one, and the deals whose writes Salesforce does not keep.

    Args:
        deals: :data:`.tables.DEALS`, those that may be written.

    Returns:
        Rows of :data:`.tables.PLAN`, and the rows of ``deals`` whose last writes were all lost. The latter are still written, but
        each age only once.
    """
    keyed = _keyed(deals.filter("differs"), inputs, rules, parameters)
    done = inputs.ledger.filter((pl.col("status") == "done") & pl.col("key").str.starts_with("update_aging:"))
    kept = _kept(done, keyed)
    lost = kept.filter("lost")
    wanted = keyed.join(done.select("key"), on="key", how="anti").join(
        kept.filter(pl.col("lost") & pl.col("tried")), on="opportunity_id", how="anti"
    )
    return _writes(wanted, inputs, rules), deals.join(lost, on="opportunity_id", how="semi")


def _keyed(deals: pl.DataFrame, inputs: AgingInputs, rules: Rules, parameters: AgingParameters) -> pl.DataFrame:
    names = bucket_names(rules.aging.buckets)
    # Another text may hold anything, colons too.
    stored = pl.when(pl.col("stored_bucket").is_in(names) | pl.col("stored_bucket").is_null()).then("stored_bucket")
    other = pl.col("stored_bucket").is_not_null() & ~pl.col("stored_bucket").is_in(names)
    versions = live(inputs.opportunity, "source_modified_at").select(
        pl.col("id").alias("opportunity_id"),
        pl.col("source_modified_at").dt.strftime("%Y%m%dT%H%M%S%6fZ").fill_null("unknown").alias("version"),
    )
    return (
        deals.join(versions, on="opportunity_id", how="left")
        .with_columns(
            before=_value("stored_days", pl.when(other).then(pl.lit("other")).otherwise(stored)),
            after=_value("days_outstanding", pl.col("aging_bucket")),
        )
        .with_columns(
            key=pl.concat_str(
                pl.lit(f"update_aging:{parameters.organization_id}:"),
                "opportunity_id",
                pl.lit(":"),
                "version",
                pl.lit(":"),
                "before",
                pl.lit(">"),
                "after",
            )
        )
    )


def _value(days: str, bucket: pl.Expr) -> pl.Expr:
    return pl.concat_str(pl.col(days).cast(pl.String).fill_null("none"), pl.lit("/"), bucket.fill_null("none"))


def _kept(done: pl.DataFrame, keyed: pl.DataFrame) -> pl.DataFrame:
    """Per deal: ``lost``, none of its last writes stood when the next one was decided; ``tried``, this age was among them."""
    parts = (
        done.get_column("key").str.split_exact(":", 4).struct.rename_fields(["_", "_org", "opportunity_id", "version", "change"])
    )
    change = pl.col("change").str.split_exact(">", 1)
    steps = (
        pl.DataFrame({"parts": parts, "done_at": done.get_column("done_at")})
        .unnest("parts")
        .select(
            "opportunity_id",
            "version",
            change.struct.field("field_0").alias("before"),
            change.struct.field("field_1").alias("after"),
            "done_at",
        )
        .join(
            keyed.select("opportunity_id", now=pl.col("version"), stands="before", wanted="after"),
            on="opportunity_id",
            how="inner",
        )
        .sort("opportunity_id", "version", "done_at")
    )
    # Rows of a deal stand together, so that neighbours tell the order; windows over so many deals take long.
    same_deal = pl.col("opportunity_id") == pl.col("opportunity_id").shift(-1)
    next_version = pl.when(same_deal).then(pl.col("version").shift(-1)).otherwise("now")
    next_before = pl.when(same_deal).then(pl.col("before").shift(-1)).otherwise("stands")
    among_the_last = pl.col("opportunity_id").ne_missing(pl.col("opportunity_id").shift(-_NOT_KEPT))
    return (
        steps.with_columns(
            # Two writes from one version of the record tell nothing about the first of them.
            was_lost=(next_version != pl.col("version")) & (next_before != pl.col("after")),
            same=pl.col("after") == pl.col("wanted"),
            among_the_last=among_the_last,
        )
        .filter("among_the_last")
        .group_by("opportunity_id")
        .agg(lost=pl.col("was_lost").sum() == _NOT_KEPT, tried=pl.col("same").any())
    )


def _writes(wanted: pl.DataFrame, inputs: AgingInputs, rules: Rules) -> pl.DataFrame:
    fields = rules.salesforce.opportunity
    payload = pl.struct(
        pl.col("opportunity_id").alias("Id"),
        pl.col("days_outstanding").alias(fields.days_outstanding),
        pl.col("aging_bucket").alias(fields.aging_bucket),
    ).struct.json_encode()
    rows = wanted.with_columns(payload=payload).with_columns(content=pl.col("key") + pl.lit("\n") + pl.col("payload"))
    hashes = _hashes(rows.get_column("content"))
    return rows.select(
        pl.concat_str(pl.lit("P-"), hashes.str.slice(0, 10)).alias("plan_id"),
        pl.lit(1, dtype=pl.Int64).alias("position"),
        pl.lit(FLOW).alias("flow"),
        pl.lit("update_opportunity").alias("operation"),
        pl.lit("salesforce").alias("target_system"),
        pl.lit("Opportunity").alias("target_object"),
        "key",
        pl.lit("").alias("depends_on"),
        pl.lit("Opportunity").alias("source_object"),
        pl.col("opportunity_id").alias("source_id"),
        "account_id",
        "opportunity_id",
        "payload",
        "reason",
        hashes.alias("decided_from"),
        pl.col("deal").alias("label"),
        *(pl.lit(None, dtype=column.dtype).alias(column.name) for column in PLAN.columns[-5:]),
    )


def _hashes(texts: Iterable[str]) -> pl.Series:
    return pl.Series([hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest() for text in texts], dtype=pl.String)
