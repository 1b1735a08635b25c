//! What is in files.

use super::cases;
use crate::twin::{Cx, digest, noise, sys};
use rustix::fs::{FallocateFlags, IFlags, Mode, OFlags, SeekFrom, copy_file_range, fallocate, open, seek};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::io::{IoSlice, IoSliceMut, Read as _, Seek as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

cases! {
    READ: read_ranges, read_large, read_sees_other_writers, read_vectors, mmap_private, mmap_exec;
    WRITE: write_ranges, write_large, write_sparse, write_append_together, write_kills_suid, write_errors, mmap_shared,
        mmap_and_files;
    FSYNC: fsync_files;
    FSYNCDIR: fsync_directories;
    SYNCFS: sync_file_system;
    FALLOCATE: fallocate_extend, fallocate_punch, fallocate_collapse_insert, fallocate_errors;
    LSEEK: lseek_holes, lseek_errors;
    COPY_FILE_RANGE: copy_range_between, copy_range_inside, copy_range_errors;
    IOCTL: ioctl_flags, ioctl_unknown;
}

fn both(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).expect("open")
}

fn read_ranges(cx: &Cx) {
    let bytes = noise(20_000, 1);
    let file = File::open(cx.file("file", &bytes)).expect("open");
    for (offset, len) in [
        (0, 1),
        (0, 20_000),
        (19_999, 1),
        (19_999, 10),
        (20_000, 10),
        (30_000, 10),
        (4095, 2),
        (100, 0),
        (1 << 40, 5),
    ] {
        let mut buffer = vec![0; len];
        let got = file.read_at(&mut buffer, offset);
        let same = got.as_ref().is_ok_and(|n| *n == 0 || buffer[..*n] == bytes[offset as usize..][..*n]);
        cx.value(&format!("{len} at {offset}"), got);
        cx.note("same", same);
    }
    cx.check("negative offset", file.read_at(&mut [0], u64::MAX));
    cx.check("at the end of all", file.read_at(&mut [0], i64::MAX as u64));
    let empty = File::open(cx.file("empty", "")).expect("open");
    cx.value("empty", empty.read_at(&mut [0; 10], 0));
    let mut file = file;
    cx.value("seek", file.seek(std::io::SeekFrom::End(-5)));
    let mut rest = Vec::new();
    cx.value("rest", file.read_to_end(&mut rest));
    cx.note("position", file.stream_position().unwrap_or(0));
}

fn read_large(cx: &Cx) {
    let bytes = noise((3 << 20) + 17, 2);
    let path = cx.file("file", &bytes);
    cx.contents("all", "file");
    let mut file = File::open(&path).expect("open");
    let mut odd = Vec::new();
    let mut buffer = vec![0; 12_345];
    while let Ok(n @ 1..) = file.read(&mut buffer) {
        odd.extend_from_slice(&buffer[..n]);
    }
    cx.note("in odd pieces", digest(&odd));
    let mut one = vec![0; 3 << 20];
    cx.check("at once, from 9", file.read_exact_at(&mut one, 9));
    cx.note("at once", digest(&one));
    cx.drop_caches();
    cx.contents("again", "file");
}

fn read_sees_other_writers(cx: &Cx) {
    let path = cx.file("file", "0000000000");
    let reader = File::open(&path).expect("open");
    let writer = both(&path);
    let mut text = [0; 10];
    for i in 0..10 {
        cx.check("write", writer.write_all_at(i.to_string().as_bytes(), i));
        cx.check("read", reader.read_exact_at(&mut text, 0));
        cx.note("text", text.escape_ascii());
        cx.child(|cx| {
            cx.check("child writes", both(&cx.at("file")).write_all_at(b"c", (i + 3) % 10));
        });
        cx.check("read", reader.read_exact_at(&mut text, 0));
        cx.note("text", text.escape_ascii());
    }
    cx.value("beside the mount", fs::read_to_string(cx.lower.join("file")));
}

