//! BPF Type Format: the types, source lines and relocation records clang puts into an object
//! (`Documentation/bpf/btf.rst` of Linux).
//!
//! [`Btf`] holds `.BTF`, [`BtfExt`] holds `.BTF.ext`; [`Writer`] makes a `.BTF`. Both parsers take untrusted bytes, never
//! panic and do work linear in them. Once parsed, type ids and string offsets are known to be in
//! range; cycles and absurd sizes are caught where types are walked ([`Btf::resolve`],
//! [`Btf::size_of`], [`Btf::render`]).

use crate::btf::reader::Reader;

mod ext;
mod reader;
mod render;
mod writer;

pub use ext::BtfExt;
pub use ext::CoreRelocation;
pub use ext::FuncInfo;
pub use ext::LineInfo;
pub use ext::SectionInfo;
pub use writer::Writer;

/// Steps after which a chain of type references counts as a cycle.
const MAX_DEPTH: usize = 32;
/// Longest string returned, in bytes; the rest is cut.
const MAX_STRING: usize = 1024;

/// Why BTF cannot be read or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BtfError {
    /// The bytes are not BTF or break its format.
    #[error("offset {offset:#x}: {reason}")]
    Malformed {
        /// Offset in bytes from the start of the section.
        offset: usize,
        /// What is wrong there.
        reason: &'static str,
    },
    /// A type refers to itself without a pointer in between, or is nested too deeply.
    #[error("type {id} contains itself or is nested deeper than {MAX_DEPTH} levels")]
    Cycle {
        /// The type the walk began at.
        id: u32,
    },
    /// A type that has no size: a function, a forward declaration, void.
    #[error("type {id} has no size")]
    NoSize {
        /// The type.
        id: u32,
    },
    /// There is no type with this id.
    #[error("there is no type {id}")]
    NoType {
        /// The id.
        id: u32,
    },
    /// The size does not fit 64 bits.
    #[error("type {id} is too large")]
    TooLarge {
        /// The type.
        id: u32,
    },
}

/// One type. Names are reached with [`Btf::name`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Type {
    name: u32,
    /// What it is.
    pub kind: Kind,
}

/// The kinds of types, numbered 1 to 19 in the encoding. Fields named `to` are type ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Type 0.
    Void,
    /// An integer (1).
    Int {
        /// Size in bytes.
        size: u32,
        /// Whether it has a sign.
        signed: bool,
        /// Whether it is a character.
        char: bool,
        /// Whether it is a boolean.
        bool: bool,
        /// Offset of the value in bits, in old encodings of bit fields.
        bit_offset: u8,
        /// Width of the value in bits.
        bits: u8,
    },
    /// A pointer (2).
    Ptr {
        /// What it points to.
        to: u32,
    },
    /// An array (3).
    Array {
        /// Element type.
        element: u32,
        /// Number of elements.
        len: u32,
    },
    /// A struct (4).
    Struct {
        /// Size in bytes.
        size: u32,
        /// Members in order.
        members: Vec<Member>,
    },
    /// A union (5).
    Union {
        /// Size in bytes.
        size: u32,
        /// Members in order.
        members: Vec<Member>,
    },
    /// An enum with 32-bit values (6) or with 64-bit values (19).
    Enum {
        /// Size in bytes.
        size: u32,
        /// Whether the values have a sign.
        signed: bool,
        /// Its values in order.
        values: Vec<EnumValue>,
    },
    /// A declaration without definition (7).
    Forward {
        /// Whether of a union rather than a struct.
        union: bool,
    },
    /// A typedef (8).
    Typedef {
        /// What it stands for.
        to: u32,
    },
    /// A qualifier: volatile (9), const (10), restrict (11), or a type tag (18).
    Qualifier {
        /// The qualified type.
        to: u32,
    },
    /// A function (12).
    Func {
        /// Its prototype.
        to: u32,
        /// How it is linked.
        linkage: Linkage,
    },
    /// A prototype (13).
    Prototype {
        /// Type of the result, 0 for void.
        result: u32,
        /// Parameters in order; a last one of type 0 without name stands for `...`.
        params: Vec<Param>,
    },
    /// A variable (14).
    Var {
        /// Its type.
        to: u32,
        /// How it is linked.
        linkage: Linkage,
    },
    /// A section of variables (15).
    Section {
        /// Size in bytes; 0 in the output of clang, see [`Btf::place`].
        size: u32,
        /// The variables.
        vars: Vec<SectionVar>,
    },
    /// A floating-point number (16).
    Float {
        /// Size in bytes.
        size: u32,
    },
    /// A tag on a declaration (17).
    DeclTag {
        /// The tagged type.
        to: u32,
        /// Index of the tagged member or parameter, -1 for the whole.
        component: i32,
    },
}

