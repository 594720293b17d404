//! Where our orders rest: by instrument, side and price, in the order of arrival.

use std::collections::BTreeMap;

use crate::book::Book;
use crate::book::levels::ladder::Ladder;
use crate::book::levels::{Levels, NIL};
use crate::book::orders::flat::Flat;
use crate::book::pool::{Pool, slab::Slab};

/// An order of the feed: where it rests, and since which message.
#[derive(Clone, Copy)]
pub struct Place {
    /// Its instrument.
    pub instrument: u16,
    /// 0 for bids, 1 for asks.
    pub i: usize,
    /// Its price as the book has it.
    pub key: i64,
    /// The message that brought it.
    pub since: u64,
    /// Its shares.
    pub left: u32,
}

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
#[derive(Debug)]
pub struct Sides {
    /// Bids, then asks.
    pub queues: [BTreeMap<i64, Queue>; 2],
    /// The smallest key of each; the greatest number there is where none of ours rests. Asked for after every message.
    pub best: [i64; 2],
    /// Whether the book was emptied while we rested: then who is at the front must be looked up order by order.
    pub cleared: bool,
}

impl Default for Sides {
    fn default() -> Self {
        Sides { queues: Default::default(), best: [i64::MAX; 2], cleared: false }
    }
}

impl Sides {
    /// Whether none of ours rests here.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.best == [i64::MAX; 2]
    }

    /// Our orders at a price, or none.
    #[inline(always)]
    pub fn at(&mut self, i: usize, key: i64) -> Option<&mut Queue> {
        if key < self.best[i] { None } else { self.queues[i].get_mut(&key) }
    }

    /// One of ours comes last at its price; `front`: nobody is ahead of it.
    pub fn push(&mut self, i: usize, key: i64, order: u32, front: bool) {
        let queue = self.queues[i].entry(key).or_default();
        if front && queue.fronts == queue.orders.len() {
            queue.fronts += 1;
        }
        queue.orders.push(order);
        self.best[i] = self.best[i].min(key);
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
            self.best[i] = self.queues[i].first_key_value().map_or(i64::MAX, |(&key, _)| key);
        }
    }
}

/// Since when the oldest order at a price rests; the end of time if there is none. Only after a CLEAR (`all`) may it not be the first.
pub fn oldest(book: &Book<Ladder, Flat, Slab>, since: &[u64], at: Place, all: bool) -> u64 {
    let Some(known) = book.instruments.get(at.instrument) else { return u64::MAX };
    let level = known.sides[at.i].get(at.key, &book.store.levels);
    let mut slot = book.store.levels.get(level).head;
    if level == NIL {
        return u64::MAX;
    }
    let mut least = since[slot as usize];
    while all && slot != NIL {
        least = least.min(since[slot as usize]);
        slot = book.store.pool.get(slot).next;
    }
    least
}
