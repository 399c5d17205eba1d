"""What Salesforce and its package CPQ work out of schedules, quotes and quote lines.

Belongs here: totals and flags that follow from these records. Does not belong here: what may be written (`records`), fields
(`schema`). The package's own pricing is not played: net prices are given, as its calculation left them.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from qbsf_pipeline.sandbox.salesforce.schema import QUOTE, QUOTE_LINE, SCHEDULE, SUBSCRIPTION

if TYPE_CHECKING:
    from qbsf_pipeline.sandbox.salesforce.records import Org

_CENT = Decimal("0.01")
#: What numbers itself: the field, and how the number is written.
NUMBERED = {
    QUOTE: ("Name", "Q-{:05d}"),
    QUOTE_LINE: ("Name", "QL-{:07d}"),
    SUBSCRIPTION: ("Name", "SUB-{:07d}"),
    "Contract": ("ContractNumber", "{:08d}"),
}


def complete(org: Org, type_name: str, doc: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A quote, quote line, subscription or contract with its number and what follows from its own fields. What a raw record gives
    stays."""
    name, pattern = NUMBERED.get(type_name, ("", ""))
    if name and not doc.get(name):
        doc[name] = pattern.format(org.store.next_number(f"salesforce.{type_name}.name"))
    if type_name != QUOTE_LINE:
        return doc
    product = org.documents("Product2").get(doc.get("SBQQ__Product__c") or "", {})
    quote = org.documents(QUOTE).get(doc.get("SBQQ__Quote__c") or "", {})
    quantity = doc.get("SBQQ__Quantity__c")
    worked_out: dict[str, Any] = {
        "SBQQ__ProductCode__c": product.get("ProductCode"),
        "SBQQ__ProductName__c": product.get("Name"),
        "SBQQ__EffectiveQuantity__c": quantity,
        "SBQQ__EffectiveStartDate__c": doc.get("SBQQ__StartDate__c") or quote.get("SBQQ__StartDate__c"),
        "SBQQ__EffectiveEndDate__c": doc.get("SBQQ__EndDate__c") or quote.get("SBQQ__EndDate__c"),
    }
    priced = given.get("SBQQ__EffectiveQuantity__c", quantity)
    if priced is not None and doc.get("SBQQ__NetPrice__c") is not None:
        # The net price is prorated already: the line comes to quantity times net price, for its whole term.
        total = _to_cents(Decimal(priced) * Decimal(doc["SBQQ__NetPrice__c"]))
        worked_out |= dict.fromkeys(("SBQQ__NetTotal__c", "SBQQ__CustomerTotal__c", "SBQQ__PartnerTotal__c"), total)
    return doc | {name: value for name, value in worked_out.items() if name not in given}


def follow(org: Org, type_name: str, doc: Mapping[str, Any], now: str, author: str) -> None:
    """Bring in line what stands above a schedule row, a quote or a quote line that was written or deleted."""
    if type_name == SCHEDULE:
        _scheduled_line(org, doc["OpportunityLineItemId"], now, author)
    elif type_name == QUOTE_LINE:
        _quote_totals(org, doc["SBQQ__Quote__c"], now, author)
    elif type_name == QUOTE and doc.get("SBQQ__Primary__c") and not doc.get("IsDeleted"):
        _only_primary(org, doc, now, author)


def keep_scheduled(old: Mapping[str, Any] | None, doc: dict[str, Any]) -> dict[str, Any]:
    """A line whose amounts its schedule says: writing them is taken without complaint and without effect."""
    if old is not None and old.get("HasRevenueSchedule"):
        for name in ("TotalPrice", "UnitPrice", "Subtotal"):
            doc[name] = old.get(name)
    if old is not None and old.get("HasQuantitySchedule"):
        doc["Quantity"] = old.get("Quantity")
    return doc


