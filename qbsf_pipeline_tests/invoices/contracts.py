"""Deals whose quotes sell, amend and renew one contract, and their life from day to day: what tests of amendments begin from."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl

from qbsf_pipeline.invoices.plan import InvoicePlan
from qbsf_pipeline.invoices.schedule_tables import agreed_schedules, changed_schedule
from qbsf_pipeline.money import parse_json
from qbsf_pipeline.settings import Rules, load_rules
from qbsf_pipeline_tests.invoices.records import World, invoice, ledger_line, opportunity, record_id

CONTRACT = record_id("800")
STARTS, ENDS = date(2026, 11, 10), date(2027, 11, 9)
MONTHLY: dict[str, Any] = {"billing_frequency": "Monthly", "billing_periods": 12, "billing_start_date": STARTS}


def deal_id(number: int) -> str:
    return record_id("006", number)


class Contracted:
    """A company that sold 1,200.00 with deal 1, by month where ``monthly``, and what becomes of it."""

    def __init__(self, *, monthly: bool = True, with_rules: Rules | None = None) -> None:
        self.rules = with_rules or load_rules()
        self.world = World(opportunities=[], lines=[])
        self.quoted(1, "1200.00", starts=STARTS, **(MONTHLY if monthly else {}))
        self.made: list[tuple[date, str, Decimal]] = []

    def quoted(
        self,
        number: int,
        *totals: str,
        kind: str = "Quote",
        starts: date | None = None,
        ends: date = ENDS,
        told: bool = True,
        quote: dict[str, Any] | None = None,
        line: dict[str, Any] | None = None,
        **deal: Any,
    ) -> None:
        """A won deal with a primary quote; one that amends or renews is of the contract of deal 1.

        Args:
            totals: of its lines: product 1.
            told: whether the contract tells deal 1.
            deal: values of the deal; ``quote`` and ``line`` those of the quote and each of its lines.
        """
        amount = sum((Decimal(total) for total in totals), Decimal(0))
        self.world.opportunities.append(
            opportunity(number, **{"amount": amount, "name": f"Deal {number}", "is_closed": True, **deal})
        )
        changes = {"contract_id": CONTRACT, "contract_opportunity_id": deal_id(1) if told else None} if kind != "Quote" else {}
        self.world.quotes.append(
            {
                "id": record_id("a0q", number),
                "name": f"Q-{number}",
                "opportunity_id": deal_id(number),
                "is_primary": True,
                "type": kind,
                "net_amount": amount,
                "start_date": starts,
                "end_date": ends,
                **changes,
                **(quote or {}),
            }
        )
        self.world.quote_lines += [
            {
                "id": record_id("a0l", number * 10 + place),
                "quote_id": record_id("a0q", number),
                "number": Decimal(place),
                "product_id": record_id("01t"),
                "product_code": "PLAT",
                "product_name": "Platform",
                "quantity": Decimal(1),
                "net_price": Decimal(total),
                "net_total": Decimal(total),
                "subscription_pricing": "Fixed Price",
                "is_optional": False,
                **(line or {}),
            }
            for place, total in enumerate(totals, start=1)
        ]

    def amend(self, number: int, *totals: str, starts: date = date(2027, 2, 10), **values: Any) -> None:
        """A won deal that amends the contract of deal 1."""
        self.quoted(number, *totals, kind="Amendment", starts=starts, **values)

    def deal(self, number: int) -> dict[str, Any]:
        """A deal to be changed."""
        return next(one for one in self.world.opportunities if one["id"] == deal_id(number))

    def plan(self, day: date) -> InvoicePlan:
        return self.world.plan(self.rules, as_of=day)

    def day(self, day: date, *, credit: bool = False) -> list[str]:
        """Plan and carry out a day; credit memos where a person approved them. What was made: label and amount."""
        plan = self.plan(day)
        self.world.agreed += agreed_schedules(plan.agreements.to_dicts())
        wanted = ["create_invoice", *(["create_credit_memo"] if credit else [])]
        made = [self._make(row, day) for row in plan.writes.filter(pl.col("operation").is_in(wanted)).to_dicts()]
        for row in plan.writes.filter(pl.col("operation") == "write_back_opportunity").to_dicts():
            self.world.ledger.append(ledger_line(row["key"], "done", row["operation"], opportunity_id=row["source_id"]))
            own = [one["id"] for one in self.world.invoices if one["opportunity_id"] == row["source_id"]]
            next(one for one in self.world.opportunities if one["id"] == row["source_id"])["invoice_id"] = own[-1]
        return made

    def answer(self, day: date, verdict: str = "approved") -> list[str]:
        """A person's word on every question of the plan; what is approved is carried out. The sentences."""
        rows = self.questions(day)
        for row in rows:
            self.world.approvals[row["plan_id"]] = verdict
            if verdict == "approved":
                self.world.agreed.append(changed_schedule(parse_json(row["payload"]), "pat"))
        return [row["reason"] for row in rows]

    def questions(self, day: date) -> list[dict[str, Any]]:
        return self.plan(day).writes.filter(pl.col("operation") == "change_schedule").to_dicts()

    def forget(self) -> None:
        """The state database is lost."""
        self.world.agreed, self.world.ledger, self.world.approvals = [], [], {}

    @property
    def total(self) -> Decimal:
        """What was billed, less what was credited."""
        return sum((amount for _, _, amount in self.made), Decimal(0))

    def _make(self, row: dict[str, Any], day: date) -> str:
        body, number = parse_json(row["payload"]), len(self.made) + 1
        total = sum((Decimal(str(one["Amount"])) for one in body["Line"]), Decimal(0))
        values = {"private_note": body["PrivateNote"], "txn_date": date.fromisoformat(body["TxnDate"]), "total": total}
        if row["operation"] == "create_invoice":
            assert total == row["amount"]
            marked = {"opportunity_id": row["source_id"], "balance": total, "email_status": "EmailSent"}
            self.world.invoices.append(invoice(number, **marked, **values))
        else:
            assert -total == row["amount"]
            total = -total
            self.world.credit_memos.append({"id": str(300 + number), "remaining": -total, **values})
        done = {"opportunity_id": row["source_id"], "result_id": str(300 + number), "done_on": day}
        self.world.ledger = [one for one in self.world.ledger if one["key"] != row["key"]]
        self.world.ledger.append(ledger_line(row["key"], "done", row["operation"], **done))
        self.made.append((day, row["label"], total))
        return f"{row['label']}: {total}"
