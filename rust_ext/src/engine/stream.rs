//! The main path where not every message is looked at afterwards: no row for each, no stamps, no stop at the first fault. A message is read field by
//! field from its bytes, only those that its type has and needs, and goes through the stages at once.

use super::{Engine, ahead};
use crate::book::levels::Levels;
use crate::book::orders::Index;
use crate::book::pool::Pool;
use crate::event::Fault;
use crate::frames::{BATCH, count_known, peek};
use crate::itch::{WINDOW, decode, field, kind_of_type, size_of_type};
use crate::recording::Mode;
use crate::reserved::prefetch;
use crate::run::Until;
use crate::signal::{Change, NO_VALUES, Signal, State};

/// Bytes left from which on looking ahead is worth its beginning: ten messages or so.
const WORTHWHILE: usize = 320;

/// Bytes from here to those that are asked for: more than a batch has, so that looking ahead never waits for the messages themselves.
/// The processor follows a stream by itself, but no further than its page of 4 KiB.
const READ_AHEAD: usize = 3 << 10;

/// Bytes that must follow for a message to be read in place: its length prefix and a window.
const HEADED: usize = WINDOW + 2;

impl<L: Levels, I: Index, P: Pool, S: Signal> Engine<L, I, P, S> {
    /// Messages from `at` on, at most `most`, up to the first that is no whole message of a known type. Moves `at` on; returns how many
    /// were run.
    pub(super) fn stream(&mut self, data: &[u8], at: &mut usize, most: usize) -> usize {
        let n = self.stream_until(data, at, most);
        let rest = &data[*at..];
        // Behind the last messages a window would reach beyond the block: they are read from a copy.
        let mut copy = [0; 2 * HEADED];
        if n == most || rest.len() >= HEADED {
            return n;
        }
        copy[..rest.len()].copy_from_slice(rest);
        let (mut from, whole) = (0, count_known(rest));
        let more = self.stream_until(&copy, &mut from, whole.min(most - n));
        *at += from;
        n + more
    }

    /// The same, as long as a whole window follows. The book alone has a loop of its own, and so have rows.
    fn stream_until(&mut self, data: &[u8], at: &mut usize, most: usize) -> usize {
        match (self.settings.until, self.settings.record) {
            (Until::Tick, _) => 0,
            (_, Mode::Top) => self.pass::<true, true>(data, at, most),
            (Until::Book, _) => self.pass::<false, false>(data, at, most),
            (Until::Signal | Until::Order, _) => self.pass::<true, false>(data, at, most),
        }
    }

    #[inline(never)]
    fn pass<const SIGNALS: bool, const ROWS: bool>(
        &mut self,
        data: &[u8],
        at: &mut usize,
        most: usize,
    ) -> usize {
        let (first, mut from) = (self.tally.messages, *at);
        loop {
            let left = most - (self.tally.messages - first) as usize;
            if data.len() - from >= WORTHWHILE {
                self.look_ahead(|| ahead::windows(data, from, left));
            }
            for _ in 0..left.min(BATCH) {
                let Some((size, window)) =
                    peek(data, from).filter(|(size, window)| *size == size_of_type(window[0]))
                else {
                    *at = from;
                    return (self.tally.messages - first) as usize;
                };
                if let Some(later) = data.get(from + READ_AHEAD) {
                    prefetch(later);
                }
                self.through::<SIGNALS, ROWS>(window);
                self.tally.messages += 1;
                from += size + 2;
            }
            if left <= BATCH {
                *at = from;
                return most;
            }
        }
    }

    /// One message through the stages; with `ROWS` a row of it where the best bid or ask has changed.
    #[inline(always)]
    pub(super) fn through<const SIGNALS: bool, const ROWS: bool>(&mut self, window: &[u8; WINDOW]) {
        let (letter, instrument, id) = (window[0], field::instrument(window), field::order_id(window));
        self.tally.counts[kind_of_type(letter) as usize] += 1;
        let (store, known) = self.book.parts(instrument);
        let (best, before) = (known.best, known.top);
        let mut executed = 0;
        let outcome = match letter {
            b'A' | b'F' => {
                if known.name == [0; 8] {
                    known.name = field::stock(window);
                }
                let (qty, price) = (field::u32(window, 20), field::u32(window, 32) as i64);
                store.add(known, instrument, id, field::side(window), qty, price)
            }
            b'D' => store.delete(known, instrument, id),
            b'U' => {
                let (qty, price) = (field::u32(window, 27), field::u32(window, 31) as i64);
                store.replace(known, instrument, id, field::new_order_id(window), qty, price)
            }
            b'E' | b'C' | b'X' => {
                let qty = field::u32(window, 19);
                executed = if letter == b'X' { 0 } else { qty };
                store.reduce(known, instrument, id, qty)
            }
            _ => return self.aside(window),
        };
        let touched = match outcome {
            Ok(touched) => touched,
            Err(fault) => return self.refuse_bytes(window, fault),
        };
        let (top, index, has_row) =
            (&known.top, self.tally.messages, ROWS && known.top != before && instrument > 0);
        if !SIGNALS || ROWS && self.settings.until == Until::Book {
            if has_row {
                self.tally.recorder.push(index, field::ts_ns(window), instrument, top, &NO_VALUES);
            }
            return;
        }
        let change = Change { touched, executed, top: before, best };
        let state = self.signals.at(instrument, State::default);
        let values = S::update(&self.settings.signal, state, known, &store.levels, &change);
        if has_row {
            self.tally.recorder.push(index, field::ts_ns(window), instrument, top, &values);
        }
        let score = values[8];
        if self.settings.until == Until::Order && instrument > 0 && self.order.acts(instrument, top, score) {
            let ts_ns = field::ts_ns(window);
            self.order.attempt(index, ts_ns, instrument, top, score, &known.name);
        }
    }

    /// A message that never changes a book.
    #[inline(never)]
    fn aside(&mut self, window: &[u8; WINDOW]) {
        match window[0] {
            b'R' => self.name(field::instrument(window), window),
            b'H' if self.settings.until == Until::Order => {
                self.order.status(field::instrument(window), window[19] as u32)
            }
            _ => {}
        }
    }

    #[cold]
    fn refuse_bytes(&mut self, window: &[u8; WINDOW], fault: Fault) {
        self.refuse(self.tally.messages, fault, &decode(window));
    }
}
