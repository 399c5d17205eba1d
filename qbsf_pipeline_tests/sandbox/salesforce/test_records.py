from __future__ import annotations

from decimal import Decimal

import pytest
import simplejson

from qbsf_pipeline.sandbox.clock import Clock
from qbsf_pipeline.sandbox.salesforce import (
    close_deal,
    delete_record,
    hide_field,
    new_id,
    records_by_type,
    upsert_records,
)
from qbsf_pipeline.sandbox.salesforce.records import org_of
from qbsf_pipeline.sandbox.salesforce.schema import ApiError, to18
from qbsf_pipeline.sandbox.store import Store
from qbsf_pipeline_tests.sandbox.salesforce.conftest import NOW


def _deal_row(org, ids, names="Amount, IsWon, IsClosed, HasOpportunityLineItem, LastStageChangeDate, Probability"):
    return org.rows(f"SELECT {names} FROM Opportunity WHERE Id = '{ids['opportunity']}'")[0]


def _patch(org, kind, record_id, body):
    return org.call("PATCH", f"sobjects/{kind}/{record_id}", body)


@pytest.mark.parametrize(
    ("body", "code", "fields"),
    [
        ({"Nmae": "x"}, "INVALID_FIELD", None),
        ({"Amount": "12"}, "JSON_PARSER_ERROR", None),
        ({"Name": 12}, "JSON_PARSER_ERROR", None),
        ({"IsPrivate": None}, "JSON_PARSER_ERROR", None),
        ({"CloseDate": "31/03/2026"}, "JSON_PARSER_ERROR", None),
        ({"CloseDate": "2026-02-30"}, "JSON_PARSER_ERROR", None),
        ({"Id": "0065g00000000EnAAI"}, "INVALID_FIELD", ["Id"]),
        ({"Name": "x" * 121}, "STRING_TOO_LONG", ["Name"]),
        ({"Name": "  "}, "REQUIRED_FIELD_MISSING", ["Name"]),
        ({"CloseDate": None}, "REQUIRED_FIELD_MISSING", ["CloseDate"]),
        ({"Payment_Status__c": "paid"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", ["Payment_Status__c"]),
        ({"Aging_Bucket__c": "1 - 30"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", ["Aging_Bucket__c"]),
        ({"IsWon": True}, "INVALID_FIELD_FOR_INSERT_UPDATE", ["IsWon"]),
        ({"SystemModstamp": "2026-01-01T00:00:00Z"}, "INVALID_FIELD_FOR_INSERT_UPDATE", ["SystemModstamp"]),
        ({"AccountId": "nonsense"}, "MALFORMED_ID", ["AccountId"]),
        ({"AccountId": "0065g00000000EnAAI"}, "MALFORMED_ID", ["AccountId"]),
        ({"AccountId": "0015g0zzzzzzzzzAAA"}, "INVALID_CROSS_REFERENCE_KEY", ["AccountId"]),
        ({"Amount": 10**17}, "NUMBER_OUTSIDE_VALID_RANGE", ["Amount"]),
        ({"Pricebook2Id": None}, "FIELD_INTEGRITY_EXCEPTION", ["Pricebook2Id"]),
    ],
)
def test_a_bad_write_is_refused_and_changes_nothing(org, body, code, fields):
    ids = org.deal()
    before = dict(records_by_type(org.store)["Opportunity"][0])
    answer = _patch(org, "Opportunity", ids["opportunity"], body)
    assert answer.status_code == 400
    assert answer.json()[0]["errorCode"] == code
    assert answer.json()[0].get("fields") == fields
    assert records_by_type(org.store)["Opportunity"][0] == before


def test_what_is_missing_on_create_is_listed(org):
    answer = org.call("POST", "sobjects/Opportunity/", {"Name": "x"})
    assert answer.status_code == 400
    assert answer.json() == [
        {
            "message": "Required fields are missing: [StageName, CloseDate]",
            "errorCode": "REQUIRED_FIELD_MISSING",
            "fields": ["StageName", "CloseDate"],
        }
    ]


def test_blank_text_is_kept_as_null_and_blanks_at_the_end_are_dropped(org):
    ids = org.deal()
    _patch(org, "Opportunity", ids["opportunity"], {"NextStep": "", "name": "Ünïcode  ", "QuickBooks_Invoice_Id__c": "7 "})
    row = _deal_row(org, ids, "Name, NextStep, QuickBooks_Invoice_Id__c")
    assert (row["Name"], row["NextStep"], row["QuickBooks_Invoice_Id__c"]) == ("Ünïcode", None, "7")


def test_winning_a_deal_sets_what_depends_on_its_stage(org):
    ids = org.deal()
    assert _deal_row(org, ids)["LastStageChangeDate"] is None
    org.advance(seconds=90)
    assert _patch(org, "Opportunity", ids["opportunity"], {"StageName": "Closed Won"}).status_code == 204
    row = _deal_row(org, ids)
    assert (row["IsWon"], row["IsClosed"], row["Probability"]) == (True, True, Decimal(100))
    assert row["LastStageChangeDate"] == "2026-04-01T12:01:30.000+0000"
    history = org.rows("SELECT StageName, Amount FROM OpportunityHistory ORDER BY CreatedDate, Id")
    assert history[-1]["StageName"] == "Closed Won"


def test_the_amount_of_a_deal_with_lines_cannot_be_written(org):
    ids = org.deal()
    assert _patch(org, "Opportunity", ids["opportunity"], {"Amount": 5}).status_code == 204
    assert _deal_row(org, ids)["Amount"] == Decimal("31.57")


@pytest.mark.parametrize(
    ("change", "unit_price", "total"),
    [
        ({"Quantity": 4}, "7.88", "31.5"),
        ({"UnitPrice": 2}, "2.0", "6.0"),
        ({"Discount": 10}, "10.5", "28.35"),
        ({"TotalPrice": 100}, "33.33", "100.0"),
        ({"Quantity": 2, "UnitPrice": Decimal("1.005")}, "1.005", "2.01"),
        ({"Description": "x"}, "10.5", "31.5"),
    ],
)
def test_a_line_keeps_the_total_that_counts(org, change, unit_price, total):
    ids = org.deal()
    assert _patch(org, "OpportunityLineItem", ids["line"], change).status_code == 204
    (row,) = org.rows(f"SELECT UnitPrice, TotalPrice FROM OpportunityLineItem WHERE Id = '{ids['line']}'")
    assert (str(row["UnitPrice"]), str(row["TotalPrice"])) == (unit_price, total)
    assert _deal_row(org, ids)["Amount"] == Decimal(total) + Decimal("0.07")


def test_a_line_created_by_product_finds_its_price_book_entry(org):
    ids = org.deal()
    line = {
        "OpportunityId": ids["opportunity"],
        "Product2Id": ids["product"],
        "Quantity": Decimal("1.5"),
        "UnitPrice": -2,
    }
    made = org.call("POST", "sobjects/OpportunityLineItem", line)
    assert made.status_code == 201, made.text
    (row,) = org.rows(
        "SELECT PricebookEntryId, ProductCode, Name, TotalPrice, ListPrice FROM OpportunityLineItem "
        f"WHERE Id = '{made.json()['id']}'"
    )
    assert row["PricebookEntryId"] == ids["entry"]
    assert (row["ProductCode"], row["Name"]) == ("SEAT", "Renewal: 'Q2' Seat")
    assert (row["TotalPrice"], row["ListPrice"]) == (Decimal("-3.0"), Decimal("10.0"))
    both = org.call("POST", "sobjects/OpportunityLineItem", {**line, "TotalPrice": 5})
    assert both.json()[0]["errorCode"] == "FIELD_INTEGRITY_EXCEPTION"


def test_a_deleted_line_bypasses_the_bin_and_touches_its_deal(org):
    ids = org.deal()
    org.advance(minutes=5)
    assert org.call("DELETE", f"sobjects/OpportunityLineItem/{ids['line']}").status_code == 204
    everything = org.call("GET", "queryAll", params={"q": "SELECT Id FROM OpportunityLineItem"}).json()
    assert [row["Id"] for row in everything["records"]] == [ids["other_line"]]
    row = _deal_row(org, ids, "Amount, SystemModstamp")
    assert (row["Amount"], row["SystemModstamp"]) == (Decimal("0.07"), "2026-04-01T12:05:00.000+0000")


def test_a_line_change_that_leaves_the_amount_does_not_touch_the_deal(org):
    ids = org.deal()
    org.advance(minutes=5)
    _patch(org, "OpportunityLineItem", ids["line"], {"Description": "new", "ServiceDate": "2026-05-01"})
    assert _deal_row(org, ids, "SystemModstamp")["SystemModstamp"] == "2026-04-01T12:00:00.000+0000"
    assert len(org.rows("SELECT Id FROM OpportunityLineItem WHERE SystemModstamp >= 2026-04-01T12:05:00Z")) == 1


def test_deleting_an_account_takes_what_hangs_on_it(org):
    ids = org.deal()
    org.seed("Contact", {"LastName": "Ng", "AccountId": ids["account"]})
    delete_record(org.store, org.clock, "Account", ids["account"])
    for kind in ("Account", "Contact", "Opportunity", "OpportunityLineItem"):
        assert org.rows(f"SELECT Id FROM {kind}") == []
    assert _patch(org, "Opportunity", ids["opportunity"], {"NextStep": "x"}).json()[0]["errorCode"] == "ENTITY_IS_DELETED"
    assert org.call("GET", f"sobjects/Opportunity/{ids['opportunity']}").status_code == 404


def test_a_unique_external_id_is_unique_whatever_its_case(org):
    first, second = org.seed("Account", {"Name": "A", "QuickBooks_Customer_Id__c": "abc"}, {"Name": "B"})
    answer = _patch(org, "Account", second, {"QuickBooks_Customer_Id__c": "ABC"})
    assert answer.json()[0]["errorCode"] == "DUPLICATE_VALUE"
    assert first[:15] in answer.json()[0]["message"]
    assert _patch(org, "Account", first, {"QuickBooks_Customer_Id__c": "ABC"}).status_code == 204
    assert _patch(org, "Account", first, {"QuickBooks_Customer_Id__c": None}).status_code == 204
    assert _patch(org, "Account", second, {"QuickBooks_Customer_Id__c": "abc"}).status_code == 204


def test_a_write_is_stamped_at_the_second_with_its_author(org):
    ids = org.deal()
    org.advance(seconds=1.7)
    _patch(org, "Opportunity", ids["opportunity"], {"NextStep": "x"})
    row = _deal_row(org, ids, "SystemModstamp, LastModifiedDate, LastModifiedBy.Username, CreatedBy.Username")
    assert row["SystemModstamp"] == row["LastModifiedDate"] == "2026-04-01T12:00:01.000+0000"
    assert row["LastModifiedBy"]["Username"] == org.options.username
    assert row["CreatedBy"]["Username"] != org.options.username


def test_a_task_moves_the_stamp_of_its_deal_and_nothing_else(org):
    ids = org.deal()
    org.advance(minutes=1)
    org.call("POST", "sobjects/Task", {"Subject": "Call", "WhatId": ids["opportunity"]})
    row = _deal_row(org, ids, "SystemModstamp, LastModifiedDate")
    assert row["SystemModstamp"] > row["LastModifiedDate"]


def test_a_touch_moves_the_stamp_alone(org):
    ids = org.deal()
    org.advance(minutes=1)
    org.control("touch", {"type": "Opportunity", "id": ids["opportunity"]})
    row = _deal_row(org, ids, "SystemModstamp, LastModifiedDate")
    assert row["SystemModstamp"] > row["LastModifiedDate"]


def test_a_locked_account_locks_its_deals_as_often_as_told(org):
    ids = org.deal()
    org.control("behave", {"lock_account": {"account_id": ids["account"], "times": 2}})
    codes = [_patch(org, "Opportunity", ids["opportunity"], {"NextStep": "x"}).status_code for _ in range(3)]
    assert codes == [400, 400, 204]
    org.control("behave", {"lock_account": {"account_id": ids["account"], "times": 1}})
    answer = _patch(org, "OpportunityLineItem", ids["line"], {"Description": "x"})
    assert answer.json()[0]["errorCode"] == "UNABLE_TO_LOCK_ROW"


def test_a_validation_rule_answers_with_its_own_text(org):
    ids = org.deal()
    rule = {"type": "Opportunity", "field": "Payment_Status__c", "text": "Bitte erst prüfen: «nein»"}
    org.control("behave", {"validation_rule": rule})
    answer = _patch(org, "Opportunity", ids["opportunity"], {"Payment_Status__c": "Paid"})
    assert answer.json() == [
        {"message": rule["text"], "errorCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "fields": ["Payment_Status__c"]}
    ]
    assert _patch(org, "Opportunity", ids["opportunity"], {"NextStep": "x"}).status_code == 204
    org.control("behave", {"clear": True})
    assert _patch(org, "Opportunity", ids["opportunity"], {"Payment_Status__c": "Paid"}).status_code == 204


def test_a_field_can_be_made_read_only(org):
    ids = org.deal()
    org.control("behave", {"read_only": [{"type": "Opportunity", "field": "Invoice_Balance__c"}]})
    answer = _patch(org, "Opportunity", ids["opportunity"], {"Invoice_Balance__c": 1})
    assert answer.json()[0]["errorCode"] == "INVALID_FIELD_FOR_INSERT_UPDATE"


def test_a_closed_deal_is_won_today_by_its_owner(org):
    ids = org.deal()
    record = close_deal(org.store, org.clock, ids["opportunity"][:15])
    assert (record["IsWon"], record["CloseDate"]) == (True, "2026-04-01")
    assert record["LastModifiedById"] == record["OwnerId"]


def test_raw_records_may_be_given_as_they_are(org):
    (deal,) = org.seed(
        "Opportunity", {"Id": "006xx000001aAAAAA2"[:15], "Name": None, "StageName": "Closed Won", "Amount": "1.10"}
    )
    assert deal == to18("006xx000001aAAA")
    (same,) = org.seed("Opportunity", {"Id": deal, "Name": "now", "SystemModstamp": "2026-01-02T03:04:05Z"})
    (row,) = org.rows("SELECT Id, Name, CloseDate, Amount, IsWon, SystemModstamp FROM Opportunity")
    assert row["Id"] == same == deal
    assert (row["Name"], row["CloseDate"], row["Amount"], row["IsWon"]) == ("now", None, Decimal("1.1"), True)
    assert row["SystemModstamp"] == "2026-01-02T03:04:05.000+0000"
    for wrong in ("006xx000001aAAAAAA", "001xx000001aAAA"):
        with pytest.raises(ApiError, match="wrong prefix or checksum"):
            upsert_records(org.store, org.clock, "Opportunity", [{"Id": wrong}])
    with pytest.raises(ApiError, match="Nonsense"):
        upsert_records(org.store, org.clock, "Opportunity", [{"Nonsense": 1}])


def test_the_organization_and_the_standard_price_book_stay_single(org):
    org.seed("Organization", {"Name": "Acme"})
    org.seed("Pricebook2", {"Name": "Standard", "IsStandard": True})
    org.seed("OpportunityStage", {"ApiName": "Closed Won", "IsWon": False})
    assert [row["Name"] for row in org.rows("SELECT Name FROM Organization")] == ["Acme"]
    assert len(org.rows("SELECT Id FROM Pricebook2")) == 1
    assert len(org.rows("SELECT Id FROM OpportunityStage")) == 10


def test_new_ids_have_prefix_and_checksum_and_never_repeat(org):
    found = [new_id(org.store, "OpportunityLineItem") for _ in range(200)]
    assert len(set(found)) == 200
    assert all(record_id.startswith("00k") and to18(record_id[:15]) == record_id for record_id in found)


def test_an_emptied_store_starts_over(org):
    org.deal()
    org.store.clear()
    org.login()
    assert org.rows("SELECT Id FROM Opportunity") == []
    assert len(org.rows("SELECT Id FROM Organization")) == 1
    assert org.deal()["opportunity"]
    assert len(org.rows("SELECT Id, (SELECT Id FROM OpportunityLineItems) FROM Opportunity")) == 1


def test_rolled_back_writes_leave_the_indexes_right(org):
    ids = org.deal()
    inner = org_of(org.store)
    before = simplejson.dumps(records_by_type(org.store), use_decimal=True, sort_keys=True)
    mark = inner.savepoint()
    line = inner.full_schema.type("OpportunityLineItem")
    inner.delete(line, ids["line"], inner.integration_user())
    inner.delete(inner.full_schema.type("Account"), ids["account"], inner.integration_user())
    inner.rollback(mark)
    after = simplejson.dumps(records_by_type(org.store), use_decimal=True, sort_keys=True)
    assert simplejson.loads(before)["Opportunity"] == simplejson.loads(after)["Opportunity"]
    assert set(inner.children("OpportunityLineItem", "OpportunityId", ids["opportunity"])) == {
        ids["line"],
        ids["other_line"],
    }


def test_everything_is_there_after_a_restart(tmp_path):
    clock = Clock(fixed=NOW)
    store = Store(tmp_path / "sandbox.sqlite")
    (account,) = upsert_records(store, clock, "Account", [{"Name": "Acme", "AnnualRevenue": "12345678901234"}])
    (deal,) = upsert_records(store, clock, "Opportunity", [{"Name": "D", "AccountId": account, "Amount": "0.10"}])
    hide_field(store, "Opportunity", "NextStep")
    before = simplejson.dumps(records_by_type(store), use_decimal=True)
    store.close()
    again = Store(tmp_path / "sandbox.sqlite")
    assert simplejson.dumps(records_by_type(again), use_decimal=True) == before
    reopened = org_of(again, clock)
    assert reopened.children("Opportunity", "AccountId", account) == [deal]
    assert reopened.schema.type("Opportunity").find("NextStep") is None
    assert new_id(again, "Opportunity") != deal
    again.close()
