//! What a ladder does where its window does not answer: prices far away or between ticks, levels that stand elsewhere, and the moves of
//! the window itself. All of it is out of line: few messages come here, and the others shall not pay for it.

use super::{LATEST_BEST, Ladder};
use crate::book::levels::far::{Far, Nodes};
use crate::book::levels::grid::Grid;
use crate::book::levels::{BLOCK, Level, LevelTable, Levels, NIL};

/// Levels between ticks that are accepted before the tick is learned anew; then twice as many as there are.
const ODD_PRICES: u32 = 16;
/// So many moves at the start, and one in so many later, look whether the tick still suits.
const LEARNING: u32 = 16;

/// What a side keeps beside its window.
pub(super) struct Outside {
    /// Levels that the window does not lead to.
    pub far: Far,
    /// First key of `far`, i64::MAX if there is none.
    best: i64,
    /// So many odd levels, and the tick is learned anew.
    patience: u32,
    /// How often the window has moved.
    moves: u32,
    /// First of the notes that say where the level of a moved tick stands; `NIL` until there is one.
    pub notes: u32,
    /// Slots of the block whose ticks' levels stand elsewhere.
    pub moved: u128,
}

impl Outside {
    fn refresh(&mut self, nodes: &Nodes) {
        self.best = self.far.next(i64::MIN, nodes).map_or(i64::MAX, |row| row.0);
    }
}

impl Ladder {
    /// A key whose slot does not answer: find its level, or open it, where it must be; decide first whether the window moves.
    #[cold]
    pub(super) fn entry_outside(&mut self, key: i64, book_side: u32, table: &mut LevelTable) -> u32 {
        if self.outside.is_none() {
            self.begin(key, book_side, table);
        } else if key < self.window.base {
            self.place(key, table);
        } else if self.window.covers(key)
            && let Some(outside) = &self.outside
            && self.odd >= outside.patience
        {
            // A level between ticks may be the best of all; left below the window, it would not be seen again.
            let best = self.window.first().map_or(key, |n| self.window.key(n).min(key)).min(outside.best);
            self.place(best, table);
        }
        match self.window.tick_of(key) {
            Some(n) => self.entry_inside(self.window.slot(n), key, book_side, table),
            None => self.entry_far(key, book_side, table),
        }
    }

    /// The first order of a side: what it needs from now on.
    fn begin(&mut self, key: i64, book_side: u32, table: &mut LevelTable) {
        let outside = Outside {
            far: Far::default(),
            best: i64::MAX,
            patience: ODD_PRICES,
            notes: NIL,
            moved: 0,
            moves: 0,
        };
        self.outside = Some(Box::new(outside));
        if self.window.origin == NIL {
            self.window.origin = table.block(book_side);
        }
        self.window.place(key, if key % 100 == 0 { 100 } else { 1 });
    }

    /// The level at a key on a tick, by the slot of the tick.
    fn entry_inside(&mut self, slot: u32, key: i64, book_side: u32, table: &mut LevelTable) -> u32 {
        if self.window.is_set(slot) {
            return self.moved_level(slot, table);
        }
        self.window.set(slot);
        let level = table.get_mut(slot);
        if level.count == 0 {
            level.key = key;
            return slot;
        }
        let other = table.open(key, book_side);
        self.lead(slot, other, table);
        other
    }

    /// The level at a key that has no tick.
    fn entry_far(&mut self, key: i64, book_side: u32, table: &mut LevelTable) -> u32 {
        let covered = self.window.covers(key);
        let Some(outside) = &mut self.outside else { return NIL };
        let mut slot = outside.far.get(key, &table.nodes);
        if slot == NIL {
            slot = table.open(key, book_side);
            outside.far.insert(key, slot, &mut table.nodes);
            self.odd += covered as u32;
        }
        outside.best = outside.best.min(key);
        self.far = outside.far.len();
        slot
    }

    /// Note that the level of a tick stands elsewhere.
    fn lead(&mut self, slot: u32, level: u32, table: &mut LevelTable) {
        let Some(outside) = &mut self.outside else { return };
        if outside.notes == NIL {
            outside.notes = table.note_block();
        }
        table.set_note(outside.notes + slot % BLOCK, level);
        outside.moved |= 1 << (slot % BLOCK);
        self.moved += 1;
    }

    /// The tick that suits the best levels.
    fn suitable_tick(&self, table: &LevelTable) -> u64 {
        let mut grid = Grid::of(self.window.tick as u64);
        self.walk(table, |level| grid.see(level.key));
        grid.tick()
    }

