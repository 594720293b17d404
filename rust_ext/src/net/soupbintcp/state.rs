//! Where a connection is, and how it came to its end.

use crate::net::error::WireError;

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
    /// Nothing came from the other end for so many nanoseconds.
    Silent(i64),
    /// The stream, or a packet of it, is broken.
    Broken(WireError),
    /// A packet of this kind was not to be expected.
    Unexpected(u8),
    /// Client: the session goes on at a number that was received already.
    Backwards(u64),
    /// Server: so many messages, or bytes of other packets, wait for a slow reader.
    Slow(usize),
    /// The TCP connection broke.
    Lost,
}

impl Closed {
    /// In a word.
    pub fn word(&self) -> &'static str {
        match self {
            Closed::Rejected(_) => "rejected",
            Closed::Ended => "ended",
            Closed::LoggedOut => "logged out",
            Closed::Silent(_) => "silent",
            Closed::Broken(_) => "broken",
            Closed::Unexpected(_) => "unexpected",
            Closed::Backwards(_) => "backwards",
            Closed::Slow(_) => "slow",
            Closed::Lost => "lost",
        }
    }
}

impl From<WireError> for Closed {
    fn from(error: WireError) -> Self {
        Closed::Broken(error)
    }
}
