//! Past the protocols of the kernel: whole Ethernet frames, written and read in memory that is shared with it. Each is a message as
//! UDP in IPv4 in Ethernet, from and to addresses of our own.
//!
//! The endpoints are hosts of their own as far as the wire is concerned, so the kernel at the other end of a veth pair, whose
//! interface has another hardware address, lets their frames lie instead of answering that nobody listens.

use crate::net::transport::{End, invalid, oversize};
use std::io;

pub mod packet;
pub mod xdp;

/// Bytes before the message: 14 of Ethernet, 20 of IPv4, 8 of UDP.
pub const HEADER: usize = 42;
/// The longest message in a frame of 1,500 bytes.
pub const LIMIT: usize = 1_472;
/// The longest frame.
pub const FRAME: usize = HEADER + LIMIT;

const IPV4: [u8; 2] = [0x08, 0x00];
const UDP: u8 = 17;

/// Where an end listens.
pub fn port(end: End) -> u16 {
    26_400 + end as u16
}

fn hardware(end: End) -> [u8; 6] {
    [0x02, b'h', b'f', b't', 0, 1 + end as u8] // locally administered
}

fn host(end: End) -> [u8; 4] {
    [10, 255, 104, 1 + end as u8]
}

/// The header of what an end sends, with the parts that change left 0, and the sum of those that do not.
pub struct Header {
    bytes: [u8; HEADER],
    sum: u32,
    end: End,
    limit: usize,
}

impl Header {
    /// Of frames from `end` to the other, with messages of at most `limit` bytes.
    pub fn new(end: End, limit: usize) -> Header {
        let (from, to) = (end, end.other());
        let mut bytes = [0; HEADER];
        bytes[0..6].copy_from_slice(&hardware(to));
        bytes[6..12].copy_from_slice(&hardware(from));
        bytes[12..14].copy_from_slice(&IPV4);
        bytes[14] = 0x45; // version 4, 5 words
        bytes[20] = 0x40; // not to be fragmented
        bytes[22] = 1; // one hop
        bytes[23] = UDP;
        bytes[26..30].copy_from_slice(&host(from));
        bytes[30..34].copy_from_slice(&host(to));
        bytes[34..36].copy_from_slice(&port(from).to_be_bytes());
        bytes[36..38].copy_from_slice(&port(to).to_be_bytes());
        let words = bytes[14..34].chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
        let sum = words.sum();
        Header { bytes, sum, end, limit: limit.min(LIMIT) }
    }

    /// Bytes of the longest message.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Write the frame of a message; its length. There is no UDP checksum: in IPv4 it may be left out.
    ///
    /// # Errors
    /// `InvalidInput` for a message above the limit.
    #[inline(always)]
    pub fn wrap(&self, message: &[u8], frame: &mut [u8]) -> io::Result<usize> {
        if message.len() > self.limit {
            return Err(oversize(message.len(), self.limit));
        }
        let udp = 8 + message.len() as u16;
        let sum = self.sum + u32::from(20 + udp);
        let folded = (sum & 0xffff) + (sum >> 16);
        let checksum = !((folded & 0xffff) + (folded >> 16)) as u16;
        let length = HEADER + message.len();
        let frame = &mut frame[..length];
        frame[..HEADER].copy_from_slice(&self.bytes);
        frame[16..18].copy_from_slice(&(20 + udp).to_be_bytes());
        frame[24..26].copy_from_slice(&checksum.to_be_bytes());
        frame[38..40].copy_from_slice(&udp.to_be_bytes());
        frame[HEADER..].copy_from_slice(message);
        Ok(length)
    }

    /// Where the message is in a frame that is for this end; None in any other.
    ///
    /// # Errors
    /// `InvalidData` for a message above the limit.
    #[inline(always)]
    pub fn unwrap(&self, frame: &[u8]) -> io::Result<Option<std::ops::Range<usize>>> {
        match unwrap(frame, self.end) {
            Some(found) if found.len() > self.limit => {
                Err(invalid(format!("a message of {} bytes; at most {} are taken", found.len(), self.limit)))
            }
            found => Ok(found),
        }
    }
}

/// Where the message is in a frame that is for `end`; None in any other. Nothing in it is believed before it is checked.
#[inline(always)]
fn unwrap(frame: &[u8], end: End) -> Option<std::ops::Range<usize>> {
    let head: &[u8; HEADER] = frame.first_chunk()?;
    let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let fragment = word(20) & 0x3fff;
    if head[12..14] != IPV4 || head[14] != 0x45 || head[23] != UDP || word(36) != port(end) || fragment != 0 {
        return None;
    }
    let (ip, udp) = (usize::from(word(16)), usize::from(word(38)));
    // A short frame is filled up to 60 bytes, so it may be longer than what it carries.
    if udp < 8 || ip != 20 + udp || 14 + ip > frame.len() {
        return None;
    }
    Some(HEADER..14 + ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(message: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; FRAME];
        let length = Header::new(End::First, LIMIT).wrap(message, &mut frame).unwrap();
        frame.truncate(length);
        frame
    }

    #[test]
    fn a_frame_gives_its_message_back_to_the_end_it_is_for() {
        for length in [0, 1, 58, 1471, 1472] {
            let message: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let frame = wrapped(&message);
            assert_eq!(&frame[unwrap(&frame, End::Second).unwrap()], message);
            assert_eq!(unwrap(&frame, End::First), None);
        }
        assert!(Header::new(End::First, LIMIT).wrap(&[0; 1473], &mut [0; 2048]).is_err());
    }

    #[test]
    fn the_checksum_of_the_header_is_right() {
        for length in [0, 1, 700, 1472] {
            let frame = wrapped(&vec![7; length]);
            let words = frame[14..34].chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
            let sum: u32 = words.sum();
            assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "{length}"); // RFC 791: with it, all ones
        }
    }

    #[test]
    fn a_filled_up_frame_gives_only_its_message() {
        let mut frame = wrapped(b"short");
        frame.resize(60, 0);
        assert_eq!(&frame[unwrap(&frame, End::Second).unwrap()], b"short");
    }

    #[test]
    fn no_frame_cut_or_garbled_leads_outside() {
        let good = wrapped(b"a message");
        for length in 0..good.len() {
            assert_eq!(unwrap(&good[..length], End::Second), None, "{length}");
        }
        for at in 0..HEADER {
            for value in [0, 1, 0x46, 0x7f, 0xff] {
                let mut frame = good.clone();
                frame[at] = value;
                if let Some(found) = unwrap(&frame, End::Second) {
                    assert!(found.start == HEADER && found.end <= frame.len());
                }
            }
        }
    }
}
