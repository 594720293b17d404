"""Are SoupBinTCP packets read and written byte for byte, however TCP splits them, and do both ends keep their rules?"""

import contextlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from captures import PORT, frames, patient, payload, payloads, tshark, write
from hypothesis import given
from hypothesis import strategies as st

from hftlab.errors import UnknownName, WireError
from hftlab.protocols import soupbintcp as soup
from hftlab.protocols.soup_session import Client, CloseReason, Event, Server

SECOND = 1_000_000_000
ACCOUNTS = {"trader": "secret7"}

kinds = st.sampled_from([b"+", b"A", b"J", b"S", b"U", b"H", b"Z", b"L", b"R", b"O", b"?"])
packets = st.lists(st.tuples(kinds, st.binary(max_size=40)), max_size=12)
alnum = st.text("abcXYZ019", min_size=1)


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    """A stream in pieces, some of them empty."""
    places = sorted({0, len(stream), *(place % (len(stream) + 1) for place in cuts)})
    return [stream[a:b] for a, b in pairwise(places)] + [b""]


def server(store: list[bytes] | None = None, **options: Any) -> Server:
    return Server(ACCOUNTS, "S001", [] if store is None else store, **options)


def client(**options: Any) -> Client:
    return Client("trader", "secret7", **options)


def joined(one: Server, other: Client, now_ns: int = 0) -> list[Event]:
    """Log a client in and give the first events it sees."""
    assert one.receive(other.connected(now_ns), now_ns) == []
    return other.receive(one.outgoing(), now_ns)


# --- packets


def test_every_captured_packet_is_read_and_written_again(data_dir: Path) -> None:
    seen = []
    for folder in ("ouch50_soupbintcp", "soupbintcp_login"):
        for stream in payloads(data_dir / "pcap" / folder):
            [(kind, content)] = soup.Framer().feed(stream)
            assert soup.packet(kind, content) == stream
            seen.append(kind)
    assert sorted(seen) == [b"A", b"H", b"L", b"R", b"S", b"S", b"U", b"U"]


def test_a_real_login_and_its_answer(data_dir: Path) -> None:
    folder = data_dir / "pcap/soupbintcp_login"
    [request], [answer] = ([payload(f) for f in frames(folder / f"Login{name}Packet.pcap")] for name in ("Request", "Accepted"))
    login = soup.decode_login(request[3:])
    assert login == soup.Login("user", "password", "", 0)
    assert soup.login("user", "password", sequence=0) == request
    accepted = soup.decode_accepted(answer[3:])
    assert accepted == ("1689192121", 135)
    assert soup.accepted(*accepted) == answer


def test_tshark_sees_the_same_in_packets_written_here(tmp_path: Path) -> None:
    # Of the sequence numbers it tells only whether they are invalid.
    asked = [soup.login("trader", "secret7", "S001", 42), soup.packet(soup.UNSEQUENCED, b"Q"), soup.packet(soup.LOGOUT)]
    path = write(tmp_path / "client.pcap", asked, "tcp", from_server=False)
    rows = tshark(path, PORT, "soupbintcp", "packet_length packet_type username password session req_seq_num.invalid message")
    assert [cell.strip() for cell in rows[0]] == ["47", "'L'", "trader", "secret7", "S001", "", ""]
    assert [row[:2] + row[-1:] for row in rows[1:]] == [["2", "'U'", "51"], ["1", "'O'", ""]]
    sent = [soup.packet(soup.DEBUG, b"hello"), soup.accepted("S001", 42), soup.packet(soup.SEQUENCED, b"x" * 300)]
    sent += [soup.packet(soup.SERVER_HEARTBEAT), soup.packet(soup.END), soup.rejected("S")]
    path = write(tmp_path / "server.pcap", sent, "tcp")
    rows = tshark(path, PORT, "soupbintcp", "packet_length packet_type text session next_seq_num.invalid reject_code")
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["6", "'+'", "hello", "", "", ""],
        ["31", "'A'", "", "S001", "", ""],
        ["301", "'S'", "", "", "", ""],
        ["1", "'H'", "", "", "", ""],
        ["1", "'Z'", "", "", "", ""],
        ["2", "'J'", "", "", "", "'S'"],
    ]


