//! MoldUDP64: one sender, many listeners; sequence numbers show what got lost.
//!
//! A packet is read in place. Its message blocks are framed as a file of ITCH messages is, so a packet that comes in order goes to the
//! engine as it stands.

use super::error::WireError;

/// Session, sequence number of the first message, number of messages.
pub const HEADER: usize = 20;
/// The count of a heartbeat, whose sequence number is the next one to come.
pub const HEARTBEAT: u16 = 0;
/// The count of the end of a session, which is repeated for a while.
pub const END: u16 = 0xffff;
/// Bytes of message blocks that fit below the usual MTU, with all headers.
pub const LIMIT: usize = 1400;

/// Bytes of message blocks in the largest datagram of IPv4.
pub const LARGEST: usize = 65_507 - HEADER;

/// Ten letters, compared as they are.
pub type Session = [u8; 10];

/// The header of a packet, and of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the sequence numbers belong to.
    pub session: Session,
    /// Number of the first message; in a heartbeat and at the end the next one.
    pub sequence: u64,
    /// Messages in the packet, `HEARTBEAT` or `END`; in a request how many are wanted.
    pub count: u16,
}

impl Header {
    /// Read the header at the front of a datagram.
    #[inline(always)]
    pub fn read(datagram: &[u8]) -> Option<(Header, &[u8])> {
        let (session, rest) = datagram.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (count, rest) = rest.split_first_chunk()?;
        let sequence = u64::from_be_bytes(*sequence);
        Some((Header { session: *session, sequence, count: u16::from_be_bytes(*count) }, rest))
    }

    /// Messages that follow: none in a heartbeat and at the end.
    #[inline(always)]
    pub fn messages(&self) -> u16 {
        if self.count == END { 0 } else { self.count }
    }

    /// The header as bytes: a heartbeat, an end and a request are nothing else.
    pub fn bytes(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[..10].copy_from_slice(&self.session);
        out[10..18].copy_from_slice(&self.sequence.to_be_bytes());
        out[18..].copy_from_slice(&self.count.to_be_bytes());
        out
    }
}

/// A downstream packet, in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The first 20 bytes.
    pub header: Header,
    /// The messages, each behind its length.
    pub blocks: &'a [u8],
}

/// Bytes of the first `n` messages of `blocks`; where they do not all fit, the offset of the first that does not.
#[inline(always)]
pub fn bytes_of(blocks: &[u8], n: u64) -> Result<usize, usize> {
    let mut at = 0;
    for _ in 0..n {
        let length = blocks.get(at..).and_then(|rest| rest.first_chunk()).ok_or(at)?;
        let end = at + 2 + u16::from_be_bytes(*length) as usize;
        at = if end > blocks.len() { return Err(at) } else { end };
    }
    Ok(at)
}

/// The messages of `blocks` without their lengths, as far as they are whole.
pub fn split(blocks: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = blocks;
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_first_chunk()?;
        let (message, behind) = behind.split_at_checked(u16::from_be_bytes(*length) as usize)?;
        rest = behind;
        Some(message)
    })
}

/// Decode a datagram: every length in it is looked at, nothing may be left over, and no number may leave 64 bits.
#[inline]
pub fn decode(datagram: &[u8]) -> Result<Packet<'_>, WireError> {
    let (header, blocks) = header(datagram, "bytes of a MoldUDP64 packet", usize::MAX)?;
    let messages = header.messages() as u64;
    if header.sequence.checked_add(messages).is_none() {
        let most = (u64::MAX - header.sequence) as usize;
        return Err(WireError::new("messages of a MoldUDP64 packet", 10, messages as usize, 0..=most));
    }
    match bytes_of(blocks, messages) {
        Ok(used) if used == blocks.len() => Ok(Packet { header, blocks }),
        Ok(used) => {
            let extra = blocks.len() - used;
            Err(WireError::new(
                "bytes behind the last message of a MoldUDP64 packet",
                HEADER + used,
                extra,
                0..=0,
            ))
        }
        Err(at) => {
            let what = "bytes left for a message of a MoldUDP64 packet";
            let length = blocks[at..].first_chunk().map_or(0, |length| u16::from_be_bytes(*length) as usize);
            Err(WireError::new(what, HEADER + at, blocks.len() - at, length + 2..=length + 2))
        }
    }
}

