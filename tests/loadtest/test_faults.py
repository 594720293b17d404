"""Is every fault survived, do days drawn by seeds find what is planted, and is the same seed the same day?"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from planted_stress import check_result

from hftlab import net
from hftlab.cli.main import main
from hftlab.engine.engine import Engine
from hftlab.loadtest import run_seeds
from hftlab.loadtest.faults import fault_result
from hftlab.loadtest.faults.day import ACCOUNTS, EAGER, SHORT_EXCHANGE, Day, Plan
from hftlab.loadtest.faults.result import FaultReport, FaultResult
from hftlab.loadtest.faults.seeds import draw, shortest
from hftlab.loadtest.faults.steps import Step
from hftlab.loadtest.faults.table import fault_table
from hftlab.measurement.machine import fingerprint
from hftlab.net.exchange import audit
from hftlab.net.trader.feed import FeedState, WaitingTime
from hftlab.net.trader.gates import HoldReason, TradingGates
from hftlab.net.trader.gateway import Gateway
from hftlab.net.trader.order_manager import OrderManager
from hftlab.net.trader.order_records import OrderState
from hftlab.net.trader.process import ATTENTION
from hftlab.protocols import ouch

EVERY = {fault.name: fault for fault in fault_table()}
PYTHON = Engine("python", **EAGER)
SHORT = 900  # messages


def run(name: str, tamper: Callable[[Day], None] = lambda _: None, engine: Any = PYTHON, seed: int = 1) -> FaultResult:
    fault = replace(EVERY[name], messages=SHORT)
    return fault_result(fault, fault.run(engine, seed, tamper), "python")


@pytest.fixture(scope="module")
def rust() -> Engine:
    return Engine("rust", **EAGER)


@pytest.mark.parametrize("name", EVERY)
def test_every_fault_is_survived(name: str) -> None:
    assert run(name).failures == ()


@pytest.mark.rust
@pytest.mark.parametrize("name", ["nothing", "packet loss", "lost for good", "TCP reset in an order", "exchange restart"])
def test_both_engines_go_through_it_in_the_same_way(name: str, rust: Engine) -> None:
    assert run(name, engine=rust) == run(name)


def test_a_seed_gives_the_same_day_bit_for_bit_and_another_one_another() -> None:
    """Also in another process, whose sets and dictionaries of text are in another order."""
    assert run("packet loss", seed=4) == run("packet loss", seed=4) != run("packet loss", seed=5)
    code = (
        "from hftlab.engine.engine import Engine; from hftlab.loadtest.faults.day import EAGER, Day;"
        "from hftlab.loadtest.faults.seeds import draw; engine = Engine('python', **EAGER);"
        "print([Day(draw(seed), engine).run().network.trace for seed in range(8)])"
    )
    traces = [Day(draw(seed), PYTHON).run().network.trace for seed in range(8)]
    for hashes in ("1", "2"):
        run_in = {**os.environ, "PYTHONHASHSEED": hashes}
        out = subprocess.run([sys.executable, "-c", code], env=run_in, check=True, capture_output=True, text=True).stdout
        assert json.loads(out) == traces
    assert len(set(traces)) == 8


# Days drawn by seeds ------------------------------------------------------------------------------------------------------------


def test_days_drawn_by_seeds_are_survived() -> None:
    report = run_seeds(SEEDS, engines=["python"])
    assert report.failures == []
    assert report.seeds == SEEDS
    assert set(report.kinds) >= {"lose", "delay", "cut", "stall", "pause", "crash", "change", "end", "full", "clock", "forget"}


SEEDS = int(os.environ.get("HFTLAB_SEEDS", "1000"))


@pytest.mark.rust
def test_both_engines_have_the_same_days(rust: Engine) -> None:
    for seed in range(40):
        python, other = (Day(draw(seed), engine).run() for engine in (PYTHON, rust))
        assert (other.failures, other.network.trace) == ([], python.network.trace)


def counts_fills_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that has ended in order is taken up again, heard from its first message, and every fill of it counted."""

    class Forgetful(dict[Any, Any]):
        def __contains__(self, fill: object) -> bool:
            return False

    before, lines = OrderManager.__init__, audit.read_log

    def forgetful(self: OrderManager, *given: Any) -> None:
        before(self, *given)
        self._fills = Forgetful()

    def endless(log: Any) -> Iterator[dict[str, Any]]:
        return (line for line in lines(log) if line.get("phase") != "closing")

    on_event = Gateway._on_event

    def hears_again(self: Gateway, *given: Any) -> Any:
        self._heard = ("", 0)
        return on_event(self, *given)

    monkeypatch.setattr(Gateway, "_on_event", hears_again)
    monkeypatch.setattr(OrderManager, "__init__", forgetful)
    monkeypatch.setattr(audit, "read_log", endless)


