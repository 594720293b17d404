//! Past the protocols of the kernel: whole Ethernet frames, written and read in memory that is shared with it.

mod frame;
pub mod packet;
pub mod xdp;
