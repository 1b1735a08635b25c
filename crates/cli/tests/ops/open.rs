//! Opening and making files, and letting go of them.

use super::cases;
use crate::twin::{Cx, STRANGER, sys};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open};
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, chown, symlink};

cases! {
    OPEN: open_flags, open_errors, open_permission, open_path_only, open_direct, open_many, open_mode_is_kept;
    CREATE: create_modes, create_flags, create_errors, create_as_strangers;
    TMPFILE: tmpfile_link, tmpfile_errors;
    FLUSH: flush_on_close, flush_shared;
    RELEASE: release_many;
    POLL: poll_is_ready;
}

impl Cx {
    fn open(&self, label: &str, name: &str, flags: OFlags, mode: u32) -> Option<fs::File> {
        let file = open(self.at(name), flags | OFlags::CLOEXEC, Mode::from_raw_mode(mode));
        self.check(label, file.map(fs::File::from))
    }
}

fn open_flags(cx: &Cx) {
    cx.file("file", "0123456789");
    drop(cx.open("O_TRUNC", "file", OFlags::WRONLY | OFlags::TRUNC, 0));
    cx.stat("O_TRUNC", "file");
    cx.file("file", "0123456789");
    drop(cx.open("O_TRUNC, reading", "file", OFlags::RDONLY | OFlags::TRUNC, 0));
    cx.stat("O_TRUNC, reading", "file");
    cx.file("file", "0123456789");
    if let Some(mut file) = cx.open("O_APPEND", "file", OFlags::RDWR | OFlags::APPEND, 0) {
        cx.check("append", file.write_all(b"a"));
        cx.check("pwrite appends", file.write_all_at(b"b", 0));
        cx.check("truncate", file.set_len(5));
        cx.check("append", file.write_all(b"c"));
        cx.contents("appended", "file");
        cx.value("flags", rustix::fs::fcntl_getfl(&file).map(|f| f.contains(OFlags::APPEND)));
        cx.check("stop appending", rustix::fs::fcntl_setfl(&file, OFlags::empty()));
        cx.check("pwrite", file.write_all_at(b"X", 0));
        cx.contents("overwritten", "file");
    }
    for (name, flags) in [
        ("O_SYNC", OFlags::SYNC),
        ("O_DSYNC", OFlags::DSYNC),
        ("O_NONBLOCK", OFlags::NONBLOCK),
        ("O_NOATIME", OFlags::NOATIME),
        ("O_NOCTTY", OFlags::NOCTTY),
        ("O_LARGEFILE", OFlags::LARGEFILE),
    ] {
        if let Some(mut file) = cx.open(name, "file", OFlags::RDWR | flags, 0) {
            let mut byte = [0];
            cx.check("read", file.read_exact(&mut byte));
            cx.check("write", file.write_all(b"w"));
        }
    }
    cx.contents("in the end", "file");
}

fn open_errors(cx: &Cx) {
    cx.file("file", "x");
    cx.folder("dir");
    drop(symlink("file", cx.at("symlink")));
    drop(symlink("missing", cx.at("dangling")));
    let (read, write) = (OFlags::RDONLY, OFlags::WRONLY);
    cx.open("missing", "missing", read, 0);
    cx.open("below a file", "file/x", read, 0);
    cx.open("with slash", "file/", read, 0);
    cx.open("O_NOFOLLOW", "symlink", read | OFlags::NOFOLLOW, 0);
    cx.open("O_NOFOLLOW, file", "file", read | OFlags::NOFOLLOW, 0);
    cx.open("O_DIRECTORY, file", "file", read | OFlags::DIRECTORY, 0);
    cx.open("O_DIRECTORY, dir", "dir", read | OFlags::DIRECTORY, 0);
    cx.open("dir, writing", "dir", write, 0);
    cx.open("dir, O_CREAT", "dir", read | OFlags::CREATE, 0o600);
    cx.open("dir, O_TRUNC", "dir", read | OFlags::TRUNC, 0);
    cx.open("dangling", "dangling", read, 0);
    cx.open("dangling, O_EXCL", "dangling", write | OFlags::CREATE | OFlags::EXCL, 0o600);
    cx.open("too long", &"n".repeat(256), read, 0);
    let _ = rustix::fs::mknodat(CWD, cx.at("fifo"), rustix::fs::FileType::Fifo, Mode::RWXU, 0);
    cx.open("fifo, nobody reads", "fifo", write | OFlags::NONBLOCK, 0);
    cx.open("O_CREAT and O_DIRECTORY", "new", read | OFlags::CREATE | OFlags::DIRECTORY, 0o600);
    if let Some(file) = cx.open("reading", "file", read, 0) {
        cx.check("write", file.write_at(b"x", 0));
    }
    if let Some(file) = cx.open("writing", "file", write, 0) {
        cx.check("read", file.read_at(&mut [0], 0));
    }
    if let Some(dir) = cx.open("dir", "dir", read, 0) {
        cx.check("read a dir", dir.read_at(&mut [0], 0));
    }
}

