//! The backing directory: every operation done by descriptor, beneath its root.
//!
//! All access is relative to a descriptor and by one name at a time, never through a symbolic link, so nothing outside
//! the tree can be reached however names are changed. Knows nothing of requests, replies or filters.

mod attr;
mod creds;
mod file;
mod lock;
mod names;
mod node;
mod sys;
mod xattr;

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

pub use creds::{ActAs, Caller};
pub use file::{DirRecord, File};
pub use lock::LockWait;
pub(crate) use node::decode_device;
pub use node::{Lender, Node};

use crate::abi::{ROOT_ID, fuse_attr, fuse_entry_out};
use crate::errno::Errno;
use node::Nodes;
use sys::FileHandle;

/// Descriptors kept for other uses than remembering inodes: open files, sockets, directories being read.
const OTHER_DESCRIPTORS: u64 = 256;
/// Parts of the table of open files.
const SHARDS: usize = 16;

/// Whether a feature of the system is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// Never.
    Never,
    /// When it is there.
    #[default]
    Auto,
}

/// How a directory is served.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Config {
    /// Whether each operation is done with the ids of its caller. Needs root.
    pub switch_credentials: bool,
    /// Most descriptors kept for inodes; `None`: half of what the process may have.
    pub node_descriptors: Option<usize>,
    /// Whether file handles lead back to inodes whose descriptor was closed. Needs root and a file system that has
    /// them; without, the way goes from the parent by name.
    pub file_handles: Policy,
}

/// Why a directory cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackingError {
    /// The source is not there, or no directory, or not ours to open.
    #[error("{}: cannot be opened as a directory", path.display())]
    Source {
        /// The source.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustix::io::Errno,
    },
    /// There is no `/proc`.
    #[error("/proc/self/fd cannot be opened; mount /proc (`mount -t proc proc /proc`)")]
    Proc(#[source] rustix::io::Errno),
    /// The source cannot be examined.
    #[error("{}: cannot be examined", path.display())]
    Examine {
        /// The source.
        path: PathBuf,
        /// Why.
        #[source]
        source: Errno,
    },
}

/// A directory tree, served.
#[derive(Debug)]
pub struct Backing {
    nodes: Arc<Nodes>,
    root: Arc<Node>,
    /// `/proc/self/fd`: an `O_PATH` descriptor is opened for I/O through it.
    proc_fds: OwnedFd,
    files: [RwLock<HashMap<u64, Arc<File>>>; SHARDS],
    next_fh: AtomicU64,
    locks: lock::Locks,
    switch_credentials: bool,
}

/// An inode that was found or made, with one lookup that the kernel does not know of yet. Dropped, it takes the
/// lookup back.
#[derive(Debug)]
pub struct Entry {
    /// The inode.
    pub node: Arc<Node>,
    /// Its attributes.
    pub attr: fuse_attr,
    /// How long the kernel may keep them, when somebody else says so.
    pub valid: Option<Valid>,
    nodes: Option<Arc<Nodes>>,
}

/// How long the kernel may keep what it was told, in seconds and nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct Valid {
    /// The name.
    pub entry: (u64, u32),
    /// The attributes.
    pub attr: (u64, u32),
}

impl Valid {
    /// As an entry says.
    pub fn of(out: &fuse_entry_out) -> Valid {
        Valid { entry: (out.entry_valid, out.entry_valid_nsec), attr: (out.attr_valid, out.attr_valid_nsec) }
    }
}

impl Entry {
    /// The kernel has been told.
    pub fn keep(mut self) {
        self.nodes = None;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(nodes) = self.nodes.take() {
            nodes.forget(self.node.nodeid(), 1);
        }
    }
}

/// Raises the number of descriptors this process may have as far as it may, and returns it.
fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(1 << 20);
    if limit.current.is_some_and(|soft| soft < hard) {
        let raised = Rlimit { current: Some(hard), maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!("the descriptor limit stays at {:?}: {error}", limit.current);
            return limit.current.unwrap_or(hard);
        }
    }
    hard
}

/// A directory, for its identity and as a place to start from.
const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

fn open_proc_fds() -> Result<OwnedFd, BackingError> {
    rustix::fs::open("/proc/self/fd", DIRECTORY, Mode::empty()).map_err(BackingError::Proc)
}

