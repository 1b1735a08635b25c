//! Files the daemon opened, under the handles the kernel has for them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// Tells handles of the daemon's files from those of files below.
const DAEMON: u64 = 1 << 63;

/// A file the daemon opened.
#[derive(Debug)]
pub struct DaemonFile {
    fh: u64,
    open_flags: u32,
    opened: bool,
}

impl DaemonFile {
    /// A file the daemon calls `fh`; `open_flags` is what it says of it (`FOPEN_*`).
    pub fn new(fh: u64, open_flags: u32) -> DaemonFile {
        DaemonFile { fh, open_flags, opened: true }
    }

    /// A file of a daemon that does not want to hear of opens.
    pub fn unopened(open_flags: u32) -> DaemonFile {
        DaemonFile { fh: 0, open_flags, opened: false }
    }

    /// The daemon's handle.
    pub fn fh(&self) -> u64 {
        self.fh
    }

    /// How the kernel treats it.
    pub fn open_flags(&self) -> u32 {
        self.open_flags
    }

    /// Whether the daemon heard of it, and must hear when it is closed.
    pub fn is_opened(&self) -> bool {
        self.opened
    }
}

/// The files the daemon opened.
#[derive(Debug, Default)]
pub struct Handles {
    files: RwLock<HashMap<u64, Arc<DaemonFile>>>,
    next: AtomicU64,
}

impl Handles {
    /// Whether a handle of the kernel's is one of these.
    pub fn has(handle: u64) -> bool {
        handle & DAEMON != 0
    }

    /// Gives a file the handle by which the kernel will name it.
    pub fn register(&self, file: Arc<DaemonFile>) -> u64 {
        let handle = self.next.fetch_add(1, Ordering::Relaxed) | DAEMON;
        self.files.write().unwrap_or_else(PoisonError::into_inner).insert(handle, file);
        handle
    }

    /// The file with this handle.
    pub fn file(&self, handle: u64) -> Option<Arc<DaemonFile>> {
        self.files.read().unwrap_or_else(PoisonError::into_inner).get(&handle).cloned()
    }

    /// Takes a handle back.
    pub fn release(&self, handle: u64) -> Option<Arc<DaemonFile>> {
        self.files.write().unwrap_or_else(PoisonError::into_inner).remove(&handle)
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.files.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_told_apart_and_taken_back() {
        let handles = Handles::default();
        let one = handles.register(Arc::new(DaemonFile::new(7, 1)));
        let two = handles.register(Arc::new(DaemonFile::unopened(0)));
        assert!(Handles::has(one) && Handles::has(two) && one != two);
        assert!(!Handles::has(1));
        assert_eq!(handles.file(one).unwrap().fh(), 7);
        assert!(!handles.release(two).unwrap().is_opened());
        assert!(handles.file(two).is_none() && handles.release(two).is_none());
        assert_eq!(handles.len(), 1);
    }
}
