//! For each operation: a system call that causes it, what is edited, and what then is seen.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use fuse_bpf::abi::*;
use fuse_bpf::ops::{FILTERS, Filter, OutArg};
use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags, RenameFlags, SeekFrom, XattrFlags};
use rustix::io::Errno as Os;
use zerocopy::IntoBytes;

use crate::model::{Case, Verdict};
use crate::world::*;

/// What the caller sees: something to compare, or an errno.
pub(crate) type Outcome = Result<String, i32>;

/// What is changed of an argument.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edit {
    /// Number of the argument after `meta`, from 1.
    pub(crate) place: u32,
    /// Words of a struct, and what each becomes.
    pub(crate) words: &'static [(usize, u32)],
    /// Bits that are set in a word.
    pub(crate) bits: &'static [(usize, u32)],
    /// What a buffer becomes.
    pub(crate) text: fn() -> Vec<u8>,
}

const fn words(place: u32, words: &'static [(usize, u32)]) -> Option<Edit> {
    Some(Edit { place, words, bits: &[], text: Vec::new })
}

const fn text(place: u32, text: fn() -> Vec<u8>) -> Option<Edit> {
    Some(Edit { place, words: &[], bits: &[], text })
}

impl Edit {
    /// The rule that makes it.
    pub(crate) fn rule(&self, value: u32) -> Rule {
        let mut rule = Rule { value, place: self.place, ..NO_RULE };
        for (word, to) in self.words {
            (rule.keep[*word], rule.put[*word]) = (0, *to);
        }
        for (word, bits) in self.bits {
            rule.put[*word] |= bits;
        }
        let text = (self.text)();
        rule.size = text.len() as u32;
        rule.text[..text.len()].copy_from_slice(&text);
        rule
    }

    /// Makes it in the bytes of a struct.
    pub(crate) fn apply(&self, bytes: &mut [u8]) {
        let rule = self.rule(0);
        for ((word, keep), put) in bytes.chunks_exact_mut(4).zip(rule.keep).zip(rule.put) {
            let old = u32::from_ne_bytes((&*word).try_into().unwrap());
            word.copy_from_slice(&((old & keep) | put).to_ne_bytes());
        }
    }
}

/// Whose number filters see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    Directory,
    File,
    /// Nobody's: the inode was given none.
    Nobody,
}

/// What is open before, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Open {
    Nothing,
    /// `f`, for reading and writing; `g` beside it where it is needed.
    File,
    /// The scene's directory.
    Directory,
}

/// What happened to a name below.
pub(crate) type Change = (&'static str, Option<&'static str>);

/// How an operation is tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Driver {
    /// The row of the table.
    pub(crate) member: &'static str,
    /// Tells apart several drivers of a row.
    pub(crate) variant: &'static str,
    /// The set of the mount, if not the one with or without a `default_filter`: one without.
    pub(crate) set: Option<usize>,
    /// As filters see it, if not the row's.
    pub(crate) opcode: Option<u32>,
    pub(crate) on: On,
    pub(crate) open: Open,
    pub(crate) act: fn(&World, &mut Scene) -> Outcome,
    /// The operations below by which it is done, any of which is made to fail.
    pub(crate) below: &'static [u32],
    /// Why the operation cannot be made to fail below.
    pub(crate) cannot_fail: Option<&'static str>,
    /// The error it ends with, always, and the kernel then does it in another way.
    pub(crate) replaced: Option<i32>,
    /// Whether the caller never hears how it ended.
    pub(crate) ignored: bool,
    /// What is edited before and after. An edit that changes nothing is promised to change nothing: handles of the kernel's,
    /// buffers that cannot be replaced.
    pub(crate) edit_in: Option<Edit>,
    pub(crate) edit_out: Option<Edit>,
    /// What the caller sees, by whether arguments and results were edited.
    pub(crate) outcome: fn(bool, bool) -> Result<&'static str, i32>,
    /// What has changed below, by whether arguments were edited.
    pub(crate) changes: fn(bool) -> &'static [Change],
    /// A number in the struct below which shows an edit, and what it is without and with it.
    pub(crate) word: Option<(usize, [u32; 2])>,
    /// What the daemon answers, and what the caller sees of it.
    pub(crate) answer: fn(&Heard) -> Vec<u8>,
    pub(crate) by_daemon: &'static str,
}

