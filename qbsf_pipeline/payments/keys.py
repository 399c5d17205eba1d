"""The keys of writes, and what the ledger has carried out or given up under them. Pure.

A key names the version of the record that the write was decided from, and the values:
``update_payment:{org}:{deal}:{version}:{content}``; ``+n`` after it says that the deal was moved to the paid stage when it was
paid for the n-th time.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from qbsf_pipeline.money import to_json
from qbsf_pipeline.payments.tables import LEDGER

#: So many writes in a row that were undone within so long are no accident.
_NOT_KEPT, _MINUTES = 3, timedelta(minutes=15)
#: The version of a record as keys name it.
_STAMP = "%Y%m%dT%H%M%S%fZ"


def write_key(
    organization_id: str, opportunity_id: str, modified_at: datetime | None, fields: Mapping[str, Any], moves: str
) -> str:
    """The key of the write of these fields.

    Args:
        modified_at: version of the deal that it was decided from.
        moves: what follows the content, such as ``+1``; empty for nothing.
    """
    content = f"{digest(to_json(fields, sort_keys=True))[:12]}{moves}"
    return f"update_payment:{organization_id}:{opportunity_id}:{stamp(modified_at)}:{content}"


class Done:
    """What the ledger has carried out and what was refused, by record and version."""

    def __init__(self, ledger: pl.DataFrame) -> None:
        self._keys: set[str] = set()
        self._refused: dict[str, str] = {}
        self._by_record: dict[str, list[tuple[str, str, datetime | None]]] = defaultdict(list)
        self._moved: dict[str, set[int]] = defaultdict(set)
        for key, status, message, done_at in ledger.select(LEDGER.names()).iter_rows():
            if status == "dead":
                self._refused[key] = message or "it gives no reason."
            if status != "done":
                continue
            self._keys.add(key)
            record, version, content = _split(key)
            self._by_record[record].append((version, content, done_at))
            _, plus, times = content.partition("+")
            if plus and times.isdigit():
                self._moved[record.rpartition(":")[2]].add(int(times))

    def holds(self, key: str) -> bool:
        """Whether this very write is done."""
        return key in self._keys

    def refused(self, key: str) -> str | None:
        """What Salesforce said of this very write when it refused it for good."""
        return self._refused.get(key)

    def moved(self, opportunity_id: str) -> frozenset[int]:
        """The times that the deal was paid and moved to the paid stage."""
        return frozenset(self._moved.get(opportunity_id, ()))

    def was_lost(self, key: str) -> bool:
        """Whether the last three writes of the record were this one, and none of them stood for longer than minutes.

        What a person edits stood for longer; an automation undoes a write at once.
        """
        record, version, content = _split(key)
        before = [one for one in self._by_record.get(record, ()) if one[0] != version]
        written = sorted(before, key=lambda one: one[0])[-_NOT_KEPT:]
        if len(written) < _NOT_KEPT or any(one != content for _, one, _ in written):
            return False
        following = [*(one for one, _, _ in written[1:]), version]
        return all(_at_once(done_at, after) for (_, _, done_at), after in zip(written, following, strict=True))


def stamp(at: datetime | None) -> str:
    """An instant as keys name it."""
    return at.astimezone(UTC).strftime(_STAMP) if at is not None else "unknown"


def digest(text: str) -> str:
    """SHA-256 of a text, in hex digits."""
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def _at_once(done_at: datetime | None, version: str) -> bool:
    """Whether a record got a version within minutes of a write; also where that cannot be told."""
    try:
        changed = datetime.strptime(version, _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return True
    return done_at is None or changed - done_at <= _MINUTES


def _split(key: str) -> tuple[str, str, str]:
    """A key as record, version and content."""
    record, version, content = (*key.rsplit(":", 2), "", "")[:3]
    return record, version, content
