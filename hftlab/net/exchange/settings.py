"""Everything about an exchange that can be chosen, checked before anything is bound, and the accounts that may log in.

Accounts come from a file or the environment, never from the command line, where everybody could read them:

    file         : one `USERNAME PASSWORD` a line; empty lines and lines that start with # are skipped
    environment  : HFTLAB_ACCOUNTS="USERNAME:PASSWORD,USERNAME:PASSWORD"

Usernames have 1 to 6 letters and digits, passwords 1 to 10; SoupBinTCP does not tell upper from lower case in either.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hftlab.errors import ConfigError, check_range
from hftlab.net.endpoints import GROUP_A, GROUP_B, LINE_A, LINE_B, LOOPBACK, ORDERS, REQUESTS
from hftlab.protocols.channel import SECOND_NS, Impairment, Pace

ACCOUNTS_VARIABLE = "HFTLAB_ACCOUNTS"
_USERNAME_LETTERS, _PASSWORD_LETTERS = 6, 10


@dataclass(frozen=True)
class ExchangeSettings:
    """Settings of an exchange; `on_free_ports` gives one that can run beside others. raises : ConfigError, naming the field

    pace                     : 1x, 8x, 0.5x (the feed's own time), 50000/s (messages per second) or max (as fast as possible)
    batch                    : messages due together share a datagram, up to 1400 bytes
    publish_burst            : datagrams sent in a row before orders are looked at, at least 1
    max_idle_gap_s           : a longer wait in the feed's own time is cut to this, seconds, at least 0
    line_a                   : where line A goes to, HOST:PORT, a multicast group or a host
    line_b                   : where line B goes to, HOST:PORT
    interface                : multicast leaves by the interface with this address
    loss                     : probability that a line loses a datagram, 0 to 1, for both lines or as P,P for A and B
    duplicate                : probability that a line repeats a datagram, written as loss
    reorder                  : probability that a line delays a datagram behind later ones, written as loss
    reorder_depth            : datagrams that overtake a delayed one, at most, 1 to 1,000
    line_seed                : of what the lines do to datagrams; each line draws its own numbers
    requests                 : where requests for lost messages are received, HOST:PORT
    orders                   : where connections for orders are accepted, HOST:PORT
    snapshots                : where connections for snapshots of the books are accepted, HOST:PORT; empty for nowhere
    session                  : name of the session, up to 10 letters and digits; empty for one made of the time
    wait                     : the feed starts when this many accounts are logged in, at least 0
    delay_s                  : the feed starts no earlier than this, seconds, at least 0
    heartbeat_after_end_s    : heartbeats go on for this long after the last message, seconds, at least 0
    end_repeat_s             : then the end of the session is repeated for this long, seconds, at least 0
    heartbeat_s              : silence after which a heartbeat is sent, seconds, 0.001 to 86,400
    login_timeout_s          : time a connection has for its login, seconds, 0.001 to 86,400
    idle_timeout_s           : silence after which a client's connection is closed, seconds, 0.001 to 86,400
    max_connections          : connections at a time, at least 1
    inbound_rate             : packets per second a connection may send; above, it is read more slowly, at least 1
    inbound_burst            : packets a connection may send at once, at least 1
    backlog                  : messages that may wait for a slow reader before its connection is closed, at least 1
    max_open_orders          : open orders of an account; more are rejected, at least 1
    max_messages_per_account : messages an account may be sent in a session, at least 1
    retransmit_window        : published messages that can be requested again, at least 1
    retransmit_rate          : answers to requests per second, at least 1
    cancel_on_disconnect     : cancel the open orders of an account whose connection is lost
    drop_copy                : account that is sent a copy of what every account is, and may enter nothing; empty for none
    spin                     : never sleep
    audit                    : file the audit log is appended to, one JSON object a line; None for none
    """

    pace: str = "1x"
    batch: bool = False
    publish_burst: int = 16
    max_idle_gap_s: float = 1.0
    line_a: str = LINE_A
    line_b: str = LINE_B
    interface: str = LOOPBACK
    loss: str = "0"
    duplicate: str = "0"
    reorder: str = "0"
    reorder_depth: int = 3
    line_seed: int = 1
    requests: str = REQUESTS
    orders: str = ORDERS
    snapshots: str = ""
    session: str = ""
    wait: int = 0
    delay_s: float = 0.0
    heartbeat_after_end_s: float = 0.0
    end_repeat_s: float = 3.0
    heartbeat_s: float = 1.0
    login_timeout_s: float = 10.0
    idle_timeout_s: float = 15.0
    max_connections: int = 64
    inbound_rate: float = 10_000
    inbound_burst: int = 2_000
    backlog: int = 65_536
    max_open_orders: int = 10_000
    max_messages_per_account: int = 1 << 20
    retransmit_window: int = 1 << 20
    retransmit_rate: float = 10_000
    cancel_on_disconnect: bool = True
    drop_copy: str = ""
    spin: bool = False
    audit: str | None = None

    def __post_init__(self) -> None:
        Pace.parse(self.pace)
        _ = self.chances
        for names, low, high, unit in _RANGES:
            for name in names.split():
                check_range(name, getattr(self, name), low, high, unit)
        if len(self.session) > 10 or (self.session and not (self.session.isascii() and self.session.isalnum())):
            raise ConfigError(f"session must be at most 10 ASCII letters and digits, got {self.session!r}")

    @classmethod
    def on_free_ports(cls, **settings: Any) -> ExchangeSettings:
        """Settings whose addresses, unless named, are ports that are free: for several exchanges on one machine."""
        free = {"line_a": f"{GROUP_A}:0", "line_b": f"{GROUP_B}:0", "requests": f"{LOOPBACK}:0", "orders": f"{LOOPBACK}:0"}
        return cls(**{**free, **settings})

    @property
    def chances(self) -> tuple[Impairment, Impairment]:
        """What lines A and B do to datagrams. raises : ConfigError"""
        pairs = [_pair(name, getattr(self, name)) for name in ("loss", "duplicate", "reorder")]
        a, b = (Impairment(loss, duplicate, reorder, self.reorder_depth) for loss, duplicate, reorder in zip(*pairs, strict=True))
        return a, b

    @property
    def session_name(self) -> str:
        """The session that was chosen, or one made of the time in ms, so that no two are the same."""
        return self.session or "HL" + np.base_repr(time.time_ns() // 1_000_000, 36)[-8:]

    @property
    def connection_limits(self) -> dict[str, int]:
        """The limits of one connection, for `soup_session.Server`."""
        times = ("heartbeat", "idle_timeout", "login_timeout")
        return {f"{name}_ns": int(getattr(self, f"{name}_s") * SECOND_NS) for name in times} | {"backlog": self.backlog}


# Names of fields, lowest and highest value, unit.
_RANGES: tuple[tuple[str, float, float | None, str], ...] = (
    ("publish_burst max_connections inbound_rate inbound_burst backlog max_open_orders", 1, None, ""),
    ("max_messages_per_account retransmit_window retransmit_rate", 1, None, ""),
    ("wait", 0, None, ""),
    ("delay_s heartbeat_after_end_s end_repeat_s max_idle_gap_s", 0, None, "s"),
    ("heartbeat_s login_timeout_s idle_timeout_s", 0.001, 86_400, "s"),
)


def _pair(name: str, text: str) -> tuple[float, float]:
    parts = text.split(",")
    try:
        if len(parts) > 2:
            raise ValueError
        return float(parts[0]), float(parts[-1])
    except ValueError:
        raise ConfigError(f"{name} must be a probability for both lines, or two as 0.1,0.2, got {text!r}") from None


def load_accounts(path: str | os.PathLike[str] | None = None, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Password by username, from the file if one is named, else from the environment.

    raises : ConfigError for what cannot be read, is no account, or if there is none; it never repeats a password
    """
    if path is None:
        entries = [entry for entry in environment.get(ACCOUNTS_VARIABLE, "").split(",") if entry.strip()]
        if not entries:
            text = f"name a file with --accounts FILE, or set {ACCOUNTS_VARIABLE}=USERNAME:PASSWORD,..."
            raise ConfigError(f"there are no accounts: {text}")
        return check_accounts((tuple(entry.strip().partition(":")[::2]) for entry in entries), ACCOUNTS_VARIABLE)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'is not text'}") from None
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return check_accounts(((row[0], row[1] if len(row) == 2 else "") for row in rows), str(path))


def check_accounts(accounts: Iterable[tuple[str, ...]], where: str) -> dict[str, str]:
    """The accounts, names in upper case. raises : ConfigError naming which entry is wrong, not what it says"""
    checked: dict[str, str] = {}
    for number, (name, password) in enumerate(accounts, start=1):
        for what, value, width in (("username", name, _USERNAME_LETTERS), ("password", password, _PASSWORD_LETTERS)):
            if not (value.isascii() and value.isalnum() and len(value) <= width):
                raise ConfigError(f"{where}: account {number}: the {what} must be 1 to {width} ASCII letters and digits")
        if name.upper() in checked:
            raise ConfigError(f"{where}: account {number}: the username {name.upper()!r} is there twice")
        checked[name.upper()] = password
    if not checked:
        raise ConfigError(f"{where}: there are no accounts in it; write one USERNAME PASSWORD a line")
    return checked
