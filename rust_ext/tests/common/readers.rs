//! What holds for the readers whatever bytes come: they read them as a plainer way of reading does.

use hftlab_rust::event::{EVENT_BYTES, Event};
use hftlab_rust::feeds::dbn::{Decoder, RECORD, run_length};
use hftlab_rust::feeds::orders::Orders;
use hftlab_rust::feeds::{Selected, Wanted, select};
use hftlab_rust::frames::{Next, Problem, next};

/// The messages of some stocks, or of some types, out of a block, compared with a walk message by message; how many there were in all. The
/// first byte of the input says which.
pub fn selects_as_a_walk_does(input: &[u8]) -> usize {
    let Some((&choice, data)) = input.split_first() else { return 0 };
    let types: &[u8] = if choice > 127 { b"AEP" } else { b"" };
    let is_ours = |locate: &u16| choice > 191 || *locate == 0 || locate % 8 == u16::from(choice) % 8;
    let (mut out, mut at, mut messages) = (Vec::new(), 0, 0);
    let stopped = loop {
        match next(data, at) {
            Next::Frame(frame) => {
                let end = frame.at + frame.size;
                let message = &data[frame.at..end];
                let locate = if frame.size > 2 { u16::from_be_bytes([message[1], message[2]]) } else { 0 };
                if is_ours(&locate) && (types.is_empty() || types.contains(&message[0])) {
                    out.extend_from_slice(&data[at..end]);
                }
                (at, messages) = (end, messages + 1);
            }
            Next::More => break None,
            Next::Bad(code, size, letter) => {
                break Some(Problem { code, at, index: 5 + messages, size, letter });
            }
        }
    };
    let locates = if choice > 191 { None } else { Some((0..=u16::MAX).filter(is_ours).collect()) };
    let found = select(data, &Wanted::new(locates, types), 5);
    assert_eq!(found, Selected { out, used: at, messages, stopped });
    messages as usize
}

/// Records of DBN, in two pieces, compared with modifies resolved behind the records; how many there were. The first byte says where the
/// pieces end, and the second how long a record is.
pub fn decodes_records_as_they_are_resolved(input: &[u8]) -> usize {
    let [cut, length, data @ ..] = input else { return 0 };
    let size = RECORD + 4 * usize::from(length % 4);
    let whole = data.len() / size;
    assert!(run_length(data, size) <= whole);
    let (first, second) = data[..whole * size].split_at(whole * usize::from(*cut) / 256 * size);
    let mut decoder = Decoder::default();
    for (number, id) in (1..).zip(decoder.unnumbered(&data[..whole * size], size).into_iter().take(9)) {
        decoder.number(id, number);
    }
    let mut events = decoder.decode(first, size).events;
    events.extend(decoder.decode(second, size).events);
    assert_eq!(events.len(), whole * EVENT_BYTES);

    // A record alone is what it says: only a modify depends on those before it.
    let (mut plain, mut modifies) = (Vec::new(), Vec::new());
    for record in data[..whole * size].chunks_exact(size) {
        let is_modify = record[38] == b'M';
        let mut alone = record.to_vec();
        if is_modify {
            alone[38] = b'N';
        }
        plain.extend(decoder.decode(&alone, size).events);
        modifies.push(u8::from(is_modify));
    }
    Orders::default().resolve(&mut plain, &modifies);
    let [ours, theirs] = [&events, &plain].map(|bytes| bytes.as_chunks().0.iter().map(Event::from_bytes));
    assert!(ours.eq(theirs));
    whole
}
