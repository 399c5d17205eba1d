"""The local QuickBooks on a socket, as the sandbox's own tests open it."""

from __future__ import annotations

from qbsf_pipeline_tests.sandbox.quickbooks.conftest import books, open_books, switchboard

__all__ = ["books", "open_books", "switchboard"]
