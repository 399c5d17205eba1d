"""How long a write waits before it is tried again, and how it is given up."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from qbsf_pipeline.flows.remedies import explain
from qbsf_pipeline.settings import PushRules
from qbsf_pipeline.state.ledger import Ledger, LedgerEntry

logger = logging.getLogger(__name__)


def first_wait(rules: PushRules) -> timedelta:
    """The wait after an outage, which says nothing about the record."""
    return timedelta(seconds=rules.first_wait_seconds)


def next_wait(rules: PushRules, attempts: int) -> timedelta:
    """Twice as long after each attempt, from the rules' first wait to their longest."""
    seconds = rules.first_wait_seconds * 2 ** min(attempts - 1, 20)
    return timedelta(seconds=min(seconds, rules.longest_wait_seconds))


def give_up(ledger: Ledger, entry: LedgerEntry, code: str, message: str, now: datetime) -> None:
    """A service refuses a write for good: a person is needed, and is told why in words."""
    ledger.bury(entry.key, code, explain(entry, code, message), now)
    logger.warning("%s %s refused: %s %s", entry.operation, entry.source_id, code, message)
