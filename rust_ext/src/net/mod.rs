//! What a message costs over a transport: transports, round trips, and tick to trade. Here are the sockets and the threads.

pub mod placement;
#[forbid(unsafe_code)]
pub mod round_trip;
#[forbid(unsafe_code)]
pub mod tick_to_trade;
pub mod transport;
