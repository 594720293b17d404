"""splitmix64 (Steele, Lea and Flood 2014): 64 random bits from a counter and two multiplications."""

from __future__ import annotations

from collections.abc import Callable

MASK = 0xFFFF_FFFF_FFFF_FFFF


def splitmix64(seed: int) -> Callable[[], int]:
    """A function that gives the next 64-bit number of the sequence of `seed`.

    A closure and not a class: it is called twice a message, and a local is the cheapest state Python has.
    """
    state = seed & MASK

    def draw() -> int:
        nonlocal state
        state = (state + 0x9E37_79B9_7F4A_7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58_476D_1CE4_E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D0_49BB_1331_11EB) & MASK
        return z ^ (z >> 31)

    return draw


#: Trailing zeros of a 12-bit number, 12 for zero: P(k) = 2 ** -(k + 1), the source of every heavy tail here.
OCTAVE: tuple[int, ...] = (12, *((k & -k).bit_length() - 1 for k in range(1, 4096)))


def octave_number(octave: int, bits: int) -> int:
    """A number in [2^octave - 1, 2^(octave+1) - 2], uniform over `bits`: with OCTAVE a power law."""
    return (1 << octave) - 1 + (bits & ((1 << octave) - 1))


def below(number: int, limit: int) -> int:
    """A 64-bit random number scaled down to [0, limit), limit <= 2^32."""
    return ((number >> 32) * limit) >> 32