@patient
@given(packets, st.lists(st.integers(0, 2000), max_size=20))
def test_any_split_of_a_stream_gives_the_same_packets(many: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    stream = b"".join(soup.packet(*one) for one in many)
    framer = soup.Framer()
    assert [one for piece in cut(stream, cuts) for one in framer.feed(piece)] == many
    assert (framer.offset, framer.waiting) == (len(stream), 0)


@patient
@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=10), st.integers(1, 100))
def test_any_bytes_are_packets_or_an_error_that_stays(stream: bytes, cuts: list[int], limit: int) -> None:
    framer, seen = soup.Framer(limit), b""
    errors: set[str] = set()
    for piece in cut(stream, cuts):
        try:
            for one in framer.feed(piece):
                seen += soup.packet(*one)
        except WireError as error:
            errors.add(str(error))
        assert errors or framer.waiting <= limit + 1
    assert stream.startswith(seen)
    assert len(errors) <= 1
    if not errors:
        assert len(seen) + framer.waiting == len(stream)


def test_packets_before_a_broken_one_are_given() -> None:
    framer, seen = soup.Framer(limit=100), []
    with pytest.raises(WireError, match="offset 6: the length of a packet must be between 1 and 100, got 0") as caught:
        seen.extend(framer.feed(soup.packet(b"U", b"one") + b"\0\0"))
    assert (seen, caught.value.offset) == ([(b"U", b"one")], 6)
    for _ in range(3):  # there is no way back into the stream, and nothing is kept of it
        with pytest.raises(WireError, match="offset 6: "):
            list(framer.feed(soup.packet(b"U", b"two")))
        assert framer.waiting == 0
    with pytest.raises(WireError, match=r"offset 0: .* got 101"):
        list(soup.Framer(limit=100).feed(b"\0\x65"))  # refused by its length alone, before the rest has come


def test_packets_that_were_not_looked_at_come_first_the_next_time() -> None:
    framer = soup.Framer()
    assert next(framer.feed(soup.packet(b"U", b"1") + soup.packet(b"U", b"2"))) == (b"U", b"1")
    assert list(framer.feed(soup.packet(b"U", b"3"))) == [(b"U", b"2"), (b"U", b"3")]


@patient
@given(alnum, alnum, alnum, st.integers(0, 2**64 - 1), st.none() | st.integers(0, 99_999))
def test_logins_round_trip(name: str, password: str, session: str, sequence: int, timeout: int | None) -> None:
    login = soup.Login(name[:6], password[:10], session[:10], sequence, timeout)
    stream = soup.login(login.username, login.password, login.session, login.sequence, login.heartbeat_ms)
    assert len(stream) == (49 if timeout is None else 54)
    assert soup.decode_login(stream[3:]) == login
    assert soup.decode_accepted(soup.accepted(login.session, sequence)[3:]) == (login.session, sequence)


def test_fields_are_trimmed_on_both_sides_and_digits_may_begin_with_zeros() -> None:
    payload = b"  user" + b"  password" + b"  S001    " + b"00000000000000000042" + b"15000"
    assert soup.decode_login(payload) == soup.Login("user", "password", "S001", 42, 15_000)
    assert soup.decode_accepted(b"S001      " + b"42".ljust(20)) == ("S001", 42)


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"", "length must be 47, or 52 .*, got 1"),
        (soup.login("a", "b")[3:-1], "got 46"),
        (soup.login("a", "b", heartbeat_ms=1)[3:] + b" ", "got 53"),
        (b"us r  " + bytes(40), "offset 0: username must be ASCII letters and digits, got b'us r'"),
        (b"user  pass word " + b" " * 29 + b"1", r"offset 6: password must be .*, got \(not shown\)"),
        (b"user  password  S-1       " + b" " * 19 + b"1", "offset 16: session must be .*, got b'S-1'"),
        (b"user  password  " + b" " * 30, "offset 26: sequence must be ASCII digits .*, got b''"),
        (b"user  password  " + b" " * 28 + b"-1", "offset 26: sequence .*, got b'-1'"),
        (soup.login("user", "password")[3:] + b"1e3  ", "offset 46: heartbeat timeout .*, got b'1e3'"),
    ],
)
def test_garbled_logins_are_refused_and_passwords_not_repeated(payload: bytes, text: str) -> None:
    with pytest.raises(WireError, match=text) as caught:
        soup.decode_login(payload)
    assert "pass word" not in str(caught.value)


