"""Money received and credits: how payments, deposits and journal entries are kept and what they do to invoices.

Belongs here: everything that moves the balance of an invoice or a credit memo from outside.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from qbsf_pipeline.sandbox.quickbooks import faults
from qbsf_pipeline.sandbox.quickbooks.company import (
    ZERO,
    Company,
    Document,
    cents,
    money,
    number,
    parse_date,
    plain,
    ref_value,
    stored,
)
from qbsf_pipeline.sandbox.quickbooks.properties import read_only

_FORMS = ("Invoice", "CreditMemo")
#: What a payment's line may name. A credit of a journal entry on accounts receivable is used up as a credit memo is, and a
#: debit is paid as an invoice is.
_APPLICABLE = (*_FORMS, "JournalEntry")
Applied = dict[tuple[str, str], Decimal]


def money_account(company: Company, ref: Any, known: str | None = None) -> Document:
    """A reference to an account that money can be put into.

    Raises:
        QuickBooksFault: 2500, 610, 6430.
    """
    found = company.reference("Account", ref, "DepositToAccountRef", known=known)
    kind = company.require("Account", found["value"]).get("AccountType")
    if kind not in ("Bank", "Other Current Asset") and not company.seeding:
        raise faults.QuickBooksFault(
            "6430",
            "Invalid account type",
            "Invalid account type used : DepositToAccountRef must be a Bank or Other Current Asset account.",
            "DepositToAccountRef",
        )
    return found


def undeposited_funds(company: Company) -> Document:
    """A reference to the account where money waits to be deposited."""
    for account in company.docs("Account").values():
        if account.get("AccountSubType") == "UndepositedFunds":
            return {"value": account["Id"], "name": account["Name"]}
    raise faults.business("The company has no Undeposited Funds account.", "DepositToAccountRef")


def amounts_of(payment: Mapping[str, Any] | None) -> Applied:
    """What a payment applies, by (type, id)."""
    result: Applied = {}
    for line in (payment or {}).get("Line", ()):
        for link in line.get("LinkedTxn", ()):
            key = (str(link["TxnType"]), str(link["TxnId"]))
            result[key] = result.get(key, ZERO) + stored(line["Amount"])
    return result


def _payments_of(company: Company, form: Mapping[str, Any]) -> list[Document]:
    ids = [link["TxnId"] for link in form.get("LinkedTxn", ()) if link.get("TxnType") == "Payment"]
    found = (company.find("Payment", payment_id) for payment_id in ids)
    return [payment for payment in found if payment is not None]


def applied_to(company: Company, entity: str, form: Mapping[str, Any], *, without: str | None = None) -> Decimal:
    """The sum that payments apply to an invoice, or use of a credit memo; `without` leaves one payment out."""
    total = ZERO
    for payment in _payments_of(company, form):
        if payment["Id"] != without:
            total += amounts_of(payment).get((entity, form["Id"]), ZERO)
    return total


# Payment ---------------------------------------------------------------------------------------------------------


def save_payment(company: Company, body: Mapping[str, Any]) -> Document:
    """Create (no `Id`) or update a payment. Even a sparse update must carry `CustomerRef` and `TotalAmt`.

    Raises:
        QuickBooksFault: as section 10 of the sheet says.
    """
    existing = company.require_current("Payment", body) if body.get("Id") not in (None, "") else None
    return write_payment(company, body, existing)


def write_payment(company: Company, body: Mapping[str, Any], existing: Document | None, object_id: str | None = None) -> Document:
    """The same, with the payment that is updated already found."""
    for name in ("TotalAmt", "CustomerRef"):
        if body.get(name) in (None, "", {}) and not (company.seeding and existing):
            raise faults.required(name)
    if existing is not None:
        _refuse_deposited(existing)
    fields = company.writable("Payment", body, existing)
    old = existing or {}
    fields["CustomerRef"] = company.reference(
        "Customer", fields["CustomerRef"], "CustomerRef", known=ref_value(old.get("CustomerRef"))
    )
    customer = company.require("Customer", fields["CustomerRef"]["value"])
    currency = ref_value(customer.get("CurrencyRef")) or company.home_currency
    if ref_value(fields.get("CurrencyRef")) not in (None, currency):
        raise faults.business("The payment's currency must be the same as the customer's currency.", "CurrencyRef")
    fields["CurrencyRef"] = company.currency(currency)
    if company.multicurrency:
        fields["ExchangeRate"] = plain(number(fields.get("ExchangeRate") or 1, "ExchangeRate"))
    else:
        fields.pop("ExchangeRate", None)
    fields.setdefault("TxnDate", old.get("TxnDate") or company.today().isoformat())
    parse_date(fields["TxnDate"], "TxnDate")
    company.check_open(fields["TxnDate"], old.get("TxnDate"))
    total = number(fields["TotalAmt"], "TotalAmt")
    if total < 0:
        raise faults.negative_amount("TotalAmt")
    if total != cents(total):
        raise faults.invalid_number("TotalAmt", total)
    known = ref_value(old.get("DepositToAccountRef"))
    account = fields.get("DepositToAccountRef") or undeposited_funds(company)
    fields["DepositToAccountRef"] = money_account(company, account, known)
    if "PaymentMethodRef" in fields:
        known = ref_value(old.get("PaymentMethodRef"))
        fields["PaymentMethodRef"] = company.reference(
            "PaymentMethod", fields["PaymentMethodRef"], "PaymentMethodRef", known=known
        )
    frame = company.touched(existing) if existing is not None else company.new("Payment", object_id)
    kept = {name: value for name, value in frame.items() if name in read_only("Payment")}
    payment = {**kept, **fields, "TotalAmt": money(total), "ProcessPayment": False}
    payment.setdefault("LinkedTxn", [])
    _apply_lines(company, payment, fields.get("Line", []), total, existing)
    company.put("Payment", payment)
    _settle(company, existing, payment)
    return payment


def _refuse_deposited(payment: Mapping[str, Any]) -> None:
    if any(link.get("TxnType") == "Deposit" for link in payment.get("LinkedTxn", ())):
        raise faults.QuickBooksFault(
            "6540",
            "Deposited Transaction cannot be changed",
            "The transaction is part of a deposit. Remove it from the deposit first.",
            "",
        )


def _apply_lines(company: Company, payment: Document, lines: Sequence[Any], total: Decimal, existing: Document | None) -> None:
    before = amounts_of(existing)
    used: Applied = {}
    kept: list[Document] = []
    asked = credits_used = ZERO
    for position, line in enumerate(lines):
        element = f"Line[{position}]"
        if not isinstance(line, dict) or line.get("Amount") in (None, ""):
            raise faults.required(f"{element}.Amount")
        links = line.get("LinkedTxn")
        if not isinstance(links, list) or len(links) != 1 or not isinstance(links[0], dict):
            raise faults.required(f"{element}.LinkedTxn")
        kind, txn_id = str(links[0].get("TxnType") or ""), str(links[0].get("TxnId") or "")
        if kind not in _APPLICABLE:
            raise faults.cannot_link(txn_id)
        amount = number(line["Amount"], f"{element}.Amount")
        if amount < 0:
            raise faults.negative_amount(f"{element}.Amount")
        if amount != cents(amount):
            raise faults.invalid_number(f"{element}.Amount", amount)
        form = company.require(kind, txn_id)
        key = (kind, txn_id)
        if kind in _FORMS:
            if not _may_pay(company, payment, ref_value(form["CustomerRef"])):
                raise faults.cannot_link(txn_id)
            open_amount = _open_amount(company, kind, form, payment["Id"]) - used.get(key, ZERO)
        else:
            moved = _charges(company, form) if company.is_charge(kind, txn_id) else _credits(company, form)
            own = sum((amount for name, amount in moved.items() if _may_pay(company, payment, name)), ZERO)
            open_amount = own - applied_to(company, kind, form, without=payment["Id"]) - used.get(key, ZERO)
        if open_amount <= 0 and amount > 0 and key not in before:
            raise faults.cannot_link(txn_id)
        taken = min(amount, max(open_amount, ZERO))
        used[key] = used.get(key, ZERO) + taken
        if company.is_charge(kind, txn_id):
            asked += amount
        else:
            if taken < amount:
                raise faults.business("More credit is used than there is left.", f"{element}.Amount")
            credits_used += taken
        if taken > 0:
            kept.append(
                {
                    "Amount": money(taken),
                    "LinkedTxn": [{"TxnId": txn_id, "TxnType": kind}],
                    "LineEx": _line_extras(form, open_amount - taken),
                }
            )
    if asked > total + credits_used:
        raise faults.business("The amounts applied are more than the payment and the credits.", "Line")
    paid = sum((amount for key, amount in used.items() if company.is_charge(*key)), ZERO)
    unapplied = total + credits_used - paid
    if credits_used and unapplied > total:
        raise faults.business("More credit is used than is applied to invoices.", "Line")
    payment["Line"] = kept
    payment["UnappliedAmt"] = money(unapplied)


def _may_pay(company: Company, payment: Mapping[str, Any], customer_id: str | None) -> bool:
    """The same customer, or one above it: a parent may pay for its sub-customers."""
    payer = ref_value(payment["CustomerRef"])
    seen: set[str] = set()
    while customer_id is not None and customer_id not in seen:
        if customer_id == payer:
            return True
        seen.add(customer_id)
        customer_id = ref_value((company.find("Customer", customer_id) or {}).get("ParentRef"))
    return False


def _open_amount(company: Company, entity: str, form: Mapping[str, Any], payment_id: str) -> Decimal:
    applied = applied_to(company, entity, form, without=payment_id)
    return stored(form["TotalAmt"]) - stored(form.get("Deposit")) - applied


def _credits(company: Company, entry: Mapping[str, Any]) -> dict[str, Decimal]:
    """What a journal entry takes off what customers owe, by customer: their credits on accounts receivable."""
    return _summed((customer_id, -amount) for customer_id, amount in company.receivable_lines(entry) if amount < 0)


def _charges(company: Company, entry: Mapping[str, Any]) -> dict[str, Decimal]:
    """What a journal entry adds to what customers owe, by customer: their debits on accounts receivable."""
    return _summed((customer_id, amount) for customer_id, amount in company.receivable_lines(entry) if amount > 0)


def _summed(amounts: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for customer_id, amount in amounts:
        found[customer_id] = found.get(customer_id, ZERO) + amount
    return found


def _line_extras(form: Mapping[str, Any], left: Decimal) -> Document:
    pairs = {
        "txnId": form["Id"],
        "txnOpenBalance": f"{left:.2f}",
        "txnReferenceNumber": form.get("DocNumber") or "",
    }
    return {
        "any": [
            {
                "name": "{http://schema.intuit.com/finance/v3}NameValue",
                "declaredType": "com.intuit.schema.finance.v3.NameValue",
                "scope": "javax.xml.bind.JAXBElement$GlobalScope",
                "value": {"Name": name, "Value": value},
                "nil": False,
                "globalScope": True,
                "typeSubstituted": False,
            }
            for name, value in pairs.items()
        ]
    }


def _settle(company: Company, before: Document | None, after: Document | None) -> None:
    """Bring the forms that a payment touches up to date: links, balance, SyncToken."""
    payment_id = (after or before or {})["Id"]
    old, new = amounts_of(before), amounts_of(after)
    for kind, txn_id in dict.fromkeys([*old, *new]):
        if old.get((kind, txn_id)) == new.get((kind, txn_id)):
            continue
        form = company.find(kind, txn_id)
        if form is None:
            continue
        form = company.touched(form)
        links = [
            link for link in form.get("LinkedTxn", []) if not (link.get("TxnType") == "Payment" and link["TxnId"] == payment_id)
        ]
        if (kind, txn_id) in new:
            links.append({"TxnId": payment_id, "TxnType": "Payment"})
        form["LinkedTxn"] = links
        if kind in _FORMS:
            _rebalance(company, kind, form)
        company.put(kind, form)


def _rebalance(company: Company, kind: str, form: Document) -> None:
    balance = stored(form["TotalAmt"]) - stored(form.get("Deposit")) - applied_to(company, kind, form)
    form["Balance"] = money(balance)
    if kind == "CreditMemo":
        form["RemainingCredit"] = form["Balance"]
    if "HomeBalance" in form:
        form["HomeBalance"] = money(balance * stored(form.get("ExchangeRate") or 1))


def void_payment(company: Company, body: Mapping[str, Any]) -> Document:
    """The payment stays with zero; what it paid is open again.

    Raises:
        QuickBooksFault: 5010, 610, 6200, 6540.
    """
    existing = company.require_current("Payment", body)
    company.check_open(existing["TxnDate"])
    _refuse_deposited(existing)
    payment = company.touched(existing)
    note = existing.get("PrivateNote")
    payment.update(TotalAmt=ZERO, UnappliedAmt=ZERO, Line=[], PrivateNote=f"Voided - {note}" if note else "Voided", LinkedTxn=[])
    company.put("Payment", payment)
    _settle(company, existing, payment)
    return payment


def delete_payment(company: Company, body: Mapping[str, Any]) -> None:
    """Take the payment out; what it paid is open again.

    Raises:
        QuickBooksFault: 5010, 610, 6200, 6540.
    """
    existing = company.require_current("Payment", body)
    company.check_open(existing["TxnDate"])
    _refuse_deposited(existing)
    company.remove("Payment", existing["Id"])
    _settle(company, existing, None)


def unlink(company: Company, entity: str, form: Mapping[str, Any]) -> None:
    """Take an invoice out of every payment that pays it; the money becomes unapplied."""
    for payment in _payments_of(company, form):
        _reduce(company, payment, (entity, form["Id"]), amounts_of(payment).get((entity, form["Id"]), ZERO))


def release(company: Company, entity: str, form: Mapping[str, Any], excess: Decimal) -> Decimal:
    """Give `excess` of what is applied to a form back to its payments, the latest first; what was given back."""
    given = ZERO
    for payment in reversed(_payments_of(company, form)):
        step = min(excess - given, amounts_of(payment).get((entity, form["Id"]), ZERO))
        if step > 0:
            _reduce(company, payment, (entity, form["Id"]), step, settle_form=False)
            given += step
    return given


def links_still_applied(company: Company, entity: str, form: Mapping[str, Any]) -> list[Document]:
    """The form's links without payments that apply nothing to it any more."""
    gone = {payment["Id"] for payment in _payments_of(company, form) if (entity, form["Id"]) not in amounts_of(payment)}
    return [link for link in form.get("LinkedTxn", []) if link.get("TxnType") != "Payment" or link["TxnId"] not in gone]


