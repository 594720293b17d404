//! Framing, count, determinism and refusal; what the messages mean is checked from Python, where the reference is.

use super::{Generator, parameters};

/// The regime `calm`, as Python hands it over.
const CALM: [u64; 27] = [
    4, 16, 31_600, 1_900, 4_500, 920, 920, 660, 40, 600, 20, 9, 0, 160, 1, 5_000_000, 3_000, 1, 0, 4_000,
    200, 5, 0, 0, 0, 30_000, 400,
];

fn collect(seed: u64, messages: u64, symbols: u32, max_bytes: usize) -> Vec<u8> {
    let mut generator = Generator::new(seed, messages, symbols, &CALM).expect("the calm regime is valid");
    let (mut all, mut block) = (Vec::new(), Vec::new());
    loop {
        generator.block(&mut block, max_bytes);
        if block.is_empty() {
            return all;
        }
        assert!(block.len() <= max_bytes);
        all.extend_from_slice(&block);
    }
}

fn kinds(bytes: &[u8]) -> Vec<u8> {
    let (mut at, mut kinds) = (0, Vec::new());
    while at < bytes.len() {
        kinds.push(bytes[at + 2]);
        at += 2 + usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
    }
    assert_eq!(at, bytes.len(), "the last message is whole");
    kinds
}

#[test]
fn writes_exactly_as_many_messages_as_asked() {
    for (messages, symbols) in [(9, 1), (10, 1), (5_000, 1), (36, 10), (40_000, 10)] {
        let kinds = kinds(&collect(1, messages, symbols, 1 << 16));
        assert_eq!(kinds.len() as u64, messages);
        assert_eq!(kinds.iter().filter(|&&kind| kind == b'S').count(), 6);
        assert_eq!(kinds.iter().filter(|&&kind| kind == b'R').count(), symbols as usize);
    }
}

#[test]
fn block_size_does_not_change_the_bytes() {
    let whole = collect(3, 20_000, 5, 1 << 20);
    assert_eq!(whole, collect(3, 20_000, 5, 46));
    assert_eq!(whole, collect(3, 20_000, 5, 1_000));
    assert_ne!(whole, collect(4, 20_000, 5, 1 << 20));
}

#[test]
fn refuses_what_is_out_of_range() {
    let refusal = |messages, symbols, params: &[u64]| {
        Generator::new(1, messages, symbols, params).err().unwrap_or_default()
    };
    assert_eq!(refusal(8, 1, &CALM), "messages is 8; allowed is a whole number from 9 to 1099511627776");
    assert!(refusal(100, 0, &CALM).starts_with("symbols is 0"));
    assert!(refusal(100, 10_001, &CALM).starts_with("symbols is 10001"));
    assert!(refusal(100, 1, &CALM[1..]).contains("exactly 27"));
    let mut wrong = CALM;
    wrong[1] = 64;
    assert!(refusal(100, 1, &wrong).starts_with("stick is 64"));
    wrong = CALM;
    (wrong[16], wrong[17]) = (100_000, 16);
    assert!(refusal(100, 1, &wrong).contains("cents"));
    wrong = CALM;
    wrong[4] = 65_536;
    assert!(refusal(100, 1, &wrong).starts_with("weights"));
    assert!(parameters::Parameters::new(&CALM).is_ok());
}
