"""OUCH 5.0, both directions: decode by direction, encode, and the codes a message may carry.

The same letter means different things to and from the host, so the direction decides: `decode_inbound` reads what a client sent
(carried in SoupBinTCP U packets), `decode_outbound` what a host sent (in S packets). Messages are frozen dataclasses.

>>> order = EnterOrder(1, "B", 100, "AAPL", 1_234_500, appendage=appendage(firm="LIME"))
>>> decode_inbound(order.encode()) == order, order.option("firm")
(True, 'LIME')
"""

from __future__ import annotations

from hftlab.errors import WireError
from hftlab.protocols.ouch_fields import TAGS, Appendage, Message, appendage
from hftlab.protocols.ouch_inbound import (
    INBOUND,
    AccountQuery,
    CancelOrder,
    DisableOrderEntry,
    EnableOrderEntry,
    EnterOrder,
    MassCancel,
    ModifyOrder,
    ReplaceOrder,
)
from hftlab.protocols.ouch_outbound import (
    OUTBOUND,
    Accepted,
    AccountQueryResponse,
    AiqCanceled,
    Broken,
    Canceled,
    CancelPending,
    CancelReject,
    DisableResponse,
    EnableResponse,
    Executed,
    MassCancelResponse,
    Modified,
    PriorityUpdate,
    Rejected,
    Replaced,
    Restated,
    SystemEvent,
)

__all__ = [
    "CANCEL_REASONS",
    "HIGHEST_LIMIT",
    "INBOUND",
    "MOST_SHARES",
    "OUTBOUND",
    "REJECT_REASONS",
    "TAGS",
    "Accepted",
    "AccountQuery",
    "AccountQueryResponse",
    "AiqCanceled",
    "Appendage",
    "Broken",
    "CancelOrder",
    "CancelPending",
    "CancelReject",
    "Canceled",
    "DisableOrderEntry",
    "DisableResponse",
    "EnableOrderEntry",
    "EnableResponse",
    "EnterOrder",
    "Executed",
    "MassCancel",
    "MassCancelResponse",
    "Message",
    "Modified",
    "ModifyOrder",
    "PriorityUpdate",
    "Rejected",
    "ReplaceOrder",
    "Replaced",
    "Restated",
    "SystemEvent",
    "appendage",
    "decode_inbound",
    "decode_outbound",
    "encode",
]

MOST_SHARES = 999_999  # the largest order
HIGHEST_LIMIT = 0x7735939C  # 199,999.9900, the largest limit price; from 200,000 on a price means a market order

#: Why an order was canceled, by the letter of `Canceled.reason`.
CANCEL_REASONS: dict[str, str] = {
    "D": "regulatory restriction",
    "E": "closed",
    "F": "post only, would have been locked or crossed",
    "G": "post only, by its contra side",
    "H": "halted",
    "I": "immediate or cancel",
    "K": "market collars",
    "Q": "self-match prevention",
    "S": "supervisory",
    "T": "timeout",
    "U": "by the user",
    "X": "open protection",
    "Z": "system",
    "e": "day limit of exposure reached",
}

_FROM_1 = (  # both editions
    "quote unavailable, destination closed, invalid display, invalid max floor, invalid peg type, fat finger, halted, "
    "ISO not allowed, invalid side, processing error, cancel pending, firm not authorized, invalid min quantity, "
    "no closing reference price, other, cancel not allowed, pegging not allowed, crossed market, invalid quantity, "
    "invalid cross order, replace not allowed, routing not allowed, invalid symbol, test, late LOC too aggressive, "
    "retail not allowed, invalid midpoint post only price, invalid destination, invalid price, shares exceed threshold, "
    "exceeds maximum notional, risk: aggregate exposure, risk: market impact, risk: restricted stock, "
    "risk: short sell restricted, risk: ISO not allowed, risk: exceeds ADV limit, risk: fat finger, risk: locate required, "
    "risk: symbol message rate, risk: port message rate, risk: duplicate message rate"
)

#: Why an order was rejected, by the number of `Rejected.reason`.
REJECT_REASONS: dict[int, str] = dict(enumerate(_FROM_1.split(", "), start=1))


def decode_inbound(data: bytes) -> Message:
    """A message from a client. raises : WireError for an unknown type, a wrong size or a broken appendage."""
    return _decode(data, INBOUND, "inbound")


def decode_outbound(data: bytes) -> Message:
    """A message from a host. raises : WireError as `decode_inbound`."""
    return _decode(data, OUTBOUND, "outbound")


def encode(message: Message) -> bytes:
    """The bytes of a message of either direction. raises : WireError for a value that does not fit its field."""
    return message.encode()


def _decode(data: bytes, kinds: dict[str, type[Message]], direction: str) -> Message:
    if not data:
        raise WireError(f"OUCH {direction} message: offset 0: no bytes; allowed types are {' '.join(kinds)}", offset=0)
    kind = kinds.get(chr(data[0]))
    if kind is None:
        letter = chr(data[0]) if 32 < data[0] < 127 else f"0x{data[0]:02x}"
        text = f"OUCH {direction} message: offset 0: unknown type {letter!r}; known: {' '.join(kinds)}"
        raise WireError(text, offset=0)
    return kind.decode(data)
