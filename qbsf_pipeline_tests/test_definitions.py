"""The asset graph as people see it: what is there, what it comes from, who owns it, and that nothing opens the warehouse
beside the pool."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from qbsf_pipeline.definitions import FLOWS, build
from qbsf_pipeline.flows.automation import Flow
from qbsf_pipeline.flows.source_gates import source_gates
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.receivables.checks import receivables_checks
from qbsf_pipeline.reconciliation.checks import reconciliation_checks
from qbsf_pipeline.reporting.checks import agrees_with_quickbooks, reporting_checks
from qbsf_pipeline.reporting.statements import load_statements
from qbsf_pipeline.resources import WAREHOUSE_POOL
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.settings import load_settings
from qbsf_pipeline_tests.pipeline import clear_environment

NO_TABLES = {"pipeline/state", "reporting/snapshot", "customers/reviews_page", "reconciliation/report"}
EXTERNAL = {
    "quickbooks_online/customer",
    "quickbooks_online/invoice",
    "salesforce_org/account",
    "salesforce_org/opportunity",
    "salesforce_org/task",
    "slack_workspace/direct_message",
    "slack_workspace/finance_channel",
}
FLOW_GROUPS = {"customers", "invoices", "payments", "aging"}
GROUPS = {"salesforce", "quickbooks", "receivables", *FLOW_GROUPS, "reconciliation", "cleansing", "reporting", "written_to"}
RECEIVABLES = {f"receivables/{name}" for name in ("applications", "unapplied", "invoices", "contested")}
PAYMENTS = {f"payments/{name}" for name in ("plan", "deals", "events", "refusals")}
AGING = {f"aging/{name}" for name in ("plan", "invoices", "deals", "crossings", "reminders", "tasks", "totals", "refusals")}
MONTH_END = {f"reconciliation/{name}" for name in ("cases", "documents", "bridge", "totals", "still_open", "report")}
SCHEDULES = (
    *("invoices/billing_schedules", "invoices/billing_schedule_lines", "invoices/schedule_agreements"),
    "invoices/template_invoices",
)
OWN = {
    *MONTH_END,
    "cleansing/findings",
    "cleansing/scores",
    "customers/matches",
    "customers/reviews_page",
    "customers/plan",
    "customers/field_differences",
    "customers/refusals",
    "customers/pending",
    "customers/pushed",
    "invoices/plan",
    "invoices/deals",
    "invoices/refusals",
    "invoices/notes",
    *SCHEDULES,
    "invoices/pending",
    "invoices/pushed",
    *RECEIVABLES,
    *PAYMENTS,
    "payments/pending",
    "payments/pushed",
    *AGING,
    "aging/pending",
    "aging/pushed",
    "pipeline/state",
    "reporting/snapshot",
}
CUSTOMER_PLAN_INPUTS = {
    "customers/matches",
    *(f"salesforce/{name}" for name in ("opportunity", "account", "contact", "user", "organization")),
    *(f"quickbooks/{name}" for name in ("invoice", "customer", "term", "vendor", "employee", "preferences", "company_info")),
}
PLAN_INPUTS = {
    "customers/matches",
    *(
        f"salesforce/{name}"
        for name in (
            "opportunity",
            "opportunity_line_item",
            "product2",
            "account",
            "contact",
            "opportunity_contact_role",
            "organization",
            "opportunity_line_item_schedule",
            "cpq_quote",
            "cpq_quote_line",
            "cpq_subscription",
        )
    ),
    *(
        f"quickbooks/{name}"
        for name in (
            "customer",
            "invoice",
            "credit_memo",
            "recurring_transaction",
            "item",
            "term",
            "class",
            "department",
            "tax_code",
            "account",
            "vendor",
            "employee",
            "preferences",
            "company_info",
        )
    ),
}


@pytest.fixture(scope="module", autouse=True)
def an_instance_of_our_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Dagster keeps the newest instance of a process in a global; one that other tests left behind may be gone already."""
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("instance"))):
        yield


@pytest.fixture(scope="module")
def definitions() -> Iterator[dg.Definitions]:
    with pytest.MonkeyPatch.context() as patch:
        clear_environment(patch)
        yield build(load_settings())