/// A member of a struct or union. Its name is reached with [`Btf::string`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Offset of its name.
    pub name: u32,
    /// Its type.
    pub ty: u32,
    /// Offset from the start of the struct, in bits.
    pub bit_offset: u32,
    /// Width in bits when it is a bit field, else 0.
    pub bits: u8,
}

/// A value of an enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnumValue {
    /// Offset of its name.
    pub name: u32,
    /// The value, as 64 bits; sign-extended when the enum has a sign.
    pub value: i64,
}

/// A parameter of a prototype.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Param {
    /// Offset of its name.
    pub name: u32,
    /// Its type.
    pub ty: u32,
}

/// A variable of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SectionVar {
    /// The [`Kind::Var`] (or, in `.ksyms`, [`Kind::Func`]).
    pub ty: u32,
    /// Offset in the section in bytes.
    pub offset: u32,
    /// Size in bytes.
    pub size: u32,
}

/// How a function or variable is linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linkage {
    /// Known in its own file only.
    Static,
    /// Known everywhere.
    Global,
    /// Defined elsewhere.
    Extern,
}

/// Names of kinds, for lookups by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// [`Kind::Struct`].
    Struct,
    /// [`Kind::Union`].
    Union,
    /// [`Kind::Enum`].
    Enum,
    /// [`Kind::Int`].
    Int,
    /// [`Kind::Typedef`].
    Typedef,
    /// [`Kind::Func`].
    Func,
    /// [`Kind::Var`].
    Var,
    /// [`Kind::Section`].
    Section,
}

impl Kind {
    /// The class types of this kind are looked up under, if they have names worth it.
    pub fn class(&self) -> Option<Class> {
        Some(match self {
            Kind::Struct { .. } => Class::Struct,
            Kind::Union { .. } => Class::Union,
            Kind::Enum { .. } => Class::Enum,
            Kind::Int { .. } => Class::Int,
            Kind::Typedef { .. } => Class::Typedef,
            Kind::Func { .. } => Class::Func,
            Kind::Var { .. } => Class::Var,
            Kind::Section { .. } => Class::Section,
            _ => return None,
        })
    }
}

/// The types of an object.
#[derive(Debug, Clone)]
pub struct Btf {
    /// Indexed by id; the first is void.
    types: Vec<Type>,
    /// NUL-terminated strings; ends in NUL. Bytes that are not UTF-8 were replaced by `?`.
    strings: String,
}

impl Default for Btf {
    /// No types but void.
    fn default() -> Self {
        Btf { types: vec![Type { name: 0, kind: Kind::Void }], strings: "\0".into() }
    }
}

