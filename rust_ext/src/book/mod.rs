//! BOOK, answering: the orders of every instrument in price-time priority, and what can be asked of them.

#[forbid(unsafe_code)]
pub mod apply;
pub mod levels;
pub mod orders;
pub mod pool;

use crate::book::apply::{Instrument, Store, signed};
pub use crate::book::apply::{Top, Touched};
use crate::book::levels::{Levels, NIL};
use crate::book::orders::Index;
use crate::book::pool::Pool;
use crate::by_instrument::ByInstrument;
use crate::event::{ASK, BID, Event, Fault};

/// Side, price, quantity and order count of a level in `depth`.
pub type DepthRow = (u8, i64, u64, u32);

/// Messages for which memory is made ready at once: 256 KiB of orders.
pub const AHEAD: usize = 1 << 13;
/// Fewer messages take what they need as they need it.
const MANY: usize = 1 << 9;

/// The books of all instruments.
pub struct Book<L, I, P> {
    /// What is known of each.
    pub instruments: ByInstrument<Instrument<L>>,
    /// What they share.
    pub store: Store<I, P>,
}

impl<L: Levels, I: Index, P: Pool> Default for Book<L, I, P> {
    fn default() -> Self {
        let mut book = Book { instruments: ByInstrument::default(), store: Store::default() };
        book.parts(0);
        book
    }
}

impl<L: Levels, I: Index, P: Pool> Book<L, I, P> {
    /// Apply one event; see `Store::apply`.
    ///
    /// # Errors
    /// The reason for which it was refused; then nothing has changed.
    #[inline(always)]
    pub fn apply(&mut self, event: &Event) -> Result<Touched, Fault> {
        let (store, known) = self.parts(event.instrument);
        store.apply(known, event)
    }

    /// What instruments share, and one of them.
    #[inline(always)]
    pub(crate) fn parts(&mut self, instrument: u16) -> (&mut Store<I, P>, &mut Instrument<L>) {
        let Book { instruments, store } = self;
        (store, instruments.at(instrument, Instrument::default))
    }

    /// So many messages come: have memory ready for the next `AHEAD`, so that none of them waits for the system.
    pub fn ready(&mut self, messages: usize) {
        let messages = messages.min(AHEAD);
        if messages >= MANY {
            self.store.pool.ready(messages);
            self.store.index.ready(messages);
            // Two sides of each instrument that the feed has named; few messages are the first of their instrument.
            self.store.levels.ready(messages / 4, 2 * self.instruments.count());
        }
    }

    /// Best bid and ask of an instrument; empty for one that was never heard of.
    #[inline(always)]
    pub fn top(&self, instrument: u16) -> Top {
        self.instruments.get(instrument).map_or(Top::default(), |known| known.top)
    }

    /// Its 8-byte name, zeros until the feed has told.
    pub fn name(&mut self, instrument: u16) -> &mut [u8; 8] {
        &mut self.parts(instrument).1.name
    }

    /// Whether an instrument has no name yet.
    #[inline(always)]
    pub fn unnamed(&self, instrument: u16) -> bool {
        self.instruments.get(instrument).is_none_or(|known| known.name == [0; 8])
    }

    /// (instrument, name) of every instrument that has one.
    pub fn names(&self) -> Vec<(u16, [u8; 8])> {
        let named = self.instruments.iter().filter(|(_, known)| known.name != [0; 8]);
        named.map(|(instrument, known)| (instrument, known.name)).collect()
    }

    /// Every level of an instrument, bids then asks, best first.
    pub fn depth(&self, instrument: u16) -> Vec<DepthRow> {
        let mut rows = Vec::new();
        for (i, side) in [BID, ASK].into_iter().enumerate() {
            if let Some(known) = self.instruments.get(instrument) {
                known.sides[i].walk(&self.store.levels, |level| {
                    rows.push((side, signed(level.key, i), level.qty, level.count));
                    true
                });
            }
        }
        rows
    }

    /// (order id, quantity) of one level, the front first; empty if there is no such level.
    pub fn queue(&self, instrument: u16, side: u8, price: i64) -> Vec<(u64, u32)> {
        let known = self.instruments.get(instrument).filter(|_| side == BID || side == ASK);
        let i = (side == ASK) as usize;
        let at = known.map_or(NIL, |known| known.sides[i].get(signed(price, i), &self.store.levels));
        let mut slot = self.store.levels.get(at).head;
        let mut rows = Vec::new();
        while slot != NIL && at != NIL {
            let order = self.store.pool.get(slot);
            rows.push((order.id, order.qty));
            slot = order.next;
        }
        rows
    }

    /// (instrument, side, price, quantity left) of a live order.
    pub fn locate(&mut self, id: u64) -> Option<(u16, u8, i64, u32)> {
        let slot = self.store.index.find(id, &mut self.store.pool).slot;
        let order = *self.store.pool.get(slot);
        let level = self.store.levels.get(order.level);
        let i = (level.book_side & 1) as usize;
        (slot != NIL).then(|| ((level.book_side >> 1) as u16, i as u8 + 1, signed(level.key, i), order.qty))
    }

    /// Live orders, and the bytes in use of pool, index, levels and instruments.
    pub fn memory(&self) -> [usize; 4] {
        let sides = self.instruments.iter().flat_map(|(_, known)| &known.sides);
        let levels = self.store.levels.bytes() + self.instruments.count() * size_of::<Instrument<L>>();
        [
            self.store.index.live(),
            self.store.pool.bytes(),
            self.store.index.bytes(),
            levels + sides.map(Levels::bytes).sum::<usize>(),
        ]
    }
}