    /// Put the window around `best`: levels that leave it go to `far`, those of `far` that it reaches now come in, each where it is.
    fn place(&mut self, best: i64, table: &mut LevelTable) {
        let (before, tick) = (self.window, self.next_tick(table));
        let mut window = before;
        window.place(best, tick);
        // With the same tick the levels that stay keep their slots and their bits; else every level looks for its tick anew.
        let stay = if tick == before.tick as u64 && self.odd == 0 { before.common(&window) } else { 0 };
        let (mut near, mut n) = ([(0, NIL); BLOCK as usize], 0);
        let mut leaving = before.ticks() & !stay;
        while leaving != 0 {
            let at = leaving.trailing_zeros();
            leaving &= leaving - 1;
            let slot = before.slot(at);
            near[n] = (before.key(at), self.level_of(slot, table));
            n += 1;
            self.forget(slot);
        }
        self.window.turn(&window);
        self.odd = 0;
        let (mut from, end) = (window.base, window.end());
        while let Some((key, level)) = self.next_far(from, table).filter(|row| row.0 < end) {
            if self.seat(key, level, table)
                && let Some(outside) = &mut self.outside
            {
                outside.far.remove(key, &mut table.nodes);
            }
            from = key + 1;
        }
        for &(key, level) in &near[..n] {
            if !self.seat(key, level, table)
                && let Some(outside) = &mut self.outside
            {
                outside.far.insert(key, level, &mut table.nodes);
            }
        }
        if let Some(outside) = &mut self.outside {
            outside.refresh(&table.nodes);
            self.far = outside.far.len();
            outside.patience = ODD_PRICES.max(2 * self.odd);
        }
    }

    /// The tick of a slot leads to no level any more.
    fn forget(&mut self, slot: u32) {
        self.window.unset(slot);
        if self.moved > 0
            && let Some(outside) = &mut self.outside
        {
            self.moved -= (outside.moved >> (slot % BLOCK) & 1) as u32;
            outside.moved &= !(1 << (slot % BLOCK));
        }
    }

    /// The tick for the next place of the window. Looking at the prices takes longer than moving, so that most moves keep the tick.
    fn next_tick(&mut self, table: &LevelTable) -> u64 {
        let tick = self.window.tick as u64;
        let Some(outside) = &mut self.outside else { return tick };
        outside.moves = outside.moves.wrapping_add(1);
        let looks = self.odd > 0 || outside.moves < LEARNING || outside.moves.is_multiple_of(LEARNING);
        if looks { self.suitable_tick(table) } else { tick }
    }

    fn next_far(&self, from: i64, table: &LevelTable) -> Option<(i64, u32)> {
        self.outside.as_ref().and_then(|outside| outside.far.next(from, &table.nodes))
    }

    /// Have the window lead to a level; if it cannot, count the level where its key lies between ticks of the window.
    fn seat(&mut self, key: i64, level: u32, table: &mut LevelTable) -> bool {
        let Some(n) = self.window.tick_of(key) else {
            self.odd += self.window.covers(key) as u32;
            return false;
        };
        let slot = self.window.slot(n);
        self.window.set(slot);
        if slot != level {
            // A key that is left from a level long gone must not answer for this one.
            let there = table.get_mut(slot);
            there.key = if there.count == 0 { 0 } else { there.key };
            self.lead(slot, level, table);
        }
        true
    }

    /// A level that has become empty and does not stand in the slot of its tick.
    #[cold]
    pub(super) fn remove_outside(&mut self, key: i64, level: u32, table: &mut LevelTable) {
        let tick = self.window.tick_of(key).map(|n| self.window.slot(n));
        if let Some(slot) = tick {
            self.forget(slot);
        } else if let Some(outside) = &mut self.outside {
            outside.far.remove(key, &mut table.nodes);
            if key == outside.best {
                outside.refresh(&table.nodes);
            }
            self.far = outside.far.len();
            self.odd -= self.window.covers(key) as u32;
        }
        if !self.window.owns(level) {
            table.close(level);
        }
    }

    /// The touch has left the window, or is about to, or there are levels between ticks.
    #[cold]
    pub(super) fn best_outside(&mut self, table: &mut LevelTable) -> u32 {
        let far_best = self.next_far(i64::MIN, table).map(|row| row.0);
        match (self.window.first(), far_best) {
            (None, None) => return NIL,
            (None, Some(best)) => self.place(best, table),
            (Some(first), _) if first as u64 > LATEST_BEST => {
                let first = self.window.key(first);
                self.place(far_best.map_or(first, |best| best.min(first)), table);
            }
            _ => {}
        }
        let first =
            self.window.first().map(|n| (self.window.key(n), self.level_of(self.window.slot(n), table)));
        let far = self.next_far(i64::MIN, table);
        first.into_iter().chain(far).min().map_or(NIL, |row| row.1)
    }

    /// The levels of `far`.
    pub(super) fn walk_far(&self, table: &LevelTable, mut each: impl FnMut(&Level) -> bool) {
        let Some(outside) = &self.outside else { return };
        for (_, level) in outside.far.iter(&table.nodes) {
            if !each(table.get(level)) {
                return;
            }
        }
    }

    /// The levels of window and `far`, merged.
    pub(super) fn walk_merged(&self, table: &LevelTable, mut each: impl FnMut(&Level) -> bool) {
        let Some(outside) = &self.outside else { return };
        let mut far = outside.far.iter(&table.nodes).peekable();
        let mut ticks = self.window.ticks();
        while ticks != 0 {
            let n = ticks.trailing_zeros();
            ticks &= ticks - 1;
            while let Some((_, level)) = far.next_if(|row| row.0 < self.window.key(n)) {
                if !each(table.get(level)) {
                    return;
                }
            }
            if !each(table.get(self.level_of(self.window.slot(n), table))) {
                return;
            }
        }
        for (_, level) in far {
            if !each(table.get(level)) {
                return;
            }
        }
    }
}
