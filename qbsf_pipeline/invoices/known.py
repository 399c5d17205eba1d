"""What is known before one deal is looked at: everything that the invoice flow decides from, in one place. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qbsf_pipeline.invoices.company import Company
from qbsf_pipeline.invoices.history import BillingHistory
from qbsf_pipeline.invoices.inputs import InvoiceInputs, PlanParameters
from qbsf_pipeline.invoices.keys import Keys
from qbsf_pipeline.invoices.recurring.template_invoices import MadeByTemplates
from qbsf_pipeline.money import parse_json
from qbsf_pipeline.settings import Rules


@dataclass(frozen=True)
class Known:
    """Inputs and rules of one plan, and what is looked up in them.

    Attributes:
        made: recurring templates of QuickBooks and their invoices.
        accounts: rows of ``salesforce.account`` by id.
        matches: rows of :data:`customers.matching.plan.MATCHES` by account.
    """

    inputs: InvoiceInputs
    rules: Rules
    parameters: PlanParameters
    company: Company
    history: BillingHistory
    keys: Keys
    made: MadeByTemplates
    accounts: Mapping[str, Mapping[str, Any]]
    matches: Mapping[str, Mapping[str, Any]]

    @property
    def sends(self) -> bool:
        """Whether invoices are e-mailed at all."""
        return self.rules.invoices.send == "send" and self.parameters.send

    @property
    def templates_refused(self) -> str:
        """Why deals are not billed by recurring templates, in a sentence; empty where the rules alone decide."""
        if self.company.custom_numbers and self.rules.invoices.document_number == "next":
            return "The company gives its invoices numbers of its own, which a template does not."
        return ""

    def is_old(self, deal: Mapping[str, Any]) -> bool:
        """Whether the deal was closed before the go-live date."""
        go_live = self.parameters.go_live
        return go_live is not None and deal["close_date"] is not None and deal["close_date"] < go_live

    def is_on_hold(self, deal: Mapping[str, Any]) -> bool:
        """Whether the deal says that nothing of it is billed for now, in the checkbox that the rules name."""
        return bool(self.rules.salesforce.opportunity.billing_on_hold) and deal["billing_on_hold"] is True

    def account_name(self, account_id: str | None) -> str | None:
        """The name of an account."""
        return (self.accounts.get(account_id or "") or {}).get("name")


def known(inputs: InvoiceInputs, rules: Rules, parameters: PlanParameters) -> Known:
    """What the inputs tell."""
    history = BillingHistory(
        inputs.invoice, inputs.invoice_links, inputs.ledger, inputs.generations, parameters.realm_id, inputs.credit_memo
    )
    matches = {row["account_id"]: row for row in inputs.matches.iter_rows(named=True)}
    return Known(
        inputs=inputs,
        rules=rules,
        parameters=parameters,
        company=Company(inputs, rules),
        history=history,
        keys=Keys(history, matches, parameters, rules),
        made=MadeByTemplates(inputs.templates, inputs.template_invoices, history.linked_deals, rules.recurring.template_days),
        accounts={row["id"]: row for row in inputs.account.drop("record", strict=False).iter_rows(named=True)},
        matches=matches,
    )


def customers_of(match: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Every customer of a linked account, by id, the first one first: display_name and currency."""
    return {str(one["customer_id"]): one for one in parse_json(match["customers"] or "[]")}
