"""What follows from the age of what is open: deals, totals, crossings."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbsf_pipeline.settings import bucket_names
from qbsf_pipeline_tests.aging.receivables import (
    PACKAGED,
    TODAY,
    Receivables,
    aging_rules,
    bodies,
    codes,
    days_from,
    deal,
    invoice,
    operations,
    user,
)
from qbsf_pipeline_tests.invoices.records import ORG, account, record_id

DEAL = record_id("006")
NOTHING_OPEN = {"open": Decimal("0.00"), "status": "Paid"}


def shown(world: Receivables, **rules: Any) -> dict[str, tuple[int | None, str | None]]:
    """Days and bucket that each deal shall show."""
    plan = world.plan(aging_rules(**rules))
    return {row[0]: row[1:] for row in plan.deals.select("opportunity_id", "days_outstanding", "aging_bucket").iter_rows()}


# Deals


def test_a_deal_gets_the_days_and_the_bucket_of_its_open_invoice() -> None:
    plan = Receivables().plan()
    assert bodies(plan, "update_opportunity") == [{"Id": DEAL, "Days_Outstanding__c": 45, "Aging_Bucket__c": "31-60"}]
    (write,) = plan.writes.to_dicts()
    assert write["reason"] == "Invoice 1001 was due on 06 Oct 2026, 45 days ago."
    assert write["key"] == f"update_aging:{ORG}:{DEAL}:20261101T000000000000Z:none/none>45/31-60"
    assert plan.refusals.is_empty()


def test_the_oldest_open_invoice_counts() -> None:
    world = Receivables([invoice(1, 10), invoice(2, 70), invoice(3, 200, **NOTHING_OPEN)])
    (found,) = world.plan().deals.to_dicts()
    assert (found["days_outstanding"], found["aging_bucket"], found["doc_number"], found["open_invoices"], found["open"]) == (
        70,
        "61-90",
        "1002",
        2,
        Decimal("200.00"),
    )


@pytest.mark.parametrize(
    ("late", "expected"),
    [(-5, (0, "Current")), (0, (0, "Current")), (1, (1, "1-30")), (90, (90, "61-90")), (91, (91, "90+"))],
)
def test_what_is_not_past_due_is_current(late: int, expected: tuple[int, str]) -> None:
    assert shown(Receivables([invoice(late=late)])) == {DEAL: expected}


def test_by_rule_days_count_from_the_invoice_date() -> None:
    world = Receivables([invoice(1, 10), invoice(2, 20, txn_date=TODAY - timedelta(days=21))])
    assert shown(world, days_from="invoice_date") == {DEAL: (40, "31-60")}
    assert shown(world) == {DEAL: (20, "1-30")}


def test_the_buckets_follow_the_rules() -> None:
    assert shown(Receivables(), buckets=(14, 45)) == {DEAL: (45, "15-45")}


def test_amounts_of_several_currencies_are_not_added_on_a_deal() -> None:
    world = Receivables([invoice(1), invoice(2, currency="EUR")])
    assert world.plan().deals.select("open", "currency", "open_invoices").row(0) == (None, None, 2)


def test_nothing_is_written_where_salesforce_has_it_right() -> None:
    world = Receivables(deals=[deal(days_outstanding=45, aging_bucket="31-60")])
    assert world.plan().writes.is_empty()


@pytest.mark.parametrize(
    "stored", [{"days_outstanding": 45}, {"aging_bucket": "31-60"}, {"days_outstanding": 45, "aging_bucket": "1-30"}]
)
def test_either_wrong_value_is_written(stored: dict[str, Any]) -> None:
    assert operations(Receivables(deals=[deal(**stored)]).plan()) == ["update_opportunity"]


@pytest.mark.parametrize("status", ["Paid", "Overpaid", "Credited", "Voided", "Deleted"])
def test_days_and_bucket_are_cleared_when_nothing_is_open(status: str) -> None:
    world = Receivables([invoice(open=Decimal("0.00"), status=status)], deals=[deal(days_outstanding=45, aging_bucket="31-60")])
    plan = world.plan()
    assert bodies(plan, "update_opportunity") == [{"Id": DEAL, "Days_Outstanding__c": None, "Aging_Bucket__c": None}]
    assert plan.deals.get_column("reason").to_list() == ["No invoice of the deal is open."]
    world.carry_out(plan)
    assert world.plan().writes.is_empty()


@pytest.mark.parametrize("status", ["Voided", "Deleted"])
def test_a_document_that_is_no_claim_has_no_age_whatever_its_amounts_say(status: str) -> None:
    plan = Receivables([invoice(status=status)]).plan()
    assert plan.invoices.is_empty()
    assert plan.writes.is_empty()


def test_a_deal_without_any_invoice_is_left_alone_unless_this_program_wrote_it() -> None:
    world = Receivables([], deals=[deal(days_outstanding=3, aging_bucket="1-30")])
    assert world.plan().writes.is_empty()
    world.ledger = [{"key": f"update_aging:{ORG}:{DEAL}:20261001T000000000000Z:none/none>3/1-30", "status": "done"}]
    assert operations(world.plan()) == ["update_opportunity"]


@pytest.mark.parametrize("gone", [[], [deal(is_deleted=True)]])
def test_a_deal_that_salesforce_does_not_show_is_not_written_but_its_invoice_is_told(gone: list[dict[str, Any]]) -> None:
    plan = Receivables(deals=gone).plan()
    assert plan.writes.is_empty()
    assert plan.crossings.get_column("threshold").to_list() == [30]
    assert plan.invoices.select("deal", "owner_state").row(0) == (None, "none")


def test_an_invoice_without_a_deal_counts_in_the_totals_only() -> None:
    plan = Receivables([invoice(opportunity_id=None)]).plan(aging_rules(reminders_after=(7,), task_from=30))
    assert (plan.writes.height, plan.crossings.height, plan.reminders.height, plan.tasks.height) == (0, 0, 0, 0)
    assert plan.totals.get_column("open").sum() == Decimal("100.00")


@pytest.mark.parametrize(
    ("due_date", "txn_date", "expected", "told"),
    [
        (None, TODAY - timedelta(days=3), (3, "1-30"), []),
        (TODAY - timedelta(days=3), None, (3, "1-30"), []),
        (None, None, (0, "Current"), ["no_date"]),
    ],
)
def test_a_missing_date_never_makes_an_invoice_old(
    due_date: date | None, txn_date: date | None, expected: tuple[int, str], told: list[str]
) -> None:
    world = Receivables([invoice(due_date=due_date, txn_date=txn_date)])
    assert shown(world) == {DEAL: expected}
    assert codes(world.plan()) == told
    assert world.plan().invoices.item(0, "due_date_imputed") == (due_date is None)


@pytest.mark.parametrize(
    ("opened", "balance", "written"),
    [("100.00", "0.00", False), ("0.00", "100.00", False), ("100.00", "80.00", True), ("100.00", None, True)],
)
def test_a_deal_is_not_written_while_it_is_in_doubt_whether_anything_is_open(
    opened: str, balance: str | None, written: bool
) -> None:
    one = invoice(open=Decimal(opened), balance=None if balance is None else Decimal(balance), explained=False)
    plan = Receivables([one], deals=[deal(aging_bucket="1-30")]).plan(aging_rules(task_from=30))
    assert ("update_opportunity" in operations(plan)) == written
    assert codes(plan) == ([] if written else ["open_amount_in_doubt"])
    if not written:
        assert plan.crossings.is_empty()
        assert plan.tasks.is_empty()
        assert f"{opened} USD open, but QuickBooks says {balance} USD" in plan.refusals.item(0, "reason")


def test_a_past_day_is_a_report_and_never_a_write() -> None:
    world = Receivables([invoice(late=45)], deals=[deal(days_outstanding=45, aging_bucket="31-60"), deal(2, aging_bucket="1-30")])
    plan = world.plan(aging_rules(reminders_after=(7,), task_from=7), TODAY - timedelta(days=10), writes=False)
    assert plan.deals.select("days_outstanding", "aging_bucket", "differs").rows() == [(35, "31-60", None)]
    for frame in (plan.writes, plan.crossings, plan.reminders, plan.tasks, plan.refusals):
        assert frame.is_empty()
    assert plan.totals.get_column("open").sum() == Decimal("100.00")


# What Salesforce does not keep


def test_an_age_can_be_written_again_after_another_edit() -> None:
    world = Receivables()
    world.carry_out(world.plan())
    world.deals[0] |= {"days_outstanding": 7, "source_modified_at": datetime(2026, 11, 20, tzinfo=UTC)}
    plan = world.plan()
    assert bodies(plan, "update_opportunity")[0]["Days_Outstanding__c"] == 45
    assert plan.refusals.is_empty()


def test_a_write_is_not_repeated_while_the_deal_was_not_read_since() -> None:
    world = Receivables()
    before = dict(world.deals[0])
    world.carry_out(world.plan())
    world.deals = [before]
    assert world.plan().writes.is_empty()


def test_writes_that_salesforce_does_not_keep_are_told_and_the_same_age_is_not_tried_for_ever() -> None:
    world = Receivables()
    tried = 0
    while not (plan := world.plan()).writes.is_empty():
        assert codes(plan) == []
        world.carry_out(plan, kept=False)
        tried += 1
        assert tried <= 3
    assert tried == 3
    assert codes(plan) == ["not_kept"]
    # Another day is another age: it is tried once, and told on.
    tomorrow = TODAY + timedelta(days=1)
    plan = world.plan(as_of=tomorrow)
    assert (operations(plan), codes(plan)) == (["update_opportunity"], ["not_kept"])
    world.carry_out(plan, tomorrow, kept=False)
    plan = world.plan(as_of=tomorrow)
    assert (operations(plan), codes(plan)) == ([], ["not_kept"])
    # Once one is kept, all is well.
    world.deals[0] |= {"days_outstanding": 46, "aging_bucket": "31-60"}
    plan = world.plan(as_of=tomorrow + timedelta(days=1))
    assert (operations(plan), codes(plan)) == (["update_opportunity"], [])


def test_an_age_that_rises_every_day_is_no_write_that_was_lost() -> None:
    world = Receivables()
    for day in days_from(TODAY, [1] * 9):
        plan = world.plan(as_of=day)
        assert operations(plan) == ["update_opportunity"]
        assert codes(plan) == []
        world.carry_out(plan, day)


def test_writes_from_one_version_of_a_deal_that_was_not_read_since_tell_of_no_loss() -> None:
    world = Receivables()
    before = dict(world.deals[0])
    for day in days_from(TODAY, [1] * 4):
        world.deals = [dict(before)]
        plan = world.plan(as_of=day)
        assert (operations(plan), codes(plan)) == (["update_opportunity"], [])
        world.carry_out(plan, day)
    world.deals = [{**before, "source_modified_at": datetime(2026, 11, 25, tzinfo=UTC)}]
    assert codes(world.plan(as_of=TODAY + timedelta(days=5))) == []


def test_a_bucket_of_a_persons_making_is_written_over_and_spoils_no_key() -> None:
    world = Receivables(deals=[deal(days_outstanding=45, aging_bucket="very: late > 90")])
    plan = world.plan()
    assert plan.writes.item(0, "key").endswith(":45/other>45/31-60")
    world.carry_out(plan)
    assert world.plan().writes.is_empty()


# Crossings


@pytest.mark.parametrize(("late", "thresholds"), [(29, []), (30, [30]), (59, [30]), (60, [60]), (95, [90])])
def test_the_highest_threshold_that_was_crossed_is_told(late: int, thresholds: list[int]) -> None:
    crossings = Receivables([invoice(late=late)]).plan().crossings
    assert crossings.get_column("threshold").to_list() == thresholds
    assert crossings.get_column("crossed_on").to_list() == [TODAY - timedelta(days=late - each) for each in thresholds]


@pytest.mark.parametrize(("known", "late", "told"), [(30, 59, []), (30, 60, [60]), (60, 35, []), (60, 95, [90]), (90, 400, [])])
def test_a_threshold_is_told_once_and_a_lower_one_never_after_it(known: int, late: int, told: list[int]) -> None:
    world = Receivables([invoice(late=late)], crossings=[{"invoice_id": "301", "threshold": known}])
    assert world.plan().crossings.get_column("threshold").to_list() == told


def test_thresholds_count_from_the_due_date_whatever_the_days_count_from() -> None:
    plan = Receivables([invoice(late=20)]).plan(aging_rules(days_from="invoice_date"))
    assert plan.invoices.select("days", "days_past_due").row(0) == (50, 20)
    assert plan.crossings.is_empty()


def test_without_thresholds_nobody_is_told() -> None:
    assert Receivables().plan(aging_rules(thresholds=())).crossings.is_empty()


@given(
    late=st.integers(-40, 60),
    gaps=st.lists(st.integers(0, 40), min_size=1, max_size=8),
    paid=st.sets(st.integers(0, 8)),
    thresholds=st.lists(st.integers(1, 200), min_size=1, max_size=4, unique=True).map(sorted).map(tuple),
)
@settings(max_examples=15)
def test_over_days_with_gaps_each_threshold_is_told_once_and_only_the_highest(
    late: int, gaps: list[int], paid: set[int], thresholds: tuple[int, ...]
) -> None:
    rules = aging_rules(thresholds=thresholds)
    world = Receivables([invoice(late=late)])
    told = 0
    for number, day in enumerate(days_from(TODAY, gaps)):
        world.invoices = [invoice(late=late, **(NOTHING_OPEN if number in paid else {}))]
        plan = world.plan(rules, day)
        past = (day - TODAY).days + late
        highest = max((each for each in thresholds if each <= past), default=0)
        expected = [highest] if highest > told and number not in paid else []
        assert plan.crossings.get_column("threshold").to_list() == expected
        told = max([told, *expected])
        world.carry_out(plan, day)


# Owners


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        (user(), ("Dana Lee", "user1@house.example", "active")),
        (user(email=" Dana@House.example "), ("Dana Lee", "Dana@House.example", "active")),
        (user(is_active=None), ("Dana Lee", "user1@house.example", "active")),
        (user(is_active=False), ("Dana Lee", None, "left")),
        (user(email=None), ("Dana Lee", None, "active")),
        (user(is_deleted=True), (None, None, "left")),
        (user(2), (None, None, "left")),
    ],
)
def test_an_owner_is_reached_only_while_active(owner: dict[str, Any], expected: tuple[str | None, ...]) -> None:
    plan = Receivables(users=[owner]).plan()
    assert plan.invoices.select("owner_name", "owner_email", "owner_state").row(0) == expected


def test_a_deal_without_owner_says_so() -> None:
    plan = Receivables(deals=[deal(owner_id=None)]).plan()
    assert plan.invoices.select("owner_name", "owner_email", "owner_state").row(0) == (None, None, "none")


@pytest.mark.parametrize(
    ("person", "contact"),
    [
        ({"given_name": "Ann", "family_name": "O'Neill"}, "Ann O'Neill, ap@acme1.example"),
        ({"phone": "(303) 555-0101"}, "ap@acme1.example, (303) 555-0101"),
    ],
)
def test_the_contact_is_who_stands_on_the_customer(person: dict[str, Any], contact: str) -> None:
    world = Receivables(customers=[{"id": "101", "display_name": "Acme:Ünïcode", **person}])
    assert world.plan().invoices.select("customer_name", "contact").row(0) == ("Acme:Ünïcode", contact)


def test_nobody_is_made_up_where_no_contact_is_known() -> None:
    plan = Receivables(customers=[], accounts=[], mail=[]).plan()
    assert plan.invoices.select("customer_name", "account_name", "contact").row(0) == (None, None, None)


# Totals and properties of the whole


def test_totals_have_every_bucket_and_credits_beside_them() -> None:
    world = Receivables(
        [invoice(1, 0), invoice(2, 45), invoice(3, 46), invoice(4, 10, currency="EUR"), invoice(5, 95, currency=None)],
        unapplied=[
            {"customer_id": "101", "txn_date": TODAY - timedelta(days=61), "amount": Decimal("30.10"), "currency": "USD"},
            {"customer_id": "101", "txn_date": TODAY + timedelta(days=1), "amount": Decimal("0.05"), "currency": "GBP"},
        ],
    )
    totals = world.plan().totals
    assert totals.filter(pl.col("currency") == "USD").select("bucket", "invoices", "open", "credits").rows() == [
        ("Current", 1, Decimal("100.00"), Decimal("0.00")),
        ("1-30", 0, Decimal("0.00"), Decimal("0.00")),
        ("31-60", 2, Decimal("200.00"), Decimal("0.00")),
        ("61-90", 0, Decimal("0.00"), Decimal("-30.10")),
        ("90+", 1, Decimal("100.00"), Decimal("0.00")),
    ]
    assert totals.get_column("currency").unique().sort().to_list() == ["EUR", "GBP", "USD"]
    assert totals.filter((pl.col("currency") == "GBP") & (pl.col("credits") != 0)).get_column("bucket").to_list() == ["Current"]


def test_nothing_at_all_makes_an_empty_plan() -> None:
    plan = Receivables([], deals=[], accounts=[], users=[], customers=[]).plan()
    assert plan.totals.is_empty()
    assert plan.writes.is_empty()


INVOICES = st.lists(
    st.builds(
        lambda number, late, cents, currency, of, status: invoice(
            number,
            late,
            open=Decimal(cents).scaleb(-2),
            currency=currency,
            opportunity_id=None if of == 0 else record_id("006", of),
            status=status,
        ),
        number=st.integers(1, 99),
        late=st.integers(-60, 200),
        cents=st.integers(0, 10**11),
        currency=st.sampled_from(["USD", "EUR", "JPY"]),
        of=st.integers(0, 4),
        status=st.sampled_from(["Invoiced", "Sent", "Partially Paid", "Paid", "Voided"]),
    ),
    max_size=12,
    unique_by=lambda one: one["invoice_id"],
)


@given(INVOICES)
@settings(max_examples=15)
def test_the_buckets_part_what_is_open_in_each_currency_to_the_cent(invoices: list[dict[str, Any]]) -> None:
    plan = Receivables(invoices).plan()
    owed: dict[str, Decimal] = {}
    for one in invoices:
        if one["open"] > 0 and one["status"] != "Voided":
            owed[one["currency"]] = owed.get(one["currency"], Decimal(0)) + one["open"]
    found = plan.totals.group_by("currency").agg(pl.col("open").sum(), pl.col("invoices").sum())
    assert {row["currency"]: row["open"] for row in found.to_dicts()} == owed
    assert plan.totals.get_column("invoices").sum() == plan.invoices.height
    assert set(plan.totals.get_column("bucket")) <= set(bucket_names(PACKAGED.aging.buckets))


@given(INVOICES, st.integers(0, 400))
@settings(max_examples=15)
def test_what_is_untouched_never_gets_younger(invoices: list[dict[str, Any]], later: int) -> None:
    world = Receivables(invoices, deals=[deal(number) for number in (1, 2, 3, 4)])
    names = bucket_names(PACKAGED.aging.buckets)
    now, then = world.plan(), world.plan(as_of=TODAY + timedelta(days=later))
    assert now.deals.get_column("opportunity_id").to_list() == then.deals.get_column("opportunity_id").to_list()
    for before, after in zip(now.deals.to_dicts(), then.deals.to_dicts(), strict=True):
        assert before["days_outstanding"] <= after["days_outstanding"] <= before["days_outstanding"] + later
        assert names.index(before["aging_bucket"]) <= names.index(after["aging_bucket"])


@given(INVOICES)
@settings(max_examples=12)
def test_what_was_carried_out_is_not_planned_again(invoices: list[dict[str, Any]]) -> None:
    rules = aging_rules(reminders_after=(7, 21), task_from=30)
    people = {"accounts": [account(owner_id=record_id("005"))], "users": [user()]}
    world = Receivables(invoices, deals=[deal(number, days_outstanding=9) for number in (1, 2, 3, 4)], **people)
    plan = world.plan(rules)
    assert plan.writes.get_column("key").is_unique().all()
    assert plan.writes.equals(world.plan(rules).writes)
    world.carry_out(plan)
    after = world.plan(rules)
    assert after.writes.is_empty()
    assert after.crossings.is_empty()
