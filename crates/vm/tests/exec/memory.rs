//! Which memory programs reach.

use fuse_bpf_vm::insn::{Insn, op, pseudo};
use fuse_bpf_vm::interp::{Arg, CLOBBERED, FaultKind, Worker};
use fuse_bpf_vm::maps::{Map, MapKind, MapSpec, UpdateMode};
use fuse_bpf_vm::mem::Window;

use crate::build::*;
use crate::maps::{array, spec};
use crate::{TestHost, cells, exec, run, run_on};

/// Runs `insns` with the first argument's value in R1.
fn on<'a>(window: Window<'a>, insns: Vec<Insn>) -> Result<u64, FaultKind> {
    let program = program(code![load(op::DW, 1, 1, 0), insns, exit()]);
    // The program does not outlive the call, so its window need not either.
    fn shorter<'s>(program: &'s fuse_bpf_vm::program::Program, window: Window<'s>) -> Result<u64, FaultKind> {
        run(program, &[Arg::Mem(window)])
    }
    shorter(&program, window)
}

#[test]
fn the_context_is_read_only_and_ends() {
    let args = [Arg::Scalar(1), Arg::Scalar(2)];
    let try_one = |one: Insn| run(&program(code![one, exit()]), &args);
    assert_eq!(try_one(load(op::DW, 0, 1, 8)), Ok(2));
    assert!(matches!(try_one(store_imm(op::DW, 1, 0, 1)), Err(FaultKind::ReadOnly { size: 8, .. })));
    assert!(matches!(try_one(load(op::DW, 0, 1, 16)), Err(FaultKind::Load { size: 8, .. })));
    assert!(matches!(try_one(load(op::DW, 0, 1, 9)), Err(FaultKind::Load { size: 8, .. })));
    assert!(matches!(try_one(load(op::B, 0, 1, -1)), Err(FaultKind::Load { size: 1, .. })));
}

#[test]
fn windows_are_what_they_allow() {
    let bytes = [1u8; 16];
    assert_eq!(on(Window::from_bytes(&bytes), code![load(op::B, 0, 1, 15)]), Ok(1));
    let fault = on(Window::from_bytes(&bytes), code![store_imm(op::B, 1, 0, 1)]);
    assert!(matches!(fault, Err(FaultKind::ReadOnly { size: 1, .. })), "{fault:?}");

    let writable = cells(&[0; 16]);
    for (one, good) in [
        (store_imm(op::W, 1, 12, 7), true),
        (store_imm(op::W, 1, 13, 7), false),
        (store_imm(op::B, 1, 16, 7), false),
        (store_imm(op::B, 1, -1, 7), false),
        (load(op::DW, 0, 1, 8), true),
        (load(op::DW, 0, 1, 9), false),
    ] {
        assert_eq!(on(Window::from_cells(&writable), code![one]).is_ok(), good, "{one:?}");
    }
    assert_eq!(writable[12].get(), 7);
    let fault = on(Window::from_cells(&writable).read_only(), code![store_imm(op::B, 1, 0, 1)]);
    assert!(matches!(fault, Err(FaultKind::ReadOnly { .. })));
}

#[test]
fn the_recently_used_object_does_not_lend_its_permission() {
    let read = [0u8; 8];
    let write = cells(&[0; 8]);
    let mixed = program(code![
        load(op::DW, 2, 1, 0),
        load(op::DW, 3, 1, 8),
        store_imm(op::B, 3, 0, 1),
        load(op::B, 0, 2, 0),
        store_imm(op::B, 2, 0, 1),
        exit()
    ]);
    let args = [Arg::Mem(Window::from_bytes(&read)), Arg::Mem(Window::from_cells(&write))];
    assert!(matches!(run(&mixed, &args), Err(FaultKind::ReadOnly { .. })));
}

#[test]
fn the_same_memory_may_be_lent_twice() {
    // Once for loads and once for stores: a store uses the permission it finds.
    let memory = cells(&[0; 8]);
    let window = Window::from_cells(&memory);
    let program =
        program(code![load(op::DW, 2, 1, 0), load(op::B, 0, 2, 0), store_imm(op::B, 2, 0, 9), exit()]);
    assert_eq!(run(&program, &[Arg::Mem(window.read_only()), Arg::Mem(window)]), Ok(0));
    assert_eq!(memory[0].get(), 9);
}

