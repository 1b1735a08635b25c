//! A FUSE daemon written with the `fuser` crate, of which nothing is special: what it serves is seen wherever a filter hands names to it.
//!
//! ```text
//! fuse-bpf mount --filter bpf/tests/to_daemon.bpf.o --daemon 'fuser_daemon 0<&3' SRC MNT
//! ```
//!
//! `d_hello` is a text; `d_count` says how often it was read.
#![allow(clippy::unwrap_used, reason = "an example")]

use std::ffi::OsStr;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, Generation, INodeNo, LockOwner, OpenFlags,
    ReplyAttr, ReplyData, ReplyDirectory, ReplyEntry, Request, Session, SessionACL,
};

const TEXT: &str = "hello from a daemon\n";

#[derive(Default)]
struct Fs {
    reads: AtomicU64,
}

fn attr(ino: u64, kind: FileType, size: u64) -> FileAttr {
    let now = UNIX_EPOCH;
    let perm = if kind == FileType::Directory { 0o755 } else { 0o644 };
    FileAttr {
        ino: INodeNo(ino),
        size,
        blocks: 1,
        atime: now,
        mtime: now,
        ctime: now,
        crtime: now,
        kind,
        perm,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        flags: 0,
        blksize: 512,
    }
}

impl Fs {
    fn content(&self, ino: INodeNo) -> Option<String> {
        match u64::from(ino) {
            2 => Some(TEXT.to_owned()),
            3 => Some(format!("{}\n", self.reads.load(Ordering::SeqCst))),
            _ => None,
        }
    }

    fn attr(&self, ino: INodeNo) -> Option<FileAttr> {
        match (u64::from(ino), self.content(ino)) {
            (1, _) => Some(attr(1, FileType::Directory, 0)),
            (ino, Some(content)) => Some(attr(ino, FileType::RegularFile, content.len() as u64)),
            _ => None,
        }
    }
}

impl Filesystem for Fs {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let ino = match name.to_str() {
            Some("d_hello") => 2,
            Some("d_count") => 3,
            _ => return reply.error(Errno::ENOENT),
        };
        reply.entry(&Duration::ZERO, &self.attr(INodeNo(ino)).unwrap(), Generation(0));
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attr(ino) {
            Some(attr) => reply.attr(&Duration::ZERO, &attr),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        _: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let Some(content) = self.content(ino) else { return reply.error(Errno::ENOENT) };
        if u64::from(ino) == 2 {
            self.reads.fetch_add(1, Ordering::SeqCst);
        }
        reply.data(content.as_bytes().get(offset as usize..).unwrap_or_default());
    }

    fn readdir(&self, _: &Request, _: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let all = [(2, "d_hello"), (3, "d_count")];
        for (i, (ino, name)) in all.into_iter().enumerate().skip(offset as usize) {
            if reply.add(INodeNo(ino), i as u64 + 1, FileType::RegularFile, name) {
                break;
            }
        }
        reply.ok();
    }
}

fn main() {
    let connection = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
    let session = Session::from_fd(Fs::default(), connection, SessionACL::All, Config::default()).unwrap();
    // Ends with an error when the other end is closed, as it does on a socket.
    let _ = session.run();
}
