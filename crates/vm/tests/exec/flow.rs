//! Calls back into the program, iterators, tail calls, locks.

use std::sync::Arc;

use fuse_bpf_vm::helpers::KFUNCS;
use fuse_bpf_vm::insn::{Insn, op, pseudo};
use fuse_bpf_vm::interp::{Arg, ArgFault, FaultKind, MAX_FRAMES, Worker};
use fuse_bpf_vm::maps::{Map, MapKind, MapSpec, UpdateMode};
use fuse_bpf_vm::mem::Window;
use fuse_bpf_vm::program::Program;

use crate::build::*;
use crate::maps::{array, spec};
use crate::{TestHost, cells, exec, run, run_on};

const E2BIG: u64 = -7i64 as u64;
const EINVAL: u64 = -22i64 as u64;
const ENOENT: u64 = -2i64 as u64;

/// `dst = &function`, the one `distance` slots from the instruction after the first half.
fn function(dst: u8, distance: i32) -> [Insn; 2] {
    [insn(op::LDDW, dst, pseudo::FUNC, 0, distance), insn(0, 0, 0, 0, 0)]
}

fn bad(callable: &'static str, arg: u8, reason: ArgFault) -> Result<u64, FaultKind> {
    Err(FaultKind::BadArgument { callable, arg, reason })
}

/// `bpf_loop(count, callback, &sum, flags)`, then `sum << 32 | result` for short loops. The callback adds
/// the index and returns `index == stop`.
fn summing(count: i32, flags: i32, stop: i32) -> Vec<Insn> {
    code![
        store_imm(op::DW, 10, -8, 0),
        mov(1, count),
        function(2, 9),
        copy(3, 10),
        add(3, -8),
        mov(4, flags),
        call(181),
        load(op::DW, 1, 10, -8),
        insn(op::ALU64 | op::LSH, 1, 0, 0, 32),
        alu64(op::ADD, 0, 1),
        exit(),
        // The callback.
        load(op::DW, 3, 2, 0),
        alu64(op::ADD, 3, 1),
        store(op::DW, 2, 3, 0),
        mov(0, 0),
        jump(op::JNE, 1, stop, 1),
        mov(0, 1),
        exit()
    ]
}

#[test]
fn a_loop_calls_back_until_it_is_told_to_stop() {
    assert_eq!(exec(summing(10, 0, -1)), Ok(45 << 32 | 10));
    assert_eq!(exec(summing(10, 0, 3)), Ok(6 << 32 | 4));
    assert_eq!(exec(summing(0, 0, 0)), Ok(0));
    assert_eq!(exec(summing(10, 1, 3)), Ok(EINVAL));
    assert_eq!(exec(summing((8 << 20) + 1, 0, 3)), Ok(E2BIG));
    assert!(matches!(exec(summing(8 << 20, 0, -1)), Err(FaultKind::Budget { .. })));
}

#[test]
fn a_loop_is_told_a_function_and_a_context() {
    let looping = |insns: Vec<Insn>| exec(code![insns, mov(4, 0), call(181), exit(), mov(0, 0), exit()]);
    assert_eq!(looping(code![mov(1, 2), mov(2, 5), mov(3, 0)]), bad("bpf_loop", 2, ArgFault::NotFunction));
    assert_eq!(
        looping(code![mov(1, 2), function(2, 5), mov(3, 5)]),
        bad("bpf_loop", 3, ArgFault::NotStackOrNull)
    );
    assert_eq!(looping(code![mov(1, 2), function(2, 5), mov(3, 0)]), Ok(2));
}

#[test]
fn callbacks_keep_the_registers_of_the_caller_and_get_clean_ones() {
    let result = exec(code![
        mov(6, 1),
        mov(7, 2),
        store_imm(op::DW, 10, -8, 4),
        mov(1, 3),
        function(2, 9),
        mov(3, 0),
        mov(4, 0),
        call(181),
        alu64(op::ADD, 0, 6),
        alu64(op::ADD, 0, 7),
        load(op::DW, 1, 10, -8),
        alu64(op::ADD, 0, 1),
        exit(),
        // Adds what must be 0: registers it was not given and a fresh frame.
        copy(0, 3),
        alu64(op::ADD, 0, 6),
        alu64(op::ADD, 0, 9),
        load(op::DW, 1, 10, -8),
        alu64(op::ADD, 0, 1),
        store_imm(op::DW, 10, -8, 1),
        mov(6, 100),
        exit()
    ]);
    assert_eq!(result, Ok(3 + 1 + 2 + 4));
}

