//! A test per FUSE operation: the same things done on a mount and on a plain directory, with the same results.
//!
//! Each case runs in these settings, as far as this user and machine can:
//!
//! | setting | mounted by | filter | done by |
//! |---|---|---|---|
//! | `twin` | nobody: a second plain directory | | this user |
//! | `twin-other` | nobody: a second plain directory | | an ordinary user |
//! | `root` | root | | root |
//! | `root+filter` | root | all members of `struct fuse_ops` | root |
//! | `root+families` | root | all members of `struct fuse_filter` | root |
//! | `other` | root | | an ordinary user |
//! | `other+filter` | root | all members | an ordinary user |
//! | `user` | an ordinary user | | that user |
//! | `user+filter` | an ordinary user | all members | that user |
//!
//! `twin*` show that the cases give the same answer twice, and `notices::*` that a difference is noticed.
//! A filter on the command line is matched against names such as `root::OPEN::open_flags`.

#[path = "ops/mod.rs"]
mod cases;
mod twin;

use libtest_mimic::{Arguments, Failed, Trial};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use twin::mount::{self, Mount};
use twin::{Case, NOBODY, Sides, USER};

/// One of the settings above.
#[derive(Debug, Clone, Copy)]
struct Setting {
    name: &'static str,
    mounted: bool,
    filtered: bool,
    /// By families.
    families: bool,
    by_user: bool,
    uid: Option<u32>,
}

/// The sides of a setting, made when first used; the mount ends when the last is dropped.
#[derive(Debug)]
struct Stage {
    setting: Setting,
    scratch: tempfile::TempDir,
    sides: OnceLock<Result<Sides, String>>,
    mount: Mutex<Option<Mount>>,
}

