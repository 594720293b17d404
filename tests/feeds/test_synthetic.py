"""Is the synthetic feed valid, realistic and the same everywhere?

A checker walks it message by message; the book that it keeps is the one that is held to real data in test_real_data.py.
"""

from __future__ import annotations

import gzip
import hashlib
import random
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from hftlab.engine.engine import Engine, decode, synthetic
from hftlab.errors import ConfigError, OutputError, UnknownName
from hftlab.events import Kind
from hftlab.feeds.feed import BytesFeed, cut, messages
from hftlab.feeds.generate.regimes import REGIMES, Regime, bounds
from hftlab.feeds.generate.synthetic import blocks, generate, write
from hftlab.feeds.itch import ItchFeed
from hftlab.protocols.itch_messages import fields
from hftlab.stages.book import Book

OPEN, CLOSE = 34_200_000_000_000, 57_600_000_000_000

#: regime -> sha256 of 6,000 messages of seed 7, which is how any change of the bytes shows.
PINNED: dict[str, str] = {
    "calm": "a65d91b4d781773ed5188d36140c7a0541d905b560df1dfaac60e5f3f5ee05da",
    "burst": "c7dc1cc2f4f1e0896e4a48cb9cfd2a92782686e9d7860fe201372b2eb10bb705",
    "cancel_storm": "c19cdf002613c3561153cba2a98e2e3d5b1aa742dd9dffa430e050d0a03dfe59",
    "deep": "6064698ce959b0398b017cb766d20a16b422f055c941b167433a8318e28c7025",
    "market": "99d928f57c7ddfef917689e3af63b15baf92fa0474c2cb7b55d73aabdc78981e",
    "whole_market": "db45dbe4f87eebd51b4ecc0ea45edc094861fbda162972e8859de1d7759ae75d",  # of 20,000 messages
}
#: The regimes that the checker walks; the whole market is the market, only that its books begin full.
WALKED = [regime for regime in REGIMES if regime != "whole_market"]


