"""Deals that are billed period by period, as the plan sees them: what is due, what waits, and that nothing is billed twice."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from qbsf_pipeline.flows.approval import ALWAYS_ASKED
from qbsf_pipeline.invoices import checks, schedule_checks
from qbsf_pipeline.invoices.plan import InvoicePlan
from qbsf_pipeline.invoices.recurring import kept
from qbsf_pipeline.invoices.schedule_messages import question_messages, stopped_messages
from qbsf_pipeline.invoices.schedule_tables import agreed_schedules, changed_schedule
from qbsf_pipeline.money import parse_json
from qbsf_pipeline.settings import Rules, load_rules
from qbsf_pipeline_tests.invoices.records import (
    World,
    account,
    codes,
    customer,
    invoice,
    invoice_key,
    ledger_line,
    operations,
    opportunity,
    outcomes,
    payload,
    record_id,
    rules,
)

DEAL = record_id("006")
STARTS = date(2026, 11, 10)


def monthly(**values: Any) -> dict[str, Any]:
    """1,000.00 in twelve months from 10 November 2026."""
    return opportunity(billing_frequency="Monthly", billing_periods=12, billing_start_date=STARTS, is_closed=True, **values)


def world(**values: Any) -> World:
    return World(opportunities=[monthly(**values)])


class Life:
    """A world that goes on: what a plan writes is done, and what it says is remembered."""

    def __init__(self, of: World, with_rules: Rules | None = None) -> None:
        self.world, self.rules = of, with_rules or load_rules()
        self.last: InvoicePlan | None = None

    def plan(self, day: date) -> InvoicePlan:
        self.last = self.world.plan(self.rules, as_of=day)
        return self.last

    def day(self, day: date, *, written: bool = True) -> list[str]:
        """Plan and carry out a day; the labels and amounts of the invoices that were made."""
        plan = self.plan(day)
        self.world.agreed += agreed_schedules(plan.agreements.to_dicts())
        made = []
        for row in plan.writes.filter(pl.col("operation") == "create_invoice").to_dicts():
            body = parse_json(row["payload"])
            number = len(self.world.invoices) + 1
            total = sum((Decimal(str(one["Amount"])) for one in body["Line"]), Decimal(0))
            assert total == row["amount"]
            self.world.invoices.append(
                invoice(
                    number,
                    opportunity_id=DEAL,
                    total=total,
                    balance=total,
                    private_note=body["PrivateNote"],
                    txn_date=date.fromisoformat(body["TxnDate"]),
                    email_status="EmailSent",
                )
            )
            done = ledger_line(row["key"], "done", opportunity_id=DEAL, result_id=str(300 + number), done_on=day)
            self.world.ledger = [one for one in self.world.ledger if one["key"] != row["key"]] + [done]
            made.append(f"{row['label']}: {total}")
        for row in plan.writes.filter(pl.col("operation") == "write_back_opportunity").to_dicts():
            self.world.ledger.append(ledger_line(row["key"], "done", "write_back_opportunity", opportunity_id=DEAL))
            if written:
                self.world.opportunities[0]["invoice_id"] = self.world.invoices[-1]["id"]
        return made

    def change(self, total: str) -> None:
        self.world.opportunities[0]["amount"] = Decimal(total)
        self.world.lines[0] |= {"total_price": Decimal(total), "unit_price": Decimal(total) / 2}

    def answer(self, day: date, verdict: str) -> str:
        """A person's word on what the plan asks; an approval is carried out."""
        row = self.plan(day).writes.filter(pl.col("operation") == "change_schedule").row(0, named=True)
        self.world.approvals[row["plan_id"]] = verdict
        if verdict == "approved":
            self.world.agreed.append(changed_schedule(parse_json(row["payload"]), "pat"))
        return str(row["reason"])


def status_of(plan: InvoicePlan) -> dict[int, str]:
    return dict(plan.schedules.select("period", "status").iter_rows())


