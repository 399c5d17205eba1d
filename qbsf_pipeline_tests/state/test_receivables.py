"""What is remembered of payments and of overdue invoices."""

import uuid
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qbsf_pipeline.state.crossings import Crossing
from qbsf_pipeline.state.deal_payments import DealPayment
from qbsf_pipeline.state.payment_events import PaymentEvent
from qbsf_pipeline.state.reminders import Reminder
from qbsf_pipeline.state.slack_users import KEPT_FOR
from qbsf_pipeline.state.tasks import InvoiceTask
from qbsf_pipeline_tests.state.conftest import NOW

LATER = NOW + timedelta(hours=1)
PAID = DealPayment("006A", "Paid", Decimal("0.00"), "USD", "f1", "Closed Won", 1)
OPEN = DealPayment("006B", "Partially Paid", Decimal("9999999999999999.99"), "EUR", "f2")
EVENT = PaymentEvent("006A:paid:f1", "paid", "006A", {"amount": Decimal("12500.10"), "invoices": ["1045"], "by": "Größe"})
CROSSED = Crossing("145", 30, "006A", date(2026, 3, 31))


def test_what_is_known_of_deals_is_replaced_as_a_whole(state):
    state.deal_payments.put([PAID, OPEN], NOW)
    reopened = replace(PAID, status="Sent", balance=None, currency=None, stage_before=None, times_paid=2)
    state.deal_payments.put([reopened], LATER)
    assert state.deal_payments.all() == {
        "006A": replace(reopened, updated_at=LATER),
        "006B": replace(OPEN, updated_at=NOW),
    }
    state.deal_payments.put([], LATER)


def test_a_deal_that_is_given_twice_is_refused_and_nothing_stored(state):
    with pytest.raises(ValueError, match="more than once"):
        state.deal_payments.put([OPEN, PAID, PAID], NOW)
    assert state.deal_payments.all() == {}


def test_thousands_of_deals_are_put_and_put_again(state):
    many = [replace(OPEN, opportunity_id=f"006{number:05d}") for number in range(3_000)]
    state.deal_payments.put(many, NOW)
    state.deal_payments.put(many, LATER)
    assert len(state.deal_payments.all()) == 3_000


def test_an_event_is_new_once_and_waits_until_it_is_told(state):
    (new,) = state.payment_events.record([EVENT, replace(EVENT, kind="reopened")], NOW)
    assert new == replace(EVENT, created_at=NOW)
    assert state.payment_events.record([replace(EVENT, payload={})], LATER) == []
    second = replace(EVENT, event_key="006A:reopened:f2", kind="reopened", payload={})
    assert [event.kind for event in state.payment_events.record([EVENT, second], LATER)] == ["reopened"]
    first, after = state.payment_events.unannounced()
    assert first == replace(EVENT, created_at=NOW)
    assert after.kind == "reopened"
    assert state.payment_events.recorded([EVENT.event_key, "unknown"]) == {EVENT.event_key}
    state.payment_events.announce([EVENT.event_key, "unknown"], LATER)
    assert [event.kind for event in state.payment_events.unannounced()] == ["reopened"]
    assert state.payment_events.record([EVENT], LATER + timedelta(days=900)) == []


def test_a_crossing_is_new_once_even_when_the_invoice_was_paid_in_between(state):
    past_sixty = replace(CROSSED, threshold=60, crossed_on=date(2026, 4, 30))
    assert state.crossings.record([CROSSED, CROSSED], NOW) == [replace(CROSSED, seen_at=NOW)]
    assert state.crossings.record([replace(CROSSED, crossed_on=date(2026, 9, 1)), past_sixty], LATER) == [
        replace(past_sixty, seen_at=LATER)
    ]
    state.crossings.announce([CROSSED.key], LATER)
    state.crossings.announce([CROSSED.key], LATER + timedelta(days=1))
    assert state.crossings.unannounced() == [replace(past_sixty, seen_at=LATER)]
    assert state.crossings.all() == [replace(CROSSED, seen_at=NOW, announced_at=LATER), replace(past_sixty, seen_at=LATER)]