fn read_vectors(cx: &Cx) {
    let mut file = both(&cx.file("file", ""));
    let parts = [IoSlice::new(b"one "), IoSlice::new(b""), IoSlice::new(b"two "), IoSlice::new(b"three")];
    cx.value("writev", file.write_vectored(&parts));
    cx.check("rewind", file.rewind());
    let (mut a, mut b) = ([0; 6], [0; 20]);
    cx.value("readv", file.read_vectored(&mut [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)]));
    cx.note("a", a.escape_ascii());
    cx.note("b", b.escape_ascii());
    let many = vec![b'm'; 5000];
    let slices: Vec<_> = (0..100).map(|_| IoSlice::new(&many)).collect();
    cx.value("many", file.write_vectored(&slices));
    cx.contents("all", "file");
}

fn mmap_private(cx: &Cx) {
    let bytes = noise(20_000, 3);
    let path = cx.file("file", &bytes);
    let file = File::open(&path).expect("open");
    let Some(mut map) = cx.check("map", sys::Mapping::new(&file, 20_000, true, false)) else { return };
    drop(file);
    cx.note("same", map.read(0, 20_000) == bytes);
    map.write(5000, b"private");
    cx.note("changed here", map.read(5000, 7).escape_ascii());
    cx.contents("not there", "file");
    cx.note("beyond the end", map.read(19_990, 10) == bytes[19_990..]);
    cx.check("unlink", fs::remove_file(&path));
    cx.note("after unlink", map.read(12_000, 100) == bytes[12_000..12_100]);
}

fn mmap_exec(cx: &Cx) {
    // Programs and their libraries are mapped.
    cx.file("program", fs::read("/bin/sh").unwrap_or_default());
    cx.mode("program", 0o755);
    for _ in 0..3 {
        let out = std::process::Command::new(cx.at("program"))
            .args(["-c", "echo run $((6*7))"])
            .current_dir("/")
            .output();
        cx.value("output", out.map(|o| (o.status.code(), String::from_utf8_lossy(&o.stdout).into_owned())));
        cx.drop_caches();
    }
}

fn write_ranges(cx: &Cx) {
    let path = cx.file("file", "");
    let file = both(&path);
    let text = noise(70_000, 4);
    let mut seed = 1u64;
    for i in 0..200 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let offset = (seed >> 33) % 60_000;
        let len = ((seed >> 20) % 9000) as usize;
        if file.write_at(&text[i..i + len], offset).ok() != Some(len) {
            cx.note("short", i);
        }
        if i % 20 == 0 {
            cx.contents("so far", "file");
            cx.meta("held", file.metadata());
        }
    }
    cx.value("nothing", file.write_at(b"", 100_000));
    cx.contents("all", "file");
    cx.value("beside the mount", fs::read(cx.lower.join("file")).map(|b| digest(&b)));
}

fn write_large(cx: &Cx) {
    let bytes = noise((3 << 20) + 4097, 5);
    let file = both(&cx.file("file", ""));
    cx.value("at once, at 3", file.write_at(&bytes, 3));
    cx.contents("all", "file");
    cx.value("over itself", file.write_at(&bytes[7..], 70_000));
    cx.check("sync", file.sync_data());
    cx.contents("all", "file");
    let small = both(&cx.file("small", ""));
    for i in 0..3000 {
        if small.write_all_at(&bytes[i..i + 100], i as u64 * 37).is_err() {
            cx.note("failed", i);
        }
    }
    cx.contents("small pieces", "small");
}

fn write_sparse(cx: &Cx) {
    let file = both(&cx.file("file", ""));
    cx.check("far", file.write_all_at(b"end", 1 << 40));
    cx.stat("size", "file");
    cx.check("near", file.write_all_at(b"begin", 0));
    let mut hole = [1; 100];
    cx.check("hole", file.read_exact_at(&mut hole, 1 << 30));
    cx.note("zeroes", hole.iter().all(|b| *b == 0));
    cx.check("truncate", file.set_len(1 << 20));
    cx.contents("with a hole", "file");
    cx.check("sync", file.sync_all());
    cx.note("not all of it is there", file.metadata().is_ok_and(|m| m.blocks() < 256));
}

