//! Arithmetic, byte swaps and conditions (RFC 9669 sections 4.1 to 4.3), as pure functions.

use crate::insn::op;

/// A 64-bit operation on two operands; `None` for what is no such operation.
#[inline(always)]
pub(super) fn alu64(operation: u8, a: u64, b: u64) -> Option<u64> {
    Some(match operation {
        op::ADD => a.wrapping_add(b),
        op::SUB => a.wrapping_sub(b),
        op::MUL => a.wrapping_mul(b),
        op::DIV => a.checked_div(b).unwrap_or(0),
        op::MOD => a.checked_rem(b).unwrap_or(a),
        op::OR => a | b,
        op::AND => a & b,
        op::XOR => a ^ b,
        op::MOV => b,
        // The `wrapping_` shifts mask the count as the instruction does.
        op::LSH => a.wrapping_shl(b as u32),
        op::RSH => a.wrapping_shr(b as u32),
        op::ARSH => (a as i64).wrapping_shr(b as u32) as u64,
        _ => return None,
    })
}

/// As [`alu64`] on the low halves; the upper half of the result is zero.
#[inline(always)]
pub(super) fn alu32(operation: u8, a: u32, b: u32) -> Option<u64> {
    let result = match operation {
        op::ADD => a.wrapping_add(b),
        op::SUB => a.wrapping_sub(b),
        op::MUL => a.wrapping_mul(b),
        op::DIV => a.checked_div(b).unwrap_or(0),
        op::MOD => a.checked_rem(b).unwrap_or(a),
        op::OR => a | b,
        op::AND => a & b,
        op::XOR => a ^ b,
        op::MOV => b,
        op::LSH => a.wrapping_shl(b),
        op::RSH => a.wrapping_shr(b),
        op::ARSH => (a as i32).wrapping_shr(b) as u32,
        _ => return None,
    };
    Some(result.into())
}

/// Signed division; by zero it gives 0, and the least number by -1 itself.
pub(super) fn sdiv64(a: u64, b: u64) -> u64 {
    if b == 0 { 0 } else { (a as i64).wrapping_div(b as i64) as u64 }
}

/// Signed remainder with the sign of the dividend; by zero it gives the dividend.
pub(super) fn smod64(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { (a as i64).wrapping_rem(b as i64) as u64 }
}

/// As [`sdiv64`] on the low halves; the upper half of the result is zero.
pub(super) fn sdiv32(a: u32, b: u32) -> u64 {
    if b == 0 { 0 } else { (a as i32).wrapping_div(b as i32) as u32 as u64 }
}

/// As [`smod64`] on the low halves; the upper half of the result is zero.
pub(super) fn smod32(a: u32, b: u32) -> u64 {
    if b == 0 { a.into() } else { (a as i32).wrapping_rem(b as i32) as u32 as u64 }
}

/// The low `bits` bits, sign-extended: `MOV` with `off`, and sign-extending loads. `None` for widths
/// that do not exist.
#[inline(always)]
pub(super) fn sign_extend(value: u64, bits: u32) -> Option<u64> {
    Some(match bits {
        8 => value as i8 as u64,
        16 => value as i16 as u64,
        32 => value as i32 as u64,
        _ => return None,
    })
}

/// How [`swap`] orders bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// `le16` and so on: to little-endian from the order of the machine.
    Little,
    /// `be16` and so on: to big-endian.
    Big,
    /// `bswap16` and so on: the other way round in any case.
    Swap,
}

/// The low `bits` bits in another byte order, zero-extended; `None` for widths that do not exist.
#[inline(always)]
pub(super) fn swap(value: u64, bits: i32, order: Order) -> Option<u64> {
    Some(match (bits, order) {
        (16, Order::Little) => (value as u16).to_le().into(),
        (32, Order::Little) => (value as u32).to_le().into(),
        (64, Order::Little) => value.to_le(),
        (16, Order::Big) => (value as u16).to_be().into(),
        (32, Order::Big) => (value as u32).to_be().into(),
        (64, Order::Big) => value.to_be(),
        (16, Order::Swap) => (value as u16).swap_bytes().into(),
        (32, Order::Swap) => (value as u32).swap_bytes().into(),
        (64, Order::Swap) => value.swap_bytes(),
        _ => return None,
    })
}

/// Whether a 64-bit condition holds; `None` for what is no condition.
#[inline(always)]
pub(super) fn holds64(condition: u8, a: u64, b: u64) -> Option<bool> {
    let (signed_a, signed_b) = (a as i64, b as i64);
    Some(match condition {
        op::JEQ => a == b,
        op::JNE => a != b,
        op::JGT => a > b,
        op::JGE => a >= b,
        op::JLT => a < b,
        op::JLE => a <= b,
        op::JSET => a & b != 0,
        op::JSGT => signed_a > signed_b,
        op::JSGE => signed_a >= signed_b,
        op::JSLT => signed_a < signed_b,
        op::JSLE => signed_a <= signed_b,
        _ => return None,
    })
}

/// As [`holds64`] on the low halves.
#[inline(always)]
pub(super) fn holds32(condition: u8, a: u32, b: u32) -> Option<bool> {
    let (signed_a, signed_b) = (a as i32, b as i32);
    Some(match condition {
        op::JEQ => a == b,
        op::JNE => a != b,
        op::JGT => a > b,
        op::JGE => a >= b,
        op::JLT => a < b,
        op::JLE => a <= b,
        op::JSET => a & b != 0,
        op::JSGT => signed_a > signed_b,
        op::JSGE => signed_a >= signed_b,
        op::JSLT => signed_a < signed_b,
        op::JSLE => signed_a <= signed_b,
        _ => return None,
    })
}
