//! What came early and waits: messages by number in a ring of places, their bytes in cells of one block of memory. Both have their size
//! from the start, so nothing that comes from the wire makes this grow.

/// Bytes of a cell: a message of ITCH with its length fits in one.
const CELL: usize = 64;
const NONE: u32 = u32::MAX;

/// A place of the ring; free where `bytes` is 0, a framed message having two bytes at least.
#[derive(Clone, Copy, Default)]
struct Place {
    number: u64,
    bytes: u32,
    /// The first of its cells.
    first: u32,
}

/// Framed messages whose numbers lie less than the size of the ring apart.
pub struct Window {
    places: Box<[Place]>,
    cells: Box<[u8]>,
    /// By cell the one behind it: in the same message, or in the list of free ones.
    behind: Box<[u32]>,
    free: u32,
    /// Cells from here on have never been used, and their memory has never been touched.
    fresh: u32,
    held: usize,
    bytes: usize,
    most_bytes: usize,
}

impl Window {
    /// Room for so many messages of so many bytes in all.
    pub fn new(messages: usize, most_bytes: usize) -> Self {
        // Each message leaves less than one cell unused.
        let cells = (most_bytes / CELL + messages + 1).min(NONE as usize);
        Window {
            places: vec![Place::default(); messages.max(1)].into_boxed_slice(),
            cells: vec![0; cells * CELL].into_boxed_slice(),
            behind: vec![0; cells].into_boxed_slice(),
            free: NONE,
            fresh: 0,
            held: 0,
            bytes: 0,
            most_bytes,
        }
    }

    /// Messages that wait.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Whether a message waits.
    #[inline(always)]
    pub fn contains(&self, number: u64) -> bool {
        let place = &self.places[self.place(number)];
        place.bytes > 0 && place.number == number
    }

    /// Keep a copy of a framed message; false if its bytes are too many. The number may not be held, nor one a ring's size away.
    pub fn hold(&mut self, number: u64, block: &[u8]) -> bool {
        if self.bytes + block.len() > self.most_bytes {
            return false;
        }
        // From the last cell to the first, so that each can name the one behind it.
        let mut first = NONE;
        for piece in block.chunks(CELL).rev() {
            let cell = self.cell();
            let at = cell as usize * CELL;
            self.cells[at..at + piece.len()].copy_from_slice(piece);
            self.behind[cell as usize] = first;
            first = cell;
        }
        self.places[self.place(number)] = Place { number, bytes: block.len() as u32, first };
        self.held += 1;
        self.bytes += block.len();
        true
    }

    /// Let a message go, if it is held, and append it to `to` where there is one.
    pub fn release(&mut self, number: u64, mut to: Option<&mut Vec<u8>>) -> bool {
        if !self.contains(number) {
            return false;
        }
        let at = self.place(number);
        let Place { bytes, mut first, .. } = std::mem::take(&mut self.places[at]);
        let mut left = bytes as usize;
        while first != NONE {
            let (at, n) = (first as usize * CELL, left.min(CELL));
            if let Some(to) = &mut to {
                to.extend_from_slice(&self.cells[at..at + n]);
            }
            left -= n;
            let next = std::mem::replace(&mut self.behind[first as usize], self.free);
            self.free = std::mem::replace(&mut first, next);
        }
        self.held -= 1;
        self.bytes -= bytes as usize;
        true
    }

    /// The least number that is held, none being below `from`.
    pub fn least(&self, from: u64) -> Option<u64> {
        let mut numbers = from..=from.saturating_add(self.places.len() as u64);
        if self.held > 0 { numbers.find(|&number| self.contains(number)) } else { None }
    }

    /// The greatest number that is held.
    pub fn greatest(&self) -> Option<u64> {
        self.places.iter().filter(|place| place.bytes > 0).map(|place| place.number).max()
    }

    /// Forget everything.
    pub fn clear(&mut self) {
        self.places.fill(Place::default());
        (self.free, self.fresh, self.held, self.bytes) = (NONE, 0, 0, 0);
    }

    #[inline(always)]
    fn place(&self, number: u64) -> usize {
        (number % self.places.len() as u64) as usize
    }

    fn cell(&mut self) -> u32 {
        if self.free == NONE {
            self.fresh += 1;
            return self.fresh - 1;
        }
        let cell = self.free;
        self.free = self.behind[cell as usize];
        cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(number: u64) -> Vec<u8> {
        (0..2 + number * 37 % 300).map(|byte| (byte + number) as u8).collect()
    }

    #[test]
    fn what_waits_comes_back_and_memory_stays_what_it_was() {
        let mut window = Window::new(100, 20_000);
        let size = window.cells.len();
        for round in 0..200u64 {
            let numbers: Vec<u64> = (0..100).map(|n| round * 10 + n).filter(|n| n * 7 % 3 > 0).collect();
            let held: Vec<u64> = numbers.iter().copied().filter(|&n| window.hold(n, &block(n))).collect();
            assert!(held.len() > 50);
            assert_eq!(window.held(), held.len());
            assert_eq!(window.least(round * 10), held.first().copied());
            assert_eq!(window.greatest(), held.last().copied());
            for &number in &held {
                let mut out = Vec::new();
                assert!(window.release(number, Some(&mut out)) && out == block(number));
                assert!(!window.release(number, None));
            }
            assert_eq!((window.held(), window.bytes, window.cells.len()), (0, 0, size));
        }
    }

    #[test]
    fn the_bytes_allowed_always_find_cells() {
        for size in [2usize, 63, 64, 65, 128, 1000] {
            let mut window = Window::new(500, 10_000);
            let held = (0..500).filter(|&n| window.hold(n, &vec![1; size])).count();
            assert_eq!(held, (10_000 / size).min(500), "{size} bytes each");
        }
    }
}
