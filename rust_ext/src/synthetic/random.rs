//! splitmix64 (Steele, Lea and Flood 2014) and the heavy tails made of it.

pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in [0, limit), limit <= 2^32.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        ((self.draw() >> 32) * limit) >> 32
    }
}

/// Trailing zeros of the low 12 bits, 12 if they are all zero: P(k) = 2^-(k+1).
pub(super) fn octave(bits: u64) -> u32 {
    (bits | 0x1000).trailing_zeros()
}

/// A number in [2^octave - 1, 2^(octave+1) - 2], uniform over `bits`; octave <= 12.
pub(super) fn octave_number(octave: u32, bits: u64) -> u64 {
    let span = (1u64 << octave) - 1;
    span + (bits & span)
}
