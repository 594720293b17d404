//! The fuzz target without a fuzzer: on stable, in a few seconds, over mutations that a seeded generator draws from a real feed.

mod common;
#[path = "common/bytes.rs"]
mod target;

use std::time::{Duration, Instant};

use common::{Random, feed, offset};
use target::{HEAD, same_whatever_the_bytes};

/// Inputs that always run, and the time after which no more are drawn.
const LEAST: u64 = 150;
const TIME: Duration = Duration::from_secs(4);

/// One mutation: what goes wrong on a wire, and what only an enemy sends.
fn mutate(random: &mut Random, data: &mut Vec<u8>) {
    let messages: Vec<usize> = {
        let (mut at, mut starts) = (0, Vec::new());
        while at + 2 < data.len() {
            starts.push(at);
            at += 2 + u16::from_be_bytes([data[at], data[at + 1]]) as usize;
        }
        starts
    };
    let Some(&at) = messages.get(random.below_usize(messages.len())) else { return };
    let end = (at + 2 + u16::from_be_bytes([data[at], data[at + 1]]) as usize).min(data.len());
    let byte = at + random.below_usize(end - at);
    match random.below_usize(9) {
        0 => data[byte] ^= 1 << random.below_usize(8),
        1 => data[byte] = random.next() as u8,
        2 => data[at..end].rotate_left(2),
        3 => drop(data.drain(at..end)),
        4 => data.truncate(byte),
        5 => {
            let message = data[at..end].to_vec();
            let to = messages[random.below_usize(messages.len())];
            data.splice(to..to, message);
        }
        6 if at + 3 <= data.len() => {
            data[at + 2] = *b"SRHYAFECXDUPQB~!".get(random.below_usize(16)).expect("16 letters")
        }
        // Prices, shares and references at their ends.
        7 => data[byte..end].fill(if random.below_usize(2) == 0 { 0 } else { 255 }),
        _ => {
            // A far price: the last field of an add and of a replace.
            let price = end.saturating_sub(4).max(at);
            let value = (random.next() as u32) >> random.below_usize(32);
            data[price..end].copy_from_slice(&value.to_be_bytes()[..end - price]);
        }
    }
}

#[test]
fn mutated_messages_make_no_difference_between_variants() {
    let feeds = [feed("calm", 3_000, 5), feed("market", 6_000, 5)];
    let (start, mut inputs, mut messages) = (Instant::now(), 0, 0);
    while inputs < LEAST || start.elapsed() < TIME {
        let mut random = Random(inputs);
        let feed = &feeds[random.below_usize(feeds.len())];
        let mut data = feed[..offset(feed, 10 + random.below_usize(2_900) as u64)].to_vec();
        // Some inputs stay nearly valid, so that the run goes deep; others are torn to pieces.
        for _ in 0..1 << random.below_usize(8) {
            mutate(&mut random, &mut data);
        }
        let mut input: Vec<u8> = random.next().to_le_bytes()[..HEAD].to_vec();
        input.append(&mut data);
        messages += same_whatever_the_bytes(&input);
        inputs += 1;
    }
    println!("{inputs} inputs, {messages} messages");
    assert!(messages > 50 * inputs, "{inputs} inputs gave only {messages} messages");
}

#[test]
fn short_inputs_are_inputs() {
    for length in 0..64 {
        for byte in [0, 1, b'A', 255] {
            same_whatever_the_bytes(&vec![byte; length]);
        }
    }
}
