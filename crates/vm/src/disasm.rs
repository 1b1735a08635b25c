//! Instructions as text, in the C-like dialect of clang and the kernel's verifier log.
//!
//! [`crate::asm`] reads everything written here back to the same slots. What is not a valid
//! instruction is written as `.raw 0x…`: the eight bytes of the slot as one little-endian number.

use std::fmt;

use crate::insn::Insn;
use crate::insn::op;
use crate::insn::pseudo;
use crate::program::Program;
use crate::validate;

/// Writes instructions one a line, jump distances as they are encoded.
///
/// ```
/// use fuse_bpf_vm::insn::Insn;
/// let exit = Insn { code: 0x95, ..Insn::default() };
/// assert_eq!(fuse_bpf_vm::disasm::disassemble(&[exit]), "exit\n");
/// ```
pub fn disassemble(insns: &[Insn]) -> String {
    let mut out = String::new();
    let mut rest = insns;
    while let Some((line, used)) = first_line(rest) {
        out.push_str(&line);
        out.push('\n');
        rest = rest.get(used..).unwrap_or_default();
    }
    out
}

/// The text of the first instruction and how many slots it takes (2 for a 64-bit immediate load);
/// `None` at the end.
pub fn first_line(insns: &[Insn]) -> Option<(String, usize)> {
    let insn = *insns.first()?;
    let (valid, second) = if insn.is_wide() {
        let second = insns.get(1).copied().filter(|s| validate::check_second(insn, *s).is_ok());
        (second.is_some(), second.unwrap_or_default())
    } else {
        (true, Insn::default())
    };
    let used = if insn.is_wide() && valid && is_writable(insn) { 2 } else { 1 };
    if valid && is_writable(insn) {
        Some((Text { insn, second }.to_string(), used))
    } else {
        Some((format!(".raw {:#018x}", u64::from_le_bytes(insn.encode())), 1))
    }
}

/// The instruction of a program at a slot as the log of the kernel's verifier has it, and how many slots it takes; `None`
/// behind the end. Unlike [`first_line`] it has the opcode, and maps and what is called by name; [`crate::asm`] does
/// not read it.
///
/// ```
/// use fuse_bpf_vm::{asm::assemble, disasm::kernel_line, program::Program};
/// let insns = assemble("if r1 == 0 goto +1\ncall 1\nexit\n").unwrap();
/// let program = Program { insns, ..Program::default() };
/// assert_eq!(kernel_line(&program, 0), Some(("(15) if r1 == 0x0 goto pc+1".to_owned(), 1)));
/// assert_eq!(kernel_line(&program, 1), Some(("(85) call bpf_map_lookup_elem#1".to_owned(), 1)));
/// ```
pub fn kernel_line(program: &Program, slot: usize) -> Option<(String, usize)> {
    let insns = program.insns.get(slot..)?;
    let insn = *insns.first()?;
    let (line, used) = first_line(insns)?;
    if line.starts_with(".raw") {
        return Some((line, used));
    }
    let second = insns.get(1).copied().unwrap_or_default();
    let text = Kernel { text: Text { insn, second }, program };
    Some((format!("({:02x}) {text}", insn.code), used))
}

/// Whether the text form exists: writing R10 is invalid in a program but has a text.
fn is_writable(insn: Insn) -> bool {
    matches!(validate::check_insn(insn), Ok(()) | Err(validate::InsnProblem::FramePointerWritten))
}

/// A valid instruction on its way to text.
struct Text {
    insn: Insn,
    second: Insn,
}

/// The C operator of an ALU operation with a compound assignment; `off` selects the signed forms.
pub(crate) fn alu_operator(operation: u8, off: i16) -> Option<&'static str> {
    Some(match (operation, off) {
        (op::ADD, _) => "+=",
        (op::SUB, _) => "-=",
        (op::MUL, _) => "*=",
        (op::DIV, 0) => "/=",
        (op::DIV, _) => "s/=",
        (op::OR, _) => "|=",
        (op::AND, _) => "&=",
        (op::LSH, _) => "<<=",
        (op::RSH, _) => ">>=",
        (op::MOD, 0) => "%=",
        (op::MOD, _) => "s%=",
        (op::XOR, _) => "^=",
        (op::ARSH, _) => "s>>=",
        _ => return None,
    })
}

