"""Captures of packets for the tests: reading and writing pcap files, and asking tshark what it sees in one."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from struct import Struct

import pytest
from hypothesis import HealthCheck, settings

_ETHERNET = bytes(12) + b"\x08\x00"
_IPV4 = Struct(">BBHHHBBH4s4s")
_LOOPBACK = bytes((127, 0, 0, 1))
_UDP, _TCP = 17, 6

#: Of tests with drawn examples, on a machine that is busy with other things.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

PORT = 40_000  # of the server, in captures written here


def frames(path: Path) -> Iterator[bytes]:
    """Ethernet frames of a little-endian pcap file."""
    data, at = path.read_bytes(), 24
    while at < len(data):
        size = int.from_bytes(data[at + 8 : at + 12], "little")
        yield data[at + 16 : at + 16 + size]
        at += 16 + size


def payload(frame: bytes) -> bytes:
    """What a frame carries in IPv4 and UDP or TCP, with or without a VLAN tag; its padding is cut off."""
    at = 18 if frame[12:14] == b"\x81\x00" else 14
    end = at + int.from_bytes(frame[at + 2 : at + 4], "big")
    protocol = frame[at + 9]
    at += (frame[at] & 15) * 4
    return frame[at + (8 if protocol == _UDP else (frame[at + 12] >> 4) * 4) : end]


def payloads(folder: Path) -> list[bytes]:
    """The payloads of all captures of a folder."""
    found = [payload(frame) for path in sorted(folder.glob("*.pcap")) for frame in frames(path)]
    assert found, f"no captures in {folder}"
    return found


def write(path: Path, contents: Sequence[bytes], protocol: str, from_server: bool = True) -> Path:
    """Write payloads as packets between the loopback address and itself, `PORT` being the server's."""
    out = bytearray(bytes.fromhex("d4c3b2a1 0200 0400 00000000 00000000 ffff0000 01000000"))
    ports = (PORT, PORT + 1) if from_server else (PORT + 1, PORT)
    sent = 0
    for content in contents:
        head = b"".join(port.to_bytes(2, "big") for port in ports)
        if protocol == "udp":
            head += (8 + len(content)).to_bytes(2, "big") + b"\0\0"
        else:
            head += (1 + sent).to_bytes(4, "big") + bytes(4) + b"\x50\x18\xff\xff" + bytes(4)
            sent += len(content)
        size = 20 + len(head) + len(content)
        ip = _IPV4.pack(0x45, 0, size, 0, 0, 64, _UDP if protocol == "udp" else _TCP, 0, _LOOPBACK, _LOOPBACK)
        frame = _ETHERNET + ip + head + content
        out += bytes(8) + 2 * len(frame).to_bytes(4, "little") + frame
    path.write_bytes(out)
    return path


def tshark(path: Path, port: int, dissector: str, fields: str) -> list[list[str]]:
    """The named fields of each packet, as tshark dissects what goes to or comes from `port`. Skips where there is no tshark."""
    program = shutil.which("tshark")
    if program is None:
        pytest.skip("tshark is not installed")
    layer = "udp" if dissector == "moldudp64" else "tcp"
    command = [program, "-n", "-r", str(path), "-d", f"{layer}.port=={port},{dissector}", "-T", "fields"]
    command += [word for name in fields.split() for word in ("-e", f"{dissector}.{name}")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    return [line.split("\t") for line in run.stdout.removesuffix("\n").split("\n")]
