"""Schedules of lines and the quotes of CPQ in the built-in Salesforce."""

from __future__ import annotations

from decimal import Decimal

import pytest

from qbsf_pipeline.sandbox.salesforce import delete_record, enable


def _created(org, kind, body):
    answer = org.call("POST", f"sobjects/{kind}", body)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def _row(org, kind, record_id, names):
    (found,) = org.rows(f"SELECT {names} FROM {kind} WHERE Id = '{record_id}'")
    return {name.strip(): found[name.strip()] for name in names.split(",")}


@pytest.mark.parametrize(
    "kind", ["OpportunityLineItemSchedule", "SBQQ__Quote__c", "SBQQ__QuoteLine__c", "Contract", "SBQQ__Subscription__c"]
)
def test_an_org_has_schedules_and_cpq_only_when_it_was_given_them(org, kind):
    assert org.call("GET", f"sobjects/{kind}/describe").status_code == 404
    assert org.refused(f"SELECT Id FROM {kind}")[0] == "INVALID_TYPE"
    assert org.refused("SELECT SBQQ__PrimaryQuote__c FROM Opportunity")[0] == "INVALID_FIELD"
    assert org.control("features", {"cpq": True, "schedules": True}) == {"features": ["cpq", "schedules"]}
    described = org.call("GET", f"sobjects/{kind}/describe").json()
    assert (described["name"], described["custom"]) == (kind, kind.endswith("__c"))
    assert org.rows(f"SELECT Id FROM {kind}") == []
    assert org.control("features", {"cpq": False, "schedules": False}) == {"features": []}
    assert org.refused(f"SELECT Id FROM {kind}")[0] == "INVALID_TYPE"


def test_a_schedule_says_what_its_line_comes_to(org):
    ids = org.deal()
    enable(org.store, "schedules")
    kind = "OpportunityLineItemSchedule"
    rows = [
        _created(org, kind, {"OpportunityLineItemId": ids["line"], "Type": "Revenue", "ScheduleDate": day, "Revenue": amount})
        for day, amount in (("2026-04-30", 33.34), ("2026-05-31", 33.33), ("2026-06-30", 33.33))
    ]
    names = "TotalPrice, UnitPrice, HasRevenueSchedule, HasQuantitySchedule, HasSchedule"
    line = _row(org, "OpportunityLineItem", ids["line"], names)
    assert (line["TotalPrice"], line["UnitPrice"], line["HasRevenueSchedule"]) == (Decimal("100.0"), Decimal("33.33"), True)
    assert (line["HasQuantitySchedule"], line["HasSchedule"]) == (False, True)
    assert _row(org, "Opportunity", ids["opportunity"], "Amount") == {"Amount": Decimal("100.07")}
    # Written without complaint and without effect.
    assert org.call("PATCH", f"sobjects/OpportunityLineItem/{ids['line']}", {"UnitPrice": 1}).status_code == 204
    assert _row(org, "OpportunityLineItem", ids["line"], "TotalPrice") == {"TotalPrice": Decimal("100.0")}
    assert org.call("DELETE", f"sobjects/{kind}/{rows[0]}").status_code == 204
    assert _row(org, "Opportunity", ids["opportunity"], "Amount") == {"Amount": Decimal("66.73")}
    (through,) = org.rows(f"SELECT Id, (SELECT Revenue FROM OpportunityLineItemSchedules) FROM OpportunityLineItem "
                          f"WHERE Id = '{ids['line']}'")  # fmt: skip
    assert through["OpportunityLineItemSchedules"]["totalSize"] == 2
    for row in rows[1:]:
        delete_record(org.store, org.clock, kind, row)
    assert _row(org, "OpportunityLineItem", ids["line"], "HasSchedule") == {"HasSchedule": False}


