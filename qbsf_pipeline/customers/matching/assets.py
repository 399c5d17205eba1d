"""The asset that says which QuickBooks customer each Salesforce account is."""

import hashlib

import dagster as dg
import duckdb
import polars as pl

from qbsf_pipeline.customers.matching.normalising import registrable_domain
from qbsf_pipeline.customers.matching.plan import DECISIONS, LINKS, MATCHES, REVIEWS, RULE_VERSION, match_customers
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.resources import WAREHOUSE_POOL, DoorsResource, WarehouseResource
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.settings import Rules
from qbsf_pipeline.state.database import State
from qbsf_pipeline.warehouse.assets import OWNERS, table_key
from qbsf_pipeline.warehouse.connection import ensure_table, read_table, replace_rows
from qbsf_pipeline.warehouse.preview import column_schema, preview_of
from qbsf_pipeline.warehouse.tables import Column, TableSchema

_SOURCES = (salesforce.ACCOUNT, salesforce.CONTACT, salesforce.USER, quickbooks.CUSTOMER)

MADE_FROM = TableSchema(
    "pipeline",
    "made_from",
    (
        Column("table_name", pl.String, "Derived table, schema.name"),
        Column("made_from", pl.String, "Hash of everything that it was last made from"),
    ),
    ("table_name",),
    "What derived tables were last made from, so that they are not made again from the same. A row is one derived table.",
)

#: One in so many users of the org: a domain with fewer is a partner's.
_SHARE_OF_THE_HOUSE = 10


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
    links, decisions = _people(opened.state)
    with opened.warehouse.connection() as connection:
        made_from = _made_from(connection, links, decisions, rules)
        found = read_table(connection, MATCHES) if _last_made_from(connection) == made_from else None
        accounts, contacts, customers = (
            read_table(connection, table, table.columns_without_record)
            for table in (salesforce.ACCOUNT, salesforce.CONTACT, quickbooks.CUSTOMER)
        )
        users = read_table(connection, salesforce.USER, ["email", "is_active"])
    if found is None:
        matched = match_customers(accounts, customers, contacts, links, decisions, rules, own_domains(users))
        found = matched.matches
        with opened.warehouse.transaction() as connection:
            replace_rows(connection, MATCHES, matched.matches)
            replace_rows(connection, REVIEWS, matched.reviews)
            replace_rows(connection, MADE_FROM, MADE_FROM.frame([{"table_name": "customers.matches", "made_from": made_from}]))
    outcomes = dict(found.get_column("outcome").value_counts().iter_rows())
    shown = found.sort(pl.col("outcome") != "review", "account_name").drop("evidence", "candidates")
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": found.height,
            "preview": preview_of(shown),
            **{outcome: outcomes.get(outcome, 0) for outcome in ("linked", "create", "review", "ignored")},
        }
    )


def _made_from(connection: duckdb.DuckDBPyConnection, links: pl.DataFrame, decisions: pl.DataFrame, rules: Rules) -> str:
    """A hash over everything that a match depends on: the records' contents, links, decisions, rules and their version."""
    parts = [RULE_VERSION, rules.customers.model_dump_json()]
    for table in _SOURCES:
        ensure_table(connection, table)
        sums = connection.execute(
            f"SELECT count(*), bit_xor(hash(id, content_hash, is_deleted)) FROM {table.qualified_name}"
        ).fetchall()
        parts.append(str(sums[0]))
    parts += [str(sorted(frame.rows(), key=str)) for frame in (links, decisions)]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()


def _last_made_from(connection: duckdb.DuckDBPyConnection) -> str | None:
    rows = read_table(connection, MADE_FROM).filter(pl.col("table_name") == "customers.matches")
    return rows.get_column("made_from").item(0) if rows.height else None


def own_domains(users: pl.DataFrame) -> frozenset[str]:
    """E-mail domains of the house itself: those of at least a tenth of the org's active users.

    Partners and customers may be users too, each with a domain that few share.

    Args:
        users: email, is_active.
    """
    hosts = users.filter(pl.col("is_active").fill_null(True) & pl.col("email").str.contains("@")).select(
        pl.col("email").str.to_lowercase().str.split("@").list.last().alias("host")
    )
    counts = hosts.group_by("host").len()
    return frozenset(
        registrable_domain(host) for host, number in counts.iter_rows() if number * _SHARE_OF_THE_HOUSE >= hosts.height
    ) - {""}


def _people(state: State) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Links in force and people's decisions, as frames of :data:`LINKS` and :data:`DECISIONS`."""
    links = [
        {"account_id": link.account_id, "customer_id": link.customer_id, "method": link.method, "decided_by": link.decided_by}
        for link in state.links.all_customers()
    ]
    decisions = [
        {"account_id": decision.account_id, "decision": decision.decision, "customer_id": decision.customer_id}
        for decision in state.reviews.decisions().values()
    ]
    return pl.DataFrame(links, schema=LINKS), pl.DataFrame(decisions, schema=DECISIONS)
