//! An assembler for the C-like dialect of clang and the kernel's verifier log.
//!
//! It reads all that [`crate::disasm`] writes, and in addition labels (`loop:` … `goto loop`) and
//! comments (`//` or `;` to the end of the line). One instruction a line:
//!
//! | text | instruction (RFC 9669) |
//! |---|---|
//! | `r1 += 5`, `w1 s/= w2`, `r1 = (s8)r2`, `r1 = -r1`, `r1 = be16 r1` | arithmetic, section 4.1 and 4.2 |
//! | `goto +3`, `gotol loop`, `gotox r1`, `if w1 s< 5 goto done`, `may_goto done` | jumps, section 4.3 |
//! | `call 6`, `call pc+3`, `call f`, `call kfunc#2`, `exit` | calls, section 4.3.1 and 4.3.2 |
//! | `r1 = *(s8 *)(r2 +4)`, `*(u64 *)(r10 -8) = r1` | loads and stores, section 5.1 and 5.2 |
//! | `lock *(u64 *)(r1 +0) += r2`, `r2 = atomic_fetch_or((u64 *)(r1 +0), r2)` | atomics, section 5.3 |
//! | `r2 = xchg_64(r1 +0, r2)`, `w0 = cmpxchg32_32(r1 +0, w0, w2)` | atomics, section 5.3 |
//! | `r1 = load_acquire((u64 *)(r2 +0))`, `store_release((u64 *)(r1 +0), r2)` | atomics with order |
//! | `r1 = 0x1122 ll`, `r1 = map[0] ll`, `r1 = map[0][16] ll`, `r1 = func f ll` | wide loads, section 5.4 |
//! | `.raw 0x95` | any slot, as one little-endian number |

use std::collections::HashMap;

use crate::disasm;
use crate::insn::Insn;
use crate::insn::op;
use crate::insn::pseudo;

/// Why a text does not assemble.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct AsmError {
    /// 1-based line.
    pub line: usize,
    /// What is wrong with it.
    pub problem: AsmProblem,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AsmProblem {
    /// Something else was expected.
    #[error("expected {expected} before `{rest}`")]
    Expected {
        /// What the grammar asks for.
        expected: &'static str,
        /// The line from there on, cut.
        rest: String,
    },
    /// A number too large for its field.
    #[error("{value} does not fit {field}")]
    Range {
        /// The number.
        value: i128,
        /// The field.
        field: &'static str,
    },
    /// A register that is not r0 to r10, or of the wrong width for its place.
    #[error("`{name}` is not a register that can stand here")]
    Register {
        /// As written.
        name: String,
    },
    /// A label is defined twice.
    #[error("label `{name}` is already defined")]
    DuplicateLabel {
        /// The label.
        name: String,
    },
    /// A label is used and not defined.
    #[error("label `{name}` is not defined")]
    UnknownLabel {
        /// The label.
        name: String,
    },
}

/// Assembles a text.
///
/// ```
/// let insns = fuse_bpf_vm::asm::assemble("r0 = 3\nloop: r0 -= 1 // count\nif r0 != 0 goto loop\nexit")?;
/// assert_eq!(insns.len(), 4);
/// assert_eq!(insns[2].off, -2);
/// # Ok::<(), fuse_bpf_vm::asm::AsmError>(())
/// ```
///
/// # Errors
///
/// The first line that is not in the dialect.
pub fn assemble(text: &str) -> Result<Vec<Insn>, AsmError> {
    let mut insns = Vec::new();
    let mut labels = HashMap::new();
    let mut uses = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let at = |problem| AsmError { line: index + 1, problem };
        let line = line.split("//").next().unwrap_or_default();
        let mut cursor = Cursor { rest: line.split(';').next().unwrap_or_default().trim() };
        while let Some(name) = cursor.label() {
            if labels.insert(name, insns.len()).is_some() {
                return Err(at(AsmProblem::DuplicateLabel { name: name.to_owned() }));
            }
        }
        if cursor.rest.is_empty() {
            continue;
        }
        let line = cursor.instruction().map_err(at)?;
        if !cursor.rest.is_empty() {
            return Err(at(cursor.expected("end of line")));
        }
        if let Some(Target::Label(name)) = line.target {
            uses.push((index + 1, insns.len(), name));
        }
        insns.push(line.insn);
        insns.extend(line.second);
    }
    for (line, slot, name) in uses {
        let at = |problem| AsmError { line, problem };
        let Some(&target) = labels.get(name) else {
            return Err(at(AsmProblem::UnknownLabel { name: name.to_owned() }));
        };
        let distance = target as i128 - slot as i128 - 1;
        if let Some(insn) = insns.get_mut(slot) {
            set_distance(insn, distance).map_err(at)?;
        }
    }
    Ok(insns)
}

