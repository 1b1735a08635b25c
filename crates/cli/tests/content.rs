//! Content of files that is not shown: `--mask` and `--redact`, however it is read.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "of the system calls each test uses some")]
#![allow(clippy::print_stdout, reason = "skipped tests say why")]

mod common;
#[path = "twin/sys.rs"]
mod sys;

use std::fs;
use std::io::{Read as _, Seek as _};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use common::{Scratch, fuse};

/// Bytes that repeat late.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8 | 1
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// What `--mask` makes of a text: stars behind the first `=` of each line, and everywhere from 32 KiB on.
fn masked(text: &[u8]) -> Vec<u8> {
    let mut secret = false;
    let mask = |(at, byte): (usize, &u8)| match *byte {
        _ if at >= 32 << 10 => b'*',
        b'\n' => {
            secret = false;
            b'\n'
        }
        _ if secret => b'*',
        byte => {
            secret = byte == b'=';
            byte
        }
    };
    text.iter().enumerate().map(mask).collect()
}

/// Everything there is to read a file with shows the same.
fn reads(path: &Path, expected: &[u8]) {
    assert!(fs::read(path).unwrap() == expected, "read");
    let cat = Command::new("cat").arg(path).output().unwrap();
    assert!(cat.status.success() && cat.stdout == expected, "cat");

    // sendfile and splice.
    let file = fs::File::open(path).unwrap();
    let mut to = tempfile::tempfile().unwrap();
    let mut sent = 0;
    while sent < expected.len() {
        match rustix::fs::sendfile(to.as_fd(), file.as_fd(), None, expected.len() - sent).unwrap() {
            0 => break,
            more => sent += more,
        }
    }
    let mut copy = Vec::new();
    to.rewind().unwrap();
    to.read_to_end(&mut copy).unwrap();
    assert!(copy == expected, "sendfile");

    // copy_file_range, and a clone where the system has that.
    let dir = tempfile::tempdir().unwrap();
    for option in ["--reflink=auto", "--reflink=never", "--sparse=always"] {
        let copy = dir.path().join("copy");
        let cp = Command::new("cp").arg(option).arg(path).arg(&copy).output().unwrap();
        assert!(cp.status.success(), "{cp:?}");
        assert!(fs::read(&copy).unwrap() == expected, "cp {option}");
    }

    // A mapping: the linker's and the loader's way to read.
    let mapped = sys::Mapping::new(&file, expected.len(), false, true).unwrap().read(0, expected.len());
    assert!(mapped == expected, "mmap");
    // Past caches.
    let dd = Command::new("dd")
        .arg(format!("if={}", path.display()))
        .args(["bs=1M", "iflag=direct"])
        .output()
        .unwrap();
    assert!(dd.status.success() && dd.stdout == expected, "O_DIRECT");

    // At any place, in any size, by many at once.
    let (file, expected) = (Arc::new(file), Arc::new(expected.to_vec()));
    let readers: Vec<_> = (0..4u64)
        .map(|thread| {
            let (file, expected) = (Arc::clone(&file), Arc::clone(&expected));
            std::thread::spawn(move || {
                let mut state = thread * 7919 + 1;
                for _ in 0..200 {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let at = (state >> 33) as usize % expected.len();
                    let len = ((state >> 20) as usize % 5000 + 1).min(expected.len() - at);
                    let mut part = vec![0; len];
                    file.read_exact_at(&mut part, at as u64).unwrap();
                    assert!(part == expected[at..at + len], "{len} bytes at {at}");
                }
            })
        })
        .collect();
    for reader in readers {
        reader.join().unwrap();
    }
}

fn denied<T: std::fmt::Debug>(result: std::io::Result<T>) {
    assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EACCES));
}

