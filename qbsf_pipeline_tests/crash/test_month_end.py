"""A month's report that is made twice at once, or whose making is killed: one report in the end, told once."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

from qbsf_pipeline.reconciliation.places import page_in, reports_folder, workbook_in
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.month_end_reports import KeptReport
from qbsf_pipeline_tests.crash.world import Installation, Strike, World

KEEP = "qbsf_pipeline.reconciliation.producing:_keep"


def month() -> date:
    """The month under way."""
    return datetime.now(UTC).date().replace(day=1)


def kept(installation: Installation) -> list[KeptReport]:
    with State.open(f"sqlite:///{installation.state_file}", installation.home) as state:
        return state.month_end_reports.list(month())


def told(world: World) -> int:
    return sum("won against invoiced" in str(one) for one in world.control.messages())


def files(installation: Installation) -> list[Path]:
    """Workbook and page, and nothing half-written beside them."""
    folder = reports_folder(installation.home, month())
    found = sorted(folder.iterdir())
    assert found == sorted([page_in(folder, month()), workbook_in(folder, month())])
    return found


def test_a_report_whose_making_is_killed_once_its_files_stand_is_made_again_and_told_once(
    world: World, installation: Installation
) -> None:
    before = told(world)
    installation.killed(Strike(KEEP), command="reconcile")
    assert files(installation)
    assert (kept(installation), told(world) - before) == ([], 0)
    assert installation.start(command="reconcile").report()["done"]
    assert (len(kept(installation)), told(world) - before) == (1, 1)
    assert files(installation)


def test_two_reports_of_one_month_at_once_are_one(world: World, installation: Installation) -> None:
    before = told(world)
    first, second = (installation.start(command="reconcile") for _ in range(2))
    assert [first.report()["done"], second.report()["done"]] == [True, True]
    assert (len(kept(installation)), told(world) - before) == (1, 1)
    assert files(installation)
