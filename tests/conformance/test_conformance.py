"""Does the conformance suite let right engines through, and find what is wrong with the others, by the check meant for it?"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hftlab
from hftlab import conformance
from hftlab.cli.main import main
from hftlab.conformance.contract import REASONS
from hftlab.conformance.pytest_suite import Conformance
from hftlab.conformance.suite import select
from hftlab.engine.python import PythonBackend, PythonSession
from hftlab.errors import ConfigError, UnknownName
from hftlab.events import Kind
from hftlab.settings import Settings
from hftlab.stages.book import Book
from hftlab.stages.order import OrderEntry
from hftlab.stages.signal import Signal

ROOT = Path(__file__).resolve().parents[2]
BOOK = f"{ROOT / 'examples' / 'sortedcontainers_book.py'}:SortedBook"


class TestPython(Conformance):
    """Every number that stands in the suite's cases is checked of the reference here."""

    backend = "python"


@pytest.mark.rust
class TestRust(Conformance):
    backend = "rust"


@pytest.mark.rust
class TestNaiveRust(Conformance):
    @classmethod
    def setup_class(cls) -> None:
        cls.backend = hftlab.Engine("rust", book="btree", orders="std", pool=False, signal="recompute")
        super().setup_class()


class LosesPriority(Book):
    """A replace at its own price stays where it was."""

    def apply(self, kind: int, instrument: int, side: int, order_id: int, new_order_id: int, price: int, qty: int) -> int:
        before = self.locate(order_id)
        queue = [] if before is None else self.queue(*before[:3])
        answer = super().apply(kind, instrument, side, order_id, new_order_id, price, qty)
        if kind == Kind.REPLACE and answer > 0 and before and before[2] == price and len(queue) > 1:
            renamed = [(new_order_id, qty) if number == order_id else (number, left) for number, left in queue]
            self.orders[new_order_id].queue = dict(renamed)
        return answer


class FallsBack(Book):
    """What is left of an order after a partial cancel or execution goes to the end of the queue."""

    def apply(self, kind: int, instrument: int, side: int, order_id: int, *more: int) -> int:
        answer = super().apply(kind, instrument, side, order_id, *more)
        if kind in (Kind.CANCEL, Kind.EXECUTE) and answer > 0 and order_id in self.orders:
            queue = self.orders[order_id].queue
            queue[order_id] = queue.pop(order_id)
        return answer


class ForgetsCooldown(OrderEntry):
    """Only an accepted order starts the cooldown."""

    def update(self, index: int, ts_ns: int, instrument: int, top: tuple[int, int, int, int], score: float) -> None:
        sent = len(self.orders)
        super().update(index, ts_ns, instrument, top, score)
        if len(self.orders) == sent and self._state(instrument).wait == self.cooldown:
            self._state(instrument).wait = 0


class MiscountsAFault(PythonSession):
    """Takes a wrong instrument for an unknown order."""

    def _fault(self, index: int, reason: int, event: tuple[int, ...]) -> bool:
        return super()._fault(index, hftlab.Fault.UNKNOWN_ORDER if reason == hftlab.Fault.WRONG_INSTRUMENT else reason, event)


class LastBit(Signal):
    """The microprice of a fused multiply-add: right to the last bit but one."""

    def update(self, *arguments: object) -> tuple[float, ...]:
        values = list(super().update(*arguments))
        values[2] = math.nextafter(values[2], math.inf)
        return tuple(values)


class BreaksOnSplits(PythonSession):
    """Takes the rest of a block for nothing."""

    def push(self, data: bytes) -> tuple[int, object]:
        used, problem = super().push(data)
        return (used, problem) if problem else (len(data), None)


class Raises(PythonSession):
    """Does not like cancels."""

    def push_events(self, events: np.ndarray) -> object:
        if (events["kind"] == Kind.CANCEL).any():
            raise RuntimeError("no cancels here")
        return super().push_events(events)


