"""Records become rows; an org that lacks something is told what."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.money import parse_json
from qbsf_pipeline.salesforce import objects
from qbsf_pipeline.salesforce.objects import (
    OBJECT_NAMES,
    ObjectDescription,
    SalesforceObject,
    check_fields,
    content_hash,
    datetime_literal,
    instant,
    objects_for,
    quoted,
    quoted_list,
    row_of,
    to_18,
)
from qbsf_pipeline.settings import Rules, load_rules
from qbsf_pipeline_tests.salesforce.conftest import SandboxOrg

NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)
RULES = load_rules()

Descriptions = dict[str, ObjectDescription | None]


def _described(org: SandboxOrg) -> Descriptions:
    return org.door().client.describe(OBJECT_NAMES)


def _without(descriptions: Descriptions, name: str, field: str) -> Descriptions:
    before = descriptions[name]
    assert before is not None
    kept = tuple(found for found in before.fields if found.name != field)
    assert len(kept) < len(before.fields)
    return {**descriptions, name: before.model_copy(update={"fields": kept})}


def _changed(descriptions: Descriptions, name: str, field: str, **changes: Any) -> Descriptions:
    before = descriptions[name]
    assert before is not None
    fields = tuple(found.model_copy(update=changes) if found.name == field else found for found in before.fields)
    return {**descriptions, name: before.model_copy(update={"fields": fields})}


def _problems(descriptions: Descriptions, rules: Rules = RULES, *, writes: bool = True) -> list[str]:
    try:
        check_fields(rules, descriptions, writes=writes)
    except ConfigurationError as error:
        return error.problems
    return []


def test_the_sandbox_has_everything(org: SandboxOrg, multi_currency_org: SandboxOrg) -> None:
    single, several = _described(org), _described(multi_currency_org)
    assert _problems(single) == []
    assert _problems(several) == []
    assert "CurrencyType" not in {found.name for found in objects_for(RULES, single)}
    assert "CurrencyType" in {found.name for found in objects_for(RULES, several)}
    deals = {found.name: found for found in objects_for(RULES, several)}["Opportunity"]
    assert "CurrencyIsoCode" in deals.selected
    assert "CurrencyIsoCode" not in {found.name: found for found in objects_for(RULES, single)}["Opportunity"].selected


def test_the_buckets_of_the_rules_must_be_among_the_values_of_the_picklist(org: SandboxOrg) -> None:
    described = _changed(_described(org), "Opportunity", "Aging_Bucket__c", restricted=True)
    assert _problems(described) == []
    other = RULES.model_copy(update={"aging": RULES.aging.model_copy(update={"buckets": (14, 30)})})
    (problem,) = _problems(described, other)
    assert "Opportunity.Aging_Bucket__c is a restricted picklist without 1-14, 15-30, 30+" in problem


def test_each_thing_that_is_missing_has_one_line_with_its_remedy(org: SandboxOrg) -> None:
    described = _described(org)
    for name, field in [("Opportunity", "Contract_URL__c"), ("Opportunity", "Aging_Bucket__c")]:
        described = _without(described, name, field)
    described = _without(described, "Account", "Billing_Email__c")
    described = _without(described, "Account", "BillingCity")
    described = _changed(described, "Opportunity", "QuickBooks_Invoice_Id__c", updateable=False)
    described = _changed(described, "Opportunity", "Payment_Status__c", restricted=True, values=("Paid", "sent"))
    described["Contact"] = None
    problems = _problems(described)
    assert len(problems) == 7
    joined = "\n".join(problems)
    assert "Opportunity.Contract_URL__c" in joined
    assert "salesforce.opportunity.contract_url" in joined
    assert "QBSF_CONFIG" in joined
    assert "Account.BillingCity" in joined
    assert "salesforce.account.billing_email" in joined
    assert "Opportunity.QuickBooks_Invoice_Id__c cannot be written" in joined
    assert "without Not Invoiced, Invoiced, Sent, Partially Paid, Overpaid, Credited, Voided, Deleted" in joined
    assert "Contact" in joined
    assert len(_problems(described, writes=False)) == 5


def test_what_an_org_may_lack_is_simply_not_asked_for(org: SandboxOrg) -> None:
    described = _described(org)
    for name, field in [
        ("OpportunityLineItem", "SortOrder"),
        ("OpportunityLineItem", "ServiceDate"),
        ("Product2", "StockKeepingUnit"),
        ("Account", "ShippingStreet"),
    ]:
        described = _without(described, name, field)
    described["OpportunityStage"] = None
    assert _problems(described) == []
    found = {each.name: each for each in objects_for(RULES, described)}
    assert "SortOrder" not in found["OpportunityLineItem"].selected
    assert (
        found["Product2"].fields_hash != {each.name: each for each in objects_for(RULES, _described(org))}["Product2"].fields_hash
    )


def test_a_checkbox_for_billing_on_hold_is_asked_for_only_where_the_rules_name_it(org: SandboxOrg) -> None:
    described = _described(org)
    fields = RULES.salesforce.opportunity.model_copy(update={"billing_on_hold": "isprivate"})
    named = RULES.model_copy(update={"salesforce": RULES.salesforce.model_copy(update={"opportunity": fields})})
    asked, plain = ({one.name: one for one in objects_for(each, described)}["Opportunity"] for each in (named, RULES))
    assert asked.fields["billing_on_hold"] == "IsPrivate"
    assert "billing_on_hold" not in plain.fields
    # A box that was ticked before it was named is read too.
    assert asked.fields_hash != plain.fields_hash
    assert _problems(described, named) == []
    # A text that is read as a checkbox would be empty, and the deal billed.
    for wrong in (
        _without(described, "Opportunity", "IsPrivate"),
        _changed(described, "Opportunity", "IsPrivate", type="picklist"),
    ):
        (problem,) = _problems(wrong, named)
        assert "salesforce.opportunity.billing_on_hold" in problem


def test_an_org_that_hides_industry_and_type_is_read_all_the_same(org: SandboxOrg) -> None:
    described = _without(_without(_described(org), "Account", "Industry"), "Account", "Type")
    assert _problems(described) == []
    assert {"industry", "type"}.isdisjoint({one.name: one for one in objects_for(RULES, described)}["Account"].fields)


def test_a_field_is_asked_for_as_the_org_spells_it(org: SandboxOrg) -> None:
    rules = RULES.model_copy(
        update={
            "salesforce": RULES.salesforce.model_copy(
                update={
                    "opportunity": RULES.salesforce.opportunity.model_copy(update={"contract_url": "contract_url__C"}),
                    "product_item_field": "NoSuchField__c",
                }
            )
        }
    )
    described = _described(org)
    deals = next(found for found in objects_for(rules, described) if found.name == "Opportunity")
    assert deals.fields["contract_url"] == "Contract_URL__c"
    (problem,) = _problems(described, rules)
    assert "salesforce.product_item_field" in problem


def _source(name: str, **fields: str) -> SalesforceObject:
    table = {each.name: each for each in objects.TABLES}[name]
    standard = {column.name: column.path for column in table.columns if column.path is not None}
    return SalesforceObject(name, table, {**standard, **fields}, False, True, True)


def test_a_deal_becomes_a_typed_row() -> None:
    record = parse_json(
        """{"attributes":{"type":"Opportunity"},"Id":"0063t000013SVok","Name":"Müller Ωmega 🚀","AccountId":null,
        "CloseDate":"2026-03-31","IsWon":true,"IsClosed":true,"Amount":12000.10,"IsDeleted":false,
        "CreatedDate":"2026-03-01T09:15:22.000+0000","SystemModstamp":"2026-03-31T09:15:22.000+0000",
        "Bill__c":12.5,"Id__c":"123456789012345","Balance__c":0.1,"Terms__c":""}"""
    )
    source = _source(
        "opportunity",
        billing_periods="Bill__c",
        invoice_id="Id__c",
        invoice_balance="Balance__c",
        payment_terms="Terms__c",
    )
    row = row_of(source, record, NOW)
    assert row["id"] == "0063t000013SVokAAG"
    assert row["name"] == "Müller Ωmega 🚀"
    assert row["account_id"] is None
    assert row["close_date"] == date(2026, 3, 31)
    assert row["is_won"] is True
    assert row["amount"] == Decimal("12000.10")
    # What is no whole number is told to people, and never dropped.
    assert row["billing_periods"] == Decimal("12.5")
    assert row["invoice_id"] == "123456789012345"
    assert row["invoice_balance"] == Decimal("0.10")
    assert row["payment_terms"] is None
    assert row["created_at"] == datetime(2026, 3, 1, 9, 15, 22, tzinfo=UTC)
    assert row["source_modified_at"] == datetime(2026, 3, 31, 9, 15, 22, tzinfo=UTC)
    assert parse_json(row["record"]) == record
    frame = source.table.frame([row])
    assert frame["amount"][0] == Decimal("12000.10")
    assert frame["created_at"][0] == row["created_at"]


def test_a_value_that_cannot_be_read_is_noted_and_hurts_nothing_else() -> None:
    notes: list[str] = []
    record = {"Id": "006000000000001AAA", "Name": 5, "Amount": Decimal("1E+40"), "CloseDate": "soon", "IsWon": "maybe"}
    row = row_of(_source("opportunity"), record, NOW, notes)
    assert row["name"] == "5"
    assert (row["amount"], row["close_date"], row["is_won"]) == (None, None, None)
    assert len(notes) == 3
    assert all("006000000000001AAA" in note for note in notes)
    with pytest.raises(ValueError, match="without an Id"):
        row_of(_source("opportunity"), {"Name": "x"}, NOW)


def test_a_touched_record_keeps_its_hash_and_a_changed_one_does_not() -> None:
    record = {"attributes": {"url": "/a"}, "Id": "1", "Amount": Decimal("100.0"), "SystemModstamp": "a"}
    touched = {"Amount": 100, "Id": "1", "SystemModstamp": "b", "LastModifiedDate": "c", "LastModifiedById": "d"}
    assert content_hash(record) == content_hash(touched)
    assert content_hash(record) != content_hash({**record, "Amount": Decimal("100.01")})
    assert content_hash(record) != content_hash({**record, "Amount": None})
    assert content_hash({"IsWon": True}) != content_hash({"IsWon": 1})


def test_half_a_surrogate_pair_does_not_stop_a_pull() -> None:
    source = _source("account")
    row = row_of(source, {"Id": "001000000000001AAA", "Name": "cut \ud83d"}, NOW)
    assert source.table.frame([row])["name"][0] == "cut ?"


@given(
    value=st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.dictionaries(st.text(), st.integers(), max_size=2)
)
def test_any_value_in_any_column_makes_a_row_that_fits_the_table(value: Any) -> None:
    source = _source("opportunity", billing_periods="P__c", invoice_balance="B__c", billing_start_date="D__c")
    record = dict.fromkeys(source.fields.values(), value) | {"Id": "006000000000001AAA", "SystemModstamp": value}
    assert source.table.frame([row_of(source, record, NOW, [])]).height == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-31T09:15:22.000+0000", datetime(2026, 3, 31, 9, 15, 22, tzinfo=UTC)),
        ("2026-03-31T09:15:22Z", datetime(2026, 3, 31, 9, 15, 22, tzinfo=UTC)),
        ("2026-03-31T11:15:22.000+02:00", datetime(2026, 3, 31, 9, 15, 22, tzinfo=UTC)),
        ("yesterday", None),
        (None, None),
        (5, None),
    ],
)
def test_instants_are_read_as_utc(text: Any, expected: datetime | None) -> None:
    assert instant(text) == expected


def test_instants_are_written_as_soql_takes_them() -> None:
    assert datetime_literal(datetime(2026, 3, 31, 9, 15, 22, tzinfo=UTC)) == "2026-03-31T09:15:22Z"
    assert datetime_literal(datetime(2026, 3, 31, 9, 15, 22, 120_000, tzinfo=UTC)) == "2026-03-31T09:15:22.120Z"


@given(st.text())
def test_a_quoted_text_has_no_quote_or_break_of_its_own(text: str) -> None:
    literal = quoted(text)
    inside = re.sub(r"\\.", "", literal[1:-1])
    assert "'" not in inside
    assert "\n" not in literal


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        quoted_list([])


def test_ids_of_fifteen_characters_get_their_check_characters() -> None:
    assert to_18("0063t000013SVok") == "0063t000013SVokAAG"
    assert to_18("0063t000013SVokAAG") == "0063t000013SVokAAG"
    assert to_18("") == ""
