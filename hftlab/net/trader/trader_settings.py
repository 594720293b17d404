"""Everything about a trader that can be chosen, checked before anything is bound."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from hftlab.errors import ConfigError
from hftlab.net.endpoints import LOOPBACK, Address
from hftlab.net.exchange import accounts

MS_NS = 1_000_000
VARIABLE = "HFTLAB_PASSWORD"


@dataclass(frozen=True)
class Settings:
    """Addresses are HOST:PORT, times in milliseconds.

    lines        : one or two, multicast groups or addresses of ours; interface: groups are joined on it
    requests     : where lost messages are asked for, "" for nowhere
    orders       : where orders go to
    username, password, version : of the SoupBinTCP login (3.00, 4.00, 4.10); the password is never shown
    journal      : everything that happens is appended to this file, one JSON object a line; None for none
    kill_file    : while this file exists nothing is sent; None for none
    max_loss     : in currency, realised and not, at the mid; beyond it the kill switch falls. None for no limit
    window       : messages that may wait for a missing one; patience_ms, retry_ms, give_up: see `Arbiter`
    silence_ms   : without a datagram for so long every book is stale
    replays      : how often, after messages were lost for good, the session is asked for again from its first message
    settle_ms    : after a login the exchange's answer, or so long a silence, ends what it had to repeat
    reconnect_ms : wait before a new connection, doubled each time up to longest_ms
    connect_ms   : for a connection to stand and a login to be answered; dead_ms: the exchange may be silent for so long
    goodbye_ms   : at the end, for the last cancels to be answered
    spin         : never sleep; stay : do not end with the feed's session, but wait for another one
    """

    lines: tuple[str, ...]
    orders: str
    requests: str = ""
    username: str = "TRADER"
    password: str = field(default="", repr=False)
    version: str = "4.00"
    interface: str = LOOPBACK
    journal: str | None = None
    kill_file: str | None = None
    max_loss: float | None = None
    window: int = 1024
    patience_ms: float = 2.0
    retry_ms: float = 50.0
    give_up: int = 10
    silence_ms: float = 3_000.0
    replays: int = 3
    settle_ms: float = 500.0
    reconnect_ms: float = 100.0
    longest_ms: float = 5_000.0
    connect_ms: float = 5_000.0
    dead_ms: float = 15_000.0
    goodbye_ms: float = 1_000.0
    spin: bool = False
    stay: bool = False

    def __post_init__(self) -> None:
        if not 1 <= len(self.lines) <= 2:
            raise ConfigError(f"there are {len(self.lines)} lines; allowed are one or two")
        for number, text in enumerate(self.lines):
            Address.parse(text, f"line {'AB'[number]}")
        Address.parse(self.orders, "orders")
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name.endswith("_ms") and not 0 < value <= 86_400_000:
                raise ConfigError(f"{one.name} is {value}; allowed is a time above 0 ms, at most a day")
        if not 0 <= self.replays <= 1_000 or not 1 <= self.give_up <= 1_000:
            raise ConfigError(f"replays is {self.replays}, give_up {self.give_up}; allowed are 0 and 1 to 1000")
        if self.max_loss is not None and not self.max_loss >= 0:
            raise ConfigError(f"max_loss is {self.max_loss}; allowed is 0 or more")

    @property
    def patience_ns(self) -> int:
        return int(self.patience_ms * MS_NS)

    @property
    def retry_ns(self) -> int:
        return int(self.retry_ms * MS_NS)

    @property
    def silence_ns(self) -> int:
        return int(self.silence_ms * MS_NS)


def secret(username: str, path: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """The password: from a file of accounts (see `accounts`) if one is named, else from HFTLAB_PASSWORD or HFTLAB_ACCOUNTS.

    raises : ConfigError where there is none for this username; it never repeats a password
    """
    if path is None and environment.get(VARIABLE):
        return environment[VARIABLE]
    if path is None and not environment.get(accounts.VARIABLE):
        raise ConfigError(f"there is no password for {username!r}: name a file with --accounts FILE, or set {VARIABLE}")
    found = accounts.load(path, environment)
    if username.upper() not in found:
        raise ConfigError(f"{path or accounts.VARIABLE}: there is no account {username.upper()!r} in it")
    return found[username.upper()]
