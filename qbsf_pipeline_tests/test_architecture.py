"""The arrows of the architecture, read from the import statements themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "qbsf_pipeline"
FLOWS = ("invoices", "customers", "payments", "aging", "reconciliation", "reporting", "receivables", "cleansing")
SERVICES = ("salesforce", "quickbooks", "slack", "warehouse", "state")
#: What decides, and what forms words and bodies: frames and rules in, frames and values out.
PURE_MODULES = {
    "aging": "ages buckets inputs messages reminders tables tasks updates",
    "cleansing": "billing contact_details duplicates findings places records references score wording written_values",
    "customers": "circumstances conversions deciding fields meanings payloads terms texts",
    "flows": "approval messages plans remedies",
    "invoices": (
        "account_write_backs amendments bill_to billed_periods company contract_deals deal_rows details history inputs "
        "items judging keys known lines messages new_records payloads period_bills rows schedule_lines schedule_messages "
        "schedule_questions schedule_refusals schedule_tables scheduled schedules sound_deals tables terms validation"
    ),
    "payments": "changes documents fingerprints inputs keys messages settling stages tables telling",
    "receivables": "applications deals identities owed status tables",
    "reconciliation": (
        "cases chart classes closing deciding decisions facts inputs line_facts messages months packing page places report "
        "sections settled still_open tables wording"
    ),
    "reporting": "heads",
}
PURE = (
    *PACKAGE.rglob("plan.py"),
    *(PACKAGE / folder / f"{name}.py" for folder, names in PURE_MODULES.items() for name in names.split()),
    *(PACKAGE / "customers" / "matching").glob("[!a_]*.py"),
    *(PACKAGE / "invoices" / "recurring").glob("[!_]*.py"),
    *(PACKAGE / "invoices" / "line_sources").glob("[!_]*.py"),
    PACKAGE / "money.py",
    PACKAGE / "slack" / "blocks.py",
    PACKAGE / "warehouse" / "tables.py",
)
FORBIDDEN_IN_PURE = {
    "dagster",
    "dagster_duckdb",
    "requests",
    "slack_sdk",
    "simple_salesforce",
    "quickbooks",
    "intuitlib",
    "duckdb",
}
CLOCKS = {("datetime", "now"), ("datetime", "today"), ("datetime", "utcnow"), ("date", "today"), ("time", "time")}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


def imports(path: Path) -> set[str]:
    """Every module that a file imports, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return found


def ours(path: Path) -> set[str]:
    """The parts of our package that a file imports."""
    return {module.split(".")[1] for module in imports(path) if module.startswith("qbsf_pipeline.")}


def files(*parts: str) -> list[Path]:
    return [path for part in parts for path in sorted((PACKAGE / part).rglob("*.py"))]


@pytest.mark.parametrize("path", files(*SERVICES), ids=name_of)
def test_a_service_knows_no_flow_and_no_command(path: Path) -> None:
    own_asset = path.name == "assets.py"
    assert not ours(path) & {*FLOWS, "cli", "definitions", "notices"}
    # Only the thin shell for Dagster may know what surrounds a step.
    assert own_asset or not ours(path) & {"steps", "resources"}


def test_nothing_but_the_command_line_imports_the_built_in_services() -> None:
    importers = {path.relative_to(PACKAGE).parts[0] for path in PACKAGE.rglob("*.py") if "sandbox" in ours(path)} - {"sandbox"}
    assert importers <= {"cli"}


@pytest.mark.parametrize("path", files("sandbox"), ids=name_of)
def test_the_built_in_services_import_nothing_of_the_rest(path: Path) -> None:
    assert ours(path) <= {"sandbox"}


@pytest.mark.parametrize("path", PURE, ids=name_of)
def test_what_decides_knows_neither_dagster_nor_the_network_nor_a_clock(path: Path) -> None:
    assert not {module.split(".")[0] for module in imports(path)} & FORBIDDEN_IN_PURE
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert (node.value.id, node.attr) not in CLOCKS, f"{path}:{node.lineno} reads a clock"
        if isinstance(node, ast.Import | ast.ImportFrom):
            named = {alias.name for alias in node.names} | {getattr(node, "module", None) or ""}
            assert not named & {"random", "secrets", "uuid"}, f"{path}:{node.lineno} draws at random"


def test_every_flow_keeps_its_decisions_in_a_plan_of_its_own() -> None:
    assert (PACKAGE / "invoices" / "plan.py") in PURE
    assert (PACKAGE / "customers" / "matching" / "plan.py") in PURE


@pytest.mark.parametrize(
    "path", [path for path in PACKAGE.rglob("*.py") if path.name != "definitions.py" and "cli" not in path.parts], ids=name_of
)
def test_only_the_definitions_know_every_flow(path: Path) -> None:
    assert "definitions" not in ours(path)
    assert "cli" not in ours(path)


def test_deciding_loads_no_dagster() -> None:
    script = "import qbsf_pipeline.invoices.plan, qbsf_pipeline.customers.matching.plan, sys; sys.exit('dagster' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, cwd=PACKAGE.parent).returncode == 0


def test_quick_commands_load_no_dagster() -> None:
    script = "import qbsf_pipeline.cli.app, sys; sys.exit('dagster' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, cwd=PACKAGE.parent).returncode == 0


def test_importing_any_module_needs_no_credentials_and_makes_no_file(tmp_path: Path) -> None:
    script = (
        "import importlib, pkgutil, qbsf_pipeline\n"
        "for found in pkgutil.walk_packages(qbsf_pipeline.__path__, 'qbsf_pipeline.'):\n"
        "    if not found.name.endswith('__main__') and '.migrations.' not in found.name:\n"
        "        importlib.import_module(found.name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=False,
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(PACKAGE.parent), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".cache")] == []
