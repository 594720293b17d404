"""What is kept between runs: the user's own folder, how a file is replaced in it, of which machine and commit a figure is."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hftlab.errors import HftlabError
from hftlab.measurement import machine as fingerprints

ABSENT = "not recorded"


def home() -> Path:
    """$HFTLAB_HOME, or ~/.hftlab. It need not exist."""
    return Path(os.environ.get("HFTLAB_HOME") or "~/.hftlab").expanduser()


def stable(machine: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a fingerprint that decides whether figures may be compared: not the code, which is what is compared."""
    return {name: machine[name] for name in fingerprints.STABLE if name in machine}


def machine_id(machine: Mapping[str, Any]) -> str:
    """Eight hex digits of the stable part of a fingerprint."""
    return hashlib.sha256(json.dumps(stable(machine), sort_keys=True, default=str).encode()).hexdigest()[:8]


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Every stable field in which two fingerprints differ, with both values; what stands in mappings by its own name."""
    out: list[str] = []
    for name, (left, right) in fingerprints.differences(stable(before), stable(now)).items():
        if isinstance(left, dict) and isinstance(right, dict):
            keys = [key for key in dict.fromkeys([*left, *right]) if left.get(key) != right.get(key)]
            out += [f"{name} {key}: {left.get(key, ABSENT)} / {right.get(key, ABSENT)}" for key in keys]
        else:
            out.append(f"{name}: {ABSENT if left is None else left} / {ABSENT if right is None else right}")
    return out


def commit() -> str | None:
    """The commit of the git checkout one stands in, with a "+" if files that git knows have changed; None outside of one."""
    short, changed = _git("rev-parse", "--short", "HEAD"), _git("status", "--porcelain", "--untracked-files=no")
    return f"{short}{'+' if changed else ''}" if short else None


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def replace(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file beside `path` and put it in its place at once: whoever reads sees the old one or the new one, whole.

    raises : HftlabError if it cannot be written
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        try:
            write(Path(name))
            os.replace(name, path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise HftlabError(f"{path}: cannot be written: {error.strerror or error}") from None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time within, by a lock file beside `path`. Where the system has no flock there is no lock: then of two
    appends at the same time one may be lost, but no file is ever broken. Raises HftlabError if it cannot be made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = open(path.with_name(f".{path.name}.lock"), "w")  # noqa: SIM115 - closed below
    except OSError as error:
        raise HftlabError(f"{path}: cannot be locked: {error.strerror or error}") from None
    with handle:
        try:
            import fcntl
        except ImportError:
            pass
        else:
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