#[test]
fn address_arithmetic_is_free() {
    let memory = cells(&[5; 16]);
    let away = code![
        wide(2, 0x1234_5678_9abc_def0),
        alu64(op::MUL, 1, 2),
        alu64(op::XOR, 1, 2),
        alu64(op::XOR, 1, 2),
        mov(0, 1)
    ];
    assert_eq!(on(Window::from_cells(&memory), away), Ok(1));
    let back = code![add(1, 1 << 30), add(1, -(1 << 30)), load(op::B, 0, 1, 3)];
    assert_eq!(on(Window::from_cells(&memory), back), Ok(5));
}

#[test]
fn the_stack_is_one_frame_for_each_function() {
    assert_eq!(exec(code![load(op::DW, 0, 10, -512), exit()]), Ok(0));
    for (one, store) in [
        (load(op::B, 0, 10, 0), false),
        (load(op::DW, 0, 10, -7), false),
        (load(op::B, 0, 10, -513), false),
        (store_imm(op::B, 10, 0, 1), true),
        (store_imm(op::DW, 10, -516, 1), true),
    ] {
        let fault = exec(code![one, exit()]);
        match fault {
            Err(FaultKind::Load { .. }) => assert!(!store, "{one:?}"),
            Err(FaultKind::Store { .. }) => assert!(store, "{one:?}"),
            _ => panic!("{one:?} gave {fault:?}"),
        }
    }
    // A callee uses its caller's frame through a pointer, and not by leaving its own.
    let pass = |callee: Insn| {
        exec(code![
            store_imm(op::DW, 10, -8, 4),
            copy(1, 10),
            call_local(2),
            load(op::DW, 0, 10, -8),
            exit(),
            callee,
            exit()
        ])
    };
    assert_eq!(pass(store_imm(op::DW, 1, -8, 9)), Ok(9));
    for off in [-513, -520, -1024, 0, 8] {
        assert!(matches!(pass(store_imm(op::DW, 10, off, 9)), Err(FaultKind::Store { .. })), "{off}");
    }
    // The frame of a function that returned is gone.
    let dangling = exec(code![call_local(2), load(op::DW, 0, 0, -8), exit(), copy(0, 10), exit()]);
    assert!(matches!(dangling, Err(FaultKind::Load { .. })), "{dangling:?}");
}

#[test]
fn frames_start_zeroed_in_every_run_and_every_call() {
    let mut worker = Worker::new(0);
    let dirty = program(code![call_local(1), exit(), store_imm(op::DW, 10, -512, -1), mov(0, 0), exit()]);
    let sum = program(code![
        load(op::DW, 6, 10, -512),
        call_local(2),
        alu64(op::ADD, 0, 6),
        exit(),
        load(op::DW, 0, 10, -512),
        store_imm(op::DW, 10, -512, 3),
        exit()
    ]);
    let mut host = TestHost::default();
    assert_eq!(run_on(&mut worker, &dirty, &[], &mut host), Ok(0));
    assert_eq!(run_on(&mut worker, &sum, &[], &mut host), Ok(0));
    assert_eq!(run_on(&mut worker, &sum, &[], &mut host), Ok(0));
}

#[test]
fn null_and_handles_are_no_memory() {
    for (insns, fault) in [
        (code![mov(1, 0), load(op::B, 0, 1, 16)], FaultKind::Null { addr: 16 }),
        (code![mov(1, 0), store_imm(op::DW, 1, 0, 0)], FaultKind::Null { addr: 0 }),
        (code![load(op::DW, 1, 1, 0), load(op::B, 0, 1, 0)], FaultKind::OpaqueBuffer),
        (code![load(op::DW, 1, 1, 0), store_imm(op::B, 1, 32, 0)], FaultKind::OpaqueBuffer),
        (code![load(op::DW, 1, 1, 0), load(op::B, 0, 1, -8)], FaultKind::OpaqueBuffer),
        (code![map(1, 0), load(op::W, 0, 1, 0)], FaultKind::MapHandle),
        (code![call(7), load(op::B, 0, 3, 0)], FaultKind::Clobbered { register: 3 }),
    ] {
        let program = program_with(code![insns, exit()], vec![array(8, 1)], vec![]);
        assert_eq!(run(&program, &[Arg::Buffer(0)]), Err(fault));
    }
    assert_eq!(exec(code![call(7), copy(0, 5), exit()]), Ok(CLOBBERED + 5));
}

