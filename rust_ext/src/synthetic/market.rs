//! The market between the open and the close: one call of `step` is one message.
//!
//! Every step takes two random numbers. Of the first, bits 0-15 choose the symbol, 16-21 whether to stay with the last one,
//! 22-37 what happens, 38-57 the time that passes, 58-63 whether the fair price moves. The second places, picks or sizes.

use super::book::{Order, Pool};
use super::clock::Clock;
use super::instrument::{Instrument, make_instruments};
use super::parameters::Parameters;
use super::random::{Random, octave, octave_number};
use super::session;
use super::wire::Message;

const BID: usize = 0;
const ASK: usize = 1;

/// All books and what drives them.
pub(super) struct Market {
    regime: Parameters,
    random: Random,
    instruments: Vec<Instrument>,
    table: Vec<u16>,
    pool: Pool,
    count: u64,
    openers: u64,
    clock: Clock,
    current: usize,
    hit: usize,
    sweep: u32,
    reference: u64,
    matches: u64,
}

impl Market {
    pub(super) fn new(regime: Parameters, messages: u64, seed: u64, symbols: usize) -> Self {
        let mut random = Random::new(seed);
        let (instruments, table) = make_instruments(symbols, &regime, &mut random);
        let clock = Clock::new(&regime, messages, &mut random);
        Self {
            openers: messages.min(2 * regime.opening * symbols as u64),
            current: usize::from(table[0]),
            regime,
            random,
            instruments,
            table,
            pool: Pool::default(),
            count: 0,
            clock,
            hit: BID,
            sweep: 0,
            reference: 4_096,
            matches: 0,
        }
    }

    pub(super) fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// Appends the next message. A sweep's further fills carry the time of its first.
    pub(super) fn step(&mut self, out: &mut Vec<u8>) {
        if self.sweep > 0 {
            self.sweep -= 1;
            let bits = self.random.draw();
            self.fill(out, self.current, bits);
        } else if self.count < self.openers {
            self.open(out);
        } else if self.count < self.clock.alarm || !self.ring(out) {
            self.act(out);
        }
        self.count += 1;
    }

    /// One of the first orders: symbol after symbol, bid then ask.
    fn open(&mut self, out: &mut Vec<u8>) {
        let bits = self.random.draw();
        self.clock.pass_by(bits >> 54);
        let at = ((self.count >> 1) % self.instruments.len() as u64) as usize;
        self.add(out, at, bits & !1 | (self.count & 1));
    }

    /// Begins or ends the bursts and halts that are due; true if that was a message.
    fn ring(&mut self, out: &mut Vec<u8>) -> bool {
        let (regime, clock) = (&self.regime, &mut self.clock);
        clock.ring_burst(regime, self.count, &mut self.random, self.current);
        let mut news = None;
        if self.count >= clock.resume_at {
            clock.resumed(regime, self.count, &mut self.random);
            news = Some((clock.halted, false));
        } else if self.count >= clock.halt_at {
            let at = usize::from(self.table[(self.random.draw() & 0xFFFF) as usize]);
            if clock.halt(regime, self.count, at) {
                news = Some((at, true));
            }
        }
        clock.set_alarm();
        let Some((at, halted)) = news else {
            return false;
        };
        self.instruments[at].halted = halted;
        let (state, reason) = if halted {
            (b'H', b"T1  ")
        } else {
            (b'T', b"T3  ")
        };
        session::action(out, &self.instruments[at], clock.now, state, reason);
        true
    }

