"""Reasons why a deal is not invoiced: a stable code, a sentence with the record's own values, and what to do.

One function for each reason; each returns ``None`` where there is nothing to object to. All reasons of a deal are told at
once, so that it is mended once. Codes are public: people filter by them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from qbsf_pipeline.customers.texts import deliverable_email
from qbsf_pipeline.money import CENT, format_amount, to_cents

if TYPE_CHECKING:
    from qbsf_pipeline.invoices.lines import DealLine

#: The only reason that waits for an answer instead of a correction.
CUSTOMER_IN_REVIEW = "customer_in_review"
BILLING_ON_HOLD = "billing_on_hold"

_ADDRESS_WORDS = {
    "street": "street",
    "city": "city",
    "state": "state",
    "postal_code": "postal code",
    "country": "country",
}
_MOST_NAMES = 12
#: Values of Payment_Status__c that an uninvoiced deal cannot have (contract: all but "Not Invoiced").
_STATUSES_OF_AN_INVOICE = frozenset({"invoiced", "sent", "partially paid", "paid", "overpaid", "credited", "voided", "deleted"})


@dataclass(frozen=True)
class Reason:
    """Why a deal is not invoiced.

    Attributes:
        code: stable word for machines.
        text: a sentence for finance and sales, with the record's own values.
        remedy: what to do about it.
    """

    code: str
    text: str
    remedy: str


# The account and its customer


def no_account(account_id: str | None) -> Reason | None:
    """The deal names no account (legal in Salesforce)."""
    if account_id:
        return None
    return Reason("no_account", "The deal has no account, so there is nobody to bill.", "Choose the account on the opportunity.")


def account_not_found(account_id: str | None, account: Mapping[str, Any] | None) -> Reason | None:
    """The deal names an account that was not read."""
    if not account_id or account is not None:
        return None
    return Reason(
        "account_not_found",
        f"The deal's account {account_id} cannot be read in Salesforce.",
        "Give the integration user access to the account, or choose another one on the opportunity.",
    )


def account_deleted(account: Mapping[str, Any] | None) -> Reason | None:
    """The deal's account is deleted."""
    if account is None or not account["is_deleted"]:
        return None
    return Reason(
        "account_deleted",
        f"The account {_shown(account['name'])} was deleted in Salesforce.",
        "Restore it from the recycle bin, or choose another account on the opportunity.",
    )


def billing_address_missing(account: Mapping[str, Any], required: Iterable[str]) -> Reason | None:
    """Parts of the billing address are missing that the rules require (``required.billing_address``)."""
    missing = [_ADDRESS_WORDS[part] for part in required if not (account[f"billing_{part}"] or "").strip()]
    if not missing:
        return None
    return Reason(
        "billing_address_missing",
        f"The billing address of {_shown(account['name'])} has no {_listed(missing, 'and no')}.",
        f"Fill {_listed(missing, 'and')} of the billing address on the account.",
    )


def customer_in_review(account_name: str | None, question: str | None) -> Reason:
    """A person has to say which customer the account is; the deal waits."""
    return Reason(
        CUSTOMER_IN_REVIEW,
        f"It is not clear which QuickBooks customer {_shown(account_name)} is. {question or ''}".strip(),
        "Answer with qbsf review, or put the QuickBooks customer id on the account.",
    )


def customer_ignored(account_name: str | None) -> Reason:
    """A person said that the account is not billed."""
    return Reason(
        "customer_ignored",
        f"{_shown(account_name)} was marked as never to be billed.",
        "If that is wrong, link the account or create its customer with qbsf review.",
    )


def billing_on_hold(field: str) -> Reason:
    """Somebody ticked that nothing of the deal is billed for now.

    Args:
        field: API name of the checkbox (``salesforce.opportunity.billing_on_hold``).
    """
    return Reason(
        BILLING_ON_HOLD,
        "Billing of the deal is on hold.",
        f"Untick {field} on the opportunity once it shall be billed.",
    )


# The receiver


def billing_email_missing(account_name: str | None, email: str | None, *, required: bool) -> Reason | None:
    """There is no address to send the invoice to."""
    if email or not required:
        return None
    return Reason(
        "billing_email_missing",
        f"{_shown(account_name)} has no billing e-mail, and no contact of the deal with one receives invoices.",
        "Fill the billing e-mail on the account, or give the deal a bill-to or primary contact with an e-mail.",
    )


