"""Progress of whatever may take more than a second: a bar in a notebook or a terminal, nothing in CI or a pipe.

In a notebook the bar is text that is written anew in its place. A widget would be another thing: one that ends before the page
has drawn it, as on a busy machine, leaves an error there.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")
DELAY_S = 1.0  # what ends sooner shows no bar


def track(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
    """The same items, with a bar that names `what`. The bar moves between items, never while one is worked on."""
    kernel = _in_kernel()
    if os.environ.get("CI") or not (kernel or sys.stderr.isatty()):
        yield from items
        return
    from tqdm import tqdm

    kind, where = (_displayed(tqdm), {"file": io.StringIO(), "ncols": 100, "ascii": False}) if kernel else (tqdm, {})
    yield from kind(items, desc=what, total=total, delay=DELAY_S, leave=False, miniters=1, **where)


def _in_kernel() -> bool:
    """Whether this runs in a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    return hasattr(ipython.get_ipython() if ipython else None, "kernel")


def _displayed(plain: type[Any]) -> type[Any]:
    """The bar, shown as an output of the cell, of which nothing is left at the end."""
    from IPython.display import display

    class Displayed(plain):  # type: ignore[misc]
        output: Any = None

        def display(self, msg: str | None = None, pos: int | None = None) -> None:
            text = {"text/plain": str(self) if msg is None else msg}
            if self.output is None and msg is None:
                self.output = display(text, raw=True, display_id=True)  # type: ignore[no-untyped-call]
            elif self.output is not None:
                self.output.update(text, raw=True)

    return Displayed
