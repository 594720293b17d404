"""What the protocols of Python make of packets, streams and messages, as one table of JSON that the Rust protocols are held to.

    python tests/protocols/vectors.py        writes rust_ext/tests/vectors/protocols.json, which `cargo test` reads

Everything is drawn from fixed seeds, so that the file changes only with the protocols. Bytes are in hex.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hftlab.errors import WireError
from hftlab.protocols import moldudp64 as mold
from hftlab.protocols import ouch
from hftlab.protocols import soupbintcp as soup
from hftlab.protocols.arbiter import Arbiter
from hftlab.protocols.channel import Impairment, LossyChannel
from hftlab.protocols.soup_session import Client

FILE = Path(__file__).parents[2] / "rust_ext" / "tests" / "vectors" / "protocols.json"
SESSION, OTHER = b"SESSION001", b"SESSION002"
MS, SECOND = 1_000_000, 1_000_000_000

Row = dict[str, Any]


def table() -> Row:
    """Every vector, by protocol."""
    return {
        "packets": [_row(mold.decode, _packet, data) for data in _damaged(_packets(), 1)],
        "requests": [_row(mold.decode_request, _request, data) for data in _damaged(_requests(), 2)],
        "arbiter": [_arbitrated(seed) for seed in range(12)],
        "streams": [_stream(seed) for seed in range(9)],
        "logins": [_row(soup.decode_login, _login, data) for data in _damaged(_logins(), 3)],
        "accepted": [_row(soup.decode_accepted, tuple, data) for data in _damaged(_login_answers(), 4)],
        "clients": [_client(seed) for seed in range(10)],
        "enter_order": [_row(ouch.decode_inbound, _fields, data) for data in _ouch(ouch.EnterOrder, 5)],
        "order_accepted": [_row(ouch.decode_outbound, _fields, data) for data in _ouch(ouch.Accepted, 6)],
    }


def text() -> str:
    """The table as it stands in the file, a vector to a line."""
    parts = [json.dumps(name) + ": [\n" + ",\n".join(map(_line, rows)) + "\n]" for name, rows in table().items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _line(row: Row) -> str:
    return json.dumps(row, default=bytes.hex, separators=(",", ":"))


def _row(decode: Callable[[bytes], Any], plain: Callable[[Any], Any], data: bytes) -> Row:
    """What is read from bytes, or where they are wrong."""
    try:
        return {"bytes": data, "read": plain(decode(data))}
    except WireError as error:
        return {"bytes": data, "error": error.offset}


def _damaged(whole: list[bytes], seed: int) -> Iterator[bytes]:
    """Each as it is, cut off, with a byte more, and with one byte changed."""
    rng = random.Random(seed)
    for data in whole:
        changed = bytearray(data)
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        yield from (data, data[: rng.randrange(len(data))], data + b"\0", bytes(changed))


# --- MoldUDP64 and the arbiter


def _body(number: int) -> bytes:
    return b"%d" % number * (number % 4)


def _mold(first: int, count: int, session: bytes = SESSION) -> bytes:
    return mold.encode(session, first, [_body(number) for number in range(first, first + count)])


def _packets() -> list[bytes]:
    near_the_end = mold.HEADER.pack(SESSION, mold.HIGHEST - 1, 2) + b"\0\0\0\0"
    return [_mold(1, 3), _mold(7, 1), mold.heartbeat(SESSION, 9), mold.end(SESSION, mold.HIGHEST), near_the_end]


def _requests() -> list[bytes]:
    return [mold.Request(SESSION, 1, 5).encode(), mold.Request(OTHER, mold.HIGHEST, 0xFFFF).encode()]


def _packet(packet: mold.Packet) -> Row:
    read = {"session": packet.session, "sequence": packet.sequence, "count": packet.count}
    return {**read, "messages": mold.split(packet.blocks)}


def _request(request: mold.Request) -> Row:
    return request._asdict()


def _datagrams(rng: random.Random, steps: int) -> Iterator[tuple[int, bytes]]:
    """(line, datagram) as they arrive on two lines that lose, repeat, reorder and damage; at last another session."""
    lines = [LossyChannel(name, Impairment(0.25, 0.1, 0.2), rng.randrange(100)) for name in "AB"]
    number = 1
    for _ in range(steps):
        count = rng.randrange(4)
        sent = _mold(number, count) if rng.random() < 0.95 else mold.heartbeat(SESSION, number + 50 * rng.randrange(3))
        number += count if len(sent) > mold.HEADER.size else 0
        for line, channel in enumerate(lines):
            for datagram in channel.carry(sent):
                yield line, datagram[: rng.randrange(40)] if rng.random() < 0.03 else datagram
    yield from ((0, data) for data in (mold.end(SESSION, number), *[_mold(1, 1, OTHER)] * 3))


def _arbitrated(seed: int) -> Row:
    """A session: what each datagram delivers, what is asked for, and where the arbiter stands in the end."""
    rng = random.Random(seed)
    settings = {
        "window": rng.choice((3, 16, 200)),
        "buffer_bytes": rng.choice((20, 100_000)),
        "gap_timeout_ns": rng.choice((0, 2 * MS)),
        "request_interval_ns": 3 * MS,
        "max_requests": rng.randrange(4),
        "end_grace_ns": rng.choice((20 * MS, SECOND)),
    }
    expected = rng.randrange(2)
    arbiter, steps, now = Arbiter(None, expected, **settings), [], 0
    for line, datagram in _datagrams(rng, 25):
        now += rng.randrange(2 * MS)
        delivery = arbiter.receive(line, datagram, now)
        requests = arbiter.due(now)
        steps.append(
            [line, datagram, now, delivery.sequence, delivery.count, delivery.blocks, *map(mold.Request.encode, requests)]
        )
        if requests and rng.random() < 0.6:  # the answer, which is a datagram of a third line
            _, first, count = requests[0]
            answer = arbiter.receive(2, data := _mold(first, min(count, 5)), now)
            steps.append([2, data, now, answer.sequence, answer.count, answer.blocks])
    end = {"stale": arbiter.stale, "finished": arbiter.finished, "held": arbiter.held, "gap": arbiter.gap}
    end |= {"session": arbiter.session, "changed": arbiter.changed, "last_seen": sorted(arbiter.last_seen.items())}
    abandoned = [[run.sequence, run.count, run.blocks] for run in arbiter.abandon()]
    end |= {"abandoned": abandoned, "lost": list(arbiter.lost), "counts": arbiter.counts}
    return {"settings": settings, "expected": expected, "steps": steps, "end": end}


# --- SoupBinTCP


def _stream(seed: int) -> Row:
    """A stream in pieces: the packets that each piece completes, and where it breaks."""
    rng = random.Random(seed)
    stream = b"".join(soup.packet(b"%c" % rng.choice(b"+AJSUHZ"), rng.randbytes(rng.randrange(30))) for _ in range(12))
    if seed % 3 == 0:
        stream += rng.choice((b"\0\0", b"\0\x65S")) + b"behind it"
    framer, pieces, error = soup.Framer(100), [], None
    while stream and error is None:
        piece, stream = stream[: (size := rng.randrange(1, 50))], stream[size:]
        packets: list[list[bytes]] = []
        try:
            packets.extend([kind, payload] for kind, payload in framer.feed(piece))
        except WireError as broken:
            error = broken.offset
        pieces.append([piece, packets])
    return {"limit": 100, "pieces": pieces, "error": error}


def _logins() -> list[bytes]:
    made = [soup.login("user", "secret", "S1", 42), soup.login("a", "b", heartbeat_ms=1_500), soup.login("", "", "", 2**64 - 1)]
    padded = b"  user" + b"  password" + b"  S001    " + b"00000000000000000042" + b"15000"
    return [*(packet[3:] for packet in made), padded, b"user  pass word " + b" " * 29 + b"1"]


def _login_answers() -> list[bytes]:
    return [soup.accepted("S1", 1)[3:], soup.accepted("", 2**64 - 1)[3:], b"S001      " + b"42".ljust(20)]


def _login(login: soup.Login) -> Row:
    return vars(login)


def _client(seed: int) -> Row:
    """A client over several connections: what it is told, what it says and where it stands after each step."""
    rng = random.Random(seed)
    settings = {"heartbeat_ns": SECOND, "idle_timeout_ns": 3 * SECOND, "version": rng.choice(("4.00", "4.10"))}
    begins = {"session": rng.choice(("", "S1")), "next": rng.randrange(4)}
    client, steps, now = Client("user", "secret", **begins, **settings), [], 0
    for _ in range(40):
        now += rng.randrange(SECOND) + 3 * SECOND * (rng.random() < 0.05)
        steps.append([*_step(client, rng, now), client.state, client.next, client.session, client.reason and client.reason.value])
    return {"settings": settings, **begins, "steps": steps, "missed": client.missed}


def _step(client: Client, rng: random.Random, now: int) -> list[Any]:
    """One thing done with a client: [what, time, the bytes given, the bytes or events that follow]."""
    if client.state in ("idle", "closed") and rng.random() < 0.8:
        return ["connected", now, b"", client.connected(now)]
    if rng.random() < 0.03:
        client.lost()
        return ["lost", now, b"", b""]
    if rng.random() < 0.03:
        return ["logout", now, b"", client.logout()]
    if rng.random() < 0.15:
        return ["due", now, b"", client.due(now)]
    if client.state == "open" and rng.random() < 0.2:
        return ["send", now, b"order", client.send(b"order", now)]
    data = _said(client, rng)
    return ["receive", now, data, [[event.kind, event.payload, event.sequence] for event in client.receive(data, now)]]


def _said(client: Client, rng: random.Random) -> bytes:
    """What a server may say, most of it in its place."""
    if client.state == "login" and rng.random() < 0.9:
        number = max(1, client.next + rng.choice((-1, 0, 0, 0, 2)))
        first = soup.rejected("A") if rng.random() < 0.1 else soup.accepted("S1", number)
        return first + soup.packet(b"S", b"fill") * rng.randrange(3)
    kinds = rng.choices(b"SSSSUH+ZA", (9, 9, 9, 9, 3, 3, 3, 1, 1), k=rng.randrange(5))
    data = b"".join(soup.packet(b"%c" % kind, b"" if kind in b"HZ" else b"text") for kind in kinds)
    return data if rng.random() < 0.95 else data + b"\0\0"


# --- OUCH


def _fields(message: ouch.Message) -> Row:
    return {name: getattr(message, name) for name in message.CODES}


def _ouch(kind: type[ouch.Message], seed: int) -> Iterator[bytes]:
    """Messages without options of any values, and the ways of one to be wrong. Text is printable: JSON holds it as it is."""
    rng = random.Random(seed)
    for _ in range(6):
        values: dict[str, Any] = {}
        for name, code in kind.CODES.items():
            size = struct.calcsize(code)
            values[name] = "".join(rng.choices("ABCXYZ019", k=size)) if code[-1] == "s" else rng.randrange(1 << 8 * size)
        yield kind(**values).encode()
    whole = kind(**values).encode()
    yield from (whole[:-1], whole + b"\0", b"?" + whole[1:], whole[:-1] + b"\1")


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(text())