@pytest.fixture(scope="module")
def specs(definitions: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {text(spec.key): spec for spec in definitions.resolve_all_asset_specs()}


def text(key: dg.AssetKey) -> str:
    return "/".join(key.path)


def deps(spec: dg.AssetSpec) -> set[str]:
    return {text(dep.asset_key) for dep in spec.deps}


def test_everything_loads_and_fits_together(definitions: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(definitions)


def test_the_graph_holds_these_assets_and_no_others(specs: dict[str, dg.AssetSpec]) -> None:
    raw = {f"{table.schema}/{table.name}" for table in (*salesforce.TABLES, *quickbooks.TABLES)}
    reporting = {f"reporting/{statement.name}" for statement in load_statements()}
    assert set(specs) == raw | reporting | OWN | EXTERNAL


def test_each_asset_comes_from_what_it_reads(specs: dict[str, dg.AssetSpec]) -> None:
    planned = {f"invoices/{name}" for name in ("plan", "deals", "refusals")}
    own = {"salesforce/account", "salesforce/contact", "salesforce/user"}
    assert deps(specs["customers/matches"]) == {*own, "quickbooks/customer"}
    for name in (*planned, "invoices/notes", *SCHEDULES):
        assert deps(specs[name]) == PLAN_INPUTS
    assert deps(specs["invoices/pending"]) == {*planned, "customers/matches", *SCHEDULES[2:]}
    assert deps(specs["invoices/pushed"]) == {
        "invoices/pending",
        "invoices/plan",
        "salesforce/opportunity",
        "quickbooks/invoice",
    }
    in_step = {f"customers/{name}" for name in ("plan", "field_differences", "refusals")}
    for name in in_step:
        assert deps(specs[name]) == CUSTOMER_PLAN_INPUTS
    assert deps(specs["customers/pending"]) == in_step
    assert deps(specs["customers/pushed"]) == {
        "customers/pending",
        "customers/plan",
        "salesforce/account",
        "quickbooks/customer",
    }
    assert deps(specs["customers/reviews_page"]) == {"customers/matches", "invoices/pending"}
    assert deps(specs["pipeline/state"]) == {f"{flow.name}/{name}" for flow in FLOWS for name in ("pending", "pushed")}
    assert deps(specs["reporting/snapshot"]) == {f"reporting/{one.name}" for one in load_statements()}
    for table in (*salesforce.TABLES, *quickbooks.TABLES):
        assert deps(specs[f"{table.schema}/{table.name}"]) == set()


def test_the_lineage_runs_on_to_the_systems_that_are_written_to(specs: dict[str, dg.AssetSpec]) -> None:
    written = {
        "quickbooks_online/customer": {"invoices", "customers"},
        "quickbooks_online/invoice": {"invoices", "aging"},
        "salesforce_org/account": {"invoices", "customers"},
        "salesforce_org/opportunity": {"invoices", "payments", "aging"},
        "salesforce_org/task": {"aging"},
        "slack_workspace/direct_message": {"payments", "aging"},
        "slack_workspace/finance_channel": {"invoices", "customers", "payments", "aging"},
    }
    assert set(written) == EXTERNAL
    for name in EXTERNAL:
        told = {"reconciliation/report"} if name == "slack_workspace/finance_channel" else set()
        assert deps(specs[name]) == {f"{flow}/pushed" for flow in written[name]} | told
        assert specs[name].group_name == "written_to"


def test_each_asset_tells_what_it_is_who_owns_it_and_where_it_belongs(specs: dict[str, dg.AssetSpec]) -> None:
    for name, spec in specs.items():
        assert len(spec.description or "") > 20, name
        assert spec.owners == ["team:finance-systems"], name
        assert spec.group_name in GROUPS, name
        assert spec.kinds or name in EXTERNAL, name


def test_each_table_shows_its_columns_with_their_meaning(specs: dict[str, dg.AssetSpec]) -> None:
    in_state = {f"{flow.name}/{name}" for flow in FLOWS for name in ("pending", "pushed")}
    for name in set(specs) - EXTERNAL - in_state - NO_TABLES:
        schema = specs[name].metadata["dagster/column_schema"]
        columns = getattr(schema, "schema", schema).columns
        assert columns, name
        assert all(column.description for column in columns), name
        assert specs[name].metadata["dagster/table_name"] in (
            name.replace("/", "."),
            dg.MetadataValue.text(name.replace("/", ".")),
        )


def test_everything_that_opens_the_warehouse_is_in_the_pool_of_one(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    executable = [key for key in graph.get_all_asset_keys() if graph.get(key).is_executable]
    assert {text(key) for key in executable} == set(map(text, graph.get_all_asset_keys())) - EXTERNAL
    # The page of reviews is made from the state alone.
    opening = [key for key in executable if text(key) != "customers/reviews_page"]
    assert {text(key): graph.get(key).pools for key in opening} == {text(key): {WAREHOUSE_POOL} for key in opening}
    for checks in (source_gates, *(flow.plan_gates for flow in FLOWS)):
        assert checks.op.pool == WAREHOUSE_POOL


def test_runs_are_one_process_so_that_one_connection_is_open_at_a_time(definitions: dg.Definitions) -> None:
    for job in definitions.resolve_all_job_defs():
        if not job.name.startswith("__"):
            assert job.executor_def.name == "in_process", job.name


def test_the_gates_are_the_blocking_checks_and_each_push_takes_its_own_along(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()

    def checks(name: str) -> set[dg.AssetCheckKey]:
        return set(definitions.resolve_job_def(name).asset_layer.asset_graph.asset_check_keys)

    def gates(flows: Iterable[Flow]) -> set[dg.AssetCheckKey]:
        return {key for definition in (source_gates, *(flow.plan_gates for flow in flows)) for key in definition.check_keys}

    # Those that only warn: of what is owed, once a day, and of the ageing, wherever the reporting tables are made.
    daily, reported = set(receivables_checks.check_keys), set(agrees_with_quickbooks.check_keys)
    month_end = set(reconciliation_checks.check_keys)
    # A pass looks at the tables that it made by itself, without a planned check for each rule.
    by_hand = set(reporting_checks.check_keys)
    assert set(graph.asset_check_keys) == gates(FLOWS) | daily | reported | month_end | by_hand
    assert checks("reconcile") == checks("reconcile_again") == set(source_gates.check_keys) | month_end
    in_every_pass = [flow for flow in FLOWS if flow.daily_at is None]
    assert checks("plan_only") == gates(in_every_pass)
    assert checks("sync") == gates(in_every_pass) | reported
    for flow in FLOWS:
        assert flow.gates.resolve_checks(graph) == gates([flow])
        assert checks(f"push_{flow.name}") == gates([flow]) | reported
        assert checks(f"sync_{flow.name}") == gates([flow]) | reported | (daily if flow.name == "aging" else set())


def test_each_job_makes_what_its_name_says_and_only_a_push_pushes_and_only_its_own_flow(definitions: dg.Definitions) -> None:
    def made(name: str) -> set[str]:
        layer = definitions.resolve_job_def(name).asset_layer
        return {text(key) for key in layer.selected_asset_keys}

    raw = {f"{table.schema}/{table.name}" for table in (*salesforce.TABLES, *quickbooks.TABLES)}
    reporting = {"pipeline/state", "reporting/snapshot", *(f"reporting/{one.name}" for one in load_statements())}
    invoices = {"customers/matches", *(f"invoices/{name}" for name in ("plan", "deals", "refusals", "notes")), *SCHEDULES}
    customers = {f"customers/{name}" for name in ("matches", "plan", "field_differences", "refusals")}
    asked = {"invoices/pending", "customers/reviews_page"}
    payments, aging = RECEIVABLES | PAYMENTS, RECEIVABLES | AGING
    assert made("plan_only") == raw | invoices | customers | payments
    pending = {"customers/pending", "payments/pending"}
    assert made("sync") == raw | invoices | customers | payments | asked | pending | reporting
    assert made("sync_payments") == raw | payments | reporting | {"payments/pending"}
    assert made("sync_aging") == raw | aging | reporting | {"aging/pending"}
    assert made("push_payments") == reporting | {"payments/pushed"}
    assert made("push_aging") == reporting | {"aging/pushed"}
    assert made("sync_invoices") == raw | invoices | reporting | asked
    assert made("sync_customers") == raw | customers | reporting | {"customers/pending"}
    assert made("push_invoices") == reporting | {"invoices/pushed"}
    assert made("push_customers") == reporting | {"customers/pushed"}
    planned = {name for name in invoices if name != "customers/reviews_page"}
    assert made("reconcile") == raw | planned | RECEIVABLES | MONTH_END
    assert made("reconcile_again") == MONTH_END
    assert made("cleanse") == raw | {"customers/matches", "cleansing/findings", "cleansing/scores"}


@pytest.mark.parametrize("flow", [flow.name for flow in FLOWS])
def test_a_pass_of_one_flow_plans_and_makes_pending_only_that(flow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clear_environment(monkeypatch)
    (only,) = [one for one in FLOWS if one.name == flow]
    definitions = build(load_settings(), flows=[only])
    for name in ("sync", "plan_only"):
        layer = definitions.resolve_job_def(name).asset_layer
        assert {key.path[0] for key in layer.selected_asset_keys} & {"invoices"} == {"invoices"} & {flow}
        assert (dg.AssetKey(["customers", "plan"]) in layer.selected_asset_keys) is (flow == "customers")


@pytest.mark.parametrize("mode", ["sandbox", "dry_run", "approve", "live"])
def test_definitions_load_in_every_mode_without_credentials(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clear_environment(monkeypatch)
    monkeypatch.setenv("QBSF_MODE", mode)
    assert build(load_settings()).resolve_job_def("sync_invoices")


def test_the_instance_that_is_shipped_has_pools_of_one_for_each_op_and_no_telemetry() -> None:
    import yaml

    found = yaml.safe_load((Path(__file__).parents[1] / "dagster.yaml").read_text(encoding="utf-8"))
    assert found["concurrency"]["pools"] == {"default_limit": 1, "granularity": "op"}
    assert found["telemetry"] == {"enabled": False}
    assert found["run_monitoring"]["enabled"] is True
    assert found["run_retries"]["max_retries"] == 0
