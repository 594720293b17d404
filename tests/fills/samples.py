"""Real order-by-order samples as feeds, until a reader of the package takes their formats."""

import csv
import gzip
from decimal import Decimal
from pathlib import Path

import numpy as np

import hftlab
from hftlab.events import Kind, Side


def lobster(path: Path) -> hftlab.EventFeed:
    """LOBSTER messages: time, type, id, size, price, direction. Orders from before the first row are not known."""
    kinds = {1: Kind.ADD, 2: Kind.CANCEL, 3: Kind.DELETE, 4: Kind.EXECUTE, 5: Kind.TRADE}
    rows = []
    with gzip.open(path, "rt") as lines:
        for time, kind, order, size, price, direction in csv.reader(lines):
            side = Side.BID if direction == "1" else Side.ASK
            whole = kinds.get(int(kind), Kind.OTHER)
            ident = 0 if whole == Kind.TRADE else int(order)
            rows.append((int(Decimal(time) * 10**9), ident, 0, int(price), int(size), 1, whole, side if whole == Kind.ADD else 0))
    return hftlab.EventFeed(np.array(rows, hftlab.EVENT_DTYPE), symbols=("", "AAPL"), name="lobster")
