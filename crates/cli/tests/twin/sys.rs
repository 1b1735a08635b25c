//! System calls that need `unsafe`, as safe functions. The only module of the tests that may use it.
#![allow(unsafe_code, reason = "each call is one system call, with its argument why it is sound")]

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::ptr;
use std::time::Duration;

/// Turns the -1 of a system call into its error.
fn cvt<T: PartialOrd + Default>(result: T) -> io::Result<T> {
    if result < T::default() { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Becomes another user for good.
pub(crate) fn become_user(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    // SAFETY: the pointer and the length describe one slice.
    cvt(unsafe { libc::setgroups(groups.len(), groups.as_ptr()) })?;
    // SAFETY: plain integers.
    cvt(unsafe { libc::setresgid(gid, gid, gid) })?;
    // SAFETY: plain integers.
    cvt(unsafe { libc::setresuid(uid, uid, uid) })?;
    Ok(())
}

/// Runs `body` in a forked child; its result is the exit status. The caller has one thread.
pub(crate) fn fork(body: impl FnOnce() -> i32) -> io::Result<Child> {
    // SAFETY: cases run in a process with one thread, so the child may use everything.
    let pid = cvt(unsafe { libc::fork() })?;
    if pid == 0 {
        let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(101);
        // SAFETY: ends this process; nothing of it is used afterwards.
        unsafe { libc::_exit(code) }
    }
    Ok(Child { pid, done: false })
}

/// A forked child, killed and reaped when dropped.
#[derive(Debug)]
pub(crate) struct Child {
    pid: i32,
    done: bool,
}

impl Child {
    /// Sends a signal.
    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: the child has not been reaped, so the id is still its own.
        unsafe { libc::kill(self.pid, signal) };
    }

    /// Waits; the exit status, or 1000 and the signal.
    pub(crate) fn wait(mut self) -> i32 {
        self.reap()
    }

    fn reap(&mut self) -> i32 {
        let mut status = 0;
        // SAFETY: `status` is valid for writes.
        while unsafe { libc::waitpid(self.pid, &mut status, 0) } < 0 {
            if io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
                break;
            }
        }
        self.done = true;
        if libc::WIFSIGNALED(status) { 1000 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.done {
            self.signal(libc::SIGKILL);
            self.reap();
        }
    }
}

extern "C" fn nothing(_: libc::c_int) {}

/// Installs a handler that does nothing, so that the signal interrupts system calls.
pub(crate) fn interruptible_by(signal: i32) -> io::Result<()> {
    // SAFETY: all zero is a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as *const () as usize;
    // SAFETY: `action` is initialised; the handler touches nothing.
    cvt(unsafe { libc::sigaction(signal, &action, ptr::null_mut()) })?;
    Ok(())
}

/// Sends this process `SIGALRM` after a while.
pub(crate) fn alarm_in(after: Duration) -> io::Result<()> {
    interruptible_by(libc::SIGALRM)?;
    let none = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let value = libc::timeval {
        tv_sec: libc::time_t::try_from(after.as_secs()).unwrap_or(0),
        tv_usec: libc::suseconds_t::from(after.subsec_micros()),
    };
    let timer = libc::itimerval { it_interval: none, it_value: value };
    // SAFETY: `timer` is initialised and no old value is asked for.
    cvt(unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, ptr::null_mut()) })?;
    Ok(())
}

/// A record lock as fcntl(2) takes and gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lock {
    pub(crate) kind: i32,
    pub(crate) start: i64,
    pub(crate) len: i64,
}

impl Lock {
    pub(crate) fn write(start: i64, len: i64) -> Lock {
        Lock { kind: libc::F_WRLCK, start, len }
    }

    pub(crate) fn read(start: i64, len: i64) -> Lock {
        Lock { kind: libc::F_RDLCK, start, len }
    }

    pub(crate) fn none(start: i64, len: i64) -> Lock {
        Lock { kind: libc::F_UNLCK, start, len }
    }
}

