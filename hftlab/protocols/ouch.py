"""OUCH 5.0, both directions: every message as a table of its fields, decoding by direction, and the codes a message may carry.

The same letter means different things to and from the host, so the direction decides: `decode_inbound` reads what a client sent
(carried in SoupBinTCP U packets), `decode_outbound` what a host sent (in S packets). Messages are frozen dataclasses.
An appendage that only edition B knows may be absent altogether (`optional`).

>>> order = EnterOrder(1, "B", 100, "AAPL", 1_234_500, appendage=appendage(firm="LIME"))
>>> decode_inbound(order.encode()) == order, order.option("firm")
(True, 'LIME')
"""

from __future__ import annotations

from hftlab.errors import WireError
from hftlab.protocols.ouch_fields import HIGHEST_LIMIT as HIGHEST_LIMIT
from hftlab.protocols.ouch_fields import INBOUND as INBOUND
from hftlab.protocols.ouch_fields import MAX_SHARES as MAX_SHARES
from hftlab.protocols.ouch_fields import OUTBOUND as OUTBOUND
from hftlab.protocols.ouch_fields import TAGS as TAGS
from hftlab.protocols.ouch_fields import U16, U32, U64, Alpha4, Alpha8, Alpha14, Char
from hftlab.protocols.ouch_fields import Appendage as Appendage
from hftlab.protocols.ouch_fields import Message as Message
from hftlab.protocols.ouch_fields import appendage as appendage

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


# Client to host. All may be sent again harmlessly; `user_ref` rises strictly from 1 on each port.


class EnterOrder(Message, letter="O"):
    """Enter order. side : B, S, T short, E short exempt; price in 1/10,000; time_in_force : 0 day, 3 immediate, 5, 6, E."""

    user_ref: U32
    side: Char
    quantity: U32
    symbol: Alpha8
    price: U64
    time_in_force: Char = "0"
    display: Char = "Y"
    capacity: Char = "P"
    intermarket_sweep: Char = "N"
    cross_type: Char = "N"
    cl_ord_id: Alpha14 = ""


class ReplaceOrder(Message, letter="U"):
    """Replace order. quantity : for the whole chain of replaced orders, shares already executed included."""

    orig_user_ref: U32
    user_ref: U32
    quantity: U32
    price: U64
    time_in_force: Char = "0"
    display: Char = "Y"
    intermarket_sweep: Char = "N"
    cl_ord_id: Alpha14 = ""


class CancelOrder(Message, letter="X", optional=True):
    """Cancel order. quantity : the new intended size of the order, 0 to cancel all of it."""

    user_ref: U32
    quantity: U32 = 0


class ModifyOrder(Message, letter="M", optional=True):
    """Modify order. Only from S to E or T, from E to T, and to a smaller intended size; priority is kept."""

    user_ref: U32
    side: Char
    quantity: U32


class AccountQuery(Message, letter="Q", optional=True):
    """Account query. Asks for the next UserRefNum."""


class _OfFirm(Message):
    """Client to host, about all orders of a firm."""

    user_ref: U32
    firm: Alpha4


class MassCancel(_OfFirm, letter="C"):
    """Mass cancel. Edition B; a blank symbol means all, options side, group_id and user_ref_idx narrow it."""

    symbol: Alpha8 = ""


class DisableOrderEntry(_OfFirm, letter="D"):
    """Disable order entry. Edition B."""


class EnableOrderEntry(_OfFirm, letter="E"):
    """Enable order entry. Edition B."""


# Host to client. The order reference of an accepted or replaced order is its ITCH order reference, the match number of an
# execution its ITCH match number.


class SystemEvent(Message, letter="S", appended=False):
    """System event. event : S start of day, E end of day."""

    ts_ns: U64
    event: Char


class _Report(Message):
    """Host to client, what became of an order. `ts_ns` is in nanoseconds since midnight."""

    ts_ns: U64
    user_ref: U32


