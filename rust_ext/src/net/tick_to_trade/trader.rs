//! The trader's side: packets in, through the arbiter and the engine as it is, orders out.

use std::io;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::arrivals::NEVER;
use super::{Ends, LOOK, SESSION, Scenario, Shared, floor, orders, unexpected};
use crate::clock::Clock;
use crate::net::transport::is_gone;
use crate::protocols::arbiter::{Arbiter, Config, Counts};
use crate::protocols::ouch::EnterOrder;
use crate::protocols::soupbintcp::{Client, Event};
use crate::run::Runner;

/// What the trader tells afterwards; see `Measurement`.
#[derive(Debug, Default)]
pub struct Traded {
    pub received: Vec<u64>,
    pub ready: Vec<u64>,
    pub counts: Counts,
    pub allocations: u64,
    pub answers: u64,
    /// It has died, as it was told to.
    pub died: bool,
}

/// All of it.
///
/// # Errors
/// What the transports say; `InvalidData` where it is not let in, or for messages that the engine cannot read.
pub fn work(
    ends: &mut Ends,
    scenario: &Scenario,
    runner: &mut dyn Runner,
    shared: &Shared,
) -> io::Result<Traded> {
    if !floor::echo(ends, shared)? {
        return Ok(Traded::default());
    }
    if runner.run_bytes(scenario.warm, usize::MAX) != (scenario.warm.len(), None) {
        return Err(unexpected("the engine cannot read the messages before"));
    }
    forget(runner);
    let expected = scenario.orders.last().map_or(0, |&orders| orders as usize);
    runner.order_mut().stream.reserve(1 << 16);
    runner.order_mut().orders.reserve(1 << 12);
    let clock = Clock::get();
    let now_ns = (clock.now() as f64 * clock.ns_per_tick) as i64;
    let Some(client) = orders::enter(ends, shared, scenario.patience, now_ns)? else {
        return Ok(Traded::default());
    };
    let mut trader = Trader {
        delay: (scenario.faults.delay_ns as f64 / clock.ns_per_tick) as u64,
        clock,
        arbiter: Arbiter::new(Some(SESSION), 1, Config::default()),
        client,
        received: vec![NEVER; expected],
        ready: vec![NEVER; if scenario.stamps { expected } else { 0 }],
        sent: 0,
        answers: 0,
        packets: 0,
        since: 0,
    };
    let died = match trader.run(ends, scenario, runner, shared) {
        Err(error) if is_gone(&error) => false,
        died => died?,
    };
    let asked = if trader.packets > scenario.settle { (scenario.asked)() - trader.since } else { 0 };
    trader.received.truncate(trader.sent);
    trader.ready.truncate(trader.sent);
    let Trader { received, ready, arbiter, answers, .. } = trader;
    Ok(Traded { received, ready, counts: arbiter.counts, answers, allocations: asked, died })
}

/// The orders that have left, which would pile up otherwise.
#[inline(always)]
fn forget(runner: &mut dyn Runner) {
    let entry = runner.order_mut();
    entry.stream.clear();
    entry.orders.clear();
}

struct Trader {
    clock: Clock,
    arbiter: Arbiter,
    client: Client,
    received: Vec<u64>,
    ready: Vec<u64>,
    /// Orders sent.
    sent: usize,
    /// Orders that the exchange has said it accepts.
    answers: u64,
    /// Packets received.
    packets: u64,
    /// Allocations when it had settled.
    since: u64,
    /// Ticks to waste on every packet.
    delay: u64,
}

impl Trader {
    /// Until the session is over, or it is told to end. Whether it died.
    fn run(
        &mut self,
        ends: &mut Ends,
        scenario: &Scenario,
        runner: &mut dyn Runner,
        shared: &Shared,
    ) -> io::Result<bool> {
        let dies_after = scenario.faults.dies_after as u64;
        loop {
            let Some(packet) = ends.feed.wait(LOOK)? else {
                if shared.stop.load(Ordering::Relaxed) {
                    return Ok(false);
                }
                self.ask(ends)?;
                while shared.resting.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(1));
                }
                continue;
            };
            let received = self.clock.now();
            let now_ns = self.ns(received);
            self.waste(received);
            let blocks = self.arbiter.receive(0, packet, now_ns).blocks;
            if !blocks.is_empty() {
                if runner.run_bytes(blocks, usize::MAX) != (blocks.len(), None) {
                    return Err(unexpected("the engine cannot read a message"));
                }
                if self.send(ends, scenario, runner, received)? {
                    self.hear(ends, now_ns)?;
                }
            }
            self.packets += 1;
            if self.packets == scenario.settle {
                self.since = (scenario.asked)();
            }
            if self.arbiter.stale() {
                self.ask(ends)?;
            }
            if self.arbiter.finished() || self.packets == dies_after {
                return Ok(self.packets == dies_after);
            }
        }
    }

    #[inline(always)]
    fn ns(&self, ticks: u64) -> i64 {
        (ticks as f64 * self.clock.ns_per_tick) as i64
    }

    /// Every order that the engine has made, framed and sent; whether there was one.
    #[inline(always)]
    fn send(
        &mut self,
        ends: &mut Ends,
        scenario: &Scenario,
        runner: &mut dyn Runner,
        received: u64,
    ) -> io::Result<bool> {
        let entry = runner.order_mut();
        if entry.stream.is_empty() {
            return Ok(false);
        }
        let now_ns = self.ns(received);
        for order in entry.stream.chunks_exact(EnterOrder::BYTES) {
            let packet = self.client.send(now_ns, |to| to.extend_from_slice(order));
            let packet = packet.ok_or_else(|| unexpected("the session of the orders is not open"))?;
            if let Some(ready) = self.ready.get_mut(self.sent) {
                *ready = self.clock.now();
            }
            ends.send_within(packet, scenario.patience)?;
            if let Some(at) = self.received.get_mut(self.sent) {
                *at = received;
            }
            self.sent += 1;
        }
        forget(runner);
        Ok(true)
    }

    /// What the exchange has answered so far, on a connection of its own.
    fn hear(&mut self, ends: &mut Ends, now_ns: i64) -> io::Result<()> {
        let framed = ends.framed();
        while !ends.shared() && ends.orders().poll()? {
            orders::hear(&mut self.client, Ends::body(framed, ends.orders().message()), now_ns);
            while let Some(event) = self.client.next_event() {
                self.answers += matches!(event, Event::Message(..)) as u64;
            }
        }
        Ok(())
    }

    /// Ask for what is missing, if it is time to.
    #[cold]
    fn ask(&mut self, ends: &mut Ends) -> io::Result<()> {
        let now_ns = self.ns(self.clock.now());
        let Some(request) = self.arbiter.due(now_ns) else { return Ok(()) };
        match ends.feed.send(&request.bytes()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            done => done,
        }
    }

    /// A planted delay.
    #[inline(always)]
    fn waste(&self, since: u64) {
        if self.delay > 0 {
            while self.clock.now() - since < self.delay {
                std::hint::spin_loop();
            }
        }
    }
}
