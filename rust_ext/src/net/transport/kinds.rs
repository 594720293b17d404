//! Every transport by name: what it is, what it needs, and how it is made.

use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

use super::rings::memory;
use super::sockets::{multicast, tcp, udp};
use super::{Address, End, Failure, Made, Options, Pair, Step};
#[cfg(target_os = "linux")]
use super::{
    frames::{packet, xdp},
    netns,
    rings::shm,
    sockets::{self, epoll, recvmmsg, uring},
};

type Text = &'static str;

/// How its ends are made.
#[allow(dead_code)] // on Linux nothing is absent, elsewhere there are no frames
enum Make {
    /// Both at once, or one by its address.
    Ends(fn(&Options) -> Result<Pair, Failure>, fn(&Address, End, &Options) -> Made),
    /// Each over a UDP socket that is connected to the other's.
    Datagrams(fn(UdpSocket, &Options) -> Made),
    /// Each on the interface of that name.
    Frames(fn(&str, End, &Options) -> Made),
    /// Only Linux has it.
    Absent,
}

#[cfg_attr(not(target_os = "linux"), allow(unused_imports))]
use Make::{Datagrams, Ends, Frames};

impl Make {
    fn pair(&self, options: &Options) -> Result<Pair, Failure> {
        match self {
            Ends(pair, _) => pair(options),
            Datagrams(make) => {
                let [one, other] = udp::connected()?;
                Ok((make(one, options)?, make(other, options)?))
            }
            #[cfg(target_os = "linux")]
            Frames(make) => netns::apart(|| {
                let [one, other] = netns::VETH;
                Ok((make(one, End::First, options)?, make(other, End::Second, options)?))
            }),
            _ => Make::absent(),
        }
    }

    fn open(&self, address: &Address, end: End, options: &Options) -> Made {
        match self {
            Ends(_, open) => open(address, end, options),
            Datagrams(make) => make(udp::at(address, end)?, options),
            #[cfg(target_os = "linux")]
            Frames(make) => {
                let place = address.at(end);
                sockets::within(place.netns.as_deref(), || make(&place.name, end, options))
            }
            _ => Make::absent(),
        }
    }

    fn absent<T>() -> Result<T, Failure> {
        Err(std::io::Error::from_raw_os_error(libc::ENOSYS)).step("only Linux has it")
    }
}

/// One transport.
pub struct Kind {
    /// Its name.
    pub name: Text,
    /// What it is.
    pub what: Text,
    /// Rights that it needs; "" for none.
    pub needs: Text,
    /// Whether it sleeps in the kernel while it waits; otherwise it keeps a core busy.
    pub sleeps: bool,
    make: Make,
}

/// What only Linux has.
macro_rules! linux {
    ($make:expr) => {{
        #[cfg(target_os = "linux")]
        const MAKE: Make = $make;
        #[cfg(not(target_os = "linux"))]
        const MAKE: Make = Make::Absent;
        MAKE
    }};
}

const FRAMES: Text = "root (CAP_NET_ADMIN, CAP_NET_RAW; CAP_SYS_ADMIN for a namespace of its own)";
const PROGRAM: Text = "root (CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF; CAP_SYS_ADMIN for a namespace of its own)";
const UDP_BUSY: Text = "UDP, asleep after 50 us of polling the card (SO_BUSY_POLL)";

