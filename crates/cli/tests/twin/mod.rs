//! Runs one case in a plain directory and through a mount, and compares everything that can be seen.
//!
//! A case is a function that does things in a directory and notes what came of them. It runs twice, each
//! time in a process of its own (own credentials, umask, locks, and it can be killed when it hangs): in a
//! plain directory, and in the directory of the same name of a mount whose lower directory is the plain one's
//! twin. The notes must agree line by line, and afterwards the two lower trees must be the same.

pub(crate) mod mount;
pub(crate) mod sys;
pub(crate) mod tree;

use std::fmt::{Debug, Display};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The user who runs the cases that do not run as root.
pub(crate) const USER: u32 = 12345;
/// The user who mounts where root does not: fusermount3 wants one that has a name.
pub(crate) const NOBODY: u32 = 65534;
/// A group they are in besides their own.
pub(crate) const EXTRA_GROUP: u32 = 23456;
/// Somebody else.
pub(crate) const STRANGER: u32 = 54321;
/// How long a case may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Something to do on both sides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    /// The operation it is about, as in `FUSE_LOOKUP` without `FUSE_`.
    pub(crate) op: &'static str,
    /// Its name, unique.
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) run: fn(&Cx),
}

/// A difference that is not the mount's fault.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inherent {
    /// The case.
    pub(crate) case: &'static str,
    /// The noted label.
    pub(crate) label: &'static str,
    /// What the mount answers; `*` for anything.
    pub(crate) mount: &'static str,
    /// Which mounts may.
    pub(crate) on: Kind,
    /// Why nothing can be done about it.
    pub(crate) reason: &'static str,
}

/// Some of the mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// All of them.
    Any,
    /// Those with filters.
    Filtered,
    /// Those of ordinary users.
    ByUser,
}

/// Where a case runs, and its notebook.
#[derive(Debug)]
pub(crate) struct Cx {
    /// The directory to work in: plain, or through the mount.
    pub(crate) dir: PathBuf,
    /// The same directory beside the mount; `dir` itself on the plain side.
    pub(crate) lower: PathBuf,
}

/// What came of something, as text.
pub(crate) fn outcome<T, E: Into<io::Error>>(result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| {
        let error = error.into();
        error.raw_os_error().map_or_else(|| format!("error {:?}", error.kind()), errno)
    })
}

impl Cx {
    /// A path in the directory.
    pub(crate) fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.join(name)
    }

    /// Notes a value.
    pub(crate) fn note(&self, label: &str, value: impl Display) {
        let line = format!("{label}: {value}").replace('\\', "\\\\").replace('\n', "\\n");
        let mut out = io::stdout().lock();
        // Nobody to tell when the notebook is gone.
        drop(writeln!(out, "{line}").and_then(|()| out.flush()));
    }

    /// Notes `ok` or the error, and gives the value.
    pub(crate) fn check<T, E: Into<io::Error>>(&self, label: &str, result: Result<T, E>) -> Option<T> {
        match outcome(result) {
            Ok(value) => {
                self.note(label, "ok");
                Some(value)
            }
            Err(error) => {
                self.note(label, error);
                None
            }
        }
    }

    /// Notes the value or the error.
    pub(crate) fn value<T: Debug, E: Into<io::Error>>(&self, label: &str, result: Result<T, E>) {
        match outcome(result) {
            Ok(value) => self.note(label, format_args!("{value:?}")),
            Err(error) => self.note(label, error),
        }
    }

    /// Notes what lstat(2) says, times and numbers of inodes and devices aside.
    pub(crate) fn stat(&self, label: &str, path: impl AsRef<Path>) {
        self.meta(label, fs::symlink_metadata(self.at(path)));
    }

    /// Notes attributes.
    pub(crate) fn meta(&self, label: &str, meta: io::Result<fs::Metadata>) {
        match outcome(meta) {
            Ok(meta) => self.note(label, describe(&meta)),
            Err(error) => self.note(label, error),
        }
    }

    /// Notes the contents: all of them when short, else the length and a checksum.
    pub(crate) fn contents(&self, label: &str, path: impl AsRef<Path>) {
        match outcome(fs::read(self.at(path))) {
            Ok(bytes) => self.note(label, digest(&bytes)),
            Err(error) => self.note(label, error),
        }
    }

    /// Makes a file for the case to work on.
    pub(crate) fn file(&self, name: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.at(name);
        if let Err(error) = fs::write(&path, contents) {
            self.note(
                &format!("cannot prepare {}", path.strip_prefix(&self.dir).unwrap_or(&path).display()),
                error,
            );
        }
        path
    }

    /// Makes a directory for the case to work in.
    pub(crate) fn folder(&self, name: impl AsRef<Path>) -> PathBuf {
        let path = self.at(name);
        if let Err(error) = fs::create_dir_all(&path) {
            self.note("cannot prepare a directory", error);
        }
        path
    }

    /// Sets the mode of something the case prepares.
    pub(crate) fn mode(&self, name: impl AsRef<Path>, mode: u32) {
        if let Err(error) = chmod(&self.at(name), mode) {
            self.note("cannot prepare a mode", error);
        }
    }

    /// Whether the case runs as root.
    pub(crate) fn root(&self) -> bool {
        rustix::process::geteuid().is_root()
    }

    /// Runs part of the case as somebody else, who is in no group but his own. Root only: others skip it.
    pub(crate) fn stranger(&self, part: impl FnOnce(&Cx)) {
        self.user(STRANGER, STRANGER, &[], part);
    }

    /// Runs part of the case as that user. Root only: others skip it.
    pub(crate) fn user(&self, uid: u32, gid: u32, groups: &[u32], part: impl FnOnce(&Cx)) {
        if !self.root() {
            return;
        }
        self.child(|cx| match sys::become_user(uid, gid, groups) {
            Ok(()) => part(cx),
            Err(error) => cx.note("cannot become another user", error),
        });
    }

    /// Runs part of the case in a forked child and waits for it.
    pub(crate) fn child(&self, part: impl FnOnce(&Cx)) {
        let child = self.fork(part).wait();
        if child != 0 {
            self.note("child ended with", child);
        }
    }

    /// Starts part of the case in a forked child.
    pub(crate) fn fork(&self, part: impl FnOnce(&Cx)) -> sys::Child {
        sys::fork(|| {
            part(self);
            0
        })
        .expect("fork")
    }

    /// Lets the kernel forget what it can, as root: every inode nobody uses is looked up again.
    pub(crate) fn drop_caches(&self) {
        if self.root() {
            // Not permitted in some containers; the case is then merely a weaker one.
            drop(fs::write("/proc/sys/vm/drop_caches", "2"));
        }
    }
}

