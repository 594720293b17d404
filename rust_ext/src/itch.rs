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

/// How to read one message type; offsets count from the type byte.
#[derive(Clone, Copy)]
struct Row {
    /// All bits where the type has an order reference, else 0; it stands at offset 11 in every type.
    id_mask: u64,
    /// The same for the new reference of U, at offset 19.
    new_mask: u64,
    /// The same for a price.
    price_mask: u32,
    /// Bits of the quantity: 32, or 8 for the trading state of H.
    qty_mask: u32,
    /// Offset of the price, in [0, 36].
    price_at: u8,
    /// Offset of the quantity, in [0, 27].
    qty_at: u8,
    /// 0xff where byte 19 is a side.
    side_mask: u8,
    /// `Event::kind`.
    kind: u8,
    /// Size of the message in bytes, 0 for an unknown type.
    size: u8,
}

const ALL: u64 = u64::MAX;

const fn row(size: u8, kind: u8, id: bool, qty_at: u8, price_at: u8) -> Row {
    Row {
        id_mask: if id { ALL } else { 0 },
        new_mask: 0,
        price_mask: if price_at > 0 { u32::MAX } else { 0 },
        qty_mask: if qty_at > 0 { u32::MAX } else { 0 },
        price_at,
        qty_at,
        side_mask: 0,
        kind,
        size,
    }
}

