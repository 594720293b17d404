//! The generator's own book of one symbol, and the pool in which the orders of all books live.
//!
//! Sides are 0 (bid) and 1 (ask). A price is kept as a key, in ticks: the price itself for bids, its negative for asks.
//! So the best level of either side is the greatest key, and stands last.

const NONE: u32 = u32::MAX;

/// A live order; `slot` is its index in `Book::live`, `before` and `after` its neighbours in the queue.
#[derive(Clone, Copy)]
pub(super) struct Order {
    pub(super) reference: u64,
    pub(super) key: i64,
    pub(super) qty: u64,
    pub(super) side: usize,
    slot: u32,
    before: u32,
    after: u32,
}

impl Order {
    pub(super) fn new(reference: u64, side: usize, key: i64, qty: u64) -> Self {
        Self { reference, key, qty, side, slot: 0, before: NONE, after: NONE }
    }
}

/// Orders by index, with a free list of indices.
#[derive(Default)]
pub(super) struct Pool {
    orders: Vec<Order>,
    free: Vec<u32>,
}

impl Pool {
    fn put(&mut self, order: Order) -> u32 {
        if let Some(id) = self.free.pop() {
            self.orders[id as usize] = order;
            return id;
        }
        self.orders.push(order);
        (self.orders.len() - 1) as u32
    }

    pub(super) fn get(&self, id: u32) -> &Order {
        &self.orders[id as usize]
    }

    pub(super) fn get_mut(&mut self, id: u32) -> &mut Order {
        &mut self.orders[id as usize]
    }
}

/// A FIFO queue: `head` trades first. Never empty.
struct Level {
    key: i64,
    head: u32,
    tail: u32,
}

/// Two sides of price levels sorted by key; `live` lists all orders, the latest mostly last.
#[derive(Default)]
pub(super) struct Book {
    sides: [Vec<Level>; 2],
    pub(super) counts: [u32; 2],
    pub(super) live: Vec<u32>,
}

impl Book {
    pub(super) fn best(&self, side: usize) -> Option<i64> {
        self.sides[side].last().map(|level| level.key)
    }

    /// The order that trades next: the oldest at the best price.
    pub(super) fn front(&self, side: usize) -> Option<u32> {
        self.sides[side].last().map(|level| level.head)
    }

    /// The youngest order at the best price.
    pub(super) fn back(&self, side: usize) -> Option<u32> {
        self.sides[side].last().map(|level| level.tail)
    }

    /// Puts the order at the back of its level's queue.
    pub(super) fn insert(&mut self, pool: &mut Pool, mut order: Order) {
        let (side, key) = (order.side, order.key);
        order.slot = self.live.len() as u32;
        let id = pool.put(order);
        self.live.push(id);
        self.counts[side] += 1;
        let levels = &mut self.sides[side];
        let at = levels.partition_point(|level| level.key < key);
        match levels.get_mut(at) {
            Some(level) if level.key == key => {
                pool.get_mut(level.tail).after = id;
                pool.get_mut(id).before = level.tail;
                level.tail = id;
            }
            _ => levels.insert(at, Level { key, head: id, tail: id }),
        }
    }

    /// Takes the order out and gives it back; the last of `live` takes its place there.
    pub(super) fn remove(&mut self, pool: &mut Pool, id: u32) -> Order {
        let order = *pool.get(id);
        self.unlink(pool, &order);
        self.live.swap_remove(order.slot as usize);
        if let Some(&moved) = self.live.get(order.slot as usize) {
            pool.get_mut(moved).slot = order.slot;
        }
        self.counts[order.side] -= 1;
        pool.free.push(id);
        order
    }

    fn unlink(&mut self, pool: &mut Pool, order: &Order) {
        if order.before != NONE && order.after != NONE {
            pool.get_mut(order.before).after = order.after;
            pool.get_mut(order.after).before = order.before;
            return;
        }
        let levels = &mut self.sides[order.side];
        let at = levels.partition_point(|level| level.key < order.key);
        if order.before != NONE {
            pool.get_mut(order.before).after = NONE;
            levels[at].tail = order.before;
        } else if order.after != NONE {
            pool.get_mut(order.after).before = NONE;
            levels[at].head = order.after;
        } else {
            levels.remove(at);
        }
    }
}
