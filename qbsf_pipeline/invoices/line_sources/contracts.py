"""Which deal made a contract that quotes of Salesforce CPQ amend or renew.

Two ways tell it, and the first that does counts: the contract itself (``SBQQ__Opportunity__c`` on Contract), and its
subscriptions, each of which names the line of the quote that sold it. An amendment of an amendment names the same contract, and
its own subscriptions are among those of the contract: they tell nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

import polars as pl

from qbsf_pipeline.customers.texts import short_id

#: What the two ways are called where people read of them.
WAYS = "the opportunity on the contract (SBQQ__Opportunity__c), and the quote lines of its subscriptions (SBQQ__Subscription__c)"


class Contracts:
    """The deals that made some contracts."""

    def __init__(
        self, contract_ids: Collection[str], quotes: pl.DataFrame, lines: pl.DataFrame, subscriptions: pl.DataFrame
    ) -> None:
        """
        Args:
            contract_ids: those that are asked about.
            quotes: of :data:`.tables.CPQ_QUOTE`, those of all deals.
            lines: of :data:`.tables.CPQ_QUOTE_LINE`, those of all quotes.
            subscriptions: of :data:`.tables.CPQ_SUBSCRIPTION`.
        """
        wanted = list(contract_ids)
        is_amendment = pl.col("type").fill_null("").str.strip_chars().str.to_lowercase() == "amendment"
        told = _live(quotes).filter(pl.col("contract_id").is_in(wanted) & pl.col("contract_opportunity_id").is_not_null())
        named = told.select("contract_id", "contract_opportunity_id").unique(maintain_order=True)
        amending = _live(quotes).filter(pl.col("is_primary").fill_null(False) & is_amendment)
        self._amending = {short_id(one) for one in amending.get_column("opportunity_id").drop_nulls().to_list()}
        self._named = _by_contract(named)
        # A line or quote that was deleted since still tells what sold the subscription.
        sold = (
            _live(subscriptions)
            .filter(pl.col("contract_id").is_in(wanted))
            .select("contract_id", "quote_line_id")
            .join(lines.select(pl.col("id").alias("quote_line_id"), "quote_id"), on="quote_line_id", how="inner")
            .join(
                quotes.filter(~is_amendment).select(pl.col("id").alias("quote_id"), "opportunity_id"), on="quote_id", how="inner"
            )
            .select("contract_id", "opportunity_id")
            .drop_nulls()
            .unique(maintain_order=True)
            .sort("opportunity_id")
        )
        self._sold = _by_contract(sold)

    def made_by(self, contract_id: str | None) -> tuple[str, ...]:
        """Ids of the deals that made the contract: one where it is known, none where nothing tells it, several in doubt."""
        for way in (self._named, self._sold):
            found = [one for one in way.get(contract_id or "", []) if short_id(one) not in self._amending]
            if found:
                return tuple(found)
        return ()


def _by_contract(pairs: pl.DataFrame) -> dict[str, list[str]]:
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for contract_id, opportunity_id in pairs.iter_rows():
        found[contract_id].setdefault(short_id(opportunity_id), opportunity_id)
    return {contract_id: list(deals.values()) for contract_id, deals in found.items()}


def _live(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(~pl.col("is_deleted").fill_null(False))
