//! Locks: between processes, and between the mount and the directory beside it.

use super::cases;
use crate::twin::sys::Lock;
use crate::twin::{Cx, sys};
use rustix::pipe::pipe;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

cases! {
    GETLK: getlk_reports;
    SETLK: setlk_ranges, setlk_close, setlk_errors, setlk_beside_the_mount, ofd_owners, flock_kinds, flock_beside_the_mount,
        flock_inherited;
    SETLKW: setlkw_waits, setlkw_waits_beside_the_mount, setlkw_killed, flock_waits;
    INTERRUPT: setlkw_interrupted, flock_interrupted;
}

fn both(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(path).expect("open")
}

/// A child that holds something until it is told to let go.
struct Holder {
    child: sys::Child,
    go: File,
}

impl Cx {
    /// Starts a child that takes what `take` takes and holds it. Returns when it has it.
    fn hold(&self, take: impl FnOnce(&Cx) -> Box<dyn std::any::Any>) -> Holder {
        let (ready, tell) = pipe().expect("pipe");
        let (wait, go) = pipe().expect("pipe");
        let (mut ready, mut tell, mut wait, go) =
            (File::from(ready), File::from(tell), File::from(wait), File::from(go));
        let child = self.fork(|cx| {
            let held = take(cx);
            drop(tell.write_all(b"x"));
            drop(wait.read(&mut [0]));
            drop(held);
        });
        drop(tell);
        drop(ready.read(&mut [0]));
        Holder { child, go }
    }

    fn setlk(&self, label: &str, file: &File, lock: Lock) {
        self.check(label, sys::lock(file, libc::F_SETLK, lock));
    }
}

impl Holder {
    fn release(mut self) {
        drop(self.go.write_all(b"x"));
        self.child.wait();
    }

    /// Releases after a while, from another child.
    fn release_in(&self, cx: &Cx, after: Duration) -> sys::Child {
        let mut go = &self.go;
        cx.fork(|_| {
            std::thread::sleep(after);
            drop(go.write_all(b"x"));
        })
    }
}

fn locked(path: &Path, lock: Lock) -> Box<dyn std::any::Any> {
    let file = both(path);
    sys::lock(&file, libc::F_SETLK, lock).expect("lock");
    Box::new(file)
}

fn getlk_reports(cx: &Cx) {
    let path = cx.file("f", "0123456789");
    let file = both(&path);
    let ask = |label: &str, lock: Lock| cx.value(label, sys::lock(&file, libc::F_GETLK, lock));
    ask("nobody holds it", Lock::write(0, 0));
    let holder = cx.hold(|_| locked(&path, Lock::write(10, 20)));
    ask("all", Lock::write(0, 0));
    ask("a part, reading", Lock::read(15, 1));
    ask("before", Lock::write(0, 10));
    ask("after", Lock::write(30, 1));
    holder.release();
    let holder = cx.hold(|_| locked(&path, Lock::read(0, 0)));
    ask("reader, writing", Lock::write(5, 5));
    ask("reader, reading", Lock::read(5, 5));
    cx.value("OFD", sys::lock(&file, libc::F_OFD_GETLK, Lock::write(5, 5)));
    holder.release();
    ask("nobody again", Lock::write(0, 0));
    let _ = sys::lock(&file, libc::F_SETLK, Lock::write(0, 5));
    ask("one's own", Lock::write(0, 5));
}

fn setlk_ranges(cx: &Cx) {
    let path = cx.file("f", "");
    let file = both(&path);
    let from_child = |label: &str, lock: Lock| {
        cx.child(|cx| cx.setlk(label, &both(&cx.at("f")), lock));
    };
    cx.setlk("write 0..100", &file, Lock::write(0, 100));
    from_child("other writes 50", Lock::write(50, 1));
    from_child("other reads 50", Lock::read(50, 1));
    from_child("other writes 100", Lock::write(100, 1));
    cx.setlk("unlock 40..60", &file, Lock::none(40, 20));
    from_child("other writes 50", Lock::write(50, 1));
    from_child("other writes 39", Lock::write(39, 1));
    from_child("other writes 60", Lock::write(60, 1));
    cx.setlk("downgrade 0..20", &file, Lock::read(0, 20));
    from_child("other reads 10", Lock::read(10, 1));
    from_child("other writes 10", Lock::write(10, 1));
    let holder = cx.hold(|_| locked(&path, Lock::read(0, 10)));
    cx.setlk("upgrade what is shared", &file, Lock::write(0, 5));
    cx.setlk("upgrade what is not", &file, Lock::write(10, 5));
    holder.release();
    cx.setlk("upgrade again", &file, Lock::write(0, 5));
    cx.setlk("to the end", &file, Lock::write(1000, 0));
    from_child("far away", Lock::write(1 << 40, 1));
    cx.setlk("unlock all", &file, Lock::none(0, 0));
    from_child("everything", Lock::write(0, 0));
}

