//! What an engine answers, whatever its variant.

use std::time::Instant;

use crate::book::{DepthRow, Top};
use crate::engine::Engine;
use crate::event::Event;
use crate::frames::{Problem, window};
use crate::itch::{WINDOW, decode, is_known, unknown};
use crate::levels::Levels;
use crate::order::OrderEntry;
use crate::orders::Index;
use crate::pool::Pool;
use crate::runner::{Runner, Tally, stamp};
use crate::signal::Signal;

impl<L: Levels, I: Index, P: Pool, S: Signal> Runner for Engine<L, I, P, S> {
    fn run_bytes(&mut self, data: &[u8], most: usize) -> (usize, Option<Problem>) {
        let start = Instant::now();
        let result = match self.settings.stamps {
            stamp::OFF => self.run::<false>(data, most),
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

    fn orders(&self) -> &OrderEntry {
        &self.orders
    }

    fn entry(&mut self) -> &mut OrderEntry {
        &mut self.orders
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
