//! The integers of a regime, checked against the same bounds as in `hftlab.feeds.generate.regimes`.

pub(super) const MAX_SYMBOLS: u64 = 10_000;
pub(super) const MAX_MESSAGES: u64 = 1 << 40;
const PRICE_CEILING: u64 = 5_000_000;

macro_rules! parameters {
    ($($name:ident: $low:literal..=$high:literal,)*) => {
        /// One field per parameter, in the order in which they cross; `hftlab.feeds.generate.regimes.Regime` says what each means.
        pub(super) struct Parameters {
            $(pub(super) $name: u64,)*
        }

        impl Parameters {
            /// Reads and checks the integers of a regime.
            pub(super) fn new(values: &[u64]) -> Result<Self, String> {
                let names = [$(stringify!($name)),*];
                let [$($name),*] = values else {
                    return Err(format!("{} regime parameters; allowed are exactly {}", values.len(), names.len()));
                };
                $(super::check(stringify!($name), *$name, $low, $high)?;)*
                Self { $($name: *$name,)* }.fitting()
            }
        }
    };
}

parameters! {
    zipf_offset: 1..=1_000_000,
    stick: 0..=63,
    add: 0..=65_536,
    swing: 0..=65_536,
    replace: 0..=65_536,
    execute: 0..=65_536,
    cancel: 0..=65_536,
    trade: 0..=65_536,
    live_floor: 2..=1_000_000,
    live_total: 0..=100_000_000,
    opening: 1..=1_000_000,
    reach: 0..=12,
    widen: 0..=8,
    recent: 0..=256,
    drift: 0..=64,
    gap_ns: 1_000..=10_000_000_000,
    price_low: 150..=100_000,
    octaves: 1..=16,
    penny_every: 0..=10_000,
    burst_every: 0..=1_000_000_000,
    burst_length: 1..=1_000_000,
    burst_shift: 0..=32,
    burst_execute: 0..=65_536,
    burst_replace: 0..=65_536,
    burst_delete: 0..=65_536,
    halt_every: 0..=1_000_000_000,
    halt_length: 1..=1_000_000,
}

impl Parameters {
    fn fitting(self) -> Result<Self, String> {
        let rest =
            self.replace + self.execute + self.cancel + self.trade + self.burst_execute + self.burst_replace;
        if rest > 65_536 {
            return Err(format!(
                "weights of U, E, X and P sum to {rest} in a burst; allowed is at most 65536"
            ));
        }
        if self.price_low << self.octaves > PRICE_CEILING {
            return Err(format!(
                "price_low {} times 2 ** {} is above {PRICE_CEILING} cents; allowed is any product up to that",
                self.price_low, self.octaves
            ));
        }
        Ok(self)
    }
}
