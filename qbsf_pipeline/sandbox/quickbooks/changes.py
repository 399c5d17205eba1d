"""Change data capture: what changed in some entities since a moment, at most 30 days back and 1000 objects."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from qbsf_pipeline.sandbox.quickbooks import faults
from qbsf_pipeline.sandbox.quickbooks.company import Company, Document, parse_instant
from qbsf_pipeline.sandbox.quickbooks.properties import ENTITIES, NOT_IN_CHANGES

_LOOK_BACK = timedelta(days=30)
_MOST = 1000


def changed_entities(company: Company, entities: str | None, changed_since: str | None) -> Document:
    """The `CDCResponse` member: one block per entity that changed, deleted stubs last in it.

    A customer that was made inactive does not appear. What is over 1000 objects is cut without a word.

    Raises:
        QuickBooksFault: 2020, 2080 for a date that is none or too far back, 4001 for an entity that is not captured.
    """
    if not entities:
        raise faults.required("entities")
    if not changed_since:
        raise faults.required("changedSince")
    names = [name.strip() for name in entities.split(",") if name.strip()]
    for name in names:
        if name not in ENTITIES or name in NOT_IN_CHANGES:
            raise faults.query_validation(f"Entity {name} is not supported by change data capture")
    try:
        since = parse_instant(changed_since.replace(" ", "+")).astimezone(UTC)
    except ValueError:
        raise faults.invalid_date("changedSince", changed_since) from None
    if since < company.now - _LOOK_BACK:
        raise faults.invalid_date("changedSince", f"{changed_since} is more than 30 days ago")
    blocks: list[Document] = []
    left = _MOST
    for name in names:
        block = _block(company, name, since, left)
        if block:
            left -= block["maxResults"]
            blocks.append(block)
    return {"CDCResponse": [{"QueryResponse": blocks or [{}]}]}


def _moment(document: Document) -> datetime:
    return datetime.fromisoformat(document["MetaData"]["LastUpdatedTime"]).astimezone(UTC)


def _block(company: Company, entity: str, since: datetime, most: int) -> Document:
    live = [
        document
        for document in company.docs(entity).values()
        if _moment(document) >= since and not (entity == "Customer" and document.get("Active") is False)
    ]
    live.sort(key=_moment)
    stubs = [
        document["stub"]
        for document in company.docs("_deleted").values()
        if document["entity"] == entity and _moment(document["stub"]) >= since
    ]
    objects: Sequence[Any] = [*live, *stubs][:most]
    if not objects:
        return {}
    block: Document = {entity: objects}
    if live:
        block["startPosition"] = 1
    return {**block, "maxResults": len(objects), "totalCount": len(objects)}