    fn act(&mut self, out: &mut Vec<u8>) {
        let (bits, more) = (self.random.draw(), self.random.draw());
        let at = self.choose(bits);
        self.current = at;
        self.clock.pass_gap(bits);
        if bits >> 58 < self.regime.drift {
            let up = if self.clock.bursting {
                self.hit == ASK
            } else {
                bits >> 50 & 1 == 1
            };
            drift(&mut self.instruments[at], up);
        }
        let weights = &self.clock.weights;
        let weight = bits >> 22 & 0xFFFF;
        if weight < weights.flow {
            let instrument = &self.instruments[at];
            let crowding =
                self.regime.swing * instrument.book.live.len() as u64 / instrument.target;
            if (weight as i64) < weights.add - crowding as i64 {
                self.add(out, at, more);
            } else {
                self.delete(out, at, more);
            }
        } else if weight < weights.to_replace {
            self.replace(out, at, more);
        } else if weight < weights.to_execute {
            self.start_sweep(out, at, more);
        } else if weight < weights.to_cancel {
            self.cancel(out, at, more);
        } else {
            self.trade(out, at, more);
        }
    }

    fn choose(&self, bits: u64) -> usize {
        let stay = bits >> 16 & 63;
        if self.clock.bursting && stay < 56 {
            self.clock.focus
        } else if !self.clock.bursting && stay < self.regime.stick {
            self.current
        } else {
            self.by_activity(bits)
        }
    }

    fn by_activity(&self, bits: u64) -> usize {
        usize::from(self.table[(bits & 0xFFFF) as usize])
    }

    /// Even and rising with gaps; one in 32 is an odd number that arrives late, as on a real feed.
    fn next_reference(&mut self, bits: u64) -> u64 {
        let before = self.reference;
        self.reference += if bits >> 60 & 3 == 0 { 4 } else { 2 };
        if bits >> 55 & 31 == 0 {
            before - 1
        } else {
            self.reference
        }
    }

    fn next_match(&mut self, bits: u64) -> u64 {
        self.matches += 1 + (bits >> 2 & 3);
        self.matches
    }

    /// Makes an order and puts it into the book; returns its reference, shares and price.
    fn place(&mut self, at: usize, side: usize, bits: u64) -> (u64, u64, u64) {
        let reference = self.next_reference(bits);
        let instrument = &mut self.instruments[at];
        let (key, qty) = (key(instrument, side, bits), shares(instrument, bits));
        instrument
            .book
            .insert(&mut self.pool, Order::new(reference, side, key, qty));
        (reference, qty, key.unsigned_abs() * instrument.tick as u64)
    }

    fn add(&mut self, out: &mut Vec<u8>, at: usize, bits: u64) {
        let side = (bits & 1) as usize;
        let (reference, qty, price) = self.place(at, side, bits);
        let instrument = &self.instruments[at];
        let plain = bits >> 50 & 31 != 0;
        let (length, kind) = if plain { (36, b'A') } else { (40, b'F') };
        let message = Message::new(out, length, kind, instrument.locate, self.clock.stamp)
            .word(reference)
            .bytes(&[b"BS"[side]])
            .half(qty)
            .bytes(&instrument.stock)
            .half(price);
        if !plain {
            let letter = b'A' + (reference >> 1 & 7) as u8;
            message.bytes(&[b'M', b'M', letter, b'X']);
        }
    }

    /// A live order: one of the latest, heavy-tailed, or any, the later of two dice.
    ///
    /// An order keeps its slot, so those in the first ones are hardly ever picked and rest for the day.
    fn pick(&self, at: usize, bits: u64) -> u32 {
        let live = &self.instruments[at].book.live;
        let count = live.len() as u64;
        if bits & 0xFF < self.regime.recent {
            let back = octave_number(octave(bits >> 8), bits >> 20);
            if back < count {
                return live[(count - 1 - back) as usize];
            }
        }
        let one = ((bits >> 32 & 0x7FFF_FFFF) * count) >> 31;
        let other = ((bits >> 8 & 0xFF_FFFF) * count) >> 24;
        live[one.max(other) as usize]
    }

    fn last_of_its_side(&self, at: usize, id: u32) -> bool {
        self.instruments[at].book.counts[self.pool.get(id).side] <= 1
    }

