//! Finding, making and removing names.

use super::cases;
use crate::twin::{Cx, STRANGER, chmod, sys};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, linkat, makedev, mkdirat, mknodat, open, unlinkat};
use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

cases! {
    LOOKUP: lookup_errors, lookup_names, lookup_many, lookup_changes, lookup_search_permission, lookup_dots, lookup_deep;
    FORGET: forget_keeps_what_is_used;
    BATCH_FORGET: batch_forget_many;
    READLINK: readlink_targets, readlink_errors, readlink_follow;
    SYMLINK: symlink_targets, symlink_errors;
    MKNOD: mknod_fifo, mknod_socket, mknod_devices, mknod_errors;
    MKDIR: mkdir_modes, mkdir_errors, mkdir_setgid, mkdir_links;
    RMDIR: rmdir_errors, rmdir_in_use;
    UNLINK: unlink_errors, unlink_open, unlink_sticky, unlink_one_of_two;
    LINK: link_counts, link_errors, link_symlinks, link_protected;
}

fn long(len: usize) -> String {
    "n".repeat(len)
}

fn lookup_errors(cx: &Cx) {
    cx.file("file", "x");
    cx.stat("missing", "missing");
    cx.stat("missing parent", "missing/x");
    cx.stat("below a file", "file/x");
    cx.stat("file with slash", "file/");
    cx.stat("255", long(255));
    cx.stat("256", long(256));
    cx.stat("path of 5000", "./".repeat(2500));
    cx.stat("empty", "");
    drop(symlink("loop2", cx.at("loop1")));
    drop(symlink("loop1", cx.at("loop2")));
    cx.contents("loop", "loop1");
    cx.stat("loop itself", "loop1");
    drop(symlink("nowhere", cx.at("dangling")));
    cx.contents("dangling", "dangling");
    cx.meta("dangling, followed", fs::metadata(cx.at("dangling")));
}

fn lookup_names(cx: &Cx) {
    let longest = long(255);
    let names: [&[u8]; 9] = [
        b" ",
        b"...",
        b"new\nline",
        b"back\\slash",
        b"\xff\xfe",
        b"tab\t",
        b"-rf",
        "\u{e9}\u{20ac}".as_bytes(),
        longest.as_bytes(),
    ];
    for name in names {
        let name = OsStr::from_bytes(name);
        cx.check("make", fs::write(cx.at(name), name.as_bytes()));
        cx.contents("read", name);
        cx.stat("stat", name);
    }
    cx.check("256", fs::write(cx.at(long(256)), ""));
}

fn lookup_many(cx: &Cx) {
    for i in 0..2000 {
        cx.file(format!("f{i}"), "x".repeat(i % 7));
    }
    for round in 0..2 {
        let sum: u64 =
            (0..2000).filter_map(|i| fs::metadata(cx.at(format!("f{i}"))).ok()).map(|m| m.len()).sum();
        cx.note(&format!("sizes, round {round}"), sum);
        let absent = (0..200).filter(|i| fs::metadata(cx.at(format!("g{i}"))).is_err()).count();
        cx.note("absent", absent);
        cx.drop_caches();
    }
}

fn lookup_changes(cx: &Cx) {
    for round in 0..20 {
        cx.stat("absent", "x");
        if round % 2 == 0 {
            cx.file("x", "1");
        } else {
            cx.folder("x");
        }
        cx.stat("present", "x");
        cx.check("rename", fs::rename(cx.at("x"), cx.at("y")));
        cx.stat("old name", "x");
        cx.stat("new name", "y");
        if round % 2 == 0 {
            cx.check("unlink", fs::remove_file(cx.at("y")));
        } else {
            cx.check("rmdir", fs::remove_dir(cx.at("y")));
        }
        cx.stat("gone", "y");
    }
}

fn lookup_search_permission(cx: &Cx) {
    cx.folder("closed");
    cx.file("closed/file", "x");
    cx.mode("closed/file", 0o666);
    for mode in [0o700, 0o711, 0o744, 0o755, 0o000] {
        cx.mode("closed", mode);
        cx.stranger(|cx| {
            cx.stat("stranger", "closed/file");
            cx.stat("stranger, missing", "closed/missing");
            cx.contents("stranger reads", "closed/file");
            cx.value("stranger lists", fs::read_dir(cx.at("closed")).map(Iterator::count));
        });
        cx.contents("owner reads", "closed/file");
    }
    cx.mode("closed", 0o755);
}

