"""How planned updates of deals become API calls, and what their answers mean.

Every update goes through the ledger, two hundred in one call. An update by id writes the same values again, so one whose answer
was lost may be repeated, as long as the newest plan still asks for it just so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from qbsf_pipeline.flows.runnable import runnable
from qbsf_pipeline.flows.salesforce_updates import update_records
from qbsf_pipeline.money import parse_json
from qbsf_pipeline.payments.tables import FLOW
from qbsf_pipeline.salesforce.client import SalesforceClient
from qbsf_pipeline.settings import Environment, Rules
from qbsf_pipeline.state.database import State


@dataclass(frozen=True)
class PushContext:
    """What a push works with.

    Attributes:
        planned: payload by key in the newest plan; what is not in it just so is left alone.
        clock: now, aware UTC.
        progress: told in plain words what is being done.
    """

    state: State
    salesforce: SalesforceClient
    rules: Rules
    environment: Environment
    planned: Mapping[str, str]
    clock: Callable[[], datetime]
    progress: Callable[[str], None]


@dataclass
class PushOutcome:
    """What a push came to.

    Attributes:
        deals: deals that hold what was planned because of this push.
        refused: updates that Salesforce refused, for good or for now.
        held: (key, why) of entries that were left alone.
        unavailable: by system, why the push had to stop calling it.
    """

    deals: int = 0
    refused: int = 0
    held: list[tuple[str, str]] = field(default_factory=list)
    unavailable: dict[str, str] = field(default_factory=dict)


def push(context: PushContext, outcome: PushOutcome) -> None:
    """Do everything that is ready, and say in ``outcome`` what came of it. The caller holds the push lock.

    Raises:
        AccessRefused: a connection needs a person; what was done before stands in ``outcome``.
    """
    for entry in context.state.ledger.sending(FLOW):
        context.state.ledger.release(entry.key, context.clock())
    mode, now = context.environment.mode, context.clock()
    done = update_records(
        context.state.ledger,
        context.salesforce,
        context.rules.push,
        runnable(context.state, FLOW, "update_opportunity", mode, now, outcome.held, context.planned),
        lambda entry: dict(parse_json(entry.payload)),
        context.clock,
        context.progress,
    )
    outcome.deals += done.written
    outcome.refused += done.refused
    if done.unavailable is not None:
        outcome.unavailable["salesforce"] = done.unavailable
