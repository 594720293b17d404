"""Does each way of profiling find what is there, with the real tool, and say in one sentence what it cannot do?"""

import importlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import hftlab
from hftlab.charts import icicle_chart
from hftlab.cli.main import main
from hftlab.errors import ConfigError, UnknownName
from hftlab.profiling import HOWS
from hftlab.profiling.result import Profile
from hftlab.profiling.sample import bare
from hftlab.profiling.stacks import SMALLEST, Call, grow, rectangles
from hftlab.profiling.where import short
from hftlab.stages.book import Book

ROOT = Path(__file__).resolve().parents[2]
NAIVE = {"book": "btree", "orders": "std", "pool": False, "signal": "recompute"}


def profiled(engine: object, how: str, messages: int) -> Profile:
    """A profile that is whole: columns as declared, a line of repr, JSON without a path of this machine, a chart that fits."""
    found = hftlab.profile(engine, how=how, messages=messages)
    if not found:
        pytest.fail(found.missing)
    assert found.how == how
    assert found.messages == messages
    frame = found.frame()
    declared = importlib.import_module(f"hftlab.profiling.{how}").COLUMNS
    assert frame.columns == list(declared)
    assert frame.height == len(found.rows) > 0
    assert "\n" not in repr(found)
    assert found.subtitle() in str(found)
    told = json.dumps(found.to_dict())
    assert json.loads(told)["schema"] == "hftlab-profile/1"
    for text in (told, found._repr_html_(), str(found)):
        assert str(ROOT) not in text
        assert sys.prefix not in text
    assert largest(found.plot().to_dict()) <= 5_000
    return found


def largest(spec: dict) -> int:
    """Rows of the largest data set of a chart."""
    inner = [spec, *(part for key in ("layer", "vconcat", "hconcat") for part in spec.get(key, ()))]
    sizes = [len(spec.get("data", {}).get("values", ()))]
    return max(sizes + [largest(part) for part in inner[1:]])


def needs(*programs: str) -> None:
    """Skip where a tool is not there; that this is said is tested below."""
    for program in programs:
        if shutil.which(program) is None and not (Path(sys.executable).parent / program).is_file():
            pytest.skip(f"there is no {program}")


class SlowBook(Book):
    """One dear line, and a markup trap."""

    def apply(self, *event: int) -> int:
        sum(range(900))  # <script>alert(1)</script> & more
        return super().apply(*event)


class ChildBook(Book):
    """In a module that a child can import."""


def test_line_leads_to_the_dearest_line_of_the_stages() -> None:
    found = profiled("python", "line", 1_500)
    own = found.frame().filter(pl.col("hits") > 0, ~pl.col("calls"), pl.col("stage") != "engine")
    assert own["file"][0].startswith("stages/")
    assert set(own["stage"]) == {"tick", "book", "signal", "order"}
    loop = found.frame().filter(pl.col("function") == "PythonSession._run")
    assert loop["share"].sum() == pytest.approx(1.0)
    assert loop.filter(pl.col("source").str.contains("for event in events"))["hits"].item() == 1_501
    assert any("times as long as the plain one" in line for line in found.lines())
    assert own["source"][0].strip() in found.lines()[2]


def test_line_looks_into_a_stage_of_ones_own_and_gives_it_back_as_it_was() -> None:
    code = SlowBook.apply.__code__
    found = profiled(hftlab.Engine(book=SlowBook), "line", 500)
    own = found.frame().filter(pl.col("hits") > 0, ~pl.col("calls"), pl.col("stage") != "engine")
    assert own["source"][0].strip().startswith("sum(range(900))")
    assert own["function"][0] == "SlowBook.apply"
    assert own["file"][0] == "test_profiling.py"
    assert own["stage"][0] == "book"
    assert own["hits"][0] == 500
    assert SlowBook.apply.__code__ is code
    page = found._repr_html_()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in page
    assert "<script>" not in page
    assert "background:rgba(" in page


def test_calls_know_who_calls_whom() -> None:
    found = profiled("python", "calls", 2_000)
    rows = {row["function"]: row for row in found.rows}
    assert rows["Book.apply"]["calls"] == 2_000
    assert rows["Book.apply"]["stage"] == "book"
    assert rows["Book.apply"]["callers"] == "PythonSession._run"
    assert rows["Book.apply"]["cumulative_ns"] > rows["Book.apply"]["own_ns"] > 0
    assert sum(row["share"] for row in found.rows) == pytest.approx(1.0, abs=0.02)
    levels = {row["name"]: row["depth"] for row in found.tree}
    assert levels["PythonSession.push"] < levels["PythonSession._run"] < levels["Book.apply"] < levels["Book._insert"]
    spans = {row["name"]: (row["start"], row["end"]) for row in found.tree if row["depth"] <= 2}
    assert spans["PythonSession.push"] == (0, 1)
    assert all(0 <= start <= end <= 1.0001 for start, end in spans.values())


