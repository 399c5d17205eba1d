"""The gates that every flow stands behind: over what was pulled, and over the rows of any plan."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from qbsf_pipeline.flows import gates
from qbsf_pipeline.flows.plans import plan_table
from qbsf_pipeline.flows.source_gates import source_gates
from qbsf_pipeline.settings import GateRules, load_rules
from qbsf_pipeline.warehouse.raw import WATERMARKS
from qbsf_pipeline_tests.flows.test_approval import entry

READ_AT = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
RULES = load_rules()
PLAN = plan_table("any", "Any flow's plan")


def gate_rules(**changes: Any) -> GateRules:
    return RULES.gates.model_copy(update=changes)


def plan_of(*keys: str) -> pl.DataFrame:
    return PLAN.frame([{"key": key} for key in keys])


def watermarks(minutes: int, **values: Any) -> pl.DataFrame:
    rows = [
        {"table_name": name, "pulled_at": READ_AT - timedelta(minutes=minutes), "rows_lost": 0, "rows_before": 50, **values}
        for name in ("quickbooks.invoice", "quickbooks.customer", "salesforce.opportunity")
    ]
    return WATERMARKS.frame(rows)


@pytest.mark.parametrize(("minutes", "is_open"), [(0, True), (180, True), (181, False), (10**6, False), (-5, True)])
def test_a_system_is_fresh_as_long_as_the_rules_say(minutes: int, is_open: bool) -> None:
    outcome = gates.sources_are_fresh(watermarks(minutes), "quickbooks", gate_rules(fresh_within_minutes=180), READ_AT)
    assert outcome.open is is_open
    assert outcome.name == "quickbooks_is_fresh"


def test_the_sentence_about_stale_data_stays_the_same_while_nothing_is_read() -> None:
    first, later = (
        gates.sources_are_fresh(watermarks(300), "salesforce", gate_rules(), READ_AT + timedelta(minutes=minutes)).text
        for minutes in (0, 90)
    )
    assert (
        first == later == ("Salesforce was last read at 2026-11-20 03:00 UTC; at most 180 minutes ago is allowed. Run qbsf sync.")
    )


def test_a_system_that_was_never_read_is_not_fresh() -> None:
    outcome = gates.sources_are_fresh(WATERMARKS.empty(), "salesforce", gate_rules(), READ_AT)
    assert (outcome.open, outcome.text) == (False, "Salesforce was never read. Run qbsf sync.")


def test_a_shrunken_table_closes_the_gate_of_its_own_system_only_and_says_what_to_do() -> None:
    lost = watermarks(0).with_columns(rows_lost=pl.when(pl.col("table_name") == "quickbooks.invoice").then(40).otherwise(0))
    closed = gates.sources_lost_no_rows(lost, "quickbooks", RULES.pull)
    assert not closed.open
    assert closed.text.startswith("quickbooks.invoice lost 40 of 50 rows in the last full read. Missing permissions")
    assert "pull.largest_shrink_share (now 0.2)" in closed.text
    assert gates.sources_lost_no_rows(lost, "salesforce", RULES.pull).open


@pytest.mark.parametrize(("ids", "is_open"), [([], True), (["1", "2"], True), (["1", "2", "1"], False)])
def test_an_id_that_occurs_twice_closes_the_gate(ids: list[str], is_open: bool) -> None:
    outcome = gates.ids_are_unique(pl.DataFrame({"id": ids}, schema={"id": pl.String}), "ids", "deals")
    assert outcome.open is is_open


def test_a_write_that_is_planned_twice_closes_the_gate() -> None:
    outcome = gates.keys_are_unique(plan_of("a", "a", "b"))
    assert (outcome.open, outcome.text) == (False, "1 writes are planned more than once.")
    assert gates.keys_are_unique(plan_of("a", "b")).open
    assert gates.keys_are_unique(PLAN.empty()).open


def test_what_a_push_has_begun_is_no_longer_a_question_for_a_gate() -> None:
    states = ("planned", "sending", "done", "failed", "dead")
    known = {status: entry(number, status=status) for number, status in enumerate(states)}
    left = gates.not_begun_yet(plan_of(*states, "new"), known).get_column("key").to_list()
    assert left == ["planned", "failed", "dead", "new"]


def test_a_long_list_of_names_is_cut_in_a_sentence() -> None:
    assert gates.some(["a", "b", "c"], 3) == "a, b, c"
    assert gates.some(["a", "b", "c", "d"], 3) == "a, b, c and 1 more"


def test_every_gate_blocks_and_says_what_it_protects() -> None:
    for spec in source_gates.check_specs:
        assert spec.blocking
        assert (spec.description or "").startswith("Protects ")
