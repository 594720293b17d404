//! From wire to wire: an exchange and a trader around the engine, held against the same engine without a wire.

mod common;

use std::time::{Duration, Instant};

use common::{BEST, NAIVE, engine, feed, offset, settings};
use hftlab_rust::dispatch::Variant;
use hftlab_rust::net::Placement;
use hftlab_rust::net::tick_to_trade::{Faults, Measurement, Scenario, ends, run};
use hftlab_rust::net::transport::Options;
use hftlab_rust::protocols::ouch::EnterOrder;
use hftlab_rust::run::{Settings, Until};

const WARM: u64 = 2_000;
const MESSAGES: u64 = 300;

/// One message a packet, each sent when the orders of those before are back; and what the engine makes of it alone.
struct Made {
    data: Vec<u8>,
    warm: usize,
    ends: Vec<i64>,
    orders: Vec<i64>,
    stream: Vec<u8>,
    first: u32,
}

/// Every tick that may act acts.
fn acting() -> Settings {
    let mut settings = settings(Until::Order);
    settings.order.threshold = 0.0;
    settings.order.cooldown = 1;
    settings.order.position_limit = 1 << 40;
    settings.order.max_orders_per_sec = 100_000;
    settings.order.collar_bps = 1_000_000;
    settings
}

fn made(variant: Variant) -> Made {
    let mut data = feed("calm", WARM + MESSAGES, 1);
    data.truncate(offset(&data, WARM + MESSAGES));
    let warm = offset(&data, WARM);
    let mut alone = engine(variant, acting());
    alone.run_bytes(&data[..warm], usize::MAX);
    let before = alone.order().orders.len();
    let (mut at, mut ends, mut orders) = (warm, Vec::new(), Vec::new());
    while at < data.len() {
        at += 2 + u16::from_be_bytes([data[at], data[at + 1]]) as usize;
        alone.run_bytes(&data[warm + ends.last().map_or(0, |&end| end as usize)..at], usize::MAX);
        ends.push((at - warm) as i64);
        orders.push((alone.order().orders.len() - before) as i64);
    }
    let stream = alone.order().stream[before * EnterOrder::BYTES..].to_vec();
    Made { data, warm, ends, orders, stream, first: before as u32 + 1 }
}

fn over(feed: &str, orders: Option<&str>, made: &Made, due_ns: i64, faults: Faults) -> Measurement {
    let due: Vec<i64> =
        (0..made.ends.len() as i64).map(|i| if due_ns < 0 { -1 } else { i * due_ns }).collect();
    let scenario = Scenario {
        warm: &made.data[..made.warm],
        data: &made.data[made.warm..],
        ends: &made.ends,
        due_ns: &due,
        orders: &made.orders,
        first: made.first,
        floor: 20,
        limit: Duration::from_secs(20),
        patience: Duration::from_millis(if faults.deaf || faults.dies_after > 0 { 300 } else { 5_000 }),
        placements: [Placement::default(); 2],
        rests: false,
        stamps: true,
        probe: Duration::from_millis(1),
        settle: 100,
        asked: || 0,
        faults,
    };
    let mut sides = ends((feed, None), orders.map(|name| (name, None)), &Options::default()).unwrap();
    let [exchange, trader] = &mut sides;
    run([exchange, trader], &scenario, &mut *engine(BEST, acting())).unwrap()
}

#[test]
fn every_order_comes_and_is_the_one_it_should_be() {
    let made = made(NAIVE);
    assert!(made.stream.len() / EnterOrder::BYTES > 200, "{} orders", made.stream.len() / EnterOrder::BYTES);
    for (feed, orders) in [("memory", None), ("udp", None), ("tcp", None), ("udp", Some("tcp"))] {
        for due_ns in [-1, 20_000] {
            let found = over(feed, orders, &made, due_ns, Faults::default());
            assert_eq!(found.stopped, None, "{feed} {orders:?} {due_ns}");
            assert_eq!(found.stream, made.stream, "{feed} {orders:?} {due_ns}");
            assert_eq!((found.duplicates, found.foreign, found.counts.lost), (0, 0, 0), "{feed} {orders:?}");
            assert_eq!(found.sent.len(), made.ends.len());
            assert!(found.due.iter().zip(&found.sent).all(|(due, sent)| due <= sent));
            assert!(found.received.iter().zip(&found.ready).all(|(received, ready)| received <= ready));
            // In a closed loop an order is answered before the next tick leaves. On a schedule the trader may have sent its last
            // order before the exchange looks for the first.
            let answered = (orders.is_some() && due_ns < 0) as u64;
            assert!(found.answers >= answered, "{feed} {orders:?} {due_ns}");
        }
    }
}

#[test]
fn what_is_lost_is_asked_for_and_sent_again() {
    let made = made(BEST);
    for (feed, orders) in [("memory", None), ("udp", Some("tcp"))] {
        let found = over(feed, orders, &made, -1, Faults { drop_every: 100, ..Faults::default() });
        assert_eq!((found.stopped.as_deref(), &found.stream), (None, &made.stream));
        assert!(found.counts.gaps >= 3 && found.resent >= 3, "{:?} {}", found.counts, found.resent);
    }
}

#[test]
fn what_stays_lost_is_told() {
    let made = made(BEST);
    let found = over("memory", None, &made, -1, Faults { drop_every: 100, deaf: true, ..Faults::default() });
    assert_eq!(found.stopped.as_deref(), Some("no order came any more"));
    assert!(found.counts.requests > 0 && found.resent == 0);
    let came = found.arrived.iter().filter(|&&tick| tick != u64::MAX).count();
    assert!(came > 0 && came < 100, "{came}");
}

#[test]
fn a_dead_trader_is_not_waited_for() {
    let made = made(BEST);
    for name in ["memory", "udp"] {
        for due_ns in [-1, 1_000] {
            let start = Instant::now();
            let found = over(name, None, &made, due_ns, Faults { dies_after: 20, ..Faults::default() });
            assert!(found.stopped.is_some(), "{name} {due_ns}");
            assert!(start.elapsed() < Duration::from_secs(10));
        }
    }
}

#[test]
fn packets_that_are_no_messages_are_refused() {
    let mut made = made(BEST);
    made.ends[3] += 1;
    let due = vec![-1; made.ends.len()];
    let scenario = Scenario {
        warm: &made.data[..made.warm],
        data: &made.data[made.warm..],
        ends: &made.ends,
        due_ns: &due,
        orders: &made.orders,
        first: made.first,
        floor: 20,
        limit: Duration::from_secs(1),
        patience: Duration::from_secs(1),
        placements: [Placement::default(); 2],
        rests: false,
        stamps: false,
        probe: Duration::ZERO,
        settle: 0,
        asked: || 0,
        faults: Faults::default(),
    };
    let mut sides = ends(("memory", None), None, &Options::default()).unwrap();
    let [exchange, trader] = &mut sides;
    let failure = run([exchange, trader], &scenario, &mut *engine(BEST, acting())).unwrap_err();
    assert_eq!(failure.to_string(), "exchange: the packets are not whole messages");
}