fn lookup_dots(cx: &Cx) {
    cx.folder("a/b/c");
    let ino = |path: &str| fs::metadata(cx.at(path)).map(|m| m.ino());
    cx.note(". is itself", ino("a/.").ok() == ino("a").ok());
    cx.note(".. is the parent", ino("a/b/c/../..").ok() == ino("a").ok());
    cx.note(".. of the case", ino("a/..").ok() == ino(".").ok());
    cx.stat("file after ..", "a/b/../b/c/.");
    let c = open(cx.at("a/b/c"), OFlags::DIRECTORY, Mode::empty());
    cx.check("move the directory away", fs::rename(cx.at("a/b/c"), cx.at("d")));
    if let Some(c) = cx.check("open", c) {
        let parent = rustix::fs::statat(&c, "..", AtFlags::empty());
        cx.note(".. after a move", parent.ok().map(|s| s.st_ino) == ino(".").ok());
    }
}

fn lookup_deep(cx: &Cx) {
    let path: std::path::PathBuf = (0..60).map(|i| format!("d{i}")).collect();
    cx.check("make", fs::create_dir_all(cx.at(&path)));
    cx.file(path.join("file"), "deep");
    cx.contents("read", path.join("file"));
    cx.drop_caches();
    cx.contents("read again", path.join("file"));
    cx.check("enter", std::env::set_current_dir(cx.at(&path)));
    cx.value("relative", fs::read("file"));
    cx.value("relative up", fs::metadata("../../../d57").map(|m| m.is_dir()));
    cx.check("current directory is known", std::env::current_dir());
    cx.check("leave", std::env::set_current_dir("/"));
    cx.check("remove", fs::remove_dir_all(cx.at("d0")));
}

fn forget_keeps_what_is_used(cx: &Cx) {
    let path = cx.file("held", "held");
    cx.folder("dir/sub");
    let mut held = fs::OpenOptions::new().read(true).write(true).open(&path).expect("open");
    let dir = open(cx.at("dir"), OFlags::PATH, Mode::empty()).expect("open");
    let before = held.metadata().map(|m| m.ino()).ok();
    for round in 0..3 {
        cx.drop_caches();
        cx.note("same inode", fs::metadata(&path).map(|m| m.ino()).ok() == before);
        cx.check("write", held.write_all(b"more"));
        cx.value("below", rustix::fs::statat(&dir, "sub", AtFlags::empty()).map(|s| s.st_nlink));
        if round == 1 {
            cx.check("unlink", fs::remove_file(&path));
            cx.file("held", "another");
        }
        cx.meta("held", held.metadata());
        cx.stat("by name", "held");
        if round == 1 {
            break;
        }
    }
    cx.drop_caches();
    let mut text = String::new();
    cx.check("rewind", held.rewind());
    cx.value("read", held.read_to_string(&mut text));
    cx.note("text", text);
}

fn batch_forget_many(cx: &Cx) {
    for i in 0..40 {
        cx.folder(format!("d{i}"));
        for j in 0..25 {
            cx.file(format!("d{i}/f{j}"), format!("{i}.{j}"));
        }
    }
    let inodes = || -> Vec<u64> {
        (0..1000)
            .filter_map(|n| fs::metadata(cx.at(format!("d{}/f{}", n / 25, n % 25))).ok())
            .map(|m| m.ino())
            .collect()
    };
    let before = inodes();
    cx.drop_caches();
    cx.note("inode numbers stay", before == inodes());
    let text: String = (0..1000)
        .filter_map(|n| fs::read_to_string(cx.at(format!("d{}/f{}", n / 25, n % 25))).ok())
        .collect();
    cx.note("contents", crate::twin::digest(text.as_bytes()));
    for i in (0..40).step_by(2) {
        cx.check("remove", fs::remove_dir_all(cx.at(format!("d{i}"))));
    }
    cx.drop_caches();
    cx.value("left", fs::read_dir(&cx.dir).map(Iterator::count));
}

