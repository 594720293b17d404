//! Nothing but memory between two cores: a ring each way, between one sender and one receiver, in memory that both see: another
//! thread's, or another process's.
//!
//! ```text
//! head: how far the receiver has come, on a line of its own       slot: | sequence u32 | length u16 | message ... |
//! ```
//!
//! The sender writes the message and then the sequence, so a receiver that sees the sequence sees the message: the two travel on
//! one cache line if the message has at most 58 bytes, which is a MoldUDP64 packet with one Add Order. The sender reads `head` only
//! when the ring would be full by what it read last, so in the usual case one line crosses between the cores for a message.
//! (A head and a tail index, as most rings have them, cost a second line: about twice the time.)

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::net::transport::{Transport, invalid, oversize};

pub mod memory;
#[cfg(target_os = "linux")]
pub mod shm;

const LINE: usize = 64;
/// Bytes of a slot before the message.
const HEADER: usize = 6;

/// How a ring lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Messages: a power of two.
    pub slots: u32,
    /// Bytes of a slot: an odd number of lines, so that the first lines of the slots spread over all sets of the cache.
    pub stride: u32,
}

impl Layout {
    /// For messages of so many bytes.
    pub fn new(slots: usize, size: usize) -> Layout {
        let lines = (HEADER + size).div_ceil(LINE) | 1;
        Layout { slots: slots as u32, stride: (lines * LINE) as u32 }
    }

    /// Bytes of the longest message.
    pub fn limit(self) -> usize {
        (self.stride as usize - HEADER).min(u16::MAX as usize)
    }

    /// Bytes of the ring: a line for `head`, then the slots.
    pub fn bytes(self) -> usize {
        LINE + self.slots as usize * self.stride as usize
    }

    /// Whether it can be one at all: what another process wrote is not believed.
    pub fn sane(self) -> bool {
        let (slots, stride) = (self.slots as usize, self.stride as usize);
        let lines = stride.is_multiple_of(LINE) && (LINE..=1 << 17).contains(&stride);
        lines && slots.is_power_of_two() && (2..=1 << 16).contains(&slots)
    }
}

/// The start of a ring, and how it lies.
#[derive(Clone, Copy)]
struct Memory {
    start: *mut u8,
    layout: Layout,
    limit: usize,
}

// SAFETY: what both ends share they reach through atomics, or own in turns that the sequence gives.
unsafe impl Send for Memory {}

impl Memory {
    /// # Safety
    /// `start` must point to `layout.bytes()` zeroed bytes aligned to a line, for as long as the ends live; `layout` must be sane.
    unsafe fn new(start: *mut u8, layout: Layout) -> Memory {
        Memory { start, layout, limit: layout.limit() }
    }

    #[inline(always)]
    fn head(&self) -> &AtomicU32 {
        // SAFETY: within the ring, and aligned to a line.
        unsafe { &*self.start.cast() }
    }

    #[inline(always)]
    fn slot(&self, position: u32) -> *mut u8 {
        let place = (position & (self.layout.slots - 1)) as usize;
        // SAFETY: a slot below `slots` lies within the ring.
        unsafe { self.start.add(LINE + place * self.layout.stride as usize) }
    }
}

/// The sequence of a slot; aligned, since slots are.
#[inline(always)]
unsafe fn sequence<'a>(slot: *mut u8) -> &'a AtomicU32 {
    // SAFETY: promised by the caller: a slot of a ring.
    unsafe { &*slot.cast() }
}

/// The end that sends.
pub struct Sender {
    memory: Memory,
    /// Messages sent, wrapping.
    sent: u32,
    /// `head` as it was read last.
    head: u32,
}

impl Sender {
    /// # Safety
    /// As `Memory::new`, and there must be no other sender.
    pub unsafe fn new(start: *mut u8, layout: Layout) -> Sender {
        // SAFETY: promised by the caller.
        Sender { memory: unsafe { Memory::new(start, layout) }, sent: 0, head: 0 }
    }

    /// Bytes of the longest message.
    pub fn limit(&self) -> usize {
        self.memory.limit
    }

