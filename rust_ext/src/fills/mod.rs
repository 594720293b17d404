//! FILLS: orders of ours in the book of a feed, by exact queue position. The twin of `hftlab/fills/simulator.py`, which says what is
//! right; the fills are identical.
//!
//! The reference remembers who is ahead of each of ours, by id. Here every order of the feed knows the number of the message that
//! brought it, and what is older than ours stands ahead of it: an order that leaves costs nothing, whatever number of ours it was
//! ahead of.

mod records;
mod requests;
mod resting;
#[cfg(test)]
mod tests;

use std::mem::take;

use rustc_hash::FxHashMap;

use crate::book::Book;
use crate::book::apply::{Touched, signed};
use crate::book::levels::ladder::Ladder;
use crate::book::levels::{Levels, NIL};
use crate::book::orders::{Index, flat::Flat};
use crate::book::pool::{Pool, slab::Slab};
use crate::event::{Event, kind};
pub use records::{Fill, REQUEST_BYTES, Reason, Request, Shadow, State, action, tif};
use resting::{Place, Sides, oldest};

/// Orders of ours in the book of a feed.
#[derive(Default)]
pub struct Simulator {
    book: Book<Ladder, Flat, Slab>,
    /// By slot of the pool: number of the message that brought the order.
    since: Vec<u64>,
    /// Messages run so far.
    index: u64,
    now_ns: u64,
    /// Every order of ours, in the order of arrival.
    shadows: Vec<Shadow>,
    numbers: FxHashMap<(u32, u64), u32>,
    /// By instrument.
    resting: Vec<Sides>,
    /// Order of the feed -> (world, shares that it has taken of it).
    taken: FxHashMap<u64, Vec<(u32, u64)>>,
    /// (Instrument, order lost in a CLEAR) -> side, key and since when it rested there.
    lost: FxHashMap<(u16, u64), (usize, i64, u64)>,
    /// Instruments that changed in this exchange event.
    touched: Vec<u16>,
    /// By world: what is left of an execution; scratch.
    flow: FxHashMap<u32, u32>,
    fills: Vec<Fill>,
}

