from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.sandbox.clock import Clock
from qbsf_pipeline.sandbox.store import Store, decode, encode


def test_what_was_committed_is_there_after_opening_the_file_again(tmp_path: Path):
    store = Store(tmp_path / "sandbox.sqlite")
    store.documents("a")["2"] = {"amount": Decimal("10.10"), "name": "Söhne & Co."}
    store.documents("a")["1"] = {"amount": None}
    assert [store.next_number("n", 5), store.next_number("n", 5)] == [5, 6]
    store.commit()
    again = Store(tmp_path / "sandbox.sqlite")
    assert dict(again.documents("a")) == {
        "2": {"amount": Decimal("10.10"), "name": "Söhne & Co."},
        "1": {"amount": None},
    }
    assert list(again.documents("a")) == ["2", "1"]
    assert again.next_number("n", 5) == 7


def test_the_order_of_ids_survives_a_change_and_a_new_start(tmp_path: Path):
    store = Store(tmp_path / "s")
    for key in "cab":
        store.documents("x")[key] = {}
    store.commit()
    store.documents("x")["c"] = {"changed": True}
    store.documents("x")["d"] = {}
    store.commit()
    assert list(Store(tmp_path / "s").documents("x")) == ["c", "a", "b", "d"]


def test_what_was_not_committed_is_not_in_the_file(tmp_path: Path):
    store = Store(tmp_path / "s")
    store.documents("x")["1"] = {}
    store.commit()
    store.documents("x")["2"] = {}
    del store.documents("x")["1"]
    assert list(Store(tmp_path / "s").documents("x")) == ["1"]


def test_a_deleted_document_stays_deleted_and_may_come_back(tmp_path: Path):
    store = Store(tmp_path / "s")
    docs = store.documents("x")
    docs["1"] = {"n": 1}
    store.commit()
    del docs["1"]
    store.commit()
    assert list(Store(tmp_path / "s").documents("x")) == []
    docs["1"] = {"n": 2}
    store.commit()
    assert Store(tmp_path / "s").documents("x")["1"] == {"n": 2}


def test_a_commit_writes_only_the_documents_that_changed(tmp_path: Path):
    store = Store(tmp_path / "s")
    for number in range(100):
        store.documents("x")[str(number)] = {"n": number}
    store.commit()
    written = sqlite3.connect(tmp_path / "s")
    written.execute("UPDATE documents SET body = '{\"n\": -1}'")
    written.commit()
    store.documents("x")["7"] = {"n": 70}
    store.commit()
    assert sum(doc["n"] for doc in Store(tmp_path / "s").documents("x").values()) == 70 - 99


def test_clearing_empties_memory_and_file_and_starts_the_counters_again(tmp_path: Path):
    store = Store(tmp_path / "s")
    docs = store.documents("x")
    docs["1"] = {}
    store.next_number("n")
    store.commit()
    store.clear()
    assert len(docs) == 0
    assert store.next_number("n") == 1
    docs["2"] = {}
    store.commit()
    assert list(Store(tmp_path / "s").documents("x")) == ["2"]


def test_a_store_without_a_file_keeps_everything_in_memory():
    store = Store(None)
    store.documents("x")["1"] = {"a": 1}
    store.commit()
    assert store.documents("x")["1"] == {"a": 1}


@given(st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-(10**12), max_value=10**12))
def test_an_amount_is_the_same_after_writing_and_reading(amount: Decimal):
    assert Decimal(decode(encode({"amount": amount}))["amount"]) == amount


def test_the_clock_s_shift_survives_a_new_start(tmp_path: Path):
    store = Store(tmp_path / "s")
    Clock(store).advance(timedelta(days=3, microseconds=5))
    store.commit()
    ahead = Clock(Store(tmp_path / "s")).now() - datetime.now(UTC)
    assert timedelta(days=2, hours=23) < ahead < timedelta(days=3, seconds=5)


def test_a_fixed_clock_stands_still_until_it_is_advanced():
    clock = Clock(fixed=datetime(2026, 3, 1, tzinfo=UTC))
    assert clock.now() == clock.now() == datetime(2026, 3, 1, tzinfo=UTC)
    assert clock.advance(timedelta(hours=1)) == datetime(2026, 3, 1, 1, tzinfo=UTC)
