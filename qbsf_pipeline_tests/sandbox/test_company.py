from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.sandbox import company
from qbsf_pipeline.sandbox.app import state_of
from qbsf_pipeline.sandbox.clock import Clock
from qbsf_pipeline.sandbox.store import Store, decode, encode

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)


class Seeded:
    """The sample company in memory, by type and id."""

    def __init__(self, now: datetime = NOON) -> None:
        self.store = Store(None)
        self.clock = Clock(fixed=now)
        company.seed_company_data(self.store, self.clock)
        state = state_of(self.store)
        self.state = state
        self.salesforce: dict[str, dict[str, Any]] = {
            name: {record["Id"]: record for record in records} for name, records in state["salesforce"].items()
        }
        self.quickbooks: dict[str, list[dict[str, Any]]] = state["quickbooks"]

    def lines(self, deal: str) -> list[dict[str, Any]]:
        return [line for line in self.salesforce["OpportunityLineItem"].values() if line["OpportunityId"] == deal]

    def account(self, deal: dict[str, Any]) -> dict[str, Any]:
        return self.salesforce["Account"][deal["AccountId"]]

    def customers_by_email(self, email: str | None) -> list[dict[str, Any]]:
        def same(customer: dict[str, Any]) -> bool:
            found = customer.get("PrimaryEmailAddr", {}).get("Address")
            return found == email or bool(found and email and found.casefold() == email.casefold())

        return [customer for customer in self.quickbooks["Customer"] if same(customer)]


@pytest.fixture(scope="module")
def seeded() -> Seeded:
    return Seeded()


@given(st.dates(min_value=date(2020, 1, 1), max_value=date(2040, 12, 31)))
def test_go_live_is_the_first_day_of_the_month_before_the_last_one(today: date):
    go_live = company.go_live_of(today)
    assert go_live.day == 1
    assert (today.year * 12 + today.month) - (go_live.year * 12 + go_live.month) == 2


@pytest.mark.parametrize("now", [NOON, datetime(2027, 1, 1, 1, tzinfo=UTC), datetime(2028, 2, 29, 23, tzinfo=UTC)])
def test_deals_to_bill_closed_lately_and_history_closed_before_go_live_on_any_day(now: datetime):
    seeded = Seeded(now)
    go_live = company.go_live_date(seeded.store, seeded.clock)
    chosen = {*company.deals_to_invoice(seeded.store), *company.deals_to_refuse(seeded.store).values()}
    for key, deal in seeded.salesforce["Opportunity"].items():
        closed = date.fromisoformat(deal["CloseDate"])
        if key in chosen:
            assert deal["IsWon"]
            assert now.date() - timedelta(days=20) <= closed <= now.date()
            assert closed >= go_live
        elif deal["IsWon"]:
            assert closed < go_live


def test_the_company_is_the_same_on_every_start():
    assert encode(state_of(Seeded().store)) == encode(state_of(Seeded().store))


def test_the_company_has_the_size_that_it_should(seeded: Seeded):
    deals = seeded.salesforce["Opportunity"].values()
    assert len(seeded.salesforce["Account"]) == 45
    assert len(seeded.salesforce["Product2"]) == 15
    assert 55 <= len(deals) <= 70
    assert len(company.deals_to_invoice(seeded.store)) == 18
    assert len(seeded.quickbooks["Customer"]) == 25
    owners = Counter(seeded.salesforce["User"][deal["OwnerId"]]["IsActive"] for deal in deals)
    assert owners[False] > 0


def test_every_deal_s_amount_is_the_sum_of_its_lines(seeded: Seeded):
    for key, deal in seeded.salesforce["Opportunity"].items():
        if seeded.lines(key):
            assert deal["Amount"] == sum(line["TotalPrice"] for line in seeded.lines(key))


def test_deals_to_invoice_lack_nothing(seeded: Seeded):
    terms = {term["Name"] for term in seeded.quickbooks["Term"]}
    skus = {item.get("Sku") for item in seeded.quickbooks["Item"]}
    names = {item["Name"] for item in seeded.quickbooks["Item"]}
    for key in company.deals_to_invoice(seeded.store):
        deal = seeded.salesforce["Opportunity"][key]
        account = seeded.account(deal)
        assert account["BillingStreet"]
        assert account["BillingCity"]
        assert account["Billing_Email__c"]
        assert (deal["Payment_Terms__c"] or account["Payment_Terms__c"]) in terms
        assert deal["Contract_URL__c"].startswith("https://")
        assert deal["Amount"] > 0
        for line in seeded.lines(key):
            product = seeded.salesforce["Product2"][line["Product2Id"]]
            assert product["ProductCode"] in skus | names or product["Name"] in names


