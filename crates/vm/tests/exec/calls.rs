//! Calls: local functions, helpers, kfuncs, budget.

use std::sync::Arc;

use fuse_bpf_vm::contract::{ArgKind, Callable, DynptrKind, Effects, RetKind};
use fuse_bpf_vm::helpers::KFUNCS;
use fuse_bpf_vm::insn::{Insn, op};
use fuse_bpf_vm::interp::{Arg, ArgFault, Call, Dynptr, FaultKind, MAX_FRAMES, Worker};
use fuse_bpf_vm::maps::{Map, MapKind, MapSpec};
use fuse_bpf_vm::mem::{Access, Window};
use fuse_bpf_vm::program::{Function, JumpTable, LineEntry, Program, SourceLine};

use crate::build::*;
use crate::maps::spec;
use crate::{TestBuffer, TestHost, cells, exec, run, run_on};

#[test]
fn local_calls_keep_the_callers_registers() {
    let result = exec(code![
        mov(6, 1),
        mov(7, 2),
        mov(8, 3),
        mov(9, 4),
        mov(1, 10),
        mov(5, 50),
        call_local(6),
        alu64(op::ADD, 0, 6),
        alu64(op::ADD, 0, 7),
        alu64(op::ADD, 0, 8),
        alu64(op::ADD, 0, 9),
        load(op::DW, 1, 10, -8),
        exit(),
        mov(6, 1000),
        mov(7, 1000),
        mov(8, 1000),
        mov(9, 1000),
        store_imm(op::DW, 10, -8, 1000),
        copy(0, 1),
        alu64(op::ADD, 0, 5),
        exit()
    ]);
    assert_eq!(result, Ok(70));
}

#[test]
fn frames_are_counted() {
    // Calls itself R1 times.
    let deep = |times: i32| {
        exec(code![
            mov(1, times),
            call_local(1),
            exit(),
            mov(0, 7),
            jump(op::JEQ, 1, 0, 2),
            add(1, -1),
            call_local(-4),
            exit()
        ])
    };
    assert_eq!(deep(MAX_FRAMES as i32 - 2), Ok(7));
    assert_eq!(deep(MAX_FRAMES as i32 - 1), Err(FaultKind::TooDeep));
}

#[test]
fn the_budget_ends_every_program() {
    let endless = program(code![insn(op::GOTO, 0, 0, -1, 0)]);
    let outcome = Worker::new(0).run(&endless, &[], &mut TestHost::default(), 1000);
    assert_eq!(outcome.insns, 1000);
    assert_eq!(outcome.result.unwrap_err().kind, FaultKind::Budget { budget: 1000 });
    let short = program(code![mov(0, 0), exit()]);
    assert_eq!(Worker::new(0).run(&short, &[], &mut TestHost::default(), 2).result, Ok(0));
    assert!(Worker::new(0).run(&short, &[], &mut TestHost::default(), 1).result.is_err());
    assert!(Worker::new(0).run(&short, &[], &mut TestHost::default(), 0).result.is_err());
}

#[test]
fn may_goto_leaves_a_loop_in_time() {
    let may_goto = |off| insn(op::MAY_GOTO, 0, 0, off, 0);
    let endless = program(code![add(0, 1), may_goto(1), insn(op::GOTO, 0, 0, -3, 0), exit()]);
    let outcome = Worker::new(0).run(&endless, &[], &mut TestHost::default(), 1000);
    assert!(outcome.result.unwrap() > 200);
    assert!(outcome.insns < 1000);
    assert_eq!(exec(code![may_goto(1), mov(0, 3), exit()]), Ok(3));
}

#[test]
fn work_of_calls_takes_from_the_budget() {
    let big = cells(&vec![0; 1 << 20]);
    let window = Window::from_cells(&big);
    let copy_it = program(code![load(op::DW, 1, 1, 0), mov(2, 1 << 20), copy(3, 1), call(113), exit()]);
    let outcome = Worker::new(0).run(&copy_it, &[Arg::Mem(window)], &mut TestHost::default(), 1 << 20);
    assert_eq!(outcome.result, Ok(0));
    assert!(outcome.insns > 1 << 14, "{}", outcome.insns);
}

#[test]
fn unknown_callables_are_faults() {
    assert_eq!(exec(code![call(4000), exit()]), Err(FaultKind::UnknownHelper { id: 4000 }));
    assert_eq!(exec(code![call(0), exit()]), Err(FaultKind::UnknownHelper { id: 0 }));
    assert_eq!(exec(code![call(-1), exit()]), Err(FaultKind::UnknownHelper { id: -1 }));
    assert_eq!(exec(code![call_kfunc(0), exit()]), Err(FaultKind::UnknownKfunc { index: 0 }));
    assert_eq!(exec(code![insn(op::CALLX, 0, 0, 0, 0), exit()]), Err(FaultKind::IndirectCall));
}

