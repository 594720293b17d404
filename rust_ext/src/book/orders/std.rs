//! `std`: what one would write first; and the map that `fast` shares with it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::{Index, Lookup};
use crate::book::levels::NIL;
use crate::book::pool::Pool;

/// A HashMap with its default hash.
pub type Std = Map<RandomState>;

/// A HashMap with the hash `H`.
#[derive(Default)]
pub struct Map<H> {
    slots: HashMap<u64, u32, H>,
}

impl<H: BuildHasher + Default + Send + Sync> Index for Map<H> {
    fn find(&mut self, id: u64, _: &mut impl Pool) -> Lookup {
        Lookup { slot: self.slots.get(&id).copied().unwrap_or(NIL), home: 0 }
    }

    fn insert(&mut self, id: u64, slot: u32, _: &mut impl Pool) {
        self.slots.insert(id, slot);
    }

    fn remove(&mut self, id: u64, _: Lookup, _: &mut impl Pool) {
        self.slots.remove(&id);
    }

    fn live(&self) -> usize {
        self.slots.len()
    }

    /// What it takes to find a cell is most of what finding an order takes, so that it is found at once.
    fn prefetch(&self, id: u64) -> u32 {
        self.slots.get(&id).copied().unwrap_or(NIL)
    }

    fn bytes(&self) -> usize {
        // A bucket is an entry and a control byte; the map fills up to 7/8.
        self.slots.capacity() * 8 / 7 * (size_of::<(u64, u32)>() + 1)
    }
}
