//! Which encodings are instructions, and which sequences of them are programs.
//!
//! [`check_insn`] looks at one instruction: known opcode, reserved fields zero, registers that
//! exist (RFC 9669 sections 3 to 5). [`check_insns`] looks at a whole linked program: jumps and
//! calls that land where they may, functions that do not run off their end. Both are pure and know
//! nothing of types, maps or memory: that is the verifier's and the interpreter's part.

use crate::insn::Insn;
use crate::insn::op;
use crate::insn::pseudo;
use crate::program::Function;

/// Registers programs have: R0 to R10.
pub const REGISTERS: u8 = 11;
/// The frame pointer: R10, which programs may not write.
pub const FRAME_POINTER: u8 = 10;

/// Why an instruction, or a sequence of them, is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InsnProblem {
    /// No instruction has this opcode.
    #[error("unknown opcode {code:#04x}")]
    UnknownOpcode {
        /// The opcode byte.
        code: u8,
    },
    /// A field the instruction does not use, or uses for a variant, has an undefined value.
    #[error("field `{field}` of opcode {code:#04x} holds an undefined value")]
    ReservedField {
        /// The opcode byte.
        code: u8,
        /// The field: `dst`, `src`, `off` or `imm`.
        field: &'static str,
    },
    /// A register number above 10.
    #[error("register r{register} does not exist; programs have r0 to r10")]
    NoSuchRegister {
        /// The number.
        register: u8,
    },
    /// R10 is the destination.
    #[error("frame pointer r10 is read-only")]
    FramePointerWritten,
    /// `BPF_LD | BPF_ABS` or `BPF_LD | BPF_IND` (RFC 9669 section 5.5).
    #[error("legacy packet access (LD_ABS, LD_IND) is not supported; load through a pointer")]
    LegacyPacketAccess,
    /// `callx`: a call of the address in a register.
    #[error("call through a register is not supported; build with -O2 so that calls are direct")]
    CallThroughRegister,
    /// `gotox`, a jump to the address in a register, in a function without a table of jumps.
    #[error("indirect jump without a jump table; use switch for it, or build with -mcpu=v3")]
    IndirectJump,
    /// A move between address spaces, used with arenas.
    #[error("addr_space_cast is not supported; arenas do not exist here")]
    AddrSpaceCast,
    /// A 64-bit immediate load whose second slot is missing or not an all-zero opcode.
    #[error("64-bit immediate load without its second slot")]
    BrokenWide,
    /// A jump leaves its function.
    #[error("jump to slot {target} leaves the function")]
    JumpOutOfRange {
        /// Where it would land: a slot counted from where the slot of the error is counted.
        target: i64,
    },
    /// A jump into the second slot of a 64-bit immediate load.
    #[error("jump to slot {target} lands inside a 64-bit immediate load")]
    JumpIntoWide {
        /// Where it would land: a slot counted from where the slot of the error is counted.
        target: i64,
    },
    /// A local call or function address that is not the first slot of a function.
    #[error("slot {target} is not the start of a function")]
    NotAFunction {
        /// Where it would land: a slot counted from where the slot of the error is counted.
        target: i64,
    },
    /// The last instruction of a function is neither `exit` nor an unconditional jump.
    #[error("function does not end in exit or an unconditional jump")]
    FallsOffEnd,
    /// No instruction at all, or functions that do not start with slot 0 in ascending order.
    #[error("program is empty or its functions are not in order")]
    Empty,
}

impl InsnProblem {
    /// The same problem with slots counted from elsewhere: `by` slots earlier.
    pub(crate) fn shifted(mut self, by: i64) -> InsnProblem {
        if let InsnProblem::JumpOutOfRange { target }
        | InsnProblem::JumpIntoWide { target }
        | InsnProblem::NotAFunction { target } = &mut self
        {
            *target = target.saturating_add(by);
        }
        self
    }
}

/// An invalid instruction of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("slot {slot}: {problem}")]
pub struct InsnError {
    /// The slot, counted from the start of the program.
    pub slot: usize,
    /// What is wrong with it.
    pub problem: InsnProblem,
}

