"""A schedule is kept and read back exactly; what an invoice says of its period is enough to place it again."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import assume, given, settings

from qbsf_pipeline.invoices.recurring.amending import amend
from qbsf_pipeline.invoices.recurring.kept import UnreadableScheduleError, read, written
from qbsf_pipeline.invoices.recurring.markers import NotedPeriod, noted_period, period_note, placed_by_note
from qbsf_pipeline_tests.invoices.recurring.deals import deal_terms, rules, schedule, scheduling, sold, sold_lines

YEAR = schedule()


@settings(max_examples=40)
@given(terms=deal_terms(), lines=sold_lines())
def test_a_schedule_is_read_as_it_was_written(terms, lines):
    made = scheduling(*lines, terms=terms).schedule
    assume(made is not None)
    assert made is not None
    again = read(written(made))
    assert again == made
    assert [str(period.amount) for period in again.periods] == [str(period.amount) for period in made.periods]
    assert amend(again, (), made, date(2026, 1, 1)).kind == "none"


def test_texts_of_all_kinds_and_a_stopped_schedule_are_kept():
    line = sold("90071992547409.93")
    line = replace(line, line=replace(line.line, description="O'Neil “Größe” 漢字 🙂\n" * 100, discount=Decimal("12.5")))
    made = replace(schedule(line), status="paused", why="The deal was opened again.")
    assert read(written(made)) == made


def test_a_line_is_written_once_however_many_periods_it_has():
    line = sold()
    line = replace(line, line=replace(line.line, product_description="long " * 800))
    assert len(written(schedule(line, periods=Decimal(900)))) < 200_000


@pytest.mark.parametrize("text", ["", "{}", "[1]", written(YEAR)[:-5], written(YEAR).replace('"line":0', '"line":7')])
def test_a_document_that_is_no_schedule_is_an_error_and_no_guess(text):
    with pytest.raises(UnreadableScheduleError, match="kept billing schedule"):
        read(text)


def test_the_note_of_an_invoice_tells_its_period():
    period = YEAR.periods[2]
    assert period_note(period) == "Billing period 3 (2026-04-01 to 2026-04-30)"
    note = f"Voided - Salesforce Opportunity 006000000000001AAA\n{period_note(period)}\nthanks"
    assert noted_period(note) == NotedPeriod(2, period.span, difference=False)
    for other in (None, "", "Billing period 3", "Billing period 3 (2026-13-01 to 2026-04-30)"):
        assert noted_period(other) is None


def test_after_a_loss_of_the_state_invoices_are_placed_by_number_and_days_else_by_days_alone():
    notes = {str(row.number): period_note(row) for row in YEAR.periods[:3]}
    assert placed_by_note(YEAR, notes).placed == {0: "0", 1: "1", 2: "2"}
    renumbered = {"9": "Billing period 77 (2026-04-01 to 2026-04-30)"}
    assert placed_by_note(YEAR, renumbered).placed == {2: "9"}
    other_days = placed_by_note(YEAR, {"9": "Billing period 3 (2026-04-02 to 2026-05-01)", "10": None})
    assert (other_days.placed, other_days.unplaced) == ({}, ("9", "10"))
    twice = placed_by_note(YEAR, {"a": period_note(YEAR.periods[0]), "b": period_note(YEAR.periods[0])})
    assert (twice.placed, twice.rivals) == ({0: "a"}, ("b",))


def test_days_that_two_periods_share_do_not_decide():
    fees = schedule(
        sold(frequency="Monthly", periods=Decimal(2)),
        sold("5.00", 2, family="Setup"),
        rules=rules(one_time_lines="separate"),
    )
    same_days = replace(fees, periods=(fees.periods[0], replace(fees.periods[1], span=fees.periods[0].span)))
    note = f"Billing period 9 ({fees.periods[0].span.starts} to {fees.periods[0].span.ends})"
    assert placed_by_note(same_days, {"1": note}).unplaced == ("1",)


def test_the_invoice_of_a_difference_is_never_taken_for_that_of_the_period_whose_days_it_has():
    dearer = amend(YEAR, {0}, schedule(sold("1320.00")), date(2026, 2, 10)).schedule
    difference = next(row for row in dearer.periods if row.kind == "difference")
    assert difference.span == YEAR.periods[0].span
    notes = {"1": period_note(difference)}
    assert placed_by_note(dearer, notes).placed == {difference.number: "1"}
    rebuilt = placed_by_note(schedule(sold("1320.00")), notes)
    assert (rebuilt.placed, rebuilt.unplaced) == ({}, ("1",))
