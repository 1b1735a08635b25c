//! A load of random operations through filters that deny, rewrite and ask the daemon, compared with a model, and what is left
//! of it: no node, no descriptor, no memory.
//!
//! Ten seconds; `LOAD_SECONDS=600 LOAD_SEED=7 cargo test --release -p fuse-bpf --test load -- --nocapture` for more.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "skipped tests say why, and the figures are worth knowing")]

#[path = "../common/mod.rs"]
mod common;
mod daemon;
mod model;
mod plan;
mod worker;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::can_mount;
use daemon::Handle;
use fuse_bpf::backing::{Backing, Config};
use fuse_bpf::daemon::{Link, MAX_WRITE};
use fuse_bpf::filter::{FilterObject, FilterSet};
use fuse_bpf::serve::{Server, ServerConfig};
use fuse_bpf::session::{Session, SessionConfig};
use fuse_bpf::transport::MountOptions;
use fuse_bpf::worker_slots;
use fuse_bpf_vm::maps::UpdateMode;
use worker::Worker;

const THREADS: usize = 4;
/// Threads take turns at these sets. Where reads and writes are filtered copies are made by them, so the other set leaves data alone.
const SETS: [&str; 2] = ["load", "load_copies"];
/// What a run may keep that the first quarter did not: a generous bound.
const MORE_DESCRIPTORS: usize = 8;
const MORE_MEMORY: usize = 16 << 20;

/// What the process holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    nodes: usize,
    node_descriptors: usize,
    daemon_inodes: usize,
    daemon_handles: usize,
    descriptors: usize,
    memory: usize,
}

impl Held {
    fn now(mounts: &[Mounted]) -> Held {
        let sum = |each: fn(&Mounted) -> usize| mounts.iter().map(each).sum();
        let pages = fs::read_to_string("/proc/self/statm").unwrap();
        let resident: usize = pages.split(' ').nth(1).unwrap().parse().unwrap();
        Held {
            nodes: sum(|mount| mount.backing.usage().0),
            node_descriptors: sum(|mount| mount.backing.usage().1),
            daemon_inodes: sum(|mount| mount.server.daemon().unwrap().inodes()),
            daemon_handles: sum(|mount| mount.server.daemon().unwrap().handles().len()),
            descriptors: fs::read_dir("/proc/self/fd").unwrap().count(),
            memory: resident * rustix::param::page_size(),
        }
    }
}

/// A mount with its parts in hand, made as `Builder` makes it.
struct Mounted {
    src: PathBuf,
    mnt: PathBuf,
    backing: Arc<Backing>,
    server: Arc<Server>,
    session: Session<Server>,
}

impl Mounted {
    fn new(dir: &Path, set: FilterSet, beside: &Handle) -> Mounted {
        let place = |name: &str| {
            let path = dir.join(format!("{name}-{}", set.name()));
            fs::create_dir(&path).unwrap();
            path
        };
        let (src, mnt) = (place("src"), place("mnt"));
        let mut config = Config::default();
        config.switch_credentials = true;
        let backing = Backing::open(&src, config).unwrap();
        let mut session = SessionConfig::default();
        session.init.max_write = MAX_WRITE;
        session.most_workers += 64;
        let mut config = ServerConfig::default();
        config.filters = vec![set];
        config.max_reply = MAX_WRITE as usize;
        config.slots = session.workers;
        config.daemon = Some(Link::new(Arc::new(beside.clone()), Arc::clone(&backing)));
        let server = Arc::new(Server::new(Arc::clone(&backing), config).unwrap());
        let mut options = MountOptions::default();
        options.allow_other = true;
        options.source = "load".into();
        let session = Session::start(&mnt, &options, &session, Arc::clone(&server)).unwrap();
        Mounted { src, mnt, backing, server, session }
    }
}

