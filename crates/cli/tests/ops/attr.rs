//! Attributes, and who may do what.

use super::cases;
use crate::twin::{Cx, EXTRA_GROUP, STRANGER, USER, chmod, kind, sys};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, StatxFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, chmodat,
    mknodat, open, statx, utimensat,
};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, chown, lchown, symlink};
use std::process::Command;
use std::time::{Duration, SystemTime};

cases! {
    GETATTR: getattr_kinds, getattr_follows_writes, getattr_descriptors;
    STATX: statx_btime, statx_fields;
    SETATTR: chmod_modes, chmod_permission, chown_ids, chown_clears_suid, truncate_sizes, truncate_errors, utimens_values,
        utimens_permission, times_move;
    ACCESS: access_modes, access_strangers, access_exec, access_enter;
    STATFS: statfs_values;
}

fn getattr_kinds(cx: &Cx) {
    cx.file("file", "12345");
    cx.folder("dir/sub");
    drop(symlink("file", cx.at("symlink")));
    let _ = mknodat(CWD, cx.at("fifo"), FileType::Fifo, Mode::RUSR, 0);
    for name in ["file", "dir", "symlink", "fifo"] {
        cx.stat(name, name);
        cx.meta("followed", fs::metadata(cx.at(name)));
    }
    cx.value("preferred block", fs::metadata(cx.at("file")).map(|m| m.blksize()));
    cx.value(
        "one device",
        fs::metadata(cx.at("file")).and_then(|f| Ok(f.dev() == fs::metadata(cx.at("dir"))?.dev())),
    );
    cx.stranger(|cx| cx.stat("stranger", "file"));
    let large = cx.file("large", vec![7; 100_000]);
    cx.check("sync", fs::File::open(&large).and_then(|f| f.sync_all()));
    let blocks = statx(CWD, &large, AtFlags::STATX_FORCE_SYNC, StatxFlags::BASIC_STATS).map(|s| s.stx_blocks);
    cx.value("blocks", blocks);
}

fn getattr_follows_writes(cx: &Cx) {
    let path = cx.file("file", "");
    let mut file = fs::OpenOptions::new().append(true).open(&path).expect("open");
    for i in 0..20 {
        cx.check("write", file.write_all(&vec![1; i * 100]));
        cx.value("size", fs::metadata(&path).map(|m| m.len()));
        cx.value("size, held", file.metadata().map(|m| m.len()));
    }
    cx.check("truncate", file.set_len(5));
    cx.stat("truncated", "file");
    let other = fs::OpenOptions::new().write(true).open(&path).expect("open");
    cx.check("write by another", other.write_all_at(b"x", 9999));
    cx.meta("held", file.metadata());
    let lower = fs::metadata(cx.lower.join("file")).map(|m| m.len());
    cx.value("size beside the mount", lower);
}

fn getattr_descriptors(cx: &Cx) {
    cx.file("file", "abc");
    let path_only = open(cx.at("file"), OFlags::PATH, Mode::empty()).expect("open");
    let mode = |s: rustix::fs::Stat| (s.st_mode, s.st_nlink, s.st_size);
    cx.value("O_PATH", rustix::fs::fstat(&path_only).map(mode));
    cx.check("chmod by name", chmod(&cx.at("file"), 0o640));
    cx.value("O_PATH", rustix::fs::fstat(&path_only).map(mode));
    cx.check("unlink", fs::remove_file(cx.at("file")));
    cx.value("O_PATH", rustix::fs::fstat(&path_only).map(mode));
    cx.value("empty path", rustix::fs::statat(&path_only, "", AtFlags::EMPTY_PATH).map(mode));
    cx.value("empty path, no flag", rustix::fs::statat(&path_only, "", AtFlags::empty()).map(mode));
}

fn statx_btime(cx: &Cx) {
    let path = cx.file("file", "x");
    match statx(CWD, &path, AtFlags::empty(), StatxFlags::BASIC_STATS | StatxFlags::BTIME) {
        Ok(found) => {
            let given = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::BTIME);
            cx.note("btime given", given);
            let birth = (found.stx_btime.tv_sec, found.stx_btime.tv_nsec);
            let changed = (found.stx_ctime.tv_sec, found.stx_ctime.tv_nsec);
            cx.note("btime is plausible", !given || (birth <= changed && birth.0 + 60 > changed.0));
        }
        Err(error) => cx.value::<(), _>("statx", Err(error)),
    }
}

