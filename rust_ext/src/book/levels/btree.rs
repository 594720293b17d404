//! `btree`: what one would write first.

use std::collections::BTreeMap;

use super::{Levels, NIL};

/// Levels in an ordered map.
#[derive(Default)]
pub struct BTree {
    levels: BTreeMap<i64, u32>,
}

impl Levels for BTree {
    fn entry(&mut self, key: i64) -> &mut u32 {
        self.levels.entry(key).or_insert(NIL)
    }

    fn remove(&mut self, key: i64) {
        self.levels.remove(&key);
    }

    fn best(&mut self) -> u32 {
        self.levels.first_key_value().map_or(NIL, |(_, &level)| level)
    }

    fn get(&self, key: i64) -> u32 {
        self.levels.get(&key).copied().unwrap_or(NIL)
    }

    fn walk(&self, mut each: impl FnMut(u32) -> bool) {
        for &level in self.levels.values() {
            if !each(level) {
                return;
            }
        }
    }

    fn bytes(&self) -> usize {
        // A node holds 11 entries and is two thirds full on the average.
        self.levels.len() * size_of::<(i64, u32)>() * 3 / 2
    }
}
