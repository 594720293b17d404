//! Every variant of an axis against a plain model, on operations that a seeded generator draws.

mod common;

use std::collections::{BTreeMap, HashMap};

use common::Random;

use hftlab_rust::book::levels::{LevelTable, Levels, NIL, btree::BTree, ladder::Ladder, sorted::Sorted};
use hftlab_rust::book::orders::{Index, fast::Fast, flat::Flat, std::Std};
use hftlab_rust::book::pool::{Order, Pool, boxed::Boxed, slab::Slab};
use hftlab_rust::dispatch::{self, VARIANTS, Variant};
use hftlab_rust::event::{Event, kind};
use hftlab_rust::order;
use hftlab_rust::recording::Mode;
use hftlab_rust::run::{Settings, Until};

/// A walking touch on a grid, with prices between ticks and far outliers.
fn key(random: &mut Random, touch: i64, tick: i64) -> i64 {
    match random.below(40) {
        0 => random.next() as i64 / 4,
        1 => touch + random.below(50) as i64 * tick + tick / 3,
        2 => touch + random.below(5000) as i64 * tick,
        _ => touch + random.below(30) as i64 * tick,
    }
}

/// A side's levels and their table, where the `count` of a level is a mark by which it is known again.
#[derive(Default)]
struct Marked<L> {
    levels: L,
    table: LevelTable,
}

impl<L: Levels> Marked<L> {
    /// The mark at `key`, 0 if it was not there; `mark` stands there afterwards.
    fn put(&mut self, key: i64, mark: u32) -> u32 {
        let slot = self.levels.entry(key, 7, &mut self.table);
        let level = self.table.get_mut(slot);
        assert_eq!((level.key, level.book_side), (key, 7));
        std::mem::replace(&mut level.count, mark)
    }

    fn remove(&mut self, key: i64) {
        let slot = self.levels.get(key, &self.table);
        self.table.get_mut(slot).count = 0;
        self.levels.remove(key, slot, &mut self.table);
    }

    fn best(&mut self) -> u32 {
        let slot = self.levels.best(&mut self.table);
        self.table.get(slot).count
    }

    fn get(&self, key: i64) -> u32 {
        self.table.get(self.levels.get(key, &self.table)).count
    }

    fn all(&self) -> Vec<u32> {
        let mut all = Vec::new();
        self.levels.walk(&self.table, |level| {
            all.push(level.count);
            true
        });
        all
    }

    fn clear(&mut self) {
        self.levels.clear(&mut self.table);
    }
}

fn levels_equal_the_model<L: Levels>(seed: u64, tick: i64) {
    let (mut random, mut model, mut levels) =
        (Random(seed), BTreeMap::<i64, u32>::new(), Marked::<L>::default());
    let mut touch = 1000 * tick;
    for step in 1..20_000u32 {
        touch += (random.below(7) as i64 - 3) * tick;
        if !model.is_empty() && random.below(2) == 0 {
            let place = random.below(model.len().min(20) as u64) as usize;
            let (&key, _) = model.iter().nth(place).unwrap();
            model.remove(&key);
            levels.remove(key);
        } else {
            let key = key(&mut random, touch, tick);
            assert_eq!(levels.put(key, step), model.insert(key, step).unwrap_or(0), "step {step}");
        }
        // A book asks for the best only when it may have changed; the answer must be right whenever it asks.
        if random.below(3) == 0 {
            let best = model.first_key_value().map_or(0, |(_, &level)| level);
            assert_eq!(levels.best(), best, "step {step}");
        }
        if step % 97 == 0 {
            assert!(levels.all().iter().eq(model.values()), "step {step}");
            assert!(model.iter().all(|(&key, &level)| levels.get(key) == level));
            let other = touch + tick / 2 + 1;
            assert_eq!(levels.get(other), model.get(&other).copied().unwrap_or(0));
        }
        if step % 7_000 == 0 {
            levels.clear();
            model.clear();
        }
    }
    while let Some((key, _)) = model.pop_last() {
        levels.remove(key);
    }
    assert_eq!(levels.best(), 0);
}

