"""A month through its life: reports that are kept, differences that are accepted, a close, and what changes after it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest
from polars.testing import assert_frame_equal

from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.reconciliation import producing
from qbsf_pipeline.reconciliation.messages import summary_messages
from qbsf_pipeline.reconciliation.months import after, before
from qbsf_pipeline.reconciliation.producing import MonthFigures, Produced
from qbsf_pipeline.reconciliation.tables import CASES
from qbsf_pipeline.state.database import State
from qbsf_pipeline_tests.reconciliation.reports import MONTH, case, document, report

ZONE = ZoneInfo("America/Denver")
FIRST = datetime(2026, 4, 1, 14, 0, tzinfo=UTC)
DAY = timedelta(days=1)
OFF = case(2, "unexplained", "100.00", "90.00")
OTHER = case(3, "not_invoiced", "70.00", "0.00")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State.open(f"sqlite:///{tmp_path / 'state.sqlite'}", tmp_path) as opened:
        yield opened


@pytest.fixture
def produce(state: State, tmp_path: Path) -> Callable[..., Produced]:
    def produced(*rows: dict[str, Any], day: int = 0, month: date = MONTH) -> Produced:
        made = report([{**row, "month": month} for row in rows], [document(1, month=month)])
        cases = made.cases.select(list(CASES.polars_schema))
        figures = MonthFigures(month, made.totals, made.bridge, cases, made.documents)
        return producing.produce(state, tmp_path, figures, "Northwind", ZONE, FIRST + day * DAY)

    return produced


def figures_of(*rows: dict[str, Any]) -> MonthFigures:
    made = report(rows)
    return MonthFigures(MONTH, made.totals, made.bridge, made.cases.select(list(CASES.polars_schema)), made.documents)


def row_of(made: Produced, number: int) -> dict[str, Any]:
    rows = {row["case_key"]: row for row in made.report.cases.to_dicts()}
    return rows[case(number)["case_key"]]


def test_a_report_stands_as_workbook_and_page_in_the_folder_of_its_month(
    produce: Callable[..., Produced], tmp_path: Path
) -> None:
    made = produce(case(1), OFF)
    assert made.folder == tmp_path / "reports" / "reconciliation" / "2026-03"
    assert sorted(path.name for path in made.folder.iterdir()) == ["reconciliation-2026-03.html", "reconciliation-2026-03.xlsx"]
    assert len(openpyxl.load_workbook(made.workbook).sheetnames) >= 5
    assert "Deal 2" in made.page.read_text(encoding="utf-8")


def test_a_difference_is_seen_since_its_first_report_and_says_when_it_was_there_last_month(
    produce: Callable[..., Produced],
) -> None:
    produce(case(1), OFF, month=before(MONTH), day=-20)
    produce(OFF, OTHER)
    again = produce(OFF, OTHER, day=3)
    assert [(row_of(again, number)["first_seen_on"], row_of(again, number)["seen_last_month"]) for number in (2, 3)] == [
        (date(2026, 4, 1), True),
        (date(2026, 4, 1), False),
    ]
    produce(case(1), month=before(MONTH), day=4)
    assert not row_of(produce(OFF, day=5), 2)["seen_last_month"]


def test_an_accepted_difference_stays_accepted_until_its_amounts_change(
    produce: Callable[..., Produced], state: State, tmp_path: Path
) -> None:
    produce(case(1), OFF)
    made, rows = producing.accept(state, tmp_path, MONTH, OFF["case_key"], " agreed ", "Ana", ZONE, FIRST + DAY)
    assert rows.height == 1
    assert row_of(made, 2)["accepted_reason"] == "agreed"
    assert row_of(produce(case(1), OFF, day=2), 2)["accepted_by"] == "Ana"
    assert row_of(produce(case(1), case(2, "unexplained", "100.00", "89.99"), day=3), 2)["accepted_by"] is None
    assert row_of(produce(case(1), OFF, day=4), 2)["accepted_by"] == "Ana"
    taken_back = producing.withdraw(state, tmp_path, MONTH, OFF["case_key"], "Ben", ZONE, FIRST + 5 * DAY)
    assert row_of(taken_back, 2)["accepted_by"] is None
    with pytest.raises(ConfigurationError, match="nobody accepted"):
        producing.withdraw(state, tmp_path, MONTH, OFF["case_key"], "Ben", ZONE, FIRST + 5 * DAY)


@pytest.mark.parametrize(
    ("case_key", "reason", "says"),
    [
        (OFF["case_key"], "  ", "--reason: say why"),
        ("deal:unknown", "x", "no case 'deal:unknown' in this month"),
        (case(1)["case_key"], "x", "agrees"),
    ],
)
def test_what_cannot_be_accepted_is_one_line(
    produce: Callable[..., Produced], state: State, tmp_path: Path, case_key: str, reason: str, says: str
) -> None:
    produce(case(1), OFF)
    with pytest.raises(ConfigurationError, match=says):
        producing.accept(state, tmp_path, MONTH, case_key, reason, "Ana", ZONE, FIRST)
    with pytest.raises(ConfigurationError, match="there is no report of April 2026: qbsf reconcile --month 2026-04"):
        producing.accept(state, tmp_path, after(MONTH), OFF["case_key"], "x", "Ana", ZONE, FIRST)


def test_a_closed_month_keeps_its_figures_and_tells_what_changed_since(
    produce: Callable[..., Produced], state: State, tmp_path: Path
) -> None:
    before_close = produce(case(1), OFF)
    with pytest.raises(ConfigurationError, match="1 difference is unexplained"):
        producing.close(state, tmp_path, MONTH, "Ana", ZONE, FIRST + DAY)
    closed = producing.close(state, tmp_path, MONTH, "Ana", ZONE, FIRST + DAY, with_unexplained=True)
    assert closed.report.closing is not None
    assert closed.report.changes.is_empty()
    later = produce(case(1), case(2, "amount_changed_in_salesforce", "120.00", "90.00"), OTHER, day=9)
    assert_frame_equal(later.report.totals, before_close.report.totals)
    assert_frame_equal(later.report.cases, before_close.report.cases)
    assert later.report.produced_at == FIRST
    assert dict(later.report.changes.select("case_key", "change").iter_rows()) == {
        OFF["case_key"]: "changed",
        OTHER["case_key"]: "new",
    }
    assert produce(case(1), OFF, day=10).report.changes.is_empty()
    assert state.month_end_differences.open(MONTH) == {("USD", OFF["case_key"])}


def test_a_closed_month_is_closed_for_decisions_until_it_is_opened_again(
    produce: Callable[..., Produced], state: State, tmp_path: Path
) -> None:
    produce(case(1), OFF)
    producing.close(state, tmp_path, MONTH, "Ana", ZONE, FIRST, with_unexplained=True)
    with pytest.raises(ConfigurationError, match="March 2026 is closed since 01 Apr 2026 by Ana"):
        producing.close(state, tmp_path, MONTH, "Ben", ZONE, FIRST)
    with pytest.raises(ConfigurationError, match="qbsf reconcile reopen --month 2026-03"):
        producing.accept(state, tmp_path, MONTH, OFF["case_key"], "x", "Ana", ZONE, FIRST)
    opened = producing.reopen(state, tmp_path, MONTH, "Ben", "late invoice", ZONE, FIRST + DAY)
    assert opened.report.closing is None
    assert produce(case(1), day=2).report.cases.height == 1
    with pytest.raises(ConfigurationError, match="not closed"):
        producing.reopen(state, tmp_path, MONTH, "Ben", None, ZONE, FIRST)


def test_a_close_in_the_evening_is_told_as_the_companys_day_everywhere(
    produce: Callable[..., Produced], state: State, tmp_path: Path
) -> None:
    produce(case(1))
    # 03:00 UTC on 2 April is 21:00 on 1 April in Denver.
    closed = producing.close(state, tmp_path, MONTH, "Ana", ZONE, FIRST + timedelta(hours=13))
    again = producing.report_of(state, state.month_end_reports.get(closed.report_id), ZONE)
    (message,) = summary_messages(again, {}, date(2026, 4, 2), {}, "https://dagster.example", "#finance")
    cells = [str(cell.value) for row in openpyxl.load_workbook(closed.workbook).worksheets[0].iter_rows() for cell in row]
    assert "Closed on 01 Apr 2026 by Ana" in str(message.blocks)
    assert "on 01 Apr 2026, 21:00 MDT" in closed.page.read_text(encoding="utf-8")
    assert any("closed by Ana on 2026-04-01 21:00 MDT" in text for text in cells)
    assert "Produced 2026-04-01 08:00 MDT." in " ".join(cells)
    with pytest.raises(ConfigurationError, match="is closed since 01 Apr 2026 by Ana"):
        producing.close(state, tmp_path, MONTH, "Ben", ZONE, FIRST + DAY)
    # By whatever clock it is told, it is the same report and the same message.
    (elsewhere,) = summary_messages(
        producing.report_of(state, state.month_end_reports.get(closed.report_id), ZoneInfo("UTC")),
        {},
        date(2026, 4, 2),
        {},
        "https://dagster.example",
        "#finance",
    )
    assert elsewhere.dedupe_key == message.dedupe_key


def test_a_month_that_looked_the_same_before_and_after_its_end_can_be_closed(
    produce: Callable[..., Produced], state: State, tmp_path: Path
) -> None:
    produce(case(1), day=-3)
    with pytest.raises(ConfigurationError, match="before the month was over"):
        producing.close(state, tmp_path, MONTH, "Ana", ZONE, FIRST)
    again = produce(case(1))
    assert again.report_id == "M-1"
    assert producing.close(state, tmp_path, MONTH, "Ana", ZONE, FIRST).report.closing is not None


def test_every_report_of_the_past_can_be_made_again_as_it_was(
    produce: Callable[..., Produced], state: State, tmp_path: Path
) -> None:
    made = [produce(case(1), OFF), produce(case(1), OFF, OTHER, day=1)]
    made.append(producing.accept(state, tmp_path, MONTH, OFF["case_key"], "agreed", "Ana", ZONE, FIRST + 2 * DAY)[0])
    made.append(producing.close(state, tmp_path, MONTH, "Ana", ZONE, FIRST + 3 * DAY))
    made.append(produce(case(1), day=4))
    assert [one.report_id for one in made] == ["M-1", "M-2", "M-3", "M-4", "M-5"]
    pages = {}
    for one in made:
        kept = state.month_end_reports.get(one.report_id)
        again = producing.report_of(state, kept, ZONE)
        for name in ("totals", "bridge", "cases", "documents", "changes"):
            assert_frame_equal(getattr(again, name), getattr(one.report, name))
        assert again.closing == one.report.closing
        producing.write_files(again, tmp_path / one.report_id)
        page = Produced(again, one.report_id, tmp_path / one.report_id).page
        pages[one.report_id] = hashlib.sha256(page.read_bytes()).hexdigest()
    assert len(set(pages.values())) == len(made)
    assert producing.newest_of(state, MONTH, FIRST + 2 * DAY).report_id == "M-3"


def test_a_report_that_died_before_anybody_could_be_told_is_made_and_told_again(state: State, tmp_path: Path) -> None:
    def dies(_produced: Produced) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        producing.produce(state, tmp_path, figures_of(OFF), "Northwind", ZONE, FIRST, dies)
    assert state.month_end_reports.list() == []
    assert state.month_end_differences.open(MONTH) == set()
    told: list[str] = []
    producing.produce(state, tmp_path, figures_of(OFF), "Northwind", ZONE, FIRST, lambda one: told.append(one.report_id))
    assert told == ["M-1"]


def test_what_is_decided_while_the_files_are_written_is_in_the_report(state: State, tmp_path: Path) -> None:
    """Another process accepts a difference, and closes the month, in the instant before the report is kept."""
    producing.produce(state, tmp_path, figures_of(OFF), "Northwind", ZONE, FIRST)
    decided = iter(
        (
            lambda: producing.accept(state, tmp_path, MONTH, OFF["case_key"], "agreed", "Ana", ZONE, FIRST),
            lambda: producing.close(state, tmp_path, MONTH, "Ana", ZONE, FIRST),
        )
    )

    class Other(State):
        """Opens a transaction only after somebody else was faster."""

        def transaction(self) -> Any:
            for decide in decided:
                decide()
                break
            return super().transaction()

    with Other.open(f"sqlite:///{tmp_path / 'state.sqlite'}", tmp_path) as other:
        made = producing.produce(other, tmp_path, figures_of(OFF, OTHER), "Northwind", ZONE, FIRST + DAY)
    assert row_of(made, 2)["accepted_by"] == "Ana"
    assert made.report.closing is not None
    assert made.report.changes.get_column("change").to_list() == ["new"]


def test_a_report_carries_what_nobody_accepted_of_earlier_months_as_their_reports_show_it(
    produce: Callable[..., Produced], state: State, tmp_path: Path
) -> None:
    produce(OFF, OTHER, day=-20)
    april = figures_of(case(1, month=after(MONTH)))
    earlier = report([OFF, OTHER]).cases.select(list(CASES.polars_schema))

    def carrying(day: int) -> Produced:
        return producing.produce(
            state, tmp_path, replace(april, month=after(MONTH), earlier=earlier), "Northwind", ZONE, FIRST + day * DAY
        )

    first = carrying(30)
    assert set(first.report.carried.select("case_key", "month", "first_seen_on").rows()) == {
        (one["case_key"], MONTH, date(2026, 3, 12)) for one in (OFF, OTHER)
    }
    with pytest.raises(ConfigurationError, match=r"accepted there: qbsf reconcile accept .* --month 2026-03"):
        producing.accept(state, tmp_path, after(MONTH), OFF["case_key"], "agreed", "Ana", ZONE, FIRST)
    producing.accept(state, tmp_path, MONTH, OFF["case_key"], "agreed", "Ana", ZONE, FIRST)
    assert carrying(31).report.carried.get_column("case_key").to_list() == [OTHER["case_key"]]
    closed = producing.close(state, tmp_path, after(MONTH), "Ana", ZONE, FIRST + 40 * DAY)
    assert_frame_equal(
        producing.report_of(state, state.month_end_reports.get(closed.report_id), ZONE).carried, closed.report.carried
    )
    producing.accept(state, tmp_path, MONTH, OTHER["case_key"], "agreed", "Ana", ZONE, FIRST)
    later = carrying(41).report
    assert later.carried.height == 1
    assert later.changes.is_empty()
