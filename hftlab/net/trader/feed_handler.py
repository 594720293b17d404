"""The receiving end of the feed: two lines and the answers to requests, arbitrated into one stream, with what can be relied on.

    fresh    everything up to now has come, and something was heard lately
    gap      messages are missing, and asked for
    silent   nothing was heard for a while, not even a heartbeat
    lost     messages are missing for good
    session  another session has taken the place of ours

A lost message may have concerned any instrument, so whatever is not `fresh` makes every book stale.
"""

from __future__ import annotations

import socket
import struct
from collections import Counter
from collections.abc import Callable

from hftlab.errors import ConfigError
from hftlab.net.endpoints import Address, bind
from hftlab.net.trader.settings import TraderSettings
from hftlab.protocols.arbiter import Arbiter, Delivery
from hftlab.protocols.moldudp64 import END, HEADER

_LARGEST = 65_536  # no datagram is longer
_BURST = 64  # datagrams taken from one socket before the others have their turn
_RECEIVE_BUFFER = 1 << 22  # bytes asked of the system for each line
_END = END.to_bytes(2, "big")
ANSWERS = 2  # the line number of answers to requests


class FeedHandler:
    """Sockets and arbiter.

    counts   : strangers (answers from elsewhere), refused (requests that the system did not take)
    heard_ns : when something of our session came last
    ending   : the latest that was heard without messages was the end of the session
    """

    def __init__(self, settings: TraderSettings) -> None:
        self.settings = settings
        self.arbiter = Arbiter(
            window=settings.window, patience_ns=settings.ns("gap_timeout"), retry_ns=settings.ns("request_interval"),
            give_up=settings.max_requests if settings.requests else 0,
        )  # fmt: skip
        self.counts: Counter[str] = Counter()
        self.heard_ns, self.ending = 0, False
        self.lines: list[socket.socket] = []
        self.requests: socket.socket | None = None
        self._server = Address.parse(settings.requests, "requests") if settings.requests else None

    def open(self) -> None:
        """Bind and join. raises : ConfigError for an address that cannot be had; then nothing stays open"""
        try:
            for number, text in enumerate(self.settings.lines):
                self.lines.append(listener(Address.parse(text, f"line {'AB'[number]}"), self.settings.interface))
            if self._server:
                self.requests = bind(socket.SOCK_DGRAM, Address(_towards(self._server), 0), "requests")
        except ConfigError:
            self.close()
            raise

    def close(self) -> None:
        for made in (*self.lines, self.requests):
            if made:
                made.close()

    @property
    def numbered(self) -> dict[int, socket.socket]:
        """The sockets by the number that `receive` takes."""
        return {**dict(enumerate(self.lines)), **({ANSWERS: self.requests} if self.requests else {})}

    def state(self, now_ns: int) -> str:
        """One of the words above."""
        if self.arbiter.changed is not None:
            return "session"
        if self.arbiter.lost:
            return "lost"
        if self.arbiter.stale or not self.heard_ns:
            return "gap"
        return "silent" if now_ns - self.heard_ns > self.settings.ns("silence") else "fresh"

    def receive(self, number: int, take: Callable[[Delivery, int], None], clock: Callable[[], int]) -> int:
        """Take what waits on one socket, a burst at most; `take` gets each delivery, and when its datagram had come.

        number : of the line, ANSWERS for the answers to requests
        """
        made = self.requests if number == ANSWERS else self.lines[number]
        assert made is not None
        for count in range(_BURST):
            try:
                datagram, peer = made.recvfrom(_LARGEST)
            except OSError:  # nothing waits, or an error of a datagram sent before: the next one tells
                return count
            now_ns = clock()
            if number == ANSWERS and peer != self._server:
                self.counts["strangers"] += 1
                continue
            heard = self.arbiter.heard
            delivery = self.arbiter.receive(number, datagram, now_ns)
            if heard.get(number) == now_ns:
                self.heard_ns = now_ns
                self.ending = datagram[18:20] == _END if len(datagram) == HEADER.size else self.ending
            take(delivery, now_ns)
        return _BURST

    def due(self, now_ns: int) -> None:
        """Ask for what is missing, if it is time to."""
        for request in self.arbiter.due(now_ns):
            if self.requests and self._server:
                try:
                    self.requests.sendto(request.encode(), self._server)
                except OSError:  # asked again later
                    self.counts["refused"] += 1

    def restart(self, session: bytes | None) -> None:
        """Begin again at message 1: of this session, or of a new one."""
        self.arbiter.restart(session, 1)


def listener(address: Address, interface: str) -> socket.socket:
    """A socket that receives what is sent to an address, a multicast group joined on one interface. raises : ConfigError"""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        if address.multicast:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        if address.multicast:
            group = struct.pack("4s4s", socket.inet_aton(address.host), socket.inet_aton(interface))
            made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
    except OSError as error:
        made.close()
        raise ConfigError(f"line {address}: cannot be listened to: {error.strerror}") from None
    return made


def _towards(server: Address) -> str:
    """The address of ours from which a server is reached; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(server)
        except OSError as error:
            raise ConfigError(f"requests {server}: cannot be reached: {error.strerror}") from None
        return str(probe.getsockname()[0])
