"""Does each tool find what is there, with the real program, and report in one sentence what it cannot do?"""

import json
import shutil
import sys
import threading
from pathlib import Path

import polars as pl
import pytest

import hftlab
from hftlab.charts import icicle_chart
from hftlab.cli.main import main
from hftlab.errors import ConfigError, HftlabError, UnknownName
from hftlab.profiling import TOOLS, Profile
from hftlab.profiling.calls import MAX_RECTANGLES, MIN_SHARE, rectangles, rust_name, tree_of
from hftlab.profiling.locations import RUST, RUST_STAGES, Call, short_path, stage_of_file
from hftlab.profiling.result import COLUMNS, STAGES, own_lines
from hftlab.stages.book import Book

ROOT = Path(__file__).resolve().parents[2]
NAIVE = {"book": "btree", "orders": "std", "pool": False, "signal": "recompute"}
PATH = ["tick", "book", "signal", "order"]
PROGRAMS = {"sample": ["py-spy"], "instructions": ["valgrind", "vgdb"], "counters": ["perf"]}


def profiled(engine: object, tool: str, messages: int) -> Profile:
    """A complete profile: declared columns, stored and read back, without a path of this machine, with a chart that fits."""
    found = hftlab.profile(engine, tool=tool, messages=messages)
    if not found:
        pytest.fail(found.missing)
    assert (found.tool, found.messages) == (tool, messages)
    frame = found.frame()
    assert frame.columns == [column.partition(":")[0] for column in COLUMNS[tool].split()]
    assert frame.height == len(found.rows) > 0
    assert found.by_stage()["share"].sum() in (0, pytest.approx(1.0))
    stored = found.to_json()
    again = Profile.from_dict(json.loads(stored))
    assert again.to_json() == stored
    assert again.frame().equals(frame)
    first = found.tables()[0]
    assert first.title in json.dumps(found.plot().to_dict())
    assert found.subtitle() in found.headline()
    assert 0 < len(first.rows) <= 60
    for text in (stored, found._repr_html_(), str(found)):
        assert str(ROOT) not in text
        assert sys.prefix not in text
    assert largest(found.plot().to_dict()) <= MAX_RECTANGLES
    return found


def largest(spec: dict) -> int:
    """Rows of the largest data set of a chart."""
    parts = [part for key in ("layer", "vconcat", "hconcat") for part in spec.get(key, ())]
    return max([len(spec.get("data", {}).get("values", ())), *map(largest, parts)])


def needs(tool: str) -> None:
    """Skip where the program of a tool is missing; the sentence for it is tested below."""
    for program in PROGRAMS.get(tool, ()):
        if shutil.which(program) is None and not (Path(sys.executable).parent / program).is_file():
            pytest.skip(f"{program} is not installed")


def unavailable(found: Profile, *words: str) -> None:
    """A profile without rows: one sentence, whatever is asked of it."""
    assert not found
    assert found.missing.startswith(f"{found.tool}: ")
    assert [word for word in words if word not in found.missing] == []
    assert repr(found) == found.headline() == found.missing
    assert "\n" not in found.missing
    assert found.frame().is_empty()
    assert found.frame().columns == list(found.columns)
    assert found.tables() == []
    assert found.missing.split()[1] in json.dumps(found.plot().to_dict())


class SlowBook(Book):
    """One slow line, and a markup trap."""

    def apply(self, *event: int) -> int:
        sum(range(900))  # <script>alert(1)</script> & more
        return super().apply(*event)


class ChildBook(Book):
    """In a module that a child can import."""


def test_line_leads_to_the_slowest_line_of_the_stages() -> None:
    found = profiled("python", "line", 1_500)
    own = own_lines(found.rows)
    assert own[0]["file"].startswith("stages/")
    assert {row["stage"] for row in own} == set(PATH)
    loop = found.frame().filter(pl.col("function") == "PythonSession._run")
    assert loop["share"].sum() == pytest.approx(1.0)
    assert loop.filter(pl.col("source").str.contains("for event in events"))["hits"].item() == 1_501
    assert (found.slowdown or 0) > 1.1
    assert {"tick", "book", "signal"} <= set(found.by_stage()["stage"])
    assert own[0]["source"].strip() in found.remarks[1]


