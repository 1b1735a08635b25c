//! Programs: each entry function with all it calls, relocated.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use super::Context;
use super::LoadError;
use super::MAX_ITEMS;
use super::MAX_MODULE_SLOTS;
use super::MAX_PROGRAM_SLOTS;
use super::Meaning;
use super::core::Problem;
use super::external;
use super::external::External;
use super::info;
use super::jumps;
use crate::btf::Class;
use crate::btf::LineInfo;
use crate::contract::Callable;
use crate::contract::Contract;
use crate::helpers;
use crate::insn::Insn;
use crate::insn::op;
use crate::insn::poison;
use crate::insn::pseudo;
use crate::maps::Map;
use crate::object::Place;
use crate::object::Relocation;
use crate::object::Section;
use crate::object::SectionKind;
use crate::object::Symbol;
use crate::object::SymbolKind;
use crate::object::reloc;
use crate::program::Function;
use crate::program::JumpTable;
use crate::program::LineEntry;
use crate::program::Missing;
use crate::program::Poison;
use crate::program::Program;
use crate::validate;
use crate::validate::InsnProblem;

/// A function of the object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Func<'d> {
    pub(super) name: &'d str,
    pub(super) section: usize,
    /// First slot in the section.
    pub(super) start: usize,
    /// Length in slots.
    pub(super) len: usize,
    /// A program of its own: global, in a program section.
    pub(super) entry: bool,
    /// Neither static nor hidden.
    pub(super) global: bool,
}

/// The functions of a section and what is known about its instructions.
#[derive(Debug, Default)]
pub(super) struct Code {
    /// The instructions, CO-RE relocations applied.
    pub(super) insns: Vec<Insn>,
    /// Index of the function that starts at a slot.
    functions: BTreeMap<usize, usize>,
    /// Source lines in ascending order of slot, at most one each.
    pub(super) lines: Vec<LineInfo>,
    /// Types of functions by their first slot.
    pub(super) types: HashMap<usize, u32>,
    /// By slot, what an instruction needs that does not exist.
    pub(super) poisons: BTreeMap<usize, Arc<str>>,
    /// CO-RE relocations that are wrong, by slot.
    pub(super) problems: BTreeMap<usize, Problem>,
}

/// Makes programs of functions.
pub(super) struct Linker<'a, 'd> {
    pub(super) context: &'a Context<'d>,
    pub(super) kfuncs: HashMap<&'static str, &'static Callable>,
    /// Prototypes of kfuncs as the object declares them.
    pub(super) prototypes: HashMap<&'a str, u32>,
    pub(super) tags: info::Tags<'a>,
    helpers: HashSet<u32>,
    functions: Vec<Func<'d>>,
    /// By section.
    pub(super) code: Vec<Code>,
    /// Names of `.ksyms` variables.
    pub(super) variables: HashSet<&'a str>,
    /// Source texts by offset in the BTF strings.
    pub(super) texts: HashMap<u32, Arc<str>>,
    /// Programs made so far by function.
    programs: BTreeMap<usize, Arc<Program>>,
    /// Slots that may still be linked.
    room: usize,
    /// Words of jump tables that may still be linked.
    pub(super) jump_words: Cell<usize>,
    notes: Vec<String>,
}

/// A program in the making.
#[derive(Default)]
pub(super) struct Draft {
    insns: Vec<Insn>,
    /// Functions in order, and their start by function: `usize::MAX` until they are appended.
    order: Vec<usize>,
    starts: HashMap<usize, usize>,
    /// References to functions: slot and function.
    calls: Vec<(usize, usize)>,
    /// What it refers to, and the index of the object's maps in it.
    maps: Vec<MapRef>,
    map_index: HashMap<usize, i32>,
    kfuncs: Vec<&'static Callable>,
    kfunc_index: HashMap<&'static str, i32>,
    pub(super) lines: Vec<LineEntry>,
    poisons: Vec<Poison>,
    pub(super) jump_tables: Vec<JumpTable>,
    /// The map of a table by slot of its function and offset in its section.
    pub(super) table_index: HashMap<(usize, u64), i32>,
}

