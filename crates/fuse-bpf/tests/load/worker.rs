//! One thread's share of the load: random operations in its own subtree, each compared with the model.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::{AtFlags, CWD, FallocateFlags, Mode, OFlags, XattrFlags};
use rustix::io::Errno as Os;

use crate::daemon::{handed_over, text_of};
use crate::model::*;
use crate::plan::*;

/// Operations that are shown when one goes wrong.
const SHOWN: usize = 30;
/// Most directories of a tree, and files that are open.
const DIRS: usize = 12;
const OPEN: usize = 6;

pub(crate) struct Worker {
    base: PathBuf,
    seed: u32,
    /// Whether reads and writes are filtered; copies are then made of these.
    filters_data: bool,
    random: u64,
    tree: Tree,
    open: Vec<(OwnedFd, Id)>,
    log: VecDeque<String>,
    pub(crate) counts: BTreeMap<&'static str, u64>,
    pub(crate) refused: u64,
}

fn did<T>(result: Result<T, Os>) -> Done<T> {
    result.map_err(Os::raw_os_error)
}

/// What an operation ends with: it may be refused before, and whatever it ended with may be replaced afterwards.
fn planned<T>(plan: Plan, operation: impl FnOnce() -> Done<T>) -> Done<T> {
    if let Some(errno) = plan.before {
        return Err(errno);
    }
    let result = operation();
    plan.after.map_or(result, Err)
}

impl Worker {
    pub(crate) fn new(base: PathBuf, seed: u32, number: u64, filters_data: bool) -> Worker {
        Worker {
            base,
            seed,
            filters_data,
            random: (u64::from(seed) << 8 | number).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            tree: Tree::new(),
            open: Vec::new(),
            log: VecDeque::new(),
            counts: BTreeMap::new(),
            refused: 0,
        }
    }

