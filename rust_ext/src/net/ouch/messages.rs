//! Every message of OUCH 5.0: letter, fixed fields in the order of the wire, what follows them.

use super::{Appendage, Field, Tail, Value, put_tail, tail};
use crate::net::error::WireError;

macro_rules! direction {
    ($(#[$doc:meta])* $Direction:ident, $what:literal, $decode:ident:
     $($(#[$about:meta])* $letter:literal $Name:ident $tail:ident { $($field:ident: $type:ty),* })*) => {
        $(
            $(#[$about])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            #[allow(missing_docs)] // the fields have the names and the order of the specification
            pub struct $Name<'a> {
                $(pub $field: $type,)*
                pub appendage: Appendage<'a>,
            }

            impl<'a> $Name<'a> {
                /// The type byte.
                pub const LETTER: u8 = $letter;
                /// Bytes of the type and the fixed fields.
                pub const SIZE: usize = 1 $(+ <$type as Field>::SIZE)*;

                #[inline(always)]
                fn take(bytes: &'a [u8]) -> Result<Self, WireError> {
                    let most = if Tail::$tail == Tail::Never { Self::SIZE } else { usize::MAX };
                    let least = Self::SIZE + if Tail::$tail == Tail::Always { 2 } else { 0 };
                    let bad = || WireError::new(concat!("bytes of ", stringify!($Name)), 0, bytes.len(), least..=most);
                    #[allow(unused_mut)] // a message may have no field at all
                    let mut rest = bytes.get(1..).filter(|_| (least..=most).contains(&bytes.len())).ok_or_else(bad)?;
                    $(let $field = <$type as Field>::take(&mut rest).ok_or_else(bad)?;)*
                    Ok($Name { $($field,)* appendage: tail(Tail::$tail, Self::SIZE, rest)? })
                }

                /// Append the message.
                #[inline(always)]
                pub fn encode(&self, to: &mut Vec<u8>) {
                    to.push($letter);
                    $(self.$field.put(to);)*
                    put_tail(to, Tail::$tail, self.appendage);
                }
            }
        )*

        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs)]
        pub enum $Direction<'a> {
            $($Name($Name<'a>),)*
        }

        impl<'a> $Direction<'a> {
            /// Append the message.
            pub fn encode(&self, to: &mut Vec<u8>) {
                match self {
                    $($Direction::$Name(message) => message.encode(to),)*
                }
            }

            /// The name of the message.
            pub fn name(&self) -> &'static str {
                match self {
                    $($Direction::$Name(_) => stringify!($Name),)*
                }
            }

            /// What follows the fixed fields.
            pub fn appendage(&self) -> Appendage<'a> {
                match self {
                    $($Direction::$Name(message) => message.appendage,)*
                }
            }

            /// The fixed fields one by one, in the order of the wire.
            pub fn each(&self, mut see: impl FnMut(&'static str, Value)) {
                match self {
                    $($Direction::$Name(_message) => { $(see(stringify!($field), _message.$field.value());)* })*
                }
            }
        }

        /// Decode one whole message of this direction.
        #[inline]
        pub fn $decode(bytes: &[u8]) -> Result<$Direction<'_>, WireError> {
            match bytes.first() {
                None => Err(WireError::new(concat!("bytes of an ", $what, " message"), 0, 0, 1..=usize::MAX)),
                $(Some(&$letter) => $Name::take(bytes).map($Direction::$Name),)*
                Some(&letter) => Err(WireError::not_allowed(concat!("type of an ", $what, " message"), 0, letter)),
            }
        }
    };
}