fn statx_fields(cx: &Cx) {
    let path = cx.file("file", "12345");
    for (name, flag) in [
        ("as stat", AtFlags::empty()),
        ("force", AtFlags::STATX_FORCE_SYNC),
        ("no sync", AtFlags::STATX_DONT_SYNC),
    ] {
        let found = statx(CWD, &path, flag, StatxFlags::BASIC_STATS);
        cx.value(name, found.map(|s| (s.stx_mode, s.stx_nlink, s.stx_uid, s.stx_gid, s.stx_size)));
    }
    cx.check(
        "both flags",
        statx(CWD, &path, AtFlags::STATX_FORCE_SYNC | AtFlags::STATX_DONT_SYNC, StatxFlags::SIZE).map(|_| ()),
    );
    cx.check("missing", statx(CWD, cx.at("missing"), AtFlags::empty(), StatxFlags::ALL).map(|_| ()));
    let held = fs::File::open(&path).expect("open");
    cx.check("unlink", fs::remove_file(&path));
    let found = statx(&held, "", AtFlags::EMPTY_PATH | AtFlags::STATX_FORCE_SYNC, StatxFlags::BASIC_STATS);
    cx.value("unlinked", found.map(|s| (s.stx_nlink, s.stx_size)));
}

fn chmod_modes(cx: &Cx) {
    cx.file("file", "x");
    cx.folder("dir");
    drop(symlink("file", cx.at("symlink")));
    for mode in [0, 0o777, 0o644, 0o1777, 0o2755, 0o4755, 0o7777, 0o600] {
        for name in ["file", "dir"] {
            cx.check("chmod", chmod(&cx.at(name), mode));
            cx.stat(name, name);
        }
    }
    cx.check("through a symlink", chmod(&cx.at("symlink"), 0o604));
    cx.stat("its target", "file");
    cx.stat("itself", "symlink");
    let not_followed = chmodat(CWD, cx.at("symlink"), Mode::from_raw_mode(0o600), AtFlags::SYMLINK_NOFOLLOW);
    cx.check("a symlink", not_followed);
    cx.check("missing", chmod(&cx.at("missing"), 0o600));
    cx.check("below a file", chmod(&cx.at("file/x"), 0o600));
    let file = fs::File::open(cx.at("file")).expect("open");
    cx.check("fchmod", file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o640)));
    cx.meta("fchmod", file.metadata());
    cx.check(
        "through /proc",
        chmod(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file)).as_ref(), 0o600),
    );
    cx.stat("through /proc", "file");
}

fn chmod_permission(cx: &Cx) {
    cx.file("file", "x");
    cx.mode("file", 0o666);
    cx.stranger(|cx| {
        cx.check("stranger", chmod(&cx.at("file"), 0o777));
    });
    if !cx.root() {
        return;
    }
    // A file of a group its owner is not in: setgid is dropped silently.
    cx.check("give away", chown(cx.at("file"), Some(STRANGER), Some(777)));
    cx.stranger(|cx| {
        cx.check("owner sets setgid", chmod(&cx.at("file"), 0o2755));
        cx.stat("setgid", "file");
    });
    cx.user(STRANGER, STRANGER, &[777], |cx| {
        cx.check("owner in the group sets setgid", chmod(&cx.at("file"), 0o2755));
        cx.stat("setgid", "file");
    });
    cx.stranger(|cx| {
        cx.check("owner sets sticky on a file", chmod(&cx.at("file"), 0o1755));
        cx.stat("sticky", "file");
    });
}

