//! The books of every variant against a plain one, on markets whose prices and references have structure; and the same messages as wire
//! bytes, which take another way through the engine. `HFTLAB_FUZZ_EVENTS` says how many events (`make fuzz`: 100 million).

mod common;
#[path = "common/itch.rs"]
mod itch;
#[path = "common/market.rs"]
mod market;
#[path = "common/plain.rs"]
mod plain;

use common::{Random, engine, settings};
use hftlab_rust::dispatch::{VARIANTS, Variant};
use hftlab_rust::event::{ASK, BID, Event, FAULT_COUNT};
use hftlab_rust::order::REJECTS;
use hftlab_rust::recording::Mode;
use hftlab_rust::run::{Runner, Settings, Until};
use itch::frame;
use market::Market;

/// Events of one market; engines begin anew with each.
const SEGMENT: u64 = 20_000;
/// Events from one look at whole books to the next.
const LOOK: u64 = 500;

/// Events that a test draws: 5 million in all, or as many as the environment says.
fn segments(share: u64) -> u64 {
    let events =
        std::env::var("HFTLAB_FUZZ_EVENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(5_000_000u64);
    (events / share / SEGMENT).max(1)
}

/// Where the drawing begins: another place for another run of the long kind.
fn seed() -> u64 {
    std::env::var("HFTLAB_FUZZ_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

fn eager(until: Until, record: Mode) -> Settings {
    let mut settings = Settings { record, ..settings(until) };
    (settings.order.threshold, settings.order.cooldown) = (0.2, 3);
    settings
}

/// A variant that differs from its neighbours in every axis.
fn variant(n: u64) -> Variant<'static> {
    let name = |axis: usize, n: u64| VARIANTS[axis].1[n as usize % VARIANTS[axis].1.len()];
    Variant {
        book: name(0, n),
        orders: name(1, n / 3),
        pool: (n / 9).is_multiple_of(2),
        signal: name(3, n / 18),
    }
}

fn same_book(engine: &dyn Runner, market: &Market, what: &str) {
    for &instrument in market.instruments() {
        let depth = market.book.depth(instrument);
        assert_eq!(engine.depth(instrument), depth, "{what}, instrument {instrument}");
        for (side, price, ..) in depth {
            assert_eq!(
                engine.queue(instrument, side, price),
                market.book.queue(instrument, side, price),
                "{what}"
            );
        }
        for side in [BID, ASK] {
            assert_eq!(
                engine.queue(instrument, side, 12_345_677),
                market.book.queue(instrument, side, 12_345_677)
            );
        }
    }
    assert_eq!(engine.memory()[0], market.book.live(), "{what}");
}

/// Bits of the rows of an engine, which are taken away.
fn rows(engine: &mut dyn Runner) -> Vec<u64> {
    let rows = &mut engine.tally().recorder;
    let mut bits = std::mem::take(&mut rows.bid_qty);
    bits.append(&mut rows.ask_qty);
    bits.extend(std::mem::take(&mut rows.bid_price).iter().map(|&price| price as u64));
    bits.extend(std::mem::take(&mut rows.ask_price).iter().map(|&price| price as u64));
    bits.extend(rows.values.iter_mut().flat_map(std::mem::take).map(f64::to_bits));
    rows.index.clear();
    rows.ts_ns.clear();
    rows.instrument.clear();
    bits
}

/// One market through the engines of several variants, message by message.
fn segment(seed: u64) {
    let mut market = Market::new(seed, false);
    let variants = [0, 1, 2].map(|n| variant(seed * 7 + n));
    let mut engines = variants.map(|variant| engine(variant, eager(Until::Order, Mode::All)));
    for n in 1..=SEGMENT {
        let (event, outcome) = market.next();
        let top = market.book.top(event.instrument);
        for (engine, variant) in engines.iter_mut().zip(&variants) {
            assert_eq!(engine.apply(&event), outcome, "seed {seed}, event {n}, {variant:?}: {event:?}");
            assert_eq!(engine.best(event.instrument), top, "seed {seed}, event {n}, {variant:?}: {event:?}");
        }
        if n % LOOK == 0 {
            let bits = engines.each_mut().map(|engine| rows(&mut **engine));
            for (engine, (variant, found)) in engines.iter().zip(variants.iter().zip(&bits)) {
                assert!(
                    *found == bits[0],
                    "seed {seed}, event {n}: rows of {variant:?} and {:?}",
                    variants[0]
                );
                if n % (10 * LOOK) == 0 {
                    same_book(&**engine, &market, &format!("seed {seed}, event {n}, {variant:?}"));
                }
            }
        }
    }
    let streams = engines.each_ref().map(|engine| &engine.order().stream);
    assert!(streams.iter().all(|stream| *stream == streams[0]), "seed {seed}: order bytes");
}

#[test]
fn books_and_signals_of_all_variants_are_those_of_a_plain_book() {
    for n in 0..segments(2) {
        segment(seed() + n);
    }
}

/// What must not depend on how messages came in.
#[derive(Debug, PartialEq)]
struct Outcome {
    counts: [u64; 256],
    faults: [u64; FAULT_COUNT],
    first_faults: Vec<String>,
    rejects: [u64; REJECTS],
    stream: Vec<u8>,
    names: Vec<(u16, [u8; 8])>,
}

fn outcome(engine: &mut dyn Runner) -> Outcome {
    let tally = engine.tally();
    Outcome {
        counts: tally.counts,
        faults: tally.faults,
        first_faults: tally.first_faults.iter().map(|fault| format!("{fault:?}")).collect(),
        rejects: engine.order().rejects,
        stream: engine.order().stream.clone(),
        names: engine.names(),
    }
}

/// The same messages one by one, and as bytes in blocks that end anywhere.
fn wire_segment(seed: u64) {
    let (mut market, mut bytes) = (Market::new(seed, true), Vec::new());
    let mut single = engine(variant(seed * 5), eager(Until::Order, Mode::None));
    let events: Vec<Event> = (0..SEGMENT).map(|_| market.next().0).collect();
    for event in &events {
        let from = bytes.len();
        frame(event, &mut bytes);
        single.message(&bytes[from + 2..]);
    }
    let expected = outcome(&mut *single);
    for n in 0..3 {
        for until in [Until::Book, Until::Order] {
            let variant = variant(seed * 5 + n);
            let mut engine = engine(variant, eager(until, Mode::None));
            let (mut random, mut used) = (Random(seed), 0);
            while used < bytes.len() {
                let longest = 1 << random.below(18);
                let end = (used + 60 + random.below_usize(longest)).min(bytes.len());
                let (more, problem) = engine.run_bytes(&bytes[used..end], usize::MAX);
                assert!(problem.is_none(), "seed {seed}, {variant:?}: {problem:?}");
                used += more;
            }
            let what = format!("seed {seed}, {variant:?}, until {until:?}");
            same_book(&*engine, &market, &what);
            let mut found = outcome(&mut *engine);
            if until == Until::Book {
                (found.rejects, found.stream) = (expected.rejects, expected.stream.clone());
            }
            assert!(found == expected, "{what}: {:?} and {:?}", found.faults, expected.faults);
        }
    }
}

#[test]
fn wire_bytes_do_what_their_messages_do_one_by_one() {
    for n in 0..segments(2) {
        wire_segment(seed() + n);
    }
}
