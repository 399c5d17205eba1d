"""The history of deals and invoices: what was believed on a day stays known, whatever becomes of record, process or warehouse."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from qbsf_pipeline.quickbooks.objects import INVOICE, PREFERENCES
from qbsf_pipeline.reporting import version_files as files_module
from qbsf_pipeline.reporting.statements import load_statements
from qbsf_pipeline.reporting.version_files import version_files
from qbsf_pipeline.reporting.versions import (
    DEAL_VERSIONS,
    DEALS,
    INVOICE_VERSIONS,
    INVOICES,
    LAST_KNOWN,
    MACROS,
    Recorded,
    Versioned,
    last_known_invoices,
    record_versions,
)
from qbsf_pipeline.salesforce.objects import ACCOUNT, OPPORTUNITY, ORGANIZATION, USER
from qbsf_pipeline.warehouse.connection import append_rows, ensure_table, replace_rows
from qbsf_pipeline.warehouse.raw import WATERMARKS
from qbsf_pipeline.warehouse.tables import TableSchema

START = datetime(2026, 3, 30, 22, 0, tzinfo=UTC)
HISTORY = {statement.name: statement for statement in load_statements() if statement.name in ("deal_history", "invoice_history")}


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


class Books:
    """A warehouse and a home; each pass is a day later than the one before."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.now = START
        self.rows: dict[TableSchema, dict[str, dict[str, Any]]] = {INVOICE: {}, OPPORTUNITY: {}}
        self.open()

    def open(self) -> None:
        self.connection = duckdb.connect()
        self.connection.execute("SET TimeZone = 'UTC'")
        for table in (INVOICE, OPPORTUNITY, WATERMARKS, PREFERENCES, ACCOUNT, USER, ORGANIZATION):
            ensure_table(self.connection, table)
        append_rows(self.connection, PREFERENCES, PREFERENCES.frame([{"id": "1", "home_currency": "USD"}]))

    def lose_the_warehouse(self) -> None:
        self.connection.close()
        self.open()

    def invoice(self, invoice_id: str, total: str, **more: Any) -> None:
        row = {"id": invoice_id, "total": Decimal(total), "tax": Decimal("0.00"), "balance": Decimal(total), "status": "live"}
        self.put(INVOICE, row | more)

    def put(self, table: TableSchema, row: dict[str, Any]) -> None:
        row = self.rows[table].get(row["id"], {"is_deleted": False}) | row
        content = {name: value for name, value in row.items() if name != "content_hash"}
        self.rows[table][row["id"]] = content | {"content_hash": str(content)}

    def read(self, *, whole: bool = True) -> None:
        """What a pull does."""
        for table, rows in self.rows.items():
            replace_rows(self.connection, table, table.frame(list(rows.values())))
            mark = {"table_name": f"{table.schema}.{table.name}", "last_full_at": self.now if whole else None, "rows_lost": 0}
            self.connection.execute(f"DELETE FROM {WATERMARKS.qualified_name} WHERE table_name = ?", [mark["table_name"]])
            append_rows(self.connection, WATERMARKS, WATERMARKS.frame([mark]))

    def record(self, kind: Versioned = INVOICES, *, hours: int = 24) -> Recorded:
        self.now += timedelta(hours=hours)
        self.connection.begin()
        try:
            done = record_versions(self.connection, kind, self.home, self.now, self.now.date())
        except BaseException:
            self.connection.rollback()
            raise
        self.connection.commit()
        return done

    def go(self, kind: Versioned = INVOICES, *, hours: int = 24) -> int:
        self.read()
        return self.record(kind, hours=hours).added

    def versions(self, table: TableSchema = INVOICE_VERSIONS) -> list[dict[str, Any]]:
        return self.connection.sql(f"SELECT * FROM {table.qualified_name} ORDER BY valid_from, 1").pl().to_dicts()

    def told(self) -> list[tuple[Any, ...]]:
        return [(row["invoice_id"], row["status"], str(row["total"]), row["valid_to"] is None) for row in self.versions()]

    def on(self, day: str, macro: str = "invoices_on") -> list[dict[str, Any]]:
        self.connection.execute('CREATE SCHEMA IF NOT EXISTS "reporting"')
        for table in (DEAL_VERSIONS, INVOICE_VERSIONS):
            ensure_table(self.connection, table)
        for statement in HISTORY.values():
            self.connection.execute(f"CREATE OR REPLACE VIEW {statement.qualified_name} AS {statement.sql}")
        for sql in MACROS:
            self.connection.execute(sql)
        return self.connection.sql(f"SELECT * FROM reporting.{macro}(DATE '{day}') ORDER BY 1").pl().to_dicts()


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    made = Books(tmp_path)
    yield made
    made.connection.close()


