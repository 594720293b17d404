//! Every variant of an axis against a plain model, on operations that a seeded generator draws.

use std::collections::{BTreeMap, HashMap};

use hftlab_rust::choose::{self, VARIANTS, Variant};
use hftlab_rust::event::{Event, kind};
use hftlab_rust::levels::{Level, Levels, btree::BTree, ladder::Ladder};
use hftlab_rust::orders::{Index, flat::Flat, std::Std};
use hftlab_rust::pool::{Boxed, Order, Pool, Slab};
use hftlab_rust::record::Mode;
use hftlab_rust::runner::{Settings, Until, stamp};
use hftlab_rust::{order, signal};

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// A walking touch on a grid, with prices between ticks and far outliers.
fn key(random: &mut Random, touch: i64, tick: i64) -> i64 {
    match random.below(40) {
        0 => random.next() as i64 / 4,
        1 => touch + random.below(50) as i64 * tick + tick / 3,
        2 => touch + random.below(5000) as i64 * tick,
        _ => touch + random.below(30) as i64 * tick,
    }
}

fn levels_equal_the_model<L: Levels>(seed: u64, tick: i64) {
    let (mut random, mut model, mut levels) = (Random(seed), BTreeMap::<i64, Level>::new(), L::default());
    let mut touch = 1000 * tick;
    for step in 0..20_000 {
        touch += (random.below(7) as i64 - 3) * tick;
        if !model.is_empty() && random.below(2) == 0 {
            let place = random.below(model.len().min(20) as u64) as usize;
            let (&key, _) = model.iter().nth(place).unwrap();
            model.remove(&key);
            *levels.at(key) = Level::EMPTY;
            levels.close(key);
        } else {
            let key = key(&mut random, touch, tick);
            for level in [levels.open(key), model.entry(key).or_insert(Level::EMPTY)] {
                level.qty += 10;
                level.count += 1;
            }
        }
        let best = model.first_key_value().map(|(&key, level)| (key, level.qty));
        assert_eq!(levels.best(), best, "step {step}");
        if step % 97 == 0 {
            let mut walked = Vec::new();
            levels.walk(|key, level| {
                walked.push((key, *level));
                true
            });
            assert!(walked.iter().map(|row| (&row.0, &row.1)).eq(&model), "step {step}");
        }
    }
}

#[test]
fn levels_keep_every_price() {
    for (seed, tick) in [(1, 1), (2, 100), (3, 100), (4, 250_000_000), (5, 7)] {
        levels_equal_the_model::<BTree>(seed, tick);
        levels_equal_the_model::<Ladder>(seed, tick);
    }
}

fn index_equals_the_model<I: Index, P: Pool>(seed: u64, reference: impl Fn(u64) -> u64) {
    let (mut random, mut model) = (Random(seed), HashMap::<u64, u32>::new());
    let (mut index, mut pool, mut born) = (I::default(), P::default(), Vec::new());
    let order = |id| Order { id, key: 0, qty: 1, prev: 0, next: 0, instrument: 1, side: 1 };
    for n in 0..200_000 {
        if random.below(100) < 45 && !born.is_empty() {
            let place = random.below(born.len() as u64) as usize;
            let id = born.swap_remove(place);
            let slot = model.remove(&id).unwrap();
            assert_eq!(index.find(id, &pool), Some(slot));
            assert_eq!(pool.take(slot).id, id);
            index.remove(id, slot);
        } else {
            let id = reference(n);
            let slot = pool.put(order(id));
            index.insert(id, slot);
            model.insert(id, slot);
            born.push(id);
        }
    }
    assert_eq!(index.live(), model.len());
    assert!(model.iter().all(|(&id, &slot)| index.find(id, &pool) == Some(slot) && pool.get(slot).id == id));
    assert!((0..1000).all(|n| index.find(u64::MAX - n, &pool).is_none()));
}

#[test]
fn orders_are_found_whatever_the_references_look_like() {
    fn both<I: Index>() {
        index_equals_the_model::<I, Slab>(1, |n| n * 3 + 1);
        index_equals_the_model::<I, Boxed>(2, |n| n << 16);
        index_equals_the_model::<I, Slab>(3, |n| n << 40 | 5);
        index_equals_the_model::<I, Slab>(4, |n| Random(n).next() >> 1);
    }
    both::<Std>();
    both::<Flat>();
}

fn settings() -> Settings {
    Settings {
        until: Until::Order,
        record: Mode::All,
        stamps: stamp::OFF,
        strict: false,
        signal: signal::Config {
            decay: 0.99,
            k: 1000.0,
            weights: [0.25, 0.25, 0.25, 0.125, 0.125],
            levels: 5,
        },
        order: order::Config {
            threshold: 0.2,
            lot: 100,
            cooldown: 5,
            kill: false,
            max_order_qty: 10_000,
            max_notional: 1_000_000,
            collar_bps: 200,
            position_limit: 1_000,
            max_orders_per_sec: 100,
            price_scale: 10_000,
        },
        names: Vec::new(),
    }
}

/// Events in a small space, so that every fault occurs.
fn event(random: &mut Random, ts_ns: u64) -> Event {
    Event {
        ts_ns,
        order_id: random.below(60),
        new_order_id: random.below(60),
        price: (random.below(50) > 0) as i64 * (10_000 + random.below(20) as i64 * 100),
        qty: random.below(5) as u32 * 100,
        instrument: random.below(3) as u16,
        kind: [
            kind::ADD,
            kind::ADD,
            kind::ADD,
            kind::EXECUTE,
            kind::CANCEL,
            kind::DELETE,
            kind::REPLACE,
            kind::CLEAR,
        ][(random.below(71) / 10) as usize],
        side: random.below(7) as u8 % 3,
    }
}

#[test]
fn every_combination_gives_the_same_rows_faults_and_order_bytes() {
    let names = |axis: &str| VARIANTS.iter().find(|row| row.0 == axis).unwrap().1;
    let mut first = None;
    for book in names("book") {
        for orders in names("orders") {
            for pool in [false, true] {
                for signal in names("signal") {
                    let variant = Variant { book, orders, pool, signal };
                    let mut engine = choose::engine(variant, settings()).unwrap();
                    let mut random = Random(42);
                    for i in 0..50_000u64 {
                        engine.apply(&event(&mut random, i * 1_000_000));
                    }
                    let stream = engine.orders().stream.clone();
                    let tally = engine.tally();
                    let rows: Vec<Vec<u64>> = tally
                        .recorder
                        .values
                        .iter()
                        .map(|v| v.iter().map(|x| x.to_bits()).collect())
                        .collect();
                    assert!(tally.faults[1..].iter().all(|&n| n > 0), "{:?}", tally.faults);
                    assert!(!stream.is_empty());
                    let result = (rows, tally.recorder.bid_qty.clone(), tally.faults, stream);
                    assert!(*first.get_or_insert_with(|| result.clone()) == result, "{variant:?}");
                }
            }
        }
    }
}

#[test]
fn random_bytes_never_panic() {
    let mut random = Random(7);
    for _ in 0..300 {
        let mut data: Vec<u8> = (0..random.below(4000)).map(|_| random.next() as u8).collect();
        for i in (0..data.len().saturating_sub(3)).step_by(38) {
            data[i] = 0;
            data[i + 1] = 36;
            data[i + 2] = b'A';
        }
        let variant = Variant { book: "ladder", orders: "flat", pool: true, signal: "incremental" };
        let mut engine = choose::engine(variant, settings()).unwrap();
        let (used, _) = engine.run_bytes(&data, usize::MAX);
        assert!(used <= data.len());
    }
}