def test_sample_sees_python_functions() -> None:
    needs("py-spy")
    found = profiled(hftlab.Engine(book=ChildBook), "sample", 2_000)
    frame = found.frame()
    assert {"Book.apply", "Signal.update", "Tick.events"} <= set(frame["name"])
    assert frame["own"].sum() == frame["samples"].max()
    assert frame.filter(pl.col("name") == "PythonSession._run")["share"].sum() > 0.5
    assert not frame["stack"].str.contains("import").any()


@pytest.mark.rust
def test_sample_sees_rust_functions() -> None:
    needs("py-spy")
    found = profiled("rust", "sample", 50_000)
    if any("without native frames" in line for line in found.lines()):
        pytest.skip(found.lines()[2])
    files = found.frame()["file"]
    assert files.str.starts_with("rust_ext/src/").any()
    assert {"book", "signal"} <= set(found.frame()["stage"])
    assert not found.frame()["name"].str.contains("hftlab_rust::").any()


@pytest.mark.parametrize(
    ("name", "bared"),
    [
        ("run<hftlab_rust::levels::Ladder, false>", "run"),
        ("<hftlab_rust::engine::Engine<L, I> as hftlab_rust::runner::Runner>::run_bytes", "run_bytes"),
        ("hftlab_rust::store::Store<L>::insert::h0123456789abcdef", "insert"),
        ("hftlab_rust::py::push::{closure#0}", "push::{closure#0}"),
        ("PyDict_GetItem", "PyDict_GetItem"),
        ("<", "<"),
    ],
)
def test_a_rust_function_is_named_by_its_last_word(name: str, bared: str) -> None:
    assert bare(name) == bared


@pytest.mark.rust
def test_instructions_of_the_rust_loop_stage_by_stage() -> None:
    needs("valgrind", "vgdb")
    found = profiled("rust", "instructions", 4_000)
    counted = found.frame().filter(pl.col("event") == "instructions")
    assert counted["stage"].to_list() == ["tick", "book", "signal", "order"]
    until = counted["until_per_message"].to_list()
    assert until == sorted(until)
    assert until[1] > 1.5 * until[0]
    assert 20 < until[0] < 400  # the loop alone: what the border does would come to more
    missed = found.frame().filter(pl.col("event") == "conditional branches mispredicted")
    branches = found.frame().filter(pl.col("event") == "conditional branches")
    assert 0 < missed["per_message"].sum() < branches["per_message"].sum() < until[-1]


def test_instructions_of_the_python_engine_until_its_last_stage() -> None:
    needs("valgrind", "vgdb")
    found = profiled(hftlab.Engine("python", until="book"), "instructions", 200)
    counted = found.frame().filter(pl.col("event") == "instructions")
    assert counted["stage"].to_list() == ["tick", "book"]
    assert counted["per_message"].min() > 1_000
    assert found.frame().filter(pl.col("event") == "first-level data misses")["until_per_message"][1] > 0


def test_counters_are_per_message_and_say_what_is_not_supported() -> None:
    needs("perf")
    found = profiled("python", "counters", 2_000)
    rows = {row["event"]: row for row in found.rows}
    assert rows["task-clock"]["per_message"] > 100
    assert rows["page-faults"]["count"] is not None
    if all(row["count"] is None for row in found.rows if row["source"] == "processor"):
        assert found.missing.startswith("counters: not supported here")
        assert found.frame()["per_message"].null_count() >= 8
    else:
        assert found.missing == ""


@pytest.mark.rust
def test_memory_the_best_rust_variant_asks_for_nothing_and_the_naive_one_does() -> None:
    best = profiled("rust", "memory", 64_000).frame()
    assert best.filter(pl.col("kind") == "stage")["allocations_per_message"].to_list() == [0, 0, 0, 0]
    assert best.filter(pl.col("kind") == "stage")["bytes_per_message"].to_list() == [0, 0, 0, 0]
    assert best.filter(pl.col("kind") == "growth")["allocations_per_message"].sum() > 0
    naive = profiled(hftlab.Engine("rust", **NAIVE), "memory", 64_000).frame()
    steady = naive.filter(pl.col("kind") == "stage")
    assert steady["stage"].to_list() == ["tick", "book", "signal", "order"]
    assert steady["allocations_per_message"][1] > 0.2
    assert steady["bytes_per_message"][1] > 5


