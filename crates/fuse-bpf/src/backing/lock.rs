//! Locks on files: POSIX record locks by owner, and flock(2).
//!
//! Processes beside the mount see them, and theirs are seen here. Each owner of record locks has an open file
//! description of its own for an inode, so the system keeps the ranges apart; a table of the ranges held through the
//! mount tells who holds what, which the system does not. Nobody waits for a lock on a thread that serves requests: a
//! single thread tries all waiting ones again when a lock is given back here, and every 10 ms for those held beside
//! the mount.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags};

use super::node::Node;
use super::sys::{LockCommand, description_lock};
use super::{Backing, File};
use crate::abi::fuse_file_lock;
use crate::errno::Errno;

/// How soon a lock given back beside the mount is noticed.
const POLL: Duration = Duration::from_millis(10);

const READ: u32 = libc::F_RDLCK as u32;
const WRITE: u32 = libc::F_WRLCK as u32;
const UNLOCK: u32 = libc::F_UNLCK as u32;

/// A request that waits for a lock.
pub struct LockWait {
    /// The request's number, by which it is interrupted.
    pub unique: u64,
    /// Told when the lock is had, or why not.
    pub done: Box<dyn FnOnce(Result<(), Errno>) + Send>,
}

impl std::fmt::Debug for LockWait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LockWait").field("unique", &self.unique).finish_non_exhaustive()
    }
}

/// A range held through the mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    owner: u64,
    pid: u32,
    start: u64,
    /// Inclusive.
    end: u64,
    write: bool,
}

/// The ranges of one inode held through the mount.
#[derive(Debug, Default)]
struct Ranges(Vec<Range>);

impl Ranges {
    /// Replaces what an owner holds in a range; `None` gives it back.
    fn set(&mut self, owner: u64, start: u64, end: u64, new: Option<Range>) {
        let mut kept = Vec::with_capacity(self.0.len() + 2);
        for range in self.0.drain(..) {
            if range.owner != owner || range.end < start || range.start > end {
                kept.push(range);
                continue;
            }
            if range.start < start {
                kept.push(Range { end: start - 1, ..range });
            }
            if range.end > end {
                kept.push(Range { start: end + 1, ..range });
            }
        }
        kept.extend(new);
        self.0 = kept;
    }

    /// What keeps another owner from locking a range.
    fn conflict(&self, owner: u64, start: u64, end: u64, write: bool) -> Option<&Range> {
        let overlaps =
            |r: &&Range| r.owner != owner && r.start <= end && r.end >= start && (write || r.write);
        self.0.iter().filter(overlaps).min_by_key(|range| range.start)
    }
}

/// The open file description that holds an owner's record locks on an inode.
type Key = (u64, u64);

#[derive(Debug, Default)]
struct Table {
    descriptions: HashMap<Key, Arc<OwnedFd>>,
    ranges: HashMap<u64, Ranges>,
}

/// What a waiting request wants.
#[derive(Debug, Clone)]
enum Wanted {
    Record { fd: Arc<OwnedFd>, key: Key, lock: fuse_file_lock },
    Flock { file: Arc<File>, kind: u32 },
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<(Wanted, LockWait)>,
    running: bool,
    stopping: bool,
}

