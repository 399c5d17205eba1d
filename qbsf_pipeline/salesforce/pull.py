"""Reads what changed in Salesforce into raw tables.

An idle pass is two composite calls. What a row means for business is not decided here: every stage and every account is
read, and filtered afterwards.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import simplejson
from pydantic import ValidationError

from qbsf_pipeline.errors import AccessRefused, ConfigurationError, ServiceError, ServiceUnavailable
from qbsf_pipeline.money import parse_json, to_json
from qbsf_pipeline.salesforce.answers import SYSTEM
from qbsf_pipeline.salesforce.client import Query, QueryAnswer, SalesforceClient
from qbsf_pipeline.salesforce.objects import (
    CONTRACT,
    OBJECT_NAMES,
    SUBSCRIPTION,
    ObjectDescription,
    SalesforceObject,
    check_fields,
    content_hash,
    datetime_literal,
    instant,
    objects_for,
    optional_tables,
    quoted,
    quoted_list,
    row_of,
    to_18,
)
from qbsf_pipeline.settings import Rules
from qbsf_pipeline.warehouse.tables import KnownRecord, PulledTable, WarehouseView, value_at

logger = logging.getLogger(__name__)

_PAGE = 2000
_SMALLEST_PAGE = 200
_PARENTS_PER_QUERY = 200
_DESCRIPTIONS_LIVE = timedelta(hours=24)
_OUTDATED_CODES = {"INVALID_FIELD", "INVALID_TYPE"}
_QUOTE = "SBQQ__Quote__c"
#: Types of quotes that change a contract.
_CHANGES_OF_CONTRACTS = frozenset({"amendment", "renewal"})


@dataclass(frozen=True)
class _Child:
    """An object whose records are read whole for every parent that changed: parent's object, and the column that names it."""

    parent: str
    column: str


_CHILDREN = {
    "OpportunityLineItem": _Child("Opportunity", "opportunity_id"),
    "OpportunityContactRole": _Child("Opportunity", "opportunity_id"),
    # After the lines, whose re-reading tells which they are.
    "OpportunityLineItemSchedule": _Child("OpportunityLineItem", "line_id"),
    "SBQQ__QuoteLine__c": _Child(_QUOTE, "quote_id"),
}


class StoredText(Protocol):
    """A text that was kept, and when it was stored (UTC)."""

    @property
    def text(self) -> str:
        """The text."""

    @property
    def stored_at(self) -> datetime:
        """When it was stored (aware, UTC)."""


class DescribeCache(Protocol):
    """Keeps text between passes. The state database implements it."""

    def load(self, key: str) -> StoredText | None:
        """The text last stored under ``key``, if there is one."""

    def store(self, key: str, text: str, now: datetime) -> None:
        """Keep ``text`` under ``key`` in place of an older one."""


@dataclass(frozen=True)
class SalesforcePull:
    """What one pull read.

    Attributes:
        tables: one for each raw table of Salesforce.
        organization_id: 18-character id of the org that answered. Whether it is the expected one is the caller's to check.
        server_time: Salesforce's clock when the pull began (UTC).
        notes: what a person may want to know: values that could not be read, rows that paging had missed.
    """

    tables: tuple[PulledTable, ...]
    organization_id: str
    server_time: datetime
    notes: list[str]


