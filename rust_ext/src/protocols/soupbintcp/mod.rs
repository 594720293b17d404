//! SoupBinTCP 3.00 to 4.10: packets of a length, a kind and a payload over one TCP connection. The server's sequenced messages are
//! numbered by both ends counting them; everything else is not numbered.

mod client;
mod framer;
mod login;

pub use client::{Client, ClientConfig, Closed, Event, State};
pub use framer::Framer;
pub use login::{Accepted, Login};

/// Kinds of packets.
pub mod kind {
    /// Text for people, from both sides.
    pub const DEBUG: u8 = b'+';
    /// Server: logged in.
    pub const ACCEPTED: u8 = b'A';
    /// Server: not logged in.
    pub const REJECTED: u8 = b'J';
    /// Server: the next message of the session.
    pub const SEQUENCED: u8 = b'S';
    /// A message that is not numbered, from both sides.
    pub const UNSEQUENCED: u8 = b'U';
    /// Server: nothing to say.
    pub const SERVER_HEARTBEAT: u8 = b'H';
    /// Server: there will be no more messages.
    pub const END: u8 = b'Z';
    /// Client: let me in.
    pub const LOGIN: u8 = b'L';
    /// Client: nothing to say.
    pub const CLIENT_HEARTBEAT: u8 = b'R';
    /// Client: I am leaving.
    pub const LOGOUT: u8 = b'O';
}

/// The greatest length field: a byte for the kind and the rest for the payload.
pub const LONGEST: usize = 0xffff;

/// A packet in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is, see `kind`.
    pub kind: u8,
    /// What it carries.
    pub payload: &'a [u8],
}

/// Append a packet whose payload `write` appends: header and message in one buffer, one send. False, and nothing appended, if the
/// payload has `LONGEST` bytes or more.
#[inline(always)]
pub fn put_with(to: &mut Vec<u8>, kind: u8, write: impl FnOnce(&mut Vec<u8>)) -> bool {
    let start = to.len();
    to.extend_from_slice(&[0, 0, kind]);
    write(to);
    let Ok(length) = u16::try_from(to.len() - start - 2) else {
        to.truncate(start);
        return false;
    };
    to[start..start + 2].copy_from_slice(&length.to_be_bytes());
    true
}

/// Append a packet.
#[inline(always)]
pub fn put(to: &mut Vec<u8>, kind: u8, payload: &[u8]) -> bool {
    put_with(to, kind, |to| to.extend_from_slice(payload))
}
