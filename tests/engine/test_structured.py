"""Do all variants of the Rust engine give what the Python engine gives where prices have structure?

Grids of ticks that change, drains, trends, prices between ticks and at the ends of their range. `make fuzz` asks the same of
100 million events.
"""

import random

import pytest

import hftlab
from hftlab.events import EVENT_DTYPE, Kind, Side

#: Every name of every axis, and what a table of orders does when it is asked ahead.
VARIANTS = (
    "book=btree orders=std pool=False signal=recompute lookahead=False",
    "book=sorted orders=fast lookahead=True",
    "book=ladder orders=std pool=False lookahead=True",
    "book=ladder orders=flat signal=recompute lookahead=False",
    "book=ladder orders=flat lookahead=True",
)
TICKS = (1, 5, 100, 100, 10_000_000, 2**33)
CENTERS = (5_000, 1_000_000, 40_000_000, 2**63 - 1, 1 - 2**63)
LOWEST, HIGHEST = 1 - 2**63, 2**63 - 1


def structured(seed: int, n: int) -> hftlab.EventFeed:
    """n events on two instruments whose prices change their grid every 200 events or so."""
    draw = random.Random(seed)
    rows: list[tuple[int, ...]] = []
    live: list[tuple[int, int]] = []
    tick = center = drift = reach = 0
    for i in range(n):
        if i % 200 == 0:
            tick, center = draw.choice(TICKS), draw.choice(CENTERS)
            drift, reach, adds = draw.choice((0, 0, 1, -40)), draw.choice((3, 40, 300)), draw.choice((0.6, 0.6, 0.2))
        center += drift * tick if draw.random() < 0.1 else 0
        side = draw.choice((Side.BID, Side.ASK))
        away = min(draw.randrange(reach), draw.randrange(reach)) * (-1 if side == Side.BID else 1)
        off = draw.randrange(tick) if draw.random() < 0.05 else 0
        price = max(LOWEST, min(HIGHEST, center + away * tick + off))
        qty, where = draw.randrange(1, 300), draw.randrange(len(live)) if live else 0
        if draw.random() < adds or not live:
            instrument = draw.choice((1, 9))
            live.append((i + 1, instrument))
            rows.append((i, i + 1, 0, price, qty, instrument, Kind.ADD, side))
            continue
        order_id, instrument = live[where]
        kind = draw.choice((Kind.DELETE, Kind.DELETE, Kind.REPLACE, Kind.CANCEL, Kind.EXECUTE))
        new_id = i + 1 if kind == Kind.REPLACE else 0
        rows.append((i, order_id, new_id, price * (new_id > 0), 0 if kind == Kind.DELETE else qty, instrument, kind, 0))
        if kind == Kind.DELETE:
            live.pop(where)
        elif new_id:
            live[where] = (new_id, instrument)
    import numpy as np

    return hftlab.EventFeed(np.array(rows, EVENT_DTYPE), symbols=("", *(f"S{k}" for k in range(1, 10))))


@pytest.mark.rust
@pytest.mark.parametrize("seed", range(3))
def test_every_variant_gives_what_the_python_engine_gives(seed: int) -> None:
    feed = structured(seed, 6_000)
    for variant in VARIANTS:
        verdict = hftlab.verify("python", f"rust {variant}", feed)
        assert verdict, f"{variant}: {verdict}"