const PLAIN: Driver = Driver {
    member: "",
    variant: "",
    set: None,
    opcode: None,
    on: On::File,
    open: Open::Nothing,
    act: |_, _| Ok(String::new()),
    below: &[],
    cannot_fail: None,
    replaced: None,
    ignored: false,
    edit_in: None,
    edit_out: None,
    outcome: |_, _| Ok(""),
    changes: |_| &[],
    word: None,
    answer: |_| Vec::new(),
    by_daemon: "",
};

impl Driver {
    pub(crate) fn row(&self) -> Option<&'static Filter> {
        FILTERS.iter().copied().find(|filter| filter.member == self.member)
    }

    /// The case as it is tried, if it is: a mount without a `default_filter` has no cases of one.
    pub(crate) fn takes(&self, case: Case) -> Option<Case> {
        match self.set {
            None => Some(case),
            Some(_) if [case.pre, case.post].contains(&Verdict::CallDefault) && case.with_default => None,
            Some(_) => Some(Case { with_default: false, ..case }),
        }
    }

    /// Whether the daemon as a filter can make the edits: what the series does not have is not sent to it.
    pub(crate) fn by_daemon(&self) -> [bool; 2] {
        let row = self.row().unwrap();
        let first = 1 + usize::from(row.input.is_some());
        let sent_in = |edit: Edit| {
            let buffer = (edit.place as usize).checked_sub(first).and_then(|at| row.buffers.get(at));
            buffer.is_none_or(|buffer| !buffer.extension)
        };
        let known = row.buffers.iter().filter(|buffer| !buffer.extension).count();
        let sent_out = |edit: Edit| {
            let out = row.outs.get(edit.place as usize - first - known);
            !matches!(out, Some(OutArg::Buffer { extension: true, .. }))
        };
        [self.edit_in.is_some_and(sent_in), self.edit_out.is_some_and(sent_out)]
    }

    pub(crate) fn opcode(&self) -> u32 {
        self.opcode.unwrap_or_else(|| self.row().unwrap().opcode)
    }

    /// Its name for people.
    pub(crate) fn name(&self) -> String {
        if self.variant.is_empty() {
            self.member.into()
        } else {
            format!("{} ({})", self.member, self.variant)
        }
    }
}

/// Index in [`SETS`].
const NO_DATA: usize = 2;
const MODE: Mode = Mode::from_raw_mode(0o644);

fn done(result: Result<(), Os>) -> Outcome {
    told(result.map(|()| ""))
}

fn told<T: ToString>(result: Result<T, Os>) -> Outcome {
    result.map(|value| value.to_string()).map_err(Os::raw_os_error)
}

fn fd(scene: &Scene) -> &OwnedFd {
    scene.file.as_ref().unwrap()
}

fn open(scene: &Scene, name: &str, flags: OFlags) -> Result<OwnedFd, Os> {
    rustix::fs::openat(&scene.dir, name, flags | OFlags::CLOEXEC, MODE)
}

fn size(fd: impl AsFd) -> String {
    rustix::fs::fstat(fd).map_or_else(|error| error.to_string(), |stat| stat.st_size.to_string())
}

/// Closes a file, and tells how that ended.
fn close(file: OwnedFd) -> Outcome {
    use std::os::fd::IntoRawFd as _;
    // SAFETY: the descriptor was owned, and is nobody's now.
    match unsafe { libc::close(file.into_raw_fd()) } {
        0 => Ok(String::new()),
        _ => Err(std::io::Error::last_os_error().raw_os_error().unwrap()),
    }
}

/// Closes a file and tells which handle filters see of it.
fn handle_of(world: &World, file: Result<OwnedFd, Os>, opcode: u32) -> Outcome {
    drop(file.map_err(Os::raw_os_error)?);
    Ok(format!("fh {}", world.upper.wait_for(opcode).map_or(u64::MAX, |record| record.handle())))
}

/// Creates a file; tells its handle and its number.
fn create(world: &World, scene: &Scene, name: &str, flags: OFlags) -> Outcome {
    let file = open(scene, name, OFlags::RDWR | flags).map_err(Os::raw_os_error)?;
    drop(file);
    match world.oracle.heard().iter().find(|heard| heard.opcode == 25) {
        Some(heard) => Ok(format!("daemon's {}", heard.nodeid)),
        None => {
            let record = world.upper.wait_for(25).unwrap();
            Ok(format!("fh {} node {}", record.handle(), record.nodeid))
        }
    }
}

