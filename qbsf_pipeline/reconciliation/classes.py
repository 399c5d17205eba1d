"""The classes of month end: why what was won and what was invoiced differ, in the order in which they are tried.

This is the one table of the decision rules; the README shows it and a test compares the two. Every case has the class of the
first rule that is true, so each rule may take for granted that those before it are false. Where the words come together they
mean these amounts of the case, without tax and in the deal's currency:

==========  ==========================================================================================================
won         what the deal is worth: its amount, else the sum of its products
invoiced    its invoices that are neither voided nor deleted
credited    its credit memos, as an amount above 0
billed      invoiced less credited
rounding    0.01 for each line, 0.05 at least (rules: reconciliation.rounding_per_line, rounding_least)
tolerance   0.5 % of won, 1.00 at least (rules: reconciliation.tolerance_share, tolerance_least)
==========  ==========================================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass

SALES, FINANCE, NOBODY = "sales", "finance", "nobody"


@dataclass(frozen=True)
class DifferenceClass:
    """A class of cases.

    Attributes:
        code: as it stands in the tables.
        title: the same for people.
        rule: when a case has it, in words.
        acts: who should act as a rule: sales, finance or nobody. A case may say otherwise, where its cause is known.
        explained: whether the difference counts as explained.
    """

    code: str
    title: str
    rule: str
    acts: str
    explained: bool = True


VOIDED, DELETED, DEAL_REOPENED, INVOICE_WITHOUT_DEAL = "voided", "deleted", "deal_reopened", "invoice_without_deal"
BEFORE_GO_LIVE, NOT_INVOICED, CUSTOMER_MISMATCH = "before_go_live", "not_invoiced", "customer_mismatch"
AMENDED = "amended"
DUPLICATE_INVOICE, BILLED_AGAIN, FOREIGN_EXCHANGE, WRITTEN_OFF = (
    "duplicate_invoice",
    "billed_again",
    "foreign_exchange",
    "written_off",
)
MATCHED, ROUNDING, CREDITED = "matched", "rounding", "credited"
INVOICED_IN_ADVANCE, INVOICED_LATER = "invoiced_in_advance", "invoiced_later"
TAX_INCLUDED, DISCOUNT, FEES, PARTLY_INVOICED = "tax_included", "discount", "fees", "partly_invoiced"
LINE_CHANGED, AMOUNT_CHANGED_IN_SALESFORCE, AMOUNT_CHANGED_IN_QUICKBOOKS = (
    "line_changed",
    "amount_changed_in_salesforce",
    "amount_changed_in_quickbooks",
)
UNEXPLAINED = "unexplained"

CLASSES: tuple[DifferenceClass, ...] = (
    DifferenceClass(
        VOIDED,
        "Invoice voided",
        "There were invoices, none stands any more, and at least one of them was voided in QuickBooks.",
        FINANCE,
    ),
    DifferenceClass(DELETED, "Invoice deleted", "There were invoices, and all of them were deleted in QuickBooks.", FINANCE),
    DifferenceClass(
        DEAL_REOPENED,
        "Deal reopened or lost after invoicing",
        "An invoice or a credit memo of the deal stands, and the deal is not won any more: open again, lost or deleted.",
        SALES,
    ),
    DifferenceClass(INVOICE_WITHOUT_DEAL, "Invoice without a deal", "An invoice stands that is linked to no deal.", FINANCE),
    DifferenceClass(
        BEFORE_GO_LIVE,
        "Deal before go-live",
        "The deal has no invoice and was closed before QBSF_GO_LIVE_DATE: qbsf never bills it.",
        NOBODY,
    ),
    DifferenceClass(
        NOT_INVOICED,
        "Not invoiced yet",
        "The deal has no invoice, and it is known why: refused, waiting for a person, held by a gate, failed, on its way, or "
        "closed so recently that no invoice is expected yet (rules: reconciliation.grace_days).",
        FINANCE,
    ),
    DifferenceClass(
        CUSTOMER_MISMATCH,
        "Invoice on another customer",
        "An invoice stands on a customer that is none of those linked to the deal's account, nor one below them. A link that "
        "a person made between the invoice and the deal is trusted.",
        FINANCE,
    ),
    DifferenceClass(
        AMENDED,
        "Amendment of a contract",
        "The deal has no invoice and amends another one, with which its difference is billed, or it is credited. Or amendments "
        "are billed with the deal, billed is not won, and not more than won with these amendments by more than rounding.",
        NOBODY,
    ),
    DifferenceClass(
        DUPLICATE_INVOICE,
        "Duplicate invoices",
        "Two invoices of the deal that were not made by a schedule or a person's order to bill again have the same amount, and "
        "billed is above won by more than the tolerance.",
        FINANCE,
    ),
    DifferenceClass(
        BILLED_AGAIN,
        "Billed again on a person's order",
        "A person had the deal billed again, the earlier invoice still stands, and billed is above won by more than rounding.",
        FINANCE,
    ),
    DifferenceClass(
        FOREIGN_EXCHANGE,
        "Foreign exchange",
        "All invoices are in one other currency than the deal, and billed at the rate known is won within "
        "reconciliation.exchange_tolerance. Each currency has its own row: won in one, invoiced in the other.",
        NOBODY,
    ),
    DifferenceClass(
        WRITTEN_OFF,
        "Written off",
        "Some of the invoice was given up, and but for credit memos against bad debts billed is won within rounding; without "
        "such a credit memo all documents are of the deal's month.",
        NOBODY,
    ),
    DifferenceClass(MATCHED, "Matched", "Billed is won, and all documents are of the deal's month.", NOBODY),
    DifferenceClass(
        ROUNDING, "Matched within rounding", "Billed is won within rounding, and all documents are of the deal's month.", NOBODY
    ),
    DifferenceClass(
        CREDITED,
        "Credit memo",
        "Something was credited, and either invoiced is won within the tolerance, or billed is won within rounding. Also a "
        "credit memo that is applied to no invoice.",
        NOBODY,
    ),
    DifferenceClass(
        INVOICED_IN_ADVANCE,
        "Invoiced in an earlier month",
        "Billed is won within rounding, and the first document is of a month before the deal's.",
        NOBODY,
    ),
    DifferenceClass(
        INVOICED_LATER,
        "Invoiced in a later month",
        "Billed is won within rounding, and a document is of a month after the deal's.",
        NOBODY,
    ),
    DifferenceClass(
        TAX_INCLUDED, "Sales tax in the deal's amount", "The invoices with their tax are won within rounding.", SALES
    ),
    DifferenceClass(
        DISCOUNT, "Discount on the invoice", "The discount lines of the invoices are won less invoiced within rounding.", NOBODY
    ),
    DifferenceClass(
        FEES,
        "Freight or fees on the invoice",
        "The lines for freight and for the items in reconciliation.fee_items are invoiced less won within rounding.",
        NOBODY,
    ),
    DifferenceClass(
        PARTLY_INVOICED,
        "Partly invoiced",
        "Billed is above 0 and below won by more than rounding, and the deal is billed in parts: it recurs, has several "
        "invoices, an invoice for a deposit (rules: reconciliation.deposit_words), or one made by hand over some of its "
        "products.",
        NOBODY,
    ),
    DifferenceClass(
        LINE_CHANGED,
        "Line added or removed",
        "Deal and invoices have the same lines but for some that only one side has, and those make the difference within "
        "rounding.",
        FINANCE,
    ),
    DifferenceClass(
        AMOUNT_CHANGED_IN_SALESFORCE,
        "Amount changed in Salesforce after invoicing",
        "The invoices are what qbsf billed within rounding, and won is not.",
        SALES,
    ),
    DifferenceClass(
        AMOUNT_CHANGED_IN_QUICKBOOKS,
        "Amount changed in QuickBooks",
        "The invoices are not what qbsf billed within rounding.",
        FINANCE,
    ),
    DifferenceClass(UNEXPLAINED, "Unexplained", "None of the rules above.", FINANCE, explained=False),
)

#: Order of each class, from 1.
POSITIONS: dict[str, int] = {each.code: position for position, each in enumerate(CLASSES, 1)}
#: Classes of cases that need no explanation.
NO_DIFFERENCE = (MATCHED, ROUNDING)
