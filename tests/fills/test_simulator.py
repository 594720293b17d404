"""Does an order of ours get what the exchange would have given it, and the same from both simulators?"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hftlab
from hftlab.errors import ConfigError, HftlabError
from hftlab.events import Kind, Side
from hftlab.fills.proofs.checks import CHECKS, FillCheck, fees_once, run_checks
from hftlab.fills.requests import Action, Reason, State, TimeInForce, requests
from hftlab.fills.simulation import simulate


@pytest.mark.parametrize("check", CHECKS, ids=[check.name for check in CHECKS])
def test_every_named_check_holds(check: FillCheck, backend: str) -> None:
    assert not check.ask(lambda feed, sent: simulate(feed, sent, backend=backend))


def test_fees_are_booked_once() -> None:
    assert not fees_once()


EVENT = st.tuples(
    st.integers(0, 3),  # ns since the event before
    st.integers(1, 12),  # order
    st.integers(1, 12),  # new order
    st.integers(99, 103),
    st.integers(0, 4),
    st.sampled_from([1, 1, 1, 2]),
    st.sampled_from([1, 1, 1, 1, 2, 2, 2, 3, 4, 5, 6, 8]),
    st.sampled_from([1, 2, 0]),
)
REQUEST = st.fixed_dictionaries(
    {
        "time_ns": st.integers(1, 60),
        "order_id": st.integers(1, 9),
        "new_order_id": st.integers(100, 10**6),
        "price": st.integers(99, 103),
        "qty": st.integers(1, 5),
        "world": st.integers(0, 1),
        "instrument": st.sampled_from([1, 1, 2]),
        "action": st.sampled_from([1, 1, 1, 2, 3]),
        "side": st.sampled_from([1, 2]),
        "tif": st.sampled_from([0, 0, 1, 2]),
        "after": st.sampled_from([-1, -1, -1, 0, 5]),
    }
)


@pytest.mark.rust
@given(st.lists(EVENT, min_size=1, max_size=60), st.lists(REQUEST, max_size=14), st.booleans(), st.randoms())
def test_both_simulators_give_identical_fills(rows: list, asked: list, parted: bool, random: object) -> None:
    clock = np.cumsum([row[0] for row in rows])
    events = np.array([(int(ts), *row[1:]) for ts, row in zip(clock, rows, strict=True)], hftlab.EVENT_DTYPE)
    ends = np.array([random.random() < 0.6 for _ in rows]) if parted else None  # type: ignore[attr-defined]
    feed = hftlab.EventFeed(events, event_end=ends)
    known: set[tuple[int, int]] = set()
    sent = []
    for row in asked:  # an id comes once
        own = (row["world"], row["new_order_id"] if row["action"] == 3 else row["order_id"])
        if row["action"] == 2 or own not in known:
            sent.append(row)
            known |= {own} if row["action"] != 2 else set()
    python, rust = (simulate(feed, requests(sent), backend=name) for name in ("python", "rust"))
    assert python.fills.tolist() == rust.fills.tolist()
    assert python.orders.tolist() == rust.orders.tolist()
    conserved(python.orders)


def conserved(orders: np.ndarray) -> None:
    """Every share of every order is filled, traded through, canceled or expired, once."""
    parts = sum(orders[name].astype(np.int64) for name in ("filled", "through", "canceled", "expired"))
    assert parts.tolist() == orders["qty"].tolist() if len(orders) else True
    assert (orders["state"] != State.LIVE).all()


def busy(seed: int, messages: int = 20_000, every: int = 25) -> tuple[hftlab.Feed, np.ndarray]:
    """A generated feed, and orders of ours at its touch."""
    feed = hftlab.synthetic("calm", messages, seed)
    touch = hftlab.Engine("python", until="book").run(feed, record="top").columns
    rows = [
        {
            "time_ns": int(touch["ts_ns"][at]),
            "order_id": number,
            "instrument": 1,
            "side": side,
            "price": int(touch[name][at]),
            "qty": 100,
            "tif": number % 3,
        }
        for number, (at, side, name) in enumerate(
            (at, *each) for at in range(50, len(touch["ts_ns"]), every) for each in ((1, "bid_price"), (2, "ask_price"))
        )
    ]
    return feed, requests(rows)


@pytest.mark.rust
@pytest.mark.parametrize("seed", [1, 2])
def test_a_generated_day_is_filled_alike(seed: int) -> None:
    feed, sent = busy(seed)
    python, rust = (simulate(feed, sent, backend=name) for name in ("python", "rust"))
    assert len(python.fills) > 100
    assert python.fills.tobytes() == rust.fills.tobytes()
    assert python.orders.tobytes() == rust.orders.tobytes()
    conserved(python.orders)
    account = python.account(fees=hftlab.fills.accounts.SCHEDULES["us-maker-taker"])
    account.reconcile(python.fills)


def test_worlds_know_nothing_of_each_other(backend: str) -> None:
    rows = [(1, 1, 0, 101, 3, 1, Kind.ADD, Side.ASK), (2, 0, 0, 0, 0, 0, Kind.OTHER, 0)]
    feed = hftlab.EventFeed(np.array(rows, hftlab.EVENT_DTYPE))
    take = {"order_id": 1, "after": 0, "instrument": 1, "side": 1, "price": 101, "qty": 3, "tif": TimeInForce.IOC}
    run = simulate(feed, requests([{**take, "world": world} for world in range(3)]), backend=backend)
    assert run.fills["qty"].tolist() == [3, 3, 3]
    assert run.frame()["reason"].to_list() == ["take"] * 3


def test_a_request_comes_after_every_message_of_its_time(backend: str) -> None:
    rows = [(5, order, 0, 100, 1, 1, Kind.ADD, Side.BID) for order in (1, 2)] + [(6, 2, 0, 0, 1, 1, Kind.EXECUTE, 0)]
    feed = hftlab.EventFeed(np.array(rows, hftlab.EVENT_DTYPE))
    order = {"order_id": 1, "time_ns": 5, "instrument": 1, "side": 1, "price": 100, "qty": 1}
    assert not len(simulate(feed, requests([order]), backend=backend).fills)
    fills = simulate(feed, requests([{**order, "after": 0}]), backend=backend).fills
    assert fills[["index", "maker", "reason"]].tolist() == [(2, 2, int(Reason.QUEUE))]


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ({"qty": 0}, "request 0: qty must be at least 1, got 0"),
        ({"side": 3}, "request 0: side must be 1 (bid) or 2 (ask), got 3"),
        ({"action": 9}, "request 0: action must be 1 (enter), 2 (cancel) or 3 (replace), got 9"),
        ({"tif": 7}, "request 0: tif must be 0 (rest), 1 (IOC) or 2 (post only), got 7"),
        ({"qty": -1}, "request 0: qty must fit <u4, got -1"),
        ({"nonsense": 1}, "request 0: field must be one of time_ns, "),
    ],
)
def test_what_cannot_be_asked_for_is_named(row: dict[str, int], error: str) -> None:
    with pytest.raises(ConfigError) as raised:
        requests([{"order_id": 1, "side": 1, "price": 100, "qty": 1, **row}])
    assert str(raised.value).startswith(error)


def test_an_id_is_used_once_in_a_world() -> None:
    order = {"order_id": 1, "side": 1, "price": 100, "qty": 1}
    assert len(requests([order, {**order, "world": 1}])) == 2
    with pytest.raises(ConfigError, match="request 1: order_id must be used once in a world, got 1"):
        requests([order, order])


def test_price_levels_have_no_queue() -> None:
    feed = hftlab.EventFeed(np.zeros(1, hftlab.EVENT_DTYPE))
    feed.by_order = False
    with pytest.raises(HftlabError, match=r"a feed of orders \(L3\), got one of price levels \(L2\)"):
        simulate(feed, requests([]))


def test_planted_bugs_are_caught_by_name() -> None:
    from planted_fills import BUGS

    for planted, name in BUGS:
        assert name in run_checks(**planted), f"{planted} is not caught by {name}"


def test_a_cancel_of_what_is_over_is_too_late(backend: str) -> None:
    feed, _ = busy(3, 1_000)
    enter = {"order_id": 1, "time_ns": 1, "instrument": 1, "side": 1, "price": 1, "qty": 1}
    later = [{"order_id": 1, "time_ns": at, "action": Action.CANCEL} for at in (2, 3)]
    replace = {"order_id": 1, "new_order_id": 2, "time_ns": 4, "action": Action.REPLACE, "price": 1, "qty": 1}
    run = simulate(feed, requests([enter, *later, replace]), backend=backend)
    assert run.orders[["state", "canceled"]].tolist() == [(State.CANCELED, 1), (State.CANCELED, 1)]
