//! What the order stage is told from outside while it runs: fills, stale books, the kill switch. Nothing here is called in replay.

use super::{Open, OrderEntry, State, block, blocked};
use crate::event::BID;

/// One instrument as the order stage sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instrument {
    /// Dense instrument number.
    pub instrument: u16,
    /// Shares, negative for a short position.
    pub position: i64,
    /// Shares that open orders may still buy, and sell.
    pub working: [u64; 2],
    /// Why it alone is not traded: `HALTED` and `STALE` of `blocked`.
    pub blocked: u32,
}

impl OrderEntry {
    /// Trade, or do not trade, one instrument whose book is not to be relied on; all, also those yet to come, for None.
    pub fn stale(&mut self, instrument: Option<u16>, stale: bool) {
        match instrument {
            Some(instrument) => block(self.state(instrument), blocked::STALE, stale),
            None => {
                self.blank = if stale { blocked::ALL_STALE } else { 0 };
                self.states.iter_mut().for_each(|state| block(state, blocked::ALL_STALE, stale));
            }
        }
    }

    /// The kill switch, at run time.
    pub fn kill(&mut self, on: bool) {
        self.killed = on;
    }

    /// What the exchange says of an order: shares filled and canceled since the last report, and whether it is over; it is over, too,
    /// when nothing of it is left. False if it is not open: then nothing has changed.
    pub fn report(&mut self, user_ref: u32, filled: u32, canceled: u32, closed: bool) -> bool {
        let Some(&Open { instrument, side, left }) = self.open.get(&user_ref) else { return false };
        let rest = if closed { 0 } else { left.saturating_sub(filled).saturating_sub(canceled) };
        self.move_by(instrument, if side == BID { filled as i64 } else { -(filled as i64) });
        self.working[instrument as usize][side as usize - 1] -= (left - rest) as u64;
        if rest == 0 {
            self.open.remove(&user_ref);
        } else {
            self.open.insert(user_ref, Open { instrument, side, left: rest });
        }
        true
    }

    /// Move a position by what no order of this run has done: carried over, or corrected.
    pub fn move_by(&mut self, instrument: u16, shares: i64) {
        let state = self.state(instrument);
        state.position = state.position.saturating_add(shares);
    }

    /// Take over an open order: one that this run sends, or that an earlier one has sent.
    pub fn adopt(&mut self, user_ref: u32, order: Open) {
        let i = order.instrument as usize;
        if self.working.len() <= i {
            self.working.resize(i + 1, [0; 2]);
        }
        self.working[i][order.side as usize - 1] += order.left as u64;
        self.open.insert(user_ref, order);
        self.state(order.instrument);
    }

    /// Shares that open orders of an instrument may still buy, and sell.
    pub fn working_of(&self, instrument: u16) -> [u64; 2] {
        self.working.get(instrument as usize).copied().unwrap_or_default()
    }

    /// Every instrument with a position, an open order, or a reason of its own not to be traded.
    pub fn instruments(&self) -> Vec<Instrument> {
        let one = |(i, state): (usize, &State)| {
            let blocked = state.blocked & !blocked::ALL_STALE;
            let (instrument, position, working) = (i as u16, state.position, self.working_of(i as u16));
            let found = Instrument { instrument, position, working, blocked };
            (position != 0 || working != [0; 2] || blocked != 0).then_some(found)
        };
        self.states.iter().enumerate().filter_map(one).collect()
    }

    /// Open orders, oldest first.
    pub fn open(&self) -> Vec<(u32, Open)> {
        let mut all: Vec<_> = self.open.iter().map(|(&user_ref, &order)| (user_ref, order)).collect();
        all.sort_unstable_by_key(|order| order.0);
        all
    }

    /// The latest UserRefNum.
    pub fn number(&self) -> u32 {
        self.number
    }
}
