//! What can be said of a program without looking at values: successors, live registers, where paths meet.

use super::state::{Frame, SLOTS};
use crate::helpers;
use crate::insn::{ARGUMENTS, Insn, op, pseudo};
use crate::interp::FRAME_SIZE;
use crate::program::Program;

/// The static facts of a program, by slot.
#[derive(Debug)]
pub(super) struct Flow {
    /// Registers whose value can still matter before the instruction, a bit each.
    pub(super) live: Vec<u16>,
    /// Slots of the stack the function can still read by R10 before it writes over them, a bit each; all, where it may
    /// still take an address on the stack. Who holds such an address may read any slot.
    pub(super) slots: Vec<u64>,
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
            slots: vec![0; count],
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
                let out = next.iter().filter_map(|&to| flow.slots.get(to)).fold(0, |all, slots| all | slots);
                let slots = match stack_use(program.insns[slot]) {
                    StackUse::Reads(read) => out | read,
                    StackUse::WritesOver(written) => out & !written,
                };
                if live != flow.live[slot] || slots != flow.slots[slot] {
                    (flow.live[slot], flow.slots[slot]) = (live, slots);
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

/// What an instruction does, by R10, to slots of the stack, a bit each.
enum StackUse {
    /// What they hold counts, if only because some of it stays.
    Reads(u64),
    /// What they held is gone.
    WritesOver(u64),
}

fn stack_use(insn: Insn) -> StackUse {
    const STACK: u8 = 10;
    if insn.reads() >> STACK & 1 == 0 {
        return StackUse::Reads(0);
    }
    let is_plain = !matches!(insn.code & 0xe0, op::ATOMIC);
    let range = match insn.class() {
        op::LDX => slots_of(insn),
        op::ST => slots_of(insn),
        op::STX if is_plain && insn.src != STACK => slots_of(insn),
        _ => return StackUse::Reads(u64::MAX),
    };
    if insn.class() != op::LDX && insn.width().bytes() == 8 && insn.off % 8 == 0 {
        StackUse::WritesOver(range)
    } else {
        StackUse::Reads(range)
    }
}

/// Slots of the stack in which the bytes lie that a load or store by R10 is of.
fn slots_of(insn: Insn) -> u64 {
    let first = i64::from(insn.off);
    let bytes = first..first + insn.width().bytes() as i64;
    bytes
        .filter(|off| (-(FRAME_SIZE as i64)..0).contains(off))
        .fold(0, |all, off| all | 1 << Frame::slot_of(off))
}

const _: () = assert!(SLOTS <= u64::BITS as usize);

/// Registers the instruction at a slot reads.
fn reads(program: &Program, slot: usize) -> u16 {
    let insn = program.insns[slot];
    match callable(program, insn) {
        Some(callable) => ARGUMENTS & ((2 << callable.args.len().min(5)) - 1),
        None => insn.reads(),
    }
}
