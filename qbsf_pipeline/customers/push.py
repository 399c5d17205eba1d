"""How a planned change of a customer or an account becomes an API call, and what its answer means.

Every change goes through the ledger, as in the invoice flow. QuickBooks takes a change only with the newest SyncToken, so a
change that is sent twice is carried out once. Whoever finds one in ``sending`` looks at the record: it holds what was sent, or
it still has the token that was sent (then the same change may be sent again), or somebody changed it meanwhile.

A stale token (5010) means: read the record again, decide again. Where the fields that were to be written are as they were when
the plan was made, the decision holds and goes out with the new token; otherwise the next plan decides, from the record as it was
just read.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from qbsf_pipeline.customers.plan import FLOW
from qbsf_pipeline.errors import (
    AccessRefused,
    OutcomeUnknown,
    RecordRefused,
    ServiceError,
    ServiceUnavailable,
    StaleRecord,
)
from qbsf_pipeline.flows.retries import first_wait, give_up, next_wait
from qbsf_pipeline.flows.runnable import runnable
from qbsf_pipeline.flows.salesforce_updates import update_records
from qbsf_pipeline.money import parse_json, to_json
from qbsf_pipeline.quickbooks.client import BatchItem, QuickBooksClient
from qbsf_pipeline.salesforce.client import SalesforceClient
from qbsf_pipeline.settings import Environment, Rules
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.ledger import Finished, LedgerEntry, Sending

logger = logging.getLogger(__name__)

_ENTITY = "Customer"
#: Parts of a body that name the record and are no fields of it.
_NO_FIELDS = frozenset({"Id", "SyncToken", "sparse"})
#: QuickBooks' query language takes this many ids at once without trouble.
_IDS_PER_QUERY = 100


@dataclass(frozen=True)
class PushContext:
    """What a push works with.

    Attributes:
        planned: payload by key in the newest plan; what is not in it just so is left alone.
        pulled: customers by id as they were when the plan was made (QuickBooks' own JSON).
        clock: now, aware UTC.
        progress: told in plain words what is being done.
    """

    state: State
    quickbooks: QuickBooksClient
    salesforce: SalesforceClient
    rules: Rules
    environment: Environment
    planned: Mapping[str, str]
    pulled: Callable[[Sequence[str]], Mapping[str, Mapping[str, Any]]]
    clock: Callable[[], datetime]
    progress: Callable[[str], None]


@dataclass
class PushOutcome:
    """What a push came to.

    Attributes:
        customers: customers as QuickBooks returned them last, by id: those written, and those read again.
        customers_written, accounts_written: records that hold what was planned because of this push.
        refused: writes that a service refused, for good or for now.
        held: (key, why) of entries that were left alone.
        unavailable: by system, why the push had to stop calling it.
    """

    customers: dict[str, dict[str, Any]] = field(default_factory=dict)
    customers_written: int = 0
    accounts_written: int = 0
    refused: int = 0
    held: list[tuple[str, str]] = field(default_factory=list)
    unavailable: dict[str, str] = field(default_factory=dict)


def push(context: PushContext, outcome: PushOutcome) -> None:
    """Do everything that is ready, and say in ``outcome`` what came of it. The caller holds the push lock.

    Raises:
        AccessRefused: a connection needs a person; what was done before stands in ``outcome``.
    """
    _settle_unclear(context, outcome)
    if "quickbooks" not in outcome.unavailable:
        for group in _chunks(_runnable(context, "update_customer", outcome), context.rules.push.quickbooks_batch):
            if "quickbooks" in outcome.unavailable:
                break
            _update_customers(context, group, outcome)
    if "salesforce" not in outcome.unavailable:
        _update_accounts(context, outcome)


def _update_accounts(context: PushContext, outcome: PushOutcome) -> None:
    accounts = _runnable(context, "update_account", outcome)
    done = update_records(
        context.state.ledger,
        context.salesforce,
        context.rules.push,
        accounts,
        lambda entry: dict(parse_json(entry.payload)),
        context.clock,
        context.progress,
    )
    outcome.accounts_written += done.written
    outcome.refused += done.refused
    if done.unavailable is not None:
        outcome.unavailable["salesforce"] = done.unavailable


def _runnable(context: PushContext, operation: str, outcome: PushOutcome) -> list[LedgerEntry]:
    now = context.clock()
    return runnable(context.state, FLOW, operation, context.environment.mode, now, outcome.held, context.planned)


# QuickBooks


def _update_customers(context: PushContext, entries: Sequence[LedgerEntry], outcome: PushOutcome) -> None:
    """Send up to thirty changes in one batch call; those whose token is stale are read and decided again."""
    group_id = uuid.uuid4().hex
    by_bid = {str(number): entry for number, entry in enumerate(entries, start=1)}
    items = [BatchItem(bid, "update", _ENTITY, entry.payload) for bid, entry in by_bid.items()]
    context.quickbooks.wait_for_batch()
    sendings = [Sending(entry.key, group_id, entry.payload, group_id, int(bid)) for bid, entry in by_bid.items()]
    context.state.ledger.start(sendings, context.clock())
    context.progress(f"changing {len(items)} customers in QuickBooks")
    try:
        answers = context.quickbooks.batch(items, group_id)
    except OutcomeUnknown as error:
        logger.warning("no answer to a batch of %d changes: %s (%s)", len(items), error.code, error.message)
        return  # stays in sending; settled by looking
    except ServiceUnavailable as error:
        _put_off(context, entries, error, outcome)
        return
    except AccessRefused:
        for entry in entries:
            context.state.ledger.release(entry.key, context.clock())
        raise
    except RecordRefused as error:
        # The call as a whole was refused, nothing in it was done: one bad record must not stop the others.
        if len(entries) == 1:
            _refused(context, entries[0], error, outcome)
            return
        for entry in entries:
            context.state.ledger.release(entry.key, context.clock())
        for entry in entries:
            if "quickbooks" not in outcome.unavailable:
                _update_customers(context, [entry], outcome)
        return
    finished: list[Finished] = []
    for bid, entry in by_bid.items():
        answer = answers[bid]
        if not isinstance(answer, ServiceError):
            finished.append(Finished(entry.key, str(answer["Id"]), to_json(answer)))
            outcome.customers[str(answer["Id"])] = answer
    context.state.ledger.finish_many(finished, context.clock())
    outcome.customers_written += len(finished)
    for bid, entry in by_bid.items():
        answer = answers[bid]
        if isinstance(answer, ServiceError):
            _refused(context, entry, answer, outcome)


def _refused(context: PushContext, entry: LedgerEntry, error: ServiceError, outcome: PushOutcome) -> None:
    now = context.clock()
    if isinstance(error, OutcomeUnknown):
        return  # stays in sending
    if isinstance(error, StaleRecord):
        _decide_again(context, entry, outcome)
        return
    if isinstance(error, ServiceUnavailable) and entry.attempts + 1 < context.rules.push.attempts:
        wait = next_wait(context.rules.push, entry.attempts + 1)
        context.state.ledger.fail(entry.key, error.code, error.message, now + wait, now)
    else:
        give_up(context.state.ledger, entry, error.code, error.message, now)
    outcome.refused += 1


def _decide_again(context: PushContext, entry: LedgerEntry, outcome: PushOutcome) -> None:
    """After 5010: send the same fields under the new token where they are as they were, else leave it to the next plan."""
    body = parse_json(entry.payload)
    customer_id = str(body["Id"])
    try:
        fresh = context.quickbooks.read(_ENTITY, customer_id)
    except (ServiceUnavailable, OutcomeUnknown) as error:
        _put_off(context, [entry], error, outcome)
        return
    except AccessRefused:
        context.state.ledger.release(entry.key, context.clock())
        raise
    except RecordRefused as error:
        _refused_for_good(context, entry, error, outcome)
        return
    outcome.customers[customer_id] = fresh
    if _holds(fresh, body):
        # An earlier sending whose answer was lost came through after all.
        context.state.ledger.finish(entry.key, customer_id, to_json(fresh), context.clock())
        outcome.customers_written += 1
        return
    if not _is_as_planned(fresh, context.pulled([customer_id]).get(customer_id, {}), body):
        _leave_to_next_plan(context, entry, "the customer was changed in QuickBooks meanwhile", outcome)
        return
    again = to_json({**body, "SyncToken": str(fresh.get("SyncToken"))})
    request_id = uuid.uuid4().hex
    context.state.ledger.release(entry.key, context.clock())
    context.state.ledger.start([Sending(entry.key, request_id, again)], context.clock())
    try:
        answer = context.quickbooks.update(_ENTITY, again, request_id)
    except OutcomeUnknown as error:
        logger.warning("no answer to the change of customer %s: %s", customer_id, error.code)
        return
    except StaleRecord:
        _leave_to_next_plan(context, entry, "somebody is changing the customer in QuickBooks right now", outcome)
        return
    except ServiceUnavailable as error:
        _put_off(context, [entry], error, outcome)
        return
    except AccessRefused:
        context.state.ledger.release(entry.key, context.clock())
        raise
    except RecordRefused as error:
        _refused_for_good(context, entry, error, outcome)
        return
    context.state.ledger.finish(entry.key, str(answer["Id"]), to_json(answer), context.clock())
    outcome.customers[customer_id] = answer
    outcome.customers_written += 1


def _is_as_planned(fresh: Mapping[str, Any], pulled: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    """Whether the fields of a body still are what the plan was made from.

    Args:
        fresh: the customer as it is now.
        pulled: as the warehouse has it, which says what the plan saw only as long as it has the version that the body names:
            an earlier push may have put a newer one there.
    """
    if fresh.get("Active") is False or str(pulled.get("SyncToken")) != str(body["SyncToken"]):
        return False
    return all(_plain(fresh.get(name)) == _plain(pulled.get(name)) for name in body if name not in _NO_FIELDS)


def _leave_to_next_plan(context: PushContext, entry: LedgerEntry, why: str, outcome: PushOutcome) -> None:
    """The next plan knows the newer version and gives the write another key, so this one only waits to be withdrawn."""
    now = context.clock()
    text = f"{why}; the next plan decides again"
    context.state.ledger.fail(entry.key, "5010", text, now + next_wait(context.rules.push, entry.attempts + 1), now)
    outcome.held.append((entry.key, text))


def _put_off(context: PushContext, entries: Sequence[LedgerEntry], error: ServiceError, outcome: PushOutcome) -> None:
    """QuickBooks does not answer, which says nothing about the records."""
    now = context.clock()
    outcome.unavailable["quickbooks"] = error.message
    for entry in entries:
        context.state.ledger.fail(entry.key, error.code, error.message, now + first_wait(context.rules.push), now)


def _refused_for_good(context: PushContext, entry: LedgerEntry, error: ServiceError, outcome: PushOutcome) -> None:
    give_up(context.state.ledger, entry, error.code, error.message, context.clock())
    outcome.refused += 1


# Settling what is unclear


def _settle_unclear(context: PushContext, outcome: PushOutcome) -> None:
    """Find out what became of changes in ``sending``: look at the records."""
    unclear = context.state.ledger.sending(FLOW)
    if not unclear:
        return
    context.progress(f"looking for {len(unclear)} changes whose answer was lost")
    try:
        _settle_accounts(context, [entry for entry in unclear if entry.operation == "update_account"], outcome)
    except (ServiceUnavailable, OutcomeUnknown) as error:
        outcome.unavailable["salesforce"] = error.message
    customers = [entry for entry in unclear if entry.operation == "update_customer"]
    try:
        for group in _chunks(customers, _IDS_PER_QUERY):
            _settle_customers(context, group, outcome)
    except (ServiceUnavailable, OutcomeUnknown) as error:
        outcome.unavailable["quickbooks"] = error.message


def _settle_accounts(context: PushContext, entries: Sequence[LedgerEntry], outcome: PushOutcome) -> None:
    """An account that holds what was sent is done, so that the journal says so; else it may be sent again."""
    if not entries:
        return
    bodies = {entry.key: parse_json(entry.sent_body or entry.payload) for entry in entries}
    fields = sorted({name for body in bodies.values() for name in body if name not in _NO_FIELDS})
    try:
        found = context.salesforce.retrieve("Account", sorted({str(body["Id"]) for body in bodies.values()}), fields)
    except RecordRefused as error:
        # An update by id may be repeated: it writes the same values again.
        logger.warning("accounts cannot be looked at: %s", error.message)
        found = {}
    for entry in entries:
        account_id = str(bodies[entry.key]["Id"])
        record = found.get(account_id)
        if record is not None and _holds(record, bodies[entry.key]):
            context.state.ledger.finish(entry.key, account_id, to_json(bodies[entry.key]), context.clock())
            outcome.accounts_written += 1
        else:
            context.state.ledger.release(entry.key, context.clock())


def _settle_customers(context: PushContext, entries: Sequence[LedgerEntry], outcome: PushOutcome) -> None:
    bodies = {entry.key: parse_json(entry.sent_body or entry.payload) for entry in entries}
    quoted = ",".join(context.quickbooks.quoted(str(body["Id"])) for body in bodies.values())
    found = {
        str(record["Id"]): record for record in context.quickbooks.query(_ENTITY, f"Id IN ({quoted}) AND Active IN (true,false)")
    }
    for entry in entries:
        body = bodies[entry.key]
        record = found.get(str(body["Id"]))
        if record is not None:
            outcome.customers[str(record["Id"])] = record
        if record is not None and _holds(record, body):
            context.state.ledger.finish(entry.key, str(record["Id"]), to_json(record), context.clock())
            outcome.customers_written += 1
        else:
            # Sent again with the same token, QuickBooks takes it at most once; with a token that is old by now, not at all.
            context.state.ledger.release(entry.key, context.clock())


def _holds(record: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    """Whether a record has every value of a body."""
    return all(_agrees(record.get(name), value) for name, value in body.items() if name not in _NO_FIELDS)


def _agrees(found: Any, sent: Any) -> bool:
    if isinstance(sent, Mapping):
        inner = found if isinstance(found, Mapping) else {}
        if not sent:
            return not any(_plain(value) for name, value in inner.items() if name != "Id")
        return all(_agrees(inner.get(name), value) for name, value in sent.items())
    return bool(_plain(found) == _plain(sent))


def _plain(value: Any) -> Any:
    """A value as far as it can be told: null, missing and empty are one, white space at the ends is none."""
    if isinstance(value, Mapping):
        # QuickBooks adds ids and coordinates to addresses.
        known = {name: _plain(inner) for name, inner in value.items() if name not in ("Id", "Lat", "Long")}
        return {name: inner for name, inner in known.items() if inner not in ("", None)} or None
    if isinstance(value, str):
        return " ".join(value.split()) or None
    return value


def _chunks(entries: Sequence[LedgerEntry], size: int) -> Iterator[Sequence[LedgerEntry]]:
    for start in range(0, len(entries), size):
        yield entries[start : start + size]