def files(books: Books, kind: Versioned = INVOICES) -> list[str]:
    folder = kind.folder(books.home)
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_only_what_changed_is_added_and_a_pass_without_changes_writes_nothing(books: Books) -> None:
    books.invoice("1", "100.10", customer_name="O'Brien & Søn")
    books.invoice("2", "50.00")
    assert books.go() == 2
    assert books.go() == 0
    books.invoice("2", "60.00")
    assert books.go() == 1
    assert len(files(books)) == 2
    assert books.told() == [("1", "live", "100.10", True), ("2", "live", "50.00", False), ("2", "live", "60.00", True)]
    first, second = [row for row in books.versions() if row["invoice_id"] == "2"]
    assert first["valid_to"] == second["valid_from"] == books.now
    assert (first["valid_from_day"], first["valid_to_day"]) == (date(2026, 3, 31), date(2026, 4, 2))


def test_what_was_believed_on_a_day_is_the_last_version_of_that_day(books: Books) -> None:
    books.invoice("1", "100.00")
    books.go(hours=1)  # 30 March
    books.invoice("1", "110.00")
    books.go(hours=24)  # 31 March, and once more on that day
    books.invoice("1", "120.00")
    books.go(hours=0)
    books.invoice("1", "130.00")
    books.go(hours=24)
    believed = {
        day: [str(row["total"]) for row in books.on(f"2026-{day}")] for day in ("03-29", "03-30", "03-31", "04-01", "05-01")
    }
    assert believed == {"03-29": [], "03-30": ["100.00"], "03-31": ["120.00"], "04-01": ["130.00"], "05-01": ["130.00"]}
    (row,) = books.on("2026-03-31")
    assert (row["currency"], row["status"], row["is_current"]) == ("USD", "live", False)


def test_a_voided_invoice_keeps_what_it_came_to_before(books: Books) -> None:
    books.invoice("1", "100.00", tax=Decimal("8.00"))
    books.invoice("2", "70.00", tax=None)
    books.invoice("3", "10.00")
    books.go()
    books.invoice("1", "90.00", tax=Decimal("7.00"))
    books.go()
    books.invoice("1", "0.00", status="voided")
    books.invoice("4", "0.00", status="voided")
    books.put(INVOICE, {"id": "2", "status": "deleted", "is_deleted": True})
    expected = [("1", Decimal("90.00"), Decimal("7.00")), ("2", Decimal("70.00"), None)]
    # The pass that first sees the void knows it already, and all later ones do.
    books.read()
    assert last_known_invoices(books.connection).rows() == expected
    assert books.record().added == 3
    assert last_known_invoices(books.connection).rows() == expected
    assert [entry for entry in books.told() if entry[3]] == [
        ("3", "live", "10.00", True),
        ("1", "voided", "0.00", True),
        ("2", "deleted", "70.00", True),
        ("4", "voided", "0.00", True),
    ]
    books.put(INVOICE, {"id": "2", "private_note": "touched"})
    assert books.go() == 0


def test_nothing_is_last_known_of_invoices_before_there_is_a_history() -> None:
    with duckdb.connect() as connection:
        found = last_known_invoices(connection)
        assert (found.height, found.schema) == (0, LAST_KNOWN)


def test_a_record_that_is_no_longer_found_goes_on_as_deleted_once_everything_was_read(books: Books) -> None:
    books.invoice("1", "100.00")
    books.invoice("2", "50.00")
    books.go()
    books.lose_the_warehouse()
    del books.rows[INVOICE]["2"]
    books.read(whole=False)
    assert books.record().added == 0
    books.read()
    assert books.record().added == 1
    assert books.record().added == 0
    gone = books.versions()[-1]
    assert (gone["invoice_id"], gone["is_deleted"], gone["status"], gone["total"]) == ("2", True, "deleted", Decimal("50.00"))
    books.invoice("2", "50.00")
    assert books.go() == 1
    assert books.versions()[-1]["is_deleted"] is False


def test_news_of_the_deletion_of_what_nobody_knew_is_no_version(books: Books) -> None:
    books.put(INVOICE, {"id": "9", "is_deleted": True, "status": "deleted"})
    assert books.go() == 0
    assert files(books) == []


def test_nothing_is_recorded_as_long_as_nothing_was_read(books: Books) -> None:
    books.invoice("1", "1.00")
    books.read(whole=False)
    assert books.record() == Recorded(0, ())
    assert not INVOICES.folder(books.home).exists()


def test_deals_have_versions_and_what_counts_itself_by_the_calendar_makes_none(books: Books) -> None:
    deal = {"id": "006000000000001AAA", "name": "Café: größer", "amount": Decimal("1234.5"), "is_won": False}
    books.put(OPPORTUNITY, deal)
    assert books.go(DEALS) == 1
    books.put(OPPORTUNITY, deal | {"days_outstanding": 5, "aging_bucket": "1-30"})
    assert books.go(DEALS) == 0
    books.put(OPPORTUNITY, deal | {"is_won": True, "stage_name": "Closed Won"})
    assert books.go(DEALS) == 1
    rows = {day: books.on(f"2026-{day}", "deals_on") for day in ("03-31", "04-02")}
    told = {day: [(row["deal"], row["is_won"], row["amount"]) for row in found] for day, found in rows.items()}
    assert told == {
        "03-31": [("Café: größer", False, Decimal("1234.50"))],
        "04-02": [("Café: größer", True, Decimal("1234.50"))],
    }


