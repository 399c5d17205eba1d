"""A strict local QuickBooks Online: the Accounting API and Intuit's OAuth, as far as this project can tell.

What it copies, and where that is known from, is `shared/api/quickbooks.md`. Where documents are silent it refuses.
"""

from __future__ import annotations

from qbsf_pipeline.sandbox.quickbooks.faults import QuickBooksFault, server_error, throttled, token_expired
from qbsf_pipeline.sandbox.quickbooks.oauth import expire_access_tokens
from qbsf_pipeline.sandbox.quickbooks.options import QuickBooksOptions
from qbsf_pipeline.sandbox.quickbooks.seed import (
    behave,
    income_account,
    mail,
    receive_payment,
    run_recurring,
    seed_company,
    state,
    upsert_objects,
    void_invoice,
)
from qbsf_pipeline.sandbox.quickbooks.service import routes

__all__ = [
    "QuickBooksFault",
    "QuickBooksOptions",
    "behave",
    "expire_access_tokens",
    "income_account",
    "mail",
    "receive_payment",
    "routes",
    "run_recurring",
    "seed_company",
    "server_error",
    "state",
    "throttled",
    "token_expired",
    "upsert_objects",
    "void_invoice",
]
