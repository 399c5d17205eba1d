"""Reasons: each told when it holds, never when it does not, with the record's own values and a remedy."""

from __future__ import annotations

import inspect
from datetime import date
from decimal import Decimal

import pytest

from qbsf_pipeline.customers.texts import deliverable_email
from qbsf_pipeline.invoices import validation
from qbsf_pipeline.invoices.validation import Reason
from qbsf_pipeline_tests.invoices.records import account


@pytest.mark.parametrize(
    "email",
    ["ap@acme.example", "AP@Acme.Example", "o'brien+ap@sub.acme.co.uk", "ap@example.test", " ap@acme.example ", "x@münchen.de"],
)
def test_addresses_that_can_receive_mail_pass(email):
    assert validation.billing_email_malformed(email) is None
    assert deliverable_email(email).isascii()


@pytest.mark.parametrize(
    "email",
    [
        "ap",
        "ap@",
        "@acme.example",
        "ap@acme",
        "ap@localhost",
        "a b@acme.example",
        "ap@acme..example",
        "one@acme.example; two@acme.example",
        "Ap <ap@acme.example>",
        "ap@[10.0.0.1]",
        "jürgen@acme.example",
        f"{'a' * 60}@{'b' * 60}.example",
        "ap@acme.example\nBcc: x@y.example",
    ],
)
def test_addresses_that_quickbooks_would_refuse_are_told(email):
    reason = validation.billing_email_malformed(email)
    assert reason.code == "billing_email_malformed"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://contracts.example/a?b=c#d", None),
        ("http://intranet/contract", None),
        ("HTTPS://contracts.example", None),
        (None, "contract_url_missing"),
        ("  ", "contract_url_missing"),
        ("contracts.example/1", "contract_url_malformed"),
        ("ftp://contracts.example", "contract_url_malformed"),
        ("javascript:alert(1)", "contract_url_malformed"),
        ("https://", "contract_url_malformed"),
        ("https://[bad", "contract_url_malformed"),
        ("https://a b.example", "contract_url_malformed"),
    ],
)
def test_a_contract_link_must_open_in_a_browser(url, code):
    missing = validation.contract_url_missing(url, required=True)
    malformed = validation.contract_url_malformed(url, required=True)
    assert [reason.code for reason in (missing, malformed) if reason] == ([code] if code else [])
    assert validation.contract_url_missing(url, required=False) is None
    assert validation.contract_url_malformed(url, required=False) is None


def test_missing_parts_of_the_address_are_named():
    reason = validation.billing_address_missing(account(billing_street=" ", billing_city=None), ["street", "city", "country"])
    assert reason.text == "The billing address of “Acme 1 Inc.” has no street and no city."
    assert validation.billing_address_missing(account(), ["street", "city", "state", "postal_code", "country"]) is None


@pytest.mark.parametrize(
    ("amount", "totals", "found"),
    [
        (None, ["1.00"], None),
        ("1.00", [], None),
        ("10.00", ["5.00", "5.00"], None),
        ("10.004", ["10.00"], None),
        ("10.02", ["5.00", "5.00"], False),
        ("10.03", ["5.00", "5.00"], True),
        ("9.98", ["5.00", "5.00"], False),
        ("0.00", ["5.00"], True),
    ],
)
def test_a_difference_beyond_a_cent_for_each_line_is_no_rounding(amount, totals, found):
    result = validation.amount_differs(None if amount is None else Decimal(amount), [Decimal(one) for one in totals], "USD")
    assert (None if result is None else result[0]) is found


@pytest.mark.parametrize(
    ("on", "closed", "told"),
    [
        (date(2026, 11, 1), date(2026, 10, 31), False),
        (date(2026, 10, 31), date(2026, 10, 31), True),
        (date(2026, 10, 1), None, False),
        (None, date(2026, 10, 31), False),
    ],
)
def test_the_books_are_closed_up_to_and_with_the_closing_date(on, closed, told):
    assert (validation.books_closed(on, closed) is not None) is told


@pytest.mark.parametrize(
    ("currency", "home", "several", "told"),
    [("USD", "USD", False, False), ("EUR", "USD", False, True), ("EUR", "USD", True, False), ("EUR", None, False, True)],
)
def test_a_company_with_one_currency_bills_in_no_other(currency, home, several, told):
    assert (validation.currency_not_in_quickbooks(currency, home, several=several) is not None) is told


def test_every_public_function_that_gives_a_reason_says_what_to_do():
    functions = [
        function
        for name, function in inspect.getmembers(validation, inspect.isfunction)
        if not name.startswith("_") and function.__module__ == validation.__name__
    ]
    assert all(function.__doc__ for function in functions)


@pytest.mark.parametrize(
    "reason",
    [
        validation.no_account(None),
        validation.account_not_found("001", None),
        validation.account_deleted({"is_deleted": True, "name": None}),
        validation.customer_in_review("Acme", "Which one?"),
        validation.customer_ignored(None),
        validation.billing_email_missing("Acme", None, required=True),
        validation.payment_terms_missing("", required=True),
        validation.payment_terms_unknown("Net 31", [f"Net {days}" for days in range(30)]),
        validation.close_date_missing(None),
        validation.currency_unknown(None),
        validation.currency_differs_from_customer("EUR", "USD", "Acme"),
        validation.no_line_items([]),
        validation.line_without_amount(["Seat"]),
        validation.negative_line(["Credit"]),
        validation.tax_code_missing("Seat", "20% S"),
        validation.class_unknown("West"),
        validation.department_unknown("Boulder"),
        validation.income_account_unknown(""),
        validation.text_too_long("description of line 1", 5000, 4000),
        validation.duplicate_marker(["1001 (id 301)", "1002 (id 302)"]),
    ],
)
def test_reasons_are_sentences_with_a_remedy(reason):
    assert isinstance(reason, Reason)
    assert not reason.text[0].islower()
    assert reason.text.endswith((".", "?"))
    assert reason.remedy.endswith(".")
    assert "None" not in reason.text