fn chown_ids(cx: &Cx) {
    cx.file("file", "x");
    cx.folder("dir");
    drop(symlink("file", cx.at("symlink")));
    for name in ["file", "dir"] {
        cx.check("both", chown(cx.at(name), Some(1), Some(2)));
        cx.stat(name, name);
        cx.check("owner", chown(cx.at(name), Some(3), None));
        cx.stat(name, name);
        cx.check("group", chown(cx.at(name), None, Some(EXTRA_GROUP)));
        cx.stat(name, name);
        cx.check("neither", chown(cx.at(name), None, None));
        cx.check("large", chown(cx.at(name), Some(0xffff_fffe), Some(0x8000_0000)));
        cx.stat(name, name);
    }
    cx.check("symlink", lchown(cx.at("symlink"), Some(7), Some(8)));
    cx.stat("symlink", "symlink");
    cx.stat("its target", "file");
    cx.check("missing", chown(cx.at("missing"), Some(1), None));
    cx.file("own", "");
    cx.check("own group", chown(cx.at("own"), None, Some(rustix::process::getegid().as_raw())));
    cx.check("no group of ours", chown(cx.at("own"), None, Some(99)));
    cx.stat("own", "own");
    cx.stranger(|cx| {
        cx.check("stranger takes", chown(cx.at("own"), Some(STRANGER), None));
    });
    if cx.root() {
        cx.check("give", chown(cx.at("own"), Some(USER), Some(USER)));
        cx.user(USER, USER, &[EXTRA_GROUP], |cx| {
            cx.check("owner gives away", chown(cx.at("own"), Some(STRANGER), None));
            cx.check("owner, his other group", chown(cx.at("own"), None, Some(EXTRA_GROUP)));
            cx.check("owner, another group", chown(cx.at("own"), None, Some(99)));
        });
        cx.stat("own", "own");
    }
}

fn chown_clears_suid(cx: &Cx) {
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    for mode in [0o4755, 0o2755, 0o6755, 0o2745, 0o6711] {
        let name = format!("f{mode:o}");
        cx.file(&name, "x");
        cx.mode(&name, mode);
        cx.check("to the same", chown(cx.at(&name), Some(uid), Some(gid)));
        cx.stat("chown", &name);
        cx.mode(&name, mode);
        cx.check("nothing", chown(cx.at(&name), None, None));
        cx.stat("chown nothing", &name);
        cx.mode(&name, mode);
        cx.check(
            "write",
            fs::OpenOptions::new().write(true).open(cx.at(&name)).and_then(|mut f| f.write_all(b"y")),
        );
        cx.stat("write", &name);
        cx.mode(&name, mode);
        cx.check(
            "truncate",
            fs::OpenOptions::new().write(true).open(cx.at(&name)).and_then(|f| f.set_len(9)),
        );
        cx.stat("ftruncate", &name);
        cx.mode(&name, mode);
        cx.check("O_TRUNC", fs::File::create(cx.at(&name)));
        cx.stat("O_TRUNC", &name);
        // Root keeps the bits; another writer with the right to write does not.
        cx.mode(&name, mode | 0o022);
        cx.stranger(|cx| {
            cx.check(
                "stranger writes",
                fs::OpenOptions::new().write(true).open(cx.at(&name)).and_then(|mut f| f.write_all(b"z")),
            );
            cx.stat("stranger wrote", &name);
        });
        cx.mode(&name, mode | 0o022);
        cx.stranger(|cx| {
            cx.check("stranger truncates", fs::File::create(cx.at(&name)));
            cx.stat("stranger truncated", &name);
        });
    }
    cx.folder("dir");
    cx.mode("dir", 0o6755);
    cx.check("dir", chown(cx.at("dir"), Some(uid), Some(gid)));
    cx.stat("dir", "dir");
}

fn truncate_sizes(cx: &Cx) {
    let path = cx.file("file", "0123456789");
    let truncate = |size| fs::OpenOptions::new().write(true).open(&path).and_then(|f| f.set_len(size));
    for size in [5, 5, 20, 4096, 4095, 1, 0, 100_000, 3] {
        cx.check("truncate", truncate(size));
        cx.stat("size", "file");
        cx.contents("contents", "file");
    }
    cx.check("large", truncate(1 << 40));
    cx.stat("large", "file");
    cx.check("small again", truncate(10));
    cx.contents("contents", "file");
    let held = fs::OpenOptions::new().read(true).write(true).open(&path).expect("open");
    cx.check("O_TRUNC by another", fs::File::create(&path));
    cx.meta("held", held.metadata());
    cx.check("write beyond the end", held.write_all_at(b"end", 7));
    cx.contents("contents", "file");
    cx.mode("file", 0o444);
    cx.check("held, mode 0444", held.set_len(2));
    cx.contents("contents", "file");
}

