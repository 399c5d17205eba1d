"""Month end as a whole: sums close to the cent, every document counts once, and nothing depends on the order of rows."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from qbsf_pipeline.reconciliation.cases import cases_of
from qbsf_pipeline.reconciliation.classes import CLASSES
from qbsf_pipeline.reconciliation.deciding import decided
from qbsf_pipeline.reconciliation.facts import facts_of
from qbsf_pipeline.reconciliation.inputs import with_a_difference
from qbsf_pipeline.reconciliation.plan import Reconciliation
from qbsf_pipeline.reconciliation.settled import settled_cases
from qbsf_pipeline.reconciliation.wording import explained, matched_text
from qbsf_pipeline_tests.reconciliation.month import (
    RULES,
    TODAY,
    billing,
    credit,
    deal,
    deal_id,
    inputs_of,
    invoice,
    line,
    memo,
    month_end,
    outcome,
    sold,
)

README = Path(__file__).parents[2] / "README.md"
World = dict[str, Any]
#: Few values, so that they meet.
AMOUNTS = st.sampled_from(["0", "0.01", "99.99", "100", "100.02", "200", "1000000", "-50"])
PRICES = st.one_of(AMOUNTS, st.just("100.005"))
DAYS = st.one_of(st.none(), st.dates(date(2026, 1, 20), date(2026, 4, 10)))
CURRENCIES = st.sampled_from(["USD", "EUR", None, " usd "])
NUMBERS = st.integers(1, 8)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Deals, invoices and credit memos in every state, linked to each other or to nothing."""
    deals = [
        deal(
            number,
            draw(st.one_of(st.none(), PRICES)),
            closed=draw(DAYS),
            is_won=draw(st.sampled_from([True, True, True, False, None])),
            is_deleted=draw(st.sampled_from([False, False, True, None])),
            currency=draw(CURRENCIES),
            billing_frequency=draw(st.sampled_from([None, "One-Time", "Monthly"])),
            created_on=draw(DAYS),
            modified_on=draw(DAYS),
        )
        for number in range(1, draw(st.integers(0, 8)) + 1)
    ]
    invoices = [
        invoice(
            number,
            draw(AMOUNTS),
            of=draw(st.one_of(st.none(), NUMBERS)),
            dated=draw(DAYS),
            tax=draw(st.sampled_from(["0", "0.01", "8"])),
            status=draw(st.sampled_from(["Sent", "Paid", "Voided", "Deleted", None])),
            currency=draw(CURRENCIES),
            customer_id=draw(st.sampled_from(["C1", "C2", "C9", None])),
            exchange_rate=draw(st.sampled_from([None, Decimal("1.1"), Decimal(0)])),
            written_off=draw(st.sampled_from([None, Decimal(0), Decimal(50)])),
            created_on=draw(DAYS),
        )
        for number in range(1, draw(st.integers(0, 12)) + 1)
    ]
    memos = [
        memo(number, draw(AMOUNTS), dated=draw(DAYS), currency=draw(CURRENCIES), is_deleted=draw(st.booleans()))
        for number in range(1, draw(st.integers(0, 4)) + 1)
    ]
    credits = draw(st.lists(st.builds(credit, NUMBERS, to=NUMBERS, amount=AMOUNTS, is_write_off=st.booleans()), max_size=4))
    return {
        "deals": deals,
        "invoices": invoices,
        "credit_memos": memos,
        "credits": credits,
        "billings": draw(st.lists(st.builds(billing, NUMBERS, AMOUNTS, of=NUMBERS, generation=st.integers(1, 2)), max_size=3)),
        "outcomes": draw(
            st.lists(
                st.one_of(
                    st.builds(outcome, st.sampled_from(["planned", "refused", "invoiced", "dead", "new"]), of=NUMBERS),
                    st.builds(outcome, st.just("amends"), of=NUMBERS, billed_with=st.none() | NUMBERS, difference=AMOUNTS),
                ),
                max_size=4,
            )
        ),
        "deal_lines": draw(
            st.lists(
                st.builds(sold, st.just("Gold"), PRICES, of=NUMBERS),
                max_size=3,
            )
        ),
        "invoice_lines": draw(
            st.lists(
                st.builds(line, st.just("Gold"), AMOUNTS, on=NUMBERS, kind=st.sampled_from(["item", "discount", "freight"])),
                max_size=3,
            )
        ),
    }


def cents(text: Decimal) -> Decimal:
    return text.quantize(Decimal("0.01"), rounding="ROUND_HALF_UP")


