//! The fuzz targets of the wire: any bytes as datagrams through the arbiter, as a TCP stream through a SoupBinTCP client, as OUCH
//! messages. `cargo fuzz run mold|soup|ouch` feeds them from rust_ext/fuzz, `cargo test` from tests/fuzz_net.rs.

use std::collections::{HashMap, HashSet};

use hftlab_rust::protocols::arbiter::{Arbiter, Config};
use hftlab_rust::protocols::soupbintcp::{self, Client, ClientConfig, Event, Frame, Framer, State};
use hftlab_rust::protocols::{moldudp64, ouch};

/// The session of the datagrams that are made of short inputs.
pub const SESSION: moldudp64::Session = *b"20260101AB";

/// Pieces of an input: a byte says how long the next one is, with `scale` bytes to its unit.
fn pieces(mut input: &[u8], scale: usize) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&head, rest) = input.split_first()?;
        let (piece, rest) = rest.split_at((head as usize % 64 * scale).min(rest.len()));
        input = rest;
        Some((head, piece))
    })
}

/// Each piece is a datagram, as it stands or behind a header with a small number. What the arbiter delivers is in order, was received
/// under that number, and whatever is left out was reported. Returns messages delivered.
pub fn mold(input: &[u8]) -> u64 {
    let Some((&[first, second], input)) = input.split_first_chunk() else { return 0 };
    let config = Config {
        window: [1, 3, 16, 200][first as usize % 4],
        buffer_bytes: [0, 30, 500, 100_000][first as usize / 4 % 4],
        gap_timeout_ns: first as i64 / 16,
        request_interval_ns: second as i64 % 4,
        max_requests: second as u64 / 4 % 4,
        end_grace_ns: second as i64 / 16,
    };
    let mut arbiter = Arbiter::new(None, second as u64 % 2, config);
    let (mut received, mut delivered, mut now_ns) = (HashMap::<u64, HashSet<Vec<u8>>>::new(), 0, 0);
    let (mut next, mut lost) = (0, 0);
    for (head, piece) in pieces(input, 4) {
        let mut datagram = Vec::new();
        match piece.split_first_chunk() {
            Some((&[sequence, count], rest)) if head & 64 == 0 => {
                let (sequence, count) = (u64::saturating_add(next, sequence as u64 % 8), count as u16 % 8);
                datagram.extend_from_slice(&moldudp64::Header { session: SESSION, sequence, count }.bytes());
                datagram.extend_from_slice(rest);
            }
            _ => datagram.extend_from_slice(piece),
        }
        if let Ok(packet) = moldudp64::decode(&datagram) {
            assert_eq!(moldudp64::split(packet.blocks).count(), packet.header.messages() as usize);
            for (k, message) in moldudp64::split(packet.blocks).enumerate() {
                received.entry(packet.header.sequence + k as u64).or_default().insert(message.to_vec());
            }
        }
        now_ns += head as i64 / 32;
        let given = arbiter.receive((head % 3) as u32, &datagram, now_ns);
        let (sequence, count) = (given.sequence, given.count);
        let messages: Vec<Vec<u8>> = moldudp64::split(given.blocks).map(<[u8]>::to_vec).collect();
        assert_eq!(messages.len() as u64, count);
        assert_eq!(moldudp64::bytes_of(given.blocks, count), Ok(given.blocks.len()));
        for (k, message) in messages.iter().enumerate() {
            let known = received.get(&(sequence + k as u64));
            assert!(
                known.is_some_and(|known| known.contains(message)),
                "{} was never sent",
                sequence + k as u64
            );
        }
        // All numbers passed over since the last delivery were reported as lost.
        let passed = if next == 0 { 0 } else { sequence - next };
        assert_eq!(passed, arbiter.counts.lost - lost, "numbers passed over and not reported");
        (next, lost, delivered) = (sequence + count, arbiter.counts.lost, delivered + count);
        assert_eq!(next, arbiter.expected);
        assert!(arbiter.held() <= config.window as usize);
        if let Some(request) = arbiter.due(now_ns) {
            let gap = arbiter.gap().expect("a request is about a gap");
            assert!(request.sequence == gap.0 && request.count as u64 <= gap.1 - gap.0 && request.count > 0);
        }
    }
    assert_eq!(arbiter.counts.messages, delivered);
    while let Some(run) = arbiter.abandon() {
        assert!(run.count > 0 && run.sequence >= next);
        next = run.sequence + run.count;
    }
    assert!(arbiter.gap().is_none() && arbiter.held() == 0);
    delivered
}

