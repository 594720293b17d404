//! Databento DBN, schema mbo: runs of records become events. The reference is `hftlab.feeds.dbn`, which reads what stands before them,
//! and tells the runs of this type from those of others.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::event::{ASK, BID, EVENT_BYTES, Event, kind};
use crate::feeds::orders::Orders;

/// Bytes of a record, little-endian:
/// words of 4 u8, type u8, publisher u16, instrument u32 | ts_event u64 | order_id u64 | price i64 | size u32, flags u8, channel u8,
/// action u8, side u8 | ts_recv u64 | ts_in_delta i32, sequence u32
pub const RECORD: usize = 56;
/// The last record of an exchange event, in `flags`.
const LAST: u8 = 0x80;
/// A price that is none.
const UNDEFINED: i64 = i64::MAX;

/// Events of 40 bytes, when the capture received each, and whether it is the last of an exchange event.
#[derive(Default)]
pub struct Decoded {
    /// `Event`s, one after the other.
    pub events: Vec<u8>,
    /// Nanoseconds since 1970.
    pub recv_ns: Vec<u64>,
    /// One for each event.
    pub event_end: Vec<bool>,
}

/// How many whole records of `size` bytes at the start of `data` have the length and the type of the first.
pub fn run_length(data: &[u8], size: usize) -> usize {
    let heads = data.chunks_exact(size.max(2)).map(|record| [record[0], record[1]]);
    let first = data.first_chunk::<2>();
    heads.take_while(|head| Some(head) == first).count()
}

/// Our numbers of the venue's instruments, and the orders that are live.
#[derive(Default)]
pub struct Decoder {
    numbers: FxHashMap<u32, u16>,
    orders: Orders,
}

impl Decoder {
    /// Give an instrument of the venue our number.
    pub fn number(&mut self, instrument: u32, number: u16) {
        self.numbers.insert(instrument, number);
    }

    /// The instruments among some records that have no number yet, in order of appearance.
    pub fn unnumbered(&self, data: &[u8], size: usize) -> Vec<u32> {
        let (mut last, mut met, mut out) = (None, FxHashSet::default(), Vec::new());
        for record in records(data, size) {
            let instrument = u32_at(record, 4);
            if last != Some(instrument) && !self.numbers.contains_key(&instrument) && met.insert(instrument) {
                out.push(instrument);
            }
            last = Some(instrument);
        }
        out
    }

    /// The events of records of `size` bytes each; one whose instrument has no number names none.
    pub fn decode(&mut self, data: &[u8], size: usize) -> Decoded {
        let n = data.len() / size.max(1);
        let mut out = Decoded {
            events: Vec::with_capacity(n * EVENT_BYTES),
            recv_ns: Vec::with_capacity(n),
            event_end: Vec::with_capacity(n),
        };
        let mut last = (0, self.numbers.get(&0).copied().unwrap_or(0));
        for record in records(data, size) {
            let instrument = u32_at(record, 4);
            if instrument != last.0 {
                last = (instrument, self.numbers.get(&instrument).copied().unwrap_or(0));
            }
            self.event(record, last.1).write_to(&mut out.events);
            out.recv_ns.push(u64_at(record, 40));
            out.event_end.push(record[36] & LAST != 0);
        }
        out
    }

    #[inline(always)]
    fn event(&mut self, record: &[u8; RECORD], instrument: u16) -> Event {
        let (action, price) = (record[38], u64_at(record, 24) as i64);
        let mut event = Event {
            ts_ns: u64_at(record, 8),
            order_id: u64_at(record, 16),
            new_order_id: 0,
            price: if price == UNDEFINED || action == b'R' { 0 } else { price },
            qty: u32_at(record, 32),
            instrument,
            kind: kind_of(action),
            side: side_of(record[39]),
        };
        if action == b'M' {
            (event.kind, event.qty, event.new_order_id) = self.orders.modify(&event, false);
        } else {
            self.orders.apply(&event);
        }
        event
    }
}

fn records(data: &[u8], size: usize) -> impl Iterator<Item = &[u8; RECORD]> {
    data.chunks_exact(size.max(1)).filter_map(|record| record.first_chunk())
}

fn kind_of(action: u8) -> u8 {
    match action {
        b'A' => kind::ADD,
        b'C' => kind::CANCEL,
        b'R' => kind::CLEAR,
        b'T' | b'F' => kind::TRADE,
        _ => kind::OTHER,
    }
}

fn side_of(letter: u8) -> u8 {
    match letter {
        b'B' => BID,
        b'A' => ASK,
        _ => 0,
    }
}

#[inline(always)]
fn u32_at(record: &[u8; RECORD], at: usize) -> u32 {
    u32::from_le_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]])
}

#[inline(always)]
fn u64_at(record: &[u8; RECORD], at: usize) -> u64 {
    u64::from(u32_at(record, at)) | u64::from(u32_at(record, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(action: u8, order: u64, size: u32) -> [u8; RECORD] {
        let mut out = [0; RECORD];
        (out[0], out[1], out[4], out[36], out[38], out[39]) = (14, 0xA0, 7, LAST, action, b'B');
        out[16..24].copy_from_slice(&order.to_le_bytes());
        out[24..32].copy_from_slice(&5i64.to_le_bytes());
        out[32..36].copy_from_slice(&size.to_le_bytes());
        out
    }

    #[test]
    fn a_run_ends_where_length_or_type_change() {
        let mut data = [record(b'A', 1, 9), record(b'A', 2, 9), record(b'A', 3, 9)].concat();
        assert_eq!(run_length(&data, RECORD), 3);
        assert_eq!(run_length(&data[..2 * RECORD + 1], RECORD), 2);
        data[2 * RECORD + 1] = 1;
        assert_eq!(run_length(&data, RECORD), 2);
        assert_eq!(run_length(&[], RECORD), 0);
    }

    #[test]
    fn a_modify_that_shrinks_takes_the_difference_off() {
        let (mut decoder, data) = (Decoder::default(), [record(b'A', 1, 9), record(b'M', 1, 4)].concat());
        assert_eq!(decoder.unnumbered(&data, RECORD), [7]);
        decoder.number(7, 1);
        assert!(decoder.unnumbered(&data, RECORD).is_empty());
        let decoded = decoder.decode(&data, RECORD);
        let events: Vec<Event> = decoded.events.as_chunks().0.iter().map(Event::from_bytes).collect();
        let expected = [(kind::ADD, 9), (kind::CANCEL, 5)];
        assert_eq!([0, 1].map(|i| (events[i].kind, events[i].qty)), expected);
        assert!(events.iter().all(|event| event.instrument == 1 && event.price == 5 && event.side == BID));
        assert_eq!((decoded.recv_ns, decoded.event_end), (vec![0, 0], vec![true, true]));
    }
}
