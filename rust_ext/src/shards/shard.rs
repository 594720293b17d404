//! One shard: an engine of its own for the instruments that are its own. It hops over all messages, copies its own into a batch small
//! enough for the caches, and runs that. Inside, messages and instruments are numbered without gaps, so that its tables are no longer
//! than they must be; what comes out is given the numbers of the feed at once.

use super::deal::INSTRUMENTS;
use super::references::References;
use super::wire::{PADDING, Wire};
use crate::clock::thread_cpu_ns;
use crate::event::{Event, Fault};
use crate::order::Attempt;
use crate::run::Runner;

/// Messages of the feed, own and others', between two looks at what the own ones gave.
const HOP: usize = 1 << 10;
/// In `locals`: another shard's instrument, and an own one that has no number yet.
const FOREIGN: u16 = u16::MAX;
const NEW: u16 = u16::MAX - 1;

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
    /// Its engine; what it has listed carries the numbers of the feed.
    pub engine: Box<dyn Runner>,
    /// Of all instruments, and all shards alike.
    pub references: References,
    /// Time that threads have spent on it, ns.
    pub cpu_ns: u64,
    /// Number inside by number in the feed.
    locals: Vec<u16>,
    /// Number in the feed by number inside; 0 is no instrument on both sides.
    globals: Vec<u16>,
    /// Names given beforehand, by number in the feed.
    names: Vec<[u8; 8]>,
    /// Copies of own messages, the places of these in the hop, and the references that all its messages bring.
    copies: Vec<u8>,
    places: Vec<u32>,
    fresh: Vec<u64>,
    /// Rows, faults and attempts whose numbers are those of the feed already.
    done: [usize; 3],
    /// Messages for which there is room.
    ready: usize,
}

impl Shard {
    /// A shard that has seen nothing, of the instruments that `owners` gives to `number`.
    pub fn new(
        engine: Box<dyn Runner>,
        owners: &[u8],
        number: u8,
        names: &[[u8; 8]],
        references: References,
    ) -> Self {
        let mut locals: Vec<u16> =
            owners.iter().map(|&owner| if owner == number { NEW } else { FOREIGN }).collect();
        if number == 0 {
            locals[0] = 0;
        }
        let mut shard = Shard {
            engine,
            references,
            cpu_ns: 0,
            locals,
            globals: vec![0],
            names: names.to_vec(),
            copies: Vec::new(),
            places: vec![0; HOP],
            fresh: vec![0; HOP],
            done: [0; 3],
            ready: 0,
        };
        shard.engine.order_mut().listed = Some(Vec::new());
        shard.engine.tally().kept_faults = usize::MAX;
        shard
    }

    /// The number inside of an own instrument that has been seen.
    pub fn local(&self, instrument: u16) -> Option<u16> {
        Some(self.locals[instrument as usize]).filter(|&local| local < NEW)
    }

    /// Name an own instrument.
    pub fn set_name(&mut self, instrument: u16, name: [u8; 8]) {
        if self.names.len() <= instrument as usize {
            self.names.resize(instrument as usize + 1, [0; 8]);
        }
        self.names[instrument as usize] = name;
        if let Some(local) = self.local(instrument) {
            self.engine.set_name(local, name);
        }
    }

    /// The number in the feed.
    pub fn global(&self, local: u16) -> u16 {
        self.globals[local as usize]
    }

    /// Run the own ones among some messages, the first of which is message `first` of the feed.
    pub fn run<W: Wire>(&mut self, data: &[u8], most: usize, first: u64) -> Pass {
        let start = thread_cpu_ns();
        let mut pass = Pass::default();
        while pass.messages < most {
            let wanted = (most - pass.messages).min(HOP);
            let hop = self.hop::<W>(data, pass.at, wanted);
            pass.doubt = hop.clears || !self.references.admit(&self.fresh[..hop.fresh]);
            if pass.doubt {
                break;
            }
            self.apply::<W>(hop.own, first + pass.messages as u64);
            pass.at = hop.at;
            pass.messages += hop.messages;
            if hop.messages < wanted {
                break;
            }
        }
        self.cpu_ns += thread_cpu_ns() - start;
        pass
    }

