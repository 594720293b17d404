//! THE MAIN PATH: for each message -> tick, book, signal, order. `Engine::step` is the engine, and `stream` the same without what is not
//! asked for; `Engine::run` hands them the messages of a block; `runner` is what everybody else asks of it.

use std::marker::PhantomData;

mod ahead;
mod places;
mod runner;
mod stream;

use crate::book::Book;
use crate::book::levels::Levels;
use crate::book::orders::Index;
use crate::book::pool::Pool;
use crate::book::{Top, Touched};
use crate::by_instrument::ByInstrument;
use crate::clock::Clock;
use crate::event::{Event, Fault, kind};
use crate::frames::{BATCH, Batch, Next, Problem, next};
use crate::itch::is_known;
use crate::order::OrderEntry;
use crate::recording::Mode;
use crate::run::{Lookahead, Settings, Tally, Until, stamp};
use crate::signal::{Change, NO_VALUES, Signal, State, values};

/// Instruments from which on what a message needs is no longer in cache when it comes, and is asked for ahead.
const SCATTERED: usize = 64;

/// Of so many batches one is looked at for old orders.
const SAMPLED: u32 = 16;

/// The engine: a book of `L`, `I` and `P`, signals by `S`.
pub struct Engine<L, I, P, S> {
    settings: Settings,
    clock: Clock,
    book: Book<L, I, P>,
    /// Signals of each instrument.
    signals: ByInstrument<State>,
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
            signals: ByInstrument::default(),
            order: OrderEntry::new(settings.order.clone()),
            tally: Tally::new(&settings),
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
    #[inline(never)]
    fn step<const STAMPED: bool>(&mut self, event: &Event, t0: u64, t1: u64) -> i32 {
        let until = self.settings.until;
        let stages = STAMPED && self.settings.stamps == stamp::STAGES;
        let (index, instrument) = (self.tally.messages, event.instrument);
        let (mut t2, mut t3, mut applied) = (t1, t1, 0);
        let before = self.book.top(instrument);
        self.tally.counts[event.kind as usize] += 1;

        if until >= Until::Book {
            let (store, known) = self.book.parts(instrument);
            let best = known.best;
            let outcome = store.apply(known, event);
            if stages {
                t2 = self.clock.now();
            }
            match outcome {
                Ok(Touched { side: 0, .. }) => {
                    if event.kind == kind::STATUS && until >= Until::Order {
                        self.order.status(instrument, event.qty);
                    }
                }
                Ok(touched) => {
                    applied = touched.side as i32;
                    if until >= Until::Signal {
                        let executed = if event.kind == kind::EXECUTE { event.qty } else { 0 };
                        let change = Change { touched, executed, top: before, best };
                        let state = self.signals.at(instrument, State::default);
                        let values = S::update(&self.settings.signal, state, known, &store.levels, &change);
                        if stages {
                            t3 = self.clock.now();
                        }
                        let (top, score) = (&known.top, values[8]);
                        if until >= Until::Order && instrument > 0 && self.order.acts(instrument, top, score)
                        {
                            self.order.attempt(index, event.ts_ns, instrument, top, score, &known.name);
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

    fn record(&mut self, index: u64, event: &Event, before: &Top) {
        let rows = &mut self.tally.recorder;
        let top = self.book.top(event.instrument);
        if event.instrument == 0 {
            if self.settings.record == Mode::All {
                rows.push(index, event.ts_ns, 0, &Top::default(), &NO_VALUES);
            }
        } else if self.settings.record == Mode::All || top != *before {
            let state = self.signals.get(event.instrument);
            let values = state.map_or(NO_VALUES, |state| values(&self.settings.signal, state, &top));
            rows.push(index, event.ts_ns, event.instrument, &top, &values);
        }
    }

    #[cold]
    fn refuse(&mut self, index: u64, fault: Fault, event: &Event) -> i32 {
        let tally = &mut self.tally;
        tally.faults[fault as usize] += 1;
        if tally.first_faults.len() < tally.kept_faults {
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

    /// Whole framed messages, at most `most` of them: as a stream where not every message is looked at afterwards, else a batch at a time,
    /// and one at a time where they are stamped.
    fn run<const STAMPED: bool>(&mut self, data: &[u8], most: usize) -> (usize, Option<Problem>) {
        let (mut at, mut left, mut batch) = (0, most, None::<Batch>);
        let streams = !STAMPED && self.settings.record != Mode::All && !self.settings.strict;
        loop {
            if streams {
                let n = self.stream(data, &mut at, left);
                left -= n;
                if left == 0 || matches!(next(data, at), Next::More) {
                    return (at, None);
                }
            }
            let batch = batch.get_or_insert_default();
            let t0 = if STAMPED { self.clock.now() } else { 0 };
            let (mut end, bad) = batch.fill(data, at, if STAMPED { left.min(1) } else { left });
            if batch.unknown > 0 {
                end = self.count_unknown(data, batch, end);
            }
            if let Some(stopped) = self.batch::<STAMPED>(data, batch, t0) {
                return (stopped.at, Some(stopped));
            }
            at = end;
            left -= batch.events().len();
            let index = self.tally.messages;
            match bad {
                _ if batch.unknown > 0 && self.settings.strict => {
                    let Next::Frame(frame) = next(data, at) else { return (at, None) };
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
        if !STAMPED && until == Until::Tick && self.settings.record == Mode::None {
            self.count(data, batch);
            return None;
        }
        if !STAMPED {
            self.look_ahead(|| {
                let mut rest = events.iter();
                move || rest.next()
            });
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

    /// Ask for what the messages that `all` gives one by one will touch, if that pays.
    #[inline(always)]
    fn look_ahead<'a, T: ahead::Glimpse + 'a, N: FnMut() -> Option<&'a T>>(&mut self, all: impl Fn() -> N) {
        if self.looks_ahead(all()) {
            ahead::ask(&self.book, &self.signals, all());
        }
    }

    /// Whether to ask ahead for what messages touch: where that is left to the engine, when it has probably left the caches. Then there
    /// are many instruments, or many of the orders named are old. The latter is looked at now and then; it changes slowly.
    #[inline(always)]
    fn looks_ahead<'a, T: ahead::Glimpse + 'a>(&mut self, next: impl FnMut() -> Option<&'a T>) -> bool {
        match self.settings.lookahead {
            Lookahead::Off => return false,
            Lookahead::On => return true,
            Lookahead::Auto if self.book.instruments.count() >= SCATTERED => return true,
            Lookahead::Auto => {}
        }
        self.batches = self.batches.wrapping_add(1);
        if self.batches % SAMPLED == 1 {
            self.sample(next);
        }
        self.cold
    }

    #[inline(never)]
    fn sample<'a, T: ahead::Glimpse + 'a>(&mut self, next: impl FnMut() -> Option<&'a T>) {
        let index = &self.book.store.index;
        let there = std::iter::from_fn(next).take(BATCH).filter(|message| message.sort() == 2);
        let (n, old) =
            there.fold((0, 0), |(n, old), message| (n + 1, old + index.is_old(message.order_id()) as u32));
        self.cold = 3 * old > n;
    }

    /// What is left of `step` where nothing is asked for beyond the events: counts and names.
    #[inline(always)]
    fn count(&mut self, data: &[u8], batch: &Batch) {
        for (i, event) in batch.events().iter().enumerate() {
            self.tally.counts[event.kind as usize] += 1;
            if self.wants_name(event) {
                self.name(event.instrument, batch.message(data, i).1);
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

const _: () = assert!(BATCH >= 16, "a batch must be long enough for memory to answer");
