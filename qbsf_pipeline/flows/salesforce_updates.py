"""Carries out updates of Salesforce records that wait in the ledger, in collections: two hundred records are one API call."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from qbsf_pipeline.errors import AccessRefused, OutcomeUnknown, RecordRefused, ServiceUnavailable
from qbsf_pipeline.flows.retries import first_wait, give_up, next_wait
from qbsf_pipeline.money import to_json
from qbsf_pipeline.salesforce.client import SalesforceClient, SaveResult
from qbsf_pipeline.settings import PushRules
from qbsf_pipeline.state.ledger import Finished, Ledger, LedgerEntry, Sending

#: Refusals that go away by themselves (Salesforce's REST error codes).
_RETRIED = frozenset(
    {
        "UNABLE_TO_LOCK_ROW",
        "QUERY_TIMEOUT",
        "SERVER_UNAVAILABLE",
        "UNKNOWN_EXCEPTION",
        "ENTITY_IS_LOCKED",
        "REQUEST_LIMIT_EXCEEDED",
    }
)


@dataclass
class Updates:
    """What came of updates.

    Attributes:
        written: records that were written.
        refused: records that were refused, for good or for now.
        unavailable: why Salesforce could not be called; ``None`` where it could.
    """

    written: int = 0
    refused: int = 0
    unavailable: str | None = None


def update_records(
    ledger: Ledger,
    salesforce: SalesforceClient,
    rules: PushRules,
    entries: Sequence[LedgerEntry],
    record_of: Callable[[LedgerEntry], dict[str, Any]],
    clock: Callable[[], datetime],
    progress: Callable[[str], None],
) -> Updates:
    """Write the fields of each entry to its record, ordered by account so that no two calls lock one account.

    An update by id may be repeated: it writes the same values again.

    Args:
        entries: runnable updates of one object.
        record_of: ``Id`` and API name of the field -> value.

    Raises:
        AccessRefused: a connection needs a person; what was not written waits.
    """
    done = Updates()
    ordered = sorted(entries, key=lambda entry: (entry.account_id or "", entry.source_id))
    for start in range(0, len(ordered), rules.salesforce_batch):
        group = ordered[start : start + rules.salesforce_batch]
        records = [record_of(entry) for entry in group]
        bodies = {entry.key: to_json(record) for entry, record in zip(group, records, strict=True)}
        ledger.start([Sending(entry.key, uuid.uuid4().hex, bodies[entry.key], None, None) for entry in group], clock())
        progress(f"writing {len(group)} {group[0].target_object.lower()} records to Salesforce")
        try:
            results = salesforce.update(group[0].target_object, records, batch=rules.salesforce_batch)
        except OutcomeUnknown as error:
            # Stays in sending: whoever settles that looks, or repeats it.
            done.unavailable = error.message
            return done
        except ServiceUnavailable as error:
            done.unavailable = error.message
            for entry in group:
                ledger.fail(entry.key, error.code, error.message, clock() + first_wait(rules), clock())
            return done
        except AccessRefused:
            for entry in group:
                ledger.release(entry.key, clock())
            raise
        except RecordRefused as error:
            for entry in group:
                give_up(ledger, entry, error.code, error.message, clock())
            done.refused += len(group)
            continue
        finished: list[Finished] = []
        for entry, record, result in zip(group, records, results, strict=True):
            if result.success:
                finished.append(Finished(entry.key, record["Id"], bodies[entry.key]))
            elif _is_retried(result) and entry.attempts + 1 < rules.attempts:
                wait = clock() + next_wait(rules, entry.attempts + 1)
                ledger.fail(entry.key, str(result.code), str(result.message), wait, clock())
                done.refused += 1
            else:
                give_up(ledger, entry, str(result.code), str(result.message), clock())
                done.refused += 1
        ledger.finish_many(finished, clock())
        done.written += len(finished)
    return done


def _is_retried(result: SaveResult) -> bool:
    """Whether the record was not refused: it was locked, not reached, or nothing is known of it, and may be written again."""
    return result.code in _RETRIED or isinstance(result.error, ServiceUnavailable | OutcomeUnknown)
