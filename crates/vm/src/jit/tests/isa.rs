//! Every instruction, with operands the compiler does not know and with ones it does.

use super::*;
use crate::build::*;

const EDGES: [u64; 24] = [
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
    0x8123_4567_89ab_cdef,
    u64::MAX - 1,
    u64::MAX,
];

/// Runs instructions on R3 and R7, which hold the arguments, in both engines, with all pairs.
fn all_pairs(insns: &[Insn]) {
    let program =
        linked(code![load(op::DW, 3, 1, 0), load(op::DW, 7, 1, 8), mov(0, 1), insns.to_vec(), exit()]);
    let compiled = compiled(&program);
    let (mut one, mut two) = (Worker::new(0), Worker::new(0));
    for a in EDGES {
        for b in EDGES {
            let args = [Arg::Scalar(a), Arg::Scalar(b)];
            let expected = one.run(&program, &args, &mut TestHost::default(), DEFAULT_BUDGET).result;
            let got = two.run_compiled(&compiled, &args, &mut TestHost::default(), DEFAULT_BUDGET).result;
            assert_eq!(got, expected, "{insns:?} of {a:#x} and {b:#x}");
        }
    }
}

const OPERATIONS: [u8; 12] = [
    op::ADD,
    op::SUB,
    op::MUL,
    op::DIV,
    op::MOD,
    op::OR,
    op::AND,
    op::XOR,
    op::MOV,
    op::LSH,
    op::RSH,
    op::ARSH,
];

#[test]
fn arithmetic() {
    for class in [op::ALU, op::ALU64] {
        for operation in OPERATIONS {
            let variants: &[i16] = match operation {
                op::DIV | op::MOD => &[0, 1],
                op::MOV if class == op::ALU64 => &[0, 8, 16, 32],
                op::MOV => &[0, 8, 16],
                _ => &[0],
            };
            for &off in variants {
                all_pairs(&code![insn(class | operation | op::X, 3, 7, off, 0), copy(0, 3)]);
                all_pairs(&code![insn(class | operation | op::X, 3, 3, off, 0), copy(0, 3)]);
                if operation == op::MOV && off != 0 {
                    continue;
                }
                for imm in EDGES {
                    all_pairs(&code![insn(class | operation, 3, 0, off, imm as i32), copy(0, 3)]);
                }
            }
        }
        all_pairs(&code![insn(class | op::NEG, 3, 0, 0, 0), copy(0, 3)]);
        for bits in [16, 32, 64] {
            all_pairs(&code![insn(class | op::END, 3, 0, 0, bits), copy(0, 3)]);
            if class == op::ALU {
                all_pairs(&code![insn(class | op::END | op::X, 3, 0, 0, bits), copy(0, 3)]);
            }
        }
    }
}

#[test]
fn arithmetic_on_known_numbers() {
    for class in [op::ALU, op::ALU64] {
        for operation in OPERATIONS {
            for off in if matches!(operation, op::DIV | op::MOD) { 0..2 } else { 0..1 } {
                // All in one program, for speed: each result goes into a sum.
                let mut insns = code![mov(0, 0)];
                for a in EDGES {
                    for b in [0, 1, 3, 31, 33, 64, 0x8000_0000, u64::MAX, 1 << 63] {
                        insns.extend(code![
                            wide(1, a),
                            wide(2, b),
                            insn(class | operation | op::X, 1, 2, off, 0),
                            insn(op::ALU64 | op::MUL, 0, 0, 0, 31),
                            alu64(op::ADD, 0, 1)
                        ]);
                    }
                }
                exec(code![insns, exit()]);
            }
        }
    }
}

#[test]
fn conditions() {
    for class in [op::JMP, op::JMP32] {
        for condition in [
            op::JEQ,
            op::JNE,
            op::JGT,
            op::JGE,
            op::JLT,
            op::JLE,
            op::JSET,
            op::JSGT,
            op::JSGE,
            op::JSLT,
            op::JSLE,
        ] {
            all_pairs(&code![insn(class | condition | op::X, 3, 7, 1, 0), mov(0, 0)]);
            for imm in EDGES {
                all_pairs(&code![insn(class | condition, 3, 0, 1, imm as i32), mov(0, 0)]);
            }
        }
    }
}

#[test]
fn jumps_go_both_ways_and_far() {
    let goto = |off| insn(op::GOTO, 0, 0, off, 0);
    let gotol = |imm| insn(op::GOTOL, 0, 0, 0, imm);
    assert_eq!(exec(code![goto(1), exit(), mov(0, 3), goto(-3)]), 3);
    assert_eq!(exec(code![gotol(1), exit(), mov(0, 4), gotol(-3)]), 4);
    let mut far = code![gotol(40_000)];
    far.extend((0..40_000).map(|_| mov(0, 1)));
    far.extend(code![mov(0, 5), exit()]);
    assert_eq!(exec(far), 5);
    // Conditions with nothing between.
    assert_eq!(exec(code![mov(0, 6), jump(op::JEQ, 0, 6, 0), exit()]), 6);
}

