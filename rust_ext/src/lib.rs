//! The Rust engine of hftlab. Data takes this way, the same words as in Python:
//!
//! ```text
//! wire bytes -> itch, frames (TICK) -> store, book (BOOK) -> signal (SIGNAL) -> order (ORDER) -> wire bytes
//!               ahead: what is next    levels, orders, pool    engine: the loop; choose: names -> types
//! ```
//!
//! Around it `net` speaks the protocols: packets become the bytes in front, orders leave in the ones behind.
//!
//! Only `py` knows Python; everything else is tested by plain `cargo test`.

#![deny(missing_docs)]

mod ahead;
pub mod book;
pub mod choose;
pub mod clock;
pub mod engine;
pub mod error;
pub mod event;
pub mod frames;
pub mod itch;
pub mod jitter;
pub mod levels;
pub mod net;
pub mod order;
pub mod orders;
pub mod pace;
pub mod pages;
pub mod pool;
mod prefetch;
pub mod record;
pub mod runner;
mod session;
pub mod signal;
pub mod stamps;
pub mod store;
pub mod synthetic;
pub mod target;

#[cfg(feature = "python")]
mod py;