def test_each_refused_deal_has_exactly_its_own_fault(seeded: Seeded):
    terms = {term["Name"] for term in seeded.quickbooks["Term"]}
    known = {item.get("Sku") for item in seeded.quickbooks["Item"]} | {i["Name"] for i in seeded.quickbooks["Item"]}
    contacts = seeded.salesforce["Contact"].values()
    for reason, key in company.deals_to_refuse(seeded.store).items():
        deal = seeded.salesforce["Opportunity"][key]
        account = seeded.salesforce["Account"].get(deal["AccountId"])
        lines = seeded.lines(key)
        products = [seeded.salesforce["Product2"][line["Product2Id"]] for line in lines]
        emails = [account["Billing_Email__c"]] if account else [True]
        emails += [c["Email"] for c in contacts if c["AccountId"] == deal["AccountId"]]
        found = {
            "no_account": account is None,
            "no_billing_address": account is not None and not account["BillingStreet"],
            "no_billing_email": not any(emails),
            "no_line_items": not lines,
            "unknown_payment_terms": deal["Payment_Terms__c"] not in terms,
            "no_contract_url": deal["Contract_URL__c"] is None,
            "contract_url_not_a_url": not (deal["Contract_URL__c"] or "https://").startswith("https://"),
            "amount_zero": deal["Amount"] == 0,
            "product_without_item": any(p["ProductCode"] not in known and p["Name"] not in known for p in products),
            "doubtful_customer": account is not None
            and len(seeded.customers_by_email(account["Billing_Email__c"] or "none")) > 1,
        }
        assert {name for name, present in found.items() if present} == {reason}


def test_the_peculiar_deals_are_there(seeded: Seeded):
    lines = [line for key in company.deals_to_invoice(seeded.store) for line in seeded.lines(key)]
    assert any(line["Quantity"] % 1 for line in lines)
    assert any(line["Discount"] for line in lines)
    assert any(line["TotalPrice"] < 0 for line in lines)
    assert any(line["TotalPrice"] == 0 for line in lines)
    assert any(len(line["Description"] or "") > 4000 for line in lines)
    assert any(line["Quantity"] * line["UnitPrice"] != line["TotalPrice"] and not line["Discount"] for line in lines)
    deals = [seeded.salesforce["Opportunity"][key] for key in company.deals_to_invoice(seeded.store)]
    assert max(Counter(deal["AccountId"] for deal in deals).values()) == 3
    assert any("\r\n" in seeded.account(deal)["BillingStreet"] for deal in deals)
    assert any(deal["Payment_Terms__c"] is None for deal in deals)


def test_one_deal_is_billed_month_by_month_after_a_set_up_fee(seeded: Seeded):
    key = company.recurring_deal(seeded.store)
    deal = seeded.salesforce["Opportunity"][key]
    assert (deal["Billing_Frequency__c"], deal["Billing_Periods__c"]) == ("Monthly", 12)
    assert deal["Billing_Start_Date__c"] == deal["CloseDate"]
    products = seeded.salesforce["Product2"]
    sold = {products[line["Product2Id"]]["Family"]: line["TotalPrice"] for line in seeded.lines(key)}
    assert sold == {"Set-Up": 1500, "Software": 10000}


def test_one_deal_s_lines_are_those_of_its_primary_quote(seeded: Seeded):
    key = company.quoted_deal(seeded.store)
    quotes = [quote for quote in seeded.salesforce["SBQQ__Quote__c"].values() if quote["SBQQ__Opportunity2__c"] == key]
    (primary,) = [quote for quote in quotes if quote["SBQQ__Primary__c"]]
    assert len(quotes) == 2
    deal = seeded.salesforce["Opportunity"][key]
    assert deal["SBQQ__PrimaryQuote__c"] == primary["Id"]
    assert primary["SBQQ__NetAmount__c"] == deal["Amount"] == Decimal("49680.00")
    lines = {k: v for k, v in seeded.salesforce["SBQQ__QuoteLine__c"].items() if v["SBQQ__Quote__c"] == primary["Id"]}
    sold = {line["SBQQ__QuoteLine__c"]: line["TotalPrice"] for line in seeded.lines(key)}
    assert sold == {k: line["SBQQ__NetTotal__c"] for k, line in lines.items() if not line["SBQQ__Optional__c"]}
    (bundled,) = [line for line in lines.values() if line["SBQQ__Bundled__c"]]
    assert lines[bundled["SBQQ__RequiredBy__c"]]["SBQQ__Bundle__c"]
    assert [line["SBQQ__NetTotal__c"] for line in lines.values() if line["SBQQ__Optional__c"]] == [8100]


def test_the_peculiar_customers_are_there(seeded: Seeded):
    accounts = list(seeded.salesforce["Account"].values())
    same = [
        customer
        for account in accounts
        for customer in seeded.customers_by_email(account["Billing_Email__c"])
        if customer["DisplayName"] == account["Name"] and customer["Active"]
    ]
    assert len(same) == 12
    (linked,) = [account for account in accounts if account["QuickBooks_Customer_Id__c"]]
    customers = {customer["Id"]: customer for customer in seeded.quickbooks["Customer"]}
    assert customers[linked["QuickBooks_Customer_Id__c"]]["DisplayName"] != linked["Name"]
    assert [customer["Active"] for customer in customers.values()].count(False) == 1
    (vendor,) = seeded.quickbooks["Vendor"]
    assert vendor["DisplayName"] in {account["Name"] for account in accounts}
    assert vendor["DisplayName"] not in {customer["DisplayName"] for customer in customers.values()}


