from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qbsf_pipeline.sandbox.clock import Clock
from qbsf_pipeline.sandbox.quickbooks import (
    QuickBooksOptions,
    behave,
    receive_payment,
    seed_company,
    state,
    upsert_objects,
)
from qbsf_pipeline.sandbox.quickbooks.company import company_of
from qbsf_pipeline.sandbox.quickbooks.faults import QuickBooksFault
from qbsf_pipeline.sandbox.quickbooks.operations import write
from qbsf_pipeline.sandbox.store import Store
from qbsf_pipeline_tests.sandbox.quickbooks.conftest import NOW, Books, invoice_of, payment_of


def test_a_payment_lowers_the_balance_and_bumps_the_invoice(books: Books) -> None:
    books.create("Invoice", invoice_of())
    payment = books.create("Payment", payment_of("40", ("Invoice", "1", "40")))
    assert payment["UnappliedAmt"] == 0
    assert payment["DepositToAccountRef"]["name"] == "Undeposited Funds"
    assert payment["Line"][0]["LineEx"]["any"][2]["value"] == {"Name": "txnReferenceNumber", "Value": "1001"}
    invoice = books.read("Invoice", "1")
    assert (invoice["Balance"], invoice["SyncToken"]) == (Decimal(60), "1")
    assert invoice["LinkedTxn"] == [{"TxnId": payment["Id"], "TxnType": "Payment"}]
    assert books.read("Customer", "1")["Balance"] == Decimal(60)


def test_what_is_paid_too_much_stays_unapplied(books: Books) -> None:
    books.create("Invoice", invoice_of("1", "5"))
    payment = books.create("Payment", payment_of("30", ("Invoice", "1", "30")))
    assert payment["UnappliedAmt"] == Decimal(25)
    assert payment["Line"][0]["Amount"] == Decimal(5)
    assert books.read("Invoice", "1")["Balance"] == 0
    assert books.read("Customer", "1")["Balance"] == Decimal(-25)


@pytest.mark.parametrize(
    ("payment", "code"),
    [
        ({"CustomerRef": {"value": "1"}}, "2020"),
        ({"TotalAmt": 5}, "2020"),
        (payment_of("-5"), "2290"),
        (payment_of("5", ("Invoice", "77", "5")), "610"),
        (payment_of("5", ("Bill", "1", "5")), "620"),
        (payment_of("5", ("Invoice", "1", "5"), customer="2"), "620"),
        (payment_of("5", ("Invoice", "1", "6")), "6000"),
        (payment_of("5", ("Invoice", "2", "5")), "620"),
        ({**payment_of("5"), "Line": [{"Amount": 5}]}, "2020"),
        (payment_of("5", CurrencyRef={"value": "EUR"}), "6000"),
    ],
)
def test_a_payment_that_cannot_be_applied_is_refused_and_changes_nothing(books: Books, payment: dict, code: str) -> None:
    books.create("Invoice", invoice_of())
    books.create("Invoice", invoice_of())
    books.create("Payment", payment_of("100", ("Invoice", "2", "100")))
    before = state(books.store)["Invoice"]
    assert books.refused("POST", "payment", payment)["code"] == code
    assert state(books.store)["Invoice"] == before
    assert books.query("select count(*) from Payment") == {"totalCount": 1}


def test_a_sparse_update_of_a_payment_needs_customer_and_total(books: Books) -> None:
    books.create("Invoice", invoice_of())
    payment = books.create("Payment", payment_of("40", ("Invoice", "1", "40")))
    sparse = {"Id": payment["Id"], "SyncToken": "0", "sparse": True, "PrivateNote": "x"}
    assert books.refused("POST", "payment", sparse)["code"] == "2020"
    body = {**sparse, "CustomerRef": {"value": "1"}, "TotalAmt": 40}
    assert books.create("Payment", body)["Line"][0]["Amount"] == Decimal(40)
    assert books.read("Invoice", "1")["SyncToken"] == "1"
    freed = books.create("Payment", {**body, "SyncToken": "1", "Line": []})
    assert freed["UnappliedAmt"] == Decimal(40)
    invoice = books.read("Invoice", "1")
    assert (invoice["Balance"], invoice["LinkedTxn"], invoice["SyncToken"]) == (Decimal(100), [], "2")


