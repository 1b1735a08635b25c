//! Extended attributes and access control lists.

use super::cases;
use crate::twin::{Cx, STRANGER, USER, chmod, digest, sys};
use rustix::fs::{CWD, FileType, Mode, OFlags, XattrFlags, mknodat, open};
use std::fs;
use std::io;
use std::os::unix::fs::symlink;

cases! {
    SETXATTR: setxattr_flags, setxattr_sizes, setxattr_namespaces, setxattr_kinds, acl_access, acl_mask, acl_errors;
    GETXATTR: getxattr_sizes, getxattr_permission, acl_default;
    LISTXATTR: listxattr_names;
    REMOVEXATTR: removexattr_names;
}

impl Cx {
    fn set(&self, label: &str, name: &str, xattr: &str, value: &[u8], flags: XattrFlags) {
        self.check(label, rustix::fs::lsetxattr(self.at(name), xattr, value, flags));
    }

    fn put(&self, name: &str, xattr: &str, value: &[u8]) {
        self.set(&format!("set {xattr} of {name}"), name, xattr, value, XattrFlags::empty());
    }

    fn get(&self, label: &str, name: &str, xattr: &str) {
        let mut value = vec![0; 65536];
        let got = rustix::fs::lgetxattr(self.at(name), xattr, &mut value[..]);
        self.value(label, got.map(|len| digest(&value[..len])));
        self.value("its size", sys::xattr_size(&self.at(name), xattr));
    }

    fn list(&self, label: &str, name: &str) {
        let mut names = vec![0; 65536];
        let got = rustix::fs::llistxattr(self.at(name), &mut names[..]).map(|len| {
            let mut all: Vec<_> =
                names[..len].split(|b| *b == 0).map(|n| n.escape_ascii().to_string()).collect();
            all.sort();
            all.join(" ")
        });
        self.value(label, got);
        self.value("their size", sys::xattr_list_size(&self.at(name)));
    }
}

const ANY: XattrFlags = XattrFlags::empty();

fn setxattr_flags(cx: &Cx) {
    cx.file("f", "");
    cx.set("replace what is absent", "f", "user.a", b"1", XattrFlags::REPLACE);
    cx.set("create", "f", "user.a", b"2", XattrFlags::CREATE);
    cx.set("create what is there", "f", "user.a", b"3", XattrFlags::CREATE);
    cx.get("value", "f", "user.a");
    cx.set("replace", "f", "user.a", b"four", XattrFlags::REPLACE);
    cx.get("value", "f", "user.a");
    cx.set("any", "f", "user.a", b"", ANY);
    cx.get("empty value", "f", "user.a");
    cx.set("both flags", "f", "user.b", b"x", XattrFlags::CREATE | XattrFlags::REPLACE);
    cx.set("unknown flag", "f", "user.c", b"x", XattrFlags::from_bits_retain(8));
    cx.list("names", "f");
    let file = fs::File::open(cx.at("f")).expect("open");
    cx.check("by descriptor", rustix::fs::fsetxattr(&file, "user.d", b"by fd", ANY));
    cx.check("unlink", fs::remove_file(cx.at("f")));
    cx.check("unlinked", rustix::fs::fsetxattr(&file, "user.e", b"gone", ANY));
    let mut value = [0; 10];
    cx.value("unlinked", rustix::fs::fgetxattr(&file, "user.e", &mut value));
}

fn setxattr_sizes(cx: &Cx) {
    for len in [1, 100, 3000, 4000, 5000, 65_535, 65_536, 65_537] {
        let name = format!("f{len}");
        cx.file(&name, "");
        cx.set(&format!("{len} bytes"), &name, "user.big", &vec![b'v'; len], ANY);
        cx.get("value", &name, "user.big");
    }
    cx.file("many", "");
    for i in 0..60 {
        cx.set(&format!("many {i}"), "many", &format!("user.{i}"), format!("value {i}").as_bytes(), ANY);
    }
    cx.list("many", "many");
    let long = "n".repeat(250);
    cx.set("name of 255", "many", &format!("user.{long}"), b"", ANY);
    cx.set("name of 256", "many", &format!("user.{long}n"), b"", ANY);
    cx.get("name of 256", "many", &format!("user.{long}n"));
}

