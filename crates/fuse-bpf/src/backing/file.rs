//! Open files and directories.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{AtFlags, FallocateFlags, OFlags, RawDir, SeekFrom};
use rustix::io::{Errno as Os, ReadWriteFlags};

use super::node::Node;
use super::{Backing, sys};
use crate::abi::flags::OPEN_EXEC;
use crate::errno::Errno;

/// Bytes of directory records asked of the system at once.
const RECORDS: usize = 4096;

/// An open file or directory.
#[derive(Debug)]
pub struct File {
    fd: OwnedFd,
    node: Arc<Node>,
    flags: OFlags,
    filter_fh: AtomicU64,
    /// Whether flock(2) was used on it.
    flocked: AtomicBool,
    /// Those who took record locks through it. An owner that is this open file itself (of open file description
    /// locks) is gone with it.
    lock_owners: Mutex<Vec<u64>>,
    /// Where the next directory record will be read.
    position: Mutex<u64>,
}

/// A record of a directory.
#[derive(Debug)]
pub struct DirRecord<'d> {
    /// Inode number.
    pub ino: u64,
    /// Type of file: one of `DT_*`.
    pub kind: u8,
    /// Name.
    pub name: &'d [u8],
    /// Position of this record.
    pub offset: u64,
    /// Position after this record.
    pub next: u64,
}

impl File {
    pub(super) fn new(fd: OwnedFd, node: Arc<Node>, flags: u32) -> File {
        File {
            fd,
            node,
            flags: OFlags::from_bits_retain(flags),
            filter_fh: AtomicU64::new(0),
            flocked: AtomicBool::new(false),
            lock_owners: Mutex::default(),
            position: Mutex::new(0),
        }
    }