def test_what_no_packet_can_carry_is_refused() -> None:
    with pytest.raises(WireError, match="one byte"):
        soup.packet(b"UU")
    with pytest.raises(WireError, match="at most 65534 bytes, got 65535"):
        soup.packet(b"U", bytes(65_535))
    assert len(soup.packet(b"U", bytes(65_534))) == 65_537
    with pytest.raises(WireError, match="at most 10 ASCII letters and digits, got 11 characters") as caught:
        soup.login("user", "mypassword1")
    assert "mypassword1" not in str(caught.value)
    for wrong in (
        ("toolong", "p"),
        ("us er", "p"),
        ("üser", "p"),
        ("user", "p", "S-1"),
        ("user", "p", "", -1),
        ("user", "p", "", 10**20),
    ):
        with pytest.raises(WireError, match="must be"):
            soup.login(*wrong)  # type: ignore[arg-type]
    with pytest.raises(WireError, match="heartbeat timeout must be between 0 and 99999, got 100000"):
        soup.login("user", "p", heartbeat_ms=100_000)
    with pytest.raises(WireError, match="must be A or S, got 'X'"):
        soup.rejected("X")


@patient
@given(
    st.binary(max_size=60)
    | st.binary(min_size=46, max_size=46)
    | st.binary(min_size=51, max_size=51)
    | st.binary(min_size=30, max_size=30)
)
def test_any_payload_is_read_or_refused(payload: bytes) -> None:
    for decode in (soup.decode_login, soup.decode_accepted, soup.decode_rejected):
        with contextlib.suppress(WireError):
            decode(payload)


# --- sessions


def test_a_session_from_login_to_its_end() -> None:
    store = [b"one", b"two"]
    one, other = server(store), client()
    assert joined(one, other) == [Event("accepted", b"S001", 1), Event("message", b"one", 1), Event("message", b"two", 2)]
    assert one.receive(other.send(b"order", 1) + other.send(b"", 1), 1) == [b"order", b""]
    store.append(b"three")
    one.publish()
    stream = soup.packet(soup.UNSEQUENCED, b"not counted") + soup.packet(soup.DEBUG, b"text") + one.outgoing()
    assert other.receive(stream, 2) == [
        Event("unsequenced", b"not counted"),
        Event("debug", b"text"),
        Event("message", b"three", 3),
    ]
    store.append(b"four")
    one.end()
    assert other.receive(one.outgoing(), 3) == [Event("message", b"four", 4), Event("end", b"", 5)]
    assert (one.state, one.closed) == (other.state, other.closed) == ("closed", "end of session")
    assert (one.outgoing(), other.due(100 * SECOND), other.logout()) == (b"", b"", b"")
    # The next session is another one: from its first message on.
    next_one = Server(ACCOUNTS, "S002", [b"new"])
    assert joined(next_one, other) == [Event("accepted", b"S002", 1), Event("message", b"new", 1)]


