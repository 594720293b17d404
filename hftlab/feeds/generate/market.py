"""The market between the open and the close: one call of `step` is one message; the clock says when, and what weather it is.

Every step takes two random numbers. Of the first, bits 0-15 choose the symbol, 16-21 whether to stay with the
last one, 22-37 what happens, 38-57 the time that passes, 58-63 whether the fair price moves. The second
places, picks or sizes. The book can never cross: an order is placed behind the fair price and behind the other
side's best.
"""

from __future__ import annotations

from collections.abc import Callable

from hftlab.feeds.generate import wire
from hftlab.feeds.generate.instrument import BID, OCTAVE, Instrument, Order, below, make_instruments, octave_number, splitmix64
from hftlab.feeds.generate.regimes import Regime

MPIDS = tuple(b"MM" + letter + b"X" for letter in (b"A", b"B", b"C", b"D", b"E", b"F", b"G", b"H"))
NEVER = 1 << 62
#: Mean of (1 + 8 random bits) << octave, octave as in OCTAVE: 128.5 * 7.
MEAN_GAP = 900
#: Messages a sweep can put between a due resumption and the resumption itself, with room to spare.
SLACK = 16


class Market:
    """All books and what drives them; messages are appended to `out` as framed bytes."""

    def __init__(self, regime: Regime, messages: int, seed: int, symbols: int) -> None:
        self.regime = regime
        self.draw = splitmix64(seed)
        self.instruments, self.table = make_instruments(symbols, regime, self.draw)
        self.out = bytearray()
        self.count = 0
        self.openers = min(messages, 2 * regime.opening * symbols)
        self.clock = Clock(regime, messages, self.draw)
        self.current = self.table[0]
        self.hit = BID
        self.sweep = 0
        self.reference = 4_096
        self.match = 0

    def step(self) -> None:
        """Append the next message. A sweep's further fills carry the time of its first."""
        if self.sweep:
            self.sweep -= 1
            self._fill(self.current, self.draw())
        elif self.count < self.openers:
            self._open()
        elif self.count < self.clock.alarm or not self._ring():
            self._act(self.draw(), self.draw())
        self.count += 1

    def _open(self) -> None:
        """One of the first orders: symbol after symbol, bid then ask."""
        bits = self.draw()
        self.clock.pass_by(bits >> 54)
        instrument = self.instruments[(self.count >> 1) % len(self.instruments)]
        self._add(instrument, bits & ~1 | (self.count & 1))

    def _ring(self) -> bool:
        """Begin or end the bursts and halts that are due; True if that was a message."""
        clock = self.clock
        clock.ring_burst(self.count, self.draw, self.current)
        if self.count >= clock.resume_at:
            clock.halted.halted = False
            clock.resumed(self.count, self.draw)
            return self._status(clock.halted, b"T", b"T3  ")
        if self.count >= clock.halt_at:
            instrument = self.table[self.draw() & 0xFFFF]
            if clock.halt(self.count, instrument):
                instrument.halted = True
                return self._status(instrument, b"H", b"T1  ")
        clock.set_alarm()
        return False

    def _status(self, instrument: Instrument, state: bytes, reason: bytes) -> bool:
        self.clock.set_alarm()
        self.out += wire.ACTION(25, b"H", instrument.locate, self.clock.now, instrument.stock, state, b" ", reason)
        return True

    def _act(self, bits: int, more: int) -> None:
        clock = self.clock
        stay = bits >> 16 & 63
        if clock.bursting:
            instrument = clock.focus if stay < 56 else self.table[bits & 0xFFFF]
        else:
            instrument = self.current if stay < self.regime.stick else self.table[bits & 0xFFFF]
        self.current = instrument
        clock.pass_gap(bits)
        if bits >> 58 < self.regime.drift:
            instrument.drift(self.hit if clock.bursting else bits >> 50 & 1)
        weight = bits >> 22 & 0xFFFF
        if weight < clock.flow:
            book = instrument.book
            if weight < clock.add - clock.swing * len(book.live) // instrument.target:
                self._add(instrument, more)
            else:
                self._delete(instrument, more)
        elif weight < clock.to_replace:
            self._replace(instrument, more)
        elif weight < clock.to_execute:
            self._sweep(instrument, more)
        elif weight < clock.to_cancel:
            self._cancel(instrument, more)
        else:
            self._trade(instrument, more)

    def _next_reference(self, bits: int) -> int:
        """Even and rising with gaps; one in 32 is an odd number that arrives late, as on a real feed."""
        before = self.reference
        self.reference = before + (4 if bits >> 60 & 3 == 0 else 2)
        return before - 1 if bits >> 55 & 31 == 0 else self.reference

    def _place(self, instrument: Instrument, side: int, bits: int) -> tuple[int, int, int]:
        """Put a new order into the book: its reference, shares, and price in 1e-4 dollars."""
        key, qty, reference = instrument.price_key(side, bits), instrument.shares(bits), self._next_reference(bits)
        instrument.book.insert(Order(reference, side, key, qty))
        return reference, qty, (-key if side else key) * instrument.tick

    def _add(self, instrument: Instrument, bits: int) -> None:
        side = bits & 1
        reference, qty, price = self._place(instrument, side, bits)
        head = (instrument.locate, self.clock.stamp, reference, wire.SIDE[side], qty, instrument.stock, price)
        if bits >> 50 & 31:
            self.out += wire.ADD(36, b"A", *head)
        else:
            self.out += wire.ADD_MPID(40, b"F", *head, MPIDS[reference >> 1 & 7])

    def _pick(self, instrument: Instrument, bits: int) -> Order:
        """A live order: one of the latest, heavy-tailed, or any, the later of two dice.

        An order keeps its slot, so those in the first ones are hardly ever picked and rest for the day.
        """
        live = instrument.book.live
        if bits & 0xFF < self.regime.recent:
            back = octave_number(OCTAVE[bits >> 8 & 0xFFF], bits >> 20)
            if back < len(live):
                return live[-1 - back]
        count = len(live)
        one, other = (bits >> 32 & 0x7FFF_FFFF) * count >> 31, (bits >> 8 & 0xFF_FFFF) * count >> 24
        return live[one if one > other else other]

    def _delete(self, instrument: Instrument, bits: int) -> None:
        """Every second time the youngest order of a stale best level: the touch follows the fair price.

        A side keeps its last order: then another symbol's turn comes, and if that has none to spare, an add.
        """
        book = instrument.book
        stale = instrument.stale() if bits >> 63 else -1
        order = self._pick(instrument, bits) if stale < 0 else book.back(stale)
        if book.counts[order.side] == 1:
            instrument = self.table[bits >> 16 & 0xFFFF]
            book = instrument.book
            order = self._pick(instrument, bits)
            if book.counts[order.side] == 1:
                return self._add(instrument, bits)
        book.remove(order)
        self.out += wire.DELETE(19, b"D", instrument.locate, self.clock.stamp, order.reference)
        return None

    def _replace(self, instrument: Instrument, bits: int) -> None:
        order = self._pick(instrument, bits)
        instrument.book.remove(order)
        placed = self._place(instrument, order.side, self.draw())
        self.out += wire.REPLACE(35, b"U", instrument.locate, self.clock.stamp, order.reference, *placed)

    def _cancel(self, instrument: Instrument, bits: int) -> None:
        order = self._pick(instrument, bits)
        if order.qty == 1:
            return self._add(instrument, bits)
        part = instrument.part(order.qty, bits >> 16)
        order.qty -= part
        self.out += wire.CANCEL(23, b"X", instrument.locate, self.clock.stamp, order.reference, part)
        return None

    def _sweep(self, instrument: Instrument, bits: int) -> None:
        """An incoming order: it takes the stale side if there is one, in a burst mostly the burst's side.

        A symbol with nothing to spare passes the turn to another one.
        """
        if 1 in instrument.book.counts:
            instrument = self.current = self.table[bits >> 40 & 0xFFFF]
        stale = instrument.stale()
        if stale >= 0:
            self.hit = stale
        elif not self.clock.bursting:
            self.hit = bits & 1
        self.sweep = min(OCTAVE[bits >> 1 & 0xFFF], 7)
        self._fill(instrument, bits >> 16)

    def _fill(self, instrument: Instrument, bits: int) -> None:
        """Trade with the front order, wholly unless last of a sweep; never with a side's last order."""
        book = instrument.book
        if instrument.halted or book.counts[self.hit] == 1:
            self.sweep = 0
            return self._add(instrument, bits)
        order = book.front(self.hit)
        qty = order.qty
        if self.sweep == 0 and bits & 3 == 0 and qty > 1:
            qty = instrument.part(qty, bits >> 8)
        self.match += 1 + (bits >> 2 & 3)
        head = (instrument.locate, self.clock.stamp, order.reference, qty, self.match)
        if bits >> 24 & 15:
            self.out += wire.EXECUTE(31, b"E", *head)
        else:
            price = instrument.middle() if bits >> 28 & 1 else abs(order.key) * instrument.tick
            self.out += wire.EXECUTE_AT(36, b"C", *head, b"Y" if bits >> 29 & 7 else b"N", price)
        if qty == order.qty:
            book.remove(order)
        else:
            order.qty -= qty
        return None

    def _trade(self, instrument: Instrument, bits: int) -> None:
        if instrument.halted:
            return self._add(instrument, bits)
        book = instrument.book
        self.match += 1 + (bits >> 2 & 3)
        side = bits & 1
        price = instrument.middle() if bits >> 1 & 1 else abs(book.keys[side][-1]) * instrument.tick
        qty = instrument.shares(bits)
        self.out += wire.TRADE(44, b"P", instrument.locate, self.clock.stamp, 0, b"B", qty, instrument.stock, price, self.match)
        return None


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
