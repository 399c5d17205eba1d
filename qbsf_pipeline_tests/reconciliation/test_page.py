"""The page: complete, safe against what names contain, and of use without anything else."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from html.parser import HTMLParser

import polars as pl

from qbsf_pipeline.reconciliation.classes import CLASSES
from qbsf_pipeline.reconciliation.page import MOST_ROWS, page
from qbsf_pipeline.reconciliation.report import Report
from qbsf_pipeline_tests.reconciliation.reports import CLOSING, DEAL_LINK, INVOICE_LINK, case, changed, report

VOID = {"meta", "link", "br", "img", "input"}
HOSTILE = "</td><script>alert(1)</script><img src=x onerror=alert(1)> & \"O'Brien\" =cmd|' /C calc'!A0"


class Shown(HTMLParser):
    """The page as a browser reads it: tags, attributes and words."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if self.rows and self.rows[-1] and tag in ("code", "div"):
            self.rows[-1][-1] += " "
        self.attributes += [(name, value or "") for name, value in attrs]
        self.links += [value or "" for name, value in attrs if name == "href" and tag == "a"]
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        self.words.append(data)
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def row_with(self, words: str) -> list[str]:
        """The cells of the one row that contains the words."""
        (row,) = [cells for cells in self.rows if any(words in cell for cell in cells)]
        return [" ".join(cell.split()) for cell in row]


def shown(made_up: Report) -> Shown:
    return Shown(page(made_up, CLASSES))


def test_a_difference_has_both_links_both_amounts_its_reason_who_acts_and_since_when() -> None:
    found = shown(
        report(
            [
                case(1),
                case(2, "not_invoiced", "8000.00", "0.00", cause="no_products", explanation="The deal has no products."),
                case(3, "invoiced_later", "12000.00", "100.01", first_seen_on=date(2026, 3, 9), seen_last_month=True),
                case(
                    4,
                    "unexplained",
                    "50.00",
                    "0.00",
                    accepted_by="Ada",
                    accepted_reason="is a gift",
                    accepted_on=date(2026, 4, 2),
                ),
            ]
        )
    )
    assert found.row_with("INV-2") == [
        "Deal 2 Account 2 · Grace Hopper · closed 04 Mar 2026 deal:006000000000000002",
        "INV-2 Customer 2 · 05 Mar 2026",
        "8,000.00",
        "0.00",
        "8,000.00",
        "The deal has no products. no_products",
        "finance",
        "05 Mar 2026",
    ]
    for number in (2, 3, 4):
        assert DEAL_LINK.format(number) in found.links
        assert INVOICE_LINK.format(1000 + number) in found.links
    assert "first reported 09 Mar 2026" in found.row_with("INV-3")[-1]
    assert "also last month" in found.row_with("INV-3")[-1]
    assert "accepted by Ada on 02 Apr 2026: is a gift" in found.row_with("INV-4")[5]
    assert "INV-1" not in found.text
    assert "3 differences: 1 for finance, 1 for nobody to act on, 1 accepted." in found.text
    assert "qbsf reconcile accept deal:006000000000000002 --month 2026-03" in found.text


def test_each_currency_has_its_bridge_as_a_table_and_as_a_picture_with_a_description() -> None:
    found = shown(report([case(1, "invoiced_later", "500.00", "0.00"), case(2, currency="EUR"), case(3)]))
    assert found.tags.count("svg") == 2
    labels = [value for name, value in found.attributes if name == "aria-label"]
    assert "Waterfall in USD: won 600.00, Invoiced in a later month -500.00, invoiced 100.00." in labels
    assert "Waterfall in EUR: won 100.00, invoiced 100.00." in labels
    assert ["Invoiced in a later month", "1", "-500.00"] in found.rows
    assert "Everything that was won is invoiced, and everything invoiced was won." in found.text


def test_what_a_record_contains_is_never_markup_and_never_runs() -> None:
    fields = ("deal", "owner", "account", "customer", "numbers", "cause", "explanation", "acts", "accepted_by", "accepted_reason")
    hostile = dict.fromkeys(fields, HOSTILE)
    cases = [case(1, "unexplained", "5.00", "0.00", **{**hostile, "case_key": HOSTILE, "deal_link": "javascript:alert(1)"})]
    changes = [
        changed(1, deal=HOSTILE, numbers=HOSTILE, explanation=HOSTILE, change=HOSTILE, class_now=HOSTILE, case_key=HOSTILE)
    ]
    closing = replace(CLOSING, closed_by=HOSTILE)
    found = shown(report(cases, changes=changes, closing=closing, company=HOSTILE))
    assert not {"script", "img", "iframe", "object", "embed", "form"} & set(found.tags)
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert not [link for link in found.links if not link.startswith(("https://", "#"))]
    assert "O'Brien" in found.text


