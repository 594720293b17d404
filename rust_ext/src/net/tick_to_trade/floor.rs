//! What the transports alone take: a packet of one Add Order there, a packet of one Enter Order back, and nothing between them; an
//! answer of the size of an Accepted where orders have a connection of their own.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Ends, LOOK, Shared, unexpected};
use crate::clock::Clock;
use crate::net::transport::is_gone;

/// Bytes of a MoldUDP64 packet with one Add Order, and of a SoupBinTCP packet with one Enter Order.
const THERE: usize = 58;
const BACK: usize = 50;
const ANSWER: usize = 67;
/// No more are sent after so long, but so many in any case: what sleeps takes its time.
const LIMIT: Duration = Duration::from_millis(150);
const LEAST: usize = 100;
const STOP: u64 = u64::MAX;
/// The kind of an answer, which no packet of SoupBinTCP has.
pub const NOTHING: u8 = 0;

/// The exchange's side: there and back, in ticks, after some to warm up.
///
/// # Errors
/// What the transport says; `TimedOut` for a message that did not come back.
pub fn measure(ends: &mut Ends, count: usize, patience: Duration) -> io::Result<Vec<u64>> {
    let (clock, mut packet, framed) = (Clock::get(), [0u8; THERE], ends.framed());
    let (mut ticks, start) = (Vec::with_capacity(count), Instant::now());
    let warm = count / 10 + 20;
    let mut answer = [0u8; ANSWER];
    answer[..2].copy_from_slice(&(ANSWER as u16 - 2).to_be_bytes());
    answer[2] = NOTHING;
    for n in 0..(warm + count) as u64 {
        packet[..8].copy_from_slice(&n.to_le_bytes());
        let sent = clock.now();
        ends.feed.send(&packet)?;
        let Some(message) = ends.orders().wait(patience)? else {
            let text = format!("message {n} did not come back while the transports were measured alone");
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        };
        let back = clock.now();
        let body = Ends::body(framed, message);
        if body.len() != BACK - 2 || body[..8] != n.to_le_bytes() {
            return Err(unexpected(format!("another message came than {n}")));
        }
        if !ends.shared() {
            ends.send(&answer)?;
        }
        if n >= warm as u64 {
            ticks.push(back.saturating_sub(sent));
        }
        if n % 64 == 63 && ticks.len() >= LEAST && start.elapsed() > LIMIT {
            break;
        }
    }
    packet[..8].copy_from_slice(&STOP.to_le_bytes());
    ends.feed.send(&packet)?;
    Ok(ticks)
}

/// The trader's side: whether it was told that this is over.
///
/// # Errors
/// What the transport says.
pub fn echo(ends: &mut Ends, shared: &Shared) -> io::Result<bool> {
    let mut packet = [0u8; BACK];
    packet[..2].copy_from_slice(&(BACK as u16 - 2).to_be_bytes());
    while !shared.stop.load(Ordering::Relaxed) {
        match ends.feed.wait(LOOK) {
            Ok(None) => continue,
            Ok(Some(message)) if message.len() == THERE => {
                packet[2..10].copy_from_slice(&message[..8]);
            }
            Ok(Some(_)) => return Err(unexpected("a message of another length came")),
            Err(error) if is_gone(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
        if packet[2..10] == STOP.to_le_bytes() {
            return Ok(true);
        }
        ends.send(&packet)?;
        while !ends.shared() && ends.orders().poll()? {}
    }
    Ok(false)
}
