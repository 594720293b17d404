//! Feeds that no exchange sends: far levels without end, one level of all orders, every instrument, references made to collide. The best
//! variant must give the books of the naive one, and no message may take a step for each of the orders that are there.
//!
//! The feeds here are a two-hundredth of what `cargo test --release --test pathological -- --ignored --nocapture` runs, which prints what a
//! message takes; that it grows little from a tenth of the size to the whole is what it checks.

mod common;

use std::time::Instant;

use common::{BEST, NAIVE, Random, engine, settings};
use hftlab_rust::dispatch::Variant;
use hftlab_rust::event::{ASK, BID, Event, kind};
use hftlab_rust::run::{Runner, Until};

/// An order that comes.
fn add(id: u64, instrument: u16, side: u8, price: i64) -> Event {
    Event { order_id: id, price, qty: 100, instrument, kind: kind::ADD, side, ..Event::default() }
}

/// An order that goes.
fn delete(id: u64, instrument: u16) -> Event {
    Event { order_id: id, instrument, kind: kind::DELETE, ..Event::default() }
}

/// `n` numbers in an order of no use to anybody: a permutation, for `n` that 7,919 does not divide.
fn shuffled(n: u64) -> impl Iterator<Item = u64> {
    (0..n).map(move |i| i * 7_919 % n)
}

/// A level for each order, far from each other, that come and go in no order.
fn far_levels(n: u64) -> Vec<Event> {
    let price = |i: u64| 1_000_000 + 1_000_003 * i as i64;
    let come = shuffled(n).map(|i| add(i + 1, 1, ASK, price(i)));
    come.chain((0..n / 2).map(|i| delete((i * 104_729 % n) + 1, 1))).collect()
}

/// All orders on one level, that go from the middle.
fn one_level(n: u64) -> Vec<Event> {
    let come = (0..n).map(|i| add(i + 1, 1, BID, 1_000_000));
    come.chain((0..n / 2).map(|i| delete(n / 4 + i + 1, 1))).collect()
}

/// Every instrument that there can be, the last one first.
fn all_instruments(n: u64) -> Vec<Event> {
    let instrument = |i: u64| (u16::MAX as u64 - i % u16::MAX as u64) as u16;
    let side = |i: u64| if (i / u16::MAX as u64).is_multiple_of(2) { BID } else { ASK };
    let price = |i: u64| if side(i) == BID { 1_000_000 } else { 1_000_100 };
    (0..n).map(|i| add(i + 1, instrument(i), side(i), price(i))).collect()
}

/// References of one kind, in and out again.
fn references(n: u64, reference: impl Fn(u64) -> u64) -> Vec<Event> {
    let come = (0..n).map(|i| add(reference(i), 1, BID, 1_000_000 - 100 * (i % 50) as i64));
    come.chain((0..n / 2).map(|i| delete(reference(2 * i), 1))).collect()
}

/// Levels between the ticks of a side, among those on them.
fn odd_prices(n: u64) -> Vec<Event> {
    let mut random = Random(1);
    let price = |random: &mut Random| {
        1_000_000 + random.below(20_000) as i64 * if random.below(3) == 0 { 1 } else { 100 }
    };
    let come: Vec<Event> = (0..n).map(|i| add(i + 1, 1, ASK, price(&mut random))).collect();
    come.into_iter().chain((0..n / 2).map(|i| delete(2 * i + 1, 1))).collect()
}

/// Name, orders of the full size, feed of a size.
type Feed = (&'static str, u64, fn(u64) -> Vec<Event>);

const FEEDS: &[Feed] = &[
    ("far levels", 10_000_000, far_levels),
    ("one level", 3_000_000, one_level),
    ("all instruments", 2 * u16::MAX as u64, all_instruments),
    ("odd prices", 1_000_000, odd_prices),
    ("references reversed", 1_000_000, |n| references(n, |i| 2_000_000_000 - i)),
    ("references at the end", 1_000_000, |n| references(n, |i| u64::MAX - i)),
    ("references shifted", 1_000_000, |n| references(n, |i| (i + 1) << 32)),
    ("references of one home", 1_000_000, |n| references(n, |i| (i + 1) << 22 | 77)),
];

fn run(variant: Variant, events: &[Event], until: Until) -> Box<dyn Runner> {
    let mut engine = engine(variant, settings(until));
    for event in events {
        assert!(engine.apply(event) > 0, "{event:?}");
    }
    engine
}

#[test]
fn books_are_those_of_the_naive_variant() {
    for &(name, full, feed) in FEEDS {
        let events = feed(full / 200);
        let (best, naive) = (run(BEST, &events, Until::Order), run(NAIVE, &events, Until::Order));
        assert_eq!(best.memory()[0], naive.memory()[0], "{name}");
        for instrument in [1, 2, 300, u16::MAX] {
            let depth = best.depth(instrument);
            assert_eq!(depth, naive.depth(instrument), "{name}, instrument {instrument}");
            for &(side, price, ..) in depth.iter().take(10) {
                assert_eq!(
                    best.queue(instrument, side, price),
                    naive.queue(instrument, side, price),
                    "{name}"
                );
            }
        }
    }
}

/// Nanoseconds a message, the queries at the end, and the longest message in microseconds.
fn timed(events: &[Event]) -> (f64, f64, f64) {
    let mut engine = engine(BEST, settings(Until::Book));
    let (start, mut longest, mut before) = (Instant::now(), 0, 0);
    for event in events {
        engine.apply(event);
        let now = start.elapsed().as_nanos();
        (longest, before) = (longest.max(now - before), now);
    }
    let instrument = events.last().map_or(0, |event| event.instrument);
    let rows = [BID, ASK].map(|side| engine.queue(instrument, side, 1_000_000).len());
    assert!(rows[0] + rows[1] + engine.depth(instrument).len() > 0);
    let queries = start.elapsed().as_nanos() - before;
    (before as f64 / events.len() as f64, queries as f64 / events.len() as f64, longest as f64 / 1e3)
}

#[test]
#[ignore = "takes a minute and several GiB"]
fn a_message_takes_about_as_long_at_the_full_size() {
    for &(name, full, feed) in FEEDS {
        let [tenth, whole] = [full / 10, full].map(|n| timed(&feed(n)));
        for (size, (ns, queries, longest)) in [(full / 10, tenth), (full, whole)] {
            println!(
                "{name:<24} {size:>10} orders: {ns:7.1} ns a message, queries {queries:5.1}, longest {longest:8.1} us"
            );
        }
        assert!(
            whole.0 < 8.0 * tenth.0 + 200.0,
            "{name}: {} ns a message, a tenth of it {}",
            whole.0,
            tenth.0
        );
    }
}
