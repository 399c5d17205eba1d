"""The gates before customers and accounts are changed: what must hold of the plan, or nothing of it is pushed."""

from collections.abc import Iterator, Mapping

import dagster as dg
import polars as pl

from qbsf_pipeline.customers.fields import FIELD_NAMES
from qbsf_pipeline.customers.matching.plan import MATCHES
from qbsf_pipeline.customers.plan import FIELD_DIFFERENCES, PLAN
from qbsf_pipeline.flows.approval import batch_of
from qbsf_pipeline.flows.gates import (
    GateOutcome,
    check_result,
    check_spec,
    each_record_is_written_once,
    keys_are_unique,
    not_begun_yet,
    some,
)
from qbsf_pipeline.money import parse_json
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.resources import WAREHOUSE_POOL, DoorsResource, WarehouseResource
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.settings import GateRules, Rules
from qbsf_pipeline.warehouse.connection import read_table

PLAN_KEY = dg.AssetKey(["customers", "plan"])

#: What a change of a customer may hold (Intuit's Customer): nothing that moves money or changes a currency.
_CUSTOMER_FIELDS = frozenset(
    {
        *("Id", "SyncToken", "sparse", "DisplayName", "CompanyName", "GivenName", "FamilyName", "BillAddr", "ShipAddr"),
        *("PrimaryEmailAddr", "PrimaryPhone", "WebAddr", "SalesTermRef", "Taxable", "Active", "Job", "ParentRef"),
    }
)


def only_linked_customers_are_changed(
    plan: pl.DataFrame, matches: pl.DataFrame, links: Mapping[str, frozenset[str]]
) -> GateOutcome:
    """Each customer that is changed is linked to the account whose values it gets.

    Args:
        matches: account_id, customer_id, outcome.
        links: account -> customers, of the links in force in the state.
    """
    linked = set(matches.filter(pl.col("outcome") == "linked").select("account_id", "customer_id").iter_rows())
    wrong: list[str] = []
    rows = plan.filter(pl.col("operation") == "update_customer")
    for account_id, payload, label in rows.select("account_id", "payload", "label").iter_rows():
        customer_id = _record_id(payload)
        if (account_id, customer_id) not in linked and customer_id not in links.get(account_id, frozenset()):
            wrong.append(label)
    text = (
        f"{rows.height} customers to change, each linked to its account."
        if not wrong
        else f"{len(wrong)} customers to change are not linked to the account: {some(wrong)}."
    )
    return GateOutcome("only_linked_customers_are_changed", not wrong, text)


def owners_are_respected(differences: pl.DataFrame, rules: Rules) -> GateOutcome:
    """What is written follows the owner that the rules name for the field, unless a person reversed it.

    Args:
        differences: field, owner, winner, kind, action.
    """
    owners = {name: getattr(rules.customers.fields, name).owner for name in FIELD_NAMES}
    written = differences.filter((pl.col("action") == "write") & (pl.col("kind") != "reversed"))
    wrong = sorted(
        {
            field
            for field, owner, winner in written.select("field", "owner", "winner").iter_rows()
            if owner != owners.get(field) or winner != owner
        }
    )
    text = f"{written.height} differences follow their field's owner." if not wrong else f"Against the owner: {some(wrong)}."
    return GateOutcome("owners_are_respected", not wrong, text, {"differences": differences.height})


def only_known_fields_are_written(plan: pl.DataFrame, rules: Rules) -> GateOutcome:
    """Nothing is written but the fields that are kept in step: no balance, no currency, no notes."""
    account = rules.salesforce.account
    named = (account.payment_terms, account.billing_email, account.tax_exempt, account.active)
    addresses = {
        f"{kind}{part}" for kind in ("Billing", "Shipping") for part in ("Street", "City", "State", "PostalCode", "Country")
    }
    allowed = {
        "Customer": _CUSTOMER_FIELDS,
        "Account": frozenset({"Id", "Name", "Phone", "Website", "ParentId", *addresses, *(name for name in named if name)}),
    }
    wrong: set[str] = set()
    for target, payload in plan.select("target_object", "payload").iter_rows():
        wrong |= {f"{target}.{name}" for name in parse_json(payload) if name not in allowed.get(target, frozenset())}
    text = "Only fields that are kept in step are written." if not wrong else f"Other fields: {some(sorted(wrong))}."
    return GateOutcome("only_known_fields_are_written", not wrong, text)


def names_stay_unique(plan: pl.DataFrame, taken: pl.DataFrame) -> GateOutcome:
    """No customer is given a name that another customer, a vendor or an employee has (6240), or that two would get.

    Args:
        taken: entity, id, display_name, of everything in QuickBooks that is not deleted.
    """
    known: dict[str, set[tuple[str, str]]] = {}
    for entity, record_id, name in taken.select("entity", "id", "display_name").iter_rows():
        known.setdefault((name or "").strip().casefold(), set()).add((entity, record_id))
    wrong: list[str] = []
    given: set[str] = set()
    for payload in plan.filter(pl.col("operation") == "update_customer").get_column("payload").to_list():
        body = parse_json(payload)
        name = str(body.get("DisplayName") or "").strip().casefold()
        if name and (name in given or known.get(name, set()) - {("Customer", str(body["Id"]))}):
            wrong.append(str(body["DisplayName"]))
        given |= {name} if name else set()
    text = "No name would be used twice." if not wrong else f"{len(wrong)} names are taken already: {some(wrong)}."
    return GateOutcome("names_stay_unique", not wrong, text)


