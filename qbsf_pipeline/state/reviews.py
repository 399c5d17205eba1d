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
from qbsf_pipeline.state.rejections import Rejections
from qbsf_pipeline.state.tables import reviews
from qbsf_pipeline.state.transactions import Transactions

ReviewStatus = Literal["open", "linked", "create", "ignored", "closed"]
Decision = Literal["link", "create", "ignore"]

_STATUS: dict[Decision, ReviewStatus] = {"link": "linked", "create": "create", "ignore": "ignored"}
_DECISION: dict[str, Decision] = {status: decision for decision, status in _STATUS.items()}


@dataclass(frozen=True)
class ReviewCase:
    """An account to be asked about: the question, the customers it might be (customer_id, display_name, email, city, the
    fields that agree and those that differ), and the deals that wait, with their amount in ``currency``.

    ``details``: both records side by side, as JSON has it; what is in it does not make it another question.
    """

    account_id: str
    account_name: str
    question: str
    candidates: Sequence[Mapping[str, Any]]
    deals_waiting: int
    amount_waiting: Decimal | None
    currency: str | None
    details: Mapping[str, Any] | None = None


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
    details: dict[str, Any] | None = None
    announced_at: datetime | None = None


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

    def __init__(self, transactions: Transactions, links: Links, rejections: Rejections) -> None:
        self._transactions = transactions
        self._links = links
        self._rejections = rejections

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
                    "details": None if case.details is None else to_json(dict(case.details)),
                }
                fresh = {**values, **_opened(now)}
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

        ``link`` makes the link in the same transaction, in place of what the program linked by itself; customers that a
        person added with :meth:`also_link` stay, and a rejection of the named one is withdrawn. Each decision undoes the link
        of an earlier answer.

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
                for link in self._links.customers(before.account_id):
                    if link.method != PERSON and link.customer_id != customer_id:
                        self._links.unlink_customer(before.account_id, link.customer_id, by, now)
                self._rejections.withdraw(before.account_id, customer_id)
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

    def also_link(self, account_id: str, customer_id: str, by: str, now: datetime) -> CustomerLink:
        """A person adds a customer beside those that the account has: a branch, or another currency.

        A rejection of it is withdrawn. The account's question, if there is one, stays as it is.
        """
        with self._transactions.write():
            beside = [link.customer_id for link in self._links.customers(account_id) if link.customer_id != customer_id]
            self._rejections.withdraw(account_id, customer_id)
            link = CustomerLink(account_id, customer_id, PERSON, by, now, evidence={"beside": beside})
            self._links.link_customer(link)
        return link

    def undo(self, review: str, by: str, now: datetime, account_name: str | None = None, question: str | None = None) -> Review:
        """A person takes back what a person or the program decided; ``review`` is a review's id or an account's.

        Every link of the account in force is undone, and its customer rejected, as is the customer of the answer. The
        question is open again; an account that was never asked about gets one, with ``account_name`` and ``question``.
        Where nothing was decided, nothing changes.

        Raises:
            UnknownReview: there is no such review, nor an account of that id with a link.
        """
        with self._transactions.write() as connection:
            before = _row(connection, review)
            account_id = review if before is None else before.account_id
            linked = [link.customer_id for link in self._links.customers(account_id)]
            if before is None and not linked:
                raise UnknownReview(review)
            if before is not None and not linked and before.status not in _DECISION:
                return _review(before)
            answered = [before.customer_id] if before is not None and before.customer_id else []
            reason = None if before is None else f"undone in {_review_id(before.number)}"
            for customer_id in dict.fromkeys([*linked, *answered]):
                self._links.unlink_customer(account_id, customer_id, by, now)
                self._rejections.reject(account_id, customer_id, by, now, reason)
            if before is None:
                asked = question or "Which customer of QuickBooks is this account? Its link was undone."
                case = ReviewCase(account_id, account_name or account_id, asked, (), 0, None, None)
                values = {
                    "account_id": account_id,
                    "account_name": case.account_name,
                    "question": asked,
                    "candidates": to_json([]),
                    "fingerprint": _fingerprint(case),
                    "deals_waiting": 0,
                }
                connection.execute(insert(reviews).values({**values, **_opened(now)}))
            else:
                named = {"account_name": account_name or before.account_name, "question": question or before.question}
                same = reviews.c.number == before.number
                connection.execute(update(reviews).where(same).values({**named, **_opened(now)}))
            after = _row(connection, account_id)
            assert after is not None
            return _review(after)

    def unannounced(self) -> tuple[Review, ...]:
        """Open reviews that people were not told of yet, oldest first."""
        statement = select(reviews).where(reviews.c.status == "open", reviews.c.announced_at.is_(None))
        with self._transactions.read() as connection:
            rows = connection.execute(statement.order_by(reviews.c.opened_at, reviews.c.number))
            return tuple(_review(row) for row in rows)

    def announce(self, review_ids: Collection[str], now: datetime) -> None:
        """Remember that people were told of these reviews. Put their message into the outbox in the same transaction.

        Raises:
            UnknownReview: there is no such review.
        """
        with self._transactions.write() as connection:
            for review_id in review_ids:
                row = _row(connection, review_id)
                if row is None:
                    raise UnknownReview(review_id)
                connection.execute(update(reviews).where(reviews.c.number == row.number).values(announced_at=now))

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


def _opened(now: datetime) -> dict[str, Any]:
    """What a review is set to when its question is asked, or asked again."""
    return {
        "status": "open",
        "opened_at": now,
        "decided_at": None,
        "decided_by": None,
        "customer_id": None,
        "announced_at": None,
    }


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
        details=None if row.details is None else parse_json(row.details),
        announced_at=row.announced_at,
    )


def _fingerprint(case: ReviewCase) -> str:
    content = to_json([case.question, [dict(candidate) for candidate in case.candidates]], sort_keys=True)
    return hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()
