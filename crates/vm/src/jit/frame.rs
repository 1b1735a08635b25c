//! Which bytes of its frame a function may see before it writes them: these are zeroed when it starts.
//!
//! Pointers to the frame are followed through registers. Where one is lost from sight, on the stack, in a
//! function that is called or in arithmetic with unknown numbers, all of the frame is zeroed.

use std::collections::HashMap;

use super::shape::{Shape, Site};
use crate::contract::ArgKind;
use crate::insn::{Insn, op};
use crate::interp::FRAME_SIZE;
use crate::program::Program;

/// Words of a frame.
const WORDS: usize = FRAME_SIZE / 8;

/// Words of a frame to be zeroed: bit 0 is the word that ends at the end of the frame, and so on down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Zeroed(u64);

impl Zeroed {
    const ALL: Zeroed = Zeroed(u64::MAX);

    /// All words from `off`, which is negative, to the end of the frame.
    fn from(off: i64) -> Zeroed {
        match off {
            0.. => Zeroed(0),
            _ => match (off.unsigned_abs() as usize).div_ceil(8) {
                WORDS.. => Zeroed::ALL,
                count => Zeroed((1 << count) - 1),
            },
        }
    }

    /// Whether there is one.
    pub(super) fn any(self) -> bool {
        self.0 != 0
    }

    /// Where to store zeros, as offset from the end of the frame and count of words, one or two, in
    /// descending order.
    pub(super) fn stores(self) -> impl Iterator<Item = (i32, usize)> {
        let mut rest = self.0;
        let mut done = 0;
        std::iter::from_fn(move || {
            if rest == 0 {
                return None;
            }
            let skipped = rest.trailing_zeros();
            rest >>= skipped;
            let count = if rest & 2 != 0 { 2 } else { 1 };
            rest = rest.checked_shr(count).unwrap_or(0);
            done += skipped + count;
            Some((-8 * done as i32, count as usize))
        })
    }
}

/// What a register holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    /// No pointer to the frame.
    Other,
    /// The end of the frame plus this.
    At(i64),
    /// One thing on one path and another on another.
    Mixed,
}

impl Value {
    /// The offset, if it is a pointer that is used.
    fn offset(self) -> Result<Option<i64>, Lost> {
        match self {
            Value::Other => Ok(None),
            Value::At(off) => Ok(Some(off)),
            Value::Mixed => Err(Lost),
        }
    }
}

/// A pointer to the frame was lost from sight.
struct Lost;

/// R0 to R10.
type Registers = [Value; 11];

/// The words of a function's frame that have to be zeroed.
pub(super) fn zeroed(
    program: &Program,
    sites: &HashMap<usize, Site>,
    functions: &[Shape],
    shape: &Shape,
) -> Zeroed {
    match lowest(program, sites, functions, shape) {
        Ok(off) => Zeroed(Zeroed::from(off).0 & !written_first(program, shape)),
        Err(Lost) => Zeroed(Zeroed::ALL.0 & !written_first(program, shape)),
    }
}

/// The least offset from the end of the frame that is accessed.
fn lowest(
    program: &Program,
    sites: &HashMap<usize, Site>,
    functions: &[Shape],
    shape: &Shape,
) -> Result<i64, Lost> {
    let start = shape.slots.start;
    let mut at_start = [Value::Other; 11];
    at_start[10] = Value::At(0);
    let mut known: HashMap<usize, Registers> = HashMap::from([(start, at_start)]);
    let mut open = vec![start];
    let mut lowest = 0;
    while let Some(leader) = open.pop() {
        let Some(&(mut registers)) = known.get(&leader) else { continue };
        let mut slot = leader;
        loop {
            let insn = program.insns[slot];
            let mut flows_to = |target: usize, registers: &Registers| {
                let both = match known.get(&target) {
                    Some(old) => {
                        std::array::from_fn(|i| if old[i] == registers[i] { old[i] } else { Value::Mixed })
                    }
                    None => *registers,
                };
                if known.insert(target, both) != Some(both) {
                    open.push(target);
                }
            };
            step(insn, passed(sites.get(&slot), functions), &mut registers, &mut lowest)?;
            for target in program.targets(slot) {
                flows_to(target, &registers);
            }
            if insn.is_goto() || insn.code == op::EXIT_INSN {
                break;
            }
            slot += 1 + usize::from(insn.is_wide());
            match shape.leaders.get(slot - start) {
                Some(false) => {}
                Some(true) => {
                    flows_to(slot, &registers);
                    break;
                }
                None => break,
            }
        }
    }
    Ok(lowest)
}

