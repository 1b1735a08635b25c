//! Mounts, as the user the tests run as.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::process::Command;
use std::time::Duration;

use common::*;
use rustix::process::Signal;

#[test]
fn foreground_says_when_it_is_mounted_and_signals_unmount() {
    if !fuse() {
        return;
    }
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let scratch = Scratch::new();
        let mut server = Running::start(scratch.mount_args(&["--hide", "secret*"]));
        let mut line = String::new();
        BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (src, mnt) = (scratch.src(), scratch.mnt());
        assert_eq!(line, format!("mounted {} on {}; ctrl-c unmounts\n", src.display(), mnt.display()));
        assert_eq!(scratch.names(), ["public"]);
        server.signal(signal);
        let status = server.0.wait().unwrap();
        let mut error = String::new();
        server.0.stderr.take().unwrap().read_to_string(&mut error).unwrap();
        assert!(status.success(), "{signal:?}: {status}: {error}");
        assert!(!scratch.is_mounted(), "{signal:?}");
        assert!(mnt.read_dir().unwrap().next().is_none());
    }
}

#[test]
fn what_was_written_before_a_signal_is_there() {
    if !fuse() {
        return;
    }
    let scratch = Scratch::new();
    scratch.mount(&[]);
    let mut open = std::fs::File::create(scratch.mnt().join("open")).unwrap();
    std::io::Write::write_all(&mut open, b"written").unwrap();
    let servers = scratch.servers();
    assert_eq!(servers.len(), 1);
    let pid = rustix::process::Pid::from_raw(servers[0].cast_signed()).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    assert!(eventually(|| !scratch.is_mounted() && scratch.servers().is_empty()));
    // A clear error, not a hang.
    let error = std::io::Write::write_all(&mut open, b"more").and_then(|()| open.sync_all()).unwrap_err();
    assert!(matches!(error.raw_os_error(), Some(103 | 107 | 5)), "{error}");
    assert_eq!(std::fs::read(scratch.src().join("open")).unwrap(), b"written");
}

#[test]
fn background_returns_when_the_mount_answers() {
    if !fuse() {
        return;
    }
    let scratch = Scratch::new();
    for _ in 0..5 {
        let started = std::time::Instant::now();
        // The streams end: the server does not hold on to them.
        let output = fuse_bpf(scratch.mount_args(&["--background", "--hide", "secret"]));
        assert_eq!(status(&output), 0, "{}", stderr(&output));
        assert_eq!((stdout(&output), stderr(&output)), (String::new(), String::new()));
        assert!(started.elapsed() < Duration::from_secs(10));
        assert_eq!(std::fs::read_to_string(scratch.mnt().join("public")).unwrap(), "hello\n");
        assert_eq!(std::fs::read(scratch.mnt().join("secret")).unwrap_err().kind(), ErrorKind::NotFound);
        let umount = scratch.umount();
        assert_eq!(status(&umount), 0, "{}", stderr(&umount));
        assert!(!scratch.is_mounted());
        assert!(eventually(|| scratch.servers().is_empty()), "the server outlives its mount");
    }
}

#[test]
fn relative_paths_work_in_the_background() {
    if !fuse() {
        return;
    }
    let scratch = Scratch::new();
    let run = |args: &[&str]| {
        let output = Command::new(program()).args(args).current_dir(scratch.path()).output().unwrap();
        assert_eq!(status(&output), 0, "{}", stderr(&output));
    };
    run(&["mount", "--background", "--", "src", "mnt"]);
    assert_eq!(scratch.names(), ["public", "secret"]);
    run(&["umount", "mnt"]);
}

#[test]
fn a_background_mount_that_fails_says_why_with_the_status() {
    let scratch = Scratch::new();
    let garbage = scratch.path().join("garbage.bpf.o");
    std::fs::write(&garbage, "not an object").unwrap();
    for filter in ["none.bpf.o", garbage.to_str().unwrap()] {
        for how in [&["--background"][..], &[]] {
            let error = fails(2, scratch.mount_args(&[how, &["--filter", filter]].concat()));
            assert!(error.starts_with("fuse-bpf: ") && error.contains(filter), "{error}");
            assert!(!scratch.is_mounted());
        }
    }
}

#[test]
fn a_malformed_object_never_mounts() {
    let scratch = Scratch::new();
    let (_, object) = fuse_bpf::shipped::OBJECTS[0];
    let path = scratch.path().join("cut.bpf.o");
    let mut flipped = object.to_vec();
    // The machine in the ELF header.
    flipped[18] = 62;
    let cut = [16, 64, 200, object.len() / 2, object.len() - 64].map(|len| object[..len].to_vec());
    for bytes in cut.into_iter().chain([flipped]) {
        std::fs::write(&path, &bytes).unwrap();
        let error = fails(2, scratch.mount_args(&["--filter", path.to_str().unwrap()]));
        assert!(error.contains("cut.bpf.o"), "{error}");
        assert!(!scratch.is_mounted());
    }
}

#[test]
fn paths_that_cannot_be_mounted_are_named_with_the_remedy() {
    let scratch = Scratch::new();
    let mount = |source: &str, target: &str| {
        let dir = scratch.path();
        fails(2, ["mount".as_ref(), dir.join(source).as_os_str(), dir.join(target).as_os_str()])
    };
    assert!(mount("none", "mnt").contains("none: SRC must be an existing directory"));
    assert!(mount("src/public", "mnt").contains("not a directory"));
    assert!(mount("src", "none").contains("none"));
    assert!(mount("src", "src/public").contains("public"));
    std::fs::create_dir(scratch.src().join("inside")).unwrap();
    assert!(mount("src", "src/inside").contains("would contain itself"));
    assert!(!scratch.is_mounted());
}

