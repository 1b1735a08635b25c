//! Moving names.

use super::cases;
use crate::twin::{Cx, STRANGER};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, symlink};

cases! {
    RENAME: rename_basic, rename_over, rename_errors, rename_directories, rename_open, rename_permission, rename_storm;
    RENAME2: rename2_noreplace, rename2_exchange, rename2_whiteout, rename2_flags;
}

impl Cx {
    fn rename(&self, label: &str, from: &str, to: &str) {
        self.check(label, fs::rename(self.at(from), self.at(to)));
    }

    fn rename2(&self, label: &str, from: &str, to: &str, flags: RenameFlags) {
        self.check(label, renameat_with(CWD, self.at(from), CWD, self.at(to), flags));
    }

    /// Notes what is in the directory.
    fn names(&self, label: &str, dir: &str) {
        let names = fs::read_dir(self.at(dir)).and_then(|entries| {
            let mut names = entries.map(|e| e.map(|e| e.file_name())).collect::<io::Result<Vec<_>>>()?;
            names.sort();
            Ok(names)
        });
        self.value(label, names);
    }
}

fn rename_basic(cx: &Cx) {
    cx.file("a", "1");
    let ino = fs::metadata(cx.at("a")).map(|m| m.ino()).ok();
    cx.rename("file", "a", "b");
    cx.note("same inode", fs::metadata(cx.at("b")).map(|m| m.ino()).ok() == ino);
    cx.stat("old", "a");
    cx.contents("new", "b");
    cx.rename("to itself", "b", "b");
    cx.rename("to a long name", "b", &"n".repeat(255));
    cx.rename("back", &"n".repeat(255), "b");
    drop(symlink("b", cx.at("s")));
    cx.rename("symlink", "s", "t");
    cx.value("symlink", fs::read_link(cx.at("t")));
    cx.folder("d");
    cx.rename("into a directory", "b", "d/b");
    cx.rename("out again, other name", "d/b", "c");
    cx.contents("arrived", "c");
    cx.names("names", ".");
}

fn rename_over(cx: &Cx) {
    cx.file("a", "new");
    cx.file("b", "old");
    let held = fs::File::open(cx.at("b")).expect("open");
    cx.rename("file over file", "a", "b");
    cx.contents("b", "b");
    cx.meta("the old one", held.metadata());
    let mut back = [0; 3];
    cx.check("read the old one", held.read_exact_at(&mut back, 0));
    cx.note("text", back.escape_ascii());
    cx.folder("d1/x");
    cx.folder("d2");
    cx.rename("dir over empty dir", "d1", "d2");
    cx.names("d2", "d2");
    cx.folder("d3");
    cx.rename("dir over full dir", "d3", "d2");
    drop(symlink("b", cx.at("s")));
    cx.file("f", "over symlink");
    cx.rename("file over symlink", "f", "s");
    cx.contents("symlink is gone", "s");
    cx.contents("target stays", "b");
    cx.file("h1", "h");
    drop(fs::hard_link(cx.at("h1"), cx.at("h2")));
    cx.file("g", "g");
    cx.rename("over one of two links", "g", "h1");
    cx.stat("the other", "h2");
}

fn rename_errors(cx: &Cx) {
    cx.file("file", "");
    cx.folder("dir/sub/deep");
    cx.folder("empty");
    cx.rename("missing", "missing", "x");
    cx.rename("missing parent", "file", "missing/x");
    cx.rename("below a file", "file", "file/x");
    cx.rename("file over dir", "file", "empty");
    cx.rename("dir over file", "dir", "file");
    cx.rename("dir into itself", "dir", "dir/x");
    cx.rename("dir deep into itself", "dir", "dir/sub/deep/x");
    cx.rename("over its own parent", "dir/sub", "dir");
    cx.rename("dir to itself", "dir", "dir");
    cx.rename("dot", "dir/.", "x");
    cx.rename("dots", "dir/..", "x");
    cx.rename("to dot", "empty", "dir/.");
    cx.rename("too long", "file", &"n".repeat(256));
    cx.rename("file with slash", "file", "x/");
    cx.rename("dir with slash", "empty/", "moved/");
    cx.check("other file system", fs::rename(cx.at("file"), "/proc/x"));
    cx.check("from another file system", fs::rename("/proc/version", cx.at("version")));
    cx.names("names", ".");
}

