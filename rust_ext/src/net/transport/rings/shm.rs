//! Two processes: a ring each way in a file under /dev/shm that both have mapped.
//!
//! ```text
//! | magic u64, slots u32, stride u32, attached u32 | closed u32, u32 |   | ring: first to second | ring: second to first |
//! 0                                                64                 4096
//! ```
//!
//! The first end makes the file, for its own user alone; the second maps it and takes the name away at once. So the name is there
//! only while one end waits for the other, and what both have mapped goes with the last of them, however they end.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{Layout, Peer, Rings};
use crate::net::transport::mapping::Mapping;
use crate::net::transport::{Address, End, Failure, Made, Options, Pair, Step};

/// "hftlab" and the version of the layout.
const MAGIC: u64 = u64::from_le_bytes(*b"hftlab\x01\0");
const HEADER: usize = 4096;
const LAYOUT_AT: usize = 8;
const ATTACHED_AT: usize = 16;
const CLOSED_AT: usize = 64;

/// What both see: the header, then the rings.
struct Shared(Mapping);

impl Shared {
    fn of(file: &File, bytes: usize) -> io::Result<Shared> {
        Mapping::shared(file, 0, bytes).map(Shared)
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: within the mapping, by `at`; offsets are those above, all multiples of 4.
        unsafe { &*self.0.at(offset).cast() }
    }

    fn magic(&self) -> &AtomicU64 {
        // SAFETY: the start of a page.
        unsafe { &*self.0.at(0).cast() }
    }

    fn layout(&self) -> Layout {
        let word = |place: usize| self.word(LAYOUT_AT + 4 * place).load(Ordering::Relaxed);
        Layout { slots: word(0), stride: word(1) }
    }
}

/// One end of it.
struct Shm {
    shared: Shared,
    end: End,
    /// The name, as long as it may be there.
    path: PathBuf,
}

fn path(name: &str) -> Result<PathBuf, Failure> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if name.is_empty() || name.len() > 200 || name.starts_with('.') || !name.chars().all(plain) {
        let text = format!(
            "name '{name}'; allowed are 1 to 200 letters, digits, '-', '_' and '.', the last not first"
        );
        return Err(Failure::refused(text));
    }
    Ok(PathBuf::from("/dev/shm").join(name))
}

fn endpoint(shared: Shared, end: End, path: PathBuf) -> Box<Rings<Shm>> {
    let layout = shared.layout();
    let rings = [shared.0.at(HEADER), shared.0.at(HEADER + layout.bytes())];
    let (out, into) = (rings[end as usize], rings[end.other() as usize]);
    // SAFETY: the file has room for two rings of a sane layout (made so, or checked by `join`), was zeros when it was made, and the
    // mapping is kept; of each ring this end has one half, and there is one end of either kind (made anew, or `attached`).
    Box::new(unsafe { Rings::new(out, into, layout, Shm { shared, end, path }) })
}

fn create(path: PathBuf, options: &Options) -> Result<Box<Rings<Shm>>, Failure> {
    let layout = Layout::new(options.slots, options.size);
    let bytes = HEADER + 2 * layout.bytes();
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
    let file = file.step(&format!("create {}", path.display()))?;
    let made = file.set_len(bytes as u64).step("ftruncate(shm)");
    let shared = made.and_then(|()| Shared::of(&file, bytes).step("mmap(shm)")).inspect_err(|_| {
        let _ = std::fs::remove_file(&path);
    })?;
    shared.word(LAYOUT_AT).store(layout.slots, Ordering::Relaxed);
    shared.word(LAYOUT_AT + 4).store(layout.stride, Ordering::Relaxed);
    shared.magic().store(MAGIC, Ordering::Release);
    Ok(endpoint(shared, End::First, path))
}

fn join(path: PathBuf, patience: Duration) -> Result<Box<Rings<Shm>>, Failure> {
    let until = Instant::now() + patience;
    let shared = loop {
        let found = attempt(&path);
        match found {
            Err(error) if error.kind() == io::ErrorKind::NotFound && Instant::now() < until => {
                thread::sleep(Duration::from_millis(2));
            }
            other => break other.step(&format!("open {}", path.display()))?,
        }
    };
    if shared.word(ATTACHED_AT).swap(1, Ordering::AcqRel) != 0 {
        return Err(Failure::refused(format!("{}: somebody else is at the second end", path.display())));
    }
    let _ = std::fs::remove_file(&path);
    Ok(endpoint(shared, End::Second, path))
}

