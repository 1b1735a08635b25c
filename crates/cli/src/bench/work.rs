//! The operations that are measured.

use std::fs::{self, File, OpenOptions};
use std::hint::black_box;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, StatxFlags, Timespec, Timestamps, XattrFlags, statx, utimensat};

use super::map;

/// Something to measure.
#[derive(Debug)]
pub(super) struct Work {
    /// What it is called on the command line.
    pub(super) name: &'static str,
    /// What it does.
    pub(super) what: &'static str,
    /// How many operations, or bytes, one run is.
    pub(super) count: u64,
    /// Whether it counts bytes.
    pub(super) bytes: bool,
    /// Does it in a directory and tells how long it took, without what it had to prepare.
    pub(super) run: fn(&Path) -> io::Result<Duration>,
}

/// Cheap operations a run.
const MANY: u64 = 2000;
/// Operations that change a directory a run.
const SOME: u64 = 300;
/// Names in the directory that is read.
const NAMES: u64 = 1000;
/// Bytes of the file for throughput.
const SIZE: u64 = 32 << 20;
/// Bytes that are read in pieces of a page.
const RANDOM: u64 = 8 << 20;
const BLOCK: usize = 1 << 20;
const PAGE: usize = 4096;

const fn each(
    name: &'static str,
    what: &'static str,
    count: u64,
    run: fn(&Path) -> io::Result<Duration>,
) -> Work {
    Work { name, what, count, bytes: false, run }
}

const fn flow(
    name: &'static str,
    what: &'static str,
    count: u64,
    run: fn(&Path) -> io::Result<Duration>,
) -> Work {
    Work { name, what, count, bytes: true, run }
}

/// All of them, in the order of the report.
pub(super) static WORKS: &[Work] = &[
    each("stat", "stat(2) of the same file again and again", MANY, stat),
    each("getattr", "statx(2) that asks for fresh attributes", MANY, getattr),
    each("lookup-absent", "stat(2) of names that do not exist", MANY, lookup_absent),
    each("open", "open(2) for reading, close(2)", MANY, open),
    each("open-read", "open(2), read(2) of 4 KiB, close(2)", MANY, open_read),
    each("create", "open(2) of a new file, close(2)", SOME, create),
    each("unlink", "unlink(2)", SOME, unlink),
    each("mkdir", "mkdir(2)", SOME, mkdir),
    each("rmdir", "rmdir(2)", SOME, rmdir),
    each("rename", "rename(2) to a free name", SOME, rename),
    each("symlink", "symlink(2)", SOME, make_symlink),
    each("link", "link(2)", SOME, link),
    each("chmod", "chmod(2)", SOME, chmod),
    each("utimens", "utimensat(2)", SOME, utimens),
    each("readdir", "one entry of a directory of 1,000, read as a whole", NAMES, readdir),
    each("getxattr", "getxattr(2) of a short value", MANY, getxattr),
    each("write-4k", "pwrite(2) of 4 KiB over the same page", MANY, write_page),
    each("read-4k", "pread(2) of the same 4 KiB", MANY, read_page),
    flow("seq-read", "reading a file in blocks of 1 MiB", SIZE, sequential_read),
    flow("seq-write", "writing a new file in blocks of 1 MiB", SIZE, sequential_write),
    flow("mmap-read", "touching each page of a mapped file", SIZE, mapped_read),
    flow("rand-read", "reading pages of 4 KiB here and there", RANDOM, random_read),
];

/// Does something `count` times.
fn times(count: u64, mut work: impl FnMut(u64) -> io::Result<()>) -> io::Result<Duration> {
    let start = Instant::now();
    for i in 0..count {
        work(i)?;
    }
    Ok(start.elapsed())
}

/// A file with contents, made if it is not there yet.
fn prepared(dir: &Path, name: &str, len: u64) -> io::Result<PathBuf> {
    let path = dir.join(name);
    if fs::metadata(&path).map_or(true, |meta| meta.len() != len) {
        let block: Vec<u8> = (0..BLOCK).map(|i| (i * 31 % 251) as u8).collect();
        let mut file = File::create(&path)?;
        let mut left = len;
        while left > 0 {
            let part = left.min(BLOCK as u64);
            file.write_all(&block[..part as usize])?;
            left -= part;
        }
    }
    Ok(path)
}

/// A file of one page.
fn small(dir: &Path) -> io::Result<PathBuf> {
    prepared(dir, "small", PAGE as u64)
}

/// An empty directory to fill; emptied again by [`clear`].
fn fresh(dir: &Path) -> io::Result<PathBuf> {
    let path = dir.join("fresh");
    clear(&path)?;
    fs::create_dir(&path)?;
    Ok(path)
}

fn clear(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Runs `work` on names in a fresh directory; only that is timed, not what `before` prepares.
fn on_names(
    dir: &Path,
    mut before: impl FnMut(&Path) -> io::Result<()>,
    mut work: impl FnMut(&Path) -> io::Result<()>,
) -> io::Result<Duration> {
    let fresh = fresh(dir)?;
    let names: Vec<_> = (0..SOME).map(|i| fresh.join(format!("name{i}"))).collect();
    for name in &names {
        before(name)?;
    }
    let start = Instant::now();
    for name in &names {
        work(name)?;
    }
    let took = start.elapsed();
    clear(&fresh)?;
    Ok(took)
}

fn nothing(_: &Path) -> io::Result<()> {
    Ok(())
}

fn stat(dir: &Path) -> io::Result<Duration> {
    let path = small(dir)?;
    times(MANY, |_| {
        black_box(fs::metadata(&path)?);
        Ok(())
    })
}

fn getattr(dir: &Path) -> io::Result<Duration> {
    let file = File::open(small(dir)?)?;
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_FORCE_SYNC;
    times(MANY, |_| {
        black_box(statx(&file, "", flags, StatxFlags::BASIC_STATS)?);
        Ok(())
    })
}

fn lookup_absent(dir: &Path) -> io::Result<Duration> {
    let names: Vec<_> = (0..MANY).map(|i| dir.join(format!("absent{i}"))).collect();
    times(MANY, |i| match fs::symlink_metadata(&names[i as usize]) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::other("the name is there")),
    })
}

