//! Whether the references of new orders were never used before: then none can be live in another shard, and no shard need ask another.
//!
//! As long as they rise, the latest is all that need be known. Where they rise on the whole only, a table remembers which of the latest
//! were used: a bit each, 64 to a block, each block in the place that is its number modulo the places. A block with a higher number takes
//! the place; of a lower one, nothing is known any more.

/// Blocks remembered: 262,144 neighbouring references, 64 KiB.
const PLACES: usize = 1 << 12;

/// References seen so far.
#[derive(Clone)]
pub struct References {
    /// What a reference must not be below to be higher than all before it, while there is no table.
    next: u64,
    table: Option<Table>,
}

#[derive(Clone)]
struct Table {
    /// References below it may have been used.
    from: u64,
    /// (number of the block and 1, 0 for none; its bits), by place.
    blocks: Vec<(u64, u64)>,
}

impl References {
    /// None seen; with a table from the start, or only once they have fallen.
    pub fn new(table: bool) -> Self {
        References { next: 0, table: table.then(|| Table::new(0)) }
    }

    /// Whether it is sure of each of these new references that it was never used before; they count as used from now on. After a no,
    /// those behind the first doubtful one do not yet.
    pub fn admit(&mut self, fresh: &[u64]) -> bool {
        if self.table.is_none() {
            let (mut next, mut rises) = (self.next, true);
            for &id in fresh {
                rises &= (id >= next) & (id < u64::MAX);
                next = id.wrapping_add(1);
            }
            if rises {
                self.next = next;
                return true;
            }
        }
        let from = self.next;
        let table = self.table.get_or_insert_with(|| Table::new(from));
        fresh.iter().all(|&id| table.insert(id))
    }

    /// Count a reference as used.
    pub fn note(&mut self, id: u64) {
        self.admit(&[id]);
    }
}

impl Table {
    fn new(from: u64) -> Self {
        Table { from, blocks: vec![(0, 0); PLACES] }
    }

    /// Remember a reference; whether it is sure that it was never used before.
    #[inline]
    fn insert(&mut self, id: u64) -> bool {
        let (number, bit) = ((id >> 6) + 1, 1 << (id & 63));
        let block = &mut self.blocks[number as usize % PLACES];
        if block.0 < number {
            *block = (number, 0);
        }
        let sure = block.0 == number && block.1 & bit == 0 && id >= self.from;
        if block.0 == number {
            block.1 |= bit;
        }
        sure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rising_references_need_no_table() {
        let mut seen = References::new(false);
        assert!(seen.admit(&[0, 5, 9]) && seen.admit(&[]) && seen.admit(&[10, 1 << 40]));
        assert!(seen.table.is_none());
    }

    #[test]
    fn after_a_fall_what_was_before_it_is_in_doubt() {
        let mut seen = References::new(false);
        assert!(seen.admit(&[100]));
        assert!(!seen.admit(&[99]));
        assert!(!seen.admit(&[100]));
        assert!(seen.admit(&[105, 103, 104]));
        assert!(!seen.admit(&[104]));
    }

    #[test]
    fn a_table_knows_the_latest_and_doubts_the_rest() {
        let mut seen = References::new(true);
        assert!(seen.admit(&[7, 3, 0, 1_000]));
        assert!(!seen.admit(&[3]) && !seen.admit(&[0]) && seen.admit(&[4]));
        let far = 64 * PLACES as u64;
        assert!(seen.admit(&[far + 5]), "the place of the first block goes to a higher one");
        assert!(!seen.admit(&[6]), "of which nothing is known now");
        assert!(seen.admit(&[1_001]) && seen.admit(&[u64::MAX, u64::MAX - 1]) && !seen.admit(&[u64::MAX]));
    }

    #[test]
    fn the_last_reference_of_all_rises_never() {
        let mut seen = References::new(false);
        assert!(!seen.admit(&[u64::MAX, u64::MAX]));
    }
}
