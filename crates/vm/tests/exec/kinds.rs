//! Kinds of maps beside hashes, arrays and rings, as programs use them; and dynptrs of records.

use std::sync::Arc;

use fuse_bpf_vm::contract::Callable;
use fuse_bpf_vm::helpers::KFUNCS;
use fuse_bpf_vm::insn::{Insn, op};
use fuse_bpf_vm::interp::{ArgFault, FaultKind, Worker};
use fuse_bpf_vm::maps::{Map, MapError, MapKind, MapSpec, UpdateMode};
use fuse_bpf_vm::program::Program;

use crate::build::*;
use crate::maps::{array, ring, spec};
use crate::{TestHost, run, run_on};

const EINVAL: i64 = -22;
const ENOENT: i64 = -2;
const E2BIG: i64 = -7;

fn bad(callable: &'static str, arg: u8, reason: ArgFault) -> Result<u64, FaultKind> {
    Err(FaultKind::BadArgument { callable, arg, reason })
}

fn with(map: &Arc<Map>, insns: Vec<Insn>) -> Program {
    program_with(code![insns, exit()], vec![map.clone()], vec![])
}

fn signed(map: &Arc<Map>, insns: Vec<Insn>) -> i64 {
    run(&with(map, insns), &[]).unwrap() as i64
}

/// A call of a helper with the map, the address of eight bytes that hold `value`, and `third`.
fn with_value(helper: i32, value: i32, third: i32) -> Vec<Insn> {
    code![store_imm(op::DW, 10, -8, value), map(1, 0), copy(2, 10), add(2, -8), mov(3, third), call(helper)]
}

const PUSH: i32 = 87;
const POP: i32 = 88;
const PEEK: i32 = 89;

/// The value that `helper` gives, or its error.
fn taken(map: &Arc<Map>, helper: i32) -> i64 {
    let insns = code![with_value(helper, 99, 0), jump(op::JNE, 0, 0, 1), load(op::DW, 0, 10, -8)];
    signed(map, insns)
}

#[test]
fn queues_and_stacks() {
    for (kind, order) in [(MapKind::Queue, [2, 3, 4]), (MapKind::Stack, [4, 3, 2])] {
        let map = Map::new(spec(kind, 0, 8, 3), 1).unwrap();
        assert_eq!(taken(&map, POP), ENOENT);
        assert_eq!(taken(&map, PEEK), ENOENT);
        for value in 1..4 {
            assert_eq!(signed(&map, with_value(PUSH, value, 0)), 0);
        }
        assert_eq!(signed(&map, with_value(PUSH, 4, 0)), E2BIG);
        assert_eq!(signed(&map, with_value(PUSH, 4, 1)), EINVAL);
        // The oldest makes room.
        assert_eq!(signed(&map, with_value(PUSH, 4, 2)), 0);
        assert_eq!(map.count(), 3);
        assert_eq!(map.lookup(&[]).unwrap()[0], order[0] as u8);
        for value in order {
            assert_eq!(taken(&map, PEEK), value);
            assert_eq!(taken(&map, POP), value);
        }
        assert_eq!(taken(&map, POP), ENOENT);
        // Nothing is left of what was there.
        assert_eq!(signed(&map, code![with_value(POP, 99, 0), load(op::DW, 0, 10, -8)]), 0);
        assert_eq!(map.pop(), Err(MapError::NotFound));
        assert_eq!(map.push(&[1; 4], false), Err(MapError::ValueSize { got: 4, expected: 8 }));
        let typed = map.typed::<(), u64>().unwrap();
        typed.push(&5, false).unwrap();
        assert_eq!((typed.pop(), typed.pop()), (Some(5), None));
        assert_eq!(map.update(&[], &[0; 8], UpdateMode::Any), Err(MapError::Unsupported));
    }
    assert_eq!(
        run(&with(&array(8, 1), with_value(PUSH, 1, 0)), &[]),
        bad("bpf_map_push_elem", 1, ArgFault::WrongMap)
    );
}