/// Checks the first (or only) slot of one instruction: RFC 9669 with all conformance groups but
/// `packet`, the v4 additions, load-acquire and store-release, `may_goto` and `gotox`.
///
/// The meanings of `src` in 64-bit immediate loads and calls are those of linked programs:
/// [`pseudo`].
///
/// # Errors
///
/// The first rule the slot breaks.
pub fn check_insn(insn: Insn) -> Result<(), InsnProblem> {
    let writes_dst = check_fields(insn)?;
    for register in [insn.dst, if src_is_register(insn) { insn.src } else { 0 }] {
        if register >= REGISTERS {
            return Err(InsnProblem::NoSuchRegister { register });
        }
    }
    let fetches = insn.class() == op::STX && insn.code & 0xe0 == op::ATOMIC && {
        let loads_to_src = insn.imm & op::FETCH != 0 && insn.imm != op::CMPXCHG;
        loads_to_src && insn.imm < op::LOAD_ACQ
    };
    if (writes_dst && insn.dst == FRAME_POINTER) || (fetches && insn.src == FRAME_POINTER) {
        return Err(InsnProblem::FramePointerWritten);
    }
    Ok(())
}

/// Checks the second slot of a 64-bit immediate load, given the first.
///
/// # Errors
///
/// [`InsnProblem::BrokenWide`] or the reserved field.
pub fn check_second(first: Insn, second: Insn) -> Result<(), InsnProblem> {
    if second.code != 0 || second.dst != 0 || second.src != 0 || second.off != 0 {
        return Err(InsnProblem::BrokenWide);
    }
    let has_high_half = matches!(first.src, pseudo::IMM64 | pseudo::MAP_VALUE);
    if !has_high_half && second.imm != 0 {
        return Err(InsnProblem::ReservedField { code: first.code, field: "imm" });
    }
    Ok(())
}

/// Whether the `src` field names a register rather than a pseudo source or nothing.
fn src_is_register(insn: Insn) -> bool {
    match insn.class() {
        op::LDX | op::STX => true,
        op::ALU | op::ALU64 => insn.code & op::X != 0 && insn.code & 0xf0 != op::END,
        op::JMP | op::JMP32 => insn.code & op::X != 0,
        _ => false,
    }
}

