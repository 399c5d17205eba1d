"""The four kinds of trouble with a service, and what each of them says."""

from __future__ import annotations

import pytest

from qbsf_pipeline import errors


@pytest.mark.parametrize("kind", [errors.ServiceUnavailable, errors.OutcomeUnknown, errors.AccessRefused, errors.RecordRefused])
def test_each_kind_names_the_system_the_code_and_the_services_own_words(kind: type[errors.ServiceError]) -> None:
    error = kind("quickbooks", "6240", "Duplicate Name Exists Error", request_reference="1-abc")
    assert str(error) == "quickbooks: 6240: Duplicate Name Exists Error"
    assert error.request_reference == "1-abc"


def test_what_may_be_repeated_and_what_may_not_never_catch_each_other() -> None:
    kinds = (errors.ServiceUnavailable, errors.OutcomeUnknown, errors.AccessRefused, errors.RecordRefused)
    assert all(not issubclass(one, other) for one in kinds for other in kinds if one is not other)
    assert issubclass(errors.StaleRecord, errors.RecordRefused)


def test_a_refused_record_names_its_field() -> None:
    assert errors.RecordRefused("salesforce", "REQUIRED_FIELD_MISSING", "Name", field="Name").field == "Name"


def test_wrong_settings_are_one_line_each() -> None:
    assert str(errors.ConfigurationError(["A: is missing", "B: is wrong"])) == "A: is missing\nB: is wrong"
