//! `flat`: open addressing in one array of 8-byte entries, made for references that mostly increase.
//!
//! The home of a reference is the reference itself, modulo the size: orders that came one after the other stand side by side, so a
//! burst of adds writes one cache line after the next, and a delete soon after finds its line in cache. If the references of a feed
//! do not suit that (all multiples of 65,536, say), probes grow long; the table notices, and scatters from then on.
//!
//! Deletion shifts back what follows, so there are no tombstones and the table does not age.

use super::Index;
use crate::levels::NIL;
use crate::pool::Pool;

/// Entries made and touched before the first order: 512 KiB.
const READY: usize = 1 << 16;
/// A probe this long says that the references do not suit the table.
const LONG_PROBE: usize = 128;
/// 2^32 / golden ratio, odd: Fibonacci hashing.
const SCATTER: u32 = 0x9e37_79b1;

/// An entry in use, or `EMPTY`.
#[derive(Clone, Copy)]
struct Entry {
    /// The reference folded to 32 bits; equal tags are told apart by the orders themselves.
    tag: u32,
    /// Slot of the order in its pool, `NIL` marks an empty entry.
    slot: u32,
}

const EMPTY: Entry = Entry { tag: 0, slot: NIL };

/// See the head of this file.
pub struct Flat {
    /// A power of two, at most half in use.
    entries: Box<[Entry]>,
    live: usize,
    /// Multiplied onto the tag before the home is taken: 1 keeps neighbours, `SCATTER` breaks patterns.
    factor: u32,
    /// Bits the product is shifted right by: 0 while neighbours are kept.
    shift: u32,
}

impl Default for Flat {
    fn default() -> Self {
        Flat { entries: vec![EMPTY; READY].into_boxed_slice(), live: 0, factor: 1, shift: 0 }
    }
}

#[inline(always)]
fn tag(id: u64) -> u32 {
    id as u32 ^ ((id >> 32) as u32).wrapping_mul(SCATTER)
}

impl Flat {
    #[inline(always)]
    fn mask(&self) -> usize {
        self.entries.len() - 1
    }

    #[inline(always)]
    fn home(&self, tag: u32) -> usize {
        (tag.wrapping_mul(self.factor) >> self.shift) as usize & self.mask()
    }

    /// Put an entry where it belongs; returns how far from its home that is.
    #[inline(always)]
    fn place(&mut self, entry: Entry) -> usize {
        let (mut at, mask) = (self.home(entry.tag), self.mask());
        let mut steps = 0;
        while self.entries[at].slot != NIL {
            at = (at + 1) & mask;
            steps += 1;
        }
        self.entries[at] = entry;
        steps
    }

    #[cold]
    fn rebuild(&mut self, size: usize) {
        if self.factor != 1 {
            // The best bits of the product are its highest.
            self.shift = 32 - (size.trailing_zeros()).min(32);
        }
        let old = std::mem::replace(&mut self.entries, vec![EMPTY; size].into_boxed_slice());
        for &entry in old.iter().filter(|entry| entry.slot != NIL) {
            self.place(entry);
        }
    }
}

impl Index for Flat {
    #[inline(always)]
    fn find(&self, id: u64, pool: &impl Pool) -> Option<u32> {
        let (tag, mask) = (tag(id), self.mask());
        let mut at = self.home(tag);
        loop {
            let entry = self.entries[at];
            if entry.slot == NIL {
                return None;
            }
            if entry.tag == tag && pool.get(entry.slot).id == id {
                return Some(entry.slot);
            }
            at = (at + 1) & mask;
        }
    }

    #[inline(always)]
    fn insert(&mut self, id: u64, slot: u32) {
        if self.live * 2 >= self.entries.len() {
            self.rebuild(self.entries.len() * 2);
        }
        self.live += 1;
        if self.place(Entry { tag: tag(id), slot }) > LONG_PROBE && self.factor == 1 {
            self.factor = SCATTER;
            self.rebuild(self.entries.len());
        }
    }

    #[inline(always)]
    fn remove(&mut self, id: u64, slot: u32) {
        let mask = self.mask();
        let mut hole = self.home(tag(id));
        while self.entries[hole].slot != slot {
            hole = (hole + 1) & mask;
        }
        self.live -= 1;
        // Shift back every follower that may stand nearer to its home.
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let entry = self.entries[at];
            if entry.slot == NIL {
                break;
            }
            let from_home = at.wrapping_sub(self.home(entry.tag)) & mask;
            if from_home >= (at.wrapping_sub(hole) & mask) {
                self.entries[hole] = entry;
                hole = at;
            }
        }
        self.entries[hole] = EMPTY;
    }

    fn live(&self) -> usize {
        self.live
    }

    fn bytes(&self) -> usize {
        self.entries.len() * size_of::<Entry>()
    }
}