def test_a_period_is_billed_on_its_day_and_the_next_one_on_the_next():
    life = Life(world())
    assert life.day(date(2026, 11, 20)) == ["Deal 1 (period 1 of 12): 83.37"]
    assert operations(life.last) == ["create_invoice", "send_invoice", "write_back_opportunity", "write_back_account"]
    assert life.world.invoices[0]["private_note"] == (
        f"Salesforce Opportunity {DEAL}\nBilling period 1 (2026-11-10 to 2026-12-09)"
    )
    assert life.day(date(2026, 11, 20)) == life.day(date(2026, 12, 9)) == []
    assert outcomes(life.last) == {"Deal 1": "scheduled"}
    assert life.day(date(2026, 12, 10)) == ["Deal 1 (period 2 of 12): 83.33"]
    fields = load_rules().salesforce.opportunity
    told = set(payload(life.last, "write_back_opportunity"))
    # Status and balance are those of all its invoices, which the payments flow tells.
    assert told == {"Id", fields.invoice_id, fields.invoice_number, fields.invoice_url}
    for month in range(1, 11):
        life.day(date(2027, month, 10))
    assert sum(one["total"] for one in life.world.invoices) == Decimal("1000.00")
    assert life.day(date(2028, 1, 1)) == []
    assert outcomes(life.last) == {"Deal 1": "invoiced"}


def test_what_is_under_way_is_not_planned_again_and_what_was_refused_keeps_its_key():
    life = Life(world())
    life.world.ledger = [ledger_line(f"{invoice_key()}:period-0", "sending", opportunity_id=DEAL)]
    plan = life.plan(date(2026, 11, 20))
    assert operations(plan) == []
    assert outcomes(plan) == {"Deal 1": "in_progress"}
    life.world.ledger[0]["status"] = "dead"
    plan = life.plan(date(2026, 11, 20))
    assert plan.writes.get_column("key").to_list()[0] == f"{invoice_key()}:period-0"
    assert outcomes(plan) == {"Deal 1": "dead"}


@pytest.mark.parametrize(
    ("catch_up", "days"),
    [("all", [3, 0, 0]), ("one_per_day", [1, 1, 1]), ("ask", [0, 0, 0])],
)
def test_missed_periods_are_caught_up_as_the_rules_say(catch_up: str, days: list[int]) -> None:
    life = Life(world(), rules(recurring={"catch_up": catch_up}))
    assert [len(life.day(date(2027, 1, 20 + day))) + len(life.day(date(2027, 1, 20 + day))) for day in range(3)] == days
    if catch_up == "ask":
        assert life.answer(date(2027, 1, 23), "approved") == (
            "3 missed periods from 2026-11-10 to 2027-01-10 over 250.03 USD would be billed."
        )
        assert len(life.day(date(2027, 1, 23))) == 3


def test_only_the_newest_of_several_invoices_is_told_to_the_deal():
    plan = world().plan(as_of=date(2027, 1, 20))
    assert operations(plan).count("create_invoice") == 3
    told = plan.writes.filter(pl.col("operation") == "write_back_opportunity")
    assert told.get_column("depends_on").to_list() == [f"{invoice_key()}:period-2"]


def test_without_memory_invoices_are_known_by_their_notes_and_the_deal_is_told_of_the_newest():
    life = Life(world())
    life.day(date(2026, 11, 20))
    life.day(date(2026, 12, 10), written=False)
    life.world.ledger, life.world.agreed = [], []
    plan = life.plan(date(2026, 12, 20))
    assert operations(plan) == ["write_back_opportunity"]
    assert payload(plan, "write_back_opportunity")[load_rules().salesforce.opportunity.invoice_id] == "302"
    assert outcomes(plan) == {"Deal 1": "scheduled"}
    life.day(date(2026, 12, 20))
    assert life.day(date(2027, 1, 10)) == ["Deal 1 (period 3 of 12): 83.33"]


def test_without_memory_a_period_that_nothing_remembers_is_asked_about_where_later_ones_were_billed():
    life = Life(world())
    for day in (date(2026, 11, 20), date(2026, 12, 10), date(2027, 1, 10)):
        life.day(day)
    life.world.ledger, life.world.agreed = [], []
    life.world.invoices[1] |= {"private_note": "Paid by card", "opportunity_id": None}
    assert life.day(date(2027, 1, 20)) == []
    for _ in range(2):
        assert life.day(date(2027, 1, 21)) == []
        assert operations(life.last) == ["change_schedule"]
    assert "look for their invoices in QuickBooks first" in life.answer(date(2027, 1, 21), "approved")
    assert life.day(date(2027, 1, 22)) == ["Deal 1 (period 2 of 12): 83.33"]
    assert life.day(date(2027, 1, 23)) == []


