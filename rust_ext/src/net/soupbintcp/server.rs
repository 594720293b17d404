//! The server's end of one connection, without the connection: received bytes in, messages and bytes to send out. All connections
//! read the one store of their session, each as far as its client has come. The rules stand in `hftlab.protocols.soup_server`.

pub use super::config::ServerConfig as Config;
use super::{
    Accepted, Accounts, Closed, Framer, Login, NO_SUCH_SESSION, NOT_AUTHORISED, State, Store, kind, put,
};

/// Bytes of one `outgoing`, about.
pub const PIECE: usize = 1 << 16;
/// Nanoseconds of a millisecond.
const MS: i64 = 1_000_000;

/// One connection.
pub struct Server {
    config: Config,
    session: Vec<u8>,
    state: State,
    closed: Option<Closed>,
    /// Sequenced messages of the store that were taken.
    sent: usize,
    /// Messages that were in the store at the login.
    live: usize,
    framer: Framer,
    outbox: Vec<u8>,
    /// What `outgoing` has lent.
    taken: Vec<u8>,
    ending: bool,
    now_ns: Option<i64>,
    heard_ns: i64,
    sent_ns: i64,
}

impl Server {
    /// A connection to `session`, at most ten letters and digits, with all the memory it needs.
    pub fn new(session: &str, config: Config) -> Self {
        Server {
            config,
            session: session.into(),
            state: State::Login,
            closed: None,
            sent: 0,
            live: 0,
            framer: Framer::new(config.limit),
            outbox: Vec::with_capacity(PIECE + super::LONGEST + config.backlog),
            taken: Vec::with_capacity(PIECE + super::LONGEST + config.backlog),
            ending: false,
            now_ns: None,
            heard_ns: 0,
            sent_ns: 0,
        }
    }

    /// Where the connection is.
    pub fn state(&self) -> State {
        self.state
    }

    /// Why it is over: send what `outgoing` still gives, then close it.
    pub fn closed(&self) -> Option<Closed> {
        self.closed
    }

    /// Sequenced messages of the store that were taken.
    pub fn sent(&self) -> usize {
        self.sent
    }

    /// Sequenced messages that came after the login and were not taken yet.
    pub fn waiting(&self, store: &Store) -> usize {
        if self.state == State::Open { store.len() - self.sent.max(self.live) } else { 0 }
    }

    /// Where to receive into; never empty once `next_message` has given None.
    pub fn space(&mut self) -> &mut [u8] {
        self.framer.space()
    }

    /// So many bytes have been received into `space`: take the messages with `next_message`, until there is no more.
    pub fn received(&mut self, bytes: usize, now_ns: i64) {
        self.tick(now_ns);
        self.framer.filled(bytes);
    }

    /// The next unsequenced message of the client. What breaks the rules closes the connection, after the messages before it.
    #[inline]
    pub fn next_message(&mut self, accounts: &Accounts, store: &Store) -> Option<&[u8]> {
        while self.state != State::Closed {
            match self.framer.kind() {
                Ok(None) => return None,
                Ok(Some(kind)) => {
                    if self.state == State::Open {
                        self.heard_ns = self.now_ns.unwrap_or(0);
                    }
                    if self.state == State::Open && kind == kind::UNSEQUENCED {
                        return self.framer.next().ok().flatten().map(|frame| frame.payload);
                    }
                    self.control(kind, accounts, store);
                }
                Err(error) => self.close(Closed::Broken(error)),
            }
        }
        None
    }

    /// Messages were appended to the store: they go out with `outgoing`, unless the client has fallen too far behind.
    #[inline]
    pub fn publish(&mut self, store: &Store) {
        let waiting = self.waiting(store);
        if self.state == State::Open && waiting > self.config.backlog {
            self.close(Closed::Slow(waiting));
        }
    }

    /// Send an unsequenced message, or text (kind `DEBUG`); dropped where nobody is logged in. False if it is too long.
    pub fn send(&mut self, kind: u8, payload: &[u8]) -> bool {
        if payload.len() >= super::LONGEST {
            return false;
        }
        if self.state == State::Open {
            put(&mut self.outbox, kind, payload);
        }
        if self.outbox.len() > self.config.backlog {
            self.close(Closed::Slow(self.outbox.len()));
        }
        true
    }

