"""The assets of matching: which QuickBooks customer each account is, and the page on which people see what waits for them."""

import os
from pathlib import Path

import dagster as dg
import duckdb
import polars as pl

from qbsf_pipeline.customers.matching.inputs import MatchingInputs, read_inputs
from qbsf_pipeline.customers.matching.messages import totals
from qbsf_pipeline.customers.matching.plan import MATCHES, REVIEWS, RULE_VERSION
from qbsf_pipeline.customers.matching.review_page import PageLinks, questions_as_markdown, review_page
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.resources import WAREHOUSE_POOL, DoorsResource, WarehouseResource
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.settings import Environment, Rules
from qbsf_pipeline.warehouse.assets import OWNERS, table_key
from qbsf_pipeline.warehouse.connection import read_table, replace_rows
from qbsf_pipeline.warehouse.made_from import fingerprint, last_made_from, remember_made_from
from qbsf_pipeline.warehouse.preview import column_schema, preview_of

REVIEWS_PAGE_KEY = dg.AssetKey(["customers", "reviews_page"])
#: What waits is known once a plan has become pending.
_PENDING_KEY = dg.AssetKey(["invoices", "pending"])

_SOURCES = (salesforce.ACCOUNT, salesforce.CONTACT, salesforce.USER, quickbooks.CUSTOMER)


@dg.asset(
    key=table_key(MATCHES),
    deps=[table_key(table) for table in _SOURCES],
    group_name="customers",
    kinds={"duckdb", "polars"},
    owners=OWNERS,
    description=(
        "Which QuickBooks customer each Salesforce account is: linked, to be created, or waiting for a person. A stored link "
        "comes first; a name alone is never enough."
    ),
    metadata={"dagster/column_schema": column_schema(MATCHES), "dagster/table_name": "customers.matches"},
    pool=WAREHOUSE_POOL,
)
def matches(doors: DoorsResource, warehouse: WarehouseResource) -> dg.MaterializeResult[None]:
    """Match every account against every customer and write the outcome, unless nothing of what it comes from has changed."""
    opened = doors.open(warehouse)
    rules = opened.settings.rules
    inputs = read_inputs(opened.warehouse, opened.state)
    with opened.warehouse.connection() as connection:
        made_from = _made_from(connection, inputs, rules)
        found = read_table(connection, MATCHES) if last_made_from(connection, MATCHES) == made_from else None
    if found is None:
        matched = inputs.match(rules)
        found = matched.matches
        with opened.warehouse.transaction() as connection:
            replace_rows(connection, MATCHES, matched.matches)
            replace_rows(connection, REVIEWS, matched.reviews)
            remember_made_from(connection, MATCHES, made_from)
    outcomes = dict(found.get_column("outcome").value_counts().iter_rows())
    shown = found.sort(pl.col("outcome") != "review", "account_name").drop("evidence", "candidates", "customers", "rejected")
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": found.height,
            "preview": preview_of(shown),
            **{outcome: outcomes.get(outcome, 0) for outcome in ("linked", "create", "review", "ignored")},
        }
    )


@dg.asset(
    key=REVIEWS_PAGE_KEY,
    deps=[table_key(MATCHES), _PENDING_KEY],
    group_name="customers",
    kinds={"html"},
    owners=OWNERS,
    description=(
        "The accounts whose customer a person has to name, with both records side by side, the deals that wait and the "
        "commands to decide: a page to open in a browser, without any connection."
    ),
)
def reviews_page(doors: DoorsResource, warehouse: WarehouseResource) -> dg.MaterializeResult[None]:
    """Write the page anew, as things stand now."""
    opened = doors.open(warehouse)
    environment = opened.settings.environment
    open_reviews = opened.state.reviews.list("open")
    page = review_page(open_reviews, page_links(environment), opened.now())
    path = environment.snapshot_path.with_name("reviews.html")
    write_whole(path, page)
    return dg.MaterializeResult(
        metadata={
            "path": dg.MetadataValue.path(path),
            "open": len(open_reviews),
            "deals waiting": sum(one.deals_waiting for one in open_reviews),
            "amount waiting": totals(open_reviews) or "none",
            "questions": dg.MetadataValue.md(questions_as_markdown(open_reviews)),
        }
    )


def page_links(environment: Environment) -> PageLinks:
    """Where a person opens an account, a deal and a customer."""
    org = environment.salesforce_login_url
    return PageLinks(
        account=f"{org}/lightning/r/Account/{{id}}/view" if org else None,
        deal=f"{org}/lightning/r/Opportunity/{{id}}/view" if org else None,
        customer=environment.quickbooks_link("customerdetail", "nameId", "{id}"),
    )


def write_whole(path: Path, text: str) -> None:
    """Put ``text`` (UTF-8) where it is read: a reader sees the old file or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with fresh.open("w", encoding="utf-8", errors="replace") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _made_from(connection: duckdb.DuckDBPyConnection, inputs: MatchingInputs, rules: Rules) -> str:
    """A hash over everything that a match depends on: the records' contents, what people said, rules and their version."""
    people = (inputs.links, inputs.decisions, inputs.rejections, inputs.successors)
    return fingerprint(
        connection,
        _SOURCES,
        RULE_VERSION,
        rules.customers.model_dump_json(),
        ",".join(column.name for column in MATCHES.columns),
        *(str(sorted(frame.rows(), key=str)) for frame in people),
    )
