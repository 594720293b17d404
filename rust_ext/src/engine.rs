//! THE MAIN PATH: for each message -> tick, book, signal, order. `Engine::step` is the engine; the rest hands it messages.

use std::marker::PhantomData;
use std::time::Instant;

use crate::book::{Book, DepthRow, Top};
use crate::clock::Clock;
use crate::event::{Event, FAULT_COUNT, Fault, kind};
use crate::itch::{self, Next, Problem, WINDOW};
use crate::levels::Levels;
use crate::order::OrderEntry;
use crate::orders::Index;
use crate::pool::Pool;
use crate::record::{Mode, Recorder};
use crate::runner::{Runner, Settings, Tally, Until, stamp};
use crate::signal::{self, NO_VALUES, Signal, State};

/// Faults that are kept with their record.
const FIRST_FAULTS: usize = 100;

/// What the engine knows of one instrument beside its book.
#[derive(Clone, Debug, Default)]
struct Instrument {
    top: Top,
    /// Zeros until the feed has named it.
    name: [u8; 8],
    signal: State,
}

/// The engine: a book of `L`, `I` and `P`, signals by `S`.
pub struct Engine<L, I, P, S> {
    settings: Settings,
    clock: Clock,
    book: Book<L, I, P>,
    instruments: Vec<Instrument>,
    orders: OrderEntry,
    tally: Tally,
    signal: PhantomData<S>,
}

impl<L: Levels, I: Index, P: Pool, S: Signal> Engine<L, I, P, S> {
    /// An engine that has seen nothing.
    pub fn new(settings: Settings) -> Self {
        let named = |name: &[u8; 8]| Instrument { name: *name, ..Instrument::default() };
        Engine {
            clock: Clock::get(),
            book: Book::default(),
            instruments: settings.names.iter().map(named).collect(),
            orders: OrderEntry::new(settings.order.clone()),
            tally: Tally {
                messages: 0,
                elapsed_ns: 0,
                counts: [0; 256],
                unknown: [0; 256],
                faults: [0; FAULT_COUNT],
                first_faults: Vec::new(),
                recorder: Recorder::new(settings.record),
                stamps: Vec::new(),
            },
            settings,
            signal: PhantomData,
        }
    }

    /// One event through book, signal and order. Returns the side acted on, 0, or minus the fault.
    #[inline(always)]
    fn step<const STAMP: u8>(&mut self, event: &Event, t0: u64, t1: u64) -> i32 {
        let until = self.settings.until;
        let index = self.tally.messages;
        let (mut t2, mut t3) = (t1, t1);
        let mut applied = 0;
        let mut before = Top::default();
        self.tally.counts[event.kind as usize] += 1;

        if until >= Until::Book {
            if self.instruments.len() <= event.instrument as usize {
                self.grow(event.instrument);
            }
            let instrument = &mut self.instruments[event.instrument as usize];
            before = instrument.top;
            match self.book.apply(event) {
                Ok(touched) if touched.side > 0 => {
                    applied = touched.side as i32;
                    instrument.top = self.book.best(event.instrument);
                    if STAMP == stamp::STAGES {
                        t2 = self.clock.now();
                        t3 = t2;
                    }
                    if until >= Until::Signal {
                        let (config, state) = (&self.settings.signal, &mut instrument.signal);
                        S::sum(state, &self.book, event.instrument, touched, config.levels);
                        signal::update(config, state, event, touched, &before, &instrument.top);
                        if STAMP == stamp::STAGES {
                            t3 = self.clock.now();
                        }
                    }
                    if until >= Until::Order && event.instrument > 0 {
                        let (top, score) = (&instrument.top, instrument.signal.values[8]);
                        self.orders.update(
                            index,
                            event.ts_ns,
                            event.instrument,
                            top,
                            score,
                            &instrument.name,
                        );
                    }
                }
                Ok(_) => {
                    if STAMP == stamp::STAGES {
                        t2 = self.clock.now();
                        t3 = self.clock.now();
                    }
                    if event.kind == kind::STATUS && until >= Until::Order {
                        self.orders.status(event.instrument, event.qty);
                    }
                }
                Err(fault) => {
                    applied = self.refuse(index, fault, event);
                    if STAMP == stamp::STAGES {
                        t2 = self.clock.now();
                        t3 = self.clock.now();
                    }
                }
            }
        }
        if STAMP != stamp::OFF {
            let t4 = self.clock.now();
            self.tally.stamps.extend_from_slice(&[t1 - t0, t2 - t1, t3 - t2, t4 - t3, t4 - t0]);
        }
        if self.settings.record != Mode::None && !(applied < 0 && self.settings.strict) {
            self.record(index, event, &before);
        }
        applied
    }

    #[inline(always)]
    fn record(&mut self, index: u64, event: &Event, before: &Top) {
        let rows = &mut self.tally.recorder;
        match self.instruments.get(event.instrument as usize) {
            Some(instrument)
                if event.instrument > 0
                    && (self.settings.record == Mode::All || instrument.top != *before) =>
            {
                rows.push(index, event, &instrument.top, &instrument.signal.values);
            }
            _ if self.settings.record == Mode::All => {
                rows.push(index, event, &Top::default(), &NO_VALUES);
            }
            _ => {}
        }
    }

