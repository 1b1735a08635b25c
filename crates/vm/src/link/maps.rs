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
use crate::maps::MapKind;
use crate::maps::MapSpec;
use crate::object::Object;
use crate::object::SectionKind;

/// A map variable.
pub(super) struct Definition {
    /// Offset in `.maps`.
    pub(super) offset: u64,
    pub(super) spec: MapSpec,
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
            let definition = Definition { offset, spec: spec(btf, var.ty, offset, &mut found.notes)? };
            found.definitions.push(definition);
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
    let value = u64::from(spec.value_size);
    match spec.kind {
        MapKind::RingBuf => entries,
        MapKind::PerCpuArray => entries.saturating_mul(value).saturating_mul(slots as u64),
        MapKind::Hash | MapKind::Array => entries.saturating_mul(value + u64::from(spec.key_size)),
    }
}

/// Reads the definition of the variable `var`.
fn spec(btf: &Btf, var: u32, offset: u64, notes: &mut Vec<String>) -> Result<MapSpec, LoadError> {
    let map = btf.name(var).to_owned();
    let bad = |reason: String| LoadError::MapDefinition { map: map.clone(), offset, reason };
    let Some(Kind::Var { to, .. }) = btf.kind(var) else {
        return Err(bad("is not a variable".to_owned()));
    };
    let members = btf.members(*to).ok_or_else(|| bad("is not a struct".to_owned()))?;
    let (mut kind, mut max_entries, mut flags) = (None, 0, 0);
    let (mut key, mut value) = (Entry::default(), Entry::default());
    for member in members {
        let name = btf.string(member.name);
        let number = || number(btf, member).ok_or_else(|| bad(format!("`{name}` is not a __uint")));
        match name {
            "type" => kind = Some(number()?),
            "max_entries" => max_entries = number()?,
            "map_flags" => flags = number()?,
            "key_size" => key.size = Some(number()?),
            "value_size" => value.size = Some(number()?),
            "key" => key.ty = Some(pointed(btf, member).map_err(|e| bad(format!("key: {e}")))?),
            "value" => value.ty = Some(pointed(btf, member).map_err(|e| bad(format!("value: {e}")))?),
            "pinning" | "numa_node" => {
                notes.push(format!("map `{map}`: `{name}` has no effect here"));
            }
            "values" => return Err(bad("initial values (`values`) are not supported yet".to_owned())),
            _ => return Err(bad(format!("`{name}` is not known; remove it"))),
        }
    }
    let kind = kind.ok_or_else(|| bad("has no `type`; add __uint(type, BPF_MAP_TYPE_...)".to_owned()))?;
    let kind = kind_of(kind).map_err(|kind_name| LoadError::UnsupportedMapKind {
        map: map.clone(),
        offset,
        number: kind,
        kind: kind_name,
    })?;
    let (key_size, key_type) = key.resolve(kind).ok_or_else(|| bad("key sizes differ".to_owned()))?;
    let (value_size, value_type) = value.resolve(kind).ok_or_else(|| bad("value sizes differ".to_owned()))?;
    Ok(MapSpec {
        name: map,
        kind,
        key_size,
        value_size,
        max_entries,
        flags,
        key_type,
        value_type,
        read_only: false,
    })
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

fn kind_of(number: u32) -> Result<MapKind, &'static str> {
    for kind in [MapKind::Hash, MapKind::Array, MapKind::PerCpuArray, MapKind::RingBuf] {
        if kind as u32 == number {
            return Ok(kind);
        }
    }
    let index = (number as usize).wrapping_sub(1);
    Err(KINDS.get(index).copied().unwrap_or("unknown"))
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
