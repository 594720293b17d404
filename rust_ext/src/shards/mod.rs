//! One run on several cores. Instruments share nothing but the references of their orders, the numbers of messages and orders, and the
//! limits that hold for all together; so each shard runs the messages of its own instruments in a thread of its own, and what is shared is
//! settled afterwards, in the order of the feed.
//!
//! ```text
//! bytes -+-> shard 0: hop, book, signal, decide -+-> rows merged, faults named, attempts -> risk, encode -> orders
//!        +-> shard 1: hop, book, signal, decide -+   (`rows`)     (`labels`)    (order::OrderEntry, once)
//! ```
//!
//! That is exact because (1) a reference that was never used before cannot be live in another shard; each shard sees all messages and
//! stops before one that it doubts (`references`), and from there on, to the end of the piece, messages are run one by one over all shards
//! (`Shards::one_by_one`); (2) a message that is refused changes nothing, so it may be asked later why (`labels`); (3) an attempt counts
//! whether or not risk lets it through, so that no shard need wait for risk.

mod deal;
mod labels;
mod references;
mod rows;
mod runner;
mod shard;
mod wire;

use crate::clock::Clock;
use crate::dispatch::{self, Variant};
use crate::error::Error;
use crate::event::Fault;
use crate::order::OrderEntry;
use crate::reserved::out_of_memory;
use crate::run::{FIRST_FAULTS, Instead, Runner, Settings, Tally};
use deal::{Head, Owners, deal};
use labels::Refused;
use references::References;
use shard::{Pass, Shard};
use wire::Wire;

/// Bytes below which no thread is worth its start.
const SMALL: usize = 1 << 16;
/// Messages run between two looks at what the shards gave: 10 ms, so that a thread's start is nothing beside it.
const PIECE: usize = 1 << 18;

/// See the head of this file.
pub struct Shards {
    variant: (String, String, bool, String),
    settings: Settings,
    clock: Clock,
    shards: Vec<Shard>,
    owners: Box<Owners>,
    /// What the run gave, over all shards.
    tally: Tally,
    /// Risk and encoding.
    order: OrderEntry,
    one_by_one: u64,
    doubted: Option<u64>,
    refused: Vec<Refused>,
}

impl Shards {
    /// A run on `threads` threads that has seen nothing: neither stamped nor strict.
    ///
    /// # Errors
    /// As `dispatch::engine`.
    pub fn new(variant: Variant, settings: Settings, threads: u8) -> Result<Self, Error> {
        let mut shards = Shards {
            variant: (variant.book.into(), variant.orders.into(), variant.pool, variant.signal.into()),
            clock: Clock::get(),
            shards: Vec::new(),
            owners: deal(&[0; deal::INSTRUMENTS], 1),
            tally: Tally::new(&settings),
            order: OrderEntry::new(settings.order.clone()),
            settings,
            one_by_one: 0,
            doubted: None,
            refused: Vec::new(),
        };
        shards.open(&vec![0; deal::INSTRUMENTS], threads, false)?;
        Ok(shards)
    }

    fn engine(&self) -> Result<Box<dyn Runner>, Error> {
        let (book, orders, pool, signal) = &self.variant;
        dispatch::engine(Variant { book, orders, pool: *pool, signal }, self.settings.clone())
    }

    /// Make the shards anew, by the messages counted.
    fn open(&mut self, counts: &[u32], threads: u8, table: bool) -> Result<(), Error> {
        self.owners = deal(counts, threads as usize);
        self.shards.clear();
        for number in 0..threads {
            self.shards.push(Shard::new(self.engine()?, number, References::new(table)));
        }
        Ok(())
    }

    /// Deal the instruments by the head of the feed; the one engine that shall run it instead, and the message that says so, if references
    /// come again from the start.
    fn look_at<W: Wire>(&mut self, data: &[u8]) -> Result<Option<Instead>, Error> {
        if self.tally.messages > 0 {
            return Ok(None);
        }
        let start = self.clock.now();
        let head = Head::of::<W>(data);
        if let Some(message) = head.again {
            return Ok(Some((self.engine()?, message)));
        }
        self.open(&head.counts, self.shards.len() as u8, head.table)?;
        self.count_time(start);
        Ok(None)
    }

    /// Add the time since a reading of the clock to that of the loop.
    fn count_time(&mut self, start: u64) {
        let ticks = self.clock.now().saturating_sub(start);
        self.tally.elapsed_ns += (ticks as f64 * self.clock.ns_per_tick) as u64;
    }

    /// Run whole messages, at most `most`; returns the bytes used.
    fn run<W: Wire>(&mut self, data: &[u8], most: usize) -> usize {
        let start = self.clock.now();
        let (mut at, mut left) = (0, most);
        while left > 0 {
            let asked = left.min(PIECE);
            let (bytes, messages) = self.piece::<W>(&data[at..], asked);
            at += bytes;
            left -= messages;
            if messages < asked {
                break;
            }
        }
        self.count_time(start);
        at
    }

