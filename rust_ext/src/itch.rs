//! TICK: NASDAQ TotalView-ITCH 5.0 bytes -> event, driven by a table.
//!
//! The type of the next message is random to a branch predictor, so no branch depends on it: a row per type says where each field
//! stands and which bits of what is loaded there count. A field that a type does not have is loaded from offset 0 and masked away.

use crate::event::{Event, kind};

/// Bytes that must be readable from a message's first byte on, so that bounds are checked once.
pub const WINDOW: usize = 72;

/// No ITCH message comes near this; a longer one of unknown type means that the bytes are something else.
pub const LONGEST_UNKNOWN: usize = 255;

/// Shortest message that has the common header: type, locate, tracking number, timestamp.
const HEADER: usize = 11;

/// How to read one message type; offsets count from the type byte. A cache line each, of which a feed uses about ten.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Row {
    /// All bits where the type has an order reference, else 0; it stands at offset 11 in every type.
    id_mask: u64,
    /// The same for the new reference of U.
    new_mask: u64,
    /// The same for a price.
    price_mask: u32,
    /// Bits of the quantity: 32, or 8 for the trading state of H.
    qty_mask: u32,
    /// Offset of the price, in [0, 36].
    price_at: u8,
    /// Offset of the quantity, in [0, 27].
    qty_at: u8,
    /// Offset of the order reference, 11 where there is one.
    id_at: u8,
    /// Offset of the new reference, 19 in U. Taken from the table although it never varies there: two loads at fixed neighbouring places
    /// would be merged into one vector, whose bytes take longer to reverse than those of two words.
    new_at: u8,
    /// Offset of the side, 19 where there is one.
    side_at: u8,
    /// 0xff where byte 19 is a side.
    side_mask: u8,
    /// `Event::kind`.
    kind: u8,
    /// Size of the message in bytes, `UNKNOWN` for an unknown type.
    size: u32,
}

const ALL: u64 = u64::MAX;
/// No frame is so long.
const UNKNOWN: u32 = u32::MAX;

const fn row(size: u32, kind: u8, id: bool, qty_at: u8, price_at: u8) -> Row {
    Row {
        id_mask: if id { ALL } else { 0 },
        new_mask: 0,
        price_mask: if price_at > 0 { u32::MAX } else { 0 },
        qty_mask: if qty_at > 0 { u32::MAX } else { 0 },
        price_at,
        qty_at,
        // Where a type lacks a field, eight bytes that it has.
        id_at: if id { 11 } else { 3 },
        new_at: 3,
        side_at: 0,
        side_mask: 0,
        kind,
        size,
    }
}

const fn table() -> [Row; 256] {
    let mut rows = [row(UNKNOWN, kind::OTHER, false, 0, 0); 256];
    let others: &[(u8, u32)] = &[
        (b'S', 12),
        (b'R', 39),
        (b'Y', 20),
        (b'L', 26),
        (b'V', 35),
        (b'W', 12),
        (b'K', 28),
        (b'J', 35),
        (b'h', 21),
        (b'B', 19),
        (b'I', 50),
        (b'N', 20),
        (b'O', 48),
    ];
    let mut i = 0;
    while i < others.len() {
        rows[others[i].0 as usize] = row(others[i].1, kind::OTHER, false, 0, 0);
        i += 1;
    }
    rows[b'A' as usize] = row(36, kind::ADD, true, 20, 32);
    rows[b'F' as usize] = row(40, kind::ADD, true, 20, 32);
    rows[b'P' as usize] = row(44, kind::TRADE, true, 20, 32);
    let (mut i, sided) = (0, b"AFP");
    while i < sided.len() {
        let row = &mut rows[sided[i] as usize];
        (row.side_at, row.side_mask) = (19, 0xff);
        i += 1;
    }
    rows[b'E' as usize] = row(31, kind::EXECUTE, true, 19, 0);
    rows[b'C' as usize] = row(36, kind::EXECUTE, true, 19, 32);
    rows[b'X' as usize] = row(23, kind::CANCEL, true, 19, 0);
    rows[b'D' as usize] = row(19, kind::DELETE, true, 0, 0);
    rows[b'U' as usize] = row(35, kind::REPLACE, true, 27, 31);
    (rows[b'U' as usize].new_at, rows[b'U' as usize].new_mask) = (19, ALL);
    // Q has eight bytes of shares: the lower four stand here, the upper four are looked at in `decode`.
    rows[b'Q' as usize] = row(40, kind::TRADE, false, 15, 27);
    // H: the trading state is byte 19, the lowest of the four bytes from 16 on.
    rows[b'H' as usize] = row(25, kind::STATUS, false, 16, 0);
    rows[b'H' as usize].qty_mask = 0xff;
    rows
}

