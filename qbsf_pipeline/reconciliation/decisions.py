"""What earlier reports and people add to the cases of a month: since when a difference is seen, and who accepted it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from zoneinfo import ZoneInfo

import polars as pl

from qbsf_pipeline.reconciliation.classes import NO_DIFFERENCE
from qbsf_pipeline.reconciliation.report import DECISIONS, REPORT_CASES
from qbsf_pipeline.state.month_end_differences import Acceptance, DifferenceKey

_KEY = ("currency", "case_key")
_KEYS = pl.Schema({name: REPORT_CASES[name] for name in _KEY})


def differences_of(cases: pl.DataFrame) -> pl.DataFrame:
    """The cases in which won and invoiced do not agree.

    Args:
        cases: columns of :data:`.tables.CASES` or of :data:`.report.REPORT_CASES`.
    """
    return cases.filter(~pl.col("class").is_in(NO_DIFFERENCE))


def unexplained_of(cases: pl.DataFrame) -> pl.DataFrame:
    """The cases that have no cause and that nobody accepted.

    Args:
        cases: columns of :data:`.report.REPORT_CASES`.
    """
    return cases.filter(~pl.col("explained") & pl.col("accepted_by").is_null())


def keys_of(cases: pl.DataFrame) -> set[DifferenceKey]:
    """What is remembered of the differences among ``cases``: currency and case."""
    return set(differences_of(cases).select(_KEY).iter_rows())


def with_decisions(
    cases: pl.DataFrame,
    first_seen: Mapping[DifferenceKey, date],
    month_before: Collection[DifferenceKey],
    accepted: Iterable[Acceptance],
    zone: ZoneInfo,
) -> pl.DataFrame:
    """The cases of a month as its report shows them: columns of :data:`.report.REPORT_CASES`, in the order of ``cases``.

    An acceptance holds as long as class and amounts of its case stay what they were.

    Args:
        cases: columns of :data:`.tables.CASES`, of one month.
        first_seen: day of the first report that had a difference.
        month_before: the differences of the report of the month before.
        accepted: acceptances of the month; of several of a case the last one counts.
        zone: the company's, for the day of an acceptance.
    """
    bare = cases.drop([name for name in DECISIONS if name in cases.columns])
    seen = pl.DataFrame(
        [(*key, day) for key, day in first_seen.items()],
        schema={**_KEYS, "first_seen_on": DECISIONS["first_seen_on"]},
        orient="row",
    )
    earlier = pl.DataFrame(list(month_before), schema=_KEYS, orient="row").with_columns(pl.lit(True).alias("seen_last_month"))
    newest = {(one.currency, one.case_key): one for one in accepted}
    standing = pl.DataFrame(
        [
            (one.currency, one.case_key, one.amounts, one.accepted_by, one.reason, one.accepted_at.astimezone(zone).date())
            for one in newest.values()
        ],
        schema={
            **_KEYS,
            "amounts": REPORT_CASES["amounts"],
            **{name: DECISIONS[name] for name in ("accepted_by", "accepted_reason", "accepted_on")},
        },
        orient="row",
    )
    differs = ~pl.col("class").is_in(NO_DIFFERENCE)
    return (
        bare.join(seen, on=_KEY, how="left", maintain_order="left")
        .join(earlier, on=_KEY, how="left", maintain_order="left")
        .join(standing, on=[*_KEY, "amounts"], how="left", maintain_order="left")
        .with_columns(
            pl.when(differs).then(pl.col("first_seen_on")),
            (differs & pl.col("seen_last_month").fill_null(False)).alias("seen_last_month"),
        )
        .select(list(REPORT_CASES))
    )


def to_accept(cases: pl.DataFrame, case_key: str) -> tuple[pl.DataFrame, str | None]:
    """The rows of a case that a person wants to accept, and why that cannot be: ``None`` where it can.

    Args:
        cases: columns of :data:`.report.REPORT_CASES`.
        case_key: as the report shows it; the bare id of a deal, of 15 or 18 characters, is taken too.
    """
    wanted = case_key.strip()
    keys = cases.get_column("case_key")
    found = cases.filter(keys.is_in([wanted, f"deal:{wanted}"]))
    if found.is_empty() and len(wanted.removeprefix("deal:")) == 15:
        found = cases.filter(keys.str.starts_with(f"deal:{wanted.removeprefix('deal:')}"))
    if found.get_column("case_key").n_unique() != 1:
        return found.clear(), f"no case {wanted!r} in this month; qbsf reconcile show lists the differences with their case"
    open_ones = differences_of(found)
    if open_ones.is_empty():
        return found, f"case {found.get_column('case_key').item(0)} agrees: there is no difference to accept"
    return open_ones, None


def most_urgent(cases: pl.DataFrame, most: int | None = None) -> pl.DataFrame:
    """The differences in the order in which they should be looked at: without a cause first, then what somebody has to act on,
    then by size; what was accepted comes last.

    Args:
        cases: columns of :data:`.report.REPORT_CASES`.
    """
    ordered = differences_of(cases).sort(
        pl.col("accepted_by").is_not_null(),
        pl.col("explained"),
        pl.col("acts") == "nobody",
        -pl.col("difference").abs(),
        "currency",
        "case_key",
        nulls_last=True,
    )
    return ordered if most is None else ordered.head(most)


def names_of(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """What people call cases: the deal's name, else the invoice's number, else the case."""
    return [str(row["deal"] or row["numbers"] or row["case_key"]) for row in rows]