/// Any of the six record lock commands of fcntl(2).
pub(crate) fn lock(file: &impl AsRawFd, command: i32, lock: Lock) -> io::Result<Lock> {
    // SAFETY: all zero is a valid `flock`.
    let mut raw: libc::flock = unsafe { std::mem::zeroed() };
    raw.l_type = i16::try_from(lock.kind).unwrap_or(-1);
    raw.l_whence = 0;
    raw.l_start = lock.start;
    raw.l_len = lock.len;
    // SAFETY: the descriptor is open and these commands take a `flock`.
    cvt(unsafe { libc::fcntl(file.as_raw_fd(), command, &mut raw) })?;
    Ok(Lock { kind: i32::from(raw.l_type), start: raw.l_start, len: raw.l_len })
}

/// flock(2).
pub(crate) fn flock(file: &impl AsRawFd, operation: i32) -> io::Result<()> {
    // SAFETY: the descriptor is open.
    cvt(unsafe { libc::flock(file.as_raw_fd(), operation) })?;
    Ok(())
}

/// A directory stream.
#[derive(Debug)]
pub(crate) struct Stream {
    stream: *mut libc::DIR,
}

/// A record of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) name: OsString,
    pub(crate) kind: u8,
    pub(crate) ino: u64,
}

impl Stream {
    pub(crate) fn open(path: &Path) -> io::Result<Stream> {
        let path = c_path(path)?;
        // SAFETY: a valid C string.
        let stream = unsafe { libc::opendir(path.as_ptr()) };
        if stream.is_null() { Err(io::Error::last_os_error()) } else { Ok(Stream { stream }) }
    }

    /// The next record, also `.` and `..`.
    pub(crate) fn next(&mut self) -> io::Result<Option<Record>> {
        // SAFETY: errno is this thread's own.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: the location is valid while the thread lives.
        unsafe { *errno = 0 };
        // SAFETY: the stream is open.
        let entry = unsafe { libc::readdir64(self.stream) };
        if entry.is_null() {
            let error = io::Error::last_os_error();
            return if error.raw_os_error() == Some(0) { Ok(None) } else { Err(error) };
        }
        // SAFETY: valid until the next call on this stream. `addr_of` because the record may be shorter than
        // the type.
        let name = unsafe { ptr::addr_of!((*entry).d_name) };
        // SAFETY: as above, and the name ends with NUL.
        let name = unsafe { std::ffi::CStr::from_ptr(name.cast()) };
        // SAFETY: as above.
        let kind = unsafe { (*entry).d_type };
        // SAFETY: as above.
        let ino = unsafe { (*entry).d_ino };
        Ok(Some(Record { name: OsString::from_vec(name.to_bytes().to_vec()), kind, ino }))
    }

    /// All that is left, without `.` and `..`.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<Record>> {
        let mut all = Vec::new();
        while let Some(record) = self.next()? {
            if record.name != "." && record.name != ".." {
                all.push(record);
            }
        }
        Ok(all)
    }

    pub(crate) fn tell(&mut self) -> i64 {
        // SAFETY: the stream is open.
        unsafe { libc::telldir(self.stream) }
    }

    pub(crate) fn seek(&mut self, to: i64) {
        // SAFETY: the stream is open and `to` came from `tell`.
        unsafe { libc::seekdir(self.stream, to) }
    }

    pub(crate) fn rewind(&mut self) {
        // SAFETY: the stream is open.
        unsafe { libc::rewinddir(self.stream) }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: open, and closed once.
        unsafe { libc::closedir(self.stream) };
    }
}

/// A mapping of a file.
#[derive(Debug)]
pub(crate) struct Mapping {
    at: *mut libc::c_void,
    len: usize,
}

