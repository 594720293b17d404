//! What a field of fixed size is, whatever the message: taken from the front of bytes, put at their end.

/// A field as a caller sees it who does not know the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// An unsigned integer.
    Number(u64),
    /// One letter.
    Letter(u8),
    /// Letters padded on the right, the first `.1` bytes of `.0`.
    Text([u8; 14], usize),
}

/// A field of a message.
pub trait Field: Copy {
    /// Bytes on the wire.
    const SIZE: usize;
    /// The field at the front of `from`, which moves behind it; None where the bytes end too early.
    fn take(from: &mut &[u8]) -> Option<Self>;
    /// Append the field.
    fn put(self, to: &mut Vec<u8>);
    /// The field for somebody who does not know its type.
    fn value(self) -> Value;
}

macro_rules! numbers {
    ($($type:ty)*) => {$(
        impl Field for $type {
            const SIZE: usize = size_of::<$type>();

            #[inline(always)]
            fn take(from: &mut &[u8]) -> Option<Self> {
                let (head, rest) = from.split_first_chunk()?;
                *from = rest;
                Some(<$type>::from_be_bytes(*head))
            }

            #[inline(always)]
            fn put(self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_be_bytes());
            }

            fn value(self) -> Value {
                Value::Number(self as u64)
            }
        }
    )*};
}
numbers!(u16 u32 u64);

impl Field for u8 {
    const SIZE: usize = 1;

    #[inline(always)]
    fn take(from: &mut &[u8]) -> Option<Self> {
        let (&head, rest) = from.split_first()?;
        *from = rest;
        Some(head)
    }

    #[inline(always)]
    fn put(self, to: &mut Vec<u8>) {
        to.push(self);
    }

    fn value(self) -> Value {
        Value::Letter(self)
    }
}

impl<const N: usize> Field for [u8; N] {
    const SIZE: usize = N;

    #[inline(always)]
    fn take(from: &mut &[u8]) -> Option<Self> {
        let (head, rest) = from.split_first_chunk()?;
        *from = rest;
        Some(*head)
    }

    #[inline(always)]
    fn put(self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self);
    }

    fn value(self) -> Value {
        let mut letters = [0; 14];
        letters[..N].copy_from_slice(&self);
        Value::Text(letters, N)
    }
}