def pull_salesforce(
    client: SalesforceClient,
    rules: Rules,
    view: WarehouseView,
    *,
    full: bool,
    now: datetime,
    cache: DescribeCache | None = None,
    writes: bool = True,
) -> SalesforcePull:
    """Read what changed since the warehouse's watermarks, or everything.

    Each object is asked for by ``SystemModstamp >= watermark - overlap`` (rules: pull.overlap_minutes), in pages by
    (SystemModstamp, Id). There is no upper bound: a row that is modified while it is read comes again behind the others, or
    in the next pull, because the watermark is Salesforce's own clock when it began to answer. An object is read whole when
    asked to, when it never was or not for ``pull.full_every_hours``, when other fields are asked for than last time, and
    always when it is small (stages, org, currencies).

    Lines and contact roles are deleted without a trace in their deal's recycle bin, so they are read whole for every deal
    that differs from what the warehouse knows, and for every deal of a changed line or role. So are the schedules of these lines,
    and the lines of a changed quote. Schedules and quotes that the org lacks, or that no rule asks for, cost nothing. The
    subscriptions of a contract are read where a quote that amends or renews it came, and the contract does not tell its deal.

    Args:
        client: the org.
        rules: names of custom fields, overlap, hours.
        view: watermarks, and what the warehouse knows of each record.
        full: read everything.
        now: for ``extracted_at`` and the ages of caches (aware, UTC).
        cache: keeps the org's descriptions for a day, so that an idle pass does not ask for them.
        writes: also demand that the fields the program writes can be written.

    Raises:
        ConfigurationError: the org lacks fields; one line for each.
        ServiceError: a query failed. Nothing of the pull may be used then: a deal without its lines would mislead.
    """
    key = _cache_key(client, rules)
    cached = None if full or cache is None else _cached(cache, key, now)
    if cached is not None:
        try:
            check_fields(rules, cached.descriptions, writes=writes)
            return _Pull(client, rules, view, cached.descriptions, full, now).run(cached.organization_id)
        except ConfigurationError:
            logger.info("the cached descriptions of the org do not fit: asking for them again")
        except _Outdated as outdated:
            logger.info("the cached descriptions of the org are out of date (%s): asking again", outdated)
    descriptions = client.describe(OBJECT_NAMES)
    check_fields(rules, descriptions, writes=writes)
    try:
        pulled = _Pull(client, rules, view, descriptions, full, now).run(None)
    except _Outdated as outdated:
        if outdated.object_name != _QUOTE or descriptions.get(CONTRACT) is None:
            raise _refused(outdated) from outdated
        logger.info("quotes are read without the deals of their contracts: %s", outdated)
        descriptions = {**descriptions, CONTRACT: None}
        try:
            pulled = _Pull(client, rules, view, descriptions, full, now).run(None)
        except _Outdated as again:
            raise _refused(again) from again
    if cache is not None:
        cache.store(key, _as_text(descriptions, pulled.organization_id), now)
    return pulled


class _Outdated(Exception):
    """The org no longer is what its descriptions say."""

    def __init__(self, object_name: str, reason: str) -> None:
        self.object_name = object_name
        super().__init__(reason)


def _refused(outdated: _Outdated) -> ConfigurationError:
    return ConfigurationError(
        [f"Salesforce describes {outdated.object_name} to the integration user, but refuses to read it: {outdated}"]
    )


@dataclass
class _Read:
    """One object, page by page."""

    source: SalesforceObject
    since: datetime | None
    page_size: int = _PAGE
    position: tuple[datetime, str] | None = None
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    started_at: datetime | None = None
    pages: int = 0
    finished: bool = False

    @property
    def complete(self) -> bool:
        return self.since is None

    @property
    def query(self) -> Query:
        soql = f"SELECT {self.source.selected} FROM {self.source.name}"
        if self.source.has_stamp:
            if self.position is not None:
                stamp, last_id = datetime_literal(self.position[0]), quoted(self.position[1])
                soql += f" WHERE (SystemModstamp > {stamp} OR (SystemModstamp = {stamp} AND Id > {last_id}))"
            elif self.since is not None:
                soql += f" WHERE SystemModstamp >= {datetime_literal(self.since)}"
            soql += f" ORDER BY SystemModstamp ASC, Id ASC LIMIT {self.page_size}"
        return Query(soql, self.source.has_deleted)

    def keep(self, records: Iterable[dict[str, Any]]) -> None:
        for record in records:
            if not record.get("Id"):
                raise ServiceUnavailable(SYSTEM, "unreadable_answer", f"a record of {self.source.name} came without an Id")
            # A row that was modified while it was read comes twice: the later one counts.
            self.records[to_18(str(record["Id"]))] = record

    def take(self, answer: QueryAnswer) -> None:
        """Keep a page, and note where the next one begins.

        Raises:
            ServiceUnavailable: the page does not lead on.
        """
        self.pages += 1
        self.started_at = self.started_at or answer.asked_at
        self.keep(answer.records)
        if not self.source.has_stamp or len(answer.records) < self.page_size:
            self.finished = True
            return
        last = answer.records[-1]
        stamp = instant(last.get("SystemModstamp"))
        if stamp is None or (stamp, last["Id"]) == self.position:
            raise ServiceUnavailable(SYSTEM, "no_progress", f"the pages of {self.source.name} do not lead on")
        self.position = (stamp, str(last["Id"]))

    def read_whole_instead(self) -> None:
        self.since, self.position, self.pages, self.started_at, self.finished = None, None, 0, None, False
        self.records.clear()


