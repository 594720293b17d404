//! One stream out of two lines: A/B arbitration of MoldUDP64 with a bounded window for what comes early, and requests for the rest.
//! The rules and their reasons stand in `hftlab.net.arbiter`, of which this is the fast twin.
//!
//! What comes in order is delivered where it stands, without a copy; only what must wait is copied.

mod counts;
#[cfg(test)]
mod tests;
mod window;

use std::collections::VecDeque;

use super::moldudp64::{END, HEADER, Header, Packet, Session, bytes_of, decode};
pub use counts::Counts;
use window::Window;

/// Datagrams of one other session in a row that mean that the session has changed.
const STRANGERS: u64 = 3;
/// Ranges of lost messages that are kept.
const LOST_KEPT: usize = 1024;
/// Bytes of the largest datagram.
const DATAGRAM: usize = 65_535;

/// Times in nanoseconds of whatever clock `now` comes from.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Messages ahead of the expected one that may wait, in [1, 65,535].
    pub window: u16,
    /// Bytes they may take, their lengths included.
    pub window_bytes: usize,
    /// How long a hole may wait for the other line before it is asked for.
    pub patience_ns: i64,
    /// How long an answer may take.
    pub retry_ns: i64,
    /// Requests without any answer after which a hole is lost; 0 to ask for nothing.
    pub give_up: u64,
    /// How long a number ahead counts that is not repeated.
    pub doubt_ns: i64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            window: 1024,
            window_bytes: 1 << 20,
            patience_ns: 2_000_000,
            retry_ns: 50_000_000,
            give_up: 10,
            doubt_ns: 3_000_000_000,
        }
    }
}

/// Messages in order, as the engine reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// The messages, each behind its length.
    pub blocks: &'a [u8],
    /// Number of the first.
    pub sequence: u64,
    /// How many.
    pub count: u64,
}

/// Arbitrates any number of lines, and the answers to requests, into one stream.
pub struct Arbiter {
    config: Config,
    /// What happened so far.
    pub counts: Counts,
    /// The session; none until the first packet, if none was given.
    pub session: Option<Session>,
    /// The number wanted next.
    pub expected: u64,
    /// What was given up, (from, until), the latest of it.
    pub lost: VecDeque<(u64, u64)>,
    /// The session that has taken the place of ours.
    pub changed: Option<Session>,
    /// Line, and when it last brought something of this session.
    pub heard: Vec<(u32, i64)>,
    stranger: Session,
    strangers: u64,
    held: Window,
    /// The highest next number seen within the window.
    tail: u64,
    /// First and next number of the latest datagram beyond the window.
    far: Option<(u64, u64)>,
    /// When the latest datagram from beyond a hole came.
    ahead_ns: i64,
    /// The number after the last of the session.
    end: Option<u64>,
    broken: bool,
    asked: u64,
    asked_until: u64,
    due_ns: i64,
    /// What is delivered where some of it has waited.
    out: Vec<u8>,
}

impl Arbiter {
    /// All memory is asked for here. A session of None takes the first one seen, `expected` 0 begins with whatever comes first.
    pub fn new(session: Option<Session>, expected: u64, config: Config) -> Self {
        Arbiter {
            config,
            counts: Counts::default(),
            session,
            expected,
            lost: VecDeque::with_capacity(LOST_KEPT),
            changed: None,
            heard: Vec::with_capacity(8),
            stranger: [0; 10],
            strangers: 0,
            held: Window::new(config.window as usize, config.window_bytes),
            tail: 0,
            far: None,
            ahead_ns: 0,
            end: None,
            broken: false,
            asked: 0,
            asked_until: 0,
            due_ns: 0,
            out: Vec::with_capacity(DATAGRAM + config.window_bytes),
        }
    }

