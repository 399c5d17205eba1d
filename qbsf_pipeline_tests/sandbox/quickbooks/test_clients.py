"""The real client libraries against the local QuickBooks."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
import requests
from intuitlib.client import AuthClient
from intuitlib.exceptions import AuthClientError
from quickbooks import QuickBooks
from quickbooks.batch import batch_create, batch_delete
from quickbooks.cdc import change_data_capture
from quickbooks.exceptions import (
    AuthorizationException,
    ObjectNotFoundException,
    QuickbooksException,
    ValidationException,
)
from quickbooks.objects.base import CustomerMemo, EmailAddress, Ref
from quickbooks.objects.company_info import CompanyInfo
from quickbooks.objects.creditmemo import CreditMemo
from quickbooks.objects.customer import Customer
from quickbooks.objects.detailline import SalesItemLine, SalesItemLineDetail
from quickbooks.objects.invoice import Invoice
from quickbooks.objects.item import Item
from quickbooks.objects.payment import Payment, PaymentLine
from quickbooks.objects.preferences import Preferences
from quickbooks.objects.recurringtransaction import (
    RecurringInfo,
    RecurringInvoice,
    RecurringTransaction,
    ScheduleInfo,
)
from quickbooks.objects.term import Term
from quickbooks.objects.vendor import Vendor

from qbsf_pipeline.sandbox.quickbooks import mail
from qbsf_pipeline_tests.sandbox.quickbooks.conftest import Books


class _Session(requests.Session):
    access_token: str | None = None


@pytest.fixture
def client(books: Books) -> QuickBooks:
    made = QuickBooks(company_id=books.options.realm_id, minorversion=75, use_decimal=True)
    made.session = _Session()
    made.session.access_token = books.access_token
    made.api_url_v3 = f"{books.url}/v3"
    return made


def _auth(books: Books, **more: str) -> AuthClient:
    discovery = f"{books.url}/.well-known/openid_sandbox_configuration"
    return AuthClient(
        books.options.client_id,
        more.get("client_secret", books.options.client_secret),
        "http://localhost/callback",
        discovery,
        refresh_token=books.refresh_token,
    )


def _invoice(customer: str, amount: Decimal = Decimal("10.00")) -> Invoice:
    line = SalesItemLine()
    line.Amount = amount
    line.Description = "Work"
    line.SalesItemLineDetail = SalesItemLineDetail()
    line.SalesItemLineDetail.ItemRef = Ref()
    line.SalesItemLineDetail.ItemRef.value = "1"
    invoice = Invoice()
    invoice.Line.append(line)
    invoice.CustomerRef = Ref()
    invoice.CustomerRef.value = customer
    invoice.CustomerMemo = CustomerMemo()
    invoice.CustomerMemo.value = "Thanks"
    return invoice


def test_intuit_oauth_refreshes_and_revokes(books: Books) -> None:
    auth = _auth(books)
    auth.refresh()
    assert auth.refresh_token != books.refresh_token
    assert auth.expires_in == 3600
    assert auth.get_user_info().json()["sub"] == "sandbox"
    old = auth.refresh_token
    auth.refresh()
    auth.refresh()
    with pytest.raises(AuthClientError) as refused:
        auth.refresh(refresh_token=old)
    assert refused.value.status_code == 400
    assert b"invalid_grant" in refused.value.content
    assert refused.value.intuit_tid
    assert auth.revoke()


def test_intuit_oauth_is_told_of_a_wrong_secret(books: Books) -> None:
    with pytest.raises(AuthClientError) as refused:
        _auth(books, client_secret="wrong").refresh()
    assert refused.value.status_code == 401


def test_python_quickbooks_starts_from_a_refresh_token(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    client = QuickBooks(
        auth_client=_auth(books),
        refresh_token=books.refresh_token,
        company_id=books.options.realm_id,
        minorversion=75,
    )
    client.api_url_v3 = f"{books.url}/v3"
    assert CompanyInfo.get(1, qb=client).CompanyName == "Acme"
    assert Preferences.get(qb=client).CurrencyPrefs.HomeCurrency.value == "USD"


def test_a_customer_is_saved_found_and_changed(client: QuickBooks) -> None:
    customer = Customer()
    customer.DisplayName = "Ann's \\ Bakery 🎂"
    customer.PrimaryEmailAddr = EmailAddress()
    customer.PrimaryEmailAddr.Address = "ann@bakery.example"
    customer.save(qb=client)
    found = Customer.get(customer.Id, qb=client)
    assert found.DisplayName == "Ann's \\ Bakery 🎂"
    found.GivenName = "Ann"
    changed = found.save(qb=client)
    assert changed.SyncToken == "1"
    with pytest.raises(QuickbooksException) as stale:
        found.save(qb=client)
    assert stale.value.error_code == 5010
    assert [each.Id for each in Customer.filter(DisplayName="O'Brien & Søns", qb=client)] == ["1"]
    assert len(Customer.choose(["1", "2"], field="Id", qb=client)) == 2
    assert Customer.count(qb=client) == 3
    assert len(Customer.all(order_by="DisplayName DESC", max_results=2, qb=client)) == 2
    assert Customer.where("Active = True", order_by="Id", start_position=2, max_results=1, qb=client)[0].Id == "2"


def test_faults_become_the_librarys_exceptions(client: QuickBooks) -> None:
    vendor = Vendor()
    vendor.DisplayName = "Müller GmbH"
    with pytest.raises(QuickbooksException) as taken:
        vendor.save(qb=client)
    assert taken.value.error_code == 6240
    with pytest.raises(ObjectNotFoundException):
        Invoice.get("77", qb=client)
    with pytest.raises(ValidationException):
        Invoice.query("select * from Invoice where PrivateNote = 'x'", qb=client)
    client.session.access_token = "wrong"
    with pytest.raises(AuthorizationException):
        Invoice.get("77", qb=client)


def test_an_invoice_is_made_sent_paid_and_voided(client: QuickBooks, books: Books) -> None:
    invoice = _invoice("1")
    made = invoice.save(qb=client, request_id="abc")
    assert invoice.save.__self__.Id == made.Id
    assert (made.TotalAmt, made.DueDate, made.DocNumber) == (Decimal("10.0"), "2026-12-22", "1001")
    again = _invoice("1").save(qb=client, request_id="abc")
    assert again.Id == made.Id
    made.send(qb=client, send_to="ap@obrien.example")
    assert mail(books.store)[0]["to"] == "ap@obrien.example"
    payment = Payment()
    payment.CustomerRef = made.CustomerRef
    payment.TotalAmt = Decimal("10.00")
    line = PaymentLine()
    line.Amount = Decimal("10.00")
    line.LinkedTxn.append(made.to_linked_txn())
    payment.Line.append(line)
    payment.save(qb=client)
    paid = Invoice.get(made.Id, qb=client)
    assert (paid.Balance, paid.SyncToken, paid.EmailStatus) == (0, "2", "EmailSent")
    paid.void(qb=client)
    voided = Invoice.get(made.Id, qb=client)
    assert (voided.TotalAmt, voided.PrivateNote) == (0, "Voided")
    freed = Payment.get(payment.Id, qb=client)
    assert freed.UnappliedAmt == Decimal("10.0")
    freed.void(qb=client)
    assert Payment.get(payment.Id, qb=client).TotalAmt == 0


def test_reading_and_saving_an_invoice_whole_is_a_full_update(client: QuickBooks) -> None:
    made = _invoice("1").save(qb=client)
    made.PrivateNote = "changed"
    changed = made.save(qb=client)
    assert (changed.PrivateNote, changed.SyncToken, changed.TotalAmt) == ("changed", "1", Decimal("10.0"))
    assert changed.CustomerMemo.value == "Thanks"
    changed.delete(qb=client)
    with pytest.raises(ObjectNotFoundException):
        Invoice.get(made.Id, qb=client)


def test_credit_memos_terms_and_items_are_understood(client: QuickBooks) -> None:
    memo = CreditMemo()
    memo.Line = _invoice("1").Line
    memo.CustomerRef = _invoice("1").CustomerRef
    assert memo.save(qb=client).RemainingCredit == Decimal("10.0")
    term = Term()
    term.Name = "Net 45"
    term.DueDays = 45
    assert term.save(qb=client).Type == "STANDARD"
    assert {item.Name: item.Sku for item in Item.all(qb=client)} == {"Services": None, "Widget": "W-1"}


def test_the_librarys_batches_work(client: QuickBooks) -> None:
    names = ["Batch 1", "Batch 2", "Müller GmbH"]
    customers = []
    for name in names:
        customer = Customer()
        customer.DisplayName = name
        customers.append(customer)
    result = batch_create(customers, qb=client)
    assert [each.DisplayName for each in result.successes] == names[:2]
    assert result.faults[0].Error[0].code == "6240"
    made = batch_create([_invoice("1"), _invoice("2")], qb=client)
    assert len(made.successes) == 2
    deleted = batch_delete(made.successes, qb=client)
    assert not deleted.faults


def test_the_librarys_change_data_capture_works(client: QuickBooks) -> None:
    made = _invoice("1").save(qb=client)
    gone = _invoice("1").save(qb=client)
    gone = Invoice.get(gone.Id, qb=client)
    gone.delete(qb=client)
    # The library drops the offset: QuickBooks takes what is left as Pacific time.
    changes = change_data_capture([Invoice, Payment], datetime(2026, 11, 22, 11, 59, tzinfo=UTC), qb=client)
    assert [each.Id for each in changes.Invoice] == [made.Id, gone.Id]
    assert changes.Invoice[1].status == "Deleted"
    assert not hasattr(changes, "Payment")


def test_the_librarys_recurring_templates_work(client: QuickBooks) -> None:
    inner = RecurringInvoice()
    inner.Line = _invoice("1").Line
    inner.CustomerRef = _invoice("1").CustomerRef
    inner.RecurringInfo = RecurringInfo()
    inner.RecurringInfo.Name = "Monthly"
    inner.RecurringInfo.Active = True
    inner.RecurringInfo.ScheduleInfo = ScheduleInfo()
    inner.RecurringInfo.ScheduleInfo.IntervalType = "Monthly"
    inner.RecurringInfo.ScheduleInfo.NumInterval = 1
    template = RecurringTransaction()
    template.Invoice = inner
    saved = template.save(qb=client)
    found = RecurringTransaction.get(saved.Invoice.Id, qb=client)
    assert found.Invoice.RecurringInfo.Name == "Monthly"
    assert len(RecurringTransaction.where("Type = 'Invoice'", qb=client)) == 1
    found.delete(qb=client)
    assert RecurringTransaction.all(qb=client) == []
