//! Whole frames through AF_XDP: a small program on the interface hands what is for us to rings that are mapped here, before the
//! protocols of the kernel see it. Receiving needs no call, sending one. Two ways: `xdp-skb`, generic, on any interface, and
//! `xdp-drv`, in the driver. Frames are copied: the driver of a veth pair can do no other.
//!
//! On a veth pair the generic way is the quicker one, since the driver's has to make frames anew and hand them to a poller of its
//! own; on a real card it is the other way round.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use super::{FRAME, Header, port};
use crate::net::transport::mapping::Mapping;
use crate::net::transport::sockets;
use crate::net::transport::{End, Failure, Made, Options, Step, Transport, invalid, netns};

mod program;
mod rings;

use program::Program;
use rings::{Consumer, Producer};

/// Bytes of a frame in memory that is shared with the kernel.
const CHUNK: usize = 2_048;
/// Frames each way, at most.
const MOST: usize = 4_096;
const QUEUE: u32 = 0;
/// How long another endpoint may take to let go of a queue: the system does it late.
const LATE: Duration = Duration::from_secs(1);

struct Xdp {
    /// First, so that it is dropped first: off the interface before the socket closes.
    _program: Program,
    socket: OwnedFd,
    received: Consumer<libc::xdp_desc>,
    fill: Producer<u64>,
    outgoing: Producer<libc::xdp_desc>,
    completed: Consumer<u64>,
    /// Frames to be received into, then frames to send from. After the rings: they are about it.
    memory: Mapping,
    /// Frames to send from that are ours.
    free: Vec<u64>,
    /// The frame that is being looked at, and where in the memory its message is.
    held: Option<(u64, usize, usize)>,
    header: Header,
    /// The kernel does not know yet of all that is in `outgoing`.
    unsent: bool,
}

impl Xdp {
    fn new(interface: &str, end: End, generic: bool, options: &Options) -> Result<Xdp, Failure> {
        let index = netns::index(interface)?;
        let slots = options.slots.min(MOST);
        let socket = sockets::socket(libc::AF_XDP, libc::SOCK_RAW, 0).step("socket(AF_XDP)")?;
        let memory = Mapping::anonymous(2 * slots * CHUNK).step("mmap(frames)")?;
        let shared = libc::xdp_umem_reg {
            addr: memory.at(0) as u64,
            len: memory.bytes() as u64,
            chunk_size: CHUNK as u32,
            headroom: 0,
            flags: 0,
            tx_metadata_len: 0,
        };
        sockets::set(&socket, libc::SOL_XDP, libc::XDP_UMEM_REG, &shared).step("setsockopt(XDP_UMEM_REG)")?;
        let rings = rings::make(&socket, slots as u32)?;
        bind(&socket, index).step(&format!("bind(AF_XDP, {interface})"))?;
        let program = Program::attach(&socket, port(end), QUEUE, index, generic)?;
        let mut new = Xdp {
            _program: program,
            socket,
            received: rings.received,
            fill: rings.fill,
            outgoing: rings.outgoing,
            completed: rings.completed,
            memory,
            free: (slots..2 * slots).map(|n| (n * CHUNK) as u64).collect(),
            held: None,
            header: Header::new(end, options.size),
            unsent: false,
        };
        (0..slots).for_each(|n| new.give((n * CHUNK) as u64));
        Ok(new)
    }

    /// Give a frame to the kernel to receive into.
    #[inline(always)]
    fn give(&mut self, frame: u64) {
        // There are as many places as frames.
        self.fill.push(frame & !(CHUNK as u64 - 1));
    }

