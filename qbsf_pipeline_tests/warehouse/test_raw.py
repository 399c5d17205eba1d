"""Writing a pull: rows and watermark together; unchanged is no change; nothing is ever lost by a read that shows less."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbsf_pipeline.settings import PullRules, load_rules
from qbsf_pipeline.warehouse.connection import Warehouse, append_rows, read_table
from qbsf_pipeline.warehouse.raw import (
    DELETED_STUB_HASH,
    WATERMARKS,
    PullWritten,
    suspicious_losses,
    upsert_rows,
    view_of,
    write_pull,
    write_pulls,
)
from qbsf_pipeline.warehouse.tables import AMOUNT, Column, PulledTable, raw_table

TABLE = raw_table(
    "quickbooks",
    "invoice",
    [
        Column("id", pl.String, "Id", "Id"),
        Column("deal", pl.String, "Deal"),
        Column("total", AMOUNT, "USD"),
        Column("status", pl.String, "live, voided or deleted"),
    ],
    "Invoices",
)
OTHER = raw_table("quickbooks", "customer", [Column("id", pl.String, "Id", "Id")], "Customers")
AT = datetime(2026, 3, 31, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
PROJECT = Path(__file__).parents[2]


def rules(rows: int = 2, share: float = 0.2) -> PullRules:
    return load_rules().pull.model_copy(update={"largest_shrink_rows": rows, "largest_shrink_share": share})


def row(record_id: str, *, total: int = 10, modified: datetime = AT, **values: Any) -> dict[str, Any]:
    return {
        "id": record_id,
        "total": total,
        "status": "live",
        "source_modified_at": modified,
        "is_deleted": False,
        "content_hash": f"hash of {total}",
        "record": "{}",
        "extracted_at": AT,
        **values,
    }


def stub(record_id: str) -> dict[str, Any]:
    """Only the news that a record was deleted."""
    return {"id": record_id, "is_deleted": True, "content_hash": DELETED_STUB_HASH, "record": "{}", "extracted_at": AT}


def pull(
    *rows: dict[str, Any], complete: bool = False, at: datetime = AT, scope: tuple[str, tuple[str, ...]] | None = None
) -> PulledTable:
    return PulledTable(TABLE, TABLE.frame(rows), at, complete, "fields-1", scope)


def write(warehouse: Warehouse, *pulls: PulledTable, with_rules: PullRules | None = None) -> list[PullWritten]:
    return write_pulls(warehouse, pulls, with_rules or rules(), AT + HOUR)


def rows_of(warehouse: Warehouse) -> dict[str, dict[str, Any]]:
    with warehouse.connection() as connection:
        return {found["id"]: found for found in read_table(connection, TABLE).to_dicts()}


def live(warehouse: Warehouse) -> set[str]:
    return {record_id for record_id, found in rows_of(warehouse).items() if not found["is_deleted"]}


def watermark(warehouse: Warehouse) -> dict[str, Any]:
    with warehouse.connection() as connection:
        (found,) = read_table(connection, WATERMARKS).filter(pl.col("table_name") == "quickbooks.invoice").to_dicts()
    return found


def counts(written: Sequence[PullWritten]) -> tuple[int, int, int, int]:
    (one,) = written
    return one.new, one.changed, one.unchanged, one.deleted


def test_new_changed_and_unchanged_rows_are_told_apart_by_content(warehouse: Warehouse) -> None:
    assert counts(write(warehouse, pull(row("1"), row("2"), row("3")))) == (3, 0, 0, 0)
    again = write(warehouse, pull(row("1"), row("2", total=11), row("4")))
    assert counts(again) == (1, 1, 1, 0)
    assert again[0].live == 4
    assert rows_of(warehouse)["2"]["total"] == 11


def test_a_touched_record_is_no_change_but_takes_its_new_stamp(warehouse: Warehouse) -> None:
    write(warehouse, pull(row("1"), complete=True))
    written = write(warehouse, pull(row("1", modified=AT + HOUR)))
    assert counts(written) == (0, 0, 1, 0)
    assert not written[0].anything_changed
    assert rows_of(warehouse)["1"]["source_modified_at"] == AT + HOUR
    assert view_of(warehouse).known("quickbooks.invoice")["1"].source_modified_at == AT + HOUR


def test_a_record_that_came_twice_in_one_pull_is_one_row_as_it_came_last(warehouse: Warehouse) -> None:
    assert counts(write(warehouse, pull(row("1", total=1), row("1", total=2)))) == (1, 0, 0, 0)
    assert rows_of(warehouse)["1"]["total"] == 2


def test_a_pull_without_news_moves_the_watermark_and_nothing_else(warehouse: Warehouse) -> None:
    write(warehouse, pull(row("1"), complete=True))
    before = rows_of(warehouse)
    assert counts(write(warehouse, pull(at=AT + HOUR))) == (0, 0, 0, 0)
    assert rows_of(warehouse) == before
    mark = watermark(warehouse)
    assert (mark["read_until"], mark["last_full_at"], mark["rows_live"]) == (AT + HOUR, AT, 1)


def test_news_of_a_deletion_marks_the_row_and_keeps_what_was_known_of_it(warehouse: Warehouse) -> None:
    write(warehouse, pull(row("1", total=7), row("2")))
    assert counts(write(warehouse, pull(stub("1")))) == (0, 0, 0, 1)
    found = rows_of(warehouse)["1"]
    assert (found["is_deleted"], found["status"], found["total"]) == (True, "deleted", 7)
    assert live(warehouse) == {"2"}
    assert counts(write(warehouse, pull(stub("1")))) == (0, 0, 0, 0)


def test_news_of_the_deletion_of_an_unknown_record_is_kept_as_a_deleted_row(warehouse: Warehouse) -> None:
    write(warehouse, pull(stub("9")))
    assert rows_of(warehouse)["9"]["is_deleted"]
    assert live(warehouse) == set()


def test_a_record_that_was_deleted_and_came_back_is_live_again(warehouse: Warehouse) -> None:
    write(warehouse, pull(row("1")))
    write(warehouse, pull(stub("1")))
    assert counts(write(warehouse, pull(row("1")))) == (0, 1, 0, 0)
    assert live(warehouse) == {"1"}
    assert rows_of(warehouse)["1"]["status"] == "live"


def test_what_a_complete_read_no_longer_finds_is_marked_deleted_and_never_removed(warehouse: Warehouse) -> None:
    write(warehouse, pull(row("1"), row("2"), row("3"), complete=True))
    assert counts(write(warehouse, pull(row("1"), row("2"), complete=True))) == (0, 0, 2, 1)
    assert live(warehouse) == {"1", "2"}
    assert set(rows_of(warehouse)) == {"1", "2", "3"}


def test_an_incremental_read_marks_nothing_deleted_however_little_it_finds(warehouse: Warehouse) -> None:
    write(warehouse, pull(row("1"), row("2"), row("3"), complete=True))
    write(warehouse, pull(row("3", total=4)))
    assert live(warehouse) == {"1", "2", "3"}


def test_lines_of_a_deal_that_were_read_whole_lose_what_is_no_longer_there_and_other_deals_lose_nothing(
    warehouse: Warehouse,
) -> None:
    write(warehouse, pull(row("1", deal="A"), row("2", deal="A"), row("3", deal="B"), row("4", deal=None)))
    assert counts(write(warehouse, pull(row("1", deal="A"), scope=("deal", ("A",))))) == (0, 0, 1, 1)
    assert live(warehouse) == {"1", "3", "4"}


def test_a_deal_that_lost_its_last_line_holds_none(warehouse: Warehouse) -> None:
    write(warehouse, pull(row("1", deal="A"), row("3", deal="B")))
    assert counts(write(warehouse, pull(scope=("deal", ("A", "C'; DROP TABLE x"))))) == (0, 0, 0, 1)
    assert live(warehouse) == {"3"}


@pytest.mark.parametrize(
    ("held", "found", "limit_rows", "limit_share", "suspicious"),
    [
        (10, 7, 2, 0.2, True),
        (10, 8, 2, 0.2, False),  # not more rows than allowed
        (10, 7, 2, 0.3, False),  # not a larger share than allowed
        (10, 7, 2, 0.29, True),
        (10, 0, 2, 0.9, True),  # an empty answer
        (2, 0, 2, 0.2, False),  # a small table may empty
        (0, 0, 0, 0.0, False),
    ],
)
def test_a_complete_read_is_suspicious_when_it_lost_more_rows_and_a_larger_share_than_the_rules_allow(
    warehouse: Warehouse, held: int, found: int, limit_rows: int, limit_share: float, suspicious: bool
) -> None:
    limits = rules(limit_rows, limit_share)
    write(warehouse, pull(*(row(str(n)) for n in range(held)), complete=True), with_rules=limits)
    (written,) = write(warehouse, pull(*(row(str(n)) for n in range(found)), complete=True), with_rules=limits)
    assert written.suspicious_loss == (held - found if suspicious else 0)
    assert len(live(warehouse)) == (held if suspicious else found)


def test_a_suspicious_read_stays_remembered_until_a_complete_read_is_whole_again(warehouse: Warehouse) -> None:
    everything = [row(str(number)) for number in range(10)]
    write(warehouse, pull(*everything, complete=True))
    write(warehouse, pull(*everything[:5], complete=True, at=AT + HOUR))
    mark = watermark(warehouse)
    assert (mark["rows_lost"], mark["rows_before"], mark["rows_live"]) == (5, 10, 10)
    # It does not count as a complete read, and the next pull reads everything.
    assert mark["last_full_at"] == AT
    assert mark["fields_hash"] != "fields-1"
    # What changed in between does not clear it.
    write(warehouse, pull(row("1", total=99), at=AT + 2 * HOUR))
    with warehouse.connection() as connection:
        assert suspicious_losses(connection).rows() == [("quickbooks.invoice", 5, 10)]
    write(warehouse, pull(*everything, complete=True, at=AT + 3 * HOUR))
    mark = watermark(warehouse)
    assert (mark["rows_lost"], mark["last_full_at"], mark["fields_hash"]) == (0, AT + 3 * HOUR, "fields-1")
    with warehouse.connection() as connection:
        assert suspicious_losses(connection).is_empty()


def test_a_pull_knows_where_the_last_one_ended_and_what_it_read(warehouse: Warehouse) -> None:
    view = view_of(warehouse)
    assert view.watermarks == {}
    assert view.known("quickbooks.invoice") == {}
    write(warehouse, pull(row("1"), complete=True))
    view = view_of(warehouse)
    mark = view.watermarks["quickbooks.invoice"]
    assert (mark.read_until, mark.last_full_at, mark.fields_hash) == (AT, AT, "fields-1")
    assert view.known("quickbooks.invoice")["1"].content_hash == "hash of 10"


def test_a_table_that_was_never_read_whole_is_no_place_to_go_on_from(warehouse: Warehouse) -> None:
    write(warehouse, pull(row("1")))
    assert view_of(warehouse).watermarks == {}


def test_one_table_that_cannot_be_written_leaves_every_table_and_every_watermark_as_it_was(warehouse: Warehouse) -> None:
    write(warehouse, pull(row("1"), complete=True))
    before, mark = rows_of(warehouse), watermark(warehouse)
    broken = PulledTable(OTHER, TABLE.frame([row("5")]).drop("record"), AT + HOUR, True, "fields-1")
    with pytest.raises(pl.exceptions.PolarsError):
        write(warehouse, pull(row("1", total=99), row("2"), complete=True, at=AT + HOUR), broken)
    assert rows_of(warehouse) == before
    assert watermark(warehouse) == mark


def test_a_process_that_is_killed_before_it_commits_leaves_the_old_rows_and_the_old_watermark(warehouse: Warehouse) -> None:
    write(warehouse, pull(row("1"), complete=True))
    before, mark = rows_of(warehouse), watermark(warehouse)
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from qbsf_pipeline.warehouse.connection import Warehouse\n"
        "from qbsf_pipeline.warehouse.raw import write_pull\n"
        "from qbsf_pipeline_tests.warehouse import test_raw as t\n"
        "with Warehouse(Path(sys.argv[1])).transaction() as connection:\n"
        "    write_pull(connection, t.pull(t.row('1', total=99), t.row('2'), complete=True, at=t.AT + t.HOUR), t.rules(), t.AT)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(warehouse.path)], check=False, timeout=60, cwd=PROJECT)
    assert killed.returncode == -9
    assert rows_of(warehouse) == before
    assert watermark(warehouse) == mark


def test_rows_that_a_write_returned_take_the_place_of_older_ones_and_move_no_watermark(warehouse: Warehouse) -> None:
    write(warehouse, pull(row("1"), row("2"), complete=True))
    mark = watermark(warehouse)
    with warehouse.transaction() as connection:
        upsert_rows(connection, TABLE, TABLE.frame([row("2", total=5), row("3", total=1), row("3", total=2)]))
    assert {record_id: found["total"] for record_id, found in rows_of(warehouse).items()} == {"1": 10, "2": 5, "3": 2}
    assert watermark(warehouse) == mark
    # The next pull finds them as they are.
    assert counts(write(warehouse, pull(row("3", total=2)))) == (0, 0, 1, 0)


@settings(max_examples=15)
@given(st.lists(st.tuples(st.booleans(), st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 3), max_size=6)), max_size=5))
def test_after_any_sequence_of_pulls_the_live_rows_are_what_the_source_told(pulls: list[tuple[bool, dict[str, int]]]) -> None:
    generous = rules(1000, 1.0)
    expected: dict[str, int] = {}
    with duckdb.connect() as connection:
        for complete, content in pulls:
            read = pull(*(row(record_id, total=total) for record_id, total in content.items()), complete=complete)
            written = write_pull(connection, read, generous, AT)
            changed = {i for i, total in content.items() if i in expected and expected[i] != total}
            assert written.new + written.changed + written.unchanged == len(content)
            assert written.changed >= len(changed)
            expected = {**({} if complete else expected), **content}
            found = read_table(connection, TABLE).filter(~pl.col("is_deleted"))
            assert dict(found.select("id", "total").iter_rows()) == expected
            assert written.live == len(expected)
            ids = read_table(connection, TABLE).get_column("id")
            assert ids.n_unique() == ids.len()


def test_an_appended_frame_without_rows_appends_nothing(warehouse: Warehouse) -> None:
    write(warehouse, pull(row("1")))
    with warehouse.transaction() as connection:
        append_rows(connection, TABLE, TABLE.empty())
    assert set(rows_of(warehouse)) == {"1"}