fn truncate_errors(cx: &Cx) {
    let path = cx.file("file", "x");
    cx.mode("file", 0o444);
    let read_only = fs::File::open(&path).expect("open");
    cx.check("read-only descriptor", read_only.set_len(0));
    let truncate = |path: &std::path::Path, size| {
        rustix::fs::open(path, OFlags::WRONLY, Mode::empty()).and_then(|f| rustix::fs::ftruncate(&f, size))
    };
    cx.check("too large", truncate(&path, 1 << 62));
    cx.check("negative", truncate(&path, u64::MAX));
    cx.check("dir", truncate(&cx.dir, 0));
    cx.check("missing", truncate(&cx.at("missing"), 0));
    cx.stranger(|cx| {
        cx.check("stranger", truncate(&cx.at("file"), 0));
        cx.check("stranger, O_TRUNC", open(cx.at("file"), OFlags::RDONLY | OFlags::TRUNC, Mode::empty()));
    });
    cx.contents("contents", "file");
}

fn stamp(tv_sec: i64, tv_nsec: i64) -> Timespec {
    Timespec { tv_sec, tv_nsec: tv_nsec as _ }
}

impl Cx {
    fn times(&self, label: &str, name: &str) {
        let times = fs::symlink_metadata(self.at(name))
            .map(|m| (m.atime(), m.atime_nsec(), m.mtime(), m.mtime_nsec()));
        self.value(label, times);
    }

    fn touch(&self, label: &str, name: &str, atime: Timespec, mtime: Timespec, flags: AtFlags) {
        let times = Timestamps { last_access: atime, last_modification: mtime };
        self.check(label, utimensat(CWD, self.at(name), &times, flags));
    }
}

fn utimens_values(cx: &Cx) {
    cx.file("file", "");
    cx.folder("dir");
    drop(symlink("file", cx.at("symlink")));
    let none = AtFlags::empty();
    for (label, atime, mtime) in [
        ("plain", stamp(1_000_000_000, 123_456_789), stamp(1_234_567_890, 987_654_321)),
        ("zero", stamp(0, 0), stamp(0, 1)),
        ("before 1970", stamp(-1, 999_999_999), stamp(-1000, 5)),
        ("after 2038", stamp(1 << 32, 1), stamp((1 << 33) + 7, 999_999_999)),
        ("too far", stamp(1 << 40, 0), stamp(-(1 << 40), 0)),
    ] {
        for name in ["file", "dir"] {
            cx.touch(label, name, atime, mtime, none);
            cx.times(label, name);
        }
    }
    cx.touch("set", "file", stamp(111, 1), stamp(222, 2), none);
    cx.touch("omit atime", "file", stamp(0, UTIME_OMIT as _), stamp(333, 3), none);
    cx.times("omit atime", "file");
    cx.touch("omit mtime", "file", stamp(444, 4), stamp(0, UTIME_OMIT as _), none);
    cx.times("omit mtime", "file");
    cx.touch("omit both", "file", stamp(0, UTIME_OMIT as _), stamp(0, UTIME_OMIT as _), none);
    cx.times("omit both", "file");
    cx.touch("now and omit", "file", stamp(0, UTIME_NOW as _), stamp(0, UTIME_OMIT as _), none);
    let meta = fs::metadata(cx.at("file")).expect("stat");
    cx.note("mtime stays", (meta.mtime(), meta.mtime_nsec()) == (333, 3));
    let near =
        |time: SystemTime| SystemTime::now().duration_since(time).is_ok_and(|d| d < Duration::from_secs(60));
    cx.note("atime is now", meta.accessed().is_ok_and(near));
    cx.touch("now", "file", stamp(0, UTIME_NOW as _), stamp(0, UTIME_NOW as _), none);
    cx.note("mtime is now", fs::metadata(cx.at("file")).and_then(|m| m.modified()).is_ok_and(near));
    cx.touch("symlink", "symlink", stamp(5, 6), stamp(7, 8), AtFlags::SYMLINK_NOFOLLOW);
    cx.times("symlink", "symlink");
    cx.touch("through a symlink", "symlink", stamp(50, 6), stamp(70, 8), none);
    cx.times("target", "file");
    cx.touch("bad nanoseconds", "file", stamp(1, 1_000_000_000), stamp(1, 1), none);
    cx.touch("missing", "missing", stamp(1, 1), stamp(1, 1), none);
    cx.drop_caches();
    cx.times("kept", "file");
    let held = fs::File::options().write(true).open(cx.at("file")).expect("open");
    cx.check("descriptor", held.set_modified(SystemTime::UNIX_EPOCH + Duration::new(99, 77)));
    cx.times("descriptor", "file");
}

