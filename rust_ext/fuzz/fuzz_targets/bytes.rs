//! `cargo +nightly fuzz run bytes`: any bytes through two variants; what must hold stands in tests/common/bytes.rs.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../../tests/common/bytes.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    target::same_whatever_the_bytes(input);
});
