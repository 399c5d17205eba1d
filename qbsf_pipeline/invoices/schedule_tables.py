"""The table by which the plan hands on what is to be remembered of billing schedules. The periods themselves are in
:mod:`.recurring.tables`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import polars as pl

from qbsf_pipeline.invoices.scheduled import Agreement
from qbsf_pipeline.money import parse_json, to_json
from qbsf_pipeline.state.billing_schedules import AgreedSchedule
from qbsf_pipeline.warehouse.tables import Column, TableSchema

SCHEDULE_AGREEMENTS = TableSchema(
    "invoices",
    "schedule_agreements",
    (
        Column("opportunity_id", pl.String, "The deal"),
        Column("deal", pl.String, "Its name"),
        Column("generation", pl.Int64, "1, more after a person said that the deal is billed again"),
        Column("version", pl.Int64, "Number of the agreement, from 1"),
        Column("schedule", pl.String, "The schedule as JSON"),
        Column("missed", pl.String, "Numbers of missed periods that a person said are to be billed (JSON)"),
        Column("sentence", pl.String, "What it says or changes"),
        Column("agreed_by", pl.String, "rules, or the person"),
        Column("told", pl.Boolean, "Whether finance is told of it: the schedule was stopped"),
    ),
    ("opportunity_id",),
    "Billing schedules that are to be remembered from this plan on, and need no person",
)


def agreement_row(agreement: Agreement) -> dict[str, Any]:
    """A row of :data:`SCHEDULE_AGREEMENTS`."""
    agreed = agreement.agreed
    return {
        "opportunity_id": agreed.opportunity_id,
        "deal": agreement.deal["name"],
        "generation": agreed.generation,
        "version": agreed.version,
        "schedule": agreed.schedule,
        "missed": to_json(list(agreed.missed)),
        "sentence": agreed.sentence,
        "agreed_by": agreed.agreed_by,
        "told": agreement.told,
    }


def agreed_schedules(rows: Iterable[dict[str, Any]]) -> list[AgreedSchedule]:
    """Rows of :data:`SCHEDULE_AGREEMENTS` as the state takes them."""
    names = ("opportunity_id", "generation", "version", "schedule", "sentence", "agreed_by")
    return [AgreedSchedule(missed=tuple(parse_json(row["missed"])), **{name: row[name] for name in names}) for row in rows]


def change_body(agreed: AgreedSchedule) -> dict[str, Any]:
    """What a person approves, as the payload of its row in the plan."""
    return {
        "Id": agreed.opportunity_id,
        "Generation": agreed.generation,
        "Version": agreed.version,
        "Schedule": parse_json(agreed.schedule),
        "Missed": list(agreed.missed),
        "Sentence": agreed.sentence,
    }


def changed_schedule(body: dict[str, Any], by: str) -> AgreedSchedule:
    """An approved change as the state takes it.

    Args:
        body: of :func:`change_body`.
        by: the person.
    """
    return AgreedSchedule(
        body["Id"], body["Generation"], body["Version"], to_json(body["Schedule"]), tuple(body["Missed"]), body["Sentence"], by
    )
