//! `btree`: what one would write first.

use std::collections::BTreeMap;

use super::{Level, Levels};

/// Levels in an ordered map from key to level.
#[derive(Default)]
pub struct BTree {
    levels: BTreeMap<i64, Level>,
}

impl Levels for BTree {
    fn open(&mut self, key: i64) -> &mut Level {
        self.levels.entry(key).or_insert(Level::EMPTY)
    }

    fn at(&mut self, key: i64) -> &mut Level {
        self.open(key)
    }

    fn close(&mut self, key: i64) {
        self.levels.remove(&key);
    }

    fn best(&self) -> Option<(i64, u64)> {
        self.levels.first_key_value().map(|(&key, level)| (key, level.qty))
    }

    fn walk(&self, mut each: impl FnMut(i64, &Level) -> bool) {
        for (&key, level) in &self.levels {
            if !each(key, level) {
                return;
            }
        }
    }

    fn get(&self, key: i64) -> Option<&Level> {
        self.levels.get(&key)
    }

    fn bytes(&self) -> usize {
        // A node holds 11 entries and is two thirds full on the average.
        self.levels.len() * (size_of::<i64>() + size_of::<Level>()) * 3 / 2
    }
}
