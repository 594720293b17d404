//! Where an order goes and how large it is: pure arithmetic on one symbol and some random bits.

use super::instrument::Instrument;
use super::random::{octave, octave_number};

pub(super) const BID: usize = 0;
pub(super) const ASK: usize = 1;

/// Moves the fair price one step, unless the touch is already more than a step behind it.
pub(super) fn drift(instrument: &mut Instrument, up: bool) {
    let (fair, step) = (instrument.fair, instrument.step);
    let (bid, ask) = (instrument.book.best(BID), instrument.book.best(ASK));
    if up {
        if fair + step <= instrument.bounds.1 && ask.is_some_and(|key| -key >= fair - step) {
            instrument.fair = fair + step;
        }
    } else if fair - step >= instrument.bounds.0 && bid.is_some_and(|key| key < fair + step) {
        instrument.fair = fair - step;
    }
}

/// The side whose best price the fair price has left behind.
pub(super) fn stale(instrument: &Instrument) -> Option<usize> {
    let (bid, ask) = (instrument.book.best(BID), instrument.book.best(ASK));
    if ask.is_some_and(|key| -key < instrument.fair) {
        return Some(ASK);
    }
    bid.is_some_and(|key| key >= instrument.fair).then_some(BID)
}

/// A price key: some octaves behind the fair price, and behind the best of the other side.
pub(super) fn key(instrument: &Instrument, side: usize, bits: u64) -> i64 {
    let mut base = match side {
        BID => instrument.fair - instrument.half,
        _ => 1 - instrument.fair - instrument.half,
    };
    if let Some(opposite) = instrument.book.best(1 - side) {
        base = base.min(-opposite - 1);
    }
    let octave = octave(bits >> 1).min(instrument.reach);
    let scale = instrument.scale;
    let jitter = ((bits >> 26 & 0xFF) as i64 * scale) >> 8;
    let key = base - octave_number(octave, bits >> 13) as i64 * scale - jitter;
    key.max(instrument.lowest[side])
}

/// Of 16: 8 one lot, 3 odd lots, 3 two to nine lots, 2 a power of two with a heavy tail.
pub(super) fn shares(instrument: &Instrument, bits: u64) -> u64 {
    let (kind, size) = (bits >> 34 & 15, bits >> 38 & 0xFFF);
    match kind {
        0..8 => instrument.lot,
        8..11 => 1 + ((size * (instrument.odd - 1)) >> 12),
        11..14 => instrument.lot * (2 + (size & 7)),
        _ => instrument.lot << (1 + octave(size)).min(8),
    }
}

/// Some of `qty` > 1 shares, never all; whole lots where there are more than one.
pub(super) fn part(instrument: &Instrument, qty: u64, bits: u64) -> u64 {
    let lot = instrument.odd;
    if qty > lot {
        return lot * (1 + (((bits & 0xFFFF) * ((qty - 1) / lot)) >> 16));
    }
    1 + (((bits & 0xFFFF) * (qty - 1)) >> 16)
}

/// Half way between the best prices, in 1e-4 dollars, rounded down: where hidden orders trade.
pub(super) fn middle(instrument: &Instrument) -> u64 {
    let bid = instrument.book.best(BID).unwrap_or(0);
    let ask = instrument.book.best(ASK).unwrap_or(0);
    ((bid - ask) * instrument.tick) as u64 >> 1
}
