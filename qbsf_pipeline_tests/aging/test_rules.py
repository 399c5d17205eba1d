"""The rules of ageing: what is refused, and how."""

from __future__ import annotations

from pathlib import Path

import pytest

from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.settings import load_rules


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("buckets = []", "aging.buckets: "),
        ("buckets = [30, 30]", "aging.buckets: must be days that rise"),
        ("thresholds = [60, 30]", "aging.thresholds: must be days that rise"),
        ("thresholds = [0]", "aging.thresholds.0: "),
        ("reminders_after = [7, 3]", "aging.reminders_after: must be days that rise"),
        ('days_from = "today"', "aging.days_from: "),
        ('morning = "7 am"', "aging.morning: "),
        ("reminder_pause_days = 0", "aging.reminder_pause_days: "),
        ("task_from = -1", "aging.task_from: "),
        ("task_closed_status = ''", "aging.task_closed_status: "),
        ("remind = true", "aging.remind: there is no such key"),
    ],
)
def test_a_wrong_rule_is_one_line_that_names_it(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "rules.toml").write_text(f"[aging]\n{text}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as refused:
        load_rules(tmp_path / "rules.toml")
    (line,) = refused.value.problems
    assert line.startswith(problem)


def test_as_packaged_nobody_outside_is_mailed_and_no_task_is_made() -> None:
    rules = load_rules().aging
    assert (rules.reminders_after, rules.task_from, rules.buckets, rules.thresholds) == ((), 0, (30, 60, 90), (30, 60, 90))
