"""How the work stands: the last pass, what waits for people, how clean the records are. Calls no service."""

from __future__ import annotations

from datetime import datetime, timedelta

from qbsf_pipeline.cleansing.score import latest_scores
from qbsf_pipeline.doctor.findings import Area, Finding
from qbsf_pipeline.errors import SYSTEM_NAMES
from qbsf_pipeline.settings import Mode
from qbsf_pipeline.state.database import State

AREA = Area.WORK

_LATE = timedelta(hours=24)


def check_passes(state: State, mode: Mode, now: datetime) -> list[Finding]:
    """When the last pass was, and how it ended."""
    last = state.passes.recent(limit=1)
    if not last:
        return [AREA.ok("last pass", "none yet")]
    one = last[0]
    age = now - one.begun_at
    text = f"{_ago(age)} ago ({one.flow}, {one.trigger}): {one.outcome or 'under way, or its process died'}"
    if one.outcome == "failed":
        return [AREA.warning("last pass", text, "qbsf status and the Dagster UI tell why; qbsf sync tries again")]
    if age > _LATE and mode in (Mode.APPROVE, Mode.LIVE):
        mend = "Start the daemon (qbsf dev), or let cron run qbsf sync"
        return [AREA.warning("last pass", f"{text}; in mode {mode.value} there should be one every day", mend)]
    return [AREA.ok("last pass", text)]


def check_waiting(state: State) -> list[Finding]:
    """What waits for a person or for a service."""
    findings: list[Finding] = []
    for number, what, command in (
        (len(state.failures.list("open")), "records that need a person", "qbsf failures"),
        (len(state.reviews.list("open")), "accounts whose customer a person must name", "qbsf review"),
    ):
        if number:
            findings.append(AREA.warning(command, f"{what}: {number}", f"{command} lists them, and says what to do with each"))
    if not findings:
        findings.append(AREA.ok("people", "nothing waits for a person"))
    counts = state.outbox.counts()
    waiting = counts.get("waiting", 0) + counts.get("sending", 0)
    reasons = state.outbox.reasons()
    if reasons:
        text = f"{waiting} messages for Slack wait: {'; '.join(reasons[:3])}"
        findings.append(AREA.warning("messages", text, "Mend what Slack refuses (see Slack above); the next pass sends them"))
    else:
        findings.append(AREA.ok("messages", f"{waiting} messages for Slack wait for the next pass" if waiting else "none wait"))
    if counts.get("dead"):
        text = f"{counts['dead']} messages were given up, because Slack does not take them"
        findings.append(AREA.warning("messages", text, "qbsf failures has what they were about"))
    for system, outage in state.services.down().items():
        name = SYSTEM_NAMES.get(system.partition(":")[0], system)
        text = f"{name} does not answer since {outage.since:%Y-%m-%d %H:%M} UTC: {outage.reason}"
        findings.append(AREA.warning("outage", text, "Nothing is lost; the next pass tries again"))
    return findings


def check_readiness(state: State, now: datetime) -> list[Finding]:
    """How clean each system's records were at the newest audit (:mod:`qbsf_pipeline.cleansing.score`)."""
    scores = latest_scores(state)
    if not scores:
        return [AREA.ok("readiness", "not audited yet: qbsf cleanse")]
    findings = []
    for system, score in scores.items():
        when = f", audited {_ago(now - score.audited_at)} ago" if score.audited_at is not None else ""
        text = f"{SYSTEM_NAMES.get(system, system)} {score.value} of 100: {score.without_error} of {score.records} records"
        text += f" without an error{when}"
        if score.errors:
            mend = "qbsf cleanse lists what to mend, the worst first, and writes the workbook"
            findings.append(AREA.warning("readiness", text, mend))
        else:
            findings.append(AREA.ok("readiness", text))
    return findings


def _ago(age: timedelta) -> str:
    minutes = max(0, int(age.total_seconds() // 60))
    if minutes < 120:
        return f"{minutes} minutes"
    return f"{minutes // 60} hours" if minutes < 48 * 60 else f"{minutes // (24 * 60)} days"
