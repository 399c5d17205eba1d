"""The rows of one deal in the plan: its invoice, e-mail and write-backs, what it adopts, and what a person is asked. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qbsf_pipeline.invoices import payloads
from qbsf_pipeline.invoices.account_write_backs import AccountWriteBacks
from qbsf_pipeline.invoices.details import Details
from qbsf_pipeline.invoices.keys import digest
from qbsf_pipeline.invoices.known import Known
from qbsf_pipeline.invoices.new_records import NewRecords
from qbsf_pipeline.invoices.period_bills import PeriodAdoption, is_still_to_be_mailed
from qbsf_pipeline.invoices.recurring.handing_over import TemplateEnd
from qbsf_pipeline.invoices.recurring.known_templates import CREATE, DELETE, TAKE_OVER
from qbsf_pipeline.invoices.recurring.schedule import sum_of
from qbsf_pipeline.invoices.recurring.templates import content_of, template_body
from qbsf_pipeline.invoices.rows import placed, plan_row
from qbsf_pipeline.invoices.schedule_tables import change_body
from qbsf_pipeline.invoices.scheduled import Question, plan_id_of
from qbsf_pipeline.invoices.sound_deals import Findings, SoundDeal, deal_name
from qbsf_pipeline.money import format_amount
from qbsf_pipeline.quickbooks.templates import ENTITY as RECURRING_TRANSACTION


class DealRows:
    """Writes down what was decided of deals, in the order in which they come. One use."""

    def __init__(self, known: Known, details: Details, new: NewRecords, accounts: AccountWriteBacks) -> None:
        self._known, self._details, self._new, self._accounts = known, details, new, accounts

    def of_deal(self, sound: SoundDeal, findings: Findings) -> list[dict[str, Any]]:
        """The invoice of a deal or period with all that it needs; what was mended on the way goes to ``findings``."""
        deal, account_id = sound.deal, sound.account["id"]
        customer_name = self._new.customer_name(account_id) or (self._details.customers.get(sound.customer) or {}).get(
            "display_name"
        )
        customer_name = customer_name or sound.account["name"]
        before, needs = self._new.rows_before(sound, findings)
        bill = sound.bill
        common = {
            "source_object": "Opportunity",
            "source_id": deal["id"],
            "account_id": account_id,
            "opportunity_id": deal["id"],
            "label": deal_name(deal) + (f" ({bill.name})" if bill is not None else ""),
            "customer_name": customer_name,
            "amount": sound.amount,
            "currency": sound.currency,
            "txn_date": sound.txn_date,
            "due_date": sound.due_date,
        }
        credit = bill is not None and bill.credit
        template = bill.template if bill is not None else None
        operation, target, body, decided_from = "create_invoice", "Invoice", sound.invoice, sound.decided_from
        if credit:
            operation, target = "create_credit_memo", "CreditMemo"
            common["amount"] = -sound.amount
        elif bill is not None and template is not None:
            operation, target = CREATE, RECURRING_TRANSACTION
            send = self._known.sends and sound.sent_to is not None
            body = template_body(sound.invoice, template, deal["id"], deal_name(deal), send=send, again=bill.again)
            common |= {"amount": sound.total, "due_date": None}
            # The ledger tells by its beginning what the template bills.
            decided_from = f"{content_of(template.repeated[0])}{decided_from}"
        own = [
            plan_row(operation, target, sound.key, needs, body, _why(sound), decided_from=decided_from, **common),
        ]
        if self._known.sends and sound.sent_to is not None and not credit and template is None:
            own.append(
                plan_row(
                    "send_invoice",
                    "Invoice",
                    _send_key(sound.key),
                    [sound.key],
                    {"Id": "$invoice.Id", "BillEmail": {"Address": sound.sent_to}},
                    f"QuickBooks mails the invoice to {sound.sent_to} ({sound.receiver.source}).",
                    **common,
                )
            )
        if sound.told:
            only_one = bill is None or not bill.later
            payload = payloads.opportunity_write_back(deal["id"], self._known.rules.salesforce.opportunity, only_one=only_one)
            own.append(
                plan_row(
                    "write_back_opportunity",
                    "Opportunity",
                    self._known.keys.write_back("opportunity", deal["id"], payload, sound.key if bill is not None else None),
                    [sound.key],
                    payload,
                    f"The deal is told number, link{', status and balance' if only_one else ''} of its invoice.",
                    **common,
                )
            )
        told = self._accounts.with_deal(sound, customer_name)
        rows = [*before, *own, *([told] if told is not None else [])]
        return placed(rows, self._known.keys.plan_id(own, account_id))

    def of_adoption(self, deal: Mapping[str, Any], found: Mapping[str, Any]) -> list[dict[str, Any]]:
        """A deal is told of its invoice (row of ``quickbooks.invoice``) that it does not know; mailed, if that was not done."""
        payload = self._adoption(deal, found, only_one=True)
        rows: list[dict[str, Any]] = []
        if is_still_to_be_mailed(deal, found, self._known):
            rows.append(self._late_send(deal, found, self._known.history.invoice_key(deal["id"])))
            payload[self._known.rules.salesforce.opportunity.payment_status] = "$invoice.status"
        rows.append(self._late_telling(deal, found, payload, [before["key"] for before in rows]))
        return placed(rows, self._known.keys.plan_id(rows, deal["account_id"]))

    def of_period_adoption(self, adoption: PeriodAdoption) -> list[dict[str, Any]]:
        """The same for a deal that is billed period by period."""
        deal, newest = adoption.deal, adoption.newest
        rows = [self._late_send(deal, found, key) for key, found in adoption.sends]
        if newest is not None:
            rows.append(self._late_telling(deal, newest, self._adoption(deal, newest, only_one=False), []))
        return placed(rows, self._known.keys.plan_id(rows, deal["account_id"]))

    def of_template_end(self, deal: Mapping[str, Any], end: TemplateEnd) -> list[dict[str, Any]]:
        """A recurring template is deleted; where qbsf then bills what is left itself, a person has to say so first."""
        template = end.template
        amount = sum_of(one.amount for one in end.periods)
        what = f"QuickBooks' {template.called} is deleted. {end.why}"
        if end.taken_over and end.periods:
            days = f"from {min(one.due_on for one in end.periods)} to {max(one.due_on for one in end.periods)}"
            money = format_amount(amount, self._known.company.currency_of(deal) or "").strip()
            what = f"{end.why} qbsf would bill the {len(end.periods)} periods {days} over {money} itself."
        row = plan_row(
            TAKE_OVER if end.taken_over else DELETE,
            RECURRING_TRANSACTION,
            self._known.keys.template_end(template.template_id or ""),
            [],
            {"Id": template.template_id, "Name": template.name},
            what,
            amount=amount,
            **self._adopted(deal),
        )
        return placed([row], self._known.keys.plan_id([row], deal["account_id"]))

    def of_question(self, deal: Mapping[str, Any], question: Question) -> list[dict[str, Any]]:
        """What a person is asked of a deal's schedule."""
        row = plan_row(
            "change_schedule",
            "BillingSchedule",
            question.key,
            [],
            change_body(question.agreed),
            question.sentence,
            decided_from=digest(question.key),
            amount=question.amount,
            **{**self._adopted(deal), "currency": question.currency or self._known.company.org_currency},
        )
        return placed([row], plan_id_of(question.key))

    def _adoption(self, deal: Mapping[str, Any], found: Mapping[str, Any], *, only_one: bool) -> dict[str, Any]:
        link = self._known.parameters.invoice_link.replace("{id}", found["id"])
        return payloads.opportunity_adoption(deal["id"], found, link, self._known.rules.salesforce.opportunity, only_one=only_one)

    def _adopted(self, deal: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "source_object": "Opportunity",
            "source_id": deal["id"],
            "account_id": deal["account_id"],
            "opportunity_id": deal["id"],
            "label": deal_name(deal),
            "customer_name": self._known.account_name(deal["account_id"]),
            "currency": self._known.company.currency_of(deal),
        }

    def _late_send(self, deal: Mapping[str, Any], found: Mapping[str, Any], invoice_key: str) -> dict[str, Any]:
        return plan_row(
            "send_invoice",
            "Invoice",
            _send_key(invoice_key),
            [],
            {"Id": found["id"], "BillEmail": {"Address": found["bill_email"]}},
            f"QuickBooks has invoice {_number(found)} for the deal, and did not mail it to {found['bill_email']} yet.",
            amount=found["total"],
            due_date=found["due_date"],
            **self._adopted(deal),
        )

    def _late_telling(
        self, deal: Mapping[str, Any], found: Mapping[str, Any], payload: Mapping[str, Any], depends_on: Sequence[str]
    ) -> dict[str, Any]:
        return plan_row(
            "write_back_opportunity",
            "Opportunity",
            self._known.keys.write_back("opportunity", deal["id"], payload),
            depends_on,
            payload,
            f"QuickBooks has invoice {_number(found)} for the deal, and the deal does not know it yet.",
            **self._adopted(deal),
        )


def _why(sound: SoundDeal) -> str:
    due = f", due {sound.due_date}" if sound.due_date is not None and (sound.bill is None or sound.bill.template is None) else ""
    terms = f", {sound.term.name}" if sound.term is not None else ""
    lines = "1 line" if len(sound.lines) == 1 else f"{len(sound.lines)} lines"
    lines += " of its primary quote" if sound.by_quote else ""
    bill = sound.bill
    why = bill.why if bill is not None else f"The deal was won on {sound.deal['close_date']} and has no invoice"
    return f"{why}: {lines}, {format_amount(sound.amount, sound.currency)}{terms}{due}."


def _send_key(invoice_key: str) -> str:
    return invoice_key.replace(":invoice:", ":send:", 1)


def _number(found: Mapping[str, Any]) -> str:
    return str(found["doc_number"] or f"id {found['id']}")
