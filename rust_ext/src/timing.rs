//! The stamps of a run: five readings of the clock per message, kept, counted into histograms, or both; and the slowest messages.
//!
//! ```text
//! t0 | tick | t1 | book | t2 | signal | t3 | order | t4
//! ```
//!
//! While a message runs, a reading is written and nothing else is done. Full blocks are counted between two messages, so that a run of
//! any length needs the memory of one block and its histograms.

use hdrhistogram::Histogram;

use crate::clock::Clock;

/// Readings before the message and after each stage, in ticks.
pub type Row = [u64; PARTS.len()];
/// The four stages and all together.
pub const PARTS: [&str; 5] = ["tick", "book", "signal", "order", "total"];
/// What is longer, in ns, is counted as this and as saturated.
const HIGHEST: u64 = 3_600_000_000_000;
/// Rows per block.
const BLOCK: usize = 1 << 12;

/// What is kept of the stamps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keep {
    /// Every row.
    pub samples: bool,
    /// Counts by length.
    pub counts: bool,
    /// So many of the slowest messages.
    pub slowest: usize,
    /// Rows before and after each of them.
    pub around: usize,
}

/// The lengths of one part of the path, in ns.
pub struct Counted {
    /// In buckets of three significant digits.
    pub histogram: Histogram<u64>,
    /// The least and the greatest, exact.
    pub span: (f64, f64),
    /// The exact sum.
    pub total: f64,
    /// How many were longer than can be counted.
    pub saturated: u64,
}

impl Counted {
    fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, HIGHEST, 3).expect("bounds that the crate takes");
        Counted { histogram, span: (f64::INFINITY, 0.0), total: 0.0, saturated: 0 }
    }

    fn record(&mut self, ns: f64) {
        let whole = (ns.round_ties_even() as u64).min(HIGHEST);
        self.histogram.record(whole).expect("a length within the bounds");
        self.span = (self.span.0.min(ns), self.span.1.max(ns));
        self.total += ns;
        self.saturated += u64::from(ns > HIGHEST as f64);
    }
}

/// One of the slowest messages, with its neighbours.
#[derive(Clone, Debug)]
pub struct Capture {
    /// Its number.
    pub at: u64,
    /// The number of the first of `rows`.
    pub first: u64,
    /// Stamps in ticks.
    pub rows: Vec<Row>,
}

/// The messages of a stream that took longest, in bounded memory. Of equals the earlier stays.
#[derive(Default)]
struct Slowest {
    /// Slowest first: ticks, message number.
    best: Vec<(u64, u64)>,
    kept: Vec<Capture>,
    /// The end of what came before, for neighbours, and the number of its first row.
    before: Vec<Row>,
    first: u64,
}

impl Slowest {
    /// The next rows of the stream.
    fn add(&mut self, rows: &[Row], keep: &Keep) {
        let fresh = self.before.len();
        self.before.extend_from_slice(rows);
        let all = &self.before;
        for (place, row) in all.iter().enumerate().skip(fresh) {
            let length = row[4].saturating_sub(row[0]);
            if self.best.len() == keep.slowest && length <= self.best.last().map_or(0, |last| last.0) {
                continue;
            }
            let at = self.best.partition_point(|other| other.0 >= length);
            self.best.insert(at, (length, self.first + place as u64));
            self.best.truncate(keep.slowest);
        }
        let (first, mut old) = (self.first, std::mem::take(&mut self.kept));
        for &(_, at) in &self.best {
            let whole = |kept: &Capture| kept.first + kept.rows.len() as u64 > at + keep.around as u64;
            let known = old.iter().position(|kept| kept.at == at && whole(kept));
            self.kept.push(known.map(|i| old.swap_remove(i)).unwrap_or_else(|| {
                let place = (at - first) as usize;
                let low = place.saturating_sub(keep.around);
                let high = all.len().min(place + keep.around + 1);
                Capture { at, first: first + low as u64, rows: all[low..high].to_vec() }
            }));
        }
        let over = self.before.len().saturating_sub(2 * keep.around + 1);
        self.before.drain(..over);
        self.first += over as u64;
    }
}

/// The stamps of a run.
pub struct Stamps {
    keep: Keep,
    ns_per_tick: f64,
    /// Rows not yet counted; all of them where samples are kept.
    rows: Vec<Row>,
    /// How many of `rows` have been counted.
    counted: usize,
    /// By part of the path; empty unless counted.
    pub histograms: Vec<Counted>,
    slowest: Slowest,
    /// The first reading of the run.
    start: Option<u64>,
}

impl Stamps {
    /// None yet.
    pub fn new(keep: Keep, clock: &Clock) -> Self {
        let parts = if keep.counts { PARTS.len() } else { 0 };
        Stamps {
            keep,
            ns_per_tick: clock.ns_per_tick,
            rows: Vec::new(),
            counted: 0,
            histograms: (0..parts).map(|_| Counted::new()).collect(),
            slowest: Slowest::default(),
            start: None,
        }
    }

