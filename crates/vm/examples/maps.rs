//! What map operations cost, in nanoseconds of processor time, and how they scale over two threads:
//! `cargo run --release -p fuse-bpf-vm --example maps`.
#![allow(clippy::print_stdout, reason = "what it is for")]

use std::hint::black_box;
use std::sync::{Arc, Barrier};

use fuse_bpf_vm::maps::{Map, MapError, MapKind, MapSpec, UpdateMode};
use fuse_bpf_vm::mem::Window;
use rustix::time::{ClockId, clock_gettime};

/// Entries of each map.
const ENTRIES: u64 = 10_000;
/// Operations of one measurement and thread.
const ROUNDS: u64 = 2_000_000;

/// Operation number `i` of a thread.
type Operation<'a> = &'a (dyn Fn(usize, u64) + Sync);

/// Nanoseconds this thread has run: other processes on a busy machine do not count.
fn processor_time() -> i64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// Nanoseconds an operation takes when `threads` do it at once, the best of five times.
fn measure(threads: usize, operation: Operation<'_>) -> f64 {
    let barrier = Barrier::new(threads);
    let once = || {
        let times = std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads)
                .map(|thread| {
                    let barrier = &barrier;
                    scope.spawn(move || {
                        barrier.wait();
                        let start = processor_time();
                        for i in 0..ROUNDS {
                            operation(thread, i);
                        }
                        processor_time() - start
                    })
                })
                .collect();
            running.into_iter().filter_map(|thread| thread.join().ok()).max()
        });
        times.unwrap_or_default() as f64 / ROUNDS as f64
    };
    (0..5).map(|_| once()).fold(f64::INFINITY, f64::min)
}

fn report(name: &str, operation: Operation<'_>) {
    let (one, two) = (measure(1, operation), measure(2, operation));
    println!("{name:40} {one:7.1} ns   two threads {:.2}x", 2.0 * one / two);
}

fn made(kind: MapKind, key_size: u32) -> Result<Arc<Map>, MapError> {
    let map = Map::new(MapSpec::new("m", kind, key_size, 8, ENTRIES as u32), 2)?;
    for i in 0..ENTRIES {
        let value = (i + 1).to_ne_bytes().repeat(map.slots());
        map.update(&key(i, key_size), &value, UpdateMode::Any)?;
    }
    Ok(map)
}

/// Key number `i`: of a prefix trie, one of 32 bits.
fn key(i: u64, size: u32) -> Vec<u8> {
    let mut key = vec![0; size as usize];
    let bytes = i.to_ne_bytes();
    let len = key.len().min(8);
    key[..len].copy_from_slice(&bytes[..len]);
    key
}

/// Some order that is not that of memory.
fn nth(i: u64) -> u64 {
    i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % ENTRIES
}

fn main() -> Result<(), MapError> {
    let nothing: Operation<'_> = &|_, i| {
        black_box(nth(black_box(i)));
    };
    report("nothing", nothing);
    for (name, kind) in
        [("hash", MapKind::Hash), ("percpu hash", MapKind::PerCpuHash), ("lru hash", MapKind::LruHash)]
    {
        let map = made(kind, 8)?;
        report(&format!("{name}, 8-byte keys: lookup"), &|thread, i| {
            black_box(map.address(&nth(i).to_ne_bytes(), thread));
        });
        report(&format!("{name}, 8-byte keys: lookup of one key"), &|thread, i| {
            black_box(map.address(&(black_box(i) & 1).to_ne_bytes(), thread));
        });
        report(&format!("{name}, 8-byte keys: lookup, 1 in 64 set"), &|thread, i| {
            let key = nth(i).to_ne_bytes();
            if i % 64 == 0 {
                let value = i.to_ne_bytes();
                let done = map.update_slot(&key, Window::from_bytes(&value), UpdateMode::Any, thread);
                black_box(done.is_ok());
            } else {
                black_box(map.address(&key, thread));
            }
        });
        report(&format!("{name}, 8-byte keys: set"), &|thread, i| {
            let (key, value) = (nth(i).to_ne_bytes(), i.to_ne_bytes());
            let done = map.update_slot(&key, Window::from_bytes(&value), UpdateMode::Any, thread);
            black_box(done.is_ok());
        });
        report(&format!("{name}, 8-byte keys: make and remove"), &|thread, i| {
            let (key, value) = ((ENTRIES * (1 + thread as u64) + i % 16).to_ne_bytes(), i.to_ne_bytes());
            if i % 2 == 0 {
                let _ = black_box(map.delete(&nth(i).to_ne_bytes()));
            }
            let done = map.update_slot(&key, Window::from_bytes(&value), UpdateMode::Any, thread);
            let _ = black_box((done, map.delete(&key)));
        });
    }
    let map = made(MapKind::Hash, 4)?;
    report("hash, 4-byte keys: lookup", &|thread, i| {
        black_box(map.address(&(nth(i) as u32).to_ne_bytes(), thread));
    });
    let map = made(MapKind::Hash, 32)?;
    report("hash, 32-byte keys: lookup", &|thread, i| {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&nth(i).to_ne_bytes());
        black_box(map.address(&key, thread));
    });
    report("hash, 32-byte keys: copy", &|_, i| {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&nth(i).to_ne_bytes());
        black_box(map.lookup(&key));
    });
    for (name, kind) in [("array", MapKind::Array), ("percpu array", MapKind::PerCpuArray)] {
        let map = made(kind, 4)?;
        report(&format!("{name}: lookup"), &|thread, i| {
            black_box(map.address(&(nth(i) as u32).to_ne_bytes(), thread));
        });
    }
    let map = Map::new(MapSpec::new("m", MapKind::LpmTrie, 8, 8, ENTRIES as u32), 1)?;
    for i in 0..1000u32 {
        let mut key = [0; 8];
        key[..4].copy_from_slice(&(16 + i % 3 * 8).to_ne_bytes());
        key[4..].copy_from_slice(&(i << 12).to_be_bytes());
        map.update(&key, &[1; 8], UpdateMode::Any)?;
    }
    report("prefixes of 3 lengths: lookup", &|thread, i| {
        let mut key = [0; 8];
        key[..4].copy_from_slice(&32u32.to_ne_bytes());
        key[4..].copy_from_slice(&((nth(i) as u32 % 1000) << 12).to_be_bytes());
        black_box(map.address(&key, thread));
    });
    let map = Map::new(MapSpec::new("m", MapKind::Queue, 0, 8, ENTRIES as u32), 1)?;
    report("queue: push and pop", &|_, i| {
        let done = map.push(&i.to_ne_bytes(), false);
        let _ = black_box((done, map.pop()));
    });
    let map = Map::new(MapSpec::new("m", MapKind::Bloom, 0, 8, ENTRIES as u32), 1)?;
    for i in 0..ENTRIES {
        map.push(&i.to_ne_bytes(), false)?;
    }
    report("Bloom filter: asked", &|_, i| {
        black_box(map.may_have(&nth(i).to_ne_bytes()).is_ok());
    });
    let map = Map::new(MapSpec::new("m", MapKind::RingBuf, 0, 0, 1 << 20), 1)?;
    report("ring buffer: output of 64 bytes", &|thread, i| {
        let written = map.ring().is_some_and(|ring| ring.output(Window::from_bytes(&[1; 64]), false));
        if !written || (thread == 0 && i % 1024 == 0) {
            map.consume(|_| ());
        }
    });
    Ok(())
}
