//! BOOK: every order of every instrument, in price-time priority. The only place that knows what an event means.

use crate::event::{ASK, BID, BOTH, Event, Fault, kind};
use crate::levels::{Level, Levels, NIL};
use crate::orders::Index;
use crate::pool::{Order, Pool};

/// Best bid and ask of one instrument; price 0 and quantity 0 for an empty side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Top {
    /// Price units.
    pub bid_price: i64,
    /// Shares.
    pub bid_qty: u64,
    /// Price units.
    pub ask_price: i64,
    /// Shares.
    pub ask_qty: u64,
}

/// What an applied event changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touched {
    /// `BID`, `ASK` or `BOTH`; 0 if this kind never changes a book.
    pub side: u8,
    /// Smallest key whose level changed: nothing better than it did.
    pub best_key: i64,
}

const NOTHING: Touched = Touched { side: 0, best_key: i64::MAX };

/// Order id, side, price, quantity, count of a level in `depth`.
pub type DepthRow = (u8, i64, u64, u32);

/// The books of all instruments: levels `L`, an index `I` from reference to order, a pool `P` of orders.
pub struct Book<L, I, P> {
    index: I,
    pool: P,
    /// Bid and ask by instrument, grown when an instrument gets its first order.
    halves: Vec<[L; 2]>,
}

impl<L: Levels, I: Index, P: Pool> Default for Book<L, I, P> {
    fn default() -> Self {
        Book { index: I::default(), pool: P::default(), halves: Vec::new() }
    }
}

/// A price as a key, and a key as a price: the smallest key is the best on both sides.
#[inline(always)]
fn signed(price: i64, side: u8) -> i64 {
    if side == BID { price.wrapping_neg() } else { price }
}

impl<L: Levels, I: Index, P: Pool> Book<L, I, P> {
    /// Apply one event.
    ///
    /// # Errors
    /// The reason for which it was refused; then nothing has changed.
    #[inline(always)]
    pub fn apply(&mut self, event: &Event) -> Result<Touched, Fault> {
        match event.kind {
            kind::ADD => self.add(event),
            kind::DELETE => {
                let slot = self.live(event)?;
                Ok(self.remove(slot))
            }
            kind::EXECUTE | kind::CANCEL => self.reduce(event),
            kind::REPLACE => self.replace(event),
            kind::CLEAR => Ok(self.clear(event.instrument)),
            _ => Ok(NOTHING),
        }
    }

    #[inline(always)]
    fn add(&mut self, event: &Event) -> Result<Touched, Fault> {
        if event.side != BID && event.side != ASK {
            return Err(Fault::BadSide);
        }
        if event.qty == 0 {
            return Err(Fault::ZeroQty);
        }
        if event.price == 0 {
            return Err(Fault::ZeroPrice);
        }
        if self.index.find(event.order_id, &self.pool).is_some() {
            return Err(Fault::DuplicateOrder);
        }
        if self.halves.len() <= event.instrument as usize {
            self.halves.resize_with(event.instrument as usize + 1, Default::default);
        }
        Ok(self.insert(event.order_id, event, event.side))
    }

    #[inline(always)]
    fn reduce(&mut self, event: &Event) -> Result<Touched, Fault> {
        let slot = self.live(event)?;
        if event.qty == 0 {
            return Err(Fault::ZeroQty);
        }
        let order = self.pool.get_mut(slot);
        if event.qty > order.qty {
            return Err(Fault::ExcessQty);
        }
        if event.qty == order.qty {
            return Ok(self.remove(slot));
        }
        order.qty -= event.qty;
        let (side, key) = (order.side, order.key);
        self.halves[event.instrument as usize][side as usize - 1].at(key).qty -= event.qty as u64;
        Ok(Touched { side, best_key: key })
    }

    #[inline(always)]
    fn replace(&mut self, event: &Event) -> Result<Touched, Fault> {
        let slot = self.live(event)?;
        if event.qty == 0 {
            return Err(Fault::ZeroQty);
        }
        if event.price == 0 {
            return Err(Fault::ZeroPrice);
        }
        if event.new_order_id != event.order_id && self.index.find(event.new_order_id, &self.pool).is_some() {
            return Err(Fault::DuplicateOrder);
        }
        let side = self.pool.get(slot).side;
        let gone = self.remove(slot);
        let come = self.insert(event.new_order_id, event, side);
        Ok(Touched { side, best_key: gone.best_key.min(come.best_key) })
    }

    /// Slot of the order an event acts on.
    #[inline(always)]
    fn live(&self, event: &Event) -> Result<u32, Fault> {
        let slot = self.index.find(event.order_id, &self.pool).ok_or(Fault::UnknownOrder)?;
        if self.pool.get(slot).instrument != event.instrument {
            return Err(Fault::WrongInstrument);
        }
        Ok(slot)
    }

