"""Seeded synthetic ITCH 5.0: realistic, always valid, the same bytes on every machine and from either engine.

The Python engine is the reference, the Rust one its fast twin. Both stream: memory grows with the live
orders, not with the messages.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from hftlab.errors import BackendMissing, check_choice, check_whole
from hftlab.feeds.generate.market import Market
from hftlab.feeds.generate.regimes import MAX_SYMBOLS, REGIMES, Regime
from hftlab.feeds.generate.wire import LONGEST, closing, least_messages, opening
from hftlab.feeds.source import rust
from hftlab.presentation.output import atomic_path

ENGINES = ("auto", "python", "rust")
MAX_MESSAGES = 1 << 40
BLOCK = 1 << 20


def blocks(
    regime: str | Regime = "calm",
    messages: int = 200_000,
    seed: int = 1,
    symbols: int | None = None,
    *,
    engine: str = "auto",
    max_bytes: int = BLOCK,
) -> Iterator[bytes]:
    """A day of framed messages in order, in blocks of whole messages.

    regime    : a name in REGIMES, or a Regime
    messages  : exactly, from 6 + 3 * symbols to 2^40
    seed      : 0 to 2^64 - 1
    symbols   : 1 to 10,000; None takes the regime's own number
    engine    : "auto" (Rust where installed), "python" or "rust"
    max_bytes : of a block, at least 46
    raises    : UnknownName, ConfigError; BackendMissing for "rust" where it is not installed
    """
    regime = regime if isinstance(regime, Regime) else REGIMES[check_choice("regime", regime, REGIMES)]
    symbols = check_whole("symbols", regime.symbols if symbols is None else symbols, 1, MAX_SYMBOLS)
    check_whole("messages", messages, least_messages(symbols), MAX_MESSAGES, f"for a day of {symbols} symbols")
    check_whole("seed", seed, 0, (1 << 64) - 1)
    check_whole("max_bytes", max_bytes, LONGEST, 1 << 31)
    check_choice("engine", engine, ENGINES)
    extension = None if engine == "python" else rust()
    if extension is None and engine == "rust":
        raise BackendMissing("engine 'rust' is not installed; allowed here is 'python' or 'auto'")
    if extension is None:
        return _python_blocks(regime, messages, seed, symbols, max_bytes)
    return iter(partial(extension.Generator(seed, messages, symbols, regime.parameters()).block, max_bytes), b"")


def _python_blocks(regime: Regime, messages: int, seed: int, symbols: int, max_bytes: int) -> Iterator[bytes]:
    """The reference: opening, market and closing as one stream."""
    left, room = messages - least_messages(symbols), max_bytes - LONGEST
    market = Market(regime, left, seed, symbols)
    out, step = market.out, market.step
    for frame in chain(opening(market.instruments), repeat(b"", left), closing()):
        if frame:
            out += frame
        else:
            step()
        if len(out) > room:
            yield bytes(out)
            out.clear()
    if out:
        yield bytes(out)


def generate(*given: Any, **more: Any) -> bytes:
    """A whole feed in memory; arguments and errors as for `blocks`."""
    return b"".join(blocks(*given, **more))


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
    raises   : as for `blocks`; OutputError if the file cannot be written
    """
    made = blocks(regime, messages, seed, symbols, engine=engine)
    with atomic_path(path) as beside:
        with beside.open("wb") as file:
            if Path(path).suffix == ".gz":  # no name and no time in the header: the same feed gives the same file
                with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=6) as packed:
                    packed.writelines(made)
            else:
                file.writelines(made)
        return beside.stat().st_size
