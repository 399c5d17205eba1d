"""The client library that qbsf uses, unchanged, against the sandbox."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from simple_salesforce import Salesforce, format_soql
from simple_salesforce.exceptions import (
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceResourceNotFound,
)

from qbsf_pipeline.sandbox.salesforce import expire_all_sessions


def test_the_library_reads_writes_and_deletes(org, library):
    ids = org.deal()
    answer = library.query("SELECT Id, Amount FROM Opportunity")
    assert answer["records"][0]["Amount"] == Decimal("31.57")
    assert library.api_usage["api-usage"].total == 100_000
    made = library.Account.create({"Name": "Acme"})
    assert made["success"] is True
    assert library.Account.update(made["id"], {"Phone": "1"}) == 204
    assert library.Account.get(made["id"])["Phone"] == "1"
    assert library.Account.upsert("QuickBooks_Customer_Id__c/9", {"Name": "Nine"}) == 201
    assert library.Account.upsert("QuickBooks_Customer_Id__c/9", {"Name": "Nine 2"}) == 200
    assert library.Account.get_by_custom_id("QuickBooks_Customer_Id__c", "9")["Name"] == "Nine 2"
    assert library.Account.delete(made["id"]) == 204
    assert library.Opportunity.describe()["name"] == "Opportunity"
    assert len(library.describe()["sobjects"]) > 10
    assert library.limits()["DailyApiRequests"]["Max"] == 100_000
    start, end = datetime(2026, 4, 1, 11, 0, tzinfo=UTC), datetime(2026, 4, 1, 13, 0, tzinfo=UTC)
    assert library.Opportunity.updated(start, end)["ids"] == [ids["opportunity"]]
    assert library.Account.deleted(start, end)["deletedRecords"][0]["id"] == made["id"]


def test_the_library_pages_through_everything(org, library):
    org.seed("Account", *({"Name": f"Account {number}"} for number in range(4500)))
    assert len({row["Id"] for row in library.query_all_iter("SELECT Id FROM Account")}) == 4500
    assert library.query("SELECT COUNT() FROM Account")["totalSize"] == 4500


def test_the_library_writes_collections_through_restful(org, library):
    ids = org.deal()
    records = [{"attributes": {"type": "Opportunity"}, "id": ids["opportunity"], "Payment_Status__c": "Paid"}]
    result = library.restful("composite/sobjects", method="PATCH", json={"allOrNone": False, "records": records})
    assert result[0]["success"] is True
    fields = {"ids": [ids["opportunity"]], "fields": ["Id", "Payment_Status__c"]}
    got = library.restful("composite/sobjects/Opportunity", method="POST", json=fields)
    assert got[0]["Payment_Status__c"] == "Paid"


@pytest.mark.parametrize("name", ["O'Brien", 'Quote "x"', "Back\\slash", "Zoë: 100% _a", "東京 🍣", "a\nb"])
def test_names_survive_formatting_and_come_back(org, library, name):
    org.seed("Account", {"Name": name})
    assert library.query(format_soql("SELECT Name FROM Account WHERE Name = {}", name))["records"][0]["Name"] == name
    assert library.query(format_soql("SELECT Id FROM Account WHERE Name IN {}", [name, "x"]))["totalSize"] == 1


def test_a_datetime_of_the_library_is_understood(org, library):
    org.deal()
    soql = format_soql("SELECT Id FROM Opportunity WHERE SystemModstamp >= {}", datetime(2026, 4, 1, 12, tzinfo=UTC))
    assert library.query(soql)["totalSize"] == 1


def test_the_library_raises_what_it_raises_in_production(org, library):
    with pytest.raises(SalesforceMalformedRequest) as refused:
        library.query("SELECT Foo FROM Account")
    assert refused.value.content[0]["errorCode"] == "INVALID_FIELD"
    with pytest.raises(SalesforceResourceNotFound):
        library.Account.get("0015g0zzzzzzzzzAAA")
    org.seed("Account", *[{"Name": "x", "QuickBooks_Customer_Id__c": "5"}] * 2)
    with pytest.raises(SalesforceMoreThanOneRecord):
        library.Account.get_by_custom_id("QuickBooks_Customer_Id__c", "5")


def test_a_refresh_of_the_library_works_and_direct_mode_has_none(org, library):
    org.seed("Account", {"Name": "A"})
    expire_all_sessions(org.store)
    assert library.query("SELECT Id FROM Account")["totalSize"] == 1
    direct = Salesforce(session_id=library.session_id, instance_url=org.url, session=library.session, version="66.0")
    assert direct.query("SELECT Id FROM Account")["totalSize"] == 1
    expire_all_sessions(org.store)
    with pytest.raises(SalesforceExpiredSession):
        direct.query("SELECT Id FROM Account")
