"""Is the cause of a planted stall named, and is it unknown where nothing that was counted explains it?"""

import ctypes
import mmap
import os
import socket
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hftlab
from hftlab.experiments.recorder import Cause, Counters, Evidence, ages, record, record_open_loop
from hftlab.experiments.slowest import SlowestMessages
from hftlab.measurement import system, tracing
from hftlab.measurement.affinity import cpu_affinity
from hftlab.presentation.document import duration
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


def spin(ns: int = WAIT_NS) -> None:
    end = time.perf_counter_ns() + ns
    while time.perf_counter_ns() < end:
        pass


@contextmanager
def timers() -> Iterator[Callable[[], None]]:
    """Timers of the kernel, 12 us apart: each of their interrupts comes to the core that has armed it."""
    libc, many = ctypes.CDLL(None, use_errno=True), 24
    clocks = [libc.timerfd_create(time.CLOCK_MONOTONIC, 0) for _ in range(many)]
    times = [struct.pack("qqqq", 0, 0, 0, 12_000 * place) for place in range(1, many + 1)]

    def interrupts() -> None:
        for clock, when in zip(clocks, times, strict=True):
            libc.timerfd_settime(clock, 0, when, None)
        spin(12_000 * many)

    try:
        yield interrupts
    finally:
        for clock in clocks:
            os.close(clock)


@contextmanager
def crowd() -> Iterator[Callable[[], None]]:
    """A packet to a group that many sockets have joined: the softirq that receives it hands a copy to each of them."""
    with ExitStack() as stack:
        receivers = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(150)]
        group = socket.inet_aton("239.7.7.7") + socket.inet_aton("127.0.0.1")
        port = 0
        for receiver in receivers:
            receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            receiver.bind(("239.7.7.7", port))
            receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
            port = receiver.getsockname()[1]
        sender = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        sender.connect(("239.7.7.7", port))

        def softirqs() -> None:
            for _ in range(4):
                sender.send(b"x")

        yield softirqs


@contextmanager
def plain(act: Callable[[], None]) -> Iterator[Callable[[], None]]:
    yield act


def planted(act: Callable[[], None], grow: float = 0, every: int = APART) -> type:
    """A book that stalls in each n-th message; grow: the share that its memory is larger by after each of them."""

    class Stalling(Book):
        seen, extra = 0, 0

        def apply(self, *event: int) -> int:
            self.seen += 1
            if self.seen % every == 0:
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


KINDS = {
    "sleep": (lambda: plain(sleep), 0, Cause.SWITCH),
    "fault": (lambda: plain(fault), 0, Cause.FAULT),
    "growth": (lambda: plain(spin), 0.5, Cause.GROWTH),
    "interrupt": (timers, 0, Cause.INTERRUPT),
    "softirq": (crowd, 0, Cause.SOFTIRQ),
    "spin": (lambda: plain(spin), 0, Cause.UNKNOWN),
}


