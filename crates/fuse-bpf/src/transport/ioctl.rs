//! The one ioctl of `/dev/fuse` this crate needs.
#![allow(unsafe_code, reason = "ioctl(2) takes a pointer; see the block")]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::ioctl::{Setter, ioctl, opcode};

/// `FUSE_DEV_IOC_CLONE` (`linux/fuse.h`): `_IOR(229, 0, uint32_t)`.
const FUSE_DEV_IOC_CLONE: rustix::ioctl::Opcode = opcode::read::<u32>(229, 0);

/// Makes a fresh `/dev/fuse` descriptor a second queue of the connection behind `of`.
pub(super) fn clone_connection(fresh: BorrowedFd<'_>, of: impl AsFd) -> rustix::io::Result<()> {
    let number = of.as_fd().as_raw_fd().cast_unsigned();
    // SAFETY: the opcode takes a pointer to a `u32` that it only reads, which is what `Setter` passes.
    let clone = unsafe { Setter::<FUSE_DEV_IOC_CLONE, u32>::new(number) };
    // SAFETY: `clone` describes exactly the argument of its opcode, and the kernel keeps no pointer to it.
    unsafe { ioctl(fresh, clone) }
}
