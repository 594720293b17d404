"""Faults of the network, injected into a real exchange and a real trader: `hftlab.loadtest.inject_faults()` tries every one.

testbed.py               exchange and trader on loopback, with one clock for both
relay.py recorder.py     the order connection, which breaks on command; what the trader received and sent, by the specification
feed_faults.py order_faults.py environment.py    the faults
checks.py result.py      what must hold after each; the results

After every fault the book is the fault-free one bit for bit, or nothing is traded any more; no order was sent twice, under any
number, and none is lost without a report; exchange, trader and engine hold the same positions; both have ended in order.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hftlab.errors import check_choice, check_range
from hftlab.loadtest.faults import environment, feed_faults, order_faults
from hftlab.loadtest.faults.checks import failures, summary
from hftlab.loadtest.faults.result import FaultReport, FaultResult, Verdict
from hftlab.loadtest.faults.testbed import Ends, Fault, Missed, TestBed
from hftlab.loadtest.target import resolve_targets
from hftlab.measurement.machine import fingerprint

CLOCKS = ("own", "machine")


def fault_table(dead_s: float = 1.0) -> tuple[Fault, ...]:
    """Every fault there is, in the order of the table. dead_s : how long both lines are dead"""
    return (*feed_faults.table(dead_s), *order_faults.FAULTS, *environment.FAULTS)


def inject_faults(
    engines: Iterable[Any] | None = None,
    names: Sequence[str] | None = None,
    *,
    seed: int = 1,
    clock: str = "own",
    dead_s: float = 1.0,
) -> FaultReport:
    """Try every fault on every engine. Ctrl-C ends it, and what was seen by then is the result.

    engines : as `hftlab.as_engine` takes them; default every engine there is
    names   : of the faults; default all of them
    seed    : of the feed, and of every random choice
    clock   : "own": both read a clock of the scenario, so that seconds of silence cost nothing and a seed gives
              the same run; "machine": by the machine's
    dead_s  : how long both lines are dead, 0.001 to 60 seconds
    raises  : UnknownName for a fault or clock that is not known; ConfigError for a number out of range
    """
    check_choice("clock", clock, CLOCKS)
    check_range("dead_s", dead_s, 0.001, 60.0, "s")
    check_range("seed", seed, 0)
    table = {fault.name: fault for fault in fault_table(dead_s)}
    chosen = [table[check_choice("fault", name, table)] for name in names or table]
    targets = [target for target in resolve_targets(engines) if target.engine]
    rows: list[FaultResult] = []
    interrupted = False
    try:
        for fault in chosen:
            rows += [run_fault(fault, one.engine, seed, label=one.label, real=clock == "machine") for one in targets]
    except KeyboardInterrupt:
        if not rows:
            raise
        interrupted = True
    return FaultReport(seed, clock, tuple(rows), fingerprint(), interrupted)


def run_fault(
    fault: Fault,
    engine: Any,
    seed: int = 1,
    *,
    label: str = "",
    real: bool = False,
    tamper: Callable[[TestBed], None] = lambda _: None,
) -> FaultResult:
    """One fault, one engine. tamper : is given the test bed before anything happens, to break what should be found broken"""
    before = _open_files()
    with TemporaryDirectory() as folder:
        bed = TestBed(fault, engine, seed, Path(folder), real=real)
        wrong = _run(fault, bed, tamper)
        del bed.clients[:]
    if not wrong and (left := _open_files() - before) > 0:
        wrong = [f"{left} files or sockets were left open"]
    verdict = Verdict.SKIPPED if bed.skipped else Verdict.FAILED if wrong else Verdict.OK
    outcome = bed.skipped or (wrong[0] if wrong else summary(bed))
    return FaultResult(
        fault.name, label or str(engine), fault.how, dict(bed.seen), bed.recovered_ms, verdict, outcome, tuple(wrong)
    )


def _run(fault: Fault, bed: TestBed, tamper: Callable[[TestBed], None]) -> list[str]:
    """What is wrong; an exception counts as a process that died of it."""
    try:
        bed.start()
        tamper(bed)
        if fault.ends != Ends.REFUSED:
            bed.trades()
        bed.publish(fault.begins)
        bed.inject()
        fault.act(bed)
        if bed.skipped:
            return []
        bed.finish()
        return failures(bed)
    except Missed as missed:
        return [*bed.failures, str(missed)]
    except Exception as error:
        return [*bed.failures, f"it died: {type(error).__name__}: {error}"]
    finally:
        bed.close()


def _open_files() -> int:
    """How many files and sockets this process has open; 0 where that cannot be seen."""
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return 0