class Checker:
    """Walks a feed message by message, keeps its book, and asserts what must hold after each of them."""

    def __init__(self, data: bytes) -> None:
        self.book = Book()
        self.born: dict[int, int] = {}  # live order -> message that made it
        self.seen: set[int] = set()
        self.names: dict[int, str] = {}
        self.state: dict[int, str] = {}
        self.penny: set[int] = set()
        self.kinds: Counter[str] = Counter()
        self.prints: Counter[str] = Counter()
        self.activity: Counter[int] = Counter()
        self.spreads: Counter[int] = Counter()
        self.times: list[int] = []
        self.lifetimes: list[int] = []
        self.distances: list[int] = []
        self.references: list[int] = []
        self.live: list[int] = []
        self.touches: list[int] = []
        self.system = self.sequence = ""
        self.last_match = self.last_time = self.index = 0
        feed = ItchFeed(data)
        events = decode(feed, "python").tolist()
        for event, (block, at, size) in zip(events, messages(feed), strict=True):
            self.message(fields(bytes(block[at : at + size])), event)
            self.index += 1

    def message(self, given: dict[str, Any], event: tuple[int, ...]) -> None:
        kind, locate = given["type"], given["locate"]
        assert given["ts"] >= self.last_time
        self.last_time = given["ts"]
        self.kinds[kind] += 1
        if kind in "SRHY":
            self.administrative(kind, locate, given)
            return
        assert locate in self.names
        assert OPEN <= self.last_time < CLOSE
        assert self.system == "OSQ", "market messages only between open and close"
        self.sequence += kind
        self.activity[locate] += 1
        self.times.append(self.last_time)
        self.trading(kind, given, event)
        bid, bid_qty, ask, ask_qty = self.book.best(locate)
        if bid_qty and ask_qty:
            assert bid < ask, f"message {self.index}: {bid} >= {ask}"
            self.spreads[ask - bid] += 1
        self.touches.append(bid)
        if self.index % 1_000 == 0:
            self.live.append(len(self.book.orders))

    def administrative(self, kind: str, locate: int, given: dict[str, Any]) -> None:
        if kind == "S":
            assert locate == 0
            self.system += given["event"]
        elif kind == "R":
            assert locate == len(self.names) + 1
            assert given["stock"].isalpha()
            assert given["market_category"] in "QGSNAPZV"
            assert given["authenticity"] == "P"
            assert given["round_lot"] in (1, 10, 40, 100)
            self.names[locate] = given["stock"]
        else:
            assert self.names[locate] == given["stock"]
            if kind == "Y":
                assert given["action"] in "012"
                return
            before, after = self.state.get(locate), given["state"]
            assert (before, after) in {(None, "T"), ("T", "H"), ("H", "T")}
            assert (self.last_time < OPEN) == (before is None)
            self.state[locate] = after

    def trading(self, kind: str, given: dict[str, Any], event: tuple[int, ...]) -> None:
        _, ref, new, price, qty, locate, code, side = event
        before, best = self.book.locate(ref), self.book.best(locate)
        if kind in "ECP":
            assert self.state[locate] == "T", "no executions while halted"
            assert given["match"] > self.last_match
            self.last_match = given["match"]
        if kind in "EC":
            assert before is not None
            assert before[2] == best[0 if before[1] == 1 else 2], "executions at the best price"
            assert self.book.queue(*before[:3])[0] == (ref, before[3]), "executions at the front of the queue"
        if kind == "C":
            self.prints[given["printable"] + ("=" if price == before[2] else "!")] += 1
        if kind == "X":
            assert qty < before[3], "a partial cancel leaves something"
        if kind == "P":
            assert (ref, given["side"]) == (0, "B")
            assert best[0] <= price <= best[2]
            assert qty > 0
        assert self.book.apply(code, locate, side, ref, new, price, qty) >= 0, "nothing that the book refuses"
        if before and ref not in self.book.orders:
            self.lifetimes.append(self.index - self.born.pop(ref))
        if kind in "AF":
            assert given["stock"] == self.names[locate]
            assert given.get("mpid", "MPID").isalpha()
        if kind in "AFU":
            self.placed(new or ref, locate, price)

    def placed(self, ref: int, locate: int, price: int) -> None:
        assert ref not in self.seen, "references are unique over the day"
        assert 0 < price <= 2_000_000_000
        assert price % 100 == 0 or price < 10_000, "ticks of a cent from a dollar up"
        if price % 100:
            self.penny.add(locate)
        self.seen.add(ref)
        self.references.append(ref)
        self.born[ref] = self.index
        side, best = self.book.locate(ref)[1], self.book.best(locate)
        self.distances.append(abs(price - best[0 if side == 1 else 2]))

    def orders(self) -> dict[int, Any]:
        return {ref: self.book.locate(ref) for ref in self.born}

    def shares(self) -> dict[str, float]:
        """Per cent of the market's messages by kind."""
        total = sum(self.kinds[kind] for kind in "AFDUECXP")
        groups = {"A": "AF", "D": "D", "U": "U", "E": "EC", "X": "X", "P": "P"}
        return {name: 100 * sum(self.kinds[kind] for kind in kinds) / total for name, kinds in groups.items()}

    def levels(self, locate: int) -> tuple[int, int]:
        bids, asks = self.book.halves[locate]
        return len(bids.levels), len(asks.levels)

    def window_share(self, kinds: str, size: int = 500) -> list[float]:
        """Per cent of `kinds` in each run of `size` market messages."""
        runs = [self.sequence[at : at + size] for at in range(0, len(self.sequence) - size, size)]
        return [100 * sum(kind in kinds for kind in run) / size for run in runs]


def quantile(values: list[int], share: float) -> int:
    return sorted(values)[int(share * len(values))]


MESSAGES = {"calm": 100_000, "burst": 50_000, "cancel_storm": 50_000, "deep": 50_000, "market": 100_000}


@cache
def walked(regime: str, seed: int, messages: int, symbols: int | None) -> Checker:
    return Checker(generate(regime, messages, seed, symbols, engine="python"))


