//! The levels that a ladder has no slot for, in order: a tree of short sorted nodes (Bayer and McCreight 1972; leaves hold the entries,
//! as in a B+ tree). Neither many of them nor any order of arrival makes it slow: a step takes a node of each storey, of which ten
//! million levels need five, and moves one node's entries at most.
//!
//! A node goes when it has become empty and not before, since nodes that are half full cost less than what keeps them fuller (Johnson
//! and Shasha 1993). All trees of a book have their nodes in one table, so that one that has grown asks nobody for memory.

use super::NIL;
use crate::reserved::{Pages, Zeroed, prefetch};

/// Entries of a node: 512 bytes.
const FULL: usize = 42;
/// Keys of a cache line.
const LINE: usize = 8;
/// Nodes for which addresses are reserved: 4 GiB, of which only what is used becomes memory.
const RESERVED: usize = 1 << 23;

/// A level and its key.
type Entry = (i64, u32);

/// A leaf, or what leads to nodes one storey lower.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Node {
    /// Keys of the levels, increasing; or of each node below the smallest that it may hold, but for the first, which takes all that is
    /// smaller, too.
    keys: [i64; FULL],
    /// Slots of the levels, or of the nodes below.
    slots: [u32; FULL],
    /// How many.
    len: u32,
}

const _: () = assert!(size_of::<Node>() == 512, "a node has outgrown its eight cache lines");

// SAFETY: integers only.
unsafe impl Zeroed for Node {}

impl Node {
    fn keys(&self) -> &[i64] {
        &self.keys[..self.len as usize]
    }

    fn entry(&self, i: usize) -> Option<Entry> {
        (i < self.len as usize).then(|| (self.keys[i], self.slots[i]))
    }

    /// Where the first key stands that is not below `key`.
    fn rank(&self, key: i64) -> usize {
        self.keys().partition_point(|&at| at < key)
    }

    /// Which of the nodes below `key` belongs to.
    fn child(&self, key: i64) -> usize {
        self.keys()[1..].partition_point(|&from| from <= key)
    }

    fn insert(&mut self, at: usize, (key, slot): Entry) {
        let len = self.len as usize;
        self.keys.copy_within(at..len, at + 1);
        self.slots.copy_within(at..len, at + 1);
        (self.keys[at], self.slots[at]) = (key, slot);
        self.len += 1;
    }

    fn take(&mut self, at: usize) {
        let len = self.len as usize;
        self.keys.copy_within(at + 1..len, at);
        self.slots.copy_within(at + 1..len, at);
        self.len -= 1;
    }

    /// Give away the upper half.
    fn halve(&mut self) -> Node {
        let (mut upper, from) = (*self, FULL / 2);
        upper.keys.copy_within(from.., 0);
        upper.slots.copy_within(from.., 0);
        upper.len -= from as u32;
        self.len = from as u32;
        upper
    }
}

/// The nodes of all trees of a book.
pub(super) struct Nodes {
    nodes: Pages<Node>,
    /// First slot that was never given out.
    end: u32,
    /// First free slot, chained through the first of `slots`; `NIL` if there is none.
    free: u32,
}

impl Default for Nodes {
    fn default() -> Self {
        Nodes { nodes: Pages::new(RESERVED, 0), end: NIL + 1, free: NIL }
    }
}

impl Nodes {
    fn at(&self, slot: u32) -> &Node {
        &self.nodes[slot as usize]
    }

    /// The same, all of which is asked of memory at once: what stands where is known only when it is there.
    fn reach(&self, slot: u32) -> &Node {
        let node = self.at(slot);
        node.keys.iter().step_by(LINE).for_each(prefetch);
        node.slots.iter().step_by(2 * LINE).for_each(prefetch);
        node
    }

    fn at_mut(&mut self, slot: u32) -> &mut Node {
        &mut self.nodes[slot as usize]
    }

    /// The slot of a node that is not in use, whatever stands in it.
    fn open(&mut self) -> u32 {
        let mut slot = self.free;
        if slot == NIL {
            slot = self.end;
            self.end += 1;
            self.nodes.ensure(self.end as usize);
        } else {
            self.free = self.at(slot).slots[0];
        }
        slot
    }

