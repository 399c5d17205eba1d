"""The report AgedReceivables in every shape that QuickBooks gives it, and nothing else taken for it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from qbsf_pipeline.errors import ServiceUnavailable
from qbsf_pipeline.quickbooks.reports import AgedCustomer, read_aged_receivables
from qbsf_pipeline_tests.quickbooks.service import REALM, answer, fault, in_turn

TITLES = ("Current", "1 - 30", "31 - 60", "61 - 90", "91 and over", "Total")
HEADER = {
    "Time": "2016-03-09T09:09:52-08:00",
    "ReportName": "AgedReceivables",
    "EndPeriod": "2015-12-31",
    "Currency": "USD",
    "Option": [{"Name": "report_date", "Value": "2015-12-31"}, {"Name": "NoReportData", "Value": "false"}],
}


def cells(name: str, *amounts: Any, record_id: str | None = None) -> dict[str, Any]:
    first = {"value": name} | ({"id": record_id} if record_id else {})
    return {"ColData": [first, *({"value": amount} for amount in amounts)]}


def report(*rows: Any, total: str | None = None, header: Any = HEADER) -> dict[str, Any]:
    columns = [{"ColTitle": "", "ColType": "Customer"}, *({"ColTitle": title, "ColType": "Money"} for title in TITLES)]
    grand = [{"Summary": cells("TOTAL", "", "", "", "", "", total), "type": "Section", "group": "GrandTotal"}] if total else []
    return {"Header": header, "Columns": {"Column": columns}, "Rows": {"Row": [*rows, *grand]}}


JANE = cells("Jane Litigious", "", "37.50", "", "", "", "37.50", record_id="4")


def test_intuits_own_example_is_read() -> None:
    found = read_aged_receivables(report(JANE, total="37.50"))
    assert found.customers == (AgedCustomer("4", "Jane Litigious", Decimal("37.50")),)
    assert (found.total, found.currency, found.report_date, found.whole) == (Decimal("37.50"), "USD", date(2015, 12, 31), True)


def parent(own: str, *children: Any) -> dict[str, Any]:
    return {
        "Header": cells("Söhne: GmbH", own, "", "", "", "", own, record_id="7"),
        "Rows": {"Row": list(children)},
        "Summary": cells("Total Söhne: GmbH", "", "", "", "", "", "99.00"),
        "type": "Section",
    }


@pytest.mark.parametrize(
    ("rows", "total", "customers", "whole"),
    [
        # A parent with invoices of its own, and one without.
        (
            (parent("10.00", cells("A", "5.00", "", "", "", "", "5.00", record_id="8")),),
            "15.00",
            {"7": "10.00", "8": "5.00"},
            True,
        ),
        ((parent("", cells("A", "5.00", "", "", "", "", "5.00", record_id="8")),), "5.00", {"8": "5.00"}, True),
        # Sections in sections.
        (
            (parent("", parent("1.00", cells("B", "", "", "", "", "2.00", "2.00", record_id="9"))),),
            "3.00",
            {"7": "1.00", "9": "2.00"},
            True,
        ),
        # A section whose head repeats its sum.
        ((parent("5.00", cells("A", "5.00", "", "", "", "", "5.00", record_id="8")),), "5.00", {"8": "5.00"}, True),
        # Credits outweigh; an accountant's brackets; thousands.
        ((cells("A", "-12.00", "", "", "", "", "-12.00", record_id="8"),), "-12.00", {"8": "-12.00"}, True),
        ((cells("A", "(1,234.50)", "", "", "", "", "(1,234.50)", record_id="8"),), "-1,234.50", {"8": "-1234.50"}, True),
        # No total cell, nulls, numbers instead of text.
        ((cells("A", "1.00", None, "2.00", "", "", "", record_id="8"),), "3.00", {"8": "3.00"}, True),
        ((cells("A", 1, None, None, None, None, Decimal("1.10"), record_id="8"),), "1.10", {"8": "1.10"}, True),
        # A report that was cut.
        (
            (cells("A", "1.00", "", "", "", "", "1.00", record_id="8"), cells("Unable to display more data.")),
            "9.00",
            {"8": "1.00"},
            False,
        ),
        # No grand total.
        ((JANE, cells("B", "", "", "", "", "", "2.50", record_id="5")), None, {"4": "37.50", "5": "2.50"}, True),
        ((JANE, cells("TOTAL", "", "37.50", "", "", "", "37.50")), None, {"4": "37.50"}, True),
    ],
)
def test_rows_nest_as_customers_do(rows: Any, total: str | None, customers: dict[str, str], whole: bool) -> None:
    found = read_aged_receivables(report(*rows, total=total))
    assert {each.customer_id: str(each.amount) for each in found.customers} == customers
    assert found.whole is whole
    expected = sum(map(Decimal, customers.values()), Decimal(0)) if whole else Decimal("9.00")
    assert found.total == expected


@pytest.mark.parametrize("rows", [{}, {"Row": []}, None, {"Row": None}, "missing"])
def test_a_company_to_which_nothing_is_owed_has_no_rows(rows: Any) -> None:
    empty = report(header=HEADER | {"Option": [{"Name": "NoReportData", "Value": "true"}]})
    if rows == "missing":
        del empty["Rows"]
    else:
        empty["Rows"] = rows
    found = read_aged_receivables(empty)
    assert (found.total, found.customers, found.whole) == (Decimal(0), (), True)
    assert found.report_date == date(2015, 12, 31)


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"QueryResponse": {}},
        report(cells("A", "", "", "", "", "", "n/a", record_id="8"), total="1.00"),
        report(cells("A", "", "", "", "", "", "NaN", record_id="8"), total="1.00"),
    ],
)
def test_what_is_no_such_report_is_never_taken_for_nothing_owed(broken: dict[str, Any]) -> None:
    with pytest.raises(ServiceUnavailable, match="AgedReceivables cannot be read"):
        read_aged_receivables(broken)


def test_the_report_of_a_day_is_one_metered_read(client, service, meter):
    service.reply = in_turn(answer(report(JANE, total="37.50")))
    assert read_aged_receivables(client.aged_receivables(date(2026, 3, 31))).total == Decimal("37.50")
    (request,) = service.requests
    assert (request.method, request.path) == ("GET", f"/v3/company/{REALM}/reports/AgedReceivables")
    assert {key: request.query[key] for key in ("report_date", "aging_method", "minorversion")} == {
        "report_date": "2026-03-31",
        "aging_method": "Report_Date",
        "minorversion": "75",
    }
    assert client.reads == 1


def test_a_report_that_is_refused_says_why(client, service):
    service.reply = in_turn(fault("5020", "Permission Denied Error", "no access to reports", status=403))
    with pytest.raises(Exception, match="may not do this"):
        client.aged_receivables(date(2026, 3, 31))
