//! The orders as they arrive: when, and their bytes, each in its place.

use super::Ends;
use crate::protocols::moldudp64::{HEADER, Header, decode_request};
use crate::protocols::ouch::EnterOrder;
use crate::protocols::soupbintcp::kind;

/// No time: what has not come.
pub const NEVER: u64 = u64::MAX;

/// Orders by UserRefNum.
pub struct Arrivals {
    first: u32,
    /// When each came, ticks; NEVER before.
    pub at: Vec<u64>,
    /// Their bytes, 47 each.
    pub stream: Vec<u8>,
    /// How many have come.
    pub came: usize,
    /// Orders that came twice.
    pub twice: u64,
    /// Neither orders nor requests.
    pub foreign: u64,
    /// The request that came last.
    pub wanted: Option<Header>,
}

impl Arrivals {
    /// Room for so many orders from UserRefNum `first` on; its memory is touched here.
    pub fn new(first: u32, orders: usize) -> Arrivals {
        let (at, stream) = (vec![NEVER; orders], vec![0xff; orders * EnterOrder::BYTES]);
        Arrivals { first, at, stream, came: 0, twice: 0, foreign: 0, wanted: None }
    }

    /// What came over the end of the orders; the place of an order that is new.
    #[inline(always)]
    pub fn take(&mut self, framed: bool, message: &[u8], now: u64) -> Option<usize> {
        let body = Ends::body(framed, message);
        match body.split_first() {
            Some((&kind::UNSEQUENCED, order)) if order.len() == EnterOrder::BYTES => self.order(order, now),
            _ => {
                self.other(message);
                None
            }
        }
    }

    /// The bytes of an order that has come.
    #[inline(always)]
    pub fn bytes(&self, place: usize) -> &[u8] {
        &self.stream[place * EnterOrder::BYTES..][..EnterOrder::BYTES]
    }

    #[inline(always)]
    fn order(&mut self, order: &[u8], now: u64) -> Option<usize> {
        let number = u32::from_be_bytes([order[1], order[2], order[3], order[4]]);
        let place = number.wrapping_sub(self.first) as usize;
        match self.at.get_mut(place) {
            Some(at) if *at == NEVER => {
                *at = now;
                self.stream[place * EnterOrder::BYTES..][..EnterOrder::BYTES].copy_from_slice(order);
                self.came += 1;
                return Some(place);
            }
            Some(_) => self.twice += 1,
            None => self.foreign += 1,
        }
        None
    }

    /// What is no order: a request, or nothing that is known.
    #[cold]
    pub fn other(&mut self, message: &[u8]) {
        match decode_request(message) {
            Ok(request) if message.len() == HEADER => self.wanted = Some(request),
            _ => self.foreign += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The SoupBinTCP packet of an order.
    fn packet(number: u32) -> Vec<u8> {
        let mut packet = vec![0, 48, kind::UNSEQUENCED, b'O'];
        packet.extend_from_slice(&number.to_be_bytes());
        packet.resize(50, b'x');
        packet
    }

    #[test]
    fn an_order_has_its_place_and_comes_once() {
        let mut seen = Arrivals::new(7, 3);
        assert_eq!(seen.take(false, &packet(8), 100), Some(1));
        assert_eq!(seen.take(true, &packet(7)[2..], 200), Some(0));
        assert_eq!(seen.take(false, &packet(8), 300), None);
        assert_eq!((seen.came, seen.twice, &seen.at[..]), (2, 1, &[200, 100, NEVER][..]));
        assert_eq!(seen.bytes(1), &packet(8)[3..]);
    }

    #[test]
    fn what_is_no_order_is_a_request_or_foreign() {
        let mut seen = Arrivals::new(7, 3);
        let request = Header { session: *b"0123456789", sequence: 5, count: 2 };
        let others = [&packet(6)[..], &packet(10), &packet(7)[..49], &[], &[0, 1], &request.bytes()];
        for message in others {
            assert_eq!(seen.take(false, message, 1), None);
        }
        assert_eq!((seen.came, seen.foreign, seen.wanted), (0, 5, Some(request)));
    }
}