def test_line_profiles_a_users_stage_and_restores_it() -> None:
    code = SlowBook.apply.__code__
    found = profiled(hftlab.Engine(book=SlowBook), "line", 500)
    slowest = own_lines(found.rows)[0]
    assert slowest["source"].strip().startswith("sum(range(900))")
    place = (slowest["function"], slowest["file"], slowest["stage"], slowest["hits"])
    assert place == ("SlowBook.apply", "test_profiling.py", "book", 500)
    assert SlowBook.apply.__code__ is code
    source = found.tables()[1]
    assert source.title.startswith("SlowBook.apply, test_profiling.py:")
    assert [row[2] for row in source.rows] == ["", "500", "500"]
    assert source.rows[0][0].startswith("\N{NO-BREAK SPACE}" * 4 + "def apply")
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in found._repr_html_()


def test_calls_know_who_calls_whom() -> None:
    found = profiled("python", "calls", 2_000)
    row = next(row for row in found.rows if row["function"] == "Book.apply")
    assert (row["calls"], row["stage"], row["callers"]) == (2_000, "book", "PythonSession._run")
    assert row["cumulative_ns"] > row["own_ns"] > 0
    assert sum(row["share"] for row in found.rows) == pytest.approx(1.0, abs=0.02)
    levels = {row["name"]: row["depth"] for row in found.tree}
    assert levels["PythonSession.push"] < levels["PythonSession._run"] < levels["Book.apply"] < levels["Book._insert"]
    spans = {row["name"]: (row["start"], row["end"]) for row in found.tree if row["depth"] <= 2}
    assert spans["PythonSession.push"] == (0, 1)
    assert all(0 <= start <= end <= 1.0001 for start, end in spans.values())


def test_sample_sees_python_functions() -> None:
    needs("sample")
    frame = profiled(hftlab.Engine(book=ChildBook), "sample", 2_000).frame()
    assert {"Book.apply", "Signal.update", "Tick.events"} <= set(frame["name"])
    assert frame["own"].sum() == frame["samples"].max()
    assert frame.filter(pl.col("name") == "PythonSession._run")["share"].sum() > 0.5
    assert not frame["stack"].str.contains("import").any()


@pytest.mark.rust
def test_sample_sees_rust_functions() -> None:
    needs("sample")
    found = profiled("rust", "sample", 50_000)
    if len(found.remarks) > 1:
        pytest.skip(found.remarks[1])  # without native frames
    frame = found.frame()
    assert frame["file"].str.starts_with(RUST).any()
    assert {"book", "signal"} <= set(frame["stage"])
    assert not frame["name"].str.contains("hftlab_rust::").any()


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("run<hftlab_rust::levels::Ladder, false>", "run"),
        ("<hftlab_rust::engine::Engine<L, I> as hftlab_rust::runner::Runner>::run_bytes", "run_bytes"),
        ("hftlab_rust::store::Store<L>::insert::h0123456789abcdef", "insert"),
        ("hftlab_rust::py::push::{closure#0}", "push::{closure#0}"),
        ("PyDict_GetItem", "PyDict_GetItem"),
        ("<", "<"),
    ],
)
def test_a_rust_function_is_named_by_its_last_word(name: str, short: str) -> None:
    assert rust_name(name) == short


@pytest.mark.rust
def test_instructions_of_the_rust_loop_stage_by_stage() -> None:
    needs("instructions")
    frame = profiled("rust", "instructions", 4_000).frame()
    counted = {event: rows for (event,), rows in frame.group_by("event")}
    assert counted["instructions"]["stage"].to_list() == PATH
    until = counted["instructions"]["until_per_message"].to_list()
    assert until == sorted(until)
    assert until[1] > 1.5 * until[0]
    assert 20 < until[0] < 400  # the loop alone: the Python call around it would come to more
    missed, branches = (counted[f"conditional branches{end}"]["per_message"].sum() for end in (" mispredicted", ""))
    assert 0 < missed < branches < until[-1]


def test_instructions_of_the_python_engine_until_its_last_stage() -> None:
    needs("instructions")
    frame = profiled(hftlab.Engine("python", until="book"), "instructions", 200).frame()
    counted = frame.filter(pl.col("event") == "instructions")
    assert counted["stage"].to_list() == ["tick", "book"]
    assert counted["per_message"].min() > 1_000
    assert frame.filter(pl.col("event") == "first-level data misses")["until_per_message"][1] > 0


