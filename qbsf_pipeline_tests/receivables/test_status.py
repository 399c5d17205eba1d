"""Every case of money coming in, or not, as the local QuickBooks keeps it and the status tells it; over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from qbsf_pipeline.receivables.identities import invoice_differences, source_differences
from qbsf_pipeline.receivables.status import STATUSES, with_status
from qbsf_pipeline.warehouse.tables import AMOUNT
from qbsf_pipeline_tests.receivables.ledger import inputs_from, invoice_row, owed, unapplied
from qbsf_pipeline_tests.sandbox.quickbooks.conftest import Books, invoice_of, payment_of, with_trade

Told = tuple[str, str, str, str, str]


def told(books: Books, *invoice_ids: str) -> list[Told]:
    """Status, paid, credited, written off and open of invoices; the identities hold, or the test fails."""
    inputs = inputs_from(books)
    found = owed(inputs)
    assert invoice_differences(found.invoices, found.applications).is_empty()
    assert source_differences(inputs).is_empty()
    rows = [invoice_row(found, each) for each in invoice_ids]
    assert all(row["explained"] for row in rows)
    return [(row["status"], *(str(row[name]) for name in ("paid", "credited", "written_off", "open"))) for row in rows]


def credit_of(amount: str, customer: str = "1", **more: Any) -> dict[str, Any]:
    return invoice_of(customer, amount, **more)


def account(books: Books, **named: str) -> str:
    """The id of an account with these properties; made where there is none."""
    found = books.query("SELECT * FROM Account MAXRESULTS 1000")["Account"]
    ids = [each["Id"] for each in found if all(each.get(name) == value for name, value in named.items())]
    return ids[0] if ids else books.seed("Account", {"Name": named.get("AccountSubType", "Receivables"), **named})[0]["Id"]


def entry_of(books: Books, posted: str, other: dict[str, str], amount: str, customer: str = "1") -> dict[str, Any]:
    """A journal entry that posts (Debit or Credit) on accounts receivable, against another account."""

    def line(posting: str, account_id: str, **entity: Any) -> dict[str, Any]:
        detail = {"PostingType": posting, "AccountRef": {"value": account_id}, **entity}
        return {"Amount": Decimal(amount), "DetailType": "JournalEntryLineDetail", "JournalEntryLineDetail": detail}

    entity = {"Entity": {"Type": "Customer", "EntityRef": {"value": customer}}}
    receivable = line(posted, account(books, AccountType="Accounts Receivable"), **entity)
    return {"Line": [receivable, line("Debit" if posted == "Credit" else "Credit", account(books, **other))]}


BAD_DEBTS = {"AccountType": "Expense", "AccountSubType": "BadDebts"}
BANK = {"AccountType": "Bank"}


def test_an_invoice_that_nothing_was_applied_to_is_invoiced_until_it_is_mailed(books: Books) -> None:
    books.create("Invoice", invoice_of())
    assert told(books, "1") == [("Invoiced", "0.00", "0.00", "0.00", "100.00")]
    books.ok("POST", "invoice/1/send", sendTo="ap@obrien.example")
    assert told(books, "1") == [("Sent", "0.00", "0.00", "0.00", "100.00")]


def test_a_part_payment_leaves_the_rest_open_and_the_rest_closes_it(books: Books) -> None:
    books.create("Invoice", invoice_of())
    books.create("Payment", payment_of("40", ("Invoice", "1", "40"), TxnDate="2026-11-01"))
    assert told(books, "1") == [("Partially Paid", "40.00", "0.00", "0.00", "60.00")]
    method = books.seed("PaymentMethod", {"Name": "Cheque"})[0]["Id"]
    second = payment_of("60", ("Invoice", "1", "60"), TxnDate="2026-11-05", PaymentRefNum="0042")
    books.create("Payment", {**second, "PaymentMethodRef": {"value": method}})
    assert told(books, "1") == [("Paid", "100.00", "0.00", "0.00", "0.00")]
    found = owed(inputs_from(books))
    row = invoice_row(found, "1")
    assert str(row["last_payment_on"]) == "2026-11-05"
    assert row["status_reason"] == "100.00 USD was paid, the last payment on 05 Nov 2026; nothing is open."
    newest = found.applications.row(1, named=True)
    assert (newest["method"], newest["reference"], newest["through_id"], newest["effect"]) == ("Cheque", "0042", None, "paid")


def test_one_payment_over_several_invoices_pays_each_its_part(books: Books) -> None:
    for amount in ("100", "50", "30"):
        books.create("Invoice", invoice_of("1", amount))
    books.create("Payment", payment_of("160", ("Invoice", "1", "100"), ("Invoice", "2", "50"), ("Invoice", "3", "10")))
    assert [(status, left) for status, *_, left in told(books, "1", "2", "3")] == [
        ("Paid", "0.00"),
        ("Paid", "0.00"),
        ("Partially Paid", "20.00"),
    ]


def test_an_overpayment_shows_until_the_rest_is_applied_elsewhere(books: Books) -> None:
    books.create("Invoice", invoice_of("1", "5"))
    paid = books.create("Payment", payment_of("30", ("Invoice", "1", "30")))
    assert told(books, "1") == [("Overpaid", "5.00", "0.00", "0.00", "0.00")]
    found = owed(inputs_from(books))
    assert unapplied(found) == {("payment", paid["Id"]): Decimal(25)}
    assert "25.00 USD of its payments is applied to nothing" in invoice_row(found, "1")["status_reason"]
    other = books.create("Invoice", invoice_of("1", "25"))["Id"]
    links = (("Invoice", "1", "5"), ("Invoice", other, "25"))
    books.create("Payment", {**payment_of("30", *links), "Id": paid["Id"], "SyncToken": paid["SyncToken"]})
    assert [status for status, *_ in told(books, "1", other)] == ["Paid", "Paid"]


def test_a_payment_before_the_invoice_is_unapplied_until_it_is_applied(books: Books) -> None:
    early = books.create("Payment", payment_of("100", TxnDate="2026-10-01"))
    made = books.create("Invoice", invoice_of(TxnDate="2026-10-10"))["Id"]
    assert told(books, made)[0][0] == "Invoiced"
    body = payment_of("100", ("Invoice", made, "100"), TxnDate="2026-10-01")
    books.create("Payment", {**body, "Id": early["Id"], "SyncToken": early["SyncToken"]})
    assert told(books, made) == [("Paid", "100.00", "0.00", "0.00", "0.00")]
    application = owed(inputs_from(books)).applications.row(0, named=True)
    assert (str(application["applied_on"]), str(application["source_date"])) == ("2026-10-10", "2026-10-01")


def test_a_credit_memo_through_a_payment_of_zero_is_a_credit_and_no_payment(books: Books) -> None:
    books.create("Invoice", invoice_of())
    memo = books.create("CreditMemo", credit_of("100"))["Id"]
    assert told(books, "1")[0][0] == "Invoiced"
    through = books.create("Payment", payment_of("0", ("Invoice", "1", "100"), ("CreditMemo", memo, "100")))["Id"]
    assert told(books, "1") == [("Credited", "0.00", "100.00", "0.00", "0.00")]
    application = owed(inputs_from(books)).applications.row(0, named=True)
    assert (application["source_type"], application["source_id"], application["through_id"]) == ("credit_memo", memo, through)
    assert invoice_row(owed(inputs_from(books)), "1")["last_payment_on"] is None


def test_a_credit_and_money_in_one_payment_are_told_apart(books: Books) -> None:
    books.create("Invoice", invoice_of("1", "80"))
    books.create("Invoice", invoice_of("1", "50"))
    memo = books.create("CreditMemo", credit_of("50"))["Id"]
    links = (("Invoice", "1", "80"), ("Invoice", "2", "50"), ("CreditMemo", memo, "50"))
    books.create("Payment", payment_of("80", *links))
    assert told(books, "1", "2") == [("Paid", "80.00", "0.00", "0.00", "0.00"), ("Credited", "0.00", "50.00", "0.00", "0.00")]


def test_a_credit_for_a_part_and_money_for_the_rest_is_paid(books: Books) -> None:
    books.create("Invoice", invoice_of())
    memo = books.create("CreditMemo", credit_of("70"))["Id"]
    books.create("Payment", payment_of("30", ("Invoice", "1", "100"), ("CreditMemo", memo, "70")))
    assert told(books, "1") == [("Paid", "30.00", "70.00", "0.00", "0.00")]


def test_an_invoice_may_be_born_part_paid_by_credits_that_quickbooks_applies(open_books: Callable[..., Books]) -> None:
    books = with_trade(open_books(preferences={"AutoApplyCredit": True}))
    books.create("CreditMemo", credit_of("30"))
    born = books.create("Invoice", invoice_of())["Id"]
    assert told(books, born) == [("Partially Paid", "0.00", "30.00", "0.00", "70.00")]


def test_a_refund_receipt_changes_no_status(books: Books) -> None:
    books.create("Invoice", invoice_of())
    books.create("Payment", payment_of("100", ("Invoice", "1", "100")))
    books.create("RefundReceipt", {**invoice_of("1", "20"), "DepositToAccountRef": {"value": account(books, **BANK)}})
    assert told(books, "1") == [("Paid", "100.00", "0.00", "0.00", "0.00")]


@pytest.mark.parametrize("gone", ["void", "delete"])
def test_a_payment_that_is_voided_or_deleted_opens_the_invoice_again(books: Books, gone: str) -> None:
    books.create("Invoice", invoice_of())
    books.ok("POST", "invoice/1/send", sendTo="ap@obrien.example")
    paid = books.create("Payment", payment_of("100", ("Invoice", "1", "100")))
    assert told(books, "1")[0][0] == "Paid"
    body = {"Id": paid["Id"], "SyncToken": paid["SyncToken"]}
    if gone == "void":
        books.ok("POST", "payment", {**body, "sparse": True}, operation="update", include="void")
    else:
        books.ok("POST", "payment", body, operation="delete")
    assert told(books, "1") == [("Sent", "0.00", "0.00", "0.00", "100.00")]


def test_an_edited_payment_follows_its_amount_and_its_invoice(books: Books) -> None:
    books.create("Invoice", invoice_of())
    books.create("Invoice", invoice_of())
    paid = books.create("Payment", payment_of("100", ("Invoice", "1", "100")))
    less = payment_of("60", ("Invoice", "1", "60"))
    edited = books.create("Payment", {**less, "Id": paid["Id"], "SyncToken": paid["SyncToken"]})
    assert [status for status, *_ in told(books, "1", "2")] == ["Partially Paid", "Invoiced"]
    moved = payment_of("60", ("Invoice", "2", "60"))
    books.create("Payment", {**moved, "Id": paid["Id"], "SyncToken": edited["SyncToken"]})
    assert [status for status, *_ in told(books, "1", "2")] == ["Invoiced", "Partially Paid"]


def test_a_payment_that_bounced_opens_the_invoice_again(books: Books) -> None:
    """As Intuit's help says: an entry takes the money back, and the payment is moved from the invoice to that entry."""
    books.create("Invoice", invoice_of())
    paid = books.create("Payment", payment_of("100", ("Invoice", "1", "100")))["Id"]
    records = inputs_from(books)
    entry = entry_of(books, "Debit", BANK, "100")
    books.create("JournalEntry", entry)
    # The local QuickBooks takes no payment of a debit, so its answer is put together here.
    entry_id = books.query("SELECT * FROM JournalEntry")["JournalEntry"][0]["Id"]
    lines = records.lines.payment_lines.with_columns(txn_type=pl.lit("JournalEntry"), txn_id=pl.lit(entry_id))
    bounced = inputs_from(books)
    moved = type(bounced)(**{**vars(bounced), "lines": type(bounced.lines)(**{**vars(bounced.lines), "payment_lines": lines})})
    assert source_differences(moved).is_empty()
    found = owed(moved)
    assert (invoice_row(found, "1")["status"], invoice_row(found, "1")["open"]) == ("Invoiced", Decimal(100))
    assert unapplied(found) == {}, f"payment {paid} has nothing left: it pays what the entry took back"


