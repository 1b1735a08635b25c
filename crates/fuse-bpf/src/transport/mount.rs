//! Mounting and unmounting: mount(2) where it is allowed, `fusermount3` where not.

use std::ffi::{CString, OsString};
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::FileType;
use rustix::io::{Errno as Os, FdFlags};
use rustix::mount::{MountFlags, UnmountFlags};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags, SocketType,
};

use super::dev::Channel;

/// File system type of our mounts, as in `/proc/mounts`.
pub const FS_TYPE: &str = "fuse.fusebpf";
const SUBTYPE: &str = "fusebpf";

/// Options of a mount.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MountOptions {
    /// What `/proc/mounts` names as source.
    pub source: String,
    /// Let users in other than the one who mounts.
    pub allow_other: bool,
    /// Let the kernel check permissions by mode and owner.
    pub default_permissions: bool,
    /// Mount read-only.
    pub read_only: bool,
    /// Refuse device files. Always so for ordinary users.
    pub nodev: bool,
    /// Ignore setuid and setgid bits. Always so for ordinary users.
    pub nosuid: bool,
    /// Refuse to execute programs.
    pub noexec: bool,
}

/// Why something cannot be mounted or unmounted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// The mount point is not there.
    #[error("{}: no such mount point; make the directory first", .0.display())]
    Missing(PathBuf),
    /// The mount point is no directory.
    #[error("{}: the mount point is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// A dead mount is in the way.
    #[error("{path}: a mount whose server is gone is still there; remove it with `fuse-bpf umount {path}`", path = .0.display())]
    Stale(PathBuf),
    /// The mount point cannot be looked at.
    #[error("{}: cannot use the mount point", path.display())]
    Point {
        /// The mount point.
        path: PathBuf,
        /// Why.
        #[source]
        source: Os,
    },
    /// There is no FUSE.
    #[error(
        "/dev/fuse cannot be opened; load the module (`modprobe fuse`) or give the container the device (`--device /dev/fuse`)"
    )]
    Device(#[source] Os),
    /// The helper for ordinary users is missing.
    #[error(
        "`fusermount3` cannot be run, and only root mounts without it; install it (`apt-get install fuse3`)"
    )]
    NoHelper(#[source] std::io::Error),
    /// The helper refused.
    #[error("{}: {message}", path.display())]
    Refused {
        /// The mount point.
        path: PathBuf,
        /// What the helper said, and the remedy if it is known.
        message: String,
    },
    /// The kernel refused.
    #[error("{}: the kernel does not mount here", path.display())]
    Kernel {
        /// The mount point.
        path: PathBuf,
        /// Why.
        #[source]
        source: Os,
    },
    /// Nothing of ours is mounted there.
    #[error("{}: no fuse-bpf mount", .0.display())]
    NotOurs(PathBuf),
    /// Somebody uses it.
    #[error("{path}: files on the mount are in use; close them, or use `fuse-bpf umount --lazy {path}`", path = .0.display())]
    Busy(PathBuf),
}

/// A mount, to be undone.
#[derive(Debug)]
pub struct Mounted {
    path: PathBuf,
    by_helper: bool,
    device: (u32, u32),
}

/// Mounts on `mountpoint`. No request may be left unanswered from then on: INIT is the first.
///
/// # Errors
///
/// See [`MountError`]; each names the remedy.
pub fn mount(mountpoint: &Path, options: &MountOptions) -> Result<(Channel, Mounted), MountError> {
    let path = check(mountpoint)?;
    let (channel, by_helper) = match mount_directly(&path, options) {
        Err(MountError::Kernel { source: Os::PERM, .. } | MountError::Device(Os::ACCESS | Os::PERM)) => {
            (mount_by_helper(&path, options)?, true)
        }
        other => (other?, false),
    };
    let device = find(&path).map_or((0, 0), |entry| entry.device);
    Ok((channel, Mounted { path, by_helper, device }))
}

/// Checks a mount point and gives its real path.
fn check(mountpoint: &Path) -> Result<PathBuf, MountError> {
    let path = mountpoint.to_owned();
    let stat = match rustix::fs::stat(mountpoint) {
        Ok(stat) => stat,
        Err(Os::NOENT) => return Err(MountError::Missing(path)),
        Err(Os::NOTCONN) => return Err(MountError::Stale(path)),
        Err(source) => return Err(MountError::Point { path, source }),
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Err(MountError::NotADirectory(path));
    }
    mountpoint.canonicalize().map_err(|e| MountError::Point {
        path,
        source: Os::from_raw_os_error(e.raw_os_error().unwrap_or(libc::EIO)),
    })
}

