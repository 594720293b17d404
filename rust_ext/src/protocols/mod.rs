//! The protocols around the engine. They hold no socket and no clock: bytes and nanoseconds in, bytes and views of bytes out.

pub mod arbiter;
pub mod error;
pub mod moldudp64;
pub mod ouch;
pub mod soupbintcp;
