"""A case for each class: what it is called, why, who acts, what finance reads, and what counts in which month."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from qbsf_pipeline.reconciliation.classes import CLASSES
from qbsf_pipeline_tests.reconciliation.month import (
    billing,
    credit,
    deal,
    deal_id,
    invoice,
    line,
    memo,
    month_end,
    outcome,
    refusal,
    sold,
)

FEBRUARY, APRIL = date(2026, 2, 27), date(2026, 4, 2)
EUR: dict[str, Any] = {"currency": "EUR"}
ONE, BOTH = ("700",), ("700", "300")
GOLD_AND_SILVER = [sold("Gold", "700"), sold("Silver", "300")]


@dataclass(frozen=True)
class Told:
    """What is found of one case: its rows are (month, won, invoiced), with the currency where it is not USD."""

    name: str
    given: dict[str, Any]
    code: str
    cause: str | None
    acts: str
    says: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...] = ((3, "1000.00", "1000.00"),)
    since: date | None = field(default=None)


def each(*rows: tuple[Any, ...]) -> tuple[tuple[Any, ...], ...]:
    return rows


TOLD = (
    Told(
        "matched",
        {"deals": [deal()], "invoices": [invoice()]},
        "matched",
        None,
        "nobody",
        ("Invoice 1001 bills the whole deal: 1,000.00 USD.",),
    ),
    Told(
        "matched with several invoices and tax",
        {"deals": [deal()], "invoices": [invoice(1, "440", tax="40"), invoice(2, "660", tax="60")]},
        *("matched", None, "nobody", ("Invoices 1001, 1002 bill the whole deal",)),
    ),
    Told(
        "an amendment that is billed with the deal that made the contract",
        {
            "deals": [deal(2, "300")],
            "outcomes": [
                outcome("amends", "Its difference of 300.00 USD is billed with the deal “Deal 1”.", of=2, billed_with=1)
            ],
        },
        "amended",
        "billed_with_another",
        "nobody",
        ("The deal over 300.00 USD won on 10 Mar 2026 amends another one. Its difference of 300.00 USD is billed with the deal",),
        rows=((3, "300.00", "0.00"),),
        since=date(2026, 3, 10),
    ),
    Told(
        "amendments that are billed with the deal, and all of them are",
        {
            "deals": [deal()],
            "invoices": [invoice(1, "650"), invoice(2, "650", dated=APRIL)],
            "outcomes": [outcome("amends", of=2, billed_with=1, difference="300")],
        },
        "amended",
        "bills_amendments",
        "nobody",
        ("bills amendments of its contract over 300.00 USD with it: 1,300.00 USD is billed so far with invoices 1001, 1002.",),
        rows=((3, "1000.00", "650.00"), (4, "0.00", "650.00")),
        since=date(2026, 3, 10),
    ),
    Told(
        "an amendment that takes off, while the deal is billed in part",
        {
            "deals": [deal()],
            "invoices": [invoice(1, "500")],
            "outcomes": [outcome("amends", of=2, billed_with=1, difference="-300")],
        },
        "amended",
        "bills_amendments",
        "nobody",
        ("over -300.00 USD with it: 500.00 USD is billed so far with invoice 1001; 200.00 USD is still to be billed.",),
        rows=((3, "1000.00", "500.00"),),
        since=date(2026, 3, 10),
    ),
    Told(
        "more is billed than amendments explain",
        {
            "deals": [deal()],
            "invoices": [invoice(1, "1400")],
            "outcomes": [outcome("amends", of=2, billed_with=1, difference="300")],
        },
        *("unexplained", "billed_more", "finance", ("400.00 USD is billed too much",)),
        rows=((3, "1000.00", "1400.00"),),
        since=date(2026, 3, 10),
    ),
    Told(
        "cents off",
        {"deals": [deal()], "invoices": [invoice(1, "1000.05")]},
        *("rounding", None, "nobody", ("0.05 USD is rounding",)),
        rows=((3, "1000.00", "1000.05"),),
        since=date(2026, 3, 10),
    ),
    Told(
        "six cents off with seven lines",
        {
            "deals": [deal()],
            "invoices": [invoice(1, "1000.06")],
            "invoice_lines": [line("Item", "142.87") for _ in range(7)],
        },
        *("rounding", None, "nobody", ("0.06 USD",)),
        rows=((3, "1000.00", "1000.06"),),
        since=date(2026, 3, 10),
    ),
    Told(
        "invoiced in the month before",
        {"deals": [deal()], "invoices": [invoice(dated=FEBRUARY)]},
        *("invoiced_in_advance", None, "nobody", ("27 Feb 2026", "closed on 10 Mar 2026")),
        rows=((2, "0.00", "1000.00"), (3, "1000.00", "0.00")),
        since=FEBRUARY,
    ),
    Told(
        "invoiced just after month end",
        {"deals": [deal(closed=date(2026, 3, 31))], "invoices": [invoice(dated=APRIL, total="1000.01")]},
        *("invoiced_later", "month_end", "nobody", ("2 days later", "0.01 USD of the difference is rounding")),
        rows=((3, "1000.00", "0.00"), (4, "0.00", "1000.01")),
        since=date(2026, 3, 31),
    ),
    Told(
        "invoiced late",
        {"deals": [deal()], "invoices": [invoice(dated=APRIL)]},
        *("invoiced_later", "late", "nobody", ("23 days later",)),
        rows=((3, "1000.00", "0.00"), (4, "0.00", "1000.00")),
        since=date(2026, 3, 10),
    ),
    Told(
        "refused by sales' fault",
        {
            "deals": [deal()],
            "outcomes": [outcome("refused", "…")],
            "refusals": [
                refusal("payment_terms_missing", "The deal has no payment terms.", "Choose them."),
                refusal("contract_url_missing", "The deal has no link to its signed contract.", "Fill it.", position=2),
            ],
        },
        *("not_invoiced", "payment_terms_missing, contract_url_missing", "sales"),
        says=("1,000.00 USD won on 10 Mar 2026 is not invoiced: The deal has no payment terms. The deal has no link", "Fill it."),
        rows=((3, "1000.00", "0.00"),),
        since=date(2026, 3, 10),
    ),
    Told(
        "refused by what finance mends",
        {
            "deals": [deal()],
            "outcomes": [outcome("refused")],
            "refusals": [refusal("product_without_item", "No item for “Größe XL”.", "Create the item.")],
        },
        *("not_invoiced", "product_without_item", "finance", ("No item for “Größe XL”. Create the item.",)),
        rows=((3, "1000.00", "0.00"),),
        since=date(2026, 3, 10),
    ),
    *(
        Told(
            f"not invoiced: {what}",
            {"deals": [deal()], "outcomes": [outcome(what, "Detail.")], "held": held},
            *("not_invoiced", cause, acts, (says,)),
            rows=((3, "1000.00", "0.00"),),
            since=date(2026, 3, 10),
        )
        for what, held, cause, acts, says in (
            ("waiting", "", "customer_in_review", "finance", "is not invoiced. Detail."),
            ("planned", "2,100 invoices in one pass.", "held", "finance", "waits. 2,100 invoices in one pass."),
            ("planned", "", "planned", "nobody", "goes out with the next pass"),
            ("in_progress", "", "in_progress", "nobody", "Detail."),
            ("dead", "", "failed", "finance", "Detail."),
        )
    ),
    Told(
        "closed yesterday, nothing known yet",
        {"deals": [deal(closed=date(2026, 4, 19))]},
        *("not_invoiced", "not_due", "nobody", ("closed only just now",)),
        rows=((4, "1000.00", "0.00"),),
        since=date(2026, 4, 19),
    ),
    Told(
        "just billed and not read back",
        {
            "deals": [deal()],
            "outcomes": [outcome("invoiced", "The invoice was created before.")],
            "billings": [billing(7, done_on=date(2026, 4, 20))],
        },
        *("not_invoiced", "not_read_yet", "nobody", ("qbsf has just made the invoice",)),
        rows=((3, "1000.00", "0.00"),),
        since=date(2026, 3, 10),
    ),
    Told(
        "no sign of anything",
        {"deals": [deal()]},
        *("unexplained", "no_reason_known", "finance", ("no reason is known",)),
        rows=((3, "1000.00", "0.00"),),
        since=date(2026, 3, 10),
    ),
    Told(
        "billed long ago and nowhere to be found",
        {"deals": [deal()], "outcomes": [outcome("invoiced", "The deal holds invoice 77.")], "billings": [billing(7)]},
        *("unexplained", "invoice_not_found", "finance", ("The deal holds invoice 77.", "look for it")),
        rows=((3, "1000.00", "0.00"),),
        since=date(2026, 3, 10),
    ),
    Told(
        "before go-live",
        {"deals": [deal()], "go_live": date(2026, 3, 11), "outcomes": [outcome("before_go_live")]},
        *("before_go_live", None, "nobody", ("before qbsf went live on 11 Mar 2026",)),
        rows=((3, "1000.00", "0.00"),),
        since=date(2026, 3, 10),
    ),
    *(
        Told(
            f"billed in parts: {cause}",
            {"deals": [deal(**more)], "invoices": invoices, "invoice_lines": lines, "deal_lines": GOLD_AND_SILVER},
            *("partly_invoiced", cause, "nobody", (says, "300.00 USD of 1,000.00 USD is billed so far")),
            rows=((3, "1000.00", "300.00"),),
            since=date(2026, 3, 10),
        )
        for cause, more, invoices, lines, says in each(
            (
                "recurring",
                {"billing_frequency": "Monthly", "billing_periods": 10},
                [invoice(1, "300")],
                [],
                "billed by a schedule, 10 periods",
            ),
            ("several_invoices", {}, [invoice(1, "200"), invoice(2, "100")], [], "billed in parts"),
            ("deposit", {}, [invoice(1, "300")], [line("Services", "300", description="30 % Deposit")], "with a deposit"),
            ("some_products", {}, [invoice(1, "300")], [line("Silver", "300")], "some of its products"),
        )
    ),
    Told(
        "the rest of the parts is overdue",
        {"deals": [deal(closed=date(2026, 1, 2))], "invoices": [invoice(n, "300", dated=date(2026, 1, 3 + n)) for n in (1, 2)]},
        *("partly_invoiced", "several_invoices", "finance", ("400.00 USD is still to be billed",)),
        rows=((1, "1000.00", "600.00"),),
        since=date(2026, 1, 4),
    ),
    Told(
        "amount changed in Salesforce",
        {"deals": [deal(amount="1250")], "invoices": [invoice()], "billings": [billing()]},
        *("amount_changed_in_salesforce", None, "sales"),
        says=(
            "made over 1,000.00 USD, and the deal is 1,250.00 USD now (last changed on 11 Apr 2026): 250.00 USD is not billed",
        ),
        rows=((3, "1250.00", "1000.00"),),
        since=date(2026, 4, 11),
    ),
    Told(
        "amount changed in QuickBooks",
        {"deals": [deal()], "invoices": [invoice(1, "1100")], "billings": [billing()]},
        *("amount_changed_in_quickbooks", None, "finance", ("is 1,100.00 USD now (last changed on 12 Apr 2026)",)),
        rows=((3, "1000.00", "1100.00"),),
        since=date(2026, 4, 12),
    ),
    Told(
        "amount changed on both sides",
        {"deals": [deal(amount="900")], "invoices": [invoice(1, "1100")], "billings": [billing()]},
        *("amount_changed_in_quickbooks", "both_changed", "finance", ("The deal is 900.00 USD.",)),
        rows=((3, "900.00", "1100.00"),),
        since=date(2026, 4, 12),
    ),
    *(
        Told(
            cause,
            {
                "deals": [deal(amount=won)],
                "invoices": [invoice(1, invoiced)],
                "billings": [] if billed is None else [billing(1, billed)],
                "deal_lines": [sold(f"P{amount}", amount) for amount in on_deal],
                "invoice_lines": [line(f"P{amount}", amount) for amount in on_invoice],
            },
            *("line_changed", cause, acts, (f"P300 over 300.00 USD {says}",)),
            rows=((3, f"{won}.00", f"{invoiced}.00"),),
            since=date(2026, *since),
        )
        for cause, won, invoiced, billed, on_deal, on_invoice, acts, says, since in (
            ("line_added_in_salesforce", "1000", "700", "700", BOTH, ONE, "sales", "was added to the deal", (4, 11)),
            ("line_removed_in_salesforce", "700", "1000", "1000", ONE, BOTH, "sales", "was taken off the deal", (4, 11)),
            ("line_added_in_quickbooks", "700", "1000", "700", ONE, BOTH, "finance", "was added to the invoice", (4, 12)),
            ("line_removed_in_quickbooks", "1000", "700", "1000", BOTH, ONE, "finance", "was taken off the invoice", (4, 12)),
            ("line_only_on_invoice", "700", "1000", None, ONE, BOTH, "finance", "is on the invoice and not on the deal", (3, 10)),
        )
    ),
    Told(
        "credit memo in a later month",
        {"deals": [deal()], "invoices": [invoice()], "credit_memos": [memo(dated=APRIL)], "credits": [credit()]},
        *("credited", None, "nobody", ("credit memo CM-1 of 02 Apr 2026 took 100.00 USD off invoice 1001",)),
        rows=((3, "1000.00", "1000.00"), (4, "0.00", "-100.00")),
        since=APRIL,
    ),
    Told(
        "credit memo that mends an invoice that was too high",
        {"deals": [deal()], "invoices": [invoice(1, "1100")], "credit_memos": [memo(dated=APRIL)], "credits": [credit()]},
        *("credited", None, "nobody", ("invoiced 1,000.00 USD after that",)),
        rows=((3, "1000.00", "1100.00"), (4, "0.00", "-100.00")),
        since=APRIL,
    ),
    Told(
        "credit memo for nothing",
        {"credit_memos": [memo()]},
        *("credited", "applied_to_nothing", "finance", ("CM-1 over 100.00 USD of 10 Mar 2026 is applied to no invoice",)),
        rows=((3, "0.00", "-100.00"),),
        since=date(2026, 3, 10),
    ),
    Told(
        "discount on the invoice",
        {
            "deals": [deal()],
            "invoices": [invoice(1, "900")],
            "invoice_lines": [line("Gold", "1000"), line(None, "100", kind="discount")],
        },
        *("discount", None, "nobody", ("A discount of 100.00 USD was given on invoice 1001",)),
        rows=((3, "1000.00", "900.00"),),
        since=date(2026, 3, 10),
    ),
    *(
        Told(
            f"freight: {label}",
            {
                "deals": [deal()],
                "invoices": [invoice(1, "1025")],
                "invoice_lines": [line("Gold", "1000"), line(label, "25", kind=kind)],
            },
            *("fees", None, "nobody", ("freight or fees of 25.00 USD",)),
            rows=((3, "1000.00", "1025.00"),),
            since=date(2026, 3, 10),
        )
        for label, kind in ((None, "freight"), (" HANDLING ", "item"))
    ),
    Told(
        "the deal's amount includes the tax",
        {"deals": [deal(amount="1080")], "invoices": [invoice(1, "1080", tax="80")]},
        *("tax_included", None, "sales", ("With sales tax of 80.00 USD invoice 1001 is 1,080.00 USD",)),
        rows=((3, "1080.00", "1000.00"),),
        since=date(2026, 3, 10),
    ),
    Told(
        "invoice in the home currency, rate of Salesforce",
        {
            "deals": [deal(**EUR)],
            "invoices": [invoice(1, "1102.30")],
            "exchange_rates": [{"currency": "USD", "rate": Decimal(1)}, {"currency": "EUR", "rate": Decimal("0.9")}],
        },
        *(
            "foreign_exchange",
            None,
            "nobody",
            ("The deal is 1,000.00 EUR, and invoice 1001 is 1,102.30 USD.", "that is 992.07 EUR"),
        ),
        rows=((3, "1000.00", "0.00", "EUR"), (3, "0.00", "1102.30", "USD")),
        since=date(2026, 3, 10),
    ),
    Told(
        "invoice in a foreign currency, its own rate",
        {"deals": [deal()], "invoices": [invoice(1, "900", exchange_rate=Decimal("1.10"), **EUR)]},
        *("foreign_exchange", None, "nobody", ("that is 990.00 USD; the difference of 10.00 USD",)),
        rows=((3, "0.00", "900.00", "EUR"), (3, "1000.00", "0.00", "USD")),
        since=date(2026, 3, 10),
    ),
    Told(
        "too far off the rate",
        {"deals": [deal()], "invoices": [invoice(1, "800", exchange_rate=Decimal("1.10"), **EUR)]},
        *("unexplained", "off_the_rate", "finance", ("which is 880.00 USD at the rate known",)),
        rows=((3, "0.00", "800.00", "EUR"), (3, "1000.00", "0.00", "USD")),
        since=date(2026, 3, 10),
    ),
    Told(
        "no rate known",
        {"deals": [deal()], "invoices": [invoice(1, "900", **EUR)]},
        *("unexplained", "rate_unknown", "finance", ("no rate between USD and EUR is known",)),
        rows=((3, "0.00", "900.00", "EUR"), (3, "1000.00", "0.00", "USD")),
        since=date(2026, 3, 10),
    ),
    Told(
        "voided, with its last known total",
        {
            "deals": [deal()],
            "invoices": [invoice(1, "0", status="Voided")],
            "last_known": [{"invoice_id": "1", "total": Decimal("1080"), "tax": Decimal("80")}],
        },
        *(
            "voided",
            None,
            "finance",
            ("Invoice 1001 over 1,000.00 USD was voided in QuickBooks.", "is won and has no invoice now"),
        ),
        rows=((3, "1000.00", "0.00"),),
        since=date(2026, 4, 12),
    ),
    Told(
        "voided and billed again",
        {"deals": [deal()], "invoices": [invoice(1, "0", status="Voided"), invoice(2)]},
        *("matched", None, "nobody", ("1,000.00 USD",)),
    ),
    Told(
        "deleted",
        {"deals": [deal()], "invoices": [invoice(status="Deleted")]},
        *("deleted", None, "finance", ("Invoice 1001 over 1,000.00 USD was deleted in QuickBooks.",)),
        rows=((3, "1000.00", "0.00"),),
        since=date(2026, 4, 12),
    ),
    Told(
        "voided, of no deal",
        {"invoices": [invoice(1, "0", of=None, status="Voided")]},
        *("voided", None, "nobody", ("It was linked to no deal.",)),
        rows=((3, "0.00", "0.00"),),
        since=date(2026, 4, 12),
    ),
    Told(
        "two invoices of one amount",
        {"deals": [deal()], "invoices": [invoice(1), invoice(2)], "billings": [billing()]},
        *("duplicate_invoice", None, "finance", ("Invoices 1001 and 1002", "1,000.00 USD is billed too much")),
        rows=((3, "1000.00", "2000.00"),),
        since=date(2026, 3, 10),
    ),
    Told(
        "billed again on a person's order",
        {"deals": [deal()], "invoices": [invoice(1), invoice(2)], "billings": [billing(1), billing(2, generation=2)]},
        *("billed_again", None, "finance", ("A person had the deal billed again",)),
        rows=((3, "1000.00", "2000.00"),),
        since=date(2026, 3, 10),
    ),
    Told(
        "monthly invoices of one amount are no duplicates",
        {
            "deals": [deal(amount="1200", billing_frequency="monthly", billing_periods=12)],
            "invoices": [invoice(1, "100"), invoice(2, "100", dated=APRIL, recurring_id="7")],
        },
        *("partly_invoiced", "recurring", "nobody", ("200.00 USD of 1,200.00 USD",)),
        rows=((3, "1200.00", "100.00"), (4, "0.00", "100.00")),
        since=date(2026, 3, 10),
    ),
    *(
        Told(
            f"without a deal: {cause}",
            {"invoices": [invoice(of=None, **more)]},
            *("invoice_without_deal", cause, "finance", ("Invoice 1001 to O'Brien GmbH of 10 Mar 2026 over 1,000.00 USD", says)),
            rows=((3, "0.00", "1000.00"),),
            since=date(2026, 3, 10),
        )
        for cause, more, says in each(
            ("made_by_hand", {}, "is linked to no deal. Link it to its deal, or accept it."),
            ("recurring", {"recurring_id": "12"}, "recurring template"),
            ("deal_not_found", {"marked_deal": deal_id(404)}, f"names the deal {deal_id(404)}, which Salesforce does not show"),
        )
    ),
    *(
        Told(
            f"deal {status} after invoicing",
            {"deals": [deal(**more)], "invoices": [invoice()]},
            *("deal_reopened", status, "sales", (says, "Void or credit what was billed")),
            rows=((3, "0.00", "1000.00"),),
            since=date(2026, 4, 11),
        )
        for status, more, says in each(
            ("lost", {"is_won": False}, "the deal is lost"),
            ("open", {"is_won": False, "is_closed": False}, "the deal is open again"),
            ("deleted", {"is_deleted": True}, "the deal is deleted in Salesforce"),
        )
    ),
    Told(
        "invoice on somebody else",
        {"deals": [deal()], "invoices": [invoice(customer_id="C9")]},
        *(
            "customer_mismatch",
            None,
            "finance",
            ("is on the customer Zenith, and the deal's account O\u2019Brien is linked to other",),
        ),
        since=date(2026, 3, 10),
    ),
    Told(
        "invoice on a project of the customer",
        {"deals": [deal()], "invoices": [invoice(customer_id="C2")]},
        *("matched", None, "nobody", ()),
    ),
    Told(
        "a person linked the invoice to the deal",
        {"deals": [deal()], "invoices": [invoice(customer_id="C9", linked_by="person")]},
        *("matched", None, "nobody", ()),
    ),
    Told(
        "written off by a journal entry",
        {"deals": [deal()], "invoices": [invoice(written_off=Decimal("250"))]},
        *("written_off", None, "nobody", ("250.00 USD of invoice 1001 over 1,000.00 USD was written off.",)),
        since=date(2026, 3, 10),
    ),
    Told(
        "written off by a credit memo against bad debts",
        {
            "deals": [deal()],
            "invoices": [invoice(written_off=Decimal("400"))],
            "credit_memos": [memo(total="400", dated=APRIL)],
            "credits": [credit(amount="400", is_write_off=True)],
        },
        *("written_off", "credit_memo", "nobody", ("400.00 USD", "by credit memo CM-1 of 02 Apr 2026")),
        rows=((3, "1000.00", "1000.00"), (4, "0.00", "-400.00")),
        since=APRIL,
    ),
    *(
        Told(
            f"by hand, and {cause}",
            {"deals": [deal()], "invoices": [invoice(1, total)]},
            *("unexplained", cause, "finance", (says,)),
            rows=((3, "1000.00", f"{total}.00"),),
            since=date(2026, 3, 10),
        )
        for cause, total, says in (
            ("billed_less", "640", "360.00 USD is not billed, and no rule explains it"),
            ("billed_more", "1640", "640.00 USD is billed too much, and no rule explains it"),
        )
    ),
)


@pytest.mark.parametrize("told", TOLD, ids=lambda told: told.name)
def test_a_case_has_the_class_of_the_first_rule_that_is_true(told: Told) -> None:
    found = month_end(**told.given)
    in_other_months = {"matched"} if told.name == "credit memo in a later month" else set()
    assert set(found.cases.get_column("class")) == {told.code} | in_other_months
    row = found.cases.row(0, named=True)
    assert (row["cause"], row["acts"], row["since"]) == (told.cause, told.acts, told.since)
    for words in told.says:
        assert words in row["explanation"]
    assert tuple(
        (row["month"].month, str(row["won"]), str(row["invoiced"]), row["currency"]) for row in found.cases.iter_rows(named=True)
    ) == tuple((*one, "USD")[:4] for one in told.rows)


def test_every_class_has_an_example_here() -> None:
    assert {told.code for told in TOLD} == {known.code for known in CLASSES}


def test_a_credit_memo_explains_only_the_month_in_which_it_is() -> None:
    found = month_end(
        deals=[deal(closed=FEBRUARY)],
        invoices=[invoice(dated=date(2026, 3, 3))],
        credit_memos=[memo(dated=APRIL)],
        credits=[credit()],
    )
    assert [(row["month"].month, row["class"], str(row["difference"])) for row in found.cases.iter_rows(named=True)] == [
        (2, "invoiced_later", "1000.00"),
        (3, "invoiced_later", "-1000.00"),
        (4, "credited", "100.00"),
    ]
    assert found.bridge.filter(found.bridge["class"] == "credited").get_column("month").to_list() == [date(2026, 4, 1)]


def test_a_contested_invoice_leaves_its_deals_unexplained_and_says_so() -> None:
    found = month_end(
        deals=[deal(1), deal(2)],
        invoices=[invoice(of=None)],
        outcomes=[outcome("invoiced"), outcome("invoiced", of=2)],
        contested=[{"invoice_id": "1", "opportunity_id": deal_id(n)} for n in (1, 2)],
    )
    rows = {row["case_key"]: row for row in found.cases.iter_rows(named=True)}
    assert rows[f"deal:{deal_id(1)}"]["cause"] == "contested"
    assert "2 deals name the same invoice" in rows[f"deal:{deal_id(2)}"]["explanation"]
    assert rows["invoice:1"]["class"] == "invoice_without_deal"


def test_an_invoice_by_hand_is_said_to_look_like_the_one_deal_of_its_customer_and_amount_and_is_not_linked() -> None:
    found = month_end(deals=[deal(), deal(2, "55")], invoices=[invoice(of=None, dated=date(2026, 3, 25))])
    told = {row["case_key"]: row for row in found.cases.iter_rows(named=True)}
    assert "The deal Deal 1, closed on 10 Mar 2026, has the same customer and amount" in told["invoice:1"]["explanation"]
    assert told["invoice:1"]["opportunity_id"] is None
    assert told[f"deal:{deal_id(1)}"]["class"] == "unexplained"


@pytest.mark.parametrize(
    "more",
    [
        {"deals": [deal(), deal(2)], "invoices": [invoice(of=None)]},
        {"deals": [deal()], "invoices": [invoice(1, of=None), invoice(2, of=None)]},
        {"deals": [deal(closed=date(2025, 11, 1))], "invoices": [invoice(of=None)]},
        {"deals": [deal()], "invoices": [invoice(of=None, customer_id="C9")]},
    ],
    ids=["two deals", "two invoices", "long before", "another customer"],
)
def test_no_deal_is_named_where_more_than_one_could_be_meant_or_the_day_or_customer_is_another(more: dict[str, Any]) -> None:
    found = month_end(**more)
    assert not any("The deal Deal" in text for text in found.cases.get_column("explanation"))


def test_amounts_are_written_with_groups_and_their_sign() -> None:
    found = month_end(deals=[deal(amount="12345678.9")], invoices=[invoice(1, "12345678.90")])
    assert "12,345,678.90 USD" in found.cases.item(0, "explanation")
    negative = month_end(deals=[deal(amount="-1234.5")], outcomes=[outcome("refused", "It is below 0.")])
    assert negative.cases.item(0, "explanation").startswith("-1,234.50 USD won on")
    assert negative.totals.item(0, "won") == Decimal("-1234.50")
