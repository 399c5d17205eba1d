"""CPQ: the primary quote's own prices, to the cent of its own total, or a reason."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.invoices.lines import described, invoice_lines
from qbsf_pipeline.invoices.recurring.building import billing_schedule
from qbsf_pipeline.invoices.recurring.terms import deal_terms
from qbsf_pipeline.money import to_cents
from qbsf_pipeline.settings import load_rules
from qbsf_pipeline_tests.invoices.line_sources.quotes import DEAL, codes, line, quote, rules, sold, source

ALL = load_rules()


def totals(found):
    return [str(to_cents(one.line.total)) for one in found.lines]


def test_the_lines_are_those_of_the_primary_quote_at_net_prices():
    second = line(2, "900.00", quote_id="a0q000000000002AAA")
    found = source([quote(), quote(2, is_primary=False)], [line(), second]).sold(DEAL)
    assert found is not None
    assert (found.source, found.quote_id, found.reasons) == ("cpq_quote", "a0q000000000001AAA", ())
    (only,) = found.lines
    assert (only.line.total, only.line.unit_price, only.line.product_sku) == (Decimal("1500.00"), Decimal("1500.00"), "SKU-1")
    assert (only.line.product_code, only.family) == ("P-1", "Software")


@pytest.mark.parametrize(
    ("quotes", "changed", "expected"),
    [
        ([], {}, None),
        ([quote(opportunity_id="006000000000002AAA")], {}, None),
        ([quote(opportunity_id=None)], {}, None),
        ([quote(is_deleted=True)], {}, None),
        ([quote()], {"lines_from": "opportunity_products"}, None),
        ([quote(is_primary=False)], {}, None),
        ([quote(is_primary=None)], {"without_primary_quote": "refuse"}, ["no_primary_quote"]),
        ([quote(), quote(2)], {}, ["several_primary_quotes"]),
        ([quote(opportunity_id=DEAL["id"][:15])], {}, []),
    ],
)
def test_deals_without_one_primary_quote_are_left_to_the_products_or_refused(quotes, changed, expected):
    found = source(quotes, [line()], rules(**changed)).sold(DEAL)
    assert (None if found is None else codes(found)) == expected


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"net_amount": Decimal("1500.01")}, "quote_total_differs"),
        ({"net_amount": Decimal("1499.99")}, "quote_total_differs"),
        ({"currency": "EUR"}, "quote_currency_differs"),
        ({"type": "Proposal"}, "unknown_quote_type"),
        ({"status": "Draft", "rules": rules(statuses=("Approved", "Accepted"))}, "quote_status_refused"),
        ({"net_amount": None, "deal": {**DEAL, "amount": None}}, "quote_total_missing"),
        ({"net_amount": None, "deal": {**DEAL, "amount": Decimal("1.00")}}, "quote_total_differs"),
    ],
)
def test_a_quote_that_is_not_what_would_be_billed_waits_with_its_number(values, code):
    found = sold(**values)
    assert codes(found) == [code]
    assert "“Q-00001”" in found.reasons[0].text


def test_a_quote_that_agrees_has_nothing_against_it():
    assert codes(sold(status=" approved ", rules=rules(statuses=("Approved",)))) == []
    assert codes(sold(net_amount=None)) == []
    assert codes(sold(currency=None)) == []
    assert codes(sold(type=None)) == []


def test_optional_lines_are_not_sold():
    assert totals(sold(line(), line(2, "70.00", is_optional=True))) == ["1500.00"]
    assert codes(sold(line(1, is_optional=True))) == ["quote_without_lines"]


def test_a_line_without_a_total_is_refused_unless_price_and_quantity_tell_it():
    assert codes(sold(line(), line(2, None))) == ["line_without_amount"]
    known = line(2, None, net_price=Decimal("12.50"), quantity=Decimal(4))
    assert totals(sold(line(), known, net_amount=Decimal("1550.00"))) == ["1500.00", "50.00"]


def test_percent_of_total_lines_have_the_amount_that_the_package_calculated():
    support = line(2, "225.00", subscription_pricing="Percent Of Total", quantity=Decimal(1))
    assert totals(sold(line(), support, net_amount=Decimal("1725.00"))) == ["1500.00", "225.00"]


@pytest.mark.parametrize(("total", "expected"), [("customer", "1600.00"), ("partner", "1550.00")])
def test_customer_and_partner_totals_are_billed_by_rule_and_compared_with_the_same_total_of_the_quote(total, expected):
    values = {"customer_total": Decimal("1600.00"), "partner_total": Decimal("1550.00")}
    amounts = {"customer_amount": Decimal("1600.00")}
    assert totals(sold(line(1, **values), rules=rules(total=total), **amounts)) == [expected]
    assert codes(sold(line(1, **values), rules=rules(total=total), **amounts)) == []
    for proof in ({"net_amount": Decimal("1499.00")}, {"net_amount": None}):
        without = sold(line(1, **values), rules=rules(total=total), **proof)
        assert codes(without) == ["quote_total_missing" if proof["net_amount"] is None else "quote_total_differs"]
    assert codes(sold(line(), rules=rules(total=total), **amounts)) == ["line_without_amount"]


def bundle():
    return [
        line(1, is_bundled=False),
        line(2, "0.00", is_bundled=True, required_by_id=line(1)["id"], quantity=Decimal(2)),
        line(3, "0.00", is_bundled=True, required_by_id=line(2)["id"], product_name="Größe: O'Neil"),
    ]


def test_lines_that_a_bundle_includes_are_kept_folded_into_it_or_dropped():
    assert totals(sold(*bundle())) == ["1500.00", "0.00", "0.00"]
    assert totals(sold(*bundle(), rules=rules(bundled_lines="drop"))) == ["1500.00"]
    folded = sold(*bundle(), rules=rules(bundled_lines="fold"))
    assert totals(folded) == ["1500.00"]
    billed = invoice_lines([one.line for one in folded.lines], ALL.invoices)
    for wording in ("line", "product", "line_or_product"):
        text = described(billed[0], ALL.invoices.model_copy(update={"line_description": wording}))
        assert text.endswith("Includes 2 x Product 2\nIncludes 1 x Größe: O'Neil")


def test_a_bundled_line_with_an_amount_is_billed_whatever_the_rules_say_of_free_ones():
    lines = [line(1, "1400.00"), line(2, "100.00", is_bundled=True, required_by_id=line(1)["id"])]
    for wanted in ("keep", "fold", "drop"):
        assert totals(sold(*lines, rules=rules(bundled_lines=wanted))) == ["1400.00", "100.00"]


def test_a_free_line_whose_bundle_is_missing_or_itself_stays_a_line():
    lost = line(2, "0.00", is_bundled=True, required_by_id="a0l000000000099AAA")
    circle = [
        line(3, "0.00", is_bundled=True, required_by_id=line(4)["id"]),
        line(4, "0.00", is_bundled=True, required_by_id=line(3)["id"]),
    ]
    found = sold(line(), lost, *circle, rules=rules(bundled_lines="fold"))
    assert totals(found) == ["1500.00", "0.00", "0.00", "0.00"]
    assert [code for code, _ in found.notes] == ["bundle_not_found"] * 3


def test_a_discount_that_only_the_quote_holds_is_spread_over_the_lines_to_the_cent():
    lines = [line(1, "1000.00"), line(2, "500.00"), line(3, "0.00")]
    found = sold(*lines, net_amount=Decimal("1400.00"), additional_discount_amount=Decimal("100.00"))
    assert totals(found) == ["933.33", "466.67", "0.00"]
    assert codes(found) == []
    assert [code for code, _ in found.notes] == ["quote_discount_spread"]
    refused = sold(
        *lines,
        net_amount=Decimal("1400.00"),
        additional_discount_amount=Decimal("100.00"),
        rules=rules(quote_discount="refuse"),
    )
    assert codes(refused) == ["quote_total_differs"]


def test_a_discount_that_the_lines_hold_already_is_not_taken_off_again():
    assert totals(sold(additional_discount_amount=Decimal("100.00"))) == ["1500.00"]


def test_usage_is_never_billed_ahead():
    free = line(2, "0.00", billing_frequency="Usage")
    assert totals(sold(line(), free)) == ["1500.00"]
    assert codes(sold(line(), line(2, "5.00", charge_type="Usage"), net_amount=Decimal("1505.00"))) == ["usage_line"]


def test_an_amendment_holds_differences_and_leaves_out_what_did_not_change():
    found = sold(
        line(1, "0.00", quantity=Decimal(5)),
        line(2, "-200.00", quantity=Decimal(1), effective_quantity=Decimal(-2)),
        line(3, "350.00"),
        type="Amendment",
        net_amount=Decimal("150.00"),
        contract_id="800000000000001AAA",
    )
    assert (found.change, found.contract_id, codes(found)) == ("amendment", "800000000000001AAA", [])
    assert totals(found) == ["-200.00", "350.00"]
    assert found.lines[0].line.quantity == Decimal(-2)
    assert sold(type="renewal").change == "renewal"


def test_what_the_quote_decides_is_what_the_rules_name():
    values = {
        "payment_terms": "Net 45",
        "billing_frequency": "Quarterly",
        "billing_name": "O'Neil GmbH",
        "billing_city": "Köln",
    }
    by_default = sold(**values).terms
    assert (by_default.payment_terms, by_default.billing_frequency) == ("Net 45", "Quarterly")
    assert (by_default.start_date, by_default.bill_to) == (date(2026, 1, 1), None)
    bill_to = sold(rules=rules(quote_decides=("bill_to",)), **values).terms
    assert bill_to.payment_terms is None
    assert bill_to.bill_to is not None
    assert (bill_to.bill_to["name"], bill_to.bill_to["city"], bill_to.bill_to["street"]) == ("O'Neil GmbH", "Köln", "")
    assert sold(rules=rules(quote_decides=("bill_to",))).terms.bill_to is None


def test_a_quote_with_subscriptions_and_fees_becomes_a_schedule():
    subscription = line(
        1,
        "1200.00",
        subscription_pricing="Fixed Price",
        billing_frequency="Monthly",
        billing_type="Advance",
        net_price=Decimal("1200.00"),
    )
    fee = line(2, "300.00", billing_frequency="Monthly")
    found = sold(subscription, fee)
    assert [one.charge for one in found.lines] == ["recurring", "one_time"]
    row = {
        "id": DEAL["id"],
        "account_id": "001000000000001AAA",
        "currency": "USD",
        "close_date": date(2025, 12, 1),
        "billing_frequency": None,
        "billing_periods": None,
        "billing_start_date": None,
    }
    made = billing_schedule(deal_terms(row, found.terms, None), found.lines, {}, ALL.recurring).schedule
    assert made is not None
    assert [str(period.amount) for period in made.periods] == ["400.00"] + ["100.00"] * 11
    assert (made.periods[0].due_on, made.periods[-1].span.ends) == (date(2026, 1, 1), date(2026, 12, 31))


@pytest.mark.parametrize(
    ("values", "charge"),
    [
        ({"charge_type": "One-Time"}, "one_time"),
        ({"charge_type": "Recurring"}, "recurring"),
        ({"subscription_type": "One-time"}, "one_time"),
        ({"subscription_type": "Renewable", "subscription_pricing": "Fixed Price"}, "recurring"),
        ({}, None),
    ],
)
def test_whether_a_line_recurs_is_told_by_the_package(values, charge):
    assert sold(line(1, **values)).lines[0].charge == charge


def test_terms_are_months_or_days_as_the_package_counts_them():
    undated = {"start_date": None, "end_date": None}
    assert sold(line(subscription_term=Decimal(24)), **undated).lines[0].term_months == Decimal(24)
    assert sold(line(), **undated).lines[0].term_months == Decimal(12)
    in_days = sold(line(subscription_term=Decimal(365)), rules=rules(term_unit="day"), end_date=None).lines[0]
    assert (in_days.term_months, in_days.end_date) == (None, date(2026, 12, 31))
    assert sold(line(subscription_term=Decimal("1E+12")), rules=rules(term_unit="day"), end_date=None).lines[0].end_date is None


@given(
    amounts=st.lists(st.decimals("-50", "9999", places=4), min_size=1, max_size=8),
    discount=st.decimals("0.00", "50.00", places=2),
)
def test_what_is_billed_comes_to_the_quotes_total_or_the_deal_waits(amounts, discount):
    lines = [line(number, str(amount)) for number, amount in enumerate(amounts, start=1)]
    net = sum(amounts) - discount
    found = sold(*lines, net_amount=net, additional_discount_amount=discount)
    billed = invoice_lines([one.line for one in found.lines], ALL.invoices)
    agrees = sum(one.amount for one in billed) == net.quantize(Decimal("0.01"), rounding="ROUND_HALF_UP")
    assert agrees != ("quote_total_differs" in codes(found))
