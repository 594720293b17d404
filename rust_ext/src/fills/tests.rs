//! A few messages by hand; that the fills are those of the reference is tested from Python.

use super::*;
use crate::event::{ASK, BID, EVENT_BYTES};

fn event(kind: u8, order_id: u64, side: u8, price: i64, qty: u32) -> [u8; EVENT_BYTES] {
    let mut bytes = Vec::new();
    Event { ts_ns: 1, order_id, price, qty, instrument: 1, kind, side, ..Event::default() }
        .write_to(&mut bytes);
    bytes.try_into().unwrap()
}

fn bid(order_id: u64, price: i64, qty: u32) -> Request {
    Request { order_id, price, qty, instrument: 1, action: action::ENTER, side: BID, ..Request::default() }
}

#[test]
fn first_in_first_out() {
    let events = [
        event(kind::ADD, 1, BID, 100, 5),
        event(kind::ADD, 2, BID, 100, 5), // behind ours
        event(kind::EXECUTE, 1, 0, 0, 5),
        event(kind::EXECUTE, 2, 0, 0, 3),
    ];
    let mut simulator = Simulator::default();
    assert_eq!(simulator.run(events.iter(), None, &[(1, bid(9, 100, 2))]), 1);
    let (fills, orders) = simulator.finish();
    assert_eq!(fills.iter().map(|fill| (fill.index, fill.qty, fill.maker)).collect::<Vec<_>>(), [(3, 2, 2)]);
    assert_eq!((orders[0].state, orders[0].ahead_qty, orders[0].front_ns), (State::Filled, 5, 1));
}

#[test]
fn a_share_is_had_once() {
    let mut simulator = Simulator::default();
    let events = [event(kind::ADD, 1, ASK, 101, 5), event(kind::OTHER, 0, 0, 0, 0)];
    let take = |id| Request { tif: tif::IOC, ..bid(id, 101, 4) };
    simulator.run(events.iter(), None, &[(1, take(8)), (1, take(9))]);
    let (fills, orders) = simulator.finish();
    assert_eq!(fills.iter().map(|fill| fill.qty).collect::<Vec<_>>(), [4, 1]);
    assert_eq!((orders[1].state, orders[1].canceled), (State::Canceled, 3));
}

#[test]
fn the_other_side_runs_over_it() {
    let mut simulator = Simulator::default();
    let events = [event(kind::ADD, 1, BID, 100, 5), event(kind::ADD, 2, ASK, 100, 1)];
    simulator.run(events.iter(), None, &[(1, bid(9, 100, 2))]);
    let (fills, orders) = simulator.finish();
    assert_eq!((fills.len(), fills[0].reason, orders[0].through), (1, Reason::Through, 2));
}