#[test]
fn bloom_filters() {
    let map = Map::new(spec(MapKind::Bloom, 0, 8, 1000), 1).unwrap();
    for value in 0..1000 {
        assert_eq!(signed(&map, with_value(PEEK, value, 0)), ENOENT);
        if value % 2 == 0 {
            assert_eq!(signed(&map, with_value(PUSH, value, 0)), 0);
        }
        if value == 20 {
            break;
        }
    }
    for value in (0..=20).step_by(2) {
        assert_eq!(signed(&map, with_value(PEEK, value, 0)), 0);
    }
    assert_eq!(signed(&map, with_value(PUSH, 1, 2)), EINVAL);
    assert_eq!(run(&with(&map, with_value(POP, 1, 0)), &[]), bad("bpf_map_pop_elem", 1, ArgFault::WrongMap));
    assert_eq!(map.may_have(&4u64.to_ne_bytes()), Ok(true));
    assert_eq!(map.pop(), Err(MapError::Unsupported));
    for i in 100..1000u64 {
        map.push(&i.to_ne_bytes(), false).unwrap();
    }
    let typed = map.typed::<(), u64>().unwrap();
    let wrong = (10_000..20_000u64).filter(|i| typed.may_have(i)).count();
    assert!(wrong < 500, "{wrong} of 10,000");
    for (extra, fits) in [(1, true), (15, true), (16, false)] {
        assert_eq!(Map::new(MapSpec { extra, ..spec(MapKind::Bloom, 0, 8, 10) }, 1).is_ok(), fits);
    }
}

/// `lookup(map 0, key)` with a key of eight bytes.
fn lookup(key: i32) -> Vec<Insn> {
    code![store_imm(op::DW, 10, -8, key), map(1, 0), copy(2, 10), add(2, -8), call(1)]
}

#[test]
fn maps_are_found_in_maps() {
    let inner = spec(MapKind::Array, 4, 8, 2);
    let outer = |kind, key_size, max_entries| {
        let spec = MapSpec { inner: Some(Box::new(inner.clone())), ..spec(kind, key_size, 4, max_entries) };
        Map::new(spec, 1).unwrap()
    };
    for (kind, key_size) in [(MapKind::ArrayOfMaps, 4), (MapKind::HashOfMaps, 8)] {
        let map = outer(kind, key_size, 2);
        let key = |i: u64| i.to_ne_bytes()[..key_size as usize].to_vec();
        let first = Map::new(inner.clone(), 1).unwrap();
        map.set_inner(&key(1), first.clone(), UpdateMode::Any).unwrap();
        assert_eq!(signed(&map, lookup(0)), 0);
        // Stores 7 as entry 1 of what is found.
        let stores = code![
            lookup(1),
            jump(op::JNE, 0, 0, 1),
            exit(),
            copy(1, 0),
            store_imm(op::W, 10, -12, 1),
            copy(2, 10),
            add(2, -12),
            call(1),
            jump(op::JNE, 0, 0, 1),
            exit(),
            store_imm(op::DW, 0, 0, 7),
            mov(0, 1)
        ];
        assert_eq!(signed(&map, stores.clone()), 1);
        assert_eq!(first.lookup(&1u32.to_ne_bytes()).unwrap()[0], 7);
        let mut worker = Worker::new(0);
        let program = with(&map, stores);
        // One that is replaced is let go of, at the latest when the worker starts again.
        for _ in 0..3 {
            let next = Map::new(inner.clone(), 1).unwrap();
            map.set_inner(&key(1), next.clone(), UpdateMode::Exist).unwrap();
            assert_eq!(run_on(&mut worker, &program, &[], &mut TestHost::default()), Ok(1));
            map.delete(&key(1)).unwrap();
            assert_eq!(run_on(&mut worker, &program, &[], &mut TestHost::default()), Ok(0));
            assert_eq!(Arc::strong_count(&next), 1);
            map.set_inner(&key(1), first.clone(), UpdateMode::Any).unwrap();
        }
        assert!(matches!(
            run(&with(&map, code![lookup(1), load(op::DW, 0, 0, 0)]), &[]),
            Err(FaultKind::MapHandle)
        ));
        assert_eq!(
            run(&with(&map, with_value(3, 0, 0)), &[]),
            bad("bpf_map_delete_elem", 1, ArgFault::WrongMap)
        );
        let other = Map::new(spec(MapKind::Array, 4, 16, 2), 1).unwrap();
        assert!(matches!(
            map.set_inner(&key(0), other, UpdateMode::Any),
            Err(MapError::NotLikeInner { name }) if name == "m"
        ));
        assert_eq!(map.update(&key(0), &[0; 4], UpdateMode::Any), Err(MapError::Unsupported));
        assert_eq!(map.delete(&key(0)), Err(MapError::NotFound));
    }
    let map = outer(MapKind::ArrayOfMaps, 4, 2);
    let first = Map::new(inner.clone(), 1).unwrap();
    assert_eq!(map.set_inner(&[9; 4], first.clone(), UpdateMode::Any), Err(MapError::Full));
    assert_eq!(map.set_inner(&[0; 4], first.clone(), UpdateMode::NoExist), Err(MapError::Exists));
    let map = outer(MapKind::HashOfMaps, 1, 1);
    assert_eq!(map.set_inner(&[1], first.clone(), UpdateMode::Exist), Err(MapError::NotFound));
    assert_eq!(map.set_inner(&[1], first.clone(), UpdateMode::NoExist), Ok(()));
    assert_eq!(map.set_inner(&[1], first.clone(), UpdateMode::NoExist), Err(MapError::Exists));
    assert_eq!(map.set_inner(&[2], first, UpdateMode::Any), Err(MapError::Full));
}

