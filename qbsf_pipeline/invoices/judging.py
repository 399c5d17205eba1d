"""Everything that stands against a deal, or the invoice that it becomes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal, localcontext
from typing import Any

from qbsf_pipeline.customers import texts
from qbsf_pipeline.customers.payloads import Mender
from qbsf_pipeline.customers.terms import Term, find_term
from qbsf_pipeline.invoices import payloads, validation
from qbsf_pipeline.invoices.bill_to import BillTo, bill_to
from qbsf_pipeline.invoices.company import currency_code
from qbsf_pipeline.invoices.details import Details
from qbsf_pipeline.invoices.history import FIRST_GENERATION
from qbsf_pipeline.invoices.items import Item, MissingItem
from qbsf_pipeline.invoices.keys import customer_reference, digest, item_reference
from qbsf_pipeline.invoices.known import Known, customers_of
from qbsf_pipeline.invoices.line_sources.sold import SoldLines
from qbsf_pipeline.invoices.lines import DealLine, InvoiceLine, described, invoice_lines, plain
from qbsf_pipeline.invoices.new_records import NewRecords
from qbsf_pipeline.invoices.payloads import InvoiceHead, PricedLine
from qbsf_pipeline.invoices.sound_deals import Bill, Findings, SoundDeal
from qbsf_pipeline.invoices.terms import due_date
from qbsf_pipeline.invoices.validation import Reason
from qbsf_pipeline.money import to_cents, to_json
from qbsf_pipeline.quickbooks.objects import invoice_marker

_ONE_TIME = frozenset({"", "one-time", "one time", "onetime"})


class Judge:
    """Looks at deals one after the other; what an earlier one has created counts for the next."""

    def __init__(self, known: Known, details: Details, new: NewRecords) -> None:
        self._known, self._details, self._new = known, details, new

    def judge(self, deal: Mapping[str, Any], sold: SoldLines, findings: Findings, bill: Bill | None = None) -> SoundDeal | None:
        """The invoice of a deal, or of one period of it; ``None`` where ``findings`` then say everything against it.

        Args:
            deal: row of ``salesforce.opportunity``.
            sold: its lines, of whatever source.
            bill: the period; ``None`` where the invoice is the whole deal.
        """
        rules, company = self._known.rules, self._known.company
        account_id = deal["account_id"]
        account = self._known.accounts.get(account_id) if account_id else None
        findings.refuse(validation.no_account(account_id))
        findings.refuse(validation.account_not_found(account_id, account))
        findings.refuse(validation.account_deleted(account))
        if account is not None and account["is_deleted"]:
            account = None
        customer = self._customer_of(deal, account, findings) if account is not None else None
        if account is not None:
            receiving = payloads.addressed(account, sold.terms.bill_to)
            findings.refuse(validation.billing_address_missing(receiving, rules.required.billing_address))
        receiver, sent_to = self._receiver(deal, account, findings)
        findings.refuse(validation.contract_url_missing(deal["contract_url"], required=rules.required.contract_url))
        findings.refuse(validation.contract_url_malformed(deal["contract_url"], required=rules.required.contract_url))
        term = self._term(deal, account, sold.terms.payment_terms, findings)
        again = self._known.history.generation(deal["id"]) > FIRST_GENERATION or (bill is not None and bill.later)
        findings.refuse(validation.payment_status_without_invoice(deal["payment_status"], again=again))
        findings.refuse(validation.close_date_missing(deal["close_date"]))
        txn_date = deal["close_date"] if rules.invoices.invoice_date == "close_date" else self._known.parameters.as_of
        txn_date = bill.txn_date if bill is not None else txn_date
        findings.refuse(validation.books_closed(txn_date, company.book_close_date, of_period=bill is not None))
        currency = self._currency(deal, customer, account, findings)
        lines, amount = self._amounts(deal, sold, currency, findings)
        if bill is not None:
            lines = invoice_lines(bill.lines, rules.invoices)
            amount = _sum_of(lines)
        priced = self._priced(lines, txn_date, findings)
        class_id, department_id = self._classification(findings)
        if bill is None and (deal["billing_frequency"] or "").strip().casefold() not in _ONE_TIME:
            text = f"The deal says {deal['billing_frequency'].strip()} billing; one invoice over the whole deal is made."
            findings.note("billed_at_once", text)
        if deal["close_date"] is not None and deal["close_date"] > self._known.parameters.as_of:
            findings.note("close_date_in_future", f"The deal was won and closes on {deal['close_date']}, which is still to come.")
        if findings.reasons or account is None or customer is None or txn_date is None or currency is None:
            return None

        credit = bill is not None and bill.credit
        term = term if not credit else None
        due = due_date(term, txn_date) if term is not None else None
        values = {
            "opportunity": texts.clean(deal["name"], one_line=True),
            "account": texts.clean(account["name"], one_line=True),
            "close_date": deal["close_date"].isoformat() if deal["close_date"] is not None else "",
        }
        more = texts.filled(rules.invoices.private_note, values)
        numbered = company.custom_numbers and rules.invoices.document_number == "next"
        head = InvoiceHead(
            customer=customer,
            txn_date=txn_date,
            due_date=due,
            term_id=term.term_id if term is not None else None,
            email=sent_to if not credit else None,
            currency=currency if company.several_currencies else None,
            document_number="$next" if numbered else None,
            private_note="\n".join(
                part for part in (invoice_marker(deal["id"]), bill.note if bill is not None else "", more) if part.strip()
            ),
            customer_memo=texts.filled(rules.invoices.customer_memo, values),
            class_id=class_id,
            department_id=department_id,
            tax_calculation=None if company.american else "TaxExcluded" if company.sales_tax else "NotApplicable",
        )
        mender = Mender()
        body = payloads.invoice(head, priced, payloads.addressed(account, sold.terms.bill_to), mender)
        findings.tell_mended(mender.mended, refuse_long=rules.invoices.long_text == "refuse")
        if findings.reasons:
            return None
        return SoundDeal(
            key=bill.key if bill is not None else self._known.history.invoice_key(deal["id"]),
            bill=bill,
            by_quote=sold.source == "cpq_quote",
            told=True,
            deal=deal,
            account=account,
            customer=customer,
            invoice=body,
            lines=tuple(priced),
            amount=amount,
            currency=currency,
            txn_date=txn_date,
            due_date=due,
            term=term,
            receiver=receiver,
            sent_to=sent_to,
            decided_from=self._decided_from(deal, account, body),
        )

    def known_customer(self, deal: Mapping[str, Any]) -> str | None:
        """The customer of QuickBooks that the deal bills; ``None`` where nothing tells it, or it is still to be created."""
        account = self._known.accounts.get(deal["account_id"] or "")
        customer = self._customer_of(deal, account, Findings()) if account is not None else None
        return customer if customer is not None and not customer.startswith("$") else None

    def _customer_of(self, deal: Mapping[str, Any], account: Mapping[str, Any], findings: Findings) -> str | None:
        match = self._known.matches.get(account["id"])
        if match is None:
            findings.refuse(validation.customer_in_review(account["name"], "It has not been compared with QuickBooks yet."))
            return None
        if match["outcome"] == "linked" and match["customer_id"]:
            return self._billed_customer(deal, match, findings)
        if match["outcome"] == "create":
            # Created, and not read back yet: never a second time.
            line = self._known.history.ledger(self._known.keys.customer(account["id"]))
            created = line.result_id if line is not None and line.status == "done" else None
            return created or customer_reference(account["id"])
        if match["outcome"] == "ignored":
            findings.refuse(validation.customer_ignored(account["name"]))
        else:
            findings.refuse(validation.customer_in_review(account["name"], match["reason"]))
        return None

    def _billed_customer(self, deal: Mapping[str, Any], match: Mapping[str, Any], findings: Findings) -> str | None:
        """Of several customers of one account, the one whose currency is the deal's."""
        first = str(match["customer_id"])
        customers = customers_of(match)
        currency = self._known.company.currency_of(deal)
        if len(customers) < 2 or currency is None:
            return first
        currency_of = {one: currency_code(row["currency"]) or self._known.company.home_currency for one, row in customers.items()}
        fitting = [one for one, code in currency_of.items() if code == currency]
        if first in fitting or len(fitting) == 1:
            return first if first in fitting else fitting[0]
        told = [f"{row['display_name'] or one} ({currency_of[one]})" for one, row in customers.items()]
        if fitting:
            told = [str(customers[one]["display_name"] or one) for one in fitting]
            findings.refuse(validation.several_customers_in_currency(currency, told, match["account_id"]))
        else:
            findings.refuse(validation.no_customer_in_currency(currency, told, match["account_id"]))
        return None

    def _receiver(
        self, deal: Mapping[str, Any], account: Mapping[str, Any] | None, findings: Findings
    ) -> tuple[BillTo, str | None]:
        required = self._known.rules.required.billing_email
        receiver = bill_to(account, self._details.roles.get(deal["id"], []), self._known.rules.salesforce.bill_to_roles)
        if receiver.doubt is not None:
            findings.note("bill_to_doubtful", receiver.doubt)
        if account is not None:
            findings.refuse(validation.billing_email_missing(account["name"], receiver.email, required=required))
        malformed = validation.billing_email_malformed(receiver.email)
        if required:
            findings.refuse(malformed)
        sent_to = texts.deliverable_email(receiver.email) if receiver.email else None
        if sent_to is None and not required and self._known.sends:
            findings.note("not_e_mailed", malformed.text if malformed else "The invoice is not e-mailed: nobody receives it.")
        return receiver, sent_to

    def _term(
        self, deal: Mapping[str, Any], account: Mapping[str, Any] | None, quoted: str | None, findings: Findings
    ) -> Term | None:
        named = ((account or {}).get("payment_terms") or "").strip()
        name = (
            (quoted or "").strip()
            or (deal["payment_terms"] or "").strip()
            or named
            or self._known.rules.invoices.default_terms.strip()
        )
        findings.refuse(validation.payment_terms_missing(name, required=self._known.rules.required.payment_terms))
        if not name:
            return None
        term = find_term(name, self._known.company.terms)
        if term is None:
            findings.refuse(validation.payment_terms_unknown(name, [known.name for known in self._known.company.terms]))
        return term

    def _currency(
        self, deal: Mapping[str, Any], customer: str | None, account: Mapping[str, Any] | None, findings: Findings
    ) -> str | None:
        company = self._known.company
        currency = company.currency_of(deal)
        findings.refuse(validation.currency_unknown(currency))
        refused = validation.currency_not_in_quickbooks(currency, company.home_currency, several=company.several_currencies)
        findings.refuse(refused)
        if refused is None and customer is not None and account is not None:
            expected_new = self._new.currency_of(account["id"])
            known = self._details.customers.get(customer)
            if expected_new is not None:
                findings.refuse(validation.currency_differs_from_customer(currency, expected_new, account["name"], account["id"]))
            elif known is not None:
                expected = currency_code(known["currency"]) or company.home_currency
                findings.refuse(
                    validation.currency_differs_from_customer(currency, expected, known["display_name"], account["id"])
                )
        return currency

    def _amounts(
        self, deal: Mapping[str, Any], sold: SoldLines, currency: str | None, findings: Findings
    ) -> tuple[list[InvoiceLine], Decimal]:
        for reason in sold.reasons:
            findings.refuse(reason)
        for code, text in sold.notes:
            findings.note(code, text)
        lines = [one.line for one in sold.lines]
        billed = invoice_lines(lines, self._known.rules.invoices)
        amount = _sum_of(billed)
        if sold.change != "amendment" and not any(reason.code == "line_without_amount" for reason in sold.reasons):
            findings.refuse(validation.amount_not_positive(amount, currency, lines))
            # A quote proves its lines by its own total; the deal's amount may count otherwise, such as by the year.
            whole = sold.source != "cpq_quote"
            differs = validation.amount_differs(deal["amount"], [line.total for line in lines], currency) if whole else None
            if differs is not None:
                too_much, text = differs
                if too_much:
                    findings.refuse(validation.amount_refused(text))
                else:
                    findings.note("amount_rounded", f"{text} The products count.")
        if self._known.rules.invoices.negative_lines == "refuse":
            findings.refuse(validation.negative_line([line.line.label for line in billed if line.amount < 0]))
        return billed, amount

    def _priced(self, lines: Sequence[InvoiceLine], txn_date: date | None, findings: Findings) -> list[PricedLine]:
        rules = self._known.rules.invoices
        priced: list[PricedLine] = []
        for line in lines:
            found = self._known.company.items.find(line.line)
            if isinstance(found, Reason):
                findings.refuse(found)
                continue
            reference = self._item_of(found, findings)
            tax_code = self._tax_code(found, findings)
            service_date = {
                "line": line.line.service_date,
                "line_or_invoice_date": line.line.service_date or txn_date,
                "none": None,
            }[rules.service_date]
            if line.rate is None and line.line.quantity:
                quantity = f"{plain(line.line.quantity):f} of {line.line.label}"
                findings.note("amount_only", f"No rate gives {line.amount} for {quantity}: only the amount is billed.")
            priced.append(
                PricedLine(
                    line=line,
                    item=reference,
                    tax_code=tax_code,
                    class_id=self._line_class(line.line, findings),
                    description=described(line, rules),
                    service_date=service_date,
                )
            )
        return priced

    def _item_of(self, found: Item | MissingItem, findings: Findings) -> str:
        if isinstance(found, Item):
            return found.item_id
        wanted = self._known.rules.items.income_account.strip()
        if self._known.company.income_account_id(wanted) is None:
            findings.refuse(validation.income_account_unknown(wanted))
        product_id = found.line.product_id or ""
        line = self._known.history.ledger(self._known.keys.item(product_id))
        created = line.result_id if line is not None and line.status == "done" else None
        return created or item_reference(product_id)

    def _tax_code(self, found: Item | MissingItem, findings: Findings) -> str | None:
        rules, company = self._known.rules.tax, self._known.company
        item = found if isinstance(found, Item) else None
        if company.american:
            by_item = item is not None and item.taxable
            taxable = {"item": by_item, "taxable": True, "non_taxable": False}[rules.lines]
            return "TAX" if taxable and company.sales_tax else "NON"
        if not company.sales_tax:
            return None
        own = company.tax_code_id(item.tax_code_id) if item is not None and rules.lines == "item" else None
        code = own or company.tax_code_id(rules.code.strip())
        if code is None:
            label = item.full_name if item is not None else (found.line.label if isinstance(found, MissingItem) else "")
            findings.refuse(validation.tax_code_missing(label, rules.code.strip()))
        return code

    def _line_class(self, line: DealLine, findings: Findings) -> str | None:
        name = (line.class_name or "").strip() or self._known.rules.invoices.line_class.strip()
        if not name or not self._known.company.class_per_line:
            return None
        class_id = self._known.company.class_id(name)
        if class_id is None:
            findings.refuse(validation.class_unknown(name))
        return class_id

    def _classification(self, findings: Findings) -> tuple[str | None, str | None]:
        """Class and location of the whole invoice, where the company keeps them."""
        class_id = department_id = None
        name = self._known.rules.invoices.line_class.strip()
        if name and self._known.company.class_per_transaction and not self._known.company.class_per_line:
            class_id = self._known.company.class_id(name)
            if class_id is None:
                findings.refuse(validation.class_unknown(name))
        name = self._known.rules.invoices.department.strip()
        if name and self._known.company.departments:
            department_id = self._known.company.department_id(name)
            if department_id is None:
                findings.refuse(validation.department_unknown(name))
        return class_id, department_id

    def _decided_from(self, deal: Mapping[str, Any], account: Mapping[str, Any], body: Mapping[str, Any]) -> str:
        """Hash of what was used of the sources, with the closing date: when the books are opened again, that is a change."""
        used = {
            "deal": [deal["name"], account["name"], deal["contract_url"], deal["billing_frequency"]],
            "close_date": str(deal["close_date"]),
            "books_closed": str(self._known.company.book_close_date),
            "invoice": self._known.keys.canonical(body, deal["account_id"]),
        }
        return digest(to_json(used, sort_keys=True))


def _sum_of(lines: Sequence[InvoiceLine]) -> Decimal:
    with localcontext(prec=60):
        return to_cents(sum((line.amount for line in lines), Decimal(0)))
