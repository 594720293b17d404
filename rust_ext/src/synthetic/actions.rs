//! What a message does: each action picks or makes an order, changes the book, and writes the message.

use super::book::Order;
use super::market::Market;
use super::quote::{key, middle, part, shares, stale};
use super::random::{octave, octave_number};
use super::wire::Message;

impl Market {
    /// Even and rising with gaps; one in 32 is an odd number that arrives late, as on a real feed.
    fn next_reference(&mut self, bits: u64) -> u64 {
        let before = self.reference;
        self.reference += if bits >> 60 & 3 == 0 { 4 } else { 2 };
        if bits >> 55 & 31 == 0 { before - 1 } else { self.reference }
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
        instrument.book.insert(&mut self.pool, Order::new(reference, side, key, qty));
        (reference, qty, key.unsigned_abs() * instrument.tick as u64)
    }

    pub(super) fn add(&mut self, out: &mut Vec<u8>, at: usize, bits: u64) {
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
    pub(super) fn delete(&mut self, out: &mut Vec<u8>, mut at: usize, bits: u64) {
        let instrument = &self.instruments[at];
        let stale = if bits >> 63 == 1 { stale(instrument) } else { None };
        let mut id = stale.and_then(|side| instrument.book.back(side)).unwrap_or_else(|| self.pick(at, bits));
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

    pub(super) fn replace(&mut self, out: &mut Vec<u8>, at: usize, bits: u64) {
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

    pub(super) fn cancel(&mut self, out: &mut Vec<u8>, at: usize, bits: u64) {
        let id = self.pick(at, bits);
        let order = self.pool.get_mut(id);
        if order.qty == 1 {
            return self.add(out, at, bits);
        }
        let instrument = &self.instruments[at];
        let part = part(instrument, order.qty, bits >> 16);
        order.qty -= part;
        Message::new(out, 23, b'X', instrument.locate, self.clock.stamp).word(order.reference).half(part);
    }

    /// An incoming order: it takes the stale side if there is one, in a burst mostly the burst's side.
    ///
    /// A symbol with nothing to spare passes the turn to another one.
    pub(super) fn start_sweep(&mut self, out: &mut Vec<u8>, mut at: usize, bits: u64) {
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
    pub(super) fn fill(&mut self, out: &mut Vec<u8>, at: usize, bits: u64) {
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

    pub(super) fn trade(&mut self, out: &mut Vec<u8>, at: usize, bits: u64) {
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