@patient
@given(st.lists(st.binary(max_size=50), max_size=20), st.lists(st.integers(0, 5000), max_size=20), st.integers(20, 200))
def test_any_split_tells_the_client_the_same(store: list[bytes], cuts: list[int], piece: int) -> None:
    one, other = server(store), client()
    one.receive(other.connected(0), 0)
    stream = b""
    while data := one.outgoing(piece):
        assert len(data) < piece + 60
        stream += data
    events = [event for part in cut(stream, cuts) for event in other.receive(part, 0)]
    assert events == [Event("accepted", b"S001", 1), *(Event("message", body, n) for n, body in enumerate(store, 1))]
    assert (other.next, one.sent) == (len(store) + 1, len(store))


@pytest.mark.parametrize(("stored", "wanted", "got"), [(3, 0, 3), (3, 1, 1), (3, 2, 2), (3, 4, 4), (3, 9, 4), (0, 0, 1)])
def test_a_login_begins_with_the_number_it_asks_for(stored: int, wanted: int, got: int) -> None:
    store = [b"%d" % number for number in range(1, stored + 1)]
    one = server(store)
    one.receive(soup.login("trader", "secret7", sequence=wanted), 0)
    (kind, answer), *rest = soup.Framer().feed(one.outgoing())
    assert (kind, soup.decode_accepted(answer).sequence) == (soup.ACCEPTED, got)
    assert rest == [(b"S", body) for body in store[got - 1 :]]


def test_reconnecting_continues_with_the_next_number() -> None:
    store = [b"one", b"two", b"three"]
    other = client()
    first = server(store)
    first.receive(other.connected(0), 0)
    stream = first.outgoing()
    other.receive(stream[:-4], 0)  # the connection breaks inside the third message
    other.lost("reset by peer")
    assert (other.closed, other.next) == ("reset by peer", 3)
    assert joined(server(store), other) == [Event("accepted", b"S001", 3), Event("message", b"three", 3)]
    assert other.missed == []


@pytest.mark.parametrize(
    ("begins", "answer", "events", "missed"),
    [
        ({"session": "S001", "next": 3}, ("S001", 2), [], []),  # it has forgotten, and is not believed
        ({"session": "S001", "next": 2}, ("S001", 5), [Event("accepted", b"S001", 5)], [(2, 5)]),
        ({"session": "S001", "next": 9}, ("S002", 1), [Event("accepted", b"S002", 1)], []),  # another session
    ],
)
def test_where_a_session_goes_on(begins: dict[str, Any], answer: tuple[str, int], events: list[Event], missed: list[Any]) -> None:
    other = client(**begins)
    other.connected(0)
    assert other.receive(soup.accepted(*answer), 0) == events
    assert other.missed == missed
    assert other.reason is (None if events else CloseReason.SESSION_WENT_BACK)
    assert (other.session, other.next) == (answer if events else ("S001", 3))


@pytest.mark.parametrize(
    ("request_", "answer", "why"),
    [
        (soup.login("trader", "wrong"), "A", "login of 'trader' rejected: not authorised"),
        (soup.login("nobody", "secret7"), "A", "login of 'nobody' rejected: not authorised"),
        (soup.login("", ""), "A", "login of '' rejected: not authorised"),
        (soup.login("trader", "secret7", "S999"), "S", "session 'S999'; available is 'S001'"),
        (soup.packet(b"L", b"trader"), "A", "got 7"),
        (soup.packet(b"L", b"\xff" * 46), "A", "username"),
        (soup.packet(b"L", soup.login("trader", "secret7")[3:-1] + b"x"), "A", "got b'x'"),
    ],
)
def test_logins_are_rejected_with_their_reason(request_: bytes, answer: str, why: str) -> None:
    one = server([b"one"])
    assert one.receive(request_ + soup.packet(b"U", b"order"), 0) == []
    assert one.outgoing() == soup.rejected(answer)
    assert why in one.closed
    assert one.state == "closed"
    assert (one.receive(soup.login("trader", "secret7"), 0), one.outgoing()) == ([], b"")


def test_the_client_knows_why_it_was_rejected() -> None:
    other = Client("trader", "wrong")
    assert joined(server(), other) == [Event("rejected", b"A")]
    assert (other.state, other.closed) == ("closed", "login rejected: not authorised")
    other = client(session="S999")
    assert joined(server(), other) == [Event("rejected", b"S")]
    assert other.closed == "login rejected: session not available"