#[test]
fn values_are_masked_whichever_way_they_are_read() {
    if !fuse() {
        return;
    }
    let scratch = Scratch::new();
    let small = "A=secret\n# comment\nexport LONG_KEY=abc=def\nnovalue\n=\nLAST=zzz";
    let large: String = (0..4000).map(|i| format!("KEY_{i}=value {i}\n")).collect();
    fs::create_dir(scratch.src().join("sub")).unwrap();
    for (name, text) in [(".env", small), ("sub/.env", small), ("large.env", &large), ("other", small)] {
        fs::write(scratch.src().join(name), text).unwrap();
    }
    scratch.mount(&["--mask", ".env", "--mask", "*.env"]);
    let mnt = |name: &str| scratch.mnt().join(name);
    assert_eq!(
        fs::read_to_string(mnt(".env")).unwrap(),
        "A=******\n# comment\nexport LONG_KEY=*******\nnovalue\n=\nLAST=***"
    );
    reads(&mnt("sub/.env"), &masked(small.as_bytes()));
    reads(&mnt("large.env"), &masked(large.as_bytes()));
    reads(&mnt("other"), small.as_bytes());

    // What was read must not be written back, nor the file get away by another name.
    let path = mnt(".env");
    denied(fs::File::options().append(true).open(&path).and_then(|file| file.write_at(b"x", 0)));
    denied(fs::write(&path, "x"));
    denied(fs::File::options().write(true).open(&path).and_then(|file| file.set_len(1)));
    denied(fs::hard_link(&path, mnt("link")));
    denied(fs::rename(&path, mnt("moved")));
    denied(fs::rename(mnt("sub/.env"), mnt("sub/moved")));
    assert_eq!(fs::read_to_string(scratch.src().join(".env")).unwrap(), small);

    // One that appears is masked: behind the mount, made through it, moved to its name.
    fs::write(scratch.src().join("later.env"), "B=1\n").unwrap();
    assert_eq!(fs::read_to_string(mnt("later.env")).unwrap(), "B=*\n");
    drop(fs::File::create_new(mnt("made.env")).unwrap());
    fs::write(scratch.src().join("made.env"), "C=12\n").unwrap();
    assert_eq!(fs::read_to_string(mnt("made.env")).unwrap(), "C=**\n");
    fs::write(mnt("plain"), "D=123\n").unwrap();
    assert_eq!(fs::read_to_string(mnt("plain")).unwrap(), "D=123\n");
    fs::rename(mnt("plain"), mnt("moved.env")).unwrap();
    assert_eq!(fs::read_to_string(mnt("moved.env")).unwrap(), "D=***\n");
    assert!(scratch.umount().status.success());
}

#[test]
fn ranges_are_redacted_whichever_way_they_are_read() {
    if !fuse() {
        return;
    }
    let scratch = Scratch::new();
    let data = noise(300_000);
    let ranges = [10..20, 4090..5000, 299_990..400_000];
    fs::write(scratch.src().join("users.db"), &data).unwrap();
    fs::write(scratch.src().join("other.db"), &data).unwrap();
    scratch.mount(&["--redact", "users.db=10-20,4090-5000,299990-400000"]);
    let path = scratch.mnt().join("users.db");
    let mut expected = data.clone();
    for range in &ranges {
        let end = range.end.min(expected.len());
        expected[range.start..end].fill(0);
    }
    reads(&path, &expected);
    reads(&scratch.mnt().join("other.db"), &data);

    // What is not shown cannot be written; what is shown can.
    let file = fs::File::options().read(true).write(true).open(&path).unwrap();
    denied(file.write_at(b"abc", 8));
    denied(file.write_at(b"abc", 4999));
    denied(file.set_len(100));
    file.write_all_at(b"abc", 100).unwrap();
    expected[100..103].copy_from_slice(b"abc");
    let mut below = data;
    below[100..103].copy_from_slice(b"abc");
    assert!(fs::read(scratch.src().join("users.db")).unwrap() == below);
    assert!(fs::read(&path).unwrap() == expected);
    drop(file);
    assert!(scratch.umount().status.success());
}

#[test]
fn what_cannot_be_redacted_is_named() {
    let scratch = Scratch::new();
    // Filters see no data there: nothing would be masked.
    let said = common::fails(2, scratch.mount_args(&["--compat", "v4", "--mask", ".env"]));
    assert!(said.contains("--compat") && said.contains("--mask"), "{said}");
    for bad in ["users.db", "users.db=5", "users.db=5-5", "users.db=a-b", "a/b=1-2", "=1-2"] {
        let said = common::fails(2, scratch.mount_args(&["--redact", bad]));
        assert!(said.contains(bad) || said.contains("pattern"), "{said}");
    }
}
