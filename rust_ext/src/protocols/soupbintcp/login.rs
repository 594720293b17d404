//! The two packets with fields: the request to be let in, and the answer.

use std::fmt;

use super::{kind, put_with};
use crate::protocols::error::WireError;

/// Bytes of the payload of a login; five more with the heartbeat timeout of 4.10.
const LOGIN: usize = 46;

/// What a client asks for; every field without its padding.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Login<'a> {
    /// At most six letters, case does not count.
    pub username: &'a [u8],
    /// At most ten letters, case does not count.
    pub password: &'a [u8],
    /// At most ten letters; none for the current session.
    pub session: &'a [u8],
    /// Number of the message wanted next; 0 for the latest.
    pub sequence: u64,
    /// Milliseconds after which the server shall take a silent client for dead (4.10).
    pub heartbeat_ms: Option<u64>,
}

/// A password stands nowhere but on the wire.
impl fmt::Debug for Login<'_> {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let Login { username, session, sequence, heartbeat_ms, .. } = self;
        let (username, session) = (username.escape_ascii(), session.escape_ascii());
        write!(out, "Login({username}, ***, {session}, {sequence}, {heartbeat_ms:?})")
    }
}

/// What the server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted<'a> {
    /// The session, without its padding.
    pub session: &'a [u8],
    /// Number of the sequenced message that comes next.
    pub sequence: u64,
}

fn trim(mut field: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = field {
        field = rest;
    }
    field
}

/// The letters and digits between the padding of the field at `at`. A password that is refused is not shown.
fn text<'a>(what: &'static str, payload: &'a [u8], at: usize, size: usize) -> Result<&'a [u8], WireError> {
    let field = trim(&payload[at..at + size]);
    match field.iter().all(u8::is_ascii_alphanumeric) {
        true => Ok(field),
        false => Err(WireError::new(what, at, 0, 1..=size)),
    }
}

/// A number of ASCII digits between spaces, leading zeros or not, of 64 bits.
fn number(what: &'static str, payload: &[u8], at: usize, size: usize) -> Result<u64, WireError> {
    let digits = trim(&payload[at..at + size]);
    let add = |sum: u64, &digit: &u8| {
        let value = Some(digit.wrapping_sub(b'0')).filter(|&value| value < 10)?;
        sum.checked_mul(10)?.checked_add(value as u64)
    };
    let sum = digits.iter().try_fold(0, add).filter(|_| !digits.is_empty());
    sum.ok_or_else(|| WireError::new(what, at, 0, 1..=size))
}

/// Append `field` in so many bytes: cut, or padded with spaces on the left or the right.
fn pad(to: &mut Vec<u8>, field: &[u8], size: usize, left: bool) {
    let field = &field[..field.len().min(size)];
    let spaces = size - field.len();
    to.resize(to.len() + if left { spaces } else { 0 }, b' ');
    to.extend_from_slice(field);
    to.resize(to.len() + if left { 0 } else { spaces }, b' ');
}

/// Append a number in so many bytes, spaces on the left; of one that is too long the last digits.
fn digits(to: &mut Vec<u8>, value: u64, size: usize) {
    let (mut text, mut at, mut rest) = ([b' '; 20], 20, value);
    loop {
        at -= 1;
        text[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    to.extend_from_slice(&text[20 - size.min(20)..]);
}

impl<'a> Login<'a> {
    /// Read the payload of a login request, with the field of 4.10 or without.
    pub fn decode(payload: &'a [u8]) -> Result<Self, WireError> {
        let length = payload.len();
        if length != LOGIN && length != LOGIN + 5 {
            let what = "payload of a SoupBinTCP login";
            return Err(WireError::new(what, 0, length, LOGIN..=LOGIN + 5));
        }
        Ok(Login {
            username: text("letters and digits of a username", payload, 0, 6)?,
            password: text("letters and digits of a password", payload, 6, 10)?,
            session: text("letters and digits of a session", payload, 16, 10)?,
            sequence: number("digits of a sequence number", payload, 26, 20)?,
            heartbeat_ms: match length {
                LOGIN => None,
                _ => Some(number("digits of a heartbeat timeout", payload, LOGIN, 5)?),
            },
        })
    }

    /// Whether every field has room for what stands in it.
    pub fn fits(&self) -> Result<(), WireError> {
        let fields = [
            ("letters and digits of a username", self.username, 6),
            ("letters and digits of a password", self.password, 10),
            ("letters and digits of a session", self.session, 10),
        ];
        for (what, field, most) in fields {
            if field.len() > most || !field.iter().all(u8::is_ascii_alphanumeric) {
                return Err(WireError::new(what, 0, field.len(), 0..=most));
            }
        }
        Ok(())
    }

    /// Append the packet. What does not fit its field is cut: see `fits`.
    pub fn put(&self, to: &mut Vec<u8>) {
        put_with(to, kind::LOGIN, |to| {
            pad(to, self.username, 6, false);
            pad(to, self.password, 10, false);
            pad(to, self.session, 10, true);
            digits(to, self.sequence, 20);
            if let Some(ms) = self.heartbeat_ms {
                digits(to, ms, 5);
            }
        });
    }
}

impl<'a> Accepted<'a> {
    /// Read the payload of an accepted login.
    pub fn decode(payload: &'a [u8]) -> Result<Self, WireError> {
        if payload.len() != 30 {
            return Err(WireError::new("payload of a SoupBinTCP login accepted", 0, payload.len(), 30..=30));
        }
        Ok(Accepted {
            session: text("letters and digits of a session", payload, 0, 10)?,
            sequence: number("digits of a sequence number", payload, 10, 20)?,
        })
    }

    /// Append the packet.
    pub fn put(&self, to: &mut Vec<u8>) {
        put_with(to, kind::ACCEPTED, |to| {
            pad(to, self.session, 10, true);
            digits(to, self.sequence, 20);
        });
    }
}
