"""What has a state, in Rust against Python: the arbiter on two bad lines, both ends of SoupBinTCP on any cut of the stream."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftlab.errors import WireError
from hftlab.net import moldudp64, soup_client, soup_server, soupbintcp
from hftlab.net.arbiter import Arbiter

pytestmark = pytest.mark.rust
rust: Any = pytest.importorskip("hftlab_rust")

EXAMPLES = settings(max_examples=200, deadline=None)
SESSION, OTHER = b"20260101AB", b"20260102AB"
MS = 1_000_000


# -- The arbiter -------------------------------------------------------------------------------------------------------------------


class Both:
    """An arbiter of each kind; every step gives the same and leaves the same behind."""

    def __init__(self, session: bytes | None = SESSION, expected: int = 1, **options: int) -> None:
        self.python = Arbiter(session, expected, **options)
        self.compiled = rust.MoldArbiter(session, expected, **options)

    def receive(self, line: int, datagram: bytes, now_ns: int) -> bytes:
        delivery = self.python.receive(line, datagram, now_ns)
        assert self.compiled.receive(line, datagram, now_ns) == tuple(delivery)
        self.agree()
        return delivery.blocks

    def due(self, now_ns: int) -> list[Any]:
        requests = self.python.due(now_ns)
        compiled = [(bytes(session), *rest) for session, *rest in self.compiled.due(now_ns)]
        assert compiled == [tuple(request) for request in requests]
        self.agree()
        return requests

    def abandon(self) -> None:
        assert self.compiled.abandon() == [tuple(run) for run in self.python.abandon()]
        self.agree()

    def restart(self, session: bytes | None, expected: int) -> None:
        self.python.restart(session, expected)
        self.compiled.restart(session, expected)
        self.agree()

    def agree(self) -> None:
        python, compiled = self.python, self.compiled
        assert compiled.counts == python.counts
        for name in ("expected", "gap", "stale", "finished", "held"):
            assert getattr(compiled, name) == getattr(python, name), name
        for name in ("session", "changed"):
            value = getattr(compiled, name)
            assert (None if value is None else bytes(value)) == getattr(python, name), name
        assert compiled.lost == list(python.lost)
        assert dict(compiled.heard) == python.heard


def message(number: int) -> bytes:
    """Of a length and with bytes that depend on its number; some are empty, some longer than a cell of the window."""
    return bytes((number * 31 + i) % 256 for i in range(number * 7 % 90))


def packet(sequence: int, count: int) -> bytes:
    return moldudp64.encode(SESSION, sequence, [message(number) for number in range(sequence, sequence + count)])


windows = st.fixed_dictionaries(
    {
        "window": st.sampled_from([1, 2, 7, 64, 1024]),
        "patience_ns": st.sampled_from([0, MS, 5 * MS]),
        "retry_ns": st.sampled_from([0, 3 * MS]),
        "give_up": st.sampled_from([0, 1, 3]),
        "window_bytes": st.sampled_from([0, 100, 2000, 1 << 20]),
        "doubt_ns": st.sampled_from([0, 20 * MS, 10_000 * MS]),
    }
)


def garble(datagram: bytes, at: int, byte: int) -> bytes:
    at %= len(datagram)
    return datagram[:at] + bytes([byte]) + datagram[at + 1 :]


faults = st.sampled_from(["keep"] * 8 + ["drop", "drop", "twice", "cut", "garble", "foreign", "late"])


@EXAMPLES
@given(windows, st.integers(0, 3), st.lists(st.integers(1, 6), min_size=1, max_size=40), st.data())
def test_two_bad_lines_give_the_same_stream(options: dict[str, int], expected: int, sizes: list[int], data: st.DataObject) -> None:
    both, now_ns = Both(data.draw(st.sampled_from([None, SESSION])), expected, **options), 10_000 * MS
    sequence, late, answers = 1, [], []
    for size in sizes:
        now_ns += data.draw(st.sampled_from([0, 1, MS, 4 * MS, 30 * MS]))
        kinds = [packet(sequence, size), moldudp64.heartbeat(SESSION, sequence + size)]
        sequence += size
        for line in (0, 1):
            for datagram in kinds:
                fault = data.draw(faults)
                if fault == "cut":
                    datagram = datagram[: data.draw(st.integers(0, len(datagram)))]  # noqa: PLW2901
                elif fault == "garble":
                    datagram = garble(datagram, data.draw(st.integers(0, 10**4)), data.draw(st.integers(0, 255)))  # noqa: PLW2901
                elif fault == "foreign":
                    datagram = OTHER + datagram[10:]  # noqa: PLW2901
                if fault == "late":
                    late.append((line, datagram))
                for _ in range({"drop": 0, "late": 0, "twice": 2}.get(fault, 1)):
                    both.receive(line, datagram, now_ns)
        if late and data.draw(st.booleans()):
            both.receive(*late.pop(data.draw(st.integers(0, len(late) - 1))), now_ns)
        answers += both.due(now_ns)
        if answers and data.draw(st.booleans()):
            request = answers.pop()
            both.receive(9, packet(request.sequence, min(request.count, data.draw(st.integers(0, 8)))), now_ns)
    both.receive(0, moldudp64.end(SESSION, sequence), now_ns)
    both.due(now_ns + 100 * MS)
    if data.draw(st.booleans()):
        both.abandon()
    if data.draw(st.booleans()):
        both.restart(None, 0)
        both.receive(1, packet(5, 3), now_ns)


@EXAMPLES
@given(windows, st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=120), st.integers(0, 50 * MS)), max_size=30))
def test_any_bytes_give_the_same(options: dict[str, int], datagrams: list[tuple[int, bytes, int]]) -> None:
    both, now_ns = Both(None, 0, **options), 0
    for line, datagram, later in datagrams:
        now_ns += later
        both.receive(line, datagram, now_ns)
        both.due(now_ns)
    both.abandon()


@EXAMPLES
@given(windows, st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 20), st.integers(0, 50 * MS)), max_size=30))
def test_any_numbers_give_the_same(options: dict[str, int], steps: list[tuple[int, int, int]]) -> None:
    """Numbers at the ends of 64 bits, and near each other, so that some are taken seriously."""
    both, now_ns = Both(SESSION, 1, **options), 0
    for number, count, later in steps:
        now_ns += later
        for sequence in (number % 50, number, 2**64 - 1 - count - number % 9):
            header = SESSION + sequence.to_bytes(8, "big") + count.to_bytes(2, "big")
            both.receive(count % 2, header + b"\0\1x" * count, now_ns)
            both.due(now_ns)
    both.abandon()


def test_a_clock_that_steps_back_gives_the_same() -> None:
    both = Both(window=8, give_up=1, patience_ns=MS, doubt_ns=5 * MS)
    for step, now_ns in enumerate([10**15, 5, 0, -(10**12), 10**15, 3 * 10**15]):
        for sequence in (1 + 3 * step, 4 + 3 * step, 30 + step):
            both.receive(0, packet(sequence, 2), now_ns)
            both.due(now_ns)


def test_packets_in_order_ask_nothing_of_the_heap() -> None:
    """Nor do those that are late, lost, doubled or torn, once the arbiter stands."""
    arbiter = rust.MoldArbiter(SESSION, 1, patience_ns=0, retry_ns=0, give_up=1)
    clean = [packet(1 + 5 * n, 5) for n in range(2000)]
    stream = [(line, datagram, n) for n, datagram in enumerate(clean) for line in (0, 1)]
    messages, bytes_, allocations = arbiter.receive_all(stream)
    assert (messages, bytes_) == (10_000, sum(len(datagram) - 20 for datagram in clean))
    assert allocations == 0

    before = dict(arbiter.counts)
    bad = [(n % 2, packet(10_001 + 5 * (n ^ 3), 5), 10**6 + n) for n in range(2000) if n % 97]
    bad += [(0, datagram[:-1], now_ns) for _, datagram, now_ns in bad[::10]]
    assert arbiter.receive_all(bad)[2] == 0
    happened = {name: count - before[name] for name, count in arbiter.counts.items()}
    assert min(happened[name] for name in ("buffered", "gaps", "lost", "malformed", "requests")) > 0, happened


# -- SoupBinTCP --------------------------------------------------------------------------------------------------------------------

REASONS = [
    ("login of", "rejected"),
    ("login rejected", "rejected"),
    ("end of session", "ended"),
    ("logged out", "logged out"),
    ("nothing from", "silent"),
    ("no login", "silent"),
    ("slow reader", "slow"),
    ("connection lost", "lost"),
    ("session", "backwards"),
    ("SoupBinTCP packet type", "unexpected"),
    ("SoupBinTCP stream", "broken"),
]


def word(reason: str, otherwise: str) -> str:
    """Python's sentence as Rust's word."""
    found = [name for start, name in REASONS if reason.startswith(start)]
    return found[0] if found else otherwise if reason else ""


def server_alike(python: soup_server.Server, compiled: Any) -> None:
    assert (compiled.state, compiled.sent, compiled.waiting) == (python.state, python.sent, python.waiting)
    assert compiled.closed == word(python.closed, "rejected")  # of a login that is none


def client_alike(python: soup_client.Client, compiled: Any) -> None:
    assert (compiled.state, compiled.next, compiled.missed) == (python.state, python.next, python.missed)
    assert compiled.session == python.session.encode()
    assert compiled.closed == word(python.closed, "broken")


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    return [stream[start:end] for start, end in zip(edges, edges[1:], strict=False)] or [b""]


payloads = st.binary(max_size=40)
cuts = st.lists(st.integers(0, 10**4), max_size=5)
LOGINS = [
    soupbintcp.login("trader", "secret"),
    soupbintcp.login("TRADER", "Secret", "S1", 0),
    soupbintcp.login("trader", "secret", "S1", 3, 2500),
    soupbintcp.login("trader", "secret", "S2"),
    soupbintcp.login("trader", "wrong"),
    soupbintcp.login("nobody", "secret"),
    soupbintcp.login("blank", ""),
    soupbintcp.packet(b"L", b"no login at all"),
    soupbintcp.packet(b"L", b"trader!secret    " + b" " * 29),
]
client_packets = st.one_of(
    st.sampled_from(LOGINS),
    payloads.map(lambda payload: soupbintcp.packet(b"U", payload)),
    payloads.map(lambda payload: soupbintcp.packet(b"U", payload)),
    st.sampled_from([soupbintcp.packet(kind) for kind in (b"R", b"O", b"+", b"S", b"?")] + [b"\0\0", b"\xff\xffU", b"\0"]),
)
server_steps = st.one_of(
    st.tuples(st.just("receive"), st.lists(client_packets, max_size=4), cuts),
    st.tuples(st.just("receive"), st.lists(client_packets, max_size=4), cuts),
    st.tuples(st.just("append"), st.lists(payloads, max_size=6)),
    st.tuples(st.just("outgoing"), st.sampled_from([0, 1, 20, 65_536])),
    st.tuples(st.just("send"), payloads, st.sampled_from([b"U", b"+"])),
    st.tuples(st.just("due"), st.sampled_from([0, 10 * MS, 1000 * MS, 2000 * MS, 20_000 * MS])),
    st.tuples(st.sampled_from(["end", "lost", "due"]), st.just(MS)),
)


@EXAMPLES
@given(st.booleans(), st.integers(0, 3), st.lists(server_steps, max_size=25), st.sampled_from([5, 40, 65_536]))
def test_servers_do_the_same(straight: bool, stored: int, steps: list[Any], backlog: int) -> None:
    accounts, store = {"Trader": "SECRET", "BLANK": "", "far too long": "x"}, [bytes([n]) for n in range(stored)]
    python = soup_server.Server(accounts, "S1", store, backlog=backlog, limit=60)
    compiled = rust.SoupServer(list(accounts.items()), "S1", backlog=backlog, limit=60)
    assert all(compiled.append(message) for message in store)
    now_ns = 10**9
    for step, *values in [("receive", LOGINS[:1], []), *steps] if straight else steps:
        if step == "receive":
            for piece in cut(b"".join(values[0]), values[1]):
                assert compiled.receive(piece, now_ns) == python.receive(piece, now_ns)
                server_alike(python, compiled)
        elif step == "append":
            store.extend(values[0])
            assert all(compiled.append(message) for message in values[0])
            python.publish()
            compiled.publish()
        elif step == "outgoing":
            assert compiled.outgoing(values[0]) == python.outgoing(values[0])
        elif step == "send":
            python.send(*values)
            assert compiled.send(values[0], ord(values[1]))
        elif step == "due":
            now_ns += values[0]
            python.due(now_ns)
            compiled.due(now_ns)
        else:
            getattr(python, step)()
            getattr(compiled, step)()
        server_alike(python, compiled)
    assert compiled.outgoing() == python.outgoing()


server_packets = st.one_of(
    st.tuples(st.sampled_from(["S1", "S2", ""]), st.integers(0, 9)).map(lambda place: soupbintcp.accepted(*place)),
    payloads.map(lambda payload: soupbintcp.packet(b"S", payload)),
    payloads.map(lambda payload: soupbintcp.packet(b"S", payload)),
    payloads.map(lambda payload: soupbintcp.packet(b"U", payload)),
    st.sampled_from([soupbintcp.packet(kind) for kind in (b"H", b"H", b"Z", b"+", b"L", b"?", b"A", b"J")]),
    st.sampled_from([soupbintcp.rejected("A"), soupbintcp.rejected("S"), soupbintcp.packet(b"J", b"?"), b"\0\0", b"\0"]),
)
client_steps = st.one_of(
    st.tuples(st.just("receive"), st.lists(server_packets, max_size=4), cuts),
    st.tuples(st.just("receive"), st.lists(server_packets, max_size=4), cuts),
    st.tuples(st.just("connected"), st.just(MS)),
    st.tuples(st.just("send"), payloads),
    st.tuples(st.just("due"), st.sampled_from([0, 10 * MS, 1000 * MS, 2000 * MS, 20_000 * MS])),
    st.tuples(st.sampled_from(["logout", "lost"])),
)


@EXAMPLES
@given(
    st.sampled_from(["", "S1"]), st.integers(0, 5), st.sampled_from(soup_client.VERSIONS), st.lists(client_steps, max_size=25)
)
def test_clients_do_the_same(session: str, following: int, version: str, steps: list[Any]) -> None:
    arguments = ("trader", "secret", session, following, 1000 * MS, 15_000 * MS, version)
    python, compiled = soup_client.Client(*arguments), rust.SoupClient(*arguments)
    now_ns = 10**9
    for step, *values in [("connected", MS), *steps]:
        if step == "receive":
            for piece in cut(b"".join(values[0]), values[1]):
                assert compiled.receive(piece, now_ns) == [tuple(event) for event in python.receive(piece, now_ns)]
                client_alike(python, compiled)
        elif step == "connected":
            assert compiled.connected(now_ns) == python.connected(now_ns)
        elif step == "send":
            try:
                expected = python.send(values[0], now_ns)
            except WireError:
                expected = None
            assert compiled.send(values[0], now_ns) == expected
        elif step == "due":
            now_ns += values[0]
            assert compiled.due(now_ns) == python.due(now_ns)
        elif step == "logout":
            assert compiled.logout() == python.logout()
        else:
            python.lost()
            compiled.lost()
        client_alike(python, compiled)


def test_a_client_and_a_server_meet_across_languages() -> None:
    """Each language's client with the other's server: log in, lose the connection, come back, and get the rest."""
    store = [bytes([n]) * n for n in range(1, 6)]
    for client in (soup_client.Client("trader", "secret"), rust.SoupClient("trader", "secret")):
        seen: list[bytes] = []
        for upto in (3, 5):
            if isinstance(client, soup_client.Client):
                server = rust.SoupServer([("trader", "secret")], "S1")
                assert all(server.append(message) for message in store[:upto])
            else:
                server = soup_server.Server({"trader": "secret"}, "S1", store[:upto])
            server.receive(client.connected(0), 0)
            events = client.receive(server.outgoing(), 1)
            assert events[0][0] == "accepted"
            seen += [payload for kind, payload, _ in events if kind == "message"]
            assert server.receive(client.send(b"order", 2), 2) == [b"order"]
            client.lost()
        assert seen == store
