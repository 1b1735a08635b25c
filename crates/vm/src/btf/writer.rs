//! Types to bytes: the inverse of [`Btf::parse`], for embedders that offer types of their own.
//!
//! Each type gets the next id, from 1. Types may refer to ids that come later; [`Writer::reserve`]
//! says which. What is written is not checked: parse the result.

use std::collections::HashMap;

use super::Btf;
use super::EnumValue;
use super::Kind;
use super::Linkage;
use super::Member;
use super::reader::MAGIC;

/// Types and strings in the making.
#[derive(Debug, Clone)]
pub struct Writer {
    /// Indexed by id; the first is void.
    types: Vec<(u32, Kind)>,
    strings: Vec<u8>,
    offsets: HashMap<String, u32>,
}

impl Default for Writer {
    fn default() -> Self {
        Writer { types: vec![(0, Kind::Void)], strings: vec![0], offsets: HashMap::new() }
    }
}

impl Writer {
    /// No types but void.
    pub fn new() -> Writer {
        Writer::default()
    }

    /// Offset of a string, for names of members, parameters and enum values. Equal strings share a
    /// place; a NUL ends the string early.
    pub fn string(&mut self, text: &str) -> u32 {
        let text = text.split('\0').next().unwrap_or_default();
        if text.is_empty() {
            return 0;
        }
        if let Some(offset) = self.offsets.get(text) {
            return *offset;
        }
        let offset = word(self.strings.len());
        self.strings.extend_from_slice(text.as_bytes());
        self.strings.push(0);
        self.offsets.insert(text.to_owned(), offset);
        offset
    }

    /// Adds a type and gives its id. A [`Kind::Qualifier`] becomes `const`, or with a name a type
    /// tag; a [`Kind::Void`] takes an id and stands for nothing.
    pub fn add(&mut self, name: &str, kind: Kind) -> u32 {
        let name = self.string(name);
        self.types.push((name, kind));
        word(self.types.len() - 1)
    }

    /// Takes an id for a type that [`Writer::fill`] defines.
    pub fn reserve(&mut self) -> u32 {
        self.add("", Kind::Void)
    }

    /// Defines a reserved type.
    pub fn fill(&mut self, id: u32, name: &str, kind: Kind) {
        let name = self.string(name);
        if let Some(ty) = self.types.get_mut(id as usize).filter(|_| id != 0) {
            *ty = (name, kind);
        }
    }

    /// An integer of `size` bytes.
    pub fn int(&mut self, name: &str, size: u8, signed: bool) -> u32 {
        let (char, bool) = (name == "char", name == "_Bool");
        let bits = size.saturating_mul(8);
        self.add(name, Kind::Int { size: size.into(), signed, char, bool, bit_offset: 0, bits })
    }

    /// A member that is no bit field, `offset` bytes into its struct.
    pub fn member(&mut self, name: &str, ty: u32, offset: u32) -> Member {
        Member { name: self.string(name), ty, bit_offset: offset.saturating_mul(8), bits: 0 }
    }

    /// A value of an enum.
    pub fn value(&mut self, name: &str, value: i64) -> EnumValue {
        EnumValue { name: self.string(name), value }
    }

    /// The contents of a `.BTF` section (`Documentation/bpf/btf.rst` of Linux, section 2).
    pub fn finish(&self) -> Vec<u8> {
        let mut types = Vec::new();
        for (name, kind) in self.types.iter().skip(1) {
            write_type(&mut types, *name, kind);
        }
        let mut bytes = Vec::with_capacity(24 + types.len() + self.strings.len());
        bytes.extend(MAGIC.to_le_bytes());
        // Version and flags.
        bytes.extend([1, 0]);
        for field in [24, 0, word(types.len()), word(types.len()), word(self.strings.len())] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend(types);
        bytes.extend(&self.strings);
        bytes
    }
}

impl Btf {
    /// The contents of a `.BTF` section with these types. Parsing it gives the same types; qualifiers,
    /// which are read as one kind, come out as `const`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let types = self.types.iter().map(|ty| (ty.name, ty.kind.clone())).collect();
        let strings = self.strings.clone().into_bytes();
        Writer { types, strings, offsets: HashMap::new() }.finish()
    }
}

