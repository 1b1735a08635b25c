//! Mounting a directory through filters.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::backing::{Backing, BackingError, Config};
use crate::call::Compat;
use crate::control;
use crate::daemon::{Daemon, Link, MAX_WRITE, Peer};
use crate::filter::{FilterError, FilterSet, Registry};
use crate::serve::{Server, ServerConfig};
use crate::session::{Session, SessionConfig, SessionError, StopHandle};
use crate::transport::{InitConfig, MountOptions, Negotiated};

/// Why a directory cannot be mounted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MountFailure {
    /// The source cannot be used.
    #[error(transparent)]
    Source(#[from] BackingError),
    /// The mount would contain itself.
    #[error(
        "{}: the mount point lies inside the source {}, so the mount would contain itself; choose a mount point outside of it, or the source itself",
        mountpoint.display(), from.display()
    )]
    Inside {
        /// The mount point.
        mountpoint: PathBuf,
        /// The source.
        from: PathBuf,
    },
    /// There is nothing to be mounted.
    #[error("neither a source directory nor a daemon was given")]
    Nothing,
    /// The filters cannot be chained.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The kernel does not mount it.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// Most threads that wait for a daemon at once; further requests to it wait in the kernel.
const MOST_WAITING: usize = 256;

/// Threads that serve a mount unless told otherwise: one for each CPU, two at least, so that one slow
/// operation does not stop the others.
fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).max(2)
}

/// How many threads may run programs of a mount with default settings at once: what
/// [`crate::filter::FilterObject::load`] wants to know.
pub fn worker_slots() -> usize {
    default_workers()
}

/// Prepares a mount.
///
/// ```no_run
/// use fuse_bpf::{Builder, shipped, worker_slots};
///
/// let hide = shipped::hide(&["*.key".parse()?], worker_slots())?;
/// let mut mount = Builder::new("/srv/project".as_ref()).filter(hide).mount("/mnt/project".as_ref())?;
/// mount.wait();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct Builder {
    /// `None` when nothing is below and everything is the daemon's.
    source: Option<PathBuf>,
    filters: Vec<FilterSet>,
    policies: Vec<FilterSet>,
    registry: Registry,
    daemon: Option<(Box<dyn Daemon>, u32)>,
    compat: Compat,
    timeout: Duration,
    workers: usize,
    options: MountOptions,
}

impl Builder {
    /// A mount of this directory, with no filter.
    pub fn new(source: &Path) -> Builder {
        Builder { source: Some(source.to_owned()), ..Builder::empty() }
    }

