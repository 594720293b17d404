//! Asking for memory ahead. The messages of a buffer are known before the first of them is applied, so what they will touch can be on
//! its way while others are worked on. Each step reads what the step before it asked for:
//!
//! ```text
//! an order that comes (ADD)     its instrument -> level of its price -> last order of the queue
//! an order that is there        cell of the index -> order -> its level and neighbours
//! ```
//!
//! All of it is guesswork: an earlier message may change what a later one finds. A wrong guess costs time, nothing else.

use crate::book::Book;
use crate::book::apply::signed;
use crate::book::levels::{Levels, NIL};
use crate::book::orders::Index;
use crate::book::pool::Pool;
use crate::by_instrument::ByInstrument;
use crate::event::{ASK, Event, kind};
use crate::frames::{BATCH, peek};
use crate::itch::{WINDOW, field, size_and_kind};
use crate::reserved::prefetch;
use crate::signal::State;

/// What is looked at of a message before its turn.
pub trait Glimpse {
    /// Dense instrument number.
    fn instrument(&self) -> u16;
    /// The order acted on.
    fn order_id(&self) -> u64;
    /// 1 where an order comes, 2 where something happens to one that is there, else 0.
    fn sort(&self) -> u8;
    /// Side, 0 or 1, and key of an order that comes.
    fn place(&self) -> (usize, i64);
}

/// `Glimpse::sort` of a kind.
const SORTS: [u8; kind::COUNT] = [0, 1, 2, 2, 2, 2, 0, 0, 0];

impl Glimpse for [u8; WINDOW] {
    #[inline(always)]
    fn instrument(&self) -> u16 {
        field::instrument(self)
    }

    #[inline(always)]
    fn order_id(&self) -> u64 {
        field::order_id(self)
    }

    #[inline(always)]
    fn sort(&self) -> u8 {
        const OF_LETTERS: [u8; 256] = {
            let (mut sorts, mut letter) = ([0; 256], 0);
            while letter < 256 {
                sorts[letter] = SORTS[size_and_kind(letter as u8).1 as usize];
                letter += 1;
            }
            sorts
        };
        OF_LETTERS[self[0] as usize]
    }

    #[inline(always)]
    fn place(&self) -> (usize, i64) {
        let i = (self[19] == b'S') as usize;
        (i, signed(field::u32(self, 32) as i64, i))
    }
}

impl Glimpse for Event {
    fn instrument(&self) -> u16 {
        self.instrument
    }

    fn order_id(&self) -> u64 {
        self.order_id
    }

    fn sort(&self) -> u8 {
        SORTS.get(self.kind as usize).copied().unwrap_or(0)
    }

    fn place(&self) -> (usize, i64) {
        let i = (self.side == ASK) as usize;
        (i, signed(self.price, i))
    }
}

/// Messages of one sort, and what has been found out about each: a number that only the next step understands.
struct Sort<'a, T> {
    of: [&'a T; BATCH],
    len: usize,
    found: [u32; BATCH],
}

impl<'a, T> Sort<'a, T> {
    #[inline(always)]
    fn new(any: &'a T) -> Self {
        Sort { of: [any; BATCH], len: 0, found: [NIL; BATCH] }
    }

    /// Take a message or leave it, without a branch: the kind of the next message is random to a predictor.
    #[inline(always)]
    fn offer(&mut self, message: &'a T, take: u8) {
        self.of[self.len % BATCH] = message;
        self.len += take as usize;
    }

    /// Do something with every message and what is known of it; the answer is what is known then.
    #[inline(always)]
    fn step(&mut self, mut each: impl FnMut(&T, u32) -> u32) {
        for (of, found) in self.of.iter().zip(&mut self.found).take(self.len) {
            *found = each(of, *found);
        }
    }
}

/// Ask for what the messages that `next` gives will touch, at most `BATCH` of them.
#[inline(never)]
pub fn ask<'a, T: Glimpse + 'a, L: Levels, I: Index, P: Pool>(
    book: &Book<L, I, P>,
    states: &ByInstrument<State>,
    mut next: impl FnMut() -> Option<&'a T>,
) {
    let Some(mut message) = next() else { return };
    let (mut come, mut there) = (Sort::new(message), Sort::new(message));
    let (index, pool, levels) = (&book.store.index, &book.store.pool, &book.store.levels);
    for _ in 0..BATCH {
        let instrument = message.instrument();
        if let Some(known) = book.instruments.near(instrument) {
            prefetch(&known.sides[0]);
            prefetch(&known.sides[1]);
            prefetch(&known.top);
        }
        if let Some(state) = states.near(instrument) {
            prefetch(state);
        }
        let sort = message.sort();
        come.offer(message, sort & 1);
        there.offer(message, sort >> 1);
        match next() {
            Some(after) => message = after,
            None => break,
        }
    }
    there.step(|message, _| index.prefetch(message.order_id()));
    come.step(|message, _| {
        let (i, key) = message.place();
        let known = book.instruments.near(message.instrument());
        known.map_or(NIL, |known| known.sides[i].prefetch(key, levels))
    });
    there.step(|_, hint| {
        let slot = index.guess(hint);
        pool.prefetch(slot);
        slot
    });
    there.step(|_, slot| {
        let order = pool.guess(slot);
        prefetch(levels.get(order.level));
        pool.prefetch(order.prev);
        pool.prefetch(order.next);
        NIL
    });
    come.step(|_, level| {
        pool.prefetch(levels.get(level).tail);
        NIL
    });
}

/// The messages of framed bytes from `at` on whose windows lie inside, at most `most`, one a call.
#[inline(always)]
pub fn windows<'a>(
    data: &'a [u8],
    mut at: usize,
    mut most: usize,
) -> impl FnMut() -> Option<&'a [u8; WINDOW]> {
    move || {
        let (size, window) = peek(data, at).filter(|_| most > 0)?;
        at += size + 2;
        most -= 1;
        Some(window)
    }
}
