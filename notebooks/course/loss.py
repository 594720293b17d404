"""A numbered stream over lossy lines: how much arrives, and how long the book is stale; in computed time, by seed alone.

A message leaves every `GAP_NS`, each in a datagram of its own, on every line at once. A retransmission arrives `ANSWER_NS` after
its request, over a line that loses as much. Lines and arbiter are those of hftlab.protocols.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from hftlab.errors import check_range
from hftlab.protocols.arbiter import Arbiter
from hftlab.protocols.channel import Impairment, LossyChannel
from hftlab.protocols.moldudp64 import encode, end

if TYPE_CHECKING:
    import polars as pl

SESSION = b"LESSON 09 "
GAP_NS, ANSWER_NS, PATIENCE_NS = 10_000, 50_000, 20_000
_AFTER = 20_000  # end-of-session messages, at most
_REQUESTS = 20  # without an answer before a message is given up


def simulate_loss(
    losses: Iterable[float],
    *,
    lines: int = 1,
    requests: bool = False,
    together: bool = False,
    messages: int = 20_000,
    seed: int = 1,
) -> pl.DataFrame:
    """One row per chance of losing a datagram: loss, lost (share of the messages that never came), stale (share of the time in
    which the book was known to be incomplete), requests, recovered.

    losses   : probabilities per datagram and line
    requests : request retransmission of what no line brought
    together : all lines lose the same datagrams: two names for one cable
    raises   : ConfigError for no line or more than 9, or no message
    """
    import polars as pl

    check_range("lines", lines, 1, 9)
    check_range("messages", messages, 1)
    packets = [encode(SESSION, number, [b"%012d" % number]) for number in range(1, messages + 1)]
    rows = []
    for loss in losses:
        names = ["A"] * lines if together else [chr(ord("A") + place) for place in range(lines)]
        channels = [LossyChannel(name, Impairment(loss=loss), seed) for name in names]
        rows.append(
            {"loss": float(loss), **_run(packets, channels, LossyChannel("answers", Impairment(loss=loss), seed), requests)}
        )
    return pl.DataFrame(rows)


def _run(packets: list[bytes], channels: list[LossyChannel], back: LossyChannel, requests: bool) -> dict[str, float]:
    arbiter = Arbiter(
        SESSION, gap_timeout_ns=PATIENCE_NS, request_interval_ns=2 * ANSWER_NS, max_requests=_REQUESTS if requests else 0
    )
    answers: deque[tuple[int, bytes]] = deque()
    goodbye, arrived, stale = end(SESSION, len(packets) + 1), 0, 0
    for step in range(len(packets) + _AFTER):
        now = step * GAP_NS
        while answers and answers[0][0] <= now:
            arrived += arbiter.receive(len(channels), answers.popleft()[1], now).count
        for number, channel in enumerate(channels):
            for datagram in channel.carry(packets[step] if step < len(packets) else goodbye):
                arrived += arbiter.receive(number, datagram, now).count
        for request in arbiter.due(now):
            for packet in packets[request.sequence - 1 : request.sequence - 1 + request.count]:
                answers.extend((now + ANSWER_NS, datagram) for datagram in back.carry(packet))
        if step < len(packets):
            stale += arbiter.stale
        elif arbiter.finished:
            break
    arrived += sum(delivery.count for delivery in arbiter.abandon())
    total = len(packets)
    counts = {"requests": arbiter.counts["requests"], "recovered": arbiter.counts["recovered"]}
    return {"lost": (total - arrived) / total, "stale": stale / total, **counts}
