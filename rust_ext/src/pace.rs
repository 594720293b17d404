//! An open loop: calls that are made when a schedule says, whatever the engine does, and the times at which each began and was done.

use crate::clock::Clock;
use crate::frames::Problem;
use crate::run::Runner;

/// What is to be pushed, and when: call i is `data[ends[i-1]..ends[i]]`, due `due_ns[i]` after the beginning.
pub struct Schedule<'a> {
    /// Framed messages.
    pub data: &'a [u8],
    /// Where each call ends, bytes; not descending.
    pub ends: &'a [i64],
    /// When each call is due, ns; not descending.
    pub due_ns: &'a [i64],
}

impl Schedule<'_> {
    /// Whether every call lies within the data and comes no sooner than the one before it.
    pub fn is_sound(&self) -> bool {
        let climbs = |values: &[i64]| values.first().is_none_or(|&first| first >= 0) && values.is_sorted();
        self.ends.len() == self.due_ns.len()
            && climbs(self.ends)
            && climbs(self.due_ns)
            && self.ends.last().is_none_or(|&end| end as usize <= self.data.len())
    }
}

/// A schedule under way.
pub struct Pace<'a> {
    schedule: Schedule<'a>,
    clock: Clock,
    /// Tick from which on times count.
    begin: u64,
    next: usize,
}

impl<'a> Pace<'a> {
    /// Begin now. The schedule must be sound.
    pub fn new(schedule: Schedule<'a>, clock: Clock) -> Self {
        Pace { schedule, begin: clock.now(), clock, next: 0 }
    }

    /// Go on for about `slice_ns`, and write down when each call began and was done, ns from the beginning, into slices of one value
    /// per call. Returns whether calls are left, and why it stopped early, if it did; a call that is not whole messages is no call.
    pub fn run(
        &mut self,
        runner: &mut dyn Runner,
        slice_ns: f64,
        began: &mut [i64],
        done: &mut [i64],
    ) -> (bool, Option<Problem>) {
        let Schedule { data, ends, due_ns } = self.schedule;
        let (begin, ns) = (self.begin, self.clock.ns_per_tick);
        let stop = self.clock.now() + (slice_ns / ns) as u64;
        let since = |ticks: u64| (ticks.saturating_sub(begin) as f64 * ns) as i64;
        while self.next < ends.len() {
            let i = self.next;
            let due = begin + (due_ns[i] as f64 / ns).ceil() as u64;
            let mut now = self.clock.now();
            while now < due {
                if now >= stop {
                    return (true, None);
                }
                std::hint::spin_loop();
                now = self.clock.now();
            }
            let from = if i == 0 { 0 } else { ends[i - 1] as usize };
            let call = &data[from..ends[i] as usize];
            let (used, problem) = runner.run_bytes(call, usize::MAX);
            if problem.is_some() {
                return (false, problem);
            }
            if used < call.len() {
                let at = from + used;
                return (false, Some(Problem { code: "partial", at, index: i as u64, size: 0, letter: 0 }));
            }
            began[i] = since(now);
            done[i] = since(self.clock.now());
            self.next = i + 1;
            if now >= stop {
                return (self.next < ends.len(), None);
            }
        }
        (false, None)
    }
}
