//! Instructions and programs from Rust.

use std::sync::Arc;

use fuse_bpf_vm::contract::Callable;
use fuse_bpf_vm::insn::{Insn, op, pseudo};
use fuse_bpf_vm::maps::Map;
use fuse_bpf_vm::program::{Function, Program};

/// Any instruction.
pub(crate) fn insn(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn { code, dst, src, off, imm }
}

/// `dst = dst OPERATION src`, 64 bits.
pub(crate) fn alu64(operation: u8, dst: u8, src: u8) -> Insn {
    insn(op::ALU64 | op::X | operation, dst, src, 0, 0)
}

/// `dst = imm`, sign-extended.
pub(crate) fn mov(dst: u8, imm: i32) -> Insn {
    insn(op::ALU64 | op::MOV, dst, 0, 0, imm)
}

/// `dst = src`.
pub(crate) fn copy(dst: u8, src: u8) -> Insn {
    alu64(op::MOV, dst, src)
}

/// `dst += imm`.
pub(crate) fn add(dst: u8, imm: i32) -> Insn {
    insn(op::ALU64 | op::ADD, dst, 0, 0, imm)
}

/// `dst = value`.
pub(crate) fn wide(dst: u8, value: u64) -> [Insn; 2] {
    [insn(op::LDDW, dst, 0, 0, value as i32), insn(0, 0, 0, 0, (value >> 32) as i32)]
}

/// `dst = map`.
pub(crate) fn map(dst: u8, index: i32) -> [Insn; 2] {
    [insn(op::LDDW, dst, pseudo::MAP, 0, index), insn(0, 0, 0, 0, 0)]
}

/// `dst = *(size *)(src + off)`.
pub(crate) fn load(size: u8, dst: u8, src: u8, off: i16) -> Insn {
    insn(op::LDX | op::MEM | size, dst, src, off, 0)
}

/// `*(size *)(dst + off) = src`.
pub(crate) fn store(size: u8, dst: u8, src: u8, off: i16) -> Insn {
    insn(op::STX | op::MEM | size, dst, src, off, 0)
}

/// `*(size *)(dst + off) = imm`.
pub(crate) fn store_imm(size: u8, dst: u8, off: i16, imm: i32) -> Insn {
    insn(op::ST | op::MEM | size, dst, 0, off, imm)
}

/// The atomic `imm` on `*(size *)(dst + off)`.
pub(crate) fn atomic(size: u8, imm: i32, dst: u8, src: u8, off: i16) -> Insn {
    insn(op::STX | op::ATOMIC | size, dst, src, off, imm)
}

/// `if dst CONDITION imm goto off`.
pub(crate) fn jump(condition: u8, dst: u8, imm: i32, off: i16) -> Insn {
    insn(op::JMP | condition, dst, 0, off, imm)
}

/// A call of a helper.
pub(crate) fn call(id: i32) -> Insn {
    insn(op::CALL_IMM, 0, pseudo::CALL_HELPER, 0, id)
}

/// A call of a function `distance` slots from the next.
pub(crate) fn call_local(distance: i32) -> Insn {
    insn(op::CALL_IMM, 0, pseudo::CALL_LOCAL, 0, distance)
}

/// A call of a kfunc.
pub(crate) fn call_kfunc(index: i32) -> Insn {
    insn(op::CALL_IMM, 0, pseudo::CALL_KFUNC, 0, index)
}

/// `exit`.
pub(crate) fn exit() -> Insn {
    insn(op::EXIT_INSN, 0, 0, 0, 0)
}

/// Makes a list of instructions of single ones and of arrays of them.
macro_rules! code {
    () => { Vec::<fuse_bpf_vm::insn::Insn>::new() };
    ($($part:expr),+ $(,)?) => {{
        let mut insns: Vec<fuse_bpf_vm::insn::Insn> = Vec::new();
        $($crate::build::Part::append($part, &mut insns);)+
        insns
    }};
}

/// What [`code!`] takes.
pub(crate) trait Part {
    /// Appends the instructions.
    fn append(self, insns: &mut Vec<Insn>);
}

impl Part for Insn {
    fn append(self, insns: &mut Vec<Insn>) {
        insns.push(self);
    }
}

impl<const N: usize> Part for [Insn; N] {
    fn append(self, insns: &mut Vec<Insn>) {
        insns.extend(self);
    }
}

impl Part for Vec<Insn> {
    fn append(self, insns: &mut Vec<Insn>) {
        insns.extend(self);
    }
}

/// A program with maps and kfuncs.
pub(crate) fn program_with(insns: Vec<Insn>, maps: Vec<Arc<Map>>, kfuncs: Vec<&'static Callable>) -> Program {
    Program {
        name: "test".into(),
        section: String::new(),
        sleepable: false,
        insns,
        maps,
        kfuncs,
        functions: vec![Function { start: 0, name: "test".into(), ..Function::default() }],
        ..Program::default()
    }
}

/// A program of instructions alone.
pub(crate) fn program(insns: Vec<Insn>) -> Program {
    program_with(insns, Vec::new(), Vec::new())
}
