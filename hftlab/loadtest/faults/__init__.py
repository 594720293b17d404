"""Faults, injected and survived: `hftlab.loadtest.faults()` tries every one of them and gives a `Faults`.

rig.py clock.py        a real exchange and a real trader on loopback, told the time by one clock
relay.py rivals.py     the wire for orders, that breaks when told to; other clients, none of them nice
witness.py             what the trader was handed and when it sent, by the specification alone
on_lines.py on_orders.py around.py  the faults
checks.py survived.py  what must be so after each; what was found

After every fault the book is the fault-free one bit for bit, or nothing is traded any more; no order was sent twice, under
whatever number, and none is lost without a word; exchange, trader and engine hold the same; both have ended in order.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hftlab.callable_module import make_callable
from hftlab.errors import ConfigError, UnknownName
from hftlab.loadtest.faults import around, on_orders
from hftlab.loadtest.faults.checks import failures, summary
from hftlab.loadtest.faults.on_lines import of_lines
from hftlab.loadtest.faults.rig import Fault, Missed, Rig
from hftlab.loadtest.faults.survived import FAILED, OK, SKIPPED, Faults, Survived
from hftlab.loadtest.targets import engine_target, every_engine

__all__ = ["Fault", "Faults", "Rig", "Survived", "faults", "known", "survive"]


def known(dead_s: float = 1.0) -> tuple[Fault, ...]:
    """Every fault there is, in the order of the table. dead_s : how long both lines are dead"""
    return (*of_lines(dead_s), *on_orders.FAULTS, *around.FAULTS)


def faults(
    engines: Iterable[Any] | None = None,
    names: Sequence[str] | None = None,
    *,
    seed: int = 1,
    clock: str = "own",
    dead_s: float = 1.0,
) -> Faults:
    """Try every fault on every engine. Ctrl-C ends it, and what was seen by then is the result.

    engines : as `hftlab.as_engine` takes them; default every engine there is
    names   : of the faults; default all of them
    seed    : of the feed, and of every chance
    clock   : "own": both are told the time by a clock of the scenario, so that seconds of silence cost nothing and a seed gives
              the same run; "machine": by the machine's
    dead_s  : how long both lines are dead, seconds
    raises  : UnknownName for a fault that is not known; ConfigError for a clock, or a time that is not above 0
    """
    if clock not in ("own", "machine") or not 0.001 <= dead_s <= 60:
        raise ConfigError(f"clock is {clock!r}, dead_s {dead_s}; allowed are 'own' or 'machine', and 0.001 to 60 seconds")
    every = {fault.name: fault for fault in known(dead_s)}
    for name in names or ():
        if name not in every:
            raise UnknownName("fault", name, every)
    targets = [engine_target(one) for one in (every_engine() if engines is None else engines)]
    rows: list[Survived] = []
    try:
        for fault in [every[name] for name in names or every]:
            rows += [survive(fault, one.engine, seed, label=one.label, real=clock == "machine") for one in targets]
    except KeyboardInterrupt:
        if not rows:
            raise
        return Faults(seed, clock, tuple(rows), interrupted=True)
    return Faults(seed, clock, tuple(rows))


def survive(
    fault: Fault,
    backend: Any,
    seed: int = 1,
    *,
    label: str = "",
    real: bool = False,
    tamper: Callable[[Rig], None] = lambda _: None,
) -> Survived:
    """One fault, one engine. tamper : is shown the rig before anything happens, to break what should be found broken"""
    before = _open_files()
    with TemporaryDirectory() as folder:
        rig = Rig(fault, backend, seed, Path(folder), real=real)
        wrong = _run(rig, tamper)
        del rig.rivals[:]
    if not wrong and (left := _open_files() - before) > 0:
        wrong = [f"{left} files or sockets were left open"]
    verdict = SKIPPED if rig.skipped else FAILED if wrong else OK
    said = rig.skipped or (wrong[0] if wrong else summary(rig))
    return Survived(fault.name, label or str(backend), fault.how, dict(rig.seen), rig.recovered_ms, verdict, said, tuple(wrong))


def _run(rig: Rig, tamper: Callable[[Rig], None]) -> list[str]:
    """What is wrong; an exception is a process that has died of it."""
    try:
        rig.start()
        tamper(rig)
        if rig.fault.ends != "refused":
            rig.trades()
            rig.inject()
        rig.fault.act(rig)
        if rig.skipped:
            return []
        rig.finish()
        return failures(rig)
    except Missed as missed:
        return [*rig.failures, str(missed)]
    except Exception as error:
        return [*rig.failures, f"it died: {type(error).__name__}: {error}"]
    finally:
        rig.close()


def _open_files() -> int:
    """How many files and sockets this process has open; 0 where that cannot be seen."""
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return 0


make_callable(__name__)
