"""Agreements on billing schedules are kept for ever, and two can never be the same version."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qbsf_pipeline.state.billing_schedules import AgreedSchedule, ScheduleConflict
from qbsf_pipeline_tests.state.conftest import NOW

FIRST = AgreedSchedule("006000000000001AAA", 1, 1, '{"periods":[]}', (), "12 invoices", "rules")


def test_every_version_is_kept_and_saying_one_again_changes_nothing(state):
    second = replace(FIRST, version=2, schedule='{"why":"O\'Hara \u2013 größer"}', missed=(3, 1), agreed_by="pat")
    assert state.billing_schedules.agree([FIRST, second], NOW) == 2
    assert state.billing_schedules.agree([FIRST, second], NOW) == 0
    assert state.billing_schedules.all() == [FIRST, replace(second, missed=(1, 3))]


def test_another_schedule_cannot_take_a_version_that_is_there(state):
    state.billing_schedules.agree([FIRST], NOW)
    with pytest.raises(ScheduleConflict, match="006000000000001AAA"):
        state.billing_schedules.agree([replace(FIRST, version=2), replace(FIRST, schedule="{}")], NOW)
    assert state.billing_schedules.all() == [FIRST]