#[test]
fn a_fault_names_function_and_line() {
    let line = SourceLine { file: "a.c".into(), line: 12, column: 5, text: "\tx = *p;".into() };
    let program = Program {
        functions: vec![
            Function { start: 0, name: "test".into(), ..Function::default() },
            Function { start: 2, name: "helper".into(), ..Function::default() },
        ],
        lines: vec![LineEntry { slot: 3, line: line.clone() }],
        ..program(code![call_local(1), exit(), mov(1, 0), load(op::B, 0, 1, 8), exit()])
    };
    let fault = Worker::new(0).run(&program, &[], &mut TestHost::default(), 10).result.unwrap_err();
    assert_eq!((fault.slot, fault.function.as_str(), fault.line.as_ref()), (3, "helper", Some(&line)));
    assert_eq!(
        fault.to_string(),
        "program `test`, instruction 3 in `helper`: access through a null pointer, offset 8 (a.c:12:5: x = *p;)"
    );
}

fn kfunc(name: &str) -> &'static Callable {
    KFUNCS.iter().find(|kfunc| kfunc.name == name).unwrap()
}

/// An embedder's kfuncs: dynptrs over a buffer.
static BUFFERS: [Callable; 2] = [
    Callable {
        name: "get_ro",
        id: 0,
        proto: "void %s(struct buffer *b, struct bpf_dynptr *d)",
        args: &[ArgKind::Buffer { access: Access::ReadWrite }, ArgKind::DynptrUninit(DynptrKind::Buffer)],
        ret: RetKind::Void,
        effects: Effects::empty(),
        run: get_ro,
    },
    Callable {
        name: "get_rw",
        id: 0,
        proto: "void %s(struct buffer *b, struct bpf_dynptr *d, __u64 size)",
        args: &[
            ArgKind::Buffer { access: Access::ReadWrite },
            ArgKind::DynptrUninit(DynptrKind::Buffer),
            ArgKind::Scalar,
        ],
        ret: RetKind::Void,
        effects: Effects::empty(),
        run: get_rw,
    },
];

fn get_ro(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let window = call.buffer(0)?.read();
    call.set_dynptr(1, Dynptr::new(window))?;
    Ok(0)
}

fn get_rw(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let size = call.scalar(2) as usize;
    let window = call.buffer(0)?.write(size, true);
    call.set_dynptr(1, window.and_then(Dynptr::new))?;
    Ok(0)
}

/// Kfuncs by index in the programs of this file.
fn kfuncs() -> Vec<&'static Callable> {
    let mut all = vec![&BUFFERS[0], &BUFFERS[1]];
    for name in ["slice", "slice_rdwr", "size", "is_null", "is_rdonly", "adjust", "clone"] {
        all.push(kfunc(&format!("bpf_dynptr_{name}")));
    }
    all
}

const GET_RO: i32 = 0;
const GET_RW: i32 = 1;
const SLICE: i32 = 2;
const SLICE_RDWR: i32 = 3;
const SIZE: i32 = 4;
const IS_NULL: i32 = 5;
const IS_RDONLY: i32 = 6;
const ADJUST: i32 = 7;
const CLONE: i32 = 8;

/// Runs instructions with the buffer `0123456789` as first argument.
fn with_buffer(writable: bool, insns: Vec<Insn>) -> Result<u64, FaultKind> {
    let memory = cells(b"0123456789");
    let program = program_with(code![insns, exit()], vec![], kfuncs());
    fn inner<'s>(
        program: &'s Program,
        memory: &'s [std::cell::Cell<u8>],
        writable: bool,
    ) -> Result<u64, FaultKind> {
        let window = Window::from_cells(memory);
        let mut host = TestHost { buffers: vec![TestBuffer { window, writable }], ..TestHost::default() };
        run_on(&mut Worker::new(0), program, &[Arg::Buffer(0)], &mut host)
    }
    inner(&program, &memory, writable)
}

/// `register = frame pointer + off`.
fn stack(register: u8, off: i32) -> Vec<Insn> {
    code![copy(register, 10), add(register, off)]
}

/// Makes the dynptr at `off` over the buffer; the context is kept in R6.
fn get(kfunc: i32, off: i32, size: i32) -> Vec<Insn> {
    code![copy(6, 1), load(op::DW, 1, 6, 0), stack(2, off), mov(3, size), call_kfunc(kfunc)]
}

