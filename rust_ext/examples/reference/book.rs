//! A bare book, as little as a book can do and still answer with the right best prices and queues: what the engine is measured against.
//!
//! ```text
//! reference -> orders[reference]       an array as long as the references go: no hash, no chain
//! price     -> 8,192 ticks a side      an array around the first price, and a bitmap of two levels over it
//! ```
//!
//! It checks nothing: a feed for it is without faults, and its references fit the memory. An order whose price is not among the ticks
//! of its side goes to a level of instrument 0, which nobody reads.

use std::hint::select_unpredictable;

use hftlab_rust::reserved::{Pages, Zeroed, prefetch};

/// Ticks of a side.
const TICKS: u32 = 1 << 13;
/// Messages between asking for an order and asking for what it leads to, and from there to its turn.
const AHEAD: usize = 12;
/// Bytes that may be read behind the last message.
pub const PADDING: usize = 64;

/// A resting order; reference 0 is nobody.
#[derive(Clone, Copy)]
struct Order {
    qty: u32,
    level: u32,
    prev: u32,
    next: u32,
}

/// The queue at a price. Its number is instrument, side and tick.
#[derive(Clone, Copy)]
struct Level {
    qty: u32,
    count: u32,
    head: u32,
    tail: u32,
}

/// Ticks count from the best side on: the smaller one is the better one, for bids as for asks.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Instrument {
    /// Price of tick 0 of the asks, and of the last one of the bids.
    base: u32,
    best: [u32; 2],
    /// ceil(2^32 / tick).
    reciprocal: u64,
    tick: u32,
    words: [u128; 2],
    bits: [[u64; (TICKS / 64) as usize]; 2],
}

// SAFETY: integers only, all three.
unsafe impl Zeroed for Order {}
// SAFETY: as above.
unsafe impl Zeroed for Level {}
// SAFETY: as above.
unsafe impl Zeroed for Instrument {}

/// What has to be known of a feed beforehand.
pub struct Extent {
    /// Largest reference.
    pub reference: u32,
    /// By instrument: its first price, and the greatest common divisor of all its prices; 0 where there is none.
    pub prices: Vec<(u32, u32)>,
}

/// See the head of this file.
pub struct Bare {
    orders: Pages<Order>,
    levels: Pages<Level>,
    instruments: Pages<Instrument>,
}

/// A message by its bytes, from its type on.
#[derive(Clone, Copy)]
pub struct Message<'a>(&'a [u8]);

impl<'a> Message<'a> {
    /// The message whose length prefix stands at `at`, and where the next one does.
    ///
    /// # Safety
    /// A whole message must stand there, and `PADDING` bytes behind it.
    #[inline(always)]
    pub unsafe fn at(data: &'a [u8], at: usize) -> (Self, usize) {
        debug_assert!(at + PADDING <= data.len());
        // SAFETY: promised by the caller.
        let rest = Message(unsafe { data.get_unchecked(at + 2..) });
        (rest, at + 2 + u16::from_be_bytes([data[at], data[at + 1]]) as usize)
    }

    #[inline(always)]
    fn word(self, at: usize) -> u32 {
        debug_assert!(at + 4 <= self.0.len());
        // SAFETY: fields end within 44 bytes, and `PADDING` follow the type.
        u32::from_be_bytes(unsafe { self.0.as_ptr().add(at).cast::<[u8; 4]>().read() })
    }

    /// Its type.
    #[inline(always)]
    pub fn letter(self) -> u8 {
        self.0[0]
    }

    /// Its instrument.
    #[inline(always)]
    pub fn instrument(self) -> u16 {
        (self.word(0) >> 8) as u16
    }

    /// The order it adds or names.
    #[inline(always)]
    pub fn reference(self) -> u32 {
        self.word(15)
    }

    /// The order that U adds.
    #[inline(always)]
    pub fn new_reference(self) -> u32 {
        self.word(23)
    }

    /// The price of A, F or U.
    #[inline(always)]
    pub fn price(self) -> u32 {
        self.word(if self.letter() == b'U' { 31 } else { 32 })
    }
}

