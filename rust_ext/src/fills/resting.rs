//! Where our orders rest: by instrument, side and price, in the order of arrival.

use std::collections::BTreeMap;

/// Our orders at one price, by their number, in the order of arrival.
#[derive(Debug, Default)]
pub struct Queue {
    /// Numbers of our orders.
    pub orders: Vec<u32>,
    /// How many of the first are known to have nobody ahead of them. Who came earlier has no more orders ahead of it than who came
    /// later, so they are always the first.
    pub fronts: usize,
}

/// Our orders of one instrument. The smallest key is the best on both sides, as in the book.
#[derive(Debug, Default)]
pub struct Sides {
    /// Bids, then asks.
    pub queues: [BTreeMap<i64, Queue>; 2],
    /// Whether the book was emptied while we rested: then who is at the front must be looked up order by order.
    pub cleared: bool,
}

impl Sides {
    /// Whether none of ours rests here.
    pub fn is_empty(&self) -> bool {
        self.queues.iter().all(BTreeMap::is_empty)
    }

    /// Our orders at a price, or none.
    pub fn at(&mut self, i: usize, key: i64) -> Option<&mut Queue> {
        self.queues[i].get_mut(&key)
    }

    /// One of ours comes last at its price; `front`: nobody is ahead of it.
    pub fn push(&mut self, i: usize, key: i64, order: u32, front: bool) {
        let queue = self.queues[i].entry(key).or_default();
        if front && queue.fronts == queue.orders.len() {
            queue.fronts += 1;
        }
        queue.orders.push(order);
    }

    /// One of ours goes.
    pub fn remove(&mut self, i: usize, key: i64, order: u32) {
        let Some(queue) = self.queues[i].get_mut(&key) else { return };
        if let Some(place) = queue.orders.iter().position(|&each| each == order) {
            queue.orders.remove(place);
            queue.fronts -= (place < queue.fronts) as usize;
        }
        if queue.orders.is_empty() {
            self.queues[i].remove(&key);
        }
    }
}