    /// A mount with nothing below: everything comes from the daemon, and from what it puts into the tree.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use fuse_bpf::{Builder, daemon};
    ///
    /// let (command, peer) = daemon::Command::start("my_fs -f /dev/fd/3", Duration::from_secs(30))?;
    /// let mut mount = Builder::without_source().peer(peer).mount("/mnt/mine".as_ref())?;
    /// mount.wait();
    /// drop(command);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn without_source() -> Builder {
        Builder::empty()
    }

    fn empty() -> Builder {
        Builder {
            source: None,
            filters: Vec::new(),
            policies: Vec::new(),
            registry: Registry::default(),
            daemon: None,
            compat: Compat::None,
            timeout: Duration::ZERO,
            workers: default_workers(),
            options: MountOptions::default(),
        }
    }

    /// Adds a program set inside the ones added before. As in the series it is around operations on the directory below,
    /// and those it hands to the daemon; not around what the daemon does on inodes of its own.
    pub fn filter(mut self, set: FilterSet) -> Builder {
        self.filters.push(set);
        self
    }

    /// Adds a program set as [`Builder::filter`] does, that is around everything, whoever does it.
    pub fn policy(mut self, set: FilterSet) -> Builder {
        self.policies.push(set.clone());
        self.filter(set)
    }

    /// The program sets that entry blocks find by name, beside those of the object of the set that names one.
    pub fn registry(mut self, registry: Registry) -> Builder {
        self.registry = registry;
        self
    }

    /// Whether filters are held to what the series lets them.
    pub fn compat(mut self, compat: Compat) -> Builder {
        self.compat = compat;
        self
    }

    /// A daemon that serves what nothing below does, what filters hand over, and filters of its own.
    pub fn daemon(mut self, daemon: impl Daemon + 'static) -> Builder {
        self.daemon = Some((Box::new(daemon), MAX_WRITE));
        self
    }

    /// A daemon at the other end of a socket.
    pub fn peer(mut self, peer: Peer) -> Builder {
        let max_write = peer.max_write();
        self.daemon = Some((Box::new(peer), max_write));
        self
    }

    /// How long the kernel may keep names and attributes no filter has a say on; by default not at all,
    /// so that changes beside the mount are seen at once.
    pub fn timeout(mut self, timeout: Duration) -> Builder {
        self.timeout = timeout;
        self
    }

    /// How many threads serve requests; no more than the slots the filters were loaded for.
    pub fn workers(mut self, workers: usize) -> Builder {
        self.workers = workers.max(1);
        self
    }

    /// Options of the mount itself.
    pub fn options(mut self, options: MountOptions) -> Builder {
        self.options = options;
        self
    }

    /// Mounts. Requests are served when this returns.
    ///
    /// As root every operation is done with the credentials of the process that asks for it, and other users
    /// are let in. Otherwise the kernel checks permissions and only the mounting user is let in.
    ///
    /// # Errors
    ///
    /// When the source or the mount point cannot be used, with the remedy.
    pub fn mount(self, mountpoint: &Path) -> Result<Mount, MountFailure> {
        let root = rustix::process::geteuid().is_root();
        let config = Config { switch_credentials: root, ..Config::default() };
        let backing = match &self.source {
            Some(source) => Backing::open(source, config)?,
            None if self.daemon.is_none() => return Err(MountFailure::Nothing),
            None => Backing::lent(config)?,
        };
        if let Some(source) = &self.source
            && lies_inside(mountpoint, source)
        {
            return Err(MountFailure::Inside { mountpoint: mountpoint.to_owned(), from: source.clone() });
        }

        let mut options = self.options;
        options.allow_other |= root;
        options.default_permissions |= !root;
        if options.source.is_empty() {
            options.source =
                self.source.map_or_else(|| "daemon".to_owned(), |source| source.display().to_string());
        }
        let mut init =
            InitConfig { default_permissions: options.default_permissions, ..InitConfig::default() };
        let mut most_workers = self.workers;
        let daemon = self.daemon.map(|(daemon, max_write)| {
            // A request that goes to the daemon must fit a message to it.
            init.max_write = max_write;
            most_workers += MOST_WAITING;
            Link::new(Arc::from(daemon), Arc::clone(&backing))
        });
        let config = ServerConfig {
            filters: self.filters,
            policies: self.policies,
            timeout: self.timeout,
            max_reply: init.max_write as usize,
            slots: self.workers,
            registry: self.registry,
            compat: self.compat,
            daemon,
        };
        let server = Arc::new(Server::new(backing, config)?);
        let session = SessionConfig { workers: self.workers, most_workers, init };
        let session = Session::start(mountpoint, &options, &session, Arc::clone(&server))?;
        let control = match control::Server::start(session.device(), Arc::clone(&server) as _) {
            Ok(control) => Some(control),
            Err(error) => {
                tracing::warn!("no control socket, `trace` will not work: {error}");
                None
            }
        };
        Ok(Mount { session, server, _control: control })
    }
}

/// Whether `path` is strictly below `directory`, by whatever names.
fn lies_inside(path: &Path, directory: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |path: &Path| path.metadata().map(|m| (m.dev(), m.ino())).ok();
    let (Ok(path), Some(directory)) = (path.canonicalize(), identity(directory)) else { return false };
    path.ancestors().skip(1).any(|ancestor| identity(ancestor) == Some(directory))
}

/// A mounted directory. Dropping it unmounts.
#[derive(Debug)]
pub struct Mount {
    session: Session<Server>,
    server: Arc<Server>,
    _control: Option<control::Server>,
}

impl Mount {
    /// Blocks until it is unmounted.
    pub fn wait(&mut self) {
        self.session.wait();
    }

    /// Unmounts cleanly: what was written goes down first, files still open get an error.
    pub fn stop(self) {
        self.session.stop();
    }

    /// Unmounts from another thread, for example on a signal.
    pub fn stop_handle(&self) -> StopHandle {
        self.session.stop_handle()
    }

    /// What kernel and library agreed on, and why not more.
    pub fn negotiated(&self) -> &Negotiated {
        self.session.negotiated()
    }

    /// The program sets of the root, outermost first.
    pub fn filters(&self) -> &[FilterSet] {
        self.server.filters()
    }

    /// The server behind the mount.
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_below_the_source_is_seen_through_links() {
        let dir = tempfile::tempdir().unwrap();
        let (src, inside, link) = (dir.path().join("s"), dir.path().join("s/a/b"), dir.path().join("l"));
        std::fs::create_dir_all(&inside).unwrap();
        std::os::unix::fs::symlink(&src, &link).unwrap();
        assert!(lies_inside(&inside, &src));
        assert!(lies_inside(&link.join("a"), &src));
        assert!(lies_inside(&inside, &link));
        assert!(!lies_inside(&src, &src));
        assert!(!lies_inside(dir.path(), &src));
    }
}