@pytest.mark.rust
def test_memory_of_event_records() -> None:
    events = hftlab.decode(hftlab.synthetic(messages=20_000))
    found = hftlab.profile(hftlab.Engine("rust", **NAIVE), hftlab.EventFeed(events), "memory")
    assert found.messages == 20_000
    assert found.frame().filter(pl.col("kind") == "stage", pl.col("stage") == "book")["allocations_per_message"].item() > 0.2


@pytest.mark.rust
def test_every_allocation_of_the_extension_is_counted_on_its_own_thread() -> None:
    import threading

    import hftlab_rust

    counts = []
    before = hftlab_rust.allocations()
    hftlab.Engine("rust", **NAIVE).run(hftlab.synthetic(messages=5_000), record="none")
    after = hftlab_rust.allocations()
    assert after[0] - before[0] > 1_000
    assert after[1] - before[1] > 20_000
    thread = threading.Thread(target=lambda: counts.append(hftlab_rust.allocations()))
    thread.start()
    thread.join()
    assert counts == [(0, 0)]
    assert hftlab_rust.allocations() == after


def test_memory_of_python_by_stage_function_and_line() -> None:
    found = profiled("python", "memory", 400)
    stages = found.frame().filter(pl.col("kind") == "stage")
    assert stages["stage"].to_list() == ["tick", "book", "signal", "order"]
    lines = found.frame().filter(pl.col("kind") == "line")
    assert lines["where"].str.starts_with("stages/book.py:").any()
    assert lines["kept_bytes_per_message"].min() > 0
    try:
        import memray  # noqa: F401
    except ImportError:
        assert "memray is not installed" in found.missing
        return
    assert stages["allocations_per_message"].min() > 0.5
    functions = found.frame().filter(pl.col("kind") == "function")
    assert functions["where"].str.contains("stages/signal.py").any()
    assert functions["allocations_per_message"].sum() == pytest.approx(stages["allocations_per_message"].sum())


@pytest.mark.rust
@pytest.mark.parametrize("how", ["line", "calls"])
def test_what_looks_into_python_says_that_rust_is_something_else(how: str) -> None:
    says_why(hftlab.profile("rust", how=how, messages=500), how, "'rust'")


def says_why(found: Profile, how: str, *words: str) -> None:
    assert not found
    assert found.missing.startswith(f"{how}: ")
    assert [word for word in words if word not in found.missing] == []
    assert repr(found) == found.missing
    assert "\n" not in found.missing
    assert found.frame().is_empty()
    assert found.frame().columns == list(found.columns)
    assert found.missing in str(found)
    assert found.missing.split()[1] in json.dumps(found.plot().to_dict())
    assert "<b>" in found._repr_html_()


