"""Do the magics measure, return objects and raise; do results show themselves without letting data become HTML?"""

import json
from collections.abc import Iterator

import pytest
from IPython.testing.globalipapp import start_ipython

import hftlab
from hftlab.errors import ConfigError, UnknownName
from hftlab.notebook.magics import CellComparison


@pytest.fixture(scope="module")
def ip() -> Iterator[object]:
    shell = start_ipython()
    if shell is None:
        from IPython.core.getipython import get_ipython

        shell = get_ipython()
    shell.run_line_magic("load_ext", "hftlab")
    yield shell
    shell.run_line_magic("reset", "-f")


def test_latency_of_an_engine(ip) -> None:  # type: ignore[no-untyped-def]
    ip.user_ns["small"] = hftlab.synthetic(messages=2_000)
    found = ip.run_line_magic("latency", "python --feed small --rounds 3")
    assert isinstance(found, hftlab.LatencyReport)
    assert (found.label, found.messages) == ("python", 2_000)
    assert found["total"].n == 3 * 1_800
    assert "n/a" in found._repr_html_()
    ip.user_ns["mine"] = hftlab.Engine("python", until="book")
    assert set(ip.run_line_magic("latency", "mine --feed small --rounds 3").timings.until_ns) == {"tick", "book"}


def test_comparison_of_cells(ip) -> None:  # type: ignore[no-untyped-def]
    ip.user_ns["values"] = list(range(20_000))
    cell = "sum(values)\n# vs\nfor _ in range(10):\n    sum(values)\n# vs\nsum(values)  # again"
    found = ip.run_cell_magic("compare", "-r 11", cell)
    assert isinstance(found, CellComparison)
    assert found.verdict.startswith("slower")
    frame = found.frame()
    assert frame["part"].to_list()[0] == "sum(values)"
    assert frame["ratio"][1] < 1  # ten times the work
    assert frame["verdict"][0].startswith("control")
    assert type(found).from_dict(json.loads(found.to_json())).frame().equals(found.frame())


@pytest.mark.rust
def test_comparison_of_engines(ip) -> None:  # type: ignore[no-untyped-def]
    found = ip.run_line_magic("compare", "python 'rust naive' --feed small -r 5")
    assert isinstance(found, hftlab.Comparison)
    assert found.faster
    assert "book=btree" in found.b


def test_backend_is_shown_and_chosen(ip, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("HFTLAB_BACKEND", "auto")
    assert {info.name for info in ip.run_line_magic("backend", "")} >= {"python", "rust"}
    chosen = ip.run_line_magic("backend", "python")
    assert [info.name for info in chosen if info.default] == ["python"]
    assert hftlab.Engine().backend == "python"


@pytest.mark.parametrize(
    ("magic", "line", "cell", "error", "words"),
    [
        ("latency", "nobody", None, UnknownName, "unknown backend 'nobody'; known: python"),
        ("latency", "--rounds x", None, ConfigError, "rounds"),
        ("latency", "--nothing", None, ConfigError, "nothing"),
        ("compare", "", "pass\n# vs\nraise KeyError('mine')", KeyError, "mine"),
        ("compare", "", "pass\n# vs\n1 +", SyntaxError, "invalid syntax"),
        ("compare", "python", None, ConfigError, "%compare needs 2 engines, got 1"),
        ("compare", "", "pass", ConfigError, "a comparison needs at least 2 parts, divided by a line '# vs', got 1"),
        ("backend", "nobody", None, UnknownName, "unknown backend 'nobody'"),
    ],
)
def test_what_is_wrong_is_an_exception(ip, magic, line, cell, error, words) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(error, match=words):
        ip.run_line_magic(magic, line) if cell is None else ip.run_cell_magic(magic, line, cell)


@pytest.mark.parametrize("magic", ["latency", "compare", "backend"])
def test_a_question_mark_helps(ip, magic: str) -> None:  # type: ignore[no-untyped-def]
    text = ip.magics_manager.magics["line"][magic].__doc__
    assert f"%{magic}" in text
    assert "default" in text


def test_everything_from_data_is_escaped() -> None:
    evil = "<script>alert(1)</script>"
    feed = hftlab.EventFeed(hftlab.decode(hftlab.synthetic(messages=50)), symbols=("", evil), name=evil)
    run = hftlab.Engine("python").run(feed)
    verdict = hftlab.verify("python", "python", feed)
    for shown in (feed._repr_html_(), run._repr_html_(), verdict._repr_html_()):
        assert "<script" not in shown
        assert "&lt;script&gt;" in shown