#[derive(Debug, Default)]
struct Shared {
    table: Mutex<Table>,
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// All locks held through the mount, and those waited for.
#[derive(Debug, Default)]
pub(super) struct Locks {
    shared: Arc<Shared>,
}

impl Drop for Locks {
    fn drop(&mut self) {
        self.shared.queue().stopping = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tries to get a lock at once: `EAGAIN` when somebody else has it.
    fn try_lock(&self, wanted: &Wanted) -> Result<(), Errno> {
        match wanted {
            Wanted::Record { fd, key, lock } => {
                // Under the table's lock, so that table and system agree.
                let mut table = self.table();
                description_lock(fd, LockCommand::Set, lock)?;
                let (node, owner) = *key;
                let held = Range {
                    owner,
                    pid: lock.pid,
                    start: lock.start,
                    end: lock.end,
                    write: lock.r#type == WRITE,
                };
                let held = (lock.r#type != UNLOCK).then_some(held);
                table.ranges.entry(node).or_default().set(owner, lock.start, lock.end, held);
                Ok(())
            }
            Wanted::Flock { file, kind } => {
                let operation = match *kind {
                    READ => FlockOperation::NonBlockingLockShared,
                    WRITE => FlockOperation::NonBlockingLockExclusive,
                    UNLOCK => FlockOperation::NonBlockingUnlock,
                    _ => return Err(Errno::EINVAL),
                };
                Ok(rustix::fs::flock(file, operation)?)
            }
        }
    }

    /// Serves the queue until there is nothing in it.
    fn attend(&self) {
        loop {
            let mut queue = self.queue();
            if queue.stopping {
                let waiting = std::mem::take(&mut queue.waiting);
                queue.running = false;
                drop(queue);
                waiting.into_iter().for_each(|(_, wait)| (wait.done)(Err(Errno::EINTR)));
                return;
            }
            if queue.waiting.is_empty() {
                queue.running = false;
                return;
            }
            let waiting = std::mem::take(&mut queue.waiting);
            let mut done = Vec::new();
            for (wanted, wait) in waiting {
                match self.try_lock(&wanted) {
                    Err(Errno::EAGAIN | Errno::EACCES) => queue.waiting.push((wanted, wait)),
                    result => done.push((wait, result)),
                }
            }
            if done.is_empty() {
                let waited = self.changed.wait_timeout(queue, POLL);
                drop(waited.unwrap_or_else(PoisonError::into_inner));
                continue;
            }
            drop(queue);
            for (wait, result) in done {
                (wait.done)(result);
            }
        }
    }
}

/// All of a file.
const WHOLE: fuse_file_lock = fuse_file_lock { start: 0, end: u64::MAX, r#type: UNLOCK, pid: 0 };

impl Table {
    /// Drops all record locks of an owner on an inode, and its description unless somebody waits with it.
    fn forget(&mut self, key: Key) {
        if let Some(fd) = self.descriptions.remove(&key)
            && Arc::strong_count(&fd) > 1
        {
            if let Err(error) = description_lock(&fd, LockCommand::Set, &WHOLE) {
                tracing::error!("record locks stay although their owner closed the file: {error}");
            }
            self.descriptions.insert(key, fd);
        }
        let (node, owner) = key;
        if let Some(ranges) = self.ranges.get_mut(&node) {
            ranges.0.retain(|range| range.owner != owner);
            if ranges.0.is_empty() {
                self.ranges.remove(&node);
            }
        }
    }
}

impl Locks {
    /// A lock may have become free.
    pub(super) fn nudge(&self) {
        self.shared.changed.notify_all();
    }

    /// What an owner's close does.
    pub(super) fn drop_owner(&self, node: u64, owner: u64) {
        let mut table = self.shared.table();
        if table.descriptions.contains_key(&(node, owner)) {
            table.forget((node, owner));
            drop(table);
            self.nudge();
        }
    }

    /// Queues a request behind a lock that was not to be had at once.
    fn wait(&self, wanted: Wanted, wait: LockWait) {
        match self.shared.try_lock(&wanted) {
            Err(Errno::EAGAIN | Errno::EACCES) => {}
            result => return (wait.done)(result),
        }
        let mut queue = self.shared.queue();
        queue.waiting.push((wanted, wait));
        if queue.running {
            return;
        }
        queue.running = true;
        drop(queue);
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name("fuse-bpf-locks".into()).spawn(move || shared.attend());
        if let Err(error) = thread {
            tracing::error!("nobody can wait for locks: {error}");
            let mut queue = self.shared.queue();
            queue.running = false;
            for (_, wait) in queue.waiting.drain(..) {
                (wait.done)(Err(Errno::ENOLCK));
            }
        }
    }
}

impl Backing {
    /// The open file description of an owner on an inode.
    fn description(&self, node: &Node, owner: u64) -> Result<Arc<OwnedFd>, Errno> {
        let key = (node.nodeid(), owner);
        if let Some(fd) = self.locks.shared.table().descriptions.get(&key) {
            return Ok(Arc::clone(fd));
        }
        let path = self.nodes.fd(node)?;
        // A lock to write needs a description to write; which one the file was opened for was checked already.
        let open = [OFlags::RDWR, OFlags::RDONLY, OFlags::WRONLY].into_iter();
        let mut opened = open.map(|flags| self.reopen(&path, flags | OFlags::NONBLOCK));
        let first = opened.next().unwrap_or(Err(Errno::EIO));
        let fd = opened.fold(first, |found, next| found.or(next))?;
        let mut table = self.locks.shared.table();
        Ok(Arc::clone(table.descriptions.entry(key).or_insert_with(|| Arc::new(fd))))
    }

    fn record(&self, file: &File, owner: u64, lock: &fuse_file_lock) -> Result<Wanted, Errno> {
        if lock.end < lock.start {
            return Err(Errno::EINVAL);
        }
        let fd = self.description(file.node(), owner)?;
        file.add_lock_owner(owner);
        Ok(Wanted::Record { fd, key: (file.node().nodeid(), owner), lock: *lock })
    }

    /// What is in the way of a record lock; type `F_UNLCK` when nothing is.
    ///
    /// # Errors
    ///
    /// Those of fcntl(2).
    pub fn getlk(&self, file: &File, owner: u64, lock: &fuse_file_lock) -> Result<fuse_file_lock, Errno> {
        let node = file.node().nodeid();
        {
            let table = self.locks.shared.table();
            let held = table.ranges.get(&node);
            if let Some(range) =
                held.and_then(|r| r.conflict(owner, lock.start, lock.end, lock.r#type == WRITE))
            {
                let kind = if range.write { WRITE } else { READ };
                return Ok(fuse_file_lock {
                    start: range.start,
                    end: range.end,
                    r#type: kind,
                    pid: range.pid,
                });
            }
        }
        let fd = self.description(file.node(), owner)?;
        file.add_lock_owner(owner);
        Ok(description_lock(&fd, LockCommand::Get, &fuse_file_lock { pid: 0, ..*lock })?)
    }

    /// Takes or gives back a record lock at once.
    ///
    /// # Errors
    ///
    /// `EAGAIN` when somebody else has it.
    pub fn setlk(&self, file: &File, owner: u64, lock: &fuse_file_lock) -> Result<(), Errno> {
        let wanted = self.record(file, owner, lock)?;
        let result = self.locks.shared.try_lock(&wanted);
        if lock.r#type != WRITE {
            self.locks.nudge();
        }
        result
    }

    /// Takes a record lock when it can be had.
    pub fn setlk_wait(&self, file: &File, owner: u64, lock: &fuse_file_lock, wait: LockWait) {
        match self.record(file, owner, lock) {
            Ok(wanted) => self.locks.wait(wanted, wait),
            Err(error) => (wait.done)(Err(error)),
        }
    }

    /// Takes or gives back a flock lock at once: `kind` is `F_RDLCK`, `F_WRLCK` or `F_UNLCK`.
    ///
    /// # Errors
    ///
    /// `EAGAIN` when somebody else has it.
    pub fn flock(&self, file: &Arc<File>, kind: u32) -> Result<(), Errno> {
        file.note_flock();
        let result = self.locks.shared.try_lock(&Wanted::Flock { file: Arc::clone(file), kind });
        self.locks.nudge();
        result
    }

    /// Takes a flock lock when it can be had.
    pub fn flock_wait(&self, file: &Arc<File>, kind: u32, wait: LockWait) {
        file.note_flock();
        self.locks.wait(Wanted::Flock { file: Arc::clone(file), kind }, wait);
    }

    /// Ends the wait of a request; whether it was waiting.
    pub fn interrupt(&self, unique: u64) -> bool {
        let mut queue = self.locks.shared.queue();
        let Some(at) = queue.waiting.iter().position(|(_, wait)| wait.unique == unique) else { return false };
        let (_, wait) = queue.waiting.remove(at);
        drop(queue);
        (wait.done)(Err(Errno::EINTR));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_range_is_split_by_what_is_taken_out_of_it() {
        let mut ranges = Ranges::default();
        let whole = Range { owner: 1, pid: 10, start: 0, end: 99, write: true };
        ranges.set(1, 0, 99, Some(whole));
        ranges.set(1, 40, 59, None);
        assert_eq!(ranges.0, [Range { end: 39, ..whole }, Range { start: 60, ..whole }]);
        assert_eq!(ranges.conflict(2, 50, 70, false).unwrap().start, 60);
        assert_eq!(ranges.conflict(2, 40, 59, true), None);
        assert_eq!(ranges.conflict(1, 0, 99, true), None);
    }

    proptest! {
        /// Against a model that keeps a lock for each byte.
        #[test]
        fn ranges_are_what_each_byte_says(steps: Vec<(u8, u8, u8, u8)>) {
            let mut ranges = Ranges::default();
            let mut bytes = [[None; 32]; 3];
            for (owner, a, b, kind) in steps {
                let (owner, a, b) = (owner % 3, u64::from(a % 32), u64::from(b % 32));
                let (start, end) = (a.min(b), a.max(b));
                let write = kind % 3 == 1;
                let held = Range { owner: owner.into(), pid: 0, start, end, write };
                let new = (kind % 3 != 2).then_some(held);
                ranges.set(owner.into(), start, end, new);
                for byte in start..=end {
                    bytes[owner as usize][byte as usize] = new.map(|r| r.write);
                }
                for byte in 0..32u64 {
                    for asker in 0..3u64 {
                        for write in [false, true] {
                            let model = (0..3u64).any(|o| o != asker && match bytes[o as usize][byte as usize] {
                                Some(held) => held || write,
                                None => false,
                            });
                            prop_assert_eq!(ranges.conflict(asker, byte, byte, write).is_some(), model);
                        }
                    }
                }
            }
        }
    }
}
