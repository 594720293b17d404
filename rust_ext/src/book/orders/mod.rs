//! How an order is found by its reference, a variant per file:
//!
//! 1. `std`   the standard hash map with its default hash, safe against anybody who chooses the keys
//! 2. `fast`  the same map with a hash of one multiplication
//! 3. `flat`  one array of slots in the order of the references, growing one cell at a time

pub mod fast;
pub mod flat;
pub mod std;

use crate::book::levels::NIL;
use crate::book::pool::Pool;

/// What `find` found: the slot of a live order, or `NIL`; and where the table keeps it, which saves `remove` a search.
#[derive(Clone, Copy)]
pub struct Lookup {
    /// Slot in the pool.
    pub slot: u32,
    /// Of use to the table alone.
    home: u32,
}

/// From order reference to the slot of the order in its pool.
pub trait Index: Default + Send + Sync {
    /// Look for an order. A table may use the occasion to put itself in order.
    fn find(&mut self, id: u64, pool: &mut impl Pool) -> Lookup;

    /// Whether an order is live; quicker than `find` where the answer is usually no.
    fn contains(&mut self, id: u64, pool: &mut impl Pool) -> bool {
        self.find(id, pool).slot != NIL
    }

    /// Add an order that is not there, which `pool` holds in `slot`.
    fn insert(&mut self, id: u64, slot: u32, pool: &mut impl Pool);

    /// Remove the order that the latest `find` found, which `pool` still holds.
    fn remove(&mut self, id: u64, found: Lookup, pool: &mut impl Pool);

    /// So many messages come: have memory ready for the orders that they may add.
    fn ready(&mut self, _messages: usize) {}

    /// Live orders.
    fn live(&self) -> usize;

    /// Bytes in use, beyond those of the orders themselves.
    fn bytes(&self) -> usize;

    /// Whether a reference is so old that its order has probably left the caches.
    fn is_old(&self, _id: u64) -> bool {
        false
    }

    /// Ask for the cache line in which `find` will look first; the answer is for `guess`.
    fn prefetch(&self, _id: u64) -> u32 {
        NIL
    }

    /// The slot that `find` will look at first, as far as `prefetch` could tell.
    fn guess(&self, hint: u32) -> u32 {
        hint
    }
}
