//! What can be said of a program without looking at values: successors, live registers, where paths meet.

use crate::helpers;
use crate::insn::{Insn, op, pseudo};
use crate::program::Program;

/// The static facts of a program, by slot.
#[derive(Debug)]
pub(super) struct Flow {
    /// Registers whose value can still matter before the instruction, a bit each.
    pub(super) live: Vec<u16>,
    /// Whether paths can meet here.
    pub(super) meets: Vec<bool>,
    /// Jumps backwards: by their slot.
    pub(super) backward: Vec<usize>,
    /// Branches that leave a loop when they are taken, and not otherwise.
    pub(super) leaves: Vec<bool>,
}

impl Flow {
    pub(super) fn new(program: &Program) -> Flow {
        let count = program.insns.len();
        let mut flow = Flow {
            live: vec![0; count],
            meets: vec![false; count],
            backward: Vec::new(),
            leaves: vec![false; count],
        };
        let mut next = Vec::new();
        // From the head of a loop to its last jump back.
        let mut loops: Vec<(usize, usize)> = Vec::new();
        for slot in 0..count {
            successors(program, slot, &mut next);
            let jump = is_jump(program.insns[slot]);
            for &to in &next {
                if jump && to < count {
                    flow.meets[to] = true;
                }
                if to <= slot {
                    flow.backward.push(slot);
                    loops.push((to, slot));
                }
            }
            if is_again(program, slot) {
                flow.meets[slot] = true;
            }
        }
        flow.backward.dedup();
        for slot in 0..count {
            successors(program, slot, &mut next);
            if let [to, on] = next[..] {
                let inside = |(head, last): &&(usize, usize)| (*head..=*last).contains(&slot);
                let mut around = loops.iter().filter(inside);
                flow.leaves[slot] = around
                    .any(|(head, last)| !(*head..=*last).contains(&to) && (*head..=*last).contains(&on));
            }
        }
        // Backwards over the slots until nothing changes: loops need a few rounds.
        let mut changed = true;
        while changed {
            changed = false;
            for slot in (0..count).rev() {
                successors(program, slot, &mut next);
                let out = next.iter().filter_map(|&to| flow.live.get(to)).fold(0, |all, live| all | live);
                let (reads, writes) = uses(program, slot);
                let live = (out & !writes) | reads;
                if live != flow.live[slot] {
                    flow.live[slot] = live;
                    changed = true;
                }
            }
        }
        flow
    }
}

/// Whether the instruction at a slot may be come back to by way of iterators, callbacks or `may_goto`.
pub(super) fn is_again(program: &Program, slot: usize) -> bool {
    use crate::contract::ArgKind;
    let insn = program.insns[slot];
    if insn.code == op::MAY_GOTO {
        return true;
    }
    let kinds = callable(program, insn).map_or(&[][..], |callable| callable.args);
    kinds.iter().any(|kind| matches!(kind, ArgKind::Iter | ArgKind::Function(_)))
}

/// What a call of a helper or kfunc calls.
pub(super) fn callable(program: &Program, insn: Insn) -> Option<&'static crate::contract::Callable> {
    if insn.code != op::CALL_IMM {
        return None;
    }
    match insn.src {
        pseudo::CALL_HELPER => helpers::by_id(insn.imm),
        pseudo::CALL_KFUNC => program.kfuncs.get(usize::try_from(insn.imm).ok()?).copied(),
        _ => None,
    }
}

fn is_jump(insn: Insn) -> bool {
    matches!(insn.class(), op::JMP | op::JMP32) && !matches!(insn.code, op::CALL_IMM | op::EXIT_INSN)
}

/// Where the instruction at a slot may lead within its function.
fn successors(program: &Program, slot: usize, out: &mut Vec<usize>) {
    out.clear();
    let insn = program.insns[slot];
    if slot > 0 && program.insns[slot - 1].is_wide() && insn.code == 0 {
        return;
    }
    if insn.is_wide() {
        out.push(slot + 2);
        return;
    }
    if is_jump(insn) {
        if insn.code == op::GOTOX {
            let function = program.function(slot).map_or(0, |function| function.start);
            let tables = program.jump_tables.iter().filter(|table| table.function == function);
            out.extend(tables.flat_map(|table| table.targets.iter().copied()));
            return;
        }
        if let Some(to) = crate::validate::target(slot, insn).and_then(|to| usize::try_from(to).ok()) {
            out.push(to);
        }
        if matches!(insn.code, op::GOTO | op::GOTOL) {
            return;
        }
    }
    if insn.code != op::EXIT_INSN {
        out.push(slot + 1);
    }
}

/// Registers an instruction reads and those it overwrites.
fn uses(program: &Program, slot: usize) -> (u16, u16) {
    let insn = program.insns[slot];
    let (dst, src) = (1u16 << insn.dst.min(15), 1u16 << insn.src.min(15));
    const ARGS: u16 = 0b11_1110;
    match insn.class() {
        op::ALU | op::ALU64 => {
            let register = insn.code & op::X != 0 && insn.code & 0xf0 != op::END;
            let reads = if register { src } else { 0 };
            match insn.code & 0xf0 {
                op::MOV => (reads, dst),
                _ => (reads | dst, dst),
            }
        }
        op::LDX => (src, dst),
        op::ST => (dst, 0),
        op::STX if insn.code & 0xe0 == op::ATOMIC => match insn.imm {
            op::LOAD_ACQ => (src, dst),
            op::CMPXCHG => (dst | src | 1, 1),
            imm if imm & op::FETCH != 0 && imm != op::STORE_REL => (dst | src, src),
            _ => (dst | src, 0),
        },
        op::STX => (dst | src, 0),
        op::JMP | op::JMP32 => match insn.code {
            op::CALL_IMM => {
                let count = callable(program, insn).map_or(5, |callable| callable.args.len().min(5));
                let reads = if insn.src == pseudo::CALL_LOCAL { ARGS } else { ARGS & ((2 << count) - 1) };
                (reads, 1 | ARGS)
            }
            op::EXIT_INSN => (1, 0),
            op::GOTO | op::GOTOL | op::MAY_GOTO => (0, 0),
            op::GOTOX => (dst, 0),
            code if code & op::X != 0 => (dst | src, 0),
            _ => (dst, 0),
        },
        _ if insn.is_wide() => (0, dst),
        _ => (0, 0),
    }
}
