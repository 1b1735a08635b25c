//! Paths into types, and the numbers they lead to.

use std::fmt;

use super::Answer;
use super::Ask;
use super::Root;
use crate::btf::Btf;
use crate::btf::Kind;
use crate::btf::Member;

/// Longest path, in steps, members without name included (`BPF_CORE_SPEC_MAX_LEN` of libbpf).
pub(super) const MAX_PATH: usize = 64;

/// One step of a path that has a name or an index; members without name are stepped through.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step<'b> {
    /// The type the step is in, or of an array the type of its elements.
    pub(super) ty: u32,
    /// Which member, element or enumerator.
    pub(super) index: u32,
    /// Its name; elements have none.
    pub(super) name: Option<&'b str>,
}

/// A path into a type.
#[derive(Debug, Clone)]
pub(super) struct Spec<'b> {
    pub(super) btf: &'b Btf,
    /// The type as the relocation names it.
    pub(super) root: u32,
    pub(super) steps: Vec<Step<'b>>,
    /// Steps, members without name included.
    pub(super) len: usize,
    /// Where it leads, in bits from the start of the root.
    pub(super) bit_offset: u64,
}

const BROKEN: &str = "the path to the field is broken";
const NO_SIZE: &str = "a type on the path has no size";

impl<'b> Spec<'b> {
    /// A path without steps.
    pub(super) fn new(btf: &'b Btf, root: u32) -> Spec<'b> {
        Spec { btf, root, steps: Vec::new(), len: 0, bit_offset: 0 }
    }

    /// Reads a path like `0:1:2`: an index into an array of the type itself, then member and
    /// element indices.
    pub(super) fn parse(btf: &'b Btf, root: u32, access: &str, ask: Ask) -> Result<Spec<'b>, &'static str> {
        let mut spec = Spec::new(btf, root);
        if btf.kind(root).is_none() {
            return Err("there is no such type");
        }
        if !ask.is_about_field() && !ask.is_about_enumerator() {
            return if access == "0" { Ok(spec) } else { Err("a path where there is nothing to follow") };
        }
        let mut path = access.split(':').map(|step| step.parse::<u32>().ok());
        let first = path.next().flatten().ok_or(BROKEN)?;
        let mut at = btf.resolve(root).map_err(|_| BROKEN)?;
        spec.len = 1;
        if ask.is_about_enumerator() {
            let Some(Kind::Enum { values, .. }) = btf.kind(at) else { return Err("not an enum") };
            let value = values.get(first as usize).ok_or("the enum has no such enumerator")?;
            if path.next().is_some() {
                return Err("a path where there is nothing to follow");
            }
            spec.steps.push(Step { ty: at, index: first, name: Some(btf.string(value.name)) });
            return Ok(spec);
        }
        spec.steps.push(Step { ty: at, index: first, name: None });
        spec.skip(at, first)?;
        for step in path {
            if spec.len >= MAX_PATH {
                return Err("the path to the field is too long");
            }
            spec.len += 1;
            let index = step.ok_or(BROKEN)?;
            at = btf.resolve(at).map_err(|_| BROKEN)?;
            match btf.kind(at) {
                Some(Kind::Struct { members, .. } | Kind::Union { members, .. }) => {
                    let member = members.get(index as usize).ok_or(BROKEN)?;
                    spec.advance(member.bit_offset.into())?;
                    let name = btf.string(member.name);
                    if !name.is_empty() {
                        spec.steps.push(Step { ty: at, index, name: Some(name) });
                    }
                    at = member.ty;
                }
                Some(Kind::Array { element, len }) => {
                    if index >= *len && !spec.at_flexible(*len) {
                        return Err(BROKEN);
                    }
                    at = btf.resolve(*element).map_err(|_| BROKEN)?;
                    spec.steps.push(Step { ty: at, index, name: None });
                    spec.skip(at, index)?;
                }
                _ => return Err(BROKEN),
            }
        }
        Ok(spec)
    }

    /// Moves on by bits.
    pub(super) fn advance(&mut self, bits: u64) -> Result<(), &'static str> {
        self.bit_offset = self.bit_offset.checked_add(bits).ok_or(BROKEN)?;
        Ok(())
    }

