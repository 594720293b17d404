//! Tick to trade: from the tick leaving the exchange to the order arriving there, both stamped by the exchange's clock.
//!
//! ```text
//!  exchange thread                                            trader thread
//!  due .. sent  --MoldUDP64 over X-->  received: Arbiter, Runner::run_bytes, SoupBinTCP: ready
//!  arrived      <--SoupBinTCP over Y--
//! ```
//!
//! Before that, over the same ends: how quiet the two cores are, and messages of the same sizes there and back with nothing between
//! them, which is what the transports alone take (`floor`). Then the trader logs in.
//!
//! Where orders have a connection of their own, each is answered with an Accepted, as an exchange does, once it has been stamped.
//! With TCP this decides about the time, too: the system then acknowledges with the answer. Otherwise it sends an acknowledgement by
//! itself before it hands the order over, on every receive (about 2.6 us where this was written).

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::clock::Clock;
use crate::clock::jitter::Gaps;
use crate::net::transport::{Failure, Step};
use crate::net::{Placement, REST};
use crate::protocols::arbiter::Counts;
use crate::protocols::moldudp64::Session;
use crate::run::Runner;

mod arrivals;
mod datagrams;
mod ends;
mod exchange;
mod floor;
mod orders;
mod trader;

pub use ends::{Ends, ends};

/// The session of the feed, and that of the orders.
const SESSION: Session = *b"WIRETOWIRE";
/// How long a wait lasts before something else is looked after: holes, requests, whether to go on.
const LOOK: Duration = Duration::from_millis(2);
/// Gaps from which on time counts as lost, and as long, ns.
const LOST_NS: f64 = 1_000.0;
const LONG_NS: f64 = 10_000.0;

/// What goes wrong on purpose, so that it can be seen where it is told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Drop every n-th packet on first transmission; 0: none.
    pub drop_every: usize,
    /// Requests for lost packets are not answered.
    pub deaf: bool,
    /// The trader waits before its engine runs, ns.
    pub delay_ns: u64,
    /// The trader does nothing any more after so many packets; 0: it lives.
    pub dies_after: usize,
}

/// What is sent, when, and what should come back.
#[derive(Clone, Copy, Debug)]
pub struct Scenario<'a> {
    /// Framed messages that the trader's engine runs before it logs in.
    pub warm: &'a [u8],
    /// Framed messages that go over the wire, numbered from 1.
    pub data: &'a [u8],
    /// Where each packet ends in `data`: whole messages, ascending.
    pub ends: &'a [i64],
    /// When each packet is due, ns from the beginning; below 0: as soon as the orders of those before it have come.
    pub due_ns: &'a [i64],
    /// Orders that the packets up to and with each one cause.
    pub orders: &'a [i64],
    /// UserRefNum of the first of them.
    pub first: u32,
    /// Messages there and back with nothing between, before.
    pub floor: usize,
    /// After so long no further packet leaves that waits for orders.
    pub limit: Duration,
    /// An order that has not come by then does not come.
    pub patience: Duration,
    /// Of the exchange and of the trader.
    pub placements: [Placement; 2],
    /// Whether to rest from time to time, for the sake of others.
    pub rests: bool,
    /// Whether the trader stamps when an order is ready.
    pub stamps: bool,
    /// How long to look at either core before.
    pub probe: Duration,
    /// Packets after which the trader's use of the heap counts.
    pub settle: u64,
    /// Allocations of the calling thread so far.
    pub asked: fn() -> u64,
    /// What goes wrong on purpose.
    pub faults: Faults,
}

/// How quiet a core was before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet {
    /// Share of the time in gaps of a microsecond and more.
    pub lost_share: f64,
    /// The longest gap, ns.
    pub max_ns: f64,
}