#[test]
fn map_values_end_where_they_do() {
    // Values of 12 bytes, 16 apart: neither the padding nor the neighbour is reached.
    let map_ = Map::new(spec(MapKind::Array, 4, 12, 4), 1).unwrap();
    let lookup = |key: i32, after: Vec<Insn>| {
        let insns = code![
            store_imm(op::W, 10, -4, key),
            copy(2, 10),
            add(2, -4),
            map(1, 0),
            call(1),
            jump(op::JNE, 0, 0, 2),
            mov(0, 99),
            exit(),
            after,
            exit()
        ];
        run(&program_with(insns, vec![map_.clone()], vec![]), &[])
    };
    assert_eq!(lookup(1, code![store_imm(op::W, 0, 8, 6), load(op::W, 0, 0, 8)]), Ok(6));
    for off in [-1, 9, 12, 15] {
        let fault = lookup(1, code![load(op::W, 0, 0, off)]);
        assert!(matches!(fault, Err(FaultKind::Load { size: 4, .. })), "{off}: {fault:?}");
    }
    let fault = lookup(3, code![load(op::B, 0, 0, 16)]);
    assert!(matches!(fault, Err(FaultKind::Load { .. })));
    assert_eq!(lookup(4, vec![]), Ok(99));
    assert_eq!(map_.lookup(&1u32.to_ne_bytes()).unwrap()[8], 6);
}

#[test]
fn data_sections_are_addressed_directly() {
    let data = |read_only| {
        let spec = MapSpec { read_only, ..spec(MapKind::Array, 4, 10, 1) };
        Map::with_data(spec, 1, &[0, 0, 1, 2, 3, 4, 5, 6, 7, 8]).unwrap()
    };
    let at = |off, then: Insn, read_only| {
        let address = [insn(op::LDDW, 1, pseudo::MAP_VALUE, 0, 0), insn(0, 0, 0, 0, off)];
        run(&program_with(code![address, then, exit()], vec![data(read_only)], vec![]), &[])
    };
    assert_eq!(at(2, load(op::W, 0, 1, 0), true), Ok(0x0403_0201));
    assert_eq!(at(9, load(op::B, 0, 1, 0), true), Ok(8));
    assert!(at(2, store_imm(op::W, 1, 4, 1), false).is_ok());
    assert!(matches!(at(2, store_imm(op::W, 1, 4, 1), true), Err(FaultKind::ReadOnly { .. })));
    assert!(matches!(at(8, load(op::W, 0, 1, 0), true), Err(FaultKind::Load { .. })));
    let two = program_with(
        code![insn(op::LDDW, 1, pseudo::MAP_VALUE, 0, 0), insn(0, 0, 0, 0, 0), exit()],
        vec![array(8, 2)],
        vec![],
    );
    assert_eq!(run(&two, &[]), Err(FaultKind::NoSingleValue { map: "m".into() }));
}

#[test]
fn a_worker_forgets_what_it_was_lent() {
    let memory = cells(&[1; 8]);
    let mut worker = Worker::new(0);
    let first = program(code![load(op::DW, 1, 1, 0), load(op::B, 0, 1, 0), exit()]);
    let window = Window::from_cells(&memory);
    assert_eq!(run_on(&mut worker, &first, &[Arg::Mem(window)], &mut TestHost::default()), Ok(1));
    let fault = run_on(&mut worker, &first, &[Arg::Scalar(window.addr())], &mut TestHost::default());
    assert!(matches!(fault, Err(FaultKind::Load { .. })), "{fault:?}");
}

#[test]
fn hash_values_are_reached_after_a_lookup() {
    let map_ = Map::new(spec(MapKind::Hash, 4, 8, 4), 1).unwrap();
    map_.update(&7u32.to_ne_bytes(), &5u64.to_ne_bytes(), UpdateMode::Any).unwrap();
    let insns = code![
        store_imm(op::W, 10, -4, 7),
        copy(2, 10),
        add(2, -4),
        map(1, 0),
        call(1),
        mov(1, 3),
        atomic(op::DW, op::FETCH, 0, 1, 0),
        copy(0, 1),
        exit()
    ];
    assert_eq!(run(&program_with(insns, vec![map_.clone()], vec![]), &[]), Ok(5));
    assert_eq!(map_.lookup(&7u32.to_ne_bytes()).unwrap(), 8u64.to_ne_bytes());
}