/// Puts a jump distance into the field the instruction keeps it in.
fn set_distance(insn: &mut Insn, distance: i128) -> Result<(), AsmProblem> {
    if matches!(insn.code, op::CALL_IMM | op::GOTOL | op::LDDW) {
        insn.imm = narrow(distance, "a 32-bit jump distance")?;
    } else {
        insn.off = narrow(distance, "a 16-bit jump distance (gotol reaches further)")?;
    }
    Ok(())
}

fn narrow<T: TryFrom<i128>>(value: i128, field: &'static str) -> Result<T, AsmProblem> {
    T::try_from(value).map_err(|_| AsmProblem::Range { value, field })
}

/// One assembled line.
struct Line<'t> {
    insn: Insn,
    second: Option<Insn>,
    target: Option<Target<'t>>,
}

impl From<Insn> for Line<'_> {
    fn from(insn: Insn) -> Self {
        Line { insn, second: None, target: None }
    }
}

/// Where a jump goes.
enum Target<'t> {
    Distance(i128),
    Label(&'t str),
}

/// A register operand.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Reg {
    number: u8,
    /// Written `r`: all 64 bits; else `w`: the low 32.
    wide: bool,
}

/// A memory operand.
struct Mem {
    size: u8,
    signed: bool,
    base: u8,
    off: i16,
}

/// The rest of one line.
struct Cursor<'t> {
    rest: &'t str,
}

/// Operators of compound assignments, longest first.
const ASSIGN: [(&str, u8, i16); 13] = [
    ("s>>=", op::ARSH, 0),
    ("<<=", op::LSH, 0),
    (">>=", op::RSH, 0),
    ("s/=", op::DIV, 1),
    ("s%=", op::MOD, 1),
    ("+=", op::ADD, 0),
    ("-=", op::SUB, 0),
    ("*=", op::MUL, 0),
    ("/=", op::DIV, 0),
    ("%=", op::MOD, 0),
    ("|=", op::OR, 0),
    ("&=", op::AND, 0),
    ("^=", op::XOR, 0),
];

/// Operations of conditional jumps, longest operator first.
const COMPARE: [u8; 11] =
    [op::JSGE, op::JSLE, op::JSGT, op::JSLT, op::JEQ, op::JNE, op::JGE, op::JLE, op::JGT, op::JLT, op::JSET];

impl<'t> Cursor<'t> {
    fn expected(&self, expected: &'static str) -> AsmProblem {
        AsmProblem::Expected { expected, rest: self.rest.chars().take(40).collect() }
    }