@pytest.mark.parametrize("undo", [{"operation": "delete"}, {"operation": "update", "include": "void"}])
def test_without_its_payment_an_invoice_is_open_again(books: Books, undo: dict) -> None:
    books.create("Invoice", invoice_of())
    payment = books.create("Payment", payment_of("40", ("Invoice", "1", "40"), PrivateNote="cheque 7"))
    body = {"Id": payment["Id"], "SyncToken": "0", "sparse": True}
    answer = books.ok("POST", "payment", body, **undo)["Payment"]
    if undo["operation"] == "update":
        assert (answer["TotalAmt"], answer["UnappliedAmt"], answer["Line"]) == (0, 0, [])
        assert answer["PrivateNote"] == "Voided - cheque 7"
    invoice = books.read("Invoice", "1")
    assert (invoice["Balance"], invoice["SyncToken"], invoice["LinkedTxn"]) == (Decimal(100), "2", [])


def test_voiding_a_paid_invoice_frees_the_payment(books: Books) -> None:
    books.create("Invoice", invoice_of())
    payment = books.create("Payment", payment_of("100", ("Invoice", "1", "100")))
    assert books.refused("POST", "invoice", {"Id": "1", "SyncToken": "0"}, operation="void")["code"] == "5010"
    voided = books.ok("POST", "invoice", {"Id": "1", "SyncToken": "1"}, operation="void")["Invoice"]
    assert (voided["LinkedTxn"], voided["SyncToken"]) == ([], "2")
    payment = books.read("Payment", payment["Id"])
    assert (payment["UnappliedAmt"], payment["Line"], payment["SyncToken"]) == (Decimal(100), [], "1")
    assert books.read("Customer", "1")["Balance"] == Decimal(-100)


def test_a_paid_invoice_cannot_be_deleted(books: Books) -> None:
    books.create("Invoice", invoice_of())
    books.create("Payment", payment_of("1", ("Invoice", "1", "1")))
    error = books.refused("POST", "invoice", {"Id": "1", "SyncToken": "1"}, operation="delete")
    assert error["code"] == "6000"


def test_an_invoice_that_becomes_smaller_than_what_is_paid_gives_the_rest_back(books: Books) -> None:
    books.create("Invoice", invoice_of("1", "100"))
    first = books.create("Payment", payment_of("60", ("Invoice", "1", "60")))
    second = books.create("Payment", payment_of("30", ("Invoice", "1", "30")))
    body = {**invoice_of("1", "50"), "Id": "1", "SyncToken": "2", "sparse": True}
    invoice = books.create("Invoice", body)
    assert (invoice["Balance"], invoice["SyncToken"]) == (0, "3")
    assert invoice["LinkedTxn"] == [{"TxnId": first["Id"], "TxnType": "Payment"}]
    assert books.read("Payment", first["Id"])["UnappliedAmt"] == Decimal(10)
    assert books.read("Payment", second["Id"])["UnappliedAmt"] == Decimal(30)
    assert books.read("Customer", "1")["Balance"] == Decimal(-40)


def test_a_credit_memo_is_used_by_a_payment_of_zero(books: Books) -> None:
    books.create("Invoice", invoice_of("1", "100"))
    memo = books.create("CreditMemo", invoice_of("1", "55"))
    assert (memo["Balance"], memo["RemainingCredit"]) == (Decimal(55), Decimal(55))
    body = payment_of("0", ("Invoice", "1", "55"), ("CreditMemo", memo["Id"], "55"))
    assert books.create("Payment", body)["UnappliedAmt"] == 0
    assert books.read("Invoice", "1")["Balance"] == Decimal(45)
    assert books.read("CreditMemo", memo["Id"])["RemainingCredit"] == 0
    # Voiding the invoice gives the credit back.
    books.ok("POST", "invoice", {"Id": "1", "SyncToken": "1"}, operation="void")
    assert books.read("CreditMemo", memo["Id"])["RemainingCredit"] == Decimal(55)
    assert books.read("Customer", "1")["Balance"] == Decimal(-55)


