"""Progress of whatever may take more than a second: a bar in a notebook or a terminal, nothing in CI or a pipe."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
DELAY_S = 1.0  # what ends sooner shows no bar


def track(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
    """The same items, with a bar that names `what`. The bar moves between items, never while one is worked on."""
    if not _watched():
        yield from items
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")  # then the bar is text
        from tqdm.auto import tqdm

        yield from tqdm(items, desc=what, total=total, delay=DELAY_S, leave=False, miniters=1)


def _watched() -> bool:
    """Whether anybody looks: a kernel, or a terminal; never CI."""
    if os.environ.get("CI"):
        return False
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return hasattr(shell, "kernel") or sys.stderr.isatty()
