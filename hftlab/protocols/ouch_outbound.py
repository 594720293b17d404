"""OUCH 5.0, host to client: what became of the orders. `ts_ns` is in nanoseconds since midnight.

An appendage that only edition B knows may be absent altogether. The order reference of an accepted or replaced order is its
ITCH order reference, the match number of an execution its ITCH match number.
"""

from __future__ import annotations

from hftlab.protocols.ouch_fields import U16, U32, U64, Alpha4, Alpha8, Alpha14, Appendage, Char, Message


class SystemEvent(Message, letter="S"):
    """System event. event : S start of day, E end of day."""

    ts_ns: U64
    event: Char


class Accepted(Message, letter="A"):
    """Order accepted. order_state : L live, D dead; display may also be Z."""

    ts_ns: U64
    user_ref: U32
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
    appendage: Appendage = ()


class Replaced(Message, letter="U"):
    """Order replaced. quantity : what is left open of the new order."""

    ts_ns: U64
    orig_user_ref: U32
    user_ref: U32
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
    appendage: Appendage = ()


class Canceled(Message, letter="C", optional=True):
    """Order canceled. quantity : by how many shares the order shrank; reason : a letter of CANCEL_REASONS."""

    ts_ns: U64
    user_ref: U32
    quantity: U32
    reason: Char
    appendage: Appendage = ()


class AiqCanceled(Message, letter="D", optional=True):
    """AIQ canceled. An order that would have met its owner's: quantity is the decrement."""

    ts_ns: U64
    user_ref: U32
    quantity: U32
    reason: Char
    prevented: U32
    price: U64
    liquidity: Char
    strategy: Char
    appendage: Appendage = ()


class Executed(Message, letter="E"):
    """Order executed. quantity : of this execution alone; liquidity : A added, R removed, and others."""

    ts_ns: U64
    user_ref: U32
    quantity: U32
    price: U64
    liquidity: Char
    match_number: U64
    appendage: Appendage = ()


class Broken(Message, letter="B", optional=True):
    """Broken trade. reason : E, C, S or X."""

    ts_ns: U64
    user_ref: U32
    match_number: U64
    reason: Char
    cl_ord_id: Alpha14 = ""
    appendage: Appendage = ()


class Rejected(Message, letter="J", optional=True):
    """Order rejected. reason : a number of REJECT_REASONS."""

    ts_ns: U64
    user_ref: U32
    reason: U16
    cl_ord_id: Alpha14 = ""
    appendage: Appendage = ()


class CancelPending(Message, letter="P", optional=True):
    """Cancel pending. The order takes part in a cross and is canceled after it."""

    ts_ns: U64
    user_ref: U32
    appendage: Appendage = ()


class CancelReject(Message, letter="I", optional=True):
    """Cancel reject. The order takes part in a cross and cannot be canceled any more."""

    ts_ns: U64
    user_ref: U32
    appendage: Appendage = ()


class PriorityUpdate(Message, letter="T", optional=True):
    """Order priority update. order_reference is the new one."""

    ts_ns: U64
    user_ref: U32
    price: U64
    display: Char
    order_reference: U64
    appendage: Appendage = ()


class Modified(Message, letter="M", optional=True):
    """Order modified. quantity : what is outstanding now."""

    ts_ns: U64
    user_ref: U32
    side: Char
    quantity: U32
    appendage: Appendage = ()


class Restated(Message, letter="R"):
    """Order restated. reason : R refresh of the displayed size, P price."""

    ts_ns: U64
    user_ref: U32
    reason: Char
    appendage: Appendage = ()


class AccountQueryResponse(Message, letter="Q", optional=True):
    """Account query response. user_ref : the next one that may be used."""

    ts_ns: U64
    user_ref: U32
    appendage: Appendage = ()


class MassCancelResponse(Message, letter="X"):
    """Mass cancel response. Edition B."""

    ts_ns: U64
    user_ref: U32
    firm: Alpha4
    symbol: Alpha8 = ""
    appendage: Appendage = ()


class DisableResponse(Message, letter="G"):
    """Disable order entry response. Edition B."""

    ts_ns: U64
    user_ref: U32
    firm: Alpha4
    appendage: Appendage = ()


class EnableResponse(Message, letter="K"):
    """Enable order entry response. Edition B."""

    ts_ns: U64
    user_ref: U32
    firm: Alpha4
    appendage: Appendage = ()


#: Every message a host may send, by its type byte.
OUTBOUND: dict[str, type[Message]] = {
    kind.LETTER: kind
    for kind in (
        SystemEvent,
        Accepted,
        Replaced,
        Canceled,
        AiqCanceled,
        Executed,
        Broken,
        Rejected,
        CancelPending,
        CancelReject,
        PriorityUpdate,
        Modified,
        Restated,
        AccountQueryResponse,
        MassCancelResponse,
        DisableResponse,
        EnableResponse,
    )
}