def test_two_thousand_crossings_are_recorded_and_told(state):
    many = [replace(CROSSED, invoice_id=str(number // 3), threshold=30 * (number % 3 + 1)) for number in range(2000)]
    assert len(state.crossings.record(many, NOW)) == 2000
    assert state.crossings.record(many, NOW) == []
    state.crossings.announce([crossing.key for crossing in many], NOW)
    assert state.crossings.unannounced() == []


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.tuples(st.text(max_size=3), st.sampled_from([30, 60, 90])), max_size=5), max_size=6))
def test_each_invoice_and_threshold_is_new_exactly_once_over_any_days(state, days):
    prefix = uuid.uuid4().hex
    found = [[Crossing(f"{prefix}{text}", past_due, None, CROSSED.crossed_on) for text, past_due in day] for day in days]
    new = [crossing.key for day in found for crossing in state.crossings.record(day, NOW)]
    assert len(new) == len(set(new))
    stored = {crossing.key for crossing in state.crossings.all() if crossing.invoice_id.startswith(prefix)}
    assert set(new) == stored


def test_reminders_of_an_invoice_are_counted_and_the_same_call_counts_once(state):
    assert state.reminders.record("145", "r1", NOW) == Reminder("145", 1, "r1", NOW)
    assert state.reminders.record("145", "r1", LATER) == Reminder("145", 1, "r1", NOW)
    assert state.reminders.record("145", "r2", LATER) == Reminder("145", 2, "r2", LATER)
    assert state.reminders.record("146", "r1", LATER).number == 1
    assert [reminder.request_id for reminder in state.reminders.sent("145")] == ["r1", "r2"]
    assert state.reminders.sent("147") == []
    assert [(reminder.invoice_id, reminder.number) for reminder in state.reminders.all()] == [("145", 1), ("145", 2), ("146", 1)]


def test_a_task_is_open_until_it_is_closed_and_stays_closed(state):
    state.tasks.put("145", 60, "00T1", NOW)
    state.tasks.put("145", 90, "00T2", LATER)
    assert state.tasks.close("145", 60, LATER) is True
    assert state.tasks.close("145", 60, LATER) is False
    assert state.tasks.close("999", 60, LATER) is False
    state.tasks.put("145", 60, "00T1", LATER)
    assert state.tasks.all() == [InvoiceTask("145", 60, "00T1", NOW, LATER), InvoiceTask("145", 90, "00T2", LATER)]
    state.tasks.put("145", 60, "00T3", LATER)
    assert state.tasks.all()[0] == InvoiceTask("145", 60, "00T3", LATER)


def test_who_is_who_in_slack_is_known_for_a_day_whatever_the_case(state):
    assert state.slack_users.get("ana@acme.example", NOW) is None
    state.slack_users.put(" Ana@acme.example", "U1", NOW)
    state.slack_users.put("bo@acme.example", None, NOW)
    assert state.slack_users.get("ANA@acme.example ", NOW + KEPT_FOR).slack_user_id == "U1"
    assert state.slack_users.get("bo@acme.example", NOW).slack_user_id is None
    assert state.slack_users.get("bo@acme.example", NOW + KEPT_FOR + timedelta(seconds=1)) is None
    state.slack_users.put("bo@acme.example", "U2", LATER)
    assert state.slack_users.get("bo@acme.example", LATER).slack_user_id == "U2"


def test_what_is_told_and_its_message_are_stored_together_or_not_at_all(state):
    state.payment_events.record([EVENT], NOW)
    state.crossings.record([CROSSED], NOW)

    def tell_and_fail():
        with state.transaction():
            state.payment_events.announce([EVENT.event_key], NOW)
            state.crossings.announce([CROSSED.key], NOW)
            state.reminders.record("145", "r1", NOW)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        tell_and_fail()
    assert len(state.payment_events.unannounced()) == len(state.crossings.unannounced()) == 1
    assert state.reminders.all() == []
