"""Both ends of SoupBinTCP in Rust against Python's: on any cut of the stream the same events, bytes, states and ends."""

from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftlab.errors import WireError
from hftlab.protocols import soup_client, soup_server, soupbintcp

pytestmark = pytest.mark.rust
rust: Any = import_module("hftlab_rust") if find_spec("hftlab_rust") else None

EXAMPLES = settings(max_examples=200, deadline=None)
MS = 1_000_000

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
    return [stream[start:end] for start, end in pairwise(edges)] or [b""]


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
@given(st.sampled_from(["", "S1"]), st.integers(0, 5), st.sampled_from(soup_client.VERSIONS), st.lists(client_steps, max_size=25))
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


@pytest.mark.parametrize("said", [soupbintcp.packet(b"+", b"hello"), b""])
def test_talk_does_not_take_the_place_of_a_login(said: bytes) -> None:
    python, compiled = soup_server.Server({}, "S1", []), rust.SoupServer([], "S1")
    for server in (python, compiled):
        for second in range(31):
            assert server.receive(said, second * 1000 * MS) == []
            server.due(second * 1000 * MS)
        assert server.state == "login"
        server.due(30_001 * MS)
    server_alike(python, compiled)
    assert compiled.closed == "silent"
