from __future__ import annotations

from decimal import Decimal

import pytest

from qbsf_pipeline.sandbox.salesforce import SalesforceOptions


def _names(org, where):
    return sorted(row["Name"] for row in org.rows(f"SELECT Name FROM Opportunity WHERE {where}"))


@pytest.fixture
def deals(org):
    base = {"CloseDate": "2026-03-31", "StageName": "Prospecting"}
    (account,) = org.seed("Account", {"Name": "O'Brien & Söhne: GmbH\\Co"})
    org.seed(
        "Opportunity",
        {**base, "Name": "alpha", "Amount": 100, "AccountId": account, "SystemModstamp": "2026-03-01T00:00:00Z"},
        {**base, "Name": "Beta 50%_x", "Amount": "7.25", "CloseDate": "2026-01-15", "NextStep": "Sign"},
        {**base, "Name": "gamma", "StageName": "Closed Won", "NextStep": "sign"},
    )
    return org


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("Name = 'ALPHA'", ["alpha"]),
        ("name = 'alpha' and AMOUNT = 100", ["alpha"]),
        ("Name != 'alpha'", ["Beta 50%_x", "gamma"]),
        ("NextStep != 'sign'", ["alpha"]),
        ("NextStep = null", ["alpha"]),
        ("NextStep = ''", ["alpha"]),
        ("NextStep <> null", ["Beta 50%_x", "gamma"]),
        ("NextStep IN ('SIGN', 'x')", ["Beta 50%_x", "gamma"]),
        ("NextStep NOT IN ('sign')", ["alpha"]),
        ("NextStep IN (null)", ["alpha"]),
        ("Amount > 7.25", ["alpha"]),
        ("Amount >= 7.25", ["Beta 50%_x", "alpha"]),
        ("Amount < 1000", ["Beta 50%_x", "alpha"]),
        ("IsWon = true", ["gamma"]),
        ("IsWon = null", ["Beta 50%_x", "alpha"]),
        ("Name LIKE '%50\\%\\_x'", ["Beta 50%_x"]),
        ("Name LIKE 'BET_ %'", ["Beta 50%_x"]),
        ("Name LIKE '%5_%%'", ["Beta 50%_x"]),
        ("CloseDate < 2026-02-01", ["Beta 50%_x"]),
        ("CloseDate = THIS_YEAR AND CloseDate = LAST_N_DAYS:1", ["alpha", "gamma"]),
        ("CloseDate = YESTERDAY", ["alpha", "gamma"]),
        ("CloseDate = LAST_MONTH", ["alpha", "gamma"]),
        ("CloseDate = LAST_QUARTER", ["Beta 50%_x", "alpha", "gamma"]),
        ("SystemModstamp <= 2026-03-01T01:00:00+01:00", ["alpha"]),
        ("SystemModstamp > 2026-03-01T00:00:00.000Z", ["Beta 50%_x", "gamma"]),
        ("SystemModstamp >= 2026-04-01T12:00:00+0000", ["Beta 50%_x", "gamma"]),
        ("Account.Name = 'o\\'brien & söhne: gmbh\\\\co'", ["alpha"]),
        ("Account.Name = null", ["Beta 50%_x", "gamma"]),
        ("NOT Name = 'alpha'", ["Beta 50%_x", "gamma"]),
        ("(NOT Name = 'alpha') AND IsWon = false", ["Beta 50%_x"]),
        ("Name = 'alpha' OR (Amount < 10 AND IsWon = false)", ["Beta 50%_x", "alpha"]),
        ("AccountId IN (SELECT Id FROM Account WHERE Name LIKE 'O%')", ["alpha"]),
        ("AccountId NOT IN (SELECT Id FROM Account)", ["Beta 50%_x", "gamma"]),
        ("Name = '\\u0061lpha'", ["alpha"]),
        ("Owner.IsActive = true", ["Beta 50%_x", "alpha", "gamma"]),
    ],
)
def test_a_filter_finds(deals, where, expected):
    assert _names(deals, where) == expected


