"""OUCH 5.0, client to host: the orders. All may be sent again harmlessly; `user_ref` rises strictly from 1 on each port.

An appendage that only edition B knows may be absent altogether.
"""

from __future__ import annotations

from hftlab.protocols.ouch_fields import U32, U64, Alpha4, Alpha8, Alpha14, Appendage, Char, Message


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
    appendage: Appendage = ()


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
    appendage: Appendage = ()


class CancelOrder(Message, letter="X", optional=True):
    """Cancel order. quantity : the new intended size of the order, 0 to cancel all of it."""

    user_ref: U32
    quantity: U32 = 0
    appendage: Appendage = ()


class ModifyOrder(Message, letter="M", optional=True):
    """Modify order. Only from S to E or T, from E to T, and to a smaller intended size; priority is kept."""

    user_ref: U32
    side: Char
    quantity: U32
    appendage: Appendage = ()


class AccountQuery(Message, letter="Q", optional=True):
    """Account query. Asks for the next UserRefNum."""

    appendage: Appendage = ()


class MassCancel(Message, letter="C"):
    """Mass cancel. Edition B; a blank symbol means all, options side, group_id and user_ref_idx narrow it."""

    user_ref: U32
    firm: Alpha4
    symbol: Alpha8 = ""
    appendage: Appendage = ()


class DisableOrderEntry(Message, letter="D"):
    """Disable order entry. Edition B."""

    user_ref: U32
    firm: Alpha4
    appendage: Appendage = ()


class EnableOrderEntry(Message, letter="E"):
    """Enable order entry. Edition B."""

    user_ref: U32
    firm: Alpha4
    appendage: Appendage = ()


#: Every message a client may send, by its type byte.
INBOUND: dict[str, type[Message]] = {
    kind.LETTER: kind
    for kind in (
        EnterOrder,
        ReplaceOrder,
        CancelOrder,
        ModifyOrder,
        AccountQuery,
        MassCancel,
        DisableOrderEntry,
        EnableOrderEntry,
    )
}
