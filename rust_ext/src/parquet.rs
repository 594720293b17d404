//! Parquet files of whole numbers, row group by row group, in DELTA_BINARY_PACKED without compression: rows of a book differ little from
//! those before them, so that they get about as short as with zstd, in a third of its time. Nothing else of Parquet is written.
//!
//! ```text
//! "PAR1" | row group: pages of column 0, pages of column 1, ... | row group ... | what stands where | its length u32 | "PAR1"
//! ```

/// Values of a block whose differences share a least one, and of those that share a width.
const BLOCK: usize = 128;
const MINI: usize = 32;
/// Rows from which on a row group is full.
pub const ROW_GROUP: usize = 1 << 18;
const MAGIC: &[u8; 4] = b"PAR1";
/// Numbers of the format.
const DELTA_BINARY_PACKED: i64 = 5;
const RLE: i64 = 3;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Unsigned, 8 bits.
    U8,
    /// Unsigned, 16 bits.
    U16,
    /// Unsigned, 32 bits.
    U32,
    /// Unsigned, 64 bits.
    U64,
    /// Signed, 64 bits.
    I64,
}

impl Kind {
    fn is_wide(self) -> bool {
        matches!(self, Kind::U64 | Kind::I64)
    }

    /// The bit in which u64 must be turned to have the order of i64.
    fn turn(self) -> i64 {
        if self == Kind::U64 { i64::MIN } else { 0 }
    }

    /// Numbers of physical and of converted type.
    fn types(self) -> (i64, i64) {
        match self {
            Kind::U8 => (1, 11),
            Kind::U16 => (1, 12),
            Kind::U32 => (1, 13),
            Kind::U64 => (2, 14),
            Kind::I64 => (2, 18),
        }
    }
}

/// The pages of a column in the row group that is being filled, or what is known of them once they are written.
#[derive(Clone, Default)]
struct Chunk {
    pages: Vec<u8>,
    /// Least and greatest, turned.
    span: Option<(i64, i64)>,
    offset: usize,
    bytes: usize,
}

/// Writes one file: what its methods give is to be written one after the other.
pub struct Writer {
    columns: Vec<(String, Kind)>,
    filling: Vec<Chunk>,
    rows: usize,
    groups: Vec<(usize, Vec<Chunk>)>,
    offset: usize,
}

impl Writer {
    /// A file of these columns.
    pub fn new(columns: Vec<(String, Kind)>) -> Self {
        let filling = vec![Chunk::default(); columns.len()];
        Writer { columns, filling, rows: 0, groups: Vec::new(), offset: 0 }
    }

    /// Add a page to a column: its values as the bits of i64, those of unsigned types zero-extended. Each column gets as many rows.
    pub fn page(&mut self, column: usize, values: &[i64]) {
        let kind = self.columns[column].1;
        let ordered = values.iter().map(|value| value ^ kind.turn());
        let (Some(low), Some(high)) = (ordered.clone().min(), ordered.max()) else { return };
        let chunk = &mut self.filling[column];
        let (least, greatest) = chunk.span.unwrap_or((low, high));
        chunk.span = Some((low.min(least), high.max(greatest)));

        let mut body = Vec::with_capacity(values.len() * 4);
        pack(&mut body, values, kind.is_wide());
        let mut header = Thrift::default();
        header.i32(1, 0).i32(2, body.len() as i64).i32(3, body.len() as i64);
        header
            .open(5)
            .i32(1, values.len() as i64)
            .i32(2, DELTA_BINARY_PACKED)
            .i32(3, RLE)
            .i32(4, RLE)
            .close();
        header.close();
        chunk.pages.append(&mut header.out);
        chunk.pages.append(&mut body);
        if column == 0 {
            self.rows += values.len();
        }
    }

    /// What can be written now: a row group once it is full, else nothing.
    pub fn full(&mut self) -> Vec<u8> {
        if self.rows >= ROW_GROUP { self.group() } else { Vec::new() }
    }

