"""Everything about a trader that can be chosen, checked before anything is bound."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from hftlab.errors import ConfigError, check_range
from hftlab.net.endpoints import LINE_A, LINE_B, LOOPBACK, ORDERS, REQUESTS, Address
from hftlab.net.exchange.settings import ACCOUNTS_VARIABLE, load_accounts

MS_NS = 1_000_000
PASSWORD_VARIABLE = "HFTLAB_PASSWORD"
_DAY_MS = 86_400_000


@dataclass(frozen=True)
class TraderSettings:
    """Settings of a trader. raises : ConfigError, naming the field

    lines                : one or two lines to listen to, HOST:PORT, multicast groups or addresses of this machine
    orders               : where orders are sent, HOST:PORT
    requests             : where lost messages are requested, HOST:PORT; empty for nowhere
    snapshots            : where a snapshot of the books is had when many messages were before ours, HOST:PORT; empty for nowhere
    username             : of the SoupBinTCP login
    password             : of the login, see `find_password`; it is never shown
    version              : of SoupBinTCP: 3.00, 4.00 or 4.10
    interface            : multicast groups are joined on the interface with this address
    journal              : file the journal is appended to, one JSON object a line; None for none
    kill_file            : while this file exists nothing is sent; None for none
    max_loss             : loss in currency, realised and at the mid, that triggers the kill switch; at least 0, None for no limit
    window               : messages that may wait for a missing one, at least 1
    gap_timeout_ms       : wait for a missing message before it is requested, above 0 to a day
    request_interval_ms  : between two requests for a missing message, longer and longer while nothing comes; above 0 to a day
    max_age_ms           : nothing is traded on a message that was received longer ago than this, above 0 to a day
    max_rejects          : nothing is sent while this many orders were rejected within `rejects_within_ms`, at least 1
    rejects_within_ms    : see `max_rejects`, above 0 to a day
    ack_timeout_ms       : nothing is sent while an order is unanswered for longer than this, above 0 to a day
    silence_ms           : without a datagram for this long every book is stale, above 0 to a day
    resync_timeout_ms    : after a login, silence that ends what the exchange had to repeat, above 0 to a day
    reconnect_ms         : wait before a new connection, doubled each time up to max_backoff_ms, above 0 to a day
    max_backoff_ms       : longest wait before a new connection, above 0 to a day
    connect_timeout_ms   : for a connection to be made, and for a login to be answered, above 0 to a day
    idle_timeout_ms      : silence of the exchange after which the connection is closed, above 0 to a day
    shutdown_timeout_ms  : at the end, for the last cancels to be answered, above 0 to a day
    spin                 : never sleep
    run_forever          : do not end with the feed's session, but wait for another one
    """

    lines: tuple[str, ...] = (LINE_A, LINE_B)
    orders: str = ORDERS
    requests: str = REQUESTS
    snapshots: str = ""
    username: str = "TRADER"
    password: str = field(default="", repr=False)
    version: str = "4.00"
    interface: str = LOOPBACK
    journal: str | None = None
    kill_file: str | None = None
    max_loss: float | None = None
    window: int = 1024
    gap_timeout_ms: float = 2.0
    request_interval_ms: float = 20.0
    max_age_ms: float = 50.0
    max_rejects: int = 20
    rejects_within_ms: float = 1_000.0
    ack_timeout_ms: float = 1_000.0
    silence_ms: float = 3_000.0
    resync_timeout_ms: float = 500.0
    reconnect_ms: float = 100.0
    max_backoff_ms: float = 5_000.0
    connect_timeout_ms: float = 5_000.0
    idle_timeout_ms: float = 15_000.0
    shutdown_timeout_ms: float = 1_000.0
    spin: bool = False
    run_forever: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "lines", tuple(self.lines))
        check_range("the number of lines", len(self.lines), 1, 2)
        for number, text in enumerate(self.lines):
            Address.parse(text, f"line {'AB'[number]}")
        Address.parse(self.orders, "orders")
        for one in fields(self):
            if one.name.endswith("_ms"):
                check_range(one.name, getattr(self, one.name), 0.001, _DAY_MS, "ms")
        check_range("window", self.window, 1)
        check_range("max_rejects", self.max_rejects, 1)
        if self.max_loss is not None:
            check_range("max_loss", self.max_loss, 0)

    def ns(self, name: str) -> int:
        """A time in nanoseconds, by its name without the unit: `ns("silence")`."""
        return int(getattr(self, f"{name}_ms") * MS_NS)


def find_password(username: str, path: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """The password: from a file of accounts (see `load_accounts`) if one is named, else from HFTLAB_PASSWORD or HFTLAB_ACCOUNTS.

    raises : ConfigError where there is none for this username; it never repeats a password
    """
    if path is None and environment.get(PASSWORD_VARIABLE):
        return environment[PASSWORD_VARIABLE]
    if path is None and not environment.get(ACCOUNTS_VARIABLE):
        text = f"name a file with --accounts FILE, or set {PASSWORD_VARIABLE} or {ACCOUNTS_VARIABLE}"
        raise ConfigError(f"there is no password for {username!r}: {text}")
    accounts = load_accounts(path, environment)
    if username.upper() not in accounts:
        raise ConfigError(f"{path or ACCOUNTS_VARIABLE}: there is no account {username.upper()!r} in it")
    return accounts[username.upper()]