fn setxattr_namespaces(cx: &Cx) {
    cx.file("f", "");
    for name in
        ["user.x", "trusted.x", "security.x", "system.x", "none.x", "user.", "user", "trusted.overlay.opaque"]
    {
        cx.set(name, "f", name, b"1", ANY);
        cx.get(name, "f", name);
    }
    cx.list("names", "f");
    cx.mode("f", 0o666);
    cx.stranger(|cx| {
        cx.set("stranger, trusted", "f", "trusted.y", b"1", ANY);
        cx.get("stranger, trusted", "f", "trusted.x");
        cx.get("stranger, security", "f", "security.x");
        cx.set("stranger, security", "f", "security.y", b"1", ANY);
        cx.set("stranger, user", "f", "user.y", b"1", ANY);
        cx.list("stranger", "f");
    });
    // version 2, no capabilities: what setcap writes.
    let capability = [0, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    cx.set("capability", "f", "security.capability", &capability, ANY);
    cx.get("capability", "f", "security.capability");
    cx.check("write", fs::write(cx.at("f"), "drops it"));
    cx.get("capability after a write", "f", "security.capability");
}

fn setxattr_kinds(cx: &Cx) {
    cx.folder("dir");
    drop(symlink("dir", cx.at("symlink")));
    let _ = mknodat(CWD, cx.at("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0);
    for name in ["dir", "symlink", "fifo"] {
        for xattr in ["user.x", "trusted.x"] {
            cx.put(name, xattr, b"1");
            cx.get(name, name, xattr);
        }
        cx.list(name, name);
    }
    cx.check("followed", rustix::fs::setxattr(cx.at("symlink"), "user.followed", b"1", ANY));
    cx.get("followed", "dir", "user.followed");
    cx.put("missing", "user.x", b"");
    cx.mode("dir", 0o1777);
    cx.stranger(|cx| cx.put("dir", "user.sticky", b"1"));
    cx.mode("dir", 0o755);
}

fn getxattr_sizes(cx: &Cx) {
    cx.file("f", "");
    cx.put("f", "user.ten", b"0123456789");
    for len in [1, 9, 10, 11, 100] {
        let mut value = vec![0; len];
        let got = rustix::fs::getxattr(cx.at("f"), "user.ten", &mut value[..]);
        cx.value(&format!("into {len}"), got);
        cx.note("value", value.escape_ascii());
    }
    cx.get("absent", "f", "user.absent");
    cx.get("missing file", "missing", "user.x");
    cx.drop_caches();
    cx.get("kept", "f", "user.ten");
    cx.check("rename", fs::rename(cx.at("f"), cx.at("g")));
    cx.get("renamed", "g", "user.ten");
    cx.check("link", fs::hard_link(cx.at("g"), cx.at("h")));
    cx.put("h", "user.ten", b"by the other name");
    cx.get("linked", "g", "user.ten");
}

fn getxattr_permission(cx: &Cx) {
    for mode in [0o600, 0o604, 0o602, 0o606] {
        let name = format!("f{mode:o}");
        cx.file(&name, "");
        cx.put(&name, "user.x", b"1");
        cx.mode(&name, mode);
        cx.stranger(|cx| {
            cx.get("stranger gets", &name, "user.x");
            cx.put(&name, "user.x", b"2");
            cx.list("stranger lists", &name);
            cx.check("stranger removes", rustix::fs::removexattr(cx.at(&name), "user.x"));
        });
    }
    cx.file("f444", "");
    cx.mode("f444", 0o444);
    cx.put("f444", "user.x", b"owner, read-only file");
    cx.mode("f444", 0);
    cx.get("mode 0", "f444", "user.x");
}

fn listxattr_names(cx: &Cx) {
    cx.file("f", "");
    cx.list("none", "f");
    for name in ["user.a", "user.bb", "user.\u{20ac}", "trusted.t"] {
        cx.put("f", name, b"v");
    }
    cx.list("some", "f");
    for len in [1, 10, 24, 25, 100] {
        cx.value(&format!("into {len}"), rustix::fs::listxattr(cx.at("f"), &mut vec![0u8; len][..]));
    }
    cx.list("missing", "missing");
    cx.stranger(|cx| cx.list("stranger", "f"));
    let file = fs::File::open(cx.at("f")).expect("open");
    cx.value("by descriptor", rustix::fs::flistxattr(&file, &mut [0u8; 1000]));
}

fn removexattr_names(cx: &Cx) {
    cx.file("f", "");
    cx.put("f", "user.a", b"1");
    cx.put("f", "user.b", b"2");
    let remove = |label: &str, name: &str| cx.check(label, rustix::fs::lremovexattr(cx.at("f"), name));
    remove("there", "user.a");
    remove("twice", "user.a");
    remove("never there", "user.c");
    remove("no namespace", "a");
    remove("trusted", "trusted.a");
    remove("unknown namespace", "none.a");
    cx.check("missing file", rustix::fs::removexattr(cx.at("missing"), "user.a"));
    cx.list("left", "f");
    let file = fs::File::open(cx.at("f")).expect("open");
    cx.check("by descriptor", rustix::fs::fremovexattr(&file, "user.b"));
    cx.list("left", "f");
}

/// Entry tags of `linux/posix_acl.h`.
const USER_OBJ: u16 = 1;
const USER_ID: u16 = 2;
const GROUP_OBJ: u16 = 4;
const GROUP_ID: u16 = 8;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;
/// The id of entries that need none.
const NOBODY: u32 = u32::MAX;

/// An access control list as extended attributes carry it.
fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

const ACCESS: &str = "system.posix_acl_access";
const DEFAULT: &str = "system.posix_acl_default";

fn acl_access(cx: &Cx) {
    cx.file("f", "secret");
    cx.mode("f", 0o600);
    let list = acl(&[
        (USER_OBJ, 6, NOBODY),
        (USER_ID, 4, STRANGER),
        (GROUP_OBJ, 0, NOBODY),
        (GROUP_ID, 6, 777),
        (MASK, 6, NOBODY),
        (OTHER, 0, NOBODY),
    ]);
    cx.put("f", ACCESS, &list);
    cx.get("list", "f", ACCESS);
    cx.stat("mode shows the mask", "f");
    cx.list("names", "f");
    let tries = |cx: &Cx| {
        cx.contents("read", "f");
        cx.check("write", fs::OpenOptions::new().append(true).open(cx.at("f")));
        cx.check("change the list", rustix::fs::setxattr(cx.at("f"), ACCESS, &list, ANY));
    };
    cx.stranger(tries);
    cx.user(STRANGER + 1, STRANGER + 1, &[], tries);
    cx.user(STRANGER + 1, STRANGER + 1, &[777], tries);
    cx.check("remove", rustix::fs::removexattr(cx.at("f"), ACCESS));
    cx.stat("mode stays", "f");
    cx.get("list", "f", ACCESS);
    cx.stranger(tries);
    cx.put("f", ACCESS, &acl(&[(USER_OBJ, 7, NOBODY), (GROUP_OBJ, 5, NOBODY), (OTHER, 1, NOBODY)]));
    cx.stat("a list that is only a mode", "f");
    cx.get("is not kept", "f", ACCESS);
}

fn acl_mask(cx: &Cx) {
    cx.file("f", "x");
    let list = acl(&[
        (USER_OBJ, 7, NOBODY),
        (USER_ID, 7, STRANGER),
        (GROUP_OBJ, 5, NOBODY),
        (MASK, 7, NOBODY),
        (OTHER, 0, NOBODY),
    ]);
    cx.put("f", ACCESS, &list);
    for mode in [0o770, 0o740, 0o700, 0o777, 0o2750] {
        cx.check("chmod", chmod(&cx.at("f"), mode));
        cx.stat("stat", "f");
        cx.get("list", "f", ACCESS);
        cx.stranger(|cx| {
            cx.contents("read", "f");
            cx.check("write", fs::OpenOptions::new().append(true).open(cx.at("f")));
        });
    }
}

fn acl_default(cx: &Cx) {
    cx.folder("dir");
    let list = acl(&[
        (USER_OBJ, 7, NOBODY),
        (USER_ID, 7, USER),
        (USER_ID, 5, STRANGER),
        (GROUP_OBJ, 5, NOBODY),
        (MASK, 7, NOBODY),
        (OTHER, 1, NOBODY),
    ]);
    cx.put("dir", DEFAULT, &list);
    cx.get("default", "dir", DEFAULT);
    cx.stat("dir", "dir");
    // With a default list the umask does not count.
    rustix::process::umask(Mode::from_raw_mode(0o077));
    cx.check("mkdir", fs::create_dir(cx.at("dir/sub")));
    cx.check("deeper", fs::create_dir(cx.at("dir/sub/deep")));
    cx.check("file", open(cx.at("dir/file"), OFlags::CREATE | OFlags::WRONLY, Mode::from_raw_mode(0o664)));
    cx.check(
        "executable",
        open(cx.at("dir/exe"), OFlags::CREATE | OFlags::WRONLY, Mode::from_raw_mode(0o700)),
    );
    cx.check("fifo", mknodat(CWD, cx.at("dir/fifo"), FileType::Fifo, Mode::from_raw_mode(0o666), 0));
    cx.check("symlink", symlink("x", cx.at("dir/symlink")));
    let unnamed = open(cx.at("dir"), OFlags::TMPFILE | OFlags::RDWR, Mode::from_raw_mode(0o666));
    cx.value("unnamed", unnamed.and_then(|f| rustix::fs::fstat(&f)).map(|s| s.st_mode));
    for name in ["dir/sub", "dir/sub/deep", "dir/file", "dir/exe", "dir/fifo", "dir/symlink"] {
        cx.stat(name, name);
        cx.get("access list", name, ACCESS);
        cx.get("default list", name, DEFAULT);
    }
    cx.check("remove", rustix::fs::removexattr(cx.at("dir"), DEFAULT));
    cx.check("file, with the umask", fs::write(cx.at("dir/plain"), ""));
    cx.stat("plain", "dir/plain");
    rustix::process::umask(Mode::from_raw_mode(0o022));
}

fn acl_errors(cx: &Cx) {
    cx.file("f", "");
    cx.folder("dir");
    drop(symlink("f", cx.at("symlink")));
    let full = acl(&[
        (USER_OBJ, 6, NOBODY),
        (USER_ID, 4, STRANGER),
        (GROUP_OBJ, 4, NOBODY),
        (MASK, 4, NOBODY),
        (OTHER, 0, NOBODY),
    ]);
    cx.put("f", DEFAULT, &full);
    cx.put("symlink", ACCESS, &full);
    cx.put("f", ACCESS, b"nonsense");
    cx.put("f", ACCESS, &acl(&[(USER_OBJ, 6, NOBODY)]));
    cx.put(
        "f",
        ACCESS,
        &acl(&[(USER_OBJ, 6, NOBODY), (USER_ID, 4, 1), (GROUP_OBJ, 4, NOBODY), (OTHER, 0, NOBODY)]),
    );
    cx.put("f", ACCESS, &1u32.to_le_bytes());
    cx.put("f", ACCESS, b"");
    cx.get("none", "f", ACCESS);
    cx.get("none", "dir", DEFAULT);
    cx.check("remove none", rustix::fs::removexattr(cx.at("dir"), DEFAULT));
    cx.stranger(|cx| cx.put("f", ACCESS, &full));
    cx.check("the kernel's tools agree", tools(cx));
}

/// setfacl(1) and getfacl(1), where they are installed.
fn tools(cx: &Cx) -> io::Result<()> {
    use std::process::Command;
    let rule = format!("u:{STRANGER}:rw,d:g:777:rx");
    match Command::new("setfacl").arg("-m").arg(rule).arg(cx.at("dir")).output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(output) => cx.note("setfacl", String::from_utf8_lossy(&output.stderr)),
    }
    let output = Command::new("getfacl").args(["-n", "-c", "-p"]).arg(cx.at("dir")).output()?;
    cx.note("getfacl", String::from_utf8_lossy(&output.stdout));
    Ok(())
}