def test_credits_apply_themselves_where_the_company_wants_it(books: Books) -> None:
    behave(books.store, AutoApplyCredit=True)
    memo = books.create("CreditMemo", invoice_of("1", "30"))
    invoice = books.create("Invoice", invoice_of("1", "100"))
    assert invoice["Balance"] == Decimal(70)
    assert invoice["TotalAmt"] == Decimal(100)
    assert books.read("CreditMemo", memo["Id"])["Balance"] == 0
    assert books.create("Invoice", invoice_of("2", "100"))["Balance"] == Decimal(100)


def test_a_deposited_payment_is_locked(books: Books) -> None:
    payment = books.create("Payment", payment_of("40"))
    bank = next(each["Id"] for each in state(books.store)["Account"] if each["AccountType"] == "Bank")
    line = {"Amount": 40, "LinkedTxn": [{"TxnId": payment["Id"], "TxnType": "Payment", "TxnLineId": "0"}]}
    deposit = books.create("Deposit", {"DepositToAccountRef": {"value": bank}, "Line": [line]})
    assert deposit["TotalAmt"] == Decimal(40)
    body = {"Id": payment["Id"], "SyncToken": "1", "sparse": True}
    assert books.refused("POST", "payment", body, operation="update", include="void")["code"] == "6540"
    books.ok("POST", "deposit", {"Id": deposit["Id"], "SyncToken": "0"}, operation="delete")
    books.ok("POST", "payment", {**body, "SyncToken": "2"}, operation="update", include="void")


def test_a_journal_entry_must_balance(books: Books) -> None:
    accounts = {each["AccountType"]: each["Id"] for each in state(books.store)["Account"]}

    def line(kind: str, account: str, amount: int, **more: object) -> dict:
        detail = {"PostingType": kind, "AccountRef": {"value": accounts[account]}, **more}
        return {"DetailType": "JournalEntryLineDetail", "Amount": amount, "JournalEntryLineDetail": detail}

    person = {"Entity": {"Type": "Customer", "EntityRef": {"value": "1"}}}
    body = {"Line": [line("Debit", "Accounts Receivable", 10, **person), line("Credit", "Income", 9)]}
    assert books.refused("POST", "journalentry", body)["code"] == "2300"
    body["Line"][1] = line("Credit", "Income", 10)
    books.create("JournalEntry", body)
    assert books.read("Customer", "1")["Balance"] == Decimal(10)
    body["Line"][0] = line("Debit", "Accounts Receivable", 10)
    assert books.refused("POST", "journalentry", body)["code"] == "6000"


def test_a_credit_of_a_journal_entry_pays_an_invoice_until_the_entry_is_taken_out(books: Books) -> None:
    books.create("Invoice", invoice_of())
    accounts = {each["AccountType"]: each["Id"] for each in state(books.store)["Account"]}
    person = {"Entity": {"Type": "Customer", "EntityRef": {"value": "1"}}}
    credit = {"PostingType": "Credit", "AccountRef": {"value": accounts["Accounts Receivable"]}, **person}
    debit = {"PostingType": "Debit", "AccountRef": {"value": accounts["Income"]}}
    lines = [
        {"DetailType": "JournalEntryLineDetail", "Amount": 30, "JournalEntryLineDetail": detail} for detail in (credit, debit)
    ]
    entry = books.create("JournalEntry", {"Line": lines, "PrivateNote": "bad debt"})
    assert books.read("Customer", "1")["Balance"] == Decimal(70)
    assert books.refused("POST", "payment", payment_of("0", ("JournalEntry", entry["Id"], "31")))["code"] == "6000"
    other = payment_of("0", ("JournalEntry", entry["Id"], "5"), customer="2")
    assert books.refused("POST", "payment", other)["code"] == "620"
    payment = books.create("Payment", payment_of("0", ("Invoice", "1", "30"), ("JournalEntry", entry["Id"], "30")))
    assert (payment["TotalAmt"], payment["UnappliedAmt"]) == (0, 0)
    assert books.read("Invoice", "1")["Balance"] == Decimal(70)
    assert books.read("Customer", "1")["Balance"] == Decimal(70)
    rows = books.ok("GET", "reports/AgedReceivables")["Rows"]["Row"]
    assert rows[-1]["Summary"]["ColData"][-1]["value"] == "70.00"
    entry = books.read("JournalEntry", entry["Id"])
    books.ok("POST", "journalentry", {"Id": entry["Id"], "SyncToken": entry["SyncToken"]}, operation="delete")
    assert (books.read("Invoice", "1")["Balance"], books.read("Customer", "1")["Balance"]) == (Decimal(100), Decimal(100))