    /// Its inode.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Reads at `offset`; less than asked for only at the end of the file.
    ///
    /// # Errors
    ///
    /// Those of pread(2).
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let mut done = 0;
        while done < buffer.len() {
            match rustix::io::pread(&self.fd, &mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(Os::INTR) => {}
                // What was read is delivered; the error comes again.
                Err(_) if done > 0 => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(done)
    }

    /// The handle filters see: 0 unless one was given.
    pub fn filter_fh(&self) -> u64 {
        self.filter_fh.load(Ordering::Relaxed)
    }

    /// Sets the handle filters see.
    pub fn set_filter_fh(&self, fh: u64) {
        self.filter_fh.store(fh, Ordering::Relaxed);
    }

    /// Notes somebody who takes record locks through it.
    pub(super) fn add_lock_owner(&self, owner: u64) {
        let mut owners = self.lock_owners.lock().unwrap_or_else(PoisonError::into_inner);
        if !owners.contains(&owner) {
            owners.push(owner);
        }
    }

    /// Those who took record locks through it.
    pub(super) fn take_lock_owners(&self) -> Vec<u64> {
        std::mem::take(&mut self.lock_owners.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes that flock(2) is used on it.
    pub(super) fn note_flock(&self) {
        self.flocked.store(true, Ordering::Relaxed);
    }

    /// Gives back its flock lock, if it may have one; whether it may.
    pub(super) fn unlock(&self) -> bool {
        let flocked = self.flocked.load(Ordering::Relaxed);
        if flocked {
            // A request that still waits for a lock keeps the description open.
            if let Err(error) = rustix::fs::flock(&self.fd, rustix::fs::FlockOperation::NonBlockingUnlock) {
                tracing::warn!("a flock lock stays until its file is closed: {error}");
            }
        }
        flocked
    }

    /// Whether it was opened for writing.
    pub(super) fn is_writable(&self) -> bool {
        self.flags.intersects(OFlags::WRONLY | OFlags::RDWR)
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The flags with which a file is opened below. Names are our business; appending is decided at each write, since
/// pages written through a mapping use any handle and have their place; direct I/O would need aligned buffers.
pub(super) fn lower_flags(flags: u32) -> OFlags {
    let not = OFlags::CREATE
        | OFlags::EXCL
        | OFlags::NOCTTY
        | OFlags::NOFOLLOW
        | OFlags::APPEND
        | OFlags::DIRECT
        | OFlags::TMPFILE.difference(OFlags::DIRECTORY)
        | OFlags::from_bits_retain(OPEN_EXEC);
    OFlags::from_bits_retain(flags).difference(not)
}

impl Backing {
    /// Opens a file; `flags` are those of open(2).
    ///
    /// # Errors
    ///
    /// Those of openat(2).
    pub fn open_file(&self, node: &Arc<Node>, flags: u32) -> Result<Arc<File>, Errno> {
        let path = self.nodes.fd(node)?;
        let fd = match self.reopen(&path, lower_flags(flags)) {
            // To execute a program one need not be able to read it.
            Err(Errno::EACCES) if flags & OPEN_EXEC != 0 => {
                let may = rustix::fs::Access::EXEC_OK;
                rustix::fs::accessat(rustix::fs::CWD, self.proc_path(&path), may, AtFlags::EACCESS)?;
                super::creds::privileged(|| self.reopen(&path, lower_flags(flags)))?
            }
            // An append-only file opens for writing only to append, and cannot be written otherwise.
            Err(Errno::EPERM) if OFlags::from_bits_retain(flags).contains(OFlags::APPEND) => {
                self.reopen(&path, lower_flags(flags) | OFlags::APPEND)?
            }
            opened => opened?,
        };
        Ok(Arc::new(File::new(fd, Arc::clone(node), flags)))
    }

    /// Opens a directory for its records.
    ///
    /// # Errors
    ///
    /// Those of openat(2).
    pub fn open_dir(&self, node: &Arc<Node>) -> Result<Arc<File>, Errno> {
        let path = self.nodes.fd(node)?;
        let fd = self.reopen(&path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        Ok(Arc::new(File::new(fd, Arc::clone(node), 0)))
    }

    /// Gives `each` the records from position `offset` on, until it says stop (and has not taken that one) or there
    /// are no more in reach. Returns the position after the last one taken.
    ///
    /// # Errors
    ///
    /// Those of getdents64(2) and lseek(2).
    pub fn read_dir(
        &self,
        dir: &File,
        offset: u64,
        each: &mut dyn FnMut(&DirRecord<'_>) -> bool,
    ) -> Result<u64, Errno> {
        let mut position = dir.position.lock().unwrap_or_else(PoisonError::into_inner);
        if *position != offset {
            rustix::fs::seek(&dir.fd, SeekFrom::Start(offset))?;
        }
        // Until it is known where the system left off, the next reader has to seek.
        *position = u64::MAX;
        let mut buffer = [MaybeUninit::uninit(); RECORDS];
        let mut records = RawDir::new(&dir.fd, &mut buffer);
        let mut at = offset;
        let mut taken = 0;
        while let Some(record) = records.next() {
            let record = match record {
                Ok(record) => record,
                // What was taken is delivered; the error comes again.
                Err(_) if taken > 0 => return Ok(at),
                Err(error) => return Err(error.into()),
            };
            let next = record.next_entry_cookie();
            let name = record.file_name().to_bytes();
            let ino = self.nodes.record_ino(&dir.node, record.ino());
            let kind = u8::try_from(record.file_type().as_raw_mode() >> 12).unwrap_or(0);
            if !each(&DirRecord { ino, kind, name, offset: at, next }) {
                return Ok(at);
            }
            at = next;
            taken += 1;
            // The next step would ask the system again; what there is may be enough.
            if records.is_buffer_empty() {
                break;
            }
        }
        *position = at;
        Ok(at)
    }

    /// Reads at `offset`; less than asked for only at the end of the file.
    ///
    /// # Errors
    ///
    /// Those of pread(2).
    pub fn read(&self, file: &File, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        file.read_at(offset, buffer)
    }

    /// Writes at `offset`, or with `append` at the end.
    ///
    /// # Errors
    ///
    /// Those of pwrite(2). When some was written before an error, its length is the answer.
    pub fn write(&self, file: &File, offset: u64, data: &[u8], append: bool) -> Result<usize, Errno> {
        let flags = if append { ReadWriteFlags::APPEND } else { ReadWriteFlags::empty() };
        let mut done = 0;
        while done < data.len() {
            let rest = [std::io::IoSlice::new(&data[done..])];
            match rustix::io::pwritev2(&file.fd, &rest, offset + done as u64, flags) {
                Ok(0) => break,
                Ok(written) => done += written,
                Err(Os::INTR) => {}
                Err(_) if done > 0 => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(done)
    }

    /// What close(2) does for one owner: its POSIX locks go, and errors of writing come out.
    ///
    /// # Errors
    ///
    /// Those of close(2).
    pub fn flush(&self, file: &File, lock_owner: u64) -> Result<(), Errno> {
        self.locks.drop_owner(file.node.nodeid(), lock_owner);
        let duplicate = rustix::io::fcntl_dupfd_cloexec(&file.fd, 0)?;
        Ok(sys::close(duplicate)?)
    }

    /// Writes a file or directory down; with `data_only` only what is needed to read it back.
    ///
    /// # Errors
    ///
    /// Those of fsync(2).
    pub fn fsync(&self, file: &File, data_only: bool) -> Result<(), Errno> {
        Ok(if data_only { rustix::fs::fdatasync(&file.fd) } else { rustix::fs::fsync(&file.fd) }?)
    }

    /// Allocates, frees, zeroes or shifts a range; `mode` is that of fallocate(2).
    ///
    /// # Errors
    ///
    /// Those of fallocate(2).
    pub fn fallocate(&self, file: &File, mode: u32, offset: u64, len: u64) -> Result<(), Errno> {
        Ok(rustix::fs::fallocate(&file.fd, FallocateFlags::from_bits_retain(mode), offset, len)?)
    }

    /// Finds data or a hole; `whence` is that of lseek(2).
    ///
    /// # Errors
    ///
    /// Those of lseek(2).
    pub fn lseek(&self, file: &File, offset: u64, whence: u32) -> Result<u64, Errno> {
        let position = match i32::try_from(whence) {
            Ok(libc::SEEK_SET) => SeekFrom::Start(offset),
            Ok(libc::SEEK_END) => SeekFrom::End(offset.cast_signed()),
            Ok(libc::SEEK_DATA) => SeekFrom::Data(offset),
            Ok(libc::SEEK_HOLE) => SeekFrom::Hole(offset),
            _ => return Err(Errno::EINVAL),
        };
        Ok(rustix::fs::seek(&file.fd, position)?)
    }

    /// Copies between files, below where that can be done without moving data.
    ///
    /// # Errors
    ///
    /// Those of copy_file_range(2).
    pub fn copy_file_range(
        &self,
        from: &File,
        mut from_offset: u64,
        to: &File,
        mut to_offset: u64,
        len: u64,
        flags: u64,
    ) -> Result<usize, Errno> {
        if flags != 0 {
            return Err(Errno::EINVAL);
        }
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let (from, to) = (&from.fd, &to.fd);
        Ok(rustix::fs::copy_file_range(from, Some(&mut from_offset), to, Some(&mut to_offset), len)?)
    }

    /// Reads or sets inode flags and attributes. Returns the result and how much of `out` was filled.
    ///
    /// # Errors
    ///
    /// `ENOTTY` for any other ioctl.
    pub fn ioctl(
        &self,
        file: &File,
        command: u32,
        input: &[u8],
        out: &mut [u8],
    ) -> Result<(i32, usize), Errno> {
        let known = IOCTLS.iter().find(|ioctl| ioctl.command == command).ok_or(Errno::ENOTTY)?;
        let mut value = [0; 32];
        if known.sets {
            value[..known.size].copy_from_slice(input.get(..known.size).ok_or(Errno::EINVAL)?);
        }
        let result = sys::value_ioctl(&file.fd, known.command, &mut value)?;
        if known.sets {
            return Ok((result, 0));
        }
        out.get_mut(..known.size).ok_or(Errno::EINVAL)?.copy_from_slice(&value[..known.size]);
        Ok((result, known.size))
    }
}

/// An ioctl that means the same through the mount as below it.
pub(super) struct Ioctl {
    command: u32,
    /// Bytes of its argument that count: fewer than its number says for flags, which are an int.
    size: usize,
    sets: bool,
}

const fn ioctl(command: u32, size: usize, sets: bool) -> Ioctl {
    Ioctl { command, size, sets }
}

/// `FS_IOC_GETFLAGS`, `FS_IOC_SETFLAGS`, `FS_IOC_FSGETXATTR`, `FS_IOC_FSSETXATTR` (`linux/fs.h`).
pub(super) const IOCTLS: &[Ioctl] = &[
    ioctl(0x8008_6601, 4, false),
    ioctl(0x4008_6602, 4, true),
    ioctl(0x801c_581f, 28, false),
    ioctl(0x401c_5820, 28, true),
];
