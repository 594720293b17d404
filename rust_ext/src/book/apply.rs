//! BOOK, changing: what an event does to the orders and levels. The only place that knows what an event means.
//!
//! ```text
//! reference -> index -> order -> level -> instrument          an order names its level, a level names its side of a book
//! price -> levels of that half -> level -> queue of orders    NIL stands for "nobody" everywhere and may be written to
//! ```

use std::hint::select_unpredictable;

use crate::book::levels::{LevelTable, Levels, NIL};
use crate::book::orders::{Index, Lookup};
use crate::book::pool::{Order, Pool};
use crate::event::{ASK, BID, BOTH, Event, Fault, kind};

/// Best bid and ask of one instrument; price 0 and quantity 0 for an empty side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Top {
    /// Bid, then ask, in price units.
    pub price: [i64; 2],
    /// Bid, then ask, in shares.
    pub qty: [u64; 2],
}

/// What an event did to the levels of its side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// The same levels are there.
    #[default]
    Same,
    /// One came.
    Came,
    /// One went.
    Went,
    /// More than one may have changed.
    Several,
}

/// What an applied event changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// `BID`, `ASK` or `BOTH`; 0 for an event that never changes a book.
    pub side: u8,
    /// What it did to the levels.
    pub shape: Shape,
    /// Smallest key whose level changed: nothing better than it did.
    pub best_key: i64,
    /// Shares that the level at `best_key` gained; says nothing of `Several`.
    pub gained: i64,
}

/// What is known of one instrument: three cache lines with a `ladder`.
#[repr(align(64))]
pub struct Instrument<L> {
    /// Bids, then asks.
    pub(crate) sides: [L; 2],
    /// Best bid and ask.
    pub top: Top,
    /// Their keys, i64::MAX for an empty side.
    pub(crate) best: [i64; 2],
    /// Zeros until the feed has named it.
    pub name: [u8; 8],
}

impl<L: Default> Default for Instrument<L> {
    fn default() -> Self {
        Instrument { sides: Default::default(), top: Top::default(), best: [i64::MAX; 2], name: [0; 8] }
    }
}

/// The orders and levels of all instruments: an index `I` from reference to order, a pool `P` of orders.
#[derive(Default)]
pub struct Store<I, P> {
    pub(crate) index: I,
    pub(crate) pool: P,
    pub(crate) levels: LevelTable,
}

/// An order that comes to rest, before it has a place.
struct New {
    instrument: u16,
    id: u64,
    qty: u32,
    price: i64,
}

/// A price as a key, and a key as a price: the smallest key is the best on both sides. `i` is 0 for a bid.
#[inline(always)]
pub(crate) fn signed(price: i64, i: usize) -> i64 {
    let mask = i as i64 - 1;
    (price ^ mask).wrapping_sub(mask)
}

impl<I: Index, P: Pool> Store<I, P> {
    /// Apply one event to the book of its instrument. Returns what it changed.
    ///
    /// # Errors
    /// The reason for which it was refused; then nothing has changed.
    #[inline(always)]
    pub fn apply<L: Levels>(&mut self, known: &mut Instrument<L>, event: &Event) -> Result<Touched, Fault> {
        let Event { order_id, new_order_id, price, qty, instrument, kind, side, .. } = *event;
        match kind {
            kind::ADD => self.add(known, instrument, order_id, side, qty, price),
            kind::EXECUTE | kind::CANCEL => self.reduce(known, instrument, order_id, qty),
            kind::DELETE => self.delete(known, instrument, order_id),
            kind::REPLACE => self.replace(known, instrument, order_id, new_order_id, qty, price),
            kind::CLEAR => Ok(self.clear(known)),
            _ => Ok(Touched::default()),
        }
    }