/// chmod(2).
pub(crate) fn chmod(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// The attributes that must agree.
pub(crate) fn describe(meta: &fs::Metadata) -> String {
    let kind = kind(&meta.file_type());
    let size = if meta.is_dir() { String::new() } else { format!(" size {}", meta.size()) };
    format!(
        "{kind} {:04o} nlink {} owner {}:{} rdev {:#x}{size}",
        meta.mode() & 0o7777,
        meta.nlink(),
        meta.uid(),
        meta.gid(),
        meta.rdev()
    )
}

/// The type of a file, in a word.
pub(crate) fn kind(kind: &fs::FileType) -> &'static str {
    match () {
        () if kind.is_dir() => "dir",
        () if kind.is_symlink() => "symlink",
        () if kind.is_fifo() => "fifo",
        () if kind.is_socket() => "socket",
        () if kind.is_char_device() => "char",
        () if kind.is_block_device() => "block",
        () => "file",
    }
}

/// Bytes in a line: themselves when few, else length and checksum.
pub(crate) fn digest(bytes: &[u8]) -> String {
    if bytes.len() <= 80 {
        return format!("\"{}\"", bytes.escape_ascii());
    }
    format!("{} bytes, sum {:016x}", bytes.len(), sum(bytes))
}

/// FNV-1a.
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// `len` bytes that look like nothing.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

/// The name of an error number.
pub(crate) fn errno(number: i32) -> String {
    macro_rules! names {
        ($($name:ident)*) => {
            match number {
                $(libc::$name => stringify!($name).to_owned(),)*
                other => format!("errno {other}"),
            }
        };
    }
    names!(
        EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY
        EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK
        EPIPE ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP ENODATA EOVERFLOW EOPNOTSUPP ESTALE
        EDQUOT ENOTCONN ECONNABORTED ECONNREFUSED ETIMEDOUT EADDRINUSE EPROTO EILSEQ
    )
}

/// The two sides of a comparison.
#[derive(Debug)]
pub(crate) struct Sides {
    /// Plain directory.
    pub(crate) plain: PathBuf,
    /// What is mounted; its twin.
    pub(crate) lower: PathBuf,
    /// Where it is mounted; `lower` itself for a self-check.
    pub(crate) mount: PathBuf,
    /// Who runs the cases, if not this user.
    pub(crate) uid: Option<u32>,
    /// Whether filters are in the way.
    pub(crate) filtered: bool,
    /// Whether an ordinary user mounted it.
    pub(crate) by_user: bool,
    /// Room for notebooks.
    pub(crate) notes: PathBuf,
}