/// A map of a program.
enum MapRef {
    /// One of the object's, by index.
    Shared(usize),
    /// One of the program alone.
    Own(Arc<Map>),
}

impl Draft {
    /// Adds a map of the program alone.
    pub(super) fn own_map(&mut self, map: Arc<Map>) -> i32 {
        self.maps.push(MapRef::Own(map));
        self.maps.len() as i32 - 1
    }

    fn map(&mut self, map: usize) -> i32 {
        let next = self.maps.len() as i32;
        let index = *self.map_index.entry(map).or_insert(next);
        if index == next {
            self.maps.push(MapRef::Shared(map));
        }
        index
    }

    fn kfunc(&mut self, kfunc: &'static Callable) -> i32 {
        let next = self.kfuncs.len() as i32;
        let index = *self.kfunc_index.entry(kfunc.name).or_insert(next);
        if index == next {
            self.kfuncs.push(kfunc);
        }
        index
    }

    /// Notes that `slot` refers to a function, which is appended if it is new.
    fn refer(&mut self, slot: usize, function: usize) {
        self.starts.entry(function).or_insert_with(|| {
            self.order.push(function);
            usize::MAX
        });
        self.calls.push((slot, function));
    }
}

impl<'a, 'd> Linker<'a, 'd> {
    /// Finds the functions of the object.
    pub(super) fn new(context: &'a Context<'d>, contract: &Contract) -> Result<Self, LoadError> {
        // What the embedder declares goes before what the machine has.
        let kfuncs = helpers::KFUNCS.iter().chain(contract.kfuncs).map(|kfunc| (kfunc.name, kfunc)).collect();
        let variables = context
            .btf
            .sections()
            .filter(|(_, name, _)| *name == ".ksyms")
            .flat_map(|(_, _, vars)| vars)
            .filter(|var| context.btf.kind(var.ty).is_some_and(|k| k.class() == Some(Class::Var)))
            .map(|var| context.btf.name(var.ty))
            .collect();
        let mut linker = Linker {
            context,
            kfuncs,
            prototypes: external::prototypes(&context.btf),
            tags: info::tags(&context.btf),
            helpers: helpers::HELPERS.iter().map(|helper| helper.id).collect(),
            functions: Vec::new(),
            code: Vec::new(),
            variables,
            texts: HashMap::new(),
            programs: BTreeMap::new(),
            room: MAX_MODULE_SLOTS,
            jump_words: Cell::new(jumps::MAX_WORDS),
            notes: Vec::new(),
        };
        linker.read_code()?;
        linker.read_functions()?;
        linker.read_info(contract)?;
        Ok(linker)
    }

    fn malformed(&self, section: usize, offset: u64, reason: &'static str) -> LoadError {
        let section = self.section_name(section);
        LoadError::Malformed { section, offset, reason }
    }

    pub(super) fn section_name(&self, section: usize) -> String {
        self.context.section(section).map_or("", |s| s.name).to_owned()
    }

    /// Decodes the instructions of every code section.
    fn read_code(&mut self) -> Result<(), LoadError> {
        // Sections do not overlap in an honest file; this bounds what a dishonest one makes us copy.
        let mut room = crate::object::MAX_OBJECT;
        for (index, section) in self.context.object.sections.iter().enumerate() {
            let mut code = Code::default();
            if section.kind.is_code() {
                let (slots, rest) = section.data.as_chunks();
                if !rest.is_empty() {
                    return Err(self.malformed(index, section.size, "ends in the middle of an instruction"));
                }
                room = room
                    .checked_sub(section.data.len())
                    .ok_or_else(|| self.malformed(index, 0, "code sections overlap"))?;
                code.insns = slots.iter().map(|slot| Insn::decode(*slot)).collect();
                let slot = |r: &Relocation| r.offset / Insn::SIZE as u64;
                for pair in section.relocations.windows(2) {
                    if let [first, second] = pair
                        && slot(first) == slot(second)
                    {
                        return Err(self.malformed(
                            index,
                            second.offset,
                            "two relocations for one instruction",
                        ));
                    }
                }
                if let Some(r) = section.relocations.iter().find(|r| r.offset % Insn::SIZE as u64 != 0) {
                    return Err(self.relocation(index, r, "offset is not that of an instruction"));
                }
            }
            self.code.push(code);
        }
        Ok(())
    }