impl Simulator {
    /// Run messages, each request before the message of its number.
    ///
    /// `ends` says of each message whether it is the last of an exchange event; without it, each is. `requests` are ascending; those
    /// that are not due yet stay. Returns how many were done.
    pub fn run<'a>(
        &mut self,
        events: impl Iterator<Item = &'a [u8; crate::event::EVENT_BYTES]>,
        ends: Option<&[u8]>,
        requests: &[(u64, Request)],
    ) -> usize {
        let mut done = 0;
        for (number, bytes) in events.enumerate() {
            while let Some((at, request)) = requests.get(done)
                && *at <= self.index
            {
                self.request(request);
                done += 1;
            }
            self.apply(&Event::from_bytes(bytes));
            if ends.is_none_or(|ends| ends[number] != 0) {
                self.settle();
            }
        }
        done
    }

    /// Run one message; false if the book refused it or does not care. What is refused fills nobody.
    pub fn apply(&mut self, event: &Event) -> bool {
        self.now_ns = self.now_ns.max(event.ts_ns);
        let sides = self.resting.get(event.instrument as usize).filter(|sides| !sides.is_empty());
        let (ours, cleared) = (sides.is_some(), sides.is_some_and(|sides| sides.cleared));
        let place = match event.kind {
            kind::EXECUTE | kind::REPLACE | kind::TRADE if ours => self.place(event.order_id),
            kind::CANCEL | kind::DELETE if cleared => self.place(event.order_id),
            kind::CLEAR => {
                self.lose(event.instrument);
                None
            }
            _ => None,
        };
        let touched = self.book.apply(event).unwrap_or_default();
        let applied = touched.side > 0;
        if let Some(place) = place {
            self.report(place, event, applied);
        } else if ours && applied && (event.kind == kind::CANCEL || event.kind == kind::DELETE) {
            let Touched { side, best_key: key, .. } = touched;
            self.leave(
                Place { instrument: event.instrument, i: side as usize - 1, key, since: 0, left: 0 },
                event.ts_ns,
            );
        }
        if applied {
            self.note(event);
        }
        self.index += 1;
        applied
    }

    /// What an event about an order of the feed, which rested in `place`, does to ours.
    fn report(&mut self, place: Place, event: &Event, applied: bool) {
        // A TRADE that names an order resting at its price is a fill of it, reported before its effect on the book.
        let reported = event.kind == kind::TRADE
            && place.instrument == event.instrument
            && signed(place.key, place.i) == event.price;
        if reported || (applied && event.kind == kind::EXECUTE) {
            self.execute(place, event);
        }
        let whole = event.kind == kind::DELETE || event.kind == kind::REPLACE || event.qty == place.left;
        if applied && whole {
            self.leave(place, event.ts_ns);
        }
    }

    /// Where an order of the feed rests.
    fn place(&mut self, id: u64) -> Option<Place> {
        let store = &mut self.book.store;
        let slot = store.index.find(id, &mut store.pool).slot;
        if slot == NIL {
            return None;
        }
        let order = store.pool.get(slot);
        let level = store.levels.get(order.level);
        Some(Place {
            instrument: (level.book_side >> 1) as u16,
            i: (level.book_side & 1) as usize,
            key: level.key,
            since: self.since[slot as usize],
            left: order.qty,
        })
    }

    /// An event has changed the book: remember the instrument, and since when an order rests that has come.
    #[inline(always)]
    fn note(&mut self, event: &Event) {
        if !self.touched.contains(&event.instrument) {
            self.touched.push(event.instrument);
        }
        let id = match event.kind {
            kind::ADD => event.order_id,
            kind::REPLACE => event.new_order_id,
            _ => return,
        };
        let store = &mut self.book.store;
        let slot = store.index.find(id, &mut store.pool).slot as usize;
        if slot >= self.since.len() {
            self.since.resize((slot + 1).next_power_of_two(), 0);
        }
        self.since[slot] = self.index;
        let mut back = None;
        if event.kind == kind::ADD && !self.lost.is_empty() {
            let i = event.side as usize - 1;
            let was = self.lost.remove(&(event.instrument, id));
            back = was.filter(|&(side, key, _)| (side, key) == (i, signed(event.price, i)));
        }
        match back {
            Some((_, _, since)) => self.since[slot] = since,
            None if self.taken.is_empty() => {}
            None => drop(self.taken.remove(&id)),
        }
    }

    /// Shares of an order were executed: those of ours that it was not ahead of would have been hit first.
    fn execute(&mut self, place: Place, event: &Event) {
        let key = place.key;
        let Some(queue) = self.resting[place.instrument as usize].at(place.i, key) else { return };
        // Who came later has more orders ahead of it: the first that this one was ahead of ends the search.
        let behind = queue.orders.partition_point(|&each| self.shadows[each as usize].since <= place.since);
        let hit: Vec<u32> = queue.orders[..behind].to_vec();
        self.flow.clear();
        for number in hit {
            let shadow = &mut self.shadows[number as usize];
            let left = self.flow.entry(shadow.world).or_insert(event.qty);
            let share = shadow.left.min(*left);
            *left -= share;
            if share > 0 {
                shadow.reach_front(event.ts_ns);
                let price = signed(key, place.i);
                self.fill(number, share, price, event.order_id, Reason::Queue, self.index, event.ts_ns);
            }
        }
        if let Some(queue) = self.resting[place.instrument as usize].at(place.i, key) {
            let known = |&&each: &&u32| self.shadows[each as usize].front_ns >= 0;
            queue.fronts = queue.orders.iter().take_while(known).count();
        }
    }

    /// An order has left its price: an order of ours that had it as the last one ahead is at the front now.
    fn leave(&mut self, gone: Place, ts_ns: u64) {
        let sides = &mut self.resting[gone.instrument as usize];
        let cleared = sides.cleared;
        let Some(queue) = sides.at(gone.i, gone.key) else { return };
        if !cleared && queue.fronts == queue.orders.len() {
            return;
        }
        let oldest = oldest(&self.book, &self.since, gone, cleared);
        if cleared {
            for &each in &queue.orders {
                let shadow = &mut self.shadows[each as usize];
                if gone.since < shadow.since && shadow.since <= oldest {
                    shadow.reach_front(ts_ns);
                }
            }
            return;
        }
        while let Some(&each) = queue.orders.get(queue.fronts) {
            let shadow = &mut self.shadows[each as usize];
            if shadow.since > oldest {
                break;
            }
            shadow.reach_front(ts_ns);
            queue.fronts += 1;
        }
    }

    /// The book of an instrument is about to be emptied: remember who rested where. A snapshot may bring them back.
    #[cold]
    fn lose(&mut self, instrument: u16) {
        if let Some(sides) = self.resting.get_mut(instrument as usize) {
            sides.cleared = true;
        }
        let Some(known) = self.book.instruments.get(instrument) else { return };
        let store = &self.book.store;
        for (i, side) in known.sides.iter().enumerate() {
            side.walk(&store.levels, |level| {
                let mut slot = level.head;
                while slot != NIL {
                    let order = store.pool.get(slot);
                    self.lost.insert((instrument, order.id), (i, level.key, self.since[slot as usize]));
                    slot = order.next;
                }
                true
            });
        }
    }

    /// The end of an exchange event: whom has the other side reached?
    #[inline(always)]
    pub fn settle(&mut self) {
        if self.touched.len() == 1 {
            let instrument = self.touched[0];
            self.touched.clear();
            return self.reached(instrument);
        }
        for instrument in take(&mut self.touched) {
            self.reached(instrument);
        }
    }

    #[inline(always)]
    fn reached(&mut self, instrument: u16) {
        let Some(sides) = self.resting.get(instrument as usize) else { return };
        let top = self.book.top(instrument);
        for i in 0..2 {
            let limit = signed(top.price[1 - i], i);
            if top.qty[1 - i] > 0 && sides.best[i] <= limit {
                return self.through(instrument, top);
            }
        }
    }

    /// Orders of ours at or beyond the best price of the other side, the best of them first.
    #[cold]
    fn through(&mut self, instrument: u16, top: crate::book::Top) {
        for i in 0..2 {
            if top.qty[1 - i] == 0 {
                continue;
            }
            let queues = &self.resting[instrument as usize].queues[i];
            let limit = signed(top.price[1 - i], i);
            let reached: Vec<u32> =
                queues.range(..=limit).flat_map(|(_, queue)| queue.orders.clone()).collect();
            for number in reached {
                let shadow = self.shadows[number as usize];
                let offers = self.displayed(&shadow);
                for &(maker, _, share) in &offers {
                    self.remember(shadow.world, maker, share);
                }
                if !offers.is_empty() {
                    let (left, index) = (shadow.left, self.index - 1);
                    self.fill(number, left, shadow.price, 0, Reason::Through, index, self.now_ns);
                }
            }
        }
    }

    /// (order, price, shares): what one of ours can have of the other side at its price or better, best first; nothing that its
    /// world has had already.
    fn displayed(&self, shadow: &Shadow) -> Vec<(u64, i64, u32)> {
        let mut offers = Vec::new();
        let Some(known) = self.book.instruments.get(shadow.instrument) else { return offers };
        let (other, store) = (2 - shadow.side as usize, &self.book.store);
        let (limit, mut want) = (signed(shadow.price, other), shadow.left);
        known.sides[other].walk(&store.levels, |level| {
            if level.key > limit {
                return false;
            }
            let mut slot = level.head;
            while slot != NIL && want > 0 {
                let order = store.pool.get(slot);
                let free = (order.qty as u64)
                    .saturating_sub(self.had(shadow.world, order.id))
                    .min(want as u64) as u32;
                if free > 0 {
                    want -= free;
                    offers.push((order.id, signed(level.key, other), free));
                }
                slot = order.next;
            }
            want > 0
        });
        offers
    }

    /// Shares of an order that a world has had.
    fn had(&self, world: u32, order_id: u64) -> u64 {
        let worlds = self.taken.get(&order_id);
        worlds.and_then(|worlds| worlds.iter().find(|each| each.0 == world)).map_or(0, |each| each.1)
    }

    /// A world has had these shares: it cannot have them again.
    fn remember(&mut self, world: u32, order_id: u64, qty: u32) {
        let worlds = self.taken.entry(order_id).or_default();
        match worlds.iter_mut().find(|each| each.0 == world) {
            Some(each) => each.1 += qty as u64,
            None => worlds.push((world, qty as u64)),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn fill(
        &mut self,
        number: u32,
        qty: u32,
        price: i64,
        maker: u64,
        reason: Reason,
        index: u64,
        ts_ns: u64,
    ) {
        let shadow = &mut self.shadows[number as usize];
        let Shadow { order_id, world, instrument, side, .. } = *shadow;
        self.fills.push(Fill { index, ts_ns, order_id, maker, price, qty, world, instrument, side, reason });
        if reason == Reason::Through {
            return self.end(number, State::Through, ts_ns);
        }
        shadow.left -= qty;
        shadow.filled += qty;
        if shadow.left == 0 {
            self.end(number, State::Filled, ts_ns);
        }
    }

    /// Take one of ours out of its queue.
    fn end(&mut self, number: u32, state: State, ts_ns: u64) {
        let shadow = &mut self.shadows[number as usize];
        shadow.end(state, ts_ns);
        let i = shadow.side as usize - 1;
        if let Some(sides) = self.resting.get_mut(shadow.instrument as usize) {
            sides.remove(i, signed(shadow.price, i), number);
        }
    }

    /// The fills, and the outcome of every order of ours; those that are still live have expired.
    pub fn finish(&mut self) -> (Vec<Fill>, Vec<Shadow>) {
        for number in 0..self.shadows.len() {
            if self.shadows[number].state == State::Live {
                self.end(number as u32, State::Expired, self.now_ns);
            }
        }
        (take(&mut self.fills), take(&mut self.shadows))
    }
}
