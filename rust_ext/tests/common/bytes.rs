//! The fuzz target: any bytes through the best and the naive variants, which must stop at the same place for the same reason and agree
//! in everything they have counted, quoted and sent. `cargo fuzz run bytes` feeds it from rust_ext/fuzz, `cargo test` from
//! tests/fuzz_bytes.rs.

use hftlab_rust::book::{DepthRow, Top};
use hftlab_rust::dispatch::Variant;
use hftlab_rust::event::FAULT_COUNT;
use hftlab_rust::frames::Problem;
use hftlab_rust::order::REJECTS;
use hftlab_rust::recording::Mode;
use hftlab_rust::run::Until;

use super::common::{BEST, NAIVE, engine, settings};

/// Bytes in front of the messages: they choose how the run is opened and where the block is cut.
pub const HEAD: usize = 4;

/// Everything that must not depend on the variant.
#[derive(Debug, PartialEq)]
struct Outcome {
    used: usize,
    problem: Option<Problem>,
    counts: [u64; 256],
    unknown: [u64; 256],
    faults: [u64; FAULT_COUNT],
    first_faults: Vec<String>,
    rejects: [u64; REJECTS],
    stream: Vec<u8>,
    /// Bits of the recorded rows: quantities, prices and the nine signals.
    rows: Vec<u64>,
    tops: Vec<Top>,
    depths: Vec<Vec<DepthRow>>,
    names: Vec<(u16, [u8; 8])>,
}

/// The instruments that messages have named: those whose books are looked at.
fn instruments(data: &[u8]) -> Vec<u16> {
    let (mut at, mut found) = (0, vec![0, 1, 2, u16::MAX]);
    while let hftlab_rust::frames::Next::Frame(frame) = hftlab_rust::frames::next(data, at) {
        if frame.size >= 3 {
            found.push(u16::from_be_bytes([data[frame.at + 1], data[frame.at + 2]]));
        }
        at = frame.at + frame.size;
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn outcome(variant: Variant, head: &[u8; HEAD], data: &[u8], instruments: &[u16]) -> Outcome {
    let mut settings =
        settings([Until::Tick, Until::Book, Until::Signal, Until::Order][(head[0] & 3) as usize]);
    settings.strict = head[0] & 4 > 0;
    settings.record = [Mode::All, Mode::Top, Mode::None, Mode::All][(head[0] >> 3 & 3) as usize];
    (settings.order.threshold, settings.order.cooldown) = (0.05, 1 + head[1] as u32 % 8);
    let mut engine = engine(variant, settings);
    // Two calls, the first with a block that ends anywhere, as blocks of a file do.
    let cut = u16::from_be_bytes([head[2], head[3]]) as usize % (data.len() + 1);
    let (mut used, mut problem) = engine.run_bytes(&data[..cut], usize::MAX);
    if problem.is_none() {
        let (more, stopped) = engine.run_bytes(&data[used..], usize::MAX);
        problem = stopped.map(|problem| Problem { at: used + problem.at, ..problem });
        used += more;
    }
    assert!(used <= data.len(), "{variant:?} used {used} of {} bytes", data.len());

    let tally = engine.tally();
    let rows = &tally.recorder;
    let mut bits: Vec<u64> = rows.index.iter().chain(&rows.ts_ns).copied().collect();
    bits.extend(rows.instrument.iter().map(|&value| value as u64));
    bits.extend(rows.bid_price.iter().chain(&rows.ask_price).map(|&value| value as u64));
    bits.extend(rows.bid_qty.iter().chain(&rows.ask_qty));
    bits.extend(rows.values.iter().flatten().map(|value| value.to_bits()));
    let (counts, unknown, faults) = (tally.counts, tally.unknown, tally.faults);
    let first_faults = tally.first_faults.iter().map(|fault| format!("{fault:?}")).collect();
    Outcome {
        used,
        problem,
        counts,
        unknown,
        faults,
        first_faults,
        rejects: engine.order().rejects,
        stream: engine.order().stream.clone(),
        rows: bits,
        tops: instruments.iter().map(|&instrument| engine.best(instrument)).collect(),
        depths: instruments.iter().map(|&instrument| engine.depth(instrument)).collect(),
        names: engine.names(),
    }
}

/// The target. Returns the number of messages that both have run.
pub fn same_whatever_the_bytes(input: &[u8]) -> u64 {
    let Some((head, data)) = input.split_first_chunk::<HEAD>() else { return 0 };
    let instruments = instruments(data);
    let best = outcome(BEST, head, data, &instruments);
    let naive = outcome(NAIVE, head, data, &instruments);
    // Field by field in Debug would be pages long; the first differing line says enough.
    if best != naive {
        let (best, naive) = (format!("{best:#?}"), format!("{naive:#?}"));
        let differs = best.lines().zip(naive.lines()).find(|(a, b)| a != b);
        panic!("best and naive differ on {} bytes: {differs:?}", data.len());
    }
    best.counts.iter().sum()
}