/// Opcode and reserved fields; returns whether `dst` is written.
fn check_fields(insn: Insn) -> Result<bool, InsnProblem> {
    let Insn { code, dst, src, off, imm } = insn;
    let unknown = InsnProblem::UnknownOpcode { code };
    let zero = |field: &'static str, value: i32| {
        if value == 0 { Ok(()) } else { Err(InsnProblem::ReservedField { code, field }) }
    };
    let one_of = |field: &'static str, ok: bool| {
        if ok { Ok(()) } else { Err(InsnProblem::ReservedField { code, field }) }
    };
    let register = code & op::X != 0;
    // Register operands leave `imm` unused, immediate operands leave `src` unused.
    let operand = || if register { zero("imm", imm) } else { zero("src", i32::from(src)) };
    match insn.class() {
        class @ (op::ALU | op::ALU64) => {
            match code & 0xf0 {
                op::DIV | op::MOD => {
                    operand()?;
                    one_of("off", matches!(off, 0 | 1))?;
                }
                op::MOV => {
                    if class == op::ALU64 && register && off == 1 {
                        return Err(InsnProblem::AddrSpaceCast);
                    }
                    operand()?;
                    let extends = matches!(off, 8 | 16) || (off == 32 && class == op::ALU64);
                    one_of("off", off == 0 || (register && extends))?;
                }
                op::NEG if !register => {
                    zero("src", i32::from(src))?;
                    zero("off", i32::from(off))?;
                    zero("imm", imm)?;
                }
                op::END if class == op::ALU || !register => {
                    zero("src", i32::from(src))?;
                    zero("off", i32::from(off))?;
                    one_of("imm", matches!(imm, 16 | 32 | 64))?;
                }
                op::ADD | op::SUB | op::MUL | op::OR | op::AND | op::LSH | op::RSH | op::XOR | op::ARSH => {
                    operand()?;
                    zero("off", i32::from(off))?;
                }
                _ => return Err(unknown),
            }
            Ok(true)
        }
        class @ (op::JMP | op::JMP32) => {
            match code & 0xf0 {
                op::JA if register => {
                    if class != op::JMP {
                        return Err(unknown);
                    }
                    zero("src", i32::from(src))?;
                    zero("off", i32::from(off))?;
                    zero("imm", imm)?;
                }
                op::JA => {
                    zero("dst", i32::from(dst))?;
                    zero("src", i32::from(src))?;
                    if class == op::JMP { zero("imm", imm)? } else { zero("off", i32::from(off))? }
                }
                op::CALL if class == op::JMP => {
                    if register {
                        return Err(InsnProblem::CallThroughRegister);
                    }
                    zero("dst", i32::from(dst))?;
                    one_of("src", src <= pseudo::CALL_KFUNC)?;
                    zero("off", i32::from(off))?;
                    one_of("imm", src != pseudo::CALL_KFUNC || imm >= 0)?;
                }
                op::EXIT if code == op::EXIT_INSN => {
                    zero("dst", i32::from(dst))?;
                    zero("src", i32::from(src))?;
                    zero("off", i32::from(off))?;
                    zero("imm", imm)?;
                }
                op::JCOND if code == op::MAY_GOTO => {
                    zero("dst", i32::from(dst))?;
                    zero("src", i32::from(src))?;
                    zero("imm", imm)?;
                }
                op::CALL | op::EXIT | op::JCOND | 0xf0 => return Err(unknown),
                _ => operand()?,
            }
            Ok(false)
        }
        op::LD => match code & 0xe0 {
            _ if code == op::LDDW => {
                zero("off", i32::from(off))?;
                let known = [pseudo::IMM64, pseudo::MAP, pseudo::MAP_VALUE, pseudo::FUNC].contains(&src);
                one_of("src", known)?;
                one_of("imm", !matches!(src, pseudo::MAP | pseudo::MAP_VALUE) || imm >= 0)?;
                Ok(true)
            }
            op::ABS | op::IND if code & 0x18 != op::DW => Err(InsnProblem::LegacyPacketAccess),
            _ => Err(unknown),
        },
        op::LDX => {
            let extends = code & 0xe0 == op::MEMSX && code & 0x18 != op::DW;
            if code & 0xe0 != op::MEM && !extends {
                return Err(unknown);
            }
            zero("imm", imm)?;
            Ok(true)
        }
        op::ST if code & 0xe0 == op::MEM => {
            zero("src", i32::from(src))?;
            Ok(false)
        }
        op::STX if code & 0xe0 == op::MEM => {
            zero("imm", imm)?;
            Ok(false)
        }
        op::STX if code & 0xe0 == op::ATOMIC => {
            let word = matches!(code & 0x18, op::W | op::DW);
            match imm {
                op::LOAD_ACQ => return Ok(true),
                op::STORE_REL => return Ok(false),
                _ if !word => return Err(unknown),
                op::XCHG | op::CMPXCHG => {}
                _ => {
                    let operation = u8::try_from(imm & !op::FETCH).ok();
                    let known = matches!(operation, Some(op::ADD | op::OR | op::AND | op::XOR));
                    one_of("imm", known)?;
                }
            }
            Ok(false)
        }
        _ => Err(unknown),
    }
}

/// The slot a jump, local call or function address at `slot` refers to; `None` when the
/// instruction refers to no slot.
pub fn target(slot: usize, insn: Insn) -> Option<i64> {
    let next = i64::try_from(slot).ok()?.checked_add(1)?;
    let distance = match insn.class() {
        op::JMP | op::JMP32 => match insn.code {
            op::CALL_IMM if insn.src == pseudo::CALL_LOCAL => i64::from(insn.imm),
            op::CALL_IMM | op::CALLX | op::EXIT_INSN | op::GOTOX => return None,
            op::GOTOL => i64::from(insn.imm),
            _ => i64::from(insn.off),
        },
        op::LD if insn.is_wide() && insn.src == pseudo::FUNC => i64::from(insn.imm),
        _ => return None,
    };
    next.checked_add(distance)
}

/// Checks a linked program: every instruction by [`check_insn`], every jump stays in its function
/// and does not land inside a 64-bit immediate load, every local call and function address is the
/// start of one of `functions`, every function ends in `exit` or an unconditional jump.
///
/// Indices into the program's maps and kfuncs, helper numbers and jump tables are not looked at.
///
/// # Errors
///
/// The first violation in slot order.
pub fn check_insns(insns: &[Insn], functions: &[Function]) -> Result<(), InsnError> {
    let at = |slot, problem| InsnError { slot, problem };
    if insns.is_empty() || functions.first().is_none_or(|f| f.start != 0) {
        return Err(at(0, InsnProblem::Empty));
    }
    for (i, function) in functions.iter().enumerate() {
        let end = functions.get(i + 1).map_or(insns.len(), |next| next.start);
        let Some(body) = insns.get(function.start..end).filter(|body| !body.is_empty()) else {
            return Err(at(function.start, InsnProblem::Empty));
        };
        check_function(body, function.start, functions)?;
    }
    Ok(())
}

