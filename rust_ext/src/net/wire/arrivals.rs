//! The orders as they arrive: when, and their bytes, each in its place.

use super::Ends;
use crate::net::moldudp64::{HEADER, Header, decode_request};
use crate::net::soupbintcp::kind;
use crate::order::ENTER_BYTES;

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
        let (at, stream) = (vec![NEVER; orders], vec![0xff; orders * ENTER_BYTES]);
        Arrivals { first, at, stream, came: 0, twice: 0, foreign: 0, wanted: None }
    }

    /// What came over the end of the orders; the place of an order that is new.
    #[inline(always)]
    pub fn take(&mut self, framed: bool, message: &[u8], now: u64) -> Option<usize> {
        let body = Ends::body(framed, message);
        match body.split_first() {
            Some((&kind::UNSEQUENCED, order)) if order.len() == ENTER_BYTES => self.order(order, now),
            _ => {
                self.other(message);
                None
            }
        }
    }

    /// The bytes of an order that has come.
    #[inline(always)]
    pub fn bytes(&self, place: usize) -> &[u8] {
        &self.stream[place * ENTER_BYTES..][..ENTER_BYTES]
    }

    #[inline(always)]
    fn order(&mut self, order: &[u8], now: u64) -> Option<usize> {
        let number = u32::from_be_bytes([order[1], order[2], order[3], order[4]]);
        let place = number.wrapping_sub(self.first) as usize;
        match self.at.get_mut(place) {
            Some(at) if *at == NEVER => {
                *at = now;
                self.stream[place * ENTER_BYTES..][..ENTER_BYTES].copy_from_slice(order);
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
