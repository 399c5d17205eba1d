"""What surrounds every step that calls a service: its calls are counted, and an outage is told once, and once when it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import dagster as dg

from qbsf_pipeline.errors import (
    SYSTEM_NAMES,
    AccessRefused,
    ConfigurationError,
    OutcomeUnknown,
    RecordRefused,
    ServiceError,
    ServiceUnavailable,
)
from qbsf_pipeline.resources import Doors
from qbsf_pipeline.slack.blocks import escape, section
from qbsf_pipeline.slack.delivery import Delivered, deliver
from qbsf_pipeline.state.outbox import Message

#: How a run whose failure was told already is known to the sensor that tells of failed runs.
TOLD_TAG = "qbsf/told"


@dataclass
class Step:
    """What a step reports of itself: counts for people, in words of the flow."""

    counts: dict[str, int] = field(default_factory=dict)


@contextmanager
def step(doors: Doors, flow: str, name: str, run_id: str) -> Iterator[Step]:
    """Record a step of a pass: when, how it ended, its counts and its API calls.

    Raises:
        dagster.Failure: instead of the errors of services and settings, with what a person needs to know; never retried.
    """
    state = doors.state
    reported = Step()
    pass_id = state.passes.begin(flow, doors.settings.mode.value, name, doors.now())
    outcome = "failed"
    try:
        yield reported
        outcome = "done"
    except ServiceUnavailable as error:
        tell_down(doors, error.system, error.message)
        raise dg.Failure(_sentence(error), allow_retries=False, metadata={TOLD_TAG: True}) from error
    except (AccessRefused, RecordRefused, OutcomeUnknown) as error:
        raise dg.Failure(_sentence(error), allow_retries=False) from error
    except ConfigurationError as error:
        raise dg.Failure("\n".join(error.problems), allow_retries=False) from error
    finally:
        calls: dict[str, int] = {}
        for kind, number in doors.meter.totals().items():
            calls[f"{kind.system}.{kind.kind}"] = calls.get(f"{kind.system}.{kind.kind}", 0) + number
        state.passes.end(pass_id, outcome, reported.counts, calls, run_id, doors.now())


def tell_down(doors: Doors, system: str, reason: str, *, writing: bool = False) -> None:
    """Say once that a service is down; nothing more until it is back.

    Args:
        writing: it was met while writing. A service that can be read and not written is still down: reading does not end it.
    """
    if not doors.settings.mode.writes:
        return
    now = doors.now()
    with doors.state.transaction():
        known = _is_down(doors, system)
        if doors.state.services.went_down(_outage(system, writing), reason, now) and not known:
            name = SYSTEM_NAMES.get(system, system)
            rest = "Nothing is lost; everything goes on once it is back."
            text = f":rotating_light: *{name} does not answer.* {escape(reason)}\n{rest}"
            doors.state.outbox.put([_message(doors, f"down:{system}:{now.isoformat()}", f"{name} does not answer", text)], now)


def tell_back(doors: Doors, system: str, *, writing: bool = False) -> None:
    """Say once that a service is back, and for how long it was away; ``writing`` as for :func:`tell_down`."""
    if not doors.settings.mode.writes:
        return
    now = doors.now()
    with doors.state.transaction():
        away = doors.state.services.came_back(_outage(system, writing), now)
        if away is not None and not _is_down(doors, system):
            name = SYSTEM_NAMES.get(system, system)
            minutes = max(1, round(away.total_seconds() / 60))
            text = f":white_check_mark: *{name} answers again*, after {minutes} minute{'s' if minutes != 1 else ''}."
            doors.state.outbox.put([_message(doors, f"back:{system}:{now.isoformat()}", f"{name} answers again", text)], now)


def _outage(system: str, writing: bool) -> str:
    return f"{system}:writes" if writing else system


def _is_down(doors: Doors, system: str) -> bool:
    return any(known.partition(":")[0] == system for known in doors.state.services.down())


def deliver_messages(doors: Doors, budget_seconds: float = 20.0) -> Delivered | None:
    """Send what waits in the outbox; ``None`` where this mode tells nobody. What Slack does not take now waits."""
    if doors.slack is None:
        return None
    delivered = deliver(
        doors.state.outbox,
        doors.slack,
        now=doors.now,
        sleep=time.sleep,
        budget_seconds=budget_seconds,
        exclusive=doors.state.exclusive,
        alerts_channel=doors.settings.environment.alerts_channel,
    )
    if delivered.unavailable is not None:
        doors.state.services.went_down("slack", delivered.unavailable, doors.now())
    elif delivered.sent:
        doors.state.services.came_back("slack", doors.now())
    return delivered


def _message(doors: Doors, key: str, plain: str, text: str) -> Message:
    return Message(
        dedupe_key=key,
        channel=doors.settings.environment.alerts_channel,
        text=plain,
        blocks=[section(text)],
        thread_of=None,
        kind="service",
    )


def _sentence(error: ServiceError) -> str:
    name = SYSTEM_NAMES.get(error.system, error.system)
    reference = f" (reference {error.request_reference})" if error.request_reference else ""
    return f"{name}: {error.message} (code {error.code}){reference}"