fn mount_directly(path: &Path, options: &MountOptions) -> Result<Channel, MountError> {
    let channel = Channel::open().map_err(MountError::Device)?;
    let refused = |source| MountError::Kernel { path: path.to_owned(), source };
    let mode = rustix::fs::stat(path).map_err(refused)?.st_mode;
    let mut data = format!(
        "fd={},rootmode={:o},user_id={},group_id={}",
        channel.as_fd().as_raw_fd(),
        mode & libc::S_IFMT,
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    );
    for (set, name) in
        [(options.allow_other, ",allow_other"), (options.default_permissions, ",default_permissions")]
    {
        if set {
            data.push_str(name);
        }
    }
    let mut flags = MountFlags::empty();
    for (set, flag) in [
        (options.read_only, MountFlags::RDONLY),
        (options.nodev, MountFlags::NODEV),
        (options.nosuid, MountFlags::NOSUID),
        (options.noexec, MountFlags::NOEXEC),
    ] {
        flags.set(flag, set);
    }
    let text = |s: &str| CString::new(s).map_err(|_| refused(Os::INVAL));
    let (data, source) = (text(&data)?, text(&options.source)?);
    rustix::mount::mount(source.as_c_str(), path, FS_TYPE, flags, data.as_c_str()).map_err(refused)?;
    Ok(channel)
}

/// The options `fusermount3` understands, as one argument.
fn helper_options(options: &MountOptions) -> String {
    // It splits at commas, and a backslash keeps it from doing so.
    let source = options.source.replace('\\', "\\\\").replace(',', "\\,");
    let mut text = format!("fsname={source},subtype={SUBTYPE}");
    for (set, name) in [
        (options.allow_other, ",allow_other"),
        (options.default_permissions, ",default_permissions"),
        (options.read_only, ",ro"),
        (options.noexec, ",noexec"),
    ] {
        if set {
            text.push_str(name);
        }
    }
    text
}

fn mount_by_helper(path: &Path, options: &MountOptions) -> Result<Channel, MountError> {
    let refused = |source| MountError::Kernel { path: path.to_owned(), source };
    let (ours, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .map_err(refused)?;
    // The helper must inherit its end; it is closed here as soon as the helper runs.
    rustix::io::fcntl_setfd(&theirs, FdFlags::empty()).map_err(refused)?;
    let output = Command::new("fusermount3")
        .arg("-o")
        .arg(helper_options(options))
        .arg("--")
        .arg(path)
        .env("_FUSE_COMMFD", theirs.as_raw_fd().to_string())
        .output()
        .map_err(MountError::NoHelper)?;
    drop(theirs);
    if !output.status.success() {
        let message = explain(&String::from_utf8_lossy(&output.stderr));
        return Err(MountError::Refused { path: path.to_owned(), message });
    }
    receive_descriptor(&ours).map(Channel::from_fd).map_err(refused)
}

/// What the helper said, with the remedy where it is known.
fn explain(stderr: &str) -> String {
    let said = stderr.trim();
    if said.contains("user_allow_other") {
        return "other users may be let in only if /etc/fuse.conf has the line `user_allow_other`".to_owned();
    }
    if said.contains("/dev/fuse: Permission denied") {
        return "/dev/fuse is closed to ordinary users; open it as root (`chmod 666 /dev/fuse`), as the package fuse3 does \
                where udev runs"
            .to_owned();
    }
    if said.contains("Permission denied") || said.contains("no write access") {
        return format!("{said} (the mount point must be writable by you)");
    }
    if said.is_empty() { "fusermount3 refused without saying why".to_owned() } else { said.to_owned() }
}

fn receive_descriptor(socket: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(mut descriptors) = message
            && let Some(fd) = descriptors.next()
        {
            return Ok(fd);
        }
    }
    Err(Os::BADF)
}

impl Mounted {
    /// The real path of the mount point.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Major and minor device number of the mounted file system.
    pub fn device(&self) -> (u32, u32) {
        self.device
    }

    /// Whether it is still mounted (by this path).
    pub fn is_mounted(&self) -> bool {
        find(&self.path).is_some_and(|entry| entry.device == self.device)
    }

    /// Unmounts, if it is still mounted; `lazy`: at once, though files are open.
    ///
    /// # Errors
    ///
    /// [`MountError::Busy`] when files are open and it is not lazy.
    pub fn unmount(&self, lazy: bool) -> Result<(), MountError> {
        if !self.is_mounted() {
            return Ok(());
        }
        detach(&self.path, lazy, self.by_helper)
    }

    /// Ends the connection: every request, waiting or to come, fails.
    ///
    /// # Errors
    ///
    /// Those of writing to `/sys/fs/fuse/connections/N/abort`, for example when it is not mounted.
    pub fn abort(&self) -> std::io::Result<()> {
        let (major, minor) = self.device;
        let number = rustix::fs::makedev(major, minor);
        std::fs::write(format!("/sys/fs/fuse/connections/{number}/abort"), "1")
    }
}