    fn close(&mut self, slot: u32) {
        self.at_mut(slot).slots[0] = self.free;
        self.free = slot;
    }

    /// A node of the given entries.
    fn of<const N: usize>(&mut self, entries: [Entry; N]) -> u32 {
        let opened = self.open();
        let node = self.at_mut(opened);
        node.len = N as u32;
        for (i, (key, slot)) in entries.into_iter().enumerate() {
            (node.keys[i], node.slots[i]) = (key, slot);
        }
        opened
    }

    /// Put an entry into the tree below a node, `storeys` above its leaves. Returns the node that took its upper
    /// half, if it had to be halved, and from which key on.
    fn insert(&mut self, at: u32, storeys: u32, entry: Entry) -> Option<Entry> {
        let (node, mut entry) = (self.at(at), entry);
        let mut place = node.rank(entry.0);
        if storeys > 0 {
            // Right behind the node that was halved: what that may hold can begin below its key.
            place = node.child(entry.0) + 1;
            entry = self.insert(node.slots[place - 1], storeys - 1, entry)?;
        }
        if self.at(at).len < FULL as u32 {
            self.at_mut(at).insert(place, entry);
            return None;
        }
        let upper = self.at_mut(at).halve();
        let (from, beside) = (upper.keys[0], self.open());
        *self.at_mut(beside) = upper;
        match place.checked_sub(FULL / 2 + 1) {
            None => self.at_mut(at).insert(place, entry),
            Some(behind) => self.at_mut(beside).insert(behind + 1, entry),
        }
        Some((from, beside))
    }

    /// Take a key from the tree below a node. Returns whether it was there.
    fn remove(&mut self, at: u32, storeys: u32, key: i64) -> bool {
        let node = self.at(at);
        if storeys == 0 {
            let i = node.rank(key);
            let found = node.entry(i).is_some_and(|entry| entry.0 == key);
            if found {
                self.at_mut(at).take(i);
            }
            return found;
        }
        let i = node.child(key);
        let below = node.slots[i];
        self.reach(below);
        let found = self.remove(below, storeys - 1, key);
        if self.at(below).len == 0 {
            self.close(below);
            self.at_mut(at).take(i);
        }
        found
    }

    /// Give back all nodes of the tree below a node.
    fn fell(&mut self, at: u32, storeys: u32) {
        for i in 0..if storeys > 0 { self.at(at).len as usize } else { 0 } {
            self.fell(self.at(at).slots[i], storeys - 1);
        }
        self.close(at);
    }

    /// Bytes in use.
    pub fn bytes(&self) -> usize {
        self.end as usize * size_of::<Node>()
    }
}

/// An ordered map from key to level: one tree.
#[derive(Default)]
pub(super) struct Far {
    /// The node above all others; `NIL` while there are no entries.
    root: u32,
    /// Storeys between it and the leaves.
    storeys: u32,
    /// Entries.
    len: u32,
}

impl Far {
    /// Put a level at a key that has none.
    pub fn insert(&mut self, key: i64, level: u32, nodes: &mut Nodes) {
        self.len += 1;
        if self.root == NIL {
            self.root = nodes.of([(key, level)]);
        } else if let Some(upper) = nodes.insert(self.root, self.storeys, (key, level)) {
            self.root = nodes.of([(i64::MIN, self.root), upper]);
            self.storeys += 1;
        }
    }

    /// Drop `key`, if it is there.
    pub fn remove(&mut self, key: i64, nodes: &mut Nodes) {
        if self.root == NIL || !nodes.remove(self.root, self.storeys, key) {
            return;
        }
        self.len -= 1;
        while self.storeys > 0 && nodes.at(self.root).len == 1 {
            let below = nodes.at(self.root).slots[0];
            nodes.close(std::mem::replace(&mut self.root, below));
            self.storeys -= 1;
        }
        if self.len == 0 {
            self.clear(nodes);
        }
    }

    /// Drop everything.
    pub fn clear(&mut self, nodes: &mut Nodes) {
        if self.root != NIL {
            nodes.fell(self.root, self.storeys);
        }
        *self = Far::default();
    }

