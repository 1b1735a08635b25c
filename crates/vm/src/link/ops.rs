//! Sets of programs: struct_ops variables.

use std::collections::BTreeMap;

use super::Context;
use super::LoadError;
use super::MAX_ITEMS;
use super::OpsSet;
use super::code::Linker;
use super::core::without_flavour;
use super::text;
use crate::btf::Btf;
use crate::btf::Kind;
use crate::btf::Member;
use crate::contract::Contract;
use crate::object::Place;
use crate::object::Relocation;
use crate::object::Section;
use crate::object::SectionKind;
use crate::object::reloc;

/// Most members of all sets together.
const MAX_MEMBERS: usize = 1 << 20;

/// Reads every set, in the order of the sections and of the variables in memory.
pub(super) fn sets<'d>(
    context: &Context<'d>,
    linker: &mut Linker<'_, 'd>,
    contract: &Contract,
) -> Result<Vec<OpsSet>, LoadError> {
    let mut sets = Vec::new();
    let mut room = MAX_MEMBERS;
    for (index, section) in context.object.sections.iter().enumerate() {
        let SectionKind::StructOps { link } = section.kind else { continue };
        let mut used = 0;
        let mut found = false;
        for (_, _, vars) in context.btf.sections().filter(|(_, name, _)| *name == section.name) {
            for var in vars {
                if sets.len() >= MAX_ITEMS {
                    return Err(LoadError::TooLarge { what: "sets", limit: MAX_ITEMS as u64 });
                }
                found = true;
                let name = context.btf.name(var.ty);
                let variable = Variable::find(context, section, index, var.ty, name)?;
                room = room
                    .checked_sub(variable.members.len())
                    .ok_or(LoadError::TooLarge { what: "members of sets", limit: MAX_MEMBERS as u64 })?;
                used += variable.relocations.len();
                sets.push(variable.read(linker, contract, link)?);
            }
        }
        if section.size != 0 && !found {
            return Err(LoadError::MissingBtf { section: section.name.to_owned() });
        }
        // Ranges of variables may only hold what their members explained, and nothing lies between.
        if used != section.relocations.len() {
            return Err(LoadError::Malformed {
                section: section.name.to_owned(),
                offset: 0,
                reason: "relocations and variables do not match",
            });
        }
    }
    Ok(sets)
}

/// Where a set lies and what its type is.
struct Variable<'a, 'd> {
    context: &'a Context<'d>,
    section: &'a Section<'d>,
    name: &'a str,
    /// Struct name without flavour.
    type_name: &'a str,
    members: &'a [Member],
    /// Offset in the section.
    start: u64,
    data: &'a [u8],
    relocations: &'a [Relocation],
}

impl<'a, 'd> Variable<'a, 'd> {
    fn find(
        context: &'a Context<'d>,
        section: &'a Section<'d>,
        index: usize,
        var: u32,
        name: &'a str,
    ) -> Result<Self, LoadError> {
        let bad = |reason| LoadError::Variable {
            section: section.name.to_owned(),
            variable: name.to_owned(),
            reason,
        };
        let wrong = |source| LoadError::Btf { section: section.name.to_owned(), source };
        let btf: &'a Btf = &context.btf;
        let Some(Kind::Var { to, .. }) = btf.kind(var) else { return Err(bad("is not a variable")) };
        let id = btf.resolve(*to).map_err(wrong)?;
        let Some(Kind::Struct { size, members }) = btf.kind(id) else { return Err(bad("is not a struct")) };
        let &(start, symbol_size) =
            context.places.get(&(index, name)).ok_or_else(|| bad("there is no symbol of this name"))?;
        if symbol_size != u64::from(*size) {
            return Err(bad("symbol and type differ in size"));
        }
        let end = start.saturating_add(u64::from(*size));
        let data = usize::try_from(start)
            .ok()
            .zip(usize::try_from(end).ok())
            .and_then(|(start, end)| section.data.get(start..end))
            .ok_or_else(|| bad("lies outside its section"))?;
        let first = section.relocations.partition_point(|r| r.offset < start);
        let last = section.relocations.partition_point(|r| r.offset < end);
        let relocations = section.relocations.get(first..last).unwrap_or_default();
        let type_name = without_flavour(btf.name(id));
        Ok(Variable { context, section, name, type_name, members, start, data, relocations })
    }