    /// What is to be sent now, about `limit` bytes at most. Call it again only when all of that was written.
    #[inline]
    pub fn outgoing(&mut self, store: &Store, limit: usize) -> &[u8] {
        while self.state == State::Open
            && self.outbox.len() < limit
            && let Some(message) = store.get(self.sent)
        {
            put(&mut self.outbox, kind::SEQUENCED, message);
            self.sent += 1;
        }
        if self.state == State::Open && self.ending && self.sent == store.len() {
            put(&mut self.outbox, kind::END, &[]);
            self.close(Closed::Ended);
        }
        std::mem::swap(&mut self.outbox, &mut self.taken);
        self.outbox.clear();
        if !self.taken.is_empty() {
            self.sent_ns = self.now_ns.unwrap_or(0);
        }
        &self.taken
    }

    /// Let time pass: a heartbeat into the outbox, or the end of a connection whose client is silent.
    #[inline]
    pub fn due(&mut self, now_ns: i64, store: &Store) {
        self.tick(now_ns);
        let silent_ns = now_ns.saturating_sub(self.heard_ns);
        let allowed_ns = if self.state == State::Login { self.config.login_ns } else { self.config.dead_ns };
        if self.state != State::Closed && silent_ns > allowed_ns {
            self.close(Closed::Silent(silent_ns));
        }
        let idle = self.outbox.is_empty() && self.sent == store.len();
        let quiet_ns = now_ns.saturating_sub(self.sent_ns);
        if self.state == State::Open && idle && quiet_ns >= self.config.heartbeat_ns {
            put(&mut self.outbox, kind::SERVER_HEARTBEAT, &[]);
        }
    }

    /// The session ends: what is in the store goes out, then the end of session, then the connection closes.
    pub fn end(&mut self) {
        self.ending = true;
        if self.state == State::Login {
            self.close(Closed::Ended);
        }
    }

    /// The TCP connection broke.
    pub fn lost(&mut self) {
        if self.closed.is_none() {
            self.close(Closed::Lost);
        }
    }

    fn tick(&mut self, now_ns: i64) {
        if self.now_ns.is_none() {
            (self.heard_ns, self.sent_ns) = (now_ns, now_ns);
        }
        self.now_ns = Some(now_ns);
    }

    fn close(&mut self, why: Closed) {
        (self.state, self.closed) = (State::Closed, Some(why));
    }

    /// A packet that is no message.
    fn control(&mut self, kind: u8, accounts: &Accounts, store: &Store) {
        let Ok(Some(frame)) = self.framer.next() else { return };
        match kind {
            kind::LOGIN if self.state == State::Login => {
                // The session is compared where it stands: nothing of a login is kept.
                let login = Login::decode(frame.payload).ok();
                let login = login.filter(|login| accounts.know(login.username, login.password));
                let here = login.filter(|login| login.session.is_empty() || login.session == self.session);
                let (known, place) =
                    (login.is_some(), here.map(|login| (login.sequence, login.heartbeat_ms)));
                match place {
                    Some((sequence, heartbeat_ms)) => self.accept(sequence, heartbeat_ms, store.len()),
                    None => self.reject(if known { NO_SUCH_SESSION } else { NOT_AUTHORISED }),
                }
            }
            kind::LOGOUT => self.close(Closed::LoggedOut),
            kind::DEBUG | kind::CLIENT_HEARTBEAT => {}
            _ => self.close(Closed::Unexpected(kind)),
        }
    }

    /// 0 begins with the most recent message; a number beyond the next one is answered with the next one.
    fn accept(&mut self, sequence: u64, heartbeat_ms: Option<u64>, stored: usize) {
        let latest = stored.max(1) as u64;
        let first = if sequence == 0 { latest } else { sequence.min(stored as u64 + 1) };
        (self.state, self.sent, self.live) = (State::Open, first as usize - 1, stored);
        self.heard_ns = self.now_ns.unwrap_or(0);
        if let Some(ms) = heartbeat_ms.filter(|&ms| ms > 0) {
            self.config.dead_ns = ms as i64 * MS;
        }
        Accepted { session: &self.session, sequence: first }.put(&mut self.outbox);
    }

    fn reject(&mut self, reason: u8) {
        put(&mut self.outbox, kind::REJECTED, &[reason]);
        self.close(Closed::Rejected(reason));
    }
}
