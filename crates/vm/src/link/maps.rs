//! Map definitions: variables of section `.maps`, whose types carry the numbers.
//!
//! `__uint(name, n)` is a pointer to an array of `n` elements, `__type(name, T)` a pointer to `T`.

use super::LoadError;
use super::MAX_ITEMS;
use super::Places;
use crate::btf::Btf;
use crate::btf::BtfError;
use crate::btf::Kind;
use crate::btf::Member;
use crate::maps::INODE_STORAGE_ENTRIES;
use crate::maps::MapKind;
use crate::maps::MapSpec;
use crate::object::Object;
use crate::object::SectionKind;

/// A map variable.
pub(super) struct Definition {
    /// Offset in `.maps`.
    pub(super) offset: u64,
    pub(super) spec: MapSpec,
    pub(super) values: Values,
}

/// All map variables.
#[derive(Default)]
pub(super) struct Definitions {
    pub(super) definitions: Vec<Definition>,
    pub(super) notes: Vec<String>,
}

/// Names of `enum bpf_map_type` of `linux/bpf.h` from 1 on.
const KINDS: [&str; 33] = [
    "hash",
    "array",
    "prog array",
    "perf event array",
    "percpu hash",
    "percpu array",
    "stack trace",
    "cgroup array",
    "lru hash",
    "lru percpu hash",
    "lpm trie",
    "array of maps",
    "hash of maps",
    "devmap",
    "sockmap",
    "cpumap",
    "xskmap",
    "sockhash",
    "cgroup storage",
    "reuseport sockarray",
    "percpu cgroup storage",
    "queue",
    "stack",
    "sk storage",
    "devmap hash",
    "struct ops",
    "ring buffer",
    "inode storage",
    "task storage",
    "bloom filter",
    "user ring buffer",
    "cgrp storage",
    "arena",
];

/// Reads all definitions.
pub(super) fn definitions(
    btf: &Btf,
    object: &Object<'_>,
    places: &Places<'_>,
) -> Result<Definitions, LoadError> {
    let mut found = Definitions::default();
    let Some((index, section)) =
        object.sections.iter().enumerate().find(|(_, s)| s.kind == SectionKind::Maps && s.size != 0)
    else {
        return Ok(found);
    };
    let variable = |name: &str, reason| LoadError::Variable {
        section: section.name.to_owned(),
        variable: name.to_owned(),
        reason,
    };
    for (_, _, vars) in btf.sections().filter(|(_, name, _)| *name == section.name) {
        if vars.len() > MAX_ITEMS - found.definitions.len() {
            return Err(LoadError::TooLarge { what: "maps", limit: MAX_ITEMS as u64 });
        }
        for var in vars {
            let name = btf.name(var.ty);
            let &(offset, _) = places
                .get(&(index, name))
                .ok_or_else(|| variable(name, "there is no symbol of this name"))?;
            let (spec, values) = spec(btf, var.ty, offset, &mut found.notes)?;
            found.definitions.push(Definition { offset, spec, values });
        }
    }
    if found.definitions.is_empty() {
        return Err(LoadError::MissingBtf { section: section.name.to_owned() });
    }
    Ok(found)
}

/// Roughly how much memory a map takes, in bytes.
pub(super) fn footprint(spec: &MapSpec, slots: usize) -> u64 {
    let entries = u64::from(spec.max_entries);
    let values = u64::from(spec.value_size) * if spec.kind.is_per_cpu() { slots as u64 } else { 1 };
    match spec.kind {
        MapKind::RingBuf => entries,
        MapKind::InodeStorage if entries == 0 => u64::from(INODE_STORAGE_ENTRIES) * values,
        _ => entries.saturating_mul(values.saturating_add(spec.key_size.into())),
    }
}

