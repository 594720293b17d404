"""Builds of the Rust extension, beside the installed one: from a library, a wheel, or a commit, in the same process.

    rust@path/to/old.so    rust@hftlab_rust-0.1.0-cp311-abi3-linux_x86_64.whl    rust@git:HEAD~1

Each copy of a library is mapped at addresses of its own and has its own state, so that two of them alternate round by round.
Where code lies in memory moves a ratio by a percent or two, whatever it does (Mytkowicz et al. 2009, ASPLOS, "Producing wrong
data without doing anything obviously wrong"): another *layout* of a build is, for a commit, one whose functions the linker has
shuffled; for a library, a fresh copy, which is mapped and allocates elsewhere.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from hftlab.engine.engine import Engine
from hftlab.engine.variants import parse
from hftlab.errors import BackendMissing, ConfigError
from hftlab.presentation.output import file_lock, user_folder

PREFIX = "rust@"
_NAME = "hftlab_rust"
_CHECKOUT = Path(__file__).resolve().parents[2]
_BUILD_S = 1_800


def is_build(given: object) -> bool:
    """Whether a text names a build: "rust@...", with a variant behind it or without."""
    return isinstance(given, str) and given.startswith(PREFIX)


def build_engine(text: str, layout: int = 0, **settings: object) -> Engine:
    """The engine of a build.

    text     : "rust@PLACE", a variant behind it where it is not the best; see the module
    layout   : which layout of the build; 0 is the one it came with
    settings : arguments of Engine
    raises   : ConfigError for a place that is no build; BackendMissing for one that cannot be built or loaded
    """
    place, _, words = text.removeprefix(PREFIX).strip().partition(" ")
    module = _loaded(_library(place, layout), f"{PREFIX}{place.rpartition('/')[2]}", layout)
    variant = parse(words, module.variants()) if words else {}
    return Engine(module, **{**variant, **settings})  # type: ignore[arg-type]


def _library(place: str, layout: int) -> Path:
    if place.startswith("git:"):
        return _built(place.removeprefix("git:"), layout)
    path = Path(place)
    if not path.is_file():
        raise ConfigError(f"{PREFIX}{place}: must be a library (.so), a wheel (.whl) or git:REV; there is no such file")
    return _unpacked(path) if path.suffix == ".whl" else path


@cache
def _scratch() -> Path:
    """A folder for copies, gone with the process."""
    folder = tempfile.TemporaryDirectory(prefix="hftlab-builds-")
    _KEPT.append(folder)
    return Path(folder.name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


def _unpacked(wheel: Path) -> Path:
    try:
        with zipfile.ZipFile(wheel) as archive:
            inside = next(name for name in archive.namelist() if name.startswith(f"{_NAME}/") and name.endswith(".so"))
            return Path(archive.extract(inside, _scratch() / wheel.stem))
    except (zipfile.BadZipFile, StopIteration, OSError) as error:
        raise ConfigError(f"{wheel}: holds no library of hftlab-rust: {error or 'none in it'}") from None


@cache
def _loaded(library: Path, name: str, layout: int) -> ModuleType:
    """The extension from a copy of a library: the loader maps one file once, however often it is asked."""
    copy = _scratch() / f"{layout}-{len(os.listdir(_scratch()))}" / library.name
    copy.parent.mkdir()
    shutil.copyfile(library, copy)
    spec = spec_from_file_location(_NAME, copy)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{library}: must be a library, .so")
    known = sys.modules.get(_NAME)
    try:
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
    except Exception as error:
        raise BackendMissing(f"{library}: cannot be loaded: {type(error).__name__}: {error}") from None
    finally:
        if known is not None:
            sys.modules[_NAME] = known
    module.name = name  # type: ignore[attr-defined]
    return module


def _built(revision: str, layout: int) -> Path:
    """The library of a commit of the checkout, built once and kept in the user's folder."""
    commit = _output(["git", "-C", str(_CHECKOUT), "rev-parse", "--verify", f"{revision}^{{commit}}"], "git").strip()
    folder = user_folder() / "builds"
    library = folder / f"{commit[:12]}-{layout}.so"
    with file_lock(library):
        if library.exists():
            return library
        source = folder / commit[:12]
        source.mkdir(exist_ok=True)
        archive = source / "source.tar"
        _output(["git", "-C", str(_CHECKOUT), "archive", "-o", str(archive), commit, "rust_ext"], "git")
        shutil.unpack_archive(archive, source, filter="data")
        command = ["cargo", "rustc", "--release", "--features", "python", "--lib", "--crate-type", "cdylib"]
        command += ["--target-dir", str(folder / "target"), *(["--", *_shuffled(layout)] if layout else [])]
        _output(command, "cargo", cwd=source / "rust_ext")
        shutil.copyfile(folder / "target/release" / f"lib{_NAME}.so", library)
    return library


def _shuffled(seed: int) -> list[str]:
    """Arguments with which the linker that comes with Rust puts the functions into another order."""
    root = _output(["rustc", "--print", "target-libdir"], "rustc").strip()
    linker = Path(root).parent / "bin" / "gcc-ld"
    words = [f"-B{linker}", "-fuse-ld=lld", f"-Wl,--shuffle-sections=.text.*={seed}"]
    return [part for word in words for part in ("-C", f"link-arg={word}")]


def _output(command: list[str], what: str, cwd: Path | None = None) -> str:
    """What a command prints. Raises BackendMissing with the last line of its errors."""
    environment = {**os.environ, "PYO3_BUILD_EXTENSION_MODULE": "1", "PYO3_PYTHON": sys.executable}
    try:
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=_BUILD_S, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise BackendMissing(f"{what} cannot be run: {error}") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise BackendMissing(f"{' '.join(command[:4])} failed: {last}")
    return done.stdout
