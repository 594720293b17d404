"""Faults of the environment: the exchange fails, a session changes, clocks step, disks are full."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial

from hftlab.loadtest.faults.testbed import MS_NS, Fault, TestBed
from hftlab.net.exchange.audit import AuditLog, read_log
from hftlab.net.trader.gates import HoldReason
from hftlab.net.trader.order_manager import OrderState

_FULL = "/dev/full"
_AWAY_MS = 300.0
_HOUR_S = 3_600.0


def _away(session: str, bed: TestBed) -> None:
    """The exchange fails in the middle of everything, and is back a little later, in another session if one is named."""
    bed.until(lambda: any(order.state is OrderState.SENT for order in bed.trader.orders.open), "an order is on its way")
    bed.inject()
    bed.crash()
    bed.run(_AWAY_MS)
    before = len(bed.recorder.sent)
    bed.restart(session)
    bed.restored("breaks", "logins", "duplicates")
    bed.seen["orders_after"] = len(bed.recorder.sent) - before
    bed.must(bed.seen["orders_after"], "no order followed")
    bed.must(bed.seen["breaks"] == 1, "the fault did not happen: the connection never broke")
    if session:
        bed.must(bed.trader.feed.arbiter.session == session.encode().ljust(10), "the trader is not in the new session")
    else:
        bed.must(bed.trader.restarts == 0, "the feed was begun again, though its session went on")


def _wall_clock(bed: TestBed) -> None:
    """An hour back, an hour forth; nothing may notice, so no message may come later and no order differ."""
    for share, seconds in ((1 / 2, -_HOUR_S), (2 / 3, _HOUR_S)):
        bed.wall_clock_ahead_s = seconds
        bed.publish(share)
        bed.seen["steps"] += 1
    bed.wall_clock_ahead_s = 0.0
    bed.complete()
    times = [datetime.fromisoformat(line["time"]) for line in read_log(bed.audit)]
    bed.must(max(times) - min(times) > timedelta(seconds=_HOUR_S), "the fault did not happen: the audit log's times are in order")
    bed.note("breaks", "gaps")
    bed.must(not bed.seen["breaks"] and not bed.seen["gaps"] and bed.recovered_ms == 0, "the wall clock was noticed")


def _asleep(bed: TestBed) -> None:
    """A minute passes at once: longer than anybody waits for anything."""
    bed.clock.jump(60_000 * MS_NS)
    bed.restored("breaks", "logins")


def _audit_full(bed: TestBed) -> None:
    _full(bed, bed.exchange.audit)
    bed.seen["rejected"] = sum(bed.trader.orders.rejects.values())
    bed.must(bed.skipped or bed.seen["rejected"], "no order was rejected while the exchange could not write it down")


def _journal_full(bed: TestBed) -> None:
    _full(bed, bed.trader.journal)
    bed.must(bed.skipped or HoldReason.JOURNAL in bed.reasons, "orders were not held back while the journal was full")


def _full(bed: TestBed, log: AuditLog) -> None:
    """The disk of a log is full for a sixth of the feed."""
    if not os.path.exists(_FULL):
        bed.skipped = f"there is no {_FULL}"
        return
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        with _no_room(log):
            bed.publish(1 / 2)
            bed.until(lambda: log.failing, "the log fails")
        bed.until(lambda: not log.failing, "the log is written again")
        bed.complete()
    bed.seen.update({"failed_writes": log.counts["failures"], "lines_lost": log.counts["lost"]})
    bed.must(errors.getvalue().count("cannot be written") == 1, "the log must report once that it cannot be written")


@contextlib.contextmanager
def _no_room(log: AuditLog) -> Iterator[None]:
    """Writes to this log meet ENOSPC, as on a disk that is full."""
    full, write = os.open(_FULL, os.O_WRONLY), log.write
    log.write = lambda _, data: os.write(full, data)
    try:
        yield
    finally:
        log.write = write
        os.close(full)


FAULTS = (
    Fault("exchange restart", "it fails, and takes up its session again from the audit log", partial(_away, ""), begins=1 / 2),
    Fault("session change", "it fails, and comes back with a new session", partial(_away, "DAY2"), begins=1 / 2),
    Fault("clock step", "the wall clock steps back an hour, and forth", _wall_clock),
    Fault("machine asleep", "a minute passes at once, for both", _asleep),
    Fault("audit disk full", "for a sixth of the feed", _audit_full),
    Fault("journal disk full", "for a sixth of the feed", _journal_full),
)
