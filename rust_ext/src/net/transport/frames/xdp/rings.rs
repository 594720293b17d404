//! The four rings of an AF_XDP socket, each with one producer and one consumer, of which the kernel is one.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::net::transport::mapping::Mapping;
use crate::net::transport::sockets;
use crate::net::transport::{Failure, Step};

/// A ring as both see it: two counters that wrap, and a power of two of places.
struct Ring<T> {
    memory: Mapping,
    producer: usize,
    consumer: usize,
    places: usize,
    mask: u32,
    of: std::marker::PhantomData<T>,
}

impl<T: Copy> Ring<T> {
    fn counter(&self, at: usize) -> &AtomicU32 {
        // SAFETY: an aligned counter within the mapping, where the kernel says it is.
        unsafe { &*self.memory.at(at).cast() }
    }

    #[inline(always)]
    fn place(&self, position: u32) -> *mut T {
        self.memory.at(self.places + (position & self.mask) as usize * size_of::<T>()).cast()
    }
}

/// The end that puts in.
pub struct Producer<T> {
    ring: Ring<T>,
    next: u32,
}

impl<T: Copy> Producer<T> {
    /// Put one in. The caller has no more to put in than there are places.
    #[inline(always)]
    pub fn push(&mut self, value: T) {
        // SAFETY: a place of the ring, which the kernel reads only once the counter is beyond it.
        unsafe { self.ring.place(self.next).write(value) };
        self.next = self.next.wrapping_add(1);
        self.ring.counter(self.ring.producer).store(self.next, Ordering::Release);
    }
}

/// The end that takes out.
pub struct Consumer<T> {
    ring: Ring<T>,
    next: u32,
}

impl<T: Copy> Consumer<T> {
    /// Take one out, if there is one.
    #[inline(always)]
    pub fn pop(&mut self) -> Option<T> {
        if self.ring.counter(self.ring.producer).load(Ordering::Acquire) == self.next {
            return None;
        }
        // SAFETY: a place of the ring that the kernel has filled.
        let value = unsafe { self.ring.place(self.next).read() };
        self.next = self.next.wrapping_add(1);
        self.ring.counter(self.ring.consumer).store(self.next, Ordering::Release);
        Some(value)
    }
}

/// What the socket has.
pub struct Rings {
    pub received: Consumer<libc::xdp_desc>,
    pub fill: Producer<u64>,
    pub outgoing: Producer<libc::xdp_desc>,
    pub completed: Consumer<u64>,
}

/// Make all four with `places` places each.
pub fn make(socket: &OwnedFd, places: u32) -> Result<Rings, Failure> {
    for (option, name) in [
        (libc::XDP_RX_RING, "XDP_RX_RING"),
        (libc::XDP_TX_RING, "XDP_TX_RING"),
        (libc::XDP_UMEM_FILL_RING, "XDP_UMEM_FILL_RING"),
        (libc::XDP_UMEM_COMPLETION_RING, "XDP_UMEM_COMPLETION_RING"),
    ] {
        sockets::set(socket, libc::SOL_XDP, option, &places).step(&format!("setsockopt({name})"))?;
    }
    // SAFETY: plain data, for which zeros are a value.
    let mut offsets: libc::xdp_mmap_offsets = unsafe { std::mem::zeroed() };
    sockets::get(socket, libc::SOL_XDP, libc::XDP_MMAP_OFFSETS, &mut offsets)
        .step("getsockopt(XDP_MMAP_OFFSETS)")?;
    let (fill, completed) =
        (libc::XDP_UMEM_PGOFF_FILL_RING as i64, libc::XDP_UMEM_PGOFF_COMPLETION_RING as i64);
    Ok(Rings {
        received: Consumer { ring: map(socket, libc::XDP_PGOFF_RX_RING, &offsets.rx, places)?, next: 0 },
        fill: Producer { ring: map(socket, fill, &offsets.fr, places)?, next: 0 },
        outgoing: Producer { ring: map(socket, libc::XDP_PGOFF_TX_RING, &offsets.tx, places)?, next: 0 },
        completed: Consumer { ring: map(socket, completed, &offsets.cr, places)?, next: 0 },
    })
}

fn map<T: Copy>(
    socket: &OwnedFd,
    at: i64,
    offset: &libc::xdp_ring_offset,
    places: u32,
) -> Result<Ring<T>, Failure> {
    let bytes = offset.desc as usize + places as usize * size_of::<T>();
    let memory = Mapping::shared(socket, at, bytes).step("mmap(ring)")?;
    let (producer, consumer) = (offset.producer as usize, offset.consumer as usize);
    let (places, mask) = (offset.desc as usize, places - 1);
    Ok(Ring { memory, producer, consumer, places, mask, of: std::marker::PhantomData })
}