/// Most descriptors kept for inodes.
fn descriptor_limit(config: &Config) -> usize {
    config.node_descriptors.unwrap_or_else(|| {
        let half = raise_descriptor_limit().saturating_sub(OTHER_DESCRIPTORS) / 2;
        usize::try_from(half).unwrap_or(usize::MAX)
    })
}

impl Backing {
    /// Opens a directory to be served.
    ///
    /// # Errors
    ///
    /// See [`BackingError`].
    pub fn open(source: &Path, config: Config) -> Result<Arc<Backing>, BackingError> {
        let path = || source.to_owned();
        let root = rustix::fs::open(source, DIRECTORY, Mode::empty())
            .map_err(|source| BackingError::Source { path: path(), source })?;
        let handles = match config.file_handles {
            Policy::Auto => probe_handles(&root, &open_proc_fds()?),
            Policy::Never => None,
        };
        let (nodes, root) = Nodes::new(root, descriptor_limit(&config), handles)
            .map_err(|source| BackingError::Examine { path: path(), source })?;
        Backing::new(nodes, root, &config)
    }

    /// A tree with nothing below: its root is a lender's, as is everything in it that is not put there with
    /// [`Backing::adopt`].
    ///
    /// # Errors
    ///
    /// [`BackingError::Proc`].
    pub fn lent(config: Config) -> Result<Arc<Backing>, BackingError> {
        let (nodes, root) = Nodes::lent(descriptor_limit(&config));
        Backing::new(nodes, root, &config)
    }

    fn new(nodes: Nodes, root: Arc<Node>, config: &Config) -> Result<Arc<Backing>, BackingError> {
        Ok(Arc::new(Backing {
            nodes: Arc::new(nodes),
            root,
            proc_fds: open_proc_fds()?,
            files: std::array::from_fn(|_| RwLock::default()),
            next_fh: AtomicU64::new(1),
            locks: lock::Locks::default(),
            switch_credentials: config.switch_credentials,
        }))
    }

    /// The root.
    pub fn root(&self) -> Arc<Node> {
        Arc::clone(&self.root)
    }

    /// The inode with this nodeid.
    ///
    /// # Errors
    ///
    /// `ESTALE` when the kernel has forgotten it.
    pub fn node(&self, nodeid: u64) -> Result<Arc<Node>, Errno> {
        self.nodes.get(nodeid)
    }

    /// The kernel takes back `nlookup` lookups of an inode.
    pub fn forget(&self, nodeid: u64, nlookup: u64) {
        self.nodes.forget(nodeid, nlookup);
    }

    /// Inodes known and descriptors kept for them.
    pub fn usage(&self) -> (usize, usize) {
        (self.nodes.len(), self.nodes.descriptors())
    }

    /// From now on, until the guard is dropped, this thread has the rights of `caller`; nothing changes when it has
    /// ours, or when we are not root.
    ///
    /// # Errors
    ///
    /// Those of setresuid(2) and its kind.
    pub fn act_as(&self, caller: &Caller) -> Result<Option<ActAs>, Errno> {
        if self.switch_credentials { ActAs::begin(caller) } else { Ok(None) }
    }

    /// Prepares a thread for creating files: its umask becomes its own.
    pub fn prepare_thread(&self) {
        if let Err(error) = names::own_umask() {
            tracing::error!("this thread shares its umask with others: {error}");
        }
    }

    /// Gives an open file the handle by which the kernel will name it.
    pub fn register(&self, file: Arc<File>) -> u64 {
        let fh = self.next_fh.fetch_add(1, Ordering::Relaxed);
        self.shard(fh).write().unwrap_or_else(PoisonError::into_inner).insert(fh, file);
        fh
    }

    /// The open file with this handle.
    ///
    /// # Errors
    ///
    /// `EBADF` when there is none.
    pub fn file(&self, fh: u64) -> Result<Arc<File>, Errno> {
        let files = self.shard(fh).read().unwrap_or_else(PoisonError::into_inner);
        files.get(&fh).cloned().ok_or(Errno::EBADF)
    }

    /// Takes a handle back; the file closes with its last user. Locks that belong to it go with it.
    pub fn release(&self, fh: u64) -> Option<Arc<File>> {
        let file = self.shard(fh).write().unwrap_or_else(PoisonError::into_inner).remove(&fh)?;
        for owner in file.take_lock_owners() {
            self.locks.drop_owner(file.node().nodeid(), owner);
        }
        if file.unlock() {
            self.locks.nudge();
        }
        Some(file)
    }