    /// # Errors
    /// `InvalidInput` for a message above the limit, `WouldBlock` if the ring is full.
    #[inline]
    pub fn send(&mut self, message: &[u8]) -> io::Result<()> {
        if message.len() > self.memory.limit {
            return Err(oversize(message.len(), self.memory.limit));
        }
        let slots = self.memory.layout.slots;
        if self.sent.wrapping_sub(self.head) >= slots {
            self.head = self.memory.head().load(Ordering::Acquire);
            // Also where the other end has written nonsense into `head`.
            if self.sent.wrapping_sub(self.head) >= slots {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
        let slot = self.memory.slot(self.sent);
        self.sent = self.sent.wrapping_add(1);
        // SAFETY: the receiver is past this slot, so it is ours until the sequence is stored; the message fits, see above.
        unsafe {
            slot.add(4).cast::<u16>().write(message.len() as u16);
            slot.add(HEADER).copy_from_nonoverlapping(message.as_ptr(), message.len());
            sequence(slot).store(self.sent, Ordering::Release);
        }
        Ok(())
    }
}

/// The end that receives.
pub struct Receiver {
    memory: Memory,
    /// Messages taken, wrapping; the one that is being looked at among them.
    taken: u32,
    /// Length of the one that is being looked at; None: there is none.
    length: Option<usize>,
}

impl Receiver {
    /// # Safety
    /// As `Memory::new`, and there must be no other receiver.
    pub unsafe fn new(start: *mut u8, layout: Layout) -> Receiver {
        // SAFETY: promised by the caller.
        Receiver { memory: unsafe { Memory::new(start, layout) }, taken: 0, length: None }
    }

    /// Give the last message back to the sender and take the next, if there is one.
    ///
    /// # Errors
    /// `InvalidData` for a length that no slot can hold: the sender is another process, and not believed.
    #[inline]
    pub fn poll(&mut self) -> io::Result<bool> {
        if self.length.take().is_some() {
            self.memory.head().store(self.taken, Ordering::Release);
        }
        let slot = self.memory.slot(self.taken);
        let next = self.taken.wrapping_add(1);
        // SAFETY: a slot of the ring; its contents were written before the sequence that is asked for here.
        let length = unsafe {
            if sequence(slot).load(Ordering::Acquire) != next {
                return Ok(false);
            }
            slot.add(4).cast::<u16>().read() as usize
        };
        self.taken = next;
        if length > self.memory.limit {
            self.length = Some(0); // the slot is given back with the next poll
            return Err(invalid(format!("a slot says {length} bytes; it holds {}", self.memory.limit)));
        }
        self.length = Some(length);
        Ok(true)
    }

    /// The message taken last.
    #[inline]
    pub fn message(&self) -> &[u8] {
        let Some(length) = self.length else { return &[] };
        let slot = self.memory.slot(self.taken.wrapping_sub(1));
        // SAFETY: the slot is not given back before the next poll, which needs `&mut self`; `poll` has checked the length.
        unsafe { std::slice::from_raw_parts(slot.add(HEADER), length) }
    }
}

/// What keeps the memory of both rings, and tells the other end when it goes.
pub trait Peer: Send {
    /// Whether the other end has gone.
    fn gone(&self) -> bool;
}

/// One end: a ring out, a ring in.
pub struct Rings<P: Peer> {
    sender: Sender,
    receiver: Receiver,
    peer: P,
}

impl<P: Peer> Rings<P> {
    /// # Safety
    /// `out` and `into` must be the starts of rings as `Memory::new` wants them, for as long as `peer` lives; of `out` there must be
    /// no other sender, of `into` no other receiver.
    unsafe fn new(out: *mut u8, into: *mut u8, layout: Layout, peer: P) -> Rings<P> {
        // SAFETY: promised by the caller.
        let (sender, receiver) = unsafe { (Sender::new(out, layout), Receiver::new(into, layout)) };
        Rings { sender, receiver, peer }
    }
}

impl<P: Peer> Transport for Rings<P> {
    #[inline]
    fn poll(&mut self) -> io::Result<bool> {
        if self.receiver.poll()? {
            return Ok(true);
        }
        if !self.peer.gone() {
            return Ok(false);
        }
        // Once more: what was sent before the end came counts.
        if self.receiver.poll()? { Ok(true) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    #[inline]
    fn message(&self) -> &[u8] {
        self.receiver.message()
    }

    #[inline]
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.sender.send(message)
    }

    fn limit(&self) -> usize {
        self.sender.limit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ring, and the memory it lies in; the first line that is aligned.
    fn ring(slots: usize, size: usize) -> (Vec<u8>, Sender, Receiver) {
        let layout = Layout::new(slots, size);
        assert!(layout.sane());
        let mut memory = vec![0u8; layout.bytes() + LINE];
        let start = memory.as_mut_ptr();
        // SAFETY: zeroed, aligned, big enough, and kept by the caller; one sender, one receiver.
        unsafe {
            let start = start.add(start.align_offset(LINE));
            (memory, Sender::new(start, layout), Receiver::new(start, layout))
        }
    }

    #[test]
    fn an_add_order_and_its_packet_fit_into_a_line() {
        assert_eq!(Layout::new(64, 58), Layout { slots: 64, stride: 64 });
        assert_eq!(Layout::new(64, 59).stride, 192); // two lines would use every second set only
        assert!(Layout::new(64, 1472).limit() >= 1472 && Layout::new(2, 65_507).limit() >= 65_507);
    }

    #[test]
    fn a_full_ring_says_so_and_overwrites_nothing() {
        let (_memory, mut sender, mut receiver) = ring(4, 58);
        for lap in 0u8..9 {
            (0..4).for_each(|n| sender.send(&[lap, n]).unwrap());
            assert_eq!(sender.send(b"too many").unwrap_err().kind(), io::ErrorKind::WouldBlock);
            for n in 0..4 {
                assert!(receiver.poll().unwrap());
                assert_eq!(receiver.message(), [lap, n]);
            }
            assert!(!receiver.poll().unwrap() && receiver.message().is_empty());
        }
    }

    #[test]
    fn what_is_looked_at_is_not_overwritten() {
        let (_memory, mut sender, mut receiver) = ring(2, 58);
        sender.send(b"first").unwrap();
        sender.send(b"second").unwrap();
        assert!(receiver.poll().unwrap());
        assert!(sender.send(b"third").is_err(), "the first is being looked at");
        assert_eq!(receiver.message(), b"first");
        assert!(receiver.poll().unwrap());
        sender.send(b"third").unwrap();
    }

    #[test]
    fn a_message_has_any_length_up_to_the_limit() {
        let (_memory, mut sender, mut receiver) = ring(2, 58);
        for length in 0..=58 {
            let message: Vec<u8> = (0..length).collect();
            sender.send(&message).unwrap();
            assert!(receiver.poll().unwrap());
            assert_eq!(receiver.message(), message);
        }
        assert_eq!(sender.send(&[0; 59]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_length_that_cannot_be_is_refused_and_passed_over() {
        let (mut memory, mut sender, mut receiver) = ring(2, 58);
        sender.send(b"forged").unwrap();
        sender.send(b"good").unwrap();
        let slot = memory.as_ptr().align_offset(LINE) + LINE;
        memory[slot + 4..slot + 6].copy_from_slice(&u16::MAX.to_le_bytes());
        assert_eq!(receiver.poll().unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(receiver.message().is_empty());
        assert!(receiver.poll().unwrap());
        assert_eq!(receiver.message(), b"good");
    }

    #[test]
    fn the_sequence_wraps() {
        let (_memory, mut sender, mut receiver) = ring(4, 58);
        let near = u32::MAX - 5;
        (sender.sent, sender.head, receiver.taken) = (near, near, near);
        for n in 0u8..20 {
            sender.send(&[n]).unwrap();
            assert!(receiver.poll().unwrap());
            assert_eq!(receiver.message(), [n]);
        }
    }

    #[test]
    fn two_threads_see_every_message_whole() {
        let (_memory, mut sender, mut receiver) = ring(8, 200);
        let count = if cfg!(miri) { 300u32 } else { 200_000 };
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for n in 0..count {
                    let message = [n.to_le_bytes(); 50];
                    let length = 4 + n as usize % 196;
                    while sender.send(&message.as_flattened()[..length]).is_err() {
                        std::thread::yield_now();
                    }
                }
            });
            for n in 0..count {
                while !receiver.poll().unwrap() {
                    std::thread::yield_now();
                }
                let message = receiver.message();
                assert_eq!(message.len(), 4 + n as usize % 196);
                assert!(message.chunks(4).all(|chunk| *chunk == n.to_le_bytes()[..chunk.len()]));
            }
        });
    }
}