def test_a_cheque_that_bounced_pays_the_entry_that_took_it_back_and_the_invoice_is_open_again(books: Books) -> None:
    books.create("Invoice", invoice_of())
    payment = books.create("Payment", payment_of("100", ("Invoice", "1", "100")))
    accounts = {each["AccountType"]: each["Id"] for each in state(books.store)["Account"]}
    person = {"Entity": {"Type": "Customer", "EntityRef": {"value": "1"}}}
    debit = {"PostingType": "Debit", "AccountRef": {"value": accounts["Accounts Receivable"]}, **person}
    credit = {"PostingType": "Credit", "AccountRef": {"value": accounts["Bank"]}}
    lines = [
        {"DetailType": "JournalEntryLineDetail", "Amount": 100, "JournalEntryLineDetail": detail} for detail in (debit, credit)
    ]
    entry = books.create("JournalEntry", {"Line": lines, "PrivateNote": "Returned cheque"})
    assert books.read("Customer", "1")["Balance"] == Decimal(100)
    moved = {**payment_of("100", ("JournalEntry", entry["Id"], "100")), "Id": payment["Id"], "SyncToken": payment["SyncToken"]}
    moved = books.create("Payment", {**moved, "sparse": True})
    assert (moved["UnappliedAmt"], [line["LinkedTxn"][0]["TxnType"] for line in moved["Line"]]) == (0, ["JournalEntry"])
    assert books.read("Invoice", "1")["Balance"] == Decimal(100)
    assert books.read("Customer", "1")["Balance"] == Decimal(100)
    assert books.read("Account", accounts["Accounts Receivable"])["CurrentBalance"] == Decimal(100)
    rows = books.ok("GET", "reports/AgedReceivables")["Rows"]["Row"]
    assert rows[-1]["Summary"]["ColData"][-1]["value"] == "100.00"
    assert books.refused("POST", "payment", payment_of("5", ("JournalEntry", entry["Id"], "5")))["code"] == "620"
    entry = books.read("JournalEntry", entry["Id"])
    books.ok("POST", "journalentry", {"Id": entry["Id"], "SyncToken": entry["SyncToken"]}, operation="delete")
    assert books.read("Payment", payment["Id"])["UnappliedAmt"] == Decimal(100)
    assert books.read("Customer", "1")["Balance"] == 0


def test_the_account_receivable_follows_every_invoice_payment_and_credit(books: Books) -> None:
    (account_id,) = (each["Id"] for each in state(books.store)["Account"] if each["AccountType"] == "Accounts Receivable")
    before = books.read("Account", account_id)
    books.create("Invoice", invoice_of())
    books.create("Payment", payment_of("30", ("Invoice", "1", "20")))
    books.create("CreditMemo", invoice_of("1", "5"))
    after = books.read("Account", account_id)
    assert after["CurrentBalance"] == before["CurrentBalance"] + 65
    assert after["SyncToken"] == before["SyncToken"]


def test_money_can_be_received_from_outside(books: Books) -> None:
    books.create("Invoice", invoice_of())
    receive_payment(books.store, books.clock, "1", Decimal("33.33"))
    assert books.read("Invoice", "1")["Balance"] == Decimal("66.67")
    receive_payment(books.store, books.clock, "1")
    assert books.read("Invoice", "1")["Balance"] == 0
    with pytest.raises(ValueError, match="no open balance"):
        receive_payment(books.store, books.clock, "1")
    with pytest.raises(ValueError, match="no invoice 99"):
        receive_payment(books.store, books.clock, "99")


