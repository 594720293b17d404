//! The market between the open and the close: one call of `step` is one message.
//!
//! Every step takes two random numbers. Of the first, bits 0-15 choose the symbol, 16-21 whether to stay with the last one,
//! 22-37 what happens, 38-57 the time that passes, 58-63 whether the fair price moves. The second places, picks or sizes.

use super::book::Pool;
use super::clock::Clock;
use super::instrument::{Instrument, make_instruments};
use super::parameters::Parameters;
use super::quote::{ASK, BID, drift};
use super::random::Random;
use super::session;

/// All books and what drives them.
pub(super) struct Market {
    pub(super) regime: Parameters,
    pub(super) random: Random,
    pub(super) instruments: Vec<Instrument>,
    pub(super) table: Vec<u16>,
    pub(super) pool: Pool,
    count: u64,
    openers: u64,
    pub(super) clock: Clock,
    pub(super) current: usize,
    pub(super) hit: usize,
    pub(super) sweep: u32,
    pub(super) reference: u64,
    pub(super) matches: u64,
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
        let (state, reason) = if halted { (b'H', b"T1  ") } else { (b'T', b"T3  ") };
        session::action(out, &self.instruments[at], clock.now, state, reason);
        true
    }

    fn act(&mut self, out: &mut Vec<u8>) {
        let (bits, more) = (self.random.draw(), self.random.draw());
        let at = self.choose(bits);
        self.current = at;
        self.clock.pass_gap(bits);
        if bits >> 58 < self.regime.drift {
            let up = if self.clock.bursting { self.hit == ASK } else { bits >> 50 & 1 == 1 };
            drift(&mut self.instruments[at], up);
        }
        let weights = &self.clock.weights;
        let weight = bits >> 22 & 0xFFFF;
        if weight < weights.flow {
            let instrument = &self.instruments[at];
            let crowding = self.regime.swing * instrument.book.live.len() as u64 / instrument.target;
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

    pub(super) fn by_activity(&self, bits: u64) -> usize {
        usize::from(self.table[(bits & 0xFFFF) as usize])
    }
}
