"""One account and its customer, compared field by field: what differs, whose value counts, and what follows.

Three values meet in a field: what Salesforce has, what QuickBooks has, and what both had when they last agreed. Pure. What the
decisions of all pairs make together is planned in :mod:`.plan`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from qbsf_pipeline.customers import texts
from qbsf_pipeline.customers.circumstances import Circumstances
from qbsf_pipeline.customers.conversions import NotTaken, account_fields, customer_fields, to_quickbooks, to_salesforce
from qbsf_pipeline.customers.fields import (
    FIELD_NAMES,
    LABELS,
    Value,
    account_values,
    customer_values,
    decoded,
    encoded,
    from_json,
    is_empty,
    told,
)
from qbsf_pipeline.customers.matching.names import DISPLAY_NAME_LENGTH
from qbsf_pipeline.customers.meanings import DEFAULT_REGION, country_code, mailboxes_meant, meaning
from qbsf_pipeline.settings import FieldRules

Side = Literal["salesforce", "quickbooks"]
#: Salesforce's value and QuickBooks' value, each as :func:`fields.encoded` writes it.
Agreed = tuple[str | None, str | None]

SYSTEMS: Mapping[str, str] = {"salesforce": "Salesforce", "quickbooks": "QuickBooks"}
_NEVER_EMPTY = frozenset({"name", "tax_exempt", "active", "parent"})
#: Parents above a customer that QuickBooks allows.
_MOST_LEVELS = 4


@dataclass(frozen=True)
class Reversal:
    """A value that a person wants back: ``side`` gets ``value`` (JSON text), whatever the owner has now."""

    journal_id: str
    field: str
    value: str | None
    side: Side


@dataclass(frozen=True)
class FieldDecision:
    """A field in which an account and its customer differ.

    Attributes:
        salesforce, quickbooks: the two values as read.
        agreed: the owner's value when the two last agreed.
        winner: the side whose value counts; ``none`` where both keep what they have.
        kind: owner_changed, put_back, both_changed, first_difference, report_only, kept or reversed.
        action: write, report, or keep.
        event: what happened, as a sentence for finance.
        why: the same with what follows.
        value: what is written to the side that does not win.
        refusal: what stands against writing it, where a person has to do something.
    """

    field: str
    owner: Side
    salesforce: Value
    quickbooks: Value
    agreed: Value
    winner: Side | Literal["none"]
    kind: str
    action: Literal["write", "report", "keep"]
    event: str
    why: str
    value: Value = None
    refusal: NotTaken | None = None

    @property
    def written_side(self) -> Side | None:
        """The side that is written to; ``None`` where nothing is."""
        if self.action != "write":
            return None
        return "quickbooks" if self.winner == "salesforce" else "salesforce"

    def reported(self, why: str, refusal: NotTaken | None = None) -> FieldDecision:
        """The same difference, only told: nothing is written."""
        return replace(self, action="report", why=f"{self.event} {why}".strip(), value=None, refusal=refusal)

    def followed_by(self, kind: str, winner: Side, event: str, consequence: str) -> FieldDecision:
        """The same difference after it was decided that something is written."""
        return replace(self, kind=kind, winner=winner, action="write", event=event, why=f"{event} {consequence}")


@dataclass(frozen=True)
class PairDecision:
    """What becomes of one account and one of its customers.

    Attributes:
        decisions: fields that differ, in the order of :data:`fields.FIELD_NAMES`; one for each.
        agreement: what is in step now by field, with what was agreed before where the field is not.
        agreed_anew: whether ``agreement`` is to be stored: it means something else than the last one.
        refusals: what stands against comparing a field at all: (field, why).
        carried_out: journal ids of reversals whose value is there already.
        customer_update: fields of the sparse update of the Customer, without Id and SyncToken; empty for none.
        account_update: fields of the update of the Account, without Id; empty for none.
    """

    decisions: tuple[FieldDecision, ...]
    agreement: Mapping[str, Agreed]
    agreed_anew: bool
    refusals: tuple[tuple[str, NotTaken], ...]
    carried_out: tuple[str, ...]
    customer_update: Mapping[str, Any]
    account_update: Mapping[str, Any]


def decide_pair(
    account: Mapping[str, Any],
    contacts: Sequence[Mapping[str, Any]],
    customer: Mapping[str, Any],
    agreement: Mapping[str, Agreed],
    around: Circumstances,
    reversals: Sequence[Reversal] = (),
) -> PairDecision:
    """Decide for one account and one customer, also again from a record that was just read.

    Args:
        account: row of ``salesforce.account``.
        contacts: the account's rows of ``salesforce.contact``.
        customer: row of ``quickbooks.customer``.
        agreement: the last agreement, by field; empty for a pair that never agreed.
        around: what stands around the pair.
        reversals: what a person wants back in this pair.
    """
    return _Pair(account, contacts, customer, agreement, around, reversals).decide()


def updates(decisions: Sequence[FieldDecision], around: Circumstances) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields that decisions write to the Customer and to the Account."""
    customer: dict[str, Any] = {}
    account: dict[str, Any] = {}
    for decision in decisions:
        if decision.written_side == "quickbooks":
            term = around.term(str(decision.value)) if decision.field == "terms" and decision.value else None
            customer |= customer_fields(decision.field, decision.value, term_id=term.term_id if term else None)
        elif decision.written_side == "salesforce":
            account |= account_fields(decision.field, decision.value, around.rules.salesforce.account)
    return customer, account


