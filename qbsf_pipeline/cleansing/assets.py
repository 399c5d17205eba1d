"""The asset that audits both systems' records: tables for analysts, a workbook for those who mend, and the snapshot."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from qbsf_pipeline.cleansing.findings import FINDINGS, KINDS, SCORES, Finding, counted
from qbsf_pipeline.cleansing.plan import Audit, AuditInputs, audit
from qbsf_pipeline.cleansing.score import Score
from qbsf_pipeline.cleansing.workbook import WORKBOOK_NAME, AuditReport, write_workbook
from qbsf_pipeline.customers.matching.inputs import own_domains
from qbsf_pipeline.customers.matching.plan import MATCHES
from qbsf_pipeline.progress import progress
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.resources import WAREHOUSE_POOL, Doors, DoorsResource, WarehouseResource
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.settings import Environment
from qbsf_pipeline.steps import step
from qbsf_pipeline.warehouse.assets import OWNERS, table_key
from qbsf_pipeline.warehouse.connection import read_table, replace_rows
from qbsf_pipeline.warehouse.preview import column_schema, preview_of
from qbsf_pipeline.warehouse.publish import publish
from qbsf_pipeline.warehouse.tables import TableSchema

FLOW = "cleansing"
FINDINGS_KEY, SCORES_KEY = table_key(FINDINGS), table_key(SCORES)

_SALESFORCE_INPUTS = (
    salesforce.ACCOUNT,
    salesforce.CONTACT,
    salesforce.OPPORTUNITY,
    salesforce.OPPORTUNITY_LINE_ITEM,
    salesforce.OPPORTUNITY_CONTACT_ROLE,
    salesforce.PRODUCT2,
    salesforce.USER,
    salesforce.ORGANIZATION,
)
_QUICKBOOKS_INPUTS = (
    quickbooks.CUSTOMER,
    quickbooks.INVOICE,
    quickbooks.ITEM,
    quickbooks.TERM,
    quickbooks.VENDOR,
    quickbooks.EMPLOYEE,
    quickbooks.PREFERENCES,
    quickbooks.COMPANY_INFO,
)
_DEPS = [table_key(table) for table in (*_SALESFORCE_INPUTS, *_QUICKBOOKS_INPUTS, MATCHES)]


def workbook_path(environment: Environment) -> Path:
    """Where the workbook of the newest audit stands, beside the snapshot."""
    return environment.snapshot_path.with_name(WORKBOOK_NAME)


def _spec(table: TableSchema, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        table_key(table),
        deps=_DEPS,
        group_name="cleansing",
        kinds={"duckdb", "polars"},
        owners=OWNERS,
        description=description,
        metadata={"dagster/column_schema": column_schema(table), "dagster/table_name": f"{table.schema}.{table.name}"},
    )


@dg.multi_asset(
    name="audit_records",
    specs=[
        _spec(
            FINDINGS,
            "What is wrong with the records of both systems: duplicates, accounts that cannot be invoiced, malformed values, "
            "records that do not fit together. Each with why it matters and what to do. Changes nothing.",
        ),
        _spec(SCORES, "How ready each system is for launch, 0 to 100."),
    ],
    pool=WAREHOUSE_POOL,
)
def cleansing_tables(
    context: dg.AssetExecutionContext, doors: DoorsResource, warehouse: WarehouseResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Audit every record, remember what was found since when, and publish tables, workbook and snapshot."""
    opened = doors.open(warehouse)
    environment = opened.settings.environment
    with step(opened, FLOW, "audit", context.run_id) as report:
        inputs, company = _inputs(opened)
        now = opened.now()
        progress(f"auditing {inputs.account.height:,} accounts and {inputs.customer.height:,} customers")
        ours = own_domains(inputs.user.select("email", "is_active"))
        found = audit(inputs, opened.settings.rules, now.date(), ours, environment.qbsf_go_live_date)
        counts = counted(found.findings) | {
            f"{system}.{name}": number
            for system, score in found.scores.items()
            for name, number in (("records", score.records), ("without_error", score.without_error))
        }
        values: dict[str, Decimal] = {system: score.value for system, score in found.scores.items()}
        instance_url = opened.salesforce.instance_url
        seen = opened.state.cleansing.report(found.findings, values, counts, now)
        rows = finding_rows(found, seen.first_seen, instance_url, environment)
        scores = [_score_row(replace(score, audited_at=now)) for score in found.scores.values()]
        with opened.warehouse.transaction() as connection:
            replace_rows(connection, FINDINGS, FINDINGS.frame(rows))
            replace_rows(connection, SCORES, SCORES.frame(scores))
        progress("writing the workbook")
        path = workbook_path(environment)
        cleansing = opened.state.cleansing
        first = len(cleansing.runs(limit=2)) == 1
        told = AuditReport(now, company, found.scores, rows, len(seen.new), len(seen.resolved), first, cleansing.findings())
        write_workbook(told, path)
        publish(opened.warehouse, environment.snapshot_path)
        report.counts = {"findings": len(rows), "new": len(seen.new), "mended": len(seen.resolved)}
    kinds = Counter(KINDS[finding.code].title for finding in found.findings)
    shown = FINDINGS.frame(rows).select("severity", "system", "record_name", "what", "repair", "deals", "finding_id")
    yield dg.MaterializeResult(
        asset_key=FINDINGS_KEY,
        metadata={
            "dagster/row_count": len(rows),
            "workbook": dg.MetadataValue.path(path),
            "new": len(seen.new),
            "mended": len(seen.resolved),
            "preview": preview_of(shown),
            **{f"kind/{title}": number for title, number in kinds.items()},
        },
    )
    yield dg.MaterializeResult(
        asset_key=SCORES_KEY,
        metadata={
            "dagster/row_count": len(scores),
            "preview": preview_of(SCORES.frame(scores)),
            **{f"score/{system}": float(value) for system, value in values.items()},
        },
    )


