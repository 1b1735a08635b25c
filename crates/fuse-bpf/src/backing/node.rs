//! Inodes the kernel knows, and the descriptors that lead to them.
//!
//! An inode is identified by device, number, mount and birth time, so a recycled number is a new inode and all names of
//! a file are one. Nodeids are never used twice. Descriptors are bounded: beyond a limit those not used lately are
//! closed, and opened again by file handle or by walking from the parent.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Statx, StatxFlags};

use super::creds::privileged;
use super::sys::FileHandle;
use crate::abi::{ROOT_ID, fuse_attr};
use crate::errno::Errno;

/// Most directories above one that may have to be opened to find it again.
const MAX_DEPTH: usize = 1 << 16;

/// What came of opening a node.
enum Opened {
    Yes(Arc<OwnedFd>),
    /// Its parent must be opened first.
    ParentFirst(Arc<Node>),
}

/// Parts of a sharded table.
const SHARDS: usize = 16;

/// What makes an inode the same inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Identity {
    /// It is below.
    Backed { device: (u32, u32), inode: u64, mount: u64, birth: (i64, u32) },
    /// It is a lender's own.
    Lent { nodeid: u64, generation: u64 },
}

/// The device inodes of a lender seem to be on; no device has this number.
const LENDER: (u32, u32) = (u32::MAX, u32::MAX);

impl Identity {
    pub(super) fn of(stat: &Statx) -> Identity {
        Identity::Backed {
            device: (stat.stx_dev_major, stat.stx_dev_minor),
            inode: stat.stx_ino,
            mount: stat.stx_mnt_id,
            birth: (stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec),
        }
    }

    fn device(&self) -> (u32, u32) {
        match self {
            Identity::Backed { device, .. } => *device,
            Identity::Lent { .. } => LENDER,
        }
    }

    fn is_on(&self, other: u64) -> bool {
        matches!(self, Identity::Backed { mount, .. } if *mount == other)
    }

    fn shard(&self) -> usize {
        match self {
            Identity::Backed { inode, .. } => shard(*inode),
            Identity::Lent { nodeid, .. } => shard(*nodeid),
        }
    }
}

/// Who has inodes of their own in the tree, and counts how often they were looked up: a FUSE daemon.
pub trait Lender: Send + Sync {
    /// Takes back `nlookup` lookups of an inode, by the lender's number; `node` is the kernel's.
    fn forget(&self, node: u64, nodeid: u64, nlookup: u64);
}

/// Lookups that are given back to their lender when the inode is forgotten.
struct Loan {
    lender: Arc<dyn Lender>,
    node: u64,
    nodeid: u64,
    nlookup: u64,
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.lender.forget(self.node, self.nodeid, self.nlookup);
    }
}

/// What is asked of every inode.
pub(super) fn wanted() -> StatxFlags {
    StatxFlags::BASIC_STATS | StatxFlags::BTIME | StatxFlags::MNT_ID
}

/// The attributes of what a descriptor leads to.
pub(super) fn stat(fd: impl AsFd) -> Result<Statx, Errno> {
    Ok(rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW, wanted())?)
}

/// Opens one name below a directory, without following it, for its identity only.
pub(super) fn open_path(dir: impl AsFd, name: &std::ffi::CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    Ok(rustix::fs::openat2(dir, name, flags, Mode::empty(), beneath)?)
}

/// An inode the kernel knows.
pub struct Node {
    id: u64,
    identity: Identity,
    kind: u32,
    lookups: AtomicU64,
    filter_nodeid: AtomicU64,
    attachment: RwLock<Option<Arc<dyn Any + Send + Sync>>>,
    loan: Mutex<Option<Loan>>,
    /// Whether the descriptor was used since the clock hand last passed.
    used: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    fd: Option<Arc<OwnedFd>>,
    handle: Option<FileHandle>,
    /// Whether the descriptor is the only way to the inode: it has no name any more.
    pinned: bool,
    /// Where it was last found.
    parent: u64,
    name: CString,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("id", &self.id).field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Node {
    /// The kernel's number for it; 1 is the root.
    pub fn nodeid(&self) -> u64 {
        self.id
    }

    /// Its file type, as in `st_mode`.
    pub fn mode(&self) -> u32 {
        self.kind
    }

    /// The name under which it was last found; empty for the root.
    pub fn name(&self) -> Vec<u8> {
        self.state().name.as_bytes().to_vec()
    }

    /// The directory in which it was last found, by the kernel's number.
    pub(super) fn parent(&self) -> u64 {
        self.state().parent
    }

    /// The number filters see: 1 for the root, else 0 unless one was given.
    pub fn filter_nodeid(&self) -> u64 {
        self.filter_nodeid.load(Ordering::Relaxed)
    }

    /// Sets the number filters see.
    pub fn set_filter_nodeid(&self, nodeid: u64) {
        self.filter_nodeid.store(nodeid, Ordering::Relaxed);
    }

    /// What the layer above keeps with the inode.
    pub fn attachment<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let attached = self.attachment.read().unwrap_or_else(PoisonError::into_inner).clone();
        attached.and_then(|any| any.downcast().ok())
    }

