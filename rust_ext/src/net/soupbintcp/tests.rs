use super::client::Client;
use super::server::Server;
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

/// A client and a server with nothing between them.
struct Pair {
    client: Client,
    server: Server,
    accounts: Accounts,
    store: Store,
}

impl Pair {
    fn new(password: &str, next: u64) -> Self {
        let mut store = Store::default();
        (0..5u8).for_each(|n| assert!(store.push(|to| to.extend_from_slice(&[n; 3]))));
        Pair {
            client: Client::new("user", password, "", next, client::Config::default()).expect("it fits"),
            server: Server::new("S1", server::Config::default()),
            accounts: Accounts::new([("USER", "Secret"), ("a name too long", "x")]),
            store,
        }
    }

    /// What the server sends reaches the client: numbers of the messages that came.
    fn down(&mut self, now_ns: i64) -> Vec<u64> {
        let sent = self.server.outgoing(&self.store, server::PIECE);
        self.client.space()[..sent.len()].copy_from_slice(sent);
        self.client.received(sent.len(), now_ns);
        let mut numbers = Vec::new();
        while let Some(event) = self.client.next_event() {
            numbers.extend(if let client::Event::Message(_, number) = event { Some(number) } else { None });
        }
        numbers
    }

    /// What a client has sent reaches the server: messages that came.
    fn up(&mut self, sent: &[u8], now_ns: i64) -> Vec<Vec<u8>> {
        self.server.space()[..sent.len()].copy_from_slice(sent);
        self.server.received(sent.len(), now_ns);
        let mut messages = Vec::new();
        while let Some(message) = self.server.next_message(&self.accounts, &self.store) {
            messages.push(message.to_vec());
        }
        messages
    }

    fn login(&mut self) -> Vec<u64> {
        let login = self.client.connected(0).to_vec();
        assert!(self.up(&login, 0).is_empty());
        self.down(0)
    }
}

#[test]
fn a_client_gets_what_it_asked_for_and_comes_back_for_the_rest() {
    let mut pair = Pair::new("sEcReT", 3);
    assert_eq!(pair.login(), [3, 4, 5]);
    assert_eq!((pair.client.state(), &pair.client.session[..]), (State::Open, &b"S1"[..]));
    let order = pair.client.send(1, |to| to.extend_from_slice(b"order")).expect("logged in").to_vec();
    assert_eq!((&order[..], pair.up(&order, 1)), (&b"\0\x06Uorder"[..], vec![b"order".to_vec()]));
    pair.client.lost();
    pair.store.push(|to| to.push(9));
    pair.server = Server::new("S1", server::Config::default());
    assert_eq!(pair.login(), [6]);
    pair.server.end();
    assert!(pair.down(2).is_empty());
    assert_eq!((pair.client.closed(), pair.server.closed()), (Some(Closed::Ended), Some(Closed::Ended)));
    pair.client.connected(3);
    assert_eq!((pair.client.next, pair.client.session.len()), (1, 0));
}

#[test]
fn who_is_not_known_gets_a_reason_and_no_more() {
    let mut pair = Pair::new("wrong", 1);
    assert!(pair.login().is_empty());
    let refused = Some(Closed::Rejected(NOT_AUTHORISED));
    assert_eq!((pair.client.closed(), pair.server.closed()), (refused, refused));
    let mut pair = Pair::new("secret", 1);
    pair.client.session = b"S2".to_vec();
    assert!(pair.login().is_empty());
    assert_eq!(pair.client.closed(), Some(Closed::Rejected(NO_SUCH_SESSION)));
    assert!(pair.client.send(0, |to| to.push(1)).is_none());
    for (name, password, session) in [("toolong", "", ""), ("", "a b", ""), ("", "", "elevenchars")] {
        assert!(Client::new(name, password, session, 1, client::Config::default()).is_err());
    }
    for (name, password) in [("USER", "secret1"), ("USE", "secret"), ("", ""), ("a name too long", "x")] {
        assert!(!pair.accounts.know(name.as_bytes(), password.as_bytes()));
    }
}

#[test]
fn silence_is_broken_by_heartbeats_and_ends_a_connection() {
    const S: i64 = 1_000_000_000;
    let mut pair = Pair::new("secret", 1);
    pair.login();
    for second in 1..40 {
        let beat = pair.client.due(second * S).to_vec();
        assert_eq!(beat, [0, 1, kind::CLIENT_HEARTBEAT]);
        pair.up(&beat, second * S);
        pair.server.due(second * S, &pair.store);
        assert!(pair.down(second * S).is_empty());
        assert_eq!((pair.client.state(), pair.server.state()), (State::Open, State::Open));
    }
    pair.client.due(55 * S);
    pair.server.due(55 * S, &pair.store);
    let silent = Some(Closed::Silent(16 * S));
    assert_eq!((pair.client.closed(), pair.server.closed()), (silent, silent));
}

#[test]
fn a_slow_reader_costs_the_server_nothing_and_is_sent_away() {
    let mut pair = Pair::new("secret", 1);
    pair.server = Server::new("S1", server::Config { backlog: 10, ..Default::default() });
    pair.login();
    for n in 0..11 {
        assert_eq!(pair.server.state(), State::Open, "{n} messages wait");
        pair.store.push(|to| to.push(n));
        pair.server.publish(&pair.store);
    }
    assert_eq!(pair.server.closed(), Some(Closed::Slow(11)));
}