impl Btf {
    /// Reads a `.BTF` section.
    ///
    /// # Errors
    ///
    /// [`BtfError::Malformed`] with the offset in `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Btf, BtfError> {
        let header = reader::Header::read(bytes, 24)?;
        let mut head = Reader::new(bytes, 8, 24);
        let [type_off, type_len, str_off, str_len] = [head.u32()?, head.u32()?, head.u32()?, head.u32()?];
        let (start, end) = header.range(bytes, str_off, str_len, 16)?;
        let strings = reader::strings(bytes, start, end)?;
        let (start, end) = header.range(bytes, type_off, type_len, 8)?;
        if !start.is_multiple_of(4) {
            return Err(BtfError::Malformed { offset: 8, reason: "types are not aligned to 4 bytes" });
        }
        let mut types = Btf::default().types;
        let mut reader = Reader::new(bytes, start, end);
        while !reader.at_end() {
            types.push(read_type(&mut reader, strings.len())?);
        }
        let btf = Btf { types, strings };
        btf.check_references(start)?;
        Ok(btf)
    }

    /// Every type id is in range; sections hold variables or functions.
    fn check_references(&self, offset: usize) -> Result<(), BtfError> {
        let bad = |reason| Err(BtfError::Malformed { offset, reason });
        let known = |id: u32| (id as usize) < self.types.len();
        for ty in &self.types {
            let ok = match &ty.kind {
                Kind::Ptr { to }
                | Kind::Typedef { to }
                | Kind::Qualifier { to }
                | Kind::Func { to, .. }
                | Kind::Var { to, .. }
                | Kind::DeclTag { to, .. } => known(*to),
                Kind::Array { element, .. } => known(*element),
                Kind::Struct { members, .. } | Kind::Union { members, .. } => {
                    members.iter().all(|m| known(m.ty))
                }
                Kind::Prototype { result, params } => known(*result) && params.iter().all(|p| known(p.ty)),
                Kind::Section { vars, .. } => {
                    vars.iter().all(|v| matches!(self.kind(v.ty), Some(Kind::Var { .. } | Kind::Func { .. })))
                }
                _ => true,
            };
            if !ok {
                return bad("a type refers to a type id that does not exist or cannot stand there");
            }
        }
        Ok(())
    }

    /// Number of types, void included: ids are `0..len()`.
    pub fn len(&self) -> usize {
        self.types.len()
    }

    /// Whether there are no types but void.
    pub fn is_empty(&self) -> bool {
        self.types.len() <= 1
    }

    /// A type by id.
    pub fn get(&self, id: u32) -> Option<&Type> {
        self.types.get(id as usize)
    }

    /// What a type is.
    pub fn kind(&self, id: u32) -> Option<&Kind> {
        self.get(id).map(|t| &t.kind)
    }

    /// The name of a type; empty when it has none or does not exist.
    pub fn name(&self, id: u32) -> &str {
        self.get(id).map_or("", |t| self.string(t.name))
    }

    /// The string at an offset of the string table, cut at 1024 bytes; empty when out of range.
    pub fn string(&self, offset: u32) -> &str {
        let rest = self.strings.get(offset as usize..).unwrap_or_default();
        let end = rest.bytes().take(MAX_STRING).position(|b| b == 0);
        let end = end.unwrap_or_else(|| rest.floor_char_boundary(MAX_STRING));
        rest.get(..end).unwrap_or_default()
    }

    /// Whether the string at `offset` is `name`.
    fn string_is(&self, offset: u32, name: &str) -> bool {
        let rest = self.strings.as_bytes().get(offset as usize..).unwrap_or_default();
        rest.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
    }

    /// The first type of a class with this name. Looks at every type.
    pub fn find(&self, class: Class, name: &str) -> Option<u32> {
        let found = |t: &Type| t.kind.class() == Some(class) && self.string_is(t.name, name);
        self.types.iter().position(found).and_then(|i| u32::try_from(i).ok())
    }

    /// All sections of variables with their names.
    pub fn sections(&self) -> impl Iterator<Item = (u32, &str, &[SectionVar])> {
        self.types.iter().zip(0u32..).filter_map(|(ty, id)| match &ty.kind {
            Kind::Section { vars, .. } => Some((id, self.string(ty.name), vars.as_slice())),
            _ => None,
        })
    }

    /// The members of a struct or union, through typedefs and qualifiers.
    pub fn members(&self, id: u32) -> Option<&[Member]> {
        match self.kind(self.resolve(id).ok()?) {
            Some(Kind::Struct { members, .. } | Kind::Union { members, .. }) => Some(members),
            _ => None,
        }
    }

    /// Follows typedefs, qualifiers and type tags to the type they stand for.
    ///
    /// # Errors
    ///
    /// [`BtfError::Cycle`] and [`BtfError::NoType`].
    pub fn resolve(&self, id: u32) -> Result<u32, BtfError> {
        let mut at = id;
        for _ in 0..MAX_DEPTH {
            match self.kind(at).ok_or(BtfError::NoType { id: at })? {
                Kind::Typedef { to } | Kind::Qualifier { to } => at = *to,
                _ => return Ok(at),
            }
        }
        Err(BtfError::Cycle { id })
    }

    /// Size of a value in bytes; pointers have 8.
    ///
    /// # Errors
    ///
    /// [`BtfError::NoSize`], [`BtfError::TooLarge`], and those of [`Btf::resolve`].
    pub fn size_of(&self, id: u32) -> Result<u64, BtfError> {
        let mut at = id;
        let mut count = 1u64;
        for _ in 0..MAX_DEPTH {
            at = self.resolve(at)?;
            let size = match self.kind(at).ok_or(BtfError::NoType { id: at })? {
                Kind::Int { size, .. }
                | Kind::Struct { size, .. }
                | Kind::Union { size, .. }
                | Kind::Enum { size, .. }
                | Kind::Section { size, .. }
                | Kind::Float { size } => *size,
                Kind::Ptr { .. } => 8,
                Kind::Array { element, len } => {
                    count = count.checked_mul(u64::from(*len)).ok_or(BtfError::TooLarge { id })?;
                    at = *element;
                    continue;
                }
                Kind::Var { to, .. } => {
                    at = *to;
                    continue;
                }
                _ => return Err(BtfError::NoSize { id: at }),
            };
            return count.checked_mul(u64::from(size)).ok_or(BtfError::TooLarge { id });
        }
        Err(BtfError::Cycle { id })
    }

    /// Prints a value as C would initialise it: `{ .op = 1, .name = "x" }`. Integers in decimal,
    /// enums by name, character arrays as strings, pointers in hexadecimal. Missing bytes print as
    /// `?`, and output is cut with `...` after 64 KiB.
    pub fn render(&self, id: u32, bytes: &[u8]) -> String {
        render::render(self, id, bytes)
    }

    /// Gives a section of variables its size and its variables their offsets and sizes: clang
    /// leaves them for the linker. `place` returns offset and size of a variable by name, if known.
    pub fn place(&mut self, section: u32, size: u32, place: impl Fn(&str) -> Option<(u32, u32)>) {
        let Some(Kind::Section { vars, .. }) = self.kind(section) else { return };
        let mut vars = vars.clone();
        for var in &mut vars {
            if let Some((offset, size)) = place(self.name(var.ty)) {
                (var.offset, var.size) = (offset, size);
            }
        }
        vars.sort_by_key(|var| var.offset);
        if let Some(ty) = self.types.get_mut(section as usize) {
            ty.kind = Kind::Section { size, vars };
        }
    }
}