/// Reads the definition of the variable `var`.
fn spec(btf: &Btf, var: u32, offset: u64, notes: &mut Vec<String>) -> Result<(MapSpec, Values), LoadError> {
    let map = btf.name(var).to_owned();
    let Some(Kind::Var { to, .. }) = btf.kind(var) else {
        let reason = "is not a variable".to_owned();
        return Err(LoadError::MapDefinition { map, offset, reason });
    };
    let definition = Struct { btf, map: &map, offset };
    let (spec, values) = definition.spec(*to, &map, notes)?;
    match (spec.kind.holds_maps(), values) {
        (true, values @ Values::Maps { .. }) => Ok((spec, values)),
        (true, _) => Err(definition.bad("needs `values`; add __array(values, struct { ... })".to_owned())),
        (false, Values::Maps { .. }) => {
            Err(definition.bad("only a map of maps has maps in `values`".to_owned()))
        }
        (false, Values::Programs { .. }) if spec.kind != MapKind::ProgArray => {
            Err(definition.bad("only a program array has programs in `values`".to_owned()))
        }
        (false, values) => Ok((spec, values)),
    }
}

/// What the `values` member of a definition is an array of, and where it is in the variable, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    /// There is no such member.
    None,
    Programs {
        at: u64,
    },
    Maps {
        at: u64,
    },
}

/// The struct that defines a map: of a variable, or of the maps in one.
struct Struct<'a> {
    btf: &'a Btf,
    /// The variable.
    map: &'a str,
    /// Its offset in `.maps`.
    offset: u64,
}

impl Struct<'_> {
    fn bad(&self, reason: String) -> LoadError {
        LoadError::MapDefinition { map: self.map.to_owned(), offset: self.offset, reason }
    }

    /// Reads the struct `ty` as the definition of a map called `name`.
    fn spec(&self, ty: u32, name: &str, notes: &mut Vec<String>) -> Result<(MapSpec, Values), LoadError> {
        let Struct { btf, map, offset } = *self;
        let members = btf.members(ty).ok_or_else(|| self.bad("is not a struct".to_owned()))?;
        let (mut kind, mut max_entries, mut flags, mut extra) = (None, 0, 0, 0);
        let (mut key, mut value) = (Entry::default(), Entry::default());
        let (mut values, mut inner) = (Values::None, None);
        for member in members {
            let name = btf.string(member.name);
            let number = || number(btf, member).ok_or_else(|| self.bad(format!("`{name}` is not a __uint")));
            match name {
                "type" => kind = Some(number()?),
                "max_entries" => max_entries = number()?,
                "map_flags" => flags = number()?,
                "map_extra" => extra = number()?,
                "key_size" => key.size = Some(number()?),
                "value_size" => value.size = Some(number()?),
                "key" => key.ty = Some(pointed(btf, member).map_err(|e| self.bad(format!("key: {e}")))?),
                "value" => {
                    value.ty = Some(pointed(btf, member).map_err(|e| self.bad(format!("value: {e}")))?)
                }
                "pinning" | "numa_node" => {
                    notes.push(format!("map `{map}`: `{name}` has no effect here"));
                }
                "values" => {
                    let at = u64::from(member.bit_offset / 8);
                    match element(btf, member) {
                        Some(Element::Function) => values = Values::Programs { at },
                        Some(Element::Map(ty)) => {
                            if inner.is_some() {
                                return Err(self.bad("`values` is there twice".to_owned()));
                            }
                            inner = Some(ty);
                            values = Values::Maps { at };
                        }
                        None => {
                            return Err(self.bad("`values` is neither of programs nor of maps".to_owned()));
                        }
                    }
                }
                _ => return Err(self.bad(format!("`{name}` is not known; remove it"))),
            }
        }
        let kind =
            kind.ok_or_else(|| self.bad("has no `type`; add __uint(type, BPF_MAP_TYPE_...)".to_owned()))?;
        let kind = MapKind::from_number(kind).ok_or_else(|| {
            let index = (kind as usize).wrapping_sub(1);
            let kind_name = KINDS.get(index).copied().unwrap_or("unknown");
            LoadError::UnsupportedMapKind { map: map.to_owned(), offset, number: kind, kind: kind_name }
        })?;
        let resolved =
            |entry: Entry, what| entry.resolve(kind).ok_or_else(|| self.bad(format!("{what} sizes differ")));
        let (key_size, key_type) = resolved(key, "key")?;
        let (mut value_size, value_type) = resolved(value, "value")?;
        if value_size == 0 && (kind.holds_maps() || kind == MapKind::ProgArray) {
            // What the kernel would keep there is a descriptor.
            value_size = 4;
        }
        let inner = match inner {
            None => None,
            // One level, so a type that contains itself is no matter.
            Some(_) if name != map => {
                return Err(self.bad("maps of maps cannot be in a map of maps".to_owned()));
            }
            Some(ty) => Some(Box::new(self.spec(ty, &format!("{map}.inner"), notes)?.0)),
        };
        let spec = MapSpec {
            flags,
            key_type,
            value_type,
            lock: lock_of(btf, value_type).map_err(|reason| self.bad(reason))?,
            extra: extra.into(),
            inner,
            ..MapSpec::new(name, kind, key_size, value_size, max_entries)
        };
        Ok((spec, values))
    }
}

