//! The main path where only some messages of a block are this engine's: one of several shards reads them where they stand.

use super::Engine;
use crate::book::levels::Levels;
use crate::book::orders::Index;
use crate::book::pool::Pool;
use crate::event::Event;
use crate::frames::{BATCH, peek};
use crate::itch::{WINDOW, decode, size_of_type};
use crate::recording::Mode;
use crate::run::{Place, Until};
use crate::signal::Signal;

impl<L: Levels, I: Index, P: Pool, S: Signal> Engine<L, I, P, S> {
    /// Whole framed messages.
    pub(super) fn framed_at(&mut self, data: &[u8], places: &[Place], first: u64) {
        match (self.settings.until, self.settings.record) {
            (Until::Tick, _) | (_, Mode::All) => self.pass_at(data, places, first, Self::decoded),
            (_, Mode::Top) => self.pass_at(data, places, first, Self::through::<true, true>),
            (Until::Book, _) => self.pass_at(data, places, first, Self::through::<false, false>),
            (Until::Signal | Until::Order, _) => {
                self.pass_at(data, places, first, Self::through::<true, false>)
            }
        }
    }

    /// The same, those that are read in place by `through`.
    #[inline(always)]
    fn pass_at(
        &mut self,
        data: &[u8],
        places: &[Place],
        first: u64,
        through: impl Fn(&mut Self, &[u8; WINDOW]),
    ) {
        for batch in places.chunks(BATCH) {
            self.look_ahead(|| windows(data, batch));
            for place in batch {
                let at = place.at as usize;
                self.tally.messages = first + place.index as u64;
                match peek(data, at).filter(|(size, window)| *size == size_of_type(window[0])) {
                    Some((_, window)) => {
                        through(self, window);
                        self.tally.messages += 1;
                    }
                    None => _ = self.run::<false>(&data[at..], 1),
                }
            }
        }
    }

    /// One message by way of its event: where each leaves a row, or nothing is done with it.
    fn decoded(&mut self, window: &[u8; WINDOW]) {
        let event = decode(window);
        if self.wants_name(&event) {
            self.name(event.instrument, window);
        }
        self.step::<false>(&event, 0, 0);
    }

    /// Event records.
    pub(super) fn records_at(&mut self, data: &[u8], places: &[Place], first: u64) {
        let mut events = [Event::default(); BATCH];
        for batch in places.chunks(BATCH) {
            for (event, place) in events.iter_mut().zip(batch) {
                let bytes = data[place.at as usize..].first_chunk();
                *event = bytes.map_or_else(Event::default, Event::from_bytes);
            }
            let events = &events[..batch.len()];
            self.look_ahead(|| {
                let mut rest = events.iter();
                move || rest.next()
            });
            for (event, place) in events.iter().zip(batch) {
                self.tally.messages = first + place.index as u64;
                self.single(event);
            }
        }
    }
}

/// The messages at some places whose windows lie inside the block, one a call.
#[inline(always)]
fn windows<'a>(data: &'a [u8], places: &'a [Place]) -> impl FnMut() -> Option<&'a [u8; WINDOW]> {
    let mut rest = places.iter();
    move || Some(peek(data, rest.next()?.at as usize)?.1)
}
