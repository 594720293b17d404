"""Are two builds of the extension two engines in one process, and is a small verdict taken in several layouts of the code?"""

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

import hftlab
from hftlab.errors import BackendMissing, ConfigError
from hftlab.experiments import compare as module
from hftlab.measurement.builds import build_engine
from hftlab.measurement.paired import Interval, Paired

FEED = hftlab.synthetic(messages=2_000)


@pytest.fixture
def library() -> Path:
    extension = pytest.importorskip("hftlab_rust.hftlab_rust")
    return Path(extension.__file__)


@pytest.mark.rust
def test_two_layouts_of_a_library_are_two_modules_with_equal_results(library: Path) -> None:
    first, second = (build_engine(f"rust@{library} book=btree", layout, until="book") for layout in (0, 1))
    assert first.implementation is not second.implementation is not hftlab.Engine("rust").implementation
    assert build_engine(f"rust@{library}").implementation is first.implementation
    assert first.label.startswith(f"rust@{library.name} book=btree")
    assert hftlab.verify(first, second, FEED)
    assert hftlab.verify("rust", build_engine(f"rust@{library}"), FEED)


@pytest.mark.rust
def test_a_wheel_and_a_library_are_compared(library: Path, tmp_path: Path) -> None:
    wheel = tmp_path / "hftlab_rust-9-cp311-abi3-linux_x86_64.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(library, f"hftlab_rust/{library.name}")
    found = hftlab.compare(f"rust@{library}", f"rust@{wheel}", FEED, rounds=3)
    assert (found.rounds, len(found.metrics)) == (3, 4)
    assert found.b.startswith(f"rust@{wheel.name} ")


def test_what_is_no_build_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty.whl").write_bytes(b"")
    (tmp_path / "none.so").write_bytes(b"no library")
    with pytest.raises(ConfigError, match="must be a library"):
        build_engine(f"rust@{tmp_path / 'nowhere.so'}")
    with pytest.raises(ConfigError, match="holds no library"):
        build_engine(f"rust@{tmp_path / 'empty.whl'}")
    with pytest.raises(BackendMissing, match="cannot be loaded: ImportError"):
        build_engine(f"rust@{tmp_path / 'none.so'}")
    with pytest.raises(BackendMissing, match=r"failed|cannot be run"):
        build_engine("rust@git:no-such-revision")


def paired(ratio: float) -> Paired:
    """A comparison whose interval is a thousandth wide, with a control that is 1."""
    return Paired(100.0, 100.0 / ratio, Interval(ratio, ratio - 5e-4, ratio + 5e-4), Interval(1.0, 0.999, 1.001))


@pytest.mark.rust
@pytest.mark.parametrize(
    ("ratios", "outcome", "agree"),
    [
        ((0.98, 0.981, 0.979, 0.98, 0.982), "slower", (5, 5)),
        ((0.98, 1.0, 0.979, 1.02, 0.982), "no difference seen", (3, 5)),
        ((0.9,), "slower", (1, 1)),  # more than a layout can make
        ((1.0,), "no difference seen", (1, 1)),
    ],
)
def test_a_small_verdict_must_hold_in_four_of_five_layouts(
    ratios: tuple[float, ...], outcome: str, agree: tuple[int, int], library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = iter(ratios)
    monkeypatch.setattr(module, "_headline", lambda *_: paired(next(given)))
    found = hftlab.compare(f"rust@{library}", f"rust@{library} pool=False", FEED, rounds=3)
    assert (found.outcome, found.agreement) == (outcome, agree)
    assert next(given, None) is None
    assert any("code layout" in note for note in found.notes()) == (len(ratios) > 1)
    assert hftlab.Comparison.from_dict(found.to_dict()).to_json() == found.to_json()
    assert replace(found, layouts=()).outcome == ("slower" if ratios[0] < 1 else outcome)
