//! What can be said of a program without looking at values: successors, live registers, where paths meet.

use crate::helpers;
use crate::insn::{ARGUMENTS, Insn, op, pseudo};
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
            let jump = program.insns[slot].is_jump();
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
                let live = (out & !program.insns[slot].sets()) | reads(program, slot);
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

/// Where the instruction at a slot may lead within its function.
fn successors(program: &Program, slot: usize, out: &mut Vec<usize>) {
    out.clear();
    let insn = program.insns[slot];
    if slot > 0 && program.insns[slot - 1].is_wide() && insn.code == 0 {
        return;
    }
    out.extend(program.targets(slot));
    if !insn.is_goto() && insn.code != op::EXIT_INSN {
        out.push(slot + 1 + usize::from(insn.is_wide()));
    }
}

/// Registers the instruction at a slot reads.
fn reads(program: &Program, slot: usize) -> u16 {
    let insn = program.insns[slot];
    match callable(program, insn) {
        Some(callable) => ARGUMENTS & ((2 << callable.args.len().min(5)) - 1),
        None => insn.reads(),
    }
}
