//! `unknown_order`, or `wrong_instrument`? A shard does not know an order that it does not have; whether another shard had it at that very
//! message settles the name of the fault, and nothing else: a refused message changes no book. So the question may wait until all shards
//! are through, and is put to what their messages say of that reference meanwhile.

use std::collections::{HashMap, HashSet};

use super::wire::Wire;
use crate::event::{Event, Fault, kind};

/// A message that the book refused: its number, the reason, the record, and the shard.
pub type Refused = (u64, Fault, Event, usize);

/// What messages say of the references in question.
#[derive(Default)]
struct Mentions {
    /// The latest message that brought an order of this reference; there is one at most.
    brought: HashMap<u64, u64>,
    /// The latest message of this shard that acted on this reference and found it.
    found: HashMap<(u64, usize), u64>,
}

/// Name the faults of the messages in `data`, of which the first is message `first`, as one engine would. No reference comes twice in
/// these messages, none of them clears a book, and they are all that has been run since; `lives` says whether a shard has an order now.
pub fn settle<W: Wire>(
    refused: &mut [Refused],
    data: &[u8],
    first: u64,
    owners: &[u8],
    mut lives: impl FnMut(usize, u64) -> bool,
) {
    let unknown = |fault: &&Refused| fault.1 == Fault::UnknownOrder;
    let lost: HashMap<u64, u64> =
        refused.iter().filter(unknown).map(|fault| (fault.0, fault.2.order_id)).collect();
    if lost.is_empty() {
        return;
    }
    let mentions = Mentions::of::<W>(&lost, data, first, owners);
    let shards = owners.iter().copied().max().map_or(0, usize::from);
    for (index, fault, event, shard) in refused {
        let id = event.order_id;
        let later = |message: Option<&u64>| message.is_some_and(|message| message > index);
        if *fault != Fault::UnknownOrder || later(mentions.brought.get(&id)) {
            continue; // known, or it had not come yet
        }
        // A later message that found it elsewhere says that it was there now, too.
        let mut there = |other: usize| later(mentions.found.get(&(id, other))) || lives(other, id);
        if (0..=shards).any(|other| other != *shard && there(other)) {
            *fault = Fault::WrongInstrument;
        }
    }
}

impl Mentions {
    /// `lost` holds the references in question by the messages that did not find them.
    fn of<W: Wire>(lost: &HashMap<u64, u64>, data: &[u8], first: u64, owners: &[u8]) -> Mentions {
        let ids: HashSet<u64> = lost.values().copied().collect();
        let (mut mentions, mut at, mut index) = (Mentions::default(), 0, first);
        while let Some(message) = W::look(data, at) {
            let event = W::event(data, at);
            let acts = matches!(event.kind, kind::EXECUTE | kind::CANCEL | kind::DELETE | kind::REPLACE);
            if acts && ids.contains(&event.order_id) && !lost.contains_key(&index) {
                let shard = owners[message.instrument as usize] as usize;
                mentions.found.insert((event.order_id, shard), index);
            }
            if message.is_fresh && ids.contains(&message.fresh) {
                mentions.brought.insert(message.fresh, index);
            }
            (at, index) = (at + message.size, index + 1);
        }
        mentions
    }
}
