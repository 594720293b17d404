//! Tells the crate what it is built with: the compiler and the profile, for the fingerprint that every result carries.

use std::env::var;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let version = Command::new(var("RUSTC").unwrap_or_else(|_| "rustc".into())).arg("--version").output();
    let rustc = version.ok().and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    let rustc = rustc.trim().trim_start_matches("rustc ");
    println!("cargo:rustc-env=HFTLAB_RUSTC={}", if rustc.is_empty() { "unknown" } else { rustc });
    let (profile, level) = (var("PROFILE").unwrap_or_default(), var("OPT_LEVEL").unwrap_or_default());
    println!("cargo:rustc-env=HFTLAB_PROFILE={profile}, opt-level {level}");
}