    /// Makes functions of the symbols.
    fn read_functions(&mut self) -> Result<(), LoadError> {
        for symbol in &self.context.object.symbols {
            let Place::Section(section) = symbol.place else { continue };
            let Some(kind) = self.context.section(section).map(|s| s.kind) else { continue };
            if symbol.kind != SymbolKind::Func || !kind.is_code() {
                continue;
            }
            let slots = self.code.get(section).map_or(0, |c| c.insns.len());
            let size = Insn::SIZE as u64;
            let aligned = symbol.value % size == 0 && symbol.size % size == 0;
            let start = usize::try_from(symbol.value / size).ok().filter(|start| *start < slots);
            let len = usize::try_from(symbol.size / size).ok();
            let (true, Some(start), Some(len)) = (aligned, start, len) else {
                return Err(self.malformed(section, symbol.value, "function is not made of instructions"));
            };
            if len > slots - start {
                return Err(self.malformed(section, symbol.value, "function leaves its section"));
            }
            let entry = symbol.global && matches!(kind, SectionKind::Program { .. });
            let global = symbol.global && !symbol.hidden;
            let index = self.functions.len();
            if let Some(code) = self.code.get_mut(section) {
                // Aliases are one function, under its first name.
                let known = *code.functions.entry(start).or_insert(index);
                if known == index {
                    self.functions.push(Func { name: symbol.name, section, start, len, entry, global });
                } else if let Some(known) = self.functions.get_mut(known) {
                    known.entry |= entry;
                    known.global |= global;
                    known.len = known.len.max(len);
                }
            }
        }
        // Assemblers may leave out sizes: such a function ends where the next begins.
        for code in &self.code {
            let mut end = code.insns.len();
            for (start, index) in code.functions.iter().rev() {
                if let Some(function) = self.functions.get_mut(*index)
                    && function.len == 0
                {
                    function.len = end - start;
                }
                end = *start;
            }
        }
        Ok(())
    }

