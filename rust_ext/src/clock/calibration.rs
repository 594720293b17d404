//! How many nanoseconds a tick of the counter is, and how far that can be trusted.

use std::sync::OnceLock;
use std::time::Duration;

use super::{counter, counter_is_invariant, raw_ns};

/// Span of a calibration.
const SPAN: Duration = Duration::from_millis(20);

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moment {
    /// Ticks between the two readings of the counter around that of the system clock: what the moment is uncertain by.
    width: u64,
    ticks: u64,
    ns: u64,
}

impl Moment {
    /// The tightest of many, so that a preempted one does not count.
    fn now() -> Moment {
        let one = |_| {
            let (before, ns, after) = (counter(), raw_ns(), counter());
            let width = after.saturating_sub(before);
            Moment { width, ticks: before + width / 2, ns }
        };
        (0..100).map(one).min().expect("a hundred moments")
    }
}

/// Nanoseconds per tick by CLOCK_MONOTONIC_RAW.
#[derive(Clone, Copy, Debug)]
pub struct Calibration {
    /// Nanoseconds per tick.
    pub ns_per_tick: f64,
    /// How long it took.
    pub span_ns: u64,
    /// What the width of its two moments leaves open, in parts per million.
    pub bound_ppm: f64,
    start: Moment,
}

/// What a later look at a calibration has found.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// A second calibration against the first, in parts per million.
    pub again_ppm: f64,
    /// The calibrated counter against CLOCK_MONOTONIC_RAW since the first calibration began, in parts per million.
    pub drift_ppm: f64,
    /// How long ago that was.
    pub drift_ns: u64,
}

impl Calibration {
    /// That of this process; None where the counter is not invariant.
    pub fn get() -> Option<Calibration> {
        static CALIBRATION: OnceLock<Option<Calibration>> = OnceLock::new();
        *CALIBRATION.get_or_init(|| counter_is_invariant().then(|| Calibration::over(SPAN)))
    }

    fn over(span: Duration) -> Calibration {
        let start = Moment::now();
        std::thread::sleep(span);
        Calibration::between(start, Moment::now())
    }

    fn between(start: Moment, end: Moment) -> Calibration {
        let (ticks, span_ns) = ((end.ticks - start.ticks).max(1) as f64, end.ns - start.ns);
        let bound_ppm = (start.width + end.width) as f64 / 2.0 / ticks * 1e6;
        Calibration { ns_per_tick: span_ns as f64 / ticks, span_ns, bound_ppm, start }
    }

    /// Calibrate again, and look how far the first one has drifted (about 20 ms).
    pub fn check(&self) -> Check {
        let again = Calibration::over(Duration::from_nanos(self.span_ns));
        let whole = Calibration::between(self.start, Moment::now());
        let ppm = |other: Calibration| (self.ns_per_tick / other.ns_per_tick - 1.0) * 1e6;
        Check { again_ppm: ppm(again), drift_ppm: ppm(whole), drift_ns: whole.span_ns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_calibration_is_found_again() {
        let Some(calibration) = Calibration::get() else {
            return assert_eq!(Clock::get().name, Clock::fallback().name);
        };
        assert_eq!(calibration.ns_per_tick, Clock::get().ns_per_tick);
        let check = calibration.check();
        assert!(check.again_ppm.abs() < 20_000.0 && check.drift_ppm.abs() < 20_000.0, "{check:?}");
        assert!(check.drift_ns > calibration.span_ns);
    }

    #[test]
    fn a_calibration_is_the_slope_between_two_moments() {
        let start = Moment { width: 60, ticks: 1_000, ns: 5_000 };
        let found = Calibration::between(start, Moment { width: 40, ticks: 3_001_000, ns: 1_005_000 });
        assert!((found.ns_per_tick - 1.0 / 3.0).abs() < 1e-12 && found.span_ns == 1_000_000);
        assert!((found.bound_ppm - 50.0 / 3.0).abs() < 1e-9);
    }
}
