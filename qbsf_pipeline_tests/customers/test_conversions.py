"""Conversions: what is written means what it was written from, so that it never comes back as a change."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbsf_pipeline.customers import payloads, texts
from qbsf_pipeline.customers.conversions import NotTaken, account_fields, customer_fields, to_quickbooks, to_salesforce
from qbsf_pipeline.customers.fields import Address, Person, account_values, customer_values, is_empty
from qbsf_pipeline.customers.matching.names import legal_display_name
from qbsf_pipeline.customers.meanings import meaning
from qbsf_pipeline.customers.payloads import Mender, address
from qbsf_pipeline_tests.customers.pairs import PACKAGED, Books, account, changed_rules, contact, customer
from qbsf_pipeline_tests.invoices.records import record_id

#: Texts as people and imports leave them behind.
AWKWARD = st.one_of(
    st.text(max_size=40),
    st.text("aZ é:\t\r\n,;'\"&<>@.#/\\\u2028\U0001f600\x00", max_size=40),
    st.sampled_from(
        ["O'Brien: Sons & Co.", "x" * 600, "\U0001f600" * 90, "Ü" * 101, "a:b:c", "(deleted)", "Acme (2)", "-", "::"]
    ),
)
PHONES = st.one_of(
    AWKWARD,
    st.from_regex(r"\A\+?[0-9 ().x-]{5,25}\Z"),
    st.sampled_from(["303.555.0101 ext. 7", "+44 20 7946 0000", "1-800-FLOWERS"]),
)
SITES = st.one_of(
    AWKWARD, st.sampled_from(["acme.example", "HTTP://WWW.acme.example/", "//acme.example", "https://a.example/x?y=1#z"])
)
MAILS = st.one_of(
    AWKWARD,
    st.emails(),
    st.lists(st.sampled_from(["ap@x.example", "AR@y.example", "o'neil@z.example", "x@münchen.de"]), min_size=1).map("; ".join),
)
STATES = st.sampled_from(["CO", "Colorado", "", "Ontario", "NSW", "Bayern", "c.o."])
COUNTRIES = st.sampled_from(["USA", "US", "United States", "", "Canada", "Deutschland", "Narnia", "AU"])
PLACES = st.tuples(AWKWARD, AWKWARD, STATES, st.sampled_from(["80302", "80302-1234", "H2X 1Y4", "", "a" * 40]), COUNTRIES)

PARTS = ("Street", "City", "State", "PostalCode", "Country")
QUICKBOOKS_PARTS = ("Line1", "City", "CountrySubDivisionCode", "PostalCode", "Country")


def come_to_rest(books: Books, field: str) -> None:
    """Write once; nothing is left to write then, and the field agrees unless it was refused."""
    first = books.once()
    second = books.plan()
    assert second.writes.is_empty()
    told = set(second.refusals.get_column("field").to_list())
    assert field in told or field not in second.differences.get_column("field").to_list()
    assert first.refusals.filter(first.refusals.get_column("field") == field).height <= 1


FROM_SALESFORCE: dict[str, tuple[st.SearchStrategy[Any], list[str], Any]] = {
    "name": (AWKWARD.filter(str.strip), ["as_written"], lambda text: {"Name": text}),
    "phone": (PHONES, ["as_written", "e164", "international"], lambda text: {"Phone": text}),
    "website": (SITES, ["as_written", "with_https"], lambda text: {"Website": text}),
    "email": (MAILS, ["as_written", "lower_case"], lambda text: {"Billing_Email__c": text}),
    "billing_address": (
        PLACES,
        ["as_written", "state_code"],
        lambda parts: {f"Billing{name}": part for name, part in zip(PARTS, parts, strict=True)},
    ),
    "shipping_address": (
        PLACES,
        ["as_written", "state_code"],
        lambda parts: {f"Shipping{name}": part for name, part in zip(PARTS, parts, strict=True)},
    ),
}
FROM_QUICKBOOKS: dict[str, tuple[st.SearchStrategy[Any], list[str], Any]] = {
    "name": (AWKWARD.filter(str.strip), ["as_written"], lambda text: {"DisplayName": text}),
    "phone": (PHONES, ["as_written", "e164", "international"], lambda text: {"PrimaryPhone": {"FreeFormNumber": text}}),
    "website": (SITES, ["as_written", "with_https"], lambda text: {"WebAddr": {"URI": text}}),
    "email": (MAILS, ["as_written", "lower_case"], lambda text: {"PrimaryEmailAddr": {"Address": text}}),
    "billing_address": (
        PLACES,
        ["as_written", "state_code"],
        lambda parts: {"BillAddr": dict(zip(QUICKBOOKS_PARTS, parts, strict=True))},
    ),
}


@pytest.mark.parametrize("field", FROM_SALESFORCE)
@settings(max_examples=25)
@given(data=st.data())
def test_what_goes_to_quickbooks_means_what_salesforce_has(field, data):
    values, conversions, written = FROM_SALESFORCE[field]
    conversion = data.draw(st.sampled_from(conversions))
    rules = changed_rules({field: {"to_quickbooks": conversion, "first_difference": "owner"}})
    come_to_rest(Books(accounts=[account(**written(data.draw(values)))], rules=rules), field)


@pytest.mark.parametrize("field", FROM_QUICKBOOKS)
@settings(max_examples=25)
@given(data=st.data())
def test_what_goes_to_salesforce_means_what_quickbooks_has(field, data):
    values, conversions, written = FROM_QUICKBOOKS[field]
    conversion = data.draw(st.sampled_from(conversions))
    rules = changed_rules({field: {"owner": "quickbooks", "to_salesforce": conversion, "first_difference": "owner"}})
    come_to_rest(Books(customers=[customer(**written(data.draw(values)))], rules=rules), field)


@settings(max_examples=25)
@given(AWKWARD, AWKWARD)
def test_a_persons_name_comes_to_rest_too(given_name, family_name):
    person = {
        "id": record_id("003"),
        "account_id": record_id("001"),
        "email": "ap@acme1.example",
        "first_name": given_name,
        "last_name": family_name,
    }
    come_to_rest(Books(contacts=[person]), "contact")


@settings(max_examples=100)
@given(st.sampled_from(["phone", "website"]), PHONES | SITES, st.sampled_from(["US", "GB", "DE"]))
def test_a_conversion_changes_no_meaning(field, text, region):
    value = text.strip() or None
    if value is None or is_empty(texts.clean(value)):
        return
    for conversion in ("as_written", "e164", "international") if field == "phone" else ("as_written", "with_https"):
        compare = [{"phone": "phone", "website": "web"}[field]]
        for convert in (to_quickbooks, to_salesforce):
            converted = convert(field, value, conversion, region)
            clean = texts.clean(value, one_line=True)
            assert isinstance(converted, NotTaken) or meaning(converted, compare, region) == meaning(clean, compare, region)


@pytest.mark.parametrize(
    ("field", "value", "conversion", "found"),
    [
        ("name", "Vertex: Ops\t", "as_written", "Vertex - Ops"),
        ("phone", "(303) 555-0101 ext 5", "e164", "+13035550101 x5"),
        ("phone", "(303) 555-0101", "international", "+1 303-555-0101"),
        ("phone", "call Bob", "e164", "call Bob"),
        ("website", "acme.example", "with_https", "https://acme.example"),
        ("website", "http://acme.example", "with_https", "http://acme.example"),
        ("email", "AP@x.example; ar@Y.example", "as_written", "AP@x.example, ar@y.example"),
        ("email", "AP@x.example", "lower_case", "ap@x.example"),
        ("contact", Person("Ann: Lee\n", "x" * 120), "as_written", Person("Ann - Lee", "x" * 100)),
        ("terms", "Net 30", "as_written", "Net 30"),
        ("billing_address", Address("1 A St", "X", "Colorado", "1", "US"), "state_code", Address("1 A St", "X", "CO", "1", "US")),
        (
            "billing_address",
            Address("1 A St", "X", "Bayern", "1", "DE"),
            "state_code",
            Address("1 A St", "X", "Bayern", "1", "DE"),
        ),
        (
            "billing_address",
            Address("a\nb\nc\nd\ne\nf", "X", "", "", ""),
            "as_written",
            Address("a\nb\nc\nd\ne, f", "X", "", "", ""),
        ),
        ("active", False, "as_written", False),
        ("phone", None, "as_written", None),
    ],
)
def test_values_are_spelt_as_quickbooks_takes_them(field, value, conversion, found):
    assert to_quickbooks(field, value, conversion, "US") == found


@pytest.mark.parametrize(
    ("convert", "field", "value", "code"),
    [
        (to_quickbooks, "email", "nobody", "email_not_taken"),
        (to_quickbooks, "email", "ap@x.example, broken@", "email_not_taken"),
        (to_quickbooks, "email", "; ".join(f"someone{n}@long-name.example" for n in range(9)), "text_too_long"),
        (to_quickbooks, "phone", "1" * 31, "text_too_long"),
        (to_quickbooks, "website", "x" * 1001, "text_too_long"),
        (to_salesforce, "contact", Person("Ann", "Lee"), "contact_not_written"),
        (to_salesforce, "phone", "1" * 41, "text_too_long"),
        (to_salesforce, "billing_address", Address("1 A St", "x" * 41, "", "", ""), "text_too_long"),
        (to_salesforce, "name", "x" * 256, "text_too_long"),
    ],
)
def test_what_a_system_does_not_take_is_never_cut_silently(convert, field, value, code):
    found = convert(field, value, "as_written", "US")
    assert isinstance(found, NotTaken)
    assert found.code == code
    assert found.remedy


def test_an_address_is_written_with_all_its_parts_and_emptied_as_an_object():
    short = Address("1 A St", "Boulder", "", "", "")
    assert customer_fields("billing_address", short) == {
        "BillAddr": {
            "Line1": "1 A St",
            "Line2": "",
            "Line3": "",
            "Line4": "",
            "Line5": "",
            "City": "Boulder",
            "CountrySubDivisionCode": "",
            "PostalCode": "",
            "Country": "",
        }
    }
    assert customer_fields("shipping_address", None) == {"ShipAddr": {}}
    names = PACKAGED.salesforce.account
    assert account_fields("shipping_address", short, names) == {
        "ShippingStreet": "1 A St",
        "ShippingCity": "Boulder",
        "ShippingState": None,
        "ShippingPostalCode": None,
        "ShippingCountry": None,
    }


@pytest.mark.parametrize(
    ("field", "value", "body"),
    [
        ("name", "Acme", {"DisplayName": "Acme", "CompanyName": "Acme"}),
        ("contact", Person("", "Lee"), {"GivenName": "", "FamilyName": "Lee"}),
        ("email", None, {"PrimaryEmailAddr": {}}),
        ("phone", "1", {"PrimaryPhone": {"FreeFormNumber": "1"}}),
        ("website", "x", {"WebAddr": {"URI": "x"}}),
        ("tax_exempt", True, {"Taxable": False}),
        ("active", True, {"Active": True}),
        ("parent", "9", {"ParentRef": {"value": "9"}, "Job": True}),
    ],
)
def test_the_fields_of_a_customer_are_quickbooks_own(field, value, body):
    assert customer_fields(field, value) == body


def test_terms_are_written_by_their_id():
    assert customer_fields("terms", "Net 30", term_id="3") == {"SalesTermRef": {"value": "3"}}


def test_a_created_customer_and_one_kept_in_step_have_one_address():
    books = Books(accounts=[account(BillingStreet="1 A St\r\n\r\n Suite 5 ")], customers=[customer(BillAddr={"Line1": "9 B St"})])
    row = books.inputs().account.row(0, named=True)
    created = address(row, "billing", Mender())
    books.once()
    assert {name: text for name, text in books.customers[0]["BillAddr"].items() if text} == created


def test_readers_and_writers_are_about_the_same_fields():
    """What a customer gets is read back as the value that was written."""
    books = Books()
    books.edit_customer(**customer_fields("contact", Person("Ann", "Lee")), **customer_fields("website", "acme.example"))
    row = books.inputs().customer.row(0, named=True)
    assert customer_values(row, {}, None, ("contact", "website")) == {"contact": Person("Ann", "Lee"), "website": "acme.example"}
    books.edit_account(**account_fields("terms", "Net 15", PACKAGED.salesforce.account))
    assert account_values(books.inputs().account.row(0, named=True), [], ("terms",)) == {"terms": "Net 15"}


@settings(max_examples=40)
@given(AWKWARD.filter(str.strip), PHONES, SITES, PLACES, AWKWARD)
def test_a_customer_that_was_just_created_leaves_nothing_to_write(name, phone, site, place, person):
    parts = {f"Billing{part}": text for part, text in zip(PARTS, place, strict=True)}
    parts |= {f"Shipping{part}": text for part, text in zip(PARTS, place, strict=True)}
    books = Books(accounts=[account(Name=name, Phone=phone, Website=site, **parts)], contacts=[contact(last_name=person)])
    row = books.inputs().account.row(0, named=True)
    created = payloads.customer(
        row,
        legal_display_name(row["name"])[0],
        contacts=[{**contact(last_name=person), "is_deleted": False}],
        email="ap@acme1.example",
        term_id="3",
        currency=None,
        parent=None,
        mender=Mender(),
    )
    books.customers = [{**created, "Id": "101", "SyncToken": "0", "Active": True}]
    plan = books.plan()
    assert plan.writes.is_empty(), plan.differences.select("field", "salesforce_value", "quickbooks_value").rows()
