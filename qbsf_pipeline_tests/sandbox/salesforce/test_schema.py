from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.sandbox.salesforce.schema import ApiError, build_schema, make_id, to18

CUSTOM_FIELDS = {
    "Opportunity": {
        "Payment_Terms__c": "string",
        "Contract_URL__c": "url",
        "Billing_Frequency__c": "picklist",
        "Billing_Periods__c": "double",
        "Billing_Start_Date__c": "date",
        "QuickBooks_Invoice_Id__c": "string",
        "QuickBooks_Invoice_Number__c": "string",
        "QuickBooks_Invoice_URL__c": "url",
        "Payment_Status__c": "picklist",
        "Invoice_Balance__c": "currency",
        "Last_Payment_Date__c": "date",
        "Days_Outstanding__c": "double",
        "Aging_Bucket__c": "picklist",
    },
    "Account": {"Payment_Terms__c": "string", "Billing_Email__c": "email", "QuickBooks_Customer_Id__c": "string"},
}


def test_a_known_id_gets_its_documented_checksum():
    assert to18("0063t000013SVok") == "0063t000013SVokAAG"


@given(st.integers(0, 62**9 - 1), st.sampled_from(["001", "006", "00k", "00K"]))
def test_an_id_survives_both_lengths_and_a_folded_case(number, prefix):
    record_id = make_id(prefix, number)
    assert to18(record_id) == to18(record_id[:15]) == record_id
    assert to18(record_id.lower()) == record_id


@pytest.mark.parametrize("text", ["", "abc", "0065g0000000001", "0065g000000000!", "0065g00000000019!A", "é" * 15])
def test_what_is_no_id_is_refused_and_what_is_stays(text):
    if text == "0065g0000000001":
        assert to18(text) == "0065g0000000001AAA"
    else:
        with pytest.raises(ApiError) as refused:
            to18(text)
        assert refused.value.code == "MALFORMED_ID"


@pytest.mark.parametrize("object_name", CUSTOM_FIELDS)
def test_every_custom_field_of_the_contract_exists_with_its_type(object_name):
    entity = build_schema(multi_currency=False).type(object_name)
    assert {name: entity.find(name).type for name in CUSTOM_FIELDS[object_name]} == CUSTOM_FIELDS[object_name]


def test_currency_fields_exist_only_in_an_org_with_several_currencies():
    single, multi = build_schema(multi_currency=False), build_schema(multi_currency=True)
    assert "currencytype" not in single.types
    assert single.type("Opportunity").find("CurrencyIsoCode") is None
    assert multi.type("CurrencyType").find("IsoCode") is not None
    assert multi.type("OpportunityLineItem").find("CurrencyIsoCode").updateable is False


def test_describe_names_what_a_client_checks(org):
    answer = org.call("GET", "sobjects/Opportunity/describe").json()
    fields = {field["name"]: field for field in answer["fields"]}
    children = {child["relationshipName"]: child for child in answer["childRelationships"]}
    assert answer["keyPrefix"] == "006"
    assert children["OpportunityLineItems"]["cascadeDelete"] is True
    assert fields["AccountId"]["referenceTo"] == ["Account"]
    assert fields["AccountId"]["relationshipName"] == "Account"
    assert fields["Payment_Status__c"]["restrictedPicklist"] is True
    assert "Partially Paid" in [value["value"] for value in fields["Payment_Status__c"]["picklistValues"]]
    assert fields["IsWon"]["updateable"] is False
    customer = {f["name"]: f for f in org.call("GET", "sobjects/Account/describe").json()["fields"]}
    assert customer["QuickBooks_Customer_Id__c"]["externalId"] is True
    assert customer["QuickBooks_Customer_Id__c"]["unique"] is True


def test_every_object_can_be_described_and_queried_whole(org):
    for entry in org.call("GET", "sobjects").json()["sobjects"]:
        described = org.call("GET", f"sobjects/{entry['name']}/describe").json()
        names = [field["name"] for field in described["fields"]]
        assert org.query(f"SELECT {', '.join(names)} FROM {entry['name']} LIMIT 2")["done"] is True


def test_a_hidden_field_is_gone_everywhere(org):
    ids = org.deal()
    org.control("hide", {"type": "Opportunity", "field": "Payment_Status__c"})
    described = org.call("GET", "sobjects/Opportunity/describe").json()
    assert "Payment_Status__c" not in [field["name"] for field in described["fields"]]
    assert org.refused("SELECT Id, Payment_Status__c FROM Opportunity")[0] == "INVALID_FIELD"
    write = org.call("PATCH", f"sobjects/Opportunity/{ids['opportunity']}", {"Payment_Status__c": "Paid"})
    assert write.json()[0]["errorCode"] == "INVALID_FIELD"
    org.control("hide", {"type": "Opportunity", "field": "Payment_Status__c", "hidden": False})
    assert org.query("SELECT Payment_Status__c FROM Opportunity")["totalSize"] == 1


def test_a_hidden_object_is_no_type(org):
    org.control("hide", {"type": "OpportunityContactRole"})
    code, _ = org.refused("SELECT Id FROM OpportunityContactRole")
    assert code == "INVALID_TYPE"
    assert org.refused("SELECT Id, (SELECT Id FROM OpportunityContactRoles) FROM Opportunity")[0] == "INVALID_TYPE"
    assert org.call("GET", "sobjects/OpportunityContactRole/describe").status_code == 404