def test_the_page_needs_nothing_from_elsewhere() -> None:
    found = shown(report([case(1, "unexplained", "5.00", "0.00")]))
    sources = [value for name, value in found.attributes if name in ("src", "srcset", "xlink:href", "data", "action")]
    assert sources == []
    assert "@import" not in page(report([]), CLASSES)
    assert found.tags.count("link") == 1


def test_nulls_everywhere_are_blanks() -> None:
    kept = ("month", "currency", "case_key", "class", "position", "won", "invoiced", "explained")
    bare = {name: None for name in case(1) if name not in (*kept, "difference")}
    found = shown(report([case(1, "unexplained", "5.00", "0.00", **bare)]))
    assert found.row_with("deal:006000000000000001") == [
        "no deal deal:006000000000000001", "no invoice", "5.00", "0.00", "5.00", "", "", "",
    ]  # fmt: skip
    assert not [cell for row in found.rows for cell in row if "None" in cell]


def test_an_empty_month_says_so() -> None:
    found = shown(report([]))
    assert "Nothing happened in March 2026." in found.text
    assert "The month is open" in found.text


def test_a_closed_month_shows_what_has_changed_since() -> None:
    gone = changed(2, change="gone", class_now=None, won_now=None, invoiced_now=None)
    found = shown(report([case(1)], changes=[changed(1), gone], closing=CLOSING))
    assert "Closed by Ada Lovelace on 02 Apr 2026, 09:00 UTC" in found.text
    assert "2 records are not as then." in found.text
    row = found.row_with("Deal 1 · INV-1")
    assert row[1:7] == ["changed", "Matched → Unexplained", "100.00 USD", "120.00 USD", "100.00 USD", "100.00 USD"]
    assert found.row_with("Deal 2 · INV-2")[1:7] == ["gone", "Matched", "100.00 USD", "", "100.00 USD", ""]
    assert "Nothing has changed since the month was closed." in shown(report([case(1)], closing=CLOSING)).text
    assert "Changes since close" not in shown(report([case(1)])).text
    assert "qbsf reconcile accept" not in shown(report([case(1, "unexplained", "5.00", "0.00")], closing=CLOSING)).text


def test_a_large_month_shows_the_largest_differences_and_says_what_is_left_out() -> None:
    cases = [case(number, "not_invoiced", f"{number}.00", "0.00") for number in range(1, 5001)]
    changes = [changed(number) for number in range(1, 1001)]
    found = shown(report(cases, changes=changes, closing=CLOSING))
    rest = Decimal(sum(range(1, 5001 - MOST_ROWS)))
    assert f"and {5000 - MOST_ROWS:,} more with differences of {rest:,.2f} USD: they are in the workbook." in found.text
    assert f"and {1000 - MOST_ROWS:,} more: they are in the workbook." in found.text
    assert "Deal 5000" in found.text
    assert sum("INV-" in "".join(row) for row in found.rows) == 2 * MOST_ROWS


def test_figures_that_do_not_add_up_are_not_to_be_used() -> None:
    right = report([case(1, "unexplained", "5.00", "0.00")])
    wrong = replace(right, bridge=right.bridge.with_columns(pl.lit(Decimal("4.99")).cast(pl.Decimal(18, 2)).alias("amount")))
    assert "This report does not add up: do not use its figures." in shown(wrong).text
    assert "does not add up" not in shown(right).text


def test_what_is_still_open_of_earlier_months_has_its_sums_its_rows_and_no_part_in_the_figures() -> None:
    january = {"month": date(2026, 1, 1), "first_seen_on": date(2026, 2, 2), "since": date(2026, 1, 9)}
    rows = [
        case(7, "not_invoiced", "70.00", "0.00", **january),
        case(8, "unexplained", "9.00", "0.00", currency="EUR", deal=HOSTILE, **january),
    ]
    found = shown(report([case(1)], carried=rows))
    assert "Still open from earlier months 2 differences, 9.00 EUR and 70.00 USD, 1 unexplained." in found.text
    assert ["USD", "Not invoiced yet", "1", "70.00"] in [[" ".join(cell.split()) for cell in row] for row in found.rows]
    row = found.row_with(case(7)["case_key"])
    assert (row[0], row[5]) == ("Jan 2026", "70.00")
    assert "Not invoiced yet" in row[6]
    assert "first reported 02 Feb 2026" in row[8]
    assert "script" not in found.tags
    assert "No differences." in found.text
    assert "Still open from earlier months" not in shown(report([case(1)])).text


def test_a_month_in_which_nothing_happened_still_shows_what_is_open_of_before() -> None:
    rows = [case(number, "not_invoiced", "1.00", "0.00", month=date(2026, 1, 1)) for number in range(MOST_ROWS + 2)]
    found = shown(report([], carried=rows))
    assert "Nothing happened in March 2026." in found.text
    assert "and 2 more with differences of 2.00 USD: they are in the workbook." in found.text
    assert "What the classes mean" in found.text
