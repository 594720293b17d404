//! Criterion's view of the engine: passes over a generated feed with warm books, in messages per second.
//! `cargo bench --features criterion`, or one group with `-- order` behind it. Nothing is timed before every variant was found equal to
//! the naive one, and before the naive one was found slower than the best: a bench that cannot see that sees nothing. What the
//! numbers may be used for: CONTRIBUTING.md.

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput, measurement::WallTime};

use common::{BEST, NAIVE, VARIANTS, engine, feed, offset, settings};
use hftlab_rust::book::Top;
use hftlab_rust::dispatch::Variant;
use hftlab_rust::event::FAULT_COUNT;
use hftlab_rust::frames::Batch;
use hftlab_rust::run::{Runner, Until};

/// Messages that are timed, after those in which books fill and tables find their size.
const MESSAGES: u64 = 100_000;
const WARM: u64 = 50_000;
const REGIMES: [&str; 2] = ["calm", "market"];
/// Pairs of passes in the control.
const PAIRS: usize = 9;

/// What two variants must agree in.
#[derive(Debug, PartialEq)]
struct Outcome {
    counts: [u64; 256],
    faults: [u64; FAULT_COUNT],
    tops: Vec<Top>,
    stream: Vec<u8>,
}

fn outcome(variant: Variant, until: Until, data: &[u8]) -> Outcome {
    let mut engine = engine(variant, settings(until));
    assert_eq!(engine.run_bytes(data, usize::MAX), (data.len(), None));
    let (counts, faults) = (engine.tally().counts, engine.tally().faults);
    let tops = (0..=1000).map(|instrument| engine.best(instrument)).collect();
    Outcome { counts, faults, tops, stream: engine.order().stream.clone() }
}

/// Reference first, then equal, then fast.
fn all_are_equal(data: &[u8]) {
    for until in [Until::Tick, Until::Book, Until::Signal, Until::Order] {
        let naive = outcome(NAIVE, until, data);
        assert_eq!(naive.counts.iter().sum::<u64>(), WARM + MESSAGES);
        assert_eq!(
            until == Until::Order,
            !naive.stream.is_empty(),
            "orders are sent, and only by the last stage"
        );
        for (name, variant) in VARIANTS {
            assert!(outcome(*variant, until, data) == naive, "{name} differs from naive until {until:?}");
        }
    }
}

/// An engine that has run the messages before those that are timed.
fn warm(variant: Variant, until: Until, data: &[u8]) -> Box<dyn Runner> {
    let mut engine = engine(variant, settings(until));
    engine.run_bytes(&data[..offset(data, WARM)], usize::MAX);
    engine
}

/// Seconds of one pass.
fn pass(variant: Variant, data: &[u8]) -> f64 {
    let (mut engine, rest) = (warm(variant, Until::Order, data), &data[offset(data, WARM)..]);
    let start = Instant::now();
    black_box(engine.run_bytes(rest, usize::MAX));
    start.elapsed().as_secs_f64()
}

/// Times naive takes as long as best, the median of interleaved pairs. Must be above 1, whatever the machine does.
fn control(regime: &str, data: &[u8]) {
    let mut ratios: Vec<f64> = (0..PAIRS).map(|_| pass(NAIVE, data) / pass(BEST, data)).collect();
    ratios.sort_by(f64::total_cmp);
    let (low, median, high) = (ratios[0], ratios[PAIRS / 2], ratios[PAIRS - 1]);
    println!("control on {regime}: naive takes {median:.2}x [{low:.2}, {high:.2}] the time of best");
    assert!(
        median > 1.0,
        "the control failed: naive is not slower than best, so the timings below would mean nothing"
    );
}

fn passes(group: &mut BenchmarkGroup<WallTime>, name: &str, variant: Variant, until: Until, data: &[u8]) {
    let rest = &data[offset(data, WARM)..];
    group.bench_function(name, |bencher| {
        bencher.iter_batched_ref(
            || warm(variant, until, data),
            |engine: &mut Box<dyn Runner>| engine.run_bytes(black_box(rest), usize::MAX),
            BatchSize::PerIteration,
        )
    });
}

fn groups(criterion: &mut Criterion, regime: &str, data: &[u8]) {
    let group = |criterion: &mut Criterion, name: &str, fill: &dyn Fn(&mut BenchmarkGroup<WallTime>)| {
        let mut group = criterion.benchmark_group(format!("{name}/{regime}"));
        group.throughput(Throughput::Elements(MESSAGES));
        fill(&mut group);
        group.finish();
    };
    let rest = &data[offset(data, WARM)..];
    group(criterion, "decode", &|group| {
        group.bench_function("batches", |bencher| {
            bencher.iter(|| {
                let (mut batch, mut at, mut n) = (Batch::default(), 0, 0);
                loop {
                    (at, _) = batch.fill(black_box(rest), at, usize::MAX);
                    n += black_box(batch.events()).len();
                    if batch.events().is_empty() {
                        return n;
                    }
                }
            })
        });
    });
    for (name, until) in [("book", Until::Book), ("signal", Until::Signal), ("order", Until::Order)] {
        group(criterion, name, &|group| {
            passes(group, "naive", NAIVE, until, data);
            passes(group, "best", BEST, until, data);
        });
    }
    group(criterion, "axes", &|group| {
        for (name, variant) in VARIANTS.iter().filter(|row| row.0.starts_with("best, ")) {
            passes(group, name, *variant, Until::Order, data);
        }
    });
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let feeds = REGIMES.map(|regime| (regime, feed(regime, WARM + MESSAGES, 1)));
    for (_, data) in &feeds {
        all_are_equal(data);
    }
    for (regime, data) in &feeds {
        control(regime, data);
    }
    for (regime, data) in &feeds {
        groups(&mut criterion, regime, data);
    }
    criterion.final_summary();
}
