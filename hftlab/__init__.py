"""hftlab: a laboratory for the tick-to-trade path. The public names stand in `__init__.pyi`; each is imported when first used."""

from __future__ import annotations

from typing import Any

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def load_ipython_extension(ipython: Any) -> None:
    """`%load_ext hftlab`: the magics, and charts that show offline; see `hftlab.notebook`."""
    from hftlab.notebook import load

    load(ipython)
