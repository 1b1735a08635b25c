//! The backing directory by itself: descriptors that come and go, names that change beside it, locks, and the rights of
//! a caller.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::{CStr, CString};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use fuse_bpf::Errno;
use fuse_bpf::abi::flags::fattr;
use fuse_bpf::abi::{fuse_file_lock, fuse_setattr_in};
use fuse_bpf::backing::{Backing, Caller, Config, Entry, LockWait, Node, Policy};

/// Few enough that every test that makes a few hundred inodes loses most descriptors.
const FEW: usize = 16;
const READ_WRITE: u32 = libc::O_RDWR.cast_unsigned();

fn open(path: &Path, descriptors: usize, handles: Policy) -> Arc<Backing> {
    let mut config = Config::default();
    config.node_descriptors = Some(descriptors);
    config.file_handles = handles;
    config.switch_credentials = rustix::process::geteuid().is_root();
    Backing::open(path, config).unwrap()
}

/// As the kernel does with what it was told of.
fn keep(entry: Entry) -> Arc<Node> {
    let node = Arc::clone(&entry.node);
    entry.keep();
    node
}

fn name(text: impl Into<Vec<u8>>) -> CString {
    CString::new(text).unwrap()
}

fn find(backing: &Backing, at: &CStr) -> Arc<Node> {
    keep(backing.lookup(&backing.root(), at).unwrap())
}

/// Makes enough directories that no other descriptor is left.
fn use_up_descriptors(backing: &Backing) {
    for i in 0..10 * FEW {
        keep(backing.mkdir(&backing.root(), &name(format!("filler{i}")), 0o755, 0).unwrap());
    }
    assert!(backing.usage().1 <= FEW + 8, "{:?} nodes and descriptors", backing.usage());
}

fn lock(kind: i32, start: u64, end: u64) -> fuse_file_lock {
    fuse_file_lock { start, end, r#type: kind.cast_unsigned(), pid: 9 }
}

#[test]
fn a_large_tree_needs_few_descriptors_and_every_inode_is_found_again() {
    for handles in [Policy::Never, Policy::Auto] {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..50 {
            std::fs::create_dir(dir.path().join(format!("d{i}"))).unwrap();
            for j in 0..40 {
                std::fs::write(dir.path().join(format!("d{i}/f{j}")), [0; 7]).unwrap();
            }
        }
        let backing = open(dir.path(), FEW, handles);
        let mut files = Vec::new();
        for i in 0..50 {
            let parent = find(&backing, &name(format!("d{i}")));
            for j in 0..40 {
                files.push(keep(backing.lookup(&parent, &name(format!("f{j}"))).unwrap()));
            }
        }
        let (nodes, descriptors) = backing.usage();
        assert_eq!(nodes, 2051);
        assert!(descriptors <= FEW + 8, "{descriptors} descriptors");
        for file in &files {
            assert_eq!(backing.getattr(file, None).unwrap().size, 7);
        }
        for file in &files {
            backing.forget(file.nodeid(), 1);
        }
        assert_eq!(backing.usage().0, 51);
        assert_eq!(backing.getattr(&files[0], None).unwrap_err(), Errno::ESTALE);
    }
}

#[test]
fn a_path_of_any_depth_is_walked_again() {
    let dir = tempfile::tempdir().unwrap();
    let backing = open(dir.path(), FEW, Policy::Never);
    let mut node = backing.root();
    for _ in 0..5000 {
        node = keep(backing.mkdir(&node, c"d", 0o755, 0).unwrap());
    }
    use_up_descriptors(&backing);
    assert_eq!(backing.getattr(&node, None).unwrap().mode & libc::S_IFMT, libc::S_IFDIR);
    // Too deep for the recursion of the standard library.
    Command::new("rm").arg("-rf").arg(dir.path().join("d")).status().unwrap();
}

#[test]
fn a_moved_name_is_followed_and_a_replaced_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("a")).unwrap();
    std::fs::write(dir.path().join("a/f"), "f").unwrap();
    std::fs::write(dir.path().join("g"), "g").unwrap();
    let backing = open(dir.path(), FEW, Policy::Never);
    let (a, g) = (find(&backing, c"a"), find(&backing, c"g"));
    let file = keep(backing.lookup(&a, c"f").unwrap());
    backing.rename(&a, c"f", &backing.root(), c"moved", 0).unwrap();
    backing.rename(&backing.root(), c"a", &backing.root(), c"b", 0).unwrap();
    use_up_descriptors(&backing);
    assert_eq!(backing.getattr(&file, None).unwrap().size, 1);
    // Another file of that name, made beside the mount, is another inode.
    std::fs::remove_file(dir.path().join("g")).unwrap();
    std::fs::write(dir.path().join("g"), "another").unwrap();
    assert_eq!(backing.getattr(&g, None).unwrap_err(), Errno::ESTALE);
    let new = find(&backing, c"g");
    assert_ne!(new.nodeid(), g.nodeid());
    assert_eq!(backing.getattr(&new, None).unwrap().size, 7);
}

