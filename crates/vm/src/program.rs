//! Linked programs: what the loader makes and the engines run.

use std::sync::Arc;

use crate::contract::Callable;
use crate::insn::{Insn, op};
use crate::maps::Map;
use crate::validate;

/// One program with the functions it calls, all relocations done.
///
/// The entry is slot 0; functions follow in the order they were first called. It may refer only to
/// the maps and kfuncs listed here.
#[derive(Debug, Default)]
pub struct Program {
    /// Name of the C function.
    pub name: String,
    /// ELF section, e.g. `struct_ops/lookup_prefilter`.
    pub section: String,
    /// Whether the section asked for a program that may sleep (`struct_ops.s/`).
    pub sleepable: bool,
    /// The instructions.
    pub insns: Vec<Insn>,
    /// Maps the instructions refer to, by index.
    pub maps: Vec<Arc<Map>>,
    /// Kfuncs the instructions call, by index.
    pub kfuncs: Vec<&'static Callable>,
    /// Where each function starts, ascending; the first is the entry.
    pub functions: Vec<Function>,
    /// Source lines in ascending order of slot; each holds until the next.
    pub lines: Vec<LineEntry>,
    /// Instructions that must not be reached, in ascending order of slot; see
    /// [`crate::insn::poison`]. A poisoned 64-bit immediate load has one entry, for its first slot.
    pub poisons: Vec<Poison>,
    /// Where indirect jumps (`gotox`) may go.
    pub jump_tables: Vec<JumpTable>,
}

/// The table of a `switch`: a read-only map of one value, whose 64-bit words are slots of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JumpTable {
    /// Index of the map in [`Program::maps`].
    pub map: usize,
    /// First slot of the only function that may jump by it.
    pub function: usize,
    /// The slots in it, ascending, each once. All lie in the function, and an instruction starts there.
    pub targets: Vec<usize>,
}

/// A function inside a linked program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Function {
    /// First slot.
    pub start: usize,
    /// Name of the C function.
    pub name: String,
    /// What callers must give it, when it is global and so can be judged by itself: not static, not
    /// hidden, not a program's entry, and with type information.
    pub signature: Option<Signature>,
}

/// The arguments of a global function, from its prototype and the tags on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The arguments in order, R1 first. More than five cannot be passed.
    pub args: Vec<Argument>,
    /// Whether it gives nothing back: R0 has no meaning after it.
    pub void: bool,
}

/// What a global function may assume of one argument (Linux: `btf_prepare_func_args`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// Any number.
    Scalar,
    /// The program's own context: `__arg_ctx`.
    Context,
    /// Pointer to this many bytes of memory.
    Mem {
        /// Size in bytes.
        size: u64,
        /// Whether it may be null: no `__arg_nonnull`, and no `__arg_trusted` without `__arg_nullable`.
        nullable: bool,
    },
    /// Pointer to an initialised dynptr.
    Dynptr,
    /// Something that cannot be judged by its type: a pointer to what has no size, a struct by value.
    Unknown,
}

/// An instruction that must not be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poison {
    /// Its slot.
    pub slot: usize,
    /// What it needs.
    pub missing: Missing,
}

/// What an instruction needs and does not exist here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Missing {
    /// Something of a type.
    #[error("unresolved CO-RE relocation {0}; test with bpf_core_field_exists and the like first")]
    Core(Arc<str>),
    /// A weak kfunc.
    #[error("call of weak kfunc `{0}`, which is not offered; test its address first")]
    Kfunc(Arc<str>),
}

/// The source of the instructions from one slot on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineEntry {
    /// First slot.
    pub slot: usize,
    /// Where it comes from.
    pub line: SourceLine,
}

/// A line of C, from `.BTF.ext`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLine {
    /// File as the compiler was given it.
    pub file: Arc<str>,
    /// 1-based line.
    pub line: u32,
    /// 1-based column.
    pub column: u32,
    /// The text of the line, if the compiler kept it.
    pub text: Arc<str>,
}

impl std::fmt::Display for SourceLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)?;
        if !self.text.trim().is_empty() {
            write!(f, ": {}", self.text.trim())?;
        }
        Ok(())
    }
}

impl Program {
    /// The source line of a slot, when the object carries line information.
    pub fn line(&self, slot: usize) -> Option<&SourceLine> {
        let after = self.lines.partition_point(|entry| entry.slot <= slot);
        after.checked_sub(1).map(|i| &self.lines[i].line)
    }

    /// What the instruction at a slot needs and does not exist, if it must not be reached.
    pub fn poison(&self, slot: usize) -> Option<&Missing> {
        let found = self.poisons.binary_search_by_key(&slot, |poison| poison.slot).ok()?;
        self.poisons.get(found).map(|poison| &poison.missing)
    }

    /// The slot an indirect jump at slot `from` to `target` leads to; `None` when no table of its function
    /// has it.
    pub fn may_jump(&self, from: usize, target: u64) -> Option<usize> {
        let target = usize::try_from(target).ok()?;
        let function = self.function(from)?.start;
        let mut tables = self.jump_tables.iter().filter(|table| table.function == function);
        tables.any(|table| table.targets.binary_search(&target).is_ok()).then_some(target)
    }

    /// Where the instruction at a slot may jump to in its function: nowhere if it is no jump, to every entry
    /// of the function's tables if it is an indirect one, some perhaps more than once.
    pub(crate) fn targets(&self, slot: usize) -> impl Iterator<Item = usize> + '_ {
        let insn = self.insns[slot];
        let direct = insn.is_jump().then(|| validate::target(slot, insn)).flatten();
        let tables = if insn.code == op::GOTOX { &self.jump_tables[..] } else { &[] };
        let function = self.function(slot).map_or(0, |function| function.start);
        let indirect = tables.iter().filter(move |table| table.function == function);
        let direct = direct.and_then(|target| usize::try_from(target).ok());
        direct.into_iter().chain(indirect.flat_map(|table| table.targets.iter().copied()))
    }

    /// The function a slot lies in.
    pub fn function(&self, slot: usize) -> Option<&Function> {
        let after = self.functions.partition_point(|f| f.start <= slot);
        after.checked_sub(1).map(|i| &self.functions[i])
    }
}