    /// Run one own message, as message `index` of the feed; an order that it brings may come without a quantity.
    pub fn run_one<W: Wire>(&mut self, data: &[u8], at: usize, index: u64, empty: bool) {
        let hop = self.hop::<W>(data, at, 1);
        if empty {
            W::empty(&mut self.copies);
        }
        self.apply::<W>(hop.own, index);
    }

    /// Copy the own messages among the next `wanted`. Without a branch on whose a message is, which would be
    /// random to a predictor: the copy of another's is overwritten by the next.
    #[inline(never)]
    fn hop<W: Wire>(&mut self, data: &[u8], at: usize, wanted: usize) -> Hop {
        self.copies.resize(HOP * W::LONGEST + PADDING, 0);
        let (mut hop, mut end) = (Hop { at, ..Hop::default() }, 0);
        while hop.messages < wanted {
            let message = match W::glance(data, hop.at) {
                Some(message) => {
                    let bytes = &data[hop.at..hop.at + W::COPIED];
                    self.copies[end..end + W::COPIED].copy_from_slice(bytes);
                    message
                }
                None => {
                    let Some(message) = W::look(data, hop.at) else { break };
                    let bytes = &data[hop.at..hop.at + message.size];
                    self.copies[end..end + message.size].copy_from_slice(bytes);
                    message
                }
            };
            let mut local = self.locals[message.instrument as usize];
            if local == NEW {
                local = self.number(message.instrument);
            }
            if message.instrument != 0 {
                W::rename(&mut self.copies[end..], local);
            }
            self.places[hop.own] = hop.messages as u32;
            self.fresh[hop.fresh] = message.fresh;
            let own = local != FOREIGN;
            end += if own { message.size } else { 0 };
            hop.own += own as usize;
            hop.fresh += message.is_fresh as usize;
            hop.clears |= message.clears;
            hop.at += message.size;
            hop.messages += 1;
        }
        hop
    }

    /// Give an own instrument the next number inside.
    #[cold]
    fn number(&mut self, instrument: u16) -> u16 {
        let local = self.globals.len() as u16;
        self.globals.push(instrument);
        self.locals[instrument as usize] = local;
        if let Some(name) = self.names.get(instrument as usize) {
            self.engine.set_name(local, *name);
        }
        local
    }

    /// Run the first `own` copies, and give what they gave the numbers of the feed; `first` is the number of the hop's first message.
    fn apply<W: Wire>(&mut self, own: usize, first: u64) {
        if own == 0 {
            return;
        }
        let before = self.engine.tally().messages;
        W::run(&mut *self.engine, &self.copies, own);
        let (places, globals) = (&self.places, &self.globals);
        let index = |local: &mut u64| *local = first + places[(*local - before) as usize] as u64;
        let instrument = |local: &mut u16| *local = globals[*local as usize];
        let tally = self.engine.tally();
        tally.recorder.index[self.done[0]..].iter_mut().for_each(index);
        tally.recorder.instrument[self.done[0]..].iter_mut().for_each(instrument);
        for fault in &mut tally.first_faults[self.done[1]..] {
            index(&mut fault.0);
            instrument(&mut fault.2.instrument);
        }
        self.done[0] = tally.recorder.index.len();
        self.done[1] = tally.first_faults.len();
        let listed = self.engine.order_mut().listed.get_or_insert_default();
        for attempt in &mut listed[self.done[2]..] {
            index(&mut attempt.index);
            instrument(&mut attempt.instrument);
        }
        self.done[2] = listed.len();
    }

    /// What was refused since the last call.
    pub fn take_faults(&mut self) -> Vec<(u64, Fault, Event)> {
        self.done[1] = 0;
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
        self.done[2] = 0;
        std::mem::take(self.engine.order_mut().listed.get_or_insert_default())
    }

    /// Its rows have been taken.
    pub fn rows_taken(&mut self) {
        self.done[0] = 0;
    }
}

const _: () = assert!(INSTRUMENTS == NEW as usize + 2, "every number of an instrument has a place");
