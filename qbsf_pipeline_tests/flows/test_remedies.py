"""A refusal in words: what was refused, the service's own reason, its code, and what to do."""

from __future__ import annotations

import pytest

from qbsf_pipeline.flows.remedies import explain, remedy
from qbsf_pipeline_tests.flows.test_approval import entry


@pytest.mark.parametrize(
    ("operation", "code", "message", "text"),
    [
        (
            "create_invoice",
            "6070",
            "Amount is not equal to UnitPrice * Qty. ",
            "QuickBooks refused the invoice: Amount is not equal to UnitPrice * Qty (code 6070).",
        ),
        (
            "create_customer",
            "6240",
            "The name supplied already exists.",
            "QuickBooks refused to create the customer: The name supplied already exists (code 6240).",
        ),
        (
            "send_invoice",
            "6420",
            "",
            "The invoice stands in QuickBooks, but it could not be e-mailed: no reason given (code 6420).",
        ),
        (
            "write_back_opportunity",
            "FIELD_CUSTOM_VALIDATION_EXCEPTION",
            "Ask Dana",
            "The invoice stands in QuickBooks, but Salesforce refused to store it on the deal: Ask Dana "
            "(code FIELD_CUSTOM_VALIDATION_EXCEPTION).",
        ),
        ("something_new", "1", "No", "It was refused: No (code 1)."),
    ],
)
def test_a_refusal_says_what_was_refused_why_and_its_code(operation: str, code: str, message: str, text: str) -> None:
    assert explain(entry(operation=operation), code, message) == text


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("6210", "closing date"),
        ("6240", "qbsf review"),
        ("2500", "inactive or gone"),
        ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "validation rule"),
        ("DUPLICATE_VALUE", "merge them"),
        ("a code never seen", "qbsf failures retry"),
    ],
)
def test_each_refusal_comes_with_something_to_do(code: str, word: str) -> None:
    assert word in remedy(code)
    assert remedy(code).endswith(".")