#[test]
fn names_of_one_file_are_one_inode() {
    for handles in [Policy::Never, Policy::Auto] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "x").unwrap();
        std::fs::hard_link(dir.path().join("a"), dir.path().join("b")).unwrap();
        let backing = open(dir.path(), FEW, handles);
        let (a, b) = (find(&backing, c"a"), find(&backing, c"b"));
        assert_eq!(a.nodeid(), b.nodeid());
        // The name it was last found by goes; it is still there by the other.
        backing.unlink(&backing.root(), c"b").unwrap();
        use_up_descriptors(&backing);
        assert_eq!(backing.getattr(&a, None).unwrap().nlink, 1);
    }
}

#[test]
fn what_loses_its_last_name_stays_while_the_kernel_knows_it() {
    for handles in [Policy::Never, Policy::Auto] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), "x").unwrap();
        std::fs::write(dir.path().join("over"), "y").unwrap();
        let backing = open(dir.path(), FEW, handles);
        let (file, over) = (find(&backing, c"f"), find(&backing, c"over"));
        let gone = keep(backing.mkdir(&backing.root(), c"gone", 0o755, 0).unwrap());
        backing.rename(&backing.root(), c"f", &backing.root(), c"over", 0).unwrap();
        backing.unlink(&backing.root(), c"over").unwrap();
        backing.rmdir(&backing.root(), c"gone").unwrap();
        use_up_descriptors(&backing);
        for node in [&file, &over] {
            assert_eq!(backing.getattr(node, None).unwrap().nlink, 0);
        }
        assert_eq!(backing.getattr(&gone, None).unwrap().mode & libc::S_IFMT, libc::S_IFDIR);
        for node in [&file, &over, &gone] {
            backing.forget(node.nodeid(), 1);
        }
    }
}

#[test]
fn removals_that_fail_keep_no_descriptor() {
    let dir = tempfile::tempdir().unwrap();
    let backing = open(dir.path(), FEW, Policy::Never);
    for i in 0..200 {
        let full = name(format!("d{i}"));
        let parent = keep(backing.mkdir(&backing.root(), &full, 0o755, 0).unwrap());
        keep(backing.mkdir(&parent, c"x", 0o755, 0).unwrap());
        assert_eq!(backing.rmdir(&backing.root(), &full), Err(Errno::ENOTEMPTY));
    }
    assert!(backing.usage().1 <= FEW + 8, "{:?} nodes and descriptors", backing.usage());
}

#[test]
fn entries_the_kernel_was_not_told_of_are_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f"), "").unwrap();
    let backing = open(dir.path(), FEW, Policy::Auto);
    drop(backing.lookup(&backing.root(), c"f").unwrap());
    assert_eq!(backing.usage().0, 1);
    let first = find(&backing, c"f");
    drop(backing.lookup(&backing.root(), c"f").unwrap());
    assert!(backing.node(first.nodeid()).is_ok(), "a lookup too many was taken back");
}

#[test]
fn owner_and_mode_are_set_in_an_order_that_keeps_setuid() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root gives files away");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f"), "x").unwrap();
    let backing = open(dir.path(), FEW, Policy::Auto);
    let node = find(&backing, c"f");
    let valid = fattr::MODE | fattr::UID | fattr::GID;
    let set = fuse_setattr_in { valid, mode: 0o4755, uid: 1000, gid: 1000, ..Default::default() };
    assert_eq!(backing.setattr(&node, None, &set).unwrap().mode & 0o7777, 0o4755);
}

