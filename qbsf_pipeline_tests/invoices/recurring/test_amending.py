"""A changed deal: what was billed stays, the rest follows, to the cent, and nothing is proposed twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qbsf_pipeline.invoices.recurring.amending import amend, amended, stop
from qbsf_pipeline.invoices.recurring.building import single_invoice
from qbsf_pipeline.invoices.recurring.due import due_periods
from qbsf_pipeline.invoices.recurring.schedule import BillingSchedule
from qbsf_pipeline_tests.invoices.recurring.deals import (
    RULES,
    TERMS,
    deal_terms,
    rules,
    schedule,
    scheduling,
    sold,
    sold_lines,
)

TODAY = date(2026, 4, 15)
YEAR = schedule()  # 12 x 100.00 from 2026-02-01
THREE = frozenset({0, 1, 2})


def told(proposal):
    return (
        proposal.kind,
        [row.number for row in proposal.stays],
        [row.number for row in proposal.ends],
        [(row.number, str(row.amount)) for row in proposal.begins],
        str(proposal.credit),
    )


def test_an_unchanged_deal_asks_for_nothing():
    proposal = amend(YEAR, THREE, YEAR, TODAY)
    assert proposal.kind == "none"
    assert proposal.schedule == YEAR


def test_other_texts_and_ids_of_the_same_lines_ask_for_nothing():
    line = sold()
    texts = {"line_id": "00k000000000099AAA", "product_name": "Ω", "description": "new", "quantity": Decimal("1.0000000000")}
    renamed = replace(line, line=replace(line.line, **texts))
    assert amend(YEAR, THREE, schedule(renamed), TODAY).kind == "none"


def test_other_days_of_a_line_are_a_change_though_its_amount_stays():
    quarter, year = (sold("90.00", 2, frequency=often, periods=Decimal(1)) for often in ("Quarterly", "Annual"))
    proposal = amend(schedule(sold(), quarter), (), schedule(sold(), year), TODAY)
    assert (proposal.kind, [row.number for row in proposal.begins]) == ("reprice", [0])


def test_more_periods_extend_the_schedule_under_new_numbers():
    wanted = schedule(sold("1400.00"), periods=Decimal(14))
    kind, stays, ends, begins, credit = told(amend(YEAR, THREE, wanted, TODAY))
    assert (kind, stays, ends, begins, credit) == ("extend", list(range(12)), [], [(12, "100.00"), (13, "100.00")], "0.00")
    assert amend(YEAR, THREE, wanted, TODAY, renewal=True).kind == "renew"


def test_fewer_periods_end_the_last_ones():
    proposal = amend(YEAR, THREE, schedule(sold("1000.00"), periods=Decimal(10)), TODAY)
    assert told(proposal) == ("shorten", list(range(10)), [10, 11], [], "0.00")
    assert proposal.schedule.next_number == 12
    assert "2 periods from 2026-12-01 to 2027-01-01 over 200.00 USD end" in proposal.sentence


def test_a_higher_price_is_billed_from_now_on_and_for_what_was_billed_as_one_difference():
    proposal = amend(YEAR, THREE, schedule(sold("1320.00")), TODAY)
    assert proposal.kind == "reprice"
    assert [row.number for row in proposal.stays] == [0, 1, 2]
    assert [(row.number, str(row.amount)) for row in proposal.begins if row.kind == "difference"] == [(12, "30.00")]
    assert {(row.number, str(row.amount)) for row in proposal.begins if row.kind == "period"} == {
        (n, "110.00") for n in range(3, 12)
    }
    assert next(row for row in proposal.begins if row.kind == "difference").due_on == TODAY
    assert proposal.schedule.total == Decimal("1320.00")


def test_a_lower_price_is_a_credit_that_a_person_approves_and_never_an_invoice():
    proposal = amend(YEAR, THREE, schedule(sold("1080.00")), TODAY)
    assert proposal.credit == Decimal("30.00")
    assert "30.00 USD is to be credited" in proposal.sentence
    due = due_periods(proposal.schedule, dict.fromkeys(THREE), TODAY, RULES)
    assert not due.bill
    assert [str(row.amount) for row in due.credits] == ["-30.00"]


def test_a_second_change_replaces_a_difference_that_was_not_billed_and_counts_one_that_was():
    dearer = amend(YEAR, THREE, schedule(sold("1320.00")), TODAY).schedule
    again = amend(dearer, THREE, schedule(sold("1440.00")), TODAY)
    assert [(row.number, str(row.amount)) for row in again.begins if row.kind == "difference"] == [(13, "60.00")]
    assert 12 in [row.number for row in again.ends]
    counted = amend(dearer, THREE | {12}, schedule(sold("1440.00")), TODAY)
    assert [(row.number, str(row.amount)) for row in counted.begins if row.kind == "difference"] == [(13, "30.00")]
    back = amend(dearer, THREE, YEAR, TODAY)
    assert [row for row in back.begins if row.kind == "difference"] == []
    assert back.schedule.total == Decimal("1200.00")


def test_another_frequency_bills_what_is_left_of_the_quarter_that_was_billed_in_part():
    proposal = amend(YEAR, {0}, schedule(frequency="Quarterly", periods=Decimal(4)), TODAY)
    assert proposal.kind == "replace"
    assert [(row.number, row.kind, str(row.amount)) for row in proposal.schedule.periods] == [
        (0, "period", "100.00"),
        (15, "difference", "200.00"),
        (12, "period", "300.00"),
        (13, "period", "300.00"),
        (14, "period", "300.00"),
    ]


def test_a_deal_that_is_billed_once_from_now_on_bills_the_rest_once():
    proposal = amend(YEAR, THREE, single_invoice(TERMS, [sold()], date(2026, 1, 10)), TODAY)
    assert [(row.kind, str(row.amount)) for row in proposal.begins] == [("difference", "900.00")]
    assert proposal.schedule.total == Decimal("1200.00")


def test_another_currency_ends_what_is_left_and_asks_for_a_person():
    proposal = amend(YEAR, THREE, schedule(currency="EUR"), TODAY)
    assert proposal.kind == "cancel"
    assert "The deal was in USD and is in EUR now." in proposal.sentence
    nothing_billed = amend(YEAR, (), schedule(currency="EUR"), TODAY)
    assert nothing_billed.kind == "replace"
    assert nothing_billed.schedule.currency == "EUR"
    assert [row.number for row in nothing_billed.schedule.periods] == list(range(12, 24))
    assert amend(nothing_billed.schedule, (), schedule(currency="EUR"), TODAY).kind == "none"


@pytest.mark.parametrize(
    ("what", "kind", "status"),
    [
        ("lost", "cancel", "cancelled"),
        ("deleted", "cancel", "cancelled"),
        ("reopened", "pause", "paused"),
        ("on_hold", "pause", "paused"),
    ],
)
def test_a_deal_that_is_no_longer_won_stops_and_keeps_what_was_billed(what, kind, status):
    proposal = stop(YEAR, THREE, what, TODAY)
    assert (proposal.kind, proposal.schedule.status) == (kind, status)
    assert {row.number for row in proposal.schedule.periods} >= THREE
    assert not due_periods(proposal.schedule, dict.fromkeys(THREE), date(2027, 12, 1), RULES).bill
    assert stop(proposal.schedule, THREE, what, TODAY).kind == "none"


def test_a_cancellation_says_what_was_billed_ahead_and_leaves_a_credit_waiting():
    cheaper = amend(YEAR, THREE, schedule(sold("1080.00")), TODAY).schedule
    proposal = stop(cheaper, THREE, "lost", TODAY)
    assert [str(row.amount) for row in proposal.stays if row.kind == "difference"] == ["-30.00"]
    assert "100.00 USD was billed for periods that end after 2026-04-15" in proposal.sentence


def test_a_resting_deal_that_is_won_again_goes_on_and_one_that_is_lost_ends():
    resting = stop(YEAR, THREE, "reopened", TODAY).schedule
    resumed = amend(resting, THREE, YEAR, TODAY)
    assert (resumed.kind, resumed.schedule) == ("resume", YEAR)
    assert stop(resting, THREE, "lost", TODAY).kind == "cancel"


def test_a_cancelled_deal_that_is_won_again_gets_numbers_that_were_never_given():
    ended = stop(YEAR, THREE, "lost", TODAY).schedule
    again = amend(ended, THREE, YEAR, TODAY)
    assert {row.number for row in again.begins} == set(range(12, 21))
    assert again.schedule.total == Decimal("1200.00")
    assert again.schedule.status == "active"


def amendment(total, **values):
    return sold(total, 7, charge="recurring", **values)


def test_an_amendment_changes_the_schedule_from_its_start_and_is_never_billed_whole():
    wanted = amended(YEAR, [amendment("90.00", start_date=date(2026, 5, 1))], "USD", None, RULES)
    assert isinstance(wanted, BillingSchedule)
    assert [str(row.amount) for row in wanted.periods] == ["100.00"] * 3 + ["110.00"] * 9
    proposal = amend(YEAR, THREE, wanted, TODAY)
    assert proposal.kind == "reprice"
    assert {row.number for row in proposal.begins} == set(range(3, 12))


def test_an_amendment_inside_a_billed_year_bills_its_part_of_that_year_only():
    year = schedule(sold("2400.00"), frequency="Annual", periods=Decimal(2))
    wanted = amended(year, [amendment("365.00", start_date=date(2026, 8, 2))], "USD", None, RULES)
    assert isinstance(wanted, BillingSchedule)
    proposal = amend(year, {0}, wanted, TODAY)
    difference = next(row for row in proposal.begins if row.kind == "difference")
    assert difference.amount + proposal.begins[-1].amount == Decimal("365.00") + Decimal("1200.00")
    assert str(difference.amount) == "121.89"  # 183 of 365 days, beside a whole year: 365.00 * 183 / 548


def test_an_amendment_that_takes_away_becomes_a_credit_for_what_was_billed():
    wanted = amended(YEAR, [amendment("-120.00", start_date=date(2026, 2, 1))], "", None, RULES)
    assert isinstance(wanted, BillingSchedule)
    proposal = amend(YEAR, THREE, wanted, TODAY)
    assert proposal.credit == Decimal("30.00")
    assert proposal.schedule.total == Decimal("1080.00")


def test_a_fee_in_an_amendment_is_billed_once_on_its_day():
    wanted = amended(YEAR, [sold("75.00", 8, charge="one_time", start_date=date(2026, 6, 10))], "USD", None, RULES)
    assert isinstance(wanted, BillingSchedule)
    proposal = amend(YEAR, THREE, wanted, TODAY)
    assert [(row.kind, str(row.amount), row.due_on) for row in proposal.begins] == [("once", "75.00", date(2026, 6, 10))]


def test_a_fee_to_come_is_not_billed_early_because_its_year_is_billed():
    year = schedule(sold("2400.00"), frequency="Annual", periods=Decimal(2))
    for day, kind in ((date(2026, 10, 1), "once"), (date(2026, 4, 1), "difference")):
        wanted = amended(year, [sold("75.00", 8, charge="one_time", start_date=day)], "USD", None, RULES)
        assert isinstance(wanted, BillingSchedule)
        proposal = amend(year, {0}, wanted, TODAY)
        assert [(row.kind, str(row.amount), row.due_on) for row in proposal.begins] == [(kind, "75.00", max(day, TODAY))]


def test_the_rest_of_a_year_in_arrears_is_billed_at_its_end():
    arrears = rules(billed="in_arrears")
    months = schedule(rules=arrears)
    year = schedule(frequency="Annual", periods=Decimal(1), rules=arrears)
    (rest,) = amend(months, THREE, year, date(2026, 5, 1)).begins
    assert (rest.kind, str(rest.amount), rest.due_on) == ("difference", "900.00", date(2027, 1, 31))


@pytest.mark.parametrize(
    ("line", "currency", "code"),
    [
        (amendment("10.00"), "USD", "billing_start_missing"),
        (amendment("10.00", start_date=date(2027, 2, 1)), "USD", "amendment_outside_schedule"),
        (amendment("10.00", start_date=date(2026, 5, 1), end_date=date(2027, 2, 1)), "USD", "amendment_outside_schedule"),
        (amendment("10.00", start_date=date(2026, 5, 1)), "EUR", "amendment_currency"),
    ],
)
def test_an_amendment_that_does_not_fit_is_refused_with_its_line(line, currency, code):
    found = amended(YEAR, [line], currency, None, RULES)
    assert not isinstance(found, BillingSchedule)
    assert [reason.code for reason in found] == [code]


@settings(max_examples=80)
@given(
    first=deal_terms(),
    first_lines=sold_lines(),
    second=deal_terms(),
    second_lines=sold_lines(),
    same_terms=st.booleans(),
    picks=st.lists(st.integers(0, 60), max_size=20),
    later=st.lists(st.integers(0, 120), max_size=20),
    fees=st.sampled_from(["first_period", "separate"]),
)
def test_whatever_changes_billed_periods_stay_and_the_schedule_comes_to_the_deal(
    first, first_lines, second, second_lines, same_terms, picks, later, fees
):
    changed = rules(one_time_lines=fees)
    agreed = scheduling(*first_lines, terms=first, rules=changed).schedule
    terms = first if same_terms else second
    wanted = scheduling(*second_lines, terms=terms, rules=changed).schedule
    assume(agreed is not None)
    assert agreed is not None
    wanted = wanted or single_invoice(terms, second_lines, TODAY)
    billed = {period.number for period in agreed.periods} & set(picks)
    history = {number: period for period in agreed.periods if (number := period.number) in billed}
    given_numbers = set(range(agreed.next_number))

    for deal in (wanted, agreed, wanted):
        proposal = amend(agreed, billed, deal, TODAY)
        after = proposal.schedule
        assert after.total == deal.total
        by_number = {period.number: period for period in after.periods}
        assert len(by_number) == len(after.periods)
        assert all(by_number[number] == period for number, period in history.items())
        ended = {period.number: period.span for period in proposal.ends}
        for period in proposal.begins:
            assert period.number not in billed
            assert period.number not in given_numbers or ended[period.number] == period.span
        assert after.next_number > max(by_number, default=-1)
        assert proposal.credit == sum(
            (-row.amount for row in proposal.begins if row.kind == "difference" and row.amount < 0), Decimal(0)
        )
        given_numbers |= set(range(after.next_number))

        unchanged = amend(after, billed, deal, date(2030, 1, 1))
        assert unchanged.kind == "none"
        assert unchanged.schedule == after

        agreed = after
        billed |= set(by_number) & set(later)
        history |= {number: by_number[number] for number in billed}
        assert amend(after, billed, deal, TODAY).kind == "none"


@settings(max_examples=80)
@given(
    terms=deal_terms(),
    lines=sold_lines(),
    deltas=st.lists(st.decimals("-5000", "5000", places=2), min_size=1, max_size=3),
    start=st.integers(0, 2000),
    recurring=st.booleans(),
)
def test_an_amendment_moves_the_total_by_its_deltas_to_the_cent(terms, lines, deltas, start, recurring):
    base = scheduling(*lines, terms=terms).schedule
    assume(base is not None)
    assert base is not None
    length = (base.periods[-1].span.ends - base.periods[0].span.starts).days
    starts = date.fromordinal(base.periods[0].span.starts.toordinal() + min(start, length))
    charge = "recurring" if recurring else "one_time"
    found = amended(base, [sold(delta, 20 + place, charge=charge) for place, delta in enumerate(deltas)], "USD", starts, RULES)
    if not isinstance(found, BillingSchedule):
        # More is taken off a period than it comes to.
        assert {reason.code for reason in found} == {"amendment_below_zero"}
        assert recurring
        assert sum(deltas) < 0
        return
    assert found.total == base.total + sum(deltas)
    untouched = [period for period in base.periods if period.span.ends < starts]
    assert [period for period in found.periods if period.span.ends < starts] == untouched
