"""A real exchange and a real trader, each a process of its own, on loopback: do both tell one story, and is it the replay's?"""

from __future__ import annotations

import json
import signal
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from venue.process import FREE, Process
from venue.waiting import LIMIT_S, wait_until

import hftlab
from hftlab.cli.main import main
from hftlab.net.endpoints import LOOPBACK, Address, System
from hftlab.net.exchange.audit import message_to_dict, read_log
from hftlab.net.exchange.process import Status
from hftlab.net.trader.journal import replay_journal
from hftlab.protocols.moldudp64 import END, HEADER
from hftlab.protocols.ouch import decode_inbound
from hftlab.settings import OrderConfig

MESSAGES, SEED = 4_000, 3
EAGER = {"order_config": OrderConfig(threshold=0.2, cooldown=5)}
EAGER_WORDS = ["--threshold", "0.2", "--cooldown", "5"]
PASSWORD = "S3CRETPASS"


def exchange(start: Callable[..., Process], folder: Path, *words: str, wait: int = 1) -> tuple[Process, dict[str, Any]]:
    """An exchange on free ports that waits for us."""
    feed = ["--regime", "burst", "--messages", str(MESSAGES), "--seed", str(SEED), "--pace", "2000/s", "--wait", str(wait)]
    end = ["--heartbeat-after-end", "600", "--repeat-end", "0.3", "--heartbeat", "0.1", "--audit", str(folder / "audit")]
    made = start("exchange", *FREE, *feed, *end, *words, HFTLAB_ACCOUNTS=f"TRADER:{PASSWORD}")
    return made, made.event("listening")


def trader(start: Callable[..., Process], folder: Path, at: dict[str, Any], *words: str, password: str = PASSWORD) -> Process:
    place = ["--line", at["line_a"], "--line", at["line_b"], "--requests", at["requests"], "--orders", at["orders"]]
    patient = ["--max-age", "60000", "--shutdown-timeout", "20000"]  # a busy machine is not what is tested
    usual = [*EAGER_WORDS, *patient, "--journal", str(folder / "journal"), "--status", str(folder / "status")]
    return start("trader", *place, *usual, *words, HFTLAB_PASSWORD=password)


def end_of_day(made: Process, folder: Path) -> None:
    """Have the exchange end its session once the trader has run all of the feed, and every order of it was answered."""

    def through() -> bool:
        state = Status.read(str(folder / "status")).state if (folder / "status").exists() else {"messages": 0}
        return state["messages"] == MESSAGES and not state["open"]

    wait_until(through, lambda: time.sleep(0.05))
    made.process.send_signal(signal.SIGTERM)


def position(journal: list[dict[str, Any]]) -> dict[str, int]:
    """What the exchange executed, from what it says it has sent, by symbol."""
    terms, held = {}, Counter[str]()
    for line in journal:
        if line["event"] == "out" and (message := line["message"])["type"] in ("Accepted", "Executed"):
            if message["type"] == "Accepted":
                terms[message["user_ref"]] = message
            else:
                order = terms[message["user_ref"]]
                held[order["symbol"]] += message["quantity"] if order["side"] == "B" else -message["quantity"]
    return {symbol: shares for symbol, shares in sorted(held.items()) if shares}