class _Pull:
    """One pull with one set of descriptions."""

    def __init__(
        self,
        client: SalesforceClient,
        rules: Rules,
        view: WarehouseView,
        descriptions: Mapping[str, ObjectDescription | None],
        full: bool,
        now: datetime,
    ) -> None:
        self._client = client
        self._rules = rules
        self._view = view
        self._now = now
        self._notes: list[str] = []
        sources = {source.name: source for source in objects_for(rules, descriptions)}
        subscriptions = sources.pop(SUBSCRIPTION, None)
        # Without both ends they lead nowhere.
        leads = subscriptions is not None and {"contract_id", "quote_line_id"} <= subscriptions.fields.keys()
        self._subscriptions = subscriptions if leads and _QUOTE in sources else None
        self._reads = {source.name: _Read(source, self._since(source, full)) for source in sources.values()}

    def run(self, expected_organization: str | None) -> SalesforcePull:
        """Read everything that is due.

        Raises:
            _Outdated: the descriptions do not fit the org.
        """
        self._read_pages([*self._reads.values()])
        organization_id = self._organization_id()
        if expected_organization is not None and organization_id != expected_organization:
            raise _Outdated("Organization", "another org answers")
        self._read_again_what_the_clock_missed()
        self._count_long_reads()
        started_at = {name: self._started_at(read) for name, read in self._reads.items()}
        tables = {
            name: self._table(read, [*read.records.values()], started_at[name], read.complete)
            for name, read in self._reads.items()
            if name not in _CHILDREN or read.complete
        }
        tables |= self._children(started_at)
        tables |= self._of_contracts(started_at)
        begun = min(started_at.values())
        present = {table.table.name for table in tables.values()}
        absent = tuple(
            PulledTable(table, table.empty(), begun, True, "absent")
            for table in optional_tables(self._rules)
            if table.name not in present
        )
        ordered = tuple(tables[name] for name in OBJECT_NAMES if name in tables)
        logger.info(
            "read from Salesforce: %s",
            {table.table.name: table.frame.height for table in ordered if table.frame.height},
        )
        return SalesforcePull(ordered + absent, organization_id, begun, self._notes)

    def _since(self, source: SalesforceObject, full: bool) -> datetime | None:
        watermark = self._view.watermarks.get(source.table_name)
        if full or source.whole or not source.has_stamp or watermark is None:
            return None
        if source.name == _QUOTE and self._subscriptions is not None and not self._is_known(self._subscriptions):
            return None
        longest = timedelta(hours=self._rules.pull.full_every_hours)
        if watermark.fields_hash != source.fields_hash or self._now - watermark.last_full_at >= longest:
            return None
        return watermark.read_until - timedelta(minutes=self._rules.pull.overlap_minutes)

    def _is_known(self, source: SalesforceObject) -> bool:
        """Whether the object was read before, with these fields."""
        watermark = self._view.watermarks.get(source.table_name)
        return watermark is not None and watermark.fields_hash == source.fields_hash

    def _read_pages(self, reads: Sequence[_Read]) -> None:
        waiting = [read for read in reads if not read.finished]
        while waiting:
            answers = self._client.query_together([read.query for read in waiting])
            for read, answer in zip(waiting, answers, strict=True):
                if answer.error is None:
                    read.take(answer)
                elif answer.error.code == "QUERY_TIMEOUT" and read.source.has_stamp and read.page_size > _SMALLEST_PAGE:
                    read.page_size = max(_SMALLEST_PAGE, read.page_size // 4)
                else:
                    raise _as_outdated(read.source.name, answer.error)
            waiting = [read for read in waiting if not read.finished]

    def _read_again_what_the_clock_missed(self) -> None:
        """A window that begins in the service's future (its clock was set back) finds nothing: read whole."""
        behind = [read for read in self._reads.values() if read.since and read.started_at and read.started_at < read.since]
        for read in behind:
            self._notes.append(f"{read.source.name}: Salesforce's clock is behind the last pull; the object was read whole")
            read.read_whole_instead()
        self._read_pages(behind)

    def _count_long_reads(self) -> None:
        """Compare what several pages brought with the count; if rows are missing, read by the server's own cursor."""
        long_reads = [read for read in self._reads.values() if read.complete and read.pages > 1]
        counts = self._client.query_together(
            [Query(f"SELECT COUNT() FROM {read.source.name}", read.source.has_deleted) for read in long_reads]
        )
        for read, count in zip(long_reads, counts, strict=True):
            if count.error is not None:
                raise _as_outdated(read.source.name, count.error)
            missing = count.total_size - len(read.records)
            if missing <= 0:
                continue
            logger.warning("%s: pages brought %d records fewer than there are", read.source.name, missing)
            self._notes.append(f"{read.source.name}: pages brought {missing} records fewer than there are; read again")
            read.keep(self._client.query(f"SELECT {read.source.selected} FROM {read.source.name}", read.source.has_deleted))

    def _organization_id(self) -> str:
        read = self._reads.get("Organization")
        if read is None or not read.records:
            raise AccessRefused(SYSTEM, "no_organization", "the integration user cannot read the object Organization")
        return next(iter(read.records))

    def _started_at(self, read: _Read) -> datetime:
        if read.started_at is not None:
            return read.started_at
        # No answer carried a Date header. Never the local clock: the newest stamp that Salesforce itself gave.
        stamps = [stamp for record in read.records.values() if (stamp := instant(record.get("SystemModstamp")))]
        watermark = self._view.watermarks.get(read.source.table_name)
        known = [watermark.read_until] if watermark is not None else []
        # An object without a record is asked for from the beginning of time again, until it has one.
        return max([*stamps, *known], default=datetime.fromtimestamp(0, UTC))

    def _known(self, read: _Read) -> Mapping[str, KnownRecord]:
        return self._view.known(read.source.table_name) if read.records else {}

    def _changed(self, read: _Read) -> set[str]:
        """Ids of the records that differ from what the warehouse knows."""
        known = self._known(read)
        changed = set()
        for record_id, record in read.records.items():
            before = known.get(record_id)
            if (
                before is None
                or before.source_modified_at != instant(record.get("SystemModstamp"))
                or before.content_hash != content_hash(record)
            ):
                changed.add(record_id)
        return changed

    def _children(self, started_at: Mapping[str, datetime]) -> dict[str, PulledTable]:
        """Children of the parents that changed, whole, and those that changed by themselves."""
        names = [name for name in _CHILDREN if name in self._reads and not self._reads[name].complete]
        changed = {
            name: self._changed(self._reads[name]) for name in {_CHILDREN[name].parent for name in names} if name in self._reads
        }
        tables: dict[str, PulledTable] = {}
        for generation in (
            [name for name in names if _CHILDREN[name].parent not in _CHILDREN],
            [name for name in names if _CHILDREN[name].parent in _CHILDREN],
        ):
            wanted = {name: self._parents_to_read(name, changed.get(_CHILDREN[name].parent, set())) for name in generation}
            for name, found in self._of_parents(wanted).items():
                tables[name] = self._child_table(name, wanted[name], found, started_at[name])
                if name in changed:
                    changed[name] |= found.keys()
        return tables

    def _of_contracts(self, started_at: Mapping[str, datetime]) -> dict[str, PulledTable]:
        """The subscriptions of contracts that came with a quote and do not tell which deal made them: one call for a thousand
        contracts."""
        source = self._subscriptions
        if source is None:
            return {}
        quotes = self._reads[_QUOTE]
        came = quotes.records.keys() if quotes.complete else self._changed(quotes)
        contracts = sorted({_contract_to_read(quotes.source, quotes.records[record_id]) for record_id in came} - {""})
        named = source.fields["contract_id"]
        asked = [
            Query(
                f"SELECT {source.selected} FROM {source.name} WHERE {named} IN "
                f"{quoted_list(contracts[start : start + _PARENTS_PER_QUERY])}",
                source.has_deleted,
            )
            for start in range(0, len(contracts), _PARENTS_PER_QUERY)
        ]
        records: list[dict[str, Any]] = []
        for answer in self._client.query_together(asked):
            if answer.error is not None:
                raise _as_outdated(source.name, answer.error)
            records += answer.records
        table = PulledTable(
            table=source.table,
            frame=source.table.frame([row_of(source, record, self._now, self._notes) for record in records]),
            watermark=started_at[_QUOTE],
            complete=not self._is_known(source),
            fields_hash=source.fields_hash,
            scope=("contract_id", tuple(contracts)) if contracts else None,
        )
        return {source.name: table}

    def _parents_to_read(self, child: str, changed: set[str]) -> list[str]:
        read = self._reads[child]
        own = {_parent_of(read, read.records[record_id]) for record_id in self._changed(read)}
        return sorted((changed | own) - {""})

    def _of_parents(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, dict[str, dict[str, Any]]]:
        """All records of these parents, by child object and id."""
        asked = [
            (name, Query(_children_query(self._reads[name], parents[start : start + _PARENTS_PER_QUERY])))
            for name, parents in wanted.items()
            for start in range(0, len(parents), _PARENTS_PER_QUERY)
        ]
        found: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in wanted}
        for (name, _), answer in zip(asked, self._client.query_together([query for _, query in asked]), strict=True):
            if answer.error is not None:
                raise _as_outdated(name, answer.error)
            found[name] |= {to_18(str(record["Id"])): record for record in answer.records}
        return found

    def _child_table(
        self, name: str, parents: Sequence[str], found: dict[str, dict[str, Any]], started_at: datetime
    ) -> PulledTable:
        read, scope = self._reads[name], frozenset(parents)
        others = {
            record_id: record
            for record_id, record in read.records.items()
            if record.get("IsDeleted") is True or _parent_of(read, record) not in scope
        }
        return self._table(read, [*(others | found).values()], started_at, False, (_CHILDREN[name].column, tuple(parents)))

    def _table(
        self,
        read: _Read,
        records: Sequence[Mapping[str, Any]],
        started_at: datetime,
        complete: bool,
        scope: tuple[str, tuple[str, ...]] = ("", ()),
    ) -> PulledTable:
        rows = [row_of(read.source, record, self._now, self._notes) for record in records]
        return PulledTable(
            table=read.source.table,
            frame=read.source.table.frame(rows),
            watermark=started_at,
            complete=complete,
            fields_hash=read.source.fields_hash,
            scope=scope if scope[1] else None,
        )