    /// Every second time the youngest order of a stale best level, so that the touch follows the fair price.
    ///
    /// A side keeps its last order: then another symbol's turn comes, and if that has none to spare either, an add.
    fn delete(&mut self, out: &mut Vec<u8>, mut at: usize, bits: u64) {
        let instrument = &self.instruments[at];
        let stale = if bits >> 63 == 1 {
            stale(instrument)
        } else {
            None
        };
        let mut id = stale
            .and_then(|side| instrument.book.back(side))
            .unwrap_or_else(|| self.pick(at, bits));
        if self.last_of_its_side(at, id) {
            at = self.by_activity(bits >> 16);
            id = self.pick(at, bits);
            if self.last_of_its_side(at, id) {
                return self.add(out, at, bits);
            }
        }
        let instrument = &mut self.instruments[at];
        let order = instrument.book.remove(&mut self.pool, id);
        Message::new(out, 19, b'D', instrument.locate, self.clock.stamp).word(order.reference);
    }

    fn replace(&mut self, out: &mut Vec<u8>, at: usize, bits: u64) {
        let id = self.pick(at, bits);
        let bits = self.random.draw();
        let old = self.instruments[at].book.remove(&mut self.pool, id);
        let (reference, qty, price) = self.place(at, old.side, bits);
        Message::new(out, 35, b'U', self.instruments[at].locate, self.clock.stamp)
            .word(old.reference)
            .word(reference)
            .half(qty)
            .half(price);
    }

    fn cancel(&mut self, out: &mut Vec<u8>, at: usize, bits: u64) {
        let id = self.pick(at, bits);
        let order = self.pool.get_mut(id);
        if order.qty == 1 {
            return self.add(out, at, bits);
        }
        let instrument = &self.instruments[at];
        let part = part(instrument, order.qty, bits >> 16);
        order.qty -= part;
        Message::new(out, 23, b'X', instrument.locate, self.clock.stamp)
            .word(order.reference)
            .half(part);
    }

    /// An incoming order: it takes the stale side if there is one, in a burst mostly the burst's side.
    ///
    /// A symbol with nothing to spare passes the turn to another one.
    fn start_sweep(&mut self, out: &mut Vec<u8>, mut at: usize, bits: u64) {
        if self.instruments[at].book.counts.contains(&1) {
            at = self.by_activity(bits >> 40);
            self.current = at;
        }
        if let Some(side) = stale(&self.instruments[at]) {
            self.hit = side;
        } else if !self.clock.bursting {
            self.hit = (bits & 1) as usize;
        }
        self.sweep = octave(bits >> 1).min(7);
        self.fill(out, at, bits >> 16);
    }

    /// Trades with the front order, wholly unless it is the last of a sweep; never with a side's last order.
    fn fill(&mut self, out: &mut Vec<u8>, at: usize, bits: u64) {
        let instrument = &self.instruments[at];
        let spare = instrument.book.counts[self.hit] > 1 && !instrument.halted;
        let Some(id) = instrument.book.front(self.hit).filter(|_| spare) else {
            self.sweep = 0;
            return self.add(out, at, bits);
        };
        let order = *self.pool.get(id);
        let mut qty = order.qty;
        if self.sweep == 0 && bits & 3 == 0 && qty > 1 {
            qty = part(instrument, qty, bits >> 8);
        }
        let plain = bits >> 24 & 15 != 0;
        let (length, kind) = if plain { (31, b'E') } else { (36, b'C') };
        let number = self.next_match(bits);
        let instrument = &mut self.instruments[at];
        let message = Message::new(out, length, kind, instrument.locate, self.clock.stamp)
            .word(order.reference)
            .half(qty)
            .word(number);
        if !plain {
            let printable = if bits >> 29 & 7 != 0 { b'Y' } else { b'N' };
            let price = match bits >> 28 & 1 {
                1 => middle(instrument),
                _ => order.key.unsigned_abs() * instrument.tick as u64,
            };
            message.bytes(&[printable]).half(price);
        }
        if qty == order.qty {
            instrument.book.remove(&mut self.pool, id);
        } else {
            self.pool.get_mut(id).qty -= qty;
        }
    }