class _Taken(Message):
    """Host to client, an order as the host has it. order_state : L live, D dead; display may also be Z."""

    side: Char
    quantity: U32
    symbol: Alpha8
    price: U64
    time_in_force: Char
    display: Char
    order_reference: U64
    capacity: Char
    intermarket_sweep: Char
    cross_type: Char
    order_state: Char = "L"
    cl_ord_id: Alpha14 = ""


class Accepted(_Taken, _Report, letter="A"):
    """Order accepted."""


class _Replacement(Message):
    ts_ns: U64
    orig_user_ref: U32
    user_ref: U32


class Replaced(_Taken, _Replacement, letter="U"):
    """Order replaced. quantity : what is left open of the new order."""


class Canceled(_Report, letter="C", optional=True):
    """Order canceled. quantity : by how many shares the order shrank.

    reason : U user, I immediate or cancel, T timeout, H halted, E closed, Z system, Q self-match prevention, S supervisory, ...
    """

    quantity: U32
    reason: Char


class AiqCanceled(_Report, letter="D", optional=True):
    """AIQ canceled. An order that would have met its owner's: quantity is the decrement."""

    quantity: U32
    reason: Char
    prevented: U32
    price: U64
    liquidity: Char
    strategy: Char


class Executed(_Report, letter="E"):
    """Order executed. quantity : of this execution alone; liquidity : A added, R removed, and others."""

    quantity: U32
    price: U64
    liquidity: Char
    match_number: U64


class Broken(_Report, letter="B", optional=True):
    """Broken trade. reason : E, C, S or X."""

    match_number: U64
    reason: Char
    cl_ord_id: Alpha14 = ""


class Rejected(_Report, letter="J", optional=True):
    """Order rejected. reason : a number of REJECT_REASONS."""

    reason: U16
    cl_ord_id: Alpha14 = ""


class CancelPending(_Report, letter="P", optional=True):
    """Cancel pending. The order takes part in a cross and is canceled after it."""


class CancelReject(_Report, letter="I", optional=True):
    """Cancel reject. The order takes part in a cross and cannot be canceled any more."""


class PriorityUpdate(_Report, letter="T", optional=True):
    """Order priority update. order_reference is the new one."""

    price: U64
    display: Char
    order_reference: U64


class Modified(_Report, letter="M", optional=True):
    """Order modified. quantity : what is outstanding now."""

    side: Char
    quantity: U32


class Restated(_Report, letter="R"):
    """Order restated. reason : R refresh of the displayed size, P price."""

    reason: Char


class AccountQueryResponse(_Report, letter="Q", optional=True):
    """Account query response. user_ref : the next one that may be used."""


class _FirmReport(_Report):
    """Host to client, about all orders of a firm."""

    firm: Alpha4


class MassCancelResponse(_FirmReport, letter="X"):
    """Mass cancel response. Edition B."""

    symbol: Alpha8 = ""


class DisableResponse(_FirmReport, letter="G"):
    """Disable order entry response. Edition B."""


class EnableResponse(_FirmReport, letter="K"):
    """Enable order entry response. Edition B."""


def decode_inbound(data: bytes) -> Message:
    """A message from a client. raises : WireError for an unknown type, a wrong size or a broken appendage."""
    return _decode(data, INBOUND, "inbound")


def decode_outbound(data: bytes) -> Message:
    """A message from a host. raises : WireError as `decode_inbound`."""
    return _decode(data, OUTBOUND, "outbound")


def _decode(data: bytes, kinds: dict[str, type[Message]], direction: str) -> Message:
    if not data:
        raise WireError.at(f"OUCH {direction} message", 0, "must be at least 1 byte, got 0")
    kind = kinds.get(chr(data[0]))
    if kind is None:
        letter = chr(data[0]) if 32 < data[0] < 127 else f"0x{data[0]:02x}"
        raise WireError.at(f"OUCH {direction} message", 0, f"unknown type {letter!r}; known: {' '.join(kinds)}")
    return kind.decode(data)