    /// ADD: an order comes.
    ///
    /// # Errors
    /// As `apply`.
    #[inline(always)]
    pub fn add<L: Levels>(
        &mut self,
        known: &mut Instrument<L>,
        instrument: u16,
        id: u64,
        side: u8,
        qty: u32,
        price: i64,
    ) -> Result<Touched, Fault> {
        if side != BID && side != ASK {
            return Err(Fault::BadSide);
        }
        self.allow(id, qty, price)?;
        Ok(self.insert(known, (side == ASK) as usize, New { instrument, id, qty, price }))
    }

    /// EXECUTE, CANCEL: a part of an order goes, or all of it.
    ///
    /// # Errors
    /// As `apply`.
    #[inline(always)]
    pub fn reduce<L: Levels>(
        &mut self,
        known: &mut Instrument<L>,
        instrument: u16,
        id: u64,
        qty: u32,
    ) -> Result<Touched, Fault> {
        let found = self.live(id, instrument)?;
        let order = self.pool.get_mut(found.slot);
        if qty == 0 {
            return Err(Fault::ZeroQty);
        }
        if qty > order.qty {
            return Err(Fault::ExcessQty);
        }
        if qty == order.qty {
            return Ok(self.remove(known, id, found));
        }
        order.qty -= qty;
        let level = self.levels.get_mut(order.level);
        level.qty -= qty as u64;
        let (best_key, left, i) = (level.key, level.qty, (level.book_side & 1) as usize);
        known.top.qty[i] = select_unpredictable(known.best[i] == best_key, left, known.top.qty[i]);
        Ok(Touched { side: i as u8 + 1, shape: Shape::Same, best_key, gained: -(qty as i64) })
    }

    /// DELETE: an order goes.
    ///
    /// # Errors
    /// As `apply`.
    #[inline(always)]
    pub fn delete<L: Levels>(
        &mut self,
        known: &mut Instrument<L>,
        instrument: u16,
        id: u64,
    ) -> Result<Touched, Fault> {
        let found = self.live(id, instrument)?;
        Ok(self.remove(known, id, found))
    }

    /// REPLACE: an order goes, and another one comes to its side.
    ///
    /// # Errors
    /// As `apply`.
    #[inline(always)]
    pub fn replace<L: Levels>(
        &mut self,
        known: &mut Instrument<L>,
        instrument: u16,
        old_id: u64,
        id: u64,
        qty: u32,
        price: i64,
    ) -> Result<Touched, Fault> {
        let mut found = self.live(old_id, instrument)?;
        if id == old_id {
            Self::worth(qty, price)?;
        } else {
            self.allow(id, qty, price)?;
            // Looking for the new reference may have put the table in another order.
            found = self.index.find(old_id, &mut self.pool);
        }
        let gone = self.remove(known, old_id, found);
        let come = self.insert(known, (gone.side == ASK) as usize, New { instrument, id, qty, price });
        let same =
            (gone.shape == Shape::Same) & (come.shape == Shape::Same) & (gone.best_key == come.best_key);
        Ok(Touched {
            side: gone.side,
            shape: if same { Shape::Same } else { Shape::Several },
            best_key: gone.best_key.min(come.best_key),
            gained: gone.gained + come.gained,
        })
    }

    /// Whether an order may come: a quantity, a price, and a reference that is not live.
    #[inline(always)]
    fn allow(&mut self, id: u64, qty: u32, price: i64) -> Result<(), Fault> {
        Self::worth(qty, price)?;
        if self.index.contains(id, &mut self.pool) { Err(Fault::DuplicateOrder) } else { Ok(()) }
    }

    #[inline(always)]
    fn worth(qty: u32, price: i64) -> Result<(), Fault> {
        if qty == 0 {
            return Err(Fault::ZeroQty);
        }
        if price == 0 { Err(Fault::ZeroPrice) } else { Ok(()) }
    }

    /// The order an event acts on.
    #[inline(always)]
    fn live(&mut self, id: u64, instrument: u16) -> Result<Lookup, Fault> {
        let found = self.index.find(id, &mut self.pool);
        if found.slot == NIL {
            return Err(Fault::UnknownOrder);
        }
        let level = self.pool.get(found.slot).level;
        if self.levels.get(level).book_side >> 1 != instrument as u32 {
            return Err(Fault::WrongInstrument);
        }
        Ok(found)
    }

