"""What finance reads in Slack about a month: what it says, how long it may be, and when it is said again."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from qbsf_pipeline.reconciliation.classes import CLASSES
from qbsf_pipeline.reconciliation.messages import summary_messages
from qbsf_pipeline.reconciliation.report import Report
from qbsf_pipeline.state.outbox import Message
from qbsf_pipeline_tests.pipeline import rendered
from qbsf_pipeline_tests.reconciliation.reports import CLOSING, case, changed, report

TITLES = {one.code: one.title for one in CLASSES}
PLACES = {"workbook": "/home/reports/2026-03.xlsx", "page": "/home/reports/2026-03.html"}
LATER = date(2026, 4, 2)


def told(made: Report, today: date = LATER) -> list[Message]:
    return summary_messages(made, TITLES, today, PLACES, "http://dagster/report", "#finance")


def text(made: Report, today: date = LATER) -> str:
    return "\n".join(rendered(message) for message in told(made, today))


def test_the_summary_says_the_totals_how_much_is_unexplained_and_where_the_report_is() -> None:
    rows = [case(1), case(2, "unexplained", "250.00", "200.00"), case(3, "not_invoiced", "70.00", "0.00", currency="EUR")]
    (message,) = told(report(rows))
    shown = rendered(message)
    assert message.text == "March 2026: won against invoiced: 1 unexplained"
    assert message.channel == "#finance"
    assert "won *350.00 USD* · invoiced *300.00 USD* · difference 50.00 USD · unexplained 50.00 USD" in shown
    assert "won *70.00 EUR* · invoiced *0.00 EUR* · difference 70.00 EUR · unexplained 0.00 EUR" in shown
    assert "*1 unexplained* of 2 differences" in shown
    assert "`/home/reports/2026-03.xlsx`" in shown
    assert "<http://dagster/report|Open the report in Dagster>" in shown


def test_the_five_differences_to_look_at_first_are_named_with_links_to_both_records() -> None:
    rows = [case(number, "not_invoiced", f"{number}.00", "0.00", invoice_ids=None, numbers=None) for number in range(10, 17)]
    shown = text(report([*rows, case(1, "unexplained", "1.00", "0.50", seen_last_month=True)]))
    lines = [line for line in shown.splitlines() if line.startswith("• <")]
    assert [line.split("|")[1].split(">")[0] for line in lines] == ["Deal 1", "Deal 16", "Deal 15", "Deal 14", "Deal 13"]
    assert "|Deal 1> · <https://qbo.intuit.com/app/invoice?txnId=1001|invoice INV-1> · *0.50 USD* · Unexplained" in lines[0]
    assert lines[0].endswith("for finance · open since last month")
    assert "Not invoiced yet: the sentence of case 16." in shown
    assert "_and 3 more in the report_" in shown


def test_what_a_person_accepted_is_counted_and_not_named() -> None:
    shown = text(report([case(1, "unexplained", "9.00", "0.00", accepted_by="Ana"), case(2, "credited", "5.00", "0.00")]))
    assert "Nothing is unexplained; 2 differences, 1 of them accepted" in shown
    assert "Deal 1|" not in shown
    assert "|Deal 1>" not in shown
    assert "|Deal 2>" in shown


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (report([]), "No deal was won and nothing was invoiced."),
        (report([case(1)]), "Every deal has its invoice, and every invoice its deal."),
        (report([case(1)], closing=CLOSING), "Closed on 02 Apr 2026 by Ada Lovelace; nothing has changed since."),
        (report([case(1)], changes=[changed(1)], closing=CLOSING), "*1 record changed since*"),
    ],
    ids=["nothing", "agrees", "closed", "changed"],
)
def test_every_kind_of_month_has_its_sentence(made: Report, says: str) -> None:
    assert says in text(made)


def test_a_month_that_is_not_over_is_told_as_it_is_so_far() -> None:
    assert "March 2026 so far: won" in text(report([case(1)]), date(2026, 3, 31))
    assert "so far" not in text(report([case(1)]), date(2026, 4, 1))


def test_names_of_others_ring_no_phones_and_break_no_message() -> None:
    rows: list[dict[str, Any]] = [
        case(number, "unexplained", "9.00", "0.00", deal="<!channel> & *Größe* | " + "x" * 5000, explanation="<@U1> " * 2000)
        for number in range(1, 9)
    ]
    messages = told(report(rows))
    shown = "\n".join(rendered(message) for message in messages)
    assert "<!channel>" not in shown
    assert "<@U1>" not in shown
    assert all(len(block["text"]["text"]) <= 3000 for message in messages for block in message.blocks)
    assert [message.thread_of for message in messages] == [None, *[messages[0].dedupe_key] * (len(messages) - 1)]


def test_the_same_figures_are_one_message_whatever_day_it_is_and_other_figures_another() -> None:
    made = report([case(1, "unexplained", "9.00", "0.00")])
    key = told(made)[0].dedupe_key
    later = replace(
        made,
        produced_at=made.produced_at + timedelta(days=1),
        cases=made.cases.with_columns(explanation=pl.lit("Open for 12 days.")),
    )
    assert told(later, LATER + timedelta(days=1))[0].dedupe_key == key
    others = [
        report([case(1, "unexplained", "9.01", "0.00")]),
        report([case(1, "unexplained", "9.00", "0.00", accepted_by="Ana")]),
        report([case(1, "unexplained", "9.00", "0.00")], closing=CLOSING),
    ]
    assert key not in {told(other)[0].dedupe_key for other in others}


def test_what_is_still_open_of_earlier_months_is_one_line_and_told_again_when_it_changes() -> None:
    earlier = [case(number, "not_invoiced", "6150.00", "0.00", month=date(2026, 1, 1)) for number in (7, 8)]
    made = report([case(1)], carried=earlier)
    assert "still open from earlier months: 2 differences, 12,300.00 USD" in text(made)
    keys = {told(one)[0].dedupe_key for one in (made, report([case(1)], carried=earlier[:1]), report([case(1)]))}
    assert len(keys) == 3
    assert "earlier months" not in text(report([case(1)]))
