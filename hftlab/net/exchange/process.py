"""`hftlab net exchange`: the exchange as a process of its own, until its session is over or a signal ends it.

Signals, events printed for people or programs on stdout, signs of life on stderr and status files are those of the trader, too.
"""

from __future__ import annotations

import json as json_format
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hftlab.errors import ConfigError, OutputError
from hftlab.feeds.feed import Feed
from hftlab.net.exchange.audit import SessionState
from hftlab.net.exchange.publisher import outlook
from hftlab.net.exchange.server import Exchange
from hftlab.net.exchange.settings import ExchangeSettings, load_accounts
from hftlab.presentation.document import Table, table
from hftlab.presentation.output import check_writable, write_text
from hftlab.presentation.result import Result, to_json

#: Prints one event of a process: its name, and its values.
Announce = Callable[[str, dict[str, Any]], None]
_LASTING_S, _PROGRESS_S = 0.5, 10.0  # a state that is shorter is not reported; between two reports of the same one
STATUS_S = 0.5  # between two writes of a status file
_OLD_S = 3.0  # a status file that is older is of a process that is stopped, or gone
_TWICE_S = 1.0  # a second signal sooner than this is the first one, sent to the process and to its group


def serve(
    feed: Feed,
    settings: ExchangeSettings,
    accounts: str | None = None,
    *,
    resume: bool = False,
    status: str | None = None,
    json: bool = False,
) -> None:
    """Run one session; the addresses are printed before anything is published, the summary after everything.

    feed     : one of wire bytes
    accounts : file of USERNAME PASSWORD lines; None for HFTLAB_ACCOUNTS
    resume   : take up the latest session in the audit log again
    status   : write there twice a second how things are, for `hftlab net status`
    json     : print one JSON object a line, the addresses first, the summary last
    raises   : ConfigError for a setting, an address, an account; FeedError, after the summary, for a feed that broke off
    """
    announce: Announce = print_json if json else print_text
    state = _state(settings) if resume else None
    exchange = Exchange(feed, load_accounts(accounts), settings, state=state)
    messages, lasts_s = outlook(feed, settings)
    for sentence in exposed(settings, accounts):
        print(f"hftlab exchange: {sentence}", file=sys.stderr)
    signs, live = Signs("" if json else "exchange"), StatusFile(status, "exchange")
    with ended_by_signals() as asked:
        announce("listening", exchange.start() | {"messages": messages, "lasts_s": lasts_s})
        while exchange.poll():
            live.write(exchange.summary)
            signs.see(exchange.phase.value, lambda: f"{exchange.publisher.next - 1:,} of {_count(messages)} messages published")
            if asked.is_set():
                exchange.finish()
    announce("summary", exchange.summary())
    live.write(exchange.summary, last=True)
    if exchange.publisher.error:
        raise exchange.publisher.error


def exposed(settings: ExchangeSettings, accounts: str | None) -> list[str]:
    """What of the passwords others may see, a sentence each."""
    readable = accounts is not None and os.stat(accounts).st_mode & (stat.S_IRGRP | stat.S_IROTH)
    places = (text for text in (settings.orders, settings.snapshots) if text and not text.startswith(("127.", "localhost:")))
    return [
        *([f"{accounts} can be read by others: chmod 600 {accounts}"] if readable else []),
        *(f"connections to {place} may come from elsewhere, and passwords go there in clear text" for place in places),
    ]


def _count(messages: int | None) -> str:
    return "very many" if messages is None else f"{messages:,}"


def _state(settings: ExchangeSettings) -> SessionState:
    """The session to be taken up. raises : ConfigError"""
    if not settings.audit:
        raise ConfigError("--resume takes up the session in the audit log; name its file with --audit FILE")
    state = SessionState.read(settings.audit)
    if settings.session not in ("", state.session):
        raise ConfigError(f"session must be {state.session!r}, the latest in {settings.audit}, got {settings.session!r}")
    return state


class Signs:
    """Signs of life on stderr: every state that lasts for half a second, and every ten seconds how far things are.

    who : reports; "" for nobody, so that nothing is
    """

    def __init__(self, who: str) -> None:
        self.who = who
        self._state, self._reported = "", ""
        self._since_s = self._at_s = time.monotonic()

    def see(self, state: str, progress: Callable[[], str]) -> None:
        """The state now. progress : asked for the sentence when it is time for one"""
        if not self.who:
            return
        now_s = time.monotonic()
        if state != self._state:
            self._state, self._since_s = state, now_s
        if (self._state != self._reported and now_s - self._since_s > _LASTING_S) or now_s - self._at_s > _PROGRESS_S:
            self._reported, self._at_s = self._state, now_s
            print(f"hftlab {self.who}: {self._state}; {progress()}", file=sys.stderr, flush=True)


