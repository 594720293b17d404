"""Time and weather: when the next message comes, bursts, halts, and the weights they leave."""

from __future__ import annotations

from collections.abc import Callable

from hftlab.feeds.generate import wire
from hftlab.feeds.generate.instrument import Instrument
from hftlab.feeds.generate.random import OCTAVE, below
from hftlab.feeds.generate.regimes import Regime

NEVER = 1 << 62
#: Mean of (1 + 8 random bits) << octave, octave as in OCTAVE: 128.5 * 7.
MEAN_GAP = 900
#: Messages a sweep can put between a due resumption and the resumption itself, with room to spare.
SLACK = 16


class Clock:
    """`now` is in nanoseconds since midnight, `stamp` adds the tracking number; counts start at the open."""

    def __init__(self, regime: Regime, messages: int, draw: Callable[[], int]) -> None:
        self.regime = regime
        self.messages = messages
        self.now = self.stamp = wire.OPEN
        share = (wire.CLOSE - wire.OPEN) * 3 // 4 // max(messages, 1)
        self.unit = max(min(regime.gap_ns, share) // MEAN_GAP, 1)
        self.shift = 0
        self.bursting = False
        self.focus: Instrument
        self.halted: Instrument
        self.burst_start = self._after(0, regime.burst_every, draw)
        self.burst_end = self.resume_at = NEVER
        self.halt_at = self._after(0, regime.halt_every, draw)
        self._set_weights(0, 0, 0)
        self.set_alarm()

    def pass_gap(self, bits: int) -> None:
        """Let a heavy-tailed gap pass: octaves from bits 38-49, within them bits 50-57."""
        now = self.now + ((self.unit * (1 + (bits >> 50 & 0xFF)) << OCTAVE[bits >> 38 & 0xFFF]) >> self.shift)
        if now >= wire.CLOSE:
            now = wire.CLOSE - 1
        self.now = now
        self.stamp = now | (bits & 6) << 48

    def pass_by(self, gap: int) -> None:
        """Let `gap` ns pass, though never beyond the last nanosecond before the close."""
        self.now = min(self.now + gap, wire.CLOSE - 1)
        self.stamp = self.now

    def set_alarm(self) -> None:
        """The next message number at which something begins or ends."""
        self.alarm = min(self.burst_start, self.burst_end, self.halt_at, self.resume_at)

    def ring_burst(self, count: int, draw: Callable[[], int], current: Instrument) -> None:
        """Begin or end a burst if one is due."""
        regime = self.regime
        if count >= self.burst_end:
            self.bursting, self.shift, self.burst_end = False, 0, NEVER
            self.burst_start = self._after(count, regime.burst_every, draw)
            self._set_weights(0, 0, 0)
        elif count >= self.burst_start:
            self.bursting, self.shift, self.burst_start = True, regime.burst_shift, NEVER
            octave = min(OCTAVE[draw() & 0xFFF], 5)
            self.burst_end = count + 1 + (regime.burst_length << octave >> 2)
            self.focus = current
            self._set_weights(regime.burst_execute, regime.burst_replace, regime.burst_delete)

    def halt(self, count: int, instrument: Instrument) -> bool:
        """Halt the symbol if there is time left to resume it."""
        self.halt_at = NEVER
        if count + self.regime.halt_length + SLACK >= self.messages:
            return False
        self.halted = instrument
        self.resume_at = count + self.regime.halt_length
        return True

    def resumed(self, count: int, draw: Callable[[], int]) -> None:
        """Fix the next halt."""
        self.resume_at = NEVER
        self.halt_at = self._after(count, self.regime.halt_every, draw)

    def _after(self, count: int, mean: int, draw: Callable[[], int]) -> int:
        return count + 1 + below(draw(), 2 * mean) if mean else NEVER

    def _set_weights(self, execute: int, replace: int, delete: int) -> None:
        regime = self.regime
        self.flow = 65_536 - regime.replace - regime.execute - regime.cancel - regime.trade - execute - replace
        self.to_replace = self.flow + regime.replace + replace
        self.to_execute = self.to_replace + regime.execute + execute
        self.to_cancel = self.to_execute + regime.cancel
        self.add = regime.add - delete
        self.swing = regime.swing
