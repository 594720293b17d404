use super::*;

/// Sizes of the fixed fields as the specification has them.
const IN: [(u8, usize); 8] =
    [(b'O', 45), (b'U', 38), (b'X', 9), (b'M', 10), (b'C', 17), (b'D', 9), (b'E', 9), (b'Q', 1)];
const OUT: [(u8, usize); 17] = [
    (b'S', 10),
    (b'A', 62),
    (b'U', 66),
    (b'C', 18),
    (b'D', 32),
    (b'E', 34),
    (b'B', 36),
    (b'J', 29),
    (b'P', 13),
    (b'I', 13),
    (b'T', 30),
    (b'M', 18),
    (b'R', 14),
    (b'Q', 13),
    (b'X', 25),
    (b'G', 17),
    (b'K', 17),
];

/// A message of `size` bytes, every byte another one.
fn message(letter: u8, size: usize, tail: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = (0..size as u8).map(|n| n ^ 0x55).collect();
    out[0] = letter;
    out.extend_from_slice(tail);
    out
}

fn round_trip(bytes: &[u8], inbound: bool) -> Result<Vec<u8>, WireError> {
    let mut out = Vec::new();
    match inbound {
        true => decode_inbound(bytes)?.encode(&mut out),
        false => decode_outbound(bytes)?.encode(&mut out),
    }
    Ok(out)
}

#[test]
fn every_message_comes_back_as_it_was_and_no_shorter_one_is_read() {
    let none: &[u8] = &[0, 0];
    let some: &[u8] = &[0, 9, 5, 3, 0, 0, 1, 0, 2, 200, 7];
    let ends = [&[] as &[u8], none, some];
    let all = IN.iter().map(|row| (true, row)).chain(OUT.iter().map(|row| (false, row)));
    let mut read = 0;
    for ((inbound, &(letter, size)), tail) in all.flat_map(|row| ends.map(|tail| (row, tail))) {
        let bytes = message(letter, size, tail);
        // Not every message has every ending; one that is read is the same again, but for a length of 0 that need not be there.
        if let Ok(again) = round_trip(&bytes, inbound) {
            assert!(again == bytes || (tail == none && again == bytes[..size]), "{}", letter as char);
            read += 1;
        }
        for end in 0..size {
            assert!(round_trip(&bytes[..end], inbound).is_err(), "{} of {end} bytes", letter as char);
        }
        assert!(round_trip(&[&bytes[..], &[1]].concat(), inbound).is_err(), "{}", letter as char);
    }
    // Two endings for the 12 that always have an appendage, three for the 12 that may, one for the one that never has.
    assert_eq!(read, 12 * 2 + 12 * 3 + 1);
}

#[test]
fn fields_stand_where_the_specification_says() {
    let bytes = message(b'A', 62, &[0, 0]);
    let Ok(Outbound::Accepted(accepted)) = decode_outbound(&bytes) else { panic!("no Accepted") };
    let at = |from: usize, to: usize| bytes[from..to].iter().fold(0u64, |sum, &byte| sum << 8 | byte as u64);
    assert_eq!(accepted.ts_ns, at(1, 9));
    assert_eq!(accepted.user_ref as u64, at(9, 13));
    assert_eq!(accepted.quantity as u64, at(14, 18));
    assert_eq!(accepted.symbol, bytes[18..26]);
    assert_eq!(accepted.price, at(26, 34));
    assert_eq!(accepted.order_reference, at(36, 44));
    assert_eq!(accepted.cl_ord_id, bytes[48..62]);
}

#[test]
fn appendages_are_looked_at_before_they_are_used() {
    for bad in [&[0u8] as &[u8], &[2, 1], &[1, 99, 0], &[3, 99, 2, 3, 1], &[255, 1], &[2, 3, 1]] {
        assert!(Appendage::new(bad, 0).is_err(), "{bad:?}");
    }
    let appendage = Appendage::new(&[5, 3, 0, 0, 1, 0, 2, 200, 7, 1, 99], 0).expect("three elements");
    let elements: Vec<_> = appendage.iter().collect();
    assert_eq!(elements, [(3, &[0, 0, 1, 0][..]), (200, &[7]), (99, &[])]);
    assert_eq!(
        (appendage.number(3), appendage.get(200), appendage.number(9)),
        (Some(256), Some(&[7][..]), None)
    );
    let mut again = Vec::new();
    elements.iter().for_each(|&(tag, value)| appendage::put(&mut again, tag, value));
    assert_eq!(again, appendage.bytes());
}
