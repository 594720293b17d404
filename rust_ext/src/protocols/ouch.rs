//! OUCH 5.0, as far as the tick-to-trade path needs it: Enter Order in, Accepted out, each from one table with the names and the order
//! of the specification. `hftlab.protocols.ouch` has every message; shared vectors hold the two together.

use super::error::WireError;

/// 199,999.9900 in 1/10,000: the largest limit price. From 200,000 on a price means a market order, and 0 is none.
pub const HIGHEST_LIMIT: u64 = 0x7735_939c;

/// A field of fixed size: an unsigned big-endian integer, or text as it stands.
trait Field: Copy {
    fn write(self, to: &mut [u8]);
    fn read(from: &[u8]) -> Self;
}

macro_rules! numbers {
    ($($type:ty)*) => {$(
        impl Field for $type {
            #[inline(always)]
            fn write(self, to: &mut [u8]) {
                to.copy_from_slice(&self.to_be_bytes());
            }

            #[inline(always)]
            fn read(from: &[u8]) -> Self {
                let mut bytes = [0; size_of::<$type>()];
                bytes.copy_from_slice(from);
                <$type>::from_be_bytes(bytes)
            }
        }
    )*};
}
numbers!(u8 u32 u64);

impl<const N: usize> Field for [u8; N] {
    #[inline(always)]
    fn write(self, to: &mut [u8]) {
        to.copy_from_slice(&self);
    }

    #[inline(always)]
    fn read(from: &[u8]) -> Self {
        let mut bytes = [0; N];
        bytes.copy_from_slice(from);
        bytes
    }
}

macro_rules! message {
    ($(#[$doc:meta])* $letter:literal $Name:ident { $($field:ident: $type:ty),* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs)] // the fields have the names and the order of the specification
        pub struct $Name {
            $(pub $field: $type,)*
        }

        impl $Name {
            /// Bytes of the message: its type, its fields, and the length of an appendage, which is empty.
            pub const BYTES: usize = 1 $(+ size_of::<$type>())* + 2;

            /// The message.
            #[inline(always)]
            pub fn bytes(&self) -> [u8; Self::BYTES] {
                let (mut out, mut at) = ([0; Self::BYTES], 1);
                out[0] = $letter;
                $(
                    self.$field.write(&mut out[at..at + size_of::<$type>()]);
                    at += size_of::<$type>();
                )*
                debug_assert_eq!(at + 2, Self::BYTES);
                out
            }

            /// Read a message without options.
            ///
            /// # Errors
            /// Another type, another length, an appendage that is not empty.
            #[inline]
            pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
                if let Some(&letter) = bytes.first() && letter != $letter {
                    return Err(WireError::not_allowed(concat!("type of OUCH ", stringify!($Name)), 0, letter));
                }
                if bytes.len() < Self::BYTES {
                    let what = concat!("bytes of OUCH ", stringify!($Name));
                    return Err(WireError::new(what, 0, bytes.len(), Self::BYTES..=Self::BYTES));
                }
                let mut at = 1;
                $(
                    let $field = <$type as Field>::read(&bytes[at..at + size_of::<$type>()]);
                    at += size_of::<$type>();
                )*
                match bytes[at..] {
                    [0, 0] => Ok($Name { $($field),* }),
                    _ => Err(WireError::new("bytes of an OUCH appendage", at, bytes.len() - at, 2..=2)),
                }
            }
        }
    };
}

message! {
    /// Client to host: a new order.
    b'O' EnterOrder { user_ref: u32, side: u8, quantity: u32, symbol: [u8; 8], price: u64, time_in_force: u8, display: u8,
        capacity: u8, intermarket_sweep: u8, cross_type: u8, cl_ord_id: [u8; 14] }
}
message! {
    /// Host to client: an order was accepted, live (`order_state` L) or already dead (D).
    b'A' Accepted { ts_ns: u64, user_ref: u32, side: u8, quantity: u32, symbol: [u8; 8], price: u64, time_in_force: u8,
        display: u8, order_reference: u64, capacity: u8, intermarket_sweep: u8, cross_type: u8, order_state: u8,
        cl_ord_id: [u8; 14] }
}

const _: () = assert!(EnterOrder::BYTES == 47 && Accepted::BYTES == 64);
