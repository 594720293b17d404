//! What every transport keeps to. One that this machine does not have is left out, and its probe says why.

use std::collections::VecDeque;
use std::thread;

use super::*;

const LIMIT: Duration = Duration::from_secs(5);

/// Those that work here.
fn working() -> Vec<&'static str> {
    let names = KINDS.iter().map(|kind| kind.name);
    names.filter(|name| probe(name).inspect_err(|failure| eprintln!("{name}: {failure}")).is_ok()).collect()
}

fn made(name: &str, options: &Options) -> Pair {
    pair(name, None, options).unwrap_or_else(|failure| panic!("{name}: {failure}"))
}

/// A message with its number, of a length that the number gives.
fn numbered(n: usize, limit: usize) -> Vec<u8> {
    let length = 8 + n.wrapping_mul(7919) % (limit - 7);
    let mut message: Vec<u8> = (0..length).map(|at| (n + at) as u8).collect();
    message[..8].copy_from_slice(&(n as u64).to_le_bytes());
    message
}

#[test]
fn what_every_machine_has_works() {
    let working = working();
    for name in ["memory", "udp-spin", "tcp-spin", "udp", "tcp"] {
        assert!(working.contains(&name), "{name}: {:?}", probe(name));
    }
}

/// Send and receive on one end, at most 16 messages ahead of what came back.
fn carry(mut end: Box<dyn Transport>, count: usize, name: &str) {
    let (mut sent, mut received, limit) = (0, 0, end.limit().min(1472));
    let until = Instant::now() + 10 * LIMIT;
    while received < count || sent < count {
        assert!(Instant::now() < until, "{name}: {sent} sent, {received} received, {} lost", end.lost());
        while sent < count && sent < received + 16 {
            match end.send(&numbered(sent, limit)) {
                Ok(()) => sent += 1,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => panic!("{name}: {error}"),
            }
        }
        if let Some(message) = end.try_recv().unwrap_or_else(|error| panic!("{name}: {error}")) {
            assert!(message == numbered(received, limit), "{name}: message {received}");
            received += 1;
        } else {
            thread::yield_now();
        }
    }
    // The other end may still wait for what this one has not yet sent all of.
    assert!(end.send(b"last").is_ok(), "{name}");
    while !matches!(end.wait(LIMIT), Ok(Some(b"last")) | Err(_)) {
        assert!(Instant::now() < until, "{name}: the last message did not come");
    }
}

#[test]
fn messages_come_whole_and_in_order_both_ways() {
    for name in working() {
        let (first, second) = made(name, &Options::default());
        thread::scope(|scope| {
            scope.spawn(|| carry(first, 2_000, name));
            carry(second, 2_000, name);
        });
    }
}

#[test]
fn too_long_a_message_is_refused_and_the_next_one_goes() {
    for name in working() {
        let (mut first, mut second) = made(name, &Options { size: 100, ..Options::default() });
        let limit = first.limit();
        assert!((100..1472).contains(&limit), "{name}: {limit}");
        assert_eq!(
            first.send(&vec![0; limit + 1]).unwrap_err().kind(),
            io::ErrorKind::InvalidInput,
            "{name}"
        );
        first.send(&vec![1; limit]).unwrap();
        assert_eq!(second.wait(LIMIT).unwrap().map(<[u8]>::len), Some(limit), "{name}");
        first.send(b"").unwrap();
        assert_eq!(second.wait(LIMIT).unwrap(), Some(&b""[..]), "{name}: an empty message is one");
    }
}

#[test]
fn what_is_longer_than_the_receiver_takes_is_an_error_and_passed_over() {
    #[cfg(target_os = "linux")]
    let rest = ["epoll-spin", "recvmmsg", "uring-spin", "uring"];
    #[cfg(not(target_os = "linux"))]
    let rest: [&str; 0] = [];
    for name in ["udp-spin", "udp"].into_iter().chain(rest).filter(|name| probe(name).is_ok()) {
        let port = || std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let address = Address::parse(&format!("{}/{}", port(), port())).unwrap();
        let open = |end, size| open(name, &address, end, &Options { size, ..Options::default() }).unwrap();
        let (mut first, mut second) = (open(End::First, 1000), open(End::Second, 100));
        first.send(&[1; 200]).unwrap();
        first.send(&[2; 100]).unwrap();
        assert_eq!(second.wait(LIMIT).unwrap_err().kind(), io::ErrorKind::InvalidData, "{name}");
        assert_eq!(second.wait(LIMIT).unwrap(), Some(&[2; 100][..]), "{name}");
    }
}

