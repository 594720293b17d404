use super::*;
use crate::protocols::moldudp64::{Builder, HEARTBEAT, Header, split};

const SESSION: Session = *b"20260101AB";
const MS: i64 = 1_000_000;

fn message(number: u64) -> Vec<u8> {
    vec![number as u8; 1 + number as usize % 90]
}

fn packet(sequence: u64, count: u64) -> Vec<u8> {
    let mut builder = Builder::new(SESSION, sequence, 60_000);
    (sequence..sequence + count).for_each(|number| assert!(builder.push(&message(number))));
    builder.packet().to_vec()
}

fn arbiter(config: Config) -> Arbiter {
    Arbiter::new(Some(SESSION), 1, config)
}

/// Numbers delivered, each message being looked at.
fn numbers(given: Delivery) -> Vec<u64> {
    let numbered = (given.sequence..).zip(split(given.blocks));
    let numbers: Vec<u64> = numbered.map(|(n, bytes)| if bytes == message(n) { n } else { 0 }).collect();
    assert_eq!(numbers.len() as u64, given.count);
    numbers
}

#[test]
fn what_comes_in_order_is_delivered_where_it_stands() {
    let mut arbiter = arbiter(Config::default());
    let (first, second) = (packet(1, 3), packet(2, 5));
    assert_eq!(arbiter.receive(0, &first, 0).blocks.as_ptr(), first[HEADER..].as_ptr());
    // The first two messages of the second packet are known: it is delivered from the third on.
    let given = arbiter.receive(1, &second, 0);
    let known = bytes_of(&second[HEADER..], 2).expect("two messages");
    assert_eq!(given.blocks.as_ptr(), second[HEADER + known..].as_ptr());
    assert_eq!(numbers(given), [4, 5, 6]);
    assert_eq!(arbiter.receive(1, &second, 0).count, 0);
    assert_eq!((arbiter.counts.messages, arbiter.counts.duplicates), (6, 2 + 5));
}

#[test]
fn the_other_line_fills_a_hole_and_what_waited_follows() {
    let mut arbiter = arbiter(Config::default());
    for (sequence, count) in [(4, 2), (9, 3), (6, 2)] {
        assert_eq!(arbiter.receive(0, &packet(sequence, count), 0).count, 0);
    }
    assert_eq!((arbiter.gap(), arbiter.stale(), arbiter.held()), (Some((1, 4)), true, 7));
    assert_eq!(numbers(arbiter.receive(1, &packet(1, 4), 0)), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!((arbiter.gap(), arbiter.counts.duplicates), (Some((8, 9)), 1));
    assert_eq!(numbers(arbiter.receive(1, &packet(8, 1), 0)), [8, 9, 10, 11]);
    assert_eq!((arbiter.gap(), arbiter.stale(), arbiter.held()), (None, false, 0));
}

#[test]
fn a_hole_is_asked_for_and_given_up_and_reported() {
    let mut arbiter = arbiter(Config { max_requests: 2, ..Config::default() });
    arbiter.receive(0, &packet(5, 1), 0);
    assert_eq!(arbiter.due(MS), None);
    let request = Header { session: SESSION, sequence: 1, count: 4 };
    assert_eq!(arbiter.due(2 * MS), Some(request));
    assert_eq!(arbiter.due(3 * MS), None);
    assert_eq!(numbers(arbiter.receive(9, &packet(1, 2), 4 * MS)), [1, 2]);
    assert_eq!(arbiter.counts.recovered, 2);
    for at in [5, 56] {
        assert_eq!(arbiter.due(at * MS), Some(Header { sequence: 3, count: 2, ..request }));
    }
    assert_eq!(arbiter.due(200 * MS), None);
    assert_eq!(numbers(arbiter.receive(0, &packet(6, 1), 200 * MS)), [5, 6]);
    assert_eq!((arbiter.lost.iter().collect::<Vec<_>>(), arbiter.counts.lost), (vec![&(3, 5)], 2));
    assert!(arbiter.stale() && arbiter.gap().is_none());
}

#[test]
fn one_number_far_ahead_is_doubted_and_forgotten() {
    let mut arbiter = arbiter(Config::default());
    let far = Header { session: SESSION, sequence: u64::MAX, count: HEARTBEAT }.bytes();
    arbiter.receive(0, &far, 0);
    assert_eq!((arbiter.stale(), arbiter.gap()), (true, Some((1, u64::MAX))));
    assert_eq!(arbiter.due(10 * MS).map(|request| request.count), Some(1024));
    assert_eq!(numbers(arbiter.receive(0, &packet(1, 1), 2_999 * MS)), [1]);
    assert!(arbiter.stale());
    assert_eq!(numbers(arbiter.receive(0, &packet(2, 1), 3_000 * MS)), [2]);
    assert!(!arbiter.stale());
}

#[test]
fn an_end_that_heartbeats_contradict_is_forgotten() {
    let mut arbiter = arbiter(Config::default());
    arbiter.receive(0, &packet(1, 2), 0);
    arbiter.receive(1, &Header { session: SESSION, sequence: 65_535, count: END }.bytes(), 0);
    arbiter.receive(0, &packet(3, 2), 4_000 * MS);
    assert!(arbiter.stale());
    let beat = Header { session: SESSION, sequence: 5, count: HEARTBEAT }.bytes();
    arbiter.receive(0, &beat, 4_001 * MS);
    assert!(!arbiter.stale() && !arbiter.finished());
    arbiter.receive(0, &Header { session: SESSION, sequence: 5, count: END }.bytes(), 9_000 * MS);
    arbiter.receive(0, &beat, 19_000 * MS);
    assert!(arbiter.finished());
}

#[test]
fn the_end_is_not_the_end_before_everything_came() {
    let mut arbiter = arbiter(Config::default());
    arbiter.receive(0, &packet(1, 2), 0);
    arbiter.receive(0, &Header { session: SESSION, sequence: 5, count: END }.bytes(), 0);
    assert!(!arbiter.finished() && arbiter.stale());
    assert_eq!(numbers(arbiter.receive(0, &packet(3, 2), 0)), [3, 4]);
    assert!(arbiter.finished() && !arbiter.stale());
}

#[test]
fn three_datagrams_of_another_session_mean_another_session() {
    let mut arbiter = arbiter(Config::default());
    let mut other = packet(1, 1);
    other[0] ^= 1;
    for count in 1..=3 {
        assert_eq!(arbiter.receive(0, &other, 0).count, 0);
        assert_eq!((arbiter.counts.foreign_session, arbiter.changed.is_some()), (count, count == 3));
    }
    arbiter.restart(None, 0);
    assert_eq!(arbiter.receive(0, &other, 0).count, 1);
    assert_eq!(arbiter.session.map(|session| session[0]), Some(SESSION[0] ^ 1));
}
