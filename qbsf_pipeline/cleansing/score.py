"""How ready each system is for launch: a number from 0 to 100 with a formula that can be done by hand.

Every live record that an audit looks at has a weight: 4 where won or open deals or open money hang on it, else 1. It loses the
cost of its worst finding: 1.00 for what stops an invoice, less for less (:mod:`findings`); a second finding on the same record
costs nothing more. The score is 100 times what is left of the weights, divided by all weights, rounded down to one decimal, so
that 100.0 means that nothing was found. A system without records scores 100.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING

from qbsf_pipeline.cleansing.findings import SEVERITIES, SYSTEMS, Finding, System
from qbsf_pipeline.cleansing.records import Records

if TYPE_CHECKING:
    from qbsf_pipeline.state.database import State

_IN_USE, _AT_REST = 4, 1
_TENTH = Decimal("0.1")


@dataclass(frozen=True)
class Score:
    """The readiness of one system.

    Attributes:
        value: 0 to 100, one decimal.
        records: records that were looked at.
        without_error: of these, how many have no finding of severity error.
        audited_at: when (UTC); ``None`` until the audit is kept.
    """

    system: System
    value: Decimal
    records: int
    without_error: int
    errors: int
    warnings: int
    hints: int
    audited_at: datetime | None = None


def scores(records: Records, findings: Sequence[Finding]) -> dict[System, Score]:
    """The score of each system, from the records and what was found of them."""
    weights = record_weights(records)
    costs: dict[tuple[System, str, str], Decimal] = {}
    spoilt: set[tuple[System, str, str]] = set()
    for finding in findings:
        for record_id in finding.records:
            key = (finding.system, finding.record_object, record_id)
            costs[key] = max(costs.get(key, Decimal(0)), finding.cost)
            if finding.severity == "error":
                spoilt.add(key)
    found: dict[System, Score] = {}
    for system in SYSTEMS:
        mine = {key: weight for key, weight in weights.items() if key[0] == system}
        whole = sum(mine.values())
        left = sum((weight * (1 - costs.get(key, Decimal(0))) for key, weight in mine.items()), Decimal(0))
        value = (100 * left / whole).quantize(_TENTH, ROUND_DOWN) if whole else Decimal("100.0")
        counts = dict.fromkeys(SEVERITIES, 0)
        for finding in findings:
            if finding.system == system:
                counts[finding.severity] += 1
        found[system] = Score(
            system, value, len(mine), len(mine.keys() - spoilt), counts["error"], counts["warning"], counts["hint"]
        )
    return found


def record_weights(records: Records) -> Mapping[tuple[System, str, str], int]:
    """(system, object, id) -> weight of every record that is looked at: accounts, their contacts, products, owners; active
    customers and items, and inactive ones that are still in use."""
    weights: dict[tuple[System, str, str], int] = {}

    def put(system: System, name: str, key: str, in_use: bool) -> None:
        weights[system, name, key] = _IN_USE if in_use else _AT_REST

    for key in records.accounts:
        put("salesforce", "Account", key, records.deals_on(key) > 0)
    for key, contact in records.contacts.items():
        if contact["account_id"] in records.accounts:
            put("salesforce", "Contact", key, False)
    for key, product in records.products.items():
        if key in records.sold or product["is_active"] is not False:
            put("salesforce", "Product2", key, key in records.sold)
    for key in {deal["owner_id"] for deal in records.deals.values()} | {row["owner_id"] for row in records.accounts.values()}:
        if key in records.users:
            put("salesforce", "User", key, False)
    for key, customer in records.customers.items():
        in_use = records.customer_in_use(customer)
        if in_use or customer["active"] is not False:
            put("quickbooks", "Customer", key, in_use)
    sold = {records.item_of[key].item_id for key in records.sold if key in records.item_of}
    for item in records.catalogue.items:
        if item.sellable and (item.active or item.item_id in sold):
            put("quickbooks", "Item", item.item_id, item.item_id in sold)
    return weights


def latest_scores(state: State) -> Mapping[System, Score] | None:
    """The scores of the newest audit, by system; ``None`` where there was none yet."""
    latest = state.cleansing.latest()
    if latest is None:
        return None
    counts = latest.counts
    return {
        system: Score(
            system=system,
            value=Decimal(str(latest.scores[system])),
            records=int(counts.get(f"{system}.records", 0)),
            without_error=int(counts.get(f"{system}.without_error", 0)),
            errors=int(counts.get(f"{system}.error", 0)),
            warnings=int(counts.get(f"{system}.warning", 0)),
            hints=int(counts.get(f"{system}.hint", 0)),
            audited_at=latest.at,
        )
        for system in SYSTEMS
        if system in latest.scores
    }
