"""``qbsf cleanse`` against services over HTTP: what it finds in the sample company, and that it writes nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest

from qbsf_pipeline.cleansing.score import latest_scores
from qbsf_pipeline.sandbox.server import start_sandbox
from qbsf_pipeline.settings import load_settings
from qbsf_pipeline.state.database import State
from qbsf_pipeline_tests.cli.command import Ran, qbsf
from qbsf_pipeline_tests.pipeline import clear_environment


@dataclass(frozen=True)
class Story:
    """Two audits, with one thing mended and one spoilt between them.

    ``before`` and ``after``: everything that the services held around the first audit. ``asked``: calls of both audits.
    """

    home: Path
    copied: Path
    shown: Ran
    first: list[dict[str, Any]]
    second: Ran
    before: dict[str, Any]
    after: dict[str, Any]
    asked: dict[tuple[str, str], int]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    home = tmp_path_factory.mktemp("cleanse") / "home"
    with pytest.MonkeyPatch.context() as patch, start_sandbox(home / "services") as sandbox:
        clear_environment(patch)
        for name, value in sandbox.environment().items():
            patch.setenv(name, value)
        patch.setenv("QBSF_HOME", str(home))
        control = sandbox.control
        copied = home / "for finance"
        copied.mkdir()
        before = control.state()
        shown = qbsf("cleanse", "--workbook", str(copied), QBSF_MODE="live")
        after = control.state()
        with duckdb.connect(str(home / "published" / "qbsf.duckdb"), read_only=True) as connection:
            first = connection.sql("SELECT * FROM cleansing.findings").pl().to_dicts()
        accounts = {one["Name"]: one["Id"] for one in control.records("Account")}
        changes = {"Ashgrove Ceramics": "kiln@ashgrove.example", "Zephyr Wind Services": "ap.zephyr.example"}
        control.upsert_records("Account", [{"Id": accounts[name], "Billing_Email__c": mail} for name, mail in changes.items()])
        second = qbsf("cleanse", "--json", QBSF_MODE="dry_run")
        yield Story(home, copied, shown, first, second, before, after, dict(control.call_counts()))


def test_the_sample_company_shows_a_believable_set_of_findings(story: Story) -> None:
    found = story.second.json
    assert story.second.code == found["exit_code"] == 3
    assert {one["code"] for one in story.first} >= {
        "billing_address_missing",
        "billing_email_missing",
        "terms_unknown",
        "product_without_item",
        "customer_unclear",
        "duplicate_customers",
        "name_refused",
        "name_shared",
        "balance_without_account",
        "contact_without_email",
        "inactive_owner",
    }
    for finding in found["findings"]:
        assert finding["finding_id"].startswith("C-")
        assert finding["link"].startswith("http")
        assert finding["what"]
        assert finding["why"]
        assert finding["repair"]
    assert all(50 < score["value"] < 100 for score in found["scores"].values())


def test_no_write_was_made_to_any_service_not_even_in_mode_live(story: Story) -> None:
    assert story.before == story.after
    assert {service for service, _ in story.asked} == {"salesforce", "quickbooks"}
    writes = {"batch", "create", "update", "send", "void", "delete"}
    assert not {endpoint for service, endpoint in story.asked if service == "quickbooks"} & writes


def test_what_was_mended_and_what_is_new_is_told_since_the_first_audit(story: Story) -> None:
    assert "This is the first audit" in story.shown.out
    progress = story.second.json["progress"]
    assert (progress["first_audit"], progress["fixed_now"], progress["new_now"]) == (False, 1, 1)
    assert progress["mended"] == 1
    assert f"1 of {len(story.first) + 1} findings since" in progress["sentence"]


def test_findings_keep_their_ids_and_their_first_day(story: Story) -> None:
    before = {one["finding_id"]: one for one in story.first}
    after = {one["finding_id"]: one for one in story.second.json["findings"]}
    assert len(before.keys() - after.keys()) == len(after.keys() - before.keys()) == 1
    for key in before.keys() & after.keys():
        assert before[key]["first_seen_at"].isoformat() == after[key]["first_seen_at"]


def test_people_see_scores_kinds_and_the_worst_and_where_the_rest_is(story: Story) -> None:
    out = story.shown.out
    for text in ("Readiness for launch", " of 100", "What was found", "No billing address", "The 10 worst", "Foglight Studios"):
        assert text in out, text
    assert str(story.copied / "cleansing.xlsx") in out
    assert "Traceback" not in out + story.shown.err
    assert "auditing 45 accounts" in story.shown.err


def test_the_workbook_stands_beside_the_snapshot_and_where_it_was_asked_for(story: Story) -> None:
    assert story.second.json["workbook"] == str(story.home / "published" / "cleansing.xlsx")
    for path in (story.copied / "cleansing.xlsx", Path(story.second.json["workbook"])):
        book = openpyxl.load_workbook(path)
        assert book.sheetnames[0] == "Summary"
        assert ("Mended" in book.sheetnames) == (path.parent != story.copied)


def test_analysts_find_the_tables_with_comments_in_the_snapshot(story: Story) -> None:
    with duckdb.connect(str(story.home / "published" / "qbsf.duckdb"), read_only=True) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM cleansing.findings").fetchall()
        scores = dict(connection.execute("SELECT system, score FROM cleansing.scores").fetchall())
        (bare,) = connection.execute(
            "SELECT count(*) FROM duckdb_columns() WHERE schema_name = 'cleansing' AND comment IS NULL"
        ).fetchall()
    assert rows[0] == len(story.second.json["findings"])
    assert {system: Decimal(score["value"]) for system, score in story.second.json["scores"].items()} == scores
    assert bare[0] == 0


def test_the_latest_scores_are_kept_for_the_doctor(story: Story) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QBSF_HOME", str(story.home))
        environment = load_settings().environment
    with State.open(environment.state_url, environment.home) as state:
        scores = latest_scores(state)
    assert scores is not None
    assert {system: score.value for system, score in scores.items()} == {
        system: Decimal(str(score["value"])) for system, score in story.second.json["scores"].items()
    }
    assert scores["salesforce"].records == story.second.json["scores"]["salesforce"]["records"]
    assert scores["salesforce"].audited_at is not None


def test_before_the_first_audit_there_are_no_scores(tmp_path: Path) -> None:
    with State.open(f"sqlite:///{tmp_path / 'state.sqlite'}", tmp_path) as state:
        assert latest_scores(state) is None


def test_an_audit_that_cannot_read_a_service_fails_with_its_reason(story: Story, tmp_path: Path) -> None:
    shutil.copytree(story.home / "dagster", tmp_path / "dagster", dirs_exist_ok=True)
    failed = qbsf("cleanse", QBSF_HOME=str(tmp_path), SALESFORCE_CLIENT_SECRET="wrong")
    assert failed.code == 1
    assert "Salesforce" in failed.err
    assert "Traceback" not in failed.err + failed.out


def test_a_workbook_that_cannot_be_put_there_is_told(story: Story) -> None:
    failed = qbsf("cleanse", "--workbook", str(story.home / "state.sqlite" / "x.xlsx"))
    assert failed.code == 1
    assert "--workbook: cannot write" in failed.err