def walk(regime: str, seed: int = 1, messages: int | None = None, symbols: int | None = None) -> Checker:
    return walked(regime, seed, messages or MESSAGES[regime], symbols)


# -------------------------------------------------------------------------------- validity


@pytest.mark.parametrize("regime", WALKED)
@pytest.mark.parametrize(("seed", "messages", "symbols"), [(1, None, None), (2, 15_000, None), (2**64 - 1, 15_000, 60)])
def test_feed_is_valid(regime: str, seed: int, messages: int | None, symbols: int | None) -> None:
    checker = walk(regime, seed, messages, symbols)
    count = REGIMES[regime].symbols if symbols is None else symbols
    assert checker.index == (messages or MESSAGES[regime])
    assert checker.system == "OSQMEC"
    assert checker.kinds["R"] == checker.kinds["Y"] == count == len(checker.names) == len(set(checker.names.values()))
    assert set(checker.state.values()) == {"T"}, "every halt is lifted before the close"


@pytest.mark.parametrize("symbols", [1, 3, 10_000])
def test_shortest_feeds(symbols: int) -> None:
    for extra in (0, 7) if symbols == 10_000 else (0, 1, 2, 7):
        checker = Checker(generate("market", 6 + 3 * symbols + extra, 5, symbols, engine="python"))
        assert checker.index == 6 + 3 * symbols + extra
        assert len(checker.sequence) == extra
        assert checker.system == "OSQMEC"


@pytest.mark.parametrize("kind", ["A", "D", "U", "E", "X"])
def test_checker_notices_a_lost_message(kind: str) -> None:
    every = list(cut(ItchFeed(generate("calm", 6_000, 3, engine="python")), every=1))
    lost = max(at for at, message in enumerate(every) if chr(message[2]) == kind)
    try:
        noticed = Checker(b"".join(every[:lost] + every[lost + 1 :])).orders() != walk("calm", 3, 6_000).orders()
    except (AssertionError, KeyError, TypeError):
        noticed = True
    assert noticed


# -------------------------------------------------------------------------------- realism


@pytest.mark.parametrize("regime", ["calm", "market"])
def test_mix_is_that_of_a_real_day(regime: str) -> None:
    shares = walk(regime).shares()
    bounds = {"A": (45, 50), "D": (38, 43), "U": (6, 8), "E": (2, 3), "X": (1, 2), "P": (0.8, 1.2)}
    assert all(low <= shares[kind] <= high for kind, (low, high) in bounds.items()), shares


@pytest.mark.parametrize("regime", WALKED)
def test_details_and_heavy_tails_everywhere(regime: str) -> None:
    checker = walk(regime)
    assert 0.02 < checker.kinds["F"] / checker.kinds["A"] < 0.05
    assert 0.03 < checker.kinds["C"] / checker.kinds["E"] < 0.10
    assert set(checker.prints) == {"Y=", "Y!", "N=", "N!"}, "printable or not, at the order's price or not"
    lives, far = checker.lifetimes, checker.distances
    assert quantile(lives, 0.99) > 10 * quantile(lives, 0.5)
    assert quantile(far, 0.99) > 10 * max(quantile(far, 0.5), 100)
    gaps = [b - a for a, b in pairwise(checker.times)]
    assert quantile(gaps, 0.999) > 50 * quantile(gaps, 0.5)
    assert checker.times[0] - OPEN < 1_000_000_000
    steps = [b - a for a, b in pairwise(checker.references)]
    assert 0.01 < sum(step < 0 for step in steps) / len(steps) < 0.06, "references mostly rise"
    assert sum(step == 1 for step in steps) < 0.05 * len(steps), "with gaps"


