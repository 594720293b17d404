//! Does the hot loop ask the heap for anything? After a warm-up the best variants must not, not once; the naive ones must, or this
//! test could not fail.

// The extension for Python counts with an allocator of its own, and a program can have one.
#![cfg(not(feature = "python"))]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::time::Duration;

use common::{BEST, NAIVE, engine, feed, offset, settings};
use hftlab_rust::dispatch::Variant;
use hftlab_rust::net::transport::{KINDS, Options, pair, probe};
use hftlab_rust::protocols::arbiter::{Arbiter, Config};
use hftlab_rust::protocols::moldudp64::{Builder, split};
use hftlab_rust::protocols::ouch::{Accepted, EnterOrder};
use hftlab_rust::protocols::soupbintcp::{self, Client, ClientConfig, Event, kind};
use hftlab_rust::run::Until;

/// What one thread has asked of the heap while it was watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Asked {
    /// Calls of alloc, alloc_zeroed and realloc.
    allocations: u64,
    /// Calls of dealloc.
    frees: u64,
}

thread_local! {
    /// Neither needs a destructor or an allocation of its own.
    static ASKED: Cell<Option<Asked>> = const { Cell::new(None) };
    static TRACE: Cell<bool> = const { Cell::new(false) };
}

struct Counting;

impl Counting {
    fn count(add: impl FnOnce(&mut Asked), what: &str, bytes: usize) {
        // Threads that end may come here after their counters have gone.
        let Ok(Some(mut asked)) = ASKED.try_with(Cell::get) else { return };
        add(&mut asked);
        ASKED.set(None); // a backtrace allocates, too
        if TRACE.replace(false) {
            eprintln!("the first time: {what} of {bytes} bytes\n{}", Backtrace::force_capture());
        }
        ASKED.set(Some(asked));
    }
}

// SAFETY: the system's allocator does the work; what is done besides touches no memory of the caller.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(|asked| asked.allocations += 1, "alloc", layout.size());
        // SAFETY: promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        Self::count(|asked| asked.frees += 1, "dealloc", layout.size());
        // SAFETY: promised by the caller.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count(|asked| asked.allocations += 1, "realloc", size);
        // SAFETY: promised by the caller.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `run` asks of the heap; with `trace`, where it asks first.
fn watched(trace: bool, run: impl FnOnce()) -> Asked {
    TRACE.set(trace);
    ASKED.set(Some(Asked::default()));
    run();
    ASKED.replace(None).expect("set above")
}

const MESSAGES: u64 = 200_000;
/// Messages in which the books fill, every instrument is named and every table finds its size.
const WARM: u64 = 100_000;

struct Outcome {
    asked: Asked,
    /// Orders accepted in the warm-up, and in all.
    orders: [usize; 2],
    /// Attempts, accepted or refused.
    attempts: u64,
}

/// The second half of a feed, after the first.
fn second_half(regime: &str, variant: Variant, kill: bool, trace: bool) -> Outcome {
    let data = feed(regime, MESSAGES, 1);
    let (warm, rest) = data.split_at(offset(&data, WARM));
    let mut settings = settings(Until::Order);
    settings.order.kill = kill;
    let mut engine = engine(variant, settings);
    assert_eq!(engine.run_bytes(warm, usize::MAX), (warm.len(), None));
    let before = engine.order().orders.len();
    let asked = watched(trace, || assert_eq!(engine.run_bytes(rest, usize::MAX), (rest.len(), None)));
    assert_eq!(engine.tally().messages, MESSAGES);
    let orders = engine.order();
    let after = orders.orders.len();
    Outcome { asked, orders: [before, after], attempts: after as u64 + orders.rejects.iter().sum::<u64>() }
}

/// With the kill switch on every order is decided and refused, and none is kept.
fn the_best_leave_the_heap_alone(regime: &str) {
    let outcome = second_half(regime, BEST, true, true);
    assert!(outcome.attempts > 50, "{regime}: {} attempts say little", outcome.attempts);
    assert_eq!(outcome.asked, Asked::default(), "{regime}");
}

#[test]
fn the_best_variants_leave_the_heap_alone() {
    the_best_leave_the_heap_alone("calm");
}

#[test]
fn the_best_variants_leave_the_heap_alone_on_a_whole_market() {
    the_best_leave_the_heap_alone("market");
}

#[test]
fn accepted_orders_are_kept_in_two_vectors_that_double() {
    for regime in ["calm", "market"] {
        let refused = second_half(regime, BEST, true, false).asked.allocations;
        let outcome = second_half(regime, BEST, false, false);
        let [before, after] = outcome.orders;
        assert!(after > before, "{regime}: no order was accepted");
        // `orders` and `stream`; neither starts at a power of two, hence one more for each.
        let doublings = (after as f64 / before.max(1) as f64).log2().ceil() as u64 + 1;
        let more = outcome.asked.allocations - refused;
        assert!(more <= 2 * doublings, "{regime}: {more} more, {before} orders, then {after}");
        assert_eq!(outcome.asked.frees, 0, "{regime}");
    }
}

#[test]
fn the_naive_variants_do_not() {
    for regime in ["calm", "market"] {
        let outcome = second_half(regime, NAIVE, true, false);
        let Asked { allocations, frees } = outcome.asked;
        // A box for each of the orders that come, freed when it goes.
        assert!(allocations > WARM / 4 && frees > WARM / 4, "{regime}: {:?}", outcome.asked);
    }
}

