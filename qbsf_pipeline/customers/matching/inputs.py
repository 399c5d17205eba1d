"""What a matching is made from: both systems as they were pulled, and what the state remembers of people and links."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from qbsf_pipeline.customers.matching.normalising import registrable_domain
from qbsf_pipeline.customers.matching.plan import (
    DECISIONS,
    LINKS,
    PERSONS_METHODS,
    REJECTIONS,
    CustomerMatches,
    match_customers,
    survivor_of,
)
from qbsf_pipeline.customers.matching.successors import CREATED_INVOICES, SUCCESSORS, find_successors
from qbsf_pipeline.money import parse_json
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.settings import Rules
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.ledger import LedgerEntry
from qbsf_pipeline.warehouse.connection import Warehouse, read_table

#: One in so many users of the org: a domain with fewer is a partner's.
_SHARE_OF_THE_HOUSE = 10
#: Methods by which a link stands on what somebody wrote into the account, not on a comparison.
_WRITTEN_BY_SOMEBODY = frozenset({*PERSONS_METHODS, "stored_id"})


@dataclass(frozen=True)
class MatchingInputs:
    """Frames for :func:`match_customers`, under the names of its arguments; ``users`` tell the house's own domains."""

    accounts: pl.DataFrame
    customers: pl.DataFrame
    contacts: pl.DataFrame
    links: pl.DataFrame
    decisions: pl.DataFrame
    rejections: pl.DataFrame
    successors: pl.DataFrame
    users: pl.DataFrame

    def match(self, rules: Rules) -> CustomerMatches:
        """Match everything by these rules."""
        return match_customers(
            self.accounts,
            self.customers,
            self.contacts,
            self.links,
            self.decisions,
            rules,
            own_domains(self.users),
            rejections=self.rejections,
            successors=self.successors,
        )


def read_inputs(warehouse: Warehouse, state: State) -> MatchingInputs:
    """Everything that a matching is made from, as the warehouse and the state hold it now."""
    with warehouse.connection() as connection:
        accounts, contacts, customers = (
            read_table(connection, table, table.columns_without_record)
            for table in (salesforce.ACCOUNT, salesforce.CONTACT, quickbooks.CUSTOMER)
        )
        users = read_table(connection, salesforce.USER, ["email", "is_active"])
        invoices = read_table(connection, quickbooks.INVOICE, ["id", "customer_id", "is_deleted"])
    links, decisions, rejections = people_of(state)
    return MatchingInputs(
        accounts=accounts,
        customers=customers,
        contacts=contacts,
        links=links,
        decisions=decisions,
        rejections=rejections,
        successors=_successors(state, accounts, customers, invoices, links),
        users=users,
    )


def people_of(state: State) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Links in force, people's decisions and rejections: frames of ``plan.LINKS``, ``DECISIONS`` and ``REJECTIONS``."""
    links = [{name: getattr(link, name) for name in LINKS} for link in state.links.all_customers()]
    decisions = [
        {"account_id": decision.account_id, "decision": decision.decision, "customer_id": decision.customer_id}
        for decision in state.reviews.decisions().values()
    ]
    rejections = [{"account_id": one.account_id, "customer_id": one.customer_id} for one in state.rejections.all()]
    return (
        pl.DataFrame(links, schema=LINKS),
        pl.DataFrame(decisions, schema=DECISIONS),
        pl.DataFrame(rejections, schema=REJECTIONS),
    )


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


def created_invoices(entries: list[LedgerEntry]) -> pl.DataFrame:
    """Which customer each invoice was created for, of ``successors.CREATED_INVOICES``.

    Args:
        entries: of the ledger; those that are no invoice that was created are left out.
    """
    rows: list[dict[str, Any]] = []
    for entry in entries:
        if entry.operation == "create_invoice" and entry.status == "done" and entry.result_id:
            customer = ((parse_json(entry.result or "{}") or {}).get("CustomerRef") or {}).get("value")
            rows.append({"invoice_id": entry.result_id, "customer_id": None if customer is None else str(customer)})
    return pl.DataFrame(rows, schema=CREATED_INVOICES)


def without_own_work(inputs: MatchingInputs) -> MatchingInputs:
    """The inputs as if the program had never linked anything by itself: for trying rules on everything.

    Links, decisions and rejections of people stay, and so do the notes of customers that the program created. An id on an
    account does not count where the program linked that customer itself, for then it wrote the id.
    """
    by_somebody = inputs.links.filter(pl.col("method").is_in(sorted(_WRITTEN_BY_SOMEBODY)))
    by_rule = inputs.links.filter(~pl.col("method").is_in(sorted(_WRITTEN_BY_SOMEBODY))).select(
        pl.col("account_id").alias("id"), "customer_id", pl.lit(True).alias("written_by_us")
    )
    stored = inputs.accounts.get_column("customer_id").str.strip_chars()
    accounts = (
        inputs.accounts.with_columns(stored)
        .join(by_rule, on=["id", "customer_id"], how="left", maintain_order="left")
        .with_columns(pl.when(pl.col("written_by_us").is_null()).then(pl.col("customer_id")).alias("customer_id"))
        .drop("written_by_us")
    )
    return replace(inputs, accounts=accounts, links=by_somebody)


def _successors(
    state: State, accounts: pl.DataFrame, customers: pl.DataFrame, invoices: pl.DataFrame, links: pl.DataFrame
) -> pl.DataFrame:
    usable = customers.filter(pl.col("active").fill_null(True) & ~pl.col("is_deleted").fill_null(False)).get_column("id")
    stored = accounts.select(pl.col("id").alias("account_id"), pl.col("customer_id").str.strip_chars())
    named = pl.concat([links.select("account_id", "customer_id"), stored]).filter(pl.col("customer_id").fill_null("") != "")
    dangling = set(named.filter(~pl.col("customer_id").is_in(usable.implode())).get_column("account_id").to_list())
    if not dangling:
        # Nearly always: then the ledger need not be read.
        return SUCCESSORS.to_frame()
    lost = accounts.filter(pl.col("master_record_id").is_not_null()).select("id", "master_record_id")
    merged = dict(lost.iter_rows())
    keys = [
        row["key"]
        for row in state.ledger.as_rows(operation="create_invoice")
        if row["account_id"] and {row["account_id"], survivor_of(row["account_id"], merged)} & dangling
    ]
    return find_successors(created_invoices(list(state.ledger.lookup(keys).values())), invoices, customers)