def test_without_memory_a_changed_deal_waits():
    life = Life(world())
    life.day(date(2026, 11, 20))
    life.world.ledger, life.world.agreed = [], []
    life.change("2400.00")
    assert codes(life.plan(date(2026, 12, 20))) == {"period_billed_otherwise"}


def test_an_older_memory_than_what_was_billed_makes_the_deal_wait():
    life = Life(world())
    life.day(date(2026, 11, 20))
    before, ledger = list(life.world.agreed), list(life.world.ledger)
    life.change("2400.00")
    life.answer(date(2026, 12, 20), "approved")
    life.day(date(2026, 12, 20))
    life.world.agreed, life.world.ledger = before, ledger
    plan = life.plan(date(2026, 12, 21))
    assert {"period_billed_otherwise"} <= codes(plan)
    assert operations(plan) == []


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"billing_periods": None}, "billing_periods_missing"),
        ({"billing_periods": Decimal("12.5")}, "billing_periods_invalid"),
        ({"billing_frequency": "Lunar"}, "billing_frequency_unknown"),
    ],
)
def test_a_deal_that_is_not_understood_any_more_waits_and_its_periods_stay_to_be_seen(values: dict[str, Any], code: str) -> None:
    life = Life(world())
    life.day(date(2026, 11, 20))
    life.world.opportunities[0] |= values
    plan = life.plan(date(2026, 12, 20))
    assert (codes(plan), operations(plan)) == ({code}, [])
    assert [status_of(plan)[number] for number in (0, 1, 2)] == ["invoiced", "held", "planned"]
    # What recurring revenue is made from stays as well.
    assert plan.schedule_lines.height == 12


def test_a_schedule_whose_deal_is_not_shown_any_more_is_told():
    life = Life(world())
    life.day(date(2026, 11, 20))
    life.world.opportunities = []
    assert codes(life.plan(date(2026, 12, 20))) == {"deal_not_shown"}


def test_a_deal_that_holds_another_invoice_waits_and_a_memo_that_a_person_changed_matters_not():
    life = Life(world())
    life.day(date(2026, 11, 20))
    life.world.invoices[0]["private_note"] = f"Salesforce Opportunity {DEAL}, paid by card"
    assert life.day(date(2026, 12, 10)) == ["Deal 1 (period 2 of 12): 83.33"]
    life.world.opportunities[0]["invoice_id"] = "999"
    assert codes(life.plan(date(2027, 1, 10))) == {"holds_other_invoice"}


@pytest.mark.parametrize(
    ("note", "code"),
    [
        ("Salesforce Opportunity {deal}", "invoice_of_no_period"),
        ("Salesforce Opportunity {deal}\nBilling period 1 (2026-11-10 to 2026-12-09)", "period_billed_twice"),
    ],
)
def test_an_invoice_that_is_no_period_or_a_second_one_makes_the_deal_wait(note: str, code: str) -> None:
    life = Life(world())
    life.day(date(2026, 11, 20))
    life.world.invoices.append(invoice(9, opportunity_id=DEAL, private_note=note.format(deal=DEAL)))
    plan = life.plan(date(2026, 12, 20))
    assert codes(plan) == {code}
    assert operations(plan) == []


def test_a_deal_with_a_plain_invoice_never_gets_a_schedule():
    made = world()
    made.invoices = [invoice(opportunity_id=DEAL, private_note=f"Salesforce Opportunity {DEAL}")]
    plan = made.plan(as_of=date(2027, 5, 1))
    assert operations(plan) == ["write_back_opportunity"]
    assert plan.agreements.is_empty()