#[test]
fn callbacks_take_frames_and_faults_in_them_say_where() {
    // Each callback loops over itself once more, R2 times.
    let deep = |times: i32| {
        exec(code![
            store_imm(op::DW, 10, -8, times),
            copy(3, 10),
            add(3, -8),
            mov(1, 1),
            function(2, 4),
            mov(4, 0),
            call(181),
            exit(),
            load(op::DW, 4, 2, 0),
            mov(0, 0),
            jump(op::JEQ, 4, 0, 8),
            add(4, -1),
            store(op::DW, 2, 4, 0),
            copy(3, 2),
            mov(1, 1),
            function(2, -8),
            mov(4, 0),
            call(181),
            exit()
        ])
    };
    assert_eq!(deep(MAX_FRAMES as i32 - 2), Ok(1));
    assert_eq!(deep(MAX_FRAMES as i32 - 1), Err(FaultKind::TooDeep));
    let faulty = program(code![
        mov(1, 1),
        function(2, 5),
        mov(3, 0),
        mov(4, 0),
        call(181),
        exit(),
        load(op::DW, 0, 3, 0),
        exit()
    ]);
    let fault = Worker::new(0).run(&faulty, &[], &mut TestHost::default(), 100).result.unwrap_err();
    assert_eq!((fault.slot, fault.kind), (7, FaultKind::Null { addr: 0 }));
}

/// Visits a map: the callback adds `key << 8 + value` to a sum of 64 bits and returns `stop`.
fn visit(map_: &Arc<Map>, key: u8, stop: i32, slot: usize) -> (u64, u64) {
    let sum = array(8, 1);
    let program = program_with(
        code![
            map(1, 0),
            function(2, 5),
            mov(3, 0),
            mov(4, 0),
            call(164),
            exit(),
            load(key, 6, 2, 0),
            insn(op::ALU64 | op::LSH, 6, 0, 0, 8),
            load(op::DW, 3, 3, 0),
            alu64(op::ADD, 6, 3),
            insn(op::LDDW, 7, pseudo::MAP_VALUE, 0, 1),
            insn(0, 0, 0, 0, 0),
            atomic(op::DW, i32::from(op::ADD), 7, 6, 0),
            mov(0, stop),
            exit()
        ],
        vec![map_.clone(), sum.clone()],
        vec![],
    );
    let visited = run_on(&mut Worker::new(slot), &program, &[], &mut TestHost::default()).unwrap();
    (visited, u64::from_ne_bytes(sum.lookup(&[0; 4]).unwrap().try_into().unwrap()))
}

#[test]
fn all_kinds_of_entries_are_visited() {
    for kind in [MapKind::Hash, MapKind::LruHash, MapKind::PerCpuHash, MapKind::LruPerCpuHash] {
        let map = Map::new(spec(kind, 8, 8, 100), 2).unwrap();
        assert_eq!(visit(&map, op::DW, 0, 0), (0, 0));
        for i in 0..20u64 {
            let values: Vec<u8> = (0..map.slots() as u64).flat_map(|slot| (i + slot).to_ne_bytes()).collect();
            map.update(&i.to_ne_bytes(), &values, UpdateMode::Any).unwrap();
        }
        map.delete(&19u64.to_ne_bytes()).unwrap();
        let keys = 171 << 8;
        assert_eq!(visit(&map, op::DW, 0, 0), (19, keys + 171));
        let more = if map.slots() > 1 { 19 } else { 0 };
        assert_eq!(visit(&map, op::DW, 0, 1), (19, keys + 171 + more));
        assert_eq!(visit(&map, op::DW, 1, 0).0, 1);
    }
    let map = array(8, 3);
    map.update(&2u32.to_ne_bytes(), &5u64.to_ne_bytes(), UpdateMode::Any).unwrap();
    assert_eq!(visit(&map, op::W, 0, 0), (3, (3 << 8) + 5));
}