def within_blast_radius(
    plan: pl.DataFrame, linked: int, rules: GateRules, decisions: Mapping[str, str], batch: str
) -> GateOutcome:
    """One pass changes no larger share of the customers than the rules allow: an import must not rewrite the ledger's address
    book unseen.

    A person who approves the whole plan opens this gate for exactly that plan.

    Args:
        linked: how many accounts and customers are linked.
        decisions: approved or rejected, by plan id or id of the whole plan.
        batch: the id of the whole plan, as it was made: what a push has begun since then does not change it.
    """
    changed = plan.height
    share = changed / linked if linked else 1.0
    figures = {"records": changed, "linked": linked, "plan": batch}
    known = f"{changed} records to change, of {linked} linked customers"
    if changed <= rules.max_customer_changes or share <= rules.max_customer_changes_share:
        return GateOutcome("within_blast_radius", True, f"{known}.", figures)
    limit = f"at most {rules.max_customer_changes}, or {rules.max_customer_changes_share:.0%} of the linked customers"
    if decisions.get(batch) == "approved":
        return GateOutcome("within_blast_radius", True, f"Approved by a person: {known} ({limit}).", figures)
    todo = f"Look at them with qbsf plan --flow customers, then: qbsf approve {batch}"
    text = f"{known}: more than one pass may change ({limit}). {todo}"
    return GateOutcome("within_blast_radius", False, text, figures)


def _record_id(payload: str) -> str:
    return str(parse_json(payload).get("Id"))


@dg.multi_asset_check(
    name="customer_plan_gates",
    specs=[
        check_spec("no_write_is_planned_twice", PLAN_KEY, "Protects against the same write under two names."),
        check_spec("each_record_is_written_once", PLAN_KEY, "Protects against two writes that undo each other."),
        check_spec("only_linked_customers_are_changed", PLAN_KEY, "Protects against another company's data on a customer."),
        check_spec("owners_are_respected", PLAN_KEY, "Protects fields from the side that does not own them."),
        check_spec("only_known_fields_are_written", PLAN_KEY, "Protects everything that is not kept in step."),
        check_spec("names_stay_unique", PLAN_KEY, "Protects against renaming a customer to a taken name."),
        check_spec("within_blast_radius", PLAN_KEY, "Protects against a mass change that nobody looked at."),
    ],
    pool=WAREHOUSE_POOL,
)
def plan_gates(doors: DoorsResource, warehouse: WarehouseResource) -> Iterator[dg.AssetCheckResult]:
    """The gates over the plan."""
    opened = doors.open(warehouse)
    rules = opened.settings.rules
    with opened.warehouse.connection() as connection:
        whole = read_table(connection, PLAN)
        differences = read_table(connection, FIELD_DIFFERENCES)
        matches = read_table(connection, MATCHES, ["account_id", "customer_id", "outcome"])
        named = [
            read_table(connection, table, ["id", "display_name", "is_deleted"]).with_columns(pl.lit(entity).alias("entity"))
            for table, entity in (
                (quickbooks.CUSTOMER, "Customer"),
                (quickbooks.VENDOR, "Vendor"),
                (quickbooks.EMPLOYEE, "Employee"),
            )
        ]
        accounts = read_table(connection, salesforce.ACCOUNT, ["id", "is_deleted"])
    batch = batch_of(whole.get_column("plan_id").to_list())
    plan = not_begun_yet(whole, opened.state.ledger.lookup(whole.get_column("key").to_list()))
    links: dict[str, frozenset[str]] = {}
    for link in opened.state.links.all_customers():
        links[link.account_id] = links.get(link.account_id, frozenset()) | {link.customer_id}
    live = set(accounts.filter(~pl.col("is_deleted")).get_column("id").to_list())
    linked = matches.filter((pl.col("outcome") == "linked") & pl.col("account_id").is_in(list(live))).height
    taken = pl.concat(named).filter(~pl.col("is_deleted"))
    yield check_result(keys_are_unique(plan), PLAN_KEY)
    yield check_result(each_record_is_written_once(plan), PLAN_KEY)
    yield check_result(only_linked_customers_are_changed(plan, matches, links), PLAN_KEY)
    yield check_result(owners_are_respected(differences, rules), PLAN_KEY)
    yield check_result(only_known_fields_are_written(plan, rules), PLAN_KEY)
    yield check_result(names_stay_unique(plan, taken), PLAN_KEY)
    yield check_result(within_blast_radius(plan, linked, rules.gates, opened.state.approvals.decisions(), batch), PLAN_KEY)
