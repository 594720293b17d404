//! Several threads against one: everything a run gives must be the same bits, on markets with faults of every reason, with references in
//! every pattern, cut into pieces anywhere, as wire bytes and as records, in every mode of recording, with limits that bite.

mod common;
#[path = "common/itch.rs"]
mod itch;
#[path = "common/market.rs"]
mod market;
#[allow(dead_code, reason = "the market alone is drawn here, the plain book is asked nothing")]
#[path = "common/plain.rs"]
mod plain;

use common::{BEST, NAIVE, Random, engine, feed, settings};
use hftlab_rust::book::{DepthRow, Top};
use hftlab_rust::dispatch::Variant;
use hftlab_rust::event::{EVENT_BYTES, Event, FAULT_COUNT, Fault, kind};
use hftlab_rust::frames::Problem;
use hftlab_rust::order::REJECTS;
use hftlab_rust::recording::Mode;
use hftlab_rust::run::{Runner, Settings, Until};
use hftlab_rust::shards::Shards;
use itch::frame;
use market::Market;

/// Everything that must not depend on the threads.
#[derive(Debug, PartialEq)]
struct Outcome {
    used: usize,
    problem: Option<Problem>,
    messages: u64,
    counts: [u64; 256],
    unknown: [u64; 256],
    faults: [u64; FAULT_COUNT],
    first_faults: Vec<(u64, Fault, Event)>,
    rejects: [u64; REJECTS],
    stream: Vec<u8>,
    /// Orders: message, position, and the score's bits.
    orders: Vec<(u64, u16, u32, i64, i64, u64)>,
    /// Bits of the recorded rows.
    rows: Vec<u64>,
    tops: Vec<Top>,
    depths: Vec<Vec<DepthRow>>,
    queues: Vec<Vec<(u64, u32)>>,
    live: usize,
    names: Vec<(u16, [u8; 8])>,
}

/// Bytes of a feed, as they are.
struct Feed {
    data: Vec<u8>,
    records: bool,
    instruments: Vec<u16>,
}

/// Run a feed in pieces that `cuts` draws.
fn outcome(engine: &mut dyn Runner, feed: &Feed, cuts: u64) -> Outcome {
    let mut cut = Random(cuts);
    let (mut used, mut problem) = (0, None);
    while used < feed.data.len() && problem.is_none() {
        let most = 1 + cut.below_usize([40_000, 700, 5_000][cuts as usize % 3]);
        let rest = &feed.data[used..];
        let n = if feed.records {
            let n = rest.len().min(most * EVENT_BYTES);
            problem = engine.run_events(&rest[..n]);
            n
        } else {
            // What a block holds, and how many messages of it are run.
            let (n, stopped) = engine.run_bytes(&rest[..rest.len().min(30 * most)], most);
            problem = stopped.map(|problem| Problem { at: used + problem.at, ..problem });
            n
        };
        used += n;
        if n == 0 && rest.len() <= 30 * most {
            break;
        }
    }
    let tally = engine.tally();
    let rows = &tally.recorder;
    let mut bits: Vec<u64> = rows.index.iter().chain(&rows.ts_ns).copied().collect();
    bits.extend(rows.instrument.iter().map(|&value| value as u64));
    bits.extend(rows.bid_price.iter().chain(&rows.ask_price).map(|&value| value as u64));
    bits.extend(rows.bid_qty.iter().chain(&rows.ask_qty));
    bits.extend(rows.values.iter().flatten().map(|value| value.to_bits()));
    let depths: Vec<_> = feed.instruments.iter().map(|&instrument| engine.depth(instrument)).collect();
    let queues = feed.instruments.iter().zip(&depths).flat_map(|(&instrument, rows)| {
        rows.iter().map(move |&(side, price, ..)| (instrument, side, price)).collect::<Vec<_>>()
    });
    let queues: Vec<_> =
        queues.map(|(instrument, side, price)| engine.queue(instrument, side, price)).collect();
    let tally = engine.tally();
    let (messages, counts, unknown, faults) = (tally.messages, tally.counts, tally.unknown, tally.faults);
    let first_faults = tally.first_faults.clone();
    for (id, qty) in queues.iter().flatten().take(50) {
        assert_eq!(engine.locate(*id).map(|order| order.3), Some(*qty));
    }
    let orders = engine.order().orders.iter();
    Outcome {
        used,
        problem,
        messages,
        counts,
        unknown,
        faults,
        first_faults,
        rejects: engine.order().rejects,
        stream: engine.order().stream.clone(),
        orders: orders
            .map(|o| (o.index, o.instrument, o.number, o.price, o.position, o.score.to_bits()))
            .collect(),
        rows: bits,
        tops: feed.instruments.iter().map(|&instrument| engine.best(instrument)).collect(),
        depths,
        queues,
        live: engine.memory()[0],
        names: engine.names(),
    }
}