def test_the_files_bring_the_history_back_when_the_warehouse_is_lost(books: Books) -> None:
    for total in ("100.00", "110.00", "120.00"):
        books.invoice("1", total)
        books.go()
    before = books.versions()
    books.lose_the_warehouse()
    assert books.go() == 0
    assert books.versions() == before
    assert len(files(books)) == 3


def test_a_table_that_somebody_dropped_comes_back_from_the_files(books: Books) -> None:
    books.invoice("1", "100.00")
    books.go()
    before = books.versions()
    books.connection.execute(f"DROP TABLE {INVOICE_VERSIONS.qualified_name}")
    assert books.go() == 0
    assert books.versions() == before


def test_a_clock_that_was_set_back_puts_no_version_before_the_one_that_it_follows(books: Books) -> None:
    books.invoice("1", "1.00")
    books.go()
    books.invoice("1", "2.00")
    books.go(hours=-48)
    first, second = books.versions()
    assert first["valid_from"] < second["valid_from"] == first["valid_to"]


def test_a_file_that_is_no_history_is_named_and_the_others_count(books: Books) -> None:
    books.invoice("1", "1.00")
    books.go()
    folder = INVOICES.folder(books.home)
    (folder / "20260101T000000.000000Z.parquet").write_bytes(b"PAR1 not really")
    (folder / "notes.parquet").write_bytes(b"")
    for _ in range(2):
        assert books.record() == Recorded(0, ("20260101T000000.000000Z.parquet",))
    assert [row["total"] for row in books.versions()] == [Decimal("1.00")]


def test_many_files_are_merged_and_nothing_is_lost_or_doubled(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "MOST_FILES", 3)
    totals = [f"{number}.00" for number in range(1, 18)]
    for total in totals:
        books.invoice("1", total)
        assert books.go() == 1
        assert len(files(books)) <= 8
    assert [str(row["total"]) for row in books.versions()] == totals
    before = books.versions()
    books.lose_the_warehouse()
    assert books.go() == 0
    assert books.versions() == before


def test_a_pass_that_is_killed_at_any_instant_leaves_no_half_file_and_no_double_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_module, "MOST_FILES", 2)
    ends: list[bool] = []
    for instant in itertools.count():
        books = Books(tmp_path / str(instant))
        for total in ("1.00", "2.00"):
            books.invoice("1", total)
            books.go()
        books.invoice("1", "3.00")
        books.invoice("2", "9.00")
        books.read()
        with monkeypatch.context() as patch:
            kill_after(instant, patch)
            try:
                books.record()
                ends.append(False)
            except Killed:
                ends.append(True)
        if not ends[-1]:
            # All came to its end, and only the table was not written.
            books.lose_the_warehouse()
        books.invoice("2", "9.50")
        books.go()
        found = [(row["invoice_id"], str(row["total"])) for row in books.versions()]
        assert found.count(("1", "3.00")) == 1
        assert [total for invoice_id, total in found if invoice_id == "1"] == ["1.00", "2.00", "3.00"]
        assert [total for invoice_id, total in found if invoice_id == "2"][-1] == "9.50"
        assert not [name for name in files(books) if name.startswith(".")]
        books.connection.close()
        if not ends[-1]:
            break
    # Files flushed, renamed and taken away: every one of these was an instant.
    assert len(ends) > 6


def kill_after(calls: int, patch: pytest.MonkeyPatch) -> None:
    """Die at the n-th touch of the disk by our own code, before it is made."""
    left = iter(range(calls))

    def dying(original: Any) -> Any:
        def touch(*args: Any, **named: Any) -> Any:
            if next(left, None) is None:
                raise Killed
            return original(*args, **named)

        return touch

    patch.setattr(os, "fsync", dying(os.fsync))
    patch.setattr(Path, "replace", dying(Path.replace))
    patch.setattr(Path, "unlink", dying(Path.unlink))


def test_a_killed_process_leaves_files_that_the_next_one_reads(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from qbsf_pipeline_tests.reporting.test_versions import Books\n"
        "books = Books(Path(sys.argv[1]))\n"
        "books.invoice('1', '1.00')\n"
        "books.go()\n"
        "books.invoice('1', '2.00')\n"
        "books.read()\n"
        "os.fsync = lambda _file: os.kill(os.getpid(), signal.SIGKILL)\n"
        "books.record()\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    assert len([name for name in os.listdir(tmp_path / "history" / "invoices") if name.startswith(".")]) == 1
    books = Books(tmp_path)
    books.now += timedelta(days=30)
    books.invoice("1", "2.00")
    assert books.go() == 1
    assert [str(row["total"]) for row in books.versions()] == ["1.00", "2.00"]
    assert len(version_files(tmp_path / "history" / "invoices")) == len(files(books)) == 2
