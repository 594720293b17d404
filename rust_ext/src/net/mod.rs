//! What a message costs over a transport: transports, round trips, and tick to trade. Here are the sockets and the threads: their
//! core, their priority, and the rest that a real-time thread owes the others.

use std::io;
use std::time::Duration;

#[forbid(unsafe_code)]
pub mod round_trip;
#[forbid(unsafe_code)]
pub mod tick_to_trade;
pub mod transport;

/// How long a real-time thread may spin, and how long it then lets others run: the system stops those that take more than 95 % of
/// a second.
pub const BURST: Duration = Duration::from_millis(400);
/// See `BURST`.
pub const REST: Duration = Duration::from_millis(60);

/// Where a thread runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Placement {
    /// The core it stays on; None: any.
    pub core: Option<usize>,
    /// Priority under SCHED_FIFO; None: as it is.
    pub fifo: Option<i32>,
}

impl Placement {
    /// Put this thread there; what the system refused, a sentence each.
    #[cfg(target_os = "linux")]
    pub fn take(self) -> Vec<String> {
        let mut refused = Vec::new();
        if let Some(core) = self.core {
            // SAFETY: plain data, for which zeros are a value; a set of our own; cores beyond it are left out.
            let set = unsafe {
                let mut cores: libc::cpu_set_t = std::mem::zeroed();
                if core < libc::CPU_SETSIZE as usize {
                    libc::CPU_SET(core, &mut cores);
                }
                libc::sched_setaffinity(0, size_of_val(&cores), &cores)
            };
            if set != 0 {
                refused.push(format!("core {core}: {}", io::Error::last_os_error()));
            }
        }
        if let Some(priority) = self.fifo {
            let how = libc::sched_param { sched_priority: priority };
            let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
            // SAFETY: a parameter of our own, only read.
            if unsafe { libc::sched_setscheduler(0, policy, &how) } != 0 {
                refused.push(format!("SCHED_FIFO: {}", io::Error::last_os_error()));
            }
        }
        refused
    }

    /// Put this thread there: this system does not.
    #[cfg(not(target_os = "linux"))]
    pub fn take(self) -> Vec<String> {
        let asked = self.core.is_some() || self.fifo.is_some();
        if asked { vec!["this system does not place threads".into()] } else { Vec::new() }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn a_seat_that_is_not_there_is_told() {
        let refused =
            std::thread::spawn(|| Placement { core: Some(100_000), fifo: None }.take()).join().unwrap();
        assert!(refused[0].starts_with("core 100000: "), "{refused:?}");
    }
}
