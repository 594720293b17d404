"""Does every transport that works here carry messages whole and in order, refuse and count the rest, and leave nothing behind?

One that does not work here is skipped, with the number of the error and the step that failed.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from hftlab.net.transports.netns import INTERFACE, refused, veth

pytestmark = pytest.mark.rust
LIMIT = 5.0
DATAGRAMS = ("udp-spin", "recvmmsg", "multicast", "epoll-spin", "uring-spin", "udp", "udp-busy", "epoll", "uring")
FRAMES = ("xdp-skb", "xdp-drv", "packet")
NAMES = ("memory", "shm", *FRAMES, *DATAGRAMS, "tcp-spin", "tcp")
#: Calls of the system for one message, sent and received, where nothing has to be waited for. Memory takes none.
CALLS = {"memory": 0, "shm": 0, "xdp-skb": 1, "packet": 1, **dict.fromkeys(("udp-spin", "recvmmsg", "multicast", "tcp-spin"), 2)}
CALLS["epoll-spin"] = 3

Pair = tuple[Any, Any]
Make = Callable[..., Pair]


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes a pair, or skips with the reason; closes what it has made."""
    import hftlab_rust

    made: list[Any] = []

    def pair(name: str, address: str | None = None, **options: Any) -> Pair:
        works, number, why = hftlab_rust.transport_probe(name)
        if not works:
            pytest.skip(f"{name}: {why} (errno {number})")
        made.extend(hftlab_rust.transport_pair(name, address, **options))
        return made[-2], made[-1]

    yield pair
    for end in made:
        end.close()


@pytest.fixture
def wire() -> Iterator[Any]:
    if why := refused():
        pytest.skip(why)
    with veth() as made:
        yield made


