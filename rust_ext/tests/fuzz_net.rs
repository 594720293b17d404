//! The fuzz targets of the wire without a fuzzer: on stable, in a few seconds, over what a seeded generator draws.

#[path = "common/net.rs"]
mod target;

#[path = "common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use common::Random;

/// Inputs that always run, and the time after which no more are drawn.
const LEAST: u64 = 300;
const TIME: Duration = Duration::from_secs(1);

/// Run a target on inputs that `draw` makes; how many inputs, and what the target counted.
fn run(target: impl Fn(&[u8]) -> u64, draw: impl Fn(&mut Random, &mut Vec<u8>)) -> (u64, u64) {
    let (start, mut inputs, mut counted) = (Instant::now(), 0, 0);
    while inputs < LEAST || start.elapsed() < TIME {
        let (mut random, mut input) = (Random(inputs), Vec::new());
        draw(&mut random, &mut input);
        // Every third input as it was drawn, so that the target goes deep; the others torn.
        for _ in 0..inputs % 3 * random.below(4) {
            let at = random.below_usize(input.len());
            match random.below(3) {
                0 => input.truncate(at),
                1 => input.iter_mut().skip(at).take(1).for_each(|byte| *byte = random.next() as u8),
                _ => input.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.below(8)),
            }
        }
        counted += target(&input);
        inputs += 1;
    }
    println!("{inputs} inputs, {counted} counted");
    (inputs, counted)
}

#[test]
fn the_arbiter_delivers_in_order_whatever_comes() {
    let (inputs, delivered) = run(target::mold, |random, input| {
        input.extend_from_slice(&[random.next() as u8, random.next() as u8]);
        for _ in 0..random.below(60) {
            // A piece of whole blocks: its length in units of 4, the number, the count, the blocks.
            let count = random.below_usize(5);
            let mut blocks = Vec::new();
            (0..count).for_each(|n| {
                let size =
                    if n + 1 == count { 4 + (4 - (blocks.len() + 8) % 4) % 4 } else { random.below_usize(9) };
                blocks.extend_from_slice(&(size as u16).to_be_bytes());
                blocks.resize(blocks.len() + size, random.next() as u8);
            });
            if count == 0 {
                blocks.extend_from_slice(&[0, 0]);
            }
            // What is delivered goes on in order most of the time.
            let ahead = if random.below(3) > 0 { 0 } else { random.below(8) as u8 };
            input.push((2 + blocks.len()).div_ceil(4) as u8 | (random.below(2) as u8) << 7);
            input.extend_from_slice(&[ahead, count as u8]);
            input.extend_from_slice(&blocks);
        }
    });
    assert!(delivered > inputs, "{inputs} inputs delivered only {delivered} messages");
}

#[test]
fn a_soupbintcp_client_takes_any_stream() {
    const KINDS: &[u8] = b"+AJSUHZLRO?";
    let (inputs, packets) = run(target::soup, |random, input| {
        input.push(random.next() as u8);
        if random.below(2) == 0 {
            input.extend_from_slice(b"\0\x1fA        S1                   1");
        }
        for _ in 0..random.below(40) {
            let most = if random.below(9) == 0 { 600 } else { 40 };
            let size = random.below_usize(most);
            input.extend_from_slice(&(size as u16 + 1).to_be_bytes());
            input.push(KINDS[if random.below(3) > 0 { 3 } else { random.below_usize(KINDS.len()) }]);
            input.resize(input.len() + size, b'0' + random.below(10) as u8);
        }
    });
    assert!(packets > 4 * inputs, "{inputs} inputs gave only {packets} packets");
}

#[test]
fn ouch_messages_are_written_as_they_were_read() {
    let (inputs, messages) = run(target::ouch, |random, input| {
        for _ in 0..random.below(20) {
            let (letter, size) = [(b'O', 47), (b'A', 64), (b'U', 40)][random.below_usize(3)];
            let mut message: Vec<u8> = (0..size).map(|_| random.next() as u8).collect();
            message[0] = letter;
            message[size - 2..].copy_from_slice(&[0, (random.below(8) == 0) as u8]);
            input.push(size as u8);
            input.extend_from_slice(&message);
        }
    });
    assert!(messages > inputs, "{inputs} inputs gave only {messages} messages");
}

#[test]
fn short_inputs_are_inputs() {
    for length in 0..64 {
        for byte in [0, 1, b'A', 255] {
            let input = vec![byte; length];
            target::mold(&input);
            target::soup(&input);
            target::ouch(&input);
        }
    }
}

#[test]
fn a_stream_that_begins_at_the_end_of_64_bits() {
    // Found by the fuzzer, in the target itself.
    let mut input = vec![0x28, 2, 1, 10, 26, b'E', b'E', b'E', b'E', 1, 255, 0, 0, 0, 0, 0, 0];
    input.extend_from_slice(&[255; 9]);
    input.extend_from_slice(&[
        0, 0, 0, 1, 0, 210, 0, 1, 1, 202, 1, 0, 0, 1, 0, 210, 0, 1, 1, 210, 1, 0, 0, 1, 0, 1, 0, 2,
    ]);
    target::mold(&input);
}
