"""The two ends of a transport in two processes: one here, the other in a child that sends back what comes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from itertools import count
from typing import Any

from hftlab.errors import HftlabError
from hftlab.net.transports.transports import engine

#: What the child runs; it ends when it is told to, or has heard nothing for two seconds. It needs the engine alone.
_CHILD = """
import sys, hftlab_rust
name, address, size, core, fifo = sys.argv[1:]
end = hftlab_rust.transport_open(name, address, "second", size=int(size))
print("ready", flush=True)
hftlab_rust.transport_echo(end, core=int(core) if core else None, fifo=fifo == "True")
"""
_PATIENCE = 10.0
_numbers = count()


def between(
    name: str,
    address: str | None,
    messages: int,
    *,
    size: int,
    limit: float,
    cores: tuple[int, int] | tuple[None, None],
    fifo: bool,
) -> dict[str, Any]:
    """Messages there and back between this process and a child: `round_trip_ns`, `there_ns`, `refused`.

    address : of both ends; None for one of our own, on the loopback interface or under /dev/shm
    limit   : s after which no further message is sent
    raises  : HftlabError for what either end says
    """
    module = engine()
    address = address or _address(name)
    words = [name, address, str(size), "" if cores[1] is None else str(cores[1]), str(fifo)]
    child = subprocess.Popen([sys.executable, "-c", _CHILD, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        end = module.transport_open(name, address, "first", size=size)
        try:
            assert child.stdout is not None  # a pipe was asked for
            if child.stdout.readline().strip() != "ready":
                raise HftlabError(f"{name}: {_last(child)}")
            plan = {"size": size, "rounds": messages, "warm": messages // 20 + 10, "limit": limit}
            found: dict[str, Any] = module.transport_ping(end, core=cores[0], fifo=fifo, **plan)
        finally:
            end.close()
    except (OSError, ValueError) as error:
        raise error if isinstance(error, HftlabError) else HftlabError(f"{name}: {error}") from None
    finally:
        _end(child)
    return found


def _address(name: str) -> str:
    """Of our own: a name nobody else has, or ports that are free now."""
    if name == "shm":
        return f"hftlab-{os.getpid()}-between-{next(_numbers)}"
    kind = socket.SOCK_STREAM if name.startswith("tcp") else socket.SOCK_DGRAM
    with socket.socket(type=kind) as one, socket.socket(type=kind) as other:
        for end in (one, other):
            end.bind(("127.0.0.1", 0))
        ports = [end.getsockname()[1] for end in (one, other)]
    if name == "multicast":
        return f"239.255.104.3:{ports[0]}/239.255.104.4:{ports[1]}"
    return "/".join(f"127.0.0.1:{port}" for port in ports)


def _last(child: subprocess.Popen[str]) -> str:
    """The last line of what a child complained of."""
    _, complaint = child.communicate(timeout=_PATIENCE)
    return (complaint.strip().splitlines() or ["the other process ended without a word"])[-1]


def _end(child: subprocess.Popen[str]) -> None:
    """It ends by itself; if it does not, it is ended."""
    try:
        child.communicate(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
