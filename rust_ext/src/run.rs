//! What the engine is asked and what it keeps: settings, counts, and the questions that do not depend on the variant.

use crate::book::{DepthRow, Top};
use crate::clock::Clock;
use crate::error::Error;
use crate::event::{EVENT_BYTES, Event, FAULT_COUNT, Fault};
use crate::frames::Problem;
use crate::order::{self, OrderEntry};
use crate::recording::{Mode, Recorder};
use crate::signal;
use crate::timing::{Keep, Stamps};

/// Messages between two looks at Ctrl-C.
pub const CHUNK: usize = 1 << 16;

/// Faults that are kept with their record.
pub const FIRST_FAULTS: usize = 100;

/// Last stage to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Until {
    /// Bytes become events, and nothing is done with them.
    Tick,
    /// Events change the book.
    Book,
    /// The nine signals follow the book.
    Signal,
    /// Orders are decided, checked and encoded: the whole path.
    Order,
}

/// Whether what later messages of a buffer will touch is asked for early. That is throughput: on a live feed the next message is not
/// there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookahead {
    /// Never.
    Off,
    /// Always, but where messages are stamped.
    On,
    /// Where what messages touch has probably left the caches.
    Auto,
}

/// How closely the clock is read.
pub mod stamp {
    /// Not at all.
    pub const OFF: u8 = 0;
    /// Before and after each message.
    pub const TOTAL: u8 = 1;
    /// Around every stage.
    pub const STAGES: u8 = 2;
}

/// Everything a run is opened with, but for the variant.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Last stage to run.
    pub until: Until,
    /// Whether to ask for memory ahead.
    pub lookahead: Lookahead,
    /// Which rows are kept.
    pub record: Mode,
    /// How closely the clock is read, one of `stamp`.
    pub stamps: u8,
    /// What is kept of the stamps.
    pub keep: Keep,
    /// Messages at the start that are not stamped.
    pub warm_up: u64,
    /// Stop before the first message of unknown type, and at the first fault.
    pub strict: bool,
    /// Constants of the signals.
    pub signal: signal::Config,
    /// Constants of orders and risk.
    pub order: order::Config,
    /// Names by instrument, 8 bytes of ASCII padded with spaces, zeros where unknown.
    pub names: Vec<[u8; 8]>,
}

/// What a run counts and keeps.
pub struct Tally {
    /// Messages run, those of unknown type and those refused among them.
    pub messages: u64,
    /// Nanoseconds in the loop, by the system's monotonic clock; reading and converting do not count.
    pub elapsed_ns: u64,
    /// Messages by kind; above `kind::COUNT` stands what is no kind.
    pub counts: [u64; 256],
    /// Messages of unknown type, by type byte.
    pub unknown: [u64; 256],
    /// Events that the book refused, by `Fault`.
    pub faults: [u64; FAULT_COUNT],
    /// The first of them, at most `kept_faults`: message number, fault, record.
    pub first_faults: Vec<(u64, Fault, Event)>,
    /// How many are kept.
    pub kept_faults: usize,
    /// The rows kept, as `Settings::record` says.
    pub recorder: Recorder,
    /// The stamps kept, in ticks of `Clock` (`ns_per_tick` makes them nanoseconds).
    pub stamps: Stamps,
}

impl Tally {
    /// Of a run that has seen nothing.
    pub fn new(settings: &Settings) -> Self {
        Tally {
            messages: 0,
            elapsed_ns: 0,
            counts: [0; 256],
            unknown: [0; 256],
            faults: [0; FAULT_COUNT],
            first_faults: Vec::with_capacity(FIRST_FAULTS),
            kept_faults: FIRST_FAULTS,
            recorder: Recorder::new(settings.record, settings.until >= Until::Signal),
            stamps: Stamps::new(settings.keep, &Clock::get()),
        }
    }
}

/// How a run went on several threads; see `shards`.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Messages by shard.
    pub messages: Vec<u64>,
    /// Time that threads have spent on each, ns.
    pub cpu_ns: Vec<u64>,
    /// Messages run one by one over all shards.
    pub one_by_one: u64,
    /// The first of them.
    pub doubted: Option<u64>,
}

/// One of the messages of a block.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    /// Where it stands: its length prefix, or its record.
    pub at: u32,
    /// Messages of the feed from the first of the block to it.
    pub index: u32,
}

/// An engine that shall run instead, and the message that says so.
pub type Instead = (Box<dyn Runner>, u64);

/// An engine whose variant has been chosen.
pub trait Runner: Send + Sync {
    /// Run whole framed messages, at most `most` of them. Returns the bytes used and why it stopped early.
    fn run_bytes(&mut self, data: &[u8], most: usize) -> (usize, Option<Problem>);
    /// Run event records, 40 bytes each.
    fn run_events(&mut self, data: &[u8]) -> Option<Problem>;
    /// Run some whole messages of a block, `records` or framed ones; the block's first is message `first` of the feed. `Tally::messages`
    /// then stands behind the last of them.
    fn run_at(&mut self, data: &[u8], records: bool, places: &[Place], first: u64) {
        for place in places {
            self.tally().messages = first + place.index as u64;
            let rest = &data[place.at as usize..];
            if records {
                self.run_events(&rest[..EVENT_BYTES]);
            } else {
                self.run_bytes(rest, 1);
            }
        }
    }
    /// Run one event: the side acted on, 0, or minus the fault.
    fn apply(&mut self, event: &Event) -> i32;
    /// Run one raw message, without a length prefix, whose length has been checked; returns like `apply`.
    fn message(&mut self, message: &[u8]) -> i32;
    /// Name an instrument.
    fn set_name(&mut self, instrument: u16, name: [u8; 8]);
    /// Look at what will be run first, `records` or framed messages.
    ///
    /// # Errors
    /// As `dispatch::engine`.
    fn begin(&mut self, _data: &[u8], _records: bool) -> Result<Option<Instead>, Error> {
        Ok(None)
    }
    /// Bytes that it should be given at once, if there are so many.
    fn at_once(&self) -> usize {
        0
    }
    /// How it went on several threads, if it is run on some.
    fn report(&mut self) -> Option<Report> {
        None
    }
    /// Make room for the rows and stamps of `messages` more messages.
    fn reserve(&mut self, messages: usize);
    /// The same for those in a block of framed bytes.
    fn reserve_for(&mut self, data: &[u8]);
    /// Counts, rows and stamps; they may be taken away.
    fn tally(&mut self) -> &mut Tally;
    /// The order stage.
    fn order(&self) -> &OrderEntry;
    /// The order stage, to be told of fills and stale books, and to have its `stream` and `orders` taken away.
    fn order_mut(&mut self) -> &mut OrderEntry;
    /// Best price and quantity of each side; see `Book::top`.
    fn best(&self, instrument: u16) -> Top;
    /// See `Book::depth`.
    fn depth(&self, instrument: u16) -> Vec<DepthRow>;
    /// See `Book::queue`.
    fn queue(&self, instrument: u16, side: u8, price: i64) -> Vec<(u64, u32)>;
    /// See `Book::locate`.
    fn locate(&mut self, id: u64) -> Option<(u16, u8, i64, u32)>;
    /// See `Book::memory`.
    fn memory(&self) -> [usize; 4];
    /// (instrument, name) of every instrument that has one.
    fn names(&self) -> Vec<(u16, [u8; 8])>;
}
