//! A stream, without Nagle's delay: asleep in the kernel until something comes (`tcp`), or asked again and again (`tcp-spin`).
//!
//! A message goes with its length in front, u16 big-endian: the frame of a SoupBinTCP packet, of which a message here is the type
//! and the payload.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use super::{Patience, parse, within};
use crate::net::transport::{
    Address, End, Failure, Made, Options, Pair, Step, Transport, invalid, oversize, sockets, spin,
};

/// Bytes of the length before a message.
const PREFIX: usize = 2;
/// Frames of the longest kind that the receive buffer has room for.
const FRAMES: usize = 4;
/// How often to look whether the other end has come.
const LOOK: Duration = Duration::from_millis(2);

/// Elsewhere the standard library has set the socket so.
#[cfg(target_os = "linux")]
const NO_SIGNAL: libc::c_int = libc::MSG_NOSIGNAL;
#[cfg(not(target_os = "linux"))]
const NO_SIGNAL: libc::c_int = 0;

struct Tcp {
    stream: TcpStream,
    /// `start..end` is received and not yet taken; the message is at `message`.
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    message: (usize, usize),
    limit: usize,
    /// A frame, of which `sent..framed` is still to go.
    outbox: Box<[u8]>,
    sent: usize,
    framed: usize,
    sleeps: bool,
    patience: Patience,
}

impl Tcp {
    fn new(stream: TcpStream, options: &Options, sleeps: bool) -> Result<Tcp, Failure> {
        stream.set_nodelay(true).step("setsockopt(TCP_NODELAY)")?;
        stream.set_nonblocking(false).step("fcntl(O_NONBLOCK)")?;
        sockets::queue(&stream);
        let room = PREFIX + options.size;
        let (buffer, outbox) = (vec![0; FRAMES * room].into(), vec![0; room].into());
        let nothing = (0, 0, (0, 0));
        let (start, end, message) = nothing;
        let (limit, patience) = (options.size, Patience::default());
        Ok(Tcp { stream, buffer, start, end, message, limit, outbox, sent: 0, framed: 0, sleeps, patience })
    }