fn rename_directories(cx: &Cx) {
    cx.folder("a/b/c");
    cx.folder("to");
    cx.file("a/b/c/file", "x");
    cx.stat("from", "a");
    cx.stat("to", "to");
    cx.contents("before", "a/b/c/file");
    cx.rename("move", "a/b", "to/b2");
    cx.stat("from", "a");
    cx.stat("to", "to");
    cx.contents("after", "to/b2/c/file");
    cx.contents("old path", "a/b/c/file");
    cx.check("enter", std::env::set_current_dir(cx.at("to/b2/c")));
    cx.rename("move the current directory", "to/b2", "a/b3");
    cx.value("relative", fs::read("file"));
    cx.check("create here", fs::write("here", "1"));
    cx.contents("by the new path", "a/b3/c/here");
    cx.check("leave", std::env::set_current_dir("/"));
    for i in 0..30 {
        let (from, to) =
            (format!("a/b{}", i + 3), format!("{}/b{}", if i % 2 == 0 { "to" } else { "a" }, i + 4));
        let from = if i % 2 == 0 { from } else { from.replacen("a/", "to/", 1) };
        cx.rename("again", &from, &to);
        cx.contents("file", format!("{to}/c/file"));
    }
    cx.names("a", "a");
    cx.names("to", "to");
}

fn rename_open(cx: &Cx) {
    cx.file("a", "held");
    let held = fs::OpenOptions::new().read(true).write(true).open(cx.at("a")).expect("open");
    cx.rename("move", "a", "b");
    cx.check("write", held.write_all_at(b"HELD more", 0));
    cx.contents("by the new name", "b");
    cx.meta("held", held.metadata());
    cx.file("a", "new one");
    cx.rename("over the open file", "a", "b");
    cx.check("write", held.write_all_at(b"gone", 0));
    cx.contents("the new one", "b");
    cx.meta("held", held.metadata());
    cx.check("truncate", held.set_len(1));
    cx.stat("the new one", "b");
}

fn rename_permission(cx: &Cx) {
    cx.folder("closed");
    cx.folder("open");
    cx.folder("open/dir");
    cx.file("closed/a", "");
    cx.file("open/b", "");
    cx.mode("open", 0o777);
    cx.stranger(|cx| {
        cx.rename("out of a closed directory", "closed/a", "open/a");
        cx.rename("into a closed directory", "open/b", "closed/b");
        cx.rename("inside a closed directory", "closed/a", "closed/c");
        cx.rename("inside an open directory", "open/b", "open/c");
        // Moving another's directory to another parent would change its `..`.
        cx.rename("another's directory, same parent", "open/dir", "open/dir2");
        cx.check("mkdir", fs::create_dir(cx.at("open/his")));
        cx.rename("another's directory, other parent", "open/dir2", "open/his/dir");
        cx.rename("missing in a closed directory", "closed/missing", "open/x");
    });
    if cx.root() {
        cx.check("chown", std::os::unix::fs::chown(cx.at("closed"), Some(STRANGER), None));
    }
    cx.stranger(|cx| cx.rename("out of his own", "closed/a", "open/a"));
    cx.names("open", "open");
    cx.names("closed", "closed");
}

fn rename_storm(cx: &Cx) {
    // Editors and package managers replace files like this; readers must see one or the other, never nothing.
    cx.file("conf", "0000");
    let reader = cx.fork(|cx| {
        let bad = (0..500).filter(|_| !fs::read(cx.at("conf")).is_ok_and(|b| b.len() == 4)).count();
        cx.note("reader saw nothing or a part", bad);
    });
    for i in 0..300 {
        let temporary = cx.file(format!("conf.{}", i % 3), format!("{i:04}"));
        if let Err(error) = fs::rename(temporary, cx.at("conf")) {
            cx.note("writer", error);
        }
    }
    reader.wait();
    cx.contents("last", "conf");
    cx.names("names", ".");
}