fn open_permission(cx: &Cx) {
    for mode in [0o600, 0o604, 0o602, 0o606, 0o000] {
        let name = format!("f{mode:o}");
        cx.file(&name, "x");
        cx.mode(&name, mode);
        let tries = |cx: &Cx| {
            cx.open("read", &name, OFlags::RDONLY, 0);
            cx.open("write", &name, OFlags::WRONLY, 0);
            cx.open("both", &name, OFlags::RDWR, 0);
            cx.open("create", &name, OFlags::WRONLY | OFlags::CREATE, 0o600);
            cx.open("exclusive", &name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, 0o600);
            cx.open("no atime", &name, OFlags::RDONLY | OFlags::NOATIME, 0);
            cx.open("truncate", &name, OFlags::WRONLY | OFlags::TRUNC, 0);
        };
        tries(cx);
        cx.stranger(tries);
    }
}

fn open_path_only(cx: &Cx) {
    cx.file("file", "x");
    cx.mode("file", 0);
    drop(symlink("file", cx.at("symlink")));
    if let Some(file) = cx.open("file", "file", OFlags::PATH, 0) {
        cx.check("read", file.read_at(&mut [0], 0));
        cx.check("write", file.write_at(&[0], 0));
        cx.check("chmod", file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600)));
        cx.meta("stat", file.metadata());
        cx.check("chmod by name", crate::twin::chmod(&cx.at("file"), 0o600));
        let again = open(format!("/proc/self/fd/{}", file.as_raw_fd()), OFlags::RDONLY, Mode::empty());
        cx.check("open again", again);
    }
    if let Some(link) = cx.open("symlink", "symlink", OFlags::PATH | OFlags::NOFOLLOW, 0) {
        cx.meta("stat", link.metadata());
        cx.value("readlink", rustix::fs::readlinkat(&link, "", Vec::new()));
    }
    cx.stranger(|cx| drop(cx.open("stranger", "file", OFlags::PATH, 0)));
}

fn open_direct(cx: &Cx) {
    let bytes = crate::twin::noise(64 << 10, 7);
    cx.file("file", &bytes);
    let Some(file) = cx.open("O_DIRECT", "file", OFlags::RDWR | OFlags::DIRECT, 0) else { return };
    let mut buffer = sys::Aligned::new(16 << 10, 0);
    cx.value("read", file.read_at(buffer.get(), 4096));
    cx.note("same bytes", buffer.get() == &bytes[4096..4096 + (16 << 10)]);
    buffer.get().fill(0x55);
    cx.value("write", file.write_at(buffer.get(), 8192));
    cx.contents("written", "file");
    cx.value("at the end", file.read_at(buffer.get(), 64 << 10));
    cx.value("extend", file.write_at(buffer.get(), 64 << 10));
    cx.value("read the tail", file.read_at(buffer.get(), 76 << 10));
    cx.stat("extended", "file");
    cx.check("fsync", file.sync_all());
    cx.contents("extended", "file");
}

fn open_many(cx: &Cx) {
    let path = cx.file("file", "many");
    let files: Vec<_> = (0..300).map(|_| fs::File::open(&path)).collect();
    cx.note("open", files.iter().filter(|f| f.is_ok()).count());
    let mut good = 0;
    for file in files.iter().flatten() {
        let mut text = [0; 4];
        good += usize::from(file.read_exact_at(&mut text, 0).is_ok() && &text == b"many");
    }
    cx.note("read", good);
    drop(files);
    for i in 0..300 {
        cx.file(format!("f{i}"), i.to_string());
    }
    let files: Vec<_> = (0..300).filter_map(|i| fs::File::open(cx.at(format!("f{i}"))).ok()).collect();
    cx.note("open", files.len());
    let text: String = files
        .into_iter()
        .map(|mut f| {
            let mut text = String::new();
            drop(f.read_to_string(&mut text));
            text
        })
        .collect();
    cx.note("texts", crate::twin::digest(text.as_bytes()));
}

