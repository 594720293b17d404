"""What outlives a run: the user's folder, and a lock for the files in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hftlab.errors import OutputError


def user_folder() -> Path:
    """$HFTLAB_HOME, or ~/.hftlab. It need not exist."""
    return Path(os.environ.get("HFTLAB_HOME") or "~/.hftlab").expanduser()


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """One process at a time within, by a lock file beside `path`. Where the system has no flock there is no lock.

    raises : OutputError if the lock file cannot be made
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = open(path.with_name(f".{path.name}.lock"), "w")  # noqa: SIM115 - closed below
    except OSError as error:
        raise OutputError(f"{path}: cannot be locked: {error.strerror or error}") from None
    with handle:
        try:
            import fcntl
        except ImportError:
            pass
        else:
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
