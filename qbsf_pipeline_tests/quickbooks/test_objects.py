from __future__ import annotations

import string
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.money import parse_json
from qbsf_pipeline.quickbooks.objects import (
    DELETED_STUB_HASH,
    ENTITIES,
    TABLES,
    content_hash,
    entity_named,
    fields_hash,
    invoice_marker,
    opportunity_in,
    row_of,
)

READ_AT = datetime(2026, 11, 22, 10, tzinfo=UTC)
DEAL = "0068Z00001AbCdEQAV"

INVOICE = parse_json(
    """{"Id":"238","SyncToken":"4","DocNumber":"1069","TxnDate":"2015-07-24","DueDate":"2015-08-23","TotalAmt":100.1,
    "Balance":"40.05","Deposit":0,"TxnTaxDetail":{"TotalTax":1e1},"CustomerRef":{"name":"Amy's Bird Sanctuary","value":"1"},
    "CurrencyRef":{"value":"USD"},"ExchangeRate":1.23456789012,"SalesTermRef":{"value":3},"EmailStatus":"NotSet",
    "BillEmail":{"Address":"amy@birds.example"},"PrivateNote":"Salesforce Opportunity 0068Z00001AbCdEQAV\\nhello",
    "CustomerMemo":{"value":"Thanks"},"RecurDataRef":{"value":"6"},"domain":"QBO","sparse":false,
    "MetaData":{"CreateTime":"2015-07-24T10:33:39-07:00","LastUpdatedTime":"2015-07-24T10:33:40-07:00"}}"""
)


def test_an_invoice_becomes_a_row():
    row = row_of("Invoice", INVOICE, READ_AT)
    assert row["total"] == Decimal("100.10")
    assert row["balance"] == Decimal("40.05")
    assert row["tax"] == Decimal("10.00")
    assert row["exchange_rate"] == Decimal("1.2345678901")
    assert (row["txn_date"], row["due_date"]) == (date(2015, 7, 24), date(2015, 8, 23))
    assert row["created_at"] == datetime(2015, 7, 24, 17, 33, 39, tzinfo=UTC)
    assert row["source_modified_at"] == datetime(2015, 7, 24, 17, 33, 40, tzinfo=UTC)
    assert (row["customer_id"], row["customer_name"], row["term_id"]) == ("1", "Amy's Bird Sanctuary", "3")
    assert (row["status"], row["opportunity_id"], row["recurring_id"]) == ("live", DEAL, "6")
    assert row["is_deleted"] is False
    assert parse_json(row["record"]) == INVOICE


@pytest.mark.parametrize(
    ("total", "note", "status"),
    [
        (0, "Voided", "voided"),
        (Decimal("0.00"), "Voided - Salesforce Opportunity 0068Z00001AbCdEQAV", "voided"),
        ("0", " voided", "voided"),
        (0, "a free sample", "live"),
        (0, None, "live"),
        (5, "Voided cheque received", "live"),
        (None, "Voided", "live"),
    ],
)
def test_a_void_is_an_amount_of_nothing_and_a_note_that_says_so(total, note, status):
    assert row_of("Invoice", {"Id": "1", "TotalAmt": total, "PrivateNote": note}, READ_AT)["status"] == status


@pytest.mark.parametrize(
    ("note", "deal"),
    [
        (f"Salesforce Opportunity {DEAL}", DEAL),
        (f"Voided - Salesforce Opportunity {DEAL} / PO 7", DEAL),
        (f"note before\nsalesforce  opportunity\t{DEAL}.", DEAL),
        ("Salesforce Opportunity 0068Z00001AbCdE", "0068Z00001AbCdEQAV"),
        (f"Salesforce Opportunity {DEAL}X", None),
        ("Salesforce Opportunity 006", None),
        ("Salesforce Opportunity", None),
        ("", None),
        (None, None),
    ],
)
def test_the_deal_is_read_from_the_marker_wherever_it_stands(note, deal):
    assert opportunity_in(note) == deal


@given(
    st.text(string.ascii_letters + string.digits, min_size=15, max_size=15),
    st.text(),
    st.sampled_from([" ", "\n", " - "]),
)
def test_a_marker_is_found_again_in_any_note(deal, text, between):
    found = opportunity_in(f"{invoice_marker(deal)}{between}{text}")
    assert found is not None
    assert found[:15] == deal
    assert opportunity_in(invoice_marker(found)) == found


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.name)
def test_every_entity_reads_a_record_of_which_nothing_is_known_but_its_id(entity):
    frame = entity.table.frame([row_of(entity.name, {"Id": "7"}, READ_AT)])
    assert frame.get_column("id").to_list() == ["7"]
    assert frame.schema == entity.table.polars_schema


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["value", "Address", "Line1"]), inner),
    max_leaves=5,
)