const fn table() -> [Row; 256] {
    let mut rows = [row(0, kind::OTHER, false, 0, 0); 256];
    let others: &[(u8, u8)] = &[
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
    rows[b'A' as usize].side_mask = 0xff;
    rows[b'F' as usize].side_mask = 0xff;
    rows[b'P' as usize].side_mask = 0xff;
    rows[b'E' as usize] = row(31, kind::EXECUTE, true, 19, 0);
    rows[b'C' as usize] = row(36, kind::EXECUTE, true, 19, 32);
    rows[b'X' as usize] = row(23, kind::CANCEL, true, 19, 0);
    rows[b'D' as usize] = row(19, kind::DELETE, true, 0, 0);
    rows[b'U' as usize] = row(35, kind::REPLACE, true, 27, 31);
    rows[b'U' as usize].new_mask = ALL;
    // Q has eight bytes of shares: the lower four stand here, the upper four are looked at in `decode`.
    rows[b'Q' as usize] = row(40, kind::TRADE, false, 15, 27);
    // H: the trading state is byte 19, the lowest of the four bytes from 16 on.
    rows[b'H' as usize] = row(25, kind::STATUS, false, 16, 0);
    rows[b'H' as usize].qty_mask = 0xff;
    rows
}

static ROWS: [Row; 256] = table();

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

/// Decode a message of `size` bytes at the start of `window`; bytes behind it may be anything.
#[inline(always)]
pub fn decode(window: &[u8; WINDOW], size: usize) -> Event {
    let row = &ROWS[window[0] as usize];
    if row.size == 0 && size < HEADER {
        return Event::default();
    }
    let mut qty = be32(window, row.qty_at as usize) & row.qty_mask;
    if window[0] == b'Q' && be32(window, 11) != 0 {
        qty = u32::MAX;
    }
    Event {
        // The tracking number stands before the timestamp, so one load and a mask give the six bytes.
        ts_ns: be64(window, 3) & 0x0000_ffff_ffff_ffff,
        order_id: be64(window, 11) & row.id_mask,
        new_order_id: be64(window, 19) & row.new_mask,
        price: (be32(window, row.price_at as usize) & row.price_mask) as i64,
        qty,
        instrument: (be32(window, 1) >> 16) as u16,
        kind: row.kind,
        side: SIDES[window[19] as usize] & row.side_mask,
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

/// Why a run over wire bytes stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong: `zero_length`, `bad_length`, `unknown_type` or `fault`, the words Python knows.
    pub code: &'static str,
    /// Bytes into the block that was given.
    pub at: usize,
    /// Message number.
    pub index: u64,
    /// The length prefix; for a fault its number.
    pub size: usize,
    /// The type byte.
    pub letter: u8,
}

/// A whole message in a block: where its type byte stands and how long it is.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Offset of the type byte.
    pub at: usize,
    /// Bytes of the message.
    pub size: usize,
    /// Whether the type is known.
    pub known: bool,
}

/// What stands at an offset of a block.
pub enum Next {
    /// A whole message.
    Frame(Frame),
    /// Less than a whole message: more bytes are needed.
    More,
    /// Bytes that are no message: code, length prefix, type byte.
    Bad(&'static str, usize, u8),
}

/// What is wrong with a message of `size` bytes of type `letter`, if anything.
pub fn frame_problem(size: usize, letter: u8) -> Option<&'static str> {
    let allowed = ROWS[letter as usize].size as usize;
    if size == 0 {
        Some("zero_length")
    } else if size != allowed && (allowed > 0 || size > LONGEST_UNKNOWN) {
        Some("bad_length")
    } else {
        None
    }
}

/// Look at the frame whose length prefix stands at `at`.
#[inline(always)]
pub fn next(data: &[u8], at: usize) -> Next {
    let Some(head) = data.get(at..at + 3) else { return Next::More };
    let size = u16::from_be_bytes([head[0], head[1]]) as usize;
    let letter = head[2];
    let known = size == ROWS[letter as usize].size as usize && size > 0;
    if !known && let Some(code) = frame_problem(size, letter) {
        return Next::Bad(code, size, letter);
    }
    if data.len() - at < size + 2 {
        return Next::More;
    }
    Next::Frame(Frame { at: at + 2, size, known })
}

/// The message at `at` as a window: in place where enough bytes follow, else through `spare`, padded with zeros.
#[inline(always)]
pub fn window<'a>(data: &'a [u8], at: usize, spare: &'a mut [u8; WINDOW]) -> &'a [u8; WINDOW] {
    match data.get(at..at + WINDOW).and_then(|bytes| bytes.try_into().ok()) {
        Some(bytes) => bytes,
        None => {
            let rest = &data[at.min(data.len())..];
            *spare = [0; WINDOW];
            spare[..rest.len()].copy_from_slice(rest);
            spare
        }
    }
}

/// Number of whole messages in a block, as far as it can be read.
pub fn count(data: &[u8]) -> usize {
    let (mut at, mut n) = (0, 0);
    while let Next::Frame(frame) = next(data, at) {
        at = frame.at + frame.size;
        n += 1;
    }
    n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_load_stays_inside_its_message() {
        for row in ROWS.iter().filter(|row| row.size > 0) {
            assert!(row.qty_mask == 0 || row.qty_at + 4 <= row.size);
            assert!(row.price_mask == 0 || row.price_at + 4 <= row.size);
            assert!(row.id_mask == 0 || row.size >= 19);
            assert!(row.new_mask == 0 || row.size >= 27);
            assert!(row.side_mask == 0 || row.size >= 20);
        }
    }

    #[test]
    fn a_cross_of_more_shares_than_fit_saturates() {
        let mut window = [0u8; WINDOW];
        window[0] = b'Q';
        window[18] = 7;
        assert_eq!(decode(&window, 40).qty, 7);
        window[14] = 1;
        assert_eq!(decode(&window, 40).qty, u32::MAX);
    }

    #[test]
    fn frames_are_told_apart() {
        assert!(matches!(next(&[0, 12], 0), Next::More));
        assert!(matches!(next(&[0, 0, b'S'], 0), Next::Bad("zero_length", 0, b'S')));
        assert!(matches!(next(&[0, 13, b'S'], 0), Next::Bad("bad_length", 13, b'S')));
        assert!(matches!(next(&[1, 0, b'!'], 0), Next::Bad("bad_length", 256, b'!')));
        assert!(matches!(next(&[0, 1, b'!'], 0), Next::Frame(Frame { size: 1, known: false, .. })));
    }
}