    /// Rest an order at the back of its level's queue; `i` is its side, 0 or 1.
    #[inline(always)]
    fn insert<L: Levels>(&mut self, known: &mut Instrument<L>, i: usize, new: New) -> Touched {
        let New { instrument, id, qty, price } = new;
        let key = signed(price, i);
        let at = known.sides[i].entry(key, (instrument as u32) << 1 | i as u32, &mut self.levels);
        let level = self.levels.get_mut(at);
        let prev = level.tail;
        let slot = self.pool.put(Order { id, qty, level: at, prev, ..Order::default() });
        self.pool.get_mut(prev).next = slot;
        let fresh = level.count == 0;
        level.head = select_unpredictable(fresh, slot, level.head);
        level.tail = slot;
        level.qty += qty as u64;
        level.count += 1;
        let total = level.qty;
        self.index.insert(id, slot, &mut self.pool);
        // Without a branch: whether an order stands at the touch is random to a predictor.
        let Instrument { top, best, .. } = known;
        let touch = key <= best[i];
        top.price[i] = select_unpredictable(touch, price, top.price[i]);
        top.qty[i] = select_unpredictable(touch, total, top.qty[i]);
        best[i] = best[i].min(key);
        let shape = if fresh { Shape::Came } else { Shape::Same };
        Touched { side: i as u8 + 1, shape, best_key: key, gained: qty as i64 }
    }

    /// Take an order out of its queue, its level, the index and the pool.
    #[inline(always)]
    fn remove<L: Levels>(&mut self, known: &mut Instrument<L>, id: u64, found: Lookup) -> Touched {
        self.index.remove(id, found, &mut self.pool);
        let Order { qty, level: at, prev, next, .. } = self.pool.take(found.slot);
        self.pool.get_mut(prev).next = next;
        self.pool.get_mut(next).prev = prev;
        let level = self.levels.get_mut(at);
        level.head = select_unpredictable(prev == NIL, next, level.head);
        level.tail = select_unpredictable(next == NIL, prev, level.tail);
        level.qty -= qty as u64;
        level.count -= 1;
        let (key, count, left, i) = (level.key, level.count, level.qty, (level.book_side & 1) as usize);
        if count == 0 {
            known.sides[i].remove(key, at, &mut self.levels);
            if known.best[i] == key {
                self.refresh(known, i);
            }
        } else {
            known.top.qty[i] = select_unpredictable(known.best[i] == key, left, known.top.qty[i]);
        }
        let shape = if count == 0 { Shape::Went } else { Shape::Same };
        Touched { side: i as u8 + 1, shape, best_key: key, gained: -(qty as i64) }
    }

    /// The best level of a side has gone: what is best now.
    #[inline(always)]
    fn refresh<L: Levels>(&mut self, known: &mut Instrument<L>, i: usize) {
        let slot = known.sides[i].best(&mut self.levels);
        let level = self.levels.get(slot);
        known.best[i] = if slot == NIL { i64::MAX } else { level.key };
        known.top.price[i] = signed(level.key, i);
        known.top.qty[i] = level.qty;
    }

    #[cold]
    fn clear<L: Levels>(&mut self, known: &mut Instrument<L>) -> Touched {
        let Store { index, pool, levels } = self;
        for side in &mut known.sides {
            side.walk(levels, |level| {
                let mut slot = level.head;
                while slot != NIL {
                    let Order { id, next, .. } = *pool.get(slot);
                    let found = index.find(id, pool);
                    index.remove(id, found, pool);
                    pool.take(slot);
                    slot = next;
                }
                true
            });
            side.clear(levels);
        }
        (known.top, known.best) = (Top::default(), [i64::MAX; 2]);
        Touched { side: BOTH, shape: Shape::Several, best_key: i64::MIN, gained: 0 }
    }
}