impl Mapping {
    pub(crate) fn new(file: &impl AsRawFd, len: usize, write: bool, shared: bool) -> io::Result<Mapping> {
        let prot = if write { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        let flags = if shared { libc::MAP_SHARED } else { libc::MAP_PRIVATE };
        // SAFETY: a new mapping at an address the kernel chooses.
        let at = unsafe { libc::mmap(ptr::null_mut(), len, prot, flags, file.as_raw_fd(), 0) };
        if at == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Mapping { at, len }) }
    }

    pub(crate) fn read(&self, offset: usize, len: usize) -> Vec<u8> {
        assert!(offset + len <= self.len, "outside of the mapping");
        let mut bytes = vec![0; len];
        // SAFETY: inside of the mapping.
        let from = unsafe { self.at.cast::<u8>().add(offset) };
        // SAFETY: both have `len` bytes; others may write meanwhile, which for bytes is a stale value only.
        unsafe { ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), len) };
        bytes
    }

    pub(crate) fn write(&mut self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.len, "outside of the mapping");
        // SAFETY: inside of the mapping.
        let to = unsafe { self.at.cast::<u8>().add(offset) };
        // SAFETY: both have `bytes.len()` bytes, and the mapping was made for writing.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        // SAFETY: exactly the mapping.
        cvt(unsafe { libc::msync(self.at, self.len, libc::MS_SYNC) })?;
        Ok(())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping, unmapped once; nothing borrows from it.
        unsafe { libc::munmap(self.at, self.len) };
    }
}

/// An ioctl(2) with an integer to read and write.
pub(crate) fn ioctl(fd: BorrowedFd<'_>, request: u64, value: &mut [u8; 64]) -> io::Result<i32> {
    // SAFETY: no request used by the tests touches more than 64 bytes.
    cvt(unsafe { libc::ioctl(fd.as_raw_fd(), request as _, value.as_mut_ptr()) })
}

/// Whether this process may do that with the file: faccessat2(2).
pub(crate) fn access(path: &Path, mode: i32, flags: i32) -> io::Result<()> {
    let path = c_path(path)?;
    // SAFETY: a valid C string and plain integers.
    cvt(unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), mode, flags) })?;
    Ok(())
}

/// readlink(2) into a buffer of that size.
pub(crate) fn readlink(path: &Path, size: usize) -> io::Result<Vec<u8>> {
    let path = c_path(path)?;
    let mut buffer = vec![0u8; size];
    // SAFETY: the buffer has `size` bytes.
    let len = cvt(unsafe { libc::readlink(path.as_ptr(), buffer.as_mut_ptr().cast(), size) })?;
    buffer.truncate(usize::try_from(len).unwrap_or(0));
    Ok(buffer)
}

/// Unmounts without waiting for users.
pub(crate) fn detach(path: &Path) {
    if let Ok(path) = c_path(path) {
        // SAFETY: a valid C string.
        unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
    }
}

/// Sends a signal to a child of this process, unless it has ended.
pub(crate) fn signal(child: &mut std::process::Child, signal: i32) {
    if let (Ok(None), Ok(pid)) = (child.try_wait(), i32::try_from(child.id())) {
        // SAFETY: plain integers; the child has not been reaped, so the id is its own.
        unsafe { libc::kill(pid, signal) };
    }
}

/// poll(2) without waiting.
pub(crate) fn poll(file: &impl AsRawFd) -> io::Result<i16> {
    let mut poll = libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN | libc::POLLOUT, revents: 0 };
    // SAFETY: one valid `pollfd`.
    cvt(unsafe { libc::poll(&mut poll, 1, 0) })?;
    Ok(poll.revents)
}

/// Bytes in memory aligned for `O_DIRECT`.
#[derive(Debug)]
pub(crate) struct Aligned {
    bytes: Vec<u8>,
    at: usize,
    len: usize,
}

impl Aligned {
    pub(crate) fn new(len: usize, fill: u8) -> Aligned {
        let bytes = vec![fill; len + 4096];
        let at = bytes.as_ptr().align_offset(4096);
        Aligned { bytes, at, len }
    }

    pub(crate) fn get(&mut self) -> &mut [u8] {
        &mut self.bytes[self.at..self.at + self.len]
    }
}

/// How long the value is: lgetxattr(2) without a buffer.
pub(crate) fn xattr_size(path: &Path, name: &str) -> io::Result<isize> {
    let (path, name) = (c_path(path)?, c_path(Path::new(name))?);
    // SAFETY: valid C strings, and no buffer of no length.
    cvt(unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), ptr::null_mut(), 0) })
}

/// How long the list of names is: llistxattr(2) without a buffer.
pub(crate) fn xattr_list_size(path: &Path) -> io::Result<isize> {
    let path = c_path(path)?;
    // SAFETY: a valid C string, and no buffer of no length.
    cvt(unsafe { libc::llistxattr(path.as_ptr(), ptr::null_mut(), 0) })
}