#[test]
fn a_run_finds_only_so_many_maps() {
    let inner = spec(MapKind::Array, 4, 8, 1);
    let spec = MapSpec { inner: Some(Box::new(inner.clone())), ..spec(MapKind::ArrayOfMaps, 4, 4, 2000) };
    let map_ = Map::new(spec, 1).unwrap();
    for i in 0..2000u32 {
        let inner = Map::new(inner.clone(), 1).unwrap();
        map_.set_inner(&i.to_ne_bytes(), inner, UpdateMode::Any).unwrap();
    }
    let all = |count: i32| {
        let insns = code![
            mov(6, 0),
            store(op::W, 10, 6, -4),
            map(1, 0),
            copy(2, 10),
            add(2, -4),
            call(1),
            add(6, 1),
            jump(op::JLT, 6, count, -8),
            copy(0, 6)
        ];
        run(&with(&map_, insns), &[])
    };
    assert_eq!(all(1000), Ok(1000));
    assert_eq!(all(2000), Err(FaultKind::TooManyMaps { limit: 1024 }));
}

#[test]
fn values_of_other_slots_are_looked_up() {
    for (kind, key_size) in [(MapKind::PerCpuArray, 4), (MapKind::PerCpuHash, 8), (MapKind::LruPerCpuHash, 8)]
    {
        let map_ = Map::new(spec(kind, key_size, 8, 4), 3).unwrap();
        let key = vec![0; key_size as usize];
        let values: Vec<u8> = [10u64, 11, 12].iter().flat_map(|value| value.to_ne_bytes()).collect();
        map_.update(&key, &values, UpdateMode::Any).unwrap();
        for (slot, expected) in [(0, 10), (2, 12), (3, 0), (-1, 0)] {
            let insns =
                code![with_value(195, 0, slot), jump(op::JEQ, 0, 0, 2), load(op::DW, 1, 0, 0), copy(0, 1)];
            assert_eq!(signed(&map_, insns), expected);
        }
        // An update sets the value of one slot, and zeroes the others of a new entry.
        map_.delete(&key).ok();
        let update = code![
            store_imm(op::DW, 10, -8, 0),
            store_imm(op::DW, 10, -16, 5),
            map(1, 0),
            copy(2, 10),
            add(2, -8),
            copy(3, 10),
            add(3, -16),
            mov(4, 0),
            call(2)
        ];
        let program = with(&map_, update);
        assert_eq!(run_on(&mut Worker::new(1), &program, &[], &mut TestHost::default()), Ok(0));
        let first = if kind == MapKind::PerCpuArray { 10 } else { 0 };
        let typed = map_.lookup(&key).unwrap();
        let numbers: Vec<u8> = typed.chunks(8).map(|value| value[0]).collect();
        assert_eq!(numbers, [first, 5, if first == 0 { 0 } else { 12 }]);
        assert_eq!(map_.lookup_slot(&key, 1).unwrap(), 5u64.to_ne_bytes());
        assert_eq!(map_.lookup_slot(&key, 3), None);
    }
}

