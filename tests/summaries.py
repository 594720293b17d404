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


@cache
def cells() -> pl.DataFrame:
    """start, end (message index), low_ns, high_ns, count."""
    counts, x, y = np.histogram2d(np.arange(20_000), samples(4_000.0), (np.linspace(0, 20_000, 41), np.logspace(3, 6, 41)))
    rows = [(x[i], x[i + 1], y[j], y[j + 1], int(counts[i, j])) for i, j in np.argwhere(counts)]
    return frame("start end low_ns high_ns count", *rows)


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
ABLATION = frame(
    "start axis from to from_ns_per_message to_ns_per_message ratio low high verdict",
    *[
        (*what, before, after, before / after, 0.98 * before / after, 1.03 * before / after, verdict)
        for *what, before, after, verdict in [
            ("naive", "book", "btree", "ladder", 120.0, 100.0, "faster 1.20x [1.18, 1.24]"),
            ("naive", "signal", "recompute", "incremental", 120.0, 120.0, "no difference seen"),
            ("best", "book", "ladder", "btree", 60.0, 90.0, "slower 1.50x [1.46, 1.53]"),
            ("ladder", "book", "btree", "ladder", 120.0, 130.0, "slower 1.08x [1.05, 1.11]"),
            ("ladder", "signal", "recompute", "incremental", 130.0, 60.0, "faster 2.17x [2.12, 2.23]"),
            ("ladder", "all", "naive", "best", 120.0, 60.0, "faster 2.00x [1.96, 2.06]"),
            ("naive", "A/A", "naive", "naive", 120.0, 120.0, "control"),
            ("best", "A/A", "best", "best", 60.0, 60.0, "control"),
        ]
    ],
)
COMPARISON = frame(
    "metric a b ratio low high control control_low control_high verdict",
    ("p50", 1_500.0, 1_000.0, 1.5, 1.4, 1.6, 1.0, 0.98, 1.02, "faster 1.5x"),
    ("p99", 90.0, 99.0, 0.91, 0.8, 1.05, None, None, None, "no difference seen"),
    ("p99.9", 9.0, 9.0, None, None, None, None, None, None, "too few rounds"),
)
SCALING = frame(
    "variant size ns_per_message low high",
    *[
        (name, size, ns * size**0.1, ns * 0.95 * size**0.1, ns * 1.1 * size**0.1)
        for name, ns in [("naive", 90.0), ("best", 40.0), ("best again", 41.0)]
        for size in (100, 1_000, 10_000)
    ],
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
STAGES = frame("engine stage ns_per_message", ("python", "book", 1_500.0), ("rust", "book", 30.0), ("rust", "signal", -1.0))
TRANSPORTS = frame("transport p50 p99 p99.9", ("udp", 9_000.0, 20_000.0, 90_000.0), ("shm", 300.0, 700.0, None))
PATHS = TRANSPORTS.rename({"transport": "path"})
SHARES = frame(
    "path part ns share",
    *[(path, part, 1_000.0 * share, share) for path in ("udp", "shm") for part, share in (("engine", 0.1), ("transport", 0.9))],
)
STORMS = frame(
    "storm target ns_per_message p50 p99 p99.9",
    ("cancel", "rust", 60.0, 50.0, 90.0, None),
    ("cancel", "python", 4e3, 3e3, 9e3, None),
)  # fmt: skip
QUEUES = frame(
    "target series ms waiting book",
    *[(t, s, float(ms), ms % 7, "fresh") for t in ("rust", "python") for s in ("2x", "10x") for ms in range(20)],
)
SOAK = frame(
    "at_s service_p50 response_p99 response_max rss_bytes engine_bytes",
    *[(at, 100.0, 900.0 + at, 9e3, 1e8, 1e6 + at) for at in range(10)],
)
MOMENTS = frame(
    "index kind gap_ns tick_ns book_ns signal_ns order_ns",
    *[(at, "ADD", 50 * at, 20, 300 + 9_000 * (at == 5), 0, 7) for at in range(10)],
)
SLOWEST = frame("rank index sentence", (1, 5, "message 5: 9 µs in book; before it 250 ns"))
CLOCKS = frame("clock min p50 p90 p99 p99.9 p99.99 max n", ("tsc", 0.0, 20.0, 21.0, 30.0, 50.0, None, 9e4, 10_000))
LINES = frame("series x y", ("one", 1, 0.5), ("one", 10, 2.0), ("other", 10, 30.0))
BARS = frame(
    "label value group panel",
    ("a", 3.0, "book", "x"), ("a", 0.5, "order", "x"), ("b", 0.0, "mine", "y"), ("c", None, "mine", "y"),
)  # fmt: skip
TREE = frame(
    "name stage depth start end share own",
    ("all", "engine", 0, 0.0, 1.0, 1.0, 0.1), ("a_function", "book", 1, 0.0, 0.9, 0.9, 0.9),
)  # fmt: skip