    #[cold]
    fn grow(&mut self, instrument: u16) {
        self.instruments.resize_with(instrument as usize + 1, Instrument::default);
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

    /// Keep the name that a stock directory or an add carries.
    #[cold]
    fn learn(&mut self, instrument: u16, window: &[u8; WINDOW]) {
        let Some(at) = itch::stock_offset(window[0]) else { return };
        if self.instruments.len() <= instrument as usize {
            self.grow(instrument);
        }
        self.instruments[instrument as usize].name.copy_from_slice(&window[at..at + 8]);
    }

    #[inline(always)]
    fn unnamed(&self, instrument: u16) -> bool {
        self.instruments.get(instrument as usize).is_none_or(|known| known.name == [0; 8])
    }

    fn run_stamped<const STAMP: u8>(&mut self, data: &[u8], most: usize) -> (usize, Option<Problem>) {
        let mut at = 0;
        let mut spare = [0; WINDOW];
        for _ in 0..most {
            let t0 = if STAMP != stamp::OFF { self.clock.now() } else { 0 };
            let index = self.tally.messages;
            let frame = match itch::next(data, at) {
                Next::Frame(frame) => frame,
                Next::More => break,
                Next::Bad(code, size, letter) => {
                    return (at, Some(Problem { code, at, index, size, letter }));
                }
            };
            let window = itch::window(data, frame.at, &mut spare);
            if !frame.known {
                let letter = window[0];
                if self.settings.strict {
                    let code = "unknown_type";
                    return (at, Some(Problem { code, at, index, size: frame.size, letter }));
                }
                self.tally.unknown[letter as usize] += 1;
            }
            let event = itch::decode(window, frame.size);
            if window[0] == b'R' || self.unnamed(event.instrument) {
                self.learn(event.instrument, window);
            }
            let t1 = if STAMP == stamp::STAGES { self.clock.now() } else { t0 };
            let applied = self.step::<STAMP>(&event, t0, t1);
            if applied < 0 && self.settings.strict {
                return (at, Some(self.fault_problem(at, -applied)));
            }
            self.tally.messages += 1;
            at = frame.at + frame.size;
        }
        (at, None)
    }

    fn fault_problem(&self, at: usize, fault: i32) -> Problem {
        Problem { code: "fault", at, index: self.tally.messages, size: fault as usize, letter: 0 }
    }
}

impl<L: Levels, I: Index, P: Pool, S: Signal> Runner for Engine<L, I, P, S> {
    fn run_bytes(&mut self, data: &[u8], most: usize) -> (usize, Option<Problem>) {
        let start = Instant::now();
        let result = match self.settings.stamps {
            stamp::OFF => self.run_stamped::<{ stamp::OFF }>(data, most),
            stamp::TOTAL => self.run_stamped::<{ stamp::TOTAL }>(data, most),
            _ => self.run_stamped::<{ stamp::STAGES }>(data, most),
        };
        self.tally.elapsed_ns += start.elapsed().as_nanos() as u64;
        result
    }

    fn run_events(&mut self, data: &[u8]) -> Option<Problem> {
        let start = Instant::now();
        let mut problem = None;
        for bytes in data.as_chunks().0 {
            let applied = self.apply(&Event::from_bytes(bytes));
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
        let applied = match self.settings.stamps {
            stamp::OFF => self.step::<{ stamp::OFF }>(event, 0, 0),
            _ => {
                let t0 = self.clock.now();
                self.step::<{ stamp::STAGES }>(event, t0, t0)
            }
        };
        self.tally.messages += 1;
        applied
    }

    fn message(&mut self, message: &[u8]) -> i32 {
        let mut spare = [0; WINDOW];
        let window = itch::window(message, 0, &mut spare);
        let event = itch::decode(window, message.len());
        if window[0] == b'R' || self.unnamed(event.instrument) {
            self.learn(event.instrument, window);
        }
        self.apply(&event)
    }

    fn reserve(&mut self, messages: usize) {
        self.tally.recorder.reserve(messages);
        if self.settings.stamps != stamp::OFF {
            self.tally.stamps.reserve(5 * messages);
        }
    }

    fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }

    fn orders(&self) -> &OrderEntry {
        &self.orders
    }

    fn best(&self, instrument: u16) -> Top {
        self.book.best(instrument)
    }

    fn depth(&self, instrument: u16) -> Vec<DepthRow> {
        self.book.depth(instrument)
    }

    fn queue(&self, instrument: u16, side: u8, price: i64) -> Vec<(u64, u32)> {
        self.book.queue(instrument, side, price)
    }

    fn locate(&self, id: u64) -> Option<(u16, u8, i64, u32)> {
        self.book.locate(id)
    }

    fn memory(&self) -> [usize; 4] {
        self.book.memory()
    }

    fn names(&self) -> Vec<(u16, [u8; 8])> {
        let named = self.instruments.iter().enumerate().filter(|(_, known)| known.name != [0; 8]);
        named.map(|(i, known)| (i as u16, known.name)).collect()
    }
}