fn utimens_permission(cx: &Cx) {
    cx.file("open", "");
    cx.file("closed", "");
    cx.mode("open", 0o666);
    cx.mode("closed", 0o644);
    cx.stranger(|cx| {
        let (now, omit) = (stamp(0, UTIME_NOW as _), stamp(0, UTIME_OMIT as _));
        for name in ["open", "closed"] {
            cx.touch("stranger, now", name, now, now, AtFlags::empty());
            cx.touch("stranger, value", name, stamp(1, 1), stamp(1, 1), AtFlags::empty());
            cx.touch("stranger, half now", name, now, omit, AtFlags::empty());
            cx.touch("stranger, omit", name, omit, omit, AtFlags::empty());
        }
    });
}

fn times_move(cx: &Cx) {
    let path = cx.file("file", "x");
    let pause = || std::thread::sleep(Duration::from_millis(12));
    let times =
        || fs::metadata(&path).map(|m| ((m.mtime(), m.mtime_nsec()), (m.ctime(), m.ctime_nsec()))).ok();
    let mut last = times();
    let mut moved = |label: &str| {
        let now = times();
        let (m, c) = (now.map(|t| t.0) != last.map(|t| t.0), now.map(|t| t.1) != last.map(|t| t.1));
        cx.note(label, format_args!("mtime moved {m}, ctime moved {c}"));
        last = now;
        pause();
    };
    pause();
    drop(fs::write(&path, "yy"));
    moved("write");
    drop(chmod(&path, 0o600));
    moved("chmod");
    drop(fs::read(&path));
    moved("read");
    drop(fs::hard_link(&path, cx.at("link")));
    moved("link");
    drop(fs::remove_file(cx.at("link")));
    moved("unlink of the other");
    drop(fs::File::options().write(true).open(&path).map(|f| f.set_len(2)));
    moved("truncate to the same size");
    let _ = rustix::fs::setxattr(&path, "user.a", b"1", rustix::fs::XattrFlags::empty());
    moved("setxattr");
    drop(fs::rename(&path, cx.at("other")).and_then(|()| fs::rename(cx.at("other"), &path)));
    moved("rename");
    let file = fs::File::options().write(true).open(&path).expect("open");
    moved("open");
    drop(file.write_all_at(b"1", 0));
    moved("write, held");
}

fn access_modes(cx: &Cx) {
    cx.folder("dir");
    for mode in [0, 0o100, 0o400, 0o200, 0o644, 0o755] {
        let name = format!("f{mode:o}");
        cx.file(&name, "x");
        cx.mode(&name, mode);
        for (what, bits) in
            [("f", libc::F_OK), ("r", libc::R_OK), ("w", libc::W_OK), ("x", libc::X_OK), ("rwx", 7)]
        {
            cx.check(&format!("{name} {what}"), sys::access(&cx.at(&name), bits, 0));
        }
    }
    cx.check("missing", sys::access(&cx.at("missing"), libc::F_OK, 0));
    cx.check("below a file", sys::access(&cx.at("f644/x"), libc::F_OK, 0));
    cx.check("bad mode", sys::access(&cx.at("f644"), 64, 0));
    cx.check("dir", sys::access(&cx.at("dir"), 7, 0));
    drop(symlink("missing", cx.at("dangling")));
    cx.check("dangling", sys::access(&cx.at("dangling"), libc::F_OK, 0));
    cx.check("dangling itself", sys::access(&cx.at("dangling"), libc::F_OK, libc::AT_SYMLINK_NOFOLLOW));
}

