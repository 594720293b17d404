//! The packets of a scenario, made before the first of them is due, and kept for those who have lost one.

use super::SESSION;
use crate::protocols::moldudp64::{END, HEADER, HEARTBEAT, Header};

/// Every packet as it goes over the wire.
pub struct Datagrams {
    bytes: Vec<u8>,
    /// Where each ends in `bytes`.
    ends: Vec<usize>,
    /// Number of the first message of each, and behind the last one the number that would come next.
    first: Vec<u64>,
}

impl Datagrams {
    /// Of framed messages, each packet ending where `ends` says; None if those are not whole messages one after the other.
    pub fn of(data: &[u8], ends: &[i64]) -> Option<Datagrams> {
        let mut made = Datagrams {
            bytes: Vec::with_capacity(data.len() + HEADER * ends.len()),
            ends: Vec::with_capacity(ends.len()),
            first: Vec::with_capacity(ends.len() + 1),
        };
        let (mut at, mut sequence) = (0, 1u64);
        for &end in ends {
            let blocks = data.get(at..usize::try_from(end).ok()?)?;
            let count = messages(blocks).filter(|&count| 0 < count && count < END)?;
            made.bytes.extend_from_slice(&Header { session: SESSION, sequence, count }.bytes());
            made.bytes.extend_from_slice(blocks);
            made.ends.push(made.bytes.len());
            made.first.push(sequence);
            (at, sequence) = (at + blocks.len(), sequence + count as u64);
        }
        made.first.push(sequence);
        Some(made)
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// A packet.
    #[inline(always)]
    pub fn at(&self, i: usize) -> &[u8] {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.bytes[start..self.ends[i]]
    }

    /// What says, `sent` packets having left, which number comes next; or that none comes any more.
    pub fn next(&self, sent: usize, end: bool) -> [u8; HEADER] {
        let count = if end { END } else { HEARTBEAT };
        Header { session: SESSION, sequence: self.first[sent], count }.bytes()
    }

    /// The packets with the messages that a request asks for.
    pub fn wanted(&self, request: &Header) -> std::ops::Range<usize> {
        let until = request.sequence.saturating_add(request.count as u64);
        let packets = &self.first[..self.len()];
        let from = packets.partition_point(|&first| first <= request.sequence).saturating_sub(1);
        from..packets.partition_point(|&first| first < until).max(from)
    }
}

/// How many, if all are whole.
fn messages(blocks: &[u8]) -> Option<u16> {
    let (mut rest, mut count) = (blocks, 0u16);
    while !rest.is_empty() {
        let (length, behind) = rest.split_first_chunk()?;
        rest = behind.get(u16::from_be_bytes(*length) as usize..)?;
        count = count.checked_add(1)?;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::moldudp64::decode;

    /// Three packets of 1, 2 and 1 messages of a byte each.
    fn made(ends: &[i64]) -> Option<Datagrams> {
        Datagrams::of(b"\0\x01a\0\x01b\0\x01c\0\x01d", ends)
    }

    #[test]
    fn packets_are_numbered_and_found_again() {
        let packets = made(&[3, 9, 12]).expect("whole messages");
        let read = decode(packets.at(1)).expect("a packet");
        assert_eq!((read.header.sequence, read.header.count, read.blocks.len()), (2, 2, 6));
        let next = |sent, end| Header::read(&packets.next(sent, end)).expect("a header").0;
        assert_eq!((next(0, false).sequence, next(2, false).sequence, next(3, true).sequence), (1, 4, 5));
        assert_eq!((next(0, false).count, next(3, true).count), (HEARTBEAT, END));
        let wanted = |sequence, count| packets.wanted(&Header { session: SESSION, sequence, count });
        assert_eq!((wanted(1, 1), wanted(3, 1), wanted(2, 9), wanted(4, 1)), (0..1, 1..2, 1..3, 2..3));
        assert_eq!((wanted(9, 1), wanted(0, 0), wanted(u64::MAX, u16::MAX)), (2..3, 0..0, 2..3));
    }

    #[test]
    fn packets_are_whole_messages() {
        for ends in [&[2][..], &[3, 3], &[9, 3], &[13], &[-1], &[3, 9, 11]] {
            assert!(made(ends).is_none(), "{ends:?}");
        }
    }
}