def test_a_voided_period_is_not_billed_again():
    life = Life(world())
    life.day(date(2026, 11, 20))
    life.world.invoices[0] |= {"status": "voided", "total": Decimal(0), "balance": Decimal(0)}
    plan = life.plan(date(2026, 11, 21))
    assert operations(plan) == []
    assert status_of(plan)[0] == "voided"
    told = plan.refusals.row(0, named=True)
    assert told["code"] == "period_taken_back"
    assert "it is not billed again: 1001 of 2026-11-10 over 83.37 USD." in told["reason"]
    assert outcomes(plan) == {"Deal 1": "scheduled"}
    assert life.day(date(2026, 12, 10)) == ["Deal 1 (period 2 of 12): 83.33"]


# Changes


def test_until_something_is_billed_the_schedule_follows_the_deal():
    life = Life(world())
    life.day(date(2026, 11, 9))
    life.change("2400.00")
    plan = life.plan(date(2026, 11, 9))
    assert operations(plan) == []
    assert plan.agreements.get_column("version").to_list() == [2]
    assert life.day(date(2026, 11, 10)) == ["Deal 1 (period 1 of 12): 200.00"]


def test_a_change_waits_for_a_person_and_is_the_same_question_every_day():
    life = Life(world())
    life.day(date(2026, 11, 20))
    life.change("2400.00")
    first, second = (life.plan(day).writes.row(0, named=True) for day in (date(2026, 12, 20), date(2026, 12, 21)))
    assert operations(life.last) == ["change_schedule"]
    assert (first["plan_id"], first["key"]) == (second["plan_id"], second["key"])
    assert (first["amount"], first["target_system"]) == (Decimal("1400.00"), "qbsf")
    assert status_of(life.last)[1] == "held"
    (message,) = question_messages([first], "#finance", {DEAL: "https://org.example/1"})
    assert f"qbsf approve {first['plan_id']}" in str(message.blocks)


def test_an_approved_change_is_billed_from_then_on_with_the_difference_of_what_was_billed():
    life = Life(world())
    life.day(date(2026, 11, 20))
    life.change("2400.00")
    life.answer(date(2026, 12, 20), "approved")
    assert life.day(date(2026, 12, 20)) == ["Deal 1 (period 2 of 12): 200.00", "Deal 1 (difference): 116.63"]
    for month in range(1, 11):
        life.day(date(2027, month, 10))
    assert sum(one["total"] for one in life.world.invoices) == Decimal("2400.00")
    assert life.day(date(2028, 1, 1)) == []


def test_what_a_person_rejected_stays_rejected_while_the_next_periods_are_billed_as_agreed():
    life = Life(world())
    life.day(date(2026, 11, 20))
    life.change("2400.00")
    life.answer(date(2026, 11, 25), "rejected")
    asked = life.plan(date(2026, 11, 26)).writes.filter(pl.col("operation") == "change_schedule")
    for month, day in enumerate((date(2026, 12, 10), date(2027, 1, 10), date(2027, 2, 10)), start=2):
        assert life.day(day) == [f"Deal 1 (period {month} of 12): 83.33"]
        again = life.plan(day).writes.filter(pl.col("operation") == "change_schedule")
        assert again.get_column("key").to_list() == asked.get_column("key").to_list()
    life.change("3600.00")
    (other,) = life.plan(date(2027, 2, 11)).writes.filter(pl.col("operation") == "change_schedule").get_column("key")
    assert other not in asked.get_column("key")


def test_a_rejected_change_leaves_the_schedule_as_it_was():
    life = Life(world())
    life.day(date(2026, 11, 20))
    life.change("2400.00")
    life.answer(date(2026, 12, 20), "rejected")
    assert life.day(date(2026, 12, 20)) == ["Deal 1 (period 2 of 12): 83.33"]


def moved(second: dict[str, Any]) -> Life:
    """A deal that was moved to the account ``second`` once its first period was billed to customer 101."""
    life = Life(world())
    life.world.accounts = [account(1, customer_id="101"), second]
    life.world.customers = [customer(1), customer(2, display_name="Beta")]
    life.day(date(2026, 11, 20))
    life.world.opportunities[0]["account_id"] = second["id"]
    return life


