//! `std`: what one would write first.

use std::collections::HashMap;

use super::Index;
use crate::pool::Pool;

/// A HashMap with its default hash.
#[derive(Default)]
pub struct Std {
    slots: HashMap<u64, u32>,
}

impl Index for Std {
    fn find(&self, id: u64, _: &impl Pool) -> Option<u32> {
        self.slots.get(&id).copied()
    }

    fn insert(&mut self, id: u64, slot: u32) {
        self.slots.insert(id, slot);
    }

    fn remove(&mut self, id: u64, _: u32) {
        self.slots.remove(&id);
    }

    fn live(&self) -> usize {
        self.slots.len()
    }

    fn bytes(&self) -> usize {
        // A bucket is an entry and a control byte; the map fills up to 7/8.
        self.slots.capacity() * 8 / 7 * (size_of::<(u64, u32)>() + 1)
    }
}
