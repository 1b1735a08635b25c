//! Tables of jumps: what `switch` becomes with clang 22 and `-mcpu=v4`.
//!
//! Section `.jumptables` has one symbol for each table, whose words are offsets of instructions in the
//! section of the code that uses it. The code loads a word of it and jumps there (`gotox`). Here a
//! table becomes a read-only map of one value, whose words are slots of the linked program.

use super::LoadError;
use super::code::Draft;
use super::code::Func;
use super::code::Linker;
use crate::insn::Insn;
use crate::insn::op;
use crate::maps::Map;
use crate::maps::MapKind;
use crate::maps::MapSpec;
use crate::object::Relocation;
use crate::object::Section;
use crate::object::Symbol;
use crate::program::JumpTable;

/// Most words of all tables of an object, counted once for each function of each program that uses one.
pub(super) const MAX_WORDS: usize = 1 << 20;

/// Bytes of a word.
const WORD: usize = 8;

impl<'d> Linker<'_, 'd> {
    /// The map of the table `symbol` names, for the function that is put at slot `base`, and the offset
    /// in it that a reference with `addend` means.
    pub(super) fn jump_table(
        &self,
        draft: &mut Draft,
        (function, base): (&Func<'d>, usize),
        table: &Section<'d>,
        (relocation, symbol): (&Relocation, &Symbol<'d>),
        addend: i32,
    ) -> Result<(i32, i32), LoadError> {
        let bad = |reason| self.relocation(function.section, relocation, reason);
        let (start, size) = (usize::try_from(symbol.value), usize::try_from(symbol.size));
        let words = start
            .ok()
            .zip(size.ok())
            .and_then(|(start, size)| table.data.get(start..start.checked_add(size)?))
            .filter(|data| !data.is_empty() && data.len().is_multiple_of(WORD))
            .ok_or_else(|| bad("symbol is not a table of jumps"))?;
        let offset = usize::try_from(addend).ok().filter(|offset| *offset < words.len());
        let offset = offset.ok_or_else(|| bad("address lies outside its table"))? as i32;
        if let Some(map) = draft.table_index.get(&(base, symbol.value)) {
            return Ok((*map, offset));
        }
        let room = self.jump_words.get().checked_sub(words.len() / WORD);
        let room =
            room.ok_or(LoadError::TooLarge { what: "words of jump tables", limit: MAX_WORDS as u64 })?;
        self.jump_words.set(room);
        let insns = self.code.get(function.section).map(|code| code.insns.as_slice()).unwrap_or_default();
        let body = insns.get(function.start..function.start + function.len).unwrap_or_default();
        let firsts = first_slots(body);
        let mut value = Vec::with_capacity(words.len());
        let mut targets = Vec::with_capacity(words.len() / WORD);
        for word in words.as_chunks::<WORD>().0 {
            let byte = u64::from_le_bytes(*word);
            let slot = usize::try_from(byte / Insn::SIZE as u64).ok();
            let place = slot.and_then(|slot| slot.checked_sub(function.start));
            let place = place.filter(|place| {
                byte.is_multiple_of(Insn::SIZE as u64) && firsts.get(*place).copied().unwrap_or(false)
            });
            let target = base + place.ok_or_else(|| bad("a jump of the table leaves the function"))?;
            value.extend((target as u64).to_le_bytes());
            targets.push(target);
        }
        targets.sort_unstable();
        targets.dedup();
        // At most 2^20 words.
        let value_size = value.len() as u32;
        let spec = MapSpec { read_only: true, ..MapSpec::new(symbol.name, MapKind::Array, 4, value_size, 1) };
        let map = Map::with_data(spec, 1, &value).map_err(|source| LoadError::Map {
            section: table.name.to_owned(),
            offset: symbol.value,
            source,
        })?;
        let map = draft.own_map(map);
        draft.table_index.insert((base, symbol.value), map);
        draft.jump_tables.push(JumpTable { map: map as usize, function: base, targets });
        Ok((map, offset))
    }
}

/// Of each slot, whether an instruction starts there.
fn first_slots(body: &[Insn]) -> Vec<bool> {
    let mut second = false;
    let mut starts = Vec::with_capacity(body.len());
    for insn in body {
        starts.push(!second);
        second = !second && insn.is_wide();
    }
    starts
}

/// The first indirect jump of a function that has no table to jump by.
pub(super) fn without_table(body: &[Insn], start: usize, tables: &[JumpTable]) -> Option<usize> {
    if tables.iter().any(|table| table.function == start) {
        return None;
    }
    let firsts = first_slots(body);
    body.iter().zip(firsts).position(|(insn, first)| first && insn.code == op::GOTOX)
}
