"""Are exactly the slow messages named, with the right stage, and what stood in the feed there?"""

import json
from itertools import groupby, pairwise
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import jsonschema
import numpy as np
import pytest

import hftlab
from hftlab.engine.timing import Capture, Slowest
from hftlab.errors import ConfigError, FeedError
from hftlab.events import EVENT_DTYPE, Kind
from hftlab.experiments.slowest import SlowestMessages
from hftlab.experiments.trace import write_trace
from hftlab.measurement.machine import fingerprint
from hftlab.presentation.document import duration
from hftlab.stages.book import Book
from hftlab.stages.signal import Signal

FEED = hftlab.synthetic("calm", 2_000, 1)
_WHOLE, _TEXT, _TIME = {"type": "integer", "minimum": 0}, {"type": "string"}, {"type": "number", "minimum": 0}
#: What the Trace Event Format demands of complete events, and of the names of processes and threads: all that we write.
_COMPLETE = {"ph": {"const": "X"}, "name": _TEXT, "cat": _TEXT, "pid": _WHOLE, "tid": _WHOLE, "ts": _TIME, "dur": _TIME}
_NAMES = {"ph": {"const": "M"}, "name": {"enum": ["process_name", "thread_name", "thread_sort_index"]}, "pid": _WHOLE}
_NAMES["args"] = {"type": "object", "minProperties": 1, "properties": {"name": _TEXT, "sort_index": _WHOLE}}
_EVENT = {"anyOf": [{"type": "object", "properties": kind, "required": [*kind]} for kind in (_COMPLETE, _NAMES)]}
_EVENTS = {"traceEvents": {"type": "array", "items": _EVENT, "minItems": 1}, "displayTimeUnit": {"enum": ["ms", "ns"]}}
TRACE: dict[str, Any] = {"type": "object", "required": ["traceEvents"], "properties": _EVENTS}
EVENTS = hftlab.decode(FEED, "python")
MACHINE = fingerprint()


def stamps_of(stages: list[tuple[int, int, int, int]], gaps: list[int]) -> np.ndarray:
    """(n, 5) stamps of messages that take so long per stage, with such a gap before each."""
    out, at = [], 1_000_000
    for spent, gap in zip(stages, gaps, strict=True):
        at += gap
        row = [at]
        for ns in spent:
            row.append(row[-1] + ns)
        out.append(row)
        at = row[-1]
    return np.array(out, np.int64)


def slowest(stamps: np.ndarray, k: int, around: int) -> list[Capture]:
    kept = Slowest(k, around)
    kept.add(stamps - stamps[0, 0])
    return kept.captures()


def recorded(k: int = 4, around: int = 6, feed: Any = FEED, **stages: Any) -> list[Capture]:
    """Captures of a stamped run of the Python engine, from its columns: messages one after the other, no gaps between."""
    run = hftlab.Engine("python", **stages).run(feed, record="none", latency=True)
    assert run.latency is not None
    columns = [run.latency[name].tolist() for name in ("tick", "book", "signal", "order")]
    return slowest(stamps_of(list(zip(*columns, strict=True)), [0] * run.messages), k, around)


def stalling(stage: type, method: str, stalls: dict[int, int], calls: list[int]) -> type:
    """A stage that waits so many ns, busily, in its n-th call."""

    def slow(self: Any, *arguments: Any) -> Any:
        until = perf_counter_ns() + stalls.get(calls[0], 0)
        calls[0] += 1
        while perf_counter_ns() < until:
            pass
        return getattr(super(made, self), method)(*arguments)

    made = type(f"Stalling{stage.__name__}", (stage,), {method: slow})
    return made


