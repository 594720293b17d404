//! Datagrams in batches: one call brings all that wait, up to 32. It spins. A single message costs more than by recv; a backlog less.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::ptr;

use super::udp::Sockets;
use crate::net::transport::{Made, Options, Transport, invalid, sockets};

const BATCH: usize = 32;

struct Recvmmsg {
    sockets: Sockets,
    limit: usize,
    buffer: Box<[u8]>,
    /// Where in `buffer` each datagram of a batch goes; never read by us.
    _places: Box<[libc::iovec; BATCH]>,
    heads: Box<[libc::mmsghdr; BATCH]>,
    /// Of the batch, how many there are and how many are taken.
    there: usize,
    taken: usize,
    length: usize,
}

// SAFETY: its pointers are into boxes of its own.
unsafe impl Send for Recvmmsg {}

impl Recvmmsg {
    fn new(socket: UdpSocket, options: &Options) -> Recvmmsg {
        let limit = options.size;
        let mut buffer: Box<[u8]> = vec![0; BATCH * limit].into();
        let start = buffer.as_mut_ptr();
        let mut places = Box::new([libc::iovec { iov_base: ptr::null_mut(), iov_len: limit }; BATCH]);
        for (n, place) in places.iter_mut().enumerate() {
            // SAFETY: the buffer has BATCH times `limit` bytes.
            place.iov_base = unsafe { start.add(n * limit) }.cast();
        }
        // SAFETY: plain data, for which zeros are a value.
        let mut heads: Box<[libc::mmsghdr; BATCH]> = Box::new(unsafe { std::mem::zeroed() });
        for (head, place) in heads.iter_mut().zip(places.iter_mut()) {
            head.msg_hdr.msg_iov = place;
            head.msg_hdr.msg_iovlen = 1;
        }
        let sockets = socket.into();
        Recvmmsg { sockets, limit, buffer, _places: places, heads, there: 0, taken: 0, length: 0 }
    }

    /// Receive the next batch; whether there is anything.
    #[inline]
    fn refill(&mut self) -> io::Result<bool> {
        (self.there, self.taken) = (0, 0);
        let (own, heads) = (self.sockets.into.as_raw_fd(), self.heads.as_mut_ptr());
        // SAFETY: BATCH heads, each with a place of `limit` bytes in the buffer.
        let found =
            unsafe { libc::recvmmsg(own, heads, BATCH as u32, libc::MSG_DONTWAIT as _, ptr::null_mut()) };
        self.there = sockets::bytes(found as libc::ssize_t)?.unwrap_or(0);
        Ok(self.there > 0)
    }
}

impl Transport for Recvmmsg {
    #[inline]
    fn poll(&mut self) -> io::Result<bool> {
        self.length = 0;
        if self.taken == self.there && !self.refill()? {
            return Ok(false);
        }
        let head = &self.heads[self.taken];
        self.taken += 1;
        if head.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
            return Err(invalid(format!(
                "a datagram of more than {} bytes, which are what is taken",
                self.limit
            )));
        }
        self.length = (head.msg_len as usize).min(self.limit);
        Ok(true)
    }

    #[inline]
    fn message(&self) -> &[u8] {
        let start = self.taken.saturating_sub(1) * self.limit;
        &self.buffer[start..start + self.length]
    }

    #[inline]
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.sockets.send(message, self.limit)
    }

    fn limit(&self) -> usize {
        self.limit
    }

    fn lost(&mut self) -> u64 {
        sockets::dropped(&self.sockets.into)
    }
}

pub fn make(socket: UdpSocket, options: &Options) -> Made {
    Ok(Box::new(Recvmmsg::new(socket, options)))
}
