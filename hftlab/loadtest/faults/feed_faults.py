"""Faults of the feed: what happens to datagrams on the two lines."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Callable
from functools import partial

from hftlab.loadtest.faults.testbed import Ends, Fault, TestBed
from hftlab.net.trader.gates import HoldReason

_LARGEST = 65_507  # bytes that a datagram can have
_SHARE = 0.1  # of datagrams that are damaged


Mangle = Callable[[random.Random, bytes], bytes]


def _through(*names: str) -> Callable[[TestBed], None]:
    """The fault lasts for the whole feed; `names` must have happened to the trader, by the arbiter's counts."""

    def act(bed: TestBed) -> None:
        bed.complete()
        for line in bed.exchange.lines.values():
            bed.seen.update({name: n for name, n in line.counts.items() if name not in ("sent", "dropped")})
        bed.note(*names, "gaps", "requests", "recovered")
        for name in names:
            bed.must(bed.seen[name], f"the fault did not happen: {name} is 0 at the trader")

    return act


def _mangled(mangle: Mangle, *names: str) -> Callable[[TestBed], None]:
    """The same, with a share of the datagrams of both lines damaged."""

    def act(bed: TestBed) -> None:
        for name, line in bed.exchange.lines.items():
            line.mangle = _sometimes(bed, name, mangle)
        _through(*names)(bed)

    return act


def _sometimes(bed: TestBed, line: str, mangle: Mangle) -> Callable[[bytes], bytes]:
    """A share of the datagrams of a line, by its own chance; those without messages are let through."""
    chance = random.Random(f"{bed.seed}/{line}")

    def some(datagram: bytes) -> bytes:
        if len(datagram) <= 20 or chance.random() >= _SHARE:
            return datagram
        bed.seen["damaged"] += 1
        return mangle(chance, datagram)

    return some


def _corrupted(chance: random.Random, datagram: bytes) -> bytes:
    """A bit of the header or of a length is flipped before UDP's checksum is made.

    Not in the low half of the number, nor in a message: with a right checksum no listener can tell that from the truth.
    """
    at, bit = chance.choice((*range(14), 18, 19, 20, 21)), 1 << chance.randrange(8)
    return datagram[:at] + bytes([datagram[at] ^ bit]) + datagram[at + 1 :]


def _cut(chance: random.Random, datagram: bytes) -> bytes:
    return datagram[: chance.randrange(1, len(datagram))]


def _too_long(chance: random.Random, datagram: bytes) -> bytes:
    """More bytes than messages, up to the largest datagram; more messages than bytes; a block longer than all."""
    kind = chance.randrange(3)
    if kind == 0:
        return datagram + bytes(chance.choice((1, 1_500, _LARGEST - len(datagram))))
    return datagram[:18] + b"\xff\xfe" + datagram[20:] if kind == 1 else datagram[:20] + b"\xff\xff" + datagram[22:]


def _dead(name: str, bed: TestBed) -> None:
    """A line is dead; nothing may be missed, and nobody may notice."""
    bed.exchange.lines[name].down = True
    bed.complete()
    bed.note("dropped", "gaps")
    bed.must(bed.seen["dropped"] and not bed.seen["gaps"], "one line suffices; there was a gap nevertheless")


def _both_dead(bed: TestBed) -> None:
    _down(bed, True)
    bed.run(float(bed.fault.messages) / 3 / bed.fault.rate * 1_000)
    _down(bed, False)
    bed.complete()
    _gap(bed)


def _nobody_to_ask(bed: TestBed) -> None:
    _down(bed, True)
    bed.publish(1 / 2)
    _down(bed, False)
    before = len(bed.recorder.sent)
    bed.publish()
    bed.run(5_000, 5.0)
    _gap(bed)
    bed.must(bed.trader.held in (HoldReason.FEED_GAP, HoldReason.FEED_LOST), f"messages are missing; held {bed.trader.held}")
    sent = len(bed.recorder.sent) - before
    bed.must(not sent, f"{sent} orders left after messages were lost for good")


def _no_end(bed: TestBed) -> None:
    """Both lines are dead when the session ends; only the order connection says that it is over."""
    bed.complete()
    bed.inject()
    _down(bed, True)
    bed.finish()
    bed.note("dropped")
    finished = bed.trader.feed.arbiter.finished
    bed.must(bed.seen["dropped"] and not finished, "the fault did not happen: the trader received the end")


def _down(bed: TestBed, down: bool) -> None:
    for line in bed.exchange.lines.values():
        line.down = down