class _Pair:
    """One account and one customer while they are compared. One use."""

    def __init__(
        self,
        account: Mapping[str, Any],
        contacts: Sequence[Mapping[str, Any]],
        customer: Mapping[str, Any],
        agreement: Mapping[str, Agreed],
        around: Circumstances,
        reversals: Sequence[Reversal],
    ) -> None:
        self._account = account
        self._customer = customer
        self._before = agreement
        self._around = around
        self._rules = around.rules.customers
        self._reversals = reversals
        self._region = country_code(account["billing_country"]) or country_code(customer["billing_country"]) or DEFAULT_REGION
        self._siblings = around.customers_of.get(account["id"], ())
        self._salesforce = account_values(account, contacts, around.fields)
        self._quickbooks = customer_values(customer, around.term_names, around.home_currency, around.fields)
        self._agreement: dict[str, Agreed] = dict(agreement)
        self._agreed_anew = False
        self._refusals: list[tuple[str, NotTaken]] = []
        self._carried_out: list[str] = []

    def decide(self) -> PairDecision:
        decisions: list[FieldDecision] = []
        if "parent" in self._around.fields:
            self._salesforce["parent"] = self._parent_of_account()
        wanted: dict[str, list[Reversal]] = {}
        for reversal in self._reversals:
            wanted.setdefault(reversal.field, []).append(reversal)
        for name in self._around.fields:
            decision = self._reversed(name, wanted[name]) if name in wanted else self._field(name)
            if decision is not None:
                decisions.append(decision)
        for name in wanted.keys() - set(self._around.fields):
            self._refuse(name, _not_in_step(name))
        decisions = self._held_where_inactive(decisions)
        customer, account = updates(decisions, self._around)
        return PairDecision(
            decisions=tuple(decisions),
            agreement=self._agreement,
            agreed_anew=self._agreed_anew,
            refusals=tuple(self._refusals),
            carried_out=tuple(self._carried_out),
            customer_update=customer,
            account_update=account,
        )

    # One field

    def _field(self, name: str) -> FieldDecision | None:
        ours, theirs = self._salesforce[name], self._quickbooks[name]
        if name == "currency":
            return self._currency(ours, theirs)
        if ours == theirs or self._agree(name, ours, theirs):
            self._agree_on(name, ours, theirs)
            return None
        if any(field == name for field, _ in self._refusals):
            return None
        rule: FieldRules = getattr(self._rules.fields, name)
        owner: Side = rule.owner
        other: Side = "quickbooks" if owner == "salesforce" else "salesforce"
        mine, others = (ours, theirs) if owner == "salesforce" else (theirs, ours)
        agreed = self._agreed_values(name)
        before = None
        if agreed is not None:
            before = agreed if owner == "salesforce" else (agreed[1], agreed[0])
        base = FieldDecision(
            field=name,
            owner=owner,
            salesforce=ours,
            quickbooks=theirs,
            agreed=before[0] if before else None,
            winner="none",
            kind="first_difference",
            action="keep",
            event="",
            why="",
        )
        label, owner_name, other_name = LABELS[name], SYSTEMS[owner], SYSTEMS[other]
        if is_empty(mine):
            emptied = self._emptied(base, rule, others, before, ours, theirs)
            if emptied is None or emptied.kind == "kept":
                return emptied
            return self._written(emptied, rule, mine, other)

        mine_changed = before is not None and not self._same(name, mine, before[0])
        others_changed = before is not None and not self._same(name, others, before[1])
        in_step = before is not None and self._agree(name, *(before if owner == "salesforce" else (before[1], before[0])))
        if before is None or (in_step and not mine_changed and not others_changed):
            if rule.first_difference == "accept" or (self._has_siblings(other) and before is None):
                self._agree_on(name, ours, theirs)
                return replace(base, why=self._accepted_sentence(label, owner_name))
            event = f"The two systems never agreed on the {label}, and {owner_name} owns it."
            first = base.followed_by("first_difference", owner, event, f"{other_name} gets its value.")
            return self._written(first, rule, mine, other)
        if not mine_changed and not others_changed:
            return replace(base, why=self._accepted_sentence(label, owner_name))
        if not mine_changed and not in_step:
            self._agree_on(name, ours, theirs)
            why = f"{other_name} changed its {label}, which was meant to differ from that of {owner_name}: both stay as they are."
            return replace(base, kind="kept", action="report", why=why)
        if not others_changed:
            event = f"{owner_name} changed the {label}, which it owns."
            decision = base.followed_by("owner_changed", owner, event, f"{other_name} follows.")
        elif not mine_changed:
            event = f"The {label} was changed in {other_name}, but {owner_name} owns it."
            decision = base.followed_by("put_back", owner, event, f"It is put back to {told(mine)}.")
        else:
            event = f"Both systems changed the {label} since they last agreed."
            decision = base.followed_by("both_changed", owner, event, f"{owner_name} owns it and wins.")
        if self._has_siblings(other) and (name == "name" or not in_step):
            return decision.reported("The account has several customers, so this one keeps its own.")
        return self._written(decision, rule, mine, other)

    def _emptied(
        self,
        base: FieldDecision,
        rule: FieldRules,
        others: Value,
        before: tuple[Value, Value] | None,
        ours: Value,
        theirs: Value,
    ) -> FieldDecision | None:
        """What follows where the owner has no value and the other side has one."""
        had_value = before is not None and not is_empty(before[0])
        filled = before is not None and not had_value and is_empty(before[1]) and rule.when_emptied == "empty"
        if not had_value and not filled:
            # The owner never said anything: what the other side has is its own affair.
            self._agree_on(base.field, ours, theirs)
            return None
        label, owner_name = LABELS[base.field], SYSTEMS[base.owner]
        other_name = SYSTEMS["quickbooks" if base.owner == "salesforce" else "salesforce"]
        if rule.when_emptied == "keep" or isinstance(others, bool) or base.field == "parent":
            self._agree_on(base.field, ours, theirs)
            event = f"{owner_name} emptied the {label}."
            if base.field == "contact":
                event = "No contact, or more than one, has the account's billing e-mail now."
            return replace(base, kind="kept", action="report", event=event, why=f"{event} {other_name} keeps {told(others)}.")
        if filled:
            event = f"The {label} was filled in {other_name}, but {owner_name} owns it and has none."
            return base.followed_by("put_back", base.owner, event, "It is emptied again.")
        changed = before is not None and not self._same(base.field, others, before[1])
        kind = "both_changed" if changed else "owner_changed"
        event = f"{owner_name} emptied the {label}, which it owns."
        return base.followed_by(kind, base.owner, event, f"By rule {other_name} is emptied too.")

    def _currency(self, ours: Value, theirs: Value) -> FieldDecision | None:
        """Never written: QuickBooks does not change a customer's currency, nor does Salesforce change an account's for it."""
        siblings = {(self._around.customers[one]["currency"] or "").strip().upper() for one in self._siblings}
        if ours is None or theirs is None or ours == theirs or ours in siblings:
            self._agree_on("currency", ours, theirs)
            return None
        why = f"The account is in {ours}, the customer in {theirs}. QuickBooks never changes the currency of a customer."
        owner = self._rules.fields.currency.owner
        return FieldDecision("currency", owner, ours, theirs, None, "none", "report_only", "report", why, why)

    def _reversed(self, name: str, reversals: Sequence[Reversal]) -> FieldDecision | None:
        """A value that a person wants back, written to the side that overruled it."""
        ours, theirs = self._salesforce[name], self._quickbooks[name]
        try:
            values = [from_json(name, reversal.value) for reversal in reversals]
        except ValueError:
            self._refuse(name, _unreadable(name))
            return self._field(name)
        if any(not self._same(name, value, values[0]) for value in values) or len({one.side for one in reversals}) > 1:
            self._refuse(name, _contradicting(name, [reversal.journal_id for reversal in reversals]))
            return self._field(name)
        value, side = values[0], reversals[0].side
        held = ours if side == "salesforce" else theirs
        if self._agree(name, value, theirs) if side == "quickbooks" else self._agree(name, ours, value):
            self._carried_out += [reversal.journal_id for reversal in reversals]
            return self._field(name)
        rule: FieldRules = getattr(self._rules.fields, name)
        decision = FieldDecision(
            field=name,
            owner=rule.owner,
            salesforce=ours,
            quickbooks=theirs,
            agreed=None,
            winner="quickbooks" if side == "salesforce" else "salesforce",
            kind="reversed",
            action="write",
            event=f"A person wants {told(value)} back as the {LABELS[name]}.",
            why=f"A person wants {told(value)} back as the {LABELS[name]}: {SYSTEMS[side]} gets it instead of {told(held)}.",
        )
        return self._fitted(decision, value, side)

    # What may be written

    def _written(self, decision: FieldDecision, rule: FieldRules, mine: Value, side: Side) -> FieldDecision:
        """The decision with the value that is written, or only reported where a rule or a service is against it."""
        if rule.report_only:
            return decision.reported(f"By rule (customers.fields.{decision.field}.report_only) it is only reported.")
        if self._around.reporting is not None:
            return decision.reported(self._around.reporting)
        if decision.kind == "both_changed" and self._rules.sync.on_both_changed == "report":
            return decision.reported("By rule (customers.sync.on_both_changed) it is only reported.")
        return self._fitted(decision, mine, side)

    def _fitted(self, decision: FieldDecision, value: Value, side: Side) -> FieldDecision:
        if is_empty(value) and decision.field in _NEVER_EMPTY:
            never = _never_empty(decision.field)
            return decision.reported(f"It cannot be written: {never.reason}", never)
        conversion = getattr(getattr(self._rules.fields, decision.field), f"to_{side}", "as_written")
        convert = to_quickbooks if side == "quickbooks" else to_salesforce
        converted = convert(decision.field, value, conversion, self._region)
        if not isinstance(converted, NotTaken) and is_empty(converted) and not is_empty(value):
            converted = _nothing_left(decision.field, value, side)
        if not isinstance(converted, NotTaken):
            refusal = (
                self._against_quickbooks(decision.field, converted)
                if side == "quickbooks"
                else self._against_salesforce(decision.field, converted)
            )
            if refusal is None:
                if decision.field == "parent" and side == "salesforce":
                    (converted,) = self._around.accounts_of[str(converted)]
                return replace(decision, value=converted)
        else:
            refusal = converted
        return decision.reported(f"It cannot be written: {refusal.reason}", refusal)

    def _against_quickbooks(self, name: str, value: Value) -> NotTaken | None:
        customer_id, around = self._customer["id"], self._around
        if len(around.accounts_of.get(customer_id, ())) > 1:
            return NotTaken(
                "customer_of_several_accounts",
                f"The customer {told(self._customer['display_name'])} belongs to several accounts, which may not agree.",
                "Change the customer in QuickBooks by hand, or link it to one account only with qbsf review.",
            )
        if not self._customer["sync_token"]:
            return NotTaken(
                "customer_without_version",
                f"QuickBooks told no version (SyncToken) of {told(self._customer['display_name'])}.",
                "Read customers anew; if it stays, change the customer in QuickBooks by hand.",
            )
        if name == "name":
            holders = around.holders(str(value), customer_id)
            return _name_taken(str(value), holders, around) if holders else None
        if name == "terms" and value is not None and around.term(str(value)) is None:
            known = ", ".join(term.name for term in around.terms) or "none"
            return NotTaken(
                "terms_unknown",
                f"QuickBooks has no active term {told(value)}.",
                f"Choose one that it has ({known}) on the account, or create the term in QuickBooks.",
            )
        if name == "active" and value is False:
            balance = around.open_balance(customer_id)
            if balance != 0:
                open_text = "balances that were not told" if balance is None else f"an open balance of {balance:,.2f}"
                return NotTaken(
                    "open_balance",
                    f"The customer has {open_text}, itself or below it, and is never made inactive so.",
                    "Settle what is open in QuickBooks, or make the account active again.",
                )
        if name == "parent":
            return self._against_parent(str(value))
        return None

    def _against_parent(self, parent_id: str) -> NotTaken | None:
        around, customer_id = self._around, self._customer["id"]
        parent = around.customers.get(parent_id)
        remedy = "Correct the parent account in Salesforce, or move the customer in QuickBooks by hand."
        if parent is None:
            return NotTaken("parent_not_found", f"QuickBooks has no customer {parent_id} to be the parent.", remedy)
        if parent_id == customer_id or parent_id in around.descendants(customer_id):
            return NotTaken("parent_is_below", f"{told(parent['display_name'])} is the customer itself or below it.", remedy)
        mine, theirs = ((row["currency"] or around.home_currency) for row in (self._customer, parent))
        if mine and theirs and mine != theirs:
            return NotTaken("parent_in_other_currency", f"The parent customer is billed in {theirs}, this one in {mine}.", remedy)
        depth = max((around.level(one) for one in around.descendants(customer_id)), default=around.level(customer_id))
        if around.level(parent_id) + 1 + depth - around.level(customer_id) > _MOST_LEVELS:
            return NotTaken("parent_too_deep", "QuickBooks allows five levels of customers, and this would be a sixth.", remedy)
        return None

    def _against_salesforce(self, name: str, value: Value) -> NotTaken | None:
        around = self._around
        if name == "parent":
            owners = around.accounts_of.get(str(value), ())
            if len(owners) != 1:
                return NotTaken(
                    "parent_without_account",
                    f"The parent customer {value} belongs to {'no' if not owners else 'more than one'} account.",
                    "Link the parent customer to its account with qbsf review.",
                )
        if len(self._siblings) < 2:
            return None
        rows = [around.customers[one] for one in self._siblings if one != self._customer["id"]]
        held = [customer_values(row, around.term_names, around.home_currency, (name,))[name] for row in rows]
        held = [one for one in (*held, self._quickbooks[name]) if not is_empty(one)]
        if any(not self._same(name, one, held[0]) for one in held) or (held and is_empty(value)):
            return NotTaken(
                "customers_differ",
                f"The account has several customers, and their {LABELS[name]} differ: "
                f"{', '.join(dict.fromkeys(told(one) for one in (*held, *([None] if is_empty(value) else []))))}.",
                f"Give them the same {LABELS[name]} in QuickBooks, or set customers.fields.{name}.report_only.",
            )
        return None

    def _held_where_inactive(self, decisions: list[FieldDecision]) -> list[FieldDecision]:
        """An inactive customer is left alone, unless it is made active by the same write."""
        if self._customer["active"] is not False:
            return decisions
        if any(one.field == "active" and one.written_side == "quickbooks" and one.value is True for one in decisions):
            return decisions
        return [
            one.reported("The customer is inactive in QuickBooks, so it is only reported.")
            if one.written_side == "quickbooks"
            else one
            for one in decisions
        ]

    # Comparing

    def _same(self, name: str, one: Value, other: Value) -> bool:
        """Whether two values of one side mean the same."""
        if one == other:
            return True
        compare = getattr(getattr(self._rules.fields, name), "compare", ())
        return meaning(one, compare, self._region) == meaning(other, compare, self._region)

    def _agree(self, name: str, ours: Value, theirs: Value) -> bool:
        """Whether Salesforce's and QuickBooks' value mean the same, or the one is how the other is spelt there."""
        if self._same(name, ours, theirs):
            return True
        if is_empty(ours) or is_empty(theirs):
            return False
        fields = self._rules.fields
        rule: FieldRules = getattr(fields, name)
        by_salesforce = rule.owner == "salesforce"
        if name == "email" and "email" in fields.email.compare:
            mine, others = (ours, theirs) if by_salesforce else (theirs, ours)
            named = mailboxes_meant(mine)
            if named and named <= mailboxes_meant(others):
                return True
        conversion = getattr(rule, "to_quickbooks" if by_salesforce else "to_salesforce", "as_written")
        if by_salesforce:
            wanted, found = to_quickbooks(name, ours, conversion, self._region), theirs
        else:
            wanted, found = to_salesforce(name, theirs, conversion, self._region), ours
        if isinstance(wanted, NotTaken):
            return False
        if self._same(name, wanted, found):
            return True
        return name == "name" and self._is_numbered(str(ours if not by_salesforce else wanted), str(theirs))

    def _is_numbered(self, name: str, display_name: str) -> bool:
        """Whether a customer has the account's name with a number behind it, because the plain one was taken."""
        suffix = self._rules.taken_name_suffix
        pattern = suffix if "{number}" in suffix else suffix + " {number}"
        before, _, after = pattern.partition("{number}")
        found = re.search(re.escape(before) + r"\d+" + re.escape(after) + "$", display_name)
        if found is None:
            return False
        ending = found.group()
        return self._same("name", texts.cut(name, DISPLAY_NAME_LENGTH - len(ending)) + ending, display_name)

    def _agreed_values(self, name: str) -> tuple[Value, Value] | None:
        stored = self._before.get(name)
        return None if stored is None else (decoded(name, stored[0]), decoded(name, stored[1]))

    def _agree_on(self, name: str, ours: Value, theirs: Value) -> None:
        """Take two values as agreed; stored anew only where they mean something else than what was agreed before."""
        now = (encoded(ours), encoded(theirs))
        before = self._before.get(name)
        if before is not None and (before[0], before[1]) == now:
            return
        agreed = self._agreed_values(name)
        if agreed is not None and self._same(name, ours, agreed[0]) and self._same(name, theirs, agreed[1]):
            return
        self._agreement[name] = now
        self._agreed_anew = True

    # Around the pair

    def _has_siblings(self, side: Side) -> bool:
        """Whether a write to ``side`` would go to one of several customers of the account."""
        return side == "quickbooks" and len(self._siblings) > 1

    def _accepted_sentence(self, label: str, owner_name: str) -> str:
        return f"The {label} differed when the two were linked. It is taken as meant until {owner_name} changes its own."

    def _parent_of_account(self) -> str | None:
        """The customer that the account's parent is billed as; a refusal where it cannot be told."""
        parent_id = self._account["parent_id"]
        if not parent_id:
            return None
        candidates = self._around.customers_of.get(parent_id, ())
        present = self._quickbooks["parent"]
        if present in candidates:
            return str(present)
        if len(candidates) > 1:
            currency = self._customer["currency"] or self._around.home_currency
            rows = [self._around.customers[one] for one in candidates]
            candidates = tuple(row["id"] for row in rows if (row["currency"] or self._around.home_currency) == currency)
        if len(candidates) == 1:
            return candidates[0]
        name = (self._around.accounts.get(parent_id) or {}).get("name") or parent_id
        self._refuse(
            "parent",
            NotTaken(
                "parent_without_customer",
                f"The parent account {told(name)} has {'several customers' if candidates else 'no customer'} in QuickBooks.",
                "Say with qbsf review which customer the parent account is.",
            ),
        )
        return None

    def _refuse(self, name: str, refusal: NotTaken) -> None:
        self._refusals.append((name, refusal))