fn slice(kfunc: i32, dynptr: i32, off: i32, len: i32) -> Vec<Insn> {
    code![stack(1, dynptr), mov(2, off), mov(3, 0), mov(4, len), call_kfunc(kfunc)]
}

fn one(kfunc: i32, dynptr: i32) -> Vec<Insn> {
    code![stack(1, dynptr), call_kfunc(kfunc)]
}

#[test]
fn slices_of_a_buffer() {
    let read = |insns: Vec<Insn>| with_buffer(true, code![get(GET_RO, -16, 0), insns]);
    assert_eq!(read(code![slice(SLICE, -16, 2, 4), load(op::W, 0, 0, 0)]), Ok(0x3534_3332));
    assert_eq!(read(slice(SLICE, -16, 7, 4)), Ok(0));
    assert_eq!(read(slice(SLICE, -16, -1, 4)), Ok(0));
    assert_eq!(read(slice(SLICE, -16, 1, -1)), Ok(0));
    assert!(read(slice(SLICE, -16, 10, 0)).unwrap() != 0);
    assert_eq!(read(slice(SLICE_RDWR, -16, 0, 4)), Ok(0));
    assert_eq!(read(one(SIZE, -16)), Ok(10));
    assert_eq!(read(one(IS_NULL, -16)), Ok(0));
    assert_eq!(read(one(IS_RDONLY, -16)), Ok(1));
    let beyond = read(code![slice(SLICE, -16, 2, 4), load(op::W, 0, 0, 1)]);
    assert!(matches!(beyond, Err(FaultKind::Load { .. })), "{beyond:?}");
    let stored = read(code![slice(SLICE, -16, 2, 4), store_imm(op::B, 0, 0, 1)]);
    assert!(matches!(stored, Err(FaultKind::ReadOnly { .. })), "{stored:?}");

    let write = |insns: Vec<Insn>| with_buffer(true, code![get(GET_RW, -16, 8), insns]);
    assert_eq!(
        write(code![
            slice(SLICE_RDWR, -16, 2, 4),
            store_imm(op::B, 0, 0, b'x'.into()),
            slice(SLICE, -16, 2, 2),
            load(op::H, 0, 0, 0)
        ]),
        Ok(u64::from(u16::from_le_bytes(*b"x3")))
    );
    assert_eq!(write(one(SIZE, -16)), Ok(8));
    assert_eq!(write(one(IS_RDONLY, -16)), Ok(0));
    // A read-only slice stays read-only next to a writable one, which still can be stored to.
    assert_eq!(
        write(code![
            slice(SLICE_RDWR, -16, 0, 4),
            copy(7, 0),
            slice(SLICE, -16, 0, 4),
            store_imm(op::B, 7, 0, 1),
            load(op::B, 0, 0, 0)
        ]),
        Ok(1)
    );
}

#[test]
fn the_invalid_dynptr() {
    // The buffer is not writable, so the request for write access fails.
    let null = |insns: Vec<Insn>| with_buffer(false, code![get(GET_RW, -16, 8), insns]);
    assert_eq!(null(one(IS_NULL, -16)), Ok(1));
    assert_eq!(null(one(IS_RDONLY, -16)), Ok(0));
    assert_eq!(null(one(SIZE, -16)), Ok(0));
    assert_eq!(null(slice(SLICE, -16, 0, 1)), Ok(0));
    assert_eq!(null(slice(SLICE_RDWR, -16, 0, 1)), Ok(0));
    assert_eq!(null(code![stack(1, -16), mov(2, 0), mov(3, 1), call(203)]), Ok(0));
    assert_eq!(null(dynptr_read(-16, -32, 0, 1)), Ok(-22i64 as u64));
    assert_eq!(null(dynptr_write(-16, -32, 0, 1, 0)), Ok(-22i64 as u64));
    assert_eq!(null(code![stack(1, -16), mov(2, 0), mov(3, 0), call_kfunc(ADJUST)]), Ok(-22i64 as u64));
    assert_eq!(null(code![stack(1, -16), stack(2, -32), call_kfunc(CLONE)]), Ok(-22i64 as u64));
    assert_eq!(null(code![stack(1, -16), stack(2, -32), call_kfunc(CLONE), one(IS_NULL, -32)]), Ok(1));
}

fn dynptr_read(dynptr: i32, to: i32, off: i32, len: i32) -> Vec<Insn> {
    code![stack(1, to), mov(2, len), stack(3, dynptr), mov(4, off), mov(5, 0), call(201)]
}

fn dynptr_write(dynptr: i32, from: i32, off: i32, len: i32, flags: i32) -> Vec<Insn> {
    code![stack(1, dynptr), mov(2, off), stack(3, from), mov(4, len), mov(5, flags), call(202)]
}

