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

/// What the last applied event changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// `BID`, `ASK` or `BOTH`.
    pub side: u8,
    /// Whether a level appeared or vanished, or more than one changed.
    pub reshaped: bool,
    /// Smallest key whose level changed: nothing better than it did.
    pub best_key: i64,
    /// Shares that the level at `best_key` gained; says nothing if `reshaped`.
    pub gained: i64,
}

/// What is known of one instrument: three cache lines with a `ladder`.
#[derive(Default)]
#[repr(align(64))]
pub struct Instrument<L> {
    /// Bids, then asks.
    pub(crate) sides: [L; 2],
    /// Slots of the best levels, or `NIL`.
    pub(crate) best: [u32; 2],
    /// Zeros until the feed has named it.
    pub name: [u8; 8],
    /// Best bid and ask.
    pub top: Top,
}

/// The orders and levels of all instruments: an index `I` from reference to order, a pool `P` of orders.
#[derive(Default)]
pub struct Store<I, P> {
    pub(crate) index: I,
    pub(crate) pool: P,
    pub(crate) levels: LevelTable,
    /// Says of the last applied event what its side does not.
    pub touched: Touched,
}

/// A price as a key, and a key as a price: the smallest key is the best on both sides. `i` is 0 for a bid.
#[inline(always)]
pub(crate) fn signed(price: i64, i: usize) -> i64 {
    let mask = i as i64 - 1;
    (price ^ mask).wrapping_sub(mask)
}

impl<I: Index, P: Pool> Store<I, P> {
    /// Apply one event to the book of its instrument. Returns the side acted on (`BOTH` for a CLEAR), or 0 if its kind never changes a
    /// book; `touched` says more.
    ///
    /// # Errors
    /// The reason for which it was refused; then nothing has changed.
    #[inline(always)]
    pub fn apply<L: Levels>(&mut self, known: &mut Instrument<L>, event: &Event) -> Result<u8, Fault> {
        match event.kind {
            kind::ADD => {
                if event.side != BID && event.side != ASK {
                    return Err(Fault::BadSide);
                }
                self.allow(event, event.order_id)?;
                self.touched = self.insert(known, event, event.order_id, (event.side == ASK) as usize);
            }
            kind::EXECUTE | kind::CANCEL | kind::DELETE | kind::REPLACE => {
                let mut found = self.live(event)?;
                if event.kind == kind::EXECUTE || event.kind == kind::CANCEL {
                    let left = self.pool.get(found.slot).qty;
                    if event.qty == 0 {
                        return Err(Fault::ZeroQty);
                    }
                    if event.qty > left {
                        return Err(Fault::ExcessQty);
                    }
                    if event.qty < left {
                        return Ok(self.reduce(known, event, found.slot));
                    }
                }
                if event.kind == kind::REPLACE && event.new_order_id != event.order_id {
                    self.allow(event, event.new_order_id)?;
                    // Looking for the new reference may have put the table in another order.
                    found = self.index.find(event.order_id, &mut self.pool);
                } else if event.kind == kind::REPLACE {
                    Self::worth(event)?;
                }
                self.touched = self.remove(known, event, found);
                if event.kind == kind::REPLACE {
                    self.replace(known, event);
                }
            }
            kind::CLEAR => self.clear(known),
            _ => return Ok(0),
        }
        Ok(self.touched.side)
    }

    /// Whether an order may come: a quantity, a price, and a reference that is not live.
    #[inline(always)]
    fn allow(&mut self, event: &Event, id: u64) -> Result<(), Fault> {
        Self::worth(event)?;
        if self.index.contains(id, &mut self.pool) { Err(Fault::DuplicateOrder) } else { Ok(()) }
    }

    #[inline(always)]
    fn worth(event: &Event) -> Result<(), Fault> {
        if event.qty == 0 {
            return Err(Fault::ZeroQty);
        }
        if event.price == 0 { Err(Fault::ZeroPrice) } else { Ok(()) }
    }

    /// The order an event acts on.
    #[inline(always)]
    fn live(&mut self, event: &Event) -> Result<Lookup, Fault> {
        let found = self.index.find(event.order_id, &mut self.pool);
        if found.slot == NIL {
            return Err(Fault::UnknownOrder);
        }
        let level = self.pool.get(found.slot).level;
        if self.levels.get(level).book_side >> 1 != event.instrument as u32 {
            return Err(Fault::WrongInstrument);
        }
        Ok(found)
    }

