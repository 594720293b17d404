//! Holes in the stream: what comes from beyond them, when they are asked for, and when they are given up.

use super::{Arbiter, Delivery, LOST_KEPT};
use crate::protocols::moldudp64::{Header, Packet, bytes_of};

impl Arbiter {
    /// The first hole: the first missing number and the one after the last missing; None while the stream is whole.
    pub fn gap(&self) -> Option<(u64, u64)> {
        let far = self.far.unwrap_or_default();
        let ends = || [self.held.least(self.expected).unwrap_or(0), self.tail, far.0, far.1];
        let until = self.missing().then(ends)?.into_iter().find(|&end| end > self.expected)?;
        Some((self.expected, until))
    }

    /// The request to send now, if there is one to send. Ask often, it is cheap.
    #[inline]
    pub fn due(&mut self, now_ns: i64) -> Option<Header> {
        if !self.broken || now_ns < self.due_ns || self.asked >= self.config.max_requests {
            return None;
        }
        let (from, until) = self.gap()?;
        let count = (until - from).min(self.config.window as u64);
        self.asked += 1;
        self.asked_until = self.asked_until.max(from + count);
        self.due_ns = now_ns.saturating_add(self.config.request_interval_ns);
        self.counts.requests += 1;
        Some(Header { session: self.session.unwrap_or_default(), sequence: from, count: count as u16 })
    }

    /// Give up every hole, where no more datagrams will come: what waited behind the next one, until there is none.
    pub fn abandon(&mut self) -> Option<Delivery<'_>> {
        self.out.clear();
        while let Some((_, until)) = self.gap() {
            self.lose(until);
            let (sequence, count) = self.run();
            if count > 0 {
                self.counts.messages += count;
                return Some(Delivery { blocks: &self.out, sequence, count });
            }
        }
        self.broken = false;
        None
    }

    /// A datagram that begins beyond a hole; the same as of `timely`.
    #[cold]
    pub(super) fn early(&mut self, packet: Packet, now_ns: i64) -> (usize, u64, u64) {
        let (sequence, messages) = (packet.header.sequence, packet.header.messages() as u64);
        let (next, window) = (sequence + messages, self.config.window as u64);
        self.ahead_ns = now_ns;
        let mut hopeless = self.broken && self.asked >= self.config.max_requests && now_ns >= self.due_ns;
        if sequence - self.expected >= window {
            let agrees = self.far.is_some_and(|far| sequence.abs_diff(far.1) <= window);
            self.far = Some((sequence, next));
            if hopeless && agrees && self.held() == 0 {
                self.lose(sequence);
                return self.timely(packet, now_ns);
            }
            self.counts.overflow += messages;
            hopeless = hopeless && agrees;
        } else {
            self.tail = self.tail.max(next);
            let mut at = 0;
            for number in sequence..next {
                let end = at + bytes_of(&packet.blocks[at..], 1).unwrap_or(0);
                self.hold(number, &packet.blocks[at..end]);
                at = end;
            }
        }
        if hopeless {
            self.lose(self.held.least(self.expected).unwrap_or(sequence));
        }
        let (first, count) = self.run();
        (packet.blocks.len(), first, count)
    }

    fn hold(&mut self, number: u64, block: &[u8]) {
        let fits = number - self.expected < self.config.window as u64;
        if fits && self.held.contains(number) {
            self.counts.duplicates += 1;
        } else if fits && self.held.hold(number, block) {
            self.counts.buffered += 1;
            self.counts.recovered += (number < self.asked_until) as u64;
        } else {
            self.counts.overflow += 1;
        }
    }

    /// What waited and is expected now goes to `out`: the number of the first, and how many.
    pub(super) fn run(&mut self) -> (u64, u64) {
        let first = self.expected;
        while self.held() > 0 && self.held.release(self.expected, Some(&mut self.out)) {
            self.expected += 1;
        }
        (first, self.expected - first)
    }

    fn lose(&mut self, until: u64) {
        if self.lost.len() == LOST_KEPT {
            self.lost.pop_front();
        }
        self.lost.push_back((self.expected, until));
        self.counts.lost += until - self.expected;
        self.expected = until;
    }

    /// See whether the stream is broken, or whole again, and when to ask next.
    #[inline(always)]
    pub(super) fn watch(&mut self, before: u64, now_ns: i64) {
        let window = self.config.window as u64;
        // A number that the stream has passed is near, too.
        if let Some((_, next)) = self.far.filter(|far| far.0.saturating_sub(self.expected) < window) {
            (self.tail, self.far) = (self.tail.max(next), None);
        }
        let gap_timeout_ns = self.config.gap_timeout_ns;
        if !self.missing() {
            self.broken = false;
        } else if !self.broken {
            self.broken = true;
            self.counts.gaps += 1;
            (self.asked, self.due_ns) = (0, now_ns.saturating_add(gap_timeout_ns));
        } else if self.expected > before {
            // Part of an answer: the rest of it may be on its way, so ask again soon, but not at once.
            let soon = self.expected <= self.asked_until;
            let wait_ns = if soon { gap_timeout_ns / 8 } else { gap_timeout_ns };
            (self.asked, self.due_ns) = (0, now_ns.saturating_add(wait_ns));
        }
    }
}
