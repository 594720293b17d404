//! What one side holds: the end of the feed, and that of the orders, which may be the same one.

use std::io;
use std::time::{Duration, Instant};

use crate::net::transport::{self, Address, Failure, Options, Transport};

/// The two ends of one side.
pub struct Ends {
    /// Packets of the feed, and requests for those that were lost.
    pub feed: Box<dyn Transport>,
    /// Orders; None: they go over the end of the feed.
    orders: Option<Box<dyn Transport>>,
    /// The transport of the orders puts a length in front of what it carries, as SoupBinTCP does.
    framed: bool,
}

/// Both sides' ends, exchange first: of one transport for both ways, or of one for each.
///
/// # Errors
/// As `transport::pair`.
pub fn ends(
    feed: (&str, Option<&Address>),
    orders: Option<(&str, Option<&Address>)>,
    options: &Options,
) -> Result<[Ends; 2], Failure> {
    let (one, other) = transport::pair(feed.0, feed.1, options)?;
    let framed = orders.map_or(feed.0, |orders| orders.0).starts_with("tcp");
    let (first, second) = match orders {
        Some((name, address)) => {
            let (first, second) = transport::pair(name, address, options)?;
            (Some(first), Some(second))
        }
        None => (None, None),
    };
    Ok([Ends { feed: one, orders: first, framed }, Ends { feed: other, orders: second, framed }])
}

impl Ends {
    /// Whether one end carries both.
    pub fn shared(&self) -> bool {
        self.orders.is_none()
    }

    /// The end of the orders.
    #[inline(always)]
    pub fn orders(&mut self) -> &mut dyn Transport {
        match &mut self.orders {
            Some(orders) => orders.as_mut(),
            None => self.feed.as_mut(),
        }
    }

    /// Send a SoupBinTCP packet, length and all.
    #[inline(always)]
    pub fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        let from = if self.framed { 2 } else { 0 };
        self.orders().send(&packet[from..])
    }

    /// Send a SoupBinTCP packet; where there is no room, wait for some.
    #[inline(always)]
    pub fn send_within(&mut self, packet: &[u8], patience: Duration) -> io::Result<()> {
        match self.send(packet) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.insist(packet, patience),
            done => done,
        }
    }

    #[cold]
    fn insist(&mut self, packet: &[u8], patience: Duration) -> io::Result<()> {
        let until = Instant::now() + patience;
        loop {
            match self.send(packet) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < until => {
                    std::hint::spin_loop();
                }
                done => return done,
            }
        }
    }

    /// Kind and payload of the SoupBinTCP packet that a message of the orders' end is; empty if it is none.
    #[inline(always)]
    pub fn body(framed: bool, message: &[u8]) -> &[u8] {
        if framed {
            return message;
        }
        match message.split_first_chunk() {
            Some((length, body)) if u16::from_be_bytes(*length) as usize == body.len() => body,
            _ => &[],
        }
    }

    /// See `body`.
    #[inline(always)]
    pub fn framed(&self) -> bool {
        self.framed
    }
}
