//! The clock of the stage stamps: the time-stamp counter where it is invariant, calibrated against CLOCK_MONOTONIC_RAW; the system
//! clock elsewhere.

use std::sync::OnceLock;

mod calibration;
pub mod jitter;

pub use calibration::{Calibration, Check};

/// A clock that counts ticks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// `tsc`, `cntvct` or `clock_gettime`.
    pub name: &'static str,
    /// Nanoseconds per tick.
    pub ns_per_tick: f64,
}

/// The clock that every machine has.
const FALLBACK: &str = "clock_gettime";

/// Nanoseconds of CLOCK_MONOTONIC_RAW.
fn raw_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    #[cfg(target_os = "linux")]
    let id = libc::CLOCK_MONOTONIC_RAW;
    #[cfg(not(target_os = "linux"))]
    let id = libc::CLOCK_MONOTONIC;
    // SAFETY: `now` is a timespec of our own, and the call writes nothing else.
    unsafe { libc::clock_gettime(id, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Processor time of the calling thread, ns.
pub fn thread_cpu_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: as above.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(target_arch = "x86_64")]
fn counter_is_invariant() -> bool {
    use std::arch::x86_64::__cpuid;
    let highest = __cpuid(0x8000_0000).eax;
    highest >= 0x8000_0007
        && __cpuid(0x8000_0007).edx & (1 << 8) != 0
        && __cpuid(0x8000_0001).edx & (1 << 27) != 0 // rdtscp
}

#[cfg(target_arch = "aarch64")]
fn counter_is_invariant() -> bool {
    true
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn counter_is_invariant() -> bool {
    false
}

/// Read the counter, after everything before it is done and before anything after it starts.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn counter() -> u64 {
    use std::arch::x86_64::{__rdtscp, _mm_lfence};
    let mut core = 0;
    // SAFETY: rdtscp is there, `counter_is_invariant` has asked; lfence is in every x86-64.
    unsafe {
        let ticks = __rdtscp(&mut core); // waits for what stands before it
        _mm_lfence(); // holds back what comes after it
        ticks
    }
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn counter() -> u64 {
    let ticks: u64;
    // SAFETY: reads a register that user space may read; isb orders it with what stands before.
    unsafe { std::arch::asm!("isb", "mrs {}, cntvct_el0", out(reg) ticks, options(nostack)) };
    ticks
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn counter() -> u64 {
    raw_ns()
}

impl Clock {
    /// The best clock of this machine, calibrated once per process (about 20 ms).
    pub fn get() -> Clock {
        static CLOCK: OnceLock<Clock> = OnceLock::new();
        *CLOCK.get_or_init(|| match Calibration::get() {
            Some(found) if cfg!(target_arch = "x86_64") => {
                Clock { name: "tsc", ns_per_tick: found.ns_per_tick }
            }
            Some(found) => Clock { name: "cntvct", ns_per_tick: found.ns_per_tick },
            None => Clock::fallback(),
        })
    }

    /// The system clock: what is left where the counter is not invariant. A tick of it is a nanosecond.
    pub fn fallback() -> Clock {
        Clock { name: FALLBACK, ns_per_tick: 1.0 }
    }

    /// Every clock of this machine, the best first.
    pub fn all() -> Vec<Clock> {
        let best = Clock::get();
        if best.name == FALLBACK { vec![best] } else { vec![best, Clock::fallback()] }
    }

    /// What a reading is made of.
    pub fn source(&self) -> &'static str {
        match self.name {
            "tsc" => "rdtscp, lfence",
            "cntvct" => "isb, mrs cntvct_el0",
            _ if cfg!(target_os = "linux") => "clock_gettime(CLOCK_MONOTONIC_RAW)",
            _ => "clock_gettime(CLOCK_MONOTONIC)",
        }
    }

    /// Now, in ticks.
    #[inline(always)]
    pub fn now(&self) -> u64 {
        if self.name == FALLBACK { raw_ns() } else { counter() }
    }

    /// `n` readings back to back, in ticks.
    pub fn stamps(&self, n: usize) -> Vec<u64> {
        let mut ticks = vec![u64::MAX; n]; // not zeros, whose pages the system gives only when they are written
        for tick in &mut ticks {
            *tick = self.now();
        }
        ticks
    }

    /// Back-to-back readings, in nanoseconds: what one stamp costs, and how that varies.
    pub fn cost_ns(&self, n: usize) -> Vec<f64> {
        let ticks = self.stamps(n + 1);
        ticks.windows(2).map(|pair| pair[1].saturating_sub(pair[0]) as f64 * self.ns_per_tick).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calibrated_second_is_a_second_on_every_clock() {
        for clock in Clock::all().into_iter().chain([Clock::fallback()]) {
            let (ticks, ns) = (clock.now(), raw_ns());
            std::thread::sleep(std::time::Duration::from_millis(50));
            let (ticks, ns) = (clock.now() - ticks, raw_ns() - ns);
            let ratio = ticks as f64 * clock.ns_per_tick / ns as f64;
            assert!((0.98..1.02).contains(&ratio), "{clock:?}: {ratio}");
        }
    }

    #[test]
    fn the_fallback_reads_the_system_clock() {
        let clock = Clock::fallback();
        let (before, now, after) = (raw_ns(), clock.now(), raw_ns());
        assert!(before <= now && now <= after, "{before} {now} {after}");
        assert!(clock.source().starts_with("clock_gettime"));
        assert_eq!(Clock::all().iter().filter(|other| other.name == clock.name).count(), 1);
    }

    #[test]
    fn readings_do_not_go_backwards_and_cost_something() {
        for clock in Clock::all() {
            assert!(clock.stamps(10_000).is_sorted(), "{clock:?}");
            assert!(clock.cost_ns(10_000).iter().sum::<f64>() > 0.0, "{clock:?}");
        }
    }
}