fn write_append_together(cx: &Cx) {
    cx.file("log", "");
    let writer = |who: u8| {
        cx.fork(|cx| {
            let mut log = OpenOptions::new().append(true).open(cx.at("log")).expect("open");
            for i in 0..200 {
                let mut record = vec![who; 99];
                record.push(b'\n');
                record[0] = b'0' + (i % 10) as u8;
                if log.write_all(&record).is_err() {
                    cx.note("failed", i);
                }
            }
        })
    };
    let writers = [writer(b'a'), writer(b'b'), writer(b'c')];
    for writer in writers {
        writer.wait();
    }
    let log = fs::read(cx.at("log")).unwrap_or_default();
    cx.note("length", log.len());
    let mut lines: Vec<_> = log.split(|b| *b == b'\n').collect();
    lines.sort_unstable();
    cx.note("records, sorted", digest(&lines.concat()));
    // Their order is chance.
    cx.check("remove", fs::remove_file(cx.at("log")));
}

fn write_kills_suid(cx: &Cx) {
    for mode in [0o6777, 0o4777, 0o2777, 0o2767] {
        let name = format!("f{mode:o}");
        cx.file(&name, vec![b'x'; 5000]);
        let reset = |cx: &Cx| cx.mode(&name, mode);
        reset(cx);
        let file = both(&cx.at(&name));
        cx.check("mapping writes", sys::Mapping::new(&file, 4096, true, true).map(|mut m| m.write(0, b"m")));
        cx.stat("mapped", &name);
        let each = |cx: &Cx| {
            cx.check("pwrite", both(&cx.at(&name)).write_all_at(b"y", 3));
            cx.stat("pwrite", &name);
        };
        each(cx);
        reset(cx);
        cx.stranger(each);
        reset(cx);
        let punch = |cx: &Cx| {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            cx.check("punch", fallocate(both(&cx.at(&name)), flags, 0, 4096));
            cx.stat("punch", &name);
        };
        punch(cx);
        reset(cx);
        cx.stranger(punch);
        reset(cx);
        cx.stranger(|cx| {
            let from = File::open("/bin/true").expect("open");
            let from_same = File::open(cx.at(&name)).expect("open");
            drop(from);
            let to = both(&cx.at(&name));
            cx.check("copy", copy_file_range(&from_same, Some(&mut 0), &to, Some(&mut 4500), 100));
            cx.stat("copy", &name);
        });
    }
}

fn write_errors(cx: &Cx) {
    let path = cx.file("file", "x");
    let file = both(&path);
    cx.check("too far", file.write_at(b"xx", (1 << 62) + 1));
    cx.check("negative", file.write_at(b"x", u64::MAX));
    cx.check("largest", file.write_at(b"x", i64::MAX as u64));
    cx.check("read-only descriptor", File::open(&path).and_then(|f| f.write_at(b"x", 0)));
    cx.stat("unchanged", "file");
}

fn mmap_shared(cx: &Cx) {
    let path = cx.file("file", vec![b'.'; 12_000]);
    let file = both(&path);
    let Some(mut map) = cx.check("map", sys::Mapping::new(&file, 12_000, true, true)) else { return };
    let other = sys::Mapping::new(&file, 12_000, false, true).expect("map");
    map.write(10, b"hello");
    map.write(8000, b"there");
    cx.note("other mapping", other.read(10, 5).escape_ascii());
    cx.check("msync", map.sync());
    cx.contents("file", "file");
    cx.value("beside the mount", fs::read(cx.lower.join("file")).map(|b| digest(&b)));
    map.write(11_999, b"!");
    drop(file);
    map.write(0, b"after close");
    drop((map, other));
    cx.contents("after munmap", "file");
    cx.child(|cx| {
        let file = both(&cx.at("file"));
        let mut map = sys::Mapping::new(&file, 4096, true, true).expect("map");
        map.write(100, b"left to exit");
        std::mem::forget(map);
    });
    cx.contents("after exit", "file");
    let unlinked = both(&path);
    cx.check("unlink", fs::remove_file(&path));
    if let Some(mut map) = cx.check("map the unlinked", sys::Mapping::new(&unlinked, 4096, true, true)) {
        map.write(0, b"unlinked");
        cx.check("msync", map.sync());
        let mut text = [0; 8];
        cx.check("read", unlinked.read_exact_at(&mut text, 0));
        cx.note("text", text.escape_ascii());
    }
    let read_only = File::open(cx.file("read", "x")).expect("open");
    cx.check("shared writing, read-only descriptor", sys::Mapping::new(&read_only, 1, true, true));
    let write_only = OpenOptions::new().write(true).open(cx.at("read")).expect("open");
    cx.check("write-only descriptor", sys::Mapping::new(&write_only, 1, true, true));
    cx.check("directory", File::open(&cx.dir).and_then(|d| sys::Mapping::new(&d, 1, false, false)));
}