def finding_rows(
    found: Audit, first_seen: Mapping[str, datetime], instance_url: str, environment: Environment
) -> list[dict[str, Any]]:
    """Findings as rows of ``cleansing.findings``, in the same order.

    Args:
        first_seen: finding id -> the first audit that found it.
        instance_url: base URL of the Salesforce org.
    """
    return [
        {
            "finding_id": finding.finding_id,
            "code": finding.code,
            "title": finding.kind.title,
            "severity": finding.severity,
            "system": finding.system,
            "record_object": finding.record_object,
            "record_id": finding.record_id,
            "record_name": finding.record_name,
            "members": " ".join(finding.records),
            "link": _link(finding, instance_url, environment),
            "deals": finding.deals,
            "what": finding.what,
            "why": finding.kind.why,
            "repair": finding.repair or finding.kind.repair,
            "cost": finding.cost,
            "first_seen_at": first_seen[finding.finding_id],
        }
        for finding in found.findings
    ]


def _link(finding: Finding, instance_url: str, environment: Environment) -> str:
    if finding.system == "salesforce":
        return f"{instance_url}/lightning/r/{finding.record_object}/{finding.record_id}/view"
    if finding.record_object == "Customer":
        return environment.quickbooks_link("customerdetail", "nameId", finding.record_id)
    # QuickBooks has no address for a single item.
    return f"{environment.quickbooks_app_base}/app/items"


def _score_row(score: Score) -> dict[str, Any]:
    return {
        "system": score.system,
        "score": score.value,
        "records": score.records,
        "without_error": score.without_error,
        "errors": score.errors,
        "warnings": score.warnings,
        "hints": score.hints,
        "audited_at": score.audited_at,
    }


def _inputs(opened: Doors) -> tuple[AuditInputs, str]:
    """The tables of an audit, and the company's name."""
    with opened.warehouse.connection() as connection:

        def read(tables: Sequence[TableSchema]) -> dict[str, pl.DataFrame]:
            return {table.name: read_table(connection, table, table.columns_without_record) for table in tables}

        frames = {**read(_SALESFORCE_INPUTS), **read(_QUICKBOOKS_INPUTS), "matches": read_table(connection, MATCHES)}
    names = frames["company_info"].get_column("name").drop_nulls()
    return AuditInputs(**frames), names.item(0) if names.len() else ""
