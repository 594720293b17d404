//! The levels that a ladder has no slot for, in order: a list of short sorted chunks. Rare, so it may take a search; but neither many
//! of them nor any order of arrival makes it slow, and once it has grown it allocates no more.

use super::NIL;

/// Entries a chunk holds before it is halved: 1 KiB, moved in one go.
const FULL: usize = 64;
/// Times as many where there are many chunks: 32 KiB, about as long as the list of chunks of ten million entries, which moves, too.
const LONGEST: usize = 32;
/// Chunks there is room for at once.
const CHUNKS: usize = 4;

type Entry = (i64, u32);

/// An ordered map from key to level.
pub(super) struct Far {
    /// None is empty; keys increase within a chunk and from chunk to chunk.
    chunks: Vec<Vec<Entry>>,
    /// Emptied chunks, kept for their memory.
    spare: Vec<Vec<Entry>>,
    /// Entries of all chunks.
    len: u32,
}

impl Default for Far {
    fn default() -> Self {
        let mut spare = Vec::with_capacity(CHUNKS);
        spare.push(Vec::with_capacity(FULL));
        Far { chunks: Vec::with_capacity(CHUNKS), spare, len: 0 }
    }
}

impl Far {
    /// The place of `key`, `NIL` if it was not there.
    pub fn entry(&mut self, key: i64) -> &mut u32 {
        if self.chunks.is_empty() {
            let chunk = self.fresh();
            self.chunks.push(chunk);
        }
        let mut c = self.chunk_of(key);
        if self.chunks[c].len() >= self.full() {
            let (mut upper, half) = (self.fresh(), self.chunks[c].len() / 2);
            upper.extend(self.chunks[c].drain(half..));
            if key >= upper[0].0 {
                c += 1;
                self.chunks.insert(c, upper);
            } else {
                self.chunks.insert(c + 1, upper);
            }
        }
        let chunk = &mut self.chunks[c];
        let at = chunk.binary_search_by_key(&key, |row| row.0).unwrap_or_else(|at| {
            chunk.insert(at, (key, NIL));
            self.len += 1;
            at
        });
        &mut chunk[at].1
    }

    /// Drop `key`, if it is there.
    pub fn remove(&mut self, key: i64) {
        if self.chunks.is_empty() {
            return;
        }
        let c = self.chunk_of(key);
        if let Ok(at) = self.chunks[c].binary_search_by_key(&key, |row| row.0) {
            self.chunks[c].remove(at);
            self.len -= 1;
            if self.chunks[c].is_empty() {
                let chunk = self.chunks.remove(c);
                self.spare.push(chunk);
            }
        }
    }

    /// The entry with the smallest key that is at least `key`.
    pub fn next(&self, key: i64) -> Option<Entry> {
        let c = self.chunks.partition_point(|chunk| chunk[chunk.len() - 1].0 < key);
        let chunk = self.chunks.get(c)?;
        Some(chunk[chunk.partition_point(|row| row.0 < key)])
    }

    /// The level at `key`, or `NIL`.
    pub fn get(&self, key: i64) -> u32 {
        self.next(key).filter(|row| row.0 == key).map_or(NIL, |row| row.1)
    }

    /// How many entries there are.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// All entries, in order.
    pub fn iter(&self) -> impl Iterator<Item = Entry> {
        self.chunks.iter().flatten().copied()
    }

    /// Bytes it takes beyond its own struct.
    pub fn bytes(&self) -> usize {
        let held = |chunk: &Vec<Entry>| chunk.capacity() * size_of::<Entry>();
        let lists = (self.chunks.capacity() + self.spare.capacity()) * size_of::<Vec<Entry>>();
        lists + self.chunks.iter().chain(&self.spare).map(held).sum::<usize>()
    }

    /// The chunk that holds `key`, or must hold it; there is at least one.
    fn chunk_of(&self, key: i64) -> usize {
        self.chunks.partition_point(|chunk| chunk.first().is_some_and(|row| row.0 <= key)).saturating_sub(1)
    }

    /// Entries a chunk may hold: neither the chunks nor the list of them grow long.
    fn full(&self) -> usize {
        FULL * (self.chunks.len() / FULL).clamp(1, LONGEST)
    }

    fn fresh(&mut self) -> Vec<Entry> {
        self.spare.pop().unwrap_or_else(|| Vec::with_capacity(FULL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an entry moves at most when it comes, whatever the order of arrival: part of a chunk, and part of the list of chunks.
    #[test]
    fn an_entry_moves_little_however_many_there_are() {
        const ENTRIES: i64 = 400_000;
        let orders: [fn(i64) -> i64; 3] = [|n| n, |n| -n, |n| n * 7_919 % ENTRIES];
        for order in orders {
            let mut far = Far::default();
            (1..ENTRIES).for_each(|n| *far.entry(order(n)) = n as u32);
            let longest = far.chunks.iter().map(Vec::len).max().unwrap_or(0);
            assert!(
                longest <= FULL * LONGEST && far.chunks.len() <= 4_000,
                "{} of {longest}",
                far.chunks.len()
            );
            assert!(far.iter().is_sorted() && far.iter().count() as i64 == ENTRIES - 1);
            (1..ENTRIES).for_each(|n| assert_eq!(far.get(order(n)), n as u32));
            (1..ENTRIES).for_each(|n| far.remove(order(n)));
            assert!(far.chunks.is_empty());
        }
    }
}
