"""What can be found in an audit: every kind with its severity, its cost, why it matters and how it is mended.

Belongs here: the catalogue and the shape of a finding. Does not belong here: how a finding is made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import polars as pl

from qbsf_pipeline.warehouse.tables import AMOUNT, TIMESTAMP, Column, TableSchema

Severity = Literal["error", "warning", "hint"]
System = Literal["salesforce", "quickbooks"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "hint")
SYSTEMS: tuple[System, ...] = ("salesforce", "quickbooks")

#: What a finding costs its record at most, as a share of the record: an error spoils it, a hint hardly counts.
HIGHEST_COST: Mapping[Severity, Decimal] = {"error": Decimal("1.00"), "warning": Decimal("0.40"), "hint": Decimal("0.10")}

FINDINGS = TableSchema(
    "cleansing",
    "findings",
    (
        Column("finding_id", pl.String, "C- and eight hex digits: the same in every audit while the records are the same"),
        Column("code", pl.String, "Stable word for the kind"),
        Column("title", pl.String, "The kind as people call it"),
        Column("severity", pl.String, "error, warning or hint"),
        Column("system", pl.String, "salesforce or quickbooks: where it is mended"),
        Column("record_object", pl.String, "Object of the record, as its system calls it"),
        Column("record_id", pl.String, "Id of the record in its system; of a group the one most in use"),
        Column("record_name", pl.String, "Name of the record"),
        Column(
            "members", pl.String, "Ids of all records of a group, joined by spaces; the record itself where there is no group"
        ),
        Column("link", pl.String, "Opens the record"),
        Column("deals", pl.Int64, "Won and open deals that hang on it"),
        Column("what", pl.String, "What is wrong, as a sentence"),
        Column("why", pl.String, "Why it matters"),
        Column("repair", pl.String, "What to do"),
        Column("cost", AMOUNT, "Share of the record that it costs in the readiness score, 0 to 1"),
        Column("first_seen_at", TIMESTAMP, "The first audit that found it (UTC)"),
    ),
    ("finding_id",),
    "What the newest audit found (qbsf cleanse): one row per finding",
)

SCORES = TableSchema(
    "cleansing",
    "scores",
    (
        Column("system", pl.String, "salesforce or quickbooks"),
        Column(
            "score",
            AMOUNT,
            "Readiness, 0 to 100: share of the records' weight (4 with deals or open money, else 1) that no finding costs",
        ),
        Column("records", pl.Int64, "Records that were looked at"),
        Column("without_error", pl.Int64, "Records without an error"),
        Column("errors", pl.Int64, "Findings of severity error"),
        Column("warnings", pl.Int64, "Findings of severity warning"),
        Column("hints", pl.Int64, "Findings of severity hint"),
        Column("audited_at", TIMESTAMP, "When the audit was made (UTC)"),
    ),
    ("system",),
    "Readiness of each system in the newest audit: one row per system",
)


@dataclass(frozen=True)
class Kind:
    """A kind of finding.

    Attributes:
        code: stable word for machines.
        title: for people, at most 31 characters: it names a sheet of the workbook.
        severity: the usual one; a finding may be graver or milder.
        cost: share of the record that a finding costs, before :data:`HIGHEST_COST` of its severity limits it.
        why: why it matters, as a sentence.
        repair: what to do, unless the finding says it better.
    """

    code: str
    title: str
    severity: Severity
    cost: Decimal
    why: str
    repair: str


def _kind(code: str, title: str, severity: Severity, cost: str, why: str, repair: str) -> Kind:
    return Kind(code, title, severity, Decimal(cost), why, repair)


#: Every kind, in the order in which people work them off: what stops an invoice first, what is only untidy last.
KINDS: Mapping[str, Kind] = {
    kind.code: kind
    for kind in (
        _kind(
            "billing_address_missing", "No billing address", "error", "1.00",
            "A deal of an account without a billing address is refused, because the invoice has nowhere to go.",
            "Fill the billing address on the account.",
        ),
        _kind(
            "billing_email_missing", "No billing e-mail", "error", "1.00",
            "A deal for which nobody receives the invoice is refused.",
            "Fill the billing e-mail on the account, or give its deals a bill-to or primary contact with an e-mail.",
        ),
        _kind(
            "payment_terms_missing", "No payment terms", "error", "1.00",
            "A deal without payment terms is refused, because nobody knows when the invoice is due.",
            "Fill the payment terms on the account, or set invoices.default_terms in QBSF_CONFIG.",
        ),
        _kind(
            "terms_unknown", "Terms unknown in QuickBooks", "error", "1.00",
            "A deal whose payment terms QuickBooks does not have is refused.",
            "Write the terms as QuickBooks calls them, or add them in QuickBooks.",
        ),
        _kind(
            "product_without_item", "Products without an item", "error", "1.00",
            "Each line of an invoice names a QuickBooks item; a deal with a product that has none is refused.",
            "Give an item in QuickBooks the product's code as its SKU, or name the item under items.products in QBSF_CONFIG.",
        ),
        _kind(
            "inactive_item_sold", "Inactive items still sold", "error", "1.00",
            "QuickBooks takes no invoice line with an inactive item, so deals with this product are refused.",
            "Make the item active again, or name another one under items.products in QBSF_CONFIG.",
        ),
        _kind(
            "customer_unclear", "Customer not clear", "error", "1.00",
            "The deals of this account wait until a person says which QuickBooks customer it is.",
            "Answer with qbsf review, or put the QuickBooks customer id on the account.",
        ),
        _kind(
            "customer_id_shared", "Customer id on two accounts", "error", "1.00",
            "One customer belongs to one account. With the id on two, neither account is billed without a person.",
            "Empty the customer id on the account that it does not belong to, or merge the two accounts.",
        ),
        _kind(
            "customer_id_unknown", "Customer id not in QuickBooks", "error", "1.00",
            "The account points to a customer that cannot be billed, so its deals wait for a person.",
            "Put the id of the right customer on the account, or empty the field.",
        ),
        _kind(
            "duplicate_accounts", "Duplicate accounts", "error", "0.80",
            "Two accounts for one company become two customers, or wait because both fit one; its history falls apart.",
            "Merge the accounts in Salesforce (View Duplicates on the account), keeping the one with the deals.",
        ),
        _kind(
            "duplicate_customers", "Duplicate customers", "error", "0.80",
            "With two customers that fit, the deal waits for a person, and payments may be booked on the wrong one.",
            "Merge them in QuickBooks: give the one to be dropped the name of the one to be kept. This cannot be undone.",
        ),
        _kind(
            "currency_differs", "Currency cannot be billed", "error", "1.00",
            "A QuickBooks customer has one currency for good; a deal in another one is refused.",
            "Create a second customer for this currency in QuickBooks and link it, or correct the currency of the deals.",
        ),
        _kind(
            "inactive_customer_in_use", "Inactive customers in use", "warning", "0.40",
            "QuickBooks takes no invoice for an inactive customer, and its open amounts are easily overlooked.",
            "Make the customer active again, or settle what is open and link its account to another customer.",
        ),
        _kind(
            "inactive_product_sold", "Inactive products still sold", "warning", "0.20",
            "Nobody can put the product on a deal any more, and its price and item are no longer looked after.",
            "Replace the product on the open deals, or make it active again.",
        ),
        _kind(
            "email_malformed", "Malformed e-mails", "warning", "0.40",
            "QuickBooks refuses an invoice for such an address, or mails it to nobody.",
            "Correct the address.",
        ),
        _kind(
            "email_domain_typo", "Mistyped e-mail domains", "warning", "0.40",
            "The invoice is mailed to a domain that nobody reads, or that somebody else owns.",
            "Ask the customer, and correct the address.",
        ),
        _kind(
            "name_refused", "Names QuickBooks refuses", "warning", "0.20",
            "QuickBooks takes no colon, tab, line break or very long name; the customer is created under a mended name.",
            "Correct the name, so that both systems show the same.",
        ),
        _kind(
            "name_shared", "Names of vendors or employees", "warning", "0.20",
            "QuickBooks allows a name once among customers, vendors and employees; a new customer gets a number behind it.",
            "Rename the vendor or employee in QuickBooks, or accept the numbered name.",
        ),
        _kind(
            "balance_without_account", "Balances without an account", "warning", "0.30",
            "What this customer owes and pays reaches nobody in sales, and a deal may create the customer a second time.",
            "Create or find the account in Salesforce and put the customer id on it, or leave it where sales has no part in it.",
        ),
        _kind(
            "account_without_customer", "Deals won, no customer yet", "hint", "0.05",
            "The next deal creates a new customer. Right for a new client; wrong if it is in QuickBooks under another name.",
            "Look the company up in QuickBooks; if it is there, put its customer id on the account.",
        ),
        _kind(
            "terms_differ", "Payment terms that differ", "warning", "0.20",
            "QuickBooks owns the terms: what Salesforce shows to sales is not what the customer is given.",
            "Agree on the terms and correct the customer in QuickBooks; Salesforce takes them over.",
        ),
        _kind(
            "several_currencies", "Several currencies", "warning", "0.20",
            "QuickBooks needs a customer of its own for each currency that an account buys in.",
            "Create a customer for each currency in QuickBooks and link both, or correct the currency of the deals.",
        ),
        _kind(
            "address_malformed", "Malformed addresses", "warning", "0.20",
            "The address is printed on the invoice, decides the sales tax, and is compared to find the customer.",
            "Put street, city, state and postal code into their own fields.",
        ),
        _kind(
            "postal_code_wrong", "Wrong postal codes", "warning", "0.20",
            "The postal code decides the sales tax and is compared to find the customer.",
            "Correct the postal code.",
        ),
        _kind(
            "country_unknown", "Unknown countries", "warning", "0.20",
            "An unknown country makes phone, state and postal code unreadable, and the invoice's address wrong.",
            "Write the country's name or its two-letter code.",
        ),
        _kind(
            "state_unknown", "Unknown states or provinces", "warning", "0.20",
            "The state decides the sales tax.",
            "Write the state's name or its two-letter code.",
        ),
        _kind(
            "phone_malformed", "Malformed phones", "hint", "0.05",
            "A phone that cannot be read cannot be compared, so it does not help to find the customer.",
            "Correct the number, with the country code where it is abroad.",
        ),
        _kind(
            "website_malformed", "Malformed websites", "hint", "0.05",
            "The web domain is what finds the customer most surely; this one cannot be read.",
            "Write the web address, such as https://www.example.com.",
        ),
        _kind(
            "contact_without_email", "Contacts without e-mail", "hint", "0.05",
            "The contact can neither receive an invoice nor help to find the customer.",
            "Fill the contact's e-mail, or remove the contact.",
        ),
        _kind(
            "inactive_owner", "Inactive owners", "hint", "0.10",
            "What concerns the deal is told to its owner, and an inactive user reads nothing.",
            "Give the deals and accounts to an active user.",
        ),
        _kind(
            "parent_differs", "Hierarchies that differ", "hint", "0.05",
            "Sub-customers are billed and reported under their parent; the two systems show different groups.",
            "Decide which hierarchy is right, and correct the parent account or the parent customer.",
        ),
        _kind(
            "item_without_product", "Items without a product", "hint", "0.05",
            "Sales cannot put this item on a deal. Right for what only finance bills.",
            "Add the product in Salesforce with the item's SKU as its code, or make the item inactive.",
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        kind: a code of :data:`KINDS`.
        severity: as it is for this record.
        record_object, record_id, record_name: the record; of a group the one most in use.
        what: a sentence with record, field and value.
        repair: where it says more than the kind does.
        deals: won and open deals that hang on it.
        members: ids of all records of a group; empty for a single record.
        field: the field, where one record may have several findings of the kind.
    """

    kind: Kind
    severity: Severity
    system: System
    record_object: str
    record_id: str
    record_name: str
    what: str
    repair: str = ""
    deals: int = 0
    members: tuple[str, ...] = ()
    field: str = ""

    @property
    def code(self) -> str:
        """The kind's stable word."""
        return self.kind.code

    @property
    def records(self) -> tuple[str, ...]:
        """Ids of all records that it concerns."""
        return self.members or (self.record_id,)

    @property
    def finding_id(self) -> str:
        """``C-`` and eight hex digits of what makes it the same finding: kind, system, field and records."""
        parts = (self.kind.code, self.system, self.record_object, self.field, *sorted(self.records))
        return f"C-{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:8]}"

    @property
    def cost(self) -> Decimal:
        """Share of the record that it costs, 0 to 1."""
        return min(self.kind.cost, HIGHEST_COST[self.severity])

    @property
    def rank(self) -> tuple[object, ...]:
        """Orders findings, the worst first: severity, cost, deals that hang on it, kind, name, id."""
        place = list(KINDS).index(self.kind.code)
        name = self.record_name.casefold()
        return (SEVERITIES.index(self.severity), -self.cost, -self.deals, place, name, self.record_id, self.field)


def without_repetition(findings: Iterable[Finding]) -> list[Finding]:
    """The findings in order of rank, each id once."""
    known: dict[str, Finding] = {}
    for finding in sorted(findings, key=lambda one: one.rank):
        known.setdefault(finding.finding_id, finding)
    return list(known.values())


def counted(findings: Sequence[Finding]) -> dict[str, int]:
    """Number of findings by ``system.severity``, each combination present, and under ``findings`` all of them."""
    counts = {f"{system}.{severity}": 0 for system in SYSTEMS for severity in SEVERITIES}
    for finding in findings:
        counts[f"{finding.system}.{finding.severity}"] += 1
    return {"findings": len(findings), **counts}