/// All packets of a stream that comes in pieces of so many bytes, and whether it breaks.
fn framed(stream: &[u8], size: usize) -> (Vec<(u8, Vec<u8>)>, bool) {
    let (mut framer, mut out) = (Framer::new(600), Vec::new());
    for mut piece in stream.chunks(size) {
        while !piece.is_empty() {
            piece = &piece[framer.copy(piece)..];
            loop {
                match framer.next() {
                    Ok(Some(Frame { kind, payload })) => out.push((kind, payload.to_vec())),
                    Ok(None) => break,
                    Err(_) => return (out, true),
                }
            }
        }
    }
    assert!(framer.waiting() < 602);
    (out, false)
}

/// The same packets however the stream is cut, and the client does nothing but what its state allows. Returns packets.
pub fn soup(input: &[u8]) -> u64 {
    let Some((&head, stream)) = input.split_first() else { return 0 };
    let whole = framed(stream, stream.len().max(1));
    assert_eq!(framed(stream, 1), whole);
    assert_eq!(framed(stream, 1 + head as usize % 64), whole);

    let mut client =
        Client::new("user", "secret", "", head as u64 % 3, ClientConfig::default()).expect("it fits");
    client.connected(0);
    for (now, piece) in stream.chunks(1 + head as usize % 64).enumerate() {
        let now_ns = now as i64 * 500_000_000;
        let open = client.state() == State::Open;
        let n = copy(client.space(), piece);
        client.received(n, now_ns);
        let mut before = client.next;
        while let Some(event) = client.next_event() {
            match event {
                Event::Message(_, number) => {
                    assert_eq!(number, before);
                    before += 1;
                }
                Event::Accepted(accepted) => {
                    assert!(!open);
                    before = accepted.sequence;
                }
                _ => {}
            }
        }
        assert_eq!(client.next, before);
        assert_eq!(client.send(now_ns, |to| to.push(1)).is_some(), client.state() == State::Open);
        if now % 3 == 0 {
            client.due(now_ns);
        }
    }
    let payloads = whole.0.iter().map(|packet| &packet.1);
    payloads.for_each(|payload| login(payload));
    whole.0.len() as u64
}

fn copy(to: &mut [u8], from: &[u8]) -> usize {
    let n = from.len().min(to.len());
    to[..n].copy_from_slice(&from[..n]);
    n
}

/// A payload that reads as a login reads the same when it is written again.
fn login(payload: &[u8]) {
    let mut again = Vec::new();
    if let Ok(login) = soupbintcp::Login::decode(payload) {
        login.put(&mut again);
        assert_eq!(soupbintcp::Login::decode(&again[3..]), Ok(login));
    }
    again.clear();
    if let Ok(accepted) = soupbintcp::Accepted::decode(payload) {
        accepted.put(&mut again);
        assert_eq!(soupbintcp::Accepted::decode(&again[3..]), Ok(accepted));
    }
}

/// What is read as a message is written as the same bytes. Returns messages.
pub fn ouch(input: &[u8]) -> u64 {
    let (mut read, mut rest) = (0, input);
    while let Some((&size, behind)) = rest.split_first() {
        let (piece, behind) = behind.split_at((size as usize).min(behind.len()));
        rest = behind;
        if let Ok(order) = ouch::EnterOrder::decode(piece) {
            assert_eq!(order.bytes(), piece);
            read += 1;
        }
        if let Ok(accepted) = ouch::Accepted::decode(piece) {
            assert_eq!(accepted.bytes(), piece);
            read += 1;
        }
    }
    read
}