#[test]
fn storage_belongs_to_the_node_of_the_operation() {
    let map_ = Map::new(spec(MapKind::InodeStorage, 4, 8, 0), 1).unwrap();
    // `*get(map, 0, value, flags) += 1`, or 0.
    let count = |value: bool, flags: i32| {
        let value = if value { code![copy(3, 10), add(3, -8)] } else { code![mov(3, 0)] };
        with(
            &map_,
            code![
                store_imm(op::DW, 10, -8, 100),
                map(1, 0),
                mov(2, 0),
                value,
                mov(4, flags),
                call(145),
                jump(op::JEQ, 0, 0, 5),
                load(op::DW, 1, 0, 0),
                add(1, 1),
                store(op::DW, 0, 1, 0),
                copy(0, 1),
                insn(op::GOTO, 0, 0, 0, 0)
            ],
        )
    };
    let mut worker = Worker::new(0);
    let mut on = |node: Option<u64>, program: &Program| {
        run_on(&mut worker, program, &[], &mut TestHost { node, ..TestHost::default() }).unwrap() as i64
    };
    let (find, create, first) = (count(false, 0), count(false, 1), count(true, 1));
    assert_eq!(on(Some(7), &find), 0);
    assert_eq!(on(None, &create), 0);
    assert_eq!(on(Some(7), &create), 1);
    assert_eq!(on(Some(7), &create), 2);
    assert_eq!(on(Some(8), &first), 101);
    assert_eq!(on(Some(8), &first), 102);
    assert_eq!(on(Some(8), &count(false, 2)), 0);
    assert_eq!(on(Some(7), &find), 3);
    let delete = with(&map_, code![map(1, 0), mov(2, 0), call(146)]);
    assert_eq!(on(None, &delete), ENOENT);
    assert_eq!(on(Some(7), &delete), 0);
    assert_eq!(on(Some(7), &delete), ENOENT);
    assert_eq!(on(Some(7), &find), 0);
    assert_eq!(map_.typed::<u64, u64>().unwrap().entries(), [(8, 102)]);
    map_.delete(&8u64.to_ne_bytes()).unwrap();
    assert_eq!(on(Some(8), &find), 0);
}

#[test]
fn prefixes_are_matched() {
    let map_ = Map::new(spec(MapKind::LpmTrie, 8, 8, 4), 1).unwrap();
    let mut key = 16u32.to_ne_bytes().to_vec();
    key.extend([10, 1, 0, 0]);
    map_.update(&key, &5u64.to_ne_bytes(), UpdateMode::Any).unwrap();
    let find = |bits: i32, addr: [u8; 4]| {
        let insns = code![
            store_imm(op::W, 10, -8, bits),
            store_imm(op::W, 10, -4, i32::from_ne_bytes(addr)),
            map(1, 0),
            copy(2, 10),
            add(2, -8),
            call(1),
            jump(op::JEQ, 0, 0, 2),
            load(op::DW, 1, 0, 0),
            copy(0, 1)
        ];
        signed(&map_, insns)
    };
    assert_eq!(find(32, [10, 1, 2, 3]), 5);
    assert_eq!(find(32, [10, 2, 2, 3]), 0);
    assert_eq!(find(15, [10, 1, 2, 3]), 0);
}

fn kfunc(name: &str) -> &'static Callable {
    KFUNCS.iter().find(|kfunc| kfunc.name == name).unwrap()
}

/// `reserve_dynptr(ring, size, flags, fp - 16)`.
fn reserve(size: i32, flags: i32) -> Vec<Insn> {
    code![map(1, 0), mov(2, size), mov(3, flags), copy(4, 10), add(4, -16), call(198)]
}

/// A helper with the dynptr and `second`.
fn on_dynptr(helper: i32, second: i32) -> Vec<Insn> {
    code![copy(1, 10), add(1, -16), mov(2, second), call(helper)]
}

const SUBMIT: i32 = 199;
const DISCARD: i32 = 200;

#[test]
fn records_are_reserved_as_dynptrs() {
    let map_ = ring(4096);
    let drain = |map: &Map| {
        let mut records = Vec::new();
        map.consume(|record| records.push(record.to_vec()));
        records
    };
    // Writes through the address and through the dynptr.
    let writes = code![
        reserve(12, 0),
        copy(6, 0),
        on_dynptr(203, 0),
        mov(3, 0),
        copy(1, 10),
        add(1, -16),
        mov(2, 0),
        mov(3, 8),
        call(203),
        store_imm(op::DW, 0, 0, 7),
        store_imm(op::W, 10, -20, 9),
        copy(1, 10),
        add(1, -16),
        mov(2, 8),
        copy(3, 10),
        add(3, -20),
        mov(4, 4),
        mov(5, 0),
        call(202),
        on_dynptr(SUBMIT, 0),
        copy(0, 6)
    ];
    assert_eq!(signed(&map_, writes), 0);
    let records = drain(&map_);
    assert_eq!(records, [[7, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0]]);
    assert_eq!(signed(&map_, code![reserve(12, 0), on_dynptr(DISCARD, 0)]), 0);
    // One that is left is discarded.
    assert_eq!(signed(&map_, reserve(12, 0)), 0);
    assert!(drain(&map_).is_empty());
    // A failed one must be given back as well, and is no record.
    for (size, flags, error) in [(5000, 0, EINVAL), (8, 1, EINVAL), (1 << 24, 0, E2BIG)] {
        assert_eq!(
            signed(&map_, code![reserve(size, flags), copy(6, 0), on_dynptr(SUBMIT, 0), copy(0, 6)]),
            error
        );
    }
    assert!(drain(&map_).is_empty());
}

