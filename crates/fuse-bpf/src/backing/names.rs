//! Names in directories.

use std::cell::Cell;
use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, ResolveFlags, StatxFlags};

use super::node::{Node, check_name, decode_device, open_path, wanted};
use super::{Backing, Entry, File, sys};
use crate::errno::Errno;

thread_local! {
    static OWN_UMASK: Cell<bool> = const { Cell::new(false) };
}

/// Gives this thread a umask of its own, once.
pub(super) fn own_umask() -> rustix::io::Result<()> {
    if !OWN_UMASK.get() {
        sys::own_umask()?;
        OWN_UMASK.set(true);
    }
    Ok(())
}

/// Lets the kernel apply the caller's umask as it would to the caller: not where a default ACL rules.
fn with_umask<T>(umask: u32, create: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    own_umask()?;
    rustix::process::umask(Mode::from_raw_mode(umask & 0o777));
    create()
}

impl Backing {
    /// Finds a name.
    ///
    /// # Errors
    ///
    /// Those of openat(2); `EINVAL` for what is no name.
    pub fn lookup(&self, dir: &Node, name: &CStr) -> Result<Entry, Errno> {
        check_name(name)?;
        let dir_fd = self.nodes.fd(dir)?;
        let fd = self.nodes.with_descriptors(|| open_path(&*dir_fd, name))?;
        self.entry(dir, name, fd)
    }

    /// Makes a symbolic link.
    ///
    /// # Errors
    ///
    /// Those of symlinkat(2).
    pub fn symlink(&self, dir: &Node, name: &CStr, target: &CStr) -> Result<Entry, Errno> {
        check_name(name)?;
        let fd = self.nodes.fd(dir)?;
        rustix::fs::symlinkat(target, &*fd, name)?;
        self.lookup(dir, name)
    }

    /// Makes a file that is no directory: `mode` with its type, `rdev` as FUSE encodes it.
    ///
    /// # Errors
    ///
    /// Those of mknodat(2).
    pub fn mknod(&self, dir: &Node, name: &CStr, mode: u32, rdev: u32, umask: u32) -> Result<Entry, Errno> {
        check_name(name)?;
        let fd = self.nodes.fd(dir)?;
        let (major, minor) = decode_device(rdev);
        let device = rustix::fs::makedev(major, minor);
        let (kind, mode) = (FileType::from_raw_mode(mode), Mode::from_raw_mode(mode & 0o7777));
        with_umask(umask, || Ok(rustix::fs::mknodat(&*fd, name, kind, mode, device)?))?;
        self.lookup(dir, name)
    }

    /// Makes a directory.
    ///
    /// # Errors
    ///
    /// Those of mkdirat(2).
    pub fn mkdir(&self, dir: &Node, name: &CStr, mode: u32, umask: u32) -> Result<Entry, Errno> {
        check_name(name)?;
        let fd = self.nodes.fd(dir)?;
        with_umask(umask, || Ok(rustix::fs::mkdirat(&*fd, name, Mode::from_raw_mode(mode & 0o7777))?))?;
        self.lookup(dir, name)
    }

    /// Gives a file another name.
    ///
    /// # Errors
    ///
    /// Those of linkat(2).
    pub fn link(&self, node: &Node, dir: &Node, name: &CStr) -> Result<Entry, Errno> {
        check_name(name)?;
        let (fd, dir_fd) = (self.nodes.fd(node)?, self.nodes.fd(dir)?);
        // AT_EMPTY_PATH would need a capability the caller may lack.
        rustix::fs::linkat(rustix::fs::CWD, self.proc_path(&fd), &*dir_fd, name, AtFlags::SYMLINK_FOLLOW)?;
        self.lookup(dir, name)
    }

    /// Removes a file's name.
    ///
    /// # Errors
    ///
    /// Those of unlinkat(2).
    pub fn unlink(&self, dir: &Node, name: &CStr) -> Result<(), Errno> {
        self.remove(dir, name, AtFlags::empty())
    }

    /// Removes a directory.
    ///
    /// # Errors
    ///
    /// Those of unlinkat(2).
    pub fn rmdir(&self, dir: &Node, name: &CStr) -> Result<(), Errno> {
        self.remove(dir, name, AtFlags::REMOVEDIR)
    }

    fn remove(&self, dir: &Node, name: &CStr, flags: AtFlags) -> Result<(), Errno> {
        check_name(name)?;
        let fd = self.nodes.fd(dir)?;
        let victim = self.last_name(dir, &fd, name);
        rustix::fs::unlinkat(&*fd, name, flags)?;
        self.keep(victim);
        Ok(())
    }

