//! Seeded synthetic ITCH 5.0, the fast twin of `hftlab.feeds.generate`: the same integers in the same order, so the same bytes.
//!
//! The Python package owns the regimes and explains the model; the names here are its names. Memory grows with the live
//! orders, not with the messages.

mod actions;
mod book;
mod clock;
mod instrument;
mod market;
mod parameters;
mod quote;
mod random;
mod session;
mod wire;

use market::Market;
use parameters::Parameters;

/// A day of messages, handed over block by block.
pub struct Generator {
    market: Market,
    /// Messages of the frame before the market already written, in [0, `session::opening_len`].
    opened: u64,
    /// Messages of the market still to come.
    left: u64,
    /// Messages of the frame after the market already written, in [0, 3].
    closed: u64,
}

impl Generator {
    /// Prepares exactly `messages` messages of `symbols` symbols.
    ///
    /// `params` are the integers of a regime in the order of `hftlab.feeds.generate.regimes.bounds()`.
    ///
    /// # Errors
    /// One sentence with the offending value and what is allowed.
    pub fn new(seed: u64, messages: u64, symbols: u32, params: &[u64]) -> Result<Self, String> {
        let parameters = Parameters::new(params)?;
        check("symbols", u64::from(symbols), 1, parameters::MAX_SYMBOLS)?;
        let least = session::least_messages(u64::from(symbols));
        check("messages", messages, least, parameters::MAX_MESSAGES)?;
        let left = messages - least;
        Ok(Self { market: Market::new(parameters, left, seed, symbols as usize), opened: 0, left, closed: 0 })
    }

    /// Replaces the content of `out` by the next whole messages, at most `max_bytes` (taken as 46 if less); nothing at the
    /// end of the day.
    pub fn block(&mut self, out: &mut Vec<u8>, max_bytes: usize) {
        out.clear();
        let room = max_bytes.saturating_sub(wire::LONGEST);
        let opening = session::opening_len(self.market.instruments());
        while self.opened < opening && out.len() <= room {
            session::opening(out, self.market.instruments(), self.opened);
            self.opened += 1;
        }
        while self.left > 0 && out.len() <= room {
            self.market.step(out);
            self.left -= 1;
        }
        while self.left == 0 && self.closed < session::CLOSING_LEN && out.len() <= room {
            session::closing(out, self.closed);
            self.closed += 1;
        }
    }
}

fn check(name: &str, value: u64, low: u64, high: u64) -> Result<(), String> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(format!("{name} is {value}; allowed is a whole number from {low} to {high}"))
}

#[cfg(test)]
mod tests;
