"""What an order must be to be accepted, each rule with the reject reason of OUCH 5.0 that an order gets which breaks it.

This exchange trades limit orders in continuous trading, displayed, in whole. What would change how an order trades and is not
done here (pegs, reserves, minimum quantity, routing, post only, discretion) is refused, never ignored.
"""

from __future__ import annotations

from hftlab.protocols.ouch import HIGHEST_LIMIT, MOST_SHARES, EnterOrder

CLOSED, INVALID_DISPLAY, INVALID_MAX_FLOOR, HALTED = 0x02, 0x03, 0x04, 0x07
ISO_NOT_ALLOWED, INVALID_SIDE, PROCESSING_ERROR, NOT_AUTHORIZED = 0x08, 0x09, 0x0A, 0x0C
INVALID_MIN_QTY, OTHER, PEGGING_NOT_ALLOWED, INVALID_QUANTITY = 0x0D, 0x0F, 0x11, 0x13
INVALID_CROSS, REPLACE_NOT_ALLOWED, ROUTING_NOT_ALLOWED = 0x14, 0x15, 0x16
INVALID_SYMBOL, INVALID_PRICE = 0x17, 0x1D

IMMEDIATE, UNTIL_TIME = "3", "6"
_TIMES_IN_FORCE = "0356E"  # day, immediate or cancel, extended hours, until a time, after hours
DAY_SECONDS = 86_400

# Options that change nothing here: who sent it, for whom, and how it is told of.
_HARMLESS = {"firm", "customer_type", "bbo_weight_indicator", "group_id", "shares_located", "locate_broker", "expire_time"}
# Options that would change how the order trades, with the value that says "not at all" and the reason for any other.
_REFUSED: dict[str, tuple[object, int]] = {
    "min_qty": (0, INVALID_MIN_QTY),
    "max_floor": (0, INVALID_MAX_FLOOR),
    "random_reserves": (0, INVALID_MAX_FLOOR),
    "price_type": ("L", PEGGING_NOT_ALLOWED),
    "route": ("", ROUTING_NOT_ALLOWED),
    "post_only": ("N", OTHER),
    "trade_now": ("N", OTHER),
    "handle_inst": (" ", OTHER),
    "user_ref_idx": (0, OTHER),
}


def refuses(order: EnterOrder) -> int:
    """The reject reason for what an order says, 0 if it may be accepted. Symbol, halts and the session are not looked at."""
    if order.side not in tuple("BSTE"):
        return INVALID_SIDE
    if not 1 <= order.quantity <= MOST_SHARES:
        return INVALID_QUANTITY
    if not 1 <= order.price <= HIGHEST_LIMIT:  # above are market orders, for crosses only
        return INVALID_PRICE
    if order.display not in tuple("YA"):
        return INVALID_DISPLAY
    if order.cross_type != "N":
        return INVALID_CROSS
    if order.intermarket_sweep not in tuple("YN"):
        return ISO_NOT_ALLOWED
    if order.time_in_force not in tuple(_TIMES_IN_FORCE) or order.capacity not in tuple("APRO"):
        return OTHER
    if order.time_in_force == UNTIL_TIME and not 0 <= (order.option("expire_time") or -1) < DAY_SECONDS:
        return OTHER
    return _refused_option(order)


def _refused_option(order: EnterOrder) -> int:
    for name, value in order.options.items():
        if name in _HARMLESS:
            continue
        neutral, reason = _REFUSED.get(name, (None, OTHER))
        if value != neutral and value != " ":
            return reason
    return 0
