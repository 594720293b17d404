//! How patient an arbiter is, and how much it keeps.

/// Times in nanoseconds of whatever clock `now` comes from.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Messages ahead of the expected one that may wait, in [1, 65,535].
    pub window: u16,
    /// Bytes they may take, their lengths included.
    pub buffer_bytes: usize,
    /// How long a hole may wait for the other line before it is asked for.
    pub gap_timeout_ns: i64,
    /// How long an answer may take.
    pub request_interval_ns: i64,
    /// Requests without any answer after which a hole is lost; 0 to ask for nothing.
    pub max_requests: u64,
    /// How long a number ahead counts that is not repeated.
    pub end_grace_ns: i64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            window: 1024,
            buffer_bytes: 1 << 20,
            gap_timeout_ns: 2_000_000,
            request_interval_ns: 50_000_000,
            max_requests: 10,
            end_grace_ns: 3_000_000_000,
        }
    }
}