def test_counters_are_per_message_and_name_what_is_not_counted() -> None:
    needs("counters")
    found = profiled("python", "counters", 2_000)
    rows = {row["event"]: row for row in found.rows}
    assert rows["task-clock"]["per_message"] > 100
    assert rows["page-faults"]["count"] is not None
    counted = [row for row in found.rows if row["source"] == "processor" and row["count"] is not None]
    assert bool(found.missing) is not bool(counted)
    assert found.by_stage().is_empty()


@pytest.mark.rust
def test_memory_the_best_rust_variant_allocates_nothing_and_the_naive_one_does() -> None:
    best = profiled("rust", "memory", 64_000).frame()
    steady = best.filter(pl.col("kind") == "stage").select("allocations_per_message", "bytes_per_message")
    assert steady.rows() == [(0, 0)] * 4
    assert best.filter(pl.col("kind") == "growth")["allocations_per_message"].sum() > 0
    naive = profiled(hftlab.Engine("rust", **NAIVE), "memory", 64_000).frame().filter(pl.col("kind") == "stage")
    assert naive["stage"].to_list() == PATH
    assert naive["allocations_per_message"][1] > 0.2
    assert naive["bytes_per_message"][1] > 5


@pytest.mark.rust
def test_memory_of_event_records() -> None:
    events = hftlab.decode(hftlab.synthetic(messages=20_000))
    found = hftlab.profile(hftlab.Engine("rust", **NAIVE), hftlab.EventFeed(events), "memory")
    assert found.messages == 20_000
    assert next(row for row in found.rows if row["stage"] == "book")["allocations_per_message"] > 0.2


@pytest.mark.rust
def test_allocations_of_the_extension_are_counted_on_their_own_thread() -> None:
    import hftlab_rust

    before = hftlab_rust.allocations()
    hftlab.Engine("rust", **NAIVE).run(hftlab.synthetic(messages=5_000), record="none")
    after = hftlab_rust.allocations()
    assert after[0] - before[0] > 1_000
    assert after[1] - before[1] > 20_000
    counts: list[tuple[int, int]] = []
    thread = threading.Thread(target=lambda: counts.append(hftlab_rust.allocations()))
    thread.start()
    thread.join()
    assert counts == [(0, 0)]
    assert hftlab_rust.allocations() == after


def test_memory_of_python_by_stage_and_function() -> None:
    pytest.importorskip("memray", reason="memray is not installed")
    found = profiled("python", "memory", 400)
    kinds = {kind: rows for (kind,), rows in found.frame().group_by("kind", maintain_order=True)}
    assert kinds["stage"]["stage"].to_list() == PATH
    assert kinds["stage"]["allocations_per_message"].min() > 0.5
    assert kinds["function"]["where"].str.contains("stages/signal.py").any()
    total = kinds["stage"]["allocations_per_message"].sum()
    assert kinds["function"]["allocations_per_message"].sum() == pytest.approx(total)


@pytest.mark.rust
@pytest.mark.parametrize("tool", ["line", "calls"])
def test_profilers_of_python_refuse_the_rust_engine(tool: str) -> None:
    unavailable(hftlab.profile("rust", tool=tool, messages=500), "'rust'", "tool='sample'")


