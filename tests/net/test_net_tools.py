"""Captures, statistics of lines, status files: what people look at a running path with."""

from __future__ import annotations

import json
import struct
import time
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

import pytest
from venue.feeds import SMALL, day

import hftlab
from hftlab.cli.main import main
from hftlab.errors import ConfigError, OutputError
from hftlab.net.capture import PcapWriter, capture_lines, frame, replay_capture
from hftlab.net.endpoints import LOOPBACK, Address, System
from hftlab.net.exchange.process import Status, StatusFile
from hftlab.net.trader.feed import LineStatistics
from hftlab.protocols import moldudp64

SESSION = b"CAPTURED01"
MESSAGES = day()[:600]


class Captured:
    """Lines that are captured in a thread, until the session has ended on one of them."""

    def __init__(self, path: Path, groups: tuple[str, str] = ("239.255.71.41", "239.255.71.42")) -> None:
        self.system, self.out = System(), System().sender(LOOPBACK)
        self.targets = [self.system.destination(Address(group, 0), "line") for group in groups]
        self.lines = tuple(map(str, self.targets))
        self.counts: dict[str, int] = {}
        self.stopped, looked = Event(), Event()

        def going() -> bool:
            looked.set()  # the lines are open
            return not self.stopped.is_set()

        self.thread = Thread(target=lambda: self.counts.update(capture_lines(str(path), self.lines, going=going)))
        self.thread.start()
        looked.wait()
        self._stamped()

    def _stamped(self) -> None:
        """The kernel begins to stamp a little after it is asked to, if it did not stamp for anybody before: until it does."""
        probe = self.system.listener(Address(LOOPBACK, 0), LOOPBACK)
        with probe:
            stamp = None
            while stamp is None:
                self.out.sendto(b"", probe.getsockname())
                with suppress(BlockingIOError):
                    stamp = self.system.receive(probe)[2]

    def close(self) -> None:
        self.stopped.set()
        self.thread.join()
        self.out.close()


def test_a_capture_holds_both_lines_and_is_a_feed_and_goes_out_again_as_it_came(tmp_path: Path) -> None:
    path, again = tmp_path / "day.pcap", tmp_path / "again.pcap"
    packets = [*moldudp64.pack(SESSION, 1, MESSAGES), moldudp64.end(SESSION, len(MESSAGES) + 1)]
    captured, before = Captured(path), time.time_ns()
    try:
        for number, packet in enumerate(packets):
            for line, target in enumerate(captured.targets):
                if (number % 3 != line and number < len(packets) - 1) or line:  # line A loses a third, the other brings all
                    captured.out.sendto(packet, target)
        captured.thread.join(20)
    finally:
        captured.close()
    assert captured.counts[captured.lines[1]] == len(packets)
    assert captured.counts[captured.lines[0]] < len(packets)
    feed = hftlab.load(path)
    assert b"".join(bytes(block) for block in feed.blocks()) == b"".join(map(moldudp64.frame, MESSAGES))
    assert feed.recv_ns is not None
    assert before <= feed.recv_ns[0] <= feed.recv_ns[-1] <= time.time_ns(), "the kernel's time of each"
    second = Captured(again, ("239.255.71.43", "239.255.71.44"))
    try:
        sent = replay_capture(str(path), second.lines, speed=50.0)
        second.thread.join(20)
    finally:
        second.close()
    assert sorted(sent.values()) == sorted(captured.counts.values()) == sorted(second.counts.values())
    assert sorted(_payloads(again)) == sorted(_payloads(path)), "its lines in the order in which they appear"


def _payloads(path: Path) -> list[list[bytes]]:
    """Payloads by line, read by the offsets of the formats: pcap 24 + 16, Ethernet 14, IPv4 20, UDP 8."""
    data, at, found = path.read_bytes(), 24, dict[bytes, list[bytes]]()
    assert struct.unpack_from("<IHH", data) == (0xA1B23C4D, 2, 4)
    while at < len(data):
        _, _, size, whole = struct.unpack_from("<IIII", data, at)
        packet = data[at + 16 : at + 16 + size]
        words = struct.unpack(">10H", packet[14:34])
        assert size == whole == 14 + words[1]
        assert sum(words) % 0xFFFF == 0, "the checksum of the IPv4 header"
        assert packet[:3] == b"\x01\x00\x5e"
        assert packet[3:6] == bytes([packet[31] & 0x7F]) + packet[32:34], "the hardware address of the group"
        found.setdefault(packet[30:34], []).append(packet[42:])
        at += 16 + size
    return list(found.values())


def test_frames_to_a_host_and_files_that_cannot_be(tmp_path: Path) -> None:
    data = frame(Address("10.0.0.1", 7), Address("10.0.0.2", 9), b"payload")
    assert data[:6] == b"\x02\x00\x0a\x00\x00\x02"
    assert data[-7:] == b"payload"
    with pytest.raises(OutputError, match="cannot be written"):
        PcapWriter(tmp_path / "nowhere" / "x.pcap")
    with pytest.raises(ConfigError, match="speed must be"):
        replay_capture(str(tmp_path / "x"), speed=0.0)
    (tmp_path / "x").write_bytes(b"no capture")
    assert main(["net", "replay", str(tmp_path / "x")]) == 2


def test_what_each_line_brings_is_counted() -> None:
    lines = LineStatistics("AB")
    for line, sequence, count, came in (
        (0, 1, 2, 100),
        (1, 1, 2, 150),
        (1, 3, 1, 200),
        (1, 3, 1, 210),
        (0, 6, 1, 300),
        (0, 7, 0, 400),
    ):
        lines.receive(line, sequence, count, came)
    found = lines.summary()
    behind = {name: (line.pop("behind")["n"], line) for name, line in found.items()}
    assert behind["A"] == (0, {"datagrams": 3, "messages": 3, "first": 3, "lost": 3})
    assert behind["B"] == (1, {"datagrams": 3, "messages": 4, "second": 2, "first": 1, "repeated": 1, "lost": 0})
    assert lines.times[1]["behind"].max == 50


def test_a_status_file_is_shown_and_says_when_it_is_old(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "status"
    live = StatusFile(str(path), "trader")
    live.write(lambda: {"held": "", "positions": {"ABC": -100}, "attention": {}})
    first = path.read_bytes()
    live.write(lambda: {"held": "no: it is not time yet"})
    assert path.read_bytes() == first
    assert main(["net", "status", str(path)]) == 0
    assert "ABC -100" in capsys.readouterr().out
    state = json.loads(first)
    path.write_text(json.dumps({**state, "time": state["time"] - 60}))
    assert main(["net", "status", str(path), "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert (shown["sound"], shown["age_s"] >= 60) == (False, True)
    live.write(lambda: {"attention": {"overfills": 1}}, last=True)
    assert not Status.read(str(path)).sound
    live.write(lambda: {"attention": {}}, last=True)
    assert Status.read(str(path)).sound, "it has ended in order"
    for wrong in (b"", b"{}", b"[1]"):
        path.write_bytes(wrong)
        with pytest.raises(ConfigError, match="status file"):
            Status.read(str(path))


def test_the_exchange_publishes_a_small_day_from_a_capture(tmp_path: Path) -> None:
    from hftlab.net.exchange.publisher import messages

    path = tmp_path / "small.pcap"
    writer = PcapWriter(path)
    pieces = moldudp64.split(SMALL)
    writer.write(1_000_000_000, Address(LOOPBACK, 5), Address("239.255.71.1", 6), moldudp64.encode(SESSION, 1, pieces))
    writer.close()
    assert b"".join(framed for _, framed in messages(hftlab.load(path))) == SMALL