def _reduce(company: Company, payment: Document, key: tuple[str, str], by: Decimal, *, settle_form: bool = True) -> None:
    after = company.touched(payment)
    left = by
    lines: list[Document] = []
    for line in reversed(after["Line"]):
        link = line["LinkedTxn"][0]
        if (link["TxnType"], link["TxnId"]) == key and left > 0:
            step = min(left, stored(line["Amount"]))
            left -= step
            line["Amount"] = money(stored(line["Amount"]) - step)
        lines.append(line)
    after["Line"] = [line for line in reversed(lines) if stored(line["Amount"]) > 0]
    _balance_payment(company, after)
    company.put("Payment", after)
    if settle_form:
        _settle(company, payment, after)
        return
    # The form itself is being written by the caller.
    hidden = copy.deepcopy(payment)
    hidden["Line"] = [line for line in hidden["Line"] if (_key(line)) != key]
    shown = copy.deepcopy(after)
    shown["Line"] = [line for line in shown["Line"] if (_key(line)) != key]
    _settle(company, hidden, shown)


def _key(line: Mapping[str, Any]) -> tuple[str, str]:
    link = line["LinkedTxn"][0]
    return str(link["TxnType"]), str(link["TxnId"])


def _balance_payment(company: Company, payment: Document) -> None:
    """Recompute `UnappliedAmt`; credit that has nothing left to pay goes back to its credit memo, and what was paid with
    credit that is gone is open again."""
    total = stored(payment["TotalAmt"])
    paid = sum((stored(line["Amount"]) for line in payment["Line"] if company.is_charge(*_key(line))), ZERO)
    credit = sum((stored(line["Amount"]) for line in payment["Line"] if not company.is_charge(*_key(line))), ZERO)
    surplus = credit - paid
    for line in reversed(payment["Line"]):
        if surplus > 0 and not company.is_charge(*_key(line)):
            step = min(surplus, stored(line["Amount"]))
            line["Amount"] = money(stored(line["Amount"]) - step)
            surplus -= step
            credit -= step
    lacking = paid - credit - total
    for line in reversed(payment["Line"]):
        if lacking > 0 and company.is_charge(*_key(line)):
            step = min(lacking, stored(line["Amount"]))
            line["Amount"] = money(stored(line["Amount"]) - step)
            lacking -= step
            paid -= step
    payment["Line"] = [line for line in payment["Line"] if stored(line["Amount"]) > 0]
    payment["UnappliedAmt"] = money(total + credit - paid)


