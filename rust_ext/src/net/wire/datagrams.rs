//! The packets of a plan, made before the first of them is due, and kept for those who have lost one.

use super::{Plan, SESSION};
use crate::net::moldudp64::{END, HEADER, HEARTBEAT, Header};

/// Every packet as it goes over the wire.
pub struct Datagrams {
    bytes: Vec<u8>,
    /// Where each ends in `bytes`.
    ends: Vec<usize>,
    /// Number of the first message of each, and behind the last one the number that would come next.
    first: Vec<u64>,
}

impl Datagrams {
    /// None if the plan's packets are not whole messages one after the other.
    pub fn of(plan: &Plan) -> Option<Datagrams> {
        let mut made = Datagrams {
            bytes: Vec::with_capacity(plan.data.len() + HEADER * plan.ends.len()),
            ends: Vec::with_capacity(plan.ends.len()),
            first: Vec::with_capacity(plan.ends.len() + 1),
        };
        let (mut at, mut sequence) = (0, 1u64);
        for &end in plan.ends {
            let blocks = plan.data.get(at..usize::try_from(end).ok()?)?;
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
