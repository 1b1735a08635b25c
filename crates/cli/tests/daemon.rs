//! Ordinary FUSE daemons beside a directory: a filter sends names that start with `d_` to them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "skipped tests say why")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{Scratch, checkout, eventually, fuse};
use rustix::process::{Pid, Signal, kill_process};

/// The examples of libfuse, as its package has them.
const EXAMPLES: &str = "/usr/share/doc/libfuse3-dev/examples";

/// An example of libfuse, compiled; says why not.
fn libfuse(dir: &Path, name: &str) -> Option<PathBuf> {
    let source = Path::new(EXAMPLES).join(name).with_extension("c");
    let flags = Command::new("pkg-config").args(["--cflags", "--libs", "fuse3"]).output();
    let flags = match flags {
        Ok(output) if output.status.success() && source.exists() => String::from_utf8(output.stdout).unwrap(),
        _ => {
            println!("skipped: no {} (packages libfuse3-dev, pkg-config)", source.display());
            return None;
        }
    };
    let program = dir.join(name);
    let mut cc = Command::new("cc");
    cc.arg("-o").arg(&program).arg(&source).args(flags.split_whitespace());
    assert!(cc.status().unwrap().success());
    Some(program)
}

/// The daemon of the examples that is written with fuser; says why not.
fn fuser() -> Option<PathBuf> {
    // Beside the binary under test.
    let program = common::program().with_file_name("examples").join("fuser_daemon");
    if !program.exists() {
        println!("skipped: {} is not built (`cargo build -p fuse-bpf --examples`)", program.display());
        return None;
    }
    Some(program)
}

/// A mount through the filter with a daemon. `more` is further arguments.
fn mount(scratch: &Scratch, command: &str, more: &[&str]) {
    let filter = checkout().join("bpf/tests/to_daemon.bpf.o").display().to_string();
    let args = ["--filter", &filter, "--daemon", command];
    scratch.mount(&[&args[..], more].concat());
}

/// The process that runs a program with this argument.
fn process(program: &Path, argument: &str) -> Option<Pid> {
    let all = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let mut pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()).filter(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let args: Vec<&[u8]> = line.split(|&byte| byte == 0).collect();
        args.first() == Some(&program.as_os_str().as_encoded_bytes())
            && args.iter().any(|arg| String::from_utf8_lossy(arg).contains(argument))
    });
    pids.next().and_then(Pid::from_raw)
}

/// The other directory, served by libfuse's `passthrough_ll`.
struct Passthrough {
    scratch: Scratch,
    program: PathBuf,
    other: PathBuf,
}

impl Passthrough {
    fn new(more: &[&str]) -> Option<Passthrough> {
        if !fuse() {
            return None;
        }
        let scratch = Scratch::new();
        let program = libfuse(scratch.path(), "passthrough_ll")?;
        let other = scratch.path().join("other");
        fs::create_dir(&other).unwrap();
        let command = format!("exec {} -f -o source={} /dev/fd/3", program.display(), other.display());
        mount(&scratch, &command, more);
        Some(Passthrough { scratch, program, other })
    }

    fn pid(&self) -> Pid {
        process(&self.program, &format!("source={}", self.other.display())).unwrap()
    }

    fn mnt(&self, name: &str) -> PathBuf {
        self.scratch.mnt().join(name)
    }
}

#[test]
fn a_part_of_the_tree_is_a_libfuse_daemons() {
    let Some(mount) = Passthrough::new(&[]) else { return };
    fs::create_dir(mount.mnt("d_work")).unwrap();
    assert!(mount.other.join("d_work").is_dir() && !mount.scratch.src().join("d_work").exists());
    // A real program works there as it does elsewhere.
    let git = |dir: &Path, args: &[&str]| {
        let output = Command::new("git")
            .current_dir(dir)
            .args([
                "-c",
                "user.name=n",
                "-c",
                "user.email=e",
                "-c",
                "init.defaultBranch=m",
                "-c",
                "safe.directory=*",
            ])
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let work = mount.mnt("d_work");
    git(&work, &["init"]);
    fs::write(work.join("file"), "one\n").unwrap();
    git(&work, &["add", "file"]);
    git(&work, &["commit", "-m", "first"]);
    fs::write(work.join("file"), "two\n").unwrap();
    assert!(git(&work, &["status", "--porcelain"]).contains("M file"));
    git(&work, &["fsck", "--strict"]);
    let same = Command::new("diff").arg("-r").arg(&work).arg(mount.other.join("d_work")).output().unwrap();
    assert!(same.status.success(), "{same:?}");
    // Below, everything is as it was.
    assert_eq!(fs::read_to_string(mount.mnt("public")).unwrap(), "hello\n");
    fs::write(mount.mnt("public"), "new\n").unwrap();
    assert_eq!(fs::read_to_string(mount.scratch.src().join("public")).unwrap(), "new\n");
    // A name does not move between them.
    let error = fs::rename(work.join("file"), mount.mnt("file")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EXDEV));
    // Inodes of one are not taken for those of the other.
    use std::os::unix::fs::MetadataExt as _;
    let (a, b) = (fs::metadata(&work).unwrap(), fs::metadata(mount.mnt("public")).unwrap());
    assert_eq!(a.dev(), b.dev());
    assert_ne!(a.ino(), b.ino());
    assert!(mount.scratch.umount().status.success());
    assert!(eventually(|| process(&mount.program, "source=").is_none()), "the daemon ends with the mount");
}