def billing_email_malformed(email: str | None) -> Reason | None:
    """The address is none that QuickBooks takes: RFC 822, a dot in its domain, at most 100 characters."""
    if not email or deliverable_email(email) is not None:
        return None
    return Reason(
        "billing_email_malformed",
        f"The billing e-mail {_shown(email)} is not an e-mail address.",
        "Correct it where it stands: the account's billing e-mail, or the contact that receives the invoice.",
    )


# Terms, contract, dates


def payment_terms_missing(terms: str | None, *, required: bool) -> Reason | None:
    """Neither deal, account nor rules name payment terms."""
    if terms or not required:
        return None
    return Reason(
        "payment_terms_missing",
        "Neither the deal nor its account names payment terms.",
        "Fill the payment terms on the opportunity or the account, or set invoices.default_terms in QBSF_CONFIG.",
    )


def payment_terms_unknown(terms: str, known: Sequence[str]) -> Reason:
    """QuickBooks has no active term of that name."""
    return Reason(
        "payment_terms_unknown",
        f"QuickBooks has no payment terms called {_shown(terms)}. It has: {_some(known)}.",
        "Write the terms as QuickBooks calls them, or add these terms in QuickBooks.",
    )


def contract_url_missing(url: str | None, *, required: bool) -> Reason | None:
    """The deal has no link to its contract."""
    if (url or "").strip() or not required:
        return None
    return Reason("contract_url_missing", "The deal has no link to its signed contract.", "Fill the contract link on the deal.")


def contract_url_malformed(url: str | None, *, required: bool) -> Reason | None:
    """The link to the contract is none that a browser opens: http or https with a host."""
    text = (url or "").strip()
    if not text or not required:
        return None
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and not any(mark.isspace() for mark in text)
    except ValueError:
        valid = False
    if valid:
        return None
    return Reason(
        "contract_url_malformed",
        f"The contract link {_shown(text)} is not a web address.",
        "Put a link that begins with https:// on the deal.",
    )


def payment_status_without_invoice(status: str | None, *, again: bool) -> Reason | None:
    """The deal's payment status speaks of an invoice that nobody knows: billed by hand, perhaps, and never noted.

    Args:
        again: a person said "bill it again", so the status may be that of the invoice before.
    """
    if again or (status or "").strip().casefold() not in _STATUSES_OF_AN_INVOICE:
        return None
    return Reason(
        "payment_status_without_invoice",
        f"The deal's payment status is {_shown(status)}, but it names no invoice, and QuickBooks has none for it.",
        "Put the number of its invoice on the deal if it was billed by hand; else empty its payment status.",
    )


def close_date_missing(close_date: date | None) -> Reason | None:
    """The deal has no close date, so neither its invoice date nor the go-live date can be judged."""
    if close_date is not None:
        return None
    return Reason("close_date_missing", "The deal has no close date.", "Fill the close date on the opportunity.")


def books_closed(invoice_date: date | None, book_close_date: date | None, *, of_period: bool = False) -> Reason | None:
    """QuickBooks takes nothing dated on or before the closing date of the books (6200).

    Args:
        of_period: whether the date is the day of a billing period.
    """
    if invoice_date is None or book_close_date is None or invoice_date > book_close_date:
        return None
    return Reason(
        "books_closed",
        f"The invoice would be dated {invoice_date}, and the books are closed up to {book_close_date}.",
        "Move the closing date in QuickBooks, or set recurring.invoice_date to today."
        if of_period
        else "Move the closing date in QuickBooks or the close date of the deal, or set invoices.invoice_date to today.",
    )


# Currency and amounts


def currency_unknown(currency: str | None) -> Reason | None:
    """Neither the deal, the org nor the rules tell the currency."""
    if currency:
        return None
    return Reason(
        "currency_unknown",
        "Salesforce does not tell the currency of the deal.",
        "Set salesforce.currency in QBSF_CONFIG to the org's currency.",
    )