def test_a_deal_that_moves_to_another_customer_waits_for_a_person_with_all_its_periods():
    life = moved(account(2, name="Beta", customer_id="102"))
    plan = life.plan(date(2026, 12, 10))
    assert operations(plan) == ["change_schedule"]
    assert plan.writes.row(0, named=True)["reason"].startswith("The deal moved to the account “Beta”; ")
    assert status_of(plan)[1] == "held"
    life.answer(date(2026, 12, 10), "rejected")
    assert codes(life.plan(date(2026, 12, 10))) == {"move_rejected"}
    assert "create_invoice" not in operations(life.last)


def test_a_move_that_a_person_approves_bills_the_other_customer_from_then_on():
    life = moved(account(2, name="Beta", customer_id="102"))
    life.answer(date(2026, 12, 10), "approved")
    assert life.day(date(2026, 12, 10)) == ["Deal 1 (period 2 of 12): 83.33"]
    life.world.invoices[-1]["customer_id"] = "102"
    assert operations(life.plan(date(2027, 1, 9))) == []


def test_the_account_that_is_left_of_a_merge_is_the_same_customer_and_nobody_is_asked():
    life = moved(account(2, name="Acme"))
    life.world.accounts = [account(1, customer_id="101", is_deleted=True), account(2, name="Acme", customer_id="101")]
    assert life.day(date(2026, 12, 10)) == ["Deal 1 (period 2 of 12): 83.33"]


def credited() -> Life:
    """A deal that became smaller once its first period was billed; the change is approved, the credit memo is not."""
    life = Life(world())
    life.day(date(2026, 11, 20))
    life.change("120.00")
    assert "73.37 USD is to be credited" in life.answer(date(2026, 12, 20), "approved")
    assert life.day(date(2026, 12, 20)) == ["Deal 1 (period 2 of 12): 10.00"]
    return life


def test_what_is_told_of_a_credit_memo_can_be_approved_on_any_later_day() -> None:
    life = credited()
    plans = [life.plan(day).writes.row(0, named=True) for day in (date(2026, 12, 20), date(2027, 1, 3))]
    assert {row["operation"] for row in plans} == {"create_credit_memo"}
    assert len({row["plan_id"] for row in plans}) == 1
    assert len({row["payload"] for row in plans}) == 2


def test_a_smaller_deal_proposes_a_credit_memo_that_waits_for_a_person() -> None:
    life = credited()
    plan = life.plan(date(2026, 12, 21))
    assert operations(plan) == ["create_credit_memo", "write_back_account"]
    row = plan.writes.row(0, named=True)
    assert (row["operation"], row["target_object"], row["amount"]) == ("create_credit_memo", "CreditMemo", Decimal("-73.37"))
    body = parse_json(row["payload"])
    assert [one["Amount"] for one in body["Line"]] == [Decimal("73.37")]
    assert not {"DueDate", "SalesTermRef", "BillEmail"} & set(body)
    assert "credit_proposed" in status_of(plan).values()
    assert schedule_checks.totals_equal_the_schedules(plan.writes, plan.schedules).open
    assert row["operation"] in ALWAYS_ASKED


@pytest.mark.parametrize("remembered", [True, False])
def test_a_credit_memo_is_made_once_also_where_only_its_note_tells(remembered: bool) -> None:
    life = credited()
    row = life.plan(date(2026, 12, 21)).writes.row(0, named=True)
    note, total = parse_json(row["payload"])["PrivateNote"], Decimal("73.37")
    life.world.credit_memos = [{"id": "900", "total": total, "private_note": note, "txn_date": date(2026, 12, 21)}]
    if remembered:
        life.world.ledger.append(ledger_line(row["key"], "done", row["operation"], opportunity_id=DEAL, result_id="900"))
    plan = life.plan(date(2026, 12, 22))
    assert operations(plan) == []
    assert "credited" in status_of(plan).values()
    life.world.credit_memos[0]["total"] = Decimal("1.00")
    assert codes(life.plan(date(2026, 12, 22))) == (set() if remembered else {"period_billed_otherwise"})


