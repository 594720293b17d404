//! THE MAIN PATH: for each message -> tick, book, signal, order. `Engine::step` is the engine, `Engine::run` hands it the messages of a
//! block; `Runner`, at the end, is what everybody else asks of it.

use std::marker::PhantomData;
use std::time::Instant;

use crate::book::levels::Levels;
use crate::book::orders::Index;
use crate::book::pool::Pool;
use crate::book::{Book, DepthRow, Top};
use crate::clock::Clock;
use crate::event::{Event, FAULT_COUNT, Fault, kind};
use crate::frames::{BATCH, Batch, Next, Problem, window};
use crate::itch::{WINDOW, decode, is_known, unknown};
use crate::order::OrderEntry;
use crate::prefetch;
use crate::recording::{Mode, Recorder};
use crate::run::{Runner, Settings, Tally, Until, stamp};
use crate::signal::{Change, NO_VALUES, Signal, State};
use crate::timing::Stamps;

/// Faults that are kept with their record.
const FIRST_FAULTS: usize = 100;
/// Instruments from which on what a message needs is no longer in cache when it comes, and is asked for ahead.
const SCATTERED: usize = 64;

/// Of so many batches one is looked at for old orders.
const SAMPLED: u32 = 16;

/// The engine: a book of `L`, `I` and `P`, signals by `S`.
pub struct Engine<L, I, P, S> {
    settings: Settings,
    clock: Clock,
    book: Book<L, I, P>,
    /// Signals by instrument, as many as the book has instruments.
    signals: Vec<State>,
    order: OrderEntry,
    tally: Tally,
    /// Batches so far.
    batches: u32,
    /// What `is_cold` found when it last looked.
    cold: bool,
    signal: PhantomData<S>,
}

impl<L: Levels, I: Index, P: Pool, S: Signal> Engine<L, I, P, S> {
    /// An engine that has seen nothing.
    pub fn new(settings: Settings) -> Self {
        let mut engine = Engine {
            clock: Clock::get(),
            book: Book::default(),
            signals: Vec::new(),
            order: OrderEntry::new(settings.order.clone()),
            tally: Tally {
                messages: 0,
                elapsed_ns: 0,
                counts: [0; 256],
                unknown: [0; 256],
                faults: [0; FAULT_COUNT],
                first_faults: Vec::with_capacity(FIRST_FAULTS),
                recorder: Recorder::new(settings.record),
                stamps: Stamps::new(settings.keep, &Clock::get()),
            },
            settings,
            batches: 0,
            cold: false,
            signal: PhantomData,
        };
        for (i, name) in engine.settings.names.iter().enumerate() {
            *engine.book.name(i as u16) = *name;
        }
        engine
    }

    /// One event through book, signal and order. Returns the side acted on, 0, or minus the fault.
    #[inline(always)]
    fn step<const STAMPED: bool>(&mut self, event: &Event, t0: u64, t1: u64) -> i32 {
        let until = self.settings.until;
        let stages = STAMPED && self.settings.stamps == stamp::STAGES;
        let (index, instrument) = (self.tally.messages, event.instrument);
        let (mut t2, mut t3, mut applied) = (t1, t1, 0);
        let before = self.book.top(instrument);
        self.tally.counts[event.kind as usize] += 1;

        if until >= Until::Book {
            let outcome = self.book.apply(event);
            if stages {
                t2 = self.clock.now();
            }
            match outcome {
                Ok(0) => {
                    if event.kind == kind::STATUS && until >= Until::Order {
                        self.order.status(instrument, event.qty);
                    }
                }
                Ok(side) => {
                    applied = side as i32;
                    if until >= Until::Signal {
                        let (score, after) = self.signals(event, &before);
                        if stages {
                            t3 = self.clock.now();
                        }
                        if until >= Until::Order
                            && instrument > 0
                            && self.order.acts(instrument, &after, score)
                        {
                            let name = self.book.name(instrument);
                            self.order.attempt(index, event.ts_ns, instrument, &after, score, name);
                        }
                    }
                }
                Err(fault) => applied = self.refuse(index, fault, event),
            }
        }
        if STAMPED {
            let (t2, t3) = (t2.max(t1), t3.max(t2));
            self.tally.stamps.add([t0, t1, t2, t3, self.clock.now()]);
        }
        if self.settings.record != Mode::None && !(applied < 0 && self.settings.strict) {
            self.record(index, event, &before);
        }
        applied
    }

    /// The signals of one applied event; returns the score and the touch after it.
    #[inline(always)]
    fn signals(&mut self, event: &Event, before: &Top) -> (f64, Top) {
        let (instrument, touched) = (event.instrument, self.book.store.touched);
        if instrument as usize >= self.signals.len() {
            self.signals.resize_with(instrument as usize + 1, State::default);
        }
        let (config, state) = (&self.settings.signal, &mut self.signals[instrument as usize]);
        let after = self.book.top(instrument);
        S::update(config, state, &self.book, &Change { event, touched, before, after: &after });
        (state.values[8], after)
    }

