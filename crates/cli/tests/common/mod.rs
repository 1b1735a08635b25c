//! What the tests of the command line share.
#![allow(dead_code, reason = "every test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "skipped tests say why")]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The program under test; FUSE_BPF_BIN names a copy that another user may run.
pub(crate) fn program() -> PathBuf {
    std::env::var_os("FUSE_BPF_BIN").map_or_else(|| env!("CARGO_BIN_EXE_fuse-bpf").into(), PathBuf::from)
}

/// Runs the program to its end.
pub(crate) fn fuse_bpf<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    Command::new(program()).args(args).stdin(Stdio::null()).output().unwrap()
}

/// Its exit status.
pub(crate) fn status(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Asserts that the program succeeded, and gives what it printed.
#[track_caller]
pub(crate) fn succeeds<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> String {
    let output = fuse_bpf(args);
    assert_eq!(status(&output), 0, "stdout: {}\nstderr: {}", stdout(&output), stderr(&output));
    stdout(&output)
}

/// Asserts that the program failed with this status, and gives what it said.
#[track_caller]
pub(crate) fn fails<S: AsRef<OsStr>>(code: i32, args: impl IntoIterator<Item = S>) -> String {
    let output = fuse_bpf(args);
    assert_eq!(status(&output), code, "stdout: {}\nstderr: {}", stdout(&output), stderr(&output));
    stderr(&output)
}

/// The root of the checkout.
pub(crate) fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Whether there is a compiler for filters; says why not.
pub(crate) fn clang() -> bool {
    let name = std::env::var("BPF_CLANG").unwrap_or_else(|_| "clang".to_owned());
    match Command::new(&name).arg("--version").output() {
        Ok(output) if output.status.success() => true,
        _ => {
            println!("skipped: {name} cannot be run (package clang)");
            false
        }
    }
}

/// Whether this user can mount; says why not.
pub(crate) fn fuse() -> bool {
    if let Err(error) = std::fs::File::options().read(true).write(true).open("/dev/fuse") {
        println!("skipped: /dev/fuse: {error}");
        return false;
    }
    let root = rustix::process::geteuid().is_root();
    if !root && Command::new("fusermount3").arg("--version").output().is_err() {
        println!("skipped: an ordinary user needs fusermount3 (package fuse3)");
        return false;
    }
    true
}

/// A directory `src` with some files, and `mnt` to mount it on. Nothing stays mounted when it goes.
pub(crate) struct Scratch {
    dir: tempfile::TempDir,
}

impl Scratch {
    pub(crate) fn new() -> Scratch {
        let dir = tempfile::Builder::new().prefix("fb-").tempdir().unwrap();
        let scratch = Scratch { dir };
        std::fs::create_dir(scratch.src()).unwrap();
        std::fs::create_dir(scratch.mnt()).unwrap();
        std::fs::write(scratch.src().join("public"), "hello\n").unwrap();
        std::fs::write(scratch.src().join("secret"), "hunter2\n").unwrap();
        scratch
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn src(&self) -> PathBuf {
        self.path().join("src")
    }

    pub(crate) fn mnt(&self) -> PathBuf {
        self.path().join("mnt")
    }

    /// `mount ARGS... src mnt`.
    pub(crate) fn mount_args(&self, args: &[&str]) -> Vec<String> {
        let paths = [self.src(), self.mnt()].map(|path| path.display().to_string());
        ["mount"].iter().chain(args).map(|arg| (*arg).to_owned()).chain(paths).collect()
    }

    /// Mounts in the background.
    #[track_caller]
    pub(crate) fn mount(&self, args: &[&str]) {
        let args: Vec<&str> = ["--background"].iter().chain(args).copied().collect();
        succeeds(self.mount_args(&args));
    }

    pub(crate) fn umount(&self) -> Output {
        fuse_bpf([OsStr::new("umount"), self.mnt().as_os_str()])
    }

    pub(crate) fn is_mounted(&self) -> bool {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        mounts.contains(&format!(" {} ", self.mnt().display()))
    }

    /// Processes of the program that serve this mount.
    pub(crate) fn servers(&self) -> Vec<u32> {
        let mnt = self.mnt().display().to_string();
        let all = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid| {
                let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                let args: Vec<&[u8]> = line.split(|&byte| byte == 0).collect();
                args.contains(&b"mount".as_slice()) && args.contains(&mnt.as_bytes())
            })
            .collect()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.mnt()).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        while self.is_mounted() {
            let output = fuse_bpf([OsStr::new("umount"), OsStr::new("--lazy"), self.mnt().as_os_str()]);
            if !output.status.success() {
                break;
            }
        }
    }
}

/// A process that does not outlive its test.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Running {
        let mut command = Command::new(program());
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running(command.spawn().unwrap())
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits up to ten seconds for something to become true.
pub(crate) fn eventually(mut what: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        if what() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
