//! Reading directories.

use super::cases;
use crate::twin::{Cx, chmod, digest, sys};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, symlink};

cases! {
    OPENDIR: opendir_errors, opendir_two;
    READDIR: readdir_many, readdir_kinds, readdir_seek, readdir_deleting, readdir_adding, readdir_rewind, readdir_names;
    READDIRPLUS: readdirplus_attributes, readdirplus_links;
    RELEASEDIR: releasedir_removed;
}

/// The names of records, sorted.
fn sorted(records: &[sys::Record]) -> Vec<&OsStr> {
    let mut names: Vec<_> = records.iter().map(|r| r.name.as_os_str()).collect();
    names.sort_unstable();
    names
}

impl Cx {
    fn stream(&self, name: &str) -> sys::Stream {
        sys::Stream::open(&self.at(name)).expect("opendir")
    }
}

fn opendir_errors(cx: &Cx) {
    cx.file("file", "");
    cx.check("file", sys::Stream::open(&cx.at("file")));
    cx.check("missing", sys::Stream::open(&cx.at("missing")));
    cx.check("below a file", sys::Stream::open(&cx.at("file/x")));
    drop(symlink("loop", cx.at("loop")));
    cx.check("loop", sys::Stream::open(&cx.at("loop")));
    cx.folder("dir");
    cx.file("dir/file", "x");
    for mode in [0o755, 0o711, 0o744, 0o700, 0o311, 0o000] {
        cx.mode("dir", mode);
        let tries = |cx: &Cx| {
            cx.check("open", sys::Stream::open(&cx.at("dir")));
            cx.stat("inside", "dir/file");
        };
        tries(cx);
        cx.stranger(tries);
    }
    cx.mode("dir", 0o755);
}

fn opendir_two(cx: &Cx) {
    cx.folder("dir");
    for i in 0..100 {
        cx.file(format!("dir/f{i}"), "");
    }
    let (mut a, mut b) = (cx.stream("dir"), cx.stream("dir"));
    for _ in 0..50 {
        cx.check("one of a", a.next());
    }
    cx.value("all of b", b.rest().map(|r| r.len()));
    let left = a.rest().map(|r| r.len()).unwrap_or(0);
    cx.note("the rest of a", (50..=52).contains(&(102 - left)));
    cx.value("b is at its end", b.rest().map(|r| r.len()));
}

fn readdir_many(cx: &Cx) {
    cx.folder("dir");
    for i in 0..10_000 {
        drop(open(cx.at(format!("dir/file-{i:05}")), OFlags::CREATE | OFlags::WRONLY, Mode::RUSR));
    }
    for _ in 0..2 {
        let records = cx.stream("dir").rest().unwrap_or_default();
        let names = sorted(&records);
        cx.note("records", records.len());
        cx.note("names", digest(&names.join(OsStr::new(" ")).into_encoded_bytes()));
        cx.note("each once", names.iter().collect::<BTreeSet<_>>().len());
        cx.drop_caches();
    }
    // What rm -r does: read some, delete them, go on.
    cx.check("remove all", fs::remove_dir_all(cx.at("dir")));
}

