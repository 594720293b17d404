//! `sorted`: a vector in order, the best at the end, where a vector is cheap to change. The search starts there, too: a level close
//! to the touch is found in a step or two, whatever the depth of the book.

use super::{Levels, NIL};

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
    fn entry(&mut self, key: i64) -> &mut u32 {
        let at = self.find(key).unwrap_or_else(|at| {
            self.levels.insert(at, (key, NIL));
            at
        });
        &mut self.levels[at].1
    }

    fn remove(&mut self, key: i64) {
        if let Ok(at) = self.find(key) {
            self.levels.remove(at);
        }
    }

    fn best(&mut self) -> u32 {
        self.levels.last().map_or(NIL, |row| row.1)
    }

    fn get(&self, key: i64) -> u32 {
        self.find(key).map_or(NIL, |at| self.levels[at].1)
    }

    fn walk(&self, mut each: impl FnMut(u32) -> bool) {
        for &(_, level) in self.levels.iter().rev() {
            if !each(level) {
                return;
            }
        }
    }

    fn bytes(&self) -> usize {
        self.levels.capacity() * size_of::<(i64, u32)>()
    }
}
