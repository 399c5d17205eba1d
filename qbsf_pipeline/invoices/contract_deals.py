"""Deals whose quotes amend or renew a contract, and the deals that made those contracts: which bills what. Pure.

| The deal that made the contract | The difference of an amendment is billed |
| --- | --- |
| is billed period by period | with its schedule, once a person approves the change |
| is one plain invoice, or from before go-live | by the amendment's own deal, once a person approves it |
| is not won any more, or something stands against it | not yet: the amendment waits with a reason |
| is not known, or several are told | not: the amendment waits with a reason |

An amendment that has billed its difference itself goes on to do so, whatever becomes of the other deal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from qbsf_pipeline.customers.texts import short_id
from qbsf_pipeline.invoices import schedule_refusals as refusals
from qbsf_pipeline.invoices.amendments import Renewed, SoldDeal
from qbsf_pipeline.invoices.known import Known
from qbsf_pipeline.invoices.line_sources.contracts import Contracts
from qbsf_pipeline.invoices.scheduled import Scheduled
from qbsf_pipeline.invoices.schedules import Schedules
from qbsf_pipeline.invoices.sound_deals import deal_name
from qbsf_pipeline.invoices.validation import Reason
from qbsf_pipeline.money import format_amount

_ORDER = {"sale": 0, "renewal": 1, "amendment": 2}


@dataclass(frozen=True)
class Place:
    """Where the difference of an amendment is billed.

    Attributes:
        bills_itself: by a schedule of its own.
        detail: why it is billed where it is, in a sentence.
        reasons: what stands against it.
        billed_with: the deal whose agreed schedule bills it.
    """

    bills_itself: bool = False
    detail: str = ""
    reasons: tuple[Reason, ...] = ()
    billed_with: str | None = None


class ContractDeals:
    """The deals that are looked at, and those that made the contracts of some of them."""

    def __init__(
        self,
        looked: Sequence[SoldDeal],
        made_by: Contracts | None,
        deals: Mapping[str, Mapping[str, Any]],
        schedules: Schedules,
        on_hold: Collection[str] = (),
    ) -> None:
        """
        Args:
            looked: every deal that is looked at closely, amendment or not.
            made_by: ``None`` where no deal changes a contract.
            deals: rows of ``salesforce.opportunity`` by their short ids: at least those that made a contract.
            schedules: what is kept.
            on_hold: ids of deals of which nothing new is billed for now: what of them is agreed stays in its schedule.
        """
        self._made_by, self._deals, self._schedules = made_by, deals, schedules
        #: The deals that amend a contract last, so that it is known what becomes of the one that made it; renewals before them.
        self.in_order = sorted(looked, key=lambda one: _ORDER[one.sold.change])
        self._amendments: dict[str, list[SoldDeal]] = defaultdict(list)
        for one in looked:
            if one.sold.change != "amendment" or one.sold.reasons or schedules.bills_itself(one.deal):
                continue
            made = self._deal_of(one)
            if made is None or made["account_id"] != one.deal["account_id"]:
                continue
            if one.deal["id"] not in on_hold or schedules.holds(made["id"], one.deal["id"]):
                self._amendments[made["id"]].append(one)

    def amendments_of(self, opportunity_id: str) -> Sequence[SoldDeal]:
        """The won deals that amend the contract which the deal made, and that do not bill themselves."""
        return self._amendments.get(opportunity_id, ())

    def renewed_by(self, looked: SoldDeal, scheduled: Mapping[str, Scheduled]) -> Renewed | None:
        """The deal whose contract a renewal continues; ``None`` for a deal that is none.

        Args:
            scheduled: what becomes of the deals that were considered before, by their ids.
        """
        if looked.sold.change != "renewal":
            return None
        made = self._deal_of(looked)
        if made is None:
            return Renewed(looked.sold.contract_id)
        found = scheduled.get(made["id"])
        if found is None or found.schedule is None:
            return Renewed(looked.sold.contract_id, deal_name(made))
        bills = found.schedule.status == "active"
        periods = tuple(one for one in found.schedule.periods if bills or one.number in found.placed)
        return Renewed(looked.sold.contract_id, deal_name(made), found.schedule, periods)

    def place_of(self, looked: SoldDeal, scheduled: Mapping[str, Scheduled]) -> Place:
        """Where the difference of an amendment is billed.

        Args:
            scheduled: what becomes of all deals that are billed period by period, by their ids.
        """
        deal, sold = looked.deal, looked.sold
        amount = format_amount(looked.difference, looked.terms.currency).strip()
        if self._schedules.bills_itself(deal):
            return Place(bills_itself=True, detail=f"Its difference of {amount} is billed by itself.")
        if sold.reasons:
            return Place(reasons=sold.reasons)
        if not sold.lines:
            return Place(detail="It amends its contract by no amount: there is nothing to bill.")
        made_by = self._made_by.made_by(sold.contract_id) if self._made_by is not None else ()
        made_by = tuple(one for one in made_by if short_id(one) != short_id(deal["id"]))
        if len(made_by) != 1:
            return Place(reasons=(refusals.amendment_by_hand(sold.contract_id, [self._name(one) for one in made_by]),))
        made = self._deals.get(short_id(made_by[0]))
        if made is None:
            return Place(reasons=(refusals.amended_deal_not_shown(made_by[0]),))
        name = deal_name(made)
        if made["is_won"] is not True or made["is_deleted"] is True:
            return Place(reasons=(refusals.amended_deal_not_won(name),))
        found = scheduled.get(made["id"])
        if found is None:
            if looked.difference == 0:
                return Place(detail="It amends its contract by 0.00 altogether: there is nothing to bill.")
            return Place(
                bills_itself=True,
                detail=f"The deal amends the contract of the deal “{name}”, which is not billed period by period: "
                f"its difference of {amount} is billed by itself.",
            )
        if made["account_id"] != deal["account_id"]:
            return Place(reasons=(refusals.amended_account_differs(name),))
        detail = f"Its difference of {amount} is billed with the deal “{name}”"
        said = found.amendments.get(deal["id"], "asked")
        if said == "agreed":
            return Place(detail=f"{detail}.", billed_with=made["id"])
        if found.reasons:
            return Place(reasons=(refusals.amended_deal_waits(name),))
        if deal["id"] in found.refused:
            return Place(reasons=found.refused[deal["id"]])
        if said == "rejected":
            return Place(reasons=(refusals.amendment_rejected(name),))
        return Place(detail=f"{detail} once a person approves the change of that deal's schedule.")

    def _deal_of(self, looked: SoldDeal) -> Mapping[str, Any] | None:
        """The one deal that made the contract, where Salesforce shows it."""
        made_by = self._made_by.made_by(looked.sold.contract_id) if self._made_by is not None else ()
        others = [one for one in made_by if short_id(one) != short_id(looked.deal["id"])]
        return self._deals.get(short_id(others[0])) if len(others) == 1 else None

    def _name(self, opportunity_id: str) -> str:
        made = self._deals.get(short_id(opportunity_id))
        return f"“{deal_name(made)}”" if made is not None else opportunity_id


def contract_deals(looked: Sequence[SoldDeal], schedules: Schedules, known: Known) -> ContractDeals:
    """What the inputs tell of the contracts that these deals change."""
    changing = [one for one in looked if one.sold.change != "sale"]
    if not changing:
        return ContractDeals(looked, None, {}, schedules)
    inputs = known.inputs
    contract_ids = {one.sold.contract_id for one in changing if one.sold.contract_id}
    made_by = Contracts(contract_ids, inputs.cpq_quote, inputs.cpq_quote_line, inputs.cpq_subscription)
    wanted = {short_id(deal) for contract_id in contract_ids for deal in made_by.made_by(contract_id)}
    rows = inputs.opportunity.filter(pl.col("id").str.slice(0, 15).is_in(list(wanted))).drop("record", strict=False)
    by_id = {short_id(row["id"]): row for row in rows.iter_rows(named=True)}
    on_hold = {one.deal["id"] for one in changing if known.is_on_hold(one.deal)}
    return ContractDeals(looked, made_by, by_id, schedules, on_hold)
