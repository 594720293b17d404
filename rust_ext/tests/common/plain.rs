//! The second opinion: the book as its contract states it, from maps and vectors, with no thought of speed and no line of the engine's.

use std::collections::{BTreeMap, HashMap};

use hftlab_rust::book::{DepthRow, Top};
use hftlab_rust::event::{ASK, BID, Event, Fault, kind};

use super::common::Random;

#[derive(Clone, Copy)]
struct Resting {
    instrument: u16,
    side: u8,
    price: i64,
    qty: u32,
    /// Place in `ids`.
    place: usize,
}

/// One side of one instrument: price -> references in time priority.
type Side = BTreeMap<i64, Vec<u64>>;

/// Orders by reference, and the queues that they stand in.
#[derive(Default)]
pub struct Plain {
    orders: HashMap<u64, Resting>,
    sides: HashMap<(u16, u8), Side>,
    /// All live references, to draw one.
    ids: Vec<u64>,
}

impl Plain {
    /// Live orders.
    pub fn live(&self) -> usize {
        self.ids.len()
    }

    /// A live order: reference, (instrument, quantity).
    pub fn any(&self, random: &mut Random) -> Option<(u64, (u16, u32))> {
        let id = *self.ids.get(random.below_usize(self.ids.len()))?;
        Some((id, (self.orders[&id].instrument, self.orders[&id].qty)))
    }

    /// The first order of the best level of a side, in the same form.
    pub fn at_touch(&self, instrument: u16, side: u8) -> Option<(u64, (u16, u32))> {
        let id = self.best(instrument, side)?.1[0];
        Some((id, (instrument, self.orders[&id].qty)))
    }

    fn best(&self, instrument: u16, side: u8) -> Option<(i64, &Vec<u64>)> {
        let levels = self.sides.get(&(instrument, side))?;
        let found = if side == BID { levels.last_key_value() } else { levels.first_key_value() };
        found.map(|(&price, ids)| (price, ids))
    }

    fn qty(&self, ids: &[u64]) -> u64 {
        ids.iter().map(|id| self.orders[id].qty as u64).sum()
    }

    /// Best bid and ask.
    pub fn top(&self, instrument: u16) -> Top {
        let mut top = Top::default();
        for (i, side) in [BID, ASK].into_iter().enumerate() {
            if let Some((price, ids)) = self.best(instrument, side) {
                (top.price[i], top.qty[i]) = (price, self.qty(ids));
            }
        }
        top
    }

    /// Every level, bids then asks, best first.
    pub fn depth(&self, instrument: u16) -> Vec<DepthRow> {
        let row =
            |side: u8| move |(&price, ids): (&i64, &Vec<u64>)| (side, price, self.qty(ids), ids.len() as u32);
        let of = |side: u8| self.sides.get(&(instrument, side)).into_iter().flatten();
        of(BID).collect::<Vec<_>>().into_iter().rev().map(row(BID)).chain(of(ASK).map(row(ASK))).collect()
    }

    /// (reference, quantity) of a level, the front first.
    pub fn queue(&self, instrument: u16, side: u8, price: i64) -> Vec<(u64, u32)> {
        let ids = self.sides.get(&(instrument, side)).and_then(|levels| levels.get(&price));
        ids.into_iter().flatten().map(|&id| (id, self.orders[&id].qty)).collect()
    }

    /// Apply one event: the side acted on, 0, or minus the fault.
    pub fn apply(&mut self, event: &Event) -> i32 {
        self.try_apply(event).unwrap_or_else(|fault| -(fault as i32))
    }

    fn try_apply(&mut self, event: &Event) -> Result<i32, Fault> {
        let &Event { order_id, new_order_id, price, qty, instrument, side, .. } = event;
        match event.kind {
            kind::ADD => {
                if side != BID && side != ASK {
                    return Err(Fault::BadSide);
                }
                self.may_come(order_id, qty, price, None)?;
                self.insert(order_id, instrument, side, price, qty);
                Ok(side as i32)
            }
            kind::EXECUTE | kind::CANCEL => {
                let there = self.live_on(order_id, instrument)?;
                if qty == 0 {
                    return Err(Fault::ZeroQty);
                }
                if qty > there.qty {
                    return Err(Fault::ExcessQty);
                }
                if qty == there.qty {
                    self.remove(order_id);
                } else if let Some(order) = self.orders.get_mut(&order_id) {
                    order.qty -= qty;
                }
                Ok(there.side as i32)
            }
            kind::DELETE => {
                let there = self.live_on(order_id, instrument)?;
                self.remove(order_id);
                Ok(there.side as i32)
            }
            kind::REPLACE => {
                let there = self.live_on(order_id, instrument)?;
                self.may_come(new_order_id, qty, price, Some(order_id))?;
                self.remove(order_id);
                self.insert(new_order_id, instrument, there.side, price, qty);
                Ok(there.side as i32)
            }
            kind::CLEAR => {
                let ids: Vec<u64> =
                    self.ids.iter().copied().filter(|id| self.orders[id].instrument == instrument).collect();
                ids.into_iter().for_each(|id| self.remove(id));
                Ok((BID | ASK) as i32)
            }
            _ => Ok(0),
        }
    }

    fn live_on(&self, id: u64, instrument: u16) -> Result<Resting, Fault> {
        let there = *self.orders.get(&id).ok_or(Fault::UnknownOrder)?;
        if there.instrument == instrument { Ok(there) } else { Err(Fault::WrongInstrument) }
    }

    fn may_come(&self, id: u64, qty: u32, price: i64, instead_of: Option<u64>) -> Result<(), Fault> {
        match (qty, price) {
            (0, _) => Err(Fault::ZeroQty),
            (_, 0) => Err(Fault::ZeroPrice),
            _ if Some(id) != instead_of && self.orders.contains_key(&id) => Err(Fault::DuplicateOrder),
            _ => Ok(()),
        }
    }

    fn insert(&mut self, id: u64, instrument: u16, side: u8, price: i64, qty: u32) {
        self.orders.insert(id, Resting { instrument, side, price, qty, place: self.ids.len() });
        self.ids.push(id);
        self.sides.entry((instrument, side)).or_default().entry(price).or_default().push(id);
    }

    fn remove(&mut self, id: u64) {
        let Some(gone) = self.orders.remove(&id) else { return };
        self.ids.swap_remove(gone.place);
        if let Some(moved) = self.ids.get(gone.place) {
            self.orders.entry(*moved).and_modify(|order| order.place = gone.place);
        }
        let levels = self.sides.entry((gone.instrument, gone.side)).or_default();
        let ids = levels.entry(gone.price).or_default();
        ids.retain(|&other| other != id);
        if ids.is_empty() {
            levels.remove(&gone.price);
        }
    }
}