    /// Make room for the rows of `messages` more messages.
    pub fn reserve(&mut self, messages: usize) {
        let (len, more) = (self.rows.len(), if self.keep.samples { messages } else { BLOCK });
        if self.rows.capacity() < len + more {
            crate::reserved::reserve(&mut self.rows, more);
            self.rows.resize(len + more, Row::default()); // touches the pages
            self.rows.truncate(len);
        }
    }

    /// Keep the stamps of one message.
    #[inline(always)]
    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
        if self.rows.len() - self.counted >= BLOCK {
            self.seal();
        }
    }

    /// Count the rows that have come since the last time.
    #[cold]
    fn seal(&mut self) {
        let fresh = &self.rows[self.counted..];
        self.start = self.start.or(fresh.first().map(|row| row[0]));
        for row in fresh {
            for (part, counted) in self.histograms.iter_mut().enumerate() {
                counted.record(length(row, part) as f64 * self.ns_per_tick);
            }
        }
        if self.keep.slowest > 0 {
            self.slowest.add(fresh, &self.keep);
        }
        if self.keep.samples {
            self.counted = self.rows.len();
        } else {
            self.rows.clear();
        }
    }

    /// Count what is left, and give every row kept, in ticks.
    pub fn finish(&mut self) -> Vec<Row> {
        self.seal();
        self.counted = 0;
        std::mem::take(&mut self.rows)
    }

    /// The slowest messages, slowest first, and the first reading of the run; None if nobody asked.
    pub fn slowest(&self) -> Option<(&[Capture], u64)> {
        (self.keep.slowest > 0).then(|| (&self.slowest.kept[..], self.start.unwrap_or(0)))
    }
}

/// Ticks of one part of the path: the four stages, then all of it.
pub fn length(row: &Row, part: usize) -> u64 {
    let (from, to) = if part + 1 == PARTS.len() { (0, 4) } else { (part, part + 1) };
    row[to].saturating_sub(row[from])
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: Clock = Clock { name: "clock_gettime", ns_per_tick: 1.0 };

    /// Messages back to back, of lengths that repeat, so that there are ties.
    fn rows(n: usize) -> Vec<Row> {
        let mut at = 1000;
        (0..n as u64)
            .map(|i| {
                let length = 10 + (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56);
                at += 5 + length;
                [at - length, at - length + 1, at - length + 2, at - 1, at]
            })
            .collect()
    }

    fn stamped(rows: &[Row], keep: Keep) -> Stamps {
        let mut stamps = Stamps::new(keep, &CLOCK);
        stamps.reserve(rows.len());
        rows.iter().for_each(|&row| stamps.add(row));
        stamps
    }

    #[test]
    fn the_slowest_are_found_whatever_the_blocks() {
        for (n, k, around) in
            [(0, 3, 2), (1, 3, 2), (BLOCK - 1, 5, 3), (3 * BLOCK + 7, 40, 9), (2 * BLOCK, 1, 0)]
        {
            let rows = rows(n);
            let mut order: Vec<usize> = (0..n).collect();
            order.sort_by_key(|&i| (u64::MAX - length(&rows[i], 4), i));
            let keep = Keep { slowest: k, around, ..Keep::default() };
            let mut stamps = stamped(&rows, keep);
            assert!(stamps.finish().is_empty());
            let (found, start) = stamps.slowest().unwrap();
            assert_eq!(start, rows.first().map_or(0, |row| row[0]));
            assert_eq!(found.iter().map(|one| one.at as usize).collect::<Vec<_>>(), &order[..k.min(n)]);
            for one in found {
                let (low, high) =
                    ((one.at as usize).saturating_sub(around), (one.at as usize + around + 1).min(n));
                assert_eq!((one.first as usize, &one.rows[..]), (low, &rows[low..high]));
            }
        }
    }

    #[test]
    fn every_length_is_counted_once() {
        let rows = rows(2 * BLOCK + 5);
        let mut stamps = stamped(&rows, Keep { samples: true, counts: true, ..Keep::default() });
        assert_eq!(stamps.finish(), rows);
        for (part, counted) in stamps.histograms.iter().enumerate() {
            let lengths: Vec<u64> = rows.iter().map(|row| length(row, part)).collect();
            assert_eq!(counted.histogram.len(), rows.len() as u64);
            assert_eq!(counted.total, lengths.iter().sum::<u64>() as f64);
            let (least, most) = (*lengths.iter().min().unwrap(), *lengths.iter().max().unwrap());
            assert_eq!(counted.span, (least as f64, most as f64));
            assert_eq!(
                counted.histogram.count_at(least),
                lengths.iter().filter(|&&ns| ns == least).count() as u64
            );
        }
    }

    #[test]
    fn memory_stays_bounded_where_samples_are_not_kept() {
        let mut stamps =
            stamped(&rows(5 * BLOCK), Keep { counts: true, slowest: 2, around: 4, ..Keep::default() });
        assert!(stamps.rows.capacity() <= BLOCK && stamps.slowest.before.capacity() <= 2 * BLOCK);
        stamps.add([0, 0, 0, 0, 2 * HIGHEST]);
        stamps.finish();
        assert_eq!((stamps.histograms[4].saturated, stamps.histograms[4].span.1), (1, 2.0 * HIGHEST as f64));
    }
}
