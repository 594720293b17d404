//! `flat`: one array of slots, made for references that mostly increase.
//!
//! The home of a reference is the reference itself, modulo the size: orders that came one after the other stand side by side, sixteen
//! to a cache line, so a burst of adds writes one line after the next, and a delete soon after finds its line in cache. Orders of one
//! home are chained through the orders themselves, the youngest first; removing one leaves no mark, and the table does not age.
//!
//! It grows by linear hashing (Litwin 1980): an order beyond half as many as there are cells has the next two cells in turn split in
//! two each, so that it stays half full. No insert ever waits for the whole table to be rebuilt.
//!
//! ```text
//! | 0 ... split-1 : split already | split ... half-1 : not yet | half ... half+split-1 : the other halves |
//! ```
//!
//! If the references of a feed do not suit that (all multiples of 65,536, say), chains grow long; the table notices when it looks along
//! one or splits it, and scatters from then on, with a random key, so that nobody can choose references that collide.

use std::hash::{BuildHasher, RandomState};

use super::{Index, Lookup};
use crate::book::levels::NIL;
use crate::book::pool::Pool;
use crate::reserved::{Pages, prefetch};

/// Cells for which addresses are reserved: 1 GiB, of which only what is used becomes memory.
const RESERVED: usize = 1 << 28;
/// Cells at the start, all touched before the first order: 16 KiB.
const READY: u32 = 1 << 12;
/// References given out since, after which the line of an order has probably left the second cache: 512 KiB of orders.
const RECENT: u64 = 1 << 14;
/// Splits from asking for an order to needing it; less than the cells there are at the start.
const AHEAD: u32 = 16;
/// A chain this long says that the references do not suit the table.
const LONG_CHAIN: usize = 32;

/// See the head of this file.
pub struct Flat {
    /// Slot of the youngest order of each home, or `NIL`.
    cells: Pages<u32>,
    /// Cells in use.
    size: u32,
    /// Twice the largest power of two that is not above `size`, less one.
    mask: u32,
    live: u32,
    /// Live orders above which a cell is split: half of `size`.
    limit: u32,
    /// No live reference is above this one.
    highest: u64,
    /// References are mixed before the home is taken.
    scattered: bool,
    /// With these, drawn when that begins.
    keys: [u64; 2],
}

impl Default for Flat {
    fn default() -> Self {
        Flat {
            cells: Pages::new(RESERVED, READY as usize),
            size: READY,
            mask: 2 * READY - 1,
            live: 0,
            limit: READY / 2,
            highest: 0,
            scattered: false,
            keys: [0; 2],
        }
    }
}

