//! A message there and back, again and again: what a transport costs. One thread or process sends and stamps, another sends back.
//!
//! ```text
//! message: | number u64 | stamp of the other end u64 | filling ... |
//! ```

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::net::transport::{Failure, Pair, Step, Transport, is_gone};
use crate::net::{BURST, Placement, REST};

/// Bytes of a message before its filling.
pub const HEADER: usize = 16;
/// Numbers that are none: sleep for `REST`; end.
const PAUSE: u64 = u64::MAX - 1;
const STOP: u64 = u64::MAX;
/// A message that is not back by then is lost.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often who sends back looks whether it shall go on.
const LOOK: Duration = Duration::from_millis(50);

/// How much.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Bytes of a message, 16 or more.
    pub size: usize,
    /// Round trips that are kept.
    pub rounds: usize,
    /// Round trips before them.
    pub warm: usize,
    /// After so long no further round trip is begun.
    pub limit: Duration,
    /// Whether to rest from time to time, for the sake of others.
    pub rests: bool,
}

/// What was measured.
#[derive(Debug, Default)]
pub struct Samples {
    /// There and back, in ticks of the clock: fewer than asked for if time was up.
    pub round_trip: Vec<u64>,
    /// There alone, by the clock of either core.
    pub there: Vec<u64>,
    /// What the system refused of the placements.
    pub refused: Vec<String>,
}

fn number(message: &[u8]) -> Option<u64> {
    message.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// Send back what comes, stamped, until it is told to end, or nothing has come for so long.
///
/// # Errors
/// What the transport says; that the other end has gone is none.
pub fn echo(end: &mut dyn Transport, idle: Duration, stop: &AtomicBool) -> io::Result<()> {
    let clock = Clock::get();
    let mut reply = vec![0; end.limit()];
    let mut heard = None;
    while !stop.load(Ordering::Relaxed) {
        let came = match end.wait(LOOK) {
            Ok(came) => came,
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        let stamp = clock.now();
        let Some(message) = came else {
            if heard.get_or_insert_with(Instant::now).elapsed() > idle {
                return Ok(());
            }
            continue;
        };
        heard = None;
        let length = message.len();
        reply[..length].copy_from_slice(message);
        match number(message) {
            Some(STOP) => return Ok(()),
            Some(PAUSE) => {
                thread::sleep(REST);
                continue;
            }
            Some(_) if length >= HEADER => reply[8..HEADER].copy_from_slice(&stamp.to_le_bytes()),
            _ => continue,
        }
        end.send(&reply[..length])?;
    }
    Ok(())
}

/// Send, wait for it to come back, and keep how long it took.
///
/// # Errors
/// What the transport says; `TimedOut` for a message that did not come back; `InvalidData` for another one in its place.
pub fn ping(end: &mut dyn Transport, plan: &Plan) -> io::Result<Samples> {
    let clock = Clock::get();
    let mut message = vec![0u8; plan.size.max(HEADER)];
    let mut samples = Samples {
        round_trip: Vec::with_capacity(plan.rounds),
        there: Vec::with_capacity(plan.rounds),
        refused: Vec::new(),
    };
    let start = Instant::now();
    let mut burst = start;
    for n in 0..plan.warm + plan.rounds {
        message[..8].copy_from_slice(&(n as u64).to_le_bytes());
        let sent = clock.now();
        end.send(&message)?;
        let reply = end.wait(PATIENCE)?;
        let back = clock.now();
        let stamp = come_back(reply, n as u64, message.len())?;
        if n >= plan.warm {
            samples.round_trip.push(back.saturating_sub(sent));
            samples.there.push(stamp.saturating_sub(sent));
        }
        if n % 64 == 0 {
            if start.elapsed() > plan.limit {
                break;
            }
            if plan.rests && burst.elapsed() > BURST {
                rest(end, &mut message)?;
                burst = Instant::now();
            }
        }
    }
    message[..8].copy_from_slice(&STOP.to_le_bytes());
    end.send(&message)?;
    Ok(samples)
}

/// The stamp that the other end has put into what came back, if it is the right message.
#[inline(always)]
fn come_back(reply: Option<&[u8]>, n: u64, length: usize) -> io::Result<u64> {
    let Some(reply) = reply else {
        return Err(io::Error::new(io::ErrorKind::TimedOut, format!("message {n} did not come back")));
    };
    if reply.len() != length || number(reply) != Some(n) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("another message came than {n}")));
    }
    Ok(u64::from_le_bytes(reply[8..HEADER].try_into().expect("eight bytes")))
}

/// Both ends sleep for a while.
#[cold]
fn rest(end: &mut dyn Transport, message: &mut [u8]) -> io::Result<()> {
    message[..8].copy_from_slice(&PAUSE.to_le_bytes());
    end.send(message)?;
    thread::sleep(REST);
    Ok(())
}

/// Both ends of a pair on threads of their own.
///
/// # Errors
/// As `ping`.
pub fn round_trips(
    (mut first, mut second): Pair,
    plan: &Plan,
    placements: [Placement; 2],
) -> Result<Samples, Failure> {
    let stop = AtomicBool::new(false);
    let _ = Clock::get(); // calibrated before anybody waits
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            let refused = placements[1].take();
            (refused, echo(second.as_mut(), plan.limit + PATIENCE, &stop))
        });
        let one = scope.spawn(|| {
            let refused = placements[0].take();
            let samples = ping(first.as_mut(), plan);
            stop.store(samples.is_err(), Ordering::Relaxed);
            (refused, samples)
        });
        let (refused, samples) = one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let (also, echoed) = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // What went wrong there is why nothing came back here.
        echoed.step("send back")?;
        let mut samples = samples.step("send and wait")?;
        samples.refused = refused;
        samples.refused.extend(also.into_iter().filter(|text| !text.starts_with("SCHED_FIFO")));
        Ok(samples)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::transport::{Options, pair};

    const PLAN: Plan = Plan { size: 58, rounds: 300, warm: 10, limit: Duration::from_secs(5), rests: false };

    fn made(name: &str) -> Pair {
        pair(name, None, &Options::default()).unwrap()
    }

    #[test]
    fn there_is_a_part_of_there_and_back() {
        for name in ["memory", "udp", "tcp"] {
            let samples = round_trips(made(name), &PLAN, [Placement::default(); 2]).unwrap();
            let count = samples.round_trip.len(); // fewer where time was up, as on a machine that is busy
            assert!((1..=300).contains(&count) && samples.there.len() == count, "{name}: {count}");
            let both = samples.round_trip.iter().zip(&samples.there);
            let within = both.filter(|(back, there)| there <= back && **back > 0).count();
            assert!(within * 6 >= count * 5, "{name}: {within} of {count}"); // the clocks of two cores may be a little apart
        }
    }

    #[test]
    fn it_ends_when_time_is_up() {
        let plan = Plan { rounds: 10_000_000, limit: Duration::from_millis(50), ..PLAN };
        let start = Instant::now();
        let samples = round_trips(made("udp"), &plan, [Placement::default(); 2]).unwrap();
        assert!(samples.round_trip.len() < plan.rounds && start.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn who_hears_nothing_ends() {
        let (_first, mut second) = made("udp");
        let start = Instant::now();
        echo(second.as_mut(), Duration::from_millis(60), &AtomicBool::new(false)).unwrap();
        assert!(start.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn a_message_that_does_not_come_back_is_an_error() {
        let (mut first, _second) = made("memory");
        assert_eq!(ping(first.as_mut(), &PLAN).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
