//! Where resting orders live, and how one is found by its slot.
//!
//! 1. `Boxed` each order its own heap allocation, made when it comes and freed when it goes
//! 2. `Slab`  one array, slots reused through a free list, its pages touched before the first message

use crate::levels::NIL;

/// A resting order, 32 bytes, two to a cache line. The queue of its level runs through `prev` and `next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Order reference.
    pub id: u64,
    /// Side-signed price, the key of its level.
    pub key: i64,
    /// Shares left, > 0.
    pub qty: u32,
    /// Slot of the order before it in its level's queue, or `NIL`.
    pub prev: u32,
    /// Slot of the order behind it, or `NIL`.
    pub next: u32,
    /// Instrument it rests on.
    pub instrument: u16,
    /// `BID` or `ASK`.
    pub side: u8,
}

/// Keeps orders in numbered slots. A slot is valid from `put` to `take`.
pub trait Pool: Default + Send + Sync {
    /// Store an order; returns its slot, which is below `NIL`.
    fn put(&mut self, order: Order) -> u32;

    /// Give an order back and free its slot.
    fn take(&mut self, slot: u32) -> Order;

    /// The order in a slot that is in use.
    fn get(&self, slot: u32) -> &Order;

    /// The same, to be changed.
    fn get_mut(&mut self, slot: u32) -> &mut Order;

    /// Bytes it takes.
    fn bytes(&self) -> usize;
}

/// `pool=False`.
#[derive(Default)]
pub struct Boxed {
    slots: Vec<Option<Box<Order>>>,
    free: Vec<u32>,
}

impl Pool for Boxed {
    fn put(&mut self, order: Order) -> u32 {
        let order = Some(Box::new(order));
        match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = order;
                slot
            }
            None => {
                self.slots.push(order);
                self.slots.len() as u32 - 1
            }
        }
    }

    fn take(&mut self, slot: u32) -> Order {
        let order = self.slots[slot as usize].take().expect("a slot is taken once");
        self.free.push(slot);
        *order
    }

    fn get(&self, slot: u32) -> &Order {
        self.slots[slot as usize].as_deref().expect("a slot in use holds an order")
    }

    fn get_mut(&mut self, slot: u32) -> &mut Order {
        self.slots[slot as usize].as_deref_mut().expect("a slot in use holds an order")
    }

    fn bytes(&self) -> usize {
        // The allocator keeps 16 bytes beside each order.
        let live = self.slots.len() - self.free.len();
        live * (size_of::<Order>() + 16) + self.slots.capacity() * 8 + self.free.capacity() * 4
    }
}

/// `pool=True`.
pub struct Slab {
    slots: Vec<Order>,
    /// First free slot, chained through `next`; `NIL` if there is none.
    free: u32,
}

/// Orders for which room is made and touched before the first message: 2 MiB.
const READY: usize = 1 << 16;

impl Default for Slab {
    fn default() -> Self {
        let blank = Order { id: 0, key: 0, qty: 0, prev: NIL, next: NIL, instrument: 0, side: 0 };
        let mut slots = vec![blank; READY];
        slots.clear(); // the room stays, and so do its pages
        Slab { slots, free: NIL }
    }
}

impl Pool for Slab {
    #[inline(always)]
    fn put(&mut self, order: Order) -> u32 {
        if self.free != NIL {
            let slot = self.free;
            let place = &mut self.slots[slot as usize];
            self.free = place.next;
            *place = order;
            slot
        } else {
            self.slots.push(order);
            self.slots.len() as u32 - 1
        }
    }

    #[inline(always)]
    fn take(&mut self, slot: u32) -> Order {
        let place = &mut self.slots[slot as usize];
        let order = *place;
        place.next = self.free;
        self.free = slot;
        order
    }

    #[inline(always)]
    fn get(&self, slot: u32) -> &Order {
        &self.slots[slot as usize]
    }

    #[inline(always)]
    fn get_mut(&mut self, slot: u32) -> &mut Order {
        &mut self.slots[slot as usize]
    }

    fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Order>()
    }
}
