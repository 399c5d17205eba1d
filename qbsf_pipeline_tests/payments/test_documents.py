"""The documents behind a status, from the raw tables."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from qbsf_pipeline.payments.documents import documents
from qbsf_pipeline.payments.tables import DOCUMENTS
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline_tests.invoices.records import frame

AT = datetime(2026, 11, 3, tzinfo=UTC)


def test_every_kind_of_document_is_one_of_its_conditions():
    found = documents(
        frame(
            quickbooks.INVOICE,
            [
                {"id": "1", "doc_number": "1001", "total": Decimal(5), "source_modified_at": AT},
                {"id": "2", "doc_number": None, "total": Decimal(0), "private_note": "VOIDED - was wrong"},
                {"id": "3", "doc_number": "1003", "total": Decimal(0), "private_note": "free of charge"},
            ],
        ),
        frame(
            quickbooks.PAYMENT,
            [
                {"id": "4", "reference": "CHK-1", "total": Decimal(5), "is_deleted": True, "created_at": AT},
                {"id": "5", "total": Decimal(0), "private_note": " Voided"},
                {"id": "6", "total": None, "private_note": "Voided"},
            ],
        ),
        frame(quickbooks.CREDIT_MEMO, [{"id": "7", "doc_number": "CM-1"}]),
        frame(quickbooks.DEPOSIT, [{"id": "8"}]),
        frame(quickbooks.JOURNAL_ENTRY, [{"id": "9", "doc_number": "JE-1", "is_deleted": True}]),
    )
    assert found.schema == DOCUMENTS
    assert found.select("document", "id", "number", "condition").rows() == [
        ("invoice", "1", "1001", "live"),
        ("invoice", "2", None, "voided"),
        ("invoice", "3", "1003", "live"),
        ("payment", "4", "CHK-1", "deleted"),
        ("payment", "5", None, "voided"),
        ("payment", "6", None, "live"),
        ("credit_memo", "7", "CM-1", "live"),
        ("deposit", "8", None, "live"),
        ("journal_entry", "9", "JE-1", "deleted"),
    ]
    assert found.row(0, named=True)["changed_at"] == AT
    assert found.row(3, named=True)["created_at"] == AT
