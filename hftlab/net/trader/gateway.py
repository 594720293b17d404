"""The sending end: one SoupBinTCP connection for orders, lost and opened again, and the fate of what was sent on it.

    down -- connect --> connecting --> login --> resync --> ready
      ^------------- after a wait that doubles -----|

After a login the exchange repeats what it has sent since our last message, then answers our account query with the next
UserRefNum that it will take: then we are ready. Where it repeats a session from its first message, answers to earlier queries
are among it, so the last one counts, once nothing has followed it for a tenth of `resync_timeout_ms`.

Orders that were on their way when the connection broke are not sent again, since a price seconds old is not what was decided on:
those with a number that the exchange still expects never arrived (`lost`), of the others it has spoken meanwhile. Where no answer
comes, silence ends the wait, and orders it has not spoken of are `unknown`. A login that is refused is not tried again.
"""

from __future__ import annotations

import errno
import os
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import NamedTuple

from hftlab.errors import WireError
from hftlab.net.endpoints import Address, System
from hftlab.net.trader.settings import MS_NS, TraderSettings
from hftlab.protocols import ouch
from hftlab.protocols.soup_session import OPEN, Client, CloseReason, Event

_RECEIVE = 1 << 16
_OUTBOX = 1 << 20  # bytes that may wait for the socket; a peer that stops reading is treated as disconnected


class GatewayState(Enum):
    """Where the connection stands; see above. REFUSED: the login was, or another one took the account; it is not tried again."""

    DOWN = "down"
    CONNECTING = "connecting"
    LOGIN = "login"
    RESYNC = "resync"
    READY = "ready"
    REFUSED = "refused"


class EventKind(Enum):
    """What came on the connection; the value is what the journal says.

    DEBUG : a remark of the exchange; UP : a login was accepted; SETTLED : the exchange has repeated everything; ENDED : the
    session, in order; GONE : the session, and with it what it had not sent yet; REFUSED : the login, or the account is used
    elsewhere now
    """

    MESSAGE = "message"
    DEBUG = "debug"
    UNREADABLE = "unreadable"
    UP = "up"
    SETTLED = "settled"
    DOWN = "down"
    ENDED = "ended"
    GONE = "gone"
    REFUSED = "refused"


class GatewayEvent(NamedTuple):
    """message : of the exchange; text : why, in words; next_ref : the UserRefNum it takes next, 0 if unanswered."""

    kind: EventKind
    message: ouch.Message | None = None
    text: str = ""
    next_ref: int = 0


