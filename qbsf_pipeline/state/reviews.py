"""Reviews: accounts whose customer in QuickBooks a person has to name.

Belongs here: the questions and the answers. Does not belong here: how candidates are found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, cast

from sqlalchemy import Connection, Row, insert, or_, select, update

from qbsf_pipeline.money import parse_json, to_json
from qbsf_pipeline.state.links import PERSON, CustomerLink, Links
from qbsf_pipeline.state.tables import reviews
from qbsf_pipeline.state.transactions import Transactions

ReviewStatus = Literal["open", "linked", "create", "ignored", "closed"]
Decision = Literal["link", "create", "ignore"]

_STATUS: dict[Decision, ReviewStatus] = {"link": "linked", "create": "create", "ignore": "ignored"}
_DECISION: dict[str, Decision] = {status: decision for decision, status in _STATUS.items()}


@dataclass(frozen=True)
class ReviewCase:
    """An account to be asked about: the question, the customers it might be (customer_id, display_name, email, city, the
    fields that agree and those that differ), and the deals that wait, with their amount in ``currency``."""

    account_id: str
    account_name: str
    question: str
    candidates: Sequence[Mapping[str, Any]]
    deals_waiting: int
    amount_waiting: Decimal | None
    currency: str | None


@dataclass(frozen=True)
class Review:
    """A question as it stands. ``review_id`` is ``R-`` and a number, the same for one account for ever."""

    review_id: str
    account_id: str
    account_name: str
    status: ReviewStatus
    question: str
    candidates: list[dict[str, Any]]
    deals_waiting: int
    amount_waiting: Decimal | None
    currency: str | None
    opened_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    customer_id: str | None


@dataclass(frozen=True)
class AccountDecision:
    """What a person decided about an account. ``customer_id`` is set for ``link`` only."""

    account_id: str
    decision: Decision
    customer_id: str | None
    decided_by: str
    decided_at: datetime


class UnknownReview(LookupError):
    """There is no review of that id or account."""


class Reviews:
    """The reviews in the state database, one for each account."""

    def __init__(self, transactions: Transactions, links: Links) -> None:
        self._transactions = transactions
        self._links = links

    def open_or_refresh(self, cases: Sequence[ReviewCase], now: datetime) -> tuple[Review, ...]:
        """Ask about accounts. Returns the reviews that are new, that is not open before.

        An open review takes the newest candidates and amounts. One that was decided is asked again only when the question
        or the candidates are others than those that were decided about.
        """
        opened: list[str] = []
        with self._transactions.write() as connection:
            for case in cases:
                fingerprint = _fingerprint(case)
                values = {
                    "account_name": case.account_name,
                    "question": case.question,
                    "candidates": to_json([dict(candidate) for candidate in case.candidates]),
                    "fingerprint": fingerprint,
                    "deals_waiting": case.deals_waiting,
                    "amount_waiting": case.amount_waiting,
                    "currency": case.currency,
                }
                fresh = {
                    **values,
                    "status": "open",
                    "opened_at": now,
                    "decided_at": None,
                    "decided_by": None,
                    "customer_id": None,
                }
                row = _row(connection, case.account_id)
                same = reviews.c.account_id == case.account_id
                if row is None:
                    connection.execute(insert(reviews).values(account_id=case.account_id, **fresh))
                elif row.status == "open":
                    connection.execute(update(reviews).where(same).values(values))
                    continue
                elif row.status == "closed" or row.fingerprint != fingerprint:
                    connection.execute(update(reviews).where(same).values(fresh))
                else:
                    continue
                opened.append(case.account_id)
            rows = [_row(connection, account_id) for account_id in opened]
        return tuple(_review(row) for row in rows if row is not None)

    def close_missing(self, account_ids: Collection[str], now: datetime) -> tuple[Review, ...]:
        """Close the open reviews of every account that is not in ``account_ids``: the question went away by itself."""
        wanted = frozenset(account_ids)
        with self._transactions.write() as connection:
            rows = connection.execute(select(reviews).where(reviews.c.status == "open").order_by(reviews.c.number))
            gone = [row for row in rows if row.account_id not in wanted]
            for row in gone:
                statement = update(reviews).where(reviews.c.number == row.number)
                connection.execute(statement.values(status="closed", decided_at=now))
        return tuple(_review(row) for row in gone)

    def decide(self, review: str, decision: Decision, *, by: str, now: datetime, customer_id: str | None = None) -> Review:
        """A person answers; ``review`` is a review's id or an account's. A later answer takes the place of an earlier one.

        ``link`` makes the link in the same transaction, ``create`` and ``ignore`` undo the one of an earlier answer.

        Raises:
            UnknownReview: there is no such review.
            ValueError: ``link`` without a customer, or another decision with one.
        """
        if (decision == "link") != bool(customer_id):
            raise ValueError("a customer id is needed to link, and only to link")
        with self._transactions.write() as connection:
            before = _row(connection, review)
            if before is None:
                raise UnknownReview(review)
            earlier = before.customer_id if before.status == "linked" else None
            if earlier is not None and earlier != customer_id:
                self._links.unlink_customer(before.account_id, earlier, by, now)
            if customer_id:
                evidence = {"review": _review_id(before.number)}
                self._links.link_customer(CustomerLink(before.account_id, customer_id, PERSON, by, now, evidence=evidence))
            connection.execute(
                update(reviews)
                .where(reviews.c.number == before.number)
                .values(status=_STATUS[decision], decided_at=now, decided_by=by, customer_id=customer_id)
            )
            after = _row(connection, before.account_id)
            assert after is not None
            return _review(after)

    def get(self, review: str) -> Review:
        """One review by its id or its account's.

        Raises:
            UnknownReview: there is no such review.
        """
        with self._transactions.read() as connection:
            row = _row(connection, review)
        if row is None:
            raise UnknownReview(review)
        return _review(row)

    def list(self, status: ReviewStatus | None = "open") -> tuple[Review, ...]:
        """Reviews of one status (None: all), oldest first."""
        statement = select(reviews).order_by(reviews.c.opened_at, reviews.c.number)
        if status is not None:
            statement = statement.where(reviews.c.status == status)
        with self._transactions.read() as connection:
            return tuple(_review(row) for row in connection.execute(statement))

    def decisions(self) -> dict[str, AccountDecision]:
        """What people decided, by account id."""
        statement = select(reviews).where(reviews.c.status.in_(_DECISION))
        with self._transactions.read() as connection:
            return {
                row.account_id: AccountDecision(
                    row.account_id, _DECISION[row.status], row.customer_id, row.decided_by, row.decided_at
                )
                for row in connection.execute(statement)
            }


def _row(connection: Connection, review: str) -> Row[Any] | None:
    condition = reviews.c.account_id == review
    prefix, _, digits = review.strip().partition("-")
    if prefix.upper() == "R" and digits.isdecimal() and len(digits) < 10:
        condition = or_(condition, reviews.c.number == int(digits))
    return connection.execute(select(reviews).where(condition)).first()


def _review_id(number: int) -> str:
    return f"R-{number}"


def _review(row: Row[Any]) -> Review:
    return Review(
        review_id=_review_id(row.number),
        account_id=row.account_id,
        account_name=row.account_name,
        status=cast(ReviewStatus, row.status),
        question=row.question,
        candidates=parse_json(row.candidates),
        deals_waiting=row.deals_waiting,
        amount_waiting=row.amount_waiting,
        currency=row.currency,
        opened_at=row.opened_at,
        decided_at=row.decided_at,
        decided_by=row.decided_by,
        customer_id=row.customer_id,
    )


def _fingerprint(case: ReviewCase) -> str:
    content = to_json([case.question, [dict(candidate) for candidate in case.candidates]], sort_keys=True)
    return hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()