#[test]
fn levels_keep_every_price() {
    for (seed, tick) in [(1, 1), (2, 100), (3, 100), (4, 250_000_000), (5, 7)] {
        levels_equal_the_model::<BTree>(seed, tick);
        levels_equal_the_model::<Sorted>(seed, tick);
        levels_equal_the_model::<Ladder>(seed, tick);
    }
}

/// Prices whose grid changes: from a coarse tick to a fine one, by phases, with drains of one side between them.
fn structured_keys_equal_the_model<L: Levels>(seed: u64) {
    let (mut random, mut model, mut levels) =
        (Random(seed), BTreeMap::<i64, u32>::new(), Marked::<L>::default());
    let (mut tick, mut phase, mut reach, mut drain) = (100, 0, 60, false);
    for step in 1..4_000u32 {
        if random.below(150) == 0 {
            tick = [1, 1, 2, 5, 25, 100, 100, 1_000][random.below(8) as usize];
            phase = if random.below(2) == 0 { 0 } else { random.below(tick as u64) as i64 };
            reach = [20, 60, 200, 1_000][random.below(4) as usize];
            drain = random.below(4) == 0;
        }
        if !model.is_empty() && random.below(if drain { 4 } else { 8 }) < 3 {
            let place = random.below(model.len().min(3) as u64) as usize;
            let &key = model.keys().nth(place).unwrap();
            model.remove(&key);
            levels.remove(key);
        } else {
            let key = 5_000 + phase + (random.below(2 * reach) as i64 - reach as i64) * tick;
            let key = if key == 0 { 1 } else { key }; // a price of 0 comes into no book
            assert_eq!(
                levels.put(key, step),
                model.insert(key, step).unwrap_or(0),
                "seed {seed}, step {step}"
            );
        }
        let best = model.first_key_value().map_or(0, |(_, &level)| level);
        assert_eq!(levels.best(), best, "seed {seed}, step {step}");
        if step % 17 == 0 {
            assert!(levels.all().iter().eq(model.values()), "seed {seed}, step {step}");
        }
    }
}

#[test]
fn levels_keep_the_best_price_when_the_grid_of_prices_changes() {
    for seed in 1..=200 {
        structured_keys_equal_the_model::<Sorted>(seed);
        structured_keys_equal_the_model::<Ladder>(seed);
    }
}

#[test]
fn levels_take_the_first_and_the_last_of_all_prices() {
    fn check<L: Levels>() {
        let mut levels = Marked::<L>::default();
        let keys =
            [i64::MIN, i64::MIN + 1, -99, 1, 99, i64::MAX - 4097, i64::MAX - 100, i64::MAX - 1, i64::MAX];
        for rotation in 0..keys.len() {
            let order = keys.iter().cycle().skip(rotation).take(keys.len());
            for &key in order.clone() {
                levels.put(key, keys.iter().position(|&other| other == key).unwrap() as u32 + 1);
            }
            for (level, &key) in (1..).zip(&keys) {
                assert_eq!(levels.best(), level);
                assert_eq!(levels.get(key), level);
                levels.remove(key);
            }
            assert_eq!(levels.best(), 0);
        }
    }
    check::<BTree>();
    check::<Sorted>();
    check::<Ladder>();
}