def _name_taken(name: str, holders: frozenset[str], around: Circumstances) -> NotTaken:
    words = [f"the customer {told(around.customers[one]['display_name'])}" for one in sorted(holders) if one in around.customers]
    words += [f"a {one}" if one == "vendor" else f"an {one}" for one in sorted(holders) if one in ("vendor", "employee")]
    return NotTaken(
        "name_taken",
        f"QuickBooks cannot call the customer {told(name)}: {' and '.join(words) or 'another record'} has that name.",
        "Rename the other record in QuickBooks, or give the account a name of its own.",
    )


def _nothing_left(name: str, value: Value, side: Side) -> NotTaken:
    return NotTaken(
        "text_not_taken",
        f"Nothing of the {LABELS[name]} {told(value)} can be written to {SYSTEMS[side]}.",
        f"Correct the {LABELS[name]}.",
    )


def _never_empty(name: str) -> NotTaken:
    label = LABELS[name]
    return NotTaken("cannot_be_emptied", f"The {label} cannot be emptied.", f"Change the {label} by hand where it is needed.")


def _not_in_step(name: str) -> NotTaken:
    label = LABELS.get(name, name)
    return NotTaken(
        "field_not_in_step",
        f"A person wants a former {label} back, and the rules do not keep that field in step any more.",
        f"Change the {label} by hand." if name in FIELD_NAMES else "Dismiss the reversal.",
    )


def _unreadable(name: str) -> NotTaken:
    return NotTaken(
        "reversal_unreadable", f"The former {LABELS[name]} in the journal cannot be read.", f"Change the {LABELS[name]} by hand."
    )


def _contradicting(name: str, journal_ids: Sequence[str]) -> NotTaken:
    return NotTaken(
        "reversals_contradict",
        f"People want different former values of the {LABELS[name]} back ({', '.join(journal_ids)}).",
        f"Change the {LABELS[name]} by hand in the system that owns it.",
    )
