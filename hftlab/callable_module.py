"""Modules that can be called: `hftlab.verify(a, b, feed)` beside `hftlab.conformance.Divergence`.

A submodule and a function of one name would fight for one attribute of the package, and whichever was imported last would win.
Here they are one object: the module, which passes a call on to its function of the same name.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class CallableModule(ModuleType):
    """A module that is also its own main function."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(self, self.__name__.rpartition(".")[2])(*args, **kwargs)


def make_callable(name: str) -> None:
    """Give the module `name` (its `__name__`) the call of its function of the same name."""
    sys.modules[name].__class__ = CallableModule