/// What was found; times in ticks of the clock, of the exchange but for `received` and `ready`. One that never came is u64::MAX.
#[derive(Debug, Default)]
pub struct Measurement {
    /// There and back with nothing between.
    pub floor: Vec<u64>,
    /// When each packet that left was due, and when it left.
    pub due: Vec<u64>,
    /// See `due`.
    pub sent: Vec<u64>,
    /// When each order came.
    pub arrived: Vec<u64>,
    /// The orders, 47 bytes each, by UserRefNum.
    pub stream: Vec<u8>,
    /// When the trader had the packet of each order it sent; and, if it was to stamp that, when the order was ready.
    pub received: Vec<u64>,
    /// See `received`.
    pub ready: Vec<u64>,
    /// Orders that came twice.
    pub duplicates: u64,
    /// What came and was neither a new order nor a request.
    pub foreign: u64,
    /// Packets that were sent again.
    pub resent: u64,
    /// Why not all of it was done.
    pub stopped: Option<String>,
    /// What the trader's arbiter counted.
    pub counts: Counts,
    /// Orders that the trader knows to be accepted; none where they have no connection of their own.
    pub answers: u64,
    /// What the trader asked of the heap once it had settled.
    pub allocations: u64,
    /// Of either core, before.
    pub quiet: [Quiet; 2],
    /// What the system refused of the placements.
    pub refused: Vec<String>,
}

/// What the two threads tell each other beside the wire.
#[derive(Debug, Default)]
struct Shared {
    /// The trader shall end.
    stop: AtomicBool,
    /// The trader has ended.
    done: AtomicBool,
    /// Let others run.
    resting: AtomicBool,
}

/// Sets a flag when it goes, however it goes.
struct Flag<'a>(&'a AtomicBool);

impl Drop for Flag<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Run the scenario over the two sides' ends, with an engine that has seen nothing.
///
/// # Errors
/// What the transports say, a login that fails, and messages that the engine cannot read. An order that does not come is none: then
/// `stopped` says so.
pub fn run(
    [exchange, trader]: [&mut Ends; 2],
    scenario: &Scenario,
    runner: &mut dyn Runner,
) -> Result<Measurement, Failure> {
    let shared = Shared::default();
    let _ = Clock::get(); // calibrated before anybody waits
    if scenario.rests {
        thread::sleep(REST);
    }
    let (one, other) = thread::scope(|scope| {
        let other = scope.spawn(|| {
            let done = Flag(&shared.done);
            let (refused, quiet) = settled(scenario, scenario.placements[1]);
            let traded = trader::work(trader, scenario, runner, &shared);
            if traded.as_ref().is_ok_and(|traded| traded.died) {
                std::mem::forget(done); // a crashed trader does not signal completion
            }
            (refused, quiet, traded)
        });
        let one = scope.spawn(|| {
            let _stop = Flag(&shared.stop);
            let (refused, quiet) = settled(scenario, scenario.placements[0]);
            (refused, quiet, exchange::work(exchange, scenario, &shared))
        });
        let one = one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (one, other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    // What went wrong there is why nothing came back here.
    let traded = other.2.step("trader")?;
    let found = one.2.step("exchange")?;
    let mut refused = one.0;
    refused.extend(other.0.into_iter().filter(|text| !text.starts_with("SCHED_FIFO")));
    Ok(Measurement {
        received: traded.received,
        ready: traded.ready,
        counts: traded.counts,
        answers: traded.answers,
        allocations: traded.allocations,
        quiet: [one.1, other.1],
        refused,
        ..found
    })
}

/// Take the placement and see how quiet it is there.
fn settled(scenario: &Scenario, placement: Placement) -> (Vec<String>, Quiet) {
    let refused = placement.take();
    let mut gaps = Gaps::new(Clock::get(), LOST_NS, LONG_NS);
    gaps.watch(scenario.probe.as_nanos() as f64);
    let found = gaps.report();
    let lost_share = found.lost_ns / found.watched_ns.max(1.0);
    (refused, Quiet { lost_share, max_ns: found.max_ns })
}

/// Something that should not have come.
fn unexpected(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.into())
}
