"""Real order-by-order samples as feeds, until a reader of the package takes their formats."""

import csv
import gzip
import struct
from decimal import Decimal
from pathlib import Path

import numpy as np

import hftlab
from hftlab.events import Kind, Side

DBN = np.dtype(
    [
        *(("length", "u1"), ("rtype", "u1"), ("publisher", "<u2"), ("instrument", "<u4"), ("ts", "<u8"), ("id", "<u8")),
        *(("price", "<i8"), ("size", "<u4"), ("flags", "u1"), ("channel", "u1"), ("action", "S1"), ("side", "S1")),
        *(("recv", "<u8"), ("delta", "<i4"), ("sequence", "<u4")),
    ]
)
SIDES = {b"B": Side.BID, b"A": Side.ASK}


def esh4(path: Path) -> hftlab.EventFeed:
    """CME MBO in DBN: one event per record. A fill names the order that rested and leaves the book to the cancel that follows."""
    zstandard = __import__("zstandard")
    raw = zstandard.ZstdDecompressor().stream_reader(path.open("rb")).read()
    records = np.frombuffer(raw[8 + struct.unpack_from("<I", raw, 4)[0] :], DBN)
    live: dict[int, list[int]] = {}
    filled: dict[int, int] = {}  # in this exchange event: an order that has shown all it had and is modified goes to the back
    out = np.zeros(len(records), hftlab.EVENT_DTYPE)
    for i, r in enumerate(records[["action", "id", "price", "size", "side", "ts"]].tolist()):
        action, order, price, size, side, ts = r
        kind, qty, new = Kind.OTHER, size, 0
        price //= 10_000_000
        if action == b"A":
            kind, live[order] = Kind.ADD, [price, size]
        elif action == b"C" and order in live:
            kind, live[order][1] = Kind.CANCEL, live[order][1] - size
            if live[order][1] <= 0:
                del live[order]
        elif action == b"M" and order in live:
            before, left = live[order]
            refreshed = filled.get(order, 0) >= left
            if price == before and size < left and not refreshed:
                kind, qty = Kind.CANCEL, left - size
            elif price != before or size > left or refreshed:
                kind, new = Kind.REPLACE, order
            live[order] = [price, size]
        elif action == b"R":
            kind, price = Kind.CLEAR, 0
            live.clear()
        elif action in (b"T", b"F"):
            kind = Kind.TRADE
            if action == b"F":
                filled[order] = filled.get(order, 0) + size
            else:
                order = 0
        if records["flags"][i] & 0x80:
            filled.clear()
        out[i] = (ts, order, new, price, qty, 1, kind, SIDES.get(side, 0))
    beside = {"recv_ns": records["recv"].copy(), "event_end": (records["flags"] & 0x80) > 0}
    return hftlab.EventFeed(out, symbols=("", "ESH4"), price_scale=100, epoch="unix", name="esh4", **beside)


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
