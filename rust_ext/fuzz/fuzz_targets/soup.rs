//! `cargo +nightly fuzz run soup`: any bytes as a TCP stream through a SoupBinTCP client; what must hold stands in tests/common/net.rs.
#![no_main]

#[path = "../../tests/common/net.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    target::soup(input);
});
