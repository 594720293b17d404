//! A market whose prices have structure: grids of ticks that change by phases, one-sided books, drains, trends, prices between ticks and
//! at the ends of their range; and whose references come in every pattern that a table of orders may dislike.

use hftlab_rust::event::{ASK, BID, Event, kind};

use super::common::Random;
use super::plain::Plain;

/// Events until a book changes its character, on the average.
const PHASE: u64 = 400;
/// Live orders above which more go than come.
const CROWD: usize = 6_000;

/// How references follow each other.
#[derive(Clone, Copy, Debug)]
enum Ids {
    Dense,
    Sparse,
    Reversed,
    Shifted(u32),
    BothEnds,
    Scattered,
}

impl Ids {
    const ALL: [Ids; 8] = [
        Ids::Dense,
        Ids::Dense,
        Ids::Sparse,
        Ids::Reversed,
        Ids::Shifted(16),
        Ids::Shifted(40),
        Ids::BothEnds,
        Ids::Scattered,
    ];

    fn at(self, n: u64) -> u64 {
        match self {
            Ids::Dense => n + 1,
            Ids::Sparse => n * 997 + 5,
            Ids::Reversed => (1 << 40) - n,
            Ids::Shifted(bits) => n << bits | 3,
            Ids::BothEnds if n.is_multiple_of(2) => n / 2,
            Ids::BothEnds => u64::MAX - n / 2,
            Ids::Scattered => Random(n).next(),
        }
    }
}

/// The character of one book for a while.
#[derive(Clone, Debug)]
struct Phase {
    tick: i64,
    /// Distance of the grid from multiples of the tick.
    offset: i64,
    center: i64,
    /// Ticks from the centre to the farthest usual price.
    reach: u64,
    /// Ticks by which the centre moves, one event in eight.
    drift: i64,
    /// Of eight orders so many are bids.
    bids: u64,
    /// Whether orders at the touch go rather than any.
    at_touch: bool,
    /// Of 16 events so many bring an order.
    adds: u64,
}

impl Phase {
    fn draw(random: &mut Random, wire: bool) -> Phase {
        let ticks: &[i64] = if wire {
            &[1, 1, 2, 5, 25, 100, 100, 100, 1_000]
        } else {
            &[1, 5, 100, 100, 10_000_000, 250_000_000, 1 << 33]
        };
        let tick = ticks[random.below_usize(ticks.len())];
        let centers = [5_000, 100 * tick, 1_000_000, 50_000 * tick, 40_000_000, i64::MAX, i64::MIN + 1, 0];
        let center = centers[random.below_usize(if wire { 5 } else { 8 })];
        Phase {
            tick,
            offset: if random.below(3) == 0 { random.below(tick as u64) as i64 } else { 0 },
            center,
            reach: [3, 20, 60, 200, 1_000][random.below_usize(5)],
            drift: [0, 0, 1, -1, 5, -40][random.below_usize(6)],
            bids: [4, 4, 4, 8, 0, 7][random.below_usize(6)],
            at_touch: random.below(2) == 0,
            adds: [9, 9, 12, 4, 1][random.below_usize(5)],
        }
    }

    /// A price, mostly on the grid and mostly near the centre.
    fn price(&self, random: &mut Random, side: u8, wire: bool) -> i64 {
        let away = random.below(self.reach).min(random.below(self.reach)) as i64;
        let away = if random.below(60) == 0 { away * 50 } else { away };
        let steps = if side == BID { -1 - away } else { away };
        let off = if random.below(40) == 0 { random.below(self.tick as u64) as i64 } else { self.offset };
        let price = self.center.saturating_add(steps.saturating_mul(self.tick)).saturating_add(off);
        match random.below(if wire { 300 } else { 150 }) {
            0 => random.next() as u32 as i64,
            1 if !wire => random.next() as i64,
            _ if wire => price.clamp(0, u32::MAX as i64),
            _ => price.max(i64::MIN + 1),
        }
    }
}

/// Draws events, and knows what they must do.
pub struct Market {
    random: Random,
    ids: Ids,
    born: u64,
    instruments: Vec<u16>,
    phases: Vec<Phase>,
    /// Everything must fit into an ITCH message.
    wire: bool,
    /// The book after the latest event.
    pub book: Plain,
}

