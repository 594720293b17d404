//! What a single message may cost in memory while the book grows without an announcement: a few small pages, and never a huge one,
//! whose zeroing takes longer than thousands of messages. Counted in pages, so that no machine is too busy for it. One test, alone in
//! its process: pages are counted for the whole of it.

#![cfg(target_os = "linux")]

mod common;

use std::fs::File;
use std::os::unix::fs::FileExt;

use common::{BEST, engine, settings};
use hftlab_rust::event::{ASK, BID, Event, kind};
use hftlab_rust::run::Until;

/// Pages that come with a message at most, a quarter of a huge one. A message has the system give a few: of orders, of their index, of a
/// level, of an instrument; but the count runs behind by as many as a processor keeps to itself, and code is loaded by the way.
const LIMIT: i64 = 128;
/// Live orders at the end: the index has gone on from its small pages, and the orders have filled a huge page.
const ORDERS: u64 = 100_000;

/// Pages of this process that are in memory.
struct Resident(File);

impl Resident {
    fn pages(&self) -> i64 {
        let mut text = [0; 128];
        let n = self.0.read_at(&mut text, 0).expect("statm is readable");
        let text = std::str::from_utf8(&text[..n]).expect("statm is text");
        text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("statm has a second number")
    }
}

/// The n-th order of many instruments, the last one there can be among them, prices near and far.
fn order(n: u64) -> Event {
    let (instrument, away) = (if n == 1000 { u16::MAX as u64 } else { 1 + n % 1500 }, n / 1500 % 200);
    let side = if (n / 1500).is_multiple_of(2) { BID } else { ASK };
    let price = if side == BID { 1_000_000 - 100 * away as i64 } else { 1_000_100 + 100 * away as i64 };
    Event {
        order_id: n,
        price,
        qty: 100,
        instrument: instrument as u16,
        kind: kind::ADD,
        side,
        ..Event::default()
    }
}

/// The message that had the system give the most pages: how many, and its number.
fn worst(messages: u64, mut each: impl FnMut(u64)) -> (i64, u64) {
    let resident = Resident(File::open("/proc/self/statm").expect("Linux has /proc"));
    let (mut worst, mut before) = ((0, 0), resident.pages());
    for n in 1..=messages {
        each(n);
        let after = resident.pages();
        worst = worst.max((after - before, n));
        before = after;
    }
    worst
}

#[test]
fn no_message_waits_for_more_than_a_few_small_pages() {
    for until in [Until::Book, Until::Order] {
        let mut engine = engine(BEST, settings(until));
        let (pages, n) = worst(ORDERS, |n| assert!(engine.apply(&order(n)) > 0));
        assert!(pages <= LIMIT, "until {until:?}: {pages} pages for message {n}");
        let [live, orders, index, _] = engine.memory();
        assert_eq!(live as u64, ORDERS);
        assert!(orders + index <= 64 * live, "{orders} + {index} bytes for {live} orders");
    }
    // The counter sees a huge page, or this test could not fail: what was announced takes one at once.
    let mut engine = engine(BEST, settings(Until::Book));
    let (pages, _) = worst(1, |_| engine.reserve(100_000));
    assert!(pages > LIMIT, "{pages} pages for 100,000 announced messages");
}