fn setlk_close(cx: &Cx) {
    let path = cx.file("f", "");
    let file = both(&path);
    let free = |label: &str| cx.child(|cx| cx.setlk(label, &both(&cx.at("f")), Lock::write(0, 0)));
    cx.setlk("lock", &file, Lock::write(0, 0));
    free("held");
    // Any close of the file by the process ends its locks: POSIX wants it so.
    drop(File::open(&path));
    free("after another descriptor was closed");
    cx.setlk("lock", &file, Lock::write(0, 0));
    cx.child(|_| {});
    free("after a child ended");
    drop(file);
    free("after close");
    let holder = cx.hold(|_| locked(&path, Lock::write(0, 0)));
    free("held by a child");
    holder.child.signal(libc::SIGKILL);
    holder.child.wait();
    free("after it was killed");
}

fn setlk_errors(cx: &Cx) {
    let path = cx.file("f", "");
    let reader = File::open(&path).expect("open");
    let writer = OpenOptions::new().write(true).open(&path).expect("open");
    cx.setlk("write lock, reading", &reader, Lock::write(0, 1));
    cx.setlk("read lock, writing", &writer, Lock::read(0, 1));
    cx.setlk("read lock, reading", &reader, Lock::read(0, 1));
    cx.setlk("negative start", &writer, Lock::write(-1, 1));
    cx.setlk("no such type", &writer, Lock { kind: 77, start: 0, len: 1 });
    cx.setlk("negative length", &writer, Lock::write(10, -5));
    cx.setlk("unlock what is free", &writer, Lock::none(0, 0));
    cx.setlk("dir", &File::open(&cx.dir).expect("open"), Lock::read(0, 0));
}

fn setlk_beside_the_mount(cx: &Cx) {
    let path = cx.file("f", "");
    let lower = cx.lower.join("f");
    let file = both(&path);
    let holder = cx.hold(|_| locked(&lower, Lock::write(10, 10)));
    cx.setlk("held beside the mount", &file, Lock::write(15, 1));
    cx.setlk("another part", &file, Lock::write(0, 10));
    let asked = sys::lock(&file, libc::F_GETLK, Lock::write(15, 1));
    cx.value("who", asked);
    cx.child(|cx| {
        let beside = both(&lower);
        cx.setlk("from beside, held here", &beside, Lock::write(5, 1));
        cx.setlk("from beside, free", &beside, Lock::write(30, 1));
        cx.value("from beside, who", sys::lock(&beside, libc::F_GETLK, Lock::write(5, 1)));
    });
    holder.release();
    cx.setlk("released beside the mount", &file, Lock::write(15, 1));
    drop(file);
    cx.child(|cx| cx.setlk("closed here", &both(&lower), Lock::write(0, 0)));
}

fn ofd_owners(cx: &Cx) {
    let path = cx.file("f", "");
    let (a, b) = (both(&path), both(&path));
    let set = |label: &str, file: &File, lock: Lock| {
        cx.check(label, sys::lock(file, libc::F_OFD_SETLK, lock));
    };
    set("a", &a, Lock::write(0, 10));
    set("b, same part", &b, Lock::write(5, 1));
    set("b, other part", &b, Lock::write(10, 1));
    let copy = a.try_clone().expect("dup");
    set("a's copy, same part", &copy, Lock::write(0, 10));
    drop(copy);
    set("b after a's copy was closed", &b, Lock::write(5, 1));
    cx.child(|cx| {
        cx.check("child with a", sys::lock(&a, libc::F_OFD_SETLK, Lock::write(3, 1)));
    });
    set("b after the child", &b, Lock::write(3, 1));
    cx.check("record lock of the process", sys::lock(&b, libc::F_SETLK, Lock::write(2, 1)));
    drop(a);
    // The last close of a file is told to its server later.
    let free = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(5));
        sys::lock(&b, libc::F_OFD_SETLK, Lock::write(0, 10)).is_ok()
    });
    cx.note("b after a was closed", free);
}

