"""How the kernels are compiled: once per machine and version of these sources, without any licence to reorder arithmetic."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import config, njit

#: Numba looks only at the file of the function that is called when it decides whether a kept result is stale. The kernels call
#: each other across files, so the folder is named after all of them.
_SOURCES = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
_FOLDER = _CACHE / "hftlab-numba" / hashlib.sha256(_SOURCES).hexdigest()[:16]

#: No `fastmath`: LLVM may neither fuse nor re-associate, so the signals have the bits of the reference. No reference counts: the
#: arrays belong to the session, which outlives the call, and counting two score of them at every turn takes most of the time.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": False, "_nrt": False}


def kernel(function: Callable[..., Any]) -> Any:
    """Compile when first called, and keep the result outside the checkout: in NUMBA_CACHE_DIR, else in the user's own cache."""
    kept = config.CACHE_DIR
    config.CACHE_DIR = kept or str(_FOLDER)
    try:
        return njit(cache=True, **_OPTIONS)(function)
    finally:
        config.CACHE_DIR = kept


def inner(function: Callable[..., Any]) -> Any:
    """A function that only kernels call. It becomes part of them: handing over all arrays costs more than most of them do."""
    return njit(forceinline=True, **_OPTIONS)(function)
