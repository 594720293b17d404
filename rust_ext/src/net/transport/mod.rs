//! How messages get from one thread or process to another: one trait, one small file per transport, one table of names.
//!
//! ```text
//! rings/    memory shm            a ring of slots, the sequence in the slot; nothing but memory between two cores
//! sockets/  udp epoll recvmmsg    a datagram socket, polled or blocking; uring: through a submission ring; multicast
//!           tcp                   a stream, its messages framed as SoupBinTCP frames packets
//! frames/   packet xdp            past the protocols of the kernel: whole frames on one end of a veth pair
//! ```
//!
//! Endpoints come in pairs within a process (`pair`), or one by one by address (`open`). They own what they use, and dropping them
//! leaves nothing behind: no file, no program on an interface, no namespace.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

mod address;
#[cfg(target_os = "linux")]
mod frames;
pub mod kinds;
#[cfg(target_os = "linux")]
mod mapping;
#[cfg(target_os = "linux")]
pub mod netns;
mod rings;
mod sockets;

pub use address::{Address, End, Place};
pub use kinds::{KINDS, Kind, open, pair, probe};

/// Polls between two looks at the clock while a spinning transport waits.
const SPINS: u32 = 64;

/// One end of a connection that carries whole messages, in order, both ways.
///
/// What is received lies in memory of the endpoint until the next `poll`, `try_recv` or `wait`; nothing is copied for the caller,
/// and once made an endpoint asks nothing of the heap.
pub trait Transport: Send {
    /// Take the next message in, if one is there: `message` then has it. Never sleeps.
    ///
    /// # Errors
    /// `InvalidData` for something that is no message (too long, garbled), which is skipped: the next call goes on behind it.
    /// `UnexpectedEof`, `ConnectionReset` or `ConnectionRefused` where the peer is known to be gone.
    fn poll(&mut self) -> io::Result<bool>;

    /// The message taken in last; empty before the first.
    fn message(&self) -> &[u8];

    /// Send one message: all of it or, with an error, nothing. What the system did not take at once of a stream goes out with the
    /// next `send`, `poll` or `wait`.
    ///
    /// # Errors
    /// `InvalidInput` above `limit`; `WouldBlock` where there is no room, and nothing that was sent before is touched.
    fn send(&mut self, message: &[u8]) -> io::Result<()>;

    /// Bytes of the longest message.
    fn limit(&self) -> usize;

    /// The next message, if one is there.
    ///
    /// # Errors
    /// As `poll`.
    fn try_recv(&mut self) -> io::Result<Option<&[u8]>> {
        Ok(if self.poll()? { Some(self.message()) } else { None })
    }

    /// The next message, waited for in the way of the transport (asleep in the kernel, or in a spin) for at most about so long.
    ///
    /// # Errors
    /// As `poll`.
    fn wait(&mut self, limit: Duration) -> io::Result<Option<&[u8]>> {
        Ok(if spin(limit, || self.poll())? { Some(self.message()) } else { None })
    }

    /// Messages for this end that the system says it has thrown away, so far.
    fn lost(&mut self) -> u64 {
        0
    }
}

/// One end of a connection, made; or the step that failed.
pub type Made = Result<Box<dyn Transport>, Failure>;

/// Both ends of a connection.
pub type Pair = (Box<dyn Transport>, Box<dyn Transport>);

/// What an endpoint is made with.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bytes of the longest message: 1 to 65,507, for whole frames (packet, xdp) at most 1,472.
    pub size: usize,
    /// Messages that a ring holds: a power of two, 2 to 65,536.
    pub slots: usize,
    /// How long to wait for the other end when opening by address.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options { size: 1472, slots: 64, patience: Duration::from_secs(5) }
    }
}

impl Options {
    /// # Errors
    /// A setting outside its range.
    pub fn check(&self) -> Result<(), Failure> {
        let Options { size, slots, .. } = *self;
        if !(1..=65_507).contains(&size) {
            return Err(Failure::refused(format!("size is {size}; allowed is 1 to 65507")));
        }
        if !slots.is_power_of_two() || !(2..=65_536).contains(&slots) {
            return Err(Failure::refused(format!(
                "slots is {slots}; allowed are powers of two from 2 to 65536"
            )));
        }
        Ok(())
    }
}

/// Why a transport cannot be had: the step that failed, and what the system said.
#[derive(Debug)]
pub struct Failure {
    /// What was being done, e.g. `bind(AF_XDP)`.
    pub step: String,
    /// What the system said.
    pub error: io::Error,
}

impl Failure {
    /// A setting that is not allowed.
    pub fn refused(text: String) -> Failure {
        Failure { step: String::new(), error: io::Error::new(io::ErrorKind::InvalidInput, text) }
    }

    /// The number of the error; 0 where the system was not to blame.
    pub fn errno(&self) -> i32 {
        self.error.raw_os_error().unwrap_or(0)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        if self.step.is_empty() { self.error.fmt(out) } else { write!(out, "{}: {}", self.step, self.error) }
    }
}

impl std::error::Error for Failure {}

/// Say what was being done when an error came.
pub trait Step<T> {
    /// # Errors
    /// The error, with the step.
    fn step(self, step: &str) -> Result<T, Failure>;
}

impl<T> Step<T> for io::Result<T> {
    fn step(self, step: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure { step: step.into(), error })
    }
}

/// Whether an error says that the other end is gone, which ends a measurement and is none of its own.
pub fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionRefused)
}

/// Poll until something is there, or for about so long. There is no pause between two polls: in a guest it may leave the guest.
#[inline]
fn spin(limit: Duration, mut poll: impl FnMut() -> io::Result<bool>) -> io::Result<bool> {
    let mut until = None;
    loop {
        for _ in 0..SPINS {
            if poll()? {
                return Ok(true);
            }
        }
        // The clock is first read when the first polls found nothing.
        let now = Instant::now();
        if now >= *until.get_or_insert_with(|| now + limit) {
            return Ok(false);
        }
    }
}

/// Why a message cannot be sent.
#[cold]
fn oversize(length: usize, limit: usize) -> io::Error {
    let text = format!("a message of {length} bytes; allowed are at most {limit}");
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// Why what came in is no message.
#[cold]
fn invalid(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.into())
}

#[cfg(test)]
mod tests;