def test_a_void_is_a_void_also_of_a_paid_invoice_and_its_money_is_unapplied(books: Books) -> None:
    books.create("Invoice", invoice_of(PrivateNote="Salesforce Opportunity 006000000000001AAA"))
    paid = books.create("Payment", payment_of("100", ("Invoice", "1", "100")))["Id"]
    token = books.read("Invoice", "1")["SyncToken"]
    books.ok("POST", "invoice", {"Id": "1", "SyncToken": token}, operation="void")
    assert told(books, "1") == [("Voided", "0.00", "0.00", "0.00", "0.00")]
    assert unapplied(owed(inputs_from(books))) == {("payment", paid): Decimal(100)}


def test_an_invoice_that_finance_edits_is_derived_anew(books: Books) -> None:
    made = books.create("Invoice", invoice_of())
    books.create("Payment", payment_of("100", ("Invoice", "1", "100")))
    token = books.read("Invoice", "1")["SyncToken"]
    edited = {**invoice_of("1", "150"), "DocNumber": "A-7", "DueDate": "2026-12-31", "Id": made["Id"], "SyncToken": token}
    books.create("Invoice", edited)
    assert told(books, "1") == [("Partially Paid", "100.00", "0.00", "0.00", "50.00")]
    row = invoice_row(owed(inputs_from(books)), "1")
    assert (row["doc_number"], str(row["due_date"]), row["due_date_imputed"]) == ("A-7", "2026-12-31", False)
    token = books.read("Invoice", "1")["SyncToken"]
    books.create("Invoice", {**invoice_of("1", "70"), "Id": made["Id"], "SyncToken": token})
    assert told(books, "1") == [("Overpaid", "70.00", "0.00", "0.00", "0.00")]