class StatusFile:
    """How a process is, twice a second in a file: one JSON object, replaced whole, that `hftlab net status` shows.

    path   : None for no such file; raises : OutputError, at once, where it cannot be written
    """

    def __init__(self, path: str | None, who: str) -> None:
        self.path, self.who, self._due_s = path, who, 0.0
        if path:
            check_writable(path)

    def write(self, state: Callable[[], dict[str, Any]], *, last: bool = False) -> None:
        """If it is time to, or for the last time."""
        if self.path is None or (time.monotonic() < self._due_s and not last):
            return
        self._due_s = time.monotonic() + STATUS_S
        head = {"process": self.who, "pid": os.getpid(), "time": time.time(), "over": last}
        with suppress(OutputError):  # a full disk is no reason to stop; the reader sees that the file is old
            write_text(self.path, to_json(head | state()) + "\n")


@dataclass(frozen=True)
class Status(Result):
    """One process as it was when it wrote the file.

    state : by name, as `Trader.status` and `Exchange.summary` give it; with process, pid, time (s since 1970), over (has ended)
    age_s : since then
    """

    path: str
    state: dict[str, Any]
    age_s: float

    @classmethod
    def read(cls, path: str) -> Status:
        """From a status file. raises : ConfigError for what is none"""
        try:
            state = json_format.loads(Path(path).read_bytes())
            return cls(path, state, max(0.0, time.time() - float(state["time"])))
        except OSError as error:
            raise ConfigError(f"status file {path}: cannot be read: {error.strerror}") from None
        except (ValueError, TypeError, KeyError):
            raise ConfigError(f"status file {path}: must be one of `hftlab net exchange` or `hftlab net trader`") from None

    @property
    def sound(self) -> bool:
        """Whether it is alive, or ended in order, and nothing wants attention."""
        return not self.state.get("attention") and (bool(self.state["over"]) or self.age_s < _OLD_S)

    def headline(self) -> str:
        what = "has ended" if self.state["over"] else "is running" if self.age_s < _OLD_S else "does not write any more"
        return f"{self.state['process']} {self.state['pid']} {what}; as of {self.age_s:.1f} s ago"

    def tables(self) -> list[Table]:
        known = ("process", "pid", "time", "over")
        rows = [(name.replace("_", " "), _cell(value)) for name, value in self.state.items() if name not in known]
        return [table("", ("", ""), [row for row in rows if row[1]], words=2)]

    def to_dict(self) -> dict[str, Any]:
        return {**self.state, "age_s": round(self.age_s, 3), "sound": self.sound}


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(
            f"{name.replace('_', ' ')} {_cell(inner)}" for name, inner in value.items() if inner not in ("", None, {})
        )
    return "" if value is None else f"{value:,}" if isinstance(value, int | float) else str(value)


@contextmanager
def ended_by_signals() -> Iterator[threading.Event]:
    """The event is set by SIGTERM and by Ctrl-C; a later second one interrupts at once."""
    asked, first_s = threading.Event(), [0.0]

    def ask(number: int, _frame: object) -> None:
        if asked.is_set() and time.monotonic() - first_s[0] > _TWICE_S:
            raise KeyboardInterrupt
        first_s[0] = first_s[0] or time.monotonic()
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def print_text(_event: str, values: dict[str, Any]) -> None:
    """An event for people: a value a line, empty ones left out."""
    for name, value in values.items():
        if (text := _text(value)) != "":
            print(f"{name.replace('_', ' '):<12} {text}", flush=True)


def print_json(event: str, values: dict[str, Any]) -> None:
    """An event for programs: one JSON object a line."""
    print(json_format.dumps({"event": event, **values}), flush=True)


def _text(value: Any) -> str:
    """A value for people: `sent 7, lost 2`, one level of names in brackets; times of a distribution in microseconds."""
    if isinstance(value, dict) and {"n", "p50"} <= value.keys():
        shown = (f"{name} {value[name] / 1e3:,.1f} us" for name in ("p50", "p99", "max") if value[name] is not None)
        return f"{value['n']:,}" + "".join(f", {text}" for text in shown)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        parts = ((name.replace("_", " "), _text(inner), isinstance(inner, dict)) for name, inner in value.items())
        return ", ".join(f"{name} ({text})" if nested else f"{name} {text}" for name, text, nested in parts if text) or "none"
    return "" if value is None else f"{value:,}" if isinstance(value, int | float) else str(value)