def apply_credits(company: Company, entity: str, form: Mapping[str, Any]) -> None:
    """What the preference AutoApplyCredit does after a new invoice or credit memo: a payment of zero that uses the
    customer's open credits for his open invoices, the oldest first."""
    customer_id = ref_value(form["CustomerRef"])
    if customer_id is None or entity not in _FORMS:
        return
    own = [company.require(entity, form["Id"])]
    other = "CreditMemo" if entity == "Invoice" else "Invoice"
    others = [txn for txn in company.of_customer(other, customer_id) if stored(txn.get("Balance")) > 0]
    left = stored(own[0]["Balance"])
    lines: list[Document] = []
    for txn in sorted(others, key=lambda each: (each["TxnDate"], int(each["Id"]))):
        step = min(left, stored(txn["Balance"]))
        if step <= 0:
            break
        left -= step
        lines.append({"Amount": step, "LinkedTxn": [{"TxnId": txn["Id"], "TxnType": other}]})
    if not lines:
        return
    used = stored(own[0]["Balance"]) - left
    lines.append({"Amount": used, "LinkedTxn": [{"TxnId": form["Id"], "TxnType": entity}]})
    body = {
        "CustomerRef": {"value": customer_id},
        "TotalAmt": 0,
        "TxnDate": form["TxnDate"],
        "PrivateNote": "Created by QB Online to link credits to charges.",
        "Line": lines,
    }
    write_payment(company, body, None)


