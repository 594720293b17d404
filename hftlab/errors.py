"""What can go wrong, as a tree. Every message is one sentence: the offending value, where it stands, what is allowed.

HftlabError (ValueError)
    FeedError        bytes or arrays that cannot be read; has .offset and .index
    WireError        network bytes that break their protocol, or a value no field can carry; has .offset
    FaultError       an event the book refuses, raised only with strict=True; has .index and .reason
    UnknownName      a backend, variant, stage, regime or symbol that does not exist; the message lists the known ones
    BackendMissing   a backend that exists but cannot be used here, with the reason
    LayoutError      two halves of hftlab that disagree about the event record or the version
    ConfigError      a setting outside its range
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class HftlabError(ValueError):
    """Base of every error hftlab raises on purpose."""

    #: What was computed before the error, a `Run`; None where nothing had started.
    run: Any = None


class FeedError(HftlabError):
    """A feed that cannot be read. `offset` is in bytes of the (decompressed) stream, `index` the message number."""

    def __init__(self, text: str, *, offset: int | None = None, index: int | None = None) -> None:
        super().__init__(text)
        self.events: Any = None  # what was decoded before the error, where events were asked for
        self.offset = offset
        self.index = index


class WireError(HftlabError):
    """Network bytes that break their protocol, or a value no field can carry. `offset` is in bytes of the packet or stream."""

    def __init__(self, text: str, *, offset: int | None = None) -> None:
        super().__init__(text)
        self.offset = offset


class FaultError(HftlabError):
    """The first event that the book refused, under strict=True."""

    def __init__(self, text: str, *, index: int, reason: str) -> None:
        super().__init__(text)
        self.index = index
        self.reason = reason


class UnknownName(HftlabError):  # noqa: N818 - it reads as what it is
    """A name that is not known, answered with the known ones."""

    def __init__(self, what: str, name: object, known: Iterable[str]) -> None:
        self.known = tuple(known)
        super().__init__(f"unknown {what} {name!r}; known: {', '.join(self.known) or 'none'}")


class BackendMissing(HftlabError):  # noqa: N818
    """A backend asked for by name that cannot be used here."""


class LayoutError(HftlabError):
    """Two halves of hftlab that were built from different records or versions."""


class ConfigError(HftlabError):
    """A setting outside its range."""