/// The names of one page of records.
fn page(dir: &OwnedFd) -> Outcome {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut records = rustix::fs::RawDir::new(dir, &mut buffer);
    let mut names = Vec::new();
    loop {
        match records.next() {
            None => break,
            Some(Err(error)) => return Err(error.raw_os_error()),
            Some(Ok(record)) => names.push(record.file_name().to_string_lossy().into_owned()),
        }
        if records.is_buffer_empty() {
            break;
        }
    }
    names.sort();
    Ok(names.join(" "))
}

fn record(name: &str) -> Vec<u8> {
    let header = fuse_dirent { ino: 9, off: 0, namelen: name.len() as u32, r#type: 8 };
    let mut bytes = [header.as_bytes(), name.as_bytes()].concat();
    bytes.resize(dirent_size(name.len()), 0);
    bytes
}

fn value(result: Result<usize, Os>, buffer: &[u8]) -> Outcome {
    let text = result.map(|len| String::from_utf8_lossy(&buffer[..len]).replace('\0', "."));
    told(text)
}

/// The length of an attribute, or of the list of all.
fn length(file: &OwnedFd, name: Option<&CStr>) -> Outcome {
    let (fd, nothing) = (file.as_raw_fd(), std::ptr::null_mut::<libc::c_char>());
    let len = match name {
        // SAFETY: the name ends with a NUL, and nothing is written to a buffer of no length.
        Some(name) => unsafe { libc::fgetxattr(fd, name.as_ptr(), nothing.cast(), 0) },
        // SAFETY: nothing is written to a buffer of no length.
        None => unsafe { libc::flistxattr(fd, nothing, 0) },
    };
    match len {
        -1 => Err(std::io::Error::last_os_error().raw_os_error().unwrap()),
        len => Ok(len.to_string()),
    }
}

fn seek(file: &OwnedFd, to: SeekFrom) -> Outcome {
    told(rustix::fs::seek(file, to))
}

const READ_OFFSET: &[(usize, u32)] = &[(0, 9999), (2, 5), (4, 3)];
const RENAME_ARGS: (&CStr, &CStr) = (c"g", c"h");
const NOBODYS: &[(usize, u32)] = &[(0, 9999)];
const ATTR_OUT_SIZE: &[(usize, u32)] = &[(6, 4321)];
const CLOSED_BEFORE: &str =
    "the file below is closed before any filter is asked, whatever it says; the kernel ignores the answer";

/// Every driver. Each row of [`FILTERS`] has one at least.
#[rustfmt::skip]
pub(crate) static DRIVERS: &[Driver] = &[
    Driver {
        member: "open", below: &[14], by_daemon: "fh 55",
        act: |w, s| handle_of(w, open(s, "f", OFlags::RDWR), 25),
        edit_in: Some(Edit { place: 1, words: &[], bits: &[(0, libc::O_TRUNC as u32)], text: Vec::new }),
        edit_out: words(2, &[(0, 77)]),
        outcome: |_, out| Ok(if out { "fh 77" } else { "fh 0" }),
        changes: |edited| if edited { &[("f", Some("file 644  a=va b=vb"))] } else { &[] },
        answer: |_| fuse_open_out { fh: 55, ..Default::default() }.as_bytes().to_vec(),
        ..PLAIN
    },
    Driver {
        member: "opendir", below: &[27], by_daemon: "fh 55", on: On::Directory,
        act: |w, s| handle_of(w, open(s, ".", OFlags::RDONLY | OFlags::DIRECTORY), 29),
        edit_out: words(2, &[(0, 77)]),
        outcome: |_, out| Ok(if out { "fh 77" } else { "fh 0" }),
        answer: |_| fuse_open_out { fh: 55, ..Default::default() }.as_bytes().to_vec(),
        ..PLAIN
    },
    Driver {
        member: "create_open", below: &[35], by_daemon: "daemon's 700", on: On::Directory,
        act: |w, s| create(w, s, "new", OFlags::CREATE),
        edit_in: words(1, &[(1, libc::S_IFREG | 0o600)]),
        edit_out: words(4, &[(0, 77)]),
        outcome: |_, out| Ok(if out { "fh 77 node 0" } else { "fh 0 node 0" }),
        changes: |edited| if edited { &[("new", Some("file 600 "))] } else { &[("new", Some("file 644 "))] },
        answer: |_| [entry_of(FILE).as_bytes(), fuse_open_out { fh: 55, ..Default::default() }.as_bytes()].concat(),
        ..PLAIN
    },
    Driver {
        member: "create_open", variant: "a name, a number", below: &[35], by_daemon: "daemon's 700", on: On::Directory,
        act: |w, s| create(w, s, "new", OFlags::CREATE),
        edit_in: text(2, || b"other\0".to_vec()),
        edit_out: words(3, &[(0, 4242)]),
        outcome: |_, out| Ok(if out { "fh 0 node 4242" } else { "fh 0 node 0" }),
        changes: |_| &[("new", Some("file 644 "))],
        answer: |_| [entry_of(FILE).as_bytes(), fuse_open_out { fh: 55, ..Default::default() }.as_bytes()].concat(),
        ..PLAIN
    },
    Driver {
        member: "create_open", variant: "without a name", opcode: Some(51), below: &[51], by_daemon: "daemon's 700", on: On::Directory,
        act: |w, s| create(w, s, ".", OFlags::TMPFILE),
        edit_out: words(4, &[(0, 77)]),
        outcome: |_, out| Ok(if out { "fh 77 node 0" } else { "fh 0 node 0" }),
        answer: |_| [entry_of(FILE).as_bytes(), fuse_open_out { fh: 55, ..Default::default() }.as_bytes()].concat(),
        ..PLAIN
    },
    Driver {
        member: "release", below: &[18], open: Open::File, ignored: true, cannot_fail: Some(CLOSED_BEFORE),
        act: |w, s| { drop(s.file.take()); w.upper.wait_for(18).map(|_| String::new()).ok_or(libc::ETIME) },
        edit_in: words(1, NOBODYS),
        ..PLAIN
    },
    Driver {
        member: "releasedir", below: &[29], on: On::Directory, open: Open::Directory, ignored: true, cannot_fail: Some(CLOSED_BEFORE),
        act: |w, s| { drop(s.file.take()); w.upper.wait_for(29).map(|_| String::new()).ok_or(libc::ETIME) },
        edit_in: words(1, NOBODYS),
        ..PLAIN
    },
    Driver {
        member: "flush", below: &[25], open: Open::File,
        // The file stays open: what closes it below would be taken for a flush.
        act: |_, s| close(s.file.as_ref().unwrap().try_clone().unwrap()),
        edit_in: words(1, NOBODYS),
        ..PLAIN
    },
    Driver {
        member: "lseek", below: &[46], open: Open::File, by_daemon: "3",
        act: |_, s| seek(fd(s), SeekFrom::Hole(0)),
        edit_in: words(1, &[(0, 9999), (2, 2), (4, libc::SEEK_DATA as u32)]),
        edit_out: words(2, &[(0, 7)]),
        outcome: |edited, out| Ok(if out { "7" } else if edited { "2" } else { "10" }),
        word: Some((4, [libc::SEEK_HOLE as u32, libc::SEEK_DATA as u32])),
        answer: |_| fuse_lseek_out { offset: 3 }.as_bytes().to_vec(),
        ..PLAIN
    },
    Driver {
        member: "copy_file_range", below: &[47], open: Open::File, by_daemon: "1",
        cannot_fail: Some("where reads or writes are filtered it always does, and the kernel reads and writes"), replaced: Some(libc::EOPNOTSUPP),
        act: |_, s| told(rustix::fs::copy_file_range(fd(s), Some(&mut 0), s.other.as_ref().unwrap(), Some(&mut 0), 4)),
        edit_in: words(1, &[(0, 9999), (2, 5), (6, 9999), (10, 3)]),
        edit_out: words(2, &[(0, 2)]),
        outcome: |_, _| Ok("4"),
        changes: |_| &[("g", Some("file 644 0123"))],
        answer: |_| fuse_write_out { size: 1, padding: 0 }.as_bytes().to_vec(),
        ..PLAIN
    },
    Driver {
        member: "copy_file_range", variant: "data is not filtered", set: Some(NO_DATA), below: &[47], open: Open::File, by_daemon: "1",
        act: |_, s| told(rustix::fs::copy_file_range(fd(s), Some(&mut 0), s.other.as_ref().unwrap(), Some(&mut 0), 4)),
        edit_in: words(1, &[(0, 9999), (2, 5), (6, 9999), (10, 3)]),
        edit_out: words(2, &[(0, 2)]),
        outcome: |edited, out| Ok(if out { "2" } else if edited { "3" } else { "4" }),
        changes: |edited| if edited { &[("g", Some("file 644 567"))] } else { &[("g", Some("file 644 0123"))] },
        answer: |_| fuse_write_out { size: 1, padding: 0 }.as_bytes().to_vec(),
        ..PLAIN
    },
    Driver {
        member: "fsync", below: &[20], open: Open::File,
        act: |_, s| done(rustix::fs::fsync(fd(s))),
        edit_in: words(1, &[(0, 9999), (2, 1)]),
        word: Some((2, [0, 1])),
        ..PLAIN
    },
    Driver {
        member: "dir_fsync", below: &[30], on: On::Directory, open: Open::Directory,
        act: |_, s| done(rustix::fs::fsync(fd(s))),
        edit_in: words(1, &[(0, 9999), (2, 1)]),
        word: Some((2, [0, 1])),
        ..PLAIN
    },
    Driver {
        member: "getxattr", below: &[22], open: Open::File, by_daemon: "daemon",
        act: |_, s| { let mut b = [0; 64]; value(rustix::fs::fgetxattr(fd(s), "user.a", &mut b), &b) },
        edit_in: text(2, || b"user.b\0".to_vec()),
        edit_out: text(3, || b"edit".to_vec()),
        outcome: |edited, out| Ok(if out { "edit" } else if edited { "vb" } else { "va" }),
        answer: |_| b"daemon".to_vec(),
        ..PLAIN
    },
    Driver {
        member: "getxattr", variant: "the length", below: &[22], open: Open::File, by_daemon: "6",
        act: |_, s| length(fd(s), Some(c"user.a")),
        edit_in: text(2, || b"user.b\0".to_vec()),
        edit_out: words(4, &[(0, 40)]),
        outcome: |_, out| Ok(if out { "40" } else { "2" }),
        answer: |_| fuse_getxattr_out { size: 6, padding: 0 }.as_bytes().to_vec(),
        ..PLAIN
    },
    Driver {
        member: "listxattr", below: &[23], open: Open::File, by_daemon: "user.d.",
        act: |_, s| { let mut b = [0; 64]; value(rustix::fs::flistxattr(fd(s), &mut b), &b) },
        edit_out: text(2, || b"user.z\0".to_vec()),
        outcome: |_, out| Ok(if out { "user.z." } else { "user.a.user.b." }),
        answer: |_| b"user.d\0".to_vec(),
        ..PLAIN
    },
    Driver {
        member: "listxattr", variant: "the length", below: &[23], open: Open::File, by_daemon: "7",
        act: |_, s| length(fd(s), None),
        edit_out: words(3, &[(0, 40)]),
        outcome: |_, out| Ok(if out { "40" } else { "14" }),
        answer: |_| fuse_getxattr_out { size: 7, padding: 0 }.as_bytes().to_vec(),
        ..PLAIN
    },
    Driver {
        member: "setxattr", below: &[21], open: Open::File,
        act: |_, s| done(rustix::fs::fsetxattr(fd(s), "user.a", b"new", XattrFlags::empty())),
        edit_in: text(3, || b"changed".to_vec()),
        changes: |edited| if edited { &[("f", Some("file 644 0123456789 a=changed b=vb"))] } else { &[("f", Some("file 644 0123456789 a=new b=vb"))] },
        ..PLAIN
    },
    Driver {
        member: "setxattr", variant: "the name", below: &[21], open: Open::File,
        act: |_, s| done(rustix::fs::fsetxattr(fd(s), "user.a", b"new", XattrFlags::empty())),
        edit_in: text(2, || b"user.b\0".to_vec()),
        changes: |edited| if edited { &[("f", Some("file 644 0123456789 a=va b=new"))] } else { &[("f", Some("file 644 0123456789 a=new b=vb"))] },
        ..PLAIN
    },
    Driver {
        member: "setxattr", variant: "the flags", below: &[21], open: Open::File,
        act: |_, s| done(rustix::fs::fsetxattr(fd(s), "user.a", b"new", XattrFlags::empty())),
        edit_in: words(1, &[(1, libc::XATTR_CREATE as u32)]),
        outcome: |edited, _| if edited { Err(libc::EEXIST) } else { Ok("") },
        changes: |edited| if edited { &[] } else { &[("f", Some("file 644 0123456789 a=new b=vb"))] },
        ..PLAIN
    },
    Driver {
        member: "removexattr", below: &[24], open: Open::File,
        act: |_, s| done(rustix::fs::fremovexattr(fd(s), "user.a")),
        edit_in: text(1, || b"user.b\0".to_vec()),
        changes: |edited| if edited { &[("f", Some("file 644 0123456789 a=va"))] } else { &[("f", Some("file 644 0123456789 b=vb"))] },
        ..PLAIN
    },
    Driver {
        member: "read_iter", below: &[15], open: Open::File, by_daemon: "DAEM",
        act: |_, s| { let mut b = [0; 4]; value(rustix::io::pread(fd(s), &mut b, 0), &b) },
        edit_in: words(1, READ_OFFSET),
        edit_out: words(2, &[(0, 2)]),
        outcome: |edited, out| Ok(match (edited, out) { (false, false) => "0123", (false, true) => "01", (true, false) => "567", (true, true) => "56" }),
        answer: |_| b"DAEM".to_vec(),
        ..PLAIN
    },
    Driver {
        member: "write_iter", below: &[16], open: Open::File, by_daemon: "3",
        act: |_, s| told(rustix::io::pwrite(fd(s), b"abcd", 0)),
        edit_in: words(1, READ_OFFSET),
        edit_out: words(2, &[(0, 2)]),
        outcome: |edited, out| Ok(match (edited, out) { (_, true) => "2", (true, _) => "3", _ => "4" }),
        changes: |edited| if edited { &[("f", Some("file 644 01234abc89 a=va b=vb"))] } else { &[("f", Some("file 644 abcd456789 a=va b=vb"))] },
        answer: |_| fuse_write_out { size: 3, padding: 0 }.as_bytes().to_vec(),
        ..PLAIN
    },
    Driver {
        member: "read_iter", variant: "the data", below: &[15], open: Open::File, by_daemon: "DAEM",
        act: |_, s| { let mut b = [0; 4]; value(rustix::io::pread(fd(s), &mut b, 0), &b) },
        edit_out: text(3, || b"XY".to_vec()),
        outcome: |_, out| Ok(if out { "XY" } else { "0123" }),
        answer: |_| b"DAEM".to_vec(),
        ..PLAIN
    },
    Driver {
        member: "write_iter", variant: "the data", below: &[16], open: Open::File, by_daemon: "3",
        act: |_, s| told(rustix::io::pwrite(fd(s), b"abcd", 0)),
        edit_in: text(2, || b"XYZ".to_vec()),
        outcome: |edited, _| Ok(if edited { "3" } else { "4" }),
        changes: |edited| if edited { &[("f", Some("file 644 XYZ3456789 a=va b=vb"))] } else { &[("f", Some("file 644 abcd456789 a=va b=vb"))] },
        answer: |_| fuse_write_out { size: 3, padding: 0 }.as_bytes().to_vec(),
        ..PLAIN
    },
    Driver {
        member: "file_fallocate", below: &[43], open: Open::File,
        act: |_, s| done(rustix::fs::fallocate(fd(s), FallocateFlags::empty(), 0, 12)),
        edit_in: words(1, &[(0, 9999), (4, 14)]),
        changes: |edited| if edited { &[("f", Some("file 644 0123456789.... a=va b=vb"))] } else { &[("f", Some("file 644 0123456789.. a=va b=vb"))] },
        ..PLAIN
    },
    Driver {
        member: "lookup", below: &[1], on: On::Directory, by_daemon: "44",
        act: |_, s| told(rustix::fs::statat(&s.dir, "f", AtFlags::SYMLINK_NOFOLLOW).map(|stat| stat.st_size)),
        edit_in: text(1, || b"g\0".to_vec()),
        outcome: |edited, _| Ok(if edited { "2" } else { "10" }),
        answer: |_| entry_of(FILE).as_bytes().to_vec(),
        ..PLAIN
    },
    Driver {
        member: "lookup", variant: "a number", below: &[1], on: On::Directory, by_daemon: "daemon's",
        act: |w, s| {
            rustix::fs::statat(&s.dir, "f", AtFlags::SYMLINK_NOFOLLOW).map_err(Os::raw_os_error)?;
            Ok(w.upper.log().iter().find(|r| r.is(3)).map_or("daemon's".into(), |r| format!("node {}", r.nodeid)))
        },
        edit_out: words(2, &[(0, 4242)]),
        outcome: |_, out| Ok(if out { "node 4242" } else { "node 0" }),
        answer: |_| entry_of(FILE).as_bytes().to_vec(),
        ..PLAIN
    },
    Driver {
        member: "mknod", below: &[8], on: On::Directory,
        act: |_, s| done(rustix::fs::mknodat(&s.dir, "new", rustix::fs::FileType::Fifo, MODE, 0)),
        edit_in: words(1, &[(0, libc::S_IFIFO | 0o600)]),
        changes: |edited| if edited { &[("new", Some("fifo 600"))] } else { &[("new", Some("fifo 644"))] },
        answer: |_| entry_of(FIFO).as_bytes().to_vec(),
        ..PLAIN
    },
    Driver {
        member: "mkdir", below: &[9], on: On::Directory,
        act: |_, s| done(rustix::fs::mkdirat(&s.dir, "new", Mode::from_raw_mode(0o755))),
        edit_in: words(1, &[(0, 0o700)]),
        changes: |edited| if edited { &[("new", Some("dir 700"))] } else { &[("new", Some("dir 755"))] },
        answer: |_| entry_of(DIR).as_bytes().to_vec(),
        ..PLAIN
    },
    Driver {
        member: "rmdir", below: &[11], on: On::Directory,
        act: |_, s| done(rustix::fs::unlinkat(&s.dir, "d", AtFlags::REMOVEDIR)),
        edit_in: text(1, || b"x\0".to_vec()),
        changes: |_| &[("d", None)],
        ..PLAIN
    },
    Driver {
        member: "rename2", below: &[45, 12], on: On::Directory,
        act: |_, s| done(rustix::fs::renameat_with(&s.dir, "g", &s.dir, "f", RenameFlags::EXCHANGE)),
        edit_in: words(1, &[(0, 9999), (2, 0)]),
        changes: |edited| if edited { &[("g", None), ("f", Some("file 644 gg"))] } else { &[("g", Some("file 644 0123456789 a=va b=vb")), ("f", Some("file 644 gg"))] },
        ..PLAIN
    },
    Driver {
        member: "rename", below: &[45, 12], on: On::Directory,
        act: |_, s| done(rustix::fs::renameat(&s.dir, RENAME_ARGS.0, &s.dir, RENAME_ARGS.1)),
        edit_in: words(1, NOBODYS),
        changes: |_| &[("g", None), ("h", Some("file 644 gg"))],
        ..PLAIN
    },
    Driver {
        member: "rename", variant: "a name", below: &[45, 12], on: On::Directory,
        act: |_, s| done(rustix::fs::renameat(&s.dir, RENAME_ARGS.0, &s.dir, RENAME_ARGS.1)),
        edit_in: text(3, || b"x\0".to_vec()),
        changes: |_| &[("g", None), ("h", Some("file 644 gg"))],
        ..PLAIN
    },
    Driver {
        member: "unlink", below: &[10], on: On::Directory,
        act: |_, s| done(rustix::fs::unlinkat(&s.dir, "g", AtFlags::empty())),
        edit_in: text(1, || b"x\0".to_vec()),
        changes: |_| &[("g", None)],
        ..PLAIN
    },
    Driver {
        member: "link", below: &[13], on: On::Nobody,
        act: |_, s| done(rustix::fs::linkat(&s.dir, "f", &s.dir, "new", AtFlags::empty())),
        edit_in: text(2, || b"other\0".to_vec()),
        changes: |edited| if edited { &[("other", Some("file 644 0123456789 a=va b=vb"))] } else { &[("new", Some("file 644 0123456789 a=va b=vb"))] },
        answer: |_| entry_of(FILE).as_bytes().to_vec(),
        ..PLAIN
    },
    Driver {
        member: "getattr", below: &[3], open: Open::File, by_daemon: "44",
        act: |_, s| told(rustix::fs::fstat(fd(s)).map(|stat| stat.st_size)),
        edit_in: words(1, &[(2, 9999)]),
        edit_out: words(2, ATTR_OUT_SIZE),
        outcome: |_, out| Ok(if out { "4321" } else { "10" }),
        answer: |_| fuse_attr_out { attr: attr_of(FILE), ..Default::default() }.as_bytes().to_vec(),
        ..PLAIN
    },
    Driver {
        member: "setattr", below: &[4], open: Open::File, by_daemon: "10",
        act: |_, s| { done(rustix::fs::fchmod(fd(s), Mode::from_raw_mode(0o600)))?; Ok(size(fd(s))) },
        edit_in: words(1, &[(17, libc::S_IFREG | 0o640)]),
        // Kept for a thousand seconds, and so seen by fstat(2).
        edit_out: words(2, &[(0, 1000), (6, 4321)]),
        outcome: |_, out| Ok(if out { "4321" } else { "10" }),
        changes: |edited| if edited { &[("f", Some("file 640 0123456789 a=va b=vb"))] } else { &[("f", Some("file 600 0123456789 a=va b=vb"))] },
        answer: |_| fuse_attr_out { attr: attr_of(FILE), ..Default::default() }.as_bytes().to_vec(),
        ..PLAIN
    },
    Driver {
        member: "setattr", variant: "what is set", below: &[4], open: Open::File, by_daemon: "10",
        act: |_, s| { done(rustix::fs::fchmod(fd(s), Mode::from_raw_mode(0o600)))?; Ok(size(fd(s))) },
        edit_in: words(1, &[(0, flags::fattr::SIZE), (4, 3), (5, 0)]),
        outcome: |edited, _| Ok(if edited { "3" } else { "10" }),
        changes: |edited| if edited { &[("f", Some("file 644 012 a=va b=vb"))] } else { &[("f", Some("file 600 0123456789 a=va b=vb"))] },
        answer: |_| fuse_attr_out { attr: attr_of(FILE), ..Default::default() }.as_bytes().to_vec(),
        ..PLAIN
    },
    Driver {
        member: "statfs", below: &[17], open: Open::File, by_daemon: "88",
        act: |_, s| told(rustix::fs::fstatfs(fd(s)).map(|stat| stat.f_namelen)),
        edit_out: words(1, &[(11, 99)]),
        outcome: |_, out| Ok(if out { "99" } else { "255" }),
        answer: |_| fuse_statfs_out { st: fuse_kstatfs { namelen: 88, ..Default::default() } }.as_bytes().to_vec(),
        ..PLAIN
    },
    Driver {
        member: "get_link", below: &[5], on: On::Nobody, by_daemon: "daemon",
        act: |_, s| told(rustix::fs::readlinkat(&s.dir, "l", Vec::new()).map(|text| text.to_string_lossy().into_owned())),
        edit_in: text(1, || b"m\0".to_vec()),
        edit_out: text(2, || b"edit".to_vec()),
        outcome: |edited, out| Ok(if out { "edit" } else if edited { "beside" } else { "target" }),
        answer: |_| b"daemon".to_vec(),
        ..PLAIN
    },
    Driver {
        member: "symlink", below: &[6], on: On::Directory,
        act: |_, s| done(rustix::fs::symlinkat("text", &s.dir, "new")),
        edit_in: text(2, || b"other\0".to_vec()),
        changes: |edited| if edited { &[("new", Some("-> other"))] } else { &[("new", Some("-> text"))] },
        answer: |_| entry_of(LINK).as_bytes().to_vec(),
        ..PLAIN
    },
    Driver {
        member: "symlink", variant: "the name", below: &[6], on: On::Directory,
        act: |_, s| done(rustix::fs::symlinkat("text", &s.dir, "new")),
        edit_in: text(1, || b"x\0".to_vec()),
        changes: |_| &[("new", Some("-> text"))],
        answer: |_| entry_of(LINK).as_bytes().to_vec(),
        ..PLAIN
    },
    Driver {
        member: "readdir", below: &[28], on: On::Directory, open: Open::Directory, by_daemon: "daem",
        act: |_, s| page(fd(s)),
        edit_in: words(1, NOBODYS),
        edit_out: text(3, || record("fake")),
        outcome: |_, out| Ok(if out { "fake" } else { ". .. d f g l m" }),
        answer: |heard| match heard.opcode {
            44 => [fuse_entry_out::default().as_bytes(), &record("daem")].concat(),
            _ => record("daem"),
        },
        ..PLAIN
    },
    Driver {
        member: "access", below: &[34],
        act: |_, s| done(rustix::fs::accessat(&s.dir, "f", rustix::fs::Access::READ_OK, AtFlags::empty())),
        edit_in: words(1, &[(0, 1)]),
        outcome: |edited, _| if edited { Err(libc::EACCES) } else { Ok("") },
        word: Some((0, [4, 1])),
        ..PLAIN
    },
];

/// What the kernel cannot be made to do, for whoever reads the numbers.
pub(crate) static IMPOSSIBLE: &[(&str, &str)] = &[
    ("access", "asked for access(2) and chdir(2) only, not for each step of a path"),
    ("lseek", "asked for SEEK_DATA and SEEK_HOLE only; the kernel does the others"),
    ("release", "asked later, and its answer is ignored"),
    ("releasedir", "asked later, and its answer is ignored"),
    ("mkdir", "asked only for a name that was not found; so are mknod, symlink, link and create"),
    ("unlink", "asked only for a name that was found; so are rmdir and rename"),
    (
        "read_iter",
        "the daemon as a filter is not sent data, nor what a link says: the wire form is the series'",
    ),
];