impl Bare {
    /// An empty book for a feed, all its memory at hand.
    pub fn new(extent: &Extent) -> Self {
        let (n, orders) = (extent.prices.len(), extent.reference as usize + 1);
        let levels = n * 2 * TICKS as usize;
        let mut instruments = Pages::<Instrument>::new(n, n);
        for (instrument, &(first, tick)) in instruments.iter_mut().zip(&extent.prices) {
            let tick = tick.max(1);
            instrument.base = first.saturating_sub(TICKS / 2 * tick);
            // Where prices stand between multiples of the tick they would all be off: the base is one, too.
            instrument.base -= instrument.base % tick;
            instrument.reciprocal = (1u64 << 32).div_ceil(tick as u64);
            instrument.tick = tick;
            instrument.best = [TICKS - 1; 2];
        }
        Bare { orders: Pages::new(orders, orders), levels: Pages::new(levels, levels), instruments }
    }

    /// All messages of a feed, `PADDING` bytes in front of the end of `data`. With `ASKS` the order that comes up is asked for 24
    /// messages ahead, and what it leads to 12 ahead. Returns a sum over all best prices and quantities, which says that both were read
    /// after every message.
    ///
    /// # Safety
    /// The feed must be the one of the extent: whole messages, no faults.
    #[inline(never)]
    pub unsafe fn run<const ASKS: bool>(&mut self, data: &[u8]) -> u64 {
        let (mut at, mut near, mut far, mut sum) = (0, 0, 0, 0u64);
        let end = data.len() - PADDING;
        // SAFETY: promised by the caller.
        unsafe {
            for _ in 0..if ASKS { 2 * AHEAD } else { 0 } {
                self.ask_first(data, &mut far, end);
            }
            for _ in 0..if ASKS { AHEAD } else { 0 } {
                self.ask_second(data, &mut near, end);
            }
            while at < end {
                if ASKS {
                    self.ask_first(data, &mut far, end);
                    self.ask_second(data, &mut near, end);
                }
                let (message, next) = Message::at(data, at);
                self.apply(message);
                at = next;
                let [bid, ask] = self.top(message.instrument());
                sum = sum.wrapping_add(bid.0 as u64 ^ ask.0 as u64).wrapping_add(bid.1 as u64 ^ ask.1 as u64);
            }
        }
        sum
    }

    /// Price and quantity of the best bid and ask; of an empty side the quantity is 0.
    ///
    /// # Safety
    /// The instrument must be one of the extent.
    #[inline(always)]
    pub unsafe fn top(&self, instrument: u16) -> [(u32, u32); 2] {
        // SAFETY: promised by the caller.
        unsafe {
            let known = self.instruments.at(instrument as u32);
            [0, 1].map(|side| {
                let best = known.best[side as usize];
                let n = if side == 0 { TICKS - 1 - best } else { best };
                let level = self.levels.at((instrument as u32 * 2 + side) * TICKS + best);
                (known.base + n * known.tick, level.qty)
            })
        }
    }

    /// Whether a price has a tick.
    pub fn covers(&self, instrument: u16, price: u32) -> bool {
        // SAFETY: an instrument of the extent, or one that `get` refuses.
        self.instruments.get(instrument as usize).is_some() && unsafe { self.place(instrument, 0, price) } > 0
    }

    /// One message.
    ///
    /// # Safety
    /// As `run`.
    #[inline(always)]
    pub unsafe fn apply(&mut self, message: Message) {
        let id = message.reference();
        // SAFETY: promised by the caller.
        unsafe {
            match message.letter() {
                b'A' | b'F' => {
                    let side = (message.0[19] == b'S') as u32;
                    let at = self.place(message.instrument(), side, message.word(32));
                    self.add(at, id, message.word(20));
                }
                b'D' => _ = self.remove(id),
                b'E' | b'C' | b'X' => self.reduce(id, message.word(19)),
                b'U' => {
                    let side = self.remove(id) / TICKS % 2;
                    let at = self.place(message.instrument(), side, message.word(31));
                    self.add(at, message.new_reference(), message.word(27));
                }
                _ => {}
            }
        }
    }

    /// The level of a price; for one that has no tick that of instrument 0.
    #[inline(always)]
    unsafe fn place(&self, instrument: u16, side: u32, price: u32) -> u32 {
        // SAFETY: promised by the caller of `run`.
        let known = unsafe { self.instruments.at(instrument as u32) };
        let n = ((price.wrapping_sub(known.base) as u64 * known.reciprocal) >> 32) as u32;
        let tick = select_unpredictable(side == 0, (TICKS - 1).wrapping_sub(n), n);
        let at = (instrument as u32 * 2 + side) * TICKS + tick;
        if n < TICKS { at } else { side * TICKS }
    }