    /// The leaf, and the place in it, of the smallest key that is at least `key`.
    fn seek<'a>(&self, key: i64, nodes: &'a Nodes) -> Option<(&'a Node, usize)> {
        let (mut leaf, mut beside) = (nodes.at(self.root), None);
        for storeys in (0..self.storeys).rev() {
            let i = leaf.child(key);
            beside = leaf.entry(i + 1).map(|entry| (entry.1, storeys)).or(beside);
            leaf = nodes.reach(leaf.slots[i]);
        }
        match leaf.rank(key) {
            i if i < leaf.len as usize => Some((leaf, i)),
            _ => {
                let (beside, storeys) = beside?;
                let first = (0..storeys).fold(beside, |at, _| nodes.at(at).slots[0]);
                Some((nodes.at(first), 0))
            }
        }
    }

    /// The entry with the smallest key that is at least `key`.
    pub fn next(&self, key: i64, nodes: &Nodes) -> Option<Entry> {
        self.seek(key, nodes).and_then(|(leaf, i)| leaf.entry(i))
    }

    /// The level at `key`, or `NIL`.
    pub fn get(&self, key: i64, nodes: &Nodes) -> u32 {
        self.next(key, nodes).filter(|entry| entry.0 == key).map_or(NIL, |entry| entry.1)
    }

    /// How many entries there are.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// All entries, in order.
    pub fn iter(&self, nodes: &Nodes) -> impl Iterator<Item = Entry> {
        let first = self.seek(i64::MIN, nodes).map(|found| found.0);
        let after = |leaf: &&Node| self.seek(leaf.keys().last()?.checked_add(1)?, nodes).map(|found| found.0);
        std::iter::successors(first, after).flat_map(|leaf| (0..).map_while(|i| leaf.entry(i)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_tree_is_low_whatever_the_order_of_arrival_and_gives_back_its_nodes() {
        const ENTRIES: i64 = 100_000;
        let orders: [fn(i64) -> i64; 3] = [|n| n, |n| -n, |n| n * 7_919 % ENTRIES];
        let mut nodes = Nodes::default();
        for order in orders {
            let mut far = Far::default();
            (1..ENTRIES).for_each(|n| far.insert(order(n), n as u32, &mut nodes));
            assert!(far.storeys <= 3 && nodes.end as usize <= ENTRIES as usize / (FULL / 2) * 11 / 10);
            assert!(far.iter(&nodes).is_sorted() && far.iter(&nodes).count() as i64 == ENTRIES - 1);
            (1..ENTRIES).for_each(|n| assert_eq!(far.get(order(n), &nodes), n as u32));
            (1..ENTRIES).for_each(|n| far.remove(order(n), &mut nodes));
            assert_eq!((far.root, far.storeys, far.len()), (NIL, 0, 0));
        }
    }

    #[test]
    fn it_is_an_ordered_map() {
        let (mut far, mut nodes, mut plain) = (Far::default(), Nodes::default(), BTreeMap::new());
        let mut random = 1u64;
        for n in 1..60_000u32 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Grows for a while, then shrinks; the ends of all keys are among them.
            let (key, grows) =
                ((random >> 33) as i64 % 5_000, random >> 60 < if n % 20_000 < 12_000 { 11 } else { 5 });
            let key = [key, i64::MIN + key % 3, i64::MAX - key % 3]
                [((random >> 20) as usize % 16).saturating_sub(13)];
            if grows && !plain.contains_key(&key) {
                far.insert(key, n, &mut nodes);
                plain.insert(key, n);
            } else if !grows {
                let gone = plain.range(key..).next().map_or(key, |(&key, _)| key);
                far.remove(gone, &mut nodes);
                plain.remove(&gone);
            }
            assert_eq!(far.next(key, &nodes), plain.range(key..).next().map(|(&key, &level)| (key, level)));
            if n % 1_000 == 0 {
                assert!(far.iter(&nodes).eq(plain.iter().map(|(&key, &level)| (key, level))));
                assert_eq!(far.len() as usize, plain.len());
            }
        }
        far.clear(&mut nodes);
        assert_eq!((far.len(), far.next(i64::MIN, &nodes)), (0, None));
    }
}
