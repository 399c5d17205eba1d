"""Opening, migrating, locking and transactions, with real processes."""

import multiprocessing
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import StatementError

from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.state import database
from qbsf_pipeline.state.database import MIGRATIONS, NEWEST_MIGRATION, State, StateBusy
from qbsf_pipeline.state.outbox import Message
from qbsf_pipeline.state.tables import metadata
from qbsf_pipeline_tests.state.conftest import NOW
from qbsf_pipeline_tests.state.writes import invoice


def test_the_migrations_make_the_tables_that_the_program_knows(state):
    with state.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    assert differences == []


def test_the_newest_migration_is_the_one_the_program_asks_for():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == NEWEST_MIGRATION


def test_what_was_stored_is_there_after_opening_again(place):
    with place.open() as state:
        state.ledger.enqueue([invoice()], "B-1", NOW)
    with place.open() as state:
        assert state.ledger.entry(invoice().key).label == invoice().label


def test_sqlite_writes_to_the_disk_before_it_says_so(tmp_path):
    with State.open(f"sqlite:///{tmp_path / 's.sqlite'}", tmp_path) as state, state.engine.connect() as connection:
        pragmas = ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
        found = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in pragmas]
    assert found == ["wal", 2, 30000, 1]


def test_only_the_owner_may_read_the_sqlite_file_and_its_journal(tmp_path):
    before = os.umask(0)
    try:
        state = State.open(f"sqlite:///{tmp_path / 'a' / 's.sqlite'}", tmp_path / "home")
    finally:
        os.umask(before)
    with state:
        state.ledger.enqueue([invoice()], "B-1", NOW)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "a").glob("s.sqlite*")}
    assert modes == {"s.sqlite": 0o600, "s.sqlite-wal": 0o600, "s.sqlite-shm": 0o600}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://u:pass@h/d",
        "oracle://h",
        "postgresql+nodriver://h/d",
    ],
)
def test_a_url_that_cannot_be_used_is_one_clear_line(tmp_path, url):
    with pytest.raises(ConfigurationError) as caught:
        State.open(url, tmp_path)
    (line,) = caught.value.problems
    assert line.startswith("QBSF_STATE_URL: ")
    assert "pass" not in line.replace("password", "")


def test_a_server_that_does_not_answer_is_one_clear_line_without_the_password(tmp_path):
    with pytest.raises(ConfigurationError) as caught:
        State.open(f"postgresql://qbsf:geheim@/state?host={tmp_path}", tmp_path)
    (line,) = caught.value.problems
    assert "cannot be used" in line
    assert "geheim" not in line


def test_a_file_that_is_no_database_is_one_clear_line(tmp_path):
    (tmp_path / "s.sqlite").write_text("this is no database at all, it is a letter" * 50)
    with pytest.raises(ConfigurationError, match="not a database"):
        State.open(f"sqlite:///{tmp_path / 's.sqlite'}", tmp_path)


def test_a_database_of_a_newer_program_is_refused(place):
    with place.open() as state, state.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match="newer qbsf"):
        place.open()


def _open(url, home, barrier, answers):
    barrier.wait(30)
    with State.open(url, Path(home)) as state:
        answers.put(state.ledger.counts())


def test_several_processes_may_open_a_new_database_at_once(place):
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(4), context.Queue()
    arguments = (place.url, str(place.home), barrier, answers)
    processes = [context.Process(target=_open, args=arguments) for _ in range(4)]
    for process in processes:
        process.start()
    assert [answers.get(timeout=60) for _ in processes] == [{}] * 4
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0] * 4


_HOLD = """
import sys, time
from pathlib import Path
from qbsf_pipeline.state.database import State
with State.open(sys.argv[1], Path(sys.argv[2])) as state, state.exclusive(sys.argv[3]):
    print("held", flush=True)
    time.sleep(300)
"""


@pytest.fixture
def holder(place):
    """Starts processes that hold a lock, and ends them."""
    processes = []

    def hold(name):
        command = [sys.executable, "-c", _HOLD, place.url, str(place.home), name]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in processes:
        process.kill()
        process.wait(30)
        process.stdout.close()


def test_a_lock_excludes_other_processes_and_ends_when_its_process_is_killed(place, holder):
    process = holder("push invoices/1")
    with place.open() as state:
        with pytest.raises(StateBusy, match="push invoices/1"), state.exclusive("push invoices/1", 0.2):
            pass
        with state.exclusive("another lock"):
            pass
        os.kill(process.pid, signal.SIGKILL)
        with state.exclusive("push invoices/1", 30):
            pass


