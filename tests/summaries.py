"""Frames for charts, summarised from real runs as a report would: quantiles, log-spaced bins, never the samples themselves."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import polars as pl

import hftlab

#: A percentile with fewer samples beyond it says nothing.
BEYOND = 100
Samples = dict[str, np.ndarray[Any, Any]]


@cache
def run(backend: str = "python", messages: int = 20_000, regime: str = "calm", record: str = "none") -> hftlab.Run:
    """One stamped run over a generated feed."""
    feed = hftlab.synthetic(regime, messages)
    return hftlab.Engine(backend).run(feed, record=record, latency=True)  # type: ignore[arg-type]


def samples(messages: int = 20_000) -> Samples:
    """ns per message of every engine that is here, and a control."""
    found = {info.name: run(info.name, messages) for info in hftlab.backends() if info.available}
    out = {name: np.maximum(one.latency["total"].astype(float), 1.0) for name, one in found.items() if one.latency}
    return {**out, "control": out["python"][::-1] * 1.0}


def quantiles(given: Samples, points: int = 301) -> pl.DataFrame:
    """series, percentile, ns: as deep as the sample says something."""
    frames = []
    for name, ns in given.items():
        share = np.unique(np.concatenate([[1.0], np.logspace(0, np.log10(BEYOND / ns.size), points)]))[::-1]
        frames.append(pl.DataFrame({"series": name, "percentile": 100 * (1 - share), "ns": np.quantile(ns, 1 - share)}))
    return pl.concat(frames)


def bins(given: Samples, per_decade: int = 24) -> pl.DataFrame:
    """series, low_ns, high_ns, count: the bins that are not empty."""
    frames = []
    for name, ns in given.items():
        place, count = np.unique(np.floor(np.log10(ns) * per_decade).astype(int), return_counts=True)
        edges = {"low_ns": 10.0 ** (place / per_decade), "high_ns": 10.0 ** ((place + 1) / per_decade)}
        frames.append(pl.DataFrame({"series": name, **edges, "count": count}))
    return pl.concat(frames)


def over_time(ns: np.ndarray[Any, Any], columns: int = 60, per_decade: int = 16) -> pl.DataFrame:
    """start, end (message index), low_ns, high_ns, count: the cells that are not empty."""
    width = -(-ns.size // columns)
    cells = np.stack([np.arange(ns.size) // width, np.floor(np.log10(np.maximum(ns, 1)) * per_decade).astype(int)])
    (column, place), count = np.unique(cells, axis=1, return_counts=True)
    return pl.DataFrame(
        {
            "start": column * width,
            "end": np.minimum((column + 1) * width, ns.size),
            "low_ns": 10.0 ** (place / per_decade),
            "high_ns": 10.0 ** ((place + 1) / per_decade),
            "count": count,
        }
    )


def loads(
    service_ns: np.ndarray[Any, Any], shares: tuple[float, ...] = (0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97)
) -> pl.DataFrame:
    """load, percentile, ns, time: service times queued behind each other at fixed intended send times (Lindley's recursion)."""
    rows = []
    for share in shares:
        gap = service_ns.mean() / share
        wait = np.zeros(service_ns.size)
        for at in range(1, service_ns.size):
            wait[at] = max(0.0, wait[at - 1] + service_ns[at - 1] - gap)
        for time, ns in (("response", wait + service_ns), ("service", service_ns)):
            rows += [(share, f"p{p:g}", float(np.percentile(ns, p)), time) for p in (50, 99, 99.9)]
    return pl.DataFrame(rows, schema=["load", "percentile", "ns", "time"], orient="row")


@cache
def market() -> dict[str, pl.DataFrame]:
    """One instrument of a real run: its rows, its orders, its book, its longest queue."""
    one = run(record="all")
    symbol = one.name(1)
    rows = one.frame.filter(pl.col("instrument") == 1)
    book = one.book(symbol)
    level = book.sort("orders", descending=True).row(0, named=True)
    orders = one.orders.filter(pl.col("instrument") == 1)
    return {"rows": rows, "orders": orders, "book": book, "queue": one.queue(symbol, level["side"], level["price"])}


STEPS = pl.DataFrame(
    {
        "label": ["pure Python, as the seed had it", "integer prices", "a batch", "Rust", "slab", "slab", "best"],
        "ns": [5_200.0, 4_100.0, 4_300.0, 150.0, 100.0, 50.0, 50.0],
        "kind": ["start", "step", "step", "step", "step", "step", "end"],
    }
)
