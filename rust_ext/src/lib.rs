//! The Rust engine of hftlab. Data takes this way, the same words as in Python:
//!
//! ```text
//! wire bytes -> itch, frames (TICK) -> book (BOOK) -> signal (SIGNAL) -> order (ORDER) -> wire bytes
//!               engine/ahead: what is next   book/levels, orders, pool       engine: the loop; dispatch: names -> types
//! ```
//!
//! `protocols` turns packets into the bytes in front and the bytes behind into packets; `net` carries them and measures it.
//!
//! Only `py` knows Python; everything else is tested by plain `cargo test`. Modules without `unsafe` say so here.

#![deny(missing_docs)]

pub mod book;
#[forbid(unsafe_code)]
pub mod build_info;
#[forbid(unsafe_code)]
pub mod by_instrument;
pub mod clock;
#[forbid(unsafe_code)]
pub mod dispatch;
#[forbid(unsafe_code)]
pub mod engine;
#[forbid(unsafe_code)]
pub mod error;
#[forbid(unsafe_code)]
pub mod event;
#[forbid(unsafe_code)]
pub mod feeds;
#[forbid(unsafe_code)]
pub mod fills;
#[forbid(unsafe_code)]
pub mod frames;
#[forbid(unsafe_code)]
pub mod itch;
pub mod net;
#[forbid(unsafe_code)]
pub mod order;
#[forbid(unsafe_code)]
pub mod pace;
#[forbid(unsafe_code)]
pub mod protocols;
#[forbid(unsafe_code)]
pub mod recording;
pub mod reserved;
#[forbid(unsafe_code)]
pub mod run;
#[forbid(unsafe_code)]
pub mod shards;
#[forbid(unsafe_code)]
pub mod signal;
#[forbid(unsafe_code)]
pub mod synthetic;
#[forbid(unsafe_code)]
pub mod timing;

#[cfg(feature = "python")]
mod py;