def _scheduled_line(org: Org, line_id: str, now: str, author: str) -> None:
    line = org.documents("OpportunityLineItem").get(line_id)
    if line is None or line.get("IsDeleted"):
        return
    documents = org.documents(SCHEDULE)
    rows = [documents[row] for row in org.children(SCHEDULE, "OpportunityLineItemId", line_id)]
    rows = [row for row in rows if not row.get("IsDeleted")]
    revenue = [row for row in rows if row.get("Type") in ("Revenue", "Both")]
    quantities = [row for row in rows if row.get("Type") in ("Quantity", "Both")]
    doc = dict(line)
    doc |= {
        "HasRevenueSchedule": bool(revenue),
        "HasQuantitySchedule": bool(quantities),
        "HasSchedule": bool(rows),
    }
    if quantities:
        doc["Quantity"] = _wire(sum((row.get("Quantity") or Decimal(0) for row in quantities), Decimal(0)))
    if revenue:
        doc["TotalPrice"] = _to_cents(sum((row.get("Revenue") or Decimal(0) for row in revenue), Decimal(0)))
        if doc.get("Quantity"):
            doc["UnitPrice"] = _to_cents(doc["TotalPrice"] / doc["Quantity"])
            doc["Subtotal"] = _to_cents(doc["UnitPrice"] * doc["Quantity"])
    if doc != line:
        org.put("OpportunityLineItem", {**doc, "LastModifiedDate": now, "LastModifiedById": author, "SystemModstamp": now})
        org.total(doc["OpportunityId"], now, author, touch=True)


def _quote_totals(org: Org, quote_id: str, now: str, author: str) -> None:
    quote = org.documents(QUOTE).get(quote_id)
    if quote is None or quote.get("IsDeleted"):
        return
    documents = org.documents(QUOTE_LINE)
    lines = [documents[line] for line in org.children(QUOTE_LINE, "SBQQ__Quote__c", quote_id)]
    sold = [line for line in lines if not line.get("IsDeleted") and not line.get("SBQQ__Optional__c")]
    doc = dict(quote)
    for name, column in (
        ("SBQQ__NetAmount__c", "SBQQ__NetTotal__c"),
        ("SBQQ__CustomerAmount__c", "SBQQ__CustomerTotal__c"),
        ("SBQQ__PartnerAmount__c", "SBQQ__PartnerTotal__c"),
    ):
        doc[name] = _to_cents(sum((line.get(column) or Decimal(0) for line in sold), Decimal(0)))
    if doc != quote:
        org.put(QUOTE, {**doc, "LastModifiedDate": now, "LastModifiedById": author, "SystemModstamp": now})


def _only_primary(org: Org, quote: Mapping[str, Any], now: str, author: str) -> None:
    """At most one quote of a deal is its primary one, and the deal names it."""
    deal = org.documents("Opportunity").get(quote.get("SBQQ__Opportunity2__c") or "")
    if deal is None:
        return
    stamps = {"LastModifiedDate": now, "LastModifiedById": author, "SystemModstamp": now}
    documents = org.documents(QUOTE)
    for other_id in org.children(QUOTE, "SBQQ__Opportunity2__c", deal["Id"]):
        other = documents[other_id]
        if other_id != quote["Id"] and other.get("SBQQ__Primary__c"):
            org.put(QUOTE, {**other, **stamps, "SBQQ__Primary__c": False})
    if deal.get("SBQQ__PrimaryQuote__c") != quote["Id"]:
        org.put("Opportunity", {**deal, **stamps, "SBQQ__PrimaryQuote__c": quote["Id"]})


def _to_cents(value: Decimal) -> Decimal:
    return _wire(value.quantize(_CENT, rounding=ROUND_HALF_UP))


def _wire(value: Decimal) -> Decimal:
    """As Salesforce writes a double: one digit after the point at least, no zeros behind."""
    text = format(value, "f").rstrip("0") if "." in format(value, "f") else format(value, "f")
    return Decimal(f"{text}0" if text.endswith(".") else text if "." in text else f"{text}.0")