/// Where the value's `struct bpf_spin_lock` is.
fn lock_of(btf: &Btf, value: u32) -> Result<Option<u32>, String> {
    let resolved = if value == 0 { None } else { btf.resolve(value).ok() };
    let Some(members) = resolved.and_then(|id| btf.members(id)) else { return Ok(None) };
    let is_lock = |member: &&Member| {
        let ty = btf.resolve(member.ty).ok();
        ty.is_some_and(|ty| btf.name(ty) == "bpf_spin_lock" && btf.members(ty).is_some())
    };
    let mut locks = members.iter().filter(is_lock);
    match (locks.next(), locks.next()) {
        (None, _) => Ok(None),
        (Some(lock), None) => Ok(Some(lock.bit_offset / 8)),
        _ => Err("the value has more than one bpf_spin_lock".to_owned()),
    }
}

/// What a `values` array is made of.
enum Element {
    Function,
    /// The struct that defines the maps.
    Map(u32),
}

/// `T *name[]`: T.
fn element(btf: &Btf, member: &Member) -> Option<Element> {
    let Kind::Array { element, .. } = btf.kind(btf.resolve(member.ty).ok()?)? else { return None };
    let Kind::Ptr { to } = btf.kind(btf.resolve(*element).ok()?)? else { return None };
    let to = btf.resolve(*to).ok()?;
    match btf.kind(to)? {
        Kind::Prototype { .. } => Some(Element::Function),
        _ => btf.members(to).map(|_| Element::Map(to)),
    }
}

/// What a definition says of keys or of values.
#[derive(Default)]
struct Entry {
    /// From `__uint(key_size, n)`.
    size: Option<u32>,
    /// From `__type(key, T)`: the type and its size.
    ty: Option<(u32, u32)>,
}

impl Entry {
    /// Size and type; `None` when they contradict each other.
    ///
    /// A ring buffer has records of any size: there the type only says what they look like.
    fn resolve(self, kind: MapKind) -> Option<(u32, u32)> {
        match (self.size, self.ty) {
            (size, Some((ty, _))) if kind == MapKind::RingBuf => Some((size.unwrap_or(0), ty)),
            (Some(size), Some((_, other))) if size != other => None,
            (_, Some((ty, size))) => Some((size, ty)),
            (size, None) => Some((size.unwrap_or(0), 0)),
        }
    }
}

/// `int (*name)[n]`: n.
fn number(btf: &Btf, member: &Member) -> Option<u32> {
    let Some(Kind::Ptr { to }) = btf.kind(btf.resolve(member.ty).ok()?) else { return None };
    match btf.kind(btf.resolve(*to).ok()?) {
        Some(Kind::Array { len, .. }) => Some(*len),
        _ => None,
    }
}

/// `T *name`: T and its size.
fn pointed(btf: &Btf, member: &Member) -> Result<(u32, u32), BtfError> {
    let id = btf.resolve(member.ty)?;
    let Some(Kind::Ptr { to }) = btf.kind(id) else { return Err(BtfError::NoSize { id }) };
    let size = u32::try_from(btf.size_of(*to)?).map_err(|_| BtfError::TooLarge { id: *to })?;
    Ok((*to, size))
}
