//! The exchange's side: packets out when they are due, orders in, every one of both stamped.

use std::io;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Instant;

use super::arrivals::{Arrivals, NEVER};
use super::datagrams::Datagrams;
use super::orders::{self, Answers};
use super::{Ends, LOOK, Measurement, Scenario, Shared, floor, unexpected};
use crate::clock::Clock;
use crate::net::transport::is_gone;
use crate::net::{BURST, REST};

/// Of so many polls for orders one is for requests, where these come over another end.
const POLLS: u32 = 64;
/// Packets between two looks at the time.
const OFTEN: usize = 32;

/// All of it.
///
/// # Errors
/// What the transports say; `InvalidData` for a login that is none; `TimedOut` where the trader never came.
pub fn work(ends: &mut Ends, scenario: &Scenario, shared: &Shared) -> io::Result<Measurement> {
    let packets = Datagrams::of(scenario.data, scenario.ends)
        .ok_or_else(|| unexpected("the packets are not whole messages"))?;
    let floor = floor::measure(ends, scenario.floor, scenario.patience)?;
    orders::admit(ends, shared, scenario.patience)?;
    let expected = scenario.orders.last().map_or(0, |&orders| orders as usize);
    let n = packets.len();
    let mut exchange = Exchange {
        clock: Clock::get(),
        framed: ends.framed(),
        answers: (!ends.shared()).then(Answers::new),
        seen: Arrivals::new(scenario.first, expected),
        sent: vec![NEVER; n],
        due: vec![NEVER; n],
        left: 0,
        resent: 0,
        polls: 0,
        stopped: None,
        ends,
        scenario,
        shared,
        packets,
    };
    match exchange.run() {
        Err(error) if is_gone(&error) => exchange.stop("the trader has gone"),
        done => done?,
    }
    Ok(exchange.finish(floor))
}

struct Exchange<'a> {
    clock: Clock,
    ends: &'a mut Ends,
    framed: bool,
    scenario: &'a Scenario<'a>,
    shared: &'a Shared,
    packets: Datagrams,
    seen: Arrivals,
    /// None where orders have no connection of their own.
    answers: Option<Answers>,
    sent: Vec<u64>,
    due: Vec<u64>,
    /// Packets that have left.
    left: usize,
    resent: u64,
    polls: u32,
    stopped: Option<String>,
}

