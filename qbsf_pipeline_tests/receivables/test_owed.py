"""What is owed: as of a day, by due dates, and for any sequence of events equal to a plain ledger."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbsf_pipeline.receivables.identities import company_differences, invoice_differences, source_differences
from qbsf_pipeline.receivables.tables import APPLICATIONS, INVOICES, UNAPPLIED
from qbsf_pipeline_tests.receivables.ledger import (
    ACCOUNTS,
    BAD_DEBTS,
    BANK,
    RECEIVABLE,
    credit_memo,
    inputs_of,
    invoice,
    invoice_row,
    journal_entry,
    owed,
    payment,
    unapplied,
)

CENT = Decimal("0.01")


# As of a day


def opened_by(records: dict[str, Any], day: str) -> list[tuple[str, str, str]]:
    """Invoice, open and status of each invoice on a day."""
    found = owed(inputs_of(records), date.fromisoformat(day)).invoices
    return [(one, str(left), status) for one, left, status in found.select("invoice_id", "open", "status").iter_rows()]


def test_a_day_knows_only_the_documents_dated_until_then() -> None:
    records = {
        "Invoice": [invoice(1, "100", "0"), invoice(2, "50", TxnDate="2026-03-15")],
        "Payment": [
            payment(11, "40", ("Invoice", "1", "40"), TxnDate="2026-03-10"),
            payment(12, "60", ("Invoice", "1", "60"), TxnDate="2026-03-20"),
        ],
    }
    assert opened_by(records, "2026-02-28") == []
    assert opened_by(records, "2026-03-01") == [("1", "100.00", "Invoiced")]
    assert opened_by(records, "2026-03-10") == [("1", "60.00", "Partially Paid")]
    assert opened_by(records, "2026-03-15") == [("1", "60.00", "Partially Paid"), ("2", "50.00", "Invoiced")]
    assert opened_by(records, "2026-03-20") == [("1", "0.00", "Paid"), ("2", "50.00", "Invoiced")]
    row = invoice_row(owed(inputs_of(records)), "1")
    assert (str(row["first_paid_in_full_on"]), str(row["last_payment_on"])) == ("2026-03-20", "2026-03-20")
    before = invoice_row(owed(inputs_of(records), date(2026, 3, 19)), "1")
    assert (before["first_paid_in_full_on"], str(before["last_payment_on"])) == (None, "2026-03-10")
    assert before["explained"], "balance and explanation are of now, so that a past day is not taken for a torn read"


def test_a_prepayment_is_unapplied_until_its_invoice_exists() -> None:
    records = {
        "Invoice": [invoice(1, "100", "0", TxnDate="2026-03-15")],
        "Payment": [payment(11, "100", ("Invoice", "1", "100"), TxnDate="2026-03-01")],
    }
    early = owed(inputs_of(records), date(2026, 3, 14))
    assert unapplied(early) == {("payment", "11"): Decimal(100)}
    assert early.invoices.is_empty()
    assert opened_by(records, "2026-03-15") == [("1", "0.00", "Paid")]
    assert unapplied(owed(inputs_of(records), date(2026, 3, 15))) == {}


def test_a_credit_counts_from_the_day_of_the_payment_that_applies_it() -> None:
    records = {
        "Invoice": [invoice(1, "100", "0")],
        "CreditMemo": [credit_memo(21, "100", TxnDate="2026-03-05")],
        "Payment": [payment(11, "0", ("Invoice", "1", "100"), ("CreditMemo", "21", "100"), TxnDate="2026-03-20")],
    }
    between = owed(inputs_of(records), date(2026, 3, 19))
    assert unapplied(between) == {("credit_memo", "21"): Decimal(100)}
    assert opened_by(records, "2026-03-19") == [("1", "100.00", "Invoiced")]
    assert opened_by(records, "2026-03-20") == [("1", "0.00", "Credited")]


def test_what_is_left_of_a_payment_on_a_day_is_left_of_that_day() -> None:
    records = {
        "Invoice": [invoice(1, "100", "0"), invoice(2, "50", "0", TxnDate="2026-04-01")],
        "Payment": [payment(11, "150", ("Invoice", "1", "100"), ("Invoice", "2", "50"), TxnDate="2026-03-10")],
    }
    assert opened_by(records, "2026-03-31") == [("1", "0.00", "Overpaid")]
    assert opened_by(records, "2026-04-01") == [("1", "0.00", "Paid"), ("2", "0.00", "Paid")]


# Sources


def test_a_deposit_is_applied_through_a_payment_or_by_its_own_line() -> None:
    entity = {"value": "1", "type": "CUSTOMER"}
    on_account = {"Amount": 30, "DepositLineDetail": {"AccountRef": {"value": RECEIVABLE}, "Entity": entity}}
    named = {"Amount": 20, "LinkedTxn": [{"TxnId": "1", "TxnType": "Invoice"}]}
    deposit = {"Id": "41", "TxnDate": "2026-03-07", "TotalAmt": 50, "Line": [on_account, named]}
    records = {
        "Invoice": [invoice(1, "100", "50")],
        "Payment": [payment(11, "0", ("Invoice", "1", "30"), ("Deposit", "41", "30"))],
        "Deposit": [deposit],
    }
    found = owed(inputs_of(records))
    assert invoice_row(found, "1")["paid"] == Decimal(50)
    assert invoice_row(found, "1")["explained"]
    assert found.applications.select("source_type", "source_id", "through_id", "amount").rows() == [
        ("deposit", "41", None, Decimal("20.00")),
        ("deposit", "41", "11", Decimal("30.00")),
    ]


def test_a_deposit_on_accounts_receivable_is_unapplied_until_it_is_used() -> None:
    line = {
        "Amount": 30,
        "DepositLineDetail": {"AccountRef": {"value": RECEIVABLE}, "Entity": {"value": "1", "type": "CUSTOMER"}},
    }
    records = {"Deposit": [{"Id": "41", "TxnDate": "2026-03-07", "TotalAmt": 30, "Line": [line]}]}
    assert unapplied(owed(inputs_of(records))) == {("deposit", "41"): Decimal(30)}


@pytest.mark.parametrize(
    ("says", "status"),
    [
        # The payment's own arithmetic: it has nothing left, so the entry took its money back.
        ({"unapplied": "0", "total": "100"}, "Invoiced"),
        # ... it has all of its money left beside, so the entry's credit paid the invoice.
        ({"unapplied": "0", "total": "0"}, "Credited"),
    ],
)
def test_an_entry_in_a_payment_gives_or_takes_as_the_payment_adds_up(says: dict[str, str], status: str) -> None:
    links = [("JournalEntry", "31", "100")]
    links += [("Invoice", "1", "100")] if status == "Credited" else []
    paid = payment(11, says["total"], *links, unapplied=says["unapplied"])
    # Without its journal entry: not every connection may read them.
    found = owed(inputs_of({"Invoice": [invoice(1, "100")], "Payment": [paid]}))
    assert invoice_row(found, "1")["status"] == status
    assert unapplied(found) == {}


def test_two_entries_of_either_kind_in_one_payment_are_told_apart_by_their_lines() -> None:
    credit = journal_entry(31, ("Debit", BAD_DEBTS, "30", None), ("Credit", RECEIVABLE, "30", "1"))
    debit = journal_entry(32, ("Debit", RECEIVABLE, "10", "1"), ("Credit", BANK, "10", None))
    links = (("Invoice", "1", "20"), ("JournalEntry", "31", "30"), ("JournalEntry", "32", "10"))
    records = {
        "Invoice": [invoice(1, "20", "0")],
        "Payment": [payment(11, "0", *links)],
        "JournalEntry": [credit, debit],
    }
    inputs = inputs_of(records)
    assert source_differences(inputs).is_empty()
    assert invoice_row(owed(inputs), "1")["written_off"] == Decimal(20)
    assert unapplied(owed(inputs)) == {}


def test_an_entry_that_is_part_bad_debt_and_part_money_is_what_its_larger_part_is() -> None:
    def status(bank: str, bad: str) -> str:
        lines = (("Debit", BANK, bank, None), ("Debit", BAD_DEBTS, bad, None), ("Credit", RECEIVABLE, "100", "1"))
        records = {
            "Invoice": [invoice(1, "100", "0")],
            "Payment": [payment(11, "0", ("Invoice", "1", "100"), ("JournalEntry", "31", "100"))],
            "JournalEntry": [journal_entry(31, *lines)],
        }
        row = invoice_row(owed(inputs_of(records)), "1")
        return f"{row['status']}, {row['written_off']} written off"

    assert status("60", "40") == "Paid, 0.00 written off"
    assert status("50", "50") == "Credited, 100.00 written off"


def test_a_payment_never_gives_more_money_than_it_is() -> None:
    records = {"Invoice": [invoice(1, "100")], "Payment": [payment(11, "0", ("Invoice", "1", "100"))]}
    inputs = inputs_of(records)
    row = invoice_row(owed(inputs), "1")
    assert (row["status"], row["open"], row["explained"]) == ("Invoiced", Decimal(100), True)
    assert source_differences(inputs).get_column("difference").to_list() == [Decimal(-100)]


def test_rows_do_not_depend_on_the_order_of_lines() -> None:
    links = [("Invoice", "9", "30"), ("Invoice", "10", "50"), ("CreditMemo", "21", "45"), ("CreditMemo", "22", "30")]
    frames = []
    for order in (links, links[::-1], [links[2], links[0], links[3], links[1]]):
        records = {
            "Invoice": [invoice(9, "30", "0"), invoice(10, "50", "0")],
            "CreditMemo": [credit_memo(21, "45"), credit_memo(22, "30")],
            "Payment": [payment(11, "5", *order)],
        }
        frames.append(owed(inputs_of(records)).applications)
    assert frames[0].equals(frames[1])
    assert frames[0].equals(frames[2])
    rows = frames[0].select("invoice_id", "source_id", "amount").rows()
    assert sorted(rows) == [("10", "11", Decimal(5)), ("10", "21", Decimal(45)), ("9", "22", Decimal(30))]


# Due dates, currencies, names


@pytest.mark.parametrize(
    ("term", "issued", "due"),
    [
        (None, "2026-03-01", "2026-03-01"),
        ({"DueDays": 30}, "2026-03-01", "2026-03-31"),
        ({"DueDays": 0}, "2026-03-01", "2026-03-01"),
        ({"DayOfMonthDue": 15}, "2026-03-01", "2026-03-15"),
        ({"DayOfMonthDue": 15}, "2026-03-16", "2026-04-15"),
        ({"DayOfMonthDue": 15, "DueNextMonthDays": 5}, "2026-03-10", "2026-04-15"),
        ({"DayOfMonthDue": 15, "DueNextMonthDays": 5}, "2026-03-09", "2026-03-15"),
        ({"DayOfMonthDue": 31}, "2026-02-10", "2026-02-28"),
        ({"DayOfMonthDue": 31, "DueNextMonthDays": 20}, "2026-12-31", "2027-01-31"),
    ],
)
def test_a_due_date_that_is_missing_is_that_of_the_terms_or_the_invoice_date(
    term: dict[str, int] | None, issued: str, due: str
) -> None:
    record = invoice(1, "5", TxnDate=issued, DueDate=None, SalesTermRef={"value": "3"})
    terms = [{"Id": "3", "Name": "Ours", **term}] if term else []
    row = invoice_row(owed(inputs_of({"Invoice": [record], "Term": terms})), "1")
    assert (str(row["due_date"]), row["due_date_imputed"]) == (due, True)


def test_a_document_without_a_currency_is_in_the_home_currency() -> None:
    foreign = invoice(2, "5", CurrencyRef={"value": "EUR"})
    found = owed(inputs_of({"Invoice": [invoice(1, "5"), foreign], "Payment": [payment(11, "9", unapplied="9")]}))
    assert found.invoices.get_column("currency").to_list() == ["USD", "EUR"]
    assert found.unapplied.get_column("currency").to_list() == ["USD"]


@pytest.mark.parametrize("written", [str, lambda text: int(Decimal(text)), Decimal])
def test_records_of_another_implementation_mean_the_same(written: Any) -> None:
    """Amounts as texts or whole numbers, ids as numbers, keys that are missing or null, and names of any kind."""
    other = {"domain": "QBO", "sparse": False, "MetaData": None, "Unknown": [{"a": None}]}
    deal = "006000000000001AAA"
    bill = {"Id": 5, "TxnDate": "2026-03-01T00:00:00-08:00", "TotalAmt": written("120"), "Balance": written("20"), **other}
    bill |= {"CustomerRef": {"value": 7}, "PrivateNote": f"Größe, Salesforce Opportunity {deal}", "DocNumber": "Ré-1: “x”"}
    paid = {"Id": 9, "CustomerRef": {"value": 7}, "TotalAmt": written("100"), "PaymentRefNum": "№ 1'", **other}
    line = {"Amount": written("100"), "LinkedTxn": [{"TxnId": 5, "TxnType": "Invoice", "TxnLineId": "0"}], "LineEx": None}
    paid["Line"] = [{"Amount": written("1")}, {"Amount": written("1"), "LinkedTxn": []}, line]
    gone = {"Id": "10", "status": "Deleted", "domain": "QBO", "MetaData": {"LastUpdatedTime": "2026-03-09T00:00:00Z"}}
    found = owed(inputs_of({"Invoice": [bill], "Payment": [paid, gone]}, deals=[{"id": deal}]))
    row = invoice_row(found, "5")
    assert (row["status"], row["open"], row["paid"], row["explained"]) == ("Partially Paid", Decimal(20), Decimal(100), True)
    assert (row["opportunity_id"], row["due_date"], row["due_date_imputed"]) == (deal, date(2026, 3, 1), True)
    assert found.applications.get_column("reference").to_list() == ["№ 1'"]


def test_nothing_at_all_gives_empty_tables_of_the_declared_shape() -> None:
    found = owed(inputs_of({"Account": []}))
    for table, frame in ((APPLICATIONS, found.applications), (UNAPPLIED, found.unapplied), (INVOICES, found.invoices)):
        assert frame.schema == table.polars_schema
        assert frame.is_empty()


def test_every_application_has_an_id_of_its_own_that_stays() -> None:
    records = {
        "Invoice": [invoice(1, "100", "0", Deposit=10), invoice(2, "50", "0")],
        "CreditMemo": [credit_memo(21, "40")],
        "Payment": [
            payment(11, "60", ("Invoice", "1", "50"), ("Invoice", "1", "10"), ("Invoice", "2", "40"), ("CreditMemo", "21", "40")),
            payment(12, "40", ("Invoice", "1", "30"), ("Invoice", "2", "10")),
        ],
    }
    found = owed(inputs_of(records)).applications
    assert found.get_column("application_id").is_unique().all()
    assert found.get_column("amount").sum() == Decimal(150)


# Any sequence of events


@dataclass
class Books:
    """A plain ledger: documents as QuickBooks would show them, and what is open by adding up."""

    invoices: dict[str, dict[str, Any]] = field(default_factory=dict)
    payments: dict[str, dict[str, Any]] = field(default_factory=dict)
    memos: dict[str, dict[str, Any]] = field(default_factory=dict)
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)
    gone: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    last: int = 0

    def next_id(self) -> str:
        self.last += 1
        return str(self.last)

    def open_of(self, invoice_id: str) -> Decimal:
        one = self.invoices[invoice_id]
        used = sum((paid["to"].get(invoice_id, Decimal(0)) for paid in self.payments.values()), Decimal(0))
        return one["total"] - used

    def left_of(self, kind: str, source_id: str) -> Decimal:
        if kind == "payment":
            one = self.payments[source_id]
            return one["total"] + sum(one["with"].values(), Decimal(0)) - sum(one["to"].values(), Decimal(0))
        total = (self.memos if kind == "credit_memo" else self.entries)[source_id]["total"]
        return total - sum((paid["with"].get((kind, source_id), Decimal(0)) for paid in self.payments.values()), Decimal(0))

    def settle(self, paid: dict[str, Any], targets: list[str], most: Decimal) -> None:
        left = most
        for target in targets:
            step = min(left, self.open_of(target))
            if step > 0:
                paid["to"][target] = paid["to"].get(target, Decimal(0)) + step
                left -= step

    def happen(self, event: str, amount: Decimal, choice: random.Random) -> None:
        live = [one for one, each in self.invoices.items() if not each["voided"]]
        some = choice.sample(live, min(len(live), choice.randint(1, 3)))
        if event == "invoice":
            self.invoices[self.next_id()] = {"total": amount, "voided": False}
        elif event == "pay":
            paid = {"total": amount, "to": {}, "with": {}}
            self.payments[self.next_id()] = paid
            self.settle(paid, some, amount)
        elif event in ("credit", "write off"):
            kind = "credit_memo" if event == "credit" else "journal_entry"
            source = self.next_id()
            (self.memos if event == "credit" else self.entries)[source] = {"total": amount}
            free = min(amount, sum((self.open_of(one) for one in some), Decimal(0)))
            if free > 0 and choice.random() < 0.8:
                paid = {"total": choice.choice([Decimal(0), amount]), "to": {}, "with": {(kind, source): free}}
                self.payments[self.next_id()] = paid
                self.settle(paid, some, free + paid["total"])
        elif self.payments and event in ("edit", "delete payment", "void payment"):
            one = choice.choice(sorted(self.payments))
            if event == "delete payment":
                self.gone.append(("Payment", self.payment_record(one)))
                del self.payments[one]
            else:
                paid = self.payments[one]
                paid["to"], paid["with"] = {}, {}
                paid["total"] = Decimal(0) if event == "void payment" else amount
                if event == "edit":
                    self.settle(paid, some, amount)
        elif live and event == "void invoice":
            one = choice.choice(live)
            self.unlink(one)
            self.invoices[one] |= {"total": Decimal(0), "voided": True}
        elif live and event == "delete invoice":
            one = choice.choice(live)
            self.unlink(one)
            self.gone.append(("Invoice", self.invoice_record(one)))
            del self.invoices[one]

    def unlink(self, invoice_id: str) -> None:
        """What was applied to an invoice goes back: money is unapplied, credits are free again."""
        for paid in self.payments.values():
            if paid["to"].pop(invoice_id, None) is not None:
                over = sum(paid["with"].values(), Decimal(0)) - sum(paid["to"].values(), Decimal(0))
                for key in list(paid["with"]):
                    step = max(Decimal(0), min(over, paid["with"][key]))
                    paid["with"][key] -= step
                    over -= step
                    if not paid["with"][key]:
                        del paid["with"][key]

    def invoice_record(self, one: str) -> dict[str, Any]:
        voided = {"PrivateNote": "Voided"} if self.invoices[one]["voided"] else {}
        return invoice(one, str(self.invoices[one]["total"]), str(self.open_of(one)), **voided)

    def payment_record(self, one: str) -> dict[str, Any]:
        paid = self.payments[one]
        names = {"credit_memo": "CreditMemo", "journal_entry": "JournalEntry"}
        links = [("Invoice", target, str(amount)) for target, amount in paid["to"].items()]
        links += [(names[kind], source, str(amount)) for (kind, source), amount in paid["with"].items()]
        return payment(one, str(paid["total"]), *links, unapplied=str(self.left_of("payment", one)))

    def records(self, choice: random.Random) -> dict[str, list[dict[str, Any]]]:
        balance = sum((self.open_of(one) for one in self.invoices), Decimal(0))
        balance -= sum((self.left_of("payment", one) for one in self.payments), Decimal(0))
        balance -= sum((self.left_of("credit_memo", one) for one in self.memos), Decimal(0))
        balance -= sum((self.left_of("journal_entry", one) for one in self.entries), Decimal(0))
        written = [("Debit", BAD_DEBTS), ("Credit", RECEIVABLE)]
        found: dict[str, list[dict[str, Any]]] = {
            "Invoice": [self.invoice_record(one) for one in self.invoices],
            "Payment": [self.payment_record(one) for one in self.payments],
            "CreditMemo": [
                credit_memo(one, str(each["total"]), str(self.left_of("credit_memo", one))) for one, each in self.memos.items()
            ],
            "JournalEntry": [
                journal_entry(one, *((posting, to, str(each["total"]), "1") for posting, to in written))
                for one, each in self.entries.items()
            ],
            "Account": [{**one, **({"CurrentBalance": balance} if one["Id"] == RECEIVABLE else {})} for one in ACCOUNTS],
        }
        for entity, record in self.gone:
            found[entity].append({**record, "status": "Deleted"})
        for each in found.values():
            choice.shuffle(each)
            for record in each:
                if "Line" in record:
                    choice.shuffle(record["Line"])
        return found


EVENTS = ("invoice", "invoice", "pay", "pay", "credit", "write off", "edit", "delete payment", "void payment", "void invoice")
EVENT = st.tuples(st.sampled_from((*EVENTS, "delete invoice")), st.integers(1, 30_000))


@settings(max_examples=25)
@given(events=st.lists(EVENT, min_size=1, max_size=25), seed=st.integers(0, 2**32))
def test_what_is_open_equals_a_plain_ledger_whatever_happened_and_in_any_order_of_reading(
    events: list[tuple[str, int]], seed: int
) -> None:
    choice = random.Random(seed)
    books = Books()
    books.happen("invoice", Decimal(100), choice)
    for event, cents in events:
        books.happen(event, cents * CENT, choice)
    inputs = inputs_of(books.records(choice))
    found = owed(inputs)
    rows = {row["invoice_id"]: row for row in found.invoices.iter_rows(named=True) if row["status"] != "Deleted"}
    assert {one: row["open"] for one, row in rows.items()} == {one: books.open_of(one) for one in books.invoices}
    assert all(row["paid"] + row["credited"] + row["written_off"] + row["open"] == row["total"] for row in rows.values())
    assert {one for one, row in rows.items() if row["status"] == "Voided"} == {
        one for one, each in books.invoices.items() if each["voided"]
    }
    left = {(kind, one): books.left_of(kind, one) for kind, known in kinds(books) for one in known}
    assert unapplied(found) == {key: amount for key, amount in left.items() if amount > 0}
    assert invoice_differences(found.invoices, found.applications).is_empty()
    assert source_differences(inputs).is_empty()
    assert company_differences(inputs).is_empty()
    again = owed(inputs_of(books.records(random.Random(seed + 1))))
    for name in ("applications", "unapplied", "invoices", "contested"):
        assert getattr(found, name).equals(getattr(again, name))


def kinds(books: Books) -> list[tuple[str, dict[str, Any]]]:
    return [("payment", books.payments), ("credit_memo", books.memos), ("journal_entry", books.entries)]


@settings(max_examples=10)
@given(days=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 5000)), min_size=1, max_size=8), total=st.integers(1, 40_000))
def test_what_is_open_never_rises_as_days_go_by_and_ends_at_now(days: list[tuple[int, int]], total: int) -> None:
    begin, left, payments = date(2026, 3, 1), total, []
    for number, (after, cents) in enumerate(days):
        taken = min(cents, left)
        left -= taken
        link = [("Invoice", "1", str(taken * CENT))] if taken else []
        when = (begin + timedelta(days=after)).isoformat()
        payments.append(payment(f"9{number}", str(cents * CENT), *link, unapplied=str((cents - taken) * CENT), TxnDate=when))
    inputs = inputs_of({"Invoice": [invoice(1, str(total * CENT), str(left * CENT))], "Payment": payments})
    seen = [invoice_row(owed(inputs, begin + timedelta(days=day)), "1")["open"] for day in range(0, 62, 10)]
    assert seen == sorted(seen, reverse=True)
    assert owed(inputs, begin + timedelta(days=61)).invoices.equals(owed(inputs).invoices)
    assert invoice_row(owed(inputs), "1")["open"] == left * CENT
