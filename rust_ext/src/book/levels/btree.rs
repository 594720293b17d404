//! `btree`: what one would write first.

use std::collections::BTreeMap;

use super::{Level, LevelTable, Levels, NIL};

/// Levels in an ordered map.
#[derive(Default)]
pub struct BTree {
    levels: BTreeMap<i64, u32>,
}

impl Levels for BTree {
    fn entry(&mut self, key: i64, book_side: u32, table: &mut LevelTable) -> u32 {
        *self.levels.entry(key).or_insert_with(|| table.open(key, book_side))
    }

    fn remove(&mut self, key: i64, slot: u32, table: &mut LevelTable) {
        self.levels.remove(&key);
        table.close(slot);
    }

    fn best(&mut self, _: &mut LevelTable) -> u32 {
        self.levels.first_key_value().map_or(NIL, |(_, &slot)| slot)
    }

    fn get(&self, key: i64, _: &LevelTable) -> u32 {
        self.levels.get(&key).copied().unwrap_or(NIL)
    }

    fn walk(&self, table: &LevelTable, mut each: impl FnMut(&Level) -> bool) {
        for &slot in self.levels.values() {
            if !each(table.get(slot)) {
                return;
            }
        }
    }

    fn clear(&mut self, table: &mut LevelTable) {
        std::mem::take(&mut self.levels).into_values().for_each(|slot| table.close(slot));
    }

    fn bytes(&self) -> usize {
        // A node holds 11 entries and is two thirds full on the average.
        self.levels.len() * size_of::<(i64, u32)>() * 3 / 2
    }
}