impl Exchange<'_> {
    fn run(&mut self) -> io::Result<()> {
        let (begin, start) = (self.clock.now(), Instant::now());
        let mut burst = start;
        for i in 0..self.packets.len() {
            match self.scenario.due_ns[i] {
                due_ns if due_ns < 0 => {
                    let before = if i == 0 { 0 } else { self.scenario.orders[i - 1] as usize };
                    if !self.come(before)? {
                        return Ok(());
                    }
                    if i % OFTEN == 0 {
                        if start.elapsed() > self.scenario.limit {
                            break;
                        }
                        if self.scenario.rests && burst.elapsed() > BURST {
                            self.rest();
                            burst = Instant::now();
                        }
                    }
                }
                due_ns => {
                    self.due[i] = begin + (due_ns as f64 / self.clock.ns_per_tick) as u64;
                    self.until(self.due[i])?;
                }
            }
            if !self.send(i)? {
                return Ok(());
            }
            if self.scenario.due_ns[i] >= 0 {
                while self.poll()? {} // also where the next is overdue: orders must not pile up
            }
        }
        let last = self.left.checked_sub(1).map_or(0, |last| self.scenario.orders[last] as usize);
        if self.come(last)? { self.end() } else { Ok(()) }
    }

    /// Take the next order in, if it is there.
    #[inline(always)]
    fn poll(&mut self) -> io::Result<bool> {
        let there = self.ends.orders().poll()?;
        if there {
            self.take()?;
        }
        Ok(there)
    }

    /// What the end of the orders has just received.
    #[inline(always)]
    fn take(&mut self) -> io::Result<()> {
        let now = self.clock.now();
        let place = self.seen.take(self.framed, self.ends.orders().message(), now);
        match (&mut self.answers, place) {
            (Some(answers), Some(place)) => answers.send(self.ends, self.seen.bytes(place)),
            _ => Ok(()),
        }
    }

    /// Take orders in until it is time.
    #[inline(always)]
    fn until(&mut self, due: u64) -> io::Result<()> {
        while self.clock.now() < due {
            self.poll()?;
            self.polls = self.polls.wrapping_add(1);
            if self.polls.is_multiple_of(POLLS) {
                self.listen()?;
            }
        }
        Ok(())
    }

    /// Send a packet; where there is no room, take orders in until there is. False if there never is.
    #[inline(always)]
    fn send(&mut self, i: usize) -> io::Result<bool> {
        let every = self.scenario.faults.drop_every;
        let dropped = every > 0 && i % every == every - 1;
        self.sent[i] = self.clock.now();
        if self.due[i] == NEVER {
            self.due[i] = self.sent[i];
        }
        self.left = i + 1;
        match if dropped { Ok(()) } else { self.ends.feed.send(self.packets.at(i)) } {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.insist(i),
            done => done.map(|()| true),
        }
    }

    #[cold]
    fn insist(&mut self, i: usize) -> io::Result<bool> {
        let until = Instant::now() + self.scenario.patience;
        loop {
            self.poll()?;
            self.sent[i] = self.clock.now();
            match self.ends.feed.send(self.packets.at(i)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done.map(|()| true),
            }
            if Instant::now() >= until || self.shared.done.load(Ordering::Acquire) {
                self.stop("the trader took no packet any more");
                return Ok(false);
            }
        }
    }

    /// Wait until so many orders have come; false if they do not.
    #[inline(always)]
    fn come(&mut self, orders: usize) -> io::Result<bool> {
        while self.seen.came < orders {
            if self.ends.orders().wait(LOOK)?.is_some() {
                self.take()?;
            } else if !self.chase(orders)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Nothing has come for a while: say what was sent, and answer those who have lost some of it.
    #[cold]
    fn chase(&mut self, orders: usize) -> io::Result<bool> {
        let (mut came, mut heard) = (self.seen.came, Instant::now());
        while self.seen.came < orders {
            if self.seen.came > came {
                return Ok(true);
            }
            let done = self.shared.done.load(Ordering::Acquire);
            if done || heard.elapsed() > self.scenario.patience {
                self.stop(if done { "the trader has ended" } else { "no order came any more" });
                return Ok(false);
            }
            self.say(false)?;
            if self.ends.orders().wait(LOOK)?.is_some() {
                self.take()?;
            }
            if self.listen()? {
                (came, heard) = (self.seen.came, Instant::now());
            }
        }
        Ok(true)
    }

    /// Look whether somebody has lost something, and send it again. Whether it was so.
    fn listen(&mut self) -> io::Result<bool> {
        if !self.ends.shared() && self.ends.feed.poll()? {
            self.seen.other(self.ends.feed.message());
        }
        let Some(request) = self.seen.wanted.take() else { return Ok(false) };
        if self.scenario.faults.deaf {
            return Ok(false);
        }
        for i in self.packets.wanted(&request).take_while(|&i| i < self.left) {
            // What finds no room is asked for again.
            match self.ends.feed.send(self.packets.at(i)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                done => done?,
            }
            self.resent += 1;
        }
        Ok(true)
    }

    /// Which number comes next, or that none does.
    fn say(&mut self, end: bool) -> io::Result<()> {
        match self.ends.feed.send(&self.packets.next(self.left, end)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            done => done,
        }
    }

    /// The session is over, which is said until the trader has it.
    fn end(&mut self) -> io::Result<()> {
        let until = Instant::now() + self.scenario.patience;
        while !self.shared.done.load(Ordering::Acquire) {
            if Instant::now() >= until {
                self.stop("the trader did not end with the session");
                break;
            }
            self.say(true)?;
            match self.ends.orders().wait(LOOK) {
                Ok(Some(_)) => self.take()?,
                Err(error) if !is_gone(&error) => return Err(error),
                _ => {}
            }
            self.listen()?;
        }
        Ok(())
    }

    #[cold]
    fn rest(&mut self) {
        self.shared.resting.store(true, Ordering::Release);
        thread::sleep(REST);
        self.shared.resting.store(false, Ordering::Release);
    }

    fn stop(&mut self, why: impl Into<String>) {
        self.stopped = Some(why.into());
    }

    fn finish(mut self, floor: Vec<u64>) -> Measurement {
        self.sent.truncate(self.left);
        self.due.truncate(self.left);
        Measurement {
            floor,
            due: self.due,
            sent: self.sent,
            arrived: self.seen.at,
            stream: self.seen.stream,
            duplicates: self.seen.twice,
            foreign: self.seen.foreign,
            resent: self.resent,
            stopped: self.stopped,
            ..Measurement::default()
        }
    }
}