    /// Rest an order at the back of its level's queue.
    #[inline(always)]
    fn insert(&mut self, id: u64, event: &Event, side: u8) -> Touched {
        let key = signed(event.price, side);
        let level = self.halves[event.instrument as usize][side as usize - 1].open(key);
        let prev = level.tail;
        let slot = self.pool.put(Order {
            id,
            key,
            qty: event.qty,
            prev,
            next: NIL,
            instrument: event.instrument,
            side,
        });
        if prev == NIL {
            level.head = slot;
        } else {
            self.pool.get_mut(prev).next = slot;
        }
        level.tail = slot;
        level.qty += event.qty as u64;
        level.count += 1;
        self.index.insert(id, slot);
        Touched { side, best_key: key }
    }

    /// Take an order out of its queue, its level, the index and the pool.
    #[inline(always)]
    fn remove(&mut self, slot: u32) -> Touched {
        let order = self.pool.take(slot);
        self.index.remove(order.id, slot);
        let half = &mut self.halves[order.instrument as usize][order.side as usize - 1];
        let level = half.at(order.key);
        if order.prev == NIL {
            level.head = order.next;
        } else {
            self.pool.get_mut(order.prev).next = order.next;
        }
        if order.next == NIL {
            level.tail = order.prev;
        } else {
            self.pool.get_mut(order.next).prev = order.prev;
        }
        level.qty -= order.qty as u64;
        level.count -= 1;
        if level.count == 0 {
            half.close(order.key);
        }
        Touched { side: order.side, best_key: order.key }
    }

    #[cold]
    fn clear(&mut self, instrument: u16) -> Touched {
        if let Some(halves) = self.halves.get_mut(instrument as usize) {
            for half in std::mem::take(halves) {
                half.walk(|_, level| {
                    let mut slot = level.head;
                    while slot != NIL {
                        let order = self.pool.take(slot);
                        self.index.remove(order.id, slot);
                        slot = order.next;
                    }
                    true
                });
            }
        }
        Touched { side: BOTH, best_key: i64::MIN }
    }

    /// Best bid and ask of an instrument.
    #[inline(always)]
    pub fn best(&self, instrument: u16) -> Top {
        let Some([bid, ask]) = self.halves.get(instrument as usize) else { return Top::default() };
        let (bid_key, bid_qty) = bid.best().unwrap_or_default();
        let (ask_key, ask_qty) = ask.best().unwrap_or_default();
        Top { bid_price: signed(bid_key, BID), bid_qty, ask_price: ask_key, ask_qty }
    }

    /// Total quantity of the best n levels of a side, and the key of the last of them if there are n.
    #[inline(always)]
    pub fn depth_qty(&self, instrument: u16, side: u8, n: usize) -> (u64, Option<i64>) {
        let Some(halves) = self.halves.get(instrument as usize) else { return (0, None) };
        let (mut total, mut seen, mut last) = (0, 0, None);
        halves[side as usize - 1].walk(|key, level| {
            total += level.qty;
            seen += 1;
            if seen == n {
                last = Some(key);
            }
            seen < n
        });
        (total, last)
    }

    /// Every level of an instrument, bids then asks, best first.
    pub fn depth(&self, instrument: u16) -> Vec<DepthRow> {
        let mut rows = Vec::new();
        for side in [BID, ASK] {
            if let Some(halves) = self.halves.get(instrument as usize) {
                halves[side as usize - 1].walk(|key, level| {
                    rows.push((side, signed(key, side), level.qty, level.count));
                    true
                });
            }
        }
        rows
    }

    /// (order id, quantity) of one level, the front first; empty if there is no such level.
    pub fn queue(&self, instrument: u16, side: u8, price: i64) -> Vec<(u64, u32)> {
        let half = (side == BID || side == ASK).then(|| self.halves.get(instrument as usize)).flatten();
        let level = half.and_then(|halves| halves[side as usize - 1].get(signed(price, side)));
        let mut slot = level.unwrap_or(&Level::EMPTY).head;
        let mut rows = Vec::new();
        while slot != NIL {
            let order = self.pool.get(slot);
            rows.push((order.id, order.qty));
            slot = order.next;
        }
        rows
    }

    /// (instrument, side, price, quantity left) of a live order.
    pub fn locate(&self, id: u64) -> Option<(u16, u8, i64, u32)> {
        let order = self.pool.get(self.index.find(id, &self.pool)?);
        Some((order.instrument, order.side, signed(order.key, order.side), order.qty))
    }

    /// Live orders, and the bytes of pool, index and levels.
    pub fn memory(&self) -> [usize; 4] {
        let levels: usize = self.halves.iter().flatten().map(|half| half.bytes() + size_of::<L>()).sum();
        [self.index.live(), self.pool.bytes(), self.index.bytes(), levels]
    }
}
