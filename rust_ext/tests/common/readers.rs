//! What holds for the readers whatever bytes come: they read them as a plainer way of reading does.

use hftlab_rust::event::{EVENT_BYTES, Event};
use hftlab_rust::feeds::dbn::{Decoder, RECORD, run_length};
use hftlab_rust::feeds::orders::Orders;
use hftlab_rust::feeds::select;
use hftlab_rust::frames::{Next, next};

/// The messages of some stocks out of a block, compared with a walk message by message; how many there were in all. The first byte of
/// the input says which stocks.
pub fn selects_as_a_walk_does(input: &[u8]) -> usize {
    let Some((&choice, data)) = input.split_first() else { return 0 };
    let mut wanted = Box::new([false; 1 << 16]);
    wanted.iter_mut().enumerate().for_each(|(locate, wants)| *wants = locate % 8 == usize::from(choice) % 8);
    let (mut kept, mut at, mut messages) = (Vec::new(), 0, 0);
    let problem = loop {
        match next(data, at) {
            Next::Frame(frame) => {
                let end = frame.at + frame.size;
                let message = &data[frame.at..end];
                let locate = if frame.size > 2 { u16::from_be_bytes([message[1], message[2]]) } else { 0 };
                if locate == 0 || wanted[locate as usize] {
                    kept.extend_from_slice(&data[at..end]);
                }
                (at, messages) = (end, messages + 1);
            }
            Next::More => break None,
            Next::Bad(code, size, letter) => break Some((code, at, messages as u64, size, letter)),
        }
    };
    let (out, used, stopped) = select(data, &wanted);
    let stopped = stopped.map(|found| (found.code, found.at, found.index, found.size, found.letter));
    assert_eq!((out, used, stopped), (kept, at, problem));
    messages
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
