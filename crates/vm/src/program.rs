//! Linked programs: what the loader makes and the engines run.

use std::sync::Arc;

use crate::contract::Callable;
use crate::insn::Insn;
use crate::maps::Map;

/// One program with the functions it calls, all relocations done.
///
/// The entry is slot 0; functions follow in the order they were first called. It may refer only to
/// the maps and kfuncs listed here.
#[derive(Debug)]
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
}

/// A function inside a linked program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// First slot.
    pub start: usize,
    /// Name of the C function.
    pub name: String,
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

    /// The function a slot lies in.
    pub fn function(&self, slot: usize) -> Option<&Function> {
        let after = self.functions.partition_point(|f| f.start <= slot);
        after.checked_sub(1).map(|i| &self.functions[i])
    }
}