/// The comparison of a conditional jump.
pub(crate) fn jump_operator(operation: u8) -> Option<&'static str> {
    Some(match operation {
        op::JEQ => "==",
        op::JGT => ">",
        op::JGE => ">=",
        op::JSET => "&",
        op::JNE => "!=",
        op::JSGT => "s>",
        op::JSGE => "s>=",
        op::JLT => "<",
        op::JLE => "<=",
        op::JSLT => "s<",
        op::JSLE => "s<=",
        _ => return None,
    })
}

/// The name in `atomic_fetch_NAME`, and the operator of the form without fetch.
pub(crate) fn atomic_names(operation: i32) -> Option<(&'static str, &'static str)> {
    Some(match u8::try_from(operation & !op::FETCH).ok()? {
        op::ADD => ("add", "+="),
        op::OR => ("or", "|="),
        op::AND => ("and", "&="),
        op::XOR => ("xor", "^="),
        _ => return None,
    })
}

/// Width in bits of a load or store.
fn bits(code: u8) -> u32 {
    match code & 0x18 {
        op::B => 8,
        op::H => 16,
        op::W => 32,
        _ => 64,
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Insn { code, dst, src, off, imm } = self.insn;
        let register = code & op::X != 0;
        match self.insn.class() {
            class @ (op::ALU | op::ALU64) => {
                let r = if class == op::ALU64 { 'r' } else { 'w' };
                match code & 0xf0 {
                    op::NEG => write!(f, "{r}{dst} = -{r}{dst}"),
                    op::END => {
                        let name = match (class, register) {
                            (op::ALU64, _) => "bswap",
                            (_, false) => "le",
                            (_, true) => "be",
                        };
                        write!(f, "r{dst} = {name}{imm} r{dst}")
                    }
                    op::MOV if off != 0 => write!(f, "{r}{dst} = (s{off}){r}{src}"),
                    op::MOV if register => write!(f, "{r}{dst} = {r}{src}"),
                    op::MOV => write!(f, "{r}{dst} = {imm}"),
                    operation => {
                        let operator = alu_operator(operation, off).unwrap_or("?");
                        write!(f, "{r}{dst} {operator} ")?;
                        if register { write!(f, "{r}{src}") } else { write!(f, "{imm}") }
                    }
                }
            }
            class @ (op::JMP | op::JMP32) => {
                let r = if class == op::JMP { 'r' } else { 'w' };
                match code {
                    op::GOTO => write!(f, "goto {off:+}"),
                    op::GOTOL => write!(f, "gotol {imm:+}"),
                    op::GOTOX => write!(f, "gotox r{dst}"),
                    op::MAY_GOTO => write!(f, "may_goto {off:+}"),
                    op::EXIT_INSN => f.write_str("exit"),
                    op::CALL_IMM => match src {
                        pseudo::CALL_LOCAL => write!(f, "call pc{imm:+}"),
                        pseudo::CALL_KFUNC => write!(f, "call kfunc#{imm}"),
                        _ => write!(f, "call {imm}"),
                    },
                    _ => {
                        let operator = jump_operator(code & 0xf0).unwrap_or("?");
                        write!(f, "if {r}{dst} {operator} ")?;
                        if register {
                            write!(f, "{r}{src}")?
                        } else {
                            write!(f, "{imm}")?
                        }
                        write!(f, " goto {off:+}")
                    }
                }
            }
            op::LD => match src {
                pseudo::MAP => write!(f, "r{dst} = map[{imm}] ll"),
                pseudo::MAP_VALUE => write!(f, "r{dst} = map[{imm}][{}] ll", self.second.imm),
                pseudo::FUNC => write!(f, "r{dst} = func pc{imm:+} ll"),
                _ => {
                    let low = u64::from(imm.cast_unsigned());
                    let high = u64::from(self.second.imm.cast_unsigned());
                    write!(f, "r{dst} = {:#x} ll", high << 32 | low)
                }
            },
            op::LDX => {
                let sign = if code & 0xe0 == op::MEMSX { 's' } else { 'u' };
                write!(f, "r{dst} = *({sign}{} *)(r{src} {off:+})", bits(code))
            }
            op::ST => write!(f, "*(u{} *)(r{dst} {off:+}) = {imm}", bits(code)),
            _ if code & 0xe0 == op::MEM => write!(f, "*(u{} *)(r{dst} {off:+}) = r{src}", bits(code)),
            _ => self.atomic(f),
        }
    }
}

