//! Maps as programs and threads use them.

use std::sync::Arc;
use std::time::Duration;

use fuse_bpf_vm::insn::{Insn, op};
use fuse_bpf_vm::interp::{ArgFault, FaultKind, Worker};
use fuse_bpf_vm::maps::{Map, MapKind, MapSpec, UpdateMode};
use fuse_bpf_vm::program::Program;

use crate::build::*;
use crate::{TestHost, run, run_on};

/// A map's declaration.
pub(crate) fn spec(kind: MapKind, key_size: u32, value_size: u32, max_entries: u32) -> MapSpec {
    MapSpec::new("m", kind, key_size, value_size, max_entries)
}

/// An array.
pub(crate) fn array(value_size: u32, max_entries: u32) -> Arc<Map> {
    Map::new(spec(MapKind::Array, 4, value_size, max_entries), 1).unwrap()
}

/// A ring buffer.
pub(crate) fn ring(size: u32) -> Arc<Map> {
    Map::new(spec(MapKind::RingBuf, 0, 0, size), 1).unwrap()
}

fn with(map: &Arc<Map>, insns: Vec<Insn>) -> Program {
    program_with(code![insns, exit()], vec![map.clone()], vec![])
}

/// `map_update(map, &key, &value, flags)` with 4-byte key and 8-byte value.
fn update(key: i32, value: i32, flags: i32) -> Vec<Insn> {
    code![
        store_imm(op::W, 10, -4, key),
        store_imm(op::DW, 10, -16, value),
        map(1, 0),
        copy(2, 10),
        add(2, -4),
        copy(3, 10),
        add(3, -16),
        mov(4, flags),
        call(2)
    ]
}

fn delete(key: i32) -> Vec<Insn> {
    code![store_imm(op::W, 10, -4, key), map(1, 0), copy(2, 10), add(2, -4), call(3)]
}

fn errno(result: Result<u64, FaultKind>) -> i64 {
    result.unwrap() as i64
}

#[test]
fn update_and_delete_return_the_kernels_errors() {
    let hash = Map::new(spec(MapKind::Hash, 4, 8, 2), 1).unwrap();
    for (insns, expected) in [
        (update(1, 10, 2), -2),
        (update(1, 10, 1), 0),
        (update(1, 11, 1), -17),
        (update(1, 12, 2), 0),
        (update(1, 12, 3), -22),
        (update(2, 20, 0), 0),
        (update(3, 30, 0), -7),
        (delete(1), 0),
        (delete(1), -2),
        (update(3, 30, 0), 0),
    ] {
        assert_eq!(errno(run(&with(&hash, insns), &[])), expected);
    }
    assert_eq!(hash.lookup(&3u32.to_ne_bytes()).unwrap(), 30u64.to_ne_bytes());
    let array = array(8, 2);
    for (insns, expected) in
        [(update(1, 5, 0), 0), (update(1, 5, 1), -17), (update(2, 5, 0), -7), (delete(0), -22)]
    {
        assert_eq!(errno(run(&with(&array, insns), &[])), expected);
    }
    let fixed = Map::new(MapSpec { read_only: true, ..spec(MapKind::Array, 4, 8, 2) }, 1).unwrap();
    assert_eq!(errno(run(&with(&fixed, update(1, 5, 0)), &[])), -1);
}

#[test]
fn map_arguments_are_checked() {
    let bad = |arg, reason| Err(FaultKind::BadArgument { callable: "bpf_map_lookup_elem", arg, reason });
    let map_ = array(8, 2);
    let lookup = |insns: Vec<Insn>| run(&with(&map_, code![insns, call(1)]), &[]);
    assert_eq!(lookup(code![mov(1, 0), copy(2, 10), add(2, -4)]), bad(1, ArgFault::NotMap));
    assert_eq!(lookup(code![map(1, 0), add(1, 8), copy(2, 10), add(2, -4)]), bad(1, ArgFault::NotMap));
    assert_eq!(lookup(code![map(1, 0), add(1, 64), copy(2, 10), add(2, -4)]), bad(1, ArgFault::NotMap));
    assert_eq!(lookup(code![copy(1, 10), copy(2, 10), add(2, -4)]), bad(1, ArgFault::NotMap));
    assert_eq!(lookup(code![map(1, 0), mov(2, 0)]), bad(2, ArgFault::Null));
    let outside = lookup(code![map(1, 0), copy(2, 10), add(2, -3)]);
    assert!(matches!(
        outside,
        Err(FaultKind::BadArgument { arg: 2, reason: ArgFault::OutOfBounds { size: 4, .. }, .. })
    ));
    let ring = ring(4096);
    let wrong = run(&with(&ring, code![map(1, 0), copy(2, 10), add(2, -4), call(1)]), &[]);
    assert_eq!(wrong, bad(1, ArgFault::WrongMap));
}