    /// Moves on by elements.
    pub(super) fn skip(&mut self, element: u32, count: u32) -> Result<(), &'static str> {
        let size = self.btf.size_of(element).map_err(|_| NO_SIZE)?;
        let bits = size.checked_mul(u64::from(count)).and_then(|bytes| bytes.checked_mul(8));
        self.advance(bits.ok_or(BROKEN)?)
    }

    /// Whether the array of `len` elements that was just reached is the flexible one at the end of a
    /// struct.
    pub(super) fn at_flexible(&self, len: u32) -> bool {
        let Some(step) = self.steps.last().filter(|step| step.name.is_some() && len == 0) else {
            return false;
        };
        let members = self.btf.members(step.ty).unwrap_or_default();
        step.index as usize + 1 == members.len()
    }

    /// The member the path ends at; `None` for an element of an array.
    fn member(&self) -> Option<&'b Member> {
        let step = self.steps.last().filter(|step| step.name.is_some())?;
        self.btf.members(step.ty)?.get(step.index as usize)
    }

    /// What is asked, of these types.
    pub(super) fn answer(&self, ask: Ask) -> Result<Answer, &'static str> {
        Ok(match ask {
            Ask::FieldExists | Ask::TypeExists | Ask::TypeMatches | Ask::EnumeratorExists => {
                Answer::certain(1)
            }
            // Ids differ from one set of types to the next.
            Ask::LocalType | Ask::TargetType => {
                Answer { certain: false, ..Answer::certain(self.root.into()) }
            }
            Ask::TypeSize => Answer::certain(self.btf.size_of(self.root).map_err(|_| NO_SIZE)?),
            Ask::EnumeratorValue => {
                let step = self.steps.last().ok_or(BROKEN)?;
                let Some(Kind::Enum { size, values, .. }) = self.btf.kind(step.ty) else {
                    return Err("not an enum");
                };
                let value = values.get(step.index as usize).ok_or(BROKEN)?.value;
                // Compilers before clang 15 do not say whether the 32 bits have a sign: libbpf takes them to.
                let value = if *size <= 4 { i64::from(value as i32) } else { value };
                Answer::certain(value.cast_unsigned())
            }
            _ => match self.member() {
                Some(member) => self.field(ask, member)?,
                None => self.element(ask)?,
            },
        })
    }

    /// What is asked of an element of an array.
    fn element(&self, ask: Ask) -> Result<Answer, &'static str> {
        let step = self.steps.last().ok_or(BROKEN)?;
        let size = self.btf.size_of(step.ty).map_err(|_| NO_SIZE)?;
        match ask {
            Ask::FieldOffset => {
                Ok(Answer { field: Some((size, step.ty)), ..Answer::certain(self.bit_offset / 8) })
            }
            Ask::FieldSize => Ok(Answer::certain(size)),
            _ => Err("an element of an array has neither sign nor shifts"),
        }
    }

    /// What is asked of a member.
    fn field(&self, ask: Ask, member: &Member) -> Result<Answer, &'static str> {
        let ty = self.btf.resolve(member.ty).map_err(|_| NO_SIZE)?;
        let whole = self.btf.size_of(ty).map_err(|_| NO_SIZE)?;
        let (start, bits) = (self.bit_offset, u64::from(member.bits));
        let is_bit_field = bits != 0;
        // The bytes to load, and where they start.
        let (mut size, mut offset) = (whole, start / 8);
        if is_bit_field {
            size = size.max(1);
            offset = start / 8 / size * size;
            while start + bits - offset * 8 > size * 8 {
                if size >= 8 {
                    return Err("no load covers the bit field");
                }
                size *= 2;
                offset = start / 8 / size * size;
            }
        }
        let bits = if is_bit_field { bits } else { size.saturating_mul(8) };
        let value = match ask {
            Ask::FieldOffset => offset,
            Ask::FieldSize => size,
            Ask::FieldSigned => match self.btf.kind(ty) {
                Some(Kind::Int { signed, .. } | Kind::Enum { signed, .. }) => u64::from(*signed),
                _ => 0,
            },
            Ask::FieldLeftShift => 64u64.wrapping_sub(start + bits - offset * 8),
            _ => 64u64.wrapping_sub(bits),
        };
        // Which word to load for a bit field is the compiler's choice, and the left shift follows from it.
        let certain = !is_bit_field || matches!(ask, Ask::FieldSigned | Ask::FieldRightShift);
        // Of an array, what is loaded or stored is an element.
        let mut unit = ty;
        while let Some(Kind::Array { element, .. }) = self.btf.kind(unit) {
            unit = self.btf.resolve(*element).map_err(|_| NO_SIZE)?;
        }
        let unit_size = self.btf.size_of(unit).map_err(|_| NO_SIZE)?;
        let field = (ask == Ask::FieldOffset && !is_bit_field).then_some((unit_size, unit));
        Ok(Answer { value, field, certain })
    }
}

impl fmt::Display for Spec<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Root { btf: self.btf, ty: self.root })?;
        for (i, step) in self.steps.iter().enumerate() {
            match step.name {
                Some(name) if i <= 1 => write!(f, "::{name}")?,
                Some(name) => write!(f, ".{name}")?,
                None if i == 0 && step.index == 0 => {}
                None => write!(f, "[{}]", step.index)?,
            }
        }
        Ok(())
    }
}
