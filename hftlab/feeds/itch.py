"""ITCH 5.0 in BinaryFILE framing, from a file or from memory, whole or filtered by symbols."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Self

from hftlab.errors import FeedError, check_type
from hftlab.feeds.feed import Feed, by_locate, unknown_symbol
from hftlab.feeds.frames import Block, Joiner, Problem, frame_problem, learn_name, walk
from hftlab.feeds.source import BLOCK, Source, rust
from hftlab.protocols.itch_messages import SIZES
from hftlab.settings import Settings

#: The first 10,000 messages of one stock on one real morning.
AAPL_MORNING = "itch50/aapl_20200130_first10k.itch"


class ItchFeed(Feed):
    """ITCH 5.0 from a path or from bytes.

    source  : a path (plain or gzip, distinguished by content), or framed bytes, which are copied unless they are `bytes`
    symbols : keep only messages of these stocks, and those about none (system events)
    raises  : FeedError for what cannot be opened; UnknownName for a symbol the feed does not announce
    """

    wire = "itch"

    @staticmethod
    def sniff(head: bytes) -> bool:
        """Whether the first message, or what follows it, is one of ITCH 5.0 behind its length."""
        size = int.from_bytes(head[:2], "big")
        after = head[2 + size : 5 + size]
        return _is_message(head[:3]) or (0 < size < 256 and _is_message(after))

    def __init__(
        self, source: str | os.PathLike[str] | bytes | bytearray | memoryview, *, symbols: Iterable[str] = (), name: str = ""
    ) -> None:
        self._source = Source(source, name)
        self.name = self._source.name
        self._locates = self._find(check_type("symbols", symbols, Iterable))

    @classmethod
    def open(cls, path: str | os.PathLike[str], symbols: Iterable[str] = ()) -> Self:
        """A feed of a file: with `sniff` this makes the class the reader of its format."""
        return cls(path, symbols=symbols)

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """By stock locate: from the stock directory (R), or from the first add where R is missing. Walks the whole feed."""
        return by_locate(self._names())

    def blocks(self) -> Iterator[Block]:
        return self._filtered() if self._locates else self._whole(passing=False)

    def passing_blocks(self) -> Iterator[Block]:
        return self._filtered() if self._locates else self._whole()

    def _whole(self, *, passing: bool = True) -> Iterator[Block]:
        """Every message, of whatever symbol; `passing`: a block need be good only until the next one is asked for."""
        return self._source.passing_blocks() if passing else self._source.blocks()

    def _names(self) -> dict[int, bytes]:
        """The stock of each locate, as the whole feed tells. raises : FeedError for what is no message, or breaks off"""
        *_, names = self._named()
        return names()

    def _named(self) -> Iterator[Callable[[], dict[int, bytes]]]:
        """What gives the stock of each locate, as far as the feed tells, after each piece of it. Raises as `_names`."""
        extension = rust()
        if extension is None:
            yield from self._named_by_walking()
            return
        session, joiner = extension.session(Settings(until="tick", record="none")), Joiner(self.name)
        for data in joiner.pieces(self._whole()):
            used, problem = session.push(data)
            yield session.names
            if problem:
                raise Problem(*problem).error(joiner.base, self.name)
            joiner.used(data, used)
        joiner.finish(session.messages)

    def _named_by_walking(self) -> Iterator[Callable[[], dict[int, bytes]]]:
        """The reference."""
        names: dict[int, bytes] = {}
        piece: Block | None = None
        try:
            for data, at, _ in walk(self._whole(), self.name):
                if piece is not None and data is not piece:
                    yield names.copy
                learn_name(names, data, at)
                piece = data
        except FeedError:
            yield names.copy
            raise
        yield names.copy

    def _find(self, symbols: Iterable[str]) -> frozenset[int]:
        """The locates of some stocks, looking no farther into the feed than is needed to find them."""
        wanted = {symbol.encode("latin-1", "replace").ljust(8): symbol for symbol in symbols}
        if not wanted:
            return frozenset()
        names: dict[int, bytes] = {}
        for named in self._named():
            names = named()
            if wanted.keys() <= set(names.values()):
                break
        for name, symbol in wanted.items():
            if not symbol or name not in names.values():
                raise unknown_symbol(symbol, by_locate(names))
        return frozenset(locate for locate, name in names.items() if name in wanted)

    def _filtered(self) -> Iterator[bytes]:
        return selected(self._whole(), self.name, locates=self._locates)


def selected(
    blocks: Iterable[Block], name: str, *, locates: Collection[int] | None = None, types: bytes = b""
) -> Iterator[bytes]:
    """The messages of some stock locates, and those of none, or those of some types, each behind its length, in blocks.

    blocks : that end anywhere; name of the stream, for errors
    raises : FeedError for what is no message, and for a stream that ends inside one or holds none, after those before it
    """
    extension = rust()
    if extension is None:
        yield from _selected_by_walking(blocks, name, locates, types)
        return
    joiner, wanted = Joiner(name), extension.Select(None if locates is None else sorted(locates), types)
    for data in joiner.pieces(blocks):
        out, used, problem = wanted.select(data)
        if out:
            yield out
        if problem:
            raise Problem(*problem).error(joiner.base, name)
        joiner.used(data, used)
    joiner.finish(wanted.messages)


def _selected_by_walking(blocks: Iterable[Block], name: str, locates: Collection[int] | None, types: bytes) -> Iterator[bytes]:
    """The reference."""
    out = bytearray()
    try:
        for data, at, size in walk(blocks, name):
            locate = data[at + 1] << 8 | data[at + 2] if size > 2 else 0
            if (not locate or locates is None or locate in locates) and (not types or data[at] in types):
                out += data[at - 2 : at + size]
                if len(out) >= BLOCK:
                    yield bytes(out)
                    out.clear()
    except FeedError:
        if out:
            yield bytes(out)
        raise
    if out:
        yield bytes(out)


def _is_message(start: bytes) -> bool:
    """Whether a length and a type byte belong together."""
    return len(start) == 3 and SIZES[start[2]] > 0 and not frame_problem(start[0] << 8 | start[1], start[2])


def real_data(name: str = AAPL_MORNING) -> ItchFeed | None:
    """A file below the folder that HFTLAB_DATA names, or ../shared/data beside the checkout; None where it is not there.

    raises : FeedError if HFTLAB_DATA names something that is no folder
    """
    named = os.environ.get("HFTLAB_DATA")
    folder = Path(named).expanduser() if named else Path(__file__).resolve().parents[3] / "shared" / "data"
    if named and not folder.is_dir():
        raise FeedError(f"HFTLAB_DATA must be a folder, got {named!r}")
    return ItchFeed(folder / name) if (folder / name).is_file() else None