#[test]
fn a_lock_that_was_waited_for_is_held() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    std::fs::write(&path, "x").unwrap();
    let backing = open(dir.path(), FEW, Policy::Auto);
    let node = find(&backing, c"f");
    let file = backing.open_file(&node, READ_WRITE).unwrap();
    backing.setlk(&file, 1, &lock(libc::F_WRLCK, 0, 9)).unwrap();
    let (tell, told) = channel();
    let done = Box::new(move |result| tell.send(result).unwrap());
    backing.setlk_wait(&file, 2, &lock(libc::F_WRLCK, 0, 9), LockWait { unique: 5, done });
    // Another thread of the owner that waits gives back something it does not have.
    backing.setlk(&file, 2, &lock(libc::F_UNLCK, 100, 100)).unwrap();
    backing.setlk(&file, 1, &lock(libc::F_UNLCK, 0, 9)).unwrap();
    assert_eq!(told.recv_timeout(Duration::from_secs(5)).unwrap(), Ok(()));
    assert_eq!(backing.getlk(&file, 3, &lock(libc::F_RDLCK, 0, 0)).unwrap().pid, 9);
    // Somebody beside the mount sees it, until its owner closes the file.
    let beside = open(dir.path(), FEW, Policy::Auto);
    let same = beside.open_file(&find(&beside, c"f"), READ_WRITE).unwrap();
    assert_eq!(beside.setlk(&same, 1, &lock(libc::F_WRLCK, 0, 0)), Err(Errno::EAGAIN));
    backing.flush(&file, 2).unwrap();
    assert_eq!(beside.setlk(&same, 1, &lock(libc::F_WRLCK, 0, 0)), Ok(()));
}

#[test]
fn a_wait_for_a_lock_can_be_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f"), "x").unwrap();
    let backing = open(dir.path(), FEW, Policy::Auto);
    let node = find(&backing, c"f");
    let holder = backing.open_file(&node, READ_WRITE).unwrap();
    let other = backing.open_file(&node, READ_WRITE).unwrap();
    let exclusive = libc::F_WRLCK.cast_unsigned();
    backing.flock(&holder, exclusive).unwrap();
    assert_eq!(backing.flock(&other, exclusive), Err(Errno::EAGAIN));
    let (tell, told) = channel();
    let done = Box::new(move |result| tell.send(result).unwrap());
    backing.flock_wait(&other, exclusive, LockWait { unique: 7, done });
    assert!(!backing.interrupt(8));
    assert!(backing.interrupt(7));
    assert_eq!(told.recv_timeout(Duration::from_secs(5)).unwrap(), Err(Errno::EINTR));
}

/// A process with these ids, to act for.
struct Somebody(Child);

impl Somebody {
    fn new(uid: u32, groups: &str) -> Somebody {
        let ids = [format!("--reuid={uid}"), format!("--regid={uid}"), format!("--groups={groups}")];
        let somebody = Somebody(Command::new("setpriv").args(ids).args(["sleep", "30"]).spawn().unwrap());
        let is_changed = || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", somebody.0.id())).unwrap();
            status.contains(&format!("Uid:\t{uid}\t")) && status.starts_with("Name:\tsleep")
        };
        while !is_changed() {
            std::thread::sleep(Duration::from_millis(1));
        }
        somebody
    }

    fn caller(&self, uid: u32) -> Caller {
        Caller { uid, gid: uid, pid: self.0.id(), group: None }
    }
}

impl Drop for Somebody {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_caller_has_its_own_rights_and_no_more() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt, chown};
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root acts for others");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let set_mode =
        |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    set_mode(dir.path(), 0o777);
    for (file, group, mode) in [("private", 0, 0o600), ("shared", 4242, 0o640)] {
        let path = dir.path().join(file);
        std::fs::write(&path, "x").unwrap();
        chown(&path, Some(0), Some(group)).unwrap();
        set_mode(&path, mode);
    }
    let backing = open(dir.path(), FEW, Policy::Auto);
    let (private, shared) = (find(&backing, c"private"), find(&backing, c"shared"));
    let somebody = Somebody::new(54321, "4242");
    let caller = somebody.caller(54321);
    {
        let _acting = backing.act_as(&caller).unwrap();
        assert_eq!(backing.open_file(&private, 0).unwrap_err(), Errno::EACCES);
        backing.open_file(&shared, 0).unwrap();
        assert_eq!(backing.open_file(&shared, READ_WRITE).unwrap_err(), Errno::EACCES);
        keep(backing.mkdir(&backing.root(), c"theirs", 0o777, 0o027).unwrap());
    }
    // Afterwards the thread is root again.
    backing.open_file(&private, READ_WRITE).unwrap();
    let made = dir.path().join("theirs").metadata().unwrap();
    assert_eq!((made.uid(), made.gid(), made.mode() & 0o777), (54321, 54321, 0o750));
    let nobody = Caller { uid: u32::MAX, gid: u32::MAX, pid: 0, group: None };
    assert_eq!(backing.act_as(&nobody).unwrap_err(), Errno::EOVERFLOW);
}
