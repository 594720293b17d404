//! `cargo +nightly fuzz run ouch`: any bytes as OUCH messages; what must hold stands in tests/common/net.rs.
#![no_main]

#[path = "../../tests/common/net.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    target::ouch(input);
});
