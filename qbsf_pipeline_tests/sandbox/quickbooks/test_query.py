from __future__ import annotations

from decimal import Decimal

import pytest

from qbsf_pipeline_tests.sandbox.quickbooks.conftest import Books, invoice_of


@pytest.mark.parametrize(
    ("statement", "ids"),
    [
        ("select * from Customer", ["1", "2"]),
        ("SELECT * FROM Customer WHERE DisplayName = 'o\\'brien & søns'", ["1"]),
        ("select * from Customer where displayname LIKE '%gmbh'", ["2"]),
        ("select * from Customer where DisplayName LIKE '%'", ["1", "2"]),
        ("select * from Customer where Active IN (true, false)", ["1", "2", "3"]),
        ("select * from Customer where Active = False", ["3"]),
        ("select * from Customer where Id in ('1', '3', '9') ORDERBY Id DESC", ["1"]),
        ("select * from Customer where Active IN (true,false) ORDER BY DisplayName desc", ["1", "2", "3"]),
        ("select * from Customer orderby Balance DESC, Id", ["1", "2"]),
        ("select * from Customer where PrimaryEmailAddr = 'AP@obrien.example'", ["1"]),
        ("select * from Invoice where TotalAmt > '150'", ["2", "3"]),
        ("select * from Invoice where TotalAmt >= 100 AND TotalAmt < 300", ["1", "2"]),
        ("select * from Invoice where CustomerRef = '2'", ["3"]),
        ("select * from Invoice where CustomerRef IN ('1','2') and DocNumber='1002'", ["2"]),
        ("select * from Invoice where TxnDate = CURRENT_DATE", ["1", "2", "3"]),
        ("select * from Invoice where DueDate <= '2026-11-22'", ["3"]),
        ("select * from Invoice where MetaData.LastUpdatedTime >= '2026-11-22T20:00:00Z'", ["1", "2", "3"]),
        ("select * from Invoice where MetaData.LastUpdatedTime > '2026-11-22T12:00:00-08:00'", []),
        ("select * from Invoice where MetaData.CreateTime > '2026-11-22T11:59:59'", ["1", "2", "3"]),
        ("select * from Invoice STARTPOSITION 2 MAXRESULTS 1", ["2"]),
        ("select * from Invoice startposition 4", []),
    ],
)
def test_a_statement_finds_what_it_says(books: Books, statement: str, ids: list[str]) -> None:
    books.seed("Customer", {"DisplayName": "Gone", "Active": False})
    for customer, amount in (("1", "100"), ("1", "200"), ("2", "300")):
        books.create("Invoice", invoice_of(customer, amount))
    answer = books.query(statement)
    entity = statement.split()[3]
    assert [row["Id"] for row in answer.get(entity, [])] == ids
    if ids:
        assert answer["maxResults"] == len(ids)
    else:
        assert answer == {}


