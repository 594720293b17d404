"""ITCH 5.0 messages as framed bytes: a packer takes length, type, locate, stamp, then the body in order.

A stamp is tracking number << 48 | nanoseconds since midnight: two neighbours in the header as one word.
"""

from __future__ import annotations

from struct import Struct

SYSTEM = Struct(">HcHQc").pack
DIRECTORY = Struct(">HcHQ8sccIcc2scccccIc").pack
ACTION = Struct(">HcHQ8scc4s").pack
REG_SHO = Struct(">HcHQ8sc").pack
ADD = Struct(">HcHQQcI8sI").pack
ADD_MPID = Struct(">HcHQQcI8sI4s").pack
EXECUTE = Struct(">HcHQQIQ").pack
EXECUTE_AT = Struct(">HcHQQIQcI").pack
CANCEL = Struct(">HcHQQI").pack
DELETE = Struct(">HcHQQ").pack
REPLACE = Struct(">HcHQQQII").pack
TRADE = Struct(">HcHQQcI8sIQ").pack

#: Bytes of the longest message the generator writes, frame included.
LONGEST = 46

SIDE = (b"B", b"S")

HOUR = 3_600_000_000_000
MINUTE = 60_000_000_000
START_OF_MESSAGES = 3 * HOUR
START_OF_SYSTEM = 4 * HOUR
OPEN = 9 * HOUR + 30 * MINUTE
CLOSE = 16 * HOUR
END_OF_SYSTEM = 20 * HOUR
END_OF_MESSAGES = 20 * HOUR + 5 * MINUTE