/// A count or offset; tables of 4 GiB are not made.
fn word(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn linkage(linkage: Linkage) -> u32 {
    match linkage {
        Linkage::Static => 0,
        Linkage::Global => 1,
        Linkage::Extern => 2,
    }
}

/// Writes one type: name, kind with flag and length, size or type, and what follows.
fn write_type(out: &mut Vec<u8>, name: u32, kind: &Kind) {
    let mut put = |number: u32, flag: bool, len: usize, size: u32, rest: Vec<u32>| {
        let info = u32::from(flag) << 31 | number << 24 | (word(len) & 0xffff);
        for field in [name, info, size].into_iter().chain(rest) {
            out.extend(field.to_le_bytes());
        }
    };
    match kind {
        // An integer of no width: nothing refers to it.
        Kind::Void => put(1, false, 0, 1, vec![8]),
        Kind::Int { size, signed, char, bool, bit_offset, bits } => {
            let encoding = u32::from(*signed) | u32::from(*char) << 1 | u32::from(*bool) << 2;
            let value = encoding << 24 | u32::from(*bit_offset) << 16 | u32::from(*bits);
            put(1, false, 0, *size, vec![value]);
        }
        Kind::Ptr { to } => put(2, false, 0, *to, vec![]),
        Kind::Array { element, len } => put(3, false, 0, 0, vec![*element, *element, *len]),
        Kind::Struct { size, members } | Kind::Union { size, members } => {
            let number = if matches!(kind, Kind::Struct { .. }) { 4 } else { 5 };
            let flag = members.iter().any(|m| m.bits != 0);
            let offset = |m: &Member| {
                if flag { u32::from(m.bits) << 24 | (m.bit_offset & 0x00ff_ffff) } else { m.bit_offset }
            };
            let rest = members.iter().flat_map(|m| [m.name, m.ty, offset(m)]).collect();
            put(number, flag, members.len(), *size, rest);
        }
        Kind::Enum { size, signed, values } => {
            let wide = *size > 4;
            let halves = |v: &EnumValue| {
                let bits = v.value.cast_unsigned();
                let mut fields = vec![v.name, bits as u32];
                fields.extend(wide.then_some((bits >> 32) as u32));
                fields
            };
            let rest = values.iter().flat_map(halves).collect();
            put(if wide { 19 } else { 6 }, *signed, values.len(), *size, rest);
        }
        Kind::Forward { union } => put(7, *union, 0, 0, vec![]),
        Kind::Typedef { to } => put(8, false, 0, *to, vec![]),
        Kind::Qualifier { to } => put(if name == 0 { 10 } else { 18 }, false, 0, *to, vec![]),
        Kind::Func { to, linkage: kind } => put(12, false, linkage(*kind) as usize, *to, vec![]),
        Kind::Prototype { result, params } => {
            let rest = params.iter().flat_map(|p| [p.name, p.ty]).collect();
            put(13, false, params.len(), *result, rest);
        }
        Kind::Var { to, linkage: kind } => put(14, false, 0, *to, vec![linkage(*kind)]),
        Kind::Section { size, vars } => {
            let rest = vars.iter().flat_map(|v| [v.ty, v.offset, v.size]).collect();
            put(15, false, vars.len(), *size, rest);
        }
        Kind::Float { size } => put(16, false, 0, *size, vec![]),
        Kind::DeclTag { to, component } => {
            put(17, false, 0, *to, vec![component.cast_unsigned()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::btf::Class;
    use crate::btf::Param;

    #[test]
    fn what_is_written_is_read_back() {
        let mut w = Writer::new();
        let int = w.int("int", 4, true);
        let node = w.reserve();
        let next = w.add("", Kind::Ptr { to: node });
        let mut members = vec![w.member("next", next, 0), w.member("value", int, 8)];
        members.push(Member { name: w.string("low"), ty: int, bit_offset: 96, bits: 3 });
        w.fill(node, "node", Kind::Struct { size: 16, members });
        let values = vec![w.value("SMALL", -1), w.value("LARGE", 1 << 40)];
        w.add("wide", Kind::Enum { size: 8, signed: true, values });
        let values = vec![w.value("NONE", -1)];
        w.add("narrow", Kind::Enum { size: 4, signed: true, values });
        let params = vec![Param { name: w.string("node"), ty: next }];
        let proto = w.add("", Kind::Prototype { result: int, params });
        w.add("walk", Kind::Func { to: proto, linkage: Linkage::Global });
        let bytes = w.finish();
        let btf = Btf::parse(&bytes).expect("valid");
        assert_eq!(btf.len(), 8);
        for (id, (_, kind)) in w.types.iter().enumerate() {
            assert_eq!(btf.kind(id as u32), Some(kind), "type {id}");
        }
        assert_eq!(btf.find(Class::Struct, "node"), Some(node));
        assert_eq!(btf.to_bytes(), bytes);
    }
}
