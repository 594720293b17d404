"""Everything about an exchange that can be chosen, checked before anything is bound."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, fields

import numpy as np

from hftlab.errors import ConfigError
from hftlab.net.endpoints import LOOPBACK
from hftlab.protocols.lines import Chances
from hftlab.protocols.pacing import Pace

SECOND_NS = 1_000_000_000
GROUP_A, GROUP_B = "239.255.71.1", "239.255.71.2"  # of the organisation-local scope, which no router forwards


@dataclass(frozen=True)
class Settings:
    """Times in seconds, sizes as they are named; what is bounded here has no larger bound anywhere else.

    pace, batch      : see `Pace` and `Publisher`; burst: datagrams sent in a row before orders are looked at
    longest_lull_s   : a longer wait in the feed's own time is cut to this
    line_a, line_b   : where the two lines go to, HOST:PORT; interface: multicast leaves by it
    chances          : of line A and of line B; seed: of both, each draws its own numbers
    requests, orders : where requests for lost messages and connections for orders are listened to
    session          : up to 10 letters and digits; "" makes one of the time
    wait, delay_s    : the feed starts when so many accounts are logged in, and not before this delay
    stay_s, linger_s : after the last message heartbeats go on for the one, then the end of the session is repeated for the other
    login_s, dead_s  : a connection may be silent so long before its login, and after it
    rate, burst_in   : packets a connection may send per second, and at once; above, it is read more slowly
    backlog          : messages that may wait for a slow reader before its connection is closed
    most_live        : live orders an account may have; most_told: messages it may be told in a session
    keep             : published messages that can be asked for again; resend_rate: answers per second
    audit            : file of the audit log, None for none
    """

    pace: str = "1x"
    batch: bool = False
    burst: int = 16
    longest_lull_s: float = 1.0
    line_a: str = f"{GROUP_A}:0"
    line_b: str = f"{GROUP_B}:0"
    interface: str = LOOPBACK
    chances: tuple[Chances, Chances] = (Chances(), Chances())
    seed: int = 1
    requests: str = f"{LOOPBACK}:0"
    orders: str = f"{LOOPBACK}:0"
    session: str = ""
    wait: int = 0
    delay_s: float = 0.0
    stay_s: float = 0.0
    linger_s: float = 3.0
    heartbeat_s: float = 1.0
    login_s: float = 10.0
    dead_s: float = 15.0
    connections: int = 64
    rate: float = 10_000
    burst_in: int = 2_000
    backlog: int = 65_536
    most_live: int = 10_000
    most_told: int = 1 << 20
    keep: int = 1 << 20
    resend_rate: float = 10_000
    cancel_on_disconnect: bool = True
    spin: bool = False
    audit: str | None = None

    def __post_init__(self) -> None:
        Pace.parse(self.pace)
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in _AT_LEAST_ONE and not value >= 1:
                raise ConfigError(f"{field.name} is {value}; allowed is 1 or more")
            if field.name in _NOT_NEGATIVE and not value >= 0:
                raise ConfigError(f"{field.name} is {value}; allowed is 0 or more")
            if field.name in _POSITIVE_TIMES and not 0 < value < math.inf:
                raise ConfigError(f"{field.name} is {value}; allowed is a time above 0 seconds")
        if len(self.session) > 10 or (self.session and not (self.session.isascii() and self.session.isalnum())):
            raise ConfigError(f"session is {self.session!r}; allowed are at most 10 ASCII letters and digits")

    def session_now(self) -> str:
        """The session's name: the one that was chosen, or one made of the time in ms, so that no two are the same."""
        return self.session or "HL" + np.base_repr(time.time_ns() // 1_000_000, 36)[-8:]

    def limits(self) -> dict[str, int]:
        """Those of one connection, for `soup_server.Server`."""
        seconds = {"heartbeat_ns": self.heartbeat_s, "dead_ns": self.dead_s, "login_ns": self.login_s}
        return {name: int(value * SECOND_NS) for name, value in seconds.items()} | {"backlog": self.backlog}


_AT_LEAST_ONE = {"burst", "connections", "rate", "burst_in", "backlog", "most_live", "most_told", "keep", "resend_rate"}
_NOT_NEGATIVE = {"wait", "delay_s", "stay_s", "linger_s", "longest_lull_s"}
_POSITIVE_TIMES = {"heartbeat_s", "login_s", "dead_s"}
