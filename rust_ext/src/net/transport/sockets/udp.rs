//! Datagrams over a connected socket: asleep in the kernel until one comes (`udp`), or asked again and again (`udp-spin`),
//! or asleep after the kernel has asked the card for a while (`udp-busy`).

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use super::{Patience, parse, within};
use crate::net::transport::{
    Address, End, Failure, Made, Options, Step, Transport, invalid, oversize, sockets, spin,
};

/// One socket each way; they are the same but for multicast.
pub struct Sockets {
    pub into: UdpSocket,
    pub out: Option<UdpSocket>,
}

impl From<UdpSocket> for Sockets {
    fn from(both: UdpSocket) -> Sockets {
        Sockets { into: both, out: None }
    }
}

impl Sockets {
    /// Send a datagram; never sleeps.
    #[inline]
    pub fn send(&self, message: &[u8], limit: usize) -> io::Result<()> {
        if message.len() > limit {
            return Err(oversize(message.len(), limit));
        }
        let out = self.out.as_ref().unwrap_or(&self.into).as_raw_fd();
        // SAFETY: the message has the length that is passed, and they are only read.
        let sent = unsafe { libc::send(out, message.as_ptr().cast(), message.len(), libc::MSG_DONTWAIT) };
        if sent < 0 {
            let error = io::Error::last_os_error();
            let full = error.raw_os_error() == Some(libc::ENOBUFS);
            return Err(if full { io::ErrorKind::WouldBlock.into() } else { error });
        }
        Ok(())
    }
}

/// Two sockets on the loopback interface, connected to each other.
pub fn connected() -> Result<[UdpSocket; 2], Failure> {
    let [one, other] =
        [(); 2].map(|()| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).step("bind(AF_INET, SOCK_DGRAM)"));
    let (one, other) = (one?, other?);
    for (from, to) in [(&one, &other), (&other, &one)] {
        from.connect(to.local_addr().step("getsockname")?).step("connect(SOCK_DGRAM)")?;
        sockets::queue(from);
    }
    Ok([one, other])
}

/// One end, bound to its own place and connected to the other's.
pub fn at(address: &Address, end: End) -> Result<UdpSocket, Failure> {
    let (own, other) = (address.at(end), address.at(end.other()));
    let (from, to) = (parse(&own.name)?, parse(&other.name)?);
    within(own.netns.as_deref(), || {
        let socket = UdpSocket::bind(from).step(&format!("bind({from})"))?;
        socket.connect(to).step(&format!("connect({to})"))?;
        sockets::queue(&socket);
        Ok(socket)
    })
}

/// Receive into `buffer`: the length of a whole datagram, which may be longer than the buffer.
#[inline(always)]
pub fn receive(socket: &UdpSocket, buffer: &mut [u8], flags: libc::c_int) -> io::Result<Option<usize>> {
    let (start, room) = (buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: the buffer has so much room.
    sockets::bytes(unsafe { libc::recv(socket.as_raw_fd(), start, room, flags | libc::MSG_TRUNC) })
}

/// Datagrams over one socket each way.
pub struct Udp {
    sockets: Sockets,
    buffer: Box<[u8]>,
    length: usize,
    /// Whether to sleep while waiting.
    sleeps: bool,
    patience: Patience,
}

impl Udp {
    pub fn new(sockets: Sockets, options: &Options, sleeps: bool) -> Udp {
        let buffer = vec![0; options.size].into();
        Udp { sockets, buffer, length: 0, sleeps, patience: Patience::default() }
    }

    #[inline(always)]
    fn take(&mut self, flags: libc::c_int) -> io::Result<bool> {
        self.length = 0;
        let Some(length) = receive(&self.sockets.into, &mut self.buffer, flags)? else { return Ok(false) };
        if length > self.buffer.len() {
            return Err(invalid(format!("a datagram of {length} bytes; at most {} are taken", self.limit())));
        }
        self.length = length;
        Ok(true)
    }
}

impl Transport for Udp {
    #[inline]
    fn poll(&mut self) -> io::Result<bool> {
        self.take(libc::MSG_DONTWAIT)
    }

    #[inline]
    fn message(&self) -> &[u8] {
        &self.buffer[..self.length]
    }

    #[inline]
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.sockets.send(message, self.buffer.len())
    }

    fn limit(&self) -> usize {
        self.buffer.len()
    }

    #[inline]
    fn wait(&mut self, limit: Duration) -> io::Result<Option<&[u8]>> {
        let there = if self.sleeps {
            self.patience.set(&self.sockets.into, limit)?;
            self.take(0)?
        } else {
            spin(limit, || self.poll())?
        };
        Ok(if there { Some(self.message()) } else { None })
    }

    fn lost(&mut self) -> u64 {
        sockets::dropped(&self.sockets.into)
    }
}

pub fn make<const SLEEPS: bool>(socket: UdpSocket, options: &Options) -> Made {
    Ok(Box::new(Udp::new(socket.into(), options, SLEEPS)))
}

/// How long the kernel polls the card itself before it puts a reader to sleep, microseconds.
#[cfg(target_os = "linux")]
const BUSY_US: libc::c_int = 50;

/// Over a socket whose readers the kernel lets poll the card (SO_BUSY_POLL); without a card, as on loopback, it changes nothing.
#[cfg(target_os = "linux")]
pub fn make_busy(socket: UdpSocket, options: &Options) -> Made {
    sockets::set(&socket, libc::SOL_SOCKET, libc::SO_BUSY_POLL, &BUSY_US).step("setsockopt(SO_BUSY_POLL)")?;
    make::<true>(socket, options)
}
