//! Where packets begin and end in a stream that TCP may split and join anywhere.

use super::Frame;
use crate::protocols::error::WireError;

/// A receive buffer of fixed size: bytes are received into it and packets read where they stand.
pub struct Framer {
    buffer: Box<[u8]>,
    /// What is not read yet.
    start: usize,
    end: usize,
    /// The greatest length field that is let in.
    most: usize,
    broken: Option<WireError>,
    /// Bytes of the stream that were whole packets.
    offset: u64,
}

impl Framer {
    /// Packets whose length field is at most `limit`; more is an error.
    pub fn new(limit: usize) -> Self {
        let most = limit.clamp(1, super::LONGEST);
        // Twice: a packet that lies across the end can move to the front, and there is room behind it for another one.
        let buffer = vec![0; 2 * (most + 2)].into_boxed_slice();
        Framer { buffer, start: 0, end: 0, most, broken: None, offset: 0 }
    }

    /// Where to receive into; never empty after `next` has given all packets it has.
    pub fn space(&mut self) -> &mut [u8] {
        if self.buffer.len() - self.end < self.most + 2 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        &mut self.buffer[self.end..]
    }

    /// So many bytes have been received into `space`.
    pub fn filled(&mut self, bytes: usize) {
        self.end = (self.end + bytes).min(self.buffer.len());
    }

    /// Copy what fits of `data`, and say how much that was: for bytes that stand elsewhere already.
    pub fn copy(&mut self, data: &[u8]) -> usize {
        let space = self.space();
        let n = data.len().min(space.len());
        space[..n].copy_from_slice(&data[..n]);
        self.filled(n);
        n
    }

    /// Length and kind of the next packet, if it is whole.
    #[inline(always)]
    fn look(&mut self) -> Result<Option<(usize, u8)>, WireError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        let Some((head, rest)) = self.buffer[self.start..self.end].split_first_chunk() else {
            return Ok(None);
        };
        let length = u16::from_be_bytes(*head) as usize;
        if length == 0 || length > self.most {
            let what = "length of a SoupBinTCP packet";
            let error = WireError::new(what, self.offset as usize, length, 1..=self.most);
            self.broken = Some(error);
            return Err(error);
        }
        Ok(rest.first().filter(|_| rest.len() >= length).map(|&kind| (length, kind)))
    }

    /// The kind of the packet that `next` will give.
    #[inline]
    pub fn kind(&mut self) -> Result<Option<u8>, WireError> {
        Ok(self.look()?.map(|(_, kind)| kind))
    }

    /// The next whole packet. After an error there is no finding the way back, and it stays.
    #[inline]
    #[allow(clippy::should_implement_trait)] // an iterator could not lend
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, WireError> {
        let Some((length, kind)) = self.look()? else { return Ok(None) };
        let at = self.start + 2;
        self.start = at + length;
        self.offset += 2 + length as u64;
        Ok(Some(Frame { kind, payload: &self.buffer[at + 1..at + length] }))
    }

    /// Bytes of a packet that is not whole yet.
    pub fn waiting(&self) -> usize {
        self.end - self.start
    }

    /// Bytes of the stream that were whole packets.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Begin anew, for another connection.
    pub fn clear(&mut self) {
        (self.start, self.end, self.broken, self.offset) = (0, 0, None, 0);
    }
}
