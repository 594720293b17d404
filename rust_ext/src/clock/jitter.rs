//! The noise floor of a machine: read the clock in a spin and look at the gaps. Nothing runs between two readings, so what is longer
//! than a reading was taken away: by an interrupt, by another process, by the hypervisor.

use crate::clock::Clock;

/// Cells for each power of two: a cell is at most 1/64 wider than its lower edge.
const CELLS: usize = 64;
const BITS: u32 = CELLS.ilog2();

/// Every gap between two readings, in a histogram of bounded size.
pub struct Gaps {
    clock: Clock,
    lost_ticks: u64,
    long_ticks: u64,
    counts: Vec<u64>,
    /// Ticks that were watched.
    watched: u64,
    /// Ticks in gaps of at least `lost_ns`.
    lost: u64,
    /// Gaps of at least `long_ns`.
    long: u64,
    /// The longest gap in ticks.
    max: u64,
}

/// What was found, in nanoseconds.
pub struct Report {
    /// Lower edge of each cell that was hit.
    pub ns: Vec<f64>,
    /// Gaps in it.
    pub counts: Vec<u64>,
    /// Time that was watched.
    pub watched_ns: f64,
    /// Time in gaps of at least `lost_ns`.
    pub lost_ns: f64,
    /// Gaps of at least `long_ns`.
    pub long: u64,
    /// The longest gap.
    pub max_ns: f64,
}

impl Gaps {
    /// Watch with a clock; `lost_ns` and `long_ns` are the lengths from which a gap counts as lost time, and as long.
    pub fn new(clock: Clock, lost_ns: f64, long_ns: f64) -> Gaps {
        let ticks = |ns: f64| (ns / clock.ns_per_tick).ceil() as u64;
        Gaps {
            lost_ticks: ticks(lost_ns),
            long_ticks: ticks(long_ns),
            counts: vec![0; cell(u64::MAX) + 1],
            clock,
            watched: 0,
            lost: 0,
            long: 0,
            max: 0,
        }
    }

    /// Spin for so long.
    pub fn watch(&mut self, ns: f64) {
        let start = self.clock.now();
        let end = start + (ns / self.clock.ns_per_tick) as u64;
        let mut last = start;
        while last < end {
            let now = self.clock.now();
            self.add(now.saturating_sub(last));
            last = now;
        }
        self.watched += last - start;
    }

    #[inline(always)]
    fn add(&mut self, ticks: u64) {
        self.counts[cell(ticks)] += 1;
        if ticks >= self.lost_ticks {
            self.lost += ticks;
        }
        if ticks >= self.long_ticks {
            self.long += 1;
        }
        self.max = self.max.max(ticks);
    }

    /// What was seen so far.
    pub fn report(&self) -> Report {
        let ns = |ticks: u64| ticks as f64 * self.clock.ns_per_tick;
        let hit = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let (edges, counts) = hit.map(|(cell, &count)| (ns(edge(cell)), count)).unzip();
        Report {
            ns: edges,
            counts,
            watched_ns: ns(self.watched),
            lost_ns: ns(self.lost),
            long: self.long,
            max_ns: ns(self.max),
        }
    }
}

/// The cell of a length: itself while it is short, then its leading bits.
#[inline(always)]
fn cell(ticks: u64) -> usize {
    let shift = (u64::BITS - ticks.leading_zeros()).saturating_sub(BITS + 1);
    shift as usize * CELLS + (ticks >> shift) as usize
}

/// The shortest length in a cell.
fn edge(cell: usize) -> u64 {
    let shift = (cell / CELLS).saturating_sub(1);
    ((cell - shift * CELLS) as u64) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_holds_its_edge_and_is_narrow() {
        for ticks in (0..5_000).chain([1 << 20, (1 << 40) + 12_345, u64::MAX]) {
            let low = edge(cell(ticks));
            assert!(low <= ticks && ticks - low <= ticks / CELLS as u64, "{ticks}: {low}");
            assert_eq!(cell(low), cell(ticks));
        }
        assert!((1..5_000).all(|ticks| cell(ticks) - cell(ticks - 1) <= 1));
    }

    #[test]
    fn planted_gaps_are_counted() {
        let mut gaps = Gaps::new(Clock::fallback(), 1_000.0, 10_000.0);
        for ticks in [20, 20, 20, 999, 1_000, 9_999, 10_000, 500_000] {
            gaps.add(ticks);
        }
        let found = gaps.report();
        assert_eq!(found.counts.iter().sum::<u64>(), 8);
        assert_eq!((found.ns[0], found.counts[0]), (20.0, 3));
        assert_eq!((found.lost_ns, found.long, found.max_ns), (520_999.0, 2, 500_000.0));
    }

    #[test]
    fn the_time_watched_is_the_sum_of_its_gaps() {
        for clock in Clock::all() {
            let mut gaps = Gaps::new(clock, 0.0, 1e9);
            gaps.watch(2e6);
            gaps.watch(2e6);
            let found = gaps.report();
            assert!(found.watched_ns >= 0.99 * 4e6, "{}", found.watched_ns);
            assert!(
                (found.lost_ns / found.watched_ns - 1.0).abs() < 1e-9,
                "from 0 ns on, all time is in gaps"
            );
            assert!(found.max_ns <= found.watched_ns);
        }
    }
}