    /// Begin anew, with another session or another number; the counts go on.
    pub fn restart(&mut self, session: Option<Session>, expected: u64) {
        (self.session, self.expected) = (session, expected);
        self.heard.clear();
        self.lost.clear();
        self.held.clear();
        (self.changed, self.strangers) = (None, 0);
        (self.tail, self.far, self.ahead_ns, self.end) = (0, None, 0, None);
        (self.broken, self.asked, self.asked_until, self.due_ns) = (false, 0, 0, 0);
    }

    /// The first hole: the first missing number and the one after the last missing; None while the stream is whole.
    pub fn gap(&self) -> Option<(u64, u64)> {
        let far = self.far.map_or(0, |far| far.0);
        let tail = if self.tail > self.expected { self.tail } else { far };
        self.missing().then(|| (self.expected, self.held.least(self.expected).unwrap_or(tail)))
    }

    /// Whether what was delivered is not all there is: a hole is known or was given up, or the session has changed.
    #[inline]
    pub fn stale(&self) -> bool {
        self.missing() || !self.lost.is_empty() || self.changed.is_some()
    }

    /// Whether the session has ended and all of it was delivered, or given up.
    pub fn finished(&self) -> bool {
        self.end == Some(self.expected)
    }

    /// Messages that wait in the window.
    pub fn held(&self) -> usize {
        self.held.held()
    }

    #[inline(always)]
    fn missing(&self) -> bool {
        self.expected < self.tail.max(self.far.map_or(0, |far| far.1))
    }

    /// Take one datagram of a line, or an answer; give what is in order by now.
    #[inline]
    pub fn receive<'a>(&'a mut self, line: u32, datagram: &'a [u8], now_ns: i64) -> Delivery<'a> {
        self.counts.packets += 1;
        let Some(packet) = self.own(datagram) else {
            return Delivery { blocks: &[], sequence: self.expected, count: 0 };
        };
        self.hear(line, now_ns);
        let header = packet.header;
        if self.expected == 0 {
            self.expected = header.sequence;
        }
        if header.count == END && header.sequence >= self.expected {
            self.end = Some(header.sequence);
        }
        let before = self.expected;
        self.out.clear();
        let (skipped, first, count) = match header.sequence > before {
            true => self.early(packet, now_ns),
            false => self.timely(packet, now_ns),
        };
        self.counts.messages += count;
        self.watch(before, now_ns);
        // Nothing has waited: the datagram itself is what is delivered.
        let blocks = if self.out.is_empty() { &packet.blocks[skipped..] } else { &self.out[..] };
        Delivery { blocks, sequence: first, count }
    }

