"""Amendments and renewals of CPQ as the plan sees them: what bills their difference, who is asked, and nothing twice."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbsf_pipeline.invoices.amendments import SoldDeal, laid_over
from qbsf_pipeline.invoices.line_sources.sold import SoldLines
from qbsf_pipeline.invoices.plan import InvoicePlan
from qbsf_pipeline.invoices.recurring import kept
from qbsf_pipeline.invoices.recurring.amending import amend
from qbsf_pipeline.invoices.recurring.due import due_periods
from qbsf_pipeline.invoices.recurring.periods import months_later
from qbsf_pipeline_tests.invoices.contracts import CONTRACT, ENDS, MONTHLY, STARTS, Contracted, deal_id
from qbsf_pipeline_tests.invoices.records import codes, invoice, invoice_key, ledger_line, operations, outcomes, record_id, rules
from qbsf_pipeline_tests.invoices.recurring.deals import RULES, TERMS, schedule, sold

DAY_ONE, DAY_TWO = date(2026, 11, 20), date(2026, 12, 20)


def month(number: int) -> date:
    """The day on which the period of that number from 0 falls due."""
    return months_later(STARTS, number)


def details(plan: InvoicePlan) -> dict[str, str]:
    return dict(plan.deals.select("deal", "detail").iter_rows())


def billed_until(company: Contracted, number: int) -> None:
    for place in range(number):
        company.day(month(place))


def test_an_amendment_is_one_question_on_the_deal_that_made_the_contract_and_bills_nothing_itself() -> None:
    company = Contracted()
    billed_until(company, 2)
    company.amend(2, "900.00")
    first, second = (company.questions(DAY_TWO + timedelta(days=days)) for days in (0, 1))
    assert [row["key"] for row in first] == [row["key"] for row in second]
    (row,) = first
    assert (row["source_id"], row["amount"]) == (deal_id(1), Decimal("900.00"))
    assert row["reason"].startswith(
        "With the amendments of its contract, “Deal 2” (+900.00 USD from 2027-02-10): The schedule changes from 1,200.00 USD "
        "to 2,100.00 USD (reprice); 200.00 USD in 2 periods was billed and stays;"
    )
    plan = company.plan(DAY_TWO)
    assert outcomes(plan) == {"Deal 1": "scheduled", "Deal 2": "amends"}
    assert details(plan)["Deal 2"] == (
        "Its difference of 900.00 USD is billed with the deal “Deal 1” once a person approves the change of that deal's schedule."
    )
    company.answer(DAY_TWO)
    plan = company.plan(DAY_TWO)
    assert operations(plan) == []
    assert details(plan)["Deal 2"] == "Its difference of 900.00 USD is billed with the deal “Deal 1”."
    told = plan.deals.filter(pl.col("outcome") == "amends").row(0, named=True)
    assert (told["billed_with"], told["difference"]) == (deal_id(1), Decimal("900.00"))
    made = [company.day(month(place)) for place in range(2, 14)]
    assert made[0] == ["Deal 1 (period 3 of 12): 100.00"]
    assert made[1] == ["Deal 1 (period 4 of 12): 200.00"]
    assert company.total == Decimal("2100.00")


def test_an_amendment_that_takes_off_billed_periods_is_credited_once_a_person_says_so_twice() -> None:
    company = Contracted()
    billed_until(company, 2)
    company.amend(2, "-600.00", starts=STARTS)
    (sentence,) = company.answer(DAY_TWO)
    assert "“Deal 2” (-600.00 USD from 2026-11-10)" in sentence
    assert "100.00 USD is to be credited" in sentence
    assert company.day(DAY_TWO) == []
    assert company.day(DAY_TWO, credit=True) == ["Deal 1 (credit): -100.00"]
    for place in range(2, 13):
        company.day(month(place), credit=True)
    assert company.total == Decimal("600.00")
    assert outcomes(company.plan(ENDS)) == {"Deal 1": "invoiced", "Deal 2": "amends"}


@pytest.mark.parametrize("change", [{"is_won": False}, {"is_deleted": True}, {"is_won": False, "is_closed": False}])
def test_an_amendment_that_is_not_won_any_more_is_taken_off_again_by_a_question(change: dict[str, Any]) -> None:
    company = Contracted()
    billed_until(company, 1)
    company.amend(2, "900.00")
    company.answer(DAY_ONE)
    company.deal(2).update(change)
    (row,) = company.questions(DAY_TWO)
    assert row["reason"].startswith(
        "Without amendments of its contract, which are not won any more or billed otherwise: The schedule changes"
    )
    assert row["amount"] == Decimal("-900.00")
    company.answer(DAY_TWO)
    for place in range(1, 13):
        company.day(month(place))
    assert company.total == Decimal("1200.00")


def test_a_rejected_amendment_is_not_billed_and_says_so_while_the_deal_goes_on_as_agreed() -> None:
    company = Contracted()
    billed_until(company, 1)
    company.amend(2, "900.00", starts=month(1))
    assert company.day(month(1)) == []
    company.answer(month(1), "rejected")
    assert codes(company.plan(month(1))) == {"amendment_rejected"}
    assert company.day(month(1)) == ["Deal 1 (period 2 of 12): 100.00"]
    # What is asked now is another thing: a period more was billed without it.
    company.answer(month(1), "rejected")
    plan = company.plan(month(1))
    assert (codes(plan), outcomes(plan)["Deal 2"]) == ({"amendment_rejected"}, "refused")


def test_amendments_are_laid_over_each_other_the_oldest_first_and_asked_together() -> None:
    company = Contracted()
    company.amend(3, "100.00", starts=month(10), close_date=date(2026, 11, 1))
    company.amend(2, "900.00")
    assert company.day(DAY_ONE) == ["Deal 1 (period 1 of 12): 100.00"]
    (sentence,) = company.answer(DAY_ONE)
    assert "“Deal 2” (+900.00 USD from 2027-02-10), “Deal 3” (+100.00 USD from 2027-09-10)" in sentence
    for place in range(1, 13):
        company.day(month(place))
    assert company.total == Decimal("2200.00")


def test_an_amendment_asks_also_before_anything_of_the_deal_is_billed() -> None:
    company = Contracted()
    company.day(date(2026, 11, 9))
    company.amend(2, "900.00")
    assert [row["source_id"] for row in company.questions(date(2026, 11, 9))] == [deal_id(1)]
    assert company.day(date(2026, 11, 10)) == ["Deal 1 (period 1 of 12): 100.00"]


def test_an_amendment_on_hold_is_not_laid_over_before_it_is_let_go_and_stays_once_it_is_agreed() -> None:
    held = rules(salesforce={"opportunity": rules().salesforce.opportunity.model_copy(update={"billing_on_hold": "On_Hold__c"})})
    company = Contracted(with_rules=held)
    billed_until(company, 1)
    company.amend(2, "900.00", billing_on_hold=True)
    plan = company.plan(DAY_TWO)
    assert company.questions(DAY_TWO) == []
    assert (outcomes(plan)["Deal 2"], codes(plan)) == ("refused", {"billing_on_hold"})
    company.deal(2)["billing_on_hold"] = False
    assert len(company.answer(DAY_TWO)) == 1
    company.deal(2)["billing_on_hold"] = True
    assert company.questions(DAY_TWO) == []
    assert outcomes(company.plan(DAY_TWO))["Deal 2"] == "amends"


@pytest.mark.parametrize(("agreed", "outcome"), [(True, "amends"), (False, "refused")])
def test_the_amendment_of_a_deal_on_hold_never_bills_itself(agreed: bool, outcome: str) -> None:
    held = rules(salesforce={"opportunity": rules().salesforce.opportunity.model_copy(update={"billing_on_hold": "On_Hold__c"})})
    company = Contracted(with_rules=held)
    if agreed:
        billed_until(company, 1)
        company.amend(2, "900.00")
        company.answer(DAY_ONE)
    else:
        company.amend(2, "900.00")
    company.deal(1)["billing_on_hold"] = True
    plan = company.plan(month(1))
    assert outcomes(plan)["Deal 2"] == outcome
    assert deal_id(2) not in plan.writes.get_column("source_id").to_list()


def test_what_does_not_fit_is_a_reason_on_the_amendment_while_the_deal_is_billed_as_agreed() -> None:
    company = Contracted()
    billed_until(company, 1)
    company.amend(2, "900.00", ends=date(2028, 2, 9))
    company.amend(3, "-5000.00")
    plan = company.plan(month(1))
    assert codes(plan) == {"amendment_outside_schedule", "amendment_below_zero"}
    assert company.day(month(1)) == ["Deal 1 (period 2 of 12): 100.00"]
    assert company.questions(month(1)) == []


def unknown(company: Contracted) -> None:
    company.world.quotes[1] |= {"contract_opportunity_id": None}


def two_deals(company: Contracted) -> None:
    other = {"id": record_id("a0q", 9), "opportunity_id": deal_id(9), "contract_opportunity_id": deal_id(7)}
    company.world.quotes.append({**company.world.quotes[1], **other})


def itself(company: Contracted) -> None:
    company.world.quotes[1] |= {"contract_opportunity_id": deal_id(2)}


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (unknown, "amendment_by_hand", "Nothing tells which deal made it; looked at were the opportunity on the contract"),
        (two_deals, "amendment_by_hand", "Several deals are told to have made it: “Deal 1”, 006000000000007AAA."),
        (itself, "amendment_by_hand", f"the contract {CONTRACT}: its lines are differences"),
        (lambda company: company.world.quotes[1].update(contract_id=None), "amendment_by_hand", "its quote does not name"),
        (lambda company: company.deal(1).update(is_won=False), "amended_deal_not_won", "“Deal 1”, which is not won"),
        (lambda company: company.deal(1).update(account_id=record_id("001", 2)), "amended_account_differs", "another account"),
        (lambda company: company.world.opportunities.pop(0), "amended_deal_not_shown", deal_id(1)),
        (lambda company: company.deal(1).update(billing_periods=None), "amended_deal_waits", "“Deal 1”"),
    ],
)
def test_an_amendment_whose_contract_is_not_clear_waits_with_what_was_looked_for(change: Any, code: str, says: str) -> None:
    company = Contracted()
    billed_until(company, 1)
    company.amend(2, "900.00", line={"effective_end_date": ENDS})
    if code == "amended_deal_waits":
        company.world.quotes[0] |= {"end_date": None}
    change(company)
    plan = company.plan(DAY_TWO)
    (row,) = plan.refusals.filter(pl.col("opportunity_id") == deal_id(2)).to_dicts()
    assert (row["code"], row["remedy"] != "") == (code, True)
    assert says in row["reason"]
    assert outcomes(plan)["Deal 2"] == "refused"
    assert deal_id(2) not in plan.writes.get_column("source_id").to_list()


def test_the_subscriptions_of_a_contract_tell_its_deal_and_an_amendment_of_an_amendment_names_the_same() -> None:
    company = Contracted()
    company.amend(2, "900.00", told=False)
    company.amend(3, "100.00", starts=month(10), told=False)
    company.world.subscriptions = [
        {"id": record_id("a0z", place), "contract_id": CONTRACT, "quote_line_id": record_id("a0l", line)}
        for place, line in enumerate([11, 21], start=1)
    ]
    company.day(DAY_ONE)
    (row,) = company.questions(DAY_ONE)
    assert (row["source_id"], row["amount"]) == (deal_id(1), Decimal("1000.00"))


# The deal that made the contract is one plain invoice


def plain(**values: Any) -> Contracted:
    company = Contracted(monthly=False, **values)
    assert company.day(DAY_ONE) == ["Deal 1: 1200.00"]
    return company


def test_the_difference_of_a_plain_deal_is_billed_once_by_the_amendment_after_a_person_approved_it() -> None:
    company = plain()
    company.amend(2, "900.00")
    assert company.day(DAY_TWO) == []
    assert outcomes(company.plan(DAY_TWO))["Deal 2"] == "scheduled"
    assert company.answer(DAY_TWO) == [
        "The deal amends the contract of the deal “Deal 1”, which is not billed period by period: its difference of 900.00 USD "
        "is billed by itself."
    ]
    assert company.day(date(2027, 3, 1)) == ["Deal 2 (difference): 900.00"]
    assert company.world.invoices[-1]["private_note"] == (
        f"Salesforce Opportunity {deal_id(2)}\nBilling difference 1 (2027-02-10 to 2027-11-09)"
    )
    plan = company.plan(date(2027, 3, 2))
    assert (operations(plan), outcomes(plan)["Deal 2"]) == ([], "invoiced")
    company.forget()
    assert company.questions(date(2027, 3, 3)) == company.day(date(2027, 3, 3)) == []
    assert company.day(date(2027, 3, 4)) == []


def test_a_difference_that_changed_after_it_was_billed_is_one_more_question() -> None:
    company = plain()
    company.amend(2, "900.00")
    company.answer(DAY_TWO)
    company.day(DAY_TWO)
    company.world.quote_lines[1] |= {"net_total": Decimal("700.00"), "net_price": Decimal("700.00")}
    company.world.quotes[1]["net_amount"] = Decimal("700.00")
    (row,) = company.questions(DAY_TWO)
    assert row["amount"] == Decimal("-200.00")
    company.answer(DAY_TWO)
    assert company.day(DAY_TWO, credit=True) == ["Deal 2 (credit): -200.00"]
    assert company.total == Decimal("1900.00")
    assert company.questions(date(2027, 3, 1)) == company.day(date(2027, 3, 1), credit=True) == []


@pytest.mark.parametrize("remembered", [True, False])
@pytest.mark.parametrize("total", ["900.00", "-300.00"])
def test_what_an_amendment_billed_itself_is_not_laid_over_a_schedule_that_comes_later(total: str, remembered: bool) -> None:
    company = Contracted(monthly=False)
    company.deal(1)["contract_url"] = None
    company.amend(2, total)
    company.answer(DAY_ONE)
    assert len(company.day(DAY_ONE, credit=True)) == 1
    if not remembered:
        company.forget()
    company.deal(1).update(MONTHLY, contract_url="https://contracts.example/1")
    for place in range(13):
        company.day(month(place), credit=True)
    assert company.questions(ENDS) == []
    assert company.total == Decimal("1200.00") + Decimal(total)


def test_the_difference_below_zero_of_a_plain_deal_is_a_credit_memo_that_a_person_approves() -> None:
    company = plain()
    company.amend(2, "-300.00")
    plan = company.plan(DAY_TWO)
    row = plan.writes.filter(pl.col("operation") == "create_credit_memo").row(0, named=True)
    assert (row["source_id"], row["amount"]) == (deal_id(2), Decimal("-300.00"))
    assert row["reason"].startswith("The deal takes something off a contract that was billed already: 1 line")
    assert company.day(DAY_TWO, credit=True) == ["Deal 2 (credit): -300.00"]
    for _ in range(2):
        plan = company.plan(date(2027, 3, 1))
        assert "create_credit_memo" not in operations(plan)
        assert outcomes(plan)["Deal 2"] == "amends"
        company.forget()


@pytest.mark.parametrize("totals", [("0.00",), ("100.00", "-100.00")])
def test_an_amendment_of_nothing_bills_nothing_and_says_so(totals: tuple[str, ...]) -> None:
    company = plain()
    company.amend(2, *totals)
    plan = company.plan(DAY_TWO)
    assert outcomes(plan)["Deal 2"] == "amends"
    assert "nothing to bill" in details(plan)["Deal 2"]
    assert codes(plan) == set()


def test_a_deal_from_before_go_live_leaves_its_amendment_to_itself_and_a_rejected_one_says_so() -> None:
    company = Contracted()
    company.deal(1)["close_date"] = date(2026, 9, 1)
    company.amend(2, "900.00")
    company.answer(DAY_TWO, "rejected")
    plan = company.plan(DAY_TWO)
    assert (codes(plan), outcomes(plan)) == ({"first_bill_rejected"}, {"Deal 1": "before_go_live", "Deal 2": "refused"})
    company.answer(DAY_TWO)
    assert company.day(DAY_TWO) == ["Deal 2 (difference): 900.00"]


def test_an_amendment_that_was_billed_by_hand_changes_no_schedule() -> None:
    company = Contracted()
    billed_until(company, 1)
    company.amend(2, "900.00", invoice_id="777")
    assert company.questions(DAY_TWO) == []
    assert outcomes(company.plan(DAY_TWO))["Deal 2"] == "invoiced"


# A lost memory


@pytest.mark.parametrize(("lost_on", "asked"), [(2, 1), (3, 1), (4, 0), (12, 0)])
def test_a_lost_memory_bills_and_credits_nothing_again(lost_on: int, asked: int) -> None:
    company = Contracted()
    billed_until(company, 2)
    company.amend(2, "900.00")
    company.answer(DAY_TWO)
    company.amend(3, "-240.00", starts=STARTS)
    company.answer(DAY_TWO)
    assert company.day(DAY_TWO, credit=True) == ["Deal 1 (credit): -40.00"]
    for place in range(2, 13):
        if place == lost_on:
            company.forget()
            assert company.day(month(place - 1), credit=True) == []
            # What no invoice tells of is asked once more.
            assert len(company.answer(month(place - 1))) == asked
        company.day(month(place), credit=True)
    assert company.total == Decimal("1860.00")
    assert len(company.world.credit_memos) == 1


def test_a_memory_that_was_lost_before_the_answer_asks_again() -> None:
    company = Contracted()
    billed_until(company, 2)
    company.amend(2, "900.00", starts=month(1))
    company.forget()
    company.day(DAY_TWO)
    (row,) = company.questions(DAY_TWO)
    assert row["amount"] == Decimal("900.00")
    company.answer(DAY_TWO)
    for place in range(2, 13):
        company.day(month(place))
    assert company.total == Decimal("2100.00")


@settings(max_examples=60)
@given(
    deltas=st.lists(
        st.tuples(st.decimals("-300", "2000", places=2), st.integers(0, 11), st.integers(0, 11)), min_size=1, max_size=4
    )
)
def test_whatever_is_amended_what_is_billed_and_credited_is_the_deal_with_its_amendments_to_the_cent(
    deltas: list[tuple[Decimal, int, int]],
) -> None:
    base = schedule(sold("1200.00"), start_date=STARTS)
    agreed, billed = base, dict[int, date]()
    total, refused = Decimal(0), set[str]()
    for place in range(14):
        won = [
            amendment(number, delta, month(starts)) for number, (delta, starts, on) in enumerate(deltas) if on <= place and delta
        ]
        laid = laid_over(base, won, RULES)
        refused = set(laid.refused)
        agreed = amend(agreed, billed, laid.wanted, month(place)).schedule
        assert amend(agreed, billed, laid.wanted, month(place)).kind == "none"
        assert agreed.total == Decimal("1200.00") + sum(
            (one.difference for one in won if one.deal["id"] not in refused), Decimal(0)
        )
        due = due_periods(agreed, billed, month(place), RULES)
        now = [*(one.period for one in due.bill), *due.credits]
        total += sum((one.amount for one in now), Decimal(0))
        billed |= {one.number: month(place) for one in now}
        assert agreed == kept.read(kept.written(agreed))
    assert total == agreed.total


def amendment(number: int, delta: Decimal, starts: date) -> SoldDeal:
    line = sold(delta, 20, start_date=starts, end_date=ENDS, charge="recurring")
    deal = {"id": deal_id(number), "name": f"Deal {number}", "close_date": starts}
    return SoldDeal(deal, SoldLines("cpq_quote", (line,), change="amendment"), TERMS)


# Renewals


def renewing(
    *, monthly: bool = True, starts: date = ENDS + timedelta(days=1), renewals: str = "ask", **values: Any
) -> Contracted:
    company = Contracted(with_rules=rules(cpq={"renewals": renewals}))
    billed_until(company, 1)
    terms = {"billing_frequency": "Monthly", "billing_periods": 12, "billing_start_date": starts} if monthly else {}
    company.quoted(
        2, "1200.00", kind="Renewal", starts=starts, ends=months_later(starts, 12) - timedelta(days=1), **terms, **values
    )
    return company


def test_a_renewal_waits_for_a_person_who_reads_until_when_the_other_is_billed() -> None:
    company = renewing()
    (row,) = company.questions(DAY_ONE)
    assert row["reason"] == (
        f"The deal renews the contract {CONTRACT} of the deal “Deal 1”, which is billed until 2027-11-09. 1,200.00 USD in 12 "
        "monthly invoices from 2027-11-10 to 2028-10-10, 100.00 USD each."
    )
    assert outcomes(company.plan(DAY_ONE))["Deal 2"] == "scheduled"
    assert company.day(ENDS + timedelta(days=1)) == [f"Deal 1 (period {place} of 12): 100.00" for place in range(2, 13)]
    company.answer(DAY_ONE)
    assert company.day(ENDS + timedelta(days=1)) == ["Deal 2 (period 1 of 12): 100.00"]
    company.forget()
    assert company.questions(ENDS + timedelta(days=2)) == []


def test_a_renewal_that_is_one_plain_invoice_waits_too_and_is_billed_once() -> None:
    company = renewing(monthly=False)
    assert company.day(DAY_ONE) == []
    company.answer(DAY_ONE)
    assert company.day(DAY_ONE) == ["Deal 2 (period 1 of 1): 1200.00"]
    assert company.day(DAY_TWO)[:1] == ["Deal 1 (period 2 of 12): 100.00"]
    company.forget()
    assert company.questions(DAY_TWO) == company.day(DAY_TWO) == []
    assert outcomes(company.plan(DAY_TWO))["Deal 2"] == "invoiced"


@pytest.mark.parametrize(("starts", "asked"), [(ENDS + timedelta(days=1), False), (ENDS - timedelta(days=9), True)])
def test_a_renewal_that_is_a_sale_asks_only_where_days_would_be_billed_twice(starts: date, asked: bool) -> None:
    company = renewing(starts=starts, renewals="sale")
    questions = company.questions(DAY_ONE)
    assert bool(questions) == asked
    if asked:
        assert "Both would bill 10 days from 2027-10-31 to 2027-11-09." in questions[0]["reason"]
    plan = company.plan(DAY_ONE)
    assert (deal_id(2) in plan.agreements.get_column("opportunity_id").to_list()) != asked


def test_days_that_were_billed_already_are_named_as_well() -> None:
    company = renewing(starts=ENDS - timedelta(days=9), renewals="sale")
    for month in range(10):
        company.day(DAY_ONE + timedelta(days=31 * month))
    company.day(ENDS)
    assert "Both would bill 10 days from 2027-10-31 to 2027-11-09." in company.questions(ENDS)[0]["reason"]


def test_a_renewal_whose_contract_nobody_knows_is_asked_with_that() -> None:
    company = renewing(told=False)
    assert company.questions(DAY_ONE)[0]["reason"].startswith(
        f"The deal renews the contract {CONTRACT}; nothing tells which deal made it."
    )


def test_switched_off_schedules_leave_a_renewal_to_be_asked_and_billed_once() -> None:
    company = Contracted(monthly=False, with_rules=rules(recurring={"enabled": False}))
    company.quoted(2, "1200.00", kind="Renewal", starts=STARTS)
    assert company.day(DAY_ONE) == ["Deal 1: 1200.00"]
    company.answer(DAY_ONE)
    assert company.day(DAY_ONE) == ["Deal 2 (period 1 of 1): 1200.00"]
    assert company.day(DAY_TWO) == []


def test_a_renewal_whose_plain_invoice_is_on_its_way_is_not_asked_about() -> None:
    company = renewing(monthly=False)
    company.world.ledger.append(ledger_line(invoice_key(2), "sending", opportunity_id=deal_id(2)))
    plan = company.plan(DAY_ONE)
    assert "change_schedule" not in operations(plan)
    assert outcomes(plan)["Deal 2"] == "in_progress"


def test_a_renewal_that_was_billed_before_is_not_asked_about() -> None:
    company = renewing(monthly=False)
    company.world.invoices.append(invoice(9, opportunity_id=deal_id(2), private_note=f"Salesforce Opportunity {deal_id(2)}"))
    assert company.questions(DAY_ONE) == []
