//! The wire.

pub mod pingpong;
pub mod transport;
