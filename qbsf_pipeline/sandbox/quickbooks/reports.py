"""The report AgedReceivables, computed from the books as of a day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal

from qbsf_pipeline.sandbox.quickbooks import faults
from qbsf_pipeline.sandbox.quickbooks.company import ZERO, Company, Document, cents, parse_date, ref_value, stored
from qbsf_pipeline.sandbox.quickbooks.payments import amounts_of

_TITLES = ("Current", "1 - 30", "31 - 60", "61 - 90", "91 and over")


def aged_receivables(company: Company, parameters: Mapping[str, str]) -> Document:
    """The report, in home currency. Open invoices age from their due date (from their date, if the company says so);
    open credits and unapplied payments are negative and age from their own date.

    Raises:
        QuickBooksFault: 2080, 2170.
    """
    report_date = company.today()
    if parameters.get("report_date"):
        report_date = parse_date(parameters["report_date"], "report_date")
    method = parameters.get("aging_method", "Report_Date")
    if method not in ("Report_Date", "Current"):
        raise faults.invalid_enumeration("aging_method", method)
    ages_to = report_date if method == "Report_Date" else company.today()
    only = {each for each in parameters.get("customer", "").split(",") if each}
    rows: dict[str, list[Decimal]] = {}
    for customer_id, since, amount in _open_items(company, report_date):
        if amount and (not only or customer_id in only):
            buckets = rows.setdefault(customer_id, [ZERO] * len(_TITLES))
            buckets[_bucket((ages_to - since).days)] += amount
    rows = {customer_id: buckets for customer_id, buckets in rows.items() if any(buckets)}
    options = [
        {"Name": "report_date", "Value": report_date.isoformat()},
        {"Name": "NoReportData", "Value": "false" if rows else "true"},
    ]
    header: Document = {
        "Time": company.stamp(),
        "ReportName": "AgedReceivables",
        "DateMacro": "custom",
        "StartPeriod": report_date.isoformat(),
        "EndPeriod": report_date.isoformat(),
        "Currency": company.home_currency,
        "Option": options,
    }
    if only:
        header["Customer"] = parameters["customer"]
    columns = [{"ColTitle": "", "ColType": "Customer"}]
    columns += [{"ColTitle": title, "ColType": "Money"} for title in (*_TITLES, "Total")]
    return {"Header": header, "Columns": {"Column": columns}, "Rows": _rows(company, rows)}


def _rows(company: Company, rows: Mapping[str, list[Decimal]]) -> Document:
    if not rows:
        return {}
    named = {each: str((company.find("Customer", each) or {}).get("DisplayName", each)) for each in rows}
    result: list[Document] = []
    totals = [ZERO] * (len(_TITLES) + 1)
    for customer_id in sorted(rows, key=lambda each: named[each].casefold()):
        amounts = [*rows[customer_id], sum(rows[customer_id], ZERO)]
        totals = [total + amount for total, amount in zip(totals, amounts, strict=True)]
        cells: list[Document] = [{"value": f"{amount:.2f}" if amount else ""} for amount in amounts]
        result.append({"ColData": [{"value": named[customer_id], "id": customer_id}, *cells]})
    summary = [{"value": "TOTAL"}, *({"value": f"{total:.2f}"} for total in totals)]
    result.append({"Summary": {"ColData": summary}, "type": "Section", "group": "GrandTotal"})
    return {"Row": result}


def _bucket(days: int) -> int:
    return 0 if days <= 0 else min((days - 1) // 30 + 1, len(_TITLES) - 1)


def _open_items(company: Company, until: date) -> Iterator[tuple[str, date, Decimal]]:
    """(customer, day it ages from, open amount in home currency) as the books stood at the end of a day."""
    last = until.isoformat()
    from_txn_date = bool(company.preference("ReportPrefs", "CalcAgingReportFromTxnDate", False))
    applied: dict[tuple[str, str], Decimal] = {}
    for payment in company.docs("Payment").values():
        if payment["TxnDate"] > last:
            continue
        unapplied = stored(payment["TotalAmt"])
        for (kind, txn_id), amount in amounts_of(payment).items():
            form = company.find(kind, txn_id)
            if form is None or form["TxnDate"] > last:
                continue
            applied[kind, txn_id] = applied.get((kind, txn_id), ZERO) + amount
            unapplied += -amount if company.is_charge(kind, txn_id) else amount
        yield _item(payment, payment["TxnDate"], -unapplied)
    for kind, sign in (("Invoice", 1), ("CreditMemo", -1)):
        for form in company.docs(kind).values():
            if form["TxnDate"] <= last:
                left = stored(form["TotalAmt"]) - stored(form.get("Deposit")) - applied.get((kind, form["Id"]), ZERO)
                ages_from = str(form["TxnDate"] if from_txn_date else form.get("DueDate", form["TxnDate"]))
                yield _item(form, ages_from, sign * left)
    for entry in company.docs("JournalEntry").values():
        if entry["TxnDate"] <= last:
            used = applied.get(("JournalEntry", entry["Id"]), ZERO)
            for customer_id, amount in company.receivable_lines(entry):
                step = min(used, abs(amount)) if (amount > 0) == company.is_charge("JournalEntry", entry["Id"]) else ZERO
                used -= step
                yield customer_id, date.fromisoformat(entry["TxnDate"]), amount + (step if amount < 0 else -step)


def _item(document: Document, since: str, amount: Decimal) -> tuple[str, date, Decimal]:
    home = cents(amount * stored(document.get("ExchangeRate") or 1))
    return ref_value(document["CustomerRef"]) or "", date.fromisoformat(since), home