def test_a_quote_comes_to_the_net_totals_of_what_is_sold(org):
    ids = org.deal()
    enable(org.store, "cpq")
    quote = _created(org, "SBQQ__Quote__c", {"SBQQ__Opportunity2__c": ids["opportunity"], "SBQQ__Primary__c": True})
    line = {"SBQQ__Quote__c": quote, "SBQQ__Product__c": ids["product"]}
    seats = _created(org, "SBQQ__QuoteLine__c", {**line, "SBQQ__Quantity__c": 3, "SBQQ__NetPrice__c": 333.335})
    _created(org, "SBQQ__QuoteLine__c", {**line, "SBQQ__Quantity__c": 1, "SBQQ__NetPrice__c": 50, "SBQQ__Optional__c": True})
    _created(org, "SBQQ__QuoteLine__c", {**line, "SBQQ__Quantity__c": -2, "SBQQ__NetPrice__c": 10})
    assert _row(org, "SBQQ__Quote__c", quote, "Name, SBQQ__NetAmount__c") == {
        "Name": "Q-00001",
        "SBQQ__NetAmount__c": Decimal("980.01"),
    }
    assert _row(org, "SBQQ__QuoteLine__c", seats, "SBQQ__NetTotal__c, SBQQ__ProductCode__c") == {
        "SBQQ__NetTotal__c": Decimal("1000.01"),
        "SBQQ__ProductCode__c": "SEAT",
    }
    answer = org.call("PATCH", f"sobjects/SBQQ__QuoteLine__c/{seats}", {"SBQQ__NetTotal__c": 1})
    assert answer.json()[0]["errorCode"] == "INVALID_FIELD_FOR_INSERT_UPDATE"
    (found,) = org.rows("SELECT Id, SBQQ__Opportunity2__r.Name, (SELECT Id FROM SBQQ__LineItems__r) FROM SBQQ__Quote__c")
    assert found["SBQQ__Opportunity2__r"]["Name"] == "Renewal: 'Q2'"
    assert found["SBQQ__LineItems__r"]["totalSize"] == 3
    assert org.call("DELETE", f"sobjects/SBQQ__QuoteLine__c/{seats}").status_code == 204
    assert _row(org, "SBQQ__Quote__c", quote, "SBQQ__NetAmount__c") == {"SBQQ__NetAmount__c": Decimal("-20.0")}


def test_a_deal_has_one_primary_quote_and_names_it(org):
    ids = org.deal()
    enable(org.store, "cpq")
    first, second = (
        _created(org, "SBQQ__Quote__c", {"SBQQ__Opportunity2__c": ids["opportunity"], "SBQQ__Primary__c": True}) for _ in range(2)
    )
    assert _row(org, "SBQQ__Quote__c", first, "SBQQ__Primary__c") == {"SBQQ__Primary__c": False}
    named = _row(org, "Opportunity", ids["opportunity"], "SBQQ__PrimaryQuote__c")
    assert named == {"SBQQ__PrimaryQuote__c": second}


def test_lines_of_quotes_whose_ids_differ_by_case_alone_are_kept_apart(org):
    enable(org.store, "cpq")
    # Base 62: number 10 ends in A, number 36 in a.
    quotes = org.seed("SBQQ__Quote__c", {"Id": "a0q5g0000000A0A"}, {"Id": "a0q5g0000000a0A"})
    assert quotes[0].lower()[:15] == quotes[1].lower()[:15]
    org.seed("SBQQ__QuoteLine__c", {"SBQQ__Quote__c": quotes[0], "SBQQ__Quantity__c": 1, "SBQQ__NetPrice__c": 7})
    (found,) = org.rows(f"SELECT Id, (SELECT Id FROM SBQQ__LineItems__r) FROM SBQQ__Quote__c WHERE Id = '{quotes[1]}'")
    assert found["SBQQ__LineItems__r"] is None


def test_a_quote_leads_through_its_contract_to_the_deal_that_made_it(org):
    ids = org.deal()
    enable(org.store, "cpq")
    contract = _created(org, "Contract", {"AccountId": ids["account"], "SBQQ__Opportunity__c": ids["opportunity"]})
    _created(org, "SBQQ__Quote__c", {"SBQQ__Type__c": "Amendment", "SBQQ__MasterContract__c": contract})
    (found,) = org.rows("SELECT Id, SBQQ__MasterContract__r.SBQQ__Opportunity__c FROM SBQQ__Quote__c")
    assert found["SBQQ__MasterContract__r"]["SBQQ__Opportunity__c"] == ids["opportunity"]
    subscription = _created(org, "SBQQ__Subscription__c", {"SBQQ__Contract__c": contract})
    assert _row(org, "SBQQ__Subscription__c", subscription, "Name, SBQQ__Contract__c") == {
        "Name": "SUB-0000001",
        "SBQQ__Contract__c": contract,
    }
    assert _row(org, "Contract", contract, "ContractNumber, Status") == {"ContractNumber": "00000001", "Status": "Draft"}
