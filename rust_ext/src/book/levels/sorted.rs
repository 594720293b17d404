//! `sorted`: a vector in order, the best at the end, where a vector is cheap to change. The search starts there, too: a level close
//! to the touch is found in a step or two, whatever the depth of the book.

use super::{Level, LevelTable, Levels, NIL};

/// Entries from the end that are looked at one by one before the rest is halved.
const NEAR: usize = 8;

/// Levels in a sorted vector.
#[derive(Default)]
pub struct Sorted {
    /// (key, level), the largest key first.
    levels: Vec<(i64, u32)>,
}

impl Sorted {
    /// Where `key` stands, or where it would have to stand.
    fn find(&self, key: i64) -> Result<usize, usize> {
        let far = self.levels.len().saturating_sub(NEAR);
        for at in (far..self.levels.len()).rev() {
            let other = self.levels[at].0;
            if other >= key {
                return if other == key { Ok(at) } else { Err(at + 1) };
            }
        }
        self.levels[..far].binary_search_by(|row| key.cmp(&row.0))
    }
}

impl Levels for Sorted {
    fn entry(&mut self, key: i64, book_side: u32, table: &mut LevelTable) -> u32 {
        let at = self.find(key).unwrap_or_else(|at| {
            self.levels.insert(at, (key, table.open(key, book_side)));
            at
        });
        self.levels[at].1
    }

    fn remove(&mut self, key: i64, slot: u32, table: &mut LevelTable) {
        if let Ok(at) = self.find(key) {
            self.levels.remove(at);
        }
        table.close(slot);
    }

    fn best(&mut self, _: &mut LevelTable) -> u32 {
        self.levels.last().map_or(NIL, |row| row.1)
    }

    fn get(&self, key: i64, _: &LevelTable) -> u32 {
        self.find(key).map_or(NIL, |at| self.levels[at].1)
    }

    fn walk(&self, table: &LevelTable, mut each: impl FnMut(&Level) -> bool) {
        for &(_, slot) in self.levels.iter().rev() {
            if !each(table.get(slot)) {
                return;
            }
        }
    }

    fn clear(&mut self, table: &mut LevelTable) {
        self.levels.drain(..).for_each(|(_, slot)| table.close(slot));
    }

    fn bytes(&self) -> usize {
        self.levels.capacity() * size_of::<(i64, u32)>()
    }
}