    /// Take a part of an order away.
    #[inline(always)]
    fn reduce<L: Levels>(&mut self, known: &mut Instrument<L>, event: &Event, slot: u32) -> u8 {
        let order = self.pool.get_mut(slot);
        order.qty -= event.qty;
        let level = self.levels.get_mut(order.level);
        level.qty -= event.qty as u64;
        let (best_key, i) = (level.key, (level.book_side & 1) as usize);
        self.refresh(known, i);
        self.touched = Touched { side: i as u8 + 1, reshaped: false, best_key, gained: -(event.qty as i64) };
        self.touched.side
    }

    /// The second half of a REPLACE: the new order comes to the side where the old one was.
    #[inline(always)]
    fn replace<L: Levels>(&mut self, known: &mut Instrument<L>, event: &Event) {
        let gone = self.touched;
        let come = self.insert(known, event, event.new_order_id, (gone.side == ASK) as usize);
        self.touched = Touched {
            side: gone.side,
            reshaped: gone.reshaped || come.reshaped || gone.best_key != come.best_key,
            best_key: gone.best_key.min(come.best_key),
            gained: gone.gained + come.gained,
        };
    }

    /// Rest an order at the back of its level's queue; `i` is its side, 0 or 1.
    #[inline(always)]
    fn insert<L: Levels>(&mut self, known: &mut Instrument<L>, event: &Event, id: u64, i: usize) -> Touched {
        let key = signed(event.price, i);
        let place = known.sides[i].entry(key);
        let reshaped = *place == NIL;
        if reshaped {
            *place = self.levels.open(key, (event.instrument as u32) << 1 | i as u32);
            let best = &mut known.best[i];
            if *best == NIL || key < self.levels.get(*best).key {
                *best = *place;
            }
        }
        let at = *place;
        let level = self.levels.get_mut(at);
        let prev = level.tail;
        let slot = self.pool.put(Order { id, qty: event.qty, level: at, prev, ..Order::default() });
        self.pool.get_mut(prev).next = slot;
        level.head = select_unpredictable(prev == NIL, slot, level.head);
        level.tail = slot;
        level.qty += event.qty as u64;
        level.count += 1;
        self.index.insert(id, slot, &mut self.pool);
        self.refresh(known, i);
        Touched { side: i as u8 + 1, reshaped, best_key: key, gained: event.qty as i64 }
    }

    /// Take an order out of its queue, its level, the index and the pool.
    #[inline(always)]
    fn remove<L: Levels>(&mut self, known: &mut Instrument<L>, event: &Event, found: Lookup) -> Touched {
        self.index.remove(event.order_id, found, &mut self.pool);
        let Order { qty, level: at, prev, next, .. } = self.pool.take(found.slot);
        self.pool.get_mut(prev).next = next;
        self.pool.get_mut(next).prev = prev;
        let level = self.levels.get_mut(at);
        level.head = select_unpredictable(prev == NIL, next, level.head);
        level.tail = select_unpredictable(next == NIL, prev, level.tail);
        level.qty -= qty as u64;
        level.count -= 1;
        let (key, count, i) = (level.key, level.count, (level.book_side & 1) as usize);
        if count == 0 {
            known.sides[i].remove(key);
            self.levels.close(at);
            if known.best[i] == at {
                known.best[i] = known.sides[i].best();
            }
        }
        self.refresh(known, i);
        Touched { side: i as u8 + 1, reshaped: count == 0, best_key: key, gained: -(qty as i64) }
    }

    /// Bring one side of an instrument's top up to date.
    #[inline(always)]
    fn refresh<L>(&self, known: &mut Instrument<L>, i: usize) {
        let best = self.levels.get(known.best[i]);
        known.top.price[i] = signed(best.key, i);
        known.top.qty[i] = best.qty;
    }

    #[cold]
    fn clear<L: Levels>(&mut self, known: &mut Instrument<L>) {
        for half in std::mem::take(&mut known.sides) {
            half.walk(|at| {
                let mut slot = self.levels.get(at).head;
                while slot != NIL {
                    let Order { id, next, .. } = *self.pool.get(slot);
                    let found = self.index.find(id, &mut self.pool);
                    self.index.remove(id, found, &mut self.pool);
                    self.pool.take(slot);
                    slot = next;
                }
                self.levels.close(at);
                true
            });
        }
        known.best = [NIL; 2];
        known.top = Top::default();
        self.touched = Touched { side: BOTH, reshaped: true, best_key: i64::MIN, gained: 0 };
    }
}
