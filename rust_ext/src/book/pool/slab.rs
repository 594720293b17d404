//! `pool=True`: one array of orders that grows in place; a freed slot is the next to be used, while its line is still in cache.

use super::{Order, Pool};
use crate::book::levels::NIL;
use crate::reserved::{Pages, prefetch};

/// Orders for which addresses are reserved: 4 GiB, of which only what is used becomes memory.
const RESERVED: usize = 1 << 27;

/// Orders in one array.
pub struct Slab {
    slots: Pages<Order>,
    /// First slot that was never used.
    end: u32,
    /// First free slot, chained through `next`; `NIL` if there is none.
    free: u32,
}

impl Default for Slab {
    fn default() -> Self {
        Slab { slots: Pages::new(RESERVED, 1), end: NIL + 1, free: NIL }
    }
}

impl Pool for Slab {
    #[inline(always)]
    fn put(&mut self, order: Order) -> u32 {
        let slot = if self.free != NIL {
            let slot = self.free;
            self.free = self.get(slot).next;
            slot
        } else {
            self.slots.ensure(self.end as usize + 1);
            self.end += 1;
            self.end - 1
        };
        *self.get_mut(slot) = order;
        slot
    }

    #[inline(always)]
    fn take(&mut self, slot: u32) -> Order {
        let order = *self.get(slot);
        self.get_mut(slot).next = self.free;
        self.free = slot;
        order
    }

    #[inline(always)]
    fn get(&self, slot: u32) -> &Order {
        // SAFETY: slots come from `put`, which made room for them, and room is never given back.
        unsafe { self.slots.at(slot) }
    }

    #[inline(always)]
    fn get_mut(&mut self, slot: u32) -> &mut Order {
        // SAFETY: as above.
        unsafe { self.slots.at_mut(slot) }
    }

    fn bytes(&self) -> usize {
        self.end as usize * size_of::<Order>()
    }

    fn ready(&mut self, messages: usize) {
        self.slots.ready(self.end as usize, self.end as usize + messages);
    }

    #[inline(always)]
    fn prefetch(&self, slot: u32) {
        prefetch(self.get(slot));
    }

    #[inline(always)]
    fn guess(&self, slot: u32) -> Order {
        *self.get(slot)
    }
}
