//! What a feed does before an engine sees it: messages of some instruments out of a block, and modifies told apart.
//! The references are `hftlab.feeds.itch` and `hftlab.feeds.records`.

use rustc_hash::FxHashMap;

use crate::event::{EVENT_BYTES, Event, kind};
use crate::frames::{Next, Problem, next};

/// The messages of a block that are of a wanted stock locate, or of none, each behind its length; the bytes that were whole messages,
/// and what is wrong with those behind them. `wanted` has a place for each locate.
pub fn select(data: &[u8], wanted: &[bool; 1 << 16]) -> (Vec<u8>, usize, Option<Problem>) {
    let (mut out, mut at, mut index) = (Vec::new(), 0, 0);
    let mut run = 0; // where the wanted messages that lie together begin
    loop {
        match next(data, at) {
            Next::Frame(frame) => {
                let end = frame.at + frame.size;
                let locate = if frame.size > 2 {
                    u16::from_be_bytes([data[frame.at + 1], data[frame.at + 2]])
                } else {
                    0
                };
                if locate != 0 && !wanted[locate as usize] {
                    out.extend_from_slice(&data[run..at]);
                    run = end;
                }
                (at, index) = (end, index + 1);
            }
            stopped => {
                out.extend_from_slice(&data[run..at]);
                let problem = match stopped {
                    Next::Bad(code, size, letter) => Some(Problem { code, at, index, size, letter }),
                    _ => None,
                };
                return (out, at, problem);
            }
        }
    }
}

/// What a modify does to an order's place in its queue.
const RESET: u8 = 2;

/// What is left of a live order.
struct Left {
    instrument: u16,
    price: i64,
    qty: i64,
    /// Fills reported that are not taken off yet.
    filled: i64,
}

/// What is left of each live order, by which a modify becomes what the book knows.
#[derive(Default)]
pub struct Orders {
    live: FxHashMap<u64, Left>,
}

impl Orders {
    /// Give each modify among some records its kind, quantity and new id, in place. `modifies` says which they are: 0 none, 1 one that
    /// sets price and quantity, 2 one that loses its place whatever it changes.
    pub fn resolve(&mut self, records: &mut [u8], modifies: &[u8]) {
        let mut bytes = Vec::with_capacity(EVENT_BYTES);
        for (record, &modify) in records.as_chunks_mut::<EVENT_BYTES>().0.iter_mut().zip(modifies) {
            let mut event = Event::from_bytes(record);
            if modify == 0 {
                self.apply(&event);
                continue;
            }
            (event.kind, event.qty, event.new_order_id) = self.modify(&event, modify == RESET);
            bytes.clear();
            event.write_to(&mut bytes);
            record.copy_from_slice(&bytes);
        }
    }

    fn apply(&mut self, event: &Event) {
        let Event { order_id, instrument, price, qty, .. } = *event;
        match event.kind {
            kind::ADD => {
                self.live.insert(order_id, Left { instrument, price, qty: qty.into(), filled: 0 });
            }
            kind::CANCEL | kind::EXECUTE => {
                if let Some(left) = self.live.get_mut(&order_id) {
                    (left.qty, left.filled) = (left.qty - i64::from(qty), 0);
                    if left.qty <= 0 {
                        self.live.remove(&order_id);
                    }
                }
            }
            kind::DELETE => {
                self.live.remove(&order_id);
            }
            kind::TRADE => {
                if let Some(left) = self.live.get_mut(&order_id).filter(|left| left.price == price) {
                    left.filled += i64::from(qty);
                }
            }
            kind::CLEAR => self.live.retain(|_, left| left.instrument != instrument),
            _ => {}
        }
    }

    /// Kind, quantity and new id.
    fn modify(&mut self, event: &Event, reset: bool) -> (u8, u32, u64) {
        let Event { order_id, instrument, price, qty, .. } = *event;
        let now = Left { instrument, price, qty: qty.into(), filled: 0 };
        let Some(before) = self.live.insert(order_id, now) else { return (kind::ADD, qty, 0) };
        let less = before.qty - i64::from(qty);
        let refreshed = before.filled >= before.qty; // all that was shown is filled: what stands there now came from behind
        if reset || price != before.price || less < 0 || (refreshed && qty > 0) {
            return (kind::REPLACE, qty, order_id);
        }
        if qty == 0 {
            self.live.remove(&order_id);
        }
        if less > 0 { (kind::CANCEL, less as u32, 0) } else { (kind::OTHER, qty, 0) }
    }
}
