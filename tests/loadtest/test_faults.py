"""Is every fault survived, and would it be noticed if one was not?"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from planted_stress import check_result

from hftlab.cli.main import main
from hftlab.loadtest import inject_faults
from hftlab.loadtest.faults import fault_table, run_fault
from hftlab.loadtest.faults.result import FaultReport, FaultResult, Verdict
from hftlab.loadtest.faults.testbed import ACCOUNTS, TestBed
from hftlab.measurement.machine import fingerprint
from hftlab.net.trader.feed import FeedState
from hftlab.net.trader.gates import HoldReason, TradingGates
from hftlab.net.trader.order_manager import OrderState
from hftlab.protocols import ouch

EVERY = {fault.name: fault for fault in fault_table()}
SHORT = 900  # messages
assert len(EVERY) == 29
ON_BOTH = ("nothing", "packet loss", "lost for good", "TCP reset in an order", "exchange restart", "unreadable message")
TAKE_TURNS = [(name, ("python", "rust")[number % 2]) for number, name in enumerate(EVERY) if name not in ON_BOTH]


def run(name: str, engine: str = "python", messages: int = 1_500, **more: Any) -> FaultResult:
    return run_fault(replace(EVERY[name], messages=messages), engine, label=engine, **more)


@pytest.mark.parametrize(
    ("name", "engine"), [pytest.param(*one, marks=[pytest.mark.rust] if one[1] == "rust" else []) for one in TAKE_TURNS]
)
def test_every_fault_is_survived(name: str, engine: str) -> None:
    row = run(name, engine, SHORT)
    if row.verdict == "skipped":
        pytest.skip(row.outcome)
    assert (row.verdict, row.failures) == ("ok", ())


@pytest.mark.rust
@pytest.mark.parametrize("name", ON_BOTH)
def test_both_engines_go_through_it_in_the_same_way(name: str) -> None:
    python, rust = (run(name, engine, SHORT) for engine in ("python", "rust"))
    assert (python.verdict, python.failures) == ("ok", ())
    assert (rust.seen, rust.recovered_ms, rust.outcome, rust.failures) == (python.seen, python.recovered_ms, python.outcome, ())


def test_a_seed_gives_the_same_run_and_another_one_another() -> None:
    first, again, other = (run("packet loss", messages=SHORT, seed=seed) for seed in (4, 4, 5))
    assert first == again
    assert first.seen != other.seen
    assert other.verdict == "ok"


@pytest.mark.parametrize("name", ["both lines dead", "TCP reset in an answer"])
def test_it_is_survived_by_the_machine_s_clock_too(name: str) -> None:
    (row,) = inject_faults(["python"], [name], clock="machine", dead_s=0.2).results
    assert (row.verdict, row.failures) == ("ok", ())


# What is wrong is found ---------------------------------------------------------------------------------------------------------


def replaced(place: object, name: str, by: Callable[..., Any]) -> None:
    """`by` gets what was there, and then what that was called with."""
    before = getattr(place, name)
    setattr(place, name, lambda *given, **more: by(before, *given, **more))


def sends_again(bed: TestBed, *, under_a_new_number: bool) -> None:
    """After a login, orders that never arrived are sent once more."""
    trader = bed.trader

    def resynced(before: Callable[..., None], next_ref: int) -> None:
        before(next_ref)
        for order in [one for one in trader.orders.by_ref.values() if one.state is OrderState.LOST][:1]:
            ref = trader.live.next_order_id if under_a_new_number else order.ref
            raw = ouch.EnterOrder(ref, "B" if order.sign > 0 else "S", order.quantity, order.symbol, order.price, "3").encode()
            trader.live.set_next_order_id(ref + 1)
            trader.orders.sent(raw)
            trader.gateway.send(raw, bed.clock())

    replaced(trader.orders, "resynced", resynced)


def misses_a_message(bed: TestBed) -> None:
    numbers = iter(range(10_000))
    replaced(bed.trader.live, "feed", lambda before, blocks: [] if next(numbers) in range(1_400, 1_430) else before(blocks))


def trades_while_stale(bed: TestBed) -> None:
    replaced(bed.trader, "_hold", lambda before, why: before(None if why is HoldReason.FEED_GAP else why))


def never_trades_again(bed: TestBed) -> None:
    replaced(
        bed.trader,
        "_hold",
        lambda before, why: before(why or (None if bed.exchange.publisher.next < 1_450 else HoldReason.STARTING)),
    )


def forgets_orders(bed: TestBed) -> None:
    def disconnected(before: Callable[[], None]) -> None:
        before()
        orders = bed.trader.orders.by_ref
        for ref in [ref for ref, order in orders.items() if order.state is OrderState.SENT]:
            del orders[ref]

    replaced(bed.trader.orders, "disconnected", disconnected)


def does_not_say_that_orders_are_lost(bed: TestBed) -> None:
    def resynced(_: Callable[..., None], next_ref: int) -> None:
        bed.trader.live.set_next_order_id(next_ref or 1)
        for order in bed.trader.orders.open:
            order.left = 0

    replaced(bed.trader.orders, "resynced", resynced)


def counts_fills_twice(bed: TestBed) -> None:
    def move(before: Callable[..., None], *given: Any) -> None:
        before(*given)
        before(*given)

    replaced(bed.trader.orders, "_move", move)


def tells_the_engine_nothing(bed: TestBed) -> None:
    replaced(bed.trader.live, "on_report", lambda _, *given: True)


def accepts_twice(bed: TestBed) -> None:
    matcher = bed.exchange.matcher

    def inbound(before: Callable[..., list[Any]], account: str, message: Any, now_ns: int) -> list[Any]:
        said = before(account, message, now_ns)
        if isinstance(message, ouch.EnterOrder):
            matcher.store.accounts[account].next_ref = message.user_ref
            said += before(account, message, now_ns)
        return said

    replaced(matcher, "inbound", inbound)


def dies(bed: TestBed) -> None:
    def poll(before: Callable[..., bool], timeout: float) -> bool:
        if bed.exchange.publisher.next > 600:
            raise ZeroDivisionError("planted")
        return before(timeout)

    replaced(bed.trader, "poll", poll)


def writes_its_password(bed: TestBed) -> None:
    bed.trader.journal.line(0, "note", messages=0, text=ACCOUNTS["TRADER"])


def has_no_faults(bed: TestBed) -> None:
    for line in bed.exchange.lines.values():
        line._plain = True


PLANTED: dict[str, tuple[Callable[[TestBed], None], str, str]] = {
    "sends again": (lambda bed: sends_again(bed, under_a_new_number=False), "TCP reset in an order", "sent twice"),
    "sends again, new number": (
        lambda bed: sends_again(bed, under_a_new_number=True), "TCP reset in an order", "without a decision of the engine",
    ),
    "misses a message": (misses_a_message, "nothing", "the book of"),
    "trades while stale": (trades_while_stale, "reordering", "had to wait for one that was missing"),
    "trades in a gap": (trades_while_stale, "packet loss", "was missing"),
    "never trades again": (never_trades_again, "nothing", "the trader has everything and trades"),
    "forgets orders": (forgets_orders, "TCP reset in an order", "has forgotten it"),
    "does not say what is lost": (does_not_say_that_orders_are_lost, "TCP reset in an order", "without a report"),
    "counts fills twice": (counts_fills_twice, "nothing", "by the exchange it is"),
    "tells the engine nothing": (tells_the_engine_nothing, "nothing", "the engine holds"),
    "accepts twice": (accepts_twice, "nothing", "was accepted 2 times"),
    "dies": (dies, "line A dead", "it died: ZeroDivisionError: planted"),
    "writes its password": (writes_its_password, "nothing", "a password can be read"),
    "has no faults": (has_no_faults, "reordering", "the fault did not happen"),
}  # fmt: skip


@pytest.mark.parametrize(("tamper", "name", "said"), PLANTED.values(), ids=PLANTED)
def test_what_is_planted_makes_the_row_fail(tamper: Callable[[TestBed], None], name: str, said: str) -> None:
    row = run(name, tamper=tamper)
    assert row.verdict == "FAILED"
    assert any(said in sentence for sentence in row.failures), row.failures
    assert row.outcome == row.failures[0]


def test_what_is_left_open_is_found() -> None:
    left: list[socket.socket] = []
    row = run("nothing", tamper=lambda _: left.append(socket.socket()))
    left[0].close()
    assert row.failures == ("1 files or sockets were left open",)


def test_a_trader_with_nobody_to_ask_stays_out_after_a_message_that_cannot_be_read() -> None:
    """The books are wrong for good: also after the connection was lost and is back."""
    seen: list[Any] = []

    def ask_nobody(bed: TestBed) -> None:
        replaced(bed.trader, "_restart", lambda before, state: before(state) if state is FeedState.SESSION else None)

        def trades(before: Callable[[], None]) -> None:
            if not bed.seen["damaged"]:
                return before()
            bed.relay.reset()
            bed.until(lambda: bed.trader.gateway.counts["logins"] == 2 and bed.trader.gateway.ready, "it is back")
            sent = len(bed.recorder.sent)
            bed.publish()
            bed.run(50)
            seen.extend((bed.trader.held, f"{len(bed.recorder.sent) - sent} orders"))
            raise ZeroDivisionError

        replaced(bed, "trades", trades)

    run("unreadable message", tamper=ask_nobody)
    assert seen == [HoldReason.FEED_UNREADABLE, "0 orders"]


# Around it ----------------------------------------------------------------------------------------------------------------------


def test_the_wall_clock_is_read_for_stamps_alone() -> None:
    """Nothing under hftlab/net asks for the time of day but the audit log's stamp, the name of a session, and `System`."""
    import ast
    from pathlib import Path

    from hftlab import net

    found = set()
    for path in Path(net.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("time", "time_ns", "now", "utcnow", "localtime", "today"):
                name = getattr(node.value, "id", "")
                if name in ("time", "datetime", "date"):
                    found.add((path.stem, f"{name}.{node.attr}"))
    assert found == {("audit", "time.time_ns"), ("settings", "time.time_ns"), ("endpoints", "time.time_ns")}


def test_the_command_prints_the_table_and_its_exit_code_says_whether_all_is_well(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    words = ["faults", "reordering", "--engine", "python"]
    assert main([*words, "--out", str(tmp_path / "report.json")]) == 0
    printed = capsys.readouterr().out
    assert "1 of 1 faults survived, seed 1" in printed
    assert json.loads((tmp_path / "report.json").read_text())["results"][0]["verdict"] == "ok"
    reason = TradingGates.reason  # a trader that knows no gap

    def never_a_gap(*given: Any, **more: Any) -> HoldReason | None:
        return None if (why := reason(*given, **more)) is HoldReason.FEED_GAP else why

    monkeypatch.setattr(TradingGates, "reason", never_a_gap)
    assert main([*words, "--json"]) == 1
    payload = json.loads(capsys.readouterr().out)
    assert (payload["schema"], payload["verdict"]) == (FaultReport.schema, "FAILED")
    assert "was missing" in payload["failures"][0]
    assert main(["faults", "plague"]) == 2
    assert "unknown fault 'plague'; known: nothing, packet loss" in capsys.readouterr().err


def test_a_report_has_a_row_per_fault_and_what_could_not_be_tried() -> None:
    rows = (
        FaultResult("a", "python", "how", {"gaps": 3, "its_orders": 1_000}, 1.5, Verdict.OK, "fine"),
        FaultResult("b", "python", "how", {}, None, Verdict.SKIPPED, "no raw sockets"),
        FaultResult("c", "rust", "how", {}, None, Verdict.FAILED, "worse", ("worse", "bad")),
    )
    report = FaultReport(7, "own", rows, fingerprint(), interrupted=True)
    assert report.headline() == "1 of 2 faults survived, seed 7, ms by own clock: FAILED, interrupted"
    assert report.notes()[:-1] == ["not tried: b, python: no raw sockets", "c, rust: worse", "c, rust: bad"]
    assert report.frame()["seen"].to_list() == ["gaps 3, its orders 1,000", "-", "-"]
    assert FaultReport(1, "own", (), {}).frame().is_empty()
    check_result(report)