def test_homes_that_share_an_sqlite_state_exclude_each_other(tmp_path):
    url = f"sqlite:///{tmp_path / 'shared' / 'state.sqlite'}"
    with State.open(url, tmp_path / "one") as one, State.open(url, tmp_path / "other") as other:
        with one.exclusive("push"), pytest.raises(StateBusy), other.exclusive("push"):
            pytest.fail("both homes hold the lock")
        with other.exclusive("push"):
            assert other.ledger.counts() == {}


def test_a_lock_that_is_let_go_in_time_is_got(state):
    held, release = threading.Event(), threading.Event()

    def hold():
        with state.exclusive("one at a time"):
            held.set()
            release.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(30)
    with pytest.raises(StateBusy), state.exclusive("one at a time"):
        pass
    release.set()
    with state.exclusive("one at a time", 30):
        pass
    thread.join(30)


def test_a_lock_cannot_be_held_twice_by_the_same_thread(state):
    with state.exclusive("x"), pytest.raises(StateBusy), state.exclusive("x", 0.1):
        pass
    with state.exclusive("x"):
        pass


def test_an_error_inside_a_lock_lets_it_go(state):
    with pytest.raises(KeyError), state.exclusive("x"):
        raise KeyError
    with state.exclusive("x"):
        pass


def test_what_is_done_in_one_transaction_is_all_there_or_not_at_all(state):
    message = Message("m-1", "#finance", "hello", [])

    def both():
        with state.transaction():
            state.ledger.enqueue([invoice()], "B-1", NOW)
            state.outbox.put([message], NOW)
            assert state.ledger.entry(invoice().key) is not None
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        both()
    assert state.ledger.entry(invoice().key) is None
    assert state.outbox.pending() == []
    with state.transaction():
        state.ledger.enqueue([invoice()], "B-1", NOW)
        state.outbox.put([message], NOW)
    assert state.ledger.entry(invoice().key) is not None
    assert len(state.outbox.pending()) == 1


def test_a_step_that_fails_inside_a_transaction_is_undone_alone(state):
    with state.transaction():
        state.outbox.put([Message("m-1", "#finance", "hello", [])], NOW)
        with pytest.raises(ValueError, match="more than once"):
            state.ledger.enqueue([invoice(), invoice()], "B-1", NOW)
        with pytest.raises(StatementError, match="without a time zone"):
            state.outbox.put([Message("m-2", "#finance", "x", [])], NOW.replace(tzinfo=None))
    assert [entry.message.dedupe_key for entry in state.outbox.pending()] == ["m-1"]


def test_another_thread_does_not_see_what_is_not_committed(state):
    seen = []
    with state.transaction():
        state.ledger.enqueue([invoice()], "B-1", NOW)
        thread = threading.Thread(target=lambda: seen.append(state.ledger.entry(invoice().key)))
        thread.start()
        thread.join(30)
    assert seen == [None]


_CRASH = """
import os, sys
from pathlib import Path
from datetime import datetime, UTC
from qbsf_pipeline.state.database import State
from qbsf_pipeline_tests.state.writes import invoice, sending
NOW = datetime(2026, 3, 31, tzinfo=UTC)
state = State.open(sys.argv[1], Path(sys.argv[2]))
state.ledger.enqueue([invoice(1), invoice(2)], "B-1", NOW)
state.ledger.start([sending(invoice(1), "r-crash")], NOW)
with state.transaction():
    state.ledger.bury(invoice(2).key, "x", "y", NOW)
    os.kill(os.getpid(), 9)
"""


def test_what_was_started_before_a_crash_is_found_as_sending_and_the_rest_as_it_was(place):
    process = subprocess.run([sys.executable, "-c", _CRASH, place.url, str(place.home)], timeout=60, check=False)
    assert process.returncode == -signal.SIGKILL
    with place.open() as state:
        (entry,) = state.ledger.sending("invoices")
        assert (entry.key, entry.request_id) == (invoice(1).key, "r-crash")
        assert state.ledger.entry(invoice(2).key).status == "planned"
        state.ledger.bury(invoice(2).key, "x", "y", NOW)


def test_writers_of_several_threads_take_turns(state):
    errors = []

    def work(number):
        try:
            for step in range(10):
                state.ledger.enqueue([invoice(number * 100 + step)], "B-1", NOW)
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert state.ledger.counts() == {"planned": 40}


def test_a_database_that_another_process_keeps_busy_is_said_to_be_busy_and_usable_afterwards(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0)
    with State.open(f"sqlite:///{tmp_path / 's.sqlite'}", tmp_path) as state:
        other = sqlite3.connect(tmp_path / "s.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateBusy, match="state database"):
            state.ledger.enqueue([invoice()], "B-1", NOW)
        assert state.ledger.counts() == {}
        other.execute("ROLLBACK")
        other.close()
        state.ledger.enqueue([invoice()], "B-1", NOW)
        assert state.ledger.counts() == {"planned": 1}