/// Each in the order of the ladder: nothing but memory, around the kernel, through it awake, through it asleep.
pub const KINDS: &[Kind] = &[
    spins("memory", "a ring in the memory of two threads", "", Ends(memory::pair, alone)),
    spins("shm", "a ring in memory shared by two processes", "", linux!(Ends(shm::pair, shm::open))),
    spins(
        "xdp-skb",
        "AF_XDP, generic: frames past the protocols, copied",
        PROGRAM,
        linux!(Frames(xdp::make::<true>)),
    ),
    spins("xdp-drv", "AF_XDP, native in the driver, copied", PROGRAM, linux!(Frames(xdp::make::<false>))),
    spins("udp-spin", "UDP, asked again and again", "", Datagrams(udp::make::<false>)),
    spins("recvmmsg", "UDP, received in batches", "", linux!(Datagrams(recvmmsg::make))),
    spins("multicast", "UDP to a group", "", Ends(multicast::pair, multicast::open)),
    spins("epoll-spin", "UDP behind epoll that never sleeps", "", linux!(Datagrams(epoll::make::<false>))),
    spins("packet", "AF_PACKET, a mapped ring of frames (TPACKET_V2)", FRAMES, linux!(Frames(packet::make))),
    spins("uring-spin", "UDP through io_uring, multishot", "", linux!(Datagrams(uring::make::<false>))),
    spins(
        "tcp-spin",
        "TCP without delay, asked again and again",
        "",
        Ends(tcp::pair::<false>, tcp::open::<false>),
    ),
    sleeps("udp", "UDP, asleep until something comes", "", Datagrams(udp::make::<true>)),
    sleeps("udp-busy", UDP_BUSY, "", linux!(Datagrams(udp::make_busy))),
    sleeps("epoll", "UDP behind epoll, asleep", "", linux!(Datagrams(epoll::make::<true>))),
    sleeps("uring", "UDP through io_uring, multishot, asleep", "", linux!(Datagrams(uring::make::<true>))),
    sleeps(
        "tcp",
        "TCP without delay, asleep until something comes",
        "",
        Ends(tcp::pair::<true>, tcp::open::<true>),
    ),
];

/// A row of one that spins.
const fn spins(name: Text, what: Text, needs: Text, make: Make) -> Kind {
    Kind { name, what, needs, sleeps: false, make }
}

/// A row of one that sleeps.
const fn sleeps(name: Text, what: Text, needs: Text, make: Make) -> Kind {
    Kind { name, what, needs, sleeps: true, make }
}

/// One end alone of what needs both.
fn alone(_: &Address, _: End, _: &Options) -> Made {
    Err(Failure::refused("memory is that of one process: it has no address, make a pair".into()))
}

fn find(name: &str) -> Result<&'static Kind, Failure> {
    KINDS.iter().find(|kind| kind.name == name).ok_or_else(|| {
        let known: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        Failure::refused(format!("unknown transport '{name}'; known: {}", known.join(", ")))
    })
}

/// Both ends: on the loopback interface, in memory, or for whole frames on a veth pair in a namespace that is nobody else's; at an
/// address, if there is one.
///
/// # Errors
/// A name that is not known, options out of range, or the step that the system refused.
pub fn pair(name: &str, address: Option<&Address>, options: &Options) -> Result<Pair, Failure> {
    options.check()?;
    let kind = find(name)?;
    let Some(address) = address else { return kind.make.pair(options) };
    // The first end may wait for the second.
    thread::scope(|scope| {
        let first = scope.spawn(|| kind.make.open(address, End::First, options));
        let second = kind.make.open(address, End::Second, options);
        let first = first.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((first?, second?))
    })
}

/// One end, by the address that both have in common.
///
/// # Errors
/// As `pair`; `ETIMEDOUT` where the other end did not come within `options.patience`.
pub fn open(name: &str, address: &Address, end: End, options: &Options) -> Made {
    options.check()?;
    find(name)?.make.open(address, end, options)
}

/// Try a transport: make a pair, send a message, and see it come as it was sent, both ways.
///
/// # Errors
/// The step that failed.
pub fn probe(name: &str) -> Result<(), Failure> {
    const LIMIT: Duration = Duration::from_secs(1);
    let (mut one, mut other) = pair(name, None, &Options::default())?;
    let message: Vec<u8> = (0..58).collect();
    for _ in 0..2 {
        one.send(&message).step("send")?;
        match other.wait(LIMIT).step("receive")? {
            Some(found) if found == message => {}
            Some(_) => return Err(Failure::refused("the message did not come as it was sent".into())),
            None => return Err(std::io::Error::from_raw_os_error(libc::ETIMEDOUT)).step("receive"),
        }
        std::mem::swap(&mut one, &mut other);
    }
    Ok(())
}