/// Compare threads with one; `deals`: look at the head of the feed first. Returns the messages that were run in threads.
fn same(variant: Variant, settings: &Settings, feed: &Feed, threads: u8, cuts: u64, deals: bool) -> u64 {
    let mut shards = Shards::new(variant, settings.clone(), threads).unwrap();
    let instead = if deals { shards.begin(&feed.data, feed.records).unwrap() } else { None };
    let several = match instead {
        Some((mut engine, _)) => outcome(&mut *engine, feed, cuts),
        None => outcome(&mut shards, feed, cuts),
    };
    let one = outcome(&mut *engine(variant, settings.clone()), feed, cuts);
    if several != one {
        let (several, one) = (format!("{several:#?}"), format!("{one:#?}"));
        let differs = several.lines().zip(one.lines()).enumerate().find(|(_, (a, b))| a != b);
        panic!("{threads} threads and one differ, cuts {cuts}, {settings:?}: {differs:?}");
    }
    let report = shards.report().unwrap();
    assert!(report.messages.iter().sum::<u64>() == several.messages || deals);
    report.messages.iter().sum::<u64>() - report.one_by_one
}

/// Settings by number: every mode, every last stage, limits that bite.
fn eager(n: u64) -> Settings {
    let mut settings =
        settings([Until::Order, Until::Order, Until::Book, Until::Signal, Until::Tick][n as usize % 5]);
    settings.record = [Mode::All, Mode::None, Mode::Top][n as usize % 3];
    let order = &mut settings.order;
    (order.threshold, order.cooldown) = (0.05, 1 + n as u32 % 4);
    order.kill = n % 11 == 10;
    order.position_limit = [1_000, 200, 100_000][n as usize % 3];
    order.max_orders_per_sec = [3, 1_000, 1][n as usize / 3 % 3];
    order.max_notional = [1_000_000, 5_000][n as usize / 2 % 2];
    settings
}

/// A drawn market of `events`; `spoils` keeps references that come twice.
fn market(seed: u64, wire: bool, events: u64, spoils: bool) -> Feed {
    let mut market = Market::new(seed, wire);
    let mut data = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..events {
        let (event, _) = market.next();
        let fresh = match event.kind {
            kind::ADD => event.order_id,
            kind::REPLACE => event.new_order_id,
            _ => u64::MAX,
        };
        let keeps = event.kind == kind::REPLACE && event.new_order_id == event.order_id;
        if fresh != u64::MAX && !keeps && !seen.insert(fresh) && !spoils {
            continue;
        }
        if wire {
            frame(&event, &mut data);
        } else {
            event.write_to(&mut data);
        }
    }
    let mut instruments = market.instruments().to_vec();
    instruments.extend([0, 1, 2, 9, u16::MAX]);
    instruments.sort_unstable();
    instruments.dedup();
    Feed { data, records: !wire, instruments }
}

#[test]
fn drawn_markets_give_the_same_bits() {
    let mut in_threads = 0;
    for n in 0..120 {
        let feed = market(n, n % 2 == 0, 12_000, n % 3 == 0);
        let variant = if n % 5 == 0 { NAIVE } else { BEST };
        in_threads += same(variant, &eager(n / 2), &feed, 2 + (n % 3) as u8, n, n % 4 > 1);
    }
    assert!(in_threads > 200_000, "only {in_threads} messages were run in threads");
}