fn open_mode_is_kept(cx: &Cx) {
    // What an open file may do was decided when it was opened.
    let path = cx.file("file", "before");
    cx.mode("file", 0o666);
    let held = fs::OpenOptions::new().read(true).write(true).open(&path).expect("open");
    cx.mode("file", 0);
    let mut text = [0; 6];
    cx.check("read", held.read_exact_at(&mut text, 0));
    cx.check("write", held.write_all_at(b"after!", 0));
    cx.check("sync", held.sync_all());
    let again = fs::File::open(format!("/proc/self/fd/{}", held.as_raw_fd()));
    cx.check("open again", again);
    if cx.root() {
        cx.stranger(|cx| {
            cx.check("stranger with an inherited descriptor reads", held.read_at(&mut [0; 6], 0));
            cx.check("stranger with an inherited descriptor writes", held.write_all_at(b"S", 0));
            cx.check("stranger opens", fs::File::open(cx.at("file")));
            cx.check(
                "stranger changes the mode",
                held.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777)),
            );
        });
    }
    cx.mode("file", 0o644);
    cx.contents("in the end", "file");
}

fn create_modes(cx: &Cx) {
    for umask in [0, 0o022, 0o077, 0o777] {
        rustix::process::umask(Mode::from_raw_mode(umask));
        for mode in [0o666, 0o777, 0o600, 0o4755, 0o2755, 0o1777, 0] {
            let name = format!("f{mode:o}-{umask:o}");
            let file = cx.open(&name, &name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, mode);
            if let Some(mut file) = file {
                // The mode is for the next who opens it.
                cx.check("write", file.write_all(b"x"));
                cx.meta("held", file.metadata());
            }
            cx.stat(&name, &name);
        }
    }
    rustix::process::umask(Mode::from_raw_mode(0o022));
}

fn create_flags(cx: &Cx) {
    let (write, create) = (OFlags::WRONLY, OFlags::CREATE);
    drop(cx.open("new", "file", write | create, 0o640));
    drop(cx.open("again", "file", write | create, 0o777));
    cx.stat("mode of the first", "file");
    cx.open("exclusive", "file", write | create | OFlags::EXCL, 0o600);
    cx.file("file", "text");
    drop(cx.open("truncate", "file", write | create | OFlags::TRUNC, 0o600));
    cx.stat("truncated", "file");
    drop(cx.open("read-only", "empty", OFlags::RDONLY | create, 0o400));
    cx.stat("read-only", "empty");
    drop(cx.open("append", "log", write | create | OFlags::APPEND, 0o600).map(|mut f| f.write_all(b"1")));
    drop(cx.open("append", "log", write | create | OFlags::APPEND, 0o600).map(|mut f| f.write_all(b"2")));
    cx.contents("appended", "log");
    drop(symlink("made", cx.at("symlink")));
    cx.open("exclusive through a symlink", "symlink", write | create | OFlags::EXCL, 0o600);
    cx.open("no follow", "symlink", write | create | OFlags::NOFOLLOW, 0o600);
    drop(cx.open("through a symlink", "symlink", write | create, 0o600));
    cx.stat("made", "made");
}

fn create_errors(cx: &Cx) {
    cx.file("file", "");
    let flags = OFlags::WRONLY | OFlags::CREATE;
    cx.open("missing parent", "missing/x", flags, 0o600);
    cx.open("below a file", "file/x", flags, 0o600);
    cx.open("with slash", "new/", flags, 0o600);
    cx.open("existing with slash", "file/", flags, 0o600);
    cx.open("255", &"n".repeat(255), flags, 0o600);
    cx.open("256", &"n".repeat(256), flags, 0o600);
    cx.open("dot", ".", flags, 0o600);
    let removed = open(cx.folder("gone"), OFlags::DIRECTORY, Mode::empty()).expect("open");
    drop(fs::remove_dir(cx.at("gone")));
    cx.check("in a removed directory", rustix::fs::openat(&removed, "x", flags, Mode::RUSR));
    cx.stranger(|cx| {
        cx.open("stranger", "strange", flags, 0o600);
        cx.open("stranger, exclusive, exists", "file", flags | OFlags::EXCL, 0o600);
    });
}

fn create_as_strangers(cx: &Cx) {
    cx.folder("open");
    cx.mode("open", 0o777);
    cx.folder("group");
    if cx.root() {
        cx.check("group", chown(cx.at("group"), None, Some(777)));
    }
    cx.mode("group", 0o2775);
    let make = |cx: &Cx| {
        let me = rustix::process::geteuid().as_raw();
        let groups = rustix::process::getgroups().map(|g| g.len()).unwrap_or(0);
        for dir in ["open", "group"] {
            let name = format!("{dir}/{me}-{groups}");
            drop(cx.open("create", &name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, 0o2774));
            cx.stat("created", &name);
        }
    };
    make(cx);
    cx.stranger(make);
    cx.user(STRANGER, STRANGER, &[777], make);
    cx.user(STRANGER, 777, &[], make);
}