    /// Keeps something with the inode for the layer above.
    pub fn set_attachment<T: Any + Send + Sync>(&self, value: Arc<T>) {
        *self.attachment.write().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }

    /// Whether the inode is a lender's own, with nothing below.
    pub fn is_lent(&self) -> bool {
        matches!(self.identity, Identity::Lent { .. })
    }

    /// Notes that a lender was asked for the inode once more, and calls it `nodeid`: the number filters see from now
    /// on. The lookup is given back when the inode is forgotten.
    pub fn lend(&self, lender: &Arc<dyn Lender>, nodeid: u64) {
        self.set_filter_nodeid(nodeid);
        let mut loan = self.loan.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *loan {
            Some(loan) if loan.nodeid == nodeid => loan.nlookup += 1,
            other => {
                let loan = Loan { lender: Arc::clone(lender), node: self.id, nodeid, nlookup: 1 };
                drop(other.replace(loan));
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells where the inode is now to be found.
    pub(super) fn moved(&self, parent: u64, name: &std::ffi::CStr) {
        let mut state = self.state();
        state.parent = parent;
        state.name = name.to_owned();
    }
}

/// All inodes the kernel knows.
#[derive(Debug)]
pub(super) struct Nodes {
    by_identity: [Mutex<HashMap<Identity, Arc<Node>>>; SHARDS],
    by_id: [RwLock<HashMap<u64, Arc<Node>>>; SHARDS],
    next_id: AtomicU64,
    /// Devices seen, the root's first: where inode numbers of several could be taken for one another.
    devices: RwLock<Vec<(u32, u32)>>,
    clock: Mutex<VecDeque<Weak<Node>>>,
    descriptors: AtomicUsize,
    limit: usize,
    /// A readable descriptor on the root's mount, where file handles are to be used.
    handles: Option<OwnedFd>,
    /// The mount the root is on, if it is below.
    root_mount: Option<u64>,
}

fn shard(key: u64) -> usize {
    (key as usize) % SHARDS
}

impl Nodes {
    /// A table whose root is `root`.
    pub(super) fn new(
        root: OwnedFd,
        limit: usize,
        handles: Option<OwnedFd>,
    ) -> Result<(Nodes, Arc<Node>), Errno> {
        let stat = stat(&root)?;
        let device = (stat.stx_dev_major, stat.stx_dev_minor);
        let nodes = Nodes::empty(device, limit, handles, Some(stat.stx_mnt_id));
        let root = nodes.found(root, &stat, 0, c"");
        root.set_filter_nodeid(ROOT_ID);
        let mut state = root.state();
        state.pinned = true;
        drop(state);
        Ok((nodes, root))
    }

    /// A table whose root is a lender's.
    pub(super) fn lent(limit: usize) -> (Nodes, Arc<Node>) {
        let nodes = Nodes::empty(LENDER, limit, None, None);
        let root = nodes.found_lent(ROOT_ID, 0, libc::S_IFDIR, 0, c"");
        root.set_filter_nodeid(ROOT_ID);
        (nodes, root)
    }

    fn empty(device: (u32, u32), limit: usize, handles: Option<OwnedFd>, root_mount: Option<u64>) -> Nodes {
        Nodes {
            by_identity: std::array::from_fn(|_| Mutex::default()),
            by_id: std::array::from_fn(|_| RwLock::default()),
            next_id: AtomicU64::new(ROOT_ID),
            devices: RwLock::new(vec![device]),
            clock: Mutex::default(),
            descriptors: AtomicUsize::new(0),
            limit: limit.max(8),
            handles,
            root_mount,
        }
    }

    fn identities(&self, identity: &Identity) -> MutexGuard<'_, HashMap<Identity, Arc<Node>>> {
        self.by_identity[identity.shard()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The node with this nodeid.
    pub(super) fn get(&self, id: u64) -> Result<Arc<Node>, Errno> {
        let ids = self.by_id[shard(id)].read().unwrap_or_else(PoisonError::into_inner);
        ids.get(&id).cloned().ok_or(Errno::ESTALE)
    }

    /// The node of an inode, if the kernel knows it.
    pub(super) fn known(&self, stat: &Statx) -> Option<Arc<Node>> {
        let identity = Identity::of(stat);
        self.identities(&identity).get(&identity).cloned()
    }

    /// The node of an inode that was just found under a name, with one lookup more.
    pub(super) fn found(&self, fd: OwnedFd, stat: &Statx, parent: u64, name: &std::ffi::CStr) -> Arc<Node> {
        let node = self.looked_up(Identity::of(stat), u32::from(stat.stx_mode) & libc::S_IFMT, parent, name);
        self.offer(&node, fd);
        node
    }

    /// The node of an inode of a lender's that was just found under a name, with one lookup more. `kind` is its type as
    /// in `st_mode`; when it is not what it was, the lender has used a number twice, and the inode is another.
    pub(super) fn found_lent(
        &self,
        nodeid: u64,
        generation: u64,
        kind: u32,
        parent: u64,
        name: &std::ffi::CStr,
    ) -> Arc<Node> {
        // The type is part of the identity; it has 4 bits, in upper ones of the mode.
        let generation = generation ^ u64::from(kind) << 48;
        self.looked_up(Identity::Lent { nodeid, generation }, kind, parent, name)
    }

    fn looked_up(&self, identity: Identity, kind: u32, parent: u64, name: &std::ffi::CStr) -> Arc<Node> {
        let mut identities = self.identities(&identity);
        if let Some(node) = identities.get(&identity) {
            node.lookups.fetch_add(1, Ordering::Relaxed);
            node.moved(parent, name);
            return Arc::clone(node);
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let node = Arc::new(Node {
            id,
            identity,
            kind,
            lookups: AtomicU64::new(1),
            filter_nodeid: AtomicU64::new(0),
            attachment: RwLock::default(),
            loan: Mutex::default(),
            used: AtomicBool::new(true),
            state: Mutex::new(State { fd: None, handle: None, pinned: false, parent, name: name.to_owned() }),
        });
        identities.insert(identity, Arc::clone(&node));
        let mut ids = self.by_id[shard(id)].write().unwrap_or_else(PoisonError::into_inner);
        ids.insert(id, Arc::clone(&node));
        node
    }

    /// Takes back `count` lookups; with the last one the node is gone.
    pub(super) fn forget(&self, id: u64, count: u64) {
        if id == ROOT_ID {
            return;
        }
        let Ok(node) = self.get(id) else { return };
        let mut identities = self.identities(&node.identity);
        let before = node.lookups.load(Ordering::Relaxed);
        let after = before.saturating_sub(count);
        node.lookups.store(after, Ordering::Relaxed);
        if after > 0 {
            return;
        }
        identities.remove(&node.identity);
        self.by_id[shard(id)].write().unwrap_or_else(PoisonError::into_inner).remove(&id);
        drop(identities);
        if node.state().fd.take().is_some() {
            self.descriptors.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A descriptor of the node, `O_PATH`.
    ///
    /// # Errors
    ///
    /// `EXDEV` for an inode of a lender's; `ESTALE` for one that is not found again.
    pub(super) fn fd(&self, node: &Node) -> Result<Arc<OwnedFd>, Errno> {
        if node.is_lent() {
            return Err(Errno::EXDEV);
        }
        // The nodes to be opened before this one can be, the nearest last.
        let mut ancestors: Vec<Arc<Node>> = Vec::new();
        loop {
            let target = ancestors.last().map_or(node, |ancestor| &**ancestor);
            match self.open_near(target)? {
                Opened::Yes(fd) => {
                    if ancestors.pop().is_none() {
                        return Ok(fd);
                    }
                }
                Opened::ParentFirst(parent) => {
                    // No path is that long; changes beside the mount can make parents go in circles.
                    if ancestors.len() == MAX_DEPTH {
                        return Err(Errno::ESTALE);
                    }
                    ancestors.push(parent);
                }
            }
        }
    }

    /// Opens a node if it has a descriptor or a handle, or its parent has a descriptor.
    fn open_near(&self, node: &Node) -> Result<Opened, Errno> {
        let (handle, parent, name) = {
            let state = node.state();
            if let Some(fd) = &state.fd {
                node.used.store(true, Ordering::Relaxed);
                return Ok(Opened::Yes(Arc::clone(fd)));
            }
            (state.handle.clone(), state.parent, state.name.clone())
        };
        let fd = match (&self.handles, handle) {
            (Some(mount), Some(handle)) => {
                self.with_descriptors(|| Ok(privileged(|| handle.open(mount))?))?
            }
            _ => {
                let parent = self.get(parent)?;
                let Some(parent_fd) = parent.state().fd.clone() else {
                    return Ok(Opened::ParentFirst(parent));
                };
                parent.used.store(true, Ordering::Relaxed);
                let open = || privileged(|| open_path(&*parent_fd, &name));
                self.with_descriptors(open).map_err(|error| match error {
                    Errno::ENOENT | Errno::ENOTDIR => Errno::ESTALE,
                    other => other,
                })?
            }
        };
        if Identity::of(&stat(&fd)?) != node.identity {
            return Err(Errno::ESTALE);
        }
        let node = self.get(node.id)?;
        Ok(Opened::Yes(self.offer(&node, fd)))
    }

    /// Tries again once with more descriptors when there are too few.
    pub(super) fn with_descriptors<T>(&self, open: impl Fn() -> Result<T, Errno>) -> Result<T, Errno> {
        match open() {
            Err(Errno::EMFILE | Errno::ENFILE) => {
                self.relieve();
                open()
            }
            result => result,
        }
    }

    /// Gives a node a descriptor unless it has one; returns the one it has.
    fn offer(&self, node: &Arc<Node>, fd: OwnedFd) -> Arc<OwnedFd> {
        let mut state = node.state();
        node.used.store(true, Ordering::Relaxed);
        if let Some(fd) = &state.fd {
            return Arc::clone(fd);
        }
        let fd = Arc::new(fd);
        state.fd = Some(Arc::clone(&fd));
        drop(state);
        let count = self.descriptors.fetch_add(1, Ordering::Relaxed) + 1;
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        clock.push_back(Arc::downgrade(node));
        if clock.len() > 2 * self.limit {
            // Nodes that were forgotten leave their places behind.
            clock.retain(|weak| weak.strong_count() > 0);
        }
        if count > self.limit {
            self.turn(&mut clock, count - self.limit);
        }
        fd
    }

    /// Closes about `wanted` descriptors that were not used lately.
    fn turn(&self, clock: &mut VecDeque<Weak<Node>>, wanted: usize) {
        let mut closed = 0;
        // Every node is passed at most twice: once to lose its mark, once to lose its descriptor.
        for _ in 0..clock.len() * 2 {
            if closed == wanted {
                break;
            }
            let Some(weak) = clock.pop_front() else { break };
            let Some(node) = weak.upgrade() else { continue };
            if node.used.swap(false, Ordering::Relaxed) {
                clock.push_back(weak);
                continue;
            }
            let mut state = node.state();
            if state.pinned {
                continue;
            }
            let Some(fd) = state.fd.take() else { continue };
            if self.handles.is_some() && state.handle.is_none() && self.is_on_root_mount(&node) {
                state.handle = FileHandle::of(&*fd).ok();
            }
            self.descriptors.fetch_sub(1, Ordering::Relaxed);
            closed += 1;
        }
    }

    /// Closes a share of the descriptors: somebody else needs them.
    pub(super) fn relieve(&self) {
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = clock.len() / 4 + 1;
        self.turn(&mut clock, wanted);
    }

    /// Keeps the descriptor of an inode that has lost its last name.
    pub(super) fn pin(&self, node: &Node, fd: Arc<OwnedFd>) {
        let mut state = node.state();
        state.pinned = true;
        if state.fd.is_none() {
            state.fd = Some(fd);
            self.descriptors.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether the name is the only way to find an inode again.
    pub(super) fn needs_name(&self, node: &Node, parent: u64, name: &std::ffi::CStr) -> bool {
        let state = node.state();
        let by_handle = self.handles.is_some() && self.is_on_root_mount(node);
        !by_handle && state.parent == parent && *state.name == *name
    }

    fn is_on_root_mount(&self, node: &Node) -> bool {
        self.root_mount.is_some_and(|mount| node.identity.is_on(mount))
    }

    /// Descriptors held by nodes now.
    pub(super) fn descriptors(&self) -> usize {
        self.descriptors.load(Ordering::Relaxed)
    }

    /// Nodes known now.
    pub(super) fn len(&self) -> usize {
        self.by_id.iter().map(|ids| ids.read().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    /// The inode number the kernel is told of what `stat` describes.
    pub(super) fn ino(&self, stat: &Statx) -> u64 {
        self.number((stat.stx_dev_major, stat.stx_dev_minor), stat.stx_ino)
    }

    /// The inode number the kernel is told of a record in a directory.
    pub(super) fn record_ino(&self, directory: &Node, ino: u64) -> u64 {
        self.number(directory.identity.device(), ino)
    }

    /// The inode number the kernel is told of an inode of a lender's.
    pub(super) fn lent_ino(&self, ino: u64) -> u64 {
        self.number(LENDER, ino)
    }

    /// The lower inode number, with the number of its device in the upper bits where there are several.
    fn number(&self, device: (u32, u32), ino: u64) -> u64 {
        let seen = |devices: &Vec<(u32, u32)>| devices.iter().position(|d| *d == device);
        let index = seen(&self.devices.read().unwrap_or_else(PoisonError::into_inner));
        let index = index.unwrap_or_else(|| {
            let mut devices = self.devices.write().unwrap_or_else(PoisonError::into_inner);
            seen(&devices).unwrap_or_else(|| {
                devices.push(device);
                devices.len() - 1
            })
        });
        ino ^ ((index as u64) << 48)
    }

    /// The attributes the kernel is told.
    pub(super) fn attr(&self, stat: &Statx) -> fuse_attr {
        fuse_attr {
            ino: self.ino(stat),
            size: stat.stx_size,
            blocks: stat.stx_blocks,
            atime: stat.stx_atime.tv_sec.cast_unsigned(),
            mtime: stat.stx_mtime.tv_sec.cast_unsigned(),
            ctime: stat.stx_ctime.tv_sec.cast_unsigned(),
            atimensec: stat.stx_atime.tv_nsec,
            mtimensec: stat.stx_mtime.tv_nsec,
            ctimensec: stat.stx_ctime.tv_nsec,
            mode: stat.stx_mode.into(),
            nlink: stat.stx_nlink,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            rdev: encode_device(stat.stx_rdev_major, stat.stx_rdev_minor),
            blksize: stat.stx_blksize,
            flags: 0,
        }
    }
}

/// A device number in 32 bits, as FUSE carries it (the kernel's `new_encode_dev`).
pub(super) fn encode_device(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

/// Major and minor of a 32-bit device number.
pub(crate) fn decode_device(device: u32) -> (u32, u32) {
    ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xf_ff00))
}

/// Checks a name the kernel or a filter gave: exactly one component.
pub(super) fn check_name(name: &std::ffi::CStr) -> Result<(), Errno> {
    match name.to_bytes() {
        b"" | b"." | b".." => Err(Errno::EINVAL),
        name if name.len() > 255 => Err(Errno::ENAMETOOLONG),
        name if OsStr::from_bytes(name).as_bytes().contains(&b'/') => Err(Errno::EINVAL),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_go_both_ways() {
        for (major, minor) in [(1, 3), (8, 0), (253, 255), (10, 256), (4095, 0xf_ffff), (0, 0)] {
            assert_eq!(decode_device(encode_device(major, minor)), (major, minor));
        }
        assert_eq!(encode_device(1, 3), 0x103);
    }

    #[test]
    fn names_are_one_component() {
        for bad in [c"", c".", c"..", c"a/b", c"/"] {
            assert_eq!(check_name(bad), Err(Errno::EINVAL), "{bad:?}");
        }
        assert_eq!(check_name(&CString::new(vec![b'x'; 256]).unwrap()), Err(Errno::ENAMETOOLONG));
        assert_eq!(check_name(&CString::new(vec![b'x'; 255]).unwrap()), Ok(()));
        assert_eq!(check_name(c"..."), Ok(()));
    }
}
