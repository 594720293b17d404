//! Datagrams behind epoll, as an event loop has them: asleep until it says that one is there (`epoll`), or asked again and again
//! without sleeping (`epoll-spin`). A call more for each message than a socket alone; worth it where there are many sockets.

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use super::udp::Udp;
use crate::net::transport::{Failure, Made, Options, Step, Transport, sockets, spin};

struct Epoll {
    udp: Udp,
    /// Knows one socket: that of `udp`.
    queue: OwnedFd,
    sleeps: bool,
}

impl Epoll {
    fn new(socket: UdpSocket, options: &Options, sleeps: bool) -> Result<Epoll, Failure> {
        // SAFETY: no memory is passed.
        let queue =
            sockets::check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }).step("epoll_create1")?;
        // SAFETY: a descriptor that is nobody else's.
        let queue = unsafe { OwnedFd::from_raw_fd(queue) };
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
        let (add, own) = (libc::EPOLL_CTL_ADD, socket.as_raw_fd());
        // SAFETY: an event of our own, only read.
        let added = unsafe { libc::epoll_ctl(queue.as_raw_fd(), add, own, &mut event) };
        sockets::check(added).step("epoll_ctl")?;
        Ok(Epoll { udp: Udp::new(socket.into(), options, false), queue, sleeps })
    }

    /// Take a datagram if epoll says within so many milliseconds that one is there.
    #[inline(always)]
    fn take(&mut self, milliseconds: libc::c_int) -> io::Result<bool> {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: room for the one event that is asked for.
        let found = unsafe { libc::epoll_wait(self.queue.as_raw_fd(), &mut event, 1, milliseconds) };
        if sockets::bytes(found as libc::ssize_t)?.unwrap_or(0) == 0 {
            return Ok(false);
        }
        self.udp.poll()
    }
}

impl Transport for Epoll {
    #[inline]
    fn poll(&mut self) -> io::Result<bool> {
        self.take(0)
    }

    #[inline]
    fn message(&self) -> &[u8] {
        self.udp.message()
    }

    #[inline]
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.udp.send(message)
    }

    fn limit(&self) -> usize {
        self.udp.limit()
    }

    #[inline]
    fn wait(&mut self, limit: Duration) -> io::Result<Option<&[u8]>> {
        let there = if self.sleeps {
            self.take(limit.as_millis().clamp(1, 3_600_000) as libc::c_int)?
        } else {
            spin(limit, || self.poll())?
        };
        Ok(if there { Some(self.message()) } else { None })
    }

    fn lost(&mut self) -> u64 {
        self.udp.lost()
    }
}

pub fn make<const SLEEPS: bool>(socket: UdpSocket, options: &Options) -> Made {
    Ok(Box::new(Epoll::new(socket, options, SLEEPS)?))
}