fn rename2_noreplace(cx: &Cx) {
    cx.file("a", "a");
    cx.file("b", "b");
    cx.folder("d");
    let flags = RenameFlags::NOREPLACE;
    cx.rename2("exists", "a", "b", flags);
    cx.rename2("exists, dir", "a", "d", flags);
    cx.rename2("itself", "a", "a", flags);
    cx.rename2("missing", "missing", "x", flags);
    cx.rename2("free", "a", "c", flags);
    cx.rename2("free, other directory", "c", "d/c", flags);
    cx.rename2("dir", "d", "e", flags);
    cx.contents("c", "e/c");
    cx.contents("b", "b");
}

fn rename2_exchange(cx: &Cx) {
    cx.file("a", "was a");
    cx.file("b", "was b");
    cx.folder("d/x");
    drop(symlink("b", cx.at("s")));
    let flags = RenameFlags::EXCHANGE;
    cx.rename2("files", "a", "b", flags);
    cx.contents("a", "a");
    cx.contents("b", "b");
    cx.rename2("file and dir", "a", "d", flags);
    cx.stat("a", "a");
    cx.stat("d", "d");
    cx.contents("d", "d");
    cx.stat("a/x", "a/x");
    cx.rename2("file and symlink", "b", "s", flags);
    cx.value("b", fs::read_link(cx.at("b")));
    cx.rename2("across directories", "d", "a/x", flags);
    cx.names("a", "a");
    cx.contents("a/x", "a/x");
    cx.rename2("missing target", "a", "missing", flags);
    cx.rename2("missing source", "missing", "a", flags);
    cx.rename2("with its own child", "a", "a/x", flags);
    cx.rename2("itself", "a", "a", flags);
    let held = fs::OpenOptions::new().read(true).write(true).open(cx.at("s")).expect("open");
    cx.file("t", "t");
    cx.rename2("open file", "s", "t", flags);
    cx.check("write", held.write_all_at(b"WAS", 0));
    cx.contents("t", "t");
    cx.contents("s", "s");
}

fn rename2_whiteout(cx: &Cx) {
    cx.file("a", "a");
    cx.file("b", "b");
    cx.folder("d");
    cx.rename2("move", "a", "c", RenameFlags::WHITEOUT);
    cx.stat("whiteout", "a");
    cx.contents("moved", "c");
    cx.rename2("over", "c", "b", RenameFlags::WHITEOUT);
    cx.stat("whiteout", "c");
    cx.contents("moved", "b");
    cx.rename2("not over", "b", "d", RenameFlags::WHITEOUT | RenameFlags::NOREPLACE);
    cx.rename2("into", "b", "d/b", RenameFlags::WHITEOUT | RenameFlags::NOREPLACE);
    cx.stat("whiteout", "b");
    cx.names("names", ".");
}

fn rename2_flags(cx: &Cx) {
    cx.file("a", "a");
    cx.file("b", "b");
    cx.rename2("exchange, noreplace", "a", "b", RenameFlags::EXCHANGE | RenameFlags::NOREPLACE);
    cx.rename2("exchange, whiteout", "a", "b", RenameFlags::EXCHANGE | RenameFlags::WHITEOUT);
    cx.rename2("unknown", "a", "b", RenameFlags::from_bits_retain(1 << 20));
    cx.rename2("none", "a", "b", RenameFlags::empty());
    cx.names("names", ".");
    cx.file("c", "c");
    cx.stranger(|cx| {
        cx.rename2("stranger exchanges", "b", "c", RenameFlags::EXCHANGE);
        cx.rename2("stranger, noreplace", "b", "d", RenameFlags::NOREPLACE);
    });
}
