"""Which writes keep linked accounts and customers in step: the plan of the customers flow.

Pure: frames and rules in, frames out; no clock, no network, no randomness. What differs in one pair and whose value counts is
decided in :mod:`.deciding`; here the decisions of all pairs become at most one write for each record, with all its fields.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from qbsf_pipeline.customers.circumstances import (
    AGREEMENTS,
    LEDGER,
    PAIRS,
    REVERSALS,
    Circumstances,
    CustomerInputs,
    circumstances,
)
from qbsf_pipeline.customers.conversions import NotTaken
from qbsf_pipeline.customers.deciding import (
    Agreed,
    FieldDecision,
    PairDecision,
    Reversal,
    Side,
    decide_pair,
    updates,
)
from qbsf_pipeline.customers.fields import FIELD_NAMES, LABELS, as_json, told
from qbsf_pipeline.customers.matching.names import name_key
from qbsf_pipeline.flows.plans import plan_table
from qbsf_pipeline.money import parse_json, to_json
from qbsf_pipeline.settings import Rules
from qbsf_pipeline.warehouse.tables import TIMESTAMP, Column, TableSchema

__all__ = [
    "AGREEMENTS",
    "FIELD_DIFFERENCES",
    "FLOW",
    "LEDGER",
    "PAIRS",
    "PLAN",
    "REFUSALS",
    "REVERSALS",
    "Circumstances",
    "CustomerInputs",
    "CustomerParameters",
    "CustomerPlan",
    "PairDecision",
    "circumstances",
    "decide_pair",
    "plan_customers",
]

FLOW = "customers"

PLAN = plan_table(FLOW, "One row per customer or account that is to be changed, with all its fields")

FIELD_DIFFERENCES = TableSchema(
    FLOW,
    "field_differences",
    (
        Column("account_id", pl.String, "Salesforce account, 18 characters"),
        Column("account_name", pl.String, "Name of the account"),
        Column("customer_id", pl.String, "QuickBooks customer"),
        Column("customer_name", pl.String, "The customer as QuickBooks calls it"),
        Column("field", pl.String, f"One of {', '.join(FIELD_NAMES)}"),
        Column("owner", pl.String, "Side that owns the field by rule: salesforce or quickbooks"),
        Column("salesforce_value", pl.String, "Value in Salesforce (JSON); null when empty"),
        Column("quickbooks_value", pl.String, "Value in QuickBooks (JSON); null when empty"),
        Column("agreed_value", pl.String, "The owner's value when the two last agreed (JSON); null when never, or empty"),
        Column("winner", pl.String, "Side whose value counts: salesforce, quickbooks, or none where both keep theirs"),
        Column(
            "kind",
            pl.String,
            "owner_changed, put_back, both_changed, first_difference, report_only, kept or reversed by a person",
        ),
        Column("action", pl.String, "write, report (somebody should know; nothing is written) or keep (both sides as they are)"),
        Column("why", pl.String, "The decision as a sentence"),
        Column("write_key", pl.String, "Key of the write in customers.plan; null where nothing is written"),
        Column("journal_key", pl.String, "The same while both values stay the same, so that nothing is told twice"),
        Column("changed_by", pl.String, "Who changed the account last, where the change is on that side"),
        Column("changed_at", TIMESTAMP, "When the side with the change was changed last (UTC)"),
    ),
    ("account_id", "customer_id", "field"),
    "Every field in which a linked account and customer differ by meaning, and what follows",
)

REFUSALS = TableSchema(
    FLOW,
    "refusals",
    (
        Column("code", pl.String, "Stable code of the reason"),
        Column("account_id", pl.String, "The account"),
        Column("account_name", pl.String, "Its name"),
        Column("customer_id", pl.String, "The customer"),
        Column("customer_name", pl.String, "Its name"),
        Column("record_object", pl.String, "Customer or Account: the record that is not written"),
        Column("record_id", pl.String, "Its id"),
        Column("field", pl.String, "The field"),
        Column("reason", pl.String, "The reason as a sentence"),
        Column("remedy", pl.String, "What to do"),
    ),
    ("record_object", "record_id", "field", "code"),
    "What should be written to keep customers in step and cannot be, until a person does something",
)


@dataclass(frozen=True)
class CustomerParameters:
    """What a plan depends on beside records and rules.

    Attributes:
        as_of: today in the company's time zone.
        organization_id: the Salesforce org, part of keys.
        realm_id: the QuickBooks company, part of keys.
    """

    as_of: date
    organization_id: str
    realm_id: str


@dataclass(frozen=True)
class CustomerPlan:
    """The plan.

    Attributes:
        writes: of :data:`PLAN`.
        differences: of :data:`FIELD_DIFFERENCES`.
        refusals: of :data:`REFUSALS`.
        agreements: of :data:`AGREEMENTS`: pairs whose last agreement is to be stored anew, each with all its fields.
        carried_out: journal ids of reversals whose value has arrived.
        linked: how many pairs were compared.
    """

    writes: pl.DataFrame
    differences: pl.DataFrame
    refusals: pl.DataFrame
    agreements: pl.DataFrame
    carried_out: tuple[str, ...]
    linked: int


def plan_customers(inputs: CustomerInputs, rules: Rules, parameters: CustomerParameters) -> CustomerPlan:
    """Compare every linked account and customer, field by field, and plan what keeps them in step.

    Only a difference of meaning counts. The field's owner wins; what the other side had stands in ``differences``. Each record
    is written at most once, with all its fields. The key of a write names the version of the record that it was decided from,
    so that the same correction can be made again after another edit, and never twice for one. A write that the ledger has as
    done is not planned again while the pulled record still shows the version before it.

    A pair whose account or customer is deleted is not compared: what becomes of such a link is a question of matching.
    """
    if not rules.customers.sync.enabled:
        return CustomerPlan(PLAN.empty(), FIELD_DIFFERENCES.empty(), REFUSALS.empty(), pl.DataFrame(schema=AGREEMENTS), (), 0)
    desk = _Desk(inputs, circumstances(inputs, rules, parameters.as_of), parameters)
    desk.compare_all()
    desk.write_all()
    return CustomerPlan(
        writes=PLAN.frame(desk.writes),
        differences=FIELD_DIFFERENCES.frame(desk.differences),
        refusals=REFUSALS.frame(desk.refusals).unique(list(REFUSALS.key), keep="first", maintain_order=True),
        agreements=pl.DataFrame(desk.agreements, schema=AGREEMENTS, orient="row"),
        carried_out=tuple(dict.fromkeys(desk.carried_out)),
        linked=len(desk.compared),
    )


@dataclass
class _Compared:
    """A pair after it was compared."""

    account: Mapping[str, Any]
    customer: Mapping[str, Any]
    decisions: list[FieldDecision]
    refusals: list[tuple[str, NotTaken]]
    keys: dict[Side, str] = field(default_factory=dict)


class _Desk:
    """Compares each pair, then writes down what follows. One use."""

    def __init__(self, inputs: CustomerInputs, around: Circumstances, parameters: CustomerParameters) -> None:
        self._around = around
        self._parameters = parameters
        self._agreed = {
            (account_id, customer_id): values
            for account_id, customer_id, values in inputs.agreements.select("account_id", "customer_id", "values").iter_rows()
        }
        self._reversals: dict[tuple[str, str], list[Reversal]] = defaultdict(list)
        for row in inputs.reversals.sort("journal_id").iter_rows(named=True):
            reversal = Reversal(row["journal_id"], row["field"], row["value"], row["side"])
            self._reversals[row["account_id"], row["customer_id"]].append(reversal)
        self._done = _Done(inputs.ledger)
        self.compared: list[_Compared] = []
        self.writes: list[dict[str, Any]] = []
        self.differences: list[dict[str, Any]] = []
        self.refusals: list[dict[str, Any]] = []
        self.agreements: list[tuple[str, str, str]] = []
        self.carried_out: list[str] = []

    # First every pair is compared

    def compare_all(self) -> None:
        """Decide for each pair, in the order of accounts and customers."""
        around = self._around
        for account_id in sorted(around.customers_of):
            account = around.accounts[account_id]
            for customer_id in around.customers_of[account_id]:
                customer = around.customers[customer_id]
                pair = (account_id, customer_id)
                stored = self._agreed.get(pair)
                decided = decide_pair(
                    account,
                    around.contacts.get(account_id, ()),
                    customer,
                    _agreement(stored),
                    around,
                    self._reversals.pop(pair, ()),
                )
                self.compared.append(_Compared(account, customer, list(decided.decisions), list(decided.refusals)))
                self.carried_out += decided.carried_out
                if decided.agreed_anew or stored is None:
                    values = to_json({name: list(values) for name, values in decided.agreement.items()}, sort_keys=True)
                    self.agreements.append((account_id, customer_id, values))
        for (account_id, customer_id), reversals in self._reversals.items():
            self._refuse_orphans(account_id, customer_id, reversals)
        self._refuse_rival_names()
        self._refuse_rival_reversals()

    def _refuse_orphans(self, account_id: str, customer_id: str, reversals: Sequence[Reversal]) -> None:
        """Reversals of a pair that is no pair any more."""
        account = self._around.accounts.get(account_id) or {"id": account_id, "name": None}
        customer = self._around.customers.get(customer_id) or {"id": customer_id, "display_name": None}
        for reversal in reversals:
            label = LABELS.get(reversal.field, reversal.field)
            refusal = NotTaken(
                "reversal_of_no_link",
                f"A person wants a former {label} back ({reversal.journal_id}), but account and customer are linked no more.",
                f"Change the {label} by hand where it is needed.",
            )
            self._put_refusal(account, customer, reversal.field, refusal, reversal.side)

    def _refuse_rival_names(self) -> None:
        """Two customers that would get one name: neither gets it."""
        wanted: dict[str, list[tuple[_Compared, int]]] = defaultdict(list)
        for pair in self.compared:
            for place, decision in enumerate(pair.decisions):
                if decision.field == "name" and decision.written_side == "quickbooks":
                    wanted[name_key(str(decision.value))].append((pair, place))
        for rivals in wanted.values():
            if len({pair.customer["id"] for pair, _ in rivals}) < 2:
                continue
            for pair, place in rivals:
                decision = pair.decisions[place]
                refusal = NotTaken(
                    "name_taken",
                    f"Several customers would be called {told(decision.value)}, and QuickBooks takes a name only once.",
                    "Give the accounts different names.",
                )
                pair.decisions[place] = decision.reported(f"It cannot be written: {refusal.reason}", refusal)

    def _refuse_rival_reversals(self) -> None:
        """Values that would go into one field of an account from several customers, and differ: none of them goes."""
        wanted: dict[tuple[str, str], list[tuple[_Compared, int]]] = defaultdict(list)
        for pair in self.compared:
            for place, decision in enumerate(pair.decisions):
                if decision.written_side == "salesforce":
                    wanted[pair.account["id"], decision.field].append((pair, place))
        for (_, name), rivals in wanted.items():
            if len({pair.decisions[place].value for pair, place in rivals}) < 2:
                continue
            kinds = {pair.decisions[place].kind for pair, place in rivals}
            if "reversed" not in kinds:
                # The same meaning in two spellings: the first spelling stands for all.
                first = rivals[0][0].decisions[rivals[0][1]].value
                for pair, place in rivals:
                    pair.decisions[place] = replace(pair.decisions[place], value=first)
                continue
            for pair, place in rivals:
                refusal = NotTaken(
                    "reversals_contradict",
                    f"Several customers of the account would each give it another {LABELS[name]}.",
                    f"Change the {LABELS[name]} of the account by hand.",
                )
                pair.decisions[place] = pair.decisions[place].reported(f"It cannot be written: {refusal.reason}", refusal)

    # Then what follows is written down

    def write_all(self) -> None:
        """Rows of the plan, one for each record, then the differences with the keys of their writes."""
        accounts: dict[str, list[_Compared]] = defaultdict(list)
        for pair in self.compared:
            if any(decision.written_side == "quickbooks" for decision in pair.decisions):
                self._write_customer(pair)
            if any(decision.written_side == "salesforce" for decision in pair.decisions):
                accounts[pair.account["id"]].append(pair)
        for pairs in accounts.values():
            self._write_account(pairs)
        for pair in self.compared:
            for name, refusal in pair.refusals:
                self._put_refusal(pair.account, pair.customer, name, refusal, None)
            for decision in pair.decisions:
                self._put_difference(pair, decision)

    def _write_customer(self, pair: _Compared) -> None:
        mine = [decision for decision in pair.decisions if decision.written_side == "quickbooks"]
        fields, _ = updates(mine, self._around)
        customer_id, token = pair.customer["id"], str(pair.customer["sync_token"])
        key = f"update_customer:{self._parameters.realm_id}:{customer_id}:{token}:{_content(fields)}"
        if self._done.was_lost(key):
            refusal = NotTaken(
                "not_kept",
                f"QuickBooks took the change of {told(pair.customer['display_name'])} and did not keep it.",
                "Change the customer in QuickBooks by hand, or set report_only for the field.",
            )
            self._withdraw(pair, "quickbooks", refusal)
            return
        pair.keys["quickbooks"] = key
        body = {"Id": customer_id, "SyncToken": token, "sparse": True, **fields}
        self._put_write("update_customer", "Customer", key, body, mine, pair)

    def _write_account(self, pairs: Sequence[_Compared]) -> None:
        first = pairs[0]
        mine = [decision for pair in pairs for decision in pair.decisions if decision.written_side == "salesforce"]
        _, fields = updates(mine, self._around)
        account_id = first.account["id"]
        key = (
            f"update_account:{self._parameters.organization_id}:{account_id}:"
            f"{_stamp(first.account['source_modified_at'])}:{_content(fields)}"
        )
        changed = any(decision.kind in ("owner_changed", "first_difference") for decision in mine)
        if changed and self._done.was_lost(key):
            refusal = NotTaken(
                "not_kept",
                f"Salesforce took the change of {told(first.account['name'])} and did not keep it.",
                "Look for an automation in Salesforce that changes the field, or set report_only for the field.",
            )
            for pair in pairs:
                self._withdraw(pair, "salesforce", refusal)
            return
        for pair in pairs:
            pair.keys["salesforce"] = key
        self._put_write("update_account", "Account", key, {"Id": account_id, **fields}, mine, first)

    def _withdraw(self, pair: _Compared, side: Side, refusal: NotTaken) -> None:
        pair.decisions[:] = [
            decision.reported(f"It cannot be written: {refusal.reason}", refusal) if decision.written_side == side else decision
            for decision in pair.decisions
        ]

    def _put_write(
        self,
        operation: str,
        target_object: str,
        key: str,
        body: Mapping[str, Any],
        decisions: Sequence[FieldDecision],
        pair: _Compared,
    ) -> None:
        if self._done.holds(key):
            # Carried out, and the record was not read since.
            return
        payload = to_json(body)
        to_customer = target_object == "Customer"
        self.writes.append(
            {
                "plan_id": f"P-{_hash(f'{key} {payload}')[:10]}",
                "position": 1,
                "flow": FLOW,
                "operation": operation,
                "target_system": "quickbooks" if to_customer else "salesforce",
                "target_object": target_object,
                "key": key,
                "depends_on": "",
                "source_object": "Account" if to_customer else "Customer",
                "source_id": pair.account["id"] if to_customer else pair.customer["id"],
                "account_id": pair.account["id"],
                "payload": payload,
                "reason": " ".join(dict.fromkeys(decision.why for decision in decisions)),
                "decided_from": _hash(f"{key}\n{payload}"),
                "label": pair.account["name"],
                "customer_name": pair.customer["display_name"],
            }
        )

    def _put_difference(self, pair: _Compared, decision: FieldDecision) -> None:
        side = decision.written_side
        write_key = pair.keys.get(side) if side is not None else None
        changed_by, changed_at = self._change(pair, decision)
        ours, theirs = as_json(decision.salesforce), as_json(decision.quickbooks)
        # What was reported and is written now is another event; and after each write of the record the same two values are one
        # too, for somebody changed the field once more.
        event = self._done.before(write_key) if write_key is not None else None
        journal_key = [pair.account["id"], pair.customer["id"], decision.field, ours, theirs, event]
        self.differences.append(
            {
                "account_id": pair.account["id"],
                "account_name": pair.account["name"],
                "customer_id": pair.customer["id"],
                "customer_name": pair.customer["display_name"],
                "field": decision.field,
                "owner": decision.owner,
                "salesforce_value": ours,
                "quickbooks_value": theirs,
                "agreed_value": as_json(decision.agreed),
                "winner": decision.winner,
                "kind": decision.kind,
                "action": decision.action,
                "why": decision.why,
                "write_key": write_key,
                "journal_key": f"{decision.field}:{_hash(to_json(journal_key))[:32]}",
                "changed_by": changed_by,
                "changed_at": changed_at,
            }
        )
        if decision.refusal is not None:
            target: Side | None = None
            if decision.winner != "none":
                target = "quickbooks" if decision.winner == "salesforce" else "salesforce"
            self._put_refusal(pair.account, pair.customer, decision.field, decision.refusal, target)

    def _change(self, pair: _Compared, decision: FieldDecision) -> tuple[str | None, datetime | None]:
        """Who changed the side on which something happened, and when: the last change of the record as a whole."""
        owner = decision.owner
        other: Side = "quickbooks" if owner == "salesforce" else "salesforce"
        side = {"owner_changed": owner, "put_back": other, "both_changed": other}.get(decision.kind)
        if decision.kind == "kept":
            side = owner if as_json(decision.salesforce if owner == "salesforce" else decision.quickbooks) is None else other
        if side == "salesforce":
            return self._around.users.get(pair.account["last_modified_by_id"] or ""), pair.account["source_modified_at"]
        return (None, pair.customer["source_modified_at"]) if side == "quickbooks" else (None, None)

    def _put_refusal(
        self, account: Mapping[str, Any], customer: Mapping[str, Any], name: str, refusal: NotTaken, target: Side | None
    ) -> None:
        to_account = target == "salesforce"
        self.refusals.append(
            {
                "code": refusal.code,
                "account_id": account["id"],
                "account_name": account["name"],
                "customer_id": customer["id"],
                "customer_name": customer["display_name"],
                "record_object": "Account" if to_account else "Customer",
                "record_id": account["id"] if to_account else customer["id"],
                "field": name,
                "reason": refusal.reason,
                "remedy": refusal.remedy,
            }
        )


class _Done:
    """What the ledger has carried out, by record and version."""

    def __init__(self, ledger: pl.DataFrame) -> None:
        done = ledger.filter(pl.col("status") == "done").get_column("key").to_list()
        self._keys = frozenset(done)
        self._by_record: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for key in done:
            record, version, content = _split(key)
            self._by_record[record].append((version, content))

    def holds(self, key: str) -> bool:
        """Whether this very write is done."""
        return key in self._keys

    def before(self, key: str) -> int:
        """How many writes of the same record were carried out on other versions than the one of ``key``."""
        record, version, _ = _split(key)
        return sum(1 for one, _ in self._by_record.get(record, ()) if one != version)

    def was_lost(self, key: str) -> bool:
        """Whether the same fields were written in the last writes of the record, and do not stand there.

        For QuickBooks the version of the record tells that nobody touched it since the write. For Salesforce, whose versions are
        instants, three same writes in a row tell it.
        """
        record, version, content = _split(key)
        written = sorted(
            (one for one in self._by_record.get(record, ()) if one[0] != version), key=lambda one: (len(one[0]), one[0])
        )
        if not written:
            return False
        if key.startswith("update_customer:"):
            before, last = written[-1]
            return last == content and before.isdigit() and version.isdigit() and int(version) == int(before) + 1
        return len(written) >= 3 and all(one == content for _, one in written[-3:])


def _agreement(stored: str | None) -> Mapping[str, Agreed]:
    if not stored:
        return {}
    found: Mapping[str, Agreed] = parse_json(stored)
    return found


def _split(key: str) -> tuple[str, str, str]:
    """A key as record, version and content."""
    record, version, content = (*key.rsplit(":", 2), "", "")[:3]
    return record, version, content


def _stamp(at: datetime | None) -> str:
    return at.astimezone(UTC).strftime("%Y%m%dT%H%M%S%fZ") if at is not None else "unknown"


def _content(fields: Mapping[str, Any]) -> str:
    return _hash(to_json(fields, sort_keys=True))[:12]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