/// Every bit of the reference moves every bit of the result: the finaliser of MurmurHash3, keyed before each multiplication.
#[inline(always)]
fn mixed(id: u64, [first, second]: [u64; 2]) -> u64 {
    let id = id ^ first;
    let id = (id ^ (id >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd) ^ second;
    let id = (id ^ (id >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    id ^ (id >> 33)
}

impl Flat {
    #[inline(always)]
    fn home(&self, id: u64) -> u32 {
        let id = if self.scattered { mixed(id, self.keys) } else { id };
        let home = id as u32 & self.mask;
        if home < self.size { home } else { home & (self.mask >> 1) }
    }

    /// The cell of a home.
    #[inline(always)]
    fn cell(&mut self, home: u32) -> &mut u32 {
        debug_assert!(home < self.size);
        // SAFETY: `home` is below `size`, for which `split` made room.
        unsafe { self.cells.at_mut(home) }
    }

    /// The youngest order of a home, or `NIL`.
    #[inline(always)]
    fn first(&self, home: u32) -> u32 {
        debug_assert!(home < self.size);
        // SAFETY: as above.
        unsafe { *self.cells.at(home) }
    }

    /// Split the next cell: its orders stay or go to the new last cell.
    #[inline]
    fn split(&mut self, pool: &mut impl Pool) {
        let half = (self.mask >> 1) + 1;
        let split = self.size - half;
        self.cells.ensure(self.size as usize + 1);
        self.size += 1;
        self.limit = self.size / 2;
        let mut slot = std::mem::replace(self.cell(split), NIL);
        // Youngest first on both sides: each order is put behind the one before it.
        let (mut ends, mut steps) = ([NIL; 2], 0);
        while slot != NIL {
            steps += 1;
            let order = pool.get_mut(slot);
            let next = std::mem::replace(&mut order.chain, NIL);
            let home = self.home(order.id);
            let end = &mut ends[(home != split) as usize];
            match std::mem::replace(end, slot) {
                NIL => *self.cell(home) = slot,
                before => pool.get_mut(before).chain = slot,
            }
            slot = next;
        }
        if self.size == 2 * half {
            self.mask = self.mask << 1 | 1;
        }
        // References that rise are never looked for before they come: their chains are noticed here.
        if steps > LONG_CHAIN && !self.scattered {
            self.scatter(pool);
        }
        // The orders of the cells that come next are old ones, and not in cache.
        pool.prefetch(self.first(split + AHEAD));
    }

    /// Two cells more, for one order more.
    #[inline(never)]
    fn grow(&mut self, pool: &mut impl Pool) {
        self.split(pool);
        self.split(pool);
    }

    /// The first order of the chain was another one.
    fn find_behind(&mut self, id: u64, first: u32, pool: &mut impl Pool) -> Lookup {
        let (mut slot, mut steps) = (first, 0);
        while slot != NIL && pool.get(slot).id != id {
            slot = pool.get(slot).chain;
            steps += 1;
        }
        if steps > LONG_CHAIN && !self.scattered {
            self.scatter(pool);
        }
        Lookup { slot, home: self.home(id) }
    }

    /// Mix all references from now on.
    #[cold]
    fn scatter(&mut self, pool: &mut impl Pool) {
        self.scattered = true;
        let random = RandomState::new();
        self.keys = [random.hash_one(1), random.hash_one(2)];
        let mut all = Vec::with_capacity(self.live as usize);
        for cell in 0..self.size {
            let mut slot = std::mem::replace(self.cell(cell), NIL);
            while slot != NIL {
                all.push(slot);
                slot = pool.get(slot).chain;
            }
        }
        for slot in all {
            let home = self.home(pool.get(slot).id);
            pool.get_mut(slot).chain = std::mem::replace(self.cell(home), slot);
        }
    }
}

impl Index for Flat {
    #[inline(always)]
    fn find(&mut self, id: u64, pool: &mut impl Pool) -> Lookup {
        let home = self.home(id);
        let slot = self.first(home);
        if slot == NIL || pool.get(slot).id == id {
            return Lookup { slot, home };
        }
        self.find_behind(id, slot, pool)
    }

    #[inline(always)]
    fn contains(&mut self, id: u64, pool: &mut impl Pool) -> bool {
        id <= self.highest && self.find(id, pool).slot != NIL
    }

    #[inline(always)]
    fn insert(&mut self, id: u64, slot: u32, pool: &mut impl Pool) {
        self.live += 1;
        self.highest = self.highest.max(id);
        if self.live > self.limit {
            self.grow(pool);
        }
        let home = self.home(id);
        pool.get_mut(slot).chain = std::mem::replace(self.cell(home), slot);
    }

    #[inline(always)]
    fn remove(&mut self, _: u64, found: Lookup, pool: &mut impl Pool) {
        self.live -= 1;
        let chain = pool.get(found.slot).chain;
        let cell = self.cell(found.home);
        if *cell == found.slot {
            *cell = chain;
            return;
        }
        let mut at = *cell;
        while pool.get(at).chain != found.slot {
            at = pool.get(at).chain;
        }
        pool.get_mut(at).chain = chain;
    }

    fn ready(&mut self, messages: usize) {
        let (size, room) = (self.size as usize, self.limit.saturating_sub(self.live) as usize);
        self.cells.ready(size, size + 2 * messages.saturating_sub(room));
    }

    fn live(&self) -> usize {
        self.live as usize
    }

    fn bytes(&self) -> usize {
        self.size as usize * size_of::<u32>()
    }

    fn is_old(&self, id: u64) -> bool {
        self.highest.saturating_sub(id) > RECENT
    }

    #[inline(always)]
    fn prefetch(&self, id: u64) -> u32 {
        let home = self.home(id);
        prefetch(&self.cells[home as usize]);
        home
    }

    #[inline(always)]
    fn guess(&self, home: u32) -> u32 {
        self.cells[home as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::pool::{Order, slab::Slab};

    /// What references look like, and the n-th of them.
    type Case = (&'static str, fn(u64) -> u64);

    /// Length of the longest chain after so many references that come in this order.
    fn longest_chain(reference: fn(u64) -> u64) -> usize {
        let (mut index, mut pool) = (Flat::default(), Slab::default());
        for n in 0..50_000 {
            let id = reference(n);
            assert!(!index.contains(id, &mut pool));
            let slot = pool.put(Order { id, qty: 1, ..Order::default() });
            index.insert(id, slot, &mut pool);
        }
        let chain = |home| std::iter::successors(Some(index.first(home)), |&slot| Some(pool.get(slot).chain));
        (0..index.size).map(|home| chain(home).take_while(|&slot| slot != NIL).count()).max().unwrap_or(0)
    }

    #[test]
    fn no_references_make_long_chains() {
        let orders: &[Case] = &[
            ("rising", |n| n),
            ("reversed", |n| 1_000_000 - n),
            ("at the end", |n| u64::MAX - n),
            ("shifted by 16", |n| n << 16),
            ("shifted by 40", |n| n << 40),
            ("same lower half", |n| n << 32 | 12_345),
            // What collides under the mixing function without a key: its inverse.
            ("crafted", |n| {
                let id = n << 44;
                let id = (id ^ (id >> 33)).wrapping_mul(0x9cb4_b2f8_1293_37db);
                let id = (id ^ (id >> 33)).wrapping_mul(0x4f74_430c_22a5_4005);
                id ^ (id >> 33)
            }),
        ];
        for (name, reference) in orders {
            let longest = longest_chain(*reference);
            assert!(longest <= LONG_CHAIN, "{name}: a chain of {longest}");
        }
    }
}
