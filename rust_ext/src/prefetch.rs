//! Asking for memory ahead. The messages of a batch are known before the first of them is applied, so what they will touch can be on
//! its way while others are worked on. Each step reads what the step before it asked for:
//!
//! ```text
//! an order that comes (ADD)     half of the book -> place of the price -> level -> last order of its queue
//! an order that is there        cell of the index -> order -> its level and neighbours -> half of the book
//! ```
//!
//! All of it is guesswork: an earlier message of the batch may change what a later one finds. A wrong guess costs time, nothing else.

use crate::book::Book;
use crate::book::apply::signed;
use crate::book::levels::Levels;
use crate::book::orders::Index;
use crate::book::pool::Pool;
use crate::event::{ASK, Event, kind};
use crate::frames::BATCH;

/// Ask for the cache line of `place`: a hint that reads nothing, and any address is allowed.
#[inline(always)]
pub fn prefetch<T>(place: &T) {
    let place: *const T = place;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing and faults nowhere; SSE is in every x86-64.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(place.cast())
    };
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a prefetch reads nothing and faults nowhere.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) place, options(nostack, preserves_flags, readonly))
    };
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = place;
}

/// Messages of one sort, and what has been found out about each: a number that only the next step understands.
struct Sort {
    /// Places in the batch.
    place: [u8; BATCH],
    len: usize,
    found: [u32; BATCH],
}

impl Sort {
    const NONE: Sort = Sort { place: [0; BATCH], len: 0, found: [0; BATCH] };

    /// Do something with every message and what is known of it; the answer is what is known then.
    #[inline(always)]
    fn step(&mut self, events: &[Event; BATCH], mut each: impl FnMut(&Event, u32) -> u32) {
        for (&place, found) in self.place.iter().zip(&mut self.found).take(self.len) {
            *found = each(&events[place as usize % BATCH], *found);
        }
    }
}

/// Ask for what the first `len` messages of a batch will touch.
pub fn ask<L: Levels, I: Index, P: Pool>(book: &Book<L, I, P>, events: &[Event; BATCH], len: usize) {
    let (mut come, mut there) = (Sort::NONE, Sort::NONE);
    let known = |event: &Event| book.instruments.get(event.instrument as usize);
    let (index, pool, levels) = (&book.store.index, &book.store.pool, &book.store.levels);

    for (i, event) in events.iter().enumerate().take(len) {
        index.prefetch(event.order_id);
        if let Some(known) = known(event) {
            prefetch(&known.top);
            prefetch(&known.sides[(event.side == ASK) as usize]);
        }
        // Without a branch: the kind of the next message is random to a predictor.
        come.place[come.len % BATCH] = i as u8;
        there.place[there.len % BATCH] = i as u8;
        let comes = event.kind == kind::ADD;
        come.len += comes as usize;
        there.len += !comes as usize;
    }
    there.step(events, |event, _| {
        let slot = index.guess(event.order_id);
        pool.prefetch(slot);
        slot
    });
    come.step(events, |event, _| {
        let i = (event.side == ASK) as usize;
        known(event).map_or(0, |known| {
            prefetch(levels.get(known.best[i]));
            known.sides[i].prefetch(signed(event.price, i)) << 1 | i as u32
        })
    });
    there.step(events, |_, slot| {
        let order = pool.guess(slot);
        prefetch(levels.get(order.level));
        pool.prefetch(order.prev);
        pool.prefetch(order.next);
        order.level
    });
    come.step(events, |event, hint| {
        let level = known(event).map_or(0, |known| known.sides[hint as usize % 2].guess(hint >> 1));
        prefetch(levels.get(level));
        level
    });
    there.step(events, |event, level| {
        let i = (levels.get(level).book_side % 2) as usize;
        known(event).inspect(|known| {
            prefetch(&known.sides[i]);
            prefetch(levels.get(known.best[i]));
        });
        0
    });
    come.step(events, |_, level| {
        pool.prefetch(levels.get(level).tail);
        0
    });
}