fn flock_kinds(cx: &Cx) {
    let path = cx.file("f", "");
    let (a, b, c) = (both(&path), both(&path), File::open(&path).expect("open"));
    let now = libc::LOCK_NB;
    let lock = |label: &str, file: &File, how: i32| cx.check(label, sys::flock(file, how | now));
    lock("a shared", &a, libc::LOCK_SH);
    lock("b shared", &b, libc::LOCK_SH);
    lock("c exclusive", &c, libc::LOCK_EX);
    lock("a upgrades", &a, libc::LOCK_EX);
    lock("b unlocks", &b, libc::LOCK_UN);
    lock("a shared", &a, libc::LOCK_SH);
    lock("a upgrades", &a, libc::LOCK_EX);
    lock("b shared", &b, libc::LOCK_SH);
    lock("a downgrades", &a, libc::LOCK_SH);
    lock("b shared", &b, libc::LOCK_SH);
    drop((a, b));
    lock("c exclusive", &c, libc::LOCK_EX);
    lock("nonsense", &c, 64);
    let dir = File::open(&cx.dir).expect("open");
    lock("dir", &dir, libc::LOCK_EX);
    lock("dir again", &File::open(&cx.dir).expect("open"), libc::LOCK_EX);
    // The two kinds do not know each other.
    cx.child(|cx| cx.setlk("record lock", &both(&cx.at("f")), Lock::write(0, 0)));
}

fn flock_beside_the_mount(cx: &Cx) {
    let path = cx.file("f", "");
    let (here, beside) = (both(&path), both(&cx.lower.join("f")));
    let now = libc::LOCK_NB;
    cx.check("here", sys::flock(&here, libc::LOCK_EX | now));
    cx.check("beside", sys::flock(&beside, libc::LOCK_EX | now));
    cx.check("unlock here", sys::flock(&here, libc::LOCK_UN | now));
    cx.check("beside", sys::flock(&beside, libc::LOCK_SH | now));
    cx.check("here, shared", sys::flock(&here, libc::LOCK_SH | now));
    cx.check("here, exclusive", sys::flock(&here, libc::LOCK_EX | now));
    drop(beside);
    cx.check("here, exclusive", sys::flock(&here, libc::LOCK_EX | now));
}

fn flock_inherited(cx: &Cx) {
    let path = cx.file("f", "");
    let file = both(&path);
    cx.check("lock", sys::flock(&file, libc::LOCK_EX));
    cx.child(|cx| {
        cx.check("child has it too", sys::flock(&file, libc::LOCK_EX | libc::LOCK_NB));
        cx.check("child, own descriptor", sys::flock(&both(&cx.at("f")), libc::LOCK_EX | libc::LOCK_NB));
    });
    cx.check("still held", sys::flock(&both(&path), libc::LOCK_EX | libc::LOCK_NB));
    cx.child(|cx| {
        cx.check("child unlocks", sys::flock(&file, libc::LOCK_UN));
    });
    cx.check("for all", sys::flock(&both(&path), libc::LOCK_EX | libc::LOCK_NB));
}

const WHILE: Duration = Duration::from_millis(60);

fn setlkw_waits(cx: &Cx) {
    let path = cx.file("f", "");
    for command in [libc::F_SETLKW, libc::F_OFD_SETLKW] {
        let holder = cx.hold(|_| locked(&path, Lock::write(0, 0)));
        let releaser = holder.release_in(cx, WHILE);
        let (start, file) = (Instant::now(), both(&path));
        cx.check("wait", sys::lock(&file, command, Lock::write(3, 4)));
        cx.note("waited", start.elapsed() >= WHILE / 2);
        releaser.wait();
        holder.child.wait();
        cx.child(|cx| cx.setlk("now held", &both(&cx.at("f")), Lock::write(3, 1)));
    }
    // Three who wait get it one after another.
    let path = cx.file("g", "");
    let file = both(&path);
    cx.setlk("lock", &file, Lock::write(0, 0));
    let waiter = || {
        sys::fork(|| {
            let file = both(&cx.at("g"));
            i32::from(sys::lock(&file, libc::F_SETLKW, Lock::write(0, 0)).is_err())
        })
    };
    let waiters: Vec<_> = (0..3).map(|_| waiter().expect("fork")).collect();
    std::thread::sleep(WHILE);
    cx.setlk("unlock", &file, Lock::none(0, 0));
    for waiter in waiters {
        cx.note("a waiter", waiter.wait());
    }
}