    fn trade(&mut self, out: &mut Vec<u8>, at: usize, bits: u64) {
        if self.instruments[at].halted {
            return self.add(out, at, bits);
        }
        let number = self.next_match(bits);
        let instrument = &self.instruments[at];
        let touch = instrument.book.best((bits & 1) as usize).unwrap_or(0);
        let price = match bits >> 1 & 1 {
            1 => middle(instrument),
            _ => touch.unsigned_abs() * instrument.tick as u64,
        };
        Message::new(out, 44, b'P', instrument.locate, self.clock.stamp)
            .word(0)
            .bytes(b"B")
            .half(shares(instrument, bits))
            .bytes(&instrument.stock)
            .half(price)
            .word(number);
    }
}

/// Moves the fair price one step, unless the touch is already more than a step behind it.
fn drift(instrument: &mut Instrument, up: bool) {
    let (fair, step) = (instrument.fair, instrument.step);
    let (bid, ask) = (instrument.book.best(BID), instrument.book.best(ASK));
    if up {
        if fair + step <= instrument.bounds.1 && ask.is_some_and(|key| -key >= fair - step) {
            instrument.fair = fair + step;
        }
    } else if fair - step >= instrument.bounds.0 && bid.is_some_and(|key| key < fair + step) {
        instrument.fair = fair - step;
    }
}

/// The side whose best price the fair price has left behind.
fn stale(instrument: &Instrument) -> Option<usize> {
    let (bid, ask) = (instrument.book.best(BID), instrument.book.best(ASK));
    if ask.is_some_and(|key| -key < instrument.fair) {
        return Some(ASK);
    }
    bid.is_some_and(|key| key >= instrument.fair).then_some(BID)
}

/// A price key: some octaves behind the fair price, and behind the best of the other side.
fn key(instrument: &Instrument, side: usize, bits: u64) -> i64 {
    let mut base = match side {
        BID => instrument.fair - instrument.half,
        _ => 1 - instrument.fair - instrument.half,
    };
    if let Some(opposite) = instrument.book.best(1 - side) {
        base = base.min(-opposite - 1);
    }
    let octave = octave(bits >> 1).min(instrument.reach);
    let scale = instrument.scale;
    let jitter = ((bits >> 26 & 0xFF) as i64 * scale) >> 8;
    let key = base - octave_number(octave, bits >> 13) as i64 * scale - jitter;
    key.max(instrument.lowest[side])
}

/// Of 16: 8 one lot, 3 odd lots, 3 two to nine lots, 2 a power of two with a heavy tail.
fn shares(instrument: &Instrument, bits: u64) -> u64 {
    let (kind, size) = (bits >> 34 & 15, bits >> 38 & 0xFFF);
    match kind {
        0..8 => instrument.lot,
        8..11 => 1 + ((size * (instrument.odd - 1)) >> 12),
        11..14 => instrument.lot * (2 + (size & 7)),
        _ => instrument.lot << (1 + octave(size)).min(8),
    }
}

/// Some of `qty` > 1 shares, never all; whole lots where there are more than one.
fn part(instrument: &Instrument, qty: u64, bits: u64) -> u64 {
    let lot = instrument.odd;
    if qty > lot {
        return lot * (1 + (((bits & 0xFFFF) * ((qty - 1) / lot)) >> 16));
    }
    1 + (((bits & 0xFFFF) * (qty - 1)) >> 16)
}

/// Half way between the best prices, in 1e-4 dollars, rounded down: where hidden orders trade.
fn middle(instrument: &Instrument) -> u64 {
    let bid = instrument.book.best(BID).unwrap_or(0);
    let ask = instrument.book.best(ASK).unwrap_or(0);
    ((bid - ask) * instrument.tick) as u64 >> 1
}
