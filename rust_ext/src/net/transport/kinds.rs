//! Every transport by name: what it is, what it needs, and how it is made.

use std::thread;
use std::time::Duration;

use super::rings::memory;
use super::sockets::{multicast, tcp, udp};
use super::{Address, End, Failure, Options, Pair, Step, Transport};
#[cfg(target_os = "linux")]
use super::{
    frames::{packet, xdp},
    rings::shm,
    sockets::{epoll, recvmmsg, uring},
};

type Text = &'static str;
/// Makes both ends.
type MakePair = fn(&Options) -> Result<Pair, Failure>;
/// Makes one end.
type Open = fn(&Address, End, &Options) -> Result<Box<dyn Transport>, Failure>;

/// One transport.
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub what: &'static str,
    /// Rights that it needs; "" for none.
    pub needs: &'static str,
    /// Whether it sleeps in the kernel while it waits; otherwise it keeps a core busy.
    pub sleeps: bool,
    pair: MakePair,
    open: Open,
}

/// A row of what only Linux has.
macro_rules! linux {
    ($how:ident, $name:expr, $what:expr, $needs:expr, $pair:expr, $open:expr) => {{
        #[cfg(target_os = "linux")]
        const ROW: Kind = $how($name, $what, $needs, $pair, $open);
        #[cfg(not(target_os = "linux"))]
        const ROW: Kind = $how($name, $what, $needs, elsewhere_pair, elsewhere_open);
        ROW
    }};
}

const FRAMES: &str = "root (CAP_NET_ADMIN, CAP_NET_RAW; CAP_SYS_ADMIN for a namespace of its own)";
const PROGRAM: &str = "root (CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF; CAP_SYS_ADMIN for a namespace of its own)";

/// Each in the order of the ladder: nothing but memory, around the kernel, through it awake, through it asleep.
pub const KINDS: &[Kind] = &[
    spins("memory", "a ring in the memory of two threads", "", memory::pair, alone),
    linux!(spins, "shm", "a ring in memory shared by two processes", "", shm::pair, shm::open),
    linux!(
        spins,
        "xdp-skb",
        "AF_XDP, generic: frames past the protocols, copied",
        PROGRAM,
        xdp::pair::<true>,
        xdp::open::<true>
    ),
    linux!(
        spins,
        "xdp-drv",
        "AF_XDP, native in the driver, copied",
        PROGRAM,
        xdp::pair::<false>,
        xdp::open::<false>
    ),
    spins("udp-spin", "UDP, asked again and again", "", udp::pair::<false>, udp::open::<false>),
    linux!(spins, "recvmmsg", "UDP, received in batches", "", recvmmsg::pair, recvmmsg::open),
    spins("multicast", "UDP to a group", "", multicast::pair, multicast::open),
    linux!(
        spins,
        "epoll-spin",
        "UDP behind epoll that never sleeps",
        "",
        epoll::pair::<false>,
        epoll::open::<false>
    ),
    linux!(
        spins,
        "packet",
        "AF_PACKET, a mapped ring of frames (TPACKET_V2)",
        FRAMES,
        packet::pair,
        packet::open
    ),
    linux!(
        spins,
        "uring-spin",
        "UDP through io_uring, multishot",
        "",
        uring::pair::<false>,
        uring::open::<false>
    ),
    spins("tcp-spin", "TCP without delay, asked again and again", "", tcp::pair::<false>, tcp::open::<false>),
    sleeps("udp", "UDP, asleep until something comes", "", udp::pair::<true>, udp::open::<true>),
    linux!(
        sleeps,
        "udp-busy",
        "UDP, asleep after 50 us of polling the card (SO_BUSY_POLL)",
        "",
        udp::busy_pair,
        udp::busy_open
    ),
    linux!(sleeps, "epoll", "UDP behind epoll, asleep", "", epoll::pair::<true>, epoll::open::<true>),
    linux!(
        sleeps,
        "uring",
        "UDP through io_uring, multishot, asleep",
        "",
        uring::pair::<true>,
        uring::open::<true>
    ),
    sleeps(
        "tcp",
        "TCP without delay, asleep until something comes",
        "",
        tcp::pair::<true>,
        tcp::open::<true>,
    ),
];

/// A row of one that spins.
const fn spins(name: Text, what: Text, needs: Text, pair: MakePair, open: Open) -> Kind {
    Kind { name, what, needs, sleeps: false, pair, open }
}

/// A row of one that sleeps.
const fn sleeps(name: Text, what: Text, needs: Text, pair: MakePair, open: Open) -> Kind {
    Kind { name, what, needs, sleeps: true, pair, open }
}

#[cfg(not(target_os = "linux"))]
fn elsewhere_pair(_: &Options) -> Result<Pair, Failure> {
    Err(std::io::Error::from_raw_os_error(libc::ENOSYS)).step("only Linux has it")
}

#[cfg(not(target_os = "linux"))]
fn elsewhere_open(_: &Address, _: End, _: &Options) -> Result<Box<dyn Transport>, Failure> {
    Err(std::io::Error::from_raw_os_error(libc::ENOSYS)).step("only Linux has it")
}

/// One end alone of what needs both.
fn alone(_: &Address, _: End, _: &Options) -> Result<Box<dyn Transport>, Failure> {
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
    let Some(address) = address else { return (kind.pair)(options) };
    // The first end may wait for the second.
    thread::scope(|scope| {
        let first = scope.spawn(|| (kind.open)(address, End::First, options));
        let second = (kind.open)(address, End::Second, options);
        let first = first.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((first?, second?))
    })
}

/// One end, by the address that both have in common.
///
/// # Errors
/// As `pair`; `ETIMEDOUT` where the other end did not come within `options.patience`.
pub fn open(
    name: &str,
    address: &Address,
    end: End,
    options: &Options,
) -> Result<Box<dyn Transport>, Failure> {
    options.check()?;
    (find(name)?.open)(address, end, options)
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
