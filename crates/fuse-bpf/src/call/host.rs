//! What a call lends the programs that filter it.

use fuse_bpf_vm::host::{Buffer, Caller as Thread, Host};

use bumpalo::collections::Vec as ArenaVec;

use super::ABSENT;
use crate::abi::fuse_in_header;
use crate::backing::File;
use crate::errno::Errno;
use crate::filter::buffer::FuseBuffer;
use crate::filter::trace::Trace;

/// What a call lends its filters.
pub(super) struct FilterHost<'c, 'r> {
    pub(super) buffers: &'c mut ArenaVec<'r, FuseBuffer<'r>>,
    pub(super) header: &'c fuse_in_header,
    /// The kernel's number for the inode, which is never given to another one.
    pub(super) node: u64,
    /// The file it is on.
    pub(super) file: Option<&'c File>,
    /// What the operation is to end with, where filters may say so.
    pub(super) error_out: Option<&'c mut Option<Result<(), Errno>>>,
    /// What the call has no buffer for.
    pub(super) absent: FuseBuffer<'r>,
    pub(super) trace: &'c Trace,
}

/// A run may be shorter than the call: its program is borrowed for less.
impl<'s, 'r: 's> Host<'s> for FilterHost<'_, 'r> {
    fn buffer(&mut self, index: u32) -> Option<&mut dyn Buffer<'s>> {
        let buffer = match index {
            ABSENT => Some(&mut self.absent),
            _ => self.buffers.get_mut(index as usize),
        };
        buffer.map(|b| b as &mut dyn Buffer<'s>)
    }

    fn caller(&self) -> Thread {
        let fuse_in_header { uid, gid, pid, .. } = *self.header;
        Thread { uid, gid, tid: pid }
    }

    fn process(&self) -> u32 {
        thread_group(self.header.pid).unwrap_or(self.header.pid)
    }

    fn comm(&self) -> [u8; 16] {
        let mut comm = [0; 16];
        if let Ok(name) = std::fs::read(format!("/proc/{}/comm", self.header.pid)) {
            let name = name.strip_suffix(b"\n").unwrap_or(&name);
            for (to, from) in comm[..15].iter_mut().zip(name) {
                *to = *from;
            }
        }
        comm
    }

    fn node(&self) -> Option<u64> {
        Some(self.node)
    }

    fn cgroup(&self, level: Option<u32>) -> u64 {
        crate::cgroup::id(self.header.pid, level)
    }

    fn read_file(&mut self, offset: u64, to: &mut [u8]) -> Option<usize> {
        self.file?.read_at(offset, to).ok()
    }

    fn set_result(&mut self, result: i32) -> bool {
        let error = match result {
            0 => Ok(()),
            -511..=-1 => Err(Errno::new(-result)),
            _ => return false,
        };
        self.error_out.as_mut().is_some_and(|out| {
            **out = Some(error);
            true
        })
    }

    fn print(&mut self, line: &str) {
        self.trace.push(line.trim_end_matches('\n'));
    }
}

/// The process a thread belongs to, if it still exists.
fn thread_group(tid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()
}
