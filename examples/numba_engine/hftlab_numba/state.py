"""Everything that lives from message to message, as flat arrays. Python makes them and grows them; the kernels fill them.

A kernel is told how many messages it may run, and Python has made room for as many before: one order, one level, one row,
one accepted order each. Only the arena of the sides can run out in between; then the kernel comes back for more.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hftlab.engine.recording import ORDER_DTYPE, ROW_DTYPE
from hftlab.events import EVENT_DTYPE, Fault
from hftlab.protocols.ouch_fields import ENTER_ORDER_BYTES as OUCH_BYTES
from hftlab.settings import RECORDS, REJECTS, STAGES, Settings

Array = np.ndarray[Any, Any]

INSTRUMENTS = 1 << 16
FIRST_FAULTS = 100

# Places in `Core.tally`.
(
    MESSAGES,  # messages run
    ROWS,  # rows recorded
    STAMPS,  # messages stamped
    ACCEPTED,  # orders accepted
    LIVE,  # live orders in the book
    NEW_ORDER,  # order slots used so far
    FREE_ORDER,  # first free slot among them, -1 for none; the others follow in `after`
    FREE_ORDERS,  # how many
    NEW_LEVEL,  # the same for levels
    FREE_LEVEL,
    FREE_LEVELS,
    ARENA,  # used of the arena
    LARGEST,  # capacity of the largest side
    KEPT,  # faults kept with their record
    RECENT,  # where the oldest of the recent orders stands
    SENT,  # how many of them there are
    COUNTERS,
) = range(17)


class Rules(NamedTuple):
    """The settings, as the kernels need them."""

    until: int
    recorded: int
    timed: int
    strict: int
    decay: float
    k: float
    weights: tuple[float, float, float, float, float]
    levels: int
    threshold: float
    lot: int
    cooldown: int
    kill: int
    max_order_qty: int
    max_notional: int
    collar_bps: int
    position_limit: int
    rate: int
    price_scale: int

    @classmethod
    def of(cls, settings: Settings) -> Rules:
        signals, order, risk = settings.signal_config, settings.order_config, settings.risk_config
        return cls(
            until=STAGES.index(settings.until),
            recorded=RECORDS.index(settings.record),
            timed=("off", "total", "stages").index(settings.latency),
            strict=int(settings.strict),
            decay=float(signals.decay),
            k=float(signals.k),
            weights=tuple(map(float, signals.weights)),
            levels=signals.levels,
            threshold=float(order.threshold),
            lot=order.lot,
            cooldown=order.cooldown,
            kill=int(risk.kill),
            max_order_qty=risk.max_order_qty,
            max_notional=risk.max_notional,
            collar_bps=risk.collar_bps,
            position_limit=risk.position_limit,
            rate=risk.max_orders_per_sec,
            price_scale=settings.price_scale,
        )


class Core(NamedTuple):
    """The arrays. A slot is an order's place in `ids` ... `after`, a half a side of an instrument: 2 * instrument + side - 1."""

    tally: Array
    # orders, by slot: id, quantity left, level, neighbours in the queue (-1: none)
    ids: Array
    left: Array
    level: Array
    before: Array
    after: Array
    table: Array  # open addressing by order id: slot + 1, 0 for empty; four times as large as the slots at least
    # levels: half, price, total, orders, front and back of the queue
    half: Array
    price: Array
    total: Array
    orders: Array
    front: Array
    back: Array
    # each side is a stretch of the arena, its keys sorted, the best at the end; a key is the price, negative for asks
    keys: Array
    places: Array  # the level of each key
    start: Array
    length: Array
    room: Array
    # by instrument
    tops: Array  # bid price, bid quantity, ask price, ask quantity
    seen: Array  # whether it has signals
    sums: Array  # quantities of the best levels
    values: Array  # the nine signals
    names: Array
    named: Array
    wait: Array
    position: Array
    halted: Array
    # what comes out
    counts: Array
    unknown: Array
    faults: Array
    fault_index: Array
    fault_reason: Array
    fault_events: Array
    rows: Array
    stamps: Array
    accepted: Array
    stream: Array
    rejects: Array
    recent: Array  # ring of the ts_ns of the latest accepted orders
    now: Array  # what the clock wrote: seconds, ns


