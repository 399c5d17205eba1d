"""The stage that the rules name for deals that are paid in full. Pure."""

from __future__ import annotations

from typing import Any

import polars as pl


class PaidStage:
    """The paid stage, as the org has it.

    Attributes:
        name: as ``Opportunity.StageName`` spells it; ``None`` where the rules name none, or none that can be used.
        problem: why a named stage cannot be used: code, reason and remedy; ``None`` where it can.
    """

    name: str | None
    problem: tuple[str, str, str] | None

    def __init__(self, named: str, stages: pl.DataFrame) -> None:
        """
        Args:
            named: the rule ``payments.paid_stage``: the name of a stage, or what people see of it.
            stages: ``salesforce.opportunity_stage``; a column ``sort_order`` tells the order of stages where there is one.
        """
        rows = stages.filter(~pl.col("is_deleted").fill_null(False)).iter_rows(named=True)
        self._stages: dict[str, dict[str, Any]] = {row["api_name"]: row for row in rows if row["api_name"]}
        self.name, self.problem = None, None
        if not named.strip():
            return
        found = self._named(named.strip())
        if found is None or found["is_active"] is False:
            self.problem = (
                "paid_stage_missing",
                f"The rules name the stage {named.strip()} for paid deals, and Salesforce has no such stage that may be chosen.",
                "Name a stage of the org under payments.paid_stage in the file of QBSF_CONFIG, or none.",
            )
        elif found["is_won"] is not True:
            self.problem = (
                "paid_stage_not_won",
                f"The stage {named.strip()} that the rules name for paid deals is not a won one: deals would be won no more.",
                "Make the stage a won one in Salesforce, or name another under payments.paid_stage in the file of QBSF_CONFIG.",
            )
        else:
            self.name = found["api_name"]

    def has(self, stage: str) -> bool:
        """Whether a stage may be chosen."""
        return stage in self._stages and self._stages[stage]["is_active"] is not False

    def takes(self, current: str | None, *, won: bool | None, before: str | None, moved: bool) -> bool:
        """Whether a deal that is paid in full is to be moved to the paid stage.

        Not where a person has moved it since: out of the paid stage after the program put it there, or on from the stage in
        which it was found paid. Not where it is lost, or stands in a later stage already.

        Args:
            current: its stage.
            won: whether it is won.
            before: the stage in which it was found paid, where that was before now.
            moved: whether the program moved it since it was paid.
        """
        if self.name is None or current is None or current == self.name or moved or won is not True:
            return False
        return (before is None or before == current) and not self._is_beyond(current)

    def _is_beyond(self, current: str) -> bool:
        if self.name is None:
            return False
        here = self._stages.get(current, {}).get("sort_order")
        there = self._stages[self.name].get("sort_order")
        return here is not None and there is not None and here > there

    def _named(self, name: str) -> dict[str, Any] | None:
        if name in self._stages:
            return self._stages[name]
        wanted = name.casefold()
        for row in self._stages.values():
            if wanted in (row["api_name"].casefold(), (row["label"] or "").strip().casefold()):
                return row
        return None