fn readlink_targets(cx: &Cx) {
    for (name, target) in [
        ("relative", "a/../b"),
        ("absolute", "/nowhere/else"),
        ("dots", ".."),
        ("odd", "a b\\c"),
        ("self", "self"),
    ] {
        cx.check("make", symlink(target, cx.at(name)));
        cx.value(name, fs::read_link(cx.at(name)));
        cx.stat(name, name);
    }
    let bytes = OsStr::from_bytes(b"\xff\n\x01");
    cx.check("make", symlink(bytes, cx.at("bytes")));
    cx.drop_caches();
    cx.value("bytes", fs::read_link(cx.at("bytes")));
    cx.value("short buffer", sys::readlink(&cx.at("absolute"), 4));
    cx.value("exact buffer", sys::readlink(&cx.at("absolute"), 13));
    cx.value("empty buffer", sys::readlink(&cx.at("absolute"), 0));
}

fn readlink_errors(cx: &Cx) {
    cx.file("file", "");
    cx.value("file", fs::read_link(cx.at("file")));
    cx.value("dir", fs::read_link(&cx.dir));
    cx.value("missing", fs::read_link(cx.at("missing")));
    cx.value("with slash", fs::read_link(cx.at("file/")));
}

fn readlink_follow(cx: &Cx) {
    cx.folder("dir");
    cx.file("dir/file", "through");
    drop(symlink("dir", cx.at("to-dir")));
    drop(symlink("to-dir/file", cx.at("to-file")));
    drop(symlink(cx.at("dir/file"), cx.at("to-absolute")));
    cx.contents("two steps", "to-file");
    cx.contents("absolute", "to-absolute");
    // Its target is another on each side.
    cx.check("remove", fs::remove_file(cx.at("to-absolute")));
    cx.contents("in the middle", "to-dir/file");
    cx.stat("with slash", "to-dir/");
    cx.check("write through", fs::write(cx.at("to-file"), "changed"));
    cx.contents("changed", "dir/file");
    drop(symlink("made", cx.at("to-new")));
    cx.check("create through", fs::write(cx.at("to-new"), "new"));
    cx.contents("created", "made");
    for i in 0..45 {
        drop(symlink(format!("c{}", i + 1), cx.at(format!("c{i}"))));
    }
    cx.file("c45", "end");
    cx.contents("40 links", "c5");
    cx.contents("41 links", "c4");
}

fn symlink_targets(cx: &Cx) {
    for len in [1, 59, 60, 61, 1000, 4000, 4094, 4095, 4096] {
        let name = format!("l{len}");
        cx.check(&format!("target of {len}"), symlink("t".repeat(len), cx.at(&name)));
        cx.value("length", fs::read_link(cx.at(&name)).map(|t| t.as_os_str().len()));
        cx.stat("stat", &name);
    }
    cx.stranger(|cx| {
        cx.value("stranger reads", fs::read_link(cx.at("l59")).map(|t| t.as_os_str().len()));
    });
}

fn symlink_errors(cx: &Cx) {
    cx.file("file", "");
    cx.check("exists", symlink("x", cx.at("file")));
    cx.check("empty target", symlink("", cx.at("empty")));
    cx.check("missing parent", symlink("x", cx.at("missing/x")));
    cx.check("below a file", symlink("x", cx.at("file/x")));
    cx.check("name too long", symlink("x", cx.at(long(256))));
    cx.stranger(|cx| {
        cx.check("stranger", symlink("x", cx.at("strange")));
    });
}

fn mknod_fifo(cx: &Cx) {
    for mode in [0o600, 0o666, 0o777] {
        let name = format!("p{mode:o}");
        cx.check("make", mknodat(CWD, cx.at(&name), FileType::Fifo, Mode::from_raw_mode(mode), 0));
        cx.stat("stat", &name);
    }
    let both = fs::OpenOptions::new().read(true).write(true).open(cx.at("p600"));
    if let Some(mut pipe) = cx.check("open", both) {
        let mut back = [0; 5];
        cx.check("write", pipe.write_all(b"hello"));
        cx.check("read", pipe.read_exact(&mut back));
        cx.note("read", back.escape_ascii());
    }
    cx.value(
        "writer without reader",
        open(cx.at("p600"), OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()).map(|_| ()),
    );
    let path = cx.at("p666");
    let child = cx.fork(|_| drop(fs::write(&path, "from another process")));
    cx.contents("between processes", "p666");
    cx.note("writer", child.wait());
}

