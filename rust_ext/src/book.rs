//! BOOK: every order of every instrument, in price-time priority. The only place that knows what an event means.
//!
//! ```text
//! reference -> index -> order -> level -> instrument          an order names its level, a level names its half of a book
//! price -> levels of that half -> level -> queue of orders    NIL stands for "nobody" everywhere and may be written to
//! ```

use std::hint::select_unpredictable;

use crate::event::{ASK, BID, BOTH, Event, Fault, kind};
use crate::levels::{LevelTable, Levels, NIL};
use crate::orders::{Found, Index};
use crate::pool::{Order, Pool};

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

/// Side, price, quantity and order count of a level in `depth`.
pub type DepthRow = (u8, i64, u64, u32);

/// What is known of one instrument: three cache lines with a `ladder`.
#[derive(Default)]
#[repr(align(64))]
pub struct Instrument<L> {
    /// Bids, then asks.
    pub(crate) halves: [L; 2],
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

/// The books of all instruments.
pub struct Book<L, I, P> {
    /// By instrument, at least one; grown when another one is named in an event.
    pub instruments: Vec<Instrument<L>>,
    /// What they share.
    pub store: Store<I, P>,
}

impl<L: Levels, I: Index, P: Pool> Default for Book<L, I, P> {
    fn default() -> Self {
        Book { instruments: vec![Instrument::default()], store: Store::default() }
    }
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
                let found = self.live(event)?;
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
        if self.index.holds(id, &mut self.pool) { Err(Fault::DuplicateOrder) } else { Ok(()) }
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
    fn live(&mut self, event: &Event) -> Result<Found, Fault> {
        let found = self.index.find(event.order_id, &mut self.pool);
        if found.slot == NIL {
            return Err(Fault::UnknownOrder);
        }
        let level = self.pool.get(found.slot).level;
        if self.levels.get(level).half >> 1 != event.instrument as u32 {
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
        let (best_key, i) = (level.key, (level.half & 1) as usize);
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
        let place = known.halves[i].entry(key);
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
    fn remove<L: Levels>(&mut self, known: &mut Instrument<L>, event: &Event, found: Found) -> Touched {
        self.index.remove(event.order_id, found, &mut self.pool);
        let Order { qty, level: at, prev, next, .. } = self.pool.take(found.slot);
        self.pool.get_mut(prev).next = next;
        self.pool.get_mut(next).prev = prev;
        let level = self.levels.get_mut(at);
        level.head = select_unpredictable(prev == NIL, next, level.head);
        level.tail = select_unpredictable(next == NIL, prev, level.tail);
        level.qty -= qty as u64;
        level.count -= 1;
        let (key, count, i) = (level.key, level.count, (level.half & 1) as usize);
        if count == 0 {
            known.halves[i].remove(key);
            self.levels.close(at);
            if known.best[i] == at {
                known.best[i] = known.halves[i].best();
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
        for half in std::mem::take(&mut known.halves) {
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

impl<L: Levels, I: Index, P: Pool> Book<L, I, P> {
    /// Apply one event; see `Store::apply`.
    ///
    /// # Errors
    /// The reason for which it was refused; then nothing has changed.
    #[inline(always)]
    pub fn apply(&mut self, event: &Event) -> Result<u8, Fault> {
        if event.instrument as usize >= self.instruments.len() {
            self.grow(event.instrument);
        }
        self.store.apply(&mut self.instruments[event.instrument as usize], event)
    }

    /// Best bid and ask of an instrument; empty for one that was never heard of.
    #[inline(always)]
    pub fn top(&self, instrument: u16) -> Top {
        self.instruments.get(instrument as usize).map_or(Top::default(), |known| known.top)
    }

    /// Instruments for which there is room.
    #[inline(always)]
    pub fn instruments(&self) -> usize {
        self.instruments.len()
    }

    /// Make room for an instrument.
    #[cold]
    fn grow(&mut self, instrument: u16) {
        self.instruments.resize_with(instrument as usize + 1, Instrument::default);
    }

    /// Its 8-byte name, zeros until the feed has told.
    pub fn name(&mut self, instrument: u16) -> &mut [u8; 8] {
        if instrument as usize >= self.instruments.len() {
            self.grow(instrument);
        }
        &mut self.instruments[instrument as usize].name
    }

    /// Whether an instrument has no name yet.
    #[inline(always)]
    pub fn unnamed(&self, instrument: u16) -> bool {
        self.instruments.get(instrument as usize).is_none_or(|known| known.name == [0; 8])
    }

    /// (instrument, name) of every instrument that has one.
    pub fn names(&self) -> Vec<(u16, [u8; 8])> {
        let named = self.instruments.iter().enumerate().filter(|(_, known)| known.name != [0; 8]);
        named.map(|(i, known)| (i as u16, known.name)).collect()
    }

    /// Total quantity of the best n levels of a side, and the key of the last of them if there are n.
    #[inline(always)]
    pub fn depth_qty(&self, instrument: u16, side: u8, n: usize) -> (u64, Option<i64>) {
        let (mut total, mut seen, mut last) = (0, 0, None);
        let Some(known) = self.instruments.get(instrument as usize) else { return (0, None) };
        known.halves[side as usize - 1].walk(|at| {
            let level = self.store.levels.get(at);
            total += level.qty;
            seen += 1;
            if seen == n {
                last = Some(level.key);
            }
            seen < n
        });
        (total, last)
    }

    /// Every level of an instrument, bids then asks, best first.
    pub fn depth(&self, instrument: u16) -> Vec<DepthRow> {
        let mut rows = Vec::new();
        for (i, side) in [BID, ASK].into_iter().enumerate() {
            if let Some(known) = self.instruments.get(instrument as usize) {
                known.halves[i].walk(|at| {
                    let level = self.store.levels.get(at);
                    rows.push((side, signed(level.key, i), level.qty, level.count));
                    true
                });
            }
        }
        rows
    }

    /// (order id, quantity) of one level, the front first; empty if there is no such level.
    pub fn queue(&self, instrument: u16, side: u8, price: i64) -> Vec<(u64, u32)> {
        let known = self.instruments.get(instrument as usize).filter(|_| side == BID || side == ASK);
        let i = (side == ASK) as usize;
        let at = known.map_or(NIL, |known| known.halves[i].get(signed(price, i)));
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
        let i = (level.half & 1) as usize;
        (slot != NIL).then(|| ((level.half >> 1) as u16, i as u8 + 1, signed(level.key, i), order.qty))
    }

    /// Live orders, and the bytes of pool, index, levels and instruments.
    pub fn memory(&self) -> [usize; 4] {
        let halves = self.instruments.iter().flat_map(|known| &known.halves);
        let levels = self.store.levels.bytes() + self.instruments.len() * size_of::<Instrument<L>>();
        [
            self.store.index.live(),
            self.store.pool.bytes(),
            self.store.index.bytes(),
            levels + halves.map(Levels::bytes).sum::<usize>(),
        ]
    }
}