#[test]
fn reads_and_writes_through_dynptrs() {
    let at = |kfunc, insns: Vec<Insn>| with_buffer(true, code![get(kfunc, -16, 10), insns]);
    assert_eq!(at(GET_RO, code![dynptr_read(-16, -32, 3, 2), load(op::DW, 0, 10, -32)]), Ok(0x3433));
    assert_eq!(at(GET_RO, dynptr_read(-16, -32, 3, 8)), Ok(-7i64 as u64));
    // Nothing is touched when it does not fit.
    assert_eq!(at(GET_RO, code![dynptr_read(-16, -32, 3, 8), load(op::DW, 0, 10, -32)]), Ok(0));
    assert_eq!(at(GET_RO, dynptr_write(-16, -32, 0, 1, 0)), Ok(-22i64 as u64));
    assert_eq!(at(GET_RW, dynptr_write(-16, -32, 9, 1, 0)), Ok(0));
    assert_eq!(at(GET_RW, dynptr_write(-16, -32, 9, 2, 0)), Ok(-7i64 as u64));
    assert_eq!(at(GET_RW, dynptr_write(-16, -32, 9, 1, 1)), Ok(-22i64 as u64));
    assert_eq!(
        at(
            GET_RW,
            code![
                store_imm(op::H, 10, -32, 0x4241),
                dynptr_write(-16, -32, 4, 2, 0),
                stack(1, -16),
                mov(2, 4),
                mov(3, 2),
                call(203),
                load(op::H, 0, 0, 0)
            ]
        ),
        Ok(0x4241)
    );
    assert_eq!(at(GET_RO, code![stack(1, -16), mov(2, 4), mov(3, 2), call(203)]), Ok(0));
}

#[test]
fn adjust_and_clone() {
    let adjust = |start, end| code![stack(1, -16), mov(2, start), mov(3, end), call_kfunc(ADJUST)];
    let at = |insns: Vec<Insn>| with_buffer(true, code![get(GET_RO, -16, 0), insns]);
    assert_eq!(at(code![adjust(2, 5), one(SIZE, -16)]), Ok(3));
    assert_eq!(at(code![adjust(2, 5), slice(SLICE, -16, 0, 3), load(op::B, 0, 0, 0)]), Ok(b'2'.into()));
    assert_eq!(at(code![adjust(2, 5), slice(SLICE, -16, 0, 4)]), Ok(0));
    assert_eq!(at(adjust(5, 2)), Ok(-22i64 as u64));
    assert_eq!(at(adjust(5, 11)), Ok(-34i64 as u64));
    let clone = code![stack(1, -16), stack(2, -32), call_kfunc(CLONE)];
    assert_eq!(at(code![clone.clone(), adjust(2, 5), one(SIZE, -32)]), Ok(10));
    assert_eq!(at(code![clone, one(IS_RDONLY, -32)]), Ok(1));
}

#[test]
fn dynptrs_cannot_be_forged() {
    let refused =
        Err(FaultKind::BadArgument { callable: "bpf_dynptr_size", arg: 1, reason: ArgFault::NotDynptr });
    let at = |insns: Vec<Insn>| with_buffer(true, code![get(GET_RO, -16, 0), insns]);
    // Never made, copied, overwritten, made of numbers, not on the stack, not aligned.
    assert_eq!(at(one(SIZE, -32)), refused);
    let copied = code![
        load(op::DW, 1, 10, -16),
        store(op::DW, 10, 1, -32),
        load(op::DW, 1, 10, -8),
        store(op::DW, 10, 1, -24),
        one(SIZE, -32)
    ];
    assert_eq!(at(copied), refused);
    assert_eq!(at(code![store_imm(op::B, 10, -8, 99), one(SIZE, -16)]), refused);
    assert_eq!(at(code![store_imm(op::B, 10, -16, 1), one(SIZE, -16)]), refused);
    let index = code![load(op::DW, 1, 10, -16), add(1, 1), store(op::DW, 10, 1, -16), one(SIZE, -16)];
    assert_eq!(at(index), refused);
    assert_eq!(at(code![copy(1, 6), call_kfunc(SIZE)]), refused);
    assert_eq!(at(one(SIZE, -12)), refused);
    assert_eq!(at(one(SIZE, -8)), refused);
    // Made again in the same place, the old bytes are worth nothing.
    let stale = code![
        load(op::DW, 7, 10, -16),
        load(op::DW, 8, 10, -8),
        copy(1, 6),
        get(GET_RW, -16, 4),
        one(SIZE, -16),
        copy(9, 0),
        store(op::DW, 10, 7, -16),
        store(op::DW, 10, 8, -8),
        one(SIZE, -16)
    ];
    assert_eq!(at(stale), refused);
    let unaligned = with_buffer(true, get(GET_RO, -12, 0));
    let place = |callable| Err(FaultKind::BadArgument { callable, arg: 2, reason: ArgFault::NotStack });
    assert_eq!(unaligned, place("get_ro"));
    assert_eq!(with_buffer(true, get(GET_RO, -8, 0)), place("get_ro"));
}

