"""Two network namespaces and a veth pair between them, for as long as a block lasts: a cable that nothing else uses.

with veth() as link:
    link.address("udp-spin")        # "10.200.0.1:9001@hft-4d2-0-a/10.200.0.2:9002@hft-4d2-0-b"

They are removed when the block ends, however it ends: by an exception, SIGTERM (SystemExit is raised in the block) or the end of
the interpreter. What a killed process has left is removed by the next one that makes some.
"""

from __future__ import annotations

import atexit
import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import FrameType

from hftlab.errors import HftlabError
from hftlab.measurement.affinity import has_capability

FOLDER = Path("/run/netns")
INTERFACE = "veth0"  # of either end, in its own namespace
HOSTS = ("10.200.0.1", "10.200.0.2")
GROUPS = ("239.200.0.1", "239.200.0.2")
PORTS = (9001, 9002)
_CAP_NET_ADMIN, _CAP_SYS_ADMIN = 12, 21
_numbers = count()


@dataclass(frozen=True)
class Veth:
    """The two namespaces by name; either has an end of the pair, `INTERFACE`, with an address of `HOSTS`."""

    first: str
    second: str

    @property
    def names(self) -> tuple[str, str]:
        return self.first, self.second

    def address(self, transport: str) -> str | None:
        """Where a transport's two ends are on this link; None for one that needs no network (memory, shm)."""
        if transport in ("memory", "shm"):
            return None
        if transport == "packet" or transport.startswith("xdp"):
            places = [INTERFACE, INTERFACE]
        elif transport == "multicast":
            places = [f"{group}:{PORTS[0]}%{host}" for group, host in zip(GROUPS, HOSTS, strict=True)]
        else:
            places = [f"{host}:{port}" for host, port in zip(HOSTS, PORTS, strict=True)]
        return "/".join(f"{place}@{name}" for place, name in zip(places, self.names, strict=True))


def refused() -> str:
    """Why namespaces cannot be made here, with the errno; "" if they can."""
    if sys.platform != "linux":
        return f"network namespaces: only on Linux (errno {errno.ENOSYS})"
    if shutil.which("ip") is None:
        return f"network namespaces: no `ip` on PATH, which iproute2 brings (errno {errno.ENOENT})"
    if os.geteuid() != 0 or not all(map(has_capability, (_CAP_NET_ADMIN, _CAP_SYS_ADMIN))):
        return f"network namespaces: they need root, CAP_NET_ADMIN and CAP_SYS_ADMIN (errno {errno.EPERM})"
    return ""


@contextmanager
def veth() -> Iterator[Veth]:
    """The link, for as long as the block lasts. Raises HftlabError with the reason where there can be none."""
    if why := refused():
        raise HftlabError(why)
    _remove_abandoned()
    stem = f"hft-{os.getpid():x}-{next(_numbers)}"
    link = Veth(f"{stem}-a", f"{stem}-b")
    with _removed(link):
        _make(link)
        yield link


def _make(link: Veth) -> None:
    for name in link.names:
        _ip("netns", "add", name)
    _ip("-n", link.first, "link", "add", INTERFACE, "type", "veth", "peer", "name", INTERFACE, "netns", link.second)
    for name, host in zip(link.names, HOSTS, strict=True):
        for interface in ("lo", INTERFACE):
            _ip("-n", name, "link", "set", interface, "addrgenmode", "none")  # no IPv6 chatter
            _ip("-n", name, "link", "set", interface, "up")
        _ip("-n", name, "address", "add", f"{host}/30", "dev", INTERFACE)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=10, check=False)
    if done.returncode:
        raise HftlabError(f"ip {' '.join(arguments)}: {done.stderr.strip() or f'exit code {done.returncode}'}")


@contextmanager
def _removed(link: Veth) -> Iterator[None]:
    """Remove the link at the end of the block; SIGTERM, unless somebody handles it, ends the block first."""

    def remove() -> None:
        for name in link.names:
            _remove(name)

    def end(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    atexit.register(remove)
    handles = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if handles:
        signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        if handles:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        remove()
        atexit.unregister(remove)


def _remove(name: str) -> None:
    """Delete a namespace, if it is there, and with it the pair."""
    if (FOLDER / name).exists():
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, timeout=10, check=False)


def _remove_abandoned() -> None:
    """Remove what processes that have ended left behind."""
    for path in FOLDER.glob("hft-*-*-[ab]"):
        with suppress(ValueError):
            if not Path(f"/proc/{int(path.name.split('-')[1], 16)}").exists():
                _remove(path.name)
