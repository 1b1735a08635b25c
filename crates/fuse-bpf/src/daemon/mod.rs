//! The FUSE daemon beside the backing directory: what no backing object serves, what filters hand over, and filters
//! of its own.
//!
//! [`Daemon`] is what a daemon is to the mount; [`Peer`] is an ordinary one at the other end of a socket pair, [`Command`] starts
//! it. [`Link`] is the mount's end: it translates between the kernel's numbers and the daemon's, asks it as a filter
//! (`filter`), and does in its place what the kernel would do for a file system without some operation (`absent`).
//!
//! A daemon costs those operations an error that it does not answer in time, or with nonsense; never the mount.

mod absent;
mod command;
mod filter;
mod handles;
mod link;
mod notify;
mod peer;

pub use command::{Command, CommandError};
pub use handles::{DaemonFile, Handles};
pub use link::Link;
pub use notify::Notifier;
pub use peer::{Peer, PeerError, pair};

use std::os::fd::OwnedFd;

use crate::errno::Errno;
use crate::transport::Request;

/// Most data in one message to or from a daemon, in bytes: a message has to fit the buffer of a socket.
pub const MAX_WRITE: u32 = 128 << 10;

/// What a daemon answers.
#[derive(Debug, Default)]
pub struct Answer {
    /// What a prefilter wants to happen next: one of `BPF_FUSE_*`. 0 otherwise.
    pub verdict: u32,
    /// The results, as on the wire.
    pub body: Vec<u8>,
    /// Descriptors that came with them: the object of a backing block.
    pub fds: Vec<OwnedFd>,
}

/// A FUSE daemon. Numbers of inodes and files are its own.
pub trait Daemon: Send + Sync + std::fmt::Debug {
    /// Answers a request of the FUSE protocol. With `FUSE_PREFILTER` or `FUSE_POSTFILTER` in the opcode it is asked as a
    /// filter: it gets the arguments, and afterwards the results, and answers with the ones it changed. Many
    /// threads ask at once.
    ///
    /// # Errors
    ///
    /// What the operation fails with. `ENOSYS` for an operation the daemon does not have.
    fn serve(&self, request: &Request<'_>) -> Result<Answer, Errno>;

    /// Hears what is not answered: FORGET, INTERRUPT with the `unique` of a request of [`Daemon::serve`], and NOTIFY_REPLY with
    /// that of a notification.
    fn tell(&self, request: &Request<'_>) {
        let _ = request;
    }

    /// The capabilities it takes part in.
    fn capabilities(&self) -> Capabilities {
        Capabilities::all()
    }

    /// Told when the mount is there. The notifier tells the kernel what has changed.
    fn mounted(&self, notifier: Notifier) {
        let _ = notifier;
    }

    /// Told when the mount is gone.
    fn unmounted(&self) {}
}

bitflags::bitflags! {
    /// What of the protocol a daemon takes part in, by the bits of INIT (`FUSE_*` of `linux/fuse.h`). Where it does not,
    /// it is sent what the kernel would send it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Capabilities: u64 {
        /// Opens may truncate; else they are followed by a SETATTR.
        const ATOMIC_O_TRUNC = 1 << 3;
        /// The daemon applies the umask.
        const DONT_MASK = 1 << 6;
        /// It has READDIRPLUS.
        const DO_READDIRPLUS = 1 << 13;
        /// It clears setuid and setgid as it is told.
        const HANDLE_KILLPRIV_V2 = 1 << 28;
        /// `fuse_setxattr_in` has all its fields.
        const SETXATTR_EXT = 1 << 29;
    }
}