#[test]
fn a_program_written_with_fuser_is_such_a_daemon() {
    if !fuse() {
        return;
    }
    let Some(program) = fuser() else { return };
    let scratch = Scratch::new();
    mount(&scratch, &format!("exec {} 0<&3", program.display()), &[]);
    let read = |name: &str| fs::read_to_string(scratch.mnt().join(name));
    assert_eq!(read("d_hello").unwrap(), "hello from a daemon\n");
    assert_eq!(read("d_hello").unwrap(), "hello from a daemon\n");
    assert_eq!(read("d_count").unwrap(), "2\n");
    assert_eq!(read("d_none").unwrap_err().raw_os_error(), Some(libc::ENOENT));
    assert_eq!(read("public").unwrap(), "hello\n");
    // What it does not have is what the kernel makes of that, and the directory below still has it.
    let write = fs::write(scratch.mnt().join("d_hello"), "x").unwrap_err();
    assert!(matches!(write.raw_os_error(), Some(libc::ENOSYS | libc::EOPNOTSUPP)), "{write}");
    let file = fs::File::open(scratch.mnt().join("d_hello")).unwrap();
    file.sync_all().unwrap();
    drop(file);
    let mut value = [0u8; 8];
    let xattr = |name: &str, value: &mut [u8]| {
        rustix::fs::getxattr(scratch.mnt().join(name), "user.x", value)
            .map_err(rustix::io::Errno::raw_os_error)
    };
    assert_eq!(xattr("d_hello", &mut value), Err(libc::EOPNOTSUPP));
    rustix::fs::setxattr(scratch.src().join("public"), "user.x", b"v", rustix::fs::XattrFlags::empty())
        .unwrap();
    assert_eq!(xattr("public", &mut value), Ok(1));
    assert!(scratch.umount().status.success());
}

