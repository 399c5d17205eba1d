"""Which writes a person has allowed. Pure: entries and decisions in, keys out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from qbsf_pipeline.state.ledger import LedgerEntry

#: What moves in no mode without a person's word on it.
ALWAYS_ASKED = frozenset({"change_schedule", "create_credit_memo", "take_over_recurring_template"})
#: What moves in every mode unless a person rejects it: it only keeps something from being billed.
NEVER_ASKED = frozenset({"delete_recurring_template"})


def batch_of(plan_ids: Iterable[str]) -> str:
    """The id of a whole plan: the same deals planned the same way give the same id, so an approval outlives the pass.

    >>> batch_of(["P-1", "P-2"]) == batch_of(["P-2", "P-1", "P-1"])
    True
    """
    return "B-" + hashlib.sha256(" ".join(sorted(set(plan_ids))).encode()).hexdigest()[:10]


def allowed_keys(entries: Sequence[LedgerEntry], decisions: Mapping[str, str], *, needs_approval: bool) -> frozenset[str]:
    """Keys of the entries that may be pushed.

    Args:
        entries: what is ready in the ledger.
        decisions: ``approved`` or ``rejected`` by plan id or by the id of the whole plan.
        needs_approval: whether nothing moves without a person (mode ``approve``), but :data:`NEVER_ASKED`. A rejection holds in
            every mode, and :data:`ALWAYS_ASKED` in every mode waits for an approval.

    What an approved write depends on (the customer that two deals share) is approved with it; a deal's own decision goes
    before that on the whole plan.
    """

    def decision(entry: LedgerEntry) -> str | None:
        return decisions.get(entry.plan_id) or decisions.get(entry.batch or "")

    def is_chosen(entry: LedgerEntry) -> bool:
        said = decision(entry)
        asked = entry.operation in ALWAYS_ASKED or (needs_approval and entry.operation not in NEVER_ASKED)
        return said == "approved" or (said is None and not asked)

    chosen = {entry.key for entry in entries if is_chosen(entry)}
    by_key = {entry.key: entry for entry in entries}
    waiting = list(chosen)
    while waiting:
        for key in by_key[waiting.pop()].depends_on:
            if key in by_key and key not in chosen:
                chosen.add(key)
                waiting.append(key)
    return frozenset(chosen)
