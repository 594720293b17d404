//! Sockets of the kernel: datagrams and a stream, polled or waited for, one message a call or many.

pub mod multicast;
pub mod socket;
pub mod tcp;
pub mod udp;

#[cfg(target_os = "linux")]
pub mod epoll;
#[cfg(target_os = "linux")]
pub mod recvmmsg;
#[cfg(target_os = "linux")]
pub mod uring;
