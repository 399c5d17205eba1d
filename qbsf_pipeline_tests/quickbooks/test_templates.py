from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.quickbooks import templates
from qbsf_pipeline.quickbooks.objects import ENTITIES, entities_for
from qbsf_pipeline.settings import load_rules

FORMS = st.dictionaries(
    st.sampled_from(["Id", "SyncToken", "RecurringInfo", "Line", "Größe", "PrivateNote"]), st.text() | st.none()
)


@given(st.sampled_from(templates.KINDS), FORMS)
def test_a_template_goes_back_as_it_came(kind: str, form: dict):
    assert templates.wrapped(templates.unwrapped({kind: form})) == {kind: form}


def test_what_stands_beside_the_form_is_kept():
    deleted = {"status": "Deleted", "domain": "QBO", "Invoice": {"Id": "1483"}}
    assert templates.unwrapped(deleted) == {"Type": "Invoice", "status": "Deleted", "domain": "QBO", "Id": "1483"}


@pytest.mark.parametrize("record", [{}, {"Id": "3", "Invoice": None}, {"Id": "4", "RecurringInfo": {"Name": "x"}}])
def test_what_is_not_wrapped_stays_and_is_taken_for_one_of_invoices(record: dict):
    assert templates.unwrapped(record) == record
    assert set(templates.wrapped(record)) == {"Invoice"}


def test_a_reference_names_id_and_version_only():
    template = {"Type": "Invoice", "Id": "7", "SyncToken": "3", "Line": []}
    assert templates.reference(template) == {"Invoice": {"Id": "7", "SyncToken": "3"}}


@pytest.mark.parametrize(
    ("changes", "read"), [({}, False), ({"bill_by": "template"}, True), ({"bill_by": "template", "enabled": False}, False)]
)
def test_templates_are_read_only_where_deals_are_billed_by_them(changes: dict, read: bool):
    rules = load_rules()
    chosen = rules.model_copy(update={"recurring": rules.recurring.model_copy(update=changes)})
    names = [entity.name for entity in entities_for(chosen)]
    assert names[: len(ENTITIES)] == [entity.name for entity in ENTITIES]
    assert (templates.ENTITY in names) is read