def currency_not_in_quickbooks(currency: str | None, home: str | None, *, several: bool) -> Reason | None:
    """The company keeps its books in one other currency."""
    if currency is None or several or currency == home:
        return None
    if home is None:
        text = f"The deal is in {currency}, and QuickBooks does not tell the currency of its books."
    else:
        text = f"The deal is in {currency}, and QuickBooks keeps its books in {home} only."
    return Reason(
        "currency_not_in_quickbooks",
        text,
        "Turn on Multicurrency in QuickBooks (it cannot be turned off again), or correct the currency of the deal.",
    )


def currency_differs_from_customer(
    currency: str | None, customer_currency: str | None, customer: str | None, account_id: str = "ACCOUNT"
) -> Reason | None:
    """A customer of QuickBooks has one currency for good."""
    if currency is None or customer_currency is None or currency == customer_currency:
        return None
    return Reason(
        "currency_differs_from_customer",
        f"The deal is in {currency}, and the QuickBooks customer {_shown(customer)} is billed in {customer_currency}.",
        _second_customer(currency, account_id),
    )


def no_customer_in_currency(currency: str, customers: Sequence[str], account_id: str) -> Reason:
    """The account has several customers in QuickBooks, none in the deal's currency.

    Args:
        customers: each as name and currency.
    """
    return Reason(
        "currency_differs_from_customer",
        f"The deal is in {currency}, and none of the account's QuickBooks customers is: {_listed(customers, 'and')}.",
        _second_customer(currency, account_id),
    )


def several_customers_in_currency(currency: str, customers: Sequence[str], account_id: str) -> Reason:
    """The account has several customers in the deal's currency, and none of them is the one that is billed otherwise."""
    return Reason(
        "several_customers_in_currency",
        f"Several of the account's QuickBooks customers are billed in {currency}: {_listed(customers, 'and')}.",
        f"Say which one is billed: qbsf review link {account_id} CUSTOMER.",
    )


def _second_customer(currency: str, account_id: str) -> str:
    return (
        f"Create a customer for {currency} in QuickBooks and give it to the account with qbsf review also {account_id} CUSTOMER, "
        "or correct the currency of the deal."
    )


def no_line_items(lines: Sequence[DealLine]) -> Reason | None:
    """The deal has no products."""
    if lines:
        return None
    return Reason("no_line_items", "The deal has no products.", "Add the products that were sold to the opportunity.")


def line_without_amount(labels: Sequence[str]) -> Reason | None:
    """Lines of which Salesforce tells neither a total nor quantity and price."""
    if not labels:
        return None
    return Reason(
        "line_without_amount",
        f"Salesforce tells no total price of {_some(labels)}.",
        "Fill quantity and sales price of the product, or give the integration user access to these fields.",
    )


def amount_not_positive(total: Decimal, currency: str | None, lines: Sequence[DealLine]) -> Reason | None:
    """The lines come to nothing, or to a credit."""
    if not lines or total > 0:
        return None
    return Reason(
        "amount_not_positive",
        f"The products of the deal come to {format_amount(total, currency or '')}.".replace(" .", "."),
        "Correct the products, or make a credit memo in QuickBooks by hand.",
    )


def amount_differs(amount: Decimal | None, totals: Sequence[Decimal], currency: str | None) -> tuple[bool, str] | None:
    """Whether the deal's amount is another than its lines come to.

    Returns:
        ``None`` where they agree to the cent (or Salesforce shows no amount); else whether it is too much to be rounding
        (more than a cent for each line), and the sentence.
    """
    if amount is None or not totals:
        return None
    with localcontext(prec=60):
        total = to_cents(sum(totals, Decimal(0)))
        difference = abs(to_cents(amount) - total)
    if not difference:
        return None
    code = currency or ""
    text = f"The deal says {format_amount(amount, code)} and its products come to {format_amount(total, code)}."
    return difference > CENT * len(totals), text


def amount_refused(text: str) -> Reason:
    """The deal's amount differs from its lines by more than rounding."""
    return Reason("amount_differs", text, "Open the opportunity and save its products again, or correct the amount.")


def negative_line(labels: Sequence[str]) -> Reason | None:
    """Lines below zero, where the rules refuse them (``invoices.negative_lines``)."""
    if not labels:
        return None
    return Reason(
        "negative_line",
        f"The deal has lines below zero: {_some(labels)}.",
        "Put the discount on the products, or set invoices.negative_lines to keep.",
    )


