"""The audit log: one JSON line for everything that happens at the exchange, written before anybody hears of it.

    {"time": wall clock, ISO 8601 in UTC, "at_ns": the exchange's monotonic clock, "session": ..., "event": ..., ...}

`event` is in or out (with the account, the decoded message and, for out, its sequence number and raw bytes), connected, login,
closed, phase or published. Passwords are never part of it, nor is anything received before a login.

A log that cannot be written (disk full, folder gone) stops nothing: it is said once, what is lost is counted, and the exchange
accepts no new orders until lines can be written again.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hftlab.errors import ConfigError
from hftlab.protocols.ouch import Message
from hftlab.protocols.ouch_fields import BY_NUMBER

RETRY_NS = 100_000_000
_MOST_WAITING = 1 << 20  # bytes that wait while nothing can be written; what comes on top is lost, and counted


class Audit:
    """One log. path None: nothing is written, and nothing is missed.

    failing : why the latest write failed, "" while all is well
    counts  : lines, lost (lines), failures (writes)
    raises  : ConfigError if the file cannot be opened at the start
    """

    def __init__(self, path: str | os.PathLike[str] | None, session: str) -> None:
        self.path, self.session = path, session
        self.failing = ""
        self.counts: Counter[str] = Counter()
        self._waiting = bytearray()
        self._retry_ns = 0
        self._file = -1 if path is None else _open(path)

    def line(self, at_ns: int, event: str, **more: Any) -> None:
        """One happening; it is on its way to the disk with the next `flush`."""
        if self._file < 0:
            return
        if len(self._waiting) > _MOST_WAITING:
            self.counts["lost"] += 1
            return
        time = datetime.now(UTC).isoformat(timespec="microseconds")
        values = {"time": time, "at_ns": at_ns, "session": self.session, "event": event, **more}
        self._waiting += json.dumps(values, separators=(",", ":")).encode() + b"\n"
        self.counts["lines"] += 1

    def flush(self, now_ns: int) -> bool:
        """Hand what waits to the system; False where that is not possible now."""
        if not self._waiting or self._file < 0:
            return not self.failing
        if self.failing and now_ns < self._retry_ns:
            return False
        try:
            while self._waiting:
                # What was written in part goes on with its rest, so that no line is torn.
                del self._waiting[: os.write(self._file, self._waiting)]
        except OSError as error:
            self.counts["failures"] += 1
            self._retry_ns = now_ns + RETRY_NS
            if not self.failing:
                self._complain(error.strerror or str(error))
            return False
        if self.failing:
            print(f"hftlab: audit log {self.path}: written again; new orders are accepted", file=sys.stderr)
        self.failing = ""
        return True

    def close(self) -> None:
        """Write what waits, as far as possible, and close the file."""
        self._retry_ns = 0
        self.flush(0)
        if self._file >= 0:
            self.counts["lost"] += self._waiting.count(b"\n")
            os.close(self._file)
            self._file = -1

    def _complain(self, why: str) -> None:
        self.failing = why
        text = f"hftlab: audit log {self.path}: cannot be written: {why}; no new orders are accepted until it can"
        print(text, file=sys.stderr)


def told(message: Message) -> dict[str, Any]:
    """A message by its fields, options by their names; unknown options as hexadecimal digits."""
    said: dict[str, Any] = {"type": type(message).__name__}
    said |= {name: getattr(message, name) for name in message.CODES}
    options = message.options
    options |= {f"tag {tag}": raw.hex() for tag, raw in getattr(message, "appendage", ()) if tag not in BY_NUMBER}
    return said | ({"options": options} if options else {})


def lines(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """The lines of a log, as far as they are whole. raises : ConfigError if it cannot be read"""
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"audit log {path}: cannot be read: {error.strerror}") from None
    for line in text.splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue  # torn when the disk was full or the machine stopped
        if isinstance(found, dict):
            yield found


def _open(path: str | os.PathLike[str]) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigError(f"audit log {path}: cannot be written: {error.strerror}") from None
