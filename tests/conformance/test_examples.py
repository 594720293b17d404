"""Do the engines of outsiders keep the contract, are they found, and do they stand in the bench table?"""

import re
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import hftlab_numba
import hftlab_numba.jit
import pictures
import pytest
from sortedcontainers_book import SortedBook

import hftlab
from hftlab.cli.main import main
from hftlab.conformance.pytest_suite import Conformance
from hftlab.engine import session as registry
from hftlab.feeds.generate.synthetic import write

ROOT = Path(__file__).resolve().parents[2]
NUMBA = ROOT / "examples" / "numba_engine"


class TestNumba(Conformance):
    backend = hftlab_numba


class TestSortedBook(Conformance):
    backend = SortedBook


@pytest.fixture
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the package of the example were installed, with the entry point that its own pyproject.toml names."""
    points = tomllib.loads((NUMBA / "pyproject.toml").read_text())["project"]["entry-points"][registry.GROUP]
    own = {name: EntryPoint(name, value, registry.GROUP) for name, value in points.items()}
    known = dict(registry._entry_points())
    monkeypatch.setattr(registry, "_entry_points", lambda: {**known, **own})
    registry._load.cache_clear()
    yield
    registry._load.cache_clear()


@pytest.mark.usefixtures("_installed")
def test_both_stand_in_the_bench_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    place = f"{ROOT / 'examples' / 'sortedcontainers_book.py'}:SortedBook"
    day = tmp_path / "day.itch"
    write(day, "calm", 2_000)
    assert main(["bench", "--feed", str(day), "--rounds", "1", "--with", place]) == 0
    text = capsys.readouterr().out
    for engine in ("numba", "python book=SortedBook"):
        assert f"{engine}: latency per message" in text
    info = next(info for info in hftlab.backends() if info.name == "numba")
    assert (info.available, info.version) == (True, hftlab_numba.__version__)


def test_an_engine_that_differs_never_reaches_the_clock() -> None:
    class Wrong(SortedBook):
        def depth_qty(self, instrument: int, side: int, n: int) -> int:
            return super().depth_qty(instrument, side, n) + 1

    with pytest.raises(hftlab.HftlabError, match=r"engines disagree; refusing to benchmark: (.|\n)*depth_imbalance differs"):
        hftlab.bench(messages=300, rounds=1, engines=[Wrong])
    with pytest.raises(hftlab.HftlabError, match="labels of engines must differ, got 'python' twice"):
        hftlab.bench(messages=300, rounds=1, engines=["python"])


@pytest.mark.parametrize("regime", ["market", "deep"])
def test_numba_grows_its_arrays(regime: str) -> None:
    assert hftlab.verify("python", hftlab_numba, hftlab.synthetic(regime, 20_000, 3))


def test_no_multiplication_is_fused_with_an_addition() -> None:
    @hftlab_numba.jit.inner
    def multiply_and_add(a: float, b: float, c: float) -> float:
        return a * b + c

    a, b = 1 + 2**-30, 1 - 2**-30
    assert multiply_and_add(a, b, -1.0) == 0.0  # fused, without the rounding in between, it is -(2 ** -60)


def test_compiling_leaves_nothing_in_the_checkout() -> None:
    assert not [path for path in ROOT.joinpath("examples").rglob("*") if path.suffix in (".nbi", ".nbc")]


@pytest.mark.rust
def test_the_pictures_of_the_readme_can_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each picture that the README and the docs show comes from the script, and is stored."""
    pages = [ROOT / "README.md", *ROOT.joinpath("docs").glob("*.md")]
    shown = [page.parent / name for page in pages for name in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text())]
    monkeypatch.setattr("sys.argv", ["pictures.py", str(tmp_path), "--messages", "2000", "--rounds", "3"])
    pictures.main()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in shown)
    for path in [*tmp_path.iterdir(), *shown]:
        assert path.read_bytes().startswith(b"\x89PNG"), path