def test_planted_stalls_are_found_at_their_messages_and_in_their_stage() -> None:
    """Stalls of 150 to 300 ms: longer than this machine stops a process for by itself."""
    applied = np.flatnonzero(np.isin(EVENTS["kind"], [Kind.ADD, Kind.EXECUTE, Kind.CANCEL, Kind.DELETE, Kind.REPLACE]))
    in_book, in_signal = {700: 300_000_000, 703: 250_000_000}, {1_200: 200_000_000, 1_500: 150_000_000}
    book = stalling(Book, "apply", in_book, [0])  # called once per message
    signal = stalling(Signal, "update", in_signal, [0])  # called once per applied message
    flight = SlowestMessages.of(recorded(book=book, signal=signal), FEED, "stalling", MACHINE)
    wanted = [(700, "book"), (703, "book"), (int(applied[1_200]), "signal"), (int(applied[1_500]), "signal")]
    assert flight.slow_frame().select("index", "stage").rows() == wanted
    assert flight.slow_frame()["where"].to_list() == ["book", "book", "signal", "signal"]
    assert flight.slow_frame()["share"].min() > 0.9
    assert flight.slow_frame()["times"].min() > 100
    assert flight.slow_frame()["window"].to_list() == [1, 1, 3, 4]  # 700 and 703 have neighbours in common


def planted(gap: int = 50) -> SlowestMessages:
    """Stamps without a clock: 100 quick messages; 40 slow in the signal, 43 in the order stage, 90 after a long wait."""
    stages, gaps = [(100, 1_000, 300, 50)] * 100, [50] * 100
    stages[40], stages[43], stages[90] = (100, 1_000, 90_300, 50), (100, 1_000, 300, 40_000), (900, 1_100, 300, 50)
    gaps[90] = gap
    return SlowestMessages.of(slowest(stamps_of(stages, gaps), 3, 5), FEED, "planted", MACHINE)


def test_rows_join_stamps_and_feed() -> None:
    flight = planted()
    frame = flight.frame()
    assert frame["index"].to_list() == [*range(35, 49), *range(85, 96)]
    for name in ("ts_ns", "order_id", "new_order_id", "instrument", "price", "qty"):
        assert frame[name].to_list() == EVENTS[name][frame["index"].to_numpy()].tolist()
    assert frame["kind"].to_list() == [Kind(kind).name for kind in EVENTS["kind"][frame["index"].to_numpy()]]
    assert set(frame["symbol"]) <= {*FEED.symbols, ""}
    assert frame.filter(frame["instrument"] > 0)["symbol"].str.len_chars().min() > 0
    assert frame["window"].to_list() == [1] * 14 + [3] * 11
    assert frame["rank"].to_list() == [1] * 7 + [2] * 7 + [3] * 11
    assert frame.filter(frame["offset"] == 0)["index"].to_list() == [40, 43, 90]
    assert frame["gap_ns"].to_list() == [None] + [50] * 13 + [None] + [50] * 10
    assert (frame["tick_ns"] + frame["book_ns"] + frame["signal_ns"] + frame["order_ns"]).to_list() == frame["total_ns"].to_list()
    assert frame["start_ns"][0] == 35 * 1_500  # from the start of the run


def test_the_stage_is_the_one_beyond_its_usual_time_not_the_longest() -> None:
    slow = planted().slow_frame()
    assert slow["index"].to_list() == [40, 43, 90]
    assert slow["stage"].to_list() == ["signal", "order", "tick"]  # 90: the book is longer, but as long as ever
    assert slow["usual_ns"].to_list() == [1_450.0] * 3
    assert slow["share"].to_list() == [90_300 / 91_450, 40_000 / 41_400, 900 / 2_350]


def test_words_say_where_the_time_went() -> None:
    first, second, third = planted(gap=5_000_000).slow
    assert first.sentence().startswith(
        f"message 40 ({first.message.name}): 91.45 µs, 63.1x the median of its neighbours; 99% in signal"
    )
    assert second.where == "order"
    assert third.waited
    assert third.sentence().endswith("5.00 ms between messages before it, where the engine does nothing")
    assert not first.waited