fn detach(path: &Path, lazy: bool, by_helper: bool) -> Result<(), MountError> {
    let flags = if lazy { UnmountFlags::DETACH } else { UnmountFlags::empty() };
    let by_helper = by_helper || !rustix::process::geteuid().is_root();
    if !by_helper {
        return match rustix::mount::unmount(path, flags | UnmountFlags::NOFOLLOW) {
            Ok(()) => Ok(()),
            Err(Os::BUSY) => Err(MountError::Busy(path.to_owned())),
            Err(Os::INVAL | Os::NOENT) => Err(MountError::NotOurs(path.to_owned())),
            Err(source) => Err(MountError::Kernel { path: path.to_owned(), source }),
        };
    }
    let arguments: &[&str] = if lazy { &["-u", "-z"] } else { &["-u"] };
    let output = Command::new("fusermount3")
        .args(arguments)
        .arg("--")
        .arg(path)
        .output()
        .map_err(MountError::NoHelper)?;
    match String::from_utf8_lossy(&output.stderr).trim() {
        _ if output.status.success() => Ok(()),
        said if said.contains("busy") => Err(MountError::Busy(path.to_owned())),
        said => Err(MountError::Refused { path: path.to_owned(), message: explain(said) }),
    }
}

/// Unmounts what is mounted on `path`, dead or alive, if it is one of ours.
///
/// # Errors
///
/// [`MountError::NotOurs`], [`MountError::Busy`], or what the system says.
pub fn unmount(path: &Path, lazy: bool) -> Result<(), MountError> {
    // A dead mount cannot be resolved itself; its parent can.
    let real = match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(real), _, _) => real,
        (Err(_), Some(parent), Some(name)) => {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            parent.canonicalize().map_or_else(|_| path.to_owned(), |parent| parent.join(name))
        }
        _ => path.to_owned(),
    };
    if find(&real).is_none() {
        return Err(MountError::NotOurs(path.to_owned()));
    }
    detach(&real, lazy, false)
}

/// Major and minor device number of our mount on `path`, if there is one.
pub fn mounted_at(path: &Path) -> Option<(u32, u32)> {
    find(&path.canonicalize().ok()?).map(|entry| entry.device)
}

/// A mount of ours in `/proc/self/mountinfo`.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    device: (u32, u32),
}

/// The topmost mount on `path`, if it is ours.
fn find(path: &Path) -> Option<Entry> {
    let table = std::fs::read("/proc/self/mountinfo").ok()?;
    find_in(&table, path)
}

/// Lines are `id parent major:minor root mountpoint options [optional fields] - type source options`.
fn find_in(table: &[u8], path: &Path) -> Option<Entry> {
    let lines = table.split(|b| *b == b'\n');
    let mut topmost = lines.filter(|line| {
        line.split(|b| *b == b' ')
            .nth(4)
            .is_some_and(|point| unescape(point).as_bytes() == path.as_os_str().as_bytes())
    });
    let line = topmost.next_back()?;
    let words: Vec<&[u8]> = line.split(|b| *b == b' ').collect();
    let dash = words.iter().position(|word| *word == b"-")?;
    if words.get(dash + 1)? != &FS_TYPE.as_bytes() {
        return None;
    }
    let (major, minor) = std::str::from_utf8(words.get(2)?).ok()?.split_once(':')?;
    Some(Entry { device: (major.parse().ok()?, minor.parse().ok()?) })
}

/// Undoes the octal escapes of mountinfo (`\040` for a space).
fn unescape(word: &[u8]) -> OsString {
    let mut out = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail
            .get(..3)
            .and_then(|d| std::str::from_utf8(d).ok())
            .and_then(|d| u8::from_str_radix(d, 8).ok());
        match (first, octal) {
            (b'\\', Some(byte)) => {
                out.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            _ => {
                out.push(first);
                rest = tail;
            }
        }
    }
    OsString::from_vec(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_that_cannot_be_used_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(check(&dir.path().join("none")), Err(MountError::Missing(_))));
        assert!(matches!(check(&file), Err(MountError::NotADirectory(_))));
        let text = MountError::Stale("/mnt/x".into()).to_string();
        assert_eq!(
            text,
            "/mnt/x: a mount whose server is gone is still there; remove it with `fuse-bpf umount /mnt/x`"
        );
    }

    #[test]
    fn the_helpers_words_get_a_remedy() {
        let said =
            "fusermount3: option allow_other only allowed if 'user_allow_other' is set in /etc/fuse.conf";
        assert!(explain(said).contains("line `user_allow_other`"));
        assert!(explain("").contains("without saying why"));
    }

    #[test]
    fn options_for_the_helper_escape_commas() {
        let options =
            MountOptions { source: "/a,b\\c".into(), default_permissions: true, ..Default::default() };
        assert_eq!(helper_options(&options), "fsname=/a\\,b\\\\c,subtype=fusebpf,default_permissions");
    }

    #[test]
    fn mountinfo_is_read_with_escapes_and_stacked_mounts() {
        let table = b"36 35 98:0 / /mnt/a\\040b rw,noatime master:1 - ext4 /dev/root rw\n\
            40 36 0:55 / /mnt/a\\040b rw - fuse.fusebpf /src rw,user_id=0\n\
            41 36 0:56 / /mnt/other rw - fuse.other x rw\n";
        assert_eq!(find_in(table, Path::new("/mnt/a b")), Some(Entry { device: (0, 55) }));
        assert_eq!(find_in(table, Path::new("/mnt/other")), None);
        assert_eq!(find_in(table, Path::new("/mnt")), None);
    }
}