direction! {
    /// Client to host.
    Inbound, "OUCH inbound", decode_inbound:
    /// A new order.
    b'O' EnterOrder Always { user_ref: u32, side: u8, quantity: u32, symbol: [u8; 8], price: u64, time_in_force: u8,
        display: u8, capacity: u8, intermarket_sweep: u8, cross_type: u8, cl_ord_id: [u8; 14] }
    /// Another price or quantity for a live order, under a new number and at the end of the queue.
    b'U' ReplaceOrder Always { orig_user_ref: u32, user_ref: u32, quantity: u32, price: u64, time_in_force: u8,
        display: u8, intermarket_sweep: u8, cl_ord_id: [u8; 14] }
    /// Fewer shares: `quantity` is the size that the order shall have, 0 to cancel it.
    b'X' CancelOrder Maybe { user_ref: u32, quantity: u32 }
    /// Another side or fewer shares, in the same place of the queue.
    b'M' ModifyOrder Maybe { user_ref: u32, side: u8, quantity: u32 }
    /// Cancel all orders of a firm and a symbol, spaces for every symbol.
    b'C' MassCancel Always { user_ref: u32, firm: [u8; 4], symbol: [u8; 8] }
    /// Take no more orders of a firm.
    b'D' DisableOrderEntry Always { user_ref: u32, firm: [u8; 4] }
    /// Take them again.
    b'E' EnableOrderEntry Always { user_ref: u32, firm: [u8; 4] }
    /// Which number is next?
    b'Q' AccountQuery Maybe { }
}

direction! {
    /// Host to client.
    Outbound, "OUCH outbound", decode_outbound:
    /// Start or end of the day.
    b'S' SystemEvent Never { ts_ns: u64, event: u8 }
    /// An order was accepted, live or already dead.
    b'A' Accepted Always { ts_ns: u64, user_ref: u32, side: u8, quantity: u32, symbol: [u8; 8], price: u64,
        time_in_force: u8, display: u8, order_reference: u64, capacity: u8, intermarket_sweep: u8, cross_type: u8,
        order_state: u8, cl_ord_id: [u8; 14] }
    /// An order was replaced; `quantity` is what is left open.
    b'U' Replaced Always { ts_ns: u64, orig_user_ref: u32, user_ref: u32, side: u8, quantity: u32,
        symbol: [u8; 8], price: u64, time_in_force: u8, display: u8, order_reference: u64, capacity: u8,
        intermarket_sweep: u8, cross_type: u8, order_state: u8, cl_ord_id: [u8; 14] }
    /// Shares were taken off an order; `quantity` says how many.
    b'C' Canceled Maybe { ts_ns: u64, user_ref: u32, quantity: u32, reason: u8 }
    /// Shares were taken off an order because it would have met one of the same firm.
    b'D' AiqCanceled Maybe { ts_ns: u64, user_ref: u32, quantity: u32, reason: u8,
        prevented: u32, price: u64, liquidity: u8, strategy: u8 }
    /// Shares were traded.
    b'E' Executed Always { ts_ns: u64, user_ref: u32, quantity: u32, price: u64, liquidity: u8,
        match_number: u64 }
    /// A trade does not count.
    b'B' Broken Maybe { ts_ns: u64, user_ref: u32, match_number: u64, reason: u8, cl_ord_id: [u8; 14] }
    /// An order was not accepted.
    b'J' Rejected Maybe { ts_ns: u64, user_ref: u32, reason: u16, cl_ord_id: [u8; 14] }
    /// A cancel has to wait.
    b'P' CancelPending Maybe { ts_ns: u64, user_ref: u32 }
    /// A cancel came too late.
    b'I' CancelReject Maybe { ts_ns: u64, user_ref: u32 }
    /// An order has another place in the queue.
    b'T' PriorityUpdate Maybe { ts_ns: u64, user_ref: u32, price: u64, display: u8, order_reference: u64 }
    /// An order was modified; `quantity` is what is left open.
    b'M' Modified Maybe { ts_ns: u64, user_ref: u32, side: u8, quantity: u32 }
    /// The host changed an order by itself.
    b'R' Restated Always { ts_ns: u64, user_ref: u32, reason: u8 }
    /// The number that is next.
    b'Q' AccountQueryResponse Maybe { ts_ns: u64, user_ref: u32 }
    /// A mass cancel was taken.
    b'X' MassCancelResponse Always { ts_ns: u64, user_ref: u32, firm: [u8; 4], symbol: [u8; 8] }
    /// No more orders of a firm are taken.
    b'G' DisableResponse Always { ts_ns: u64, user_ref: u32, firm: [u8; 4] }
    /// They are taken again.
    b'K' EnableResponse Always { ts_ns: u64, user_ref: u32, firm: [u8; 4] }
}