    /// Have the kernel send what is in `outgoing`.
    #[inline(always)]
    fn tell(&mut self) -> io::Result<()> {
        let (own, flags) = (self.socket.as_raw_fd(), libc::MSG_DONTWAIT);
        // SAFETY: no memory is passed.
        let sent = unsafe { libc::sendto(own, std::ptr::null(), 0, flags, std::ptr::null(), 0) };
        self.unsent = sent < 0;
        if sent >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            // Not now: the next send or poll tells it again.
            Some(libc::EAGAIN | libc::EBUSY | libc::ENOBUFS | libc::EINTR) => Ok(()),
            _ => Err(error),
        }
    }
}

impl Transport for Xdp {
    #[inline]
    fn poll(&mut self) -> io::Result<bool> {
        if let Some((frame, ..)) = self.held.take() {
            self.give(frame);
        }
        if self.unsent {
            self.tell()?;
        }
        while let Some(found) = self.received.pop() {
            let (start, length) = (found.addr as usize, found.len as usize);
            if start >= self.memory.bytes() || start % CHUNK + length > CHUNK {
                return Err(invalid(format!("a frame of {length} bytes at {start}, outside of its memory")));
            }
            // SAFETY: within one chunk of the memory, see above, which is ours until it is given back.
            let frame = unsafe { std::slice::from_raw_parts(self.memory.at(start), length) };
            match self.header.unwrap(frame) {
                Ok(Some(message)) => {
                    self.held = Some((found.addr, start + message.start, message.len()));
                    return Ok(true);
                }
                Ok(None) => self.give(found.addr), // garbled
                Err(error) => {
                    self.give(found.addr);
                    return Err(error);
                }
            }
        }
        Ok(false)
    }

    #[inline]
    fn message(&self) -> &[u8] {
        let Some((_, start, length)) = self.held else { return &[] };
        // SAFETY: `poll` has found it within a frame, which is ours until the next `poll`.
        unsafe { std::slice::from_raw_parts(self.memory.at(start), length) }
    }

    #[inline]
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        while let Some(frame) = self.completed.pop() {
            if self.free.len() < self.free.capacity() {
                self.free.push(frame);
            }
        }
        let Some(&frame) = self.free.last() else {
            self.tell()?;
            return Err(io::ErrorKind::WouldBlock.into());
        };
        // SAFETY: a frame of CHUNK bytes, more than FRAME, that is ours.
        let into = unsafe { std::slice::from_raw_parts_mut(self.memory.at(frame as usize), FRAME) };
        let length = self.header.wrap(message, into)?;
        self.free.pop();
        // There are as many places as frames.
        self.outgoing.push(libc::xdp_desc { addr: frame, len: length as u32, options: 0 });
        self.tell()
    }

    fn limit(&self) -> usize {
        self.header.limit()
    }

    fn lost(&mut self) -> u64 {
        // SAFETY: plain data, for which zeros are a value.
        let mut counts: libc::xdp_statistics = unsafe { std::mem::zeroed() };
        match sockets::get(&self.socket, libc::SOL_XDP, libc::XDP_STATISTICS, &mut counts) {
            Ok(()) => counts.rx_dropped + counts.rx_invalid_descs + counts.rx_ring_full,
            Err(_) => 0,
        }
    }
}

/// Bind to the first queue of an interface; again for a while if somebody else had it until now.
fn bind(socket: &OwnedFd, index: u32) -> io::Result<()> {
    let place = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as u16,
        sxdp_flags: libc::XDP_COPY,
        sxdp_ifindex: index,
        sxdp_queue_id: QUEUE,
        sxdp_shared_umem_fd: 0,
    };
    let size = size_of_val(&place) as libc::socklen_t;
    let until = Instant::now() + LATE;
    loop {
        // SAFETY: an address of `size` bytes, only read.
        let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const place).cast(), size) };
        match sockets::check(bound) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) && Instant::now() < until => {
                thread::sleep(Duration::from_millis(5));
            }
            other => return other.map(drop),
        }
    }
}

pub fn make<const GENERIC: bool>(interface: &str, end: End, options: &Options) -> Made {
    Ok(Box::new(Xdp::new(interface, end, GENERIC, options)?))
}
