"""Deals whose periods recurring templates of QuickBooks bill, as the plan sees them day after day: never both, never neither."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from qbsf_pipeline.flows.approval import ALWAYS_ASKED
from qbsf_pipeline.invoices import checks, template_checks
from qbsf_pipeline.invoices.plan import InvoicePlan
from qbsf_pipeline.invoices.recurring.known_templates import CREATE, DELETE, TAKE_OVER, deal_templates
from qbsf_pipeline.invoices.recurring.templates import found_invoice
from qbsf_pipeline.invoices.schedule_messages import question_messages, template_messages
from qbsf_pipeline.invoices.schedule_tables import agreed_schedules, changed_schedule
from qbsf_pipeline.money import parse_json, to_json
from qbsf_pipeline.quickbooks.templates import unwrapped
from qbsf_pipeline.settings import Rules
from qbsf_pipeline.state.ledger import LedgerEntry
from qbsf_pipeline_tests.invoices.records import (
    REALM,
    World,
    account,
    codes,
    customer,
    invoice,
    item,
    ledger_line,
    operations,
    opportunity,
    outcomes,
    payload,
    product,
    record_id,
    rules,
)
from qbsf_pipeline_tests.invoices.recurring.ledger import template_write

DEAL = record_id("006")
STARTS = date(2026, 11, 10)
WON = date(2026, 11, 20)
BY_TEMPLATE = rules(recurring={"bill_by": "template"})


class Life:
    """A company that makes templates and runs them, and what the program remembers of it."""

    def __init__(self, of: World | None = None, with_rules: Rules = BY_TEMPLATE) -> None:
        deal = opportunity(billing_frequency="Monthly", billing_periods=12, billing_start_date=STARTS)
        self.world, self.rules = of or World(opportunities=[deal]), with_rules
        self.writes: list[LedgerEntry] = []
        self.listed: dict[str, dict[str, Any]] = {}
        self.records: dict[str, dict[str, Any]] = {}
        self.last: InvoicePlan | None = None

    def plan(self, day: date) -> InvoicePlan:
        now = datetime.combine(day, time(9), UTC)
        self.world.templates = list(deal_templates(self.writes, self.listed.values(), now, now))
        deals = {one["id"]: one["opportunity_id"] for one in self.world.invoices}
        self.world.template_invoices = [found_invoice(record, deals[number]) for number, record in self.records.items()]
        self.last = self.world.plan(self.rules, as_of=day)
        return self.last

    def day(self, day: date) -> list[str]:
        """Plan and carry out a day; labels and amounts of what bills."""
        plan = self.plan(day)
        self.world.agreed += agreed_schedules(plan.agreements.to_dicts())
        found = plan.template_invoices.select("opportunity_id", "invoice_id").to_dicts()
        known = {link["invoice_id"] for link in self.world.invoice_links}
        self.world.invoice_links += [{**row, "method": "template"} for row in found if row["invoice_id"] not in known]
        made = []
        for row in plan.writes.filter(pl.col("target_system") == "quickbooks").to_dicts():
            if row["operation"] in (CREATE, "create_invoice"):
                made.append(f"{row['label']}: {row['amount']}")
            self.carry_out(row, day)
        return made

    def carry_out(self, row: dict[str, Any], day: date) -> None:
        """What a push does."""
        done_at = datetime.combine(day, time(10), UTC)
        if row["operation"] == "create_invoice":
            number = self.bill(parse_json(row["payload"]), day, None)
            self.world.ledger.append(ledger_line(row["key"], "done", opportunity_id=DEAL, result_id=number, done_on=day))
        elif row["operation"] in (CREATE, DELETE, TAKE_OVER):
            template_id = str(1483 + len(self.listed)) if row["operation"] == CREATE else str(parse_json(row["payload"])["Id"])
            if row["operation"] in ALWAYS_ASKED and self.world.approvals.get(row["plan_id"]) != "approved":
                return
            body = parse_json(row["payload"])
            entry = template_write(
                row["operation"], body=body, key=row["key"], opportunity_id=DEAL, result_id=template_id, done_at=done_at
            )
            result = to_json({"deleted_at": done_at.isoformat()})
            self.writes.append(replace(entry, result=result, decided_from=row["decided_from"]))
            if row["operation"] == CREATE:
                form = {"Id": template_id, **unwrapped(body)}
                info = form["RecurringInfo"]
                self.listed[template_id] = {
                    "id": template_id,
                    "name": info["Name"],
                    "active": True,
                    "recur_type": "Automated",
                    "opportunity_id": DEAL,
                    "is_deleted": False,
                    "record": to_json(form),
                }
            elif template_id in self.listed:
                self.listed[template_id]["is_deleted"] = True

    def bill(self, body: dict[str, Any], day: date, template_id: str | None, **values: Any) -> str:
        number = len(self.world.invoices) + 1
        total = sum((Decimal(str(one["Amount"])) for one in body["Line"]), Decimal(0))
        given = {"opportunity_id": DEAL, "private_note": body["PrivateNote"], "recurring_id": template_id, **values}
        row = invoice(number, total=total, balance=total, txn_date=day, email_status="NotSet", bill_email="a@b.example", **given)
        self.world.invoices.append(row)
        reference = {"RecurDataRef": {"value": row["recurring_id"]}} if row["recurring_id"] else {}
        if template_id is not None:
            record = {**body, **reference, "Id": row["id"], "TxnDate": day.isoformat(), "CustomerRef": {"value": "101"}}
            self.records[row["id"]] = record
        return str(row["id"])

    def run(self, day: date, template_id: str = "1483", **values: Any) -> None:
        """The template makes its invoice of a day."""
        self.bill(parse_json(self.listed[template_id]["record"]), day, template_id, **values)

    def change(self, total: str) -> None:
        self.world.opportunities[0]["amount"] = Decimal(total)
        self.world.lines[0] |= {"total_price": Decimal(total), "unit_price": Decimal(total) / 2}

    def approve(self, day: date, operation: str) -> str:
        row = self.plan(day).writes.filter(pl.col("operation") == operation).row(0, named=True)
        self.world.approvals[row["plan_id"]] = "approved"
        if operation == "change_schedule":
            self.world.agreed.append(changed_schedule(parse_json(row["payload"]), "pat"))
        return str(row["reason"])

    def forget(self) -> None:
        """The state is lost."""
        self.world.ledger, self.world.agreed, self.world.invoice_links, self.writes = [], [], [], []


def begun() -> Life:
    """The first period was billed by qbsf, and the other eleven are left to a template."""
    life = Life()
    assert life.day(WON) == ["Deal 1 (period 1 of 12): 83.37", "Deal 1 (template of 11 periods): 916.63"]
    return life


def month(number: int) -> date:
    """The day of a period, from 0."""
    return date(2026 + (10 + number) // 12, (10 + number) % 12 + 1, 10)


def shown(life: Life) -> dict[int, tuple[str, str | None]]:
    assert life.last is not None
    return {row["period"]: (row["status"], row["why"]) for row in life.last.schedules.iter_rows(named=True)}


def test_what_is_alike_and_still_to_come_is_one_row_that_makes_a_template() -> None:
    life = Life()
    plan = life.plan(WON)
    assert operations(plan).count(CREATE) == 1
    row = plan.writes.filter(pl.col("operation") == CREATE).row(0, named=True)
    assert row["key"] == f"quickbooks:{REALM}:template:{DEAL}:1:1"
    assert (row["target_object"], row["amount"], row["txn_date"]) == ("RecurringTransaction", Decimal("916.63"), month(1))
    assert row["reason"].startswith(
        "A recurring template of QuickBooks bills 11 periods from 2026-12-10 to 2027-10-10, every month, 916.63 USD"
    )
    body = payload(plan, CREATE)["Invoice"]
    assert body["PrivateNote"] == f"Salesforce Opportunity {DEAL}"
    assert (body["EmailStatus"], body["BillEmail"]) == ("NeedToSend", {"Address": "ap@acme1.example"})
    assert not {"TxnDate", "DueDate", "DocNumber"} & set(body)
    assert body["RecurringInfo"]["Name"] == f"Deal 1 {DEAL} 2"
    days = body["RecurringInfo"]["ScheduleInfo"]
    assert (days["StartDate"], days["MaxOccurrences"], days["DayOfMonth"]) == ("2026-12-10", 11, 10)
    # The template mails its invoices itself, and the deal is told of each of them once it is there.
    assert operations(plan).count("send_invoice") == operations(plan).count("write_back_opportunity") == 1
    assert template_checks.templates_bill_open_periods(plan.writes, plan.schedules).open
    assert life.plan(WON).writes.equals(plan.writes)


@pytest.mark.parametrize(
    ("with_rules", "preferences"),
    [
        (rules(recurring={"bill_by": "schedule"}), {}),
        (BY_TEMPLATE, {"custom_document_numbers": True}),
    ],
)
def test_no_template_is_made_where_the_rules_or_the_company_do_not_have_it(with_rules: Rules, preferences: dict) -> None:
    life = Life(with_rules=with_rules)
    life.world.preferences |= preferences
    assert CREATE not in operations(life.plan(WON))


def test_where_nothing_is_mailed_the_template_mails_nothing() -> None:
    quiet = BY_TEMPLATE.model_copy(update={"invoices": BY_TEMPLATE.invoices.model_copy(update={"send": "draft"})})
    assert "EmailStatus" not in payload(Life(with_rules=quiet).plan(WON), CREATE)["Invoice"]


def test_a_template_counts_in_the_gates_as_an_invoice_over_all_that_it_bills() -> None:
    life = Life()
    plan = life.plan(WON)
    limits = BY_TEMPLATE.gates.model_copy(update={"max_amount_otherwise": Decimal(999), "max_amount": {}})
    customers = pl.DataFrame({"id": ["101"], "active": [True], "currency": ["USD"], "is_deleted": [False]})
    assert not checks.within_blast_radius(plan.writes, customers, limits, {}, "B-1").open
    preferences = pl.DataFrame({"home_currency": ["USD"], "multi_currency": [False], "book_close_date": [month(1)]})
    assert checks.every_invoice_has_a_confirmed_customer(plan.writes, customers).open
    assert not checks.every_invoice_has_a_confirmed_customer(plan.writes, customers.clear()).open
    assert checks.currencies_agree(plan.writes, customers, preferences).open
    assert not checks.currencies_agree(plan.writes, customers.with_columns(currency=pl.lit("EUR")), preferences).open
    assert not checks.books_are_open(plan.writes, preferences).open


@pytest.mark.parametrize(
    "change",
    [
        pl.when(pl.col("period") == 3).then(pl.lit("901")).otherwise("invoice_id").alias("invoice_id"),
        pl.when(pl.col("period") == 3).then(pl.lit("due")).otherwise("status").alias("status"),
        pl.when(pl.col("period") == 3).then(pl.lit(Decimal("1.00"))).otherwise("amount").cast(pl.Decimal(18, 2)).alias("amount"),
        pl.when(pl.col("period") == 3).then(pl.lit(STARTS)).otherwise("due_on").alias("due_on"),
        pl.lit("once").alias("kind"),
    ],
)
def test_the_gate_closes_where_a_template_would_bill_anything_but_open_periods(change: pl.Expr) -> None:
    plan = Life().plan(WON)
    assert not template_checks.templates_bill_open_periods(plan.writes, plan.schedules.with_columns(change)).open


def test_what_a_template_bills_is_not_billed_by_qbsf_and_is_recognised_month_by_month() -> None:
    life = begun()
    assert life.day(WON) == []
    assert shown(life)[1] == ("planned", f"QuickBooks' template “Deal 1 {DEAL} 2” bills it.")
    assert outcomes(life.last) == {"Deal 1": "scheduled"}
    for number in range(1, 12):
        life.run(month(number))
        assert life.day(month(number)) == []
        told = payload(life.last, "write_back_opportunity")
        assert told[BY_TEMPLATE.salesforce.opportunity.invoice_id] == life.world.invoices[-1]["id"]
        assert "send_invoice" not in operations(life.last)
        life.world.opportunities[0]["invoice_id"] = life.world.invoices[-1]["id"]
        assert shown(life)[number][0] == "invoiced"
    assert sum(one["total"] for one in life.world.invoices) == Decimal("1000.00")
    assert life.day(date(2028, 1, 1)) == []
    assert outcomes(life.last) == {"Deal 1": "invoiced"}
    assert len(life.world.invoice_links) == 11


@pytest.mark.parametrize(
    "sign", [{}, {"recurring_id": None}, {"opportunity_id": None}, {"recurring_id": None, "opportunity_id": None}]
)
def test_an_invoice_of_the_template_is_recognised_by_whatever_sign_is_left(sign: dict[str, Any]) -> None:
    life = begun()
    life.run(month(1), **sign)
    assert life.day(month(1)) == []
    assert shown(life)[1][0] == "invoiced"
    assert codes(life.last) == set()
    assert [link["invoice_id"] for link in life.world.invoice_links] == ["302"]


def test_without_memory_the_template_is_found_by_its_name_and_no_second_one_is_made() -> None:
    life = begun()
    life.run(month(1))
    life.day(month(1))
    life.forget()
    assert life.day(month(2)) == []
    assert life.day(month(2)) == []
    assert codes(life.last) == set()
    assert [shown(life)[number][0] for number in range(4)] == ["invoiced", "invoiced", "planned", "planned"]
    life.run(month(2))
    life.day(month(2))
    assert shown(life)[2][0] == "invoiced"


def test_a_template_whose_answer_is_looked_for_keeps_its_deal_from_being_billed() -> None:
    life = begun()
    life.writes = [replace(life.writes[0], status="sending", result_id=None, sent_body=life.writes[0].payload)]
    life.listed = {}
    assert life.day(month(2)) == []
    assert "its answer is being looked for" in life.last.deals.row(0, named=True)["detail"]


def test_an_approved_change_deletes_the_template_and_the_next_one_is_made_after_a_pull() -> None:
    life = begun()
    life.run(month(1))
    life.day(month(1))
    life.change("2400.00")
    assert operations(life.plan(month(1)))[-1:] == ["change_schedule"]
    life.approve(month(1), "change_schedule")
    plan = life.plan(month(1))
    assert [one for one in operations(plan) if one in (CREATE, DELETE, TAKE_OVER, "create_invoice")] == [DELETE]
    assert "It bills 83.33 USD on 2027-01-10, and the deal says 200.00 USD." in plan.writes.row(-1, named=True)["reason"]
    life.day(month(1))
    assert set(operations(life.plan(month(1)))) <= {"write_back_opportunity"}
    assert "deleted" in life.last.deals.row(0, named=True)["detail"]
    later = month(1) + timedelta(days=1)
    assert life.day(later) == ["Deal 1 (difference): 233.30", "Deal 1 (template of 10 periods): 2000.00"]
    assert life.writes[-1].key == f"quickbooks:{REALM}:template:{DEAL}:1:2"
    total = sum(one["total"] for one in life.world.invoices) + Decimal("2000.00")
    assert total == Decimal("2400.00")


def test_another_product_for_the_same_money_or_another_customer_takes_another_template() -> None:
    life = begun()
    assert operations(life.plan(WON + timedelta(days=1))) == ["write_back_opportunity"]
    life.world.products.append(product(2, product_code="OTHER", name="Other"))
    life.world.items.append(item(2, name="Other", fully_qualified_name="Other", sku="OTHER"))
    life.world.lines[0] |= {"product_id": record_id("01t", 2), "product_code": "OTHER"}
    life.approve(WON + timedelta(days=1), "change_schedule")
    row = life.plan(WON + timedelta(days=1)).writes.row(-1, named=True)
    assert (row["operation"], "other products or quantities" in row["reason"]) == (DELETE, True)

    life = begun()
    life.world.accounts.append(account(2))
    life.world.customers.append(customer(2))
    life.world.opportunities[0]["account_id"] = record_id("001", 2)
    reasons = life.plan(WON + timedelta(days=1)).writes.filter(pl.col("operation") == DELETE).get_column("reason").to_list()
    assert "It bills customer 101, and the deal is billed to customer 102." in reasons[0]


def test_an_invoice_that_was_made_before_the_deletion_is_recognised_first() -> None:
    life = begun()
    life.rules = rules(recurring={"bill_by": "schedule"})
    life.run(month(1))
    life.plan(WON)
    life.day(month(1))
    assert [one.operation for one in life.writes] == [CREATE, DELETE]
    assert life.day(month(2)) == ["Deal 1 (period 3 of 12): 83.33"]
    assert shown(life)[1][0] == "invoiced"


def test_a_template_that_is_made_again_for_the_same_first_period_has_another_key_and_name() -> None:
    life = begun()
    life.rules = rules(recurring={"bill_by": "schedule"})
    life.day(WON)
    life.rules = BY_TEMPLATE
    assert life.day(WON + timedelta(days=1)) == ["Deal 1 (template of 11 periods): 916.63"]
    assert life.writes[-1].key == f"quickbooks:{REALM}:template:{DEAL}:1:1:2"
    assert life.listed["1484"]["name"] == f"Deal 1 {DEAL} 2.2"


@pytest.mark.parametrize("change", [{"is_won": False}, {"is_won": False, "is_closed": False}, {"is_deleted": True}])
@pytest.mark.parametrize("remembered", [True, False])
def test_a_deal_that_is_not_won_any_more_deletes_its_template_at_once(change: dict[str, Any], remembered: bool) -> None:
    life = begun()
    life.world.opportunities[0] |= change
    if not remembered:
        life.forget()
    plan = life.plan(WON)
    assert operations(plan) == [DELETE]
    assert plan.writes.row(0, named=True)["operation"] not in ALWAYS_ASKED
    if remembered:
        (agreed,) = plan.agreements.to_dicts()
        assert agreed["told"]
        assert agreed["sentence"].endswith(f"QuickBooks' template “Deal 1 {DEAL} 2” is deleted.")
    life.day(WON)
    assert operations(life.plan(month(5))) == []
    (message,) = template_messages([("key", "Deal 1", "https://org.example/1", plan.writes.row(0, named=True)["reason"])], "#f")
    assert "1 recurring template of QuickBooks made or deleted" in message.text


@pytest.mark.parametrize("remembered", [True, False])
def test_while_billing_is_on_hold_there_is_no_template(remembered: bool) -> None:
    salesforce = BY_TEMPLATE.salesforce
    fields = salesforce.opportunity.model_copy(update={"billing_on_hold": "On_Hold__c"})
    holding = BY_TEMPLATE.model_copy(update={"salesforce": salesforce.model_copy(update={"opportunity": fields})})
    life = begun()
    life.rules = holding
    life.world.opportunities[0]["billing_on_hold"] = True
    if not remembered:
        life.forget()
    assert DELETE in operations(life.plan(WON))
    life.day(WON)
    assert life.day(month(1)) == []
    life.world.opportunities[0]["billing_on_hold"] = False
    assert life.day(month(1)) == ["Deal 1 (period 2 of 12): 83.33", "Deal 1 (template of 10 periods): 833.30"]


def test_a_deal_that_is_not_shown_any_more_says_that_its_template_goes_on() -> None:
    life = begun()
    life.world.opportunities = []
    (refused,) = life.plan(WON).refusals.to_dicts()
    assert (refused["code"], "goes on" in refused["reason"]) == ("deal_not_shown", True)


def test_an_invoice_that_a_template_made_after_its_deal_was_lost_is_told() -> None:
    life = begun()
    life.world.opportunities[0] |= {"is_won": False}
    life.day(WON)
    life.run(month(1))
    assert codes(life.plan(month(1))) == {"invoiced_after_stop"}
    life.world.invoices[-1] |= {"status": "voided"}
    assert codes(life.plan(month(1))) == set()


def test_a_template_that_makes_no_invoice_is_told_and_its_period_is_billed_by_nobody_else() -> None:
    life = begun()
    assert life.day(month(1) + timedelta(days=6)) == []
    assert codes(life.last) == set()
    assert life.day(month(1) + timedelta(days=7)) == []
    assert codes(life.last) == {"template_silent"}
    life.run(month(1))
    assert codes(life.plan(month(1) + timedelta(days=8))) == set()


@pytest.mark.parametrize("gone", [{"is_deleted": True}, {"active": False}])
def test_what_a_template_leaves_undone_is_billed_by_qbsf_once_a_person_said_so(gone: dict[str, Any]) -> None:
    life = begun()
    life.run(month(1))
    life.day(month(1))
    life.listed["1483"] |= gone
    assert life.day(month(3)) == []
    assert shown(life)[2][0] == "held"
    row = life.last.writes.filter(pl.col("operation") == TAKE_OVER).row(0, named=True)
    (message,) = question_messages([row], "#finance", {DEAL: "https://org.example/1"})
    assert "qbsf would bill the 10 periods from 2027-01-10 to 2027-10-10 over 833.30 USD itself." in str(message.blocks)
    life.approve(month(3), TAKE_OVER)
    assert life.day(month(3)) == []
    made = life.day(month(3) + timedelta(days=1))
    assert made == ["Deal 1 (period 3 of 12): 83.33", "Deal 1 (period 4 of 12): 83.33"]
    for number in range(4, 12):
        assert len(life.day(month(number))) == 1
    assert sum(one["total"] for one in life.world.invoices) == Decimal("1000.00")


def test_invoices_of_a_template_that_a_person_made_are_placed_and_qbsf_waits_for_the_next_one() -> None:
    life = Life(with_rules=rules())
    life.day(WON)
    note = f"Salesforce Opportunity {DEAL}"
    line = {"Amount": "83.33", "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {"ItemRef": {"value": "9"}}}
    life.bill({"PrivateNote": note, "Line": [line]}, month(1), "77")
    assert life.day(month(1)) == []
    assert shown(life)[1][0] == "invoiced"
    assert life.day(month(2)) == []
    assert shown(life)[2] == ("held", "A recurring template that a person made bills the deal; qbsf waits for its invoice.")
    assert life.day(month(2) + timedelta(days=4)) == ["Deal 1 (period 3 of 12): 83.33"]


def test_an_invoice_whose_date_a_person_moved_bills_its_period_once_the_person_links_it_to_the_deal() -> None:
    life = begun()
    life.run(month(1) + timedelta(days=9))
    later = month(1) + timedelta(days=12)
    assert codes(life.plan(later)) == {"template_invoice_unplaced"}
    life.world.invoice_links.append({"opportunity_id": DEAL, "invoice_id": "302", "method": "person"})
    assert codes(life.plan(later)) == set()
    assert [shown(life)[number][0] for number in (1, 2)] == ["invoiced", "planned"]


def test_an_invoice_that_a_person_changed_before_it_was_seen_waits_until_it_is_corrected_or_owned() -> None:
    life = begun()
    life.run(month(1))
    life.world.invoices[-1] |= {"total": Decimal("80.00")}
    plan = life.plan(month(1))
    assert codes(plan) == {"period_billed_otherwise"}
    assert "qbsf review link-invoice" in plan.refusals.row(0, named=True)["remedy"]
    life.world.invoice_links.append({"opportunity_id": DEAL, "invoice_id": "302", "method": "person"})
    assert codes(life.plan(month(1))) == set()
    # Once it was taken for the deal's, a later change of it is the books' business.
    life.world.invoice_links[-1]["method"] = "template"
    assert codes(life.plan(month(1))) == set()


def test_a_rejected_change_does_not_keep_the_deal_from_its_template() -> None:
    life = Life(with_rules=rules(recurring={"bill_by": "schedule"}))
    life.day(WON)
    life.change("2400.00")
    life.rules = BY_TEMPLATE
    plan = life.plan(WON)
    assert CREATE not in operations(plan)
    life.world.approvals[plan.writes.filter(pl.col("operation") == "change_schedule").row(0, named=True)["plan_id"]] = "rejected"
    assert CREATE in operations(life.plan(WON))


def test_a_second_invoice_of_the_template_for_one_day_makes_the_deal_wait_until_it_is_voided_or_owned() -> None:
    life = begun()
    life.run(month(1))
    life.run(month(1) + timedelta(days=1))
    assert codes(life.plan(month(1))) == {"template_invoice_unplaced"}
    life.world.invoice_links.append({"opportunity_id": DEAL, "invoice_id": "303", "method": "person"})
    assert codes(life.plan(month(1))) == set()
    life.world.invoice_links.pop()
    life.world.invoices[-1] |= {"status": "voided"}
    assert codes(life.plan(month(1))) == set()
