"""Whatever happens in whatever order: Salesforce ends right, nothing is written twice, every event is told once."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal

import pytest

from qbsf_pipeline.payments.settling import PAID
from qbsf_pipeline_tests.invoices.records import record_id
from qbsf_pipeline_tests.payments.books import STAGES, Books, rules

DEALS = [record_id("006", number) for number in range(1, 6)]


def something_happens(books: Books, chance: random.Random) -> None:
    """One event in QuickBooks or Salesforce."""
    live = [one for one, invoice in books.invoices.items() if invoice.condition == "live"]
    held = [one for one, source in books.sources.items() if source.condition == "live"]
    kind = chance.choice(["invoice", "pay", "pay", "pay", "credit", "take_back", "edit_payment", "drop", "edit_deal", "total"])
    if kind == "invoice" or not live:
        books.invoice(f"{chance.randint(1, 500)}.{chance.randint(0, 99):02d}", deal=chance.choice(DEALS))
    elif kind in ("pay", "credit"):
        chosen = chance.sample(live, min(len(live), chance.choice([1, 1, 2])))
        given = [(one, str(left)) for one in chosen if (left := books.invoice_row(one)["open"]) > 0]
        if given and chance.random() < 0.3:
            given[0] = (given[0][0], "0.01")
        books.pay(*given, document="payment" if kind == "pay" else "credit_memo")
    elif kind == "take_back" and held:
        books.take_back(chance.choice(held), chance.choice(["voided", "deleted"]))
    elif kind == "edit_payment" and held:
        source = books.sources[chance.choice(held)]
        source.applied = {one: (amount / 2).quantize(Decimal("0.01")) for one, amount in source.applied.items() if amount > 1}
    elif kind == "drop" and chance.random() < 0.4:
        books.drop(chance.choice(live), chance.choice(["voided", "deleted"]))
    elif kind == "total":
        books.invoices[chance.choice(live)].total += 1
    elif kind == "edit_deal":
        books.now += timedelta(hours=1)
        books.edit(chance.choice(list(books.deals)), payment_status=chance.choice(["Sent", None, "paid"]))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("paid_stage", ["", "Paid"])
def test_twenty_rounds_of_anything_end_right_and_tell_each_event_once(seed, paid_stage):
    chance = random.Random(seed)
    books = Books(rules=rules(paid_stage, tell_partial=True))
    statuses: dict[str, str] = {}
    for _ in range(20):
        for _ in range(chance.randint(0, 3)):
            something_happens(books, chance)
        books.now = max(books.now, *(deal["source_modified_at"] for deal in books.deals.values())) if books.deals else books.now
        told = books.once()
        # Another pass tells nothing more, writes nothing more.
        assert books.once() == []
        assert books.plan().writes.is_empty()
        assert not books.plan().deals.get_column("changed").any()
        assert len({event.opportunity_id for event in told}) == len(told), "two events of one deal in one pass"
        for row in books.plan().deals.iter_rows(named=True):
            deal = row["opportunity_id"]
            mine = [books.invoice_row(one) for one, invoice in books.invoices.items() if invoice.deal == deal]
            live = [one for one in mine if one["status"] not in ("Voided", "Deleted")]
            assert row["status"] in {one["status"] for one in mine}
            open_ = sum((one["open"] for one in live), Decimal(0))
            settled = [one for one in live if one["status"] == "Credited"]
            assert row["balance"] == open_ - (sum(one["open"] for one in settled) if len(settled) < len(live) else 0)
            assert books.shown(deal) == (row["status"], row["balance"], row["last_payment_date"])
            became_paid = row["status"] in PAID and statuses.get(deal, "") not in PAID
            events = [event.kind for event in told if event.opportunity_id == deal]
            if deal in statuses:
                assert ("paid" in events) == became_paid
                gone = row["status"] in ("Voided", "Deleted") and statuses[deal] not in ("Voided", "Deleted")
                assert bool({"voided", "deleted"} & set(events)) == gone
            if paid_stage:
                assert books.deals[deal]["stage_name"] == ("Paid" if row["status"] in PAID else STAGES[0])
            statuses[deal] = row["status"]
    assert books.told