    /// Whether a whole frame is there: then it is the message.
    #[inline(always)]
    fn frame(&mut self) -> io::Result<bool> {
        self.message = (0, 0);
        let Some(&[high, low]) = self.buffer[self.start..self.end].first_chunk() else { return Ok(false) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > self.limit {
            // Where the next frame begins can only be known by taking this one whole, so there is no going on.
            self.end = self.start;
            let text =
                format!("a frame of {length} bytes; at most {} are taken, so the stream ends", self.limit);
            let _ = self.stream.shutdown(std::net::Shutdown::Both);
            return Err(invalid(text));
        }
        let after = self.start + PREFIX + length;
        if after > self.end {
            return Ok(false);
        }
        self.message = (self.start + PREFIX, after);
        self.start = after;
        Ok(true)
    }

    /// Receive more; false if there is nothing.
    #[inline(always)]
    fn more(&mut self, flags: libc::c_int) -> io::Result<bool> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.buffer.len() - self.start < PREFIX + self.limit {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let room = &mut self.buffer[self.end..];
        // SAFETY: there is so much room.
        let found =
            unsafe { libc::recv(self.stream.as_raw_fd(), room.as_mut_ptr().cast(), room.len(), flags) };
        match sockets::bytes(found)? {
            Some(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Some(count) => {
                self.end += count;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Send what is left of the last frame; whether all of it has gone.
    #[inline(always)]
    fn flush(&mut self) -> io::Result<bool> {
        while self.sent < self.framed {
            let rest = &self.outbox[self.sent..self.framed];
            let flags = libc::MSG_DONTWAIT | NO_SIGNAL;
            // SAFETY: the rest has the length that is passed, and they are only read.
            let sent =
                unsafe { libc::send(self.stream.as_raw_fd(), rest.as_ptr().cast(), rest.len(), flags) };
            let Some(count) = sockets::bytes(sent)? else { return Ok(false) };
            self.sent += count;
        }
        Ok(true)
    }

    /// Sleep until a whole frame is there; not for ever if it comes byte by byte.
    #[inline(always)]
    fn sleep(&mut self, limit: Duration) -> io::Result<bool> {
        let (mut there, mut until) = (self.frame()?, None);
        while !there {
            if !self.more(0)? {
                return Ok(false);
            }
            there = self.frame()?;
            if !there {
                let now = Instant::now(); // first read when a part has come
                if now >= *until.get_or_insert(now + limit) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

impl Transport for Tcp {
    #[inline]
    fn poll(&mut self) -> io::Result<bool> {
        if self.sent < self.framed {
            self.flush()?;
        }
        while !self.frame()? {
            if !self.more(libc::MSG_DONTWAIT)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    #[inline]
    fn message(&self) -> &[u8] {
        &self.buffer[self.message.0..self.message.1]
    }

    #[inline]
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        if message.len() > self.limit {
            return Err(oversize(message.len(), self.limit));
        }
        if !self.flush()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.framed = PREFIX + message.len();
        self.sent = 0;
        self.outbox[..PREFIX].copy_from_slice(&(message.len() as u16).to_be_bytes());
        self.outbox[PREFIX..self.framed].copy_from_slice(message);
        self.flush()?;
        Ok(())
    }

    fn limit(&self) -> usize {
        self.limit
    }

    #[inline]
    fn wait(&mut self, limit: Duration) -> io::Result<Option<&[u8]>> {
        // What is still to go must not wait for what is to come, so while something is, the stream is asked again and again.
        let there = if self.sleeps && self.sent == self.framed {
            self.patience.set(&self.stream, limit)?;
            self.sleep(limit)?
        } else {
            spin(limit, || self.poll())?
        };
        Ok(if there { Some(self.message()) } else { None })
    }
}

pub fn pair<const SLEEPS: bool>(options: &Options) -> Result<Pair, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).step("bind(AF_INET, SOCK_STREAM)")?;
    let there = listener.local_addr().step("getsockname")?;
    let second = TcpStream::connect(there).step("connect(SOCK_STREAM)")?;
    let first = accept(&listener, options.patience, Some(second.local_addr().step("getsockname")?))?;
    Ok((Box::new(Tcp::new(first, options, SLEEPS)?), Box::new(Tcp::new(second, options, SLEEPS)?)))
}

pub fn open<const SLEEPS: bool>(address: &Address, end: End, options: &Options) -> Made {
    let there = parse(&address.at(End::First).name)?;
    let stream = within(address.at(end).netns.as_deref(), || match end {
        End::First => {
            let listener = TcpListener::bind(there).step(&format!("bind({there})"))?;
            accept(&listener, options.patience, None)
        }
        End::Second => connect(there.into(), options.patience),
    })?;
    Ok(Box::new(Tcp::new(stream, options, SLEEPS)?))
}

/// Wait for the other end; `from` is where it must come from.
fn accept(
    listener: &TcpListener,
    patience: Duration,
    from: Option<SocketAddr>,
) -> Result<TcpStream, Failure> {
    listener.set_nonblocking(true).step("fcntl(O_NONBLOCK)")?;
    let until = Instant::now() + patience;
    loop {
        match listener.accept() {
            Ok((stream, peer)) if from.is_none_or(|from| from == peer) => return Ok(stream),
            Ok(_) => {}
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error).step("accept"),
            Err(_) if Instant::now() >= until => {
                return Err(io::Error::from_raw_os_error(libc::ETIMEDOUT)).step("accept");
            }
            Err(_) => thread::sleep(LOOK),
        }
    }
}

/// Wait until the other end listens.
fn connect(there: SocketAddr, patience: Duration) -> Result<TcpStream, Failure> {
    let until = Instant::now() + patience;
    loop {
        let left = until.saturating_duration_since(Instant::now()).max(LOOK);
        match TcpStream::connect_timeout(&there, left) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && Instant::now() < until => {
                thread::sleep(LOOK);
            }
            other => return other.step(&format!("connect({there})")),
        }
    }
}
