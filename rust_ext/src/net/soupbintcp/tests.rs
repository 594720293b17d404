use super::*;
use crate::net::error::WireError;

/// Every packet that a framer gives when it gets the stream in pieces of `size` bytes.
fn framed(stream: &[u8], size: usize, limit: usize) -> Result<Vec<(u8, Vec<u8>)>, WireError> {
    let (mut framer, mut out) = (Framer::new(limit), Vec::new());
    for mut piece in stream.chunks(size) {
        while !piece.is_empty() {
            piece = &piece[framer.copy(piece)..];
            while let Some(frame) = framer.next()? {
                out.push((frame.kind, frame.payload.to_vec()));
            }
        }
    }
    Ok(out)
}

#[test]
fn packets_are_the_same_however_the_stream_is_cut() {
    let (mut stream, mut expected) = (Vec::new(), Vec::new());
    for n in 0..40usize {
        let payload: Vec<u8> = (0..n * 7 % 61).map(|byte| byte as u8).collect();
        assert!(put(&mut stream, kind::SEQUENCED, &payload));
        expected.push((kind::SEQUENCED, payload));
    }
    for size in 1..stream.len() + 1 {
        assert_eq!(framed(&stream, size, 61).expect("no error"), expected, "pieces of {size}");
    }
}

#[test]
fn a_length_that_cannot_be_ends_the_stream_for_good() {
    for stream in [&[0u8, 0][..], &[0, 62, b'S']] {
        let mut framer = Framer::new(61);
        framer.copy(stream);
        let error = framer.next().expect_err("a bad length");
        framer.copy(&[0, 1, b'H']);
        assert_eq!(framer.next(), Err(error));
        framer.clear();
        framer.copy(&[0, 1, b'H']);
        assert_eq!(framer.next(), Ok(Some(Frame { kind: b'H', payload: &[] })));
    }
    let mut none = vec![1, 2, 3];
    assert!(!put(&mut none, kind::SEQUENCED, &vec![0; LONGEST]));
    assert_eq!(none, [1, 2, 3]);
    assert!(put(&mut none, kind::SEQUENCED, &vec![0; LONGEST - 1]));
}

#[test]
fn logins_come_back_and_are_lenient_where_peers_differ() {
    for heartbeat_ms in [None, Some(1500)] {
        let login =
            Login { username: b"user", password: b"secret", session: b"S1", sequence: 7, heartbeat_ms };
        let mut packet = Vec::new();
        login.put(&mut packet);
        assert_eq!(packet.len(), if heartbeat_ms.is_some() { 54 } else { 49 });
        assert_eq!(Login::decode(&packet[3..]), Ok(login));
        assert!(!format!("{login:?}").contains("secret"));
    }
    let left = b"  user    secret       S100000000000000000042";
    assert!(Login::decode(left).is_err(), "one byte too few");
    let left = b"  user    secret        S100000000000000000042";
    let login = Login::decode(left).expect("padded on the left");
    assert_eq!((login.username, login.password, login.sequence), (&b"user"[..], &b"secret"[..], 42));
    for digits in [&b"                    "[..], b"                 1 2", b"99999999999999999999"] {
        assert!(Login::decode(&[&left[..26], digits].concat()).is_err());
        assert!(Accepted::decode(&[&left[..10], digits].concat()).is_err());
    }
    let mut packet = Vec::new();
    Accepted { session: b"S1", sequence: u64::MAX }.put(&mut packet);
    assert_eq!(&packet[..], b"\0\x1fA        S118446744073709551615");
    assert_eq!(Accepted::decode(&packet[3..]), Ok(Accepted { session: b"S1", sequence: u64::MAX }));
}
