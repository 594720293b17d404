//! What everybody else asks of an engine whose variant has been chosen.

use super::Engine;
use crate::book::levels::Levels;
use crate::book::orders::Index;
use crate::book::pool::Pool;
use crate::book::{AHEAD, DepthRow, Top};
use crate::event::{EVENT_BYTES, Event};
use crate::frames::{self, BATCH, Problem, window};
use crate::itch::{WINDOW, decode_whole, size_of_type, unknown};
use crate::order::OrderEntry;
use crate::recording::Mode;
use crate::run::{Place, Runner, Tally, stamp};
use crate::signal::Signal;

/// Bytes of the shortest message that concerns a book, a DELETE, with its length.
const SHORTEST: usize = 21;

impl<L: Levels, I: Index, P: Pool, S: Signal> Engine<L, I, P, S> {
    /// Messages for which memory was made ready.
    fn piece(&mut self, data: &[u8], most: usize) -> (usize, Option<Problem>) {
        match self.settings.stamps {
            stamp::OFF => self.run::<false>(data, most),
            _ if self.tally.messages < self.settings.warm_up => self.run::<false>(data, most),
            _ => self.run::<true>(data, most),
        }
    }

    /// Add the time since a reading of the clock to that of the loop.
    fn count_time(&mut self, start: u64) {
        let ticks = self.clock.now().saturating_sub(start);
        self.tally.elapsed_ns += (ticks as f64 * self.clock.ns_per_tick) as u64;
    }
}

impl<L: Levels, I: Index, P: Pool, S: Signal> Runner for Engine<L, I, P, S> {
    fn run_bytes(&mut self, data: &[u8], most: usize) -> (usize, Option<Problem>) {
        let start = self.clock.now();
        let (end, mut used) = (self.tally.messages.saturating_add(most as u64), 0);
        let stopped = loop {
            let left = (end - self.tally.messages).min(AHEAD as u64) as usize;
            self.book.ready(left.min((data.len() - used) / SHORTEST));
            let before = self.tally.messages;
            let (n, stopped) = self.piece(&data[used..], left);
            let stopped = stopped.map(|problem| Problem { at: used + problem.at, ..problem });
            used += n;
            let messages = self.tally.messages;
            if stopped.is_some() || messages - before < AHEAD as u64 || messages == end {
                break stopped;
            }
        };
        self.count_time(start);
        (used, stopped)
    }

    fn run_events(&mut self, data: &[u8]) -> Option<Problem> {
        let start = self.clock.now();
        let mut problem = None;
        let mut events = [Event::default(); BATCH];
        'blocks: for (n, block) in data.chunks(BATCH * EVENT_BYTES).enumerate() {
            if n.is_multiple_of(AHEAD / BATCH) {
                self.book.ready(data.len() / EVENT_BYTES - n * BATCH);
            }
            let (records, _) = block.as_chunks();
            for (event, bytes) in events.iter_mut().zip(records) {
                *event = Event::from_bytes(bytes);
            }
            let events = &events[..records.len()];
            if self.settings.stamps == stamp::OFF && events.len() > BATCH / 8 {
                self.look_ahead(|| {
                    let mut rest = events.iter();
                    move || rest.next()
                });
            }
            for event in events {
                let applied = self.single(event);
                if applied < 0 && self.settings.strict {
                    self.tally.messages -= 1;
                    problem = Some(self.fault_problem(0, -applied));
                    break 'blocks;
                }
            }
        }
        self.count_time(start);
        problem
    }

    fn run_at(&mut self, data: &[u8], records: bool, places: &[Place], first: u64) {
        if places.len() > BATCH {
            self.book.ready(AHEAD); // more will follow
        }
        if records { self.records_at(data, places, first) } else { self.framed_at(data, places, first) }
    }

    fn apply(&mut self, event: &Event) -> i32 {
        self.single(event)
    }

    fn message(&mut self, message: &[u8]) -> i32 {
        let letter = message.first().copied().unwrap_or(0);
        let event = if message.len() == size_of_type(letter) {
            decode_whole(message)
        } else {
            unknown(window(message, 0, &mut [0; WINDOW]), message.len())
        };
        if self.wants_name(&event) {
            self.name(event.instrument, message);
        }
        self.single(&event)
    }

    fn set_name(&mut self, instrument: u16, name: [u8; 8]) {
        *self.book.name(instrument) = name;
    }

    fn reserve(&mut self, messages: usize) {
        self.book.ready(messages);
        self.tally.recorder.reserve(messages);
        if self.settings.stamps != stamp::OFF {
            self.tally.stamps.reserve(messages);
        }
    }

    fn reserve_for(&mut self, data: &[u8]) {
        // Rows and stamps of each message are written to once for nothing, so they are counted; for the others a bound is enough.
        let each = self.settings.record == Mode::All || self.settings.stamps != stamp::OFF;
        self.reserve(if each { frames::count(data) } else { data.len() / SHORTEST });
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
