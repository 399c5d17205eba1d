"""Billing schedules: in which periods a deal is billed, as it was agreed; every agreement that there ever was.

Belongs here: remembering them. Does not belong here: what a schedule says, and who has to agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import insert, select

from qbsf_pipeline.money import parse_json, to_json
from qbsf_pipeline.state.tables import billing_schedules, storable
from qbsf_pipeline.state.transactions import Transactions

#: Who agreed where no person had to.
BY_RULES = "rules"


@dataclass(frozen=True)
class AgreedSchedule:
    """One agreement on how a deal is billed.

    Attributes:
        generation: of the deal: 1, more after "bill it again".
        version: from 1; the highest counts, the others tell what was before.
        schedule: the schedule as JSON text.
        missed: numbers of missed periods that a person said are to be billed.
        sentence: what it changed.
        agreed_by: :data:`BY_RULES`, or the person.
        agreed_at: when it was remembered (UTC); ``None`` for one that is not yet. Says nothing of what was agreed.
    """

    opportunity_id: str
    generation: int
    version: int
    schedule: str
    missed: tuple[int, ...]
    sentence: str
    agreed_by: str
    agreed_at: datetime | None = field(default=None, compare=False)


class ScheduleConflict(Exception):
    """A version of a deal's schedule is there already, and it is another one. Nothing was changed."""


class BillingSchedules:
    """The agreements in the state database. Nothing is ever overwritten."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def all(self) -> list[AgreedSchedule]:
        """Every agreement, by deal, generation and version."""
        table = billing_schedules
        with self._transactions.read() as connection:
            rows = connection.execute(select(table).order_by(table.c.opportunity_id, table.c.generation, table.c.version))
            return [
                AgreedSchedule(
                    row.opportunity_id,
                    row.generation,
                    row.version,
                    row.schedule,
                    tuple(parse_json(row.missed)),
                    row.sentence,
                    row.agreed_by,
                    row.agreed_at,
                )
                for row in rows
            ]

    def agree(self, agreed: Sequence[AgreedSchedule], now: datetime) -> int:
        """Remember agreements, all of them or none. Saying one again changes nothing. Returns how many are new.

        Raises:
            ScheduleConflict: the version is another one already: it was decided from an older one.
        """
        table, new = billing_schedules, 0
        with self._transactions.write() as connection:
            for one in agreed:
                same = select(table.c.schedule, table.c.missed).where(
                    table.c.opportunity_id == one.opportunity_id,
                    table.c.generation == one.generation,
                    table.c.version == one.version,
                )
                known = connection.execute(same).one_or_none()
                missed = to_json(sorted(one.missed))
                if known is None:
                    values = {
                        "opportunity_id": one.opportunity_id,
                        "generation": one.generation,
                        "version": one.version,
                        "schedule": one.schedule,
                        "missed": missed,
                        "sentence": one.sentence,
                        "agreed_by": one.agreed_by,
                        "agreed_at": now,
                    }
                    connection.execute(insert(table).values(values))
                    new += 1
                elif (known.schedule, known.missed) != (storable(one.schedule), missed):
                    raise ScheduleConflict(
                        f"version {one.version} of the billing schedule of {one.opportunity_id} is another one already"
                    )
        return new
