"""Faults around the two: the exchange fails, a session changes, clocks step, disks are full."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator

from hftlab.loadtest.faults.clock import MS_NS, stepped_wall_clock
from hftlab.loadtest.faults.rig import Fault, Rig
from hftlab.net.exchange.audit import AuditLog
from hftlab.net.trader.gates import HoldReason
from hftlab.net.trader.order_manager import OrderState

_FULL = "/dev/full"
_AWAY_MS = 300.0
_HOUR_S = 3_600.0


def _restart(rig: Rig) -> None:
    _away(rig, "")
    rig.must(rig.trader.restarts == 0, "the feed was begun again, though its session went on")


def _session_change(rig: Rig) -> None:
    _away(rig, "DAY2")
    rig.must(rig.trader.feed.arbiter.session == b"DAY2      ", "the trader is not in the new session")


def _away(rig: Rig, session: str) -> None:
    """The exchange fails in the middle of everything, and is back a little later."""
    rig.publish(1 / 2)
    rig.until(lambda: any(order.state is OrderState.SENT for order in rig.trader.orders.open), "an order is on its way")
    rig.inject()
    rig.crash()
    rig.run(_AWAY_MS)
    before = len(rig.witness.sent)
    rig.restart(session)
    rig.trades()
    rig.publish()
    rig.calm()
    counts = rig.trader.gateway.counts
    rig.seen.update({"breaks": counts["breaks"], "logins": counts["logins"], "orders_after": len(rig.witness.sent) - before})
    rig.seen["duplicates"] = rig.trader.feed.arbiter.counts["duplicates"]
    rig.must(rig.seen["orders_after"], "no order followed")
    rig.must(rig.seen["breaks"] == 1, "the fault did not happen: the connection never broke")


def _wall_clock(rig: Rig) -> None:
    """An hour back, an hour forth; nothing may notice, so no message may come later and no order differ."""
    rig.publish(1 / 3)
    rig.inject()
    for share, seconds in ((1 / 2, -_HOUR_S), (2 / 3, _HOUR_S)):
        with stepped_wall_clock(seconds):
            rig.publish(share)
            rig.seen["steps"] += 1
    rig.publish()
    rig.calm()
    counts = rig.trader.gateway.counts
    rig.seen.update({"breaks": counts["breaks"], "gaps": rig.trader.feed.arbiter.counts["gaps"]})
    rig.must(not rig.seen["breaks"] and not rig.seen["gaps"] and rig.recovered_ms == 0, "the wall clock was noticed")


def _asleep(rig: Rig) -> None:
    """A minute passes at once: longer than anybody waits for anything."""
    rig.publish(1 / 3)
    rig.inject()
    rig.clock.jump(60_000 * MS_NS)
    rig.trades()
    rig.publish()
    rig.calm()
    counts = rig.trader.gateway.counts
    rig.seen.update({"breaks": counts["breaks"], "logins": counts["logins"]})


def _audit_full(rig: Rig) -> None:
    _full(rig, rig.exchange.audit)
    rig.seen["rejected"] = sum(rig.told_rejects().values())
    rig.must(rig.seen["rejected"], "no order was rejected while the exchange could not write it down")


def _journal_full(rig: Rig) -> None:
    _full(rig, rig.trader.journal)
    rig.must(HoldReason.JOURNAL in rig.whys, "orders were not held back while the journal was full")


def _full(rig: Rig, log: AuditLog) -> None:
    """The disk of a log is full for a sixth of the feed."""
    if not os.path.exists(_FULL):
        rig.skipped = f"there is no {_FULL}"
        return
    rig.publish(1 / 3)
    rig.inject()
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        with _no_room(log):
            rig.publish(1 / 2)
            rig.until(lambda: log.failing, "the log fails")
        rig.until(lambda: not log.failing, "the log is written again")
        rig.publish()
        rig.calm()
    rig.seen.update({"failed_writes": log.counts["failures"], "lines_lost": log.counts["lost"]})
    rig.must(said.getvalue().count("cannot be written") == 1, "it was to be said once that the log cannot be written")


@contextlib.contextmanager
def _no_room(log: AuditLog) -> Iterator[None]:
    """Writes to this log meet ENOSPC, as on a disk that is full."""
    kept, full = os.dup(log._file), os.open(_FULL, os.O_WRONLY)
    os.dup2(full, log._file)
    os.close(full)
    try:
        yield
    finally:
        os.dup2(kept, log._file)
        os.close(kept)


FAULTS = (
    Fault("exchange restart", "it fails, and takes up its session again from the audit log", _restart),
    Fault("session change", "it fails, and comes back with a new session", _session_change),
    Fault("clock step", "the wall clock steps back an hour, and forth", _wall_clock),
    Fault("machine asleep", "a minute passes at once, for both", _asleep),
    Fault("audit disk full", "for a sixth of the feed", _audit_full),
    Fault("journal disk full", "for a sixth of the feed", _journal_full),
)