#[test]
fn a_visited_key_is_for_reading_while_it_is_visited() {
    let map_ = array(8, 2);
    let with_callback = |after: Vec<Insn>, callback: Vec<Insn>| {
        let keep = code![store(op::DW, 4, 2, 0)];
        let program = program_with(
            code![
                store_imm(op::DW, 10, -8, 0),
                map(1, 0),
                function(2, 6 + after.len() as i32),
                copy(3, 10),
                add(3, -8),
                mov(4, 0),
                call(164),
                after,
                exit(),
                keep,
                callback,
                mov(0, 0),
                exit()
            ],
            vec![map_.clone()],
            vec![],
        );
        run(&program, &[])
    };
    assert_eq!(with_callback(code![], code![load(op::W, 0, 2, 0)]), Ok(2));
    assert!(matches!(
        with_callback(code![], code![store_imm(op::W, 2, 0, 7)]),
        Err(FaultKind::ReadOnly { size: 4, .. })
    ));
    assert!(matches!(
        with_callback(code![], code![load(op::DW, 0, 2, 0)]),
        Err(FaultKind::Load { size: 8, .. })
    ));
    assert!(matches!(
        with_callback(code![load(op::DW, 1, 10, -8), load(op::W, 0, 1, 0)], code![]),
        Err(FaultKind::Load { size: 4, .. })
    ));
    let other = Map::new(spec(MapKind::Queue, 0, 8, 2), 1).unwrap();
    let program = program_with(
        code![map(1, 0), function(2, 5), mov(3, 0), mov(4, 0), call(164), exit(), exit()],
        vec![other],
        vec![],
    );
    assert_eq!(run(&program, &[]), bad("bpf_for_each_map_elem", 1, ArgFault::WrongMap));
}

#[test]
fn entries_may_be_removed_while_they_are_visited() {
    let map_ = Map::new(spec(MapKind::Hash, 8, 8, 64), 1).unwrap();
    for i in 0..64u64 {
        map_.update(&i.to_ne_bytes(), &[0; 8], UpdateMode::Any).unwrap();
    }
    let program = program_with(
        code![map(1, 0), function(2, 5), mov(3, 0), mov(4, 0), call(164), exit(), call(3), mov(0, 0), exit()],
        vec![map_.clone()],
        vec![],
    );
    assert_eq!(run(&program, &[]), Ok(64));
    assert!(map_.keys().is_empty());
}

/// The kfuncs of number iterators.
fn iterators() -> Vec<&'static fuse_bpf_vm::contract::Callable> {
    let named = |name| KFUNCS.iter().find(|kfunc| kfunc.name == name).unwrap();
    vec![named("bpf_iter_num_new"), named("bpf_iter_num_next"), named("bpf_iter_num_destroy")]
}

/// Iterates from `start` to `end`; the result of `new`, or the sum of the numbers above 32 bits of their
/// count.
fn iterate(start: i32, end: i32) -> Result<u64, FaultKind> {
    let program = program_with(
        code![
            mov(6, 0),
            mov(7, 0),
            copy(1, 10),
            add(1, -8),
            mov(2, start),
            mov(3, end),
            call_kfunc(0),
            copy(8, 0),
            // The loop.
            copy(1, 10),
            add(1, -8),
            call_kfunc(1),
            jump(op::JEQ, 0, 0, 4),
            load(op::W, 1, 0, 0),
            alu64(op::ADD, 6, 1),
            add(7, 1),
            insn(op::GOTO, 0, 0, -8, 0),
            copy(1, 10),
            add(1, -8),
            call_kfunc(2),
            copy(0, 8),
            jump(op::JNE, 0, 0, 3),
            copy(0, 6),
            insn(op::ALU64 | op::LSH, 7, 0, 0, 32),
            alu64(op::ADD, 0, 7),
            exit()
        ],
        vec![],
        iterators(),
    );
    run(&program, &[])
}

#[test]
fn numbers_are_iterated_over() {
    assert_eq!(iterate(0, 10), Ok(10 << 32 | 45));
    assert_eq!(iterate(7, 8), Ok(1 << 32 | 7));
    assert_eq!(iterate(5, 5), Ok(0));
    assert_eq!(iterate(5, 4), Ok(EINVAL));
    assert_eq!(iterate(0, (8 << 20) + 1), Ok(E2BIG));
    assert_eq!(iterate(i32::MIN, i32::MIN + 2), Ok((2 << 32) + (1 << 32) + 1));
    assert_eq!(iterate(i32::MAX - 1, i32::MAX), Ok((1 << 32) + i32::MAX as u64 - 1));
    assert_eq!(iterate(i32::MIN, i32::MAX), Ok(E2BIG));
}