# Deposit, journal entry ------------------------------------------------------------------------------------------


def save_deposit(company: Company, body: Mapping[str, Any], object_id: str | None = None) -> Document:
    """Create or update a deposit: payments move from Undeposited Funds to the bank, and are locked.

    Raises:
        QuickBooksFault: 2020, 620, 6000, 6200.
    """
    existing = company.require_current("Deposit", body) if body.get("Id") not in (None, "") and not object_id else None
    fields = company.writable("Deposit", body, existing)
    if "DepositToAccountRef" not in fields:
        raise faults.required("DepositToAccountRef")
    known = ref_value((existing or {}).get("DepositToAccountRef"))
    fields["DepositToAccountRef"] = money_account(company, fields["DepositToAccountRef"], known)
    fields.setdefault("TxnDate", (existing or {}).get("TxnDate") or company.today().isoformat())
    company.check_open(fields["TxnDate"], (existing or {}).get("TxnDate"))
    if not fields.get("Line"):
        raise faults.required("Line")
    if existing is not None:
        _free_deposited(company, existing)
    frame = company.touched(existing) if existing is not None else company.new("Deposit", object_id)
    deposit = {**{name: value for name, value in frame.items() if name in read_only("Deposit")}, **fields}
    total = ZERO
    for position, line in enumerate(deposit["Line"], start=1):
        amount = number(line.get("Amount"), "Line.Amount")
        total += amount
        line["Amount"] = money(amount)
        line.setdefault("Id", str(position))
        for link in line.get("LinkedTxn") or []:
            payment = company.find("Payment", str(link.get("TxnId")))
            deposited = payment is not None and any(each["TxnType"] == "Deposit" for each in payment["LinkedTxn"])
            if link.get("TxnType") != "Payment" or payment is None or deposited:
                raise faults.cannot_link(str(link.get("TxnId")))
            if stored(payment["TotalAmt"]) != amount:
                raise faults.business("The line's amount must be the amount of the payment.", "Line.Amount")
            payment = company.touched(payment)
            payment["LinkedTxn"].append({"TxnId": deposit["Id"], "TxnType": "Deposit"})
            company.put("Payment", payment)
    deposit["TotalAmt"] = money(total)
    return company.put("Deposit", deposit)


