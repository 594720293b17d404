"""Is the cause of a planted stall named, and is it unknown where nothing that was counted explains it?"""

import mmap
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hftlab
from hftlab.experiments.causes import Cause, Counters, Evidence, ages, record
from hftlab.measurement import system
from hftlab.measurement.affinity import cpu_affinity
from hftlab.stages.book import Book

#: Messages between two planted stalls, and how many are planted.
APART, PLANTED = 400, 100
FEED = hftlab.synthetic(messages=APART * (PLANTED + 1))
WAIT_NS = 3_000_000


def sleep() -> None:
    time.sleep(WAIT_NS / 1e9)


def fault() -> None:
    """Touch fresh pages, which the system must find and clear."""
    with mmap.mmap(-1, 4_096 * mmap.PAGESIZE) as fresh:
        for page in range(0, len(fresh), mmap.PAGESIZE):
            fresh[page] = 1


def spin() -> None:
    end = time.perf_counter_ns() + WAIT_NS
    while time.perf_counter_ns() < end:
        pass


def planted(act: Callable[[], None], grow: float = 0) -> type:
    """A book that stalls in every 400th message; grow: the share that its memory is larger by after each of them."""

    class Stalling(Book):
        seen, extra = 0, 0

        def apply(self, *event: int) -> int:
            self.seen += 1
            if self.seen % APART == 0:
                act()
                self.extra += int(grow * (self.extra + (1 << 20)))
            return super().apply(*event)

        def memory(self) -> dict[str, int]:
            memory = super().memory()
            return {**memory, "level_bytes": memory["level_bytes"] + self.extra}

    return Stalling


def causes(book: type) -> Counter[Cause]:
    """What is said of the planted messages, which are among the slowest."""
    with cpu_affinity(max(system.affinity()), realtime=True):
        captures, evidence = record(hftlab.Engine("python", book=book), FEED, 4 * PLANTED)
    found: Counter[Cause] = Counter()
    for capture in captures:
        row = capture.stamps[capture.at - capture.first]
        if (capture.at + 1) % APART == 0:
            found[evidence[capture.at].cause(float(row[4] - row[0]))] += 1
    return found


@pytest.mark.parametrize(
    ("act", "grow", "cause"),
    [(sleep, 0, Cause.SWITCH), (fault, 0, Cause.FAULT), (spin, 0.5, Cause.GROWTH), (spin, 0, Cause.UNKNOWN)],
    ids=["sleep", "fault", "growth", "spin"],
)
def test_nine_of_ten_planted_stalls_are_named_rightly(act: Callable[[], None], grow: float, cause: Cause) -> None:
    """Where no real-time priority is to be had, another thread may take the core for most of a stall: its cause then, truly."""
    found = causes(planted(act, grow))
    assert sum(found.values()) >= 0.8 * PLANTED
    taken = 0 if cause is Cause.SWITCH else found[Cause.SWITCH]
    assert taken <= PLANTED / 2
    assert found[cause] >= 0.9 * (sum(found.values()) - taken), found


@pytest.mark.parametrize(
    ("evidence", "excess_ns", "cause"),
    [
        (Evidence(waited_ns=900_000, switches=1, off_core_ns=900_000), 1e6, Cause.QUEUEING),
        (Evidence(grown_bytes=1 << 20, memory_bytes=1 << 20, faults=200), 1e6, Cause.GROWTH),
        (Evidence(grown_bytes=5_000, memory_bytes=1 << 20, faults=200), 1e6, Cause.FAULT),
        (Evidence(switches=2, off_core_ns=4_000_000), 4e6, Cause.SWITCH),
        (Evidence(switches=2, off_core_ns=4_000_000), 4e4, Cause.UNKNOWN),  # it fell on another message
        (Evidence(steal_ns=10_000_000, interrupts=3), 8e6, Cause.STEAL),
        (Evidence(major_faults=1, faults=1), 5e6, Cause.FAULT),
        (Evidence(softirqs=2, interrupts=3), 3e4, Cause.SOFTIRQ),
        (Evidence(interrupts=1), 8e3, Cause.INTERRUPT),
        (Evidence(interrupts=1), 8e6, Cause.UNKNOWN),  # no interrupt takes so long
        (Evidence(age=50_000), 2e3, Cause.COLD),
        (Evidence(age=50), 2e3, Cause.UNKNOWN),
        (Evidence(), 1e6, Cause.UNKNOWN),
    ],
)
def test_a_count_is_the_cause_only_if_its_size_fits(evidence: Evidence, excess_ns: float, cause: Cause) -> None:
    assert evidence.cause(excess_ns) is cause


def test_interrupts_are_those_of_the_core_of_a_pinned_thread(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/interrupts").write_text("  CPU0 CPU1\n 24: 5 100 IO-APIC 5-edge x\nLOC: 7 1000 Local timer\nERR: 3\n")
    monkeypatch.setattr(system, "ROOT", tmp_path)
    for cores, expected in (([0, 1], 1_115), ([0], 15), ([1], 1_100), ([7], 1_115)):
        monkeypatch.setattr(system, "affinity", lambda cores=cores: cores)
        assert Counters().read()["interrupts"] == expected
    assert Counters().read()["softirqs"] == 0


def test_the_age_of_an_order_is_that_of_its_last_touch() -> None:
    events = np.zeros(6, hftlab.EVENT_DTYPE)
    events["order_id"] = (5, 6, 0, 5, 6, 9)
    events["new_order_id"] = (0, 0, 0, 9, 0, 0)
    assert ages(events, [0, 2, 3, 4, 5]) == {0: None, 2: None, 3: 3, 4: 3, 5: 2}


def test_the_report_names_causes() -> None:
    found = hftlab.latency("python", hftlab.synthetic(messages=1_000), rounds=3).slowest
    assert found is not None
    assert set(found.slow_frame()["cause"]) <= {cause.value for cause in Cause}
    assert all("; cause: " in slow.sentence() for slow in found.slow)
