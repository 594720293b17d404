//! How patient an arbiter is, and how much it keeps.

/// Times in nanoseconds of whatever clock `now` comes from.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Messages ahead of the expected one that may wait, in [1, 65,535].
    pub window: u16,
    /// Bytes they may take, their lengths included.
    pub window_bytes: usize,
    /// How long a hole may wait for the other line before it is asked for.
    pub patience_ns: i64,
    /// How long an answer may take.
    pub retry_ns: i64,
    /// Requests without any answer after which a hole is lost; 0 to ask for nothing.
    pub give_up: u64,
    /// How long a number ahead counts that is not repeated.
    pub doubt_ns: i64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            window: 1024,
            window_bytes: 1 << 20,
            patience_ns: 2_000_000,
            retry_ns: 50_000_000,
            give_up: 10,
            doubt_ns: 3_000_000_000,
        }
    }
}
