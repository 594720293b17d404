"""Waiting for several sockets: asleep in the selector, or spinning, where every socket is tried each turn."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector


class Loop:
    """numbered : sockets whose numbers `wait` gives; one more, which comes and goes, only wakes it. spin : never sleep"""

    def __init__(self, numbered: Mapping[int, socket.socket], *, spin: bool = False) -> None:
        self.spin, self._numbers = spin, list(numbered)
        self._selector = DefaultSelector()
        self._watched: tuple[socket.socket, int] | None = None
        for number, opened in numbered.items():
            self._selector.register(opened, EVENT_READ, number)

    def wait(self, timeout: float) -> list[int]:
        """The numbers of the sockets that may have something, at most `timeout` seconds later."""
        if self.spin:
            return self._numbers
        return sorted(key.data for key, _ in self._selector.select(timeout) if key.data is not None)

    def watch(self, opened: socket.socket | None, *, writing: bool) -> None:
        """The one socket that wakes `wait`, too; for room only while something waits to be written."""
        wanted = (opened, EVENT_READ | (EVENT_WRITE if writing else 0)) if opened else None
        if wanted == self._watched:
            return
        for key in [key for key in self._selector.get_map().values() if key.data is None]:
            self._selector.unregister(key.fileobj)
        if wanted:
            self._selector.register(*wanted, None)
        self._watched = wanted

    def close(self) -> None:
        """Close the selector; the sockets stay open."""
        self._selector.close()
