//! The program on the interface: what is UDP to our port goes to our socket, everything else goes its way. It is 21
//! instructions, written here by hand and given to the kernel as they are; no compiler for them is needed.
//!
//! It hangs on the interface by a link, a descriptor: when that is closed, by us or by the end of the process, however it ends, the
//! program is off the interface.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::net::transport::{Failure, Step};
use crate::net::transport::{frames, sockets};

const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_MAP_TYPE_XSKMAP: u32 = 17;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_XDP: u32 = 37;
const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;
const XDP_PASS: i32 = 2;
const HEADER: i32 = frames::HEADER as i32;
const BPF_FUNC_REDIRECT_MAP: i32 = 51;

/// One instruction: code, registers (destination in the low half), offset, value; see linux/bpf.h and its documentation.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Instruction(u8, u8, i16, i32);

/// `to = *(size *)(from + offset)`; sizes: 0x61 for four bytes, 0x69 for two, 0x71 for one.
const fn load(size: u8, to: u8, from: u8, offset: i16) -> Instruction {
    Instruction(size, to | from << 4, offset, 0)
}

/// Unless `register` is `value`, go on `over` instructions further.
const fn unless(register: u8, value: i32, over: i16) -> Instruction {
    Instruction(0x55, register, over, value)
}

/// Frames of IPv4 with a plain header, in it UDP, in it our port: to the socket that the map has for the queue.
fn instructions(map: i32, port: u16) -> [Instruction; 21] {
    // Fields are compared as they lie in memory.
    let wire = |value: u16| i32::from(u16::from_ne_bytes(value.to_be_bytes()));
    [
        load(0x61, 2, 1, 0),                   // r2 = start of the frame
        load(0x61, 3, 1, 4),                   // r3 = its end
        Instruction(0xbf, 4 | 2 << 4, 0, 0),   // r4 = r2
        Instruction(0x07, 4, 0, HEADER),       // r4 += the three headers
        Instruction(0x2d, 4 | 3 << 4, 14, 0),  // r4 > r3: pass
        load(0x69, 5, 2, 12),                  // EtherType
        unless(5, wire(0x0800), 12),           // IPv4, or pass
        load(0x71, 5, 2, 14),                  // version and length of the header
        unless(5, 0x45, 10),                   // 4, and 5 words, or pass
        load(0x71, 5, 2, 23),                  // protocol
        unless(5, 17, 8),                      // UDP, or pass
        load(0x69, 5, 2, 36),                  // port
        unless(5, wire(port), 6),              // ours, or pass
        load(0x61, 2, 1, 16),                  // r2 = queue
        Instruction(0x18, 1 | 1 << 4, 0, map), // r1 = map, by its descriptor,
        Instruction(0, 0, 0, 0),               // in two instructions
        Instruction(0xb7, 3, 0, XDP_PASS),     // r3 = what to do where the map has no socket
        Instruction(0x85, 0, 0, BPF_FUNC_REDIRECT_MAP),
        Instruction(0x95, 0, 0, 0),        // return what it says
        Instruction(0xb7, 0, 0, XDP_PASS), // pass:
        Instruction(0x95, 0, 0, 0),
    ]
}

/// On an interface, as long as it lives.
pub struct Program {
    /// First off the interface, then the rest.
    _link: OwnedFd,
    _program: OwnedFd,
    _map: OwnedFd,
}

impl Program {
    /// Have the kernel check the program and run it on what comes to an interface in the namespace of this thread.
    pub fn attach(
        xsk: &OwnedFd,
        port: u16,
        queue: u32,
        index: u32,
        generic: bool,
    ) -> Result<Program, Failure> {
        let map = [two(BPF_MAP_TYPE_XSKMAP, 4), two(4, queue + 1)];
        let map = bpf(BPF_MAP_CREATE, &map).step("bpf(MAP_CREATE, XSKMAP)")?;
        let (key, value) = (queue, xsk.as_raw_fd());
        let update = [two(fd(&map), 0), &raw const key as u64, &raw const value as u64, 0];
        call(BPF_MAP_UPDATE_ELEM, &update).step("bpf(MAP_UPDATE_ELEM, XSKMAP)")?;
        let code = instructions(map.as_raw_fd(), port);
        let (length, license) = (code.len() as u32, c"MIT");
        let load = [two(BPF_PROG_TYPE_XDP, length), code.as_ptr() as u64, license.as_ptr() as u64, 0, 0, 0];
        let program = bpf(BPF_PROG_LOAD, &load).step("bpf(PROG_LOAD, XDP)")?;
        let flags = if generic { XDP_FLAGS_SKB_MODE } else { XDP_FLAGS_DRV_MODE };
        let link = [two(fd(&program), index), two(BPF_XDP, flags)];
        let link = bpf(BPF_LINK_CREATE, &link).step("bpf(LINK_CREATE, XDP)")?;
        Ok(Program { _link: link, _program: program, _map: map })
    }
}

fn fd(of: &OwnedFd) -> u32 {
    of.as_raw_fd() as u32
}

/// Two fields of four bytes as they lie in memory.
fn two(first: u32, second: u32) -> u64 {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&first.to_ne_bytes());
    bytes[4..].copy_from_slice(&second.to_ne_bytes());
    u64::from_ne_bytes(bytes)
}

/// bpf(2) with its attributes, the first ones of the union, as they lie in memory.
fn call(command: libc::c_int, attributes: &[u64]) -> io::Result<libc::c_int> {
    // SAFETY: the attributes have the size that is passed; what they point to, code, license, key and value, lives in the caller.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_ptr(), size_of_val(attributes)) };
    sockets::check(result as libc::c_int)
}

/// A call that gives a descriptor.
fn bpf(command: libc::c_int, attributes: &[u64]) -> io::Result<OwnedFd> {
    // SAFETY: a descriptor that is nobody else's; the kernel makes it so that children do not inherit it.
    call(command, attributes).map(|made| unsafe { OwnedFd::from_raw_fd(made) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_jump_leads_to_pass() {
        let code = instructions(3, 26_400);
        let jumps = code.iter().enumerate().filter(|(_, one)| matches!(one.0, 0x2d | 0x55));
        let leads: Vec<usize> = jumps.map(|(at, one)| at + 1 + one.2 as usize).collect();
        assert_eq!(leads, [code.len() - 2; 5]);
    }

    #[test]
    fn the_port_is_compared_as_it_lies_on_the_wire() {
        let code = instructions(3, 0x1234);
        assert_eq!(code[12].3 as u16, u16::from_ne_bytes([0x12, 0x34]));
    }
}
