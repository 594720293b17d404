//! The client's end of a connection, without the connection: received bytes in, events and bytes to send out. It outlives its
//! connections and asks again for what comes next. The rules stand in `hftlab.protocols.soup_session`.

use super::{Accepted, Framer, Login, kind, put, put_with};
use crate::protocols::error::WireError;

/// Nanoseconds of a millisecond.
const MS: i64 = 1_000_000;
/// Milliseconds that five digits can say.
const LONGEST_TIMEOUT: i64 = 99_999;

/// How a client behaves; times in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct ClientConfig {
    /// Silence after which a heartbeat is sent.
    pub heartbeat_ns: i64,
    /// Silence of the server after which the connection is dead.
    pub idle_timeout_ns: i64,
    /// Tell the server to wait no longer for us, either: 4.10.
    pub tells_timeout: bool,
}

impl Default for ClientConfig {
    fn default() -> Self {
        ClientConfig { heartbeat_ns: 1_000_000_000, idle_timeout_ns: 15_000_000_000, tells_timeout: false }
    }
}

/// Where a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There has been none.
    Idle,
    /// It stands, and nobody is logged in.
    Login,
    /// Messages may go either way.
    Open,
    /// It is over; see `Closed`.
    Closed,
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The login was rejected, for the reason of this letter.
    Rejected(u8),
    /// The session has ended.
    Ended,
    /// The client has logged out.
    LoggedOut,
    /// Nothing came from the server for so many nanoseconds.
    Silent(i64),
    /// The stream, or a packet of it, is broken.
    Broken(WireError),
    /// A packet of this kind was not to be expected.
    Unexpected(u8),
    /// The session goes on at a number that was received already.
    Backwards(u64),
    /// The TCP connection broke.
    Lost,
}

impl Closed {
    /// The value of Python's `CloseReason`.
    pub fn word(&self) -> &'static str {
        match self {
            Closed::Rejected(_) => "login_rejected",
            Closed::Ended => "end_of_session",
            Closed::LoggedOut => "logout",
            Closed::Silent(_) => "silent",
            Closed::Broken(_) | Closed::Unexpected(_) => "bad_packet",
            Closed::Backwards(_) => "session_went_back",
            Closed::Lost => "lost",
        }
    }
}

impl From<WireError> for Closed {
    fn from(error: WireError) -> Self {
        Closed::Broken(error)
    }
}