fn tmpfile_link(cx: &Cx) {
    let Some(mut file) = cx.open("unnamed", ".", OFlags::RDWR | OFlags::TMPFILE, 0o640) else { return };
    cx.meta("unnamed", file.metadata());
    cx.check("write", file.write_all(b"unnamed at first"));
    cx.value("names", fs::read_dir(&cx.dir).map(Iterator::count));
    let link = |file: &fs::File, name: &str| {
        linkat(CWD, format!("/proc/self/fd/{}", file.as_raw_fd()), CWD, cx.at(name), AtFlags::SYMLINK_FOLLOW)
    };
    cx.check("name it", link(&file, "named"));
    cx.stat("named", "named");
    cx.contents("named", "named");
    cx.check("write more", file.write_all(b", named now"));
    cx.contents("named", "named");
    cx.check("second name", link(&file, "second"));
    cx.meta("held", file.metadata());
    cx.check("name exists", link(&file, "named"));
    if let Some(never) = cx.open("never named", ".", OFlags::RDWR | OFlags::TMPFILE | OFlags::EXCL, 0o600) {
        cx.check("name it", link(&never, "never"));
    }
    rustix::process::umask(Mode::from_raw_mode(0o077));
    if let Some(file) = cx.open("umask", ".", OFlags::WRONLY | OFlags::TMPFILE, 0o666) {
        cx.meta("umask", file.metadata());
    }
    let lost: Vec<_> =
        (0..50).filter_map(|_| open(&cx.dir, OFlags::RDWR | OFlags::TMPFILE, Mode::RWXU).ok()).collect();
    cx.note("many", lost.len());
}

fn tmpfile_errors(cx: &Cx) {
    cx.file("file", "");
    cx.open("reading", ".", OFlags::RDONLY | OFlags::TMPFILE, 0o600);
    cx.open("in a file", "file", OFlags::RDWR | OFlags::TMPFILE, 0o600);
    cx.open("missing", "missing", OFlags::RDWR | OFlags::TMPFILE, 0o600);
    cx.stranger(|cx| drop(cx.open("stranger", ".", OFlags::RDWR | OFlags::TMPFILE, 0o600)));
}

fn flush_on_close(cx: &Cx) {
    for i in 0..20 {
        let name = format!("f{i}");
        let mut file = fs::File::create(cx.at(&name)).expect("create");
        cx.check("write", file.write_all(format!("text {i}").as_bytes()));
        cx.check("close", rustix::io::dup(&file));
        drop(file);
        cx.value("beside the mount", fs::read_to_string(cx.lower.join(&name)));
    }
}

fn flush_shared(cx: &Cx) {
    let mut file = fs::File::create(cx.at("file")).expect("create");
    cx.check("write", file.write_all(b"parent "));
    // The child's exit closes its copy; the parent's goes on.
    let shared = &file;
    cx.child(|cx| {
        let mut shared = shared;
        cx.check("child writes", shared.write_all(b"child "));
    });
    cx.check("write", file.write_all(b"parent again"));
    cx.meta("held", file.metadata());
    drop(file);
    cx.contents("all", "file");
}

fn release_many(cx: &Cx) {
    cx.file("file", "x");
    cx.folder("dir");
    let good = (0..1500).filter(|_| fs::File::open(cx.at("file")).is_ok()).count();
    cx.note("opened and closed", good);
    let good = (0..500).filter(|_| fs::read_dir(cx.at("dir")).is_ok()).count();
    cx.note("directories", good);
    // Closed by the end of the process.
    cx.child(|cx| {
        let files: Vec<_> = (0..200).map(|_| fs::File::open(cx.at("file"))).collect();
        cx.note("left to exit", files.iter().filter(|f| f.is_ok()).count());
        std::mem::forget(files);
    });
    cx.check("unlink", fs::remove_file(cx.at("file")));
    cx.value("names", fs::metadata(&cx.dir).map(|m| m.nlink()));
}

fn poll_is_ready(cx: &Cx) {
    cx.file("file", "x");
    let file = fs::OpenOptions::new().read(true).write(true).open(cx.at("file")).expect("open");
    cx.value("file", sys::poll(&file));
    cx.value("dir", fs::File::open(&cx.dir).and_then(|d| sys::poll(&d)));
}