fn setlkw_waits_beside_the_mount(cx: &Cx) {
    let path = cx.file("f", "");
    let lower = cx.lower.join("f");
    for (held, wanted) in [(&lower, &path), (&path, &lower)] {
        let holder = cx.hold(|_| locked(held, Lock::write(0, 0)));
        let releaser = holder.release_in(cx, WHILE);
        let (start, file) = (Instant::now(), both(wanted));
        cx.check("wait", sys::lock(&file, libc::F_SETLKW, Lock::write(0, 1)));
        cx.note("waited", start.elapsed() >= WHILE / 2);
        releaser.wait();
        holder.child.wait();
    }
}

fn setlkw_killed(cx: &Cx) {
    let path = cx.file("f", "");
    let holder = cx.hold(|_| locked(&path, Lock::write(0, 0)));
    let waiter = cx.fork(|cx| {
        let file = both(&cx.at("f"));
        cx.check("never", sys::lock(&file, libc::F_SETLKW, Lock::write(0, 0)));
    });
    std::thread::sleep(WHILE);
    let start = Instant::now();
    waiter.signal(libc::SIGKILL);
    cx.note("waiter", waiter.wait());
    cx.note("at once", start.elapsed() < Duration::from_secs(2));
    holder.release();
    // The lock the dead waiter wanted is not given to it.
    std::thread::sleep(WHILE);
    cx.setlk("free", &both(&path), Lock::write(0, 0));
}

fn flock_waits(cx: &Cx) {
    let path = cx.file("f", "");
    let holder = cx.hold(|_| {
        let file = both(&path);
        sys::flock(&file, libc::LOCK_EX).expect("flock");
        Box::new(file)
    });
    let releaser = holder.release_in(cx, WHILE);
    let (start, file) = (Instant::now(), both(&path));
    cx.check("wait", sys::flock(&file, libc::LOCK_EX));
    cx.note("waited", start.elapsed() >= WHILE / 2);
    releaser.wait();
    holder.child.wait();
    cx.check("now held", sys::flock(&both(&path), libc::LOCK_SH | libc::LOCK_NB));
}

fn setlkw_interrupted(cx: &Cx) {
    let path = cx.file("f", "");
    for command in [libc::F_SETLKW, libc::F_OFD_SETLKW] {
        let holder = cx.hold(|_| locked(&path, Lock::write(0, 0)));
        cx.child(|cx| {
            let file = both(&cx.at("f"));
            sys::alarm_in(WHILE).expect("alarm");
            let start = Instant::now();
            cx.check("interrupted", sys::lock(&file, command, Lock::write(0, 0)));
            cx.note("soon", start.elapsed() < Duration::from_secs(2));
            cx.check("file is usable", (&file).write(b"x"));
        });
        holder.release();
        cx.child(|cx| cx.setlk("free", &both(&cx.at("f")), Lock::write(0, 0)));
    }
}

fn flock_interrupted(cx: &Cx) {
    let path = cx.file("f", "");
    let held = both(&path);
    cx.check("hold", sys::flock(&held, libc::LOCK_EX));
    cx.child(|cx| {
        let file = both(&cx.at("f"));
        sys::alarm_in(WHILE).expect("alarm");
        let start = Instant::now();
        cx.check("interrupted", sys::flock(&file, libc::LOCK_EX));
        cx.note("soon", start.elapsed() < Duration::from_secs(2));
    });
    cx.check("unlock", sys::flock(&held, libc::LOCK_UN));
    cx.check("free", sys::flock(&both(&path), libc::LOCK_EX | libc::LOCK_NB));
}