/// What the server said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Logged in.
    Accepted(Accepted<'a>),
    /// Not logged in, for the reason of this letter.
    Rejected(u8),
    /// A message of the session, and its number.
    Message(&'a [u8], u64),
    /// A message without a number.
    Unsequenced(&'a [u8]),
    /// Text for people.
    Debug(&'a [u8]),
    /// The session has ended; this number will not come.
    End(u64),
}

/// One client of a server.
pub struct Client {
    config: ClientConfig,
    username: Vec<u8>,
    password: Vec<u8>,
    /// The session it belongs to; empty for the current one.
    pub session: Vec<u8>,
    /// Number of the sequenced message wanted next; 0 for the most recent one.
    pub next: u64,
    /// Wanted messages, (from, until), that the server did not offer any more.
    pub missed: Vec<(u64, u64)>,
    state: State,
    closed: Option<Closed>,
    framer: Framer,
    out: Vec<u8>,
    sent_ns: i64,
    last_seen_ns: i64,
    ended: bool,
}

impl Client {
    /// A client with all the memory it needs; an error for what does not fit its field of a login.
    pub fn new(
        username: &str,
        password: &str,
        session: &str,
        next: u64,
        config: ClientConfig,
    ) -> Result<Self, WireError> {
        let names = (username.as_bytes(), password.as_bytes(), session.as_bytes());
        let (username, password, session) = names;
        Login { username, password, session, sequence: next, heartbeat_ms: None }.fits()?;
        Ok(Client {
            config,
            username: username.into(),
            password: password.into(),
            session: session.into(),
            next,
            missed: Vec::new(),
            state: State::Idle,
            closed: None,
            framer: Framer::new(super::LONGEST),
            out: Vec::with_capacity(2 + super::LONGEST),
            sent_ns: 0,
            last_seen_ns: 0,
            ended: false,
        })
    }

    /// Where the connection is.
    pub fn state(&self) -> State {
        self.state
    }

    /// Why it is over, if it is.
    pub fn closed(&self) -> Option<Closed> {
        self.closed
    }

    /// The TCP connection stands: the login request to send.
    pub fn connected(&mut self, now_ns: i64) -> &[u8] {
        (self.state, self.closed) = (State::Login, None);
        if std::mem::take(&mut self.ended) {
            self.session.clear();
            self.next = 1;
        }
        self.framer.clear();
        (self.sent_ns, self.last_seen_ns) = (now_ns, now_ns);
        let ms = (self.config.idle_timeout_ns / MS).clamp(0, LONGEST_TIMEOUT) as u64;
        let heartbeat_ms = self.config.tells_timeout.then_some(ms);
        let (username, password, session) = (&self.username[..], &self.password[..], &self.session[..]);
        self.out.clear();
        Login { username, password, session, sequence: self.next, heartbeat_ms }.put(&mut self.out);
        &self.out
    }

    /// Where to receive into; never empty once `next_event` has given None.
    pub fn space(&mut self) -> &mut [u8] {
        self.framer.space()
    }

    /// So many bytes have been received into `space`: take what they say with `next_event`, until there is no more.
    #[inline]
    pub fn received(&mut self, bytes: usize, now_ns: i64) {
        self.framer.filled(bytes);
        if matches!(self.state, State::Login | State::Open) {
            self.last_seen_ns = now_ns;
        }
    }

    /// The next thing the server said. A broken stream and an unexpected packet close the connection, after the events before them.
    #[inline]
    pub fn next_event(&mut self) -> Option<Event<'_>> {
        // Heartbeats are passed over here: nothing can be lent from the framer and looked at again in the same loop.
        while matches!(self.state, State::Login | State::Open) {
            match self.framer.kind() {
                Ok(None) => return None,
                Ok(Some(kind::SERVER_HEARTBEAT)) => drop(self.framer.next()),
                Ok(Some(_)) => return self.event(),
                Err(error) => self.close(error.into()),
            }
        }
        None
    }

    /// The unsequenced packet of the message that `write` appends, header and all in one buffer; None where no login is accepted, or
    /// if it is too long.
    #[inline]
    pub fn send(&mut self, now_ns: i64, write: impl FnOnce(&mut Vec<u8>)) -> Option<&[u8]> {
        if self.state != State::Open {
            return None;
        }
        self.sent_ns = now_ns;
        self.out.clear();
        put_with(&mut self.out, kind::UNSEQUENCED, write).then_some(&self.out[..])
    }

    /// A heartbeat, if it is time for one, or nothing. A server silent for too long closes the connection.
    #[inline]
    pub fn due(&mut self, now_ns: i64) -> &[u8] {
        if !matches!(self.state, State::Login | State::Open) {
            return &[];
        }
        let silent_ns = now_ns.saturating_sub(self.last_seen_ns);
        if silent_ns > self.config.idle_timeout_ns {
            self.close(Closed::Silent(silent_ns));
            return &[];
        }
        if self.state == State::Login || now_ns.saturating_sub(self.sent_ns) < self.config.heartbeat_ns {
            return &[];
        }
        self.sent_ns = now_ns;
        self.packet(kind::CLIENT_HEARTBEAT)
    }

    /// The logout request; the connection is closed with it. Nothing where none is open.
    pub fn logout(&mut self) -> &[u8] {
        if !matches!(self.state, State::Login | State::Open) {
            return &[];
        }
        self.close(Closed::LoggedOut);
        self.packet(kind::LOGOUT)
    }

    /// The TCP connection broke.
    pub fn lost(&mut self) {
        if self.state != State::Closed {
            self.close(Closed::Lost);
        }
    }

    fn packet(&mut self, kind: u8) -> &[u8] {
        self.out.clear();
        put(&mut self.out, kind, &[]);
        &self.out
    }

    fn close(&mut self, why: Closed) {
        (self.state, self.closed) = (State::Closed, Some(why));
    }

    /// The packet that is whole, and no heartbeat.
    #[inline(always)]
    fn event(&mut self) -> Option<Event<'_>> {
        let frame = self.framer.next().ok()??;
        let (payload, next) = (frame.payload, self.next);
        let event = match (self.state, frame.kind) {
            (_, kind::DEBUG) => Ok(Event::Debug(payload)),
            (State::Open, kind::SEQUENCED) => {
                self.next = next.saturating_add(1);
                Ok(Event::Message(payload, next))
            }
            (State::Open, kind::UNSEQUENCED) => Ok(Event::Unsequenced(payload)),
            (State::Open, kind::END) => {
                self.ended = true;
                (self.state, self.closed) = (State::Closed, Some(Closed::Ended));
                Ok(Event::End(next))
            }
            (State::Login, kind::REJECTED) => rejected(payload).map(|reason| {
                (self.state, self.closed) = (State::Closed, Some(Closed::Rejected(reason)));
                Event::Rejected(reason)
            }),
            (State::Login, kind::ACCEPTED) => {
                let old = (&mut self.session, &mut self.next, &mut self.missed);
                accepted(payload, old).map(|accepted| {
                    self.state = State::Open;
                    Event::Accepted(accepted)
                })
            }
            (_, kind) => Err(Closed::Unexpected(kind)),
        };
        event.map_err(|why| (self.state, self.closed) = (State::Closed, Some(why))).ok()
    }
}

fn rejected(payload: &[u8]) -> Result<u8, Closed> {
    let bad = || WireError::new("payload of a SoupBinTCP login rejected", 0, payload.len(), 1..=1);
    payload.first().copied().filter(|_| payload.len() == 1).ok_or_else(|| bad().into())
}

/// What a login changes: session, next number, what was missed.
type Place<'a> = (&'a mut Vec<u8>, &'a mut u64, &'a mut Vec<(u64, u64)>);

fn accepted<'a>(payload: &'a [u8], (session, next, missed): Place) -> Result<Accepted<'a>, Closed> {
    let accepted = Accepted::decode(payload)?;
    let same = session == accepted.session;
    if same && accepted.sequence < *next {
        // Numbers that were used before would come again for other messages.
        return Err(Closed::Backwards(accepted.sequence));
    }
    if (same || session.is_empty()) && 0 < *next && *next < accepted.sequence {
        missed.push((*next, accepted.sequence));
    }
    session.clear();
    session.extend_from_slice(accepted.session);
    *next = accepted.sequence;
    Ok(accepted)
}
