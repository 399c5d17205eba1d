"""What to read from QuickBooks: as little as tells everything that changed.

A pass in which nothing happened costs one read, the change data capture of all entities together. Belongs here: which
reads, in what order, and what their answers say about completeness. Does not belong here: calls (client), rows (objects),
writing to the warehouse.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from qbsf_pipeline.errors import AccessRefused, RecordRefused
from qbsf_pipeline.quickbooks import templates
from qbsf_pipeline.quickbooks.client import ACTIVE_AND_INACTIVE, Changes, QuickBooksClient, instant_literal
from qbsf_pipeline.quickbooks.objects import DELETED_STUB_HASH, Entity, deleted_row, entities_for, fields_hash, row_of
from qbsf_pipeline.settings import Rules
from qbsf_pipeline.warehouse.tables import PulledTable, WarehouseView, Watermark

log = logging.getLogger(__name__)

__all__ = ["DELETED_STUB_HASH", "QuickBooksPull", "pull_quickbooks"]


@dataclass(frozen=True)
class QuickBooksPull:
    """What one pull read.

    Attributes:
        tables: one for each table that was read. A row for a deleted object has only ``id``, ``is_deleted``,
            ``content_hash`` = :data:`DELETED_STUB_HASH` and ``extracted_at``: what was known of it stays known.
        server_time: QuickBooks' clock (UTC) in the first answer: where the next pull begins, less the overlap.
        reads: calls that Intuit meters.
        notes: what people should know about this pull, a sentence each.
    """

    tables: tuple[PulledTable, ...]
    server_time: datetime
    reads: int
    notes: tuple[str, ...]


def pull_quickbooks(client: QuickBooksClient, rules: Rules, view: WarehouseView, *, full: bool, now: datetime) -> QuickBooksPull:
    """Read what changed since the last pull, or everything.

    * A table that was never read, was last read whole too long ago, now has other columns, or whose last pull is further
      back than change data capture reaches, is read whole. So is every table when ``full``.
    * The others share one call of change data capture. When that holds as much as it can, each entity is asked for by
      itself; and when that is still too much, by modification stamp in pages, with a count to notice deleted objects.
    * Preferences, company, tax codes and recurring templates (these only where ``rules.recurring`` bills by them) are not in
      change data capture: they are read whole when they are older than ``rules.pull.settings_every_hours``. So is an optional
      entity that this company, or its change data capture, refuses: what it lacks is not asked for in every pass.

    The watermark is QuickBooks' own clock at the first answer. There is no upper bound: what changes while the pull runs
    may come now and comes again next time.

    Args:
        client: the company.
        rules: ``rules.pull`` and ``rules.recurring`` are used.
        view: what the warehouse has.
        full: read everything whole.
        now: aware UTC; used for ages and as ``extracted_at``, never as a watermark.

    Raises:
        ServiceError: a read failed; nothing is returned, so that no table moves without the others.
    """
    return _Pull(client, rules, view, now).run(full)


class _Pull:
    def __init__(self, client: QuickBooksClient, rules: Rules, view: WarehouseView, now: datetime) -> None:
        self._client = client
        self._rules = rules.pull
        self._entities = entities_for(rules)
        self._view = view
        self._now = now
        self._notes: list[str] = []
        self._server_time: datetime | None = None
        self._apart: set[str] = set()
        self._untold: set[str] = set()

    def run(self, full: bool) -> QuickBooksPull:
        reads_before = self._client.reads
        whole = [entity for entity in self._entities if full or self._must_be_read_whole(entity)]
        changing = [
            entity for entity in self._entities if entity.in_cdc and entity not in whole and not self._stands_apart(entity)
        ]
        found: dict[str, tuple[list[dict[str, Any]], bool]] = {}
        if changing:
            found |= self._changes(changing)
        # The singletons come first: the first answer's clock is the watermark of everything that is read after it, and a
        # long table is answered in many pages.
        if whole and self._server_time is None:
            whole = [*whole, *(entity for entity in self._entities if entity.name == "Preferences" and entity not in whole)]
        for entity in sorted(whole, key=lambda each: each.name not in _SINGLETONS):
            found[entity.name] = (self._whole(entity), True)
        server_time = self._server_time or self._now
        tables = tuple(
            PulledTable(
                table=entity.table,
                frame=entity.table.frame(found[entity.name][0]),
                watermark=server_time,
                complete=found[entity.name][1],
                fields_hash=_apart(entity) if entity.name in self._apart else fields_hash(entity.table),
            )
            for entity in self._entities
            if entity.name in found
        )
        reads = self._client.reads - reads_before
        log.info(
            "quickbooks: pulled %s with %d reads",
            ", ".join(f"{t.frame.height} {t.table.name}" for t in tables if t.frame.height) or "nothing new",
            reads,
        )
        return QuickBooksPull(tables, server_time, reads, tuple(self._notes))

    def _must_be_read_whole(self, entity: Entity) -> bool:
        mark = self._view.watermarks.get(_name(entity))
        if mark is None or mark.fields_hash not in (fields_hash(entity.table), _apart(entity)):
            return True
        if not entity.in_cdc or self._stands_apart(entity):
            return self._now - mark.read_until >= timedelta(hours=self._rules.settings_every_hours)
        if self._now - mark.last_full_at >= timedelta(hours=self._rules.full_every_hours):
            return True
        if self._now - self._since([mark]) > timedelta(days=self._rules.quickbooks_lookback_days):
            self._notes.append(
                f"{entity.name} was last read at {mark.read_until:%Y-%m-%d %H:%M} UTC, further back than QuickBooks tells "
                "changes: it was read whole"
            )
            return True
        return False

    def _stands_apart(self, entity: Entity) -> bool:
        """Whether this company refused to tell changes of an optional entity when it was last asked."""
        mark = self._view.watermarks.get(_name(entity))
        return mark is not None and mark.fields_hash == _apart(entity)

    def _since(self, marks: Sequence[Watermark]) -> datetime:
        return min(mark.read_until for mark in marks) - timedelta(minutes=self._rules.overlap_minutes)

    def _whole(self, entity: Entity) -> list[dict[str, Any]]:
        try:
            records = self._read_whole(entity)
        except (RecordRefused, AccessRefused) as error:
            # A company without the feature, or a connection that may not see it; but a refused company is no such thing.
            if not entity.optional or (isinstance(error, AccessRefused) and error.code not in _NOT_FOR_THIS_USER):
                raise
            self._note(f"{entity.name} cannot be read from this company and is taken as empty: {error.message}")
            self._apart.add(entity.name)
            records = []
        self._note_time()
        return self._rows(entity, records)

    def _read_whole(self, entity: Entity) -> list[dict[str, Any]]:
        if entity.name == "Preferences":
            return [self._client.preferences()]
        if entity.name == "CompanyInfo":
            return [self._client.company_info()]
        if entity.name == templates.ENTITY:
            return self._client.recurring_templates()
        return self._client.query_all(entity.name, list_entity=entity.list_entity)

    def _changes(self, entities: Sequence[Entity]) -> dict[str, tuple[list[dict[str, Any]], bool]]:
        """Rows and whether they are everything, by entity name."""
        since = self._since([self._view.watermarks[_name(entity)] for entity in entities])
        together = self._asked(entities, since)
        if together is not None:
            return {entity.name: (self._rows_of_changes(entity, together), False) for entity in entities}
        if self._server_time is None:
            self._client.preferences()
            self._note_time()
        self._note("the changes of all kinds of record did not come in one answer: each kind was asked for by itself")
        found: dict[str, tuple[list[dict[str, Any]], bool]] = {}
        for entity in entities:
            alone = self._asked([entity], since)
            if alone is not None:
                found[entity.name] = self._rows_of_changes(entity, alone), False
            elif entity.optional and entity.name in self._untold:
                self._apart.add(entity.name)
                found[entity.name] = self._whole(entity), True
            else:
                found[entity.name] = self._window(entity, since)
        return found

    def _asked(self, entities: Sequence[Entity], since: datetime) -> Changes | None:
        """The changes, or ``None`` when the answer was cut off or the question is not taken."""
        names = [entity.name for entity in entities]
        try:
            changes = self._client.changes(names, since, self._rules.quickbooks_change_limit)
        except RecordRefused as error:
            self._note(f"QuickBooks does not tell changes of {', '.join(names)} ({error.code}: {error.message})")
            if len(names) == 1:
                self._untold.add(names[0])
            return None
        self._note_time(changes.server_time)
        return None if changes.capped else changes

    def _window(self, entity: Entity, since: datetime) -> tuple[list[dict[str, Any]], bool]:
        """What was changed since, in pages. A query tells nothing of deleted objects, so the table is read whole unless
        QuickBooks has exactly as many objects as are known or new."""
        changed = f"MetaData.LastUpdatedTime >= '{instant_literal(since)}'"
        active = ACTIVE_AND_INACTIVE if entity.list_entity else ""
        try:
            records = self._client.query(entity.name, f"{changed} AND {active}" if active else changed)
            self._note_time()
            known = self._view.known(_name(entity))
            expected = {key for key, record in known.items() if record.content_hash != DELETED_STUB_HASH}
            expected |= {str(record["Id"]) for record in records}
            if self._client.count(entity.name, active) == len(expected):
                return self._rows(entity, records), False
        except RecordRefused as error:
            self._note(f"{entity.name} cannot be asked for what changed ({error.code}: {error.message}): it was read whole")
        return self._whole(entity), True

    def _rows_of_changes(self, entity: Entity, changes: Changes) -> list[dict[str, Any]]:
        rows = self._rows(entity, changes.objects.get(entity.name, []))
        return rows + [deleted_row(record_id, self._now) for record_id in changes.deleted.get(entity.name, [])]

    def _rows(self, entity: Entity, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        rows: dict[str, dict[str, Any]] = {}
        for record in records:
            row = row_of(entity.name, record, self._now)
            rows[row["id"]] = row
        return list(rows.values())

    def _note_time(self, moment: datetime | None = None) -> None:
        """The clock of the first answer counts: what happens after it is read again."""
        found = moment or self._client.server_time
        if self._server_time is None and found is not None:
            self._server_time = found.astimezone(UTC)

    def _note(self, text: str) -> None:
        log.warning("quickbooks: %s", text)
        self._notes.append(text)


_SINGLETONS = frozenset({"Preferences", "CompanyInfo"})
#: 5020: the person who connected may not see this kind of record.
_NOT_FOR_THIS_USER = frozenset({"5020"})


def _name(entity: Entity) -> str:
    return f"{entity.table.schema}.{entity.table.name}"


def _apart(entity: Entity) -> str:
    """What stands for the field list of a table whose entity is not asked for together with the others."""
    return f"apart {fields_hash(entity.table)}"