    fn record(&mut self, index: u64, event: &Event, before: &Top) {
        let rows = &mut self.tally.recorder;
        let top = self.book.top(event.instrument);
        if event.instrument == 0 {
            if self.settings.record == Mode::All {
                rows.push(index, event, &Top::default(), &NO_VALUES);
            }
        } else if self.settings.record == Mode::All || top != *before {
            let values =
                self.signals.get(event.instrument as usize).map_or(&NO_VALUES, |state| &state.values);
            rows.push(index, event, &top, values);
        }
    }

    #[cold]
    fn refuse(&mut self, index: u64, fault: Fault, event: &Event) -> i32 {
        let tally = &mut self.tally;
        tally.faults[fault as usize] += 1;
        if tally.first_faults.len() < FIRST_FAULTS {
            tally.first_faults.push((index, fault, *event));
        }
        -(fault as i32)
    }

    /// Whether a message may carry a name that is wanted: a stock directory may, and an add of an instrument that has none yet. What is
    /// asked first is nearly always no, whatever the kind, which a branch on the kind of the message would not be.
    #[inline(always)]
    fn wants_name(&self, event: &Event) -> bool {
        event.kind == kind::OTHER || self.book.unnamed(event.instrument)
    }

    /// Keep the name that a message carries, if it carries one.
    #[cold]
    fn name(&mut self, instrument: u16, message: &[u8]) {
        let at = match message.first() {
            Some(b'R') => 11,
            Some(b'A' | b'F') => 24,
            _ => return,
        };
        self.book.name(instrument).copy_from_slice(&message[at..at + 8]);
    }

    /// One event that does not come from a batch.
    #[inline(never)]
    fn single(&mut self, event: &Event) -> i32 {
        let applied = match self.settings.stamps {
            stamp::OFF => self.step::<false>(event, 0, 0),
            _ if self.tally.messages < self.settings.warm_up => self.step::<false>(event, 0, 0),
            _ => {
                let t0 = self.clock.now();
                self.step::<true>(event, t0, t0)
            }
        };
        self.tally.messages += 1;
        applied
    }

    /// Whole framed messages, at most `most` of them, a batch at a time; one at a time where they are stamped.
    fn run<const STAMPED: bool>(&mut self, data: &[u8], most: usize) -> (usize, Option<Problem>) {
        let (mut batch, mut at, mut left) = (Batch::default(), 0, most);
        loop {
            let t0 = if STAMPED { self.clock.now() } else { 0 };
            let (mut end, bad) = batch.fill(data, at, if STAMPED { left.min(1) } else { left });
            if batch.unknown > 0 {
                end = self.count_unknown(data, &mut batch, end);
            }
            if let Some(stopped) = self.batch::<STAMPED>(data, &batch, t0) {
                return (stopped.at, Some(stopped));
            }
            at = end;
            left -= batch.events().len();
            let index = self.tally.messages;
            match bad {
                _ if batch.unknown > 0 && self.settings.strict => {
                    let Next::Frame(frame) = crate::frames::next(data, at) else { return (at, None) };
                    let (code, letter) = ("unknown_type", data[frame.at]);
                    return (at, Some(Problem { code, at, index, size: frame.size, letter }));
                }
                Some(Next::Bad(code, size, letter)) => {
                    return (at, Some(Problem { code, at, index, size, letter }));
                }
                _ if batch.events().is_empty() || left == 0 => return (at, None),
                _ => {}
            }
        }
    }

    /// The decoded messages of a batch through the stages; says where a strict run stopped.
    #[inline(always)]
    fn batch<const STAMPED: bool>(&mut self, data: &[u8], batch: &Batch, t0: u64) -> Option<Problem> {
        let (events, until) = (batch.events(), self.settings.until);
        let t1 = if STAMPED && self.settings.stamps == stamp::STAGES { self.clock.now() } else { t0 };
        if !STAMPED && until >= Until::Book && self.is_cold(events) {
            prefetch::ask(&self.book, batch.places(), events.len());
            if until >= Until::Signal {
                let states = events.iter().filter_map(|event| self.signals.get(event.instrument as usize));
                states.for_each(State::prefetch);
            }
        }
        if !STAMPED && until <= Until::Book && self.settings.record == Mode::None && !self.settings.strict {
            self.bare(data, batch, until == Until::Book);
            return None;
        }
        for (i, event) in events.iter().enumerate() {
            if self.wants_name(event) {
                self.name(event.instrument, batch.message(data, i).1);
            }
            let applied = self.step::<STAMPED>(event, t0, t1);
            if applied < 0 && self.settings.strict {
                return Some(self.fault_problem(batch.message(data, i).0, -applied));
            }
            self.tally.messages += 1;
        }
        None
    }

