"""What we send to the exchange, and what comes of it: arrays of records that both simulators read and write.

A request takes effect between two messages of the feed: behind every message whose time is not later than its own, and never
inside an exchange event, or, where `after` is given, right behind that message. Everything in it is as the exchange sees it:
the sender adds the latency first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftlab.errors import ConfigError
from hftlab.events import Side


class Action(IntEnum):
    """What a request asks for."""

    ENTER = 1
    CANCEL = 2  # qty 0: all that is left; else `qty` shares, and the order keeps its place
    REPLACE = 3  # order_id goes, new_order_id comes, at the back; void if order_id is gone already


class TimeInForce(IntEnum):
    """What an order does on arrival."""

    REST = 0  # takes what is displayed at its limit or better, then rests
    IOC = 1  # takes, and what is left is canceled
    POST_ONLY = 2  # rests, or is canceled if it could take


class Reason(IntEnum):
    """Why an order was filled."""

    QUEUE = 1  # an order behind it was executed: first in, first out
    THROUGH = 2  # the opposite side reached its price
    TAKE = 3  # it took what was displayed


class State(IntEnum):
    """What ended an order."""

    LIVE = 0
    FILLED = 1
    THROUGH = 2
    CANCELED = 3
    EXPIRED = 4  # it was live when the feed ended


#: One request. time_ns: when it is at the exchange, in the feed's own clock; after: message number, -1 for "by its time";
#: world: orders of one world share a queue and never a displayed share, those of different worlds know nothing of each other.
REQUEST_DTYPE = np.dtype(
    [
        ("time_ns", "<u8"),
        ("after", "<i8"),
        ("order_id", "<u8"),
        ("new_order_id", "<u8"),
        ("price", "<i8"),
        ("qty", "<u4"),
        ("world", "<u4"),
        ("instrument", "<u2"),
        ("action", "|u1"),
        ("side", "|u1"),
        ("tif", "|u1"),
    ]
)

#: One fill. index, ts_ns: of the message that caused it; of a TAKE how many messages came before it, and its own time.
#: maker: the order in the feed that was executed or taken; 0 for THROUGH.
FILL_DTYPE = np.dtype(
    [
        ("index", "<u8"),
        ("ts_ns", "<u8"),
        ("order_id", "<u8"),
        ("maker", "<u8"),
        ("price", "<i8"),
        ("qty", "<u4"),
        ("world", "<u4"),
        ("instrument", "<u2"),
        ("side", "|u1"),
        ("reason", "|u1"),
    ]
)

#: One order of ours, in the order of arrival. filled + through + canceled + expired = qty. ahead_orders, ahead_qty: before it at
#: its price when it came; front_ns: when nobody was ahead of it any more, -1 if that never was.
OUTCOME_DTYPE = np.dtype(
    [
        ("order_id", "<u8"),
        ("price", "<i8"),
        ("arrived_ns", "<u8"),
        ("ended_ns", "<u8"),
        ("front_ns", "<i8"),
        ("ahead_qty", "<u8"),
        ("qty", "<u4"),
        ("filled", "<u4"),
        ("through", "<u4"),
        ("canceled", "<u4"),
        ("expired", "<u4"),
        ("ahead_orders", "<u4"),
        ("world", "<u4"),
        ("instrument", "<u2"),
        ("side", "|u1"),
        ("state", "|u1"),
    ]
)

Requests = NDArray[np.void]
_DEFAULTS = {"time_ns": 0, "after": -1, "action": Action.ENTER, "tif": TimeInForce.REST, "qty": 0}


def requests(rows: Iterable[Mapping[str, Any]]) -> Requests:
    """An array of requests from mappings of REQUEST_DTYPE's fields; what is left out is 0, `after` -1, the action ENTER.

    raises : ConfigError for a field that does not exist or a value that it cannot hold; see `check_requests`
    """
    rows = list(rows)
    out = np.zeros(len(rows), REQUEST_DTYPE)
    for name, value in _DEFAULTS.items():
        out[name] = value
    for number, row in enumerate(rows):
        for name, value in row.items():
            if name not in (REQUEST_DTYPE.names or ()):
                raise ConfigError(f"request {number}: field must be one of {', '.join(REQUEST_DTYPE.names or ())}, got {name!r}")
            try:
                out[name][number] = value
            except (OverflowError, TypeError, ValueError):
                raise ConfigError(f"request {number}: {name} must fit {REQUEST_DTYPE[name].str}, got {value!r}") from None
    return check_requests(out)


def check_requests(array: Requests) -> Requests:
    """`array`, if it is (n,) REQUEST_DTYPE and every row can be asked for.

    raises : ConfigError naming the first row that is wrong: its action, side, time in force, quantity, or an id used twice
    """
    if not isinstance(array, np.ndarray) or array.dtype != REQUEST_DTYPE or array.ndim != 1:
        raise ConfigError("requests must be a one-dimensional array of REQUEST_DTYPE (hftlab.fills.requests.requests makes one)")
    enters, comes = array["action"] == Action.ENTER, array["action"] != Action.CANCEL
    _refuse(array, "action", (array["action"] < 1) | (array["action"] > max(Action)), "1 (enter), 2 (cancel) or 3 (replace)")
    _refuse(array, "side", enters & (array["side"] != Side.BID) & (array["side"] != Side.ASK), "1 (bid) or 2 (ask)")
    _refuse(array, "tif", comes & (array["tif"] > max(TimeInForce)), "0 (rest), 1 (IOC) or 2 (post only)")
    _refuse(array, "qty", comes & (array["qty"] == 0), "at least 1")
    ids = np.where(array["action"] == Action.REPLACE, array["new_order_id"], array["order_id"])
    pairs = np.stack([array["world"].astype(np.uint64), ids], axis=1)[comes]
    _, first = np.unique(pairs, axis=0, return_index=True)
    again = np.ones(len(pairs), bool)
    again[first] = False
    _refuse(array, "order_id", _spread(comes, again), "used once in a world")
    return array


def _spread(chosen: NDArray[np.bool_], values: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`values` of the chosen rows, among all rows."""
    out = np.zeros(len(chosen), bool)
    out[chosen] = values
    return out


def _refuse(array: Requests, field: str, wrong: NDArray[np.bool_], allowed: str) -> None:
    if wrong.any():
        at = int(wrong.argmax())
        raise ConfigError(f"request {at}: {field} must be {allowed}, got {array[field][at]}")