fn readdir_kinds(cx: &Cx) {
    cx.folder("dir/sub");
    cx.file("dir/file", "");
    drop(symlink("x", cx.at("dir/symlink")));
    let _ = mknodat(CWD, cx.at("dir/fifo"), FileType::Fifo, Mode::RUSR, 0);
    let _ = mknodat(CWD, cx.at("dir/socket"), FileType::Socket, Mode::RUSR, 0);
    drop(fs::hard_link(cx.at("dir/file"), cx.at("dir/link")));
    let mut stream = cx.stream("dir");
    let mut all = Vec::new();
    while let Ok(Some(record)) = stream.next() {
        all.push(record);
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    for record in &all {
        let ino = fs::symlink_metadata(cx.at("dir").join(&record.name)).map(|m| m.ino()).ok();
        let right = if record.name == ".." { true } else { ino == Some(record.ino) };
        cx.note("record", format_args!("{:?} type {} inode as stat says {right}", record.name, record.kind));
    }
    let top: BTreeSet<_> = [".", ".."].into();
    let dots = all.iter().filter(|r| top.contains(r.name.to_str().unwrap_or(""))).count();
    cx.note("dots", dots);
}

fn readdir_seek(cx: &Cx) {
    cx.folder("dir");
    for i in 0..3000 {
        cx.file(format!("dir/f{i}"), "");
    }
    let mut stream = cx.stream("dir");
    let mut marks = Vec::new();
    let mut order = Vec::new();
    loop {
        let at = stream.tell();
        let Ok(Some(record)) = stream.next() else { break };
        if order.len() % 97 == 0 {
            marks.push((at, order.len()));
        }
        order.push(record.name);
    }
    cx.note("records", order.len());
    let resumes = |stream: &mut sys::Stream, (at, index): (i64, usize)| {
        stream.seek(at);
        (index..(index + 3).min(order.len()))
            .all(|i| stream.next().ok().flatten().is_some_and(|r| r.name == order[i]))
    };
    let good = marks.iter().rev().filter(|m| resumes(&mut stream, **m)).count();
    cx.note("positions that resume", good == marks.len());
    let mut another = cx.stream("dir");
    // Positions are the directory's, as NFS servers need them.
    let good = marks.iter().filter(|m| resumes(&mut another, **m)).count();
    cx.note("in another stream", good == marks.len());
    stream.seek(marks.first().map_or(0, |m| m.0));
    cx.value("from the start", stream.rest().map(|r| r.len()));
}

fn readdir_deleting(cx: &Cx) {
    for dir in ["a", "b"] {
        cx.folder(dir);
        for i in 0..1500 {
            cx.file(format!("{dir}/f{i}"), "");
        }
    }
    let mut stream = cx.stream("a");
    let mut seen = 0;
    while let Ok(Some(record)) = stream.next() {
        if record.name != "." && record.name != ".." {
            seen += 1;
            drop(fs::remove_file(cx.at("a").join(&record.name)));
        }
    }
    cx.note("each is seen", seen);
    cx.value("none is left", fs::read_dir(cx.at("a")).map(Iterator::count));
    // Those that stay are seen, whatever happens to the others.
    let mut stream = cx.stream("b");
    let mut seen = BTreeSet::new();
    while let Ok(Some(record)) = stream.next() {
        if seen.is_empty() {
            for i in (0..1500).step_by(2) {
                drop(fs::remove_file(cx.at(format!("b/f{i}"))));
            }
        }
        seen.insert(record.name);
    }
    let stay = (0..1500).skip(1).step_by(2).filter(|i| seen.contains(OsStr::new(&format!("f{i}")))).count();
    cx.note("those that stay are seen", stay);
    cx.value("left", fs::read_dir(cx.at("b")).map(Iterator::count));
}

fn readdir_adding(cx: &Cx) {
    cx.folder("dir");
    for i in 0..1000 {
        cx.file(format!("dir/old{i}"), "");
    }
    let mut stream = cx.stream("dir");
    let mut seen = Vec::new();
    while let Ok(Some(record)) = stream.next() {
        if seen.len() < 200 {
            cx.file(format!("dir/new{}", seen.len()), "");
        }
        seen.push(record.name);
    }
    let old: BTreeSet<_> = seen.iter().filter(|n| n.as_bytes().starts_with(b"old")).collect();
    cx.note("the old ones", old.len());
    cx.note("none twice", seen.iter().collect::<BTreeSet<_>>().len() == seen.len());
    cx.value("all", fs::read_dir(cx.at("dir")).map(Iterator::count));
}

fn readdir_rewind(cx: &Cx) {
    cx.folder("dir");
    cx.file("dir/a", "");
    let mut stream = cx.stream("dir");
    for (label, change) in [("at first", ""), ("b added", "b"), ("c added", "c"), ("nothing added", "")] {
        if !change.is_empty() {
            cx.file(format!("dir/{change}"), "");
        }
        stream.rewind();
        let records = stream.rest().unwrap_or_default();
        cx.note(label, format_args!("{:?}", sorted(&records)));
    }
    drop(fs::remove_file(cx.at("dir/b")));
    stream.rewind();
    cx.note("b removed", format_args!("{:?}", sorted(&stream.rest().unwrap_or_default())));
    drop(fs::rename(cx.at("dir/a"), cx.at("dir/z")));
    cx.note("a renamed", format_args!("{:?}", sorted(&cx.stream("dir").rest().unwrap_or_default())));
    cx.folder("empty");
    cx.value("empty", cx.stream("empty").rest().map(|r| r.len()));
}

fn readdir_names(cx: &Cx) {
    cx.folder("dir");
    let longest = "l".repeat(255);
    let names: [&[u8]; 8] =
        [b"\xff\xfe", b"new\nline", b" ", b"...", b"\x01\x02", b"\xe2\x82", longest.as_bytes(), b"*?[]"];
    for name in names {
        cx.check("make", fs::write(cx.at("dir").join(OsStr::from_bytes(name)), ""));
    }
    for i in 0..300 {
        // Long names: few fit in one answer.
        cx.file(format!("dir/{}{i:03}", "x".repeat(250)), "");
    }
    let records = cx.stream("dir").rest().unwrap_or_default();
    let names = sorted(&records);
    cx.note("records", records.len());
    cx.note("names", digest(names.join(OsStr::new("/")).as_bytes()));
    for name in &names[..6] {
        cx.note("name", name.as_bytes().escape_ascii());
    }
    cx.check("remove", fs::remove_dir_all(cx.at("dir")));
}

fn readdirplus_attributes(cx: &Cx) {
    cx.folder("dir");
    for i in 0..500u32 {
        cx.file(format!("dir/f{i:03}"), vec![b'x'; i as usize]);
        cx.mode(format!("dir/f{i:03}"), 0o600 | (i & 0o77));
    }
    cx.folder("dir/sub");
    for round in 0..3 {
        let mut text = String::new();
        let mut names: Vec<_> = fs::read_dir(cx.at("dir"))
            .map(|d| d.flatten().map(|e| e.file_name()).collect())
            .unwrap_or_default();
        names.sort();
        for name in names {
            if let Ok(meta) = fs::symlink_metadata(cx.at("dir").join(&name)) {
                text += &crate::twin::describe(&meta);
            }
        }
        cx.note(&format!("ls -l, round {round}"), digest(text.as_bytes()));
        if round == 1 {
            // Attributes that came with the names must not outlive a change.
            drop(chmod(&cx.at("dir/f007"), 0o4711));
            drop(fs::write(cx.at("dir/f008"), "now longer than it was"));
            drop(fs::remove_file(cx.at("dir/f009")));
            cx.stat("changed", "dir/f007");
            cx.stat("longer", "dir/f008");
            cx.stat("removed", "dir/f009");
        }
        cx.drop_caches();
    }
}

fn readdirplus_links(cx: &Cx) {
    cx.folder("dir");
    cx.file("dir/a", "x");
    for i in 0..20 {
        drop(fs::hard_link(cx.at("dir/a"), cx.at(format!("dir/l{i:02}"))));
    }
    drop(symlink("a", cx.at("dir/s")));
    cx.drop_caches();
    let inodes = |dir: fs::ReadDir| -> BTreeSet<u64> {
        dir.flatten()
            .filter(|e| e.file_name() != "s")
            .filter_map(|e| e.metadata().ok())
            .map(|m| m.ino())
            .collect()
    };
    cx.value("inodes", fs::read_dir(cx.at("dir")).map(inodes).map(|i| i.len()));
    drop(chmod(&cx.at("dir/l03"), 0o640));
    cx.stat("by another name", "dir/l17");
    drop(fs::remove_file(cx.at("dir/a")));
    cx.value("names", fs::read_dir(cx.at("dir")).map(Iterator::count));
    cx.stat("links", "dir/l00");
}

fn releasedir_removed(cx: &Cx) {
    cx.folder("dir");
    cx.file("dir/file", "");
    let mut stream = cx.stream("dir");
    cx.check("first", stream.next());
    drop(fs::remove_file(cx.at("dir/file")));
    cx.check("rmdir", fs::remove_dir(cx.at("dir")));
    stream.rewind();
    cx.value("removed", stream.rest().map(|r| r.len()));
    drop(stream);
    cx.folder("dir");
    cx.value("a new one of that name", cx.stream("dir").rest().map(|r| r.len()));
    let streams: Vec<_> = (0..100).map(|_| cx.stream("dir")).collect();
    cx.note("many", streams.len());
    cx.check("rmdir", fs::remove_dir(cx.at("dir")));
    drop(streams);
    cx.stat("gone", "dir");
}
