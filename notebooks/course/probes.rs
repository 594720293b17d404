// Small costs of the machine, in picoseconds: the average of many, of fifteen passes the fastest.

use std::hint::black_box;
use std::sync::mpsc::sync_channel;
use std::time::Instant;

/// `data`: a letter, and eight bytes (little-endian) for its size or number.
fn probe(data: &[u8]) -> u64 {
    let size = u64::from_le_bytes(data[1..9].try_into().unwrap()) as usize;
    match data[0] {
        b'L' => load(size),
        b'B' => branch(size),
        b'S' => fastest(20_000, || drop(black_box(std::process::id()))),
        _ => switch(size as u64),
    }
}

fn fastest(times: u64, mut act: impl FnMut()) -> u64 {
    let mut passes = [0; 15];
    for pass in &mut passes {
        let start = Instant::now();
        for _ in 0..times {
            act();
        }
        *pass = start.elapsed().as_nanos() as u64 * 1_000 / times;
    }
    *passes.iter().min().unwrap()
}

/// Loads that each wait for the one before: from line to line, in one random cycle through `size` bytes (Sattolo 1986).
fn load(size: usize) -> u64 {
    const LINE: usize = 16;
    let lines = size / (4 * LINE);
    let (mut order, mut seed) = ((0..lines).collect::<Vec<_>>(), 1u64);
    for last in (1..lines).rev() {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        order.swap(last, (seed % last as u64) as usize);
    }
    let mut next = vec![0u32; lines * LINE];
    for (line, to) in order.iter().enumerate() {
        next[line * LINE] = (to * LINE) as u32;
    }
    let mut at = 0;
    fastest(50_000, || at = black_box(next[at as usize]))
}

/// A branch that takes `period` random turns, then the same ones again: each is foreseen as long as the processor remembers them.
fn branch(period: usize) -> u64 {
    const TURNS: usize = 1 << 17;
    let mut seed = 1u64;
    let mut pattern = Vec::new();
    for _ in 0..period {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        pattern.push((seed >> 40) & 1 == 1);
    }
    let turns: Vec<bool> = (0..TURNS).map(|turn| pattern[turn % period]).collect();
    let (mut at, mut sum) = (0, 0u64);
    fastest(TURNS as u64, || {
        // What an optimiser cannot see through cannot be done on both sides, so the branch stays one.
        sum = if turns[at] { black_box(sum + 1) } else { black_box(sum ^ 5) };
        at = (at + 1) % TURNS;
    })
}

/// Two threads wake each other in turn. On one core, each time is a switch from one to the other.
fn switch(rounds: u64) -> u64 {
    let ((ping, pinged), (pong, ponged)) = (sync_channel(1), sync_channel(1));
    let other = std::thread::spawn(move || {
        while pinged.recv().is_ok() {
            pong.send(()).unwrap();
        }
    });
    let ps = fastest(rounds, || {
        ping.send(()).unwrap();
        ponged.recv().unwrap();
    });
    drop(ping);
    other.join().unwrap();
    ps / 2
}
