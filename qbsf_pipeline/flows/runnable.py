"""Which writes of a flow may be carried out now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from qbsf_pipeline.flows.approval import allowed_keys
from qbsf_pipeline.settings import Mode
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.ledger import LedgerEntry


def runnable(
    state: State,
    flow: str,
    operation: str,
    mode: Mode,
    now: datetime,
    held: list[tuple[str, str]],
    planned: Mapping[str, str] | None = None,
) -> list[LedgerEntry]:
    """Ready entries of one operation whose dependencies are done and that are approved where the mode asks for it.

    Args:
        held: takes (key, why) of the entries that are left alone.
        planned: payload by key in the newest plan: what is not in it just so is left alone, because the ledger may be a
            restored copy, older than the plan. ``None`` where that is no question.
    """
    ready = state.ledger.ready(flow, now)
    allowed = allowed_keys(ready, state.approvals.decisions(), needs_approval=mode is Mode.APPROVE)
    wanted = [entry for entry in ready if entry.operation == operation]
    dependencies = state.ledger.lookup({key for entry in wanted for key in entry.depends_on})
    done = {key for key, dependency in dependencies.items() if dependency.status == "done"}
    found: list[LedgerEntry] = []
    for entry in wanted:
        if entry.key not in allowed:
            held.append((entry.key, "waits for approval"))
        elif planned is not None and planned.get(entry.key) != entry.payload:
            held.append((entry.key, "is not in the newest plan"))
        elif done.issuperset(entry.depends_on):
            found.append(entry)
    return found


def waiting(state: State, flow: str, mode: Mode, now: datetime) -> int:
    """How many writes a push of the flow could do now, those included whose answer was lost."""
    ready = state.ledger.ready(flow, now)
    allowed = allowed_keys(ready, state.approvals.decisions(), needs_approval=mode is Mode.APPROVE)
    lookup = state.ledger.lookup({key for entry in ready for key in entry.depends_on})
    able = [
        entry
        for entry in ready
        if entry.key in allowed
        and all(key in allowed or (key in lookup and lookup[key].status == "done") for key in entry.depends_on)
    ]
    return len(able) + len(state.ledger.sending(flow))
