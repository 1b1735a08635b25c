//! A directory, a mount of it, and a mount of that mount. The upper one is tested; the programs of the lower one tell what
//! reaches the backing directory, and let it fail.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fuse_bpf::abi::{fuse_attr, fuse_attr_out, fuse_entry_out};
use fuse_bpf::daemon::{Answer, Daemon};
use fuse_bpf::filter::FilterObject;
use fuse_bpf::transport::Request;
use fuse_bpf::{Builder, Errno, Mount, worker_slots};
use fuse_bpf_vm::maps::{Map, UpdateMode};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

pub(crate) const PREFILTER: u32 = 0x10000;
pub(crate) const POSTFILTER: u32 = 0x20000;
pub(crate) const OPCODE: u32 = 0xffff;

/// Index of a program in the tables of the object.
pub(crate) const AFTER: u32 = 1;
pub(crate) const DEFAULT: u32 = 2;

const WORDS: usize = 32;

/// `struct rule` of `bpf/tests/matrix.bpf.c`.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(crate) struct Rule {
    pub(crate) value: u32,
    pub(crate) place: u32,
    pub(crate) size: u32,
    /// What a postfilter makes of the operation: 0 nothing, 1 success, else an errno.
    pub(crate) result: u32,
    pub(crate) keep: [u32; WORDS],
    pub(crate) put: [u32; WORDS],
    pub(crate) text: [u8; 128],
}

/// Continue, and change nothing.
pub(crate) const NO_RULE: Rule =
    Rule { value: 0, place: 0, size: 0, result: 0, keep: [u32::MAX; WORDS], put: [0; WORDS], text: [0; 128] };

/// `struct record` of `bpf/tests/matrix.bpf.c`: a program ran.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Record {
    pub(crate) nodeid: u64,
    pub(crate) opcode: u32,
    pub(crate) error_in: u32,
    pub(crate) program: u32,
    pub(crate) len: [u32; 3],
    pub(crate) uid: u32,
    pub(crate) pid: u32,
    pub(crate) input: [u32; WORDS],
    pub(crate) text: [[u8; 64]; 3],
}

impl Record {
    pub(crate) fn is(&self, opcode: u32) -> bool {
        self.opcode & OPCODE == opcode
    }

    /// Which error it was told of, negative.
    pub(crate) fn error(&self) -> i32 {
        self.error_in.cast_signed()
    }

    /// The first 64 bits of its struct: a handle.
    pub(crate) fn handle(&self) -> u64 {
        u64::from(self.input[0]) | u64::from(self.input[1]) << 32
    }
}

/// The maps of one object.
#[derive(Debug)]
pub(crate) struct Programs {
    rules: Arc<Map>,
    seen: Arc<Map>,
    set: Mutex<Vec<u32>>,
    log: Mutex<Vec<Record>>,
}