#[test]
fn readonly_refuses_changes_and_hide_hides() {
    if !fuse() {
        return;
    }
    let scratch = Scratch::new();
    std::fs::write(scratch.src().join("site.key"), "").unwrap();
    scratch.mount(&["--readonly", "--hide", "*.key", "--hide", "sec*"]);
    assert_eq!(scratch.names(), ["public"]);
    let error = std::fs::write(scratch.mnt().join("new"), "").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnlyFilesystem);
    assert_eq!(
        std::fs::write(scratch.mnt().join("public"), "").unwrap_err().kind(),
        ErrorKind::ReadOnlyFilesystem
    );
    assert_eq!(std::fs::read_to_string(scratch.src().join("public")).unwrap(), "hello\n");
    // Made later, beside the mount.
    std::fs::write(scratch.src().join("late.key"), "").unwrap();
    std::fs::write(scratch.src().join("late"), "").unwrap();
    assert_eq!(scratch.names(), ["late", "public"]);
}

#[test]
fn a_directory_can_be_mounted_over_itself() {
    if !fuse() {
        return;
    }
    let scratch = Scratch::new();
    std::fs::write(scratch.mnt().join("public"), "").unwrap();
    std::fs::write(scratch.mnt().join("secret"), "").unwrap();
    let mnt = scratch.mnt().display().to_string();
    succeeds(["mount", "--background", "--hide", "secret", &mnt, &mnt]);
    assert_eq!(scratch.names(), ["public"]);
    assert_eq!(status(&scratch.umount()), 0);
    assert_eq!(scratch.names(), ["public", "secret"]);
}

#[test]
fn a_mount_in_use_is_busy_until_it_is_lazy() {
    if !fuse() {
        return;
    }
    let scratch = Scratch::new();
    scratch.mount(&[]);
    let file = std::fs::File::open(scratch.mnt().join("public")).unwrap();
    let refused = scratch.umount();
    assert_eq!(status(&refused), 2);
    assert!(stderr(&refused).contains("--lazy"), "{}", stderr(&refused));
    assert!(scratch.is_mounted());
    succeeds(["umount", "--lazy", scratch.mnt().to_str().unwrap()]);
    assert!(!scratch.is_mounted());
    drop(file);
    assert!(eventually(|| scratch.servers().is_empty()), "the server outlives its mount");
}

#[test]
fn a_dead_server_leaves_a_mount_that_umount_clears() {
    if !fuse() {
        return;
    }
    let scratch = Scratch::new();
    let mut server = Running::start(scratch.mount_args(&[]));
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("mounted "), "{line}");
    server.0.kill().unwrap();
    server.0.wait().unwrap();
    let error = std::fs::read(scratch.mnt().join("public")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConnected);
    let again = fails(2, scratch.mount_args(&[]));
    assert!(again.contains("fuse-bpf umount"), "{again}");
    assert_eq!(status(&scratch.umount()), 0);
    assert_eq!(scratch.names(), Vec::<String>::new());
}

/// A `trace` of a mount, and the lines it has shown so far.
struct Trace {
    process: Running,
    lines: std::sync::mpsc::Receiver<String>,
    seen: Vec<String>,
}

impl Trace {
    fn start(scratch: &Scratch) -> Trace {
        let mut process = Running::start(["trace".as_ref(), scratch.mnt().as_os_str()]);
        let out = BufReader::new(process.0.stdout.take().unwrap());
        let (send, lines) = std::sync::mpsc::channel();
        // Ends with the process, or when nobody listens.
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Trace { process, lines, seen: Vec::new() }
    }

    /// Does something again and again until its trace shows: nothing tells when the listener is there.
    #[track_caller]
    fn shows(&mut self, text: &str, mut cause: impl FnMut()) {
        let found = eventually(|| {
            cause();
            self.seen.extend(self.lines.try_iter());
            self.seen.iter().any(|line| line.contains(text))
        });
        assert!(found, "no {text:?} in {:?}", self.seen);
    }
}

#[test]
fn trace_shows_what_a_filter_records() {
    if !fuse() {
        return;
    }
    let scratch = Scratch::new();
    scratch.mount(&["--audit"]);
    let mut trace = Trace::start(&scratch);
    trace.shows("conspicuous", || drop(std::fs::metadata(scratch.mnt().join("conspicuous"))));
    assert_eq!(status(&scratch.umount()), 0);
    // The end of the mount is the end of the trace.
    assert!(eventually(|| trace.process.0.try_wait().unwrap().is_some()), "trace outlives the mount");
}

#[test]
fn trace_shows_what_a_filter_prints() {
    if !fuse() || !clang() {
        return;
    }
    let scratch = Scratch::new();
    let source = scratch.path().join("say.bpf.c");
    let text = r#"
#include "fuse_bpf.h"
SEC("struct_ops/unlink_prefilter")
uint32_t BPF_PROG(unlink_prefilter, const struct bpf_fuse_meta_info *meta, struct fuse_buffer *name)
{
    bpf_printk("kept, says %d", 42);
    return -EPERM;
}
SEC(".struct_ops")
struct fuse_ops say = { .unlink_prefilter = (void *)unlink_prefilter, .name = "say" };
char _license[] SEC("license") = "GPL";
"#;
    std::fs::write(&source, text).unwrap();
    succeeds(["build".as_ref(), source.as_os_str()]);
    scratch.mount(&["--filter", scratch.path().join("say.bpf.o").to_str().unwrap()]);
    let mut trace = Trace::start(&scratch);
    trace.shows("kept, says 42", || {
        let refused = std::fs::remove_file(scratch.mnt().join("public")).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
    });
    assert_eq!(status(&scratch.umount()), 0);
}