#[test]
fn a_full_ring_says_so_and_nothing_is_overwritten() {
    for name in ["memory", "shm", "tcp-spin"].into_iter().filter(|name| probe(name).is_ok()) {
        let (mut first, mut second) = made(name, &Options { size: 60_000, slots: 4, ..Options::default() });
        let mut sent = VecDeque::new();
        let error = loop {
            let message = numbered(sent.len(), 50_000);
            match first.send(&message) {
                Ok(()) => sent.push_back(message),
                Err(error) => break error,
            }
            assert!(sent.len() < 10_000, "{name} is never full");
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{name}");
        while let Some(message) = sent.pop_front() {
            let until = Instant::now() + LIMIT;
            while !second.poll().unwrap() {
                let _ = first.poll(); // what a stream did not take goes out
                assert!(Instant::now() < until, "{name}: {} are missing", sent.len() + 1);
            }
            assert!(second.message() == message, "{name}");
        }
        assert!(!second.poll().unwrap());
        first.send(b"and on").unwrap();
        assert_eq!(second.wait(LIMIT).unwrap(), Some(&b"and on"[..]), "{name}");
    }
}

#[test]
fn nobody_waits_for_ever() {
    for name in working() {
        let (mut first, second) = made(name, &Options::default());
        let start = Instant::now();
        assert_eq!(first.wait(Duration::from_millis(30)).unwrap(), None, "{name}");
        // The clock of the kernel's timers goes in steps of milliseconds, and in a guest by leaps: after 2 of 30 ms it has woken one.
        assert!(start.elapsed() >= Duration::from_millis(1), "{name}: {:?}", start.elapsed());
        drop(second);
        // Nothing more comes: either the transport knows and says so, or the time is up.
        match first.wait(Duration::from_millis(30)) {
            Ok(found) => assert_eq!(found, None, "{name}"),
            Err(error) => assert!(
                matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset),
                "{name}: {error}"
            ),
        }
        for _ in 0..200 {
            let _ = first.send(b"is anybody there?"); // must return, whatever it says
        }
        assert!(start.elapsed() < LIMIT, "{name}");
    }
}

#[test]
fn what_was_sent_before_the_end_came_counts() {
    for name in ["memory", "shm", "tcp-spin"].into_iter().filter(|name| probe(name).is_ok()) {
        let (mut first, mut second) = made(name, &Options::default());
        first.send(b"one").unwrap();
        first.send(b"two").unwrap();
        drop(first);
        assert_eq!(second.wait(LIMIT).unwrap(), Some(&b"one"[..]), "{name}");
        assert_eq!(second.wait(LIMIT).unwrap(), Some(&b"two"[..]), "{name}");
        assert_eq!(second.wait(LIMIT).unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "{name}");
    }
}

#[test]
fn names_and_options_out_of_range_are_told() {
    let failure = pair("carrier-pigeon", None, &Options::default()).err().unwrap().to_string();
    assert!(failure.contains("'carrier-pigeon'; known: memory, shm, xdp-skb"), "{failure}");
    for options in [
        Options { size: 0, ..Options::default() },
        Options { size: 65_508, ..Options::default() },
        Options { slots: 3, ..Options::default() },
        Options { slots: 1 << 17, ..Options::default() },
    ] {
        assert!(pair("memory", None, &options).is_err(), "{options:?}");
    }
    let address = Address::parse("here").unwrap();
    assert!(open("memory", &address, End::First, &Options::default()).is_err());
    assert!(open("udp", &address, End::First, &Options::default()).is_err());
}

/// The first end of a stream, and a plain socket at the other.
fn stream(name: &str, options: &Options) -> (Box<dyn Transport>, std::net::TcpStream) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = Address::parse(&port.to_string()).unwrap();
    thread::scope(|scope| {
        let first = scope.spawn(|| open(name, &address, End::First, options).unwrap());
        let until = Instant::now() + LIMIT;
        let client = loop {
            match std::net::TcpStream::connect(port) {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < until, "{error}"),
            }
        };
        (first.join().unwrap(), client)
    })
}

#[test]
fn a_stream_that_says_too_long_a_frame_ends() {
    let (mut first, mut client) = stream("tcp-spin", &Options { size: 100, ..Options::default() });
    io::Write::write_all(&mut client, b"\x00\x02ok\x00\x65").unwrap(); // 101 bytes are to come
    assert_eq!(first.wait(LIMIT).unwrap(), Some(&b"ok"[..]));
    assert_eq!(first.wait(LIMIT).unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert!(first.wait(LIMIT).is_err(), "the stream has ended");
}

#[test]
fn a_frame_that_comes_byte_by_byte_is_not_waited_for_for_ever() {
    for name in ["tcp", "tcp-spin"] {
        let (mut first, mut client) = stream(name, &Options::default());
        let trickle = thread::spawn(move || {
            for byte in b"\x00\x1ethirty bytes, one after another." {
                io::Write::write_all(&mut client, &[*byte]).unwrap();
                thread::sleep(Duration::from_millis(10));
            }
            client
        });
        let start = Instant::now();
        let mut waits = 0;
        let message = loop {
            waits += 1;
            if let Some(message) = first.wait(Duration::from_millis(20)).unwrap() {
                break message;
            }
            assert!(start.elapsed() < LIMIT, "{name}");
        };
        assert_eq!(message, b"thirty bytes, one after anothe", "{name}");
        assert!(waits > 2, "{name}: {waits} waits of 20 ms for what takes 300");
        drop(trickle.join());
    }
}