/// The file, mapped; `NotFound` while it is not there or not yet ready.
fn attempt(path: &PathBuf) -> io::Result<Shared> {
    let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(path)?;
    let bytes = file.metadata()?.len() as usize;
    if bytes < HEADER {
        return Err(io::ErrorKind::NotFound.into());
    }
    let shared = Shared::of(&file, bytes)?;
    match shared.magic().load(Ordering::Acquire) {
        MAGIC if shared.layout().sane() && bytes == HEADER + 2 * shared.layout().bytes() => Ok(shared),
        0 => Err(io::ErrorKind::NotFound.into()),
        _ => Err(crate::net::transport::invalid("the file is not a ring of hftlab")),
    }
}

pub fn open(address: &Address, end: End, options: &Options) -> Made {
    let path = path(&address.at(end).name)?;
    match end {
        End::First => Ok(create(path, options)?),
        End::Second => Ok(join(path, options.patience)?),
    }
}

pub fn pair(options: &Options) -> Result<Pair, Failure> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let path = path(&format!("hftlab-{}-{}", process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)))?;
    let first = create(path.clone(), options)?;
    let second = join(path, Duration::ZERO)?;
    Ok((first, second))
}

impl Peer for Shm {
    #[inline]
    fn gone(&self) -> bool {
        self.shared.word(CLOSED_AT + 4 * self.end.other() as usize).load(Ordering::Acquire) != 0
    }
}

impl Drop for Shm {
    fn drop(&mut self) {
        self.shared.word(CLOSED_AT + 4 * self.end as usize).store(1, Ordering::Release);
        // Whoever comes after this finds the file taken; if nobody has come before, the name is still there.
        if self.end == End::First && self.shared.word(ATTACHED_AT).swap(1, Ordering::AcqRel) == 0 {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(test: &str) -> (String, Address) {
        let name = format!("hftlab-test-{test}-{}", process::id());
        (format!("/dev/shm/{name}"), Address::parse(&name).unwrap())
    }

    #[test]
    fn the_name_is_gone_once_both_are_there() {
        let (file, address) = name("both");
        let mut first = open(&address, End::First, &Options::default()).unwrap();
        assert!(std::fs::exists(&file).unwrap());
        let mut second = open(&address, End::Second, &Options::default()).unwrap();
        assert!(!std::fs::exists(&file).unwrap());
        first.send(b"there").unwrap();
        second.send(b"back").unwrap();
        assert_eq!(second.try_recv().unwrap(), Some(&b"there"[..]));
        assert_eq!(first.try_recv().unwrap(), Some(&b"back"[..]));
    }

    #[test]
    fn the_name_is_gone_when_nobody_came() {
        let (file, address) = name("nobody");
        drop(open(&address, End::First, &Options::default()).unwrap());
        assert!(!std::fs::exists(&file).unwrap());
    }

    #[test]
    fn a_name_that_is_there_is_left_alone() {
        let (file, address) = name("taken");
        std::fs::write(&file, b"somebody's").unwrap();
        let failure = open(&address, End::First, &Options::default()).err().unwrap();
        assert_eq!(failure.errno(), libc::EEXIST);
        let options = Options { patience: Duration::from_millis(10), ..Options::default() };
        assert!(open(&address, End::Second, &options).is_err());
        assert_eq!(std::fs::read(&file).unwrap(), b"somebody's");
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn a_forged_file_is_refused() {
        let (file, address) = name("forged");
        for layout in [[3u32, 64], [64, 63], [64, 0], [1 << 20, 64], [64, 64]] {
            let mut bytes = vec![0u8; HEADER + 100];
            bytes[..8].copy_from_slice(&MAGIC.to_le_bytes());
            bytes[8..16].copy_from_slice(&[layout[0].to_le_bytes(), layout[1].to_le_bytes()].concat());
            std::fs::write(&file, bytes).unwrap();
            let failure = open(&address, End::Second, &Options::default()).err().unwrap();
            assert_eq!(failure.error.kind(), io::ErrorKind::InvalidData, "{layout:?}");
        }
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn names_do_not_lead_elsewhere() {
        for name in ["..", ".hidden", "a b", "a\\b"] {
            let address = Address::parse(name).unwrap();
            assert!(open(&address, End::First, &Options::default()).is_err(), "{name}");
        }
    }
}
