"""Which engine answers to which name, is a missing or mismatched one loud, and are the variants listed those that Rust has?"""

import json
from collections.abc import Iterator
from types import SimpleNamespace

import planted
import pytest
from planted import Point

import hftlab
from hftlab.cli.main import main
from hftlab.diagnostics import doctor
from hftlab.engine.python import PythonBackend
from hftlab.engine.variants import AXES, GOOD_AT
from hftlab.errors import BackendMissing, LayoutError, UnknownName
from hftlab.events import EVENT_FIELDS
from hftlab.measurement.machine import describe, fingerprint


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Point]]:
    """The installed entry points, to be changed by a test."""
    yield from planted.installed(monkeypatch)


def rust(**changes: object) -> SimpleNamespace:
    methods = {"event_layout": lambda: list(EVENT_FIELDS), "variants": dict, "session": None, "clock": "none"}
    return SimpleNamespace(**{"__version__": hftlab.__version__, **methods, **changes})


def test_without_rust_auto_is_python_unless_it_is_required(installed: dict[str, Point], monkeypatch: pytest.MonkeyPatch) -> None:
    infos = {info.name: info for info in hftlab.backends()}
    assert infos["python"].default
    assert not infos["rust"].available
    assert "not installed" in infos["rust"].why
    assert hftlab.Engine().backend == "python"
    with pytest.raises(BackendMissing, match="'rust' is missing"):
        hftlab.Engine("rust")
    monkeypatch.setenv("HFTLAB_REQUIRE_RUST", "1")
    with pytest.raises(BackendMissing):
        hftlab.Engine()


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        (rust(__version__="9.9.9"), LayoutError, r"9\.9\.9"),
        (rust(event_layout=lambda: [("ts_ns", "<i8", 0)]), LayoutError, r"'<i8'.*'<u8'"),
        (ImportError("wrong ELF class"), BackendMissing, "wrong ELF class"),
    ],
)
def test_a_broken_one_is_an_error_even_for_auto(installed: dict[str, Point], given: object, error: type, text: str) -> None:
    installed["rust"] = Point(given)
    with pytest.raises(error, match=text):
        hftlab.Engine()
    assert hftlab.Engine("python").backend == "python"


def test_anybodys_engine_takes_part(installed: dict[str, Point]) -> None:
    installed["mine"] = Point(PythonBackend())
    assert [info.name for info in hftlab.backends()] == ["python", "rust", "mine"]
    assert hftlab.verify("python", "mine", hftlab.ItchFeed(bytes.fromhex("000c") + b"S" + bytes(10) + b"O"))


def test_use_backend_and_the_environment(installed: dict[str, Point], monkeypatch: pytest.MonkeyPatch) -> None:
    installed["mine"] = Point(PythonBackend())
    with hftlab.use_backend("mine"):
        assert hftlab.Engine().backend == "mine"
    assert hftlab.Engine().backend == "python"
    monkeypatch.setenv("HFTLAB_BACKEND", "mine")
    assert hftlab.Engine().backend == "mine"
    monkeypatch.setenv("HFTLAB_BACKEND", "fpga")
    with pytest.raises(UnknownName, match="fpga"):
        hftlab.Engine()
    with pytest.raises(UnknownName, match="known: python, rust, mine"), hftlab.use_backend("fpga"):
        pass


@pytest.mark.rust
@pytest.mark.parametrize("wrong", [{"book": "skiplist"}, {"orders": "tree"}, {"signal": "guess"}, {"pool": "yes"}])
def test_an_unknown_variant_is_answered_with_the_known_ones(wrong: dict[str, str]) -> None:
    with pytest.raises(UnknownName, match="known: "):
        hftlab.Engine("rust", **wrong)


@pytest.mark.rust
def test_a_compiled_engine_says_which_processors_it_is_for() -> None:
    import hftlab_rust

    assert not hftlab_rust.DEBUG_BUILD
    rust = next(info for info in hftlab.backends() if info.name == "rust")
    assert rust.build.split()[0] in ("portable", "native")
    assert fingerprint()["builds"] == {"rust": rust.build}
    assert rust.build in describe(fingerprint())
    assert rust.build in repr(rust)
    assert ("build of rust", rust.build) in [(finding.topic, finding.state) for finding in doctor(quick=True)]


def test_every_name_says_what_it_is_good_at() -> None:
    assert {axis: tuple(words) for axis, words in GOOD_AT.items()} == AXES
    listed = hftlab.variants()
    assert [(row.axis, row.name) for row in listed] == [(axis, name) for axis, names in AXES.items() for name in names]
    assert [row[3] for row in listed.tables()[0].rows] == [row.good_at for row in listed]
    assert listed.frame().columns == ["axis", "name", "rank", "engines", "good_at"]


@pytest.mark.rust
def test_the_names_are_those_of_rust_in_its_order() -> None:
    import hftlab_rust

    for axis, names in hftlab_rust.variants().items():
        listed = [row.name for row in hftlab.variants() if row.axis == axis and "rust" in row.engines]
        assert listed == list(names)
        assert [name for name in AXES[axis] if name in names] == list(names)


def test_the_command_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["variants"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for names in AXES.values() for name in names)
    assert main(["variants", "--json"]) == 0
    assert {row["axis"] for row in json.loads(capsys.readouterr().out)["variants"]} == set(AXES)