/// The differences of one case, one line each; empty when there are none.
pub(crate) fn compare(sides: &Sides, case: &Case, inherent: &[Inherent]) -> Result<Vec<String>, String> {
    let (plain, lower) = (sides.plain.join(case.name), sides.lower.join(case.name));
    for dir in [&plain, &lower] {
        make_dir(dir, sides.uid).map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
    }
    let expected = run(sides, case, &plain, &plain, "plain")?;
    let got = run(sides, case, &sides.mount.join(case.name), &lower, "mount")?;
    let mut found = diff_notes(&expected, &got, |label, value| {
        let known = inherent.iter().find(|known| {
            known.case == case.name
                && known.label == label
                && (known.mount == value || known.mount == "*")
                && match known.on {
                    Kind::Any => true,
                    Kind::Filtered => sides.filtered,
                    Kind::ByUser => sides.by_user,
                }
        });
        if let Some(known) = known {
            drop(writeln!(
                io::stderr(),
                "known difference: {}, {label}: {value}: {}",
                case.name,
                known.reason
            ));
        }
        known.is_some()
    });
    let list =
        |dir: &Path| tree::list(dir).map_err(|error| format!("cannot list {}: {error}", dir.display()));
    found.extend(tree::diff(&list(&plain)?, &list(&lower)?));
    if found.is_empty() {
        // Keeps the disk small; what is left goes with the scratch directory.
        drop(fs::remove_dir_all(&plain));
        drop(fs::remove_dir_all(&lower));
    }
    Ok(found)
}

fn make_dir(dir: &Path, owner: Option<u32>) -> io::Result<()> {
    fs::create_dir(dir)?;
    chmod(dir, 0o755)?;
    if let Some(uid) = owner {
        std::os::unix::fs::chown(dir, Some(uid), Some(uid))?;
    }
    Ok(())
}

/// The differences between two notebooks.
pub(crate) fn diff_notes(plain: &str, mount: &str, known: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let (plain, mount): (Vec<_>, Vec<_>) = (plain.lines().collect(), mount.lines().collect());
    let mut found = Vec::new();
    for at in 0..plain.len().max(mount.len()) {
        let (plain, mount) = (plain.get(at).copied(), mount.get(at).copied());
        if plain == mount {
            continue;
        }
        let same_label =
            match (plain.and_then(|l| l.split_once(": ")), mount.and_then(|l| l.split_once(": "))) {
                (Some((expected, _)), Some((label, value))) if expected == label => {
                    if known(label, value) {
                        continue;
                    }
                    true
                }
                _ => false,
            };
        found.push(format!(
            "plain | {}\n    mount | {}",
            plain.unwrap_or("(nothing)"),
            mount.unwrap_or("(nothing)")
        ));
        if !same_label {
            // From here on the two did different things.
            break;
        }
    }
    found
}

/// Runs a case in a process of its own and gives its notes.
fn run(sides: &Sides, case: &Case, dir: &Path, lower: &Path, side: &str) -> Result<String, String> {
    let notes = sides.notes.join(format!("{}.{side}", case.name));
    let errors = sides.notes.join(format!("{}.{side}.err", case.name));
    let open = |path: &Path| File::create(path).map_err(|error| format!("{}: {error}", path.display()));
    let mut command = Command::new("/proc/self/exe");
    command.args(["--run-case", case.name]).arg(dir).arg(lower);
    command.arg(sides.uid.map_or_else(String::new, |uid| uid.to_string()));
    command.stdin(Stdio::null()).stdout(open(&notes)?).stderr(open(&errors)?).current_dir("/");
    let mut child = command.spawn().map_err(|error| format!("cannot start a case: {error}"))?;
    let status = wait_for(&mut child, PATIENCE);
    let text =
        |path: &Path| fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
    match status {
        Some(status) if status.success() => Ok(text(&notes)),
        Some(status) => Err(format!("{side}: {status}\n{}{}", text(&notes), text(&errors))),
        None => {
            drop(child.kill());
            let gone = wait_for(&mut child, Duration::from_secs(5)).is_some();
            let how = if gone { "killed" } else { "cannot even be killed" };
            Err(format!("{side}: no end after {PATIENCE:?}, {how}; it had noted\n{}", text(&notes)))
        }
    }
}

/// Waits for a child, but not for ever.
pub(crate) fn wait_for(
    child: &mut std::process::Child,
    patience: Duration,
) -> Option<std::process::ExitStatus> {
    let start = Instant::now();
    let mut pause = Duration::from_micros(200);
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if start.elapsed() > patience {
            return None;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// The other end of [`run`]: the process of one case.
pub(crate) fn run_case(case: &Case, arguments: &[String]) -> Result<(), String> {
    let [dir, lower, uid] = arguments else { return Err("--run-case NAME DIR LOWER UID".into()) };
    if !uid.is_empty() {
        let uid: u32 = uid.parse().map_err(|_| "not a user id")?;
        sys::become_user(uid, uid, &[EXTRA_GROUP])
            .map_err(|error| format!("cannot become {uid}: {error}"))?;
    }
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    (case.run)(&Cx { dir: dir.into(), lower: lower.into() });
    Ok(())
}
