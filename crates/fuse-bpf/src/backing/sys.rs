//! System calls rustix has no safe form of.
#![allow(unsafe_code, reason = "libc calls, each with its proof")]

use std::ffi::{CStr, c_int, c_uint};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

use rustix::io::Errno as Os;

use crate::abi::fuse_file_lock;

/// Longest file handle, in bytes (`MAX_HANDLE_SZ` of the kernel).
const MAX_HANDLE: usize = 128;

/// A file handle: finds an inode again after its last descriptor was closed, and never another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileHandle {
    kind: c_int,
    bytes: Box<[u8]>,
}

/// `struct file_handle` with room.
#[repr(C)]
struct RawHandle {
    bytes: c_uint,
    kind: c_int,
    data: [u8; MAX_HANDLE],
}

fn last_error() -> Os {
    Os::from_raw_os_error(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

impl FileHandle {
    /// The handle of the inode behind a descriptor, of any kind.
    pub(super) fn of(fd: impl AsFd) -> Result<FileHandle, Os> {
        let mut raw = RawHandle { bytes: MAX_HANDLE as c_uint, kind: 0, data: [0; MAX_HANDLE] };
        let mut mount: c_int = 0;
        let target: *mut libc::file_handle = (&raw mut raw).cast();
        let path = c"".as_ptr();
        let fd = fd.as_fd();
        // SAFETY: the descriptor is open for the call, the path is a C string, `target` points to a `file_handle`
        // header followed by as many bytes as its `handle_bytes` says, and `mount` is a valid place for an int.
        let result =
            unsafe { libc::name_to_handle_at(fd.as_raw_fd(), path, target, &mut mount, libc::AT_EMPTY_PATH) };
        if result != 0 {
            return Err(last_error());
        }
        let len = (raw.bytes as usize).min(MAX_HANDLE);
        Ok(FileHandle { kind: raw.kind, bytes: raw.data[..len].into() })
    }

    /// Opens the inode, `O_PATH`. `mount` is any descriptor on its mount that is not `O_PATH`.
    pub(super) fn open(&self, mount: impl AsFd) -> Result<OwnedFd, Os> {
        let mut raw = RawHandle { bytes: self.bytes.len() as c_uint, kind: self.kind, data: [0; MAX_HANDLE] };
        raw.data[..self.bytes.len()].copy_from_slice(&self.bytes);
        let handle: *mut libc::file_handle = (&raw mut raw).cast();
        let mount = mount.as_fd();
        let flags = libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        // SAFETY: the descriptor is open for the call and `handle` points to a `file_handle` header followed by as
        // many bytes as it says.
        let fd = unsafe { libc::open_by_handle_at(mount.as_raw_fd(), handle, flags) };
        if fd < 0 {
            return Err(last_error());
        }
        // SAFETY: the call returned a fresh descriptor nobody else owns.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// Gives the calling thread a umask of its own.
pub(super) fn own_umask() -> Result<(), Os> {
    // SAFETY: `unshare` takes no pointer. CLONE_FS parts this thread's umask and working directory from those of the
    // process, of which this crate's threads use neither by another path.
    let result = unsafe { libc::unshare(libc::CLONE_FS) };
    if result == 0 { Ok(()) } else { Err(last_error()) }
}

/// What to do with an open-file-description lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LockCommand {
    /// `F_OFD_GETLK`: what is in the way?
    Get,
    /// `F_OFD_SETLK`: take it or drop it, without waiting.
    Set,
}

/// Asks for, takes or drops a lock that belongs to the open file description. Ranges are FUSE's: `end` is
/// inclusive and `i64::MAX` or more means to the end of the file.
pub(super) fn description_lock(
    fd: impl AsFd,
    command: LockCommand,
    lock: &fuse_file_lock,
) -> Result<fuse_file_lock, Os> {
    let start = i64::try_from(lock.start).map_err(|_| Os::INVAL)?;
    let len = match i64::try_from(lock.end) {
        Ok(end) if end < i64::MAX => end.checked_sub(start).ok_or(Os::INVAL)? + 1,
        _ => 0,
    };
    // SAFETY: every field of `flock` is an integer, for which zero is a value.
    let mut raw: libc::flock = unsafe { MaybeUninit::zeroed().assume_init() };
    raw.l_type = libc::c_short::try_from(lock.r#type).map_err(|_| Os::INVAL)?;
    raw.l_whence = libc::SEEK_SET as libc::c_short;
    raw.l_start = start;
    raw.l_len = len;
    let command = match command {
        LockCommand::Get => libc::F_OFD_GETLK,
        LockCommand::Set => libc::F_OFD_SETLK,
    };
    let fd = fd.as_fd();
    // SAFETY: the descriptor is open for the call and both commands take a pointer to a `flock`, which they read
    // and write within its bounds.
    let result = unsafe { libc::fcntl(fd.as_raw_fd(), command, &raw mut raw) };
    if result != 0 {
        return Err(last_error());
    }
    let end = if raw.l_len == 0 { i64::MAX } else { raw.l_start.saturating_add(raw.l_len - 1) };
    Ok(fuse_file_lock {
        start: raw.l_start.cast_unsigned(),
        end: end.cast_unsigned(),
        r#type: u32::try_from(raw.l_type).unwrap_or(0),
        pid: u32::try_from(raw.l_pid).unwrap_or(0),
    })
}

/// An ioctl that reads or writes a small fixed-size value: `value` is the argument, in and out. Its length must be
/// the one in the command.
pub(super) fn value_ioctl(fd: impl AsFd, command: u32, value: &mut [u8; 32]) -> Result<c_int, Os> {
    debug_assert!((command >> 16 & 0x3fff) as usize <= value.len(), "argument larger than its room");
    let fd = fd.as_fd();
    // SAFETY: the descriptor is open for the call; callers pass only commands of `super::file::IOCTLS`, whose argument
    // is a pointer to at most 28 bytes, and `value` has 32.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), command.into(), value.as_mut_ptr()) };
    if result < 0 { Err(last_error()) } else { Ok(result) }
}

/// Closes a descriptor and says how that went: some file systems report failed writes here.
pub(super) fn close(fd: OwnedFd) -> Result<(), Os> {
    // SAFETY: the descriptor is owned, so nobody else uses or closes it.
    let result = unsafe { libc::close(fd.into_raw_fd()) };
    if result == 0 { Ok(()) } else { Err(last_error()) }
}

/// Shortens or extends what a path leads to, following magic links of `/proc`.
pub(super) fn truncate(path: &CStr, size: i64) -> Result<(), Os> {
    // SAFETY: the path is a C string.
    let result = unsafe { libc::truncate(path.as_ptr(), size) };
    if result == 0 { Ok(()) } else { Err(last_error()) }
}
