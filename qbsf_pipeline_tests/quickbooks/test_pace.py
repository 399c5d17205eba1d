from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbsf_pipeline.quickbooks.pace import MINUTE, SECOND, Pace


class FakeTime:
    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def sent_times(limits: tuple[int, int, int], calls: list[tuple[float, bool]]) -> list[tuple[float, bool]]:
    time = FakeTime()
    pace = Pace(*limits, clock=time.clock, sleep=time.sleep)
    sent = []
    for pause, batch in calls:
        time.now += pause
        pace.wait(batch)
        sent.append((time.now, batch))
    return sent


CALLS = st.lists(st.tuples(st.sampled_from([0.0, 0.01, 0.3, 1.0, 7.0]), st.booleans()), max_size=120)
LIMITS = st.tuples(st.integers(1, 10), st.integers(1, 40), st.integers(1, 8))


@given(LIMITS, CALLS)
def test_no_window_ever_holds_more_calls_than_its_limit(limits, calls):
    sent = sent_times(limits, calls)
    windows = [(SECOND, limits[0], False), (MINUTE, limits[1], False), (MINUTE, limits[2], True)]
    for length, limit, only_batches in windows:
        times = [at for at, batch in sent if batch or not only_batches]
        for earlier, later in zip(times, times[limit:], strict=False):
            assert later - earlier >= length - 1e-6


@given(LIMITS, CALLS)
def test_a_call_waits_only_when_a_window_is_full(limits, calls):
    asked = 0.0
    sent: list[tuple[float, bool]] = []
    for (at, batch), (pause, _) in zip(sent_times(limits, calls), calls, strict=True):
        asked = (sent[-1][0] if sent else 0.0) + pause
        reasons = [0.0]
        windows = [(SECOND, limits[0], False), (MINUTE, limits[1], False), (MINUTE, limits[2], True)]
        for length, limit, only_batches in windows:
            if only_batches and not batch:
                continue
            times = [t for t, b in sent if b or not only_batches]
            if len(times) >= limit:
                reasons.append(times[-limit] + length)
        assert at <= max(asked, *reasons) + 1e-6
        sent.append((at, batch))


def test_threads_together_keep_the_limit():
    time_lock = threading.Lock()
    granted: list[float] = []
    pace = Pace(20, 500, 40)
    import time

    def work() -> None:
        for _ in range(5):
            pace.wait()
            with time_lock:
                granted.append(time.monotonic())

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(granted) == 30


@given(st.floats(0, 0.9), st.floats(0, 0.15))
def test_calls_that_arrive_late_still_keep_intuits_minute_and_second(first_late, others_late):
    time = FakeTime()
    pace = Pace(10, 500, 40, clock=time.clock, sleep=time.sleep)
    arrived = []
    for number in range(1200):
        pace.wait()
        arrived.append(time.now + (first_late if number == 0 else others_late if number % 7 == 0 else 0.0))
    behind_the_first = sorted(arrived[1:])
    arrived.sort()
    assert all(later - earlier >= 60.0 for earlier, later in zip(arrived, arrived[500:], strict=False))
    assert all(later - earlier >= 1.0 for earlier, later in zip(behind_the_first, behind_the_first[10:], strict=False))


def test_the_first_minute_lets_five_hundred_calls_through():
    time = FakeTime()
    pace = Pace(10, 500, 40, clock=time.clock, sleep=time.sleep)
    for _ in range(500):
        pace.wait()
    assert time.now < 60.0
    assert pace.free_in() > 0


@given(LIMITS, CALLS)
def test_what_is_told_beforehand_is_what_the_next_call_waits(limits, calls):
    time = FakeTime()
    pace = Pace(*limits, clock=time.clock, sleep=time.sleep)
    for pause, batch in calls:
        time.now += pause
        told, asked = pace.free_in(batch), time.now
        pace.wait(batch)
        assert time.now - asked == pytest.approx(told)


def test_a_limit_of_nothing_is_refused():
    with pytest.raises(ValueError):
        Pace(0, 500, 40)
