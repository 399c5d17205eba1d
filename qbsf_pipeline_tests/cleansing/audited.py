"""An audit of a small world, for tests: sound until a test changes something."""

from __future__ import annotations

from typing import Any

from qbsf_pipeline.cleansing.findings import Finding
from qbsf_pipeline.cleansing.plan import Audit, AuditInputs, audit
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline.settings import Rules, load_rules
from qbsf_pipeline_tests.invoices.records import TODAY, World, account, frame, opportunity, record_id

SELLER = {"id": record_id("005"), "name": "Dana Whitfield", "email": "dana@house.test", "is_active": True}


def inputs(world: World, users: list[dict[str, Any]] | None = None, rules: Rules | None = None) -> AuditInputs:
    """The world as an audit takes it."""
    found = vars(world.inputs(rules))
    names = set(AuditInputs.__dataclass_fields__) - {"user"}
    return AuditInputs(**{name: found[name] for name in names}, user=frame(salesforce.USER, users or [SELLER]))


def audited(world: World, rules: Rules | None = None, users: list[dict[str, Any]] | None = None) -> Audit:
    """What an audit of the world finds."""
    return audit(inputs(world, users, rules), rules or load_rules(), TODAY)


def found(world: World, rules: Rules | None = None, users: list[dict[str, Any]] | None = None) -> dict[str, list[Finding]]:
    """The findings by kind."""
    by_kind: dict[str, list[Finding]] = {}
    for finding in audited(world, rules, users).findings:
        by_kind.setdefault(finding.code, []).append(finding)
    return by_kind


def another_account(number: int = 2, **values: Any) -> dict[str, Any]:
    """An account that has nothing in common with account 1."""
    other = {
        "name": f"Zenith Bakery {'ABCDEFGH'[number]}",
        "billing_street": f"{number}7 Kiln Lane",
        "billing_city": "Asheville",
        "billing_state": "NC",
        "billing_postal_code": "28801",
        "phone": f"(828) 555-01{number:02d}",
        "website": f"https://zenith{number}.example",
        "billing_email": f"bills@zenith{number}.example",
    }
    return account(number, **{**other, **values})


def open_deal(number: int = 2, **values: Any) -> dict[str, Any]:
    """An open deal."""
    return opportunity(number, **{"is_won": False, "is_closed": False, "stage_name": "Negotiation", **values})