#[test]
fn loads_and_stores() {
    const VALUE: u64 = 0x8182_8384_8586_8788;
    for size in [op::B, op::H, op::W, op::DW] {
        for off in [-8, -16, -13, -512] {
            let stored = code![wide(2, VALUE), store(size, 10, 2, off)];
            exec(code![stored.clone(), load(size, 0, 10, off), exit()]);
            // Only the bytes asked for are written.
            exec(code![stored.clone(), load(op::DW, 0, 10, off.max(-508) - 4), exit()]);
            if size != op::DW {
                exec(code![stored, insn(op::LDX | op::MEMSX | size, 0, 10, off, 0), exit()]);
            }
            exec(code![store_imm(size, 10, off, -2), load(size, 0, 10, off), exit()]);
        }
        for (dst, src) in [(0, 1), (9, 6), (4, 4)] {
            let moved = code![store_imm(op::DW, 10, -8, 0x1234), copy(src, 10), load(size, dst, src, -8)];
            exec(code![moved, copy(0, dst), exit()]);
        }
    }
}

#[test]
fn atomics() {
    const OLD: u64 = 0xf0f0_f0f0_8f8f_8f8f;
    const VALUE: u64 = 0x1234_5678_9abc_def0;
    let plain = [0, 0x40, 0x50, 0xa0].into_iter().flat_map(|imm| [imm, imm | op::FETCH]);
    for imm in plain.chain([op::XCHG, op::CMPXCHG]) {
        for size in [op::W, op::DW] {
            for (dst, src) in [(1, 2), (10, 0), (3, 9), (9, 0)] {
                for r0 in [OLD, 77] {
                    exec(code![
                        wide(1, OLD),
                        store(op::DW, 10, 1, -8),
                        wide(0, r0),
                        wide(src, VALUE),
                        if dst == 10 { mov(1, 0) } else { copy(dst, 10) },
                        atomic(size, imm, dst, src, -8),
                        store(op::DW, 10, src, -16),
                        store(op::DW, 10, 0, -24),
                        load(op::DW, 0, 10, -8),
                        load(op::DW, 1, 10, -16),
                        alu64(op::XOR, 0, 1),
                        load(op::DW, 1, 10, -24),
                        insn(op::ALU64 | op::LSH, 1, 0, 0, 1),
                        alu64(op::ADD, 0, 1),
                        exit()
                    ]);
                }
            }
        }
    }
    for size in [op::B, op::H, op::W, op::DW] {
        exec(code![
            wide(2, VALUE),
            copy(3, 10),
            atomic(size, op::STORE_REL, 3, 2, -8),
            atomic(size, op::LOAD_ACQ, 0, 3, -8),
            exit()
        ]);
    }
    // The address is the value.
    assert_eq!(
        exec(code![
            store_imm(op::DW, 10, -8, 5),
            copy(1, 10),
            atomic(op::DW, op::XCHG, 1, 1, -8),
            load(op::DW, 0, 10, -8),
            alu64(op::SUB, 0, 10),
            alu64(op::ADD, 0, 1),
            exit()
        ]),
        5
    );
}

#[test]
fn wide_loads() {
    for value in EDGES {
        assert_eq!(exec(code![wide(0, value), exit()]), value);
    }
    exec(code![insn(op::LDDW, 0, pseudo::FUNC, 0, 2), insn(0, 0, 0, 0, 0), exit(), mov(0, 0), exit()]);
}

#[test]
fn may_goto_leaves_a_loop_when_little_is_left() {
    // if (may_goto) break; r0++; again
    let program = linked(code![
        mov(0, 0),
        insn(op::MAY_GOTO, 0, 0, 2, 0),
        add(0, 1),
        insn(op::GOTO, 0, 0, -3, 0),
        exit()
    ]);
    let compiled = compiled(&program);
    for budget in [1000, 30_000] {
        let outcome = run_for(&compiled, &[], budget);
        let rounds = outcome.result.unwrap();
        // Seven eighths of the budget, at three for a round.
        assert!(rounds.abs_diff(budget * 7 / 24) < 3, "{rounds} rounds for {budget}");
        assert!(outcome.insns < budget);
    }
}

#[test]
fn what_does_not_exist_is_refused() {
    let refused = |insns: Vec<Insn>| {
        let verified = unproved(Arc::new(crate::build::program(insns)), Given::Anything, Facts::default());
        compile(&verified).unwrap_err()
    };
    assert!(matches!(refused(code![]), CompileError::Insn(_)));
    assert!(matches!(refused(code![insn(op::CALLX, 0, 0, 0, 1), exit()]), CompileError::Insn(_)));
    assert!(matches!(refused(code![insn(op::GOTO, 0, 0, 7, 0)]), CompileError::Insn(_)));
    assert!(matches!(refused(code![call(9999), exit()]), CompileError::UnknownCall { slot: 0 }));
    assert!(matches!(refused(code![call_kfunc(0), exit()]), CompileError::UnknownCall { slot: 0 }));
    assert!(matches!(refused(code![map(1, 0), exit()]), CompileError::NoSuchMap { slot: 0, index: 0 }));
}