const TABLE: [Row; 256] = table();
static ROWS: [Row; 256] = TABLE;

/// 'B' and 'S' as `Event::side`; anything else is no side.
static SIDES: [u8; 256] = {
    let mut sides = [0; 256];
    sides[b'B' as usize] = crate::event::BID;
    sides[b'S' as usize] = crate::event::ASK;
    sides
};

#[inline(always)]
fn be64(window: &[u8; WINDOW], at: usize) -> u64 {
    // The mask says to the compiler what the table promises: the load stays inside the window.
    let at = at & 63;
    u64::from_be_bytes(window[at..at + 8].try_into().unwrap_or_default())
}

#[inline(always)]
fn be32(window: &[u8; WINDOW], at: usize) -> u32 {
    let at = at & 63;
    u32::from_be_bytes(window[at..at + 4].try_into().unwrap_or_default())
}

/// Decode a message of unknown type and `size` bytes: the header, if it is long enough to have one.
pub fn unknown(window: &[u8; WINDOW], size: usize) -> Event {
    if size < HEADER { Event::default() } else { decode(window) }
}

/// Decode a message at the start of `window`; bytes behind it may be anything.
#[inline(always)]
pub fn decode(window: &[u8; WINDOW]) -> Event {
    decode_by(window[0], |at| be32(window, at), |at| be64(window, at), |_| [11, 19])
}

/// Decode a message of a known type, all of it and nothing else. To copy it into a window first would take longer than to decode it:
/// what was just written in other pieces than it is read comes late.
///
/// # Panics
/// If it is shorter than `size_of_type` says.
pub fn decode_whole(message: &[u8]) -> Event {
    fn load<const N: usize>(message: &[u8], at: usize) -> [u8; N] {
        message[at..at + N].try_into().unwrap_or([0; N])
    }
    let be32 = |at| u32::from_be_bytes(load(message, at));
    let be64 = |at| u64::from_be_bytes(load(message, at));
    decode_by(message[0], be32, be64, |row| [row.id_at as usize, row.side_at as usize])
}

/// The fields of a message of type `letter`, of which four bytes and eight can be had from an offset on; `places` says where reference
/// and side are looked for.
#[inline(always)]
fn decode_by(
    letter: u8,
    be32: impl Fn(usize) -> u32,
    be64: impl Fn(usize) -> u64,
    places: impl Fn(&Row) -> [usize; 2],
) -> Event {
    let row = &ROWS[letter as usize];
    let [id_at, side_at] = places(row);
    let mut qty = be32(row.qty_at as usize) & row.qty_mask;
    if letter == b'Q' && be32(11) != 0 {
        qty = u32::MAX;
    }
    let side = (be32(side_at) >> 24) as usize;
    Event {
        // The tracking number stands before the timestamp, so one load and a mask give the six bytes.
        ts_ns: be64(3) & 0x0000_ffff_ffff_ffff,
        order_id: be64(id_at) & row.id_mask,
        new_order_id: be64(row.new_at as usize) & row.new_mask,
        price: (be32(row.price_at as usize) & row.price_mask) as i64,
        qty,
        instrument: (be32(1) >> 16) as u16,
        kind: row.kind,
        side: SIDES[side] & row.side_mask,
    }
}

