//! Requests as they come, fills and outcomes as they leave: the bytes of REQUEST_DTYPE, FILL_DTYPE and OUTCOME_DTYPE in
//! `hftlab/fills/requests.py`, which owns them.

/// Size of a request in bytes.
pub const REQUEST_BYTES: usize = 53;

/// What a request asks for.
pub mod action {
    /// A new order.
    pub const ENTER: u8 = 1;
    /// Take back `qty` shares, or with 0 all that is left.
    pub const CANCEL: u8 = 2;
}

/// What an order does on arrival; 0 takes, then rests.
pub mod tif {
    /// Takes; what is left is canceled.
    pub const IOC: u8 = 1;
    /// Rests, or is canceled if it could take.
    pub const POST_ONLY: u8 = 2;
}

/// Why an order was filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// An order behind it was executed.
    Queue = 1,
    /// The opposite side reached its price.
    Through = 2,
    /// It took what was displayed.
    Take = 3,
}

/// What ended an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Nothing yet.
    #[default]
    Live = 0,
    /// All of it was filled.
    Filled = 1,
    /// The opposite side reached its price.
    Through = 2,
    /// It was taken back, or by its own rule never rested.
    Canceled = 3,
    /// The feed ended.
    Expired = 4,
}

/// One request; see `REQUEST_DTYPE`. Where it stands among the messages is given beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// When it is at the exchange; 0: when it is its turn.
    pub time_ns: u64,
    /// The order it is about.
    pub order_id: u64,
    /// REPLACE: the order that comes.
    pub new_order_id: u64,
    /// Limit, price units.
    pub price: i64,
    /// Shares.
    pub qty: u32,
    /// Orders of one world share queues, and never a displayed share.
    pub world: u32,
    /// Dense instrument number.
    pub instrument: u16,
    /// See `action`; anything else is a REPLACE.
    pub action: u8,
    /// 1 bid, 2 ask.
    pub side: u8,
    /// See `tif`.
    pub tif: u8,
}

impl Request {
    /// Read a request from its bytes.
    pub fn from_bytes(bytes: &[u8; REQUEST_BYTES]) -> Self {
        let long = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let int = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        Request {
            time_ns: long(0),
            order_id: long(16), // `after`, at 8, has become a message number
            new_order_id: long(24),
            price: long(32) as i64,
            qty: int(40),
            world: int(44),
            instrument: u16::from_le_bytes([bytes[48], bytes[49]]),
            action: bytes[50],
            side: bytes[51],
            tif: bytes[52],
        }
    }
}

/// One fill; see `FILL_DTYPE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Number of the message.
    pub index: u64,
    /// Its time.
    pub ts_ns: u64,
    /// Ours.
    pub order_id: u64,
    /// The order of the feed that was executed or taken; 0 for none.
    pub maker: u64,
    /// At which.
    pub price: i64,
    /// Shares.
    pub qty: u32,
    /// Whose.
    pub world: u32,
    /// Of which.
    pub instrument: u16,
    /// 1 bid, 2 ask.
    pub side: u8,
    /// Why.
    pub reason: Reason,
}

impl Fill {
    /// Append the bytes of FILL_DTYPE.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        for value in [self.index, self.ts_ns, self.order_id, self.maker, self.price as u64] {
            out.extend_from_slice(&value.to_le_bytes());
        }
        out.extend_from_slice(&self.qty.to_le_bytes());
        out.extend_from_slice(&self.world.to_le_bytes());
        out.extend_from_slice(&self.instrument.to_le_bytes());
        out.extend_from_slice(&[self.side, self.reason as u8]);
    }
}

/// An order of ours, resting or over; see `OUTCOME_DTYPE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shadow {
    /// Ours.
    pub order_id: u64,
    /// Limit, price units.
    pub price: i64,
    /// Messages that came before it: what is older stands ahead of it.
    pub since: u64,
    /// When it came.
    pub arrived_ns: u64,
    /// When it ended.
    pub ended_ns: u64,
    /// When nobody was ahead of it any more; -1 if that never was.
    pub front_ns: i64,
    /// Shares ahead of it when it came.
    pub ahead_qty: u64,
    /// Shares it came with.
    pub qty: u32,
    /// Shares left.
    pub left: u32,
    /// Shares filled; the next three like it.
    pub filled: u32,
    /// Traded through.
    pub through: u32,
    /// Taken back.
    pub canceled: u32,
    /// Left at the end.
    pub expired: u32,
    /// Orders ahead of it when it came.
    pub ahead_orders: u32,
    /// Whose.
    pub world: u32,
    /// Of which.
    pub instrument: u16,
    /// 1 bid, 2 ask.
    pub side: u8,
    /// What ended it.
    pub state: State,
}

impl Shadow {
    /// It is over; what is left counts under what ended it.
    pub fn end(&mut self, state: State, ts_ns: u64) {
        match state {
            State::Through => self.through += self.left,
            State::Canceled => self.canceled += self.left,
            State::Expired => self.expired += self.left,
            State::Live | State::Filled => {}
        }
        (self.state, self.ended_ns, self.left) = (state, ts_ns, 0);
    }

    /// Nobody is ahead of it any more.
    pub fn reach_front(&mut self, ts_ns: u64) {
        if self.front_ns < 0 {
            self.front_ns = ts_ns as i64;
        }
    }

    /// Append the bytes of OUTCOME_DTYPE.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let longs = [
            self.order_id,
            self.price as u64,
            self.arrived_ns,
            self.ended_ns,
            self.front_ns as u64,
            self.ahead_qty,
        ];
        longs.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
        let ints =
            [self.qty, self.filled, self.through, self.canceled, self.expired, self.ahead_orders, self.world];
        ints.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
        out.extend_from_slice(&self.instrument.to_le_bytes());
        out.extend_from_slice(&[self.side, self.state as u8]);
    }
}