def test_a_run_stamped_at_its_ends_only_names_no_stage() -> None:
    rows = [[at, at, at, at, at + 100 + at % 7] for at in range(0, 10_000, 500)]
    flight = SlowestMessages.of(slowest(np.array(rows), 2, 2), FEED, "ends", MACHINE)
    assert set(flight.slow_frame()["stage"]) == {""}
    assert "stages not stamped" in flight.notes()[0]


@pytest.mark.parametrize("kind", ["file", "gzip", "events"])
def test_the_feed_may_be_a_file_or_records(kind: str, tmp_path: Path) -> None:
    if kind == "events":
        feed: Any = hftlab.EventFeed(EVENTS, symbols=FEED.symbols)
    else:
        path = tmp_path / ("day.itch.gz" if kind == "gzip" else "day.itch")
        from hftlab.feeds.generate.synthetic import write

        write(path, "calm", 2_000, 1, None)
        feed = hftlab.load(path)
    stages = [(100, 1_000 + (i == 1_990) * 10**6, 300, 50) for i in range(2_000)]
    captures = slowest(stamps_of(stages, [0] * 2_000), 2, 4)
    a, b = (SlowestMessages.of(captures, one, "same", MACHINE).frame() for one in (FEED, feed))
    assert a.equals(b)


def test_a_feed_of_blocks_is_read_as_far_as_needed() -> None:
    seen = 0

    class Watched(hftlab.EventFeed):
        def event_blocks(self) -> Any:
            nonlocal seen
            for start in range(0, 2_000, 100):
                seen += 100
                yield EVENTS[start : start + 100]

    SlowestMessages.of(
        slowest(stamps_of([(1, 1, 1, 1)] * 150 + [(1, 9, 1, 1)], [0] * 151), 1, 3), Watched(EVENTS), "watched", MACHINE
    )
    assert seen == 200


def test_captures_that_do_not_belong_are_refused() -> None:
    rows = stamps_of([(1, 1, 1, 1)] * 5, [0] * 5)
    with pytest.raises(ConfigError, match="captures must be at least 1, got 0"):
        SlowestMessages.of([], FEED, "none", MACHINE)
    with pytest.raises(ConfigError, match="disagree about message 3"):
        SlowestMessages.of([Capture(2, 0, rows), Capture(4, 3, rows[:2] + 1)], FEED, "two runs", MACHINE)
    with pytest.raises(ConfigError, match="got two of message 2"):
        SlowestMessages.of([Capture(2, 0, rows), Capture(2, 0, rows)], FEED, "twice", MACHINE)
    with pytest.raises(FeedError, match=r"has 2,000 messages; a capture names message 2,001"):
        SlowestMessages.of([Capture(1_999, 1_997, rows)], FEED, "too far", MACHINE)


def test_ids_and_prices_at_the_ends_of_their_range_survive(tmp_path: Path) -> None:
    events = np.zeros(3, EVENT_DTYPE)
    events[1] = (2**64 - 1, 2**64 - 1, 2**63, -(2**63) + 1, 2**32 - 1, 65_535, 5, 7)
    flight = SlowestMessages.of(slowest(stamps_of([(1, 1, 1, 1)] * 3, [0] * 3), 1, 2), hftlab.EventFeed(events), "edge", MACHINE)
    row = flight.frame().row(1, named=True)
    assert (row["ts_ns"], row["order_id"], row["price"], row["side"]) == (2**64 - 1, 2**64 - 1, -(2**63) + 1, "side 7")
    write_trace(tmp_path / "trace.json", flight)
    jsonschema.validate(json.loads((tmp_path / "trace.json").read_text()), TRACE)