/// Size in bytes and kind of the messages of a type; no frame is as long as what an unknown type gives.
#[inline(always)]
pub const fn size_and_kind(letter: u8) -> (usize, u8) {
    let row = &ROWS[letter as usize];
    (row.size as usize, row.kind)
}

/// Fields at fixed places, read when they are needed: where a whole `Event` is too much.
pub mod field {
    use super::{SIDES, WINDOW, be32, be64};

    /// Stock locate.
    #[inline(always)]
    pub fn instrument(window: &[u8; WINDOW]) -> u16 {
        u16::from_be_bytes([window[1], window[2]])
    }

    /// Nanoseconds since midnight.
    #[inline(always)]
    pub fn ts_ns(window: &[u8; WINDOW]) -> u64 {
        be64(window, 3) & 0x0000_ffff_ffff_ffff
    }

    /// Order reference of every message that has one.
    #[inline(always)]
    pub fn order_id(window: &[u8; WINDOW]) -> u64 {
        be64(window, 11)
    }

    /// New reference of U.
    #[inline(always)]
    pub fn new_order_id(window: &[u8; WINDOW]) -> u64 {
        be64(window, 19)
    }

    /// Side of A and F, as `Event::side`.
    #[inline(always)]
    pub fn side(window: &[u8; WINDOW]) -> u8 {
        SIDES[window[19] as usize]
    }

    /// Four bytes: shares or a price.
    #[inline(always)]
    pub fn u32(window: &[u8; WINDOW], at: usize) -> u32 {
        be32(window, at)
    }

    /// The stock of A and F.
    #[inline(always)]
    pub fn stock(window: &[u8; WINDOW]) -> [u8; 8] {
        be64(window, 24).to_be_bytes()
    }
}

/// Offset of the 8-byte stock in a message that can name an instrument: the stock directory and both adds.
pub fn stock_offset(letter: u8) -> Option<usize> {
    match letter {
        b'R' => Some(11),
        b'A' | b'F' => Some(24),
        _ => None,
    }
}

/// Size of the messages of a type in bytes; for an unknown type more than any frame has.
#[inline(always)]
pub fn size_of_type(letter: u8) -> usize {
    ROWS[letter as usize].size as usize
}

/// `Event::kind` of the messages of a type.
#[inline(always)]
pub fn kind_of_type(letter: u8) -> u8 {
    ROWS[letter as usize].kind
}

/// Whether a type is one of the 23.
pub fn is_known(letter: u8) -> bool {
    ROWS[letter as usize].size != UNKNOWN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_load_stays_inside_its_message() {
        for row in ROWS.iter().filter(|row| row.size != UNKNOWN) {
            assert!(row.qty_at as u32 + 4 <= row.size);
            assert!(row.price_at as u32 + 4 <= row.size);
            assert!(row.id_at as u32 + 8 <= row.size && (row.id_mask == 0 || row.id_at == 11));
            assert!(row.new_at as u32 + 8 <= row.size && (row.new_mask == 0 || row.new_at == 19));
            assert!(row.side_at as u32 + 4 <= row.size && (row.side_mask == 0 || row.side_at == 19));
            assert!((row.size as usize) < WINDOW);
        }
    }

    #[test]
    fn a_whole_message_is_decoded_as_the_window_that_begins_with_it() {
        let bytes: [u8; WINDOW] = std::array::from_fn(|i| (i * 37 + 11) as u8);
        for letter in (0..=255).filter(|&letter| is_known(letter)) {
            for side in [b'B', b'S', 0] {
                let mut window = bytes;
                (window[0], window[19]) = (letter, side);
                assert_eq!(decode_whole(&window[..size_of_type(letter)]), decode(&window));
            }
        }
    }

    #[test]
    fn a_cross_of_more_shares_than_fit_saturates() {
        let mut window = [0u8; WINDOW];
        window[0] = b'Q';
        window[18] = 7;
        assert_eq!(decode(&window).qty, 7);
        window[14] = 1;
        assert_eq!(decode(&window).qty, u32::MAX);
    }
}
