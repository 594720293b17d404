//! Datagrams through io_uring: one receive request, armed once, brings them all into buffers that were given to the kernel before
//! (multishot). Asleep until one comes (`uring`), or looking into the completion ring again and again (`uring-spin`); then it is a
//! call only when the kernel says that it has something to finish. Sending is a plain call: a single datagram gains nothing.
//!
//! The request belongs to the thread that first waits, so an endpoint may be made on one thread and used on another.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use io_uring::types::{BufRingEntry, CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode};

use super::udp::Sockets;
use crate::net::transport::mapping::Mapping;
use crate::net::transport::{Failure, Made, Options, Step, Transport, invalid, sockets, spin};

const GROUP: u16 = 0;
/// Finish what is pending, wait for nothing.
const GETEVENTS: u32 = 1;
/// Bytes of a datagram beyond the limit that are received, to see that it is too long.
const MORE: usize = 8;

struct Uring {
    ring: IoUring,
    sockets: Sockets,
    limit: usize,
    /// The ring of buffers, then the buffers.
    memory: Mapping,
    buffers: u16,
    /// Of the ring of buffers, wrapping.
    tail: u16,
    armed: bool,
    /// The buffer that is being looked at, and the bytes in it.
    held: Option<(u16, usize)>,
    sleeps: bool,
}

impl Uring {
    fn new(socket: UdpSocket, options: &Options, sleeps: bool) -> Result<Uring, Failure> {
        // Without the first two the kernel interrupts the thread for each datagram, which takes more than half as long again.
        let ring = IoUring::builder()
            .setup_coop_taskrun()
            .setup_taskrun_flag()
            .setup_cqsize(2 * options.slots as u32)
            .build(8)
            .step("io_uring_setup")?;
        let buffers = options.slots.min(1 << 15) as u16;
        let table = usize::from(buffers) * size_of::<BufRingEntry>();
        let bytes = table.next_multiple_of(4096) + usize::from(buffers) * (options.size + MORE);
        let memory = Mapping::anonymous(bytes).step("mmap(buffers)")?;
        // SAFETY: a page-aligned table of so many entries, which outlives the ring: see Drop.
        let registered =
            unsafe { ring.submitter().register_buf_ring_with_flags(memory.at(0) as u64, buffers, GROUP, 0) };
        registered.step("io_uring_register(PBUF_RING)")?;
        let (limit, sockets) = (options.size, socket.into());
        let mut new =
            Uring { ring, sockets, limit, memory, buffers, tail: 0, armed: false, held: None, sleeps };
        (0..buffers).for_each(|buffer| new.give(buffer));
        Ok(new)
    }

    /// Where a buffer is.
    #[inline(always)]
    fn buffer(&self, buffer: u16) -> *mut u8 {
        let table = usize::from(self.buffers) * size_of::<BufRingEntry>();
        self.memory.at(table.next_multiple_of(4096) + usize::from(buffer) * (self.limit + MORE))
    }

    /// Give a buffer to the kernel.
    #[inline(always)]
    fn give(&mut self, buffer: u16) {
        let place = usize::from(self.tail & (self.buffers - 1)) * size_of::<BufRingEntry>();
        let start = self.buffer(buffer) as u64;
        // SAFETY: an entry within the table; the kernel reads it only once the tail is beyond it.
        let entry = unsafe { &mut *self.memory.at(place).cast::<BufRingEntry>() };
        entry.set_addr(start);
        entry.set_len((self.limit + MORE) as u32);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the tail lies within the first entry, where the kernel looks for it.
        unsafe {
            let tail = BufRingEntry::tail(self.memory.at(0).cast()).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }

    /// Ask for datagrams, until the kernel says that it has stopped.
    fn arm(&mut self) -> io::Result<()> {
        let receive = opcode::RecvMulti::new(Fd(self.sockets.into.as_raw_fd()), GROUP).build();
        // SAFETY: the socket and the buffers outlive the request: see Drop.
        let pushed = unsafe { self.ring.submission().push(&receive) };
        pushed.map_err(|_| io::Error::from(io::ErrorKind::WouldBlock))?;
        self.ring.submit()?;
        self.armed = true;
        Ok(())
    }

    /// Take the next completion, if there is one.
    #[inline(always)]
    fn take(&mut self) -> io::Result<bool> {
        if let Some((buffer, _)) = self.held.take() {
            self.give(buffer);
        }
        loop {
            if !self.armed {
                self.arm()?;
            }
            let Some(done) = self.ring.completion().next() else { return Ok(false) };
            self.armed = cqueue::more(done.flags());
            if done.result() < 0 {
                match -done.result() {
                    // All buffers are full; those that have been taken are back when it is armed again.
                    libc::ENOBUFS | libc::EINTR | libc::EAGAIN => continue,
                    error => return Err(io::Error::from_raw_os_error(error)),
                }
            }
            let length = done.result() as usize;
            let buffer = cqueue::buffer_select(done.flags()).filter(|buffer| *buffer < self.buffers);
            let Some(buffer) = buffer else {
                // An empty datagram takes no buffer.
                return if length == 0 { Ok(true) } else { Err(invalid("a completion without a buffer")) };
            };
            if length > self.limit {
                self.give(buffer);
                return Err(invalid(format!(
                    "a datagram of more than {} bytes, which are what is taken",
                    self.limit
                )));
            }
            self.held = Some((buffer, length));
            return Ok(true);
        }
    }
}

impl Transport for Uring {
    #[inline]
    fn poll(&mut self) -> io::Result<bool> {
        if self.take()? {
            return Ok(true);
        }
        if !self.ring.submission().taskrun() {
            return Ok(false);
        }
        // SAFETY: no argument is passed.
        unsafe { self.ring.submitter().enter::<libc::sigset_t>(0, 0, GETEVENTS, None) }?;
        self.take()
    }

    #[inline]
    fn message(&self) -> &[u8] {
        let Some((buffer, length)) = self.held else { return &[] };
        // SAFETY: the kernel has written so many bytes into the buffer, and has it back only with the next `poll`.
        unsafe { std::slice::from_raw_parts(self.buffer(buffer), length) }
    }

    #[inline]
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.sockets.send(message, self.limit)
    }

    fn limit(&self) -> usize {
        self.limit
    }

    #[inline]
    fn wait(&mut self, limit: Duration) -> io::Result<Option<&[u8]>> {
        if !self.sleeps {
            return Ok(if spin(limit, || self.poll())? { Some(self.message()) } else { None });
        }
        if !self.take()? {
            let time = Timespec::from(limit);
            let waited = self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&time));
            match waited {
                Err(error) if !matches!(error.raw_os_error(), Some(libc::ETIME | libc::EINTR)) => {
                    return Err(error);
                }
                _ if !self.take()? => return Ok(None),
                _ => {}
            }
        }
        Ok(Some(self.message()))
    }

    fn lost(&mut self) -> u64 {
        sockets::dropped(&self.sockets.into)
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        // The kernel writes into the buffers as long as the request lives.
        let _ = self.ring.submitter().register_sync_cancel(None, CancelBuilder::any());
    }
}

pub fn make<const SLEEPS: bool>(socket: UdpSocket, options: &Options) -> Made {
    Ok(Box::new(Uring::new(socket, options, SLEEPS)?))
}