def test_a_write_off_by_journal_entry_is_no_payment(books: Books) -> None:
    books.create("Invoice", invoice_of())
    entry = books.create("JournalEntry", entry_of(books, "Credit", BAD_DEBTS, "100"))["Id"]
    assert unapplied(owed(inputs_from(books))) == {("journal_entry", entry): Decimal(100)}
    books.create("Payment", payment_of("0", ("Invoice", "1", "100"), ("JournalEntry", entry, "100")))
    assert told(books, "1") == [("Credited", "0.00", "0.00", "100.00", "0.00")]
    found = owed(inputs_from(books))
    assert invoice_row(found, "1")["status_reason"] == "100.00 USD was written off; nothing is open."
    assert found.applications.get_column("is_write_off").to_list() == [True]
    assert unapplied(found) == {}


def test_a_journal_entry_against_the_bank_is_money(books: Books) -> None:
    books.create("Invoice", invoice_of())
    entry = books.create("JournalEntry", entry_of(books, "Credit", BANK, "100"))["Id"]
    books.create("Payment", payment_of("0", ("Invoice", "1", "100"), ("JournalEntry", entry, "100")))
    assert told(books, "1") == [("Paid", "100.00", "0.00", "0.00", "0.00")]


def test_a_credit_memo_on_bad_debts_is_a_write_off(books: Books) -> None:
    books.create("Invoice", invoice_of())
    bad = account(books, **BAD_DEBTS)
    item = books.seed("Item", {"Name": "Bad debt", "Type": "Service", "IncomeAccountRef": {"value": bad}})[0]["Id"]
    memo = credit_of("100")
    memo["Line"][0]["SalesItemLineDetail"]["ItemRef"] = {"value": item}
    made = books.create("CreditMemo", memo)["Id"]
    books.create("Payment", payment_of("0", ("Invoice", "1", "100"), ("CreditMemo", made, "100")))
    assert told(books, "1") == [("Credited", "0.00", "0.00", "100.00", "0.00")]