    /// The same for one piece; returns the bytes and messages used.
    fn piece<W: Wire>(&mut self, data: &[u8], most: usize) -> (usize, usize) {
        let first = self.tally.messages;
        let Shards { shards, owners, .. } = self;
        let mut pass =
            each(shards, data.len() >= SMALL && most > 1, |shard| shard.run::<W>(data, owners, most, first));
        self.tally.messages += pass.messages as u64;
        self.gather_faults();
        let Shards { refused, owners, shards, .. } = self;
        let lives = |shard: usize, id| shards[shard].engine.locate(id).is_some();
        labels::settle::<W>(refused, &data[..pass.at], first, &owners[..], lives);
        if pass.doubt {
            self.doubted.get_or_insert(self.tally.messages);
            self.one_by_one::<W>(data, &mut pass, most);
            self.gather_faults();
        }
        self.collect();
        (pass.at, pass.messages)
    }

    /// Go on message by message, asking all shards what one engine would know.
    fn one_by_one<W: Wire>(&mut self, data: &[u8], pass: &mut Pass, most: usize) {
        while pass.messages < most
            && let Some(message) = W::look(data, pass.at)
        {
            let owner = self.owners[message.instrument as usize] as usize;
            let index = self.tally.messages;
            let taken = message.is_fresh && self.lives_beside(owner, message.fresh);
            self.shards[owner].run_one::<W>(&data[pass.at..pass.at + message.size], index, taken);
            if let Some(fault) = self.shards[owner].fault_at(index) {
                let event = W::event(data, pass.at);
                let fault = match fault {
                    Fault::UnknownOrder if self.lives_beside(owner, event.order_id) => Fault::WrongInstrument,
                    // It came without its quantity, so that the book would not take it.
                    Fault::ZeroQty if taken && event.qty > 0 && event.price == 0 => Fault::ZeroPrice,
                    Fault::ZeroQty if taken && event.qty > 0 => Fault::DuplicateOrder,
                    same => same,
                };
                self.shards[owner].name_fault(index, fault, event);
            }
            if message.is_fresh {
                self.shards.iter_mut().for_each(|shard| shard.references.note(message.fresh));
            }
            self.tally.messages += 1;
            self.one_by_one += 1;
            pass.at += message.size;
            pass.messages += 1;
        }
    }

    /// Whether an order is live in another shard.
    fn lives_beside(&mut self, owner: usize, id: u64) -> bool {
        let mut others = self.shards.iter_mut().enumerate().filter(|(number, _)| *number != owner);
        others.any(|(_, shard)| shard.engine.locate(id).is_some())
    }

    fn gather_faults(&mut self) {
        for (number, shard) in self.shards.iter_mut().enumerate() {
            let faults = shard.take_faults().into_iter();
            self.refused.extend(faults.map(|(index, fault, event)| (index, fault, event, number)));
        }
    }

    /// Take what the shards gave, in the order of the feed; risk and encoding happen here.
    fn collect(&mut self) {
        let Tally { counts, unknown, faults, first_faults, recorder, .. } = &mut self.tally;
        (*counts, *unknown) = ([0; 256], [0; 256]);
        for shard in &mut self.shards {
            let tally = shard.engine.tally();
            add(counts, &tally.counts);
            add(unknown, &tally.unknown);
        }
        self.refused.sort_unstable_by_key(|fault| fault.0);
        for (index, fault, event, _) in self.refused.drain(..) {
            faults[fault as usize] += 1;
            if first_faults.len() < FIRST_FAULTS {
                first_faults.push((index, fault, event));
            }
        }
        let mut attempts: Vec<_> = self.shards.iter_mut().flat_map(Shard::take_attempts).collect();
        attempts.sort_unstable_by_key(|attempt| attempt.index);
        attempts.iter().for_each(|attempt| self.order.send(attempt));
        let mut parts: Vec<_> =
            self.shards.iter_mut().map(|shard| &mut shard.engine.tally().recorder).collect();
        rows::merge(recorder, &mut parts);
    }
}

fn add(sums: &mut [u64; 256], more: &[u64; 256]) {
    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

/// Have each shard work, in threads if `together`; all come equally far.
fn each(shards: &mut [Shard], together: bool, work: impl Fn(&mut Shard) -> Pass + Sync) -> Pass {
    let work = &work;
    let Some((first, rest)) = shards.split_first_mut() else { return Pass::default() };
    if !together {
        rest.iter_mut().for_each(|shard| _ = work(shard));
        return work(first);
    }
    std::thread::scope(|scope| {
        let start = |shard| std::thread::Builder::new().spawn_scoped(scope, move || work(shard));
        let threads: Vec<_> =
            rest.iter_mut().map(|shard| start(shard).unwrap_or_else(|_| out_of_memory(0))).collect();
        let pass = work(first);
        for thread in threads {
            let other = thread.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause));
            debug_assert_eq!(other, pass);
        }
        pass
    })
}
