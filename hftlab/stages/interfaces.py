"""What a stage of one's own must offer, method by method, to take the place of one of ours in the Python engine.

    hftlab.Engine(tick=MyTick, book=MyBook, signal=MySignal, order=MyOrder)

Each is a class, or any callable, that makes a new stage for every run; it is called with the arguments of the stage it
replaces, which its protocol names. Stages have no base class: what counts is that the methods are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from hftlab.errors import ConfigError
from hftlab.feeds.frames import Block, Problem
from hftlab.stages.book import Top
from hftlab.stages.order import Accepted
from hftlab.stages.signal import Values
from hftlab.stages.tick import Event


class TickStage(Protocol):
    """Wire bytes -> events. Made by `MyTick(names, strict=...)`.

    names   : 8-byte stock by instrument, to be filled as the feed tells; the order stage reads the same object
    index   : number of the next message
    used    : bytes of whole messages read of the latest block
    problem : why it stopped early in the latest block, or None
    unknown : messages of unknown type, by type byte
    """

    names: dict[int, bytes]
    index: int
    used: int
    problem: Problem | None
    unknown: Mapping[int, int]

    def events(self, data: Block) -> Iterator[Event]:
        """Yield one event per whole message in `data`; `used` counts a message once the caller has come back for the next."""


class BookStage(Protocol):
    """Every order of every instrument. Made by `MyBook()`. Sides are 1 (bid) and 2 (ask), prices any i64, ids any u64."""

    def apply(self, kind: int, instrument: int, side: int, order_id: int, new_order_id: int, price: int, qty: int) -> int:
        """Apply one event. Returns the side it acted on (1, 2; 3 for a CLEAR), 0 if this kind never changes a book, or the
        negative of its `Fault` if it was refused; then nothing has changed."""

    def best(self, instrument: int) -> Top:
        """(bid price, bid quantity, ask price, ask quantity); price 0 and quantity 0 for an empty side."""

    def depth_qty(self, instrument: int, side: int, n: int) -> int:
        """Total quantity of the best n levels of one side; 0 if it is empty."""

    def depth(self, instrument: int) -> list[tuple[int, int, int, int]]:
        """(side, price, quantity, order count) of every level, bids then asks, best first."""

    def queue(self, instrument: int, side: int, price: int) -> list[tuple[int, int]]:
        """(order id, quantity) of one level, the front first; [] if there is no such level."""

    def locate(self, order_id: int) -> tuple[int, int, int, int] | None:
        """(instrument, side, price, quantity left) of a live order; None if it is not live."""

    def memory(self) -> dict[str, int]:
        """`live_orders`, and the bytes that the orders (`order_bytes`) and the levels (`level_bytes`) take."""


class SignalStage(Protocol):
    """The nine signals of every instrument. Made by `MySignal(config)` with a SignalConfig."""

    def update(self, book: Any, instrument: int, kind: int, qty: int, side: int, before: Top, after: Top) -> Values:
        """Advance one instrument by one applied event and return its nine values, in the order of `stages.signal.NAMES`.

        book          : the book stage, after the event
        side          : what BookStage.apply returned; the other side has not changed
        before, after : the touch of the instrument around the event
        """

    def values(self, instrument: int) -> Values:
        """The latest nine values of an instrument; `stages.signal.NO_VALUES` if it has none yet."""


class OrderStage(Protocol):
    """Decide, check the risk, encode. Made by `MyOrder(config, risk, names, price_scale)`.

    config  : OrderConfig; risk: RiskConfig; names: 8-byte symbol by instrument; price_scale: units per 1.0 of currency
    orders  : what was accepted, in the fields of `engine.recording.ORDER_DTYPE`
    stream  : the exact bytes sent
    rejects : refusals by index into `settings.REJECTS`
    """

    orders: list[Accepted]
    stream: bytes | bytearray
    rejects: list[int]

    def update(self, index: int, ts_ns: int, instrument: int, top: Top, score: float) -> None:
        """Act, or not, on one applied event of an instrument. `index` is the message number, `score` the ninth signal."""

    def status(self, instrument: int, code: int) -> None:
        """The trading state of an instrument changed; `code` is its ASCII letter."""


#: What makes a stage: a class, or anything that can be called like one.
Factory = Callable[..., Any]

#: Stage -> its protocol, in the order of the path.
INTERFACES: dict[str, type] = {"tick": TickStage, "book": BookStage, "signal": SignalStage, "order": OrderStage}


def methods(protocol: type) -> list[str]:
    """The methods of a protocol, in the order in which it lists them."""
    return [name for name, value in vars(protocol).items() if callable(value) and not name.startswith("_")]


def members(protocol: type) -> list[str]:
    """Its attributes, then its methods."""
    return [*vars(protocol).get("__annotations__", ()), *methods(protocol)]


def lacking(value: object, wanted: list[str]) -> list[str]:
    """Those of the wanted names that an object does not have."""
    return [name for name in wanted if not hasattr(value, name)]


def label(factory: Factory) -> str:
    """What a stage is called in tables: the name of its class or function."""
    return getattr(factory, "__name__", None) or type(factory).__name__


def build(stage: str, factory: Factory, *arguments: Any, **more: Any) -> Any:
    """Make a stage for one run.

    raises : ConfigError naming what the object lacks, before anything runs
    """
    built = factory(*arguments, **more)
    if missing := lacking(built, members(INTERFACES[stage])):
        raise ConfigError(
            f"{stage} stage {label(factory)} lacks {', '.join(missing)}; "
            f"it must have what hftlab.stages.interfaces.{INTERFACES[stage].__name__} lists"
        )
    return built
