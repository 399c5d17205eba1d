"""What a tool that only scores pairs would link, at every threshold that it could be given. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import polars as pl

#: Positions in both lists, and how sure the tool is of the pair.
SCORED = pl.Schema({"account": pl.Int64, "customer": pl.Int64, "score": pl.Float64})

EVERY_PAIR = "every pair"
BEST = "each other's best"
NO_RIVAL = "no rival on either side"


def thresholds(scored: pl.DataFrame, account_company: Sequence[int], customer_company: Sequence[int]) -> pl.DataFrame:
    """One row for each threshold and each of three rules: every pair that reaches it; pairs that are each other's only best; and
    pairs that reach it while nothing else of either side does.

    Args:
        scored: columns of :data:`SCORED`, any order.
        account_company, customer_company: the company of each position.

    Returns:
        Columns rule, score (the threshold), links, right, accounts (with a right link), precision, recall (of the accounts whose
        company has a customer), pair_recall (of all pairs of one company). Rows without a link are left out.
    """
    customers = Counter(customer_company)
    matchable = sum(customers[company] > 0 for company in account_company)
    all_pairs = sum(customers[company] for company in account_company)
    pairs = (
        scored.unique(["account", "customer"])
        .join(_companies("account", account_company), on="account")
        .join(_companies("customer", customer_company), on="customer")
        .select("account", "customer", "score", (pl.col("account_company") == pl.col("customer_company")).alias("right"))
    )
    pairs = pairs.with_columns(pl.max_horizontal(_rival("account"), _rival("customer")).alias("rival"))
    best = pairs.filter(pl.col("score") > pl.col("rival"))
    first_right = pairs.filter("right").group_by("account").agg(pl.col("score").max())
    steps = pl.concat(
        [
            _steps(EVERY_PAIR, pairs, first_right),
            _steps(BEST, best, best.filter("right")),
            _steps(NO_RIVAL, best, best.filter("right")),
            # From the rival's score down, there are two.
            _steps(NO_RIVAL, best.with_columns(score="rival"), best.filter("right").with_columns(score="rival"), down=True),
        ]
    )
    counts = pl.col("links", "right", "accounts")
    return (
        steps.group_by("rule", "score")
        .agg(counts.sum())
        .sort("rule", "score", descending=[False, True])
        .with_columns(counts.cum_sum().over("rule"))
        .filter(pl.col("links") > 0)
        .with_columns(
            (pl.col("right") / pl.col("links")).alias("precision"),
            (pl.col("accounts") / matchable).alias("recall"),
            (pl.col("right") / all_pairs).alias("pair_recall"),
        )
    )


def _companies(side: str, companies: Sequence[int]) -> pl.DataFrame:
    return pl.DataFrame(
        {side: range(len(companies)), f"{side}_company": companies}, schema={side: pl.Int64, f"{side}_company": pl.Int64}
    )


def _rival(side: str) -> pl.Expr:
    """The best score that the record of one side has with anybody else; minus infinity where there is nobody."""
    score = pl.col("score")
    best = score.max().over(side)
    second = pl.when(score.len().over(side) > 1).then(score.top_k(2).min().over(side)).otherwise(float("-inf"))
    return pl.when(score == best).then(second).otherwise(best)


def _steps(rule: str, links: pl.DataFrame, accounts: pl.DataFrame, *, down: bool = False) -> pl.DataFrame:
    sign = -1 if down else 1
    zero = pl.lit(0, pl.Int64)
    return pl.concat(
        [
            links.select(
                pl.lit(rule).alias("rule"),
                "score",
                pl.lit(sign, pl.Int64).alias("links"),
                (pl.col("right").cast(pl.Int64) * sign).alias("right"),
                zero.alias("accounts"),
            ),
            accounts.select(
                pl.lit(rule).alias("rule"),
                "score",
                zero.alias("links"),
                zero.alias("right"),
                pl.lit(sign, pl.Int64).alias("accounts"),
            ),
        ]
    )
