//! The event record: one wire message, 40 bytes, little-endian, no padding. Mirrors `hftlab/events.py`, which owns the layout;
//! Python compares `FIELDS` with its own when it loads this crate, and size and padding are asserted when it is compiled.

/// Emits the struct, its list of fields and the assertions from the same tokens, so that they cannot drift apart.
macro_rules! record {
    ($(#[$doc:meta])* $name:ident[$size:literal] { $($(#[$field_doc:meta])* $field:ident: $type:ty = $format:literal,)* }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

        /// (field, NumPy format, offset in bytes), in order.
        pub const FIELDS: &[(&str, &str, usize)] =
            &[$((stringify!($field), $format, std::mem::offset_of!($name, $field)),)*];

        const _: () = assert!(size_of::<$name>() == $size, "the record has another size");
        const _: () = assert!(0 $(+ size_of::<$type>())* == $size, "the record has padding");

        impl $name {
            /// Read a record from its bytes; any alignment will do.
            pub fn from_bytes(bytes: &[u8; $size]) -> Self {
                let mut at = 0;
                $(
                    let mut raw = [0; size_of::<$type>()];
                    raw.copy_from_slice(&bytes[at..at + size_of::<$type>()]);
                    let $field = <$type>::from_le_bytes(raw);
                    at += size_of::<$type>();
                )*
                debug_assert_eq!(at, $size);
                Self { $($field,)* }
            }

            /// Append the record's bytes.
            #[inline]
            pub fn write_to(&self, out: &mut Vec<u8>) {
                let mut bytes = [0; $size];
                $(bytes[std::mem::offset_of!($name, $field)..][..size_of::<$type>()]
                    .copy_from_slice(&self.$field.to_le_bytes());)*
                out.extend_from_slice(&bytes);
            }
        }
    };
}

record! {
    /// What one wire message becomes.
    Event[40] {
        /// Nanoseconds since midnight or since the epoch, as the feed says.
        ts_ns: u64 = "<u8",
        /// The order acted on; 0 if none.
        order_id: u64 = "<u8",
        /// REPLACE only: the order that takes its place; else 0.
        new_order_id: u64 = "<u8",
        /// Integer price units of the feed (ITCH: 1/10,000).
        price: i64 = "<i8",
        /// Shares or lots; for STATUS the ASCII code of the trading state.
        qty: u32 = "<u4",
        /// Dense instrument number, for ITCH the stock locate; 0 is no instrument.
        instrument: u16 = "<u2",
        /// See the `KIND` constants.
        kind: u8 = "|u1",
        /// 0 none, 1 bid, 2 ask.
        side: u8 = "|u1",
    }
}

/// Size of the record in bytes.
pub const EVENT_BYTES: usize = size_of::<Event>();

/// Values of `Event::kind`.
pub mod kind {
    /// Nothing that concerns book or orders.
    pub const OTHER: u8 = 0;
    /// An order comes to rest in the book.
    pub const ADD: u8 = 1;
    /// `qty` shares of a resting order are executed.
    pub const EXECUTE: u8 = 2;
    /// `qty` shares of a resting order are taken back.
    pub const CANCEL: u8 = 3;
    /// A resting order goes, all of it.
    pub const DELETE: u8 = 4;
    /// A resting order goes and `new_order_id` comes, on the same side, behind the others at its price.
    pub const REPLACE: u8 = 5;
    /// A trade against an order that was not displayed: the book stays as it is.
    pub const TRADE: u8 = 6;
    /// The trading state of an instrument: `qty` is its ASCII letter.
    pub const STATUS: u8 = 7;
    /// All orders of the instrument go, on both sides.
    pub const CLEAR: u8 = 8;
    /// How many kinds there are.
    pub const COUNT: usize = 9;
}

/// The bid side.
pub const BID: u8 = 1;
/// The ask side.
pub const ASK: u8 = 2;
/// What a CLEAR acts on: `BID | ASK`.
pub const BOTH: u8 = 3;

/// Why an event cannot be applied to the book; the numbers are those of Python's `Fault`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An order comes that is neither bid nor ask.
    BadSide = 1,
    /// A quantity of 0.
    ZeroQty = 2,
    /// A price of 0.
    ZeroPrice = 3,
    /// An order comes whose reference is live already.
    DuplicateOrder = 4,
    /// No live order has this reference.
    UnknownOrder = 5,
    /// The order rests in the book of another instrument.
    WrongInstrument = 6,
    /// More shares than the order has left.
    ExcessQty = 7,
}

/// Number of faults, counting 0 for none.
pub const FAULT_COUNT: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_record_are_inverse() {
        let event = Event {
            ts_ns: 1,
            order_id: u64::MAX,
            new_order_id: 3,
            price: -4,
            qty: 5,
            instrument: 6,
            kind: 7,
            side: 2,
        };
        let mut bytes = Vec::new();
        event.write_to(&mut bytes);
        assert_eq!(Event::from_bytes(&bytes.try_into().unwrap()), event);
    }
}
