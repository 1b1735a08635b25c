//! The acceptance cases of the series (spec section 13.2), on real mounts. Each test names its number there. The daemon is played
//! by the test; programs are those of `bpf/tests/series.bpf.c`, which are built against a header with the series' layouts.
//! Case 25, shared mappings, is among the cases of every operation (`crates/cli/tests/ops/data.rs`).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "skipped tests say why")]

#[path = "../common/mod.rs"]
mod common;
mod mock;

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use common::can_mount;
use fuse_bpf::Errno;
use fuse_bpf::abi::{
    dirent_size, entry, fuse_attr_out, fuse_dirent, fuse_entry_out, fuse_open_out, fuse_read_in,
    fuse_read_out,
};
use fuse_bpf::call::Compat;
use fuse_bpf::filter::Registry;
use mock::*;

const LOOKUP: u32 = 1;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const FLUSH: u32 = 25;
const OPENDIR: u32 = 27;
const READDIR: u32 = 28;
const CREATE: u32 = 35;
const READDIRPLUS: u32 = 44;
const STATX: u32 = 52;

macro_rules! cases {
    ($($(#[$doc:meta])* fn $name:ident() $body:block)*) => {
        $($(#[$doc])* #[test] fn $name() { if can_mount() $body })*
    };
}

/// Hands names that start with `d_` to the daemon.
fn user_set() -> fuse_bpf::filter::FilterSet {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bpf/tests/to_daemon.bpf.o");
    let object = fuse_bpf::filter::FilterObject::load_file(&path, fuse_bpf::worker_slots()).unwrap();
    object.set(None).unwrap()
}

/// A directory record.
fn record(ino: u64, off: u64, name: &str) -> Vec<u8> {
    let header = fuse_dirent { ino, off, namelen: name.len() as u32, r#type: 8 };
    let mut bytes = [zerocopy::IntoBytes::as_bytes(&header), name.as_bytes()].concat();
    bytes.resize(dirent_size(name.len()), 0);
    bytes
}

/// The records of a page: header and name.
fn records(mut page: &[u8]) -> Vec<(fuse_dirent, String)> {
    let mut all = Vec::new();
    while page.len() >= 24 {
        let record: fuse_dirent = at(page, 0);
        let name = String::from_utf8(page[24..24 + record.namelen as usize].to_vec()).unwrap();
        page = &page[dirent_size(name.len())..];
        all.push((record, name));
    }
    all
}

cases! {
    /// 1 basic_test: without anything below, the daemon serves as ever.
    fn basic() {
        let daemon = Mock::new(|heard| match heard.opcode {
            LOOKUP if heard.body == b"test\0" => with(&entry_of(2, libc::S_IFREG | 0o777)),
            OPEN => with(&fuse_open_out { fh: 1, ..Default::default() }),
            READ => bytes("data"),
            FLUSH => bytes(""),
            GETATTR if heard.nodeid == 2 => with(&fuse_attr_out { attr: entry_of(2, libc::S_IFREG | 0o777).attr, ..Default::default() }),
            18 => bytes(""),
            _ => Err(Errno::ENOENT),
        });
        let fixture = Fixture::alone(Registry::default(), daemon);
        assert_eq!(fs::read_to_string(fixture.mnt("test")).unwrap(), "data");
        assert_eq!(at::<fuse_read_in>(&fixture.daemon.heard(READ)[0].body, 0).fh, 1);
        assert_eq!(fixture.daemon.heard(OPEN)[0].nodeid, 2);
        assert_eq!(fixture.daemon.heard(FLUSH).len(), 1);
    }

    /// 2 bpf_test_real, with the layouts of v4 and of v3.
    fn real() {
        for version in ["v4", "v3"] {
            let set = object(version).set(Some("test_trace_ops")).unwrap();
            let fixture = Fixture::over_source(Some(set), Mock::empty());
            let text = "a text that is thirty-nine bytes long..";
            assert_eq!(text.len(), 39);
            fs::write(fixture.src("real"), text).unwrap();
            assert_eq!(fs::read_to_string(fixture.mnt("real")).unwrap(), text);
            assert!(fixture.traced("read"));
        }
    }

    /// 3 bpf_test_partial: the daemon hears of the open afterwards and gives the handle; reads at 0 are its own.
    fn partial() {
        let daemon = Mock::new(|heard| match heard.opcode {
            o if o == OPEN | POSTFILTER => with(&fuse_open_out { fh: 1, ..Default::default() }),
            READ => bytes(pattern(2, 0)),
            _ => Err(Errno::ENOENT),
        });
        let fixture = Fixture::over_source(Some(set("test_trace_ops")), daemon);
        fs::write(fixture.src("partial"), [pattern(1, 0), pattern(1, 1)].concat()).unwrap();
        let file = fs::File::open(fixture.mnt("partial")).unwrap();
        let mut page = vec![0; 4096];
        file.read_exact_at(&mut page, 0).unwrap();
        assert!(page == pattern(2, 0), "the first page is the daemon's");
        file.read_exact_at(&mut page, 4096).unwrap();
        assert!(page == pattern(1, 1), "the second page is from below");
        let post = &fixture.daemon.heard(OPEN | POSTFILTER)[0];
        assert_eq!(post.nodeid, 6);
        // in, out, and the record of the error so far.
        assert_eq!(post.body.len(), 8 + 16 + 16);
        let words: Vec<u32> = post.body[24..].chunks(4).map(|w| u32::from_ne_bytes(w.try_into().unwrap())).collect();
        assert_eq!(words, [16, 33, 0, 0]);
        let read = &fixture.daemon.heard(READ)[0];
        assert_eq!(at::<fuse_read_in>(&read.body, 0).fh, 1);
    }

    /// 4 attrs.
    fn attrs() {
        let fixture = Fixture::over_source(Some(set("test_trace_ops")), Mock::empty());
        fs::write(fixture.src("partial"), "").unwrap();
        let path = fixture.mnt("partial");
        for mode in [0o111, 0o777] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, mode);
        }
        std::os::unix::fs::chown(&path, Some(5), Some(6)).unwrap();
        let meta = fs::metadata(&path).unwrap();
        assert_eq!((meta.uid(), meta.gid()), (5, 6));
    }

    /// 5 readdir: the daemon adds a record, and hears of the end of the directory.
    fn readdir() {
        let daemon = Mock::new(|heard| match heard.opcode {
            o if o == READDIR | POSTFILTER => {
                let out: fuse_read_out = at(&heard.body, 40);
                let mut page = heard.body[56..heard.body.len() - 16].to_vec();
                if !page.is_empty() {
                    page.extend(record(100, 5, "fake"));
                }
                bytes([zerocopy::IntoBytes::as_bytes(&out), &page].concat())
            }
            _ => Err(Errno::ENOENT),
        });
        let fixture = Fixture::over_source(Some(set("test_trace_ops")), daemon);
        fs::write(fixture.src("real"), "").unwrap();
        fs::write(fixture.src("partial"), "").unwrap();
        let mut found = names(&fixture.mnt(""));
        assert!(fixture.traced("opendir"));
        found.sort();
        assert_eq!(found, [".", "..", "fake", "partial", "real"]);
        let pages: Vec<_> = fixture.daemon.heard(READDIR | POSTFILTER).iter().map(|h| records(&h.body[56..h.body.len() - 16]).len()).collect();
        assert_eq!(pages, [4, 0]);
    }

    /// 6 creat: without anything below, the daemon makes files.
    fn creat() {
        let daemon = Mock::new(|heard| match heard.opcode {
            LOOKUP if heard.body == b"show\0" => with(&entry_of(3, libc::S_IFDIR | 0o777)),
            CREATE => {
                let entry = entry_of(9, libc::S_IFREG | 0o777);
                let open = fuse_open_out { fh: 3, ..Default::default() };
                bytes([zerocopy::IntoBytes::as_bytes(&entry), zerocopy::IntoBytes::as_bytes(&open)].concat())
            }
            FLUSH | 18 => bytes(""),
            _ => Err(Errno::ENOENT),
        });
        let fixture = Fixture::alone(Registry::default(), daemon);
        drop(fs::File::create_new(fixture.mnt("show/file")).unwrap());
        let create = &fixture.daemon.heard(CREATE)[0];
        assert_eq!((create.nodeid, &create.body[16..]), (3, &b"file\0"[..]));
        assert_eq!(fixture.daemon.heard(FLUSH).len(), 1);
    }

    /// 7 hidden_entries, with the hidden name tried as well.
    fn hidden_entries() {
        let fixture = Fixture::over_source(Some(set("test_hidden")), Mock::empty());
        for dir in ["show", "hide"] {
            fs::create_dir(fixture.src(dir)).unwrap();
        }
        let mut file = fs::File::create_new(fixture.mnt("show/file")).unwrap();
        assert!(fixture.traced("Create"));
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, 4096).unwrap();
        file.write_all(b"1234").unwrap();
        assert_eq!(fs::metadata(fixture.src("show/file")).unwrap().len(), 4096);
        assert_eq!(errno(fs::metadata(fixture.mnt("hide"))), libc::ENOENT);
        assert_eq!(errno(fs::read_dir(fixture.mnt("hide"))), libc::ENOENT);
        assert_eq!(errno(fs::File::create_new(fixture.mnt("show/hide"))), libc::ENOENT);
        assert!(!fixture.src("show/hide").exists());
    }

    /// 8 dir.
    fn dir() {
        let fixture = Fixture::over_source(Some(set("test_trace_ops")), Mock::empty());
        fs::create_dir(fixture.mnt("dir")).unwrap();
        assert!(fixture.traced("mkdir"));
        assert!(fixture.src("dir").is_dir());
        fs::remove_dir(fixture.mnt("dir")).unwrap();
        assert!(!fixture.src("dir").exists());
    }

    /// 9 and 10 file, closed before and after it is removed.
    fn file() {
        let fixture = Fixture::over_source(Some(set("test_trace_ops")), Mock::empty());
        for early in [true, false] {
            let mut file = Some(fs::File::create_new(fixture.mnt("real")).unwrap());
            assert!(fixture.traced("Create"));
            assert!(fixture.src("real").exists());
            if early {
                file = None;
            }
            fs::remove_file(fixture.mnt("real")).unwrap();
            assert!(fixture.traced("unlink"));
            assert!(!fixture.src("real").exists());
            drop(file);
        }
    }

    /// 11 alter_errcode_bpf, made real: the directory appears behind the mount just after it was looked for in vain.
    fn alter_errcode_bpf() {
        let behind = Arc::new(OnceLock::<PathBuf>::new());
        let dir = Arc::clone(&behind);
        let daemon = Mock::new(move |heard| match heard.opcode {
            o if o == LOOKUP | POSTFILTER => {
                fs::create_dir(dir.get().unwrap()).unwrap();
                bytes("")
            }
            _ => Err(Errno::ENOENT),
        });
        let fixture = Fixture::over_source(Some(set("test_error")), daemon);
        behind.set(fixture.src("doesnotexist")).unwrap();
        fs::create_dir(fixture.mnt("dir")).unwrap();
        assert!(fixture.src("dir").is_dir());
        fs::remove_dir(fixture.mnt("dir")).unwrap();
        assert_eq!(errno(fs::create_dir(fixture.mnt("doesnotexist"))), libc::EPERM);
        assert_eq!(fixture.daemon.heard(LOOKUP | POSTFILTER).len(), 1);
    }

    /// 12 alter_errcode_userspace.
    fn alter_errcode_userspace() {
        let daemon = Mock::new(|heard| match heard.opcode {
            o if o == LOOKUP | POSTFILTER => Err(Errno::ENOMEM),
            _ => Err(Errno::ENOENT),
        });
        let fixture = Fixture::over_source(Some(set("test_error")), daemon);
        assert_eq!(errno(fs::remove_file(fixture.mnt("doesnotexist"))), libc::ENOMEM);
        let heard = &fixture.daemon.heard(LOOKUP | POSTFILTER)[0];
        assert_eq!(&heard.body[..13], b"doesnotexist\0");
        let error = u32::from_ne_bytes(heard.body[heard.body.len() - 8..][..4].try_into().unwrap());
        assert_eq!(error as i32, -libc::ENOENT);
    }

    /// 13 mknod.
    fn mknod() {
        let fixture = Fixture::over_source(Some(set("test_trace_ops")), Mock::empty());
        let mode = rustix::fs::Mode::from_raw_mode(0o666);
        rustix::fs::mknodat(rustix::fs::CWD, fixture.mnt("real"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(fixture.traced("mknod"));
        assert!(fs::metadata(fixture.src("real")).unwrap().file_type().is_fifo());
        fs::remove_file(fixture.mnt("real")).unwrap();
        assert!(fixture.traced("unlink"));
        assert!(!fixture.src("real").exists());
    }

    /// 14 largedir: every walk of a path asks again, 1002 times.
    fn largedir() {
        let daemon = Mock::new(|heard| match heard.opcode {
            o if o == LOOKUP | PREFILTER => bytes(&b"show\0"[..]),
            _ => Err(Errno::ENOENT),
        });
        let fixture = Fixture::over_source(Some(set("trace_ops")), daemon);
        fs::create_dir(fixture.mnt("show")).unwrap();
        for i in 0..1000 {
            drop(fs::File::create_new(fixture.mnt(&format!("show/{i}"))).unwrap());
        }
        let found = fs::read_dir(fixture.mnt("show")).unwrap().count();
        assert_eq!(found, 1000);
        let asked = fixture.daemon.heard(LOOKUP | PREFILTER);
        assert!(asked.iter().all(|heard| heard.body == b"show\0"));
        assert_eq!(asked.len(), 1002);
    }

    /// 15 link.
    fn link() {
        let fixture = Fixture::over_source(Some(set("test_trace_ops")), Mock::empty());
        drop(fs::File::create_new(fixture.mnt("real")).unwrap());
        fs::hard_link(fixture.mnt("real"), fixture.mnt("partial")).unwrap();
        assert!(fixture.traced("link"));
        assert_eq!(fs::metadata(fixture.src("partial")).unwrap().nlink(), 2);
        for name in ["real", "partial"] {
            fs::remove_file(fixture.mnt(name)).unwrap();
            assert!(fixture.traced("unlink"));
        }
    }

    /// 16 symlink.
    fn symlink() {
        let fixture = Fixture::over_source(Some(set("test_trace_ops")), Mock::empty());
        fs::write(fixture.src("real"), "text").unwrap();
        std::os::unix::fs::symlink(fixture.mnt("real"), fixture.mnt("partial")).unwrap();
        assert!(fixture.traced("symlink"));
        assert_eq!(fs::read_to_string(fixture.mnt("partial")).unwrap(), "text");
        assert!(fixture.traced("readlink"));
    }

    /// 17 xattr.
    fn xattr() {
        use rustix::fs::{XattrFlags, getxattr, listxattr, removexattr, setxattr};
        let fixture = Fixture::over_source(Some(set("test_trace_ops")), Mock::empty());
        drop(fs::File::create_new(fixture.mnt("real")).unwrap());
        let (path, name, value) = (fixture.mnt("real"), "user.xattr_test_name", b"this_is_a_test\0");
        let mut buffer = [0u8; 256];
        assert_eq!(getxattr(&path, name, &mut buffer).unwrap_err(), rustix::io::Errno::NODATA);
        assert!(fixture.traced("getxattr"));
        assert_eq!(listxattr(&path, &mut buffer).unwrap(), 0);
        assert!(fixture.traced("listxattr"));
        setxattr(&path, name, value, XattrFlags::CREATE).unwrap();
        assert!(fixture.traced("setxattr"));
        assert_eq!(listxattr(&path, &mut buffer).unwrap(), 21);
        assert_eq!(&buffer[..21], b"user.xattr_test_name\0");
        assert_eq!(getxattr(&path, name, &mut buffer).unwrap(), 15);
        assert_eq!(&buffer[..15], value);
        removexattr(&path, name).unwrap();
        assert!(fixture.traced("removexattr"));
        assert_eq!(getxattr(&path, name, &mut buffer).unwrap_err(), rustix::io::Errno::NODATA);
        fs::remove_file(path).unwrap();
    }

    /// 18 redact_readdir: the daemon keeps one record of a page, asks for the rest, and drops every other name.
    fn redact_readdir() {
        let keep = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&keep);
        let daemon = Mock::new(move |heard| match heard.opcode {
            o if o == READDIR | POSTFILTER => {
                let mut out: fuse_read_out = at(&heard.body, 40);
                let page = records(&heard.body[56..heard.body.len() - 16]);
                let mut answer = Vec::new();
                if let Some((first, name)) = page.first() {
                    let kept = matches!(name.as_str(), "." | "..") || count.fetch_add(1, Ordering::SeqCst) % 2 == 1;
                    let next = page.get(1);
                    out.offset = next.map_or(out.offset, |(next, _)| next.off);
                    out.again = (!kept && next.is_some()).into();
                    if kept {
                        answer = record(first.ino, first.off, name);
                    }
                }
                bytes([zerocopy::IntoBytes::as_bytes(&out), &answer].concat())
            }
            _ => Err(Errno::ENOENT),
        });
        let fixture = Fixture::over_source(Some(set("readdir_redact")), daemon);
        for i in 1..=6 {
            fs::write(fixture.src(&format!("f{i}")), "").unwrap();
        }
        let found = names(&fixture.mnt(""));
        assert_eq!(found.len(), 5, "{found:?}");
        assert_eq!(found.iter().filter(|name| name.starts_with('f')).count(), 3);
        assert_eq!(fixture.daemon.heard(READDIR | POSTFILTER).len(), 9);
    }

    /// 19 set_backing: the daemon puts a file into the tree, with a program set; and
    /// 20 set_backing_no_ioctl: without the descriptor beside it, it does not.
    fn set_backing() {
        let other = tempfile::tempdir().unwrap();
        let path = other.path().join("data");
        fs::write(&path, "data").unwrap();
        for with_descriptor in [true, false] {
            let path = path.clone();
            let daemon = Mock::new(move |heard| match heard.opcode {
                LOOKUP if heard.body == b"test\0" => {
                    let blocks = [block(entry::BPF, "trace_ops"), block(entry::BACKING, "")].concat();
                    let answer = bytes([zerocopy::IntoBytes::as_bytes(&fuse_entry_out::default()), &blocks].concat());
                    if with_descriptor { carrying(answer, OwnedFd::from(fs::File::open(&path).unwrap())) } else { answer }
                }
                _ => Err(Errno::ENOENT),
            });
            let mut registry = Registry::default();
            registry.register(&set("trace_ops")).unwrap();
            let fixture = Fixture::alone(registry, daemon);
            if with_descriptor {
                assert_eq!(fs::read_to_string(fixture.mnt("test")).unwrap(), "data");
                assert!(fixture.traced("Open"));
                assert!(fixture.daemon.heard(OPEN).is_empty());
            } else {
                assert_eq!(errno(fs::File::open(fixture.mnt("test"))), libc::EBADF);
            }
        }
    }

    /// 21 set_backing_folder.
    fn set_backing_folder() {
        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join("file"), "x").unwrap();
        let path = other.path().to_owned();
        let daemon = Mock::new(move |heard| match heard.opcode {
            LOOKUP if heard.body == b"testdir\0" => {
                let blocks = [block(entry::BPF, "trace_ops"), block(entry::BACKING, "")].concat();
                let answer = bytes([zerocopy::IntoBytes::as_bytes(&fuse_entry_out::default()), &blocks].concat());
                carrying(answer, OwnedFd::from(fs::File::open(&path).unwrap()))
            }
            _ => Err(Errno::ENOENT),
        });
        let mut registry = Registry::default();
        registry.register(&set("trace_ops")).unwrap();
        let fixture = Fixture::alone(registry, daemon);
        let mut found = names(&fixture.mnt("testdir"));
        found.sort();
        assert_eq!(found, [".", "..", "file"]);
        assert!(fixture.traced("Open Dir"));
    }

    /// 22 remove_backing: the daemon sees the block of the program, and gives another backing object and no filter.
    fn remove_backing() {
        let other = tempfile::tempdir().unwrap();
        let folder2 = other.path().to_owned();
        fs::write(folder2.join("file1"), "contents2").unwrap();
        let daemon = Mock::new(move |heard| match heard.opcode {
            o if o == LOOKUP | POSTFILTER && heard.body.starts_with(b"folder1\0") => {
                let blocks = [block(entry::REMOVE_BPF, ""), block(entry::BACKING, "")].concat();
                let answer = bytes([&heard.body[8..136], &blocks].concat());
                carrying(answer, OwnedFd::from(fs::File::open(&folder2).unwrap()))
            }
            _ => Err(Errno::ENOENT),
        });
        let fixture = Fixture::over_source(Some(set("passthrough")), daemon);
        fs::create_dir(fixture.src("folder1")).unwrap();
        fs::write(fixture.src("folder1/file1"), "contents1").unwrap();
        assert_eq!(fs::read_to_string(fixture.mnt("folder1/file1")).unwrap(), "contents2");
        let heard = fixture.daemon.heard(LOOKUP | POSTFILTER);
        // The name, the entry, one block of the program, and the error so far.
        assert_eq!(heard[0].body.len(), 8 + 128 + 24 + 16);
        assert_eq!(heard[0].body[136..160], block(entry::REMOVE_BPF, ""));
        assert!(heard.iter().all(|heard| heard.body.starts_with(b"folder1\0")), "nothing filters the file");
    }

    /// 23 dir_rename and 24 file_rename.
    fn rename() {
        let fixture = Fixture::over_source(Some(set("test_trace_ops")), Mock::empty());
        fs::create_dir(fixture.mnt("dir")).unwrap();
        drop(fs::File::create_new(fixture.mnt("dir/file1")).unwrap());
        fs::rename(fixture.mnt("dir/file1"), fixture.mnt("dir/file2")).unwrap();
        assert!(fixture.src("dir/file2").exists());
        fs::rename(fixture.mnt("dir"), fixture.mnt("dir2")).unwrap();
        assert!(!fixture.src("dir").exists() && fixture.src("dir2").is_dir());
    }

    /// 26 readdir_perms_test: listing a directory takes the right to read it.
    fn readdir_permissions() {
        let fixture = Fixture::over_source(None, Mock::empty());
        fs::create_dir(fixture.mnt("test")).unwrap();
        fs::set_permissions(fixture.mnt("test"), fs::Permissions::from_mode(0o111)).unwrap();
        fs::set_permissions(fixture.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let list = std::process::Command::new("setpriv")
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "ls"])
            .arg(fixture.mnt("test"))
            .output()
            .unwrap();
        assert!(!list.status.success());
        assert!(String::from_utf8_lossy(&list.stderr).contains("Permission denied"), "{list:?}");
    }

    /// 27 statfs.
    fn statfs() {
        let fixture = Fixture::over_source(Some(set("test_trace_ops")), Mock::empty());
        let stat = rustix::fs::statfs(fixture.mnt("")).unwrap();
        assert!(fixture.traced("statfs"));
        assert_eq!(stat.f_type as u64, 0x6573_5546);
    }

    /// 28 lseek: what comes to a daemon of a seek is the search for data.
    fn lseek() {
        let fixture = Fixture::over_source(Some(set("test_trace_ops")), Mock::empty());
        fs::write(fixture.src("real"), "1234").unwrap();
        let mut file = fs::File::open(fixture.mnt("real")).unwrap();
        assert_eq!(file.seek(SeekFrom::Start(3)).unwrap(), 3);
        assert_eq!(file.seek(SeekFrom::End(5)).unwrap(), 9);
        assert_eq!(file.seek(SeekFrom::Current(1)).unwrap(), 10);
        assert_eq!(rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(1)).unwrap(), 1);
        assert!(fixture.traced("lseek"));
    }

    /// 29 readdirplus_not_overriding_backing: a record of the daemon's does not take the backing object away.
    fn readdirplus_keeps_backing() {
        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join("content.txt"), "hello world").unwrap();
        let path = other.path().to_owned();
        let folder = || fuse_entry_out { entry_valid: u64::MAX, attr_valid: u64::MAX, ..entry_of(77, libc::S_IFDIR | 0o777) };
        let daemon = Mock::new(move |heard| match heard.opcode {
            LOOKUP if heard.body == b"folder1\0" => {
                let answer = bytes([zerocopy::IntoBytes::as_bytes(&folder()), &block(entry::BACKING, "")].concat());
                carrying(answer, OwnedFd::from(fs::File::open(&path).unwrap()))
            }
            OPENDIR => with(&fuse_open_out { fh: 9, ..Default::default() }),
            READDIRPLUS if at::<fuse_read_in>(&heard.body, 0).offset == 0 => {
                bytes([zerocopy::IntoBytes::as_bytes(&folder()), &record(77, 1, "folder1")].concat())
            }
            READDIRPLUS | READDIR => bytes(""),
            GETATTR => with(&fuse_attr_out { attr: entry_of(1, libc::S_IFDIR | 0o777).attr, ..Default::default() }),
            _ => Err(Errno::ENOENT),
        });
        let fixture = Fixture::alone(Registry::default(), daemon);
        let content = fixture.mnt("folder1/content.txt");
        assert_eq!(fs::read_to_string(&content).unwrap(), "hello world");
        assert_eq!(names(&fixture.mnt("")), ["folder1"]);
        assert_eq!(fixture.daemon.heard(READDIRPLUS).len(), 1, "{:?}", fixture.daemon.heard(READDIR));
        assert_eq!(fs::read_to_string(&content).unwrap(), "hello world");
        assert!(fixture.daemon.heard(OPEN).is_empty());
    }

    /// 30 no_readdirplus_without_nodeid.
    fn no_readdirplus_without_nodeid() {
        let other = tempfile::tempdir().unwrap();
        let path = other.path().to_owned();
        let daemon = Mock::new(move |heard| match heard.opcode {
            LOOKUP if heard.body.starts_with(b"folder") => {
                let nodeid = if heard.body == b"folder1\0" { 0 } else { 10 };
                let blocks = [block(entry::BPF, "readdir_plus"), block(entry::BACKING, "")].concat();
                let out = fuse_entry_out { nodeid, ..Default::default() };
                let dir = path.join(format!("{nodeid}"));
                fs::create_dir_all(&dir).unwrap();
                let answer = bytes([zerocopy::IntoBytes::as_bytes(&out), &blocks].concat());
                carrying(answer, OwnedFd::from(fs::File::open(dir).unwrap()))
            }
            READDIR | READDIRPLUS => Err(Errno::EINVAL),
            _ => Err(Errno::ENOENT),
        });
        let mut registry = Registry::default();
        registry.register(&set("readdir_plus")).unwrap();
        let fixture = Fixture::alone(registry, daemon);
        let list = |name: &str| fs::read_dir(fixture.mnt(name)).and_then(|mut dir| dir.next().transpose());
        assert_eq!(errno(list("folder1")), libc::EINVAL);
        assert_eq!(fixture.daemon.heard(READDIR).iter().map(|h| h.nodeid).collect::<Vec<_>>(), [0]);
        assert!(fixture.daemon.heard(READDIRPLUS).is_empty());
        assert_eq!(errno(list("folder2")), libc::EINVAL);
        assert_eq!(fixture.daemon.heard(READDIRPLUS).iter().map(|h| h.nodeid).collect::<Vec<_>>(), [10]);
    }

    /// 31 revalidate_handle_backing_fd: another descriptor of the same object is the same entry.
    fn revalidate() {
        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join("content.txt"), "hello world").unwrap();
        let path = other.path().to_owned();
        let daemon = Mock::new(move |heard| match heard.opcode {
            LOOKUP if heard.body == b"folder1\0" => {
                let answer = bytes([zerocopy::IntoBytes::as_bytes(&entry_of(88, libc::S_IFDIR | 0o777)), &block(entry::BACKING, "")].concat());
                carrying(answer, OwnedFd::from(fs::File::open(&path).unwrap()))
            }
            _ => Err(Errno::ENOENT),
        });
        let fixture = Fixture::alone(Registry::default(), daemon);
        for _ in 0..3 {
            assert_eq!(fs::read_to_string(fixture.mnt("folder1/content.txt")).unwrap(), "hello world");
        }
        assert_eq!(fixture.daemon.heard(LOOKUP).len(), 3);
    }

    /// 32 lookup_postfilter.
    fn lookup_postfilter() {
        let daemon = Mock::new(|heard| match heard.opcode {
            o if o == LOOKUP | POSTFILTER => {
                let name = heard.body.iter().position(|byte| *byte == 0).unwrap() + 1;
                let error = u32::from_ne_bytes(heard.body[heard.body.len() - 8..][..4].try_into().unwrap()) as i32;
                match &heard.body[..name] {
                    b"file1\0" => Err(Errno::ENOENT),
                    b"file3\0" => {
                        assert_eq!(error, -libc::ENOENT);
                        bytes(&heard.body[name..name + 128])
                    }
                    _ => bytes(&heard.body[name..name + 128]),
                }
            }
            _ => Err(Errno::ENOENT),
        });
        let fixture = Fixture::over_source(Some(set("lookup_post")), daemon);
        fs::write(fixture.src("file1"), "1").unwrap();
        fs::write(fixture.src("file2"), "2").unwrap();
        assert_eq!(errno(fs::File::open(fixture.mnt("file1"))), libc::ENOENT);
        assert_eq!(fs::read_to_string(fixture.mnt("file2")).unwrap(), "2");
        assert_eq!(errno(fs::File::open(fixture.mnt("file3"))), libc::ENOENT);
        assert_eq!(fixture.daemon.heard(LOOKUP | POSTFILTER).len(), 3);
    }

    /// 13.6 mkdir_and_remove_bpf, create_and_remove_bpf: what a lookup attached to a name that did not exist is given to
    /// what is made there.
    fn blocks_on_a_missing_name_are_kept_for_what_is_made() {
        let fixture = Fixture::over_source(Some(set("passthrough")), Mock::new(|_| bytes("")));
        fs::create_dir(fixture.mnt("made")).unwrap();
        drop(fs::File::create_new(fixture.mnt("made/inner")).unwrap());
        drop(fs::File::create_new(fixture.mnt("file")).unwrap());
        let asked: Vec<String> = fixture
            .daemon
            .heard(LOOKUP | POSTFILTER)
            .iter()
            .map(|heard| String::from_utf8_lossy(heard.body.split(|byte| *byte == 0).next().unwrap()).into_owned())
            .collect();
        assert!(asked.contains(&"made".to_owned()) && asked.contains(&"file".to_owned()), "{asked:?}");
        // The new directory has no set, so nothing in it is asked about.
        assert!(!asked.contains(&"inner".to_owned()), "{asked:?}");
    }

    /// 13.6 concurrent_create_excl: of twenty that make the same name, one does.
    fn concurrent_create() {
        let daemon = Mock::new(|heard| match heard.opcode {
            o if o == LOOKUP | PREFILTER => bytes(heard.body.clone()),
            _ => Err(Errno::ENOENT),
        });
        let fixture = Fixture::over_source(Some(set("trace_ops")), daemon);
        for round in 0..20 {
            let path = fixture.mnt(&format!("f{round}"));
            let racers: Vec<_> = (0..20)
                .map(|_| {
                    let path = path.clone();
                    std::thread::spawn(move || fs::File::create_new(path).map(drop).map_err(|error| error.raw_os_error()))
                })
                .collect();
            let results: Vec<_> = racers.into_iter().map(|racer| racer.join().unwrap()).collect();
            assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
            assert!(results.iter().all(|result| matches!(result, Ok(()) | Err(Some(libc::EEXIST)))), "{results:?}");
        }
    }

    /// 13.6 copy_file_range_test: from and to the daemon's files and those below, all four ways. The series falls back to
    /// reading and writing where one side is not below; so does the kernel here.
    fn copies_between_the_daemon_and_below() {
        let stored = Arc::new(std::sync::Mutex::new(b"from the daemon".to_vec()));
        let content = Arc::clone(&stored);
        let daemon = Mock::new(move |heard| {
            let mut content = content.lock().unwrap();
            let attr = |nodeid, size: usize| fuse_attr_out {
                attr: fuse_bpf::abi::fuse_attr { size: size as u64, ..entry_of(nodeid, libc::S_IFREG | 0o644).attr },
                ..Default::default()
            };
            match heard.opcode {
                LOOKUP if heard.body.starts_with(b"d_") => {
                    let nodeid = if heard.body == b"d_1\0" { 11 } else { 12 };
                    with(&fuse_entry_out { attr: attr(nodeid, content.len()).attr, ..entry_of(nodeid, libc::S_IFREG | 0o644) })
                }
                OPEN => with(&fuse_open_out { fh: 1, open_flags: 1, padding: 0 }),
                READ => {
                    let read: fuse_read_in = at(&heard.body, 0);
                    let from = (read.offset as usize).min(content.len());
                    let to = (from + read.size as usize).min(content.len());
                    bytes(&content[from..to])
                }
                16 => {
                    let write: fuse_bpf::abi::fuse_write_in = at(&heard.body, 0);
                    *content = heard.body[40..].to_vec();
                    with(&fuse_bpf::abi::fuse_write_out { size: write.size, padding: 0 })
                }
                GETATTR | 4 => with(&attr(heard.nodeid, content.len())),
                FLUSH | 18 => bytes(""),
                _ => Err(Errno::ENOSYS),
            }
        });
        let fixture = Fixture::over_source(Some(user_set()), daemon);
        for name in ["below1", "below2"] {
            fs::write(fixture.src(name), "from below").unwrap();
        }
        let copy = |from: &str, to: &str| {
            let from = fs::File::open(fixture.mnt(from)).unwrap();
            let to = fs::File::options().write(true).open(fixture.mnt(to)).unwrap();
            rustix::fs::copy_file_range(&from, None, &to, None, 100).unwrap()
        };
        assert_eq!(copy("below1", "below2"), 10);
        assert_eq!(copy("d_1", "d_2"), 15);
        assert_eq!(copy("d_1", "below1"), 15);
        assert_eq!(fs::read_to_string(fixture.src("below1")).unwrap(), "from the daemon");
        assert_eq!(copy("below2", "d_1"), 10);
        assert_eq!(*stored.lock().unwrap(), b"from below");
    }

    /// 13.6 inotify_test: what happens through the mount is told to those who watch it there.
    fn inotify() {
        use rustix::fs::inotify;
        let fixture = Fixture::over_source(Some(set("test_hidden")), Mock::empty());
        fs::write(fixture.src("file"), "x").unwrap();
        let watcher = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
        inotify::add_watch(&watcher, fixture.mnt(""), inotify::WatchFlags::CREATE | inotify::WatchFlags::MODIFY).unwrap();
        fs::write(fixture.mnt("file"), "new").unwrap();
        drop(fs::File::create_new(fixture.mnt("other")).unwrap());
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&watcher, &mut buffer);
        let mut seen = Vec::new();
        while let Ok(event) = reader.next() {
            seen.push((event.events(), event.file_name().map(|name| name.to_string_lossy().into_owned())));
        }
        let saw = |event, name: &str| seen.iter().any(|(events, file)| events.contains(event) && file.as_deref() == Some(name));
        assert!(saw(inotify::ReadFlags::MODIFY, "file") && saw(inotify::ReadFlags::CREATE, "other"), "{seen:?}");
    }

    /// 13.6 follow_mounts: what is mounted below is seen.
    fn mounts_below_are_followed() {
        let fixture = Fixture::over_source(Some(set("test_hidden")), Mock::empty());
        fs::create_dir(fixture.src("below")).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        if let Err(error) = rustix::mount::mount("none", fixture.src("below"), "tmpfs", flags, None) {
            println!("skipped: no tmpfs can be mounted here: {error}");
            return;
        }
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            fs::write(fixture.mnt("below/file"), "there").unwrap();
            assert_eq!(fs::read_to_string(fixture.src("below/file")).unwrap(), "there");
            assert_eq!(errno(fs::metadata(fixture.mnt("below/hide"))), libc::ENOENT);
            let (root, below) = (fs::metadata(fixture.mnt("")).unwrap(), fs::metadata(fixture.mnt("below")).unwrap());
            assert_ne!(root.ino(), below.ino());
        }));
        rustix::mount::unmount(fixture.src("below"), rustix::mount::UnmountFlags::DETACH).unwrap();
        result.unwrap();
    }

    /// What filters change counts, and with `compat=v4` only where it does in v4.
    fn compat() {
        let load = || {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bpf/tests/compat.bpf.o");
            fuse_bpf::filter::FilterObject::load_file(&path, fuse_bpf::worker_slots()).unwrap().set(None).unwrap()
        };
        for v4 in [false, true] {
            let compat = if v4 { Compat::V4 } else { Compat::None };
            let fixture = Fixture::compatible(load(), compat);
            fs::create_dir(fixture.mnt("dir")).unwrap();
            let mode = |name: &str| fs::metadata(fixture.src(name)).unwrap().mode() & 0o777;
            assert_eq!(mode("dir"), 0o700, "in both");
            std::os::unix::fs::symlink("target", fixture.mnt("link")).unwrap();
            let target = fs::read_link(fixture.src("link")).unwrap();
            assert_eq!(target.to_str(), Some(if v4 { "target" } else { "other" }));
            fs::write(fixture.src("file"), "0123456789").unwrap();
            let text = fs::read_to_string(fixture.mnt("file")).unwrap();
            assert!(if v4 { text == "0123456789" } else { text.starts_with("X3456789") }, "{text}");
            fs::set_permissions(fixture.mnt("file"), fs::Permissions::from_mode(0o666)).unwrap();
            assert_eq!(mode("file"), 0o660, "in both");
            std::os::unix::fs::chown(fixture.mnt("file"), Some(1234), None).unwrap();
            assert_eq!(fs::metadata(fixture.src("file")).unwrap().uid(), if v4 { 1234 } else { 0 });
            assert_eq!(fs::metadata(fixture.mnt("file")).unwrap().nlink(), 7, "in both");
            // Not told of the error, the program fails with its own; told, it undoes it.
            let removed = rustix::fs::removexattr(fixture.mnt("file"), "user.none");
            assert_eq!(removed, if v4 { Err(rustix::io::Errno::PERM) } else { Ok(()) });
        }
    }

    /// What the daemon tells the kernel unasked comes through, and so does the kernel's answer.
    fn notifications() {
        const NOTIFY_REPLY: u32 = 41;
        let file = || fuse_entry_out { entry_valid: 3600, attr_valid: 3600, ..entry_of(5, libc::S_IFREG | 0o644) };
        let daemon = Mock::new(move |heard| match heard.opcode {
            LOOKUP if heard.body == b"file\0" => with(&file()),
            OPEN => with(&fuse_open_out { fh: 1, open_flags: 2, padding: 0 }),
            FLUSH | 18 => bytes(""),
            READ => bytes(&b"old!"[..]),
            GETATTR => with(&fuse_attr_out { attr: file().attr, attr_valid: 3600, ..Default::default() }),
            STATX => Err(Errno::ENOSYS),
            _ => Err(Errno::ENOENT),
        });
        let fixture = Fixture::alone(Registry::default(), daemon);
        let path = fixture.mnt("file");
        fs::metadata(&path).unwrap();
        fs::metadata(&path).unwrap();
        assert_eq!(fixture.daemon.heard(LOOKUP).len(), 1, "the daemon said the name stays");
        let words = |words: &[u64]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>();
        // FUSE_NOTIFY_INVAL_ENTRY: the parent, the length of the name.
        fixture.daemon.notifier().pass_on(3, &[words(&[1, 4]), b"file\0".to_vec()].concat());
        fs::metadata(&path).unwrap();
        assert_eq!(fixture.daemon.heard(LOOKUP).len(), 2, "the name was taken back");
        // FUSE_NOTIFY_STORE: inode, offset, size; then the data.
        let open = fs::File::open(&path).unwrap();
        fixture.daemon.notifier().pass_on(4, &[words(&[5, 0, 4]), b"new!".to_vec()].concat());
        let mut text = [0; 4];
        open.read_exact_at(&mut text, 0).unwrap();
        assert_eq!(&text, b"new!");
        assert!(fixture.daemon.heard(READ).is_empty(), "the page was there");
        // FUSE_NOTIFY_RETRIEVE: a number, inode, offset, size.
        fixture.daemon.notifier().pass_on(5, &words(&[77, 5, 0, 4]));
        let retrieved = (0..200).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            fixture.daemon.heard(NOTIFY_REPLY).pop()
        });
        let retrieved = retrieved.unwrap();
        assert_eq!(retrieved.nodeid, 5);
        assert!(retrieved.body.ends_with(b"new!"), "{retrieved:?}");
        // What makes no sense is dropped.
        fixture.daemon.notifier().pass_on(3, b"short");
        fixture.daemon.notifier().pass_on(99, &[]);
        fixture.daemon.notifier().pass_on(2, &words(&[4711, 0, 0]));
        assert_eq!(fs::metadata(&path).unwrap().len(), 4);
    }

    /// Lookups the daemon answered are given back when the kernel forgets, and nothing is kept.
    fn forgotten() {
        let daemon = Mock::new(|heard| match heard.opcode {
            LOOKUP if heard.body.starts_with(b"f") => {
                let number: u64 = std::str::from_utf8(&heard.body[1..heard.body.len() - 1]).unwrap().parse().unwrap();
                with(&entry_of(100 + number, libc::S_IFREG | 0o644))
            }
            GETATTR => with(&fuse_attr_out { attr: entry_of(heard.nodeid, libc::S_IFREG | 0o644).attr, ..Default::default() }),
            STATX => Err(Errno::ENOSYS),
            _ => Err(Errno::ENOENT),
        });
        let fixture = Fixture::alone(Registry::default(), daemon);
        for i in 0..50 {
            fs::metadata(fixture.mnt(&format!("f{}", i % 25))).unwrap();
        }
        let link = fixture.mount().server().daemon().unwrap();
        let all = (0..500).any(|_| {
            fs::write("/proc/sys/vm/drop_caches", "2").unwrap();
            std::thread::sleep(std::time::Duration::from_millis(10));
            link.inodes() == 0
        });
        assert!(all, "{} inodes of the daemon's are still known", link.inodes());
        let count = |heard: &Heard| u64::from_ne_bytes(heard.body[..8].try_into().unwrap());
        let given_back: u64 = fixture.daemon.heard(2).iter().map(count).sum();
        assert_eq!(given_back, fixture.daemon.heard(LOOKUP).len() as u64);
        assert!(link.handles().is_empty());
    }
}

/// A page of bytes that tell which page it is.
fn pattern(tag: u8, page: u8) -> Vec<u8> {
    (0..4096u32).map(|i| (i as u8).wrapping_mul(7) ^ tag ^ (page << 4)).collect()
}