    /// Whether what a batch touches has probably left the caches: there are many instruments, or many of the orders named are old. The
    /// latter is looked at now and then; it changes slowly.
    #[inline(always)]
    fn is_cold(&mut self, events: &[Event]) -> bool {
        self.batches = self.batches.wrapping_add(1);
        if self.batches % SAMPLED == 1 {
            let index = &self.book.store.index;
            let there = events.iter().filter(|event| event.kind != kind::ADD && event.order_id > 0);
            let (n, old) =
                there.fold((0, 0), |(n, old), event| (n + 1, old + index.is_old(event.order_id) as u32));
            self.cold = 3 * old > n;
        }
        self.cold || self.book.instruments.len() >= SCATTERED
    }

    /// What is left of `step` where nothing is asked for beyond the book.
    #[inline(always)]
    fn bare(&mut self, data: &[u8], batch: &Batch, book: bool) {
        for (i, event) in batch.events().iter().enumerate() {
            self.tally.counts[event.kind as usize] += 1;
            if self.wants_name(event) {
                self.name(event.instrument, batch.message(data, i).1);
            }
            if book && let Err(fault) = self.book.apply(event) {
                self.refuse(self.tally.messages + i as u64, fault, event);
            }
        }
        self.tally.messages += batch.events().len() as u64;
    }

    /// Count messages of unknown type; under `strict` the batch ends before the first of them. Returns the offset behind the batch.
    #[cold]
    fn count_unknown(&mut self, data: &[u8], batch: &mut Batch, end: usize) -> usize {
        for i in 0..batch.events().len() {
            let (at, message) = batch.message(data, i);
            if !is_known(message[0]) {
                if self.settings.strict {
                    batch.truncate(i);
                    return at;
                }
                self.tally.unknown[message[0] as usize] += 1;
            }
        }
        end
    }

    fn fault_problem(&self, at: usize, fault: i32) -> Problem {
        Problem { code: "fault", at, index: self.tally.messages, size: fault as usize, letter: 0 }
    }
}

impl<L: Levels, I: Index, P: Pool, S: Signal> Runner for Engine<L, I, P, S> {
    fn run_bytes(&mut self, data: &[u8], most: usize) -> (usize, Option<Problem>) {
        let start = Instant::now();
        let result = match self.settings.stamps {
            stamp::OFF => self.run::<false>(data, most),
            _ if self.tally.messages < self.settings.warm_up => self.run::<false>(data, most),
            _ => self.run::<true>(data, most),
        };
        self.tally.elapsed_ns += start.elapsed().as_nanos() as u64;
        result
    }

    fn run_events(&mut self, data: &[u8]) -> Option<Problem> {
        let start = Instant::now();
        let mut problem = None;
        for bytes in data.as_chunks().0 {
            let applied = self.single(&Event::from_bytes(bytes));
            if applied < 0 && self.settings.strict {
                self.tally.messages -= 1;
                problem = Some(self.fault_problem(0, -applied));
                break;
            }
        }
        self.tally.elapsed_ns += start.elapsed().as_nanos() as u64;
        problem
    }

    fn apply(&mut self, event: &Event) -> i32 {
        self.single(event)
    }

    fn message(&mut self, message: &[u8]) -> i32 {
        let mut spare = [0; WINDOW];
        let window = window(message, 0, &mut spare);
        let event = if is_known(window[0]) { decode(window) } else { unknown(window, message.len()) };
        if self.wants_name(&event) {
            self.name(event.instrument, message);
        }
        self.single(&event)
    }

    fn reserve(&mut self, messages: usize) {
        self.tally.recorder.reserve(messages);
        if self.settings.stamps != stamp::OFF {
            self.tally.stamps.reserve(messages);
        }
    }

    fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }

    fn order(&self) -> &OrderEntry {
        &self.order
    }

    fn order_mut(&mut self) -> &mut OrderEntry {
        &mut self.order
    }

    fn best(&self, instrument: u16) -> Top {
        self.book.top(instrument)
    }

    fn depth(&self, instrument: u16) -> Vec<DepthRow> {
        self.book.depth(instrument)
    }

    fn queue(&self, instrument: u16, side: u8, price: i64) -> Vec<(u64, u32)> {
        self.book.queue(instrument, side, price)
    }

    fn locate(&mut self, id: u64) -> Option<(u16, u8, i64, u32)> {
        self.book.locate(id)
    }

    fn memory(&self) -> [usize; 4] {
        self.book.memory()
    }

    fn names(&self) -> Vec<(u16, [u8; 8])> {
        self.book.names()
    }
}

const _: () = assert!(BATCH >= 16, "a batch must be long enough for memory to answer");