def new_core(settings: Settings) -> Core:
    """Arrays for an engine that has seen nothing; those by instrument are pages of zeros until they are touched."""
    i64, i32, u8 = np.int64, np.int32, np.uint8
    tally = np.zeros(COUNTERS, i64)
    tally[[FREE_ORDER, FREE_LEVEL]] = -1
    slots = {name: np.zeros(0, i32) for name in ("level", "before", "after", "half", "orders", "front", "back")}
    core = Core(
        tally=tally,
        ids=np.zeros(0, np.uint64),
        left=np.zeros(0, i64),
        table=np.zeros(16, i32),
        price=np.zeros(0, i64),
        total=np.zeros(0, i64),
        **slots,
        keys=np.zeros(64, i64),
        places=np.zeros(64, i32),
        start=np.zeros(2 * INSTRUMENTS, i64),
        length=np.zeros(2 * INSTRUMENTS, i32),
        room=np.zeros(2 * INSTRUMENTS, i32),
        tops=np.zeros((INSTRUMENTS, 4), i64),
        seen=np.zeros(INSTRUMENTS, u8),
        sums=np.zeros((INSTRUMENTS, 2), i64),
        values=np.zeros((INSTRUMENTS, 9)),
        names=np.zeros((INSTRUMENTS, 8), u8),
        named=np.zeros(INSTRUMENTS, u8),
        wait=np.zeros(INSTRUMENTS, i64),
        position=np.zeros(INSTRUMENTS, i64),
        halted=np.zeros(INSTRUMENTS, u8),
        counts=np.zeros(256, i64),
        unknown=np.zeros(256, i64),
        faults=np.zeros(len(Fault), i64),
        fault_index=np.zeros(FIRST_FAULTS, i64),
        fault_reason=np.zeros(FIRST_FAULTS, i64),
        fault_events=np.zeros(FIRST_FAULTS, EVENT_DTYPE),
        rows=np.zeros(0, ROW_DTYPE),
        stamps=np.zeros((0, 5), i64),
        accepted=np.zeros(0, ORDER_DTYPE),
        stream=np.zeros(0, u8),
        rejects=np.zeros(len(REJECTS), i64),
        recent=np.zeros(settings.risk_config.max_orders_per_sec, np.uint64),
        now=np.zeros(2, i64),
    )
    for instrument, symbol in enumerate(settings.symbols[:INSTRUMENTS]):
        if symbol:
            core.names[instrument] = np.frombuffer(symbol.encode("latin-1", "replace").ljust(8)[:8], u8)
            core.named[instrument] = core.names[instrument].any()
    return core


_BY_SLOT = ("ids", "left", "level", "before", "after")
_BY_LEVEL = ("half", "price", "total", "orders", "front", "back")


def with_room(core: Core, rules: Rules, messages: int) -> Core:
    """The same state with room for so many more messages. The order table is left too small: see `session`."""
    tally = core.tally
    wanted = {name: int(tally[NEW_ORDER] - tally[FREE_ORDERS]) + messages for name in _BY_SLOT}
    wanted |= {name: int(tally[NEW_LEVEL] - tally[FREE_LEVELS]) + messages for name in _BY_LEVEL}
    wanted["rows"] = int(tally[ROWS]) + messages if rules.recorded else 0
    wanted["stamps"] = int(tally[STAMPS]) + messages if rules.timed else 0
    if rules.until == len(STAGES) - 1:
        wanted["accepted"] = int(tally[ACCEPTED]) + messages
        wanted["stream"] = (int(tally[ACCEPTED]) + messages) * OUCH_BYTES
    grown = {name: _longer(getattr(core, name), size) for name, size in wanted.items() if len(getattr(core, name)) < size}
    return core._replace(**grown) if grown else core


def with_larger_arena(core: Core) -> Core:
    """The same state with twice the arena, or what the largest side needs to move."""
    size = max(2 * len(core.keys), int(core.tally[ARENA] + 4 * core.tally[LARGEST]) + 64)
    return core._replace(keys=_longer(core.keys, size), places=_longer(core.places, size))


def _longer(array: Array, size: int) -> Array:
    """A copy with at least twice the length; the new part is zeros that take no memory until they are touched."""
    out = np.zeros((max(size, 2 * len(array)), *array.shape[1:]), array.dtype)
    out[: len(array)] = array
    return out
