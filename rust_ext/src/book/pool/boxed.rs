//! `pool=False`: each order its own heap allocation.

use super::{Order, Pool};
use crate::reserved::prefetch;

/// Orders in boxes, and a list of free slots.
pub struct Boxed {
    slots: Vec<Option<Box<Order>>>,
    free: Vec<u32>,
}

impl Default for Boxed {
    fn default() -> Self {
        Boxed { slots: vec![Some(Box::default())], free: Vec::new() }
    }
}

impl Pool for Boxed {
    fn put(&mut self, order: Order) -> u32 {
        let order = Some(Box::new(order));
        match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = order;
                slot
            }
            None => {
                self.slots.push(order);
                self.slots.len() as u32 - 1
            }
        }
    }

    fn take(&mut self, slot: u32) -> Order {
        let order = self.slots[slot as usize].take().expect("a slot is taken once");
        self.free.push(slot);
        *order
    }

    fn get(&self, slot: u32) -> &Order {
        self.slots[slot as usize].as_deref().expect("a slot in use holds an order")
    }

    fn get_mut(&mut self, slot: u32) -> &mut Order {
        self.slots[slot as usize].as_deref_mut().expect("a slot in use holds an order")
    }

    fn prefetch(&self, slot: u32) {
        if let Some(Some(order)) = self.slots.get(slot as usize) {
            prefetch(&**order);
        }
    }

    fn guess(&self, slot: u32) -> Order {
        self.slots.get(slot as usize).and_then(Option::as_deref).copied().unwrap_or_default()
    }

    fn bytes(&self) -> usize {
        // The allocator keeps 16 bytes beside each order.
        let live = self.slots.len() - self.free.len();
        live * (size_of::<Order>() + 16) + self.slots.capacity() * 8 + self.free.capacity() * 4
    }
}