def expected_sums(world: World) -> dict[tuple[date, str], list[Decimal]]:
    """Won and invoiced by month and currency, added up record by record."""
    sums: dict[tuple[date, str], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])

    def day(*days: date | None) -> date:
        return next((each for each in days if each is not None), TODAY).replace(day=1)

    def code(record: dict[str, Any]) -> str:
        return (record["currency"] or "USD").strip().upper()

    products: dict[str, Decimal] = defaultdict(Decimal)
    for each in world["deal_lines"]:
        products[each["opportunity_id"]] += each["amount"]
    for each in world["deals"]:
        if each["is_won"] and not each["is_deleted"]:
            amount = products[each["opportunity_id"]] if each["amount"] is None else each["amount"]
            sums[day(each["close_date"], each["created_on"], each["modified_on"]), code(each)][0] += cents(amount)
    for each in world["invoices"]:
        if each["status"] not in ("Voided", "Deleted"):
            month = day(each["txn_date"], each["created_on"], each["modified_on"])
            sums[month, code(each)][1] += each["total"] - each["tax"]
    for each in world["credit_memos"]:
        if not each["is_deleted"]:
            sums[day(each["txn_date"], each["modified_on"]), code(each)][1] -= each["total"]
    return sums


def closes(found: Reconciliation) -> None:
    totals = found.totals
    assert (totals["won"] - totals["invoiced"]).to_list() == (totals["explained"] + totals["unexplained"]).to_list()
    cases = found.cases
    assert (cases["won"] - cases["invoiced"]).to_list() == cases["difference"].to_list()
    by_class = cases.group_by("month", "currency", "class").agg(pl.col("difference").sum(), pl.len().cast(pl.Int64))
    assert sorted(by_class.rows()) == sorted(found.bridge.select("month", "currency", "class", "amount", "cases").rows())
    assert cases.select("month", "currency", "case_key").is_unique().all()
    assert cases.group_by("case_key").agg(pl.col("class").n_unique())["class"].unique().to_list() in ([1], [])
    assert cases.filter(pl.col("class") == "matched")["difference"].to_list() == [Decimal(0)] * len(
        cases.filter(pl.col("class") == "matched")
    )
    assert cases["explanation"].str.len_chars().min() not in (0,)
    assert cases["explanation"].null_count() == cases["acts"].null_count() == 0


@given(worlds())
@settings(max_examples=15)
def test_any_company_closes_to_the_cent_with_each_document_once_whatever_the_order_of_rows(world: World) -> None:
    found = month_end(**world)
    closes(found)
    sums = {key: tuple(amounts) for key, amounts in expected_sums(world).items() if any(amounts)}
    told = found.totals.select("month", "currency", "won", "invoiced").rows()
    assert {(month, code): amounts for month, code, *amounts in told if any(amounts)} == {
        key: list(amounts) for key, amounts in sums.items()
    }
    counted = found.documents.filter("counted").select("kind", "document_id")
    assert counted.is_unique().all()
    live = [("deal", each["opportunity_id"]) for each in world["deals"] if each["is_won"] and not each["is_deleted"]]
    live += [("invoice", each["invoice_id"]) for each in world["invoices"] if each["status"] not in ("Voided", "Deleted")]
    live += [("credit_memo", each["credit_memo_id"]) for each in world["credit_memos"] if not each["is_deleted"]]
    assert sorted(counted.rows()) == sorted(live)
    turned = month_end(**{name: list(reversed(rows)) for name, rows in world.items() if name not in ("billings", "outcomes")} | {
        name: world[name] for name in ("billings", "outcomes")
    })  # fmt: skip
    assert_frame_equal(found.cases, turned.cases)
    assert_frame_equal(found.documents, turned.documents)


@given(worlds())
@settings(max_examples=10)
def test_what_is_settled_at_once_is_what_the_rules_call_matched(world: World) -> None:
    inputs = inputs_of(**world)
    cases = cases_of(inputs, TODAY)
    looked_at = explained(
        decided(facts_of(cases, inputs, RULES.reconciliation), inputs, RULES.reconciliation, TODAY).with_columns(
            pl.lit("x").alias("customer"), pl.lit("x").alias("account"), pl.lit("x").alias("wrong_customer")
        ),
        None,
        "",
    )
    settled = settled_cases(cases, inputs).with_columns(explanation=matched_text("numbers"))
    same = ["case", "class", "billed", "value", "cause", "acts", "since", "explanation", "invoice_ids", "numbers", "customer_id"]
    assert_frame_equal(
        settled.select(same), looked_at.join(settled.select("case"), on="case", how="semi").select(same), check_row_order=False
    )