@pytest.mark.parametrize(("how", "tool"), [("sample", "py-spy"), ("instructions", "valgrind"), ("counters", "perf")])
def test_without_its_tool_a_profile_is_one_sentence(how: str, tool: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    says_why(hftlab.profile("python", how=how, messages=200), how, f"there is no {tool} here")


@pytest.mark.parametrize(("how", "tool"), [("sample", "py-spy"), ("instructions", "valgrind"), ("counters", "perf")])
def test_a_tool_that_refuses_is_one_sentence(how: str, tool: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    refusing = tmp_path / tool
    refusing.write_text("#!/bin/sh\necho 'Operation not permitted' >&2\nexit 1\n")
    refusing.chmod(0o755)
    (tmp_path / "vgdb").write_text("#!/bin/sh\n")
    (tmp_path / "vgdb").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    says_why(hftlab.profile("python", how=how, messages=200), how, "Operation not permitted")


def test_without_line_profiler_or_memray_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "line_profiler", None)
    monkeypatch.setitem(sys.modules, "memray", None)
    says_why(hftlab.profile("python", how="line", messages=200), "line", "line_profiler is not installed")
    found = hftlab.profile("python", how="memory", messages=200)
    assert found
    assert found.missing.startswith("memory: memray is not installed")
    assert found.missing in found.lines()
    assert set(found.frame()["kind"]) == {"stage", "line"}


@pytest.mark.parametrize("how", ["sample", "instructions", "counters"])
def test_an_engine_that_cannot_be_sent_to_a_child_is_one_sentence(how: str) -> None:
    for program in {"sample": ["py-spy"], "instructions": ["valgrind", "vgdb"], "counters": ["perf"]}[how]:
        needs(program)

    class LocalBook(Book):
        pass

    says_why(hftlab.profile(hftlab.Engine(book=LocalBook), how=how, messages=200), how, "cannot be sent to another process")


def test_bad_arguments_are_errors_that_name_what_is_allowed() -> None:
    with pytest.raises(UnknownName, match="unknown way to profile 'flame'; known: line, calls, sample, instructions"):
        hftlab.profile("python", how="flame")
    with pytest.raises(ConfigError, match="messages is 5; allowed is 100 to"):
        hftlab.profile("python", messages=5)
    with pytest.raises(ConfigError, match="has 20 messages that can be read"):
        hftlab.profile("python", hftlab.synthetic(messages=20))


def test_only_the_head_of_a_feed_is_looked_at() -> None:
    feed = hftlab.synthetic("burst", 3_000)
    found = hftlab.profile("python", feed, "calls", messages=700)
    assert (found.feed, found.messages) == (feed.name, 700)
    assert next(row["calls"] for row in found.rows if row["function"] == "Book.apply") == 700


def test_nothing_is_left_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    for how in ("counters", "memory"):
        hftlab.profile("python", how=how, messages=100)
    assert list(tmp_path.glob("hftlab-profile-*")) == []


def test_small_siblings_are_drawn_as_one_and_the_rest_fits() -> None:
    stacks = [([Call(f"f{n}", "book"), Call(f"g{n % 7}", "other")], 1 + (n < 3) * 5_000) for n in range(20_000)]
    tree = grow(stacks, Call("all", "engine"))
    rows = rectangles(tree)
    assert len(rows) < 100
    merged = next(row for row in rows if row["name"].endswith("small ones"))
    assert merged["name"] == "19997 small ones"
    assert sum(row["share"] for row in rows if row["depth"] == 1) == pytest.approx(1.0)
    assert min(row["share"] for row in rows) >= SMALLEST
    assert next(row for row in rows if row["name"] == "g1")["stage"] == "book"  # a library works for the stage that called it
    assert largest(icicle_chart(rows * 800, "t").to_dict()) == 5_000


def test_files_are_named_as_a_reader_knows_them() -> None:
    assert short(hftlab.__file__) == "__init__.py"
    assert short(importlib.import_module("hftlab.stages.book").__file__ or "") == "stages/book.py"
    assert short("/tmp/ipykernel_77/1234.py") == "notebook"
    assert short("/a/b/site-packages/rich/table.py") == "rich/table.py"
    assert short("/a/rust_ext/src/levels/ladder.rs") == "rust_ext/src/levels/ladder.rs"
    assert short("/x/y/mine.py") == "mine.py"
    assert short("~") == "built-in"
    assert short(np.__file__).startswith("numpy/")


def test_the_command_line_prints_a_table_writes_json_and_a_chart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("vl_convert")
    for kind, start in (("png", b"\x89PNG"), ("svg", b"<svg"), ("html", b"<!DOCTYPE html>")):
        chart, out = tmp_path / f"chart.{kind}", tmp_path / "out.json"
        words = ["profile", "--how", "calls", "--messages", "300", "--regime", "deep", "--chart", str(chart), "--out", str(out)]
        assert main(words) == 0
        said = capsys.readouterr().out
        assert "Signal.update" in said
        assert "300 messages" in said
        assert chart.read_bytes().lstrip().startswith(start)
        assert json.loads(out.read_text())["how"] == "calls"
    assert "https://" not in chart.read_text().partition("<script")[0]  # the page brings its own scripts
    assert main(["profile", "--messages", "300", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["schema"] == "hftlab-profile/1"


def test_the_command_line_answers_bad_words_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    for words, sentence in (
        (["--how", "flame"], "unknown way to profile 'flame'"),
        (["--chart", "picture.pdf"], "known: .html, .json, .png, .svg"),
        (["--messages", "50"], "messages is 50; allowed is 100"),
    ):
        assert main(["profile", *words]) == 2
        said = capsys.readouterr().err
        assert sentence in said
        assert said.count("\n") == 1


def test_every_way_has_its_file() -> None:
    for how in HOWS:
        way = importlib.import_module(f"hftlab.profiling.{how}")
        assert set(way.COLUMNS.values()) <= {str, int, float, bool}
        assert way.MESSAGES["python"] >= 1_000
        assert callable(way.look)
        assert callable(way.chart)