    /// The inode behind a name, if the kernel knows it and could not find it again without the name; with a descriptor.
    fn last_name(&self, dir: &Node, dir_fd: &OwnedFd, name: &CStr) -> Option<(Arc<Node>, Arc<OwnedFd>)> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let stat = rustix::fs::statx(dir_fd, name, flags, wanted() | StatxFlags::NLINK).ok()?;
        let node = self.nodes.known(&stat)?;
        let last = stat.stx_nlink <= 1 || node.mode() == libc::S_IFDIR;
        if !last && !self.nodes.needs_name(&node, dir.nodeid(), name) {
            return None;
        }
        let fd = self.nodes.fd(&node).ok()?;
        Some((node, fd))
    }

    /// An inode whose name is gone stays reachable by its descriptor.
    fn keep(&self, victim: Option<(Arc<Node>, Arc<OwnedFd>)>) {
        if let Some((node, fd)) = victim {
            self.nodes.pin(&node, fd);
        }
    }

    /// Moves a name; `flags` are those of renameat2(2). Returns the inode that was moved, if it is known.
    ///
    /// # Errors
    ///
    /// Those of renameat2(2).
    pub fn rename(
        &self,
        dir: &Node,
        name: &CStr,
        to: &Node,
        new_name: &CStr,
        flags: u32,
    ) -> Result<Option<Arc<Node>>, Errno> {
        check_name(name)?;
        check_name(new_name)?;
        let (from_fd, to_fd) = (self.nodes.fd(dir)?, self.nodes.fd(to)?);
        let flags = RenameFlags::from_bits_retain(flags);
        let known = |fd: &OwnedFd, name: &CStr| {
            let stat = rustix::fs::statx(fd, name, AtFlags::SYMLINK_NOFOLLOW, wanted()).ok()?;
            self.nodes.known(&stat)
        };
        let (moved, replaced) = (known(&from_fd, name), known(&to_fd, new_name));
        let exchange = flags.contains(RenameFlags::EXCHANGE);
        let victim = if exchange { None } else { self.last_name(to, &to_fd, new_name) };
        rustix::fs::renameat_with(&*from_fd, name, &*to_fd, new_name, flags)?;
        self.keep(victim);
        if let Some(node) = &moved {
            node.moved(to.nodeid(), new_name);
        }
        if let Some(node) = replaced.filter(|_| exchange) {
            node.moved(dir.nodeid(), name);
        }
        Ok(moved)
    }

    /// Makes and opens a file; `flags` are those of open(2).
    ///
    /// # Errors
    ///
    /// Those of openat(2).
    pub fn create(
        &self,
        dir: &Node,
        name: &CStr,
        mode: u32,
        umask: u32,
        flags: u32,
    ) -> Result<(Entry, Arc<File>), Errno> {
        check_name(name)?;
        let dir_fd = self.nodes.fd(dir)?;
        let open = super::file::lower_flags(flags) | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = open | OFlags::from_bits_retain(flags & libc::O_EXCL.cast_unsigned());
        let mode = Mode::from_raw_mode(mode & 0o7777);
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let fd = with_umask(umask, || {
            self.nodes.with_descriptors(|| Ok(rustix::fs::openat2(&*dir_fd, name, open, mode, beneath)?))
        })?;
        // The name may lead elsewhere by now; the inode is the one that was opened.
        let path = super::creds::privileged(|| self.reopen(&fd, OFlags::PATH))?;
        let entry = self.entry(dir, name, path)?;
        let file = File::new(fd, Arc::clone(&entry.node), flags);
        Ok((entry, Arc::new(file)))
    }

    /// Makes and opens a file without a name.
    ///
    /// # Errors
    ///
    /// Those of openat(2) with `O_TMPFILE`.
    pub fn tmpfile(
        &self,
        dir: &Node,
        mode: u32,
        umask: u32,
        flags: u32,
    ) -> Result<(Entry, Arc<File>), Errno> {
        let dir_fd = self.nodes.fd(dir)?;
        let open = super::file::lower_flags(flags) | OFlags::TMPFILE | OFlags::CLOEXEC;
        let open = open | OFlags::from_bits_retain(flags & libc::O_EXCL.cast_unsigned());
        let mode = Mode::from_raw_mode(mode & 0o7777);
        let fd = with_umask(umask, || {
            self.nodes.with_descriptors(|| Ok(rustix::fs::openat(&*dir_fd, c".", open, mode)?))
        })?;
        let path = super::creds::privileged(|| self.reopen(&fd, OFlags::PATH))?;
        let entry = self.entry(dir, c"", path)?;
        self.nodes.pin(&entry.node, self.nodes.fd(&entry.node)?);
        let file = File::new(fd, Arc::clone(&entry.node), flags);
        Ok((entry, Arc::new(file)))
    }
}
