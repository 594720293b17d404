//! The fuzz target of the readers without a fuzzer: on stable, in a second, over mutations that a seeded generator draws.

mod common;
#[path = "common/readers.rs"]
mod target;

use common::{Random, feed, offset};
use target::{decodes_records_as_they_are_resolved, selects_as_a_walk_does};

const INPUTS: u64 = 200;

/// Some bytes that are others.
fn damage(random: &mut Random, data: &mut [u8]) {
    for _ in 0..random.below_usize(4) {
        let at = random.below_usize(data.len());
        data[at] = random.next() as u8;
    }
}

#[test]
fn stocks_are_picked_out_of_any_bytes_as_by_a_walk() {
    let feed = feed("market", 6_000, 5);
    let messages: usize = (0..INPUTS)
        .map(|seed| {
            let mut random = Random(seed);
            let mut data = vec![seed as u8];
            data.extend(&feed[..offset(&feed, 10 + random.below_usize(2_900) as u64)]);
            data.truncate(data.len() - random.below_usize(40));
            damage(&mut random, &mut data);
            selects_as_a_walk_does(&data)
        })
        .sum();
    assert!(messages > 100 * INPUTS as usize);
}

#[test]
fn records_of_dbn_are_read_alike_from_any_bytes() {
    let records: usize = (0..INPUTS)
        .map(|seed| {
            let mut random = Random(seed);
            let mut data: Vec<u8> =
                (0..2 + 60 * random.below_usize(300)).map(|_| random.next() as u8).collect();
            // Few ids, prices and sizes, and the letters that there are: the orders meet again.
            for record in data[2..].chunks_exact_mut(60) {
                record[8..36].iter_mut().for_each(|byte| *byte = 0);
                (record[16], record[24], record[32]) = (record[40] % 16, record[41] % 3, record[42] % 8);
                let instrument = record[43] % 3;
                record[4..8].copy_from_slice(&[instrument, 0, 0, 0]);
                record[38] = b"ACMRTFNMAC"[usize::from(record[38] % 10)];
            }
            data[1] = 1;
            if seed % 4 == 0 {
                damage(&mut random, &mut data);
            }
            decodes_records_as_they_are_resolved(&data)
        })
        .sum();
    assert!(records > 50 * INPUTS as usize);
}

#[test]
fn short_inputs_are_inputs() {
    for length in 0..200 {
        for byte in [0, 1, b'M', 255] {
            selects_as_a_walk_does(&vec![byte; length]);
            decodes_records_as_they_are_resolved(&vec![byte; length]);
        }
    }
}