/// What a call passes on.
fn passed(site: Option<&Site>, functions: &[Shape]) -> &'static [ArgKind] {
    // To other functions as to callbacks.
    const LOCAL: &[ArgKind] = &[ArgKind::CallbackContext; 5];
    match site {
        Some(Site::Out(callable)) => callable.args,
        Some(Site::Array(_) | Site::Hash(_)) => &[ArgKind::Scalar, ArgKind::Key],
        Some(Site::Local(callee)) => &LOCAL[..functions[*callee].args],
        Some(Site::Slot) | None => &[],
    }
}

/// Follows one instruction.
fn step(insn: Insn, passed: &[ArgKind], registers: &mut Registers, lowest: &mut i64) -> Result<(), Lost> {
    let (dst, src) = (insn.dst as usize % 11, insn.src as usize % 11);
    let mut access = |base: Value| {
        if let Some(off) = base.offset()? {
            *lowest = (*lowest).min(off + i64::from(insn.off));
        }
        Ok(())
    };
    match insn.class() {
        op::LDX => {
            access(registers[src])?;
            registers[dst] = Value::Other;
        }
        op::LD => registers[dst] = Value::Other,
        op::ST => access(registers[dst])?,
        op::STX if insn.code & 0xe0 == op::ATOMIC && insn.imm == op::LOAD_ACQ => {
            access(registers[src])?;
            registers[dst] = Value::Other;
        }
        op::STX => {
            if registers[src].offset()?.is_some() {
                return Err(Lost);
            }
            access(registers[dst])?;
            if insn.code & 0xe0 == op::ATOMIC && insn.imm == op::CMPXCHG {
                registers[0] = Value::Other;
            }
        }
        op::ALU | op::ALU64 => {
            let x = insn.code & op::X != 0 && insn.code & 0xf0 != op::END;
            let operand = if x { registers[src] } else { Value::Other };
            let wide = insn.class() == op::ALU64;
            registers[dst] = match (insn.code & 0xf0, registers[dst], operand) {
                (op::MOV, _, Value::Other) => Value::Other,
                (op::MOV, _, value) if wide && insn.off == 0 => value,
                (_, Value::Other, Value::Other) => Value::Other,
                (op::ADD, Value::At(off), _) if wide && !x => Value::At(off + i64::from(insn.imm)),
                (op::SUB, Value::At(off), _) if wide && !x => Value::At(off - i64::from(insn.imm)),
                _ => return Err(Lost),
            };
        }
        _ if insn.code == op::CALL_IMM => {
            for (kind, value) in passed.iter().zip(&registers[1..]) {
                match (kind, value.offset()?) {
                    (_, None) => {}
                    // The function that gets it may go down from there.
                    (ArgKind::CallbackContext, _) => return Err(Lost),
                    (_, Some(off)) => *lowest = (*lowest).min(off),
                }
            }
            registers[..6].fill(Value::Other);
        }
        _ => {}
    }
    Ok(())
}

