//! What a second thread adds, on maps that both use.

use std::hint::black_box;
use std::sync::{Arc, Barrier};

use fuse_bpf_vm::host::Nobody;
use fuse_bpf_vm::interp::{DEFAULT_BUDGET, Worker};
use fuse_bpf_vm::jit::compile;
use fuse_bpf_vm::maps::{Map, MapKind, MapSpec, UpdateMode};
use fuse_bpf_vm::mem::Window;
use fuse_bpf_vm::verify::{Entry, Limits, verify};
use rustix::time::{ClockId, clock_gettime};

use crate::object::{self, THREADS};
use crate::{Options, Spread, short};

const ROUNDS: usize = 9;
/// Operations of one thread in a round.
const OPERATIONS: u64 = 1 << 20;
/// What two threads do is to be so many times what one does.
const GOAL: f64 = 1.9;

/// Operations of a thread: from its number, and how many.
type Operations<'a> = &'a (dyn Fn(usize, u64) + Sync);

/// Programs that look up values: what they do, their name, bodies in a run, and whether the goal is meant for them.
const PROGRAMS: [(&str, &str, u64, bool); 11] = [
    ("no map: rounds in registers", "registers_1", 1000, false),
    ("array", "large_array_1024", 1024, true),
    ("array, 1 in 64 set", "large_array_updated_1024", 1024, true),
    ("per-CPU array", "large_percpu_array_1024", 1024, true),
    ("per-CPU array, 1 in 64 set", "large_percpu_array_updated_1024", 1024, true),
    ("hash", "large_hash_1024", 1024, true),
    ("hash, 1 in 64 set", "large_hash_updated_1024", 1024, true),
    ("per-CPU hash", "large_percpu_hash_1024", 1024, true),
    ("per-CPU hash, 1 in 64 set", "large_percpu_hash_updated_1024", 1024, true),
    ("LRU hash", "large_lru_hash_1024", 1024, false),
    ("LRU hash, 1 in 64 set", "large_lru_hash_updated_1024", 1024, false),
];

/// Nanoseconds this thread has run: other work of the machine does not count.
fn processor_time() -> i64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// Nanoseconds an operation takes the slowest of `threads` that do it at once.
fn time(threads: usize, count: u64, operations: Operations<'_>) -> f64 {
    let barrier = Barrier::new(threads);
    let slowest = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    let start = processor_time();
                    operations(thread, count);
                    processor_time() - start
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).max()
    });
    slowest.unwrap_or_default() as f64 / count as f64
}

fn row(name: &str, goal: bool, options: &Options, operations: Operations<'_>) {
    if !options.wants(name) {
        return;
    }
    let count = if options.measure { OPERATIONS } else { 1024 };
    let (mut alone, mut more) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds(ROUNDS) {
        let (one, two) = (time(1, count, operations), time(THREADS, count, operations));
        alone.push(one);
        more.push(THREADS as f64 * one / two);
    }
    let goal = if goal { format!(">= {GOAL}") } else { "-".to_owned() };
    println!("{name:36} {:>6} ns  {}  {goal:^6}", short(Spread::of(alone).median()), Spread::of(more));
}

pub(crate) fn table(options: &Options) {
    let there = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "What {THREADS} threads do, as a multiple of what one does: least median most of {ROUNDS} rounds\n"
    );
    if there < THREADS {
        println!("absent: this machine has {there} processor\n");
        return;
    }
    println!(
        "By the processor time of the slower thread, so that other work of the machine counts little.\n"
    );
    println!("{:36} {:>9}  {:^20}  {:^6}", "compiled programs that look up", "each", "threads", "goal");
    let module = object::load();
    for (name, program, bodies, goal) in PROGRAMS {
        let verified = verify(object::program(&module, program), Entry::Context(&[]), Limits::default());
        let compiled = compile(&verified.unwrap()).unwrap();
        row(name, goal, options, &|thread, count| {
            let mut worker = Worker::new(thread);
            for _ in 0..count / bodies {
                let outcome = worker.run_compiled(&compiled, &[], &mut Nobody, DEFAULT_BUDGET);
                black_box(outcome.result.unwrap());
            }
        });
    }
    println!("\n{:36} {:>9}  {:^20}  {:^6}", "from Rust", "each", "threads", "goal");
    from_rust(options);
}