    /// Takes `token` and the blanks after it.
    fn eat(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn need(&mut self, token: &'static str) -> Result<(), AsmProblem> {
        if self.eat(token) { Ok(()) } else { Err(self.expected(token)) }
    }

    /// The name the rest starts with, and what follows it.
    fn peek_word(&self) -> Option<(&'t str, &'t str)> {
        let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$');
        let end = self.rest.find(|c| !name(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(end)?;
        (!word.is_empty() && !word.starts_with(|c: char| c.is_ascii_digit())).then_some((word, rest))
    }

    fn word(&mut self) -> Option<&'t str> {
        let (word, rest) = self.peek_word()?;
        self.rest = rest.trim_start();
        Some(word)
    }

    /// Takes `name` when it is the whole next word.
    fn keyword(&mut self, name: &str) -> bool {
        let found = self.peek_word().is_some_and(|(word, _)| word == name);
        found && self.word().is_some()
    }

    fn label(&mut self) -> Option<&'t str> {
        let (word, rest) = self.peek_word()?;
        self.rest = rest.strip_prefix(':')?.trim_start();
        Some(word)
    }

    fn number(&mut self) -> Result<i128, AsmProblem> {
        let (negative, digits) = match self.rest.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, self.rest.strip_prefix('+').unwrap_or(self.rest)),
        };
        let (radix, digits) = match digits.strip_prefix("0x") {
            Some(digits) => (16, digits),
            None => (10, digits),
        };
        let end = digits.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(digits.len());
        let (digits, rest) = digits.split_at_checked(end).unwrap_or((digits, ""));
        let value = u64::from_str_radix(digits, radix).map_err(|_| self.expected("a number"))?;
        if digits.starts_with('+') {
            return Err(self.expected("a number"));
        }
        self.rest = rest.trim_start();
        Ok(if negative { -i128::from(value) } else { i128::from(value) })
    }

    fn register(&mut self) -> Result<Reg, AsmProblem> {
        self.try_register()?.ok_or_else(|| self.expected("a register"))
    }

    /// A register, if the next word looks like one.
    fn try_register(&mut self) -> Result<Option<Reg>, AsmProblem> {
        let Some((word, rest)) = self.peek_word() else { return Ok(None) };
        let (wide, number) = match (word.strip_prefix('r'), word.strip_prefix('w')) {
            (Some(number), _) => (true, number),
            (_, Some(number)) => (false, number),
            _ => return Ok(None),
        };
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(None);
        }
        let plain = number == "0" || !number.starts_with('0');
        match number.parse() {
            Ok(number @ 0..=10) if plain => {
                self.rest = rest.trim_start();
                Ok(Some(Reg { number, wide }))
            }
            _ => Err(AsmProblem::Register { name: word.to_owned() }),
        }
    }

    /// A register of the given width.
    fn register_of(&mut self, wide: bool) -> Result<u8, AsmProblem> {
        let written = self.rest;
        let reg = self.register()?;
        if reg.wide == wide {
            return Ok(reg.number);
        }
        let end = written.len() - self.rest.len();
        let name = written.get(..end).unwrap_or_default().trim_end().to_owned();
        Err(AsmProblem::Register { name })
    }

    /// The other operand: a register as wide as the first, or a number.
    fn operand(&mut self, wide: bool) -> Result<(u8, u8, i32), AsmProblem> {
        if self.peek_word().is_some() {
            return Ok((op::X, self.register_of(wide)?, 0));
        }
        Ok((op::K, 0, self.immediate(!wide)?))
    }

    /// A 32-bit immediate. Where only 32 bits count, `0xffffffff` is as good as `-1`.
    fn immediate(&mut self, unsigned_too: bool) -> Result<i32, AsmProblem> {
        let value = self.number()?;
        match u32::try_from(value) {
            Ok(value) if unsigned_too => Ok(value.cast_signed()),
            _ => narrow(value, "a signed 32-bit immediate (a wide load ends in ` ll`)"),
        }
    }

    /// `+3`, `-3` or a label.
    fn target(&mut self) -> Result<Target<'t>, AsmProblem> {
        if let Some(name) = self.word() {
            return Ok(Target::Label(name));
        }
        if self.rest.starts_with(['+', '-']) {
            return Ok(Target::Distance(self.number()?));
        }
        Err(self.expected("a label, or a distance with its sign"))
    }

    fn with_target(&mut self, mut insn: Insn) -> Result<Line<'t>, AsmProblem> {
        let target = self.target()?;
        if let Target::Distance(distance) = target {
            set_distance(&mut insn, distance)?;
        }
        Ok(Line { insn, second: None, target: Some(target) })
    }

    /// `(u8 *)`, as size bits of the opcode and signedness.
    fn cast(&mut self) -> Result<(u8, bool), AsmProblem> {
        self.need("(")?;
        let before = self.expected("a type: u8, u16, u32, u64, s8, s16 or s32");
        let cast = match self.word() {
            Some("u8") => (op::B, false),
            Some("u16") => (op::H, false),
            Some("u32") => (op::W, false),
            Some("u64") => (op::DW, false),
            Some("s8") => (op::B, true),
            Some("s16") => (op::H, true),
            Some("s32") => (op::W, true),
            _ => return Err(before),
        };
        self.need("*")?;
        self.need(")")?;
        Ok(cast)
    }

    /// `r1 +8`, the sign optional for 0 and the offset optional altogether.
    fn address(&mut self) -> Result<(u8, i16), AsmProblem> {
        let base = self.register_of(true)?;
        let negative = self.rest.starts_with('-');
        if !negative && !self.rest.starts_with('+') {
            return Ok((base, 0));
        }
        // A blank may stand between sign and number.
        self.rest = self.rest.get(1..).unwrap_or_default().trim_start();
        if self.rest.starts_with(['+', '-']) {
            return Err(self.expected("a number"));
        }
        let value = self.number()?;
        Ok((base, narrow(if negative { -value } else { value }, "a 16-bit offset")?))
    }

    /// `(u64 *)(r1 +8)`.
    fn memory(&mut self) -> Result<Mem, AsmProblem> {
        let (size, signed) = self.cast()?;
        self.need("(")?;
        let (base, off) = self.address()?;
        self.need(")")?;
        Ok(Mem { size, signed, base, off })
    }

    /// The memory operand of an atomic: word or double word unless `any` size goes.
    fn atomic_memory(&mut self, any: bool) -> Result<Mem, AsmProblem> {
        let expected = self.expected("(u32 *) or (u64 *)");
        let mem = self.memory()?;
        if mem.signed || !(any || matches!(mem.size, op::W | op::DW)) {
            return Err(expected);
        }
        Ok(mem)
    }

    fn instruction(&mut self) -> Result<Line<'t>, AsmProblem> {
        if self.rest.starts_with("*") {
            return Ok(self.store()?.into());
        }
        if let Some(dst) = self.try_register()? {
            return self.assignment(dst);
        }
        let start = self.expected("an instruction");
        let jump = |code| Insn { code, ..Insn::default() };
        match self.word() {
            Some("exit") => Ok(jump(op::EXIT_INSN).into()),
            Some("goto") => self.with_target(jump(op::GOTO)),
            Some("gotol") => self.with_target(jump(op::GOTOL)),
            Some("gotox") => {
                let dst = self.register_of(true)?;
                Ok(Insn { dst, ..jump(op::GOTOX) }.into())
            }
            Some("may_goto") => self.with_target(jump(op::MAY_GOTO)),
            Some("if") => self.conditional(),
            Some("call") => self.call(),
            Some("lock") => Ok(self.lock()?.into()),
            Some("store_release") => {
                self.need("(")?;
                let mem = self.atomic_memory(true)?;
                self.need(",")?;
                let src = self.narrow_register(mem.size)?;
                self.need(")")?;
                Ok(atomic(&mem, src, op::STORE_REL).into())
            }
            Some(".raw") => {
                let slot = narrow::<u64>(self.number()?, "a slot of 64 bits")?;
                Ok(Insn::decode(slot.to_le_bytes()).into())
            }
            _ => Err(start),
        }
    }

    fn conditional(&mut self) -> Result<Line<'t>, AsmProblem> {
        let dst = self.register()?;
        let class = if dst.wide { op::JMP } else { op::JMP32 };
        let operation = COMPARE
            .into_iter()
            .find(|operation| disasm::jump_operator(*operation).is_some_and(|o| self.eat(o)))
            .ok_or_else(|| self.expected("a comparison"))?;
        let (source, src, imm) = self.operand(dst.wide)?;
        if !self.keyword("goto") {
            return Err(self.expected("goto"));
        }
        self.with_target(Insn { code: class | operation | source, dst: dst.number, src, off: 0, imm })
    }

    fn call(&mut self) -> Result<Line<'t>, AsmProblem> {
        let insn = |src, imm| Insn { code: op::CALL_IMM, src, imm, ..Insn::default() };
        match self.peek_word() {
            None => {
                let id = narrow(self.number()?, "a helper number")?;
                Ok(insn(pseudo::CALL_HELPER, id).into())
            }
            Some(("kfunc", rest)) if rest.starts_with('#') => {
                self.rest = rest;
                self.need("#")?;
                let index = narrow::<i32>(self.number()?, "a kfunc index")?;
                Ok(insn(pseudo::CALL_KFUNC, index).into())
            }
            Some(("pc", rest)) if rest.starts_with(['+', '-']) => {
                self.rest = rest;
                self.with_target(insn(pseudo::CALL_LOCAL, 0))
            }
            Some(_) => self.with_target(insn(pseudo::CALL_LOCAL, 0)),
        }
    }

    /// A register named for a value of this size: `w` up to 32 bits, where `r` is taken too.
    fn narrow_register(&mut self, size: u8) -> Result<u8, AsmProblem> {
        if size == op::DW { self.register_of(true) } else { Ok(self.register()?.number) }
    }

    fn store(&mut self) -> Result<Insn, AsmProblem> {
        self.need("*")?;
        let expected = self.expected("an unsigned type");
        let mem = self.memory()?;
        if mem.signed {
            return Err(expected);
        }
        self.need("=")?;
        let insn = Insn { dst: mem.base, off: mem.off, ..Insn::default() };
        if self.peek_word().is_some() {
            let src = self.narrow_register(mem.size)?;
            return Ok(Insn { code: op::STX | op::MEM | mem.size, src, ..insn });
        }
        let imm = self.immediate(mem.size != op::DW)?;
        Ok(Insn { code: op::ST | op::MEM | mem.size, imm, ..insn })
    }

    /// After `lock`.
    fn lock(&mut self) -> Result<Insn, AsmProblem> {
        self.need("*")?;
        let mem = self.atomic_memory(false)?;
        let operation = [op::ADD, op::OR, op::AND, op::XOR]
            .into_iter()
            .find(|operation| disasm::alu_operator(*operation, 0).is_some_and(|o| self.eat(o)))
            .ok_or_else(|| self.expected("one of += |= &= ^="))?;
        let src = self.narrow_register(mem.size)?;
        Ok(atomic(&mem, src, i32::from(operation)))
    }

    /// After the destination register.
    fn assignment(&mut self, dst: Reg) -> Result<Line<'t>, AsmProblem> {
        let class = if dst.wide { op::ALU64 } else { op::ALU };
        for (operator, operation, off) in ASSIGN {
            if self.eat(operator) {
                let (source, src, imm) = self.operand(dst.wide)?;
                return Ok(Insn { code: class | operation | source, dst: dst.number, src, off, imm }.into());
            }
        }
        self.need("=")?;
        let insn = Insn { dst: dst.number, ..Insn::default() };
        if self.rest.starts_with('*') {
            return Ok(self.load(dst)?.into());
        }
        if self.rest.starts_with('(') {
            self.need("(")?;
            let before = self.expected("a sign extension: s8, s16 or s32");
            let off = match self.word() {
                Some("s8") => 8,
                Some("s16") => 16,
                Some("s32") if dst.wide => 32,
                _ => return Err(before),
            };
            self.need(")")?;
            let src = self.register_of(dst.wide)?;
            return Ok(Insn { code: class | op::MOV | op::X, src, off, ..insn }.into());
        }
        if let Some(rest) = self.rest.strip_prefix('-').filter(|r| r.starts_with(['r', 'w'])) {
            self.rest = rest;
            let same = self.expected("the same register");
            return if self.register()? == dst {
                Ok(Insn { code: class | op::NEG, ..insn }.into())
            } else {
                Err(same)
            };
        }
        if let Some(src) = self.try_register()? {
            if src.wide != dst.wide {
                let name = format!("{}{}", if src.wide { 'r' } else { 'w' }, src.number);
                return Err(AsmProblem::Register { name });
            }
            return Ok(Insn { code: class | op::MOV | op::X, src: src.number, ..insn }.into());
        }
        if self.peek_word().is_some() {
            return self.named(dst);
        }
        let start = self.rest;
        let value = self.number()?;
        if dst.wide && self.keyword("ll") {
            let bits = u64::try_from(value)
                .or_else(|_| i64::try_from(value).map(i64::cast_unsigned))
                .map_err(|_| AsmProblem::Range { value, field: "64 bits" })?;
            return Ok(wide(dst.number, pseudo::IMM64, bits as u32 as i32, (bits >> 32) as u32 as i32));
        }
        self.rest = start;
        let imm = self.immediate(!dst.wide)?;
        Ok(Insn { code: class | op::MOV | op::K, imm, ..insn }.into())
    }

    fn load(&mut self, dst: Reg) -> Result<Insn, AsmProblem> {
        self.need("*")?;
        let expected = self.expected("a type that fits the register");
        let Mem { size, signed, base, off } = self.memory()?;
        if !dst.wide && (signed || size == op::DW) {
            return Err(expected);
        }
        let mode = if signed { op::MEMSX } else { op::MEM };
        Ok(Insn { code: op::LDX | mode | size, dst: dst.number, src: base, off, imm: 0 })
    }

    /// After `rN =`, a word that is no register.
    fn named(&mut self, dst: Reg) -> Result<Line<'t>, AsmProblem> {
        let start = self.expected("a value");
        let word = self.word().unwrap_or_default();
        for (name, code) in [
            ("le", op::ALU | op::END | op::K),
            ("be", op::ALU | op::END | op::X),
            ("bswap", op::ALU64 | op::END | op::K),
        ] {
            let Some(imm @ (16 | 32 | 64)) = word.strip_prefix(name).and_then(|n| n.parse().ok()) else {
                continue;
            };
            let same = self.expected("the same register");
            if !dst.wide || self.register()? != dst {
                return Err(same);
            }
            return Ok(Insn { code, dst: dst.number, imm, ..Insn::default() }.into());
        }
        let size = if dst.wide { op::DW } else { op::W };
        let exchange = if dst.wide { "xchg_64" } else { "xchg32_32" };
        let compare = if dst.wide { "cmpxchg_64" } else { "cmpxchg32_32" };
        match word {
            "map" if dst.wide => {
                let map = self.index("a map index")?;
                let (src, offset) = if self.rest.starts_with('[') {
                    (pseudo::MAP_VALUE, self.index("a 32-bit offset")?)
                } else {
                    (pseudo::MAP, 0)
                };
                if !self.keyword("ll") {
                    return Err(self.expected("ll"));
                }
                Ok(wide(dst.number, src, map, offset))
            }
            "func" if dst.wide => {
                if let Some(("pc", rest)) = self.peek_word()
                    && rest.starts_with(['+', '-'])
                {
                    self.rest = rest;
                }
                let line = wide(dst.number, pseudo::FUNC, 0, 0);
                let targeted = self.with_target(line.insn)?;
                if !self.keyword("ll") {
                    return Err(self.expected("ll"));
                }
                Ok(Line { second: line.second, ..targeted })
            }
            "load_acquire" => {
                self.need("(")?;
                let mem = self.atomic_memory(true)?;
                self.need(")")?;
                if mem.size == op::DW && !dst.wide {
                    return Err(start);
                }
                let code = op::STX | op::ATOMIC | mem.size;
                let insn = Insn { code, dst: dst.number, src: mem.base, off: mem.off, imm: op::LOAD_ACQ };
                Ok(insn.into())
            }
            _ if word == exchange => {
                self.need("(")?;
                let (base, off) = self.address()?;
                self.fetched(dst)?;
                Ok(atomic(&Mem { size, signed: false, base, off }, dst.number, op::XCHG).into())
            }
            _ if word == compare => {
                if dst.number != 0 {
                    return Err(start);
                }
                self.need("(")?;
                let (base, off) = self.address()?;
                self.need(",")?;
                let zero = self.expected("register 0");
                if self.register()? != dst {
                    return Err(zero);
                }
                self.need(",")?;
                let src = self.register_of(dst.wide)?;
                self.need(")")?;
                Ok(atomic(&Mem { size, signed: false, base, off }, src, op::CMPXCHG).into())
            }
            _ => {
                let operation = word.strip_prefix("atomic_fetch_").and_then(|name| {
                    [op::ADD, op::OR, op::AND, op::XOR]
                        .into_iter()
                        .map(i32::from)
                        .find(|o| disasm::atomic_names(*o).is_some_and(|(n, _)| n == name))
                });
                let operation = operation.ok_or(start)?;
                self.need("(")?;
                let width = self.expected("a type as wide as the register");
                let mem = self.atomic_memory(false)?;
                if mem.size != size {
                    return Err(width);
                }
                self.fetched(dst)?;
                Ok(atomic(&mem, dst.number, operation | op::FETCH).into())
            }
        }
    }

    /// `, rN)` with the destination's register.
    fn fetched(&mut self, dst: Reg) -> Result<(), AsmProblem> {
        self.need(",")?;
        let same = self.expected("the same register");
        if self.register()? != dst {
            return Err(same);
        }
        self.need(")")
    }

    /// `[5]`.
    fn index(&mut self, field: &'static str) -> Result<i32, AsmProblem> {
        self.need("[")?;
        let value = narrow(self.number()?, field)?;
        self.need("]")?;
        Ok(value)
    }
}

fn atomic(mem: &Mem, src: u8, imm: i32) -> Insn {
    Insn { code: op::STX | op::ATOMIC | mem.size, dst: mem.base, src, off: mem.off, imm }
}

fn wide<'t>(dst: u8, src: u8, low: i32, high: i32) -> Line<'t> {
    let insn = Insn { code: op::LDDW, dst, src, off: 0, imm: low };
    Line { insn, second: Some(Insn { imm: high, ..Insn::default() }), target: None }
}
