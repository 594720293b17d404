//! Whole frames through AF_PACKET: the kernel copies what comes into a ring that is mapped here (TPACKET_V2), so receiving needs no
//! call; sending is a call that goes round the queueing discipline. It spins. What the protocols of the kernel are given as well,
//! they throw away: see mod.rs.
//!
//! TPACKET_V3 hands frames over by the block, when it is full or its time is up: made for capturing, a millisecond late.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{FRAME, Header};
use crate::net::transport::mapping::Mapping;
use crate::net::transport::sockets;
use crate::net::transport::{End, Failure, Made, Options, Step, Transport, invalid, netns};

/// Bytes of a frame in the ring, its header with it; and of a block of frames.
const SLOT: usize = 2_048;
const BLOCK: usize = 1 << 16;

const PACKET_RX_RING: libc::c_int = 5;
const PACKET_STATISTICS: libc::c_int = 6;
const PACKET_VERSION: libc::c_int = 10;
const PACKET_QDISC_BYPASS: libc::c_int = 20;
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;
const TPACKET_V2: libc::c_int = 1;
const USER: u32 = 1;

/// struct tpacket_req of linux/if_packet.h.
#[repr(C)]
#[derive(Clone, Copy)]
struct Request {
    block_size: u32,
    blocks: u32,
    frame_size: u32,
    frames: u32,
}

/// The start of struct tpacket2_hdr.
#[repr(C)]
struct Slot {
    status: AtomicU32,
    length: u32,
    captured: u32,
    start: u16,
    _network: u16,
}

struct Packet {
    socket: OwnedFd,
    ring: Mapping,
    slots: usize,
    /// The slot that is next, or that is being looked at.
    place: usize,
    /// Where in the slot the message is; None: the slot is the kernel's.
    message: Option<(usize, usize)>,
    header: Header,
    outbox: [u8; FRAME],
    lost: u64,
}

impl Packet {
    fn new(interface: &str, end: End, options: &Options) -> Result<Packet, Failure> {
        let index = netns::index(interface)?;
        let ip = (libc::ETH_P_IP as u16).to_be();
        // Without a protocol it receives nothing before it is bound.
        let socket = sockets::socket(libc::AF_PACKET, libc::SOCK_RAW, 0).step("socket(AF_PACKET)")?;
        let set = |option, value: libc::c_int, name: &str| {
            sockets::set(&socket, libc::SOL_PACKET, option, &value).step(&format!("setsockopt({name})"))
        };
        set(PACKET_VERSION, TPACKET_V2, "PACKET_VERSION")?;
        set(PACKET_QDISC_BYPASS, 1, "PACKET_QDISC_BYPASS")?;
        set(PACKET_IGNORE_OUTGOING, 1, "PACKET_IGNORE_OUTGOING")?;
        let blocks = (options.slots * SLOT).div_ceil(BLOCK);
        let slots = blocks * (BLOCK / SLOT);
        let request = Request {
            block_size: BLOCK as u32,
            blocks: blocks as u32,
            frame_size: SLOT as u32,
            frames: slots as u32,
        };
        let made = sockets::set(&socket, libc::SOL_PACKET, PACKET_RX_RING, &request);
        made.step("setsockopt(PACKET_RX_RING)")?;
        let ring = Mapping::shared(&socket, 0, slots * SLOT).step("mmap(PACKET_RX_RING)")?;
        let place = libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: ip,
            sll_ifindex: index as i32,
            // SAFETY: plain data, for which zeros are a value.
            ..unsafe { std::mem::zeroed() }
        };
        let size = size_of_val(&place) as libc::socklen_t;
        // SAFETY: an address of `size` bytes, only read.
        let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const place).cast(), size) };
        sockets::check(bound).step(&format!("bind(AF_PACKET, {interface})"))?;
        let header = Header::new(end, options.size);
        Ok(Packet { socket, ring, slots, place: 0, message: None, header, outbox: [0; FRAME], lost: 0 })
    }

    #[inline(always)]
    fn slot(&self) -> &Slot {
        // SAFETY: every slot starts with its header, and is aligned to its size.
        unsafe { &*self.ring.at(self.place * SLOT).cast() }
    }

    /// Give the slot back to the kernel and go on to the next.
    #[inline(always)]
    fn release(&mut self) {
        self.slot().status.store(0, Ordering::Release);
        self.place = if self.place + 1 == self.slots { 0 } else { self.place + 1 };
        self.message = None;
    }
}

impl Transport for Packet {
    #[inline]
    fn poll(&mut self) -> io::Result<bool> {
        if self.message.is_some() {
            self.release();
        }
        loop {
            let slot = self.slot();
            if slot.status.load(Ordering::Acquire) & USER == 0 {
                return Ok(false);
            }
            let (start, length, whole) =
                (usize::from(slot.start), slot.captured as usize, slot.length as usize);
            if start + length > SLOT || length < whole {
                self.release();
                return Err(invalid(format!(
                    "a frame of {whole} bytes; a slot holds {SLOT} with its header"
                )));
            }
            // SAFETY: within the slot, see above, which the kernel leaves alone while it is ours.
            let frame =
                unsafe { std::slice::from_raw_parts(self.ring.at(self.place * SLOT + start), length) };
            match self.header.unwrap(frame) {
                Ok(Some(found)) => {
                    self.message = Some((start + found.start, found.len()));
                    return Ok(true);
                }
                Ok(None) => self.release(), // somebody else's
                Err(error) => {
                    self.release();
                    return Err(error);
                }
            }
        }
    }

    #[inline]
    fn message(&self) -> &[u8] {
        let Some((start, length)) = self.message else { return &[] };
        // SAFETY: `poll` has found it within the slot, which is ours until the next `poll`.
        unsafe { std::slice::from_raw_parts(self.ring.at(self.place * SLOT + start), length) }
    }

    #[inline]
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let length = self.header.wrap(message, &mut self.outbox)?;
        let (start, flags) = (self.outbox.as_ptr().cast(), libc::MSG_DONTWAIT);
        // SAFETY: the frame has the length that is passed, and they are only read.
        if unsafe { libc::send(self.socket.as_raw_fd(), start, length, flags) } < 0 {
            let error = io::Error::last_os_error();
            let full = error.raw_os_error() == Some(libc::ENOBUFS);
            return Err(if full { io::ErrorKind::WouldBlock.into() } else { error });
        }
        Ok(())
    }

    fn limit(&self) -> usize {
        self.header.limit()
    }

    fn lost(&mut self) -> u64 {
        // Packets and drops since it was last asked.
        let mut counts = [0u32; 2];
        if sockets::get(&self.socket, libc::SOL_PACKET, PACKET_STATISTICS, &mut counts).is_ok() {
            self.lost += u64::from(counts[1]);
        }
        self.lost
    }
}

pub fn make(interface: &str, end: End, options: &Options) -> Made {
    Ok(Box::new(Packet::new(interface, end, options)?))
}
