//! `cargo +nightly fuzz run mold`: any bytes as MoldUDP64 datagrams through the arbiter; what must hold stands in tests/common/net.rs.
#![no_main]

#[path = "../../tests/common/net.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    target::mold(input);
});
