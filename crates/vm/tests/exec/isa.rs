//! Every instruction against a model written another way: numbers are exact integers, cut to size at
//! the end.

use fuse_bpf_vm::insn::{Insn, op, pseudo};
use fuse_bpf_vm::interp::{Arg, FaultKind, Worker};
use fuse_bpf_vm::mem::Window;

use crate::build::*;
use crate::{TestHost, cells, exec, run};

const EDGES: [u64; 22] = [
    0,
    1,
    2,
    3,
    7,
    31,
    32,
    33,
    63,
    64,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// Operations with two operands, whether they have a signed form, and their meaning for `bits` bits on
/// unsigned and signed exact values.
type Meaning = fn(u128, u128, i128, i128, u32) -> i128;

const OPERATIONS: [(u8, Meaning); 12] = [
    (op::ADD, |a, b, _, _, _| (a + b) as i128),
    (op::SUB, |_, _, a, b, _| a - b),
    (op::MUL, |_, _, a, b, _| a * b),
    (op::DIV, |a, b, _, _, _| a.checked_div(b).unwrap_or(0) as i128),
    (op::MOD, |a, b, _, _, _| a.checked_rem(b).unwrap_or(a) as i128),
    (op::OR, |a, b, _, _, _| (a | b) as i128),
    (op::AND, |a, b, _, _, _| (a & b) as i128),
    (op::XOR, |a, b, _, _, _| (a ^ b) as i128),
    (op::MOV, |_, b, _, _, _| b as i128),
    (op::LSH, |a, b, _, _, bits| ((a << (b % u128::from(bits))) & u128::from(u64::MAX)) as i128),
    (op::RSH, |a, b, _, _, bits| (a >> (b % u128::from(bits))) as i128),
    (op::ARSH, |_, b, a, _, bits| a >> (b % u128::from(bits))),
];

const SIGNED: [(u8, Meaning); 2] = [
    (op::DIV, |_, _, a, b, _| a.checked_div(b).unwrap_or(0)),
    (op::MOD, |_, _, a, b, _| a.checked_rem(b).unwrap_or(a)),
];

fn expected(meaning: Meaning, a: u64, b: u64, bits: u32) -> u64 {
    let exact = if bits == 64 {
        meaning(a.into(), b.into(), (a as i64).into(), (b as i64).into(), 64)
    } else {
        let (a, b) = (a as u32, b as u32);
        meaning(a.into(), b.into(), (a as i32).into(), (b as i32).into(), 32)
    };
    if bits == 64 { exact as u64 } else { exact as u32 as u64 }
}

fn class(bits: u32) -> u8 {
    if bits == 64 { op::ALU64 } else { op::ALU }
}

#[test]
fn arithmetic_on_registers_and_immediates() {
    let plain = OPERATIONS.iter().map(|&(code, meaning)| (code, 0, meaning));
    let signed = SIGNED.iter().map(|&(code, meaning)| (code, 1, meaning));
    for (operation, off, meaning) in plain.chain(signed) {
        for bits in [32, 64] {
            for a in EDGES {
                for b in EDGES {
                    let code = class(bits) | operation;
                    let x = exec(code![wide(0, a), wide(1, b), insn(code | op::X, 0, 1, off, 0), exit()]);
                    assert_eq!(x, Ok(expected(meaning, a, b, bits)), "{code:#x} {off} {a:#x} {b:#x}");
                    let b = b as i32;
                    let k = exec(code![wide(0, a), insn(code, 0, 0, off, b), exit()]);
                    assert_eq!(k, Ok(expected(meaning, a, b as u64, bits)), "{code:#x} {off} {a:#x} {b:#x}");
                }
            }
        }
    }
}

#[test]
fn arithmetic_on_every_pair_of_registers() {
    const A: u64 = 0x8123_4567_89ab_cdef;
    const B: u64 = 0x0000_0003_0000_0005;
    for (operation, meaning) in OPERATIONS {
        for bits in [32, 64] {
            for dst in 0..10 {
                for src in 0..10 {
                    let code = class(bits) | operation | op::X;
                    let result = exec(code![
                        wide(dst, A),
                        wide(src, B),
                        insn(code, dst, src, 0, 0),
                        copy(0, dst),
                        exit()
                    ]);
                    let a = if dst == src { B } else { A };
                    assert_eq!(result, Ok(expected(meaning, a, B, bits)), "{code:#x} r{dst} r{src}");
                }
            }
        }
    }
}

#[test]
fn one_operand() {
    for a in EDGES {
        let one = |code, off, imm| exec(code![wide(0, a), insn(code, 0, 0, off, imm), exit()]);
        let bytes = a.to_le_bytes();
        let cut = |n: usize| {
            let mut low = [0; 8];
            low[..n].copy_from_slice(&bytes[..n]);
            low
        };
        let turned = |n: usize| {
            let mut low = cut(n);
            low[..n].reverse();
            u64::from_le_bytes(low)
        };
        assert_eq!(one(op::ALU64 | op::NEG, 0, 0), Ok((-i128::from(a)) as u64));
        assert_eq!(one(op::ALU | op::NEG, 0, 0), Ok((-i128::from(a)) as u32 as u64));
        for n in [2, 4, 8] {
            let bits = n as i32 * 8;
            assert_eq!(one(op::ALU | op::END, 0, bits), Ok(u64::from_le_bytes(cut(n))));
            assert_eq!(one(op::ALU | op::END | op::X, 0, bits), Ok(turned(n)));
            assert_eq!(one(op::ALU64 | op::END, 0, bits), Ok(turned(n)));
        }
        for (off, value) in [(8, a as i8 as i64), (16, a as i16 as i64), (32, a as i32 as i64)] {
            let extended =
                |class| exec(code![wide(1, a), insn(class | op::MOV | op::X, 0, 1, off, 0), exit()]);
            assert_eq!(extended(op::ALU64), Ok(value as u64));
            if off != 32 {
                assert_eq!(extended(op::ALU), Ok(value as u32 as u64));
            }
        }
    }
}

#[test]
fn conditions() {
    type Condition = fn(i128, i128, i128, i128) -> bool;
    let conditions: [(u8, Condition); 11] = [
        (op::JEQ, |a, b, _, _| a == b),
        (op::JNE, |a, b, _, _| a != b),
        (op::JGT, |a, b, _, _| a > b),
        (op::JGE, |a, b, _, _| a >= b),
        (op::JLT, |a, b, _, _| a < b),
        (op::JLE, |a, b, _, _| a <= b),
        (op::JSET, |a, b, _, _| a & b != 0),
        (op::JSGT, |_, _, a, b| a > b),
        (op::JSGE, |_, _, a, b| a >= b),
        (op::JSLT, |_, _, a, b| a < b),
        (op::JSLE, |_, _, a, b| a <= b),
    ];
    for (condition, holds) in conditions {
        for a in EDGES {
            for b in EDGES {
                let wide_holds = |b: u64| holds(a.into(), b.into(), (a as i64).into(), (b as i64).into());
                let low_holds = |b: u64| {
                    let (a, b) = (a as u32, b as u32);
                    holds(a.into(), b.into(), (a as i32).into(), (b as i32).into())
                };
                let x = |class| {
                    let test = insn(class | condition | op::X, 3, 7, 1, 0);
                    exec(code![wide(3, a), wide(7, b), mov(0, 1), test, mov(0, 0), exit()])
                };
                let k = |class| {
                    let test = insn(class | condition, 3, 0, 1, b as i32);
                    exec(code![wide(3, a), mov(0, 1), test, mov(0, 0), exit()])
                };
                let immediate = b as i32 as u64;
                assert_eq!(x(op::JMP), Ok(wide_holds(b).into()), "{condition:#x} {a:#x} {b:#x}");
                assert_eq!(x(op::JMP32), Ok(low_holds(b).into()), "{condition:#x} {a:#x} {b:#x}");
                assert_eq!(k(op::JMP), Ok(wide_holds(immediate).into()), "{condition:#x} {a:#x} {b:#x}");
                assert_eq!(k(op::JMP32), Ok(low_holds(immediate).into()), "{condition:#x} {a:#x} {b:#x}");
            }
        }
    }
}

#[test]
fn jumps_go_both_ways_and_far() {
    let goto = |off| insn(op::GOTO, 0, 0, off, 0);
    let gotol = |imm| insn(op::GOTOL, 0, 0, 0, imm);
    assert_eq!(exec(code![goto(1), exit(), mov(0, 3), goto(-3)]), Ok(3));
    assert_eq!(exec(code![gotol(1), exit(), mov(0, 4), gotol(-3)]), Ok(4));
    let mut far = code![gotol(100_000)];
    far.extend((0..100_000).map(|_| mov(0, 1)));
    far.extend(code![add(0, 5), exit()]);
    assert_eq!(exec(far), Ok(5));
    let far = |off: i16| {
        let mut insns = code![goto(off)];
        insns.extend((0..i16::MAX).map(|_| add(0, 1)));
        insns.extend(code![exit()]);
        exec(insns)
    };
    assert_eq!(far(i16::MAX), Ok(0));
    assert_eq!(far(i16::MAX - 9), Ok(9));
}

#[test]
fn leaving_the_program_is_a_fault() {
    let bad = |target, len| Err(FaultKind::BadJump { target, len });
    assert_eq!(exec(vec![]), bad(0, 0));
    assert_eq!(exec(code![mov(0, 0)]), bad(1, 1));
    assert_eq!(exec(code![insn(op::GOTO, 0, 0, -2, 0)]), bad(-1, 1));
    assert_eq!(exec(code![insn(op::GOTO, 0, 0, 1, 0), exit()]), bad(2, 2));
    assert_eq!(exec(code![insn(op::GOTOL, 0, 0, 0, i32::MIN), exit()]), bad(1 + i64::from(i32::MIN), 2));
    assert_eq!(exec(code![insn(op::GOTOL, 0, 0, 0, i32::MAX)]), bad(1 + i64::from(i32::MAX), 1));
    assert_eq!(exec(code![call_local(i32::MIN), exit()]), bad(1 + i64::from(i32::MIN), 2));
    assert_eq!(exec(code![wide(0, 1)[0]]), bad(1, 1));
    // Into the middle of a wide load.
    let middle = exec(code![insn(op::GOTO, 0, 0, 1, 0), wide(0, 1), exit()]);
    assert!(matches!(middle, Err(FaultKind::BadInsn { code: 0, .. })), "{middle:?}");
}

#[test]
fn loads_and_stores_of_every_size() {
    const VALUE: u64 = 0x8182_8384_8586_8788;
    for (size, bytes) in [(op::B, 1), (op::H, 2), (op::W, 4), (op::DW, 8)] {
        let low = if bytes == 8 { VALUE } else { VALUE & ((1 << (8 * bytes)) - 1) };
        let shift = 64 - 8 * bytes;
        let extended = ((VALUE << shift) as i64 >> shift) as u64;
        for off in [-8, -16, -13, -512] {
            let stored = code![wide(2, VALUE), store(size, 10, 2, off)];
            let zero = code![stored.clone(), load(size, 0, 10, off), exit()];
            assert_eq!(exec(zero), Ok(low), "size {bytes} at {off}");
            if bytes < 8 {
                let sign = insn(op::LDX | op::MEMSX | size, 0, 10, off, 0);
                assert_eq!(exec(code![stored.clone(), sign, exit()]), Ok(extended), "size {bytes} at {off}");
            }
            // Only the bytes asked for are written.
            if off == -16 {
                assert_eq!(exec(code![stored, load(op::DW, 0, 10, -16), exit()]), Ok(low));
            }
            let imm = code![store_imm(size, 10, off, -2), load(size, 0, 10, off), exit()];
            let minus = if bytes == 8 { -2i64 as u64 } else { (-2i64 as u64) & ((1 << (8 * bytes)) - 1) };
            assert_eq!(exec(imm), Ok(minus));
        }
        for dst in 0..10 {
            for src in 0..10 {
                let moved = code![
                    wide(dst, VALUE),
                    copy(src, 10),
                    wide(if src == 0 { 1 } else { 0 }, 0),
                    store_imm(op::DW, src, -8, 0x1234),
                    load(size, dst, src, -8),
                    copy(0, dst),
                    exit()
                ];
                let expected = if bytes == 1 { 0x34 } else { 0x1234 };
                assert_eq!(exec(moved), Ok(expected), "r{dst} r{src}");
            }
        }
    }
}

/// The operations, and what they leave in memory given the old value, the register and R0.
type Update = fn(u64, u64, u64) -> u64;

const ATOMICS: [(i32, Update); 6] = [
    (op::ADD as i32, |old, value, _| old.wrapping_add(value)),
    (op::OR as i32, |old, value, _| old | value),
    (op::AND as i32, |old, value, _| old & value),
    (op::XOR as i32, |old, value, _| old ^ value),
    (op::XCHG, |_, value, _| value),
    (op::CMPXCHG, |old, value, r0| if old == r0 { value } else { old }),
];

#[test]
fn atomics_on_every_pair_of_registers() {
    const OLD: u64 = 0xf0f0_f0f0_8f8f_8f8f;
    const VALUE: u64 = 0x1234_5678_9abc_def0;
    for (code, update) in ATOMICS {
        for fetch in [0, op::FETCH] {
            for (size, mask) in [(op::W, 0xffff_ffff), (op::DW, u64::MAX)] {
                for dst in 1..10 {
                    for src in 0..10 {
                        for equal in [true, false] {
                            if src == dst || (code >= op::XCHG && fetch == 0) {
                                continue;
                            }
                            let imm = code | fetch;
                            let r0 = if src == 0 {
                                VALUE
                            } else if equal {
                                OLD
                            } else {
                                77
                            };
                            // Memory, then the registers the instruction may set, on the stack.
                            let program = program(code![
                                wide(1, OLD),
                                store(op::DW, 10, 1, -8),
                                wide(0, r0),
                                wide(src, VALUE),
                                copy(dst, 10),
                                atomic(size, imm, dst, src, -8),
                                store(op::DW, 10, src, -16),
                                store(op::DW, 10, 0, -24),
                                copy(6, 10),
                                load(op::DW, 0, 6, -8),
                                load(op::DW, 1, 6, -16),
                                alu64(op::XOR, 0, 1),
                                load(op::DW, 1, 6, -24),
                                insn(op::ALU64 | op::LSH, 1, 0, 0, 1),
                                alu64(op::ADD, 0, 1),
                                exit()
                            ]);
                            let memory = (OLD & !mask) | (update(OLD & mask, VALUE & mask, r0 & mask) & mask);
                            let fetched = OLD & mask;
                            let src_after = match imm {
                                op::CMPXCHG if src == 0 => fetched,
                                op::CMPXCHG => VALUE,
                                _ if fetch != 0 => fetched,
                                _ => VALUE,
                            };
                            let r0_after = match imm {
                                op::CMPXCHG => fetched,
                                _ if src == 0 => src_after,
                                _ => r0,
                            };
                            let expected = (memory ^ src_after).wrapping_add(r0_after << 1);
                            assert_eq!(run(&program, &[]), Ok(expected), "{imm:#x} {size} r{dst} r{src}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn an_atomic_may_use_its_address_as_its_value() {
    let fetched = exec(code![
        store_imm(op::DW, 10, -8, 5),
        copy(1, 10),
        atomic(op::DW, op::XCHG, 1, 1, -8),
        load(op::DW, 0, 10, -8),
        alu64(op::SUB, 0, 10),
        alu64(op::ADD, 0, 1),
        exit()
    ]);
    assert_eq!(fetched, Ok(5));
}

#[test]
fn acquire_and_release_of_every_size() {
    const VALUE: u64 = 0xf1f2_f3f4_f5f6_f7f8;
    for (size, bytes) in [(op::B, 1), (op::H, 2), (op::W, 4), (op::DW, 8)] {
        let low = if bytes == 8 { VALUE } else { VALUE & ((1 << (8 * bytes)) - 1) };
        let result = exec(code![
            wide(2, VALUE),
            copy(3, 10),
            atomic(size, op::STORE_REL, 3, 2, -8),
            atomic(size, op::LOAD_ACQ, 0, 3, -8),
            exit()
        ]);
        assert_eq!(result, Ok(low));
    }
}

#[test]
fn atomics_need_alignment_and_memory_they_may_write() {
    for (size, bytes) in [(op::W, 4), (op::DW, 8)] {
        for imm in [op::ADD as i32, op::XCHG, op::CMPXCHG, op::LOAD_ACQ, op::STORE_REL] {
            let unaligned = exec(code![mov(1, 0), atomic(size, imm, 10, 10, -9), exit()]);
            let fault = matches!(unaligned, Err(FaultKind::Unaligned { size, .. }) if size == bytes);
            assert!(fault || matches!(unaligned, Err(FaultKind::FramePointer)), "{imm:#x} {unaligned:?}");
        }
    }
    let program = program(code![load(op::DW, 1, 1, 0), atomic(op::W, 0, 1, 0, 0), exit()]);
    let bytes = [0u8; 8];
    let fault = run(&program, &[Arg::Mem(Window::from_bytes(&bytes))]);
    assert!(matches!(fault, Err(FaultKind::ReadOnly { size: 4, .. })), "{fault:?}");
    let loads =
        crate::build::program(code![load(op::DW, 1, 1, 0), atomic(op::W, op::LOAD_ACQ, 0, 1, 0), exit()]);
    let words = [std::cell::Cell::new(9u64)];
    assert_eq!(run(&loads, &[Arg::Mem(Window::from_words(&words).read_only())]), Ok(9));
}

#[test]
fn wide_loads() {
    for value in EDGES {
        assert_eq!(exec(code![wide(0, value), exit()]), Ok(value));
    }
    let first = exec(code![insn(op::LDDW, 0, pseudo::FUNC, 0, 1), insn(0, 0, 0, 0, 0), exit()]).unwrap();
    let second =
        exec(code![insn(op::LDDW, 0, pseudo::FUNC, 0, 2), insn(0, 0, 0, 0, 0), exit(), exit()]).unwrap();
    assert_ne!(first, second);
    assert_eq!(
        exec(code![insn(op::LDDW, 0, pseudo::MAP, 0, 0), insn(0, 0, 0, 0, 0), exit()]),
        Err(FaultKind::NoSuchMap { index: 0 })
    );
    let read =
        exec(code![insn(op::LDDW, 1, pseudo::FUNC, 0, 1), insn(0, 0, 0, 0, 0), load(op::B, 0, 1, 0), exit()]);
    assert_eq!(read, Err(FaultKind::FunctionHandle));
}

/// Whether an instruction that got past decoding is one: all that exist, in the words of RFC 9669.
fn exists(code: u8, src: u8, off: i16, imm: i32) -> bool {
    let x = code & op::X != 0;
    match code & 7 {
        op::ALU | op::ALU64 => {
            let wide = code & 7 == op::ALU64;
            let operand = if x { imm == 0 } else { src == 0 };
            match code & 0xf0 {
                op::NEG => !x && src == 0 && off == 0 && imm == 0,
                op::END => !(wide && x) && src == 0 && off == 0 && matches!(imm, 16 | 32 | 64),
                op::MOV if x => operand && (matches!(off, 0 | 8 | 16) || (wide && off == 32)),
                op::DIV | op::MOD => operand && matches!(off, 0 | 1),
                0xe0 | 0xf0 => false,
                _ => operand && off == 0,
            }
        }
        op::LDX => match code & 0xe0 {
            op::MEM => imm == 0,
            op::MEMSX => imm == 0 && code & 0x18 != op::DW,
            _ => false,
        },
        op::ST => code & 0xe0 == op::MEM && src == 0,
        op::STX => match code & 0xe0 {
            op::MEM => imm == 0,
            op::ATOMIC => {
                let plain = matches!(imm, 0 | 1 | 0x40 | 0x41 | 0x50 | 0x51 | 0xa0 | 0xa1 | 0xe1 | 0xf1);
                matches!(imm, 0x100 | 0x110) || (plain && matches!(code & 0x18, op::W | op::DW))
            }
            _ => false,
        },
        op::JMP | op::JMP32 => {
            let wide = code & 7 == op::JMP;
            match code & 0xf0 {
                op::JA if x => wide && src == 0 && off == 0 && imm == 0,
                op::JA if wide => src == 0 && imm == 0,
                op::JA => src == 0 && off == 0,
                op::CALL => wide && !x && off == 0 && src <= 2,
                op::EXIT => wide && !x && src == 0 && off == 0 && imm == 0,
                op::JCOND => wide && !x && src == 0 && imm == 0,
                0xf0 => false,
                _ if x => imm == 0,
                _ => src == 0,
            }
        }
        _ => code == op::LDDW && off == 0 && src == 0,
    }
}

#[test]
fn reserved_encodings_are_refused_and_nothing_else_is() {
    let mut accepted = 0;
    for code in 0..=255u8 {
        for src in [0u8, 1, 2, 5] {
            for off in [0i16, 1, 8, 16, 32, -8] {
                for imm in [0, 1, 16, 32, 64, 0x40, 0x41, 0x50, 0xa0, 0xe1, 0xf1, 0x100, 0x110, 0xe0, 3, -1] {
                    let one = insn(code, 0, src, off, imm);
                    let second = insn(0, 0, 0, 0, 0);
                    let last = if code == op::LDDW { second } else { exit() };
                    let result = exec(code![one, last, exit(), exit(), exit(), exit()]);
                    let refused = matches!(result, Err(FaultKind::BadInsn { code: c, .. }) if c == code);
                    let refused = refused || result == Err(FaultKind::IndirectCall);
                    // Wide loads with a source are about maps and functions.
                    if code != op::LDDW || src == 0 {
                        assert_eq!(!refused, exists(code, src, off, imm), "{one:?} {result:?}");
                    }
                    accepted += usize::from(!refused);
                }
            }
        }
    }
    assert!(accepted > 1000);
}

#[test]
fn registers_past_the_frame_pointer_do_not_exist() {
    for reg in 11..16 {
        for one in [copy(reg, 0), copy(0, reg), load(op::B, reg, 10, -1), store(op::B, 10, reg, -1)] {
            assert!(matches!(exec(code![one, exit()]), Err(FaultKind::BadInsn { .. })), "{one:?}");
        }
    }
}

#[test]
fn the_frame_pointer_is_read_only() {
    for one in [
        mov(10, 0),
        add(10, 8),
        load(op::DW, 10, 10, -8),
        wide(10, 1)[0],
        atomic(op::DW, op::XCHG, 10, 10, -8),
    ] {
        let code = code![one, insn(0, 0, 0, 0, 0), exit()];
        assert_eq!(exec(code), Err(FaultKind::FramePointer), "{one:?}");
    }
    assert!(exec(code![store(op::DW, 10, 10, -8), atomic(op::DW, 0, 10, 10, -8), exit()]).is_ok());
}

#[test]
fn arguments_make_the_context() {
    let memory = cells(&[1, 2, 3, 4]);
    let args = [Arg::Scalar(7), Arg::Mem(Window::from_cells(&memory)), Arg::Scalar(u64::MAX)];
    let sum = program(code![
        load(op::DW, 2, 1, 0),
        load(op::DW, 3, 1, 8),
        load(op::W, 3, 3, 0),
        load(op::DW, 0, 1, 16),
        alu64(op::ADD, 0, 2),
        alu64(op::ADD, 0, 3),
        exit()
    ]);
    assert_eq!(run(&sum, &args), Ok(6 + 0x0403_0201));
}

#[test]
fn plain_memory_has_its_length_in_the_second_register() {
    let memory = cells(&[1, 2, 3, 4]);
    let last = program(code![alu64(op::ADD, 1, 2), load(op::B, 0, 1, -1), store(op::B, 1, 2, -1), exit()]);
    let outcome = Worker::new(0).run_raw(&last, Window::from_cells(&memory), &mut TestHost::default(), 100);
    assert_eq!((outcome.result, outcome.insns), (Ok(4), 4));
    assert_eq!(memory[3].get(), 4);
}

#[test]
fn arbitrary_instructions_never_panic() {
    let mut state = 0x853c_49e6_748f_ea9bu64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let memory = cells(&[0; 64]);
    for _ in 0..100_000 {
        let mut insns: Vec<Insn> = (0..12).map(|_| Insn::decode(next().to_le_bytes())).collect();
        for insn in &mut insns {
            // Keep to what has a chance to run on.
            insn.dst %= 11;
            insn.src %= 11;
            if next() % 4 != 0 {
                insn.imm = 0;
            }
            if next() % 2 != 0 {
                insn.off = (insn.off % 8).wrapping_mul(8);
            }
        }
        insns.push(exit());
        let program = program(insns);
        let args = [Arg::Mem(Window::from_cells(&memory)), Arg::Buffer(0), Arg::Scalar(next())];
        let _ = Worker::new(0).run(&program, &args, &mut TestHost::default(), 1000);
    }
}