def test_names_and_passwords_ignore_case_and_sessions_spaces() -> None:
    for request in (
        soup.login("TRADER", "SECRET7", "S001"),
        soup.packet(b"L", b"Trader" + b"   secret7" + b"S001".ljust(10) + b"1".rjust(20)),
    ):
        one = server()
        one.receive(request, 0)
        assert one.state == "open"


def test_no_secret_is_shown() -> None:
    one, other = server(), client()
    joined(one, other)
    shown = f"{one!r} {other!r} {soup.decode_login(other.connected(0)[3:])!r} {vars(one)!r}"
    assert "secret7" not in shown.lower()
    assert "trader" in shown


@pytest.mark.parametrize(
    ("wrong", "early"),
    [(b"\0\1S", b"S"), (b"\0\1H", b"H"), (b"\0\1Z", b"Z"), (b"\0\0", b"U"), (soup.login("trader", "secret7"), b"?")],
)
def test_a_packet_of_the_client_out_of_place_closes_and_what_was_before_it_counts(wrong: bytes, early: bytes) -> None:
    one = server()
    assert one.receive(soup.packet(early, b"order"), 0) == []
    assert "must be one of L, R, O, + in state login" in one.closed
    assert one.outgoing() == b""
    one = server()
    one.receive(soup.packet(b"+", b"hello") + soup.packet(b"R") + soup.login("trader", "secret7"), 0)
    assert one.receive(soup.packet(b"U", b"order") + wrong + soup.packet(b"U", b"late"), 0) == [b"order"]
    assert (one.state, one.reason) == ("closed", CloseReason.BAD_PACKET)


@pytest.mark.parametrize(
    ("wrong", "early"),
    [(b"\0\1L", b"S"), (b"\0\1R", b"U"), (soup.accepted("S001", 9), b"Z"), (b"\0\1O", b"J"), (b"\0\0", b"A")],
)
def test_a_packet_of_the_server_out_of_place_closes_and_what_was_before_it_counts(wrong: bytes, early: bytes) -> None:
    other = client()
    with pytest.raises(WireError, match="got idle"):
        other.send(b"order", 0)
    other.connected(0)
    assert other.receive(soup.packet(b"+", b"wait") + soup.packet(early), 0) == [Event("debug", b"wait")]
    assert (other.state, other.reason) == ("closed", CloseReason.BAD_PACKET)
    joined(server(), other)
    assert other.receive(soup.packet(b"S", b"fill") + wrong + soup.packet(b"S", b"late"), 0) == [Event("message", b"fill", 1)]
    assert (other.state, other.next, other.reason) == ("closed", 2, CloseReason.BAD_PACKET)
    with pytest.raises(WireError, match="must be open to send, got closed"):
        other.send(b"order", 0)


def test_logging_out() -> None:
    one, other = server(), client()
    joined(one, other)
    assert one.receive(other.send(b"order", 0) + other.logout() + soup.packet(b"U", b"late"), 0) == [b"order"]
    assert (one.closed, other.closed) == ("logged out", "logged out")
    one.lost("reset by peer")
    assert one.closed == "logged out", "the first reason counts"
    early = server()
    early.end()
    assert early.closed == "end of session before a login"


# --- time


def test_heartbeats_fill_silence_only() -> None:
    one, other = server(), client()
    joined(one, other)
    assert other.due(SECOND - 1) == b""
    assert other.due(SECOND) == soup.packet(b"R")
    assert other.due(SECOND + 1) == b""
    other.send(b"order", 2 * SECOND - 1)
    assert other.due(2 * SECOND) == b""
    one.due(SECOND - 1)
    assert one.outgoing() == b""
    one.due(SECOND)
    one.due(SECOND)
    assert one.outgoing() == soup.packet(b"H")
    one.due(2 * SECOND - 1)
    assert one.outgoing() == b""
    assert other.receive(soup.packet(b"H"), 0) == []
    early, waiting = server(), client()
    early.due(0)
    early.due(5 * SECOND)
    assert (early.outgoing(), waiting.due(5 * SECOND)) == (b"", b"")  # nothing before a login