@dataclass(frozen=True)
class _Descriptions:
    descriptions: Mapping[str, ObjectDescription | None]
    organization_id: str


def _parent_field(read: _Read) -> str:
    return read.source.fields[_CHILDREN[read.source.name].column]


def _parent_of(read: _Read, record: Mapping[str, Any]) -> str:
    """The parent's id; empty for a record without one."""
    return to_18(str(record.get(_parent_field(read)) or ""))


def _contract_to_read(source: SalesforceObject, record: Mapping[str, Any]) -> str:
    """The contract that a quote changes and whose deal it does not tell; empty for every other quote."""

    def told(column: str) -> str:
        return str(value_at(record, source.fields.get(column, "")) or "").strip()

    changes = told("type").casefold() in _CHANGES_OF_CONTRACTS and record.get("IsDeleted") is not True
    return to_18(told("contract_id")) if changes and not told("contract_opportunity_id") else ""


def _children_query(read: _Read, parents: Sequence[str]) -> str:
    return f"SELECT {read.source.selected} FROM {read.source.name} WHERE {_parent_field(read)} IN {quoted_list(parents)}"


def _as_outdated(object_name: str, error: ServiceError) -> Exception:
    return _Outdated(object_name, error.message.strip()) if error.code in _OUTDATED_CODES else error