fn mmap_and_files(cx: &Cx) {
    let path = cx.file("file", vec![b'-'; 8192]);
    let file = both(&path);
    let mut map = sys::Mapping::new(&file, 8192, true, true).expect("map");
    for i in 0..20usize {
        cx.check("write", file.write_all_at(format!("w{i:03}").as_bytes(), i as u64 * 8));
        cx.note("mapping shows it", map.read(i * 8, 4).escape_ascii());
        map.write(4096 + i * 8, format!("m{i:03}").as_bytes());
        let mut text = [0; 4];
        cx.check("read", file.read_exact_at(&mut text, 4096 + i as u64 * 8));
        cx.note("file shows it", text.escape_ascii());
    }
    cx.check("extend", file.set_len(20_000));
    cx.check("msync", map.sync());
    cx.contents("all", "file");
}

fn fsync_files(cx: &Cx) {
    let path = cx.file("file", "x");
    let mut file = both(&path);
    cx.check("write", file.write_all(b"synced"));
    cx.check("fsync", file.sync_all());
    cx.check("fdatasync", file.sync_data());
    let read_only = File::open(&path).expect("open");
    cx.check("fsync, reading", read_only.sync_all());
    cx.check("unlink", fs::remove_file(&path));
    cx.check("fsync, unlinked", file.sync_all());
    let only_path = open(&cx.dir, OFlags::PATH, Mode::empty()).expect("open");
    cx.check("fsync, O_PATH", rustix::fs::fsync(&only_path));
    rustix::fs::mknodat(rustix::fs::CWD, cx.at("fifo"), rustix::fs::FileType::Fifo, Mode::RWXU, 0)
        .expect("mknod");
    cx.check("fsync, fifo", both(&cx.at("fifo")).sync_all());
}

fn fsync_directories(cx: &Cx) {
    cx.folder("dir");
    cx.file("dir/file", "x");
    let dir = File::open(cx.at("dir")).expect("open");
    cx.check("fsync", dir.sync_all());
    cx.check("fdatasync", dir.sync_data());
    cx.check("rename", fs::rename(cx.at("dir/file"), cx.at("dir/other")));
    cx.check("fsync", dir.sync_all());
    cx.check("unlink", fs::remove_file(cx.at("dir/other")));
    cx.check("rmdir", fs::remove_dir(cx.at("dir")));
    cx.check("fsync, removed", dir.sync_all());
}

fn sync_file_system(cx: &Cx) {
    let path = cx.file("file", "x");
    cx.check("file", rustix::fs::syncfs(File::open(&path).expect("open")));
    cx.check("dir", rustix::fs::syncfs(File::open(&cx.dir).expect("open")));
    let only_path = open(&path, OFlags::PATH, Mode::empty()).expect("open");
    cx.check("O_PATH", rustix::fs::syncfs(&only_path));
}

