"""The ageing of each day is kept in a file of its own, and stays known when the books change the past."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from qbsf_pipeline.reporting.history import AR_AGING_HISTORY, History, history_folder, keep_day, load_history
from qbsf_pipeline_tests.reporting.receivables import ANA, Ledger, day, one


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return history_folder(tmp_path)


def keep(ledger: Ledger, folder: Path, as_of: str) -> History:
    ledger.report("ar_aging", as_of)
    keep_day(ledger.connection, folder, day(as_of))
    return load_history(ledger.connection, folder)


def test_every_day_has_a_file_and_the_last_pass_of_a_day_wins(ledger: Ledger, folder: Path) -> None:
    ledger.invoice("1", "100.10", "2026-01-01", "2026-01-15", owner=ANA)
    assert keep(ledger, folder, "2026-01-15") == History(1, ())
    assert keep(ledger, folder, "2026-01-16") == History(2, ())
    ledger.apply("1", "40.00", "2026-01-16")
    assert keep(ledger, folder, "2026-01-16") == History(2, ())
    assert sorted(path.name for path in folder.iterdir()) == ["2026-01-15.parquet", "2026-01-16.parquet"]
    rows = ledger.report("ar_aging_history", "2026-01-16")
    told = {row["as_of"].day: (str(row["open"]), row["days_past_due"], row["bucket"], row["owner"]) for row in rows}
    assert told == {15: ("100.10", 0, "Current", "Ana"), 16: ("60.10", 1, "1-30", "Ana")}


def test_a_void_changes_what_the_books_say_but_not_what_was_told(ledger: Ledger, folder: Path) -> None:
    ledger.invoice("1", "100.00", "2026-01-01")
    ledger.invoice("2", "50.00", "2026-01-01")
    ledger.credit("payment", "P1", "7.00", "2026-01-02")
    keep(ledger, folder, "2026-01-05")
    ledger.invoice("1", "0.00", "2026-01-01", status="Voided")
    # Two payments dated back, and later ones.
    ledger.apply("2", "15.00", "2026-01-04")
    ledger.apply("2", "5.00", "2026-01-05")
    ledger.apply("2", "7.00", "2026-01-06")
    ledger.apply("2", "2.00", "2026-01-06")
    ledger.apply("2", "1.00", "2026-01-07")
    ledger.invoice("3", "9.99", "2026-01-03")
    keep(ledger, folder, "2026-01-06")
    rows = [row for row in ledger.report("ar_aging_history", "2026-01-06") if row["as_of"] == day("2026-01-05")]
    changed = {row["document_id"]: (str(row["open"]), str(row["open_restated"]), str(row["restated"])) for row in rows}
    assert changed == {
        "1": ("100.00", "0.00", "-100.00"),
        "2": ("50.00", "30.00", "-20.00"),
        "P1": ("-7.00", "None", "None"),
    }


def test_the_files_bring_the_history_back_when_the_warehouse_is_lost(ledger: Ledger, folder: Path) -> None:
    ledger.invoice("1", "100.00", "2026-01-01", customer_id="O'Brien")
    for on in ("2026-01-05", "2026-01-06", "2026-01-07"):
        keep(ledger, folder, on)
    ledger.connection.execute(f"DELETE FROM {AR_AGING_HISTORY.qualified_name}")
    (folder / "2026-01-06.parquet").unlink()
    assert load_history(ledger.connection, folder) == History(2, ())
    # A file that an operator takes away later is gone as well.
    (folder / "2026-01-05.parquet").unlink()
    assert load_history(ledger.connection, folder) == History(1, ())
    assert load_history(ledger.connection, folder / "nowhere") == History(0, ())


def test_a_file_that_is_no_history_is_named_and_the_others_are_read(ledger: Ledger, folder: Path) -> None:
    ledger.invoice("1", "100.00", "2026-01-01")
    keep(ledger, folder, "2026-01-05")
    (folder / "2026-01-04.parquet").write_bytes(b"PAR1 not really")
    (folder / "notes.parquet").write_bytes(b"")
    assert load_history(ledger.connection, folder) == History(1, ("2026-01-04.parquet",))


def test_nothing_is_kept_as_long_as_nobody_knows_what_is_owed(ledger: Ledger, folder: Path) -> None:
    ledger.report("ar_aging", "2026-01-05")
    assert keep_day(ledger.connection, folder, day("2026-01-05")) is None
    assert not folder.exists()


def test_a_day_on_which_everything_is_paid_is_kept_empty(ledger: Ledger, folder: Path) -> None:
    ledger.invoice("1", "100.00", "2026-01-01")
    keep(ledger, folder, "2026-01-05")
    ledger.apply("1", "100.00", "2026-01-05")
    assert keep(ledger, folder, "2026-01-05") == History(0, ())
    assert [path.name for path in folder.iterdir()] == ["2026-01-05.parquet"]


def test_a_half_written_file_is_never_seen(ledger: Ledger, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.invoice("1", "100.00", "2026-01-01")
    keep(ledger, folder, "2026-01-05")
    ledger.apply("1", "1.00", "2026-01-05")
    ledger.report("ar_aging", "2026-01-05")

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("qbsf_pipeline.reporting.history.os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            keep_day(ledger.connection, folder, day("2026-01-05"))
    load_history(ledger.connection, folder)
    assert one(ledger.report("ar_aging_history", "2026-01-05"))["open"] == Decimal("100.00")
    assert keep(ledger, folder, "2026-01-05") == History(1, ())
    assert [path.name for path in folder.iterdir()] == ["2026-01-05.parquet"]
