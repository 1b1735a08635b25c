//! Mounts made by the real binary, and their end.

use super::{EXTRA_GROUP, chmod, sys, wait_for};
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a mount may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A mount served by a child process; unmounted, and the child ended, when dropped.
#[derive(Debug)]
pub(crate) struct Mount {
    daemon: Child,
    at: PathBuf,
    log: PathBuf,
}

/// The program under test; another one that takes the same arguments can be named in the environment.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("FUSE_BPF_TEST_MOUNT_BIN")
        .map_or_else(|| env!("CARGO_BIN_EXE_fuse-bpf").into(), PathBuf::from)
}

/// The object of the filter that sets all members of `struct fuse_ops`, or of `struct fuse_filter`, if it has been
/// built.
pub(crate) fn everything(families: bool) -> Option<PathBuf> {
    let name = if families { "families.bpf.o" } else { "everything.bpf.o" };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bpf/tests").join(name);
    path.exists().then_some(path)
}

/// Why nothing can be mounted here, if so.
pub(crate) fn unable(as_user: bool) -> Option<&'static str> {
    if !Path::new("/dev/fuse").exists() {
        return Some("there is no /dev/fuse");
    }
    let helper = ["/usr/bin/fusermount3", "/bin/fusermount3", "/usr/local/bin/fusermount3"];
    if as_user && !helper.iter().any(|path| Path::new(path).exists()) {
        return Some("ordinary users mount with fusermount3, which is not installed");
    }
    let device = std::fs::metadata("/dev/fuse").map(|device| device.permissions().mode());
    if as_user && rustix::process::geteuid().is_root() && device.is_ok_and(|mode| mode & 0o006 != 0o006) {
        return Some("/dev/fuse is closed to ordinary users");
    }
    None
}

/// The name of a device node of ours, in the environment of a process that may cover `/dev/fuse` with it.
const OWN_DEVICE: &str = "FUSE_BPF_OWN_DEVICE";

/// Runs this program once more where ordinary users may open `/dev/fuse`, if they may not here. `udev` lets them; where
/// there is none, root gives them a device node in a mount namespace of its own, and the system's stays as it is.
pub(crate) fn where_users_can_mount() -> Option<std::io::Result<std::process::ExitStatus>> {
    let open = |device: std::fs::Metadata| device.permissions().mode() & 0o006 == 0o006;
    let closed = std::fs::metadata("/dev/fuse").is_ok_and(|device| !open(device));
    if !closed || !rustix::process::geteuid().is_root() || std::env::var_os(OWN_DEVICE).is_some() {
        return None;
    }
    let again = || {
        let dir = tempfile::tempdir()?;
        let device = dir.path().join("fuse");
        let script = "mknod -m 666 \"$FUSE_BPF_OWN_DEVICE\" c 10 229 && mount --bind \"$FUSE_BPF_OWN_DEVICE\" /dev/fuse || \
                      echo 'skipped: user: /dev/fuse is closed to ordinary users and cannot be covered' >&2; exec \"$@\"";
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755))?;
        Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
            .arg(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .env(OWN_DEVICE, &device)
            .status()
    };
    Some(again())
}