#[test]
fn an_iterator_is_aligned_stack() {
    let next =
        |insns: Vec<Insn>| run(&program_with(code![insns, call_kfunc(1), exit()], vec![], iterators()), &[]);
    assert_eq!(next(code![copy(1, 10), add(1, -8)]), Ok(0));
    let not = bad("bpf_iter_num_next", 1, ArgFault::NotIterator);
    assert_eq!(next(code![copy(1, 10), add(1, -12)]), not);
    assert_eq!(next(code![copy(1, 10), add(1, -4)]), not);
    assert_eq!(next(code![mov(1, 0)]), not);
}

/// `bpf_tail_call(ctx, programs, index)`, and what follows.
fn tail(index: i32, after: Vec<Insn>) -> Vec<Insn> {
    code![copy(6, 1), map(2, 0), mov(3, index), call(12), after]
}

fn prog_array(max_entries: u32) -> Arc<Map> {
    Map::new(spec(MapKind::ProgArray, 4, 4, max_entries), 1).unwrap()
}

#[test]
pub(crate) fn a_tail_call_goes_on_with_another_program_and_its_maps() {
    let programs = prog_array(2);
    let bytes = cells(&12u64.to_ne_bytes());
    let args = [Arg::Mem(Window::from_cells(&bytes))];
    let values = array(8, 1);
    values.update(&[0; 4], &30u64.to_ne_bytes(), UpdateMode::Any).unwrap();
    let callee = program_with(
        code![
            load(op::DW, 0, 1, 0),
            load(op::DW, 0, 0, 0),
            insn(op::LDDW, 2, pseudo::MAP_VALUE, 0, 0),
            insn(0, 0, 0, 0, 0),
            load(op::DW, 2, 2, 0),
            alu64(op::ADD, 0, 2),
            load(op::DW, 3, 10, -8),
            alu64(op::ADD, 0, 3),
            exit()
        ],
        vec![values],
        vec![],
    );
    programs.set_program(1, Arc::new(callee)).unwrap();
    let entry = program_with(
        code![store_imm(op::DW, 10, -8, 1000), tail(1, code![mov(0, -1), exit()])],
        vec![programs.clone()],
        vec![],
    );
    assert_eq!(run(&entry, &args), Ok(42));

    // What follows runs when there is no such program.
    for index in [0, 2, -1] {
        let entry = program_with(tail(index, code![exit()]), vec![programs.clone()], vec![]);
        assert_eq!(run(&entry, &args), Ok(ENOENT));
    }
    let entry = program_with(code![mov(1, 8), tail(1, code![exit()])], vec![programs.clone()], vec![]);
    assert_eq!(run(&entry, &[Arg::Scalar(12)]), bad("bpf_tail_call", 1, ArgFault::NotContext));
    let entry = program_with(tail(1, code![exit()]), vec![array(4, 1)], vec![]);
    assert_eq!(run(&entry, &[]), bad("bpf_tail_call", 2, ArgFault::WrongMap));
}

#[test]
fn tail_calls_are_counted() {
    let programs = prog_array(1);
    let counter = array(8, 1);
    let again = program_with(
        code![
            copy(6, 1),
            insn(op::LDDW, 7, pseudo::MAP_VALUE, 0, 1),
            insn(0, 0, 0, 0, 0),
            mov(8, 1),
            atomic(op::DW, i32::from(op::ADD), 7, 8, 0),
            copy(1, 6),
            map(2, 0),
            mov(3, 0),
            call(12),
            load(op::DW, 0, 7, 0),
            exit()
        ],
        vec![programs.clone(), counter],
        vec![],
    );
    let again = Arc::new(again);
    programs.set_program(0, again.clone()).unwrap();
    let mut worker = Worker::new(0);
    assert_eq!(run_on(&mut worker, &again, &[], &mut TestHost::default()), Ok(34));
    assert_eq!(run_on(&mut worker, &again, &[], &mut TestHost::default()), Ok(68));
    programs.delete(&[0; 4]).unwrap();
    assert_eq!(run_on(&mut worker, &again, &[], &mut TestHost::default()), Ok(69));
}