fn mknod_socket(cx: &Cx) {
    let listener = cx.check("bind", UnixListener::bind(cx.at("s")));
    cx.stat("stat", "s");
    cx.check("bind again", UnixListener::bind(cx.at("s")));
    cx.value("open", fs::File::open(cx.at("s")).map(|_| ()));
    if let Some(listener) = listener {
        let client = UnixStream::connect(cx.at("s"));
        if let (Some(mut client), Some((mut server, _))) =
            (cx.check("connect", client), cx.check("accept", listener.accept()))
        {
            let mut back = [0; 2];
            cx.check("send", client.write_all(b"hi"));
            cx.check("receive", server.read_exact(&mut back));
            cx.note("received", back.escape_ascii());
        }
        drop(listener);
        cx.check("connect to nobody", UnixStream::connect(cx.at("s")));
    }
    cx.check("mknod", mknodat(CWD, cx.at("t"), FileType::Socket, Mode::from_raw_mode(0o640), 0));
    cx.stat("mknod", "t");
}

fn mknod_devices(cx: &Cx) {
    for (name, kind, device) in [
        ("null", FileType::CharacterDevice, makedev(1, 3)),
        ("big", FileType::CharacterDevice, makedev(4000, 1_000_000)),
        ("loop", FileType::BlockDevice, makedev(7, 200)),
        ("whiteout", FileType::CharacterDevice, 0),
    ] {
        cx.check(name, mknodat(CWD, cx.at(name), kind, Mode::from_raw_mode(0o640), device));
        cx.stat(name, name);
    }
    cx.stranger(|cx| {
        cx.check("stranger", mknodat(CWD, cx.at("d"), FileType::BlockDevice, Mode::RUSR, makedev(7, 1)));
    });
}

fn mknod_errors(cx: &Cx) {
    let fifo = |path: &Path| mknodat(CWD, path, FileType::Fifo, Mode::RUSR, 0);
    cx.file("file", "");
    cx.check("exists", fifo(&cx.at("file")));
    cx.check("missing parent", fifo(&cx.at("missing/x")));
    cx.check("below a file", fifo(&cx.at("file/x")));
    cx.check("too long", fifo(&cx.at(long(256))));
    cx.check(
        "regular file",
        mknodat(CWD, cx.at("regular"), FileType::RegularFile, Mode::from_raw_mode(0o666), 0),
    );
    cx.stat("regular file", "regular");
    cx.check("directory", mknodat(CWD, cx.at("dir"), FileType::Directory, Mode::RUSR, 0));
    cx.check(
        "no type",
        mknodat(CWD, cx.at("none"), FileType::from_raw_mode(0), Mode::from_raw_mode(0o4755), 0),
    );
    cx.stat("no type", "none");
    cx.stranger(|cx| {
        cx.check("stranger", fifo(&cx.at("strange")));
    });
}

fn mkdir_modes(cx: &Cx) {
    for umask in [0, 0o022, 0o077, 0o777] {
        rustix::process::umask(Mode::from_raw_mode(umask));
        for mode in [0o777, 0o755, 0o1777, 0o7777, 0] {
            let name = format!("d{mode:o}-{umask:o}");
            cx.check(&name, mkdirat(CWD, cx.at(&name), Mode::from_raw_mode(mode)));
            cx.stat(&name, &name);
        }
    }
    rustix::process::umask(Mode::from_raw_mode(0o022));
    cx.mode(".", 0o777);
    cx.stranger(|cx| {
        cx.check("stranger", fs::create_dir(cx.at("strange")));
        cx.stat("stranger's", "strange");
        cx.file("strange/file", "x");
        cx.stat("stranger's", "strange/file");
    });
    cx.mode(".", 0o755);
}

fn mkdir_errors(cx: &Cx) {
    cx.file("file", "");
    cx.folder("dir");
    cx.check("exists", fs::create_dir(cx.at("dir")));
    cx.check("exists, with slash", fs::create_dir(cx.at("dir/")));
    cx.check("file exists", fs::create_dir(cx.at("file")));
    cx.check("file exists, with slash", fs::create_dir(cx.at("file/")));
    cx.check("dot", fs::create_dir(cx.at("dir/.")));
    cx.check("dots", fs::create_dir(cx.at("dir/..")));
    cx.check("missing parent", fs::create_dir(cx.at("missing/x")));
    cx.check("below a file", fs::create_dir(cx.at("file/x")));
    cx.check("with slash", fs::create_dir(cx.at("slash/")));
    cx.check("255", fs::create_dir(cx.at(long(255))));
    cx.check("256", fs::create_dir(cx.at(long(256))));
    drop(symlink("target", cx.at("dangling")));
    cx.check("over a symlink", fs::create_dir(cx.at("dangling")));
    cx.stranger(|cx| {
        cx.check("stranger", fs::create_dir(cx.at("strange")));
        cx.check("stranger, exists", fs::create_dir(cx.at("dir")));
    });
}

