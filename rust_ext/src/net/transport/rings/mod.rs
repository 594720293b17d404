//! A ring of slots with the sequence in the slot: between two threads, or in memory that two processes share.

pub mod memory;
mod ring;
#[cfg(target_os = "linux")]
pub mod shm;
