//! Operations a daemon does not have: what the kernel would do by itself after `ENOSYS`.
//!
//! The kernel never hears that `ENOSYS`: it would not ask again for any file of the mount, those below included.

use zerocopy::IntoBytes;

use super::{Answer, DaemonFile, Link};
use crate::abi::*;
use crate::backing::decode_device;
use crate::call::{Call, Opened};
use crate::errno::Errno;

/// What an operation is without the daemon.
#[derive(Clone, Copy)]
enum Absent {
    /// Nothing to be done: it succeeds.
    Done,
    /// It fails so.
    Fails(Errno),
    /// It is made of others.
    Made(fn(&Link, &mut Call<'_>) -> Result<(), Errno>),
}

/// By operation. The others fail with `ENOSYS` once each, which the kernel does not remember.
static ABSENT: &[(&str, Absent)] = &[
    ("FLUSH", Absent::Done),
    ("FSYNC", Absent::Done),
    ("FSYNCDIR", Absent::Done),
    ("ACCESS", Absent::Done),
    ("SYNCFS", Absent::Done),
    ("RELEASE", Absent::Done),
    ("RELEASEDIR", Absent::Done),
    ("SETXATTR", Absent::Fails(Errno::EOPNOTSUPP)),
    ("GETXATTR", Absent::Fails(Errno::EOPNOTSUPP)),
    ("LISTXATTR", Absent::Fails(Errno::EOPNOTSUPP)),
    ("REMOVEXATTR", Absent::Fails(Errno::EOPNOTSUPP)),
    ("FALLOCATE", Absent::Fails(Errno::EOPNOTSUPP)),
    ("COPY_FILE_RANGE", Absent::Fails(Errno::EOPNOTSUPP)),
    ("COPY_FILE_RANGE_64", Absent::Fails(Errno::EOPNOTSUPP)),
    ("TMPFILE", Absent::Fails(Errno::EOPNOTSUPP)),
    ("GETLK", Absent::Fails(Errno::ENOLCK)),
    ("SETLK", Absent::Fails(Errno::ENOLCK)),
    ("SETLKW", Absent::Fails(Errno::ENOLCK)),
    ("RENAME2", Absent::Fails(Errno::EINVAL)),
    ("LINK", Absent::Fails(Errno::EPERM)),
    ("BMAP", Absent::Fails(Errno::EINVAL)),
    ("IOCTL", Absent::Fails(Errno::ENOTTY)),
    ("OPEN", Absent::Made(opened)),
    ("OPENDIR", Absent::Made(opened)),
    ("CREATE", Absent::Made(created)),
    ("READDIRPLUS", Absent::Made(read_without_entries)),
    ("LSEEK", Absent::Made(seek)),
    ("POLL", Absent::Made(ready)),
    ("STATX", Absent::Made(statx)),
];

/// Does what the kernel would do.
///
/// # Errors
///
/// What the operation fails with.
pub(super) fn instead(link: &Link, call: &mut Call<'_>) -> Result<(), Errno> {
    match ABSENT.iter().find(|(name, _)| *name == call.op.name) {
        Some((_, Absent::Done)) => Ok(()),
        Some((_, Absent::Fails(error))) => Err(*error),
        Some((_, Absent::Made(make))) => make(link, call),
        None => Err(Errno::ENOSYS),
    }
}

/// The daemon does not want to hear of opens.
fn opened(_: &Link, call: &mut Call<'_>) -> Result<(), Errno> {
    let keep = flags::fopen::KEEP_CACHE;
    let keep = if call.op.name == "OPENDIR" { keep | flags::fopen::CACHE_DIR } else { keep };
    call.opened = Some(Opened::Daemon(std::sync::Arc::new(DaemonFile::unopened(keep))));
    Ok(())
}

/// A file is made, then opened.
fn created(link: &Link, call: &mut Call<'_>) -> Result<(), Errno> {
    let sent: fuse_create_in = call.sent();
    let make = fuse_mknod_in { mode: sent.mode, rdev: 0, umask: sent.umask, padding: 0 };
    let name = call.string(0)?;
    let parent = call.node.filter_nodeid();
    let made =
        link.ask_for(call, opcode::MKNOD, parent, &[make.as_bytes(), name.to_bytes_with_nul()].concat())?;
    let entry: fuse_entry_out = read(&made.body).ok_or(Errno::EIO)?;
    let open = fuse_open_in { flags: sent.flags & !libc::O_EXCL.cast_unsigned(), open_flags: 0 };
    let open = match link.ask_for(call, opcode::OPEN, entry.nodeid, open.as_bytes()) {
        Ok(answer) => read::<fuse_open_out>(&answer.body).ok_or(Errno::EIO)?,
        Err(Errno::ENOSYS) => fuse_open_out::default(),
        Err(error) => {
            // The lookup that came with the name is given back with the entry.
            let parts = Answer {
                body: [entry.as_bytes(), fuse_open_out::default().as_bytes()].concat(),
                ..Answer::default()
            };
            link.fill(call, "CREATE", parts)?;
            call.opened = None;
            return Err(error);
        }
    };
    let body = [entry.as_bytes(), open.as_bytes()].concat();
    link.fill(call, "CREATE", Answer { body, ..Answer::default() })
}

/// Records without entries: the kernel looks names up when it needs them.
fn read_without_entries(link: &Link, call: &mut Call<'_>) -> Result<(), Errno> {
    let answer = link.request(call, opcode::READDIR)?;
    link.fill(call, "READDIR", answer)
}

fn attributes(link: &Link, call: &Call<'_>) -> Result<fuse_attr_out, Errno> {
    let nodeid = call.node.filter_nodeid();
    let answer = link.ask_for(call, opcode::GETATTR, nodeid, fuse_getattr_in::default().as_bytes())?;
    read(&answer.body).ok_or(Errno::EIO)
}

/// Everything before the end is data, and the end is a hole.
fn seek(link: &Link, call: &mut Call<'_>) -> Result<(), Errno> {
    let sent: fuse_lseek_in = call.sent();
    let size = attributes(link, call)?.attr.size;
    let offset = match i32::try_from(sent.whence) {
        Ok(libc::SEEK_DATA) if sent.offset < size => sent.offset,
        Ok(libc::SEEK_HOLE) if sent.offset < size => size,
        Ok(libc::SEEK_DATA | libc::SEEK_HOLE) => return Err(Errno::ENXIO),
        _ => return Err(Errno::EINVAL),
    };
    call.set_out(0, &fuse_lseek_out { offset });
    Ok(())
}

/// Files are always ready.
fn ready(_: &Link, call: &mut Call<'_>) -> Result<(), Errno> {
    call.reply(&fuse_poll_out { revents: ALWAYS_READY, padding: 0 });
    Ok(())
}

/// `POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM`.
const ALWAYS_READY: u32 = 0x145;

/// What GETATTR tells of what STATX asks.
fn statx(link: &Link, call: &mut Call<'_>) -> Result<(), Errno> {
    const BASIC_STATS: u32 = 0x7ff;
    let out = attributes(link, call)?;
    let attr = out.attr;
    let time = |sec: u64, nsec: u32| fuse_sx_time { tv_sec: sec.cast_signed(), tv_nsec: nsec, __reserved: 0 };
    let (rdev_major, rdev_minor) = decode_device(attr.rdev);
    let stat = fuse_statx {
        mask: BASIC_STATS,
        blksize: attr.blksize,
        nlink: attr.nlink,
        uid: attr.uid,
        gid: attr.gid,
        mode: attr.mode as u16,
        ino: link.backing.lent_ino(attr.ino),
        size: attr.size,
        blocks: attr.blocks,
        atime: time(attr.atime, attr.atimensec),
        ctime: time(attr.ctime, attr.ctimensec),
        mtime: time(attr.mtime, attr.mtimensec),
        rdev_major,
        rdev_minor,
        ..Default::default()
    };
    let (attr_valid, attr_valid_nsec) = (out.attr_valid, out.attr_valid_nsec);
    call.reply(&fuse_statx_out { attr_valid, attr_valid_nsec, stat, ..Default::default() });
    Ok(())
}