class Gateway:
    """The connection and its client.

    on_send : called with each message that is sent, before it leaves
    why    : it is down, in words; hint : what the exchange has said of that
    over   : the session of the orders has ended, and no other was found
    counts : connections, logins, breaks, sent (orders and cancels), heartbeats
    """

    def __init__(self, settings: TraderSettings, system: System) -> None:
        self.settings, self.system, self.state = settings, system, GatewayState.DOWN
        self.address = Address.parse(settings.orders, "orders")
        idle_timeout_ns = settings.ns("idle_timeout")
        self.client = Client(settings.username, settings.password, idle_timeout_ns=idle_timeout_ns, version=settings.version)
        self.on_send: Callable[[bytes], None] | None = None
        self.counts: Counter[str] = Counter()
        self.why, self.hint, self.over = "", "", False
        self.socket: socket.socket | None = None
        self._outbox = bytearray()
        self._wait_ms = settings.reconnect_ms
        self._due_ns = 0
        self._last_seen_ns = 0
        self._answer = 0  # of an account query, while something may follow it
        self._from_first = True
        self._ready_ns = 0  # when the latest login was accepted
        self._heard = ("", 0)  # a session that has ended, and the number after the last of its messages

    @property
    def ready(self) -> bool:
        """Whether orders may be sent."""
        return self.state is GatewayState.READY

    @property
    def pending(self) -> bool:
        """Whether the socket is to be watched for room, too."""
        return bool(self._outbox) or self.state is GatewayState.CONNECTING

    def send(self, payload: bytes, now_ns: int) -> bool:
        """Send one message now; False where that is not possible. What the socket does not take at once follows by itself.

        A break in the midst of it counts as sent: whether it arrived is known after the next login.
        """
        if self.client.state != OPEN or self.socket is None:
            return False
        if self.on_send:
            self.on_send(payload)
        packet = self.client.send(payload, now_ns)
        self.counts["sent"] += 1
        if self._outbox:
            self._outbox += packet
        else:
            try:
                taken = self.socket.send(packet)
            except (BlockingIOError, InterruptedError):
                taken = 0
            except OSError:
                taken = len(packet)  # `receive` will meet the same error
            if taken < len(packet):
                self._outbox += packet[taken:]
        return True

    def poll(self, now_ns: int) -> list[GatewayEvent]:
        """Read what has come and write what waits; connects when it is time to. Never blocks."""
        if self.socket is None:
            if self.state is GatewayState.REFUSED or now_ns < self._due_ns:
                return []
            return self._connect(now_ns)
        if self.state is GatewayState.CONNECTING:
            return self._connected(now_ns)
        events = self._receive(now_ns)
        if self.socket is not None:
            self._flush()
        return events

    def due(self, now_ns: int) -> list[GatewayEvent]:
        """Let time pass: heartbeats, a login that is not answered, a peer that is silent, the end of settling."""
        if self.socket is None:
            return []
        if self.state in (GatewayState.CONNECTING, GatewayState.LOGIN) and now_ns > self._due_ns:
            what = "connection" if self.state is GatewayState.CONNECTING else "answer to the login"
            return self._down(now_ns, f"no {what} in time")
        if beat := self.client.due(now_ns):
            self.counts["heartbeats"] += 1
            self._outbox += beat
        if self.client.closed and self.state is not GatewayState.CONNECTING:  # then it still says why the one before ended
            return self._down(now_ns, self.client.closed)
        if len(self._outbox) > _OUTBOX:
            return self._down(now_ns, f"the exchange does not read: {len(self._outbox)} bytes wait for it")
        wait_ms = self.settings.resync_timeout_ms / 10 if self._answer else self.settings.resync_timeout_ms
        if self.state is GatewayState.RESYNC and now_ns - self._last_seen_ns > wait_ms * MS_NS:
            self.state = GatewayState.READY
            return [GatewayEvent(EventKind.SETTLED, next_ref=self._answer)]
        return []

    def close(self, now_ns: int) -> None:
        """Log out, if logged in, and close."""
        if self.socket is None:
            return
        if goodbye := self.client.logout():
            with suppress(OSError):
                self.socket.send(bytes(self._outbox) + goodbye)
        self._drop()

    def _connect(self, now_ns: int) -> list[GatewayEvent]:
        opened = self.system.client()
        self.counts["connections"] += 1
        self.socket, self.state, self._due_ns = opened, GatewayState.CONNECTING, now_ns + self.settings.ns("connect_timeout")
        code = opened.connect_ex(self.address)
        if code not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
            return self._down(now_ns, os.strerror(code))
        return self._connected(now_ns)

    def _connected(self, now_ns: int) -> list[GatewayEvent]:
        """See whether the connection stands; then log in."""
        assert self.socket is not None
        if code := self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return self._down(now_ns, os.strerror(code))
        try:
            self.socket.getpeername()
        except OSError:
            return []  # not yet
        self.state, self._due_ns = GatewayState.LOGIN, now_ns + self.settings.ns("connect_timeout")
        self._outbox = bytearray(self.client.connected(now_ns))
        self._flush()
        return []

    def _receive(self, now_ns: int) -> list[GatewayEvent]:
        assert self.socket is not None
        try:
            data = self.socket.recv(_RECEIVE)
        except (BlockingIOError, InterruptedError):
            return []
        except OSError as error:
            return self._down(now_ns, error.strerror or "broken")
        if not data:
            return self._down(now_ns, "the exchange hung up")
        events = [one for event in self.client.receive(data, now_ns) for one in self._on_event(event, now_ns)]
        if self.client.closed:
            events += self._down(now_ns, self.client.closed)
        return events

    def _on_event(self, event: Event, now_ns: int) -> list[GatewayEvent]:
        if event.kind == "accepted":
            self.state, self._last_seen_ns, self._ready_ns = GatewayState.RESYNC, now_ns, now_ns
            self._answer, self._from_first, self.over = 0, event.sequence <= 1, False
            self.counts["logins"] += 1
            if self.client.state == OPEN:  # what came behind it may have broken the stream already
                self._outbox += self.client.send(ouch.AccountQuery().encode(), now_ns)
            return [GatewayEvent(EventKind.UP, text=event.payload.decode("latin-1"))]
        if event.kind == "message":
            self._last_seen_ns = now_ns
            ended, until = self._heard
            return self._message(event.payload) if self.client.session != ended or event.sequence >= until else []
        if event.kind == "rejected":
            if event.payload == b"S" and self.client.session:  # our session is over: any other will do
                self.client.session, self.client.next = "", 1
                return [GatewayEvent(EventKind.GONE, text="the session is not available any more")]
            self.state = GatewayState.REFUSED
            return [GatewayEvent(EventKind.REFUSED, text=self.client.closed)]
        if event.kind == "debug":
            return self._on_debug(event.payload.decode("latin-1"))
        if event.kind == "end":
            self.over, self._heard = True, (self.client.session, event.sequence)
            return [GatewayEvent(EventKind.ENDED, text="end of session")]
        return []

    def _on_debug(self, text: str) -> list[GatewayEvent]:
        """What this exchange says before it hangs up, `reason: text`. Two traders of one account only cancel each other."""
        self.hint = text
        if text.partition(":")[0] != CloseReason.TAKEN_OVER.value:
            return [GatewayEvent(EventKind.DEBUG, text=text)]
        self.state = GatewayState.REFUSED
        return [GatewayEvent(EventKind.REFUSED, text=text)]

    def _message(self, payload: bytes) -> list[GatewayEvent]:
        try:
            message = ouch.decode_outbound(payload)
        except WireError as error:
            return [GatewayEvent(EventKind.UNREADABLE, text=str(error))]
        events = [GatewayEvent(EventKind.MESSAGE, message)]
        answer = message.user_ref if isinstance(message, ouch.AccountQueryResponse) else 0
        if self.state is GatewayState.RESYNC and self._from_first:
            self._answer = answer
        elif answer:
            self.state = GatewayState.READY
            events.append(GatewayEvent(EventKind.SETTLED, next_ref=answer))
        return events

    def _flush(self) -> None:
        """Write what waits, as far as the socket takes it; an error is met by the next read."""
        if self._outbox and self.socket is not None:
            try:
                del self._outbox[: self.socket.send(self._outbox)]
            except OSError:
                return

    def _down(self, now_ns: int, why: str) -> list[GatewayEvent]:
        """The connection is gone: once more after a wait."""
        was, hint, self.hint = self.state, self.hint, ""
        self._drop()
        self.client.lost(why)
        self.why = f"{why}: {hint}" if hint else why
        if self._ready_ns and now_ns - self._ready_ns > self.settings.ns("max_backoff"):  # it was a good one
            self._wait_ms = self.settings.reconnect_ms
        self._ready_ns = 0
        self.state = GatewayState.REFUSED if was is GatewayState.REFUSED else GatewayState.DOWN
        self._due_ns = now_ns + int(self._wait_ms * MS_NS)
        self._wait_ms = min(2 * self._wait_ms, self.settings.max_backoff_ms)
        self.counts["breaks"] += was in (GatewayState.RESYNC, GatewayState.READY)
        return [GatewayEvent(EventKind.DOWN, text=self.why)]

    def _drop(self) -> None:
        if self.socket is not None:
            self.socket.close()
        self.socket, self.state = None, GatewayState.DOWN
        self._outbox.clear()
