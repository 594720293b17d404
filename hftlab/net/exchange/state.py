"""What outlives an exchange process: the session, what every account has been told, and how far the feed has been published.

The same is in the audit log, so a session can be taken up again from there. The sequenced messages say everything else: which
UserRefNum comes next, and which orders were live. Those are canceled when the session is taken up: their place in the queue,
and what had been taken of the displayed book, is gone with the process.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from hftlab.errors import ConfigError, WireError
from hftlab.net.exchange import audit
from hftlab.net.exchange.ledger import ORDERS
from hftlab.net.exchange.market import MATCHES
from hftlab.protocols import ouch


@dataclass
class State:
    """session : 1 to 10 letters and digits; streams : sequenced messages by account; published : the feed's next number."""

    session: str
    streams: dict[str, list[bytes]] = field(default_factory=dict)
    published: int = 1

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> State:
        """The latest session in an audit log. raises : ConfigError for a log without one, or with a gap in what was told"""
        state: State | None = None
        for line in audit.lines(path):
            name = line.get("session")
            if not isinstance(name, str):
                continue
            if state is None or state.session != name:
                state = cls(name)
            if line.get("event") == "published":
                state.published = max(state.published, int(line["next"]))
            if line.get("event") == "out":
                stream = state.streams.setdefault(line["account"], [])
                if line["sequence"] != len(stream) + 1:
                    text = f"message {line['sequence']} of {line['account']} follows message {len(stream)}"
                    raise ConfigError(f"audit log {path}: session {name!r} cannot be taken up again: {text}")
                stream.append(bytes.fromhex(line["raw"]))
        if state is None:
            raise ConfigError(f"audit log {path}: there is no session in it")
        return state


@dataclass
class Told:
    """What the sequenced messages of one account say: the next UserRefNum, the shares left of each order, the last numbers."""

    next_ref: int = 1
    live: dict[int, int] = field(default_factory=dict)
    order_number: int = ORDERS
    match_number: int = MATCHES

    @classmethod
    def by(cls, stream: list[bytes]) -> Told:
        """From the messages of one account, the first one first."""
        told = cls()
        for raw in stream:
            try:
                told._hear(ouch.decode_outbound(raw))
            except WireError:
                continue  # written by another version
        told.live = {ref: left for ref, left in told.live.items() if left}
        return told

    def _hear(self, message: ouch.Message) -> None:
        match message:
            case ouch.Accepted() | ouch.Replaced():
                self.live[message.user_ref] = message.quantity
                self.order_number = max(self.order_number, message.order_reference)
                if isinstance(message, ouch.Replaced):
                    self.live.pop(message.orig_user_ref, None)
            case ouch.Executed():
                self.live[message.user_ref] = self.live.get(message.user_ref, 0) - message.quantity
                self.match_number = max(self.match_number, message.match_number)
            case ouch.Canceled() | ouch.AiqCanceled():
                self.live[message.user_ref] = self.live.get(message.user_ref, 0) - message.quantity
            case ouch.Modified():
                self.live[message.user_ref] = message.quantity
        if isinstance(
            message,
            ouch.Accepted | ouch.Replaced | ouch.Rejected | ouch.MassCancelResponse | ouch.DisableResponse | ouch.EnableResponse,
        ):
            self.next_ref = max(self.next_ref, message.user_ref + 1)