/// Entries of maps that are used from Rust.
const ENTRIES: u64 = 8192;

/// A key in no order that a processor guesses.
fn nth(i: u64) -> u64 {
    i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 & (ENTRIES - 1)
}

/// What maps cost from Rust.
fn from_rust(options: &Options) {
    // An operation by its number and the thread's, so many times.
    let each = |name: &str, operation: &(dyn Fn(usize, u64) + Sync)| {
        row(name, false, options, &|thread, count| (0..count).for_each(|i| operation(thread, i)));
    };
    each("nothing", &|_, i| {
        black_box(nth(black_box(i)));
    });
    let made = |kind: MapKind, key_size| {
        Map::new(MapSpec::new("m", kind, key_size, 8, ENTRIES as u32), THREADS).unwrap()
    };
    for (name, kind) in [("hash", MapKind::Hash), ("LRU hash", MapKind::LruHash)] {
        let map = made(kind, 8);
        for i in 0..ENTRIES {
            map.update(&i.to_ne_bytes(), &i.to_ne_bytes(), UpdateMode::Any).unwrap();
        }
        each(&format!("{name}: lookup"), &|thread, i| {
            black_box(map.address(&nth(i).to_ne_bytes(), thread));
        });
        each(&format!("{name}: copy of a value"), &|_, i| {
            black_box(map.lookup(&nth(i).to_ne_bytes()));
        });
        each(&format!("{name}: update"), &|thread, i| {
            let (key, value) = (nth(i).to_ne_bytes(), i.to_ne_bytes());
            let done = map.update_slot(&key, Window::from_bytes(&value), UpdateMode::Any, thread);
            black_box(done.is_ok());
        });
        each(&format!("{name}: make and remove"), &|thread, i| {
            let (key, value) = ((ENTRIES * (1 + thread as u64) + i % 16).to_ne_bytes(), i.to_ne_bytes());
            if i % 2 == 0 {
                let _ = black_box(map.delete(&nth(i).to_ne_bytes()));
            }
            let done = map.update_slot(&key, Window::from_bytes(&value), UpdateMode::Any, thread);
            let _ = black_box((done, map.delete(&key)));
        });
    }
    let map = made(MapKind::LpmTrie, 8);
    let prefix = |bits: u32, number: u32| -> [u8; 8] {
        let mut key = [0; 8];
        key[..4].copy_from_slice(&bits.to_ne_bytes());
        key[4..].copy_from_slice(&(number << 12).to_be_bytes());
        key
    };
    for i in 0..1024 {
        map.update(&prefix(16 + i % 3 * 8, i), &[1; 8], UpdateMode::Any).unwrap();
    }
    each("prefixes of 3 lengths: lookup", &|thread, i| {
        black_box(map.address(&prefix(32, nth(i) as u32 % 1024), thread));
    });
    let map = made(MapKind::Queue, 0);
    each("queue: push and pop", &|_, i| {
        let done = map.push(&i.to_ne_bytes(), false);
        let _ = black_box((done, map.pop()));
    });
    let map = made(MapKind::Bloom, 0);
    (0..ENTRIES).for_each(|i| map.push(&i.to_ne_bytes(), false).unwrap());
    each("Bloom filter: asked", &|_, i| {
        black_box(map.may_have(&nth(i).to_ne_bytes()).is_ok());
    });
    let map: Arc<Map> = Map::new(MapSpec::new("m", MapKind::RingBuf, 0, 0, 1 << 20), 1).unwrap();
    each("ring buffer: record of 64 bytes", &|thread, i| {
        let written = map.ring().is_some_and(|ring| ring.output(Window::from_bytes(&[1; 64]), false));
        if !written || (thread == 0 && i % 1024 == 0) {
            map.consume(|_| ());
        }
    });
}