def test_a_month_asked_for_by_itself_is_the_same_as_among_all() -> None:
    world: World = {
        "deals": [deal(), deal(2, "70.55", closed=date(2026, 3, 31)), deal(3)],
        "invoices": [invoice(), invoice(2, "70.55", of=2, dated=date(2026, 4, 1)), invoice(9, of=None)],
    }
    everything = month_end(**world)
    march = month_end(months=[date(2026, 3, 17)], **world)
    assert_frame_equal(march.cases, everything.cases.filter(pl.col("month") == date(2026, 3, 1)))
    assert_frame_equal(march.documents, everything.documents.filter(pl.col("month") == date(2026, 3, 1)))
    assert march.totals.to_dicts() == [
        {
            "month": date(2026, 3, 1),
            "currency": "USD",
            "won": Decimal("2070.55"),
            "invoiced": Decimal("2000.00"),
            "explained": Decimal("-929.45"),
            "unexplained": Decimal("1000.00"),
            "unexplained_cases": 1,
            "deals": 3,
            "invoices": 2,
            "cases": 4,
            "differences": 3,
        }
    ]


def test_a_row_has_both_records_with_names_and_links() -> None:
    row = month_end(deals=[deal()], invoices=[invoice(3), invoice(12, "50", dated=date(2026, 3, 9))]).cases.row(0, named=True)
    assert {name: row[name] for name in ("deal", "owner", "account", "customer", "customer_id", "invoice_ids", "numbers")} == {
        "deal": "Deal 1",
        "owner": "Zoë Quill",
        "account": "O\u2019Brien",
        "customer": "O'Brien GmbH",
        "customer_id": "C1",
        "invoice_ids": "12, 3",
        "numbers": "10012, 1003",
    }
    assert (row["case_key"], row["closed_on"], row["invoiced_on"]) == (f"deal:{deal_id(1)}", date(2026, 3, 10), date(2026, 3, 9))
    assert row["deal_link"] == f"https://acme.my.salesforce.com/{deal_id(1)}"
    assert row["invoice_link"] == "https://app.qbo.intuit.com/app/invoice?txnId=12"
    assert (row["deal_amount"], row["billed"], row["amounts"]) == (
        Decimal(1000),
        Decimal(1050),
        "unexplained billed_more USD 1000.00 1050.00 1000.00 1050.00",
    )


def test_a_deal_without_an_invoice_shows_the_customer_of_its_account() -> None:
    row = month_end(deals=[deal()]).cases.row(0, named=True)
    assert (row["customer_id"], row["customer"], row["invoice_link"]) == ("C1", "O'Brien GmbH", None)


def test_documents_of_other_months_are_there_to_explain_and_do_not_count() -> None:
    found = month_end(deals=[deal(closed=date(2026, 3, 31))], invoices=[invoice(dated=date(2026, 4, 1))])
    rows = found.documents.select("month", "kind", "dated_on", "status", "amount", "counted").rows()
    march, april = date(2026, 3, 1), date(2026, 4, 1)
    assert rows == [
        (march, "deal", date(2026, 3, 31), "won", Decimal(1000), True),
        (march, "invoice", date(2026, 4, 1), "live", Decimal(1000), False),
        (april, "deal", date(2026, 3, 31), "won", Decimal(1000), False),
        (april, "invoice", date(2026, 4, 1), "live", Decimal(1000), True),
    ]


def test_a_voided_invoice_is_among_the_documents_with_what_it_was_and_counts_for_nothing() -> None:
    found = month_end(
        deals=[deal()],
        invoices=[invoice(1, "0", status="Voided")],
        last_known=[{"invoice_id": "1", "total": Decimal("1100"), "tax": Decimal("100")}],
    )
    voided = found.documents.row(by_predicate=pl.col("kind") == "invoice", named=True)
    assert (voided["status"], voided["amount"], voided["counted"]) == ("voided", Decimal(1000), False)


def test_a_credit_memo_over_several_invoices_belongs_to_the_one_that_got_most_of_it_and_says_so() -> None:
    found = month_end(
        deals=[deal(), deal(2)],
        invoices=[invoice(1), invoice(2, of=2)],
        credit_memos=[memo(total="100")],
        credits=[credit(to=1, amount="40"), credit(to=2, amount="60")],
    )
    classes = {row["case_key"]: row for row in found.cases.iter_rows(named=True)}
    assert classes[f"deal:{deal_id(1)}"]["class"] == "matched"
    second = classes[f"deal:{deal_id(2)}"]
    assert (second["class"], second["difference"]) == ("credited", Decimal(100))
    assert "applied to other invoices too" in second["explanation"]