/// Adds 1 to the value of entry 0 of map 0.
fn count() -> Vec<Insn> {
    code![
        store_imm(op::W, 10, -4, 0),
        map(1, 0),
        copy(2, 10),
        add(2, -4),
        call(1),
        load(op::DW, 1, 0, 0),
        add(1, 1),
        store(op::DW, 0, 1, 0),
        copy(0, 1)
    ]
}

#[test]
fn each_slot_has_its_own_value() {
    const THREADS: usize = 4;
    let map_ = Map::new(spec(MapKind::PerCpuArray, 4, 8, 1), THREADS).unwrap();
    let program = with(&map_, code![count(), call(8)]);
    std::thread::scope(|scope| {
        for slot in 0..THREADS {
            let program = &program;
            scope.spawn(move || {
                let mut worker = Worker::new(slot);
                for _ in 0..1000 * (slot + 1) {
                    let result = run_on(&mut worker, program, &[], &mut TestHost::default());
                    assert_eq!(result, Ok(slot as u64));
                }
            });
        }
    });
    let key = 0u32.to_ne_bytes();
    for slot in 0..THREADS {
        let value = map_.lookup_slot(&key, slot).unwrap();
        assert_eq!(value, (1000 * (slot as u64 + 1)).to_ne_bytes());
    }
    // A worker with a number past the slots shares one.
    let result = run_on(&mut Worker::new(THREADS + 1), &program, &[], &mut TestHost::default());
    assert_eq!(result, Ok(THREADS as u64 + 1));
    assert_eq!(map_.lookup_slot(&key, 1).unwrap(), 2001u64.to_ne_bytes());
}

#[test]
fn a_hash_counts_right_from_four_threads() {
    const ROUNDS: u32 = 20_000;
    let map_ = Map::new(spec(MapKind::Hash, 4, 8, 64), 1).unwrap();
    // Makes the entry if it is not there, then adds to it atomically.
    let add_one = with(
        &map_,
        code![
            load(op::DW, 6, 1, 0),
            store(op::W, 10, 6, -4),
            store_imm(op::DW, 10, -16, 0),
            map(1, 0),
            copy(2, 10),
            add(2, -4),
            copy(3, 10),
            add(3, -16),
            mov(4, 1),
            call(2),
            map(1, 0),
            copy(2, 10),
            add(2, -4),
            call(1),
            mov(1, 1),
            atomic(op::DW, 0, 0, 1, 0)
        ],
    );
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let (add_one, map_) = (&add_one, &map_);
            scope.spawn(move || {
                let mut worker = Worker::new(thread as usize);
                for i in 0..ROUNDS {
                    let args = [fuse_bpf_vm::interp::Arg::Scalar(u64::from(i * 7 % 32))];
                    run_on(&mut worker, add_one, &args, &mut TestHost::default()).unwrap();
                    // Other entries of the same buckets come and go meanwhile.
                    let key = (1000 + thread * 8 + i % 8).to_ne_bytes();
                    if i % 2 == 0 {
                        map_.update(&key, &[thread as u8; 8], UpdateMode::Any).unwrap();
                        assert_eq!(map_.lookup(&key).unwrap(), [thread as u8; 8]);
                    } else {
                        let previous = (1000 + thread * 8 + (i - 1) % 8).to_ne_bytes();
                        map_.delete(&previous).unwrap();
                        assert_eq!(map_.lookup(&previous), None);
                    }
                }
            });
        }
    });
    let total: u64 =
        map_.keys().iter().map(|key| u64::from_ne_bytes(map_.lookup(key).unwrap().try_into().unwrap())).sum();
    assert_eq!(map_.keys().len(), 32);
    assert_eq!(total, 4 * u64::from(ROUNDS));
}

/// Reserves a record of `size` bytes in R0, or exits with 1.
fn reserve(size: i32) -> Vec<Insn> {
    code![map(1, 0), mov(2, size), mov(3, 0), call(131), jump(op::JNE, 0, 0, 2), mov(0, 1), exit()]
}

fn records(map: &Map) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    map.consume(|record| records.push(record.to_vec()));
    records
}

#[test]
fn records_are_written_and_released() {
    let ring = ring(4096);
    let submit = code![
        reserve(12),
        copy(6, 0),
        store_imm(op::DW, 6, 0, 5),
        store_imm(op::W, 6, 8, 6),
        copy(1, 6),
        mov(2, 0)
    ];
    assert_eq!(run(&with(&ring, code![submit.clone(), call(132)]), &[]), Ok(0));
    assert_eq!(run(&with(&ring, code![submit.clone(), call(133)]), &[]), Ok(0));
    assert_eq!(records(&ring), [[5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0]]);
    // Past its end, after its release, twice, not at its start.
    let beyond = run(&with(&ring, code![reserve(12), store_imm(op::W, 0, 9, 0)]), &[]);
    assert!(matches!(beyond, Err(FaultKind::Store { size: 4, .. })), "{beyond:?}");
    let after = code![submit.clone(), call(132), store_imm(op::W, 6, 0, 0)];
    assert!(matches!(run(&with(&ring, after), &[]), Err(FaultKind::Store { .. })));
    let refused = |callable| Err(FaultKind::BadArgument { callable, arg: 1, reason: ArgFault::NotRecord });
    let twice = code![submit.clone(), call(132), copy(1, 6), mov(2, 0), call(132)];
    assert_eq!(run(&with(&ring, twice), &[]), refused("bpf_ringbuf_submit"));
    let inside = code![submit, add(1, 8), call(133)];
    assert_eq!(run(&with(&ring, inside), &[]), refused("bpf_ringbuf_discard"));
    // The record that was left is discarded and does not block the reader.
    assert_eq!(records(&ring).len(), 2);
    assert_eq!(ring.ring().unwrap().available(), 0);
}

