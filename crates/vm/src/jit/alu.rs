//! Arithmetic and conditions, with the meaning [`crate::interp`] gives them.

use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use cranelift_codegen::ir::{InstBuilder, Type, Value, types};
use cranelift_frontend::FunctionBuilder;

use crate::insn::{Insn, op};

/// The right operand of an instruction.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operand {
    /// A register's value, 64 bits wide.
    Register(Value),
    /// A number.
    Immediate(i32),
}

impl Operand {
    /// As a value of a type.
    pub(super) fn value(self, b: &mut FunctionBuilder<'_>, ty: Type) -> Value {
        match self {
            Operand::Register(value) => narrow(b, value, ty),
            Operand::Immediate(imm) => constant(b, ty, imm.into()),
        }
    }
}

/// A number of a type. Its bits above the type's do not matter.
pub(super) fn constant(b: &mut FunctionBuilder<'_>, ty: Type, number: i64) -> Value {
    // The generator wants the bits above to be zero.
    let number = if ty == types::I64 { number } else { number & ((1 << ty.bits()) - 1) };
    b.ins().iconst(ty, number)
}

/// The low bits.
pub(super) fn narrow(b: &mut FunctionBuilder<'_>, value: Value, ty: Type) -> Value {
    if ty == types::I64 { value } else { b.ins().ireduce(ty, value) }
}

/// Zero-extended to 64 bits.
pub(super) fn widen(b: &mut FunctionBuilder<'_>, value: Value) -> Value {
    if b.func.dfg.value_type(value) == types::I64 { value } else { b.ins().uextend(types::I64, value) }
}

/// What an instruction of class `ALU` or `ALU64` leaves in its destination. `None` for what is no such
/// instruction.
pub(super) fn alu(b: &mut FunctionBuilder<'_>, insn: Insn, left: Value, right: Operand) -> Option<Value> {
    let operation = insn.code & 0xf0;
    if operation == op::END {
        return end(b, insn, left);
    }
    let ty = if insn.class() == op::ALU64 { types::I64 } else { types::I32 };
    if operation == op::MOV {
        return moved(b, insn, right, ty);
    }
    let left = narrow(b, left, ty);
    if matches!(operation, op::DIV | op::MOD) {
        let result = match insn.off {
            0 => unsigned(b, operation == op::MOD, left, right, ty),
            1 => signed(b, operation == op::MOD, left, right, ty),
            _ => return None,
        };
        return Some(widen(b, result));
    }
    if operation == op::NEG {
        let result = b.ins().ineg(left);
        return Some(widen(b, result));
    }
    let right = right.value(b, ty);
    let result = match operation {
        op::ADD => b.ins().iadd(left, right),
        op::SUB => b.ins().isub(left, right),
        op::MUL => b.ins().imul(left, right),
        op::OR => b.ins().bor(left, right),
        op::AND => b.ins().band(left, right),
        op::XOR => b.ins().bxor(left, right),
        // The count is masked, as the instruction does.
        op::LSH => b.ins().ishl(left, right),
        op::RSH => b.ins().ushr(left, right),
        op::ARSH => b.ins().sshr(left, right),
        _ => return None,
    };
    Some(widen(b, result))
}

fn moved(b: &mut FunctionBuilder<'_>, insn: Insn, right: Operand, ty: Type) -> Option<Value> {
    let low = match insn.off {
        0 => {
            let value = right.value(b, ty);
            return Some(widen(b, value));
        }
        8 => types::I8,
        16 => types::I16,
        32 if ty == types::I64 => types::I32,
        _ => return None,
    };
    let value = right.value(b, low);
    let value = b.ins().sextend(ty, value);
    Some(widen(b, value))
}