@pytest.fixture
def trace(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "new" / "trace.json"
    write_trace(path, planted(gap=5_000_000))
    return json.loads(path.read_text())


def ns(us: float) -> int:
    return round(us * 1000)


def complete(trace: dict[str, Any], track: str) -> list[dict[str, Any]]:
    named = {e["args"]["name"]: e["tid"] for e in trace["traceEvents"] if e["name"] == "thread_name"}
    return [e for e in trace["traceEvents"] if e["ph"] == "X" and e["tid"] == named[track]]


def test_the_trace_keeps_to_the_format(trace: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(TRACE)
    jsonschema.validate(trace, TRACE)
    assert trace["displayTimeUnit"] == "ns"
    times = [e[name] for e in trace["traceEvents"] if e["ph"] == "X" for name in ("ts", "dur")]
    assert times
    assert all(isinstance(time, float) and time == round(time, 3) for time in times)


def test_events_of_a_track_are_in_order_and_do_not_overlap(trace: dict[str, Any]) -> None:
    events = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    by_track = groupby(sorted(events, key=lambda e: e["tid"]), key=lambda e: e["tid"])  # sorting keeps the order within a track
    spans = {tid: [(ns(e["ts"]), ns(e["ts"]) + ns(e["dur"])) for e in track] for tid, track in by_track}
    assert len(spans) == 6
    for track in spans.values():
        assert all(before[1] <= after[0] for before, after in pairwise(track))
    assert [e["ts"] for e in events] == sorted(e["ts"] for e in events)


def test_stages_lie_within_their_message_end_to_end(trace: dict[str, Any]) -> None:
    messages = complete(trace, "messages")
    assert len(messages) == len(planted().messages)
    for message in messages:
        number, at = message["args"]["message"], ns(message["ts"])
        for stage in ("tick", "book", "signal", "order"):
            (event,) = [e for e in complete(trace, stage) if e["args"]["message"] == number]
            assert ns(event["ts"]) == at
            at += ns(event["dur"])
        assert at == ns(message["ts"]) + ns(message["dur"])


def test_the_trace_names_its_tracks_and_carries_the_message(trace: dict[str, Any]) -> None:
    names = {e["args"]["name"] for e in trace["traceEvents"] if e["name"] in ("process_name", "thread_name")}
    assert names == {f"hftlab planted on {FEED.name}", "slow messages", "messages", "tick", "book", "signal", "order"}
    slow = complete(trace, "slow messages")
    assert [e["name"] for e in slow] == ["1. signal: message 40", "2. order: message 43", "3. between messages: message 90"]
    (message,) = [e for e in complete(trace, "messages") if e["args"]["message"] == 40]
    assert message["args"]["order_id"] == str(EVENTS["order_id"][40])
    assert message["args"]["price"] == EVENTS["price"][40] / FEED.price_scale


def test_the_chart_shows_the_slowest_and_every_neighbour() -> None:
    vl_convert = pytest.importorskip("vl_convert")
    spec = planted(gap=5_000_000).plot(limit=2, around=2).to_dict()
    svg = vl_convert.vegalite_to_svg(spec)
    words = ["1. message 40", "2. message 43", "latency (", "log scale", "between messages"]
    assert [word for word in [*words, "−2", "+2", "slow", "signal", "planted on"] if word not in svg] == []
    assert "3. message 90" not in svg


@pytest.mark.parametrize("step", [10.0, 24.45, 41.67])
def test_nothing_is_shown_finer_than_the_step_of_the_clock(step: float) -> None:
    """Messages of half a step in each stage; one that takes 40 steps more in the signal."""
    stages, gaps = [(0, round(step / 2), 0, 0)] * 40, [0] * 40
    stages[20] = (0, 0, round(40 * step), 0)
    found = SlowestMessages.of(slowest(stamps_of(stages, gaps), 1, 5), FEED, "stepped", MACHINE, step_ns=step)
    (slow,) = found.slow
    assert slow.cells()["usual_ns"] == slow.cells()["gap_ns"] == f"< {step / 1e3:.2f}"
    assert f": {duration(40 * step)}, " in slow.sentence()
    assert f"in signal ({duration(40 * step)})" in slow.sentence()
    assert " 0.0" not in slow.sentence()
    assert "0.00" not in str(found)
