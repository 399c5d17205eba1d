"""The life of recurring deals, day by day: billed, changed, stopped and won again, and never a period twice."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from qbsf_pipeline.invoices.recurring.amending import amend, stop
from qbsf_pipeline.invoices.recurring.due import due_periods
from qbsf_pipeline.invoices.recurring.kept import read, written
from qbsf_pipeline_tests.invoices.recurring.deals import TERMS, rules, schedule, sold

START = date(2026, 1, 31)

#: What sales does to the deal, at which total and in how many periods.
EVENTS = st.tuples(
    st.sampled_from(["change", "change", "quarterly", "lost", "reopened", "won"]),
    st.decimals("10", "9999", places=2),
    st.integers(1, 14),
)


@settings(max_examples=40)
@given(
    events=st.dictionaries(st.integers(1, 500), EVENTS, max_size=6),
    asleep=st.sets(st.integers(0, 500), max_size=200),
    catch_up=st.sampled_from(["all", "one_per_day"]),
    fee=st.booleans(),
)
def test_whatever_happens_what_was_billed_less_credits_is_what_the_deal_is_worth_in_the_end(events, asleep, catch_up, fee):
    changed = rules(catch_up=catch_up)
    fees = [sold("250.00", 2, family="Setup")] if fee else []
    wanted = schedule(sold(), *fees, start_date=START, rules=changed)
    agreed, won = wanted, True
    booked: dict[int, date] = {}
    amounts: dict[int, Decimal] = {}
    for day in range(1600):
        today = START + timedelta(days=day)
        if day in events:
            what, total, periods = events[day]
            if what in ("lost", "reopened"):
                won = False
                agreed = stop(agreed, booked, what, today).schedule
            elif what != "won":
                quarterly = {"frequency": "Quarterly"} if what == "quarterly" else {}
                line = sold(total)
                wanted = schedule(line, *fees, start_date=START, periods=Decimal(periods), rules=changed, **quarterly)
            won = won or what == "won"
            if won:
                agreed = amend(agreed, booked, wanted, today).schedule
        if day in asleep:
            continue
        agreed = read(written(agreed)) if day in events else agreed
        due = due_periods(agreed, booked, today, changed)
        assert won or not due.bill
        for period in (*(one.period for one in due.bill), *due.credits):
            assert period.number not in booked
            booked[period.number] = today
            amounts[period.number] = period.amount
    if won:
        assert sum(amounts.values()) == wanted.total
        assert amend(agreed, booked, wanted, TERMS.close_date).kind == "none"
    kept = {period.number: period.amount for period in agreed.periods if period.number in booked}
    assert kept == amounts