def test_a_foreign_currency_payment_is_told_in_the_invoices_currency(open_books: Callable[..., Books]) -> None:
    books = with_trade(open_books(preferences={"MultiCurrencyEnabled": True}))
    books.seed("CompanyCurrency", {"Code": "EUR", "Name": "Euro"})
    euro = books.seed("Customer", {"DisplayName": "Søren", "CurrencyRef": {"value": "EUR"}})[0]["Id"]
    foreign = {"CurrencyRef": {"value": "EUR"}}
    made = books.create("Invoice", {**invoice_of(euro), **foreign, "ExchangeRate": Decimal("1.1")})["Id"]
    body = payment_of("100", ("Invoice", made, "100"), customer=euro, ExchangeRate=Decimal("1.2"), **foreign)
    books.create("Payment", body)
    assert told(books, made) == [("Paid", "100.00", "0.00", "0.00", "0.00")]
    row = invoice_row(owed(inputs_from(books)), made)
    assert (row["currency"], row["exchange_rate"]) == ("EUR", Decimal("1.1"))


def test_a_parent_may_pay_for_its_sub_customer(books: Books) -> None:
    child = books.seed("Customer", {"DisplayName": "Branch", "ParentRef": {"value": "1"}, "Job": True})[0]["Id"]
    made = books.create("Invoice", invoice_of(child))["Id"]
    books.create("Payment", payment_of("100", ("Invoice", made, "100"), customer="1"))
    assert told(books, made) == [("Paid", "100.00", "0.00", "0.00", "0.00")]
    assert owed(inputs_from(books)).applications.get_column("customer_id").to_list() == [child]