/// Lets the kernel forget what nobody uses, and waits until the mounts have heard of it.
fn settle(mounts: &[Mounted], nodes: usize) -> bool {
    let forget = || fs::write("/proc/sys/vm/drop_caches", "2");
    if let Err(error) = forget() {
        println!("the kernel is not told to forget, so nodes are not counted: {error}");
        return false;
    }
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let held = Held::now(mounts);
        let settled = held.nodes <= nodes && held.daemon_inodes == 0 && held.daemon_handles == 0;
        if settled || Instant::now() > end {
            return true;
        }
        std::thread::sleep(Duration::from_millis(100));
        // Some are only let go of when others are. It was permitted before.
        drop(forget());
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
fn load_through_filters_is_as_the_model_says_and_leaves_nothing_behind() {
    if !can_mount() {
        return;
    }
    let (seconds, seed) = (number("LOAD_SECONDS", 10), number("LOAD_SEED", 1) as u32);
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let dir = tempfile::Builder::new().prefix("fb-load-").tempdir().unwrap();
    let object = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bpf/tests/load.bpf.o");
    let object = FilterObject::load_file(&object, worker_slots()).unwrap();
    let map = |name: &str| object.module().maps.iter().find(|map| map.spec().name == name).unwrap();
    map("seed").update(&0u32.to_ne_bytes(), &seed.to_ne_bytes(), UpdateMode::Any).unwrap();

    let beside = Handle::default();
    beside.0.seed.store(seed, Ordering::Relaxed);
    let mut mounts: Vec<Mounted> =
        SETS.iter().map(|set| Mounted::new(dir.path(), object.set(Some(set)).unwrap(), &beside)).collect();

    let mut workers = Vec::new();
    for i in 0..THREADS {
        let mount = &mounts[i % SETS.len()];
        let name = format!("t{i}");
        fs::create_dir(mount.src.join(&name)).unwrap();
        let filters_data = mount.server.filters()[0].name() == "load";
        workers.push(Worker::new(mount.mnt.join(name), seed, i as u64, filters_data));
    }
    settle(&mounts, SETS.len());
    let baseline = Held::now(&mounts);
    println!("seed {seed}, {seconds} s, {THREADS} threads\nbefore    {baseline:?}");

    let mut quarters = Vec::new();
    for quarter in 1..=4 {
        let until = Instant::now() + Duration::from_millis(seconds * 250);
        workers = std::thread::scope(|scope| {
            let running: Vec<_> = workers
                .drain(..)
                .map(|mut worker| {
                    scope.spawn(move || {
                        worker.run(until);
                        worker.close_all();
                        worker
                    })
                })
                .collect();
            // One that panics says why; the others end by themselves.
            running.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for (i, worker) in workers.iter().enumerate() {
            worker.compare(&mounts[i % SETS.len()].src.join(format!("t{i}")));
        }
        let forgotten = settle(&mounts, baseline.nodes);
        let held = Held::now(&mounts);
        println!("quarter {quarter} {held:?}");
        if forgotten {
            assert_eq!(held.nodes, baseline.nodes, "nodes are kept that the kernel has forgotten");
            assert_eq!(held.node_descriptors, baseline.node_descriptors);
            assert_eq!((held.daemon_inodes, held.daemon_handles), (0, 0));
        }
        quarters.push(held);
    }

    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for worker in &workers {
        worker.counts.iter().for_each(|(what, count)| *counts.entry(what).or_default() += count);
    }
    let all: u64 = counts.values().sum();
    let refused: u64 = workers.iter().map(|worker| worker.refused).sum();
    println!("{all} operations, {} a second, {refused} of them refused: {counts:?}", all / seconds.max(1));
    let choices =
        ["denied", "rewritten", "daemon before", "daemon after", "filter after", "handed over", "passed"];
    for (choice, name) in (0u32..).zip(choices) {
        let value = map("decided").lookup(&choice.to_ne_bytes()).unwrap();
        let count = u64::from_ne_bytes(value.try_into().unwrap());
        assert!(count > 0, "no operation was {name}");
        println!("{name:<14} {count}");
    }
    let told = |value: &std::sync::atomic::AtomicU64| value.load(Ordering::Relaxed);
    let beside = &beside.0;
    println!(
        "the daemon filtered {} and served {}; gave {} lookups, got {} back, has {} files open",
        told(&beside.asked),
        told(&beside.served),
        told(&beside.given),
        told(&beside.taken),
        told(&beside.open)
    );
    let (first, last) = (quarters[0], quarters[3]);
    assert!(
        last.descriptors <= first.descriptors + MORE_DESCRIPTORS,
        "descriptors are kept: {first:?}, {last:?}"
    );
    assert!(last.memory <= first.memory + MORE_MEMORY, "memory is kept: {first:?}, {last:?}");
    assert_eq!(told(&beside.open), 0);
    assert_eq!(told(&beside.given), told(&beside.taken), "lookups the daemon did not get back");
    for mount in mounts.drain(..) {
        mount.session.stop();
    }
}
