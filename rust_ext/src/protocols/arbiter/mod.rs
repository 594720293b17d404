//! One stream out of two lines: A/B arbitration of MoldUDP64 with a bounded window for what comes early, and requests for the rest.
//! The rules and their reasons stand in `hftlab.protocols.arbiter`, of which this is the fast twin.
//!
//! What comes in order is delivered where it stands, without a copy; only what must wait is copied.

mod holes;
#[cfg(test)]
mod tests;
mod window;

use std::collections::VecDeque;

use super::moldudp64::{END, HEADER, HEARTBEAT, Packet, Session, bytes_of, decode};
use window::Window;

/// Datagrams of one other session in a row that mean that the session has changed.
const SESSION_CHANGE: u64 = 3;
/// Ranges of lost messages that are kept.
const LOST_KEPT: usize = 1024;
/// Bytes of the largest datagram.
const DATAGRAM: usize = 65_535;

/// How patient an arbiter is, and how much it keeps. Times in nanoseconds of whatever clock `now` comes from.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Messages ahead of the expected one that may wait, in [1, 65,535].
    pub window: u16,
    /// Bytes they may take, their lengths included.
    pub buffer_bytes: usize,
    /// How long a hole may wait for the other line before it is asked for.
    pub gap_timeout_ns: i64,
    /// How long an answer may take.
    pub request_interval_ns: i64,
    /// Requests without any answer after which a hole is lost; 0 to ask for nothing.
    pub max_requests: u64,
    /// How long a number ahead counts that is not repeated.
    pub end_grace_ns: i64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            window: 1024,
            buffer_bytes: 1 << 20,
            gap_timeout_ns: 2_000_000,
            request_interval_ns: 50_000_000,
            max_requests: 10,
            end_grace_ns: 3_000_000_000,
        }
    }
}

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident)*) => {
        /// Counts by reason, the names of Python's `COUNTS`.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counts {
            /// Name and count, in order.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name)),*].into_iter()
            }
        }
    };
}

counts! {
    /// Datagrams received, of any kind.
    packets
    /// Messages delivered.
    messages
    /// Messages that had been delivered, given up or held already.
    duplicates
    /// Messages that had to wait.
    buffered
    /// Times the stream broke.
    gaps
    /// Requests to send.
    requests
    /// Messages that had been asked for when they came.
    recovered
    /// Messages given up.
    lost
    /// Datagrams shorter than the header.
    truncated
    /// Datagrams whose lengths or numbers are wrong.
    malformed
    /// Datagrams of another session.
    foreign_session
    /// Messages dropped, being beyond the window or its bytes.
    overflow
    /// Datagrams without messages, ends of session included.
    heartbeats
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
    pub last_seen: Vec<(u32, i64)>,
    unexpected_session: Session,
    unexpected_session_count: u64,
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
            last_seen: Vec::with_capacity(8),
            unexpected_session: [0; 10],
            unexpected_session_count: 0,
            held: Window::new(config.window as usize, config.buffer_bytes),
            tail: 0,
            far: None,
            ahead_ns: 0,
            end: None,
            broken: false,
            asked: 0,
            asked_until: 0,
            due_ns: 0,
            out: Vec::with_capacity(DATAGRAM + config.buffer_bytes),
        }
    }

    /// Begin anew, with another session or another number; the counts go on.
    pub fn restart(&mut self, session: Option<Session>, expected: u64) {
        (self.session, self.expected) = (session, expected);
        self.last_seen.clear();
        self.lost.clear();
        self.held.clear();
        (self.changed, self.unexpected_session_count) = (None, 0);
        (self.tail, self.far, self.ahead_ns, self.end) = (0, None, 0, None);
        (self.broken, self.asked, self.asked_until, self.due_ns) = (false, 0, 0, 0);
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
            let again = self.unexpected_session_count > 0 && self.unexpected_session == session;
            self.unexpected_session_count = if again { self.unexpected_session_count + 1 } else { 1 };
            self.unexpected_session = session;
            if self.unexpected_session_count >= SESSION_CHANGE {
                self.changed = Some(session);
            }
            return None;
        }
        (self.changed, self.unexpected_session_count) = (None, 0);
        self.counts.heartbeats += (packet.header.messages() == 0) as u64;
        Some(packet)
    }

    #[inline(always)]
    fn hear(&mut self, line: u32, now_ns: i64) {
        match self.last_seen.iter_mut().find(|heard| heard.0 == line) {
            Some(heard) => heard.1 = now_ns,
            None => self.last_seen.push((line, now_ns)),
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
        let forgotten = now_ns.saturating_sub(self.ahead_ns) >= self.config.end_grace_ns;
        let ahead = self.end.is_some_and(|end| end > first);
        if forgotten && (!ahead || packet.header.count == HEARTBEAT) {
            if ahead {
                self.end = None; // a heartbeat says that the session has not ended there
            }
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
        if self.held.contains(next) {
            self.out.extend_from_slice(&packet.blocks[skipped..]);
        }
        (skipped, first, next - first + self.run().1)
    }
}