    /// The request to send now, if there is one to send. Ask often, it is cheap.
    #[inline]
    pub fn due(&mut self, now_ns: i64) -> Option<Header> {
        if !self.broken || now_ns < self.due_ns || self.asked >= self.config.give_up {
            return None;
        }
        let (from, until) = self.gap()?;
        let count = (until - from).min(self.config.window as u64);
        self.asked += 1;
        self.asked_until = self.asked_until.max(from + count);
        self.due_ns = now_ns.saturating_add(self.config.retry_ns);
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
            if let Some((_, next)) = self.far.filter(|far| far.0 == self.expected) {
                self.lose(next); // what was beyond the window is not kept
            }
        }
        self.broken = false;
        None
    }

    /// The packet, if it is whole and of our session.
    #[inline(always)]
    fn own<'a>(&mut self, datagram: &'a [u8]) -> Option<Packet<'a>> {
        if datagram.len() < HEADER {
            self.counts.truncated += 1;
            return None;
        }
        let Ok(packet) = decode(datagram) else {
            self.counts.malformed += 1;
            return None;
        };
        let session = packet.header.session;
        if *self.session.get_or_insert(session) != session {
            self.counts.foreign_session += 1;
            let again = self.strangers > 0 && self.stranger == session;
            self.strangers = if again { self.strangers + 1 } else { 1 };
            self.stranger = session;
            if self.strangers >= STRANGERS {
                self.changed = Some(session);
            }
            return None;
        }
        (self.changed, self.strangers) = (None, 0);
        self.counts.heartbeats += (packet.header.messages() == 0) as u64;
        Some(packet)
    }

    #[inline(always)]
    fn hear(&mut self, line: u32, now_ns: i64) {
        match self.heard.iter_mut().find(|heard| heard.0 == line) {
            Some(heard) => heard.1 = now_ns,
            None => self.heard.push((line, now_ns)),
        }
    }

    /// A datagram that begins with what is expected, or before it: bytes of it to pass over, first number and count of what is
    /// delivered; in `out` where it does not stand in the datagram alone.
    #[inline(always)]
    fn timely(&mut self, packet: Packet, now_ns: i64) -> (usize, u64, u64) {
        let (first, sequence) = (self.expected, packet.header.sequence);
        let messages = packet.header.messages() as u64;
        let (old, next) = (messages.min(first - sequence), sequence + messages);
        self.counts.duplicates += old;
        let forgotten = now_ns.saturating_sub(self.ahead_ns) >= self.config.doubt_ns;
        if forgotten && self.end.is_none_or(|end| end <= first) {
            let held = if self.held() > 0 { self.held.greatest() } else { None };
            (self.far, self.tail) = (None, held.map_or(0, |number| number + 1));
        }
        if old == messages {
            return (packet.blocks.len(), first, 0);
        }
        self.counts.recovered += next.min(self.asked_until).saturating_sub(first);
        self.expected = next;
        let skipped = if old == 0 { 0 } else { bytes_of(packet.blocks, old).unwrap_or(packet.blocks.len()) };
        if self.held() == 0 {
            return (skipped, first, next - first);
        }
        let places = next.min(first.saturating_add(self.config.window as u64));
        let twice = (first..places).filter(|&number| self.held.release(number, None)).count();
        self.counts.duplicates += twice as u64;
        if self.held.holds(next) {
            self.out.extend_from_slice(&packet.blocks[skipped..]);
        }
        (skipped, first, next - first + self.run().1)
    }

    /// A datagram that begins beyond a hole; the same as of `timely`.
    #[cold]
    fn early(&mut self, packet: Packet, now_ns: i64) -> (usize, u64, u64) {
        let (sequence, messages) = (packet.header.sequence, packet.header.messages() as u64);
        let (next, window) = (sequence + messages, self.config.window as u64);
        self.ahead_ns = now_ns;
        let mut hopeless = self.broken && self.asked >= self.config.give_up && now_ns >= self.due_ns;
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
        if fits && self.held.holds(number) {
            self.counts.duplicates += 1;
        } else if fits && self.held.hold(number, block) {
            self.counts.buffered += 1;
            self.counts.recovered += (number < self.asked_until) as u64;
        } else {
            self.counts.overflow += 1;
        }
    }

    /// What waited and is expected now goes to `out`: the number of the first, and how many.
    fn run(&mut self) -> (u64, u64) {
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
    fn watch(&mut self, before: u64, now_ns: i64) {
        let window = self.config.window as u64;
        // A number that the stream has passed is near, too.
        if let Some((_, next)) = self.far.filter(|far| far.0.saturating_sub(self.expected) < window) {
            (self.tail, self.far) = (self.tail.max(next), None);
        }
        let patience_ns = self.config.patience_ns;
        if !self.missing() {
            self.broken = false;
        } else if !self.broken {
            self.broken = true;
            self.counts.gaps += 1;
            (self.asked, self.due_ns) = (0, now_ns.saturating_add(patience_ns));
        } else if self.expected > before {
            // Part of an answer: the rest of it may be on its way, so ask again soon, but not at once.
            let soon = self.expected <= self.asked_until;
            let wait_ns = if soon { patience_ns / 8 } else { patience_ns };
            (self.asked, self.due_ns) = (0, now_ns.saturating_add(wait_ns));
        }
    }
}
