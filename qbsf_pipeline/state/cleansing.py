"""The audits of both systems' data: what each found and how ready the systems were, so that progress can be seen.

Belongs here: which findings there are, since when, until when. Does not belong here: how one is found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Protocol, cast

from sqlalchemy import Row, insert, select, update

from qbsf_pipeline.money import parse_json, to_json
from qbsf_pipeline.state.tables import cleansing_findings, cleansing_runs, storable
from qbsf_pipeline.state.transactions import Transactions
from qbsf_pipeline.state.upserts import upsert

Severity = Literal["error", "warning", "hint"]

_CHUNK = 500


class Found(Protocol):
    """What of a finding is remembered. ``finding_id`` is the same for the same trouble in every audit."""

    @property
    def finding_id(self) -> str: ...
    @property
    def system(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def severity(self) -> str: ...
    @property
    def record_object(self) -> str: ...
    @property
    def record_id(self) -> str: ...
    @property
    def record_name(self) -> str | None: ...


@dataclass(frozen=True)
class SeenFinding:
    """A finding as it is remembered. ``severity`` is error, warning or hint; ``resolved_at`` is None while it is there."""

    finding_id: str
    system: str
    code: str
    severity: Severity
    record_object: str
    record_id: str
    record_name: str | None
    first_seen_at: datetime
    last_seen_at: datetime
    resolved_at: datetime | None = None


@dataclass(frozen=True)
class Progress:
    """What changed since the audit before.

    ``new``: ids of findings that were not there then. ``resolved``: those that went away since. ``first_seen``: of every
    finding that is there now, when it was first found, by its id.
    """

    new: tuple[str, ...] = ()
    resolved: tuple[SeenFinding, ...] = ()
    first_seen: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True)
class CleansingRun:
    """One audit. ``scores``: readiness by system, 0 to 100. ``counts``: numbers to show."""

    run_id: int
    at: datetime
    scores: Mapping[str, Decimal]
    counts: Mapping[str, int]


class Cleansing:
    """The audits in the state database."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def report(
        self, findings: Sequence[Found], scores: Mapping[str, Decimal], counts: Mapping[str, int], now: datetime
    ) -> Progress:
        """Take in everything that an audit found, and say what changed since the one before.

        What is not among ``findings`` any more is resolved. What comes back is new again, with the date of its first time.
        Of several findings with one id the first counts.
        """
        current: dict[str, Found] = {}
        for finding in findings:
            current.setdefault(storable(finding.finding_id), finding)
        table = cleansing_findings
        with self._transactions.write() as connection:
            known = {row.finding_id: row for row in connection.execute(select(table).order_by(table.c.finding_id))}
            rows = [
                {**_columns(finding), "first_seen_at": now, "last_seen_at": now, "resolved_at": None}
                for finding in current.values()
            ]
            upsert(connection, table, rows, keep={"first_seen_at"})
            gone = [key for key, row in known.items() if row.resolved_at is None and key not in current]
            for start in range(0, len(gone), _CHUNK):
                some = table.c.finding_id.in_(gone[start : start + _CHUNK])
                connection.execute(update(table).where(some).values(resolved_at=now))
            values = {"at": now, "scores": to_json(dict(scores)), "counts": to_json(dict(counts))}
            connection.execute(insert(cleansing_runs).values(values))
        return Progress(
            new=tuple(
                finding.finding_id for key, finding in current.items() if key not in known or known[key].resolved_at is not None
            ),
            resolved=tuple(_seen(known[key], resolved_at=now) for key in gone),
            first_seen={
                finding.finding_id: known[key].first_seen_at if key in known else now for key, finding in current.items()
            },
        )

    def findings(self, *, resolved: bool | None = None) -> list[SeenFinding]:
        """What was ever found, by first date and id; ``resolved``: only what is mended, or only what is not."""
        table = cleansing_findings
        statement = select(table).order_by(table.c.first_seen_at, table.c.finding_id)
        if resolved is not None:
            statement = statement.where(table.c.resolved_at.is_not(None) if resolved else table.c.resolved_at.is_(None))
        with self._transactions.read() as connection:
            return [_seen(row, resolved_at=row.resolved_at) for row in connection.execute(statement)]

    def runs(self, limit: int | None = None) -> list[CleansingRun]:
        """Audits, newest first."""
        statement = select(cleansing_runs).order_by(cleansing_runs.c.id.desc()).limit(limit)
        with self._transactions.read() as connection:
            return [
                CleansingRun(row.id, row.at, _numbers(row.scores), parse_json(row.counts))
                for row in connection.execute(statement)
            ]

    def latest(self) -> CleansingRun | None:
        """The newest audit; None before the first."""
        found = self.runs(limit=1)
        return found[0] if found else None


def _numbers(text: str) -> dict[str, Decimal]:
    return {name: Decimal(score) for name, score in parse_json(text).items()}


def _columns(finding: Found) -> dict[str, Any]:
    return {
        "finding_id": finding.finding_id,
        "system": finding.system,
        "code": finding.code,
        "severity": finding.severity,
        "record_object": finding.record_object,
        "record_id": finding.record_id,
        "record_name": finding.record_name,
    }


def _seen(row: Row[Any], *, resolved_at: datetime | None) -> SeenFinding:
    return SeenFinding(
        finding_id=row.finding_id,
        system=row.system,
        code=row.code,
        severity=cast(Severity, row.severity),
        record_object=row.record_object,
        record_id=row.record_id,
        record_name=row.record_name,
        first_seen_at=row.first_seen_at,
        last_seen_at=row.last_seen_at,
        resolved_at=resolved_at,
    )