    fn random(&mut self, below: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 20) as usize % below
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.random(one_in) == 0
    }

    /// A directory: its number and its path.
    fn dir(&mut self) -> (Id, PathBuf) {
        let dirs = self.tree.dirs();
        let (id, path) = &dirs[self.random(dirs.len())];
        (*id, self.base.join(path.trim_start_matches('/')))
    }

    fn new_name(&mut self) -> String {
        format!("n{}", self.random(24))
    }

    /// A name, one of the directory's more often than not.
    fn name(&mut self, dir: Id) -> String {
        let names: Vec<String> = self.tree.names(dir).keys().cloned().collect();
        match names.len() {
            0 => self.new_name(),
            len if !self.chance(4) => names[self.random(len)].clone(),
            _ => self.new_name(),
        }
    }

    /// What a name leads to.
    fn find(&self, dir: Id, name: &str) -> Done<Option<Id>> {
        match unreachable(self.seed, name) {
            Some(errno) => Err(errno),
            None => Ok(self.tree.find(dir, name)),
        }
    }

    /// What a name that is there leads to.
    fn existing(&self, dir: Id, name: &str) -> Done<Id> {
        self.find(dir, name)?.ok_or(libc::ENOENT)
    }

    /// Whether a name may be made.
    fn free(&self, dir: Id, name: &str) -> Done {
        if self.find(dir, name)?.is_some() { Err(libc::EEXIST) } else { Ok(()) }
    }

    fn same<T: PartialEq + Debug>(
        &mut self,
        what: &'static str,
        about: &dyn Debug,
        got: Done<T>,
        wanted: Done<T>,
    ) {
        *self.counts.entry(what).or_default() += 1;
        self.refused += u64::from(wanted.is_err());
        let short = |done: &Done<T>| format!("{done:?}").chars().take(200).collect::<String>();
        if self.log.len() == SHOWN {
            self.log.pop_front();
        }
        self.log.push_back(format!("{what} {about:?}: {}", short(&wanted)));
        if got != wanted {
            let log: Vec<_> = self.log.iter().map(String::as_str).collect();
            panic!(
                "seed {}, {what} {about:?}: {}, not {}\n{}",
                self.seed,
                short(&got),
                short(&wanted),
                log.join("\n")
            );
        }
    }

    /// Does something until then; every operation once at least.
    pub(crate) fn run(&mut self, until: Instant) {
        let operations: [fn(&mut Worker); 26] = [
            Worker::create,
            Worker::create,
            Worker::open,
            Worker::read,
            Worker::read,
            Worker::write,
            Worker::write,
            Worker::truncate,
            Worker::rename,
            Worker::rename,
            Worker::link,
            Worker::symlink,
            Worker::unlink,
            Worker::mkdir,
            Worker::rmdir,
            Worker::set_value,
            Worker::get_value,
            Worker::list_values,
            Worker::remove_value,
            Worker::list,
            Worker::fsync,
            Worker::stat,
            Worker::alias,
            Worker::theirs,
            Worker::allocate,
            Worker::copy,
        ];
        let more: [fn(&mut Worker); 4] = [Worker::chmod, Worker::read_link, Worker::close, Worker::clear];
        for operation in operations.iter().chain(&more) {
            operation(self);
        }
        while Instant::now() < until {
            let all = operations.len() + more.len();
            let at = self.random(all);
            operations.iter().chain(&more).nth(at).unwrap()(self);
        }
    }

    /// Closes all files.
    pub(crate) fn close_all(&mut self) {
        while !self.open.is_empty() {
            self.close();
        }
    }

    fn close(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let at = self.random(self.open.len());
        let (file, id) = self.open.swap_remove(at);
        drop(file);
        self.tree.node_mut(id).open -= 1;
        self.tree.forget(id);
        *self.counts.entry("close").or_default() += 1;
    }

    fn keep(&mut self, file: OwnedFd, id: Id) {
        if self.open.len() == OPEN {
            self.close();
        }
        self.tree.node_mut(id).open += 1;
        self.open.push((file, id));
    }

    /// An open file.
    fn file(&mut self) -> Option<(usize, Id)> {
        if self.open.is_empty() {
            return None;
        }
        let at = self.random(self.open.len());
        Some((at, self.open[at].1))
    }

    fn offset(&mut self) -> usize {
        self.random(64) * 256
    }

    fn create(&mut self) {
        let (dir, path) = self.dir();
        let name = self.new_name();
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        let made = did(rustix::fs::openat(CWD, path.join(&name), flags, Mode::from_raw_mode(0o644)));
        let (file, got) = match made {
            Ok(file) => (Some(file), Ok(())),
            Err(errno) => (None, Err(errno)),
        };
        let plan = by_name(self.seed, op::CREATE, &name);
        let mut id = None;
        let wanted = self.free(dir, &name).and_then(|()| {
            planned(plan, || {
                let mode = if plan.rewritten { 0o640 } else { 0o644 };
                id = Some(self.tree.add(dir, &name, Kind::File { data: Vec::new() }, mode));
                Ok(())
            })
        });
        self.same("create", &(&path, &name), got, wanted);
        if let (Some(file), Some(id)) = (file, id) {
            self.keep(file, id);
        }
    }

    fn open(&mut self) {
        let (dir, path) = self.dir();
        let name = self.name(dir);
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = did(rustix::fs::openat(CWD, path.join(&name), flags, Mode::empty()));
        let wanted = self.existing(dir, &name).and_then(|id| match self.tree.node(id).kind {
            Kind::File { .. } => Ok(id),
            Kind::Dir { .. } => Err(libc::EISDIR),
            Kind::Link { .. } => Err(libc::ELOOP),
        });
        let (file, got) = match opened {
            Ok(file) => (Some(file), Ok(())),
            Err(errno) => (None, Err(errno)),
        };
        self.same("open", &(&path, &name), got, wanted.map(drop));
        if let (Some(file), Ok(id)) = (file, wanted) {
            self.keep(file, id);
        }
    }

    fn of_data(&self, opcode: u32, offset: usize) -> Plan {
        if self.filters_data { by_number(self.seed, opcode, offset as u64) } else { Plan::default() }
    }

    fn read(&mut self) {
        let Some((at, id)) = self.file() else { return };
        let (offset, len) = (self.offset(), 1 + self.random(4096));
        let mut buffer = vec![0; len];
        let got = did(rustix::io::pread(&self.open[at].0, &mut buffer, offset as u64));
        let plan = self.of_data(op::READ, offset);
        let wanted = planned(plan, || {
            Ok(match (plan.handed_over, plan.rewritten) {
                (true, _) => handed_over(offset as u64, len),
                (_, true) => self.tree.read(id, offset, len / 2),
                _ => self.tree.read(id, offset, len),
            })
        });
        let got = got.map(|len| buffer[..len].to_vec());
        self.same("read", &(id, offset, len), got, wanted);
    }

    fn write(&mut self) {
        let Some((at, id)) = self.file() else { return };
        let (offset, len, tag) = (self.offset(), 1 + self.random(4096), self.random(255) as u8);
        let data: Vec<u8> = (0..len).map(|i| (i as u8).wrapping_mul(3).wrapping_add(tag)).collect();
        let got = did(rustix::io::pwrite(&self.open[at].0, &data, offset as u64));
        let plan = self.of_data(op::WRITE, offset);
        let wanted = planned(plan, || {
            self.tree.write(id, offset + if plan.rewritten { 100 } else { 0 }, &data);
            Ok(len)
        });
        self.same("write", &(id, offset, len), got, wanted);
    }

    fn truncate(&mut self) {
        let Some((at, id)) = self.file() else { return };
        let size = self.random(100) * 181;
        let got = did(rustix::fs::ftruncate(&self.open[at].0, size as u64));
        let plan = by_number(self.seed, op::SETATTR, size as u64);
        let wanted = planned(plan, || {
            self.tree.resize(id, size + if plan.rewritten { 7 } else { 0 });
            Ok(())
        });
        self.same("truncate", &(id, size), got, wanted);
    }

    fn allocate(&mut self) {
        let Some((at, id)) = self.file() else { return };
        let (offset, len, punch) = (self.offset(), 1 + self.random(4096), self.chance(2));
        let flags = if punch {
            FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE
        } else {
            FallocateFlags::empty()
        };
        let got = did(rustix::fs::fallocate(&self.open[at].0, flags, offset as u64, len as u64));
        let plan = by_number(self.seed, op::FALLOCATE, offset as u64);
        let wanted = planned(plan, || {
            self.tree.allocate(id, offset, len + if plan.rewritten { 100 } else { 0 }, punch);
            Ok(())
        });
        self.same("fallocate", &(id, offset, len, punch), got, wanted);
    }

    fn copy(&mut self) {
        let (Some((from, from_id)), Some((to, to_id))) = (self.file(), self.file()) else { return };
        if from_id == to_id || self.filters_data {
            return;
        }
        let (off_in, off_out, len) = (self.offset(), self.offset(), 1 + self.random(4096));
        let (from, to) = (&self.open[from].0, &self.open[to].0);
        // The kernel compares with the size it knows, which a rewritten operation may have changed.
        for file in [from, to] {
            rustix::fs::fstat(file).unwrap();
        }
        let got = did(rustix::fs::copy_file_range(
            from,
            Some(&mut (off_in as u64)),
            to,
            Some(&mut (off_out as u64)),
            len,
        ));
        let plan = by_number(self.seed, op::COPY_FILE_RANGE, off_in as u64);
        let size = self.tree.size(from_id);
        let wanted = if off_in >= size {
            Ok(0)
        } else {
            planned(plan, || {
                let start = off_in + if plan.rewritten { 64 } else { 0 };
                let data = self.tree.read(from_id, start, len.min(size - off_in));
                self.tree.write(to_id, off_out, &data);
                Ok(data.len())
            })
        };
        self.same("copy_file_range", &(from_id, off_in, to_id, off_out, len), got, wanted);
    }

    fn fsync(&mut self) {
        let Some((at, id)) = self.file() else { return };
        let got = did(rustix::fs::fsync(&self.open[at].0));
        self.same("fsync", &id, got, Ok(()));
    }

    fn rename(&mut self) {
        let ((from_dir, from_path), (to_dir, to_path)) = (self.dir(), self.dir());
        let from = self.name(from_dir);
        let to = if self.chance(2) { self.name(to_dir) } else { self.new_name() };
        let got = did(rustix::fs::renameat(CWD, from_path.join(&from), CWD, to_path.join(&to)));
        let wanted = self.renamed((from_dir, &from), (to_dir, &to));
        self.same("rename", &(&from_path, &from, &to_path, &to), got, wanted);
    }

    fn renamed(&mut self, from: (Id, &str), to: (Id, &str)) -> Done {
        let id = self.existing(from.0, from.1)?;
        let target = self.find(to.0, to.1)?;
        if from.0 != to.0 {
            if self.tree.is_dir(id) && self.tree.is_above(id, to.0) {
                return Err(libc::EINVAL);
            }
            if target.is_some_and(|target| self.tree.is_dir(target) && self.tree.is_above(target, from.0)) {
                return Err(libc::ENOTEMPTY);
            }
        }
        if target == Some(id) {
            // The system has nothing to do, and asks nobody.
            return Ok(());
        }
        match target.map(|target| (self.tree.is_dir(id), self.tree.is_dir(target))) {
            Some((true, false)) => return Err(libc::ENOTDIR),
            Some((false, true)) => return Err(libc::EISDIR),
            _ => {}
        }
        planned(by_name(self.seed, op::RENAME, from.1), || self.tree.rename(from, to))
    }

    fn link(&mut self) {
        let ((from_dir, from_path), (to_dir, to_path)) = (self.dir(), self.dir());
        let (from, to) = (self.name(from_dir), self.new_name());
        let got =
            did(rustix::fs::linkat(CWD, from_path.join(&from), CWD, to_path.join(&to), AtFlags::empty()));
        let wanted = self.linked((from_dir, &from), (to_dir, &to));
        self.same("link", &(&from_path, &from, &to_path, &to), got, wanted);
    }

    fn linked(&mut self, from: (Id, &str), to: (Id, &str)) -> Done {
        let id = self.existing(from.0, from.1)?;
        self.free(to.0, to.1)?;
        if self.tree.is_dir(id) {
            return Err(libc::EPERM);
        }
        let plan = by_name(self.seed, op::LINK, to.1);
        let name = if plan.rewritten { format!("r-{}", to.1) } else { to.1.to_owned() };
        planned(plan, || self.tree.link(id, to.0, &name))
    }

    fn symlink(&mut self) {
        let (dir, path) = self.dir();
        let (name, target) = (self.new_name(), format!("target {}", self.random(1000)));
        let got = did(rustix::fs::symlinkat(&target, CWD, path.join(&name)));
        let plan = by_name(self.seed, op::SYMLINK, &name);
        let wanted = self.free(dir, &name).and_then(|()| {
            planned(plan, || {
                let target = if plan.rewritten { "rewritten".into() } else { target };
                self.tree.add(dir, &name, Kind::Link { target }, 0o777);
                Ok(())
            })
        });
        self.same("symlink", &(&path, &name), got, wanted);
    }

    fn read_link(&mut self) {
        let (dir, path) = self.dir();
        let name = self.name(dir);
        let got = did(rustix::fs::readlinkat(CWD, path.join(&name), Vec::new()));
        let wanted = self.existing(dir, &name).and_then(|id| match &self.tree.node(id).kind {
            Kind::Link { target } => Ok(target.clone()),
            _ => Err(libc::EINVAL),
        });
        self.same("readlink", &(&path, &name), got.map(|text| text.into_string().unwrap()), wanted);
    }

    fn mkdir(&mut self) {
        if self.tree.dirs().len() >= DIRS {
            return self.rmdir();
        }
        let (dir, path) = self.dir();
        let name = self.new_name();
        let got = did(rustix::fs::mkdirat(CWD, path.join(&name), Mode::from_raw_mode(0o755)));
        let plan = by_name(self.seed, op::MKDIR, &name);
        let wanted = self.free(dir, &name).and_then(|()| {
            planned(plan, || {
                self.tree.add_dir(dir, &name, if plan.rewritten { 0o750 } else { 0o755 });
                Ok(())
            })
        });
        self.same("mkdir", &(&path, &name), got, wanted);
    }

    fn unlink(&mut self) {
        self.remove("unlink", AtFlags::empty());
    }

    fn rmdir(&mut self) {
        self.remove("rmdir", AtFlags::REMOVEDIR);
    }

    /// A directory with nothing in it, and where it is.
    fn empty_dir(&mut self) -> Option<(Id, PathBuf, String)> {
        let mut empty = Vec::new();
        for (dir, path) in self.tree.dirs() {
            for (name, id) in self.tree.names(dir) {
                if self.tree.is_dir(*id) && self.tree.names(*id).is_empty() {
                    empty.push((dir, self.base.join(path.trim_start_matches('/')), name.clone()));
                }
            }
        }
        if empty.is_empty() { None } else { Some(empty.swap_remove(self.random(empty.len()))) }
    }

    fn remove(&mut self, what: &'static str, flags: AtFlags) {
        let empty = if what == "rmdir" && self.chance(2) { self.empty_dir() } else { None };
        let (dir, path, name) = match empty {
            Some(empty) => empty,
            None => {
                let (dir, path) = self.dir();
                let name = self.name(dir);
                (dir, path, name)
            }
        };
        self.remove_name(what, flags, (dir, &path, &name));
    }

    /// Empties a directory now and then, so that the tree does not only fill.
    fn clear(&mut self) {
        if !self.chance(16) {
            return;
        }
        let (dir, path) = self.dir();
        let names: Vec<String> = self.tree.names(dir).keys().cloned().collect();
        for name in names {
            self.remove_name("unlink", AtFlags::empty(), (dir, &path, &name));
        }
    }

    fn remove_name(&mut self, what: &'static str, flags: AtFlags, (dir, path, name): (Id, &Path, &str)) {
        let got = did(rustix::fs::unlinkat(CWD, path.join(name), flags));
        let wants_dir = !flags.is_empty();
        let wanted = self.existing(dir, name).and_then(|id| match (wants_dir, self.tree.is_dir(id)) {
            (true, false) => Err(libc::ENOTDIR),
            (false, true) => Err(libc::EISDIR),
            _ => {
                let opcode = if wants_dir { op::RMDIR } else { op::UNLINK };
                planned(by_name(self.seed, opcode, name), || self.tree.remove(dir, name))
            }
        });
        self.same(what, &(path, name), got, wanted);
    }

    /// A name that is no symbolic link's.
    fn no_link(&mut self) -> Option<(Id, PathBuf, String)> {
        let (dir, path) = self.dir();
        let name = self.name(dir);
        let link =
            self.tree.find(dir, &name).is_some_and(|id| matches!(self.tree.node(id).kind, Kind::Link { .. }));
        (!link).then_some((dir, path, name))
    }

    fn chmod(&mut self) {
        let Some((dir, path, name)) = self.no_link() else { return };
        let mode = 0o400 + self.random(0o400) as u32;
        let got = did(rustix::fs::chmod(path.join(&name), Mode::from_raw_mode(mode)));
        let plan = by_number(self.seed, op::SETATTR, mode.into());
        let wanted = self.existing(dir, &name).and_then(|id| {
            planned(plan, || {
                self.tree.node_mut(id).mode = if plan.rewritten { 0o604 } else { mode };
                Ok(())
            })
        });
        self.same("chmod", &(&path, &name, mode), got, wanted);
    }

    fn value_name(&mut self) -> String {
        format!("user.x{}", self.random(6))
    }

    fn set_value(&mut self) {
        let Some((dir, path, name)) = self.no_link() else { return };
        let (key, value) = (self.value_name(), format!("value {}", self.random(1000)));
        let got = did(rustix::fs::setxattr(path.join(&name), &key, value.as_bytes(), XattrFlags::empty()));
        let plan = by_name(self.seed, op::SETXATTR, &key);
        let wanted = self.existing(dir, &name).and_then(|id| {
            planned(plan, || {
                let value = if plan.rewritten { "rewritten".into() } else { value };
                self.tree.node_mut(id).values.insert(key.clone(), value.into_bytes());
                Ok(())
            })
        });
        self.same("setxattr", &(&path, &name, &key), got, wanted);
    }

    fn get_value(&mut self) {
        let Some((dir, path, name)) = self.no_link() else { return };
        let key = self.value_name();
        let mut buffer = [0; 64];
        let got =
            did(rustix::fs::getxattr(path.join(&name), &key, &mut buffer)).map(|len| buffer[..len].to_vec());
        let plan = by_name(self.seed, op::GETXATTR, &key);
        let wanted = self.existing(dir, &name).and_then(|id| {
            planned(plan, || {
                let key = if plan.rewritten { "user.x0" } else { &key };
                self.tree.node(id).values.get(key).cloned().ok_or(libc::ENODATA)
            })
        });
        self.same("getxattr", &(&path, &name, &key), got, wanted);
    }

    fn list_values(&mut self) {
        let Some((dir, path, name)) = self.no_link() else { return };
        let mut buffer = [0; 256];
        let got = did(rustix::fs::listxattr(path.join(&name), &mut buffer));
        let got = got.map(|len| {
            let text = std::str::from_utf8(&buffer[..len]).unwrap();
            let mut keys: Vec<String> = text.split_terminator('\0').map(ToOwned::to_owned).collect();
            keys.sort();
            keys
        });
        let wanted = self.existing(dir, &name).map(|id| self.tree.node(id).values.keys().cloned().collect());
        self.same("listxattr", &(&path, &name), got, wanted);
    }

    fn remove_value(&mut self) {
        let Some((dir, path, name)) = self.no_link() else { return };
        let key = self.value_name();
        let got = did(rustix::fs::removexattr(path.join(&name), &key));
        let plan = by_name(self.seed, op::REMOVEXATTR, &key);
        let wanted = self.existing(dir, &name).and_then(|id| {
            planned(plan, || {
                let key = if plan.rewritten { "user.x0" } else { &key };
                self.tree.node_mut(id).values.remove(key).map(drop).ok_or(libc::ENODATA)
            })
        });
        self.same("removexattr", &(&path, &name, &key), got, wanted);
    }

    fn list(&mut self) {
        let (dir, path) = self.dir();
        let names = fs::read_dir(&path).and_then(|entries| {
            let mut names = Vec::new();
            for entry in entries {
                names.push(entry?.file_name().into_string().unwrap());
            }
            names.sort();
            Ok(names)
        });
        let got = names.map_err(|error| error.raw_os_error().unwrap());
        let wanted = Ok(self.tree.names(dir).keys().cloned().collect());
        self.same("readdir", &path, got, wanted);
    }

    /// What stat(2) tells: kind, mode, size, links.
    fn told(&self, id: Id) -> (char, u32, u64, u64) {
        let node = self.tree.node(id);
        let kind = match node.kind {
            Kind::File { .. } => 'f',
            Kind::Link { .. } => 'l',
            Kind::Dir { .. } => 'd',
        };
        (kind, node.mode, self.tree.size(id) as u64, node.nlink.into())
    }

    fn stat(&mut self) {
        let (dir, path) = self.dir();
        let name = self.name(dir);
        let got = told(&path.join(&name));
        let wanted = self.existing(dir, &name).map(|id| self.told(id));
        self.same("stat", &(&path, &name), got, wanted);
    }

    /// A file by its other name.
    fn alias(&mut self) {
        let (dir, path) = self.dir();
        let name = self.name(dir);
        if self.tree.find(dir, &name).is_some_and(|id| self.tree.is_dir(id)) {
            return;
        }
        let got = told(&path.join(format!("a-{name}")));
        let wanted = self.tree.find(dir, &name).map(|id| self.told(id)).ok_or(libc::ENOENT);
        self.same("stat by alias", &(&path, &name), got, wanted);
    }

    /// A file of the daemon's.
    fn theirs(&mut self) {
        let (_, path) = self.dir();
        let number = self.random(12) as u64;
        let got = fs::read_to_string(path.join(format!("u-{number}")));
        let wanted = text_of(number).ok_or(libc::ENOENT);
        self.same(
            "read of the daemon's",
            &(&path, number),
            got.map_err(|error| error.raw_os_error().unwrap()),
            wanted,
        );
    }

    /// Compares a directory with the model.
    pub(crate) fn compare(&self, below: &Path) {
        self.compare_dir(ROOT, below);
    }

    fn compare_dir(&self, dir: Id, path: &Path) {
        let mut found: Vec<String> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        found.sort();
        let wanted: Vec<String> = self.tree.names(dir).keys().cloned().collect();
        assert_eq!(found, wanted, "seed {}: {}", self.seed, path.display());
        for (name, id) in self.tree.names(dir) {
            let path = path.join(name);
            assert_eq!(told(&path), Ok(self.told(*id)), "seed {}: {}", self.seed, path.display());
            let node = self.tree.node(*id);
            match &node.kind {
                Kind::Dir { .. } => self.compare_dir(*id, &path),
                Kind::Link { target } => assert_eq!(fs::read_link(&path).unwrap(), Path::new(target)),
                Kind::File { data } => {
                    assert!(
                        fs::read(&path).unwrap() == *data,
                        "seed {}: {} differs",
                        self.seed,
                        path.display()
                    );
                    for (key, value) in &node.values {
                        let mut buffer = [0; 64];
                        let len = rustix::fs::getxattr(&path, key, &mut buffer).unwrap();
                        assert_eq!(&buffer[..len], value);
                    }
                }
            }
        }
    }
}

fn told(path: &Path) -> Done<(char, u32, u64, u64)> {
    let meta = fs::symlink_metadata(path).map_err(|error| error.raw_os_error().unwrap())?;
    let kind = match meta.file_type() {
        kind if kind.is_dir() => 'd',
        kind if kind.is_symlink() => 'l',
        _ => 'f',
    };
    let size = if kind == 'd' { 0 } else { meta.size() };
    Ok((kind, meta.permissions().mode() & 0o7777, size, meta.nlink()))
}