fn fallocate_extend(cx: &Cx) {
    let path = cx.file("file", "0123456789");
    let file = both(&path);
    let keep = FallocateFlags::KEEP_SIZE;
    cx.check("inside", fallocate(&file, FallocateFlags::empty(), 2, 3));
    cx.contents("same", "file");
    cx.check("extend", fallocate(&file, FallocateFlags::empty(), 0, 10_000));
    cx.contents("zeroes at the end", "file");
    cx.check("keep the size", fallocate(&file, keep, 0, 100_000));
    cx.stat("size", "file");
    cx.check("sync", file.sync_all());
    let blocks = rustix::fs::statx(
        &file,
        "",
        rustix::fs::AtFlags::EMPTY_PATH | rustix::fs::AtFlags::STATX_FORCE_SYNC,
        rustix::fs::StatxFlags::ALL,
    );
    cx.value("blocks", blocks.map(|s| s.stx_blocks));
    cx.check("with an offset", fallocate(&file, FallocateFlags::empty(), 200_000, 5));
    cx.stat("size", "file");
}

fn fallocate_punch(cx: &Cx) {
    let path = cx.file("file", noise(64 << 10, 6));
    let file = both(&path);
    let keep = FallocateFlags::KEEP_SIZE;
    cx.check("punch", fallocate(&file, FallocateFlags::PUNCH_HOLE | keep, 8192, 16_384));
    cx.contents("punched", "file");
    cx.check("punch, unaligned", fallocate(&file, FallocateFlags::PUNCH_HOLE | keep, 100, 777));
    cx.contents("punched", "file");
    cx.check("punch beyond the end", fallocate(&file, FallocateFlags::PUNCH_HOLE | keep, 60_000, 100_000));
    cx.stat("size", "file");
    cx.contents("punched", "file");
    cx.check("zero", fallocate(&file, FallocateFlags::ZERO_RANGE, 30_000, 5000));
    cx.contents("zeroed", "file");
    cx.check("zero beyond the end", fallocate(&file, FallocateFlags::ZERO_RANGE, 64 << 10, 5000));
    cx.contents("longer", "file");
    cx.check(
        "zero, keeping the size",
        fallocate(&file, FallocateFlags::ZERO_RANGE | keep, 64 << 10, 500_000),
    );
    cx.contents("not longer", "file");
    let map = sys::Mapping::new(&file, 4096, false, true).expect("map");
    cx.check("punch under a mapping", fallocate(&file, FallocateFlags::PUNCH_HOLE | keep, 0, 4096));
    cx.note("mapping", digest(&map.read(0, 4096)));
}

fn fallocate_collapse_insert(cx: &Cx) {
    let path = cx.file("file", noise(64 << 10, 8));
    let file = both(&path);
    cx.check("sync", file.sync_all());
    // Undone by the second when both work, so that both sides end with the same file.
    let collapsed = fallocate(&file, FallocateFlags::COLLAPSE_RANGE, 8192, 8192);
    cx.check("collapse", collapsed);
    cx.check("insert", fallocate(&file, FallocateFlags::INSERT_RANGE, 8192, 8192));
    cx.check("zero what was lost", file.write_all_at(&[0; 8192], 8192));
    cx.contents("contents", "file");
    cx.check(
        "collapse, unaligned",
        fallocate(&file, FallocateFlags::COLLAPSE_RANGE, 1, 1).or_else(|e| match e {
            Errno::OPNOTSUPP | Errno::INVAL => Ok(()),
            other => Err(other),
        }),
    );
}

fn fallocate_errors(cx: &Cx) {
    let path = cx.file("file", "x");
    let file = both(&path);
    let none = FallocateFlags::empty();
    cx.check("no length", fallocate(&file, none, 0, 0));
    cx.check("negative", fallocate(&file, none, u64::MAX, 10));
    cx.check("too far", fallocate(&file, none, 1 << 62, 10));
    cx.check("punch, changing the size", fallocate(&file, FallocateFlags::PUNCH_HOLE, 0, 10));
    cx.check("unknown mode", fallocate(&file, FallocateFlags::from_bits_retain(1 << 20), 0, 10));
    cx.check("reading", fallocate(File::open(&path).expect("open"), none, 0, 10));
    cx.check("dir", fallocate(File::open(&cx.dir).expect("open"), none, 0, 10));
    cx.stat("unchanged", "file");
}