fn mkdir_setgid(cx: &Cx) {
    cx.folder("shared");
    if cx.root() {
        cx.check("group", std::os::unix::fs::chown(cx.at("shared"), Some(STRANGER), Some(777)));
    } else {
        let group = std::os::unix::fs::chown(cx.at("shared"), None, Some(crate::twin::EXTRA_GROUP));
        cx.check("group", group);
    }
    cx.mode("shared", 0o2777);
    cx.check("dir", fs::create_dir(cx.at("shared/dir")));
    cx.check("file", fs::write(cx.at("shared/file"), ""));
    cx.check("fifo", mknodat(CWD, cx.at("shared/fifo"), FileType::Fifo, Mode::RUSR, 0));
    cx.check("symlink", symlink("x", cx.at("shared/symlink")));
    cx.check(
        "group execute",
        mknodat(CWD, cx.at("shared/g"), FileType::RegularFile, Mode::from_raw_mode(0o2775), 0),
    );
    for name in ["dir", "file", "fifo", "symlink", "g"] {
        cx.stat(name, format!("shared/{name}"));
    }
    cx.stranger(|cx| {
        cx.check("stranger's dir", fs::create_dir(cx.at("shared/dir2")));
        cx.stat("stranger's dir", "shared/dir2");
        cx.check(
            "stranger's file",
            mknodat(CWD, cx.at("shared/g2"), FileType::RegularFile, Mode::from_raw_mode(0o2775), 0),
        );
        cx.stat("stranger's file", "shared/g2");
    });
}

fn mkdir_links(cx: &Cx) {
    cx.folder("top");
    for i in 0..5 {
        cx.folder(format!("top/{i}"));
        cx.stat("parent", "top");
    }
    cx.check("rmdir", fs::remove_dir(cx.at("top/0")));
    cx.stat("parent", "top");
    cx.check("move out", fs::rename(cx.at("top/1"), cx.at("out")));
    cx.stat("parent", "top");
    let before = fs::metadata(cx.at("top")).and_then(|m| m.modified());
    std::thread::sleep(std::time::Duration::from_millis(10));
    cx.file("top/file", "");
    let after = fs::metadata(cx.at("top")).and_then(|m| m.modified());
    cx.note("parent's time moved", before.ok() < after.ok());
}

fn rmdir_errors(cx: &Cx) {
    cx.folder("full/x");
    cx.file("file", "");
    drop(symlink("full/x", cx.at("symlink")));
    cx.check("full", fs::remove_dir(cx.at("full")));
    cx.check("missing", fs::remove_dir(cx.at("missing")));
    cx.check("file", fs::remove_dir(cx.at("file")));
    cx.check("symlink", fs::remove_dir(cx.at("symlink")));
    cx.check("symlink, with slash", fs::remove_dir(cx.at("symlink/")));
    cx.check("dot", fs::remove_dir(cx.at("full/x/.")));
    cx.check("dots", fs::remove_dir(cx.at("full/x/..")));
    cx.check("too long", fs::remove_dir(cx.at(long(256))));
    cx.stranger(|cx| {
        cx.check("stranger", fs::remove_dir(cx.at("full/x")));
    });
    cx.check("empty", fs::remove_dir(cx.at("full/x/")));
    cx.stat("gone", "full/x");
    cx.check("emptied", fs::remove_dir(cx.at("full")));
}

