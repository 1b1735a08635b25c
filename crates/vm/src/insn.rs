//! One instruction slot of the BPF instruction set (RFC 9669 section 3), and the numbers in it.

use crate::mem::Width;

/// An instruction as it is encoded: 8 bytes, little-endian. A 64-bit immediate load
/// ([`op::LDDW`]) takes two slots, the second carrying the upper half in `imm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Insn {
    /// Opcode: class in the low 3 bits, the rest by class.
    pub code: u8,
    /// Destination register, 0 to 15 as encoded; valid programs use 0 to 10.
    pub dst: u8,
    /// Source register, or a pseudo source of [`pseudo`].
    pub src: u8,
    /// Signed offset: jump distance in slots, memory displacement, or a variant selector.
    pub off: i16,
    /// Signed immediate.
    pub imm: i32,
}

impl Insn {
    /// How wide the memory is that a load, store or atomic goes to (RFC 9669, section 5: the size field).
    #[inline(always)]
    pub const fn width(self) -> Width {
        match self.code & 0x18 {
            op::B => Width::B,
            op::H => Width::H,
            op::W => Width::W,
            _ => Width::DW,
        }
    }

    /// Size of one slot in bytes.
    pub const SIZE: usize = 8;

    /// Reads one slot.
    pub fn decode(b: [u8; 8]) -> Insn {
        Insn {
            code: b[0],
            dst: b[1] & 0x0f,
            src: b[1] >> 4,
            off: i16::from_le_bytes([b[2], b[3]]),
            imm: i32::from_le_bytes([b[4], b[5], b[6], b[7]]),
        }
    }

    /// Writes one slot. The inverse of [`Insn::decode`].
    pub fn encode(self) -> [u8; 8] {
        let off = self.off.to_le_bytes();
        let imm = self.imm.to_le_bytes();
        [self.code, (self.src << 4) | (self.dst & 0x0f), off[0], off[1], imm[0], imm[1], imm[2], imm[3]]
    }

    /// Instruction class: the low three bits of the opcode.
    pub fn class(self) -> u8 {
        self.code & 0x07
    }

    /// Whether this is the first slot of a 64-bit immediate load.
    pub fn is_wide(self) -> bool {
        self.code == op::LDDW
    }

    /// Whether it may go on elsewhere in its function: a jump that is no call, and not `exit`.
    pub(crate) fn is_jump(self) -> bool {
        matches!(self.class(), op::JMP | op::JMP32) && !matches!(self.code, op::CALL_IMM | op::EXIT_INSN)
    }

    /// Whether it is a jump that is always taken.
    pub(crate) fn is_goto(self) -> bool {
        matches!(self.code, op::GOTO | op::GOTOL | op::GOTOX)
    }

    /// The registers it reads, a bit each. Of a call: all that arguments may be in.
    pub(crate) fn reads(self) -> u16 {
        let (dst, src) = (1 << self.dst, 1 << self.src);
        let operand = if self.code & op::X != 0 { src } else { 0 };
        match self.class() {
            op::ALU | op::ALU64 => match self.code & 0xf0 {
                op::MOV => operand,
                op::END | op::NEG => dst,
                _ => dst | operand,
            },
            op::JMP | op::JMP32 => match self.code {
                op::CALL_IMM => ARGUMENTS,
                op::EXIT_INSN => 1,
                op::GOTO | op::GOTOL | op::MAY_GOTO => 0,
                op::GOTOX => dst,
                _ => dst | operand,
            },
            op::LDX => src,
            op::ST => dst,
            op::STX if self.code & 0xe0 == op::ATOMIC => match self.imm {
                op::LOAD_ACQ => src,
                op::CMPXCHG => dst | src | 1,
                _ => dst | src,
            },
            op::STX => dst | src,
            _ => 0,
        }
    }

    /// The registers it changes, a bit each.
    pub(crate) fn sets(self) -> u16 {
        match self.class() {
            op::ALU | op::ALU64 | op::LDX => 1 << self.dst,
            op::LD if self.is_wide() => 1 << self.dst,
            op::STX if self.code & 0xe0 == op::ATOMIC => match self.imm {
                op::LOAD_ACQ => 1 << self.dst,
                op::CMPXCHG => 1,
                imm if imm != op::STORE_REL && imm & op::FETCH != 0 => 1 << self.src,
                _ => 0,
            },
            _ if self.code == op::CALL_IMM => ARGUMENTS | 1,
            _ => 0,
        }
    }
}

/// R1 to R5, a bit each: the registers arguments of calls are in.
pub(crate) const ARGUMENTS: u16 = 0b11_1110;