fn open(dir: &Path) -> io::Result<Duration> {
    let path = small(dir)?;
    times(MANY, |_| File::open(&path).map(drop))
}

fn open_read(dir: &Path) -> io::Result<Duration> {
    let path = small(dir)?;
    let mut page = [0; PAGE];
    times(MANY, |_| File::open(&path)?.read_exact(&mut page))
}

fn create(dir: &Path) -> io::Result<Duration> {
    on_names(dir, nothing, |name| File::create_new(name).map(drop))
}

fn unlink(dir: &Path) -> io::Result<Duration> {
    on_names(dir, |name| File::create_new(name).map(drop), |name| fs::remove_file(name))
}

fn mkdir(dir: &Path) -> io::Result<Duration> {
    on_names(dir, nothing, |name| fs::create_dir(name))
}

fn rmdir(dir: &Path) -> io::Result<Duration> {
    on_names(dir, |name| fs::create_dir(name), |name| fs::remove_dir(name))
}

fn rename(dir: &Path) -> io::Result<Duration> {
    on_names(
        dir,
        |name| File::create_new(name).map(drop),
        |name| {
            let mut to = name.as_os_str().to_owned();
            to.push("-renamed");
            fs::rename(name, to)
        },
    )
}

fn make_symlink(dir: &Path) -> io::Result<Duration> {
    on_names(dir, nothing, |name| symlink("target", name))
}

fn link(dir: &Path) -> io::Result<Duration> {
    let path = small(dir)?;
    on_names(dir, nothing, |name| fs::hard_link(&path, name))
}

fn chmod(dir: &Path) -> io::Result<Duration> {
    let path = small(dir)?;
    times(SOME, |i| fs::set_permissions(&path, fs::Permissions::from_mode(0o600 | (i as u32 & 0o77))))
}

fn utimens(dir: &Path) -> io::Result<Duration> {
    let path = small(dir)?;
    times(SOME, |i| {
        let time = Timespec { tv_sec: 1_000_000_000 + i as i64, tv_nsec: 1 };
        let times = Timestamps { last_access: time, last_modification: time };
        Ok(utimensat(CWD, &path, &times, AtFlags::empty())?)
    })
}

fn readdir(dir: &Path) -> io::Result<Duration> {
    let many = dir.join("many");
    if fs::create_dir(&many).is_ok() {
        for i in 0..NAMES {
            File::create_new(many.join(format!("entry{i:04}")))?;
        }
    }
    let start = Instant::now();
    let found = fs::read_dir(&many)?.count() as u64;
    let took = start.elapsed();
    if found == NAMES {
        Ok(took)
    } else {
        Err(io::Error::other(format!("{found} entries instead of {NAMES}")))
    }
}

fn getxattr(dir: &Path) -> io::Result<Duration> {
    let path = small(dir)?;
    rustix::fs::setxattr(&path, "user.bench", b"a short value", XattrFlags::empty())?;
    let mut value = [0u8; 64];
    times(MANY, |_| {
        black_box(rustix::fs::getxattr(&path, "user.bench", &mut value[..])?);
        Ok(())
    })
}

fn write_page(dir: &Path) -> io::Result<Duration> {
    let file = OpenOptions::new().write(true).open(small(dir)?)?;
    let page = [7; PAGE];
    times(MANY, |_| file.write_all_at(&page, 0))
}

fn read_page(dir: &Path) -> io::Result<Duration> {
    let file = File::open(small(dir)?)?;
    let mut page = [0; PAGE];
    times(MANY, |_| file.read_exact_at(&mut page, 0))
}

fn sequential_read(dir: &Path) -> io::Result<Duration> {
    let path = prepared(dir, "large", SIZE)?;
    let mut block = vec![0; BLOCK];
    let start = Instant::now();
    let mut file = File::open(path)?;
    let mut read = 0;
    while read < SIZE {
        match file.read(&mut block)? {
            0 => return Err(io::Error::other("the file is too short")),
            n => read += n as u64,
        }
    }
    Ok(start.elapsed())
}

fn sequential_write(dir: &Path) -> io::Result<Duration> {
    let path = dir.join("written");
    let block = vec![3; BLOCK];
    let start = Instant::now();
    let mut file = File::create_new(&path)?;
    for _ in 0..SIZE / BLOCK as u64 {
        file.write_all(&block)?;
    }
    drop(file);
    let took = start.elapsed();
    fs::remove_file(path)?;
    Ok(took)
}

fn mapped_read(dir: &Path) -> io::Result<Duration> {
    let path = prepared(dir, "large", SIZE)?;
    let start = Instant::now();
    black_box(map::touch(&File::open(path)?, SIZE as usize)?);
    Ok(start.elapsed())
}

fn random_read(dir: &Path) -> io::Result<Duration> {
    let file = File::open(prepared(dir, "large", SIZE)?)?;
    let mut page = [0; PAGE];
    let mut state = 1u64;
    times(RANDOM / PAGE as u64, |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        file.read_exact_at(&mut page, (state >> 33) % (SIZE / PAGE as u64) * PAGE as u64)
    })
}
