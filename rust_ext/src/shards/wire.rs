//! The two forms in which messages come, as a shard sees them: framed ITCH bytes and event records. Each says where a message ends
//! and what it names.

use crate::event::{EVENT_BYTES, Event, kind};
use crate::frames::{Next, next, peek, window};
use crate::itch::{WINDOW, decode, field, is_known, size_and_kind, unknown};

/// What tells a message's shard, and whether it brings a reference.
#[derive(Clone, Copy)]
pub struct Glance {
    /// Bytes from this message to the next.
    pub size: usize,
    /// As the feed numbers it.
    pub instrument: u16,
    /// The reference of the order that comes, if one does.
    pub fresh: u64,
    /// Whether one does: an ADD, or a REPLACE that does not keep its reference.
    pub is_fresh: bool,
    /// Whether it takes all orders of its instrument.
    pub clears: bool,
}

/// A form of messages.
pub trait Wire {
    /// Whether these are records.
    const RECORDS: bool;

    /// The message at an offset, if it is a whole one of a known type, and not among the last of the block.
    fn glance(data: &[u8], at: usize) -> Option<Glance>;
    /// The same for any whole message.
    fn look(data: &[u8], at: usize) -> Option<Glance>;
    /// The message at an offset that `look` knows, as an event.
    fn event(data: &[u8], at: usize) -> Event;
    /// Take the quantity from the copy of a message that brings an order: no book takes it then.
    fn empty(copy: &mut [u8]);
}

/// ITCH messages, each behind its length.
pub struct Itch;

impl Itch {
    /// What a message of `size` bytes says; `window` begins at its type.
    #[inline(always)]
    fn glance_at(window: &[u8; WINDOW], size: usize, kind: u8) -> Glance {
        let (id, new_id, replaces) =
            (field::order_id(window), field::new_order_id(window), kind == kind::REPLACE);
        Glance {
            size: size + 2,
            instrument: field::instrument(window),
            fresh: std::hint::select_unpredictable(replaces, new_id, id),
            is_fresh: (kind == kind::ADD) | (replaces & (new_id != id)),
            clears: false,
        }
    }
}

impl Wire for Itch {
    const RECORDS: bool = false;

    #[inline(always)]
    fn glance(data: &[u8], at: usize) -> Option<Glance> {
        let (size, window) = peek(data, at)?;
        let (known_size, kind) = size_and_kind(window[0]);
        (size == known_size).then(|| Self::glance_at(window, size, kind))
    }

    #[cold]
    fn look(data: &[u8], at: usize) -> Option<Glance> {
        let Next::Frame(frame) = next(data, at) else { return None };
        let mut spare = [0; WINDOW];
        let window = window(data, frame.at, &mut spare);
        let kind = if frame.known { size_and_kind(window[0]).1 } else { kind::OTHER };
        let instrument =
            if frame.known { field::instrument(window) } else { unknown(window, frame.size).instrument };
        Some(Glance { instrument, ..Self::glance_at(window, frame.size, kind) })
    }

    fn event(data: &[u8], at: usize) -> Event {
        let mut spare = [0; WINDOW];
        let size = u16::from_be_bytes([data[at], data[at + 1]]) as usize;
        let window = window(data, at + 2, &mut spare);
        if is_known(window[0]) { decode(window) } else { unknown(window, size) }
    }

    fn empty(copy: &mut [u8]) {
        let qty_at = if copy[2] == b'U' { 29 } else { 22 };
        copy[qty_at..qty_at + 4].fill(0);
    }
}

/// Records of `Event`.
pub struct Records;

impl Wire for Records {
    const RECORDS: bool = true;

    #[inline(always)]
    fn glance(data: &[u8], at: usize) -> Option<Glance> {
        let event = Event::from_bytes(data.get(at..)?.first_chunk()?);
        let replaces = event.kind == kind::REPLACE;
        Some(Glance {
            size: EVENT_BYTES,
            instrument: event.instrument,
            fresh: if replaces { event.new_order_id } else { event.order_id },
            is_fresh: (event.kind == kind::ADD) | (replaces & (event.new_order_id != event.order_id)),
            clears: event.kind == kind::CLEAR,
        })
    }

    fn look(data: &[u8], at: usize) -> Option<Glance> {
        Self::glance(data, at)
    }

    fn event(data: &[u8], at: usize) -> Event {
        data[at..].first_chunk().map_or_else(Event::default, Event::from_bytes)
    }

    fn empty(copy: &mut [u8]) {
        copy[32..36].fill(0);
    }
}