def numbered(number: int, limit: int) -> bytes:
    """A message that says its number, of a length that the number gives."""
    length = 8 + number * 7919 % (limit - 7)
    return (number.to_bytes(8, "big") * (length // 8 + 1))[:length]


def eventually(true: Callable[[], bool]) -> bool:
    """Whether it becomes true in time: the system does some things late."""
    until = time.monotonic() + LIMIT
    while not true() and time.monotonic() < until:
        time.sleep(0.01)
    return true()


def test_every_transport_is_known_by_name() -> None:
    import hftlab_rust

    assert {row[0] for row in hftlab_rust.transports()} == set(NAMES)


@pytest.mark.parametrize("name", ["memory", "shm", "udp", "tcp"])
def test_an_end_says_what_is_wrong_by_the_exceptions_of_python(name: str, make: Make) -> None:
    """Whole, in order, bounded and never waiting for ever are held by `cargo test`, transport by transport."""
    first, second = make(name, size=200, slots=8)
    assert first.wait(0.01) is second.try_recv() is None
    with pytest.raises(ValueError, match=f"a message of {first.limit + 1} bytes; allowed are at most {first.limit}"):
        first.send(bytes(first.limit + 1))
    first.send(b"the next one")
    assert second.wait(LIMIT) == b"the next one"
    assert second.try_recv() is None  # with which the one that was looked at is given back
    if name in ("memory", "shm"):
        for _ in range(8):
            first.send(b"")
        with pytest.raises(BlockingIOError):
            first.send(b"too many")
    second.close()
    with nullcontext() if name == "udp" else pytest.raises(EOFError):
        first.wait(0.05)
    first.close()
    with pytest.raises(ValueError, match="closed"):
        first.send(b"nobody")


@pytest.mark.parametrize("name", [*DATAGRAMS, *FRAMES])
def test_what_nobody_takes_is_lost_and_counted(name: str, make: Make) -> None:
    first, second = make(name, size=1000, slots=64)
    sent = 0
    for number in range(20_000):
        try:
            first.send(numbered(number, 1000))
            sent += 1
        except BlockingIOError:  # nobody takes the frames back from us either
            break
    taken = []
    while (message := second.wait(0.1)) is not None:
        taken.append(message)
    assert 0 < len(taken) < sent, f"{name}: {len(taken)} of {sent} came"
    numbers = [int.from_bytes(message[:8], "big") for message in taken]
    assert taken == [numbered(number, 1000) for number in numbers]
    assert numbers == sorted(set(numbers)), "in order, though a short one may have found room where a long one had not"
    assert second.lost == sent - len(taken)


_ALTERNATE = """
import sys, hftlab_rust
first, second = hftlab_rust.transport_pair(sys.argv[1])
for _ in range(int(sys.argv[2])):
    for sender, receiver in ((first, second), (second, first)):
        sender.send(bytes(58))
        assert receiver.wait(5.0) == bytes(58)
"""


def calls_of(name: str, count: int, file: Path) -> int:
    """Calls of the system that a process makes which sends so many messages each way, or a skip where nobody may count them."""
    words = ["strace", "-f", "-c", "-o", str(file), sys.executable, "-c", _ALTERNATE, name, str(count)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        pytest.skip(f"strace: {done.stderr.strip().splitlines()[-1]}")
    total = next(line for line in file.read_text().splitlines() if line.endswith(" total"))
    return int(total.split()[3])


@pytest.mark.parametrize("name", CALLS)
def test_a_message_takes_as_many_calls_of_the_system_as_it_must(name: str, make: Make, tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("no strace on PATH")
    make(name)
    few, many = (calls_of(name, count, tmp_path / str(count)) for count in (100, 400))
    per_message = (many - few) / (2 * 300)
    assert abs(per_message - CALLS[name]) < 0.1, f"{name}: {per_message:.2f}"


def silence(end: Any, seconds: float = 0.0, send: bytes | None = None) -> bool:
    """Send, or wait: whether nothing came. That the other end is gone may be told."""
    try:
        return (end.wait(seconds) if send is None else end.send(send)) is None
    except (EOFError, ConnectionError):
        return True


_ECHO = """
import sys, hftlab_rust
end = hftlab_rust.transport_open(sys.argv[1], sys.argv[2], "second")
print("ready", flush=True)
hftlab_rust.transport_echo(end, idle=20.0)
"""


@pytest.mark.parametrize("name", ["shm", "udp", "tcp"])
def test_a_peer_that_is_killed_is_no_reason_to_hang(name: str) -> None:
    import hftlab_rust

    from hftlab.net.transports.round_trip import free_address

    address = free_address(name)
    with subprocess.Popen([sys.executable, "-c", _ECHO, name, address], stdout=subprocess.PIPE, text=True) as child:
        end = hftlab_rust.transport_open(name, address, "first", patience=LIMIT)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        end.send(bytes(64))
        reply = end.wait(LIMIT)
        assert reply is not None
        assert len(reply) == 64
        child.kill()
    start = time.monotonic()
    silence(end, send=bytes(64))
    assert silence(end, 0.2)
    assert time.monotonic() - start < LIMIT
    end.close()
    assert not Path("/dev/shm", address.split("/")[0]).exists()


def test_nothing_of_a_ring_is_left_under_dev_shm(make: Make) -> None:
    first, second = make("shm")
    ours = f"hftlab-{os.getpid()}-*"
    assert not list(Path("/dev/shm").glob(ours)), "the name is gone once both have it"
    first.close()
    second.close()
    assert not list(Path("/dev/shm").glob(ours))


def program_on(wire: Any) -> bool:
    """Whether there is an XDP program on either end of the wire."""
    words = [["ip", "-n", name, "-details", "link", "show", INTERFACE] for name in wire.names]
    return any("prog/xdp" in subprocess.run(each, capture_output=True, text=True, check=True).stdout for each in words)


@pytest.mark.parametrize("name", ["xdp-skb", "xdp-drv"])
def test_no_program_stays_on_an_interface(name: str, make: Make, wire: Any) -> None:
    for _ in range(3):  # so soon after each other, the queue is still taken when it is asked for again
        first, second = make(name, wire.address(name))
        assert program_on(wire)
        first.send(b"over the wire")
        assert second.wait(LIMIT) == b"over the wire"
        first.close()
        second.close()
        assert eventually(lambda: not program_on(wire))


_HOLD = """
import sys, time, hftlab_rust
ends = hftlab_rust.transport_pair(sys.argv[1], sys.argv[2])
print("ready", flush=True)
time.sleep(60)
"""


def test_no_program_stays_on_an_interface_when_its_process_is_killed(make: Make, wire: Any) -> None:
    make("xdp-skb")
    words = [sys.executable, "-c", _HOLD, "xdp-skb", wire.address("xdp-skb")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        assert program_on(wire)
        child.kill()
    assert eventually(lambda: not program_on(wire))


@pytest.mark.parametrize("name", [*FRAMES, "udp-spin", "tcp-spin", "multicast", "uring"])
def test_it_goes_over_a_wire_between_two_namespaces(name: str, make: Make, wire: Any) -> None:
    first, second = make(name, wire.address(name))
    for number in range(500):
        first.send(numbered(number, 1400))
        assert second.wait(LIMIT) == numbered(number, 1400)
        second.send(b"got it")
        assert first.wait(LIMIT) == b"got it"


_NOBODY = """
import contextlib, os, hftlab_rust
with contextlib.suppress(PermissionError):  # who is not root, or root without rights, may less already
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for row in hftlab_rust.transports():
    print(row[0], *hftlab_rust.transport_probe(row[0]))
"""


def test_who_may_not_is_told_the_errno() -> None:
    done = subprocess.run([sys.executable, "-c", _NOBODY], capture_output=True, text=True, check=True)
    answers = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    for name in FRAMES:
        assert answers[name].startswith(f"False {errno.EPERM} "), answers[name]
        assert "(" in answers[name], "the step is named"
    for name in ("memory", "udp", "tcp"):
        assert answers[name].startswith("True 0"), answers[name]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_namespaces_are_gone_however_their_process_ends(number: signal.Signals) -> None:
    if why := refused():
        pytest.skip(why)
    hold = "import time\nfrom hftlab.net.transports.netns import veth\nwith veth() as w:\n print(*w.names, flush=True)\n"
    hold += " for _ in range(600): time.sleep(0.1)"  # one that comes just before a sleep is seen after it
    with subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        assert child.stdout is not None
        paths = [Path("/run/netns", name) for name in child.stdout.readline().split()]
        assert len(paths) == 2
        assert all(path.exists() for path in paths)
        child.send_signal(number)
    if number == signal.SIGKILL:
        with veth():  # whoever makes the next ones removes what is nobody's
            pass
    assert not any(path.exists() for path in paths)


def test_namespaces_are_gone_after_an_exception() -> None:
    if why := refused():
        pytest.skip(why)
    with pytest.raises(RuntimeError), veth() as made:
        raise RuntimeError
    assert not Path("/run/netns", made.first).exists()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