    fn shard(&self, fh: u64) -> &RwLock<HashMap<u64, Arc<File>>> {
        &self.files[(fh as usize) % SHARDS]
    }

    /// The path by which an `O_PATH` descriptor of ours is followed.
    fn proc_path(&self, fd: &OwnedFd) -> String {
        format!("/proc/self/fd/{}", fd.as_raw_fd())
    }

    /// Opens the inode behind an `O_PATH` descriptor for I/O. Short of descriptors, some kept for inodes are closed.
    fn reopen(&self, fd: &OwnedFd, flags: OFlags) -> Result<OwnedFd, Errno> {
        let name = fd.as_raw_fd().to_string();
        let flags = flags.difference(OFlags::NOFOLLOW) | OFlags::CLOEXEC;
        self.nodes.with_descriptors(|| {
            Ok(rustix::fs::openat(self.proc_fds.as_fd(), name.as_str(), flags, Mode::empty())?)
        })
    }

    /// An entry for what was just found under a name of `dir`.
    fn entry(&self, dir: &Node, name: &std::ffi::CStr, fd: OwnedFd) -> Result<Entry, Errno> {
        let stat = node::stat(&fd)?;
        let attr = self.nodes.attr(&stat);
        let node = self.nodes.found(fd, &stat, dir.nodeid(), name);
        Ok(Entry { node, attr, valid: None, nodes: Some(Arc::clone(&self.nodes)) })
    }

    /// An entry for what a descriptor leads to, wherever it is, as if it were under a name of `dir`.
    ///
    /// # Errors
    ///
    /// Those of statx(2).
    pub fn adopt(&self, dir: &Node, name: &std::ffi::CStr, fd: &OwnedFd) -> Result<Entry, Errno> {
        let path = self.reopen(fd, OFlags::PATH)?;
        let entry = self.entry(dir, name, path)?;
        // The name does not lead there.
        self.nodes.pin(&entry.node, self.nodes.fd(&entry.node)?);
        Ok(entry)
    }

    /// An entry for an inode that was adopted before.
    ///
    /// # Errors
    ///
    /// Those of [`Backing::adopt`].
    pub fn adopt_again(&self, dir: &Node, name: &std::ffi::CStr, node: &Node) -> Result<Entry, Errno> {
        self.adopt(dir, name, &*self.nodes.fd(node)?)
    }

    /// An entry for an inode of a lender's found under a name of `dir`. The lookup is the lender's to be given back
    /// ([`Node::lend`]).
    ///
    /// # Errors
    ///
    /// `EIO` when its type is none, or its number 0 or the root's.
    pub fn lent_entry(
        &self,
        dir: &Node,
        name: &std::ffi::CStr,
        lender: &Arc<dyn Lender>,
        out: &fuse_entry_out,
    ) -> Result<Entry, Errno> {
        let kind = out.attr.mode & libc::S_IFMT;
        let is_type = matches!(
            kind,
            libc::S_IFREG
                | libc::S_IFDIR
                | libc::S_IFLNK
                | libc::S_IFCHR
                | libc::S_IFBLK
                | libc::S_IFIFO
                | libc::S_IFSOCK
        );
        if out.nodeid == 0 || out.nodeid == ROOT_ID || !is_type {
            return Err(Errno::EIO);
        }
        let node = self.nodes.found_lent(out.nodeid, out.generation, kind, dir.nodeid(), name);
        node.lend(lender, out.nodeid);
        let attr = fuse_attr { ino: self.lent_ino(out.attr.ino), ..out.attr };
        Ok(Entry { node, attr, valid: Some(Valid::of(out)), nodes: Some(Arc::clone(&self.nodes)) })
    }

    /// The inode number the kernel is told of an inode of a lender's: not one of those below.
    pub fn lent_ino(&self, ino: u64) -> u64 {
        self.nodes.lent_ino(ino)
    }
}

/// A readable descriptor on the root's mount, if file handles work there.
fn probe_handles(root: &OwnedFd, proc_fds: &OwnedFd) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mount = rustix::fs::openat(proc_fds, root.as_raw_fd().to_string(), flags, Mode::empty()).ok()?;
    let works = FileHandle::of(root).and_then(|handle| handle.open(&mount));
    if let Err(error) = &works {
        tracing::debug!("no file handles here ({error}); closed descriptors are found again by name");
    }
    works.ok().map(|_| mount)
}
