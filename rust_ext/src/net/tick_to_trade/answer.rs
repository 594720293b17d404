//! What the exchange says to an order.

use std::io;

use super::Ends;
use crate::protocols::ouch::{Accepted, EnterOrder};
use crate::protocols::soupbintcp::{kind, put_with};

/// Answers orders, on a connection of their own.
pub struct Answers {
    packet: Vec<u8>,
    reference: u64,
}

impl Answers {
    pub fn new() -> Answers {
        Answers { packet: Vec::with_capacity(256), reference: 0 }
    }

    /// Accept an order. The reply is dropped if the peer is not reading.
    #[inline]
    pub fn send(&mut self, ends: &mut Ends, order: &[u8]) -> io::Result<()> {
        let Ok(order) = EnterOrder::decode(order) else { return Ok(()) };
        self.reference += 1;
        let accepted = Accepted {
            ts_ns: 0,
            user_ref: order.user_ref,
            side: order.side,
            quantity: order.quantity,
            symbol: order.symbol,
            price: order.price,
            time_in_force: order.time_in_force,
            display: order.display,
            order_reference: self.reference,
            capacity: order.capacity,
            intermarket_sweep: order.intermarket_sweep,
            cross_type: order.cross_type,
            order_state: b'L',
            cl_ord_id: order.cl_ord_id,
        };
        self.packet.clear();
        put_with(&mut self.packet, kind::SEQUENCED, |to| to.extend_from_slice(&accepted.bytes()));
        match ends.send(&self.packet) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            done => done,
        }
    }
}