impl Text {
    fn atomic(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Insn { code, dst, src, off, imm } = self.insn;
        let bits = bits(code);
        let (r, x) = if bits == 64 { ('r', "") } else { ('w', "32") };
        match imm {
            op::LOAD_ACQ => write!(f, "{r}{dst} = load_acquire((u{bits} *)(r{src} {off:+}))"),
            op::STORE_REL => write!(f, "store_release((u{bits} *)(r{dst} {off:+}), {r}{src})"),
            op::XCHG => write!(f, "{r}{src} = xchg{x}_{bits}(r{dst} {off:+}, {r}{src})"),
            op::CMPXCHG => write!(f, "{r}0 = cmpxchg{x}_{bits}(r{dst} {off:+}, {r}0, {r}{src})"),
            _ => {
                let (name, operator) = atomic_names(imm).unwrap_or(("?", "?"));
                if imm & op::FETCH == 0 {
                    write!(f, "lock *(u{bits} *)(r{dst} {off:+}) {operator} {r}{src}")
                } else {
                    write!(f, "{r}{src} = atomic_fetch_{name}((u{bits} *)(r{dst} {off:+}), {r}{src})")
                }
            }
        }
    }
}

/// A valid instruction of a program on its way to the kernel's kind of text, which differs from ours in jumps, calls,
/// atomics and addresses.
struct Kernel<'p> {
    text: Text,
    program: &'p Program,
}

impl Kernel<'_> {
    fn map(&self, index: i32) -> &str {
        let map = usize::try_from(index).ok().and_then(|index| self.program.maps.get(index));
        map.map_or("?", |map| map.spec().name.as_str())
    }

    fn call(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Insn { src, imm, .. } = self.text.insn;
        let callee = match src {
            pseudo::CALL_LOCAL => return write!(f, "call pc{imm:+}"),
            pseudo::CALL_KFUNC => {
                usize::try_from(imm).ok().and_then(|index| self.program.kfuncs.get(index)).copied()
            }
            _ => crate::helpers::by_id(imm),
        };
        write!(f, "call {}#{imm}", callee.map_or("unknown", |callee| callee.name))
    }
}

impl fmt::Display for Kernel<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Insn { code, dst, src, off, imm } = self.text.insn;
        match self.text.insn.class() {
            class @ (op::JMP | op::JMP32) => match code {
                op::GOTO => write!(f, "goto pc{off:+}"),
                op::GOTOL => write!(f, "gotol pc{imm:+}"),
                op::MAY_GOTO => write!(f, "may_goto pc{off:+}"),
                op::CALL_IMM => self.call(f),
                op::EXIT_INSN | op::GOTOX => self.text.fmt(f),
                _ => {
                    let r = if class == op::JMP { 'r' } else { 'w' };
                    let operator = jump_operator(code & 0xf0).unwrap_or("?");
                    write!(f, "if {r}{dst} {operator} ")?;
                    if code & op::X != 0 {
                        write!(f, "{r}{src}")?
                    } else {
                        write!(f, "{imm:#x}")?
                    }
                    write!(f, " goto pc{off:+}")
                }
            },
            op::LD => match src {
                pseudo::MAP => write!(f, "r{dst} = map[{}]", self.map(imm)),
                pseudo::MAP_VALUE => {
                    write!(f, "r{dst} = map[{}][0]{:+}", self.map(imm), self.text.second.imm)
                }
                pseudo::FUNC => write!(f, "r{dst} = func pc{imm:+}"),
                _ => {
                    let text = self.text.to_string();
                    f.write_str(text.strip_suffix(" ll").unwrap_or(&text))
                }
            },
            op::STX if code & 0xe0 == op::ATOMIC && imm & op::FETCH != 0 => {
                let bits = bits(code);
                let size = if bits == 64 { "64" } else { "" };
                let place = format!("(u{bits} *)(r{dst} {off:+})");
                match imm {
                    op::XCHG => write!(f, "r{src} = atomic{size}_xchg({place}, r{src})"),
                    op::CMPXCHG => write!(f, "r0 = atomic{size}_cmpxchg({place}, r0, r{src})"),
                    _ => {
                        let (name, _) = atomic_names(imm).unwrap_or(("?", "?"));
                        write!(f, "r{src} = atomic{size}_fetch_{name}({place}, r{src})")
                    }
                }
            }
            _ => self.text.fmt(f),
        }
    }
}