    #[inline(always)]
    unsafe fn add(&mut self, at: u32, id: u32, qty: u32) {
        let (side, tick) = ((at / TICKS % 2) as usize, at % TICKS);
        // SAFETY: promised by the caller of `run`.
        unsafe {
            let level = self.levels.at_mut(at);
            let prev = level.tail;
            *self.orders.at_mut(id) = Order { qty, level: at, prev, next: 0 };
            self.orders.at_mut(prev).next = id;
            level.head = select_unpredictable(level.count == 0, id, level.head);
            level.tail = id;
            level.qty = level.qty.wrapping_add(qty);
            level.count += 1;
            let known = self.instruments.at_mut(at / TICKS / 2);
            known.bits[side][(tick / 64) as usize] |= 1 << (tick % 64);
            known.words[side] |= 1 << (tick / 64);
            known.best[side] = known.best[side].min(tick);
        }
    }

    #[inline(always)]
    unsafe fn reduce(&mut self, id: u32, qty: u32) {
        // SAFETY: promised by the caller of `run`.
        unsafe {
            let order = self.orders.at_mut(id);
            if order.qty == qty {
                self.remove(id);
                return;
            }
            order.qty -= qty;
            let level = self.levels.at_mut(order.level);
            level.qty = level.qty.wrapping_sub(qty);
        }
    }

    /// Take an order out of its queue; returns its level.
    #[inline(always)]
    unsafe fn remove(&mut self, id: u32) -> u32 {
        // SAFETY: promised by the caller of `run`.
        unsafe {
            let Order { qty, level: at, prev, next } = *self.orders.at(id);
            self.orders.at_mut(prev).next = next;
            self.orders.at_mut(next).prev = prev;
            let level = self.levels.at_mut(at);
            level.head = select_unpredictable(prev == 0, next, level.head);
            level.tail = select_unpredictable(next == 0, prev, level.tail);
            level.qty = level.qty.wrapping_sub(qty);
            level.count -= 1;
            if level.count == 0 {
                self.close(at);
            }
            at
        }
    }

    /// A level has become empty.
    #[inline(always)]
    unsafe fn close(&mut self, at: u32) {
        let (side, tick) = ((at / TICKS % 2) as usize, at % TICKS);
        // SAFETY: promised by the caller of `run`.
        let known = unsafe { self.instruments.at_mut(at / TICKS / 2) };
        let (bits, words) = (&mut known.bits[side], &mut known.words[side]);
        let word = &mut bits[(tick / 64) as usize];
        *word &= !(1 << (tick % 64));
        if *word == 0 {
            *words &= !(1 << (tick / 64));
        }
        if known.best[side] == tick {
            let first = words.trailing_zeros();
            known.best[side] = match bits.get(first as usize) {
                Some(word) => first * 64 + word.trailing_zeros(),
                None => TICKS - 1,
            };
        }
    }

    /// Ask for the order of a message and its instrument.
    #[inline(always)]
    unsafe fn ask_first(&self, data: &[u8], at: &mut usize, end: usize) {
        if *at >= end {
            return;
        }
        // SAFETY: promised by the caller of `run`; a reference of a message that has none is cut to what there is.
        unsafe {
            let (message, next) = Message::at(data, *at);
            prefetch(self.orders.at(message.reference().min(self.orders.len() as u32 - 1)));
            prefetch(self.instruments.at(message.instrument() as u32));
            *at = next;
        }
    }

    /// Ask for the level of a message, and for the neighbours of its order.
    #[inline(always)]
    unsafe fn ask_second(&self, data: &[u8], at: &mut usize, end: usize) {
        if *at >= end {
            return;
        }
        // SAFETY: as in `ask_first`.
        unsafe {
            let (message, next) = Message::at(data, *at);
            let order = self.orders.at(message.reference().min(self.orders.len() as u32 - 1));
            if let b'A' | b'F' = message.letter() {
                let side = (message.0[19] == b'S') as u32;
                prefetch(self.levels.at(self.place(message.instrument(), side, message.word(32))));
            } else {
                prefetch(self.levels.at(order.level));
                prefetch(self.orders.at(order.prev));
                prefetch(self.orders.at(order.next));
            }
            *at = next;
        }
    }
}