def _cache_key(client: SalesforceClient, rules: Rules) -> str:
    # The names too: descriptions that a version kept which asked for fewer objects tell nothing of the others.
    text = to_json([client.instance_url, client.api_version, rules.salesforce.model_dump(), OBJECT_NAMES], sort_keys=True)
    return "salesforce_descriptions:" + hashlib.sha256(text.encode()).hexdigest()[:24]


def _as_text(descriptions: Mapping[str, ObjectDescription | None], organization_id: str) -> str:
    return to_json(
        {
            "organization_id": organization_id,
            "objects": {name: found.model_dump() if found else None for name, found in descriptions.items()},
        }
    )


def _cached(cache: DescribeCache, key: str, now: datetime) -> _Descriptions | None:
    kept = cache.load(key)
    if kept is None or not timedelta(0) <= now - kept.stored_at < _DESCRIPTIONS_LIVE:
        return None
    try:
        stored = parse_json(kept.text)
        return _Descriptions(
            {
                name: ObjectDescription.model_validate(found) if found is not None else None
                for name, found in stored["objects"].items()
            },
            str(stored["organization_id"]),
        )
    except (simplejson.JSONDecodeError, KeyError, TypeError, ValueError, ValidationError):
        logger.warning("the cached descriptions of the org cannot be read and are asked for again")
        return None