#[test]
fn dynptrs_of_one_run_or_frame_are_not_of_another() {
    let make = program_with(code![get(GET_RO, -16, 0), load(op::DW, 0, 10, -16), exit()], vec![], kfuncs());
    let use_it = program_with(
        code![
            load(op::DW, 2, 1, 0),
            store(op::DW, 10, 2, -16),
            load(op::DW, 2, 1, 8),
            store(op::DW, 10, 2, -8),
            one(SIZE, -16),
            exit()
        ],
        vec![],
        kfuncs(),
    );
    let memory = cells(b"0123");
    let buffers = || vec![TestBuffer { window: Window::from_cells(&memory), writable: true }];
    let mut host = TestHost { buffers: buffers(), ..TestHost::default() };
    let mut worker = Worker::new(0);
    let word = run_on(&mut worker, &make, &[Arg::Buffer(0)], &mut host).unwrap();
    for generation in 0..4 {
        let args = [Arg::Scalar(word), Arg::Scalar(generation)];
        assert!(run_on(&mut worker, &use_it, &args, &mut host).is_err());
    }
    // Made in a function that returned, used in the next at the same depth.
    let frames = with_buffer(
        true,
        code![
            copy(6, 1),
            call_local(3),
            copy(1, 6),
            call_local(6),
            exit(),
            load(op::DW, 1, 1, 0),
            stack(2, -16),
            call_kfunc(GET_RO),
            exit(),
            one(SIZE, -16)
        ],
    );
    assert!(matches!(frames, Err(FaultKind::BadArgument { reason: ArgFault::NotDynptr, .. })), "{frames:?}");
}

#[test]
fn only_buffers_of_the_call_are_accepted() {
    let refused = Err(FaultKind::BadArgument { callable: "get_ro", arg: 1, reason: ArgFault::NotBuffer });
    for insns in [
        code![load(op::DW, 1, 1, 0), add(1, 64)],
        code![load(op::DW, 1, 1, 0), add(1, 8)],
        code![mov(1, 0)],
        code![],
    ] {
        assert_eq!(with_buffer(true, code![insns, stack(2, -16), call_kfunc(GET_RO)]), refused);
    }
}

#[test]
fn dynptrs_of_map_memory() {
    let values = Map::new(spec(MapKind::Array, 4, 64, 1), 1).unwrap();
    let fixed = Map::new(MapSpec { read_only: true, ..spec(MapKind::Array, 4, 64, 1) }, 1).unwrap();
    let value = |map: i32| [insn(op::LDDW, 1, 2, 0, map), insn(0, 0, 0, 0, 0)];
    let make = |map: i32, size: i32, flags: i32, then: Vec<Insn>| {
        let insns = code![value(map), mov(2, size), mov(3, flags), stack(4, -16), call(197), then, exit()];
        run(&program_with(insns, vec![values.clone(), fixed.clone()], kfuncs()), &[])
    };
    assert_eq!(make(0, 64, 0, code![]), Ok(0));
    assert_eq!(make(0, 64, 0, one(SIZE, -16)), Ok(64));
    assert_eq!(make(0, 10, 1, code![]), Ok(-22i64 as u64));
    assert_eq!(make(0, 10, 1, one(IS_NULL, -16)), Ok(1));
    let bad = |reason| Err(FaultKind::BadArgument { callable: "bpf_dynptr_from_mem", arg: 1, reason });
    assert!(matches!(
        make(0, 65, 0, code![]),
        Err(FaultKind::BadArgument { arg: 1, reason: ArgFault::OutOfBounds { .. }, .. })
    ));
    assert_eq!(make(1, 8, 0, code![]), bad(ArgFault::ReadOnly));
    let stacked = exec(code![stack(1, -64), mov(2, 8), mov(3, 0), stack(4, -16), call(197), exit()]);
    assert_eq!(stacked, bad(ArgFault::Passing));
    let huge: Arc<Map> = Map::new(spec(MapKind::Array, 4, 1 << 24, 1), 1).unwrap();
    let insns = code![value(0), mov(2, 1 << 24), mov(3, 0), stack(4, -16), call(197), exit()];
    assert_eq!(run(&program_with(insns, vec![huge], vec![]), &[]), Ok(-7i64 as u64));
}

