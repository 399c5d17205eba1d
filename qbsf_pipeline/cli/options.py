"""Options that several commands share."""

from __future__ import annotations

import getpass
from datetime import date
from enum import StrEnum
from typing import Annotated

import typer

from qbsf_pipeline.errors import ConfigurationError


class Flow(StrEnum):
    """The flows that can be run."""

    INVOICES = "invoices"
    CUSTOMERS = "customers"
    PAYMENTS = "payments"
    AGING = "aging"
    RECONCILIATION = "reconciliation"


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
Flows = Annotated[list[Flow] | None, typer.Option("--flow", help="Only this flow; may be given more than once.")]
AsOf = Annotated[str | None, typer.Option("--as-of", metavar="DATE", help="The day that counts as today, YYYY-MM-DD.")]
Full = Annotated[bool, typer.Option("--full", help="Read both systems whole instead of what changed.")]


def day(text: str | None, option: str) -> date | None:
    """An ISO date from the command line.

    Raises:
        ConfigurationError: it is not one.
    """
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError([f"{option}: must be a date such as 2026-03-31; found {text!r}"]) from error


def person() -> str:
    """Who sits at the keyboard, for what people decide."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "operator"