@pytest.mark.parametrize(
    ("values", "status", "said"),
    [
        ({"is_won": False}, "cancelled", "The deal is lost."),
        ({"is_deleted": True}, "cancelled", "The deal was deleted in Salesforce."),
        ({"is_won": False, "is_closed": False}, "paused", "The deal was opened again."),
    ],
)
def test_a_deal_that_is_not_won_any_more_stops_at_once_and_finance_is_told(
    values: dict[str, Any], status: str, said: str
) -> None:
    life = Life(world())
    life.day(date(2026, 11, 20))
    life.world.opportunities[0] |= values
    rows = life.plan(date(2026, 12, 20)).agreements.to_dicts()
    assert kept.read(rows[0]["schedule"]).status == status
    (message,) = stopped_messages(rows, "#finance", {DEAL: "https://org.example/1"})
    assert said in str(message.blocks)
    assert life.day(date(2026, 12, 20)) == []
    assert life.plan(date(2026, 12, 21)).agreements.is_empty()


def test_a_deal_that_is_won_again_goes_on_once_a_person_says_so():
    life = Life(world())
    life.day(date(2026, 11, 20))
    life.world.opportunities[0] |= {"is_won": False, "is_closed": False}
    life.day(date(2026, 11, 21))
    life.world.opportunities[0] |= {"is_won": True, "is_closed": True}
    assert life.day(date(2026, 12, 20)) == []
    life.answer(date(2026, 12, 20), "approved")
    assert life.day(date(2026, 12, 20)) == ["Deal 1 (period 2 of 12): 83.33"]


# Billing on hold


def holding() -> Rules:
    packaged = load_rules()
    named = packaged.salesforce.opportunity.model_copy(update={"billing_on_hold": "On_Hold__c"})
    return rules(salesforce={"opportunity": named})


def hold(life: Life, *, ticked: bool = True) -> None:
    life.world.opportunities[0]["billing_on_hold"] = ticked


def test_a_schedule_on_hold_bills_nothing_at_once_and_rests_once_a_person_says_so():
    life = Life(world(), holding())
    life.day(date(2026, 11, 20))
    hold(life)
    plan = life.plan(date(2026, 12, 20))
    assert (operations(plan), codes(plan), outcomes(plan)) == (["change_schedule"], set(), {"Deal 1": "scheduled"})
    assert (status_of(plan)[1], status_of(plan)[2]) == ("held", "planned")
    same = life.plan(date(2026, 12, 21)).writes.row(0, named=True)
    assert (same["plan_id"], same["amount"]) == (plan.writes.get_column("plan_id")[0], Decimal("0.00"))
    said = life.answer(date(2026, 12, 21), "approved")
    assert said == "The deal's billing is on hold. Billing rests: 11 periods over 916.63 USD are still to come."
    assert life.day(date(2027, 1, 20)) == []
    assert set(list(status_of(life.last).values())[1:]) == {"held"}
    hold(life, ticked=False)
    assert life.day(date(2027, 1, 20)) == []
    assert "Billing goes on" in life.answer(date(2027, 1, 20), "approved")
    assert len(life.day(date(2027, 1, 20))) == 2


def test_a_hold_that_is_taken_back_before_anybody_answered_changes_nothing_and_a_rejected_one_still_bills_nothing():
    life = Life(world(), holding())
    life.day(date(2026, 11, 20))
    hold(life)
    life.answer(date(2026, 12, 9), "rejected")
    assert life.day(date(2026, 12, 20)) == []
    assert status_of(life.last)[1] == "held"
    hold(life, ticked=False)
    assert life.day(date(2026, 12, 20)) == ["Deal 1 (period 2 of 12): 83.33"]


def test_a_schedule_of_which_all_was_billed_is_asked_nothing():
    life = Life(world(), holding())
    life.day(date(2028, 1, 1))
    hold(life)
    assert operations(life.plan(date(2028, 1, 2))) == []
    assert outcomes(life.last) == {"Deal 1": "invoiced"}


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("agreed", [True, False])
def test_a_deal_of_which_nothing_was_billed_waits_while_it_is_on_hold(plain: bool, agreed: bool) -> None:
    life = Life(World() if plain else world(), holding())
    if agreed:
        # A day before anything is due: a schedule is kept already.
        life.world.agreed += agreed_schedules(life.plan(date(2026, 11, 9)).agreements.to_dicts())
    hold(life)
    plan = life.plan(date(2026, 11, 20))
    assert (operations(plan), codes(plan), outcomes(plan)) == ([], {"billing_on_hold"}, {"Deal 1": "refused"})
    assert "On_Hold__c" in plan.refusals.get_column("remedy")[0]
    hold(life, ticked=False)
    assert "create_invoice" in operations(life.plan(date(2026, 11, 20)))