/// Opcode parts and whole opcodes, under the names of RFC 9669.
pub mod op {
    #![allow(missing_docs, reason = "the names are the documentation: RFC 9669 sections 3 to 5")]
    // Classes.
    pub const LD: u8 = 0x00;
    pub const LDX: u8 = 0x01;
    pub const ST: u8 = 0x02;
    pub const STX: u8 = 0x03;
    pub const ALU: u8 = 0x04;
    pub const JMP: u8 = 0x05;
    pub const JMP32: u8 = 0x06;
    pub const ALU64: u8 = 0x07;
    // Source bit of ALU and JMP classes.
    pub const K: u8 = 0x00;
    pub const X: u8 = 0x08;
    // ALU operations (high four bits).
    pub const ADD: u8 = 0x00;
    pub const SUB: u8 = 0x10;
    pub const MUL: u8 = 0x20;
    pub const DIV: u8 = 0x30;
    pub const OR: u8 = 0x40;
    pub const AND: u8 = 0x50;
    pub const LSH: u8 = 0x60;
    pub const RSH: u8 = 0x70;
    pub const NEG: u8 = 0x80;
    pub const MOD: u8 = 0x90;
    pub const XOR: u8 = 0xa0;
    pub const MOV: u8 = 0xb0;
    pub const ARSH: u8 = 0xc0;
    pub const END: u8 = 0xd0;
    // Jump operations (high four bits).
    pub const JA: u8 = 0x00;
    pub const JEQ: u8 = 0x10;
    pub const JGT: u8 = 0x20;
    pub const JGE: u8 = 0x30;
    pub const JSET: u8 = 0x40;
    pub const JNE: u8 = 0x50;
    pub const JSGT: u8 = 0x60;
    pub const JSGE: u8 = 0x70;
    pub const CALL: u8 = 0x80;
    pub const EXIT: u8 = 0x90;
    pub const JLT: u8 = 0xa0;
    pub const JLE: u8 = 0xb0;
    pub const JSLT: u8 = 0xc0;
    pub const JSLE: u8 = 0xd0;
    pub const JCOND: u8 = 0xe0;
    // Sizes of loads and stores.
    pub const W: u8 = 0x00;
    pub const H: u8 = 0x08;
    pub const B: u8 = 0x10;
    pub const DW: u8 = 0x18;
    // Modes of loads and stores.
    pub const IMM: u8 = 0x00;
    pub const ABS: u8 = 0x20;
    pub const IND: u8 = 0x40;
    pub const MEM: u8 = 0x60;
    pub const MEMSX: u8 = 0x80;
    pub const ATOMIC: u8 = 0xc0;
    // Atomic operations (in imm).
    pub const FETCH: i32 = 0x01;
    pub const XCHG: i32 = 0xe1;
    pub const CMPXCHG: i32 = 0xf1;
    pub const LOAD_ACQ: i32 = 0x100;
    pub const STORE_REL: i32 = 0x110;
    // Whole opcodes that stand alone.
    pub const LDDW: u8 = 0x18;
    pub const CALL_IMM: u8 = JMP | CALL;
    pub const CALLX: u8 = JMP | CALL | X;
    pub const EXIT_INSN: u8 = JMP | EXIT;
    pub const GOTO: u8 = JMP | JA;
    pub const GOTOL: u8 = JMP32 | JA;
    pub const GOTOX: u8 = JMP | JA | X;
    pub const MAY_GOTO: u8 = JMP | JCOND;
}

/// Meanings of the source register field where it is not a register.
pub mod pseudo {
    /// `call`: a helper by number.
    pub const CALL_HELPER: u8 = 0;
    /// `call`: a function of the program, `imm` slots from the next one.
    pub const CALL_LOCAL: u8 = 1;
    /// `call`: a kfunc; after linking `imm` indexes [`crate::program::Program::kfuncs`].
    pub const CALL_KFUNC: u8 = 2;
    /// Wide load: a plain number.
    pub const IMM64: u8 = 0;
    /// Wide load: a map; after linking `imm` indexes [`crate::program::Program::maps`].
    pub const MAP: u8 = 1;
    /// Wide load: an address inside the value of a one-entry map: `imm` as for [`MAP`], the second
    /// slot's `imm` is the offset.
    pub const MAP_VALUE: u8 = 2;
    /// Wide load: the address of a function of the program, `imm` slots from the next one.
    pub const FUNC: u8 = 4;
}

/// Helper numbers no helper has, for instructions that must not be reached: what they need does not
/// exist. [`crate::program::Program::poisons`] says what that is.
pub mod poison {
    /// In place of an instruction whose CO-RE relocation found nothing, as libbpf does.
    pub const CORE: i32 = 0x0bad_2310;
    /// A call of a weak kfunc that is not offered.
    pub const KFUNC: i32 = i32::MIN;
}