pub(crate) fn object() -> FilterObject {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bpf/tests/matrix.bpf.o");
    FilterObject::load_file(&path, worker_slots()).unwrap()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Programs {
    pub(crate) fn of(object: &FilterObject) -> Programs {
        let map =
            |name: &str| Arc::clone(object.module().maps.iter().find(|map| map.spec().name == name).unwrap());
        let programs =
            Programs { rules: map("rules"), seen: map("seen"), set: Mutex::default(), log: Mutex::default() };
        for slot in 0..256 {
            programs.write(slot, &NO_RULE);
        }
        programs
    }

    fn write(&self, slot: u32, rule: &Rule) {
        self.rules.update(&slot.to_ne_bytes(), rule.as_bytes(), UpdateMode::Any).unwrap();
    }

    /// Sets what one program does.
    pub(crate) fn rule(&self, opcode: u32, program: u32, rule: Rule) {
        let slot = (opcode & 63) * 4 + program;
        self.write(slot, &rule);
        lock(&self.set).push(slot);
    }

    /// From now on nobody does anything.
    pub(crate) fn clear(&self) {
        for slot in lock(&self.set).drain(..) {
            self.write(slot, &NO_RULE);
        }
    }

    /// The programs that ran since the log was last emptied.
    pub(crate) fn log(&self) -> Vec<Record> {
        let mut log = lock(&self.log);
        self.seen.consume(&mut |bytes: &[u8]| log.push(Record::read_from_bytes(bytes).unwrap()));
        log.clone()
    }

    /// Empties the log.
    pub(crate) fn forget(&self) {
        self.log();
        lock(&self.log).clear();
    }

    /// Waits until the prefilter of an operation has run; requests that nobody waits for may come late.
    pub(crate) fn wait_for(&self, opcode: u32) -> Option<Record> {
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            let found = self.log().into_iter().find(|record| record.opcode == opcode | PREFILTER);
            if found.is_some() || Instant::now() > end {
                return found;
            }
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

/// A request as the daemon got it.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) opcode: u32,
    pub(crate) nodeid: u64,
    pub(crate) body: Vec<u8>,
}

type Answers = HashMap<u32, Box<dyn Fn(&Heard) -> Result<Answer, Errno> + Send>>;

/// A daemon that answers what a case says, and else as if it had one file of each kind.
#[derive(Clone, Default)]
pub(crate) struct Oracle {
    answers: Arc<Mutex<Answers>>,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl std::fmt::Debug for Oracle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Oracle")
    }
}

/// What the daemon's own inodes are, by number.
pub(crate) const FILE: u64 = 700;
pub(crate) const DIR: u64 = 701;
pub(crate) const LINK: u64 = 702;
pub(crate) const FIFO: u64 = 703;

pub(crate) fn attr_of(nodeid: u64) -> fuse_attr {
    let mode = match nodeid {
        DIR => libc::S_IFDIR | 0o755,
        LINK => libc::S_IFLNK | 0o777,
        FIFO => libc::S_IFIFO | 0o644,
        _ => libc::S_IFREG | 0o644,
    };
    fuse_attr { ino: nodeid, mode, nlink: 1, size: 44, blksize: 4096, ..Default::default() }
}

pub(crate) fn entry_of(nodeid: u64) -> fuse_entry_out {
    fuse_entry_out { nodeid, attr: attr_of(nodeid), ..Default::default() }
}

impl Oracle {
    /// Answers requests with this opcode so.
    pub(crate) fn answer(
        &self,
        opcode: u32,
        with: impl Fn(&Heard) -> Result<Answer, Errno> + Send + 'static,
    ) {
        lock(&self.answers).insert(opcode, Box::new(with));
    }

    pub(crate) fn clear(&self) {
        lock(&self.answers).clear();
        lock(&self.heard).clear();
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        lock(&self.heard).clone()
    }
}

impl Daemon for Oracle {
    fn serve(&self, request: &Request<'_>) -> Result<Answer, Errno> {
        let heard = Heard {
            opcode: request.header.opcode,
            nodeid: request.header.nodeid,
            body: request.body.to_vec(),
        };
        lock(&self.heard).push(heard.clone());
        if let Some(answer) = lock(&self.answers).get(&heard.opcode) {
            return answer(&heard);
        }
        let body = match heard.opcode {
            // GETATTR
            3 => {
                let out = fuse_attr_out { attr: attr_of(heard.nodeid), ..Default::default() };
                out.as_bytes().to_vec()
            }
            // RELEASE, FLUSH, RELEASEDIR
            18 | 25 | 29 => Vec::new(),
            // LOOKUP
            1 => return Err(Errno::ENOENT),
            _ => return Err(Errno::ENOSYS),
        };
        Ok(Answer { body, ..Answer::default() })
    }
}

/// What an operation is tried on: a directory of its own, open before the programs are told what to do.
#[derive(Debug)]
pub(crate) struct Scene {
    /// Which mount it is in.
    set: usize,
    pub(crate) name: String,
    /// The directory, by `O_PATH`.
    pub(crate) dir: OwnedFd,
    /// Keeps the inode of `f`.
    _kept: Option<OwnedFd>,
    /// What is open of it.
    pub(crate) file: Option<OwnedFd>,
    pub(crate) other: Option<OwnedFd>,
    /// The numbers filters see of the directory and of the file in it.
    pub(crate) ids: [u64; 2],
}

/// The mounts.
#[derive(Debug)]
pub(crate) struct World {
    /// In the order in which they are taken down.
    mounts: Vec<Mount>,
    pub(crate) upper: Programs,
    pub(crate) lower: Programs,
    pub(crate) oracle: Oracle,
    dir: tempfile::TempDir,
    scenes: Mutex<u64>,
}

/// The sets the directory is mounted with; [`World::scene`] takes their index.
pub(crate) const SETS: [&str; 4] = ["matrix", "no_default", "no_data", "only_default"];

impl World {
    pub(crate) fn new() -> World {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        let dir = tempfile::Builder::new().prefix("fb-matrix-").tempdir().unwrap();
        let (below, src) = (dir.path().join("below"), dir.path().join("src"));
        fs::create_dir(&below).unwrap();
        fs::create_dir(&src).unwrap();
        let (lower_object, upper_object) = (object(), object());
        let (lower, upper) = (Programs::of(&lower_object), Programs::of(&upper_object));
        let mount = Builder::new(&below).filter(lower_object.set(Some("no_default")).unwrap()).mount(&src);
        let lower_mount = mount.unwrap();
        let oracle = Oracle::default();
        let mut mounts: Vec<Mount> = SETS
            .iter()
            .map(|set| {
                let mnt = dir.path().join(set);
                fs::create_dir(&mnt).unwrap();
                let builder = Builder::new(&src).filter(upper_object.set(Some(set)).unwrap());
                builder.daemon(oracle.clone()).mount(&mnt).unwrap()
            })
            .collect();
        mounts.push(lower_mount);
        World { mounts, upper, lower, oracle, dir, scenes: Mutex::new(0) }
    }

    /// A path in the directory at the bottom.
    pub(crate) fn below(&self, name: &str) -> PathBuf {
        self.dir.path().join("below").join(name)
    }

    /// A path in a mount.
    pub(crate) fn mnt(&self, set: usize, name: &str) -> PathBuf {
        self.dir.path().join(SETS[set]).join(name)
    }

    /// A new directory with a file of each kind in it: `f` has attributes, `g` is another file, `d` a directory, `l` and `m` links. It has
    /// a number for filters, and with `keep` so has `f`, which is held.
    pub(crate) fn scene(&self, set: usize, keep: bool) -> Scene {
        use rustix::fs::{Mode, OFlags, XattrFlags, setxattr};
        let number = {
            let mut scenes = lock(&self.scenes);
            *scenes += 1;
            *scenes
        };
        let name = format!("c{number}");
        let below = self.below(&name);
        fs::create_dir(&below).unwrap();
        fs::write(below.join("f"), "0123456789").unwrap();
        fs::write(below.join("g"), "gg").unwrap();
        fs::create_dir(below.join("d")).unwrap();
        std::os::unix::fs::symlink("target", below.join("l")).unwrap();
        std::os::unix::fs::symlink("beside", below.join("m")).unwrap();
        for (name, value) in [("user.a", b"va"), ("user.b", b"vb")] {
            setxattr(below.join("f"), name, value, XattrFlags::empty()).unwrap();
        }
        let ids = [10_000 + 2 * number, 10_001 + 2 * number];
        let named = |id: u64| {
            let (mut keep, mut put) = (NO_RULE.keep, NO_RULE.put);
            (keep[0], keep[1], put[0]) = (0, 0, id as u32);
            for programs in [&self.upper, &self.lower] {
                programs.rule(1, 0, Rule { value: 3, ..NO_RULE });
                programs.rule(1, AFTER, Rule { place: 2, keep, put, ..NO_RULE });
            }
        };
        let path = OFlags::PATH | OFlags::CLOEXEC;
        named(ids[0]);
        let dir = rustix::fs::open(self.mnt(set, &name), path, Mode::empty()).unwrap();
        let kept = keep.then(|| {
            named(ids[1]);
            rustix::fs::openat(&dir, "f", path, Mode::empty()).unwrap()
        });
        self.upper.clear();
        self.lower.clear();
        Scene { set, name, dir, _kept: kept, file: None, other: None, ids }
    }

    /// What is in a scene's directory, at the bottom.
    pub(crate) fn state(&self, scene: &Scene) -> BTreeMap<String, String> {
        use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
        let mut state = BTreeMap::new();
        for entry in fs::read_dir(self.below(&scene.name)).unwrap() {
            let entry = entry.unwrap();
            let (path, meta) = (entry.path(), entry.metadata().unwrap());
            let mode = meta.mode() & 0o7777;
            let text = match meta.file_type() {
                kind if kind.is_dir() => format!("dir {mode:o}"),
                kind if kind.is_symlink() => format!("-> {}", fs::read_link(&path).unwrap().display()),
                kind if kind.is_fifo() => format!("fifo {mode:o}"),
                _ => {
                    let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).replace('\0', ".");
                    let value = |name: &str| {
                        let mut value = [0; 64];
                        let len = rustix::fs::getxattr(&path, name, &mut value).ok()?;
                        Some(format!(" {}={}", &name[5..], String::from_utf8_lossy(&value[..len])))
                    };
                    let values: String = ["user.a", "user.b"].iter().filter_map(|name| value(name)).collect();
                    format!("file {mode:o} {text}{values}")
                }
            };
            state.insert(entry.file_name().into_string().unwrap(), text);
        }
        state
    }

    /// Puts a scene away.
    pub(crate) fn strike(&self, scene: Scene) {
        self.upper.clear();
        self.lower.clear();
        self.oracle.clear();
        let (set, name) = (scene.set, scene.name.clone());
        drop(scene);
        fs::remove_dir_all(self.below(&name)).unwrap();
        // The kernel forgets what it does not find.
        assert!(fs::symlink_metadata(self.mnt(set, &name)).is_err());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for mount in self.mounts.drain(..) {
            mount.stop();
        }
    }
}