@pytest.mark.parametrize("regime", REGIMES)
def test_a_warm_feed_is_measured_in_a_steady_state(regime: str) -> None:
    feed = synthetic(regime, 50_000, 1, warm=True)
    filling, rest = feed.parts()
    kinds = Counter(decode(rest)["kind"].tolist())
    assert sum(kinds.values()) == 50_000
    assert kinds[Kind.DELETE] >= 0.3 * 50_000
    live = [run.memory["live_orders"] for run in (Engine().run(each, record="none") for each in (BytesFeed(filling), feed))]
    assert 0.8 * live[1] <= live[0] <= 1.25 * live[1]
    if regime == "whole_market":
        assert live[0] > 300_000
        assert sum(map(bool, feed.symbols)) == 4_000


def test_calm_is_one_liquid_stock() -> None:
    calm = walk("calm")
    assert 200 < min(calm.live[20:]) <= max(calm.live[20:]) < 900, "live orders are steady"
    assert all(20 <= count <= 100 for count in calm.levels(1))
    assert calm.spreads[100] > 0.8 * sum(calm.spreads.values()), "a spread of one cent"
    assert quantile(calm.distances, 0.75) <= 400, "most activity is near the touch"
    assert quantile(calm.lifetimes, 0.25) < 20, "some orders live for messages"
    assert min(calm.born.values()) < 20_000, "and some for the day"
    bids = [price for price in calm.touches if price]
    assert 100 < sum(a != b for a, b in pairwise(bids)) < 0.1 * len(bids), "the touch moves slowly"
    assert max(bids) - min(bids) >= 1_000, "more than ten ticks over the file"
    assert calm.kinds["H"] >= 3, "halts come and go"


def test_deep_has_many_levels_and_orders() -> None:
    deep = walk("deep")
    assert 14_000 < min(deep.live[20:]) <= max(deep.live[20:]) < 24_000
    assert all(200 <= count <= 2_000 for count in deep.levels(1))


def test_market_is_a_thousand_stocks_from_pennies_to_thousands_of_dollars() -> None:
    market = walk("market")
    best = {locate: bids.best.price for locate, (bids, _) in market.book.halves.items() if bids.levels}
    assert len(best) == 1_000
    assert sum(price < 10_000 for price in best.values()) >= 20 <= len(market.penny)
    assert min(best.values()) < 5_000 < 10_000_000 < max(best.values())
    assert not walk("calm").penny
    assert len(market.spreads) > 200, "the spread follows the price"
    assert any(spread % 100 for spread in market.spreads), "sub-penny symbols"
    counts = sorted(market.activity.values(), reverse=True)
    assert len(counts) == 1_000
    assert counts[0] > 5 * counts[50] > 20 * counts[900], "activity by Zipf's law"
    assert sum(counts[:100]) > 0.5 * sum(counts)
    assert market.kinds["H"] >= 1_004


def test_storms_and_bursts_are_what_they_say() -> None:
    calm, storm, burst = walk("calm"), walk("cancel_storm"), walk("burst")
    assert max(storm.window_share("DU")) > 62 > max(calm.window_share("DU"))
    assert max(storm.window_share("U")) > 15 > max(calm.window_share("U"))
    assert max(burst.window_share("EC")) > 14 > max(calm.window_share("EC"))
    spans = [b - a for a, b in zip(burst.times, burst.times[500:], strict=False)]
    assert min(spans) * 50 < quantile(spans, 0.5), "a burst is fast"


# -------------------------------------------------------------------------------- determinism


@pytest.mark.parametrize("regime", REGIMES)
def test_bytes_are_pinned(regime: str) -> None:
    messages = 20_000 if regime == "whole_market" else 6_000
    data = generate(regime, messages, 7, engine="python")
    assert hashlib.sha256(data).hexdigest() == PINNED[regime]
    assert data == generate(regime, messages, 7, engine="python")
    assert data != generate(regime, messages, 8, engine="python")


def test_block_size_does_not_change_the_bytes() -> None:
    whole = generate("burst", 5_000, 3, engine="python")
    for size in (46, 1_000, 1 << 20):
        parts = list(blocks("burst", 5_000, 3, engine="python", max_bytes=size))
        assert all(0 < len(block) <= size for block in parts)
        assert b"".join(parts) == whole
        assert sum(len(decode(ItchFeed(block), "python")) for block in parts) == 5_000, "whole messages only"


