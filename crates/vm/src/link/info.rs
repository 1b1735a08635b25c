//! What `.BTF.ext` says of instructions: source lines, CO-RE relocations, types of functions.

use std::collections::HashMap;
use std::sync::Arc;

use super::LoadError;
use super::code::Draft;
use super::code::Func;
use super::code::Linker;
use super::core::Core;
use crate::btf::Btf;
use crate::btf::Kind;
use crate::btf::LineInfo;
use crate::btf::Linkage;
use crate::contract::Contract;
use crate::insn::Insn;
use crate::program::Argument;
use crate::program::LineEntry;
use crate::program::Signature;
use crate::program::SourceLine;

/// Most CO-RE relocations of an object.
const MAX_CORE: usize = 1 << 16;

/// Names of tags on declarations by type and number of the parameter.
pub(super) type Tags<'b> = HashMap<(u32, i32), Vec<&'b str>>;

/// The tags of an object.
pub(super) fn tags(btf: &Btf) -> Tags<'_> {
    let mut tags = Tags::new();
    for id in (1..btf.len()).filter_map(|id| u32::try_from(id).ok()) {
        if let Some(Kind::DeclTag { to, component }) = btf.kind(id) {
            tags.entry((*to, *component)).or_default().push(btf.name(id));
        }
    }
    tags
}

fn slot(offset: u32) -> usize {
    offset as usize / Insn::SIZE
}

impl<'a, 'd> Linker<'a, 'd> {
    /// Sorts source lines and types of functions by section, and applies CO-RE relocations. One that is
    /// wrong is an error once its function is needed.
    pub(super) fn read_info(&mut self, contract: &Contract) -> Result<(), LoadError> {
        let context = self.context;
        if context.ext.core.iter().map(|info| info.records.len()).sum::<usize>() > MAX_CORE {
            return Err(LoadError::TooLarge { what: "CO-RE relocations", limit: MAX_CORE as u64 });
        }
        let by_name: HashMap<&str, usize> =
            context.object.sections.iter().enumerate().map(|(index, s)| (s.name, index)).collect();
        let section = |name: u32| by_name.get(context.btf.string(name)).copied();
        for info in &context.ext.lines {
            if let Some(code) = section(info.section).and_then(|i| self.code.get_mut(i)) {
                code.lines.extend(&info.records);
            }
        }
        for info in &context.ext.funcs {
            if let Some(code) = section(info.section).and_then(|i| self.code.get_mut(i)) {
                code.types.extend(info.records.iter().map(|f| (slot(f.offset), f.ty)));
            }
        }
        let mut core = Core::new(&context.btf, contract.types.as_deref());
        for info in &context.ext.core {
            let Some(code) = section(info.section).and_then(|i| self.code.get_mut(i)) else { continue };
            for record in &info.records {
                let slot = slot(record.offset);
                let Some((insn, rest)) = code.insns.get_mut(slot..).and_then(<[Insn]>::split_first_mut)
                else {
                    continue;
                };
                match core.apply(record, insn, rest.first_mut()) {
                    Ok(None) => {}
                    Ok(Some(missing)) => {
                        code.poisons.insert(slot, missing.into());
                    }
                    Err(problem) => {
                        code.problems.entry(slot).or_insert(problem);
                    }
                }
            }
        }
        for code in &mut self.code {
            code.lines.sort_by_key(|line| line.offset);
            code.lines.dedup_by_key(|line| slot(line.offset));
        }
        Ok(())
    }

    /// Appends the source lines of a function that has been put at slot `base`.
    pub(super) fn append_lines(&mut self, draft: &mut Draft, function: &Func<'d>, base: usize) {
        let Some(code) = self.code.get(function.section) else { return };
        let first = code.lines.partition_point(|line| slot(line.offset) < function.start);
        for line in code.lines.get(first..).unwrap_or_default() {
            let LineInfo { offset, file, text, line, column } = *line;
            let Some(place) = slot(offset).checked_sub(function.start).filter(|p| *p < function.len) else {
                break;
            };
            let mut string = |offset: u32| {
                let string = || Arc::from(self.context.btf.string(offset));
                Arc::clone(self.texts.entry(offset).or_insert_with(string))
            };
            let (file, text) = (string(file), string(text));
            draft.lines.push(LineEntry { slot: base + place, line: SourceLine { file, line, column, text } });
        }
    }

    /// What callers of a function must give it, if it is global; see [`crate::program::Function::signature`].
    pub(super) fn signature(&self, function: &Func<'d>) -> Option<Signature> {
        if !function.global || function.entry {
            return None;
        }
        let btf = &self.context.btf;
        let id = *self.code.get(function.section)?.types.get(&function.start)?;
        let Some(Kind::Func { to, linkage: Linkage::Global }) = btf.kind(id) else { return None };
        let Some(Kind::Prototype { result, params }) = btf.kind(*to) else { return None };
        let args = (0..).zip(params).map(|(index, param)| self.argument(id, index, param.ty)).collect();
        let void = btf.resolve(*result).is_ok_and(|id| id == 0);
        Some(Signature { args, void })
    }

    /// What the parameter of a global function says.
    fn argument(&self, function: u32, index: i32, ty: u32) -> Argument {
        let btf = &self.context.btf;
        let tagged = |tag: &str| self.tags.get(&(function, index)).is_some_and(|tags| tags.contains(&tag));
        let Some(kind) = btf.resolve(ty).ok().and_then(|id| btf.kind(id)) else { return Argument::Unknown };
        match kind {
            Kind::Int { .. } | Kind::Enum { .. } => Argument::Scalar,
            Kind::Ptr { .. } if tagged("arg:ctx") => Argument::Context,
            Kind::Ptr { to } => {
                let to = btf.resolve(*to).unwrap_or(0);
                if matches!(btf.kind(to), Some(Kind::Struct { .. })) && btf.name(to) == "bpf_dynptr" {
                    return Argument::Dynptr;
                }
                let trusted = tagged("arg:trusted") && !tagged("arg:nullable");
                match btf.size_of(to) {
                    Ok(size) if size != 0 => {
                        Argument::Mem { size, nullable: !trusted && !tagged("arg:nonnull") }
                    }
                    _ => Argument::Unknown,
                }
            }
            _ => Argument::Unknown,
        }
    }
}