#[test]
fn a_tail_call_takes_the_place_of_the_function_that_makes_it() {
    let programs = prog_array(1);
    programs.set_program(0, Arc::new(program(code![mov(0, 30), mov(6, 9), exit()]))).unwrap();
    let entry = program_with(
        code![
            copy(6, 1),
            mov(7, 12),
            call_local(2),
            alu64(op::ADD, 0, 7),
            exit(),
            tail(0, code![mov(0, 1), exit()])
        ],
        vec![programs.clone()],
        vec![],
    );
    assert_eq!(run(&entry, &[]), Ok(42));
    // In a callback as well: it is the callback's result.
    let entry = program_with(
        code![
            copy(3, 10),
            add(3, -8),
            store(op::DW, 10, 1, -8),
            mov(1, 5),
            function(2, 4),
            mov(4, 0),
            call(181),
            exit(),
            load(op::DW, 1, 2, 0),
            tail(0, code![mov(0, 0), exit()])
        ],
        vec![programs],
        vec![],
    );
    assert_eq!(run(&entry, &[]), Ok(1));
}

#[test]
fn a_fault_after_a_tail_call_names_the_other_program() {
    let programs = prog_array(1);
    let callee = Program { name: "other".into(), ..program(code![mov(1, 0), load(op::B, 0, 1, 0), exit()]) };
    programs.set_program(0, Arc::new(callee)).unwrap();
    let entry = program_with(tail(0, code![exit()]), vec![programs], vec![]);
    let fault = Worker::new(0).run(&entry, &[], &mut TestHost::default(), 100).result.unwrap_err();
    assert_eq!((fault.program.as_str(), fault.slot), ("other", 1));
}

/// A map of one kind whose values are `{ u64, bpf_spin_lock, u32, u64 }`.
fn locked(kind: MapKind, key_size: u32, max_entries: u32) -> Arc<Map> {
    Map::new(MapSpec { lock: Some(8), ..spec(kind, key_size, 24, max_entries) }, 1).unwrap()
}

/// `r6 = lookup(map 0, key 0)`, which must be there.
fn found() -> Vec<Insn> {
    code![
        store_imm(op::DW, 10, -8, 0),
        map(1, 0),
        copy(2, 10),
        add(2, -8),
        call(1),
        jump(op::JNE, 0, 0, 1),
        exit(),
        copy(6, 0)
    ]
}

/// `lock` or `unlock` of the value in R6.
fn lock(id: i32) -> Vec<Insn> {
    code![copy(1, 6), add(1, 8), call(id)]
}

const LOCK: i32 = 93;
const UNLOCK: i32 = 94;

#[test]
fn a_lock_is_taken_once_and_released_at_the_end() {
    let map_ = locked(MapKind::Array, 4, 2);
    let held = |insns: Vec<Insn>| {
        let result = run(&program_with(code![found(), insns, exit()], vec![map_.clone()], vec![]), &[]);
        // It would wait forever for a lock that was left.
        assert!(map_.lookup(&[0; 4]).is_some());
        assert_eq!(map_.value(&[0; 4], 0).unwrap().to_vec()[8..12], [0; 4]);
        result
    };
    assert_eq!(held(code![lock(LOCK), store_imm(op::DW, 6, 16, 5), lock(UNLOCK), mov(0, 1)]), Ok(1));
    assert_eq!(held(code![lock(LOCK), load(op::DW, 0, 6, 16)]), Ok(5));
    assert_eq!(held(code![lock(LOCK), lock(LOCK)]), Err(FaultKind::SecondLock));
    assert_eq!(held(code![lock(LOCK), copy(1, 6), add(1, 32), call(LOCK)]), Err(FaultKind::SecondLock));
    assert_eq!(
        held(code![lock(LOCK), copy(1, 6), add(1, 32), call(UNLOCK)]),
        bad("bpf_spin_unlock", 1, ArgFault::NotHeld)
    );
    assert_eq!(held(code![lock(UNLOCK)]), bad("bpf_spin_unlock", 1, ArgFault::NotHeld));
    assert_eq!(held(code![lock(LOCK), call(5)]), Err(FaultKind::Locked));
    assert_eq!(held(code![copy(1, 6), call(LOCK)]), bad("bpf_spin_lock", 1, ArgFault::NotLock));
    assert_eq!(held(code![copy(1, 10), add(1, -8), call(LOCK)]), bad("bpf_spin_lock", 1, ArgFault::NotLock));
    assert!(matches!(held(code![lock(LOCK), insn(op::GOTO, 0, 0, -1, 0)]), Err(FaultKind::Budget { .. })));
}