fn lseek_holes(cx: &Cx) {
    let file = both(&cx.file("file", ""));
    cx.check("data", file.write_all_at(&[1; 8192], 1 << 20));
    cx.check("data", file.write_all_at(&[1; 4096], 4 << 20));
    cx.check("size", file.set_len(8 << 20));
    cx.check("sync", file.sync_all());
    for at in
        [0, 1, 1 << 20, (1 << 20) + 5000, (1 << 20) + 8192, 2 << 20, (4 << 20) + 4095, 5 << 20, (8 << 20) - 1]
    {
        cx.value(&format!("data from {at}"), seek(&file, SeekFrom::Data(at)));
        cx.value(&format!("hole from {at}"), seek(&file, SeekFrom::Hole(at)));
    }
    cx.value("data from the end", seek(&file, SeekFrom::Data(8 << 20)));
    cx.value("hole from the end", seek(&file, SeekFrom::Hole(8 << 20)));
    cx.value("data beyond the end", seek(&file, SeekFrom::Data(9 << 20)));
    let full = both(&cx.file("full", [1; 100]));
    cx.value("no hole", seek(&full, SeekFrom::Hole(3)));
    cx.value("data", seek(&full, SeekFrom::Data(3)));
    let empty = both(&cx.file("empty", ""));
    cx.value("empty, data", seek(&empty, SeekFrom::Data(0)));
    cx.value("empty, hole", seek(&empty, SeekFrom::Hole(0)));
}

fn lseek_errors(cx: &Cx) {
    let file = both(&cx.file("file", "0123456789"));
    cx.value("end", seek(&file, SeekFrom::End(0)));
    cx.value("before the end", seek(&file, SeekFrom::End(-3)));
    cx.value("on", seek(&file, SeekFrom::Current(100)));
    cx.value("before the start", seek(&file, SeekFrom::End(-11)));
    cx.value("negative data", seek(&file, SeekFrom::Data(u64::MAX)));
    cx.value("where it is", seek(&file, SeekFrom::Current(0)));
    cx.check("after another made it longer", both(&cx.at("file")).set_len(5000));
    cx.value("end", seek(&file, SeekFrom::End(0)));
    let fifo = rustix::fs::mknodat(rustix::fs::CWD, cx.at("fifo"), rustix::fs::FileType::Fifo, Mode::RWXU, 0);
    cx.check("fifo", fifo);
    cx.value("fifo", seek(both(&cx.at("fifo")), SeekFrom::Start(0)));
}

fn copy_range_between(cx: &Cx) {
    let from = File::open(cx.file("from", noise(200_000, 9))).expect("open");
    let to = both(&cx.file("to", "old contents"));
    let copy = |label: &str, mut at: u64, mut onto: u64, len: usize| {
        let copied = copy_file_range(&from, Some(&mut at), &to, Some(&mut onto), len);
        cx.value(label, copied);
        cx.note("offsets", format_args!("{at} {onto}"));
    };
    copy("start", 0, 0, 1000);
    cx.contents("to", "to");
    copy("unaligned", 777, 123, 50_001);
    copy("beyond the end", 199_000, 60_000, 5000);
    copy("from the end", 200_000, 0, 10);
    copy("from beyond", 300_000, 0, 10);
    copy("leaving a hole", 0, 400_000, 100);
    copy("nothing", 0, 0, 0);
    cx.contents("to", "to");
    let whole = both(&cx.file("whole", ""));
    let mut left = 200_000;
    while left > 0 {
        match copy_file_range(&from, None, &whole, None, left) {
            Ok(n @ 1..) => left -= n,
            other => {
                cx.value("stopped", other);
                break;
            }
        }
    }
    cx.contents("whole", "whole");
    cx.value("std copy", fs::copy(cx.at("from"), cx.at("copied")));
    cx.contents("copied", "copied");
}

fn copy_range_inside(cx: &Cx) {
    let file = both(&cx.file("file", noise(100_000, 10)));
    let (mut at, mut onto) = (0, 50_000);
    cx.value("apart", copy_file_range(&file, Some(&mut at), &file, Some(&mut onto), 40_000));
    cx.contents("copied", "file");
    let (mut at, mut onto) = (0, 10);
    cx.value("overlapping", copy_file_range(&file, Some(&mut at), &file, Some(&mut onto), 100));
    let (mut at, mut onto) = (90_000, 100_000);
    cx.value("onto the end", copy_file_range(&file, Some(&mut at), &file, Some(&mut onto), 10_000));
    cx.contents("longer", "file");
}