#[test]
fn the_counter_sees_what_a_vector_does() {
    let asked = watched(false, || {
        let mut values = Vec::with_capacity(1);
        (0..9u64).for_each(|n| values.push(std::hint::black_box(n)));
    });
    assert!(asked.allocations >= 2 && asked.frees == 1, "{asked:?}");
}

/// Every transport that works here, messages one way and the other on one thread.
#[test]
fn once_warm_a_message_over_a_transport_asks_the_heap_for_nothing() {
    let limit = Duration::from_secs(5);
    let mut tried = 0;
    for kind in KINDS.iter().filter(|kind| probe(kind.name).is_ok()) {
        let (mut first, mut second) = pair(kind.name, None, &Options::default()).expect(kind.name);
        let mut alternate = |count| {
            for _ in 0..count {
                first.send(&[7; 58]).expect(kind.name);
                assert_eq!(second.wait(limit).expect(kind.name), Some(&[7; 58][..]));
                second.send(&[9; 58]).expect(kind.name);
                assert_eq!(first.wait(limit).expect(kind.name), Some(&[9; 58][..]));
            }
        };
        alternate(200);
        assert_eq!(watched(true, || alternate(2_000)), Asked::default(), "{}", kind.name);
        tried += 1;
    }
    assert!(tried >= 3, "only {tried} transports work here");
}

/// The way of a feed over the wire: packets on two lines, arbitrated, through the engine, and an order out for each packet.
#[test]
fn nothing_on_the_wire_asks_the_heap_for_anything() {
    let data = feed("calm", MESSAGES, 1);
    let session = *b"20260101AB";
    let (mut packets, mut builder) = (Vec::new(), Builder::new(session, 1, 1400));
    for message in split(&data) {
        if !builder.push(message) {
            packets.push(builder.packet().to_vec());
            builder.next();
            assert!(builder.push(message));
        }
    }
    packets.push(builder.packet().to_vec());

    let mut settings = settings(Until::Order);
    settings.order.kill = true;
    let mut engine = engine(BEST, settings);
    let mut arbiter = Arbiter::new(Some(session), 1, Config::default());
    let mut client = Client::new("user", "secret", "", 1, ClientConfig::default()).expect("it fits");
    client.connected(0);
    let mut answer = Vec::with_capacity(100);
    soupbintcp::Accepted { session: b"S1", sequence: 1 }.put(&mut answer);
    assert_eq!(answered(&answer, &mut client), 0);

    let (mut orders, mut accepted) = (0, 0);
    let mut tick = |n: usize, packets: &[Vec<u8>]| {
        // Line A loses every fifth packet, line B is one packet behind: a hole, then a copy of what is known.
        for line in [0, 1] {
            let Some(packet) =
                n.checked_sub(line).map(|at| &packets[at]).filter(|_| line > 0 || !n.is_multiple_of(5))
            else {
                continue;
            };
            let given = arbiter.receive(line as u32, packet, n as i64);
            assert_eq!(engine.run_bytes(given.blocks, usize::MAX), (given.blocks.len(), None));
        }
        let sent = client.send(n as i64, |to| to.extend_from_slice(&order(n as u32).bytes()));
        let order = EnterOrder::decode(&sent.expect("logged in")[3..]).expect("an Enter Order");
        orders += (order.user_ref as usize == n) as usize;
        answer.clear();
        soupbintcp::put_with(&mut answer, kind::SEQUENCED, |to| {
            to.extend_from_slice(&accept(&order).bytes())
        });
        accepted += answered(&answer, &mut client);
    };
    let warm = packets.len() / 2;
    (0..warm).for_each(|n| tick(n, &packets));
    let asked = watched(true, || (warm..packets.len()).for_each(|n| tick(n, &packets)));
    assert_eq!(asked, Asked::default());
    assert_eq!((orders, accepted), (packets.len(), packets.len()));
    let counts = arbiter.counts;
    assert!(counts.buffered > MESSAGES / 10 && counts.gaps > 100 && counts.lost == 0, "{counts:?}");
    assert!(MESSAGES - engine.tally().messages < 100, "{} messages", engine.tally().messages);
}

/// Accepted orders that reach the client.
fn answered(sent: &[u8], client: &mut Client) -> usize {
    client.space()[..sent.len()].copy_from_slice(sent);
    client.received(sent.len(), 0);
    let mut accepted = 0;
    while let Some(event) = client.next_event() {
        accepted += matches!(event, Event::Message(message, _) if Accepted::decode(message).is_ok()) as usize;
    }
    accepted
}

fn order(user_ref: u32) -> EnterOrder {
    EnterOrder {
        user_ref,
        side: b'B',
        quantity: 100,
        symbol: *b"AAPL    ",
        price: 1_234_500,
        time_in_force: b'3',
        display: b'Y',
        capacity: b'P',
        intermarket_sweep: b'N',
        cross_type: b'N',
        cl_ord_id: *b"HL000000000001",
    }
}

fn accept(order: &EnterOrder) -> Accepted {
    Accepted {
        ts_ns: 1,
        user_ref: order.user_ref,
        side: order.side,
        quantity: order.quantity,
        symbol: order.symbol,
        price: order.price,
        time_in_force: order.time_in_force,
        display: order.display,
        order_reference: 7,
        capacity: order.capacity,
        intermarket_sweep: order.intermarket_sweep,
        cross_type: order.cross_type,
        order_state: b'L',
        cl_ord_id: order.cl_ord_id,
    }
}
