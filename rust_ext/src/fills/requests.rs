//! What we ask for, done between two messages.

use super::{Reason, Request, Shadow, Simulator, State, action, tif};
use crate::book::apply::signed;
use crate::book::levels::{Levels, NIL};

impl Simulator {
    /// Do what was asked, now.
    pub fn request(&mut self, asked: &Request) {
        let time_ns = if asked.time_ns == 0 { self.now_ns } else { asked.time_ns };
        let old = self.numbers.get(&(asked.world, asked.order_id)).copied();
        let live = old.filter(|&number| self.shadows[number as usize].state == State::Live);
        match (asked.action, live) {
            (action::CANCEL, Some(number)) => self.cancel(number, asked.qty, time_ns),
            (action::CANCEL, None) => {}
            (action::ENTER, _) => {
                self.enter(new(asked, asked.order_id, asked.instrument, asked.side, time_ns), asked.tif)
            }
            (_, Some(number)) => {
                let Shadow { instrument, side, .. } = self.shadows[number as usize];
                self.cancel(number, 0, time_ns);
                self.enter(new(asked, asked.new_order_id, instrument, side, time_ns), asked.tif);
            }
            (_, None) => {
                // Too late: there is nothing to replace.
                let void = new(asked, asked.new_order_id, asked.instrument, asked.side, time_ns);
                let number = self.known(void);
                self.shadows[number as usize].end(State::Canceled, time_ns);
            }
        }
    }

    /// Give one of ours its number.
    fn known(&mut self, shadow: Shadow) -> u32 {
        let number = self.shadows.len() as u32;
        self.numbers.insert((shadow.world, shadow.order_id), number);
        self.shadows.push(shadow);
        number
    }

    /// Take back some shares, or with 0 all of them.
    fn cancel(&mut self, number: u32, qty: u32, time_ns: u64) {
        let shadow = &mut self.shadows[number as usize];
        if 0 < qty && qty < shadow.left {
            shadow.left -= qty;
            shadow.canceled += qty;
        } else {
            self.end(number, State::Canceled, time_ns);
        }
    }

    /// An order of ours arrives: it takes, rests, both, or neither.
    fn enter(&mut self, mut shadow: Shadow, tif: u8) {
        shadow.since = self.index;
        let (offers, time_ns) = (self.displayed(&shadow), shadow.arrived_ns);
        let number = self.known(shadow);
        if !offers.is_empty() && tif == tif::POST_ONLY {
            return self.shadows[number as usize].end(State::Canceled, time_ns);
        }
        for (maker, price, share) in offers {
            self.remember(shadow.world, maker, share);
            self.fill(number, share, price, maker, Reason::Take, self.index, time_ns);
        }
        if self.shadows[number as usize].state != State::Live {
            return;
        }
        if tif == tif::IOC {
            return self.shadows[number as usize].end(State::Canceled, time_ns);
        }
        self.join(number);
    }

    /// One of ours joins the queue of its price, behind everybody who is there, or whom a snapshot is still to bring back.
    fn join(&mut self, number: u32) {
        let shadow = &mut self.shadows[number as usize];
        let (instrument, i) = (shadow.instrument, shadow.side as usize - 1);
        let key = signed(shadow.price, i);
        let known = self.book.instruments.get(instrument);
        let at = known.map_or(NIL, |known| known.sides[i].get(key, &self.book.store.levels));
        if at != NIL {
            let level = self.book.store.levels.get(at);
            (shadow.ahead_orders, shadow.ahead_qty) = (level.count, level.qty);
        }
        let awaited = self.lost.iter().any(|(of, was)| of.0 == instrument && (was.0, was.1) == (i, key));
        let front = at == NIL && !awaited;
        if front {
            shadow.reach_front(shadow.arrived_ns);
        }
        if instrument as usize >= self.resting.len() {
            self.resting.resize_with(instrument as usize + 1, Default::default);
        }
        let sides = &mut self.resting[instrument as usize];
        sides.cleared |= awaited;
        sides.push(i, key, number, front);
    }
}

/// An order of ours as it arrives.
fn new(asked: &Request, order_id: u64, instrument: u16, side: u8, time_ns: u64) -> Shadow {
    let &Request { price, qty, world, .. } = asked;
    let times = Shadow { arrived_ns: time_ns, ended_ns: time_ns, front_ns: -1, ..Shadow::default() };
    Shadow { order_id, price, qty, left: qty, world, instrument, side, ..times }
}