def delete_deposit(company: Company, body: Mapping[str, Any]) -> None:
    """Take the deposit out; its payments wait for deposit again."""
    existing = company.require_current("Deposit", body)
    company.check_open(existing["TxnDate"])
    _free_deposited(company, existing)
    company.remove("Deposit", existing["Id"])


def _free_deposited(company: Company, deposit: Mapping[str, Any]) -> None:
    for line in deposit.get("Line", ()):
        for link in line.get("LinkedTxn") or ():
            payment = company.find("Payment", str(link["TxnId"]))
            if payment is not None:
                payment = company.touched(payment)
                payment["LinkedTxn"] = [each for each in payment["LinkedTxn"] if each["TxnType"] != "Deposit"]
                company.put("Payment", payment)


def save_journal_entry(company: Company, body: Mapping[str, Any], object_id: str | None = None) -> Document:
    """Create or update a journal entry; debits must equal credits, and a line on accounts receivable needs a customer.

    Raises:
        QuickBooksFault: 2020, 2300, 2500, 6000, 6200.
    """
    entity = "JournalEntry"
    existing = company.require_current(entity, body) if body.get("Id") not in (None, "") and not object_id else None
    fields = company.writable(entity, body, existing)
    if not fields.get("Line"):
        raise faults.required("Line")
    fields.setdefault("TxnDate", (existing or {}).get("TxnDate") or company.today().isoformat())
    parse_date(fields["TxnDate"], "TxnDate")
    company.check_open(fields["TxnDate"], (existing or {}).get("TxnDate"))
    difference = total = ZERO
    for position, line in enumerate(fields["Line"]):
        element = f"Line[{position}]"
        detail = line.get("JournalEntryLineDetail")
        if not isinstance(detail, dict):
            continue
        amount = number(line.get("Amount"), f"{element}.Amount")
        if amount < 0:
            raise faults.negative_amount(f"{element}.Amount")
        line["Amount"] = money(amount)
        line["Id"] = str(line.get("Id") or position)
        if detail.get("PostingType") not in ("Debit", "Credit"):
            raise faults.invalid_enumeration(f"{element}.PostingType", detail.get("PostingType"))
        detail["AccountRef"] = company.reference("Account", detail.get("AccountRef"), f"{element}.AccountRef")
        account = company.require("Account", detail["AccountRef"]["value"])
        customer_ref = (detail.get("Entity") or {}).get("EntityRef")
        if account.get("AccountType") == "Accounts Receivable":
            if ref_value(customer_ref) is None:
                raise faults.business("When you use Accounts Receivable, you must choose a customer in the Name field.", element)
            detail["Entity"]["EntityRef"] = company.reference("Customer", customer_ref, f"{element}.EntityRef")
        signed = amount if detail["PostingType"] == "Debit" else -amount
        difference += signed
        total += max(signed, ZERO)
    if difference:
        raise faults.QuickBooksFault(
            "2300", "Journal entry is not balanced", "The sum of debits must equal the sum of credits.", "Line"
        )
    frame = company.touched(existing) if existing is not None else company.new(entity, object_id)
    entry = {**{name: value for name, value in frame.items() if name in read_only(entity)}, **fields}
    entry["TotalAmt"] = money(total)
    entry.setdefault("Adjustment", False)
    moved = max(sum(_credits(company, entry).values(), ZERO), sum(_charges(company, entry).values(), ZERO))
    if existing is not None and moved < applied_to(company, entity, existing):
        # What was used or paid of it is more than it moves now.
        unlink(company, entity, existing)
        entry["LinkedTxn"] = []
    return company.put(entity, entry)


def delete_journal_entry(company: Company, body: Mapping[str, Any]) -> None:
    """Take the entry out; what was paid with its credit is open again."""
    existing = company.require_current("JournalEntry", body)
    company.check_open(existing["TxnDate"])
    unlink(company, "JournalEntry", existing)
    company.remove("JournalEntry", existing["Id"])
