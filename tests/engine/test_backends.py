"""Which engine answers to which name, and is a missing or mismatched one loud?"""

from types import SimpleNamespace

import pytest

import hftlab
from hftlab.diagnostics import doctor
from hftlab.engine import session as registry
from hftlab.engine.python import PythonBackend
from hftlab.errors import BackendMissing, LayoutError, UnknownName
from hftlab.events import EVENT_FIELDS
from hftlab.measurement.machine import describe, fingerprint


class Point:
    """An entry point that gives what it is told to."""

    def __init__(self, give: object) -> None:
        self.give = give

    def load(self) -> object:
        if isinstance(self.give, Exception):
            raise self.give
        return self.give


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Point]:
    """The installed entry points, to be changed by a test."""
    points: dict[str, Point] = {}
    monkeypatch.setattr(registry, "_entry_points", lambda: points)
    monkeypatch.delenv("HFTLAB_BACKEND", raising=False)
    monkeypatch.delenv("HFTLAB_REQUIRE_RUST", raising=False)
    registry._load.cache_clear()
    yield points
    registry._load.cache_clear()


def rust(**changes: object) -> SimpleNamespace:
    given = {
        "__version__": hftlab.__version__,
        "event_layout": lambda: list(EVENT_FIELDS),
        "variants": dict,
        "session": None,
        "clock": "none",
    }
    return SimpleNamespace(**{**given, **changes})


def test_without_rust_auto_is_python_and_says_why(installed: dict[str, Point]) -> None:
    infos = {info.name: info for info in hftlab.backends()}
    assert infos["python"].default
    assert not infos["rust"].available
    assert "not installed" in infos["rust"].why
    assert hftlab.Engine().backend == "python"
    with pytest.raises(BackendMissing, match="'rust' is missing"):
        hftlab.Engine("rust")


def test_rust_required_is_never_replaced(installed: dict[str, Point], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFTLAB_REQUIRE_RUST", "1")
    with pytest.raises(BackendMissing):
        hftlab.Engine()


def test_another_version_is_an_error_even_for_auto(installed: dict[str, Point]) -> None:
    installed["rust"] = Point(rust(__version__="9.9.9"))
    with pytest.raises(LayoutError, match=r"9\.9\.9"):
        hftlab.Engine()


def test_another_record_is_an_error_that_shows_both(installed: dict[str, Point]) -> None:
    installed["rust"] = Point(rust(event_layout=lambda: [("ts_ns", "<i8", 0)]))
    with pytest.raises(LayoutError, match=r"'<i8'.*'<u8'"):
        hftlab.Engine()


def test_one_that_cannot_be_loaded_is_an_error_even_for_auto(installed: dict[str, Point]) -> None:
    installed["rust"] = Point(ImportError("wrong ELF class"))
    with pytest.raises(BackendMissing, match="wrong ELF class"):
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
def test_the_rust_engine_mirrors_the_record_and_the_constants() -> None:
    import hftlab_rust

    assert [tuple(field) for field in hftlab_rust.event_layout()] == list(EVENT_FIELDS)
    assert hftlab_rust.__version__ == hftlab.__version__
    assert not hftlab_rust.DEBUG_BUILD
    assert set(hftlab_rust.variants()) == {"book", "orders", "pool", "signal"}


@pytest.mark.rust
@pytest.mark.parametrize("wrong", [{"book": "skiplist"}, {"orders": "tree"}, {"signal": "guess"}, {"pool": "yes"}])
def test_an_unknown_variant_is_answered_with_the_known_ones(wrong: dict[str, str]) -> None:
    with pytest.raises(UnknownName, match="known: "):
        hftlab.Engine("rust", **wrong)


@pytest.mark.rust
def test_a_compiled_engine_says_which_processors_it_is_for() -> None:
    rust = next(info for info in hftlab.backends() if info.name == "rust")
    assert rust.build.split()[0] in ("portable", "native")
    assert fingerprint()["builds"] == {"rust": rust.build}
    assert rust.build in describe(fingerprint())
    assert rust.build in repr(rust)
    assert ("build of rust", rust.build) in [(finding.topic, finding.state) for finding in doctor(quick=True)]
