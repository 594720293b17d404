"""Do the results of the engine show what they hold, as tables and as plain values? What does a run hold in memory, and does a
session read the bytes as they were when it was given them?"""

import json
import subprocess
import sys
from threading import Event, Thread

import numpy as np
import pytest

import hftlab
from hftlab.engine.verify import Divergence
from hftlab.presentation.result import to_json
from hftlab.stages.signal import Signal

FEED = hftlab.synthetic("burst", 2_000)


class Shifted(Signal):
    """A mid that is one unit too high."""

    def update(self, *arguments: object) -> tuple[float, ...]:
        values = super().update(*arguments)  # type: ignore[arg-type]
        return (values[0] + 1, *values[1:])


def test_a_run_in_a_table_and_in_numbers() -> None:
    run = hftlab.Engine("python").run(FEED)
    rows = dict(run.tables()[0].rows)
    assert list(rows)[:3] == ["variant", "messages", "ns per message"]
    assert rows["messages"] == "2,000"
    assert rows["orders sent"] == f"{run.order_count:,}" == f"{len(run.orders):,}"
    assert {"messages", "elapsed_ns", "ns_per_message", "faults", "counts", "backend", "variant"} <= set(run.to_dict())
    assert json.loads(to_json(run.to_dict()))["counts"]["ADD"] == run.counts["ADD"]
    assert run.headline() in run._repr_html_()


def test_a_verdict_shows_the_first_difference() -> None:
    same = hftlab.verify("python", "python", FEED)
    assert (bool(same), same.tables(), same.notes()) == (True, [], [])
    verdict = hftlab.verify("python", hftlab.Engine(signal=Shifted), FEED)
    divergence = verdict.divergence
    assert divergence is not None
    assert (bool(verdict), divergence.what) == (False, "mid")
    rows = {name: (a, b, mark) for name, a, b, mark in verdict.tables()[0].rows}
    assert [name for name, (_, _, mark) in rows.items() if mark] == ["mid"]
    assert float(rows["mid"][1]) == float(rows["mid"][0]) + 1
    assert len(verdict.notes()) == len(divergence.before) <= 8
    stored = verdict.to_dict()
    assert set(stored) == {"a", "b", "feed", "messages", "same", "divergence"}
    assert json.loads(to_json(stored))["divergence"]["index"] == divergence.index


@pytest.mark.parametrize("value", [np.nan, b"\xff", 7])
def test_a_divergence_is_plain_in_json(value: object) -> None:
    stored = Divergence("x", -1, "", {"x": value}, {"x": 1}).to_dict()
    assert json.loads(to_json(stored))["a"]["x"] == {np.nan: None, b"\xff": "ff", 7: 7}[value]


def test_a_feed_says_what_it_carries() -> None:
    rows = dict(FEED.tables()[0].rows)
    assert rows["carries"] == "framed ITCH 5.0"
    assert rows["symbols"].startswith("8: HLAAA")
    assert "framed ITCH 5.0" in FEED._repr_html_()


LONG = hftlab.synthetic("burst", 20_000)
DATA = b"".join(bytes(block) for block in LONG.blocks())
SYSTEM_EVENT = b"S" + bytes(11)


@pytest.mark.rust
def test_a_buffer_written_to_during_push_changes_nothing() -> None:
    buffer, end = bytearray(DATA), Event()

    def scribble() -> None:
        while not end.is_set():
            buffer[:] = bytes(len(buffer))
            buffer[:] = DATA

    writer = Thread(target=scribble)
    expected = hftlab.Engine("python").run(LONG, record="none")
    writer.start()
    try:
        outcomes = [_pushed(buffer) for _ in range(50)]
    finally:
        end.set()
        writer.join()
    whole = [outcome for outcome in outcomes if outcome is not None]
    assert whole
    assert all(counts == list(expected.counts.values()) for counts in whole)


def _pushed(buffer: bytearray) -> list[int] | None:
    """Counts by kind; None where the buffer was all zeros when push() began."""
    session = hftlab.Engine("rust").open()
    _, problem = session.push(buffer)
    return None if problem and problem[1] == 0 else list(session.finish()["counts"])


@pytest.mark.rust
def test_a_session_at_work_in_another_thread_refuses_and_goes_on() -> None:
    session, end, blocks = hftlab.Engine("rust").open(), Event(), []

    def work() -> None:
        while not end.is_set():
            blocks.append(session.push(DATA))

    def ask() -> None:
        while worker.is_alive():  # it lets go of the GIL while it works
            session.message(SYSTEM_EVENT)

    worker = Thread(target=work)
    worker.start()
    try:
        with pytest.raises(RuntimeError, match="another thread"):
            ask()
    finally:
        end.set()
        worker.join()
    assert blocks
    assert session.finish()["messages"] >= len(blocks) * 20_000


@pytest.mark.rust
@pytest.mark.parametrize(
    ("method", "argument", "error"),
    [
        ("message", bytearray(SYSTEM_EVENT), TypeError),
        ("message", b"S", ValueError),
        ("push", None, TypeError),
        ("push_events", b"", AttributeError),
    ],
)
def test_an_argument_of_another_kind_is_refused(method: str, argument: object, error: type[Exception]) -> None:
    session = hftlab.Engine("rust").open()
    with pytest.raises(error):
        getattr(session, method)(argument)
    assert session.message(SYSTEM_EVENT) == 0
    assert session.counters()["messages"] == 1


KEPT = """
import hftlab

feed = hftlab.EventFeed(hftlab.decode(hftlab.synthetic("calm", 60, 1))[50:], symbols=("", "A"))
engine = hftlab.Engine("rust")
rss = lambda: int(open("/proc/self/statm").read().split()[1]) * 4
runs = [engine.run(feed) for _ in range(10)]
before = rss()
runs += [engine.run(feed) for _ in range(100)]
print((rss() - before) / 100)
assert len(runs[0].book("A")) > 0
"""

LIMITED = """
import resource, sys
import hftlab

feed = hftlab.synthetic("market", 120_000, 1)
feed.head(10)
used = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[1]) * 2**20,) * 2)
try:
    print(hftlab.Engine("rust").run(feed, record=sys.argv[2]).messages)
except MemoryError as error:
    print("MemoryError:", error)
"""


def output(script: str, *words: str) -> str:
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: exit code {done.returncode}\n{done.stderr[-2000:]}"
    return done.stdout


@pytest.mark.rust
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_run_of_ten_messages_holds_little() -> None:
    assert float(output(KEPT)) < 300


@pytest.mark.rust
@pytest.mark.skipif(sys.platform != "linux", reason="sets a limit on addresses")
@pytest.mark.parametrize("mebibytes", [8, 24, 48, 64, 96, 400])
def test_where_memory_ends_a_run_says_what_it_asked_for(mebibytes: int) -> None:
    printed = output(LIMITED, str(mebibytes), "all" if mebibytes > 8 else "none")
    assert printed.startswith("MemoryError") if mebibytes < 24 else printed.startswith(("MemoryError", "120000"))
    if mebibytes == 400:
        assert printed.startswith("120000")