def test_three_old_deals_have_invoices_marked_noted_and_by_hand(seeded: Seeded):
    deals = seeded.salesforce["Opportunity"]
    invoices = seeded.quickbooks["Invoice"]
    written = {d["QuickBooks_Invoice_Id__c"] for d in deals.values()}
    marked_ones = [i for i in invoices if "Salesforce Opportunity " in i.get("PrivateNote", "")]
    (marked,) = [i for i in marked_ones if i["Id"] not in written]
    deal = deals[marked["PrivateNote"].removeprefix("Salesforce Opportunity ")]
    assert (deal["Amount"], marked["Balance"]) == (marked["TotalAmt"], 0)
    marks = {i["Id"] for i in marked_ones}
    (noted,) = [d for d in deals.values() if d["QuickBooks_Invoice_Id__c"] and d["QuickBooks_Invoice_Id__c"] not in marks]
    assert [i["TotalAmt"] for i in invoices if i["Id"] == noted["QuickBooks_Invoice_Id__c"]] == [noted["Amount"]]
    (by_hand,) = [i for i in invoices if "by phone" in i.get("PrivateNote", "")]
    assert [d["Name"] for d in deals.values() if d["Amount"] == by_hand["TotalAmt"] and d["IsWon"]]


def test_quickbooks_has_paid_part_paid_and_open_invoices_and_a_credit(seeded: Seeded):
    invoices = seeded.quickbooks["Invoice"]
    assert any(i["Balance"] == 0 for i in invoices)
    assert any(0 < i["Balance"] < i["TotalAmt"] for i in invoices)
    assert any(i["Balance"] == i["TotalAmt"] for i in invoices)
    assert [memo["Balance"] for memo in seeded.quickbooks["CreditMemo"]] == [225, 0]
    for payment in seeded.quickbooks["Payment"]:
        assert payment["UnappliedAmt"] == 0


def test_old_deals_have_invoices_that_are_overdue_part_paid_credited_and_voided(seeded: Seeded):
    deals = seeded.salesforce["Opportunity"]
    invoices = {i["DocNumber"]: i for i in seeded.quickbooks["Invoice"]}
    past_due = {
        number: (NOON.date() - date.fromisoformat(invoices[number]["DueDate"])).days for number in ("1023", "1024", "1025")
    }
    assert past_due == {"1025": 35, "1024": 65, "1023": 95}
    assert all(invoices[number]["Balance"] == invoices[number]["TotalAmt"] > 0 for number in past_due)
    assert (invoices["1026"]["TotalAmt"], invoices["1026"]["Balance"]) == (Decimal(6000), Decimal(3500))
    assert invoices["1027"]["Balance"] == 0
    assert {link["TxnType"] for p in seeded.quickbooks["Payment"] for line in p["Line"] for link in line["LinkedTxn"]} == {
        "Invoice",
        "CreditMemo",
    }
    assert (invoices["1029"]["TotalAmt"], invoices["1029"]["PrivateNote"].split(" ")[0]) == (0, "Voided")
    for number in (*past_due, "1026", "1027", "1029"):
        (deal,) = [d for d in deals.values() if d["QuickBooks_Invoice_Number__c"] == number]
        assert (deal["QuickBooks_Invoice_Id__c"], deal["Payment_Status__c"]) == (invoices[number]["Id"], "Sent")
        assert deal["Id"] in invoices[number]["PrivateNote"]
        assert deal["CloseDate"] < invoices[number]["TxnDate"]
    assert {method["Name"] for method in seeded.quickbooks["PaymentMethod"]} == {"Check", "ACH", "Credit Card"}


def test_a_big_company_is_whole_and_survives_its_file(tmp_path: Path):
    store = Store(tmp_path / "s")
    company.bulk_company(store, Clock(fixed=NOON), 200, 30)
    store.commit()
    state = state_of(Store(tmp_path / "s"))
    deals = state["salesforce"]["Opportunity"]
    waiting = [d for d in deals if d["IsWon"] and not d["QuickBooks_Invoice_Id__c"]]
    billed = [d for d in deals if d["QuickBooks_Invoice_Id__c"]]
    assert (len(deals), len(waiting), len(state["salesforce"]["OpportunityLineItem"])) == (200, 30, 600)
    assert {d["Id"] for d in waiting} == set(company.deals_to_invoice(store))
    assert len(billed) == len(state["quickbooks"]["Invoice"]) > 100
    amounts = {i["Id"]: i["TotalAmt"] for i in state["quickbooks"]["Invoice"]}
    assert all(Decimal(amounts[d["QuickBooks_Invoice_Id__c"]]) == d["Amount"] for d in billed)
    accounts = {a["Id"]: a["Name"] for a in state["salesforce"]["Account"]}
    names = {customer["DisplayName"] for customer in state["quickbooks"]["Customer"]}
    assert sum(accounts[d["AccountId"]] in names for d in waiting) == 15
    assert decode(encode(deals)) == deals
