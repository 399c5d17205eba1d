"""``qbsf approve`` and ``qbsf reject``: a person's word on what is planned for a record, or on a whole plan."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from qbsf_pipeline.cli.flow_tables import FLOW_TABLES, batches, plans
from qbsf_pipeline.cli.options import Json, person
from qbsf_pipeline.cli.output import print_json, say
from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.settings import Settings, load_settings
from qbsf_pipeline.state.database import State
from qbsf_pipeline.warehouse.connection import Warehouse

PlanIds = Annotated[list[str], typer.Argument(metavar="PLAN_ID...", help="P-... of a record, or B-... of a whole plan.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Why; kept with the decision.")]


def approve(plan_id: PlanIds, reason: Reason = None, json: Json = False) -> None:
    """Let the next push do these writes. What changes in the record afterwards needs another approval."""
    _decide(plan_id, "approved", reason, json)


def reject(plan_id: PlanIds, reason: Reason = None, json: Json = False) -> None:
    """Keep the next pushes from doing these writes, in every mode, as long as the record stays as it is."""
    _decide(plan_id, "rejected", reason, json)


def _decide(plan_ids: list[str], decision: str, reason: str | None, json: bool) -> None:
    settings = load_settings()
    state = State.open(settings.environment.state_url, settings.environment.home)
    known = _known(settings, state)
    unknown = [plan_id for plan_id in plan_ids if plan_id not in known]
    if unknown:
        raise ConfigurationError([f"{plan_id}: there is no such plan now; qbsf plan lists them" for plan_id in unknown])
    for plan_id in plan_ids:
        say_so = state.approvals.approve if decision == "approved" else state.approvals.reject
        say_so(plan_id, person(), datetime.now(UTC), reason)
    if json:
        print_json([{"plan_id": plan_id, "decision": decision, "what": known[plan_id]} for plan_id in plan_ids])
        return
    for plan_id in plan_ids:
        say(f"{plan_id} {decision}: {known[plan_id]}")
    if decision == "approved":
        say("The next pass does it: qbsf sync")


def _known(settings: Settings, state: State) -> dict[str, str]:
    """What can be decided now: plan ids with the record's name, and the ids of whole plans."""
    known: dict[str, str] = {}
    planned = plans(Warehouse(settings.environment.warehouse_path), FLOW_TABLES)
    for name, batch in batches(planned).items():
        known.update(planned[name].select("plan_id", "label").iter_rows())
        known[batch] = f"the whole plan of {name}, {planned[name].height} writes"
    for name in FLOW_TABLES:
        for entry in state.ledger.waiting(name):
            known.setdefault(entry.plan_id, entry.label)
            known.setdefault(entry.batch, f"the whole plan of {name}")
    return known