def test_a_login_must_come_in_time_whatever_else_comes() -> None:
    one = server(login_timeout_ns=30 * SECOND)
    one.due(0)
    for second in range(31):
        one.receive(soup.packet(b"R") + soup.packet(b"+"), second * SECOND)
        one.due(second * SECOND)
    assert one.state == "login"
    one.receive(soup.login("trader", "secret7")[:20], 31 * SECOND)  # half a login is none
    one.due(31 * SECOND)
    assert one.closed == "no login for 31.0 s, limit 30 s"
    late = server(login_timeout_ns=30 * SECOND)
    late.due(0)
    late.receive(soup.login("trader", "secret7"), 29 * SECOND)
    late.due(40 * SECOND)
    assert late.state == "open"


def test_a_silent_client_is_closed_and_half_packets_are_silence() -> None:
    one = server()
    joined(one, client())
    one.receive(b"\0", 14 * SECOND)
    one.due(15 * SECOND)
    assert one.state == "open"
    one.due(15 * SECOND + 1)
    assert (one.reason, one.closed) == (CloseReason.SILENT, "nothing from the client for 15.0 s, limit 15 s")


def test_a_login_of_4_10_names_its_own_timeout() -> None:
    for version, state in (("4.00", "open"), ("4.10", "closed")):
        one, other = server(), client(version=version, idle_timeout_ns=3 * SECOND)
        joined(one, other)
        one.due(3 * SECOND + 1)
        assert one.state == state
    assert len(client(version="4.10", idle_timeout_ns=10**15).connected(0)) == 54
    with pytest.raises(UnknownName, match="unknown SoupBinTCP version '5'"):
        client(version="5")
    with pytest.raises(WireError, match="username"):
        Client("much too long", "secret7")


def test_a_silent_server_closes_the_client() -> None:
    for log_in in (True, False):
        one, other = server(), client(idle_timeout_ns=5 * SECOND)
        if log_in:
            joined(one, other)
        else:
            other.connected(0)
        other.due(5 * SECOND)
        assert other.state != "closed"
        assert other.due(5 * SECOND + 1) == b""
        assert (other.reason, other.closed) == (CloseReason.SILENT, "nothing from the server for 5.0 s, limit 5 s")


def test_a_slow_reader_is_closed_but_a_long_replay_is_not() -> None:
    store = [b"old"] * 1000
    one = server(store, backlog=10)
    one.receive(soup.login("trader", "secret7"), 0)
    for _ in range(10):
        store.append(b"new")
        one.publish()
    assert (one.state, one.waiting) == ("open", 10)
    store.append(b"new")
    one.publish()
    assert one.closed == "slow reader: 11 messages waiting, limit 10"
    reading = server(store, backlog=10)
    reading.receive(soup.login("trader", "secret7"), 0)
    for _ in range(100):
        store.append(b"new")
        reading.publish()
        assert reading.outgoing(2048)
    assert (reading.state, reading.waiting) == ("open", 0)


@patient
@given(
    st.lists(st.binary(max_size=80) | packets.map(lambda many: b"".join(soup.packet(*one) for one in many)), max_size=6),
    st.booleans(),
)
def test_no_bytes_make_either_end_raise(pieces: list[bytes], log_in: bool) -> None:
    one, other = server([b"one"]), client()
    if log_in:
        joined(one, other)
    else:
        other.connected(0)
    for now, piece in enumerate(pieces):
        taken = one.receive(piece, now)
        assert log_in or one.username or not taken
        one.outgoing()
        other.receive(piece, now)
    assert bool(one.closed) == (one.state == "closed")
    assert bool(other.closed) == (other.state == "closed")
