//! How patient the two ends are.

use super::LONGEST;

/// How a client behaves; times in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct ClientConfig {
    /// Silence after which a heartbeat is sent.
    pub heartbeat_ns: i64,
    /// Silence of the server after which the connection is dead.
    pub dead_ns: i64,
    /// Tell the server to wait no longer for us, either: 4.10.
    pub tells_timeout: bool,
}

impl Default for ClientConfig {
    fn default() -> Self {
        ClientConfig { heartbeat_ns: 1_000_000_000, dead_ns: 15_000_000_000, tells_timeout: false }
    }
}

/// How a server behaves; times in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct ServerConfig {
    /// Silence after which a heartbeat is sent.
    pub heartbeat_ns: i64,
    /// Silence of the client after which the connection is closed; the client's login may name its own.
    pub dead_ns: i64,
    /// Time for a login.
    pub login_ns: i64,
    /// Live messages, and bytes of other packets, that may wait for a slow reader.
    pub backlog: usize,
    /// The greatest length field of a packet of the client.
    pub limit: usize,
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig {
            heartbeat_ns: 1_000_000_000,
            dead_ns: 15_000_000_000,
            login_ns: 30_000_000_000,
            backlog: 65_536,
            limit: LONGEST,
        }
    }
}
