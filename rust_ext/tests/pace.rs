//! Is nothing pushed before it is due, and everything that is due?

use hftlab_rust::clock::Clock;
use hftlab_rust::pace::{Pace, Schedule};
use hftlab_rust::run::{Runner, Until};

mod common;

fn runner() -> Box<dyn Runner> {
    common::engine(common::BEST, common::settings(Until::Order))
}

/// A system event, framed.
const EVENT: [u8; 14] = [0, 12, b'S', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'O'];

#[test]
fn nothing_is_pushed_before_it_is_due_and_a_slice_ends() {
    let data = EVENT.repeat(50);
    let ends: Vec<i64> = (1..=50).map(|i| i * EVENT.len() as i64).collect();
    let due_ns: Vec<i64> = (0..50).map(|i| i * 20_000).collect();
    let schedule = Schedule { data: &data, ends: &ends, due_ns: &due_ns };
    assert!(schedule.is_sound());
    let (mut runner, mut began, mut done) = (runner(), vec![0; 50], vec![0; 50]);
    let mut pace = Pace::new(schedule, Clock::get());
    let mut slices = 1;
    while pace.run(&mut *runner, 100_000.0, &mut began, &mut done).0 {
        slices += 1;
    }
    assert!(slices > 1, "{slices}");
    assert_eq!(runner.tally().messages, 50);
    for i in 0..50 {
        assert!(due_ns[i] <= began[i] + 1 && began[i] <= done[i], "{i}: {} {}", began[i], done[i]);
        assert!(i == 0 || done[i - 1] <= began[i]);
    }
}

#[test]
fn a_call_that_ends_within_a_message_is_said_and_a_wrong_schedule_is_known() {
    let data = EVENT.repeat(2);
    let schedule = Schedule { data: &data, ends: &[14, 20], due_ns: &[0, 0] };
    let (mut began, mut done) = ([0; 2], [0; 2]);
    let problem = Pace::new(schedule, Clock::get()).run(&mut *runner(), 1e9, &mut began, &mut done).1;
    assert_eq!(problem.map(|found| (found.code, found.at, found.index)), Some(("partial", 14, 1)));
    for (ends, due_ns) in
        [(&[14, 40][..], &[0, 0][..]), (&[14, 10], &[0, 0]), (&[14, 28], &[5, 4]), (&[14], &[0, 0])]
    {
        assert!(!Schedule { data: &data, ends, due_ns }.is_sound(), "{ends:?} {due_ns:?}");
    }
    assert!(Schedule { data: &[], ends: &[], due_ns: &[] }.is_sound());
}