impl Market {
    /// A market drawn from a seed.
    pub fn new(seed: u64, wire: bool) -> Market {
        let mut random = Random(seed);
        let n = [1, 3, 100][random.below_usize(3)];
        let instruments: Vec<u16> =
            (0..n).map(|i| [1 + i, 7 * i + 2, 65_535 - i][random.below_usize(3)]).collect();
        let phases = instruments.iter().map(|_| Phase::draw(&mut random, wire)).collect();
        let ids = Ids::ALL[random.below_usize(Ids::ALL.len())];
        Market { random, ids, born: 0, instruments, phases, wire, book: Plain::default() }
    }

    /// The instruments that events name, in no order, some twice.
    pub fn instruments(&self) -> &[u16] {
        &self.instruments
    }

    /// The next event and what comes of it: the side acted on, 0, or minus the fault.
    pub fn next(&mut self) -> (Event, i32) {
        let mut event = self.draw();
        event.ts_ns = self.born * 1_000_000;
        if self.random.below(40) == 0 {
            self.spoil(&mut event);
        }
        let outcome = self.book.apply(&event);
        (event, outcome)
    }

    fn id(&mut self) -> u64 {
        self.born += 1;
        self.ids.at(self.born)
    }

    fn draw(&mut self) -> Event {
        let i = self.random.below_usize(self.instruments.len());
        if self.random.below(PHASE) == 0 {
            self.phases[i] = Phase::draw(&mut self.random, self.wire);
        }
        let phase = &mut self.phases[i];
        if self.random.below(8) == 0 {
            phase.center = phase.center.saturating_add(phase.drift * phase.tick);
        }
        let (phase, instrument) = (phase.clone(), self.instruments[i]);
        let adds = if self.book.live() > CROWD { 3 } else { phase.adds };
        let side = if self.random.below(8) < phase.bids { BID } else { ASK };
        let price = phase.price(&mut self.random, side, self.wire);
        let qty = 1 + self.random.below(500) as u32;
        let base = Event { price, qty, instrument, ..Event::default() };
        if self.random.below(16) < adds {
            return Event { order_id: self.id(), kind: kind::ADD, side, ..base };
        }
        let target = if phase.at_touch { self.book.at_touch(instrument, side) } else { None };
        let Some((id, there)) = target.or_else(|| self.book.any(&mut self.random)) else {
            return Event { kind: kind::OTHER, ..Event::default() };
        };
        self.act(id, there.0, there.1, Event { instrument, ..base })
    }

    /// Something happens to a live order, or to the instrument.
    fn act(&mut self, order_id: u64, instrument: u16, left: u32, base: Event) -> Event {
        let part = 1 + self.random.below(left as u64) as u32;
        let there = Event { order_id, instrument, price: 0, qty: part, ..Event::default() };
        match self.random.below(100) {
            0..45 => Event { kind: kind::DELETE, qty: 0, ..there },
            45..60 => Event { kind: kind::EXECUTE, ..there },
            60..72 => Event { kind: kind::CANCEL, ..there },
            72..75 => Event {
                kind: kind::REPLACE,
                new_order_id: order_id,
                price: base.price,
                qty: base.qty,
                ..there
            },
            75..97 => Event {
                kind: kind::REPLACE,
                new_order_id: self.id(),
                price: base.price,
                qty: base.qty,
                ..there
            },
            97 => Event {
                kind: kind::STATUS,
                qty: [b'T', b'T', b'H'][self.random.below_usize(3)] as u32,
                instrument,
                ..Event::default()
            },
            98 => Event { kind: kind::TRADE, side: BID, order_id: 0, price: base.price, qty: part, ..there },
            _ if !self.wire && self.random.below(10) == 0 => {
                Event { kind: kind::CLEAR, instrument, ..Event::default() }
            }
            _ => Event { kind: kind::OTHER, ..Event::default() },
        }
    }

    /// Break an event in one of the ways for which there is a fault.
    fn spoil(&mut self, event: &mut Event) {
        match self.random.below(7) {
            0 => event.qty = 0,
            1 => event.price = 0,
            2 => event.side = 0,
            3 => event.instrument = self.instruments[self.random.below_usize(self.instruments.len())],
            4 => event.order_id = event.order_id.wrapping_add(1 << 20),
            5 => event.qty = u32::MAX,
            _ => {
                let Some((id, _)) = self.book.any(&mut self.random) else { return };
                let new =
                    if event.kind == kind::REPLACE { &mut event.new_order_id } else { &mut event.order_id };
                *new = id;
            }
        }
        if !matches!(event.kind, kind::ADD | kind::EXECUTE | kind::CANCEL | kind::DELETE | kind::REPLACE) {
            *event = Event { kind: kind::OTHER, ..Event::default() };
        }
    }
}
