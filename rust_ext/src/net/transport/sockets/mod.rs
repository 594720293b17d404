//! Sockets of the kernel: datagrams and a stream, polled or waited for, one message a call or many. Here is what they have in common:
//! calls with their errors, options, addresses.

use std::io;
use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use crate::net::transport::Failure;

pub mod multicast;
pub mod tcp;
pub mod udp;

#[cfg(target_os = "linux")]
pub mod epoll;
#[cfg(target_os = "linux")]
pub mod recvmmsg;
#[cfg(target_os = "linux")]
pub mod uring;

/// Bytes asked for to queue messages in; the system may give less.
const QUEUE: libc::c_int = 1 << 20;

/// The result of a call, or the error it left.
pub fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The result of a call that tells a number of bytes; None where it would have had to wait.
#[inline(always)]
pub fn bytes(result: libc::ssize_t) -> io::Result<Option<usize>> {
    if result >= 0 {
        return Ok(Some(result as usize));
    }
    let error = io::Error::last_os_error();
    // By its number: who spins comes here millions of times a second.
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EINTR) => Ok(None),
        _ => Err(error),
    }
}

/// A socket that children do not inherit.
pub fn socket(family: libc::c_int, kind: libc::c_int, protocol: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    let socket = check(unsafe { libc::socket(family, kind, protocol) })?;
    // SAFETY: a descriptor that is nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: no memory is passed.
    check(unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) })?;
    Ok(socket)
}

/// Set an option of plain data.
pub fn set<T: Copy>(
    socket: &impl AsRawFd,
    level: libc::c_int,
    option: libc::c_int,
    value: &T,
) -> io::Result<()> {
    let size = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` has `size` bytes, and they are only read.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const *value).cast(), size) })?;
    Ok(())
}

/// Read an option into plain data, as much as the system has of it.
#[cfg(target_os = "linux")]
pub fn get<T: Copy>(
    socket: &impl AsRawFd,
    level: libc::c_int,
    option: libc::c_int,
    into: &mut T,
) -> io::Result<()> {
    let mut size = size_of::<T>() as libc::socklen_t;
    // SAFETY: `into` has `size` bytes, and the call writes no more.
    check(unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, option, (&raw mut *into).cast(), &mut size)
    })?;
    Ok(())
}

/// Ask for room to queue messages in; what the system does not give it does not give.
pub fn queue(socket: &impl AsRawFd) {
    for option in [libc::SO_RCVBUF, libc::SO_SNDBUF] {
        let _ = set(socket, libc::SOL_SOCKET, option, &QUEUE);
    }
}

/// How long a socket sleeps in a call that receives: set only when it changes.
#[derive(Default)]
pub struct Patience(Option<Duration>);

impl Patience {
    /// Have `socket` sleep at most about so long; 0 would be for ever, so it is at least a millisecond.
    #[inline]
    pub fn set(&mut self, socket: &impl AsRawFd, limit: Duration) -> io::Result<()> {
        if self.0 == Some(limit) {
            return Ok(());
        }
        let at_least = limit.clamp(Duration::from_millis(1), Duration::from_secs(3_600));
        let time = libc::timeval { tv_sec: at_least.as_secs() as _, tv_usec: at_least.subsec_micros() as _ };
        set(socket, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &time)?;
        self.0 = Some(limit);
        Ok(())
    }
}

/// Datagrams that the kernel threw away because nobody took them; 0 where it does not tell.
#[cfg(target_os = "linux")]
pub fn dropped(socket: &impl AsRawFd) -> u64 {
    const SO_MEMINFO: libc::c_int = 55;
    const DROPS: usize = 8;
    let mut found = [0u32; DROPS + 1];
    let known = get(socket, libc::SOL_SOCKET, SO_MEMINFO, &mut found);
    if known.is_ok() { u64::from(found[DROPS]) } else { 0 }
}

/// Datagrams that the kernel threw away because nobody took them: this system does not tell.
#[cfg(not(target_os = "linux"))]
pub fn dropped(_socket: &impl AsRawFd) -> u64 {
    0
}

/// HOST:PORT as an address.
///
/// # Errors
/// What it is not, and what is allowed.
pub fn parse(text: &str) -> Result<SocketAddrV4, Failure> {
    let wrong = || Failure::refused(format!("address '{text}'; allowed is IPV4:PORT, e.g. 127.0.0.1:9001"));
    text.parse().map_err(|_| wrong())
}

/// In the network namespace of that name, or in this one.
#[cfg(target_os = "linux")]
pub fn within<T: Send>(
    netns: Option<&str>,
    make: impl FnOnce() -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    match netns {
        Some(name) => crate::net::transport::netns::within(name, make),
        None => make(),
    }
}

/// In this network namespace: other systems have no others.
#[cfg(not(target_os = "linux"))]
pub fn within<T>(netns: Option<&str>, make: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    match netns {
        Some(name) => Err(Failure::refused(format!("network namespace '{name}'; only Linux has them"))),
        None => make(),
    }
}