    fn read(
        &self,
        linker: &mut Linker<'_, 'd>,
        contract: &Contract,
        link: bool,
    ) -> Result<OpsSet, LoadError> {
        let Some(ops) = contract.struct_ops.iter().find(|ops| ops.name == self.type_name) else {
            return Err(LoadError::UnknownOpsType {
                section: self.section.name.to_owned(),
                variable: self.name.to_owned(),
                type_name: self.type_name.to_owned(),
            });
        };
        let mut members = BTreeMap::new();
        let mut name = String::new();
        let mut relocated = 0;
        for member in self.members {
            let member_name = self.context.btf.string(member.name);
            let value = self.value(member)?;
            if let Some(relocation) = self.relocation(member)? {
                relocated += 1;
                if !ops.members.iter().any(|m| m.name == member_name) {
                    return Err(self.unknown_member(member));
                }
                let program = self.program(member, relocation, value, linker)?;
                members.insert(member_name.to_owned(), program);
            } else if member_name == "name" && self.is_char_array(member) {
                name = text(value);
            } else if value.iter().any(|b| *b != 0) {
                let known = ops.members.iter().any(|m| m.name == member_name);
                return Err(self.member(
                    member,
                    if known {
                        "is not the address of a program; assign a SEC(\"struct_ops/...\") function or nothing"
                    } else {
                        "only programs and `name` may be set; leave other members zero"
                    },
                ));
            }
        }
        if relocated != self.relocations.len() {
            let offset = self.relocations.first().map_or(self.start, |r| r.offset);
            return Err(LoadError::OpsMember {
                section: self.section.name.to_owned(),
                offset,
                variable: self.name.to_owned(),
                member: String::new(),
                reason: "an address does not lie in a pointer member of its own",
            });
        }
        if name.is_empty() {
            name = self.name.to_owned();
        }
        let (variable, type_name) = (self.name.to_owned(), self.type_name.to_owned());
        Ok(OpsSet { variable, type_name, name, link, members })
    }

    fn offset(&self, member: &Member) -> u64 {
        self.start.saturating_add(u64::from(member.bit_offset / 8))
    }

    fn member(&self, member: &Member, reason: &'static str) -> LoadError {
        LoadError::OpsMember {
            section: self.section.name.to_owned(),
            offset: self.offset(member),
            variable: self.name.to_owned(),
            member: self.context.btf.string(member.name).to_owned(),
            reason,
        }
    }

    fn unknown_member(&self, member: &Member) -> LoadError {
        LoadError::UnknownOpsMember {
            section: self.section.name.to_owned(),
            offset: self.offset(member),
            variable: self.name.to_owned(),
            type_name: self.type_name.to_owned(),
            member: self.context.btf.string(member.name).to_owned(),
        }
    }

    /// The bytes of a member; of a bit field, the bytes it touches.
    fn value(&self, member: &Member) -> Result<&'a [u8], LoadError> {
        let outside = || self.member(member, "lies outside its struct");
        let start = u64::from(member.bit_offset / 8);
        let len = if member.bits == 0 {
            self.context
                .btf
                .size_of(member.ty)
                .map_err(|source| LoadError::Btf { section: self.section.name.to_owned(), source })?
        } else {
            (u64::from(member.bit_offset % 8) + u64::from(member.bits)).div_ceil(8)
        };
        let start = usize::try_from(start).map_err(|_| outside())?;
        let len = usize::try_from(len).map_err(|_| outside())?;
        self.data.get(start..).and_then(|rest| rest.get(..len)).ok_or_else(outside)
    }

    /// The relocation of a pointer member, or of one that holds a pointer and nothing else, as Rust's
    /// `Option<fn()>`.
    fn relocation(&self, member: &Member) -> Result<Option<&'a Relocation>, LoadError> {
        if member.bits != 0 || self.context.btf.size_of(member.ty) != Ok(8) {
            return Ok(None);
        }
        let offset = self.offset(member);
        let at = self.relocations.partition_point(|r| r.offset < offset);
        match self.relocations.get(at).filter(|r| r.offset == offset) {
            Some(r) if r.kind != reloc::R_BPF_64_ABS64 => {
                Err(self.member(member, "relocation is not R_BPF_64_ABS64"))
            }
            found => Ok(found),
        }
    }

    fn is_char_array(&self, member: &Member) -> bool {
        let btf = &self.context.btf;
        let Some(Kind::Array { element, .. }) = btf.resolve(member.ty).ok().and_then(|id| btf.kind(id))
        else {
            return false;
        };
        matches!(btf.resolve(*element).ok().and_then(|id| btf.kind(id)), Some(Kind::Int { size: 1, .. }))
    }

    /// The program at the address a member holds.
    fn program(
        &self,
        member: &Member,
        relocation: &Relocation,
        value: &[u8],
        linker: &mut Linker<'_, 'd>,
    ) -> Result<std::sync::Arc<crate::program::Program>, LoadError> {
        let no_program = || {
            self.member(
                member,
                "is not the address of a program; define the function with SEC(\"struct_ops/NAME\")",
            )
        };
        let symbol = self.context.object.symbols.get(relocation.symbol).ok_or_else(no_program)?;
        let Place::Section(index) = symbol.place else { return Err(no_program()) };
        let addend = value.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let address = symbol.value.wrapping_add(addend);
        linker.program_at(index, address)?.ok_or_else(no_program)
    }
}