#[test]
fn a_ladder_takes_any_number_of_prices_anywhere() {
    let (mut random, mut ladder) = (Random(9), Marked::<Ladder>::default());
    let mut keys: Vec<i64> = (0..200_000).map(|_| random.next() as i64 / 2).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_by_key(|&i| (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    for &i in &order {
        ladder.put(keys[i], i as u32 + 1);
    }
    assert_eq!(ladder.best(), 1);
    for &i in &order[..order.len() / 2] {
        ladder.remove(keys[i]);
    }
    let mut left: Vec<u32> = order[order.len() / 2..].iter().map(|&i| i as u32 + 1).collect();
    left.sort_unstable();
    assert_eq!(ladder.all(), left);
    assert_eq!(ladder.best(), left[0]);
}

fn index_equals_the_model<I: Index, P: Pool>(seed: u64, reference: impl Fn(u64) -> u64) {
    let (mut random, mut model) = (Random(seed), HashMap::<u64, u32>::new());
    let (mut index, mut pool, mut born) = (I::default(), P::default(), Vec::new());
    for n in 0..200_000 {
        if random.below(100) < 45 && !born.is_empty() {
            let place = random.below(born.len() as u64) as usize;
            let id = born.swap_remove(place);
            let found = index.find(id, &mut pool);
            assert_eq!(found.slot, model.remove(&id).unwrap());
            index.remove(id, found, &mut pool);
            assert_eq!(pool.take(found.slot).id, id);
        } else {
            let id = reference(n);
            let slot = pool.put(Order { id, qty: 1, ..Order::default() });
            index.insert(id, slot, &mut pool);
            model.insert(id, slot);
            born.push(id);
        }
    }
    assert_eq!(index.live(), model.len());
    for (&id, &slot) in &model {
        assert_eq!(index.find(id, &mut pool).slot, slot);
        assert!(index.contains(id, &mut pool) && pool.get(slot).id == id);
    }
    assert!((0..1000).all(|n| !index.contains(u64::MAX - n, &mut pool)));
}

#[test]
fn orders_are_found_whatever_the_references_look_like() {
    fn both<I: Index>() {
        index_equals_the_model::<I, Slab>(1, |n| n * 3 + 1);
        index_equals_the_model::<I, Boxed>(2, |n| n << 16);
        index_equals_the_model::<I, Slab>(3, |n| n << 40 | 5);
        index_equals_the_model::<I, Slab>(4, |n| Random(n).next() >> 1);
        index_equals_the_model::<I, Slab>(5, |n| 1_000_000 - n);
    }
    both::<Std>();
    both::<Fast>();
    both::<Flat>();
}

#[test]
fn references_that_all_share_a_home_do_not_make_the_table_crawl() {
    let (mut index, mut pool) = (Flat::default(), Slab::default());
    for n in 1..=200_000u64 {
        let slot = pool.put(Order { id: n << 32, qty: 1, ..Order::default() });
        index.insert(n << 32, slot, &mut pool);
    }
    // Were they one chain, these searches alone would take 10^10 steps.
    assert!((1..=200_000u64).all(|n| index.find(n << 32, &mut pool).slot != NIL));
}

#[test]
fn a_table_that_mixes_its_references_during_a_replace_still_finds_the_old_order() {
    let variant = Variant { book: "ladder", orders: "flat", pool: true, signal: "incremental" };
    let mut engine = dispatch::engine(variant, settings()).unwrap();
    let base = Event { price: 10_000, qty: 100, instrument: 1, kind: kind::ADD, side: 1, ..Event::default() };
    for n in (1..=100u64).filter(|&n| n != 50) {
        assert_eq!(engine.apply(&Event { order_id: n << 32, ..base }), 1);
    }
    // The old order is the first of a chain of 99; looking for the new one walks all of it.
    let replace = Event { order_id: 100 << 32, new_order_id: 50 << 32, kind: kind::REPLACE, side: 0, ..base };
    assert_eq!(engine.apply(&replace), 1);
    assert!(engine.locate(100 << 32).is_none());
    assert!((1..100).all(|n| engine.locate(n << 32).is_some()));
    for n in 1..100 {
        assert_eq!(engine.apply(&Event { order_id: n << 32, kind: kind::DELETE, side: 0, ..base }), 1);
    }
    assert_eq!((engine.memory()[0], engine.best(1).qty), (0, [0, 0]));
}

/// Eager orders, and every row kept.
fn settings() -> Settings {
    let settings = common::settings(Until::Order);
    let order = order::Config { threshold: 0.2, cooldown: 5, ..settings.order.clone() };
    Settings { record: Mode::All, order, ..settings }
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
                    let mut engine = dispatch::engine(variant, settings()).unwrap();
                    let mut random = Random(42);
                    for i in 0..50_000u64 {
                        engine.apply(&event(&mut random, i * 1_000_000));
                    }
                    let stream = engine.order().stream.clone();
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
        let mut engine = dispatch::engine(variant, settings()).unwrap();
        let (used, _) = engine.run_bytes(&data, usize::MAX);
        assert!(used <= data.len());
    }
}
