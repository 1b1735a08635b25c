//! Loops that would take too many rounds to walk: one state that stands for all rounds is tried instead.
//!
//! When a place was come to several times in a row and each time something else was known, the numbers that changed are
//! widened to a range, up to a constant the program compares with, and the walk goes on from there. If that
//! succeeds the widened state makes all rounds superfluous. If it does not, everything the attempt found is forgotten
//! and the rounds are walked: an attempt can prove more programs, and never fewer.

use std::rc::Rc;

use super::num::Num;
use super::scalar::Number;
use super::state::{Entry, Frame, Scalar, Slot, State, Value};
use super::tnum::Tnum;
use super::walk::Walker;
use crate::insn::op;
use crate::program::Program;

/// The numbers a program compares with, ascending.
pub(super) fn thresholds(program: &Program) -> Vec<u64> {
    let mut found: Vec<u64> = Vec::new();
    for insn in &program.insns {
        let compares = matches!(insn.class(), op::JMP | op::JMP32)
            && insn.code & op::X == 0
            && !matches!(insn.code & 0xf0, op::JA | op::CALL | op::EXIT | op::JCOND);
        if compares && insn.imm >= 0 {
            let at = insn.imm as u64;
            found.extend([at.saturating_sub(1), at]);
        }
    }
    found.extend([u64::from(u32::MAX), i64::MAX as u64, u64::MAX]);
    found.sort_unstable();
    found.dedup();
    found
}

/// A state that stands for `old`, `new` and the rounds after them; `None` when they differ in more than numbers.
pub(super) fn widened(walker: &Walker<'_>, old: &State, new: &State) -> Option<State> {
    let mut wide = new.clone();
    if old.frames.len() != new.frames.len() || old.references != new.references || old.lock != new.lock {
        return None;
    }
    for (old, wide) in old.frames.iter().zip(&mut wide.frames) {
        if old.call != wide.call || old.entered != wide.entered {
            return None;
        }
        widen_frame(walker, old, Frame::change(wide))?;
    }
    // Facts that no round changes.
    wide.facts.retain(|fact| {
        old.facts.iter().any(|old| old.relation == fact.relation && old.names() == fact.names())
    });
    Some(wide)
}

fn widen_frame(walker: &Walker<'_>, old: &Frame, wide: &mut Frame) -> Option<()> {
    for (old, wide) in old.regs.iter().zip(&mut wide.regs) {
        *wide = match (old, *wide) {
            (Value::Scalar(old), Value::Scalar(new)) => Value::Scalar(widen(walker, old, &new)),
            (Value::Pointer(a), Value::Pointer(b)) if a.kind == b.kind && a.off.num == b.off.num => {
                Value::Pointer(b)
            }
            // Not read again, or the attempt fails.
            (_, Value::Pointer(_) | Value::Scalar(_)) => Value::None,
            (_, value) => value,
        };
    }
    for index in 0..wide.touched() {
        let Some(entry) = wide.entry(index) else { break };
        let before = old.entry(index).unwrap_or(Entry::ZERO);
        let slot = match (before.slot, entry.slot) {
            (a, b) if a == b => continue,
            (Slot::Full(a), Slot::Full(b)) => match (&**a, &**b) {
                (Value::Scalar(a), Value::Scalar(b)) => {
                    let known = Scalar { node: entry.nodes.parts[0], ..widen(walker, a, b) };
                    Slot::Full(Rc::new(Value::Scalar(known)))
                }
                (Value::Pointer(a), Value::Pointer(b)) if a.kind == b.kind && a.off.num == b.off.num => {
                    continue;
                }
                (Value::Scalar(_), Value::Pointer(_)) | (Value::Pointer(_), _) => return None,
                _ => Slot::Bytes(0),
            },
            (Slot::Halves(a), Slot::Halves(b)) => {
                let mut halves = entry.halves().unwrap_or(**b);
                for (a, b) in a.iter().zip(&mut halves) {
                    b.number = match (&a.number, &b.number) {
                        (Some((a, len)), Some((b, other))) if len == other => {
                            let wide = widen(walker, a, b);
                            let any = Scalar::of_bytes(usize::from(*len));
                            let fits = any.num.includes(&wide.num);
                            Some((if fits { wide } else { Scalar { node: b.node, ..any } }, *len))
                        }
                        _ => None,
                    };
                    b.zero &= a.zero;
                }
                Slot::Halves(Rc::new(halves))
            }
            (Slot::Bytes(a), Slot::Bytes(b)) => Slot::Bytes(a & b),
            (Slot::Dynptr { .. } | Slot::Iter { .. }, _) | (_, Slot::Dynptr { .. } | Slot::Iter { .. }) => {
                return None;
            }
            (_, Slot::Full(value)) if matches!(**value, Value::Pointer(_)) => return None,
            _ => Slot::Bytes(0),
        };
        wide.replace(index, slot);
    }
    Some(())
}

/// A range that holds both numbers and, in the direction they changed, all up to the next threshold.
fn widen(walker: &Walker<'_>, old: &Scalar, new: &Scalar) -> Scalar {
    if old.num == new.num {
        let mut kept = *new;
        kept.forget_drift(old);
        return kept;
    }
    let (a, b) = (&old.num.full, &new.num.full);
    let umin = if b.umin < a.umin { 0 } else { a.umin };
    let umax = if b.umax > a.umax {
        let next = walker.thresholds.partition_point(|&at| at < b.umax);
        walker.thresholds.get(next).copied().unwrap_or(u64::MAX)
    } else {
        a.umax
    };
    // Steps of a power of two stay such.
    let steps = a.bits.value | a.bits.mask | b.bits.value | b.bits.mask;
    let bits = Tnum::unknown(u64::MAX.checked_shl(steps.trailing_zeros()).unwrap_or(0));
    let num = Num { bits, umin, umax, ..Num::ANY }.settle().map_or(Number::ANY, Number::from_full);
    let num = if num.includes(&old.num) && num.includes(&new.num) { num } else { Number::ANY };
    Scalar { node: new.node, ..Scalar::new(num) }
}