@pytest.fixture
def traced(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[bool]:
    """Without the kernel's trace, and with it, on a mount of our own."""
    if request.param == "counted":
        monkeypatch.setattr(tracing, "tracefs", lambda: None)
        yield False
        return
    if subprocess.run(["mount", "-t", "tracefs", "none", tmp_path], capture_output=True, check=False).returncode:
        pytest.skip("tracefs cannot be mounted here")
    try:
        monkeypatch.setattr(tracing, "tracefs", lambda: tmp_path)
        yield True
        assert list((tmp_path / "instances").iterdir()) == []
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@pytest.mark.parametrize(
    ("kind", "traced"),
    [(kind, "counted") for kind in KINDS]
    + [pytest.param(kind, "traced", marks=pytest.mark.root) for kind in ("interrupt", "softirq")],
    indirect=["traced"],
)
def test_nine_of_ten_planted_stalls_are_named_rightly(kind: str, traced: bool) -> None:
    """Where no real-time priority is to be had, another thread may take the core for most of a stall: its cause then, truly."""
    plant, grow, cause = KINDS[kind]
    with plant() as act:
        found = causes(planted(act, grow))
    assert sum(found.values()) >= 0.8 * PLANTED
    taken = 0 if cause is Cause.SWITCH else found[Cause.SWITCH]
    assert taken <= PLANTED / 2
    assert found[cause] >= 0.9 * (sum(found.values()) - taken), found


def test_messages_behind_a_slow_one_are_queueing_and_the_slow_one_is_not() -> None:
    """A message every 80 us, of which each 80th takes 500 us longer: those right behind it wait for it. All of it takes less than
    the 0.95 s after which the system stops a thread of real-time priority for a while."""
    apart, messages = 80, 80 * PLANTED
    book = planted(lambda: spin(500_000), every=apart)
    with cpu_affinity(max(system.affinity()), realtime=True):
        captures, evidence = record_open_loop(hftlab.Engine("python", book=book), FEED, messages, 12_500, messages)
    places: dict[int, Counter[Cause]] = {place: Counter() for place in range(apart)}
    for at, _, _ in captures:
        waited = evidence[at].waited_ns
        places[(at + 1) % apart][evidence[at].cause(waited + 20_000.0 if (at + 1) % apart else waited + 500_000.0)] += 1
    for place in (1, 2, 3):
        assert places[place][Cause.QUEUEING] >= 0.9 * places[place].total() == 0.9 * PLANTED
    assert places[0][Cause.QUEUEING] <= 0.5 * PLANTED  # on a busy machine some of them wait themselves
    found = SlowestMessages.of(captures[: 2 * PLANTED], FEED, "stalling", {}, evidence)
    behind = next(slow for slow in found.slow if slow.cause is Cause.QUEUEING)
    assert f"begun {duration(behind.late_ns)} after it was due" in behind.sentence()


def lukewarm(live: int = 300_000) -> hftlab.EventFeed:
    """Many orders rest; 64 of them shrink over and over; each 400th message deletes one that nobody has touched."""
    rng = np.random.default_rng(1)
    events = np.zeros(live + PLANTED * APART, hftlab.EVENT_DTYPE)
    events["instrument"], events["qty"], events["ts_ns"] = 1, 100, np.arange(len(events))
    filling, rest = events[:live], events[live:]
    filling["order_id"] = np.arange(1, live + 1)
    filling["kind"], filling["side"] = hftlab.Kind.ADD, hftlab.Side.BID
    filling["price"] = 1_000_000 - 100 * rng.integers(1, 5_000, live)
    rest["kind"], rest["order_id"] = hftlab.Kind.CANCEL, live - np.arange(len(rest)) % 64
    filling["qty"][-64:], rest["qty"] = 1_000_000, 1
    old = rest[APART - 1 :: APART]
    old["kind"], old["order_id"] = hftlab.Kind.DELETE, rng.choice(live - 1_000, len(old), replace=False) + 1
    return hftlab.EventFeed(events).warmed(live)


@pytest.mark.rust
def test_an_order_that_nobody_has_touched_for_long_is_cold() -> None:
    feed = lukewarm()
    with cpu_affinity(max(system.affinity()), realtime=True):
        captures, evidence = record(hftlab.Engine("rust", lookahead=False), feed, 1_000)
    aged = ages(hftlab.decode(feed), [capture.at for capture in captures])
    found: Counter[Cause] = Counter()
    for capture in captures:
        row = capture.stamps[capture.at - capture.first]
        if (capture.at - feed.warm_up + 1) % APART == 0:
            found[replace(evidence[capture.at], age=aged[capture.at]).cause(float(row[4] - row[0]))] += 1
    assert found.total() >= 0.8 * PLANTED, found
    assert found[Cause.COLD] >= 0.9 * found.total(), found


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
        (Evidence(interrupts=1, age=50_000), 1e3, Cause.COLD),  # none is over so soon
        (Evidence(interrupts=20, softirqs=3), 9e5, Cause.INTERRUPT),
        (Evidence(interrupts=2, softirqs=2, interrupt_ns=4_000, softirq_ns=30_000), 4e4, Cause.SOFTIRQ),
        (Evidence(interrupts=2, softirqs=2, interrupt_ns=30_000, softirq_ns=4_000), 4e4, Cause.INTERRUPT),
        (Evidence(interrupts=2, interrupt_ns=4_000, softirq_ns=0), 9e4, Cause.UNKNOWN),  # traced, and too short
        (Evidence(idle_ns=1_000_000), 2e3, Cause.COLD),
        (Evidence(idle_ns=1_000_000), 2e6, Cause.UNKNOWN),
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


RECORDED = """\
# tracer: nop
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
          <idle>-0       [000] d.h1.  100.000001: local_timer_entry: vector=236
          python-77      [001] d.h1.  100.000002: irq_handler_entry: irq=36 name=virtio1-req.0
          <idle>-0       [000] d.h1.  100.000005: local_timer_exit: vector=236
          python-77      [001] d.h1.  100.000012: irq_handler_exit: irq=36 ret=handled
          python-77      [001] ..s1.  100.000013: softirq_entry: vec=3 [action=NET_RX]
          python-77      [001] d.s1.  100.000014: sched_wakeup: comm=a pid=1 prio=120 target_cpu=001
          python-77      [001] ..s1.  100.000043: softirq_exit: vec=3 [action=NET_RX]
          python-77      [001] ..s1.  100.000050: softirq_entry: vec=1 [action=TIMER]
"""


def test_a_trace_is_read_as_the_kernel_writes_it() -> None:
    found = [
        (each.kind, each.core, each.start_ns - 100_000_000_000, each.ns) for each in tracing.read_trace(RECORDED.splitlines())
    ]
    assert found == [("interrupt", 0, 1_000, 4_000), ("interrupt", 1, 2_000, 10_000), ("softirq", 1, 13_000, 30_000)]


def test_a_trace_that_is_not_ours_is_none_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "tracefs", lambda: tmp_path)  # a folder that is none: nothing can be made in it
    with tracing.InterruptTrace([0]) as trace:
        pass
    assert (trace.handled, trace.spent("interrupt", 0, 1), list(tmp_path.iterdir())) == (None, None, [])


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