/// Reads one type and what follows it.
fn read_type(r: &mut Reader<'_>, strings: usize) -> Result<Type, BtfError> {
    let at = r.offset();
    let malformed = |reason| BtfError::Malformed { offset: at, reason };
    let bad = |reason| Err(malformed(reason));
    let name = r.string(strings)?;
    let info = r.u32()?;
    // Either a size in bytes or a type id, by kind.
    let word = r.u32()?;
    let len = info & 0xffff;
    let flag = info >> 31 != 0;
    if info & 0x60ff_0000 != 0 {
        return bad("reserved bits are set");
    }
    let kind = match info >> 24 & 0x1f {
        1 => {
            let value = r.u32()?;
            let encoding = value >> 24;
            Kind::Int {
                size: word,
                signed: encoding & 1 != 0,
                char: encoding & 2 != 0,
                bool: encoding & 4 != 0,
                bit_offset: (value >> 16) as u8,
                bits: value as u8,
            }
        }
        2 => Kind::Ptr { to: word },
        3 => {
            let element = r.u32()?;
            let _index = r.u32()?;
            Kind::Array { element, len: r.u32()? }
        }
        4 => Kind::Struct { size: word, members: read_members(r, len, flag, strings)? },
        5 => Kind::Union { size: word, members: read_members(r, len, flag, strings)? },
        6 => {
            let value = |r: &mut Reader<'_>| {
                let value = r.u32()?;
                Ok(if flag { i64::from(value.cast_signed()) } else { i64::from(value) })
            };
            Kind::Enum { size: word, signed: flag, values: read_enum(r, len, strings, value)? }
        }
        7 => Kind::Forward { union: flag },
        8 => Kind::Typedef { to: word },
        9..=11 | 18 => Kind::Qualifier { to: word },
        12 => Kind::Func { to: word, linkage: linkage(len).ok_or(malformed("unknown linkage"))? },
        13 => {
            let mut params = r.list(len, 8)?;
            for _ in 0..len {
                params.push(Param { name: r.string(strings)?, ty: r.u32()? });
            }
            Kind::Prototype { result: word, params }
        }
        14 => {
            let linkage = linkage(r.u32()?);
            Kind::Var { to: word, linkage: linkage.ok_or(malformed("unknown linkage"))? }
        }
        15 => {
            let mut vars = r.list(len, 12)?;
            for _ in 0..len {
                vars.push(SectionVar { ty: r.u32()?, offset: r.u32()?, size: r.u32()? });
            }
            Kind::Section { size: word, vars }
        }
        16 => Kind::Float { size: word },
        17 => Kind::DeclTag { to: word, component: r.u32()?.cast_signed() },
        19 => {
            let value = |r: &mut Reader<'_>| {
                let low = u64::from(r.u32()?);
                Ok((u64::from(r.u32()?) << 32 | low).cast_signed())
            };
            Kind::Enum { size: word, signed: flag, values: read_enum(r, len, strings, value)? }
        }
        _ => return bad("unknown kind of type"),
    };
    Ok(Type { name, kind })
}

fn linkage(value: u32) -> Option<Linkage> {
    match value {
        0 => Some(Linkage::Static),
        1 => Some(Linkage::Global),
        2 => Some(Linkage::Extern),
        _ => None,
    }
}

/// Members of a struct or union; with `flag` their offset carries a bit-field width on top.
fn read_members(r: &mut Reader<'_>, len: u32, flag: bool, strings: usize) -> Result<Vec<Member>, BtfError> {
    let mut members = r.list(len, 12)?;
    for _ in 0..len {
        let (name, ty, offset) = (r.string(strings)?, r.u32()?, r.u32()?);
        let (bit_offset, bits) =
            if flag { (offset & 0x00ff_ffff, (offset >> 24) as u8) } else { (offset, 0) };
        members.push(Member { name, ty, bit_offset, bits });
    }
    Ok(members)
}

fn read_enum(
    r: &mut Reader<'_>,
    len: u32,
    strings: usize,
    value: impl Fn(&mut Reader<'_>) -> Result<i64, BtfError>,
) -> Result<Vec<EnumValue>, BtfError> {
    let mut values = r.list(len, 8)?;
    for _ in 0..len {
        let name = r.string(strings)?;
        values.push(EnumValue { name, value: value(r)? });
    }
    Ok(values)
}
