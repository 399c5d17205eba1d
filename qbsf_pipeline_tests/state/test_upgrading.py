"""A database of an older version, with what it holds, opened by this one."""

from decimal import Decimal

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, inspect, text

from qbsf_pipeline.state.crossings import Crossing
from qbsf_pipeline.state.database import MIGRATIONS, NEWEST_MIGRATION
from qbsf_pipeline.state.links import PERSON, CustomerLink
from qbsf_pipeline.state.reviews import ReviewCase
from qbsf_pipeline_tests.state.conftest import NOW
from qbsf_pipeline_tests.state.writes import invoice

_INSTANT = {"sqlite": "2026-03-31T22:30:15.123456Z", "postgresql": NOW}
_ROWS = {
    "ledger": {
        **{
            name: value for name, value in vars(invoice()).items() if name not in ("depends_on", "amount", "txn_date", "due_date")
        },
        "depends_on": "a b",
        "amount": "12500.10",
        "batch": "B-1",
        "status": "done",
        "attempts": 1,
        "result_id": "145",
        "done_at": NOW,
        "created_at": NOW,
        "updated_at": NOW,
    },
    "customer_links": {
        "account_id": "001A",
        "customer_id": "17",
        "method": "person",
        "score": "0.97",
        "evidence": '{"review":"R-1"}',
        "rule_version": "",
        "decided_by": "Größe",
        "decided_at": NOW,
        "active": True,
    },
    "reviews": {
        "account_id": "001B",
        "account_name": "Beta",
        "status": "open",
        "question": "Which?",
        "candidates": "[]",
        "fingerprint": "f",
        "deals_waiting": 2,
        "amount_waiting": "1200.50",
        "currency": "USD",
        "opened_at": NOW,
    },
}


_SECOND_ROWS = {
    **_ROWS,
    "field_journal": {
        "key": "k1",
        "occurrence": 1,
        "account_id": "001A",
        "account_name": "Acme",
        "customer_id": "17",
        "customer_name": "Acme",
        "field": "phone",
        "owner": "salesforce",
        "winner": "salesforce",
        "kind": "put_back",
        "rule": "Salesforce owns phone.",
        "write_key": "w1",
        "status": "planned",
        "seen_at": NOW,
    },
}


@pytest.fixture
def first_version(place):
    """A database as the first version left it, with a row in each table that the second one reads."""
    return _made_by(place, "0001", _ROWS)


@pytest.fixture
def second_version(place):
    """The same of the second version."""
    return _made_by(place, "0002", _SECOND_ROWS)


@pytest.fixture
def third_version(place):
    """The same of the third version."""
    return _made_by(place, "0003", _SECOND_ROWS)


def _made_by(place, version, rows):
    place.home.mkdir(parents=True, exist_ok=True)
    engine = create_engine(place.url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["engine"] = engine
    command.upgrade(config, version)
    instant = _INSTANT[engine.dialect.name]
    with engine.begin() as connection:
        for table, row in rows.items():
            names = ", ".join(f'"{name}"' for name in row)
            marks = ", ".join(f":{name}" for name in row)
            values = {name: instant if value is NOW else value for name, value in row.items()}
            connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({marks})"), values)
    engine.dispose()
    return place


def test_everything_that_the_older_version_kept_is_there(first_version):
    with first_version.open() as state:
        entry = state.ledger.entry(invoice().key)
        assert (entry.status, entry.result_id, entry.amount, entry.done_at) == ("done", "145", Decimal("12500.10"), NOW)
        link = CustomerLink("001A", "17", PERSON, "Größe", NOW, Decimal("0.97"), {"review": "R-1"})
        assert state.links.all_customers() == [link]
        assert state.links.history("001A") == [link]
        (review,) = state.reviews.list()
        assert (review.account_id, review.amount_waiting, review.opened_at) == ("001B", Decimal("1200.50"), NOW)
        assert (review.details, review.announced_at) == (None, None)


def test_what_the_newer_version_adds_works_on_it(first_version):
    with first_version.open() as state:
        assert inspect(state.engine).has_table("field_journal")
        assert [review.review_id for review in state.reviews.unannounced()] == ["R-1"]
        case = ReviewCase("001B", "Beta", "Which?", (), 2, None, None, {"account": {}})
        assert state.reviews.open_or_refresh([case], NOW) == ()
        assert state.reviews.get("R-1").details == {"account": {}}
        assert state.reviews.undo("001A", "ana", NOW).status == "open"
        assert [rejection.customer_id for rejection in state.rejections.all()] == ["17"]


def test_a_database_of_the_second_version_keeps_what_it_has_and_takes_what_is_new(second_version):
    with second_version.open() as state:
        assert [entry.key for entry in state.journal.list()] == ["k1"]
        assert state.ledger.entry(invoice().key).status == "done"
        assert state.deal_payments.all() == {}
        assert state.crossings.record([Crossing("145", 30, None, NOW.date())], NOW)
        state.tasks.put("145", 30, "00T1", NOW)
        assert [task.task_id for task in state.tasks.all()] == ["00T1"]


def test_an_upgraded_database_is_upgraded_once(first_version):
    for _ in range(2):
        with first_version.open() as state, state.engine.connect() as connection:
            assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == NEWEST_MIGRATION


def test_a_database_of_the_third_version_takes_in_reports_of_months(third_version):
    month = NOW.date().replace(day=1)
    with third_version.open() as state:
        assert [entry.key for entry in state.journal.list()] == ["k1"]
        times = {"produced_at": NOW, "computed_at": NOW, "now": NOW}
        kept = state.month_end_reports.keep(month, "d", b"content", {"totals": {}}, **times)
        assert state.month_closings.close(month, kept.report_id, "ana", NOW).report_id == "M-1"
        state.month_end_differences.record(month, [("USD", "deal:1")], NOW.date())
        assert state.month_end_differences.open(month) == {("USD", "deal:1")}