#[test]
fn a_record_is_gone_with_its_dynptrs() {
    let map_ = ring(4096);
    let kfuncs = vec![kfunc("bpf_dynptr_clone")];
    let run_it =
        |insns: Vec<Insn>| run(&program_with(code![insns, exit()], vec![map_.clone()], kfuncs.clone()), &[]);
    let clone = code![copy(1, 10), add(1, -16), copy(2, 10), add(2, -32), call_kfunc(0)];
    let address = code![copy(1, 10), add(1, -16), mov(2, 0), mov(3, 8), call(203), copy(6, 0)];
    let submit = || on_dynptr(SUBMIT, 0);
    let not_dynptr = |callable| bad(callable, 1, ArgFault::NotDynptr);
    assert_eq!(run_it(code![reserve(8, 0), submit(), submit()]), not_dynptr("bpf_ringbuf_submit_dynptr"));
    assert_eq!(
        run_it(code![
            reserve(8, 0),
            clone.clone(),
            submit(),
            copy(1, 10),
            add(1, -32),
            mov(2, 0),
            call(DISCARD)
        ]),
        not_dynptr("bpf_ringbuf_discard_dynptr")
    );
    assert_eq!(
        run_it(code![reserve(8, 0), clone, copy(1, 10), add(1, -32), mov(2, 0), call(DISCARD), submit()]),
        not_dynptr("bpf_ringbuf_submit_dynptr")
    );
    assert!(matches!(
        run_it(code![reserve(8, 0), address.clone(), submit(), store_imm(op::DW, 6, 0, 1)]),
        Err(FaultKind::Store { size: 8, .. })
    ));
    // It is not a record by address, nor is another dynptr a record.
    assert_eq!(
        run_it(code![reserve(8, 0), address, copy(1, 6), mov(2, 0), call(132)]),
        bad("bpf_ringbuf_submit", 1, ArgFault::NotRecord)
    );
    let values = array(64, 1);
    let local = program_with(
        code![
            store_imm(op::W, 10, -20, 0),
            map(1, 0),
            copy(2, 10),
            add(2, -20),
            call(1),
            copy(1, 0),
            mov(2, 8),
            mov(3, 0),
            copy(4, 10),
            add(4, -16),
            call(197),
            on_dynptr(SUBMIT, 0),
            exit()
        ],
        vec![values],
        vec![],
    );
    assert_eq!(run(&local, &[]), bad("bpf_ringbuf_submit_dynptr", 1, ArgFault::NotRecordDynptr));
}

#[test]
fn dynptrs_are_filled_and_copied() {
    let values = array(64, 1);
    let make = |off: i32, len: i32, at: i32| {
        code![copy(1, 6), add(1, off), mov(2, len), mov(3, 0), copy(4, 10), add(4, at), call(197)]
    };
    let run_it = |insns: Vec<Insn>| {
        let program = program_with(
            code![
                store_imm(op::W, 10, -4, 0),
                map(1, 0),
                copy(2, 10),
                add(2, -4),
                call(1),
                copy(6, 0),
                make(0, 16, -32),
                make(8, 16, -48),
                insns,
                exit()
            ],
            vec![values.clone()],
            vec![kfunc("bpf_dynptr_memset"), kfunc("bpf_dynptr_copy")],
        );
        run(&program, &[]).unwrap() as i64
    };
    let set = |off: i32, len: i32, byte: i32| {
        code![copy(1, 10), add(1, -32), mov(2, off), mov(3, len), mov(4, byte), call_kfunc(0)]
    };
    let copied = |to: i32, to_off: i32, from: i32, from_off: i32, len: i32| {
        code![
            copy(1, 10),
            add(1, to),
            mov(2, to_off),
            copy(3, 10),
            add(3, from),
            mov(4, from_off),
            mov(5, len),
            call_kfunc(1)
        ]
    };
    assert_eq!(run_it(set(1, 3, 5)), 0);
    assert_eq!(values.lookup(&[0; 4]).unwrap()[..6], [0, 5, 5, 5, 0, 0]);
    assert_eq!(run_it(set(1, 16, 5)), E2BIG);
    assert_eq!(run_it(set(0, 0, 5)), 0);
    assert_eq!(run_it(copied(-48, 0, -32, 0, 16)), 0);
    assert_eq!(values.lookup(&[0; 4]).unwrap()[8..14], [0, 5, 5, 5, 0, 0]);
    assert_eq!(run_it(copied(-48, 1, -32, 0, 16)), E2BIG);
    assert_eq!(run_it(copied(-48, 0, -32, 1, 16)), E2BIG);
}
