//! `cargo +nightly fuzz run readers`: any bytes through the readers; what must hold stands in tests/common/readers.rs.
#![no_main]

#[path = "../../tests/common/readers.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    target::selects_as_a_walk_does(input);
    target::decodes_records_as_they_are_resolved(input);
});
