//! What tests, benches, examples and the fuzz target share: the feeds, the settings and the variants they are about.
#![allow(dead_code)] // each of them uses a part

use hftlab_rust::dispatch::{self, Variant};
use hftlab_rust::recording::Mode;
use hftlab_rust::run::{Lookahead, Runner, Settings, Until, stamp};
use hftlab_rust::synthetic::Generator;
use hftlab_rust::timing::Keep;
use hftlab_rust::{order, signal};

/// splitmix64.
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In [0, n), and 0 where that is empty.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    /// The same as an index.
    pub fn below_usize(&mut self, n: usize) -> usize {
        self.below(n as u64) as usize
    }
}

/// (regime, symbols, parameters) as `hftlab.feeds.generate.regimes` hands them over; tests/engine/test_hot_loop.py holds the two in agreement.
pub const REGIMES: &[(&str, u32, [u64; 27])] = &[
    (
        "calm",
        1,
        [
            4, 16, 31600, 1900, 4500, 920, 920, 660, 40, 600, 20, 9, 0, 160, 1, 5000000, 3000, 1, 0, 4000,
            200, 5, 0, 0, 0, 30000, 400,
        ],
    ),
    (
        "market",
        1000,
        [
            4, 16, 30750, 600, 4500, 975, 920, 660, 24, 60000, 1, 9, 0, 160, 1, 66000, 150, 12, 25, 2000,
            100, 4, 0, 0, 0, 20000, 2000,
        ],
    ),
];

/// Framed ITCH bytes, `messages` of them, the same on every machine.
pub fn feed(regime: &str, messages: u64, seed: u64) -> Vec<u8> {
    let (_, symbols, parameters) = REGIMES.iter().find(|row| row.0 == regime).expect("a regime of REGIMES");
    let mut generator = Generator::new(seed, messages, *symbols, parameters).expect("a valid regime");
    let (mut all, mut block) = (Vec::new(), Vec::new());
    loop {
        generator.block(&mut block, 1 << 20);
        if block.is_empty() {
            return all;
        }
        all.extend_from_slice(&block);
    }
}

/// The settings that Python has by default, without rows.
pub fn settings(until: Until) -> Settings {
    Settings {
        until,
        lookahead: Lookahead::Auto,
        record: Mode::None,
        stamps: stamp::OFF,
        keep: Keep::default(),
        warm_up: 0,
        strict: false,
        signal: signal::Config {
            decay: 0.99,
            k: 1000.0,
            weights: [0.25, 0.25, 0.25, 0.125, 0.125],
            levels: 5,
        },
        order: order::Config {
            threshold: 0.6,
            lot: 100,
            cooldown: 100,
            kill: false,
            max_order_qty: 10_000,
            max_notional: 1_000_000,
            collar_bps: 200,
            position_limit: 1_000,
            max_orders_per_sec: 100,
            price_scale: 10_000,
            reported: false,
            first: 1,
        },
        names: Vec::new(),
    }
}

/// Every axis at its first name.
pub const NAIVE: Variant = Variant { book: "btree", orders: "std", pool: false, signal: "recompute" };
/// Every axis at its last name.
pub const BEST: Variant = Variant { book: "ladder", orders: "flat", pool: true, signal: "incremental" };

/// Naive, best, and best with one axis at another name.
pub const VARIANTS: &[(&str, Variant)] = &[
    ("naive", NAIVE),
    ("best", BEST),
    ("best, book=btree", Variant { book: "btree", ..BEST }),
    ("best, book=sorted", Variant { book: "sorted", ..BEST }),
    ("best, orders=std", Variant { orders: "std", ..BEST }),
    ("best, orders=fast", Variant { orders: "fast", ..BEST }),
    ("best, pool=False", Variant { pool: false, ..BEST }),
    ("best, signal=recompute", Variant { signal: "recompute", ..BEST }),
];

/// An engine of a variant.
pub fn engine(variant: Variant, settings: Settings) -> Box<dyn Runner> {
    dispatch::engine(variant, settings).expect("a known variant")
}

/// Offset behind the first `messages` messages of a feed.
pub fn offset(feed: &[u8], messages: u64) -> usize {
    (0..messages).fold(0, |at, _| at + 2 + u16::from_be_bytes([feed[at], feed[at + 1]]) as usize)
}