@pytest.mark.parametrize(
    ("backend", "loss"),
    [
        pytest.param("python", "0.05,0", id="python-one line loses"),
        pytest.param("rust", "0", marks=pytest.mark.rust, id="rust-nothing is lost"),
        pytest.param("rust", "0.05,0.05", marks=pytest.mark.rust, id="rust-both lines lose"),
    ],
)
def test_both_sides_tell_the_story_that_the_replay_tells(
    started: Callable[..., Process], tmp_path: Path, backend: str, loss: str
) -> None:
    made, at = exchange(started, tmp_path, "--loss", loss)
    ours = trader(started, tmp_path, at, "--engine", backend, "--out", str(tmp_path / "orders.parquet"))
    ours.event("listening")
    end_of_day(made, tmp_path)
    mine, theirs = ours.event("summary"), made.event("summary")
    assert not mine["attention"]
    assert (ours.end(), made.end()) == ((0, ""), (0, ""))
    assert (mine["messages"], mine["lost"], mine["restarts"]) == (MESSAGES, 0, 0)
    assert (theirs["published"]["messages"], theirs["lines"]["A"].get("lost", 0) > 0) == (MESSAGES, loss != "0")

    audit, feed = list(read_log(tmp_path / "audit")), hftlab.synthetic("burst", MESSAGES, seed=SEED)
    entered = [line["message"] for line in audit if line["event"] == "in" and line["message"]["type"] == "EnterOrder"]
    again = replay_journal(tmp_path / "journal", feed, backend, **EAGER)
    assert entered
    assert entered == [message_to_dict(decode_inbound(raw)) for raw in again.sent]
    # The same orders, told to the other engine, are the same bytes; and both books are that of the file.
    offline = hftlab.Engine("python").run(feed, record="none")
    assert [again.live.book(i) for i in sorted(again.live.names)] == [offline._session.depth(i) for i in sorted(again.live.names)]

    words = ["net", "replay-journal", str(tmp_path / "journal"), "--engine", backend]
    words += ["--regime", "burst", "--messages", str(MESSAGES), "--seed", str(SEED)]
    assert main(words) == 0, "its thresholds are in the journal"
    changed = (tmp_path / "journal").read_text().replace('"quantity":100,', '"quantity":101,', 1)
    (tmp_path / "other").write_text(changed)
    assert main([*words[:2], str(tmp_path / "other"), *words[3:]]) == 1

    named = {again.live.names[instrument]: shares for instrument, shares in again.live.positions.items()}
    assert mine["positions"] == position(audit) == named
    assert mine["sent"] == mine["accepted"] == len(entered)
    assert sum(mine["orders"].values()) == len(entered), "every order has an end"
    assert set(mine["orders"]) <= {"executed", "canceled"}
    import polars as pl

    frame = pl.read_parquet(tmp_path / "orders.parquet")
    assert frame.height == len(entered)
    assert PASSWORD not in (tmp_path / "journal").read_text() + (tmp_path / "audit").read_text() + json.dumps(mine)


@pytest.mark.parametrize("how", ["SIGTERM", "SIGUSR1"])
def test_signals_end_it_in_order(started: Callable[..., Process], tmp_path: Path, how: str) -> None:
    made, at = exchange(started, tmp_path)
    ours = trader(started, tmp_path, at, "--engine", "python")
    ours.event("listening")
    end = time.monotonic() + LIMIT_S
    while '"event":"order"' not in (tmp_path / "journal").read_text():
        assert time.monotonic() < end
        time.sleep(0.02)
    ours.process.send_signal(getattr(signal, how))
    if how == "SIGUSR1":
        end_of_day(made, tmp_path)
    mine = ours.event("summary")
    assert ours.end() == (0, "")
    made.process.send_signal(signal.SIGTERM)
    theirs = made.event("summary")
    if how == "SIGTERM":
        assert (mine["held"], mine["messages"] < MESSAGES) == ("", True)
        assert theirs["connections"]["closed"] == {"logout": 1}
    else:
        assert (mine["killed"], mine["messages"]) == ("SIGUSR1", MESSAGES)
    assert mine["sent"] == theirs["orders"]["entered"]
    assert mine["positions"] == position(list(read_log(tmp_path / "audit")))


def test_a_wrong_password_is_one_sentence_that_does_not_repeat_it(started: Callable[..., Process], tmp_path: Path) -> None:
    _, at = exchange(started, tmp_path)
    ours = trader(started, tmp_path, at, password="WRONGONE")
    ours.event("listening")
    assert ours.event("summary")["sent"] == 0
    code, errors = ours.end()
    assert (code, errors) == (2, f"hftlab: error: orders {at['orders']}: login rejected: not authorised\n")
    missing = started("trader", "--orders", at["orders"])
    how = "name a file with --accounts FILE, or set HFTLAB_PASSWORD or HFTLAB_ACCOUNTS"
    assert missing.end() == (2, f"hftlab: error: there is no password for 'TRADER': {how}\n")