/// Decode a request for messages: 20 bytes, no more.
pub fn decode_request(datagram: &[u8]) -> Result<Header, WireError> {
    let what = "bytes of a MoldUDP64 request";
    let (header, rest) = header(datagram, what, HEADER)?;
    match rest {
        [] => Ok(header),
        _ => Err(WireError::new(what, HEADER, datagram.len(), HEADER..=HEADER)),
    }
}

#[inline(always)]
fn header<'a>(datagram: &'a [u8], what: &'static str, most: usize) -> Result<(Header, &'a [u8]), WireError> {
    let size = datagram.len();
    Header::read(datagram).ok_or_else(|| WireError::new(what, size, size, HEADER..=most))
}

/// A packet in the making, in one buffer that is used again and again.
pub struct Builder {
    packet: Vec<u8>,
    header: Header,
    limit: usize,
}

impl Builder {
    /// Packets of a session of at most `limit` bytes of message blocks each, from message `sequence` on.
    pub fn new(session: Session, sequence: u64, limit: usize) -> Self {
        let (header, limit) = (Header { session, sequence, count: 0 }, limit.min(LARGEST));
        let mut packet = Vec::with_capacity(HEADER + limit);
        packet.extend_from_slice(&header.bytes());
        Builder { packet, header, limit }
    }

    /// Add a message; false if it does not fit any more. One that is larger than the limit goes alone, if a datagram can hold it.
    #[inline]
    pub fn push(&mut self, message: &[u8]) -> bool {
        let size = self.packet.len() - HEADER + 2 + message.len();
        if size > if self.header.count == 0 { LARGEST } else { self.limit } {
            return false;
        }
        let length = message.len() as u16;
        self.packet.extend_from_slice(&length.to_be_bytes());
        self.packet.extend_from_slice(message);
        self.header.count += 1;
        true
    }

    /// The packet as it stands; without a message a heartbeat.
    pub fn packet(&mut self) -> &[u8] {
        self.packet[..HEADER].copy_from_slice(&self.header.bytes());
        &self.packet
    }

    /// Begin the packet behind this one.
    pub fn next(&mut self) {
        self.header.sequence = self.header.sequence.saturating_add(self.header.count as u64);
        self.header.count = 0;
        self.packet.truncate(HEADER);
    }

    /// The end of the session.
    pub fn end(&self) -> [u8; HEADER] {
        Header {
            sequence: self.header.sequence.saturating_add(self.header.count as u64),
            count: END,
            ..self.header
        }
        .bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: Session = *b"20260101AB";

    #[test]
    fn a_packet_is_built_as_it_is_read() {
        let mut builder = Builder::new(SESSION, 7, 40);
        assert_eq!(decode(builder.packet()).map(|packet| packet.header.messages()), Ok(0));
        assert!(builder.push(b"one") && builder.push(b"") && builder.push(&[3; 31]) && !builder.push(b""));
        let packet = builder.packet().to_vec();
        let read = decode(&packet).expect("what was built");
        assert_eq!(read.header, Header { session: SESSION, sequence: 7, count: 3 });
        assert_eq!(split(read.blocks).collect::<Vec<_>>(), [&b"one"[..], b"", &[3; 31]]);
        assert_eq!((bytes_of(read.blocks, 2), bytes_of(read.blocks, 4)), (Ok(7), Err(40)));
        builder.next();
        assert_eq!(builder.packet(), Header { session: SESSION, sequence: 10, count: HEARTBEAT }.bytes());
        assert_eq!(builder.end(), Header { session: SESSION, sequence: 10, count: END }.bytes());
        assert!(!builder.push(&[0; LARGEST - 1]) && builder.push(&[0; 100]) && !builder.push(b""));
        assert_eq!(decode(builder.packet()).map(|packet| packet.header.sequence), Ok(10));
    }

    #[test]
    fn no_other_length_is_a_packet() {
        let mut builder = Builder::new(SESSION, u64::MAX - 2, LIMIT);
        builder.push(b"message");
        builder.push(b"");
        let packet = builder.packet().to_vec();
        assert!(decode(&packet).is_ok());
        let mut beyond = packet.clone();
        beyond[17] += 1;
        assert_eq!(decode(&beyond).map_err(|error| error.offset), Err(10));
        for end in 0..packet.len() {
            assert!(decode(&packet[..end]).is_err(), "{end} bytes");
        }
        assert!(decode(&[&packet[..], &[0]].concat()).is_err());
        assert!(decode_request(&packet[..HEADER]).is_ok());
        assert!(decode_request(&packet[..19]).is_err() && decode_request(&packet[..21]).is_err());
    }
}