_CENTS = st.integers(min_value=1, max_value=30_000).map(lambda number: Decimal(number) / 100)
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("invoice"), _CENTS),
        st.tuples(st.just("memo"), _CENTS),
        st.tuples(st.just("pay"), _CENTS, st.integers(0, 5)),
        st.tuples(st.just("credit"), st.integers(0, 5), st.integers(0, 5)),
        st.tuples(st.just("void"), st.integers(0, 5)),
        st.tuples(st.just("void_payment"), st.integers(0, 5)),
        st.tuples(st.just("delete_payment"), st.integers(0, 5)),
        st.tuples(st.just("resize"), _CENTS, st.integers(0, 5)),
    ),
    max_size=25,
)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(steps=_STEPS, auto=st.booleans())
def test_whatever_happens_the_books_agree_with_themselves(steps: list[tuple], auto: bool) -> None:
    store = Store(None)
    clock = Clock(store, fixed=NOW)
    seed_company(store, clock, preferences={"AutoApplyCredit": auto})
    upsert_objects(store, clock, "Customer", [{"DisplayName": "One"}])
    upsert_objects(store, clock, "Item", [{"Name": "Services"}])
    company = company_of(store, clock)
    options = QuickBooksOptions()

    def pick(entity: str, place: int) -> dict | None:
        found = list(company.docs(entity).values())
        return found[place % len(found)] if found else None

    for step in steps:
        kind = step[0]
        try:
            if kind in ("invoice", "memo"):
                entity = "Invoice" if kind == "invoice" else "CreditMemo"
                write(company, entity, invoice_of("1", str(step[1])), options)
            elif kind == "pay" and (invoice := pick("Invoice", step[2])):
                link = ("Invoice", invoice["Id"], str(step[1]))
                write(company, "Payment", payment_of(str(step[1]), link), options)
            elif kind == "credit" and (memo := pick("CreditMemo", step[1])) and (invoice := pick("Invoice", step[2])):
                amount = str(min(memo["Balance"], invoice["Balance"]))
                links = (("CreditMemo", memo["Id"], amount), ("Invoice", invoice["Id"], amount))
                write(company, "Payment", payment_of("0", *links), options)
            elif kind == "void" and (invoice := pick("Invoice", step[1])):
                write(company, "Invoice", invoice, options, operation="void")
            elif kind == "void_payment" and (payment := pick("Payment", step[1])):
                write(company, "Payment", payment, options, operation="update", include=("void",))
            elif kind == "delete_payment" and (payment := pick("Payment", step[1])):
                write(company, "Payment", payment, options, operation="delete")
            elif kind == "resize" and (invoice := pick("Invoice", step[2])):
                body = {**invoice_of("1", str(step[1])), "Id": invoice["Id"], "SyncToken": invoice["SyncToken"]}
                write(company, "Invoice", {**body, "sparse": True}, options)
        except QuickBooksFault:
            pass
    _check(company)


def _check(company) -> None:
    applied: dict[tuple[str, str], Decimal] = {}
    unapplied = Decimal(0)
    for payment in company.docs("Payment").values():
        sums = {"Invoice": Decimal(0), "CreditMemo": Decimal(0)}
        for line in payment["Line"]:
            link = line["LinkedTxn"][0]
            key = (link["TxnType"], link["TxnId"])
            applied[key] = applied.get(key, Decimal(0)) + line["Amount"]
            sums[key[0]] += line["Amount"]
            links = company.require(*key)["LinkedTxn"]
            assert {"TxnId": payment["Id"], "TxnType": "Payment"} in links
        assert payment["UnappliedAmt"] == payment["TotalAmt"] + sums["CreditMemo"] - sums["Invoice"]
        assert payment["UnappliedAmt"] >= 0
        unapplied += payment["UnappliedAmt"]
    balance = -unapplied
    for entity, sign in (("Invoice", 1), ("CreditMemo", -1)):
        for form in company.docs(entity).values():
            assert form["Balance"] == form["TotalAmt"] - applied.get((entity, form["Id"]), Decimal(0))
            assert form["Balance"] >= 0
            linked = {link["TxnId"] for link in form["LinkedTxn"]}
            assert all(company.find("Payment", each) is not None for each in linked)
            balance += sign * form["Balance"]
    assert company.require("Customer", "1")["Balance"] == balance
    (receivable,) = (each for each in company.docs("Account").values() if each["AccountType"] == "Accounts Receivable")
    assert receivable["CurrentBalance"] == balance
