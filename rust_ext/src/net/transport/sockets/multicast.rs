//! Datagrams to a group, as feeds come: each end sends to a group of its own and has joined the other's. The receiver spins.
//!
//! On the loopback interface nothing leaves the machine: the interface is named, and packets have no hop to live.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;

use super::udp::{Sockets, Udp};
use super::{parse, within};
use crate::net::transport::{Address, End, Failure, Made, Options, Pair, Place, Step, sockets};

/// Groups of a pair, from the block for private use.
const GROUPS: [Ipv4Addr; 2] = [Ipv4Addr::new(239, 255, 104, 1), Ipv4Addr::new(239, 255, 104, 2)];

/// A socket that receives what is sent to a group; port 0 takes one that is free.
fn member(group: SocketAddrV4, interface: Ipv4Addr) -> Result<UdpSocket, Failure> {
    let socket = sockets::socket(libc::AF_INET, libc::SOCK_DGRAM, 0).step("socket(AF_INET, SOCK_DGRAM)")?;
    if group.port() != 0 {
        // Several listen to one feed.
        sockets::set(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, &1i32)
            .step("setsockopt(SO_REUSEADDR)")?;
    }
    let place = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: group.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(group.ip().octets()) },
        // SAFETY: plain data, for which zeros are a value.
        ..unsafe { std::mem::zeroed() }
    };
    let size = size_of_val(&place) as libc::socklen_t;
    // SAFETY: an address of `size` bytes, only read.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const place).cast(), size) };
    sockets::check(bound).step(&format!("bind({group})"))?;
    let socket = UdpSocket::from(socket);
    socket.join_multicast_v4(group.ip(), &interface).step("setsockopt(IP_ADD_MEMBERSHIP)")?;
    sockets::queue(&socket);
    Ok(socket)
}

/// A socket that sends to a group.
fn publisher(group: SocketAddrV4, interface: Ipv4Addr) -> Result<UdpSocket, Failure> {
    let socket = UdpSocket::bind((interface, 0)).step("bind(AF_INET, SOCK_DGRAM)")?;
    let through = libc::in_addr { s_addr: u32::from_ne_bytes(interface.octets()) };
    sockets::set(&socket, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &through)
        .step("setsockopt(IP_MULTICAST_IF)")?;
    let hops = u32::from(!interface.is_loopback());
    socket.set_multicast_ttl_v4(hops).step("setsockopt(IP_MULTICAST_TTL)")?;
    socket.connect(group).step(&format!("connect({group})"))?;
    sockets::queue(&socket);
    Ok(socket)
}

fn interface(place: &Place) -> Result<Ipv4Addr, Failure> {
    let Some(text) = &place.interface else { return Ok(Ipv4Addr::LOCALHOST) };
    let wrong = || Failure::refused(format!("interface '{text}'; allowed is its IPv4 address"));
    text.parse().map_err(|_| wrong())
}

fn group(place: &Place) -> Result<SocketAddrV4, Failure> {
    let group = parse(&place.name)?;
    if !group.ip().is_multicast() {
        return Err(Failure::refused(format!(
            "group {}; allowed is 224.0.0.0 to 239.255.255.255",
            group.ip()
        )));
    }
    Ok(group)
}

pub fn open(address: &Address, end: End, options: &Options) -> Made {
    let (own, other) = (address.at(end), address.at(end.other()));
    let (to, from, interface) = (group(own)?, group(other)?, interface(own)?);
    let sockets = within(own.netns.as_deref(), || {
        Ok(Sockets { into: member(from, interface)?, out: Some(publisher(to, interface)?) })
    })?;
    Ok(Box::new(Udp::new(sockets, options, false)))
}

pub fn pair(options: &Options) -> Result<Pair, Failure> {
    let on = Ipv4Addr::LOCALHOST;
    let [first, second] = GROUPS.map(|group| member(SocketAddrV4::new(group, 0), on));
    let (first, second) = (first?, second?);
    let group = |socket: &UdpSocket, group: Ipv4Addr| {
        socket.local_addr().step("getsockname").map(|at| SocketAddrV4::new(group, at.port()))
    };
    let (to_first, to_second) = (group(&first, GROUPS[0])?, group(&second, GROUPS[1])?);
    let end = |into: UdpSocket, to: SocketAddrV4| -> Result<Udp, Failure> {
        Ok(Udp::new(Sockets { into, out: Some(publisher(to, on)?) }, options, false))
    };
    Ok((Box::new(end(first, to_second)?), Box::new(end(second, to_first)?)))
}