def does_not_know_how_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WaitingTime, "read", lambda self, stamp_ns: (self.system.clock(), 0))


def leaves_with_the_feed(monkeypatch: pytest.MonkeyPatch) -> None:
    over = TradingGates.is_over
    monkeypatch.setattr(TradingGates, "is_over", lambda self, now_ns, **_: over(self, now_ns, open_orders=False))


def ignores_missed_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = TradingGates.reason

    def without(self: TradingGates, *given: Any, **more: Any) -> HoldReason | None:
        missed, self.gateway.client.missed = self.gateway.client.missed, []
        try:
            return reason(self, *given, **more)
        finally:
            self.gateway.client.missed = missed

    monkeypatch.setattr(TradingGates, "reason", without)


def starts_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trader that fails, comes back and meets another session."""
    monkeypatch.setattr("hftlab.net.trader.trader.read_past", lambda *_: {})


@pytest.mark.parametrize(
    ("plant", "seeds", "words"),
    [
        (counts_fills_again, range(600), "by the exchange it is"),
        (does_not_know_how_old, range(300), "left on a message that had waited for"),
        (leaves_with_the_feed, range(300), "went home without learning what became of order"),
        (ignores_missed_messages, range(600), "left while order messages of the exchange were missing"),
        (starts_flat, range(500, 700), "the position in"),
    ],
)
def test_what_is_planted_is_found_by_seeds_and_cut_down_to_its_cause(
    plant: Callable[[pytest.MonkeyPatch], None], seeds: range, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    days = (Day(draw(seed), PYTHON).run() for seed in seeds)
    day = next(day for day in days if any(words in failure for failure in day.failures))
    short = shortest(day.plan, PYTHON)
    again = [Day(short, PYTHON).run() for _ in range(2)]
    assert len(short.steps) <= min(3, len(day.plan.steps))
    assert again[0].failures == again[1].failures != []
    assert again[0].network.trace == again[1].network.trace
    monkeypatch.undo()
    assert Day(short, PYTHON).run().failures == []


def test_a_day_is_cut_down_to_the_steps_it_needs() -> None:
    steps = tuple(Step(20_000 + 100 * n, kind, "A", 5_000) for n, kind in enumerate(("lose", "delay", "repeat", "flip") * 4))
    plan = Plan(steps=steps)

    def needs_two(day: Day) -> bool:
        kinds = [step.kind for step in day.plan.steps]
        return "flip" in kinds and "repeat" in kinds

    short = shortest(plan, PYTHON, needs_two)
    assert sorted(step.kind for step in short.steps) == ["flip", "repeat"]
    assert short.messages == 10
    assert "   21.400 ms  datagrams on A come twice for 5 ms" in map(str, short.steps)


# What is wrong in a day is found ------------------------------------------------------------------------------------------------


def replaced(place: object, name: str, by: Callable[..., Any]) -> None:
    """`by` gets what was there, and then what that was called with."""
    before = getattr(place, name)
    setattr(place, name, lambda *given, **more: by(before, *given, **more))


def sends_again(day: Day, *, under_a_new_number: bool) -> None:
    """After a login, orders that never arrived are sent once more."""
    trader: Any = day.trader

    def resynced(before: Callable[..., None], next_ref: int) -> None:
        before(next_ref)
        for order in [one for one in trader.orders.by_ref.values() if one.state is OrderState.LOST][:1]:
            ref = trader.live.next_order_id if under_a_new_number else order.ref
            raw = ouch.EnterOrder(ref, "B" if order.sign > 0 else "S", order.quantity, order.symbol, order.price, "3").encode()
            trader.live.set_next_order_id(ref + 1)
            trader.orders.sent(raw)
            trader.gateway.send(raw, trader.clock())

    replaced(trader.orders, "resynced", resynced)


def misses_a_message(day: Day) -> None:
    numbers = iter(range(10_000))
    live = day.trader.live  # type: ignore[union-attr]
    replaced(live, "feed", lambda before, blocks: [] if next(numbers) in range(500, 530) else before(blocks))


def trades_while_stale(day: Day) -> None:
    replaced(day.trader, "_hold", lambda before, why: before(None if why is HoldReason.FEED_GAP else why))


def never_trades_again(day: Day) -> None:
    late = lambda: day.network.now - day.started_ns > 100_000_000  # noqa: E731
    replaced(day.trader, "_hold", lambda before, why: before(why or (HoldReason.STARTING if late() else None)))


def forgets_orders(day: Day) -> None:
    orders = day.trader.orders  # type: ignore[union-attr]

    def disconnected(before: Callable[[], None]) -> None:
        before()
        for ref in [ref for ref, order in orders.by_ref.items() if order.state is OrderState.SENT]:
            del orders.by_ref[ref]

    replaced(orders, "disconnected", disconnected)


def does_not_say_that_orders_are_lost(day: Day) -> None:
    trader: Any = day.trader

    def resynced(_: Callable[..., None], next_ref: int) -> None:
        trader.live.set_next_order_id(next_ref or 1)
        for order in trader.orders.open:
            order.left = 0

    replaced(trader.orders, "resynced", resynced)


def counts_fills_twice(day: Day) -> None:
    def move(before: Callable[..., None], *given: Any) -> None:
        before(*given)
        before(*given)

    replaced(day.trader.orders, "_move", move)  # type: ignore[union-attr]


def tells_the_engine_nothing(day: Day) -> None:
    replaced(day.trader.live, "on_report", lambda _, *given: True)  # type: ignore[union-attr]


def accepts_twice(day: Day) -> None:
    matcher = day.exchange.matcher  # type: ignore[union-attr]

    def inbound(before: Callable[..., list[Any]], account: str, message: Any, now_ns: int) -> list[Any]:
        words = before(account, message, now_ns)
        if isinstance(message, ouch.EnterOrder):
            matcher.store.accounts[account].next_ref = message.user_ref
            words += before(account, message, now_ns)
        return words

    replaced(matcher, "inbound", inbound)


def dies(day: Day) -> None:
    def poll(before: Callable[..., bool], timeout: float) -> bool:
        if day.network.now - day.started_ns > 100_000_000:
            raise ZeroDivisionError("planted")
        return before(timeout)

    replaced(day.trader, "poll", poll)


def writes_its_password(day: Day) -> None:
    day.trader.journal.line(0, "note", messages=0, text=ACCOUNTS["TRADER"])  # type: ignore[union-attr]


def has_no_faults(day: Day) -> None:
    for link in day.network.links.values():
        link.carry = lambda data: [(0, data)]  # type: ignore[method-assign]


PLANTED: dict[str, tuple[Callable[[Day], None], str, str]] = {
    "sends again": (lambda day: sends_again(day, under_a_new_number=False), "TCP reset in an order", "sent twice"),
    "sends again, new number": (
        lambda day: sends_again(day, under_a_new_number=True), "TCP reset in an order", "left on a message that had waited",
    ),
    "misses a message": (misses_a_message, "nothing", "a book that is not the true one"),
    "trades while stale": (trades_while_stale, "reordering", "had to wait for one that was missing"),
    "trades in a gap": (trades_while_stale, "packet loss", "was missing"),
    "never trades again": (never_trades_again, "nothing", "it never traded again"),
    "forgets orders": (forgets_orders, "TCP reset in an order", "has forgotten it"),
    "does not say what is lost": (does_not_say_that_orders_are_lost, "TCP reset in an order", "without a report"),
    "counts fills twice": (counts_fills_twice, "nothing", "by the exchange it is"),
    "tells the engine nothing": (tells_the_engine_nothing, "nothing", "the engine holds"),
    "accepts twice": (accepts_twice, "nothing", "was accepted 2 times"),
    "dies": (dies, "line A dead", "it died: ZeroDivisionError: planted"),
    "writes its password": (writes_its_password, "nothing", "a password can be read"),
    "has no faults": (has_no_faults, "reordering", "the fault did not happen"),
}  # fmt: skip


@pytest.mark.parametrize(("tamper", "name", "words"), PLANTED.values(), ids=PLANTED)
def test_what_is_planted_makes_the_row_fail(tamper: Callable[[Day], None], name: str, words: str) -> None:
    row = run(name, tamper)
    assert row.verdict == "FAILED"
    assert any(words in sentence for sentence in row.failures), row.failures
    assert row.outcome == row.failures[0]


def test_a_trader_with_nobody_to_ask_stays_out_after_a_message_that_cannot_be_read() -> None:
    """The books are wrong for good: also after the connection was lost and is back."""
    ask = lambda before, state: before(state) if state is FeedState.SESSION else None  # noqa: E731
    day = Day(
        Plan(steps=(Step(24_000, "garble", "AB", 5_000), Step(26_000, "break")), settle_us=300_000),
        PYTHON,
        lambda day: replaced(day.trader, "_restart", ask),
    ).run()
    assert day.failures == []
    assert day.counts["logins"] == 2
    assert day.watch.recovered_ms is None
    assert HoldReason.FEED_UNREADABLE in day.watch.reasons


@pytest.mark.parametrize(
    ("name", "attention"), [("no acknowledgements", "unacknowledged"), ("too many rejects", "too_many_rejects")]
)
def test_a_breaker_that_has_opened_wants_attention(name: str, attention: str) -> None:
    day = replace(EVERY[name], messages=SHORT).run(PYTHON, 1)
    assert day.last is not None
    assert day.last.attention()[attention] >= 1
    assert attention in ATTENTION


def test_nothing_is_traded_again_before_everything_is_back_that_had_been_heard_of() -> None:
    """The session is requested again from its first message, of an exchange that has failed and publishes it once more."""
    steps = (Step(21_945, "garble", "AB", 20_176), Step(24_147, "crash", "exchange", 2_546))
    day = Day(Plan(8421, 6, messages=20, settle_us=0, steps=steps, exchange={**SHORT_EXCHANGE, "batch": True}), PYTHON).run()
    assert (day.failures, day.last is not None and day.last.restarts) == ([], 1)


# Around it ----------------------------------------------------------------------------------------------------------------------


def test_the_wall_clock_is_read_for_stamps_alone() -> None:
    """Nothing under hftlab/net asks for the time of day but what is written down, the name of a session, and `System`."""
    found = set()
    for path in Path(net.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("time", "time_ns", "now", "utcnow", "localtime", "today"):
                name = getattr(node.value, "id", "")
                if name in ("time", "datetime", "date"):
                    found.add((path.stem, f"{name}.{node.attr}"))
    stamped = {(name, "time.time_ns") for name in ("audit", "capture", "endpoints", "settings")}
    assert found - {("process", "time.time"), ("status", "time.time")} == stamped


def test_the_command_prints_the_table_and_its_exit_code_says_whether_all_is_well(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = ["faults", "reordering", "--engine", "python"]
    assert main([*words, "--out", str(tmp_path / "report.json")]) == 0
    assert "1 of 1 faults survived, seed 1" in capsys.readouterr().out
    assert json.loads((tmp_path / "report.json").read_text())["summary"][0]["verdict"] == "ok"
    reason = TradingGates.reason  # a trader that knows no gap

    def never_a_gap(*given: Any, **more: Any) -> HoldReason | None:
        return None if (why := reason(*given, **more)) is HoldReason.FEED_GAP else why

    monkeypatch.setattr(TradingGates, "reason", never_a_gap)
    assert main([*words, "--json"]) == 1
    payload = json.loads(capsys.readouterr().out)
    assert (payload["schema"], payload["verdict"]) == (FaultReport.schema, "FAILED")
    assert "was missing" in payload["failures"][0]
    first = next(seed for seed in range(300) if Day(draw(seed), PYTHON).run().failures)
    assert main(["faults", "--seeds", "1", "--first", str(first), "--engine", "python", "--workers", "2"]) == 1
    printed = capsys.readouterr().out
    assert f"1 seeds from {first} on, python: 1 FAILED" in printed
    assert "the shortest day that fails in the same way" in printed
    assert main(["faults", "plague"]) == 2
    assert "unknown fault 'plague'; known: nothing, packet loss" in capsys.readouterr().err


def test_a_report_has_a_row_per_fault() -> None:
    rows = (
        FaultResult("a", "python", "how", {"gaps": 3, "its_orders": 1_000}, 1.5, "fine"),
        FaultResult("c", "rust", "how", {}, None, "worse", ("worse", "bad")),
    )
    report = FaultReport(7, rows, fingerprint(), interrupted=True)
    assert report.headline() == "1 of 2 faults survived, seed 7: FAILED, interrupted"
    assert report.notes()[:-1] == ["c, rust: worse", "c, rust: bad"]
    assert report.frame()["seen"].to_list() == ["gaps 3, its orders 1,000", "-"]
    assert FaultReport(1, (), {}).frame().is_empty()
    check_result(report)
    check_result(run_seeds(10, engines=["python"]))
