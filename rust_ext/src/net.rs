//! The wire around the engine. The protocols hold no socket and no clock: bytes and nanoseconds in, bytes and views on bytes out.

pub mod arbiter;
pub mod error;
pub mod moldudp64;
pub mod ouch;
pub mod pingpong;
pub mod soupbintcp;
pub mod transport;
pub mod wire;
