"""The audit log: one JSON line for everything that happens at the exchange, written before anybody hears of it.

    {"time": wall clock, ISO 8601 in UTC, "at_ns": the exchange's monotonic clock, "session": ..., "event": ..., ...}

`event` is in or out (with the account, the decoded message and, for out, its sequence number and raw bytes), connected, login,
closed, phase or published. Passwords are never part of it, nor is anything received before a login.

A log that cannot be written (disk full, folder gone) stops nothing: it is reported once, and the exchange accepts no new orders
until lines can be written again. What is lost is counted, and marked by a line where it is missing: event lost, lines.

A session outlives its process in this log: what every account was sent, and how far the feed was published. The sequenced
messages say everything else: which UserRefNum comes next, and which orders were open. Those are canceled when the session is
taken up again: their place in the queue, and what had been taken of the displayed book, is gone with the process.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hftlab.errors import ConfigError, WireError
from hftlab.net.endpoints import System
from hftlab.net.exchange.market import FIRST_MATCH
from hftlab.net.exchange.orders import FIRST_NUMBER
from hftlab.protocols import ouch
from hftlab.protocols.ouch_fields import BY_NUMBER

RETRY_NS = 100_000_000
_MAX_PENDING = 1 << 20  # bytes that wait while nothing can be written; what comes on top is lost, and counted


class AuditLog:
    """One log. path None: nothing is written, and nothing is missed.

    name              : of its kind, for sentences
    system            : whose files and clock these are
    write, wall_clock : what it writes with, and the time of day it notes; another one may be set
    failing : why the latest write failed, "" while all is well
    counts  : lines, lost (lines), failures (writes)
    raises  : ConfigError if the file cannot be opened at the start
    """

    def __init__(
        self, path: str | os.PathLike[str] | None, session: str, system: System | None = None, name: str = "audit log"
    ) -> None:
        self.session, self.system, self.name = session, system or System(), f"{name} {path}"
        self.write: Callable[[int, bytearray], int] = self.system.write
        now_ns = self.system.wall_clock or time.time_ns
        self.wall_clock: Callable[[], datetime] = lambda: datetime.fromtimestamp(now_ns() / 1e9, UTC)
        self.failing = ""
        self.counts: Counter[str] = Counter()
        self._pending = bytearray()
        self._unmarked = 0  # lines lost of which the log says nothing yet
        self._retry_ns = 0
        try:
            self._file = -1 if path is None else self.system.open(path)
        except OSError as error:
            raise ConfigError(f"{self.name}: cannot be written: {error.strerror}") from None

    def line(self, at_ns: int, event: str, **more: Any) -> None:
        """One happening; it is on its way to the disk with the next `flush`. Messages are written by their fields."""
        if self._file < 0:
            return
        if len(self._pending) > _MAX_PENDING:
            self.counts["lost"] += 1
            self._unmarked += 1
            return
        if self._unmarked:
            missing, self._unmarked = self._unmarked, 0
            self._add(at_ns, "lost", {"lines": missing})
        self._add(at_ns, event, more)

    def _add(self, at_ns: int, event: str, more: dict[str, Any]) -> None:
        stamp = self.wall_clock().isoformat(timespec="microseconds")
        values = {"time": stamp, "at_ns": at_ns, "session": self.session, "event": event, **more}
        self._pending += _ENCODER.encode(values).encode() + b"\n"
        self.counts["lines"] += 1

    def flush(self, now_ns: int) -> bool:
        """Hand what waits to the system; False where that is not possible now."""
        if not self._pending or self._file < 0:
            return not self.failing
        if self.failing and now_ns < self._retry_ns:
            return False
        try:
            while self._pending:
                # What was written in part goes on with its rest, so that no line is torn.
                del self._pending[: self.write(self._file, self._pending)]
        except OSError as error:
            self.counts["failures"] += 1
            self._retry_ns = now_ns + RETRY_NS
            if not self.failing:
                self.failing = error.strerror or str(error)
                what = f"cannot be written: {self.failing}; no new orders are accepted until it can"
                print(f"hftlab: {self.name}: {what}", file=sys.stderr)
            return False
        if self.failing:
            print(f"hftlab: {self.name}: written again; new orders are accepted", file=sys.stderr)
        self.failing = ""
        return True

    def close(self) -> None:
        """Write what waits, as far as possible, and close the file."""
        self._retry_ns = 0
        self.flush(0)
        if self._file >= 0:
            self.counts["lost"] += self._pending.count(b"\n")
            self.system.close(self._file)
            self._file = -1


def message_to_dict(message: ouch.Message) -> dict[str, Any]:
    """A message by its fields, options by their names; unknown options as hexadecimal digits."""
    values: dict[str, Any] = {"type": type(message).__name__}
    values |= {name: getattr(message, name) for name in message.CODES}
    options = message.options
    options |= {f"tag {tag}": raw.hex() for tag, raw in getattr(message, "appendage", ()) if tag not in BY_NUMBER}
    return values | ({"options": options} if options else {})


def message_from_dict(values: dict[str, Any]) -> ouch.Message:
    """The message whose fields these are, without its options."""
    kind: type[ouch.Message] = getattr(ouch, values["type"])
    return kind(**{name: values[name] for name in kind.CODES})


_ENCODER = json.JSONEncoder(separators=(",", ":"), default=message_to_dict)


def read_log(path: str | os.PathLike[str] | bytes) -> Iterator[dict[str, Any]]:
    """The lines of a log, or of its bytes, as far as they are whole. raises : ConfigError if it cannot be read"""
    try:
        text = path if isinstance(path, bytes) else Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"audit log {path!s}: cannot be read: {error.strerror}") from None
    for line in text.splitlines():
        try:
            values = json.loads(line)
        except ValueError:
            continue  # torn when the disk was full or the machine stopped
        if isinstance(values, dict):
            yield values


def copied(account: str, raw: bytes) -> bytes:
    """A message of the drop copy: the account in six letters, then what it was sent."""
    return account.ljust(6).encode() + raw


@dataclass
class SessionState:
    """streams : sequenced messages by account; published : the next number of the feed; ended : whether it has ended in order;
    copies : those of all accounts in the order in which they were sent, as the drop copy has them
    lost   : lines that the log lacks"""

    session: str
    streams: dict[str, list[bytes]] = field(default_factory=dict)
    published: int = 1
    ended: bool = False
    copies: list[bytes] = field(default_factory=list)
    lost: int = 0

    @classmethod
    def read(cls, path: str | os.PathLike[str] | bytes) -> SessionState:
        """The latest session in an audit log, or in its bytes.

        raises : ConfigError for a log without one, one that has ended, or a gap in it
        """
        state: SessionState | None = None
        what = "audit log" if isinstance(path, bytes) else f"audit log {path}"
        for line in read_log(path):
            name = line.get("session")
            if not isinstance(name, str):
                continue
            if state is None or state.session != name:
                state = cls(name)
            if line.get("event") == "lost":
                state.lost += int(line["lines"])
            if line.get("event") == "phase":
                state.ended = state.ended or line.get("phase") == "closing"
            if line.get("event") == "published":
                state.published = max(state.published, int(line["next"]))
            if line.get("event") == "out":
                stream = state.streams.setdefault(line["account"], [])
                if line["sequence"] != len(stream) + 1:
                    text = f"message {line['sequence']} of {line['account']} follows message {len(stream)}"
                    raise ConfigError(f"{what}: session {name!r} cannot be taken up again: {text}")
                stream.append(bytes.fromhex(line["raw"]))
                state.copies.append(copied(line["account"], stream[-1]))
        if state is None:
            raise ConfigError(f"{what}: there is no session in it")
        if state.lost:
            raise ConfigError(f"{what}: session {state.session!r} cannot be taken up again: {state.lost} lines of it were lost")
        if state.ended:
            raise ConfigError(f"{what}: session {state.session!r} has ended; it cannot be taken up again")
        return state


# Messages that answer one which used up a UserRefNum.
_USES_REF = (
    ouch.Accepted, ouch.Replaced, ouch.Rejected, ouch.MassCancelResponse, ouch.DisableResponse, ouch.EnableResponse,
)  # fmt: skip


@dataclass
class AccountState:
    """What one account's messages say: the next UserRefNum, the shares left of each open order, the last numbers."""

    next_ref: int = 1
    open: dict[int, int] = field(default_factory=dict)
    order_number: int = FIRST_NUMBER
    match_number: int = FIRST_MATCH

    @classmethod
    def replay(cls, stream: list[bytes]) -> AccountState:
        """From the messages of one account, the first one first."""
        state = cls()
        for raw in stream:
            try:
                state._apply(ouch.decode_outbound(raw))
            except WireError:
                continue  # written by another version
        state.open = {ref: left for ref, left in state.open.items() if left}
        return state

    def _apply(self, message: ouch.Message) -> None:
        match message:
            case ouch.Accepted() | ouch.Replaced():
                self.open[message.user_ref] = message.quantity
                self.order_number = max(self.order_number, message.order_reference)
                if isinstance(message, ouch.Replaced):
                    self.open.pop(message.orig_user_ref, None)
            case ouch.Executed():
                self.open[message.user_ref] = self.open.get(message.user_ref, 0) - message.quantity
                self.match_number = max(self.match_number, message.match_number)
            case ouch.Canceled() | ouch.AiqCanceled():
                self.open[message.user_ref] = self.open.get(message.user_ref, 0) - message.quantity
            case ouch.Modified():
                self.open[message.user_ref] = message.quantity
        if isinstance(message, _USES_REF):
            self.next_ref = max(self.next_ref, message.user_ref + 1)