@pytest.mark.parametrize(
    ("statement", "code", "detail"),
    [
        ("", "4000", "SELECT"),
        ("select Id", "4000", "FROM"),
        ("select * from Deal", "4000", "Invalid context declaration: Deal"),
        ("select * from customer", "4000", "did you mean Customer"),
        ("select * from Customer where DisplayName != 'x'", "4000", "Lexical"),
        ("select * from Customer where Id = '1' or Id = '2'", "4000", "Was expecting"),
        ("select * from Customer where NOT Id = '1'", "4000", "Was expecting"),
        ("select * from Customer where DisplayName = 'O'Brien'", "4000", "Lexical"),
        ("select * from Customer where DisplayName = 'O''Brien'", "4000", "Brien"),
        ("select * from Customer where DisplayName = 'back\\'", "4000", "Lexical"),
        ("select * from Customer where DisplayName = x", "4000", "quoted"),
        ("select * from Invoice where TxnDate > 2026-11-22", "4000", "Lexical"),
        ("select * from Customer MAXRESULTS 10 STARTPOSITION 1", "4000", "<EOF>"),
        ("select * from Customer;", "4000", "Lexical"),
        ("select * from Customer group by Id", "4000", "group"),
        ("select * from Customer, Vendor", "4000", ","),
        ("select * from Customer STARTPOSITION 0", "4001", "value 0 is too small. Min allowed value is 1"),
        ("select * from Customer MAXRESULTS 0", "4001", "too small"),
        ("select * from Customer MAXRESULTS 1001", "4001", "too large. Max allowed value is 1000"),
        ("select * from Customer where Notes = 'x'", "4001", "property 'Notes' is not queryable"),
        ("select * from Customer where BillAddr.City = 'x'", "4001", "not queryable"),
        ("select * from Customer where Colour = 'x'", "4001", "Property Colour not found for Entity Customer"),
        ("select BillAddr from Customer", "4001", "Property BillAddr not found for Entity Customer"),
        ("select * from Customer where BalanceWithJobs > 0", "4001", "not queryable"),
        ("select * from Customer orderby PrimaryEmailAddr", "4001", "not queryable"),
        ("select * from Customer where Id > '1'", "4001", "operator >"),
        ("select * from Invoice where CustomerRef LIKE '1%'", "4001", "LIKE"),
        ("select * from Invoice where PrivateNote LIKE '%SF%'", "4001", "not queryable"),
        ("select * from Invoice where CustomField = 'x'", "4001", "not queryable"),
        ("select * from Payment where UnappliedAmt > '0'", "4001", "not queryable"),
        ("select * from Invoice where TotalAmt > 'much'", "4001", "not a number"),
        ("select * from Invoice where TxnDate > '22.11.2026'", "4001", "not a date"),
        ("select * from Customer where Active = 'maybe'", "4001", "not a boolean"),
        ("select * from Invoice where MetaData.CreateTime > 'yesterday'", "4001", "not a date"),
        ("select * from Item where Sku = 'W-1'", "4001", "not queryable"),
    ],
)
def test_a_statement_that_is_not_documented_is_refused(books: Books, statement: str, code: str, detail: str) -> None:
    error = books.refused("GET", "query", query=statement)
    assert error["code"] == code
    assert detail in error["Detail"]


def test_without_a_limit_there_are_one_hundred_rows(books: Books) -> None:
    books.seed("Customer", *({"DisplayName": f"C{number:04}"} for number in range(1100)))
    assert len(books.query("select * from Customer")["Customer"]) == 100
    page = books.query("select * from Customer STARTPOSITION 1001 MAXRESULTS 1000")
    assert (page["startPosition"], page["maxResults"], len(page["Customer"])) == (1001, 102, 102)
    assert books.query("select COUNT(*) from Customer where DisplayName LIKE 'C%'") == {"totalCount": 1100}


def test_the_sku_of_an_item_must_be_asked_for_by_name(books: Books) -> None:
    statement = "from Item where Name = 'Widget'"
    assert "Sku" not in books.query(f"select * {statement}")["Item"][0]
    assert books.query(f"SELECT *, Sku {statement}")["Item"][0]["Sku"] == "W-1"
    assert books.read("Item", "2")["Sku"] == "W-1"


def test_named_properties_are_answered_alone(books: Books) -> None:
    rows = books.query("select Id, DisplayName from Customer where Id = '2'")["Customer"]
    assert rows == [{"Id": "2", "DisplayName": "Müller GmbH", "domain": "QBO", "sparse": True}]


def test_a_statement_can_be_posted_as_text(books: Books) -> None:
    def post(content_type: str, body: bytes) -> int:
        return books.session.post(
            f"{books.company_url}/query",
            data=body,
            headers={"Authorization": f"Bearer {books.access_token}", "Content-Type": content_type},
            timeout=5,
        ).status_code

    statement = "select * from Customer where DisplayName = 'Müller GmbH 🎉'".encode()
    assert post("application/text", statement) == 200
    assert post("application/json", statement) == 400
    assert post("application/text", b"select * from Customer where DisplayName = '\xff'") == 500


def test_amounts_are_compared_exactly(books: Books) -> None:
    books.create("Invoice", invoice_of("1", "0.10", "0.20"))
    found = books.query("select * from Invoice where Balance = '0.30'")["Invoice"]
    assert found[0]["Balance"] == Decimal("0.3")