def random_regime(seed: int) -> Regime:
    """Any regime the bounds allow, weights scaled to fit."""
    dice = random.Random(seed)
    values = {name: dice.choice((low, high, dice.randint(low, high))) for name, (low, high) in bounds().items()}
    for name in ("replace", "execute", "cancel", "trade", "burst_execute", "burst_replace"):
        values[name] = dice.randint(0, 10_000)
    values["opening"] = dice.randint(1, 50)
    values["price_low"] = dice.randint(150, 3_000)
    values["octaves"] = dice.randint(1, 10)
    return Regime("anything", symbols=dice.randint(1, 40), **values)


@pytest.mark.parametrize("seed", range(8))
def test_any_regime_is_valid(seed: int) -> None:
    regime = random_regime(seed)
    assert Checker(generate(regime, 3_000, seed, engine="python")).index == 3_000


@pytest.mark.rust
@pytest.mark.parametrize("regime", [*WALKED, *range(8)])
def test_rust_writes_the_same_bytes(regime: str | int) -> None:
    which = random_regime(regime) if isinstance(regime, int) else regime
    for count, seed, symbols in ((12_000, 1, None), (3_000, 2**64 - 1, 700), (2_106, 0, 700)):
        ours, theirs = (
            list(blocks(which, count, seed, symbols, engine=engine, max_bytes=50_000)) for engine in ("python", "rust")
        )
        assert ours == theirs


# -------------------------------------------------------------------------------- files and errors


def test_write_streams_the_same_bytes(tmp_path: Path) -> None:
    data = generate("calm", 4_000, 9, engine="python")
    plain, packed, again = tmp_path / "day.itch", tmp_path / "day.gz", tmp_path / "other.gz"
    assert write(plain, "calm", 4_000, 9, engine="python") == len(data) == plain.stat().st_size
    assert plain.read_bytes() == data
    size = write(packed, "calm", 4_000, 9, engine="python")
    write(again, "calm", 4_000, 9, engine="python")
    assert size == packed.stat().st_size < len(data)
    assert gzip.decompress(packed.read_bytes()) == data
    assert packed.read_bytes() == again.read_bytes(), "neither name nor time in the header"


def test_unwritable_path_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"day\.itch: cannot be written: "):
        write(tmp_path / "file" / "day.itch", messages=1_000, engine="python")


@pytest.mark.parametrize(
    ("regime", "wrong"),
    [
        *(("calm", {"messages": value}) for value in (8, 2.0, True, 1 << 41)),
        *(("calm", {"seed": value}) for value in (-1, 1 << 64)),
        *(("calm", {"symbols": value}) for value in (0, 10_001)),
        ("market", {"messages": 3_005}),
    ],
)
def test_out_of_range(regime: str, wrong: dict[str, object]) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(ConfigError, match=f"^{name} must be a whole number between .*, got {value!r}$"):
        blocks(regime, **wrong)  # type: ignore[arg-type]


def test_unknown_names() -> None:
    with pytest.raises(UnknownName, match="unknown regime 'clam'; known: calm, burst, cancel_storm, deep, market"):
        generate("clam")
    with pytest.raises(UnknownName, match="unknown engine 'c'; known: auto, python, rust"):
        generate(engine="c")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"stick": 64}, "stick must be a whole number between 0 and 63, got 64"),
        ({"gap_ns": 1.5}, "gap_ns must be a whole number"),
        ({"replace": 60_000, "trade": 10_000}, "the weights of U, E, X and P in a burst must sum to at most 65,536, got"),
        ({"price_low": 100_000, "octaves": 16}, r"price_low \* 2 \*\* octaves must be"),
    ],
)
def test_impossible_regimes(change: dict[str, int], text: str) -> None:
    with pytest.raises(ConfigError, match=f"^{text}"):
        Regime("impossible", symbols=1, **change)