fn main() -> ExitCode {
    let raw: Vec<String> = std::env::args().collect();
    if raw.get(1).is_some_and(|a| a == "--run-case") {
        let result = match raw.get(2).and_then(|name| cases::all().find(|case| case.name == name)) {
            Some(case) => twin::run_case(case, &raw[3..]),
            None => Err("no such case".into()),
        };
        return match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                say(&error);
                ExitCode::FAILURE
            }
        };
    }
    let arguments = Arguments::from_args();
    match mount::where_users_can_mount() {
        Some(Ok(status)) if status.success() => return ExitCode::SUCCESS,
        Some(Ok(_)) => return ExitCode::FAILURE,
        Some(Err(error)) => say(&format!("not where ordinary users can mount: {error}")),
        None => {}
    }
    let stages = match settings().into_iter().map(Stage::new).collect::<std::io::Result<Vec<_>>>() {
        Ok(stages) => stages,
        Err(error) => {
            say(&format!("no scratch directory: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let mut trials = cases::self_tests();
    trials.push(Trial::test("every_operation_has_a_case", every_operation_has_a_case));
    for stage in &stages {
        for case in cases::all().filter(|case| !case.op.is_empty()) {
            let stage = Arc::clone(stage);
            let name = format!("{}::{}::{}", stage.setting.name, case.op, case.name);
            trials.push(Trial::test(name, move || stage.test(case)));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    let mut clean = true;
    for stage in &stages {
        if let Err(error) = stage.end() {
            say(&format!("{}: {error}", stage.setting.name));
            clean = false;
        }
    }
    if clean { conclusion.exit_code() } else { ExitCode::FAILURE }
}

fn say(text: &str) {
    drop(writeln!(std::io::stderr(), "{text}"));
}

/// The settings this user and machine can do; says why when it cannot do all.
fn settings() -> Vec<Setting> {
    let root = rustix::process::geteuid().is_root();
    let plain =
        Setting { name: "twin", mounted: false, filtered: false, families: false, by_user: false, uid: None };
    let mut all = vec![plain];
    if root {
        all.push(Setting { name: "twin-other", uid: Some(USER), ..plain });
    }
    for (name, by_user, uid) in
        [("root", false, None), ("other", false, Some(USER)), ("user", true, root.then_some(NOBODY))]
    {
        if !by_user && !root {
            say(&format!("skipped: {name}, {name}+filter: need root"));
            continue;
        }
        if let Some(reason) = mount::unable(by_user) {
            say(&format!("skipped: {name}, {name}+filter: {reason}"));
            continue;
        }
        let one = Setting { name, mounted: true, by_user, uid, ..plain };
        all.push(one);
        let name = match name {
            "root" => "root+filter",
            "other" => "other+filter",
            _ => "user+filter",
        };
        match mount::everything(false) {
            Some(_) => all.push(Setting { name, filtered: true, ..one }),
            None => say(&format!("skipped: {name}: bpf/tests/everything.bpf.o has not been built")),
        }
        if name == "root+filter" && mount::everything(true).is_some() {
            all.push(Setting { name: "root+families", filtered: true, families: true, ..one });
        }
    }
    all
}

impl Stage {
    fn new(setting: Setting) -> std::io::Result<Arc<Stage>> {
        // Short: the addresses of sockets have 108 bytes.
        let scratch = tempfile::Builder::new().prefix("fb").rand_bytes(4).tempdir()?;
        Ok(Arc::new(Stage { setting, scratch, sides: OnceLock::new(), mount: Mutex::new(None) }))
    }

    fn sides(&self) -> Result<&Sides, String> {
        self.sides.get_or_init(|| self.make()).as_ref().map_err(Clone::clone)
    }

    fn make(&self) -> Result<Sides, String> {
        let Setting { mounted, filtered, families, by_user, uid, .. } = self.setting;
        let root = self.scratch.path();
        let dir = |name: &str, owner: Option<u32>| {
            let path = root.join(name);
            let made =
                fs::create_dir(&path).and_then(|()| twin::chmod(&path, 0o755)).and_then(|()| match owner {
                    Some(uid) => std::os::unix::fs::chown(&path, Some(uid), Some(uid)),
                    None => Ok(()),
                });
            made.map(|()| path.clone()).map_err(|error| format!("{}: {error}", path.display()))
        };
        twin::chmod(root, 0o755).map_err(|error| error.to_string())?;
        let owner = uid.filter(|_| by_user);
        let (plain, lower) = (dir("p", owner)?, dir("l", owner)?);
        let (notes, service) = (dir("n", None)?, dir("d", owner)?);
        let mut sides = Sides { plain, mount: lower.clone(), lower, uid, filtered, by_user, notes };
        if mounted {
            let at = dir("m", owner)?;
            let filter = if filtered { mount::everything(families) } else { None };
            let mount = Mount::new(&sides.lower, &at, filter.as_deref(), owner, &service)?;
            *self.mount.lock().unwrap_or_else(PoisonError::into_inner) = Some(mount);
            sides.mount = at;
        }
        Ok(sides)
    }

    fn test(&self, case: &Case) -> Result<(), Failed> {
        let sides = self.sides()?;
        if let Some(said) = self.post_mortem() {
            return Err(said.into());
        }
        let mut found = twin::compare(sides, case, cases::INHERENT)?;
        if found.is_empty() {
            return Ok(());
        }
        found.extend(self.post_mortem());
        Err(found.join("\n").into())
    }

    fn post_mortem(&self) -> Option<String> {
        self.mount.lock().unwrap_or_else(PoisonError::into_inner).as_mut()?.post_mortem()
    }

    fn end(&self) -> Result<(), String> {
        let mount = self.mount.lock().unwrap_or_else(PoisonError::into_inner).take();
        mount.map_or(Ok(()), Mount::end)
    }
}

/// Operations that are done on the lower directory, and how each is reached from a system call.
const OPERATIONS: &[&str] = &[
    "LOOKUP",
    "FORGET",
    "GETATTR",
    "SETATTR",
    "READLINK",
    "SYMLINK",
    "MKNOD",
    "MKDIR",
    "UNLINK",
    "RMDIR",
    "RENAME",
    "LINK",
    "OPEN",
    "READ",
    "WRITE",
    "STATFS",
    "RELEASE",
    "FSYNC",
    "SETXATTR",
    "GETXATTR",
    "LISTXATTR",
    "REMOVEXATTR",
    "FLUSH",
    "OPENDIR",
    "READDIR",
    "RELEASEDIR",
    "FSYNCDIR",
    "GETLK",
    "SETLK",
    "SETLKW",
    "ACCESS",
    "CREATE",
    "INTERRUPT",
    "IOCTL",
    "POLL",
    "BATCH_FORGET",
    "FALLOCATE",
    "READDIRPLUS",
    "RENAME2",
    "LSEEK",
    "COPY_FILE_RANGE",
    "SYNCFS",
    "TMPFILE",
    "STATX",
];

fn every_operation_has_a_case() -> Result<(), Failed> {
    let missing: Vec<_> =
        OPERATIONS.iter().filter(|op| !cases::all().any(|case| case.op == **op)).copied().collect();
    let strange: Vec<_> =
        cases::all().map(|case| case.op).filter(|op| !op.is_empty() && !OPERATIONS.contains(op)).collect();
    let mut names: Vec<_> = cases::all().map(|case| case.name).collect();
    names.sort_unstable();
    let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    if missing.is_empty() && strange.is_empty() && twice.is_empty() {
        return Ok(());
    }
    Err(format!("without a case: {missing:?}; unknown: {strange:?}; named twice: {twice:?}").into())
}

/// Compares two plain directories in a scratch directory of its own.
fn twins(root: &Path) -> std::io::Result<Sides> {
    for name in ["p", "l", "n"] {
        fs::create_dir(root.join(name))?;
    }
    let (plain, lower, notes) = (root.join("p"), root.join("l"), root.join("n"));
    Ok(Sides { plain, mount: lower.clone(), lower, uid: None, filtered: false, by_user: false, notes })
}