@given(st.sampled_from(ENTITIES), st.data())
def test_nothing_that_a_field_may_hold_stops_the_reading(entity, data):
    tops = sorted({column.path.split(".")[0] for column in entity.table.columns if column.path})
    record = {top: data.draw(JSON_VALUES, label=top) for top in tops if top != "Id"} | {"Id": "1"}
    frame = entity.table.frame([row_of(entity.name, record, READ_AT)])
    assert frame.height == 1


def test_a_record_without_an_id_is_an_error_except_for_the_single_ones():
    with pytest.raises(ValueError, match="Customer"):
        row_of("Customer", {"DisplayName": "x"}, READ_AT)
    assert row_of("Preferences", {}, READ_AT)["id"] == "1"


def test_a_street_is_all_its_lines():
    address = {"Line1": "Acme Inc", "Line2": None, "Line3": " 1 Main St ", "Line5": "Floor 5", "City": "Córdoba"}
    row = row_of("Customer", {"Id": "1", "BillAddr": address}, READ_AT)
    assert row["billing_street"] == "Acme Inc\n1 Main St\nFloor 5"
    assert (row["billing_city"], row["billing_line2"], row["active"], row["taxable"]) == ("Córdoba", None, True, None)


def test_preferences_keep_the_third_state_of_automated_tax_and_take_other_absent_switches_for_off():
    row = row_of("Preferences", {"Id": "1", "SalesFormsPrefs": {"DefaultTerms": {"value": "3"}}}, READ_AT)
    assert (row["partner_tax"], row["custom_document_numbers"], row["multi_currency"]) == (None, False, False)
    assert row["default_terms"] == "3"
    row = row_of(
        "Preferences",
        {
            "Id": "1",
            "SalesFormsPrefs": {"CustomTxnNumbers": "true"},
            "TaxPrefs": {"PartnerTaxEnabled": False},
            "AccountingInfoPrefs": {"BookCloseDate": "2026-10-31"},
        },
        READ_AT,
    )
    assert (row["partner_tax"], row["custom_document_numbers"]) == (False, True)
    assert row["book_close_date"] == date(2026, 10, 31)


def test_the_edition_is_read_from_names_and_values():
    pairs = [
        {"Name": "SubscriptionStatus", "Value": "PAID"},
        {"Name": "OfferingSku", "Value": "QuickBooks Online Plus"},
        None,
    ]
    row = row_of("CompanyInfo", {"CompanyName": "Larry's", "DefaultTimeZone": "America/New_York", "NameValue": pairs}, READ_AT)
    assert (row["subscription_status"], row["offering"]) == ("PAID", "QuickBooks Online Plus")
    assert row["time_zone"] == "America/New_York"


def test_a_credit_is_what_remains_of_it():
    assert row_of("CreditMemo", {"Id": "1", "RemainingCredit": 5, "Balance": 9}, READ_AT)["remaining"] == Decimal("5.00")
    assert row_of("CreditMemo", {"Id": "1", "Balance": 9}, READ_AT)["remaining"] == Decimal("9.00")


def test_a_touched_record_has_the_same_content_and_a_paid_one_has_not():
    touched = INVOICE | {
        "MetaData": {"LastUpdatedTime": "2026-01-01T00:00:00Z"},
        "sparse": True,
        "TotalAmt": Decimal("100.100"),
    }
    assert content_hash(touched) == content_hash(INVOICE)
    assert content_hash(INVOICE | {"SyncToken": "5"}) != content_hash(INVOICE)
    assert content_hash({"a": 1}) != content_hash({"a": "1"})


def test_a_deleted_object_is_a_stub():
    row = row_of("Invoice", {"Id": "979", "status": "Deleted", "domain": "QBO"}, READ_AT)
    assert (row["is_deleted"], row["content_hash"], row["status"]) == (True, DELETED_STUB_HASH, "deleted")


def test_every_column_says_what_it_is_and_every_table_has_its_own_fields():
    assert len({fields_hash(table) for table in TABLES}) == len(TABLES) == 19
    assert all(column.comment for table in TABLES for column in table.columns)
    assert all(table.schema == "quickbooks" and table.key == ("id",) for table in TABLES)
    assert not entity_named("TaxCode").in_cdc