/// Checks the function whose instructions `body` start at slot `start`.
fn check_function(body: &[Insn], start: usize, functions: &[Function]) -> Result<(), InsnError> {
    let at = |index: usize, problem| InsnError { slot: start + index, problem };
    // First pass: instructions one by one, and which slots are second halves.
    let mut second_half = vec![false; body.len()];
    let mut last = 0;
    let mut index = 0;
    while let Some(&insn) = body.get(index) {
        check_insn(insn).map_err(|problem| at(index, problem))?;
        last = index;
        index += 1;
        if insn.is_wide() {
            let second = body.get(index).ok_or_else(|| at(last, InsnProblem::BrokenWide))?;
            check_second(insn, *second).map_err(|problem| at(last, problem))?;
            if let Some(mark) = second_half.get_mut(index) {
                *mark = true;
            }
            index += 1;
        }
    }
    if !body.get(last).is_some_and(|i| matches!(i.code, op::EXIT_INSN | op::GOTO | op::GOTOL | op::GOTOX)) {
        return Err(at(last, InsnProblem::FallsOffEnd));
    }
    // Second pass: where they lead.
    for (index, &insn) in body.iter().enumerate() {
        if second_half.get(index).copied().unwrap_or(false) {
            continue;
        }
        let Some(target) = target(start + index, insn) else { continue };
        let slot = usize::try_from(target).ok();
        if matches!(insn.code, op::CALL_IMM | op::LDDW) {
            let known = slot.is_some_and(|s| functions.binary_search_by_key(&s, |f| f.start).is_ok());
            if !known {
                return Err(at(index, InsnProblem::NotAFunction { target }));
            }
        } else {
            match slot.and_then(|s| s.checked_sub(start)).and_then(|i| second_half.get(i)) {
                None => return Err(at(index, InsnProblem::JumpOutOfRange { target })),
                Some(true) => return Err(at(index, InsnProblem::JumpIntoWide { target })),
                Some(false) => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asm::assemble;

    /// All opcodes of RFC 9669 (its table in appendix A) but the packet group and `callx`, and
    /// `may_goto` and `gotox` of Linux.
    const OPCODES: &[u8] = &[
        0x04, 0x05, 0x06, 0x07, 0x0c, 0x0d, 0x0f, 0x14, 0x15, 0x16, 0x17, 0x18, 0x1c, 0x1d, 0x1e, 0x1f, 0x24,
        0x25, 0x26, 0x27, 0x2c, 0x2d, 0x2e, 0x2f, 0x34, 0x35, 0x36, 0x37, 0x3c, 0x3d, 0x3e, 0x3f, 0x44, 0x45,
        0x46, 0x47, 0x4c, 0x4d, 0x4e, 0x4f, 0x54, 0x55, 0x56, 0x57, 0x5c, 0x5d, 0x5e, 0x5f, 0x61, 0x62, 0x63,
        0x64, 0x65, 0x66, 0x67, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76,
        0x77, 0x79, 0x7a, 0x7b, 0x7c, 0x7d, 0x7e, 0x7f, 0x81, 0x84, 0x85, 0x87, 0x89, 0x91, 0x94, 0x95, 0x97,
        0x9c, 0x9f, 0xa4, 0xa5, 0xa6, 0xa7, 0xac, 0xad, 0xae, 0xaf, 0xb4, 0xb5, 0xb6, 0xb7, 0xbc, 0xbd, 0xbe,
        0xbf, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xcb, 0xcc, 0xcd, 0xce, 0xcf, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xdb,
        0xdc, 0xdd, 0xde, 0xe5,
    ];

    #[test]
    fn opcodes_are_those_of_the_standard() {
        for code in 0..=u8::MAX {
            let tries = [0, 1, 16, op::LOAD_ACQ];
            let found =
                tries.iter().any(|imm| check_insn(Insn { code, imm: *imm, ..Insn::default() }).is_ok());
            let expected = OPCODES.contains(&code);
            assert_eq!(found, expected, "{code:#04x}");
        }
    }

    #[test]
    fn reserved_fields_must_be_zero() {
        let field = |insn| match check_insn(insn) {
            Err(InsnProblem::ReservedField { field, .. }) => field,
            other => panic!("{insn:?}: {other:?}"),
        };
        let insn = |code| Insn { code, ..Insn::default() };
        assert_eq!(field(Insn { off: 1, ..insn(0x07) }), "off");
        assert_eq!(field(Insn { src: 1, ..insn(0x07) }), "src");
        assert_eq!(field(Insn { imm: 1, ..insn(0x0f) }), "imm");
        assert_eq!(field(Insn { off: 2, ..insn(0x3f) }), "off");
        assert_eq!(field(Insn { off: 32, ..insn(0xbc) }), "off");
        assert_eq!(field(Insn { off: 8, ..insn(0xb7) }), "off");
        assert_eq!(field(Insn { imm: 24, ..insn(0xd4) }), "imm");
        assert_eq!(field(Insn { dst: 1, ..insn(0x95) }), "dst");
        assert_eq!(field(Insn { imm: 1, ..insn(0x05) }), "imm");
        assert_eq!(field(Insn { off: 1, ..insn(0x06) }), "off");
        assert_eq!(field(Insn { src: 3, ..insn(0x85) }), "src");
        assert_eq!(field(Insn { src: 3, ..insn(0x18) }), "src");
        assert_eq!(field(Insn { imm: 1, ..insn(0x61) }), "imm");
        assert_eq!(field(Insn { imm: 2, ..insn(0xdb) }), "imm");
        assert_eq!(check_insn(insn(0x8d)), Err(InsnProblem::CallThroughRegister));
        assert_eq!(field(Insn { src: 1, ..insn(0x0d) }), "src");
        assert_eq!(field(Insn { off: 1, ..insn(0x0d) }), "off");
        assert_eq!(check_insn(Insn { off: 1, ..insn(0xbf) }), Err(InsnProblem::AddrSpaceCast));
        // Fetching into r10, and the word-sized atomics in a byte.
        assert_eq!(check_insn(Insn { src: 10, imm: 1, ..insn(0xdb) }), Err(InsnProblem::FramePointerWritten));
        assert_eq!(check_insn(Insn { src: 10, imm: 0, ..insn(0xdb) }), Ok(()));
        assert!(check_insn(Insn { imm: 1, ..insn(0xd3) }).is_err());
    }

    #[test]
    fn programs_are_checked_function_by_function() {
        let check = |text: &str, starts: &[usize]| {
            let functions: Vec<_> =
                starts.iter().map(|start| Function { start: *start, ..Function::default() }).collect();
            let insns = assemble(text).expect("test text assembles");
            check_insns(&insns, &functions).map_err(|error| (error.slot, error.problem))
        };
        assert_eq!(check("call pc+1\nexit\nr0 = func pc-1 ll\nexit", &[0, 2]), Ok(()));
        assert_eq!(check("exit", &[]), Err((0, InsnProblem::Empty)));
        assert_eq!(check("exit", &[0, 1]), Err((1, InsnProblem::Empty)));
        assert_eq!(check("exit\nexit", &[0, 1, 1]), Err((1, InsnProblem::Empty)));
        assert_eq!(check("call pc+0\nexit", &[0]), Err((0, InsnProblem::NotAFunction { target: 1 })));
        assert_eq!(
            check("goto +1\nexit\nexit", &[0, 2]),
            Err((0, InsnProblem::JumpOutOfRange { target: 2 }))
        );
        assert_eq!(check("r0 = 0\ncall 1", &[0]), Err((1, InsnProblem::FallsOffEnd)));
        assert_eq!(check("goto +0\nif r1 == 0 goto -2", &[0]), Err((1, InsnProblem::FallsOffEnd)));
        assert_eq!(check("exit\n.raw 0x18", &[0]), Err((1, InsnProblem::BrokenWide)));
        assert_eq!(
            check("r1 = 0 ll\nmay_goto -2\nexit", &[0]),
            Err((2, InsnProblem::JumpIntoWide { target: 1 }))
        );
        assert_eq!(
            check("gotol +2147483647", &[0]),
            Err((0, InsnProblem::JumpOutOfRange { target: 1 << 31 }))
        );
    }
}
