//! The daemon beside the load: a filter that judges as the programs do, a few files of its own, and reads that are handed over.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use fuse_bpf::Errno;
use fuse_bpf::abi::*;
use fuse_bpf::daemon::{Answer, Daemon};
use fuse_bpf::ops::by_opcode;
use fuse_bpf::transport::Request;
use zerocopy::IntoBytes;

use crate::plan::{hash, judged, op};

const PREFILTER: u32 = 0x10000;
const POSTFILTER: u32 = 0x20000;

/// The number of the file `u-N`.
const FIRST: u64 = 1000;

/// What the file `u-N` holds; there are only the even ones.
pub(crate) fn text_of(number: u64) -> Option<String> {
    (number.is_multiple_of(2) && number < 100).then(|| format!("the daemon's file {number}"))
}

/// What a read gets that is handed over.
pub(crate) fn handed_over(offset: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|i| (offset + i).wrapping_mul(7) as u8 | 1).collect()
}

#[derive(Debug, Default)]
pub(crate) struct Beside {
    pub(crate) seed: AtomicU32,
    pub(crate) asked: AtomicU64,
    pub(crate) served: AtomicU64,
    /// Lookups it gave and those it got back.
    pub(crate) given: AtomicU64,
    pub(crate) taken: AtomicU64,
    /// Its files that are open.
    pub(crate) open: AtomicU64,
}

/// A handle to what the mount holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Handle(pub(crate) std::sync::Arc<Beside>);

impl Beside {
    /// What the operation is decided by.
    fn judge(&self, opcode: u32, body: &[u8]) -> Result<Answer, Errno> {
        let start = by_opcode(opcode).and_then(|op| op.filter?.input).map_or(0, |desc| desc.size);
        let rest = &body[start..];
        let key = match opcode {
            op::READDIR => return Ok(Answer::default()),
            op::READ | op::WRITE | op::FALLOCATE | op::COPY_FILE_RANGE => body[8..16].to_vec(),
            op::SETATTR => {
                let set: fuse_setattr_in = read(body).ok_or(Errno::EINVAL)?;
                let number =
                    if set.valid & flags::fattr::SIZE != 0 { set.size } else { (set.mode & 0o7777).into() };
                number.to_ne_bytes().to_vec()
            }
            _ => rest[..rest.iter().position(|byte| *byte == 0).ok_or(Errno::EINVAL)?].to_vec(),
        };
        match judged(hash(self.seed.load(Ordering::Relaxed), opcode, &key)) {
            Some(errno) => Err(Errno::new(errno)),
            None => Ok(Answer::default()),
        }
    }

    fn entry(&self, name: &[u8]) -> Option<fuse_entry_out> {
        let number: u64 =
            std::str::from_utf8(name.strip_prefix(b"u-")?.strip_suffix(b"\0")?).ok()?.parse().ok()?;
        let attr = self.attr(FIRST + number)?;
        self.given.fetch_add(1, Ordering::Relaxed);
        Some(fuse_entry_out { nodeid: FIRST + number, attr, ..Default::default() })
    }

    fn attr(&self, nodeid: u64) -> Option<fuse_attr> {
        let size = text_of(nodeid.checked_sub(FIRST)?)?.len() as u64;
        let mode = libc::S_IFREG | 0o444;
        Some(fuse_attr { ino: nodeid, mode, nlink: 1, size, blksize: 4096, ..Default::default() })
    }

    fn operation(&self, opcode: u32, nodeid: u64, body: &[u8]) -> Option<Vec<u8>> {
        Some(match opcode {
            op::LOOKUP => self.entry(body)?.as_bytes().to_vec(),
            // GETATTR
            3 => fuse_attr_out { attr: self.attr(nodeid)?, ..Default::default() }.as_bytes().to_vec(),
            // OPEN
            14 => {
                self.open.fetch_add(1, Ordering::Relaxed);
                let out = fuse_open_out { fh: nodeid, open_flags: flags::fopen::DIRECT_IO, padding: 0 };
                out.as_bytes().to_vec()
            }
            op::READ => {
                let sent: fuse_read_in = read(body)?;
                match text_of(nodeid.wrapping_sub(FIRST)) {
                    Some(text) => text.as_bytes().iter().skip(sent.offset as usize).copied().collect(),
                    None => handed_over(sent.offset, sent.size as usize),
                }
            }
            // RELEASE
            18 => {
                self.open.fetch_sub(1, Ordering::Relaxed);
                Vec::new()
            }
            // FLUSH
            25 => Vec::new(),
            _ => return None,
        })
    }
}

impl Daemon for Handle {
    fn serve(&self, request: &Request<'_>) -> Result<Answer, Errno> {
        let Handle(beside) = self;
        let opcode = request.header.opcode;
        if opcode & (PREFILTER | POSTFILTER) != 0 {
            beside.asked.fetch_add(1, Ordering::Relaxed);
            return beside.judge(opcode & 0xffff, request.body);
        }
        beside.served.fetch_add(1, Ordering::Relaxed);
        let body = beside.operation(opcode, request.header.nodeid, request.body).ok_or(Errno::ENOENT)?;
        Ok(Answer { body, ..Answer::default() })
    }

    fn tell(&self, request: &Request<'_>) {
        // FORGET
        if let (2, Some(forget)) = (request.header.opcode, read::<fuse_forget_in>(request.body)) {
            self.0.taken.fetch_add(forget.nlookup, Ordering::Relaxed);
        }
    }
}