#[test]
fn a_killed_daemon_costs_its_files_an_error_and_nobody_waits() {
    let Some(mount) = Passthrough::new(&[]) else { return };
    fs::write(mount.other.join("d_file"), vec![b'x'; 1 << 20]).unwrap();
    fs::write(mount.scratch.src().join("file"), vec![b'y'; 1 << 20]).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let counts: [Arc<AtomicU64>; 2] = Default::default();
    let readers: Vec<_> = ["d_file", "file", "d_file", "file"]
        .into_iter()
        .enumerate()
        .map(|(i, name)| {
            let (path, stop, count) = (mount.mnt(name), Arc::clone(&stop), Arc::clone(&counts[i % 2]));
            std::thread::spawn(move || {
                let mut last = None;
                while !stop.load(Ordering::SeqCst) {
                    match fs::read(&path) {
                        Ok(data) => {
                            assert_eq!(data.len(), 1 << 20);
                            count.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(error) => last = error.raw_os_error(),
                    }
                }
                last
            })
        })
        .collect();
    assert!(eventually(|| counts.iter().all(|count| count.load(Ordering::SeqCst) > 5)), "both are read");
    let held = fs::File::open(mount.mnt("d_file")).unwrap();
    kill_process(mount.pid(), Signal::KILL).unwrap();
    let start = Instant::now();
    assert!(eventually(|| fs::metadata(mount.mnt("d_file")).is_err()));
    assert_eq!(fs::metadata(mount.mnt("d_file")).unwrap_err().raw_os_error(), Some(libc::ENOTCONN));
    assert!(held.metadata().is_err() || held.sync_all().is_err());
    let before = counts[1].load(Ordering::SeqCst);
    assert!(eventually(|| counts[1].load(Ordering::SeqCst) > before + 5), "what is below goes on");
    stop.store(true, Ordering::SeqCst);
    let errors: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
    assert_eq!([errors[1], errors[3]], [None, None]);
    assert_eq!([errors[0], errors[2]], [Some(libc::ENOTCONN); 2]);
    assert!(start.elapsed() < Duration::from_secs(15), "nobody waited for a daemon that is gone");
    drop(held);
    assert!(mount.scratch.umount().status.success());
}

#[test]
fn a_daemon_that_hangs_costs_its_operations_an_error_after_the_time_stated() {
    let Some(mount) = Passthrough::new(&["--daemon-timeout", "1"]) else { return };
    fs::write(mount.other.join("d_file"), "x").unwrap();
    assert_eq!(fs::read_to_string(mount.mnt("d_file")).unwrap(), "x");
    kill_process(mount.pid(), Signal::STOP).unwrap();
    // Many more wait for it than there are threads, and what is below is served all the same.
    let waiting: Vec<_> = (0..16)
        .map(|i| {
            let path = mount.mnt(&format!("d_{i}"));
            std::thread::spawn(move || (Instant::now(), fs::metadata(path).unwrap_err(), Instant::now()))
        })
        .collect();
    std::thread::sleep(Duration::from_millis(200));
    let start = Instant::now();
    for _ in 0..50 {
        assert_eq!(fs::read_to_string(mount.mnt("public")).unwrap(), "hello\n");
    }
    let below = start.elapsed();
    for waiting in waiting {
        let (start, error, end) = waiting.join().unwrap();
        assert_eq!(error.raw_os_error(), Some(libc::ETIMEDOUT));
        let took = end - start;
        assert!(took > Duration::from_millis(900) && took < Duration::from_secs(10), "{took:?}");
    }
    assert!(below < Duration::from_millis(700), "what is below was served meanwhile: {below:?}");
    kill_process(mount.pid(), Signal::CONT).unwrap();
    assert!(
        eventually(|| fs::read_to_string(mount.mnt("d_file")).is_ok_and(|text| text == "x")),
        "it comes back"
    );
    assert!(mount.scratch.umount().status.success());
}

#[test]
fn what_is_built_in_is_around_the_daemon_too() {
    let Some(mount) = Passthrough::new(&["--hide", "*secret", "--mask", "*.env"]) else { return };
    fs::create_dir(mount.other.join("d_dir")).unwrap();
    for (name, text) in
        [("d_secret", "s"), ("d_dir/a_secret", "s"), ("d_dir/x.env", "A=12\n"), ("d_dir/plain", "A=12\n")]
    {
        fs::write(mount.other.join(name), text).unwrap();
    }
    let errno = |result: std::io::Result<Vec<u8>>| result.unwrap_err().raw_os_error();
    assert_eq!(errno(fs::read(mount.mnt("d_secret"))), Some(libc::ENOENT));
    assert_eq!(errno(fs::read(mount.mnt("d_dir/a_secret"))), Some(libc::ENOENT));
    let mut names: Vec<_> = fs::read_dir(mount.mnt("d_dir"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["plain", "x.env"]);
    assert_eq!(fs::write(mount.mnt("d_dir/b_secret"), "x").unwrap_err().raw_os_error(), Some(libc::EACCES));
    // Where a line begins is read from the file below; there is none, so nothing is shown.
    assert_eq!(fs::read_to_string(mount.mnt("d_dir/x.env")).unwrap(), "*****");
    assert_eq!(fs::read_to_string(mount.mnt("d_dir/plain")).unwrap(), "A=12\n");
    let cp = Command::new("cp").args([mount.mnt("d_dir/x.env"), mount.mnt("d_dir/copy")]).output().unwrap();
    assert!(cp.status.success(), "{cp:?}");
    assert_eq!(fs::read_to_string(mount.other.join("d_dir/copy")).unwrap(), "*****");
    assert!(mount.scratch.umount().status.success());

    let Some(mount) = Passthrough::new(&["--readonly"]) else { return };
    fs::create_dir(mount.other.join("d_dir")).unwrap();
    fs::write(mount.other.join("d_dir/file"), "text").unwrap();
    assert_eq!(fs::read_to_string(mount.mnt("d_dir/file")).unwrap(), "text");
    fs::write(mount.mnt("d_dir/file"), "new").unwrap_err();
    fs::write(mount.mnt("d_dir/other"), "new").unwrap_err();
    fs::create_dir(mount.mnt("d_new")).unwrap_err();
    fs::remove_file(mount.mnt("d_dir/file")).unwrap_err();
    assert_eq!(fs::read_to_string(mount.other.join("d_dir/file")).unwrap(), "text");
    assert_eq!(fs::read_dir(mount.other.join("d_dir")).unwrap().count(), 1);
    assert!(mount.scratch.umount().status.success());
}

#[test]
fn without_a_source_everything_is_the_daemons() {
    if !fuse() {
        return;
    }
    let scratch = Scratch::new();
    let Some(program) = libfuse(scratch.path(), "hello") else { return };
    let command = format!("exec {} -f /dev/fd/3", program.display());
    let mnt = scratch.mnt().display().to_string();
    common::succeeds(["mount", "--background", "--daemon", &command, &mnt]);
    assert_eq!(scratch.names(), ["hello"]);
    assert_eq!(fs::read_to_string(scratch.mnt().join("hello")).unwrap(), "Hello World!\n");
    assert!(scratch.umount().status.success());
}

#[test]
fn a_command_that_is_no_daemon_is_named() {
    if !fuse() {
        return;
    }
    let scratch = Scratch::new();
    let said = common::fails(2, scratch.mount_args(&["--daemon", "exit 3"]));
    assert!(said.contains("`exit 3`: does not serve") && said.contains("/dev/fd/3"), "{said}");
    assert!(!scratch.is_mounted());
    let mnt = scratch.mnt().display().to_string();
    let said = common::fails(2, ["mount", &mnt]);
    assert!(said.contains("MNT is missing"), "{said}");
}
