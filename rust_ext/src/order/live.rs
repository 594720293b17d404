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
                self.states.for_each(|state| block(state, blocked::ALL_STALE, stale));
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
        let one = |(instrument, state): (u16, &State)| {
            let blocked = state.blocked & !blocked::ALL_STALE;
            let (position, working) = (state.position, self.working_of(instrument));
            let found = Instrument { instrument, position, working, blocked };
            (position != 0 || working != [0; 2] || blocked != 0).then_some(found)
        };
        self.states.iter().filter_map(one).collect()
    }

    /// Open orders, oldest first.
    pub fn open(&self) -> Vec<(u32, Open)> {
        self.open.iter().map(|(&user_ref, &order)| (user_ref, order)).collect()
    }

    /// The next UserRefNum shall be `first`, if it is not beyond that already; returns the one that it is.
    pub fn renumber(&mut self, first: u32) -> u64 {
        self.number = self.number.max(first.saturating_sub(1));
        self.number as u64 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, OrderEntry};
    use super::*;
    use crate::book::Top;
    use crate::event::ASK;
    use crate::protocols::ouch::EnterOrder;

    /// An order of 100 shares whenever it is asked, up to 300 on one side.
    fn entry() -> OrderEntry {
        OrderEntry::new(Config {
            threshold: 0.5,
            lot: 100,
            cooldown: 1,
            kill: false,
            max_order_qty: 1_000,
            max_notional: 1_000_000,
            collar_bps: 10_000,
            position_limit: 300,
            max_orders_per_sec: 1_000,
            price_scale: 10_000,
            reported: true,
            first: 5,
        })
    }

    /// How many of four attempts on instrument 2 leave as orders.
    fn attempts(entry: &mut OrderEntry, score: f64) -> usize {
        let (before, top) = (entry.stream.len(), Top { price: [10_000, 10_100], qty: [1, 1] });
        for _ in 0..4 {
            if entry.acts(2, &top, score) {
                entry.attempt(0, 0, 2, &top, score, b"HLAAA   ");
            }
        }
        (entry.stream.len() - before) / EnterOrder::BYTES
    }

    #[test]
    fn what_works_counts_as_filled_until_reports_say_otherwise() {
        let mut entry = entry();
        assert_eq!(attempts(&mut entry, 1.0), 3);
        assert_eq!(attempts(&mut entry, -1.0), 3);
        assert_eq!(entry.working_of(2), [300, 300]);
        assert_eq!(entry.open().iter().map(|order| order.0).collect::<Vec<_>>(), [5, 6, 7, 8, 9, 10]);
        assert!(entry.report(5, 40, 0, false) && entry.report(8, 100, 0, false));
        assert!(!entry.report(8, 1, 0, false) && !entry.report(4, 1, 0, false));
        assert_eq!(entry.working_of(2), [260, 200]);
        assert!(entry.report(5, 0, 60, false));
        let seen = Instrument { instrument: 2, position: -60, working: [200, 200], blocked: 0 };
        assert_eq!(entry.instruments(), [seen]);
        assert_eq!(attempts(&mut entry, 1.0), 1, "-60 + 200 + 100 <= 300, and no more");
        entry.adopt(4, Open { instrument: 2, side: ASK, left: 40 });
        assert_eq!(attempts(&mut entry, -1.0), 0, "-60 - 240 - 100 < -300");
    }

    #[test]
    fn nothing_leaves_while_blocked() {
        let mut entry = entry();
        entry.stale(None, true);
        assert_eq!(attempts(&mut entry, 1.0), 0, "also an instrument that comes later");
        entry.stale(Some(2), true);
        entry.stale(None, false);
        assert_eq!(attempts(&mut entry, 1.0), 0);
        entry.status(2, b'H' as u32);
        entry.stale(Some(2), false);
        assert_eq!(attempts(&mut entry, 1.0), 0);
        entry.status(2, b'T' as u32);
        entry.kill(true);
        assert_eq!((attempts(&mut entry, 1.0), entry.rejects[0]), (0, 4));
        entry.kill(false);
        assert_eq!(attempts(&mut entry, 1.0), 3);
    }
}
