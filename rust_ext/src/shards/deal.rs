//! Which shard an instrument belongs to: counted in a first pass over the head of the feed, and dealt by count, the largest first, each to
//! the shard that has the least so far. An instrument that did not appear there goes by its number.

use super::references::References;
use super::wire::Wire;

/// Messages looked at: a millisecond or two, and enough for the busiest instruments to stand out.
const COUNTED: usize = 1 << 17;
/// Numbers of instruments there are.
pub const INSTRUMENTS: usize = 1 << 16;
/// The shard of each instrument.
pub type Owners = [u8; INSTRUMENTS];

/// What the head of a feed says.
pub struct Head {
    /// Messages by instrument.
    pub counts: Vec<u32>,
    /// Whether references only rise on the whole, so that a table must remember them.
    pub table: bool,
    /// The first message that brings a reference of which it is not sure that it was never used; then shards are of no use.
    pub again: Option<u64>,
}

impl Head {
    /// Look at the first messages of a block.
    pub fn of<W: Wire>(data: &[u8]) -> Head {
        let mut head = Head { counts: vec![0; INSTRUMENTS], table: false, again: None };
        let (mut at, mut latest, mut seen) = (0, None, References::new(true));
        for index in 0..COUNTED as u64 {
            let Some(message) = W::glance(data, at).or_else(|| W::look(data, at)) else { break };
            at += message.size;
            head.counts[message.instrument as usize] += 1;
            if message.is_fresh {
                head.table |= latest >= Some(message.fresh);
                latest = Some(message.fresh);
                if !seen.admit(&[message.fresh]) {
                    head.again = Some(index);
                    break;
                }
            }
        }
        head
    }
}

/// Give each instrument to one of `shards`. Number 0 is no instrument and stays with the first.
pub fn deal(counts: &[u32], shards: usize) -> Box<Owners> {
    let mut owners = Box::new([0; INSTRUMENTS]);
    owners.iter_mut().enumerate().for_each(|(i, owner)| *owner = (i % shards) as u8);
    let mut loads = vec![0; shards];
    loads[0] = counts[0] as u64;
    let mut counted: Vec<usize> = (1..INSTRUMENTS).filter(|&i| counts[i] > 0).collect();
    counted.sort_by_key(|&i| std::cmp::Reverse(counts[i]));
    for i in counted {
        let least = (0..shards).min_by_key(|&shard| loads[shard]).unwrap_or(0);
        owners[i] = least as u8;
        loads[least] += counts[i] as u64;
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_dealt_first() {
        let mut counts = vec![0; INSTRUMENTS];
        counts[..6].copy_from_slice(&[5, 1, 30, 10, 20, 4]);
        let owners = deal(&counts, 2);
        assert_eq!(owners[..8], [0, 1, 1, 0, 0, 1, 0, 1]);
        assert!(deal(&counts, 1).iter().all(|&owner| owner == 0));
    }
}
