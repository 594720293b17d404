"""The axes on which an engine can be varied: their names, what each is good at, and the naive and the best set of names.

hftlab.variants()
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hftlab.engine.session import backends
from hftlab.errors import UnknownName, check_choice
from hftlab.presentation.document import Table, table
from hftlab.presentation.result import Result

if TYPE_CHECKING:
    import polars as pl

#: Variant names by axis, naive to best. An engine may have some of them; one without an axis has one way only.
AXES: dict[str, tuple[str, ...]] = {
    "book": ("btree", "sorted", "ladder"),
    "orders": ("std", "fast", "flat"),
    "pool": ("False", "True"),
    "signal": ("recompute", "incremental"),
    "lookahead": ("False", "True", "auto"),
}

#: What each name is good at, and what it costs.
GOOD_AT: dict[str, dict[str, str]] = {
    "book": {
        "btree": "ordered map: any price, near or far, at the logarithm of the number of levels",
        "sorted": "sorted array, the best at its end: quick near the touch, slow deep in a deep book",
        "ladder": "one slot per tick around the touch and a bitmap of those in use; far prices in an ordered list",
    },
    "orders": {
        "std": "hash map with the standard hash: safe against chosen keys, which every look-up pays for",
        "fast": "hash map with a fast hash: the same table, cheaper look-ups",
        "flat": "one cell per reference, in their order: neighbours share a cache line, growth splits one cell at a time",
    },
    "pool": {
        "False": "each order its own heap allocation: simple, at the pace of the allocator",
        "True": "slab with a free list, touched beforehand, growing in place: orders close together, no allocator",
    },
    "signal": {
        "recompute": "walks the best levels after each event: simple",
        "incremental": "adds what an event brought to the sums, and walks only where one of the best levels came or went",
    },
    "lookahead": {
        "False": "nothing is asked for early: what a live feed allows, and what every figure of latency is taken with",
        "True": "memory that the next messages of the buffer touch is asked for early: throughput, where caches are too small",
        "auto": "the same, but only where there are many instruments or many old orders",
    },
}

#: One value per axis, as `Engine` takes them.
VariantSet = dict[str, str | bool]
#: Names by axis, naive to best, as `Backend.variants()` gives them.
Axes = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Variant:
    """One name on one axis. `rank` counts from the naive one, 0; `engines` are those here that have it."""

    axis: str
    name: str
    rank: int
    engines: tuple[str, ...]
    good_at: str


@dataclass(frozen=True)
class Variants(Result):
    """Every variant, naive to best within its axis."""

    rows: tuple[Variant, ...]

    def __iter__(self) -> Iterator[Variant]:
        return iter(self.rows)

    def frame(self) -> pl.DataFrame:
        """One row per variant: axis, name, rank, engines, good_at."""
        import polars as pl

        return pl.DataFrame([asdict(row) for row in self.rows])

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"variants": [asdict(row) for row in self.rows]}

    def headline(self) -> str:
        return "Variants by axis, naive to best"

    def tables(self) -> list[Table]:
        rows = [(row.axis, row.name, ", ".join(row.engines) or "no engine here", row.good_at) for row in self.rows]
        return [table("", ("axis", "name", "engines", "good at"), rows, words=4, grouped=True)]


def variants() -> Variants:
    """Every name on every axis, naive to best: which engines here have it, and what it is good at."""
    engines = {info.name: info.variants for info in backends() if info.available}
    rows = []
    for axis, known in AXES.items():
        names = dict.fromkeys([*known, *(name for axes in engines.values() for name in axes.get(axis, ()))])
        for rank, name in enumerate(names):
            having = tuple(engine for engine, axes in engines.items() if name in axes.get(axis, ()))
            rows.append(Variant(axis, name, rank, having, GOOD_AT[axis].get(name, "")))
    return Variants(tuple(rows))


def setting(axis: str, name: str) -> str | bool:
    """A name as `Engine` takes it: on the axes that are switched, "False" and "True" are words for a boolean."""
    return name == "True" if axis == "pool" or (axis == "lookahead" and name != "auto") else name


def naive(axes: Axes) -> VariantSet:
    """The first name of every axis."""
    return {axis: setting(axis, names[0]) for axis, names in axes.items()}


def best(axes: Axes) -> VariantSet:
    """The last name of every axis."""
    return {axis: setting(axis, names[-1]) for axis, names in axes.items()}


def parse(text: str, axes: Axes) -> VariantSet:
    """ "naive", "best", or the best set with some names changed: "book=btree orders=std".

    raises : UnknownName for an axis or a name the engine does not have
    """
    if text == "naive":
        return naive(axes)
    chosen = best(axes)
    for word in () if text == "best" else text.replace(",", " ").split():
        axis, _, name = word.partition("=")
        if axis not in axes:
            raise UnknownName("variant", word, ["naive", "best", *(f"{known}=NAME" for known in axes)])
        chosen[axis] = setting(axis, check_choice(axis, name, axes[axis]))
    return chosen
