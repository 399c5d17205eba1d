"""The audit: everything that is wrong with the records of both systems, and how ready each system is.

Pure: frames and rules in, findings out; no clock, no network. Each group of findings has its own module.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from qbsf_pipeline.cleansing import billing, duplicates, references, written_values
from qbsf_pipeline.cleansing.findings import Finding, System, without_repetition
from qbsf_pipeline.cleansing.records import AuditInputs, Records
from qbsf_pipeline.cleansing.score import Score, scores
from qbsf_pipeline.settings import Rules

__all__ = ["Audit", "AuditInputs", "audit"]


@dataclass(frozen=True)
class Audit:
    """What an audit found: findings, the worst first, each id once; and the score of each system."""

    findings: Sequence[Finding]
    scores: Mapping[System, Score]


def audit(inputs: AuditInputs, rules: Rules, as_of: date, own_domains: Iterable[str] = (), go_live: date | None = None) -> Audit:
    """Look at every record of both systems.

    Args:
        as_of: today; invoices of the year before it show that a customer is in use.
        own_domains: e-mail domains of the org's own users, which tell no customer.
        go_live: deals won before it are never invoiced, so that nothing is asked of them.
    """
    records = Records(inputs, rules, as_of, go_live)
    found = [
        *billing.unbillable_accounts(records),
        *billing.terms(records),
        *billing.products_and_items(records),
        *billing.currencies(records),
        *billing.contacts_without_email(records),
        *references.stored_customer_ids(records),
        *references.unmatched_accounts(records),
        *references.balances_without_account(records),
        *references.inactive_in_use(records),
        *references.hierarchies(records),
        *duplicates.duplicates(records, own_domains),
        *duplicates.shared_names(records),
        *written_values.written_values(records),
    ]
    findings = without_repetition(found)
    return Audit(findings, scores(records, findings))
