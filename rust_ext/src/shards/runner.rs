//! Shards, asked as one engine is.

use super::shard::Shard;
use super::wire::{Itch, Records, Wire};
use super::{PIECE, Shards};
use crate::book::{DepthRow, Top};
use crate::error::Error;
use crate::event::{BOTH, EVENT_BYTES, Event, kind};
use crate::frames::{Next, Problem, next};
use crate::order::OrderEntry;
use crate::run::{Instead, Report, Runner, Tally, Until};

impl Runner for Shards {
    fn begin(&mut self, data: &[u8], records: bool) -> Result<Option<Instead>, Error> {
        if records { self.look_at::<Records>(data) } else { self.look_at::<Itch>(data) }
    }

    fn set_name(&mut self, instrument: u16, name: [u8; 8]) {
        self.shards[self.owners[instrument as usize] as usize].engine.set_name(instrument, name);
    }

    fn at_once(&self) -> usize {
        PIECE * EVENT_BYTES
    }

    fn report(&mut self) -> Option<Report> {
        let messages = self.shards.iter_mut().map(Shard::messages).collect();
        let cpu_ns = self.shards.iter().map(|shard| shard.cpu_ns).collect();
        Some(Report { messages, cpu_ns, one_by_one: self.one_by_one, doubted: self.doubted })
    }

    fn run_bytes(&mut self, data: &[u8], most: usize) -> (usize, Option<Problem>) {
        let before = self.tally.messages;
        let at = self.run::<Itch>(data, most);
        let index = self.tally.messages;
        match next(data, at) {
            Next::Bad(code, size, letter) if index - before < most as u64 => {
                (at, Some(Problem { code, at, index, size, letter }))
            }
            _ => (at, None),
        }
    }

    fn run_events(&mut self, data: &[u8]) -> Option<Problem> {
        self.run::<Records>(data, usize::MAX);
        None
    }

    fn apply(&mut self, event: &Event) -> i32 {
        let mut record = Vec::new();
        event.write_to(&mut record);
        self.single::<Records>(&record)
    }

    fn message(&mut self, message: &[u8]) -> i32 {
        let framed = [&(message.len() as u16).to_be_bytes(), message].concat();
        self.single::<Itch>(&framed)
    }

    fn reserve(&mut self, messages: usize) {
        self.shards.iter_mut().for_each(|shard| shard.ready(messages.min(PIECE)));
    }

    fn reserve_for(&mut self, data: &[u8]) {
        self.reserve(data.len() / EVENT_BYTES);
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
        self.at(instrument).best(instrument)
    }

    fn depth(&self, instrument: u16) -> Vec<DepthRow> {
        self.at(instrument).depth(instrument)
    }

    fn queue(&self, instrument: u16, side: u8, price: i64) -> Vec<(u64, u32)> {
        self.at(instrument).queue(instrument, side, price)
    }

    fn locate(&mut self, id: u64) -> Option<(u16, u8, i64, u32)> {
        self.shards.iter_mut().find_map(|shard| shard.engine.locate(id))
    }

    fn memory(&self) -> [usize; 4] {
        let mut sums = [0; 4];
        for shard in &self.shards {
            sums.iter_mut().zip(shard.engine.memory()).for_each(|(sum, part)| *sum += part);
        }
        sums
    }

    fn names(&self) -> Vec<(u16, [u8; 8])> {
        let all = self.shards.iter().enumerate().flat_map(|(number, shard)| {
            let own = move |(i, _): &(u16, _)| self.owners[*i as usize] as usize == number;
            shard.engine.names().into_iter().filter(own)
        });
        let mut names: Vec<_> = all.collect();
        names.sort_unstable();
        names
    }
}

impl Shards {
    /// Run one message: the side acted on, 0, or minus the fault.
    fn single<W: Wire>(&mut self, data: &[u8]) -> i32 {
        let event = W::event(data, 0);
        let side = match event.kind {
            _ if self.settings.until < Until::Book => 0,
            kind::ADD => event.side,
            kind::EXECUTE | kind::CANCEL | kind::DELETE | kind::REPLACE => {
                self.locate(event.order_id).map_or(0, |order| order.1)
            }
            kind::CLEAR => BOTH,
            _ => 0,
        };
        let before = self.tally.faults;
        self.run::<W>(data, 1);
        let fault = before.iter().zip(&self.tally.faults).position(|(before, after)| before != after);
        fault.map_or(side as i32, |fault| -(fault as i32))
    }

    /// The engine that has an instrument.
    fn at(&self, instrument: u16) -> &dyn Runner {
        &*self.shards[self.owners[instrument as usize] as usize].engine
    }
}
