"""Months as people write them, business days, and which months a report is due for."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.reconciliation.months import after, before, due_at, due_months, first_business_day, key_of, month_of

DENVER = ZoneInfo("America/Denver")
AT = "07:00"


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=DENVER)


def due(now: str, made: dict[str, str] | None = None, since: str | None = None, *holidays: str) -> list[str]:
    last = {month_of(month): moment(at) for month, at in (made or {}).items()}
    first = moment(since) if since else min(last.values(), default=None)
    return [key_of(month) for month in due_months(moment(now).astimezone(UTC), last, first, AT, holidays, DENVER)]


@pytest.mark.parametrize("text", ["2026-03", " 2026-03 ", "2010-01", "9999-12"])
def test_a_month_is_read_as_people_write_it(text: str) -> None:
    assert key_of(month_of(text)) == text.strip()


NO_MONTHS = ["", "2026-3", "2026-13", "2026-00", "March", "2026-03-01", "\uff12\uff10\uff12\uff16-03", "0000-01", "2009-12"]


@pytest.mark.parametrize("text", NO_MONTHS)
def test_what_is_no_month_is_one_line_that_shows_what_was_found(text: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        month_of(text)
    (line,) = error.value.problems
    assert line.startswith("--month: ")
    assert line.endswith(f"found {text!r}")


@pytest.mark.parametrize(
    ("month", "holidays", "day"),
    [
        ("2026-04", (), "2026-04-01"),  # a Wednesday
        ("2026-08", (), "2026-08-03"),  # begins on a Saturday
        ("2026-11", (), "2026-11-02"),  # begins on a Sunday
        ("2026-01", ("01-01",), "2026-01-02"),
        ("2027-01", ("01-01",), "2027-01-04"),  # Friday is a holiday, the weekend follows
        ("2026-04", ("2026-04-01", "2026-04-02"), "2026-04-03"),
        ("2026-04", ("2025-04-01",), "2026-04-01"),  # of another year
    ],
)
def test_the_first_business_day_is_no_weekend_and_no_holiday(month: str, holidays: tuple[str, ...], day: str) -> None:
    assert first_business_day(month_of(month), holidays).isoformat() == day


@given(st.dates(min_value=date(2010, 1, 1), max_value=date(2100, 12, 31)))
def test_months_follow_each_other_without_gap(day: date) -> None:
    month = day.replace(day=1)
    assert before(after(month)) == month == after(before(month))
    assert (after(month) - timedelta(days=1)).month == month.month
    assert first_business_day(month, ()).weekday() < 5


def test_a_report_is_due_by_the_clock_of_the_company() -> None:
    assert due_at(month_of("2026-10"), AT, (), DENVER) == datetime(2026, 11, 2, 14, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "month", "over"),
    [
        # Clocks are put back or forward in the month: its end is not as many hours after its beginning as it has days.
        ("America/Denver", "2026-03", datetime(2026, 4, 1, 6, 0, tzinfo=UTC)),
        ("America/Denver", "2026-11", datetime(2026, 12, 1, 7, 0, tzinfo=UTC)),
        ("Europe/Berlin", "2026-03", datetime(2026, 3, 31, 22, 0, tzinfo=UTC)),
        ("Europe/Berlin", "2026-10", datetime(2026, 10, 31, 23, 0, tzinfo=UTC)),
        ("Australia/Lord_Howe", "2026-10", datetime(2026, 10, 31, 13, 0, tzinfo=UTC)),  # by half an hour
        ("Africa/Cairo", "2026-04", datetime(2026, 4, 30, 21, 0, tzinfo=UTC)),  # at midnight itself, six days before
    ],
)
def test_a_month_is_over_at_the_companys_midnight_also_where_its_clocks_were_changed(
    zone: str, month: str, over: datetime
) -> None:
    company, wanted = ZoneInfo(zone), month_of(month)
    instant = timedelta(microseconds=1)
    due = due_at(wanted, "00:00", (), company)
    assert over <= due <= over + timedelta(days=3)

    def due_again(now: datetime, made: datetime) -> list[str]:
        return [key_of(one) for one in due_months(now, {wanted: made}, None, "00:00", (), company)]

    # A report of the last instant of the month is not the last word, one of the first after it is.
    assert month not in due_again(due - instant, over - instant)
    assert due_again(due, over - instant) == [month]
    assert due_again(due, due) == []
    assert [before(at.astimezone(company).date()) == wanted for at in (over - instant, over)] == [False, True]


@pytest.mark.parametrize(
    ("now", "made", "since", "expected"),
    [
        # Nothing was ever made: the last month, from the first business day on.
        ("2026-11-02T06:59", {}, None, []),
        ("2026-11-02T07:00", {}, None, ["2026-10"]),
        ("2026-11-28T12:00", {}, None, ["2026-10"]),
        # It was made since it was due.
        ("2026-11-28T12:00", {"2026-10": "2026-11-02T07:10"}, None, []),
        # It was made while the month ran, or on the Sunday before: that is not the last word.
        ("2026-11-02T08:00", {"2026-10": "2026-11-01T12:00"}, None, ["2026-10"]),
        # Nobody was there for two months.
        ("2026-11-05T12:00", {"2026-07": "2026-08-03T08:00"}, None, ["2026-08", "2026-09", "2026-10"]),
        # One of them was looked at by hand in between.
        ("2026-11-05T12:00", {"2026-07": "2026-08-03T08:00", "2026-09": "2026-10-09T08:00"}, None, ["2026-08", "2026-10"]),
        # Old months that somebody asks for today do not make those between them due.
        ("2026-11-05T12:00", {"2024-01": "2026-11-04T08:00"}, None, ["2026-10"]),
        # A stand-still of years is not made up for whole.
        ("2029-01-20T12:00", {"2026-07": "2026-08-03T08:00"}, None, [f"2028-{month:02d}" for month in range(1, 13)]),
    ],
)
def test_every_month_that_was_missed_is_due_and_no_other(
    now: str, made: dict[str, str], since: str | None, expected: list[str]
) -> None:
    assert due(now, made, since) == expected


def test_a_holiday_moves_the_day() -> None:
    assert due("2026-11-02T12:00", {}, None, "2026-11-02") == []
    assert due("2026-11-03T07:00", {}, None, "2026-11-02") == ["2026-10"]
