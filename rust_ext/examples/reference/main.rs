//! The engine beside a bare book, interleaved in one process: the minimum over the rounds of each, and its ratio to the quicker of the
//! bare book with and without asking ahead.
//!
//! ```text
//! reference FEED|SYMBOLS [MESSAGES [ROUNDS]]          an uncompressed file of framed ITCH 5.0, or a generated feed
//! chrt -f 50 taskset -c 1 reference 1000 2000000 9    on a core of its own
//! ```
//!
//! Nothing is timed before the bare book had the same best prices as the engine after each of the first messages.

#[path = "../../tests/common/mod.rs"]
mod common;

mod book;

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use book::{Bare, Extent, Message, PADDING};
use common::{BEST, REGIMES, engine, settings};
use hftlab_rust::run::Until;
use hftlab_rust::synthetic::Generator;

/// Messages after which best prices are compared before anything is timed.
const COMPARED: usize = 1_000_000;
/// What is timed, in the order of the table.
const NAMES: [&str; 4] = ["bare book", "bare book, asking ahead", "engine until book", "engine until order"];

/// A feed of its own, or the file of that name; `PADDING` zeros behind it.
fn feed(what: &str, messages: u64) -> Result<Vec<u8>, Box<dyn Error>> {
    let Ok(symbols) = what.parse::<u32>() else {
        let mut data = std::fs::read(what)?;
        data.resize(data.len() + PADDING, 0);
        return Ok(data);
    };
    let regime = &REGIMES[(symbols > 1) as usize];
    let mut generator = Generator::new(1, messages, symbols, &regime.2)?;
    let (mut all, mut block) = (Vec::new(), Vec::new());
    loop {
        generator.block(&mut block, 1 << 20);
        if block.is_empty() {
            all.resize(all.len() + PADDING, 0);
            return Ok(all);
        }
        all.extend_from_slice(&block);
    }
}

/// All messages of a feed.
fn messages(data: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let (mut at, end) = (0, data.len() - PADDING);
    std::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        // SAFETY: `checked` has seen that whole messages follow each other, and `PADDING` bytes follow them.
        let (message, next) = unsafe { Message::at(data, at) };
        at = next;
        Some(message)
    })
}

/// What the bare book must know; an error where it cannot take the feed.
fn checked(data: &[u8]) -> Result<Extent, Box<dyn Error>> {
    let framed = &data[..data.len() - PADDING];
    let mut engine = engine(BEST, settings(Until::Book));
    let used = engine.run_bytes(framed, usize::MAX);
    if used != (framed.len(), None) || engine.tally().faults.iter().any(|&n| n > 0) {
        return Err("the bare book needs a feed of whole messages without faults".into());
    }
    let mut extent = Extent { reference: 0, prices: vec![(0, 0)] };
    for message in messages(data) {
        let (letter, i) = (message.letter(), message.instrument() as usize);
        if i >= extent.prices.len() {
            extent.prices.resize(i + 1, (0, 0));
        }
        let new = match letter {
            b'A' | b'F' => message.reference(),
            b'U' => message.new_reference(),
            _ => continue,
        };
        extent.reference = extent.reference.max(new);
        let (first, tick) = &mut extent.prices[i];
        let price = message.price();
        *first = if *tick == 0 { price } else { *first };
        *tick = gcd(*tick, price);
    }
    Ok(extent)
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The bare book and the engine have the same best prices and quantities after each of the first messages, where the bare book has a
/// tick for them; an error if they differ, or if it rarely has.
fn compare(data: &[u8], extent: &Extent) -> Result<(), Box<dyn Error>> {
    let (mut bare, mut engine) = (Bare::new(extent), engine(BEST, settings(Until::Book)));
    let (mut at, mut sides, mut outside) = (0, 0, 0);
    for (n, message) in messages(data).take(COMPARED).enumerate() {
        at += engine.run_bytes(&data[at..data.len() - PADDING], 1).0;
        let i = message.instrument();
        if i == 0 {
            continue; // nobody's: the bare book keeps there what has no tick
        }
        // SAFETY: the extent is that of the feed.
        let found = unsafe {
            bare.apply(message);
            bare.top(i)
        };
        let top = engine.best(i);
        for (side, (price, qty)) in found.into_iter().enumerate() {
            let (best, best_qty) = (top.price[side], top.qty[side]);
            sides += 1;
            if best_qty > 0 && !bare.covers(i, best as u32) {
                outside += 1;
            } else if (qty as u64, price as i64 * (qty > 0) as i64) != (best_qty, best) {
                return Err(format!("message {n}: the bare book has {found:?}, the engine {top:?}").into());
            }
        }
    }
    if 20 * outside > sides {
        return Err(
            format!("{outside} of {sides} best prices are not among the ticks of the bare book").into()
        );
    }
    Ok(())
}

/// Nanoseconds of one pass of a contender over the feed, its memory made before.
fn pass(contender: usize, data: &[u8], extent: &Extent) -> u128 {
    if contender < 2 {
        let mut bare = Bare::new(extent);
        let start = Instant::now();
        // SAFETY: the extent is that of the feed.
        black_box(unsafe { if contender == 0 { bare.run::<false>(data) } else { bare.run::<true>(data) } });
        return start.elapsed().as_nanos();
    }
    let mut engine = engine(BEST, settings([Until::Book, Until::Order][contender - 2]));
    let framed = &data[..data.len() - PADDING];
    engine.reserve(framed.len() / 30);
    let start = Instant::now();
    black_box(engine.run_bytes(framed, usize::MAX));
    start.elapsed().as_nanos()
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default: u64| arguments.get(i).map_or(Ok(default), |text| text.parse());
    let what = arguments.first().map_or("1000", String::as_str);
    let (limit, rounds) = (number(1, 2_000_000)?, number(2, 9)?);
    let data = feed(what, limit)?;
    let extent = checked(&data)?;
    compare(&data, &extent)?;
    let n = messages(&data).count();
    let mut best = [u128::MAX; NAMES.len()];
    for _ in 0..rounds {
        for (contender, best) in best.iter_mut().enumerate() {
            *best = (*best).min(pass(contender, &data, &extent));
        }
    }
    let ns = best.map(|best| best as f64 / n as f64);
    println!(
        "{what}: {n} messages, {} instruments, minimum of {rounds} interleaved rounds",
        extent.prices.len() - 1
    );
    let reference = ns[0].min(ns[1]);
    for (name, ns) in NAMES.iter().zip(ns) {
        println!("{name:<24} {ns:6.1} ns a message, {:5.2} times the better bare book", ns / reference);
    }
    Ok(())
}
