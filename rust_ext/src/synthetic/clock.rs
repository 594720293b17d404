//! Time and weather: when the next message comes, whether a burst is on, which symbol is halted, what the weights are.

use super::parameters::Parameters;
use super::random::{Random, octave};
use super::wire::{CLOSE, OPEN};

const NEVER: u64 = 1 << 62;
/// Mean of (1 + 8 random bits) << octave: 128.5 * 7.
const MEAN_GAP: u64 = 900;
/// Messages a sweep can put between a due resumption and the resumption itself, with room to spare.
const SLACK: u64 = 16;

/// Nanoseconds since midnight in `now`, with the tracking number in `stamp`; counts are messages since the open.
pub(super) struct Clock {
    messages: u64,
    pub(super) now: u64,
    pub(super) stamp: u64,
    unit: u64,
    shift: u64,
    pub(super) bursting: bool,
    pub(super) focus: usize,
    pub(super) halted: usize,
    burst_start: u64,
    burst_end: u64,
    pub(super) resume_at: u64,
    pub(super) halt_at: u64,
    pub(super) alarm: u64,
    pub(super) weights: Weights,
}

/// Upper ends of the bands of a 16-bit number: flow (adds and deletes), replaces, executions, cancels; the rest is trades.
pub(super) struct Weights {
    pub(super) flow: u64,
    pub(super) to_replace: u64,
    pub(super) to_execute: u64,
    pub(super) to_cancel: u64,
    pub(super) add: i64,
}

impl Weights {
    fn new(regime: &Parameters, burst: bool) -> Self {
        let extra = |weight: u64| if burst { weight } else { 0 };
        let replace = regime.replace + extra(regime.burst_replace);
        let execute = regime.execute + extra(regime.burst_execute);
        let flow = 65_536 - replace - execute - regime.cancel - regime.trade;
        Self {
            flow,
            to_replace: flow + replace,
            to_execute: flow + replace + execute,
            to_cancel: flow + replace + execute + regime.cancel,
            add: regime.add as i64 - extra(regime.burst_delete) as i64,
        }
    }
}

impl Clock {
    pub(super) fn new(regime: &Parameters, messages: u64, random: &mut Random) -> Self {
        let share = (CLOSE - OPEN) * 3 / 4 / messages.max(1);
        let burst_start = after(0, regime.burst_every, random);
        let halt_at = after(0, regime.halt_every, random);
        let mut clock = Self {
            messages,
            now: OPEN,
            stamp: OPEN,
            unit: (regime.gap_ns.min(share) / MEAN_GAP).max(1),
            shift: 0,
            bursting: false,
            focus: 0,
            halted: 0,
            burst_start,
            burst_end: NEVER,
            resume_at: NEVER,
            halt_at,
            alarm: 0,
            weights: Weights::new(regime, false),
        };
        clock.set_alarm();
        clock
    }

    /// Lets a heavy-tailed gap pass: octaves from bits 38-49, within them bits 50-57.
    pub(super) fn pass_gap(&mut self, bits: u64) {
        let gap = ((self.unit * (1 + (bits >> 50 & 0xFF))) << octave(bits >> 38)) >> self.shift;
        self.pass_by(gap);
        self.stamp = self.now | (bits & 6) << 48;
    }

    /// Lets `gap` ns pass, though never beyond the last nanosecond before the close.
    pub(super) fn pass_by(&mut self, gap: u64) {
        self.now = (self.now + gap).min(CLOSE - 1);
        self.stamp = self.now;
    }

    /// The next message number at which something begins or ends.
    pub(super) fn set_alarm(&mut self) {
        self.alarm = self.burst_start.min(self.burst_end).min(self.halt_at).min(self.resume_at);
    }

    /// Begins or ends a burst if one is due.
    pub(super) fn ring_burst(
        &mut self,
        regime: &Parameters,
        count: u64,
        random: &mut Random,
        current: usize,
    ) {
        if count >= self.burst_end {
            (self.bursting, self.shift, self.burst_end) = (false, 0, NEVER);
            self.burst_start = after(count, regime.burst_every, random);
            self.weights = Weights::new(regime, false);
        } else if count >= self.burst_start {
            (self.bursting, self.shift, self.burst_start) = (true, regime.burst_shift, NEVER);
            let octave = octave(random.draw()).min(5);
            self.burst_end = count + 1 + (regime.burst_length << octave >> 2);
            self.focus = current;
            self.weights = Weights::new(regime, true);
        }
    }

    /// Halts the symbol if there is time left to resume it.
    pub(super) fn halt(&mut self, regime: &Parameters, count: u64, instrument: usize) -> bool {
        self.halt_at = NEVER;
        if count + regime.halt_length + SLACK >= self.messages {
            return false;
        }
        self.halted = instrument;
        self.resume_at = count + regime.halt_length;
        true
    }

    /// Fixes the next halt.
    pub(super) fn resumed(&mut self, regime: &Parameters, count: u64, random: &mut Random) {
        self.resume_at = NEVER;
        self.halt_at = after(count, regime.halt_every, random);
    }
}

fn after(count: u64, mean: u64, random: &mut Random) -> u64 {
    if mean == 0 {
        return NEVER;
    }
    count + 1 + random.below(2 * mean)
}
