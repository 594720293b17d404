//! How an order is found by its reference, a variant per file:
//!
//! 1. `std`   the standard hash map with its default hash, safe against anybody who chooses the keys
//! 2. `flat`  open addressing in one array, keeping neighbouring references neighbours

pub mod flat;
pub mod std;

use crate::pool::Pool;

/// From order reference to the slot of the order in its pool.
pub trait Index: Default + Send + Sync {
    /// Slot of a live order.
    fn find(&self, id: u64, pool: &impl Pool) -> Option<u32>;

    /// Add an order that is not there, which `pool` holds in `slot`.
    fn insert(&mut self, id: u64, slot: u32);

    /// Remove an order that is there, in `slot`.
    fn remove(&mut self, id: u64, slot: u32);

    /// Live orders.
    fn live(&self) -> usize;

    /// Bytes it takes.
    fn bytes(&self) -> usize;
}