class Panics(PythonSession):
    """Ends the interpreter, as a panic of an extension would."""

    def locate(self, order_id: int) -> object:
        raise SystemExit(f"locate {order_id}")


class Remembers(PythonSession):
    """Shares its counts with every other session."""

    shared: list[int] = [0] * 256

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self.counts = self.shared


class OwnTypes(PythonSession):
    """Gives the columns in types of its own."""

    def finish(self) -> dict[str, object]:
        result = super().finish()
        result["columns"]["bid_qty"] = result["columns"]["bid_qty"].astype(np.int64)
        return result


def sessions(kind: type[PythonSession]) -> PythonBackend:
    """A backend whose sessions are of this kind."""

    class Planted(PythonBackend):
        def session(self, settings: Settings) -> PythonSession:
            return kind(settings, self.stages)

    return Planted()


@pytest.mark.parametrize(
    ("candidate", "check", "text"),
    [
        (LosesPriority, "queue_position", "the queue must be"),
        (FallsBack, "queue_position", "the queue must be"),
        (hftlab.Engine("python", order=ForgetsCooldown), "cooldown_after_a_refusal", "rejects differs"),
        (sessions(MiscountsAFault), "refusals_of_execute", "first_faults differs"),
        (LastBit, "crossed_book", "microprice differs at message"),
        (sessions(BreaksOnSplits), "split_bytes", "it raised FeedError: two blocks, the first of 1 bytes: offset 1"),
        (sessions(Raises), "partial_fills", "it raised RuntimeError: no cancels here"),
        (sessions(Panics), "queries", "it raised SystemExit: locate 0"),
        (sessions(Remembers), "run_again", "counts differ"),
        (sessions(OwnTypes), "result_fields", "the dtype of columns.bid_qty must be"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else value if isinstance(value, str) else None,
)
def test_a_planted_bug_is_found_by_the_check_meant_for_it(candidate: object, check: str, text: str) -> None:
    report = conformance.engine(candidate, checks=[check, "nothing_at_all"], rounds=3)
    assert not report
    assert report[check].outcome == "failed"
    assert text in report[check].reason
    assert report.speed is None
    assert "an engine that differs is not timed" in report.notes()[-1]


def test_the_other_hand_made_checks_pass_it() -> None:
    names = {kind: f"refusals_of_{kind.name.lower()}" for kind in REASONS}
    report = conformance.engine(sessions(MiscountsAFault), checks=names.values(), rounds=0)
    failed = {result.name for result in report.results if result.outcome == "failed"}
    assert failed == {name for kind, name in names.items() if "wrong_instrument" in REASONS[kind]}
    assert conformance.engine(LosesPriority, checks=names.values(), rounds=0)


class EventsOnly:
    """A book and nothing else: no wire format, no stage after the book, no single events."""

    clock = "perf_counter_ns"
    event_layout, variants = PythonBackend.event_layout, PythonBackend.variants

    def session(self, settings: Settings) -> object:
        if settings.until not in ("tick", "book"):
            raise NotImplementedError("signals are not mine")
        inner = PythonSession(settings)

        class OnlyBook:
            messages = property(lambda _: inner.messages)
            push_events, finish, names, counters = inner.push_events, inner.finish, inner.names, inner.counters
            best, queue, locate = inner.best, inner.queue, inner.locate

            def push(self, data: bytes) -> object:
                raise NotImplementedError("no wire format")

        return OnlyBook()


def test_what_a_candidate_does_not_offer_is_skipped_and_said() -> None:
    report = conformance.engine(EventsOnly, rounds=3)
    assert report, str(report)
    skipped = {result.name: result.why for result in report.results if result.outcome == "skipped"}
    assert "its last stage is book (signals are not mine)" in skipped["limit_kill_switch"]
    assert "no wire format" in skipped["split_bytes"]
    assert "there is no such method" in skipped["one_event_at_a_time"]
    assert "it does not offer depth" in skipped["queries"]
    assert {"refusals_of_add", "replace", "result_fields", "random_markets", "edges_of_the_types"}.isdisjoint(skipped)
    assert report.speed is not None
    assert min(report.speed.ns, report.speed.base_ns) > 0
    assert report.count("passed") + report.count("skipped") == len({check.name for check in select()}) > 50


def test_an_engine_that_cannot_be_opened_is_a_failed_check() -> None:
    class Closed(PythonBackend):
        def session(self, settings: object) -> PythonSession:
            raise OSError("the card is not plugged in")

    report = conformance.engine(Closed())
    assert not report
    assert "it raised OSError: the card is not plugged in" in report["opens"].why


def test_what_is_no_engine_is_refused_before_anything_runs() -> None:
    with pytest.raises(ConfigError, match="backend 'object' lacks event_layout, variants, session"):
        conformance.engine(object())
    with pytest.raises(UnknownName, match="known: python, rust"):
        conformance.engine("fpga")
    with pytest.raises(UnknownName, match="unknown check 'luck'; known: refusals_of_add"):
        conformance.engine("python", checks=["luck"])
    with pytest.raises(ConfigError, match="rounds must be"):
        conformance.engine("python", rounds=-1)


def test_the_report_as_text_frame_and_dict() -> None:
    report = conformance.engine(LastBit, checks=["crossed_book", "nothing_at_all"])
    assert [table.title for table in report.tables()] == ["Checks", "After that message, * where they differ"]
    assert report.headline() == "python signal=LastBit DOES NOT CONFORM: 1 passed, 1 failed, 0 skipped"
    frame = report.frame()
    assert frame.columns == ["name", "question", "outcome", "why", "what", "index"]
    assert frame.row(0)[4:] == ("microprice", 1)
    answer = json.loads(json.dumps(report.to_dict()))
    assert (answer["engine"], answer["conforms"]) == ("python signal=LastBit", False)
    assert answer["checks"][0]["divergence"]["what"] == "microprice"
    with pytest.raises(UnknownName):
        report["luck"]


def test_conform_on_the_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["conformance", BOOK, "--json", "--rounds", "3"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["engine"], answer["conforms"]) == ("python book=SortedBook", True)
    assert answer["speed"]["ratio"]["median"] > 0
    wrong = tmp_path / "wrong_book.py"
    wrong.write_text(
        "from hftlab.stages.book import Book\n"
        "class Mine(Book):\n    def best(self, instrument): return (0, 0, 0, 0)\n"
        "class Part:\n    def depth(self, instrument): return []\n"
    )
    assert main(["conformance", f"{wrong}:Mine"]) == 1
    assert "DOES NOT CONFORM" in capsys.readouterr().out
    for given, text in {
        "fpga": "unknown backend 'fpga'",
        f"{wrong}:Yours": "has no 'Yours'; it has Book, Mine, Part",
        f"{tmp_path / 'none.py'}:Mine": "cannot be imported: FileNotFoundError",
        f"{wrong}:Part": "Part has neither the methods of a backend",
        f"book={wrong}:Part": "book stage Part lacks apply, best, depth_qty, queue, locate, memory; it must have",
    }.items():
        assert main(["conformance", given]) == 2
        assert text in capsys.readouterr().err


def test_the_class_to_inherit_fails_and_skips_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        "from hftlab.conformance.pytest_suite import Conformance\n"
        "from test_conformance import LastBit\n"
        "class TestMine(Conformance):\n    backend = LastBit\n"
        "class TestNone(Conformance):\n    pass\n"
    )
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "crossed_book", str(tmp_path)]
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}
    )
    assert "microprice differs at message 1: ADD id 2 ASK" in done.stdout, done.stdout + done.stderr
    assert "TestNone.backend must be" in done.stdout
    assert done.returncode == 1


def test_importing_the_suite_does_not_import_pytest() -> None:
    code = "import sys, hftlab.conformance; hftlab.conformance.engine; print('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"
