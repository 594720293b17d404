//! The session of the orders: the trader logs in at the exchange, over the wire that the orders will take, and the exchange answers.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Ends, LOOK, SESSION, Shared, floor, unexpected};
use crate::protocols::ouch::{self, EnterOrder};
use crate::protocols::soupbintcp::{Accepted, Client, ClientConfig, Event, Login, State, kind, put_with};

const USERNAME: &str = "WIRE";
const PASSWORD: &str = "LOOPBACK";

/// The exchange's side: let the trader in.
///
/// # Errors
/// What the transport says; `InvalidData` for something else than a login; `TimedOut`.
pub fn admit(ends: &mut Ends, shared: &Shared, patience: Duration) -> io::Result<()> {
    let (until, framed) = (Instant::now() + patience, ends.framed());
    loop {
        if let Some(message) = ends.orders().wait(LOOK)? {
            let body = Ends::body(framed, message);
            let Some((&kind::LOGIN, payload)) = body.split_first() else {
                return Err(unexpected("something else came than a login"));
            };
            let login = Login::decode(payload).map_err(|error| unexpected(error.to_string()))?;
            if login.username != USERNAME.as_bytes() || login.password != PASSWORD.as_bytes() {
                return Err(unexpected("a stranger came"));
            }
            break;
        }
        if Instant::now() >= until || shared.done.load(Ordering::Acquire) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the trader did not log in"));
        }
    }
    let mut answer = Vec::new();
    Accepted { session: &SESSION, sequence: 1 }.put(&mut answer);
    ends.send_within(&answer, patience)
}

/// The trader's side: a client that is logged in, or None if it was told to end.
///
/// # Errors
/// What the transport says; `InvalidData` if it is not let in; `TimedOut`.
pub fn enter(
    ends: &mut Ends,
    shared: &Shared,
    patience: Duration,
    now_ns: i64,
) -> io::Result<Option<Client>> {
    let client = Client::new(USERNAME, PASSWORD, "", 1, ClientConfig::default());
    let mut client = client.map_err(|error| unexpected(error.to_string()))?;
    let (until, framed) = (Instant::now() + patience, ends.framed());
    ends.send_within(client.connected(now_ns), patience)?;
    while !shared.stop.load(Ordering::Relaxed) {
        if let Some(message) = ends.orders().wait(LOOK)? {
            let body = Ends::body(framed, message);
            if body.first() == Some(&floor::NOTHING) {
                continue; // left of what was measured before
            }
            hear(&mut client, body, now_ns);
            let let_in = matches!(client.next_event(), Some(Event::Accepted(_)));
            if !let_in || client.state() != State::Open {
                return Err(unexpected("the trader was not let in"));
            }
            return Ok(Some(client));
        }
        if Instant::now() >= until {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the login was not answered"));
        }
    }
    Ok(None)
}

/// Kind and payload of a packet that came, for the client to take.
#[inline]
pub fn hear(client: &mut Client, body: &[u8], now_ns: i64) {
    let (length, room) = ((body.len() as u16).to_be_bytes(), client.space());
    room[..2].copy_from_slice(&length);
    room[2..2 + body.len()].copy_from_slice(body);
    client.received(2 + body.len(), now_ns);
}

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
        let accepted = ouch::Accepted {
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
