//! Mounting a directory through filters.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::backing::{Backing, BackingError, Config};
use crate::control;
use crate::filter::{FilterError, FilterSet};
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
    /// The filters cannot be chained.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The kernel does not mount it.
    #[error(transparent)]
    Session(#[from] SessionError),
}

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
    source: PathBuf,
    filters: Vec<FilterSet>,
    timeout: Duration,
    workers: usize,
    options: MountOptions,
}

impl Builder {
    /// A mount of this directory, with no filter.
    pub fn new(source: &Path) -> Builder {
        Builder {
            source: source.to_owned(),
            filters: Vec::new(),
            timeout: Duration::ZERO,
            workers: default_workers(),
            options: MountOptions::default(),
        }
    }

    /// Adds a program set inside the ones added before.
    pub fn filter(mut self, set: FilterSet) -> Builder {
        self.filters.push(set);
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
        let backing = Backing::open(&self.source, Config { switch_credentials: root, ..Config::default() })?;
        if lies_inside(mountpoint, &self.source) {
            return Err(MountFailure::Inside { mountpoint: mountpoint.to_owned(), from: self.source });
        }

        let mut options = self.options;
        options.allow_other |= root;
        options.default_permissions |= !root;
        if options.source.is_empty() {
            options.source = self.source.display().to_string();
        }
        let init = InitConfig { default_permissions: options.default_permissions, ..InitConfig::default() };
        let config =
            ServerConfig { filters: self.filters, timeout: self.timeout, max_reply: init.max_write as usize };
        let server = Arc::new(Server::new(backing, config)?);
        let session = SessionConfig { workers: self.workers, init };
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