fn rmdir_in_use(cx: &Cx) {
    cx.folder("dir");
    let held = open(cx.at("dir"), OFlags::DIRECTORY, Mode::empty()).expect("open");
    cx.check("enter", std::env::set_current_dir(cx.at("dir")));
    cx.check("rmdir", fs::remove_dir(cx.at("dir")));
    cx.value("links", rustix::fs::fstat(&held).map(|s| s.st_nlink));
    cx.check("create in it", open("x", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR));
    cx.check("mkdir in it", mkdirat(&held, "y", Mode::RWXU));
    cx.value("list it", fs::read_dir(".").map(Iterator::count));
    cx.check("dot", fs::metadata("."));
    cx.check("leave", std::env::set_current_dir("/"));
    cx.folder("dir");
    cx.stat("again", "dir");
    cx.value("links of the old one", rustix::fs::fstat(&held).map(|s| s.st_nlink));
}

fn unlink_errors(cx: &Cx) {
    cx.folder("dir");
    cx.file("file", "");
    drop(symlink("file", cx.at("symlink")));
    cx.check("missing", fs::remove_file(cx.at("missing")));
    cx.check("dir", fs::remove_file(cx.at("dir")));
    cx.check("file with slash", fs::remove_file(cx.at("file/")));
    cx.check("below a file", fs::remove_file(cx.at("file/x")));
    cx.check("too long", fs::remove_file(cx.at(long(256))));
    cx.check("unlinkat, dir", unlinkat(CWD, cx.at("dir"), AtFlags::empty()));
    cx.check("unlinkat, file as dir", unlinkat(CWD, cx.at("file"), AtFlags::REMOVEDIR));
    cx.stranger(|cx| {
        cx.check("stranger", fs::remove_file(cx.at("file")));
    });
    cx.check("symlink", fs::remove_file(cx.at("symlink")));
    cx.stat("its target", "file");
    cx.mode("file", 0);
    cx.check("mode 0", fs::remove_file(cx.at("file")));
    cx.stat("gone", "file");
    cx.check("twice", fs::remove_file(cx.at("file")));
}

fn unlink_open(cx: &Cx) {
    let path = cx.file("file", "contents");
    let held = fs::OpenOptions::new().read(true).write(true).open(&path).expect("open");
    cx.check("unlink", fs::remove_file(&path));
    cx.meta("held", held.metadata());
    cx.check("write", held.write_all_at(b"CON", 0));
    cx.check("extend", held.set_len(100));
    cx.check("chmod", held.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600)));
    let mut back = [0; 8];
    cx.check("read", held.read_exact_at(&mut back, 0));
    cx.note("read", back.escape_ascii());
    cx.meta("held", held.metadata());
    cx.file(&path, "another file");
    cx.contents("by name", "file");
    cx.check("read", held.read_exact_at(&mut back, 0));
    cx.note("still the old one", back.escape_ascii());
    let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&held));
    cx.check("link it again", linkat(CWD, link, CWD, cx.at("back"), AtFlags::SYMLINK_FOLLOW));
    cx.value("names", fs::read_dir(&cx.dir).map(Iterator::count));
    let many: Vec<_> = (0..50).map(|i| fs::File::create(cx.at(format!("m{i}")))).collect();
    for i in 0..50 {
        drop(fs::remove_file(cx.at(format!("m{i}"))));
    }
    let alive = many.iter().flatten().filter(|f| f.metadata().is_ok_and(|m| m.nlink() == 0)).count();
    cx.note("unlinked and alive", alive);
}

fn unlink_sticky(cx: &Cx) {
    cx.folder("tmp");
    cx.mode("tmp", 0o1777);
    cx.file("tmp/owned", "");
    cx.folder("tmp/dir");
    cx.mode("tmp/owned", 0o666);
    cx.stranger(|cx| {
        cx.check("stranger unlinks", fs::remove_file(cx.at("tmp/owned")));
        cx.check("stranger removes", fs::remove_dir(cx.at("tmp/dir")));
        cx.check("stranger renames", fs::rename(cx.at("tmp/owned"), cx.at("tmp/stolen")));
        cx.file("tmp/strange", "s");
        cx.check("stranger renames over", fs::rename(cx.at("tmp/strange"), cx.at("tmp/owned")));
        cx.check("stranger renames his", fs::rename(cx.at("tmp/strange"), cx.at("tmp/strange2")));
    });
    cx.user(STRANGER + 1, STRANGER + 1, &[], |cx| {
        cx.check("third unlinks", fs::remove_file(cx.at("tmp/strange2")));
    });
    cx.stranger(|cx| {
        cx.check("stranger unlinks his", fs::remove_file(cx.at("tmp/strange2")));
    });
    cx.check("owner unlinks", fs::remove_file(cx.at("tmp/owned")));
}