@pytest.mark.parametrize(
    ("world", "month", "says"),
    [
        ({"deals": [deal(closed=None, created_on=date(2026, 2, 3))]}, 2, "has no close date and counts on 03 Feb 2026"),
        ({"deals": [deal(closed=None, created_on=None, modified_on=None)]}, 4, "has no close date and counts on 20 Apr 2026"),
        ({"deals": [deal(amount=None)]}, 3, "no amount that can be billed, and no products, and counts as 0"),
        ({"invoices": [invoice(of=None, dated=None, created_on=date(2026, 1, 9))]}, 1, "has no date and counts on 09 Jan 2026"),
    ],
)
def test_a_record_that_lacks_a_date_or_an_amount_is_told_and_not_lost(world: World, month: int, says: str) -> None:
    found = month_end(**world)
    assert found.cases.height == 1
    assert found.cases.item(0, "month") == date(2026, month, 1)
    assert says in found.cases.item(0, "explanation")


def test_the_same_number_in_two_currencies_is_no_match() -> None:
    found = month_end(deals=[deal(currency="EUR")], invoices=[invoice()])
    assert found.cases.select("currency", "class", "difference").rows() == [
        ("EUR", "unexplained", Decimal(1000)),
        ("USD", "unexplained", Decimal(-1000)),
    ]


def test_a_deal_without_an_amount_is_worth_its_products() -> None:
    found = month_end(
        deals=[deal(amount=None)], deal_lines=[sold("Gold", "333.335"), sold("Silver", "666.665")], invoices=[invoice()]
    )
    assert found.cases.select("class", "won").row(0) == ("matched", Decimal(1000))


def test_an_amount_that_is_too_large_to_be_money_counts_as_unknown_and_stops_nothing() -> None:
    found = month_end(deals=[deal(amount="10000000000000"), deal(2)], invoices=[invoice(of=2)])
    assert found.cases.get_column("class").to_list() == ["unexplained", "matched"]
    assert "no amount that can be billed" in found.cases.item(0, "explanation")


def test_where_no_currency_is_known_the_rows_say_so() -> None:
    found = month_end(deals=[deal(currency=None)], invoices=[invoice(currency="")], home_currency="", org_currency="")
    assert found.totals.select("currency", "won", "invoiced").row(0) == ("XXX", Decimal(1000), Decimal(1000))


def test_a_deal_that_was_never_won_nor_invoiced_is_no_case() -> None:
    assert month_end(deals=[deal(is_won=False), deal(2, is_deleted=True)]).cases.is_empty()


def test_one_record_twice_counts_once() -> None:
    found = month_end(deals=[deal(), deal()], invoices=[invoice(), invoice()], billings=[billing(), billing()])
    assert found.totals.select("won", "invoiced", "cases").row(0) == (Decimal(1000), Decimal(1000), 1)


def test_the_lines_of_what_agrees_are_not_needed() -> None:
    inputs = inputs_of(
        deals=[deal(), deal(2), deal(3, None), deal(4)],
        invoices=[invoice(), invoice(2, "999.99", of=2), invoice(3, of=3), invoice(4, "0", of=4, status="Voided")],
    )
    deals, invoices = with_a_difference(inputs.deals, inputs.invoices)
    assert sorted(deals.get_column("opportunity_id")) == [deal_id(2), deal_id(3)]
    assert sorted(invoices.get_column("invoice_id")) == ["2", "3"]


def test_an_acceptance_holds_while_class_and_amounts_stay() -> None:
    def amounts(**more: Any) -> str:
        return str(month_end(deals=[deal(**more)], invoices=[invoice(1, "900")]).cases.item(0, "amounts"))

    assert amounts() == amounts(modified_on=date(2026, 4, 19), deal="Renamed")
    assert amounts() != amounts(amount="1000.01")


def test_the_readme_shows_the_classes_in_their_order() -> None:
    rows = re.findall(r"^\| \d+ \| `(\w+)` \| ([^|]+) \| ([^|]+) \| (\w+) \|$", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert [tuple(cell.strip() for cell in row) for row in rows] == [
        (each.code, each.title, each.rule, each.acts) for each in CLASSES
    ]
