"""A frame for every chart, as results would give it: summaries from a seed, and one instrument of a real run."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import polars as pl

import hftlab

SERIES = {"python": 4_000.0, "rust": 150.0, "control": 4_000.0}
PERCENTILES = np.array([0, *(100 - np.logspace(2, -2, 41)), 100])


def frame(columns: str, *rows: tuple[Any, ...]) -> pl.DataFrame:
    """Rows under columns that are named in one string."""
    return pl.DataFrame(list(rows), schema=columns.split(), orient="row", infer_schema_length=None)


def samples(median: float, n: int = 20_000) -> np.ndarray[Any, Any]:
    """ns with a heavy tail."""
    rng = np.random.default_rng(7)
    return median * rng.lognormal(0, 0.3, n) * (1 + (rng.random(n) < 0.002) * rng.pareto(1.5, n))


def pairs(median: float) -> Iterator[tuple[float, float]]:
    return zip(PERCENTILES, np.percentile(samples(median), PERCENTILES), strict=True)


@cache
def quantiles() -> pl.DataFrame:
    """series, percentile, ns."""
    rows = [(name, p, ns) for name, at in SERIES.items() for p, ns in pairs(at)]
    return frame("series percentile ns", *rows)


@cache
def bins() -> pl.DataFrame:
    """series, low_ns, high_ns, count: bins of equal width on a logarithmic scale, without the empty ones."""
    edges = np.logspace(1, 6, 121)
    counts = {name: np.histogram(samples(at), edges)[0] for name, at in SERIES.items()}
    rows = [(name, edges[at], edges[at + 1], int(n[at])) for name, n in counts.items() for at in np.flatnonzero(n)]
    return frame("series low_ns high_ns count", *rows)


def loads() -> pl.DataFrame:
    """load, percentile, ns, time: an M/M/1 queue."""
    factors = {"p50": 0.7, "p99": 4.6, "p99.9": 6.9}
    rows = [
        (load, p, 1_000 * factor / (1 - load if time == "response" else 1), time)
        for load in (0.1, 0.3, 0.5, 0.7, 0.9)
        for p, factor in factors.items()
        for time in ("response", "service")
    ]
    return frame("load percentile ns time", *rows)


@cache
def market() -> dict[str, pl.DataFrame]:
    """One instrument of a real run: its rows, its orders, its book, its longest queue."""
    run = hftlab.Engine("python").run(hftlab.synthetic("calm", 20_000), record="all")
    symbol = run.name(1)
    book = run.book(symbol)
    level = book.sort("orders", descending=True).row(0, named=True)
    rows, orders = (found.filter(pl.col("instrument") == 1) for found in (run.frame, run.orders))
    return {"rows": rows, "orders": orders, "book": book, "queue": run.queue(symbol, level["side"], level["price"])}


STEPS = frame(
    "label ns kind",
    ("pure Python", 5_200.0, "start"), ("integer prices", 4_100.0, "step"), ("a batch", 4_300.0, "step"), ("Rust", 150.0, "step"),
    ("slab", 100.0, "step"), ("slab", 50.0, "step"), ("best", 50.0, "end"),
)  # fmt: skip
BUDGET = frame(
    "engine stage ns",
    ("python", "tick", 900.0), ("python", "book", 2_000.0), ("python", "signal", 1_900.0), ("python", "order", 300.0),
    ("a fast one", "tick", 9.0), ("a fast one", "book", 20.0), ("a fast one", "signal", 19.0), ("a fast one", "noise", -0.3),
)  # fmt: skip
RATIOS = frame(
    "group label ratio low high verdict text",
    ("from naive", "book: btree → ladder", 1.2, 1.18, 1.24, "faster 1.20x [1.18, 1.24]", "120 ns → 100 ns"),
    ("from naive", "signal: recompute → incremental", 1.0, 0.98, 1.03, "no difference seen", ""),
    ("from naive", "A/A control", 1.0, 0.98, 1.03, "control", ""),
    ("from best", "book: ladder → btree", 0.66, 0.65, 0.68, "slower 1.50x [1.46, 1.53]", "60 ns → 90 ns"),
)
CALLS = frame(
    "way until messages_per_crossing ns_per_message low high min",
    ("no-op across", "", 0, 30.0, 29.0, 31.0, 29.0),
    *[
        (way, until, size, ns, ns * 0.9, ns * 1.1, ns * 0.9)
        for until in ("tick", "book")
        for way, size, ns in [
            ("Python engine", 100, 2_000.0), ("apply", 1, 110.0), ("message", 1, 70.0), ("push", 1, 400.0), ("push", 100, 40.0),
            ("push_events", 1, 5_000.0), ("push_events", 100, 90.0),
        ]
    ],
)  # fmt: skip
TRANSPORTS = frame("transport p50 p99 p99.9", ("udp", 9_000.0, 20_000.0, 90_000.0), ("shm", 300.0, 700.0, None))
PATHS = TRANSPORTS.rename({"transport": "path"})
SHARES = frame(
    "path part ns share",
    *[(path, part, 1_000.0 * share, share) for path in ("udp", "shm") for part, share in (("engine", 0.1), ("transport", 0.9))],
)
QUEUES = frame(
    "panel series x y", *[(t, s, float(ms), 1.0 + ms % 7) for t in ("rust", "python") for s in ("2x", "10x") for ms in range(20)]
)
LINES = frame("series x y", ("one", 1, 0.5), ("one", 10, 2.0), ("other", 10, 30.0))
BARS = frame("label value group", ("a", 3.0, "book"), ("a", 0.5, "order"), ("b", 0.0, "mine"), ("c", None, "mine"))
TREE = frame(
    "name stage depth start end share own",
    ("all", "engine", 0, 0.0, 1.0, 1.0, 0.1), ("a_function", "book", 1, 0.0, 0.9, 0.9, 0.9),
)  # fmt: skip