/// Bytes at `off` on the stack.
fn bytes(off: i16, text: &[u8]) -> Vec<Insn> {
    text.iter().enumerate().map(|(i, &byte)| store_imm(op::B, 10, off + i as i16, byte.into())).collect()
}

#[test]
fn the_calling_process_and_the_thread() {
    assert_eq!(exec(code![call(14), exit()]), Ok(42 << 32 | 43));
    assert_eq!(exec(code![call(15), exit()]), Ok(100 << 32 | 1000));
    let comm = |size: i32| {
        let fill = code![store_imm(op::DW, 10, -16, -1), store_imm(op::DW, 10, -8, -1)];
        let ask = code![stack(1, -16), mov(2, size), call(16)];
        let failed = exec(code![fill.clone(), ask.clone(), exit()]);
        let first = exec(code![fill.clone(), ask.clone(), load(op::DW, 0, 10, -16), exit()]);
        let second = exec(code![fill, ask, load(op::DW, 0, 10, -8), exit()]);
        (failed.unwrap(), first.unwrap().to_le_bytes(), second.unwrap())
    };
    assert_eq!(comm(16), (0, *b"tester\0\0", 0));
    assert_eq!(comm(4), (0, *b"tes\0\xff\xff\xff\xff", u64::MAX));
    assert_eq!(comm(0).0, -22i64 as u64);
    let slot = program(code![call(8), exit()]);
    assert_eq!(run_on(&mut Worker::new(5), &slot, &[], &mut TestHost::default()), Ok(5));
}

#[test]
fn clocks_go_forward_and_chance_is_32_bits() {
    for id in [5, 125, 160] {
        let first = exec(code![call(id), exit()]).unwrap();
        let second = exec(code![call(id), exit()]).unwrap();
        assert!(first > 0 && second >= first);
    }
    let some: Vec<u64> = (0..8).map(|_| exec(code![call(7), exit()]).unwrap()).collect();
    assert!(some.iter().all(|&n| n <= u32::MAX.into()) && some.iter().any(|&n| n != some[0]));
}