def test_an_invoice_that_is_being_looked_for_is_not_lost_by_a_hold():
    life = Life(World(), holding())
    life.world.ledger = [ledger_line(invoice_key(), "sending", opportunity_id=DEAL)]
    hold(life)
    assert outcomes(life.plan(date(2026, 11, 20))) == {"Deal 1": "in_progress"}


def test_a_box_that_the_rules_do_not_name_holds_nothing():
    life = Life(world())
    hold(life)
    assert len(life.day(date(2026, 11, 20))) == 1


# Quotes


def quoted(**values: Any) -> World:
    """A deal whose products say something else than its primary quote, over 600.00."""
    quote = {"id": record_id("a0q"), "opportunity_id": DEAL, "is_primary": True, "type": "Quote", "net_amount": Decimal("600.00")}
    own = {
        "id": record_id("a0l"),
        "quote_id": record_id("a0q"),
        "number": Decimal(1),
        "product_id": record_id("01t"),
        "product_code": "PLAT",
        "product_name": "Platform",
        "quantity": Decimal(3),
        "net_price": Decimal("200.00"),
        "net_total": Decimal("600.00"),
        "is_optional": False,
    }
    return World(quotes=[{**quote, **values}], quote_lines=[own])


def test_a_deal_with_a_primary_quote_is_billed_by_its_lines():
    made = quoted()
    plan = made.plan()
    assert [one["Amount"] for one in payload(plan, "create_invoice")["Line"]] == [Decimal("600.00")]
    assert "1 line of its primary quote" in plan.writes.get_column("reason")[0]
    opportunities = made.inputs().opportunity
    totals = schedule_checks.quoted_totals(made.inputs().cpq_quote, opportunities, load_rules().cpq)
    assert schedule_checks.totals_equal_the_quotes(plan.writes, totals).open
    assert not schedule_checks.totals_equal_the_quotes(plan.writes, {DEAL: Decimal("600.01")}).open
    assert checks.totals_equal_the_deals(plan.writes, made.inputs().opportunity_line_item, totals).open


@pytest.mark.parametrize(
    ("values", "code"),
    [({"type": "Amendment"}, "amendment_by_hand"), ({"net_amount": Decimal("600.01")}, "quote_total_differs")],
)
def test_a_quote_that_is_no_sale_or_does_not_add_up_is_not_billed(values: dict[str, Any], code: str) -> None:
    plan = quoted(**values).plan()
    assert codes(plan) == {code}
    assert operations(plan) == []


# Gates


def test_the_gate_of_periods_closes_where_one_is_billed_already():
    life = Life(world())
    life.day(date(2026, 11, 20))
    plan = life.plan(date(2026, 12, 10)).writes
    inputs = life.world.inputs()

    def gate(invoices: pl.DataFrame) -> bool:
        return schedule_checks.no_period_is_billed_twice(plan, inputs.opportunity, invoices, known).open

    known = life.last.schedules.clear()

    assert gate(inputs.invoice)
    assert not gate(inputs.invoice.with_columns(private_note=pl.lit("Billing period 2 (2026-12-10 to 2027-01-09)")))
    assert not gate(inputs.invoice.with_columns(private_note=pl.lit("by hand")))
    assert not gate(inputs.invoice.clear())
    known = life.last.schedules
    assert gate(inputs.invoice.clear())
    assert gate(inputs.invoice.with_columns(private_note=pl.lit("by hand")))
    assert checks.no_deal_is_billed_twice(plan, inputs.opportunity, inputs.invoice).open
    assert schedule_checks.totals_equal_the_schedules(plan, life.last.schedules).open
    wrong = life.last.schedules.with_columns(amount=pl.col("amount") + Decimal("0.01"))
    assert not schedule_checks.totals_equal_the_schedules(plan, wrong).open
