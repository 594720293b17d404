"""Seeded synthetic ITCH 5.0: realistic, always valid, the same bytes on every machine and from either engine.

The Python engine is the reference, the Rust one its fast twin. Both stream: memory grows with the live
orders, not with the messages.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from hftlab.errors import BackendMissing, check_choice, check_whole
from hftlab.feeds.generate.market import Market
from hftlab.feeds.generate.regimes import MAX_SYMBOLS, Regime, regime_named
from hftlab.feeds.generate.session import closing, least_messages, opening
from hftlab.feeds.generate.wire import LONGEST
from hftlab.presentation.output import atomic_path

ENGINES = ("auto", "python", "rust")
MAX_MESSAGES = 1 << 40
BLOCK = 1 << 20


class _Engine(Protocol):
    def block(self, max_bytes: int) -> bytes: ...


class Generator:
    """A day of messages, handed over block by block; can be walked more than once.

    regime   : a name in REGIMES, or a Regime
    messages : exactly so many, from 6 + 3 * symbols to 2^40
    seed     : 0 to 2^64 - 1
    symbols  : 1 to 10,000; None takes the regime's own number
    engine   : "auto" (Rust where installed), "python" or "rust"
    raises   : UnknownName, ConfigError; BackendMissing for "rust" where it is not installed
    """

    def __init__(
        self,
        regime: str | Regime = "calm",
        messages: int = 200_000,
        seed: int = 1,
        symbols: int | None = None,
        *,
        engine: str = "auto",
    ) -> None:
        self.regime = regime if isinstance(regime, Regime) else regime_named(regime)
        self.symbols = self.regime.symbols if symbols is None else symbols
        check_whole("symbols", self.symbols, 1, MAX_SYMBOLS)
        least = least_messages(self.symbols)
        self.messages = check_whole("messages", messages, least, MAX_MESSAGES, f"for a day of {self.symbols} symbols")
        self.seed = check_whole("seed", seed, 0, (1 << 64) - 1)
        check_choice("engine", engine, ENGINES)
        self._rust = None if engine == "python" else _rust_generator(required=engine == "rust")

    @property
    def engine(self) -> str:
        """The engine in use: "python" or "rust"."""
        return "python" if self._rust is None else "rust"

    def blocks(self, max_bytes: int = BLOCK) -> Iterator[bytes]:
        """Framed messages in order, whole messages only, blocks of at most `max_bytes` (at least 46)."""
        check_whole("max_bytes", max_bytes, LONGEST, 1 << 31)
        engine = self._start()
        while block := engine.block(max_bytes):
            yield block

    def __iter__(self) -> Iterator[bytes]:
        return self.blocks()

    def _start(self) -> _Engine:
        if self._rust is None:
            return PythonEngine(self.regime, self.messages, self.seed, self.symbols)
        return cast(_Engine, self._rust(self.seed, self.messages, self.symbols, self.regime.parameters()))


class PythonEngine:
    """The reference: opening, market and closing as one stream."""

    def __init__(self, regime: Regime, messages: int, seed: int, symbols: int) -> None:
        self._left = messages - least_messages(symbols)
        self._market = Market(regime, self._left, seed, symbols)
        self._frame = opening(self._market.instruments)
        self._closing = False

    def block(self, max_bytes: int) -> bytes:
        """The next whole messages, at most `max_bytes` of them; b"" at the end of the day."""
        market = self._market
        out = market.out = bytearray()
        room = max_bytes - LONGEST
        self._fill_frame(out, room)
        if not self._closing:
            step = market.step
            while self._left and len(out) <= room:
                step()
                self._left -= 1
            if not self._left and len(out) <= room:
                self._frame, self._closing = closing(), True
                self._fill_frame(out, room)
        return bytes(out)

    def _fill_frame(self, out: bytearray, room: int) -> None:
        while len(out) <= room and (message := next(self._frame, b"")):
            out += message


def generate(
    regime: str | Regime = "calm",
    messages: int = 200_000,
    seed: int = 1,
    symbols: int | None = None,
    *,
    engine: str = "auto",
) -> bytes:
    """A whole feed in memory; arguments and errors as for `Generator`."""
    return b"".join(Generator(regime, messages, seed, symbols, engine=engine).blocks())


def write(
    path: str | Path,
    regime: str | Regime = "calm",
    messages: int = 200_000,
    seed: int = 1,
    symbols: int | None = None,
    *,
    engine: str = "auto",
) -> int:
    """Stream a feed to a file, gzipped if its name ends in .gz; returns the bytes of the file. It is written whole or not at all.

    regime   : calm, burst, cancel_storm, deep or market
    messages : of the whole day, the opening and the closing among them
    seed     : of everything that is drawn; 0 to 2^64-1
    symbols  : how many stocks; default: the regime's own number
    raises   : as for `Generator`; OutputError if the file cannot be written
    """
    generator = Generator(regime, messages, seed, symbols, engine=engine)
    with atomic_path(path) as beside:
        with beside.open("wb") as file:
            _copy(generator, file, packed=Path(path).suffix == ".gz")
        return beside.stat().st_size


def _copy(generator: Generator, file: BinaryIO, *, packed: bool) -> None:
    """No name and no time in the gzip header: the same feed gives the same file."""
    if not packed:
        file.writelines(generator.blocks())
        return
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=6) as zipped:
        for block in generator.blocks():
            zipped.write(block)


def _rust_generator(*, required: bool) -> Any:
    """The extension's Generator class, or None where it is not installed and not required."""
    try:
        import hftlab_rust
    except ImportError as error:
        if required:
            raise BackendMissing("engine 'rust' is not installed; allowed here is 'python' or 'auto'") from error
        return None
    return hftlab_rust.Generator