#[test]
fn a_record_does_not_outlive_its_submission_in_a_dynptr() {
    let ring = ring(4096);
    let keep = code![
        reserve(16),
        copy(6, 0),
        copy(1, 0),
        mov(2, 16),
        mov(3, 0),
        copy(4, 10),
        add(4, -16),
        call(197)
    ];
    let refused =
        FaultKind::BadArgument { callable: "bpf_dynptr_from_mem", arg: 1, reason: ArgFault::Passing };
    assert_eq!(run(&with(&ring, keep), &[]), Err(refused));
}

#[test]
fn output_and_query() {
    let ring = ring(4096);
    let output = |size, flags| {
        code![
            store_imm(op::DW, 10, -8, 77),
            map(1, 0),
            copy(2, 10),
            add(2, -8),
            mov(3, size),
            mov(4, flags),
            call(130)
        ]
    };
    assert_eq!(errno(run(&with(&ring, output(8, 0)), &[])), 0);
    assert_eq!(errno(run(&with(&ring, output(8, 4)), &[])), -22);
    let query = |what| run(&with(&ring, code![map(1, 0), mov(2, what), call(134)]), &[]).unwrap();
    assert_eq!([0, 1, 2, 3, 4].map(query), [16, 4096, 0, 16, 0]);
    assert_eq!(records(&ring), [77u64.to_ne_bytes()]);
    assert_eq!([0, 1, 2, 3].map(query), [0, 4096, 16, 16]);
    for _ in 0..256 {
        assert_eq!(errno(run(&with(&ring, output(8, 1)), &[])), 0);
    }
    assert_eq!(errno(run(&with(&ring, output(8, 0)), &[])), -11);
    // Sizes and flags that give nothing.
    for (size, flags) in [(8, 0), (4096, 0), (-1, 0), (8, 1)] {
        let insns = code![map(1, 0), mov(2, size), mov(3, flags), call(131)];
        assert_eq!(run(&with(&ring, insns), &[]), Ok(0));
    }
}

#[test]
fn programs_on_threads_feed_one_reader() {
    const THREADS: usize = 3;
    const EACH: u64 = 5000;
    let ring = ring(4096);
    // Writes its argument in 24 bytes; 1 when there was no room.
    let write = with(
        &ring,
        code![
            load(op::DW, 6, 1, 0),
            reserve(24),
            store(op::DW, 0, 6, 0),
            store(op::DW, 0, 6, 8),
            store(op::DW, 0, 6, 16),
            copy(1, 0),
            mov(2, 0),
            call(132)
        ],
    );
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let write = &write;
            scope.spawn(move || {
                let mut worker = Worker::new(thread);
                for i in 0..EACH {
                    let args = [fuse_bpf_vm::interp::Arg::Scalar((thread as u64) << 32 | i)];
                    while run_on(&mut worker, write, &args, &mut TestHost::default()) != Ok(0) {
                        std::thread::yield_now();
                    }
                }
            });
        }
        let mut next = [0; THREADS];
        while next.iter().sum::<u64>() < THREADS as u64 * EACH {
            assert!(ring.wait(Duration::from_secs(60)), "a wake-up was lost");
            ring.consume(|record| {
                let (words, _) = record.as_chunks::<8>();
                let words: Vec<u64> = words.iter().copied().map(u64::from_ne_bytes).collect();
                assert!(words.len() == 3 && words.iter().all(|&word| word == words[0]));
                let thread = (words[0] >> 32) as usize;
                assert_eq!(words[0] & 0xffff_ffff, next[thread]);
                next[thread] += 1;
            });
        }
    });
}

#[test]
fn an_empty_queue_leaves_zeros() {
    let queue = Map::new(MapSpec::new("queue", MapKind::Queue, 0, 8, 4), 1).unwrap();
    for id in [88, 89] {
        let insns = code![
            store(op::DW, 10, 10, -8),
            map(1, 0),
            copy(2, 10),
            add(2, -8),
            call(id),
            load(op::DW, 0, 10, -8),
            exit()
        ];
        assert_eq!(run(&program_with(insns, vec![queue.clone()], vec![]), &[]), Ok(0));
    }
}
