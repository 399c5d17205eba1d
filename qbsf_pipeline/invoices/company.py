"""What the QuickBooks company and the Salesforce org say of themselves, and the lists that names are looked up in. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from typing import Any

import polars as pl

from qbsf_pipeline.customers.matching.names import name_key
from qbsf_pipeline.customers.terms import active_terms
from qbsf_pipeline.invoices.inputs import InvoiceInputs
from qbsf_pipeline.invoices.items import ItemCatalogue
from qbsf_pipeline.settings import Rules

#: Countries as QuickBooks writes the United States, where lines carry TAX or NON and tax is reckoned by QuickBooks.
_UNITED_STATES = frozenset({"", "us", "usa", "u.s.", "u.s.a.", "united states", "united states of america"})
_INCOME_ACCOUNTS = frozenset({"income", "other income"})


class Company:
    """What the QuickBooks company and the Salesforce org say of themselves, and the lists that names are looked up in."""

    def __init__(self, inputs: InvoiceInputs, rules: Rules) -> None:
        preferences = _first_row(inputs.preferences)
        self.several_currencies = preferences.get("multi_currency") is True
        self.home_currency = currency_code(preferences.get("home_currency")) or _only_currency(inputs)
        self.custom_numbers = preferences.get("custom_document_numbers") is True
        self.book_close_date: date | None = preferences.get("book_close_date")
        self.class_per_line = preferences.get("class_per_line") is True
        self.class_per_transaction = preferences.get("class_per_transaction") is True
        self.departments = preferences.get("departments") is True
        self.sales_tax = preferences.get("using_sales_tax") is not False
        self.american = (_first_row(inputs.company_info).get("country") or "").strip().casefold() in _UNITED_STATES
        self.org_currency = currency_code(_first_row(inputs.organization).get("default_currency")) or currency_code(
            rules.salesforce.currency
        )
        if self.org_currency is None and not self.several_currencies:
            # An org that does not show its currency, beside a company that has only one: there is nothing to confuse.
            self.org_currency = self.home_currency
        self.terms = active_terms(inputs.term.iter_rows(named=True))
        self.items = ItemCatalogue(inputs.item.iter_rows(named=True), rules.items)
        self._classes = _names(inputs.class_)
        self._departments = _names(inputs.department)
        self._tax_codes = _names(inputs.tax_code)
        self._tax_code_ids = set(self._tax_codes.values())
        self._income_accounts = _names(
            inputs.quickbooks_account.filter(pl.col("account_type").str.to_lowercase().is_in(list(_INCOME_ACCOUNTS)))
        )

    def currency_of(self, deal: Mapping[str, Any]) -> str | None:
        """The currency of a deal: its own, else the org's."""
        return currency_code(deal["currency"]) or self.org_currency

    def class_id(self, name: str) -> str | None:
        """The active class of that name or full name."""
        return self._classes.get(name_key(name))

    def department_id(self, name: str) -> str | None:
        """The active location of that name or full name."""
        return self._departments.get(name_key(name))

    def tax_code_id(self, name_or_id: str | None) -> str | None:
        """The active tax code of that id or name."""
        if not name_or_id:
            return None
        return name_or_id if name_or_id in self._tax_code_ids else self._tax_codes.get(name_key(name_or_id))

    def income_account_id(self, name: str) -> str | None:
        """The active income account of that name or full name."""
        return self._income_accounts.get(name_key(name)) if name else None


def currency_code(currency: str | None) -> str | None:
    """An ISO code in capitals; ``None`` for none."""
    return (currency or "").strip().upper() or None


def _first_row(frame: pl.DataFrame) -> dict[str, Any]:
    live = frame.filter(~pl.col("is_deleted").fill_null(False))
    return live.row(0, named=True) if live.height else {}


def _only_currency(inputs: InvoiceInputs) -> str | None:
    """The one currency that customers and accounts of the company name, where its preferences tell none."""
    for frame in (inputs.quickbooks_account, inputs.customer):
        found = {currency_code(currency) for currency in frame.get_column("currency").unique().to_list()} - {None}
        if len(found) == 1:
            return found.pop()
    return None


def _names(frame: pl.DataFrame) -> dict[str, str]:
    """Id by name and full name of what is active, in the form in which names are compared; ambiguous names are left out."""
    live = frame.filter(~pl.col("is_deleted").fill_null(False) & pl.col("active").fill_null(True)).sort("id")
    columns = [column for column in ("name", "fully_qualified_name") if column in live.columns]
    found: dict[str, set[str]] = defaultdict(set)
    for column in columns:
        for record_id, name in live.select("id", column).iter_rows():
            if name:
                found[name_key(name)].add(record_id)
    return {name: next(iter(ids)) for name, ids in found.items() if len(ids) == 1}