    fn group(&mut self) -> Vec<u8> {
        let mut out = if self.offset == 0 { MAGIC.to_vec() } else { Vec::new() };
        let mut chunks = std::mem::replace(&mut self.filling, vec![Chunk::default(); self.columns.len()]);
        for chunk in &mut chunks {
            (chunk.offset, chunk.bytes) = (self.offset + out.len(), chunk.pages.len());
            out.append(&mut chunk.pages);
        }
        self.offset += out.len();
        self.groups.push((std::mem::take(&mut self.rows), chunks));
        out
    }

    /// The last row group, and the end of the file.
    pub fn finish(mut self) -> Vec<u8> {
        let mut out = if self.rows > 0 || self.groups.is_empty() { self.group() } else { Vec::new() };
        let footer = self.footer();
        out.extend(&footer);
        out.extend((footer.len() as u32).to_le_bytes());
        out.extend(MAGIC);
        out
    }

    fn footer(&self) -> Vec<u8> {
        let mut out = Thrift::default();
        out.i32(1, 1).list(2, Type::Struct, self.columns.len() + 1);
        out.element().string(4, b"rows").i32(5, self.columns.len() as i64).close();
        for (name, kind) in &self.columns {
            let (physical, converted) = kind.types();
            out.element().i32(1, physical).i32(3, 0).string(4, name.as_bytes()).i32(6, converted).close();
        }
        out.i64(3, self.groups.iter().map(|group| group.0 as i64).sum());
        out.list(4, Type::Struct, self.groups.len());
        for (rows, chunks) in &self.groups {
            out.element().list(1, Type::Struct, chunks.len());
            for ((name, kind), chunk) in self.columns.iter().zip(chunks) {
                out.element().i64(2, chunk.offset as i64).open(3);
                describe(&mut out, name, *kind, *rows, chunk);
                out.close().close();
            }
            let bytes = chunks.iter().map(|chunk| chunk.bytes as i64).sum();
            out.i64(2, bytes).i64(3, *rows as i64).close();
        }
        out.string(6, concat!("hftlab ", env!("CARGO_PKG_VERSION")).as_bytes());
        out.list(7, Type::Struct, self.columns.len()); // least and greatest are in the order of the type
        for _ in &self.columns {
            out.element().open(1).close().close();
        }
        out.close();
        out.out
    }
}

/// The metadata of a column of a row group.
fn describe(out: &mut Thrift, name: &str, kind: Kind, rows: usize, chunk: &Chunk) {
    out.i32(1, kind.types().0).list(2, Type::I32, 1).zigzag(DELTA_BINARY_PACKED);
    out.list(3, Type::Binary, 1).bytes(name.as_bytes());
    out.i32(4, 0).i64(5, rows as i64).i64(6, chunk.bytes as i64).i64(7, chunk.bytes as i64);
    out.i64(9, chunk.offset as i64);
    if let Some((low, high)) = chunk.span {
        let width = if kind.is_wide() { 8 } else { 4 };
        let (low, high) = (low ^ kind.turn(), high ^ kind.turn());
        out.open(12).i64(3, 0);
        out.string(5, &high.to_le_bytes()[..width]).string(6, &low.to_le_bytes()[..width]).close();
    }
}

/// DELTA_BINARY_PACKED: the first value, then blocks of differences, each less the least of its block, in as many bits as the greatest
/// of its 32 needs. Differences wrap around, in 32 bits where the column is not `wide`.
fn pack(out: &mut Vec<u8>, values: &[i64], wide: bool) {
    let wrap = |value: i64| if wide { value } else { value as i32 as i64 };
    let mut last = wrap(values.first().copied().unwrap_or(0));
    for number in [BLOCK, BLOCK / MINI, values.len()] {
        varint(out, number as u64);
    }
    varint(out, zigzag(last));
    let mut deltas = [0i64; BLOCK];
    for block in values.get(1..).unwrap_or_default().chunks(BLOCK) {
        let mut least = i64::MAX;
        for (delta, &value) in deltas.iter_mut().zip(block) {
            let value = wrap(value);
            (*delta, last) = (wrap(value.wrapping_sub(last)), value);
            least = least.min(*delta);
        }
        deltas[block.len()..].fill(least); // what no value needs is zeros
        varint(out, zigzag(least));
        let widths = out.len();
        out.extend([0; BLOCK / MINI]);
        for (i, mini) in deltas.as_chunks::<MINI>().0.iter().enumerate() {
            let all = mini.iter().fold(0, |all, delta| all | delta.wrapping_sub(least) as u64);
            let width = u64::BITS - all.leading_zeros();
            out[widths + i] = width as u8;
            pack_mini(out, mini, least, width);
        }
    }
}

