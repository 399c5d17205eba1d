"""The sweep of the benchmark against counting by hand."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline_tests.matching.thresholds import BEST, EVERY_PAIR, NO_RIVAL, SCORED, thresholds

_SIDE = 5
_Pair = tuple[int, int]


@given(
    st.dictionaries(st.tuples(st.integers(0, _SIDE - 1), st.integers(0, _SIDE - 1)), st.integers(1, 4), max_size=14),
    st.lists(st.integers(0, 3), min_size=_SIDE, max_size=_SIDE),
    st.lists(st.integers(0, 3), min_size=_SIDE, max_size=_SIDE),
)
def test_every_threshold_is_counted_as_by_hand(scores: dict[_Pair, int], ours: list[int], theirs: list[int]):
    scored = pl.DataFrame([(*pair, float(score)) for pair, score in scores.items()], schema=SCORED, orient="row")
    found = {(row["rule"], row["score"]): row for row in thresholds(scored, ours, theirs).to_dicts()}
    for rule in (EVERY_PAIR, BEST, NO_RIVAL):
        for threshold in (1, 2, 3, 4):
            linked = _linked(scores, rule, threshold)
            row = found.get((rule, float(threshold)))
            if row is None:
                # No row: no link, or as at the threshold above.
                above = [found[rule, float(higher)] for higher in range(threshold + 1, 5) if (rule, float(higher)) in found]
                assert len(linked) == (above[0]["links"] if above and linked else 0)
                continue
            right = [(one, other) for one, other in linked if ours[one] == theirs[other]]
            assert (row["links"], row["right"]) == (len(linked), len(right))
            assert row["accounts"] == len({one for one, _ in right})


def _linked(scores: dict[_Pair, int], rule: str, threshold: int) -> list[_Pair]:
    def rivals(pair: _Pair) -> list[int]:
        return [score for other, score in scores.items() if other != pair and (other[0] == pair[0] or other[1] == pair[1])]

    return [
        pair
        for pair, score in scores.items()
        if score >= threshold
        and (rule != BEST or all(score > other for other in rivals(pair)))
        and (rule != NO_RIVAL or all(other < threshold for other in rivals(pair)))
    ]