#[test]
fn probing_does_not_fault() {
    let probe =
        |from: Vec<Insn>| code![store_imm(op::DW, 10, -8, -1), stack(1, -8), mov(2, 8), from, call(113)];
    assert_eq!(exec(code![probe(code![mov(3, 0)]), exit()]), Ok(-14i64 as u64));
    assert_eq!(exec(code![probe(code![mov(3, 0)]), load(op::DW, 0, 10, -8), exit()]), Ok(0));
    let good =
        program(code![load(op::DW, 6, 1, 0), probe(code![copy(3, 6)]), load(op::DW, 0, 10, -8), exit()]);
    let bytes = [6, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(run(&good, &[Arg::Mem(Window::from_bytes(&bytes))]), Ok(6));
    assert!(exec(code![copy(1, 10), mov(2, 8), stack(3, -8), call(113), exit()]).is_err());
}

#[test]
fn probing_does_not_tell_addresses() {
    let bytes = [6; 8];
    let probe = |from: Vec<Insn>| {
        let insns = code![
            copy(6, 1),
            store(op::DW, 10, 1, -24),
            store_imm(op::DW, 10, -8, -1),
            stack(1, -8),
            mov(2, 8),
            from,
            call(113),
            load(op::DW, 1, 10, -8),
            alu64(op::OR, 0, 1),
            exit()
        ];
        run(&program(insns), &[Arg::Mem(Window::from_bytes(&bytes))])
    };
    for from in
        [stack(3, -24), code![stack(3, -24), add(3, 7)], code![stack(3, -24), add(3, -7)], code![copy(3, 6)]]
    {
        assert_eq!(probe(from), Ok(-14i64 as u64));
    }
}

/// The verifier takes memory that a call may write to for written.
#[test]
fn what_a_call_was_to_write_holds_nothing_else_when_it_fails() {
    let kept = |make: Vec<Insn>| {
        exec(code![
            store_imm(op::DW, 10, -64, 0x7a7a),
            store(op::DW, 10, 10, -8),
            store(op::DW, 10, 10, -16),
            make,
            load(op::DW, 0, 10, -8),
            load(op::DW, 1, 10, -16),
            alu64(op::OR, 0, 1),
            exit()
        ])
    };
    for id in [105, 106] {
        let parse = code![stack(1, -64), mov(2, 2), mov(3, 0), stack(4, -8), call(id), stack(1, -64)];
        let again = code![mov(2, 2), mov(3, 0), stack(4, -16), call(id)];
        assert_eq!(kept(code![parse, again]), Ok(0), "{id}");
    }
}

#[test]
fn printing() {
    let print = |insns: Vec<Insn>| {
        let program = program(code![insns, exit()]);
        let mut host = TestHost::default();
        let result = run_on(&mut Worker::new(0), &program, &[], &mut host).map(|n| n as i64);
        (result, host.printed)
    };
    let fmt = |text: &[u8]| code![bytes(-64, text), stack(1, -64), mov(2, text.len() as i32)];
    let args = code![mov(3, -1), mov(4, 255), mov(5, 0)];
    assert_eq!(print(code![fmt(b"a %d %x\n\0"), args.clone(), call(6)]), (Ok(8), vec!["a -1 ff".into()]));
    assert_eq!(print(code![fmt(b"no end"), args.clone(), call(6)]), (Ok(-22), vec![]));
    assert_eq!(print(code![fmt(b"%q\0"), args.clone(), call(6)]), (Ok(-22), vec![]));
    assert_eq!(print(code![fmt(b"%d %d %d %d\0"), args, call(6)]).0, Ok(-22));
    let text = code![bytes(-8, b"str\0"), fmt(b"[%s] %s\0"), stack(3, -8), mov(4, 0), call(6)];
    assert_eq!(print(text), (Ok(13), vec!["[str] (fault)".into()]));
    let many = |len: i32| {
        let data = code![store_imm(op::DW, 10, -32, 7), store_imm(op::DW, 10, -24, 8)];
        code![data, fmt(b"%d-%ld\0"), stack(3, -32), mov(4, len), call(177)]
    };
    assert_eq!(print(many(16)), (Ok(3), vec!["7-8".into()]));
    assert_eq!(print(many(8)).0, Ok(-22));
    assert_eq!(print(many(12)).0, Ok(-22));
    assert_eq!(print(code![fmt(b"x\0"), mov(3, 0), mov(4, 0), call(177)]), (Ok(1), vec!["x".into()]));
    assert!(print(code![stack(1, -4), mov(2, 5), mov(3, 0), mov(4, 0), mov(5, 0), call(6)]).0.is_err());
}

#[test]
fn formatting_into_memory() {
    let print = |size: i32, after: Insn| {
        exec(code![
            store_imm(op::DW, 10, -8, -1),
            store_imm(op::DW, 10, -16, 1234567),
            bytes(-32, b"<%d>\0"),
            stack(1, -8),
            mov(2, size),
            stack(3, -32),
            stack(4, -16),
            mov(5, 8),
            call(165),
            after,
            exit()
        ])
        .unwrap()
    };
    let nothing = add(0, 0);
    assert_eq!(print(8, nothing), 10);
    assert_eq!(print(8, load(op::DW, 0, 10, -8)).to_le_bytes(), *b"<123456\0");
    assert_eq!(print(1, load(op::DW, 0, 10, -8)).to_le_bytes(), *b"\0\xff\xff\xff\xff\xff\xff\xff");
    assert_eq!(print(0, nothing), 10);
}

#[test]
fn comparing_and_parsing() {
    let compare = |a: &[u8], size: i32, b: &[u8]| {
        exec(code![
            bytes(-16, a),
            bytes(-32, b),
            stack(1, -16),
            mov(2, size),
            stack(3, -32),
            call(182),
            exit()
        ])
        .unwrap() as i64
    };
    assert_eq!(compare(b"abc", 3, b"abc\0"), 0);
    assert_eq!(compare(b"abcd", 3, b"abc\0"), 0);
    assert_eq!(compare(b"abcd", 4, b"abc\0"), 1);
    assert_eq!(compare(b"ab\0d", 4, b"ab\0"), 0);
    assert_eq!(compare(b"abb", 3, b"abc\0"), -1);
    assert_eq!(compare(b"x", 0, b"y\0"), 0);
    let endless =
        exec(code![bytes(-16, &[b'a'; 16]), stack(1, -16), mov(2, 4), stack(3, -16), call(182), exit()]);
    let reason = ArgFault::NotString;
    assert_eq!(endless, Err(FaultKind::BadArgument { callable: "bpf_strncmp", arg: 3, reason }));
    let parse = |id: i32, text: &[u8], base: i32, after: Insn| {
        exec(code![
            bytes(-32, text),
            stack(1, -32),
            mov(2, text.len() as i32),
            mov(3, base),
            stack(4, -8),
            call(id),
            after,
            exit()
        ])
        .unwrap() as i64
    };
    let result = load(op::DW, 0, 10, -8);
    assert_eq!(parse(105, b" -12z", 0, add(0, 0)), 4);
    assert_eq!(parse(105, b" -12z", 0, result), -12);
    assert_eq!(parse(105, b"-9223372036854775808", 10, result), i64::MIN);
    assert_eq!(parse(105, b"9223372036854775808", 10, add(0, 0)), -34);
    assert_eq!(parse(106, b"0xff", 0, result), 255);
    assert_eq!(parse(106, b"-1", 0, add(0, 0)), -22);
    assert_eq!(parse(106, b"18446744073709551616", 0, add(0, 0)), -34);
}

#[test]
fn sizes_and_permissions_of_arguments_are_checked() {
    let refused = |insns: Vec<Insn>| match exec(code![insns, call(16), exit()]) {
        Err(FaultKind::BadArgument { callable: "bpf_get_current_comm", arg: 1, reason }) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(code![mov(1, 0), mov(2, 16)]), ArgFault::Null);
    assert!(matches!(refused(code![stack(1, -8), mov(2, 9)]), ArgFault::OutOfBounds { size: 9, .. }));
    assert!(matches!(refused(code![stack(1, -8), mov(2, -1)]), ArgFault::OutOfBounds { size: u64::MAX, .. }));
    assert!(matches!(refused(code![mov(1, 64), mov(2, 4)]), ArgFault::OutOfBounds { addr: 64, .. }));
    // The context is there to be read.
    let context = program(code![mov(2, 8), call(16), exit()]);
    assert_eq!(
        run(&context, &[Arg::Scalar(0)]),
        Err(FaultKind::BadArgument { callable: "bpf_get_current_comm", arg: 1, reason: ArgFault::ReadOnly })
    );
}

/// A kfunc that asks for what it did not declare.
static CARELESS: Callable = Callable {
    name: "careless",
    id: 0,
    proto: "void %s(__u64 a)",
    args: &[ArgKind::Scalar],
    ret: RetKind::Void,
    effects: Effects::empty(),
    run: careless,
};

fn careless(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let undeclared = FaultKind::Declaration { callable: "careless", arg: 1 };
    assert_eq!(call.map(0).unwrap_err(), undeclared);
    assert_eq!(call.str(0).unwrap_err(), undeclared);
    assert_eq!(call.set_dynptr(0, None).unwrap_err(), undeclared);
    assert_eq!(call.take_record(0).unwrap_err(), undeclared);
    assert!(call.buffer(0).is_err() && call.mem(0).is_none() && call.dynptr(9).is_none());
    assert!(call.map(17).is_err() && call.scalar(17) == 0);
    assert!(call.probe(8, 8, Access::Read).is_none());
    Ok(3)
}

#[test]
fn declarations_are_not_trusted() {
    assert_eq!(run(&program_with(code![call_kfunc(0), exit()], vec![], vec![&CARELESS]), &[]), Ok(3));
}

#[test]
fn slices_are_limited_in_number_and_cost() {
    // A new slice each round: ever shorter ones of the same map value.
    let map_ = Map::new(spec(MapKind::Array, 4, 1 << 20, 1), 1).unwrap();
    let insns = code![
        [insn(op::LDDW, 1, 2, 0, 0), insn(0, 0, 0, 0, 0)],
        mov(2, 1 << 20),
        mov(3, 0),
        stack(4, -16),
        call(197),
        mov(6, 0),
        stack(1, -16),
        copy(2, 6),
        mov(3, 8),
        call(203),
        add(6, 8),
        insn(op::GOTO, 0, 0, -7, 0),
        exit()
    ];
    let program = program_with(insns, vec![map_], vec![]);
    let outcome = Worker::new(0).run(&program, &[], &mut TestHost::default(), 1 << 30);
    assert_eq!(outcome.result.unwrap_err().kind, FaultKind::TooManySlices { limit: 1 << 16 });
}

#[test]
fn indirect_jumps_go_by_the_tables_of_their_function_only() {
    let gotox = |dst| Insn { code: op::GOTOX, dst, src: 0, off: 0, imm: 0 };
    let go = |target: i32, function: usize| {
        let program = Program {
            jump_tables: vec![JumpTable { map: 0, function, targets: vec![2, 4] }],
            ..program(code![mov(1, target), gotox(1), mov(0, 7), exit(), mov(0, 9), exit()])
        };
        Worker::new(0).run(&program, &[], &mut TestHost::default(), 10).result.map_err(|fault| fault.kind)
    };
    assert_eq!(go(2, 0), Ok(7));
    assert_eq!(go(4, 0), Ok(9));
    for target in [3, 5, 6, -1] {
        assert_eq!(go(target, 0), Err(FaultKind::BadIndirectJump { target: i64::from(target) as u64 }));
    }
    assert_eq!(go(2, 1), Err(FaultKind::BadIndirectJump { target: 2 }));
}
