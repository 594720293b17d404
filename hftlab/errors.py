"""What can go wrong, as a tree. Every message is one sentence: the offending value, where it stands, what is allowed.

HftlabError (ValueError)
    FeedError        bytes or arrays that cannot be read; has .offset and .index
    WireError        network bytes that break their protocol, or a value no field can carry; has .offset
    FaultError       an event the book refuses, raised only with strict=True; has .index and .reason
    UnknownName      a backend, variant, stage, regime or symbol that does not exist; the message lists the known ones
    BackendMissing   a backend that exists but cannot be used here, with the reason
    LayoutError      two halves of hftlab that disagree about the event record or the version
    ConfigError      an argument or setting outside its range, or of the wrong type
    OutputError      a file or stream that cannot be written
"""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any, TypeVar

Number = TypeVar("Number", int, float)
Kept = TypeVar("Kept")


class HftlabError(ValueError):
    """Base of every error hftlab raises on purpose. Errors pickle, without `run` and `events`, so that they cross processes."""

    #: What was computed before the error, a `Run`; None where nothing had started.
    run: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        state = {name: value for name, value in self.__dict__.items() if name not in ("run", "events")}
        return _restore, (type(self), self.args, state)


def _restore(kind: type[HftlabError], args: tuple[Any, ...], state: dict[str, Any]) -> HftlabError:
    """An error from its parts: the arguments of its constructor are not those it keeps."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class FeedError(HftlabError):
    """A feed that cannot be read. `offset` is in bytes of the (decompressed) stream, `index` the message number."""

    events: Any = None  # what was decoded before the error, where events were asked for

    def __init__(self, text: str, *, offset: int | None = None, index: int | None = None) -> None:
        super().__init__(text)
        self.offset = offset
        self.index = index


class WireError(HftlabError):
    """Network bytes that break their protocol, or a value no field can carry. `offset` is in bytes of the packet or stream."""

    def __init__(self, text: str, *, offset: int | None = None) -> None:
        super().__init__(text)
        self.offset = offset

    @classmethod
    def at(cls, what: str, offset: int, text: str) -> WireError:
        """The error of bytes at an offset: "MoldUDP64 packet: offset 10: ..."."""
        return cls(f"{what}: offset {offset}: {text}", offset=offset)


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


class OutputError(HftlabError):
    """A file or stream that cannot be written."""


def check_range(name: str, value: Number, low: float | None = None, high: float | None = None, unit: str = "") -> Number:
    """`value` as Python's own number, if it is one (NumPy's count, bool and NaN do not) within [low, high]; None is no bound.

    unit   : appended to the bounds, "ns" say
    raises : ConfigError, "rounds must be between 3 and 1000, got 0"
    """
    number = isinstance(value, Real) and not isinstance(value, bool) and value == value
    if number and (low is None or value >= low) and (high is None or value <= high):
        return value.item() if hasattr(value, "item") else value
    raise ConfigError(f"{name} must be {_bounds(low, high) or 'a number'}{f' {unit}' if unit else ''}, got {value!r}")


def check_whole(name: str, value: int, low: int | None = None, high: int | None = None, unit: str = "") -> int:
    """`value` as an int, if it is a whole number (NumPy's count, bool and float do not) within [low, high].

    raises : ConfigError, "lot must be a whole number between 1 and 999,999, got 1.5"
    """
    number: object = value
    whole = isinstance(number, Integral) and not isinstance(value, bool)
    if whole and (low is None or value >= low) and (high is None or value <= high):
        return int(value)
    bounds = f" {_bounds(low, high)}".rstrip()
    raise ConfigError(f"{name} must be a whole number{bounds}{f' {unit}' if unit else ''}, got {value!r}")


def _bounds(low: float | None, high: float | None) -> str:
    """An interval in words."""
    if low is not None and high is not None:
        return f"between {_number(low)} and {_number(high)}"
    return f"at least {_number(low)}" if low is not None else f"at most {_number(high)}" if high is not None else ""


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.15g}"


def check_choice(what: str, value: str, known: Iterable[str]) -> str:
    """`value`, if it is one of `known`.

    raises : UnknownName, "unknown stage 'tock'; known: tick, book, signal, order"
    """
    known = tuple(known)
    if not isinstance(value, str) or value not in known:
        raise UnknownName(what, value, known)
    return value


def check_type(name: str, value: Kept, *kinds: type, hint: str = "") -> Kept:
    """`value`, if it is of one of these classes.

    raises : ConfigError, "feed must be a Feed, got bytes"; hint follows the name of the class
    """
    if isinstance(value, kinds):
        return value
    names = " or ".join(kind.__name__ for kind in kinds)
    raise ConfigError(f"{name} must be {'an' if names[0] in 'AEIOU' else 'a'} {names}{hint}, got {type(value).__name__}")