class Witness:
    """Listens to a line beside the trader: when each message had come, monotonic ns, by its number."""

    def __init__(self, address: str) -> None:
        self.came: dict[int, int] = {}
        self.line = System().listener(Address.parse(address, "line"), LOOPBACK)
        self.line.settimeout(0.2)
        self.going = True
        self.thread = Thread(target=self._listen)
        self.thread.start()

    def _listen(self) -> None:
        while self.going:
            with suppress(TimeoutError):
                datagram, now_ns = self.line.recv(65_536), time.monotonic_ns()
                _, sequence, count = HEADER.unpack_from(datagram)
                self.came.update(dict.fromkeys(range(sequence, sequence + count % END), now_ns))

    def close(self) -> None:
        self.going = False
        self.thread.join()
        self.line.close()


@pytest.mark.parametrize(
    ("backend", "max_age_ms"),
    [("python", 250), pytest.param("rust", 250, marks=pytest.mark.rust), ("python", 86_400_000)],
    ids=["python", "rust", "without a limit"],
)
def test_a_trader_that_was_paused_sends_nothing_on_what_waited_for_it(
    started: Callable[..., Process], tmp_path: Path, backend: str, max_age_ms: int
) -> None:
    """The trader alone is stopped for a second and goes on; without a limit on age, the same pause does send such orders.

    When an order came, the exchange says: the trader may be stopped between sending one and writing so.
    """
    made, at = exchange(started, tmp_path)
    witness = Witness(at["line_a"])
    try:
        ours = trader(started, tmp_path, at, "--engine", backend, "--max-age", str(max_age_ms))
        ours.event("listening")
        wait_until(lambda: len(witness.came) > 600, lambda: time.sleep(0.01))
        ours.process.send_signal(signal.SIGSTOP)
        time.sleep(1.0)
        ours.process.send_signal(signal.SIGCONT)
        end_of_day(made, tmp_path)
        summary = ours.event("summary")
    finally:
        witness.close()
    sent = [line for line in read_log(tmp_path / "journal") if line["event"] == "order" and line["state"] == "sent"]
    audit = [line for line in read_log(tmp_path / "audit") if line["event"] == "in"]
    entered = {line["message"]["user_ref"]: line["at_ns"] for line in audit if line["message"]["type"] == "EnterOrder"}
    ages = [entered[line["ref"]] - witness.came[line["index"] + 1] for line in sent]
    assert len(sent) == summary["sent"] > 0
    assert summary["messages"] == MESSAGES
    if max_age_ms == 250:
        assert max(ages) < 750_000_000
        assert summary["feed"]["late"] > 100
        assert summary["latency"]["total"]["max"] < 750_000_000
    else:
        assert max(ages) > 750_000_000
        assert summary["latency"]["waited"]["max"] > 750_000_000, "nothing was read in the pause, and it counts"


def test_a_damaged_datagram_under_its_old_checksum_is_never_seen() -> None:
    """Nothing else protects the low half of a number, or a message: the system must check it."""
    system = System()
    line = system.listener(Address("127.0.0.1", 0), "127.0.0.1")
    port, data = line.getsockname()[1], b"D" * 40
    with line, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        try:
            raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
        except OSError as error:
            pytest.skip(f"raw sockets: {error.strerror}")
        with raw:
            words = struct.unpack(">20H", data)
            ends = socket.inet_aton("127.0.0.1") * 2 + struct.pack(">BBH", 0, socket.IPPROTO_UDP, 48)
            total = sum((*words, *struct.unpack(">6H", ends), port, port, 48))
            total = (total & 0xFFFF) + (total >> 16)
            checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
            header = struct.pack(">HHHH", port, port, 48, checksum)
            for payload in (b"E" + data[1:], data):
                raw.sendto(header + payload, ("127.0.0.1", port))
        sender.sendto(b"last", ("127.0.0.1", port))
        line.settimeout(10)
        assert [line.recv(100) for _ in range(2)] == [data, b"last"]