    /// Links every program; an optional one that cannot be linked is left out, unless a set asks
    /// for it later.
    pub(super) fn link_all(&mut self) -> Result<(), LoadError> {
        for index in 0..self.functions.len() {
            let Some(function) = self.functions.get(index).copied().filter(|f| f.entry) else { continue };
            let kind = self.context.section(function.section).map(|s| s.kind);
            match self.link(index) {
                Ok(_) => {}
                Err(LoadError::TooLarge { what, limit }) => return Err(LoadError::TooLarge { what, limit }),
                Err(error) if matches!(kind, Some(SectionKind::Program { optional: true, .. })) => {
                    self.notes.push(format!("optional program `{}` is left out: {error}", function.name));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// All programs made, sorted by section and place in it, and notes for the author.
    pub(super) fn finish(mut self) -> (Vec<Arc<Program>>, Vec<String>) {
        let mut programs: Vec<_> = std::mem::take(&mut self.programs).into_iter().collect();
        programs.sort_by_key(|(index, _)| self.functions.get(*index).map(|f| (f.section, f.start)));
        (programs.into_iter().map(|(_, program)| program).collect(), self.notes)
    }

    /// The program whose first instruction is at `address` of a section; `None` when no function
    /// starts there or the section holds no programs.
    pub(super) fn program_at(
        &mut self,
        section: usize,
        address: u64,
    ) -> Result<Option<Arc<Program>>, LoadError> {
        let kind = self.context.section(section).map(|s| s.kind);
        if !matches!(kind, Some(SectionKind::Program { .. })) {
            return Ok(None);
        }
        match self.function_at(section, address) {
            Some(function) => self.link(function).map(Some),
            None => Ok(None),
        }
    }

    /// The function that starts at a byte offset.
    fn function_at(&self, section: usize, offset: u64) -> Option<usize> {
        if !offset.is_multiple_of(Insn::SIZE as u64) {
            return None;
        }
        let slot = usize::try_from(offset / Insn::SIZE as u64).ok()?;
        self.code.get(section)?.functions.get(&slot).copied()
    }

    /// Links the program that starts with a function, unless that has been done.
    fn link(&mut self, entry: usize) -> Result<Arc<Program>, LoadError> {
        if let Some(program) = self.programs.get(&entry) {
            return Ok(Arc::clone(program));
        }
        if self.programs.len() >= MAX_ITEMS || self.notes.len() >= MAX_ITEMS {
            return Err(LoadError::TooLarge { what: "programs", limit: MAX_ITEMS as u64 });
        }
        let mut draft = Draft { order: vec![entry], ..Draft::default() };
        draft.starts.insert(entry, 0);
        let mut next = 0;
        while let Some(&function) = draft.order.get(next) {
            self.append(&mut draft, function)?;
            next += 1;
        }
        for (slot, function) in std::mem::take(&mut draft.calls) {
            let start = draft.starts.get(&function).copied().unwrap_or(0);
            if let Some(insn) = draft.insns.get_mut(slot) {
                // Programs have at most 2^20 slots.
                insn.imm = (start as i64 - slot as i64 - 1) as i32;
            }
        }
        draft.poisons.sort_by_key(|poison| poison.slot);
        let program = Arc::new(self.complete(draft, entry)?);
        self.programs.insert(entry, Arc::clone(&program));
        Ok(program)
    }

    fn complete(&self, draft: Draft, entry: usize) -> Result<Program, LoadError> {
        let mut functions = Vec::with_capacity(draft.order.len());
        for index in &draft.order {
            let Some(function) = self.functions.get(*index) else { continue };
            functions.push(Function {
                start: draft.starts.get(index).copied().unwrap_or(0),
                name: function.name.to_owned(),
                signature: self.signature(function),
            });
        }
        let explain = |slot: usize, problem: InsnProblem| {
            let nth = functions.partition_point(|f| f.start <= slot).saturating_sub(1);
            let start = functions.get(nth).map_or(0, |f| f.start);
            let function = draft.order.get(nth).and_then(|index| self.functions.get(*index));
            let place = function.map_or(0, |f| f.start) + slot.saturating_sub(start);
            LoadError::Instruction {
                section: self.section_name(function.map_or(0, |f| f.section)),
                offset: (place * Insn::SIZE) as u64,
                problem: problem.shifted(place as i64 - slot as i64),
            }
        };
        validate::check_insns(&draft.insns, &functions).map_err(|e| explain(e.slot, e.problem))?;
        for (i, function) in functions.iter().enumerate() {
            let end = functions.get(i + 1).map_or(draft.insns.len(), |next| next.start);
            let body = draft.insns.get(function.start..end).unwrap_or_default();
            if let Some(at) = jumps::without_table(body, function.start, &draft.jump_tables) {
                return Err(explain(function.start + at, InsnProblem::IndirectJump));
            }
        }
        let function = self.functions.get(entry);
        let section = function.and_then(|f| self.context.section(f.section));
        Ok(Program {
            name: function.map_or("", |f| f.name).to_owned(),
            section: section.map_or("", |s| s.name).to_owned(),
            sleepable: matches!(section.map(|s| s.kind), Some(SectionKind::Program { sleepable: true, .. })),
            insns: draft.insns,
            maps: draft
                .maps
                .into_iter()
                .filter_map(|map| match map {
                    MapRef::Shared(index) => self.context.maps.get(index).cloned(),
                    MapRef::Own(map) => Some(map),
                })
                .collect(),
            kfuncs: draft.kfuncs,
            functions,
            lines: draft.lines,
            poisons: draft.poisons,
            jump_tables: draft.jump_tables,
        })
    }

    /// Appends a function's instructions, relocated but for references to functions.
    fn append(&mut self, draft: &mut Draft, index: usize) -> Result<(), LoadError> {
        let Some(function) = self.functions.get(index).copied() else { return Ok(()) };
        let base = draft.insns.len();
        draft.starts.insert(index, base);
        if function.len > MAX_PROGRAM_SLOTS - base {
            return Err(LoadError::TooLarge { what: "slots of a program", limit: MAX_PROGRAM_SLOTS as u64 });
        }
        self.room = self
            .room
            .checked_sub(function.len)
            .ok_or(LoadError::TooLarge { what: "slots of all programs", limit: MAX_MODULE_SLOTS as u64 })?;
        let range = function.start..function.start + function.len;
        let (Some(code), Some(section)) =
            (self.code.get(function.section), self.context.section(function.section))
        else {
            return Ok(());
        };
        let at = |slot: usize| (slot * Insn::SIZE) as u64;
        if let Some((slot, problem)) = code.problems.range(range.clone()).next() {
            return Err(LoadError::Core {
                section: section.name.to_owned(),
                offset: at(*slot),
                relocation: problem.relocation.clone(),
                reason: problem.reason.clone(),
            });
        }
        let poisons = code.poisons.range(range.clone()).map(|(slot, missing)| Poison {
            slot: base + slot - range.start,
            missing: Missing::Core(Arc::clone(missing)),
        });
        draft.poisons.extend(poisons);
        draft.insns.extend_from_slice(code.insns.get(range.clone()).unwrap_or_default());
        let first = section.relocations.partition_point(|r| r.offset < at(range.start));
        let mut relocations = section.relocations.get(first..).unwrap_or_default().iter().peekable();
        let mut slot = range.start;
        while slot < range.end {
            let target = base + slot - range.start;
            let relocation = relocations.next_if(|r| r.offset == at(slot));
            let wide = draft.insns.get(target).is_some_and(|insn| insn.is_wide());
            match relocation {
                Some(relocation) => self.relocate(draft, target, (&function, base), relocation)?,
                None => self.leave(draft, target, &function, slot)?,
            }
            if wide && slot + 1 < range.end {
                slot += 1;
                if let Some(relocation) = relocations.next_if(|r| r.offset == at(slot)) {
                    return Err(self.relocation(
                        function.section,
                        relocation,
                        "lies inside a 64-bit immediate load",
                    ));
                }
            }
            slot += 1;
        }
        self.append_lines(draft, &function, base);
        Ok(())
    }

    /// An error about a relocation.
    pub(super) fn relocation(
        &self,
        section: usize,
        relocation: &Relocation,
        reason: &'static str,
    ) -> LoadError {
        let symbol = self.context.object.symbols.get(relocation.symbol);
        LoadError::Relocation {
            section: self.section_name(section),
            offset: relocation.offset,
            kind: relocation.kind,
            symbol: symbol.map_or("", |s| self.context.symbol_name(s)).to_owned(),
            reason,
        }
    }

    /// Handles an instruction without relocation: calls of helpers, and of functions in the same
    /// section whose distance the compiler knew.
    fn leave(
        &self,
        draft: &mut Draft,
        target: usize,
        function: &Func<'d>,
        slot: usize,
    ) -> Result<(), LoadError> {
        let Some(insn) = draft.insns.get(target).copied() else { return Ok(()) };
        let section = || self.section_name(function.section);
        let offset = (slot * Insn::SIZE) as u64;
        let local = match (insn.code, insn.src) {
            (op::CALL_IMM, pseudo::CALL_HELPER) => {
                let poisons = self.code.get(function.section).map(|code| &code.poisons);
                // Both slots of a poisoned 64-bit immediate load are such calls.
                let mut around = poisons.into_iter().flat_map(|p| p.range(slot.saturating_sub(1)..=slot));
                if insn.imm == poison::CORE && around.next().is_some() {
                    return Ok(());
                }
                let known = u32::try_from(insn.imm).is_ok_and(|id| self.helpers.contains(&id));
                if !known {
                    return Err(LoadError::UnknownHelper { section: section(), offset, id: insn.imm });
                }
                false
            }
            (op::CALL_IMM, pseudo::CALL_LOCAL) | (op::LDDW, pseudo::FUNC) => true,
            (op::CALL_IMM, src) => return Err(LoadError::Unlinked { section: section(), offset, src }),
            (op::LDDW, src) if src != pseudo::IMM64 => {
                return Err(LoadError::Unlinked { section: section(), offset, src });
            }
            _ => false,
        };
        if local {
            let callee = slot as i64 + 1 + i64::from(insn.imm);
            let found = usize::try_from(callee)
                .ok()
                .and_then(|callee| self.code.get(function.section)?.functions.get(&callee).copied());
            let Some(found) = found else {
                let problem = InsnProblem::NotAFunction { target: callee };
                return Err(LoadError::Instruction { section: section(), offset, problem });
            };
            draft.refer(target, found);
        }
        Ok(())
    }

    /// Applies a relocation to the instruction at slot `target` of the draft.
    fn relocate(
        &self,
        draft: &mut Draft,
        target: usize,
        within: (&Func<'d>, usize),
        relocation: &Relocation,
    ) -> Result<(), LoadError> {
        let section = within.0.section;
        let bad = |reason| self.relocation(section, relocation, reason);
        let symbol = self.context.object.symbols.get(relocation.symbol);
        let symbol = *symbol.ok_or_else(|| bad("there is no such symbol"))?;
        let insn = draft.insns.get(target).copied().unwrap_or_default();
        match (relocation.kind, insn.code) {
            (reloc::R_BPF_64_32, op::CALL_IMM) => {
                self.relocate_call(draft, target, insn, section, relocation, &symbol)
            }
            (reloc::R_BPF_64_64, op::LDDW) => {
                let second = draft.insns.get(target + 1).copied();
                let second = second.ok_or_else(|| bad("64-bit immediate load is cut short"))?;
                if second.imm != 0 && second.imm != insn.imm >> 31 {
                    return Err(bad("addend does not fit 32 bits"));
                }
                let (src, low, high) =
                    self.relocate_wide(draft, target, insn, within, relocation, &symbol)?;
                if let Some(insn) = draft.insns.get_mut(target) {
                    (insn.src, insn.imm) = (src, low);
                }
                if let Some(second) = draft.insns.get_mut(target + 1) {
                    second.imm = high;
                }
                Ok(())
            }
            (reloc::R_BPF_64_32, _) => Err(bad("instruction is not a call")),
            (reloc::R_BPF_64_64, _) => Err(bad("instruction is not a 64-bit immediate load")),
            _ => Err(bad("type does not apply to instructions")),
        }
    }

    fn relocate_call(
        &self,
        draft: &mut Draft,
        target: usize,
        insn: Insn,
        section: usize,
        relocation: &Relocation,
        symbol: &Symbol<'d>,
    ) -> Result<(), LoadError> {
        let (src, imm) = match symbol.place {
            Place::Undefined => match self.external(section, relocation, symbol)? {
                External::Kfunc(kfunc) => (pseudo::CALL_KFUNC, draft.kfunc(kfunc)),
                External::Absent => {
                    let missing = Missing::Kfunc(symbol.name.into());
                    draft.poisons.push(Poison { slot: target, missing });
                    (pseudo::CALL_HELPER, poison::KFUNC)
                }
                External::Config(_) => {
                    return Err(self.relocation(section, relocation, "call of a variable"));
                }
            },
            Place::Section(index) if self.context.meanings.get(index) == Some(&Meaning::Code) => {
                // The immediate counts slots from the one after the symbol's.
                let distance = (i64::from(insn.imm) + 1) * Insn::SIZE as i64;
                let function = symbol
                    .value
                    .checked_add_signed(distance)
                    .and_then(|offset| self.function_at(index, offset))
                    .ok_or_else(|| self.relocation(section, relocation, "no function starts there"))?;
                draft.refer(target, function);
                (pseudo::CALL_LOCAL, 0)
            }
            _ => return Err(self.relocation(section, relocation, "call of something that is not code")),
        };
        if let Some(insn) = draft.insns.get_mut(target) {
            (insn.src, insn.imm) = (src, imm);
        }
        Ok(())
    }

    /// Source field and both halves of a 64-bit immediate load.
    fn relocate_wide(
        &self,
        draft: &mut Draft,
        target: usize,
        insn: Insn,
        within: (&Func<'d>, usize),
        relocation: &Relocation,
        symbol: &Symbol<'d>,
    ) -> Result<(u8, i32, i32), LoadError> {
        let section = within.0.section;
        let bad = |reason| self.relocation(section, relocation, reason);
        let index = match symbol.place {
            Place::Undefined => {
                return Ok(match self.external(section, relocation, symbol)? {
                    External::Kfunc(_) => (pseudo::IMM64, 1, 0),
                    External::Absent => (pseudo::IMM64, 0, 0),
                    External::Config(at) => {
                        let map = self.context.kconfig_map.ok_or_else(|| bad("there is no such variable"))?;
                        let size = self.context.maps.get(map).map_or(0, |m| m.spec().value_size);
                        let at = u64::from(at).checked_add_signed(insn.imm.into());
                        let at = at.filter(|at| *at < u64::from(size)).and_then(|at| i32::try_from(at).ok());
                        let at = at.ok_or_else(|| bad("address lies outside its variable"))?;
                        (pseudo::MAP_VALUE, draft.map(map), at)
                    }
                });
            }
            Place::Absolute => return Err(bad("symbol lies in no section")),
            Place::Section(index) => index,
        };
        let outside = || bad("address lies outside its section");
        let offset = symbol.value.checked_add_signed(i64::from(insn.imm)).ok_or_else(outside)?;
        match self.context.meanings.get(index) {
            Some(Meaning::Jumps) => {
                let table = self.context.section(index).ok_or_else(|| bad("there is no such section"))?;
                let (map, at) = self.jump_table(draft, within, table, (relocation, symbol), insn.imm)?;
                Ok((pseudo::MAP_VALUE, map, at))
            }
            Some(Meaning::Code) => {
                let function =
                    self.function_at(index, offset).ok_or_else(|| bad("no function starts there"))?;
                draft.refer(target, function);
                Ok((pseudo::FUNC, 0, 0))
            }
            Some(Meaning::Maps) => {
                let map = self.context.map_at.get(&offset).ok_or_else(|| bad("no map starts there"))?;
                Ok((pseudo::MAP, draft.map(*map), 0))
            }
            Some(Meaning::Data(map)) => {
                let size = self.context.section(index).map_or(0, |s: &Section<'_>| s.size);
                let offset = i32::try_from(offset).ok().filter(|_| offset < size).ok_or_else(outside)?;
                Ok((pseudo::MAP_VALUE, draft.map(*map), offset))
            }
            _ => Err(bad("address of something that is neither map, variable nor function")),
        }
    }
}