@pytest.mark.parametrize(
    ("soql", "code", "words"),
    [
        ("SELECT Id, Foo__c FROM Opportunity", "INVALID_FIELD", "No such column 'Foo__c' on entity 'Opportunity'"),
        ("SELECT Id, Account.Foo FROM Opportunity", "INVALID_FIELD", "No such column 'Foo' on entity 'Account'"),
        ("SELECT Foo__r.Name FROM Opportunity", "INVALID_FIELD", "Didn't understand relationship 'Foo__r'"),
        ("SELECT CurrencyIsoCode FROM Opportunity", "INVALID_FIELD", "No such column 'CurrencyIsoCode'"),
        ("SELECT Id FROM User WHERE IsDeleted = false", "INVALID_FIELD", "No such column 'IsDeleted'"),
        ("SELECT Id FROM Nothing__c", "INVALID_TYPE", "'Nothing__c' is not supported"),
        ("SELECT Id, (SELECT Id FROM Lines) FROM Opportunity", "INVALID_TYPE", "relationship 'Lines'"),
        ("SELECT Id, Id FROM Opportunity", "INVALID_FIELD", "duplicate field selected"),
        ("SELECT Id FROM Opportunity WHERE", "MALFORMED_QUERY", "unexpected token"),
        ("SELECT Id FROM Opportunity WHERE Id IN ()", "MALFORMED_QUERY", "unexpected token"),
        ("SELECT * FROM Opportunity", "MALFORMED_QUERY", ""),
        ("SELECT Id FROM Opportunity LIMIT 1 garbage", "MALFORMED_QUERY", "unexpected token"),
        ("SELECT Id FROM Opportunity WHERE Name = 'O'Brien'", "MALFORMED_QUERY", ""),
        ("SELECT Id FROM Opportunity WHERE Name = 'a\\q'", "MALFORMED_QUERY", "Illegal character sequence"),
        ("SELECT Id FROM Opportunity WHERE Name = 'a' AND Name = 'b' OR Name = 'c'", "MALFORMED_QUERY", "unexpected"),
        ("SELECT Id FROM Opportunity WHERE SystemModstamp > '2026-01-01T00:00:00Z'", "INVALID_FIELD", "enclosed"),
        ("SELECT Id FROM Opportunity WHERE SystemModstamp > 2026-01-01", "INVALID_FIELD", "must be of type dateTime"),
        ("SELECT Id FROM Opportunity WHERE SystemModstamp > 2026-01-01T00:00:00", "MALFORMED_QUERY", ""),
        ("SELECT Id FROM Opportunity WHERE SystemModstamp > 2026-01-01T00:00:00 00:00", "MALFORMED_QUERY", ""),
        ("SELECT Id FROM Opportunity WHERE SystemModstamp > 2026-13-01T00:00:00Z", "MALFORMED_QUERY", ""),
        ("SELECT Id FROM Opportunity WHERE CloseDate > 2026-01-01T00:00:00Z", "INVALID_FIELD", "type date"),
        ("SELECT Id FROM Opportunity WHERE CloseDate > '2026-01-01'", "INVALID_FIELD", "type date"),
        ("SELECT Id FROM Opportunity WHERE Amount > '5'", "INVALID_FIELD", "type double"),
        ("SELECT Id FROM Opportunity WHERE Amount > USD5", "INVALID_FIELD", "type double"),
        ("SELECT Id FROM Opportunity WHERE Name = 5", "INVALID_FIELD", "type string and should be enclosed"),
        ("SELECT Id FROM Opportunity WHERE IsWon = 'true'", "INVALID_FIELD", "type boolean"),
        ("SELECT Id FROM Opportunity WHERE AccountId = 'abc'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field"),
        ("SELECT Id FROM Opportunity WHERE Description = 'abc'", "INVALID_FIELD", "can not be filtered"),
        ("SELECT Id FROM Opportunity ORDER BY Description", "INVALID_FIELD", "can not be sorted"),
        ("SELECT Id FROM Opportunity OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "offset"),
        ("SELECT FIELDS(ALL) FROM Opportunity", "MALFORMED_QUERY", "LIMIT"),
        (
            "SELECT Id FROM Opportunity WHERE Name = 'a' OR AccountId IN (SELECT Id FROM Account)",
            "MALFORMED_QUERY",
            "Semi join",
        ),
        (
            "SELECT Id FROM Opportunity WHERE AccountId IN (SELECT Id FROM Account) AND OwnerId IN (SELECT Id FROM User) "
            "AND Pricebook2Id IN (SELECT Id FROM Pricebook2)",
            "MALFORMED_QUERY",
            "maximum 2 semi join",
        ),
        (
            "SELECT Id FROM Opportunity WHERE AccountId IN (SELECT AccountId FROM Contact WHERE AccountId IN "
            "(SELECT Id FROM Account))",
            "MALFORMED_QUERY",
            "Nesting",
        ),
    ],
)
def test_a_wrong_query_is_refused_with_its_code(org, soql, code, words):
    refused = org.refused(soql)
    assert refused[0] == code
    assert words.lower() in refused[1].lower()


def test_a_record_has_attributes_and_parents_and_children(org):
    ids = org.deal()
    (row,) = org.rows(
        "SELECT Id, Amount, IsWon, CloseDate, SystemModstamp, Account.Name, account.owner.email, "
        "(SELECT Id, TotalPrice, Product2.Name FROM OpportunityLineItems ORDER BY TotalPrice DESC), "
        "(SELECT Id FROM OpportunityContactRoles) FROM Opportunity"
    )
    assert row["attributes"] == {
        "type": "Opportunity",
        "url": f"/services/data/v66.0/sobjects/Opportunity/{ids['opportunity']}",
    }
    assert row["Amount"] == Decimal("31.57")
    assert row["SystemModstamp"] == "2026-04-01T12:00:00.000+0000"
    assert row["Account"]["attributes"]["type"] == "Account"
    assert row["Account"]["Name"] == "Zoë's Bäckerei"
    assert "@" in row["Account"]["Owner"]["Email"]
    assert row["OpportunityContactRoles"] is None
    lines = row["OpportunityLineItems"]
    assert (lines["totalSize"], lines["done"]) == (2, True)
    assert [line["TotalPrice"] for line in lines["records"]] == [Decimal("31.5"), Decimal("0.07")]
    assert lines["records"][0]["Product2"]["Name"] == "Seat"


def test_a_missing_parent_is_null(org):
    org.deal(AccountId=None)
    assert org.rows("SELECT Account.Name FROM Opportunity")[0]["Account"] is None


def test_whole_numbers_of_a_currency_are_written_with_a_point(org):
    org.deal()
    org.seed("Opportunity", {"Name": "x", "Amount": 100, "StageName": "Prospecting", "Billing_Periods__c": 12})
    text = org.call("GET", "query", params={"q": "SELECT Amount, Billing_Periods__c FROM Opportunity WHERE Name = 'x'"})
    assert '"Amount":100.0,"Billing_Periods__c":12.0' in text.text


def test_nulls_come_first_unless_asked(org):
    base = {"StageName": "Prospecting", "CloseDate": "2026-01-01"}
    org.seed(
        "Opportunity",
        *({**base, "Name": name, "NextStep": step} for name, step in [("a", "z"), ("b", None), ("c", "Y")]),
    )
    for order, expected in [
        ("NextStep", "bca"),
        ("NextStep DESC", "bac"),
        ("NextStep NULLS LAST", "cab"),
        ("NextStep DESC NULLS LAST, Name", "acb"),
    ]:
        rows = org.rows(f"SELECT Name FROM Opportunity ORDER BY {order}")
        assert "".join(row["Name"] for row in rows) == expected
    assert [r["Name"] for r in org.rows("SELECT Name FROM Opportunity ORDER BY Name LIMIT 1 OFFSET 1")] == ["b"]


def test_rows_without_an_order_come_shuffled(org):
    org.seed("Account", *({"Name": f"Account {number}"} for number in range(50)))
    first, second = (tuple(row["Id"] for row in org.rows("SELECT Id FROM Account")) for _ in range(2))
    assert first != second
    assert sorted(first) == sorted(second)


def test_counts_and_groups(org):
    org.deal()
    count = org.query("SELECT COUNT() FROM OpportunityLineItem WHERE TotalPrice > 1")
    assert (count["totalSize"], count["records"]) == (1, [])
    (row,) = org.rows("SELECT OpportunityId, COUNT(Id) n, SUM(TotalPrice) FROM OpportunityLineItem GROUP BY OpportunityId")
    assert row["attributes"] == {"type": "AggregateResult"}
    assert (row["n"], row["expr0"]) == (2, Decimal("31.57"))


def test_ids_of_fifteen_characters_are_found(org):
    ids = org.deal()
    assert org.rows(f"SELECT Id FROM Opportunity WHERE Id = '{ids['opportunity'][:15]}'")[0]["Id"] == ids["opportunity"]
    assert len(org.rows(f"SELECT Id FROM OpportunityLineItem WHERE OpportunityId IN ('{ids['opportunity'][:15]}')")) == 2


def test_deleted_rows_are_seen_by_query_all_only(org):
    ids = org.deal()
    assert org.call("DELETE", f"sobjects/Opportunity/{ids['opportunity']}").status_code == 204
    soql = "SELECT Id, IsDeleted FROM OpportunityLineItem"
    assert org.rows(soql) == []
    seen = org.call("GET", "queryAll", params={"q": soql}).json()["records"]
    assert [row["IsDeleted"] for row in seen] == [True, True]


def test_a_keyset_pages_through_records_of_the_same_second(org):
    org.seed("Account", *({"Name": f"A{number}"} for number in range(7)))
    found: list[str] = []
    last = "000000000000000AAA"
    while True:
        rows = org.rows(
            "SELECT Id FROM Account WHERE SystemModstamp < 2026-04-02T00:00:00Z AND (SystemModstamp > 2026-04-01T12:00:00Z "
            f"OR (SystemModstamp = 2026-04-01T12:00:00Z AND Id > '{last}')) ORDER BY SystemModstamp, Id LIMIT 2"
        )
        if not rows:
            break
        found += [row["Id"] for row in rows]
        last = found[-1]
    assert len(found) == len(set(found)) == 7


@pytest.mark.parametrize("options", [SalesforceOptions(multi_currency=True)])
def test_an_org_with_several_currencies_shows_them(org, options):
    org.deal(CurrencyIsoCode="EUR")
    (row,) = org.rows("SELECT CurrencyIsoCode, (SELECT CurrencyIsoCode FROM OpportunityLineItems) FROM Opportunity")
    assert row["CurrencyIsoCode"] == "EUR"
    assert {line["CurrencyIsoCode"] for line in row["OpportunityLineItems"]["records"]} == {"EUR"}
    assert org.rows("SELECT IsoCode, IsCorporate FROM CurrencyType")[0]["IsoCode"] == "USD"
    assert len(org.rows("SELECT Id FROM Opportunity WHERE Amount > EUR5")) == 1