fn copy_range_errors(cx: &Cx) {
    let path = cx.file("file", "0123456789");
    let file = both(&path);
    let other = cx.file("other", "x");
    let copy = |label: &str, from: &File, to: &File| {
        cx.value(label, copy_file_range(from, Some(&mut 0), to, Some(&mut 0), 5));
    };
    copy("to a reader", &file, &File::open(&other).expect("open"));
    copy("from a writer", &OpenOptions::new().write(true).open(&path).expect("open"), &both(&other));
    copy("to an appender", &file, &OpenOptions::new().append(true).open(&other).expect("open"));
    copy("from a dir", &File::open(&cx.dir).expect("open"), &both(&other));
    copy("to a dir", &file, &File::open(&cx.dir).expect("open"));
    cx.contents("unchanged", "other");
}

fn ioctl_flags(cx: &Cx) {
    cx.file("file", "x");
    cx.folder("dir");
    for name in ["file", "dir"] {
        let file = File::open(cx.at(name)).expect("open");
        let Some(flags) = cx.check("get", rustix::fs::ioctl_getflags(&file)) else { continue };
        cx.note("flags", format_args!("{:#x}", flags.bits()));
        cx.check("set", rustix::fs::ioctl_setflags(&file, flags | IFlags::NODUMP | IFlags::NOATIME));
        cx.value("flags", rustix::fs::ioctl_getflags(&file).map(|f| f.bits()));
        cx.check("unset", rustix::fs::ioctl_setflags(&file, flags));
        cx.value("flags", rustix::fs::ioctl_getflags(&file).map(|f| f.bits()));
        cx.stranger(|cx| {
            let file = File::open(cx.at(name)).expect("open");
            cx.check("stranger sets", rustix::fs::ioctl_setflags(&file, flags | IFlags::NODUMP));
        });
    }
    let file = File::open(cx.at("file")).expect("open");
    let flags = rustix::fs::ioctl_getflags(&file).unwrap_or(IFlags::empty());
    // Only root may; others note EPERM, and the file stays writable.
    if cx.check("append only", rustix::fs::ioctl_setflags(&file, flags | IFlags::APPEND)).is_some() {
        cx.check("overwrite", OpenOptions::new().write(true).open(cx.at("file")));
        cx.check(
            "append",
            OpenOptions::new().append(true).open(cx.at("file")).and_then(|mut f| f.write_all(b"y")),
        );
        cx.check("unlink", fs::remove_file(cx.at("file")));
        cx.check("free", rustix::fs::ioctl_setflags(&file, flags));
    }
    if cx.check("immutable", rustix::fs::ioctl_setflags(&file, flags | IFlags::IMMUTABLE)).is_some() {
        cx.check("append", OpenOptions::new().append(true).open(cx.at("file")));
        cx.check("chmod", crate::twin::chmod(&cx.at("file"), 0o600));
        cx.check("link", fs::hard_link(cx.at("file"), cx.at("link")));
        cx.check("free", rustix::fs::ioctl_setflags(&file, flags));
    }
    cx.contents("in the end", "file");
}

fn ioctl_unknown(cx: &Cx) {
    cx.file("file", "0123456789");
    let mut value = [0; 64];
    for name in ["file", "."] {
        let file = File::open(cx.at(name)).expect("open");
        // _IO('~', 200), _IOR('~', 201, long), _IOW('~', 202, long); TCGETS.
        for request in [0x7ec8, 0x8008_7ec9, 0x4008_7eca, 0x5401] {
            cx.value(&format!("{name} {request:#x}"), sys::ioctl(file.as_fd(), request, &mut value));
        }
    }
    let mut file = File::open(cx.at("file")).expect("open");
    cx.check("read 4", file.read_exact(&mut [0; 4]));
    cx.value("FIONREAD", sys::ioctl(file.as_fd(), 0x541b, &mut value).map(|_| value[0]));
}