def _gap(bed: TestBed) -> None:
    bed.note(*(name for name in ("gaps", "requests", "recovered", "overflow", "lost") if bed.counts[name]))
    bed.must(bed.seen["gaps"], "the fault did not happen: no gap at the trader")


def _unreadable(bed: TestBed) -> None:
    """A message that changes a book comes shorter than it is, on both lines; datagram and checksum are right."""
    for line in bed.exchange.lines.values():
        line.mangle = _shortened(bed)
    bed.publish(1 / 2)
    for line in bed.exchange.lines.values():
        line.mangle = None
    bed.restored()
    bed.seen["restarts"] = bed.trader.restarts
    bed.must(HoldReason.FEED_UNREADABLE in bed.reasons, "nobody noticed the message that cannot be read")


def _shortened(bed: TestBed) -> Callable[[bytes], bytes]:
    left = [1]

    def once(datagram: bytes) -> bytes:
        if not left or datagram[22:23] not in (b"A", b"E", b"D"):
            return datagram
        bed.seen["damaged"] += left.pop()
        return datagram[:20] + struct.pack(">H", 15) + datagram[22:37]

    return once


def _damaged_checksum(bed: TestBed) -> None:
    """Any bit, which nothing but the checksum protects: a changed copy is sent before the right one, with its old checksum."""
    try:
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    except OSError as error:
        bed.skipped = f"raw sockets: {error.strerror}"
        return
    with raw:
        raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, struct.pack("b", 0))
        for name, line in bed.exchange.lines.items():
            line.mangle = _sometimes(bed, name, partial(_beside, raw, bed.exchange.broadcast.targets[name]))
        _through("messages")(bed)


def _beside(raw: socket.socket, target: tuple[str, int], chance: random.Random, datagram: bytes) -> bytes:
    at = chance.randrange(10, len(datagram))
    wrong = datagram[:at] + bytes([datagram[at] ^ 1 << chance.randrange(8)]) + datagram[at + 1 :]
    raw.sendto(_udp(datagram, wrong, target), target)
    return datagram


def _udp(right: bytes, wrong: bytes, target: tuple[str, int]) -> bytes:
    """A UDP packet with other bytes than those its checksum is of."""
    port, size = target[1], 8 + len(right)
    pseudo = socket.inet_aton("127.0.0.1") + socket.inet_aton(target[0]) + struct.pack(">BBH", 0, socket.IPPROTO_UDP, size)
    total = pseudo + struct.pack(">HHHH", port, port, size, 0) + right + b"\0" * (size & 1)
    folded = sum(struct.unpack(f">{len(total) // 2}H", total))
    while folded >> 16:
        folded = (folded & 0xFFFF) + (folded >> 16)
    return struct.pack(">HHHH", port, port, size, (folded ^ 0xFFFF) or 0xFFFF) + wrong


def table(dead_s: float) -> tuple[Fault, ...]:
    """Those of the lines. dead_s : how long both are dead"""
    rate, always = max(1, round(500 / dead_s)), partial(Fault, begins=0.0)
    return (
        always("nothing", "the control: no fault", _through("messages")),
        always("packet loss", "20 % of the datagrams of either line", _through("gaps"), exchange={"loss": "0.2"}),
        always("duplication", "30 % come twice, on either line", _through("duplicates"), exchange={"duplicate": "0.3"}),
        always("reordering", "30 % are overtaken by up to 5", _through("buffered"),
            exchange={"reorder": "0.3", "reorder_depth": 5}),
        always("corruption", "a bit flipped in 10 %, in header or lengths", _mangled(_corrupted, "malformed")),
        always("corrupt checksum", "10 % come first with a bit flipped anywhere, under the old checksum", _damaged_checksum),
        always("truncated packets", "10 % of either line cut anywhere", _mangled(_cut, "truncated", "malformed")),
        always("oversized packets", "10 % too long, up to 65,507 bytes, or their counts are", _mangled(_too_long, "malformed")),
        Fault("line A dead", "from a third of the feed on", partial(_dead, "A")),
        Fault("line B dead", "from a third of the feed on", partial(_dead, "B")),
        Fault("both lines dead", f"for {dead_s:g} s, while the feed goes on", _both_dead, rate=rate),
        Fault("gap above window", "500 messages missing, a window of 64", _both_dead, trader={"window": 64}),
        always("end not heard", "both lines are dead when the session ends", _no_end),
        Fault("unreadable message", "on both lines, a message shorter than its type", _unreadable, retraces=False),
        Fault(
            "lost for good", "250 messages missing, nobody to ask", _nobody_to_ask, ends=Ends.STALE, trader={"requests": ""}
        ),
    )  # fmt: skip
