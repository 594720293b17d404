"""What every test may ask for: the real exchange data, and the Rust engine (``@pytest.mark.rust``)."""

import importlib
import importlib.util
import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

# How long an example takes says something about the machine, not about the code.
settings.register_profile("hftlab", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hftlab")

# A script's job in the background ignores Ctrl-C, and so would each process that a test starts in order to interrupt it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real exchange data: $HFTLAB_DATA, or ``../shared/data`` beside the checkout."""
    named = os.environ.get("HFTLAB_DATA")
    folder = Path(named).expanduser().resolve() if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        # A path somebody has named and that is wrong is an error, not a reason to test less.
        if named:
            pytest.fail(f"HFTLAB_DATA={named!r} is not a folder", pytrace=False)
        pytest.skip("no real exchange data: neither HFTLAB_DATA nor ../shared/data beside the checkout")
    return folder


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own for what each test keeps: never the user's."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HFTLAB_HOME", str(folder))
    return folder


@pytest.fixture(params=["python", pytest.param("rust", marks=pytest.mark.rust)])
def backend(request: pytest.FixtureRequest) -> str:
    """The name of an engine: a test that asks for it is asked of both."""
    return str(request.param)


#: Marks that hold for a whole folder of tests, or a file of one. "engine_free" are also those whose every test names its engine.
MARKS = {
    "batch": ("engine_free",),
    "charts": ("engine_free",),
    "charts/test_kinds.py": ("slow",),
    "cli": ("slow", "fallback"),
    "conformance": ("slow",),
    "conformance/test_conformance.py": ("fallback",),
    "course/test_course.py": ("engine_free",),
    "course/test_exercises.py": ("slow",),
    "course/test_legacy_method.py": ("engine_free",),
    "course/test_material.py": ("slow",),
    "course/test_nbval.py": ("engine_free", "slow"),
    "course/test_notebooks.py": ("engine_free",),
    "course/test_paths.py": ("engine_free",),
    "engine/test_histogram.py": ("engine_free",),
    "experiments/test_causes.py": ("engine_free",),
    "experiments/test_compare.py": ("slow",),
    "experiments/test_latency.py": ("slow",),
    "experiments/test_stored_results.py": ("slow",),
    "feeds/test_random_feeds.py": ("slow",),
    "feeds/test_reader_conformance.py": ("slow",),
    "feeds/test_synthetic.py": ("slow",),
    "house": ("engine_free",),
    "house/test_annexes.py": ("slow",),
    "house/test_docs.py": ("slow",),
    "loadtest": ("net",),
    "loadtest/test_faults.py": ("engine_free", "slow"),
    "loadtest/test_reports.py": ("engine_free",),
    "loadtest/test_soak.py": ("engine_free",),
    "loadtest/test_stress.py": ("engine_free",),
    "net": ("net",),
    **{f"net/test_net_{name}.py": ("engine_free",) for name in ("exchange", "hostile", "matching", "publisher", "trader")},
    "notebook": ("slow",),
    "notebook/test_lab_browser.py": ("browser",),
    "presentation": ("engine_free",),
    "profiling": ("slow",),
    "protocols": ("engine_free",),
    "reporting": ("slow",),
}


def marks_of(path: Path) -> set[str]:
    """The marks of a test file and of its folder."""
    here = Path(__file__).parent
    if here not in path.parents:
        return set()
    place = path.relative_to(here)
    return {mark for name in (place.as_posix(), place.parts[0]) for mark in MARKS.get(name, ())}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test the mark of its folder; a test that names the Python engine proves the same where there is no other. The
    files that take longest begin: of two workers neither waits for the other at the end."""
    for item in items:
        for mark in marks_of(item.path):
            item.add_marker(mark)
        params = getattr(getattr(item, "callspec", None), "params", {})
        if any(isinstance(params.get(name), str) and params[name] == "python" for name in ("backend", "engine")):
            item.add_marker("engine_free")
    items.sort(key=lambda item: ("browser" not in marks_of(item.path), "slow" not in marks_of(item.path)))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip ``rust`` tests where the extension is not installed; fail them where it is required or broken."""
    if item.get_closest_marker("rust") is None:
        return
    if importlib.util.find_spec("hftlab_rust") is not None:
        importlib.import_module("hftlab_rust")  # installed but broken: its own error is the clearest
    elif os.environ.get("HFTLAB_REQUIRE_RUST") == "1":
        pytest.fail("HFTLAB_REQUIRE_RUST=1, but hftlab_rust is not installed", pytrace=False)
    else:
        pytest.skip("the Rust engine (hftlab_rust) is not installed")