/// 32 differences of `width` bits each, the lowest bits first.
fn pack_mini(out: &mut Vec<u8>, mini: &[i64; MINI], least: i64, width: u32) {
    let (mut word, mut used) = (0u64, 0);
    for delta in mini {
        let value = delta.wrapping_sub(least) as u64;
        word |= value << used;
        used += width;
        if used >= 64 {
            out.extend_from_slice(&word.to_le_bytes());
            used -= 64;
            word = if used > 0 { value >> (width - used) } else { 0 };
        }
    }
    out.extend_from_slice(&word.to_le_bytes()[..used as usize / 8]);
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Types of the compact protocol of Thrift, in which Parquet describes itself.
#[derive(Clone, Copy)]
enum Type {
    I32 = 5,
    I64 = 6,
    Binary = 8,
    List = 9,
    Struct = 12,
}

/// Bytes of that protocol: fields in ascending order, each structure closed.
#[derive(Default)]
struct Thrift {
    out: Vec<u8>,
    /// The last field of the structure, and of those around it.
    last: u8,
    around: Vec<u8>,
}

impl Thrift {
    fn field(&mut self, id: u8, kind: Type) {
        self.out.push((id - self.last) << 4 | kind as u8);
        self.last = id;
    }

    fn i32(&mut self, id: u8, value: i64) -> &mut Self {
        self.field(id, Type::I32);
        self.zigzag(value)
    }

    fn i64(&mut self, id: u8, value: i64) -> &mut Self {
        self.field(id, Type::I64);
        self.zigzag(value)
    }

    fn string(&mut self, id: u8, bytes: &[u8]) -> &mut Self {
        self.field(id, Type::Binary);
        self.bytes(bytes)
    }

    /// A list of `n` elements, which follow.
    fn list(&mut self, id: u8, kind: Type, n: usize) -> &mut Self {
        self.field(id, Type::List);
        if n < 15 {
            self.out.push((n as u8) << 4 | kind as u8);
        } else {
            self.out.push(0xF0 | kind as u8);
            varint(&mut self.out, n as u64);
        }
        self
    }

    fn open(&mut self, id: u8) -> &mut Self {
        self.field(id, Type::Struct);
        self.element()
    }

    /// A structure that is an element of a list.
    fn element(&mut self) -> &mut Self {
        self.around.push(std::mem::take(&mut self.last));
        self
    }

    fn close(&mut self) -> &mut Self {
        self.out.push(0);
        self.last = self.around.pop().unwrap_or(0);
        self
    }

    fn zigzag(&mut self, value: i64) -> &mut Self {
        varint(&mut self.out, zigzag(value));
        self
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        varint(&mut self.out, bytes.len() as u64);
        self.out.extend(bytes);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_packed_as_the_format_says() {
        // The examples of the format: 1 to 5, and values that fall.
        let mut out = Vec::new();
        pack(&mut out, &[1, 2, 3, 4, 5], true);
        assert_eq!(out, [128, 1, 4, 5, 2, 2, 0, 0, 0, 0]);
        out.clear();
        pack(&mut out, &[7, 5, 3, 1, 2, 3, 4, 5], true);
        assert_eq!(out, [128, 1, 4, 8, 14, 3, 2, 0, 0, 0, 0b1100_0000, 0b0011_1111, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn differences_of_any_size_wrap_around() {
        let mut out = Vec::new();
        pack(&mut out, &[i64::MIN, i64::MAX, 0, -1], true);
        pack(&mut out, &[0, u32::MAX as i64, 1, 1 << 31], false);
        assert!(out.len() < 2 * (30 + 32 * 8));
    }
}