def test_a_deposit_on_the_invoice_itself_is_money(books: Books) -> None:
    made = books.create("Invoice", invoice_of(Deposit=Decimal(25)))["Id"]
    assert told(books, made) == [("Partially Paid", "25.00", "0.00", "0.00", "75.00")]


# The decision table itself

ROWS = [
    # deleted, voided, emailed, total, paid, credited, written off, open, left over -> status
    (True, False, True, "100", "100", "0", "0", "0", "0", "Deleted"),
    (False, True, True, "0", "0", "0", "0", "0", "0", "Voided"),
    (False, False, True, "100", "120", "0", "0", "-20", "0", "Overpaid"),
    (False, False, True, "100", "100", "0", "0", "0", "0.01", "Overpaid"),
    (False, False, True, "100", "60", "0", "0", "40", "5", "Partially Paid"),
    (False, False, True, "100", "100", "0", "0", "0", "0", "Paid"),
    (False, False, False, "100", "1", "99", "0", "0", "0", "Paid"),
    (False, False, False, "100", "50", "0", "50", "0", "0", "Paid"),
    (False, False, False, "100", "49.99", "0", "50.01", "0", "0", "Credited"),
    (False, False, False, "100", "0", "100", "0", "0", "0", "Credited"),
    (False, False, False, "100", "0", "0", "100", "0", "0", "Credited"),
    (False, False, True, "100", "0", "0.01", "0", "99.99", "0", "Partially Paid"),
    (False, False, True, "100", "0", "0", "0", "100", "0", "Sent"),
    (False, False, False, "100", "0", "0", "0", "100", "0", "Invoiced"),
    (False, False, True, "0", "0", "0", "0", "0", "0", "Sent"),
]


@pytest.mark.parametrize("row", ROWS)
def test_each_row_of_the_decision_table_gives_its_status(row: tuple[Any, ...]) -> None:
    *values, wanted = row
    names = ("deleted", "voided", "emailed", "total", "paid", "credited", "written_off", "open", "left_over")
    amounts = {name: [Decimal(value)] for name, value in zip(names[3:], values[3:], strict=True)}
    flags = dict(zip(names[:3], ([value] for value in values[:3]), strict=True))
    frame = pl.DataFrame(
        {**flags, **amounts, "last_payment_on": [None], "currency": ["USD"]},
        schema_overrides={**dict.fromkeys(amounts, AMOUNT), "last_payment_on": pl.Date},
    )
    told_so = with_status(frame)
    assert told_so.get_column("status").item() == wanted
    assert wanted in STATUSES
    assert told_so.get_column("status_reason").item().endswith(".")


def test_amounts_in_a_reason_are_grouped_as_people_write_them() -> None:
    frame = pl.DataFrame(
        {
            **dict.fromkeys(("deleted", "voided", "emailed"), False),
            **{name: Decimal(0) for name in ("credited", "written_off", "left_over")},
            "total": Decimal("1234567.89"),
            "paid": Decimal("123456.00"),
            "open": Decimal("1111111.89"),
            "last_payment_on": None,
            "currency": "USD",
        },
        schema_overrides={"last_payment_on": pl.Date}
        | dict.fromkeys(("total", "paid", "open", "credited", "written_off", "left_over"), AMOUNT),
    )
    assert with_status(frame)["status_reason"].item() == "123,456.00 USD was paid; 1,111,111.89 USD is open."
