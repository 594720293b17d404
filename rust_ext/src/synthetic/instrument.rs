//! What a symbol is before the first trade: its name, price, tick, lot, share of the activity and target of live orders.

use super::book::Book;
use super::parameters::Parameters;
use super::random::Random;

/// Resolution of the activity table: a slot is 1/65,536 of all messages.
const SLOTS: u64 = 65_536;
/// Highest prices in ticks: under a dollar for penny symbols, the wire's 200,000 dollars for the rest.
const PENNY_TOP: i64 = 9_999;
const CENT_TOP: i64 = 20_000_000;

/// One symbol; prices in ticks, `tick` in 1e-4 dollars.
pub(super) struct Instrument {
    pub(super) book: Book,
    pub(super) bounds: (i64, i64),
    pub(super) fair: i64,
    pub(super) half: i64,
    pub(super) halted: bool,
    pub(super) locate: u16,
    pub(super) lot: u64,
    pub(super) lowest: [i64; 2],
    pub(super) odd: u64,
    pub(super) rank: u32,
    pub(super) reach: u32,
    pub(super) scale: i64,
    pub(super) step: i64,
    pub(super) stock: [u8; 8],
    pub(super) target: u64,
    pub(super) tick: i64,
}

impl Instrument {
    fn new(index: u64, bits: u64, regime: &Parameters) -> Self {
        let every = regime.penny_every;
        let penny = every > 0 && index % every == 3 % every;
        let fair = if penny { penny_price(bits) } else { price(bits, regime) };
        let step = (fair >> (if penny { 8 } else { 13 })).max(1);
        let scale = step << regime.widen;
        let mut reach = regime.reach as u32;
        while reach > 0 && scale << (reach + 1) > fair >> 1 {
            reach -= 1;
        }
        // Round lots by price as the SEC defines them since 2025; penny stocks trade in thousands.
        let odd = if penny || fair <= 25_000 {
            100
        } else if fair <= 100_000 {
            40
        } else {
            10
        };
        Self {
            book: Book::default(),
            bounds: (fair >> 1, fair << 1),
            fair,
            half: 1 + (step >> 1),
            halted: false,
            locate: (index + 1) as u16,
            lot: if penny { 1_000 } else { odd },
            lowest: [1, if penny { -PENNY_TOP } else { -CENT_TOP }],
            odd,
            rank: 0,
            reach,
            scale,
            step,
            stock: stock(index),
            target: 0,
            tick: if penny { 1 } else { 100 },
        }
    }
}

/// HLAAA, HLAAB, ... for index 0, 1, ...; the locate code is index + 1.
fn stock(index: u64) -> [u8; 8] {
    let letter = |number: u64| b'A' + (number % 26) as u8;
    let [a, b, c] = [letter(index / 676), letter(index / 26), letter(index)];
    [b'H', b'L', a, b, c, b' ', b' ', b' ']
}

fn penny_price(bits: u64) -> i64 {
    1_000 + (((bits >> 16 & 0xFFF) * 3_500) >> 12) as i64
}

/// Cents. Two dice instead of one, so that the middle octaves are the common ones.
fn price(bits: u64, regime: &Parameters) -> i64 {
    let octave =
        (bits & 0xFF) % ((regime.octaves + 1) >> 1) + (bits >> 8 & 0xFF) % ((regime.octaves >> 1) + 1);
    let cents = regime.price_low << octave;
    (cents + ((cents * (bits >> 16 & 0x3FF)) >> 10)) as i64
}

/// All symbols by locate, and the activity table: SLOTS indices, each symbol as often as its share says.
///
/// Ranks are shuffled over the locates, so that the busiest symbols are not neighbours in memory.
pub(super) fn make_instruments(
    count: usize,
    regime: &Parameters,
    random: &mut Random,
) -> (Vec<Instrument>, Vec<u16>) {
    let mut instruments: Vec<Instrument> =
        (0..count as u64).map(|index| Instrument::new(index, random.draw(), regime)).collect();
    let mut ranked: Vec<u16> = (0..count as u16).collect();
    for last in (1..count).rev() {
        let other = random.below(last as u64 + 1) as usize;
        ranked.swap(last, other);
    }
    let shares = shares(count as u64, regime.zipf_offset);
    let mut table = Vec::with_capacity(SLOTS as usize);
    for (rank, (&index, &share)) in ranked.iter().zip(&shares).enumerate() {
        let instrument = &mut instruments[index as usize];
        instrument.rank = rank as u32;
        instrument.target = regime.live_floor + ((regime.live_total * share) >> 16);
        table.extend(std::iter::repeat_n(index, share as usize));
    }
    (instruments, table)
}

/// Slots by rank, at least one each, summing to SLOTS.
fn shares(count: u64, zipf_offset: u64) -> Vec<u64> {
    let weight = |rank: u64| (1u64 << 32) / (rank + zipf_offset);
    let total: u64 = (0..count).map(weight).sum();
    let mut shares: Vec<u64> = (0..count).map(|rank| 1 + (SLOTS - count) * weight(rank) / total).collect();
    shares[0] += SLOTS - shares.iter().sum::<u64>();
    shares
}
