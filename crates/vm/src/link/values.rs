//! What maps have in them from the start: the `values` of maps of programs and of maps of maps, which are
//! relocations in `.maps`.

use super::Context;
use super::LoadError;
use super::code::Linker;
use super::maps::Definition;
use super::maps::Values;
use crate::maps::UpdateMode;
use crate::object::Place;
use crate::object::Relocation;
use crate::object::SectionKind;
use crate::object::reloc;

/// Bytes of a pointer in an object.
const POINTER: u64 = 8;

/// Puts programs and maps where `values` asks for them.
pub(super) fn fill(
    context: &Context<'_>,
    definitions: &[Definition],
    linker: &mut Linker<'_, '_>,
) -> Result<(), LoadError> {
    let Some(section) = context.object.section_of(SectionKind::Maps) else { return Ok(()) };
    // Definitions may lie in any order; what a relocation is part of is the nearest one before it.
    let mut sorted: Vec<&Definition> = definitions.iter().collect();
    sorted.sort_by_key(|definition| definition.offset);
    for relocation in &section.relocations {
        let after = sorted.partition_point(|definition| definition.offset <= relocation.offset);
        let definition = after.checked_sub(1).and_then(|nth| sorted.get(nth)).copied();
        let Some(definition) = definition else {
            return Err(LoadError::DataRelocation {
                section: section.name.to_owned(),
                offset: relocation.offset,
                symbol: symbol_name(context, relocation),
            });
        };
        let value = usize::try_from(relocation.offset).ok().and_then(|at| section.data.get(at..));
        let addend = value.and_then(<[u8]>::first_chunk).map_or(0, |bytes| u64::from_le_bytes(*bytes));
        put(context, definition, relocation, addend, linker)?;
    }
    Ok(())
}

fn symbol_name(context: &Context<'_>, relocation: &Relocation) -> String {
    let symbol = context.object.symbols.get(relocation.symbol);
    symbol.map_or("", |symbol| context.symbol_name(symbol)).to_owned()
}

/// Puts what a relocation names in the map it is part of.
fn put(
    context: &Context<'_>,
    definition: &Definition,
    relocation: &Relocation,
    addend: u64,
    linker: &mut Linker<'_, '_>,
) -> Result<(), LoadError> {
    let bad = |reason: String| LoadError::MapDefinition {
        map: definition.spec.name.clone(),
        offset: relocation.offset,
        reason,
    };
    let at = match definition.values {
        Values::None => return Err(bad("holds an address outside `values`".to_owned())),
        Values::Programs { at } | Values::Maps { at } => definition.offset.saturating_add(at),
    };
    let index = relocation.offset.checked_sub(at).filter(|off| off.is_multiple_of(POINTER));
    let index = index.and_then(|off| u32::try_from(off / POINTER).ok());
    let index = index.ok_or_else(|| bad("holds an address outside `values`".to_owned()))?;
    if relocation.kind != reloc::R_BPF_64_ABS64 {
        return Err(bad(format!("relocation of `values[{index}]` is not R_BPF_64_ABS64")));
    }
    let name = symbol_name(context, relocation);
    let symbol = context.object.symbols.get(relocation.symbol);
    let place = symbol.and_then(|symbol| match symbol.place {
        Place::Section(section) => Some((section, symbol.value.wrapping_add(addend))),
        _ => None,
    });
    let failed = |source| LoadError::Map { section: ".maps".to_owned(), offset: relocation.offset, source };
    let map = context.map_at.get(&definition.offset).and_then(|map| context.maps.get(*map));
    let map = map.ok_or_else(|| bad("is not made".to_owned()))?;
    if let Values::Programs { .. } = definition.values {
        let program = match place {
            Some((section, address)) => linker.program_at(section, address)?,
            None => None,
        };
        let program = program.ok_or_else(|| bad(format!("`values[{index}]`, `{name}`, is not a program")))?;
        return map.set_program(index, program).map_err(failed);
    }
    let is_maps = |section: usize| context.section(section).is_some_and(|s| s.kind == SectionKind::Maps);
    let inner = place
        .filter(|(section, _)| is_maps(*section))
        .and_then(|(_, address)| context.map_at.get(&address))
        .and_then(|inner| context.maps.get(*inner));
    let inner = inner.ok_or_else(|| bad(format!("`values[{index}]`, `{name}`, is not a map")))?;
    // As libbpf does it, the key in a hash is the index as well.
    let mut key = vec![0; map.key_len()];
    let number = u64::from(index).to_ne_bytes();
    let len = key.len().min(number.len());
    key[..len].copy_from_slice(&number[..len]);
    map.set_inner(&key, inner.clone(), UpdateMode::Any).map_err(failed)
}
