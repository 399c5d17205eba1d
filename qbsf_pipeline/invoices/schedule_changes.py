"""Carries out what a person approved of billing schedules. Nothing leaves the state: the next plan bills by the new schedule.

A plan begins with it, and so does a push, for a person may approve between the two.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import datetime

from qbsf_pipeline.flows.runnable import runnable
from qbsf_pipeline.invoices.schedule_tables import changed_schedule
from qbsf_pipeline.invoices.tables import FLOW
from qbsf_pipeline.money import parse_json
from qbsf_pipeline.settings import Mode
from qbsf_pipeline.state.billing_schedules import ScheduleConflict
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.ledger import LedgerEntry, Sending

OPERATION = "change_schedule"


def change_schedules(
    state: State, mode: Mode, planned: Mapping[str, str] | None, clock: Callable[[], datetime], held: list[tuple[str, str]]
) -> frozenset[str]:
    """Keep every schedule that was approved. Returns its deals. The caller holds the push lock.

    Args:
        planned: payload by key in the newest plan; ``None`` before a new one is made.
        held: takes (key, why) of what waits.
    """
    # One that was begun and not finished is kept once more: that changes nothing if it was kept.
    begun = [entry for entry in state.ledger.sending(FLOW) if entry.operation == OPERATION]
    ready = runnable(state, FLOW, OPERATION, mode, clock(), held, planned)
    if ready:
        state.ledger.start([Sending(entry.key, uuid.uuid4().hex, entry.payload) for entry in ready], clock())
    people = {approval.subject: approval.decided_by for approval in state.approvals.history()}
    return frozenset(entry.source_id for entry in (*begun, *ready) if _keep(state, entry, people, clock()))


def _keep(state: State, entry: LedgerEntry, people: Mapping[str, str], now: datetime) -> bool:
    person = people.get(entry.plan_id) or people.get(entry.batch) or "a person"
    # What was begun is what was approved, whatever a later plan said.
    agreed = changed_schedule(parse_json(entry.sent_body or entry.payload), person)
    try:
        with state.transaction():
            state.billing_schedules.agree([agreed], now)
            state.ledger.finish(entry.key, agreed.opportunity_id, entry.payload, now)
    except ScheduleConflict as error:
        state.ledger.bury(entry.key, "schedule_changed", f"{error}. Approve what qbsf plan shows now.", now)
        return False
    return True