fn access_strangers(cx: &Cx) {
    for mode in [0o600, 0o640, 0o644, 0o646, 0o606, 0o077] {
        let name = format!("f{mode:o}");
        cx.file(&name, "x");
        cx.mode(&name, mode);
    }
    if cx.root() {
        cx.check("group", chown(cx.at("f640"), None, Some(777)));
    }
    let ask = |cx: &Cx| {
        for name in ["f600", "f640", "f644", "f646", "f606", "f77"] {
            for bits in [libc::R_OK, libc::W_OK, libc::X_OK, 6] {
                cx.check(&format!("{name} {bits}"), sys::access(&cx.at(name), bits, 0));
                cx.check(
                    &format!("{name} {bits} effective"),
                    sys::access(&cx.at(name), bits, libc::AT_EACCESS),
                );
            }
            cx.value("read", fs::read(cx.at(name)));
            cx.check("write", fs::OpenOptions::new().append(true).open(cx.at(name)));
        }
    };
    cx.stranger(ask);
    cx.user(STRANGER, STRANGER, &[777], ask);
}

fn access_exec(cx: &Cx) {
    let program = fs::read("/bin/true").unwrap_or_default();
    let run = |cx: &Cx, label: &str, name: &str| {
        let status = Command::new(cx.at(name)).current_dir("/").status();
        cx.value(label, status.map(|s| s.code()));
    };
    for mode in [0o755, 0o711, 0o644, 0o700, 0o111] {
        let name = format!("p{mode:o}");
        cx.file(&name, &program);
        cx.mode(&name, mode);
        run(cx, &format!("run {mode:o}"), &name);
        cx.stranger(|cx| run(cx, &format!("stranger runs {mode:o}"), &name));
    }
    cx.file("script", "#!/bin/sh\nexit 7\n");
    cx.mode("script", 0o755);
    run(cx, "script", "script");
    cx.file("nonsense", "\x01\x02\x03");
    cx.mode("nonsense", 0o755);
    run(cx, "nonsense", "nonsense");
    run(cx, "missing", "missing");
    run(cx, "dir", ".");
    let writer = fs::OpenOptions::new().write(true).open(cx.at("p755")).expect("open");
    run(cx, "open for writing", "p755");
    drop(writer);
    cx.file("sleep", fs::read("/bin/sleep").unwrap_or_default());
    cx.mode("sleep", 0o755);
    if let Some(mut child) = cx.check("start", Command::new(cx.at("sleep")).arg("30").spawn()) {
        cx.check("write while it runs", fs::OpenOptions::new().write(true).open(cx.at("sleep")));
        cx.check("unlink while it runs", fs::remove_file(cx.at("sleep")));
        cx.note("still runs", child.try_wait().is_ok_and(|s| s.is_none()));
        drop(child.kill());
        drop(child.wait());
    }
}

fn access_enter(cx: &Cx) {
    for mode in [0o700, 0o711, 0o744, 0o755] {
        let name = format!("d{mode:o}");
        cx.folder(&name);
        cx.mode(&name, mode);
        cx.check("enter", std::env::set_current_dir(cx.at(&name)));
        cx.check("leave", std::env::set_current_dir("/"));
        cx.stranger(|cx| {
            cx.check("stranger enters", std::env::set_current_dir(cx.at(&name)));
        });
    }
    cx.file("file", "");
    cx.check("file", std::env::set_current_dir(cx.at("file")));
    cx.check("missing", std::env::set_current_dir(cx.at("missing")));
}

fn statfs_values(cx: &Cx) {
    cx.file("file", "");
    let values = |s: rustix::fs::StatVfs| (s.f_bsize, s.f_frsize, s.f_blocks, s.f_files, s.f_namemax);
    cx.value("dir", rustix::fs::statvfs(&cx.dir).map(values));
    cx.value("file", rustix::fs::statvfs(cx.at("file")).map(values));
    cx.value(
        "descriptor",
        fs::File::open(cx.at("file")).and_then(|f| Ok(rustix::fs::fstatvfs(&f).map(values)?)),
    );
    cx.value("missing", rustix::fs::statvfs(cx.at("missing")).map(values));
    cx.value("some is free", rustix::fs::statvfs(&cx.dir).map(|s| s.f_bavail > 0 && s.f_bfree <= s.f_blocks));
    cx.stranger(|cx| cx.value("stranger", rustix::fs::statvfs(&cx.dir).map(values)));
    cx.value("kind of the directory", fs::metadata(&cx.dir).map(|m| kind(&m.file_type())));
}