# Items, tax, classes


def line_without_product(line: DealLine) -> Reason:
    """A line of the deal names no product."""
    return Reason("line_without_product", f"The line {_shown(line.label)} has no product.", "Choose a product for the line.")


def product_without_item(line: DealLine, wanted: str) -> Reason:
    """QuickBooks has no item for the product."""
    code = f" (code {line.product_code})" if line.product_code else ""
    return Reason(
        "product_without_item",
        f"There is no item in QuickBooks for the product {_shown(line.product_name or line.label)}{code}: "
        f"{wanted.rstrip(',')} does not exist.",
        "Give an item in QuickBooks the product's code as its SKU, or name the item under items.products in QBSF_CONFIG.",
    )


def item_ambiguous(line: DealLine, items: Sequence[str]) -> Reason:
    """Several items could be the product."""
    return Reason(
        "item_ambiguous",
        f"Several items in QuickBooks fit the product {_shown(line.label)}: {_some(items)}.",
        "Name the right one under items.products in QBSF_CONFIG, or give only one the product's code as its SKU.",
    )


def item_inactive(line: DealLine, item: str) -> Reason:
    """The item of the product was made inactive."""
    return Reason(
        "item_inactive",
        f"The item {_shown(item)} for the product {_shown(line.label)} is inactive in QuickBooks.",
        "Make the item active again, or name another one under items.products in QBSF_CONFIG.",
    )


def item_not_sellable(line: DealLine, item: str, kind: str) -> Reason:
    """The item is a category or bundle."""
    return Reason(
        "item_not_sellable",
        f"{_shown(item)} for the product {_shown(line.label)} is a {kind.lower()} in QuickBooks and cannot stand on a line.",
        "Name a service or product item under items.products in QBSF_CONFIG.",
    )


def income_account_unknown(name: str) -> Reason:
    """Items shall be created, and the rules name no income account of QuickBooks for them."""
    found = f"QuickBooks has no active income account called {_shown(name)}" if name else "no income account is named for it"
    return Reason(
        "income_account_unknown",
        f"A QuickBooks item has to be created, and {found}.",
        "Set items.income_account in QBSF_CONFIG to the name of an income account.",
    )


def tax_code_missing(item: str, wanted: str) -> Reason:
    """Outside the United States each line needs a tax code of the company."""
    named = f", and QuickBooks has no active tax code called {_shown(wanted)}" if wanted else ""
    return Reason(
        "tax_code_missing",
        f"The item {_shown(item)} has no sales tax code{named}.",
        "Give the item a sales tax code in QuickBooks, or set tax.code in QBSF_CONFIG.",
    )


def class_unknown(name: str) -> Reason:
    """QuickBooks has no active class of that name."""
    return Reason(
        "class_unknown",
        f"QuickBooks has no class called {_shown(name)}.",
        "Add the class in QuickBooks, or correct invoices.line_class or the product's class.",
    )


def department_unknown(name: str) -> Reason:
    """QuickBooks has no active location of that name."""
    return Reason(
        "department_unknown",
        f"QuickBooks has no location called {_shown(name)}.",
        "Add the location in QuickBooks, or correct invoices.department in QBSF_CONFIG.",
    )


def text_too_long(what: str, length: int, limit: int) -> Reason:
    """A text is longer than QuickBooks takes, and the rules refuse to shorten it."""
    return Reason(
        "text_too_long",
        f"The {what} has {length} characters; QuickBooks takes {limit}.",
        "Shorten it, or set invoices.long_text to shorten.",
    )


# What was billed before


def duplicate_marker(numbers: Sequence[str]) -> Reason:
    """Several invoices in QuickBooks name the same deal, so none is taken for the right one."""
    return Reason(
        "duplicate_marker",
        f"{len(numbers)} invoices in QuickBooks name this deal: {_some(numbers)}.",
        "Void the wrong one in QuickBooks, and put id, number and link of the right one on the opportunity.",
    )


def _shown(text: str | None) -> str:
    return f"“{' '.join(text.split())}”" if text and text.strip() else "“(no name)”"


def _listed(words: Sequence[str], joint: str) -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {joint} {words[-1]}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return (", ".join(names[:_MOST_NAMES]) or "none") + more
