//! A mount with a daemon that a test plays.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fuse_bpf::abi::{Wire, entry, fuse_attr, fuse_entry_out};
use fuse_bpf::call::Compat;
use fuse_bpf::daemon::{Answer, Daemon, Notifier};
use fuse_bpf::filter::{FilterObject, FilterSet, Registry};
use fuse_bpf::transport::Request;
use fuse_bpf::{Builder, Errno, Mount, worker_slots};

pub(crate) const PREFILTER: u32 = 0x10000;
pub(crate) const POSTFILTER: u32 = 0x20000;

/// A request as the daemon got it.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) opcode: u32,
    pub(crate) nodeid: u64,
    pub(crate) body: Vec<u8>,
}

type Serve = dyn Fn(&Heard) -> Result<Answer, Errno> + Send + Sync;

/// A daemon that does what a test says and remembers what it heard.
#[derive(Clone)]
pub(crate) struct Mock {
    serve: Arc<Serve>,
    heard: Arc<Mutex<Vec<Heard>>>,
    notifier: Arc<Mutex<Option<Notifier>>>,
}

impl std::fmt::Debug for Mock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mock")
    }
}

impl Mock {
    pub(crate) fn new(serve: impl Fn(&Heard) -> Result<Answer, Errno> + Send + Sync + 'static) -> Mock {
        Mock { serve: Arc::new(serve), heard: Arc::default(), notifier: Arc::default() }
    }

    /// A daemon that knows nothing.
    pub(crate) fn empty() -> Mock {
        Mock::new(|_| Err(Errno::ENOENT))
    }

    fn note(&self, request: &Request<'_>) -> Heard {
        let heard = Heard {
            opcode: request.header.opcode,
            nodeid: request.header.nodeid,
            body: request.body.to_vec(),
        };
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).push(heard.clone());
        heard
    }

    /// The requests with this opcode, filter bits included.
    pub(crate) fn heard(&self, opcode: u32) -> Vec<Heard> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.iter().filter(|heard| heard.opcode == opcode).cloned().collect()
    }

    pub(crate) fn notifier(&self) -> Notifier {
        self.notifier.lock().unwrap().clone().unwrap()
    }
}

impl Daemon for Mock {
    fn serve(&self, request: &Request<'_>) -> Result<Answer, Errno> {
        (self.serve)(&self.note(request))
    }

    fn tell(&self, request: &Request<'_>) {
        self.note(request);
    }

    fn mounted(&self, notifier: Notifier) {
        *self.notifier.lock().unwrap() = Some(notifier);
    }
}

/// An answer with these bytes.
pub(crate) fn bytes(body: impl Into<Vec<u8>>) -> Result<Answer, Errno> {
    Ok(Answer { body: body.into(), ..Answer::default() })
}

/// An answer that is one struct.
pub(crate) fn with<T: Wire>(value: &T) -> Result<Answer, Errno> {
    bytes(value.as_bytes())
}

/// A struct at an offset of a message.
pub(crate) fn at<T: Wire>(body: &[u8], offset: usize) -> T {
    T::read_from_prefix(&body[offset..]).unwrap().0
}

/// An entry of a regular file or directory.
pub(crate) fn entry_of(nodeid: u64, mode: u32) -> fuse_entry_out {
    let attr = fuse_attr { ino: nodeid, mode, nlink: 1, size: 4, blksize: 4096, ..Default::default() };
    fuse_entry_out { nodeid, attr, ..Default::default() }
}

/// An entry block.
pub(crate) fn block(kind: u32, name: &str) -> Vec<u8> {
    let mut block = vec![0; entry::BLOCK];
    block[..4].copy_from_slice(&kind.to_ne_bytes());
    block[8..8 + name.len()].copy_from_slice(name.as_bytes());
    block
}

/// Descriptors beside an answer.
pub(crate) fn carrying(answer: Result<Answer, Errno>, fd: OwnedFd) -> Result<Answer, Errno> {
    answer.map(|answer| Answer { fds: vec![fd], ..answer })
}

/// The object of the series' programs, in the layouts of one of its versions.
pub(crate) fn object(version: &str) -> FilterObject {
    let name = match version {
        "v3" => "series_v3.bpf.o",
        _ => "series.bpf.o",
    };
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bpf/tests").join(name);
    FilterObject::load_file(&path, worker_slots()).unwrap()
}

pub(crate) fn set(name: &str) -> FilterSet {
    object("v4").set(Some(name)).unwrap()
}

/// A mount. It is gone when this is.
pub(crate) struct Fixture {
    mount: Option<Mount>,
    pub(crate) daemon: Mock,
    pub(crate) dir: tempfile::TempDir,
    from: Mutex<u64>,
}

impl Fixture {
    /// `src` below, seen through a set.
    pub(crate) fn over_source(set: Option<FilterSet>, daemon: Mock) -> Fixture {
        Fixture::new(true, set, Registry::default(), daemon, Compat::None)
    }

    /// `src` below, seen through a set that is held to a version of the series, or not.
    pub(crate) fn compatible(set: FilterSet, compat: Compat) -> Fixture {
        Fixture::new(true, Some(set), Registry::default(), Mock::empty(), compat)
    }

    /// Nothing below.
    pub(crate) fn alone(registry: Registry, daemon: Mock) -> Fixture {
        Fixture::new(false, None, registry, daemon, Compat::None)
    }

    fn new(
        source: bool,
        set: Option<FilterSet>,
        registry: Registry,
        daemon: Mock,
        compat: Compat,
    ) -> Fixture {
        let dir = tempfile::Builder::new().prefix("fb-series-").tempdir().unwrap();
        let (src, mnt) = (dir.path().join("src"), dir.path().join("mnt"));
        std::fs::create_dir(&src).unwrap();
        std::fs::create_dir(&mnt).unwrap();
        let mut builder = if source { Builder::new(&src) } else { Builder::without_source() };
        if let Some(set) = set {
            builder = builder.filter(set);
        }
        let mount = builder.registry(registry).compat(compat).daemon(daemon.clone()).mount(&mnt).unwrap();
        Fixture { mount: Some(mount), daemon, dir, from: Mutex::new(0) }
    }

    pub(crate) fn mount(&self) -> &Mount {
        self.mount.as_ref().unwrap()
    }

    pub(crate) fn src(&self, name: &str) -> PathBuf {
        self.dir.path().join("src").join(name)
    }

    pub(crate) fn mnt(&self, name: &str) -> PathBuf {
        self.dir.path().join("mnt").join(name)
    }

    /// Whether programs printed a line that begins so since the last question.
    pub(crate) fn traced(&self, start: &str) -> bool {
        let mut from = self.from.lock().unwrap();
        let (_, lines) = self.mount().server().trace().read(&mut from, Duration::from_millis(10));
        lines.iter().any(|line| line.starts_with(start))
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if let Some(mount) = self.mount.take() {
            mount.stop();
        }
    }
}

/// The error number of a failed call.
pub(crate) fn errno<T: std::fmt::Debug>(result: std::io::Result<T>) -> i32 {
    result.unwrap_err().raw_os_error().unwrap()
}

/// The names in a directory, in its order.
pub(crate) fn names(path: &std::path::Path) -> Vec<String> {
    let dir = rustix::fs::openat(
        rustix::fs::CWD,
        path,
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY,
        rustix::fs::Mode::empty(),
    )
    .unwrap();
    let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
    let mut records = rustix::fs::RawDir::new(dir, &mut buffer);
    let mut names = Vec::new();
    while let Some(record) = records.next() {
        names.push(record.unwrap().file_name().to_str().unwrap().to_owned());
    }
    names
}
