//! Network namespaces: to make something in one by name, or in one that has no name and goes with what was made in it.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::thread;

use super::sockets;
use super::{Failure, Step};

/// Names of the two ends of a veth pair in a namespace without a name.
pub const VETH: [&str; 2] = ["hft0", "hft1"];

/// Run on a thread of its own, which ends in whatever namespace it has gone to.
fn aside<T: Send>(make: impl FnOnce() -> Result<T, Failure> + Send) -> Result<T, Failure> {
    thread::scope(|scope| scope.spawn(make).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

/// Make something in the namespace of that name. What a socket was made in it stays in.
///
/// # Errors
/// A name that is none, or the step that the system refused.
pub fn within<T: Send>(name: &str, make: impl FnOnce() -> Result<T, Failure> + Send) -> Result<T, Failure> {
    if name.is_empty() || name.starts_with('.') || name.contains('/') {
        return Err(Failure::refused(format!(
            "network namespace '{name}'; allowed is a name under /run/netns"
        )));
    }
    let path = format!("/run/netns/{name}");
    let netns = File::open(&path).step(&format!("open {path}"))?;
    aside(|| {
        // SAFETY: no memory is passed; the thread is one of our own and ends soon.
        let entered = unsafe { libc::setns(netns.as_raw_fd(), libc::CLONE_NEWNET) };
        sockets::check(entered).step(&format!("setns({path})"))?;
        make()
    })
}

/// Make something in a new namespace that has a veth pair, both ends up, and nothing else.
///
/// The namespace has no name. The system takes it away, and the pair with it, when the last socket made in it is closed, so
/// nothing can be left behind, not even by a process that is killed.
///
/// # Errors
/// The step that the system refused.
pub fn apart<T: Send>(make: impl FnOnce() -> Result<T, Failure> + Send) -> Result<T, Failure> {
    aside(|| {
        // SAFETY: no memory is passed; the thread is one of our own and ends soon.
        sockets::check(unsafe { libc::unshare(libc::CLONE_NEWNET) }).step("unshare(CLONE_NEWNET)")?;
        // Interfaces that come up shall not talk of themselves.
        let _ = std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
        veth(VETH).step("make a veth pair")?;
        VETH.iter().try_for_each(|name| up(name)).step("bring the veth pair up")?;
        make()
    })
}

/// The number of an interface in the namespace of this thread.
///
/// # Errors
/// `ENODEV` where there is none of that name.
pub fn index(name: &str) -> Result<u32, Failure> {
    let text = std::ffi::CString::new(name).unwrap_or_default();
    // SAFETY: a string that ends.
    match unsafe { libc::if_nametoindex(text.as_ptr()) } {
        0 => Err(io::Error::last_os_error()).step(&format!("interface '{name}'")),
        index => Ok(index),
    }
}

/// Bring an interface up.
fn up(name: &str) -> io::Result<()> {
    let socket = sockets::socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    // SAFETY: plain data, for which zeros are a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.as_bytes()) {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: a request of our own with a name that ends, since names have fewer bytes than the field.
    sockets::check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &request) })?;
    Ok(())
}

/// Make a veth pair through rtnetlink; see rtnetlink(7), and `VETH_INFO_PEER` of linux/veth.h.
fn veth([one, other]: [&str; 2]) -> io::Result<()> {
    const VETH_INFO_PEER: u16 = 1;
    const INFO: [u8; size_of::<libc::ifinfomsg>()] = [0; size_of::<libc::ifinfomsg>()];
    let name = |name: &str| attribute(libc::IFLA_IFNAME, &[name.as_bytes(), &[0]].concat());
    let peer = attribute(VETH_INFO_PEER, &[&INFO[..], &name(other)].concat());
    let link = [attribute(libc::IFLA_INFO_KIND, b"veth"), attribute(libc::IFLA_INFO_DATA, &peer)];
    let body = [&INFO[..], &name(one), &attribute(libc::IFLA_LINKINFO, &link.concat())].concat();

    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
    let length = (16 + body.len()) as u32;
    let mut request = length.to_ne_bytes().to_vec();
    request.extend([libc::RTM_NEWLINK.to_ne_bytes(), flags.to_ne_bytes()].as_flattened());
    request.extend([1u32.to_ne_bytes(), 0u32.to_ne_bytes()].as_flattened()); // sequence, port
    request.extend(body);

    let socket = sockets::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)?;
    // SAFETY: the request has so many bytes, and they are only read.
    let sent = unsafe { libc::send(socket.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) };
    sockets::check(sent as libc::c_int)?;
    let mut answer = [0u8; 1024];
    // SAFETY: there is so much room.
    let found = unsafe { libc::recv(socket.as_raw_fd(), answer.as_mut_ptr().cast(), answer.len(), 0) };
    sockets::check(found as libc::c_int)?;
    // A header of 16 bytes, then the error, negative, or 0.
    match i32::from_ne_bytes(answer[16..20].try_into().expect("four bytes")) {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(-error)),
    }
}

/// One attribute of netlink: length, kind, value, filled up to a multiple of 4.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = [(4 + value.len() as u16).to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_is_filled_up_to_four_bytes() {
        assert_eq!(attribute(3, b"hft0\0"), *b"\x09\0\x03\0hft0\0\0\0\0");
    }

    #[test]
    fn a_namespace_apart_has_its_pair_and_nothing_stays() {
        let found = apart(|| VETH.iter().map(|name| index(name)).collect::<Result<Vec<_>, _>>());
        match found {
            Ok(found) => assert!(found[0] != found[1]),
            Err(failure) => assert_eq!(failure.errno(), libc::EPERM, "{failure}"),
        }
        assert!(VETH.iter().all(|name| index(name).is_err()), "the pair is not in our namespace");
    }

    #[test]
    fn names_do_not_lead_elsewhere() {
        for name in ["", "../1/ns/net", ".", "a/b"] {
            assert!(within(name, || Ok(())).is_err(), "{name}");
        }
    }
}