@pytest.mark.parametrize("tool", PROGRAMS)
def test_without_its_program_a_profile_is_one_sentence(tool: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    unavailable(hftlab.profile("python", tool=tool, messages=200), f"{PROGRAMS[tool][0]} is not installed")


@pytest.mark.parametrize("tool", PROGRAMS)
def test_a_program_that_refuses_is_one_sentence(tool: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for program in (*PROGRAMS[tool], "vgdb"):
        (tmp_path / program).write_text("#!/bin/sh\necho 'Operation not permitted' >&2\nexit 1\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    unavailable(hftlab.profile("python", tool=tool, messages=200), "Operation not permitted")


def test_without_memray_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "memray", None)
    unavailable(hftlab.profile("python", tool="memory", messages=200), "memray is not installed")


@pytest.mark.parametrize("tool", PROGRAMS)
def test_an_engine_that_cannot_be_sent_to_a_child_is_one_sentence(tool: str) -> None:
    needs(tool)

    class LocalBook(Book):
        pass

    unavailable(hftlab.profile(hftlab.Engine(book=LocalBook), tool=tool, messages=200), "cannot be sent to another process")


def test_bad_arguments_are_errors_that_name_the_allowed_ones() -> None:
    with pytest.raises(UnknownName, match=f"unknown tool 'flame'; known: {', '.join(TOOLS)}"):
        hftlab.profile("python", tool="flame")
    with pytest.raises(ConfigError, match="messages must be between 100 and 10,000,000, got 5"):
        hftlab.profile("python", messages=5)
    with pytest.raises(ConfigError, match="at least 100 messages, got 20"):
        hftlab.profile("python", hftlab.synthetic(messages=20))
    with pytest.raises(HftlabError, match="schema must be"):
        Profile.from_dict({"schema": "hftlab-profile/1"})
    with pytest.raises(HftlabError, match="missing required field"):
        Profile.from_dict({"schema": Profile.schema, "how": "line"})


def test_only_the_head_of_a_feed_is_run() -> None:
    feed = hftlab.synthetic("burst", 3_000)
    found = hftlab.profile("python", feed, "calls", messages=700)
    assert (found.feed, found.messages) == (feed.name, 700)
    assert next(row["calls"] for row in found.rows if row["function"] == "Book.apply") == 700


def test_nothing_is_left_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    for tool in ("counters", "memory"):
        hftlab.profile("python", tool=tool, messages=100)
    assert list(tmp_path.glob("hftlab-profile-*")) == []


def test_small_siblings_are_drawn_as_one_and_the_rest_fits() -> None:
    stacks = [([Call(f"f{n}", "book"), Call(f"g{n % 7}", "other")], 1 + (n < 3) * 5_000) for n in range(20_000)]
    rows = rectangles(tree_of(stacks, Call("all", "engine")))
    assert len(rows) < 100
    assert next(row["name"] for row in rows if row["name"].endswith("small ones")) == "19997 small ones"
    assert sum(row["share"] for row in rows if row["depth"] == 1) == pytest.approx(1.0)
    assert min(row["share"] for row in rows) >= MIN_SHARE
    assert next(row for row in rows if row["name"] == "g1")["stage"] == "book"  # a library works for the stage that called it
    assert largest(icicle_chart(rows * 800, "t").to_dict()) == 5_000


def test_files_are_named_as_a_reader_knows_them() -> None:
    paths = {
        sys.modules["hftlab.stages.book"].__file__ or "": "stages/book.py",
        "/tmp/ipykernel_77/1234.py": "notebook",
        "/a/b/site-packages/rich/table.py": "rich/table.py",
        "/a/rust_ext/src/book/levels/ladder.rs": "rust_ext/src/book/levels/ladder.rs",
        "/x/y/mine.py": "mine.py",
        "": "built-in",
    }
    assert {path: short_path(path) for path in paths} == paths


def test_every_source_file_has_a_stage() -> None:
    sources = [path.relative_to(ROOT / RUST) for path in (ROOT / RUST).rglob("*.rs")]
    assert RUST_STAGES.keys() <= {path.parts[0].removesuffix(".rs") for path in sources}  # no name is stale
    stages = {path: stage_of_file(f"{RUST}{path.as_posix()}") for path in sources}
    assert set(stages.values()) == set(STAGES)
    inner = {stage for path, stage in stages.items() if {"levels", "orders", "pool"} & set(path.parts)}
    assert inner == {"book"}
    assert {stage_of_file(f"{RUST}{name}") for name in ("engine.rs", "lib.rs", "py/session.rs", "nobody/knows.rs")} == {"engine"}
    python = (*(f"stages/{stage}.py" for stage in PATH), "feeds/itch.py", "engine/python.py", "numpy/core.py")
    assert [stage_of_file(file) for file in python] == [*PATH, "tick", "engine", "other"]


def test_the_command_line_prints_a_table_writes_json_and_a_chart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chart, out = tmp_path / "chart.png", tmp_path / "out.json"
    words = ["profile", "--tool", "calls", "--messages", "300", "--regime", "deep", "--chart", str(chart), "--out", str(out)]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "Signal.update" in text
    assert "300 messages" in text
    assert chart.read_bytes().startswith(b"\x89PNG")
    assert json.loads(out.read_text())["tool"] == "calls"
    assert main(["profile", "--messages", "300", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["schema"] == Profile.schema


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--tool", "flame"], "unknown tool 'flame'"),
        (["--chart", "picture.pdf"], "known: .html, .json, .png, .svg"),
        (["--messages", "50"], "messages must be between 100"),
    ],
)
def test_the_command_line_answers_bad_words_with_a_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["profile", *words]) == 2
    text = capsys.readouterr().err
    assert sentence in text
    assert text.count("\n") == 1
