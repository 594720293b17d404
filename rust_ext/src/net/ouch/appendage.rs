//! The optional fields behind a message: a length, then elements of length, tag and value. A tag that is not known is passed over by
//! its length, and kept.

use crate::net::error::WireError;

/// Every known tag: name, number, bytes of its value.
pub const TAGS: [(&str, u8, u8); 24] = [
    ("secondary_order_reference", 1, 8),
    ("firm", 2, 4),
    ("min_qty", 3, 4),
    ("customer_type", 4, 1),
    ("max_floor", 5, 4),
    ("price_type", 6, 1),
    ("peg_offset", 7, 4),
    ("discretion_price", 9, 8),
    ("discretion_price_type", 10, 1),
    ("discretion_peg_offset", 11, 4),
    ("post_only", 12, 1),
    ("random_reserves", 13, 4),
    ("route", 14, 4),
    ("expire_time", 15, 4),
    ("trade_now", 16, 1),
    ("handle_inst", 17, 1),
    ("bbo_weight_indicator", 18, 1),
    ("display_quantity", 22, 4),
    ("display_price", 23, 8),
    ("group_id", 24, 2),
    ("shares_located", 25, 1),
    ("locate_broker", 26, 4),
    ("side", 27, 1),
    ("user_ref_idx", 28, 1),
];

/// Bytes of the value by tag, 0 for one that is not known.
static SIZES: [u8; 256] = {
    let (mut sizes, mut i) = ([0; 256], 0);
    while i < TAGS.len() {
        sizes[TAGS[i].1 as usize] = TAGS[i].2;
        i += 1;
    }
    sizes
};

/// Elements back to back, each looked at before this could be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appendage<'a>(&'a [u8]);

impl<'a> Appendage<'a> {
    /// Look at the bytes behind the length of an appendage, which stand `offset` bytes into their message.
    pub fn new(elements: &'a [u8], offset: usize) -> Result<Self, WireError> {
        let mut at = 0;
        while let Some(&length) = elements.get(at) {
            let (most, size) = (elements.len() - at - 1, length as usize);
            if !(1..=most).contains(&size) {
                return Err(WireError::new("length of an OUCH option", offset + at, size, 1..=most));
            }
            let needs = 1 + SIZES[elements[at + 1] as usize] as usize;
            if needs != 1 && needs != size {
                return Err(WireError::new(
                    "length of a known OUCH option",
                    offset + at,
                    size,
                    needs..=needs,
                ));
            }
            at += 1 + size;
        }
        Ok(Appendage(elements))
    }

    /// The elements as they stand on the wire, without the length in front.
    pub fn bytes(&self) -> &'a [u8] {
        self.0
    }

    /// (tag, value) in the order of the wire.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (&length, behind) = rest.split_first()?;
            let (element, behind) = behind.split_at_checked(length as usize)?;
            rest = behind;
            element.split_first().map(|(&tag, value)| (tag, value))
        })
    }

    /// The value of the first element of a tag.
    pub fn get(&self, tag: u8) -> Option<&'a [u8]> {
        self.iter().find(|element| element.0 == tag).map(|element| element.1)
    }

    /// A value of at most eight bytes as the unsigned integer that it is; None where there is none or it is longer.
    pub fn number(&self, tag: u8) -> Option<u64> {
        let value = self.get(tag).filter(|value| value.len() <= 8)?;
        Some(value.iter().fold(0, |sum, &byte| sum << 8 | byte as u64))
    }
}

/// Append one element; `value` has at most 254 bytes.
pub fn put(to: &mut Vec<u8>, tag: u8, value: &[u8]) {
    let value = &value[..value.len().min(254)];
    to.push(value.len() as u8 + 1);
    to.push(tag);
    to.extend_from_slice(value);
}
