//! The clock of the stage stamps: the time-stamp counter where it is invariant, calibrated against CLOCK_MONOTONIC_RAW; the system
//! clock elsewhere.

use std::sync::OnceLock;

/// A clock that counts ticks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// `tsc`, `cntvct` or `clock_gettime`.
    pub name: &'static str,
    /// Nanoseconds per tick.
    pub ns_per_tick: f64,
}

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
        *CLOCK.get_or_init(|| {
            if !counter_is_invariant() {
                return Clock { name: "clock_gettime", ns_per_tick: 1.0 };
            }
            let name = if cfg!(target_arch = "x86_64") { "tsc" } else { "cntvct" };
            Clock { name, ns_per_tick: calibrate() }
        })
    }

    /// Now, in ticks.
    #[inline(always)]
    pub fn now(&self) -> u64 {
        if self.name == "clock_gettime" { raw_ns() } else { counter() }
    }

    /// Back-to-back readings, in nanoseconds: what one stamp costs, and how that varies.
    pub fn cost_ns(&self, n: usize) -> Vec<f64> {
        let mut ticks = vec![0; n + 1];
        for tick in &mut ticks {
            *tick = self.now();
        }
        ticks.windows(2).map(|pair| pair[1].saturating_sub(pair[0]) as f64 * self.ns_per_tick).collect()
    }
}

/// Nanoseconds per tick over 20 ms; each end is the tightest of many readings, so that a preempted one does not count.
fn calibrate() -> f64 {
    let pair = || {
        (0..100)
            .map(|_| {
                let (a, ns, b) = (counter(), raw_ns(), counter());
                (b - a, a + (b - a) / 2, ns)
            })
            .min()
            .unwrap_or_default()
    };
    let (_, start_ticks, start_ns) = pair();
    std::thread::sleep(std::time::Duration::from_millis(20));
    let (_, end_ticks, end_ns) = pair();
    (end_ns - start_ns) as f64 / (end_ticks - start_ticks).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calibrated_second_is_a_second() {
        let clock = Clock::get();
        let (ticks, ns) = (clock.now(), raw_ns());
        std::thread::sleep(std::time::Duration::from_millis(50));
        let (ticks, ns) = (clock.now() - ticks, raw_ns() - ns);
        let ratio = ticks as f64 * clock.ns_per_tick / ns as f64;
        assert!((0.98..1.02).contains(&ratio), "{clock:?}: {ratio}");
    }
}
