//! Attributes.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{
    Access, AtFlags, Gid, Mode, OFlags, StatxFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, Uid,
};

use super::node::{Node, check_name, stat};
use super::{Backing, File, sys};
use crate::abi::flags::fattr;
use crate::abi::{fuse_attr, fuse_kstatfs, fuse_setattr_in, fuse_statx, fuse_sx_time};
use crate::errno::Errno;

/// A descriptor of an inode: the open file's where there is one.
enum Target<'f> {
    File(&'f File),
    Node(Arc<OwnedFd>),
}

impl AsFd for Target<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Target::File(file) => file.as_fd(),
            Target::Node(fd) => fd.as_fd(),
        }
    }
}

impl Backing {
    fn target<'f>(&self, node: &Node, file: Option<&'f File>) -> Result<Target<'f>, Errno> {
        match file {
            Some(file) => Ok(Target::File(file)),
            None => Ok(Target::Node(self.nodes.fd(node)?)),
        }
    }

    /// The attributes of an inode.
    ///
    /// # Errors
    ///
    /// Those of statx(2).
    pub fn getattr(&self, node: &Node, file: Option<&File>) -> Result<fuse_attr, Errno> {
        Ok(self.nodes.attr(&stat(self.target(node, file)?)?))
    }

    /// The attributes of an inode, with those only statx(2) has. `flags` says how fresh they must be.
    ///
    /// # Errors
    ///
    /// Those of statx(2).
    pub fn statx(
        &self,
        node: &Node,
        file: Option<&File>,
        mask: u32,
        flags: u32,
    ) -> Result<fuse_statx, Errno> {
        let sync =
            AtFlags::from_bits_retain(flags & (AtFlags::STATX_FORCE_SYNC | AtFlags::STATX_DONT_SYNC).bits());
        let known = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
        let mask = StatxFlags::from_bits_retain(mask) & known;
        let x = rustix::fs::statx(
            self.target(node, file)?,
            c"",
            AtFlags::EMPTY_PATH | sync,
            mask | StatxFlags::INO,
        )?;
        let time = |t: rustix::fs::StatxTimestamp| fuse_sx_time {
            tv_sec: t.tv_sec,
            tv_nsec: t.tv_nsec,
            __reserved: 0,
        };
        Ok(fuse_statx {
            mask: x.stx_mask & known.bits(),
            blksize: x.stx_blksize,
            attributes: x.stx_attributes.bits(),
            nlink: x.stx_nlink,
            uid: x.stx_uid,
            gid: x.stx_gid,
            mode: x.stx_mode,
            ino: self.nodes.ino(&x),
            size: x.stx_size,
            blocks: x.stx_blocks,
            attributes_mask: x.stx_attributes_mask.bits(),
            atime: time(x.stx_atime),
            btime: time(x.stx_btime),
            ctime: time(x.stx_ctime),
            mtime: time(x.stx_mtime),
            rdev_major: x.stx_rdev_major,
            rdev_minor: x.stx_rdev_minor,
            dev_major: x.stx_dev_major,
            dev_minor: x.stx_dev_minor,
            ..Default::default()
        })
    }

    /// Changes the attributes `set.valid` names.
    ///
    /// # Errors
    ///
    /// Those of chmod(2), chown(2), truncate(2) and utimensat(2).
    pub fn setattr(
        &self,
        node: &Node,
        file: Option<&File>,
        set: &fuse_setattr_in,
    ) -> Result<fuse_attr, Errno> {
        let has = |bit| set.valid & bit != 0;
        let fd = self.nodes.fd(node)?;
        // In this order: whoever gives a file away or closes it to themselves may still do the rest.
        if has(fattr::SIZE) {
            self.truncate(&fd, file, set.size)?;
        }
        if has(fattr::UID | fattr::GID) {
            let uid = has(fattr::UID).then(|| Uid::from_raw(set.uid));
            let gid = has(fattr::GID).then(|| Gid::from_raw(set.gid));
            rustix::fs::chownat(&*fd, c"", uid, gid, AtFlags::EMPTY_PATH)?;
        }
        const OTHERS: u32 =
            fattr::MODE | fattr::SIZE | fattr::ATIME | fattr::MTIME | fattr::ATIME_NOW | fattr::MTIME_NOW;
        if !has(fattr::UID | fattr::GID | OTHERS) {
            // A chown that changes no owner clears setuid and setgid. The kernel also sends this before a write; the
            // writer need not be the owner, and the write clears them then.
            match rustix::fs::chownat(&*fd, c"", None, None, AtFlags::EMPTY_PATH) {
                Ok(()) | Err(rustix::io::Errno::PERM) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if has(fattr::MODE) {
            rustix::fs::chmod(self.proc_path(&fd), Mode::from_raw_mode(set.mode & 0o7777))?;
        }
        if has(fattr::ATIME | fattr::MTIME | fattr::ATIME_NOW | fattr::MTIME_NOW) {
            let time = |bit, now, sec: u64, nsec: u32| match (has(bit), has(now)) {
                (_, true) => Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
                (true, _) => Timespec { tv_sec: sec.cast_signed(), tv_nsec: nsec.into() },
                _ => Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            };
            let times = Timestamps {
                last_access: time(fattr::ATIME, fattr::ATIME_NOW, set.atime, set.atimensec),
                last_modification: time(fattr::MTIME, fattr::MTIME_NOW, set.mtime, set.mtimensec),
            };
            rustix::fs::utimensat(&*fd, c"", &times, AtFlags::EMPTY_PATH)?;
        }
        Ok(self.nodes.attr(&stat(&*fd)?))
    }

    fn truncate(&self, fd: &OwnedFd, file: Option<&File>, size: u64) -> Result<(), Errno> {
        if let Some(file) = file.filter(|file| file.is_writable()) {
            return Ok(rustix::fs::ftruncate(file, size)?);
        }
        let path = CString::new(self.proc_path(fd)).map_err(|_| Errno::EINVAL)?;
        let size = i64::try_from(size).map_err(|_| Errno::EFBIG)?;
        Ok(sys::truncate(&path, size)?)
    }

    /// The target of a symbolic link; returns its length.
    ///
    /// # Errors
    ///
    /// Those of readlinkat(2).
    pub fn readlink(&self, node: &Node, buffer: &mut [u8]) -> Result<usize, Errno> {
        let fd = self.nodes.fd(node)?;
        Ok(rustix::fs::readlinkat_raw(&*fd, c"", buffer)?)
    }

    /// As [`Backing::readlink`], of the symbolic link of this name in the directory where an inode was last found.
    ///
    /// # Errors
    ///
    /// Those of readlinkat(2); `EINVAL` for what is no name.
    pub fn readlink_beside(&self, node: &Node, name: &CStr, buffer: &mut [u8]) -> Result<usize, Errno> {
        check_name(name)?;
        let dir = self.nodes.fd(&*self.nodes.get(node.parent())?)?;
        Ok(rustix::fs::readlinkat_raw(&*dir, name, buffer)?)
    }

    /// Whether the acting caller may do what `mask` says (`R_OK` and its kind).
    ///
    /// # Errors
    ///
    /// `EACCES` when it may not.
    pub fn access(&self, node: &Node, mask: u32) -> Result<(), Errno> {
        let fd = self.nodes.fd(node)?;
        let mode = Access::from_bits_retain(mask & 7);
        Ok(rustix::fs::accessat(rustix::fs::CWD, self.proc_path(&fd), mode, AtFlags::EACCESS)?)
    }

    /// Numbers of the file system an inode is on.
    ///
    /// # Errors
    ///
    /// Those of fstatfs(2).
    pub fn statfs(&self, node: &Node) -> Result<fuse_kstatfs, Errno> {
        let fd = self.nodes.fd(node)?;
        let st = rustix::fs::fstatfs(&*fd)?;
        Ok(fuse_kstatfs {
            blocks: st.f_blocks,
            bfree: st.f_bfree,
            bavail: st.f_bavail,
            files: st.f_files,
            ffree: st.f_ffree,
            bsize: u32::try_from(st.f_bsize).unwrap_or(u32::MAX),
            namelen: u32::try_from(st.f_namelen).unwrap_or(255),
            frsize: u32::try_from(st.f_frsize).unwrap_or(u32::MAX),
            ..Default::default()
        })
    }

    /// Writes down the file system an inode is on.
    ///
    /// # Errors
    ///
    /// Those of syncfs(2).
    pub fn syncfs(&self, node: &Node) -> Result<(), Errno> {
        let fd = self.nodes.fd(node)?;
        let directory = if node.mode() == libc::S_IFDIR { fd } else { self.nodes.fd(&self.root)? };
        let open = self.reopen(&directory, OFlags::RDONLY | OFlags::DIRECTORY)?;
        Ok(rustix::fs::syncfs(open)?)
    }
}
