"""Fields: what stands in a record is read as people see it, and the rules name exactly one owner for each."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline import settings
from qbsf_pipeline.customers.fields import (
    FIELD_NAMES,
    Address,
    Person,
    account_values,
    as_json,
    customer_values,
    decoded,
    encoded,
    fields_in_step,
    from_json,
    told,
)
from qbsf_pipeline.customers.texts import clean
from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.salesforce.objects import WRITTEN_FIELDS, row_of, written_fields
from qbsf_pipeline.settings import SyncFields, load_rules
from qbsf_pipeline_tests.customers.pairs import account, account_source, changed_rules, contact, customer

READ_AT = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
ALL_NAMED = changed_rules(account={"tax_exempt": "Exempt__c", "active": "Active__c"}, parent_accounts="sub_customer")


def of_account(contacts=(), **values):
    row = row_of(account_source(ALL_NAMED), account(**values), READ_AT)
    return account_values(row, [{"is_deleted": False, **one} for one in contacts], FIELD_NAMES)


def of_customer(**values):
    row = quickbooks.row_of("Customer", customer(**values), READ_AT)
    return customer_values(row, {"3": "Net 30"}, "USD", FIELD_NAMES)


def test_an_account_is_read_field_by_field():
    found = of_account([contact()], Exempt__c=True, Active__c=False, CurrencyIsoCode="usd")
    assert found == {
        "name": "Acme 1 Inc.",
        "billing_address": Address("1 Main Street\nSuite 5", "Boulder", "CO", "80302", "USA"),
        "shipping_address": None,
        "contact": Person("Ann", "Lee"),
        "email": "ap@acme1.example",
        "phone": "(303) 555-0101",
        "website": "https://www.acme1.example",
        "terms": "Net 30",
        "tax_exempt": True,
        "currency": "USD",
        "active": False,
    }


def test_a_customer_is_read_field_by_field():
    found = of_customer(
        GivenName=" Ann ", FamilyName="Lee", ShipAddr={"Line1": "Dock 2", "City": "Aurora"}, ParentRef={"value": "9"}
    )
    assert found["name"] == "ACME 1, Inc"
    assert found["contact"] == Person("Ann", "Lee")
    assert found["shipping_address"] == Address("Dock 2", "Aurora", "", "", "")
    assert (found["terms"], found["currency"], found["parent"]) == ("Net 30", "USD", "9")
    assert (found["tax_exempt"], found["active"]) == (False, True)


def test_a_record_without_any_of_the_fields_has_no_values():
    bare = quickbooks.row_of("Customer", {"Id": "1"}, READ_AT)
    found = customer_values(bare, {}, None, FIELD_NAMES)
    assert {name: value for name, value in found.items() if value is not None} == {"active": True}
    empty = row_of(account_source(ALL_NAMED), {"Id": account()["Id"], "Name": " "}, READ_AT)
    assert set(account_values(empty, [], FIELD_NAMES).values()) == {None}


@pytest.mark.parametrize(
    ("contacts", "found"),
    [
        ([], None),
        ([contact(email="other@acme1.example")], None),
        ([contact(email=" AP@ACME1.example ")], Person("Ann", "Lee")),
        ([contact(), contact(2, first_name="Bob")], None),
        ([contact(), contact(2, is_deleted=True)], Person("Ann", "Lee")),
        ([contact(first_name=None)], Person("", "Lee")),
    ],
)
def test_the_contact_is_the_only_one_with_the_billing_e_mail(contacts, found):
    assert of_account(contacts)["contact"] == found


def test_the_mark_on_an_inactive_customers_name_is_no_part_of_it():
    assert of_customer(DisplayName="Acme (deleted)", Active=False)["name"] == "Acme"
    assert of_customer(DisplayName="Acme (deleted)", Active=True)["name"] == "Acme (deleted)"


def test_an_exemption_is_read_from_its_reason_where_the_flag_is_missing():
    assert of_customer(Taxable=None, TaxExemptionReasonId="9")["tax_exempt"] is True
    assert of_customer(Taxable=None)["tax_exempt"] is None
    assert of_customer(Taxable=False)["tax_exempt"] is True


@pytest.mark.parametrize(
    ("found", "address"),
    [
        ({"Country": "US"}, None),
        ({"CountrySubDivisionCode": "CO", "Country": "US"}, None),
        ({"Line1": "\t", "City": " "}, None),
        (
            {"Line1": "Tasha Tea", "Line2": "Mission Street 102", "Line3": "San Francisco, CA 94102"},
            Address("Tasha Tea\nMission Street 102", "San Francisco", "CA", "94102", ""),
        ),
        ({"Line1": "a", "Line5": "e", "City": "X"}, Address("a\ne", "X", "", "", "")),
    ],
)
def test_an_address_in_lines_is_understood_and_a_bare_country_is_none(found, address):
    assert of_customer(BillAddr=found)["billing_address"] == address


@given(
    st.sampled_from(["billing_address", "contact", "phone", "active", "name"]),
    st.text(min_size=1, max_size=30).filter(clean),
    st.booleans(),
)
def test_a_value_is_the_same_after_it_was_stored(field, text, flag):
    # As it is read from a record: without surrounding space and what nobody can see.
    plain = " ".join(clean(text).split())
    value = {
        "billing_address": of_customer(BillAddr={"Line1": plain, "City": "Boulder"})["billing_address"],
        "contact": Person("", plain),
        "active": flag,
    }.get(field, text)
    assert decoded(field, encoded(value)) == value
    assert from_json(field, as_json(value)) == value


def test_a_stored_text_that_is_no_value_counts_as_empty_and_is_refused_in_a_reversal():
    assert decoded("contact", "not json") is decoded("active", '"yes"') is decoded("phone", "") is None
    for field, text in (("contact", '"Ann"'), ("active", "1"), ("phone", "{}"), ("billing_address", "[]")):
        with pytest.raises(ValueError, match="no value of"):
            from_json(field, text)


def test_values_are_told_in_words():
    assert told(None) == "nothing"
    assert (told(True), told(False)) == ("yes", "no")
    assert told(Address("1 A St\nSuite 5", "Boulder", "", "80302", "")) == "“1 A St, Suite 5, Boulder, 80302”"
    assert told(Person("", "Lee")) == "“Lee”"


# Which fields, and whose


def test_fields_that_need_a_name_or_a_rule_are_compared_only_where_they_have_it():
    packaged = fields_in_step(load_rules())
    assert set(FIELD_NAMES) - set(packaged) == {"tax_exempt", "active", "parent"}
    assert fields_in_step(ALL_NAMED) == FIELD_NAMES
    assert tuple(SyncFields.model_fields) == FIELD_NAMES


def test_salesforce_owns_all_but_terms_taxes_and_currency():
    fields = load_rules().customers.fields
    owners = {name: getattr(fields, name).owner for name in FIELD_NAMES}
    assert {name for name, owner in owners.items() if owner == "quickbooks"} == {"terms", "tax_exempt", "currency"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            '[customers.fields.phone]\nowner = "finance"',
            "customers.fields.phone.owner: must be one owner, salesforce or quickbooks; found 'finance'",
        ),
        (
            '[customers.fields.phone]\nowner = ["salesforce", "quickbooks"]',
            "customers.fields.phone.owner: must be one owner, salesforce or quickbooks; found ['salesforce', 'quickbooks']",
        ),
        (
            '[customers.fields.contact]\nowner = "quickbooks"',
            "customers.fields.contact.owner: must be salesforce: the name stands on a Contact, which qbsf never writes; "
            "found 'quickbooks'",
        ),
        (
            '[customers.fields.fax]\nowner = "salesforce"',
            f"customers.fields.fax: there is no such field; the fields are {', '.join(FIELD_NAMES)}",
        ),
        ('[customers.fields.phone]\ncolour = "red"', "customers.fields.phone.colour: there is no such key"),
        (
            '[customers.fields.currency]\nto_quickbooks = "as_written"',
            "customers.fields.currency.to_quickbooks: there is no such key",
        ),
        (
            '[customers.sync]\nreport_only_until = "soon"',
            "customers.sync.report_only_until: must be empty or a date such as 2026-03-31; found 'soon'",
        ),
    ],
)
def test_a_wrong_rule_is_one_line_that_names_the_key_what_is_allowed_and_what_was_found(text, problem, tmp_path: Path):
    path = tmp_path / "rules.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as error:
        load_rules(path)
    assert error.value.problems == [problem]


@pytest.mark.parametrize("missing", ["phone.owner", "phone"])
def test_a_field_without_an_owner_is_refused(missing, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    packaged = load_rules().model_dump(mode="json")
    fields = packaged["customers"]["fields"]
    section, _, key = missing.partition(".")
    if key:
        del fields[section][key]
    else:
        del fields[section]
    monkeypatch.setattr("qbsf_pipeline.settings.tomllib.loads", lambda *_, **__: packaged)
    settings._rules.cache_clear()  # the packaged rules were read before
    with pytest.raises(ConfigurationError) as error:
        load_rules()
    assert error.value.problems == [f"customers.fields.{missing}: is missing; name its owner, salesforce or quickbooks"]


def test_wrong_comparisons_and_conversions_name_what_is_allowed(tmp_path: Path):
    path = tmp_path / "rules.toml"
    path.write_text('[customers.fields.phone]\ncompare = ["adress"]\nto_quickbooks = "shouted"', encoding="utf-8")
    with pytest.raises(ConfigurationError) as error:
        load_rules(path)
    assert len(error.value.problems) >= 2
    assert all(problem.startswith("customers.fields.phone.") for problem in error.value.problems)
    assert any("'e164'" in problem and "'shouted'" in problem for problem in error.value.problems)


def test_a_date_may_be_written_as_a_date_or_as_text(tmp_path: Path):
    path = tmp_path / "rules.toml"
    for written in ('"2026-12-31"', "2026-12-31"):
        path.write_text(f"[customers.sync]\nreport_only_until = {written}", encoding="utf-8")
        assert str(load_rules(path).customers.sync.report_only_until) == "2026-12-31"
    assert load_rules().customers.sync.report_only_until is None


def test_the_fields_of_an_account_that_are_written_follow_the_owners():
    assert written_fields(load_rules()) == (*WRITTEN_FIELDS, "account.payment_terms")
    owned = changed_rules({"email": {"owner": "quickbooks"}, "terms": {"report_only": True}}, account={"tax_exempt": "Exempt__c"})
    assert written_fields(owned) == (*WRITTEN_FIELDS, "account.billing_email", "account.tax_exempt")
    assert written_fields(changed_rules(sync={"enabled": False})) == WRITTEN_FIELDS
