"""What a stage of one's own must have, to take the place of one of ours in the Python engine.

    hftlab.Engine(tick=MyTick, book=MyBook, signal=MySignal, order=MyOrder)

Each is a class, or any callable, that makes a new stage for every run; it is called with the arguments that ours is made with.
There is no base class: what counts is that the names below are there. Each is documented in our own class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from hftlab.errors import ConfigError
from hftlab.stages.book import Book
from hftlab.stages.order import OrderEntry
from hftlab.stages.signal import Signal
from hftlab.stages.tick import Tick

#: What makes a stage: a class, or anything that can be called like one.
Factory = Callable[..., Any]


class Interface(NamedTuple):
    """Our class of a stage, and the attributes and methods of it that another one must have, too."""

    ours: Factory
    attributes: tuple[str, ...]
    methods: tuple[str, ...]


#: By stage, in the order of the path.
INTERFACES: dict[str, Interface] = {
    "tick": Interface(Tick, ("names", "used", "problem", "unknown"), ("events",)),
    "book": Interface(Book, (), ("apply", "best", "depth_qty", "depth", "queue", "locate", "memory")),
    "signal": Interface(Signal, (), ("update", "values")),
    "order": Interface(OrderEntry, ("orders", "stream", "rejects"), ("update", "status")),
}


def lacking(value: object, *wanted: str) -> list[str]:
    """Those of the wanted names that an object does not have."""
    return [name for name in wanted if not hasattr(value, name)]


def label(factory: Factory) -> str:
    """What a stage is called in tables: the name of its class or function."""
    return getattr(factory, "__name__", None) or type(factory).__name__


def build(stage: str, factory: Factory, *arguments: Any, **more: Any) -> Any:
    """Make a stage for one run.

    raises : ConfigError naming what the object lacks, before anything runs
    """
    built, interface = factory(*arguments, **more), INTERFACES[stage]
    if missing := lacking(built, *interface.attributes, *interface.methods):
        raise ConfigError(
            f"{stage} stage {label(factory)} lacks {', '.join(missing)}; it must have what hftlab.stages.interfaces lists for it"
        )
    return built
