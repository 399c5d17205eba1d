"""From the question to the invoice, over HTTP: asked once, decided in the terminal or in Salesforce, released by a pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from qbsf_pipeline.customers.matching import assets as matching
from qbsf_pipeline.customers.matching.rule_names import RULE_NAMES
from qbsf_pipeline.invoices.assets import PLANNED_TABLES
from qbsf_pipeline.money import to_json
from qbsf_pipeline.quickbooks.assets import quickbooks_tables
from qbsf_pipeline.resources import DoorsResource, WarehouseResource
from qbsf_pipeline.salesforce.assets import salesforce_tables
from qbsf_pipeline.sandbox.server import SandboxControl, start_sandbox
from qbsf_pipeline.settings import load_settings
from qbsf_pipeline_tests.cli.command import Ran, qbsf
from qbsf_pipeline_tests.pipeline import Pipeline

FIELD = "QuickBooks_Customer_Id__c"


@dataclass
class Story:
    """What was asked, how it was answered, and what the passes made of it."""

    control: SandboxControl
    home: Path
    asked: list[dict[str, Any]]
    shown: Ran
    shown_json: Ran
    listed: Ran
    told: list[str]
    page: str
    page_metadata: dict[str, Any]
    by_command: dict[str, Any]
    by_field: dict[str, Any]
    linked: Ran
    invoices: dict[str, list[str]] = field(default_factory=dict)
    told_later: list[str] = field(default_factory=list)
    undone: dict[str, Ran] = field(default_factory=dict)
    asked_again: list[dict[str, Any]] = field(default_factory=list)
    told_again: list[str] = field(default_factory=list)
    replayed: Ran | None = None


def account_named(control: SandboxControl, word: str) -> dict[str, Any]:
    (found,) = [one for one in control.records("Account") if word in one["Name"]]
    return found


def told_of_reviews(control: SandboxControl) -> list[str]:
    texts = [
        "\n".join(block["text"]["text"] for block in one.get("blocks") or [] if "text" in block) for one in control.messages()
    ]
    return [text for text in texts if "name the QuickBooks customer" in text]


def made_page() -> tuple[str, dict[str, Any]]:
    settings = load_settings()
    warehouse = WarehouseResource(database=str(settings.environment.warehouse_path))
    result = dg.materialize(
        [matching.reviews_page],
        resources={"doors": DoorsResource(), "warehouse": warehouse},
        instance=dg.DagsterInstance.ephemeral(),
    )
    (event,) = result.get_asset_materialization_events()
    metadata = {name: value.value for name, value in event.materialization.metadata.items()}
    return Path(metadata["path"]).read_text(encoding="utf-8"), metadata


def invoices_by_customer(control: SandboxControl) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in control.objects("Invoice"):
        if "Salesforce Opportunity" in str(one.get("PrivateNote")):
            found.setdefault(one["CustomerRef"]["value"], []).append(one["Id"])
    return found


def one_pass(pipeline: Pipeline) -> None:
    """Read both systems, match, plan, make pending and push, without what analysts see."""
    raw = ["/".join(key.path) for key in (*salesforce_tables.keys, *quickbooks_tables.keys)]
    planned = [*(f"invoices/{table.name}" for table in PLANNED_TABLES), "invoices/pending"]
    assert pipeline.run("sync_invoices", *raw, "customers/matches", *planned).success
    if pipeline.doors.state.ledger.ready("invoices", pipeline.doors.now()):
        assert pipeline.run("push_invoices", "invoices/pushed").success
    pipeline.run("deliver_messages")


def few_deals(control: SandboxControl, patch: pytest.MonkeyPatch) -> None:
    """Two deals that wait for a person and one that is refused; all others are from before go-live."""
    today = control.now()[:10]
    patch.setenv("QBSF_GO_LIVE_DATE", today)
    deals = control.records("Opportunity")
    before = str(date.fromisoformat(today) - timedelta(days=1))
    won = [one for one in deals if one["StageName"] == "Closed Won"]
    names = {one["Id"]: one["Name"] for one in control.records("Account")}
    waiting = [
        next(one for one in deals if names.get(one["AccountId"]) == name) for name in ("Pinecrest Analytics", "Old Mill Press")
    ]
    refused = next(one for one in won if one["AccountId"] is None)
    control.upsert_records("Opportunity", [{"Id": one["Id"], "CloseDate": before} for one in won])
    for one in (*waiting, refused):
        control.close_deal(one["Id"])
    control.upsert_records("Opportunity", [{"Id": one["Id"], "CloseDate": today} for one in (*waiting, refused)])


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    home = tmp_path_factory.mktemp("deciding") / "home"
    home.mkdir()
    import sys
    import time

    T = [time.monotonic()]

    def tick(x):
        n = time.monotonic()
        sys.stderr.write(f"{x} {n - T[0]:.1f}\n")
        T[0] = n

    with (
        pytest.MonkeyPatch.context() as patch,
        start_sandbox(home / "services") as sandbox,
        Pipeline(home, patch, sandbox) as pipeline,
    ):
        control = sandbox.control
        mill = account_named(control, "Old Mill")
        few_deals(control, patch)
        one_pass(pipeline)
        asked = qbsf("review", "--json").json
        by_name = {one["account_name"]: one for one in asked}
        by_command, by_field = by_name["Pinecrest Analytics"], by_name["Old Mill Press"]
        page, page_metadata = made_page()
        chosen = by_command["candidates"][0]["customer_id"]
        built = Story(
            control=control,
            home=home,
            asked=asked,
            shown=qbsf("review", "show", by_command["review_id"]),
            shown_json=qbsf("review", "show", by_command["review_id"], "--json"),
            listed=qbsf("review"),
            told=told_of_reviews(control),
            page=page,
            page_metadata=page_metadata,
            by_command=by_command,
            by_field=by_field,
            linked=qbsf("review", "link", by_command["review_id"], chosen),
        )
        (other,) = control.upsert_objects("Customer", [{"DisplayName": "Old Mill Press, new books", "Active": True}])
        control.upsert_records("Account", [{"Id": mill["Id"], FIELD: other["Id"]}])
        built.by_field["customer"] = other["Id"]
        built.by_command["customer"] = chosen
        one_pass(pipeline)
        built.invoices = invoices_by_customer(control)
        built.told_later = told_of_reviews(control)
        account_id = by_command["account_id"]
        built.undone = {
            "unasked": qbsf("review", "undo", account_id),
            "done": qbsf("review", "undo", account_id, "--yes"),
            "twice": qbsf("review", "undo", account_id, "--yes"),
        }
        built.replayed = qbsf("review", "replay", "--json")
        one_pass(pipeline)
        built.asked_again = qbsf("review", "--json").json
        built.told_again = told_of_reviews(control)
        yield built


def test_each_question_tells_deals_amount_and_both_records_side_by_side(story: Story) -> None:
    assert {one["account_name"] for one in story.asked} == {"Pinecrest Analytics", "Old Mill Press"}
    for one in story.asked:
        assert one["deals_waiting"] == len(one["details"]["deals"]) == 1
        assert one["amount_waiting"] == one["details"]["deals"][0]["amount"]
        best = one["details"]["candidates"][0]
        assert best["customer"]["customer_id"] == one["candidates"][0]["customer_id"]
        assert {field["verdict"] for field in best["fields"]} <= {"agrees", "differs", "only_one", "-"}


def test_the_terminal_shows_both_records_the_deals_and_commands_to_copy(story: Story) -> None:
    out, one = story.shown.out, story.by_command
    assert story.shown.code == 0
    for candidate in one["details"]["candidates"]:
        assert candidate["customer"]["display_name"] in out
    assert one["details"]["deals"][0]["name"] in out
    assert "agrees" in out
    for command in ("link", "create", "ignore"):
        assert f"qbsf review {command} {one['review_id']}" in out
    assert story.shown_json.json["history"] == []
    assert "today" in story.listed.out


def test_all_new_questions_of_a_pass_are_one_message_and_are_told_once(story: Story) -> None:
    (message,) = story.told
    assert story.told_later == story.told
    for one in story.asked:
        assert one["account_name"].replace("&", "&amp;") in message
        assert one["details"]["deals"][0]["name"].replace("&", "&amp;") in message
    assert "/assets/customers/reviews_page|Both records side by side>" in message
    waiting = [one["details"]["deals"][0]["name"] for one in story.asked]
    problems = [str(one) for one in story.control.messages() if "Not invoiced" in str(one)]
    assert problems
    assert not any(name in text for name in waiting for text in problems)


def test_the_page_shows_every_question_and_stands_alone(story: Story) -> None:
    assert story.page.startswith("<!doctype html>")
    for one in story.asked:
        assert f'id="{one["review_id"]}"' in story.page
        assert f"qbsf review link {one['review_id']} {one['candidates'][0]['customer_id']}" in story.page
    assert "<script" not in story.page
    assert story.page_metadata["path"] == str(story.home / "published" / "reviews.html")
    assert story.page_metadata["open"] == 2
    assert "USD" in story.page_metadata["amount waiting"]
    assert story.page_metadata["questions"].count("\n") == 3


def test_a_decision_by_command_releases_the_deal_in_the_next_pass(story: Story) -> None:
    assert story.linked.code == 0
    assert len(story.invoices[story.by_command["customer"]]) == 1
    account = account_named(story.control, "Pinecrest")
    assert account[FIELD] == story.by_command["customer"]


def test_an_id_filled_in_salesforce_decides_the_same(story: Story) -> None:
    assert len(story.invoices[story.by_field["customer"]]) == 1
    history = qbsf("review", "show", story.by_field["account_id"], "--json").json["history"]
    assert [(row["what"], row["method"], row["by"]) for row in history] == [("linked", "stored_id", f"Salesforce field {FIELD}")]
    assert qbsf("review", "show", story.by_field["account_id"], "--json").json["status"] == "closed"


def test_undoing_lists_the_invoices_first_and_needs_a_yes(story: Story) -> None:
    unasked, done, twice = (story.undone[name] for name in ("unasked", "done", "twice"))
    (invoice,) = [one for one in story.control.objects("Invoice") if one["Id"] in story.invoices[story.by_command["customer"]]]
    assert (unasked.code, done.code, twice.code) == (1, 0, 1)
    for ran in (unasked, done):
        assert str(invoice["DocNumber"]) in ran.out
        assert "stay in QuickBooks as they are" in ran.out
    assert "--yes" in unasked.err
    assert "open again" in done.out
    assert "nothing to undo" in twice.err


def test_what_was_undone_is_asked_again_without_the_rejected_customer_and_its_invoice_stays(story: Story) -> None:
    (again,) = story.asked_again
    assert again["account_id"] == story.by_command["account_id"]
    assert story.by_command["customer"] not in [one["customer_id"] for one in again["candidates"]]
    assert "A person said that the account is not" in again["question"]
    assert invoices_by_customer(story.control) == story.invoices
    assert len(story.told_again) == 2


def test_a_replay_tells_what_would_be_different_and_writes_nothing(story: Story) -> None:
    assert story.replayed is not None
    document = story.replayed.json
    assert story.replayed.code == 0
    assert (document["appear"], document["vanish"], document["change"]) == (0, 0, 0)
    assert document["links_now"] == document["links_then"] > 10
    strict = story.home / "strict.toml"
    strict.write_text(f"[customers.matching]\nrules_off = {to_json(sorted(RULE_NAMES))}\n", encoding="utf-8")
    tried = qbsf("review", "replay", "--rules", str(strict), "--json").json
    assert tried["vanish"] == len(tried["changes"]) > 0
    for row in tried["changes"]:
        assert row["change"] == "vanishes"
        assert row["customer_before"]
        assert row["customer_after"] is None
    shown = qbsf("review", "replay", "--rules", str(strict))
    assert f"{tried['vanish']} vanish" in shown.out
    assert "Links in force stay as they are until qbsf review undo" in shown.out
    missing = qbsf("review", "replay", "--rules", str(story.home / "none.toml"))
    assert (missing.code, missing.err.partition(":")[0]) == (1, "--rules")
