//! Where resting orders live, and how one is found by its slot, a variant per file:
//!
//! 1. `boxed` each order its own heap allocation, made when it comes and freed when it goes
//! 2. `slab`  one array, slots reused through a free list, its pages made ready before the messages that are announced

pub mod boxed;
pub mod slab;

use crate::reserved::Zeroed;

/// A resting order, 32 bytes, two to a cache line. The queue of its level runs through `prev` and `next`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// Order reference.
    pub id: u64,
    /// Shares left, > 0.
    pub qty: u32,
    /// Slot of its level, which knows the price, the side and the instrument.
    pub level: u32,
    /// Slot of the order before it in its level's queue, or `NIL`.
    pub prev: u32,
    /// Slot of the order behind it, or `NIL`.
    pub next: u32,
    /// For the index: slot of another order, or `NIL`.
    pub chain: u32,
    /// Keeps the size at half a cache line.
    pub reserved: u32,
}

// SAFETY: integers only.
unsafe impl Zeroed for Order {}

/// Keeps orders in numbered slots. A slot is valid from `put` to `take`; `NIL` is always valid, and nobody's.
pub trait Pool: Default + Send + Sync {
    /// Store an order; returns its slot.
    fn put(&mut self, order: Order) -> u32;

    /// Give an order back and free its slot.
    fn take(&mut self, slot: u32) -> Order;

    /// The order in a slot that is in use.
    fn get(&self, slot: u32) -> &Order;

    /// The same, to be changed.
    fn get_mut(&mut self, slot: u32) -> &mut Order;

    /// Bytes in use; there may be up to a huge page more at hand.
    fn bytes(&self) -> usize;

    /// So many messages come: have memory ready for the orders that they may add.
    fn ready(&mut self, _messages: usize) {}

    /// Ask for the cache line of a slot, which need not be in use.
    fn prefetch(&self, _slot: u32) {}

    /// The order that stands or once stood in a slot, or another one if that costs a search: a guess for prefetching.
    fn guess(&self, _slot: u32) -> Order {
        Order::default()
    }
}
