"""The readiness score: what it is made of, so that it can be done by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.cleansing.findings import HIGHEST_COST, KINDS, Finding, Severity
from qbsf_pipeline.cleansing.records import Records
from qbsf_pipeline.cleansing.score import record_weights, scores
from qbsf_pipeline.settings import load_rules
from qbsf_pipeline_tests.cleansing.audited import another_account, inputs
from qbsf_pipeline_tests.invoices.records import TODAY, World, account, record_id

#: One account in use (4), one at rest (1), a product in use (4), an owner (1): 10 in Salesforce.
TWO = World(accounts=[account(), another_account()])
RECORDS = Records(inputs(TWO), load_rules(), TODAY)


def finding(code: str, number: int, severity: Severity | None = None) -> Finding:
    kind = KINDS[code]
    return Finding(kind, severity or kind.severity, "salesforce", "Account", record_id("001", number), "x", "y.")


def test_records_in_use_weigh_four_times_the_others() -> None:
    weights = record_weights(RECORDS)
    mine = {key[1:]: weight for key, weight in weights.items() if key[0] == "salesforce"}
    assert mine == {
        ("Account", record_id("001", 1)): 4,
        ("Account", record_id("001", 2)): 1,
        ("Product2", record_id("01t")): 4,
        ("User", record_id("005")): 1,
    }


@pytest.mark.parametrize(
    ("found", "value", "without_error"),
    [
        ([], "100.0", 4),
        ([finding("billing_address_missing", 1)], "60.0", 3),
        ([finding("billing_address_missing", 2)], "90.0", 3),
        ([finding("billing_address_missing", 1, "hint")], "96.0", 4),  # a hint costs a tenth at most
        ([finding("email_malformed", 1), finding("phone_malformed", 1)], "84.0", 4),  # the worst counts, not the sum
        ([finding("duplicate_accounts", 1, "warning")], "84.0", 4),
        ([finding("phone_malformed", 2)], "99.5", 4),
        ([finding("billing_address_missing", number) for number in (1, 2)], "50.0", 2),
    ],
)
def test_each_record_loses_the_cost_of_its_worst_finding(found: list[Finding], value: str, without_error: int) -> None:
    score = scores(RECORDS, found)["salesforce"]
    assert (score.value, score.without_error) == (Decimal(value), without_error)
    assert score.records == 4


def test_a_group_costs_all_its_members() -> None:
    kind = KINDS["duplicate_accounts"]
    both = (record_id("001", 1), record_id("001", 2))
    group = Finding(kind, "error", "salesforce", "Account", both[0], "x", "y.", members=both)
    assert scores(RECORDS, [group])["salesforce"].value == Decimal("60.0")  # 0.8 of 5 in 10


def test_full_marks_are_never_rounded_up_to() -> None:
    many = World(accounts=[account(), *(another_account(2, id=record_id("001", number)) for number in range(2, 400))])
    records = Records(inputs(many), load_rules(), TODAY)
    assert scores(records, [finding("phone_malformed", 2)])["salesforce"].value == Decimal("99.9")


@given(st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.integers(1, 2), st.sampled_from(sorted(HIGHEST_COST)))))
def test_a_score_stays_within_bounds_and_one_more_finding_never_raises_it(drawn: list[tuple[str, int, Severity]]) -> None:
    found = [finding(code, number, severity) for code, number, severity in drawn]
    values = [scores(RECORDS, found[:length])["salesforce"].value for length in range(len(found) + 1)]
    assert values == sorted(values, reverse=True)
    assert all(0 <= value <= 100 for value in values)
