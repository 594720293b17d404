//! Modifies of orders as what the book knows. The reference is `hftlab.feeds.records.Orders`.

use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use crate::event::{EVENT_BYTES, Event, kind};

/// What a modify does to an order's place in its queue.
const RESET: u8 = 2;

/// What is left of a live order.
struct Left {
    price: i64,
    qty: u32,
    /// Fills reported that are not taken off yet.
    filled: u32,
    instrument: u16,
}

/// What is left of each live order, by which a modify becomes what the book knows.
#[derive(Default)]
pub struct Orders {
    live: FxHashMap<u64, Left>,
}

impl Orders {
    /// Give each modify among some records its kind, quantity and new id, in place. `modifies` says which they are: 0 none, 1 one that
    /// sets price and quantity, 2 one that loses its place whatever it changes.
    pub fn resolve(&mut self, records: &mut [u8], modifies: &[u8]) {
        let mut bytes = Vec::with_capacity(EVENT_BYTES);
        for (record, &modify) in records.as_chunks_mut::<EVENT_BYTES>().0.iter_mut().zip(modifies) {
            let mut event = Event::from_bytes(record);
            if modify == 0 {
                self.apply(&event);
                continue;
            }
            (event.kind, event.qty, event.new_order_id) = self.modify(&event, modify == RESET);
            bytes.clear();
            event.write_to(&mut bytes);
            record.copy_from_slice(&bytes);
        }
    }

    /// The price of each record; of an execution that names none, that of the order it takes. The records say what they do to orders.
    pub fn prices(&mut self, records: &[u8]) -> Vec<i64> {
        let price = |record| {
            let event = Event::from_bytes(record);
            let taken = event.kind == kind::EXECUTE && event.price == 0;
            let order = if taken { self.live.get(&event.order_id) } else { None };
            let price = order.map_or(event.price, |left| left.price);
            self.apply(&event);
            price
        };
        records.as_chunks().0.iter().map(price).collect()
    }

    /// What a record that is no modify does to its order.
    pub fn apply(&mut self, event: &Event) {
        let Event { order_id, instrument, price, qty, .. } = *event;
        match event.kind {
            kind::ADD => {
                self.live.insert(order_id, Left { instrument, price, qty, filled: 0 });
            }
            kind::CANCEL | kind::EXECUTE => {
                if let Entry::Occupied(mut order) = self.live.entry(order_id) {
                    let left = order.get_mut();
                    (left.qty, left.filled) = (left.qty.saturating_sub(qty), 0);
                    if left.qty == 0 {
                        order.remove();
                    }
                }
            }
            kind::DELETE => {
                self.live.remove(&order_id);
            }
            kind::REPLACE => {
                self.live.remove(&order_id);
                self.live.insert(event.new_order_id, Left { instrument, price, qty, filled: 0 });
            }
            kind::TRADE => {
                if let Some(left) = self.live.get_mut(&order_id).filter(|left| left.price == price) {
                    left.filled = left.filled.saturating_add(qty);
                }
            }
            kind::CLEAR => self.live.retain(|_, left| left.instrument != instrument),
            _ => {}
        }
    }

    /// Kind, quantity and new id of a modify.
    pub fn modify(&mut self, event: &Event, reset: bool) -> (u8, u32, u64) {
        let Event { order_id, instrument, price, qty, .. } = *event;
        let now = Left { instrument, price, qty, filled: 0 };
        let Some(before) = self.live.insert(order_id, now) else { return (kind::ADD, qty, 0) };
        let refreshed = before.filled >= before.qty; // all that was shown is filled: what stands there now came from behind
        if reset || price != before.price || qty > before.qty || (refreshed && qty > 0) {
            return (kind::REPLACE, qty, order_id);
        }
        if qty == 0 {
            self.live.remove(&order_id);
        }
        let less = before.qty - qty;
        if less > 0 { (kind::CANCEL, less, 0) } else { (kind::OTHER, qty, 0) }
    }
}
