//! A value for each instrument that a feed names. They stand side by side, by number, and never move. The first mention of a high number
//! does not wait for all that are below it: some are made with each message that names one beyond them, and those beyond stand aside
//! until then.

use std::collections::BTreeMap;

use crate::reserved::reserve;

/// Values made with one message at most: what three tables of them take from the system is about ten microseconds.
const STEP: usize = 128;

/// See the head of this file.
pub struct ByInstrument<T> {
    /// Of the instruments from 0 on.
    values: Vec<T>,
    /// Of some that come later.
    aside: BTreeMap<u16, T>,
}

impl<T> Default for ByInstrument<T> {
    fn default() -> Self {
        ByInstrument { values: Vec::new(), aside: BTreeMap::new() }
    }
}

impl<T> ByInstrument<T> {
    /// The value of an instrument, `blank` if it has none yet.
    #[inline(always)]
    pub fn at(&mut self, instrument: u16, blank: impl Fn() -> T) -> &mut T {
        match self.values.len() {
            len if len > instrument as usize => &mut self.values[instrument as usize],
            _ => self.beyond(instrument, blank),
        }
    }

    /// The value of an instrument, if it has one.
    #[inline(always)]
    pub fn get(&self, instrument: u16) -> Option<&T> {
        self.near(instrument).or_else(|| self.aside.get(&instrument))
    }

    /// The same, but for one that stands aside.
    #[inline(always)]
    pub fn near(&self, instrument: u16) -> Option<&T> {
        self.values.get(instrument as usize)
    }

    #[cold]
    fn beyond(&mut self, instrument: u16, blank: impl Fn() -> T) -> &mut T {
        let (i, first) = (instrument as usize, self.values.len());
        if first == 0 {
            // Addresses for all that a feed can name; only those that are made become memory.
            reserve(&mut self.values, u16::MAX as usize + 1);
        }
        for next in first..(first + STEP).min(i + 1) {
            let value = self.aside.remove(&(next as u16)).unwrap_or_else(&blank);
            self.values.push(value);
        }
        if i < self.values.len() {
            return &mut self.values[i];
        }
        self.aside.entry(instrument).or_insert_with(blank)
    }

    /// Instruments that have a value, but for those that stand aside.
    #[inline(always)]
    pub fn count(&self) -> usize {
        self.values.len()
    }

    /// Every instrument that has a value, and its value.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &T)> {
        let near = self.values.iter().enumerate().map(|(i, value)| (i as u16, value));
        near.chain(self.aside.iter().map(|(&instrument, value)| (instrument, value)))
    }

    /// Change every value that is there.
    pub fn for_each(&mut self, change: impl FnMut(&mut T)) {
        self.values.iter_mut().chain(self.aside.values_mut()).for_each(change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_instrument_is_there_at_once_and_stands_in_its_place_later() {
        let mut all = ByInstrument::default();
        for n in 1..=600 {
            *all.at(u16::MAX, || 7) += 1;
            assert_eq!(all.get(u16::MAX), Some(&(7 + n)));
            assert_eq!(all.count(), (n as usize * STEP).min(u16::MAX as usize + 1));
        }
        assert_eq!((all.near(u16::MAX), all.get(0), all.aside.len()), (Some(&607), Some(&7), 0));
        all.for_each(|value| *value *= 2);
        assert_eq!(all.iter().map(|(_, value)| *value as u64).sum::<u64>(), 2 * (7 * 65_535 + 607));
    }

    #[test]
    fn those_that_stand_aside_are_listed_and_changed_with_the_others() {
        let mut all = ByInstrument::default();
        for instrument in [60_000, 5, 40_000] {
            *all.at(instrument, || 0) = instrument;
        }
        all.for_each(|value| *value += 1);
        let found: Vec<_> = all.iter().filter(|(_, value)| **value > 1).collect();
        assert_eq!(found, [(5, &6), (40_000, &40_001), (60_000, &60_001)]);
    }
}