/// Division or remainder without signs. By zero: 0, and the dividend.
fn unsigned(b: &mut FunctionBuilder<'_>, rest: bool, left: Value, right: Operand, ty: Type) -> Value {
    let divide = |b: &mut FunctionBuilder<'_>, right| {
        if rest { b.ins().urem(left, right) } else { b.ins().udiv(left, right) }
    };
    match right {
        Operand::Immediate(0) if rest => left,
        Operand::Immediate(0) => constant(b, ty, 0),
        Operand::Immediate(_) => {
            let right = right.value(b, ty);
            divide(b, right)
        }
        Operand::Register(_) => {
            let right = right.value(b, ty);
            let is_zero = b.ins().icmp_imm_s(IntCC::Equal, right, 0);
            let one = constant(b, ty, 1);
            let divisor = b.ins().select(is_zero, one, right);
            let result = divide(b, divisor);
            let otherwise = if rest { left } else { constant(b, ty, 0) };
            b.ins().select(is_zero, otherwise, result)
        }
    }
}

/// Division or remainder with signs. By zero as without; the least number by -1 is itself, with no
/// remainder.
fn signed(b: &mut FunctionBuilder<'_>, rest: bool, left: Value, right: Operand, ty: Type) -> Value {
    let divide = |b: &mut FunctionBuilder<'_>, right| {
        if rest { b.ins().srem(left, right) } else { b.ins().sdiv(left, right) }
    };
    match right {
        Operand::Immediate(0) if rest => left,
        Operand::Immediate(0) => constant(b, ty, 0),
        Operand::Immediate(-1) if rest => constant(b, ty, 0),
        Operand::Immediate(-1) => b.ins().ineg(left),
        Operand::Immediate(_) => {
            let right = right.value(b, ty);
            divide(b, right)
        }
        Operand::Register(_) => {
            let right = right.value(b, ty);
            let is_zero = b.ins().icmp_imm_s(IntCC::Equal, right, 0);
            let is_minus_one = b.ins().icmp_imm_s(IntCC::Equal, right, -1);
            let special = b.ins().bor(is_zero, is_minus_one);
            let one = constant(b, ty, 1);
            let divisor = b.ins().select(special, one, right);
            let result = divide(b, divisor);
            let zero = constant(b, ty, 0);
            let (by_minus_one, by_zero) = if rest { (zero, left) } else { (b.ins().ineg(left), zero) };
            let result = b.ins().select(is_minus_one, by_minus_one, result);
            b.ins().select(is_zero, by_zero, result)
        }
    }
}

/// Byte swaps. The machine is little-endian.
fn end(b: &mut FunctionBuilder<'_>, insn: Insn, value: Value) -> Option<Value> {
    let ty = match insn.imm {
        16 => types::I16,
        32 => types::I32,
        64 => types::I64,
        _ => return None,
    };
    let value = narrow(b, value, ty);
    let swaps = insn.class() == op::ALU64 || insn.code & op::X != 0;
    let value = if swaps { b.ins().bswap(value) } else { value };
    Some(widen(b, value))
}

/// Whether the condition of a jump holds, or does not if `not`; `None` for what is no condition.
pub(super) fn holds(
    b: &mut FunctionBuilder<'_>,
    insn: Insn,
    left: Value,
    right: Operand,
    not: bool,
) -> Option<Value> {
    let turned = |condition: IntCC| if not { condition.complement() } else { condition };
    let ty = if insn.class() == op::JMP { types::I64 } else { types::I32 };
    let left = narrow(b, left, ty);
    let right = right.value(b, ty);
    let condition = match insn.code & 0xf0 {
        op::JSET => {
            let both = b.ins().band(left, right);
            return Some(b.ins().icmp_imm_s(turned(IntCC::NotEqual), both, 0));
        }
        op::JEQ => IntCC::Equal,
        op::JNE => IntCC::NotEqual,
        op::JGT => IntCC::UnsignedGreaterThan,
        op::JGE => IntCC::UnsignedGreaterThanOrEqual,
        op::JLT => IntCC::UnsignedLessThan,
        op::JLE => IntCC::UnsignedLessThanOrEqual,
        op::JSGT => IntCC::SignedGreaterThan,
        op::JSGE => IntCC::SignedGreaterThanOrEqual,
        op::JSLT => IntCC::SignedLessThan,
        op::JSLE => IntCC::SignedLessThanOrEqual,
        _ => return None,
    };
    Some(b.ins().icmp(turned(condition), left, right))
}
