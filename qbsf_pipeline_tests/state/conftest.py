"""A state database of each kind: SQLite always, PostgreSQL where its server programs are installed."""

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from qbsf_pipeline.state.database import State

NOW = datetime(2026, 3, 31, 22, 30, 15, 123456, tzinfo=UTC)

_PROGRAMS = ("initdb", "pg_ctl", "postgres")
DATABASES = ["sqlite", *(["postgresql"] if all(shutil.which(program) for program in _PROGRAMS) else [])]


@dataclass(frozen=True)
class Place:
    """Where a state database is."""

    url: str
    home: Path

    def open(self) -> State:
        return State.open(self.url, self.home)


@pytest.fixture(scope="session")
def postgresql_server():
    """The folder of a PostgreSQL server's socket; it refuses to run as root."""
    folder = Path(tempfile.mkdtemp(prefix="qbsf-pg-", dir="/tmp"))
    user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
    if user:
        shutil.chown(folder, "nobody", "nogroup")
    data = folder / "data"
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    initdb = ["initdb", "-D", str(data), "-U", "qbsf", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]
    subprocess.run(initdb, **quiet, **user)
    options = f"-k {folder} -c listen_addresses= -c fsync=off -c max_connections=60 -c shared_buffers=16MB"
    start = ["pg_ctl", "-D", str(data), "-o", options, "-l", str(folder / "log"), "-w", "start"]
    subprocess.run(start, **quiet, **user)
    yield folder
    subprocess.run(["pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop"], **quiet, **user)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def ready_home(tmp_path_factory):
    """A home whose SQLite database has every table: to be copied, for making them takes longer than most tests."""
    home = tmp_path_factory.mktemp("ready") / "home"
    State.open(f"sqlite:///{home / 'state.sqlite'}", home).close()
    return home


@pytest.fixture(scope="session")
def ready_database(postgresql_server, tmp_path_factory):
    """The name of a PostgreSQL database that has every table: a template for others."""
    admin = create_engine(f"postgresql://qbsf@/postgres?host={postgresql_server}", isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("CREATE DATABASE ready"))
    admin.dispose()
    State.open(f"postgresql://qbsf@/ready?host={postgresql_server}", tmp_path_factory.mktemp("ready")).close()
    return "ready"


@pytest.fixture(params=DATABASES)
def place(request, tmp_path):
    """A place for a state database, once for each kind of database; empty, unless the test asks for the state itself."""
    ready = "state" in request.fixturenames
    if request.param == "sqlite":
        if ready:
            shutil.copytree(request.getfixturevalue("ready_home"), tmp_path / "home")
        yield Place(f"sqlite:///{tmp_path / 'home' / 'state.sqlite'}", tmp_path / "home")
        return
    server = request.getfixturevalue("postgresql_server")
    template = f" TEMPLATE {request.getfixturevalue('ready_database')}" if ready else ""
    name = f"state_{os.getpid()}_{abs(hash(request.node.nodeid))}"
    admin = create_engine(f"postgresql://qbsf@/postgres?host={server}", isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}{template}"))
    yield Place(f"postgresql://qbsf@/{name}?host={server}", tmp_path / "home")
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture
def state(place):
    with place.open() as opened:
        yield opened


@pytest.fixture
def now():
    return NOW
