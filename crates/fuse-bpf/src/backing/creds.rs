//! Acting as the caller: a thread takes on the ids of the process it works for.
//!
//! Only the effective ids of the calling thread change, so they can be taken back: real and saved ids stay root's.
//! With the effective user id the kernel takes away the capabilities, and gives them back with it.

use std::cell::Cell;
use std::marker::PhantomData;

use rustix::fs::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::errno::Errno;

/// The process an operation is done for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Caller {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Thread id, to look up its other groups.
    pub pid: u32,
    /// The group a created file will get, when the kernel vouches that the caller is in it.
    pub group: Option<u32>,
}

thread_local! {
    /// The ids this thread has taken on.
    static ACTING: Cell<Option<(u32, u32)>> = const { Cell::new(None) };
}

/// While it lives, this thread has the ids of a caller. Bound to its thread.
#[derive(Debug)]
pub struct ActAs {
    _thread: PhantomData<*const ()>,
}

fn set_uid(effective: u32) -> rustix::io::Result<()> {
    set_thread_res_uid(None, Uid::from_raw(effective), None)
}

fn set_gid(effective: u32) -> rustix::io::Result<()> {
    set_thread_res_gid(None, Gid::from_raw(effective), None)
}

/// An id the kernel uses for "leave it as it is", which nobody has.
const NOBODY: u32 = u32::MAX;

/// The supplementary groups of a thread, from `/proc`; none when it is gone.
fn groups_of(pid: u32) -> Vec<Gid> {
    // A process may have any bytes in its name.
    let status = std::fs::read(format!("/proc/{pid}/status")).unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let line = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap_or_default();
    line.split_ascii_whitespace()
        .filter_map(|g| g.parse().ok())
        .filter(|g| *g != NOBODY)
        .map(Gid::from_raw)
        .collect()
}

impl ActAs {
    /// Takes on the ids of `caller`; `None` when there is nothing to do, since the caller is root as we are.
    pub(super) fn begin(caller: &Caller) -> Result<Option<ActAs>, Errno> {
        if caller.uid == NOBODY || caller.gid == NOBODY {
            return Err(Errno::EOVERFLOW);
        }
        if ACTING.get() == Some((caller.uid, caller.gid)) || caller.uid == 0 && caller.gid == 0 {
            return Ok(None);
        }
        debug_assert!(ACTING.get().is_none(), "a thread acts for one caller at a time");
        let guard = ActAs { _thread: PhantomData };
        ACTING.set(Some((caller.uid, caller.gid)));
        // Groups and gid first: they need the capabilities that go with the uid.
        let mut groups = groups_of(caller.pid);
        groups.extend(caller.group.filter(|group| *group != NOBODY).map(Gid::from_raw));
        set_thread_groups(&groups)?;
        set_gid(caller.gid)?;
        if caller.uid != 0 {
            set_uid(caller.uid)?;
        }
        // An error above drops the guard, which takes everything back.
        Ok(Some(guard))
    }
}

impl Drop for ActAs {
    /// Takes root's ids back.
    ///
    /// A thread that cannot would go on with somebody's ids, or worse, half of them, so the process ends.
    fn drop(&mut self) {
        ACTING.set(None);
        let restored = set_uid(0).and_then(|()| set_gid(0)).and_then(|()| set_thread_groups(&[]));
        if let Err(error) = restored {
            tracing::error!(
                "cannot take root's ids back ({error}); ending before a request runs with the wrong ones"
            );
            std::process::abort();
        }
    }
}

/// Does something with our own rights that needs them, in the middle of acting as a caller: finding an inode again
/// by its handle.
pub(super) fn privileged<T>(act: impl FnOnce() -> T) -> T {
    let Some((acting, _)) = ACTING.get().filter(|(uid, _)| *uid != 0) else { return act() };
    if set_uid(0).is_err() {
        return act();
    }
    let result = act();
    if let Err(error) = set_uid(acting) {
        tracing::error!("cannot act as the caller again ({error}); ending before a request runs as root");
        std::process::abort();
    }
    result
}
