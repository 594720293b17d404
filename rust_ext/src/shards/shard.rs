//! One shard: an engine of its own for the instruments that are its own. It hops over all messages, notes where its own stand, a piece
//! small enough for the caches at a time, and has its engine run those where they are.

use super::deal::Owners;
use super::references::References;
use super::wire::{Glance, Wire};
use crate::clock::thread_cpu_ns;
use crate::event::{Event, Fault};
use crate::order::Attempt;
use crate::reserved::prefetch;
use crate::run::{Place, Runner};

/// Messages of the feed, own and others', that are hopped over before the own ones are run.
const HOP: usize = 1 << 10;
/// Bytes ahead of the hop that are asked for: a length is needed at once, and memory answers late.
const READ_AHEAD: usize = 2 << 10;

/// How far a shard came; the same for all shards, whatever is their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// Offset behind the last message.
    pub at: usize,
    /// Messages of the feed passed.
    pub messages: usize,
    /// It stopped before messages that must be run one by one, over all shards.
    pub doubt: bool,
}

/// What is hopped over at once.
#[derive(Default)]
struct Hop {
    at: usize,
    messages: usize,
    own: usize,
    fresh: usize,
    clears: bool,
}

/// See the head of this file.
pub struct Shard {
    /// Its engine; messages and instruments have the numbers of the feed there.
    pub engine: Box<dyn Runner>,
    /// Of all instruments, and all shards alike.
    pub references: References,
    /// Time that threads have spent on it, ns.
    pub cpu_ns: u64,
    /// As `Owners` names it.
    number: u8,
    /// Of a hop, where own messages stand, and the references that all messages bring.
    places: Box<[Place; HOP]>,
    fresh: Box<[u64; HOP]>,
    /// Messages for which there is room.
    ready: usize,
}

impl Shard {
    /// A shard that has seen nothing.
    pub fn new(mut engine: Box<dyn Runner>, number: u8, references: References) -> Self {
        engine.order_mut().listed = Some(Vec::new());
        engine.tally().kept_faults = usize::MAX;
        Shard {
            engine,
            references,
            cpu_ns: 0,
            number,
            places: Box::new([Place::default(); HOP]),
            fresh: Box::new([0; HOP]),
            ready: 0,
        }
    }

    /// Run the own ones among some messages, the first of which is message `first` of the feed.
    pub fn run<W: Wire>(&mut self, data: &[u8], owners: &Owners, most: usize, first: u64) -> Pass {
        let start = thread_cpu_ns();
        let mut pass = Pass::default();
        while pass.messages < most {
            let wanted = (most - pass.messages).min(HOP);
            let rest = &data[pass.at..];
            let hop = self.hop::<W>(rest, owners, wanted);
            pass.doubt = hop.clears || !self.references.admit(&self.fresh[..hop.fresh]);
            if pass.doubt {
                break;
            }
            self.engine.run_at(rest, W::RECORDS, &self.places[..hop.own], first + pass.messages as u64);
            pass.at += hop.at;
            pass.messages += hop.messages;
            if hop.messages < wanted {
                break;
            }
        }
        self.cpu_ns += thread_cpu_ns() - start;
        pass
    }

    /// Run one own message, as message `index` of the feed; an order that it brings may come without a quantity.
    pub fn run_one<W: Wire>(&mut self, message: &[u8], index: u64, empty: bool) {
        let mut copy = message.to_vec();
        if empty {
            W::empty(&mut copy);
        }
        self.engine.run_at(&copy, W::RECORDS, &[Place::default()], index);
    }

    /// Note which of the next `wanted` messages are own ones.
    #[inline(never)]
    fn hop<W: Wire>(&mut self, data: &[u8], owners: &Owners, wanted: usize) -> Hop {
        let mut hop = Hop::default();
        while hop.messages < wanted {
            while let Some(message) = W::glance(data, hop.at).filter(|_| hop.messages < wanted) {
                if let Some(later) = data.get(hop.at + READ_AHEAD) {
                    prefetch(later);
                }
                self.note(&mut hop, &message, owners);
            }
            match W::look(data, hop.at).filter(|_| hop.messages < wanted) {
                Some(message) => self.note(&mut hop, &message, owners),
                None => break,
            }
        }
        hop
    }

    /// One message hopped over. Without a branch on whose it is, which would be random to a predictor: the place of another's is
    /// overwritten by the next.
    #[inline(always)]
    fn note(&mut self, hop: &mut Hop, message: &Glance, owners: &Owners) {
        self.places[hop.own % HOP] = Place { at: hop.at as u32, index: hop.messages as u32 };
        self.fresh[hop.fresh % HOP] = message.fresh;
        hop.own += (owners[message.instrument as usize] == self.number) as usize;
        hop.fresh += message.is_fresh as usize;
        hop.clears |= message.clears;
        hop.at += message.size;
        hop.messages += 1;
    }

    /// Messages run.
    pub fn messages(&mut self) -> u64 {
        self.engine.tally().counts.iter().sum()
    }

    /// What was refused since the last call.
    pub fn take_faults(&mut self) -> Vec<(u64, Fault, Event)> {
        std::mem::take(&mut self.engine.tally().first_faults)
    }

    /// Why the message `index`, the latest, was refused, if it was.
    pub fn fault_at(&mut self, index: u64) -> Option<Fault> {
        self.engine.tally().first_faults.last().filter(|fault| fault.0 == index).map(|fault| fault.1)
    }

    /// Say of the latest message why it was refused, and what it was.
    pub fn name_fault(&mut self, index: u64, fault: Fault, event: Event) {
        if let Some(latest) = self.engine.tally().first_faults.last_mut() {
            *latest = (index, fault, event);
        }
    }

    /// Make room for so many messages, once.
    pub fn ready(&mut self, messages: usize) {
        if messages > self.ready {
            self.ready = messages;
            self.engine.reserve(messages);
        }
    }

    /// The attempts since the last call.
    pub fn take_attempts(&mut self) -> Vec<Attempt> {
        std::mem::take(self.engine.order_mut().listed.get_or_insert_default())
    }
}