/// Words that are written whole before anything else happens to the stack.
fn written_first(program: &Program, shape: &Shape) -> u64 {
    let mut bytes = [false; FRAME_SIZE];
    let start = shape.slots.start;
    let mut slot = start;
    // Whether another register may point to the frame.
    let mut copied = false;
    while let Some(&insn) = program.insns.get(slot) {
        if slot != start && shape.leaders.get(slot - start) != Some(&false) {
            break;
        }
        match insn.class() {
            op::ST | op::STX if insn.code & 0xe0 == op::MEM && insn.dst == 10 => {
                let len = match insn.code & 0x18 {
                    op::B => 1,
                    op::H => 2,
                    op::W => 4,
                    _ => 8,
                };
                let first = usize::try_from(FRAME_SIZE as i64 + i64::from(insn.off)).ok();
                if let Some(written) = first.and_then(|first| bytes.get_mut(first..first + len)) {
                    written.fill(true);
                }
            }
            op::LDX if insn.src != 10 && !copied => {}
            op::ALU | op::ALU64 => copied |= insn.code & op::X != 0 && insn.src == 10,
            op::LD => {}
            _ => break,
        }
        slot += 1 + usize::from(insn.is_wide());
    }
    let whole = |word: &usize| bytes[FRAME_SIZE - 8 * (word + 1)..][..8].iter().all(|&byte| byte);
    (0..WORDS).filter(whole).fold(0, |words, word| words | 1 << word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asm::assemble;
    use crate::jit::shape;
    use crate::program::Function;
    use crate::verify::Facts;

    fn words(text: &str, functions: &[usize]) -> u64 {
        let program = Program {
            name: "f".into(),
            insns: assemble(text).unwrap(),
            functions: functions
                .iter()
                .map(|&start| Function { start, name: "f".into(), ..Function::default() })
                .collect(),
            ..Program::default()
        };
        shape::of(&program, &Facts::default()).unwrap().functions[0].zeroed.0
    }

    #[test]
    fn what_is_read_is_zeroed_and_what_is_written_first_is_not() {
        assert_eq!(words("r0 = 0\nexit", &[0]), 0);
        assert_eq!(words("r0 = *(u64 *)(r10 - 16)\nexit", &[0]), 3);
        assert_eq!(words("*(u64 *)(r10 - 16) = 1\nr0 = *(u64 *)(r10 - 16)\nexit", &[0]), 1);
        assert_eq!(words("*(u32 *)(r10 - 8) = 1\nr0 = *(u64 *)(r10 - 8)\nexit", &[0]), 1);
        assert_eq!(words("*(u32 *)(r10 - 8) = 1\n*(u32 *)(r10 - 4) = 1\nr0 = 0\nexit", &[0]), 0);
        assert_eq!(words("r2 = r10\nr2 += -24\nr0 = *(u8 *)(r2 + 9)\nexit", &[0]), 3);
        assert_eq!(words("if r1 == 0 goto +1\n*(u64 *)(r10 - 8) = 1\nr0 = *(u64 *)(r10 - 8)\nexit", &[0]), 1);
        let key = "*(u32 *)(r10 - 4) = 7\nr2 = r10\nr2 += -4\ncall 1\nr0 = 0\nexit";
        assert_eq!(words(key, &[0]), 1);
        let key = "r1 = 0\n*(u64 *)(r10 - 8) = r1\nr2 = r10\nr2 += -8\ncall 1\nr0 = 0\nexit";
        assert_eq!(words(key, &[0]), 0);
    }

    #[test]
    fn all_is_zeroed_where_a_pointer_is_lost() {
        assert_eq!(words("r2 = r10\nr2 += r1\nr0 = *(u8 *)(r2 - 9)\nexit", &[0]), u64::MAX);
        assert_eq!(words("*(u64 *)(r10 - 8) = r10\nr0 = 0\nexit", &[0]), !1);
        assert_eq!(words("r1 = r10\ncall pc+1\nexit\nr0 = *(u8 *)(r1 - 9)\nexit", &[0, 3]), u64::MAX);
        let merged = "r2 = r10\nif r1 == 0 goto +1\nr2 += -8\nr0 = *(u8 *)(r2 - 1)\nexit";
        assert_eq!(words(merged, &[0]), u64::MAX);
        // One that is used no more is none that matters.
        let dead = "r6 = r10\nif r1 == 0 goto +1\nr6 = 0\nr0 = *(u8 *)(r10 - 1)\nexit";
        assert_eq!(words(dead, &[0]), 1);
        // A loop that does not change the pointer.
        let steady = "r2 = r10\nr2 += -8\nr1 += -1\nr0 = *(u8 *)(r2 + 0)\nif r1 != 0 goto -3\nexit";
        assert_eq!(words(steady, &[0]), 1);
    }

    #[test]
    fn stores_cover_the_words() {
        let stores = |bits| Zeroed(bits).stores().collect::<Vec<_>>();
        assert_eq!(stores(0), []);
        assert_eq!(stores(1), [(-8, 1)]);
        assert_eq!(stores(0b1011), [(-16, 2), (-32, 1)]);
        assert_eq!(stores(u64::MAX).len(), 32);
        assert_eq!(stores(u64::MAX).last(), Some(&(-512, 2)));
        assert_eq!(stores(1 << 63), [(-512, 1)]);
    }
}