#[test]
fn the_lock_itself_is_no_memory() {
    let map_ = locked(MapKind::Hash, 8, 2);
    map_.update(&[0; 8], &[1; 24], UpdateMode::Any).unwrap();
    let access =
        |insns: Vec<Insn>| run(&program_with(code![found(), insns, exit()], vec![map_.clone()], vec![]), &[]);
    assert_eq!(access(code![load(op::DW, 0, 6, 0)]), Ok(0x0101_0101_0101_0101));
    assert_eq!(access(code![load(op::W, 0, 6, 12)]), Ok(0x0101_0101));
    assert!(matches!(access(code![load(op::W, 0, 6, 8)]), Err(FaultKind::Load { size: 4, .. })));
    assert!(matches!(access(code![load(op::DW, 0, 6, 8)]), Err(FaultKind::Load { size: 8, .. })));
    assert!(matches!(access(code![store_imm(op::B, 6, 11, 1)]), Err(FaultKind::Store { size: 1, .. })));
    assert!(matches!(
        access(code![load(op::DW, 0, 6, 0), store_imm(op::W, 6, 8, 1)]),
        Err(FaultKind::Store { size: 4, .. })
    ));
    // Updates leave it alone, and copies have it as 0.
    map_.update(&[0; 8], &[9; 24], UpdateMode::Exist).unwrap();
    let copy = map_.lookup(&[0; 8]).unwrap();
    assert_eq!((&copy[..8], &copy[8..12], &copy[12..]), (&[9; 8][..], &[0; 4][..], &[9; 12][..]));
    assert_eq!(map_.value(&[0; 8], 0).unwrap().to_vec()[8..12], [0; 4]);
}

#[test]
fn an_update_can_ask_for_the_lock() {
    let update = |map_: &Arc<Map>, flags: i32| {
        let program = program_with(
            code![
                store_imm(op::DW, 10, -32, 0),
                store_imm(op::DW, 10, -24, 7),
                store_imm(op::DW, 10, -16, 7),
                store_imm(op::DW, 10, -8, 7),
                map(1, 0),
                copy(2, 10),
                add(2, -32),
                copy(3, 10),
                add(3, -24),
                mov(4, flags),
                call(2),
                exit()
            ],
            vec![map_.clone()],
            vec![],
        );
        run(&program, &[])
    };
    let map = locked(MapKind::Hash, 8, 2);
    assert_eq!(update(&map, 4), Ok(0));
    assert_eq!(update(&map, 4 | 2), Ok(0));
    assert_eq!(update(&map, 4 | 1), Ok(-17i64 as u64));
    assert_eq!(map.lookup(&[0; 8]).unwrap()[8..12], [0; 4]);
    let plain = Map::new(spec(MapKind::Hash, 8, 24, 2), 1).unwrap();
    assert_eq!(update(&plain, 4), Ok(EINVAL));
    assert_eq!(update(&plain, 8), Ok(EINVAL));
}

#[test]
fn locks_exclude_threads() {
    const THREADS: usize = 4;
    const ROUNDS: u64 = 2000;
    for (kind, key_size) in [(MapKind::Array, 4), (MapKind::Hash, 8)] {
        let map_ = locked(kind, key_size, 2);
        let key = vec![0; key_size as usize];
        map_.update(&key, &[0; 24], UpdateMode::Any).unwrap();
        // Adds 1 to both numbers, not atomically.
        let program = program_with(
            code![
                found(),
                lock(LOCK),
                load(op::DW, 1, 6, 0),
                load(op::DW, 2, 6, 16),
                add(1, 1),
                add(2, 1),
                store(op::DW, 6, 1, 0),
                store(op::DW, 6, 2, 16),
                lock(UNLOCK),
                mov(0, 0),
                exit()
            ],
            vec![map_.clone()],
            vec![],
        );
        std::thread::scope(|scope| {
            for slot in 0..THREADS {
                let program = &program;
                scope.spawn(move || {
                    let mut worker = Worker::new(slot);
                    for _ in 0..ROUNDS {
                        assert_eq!(run_on(&mut worker, program, &[], &mut TestHost::default()), Ok(0));
                    }
                });
            }
            for _ in 0..1000 {
                let value = map_.lookup(&key).unwrap();
                assert_eq!(value[..8], value[16..], "a value was copied in the middle of a change");
            }
        });
        let total = (THREADS as u64 * ROUNDS).to_ne_bytes();
        assert_eq!(map_.lookup(&key).unwrap()[..8], total);
        assert!(map_.update_slot(&key, Window::from_bytes(&[0; 24]), UpdateMode::Any, 0).is_ok());
    }
}