#[test]
fn synthetic_feeds_give_the_same_bits_and_run_in_threads() {
    let instruments: Vec<u16> = (0..1_001).collect();
    for (n, regime) in ["market", "calm", "market"].into_iter().enumerate() {
        let feed = Feed { data: feed(regime, 120_000, 3), records: false, instruments: instruments.clone() };
        let in_threads = same(BEST, &eager(5 * n as u64), &feed, 2 + n as u8, 0, true);
        assert_eq!(in_threads, 120_000);
    }
}

#[test]
fn damaged_bytes_give_the_same_bits() {
    let whole = feed("market", 20_000, 5);
    for n in 0..40u64 {
        let (mut random, mut data) = (Random(n), whole.clone());
        for _ in 0..[3, 60, 2_000][n as usize % 3] {
            let at = random.below_usize(data.len());
            data[at] = random.next() as u8;
        }
        let feed = Feed { data, records: false, instruments: (0..1_001).collect() };
        same(BEST, &eager(n), &feed, 2 + (n % 3) as u8, n, n % 2 == 0);
    }
}

/// The fault of a message that names another shard's order depends on when it comes.
#[test]
fn an_order_of_another_shard_is_named_as_it_was_then() {
    let add = |id, instrument| Event {
        kind: kind::ADD,
        side: 1,
        order_id: id,
        price: 100,
        qty: 10,
        instrument,
        ..Event::default()
    };
    let act = |kind, id, instrument, qty| Event { kind, order_id: id, qty, instrument, ..Event::default() };
    let replace = |id, new, instrument| Event {
        new_order_id: new,
        price: 100,
        ..act(kind::REPLACE, id, instrument, 5)
    };
    let events = [
        act(kind::DELETE, 1, 2, 0), // unknown: it comes later
        add(1, 1),
        act(kind::DELETE, 1, 2, 0), // wrong instrument
        act(kind::CANCEL, 1, 2, 3),
        act(kind::EXECUTE, 1, 1, 4),
        act(kind::EXECUTE, 1, 2, 6), // wrong: it goes later
        act(kind::EXECUTE, 1, 1, 6),
        act(kind::EXECUTE, 1, 2, 6), // unknown again
        act(kind::EXECUTE, 1, 1, 6),
        add(2, 1),
        replace(2, 3, 2), // wrong
        replace(2, 4, 1),
        replace(2, 5, 2),           // unknown
        act(kind::DELETE, 4, 2, 0), // wrong: it stays
        Event { qty: 0, ..add(6, 2) },
        act(kind::DELETE, 6, 1, 0), // unknown: it was refused
        act(kind::CLEAR, 0, 1, 0),
        act(kind::DELETE, 4, 2, 0), // unknown
        add(7, 1),
        add(7, 2), // duplicate, also where it lives elsewhere
        Event { price: 0, ..add(7, 2) },
        replace(7, 7, 1),
        replace(9, 7, 2),
        add(8, 2),
        replace(8, 7, 2), // duplicate
        Event { qty: 0, ..replace(8, 7, 2) },
        Event { price: 0, ..replace(8, 7, 2) },
        Event { side: 0, ..add(7, 2) },
    ];
    let mut data = Vec::new();
    events.iter().for_each(|event| event.write_to(&mut data));
    for cuts in 0..200 {
        let feed = Feed { data: data.clone(), records: true, instruments: vec![1, 2] };
        same(BEST, &Settings { record: Mode::All, ..eager(cuts) }, &feed, 2, 3 * cuts, false);
    }
    let mut shards = Shards::new(BEST, eager(0), 2).unwrap();
    let mut one = engine(BEST, eager(0));
    for event in &events {
        assert_eq!(shards.apply(event), one.apply(event), "{event:?}");
    }
}