impl Mount {
    /// Mounts `lower` at `at`, as that user if one is given.
    pub(crate) fn new(
        lower: &Path,
        at: &Path,
        filter: Option<&Path>,
        user: Option<u32>,
        scratch: &Path,
    ) -> Result<Mount, String> {
        let mut program = binary();
        let mut filter = filter.map(Path::to_owned);
        if user.is_some() {
            // The checkout may be where that user cannot look.
            program = copy(&program, &scratch.join("fuse-bpf"))?;
            filter = filter.map(|path| copy(&path, &scratch.join("filter.bpf.o"))).transpose()?;
        }
        let log = scratch.join("daemon.log");
        let out = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let err = out.try_clone().map_err(|error| error.to_string())?;
        let mut command = match user {
            // Who is in the same groups as those who run the cases.
            Some(uid) => {
                let mut command = Command::new("setpriv");
                command.args([format!("--reuid={uid}"), format!("--regid={uid}")]);
                command.args([format!("--groups={EXTRA_GROUP}"), "--".into()]).arg(&program);
                command.env("HOME", scratch).env_remove("XDG_RUNTIME_DIR");
                command
            }
            None => Command::new(&program),
        };
        command.arg("mount");
        if let Some(path) = &filter {
            command.arg("--filter").arg(path);
        }
        command.arg(lower).arg(at).stdin(Stdio::null()).stdout(out).stderr(err).current_dir("/");
        let daemon = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
        let mut mount = Mount { daemon, at: at.to_owned(), log: log.clone() };
        let outside = fs::metadata(scratch).map(|meta| meta.dev());
        let start = Instant::now();
        let told = |what: &str| {
            let log = fs::read_to_string(&log).unwrap_or_default();
            format!("`{} mount` {what}\n{log}", program.display())
        };
        loop {
            if let Ok(Some(status)) = mount.daemon.try_wait() {
                return Err(told(&format!("ended early: {status}")));
            }
            // Root may not look into the mount of another user, and does not have to.
            let answers = match fs::metadata(at) {
                Ok(meta) => outside.as_ref().is_ok_and(|outside| *outside != meta.dev()),
                Err(error) => user.is_some() && error.kind() == std::io::ErrorKind::PermissionDenied,
            };
            if answers && mounted(at) {
                return Ok(mount);
            }
            if start.elapsed() > PATIENCE {
                return Err(told("does not answer"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Mount {
    /// What the server said before it ended, if it has.
    pub(crate) fn post_mortem(&mut self) -> Option<String> {
        let status = self.daemon.try_wait().ok()??;
        Some(format!("the server ended: {status}; it said\n{}", self.said()))
    }

    /// Ends the server. It must unmount, end by itself, and have had nothing to say.
    pub(crate) fn end(mut self) -> Result<(), String> {
        sys::signal(&mut self.daemon, libc::SIGTERM);
        let status = wait_for(&mut self.daemon, Duration::from_secs(5));
        let (said, mounted) = (self.said(), mounted(&self.at));
        match status {
            Some(status) if status.success() && !mounted && !said.contains("panicked") => Ok(()),
            status => Err(format!("SIGTERM: {status:?}, still mounted: {mounted}; the server said\n{said}")),
        }
    }

    fn said(&self) -> String {
        let said =
            fs::read(&self.log).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default();
        if said.len() <= 8000 {
            return said;
        }
        let (start, end): (String, String) = (
            said.chars().take(4000).collect(),
            said.chars().skip(said.chars().count().saturating_sub(4000)).collect(),
        );
        format!("{start}\n(...)\n{end}")
    }
}

fn copy(from: &Path, to: &Path) -> Result<PathBuf, String> {
    fs::copy(from, to)
        .and_then(|_| chmod(to, 0o755))
        .map_err(|error| format!("cannot copy {} to {}: {error}", from.display(), to.display()))?;
    Ok(to.to_owned())
}

/// Whether something is mounted there.
pub(crate) fn mounted(at: &Path) -> bool {
    let Ok(table) = fs::read("/proc/self/mountinfo") else { return false };
    table.split(|b| *b == b'\n').any(|line| {
        let path = line.split(|b| *b == b' ').nth(4).unwrap_or_default();
        OsString::from_vec(unescape(path)) == at.as_os_str()
    })
}

/// Undoes the octal escapes of mountinfo.
fn unescape(path: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), path);
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) => {
                out.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = tail;
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

impl Drop for Mount {
    fn drop(&mut self) {
        sys::signal(&mut self.daemon, libc::SIGTERM);
        if wait_for(&mut self.daemon, Duration::from_secs(5)).is_none() {
            drop(self.daemon.kill());
            let _ = wait_for(&mut self.daemon, Duration::from_secs(5));
        }
        if mounted(&self.at) {
            sys::detach(&self.at);
        }
        if mounted(&self.at) {
            let mut command = Command::new("fusermount3");
            drop(command.arg("-uz").arg(&self.at).stdout(Stdio::null()).stderr(Stdio::null()).status());
        }
    }
}