fn unlink_one_of_two(cx: &Cx) {
    cx.file("a", "x");
    cx.check("link", fs::hard_link(cx.at("a"), cx.at("b")));
    cx.stat("a", "a");
    cx.stat("b", "b");
    cx.check("unlink", fs::remove_file(cx.at("a")));
    cx.stat("a", "a");
    cx.stat("b", "b");
    cx.contents("b", "b");
}

fn link_counts(cx: &Cx) {
    cx.file("a", "shared");
    cx.folder("dir");
    for i in 1..10 {
        cx.check("link", fs::hard_link(cx.at("a"), cx.at(format!("dir/l{i}"))));
        cx.stat("a", "a");
    }
    let ino = |path: &str| fs::metadata(cx.at(path)).map(|m| m.ino()).ok();
    cx.note("one inode", (1..10).all(|i| ino(&format!("dir/l{i}")) == ino("a")));
    cx.check("write by one name", fs::write(cx.at("dir/l3"), "changed by another name"));
    cx.contents("read by another", "dir/l7");
    cx.stat("size by another", "a");
    cx.check("mode by one name", chmod(&cx.at("dir/l4"), 0o604));
    cx.stat("mode by another", "dir/l5");
    cx.check("unlink the first", fs::remove_file(cx.at("a")));
    cx.stat("others stay", "dir/l1");
    cx.drop_caches();
    cx.note("one inode", (1..10).all(|i| ino(&format!("dir/l{i}")) == ino("dir/l1")));
    cx.check("rename one", fs::rename(cx.at("dir/l1"), cx.at("b")));
    cx.stat("renamed", "b");
    cx.check("rename over another", fs::rename(cx.at("b"), cx.at("dir/l2")));
    cx.stat("same file: both stay", "b");
    cx.stat("same file: both stay", "dir/l2");
}

fn link_errors(cx: &Cx) {
    cx.file("file", "");
    cx.folder("dir");
    cx.check("dir", fs::hard_link(cx.at("dir"), cx.at("dir2")));
    cx.check("exists", fs::hard_link(cx.at("file"), cx.at("dir")));
    cx.check("itself", fs::hard_link(cx.at("file"), cx.at("file")));
    cx.check("missing", fs::hard_link(cx.at("missing"), cx.at("x")));
    cx.check("missing parent", fs::hard_link(cx.at("file"), cx.at("missing/x")));
    cx.check("below a file", fs::hard_link(cx.at("file"), cx.at("file/x")));
    cx.check("too long", fs::hard_link(cx.at("file"), cx.at(long(256))));
    cx.check("other file system", fs::hard_link(cx.at("file"), "/proc/x"));
    cx.check("from another file system", fs::hard_link("/proc/version", cx.at("version")));
    cx.stat("file", "file");
}

fn link_symlinks(cx: &Cx) {
    cx.file("file", "target");
    drop(symlink("file", cx.at("symlink")));
    cx.check("link the symlink", linkat(CWD, cx.at("symlink"), CWD, cx.at("l1"), AtFlags::empty()));
    cx.stat("symlink", "l1");
    cx.check("link its target", linkat(CWD, cx.at("symlink"), CWD, cx.at("l2"), AtFlags::SYMLINK_FOLLOW));
    cx.stat("target", "l2");
    cx.stat("file", "file");
    let _ = mknodat(CWD, cx.at("fifo"), FileType::Fifo, Mode::RUSR, 0);
    cx.check("link a fifo", fs::hard_link(cx.at("fifo"), cx.at("fifo2")));
    cx.stat("fifo", "fifo2");
    cx.value("readlink of the link", fs::read_link(cx.at("l1")));
}

fn link_protected(cx: &Cx) {
    cx.mode(".", 0o777);
    cx.file("secret", "s");
    cx.file("open", "s");
    cx.mode("secret", 0o600);
    cx.mode("open", 0o666);
    cx.stranger(|cx| {
        cx.check("stranger links what he cannot read", fs::hard_link(cx.at("secret"), cx.at("s2")));
        cx.check("stranger links what he can write", fs::hard_link(cx.at("open"), cx.at("o2")));
        cx.stat("links", "open");
    });
    cx.mode(".", 0o755);
}
