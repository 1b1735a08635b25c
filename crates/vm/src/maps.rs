//! Maps: typed storage shared by programs, the embedder and the command line.
//!
//! # What a map guarantees
//!
//! * All memory of a map is set aside when it is made, at most [`MAX_BYTES`]. Values never move: a
//!   pointer a program got from a lookup stays valid for the whole run.
//! * A value is plain shared memory. A program that stores to it while somebody else reads it is seen
//!   word by word, as with the kernel's maps. Removing an entry does not take the memory from
//!   programs that hold a pointer; it may be reused for another key meanwhile.
//! * Operations fail with the error numbers of `linux/bpf.h` maps ([`MapError::errno`]).
//!
//! Keys and values are bytes here; what they mean is in the object's BTF ([`MapSpec::key_type`]).

use std::sync::Arc;
use std::time::Duration;

use crate::mem::Window;

mod array;
mod hash;
mod ringbuf;

use array::Array;
use hash::Hash;
pub use ringbuf::{Reservation, RingBuf};

/// Most memory one map may take, in bytes.
pub const MAX_BYTES: u64 = 1 << 30;

/// Most bytes of a hash key: what fits on a program's stack.
pub const MAX_KEY_SIZE: u32 = 512;

/// How an update treats an existing entry (`BPF_ANY`, `BPF_NOEXIST`, `BPF_EXIST` of `linux/bpf.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UpdateMode {
    /// Make the entry or replace its value.
    #[default]
    Any,
    /// Only make a new entry.
    NoExist,
    /// Only replace the value of an existing entry.
    Exist,
}

impl UpdateMode {
    /// From the number programs use; `None` for unknown flags.
    pub fn from_flags(flags: u64) -> Option<UpdateMode> {
        match flags {
            0 => Some(UpdateMode::Any),
            1 => Some(UpdateMode::NoExist),
            2 => Some(UpdateMode::Exist),
            _ => None,
        }
    }
}

/// Map flags of `linux/bpf.h` that are understood.
pub mod flags {
    /// `BPF_F_NO_PREALLOC`: accepted; memory is untouched until used in any case.
    pub const NO_PREALLOC: u32 = 1 << 0;
    /// `BPF_F_RDONLY_PROG`: programs may not store to the values.
    pub const RDONLY_PROG: u32 = 1 << 7;
    /// `BPF_F_MMAPABLE`: accepted for arrays, where clang-built objects ask for it on data sections.
    pub const MMAPABLE: u32 = 1 << 10;
}

/// Kinds of maps, numbered as `enum bpf_map_type` of `linux/bpf.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum MapKind {
    /// `BPF_MAP_TYPE_HASH`.
    Hash = 1,
    /// `BPF_MAP_TYPE_ARRAY`.
    Array = 2,
    /// `BPF_MAP_TYPE_PERCPU_ARRAY`.
    PerCpuArray = 6,
    /// `BPF_MAP_TYPE_RINGBUF`.
    RingBuf = 27,
}

/// What an object declares of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapSpec {
    /// Name of the C variable, or of the data section.
    pub name: String,
    /// Kind.
    pub kind: MapKind,
    /// Key length in bytes.
    pub key_size: u32,
    /// Value length in bytes.
    pub value_size: u32,
    /// Capacity in entries; in bytes for a ring buffer.
    pub max_entries: u32,
    /// `BPF_F_…` flags.
    pub flags: u32,
    /// BTF type of the key in the object's BTF, 0 if none.
    pub key_type: u32,
    /// BTF type of the value in the object's BTF, 0 if none.
    pub value_type: u32,
    /// Whether programs may not store to the values (`.rodata`).
    pub read_only: bool,
}

impl MapSpec {
    fn refuse(&self, reason: impl Into<String>) -> MapError {
        MapError::Spec { name: self.name.clone(), reason: reason.into() }
    }

    /// Whether programs may store to the values.
    pub fn programs_may_write(&self) -> bool {
        !self.read_only && self.flags & flags::RDONLY_PROG == 0
    }
}

/// Why a map cannot be made or used that way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// The declaration cannot be honoured.
    #[error("map `{name}`: {reason}")]
    Spec {
        /// The map.
        name: String,
        /// What is wrong, and the remedy.
        reason: String,
    },
    /// A key has the wrong length.
    #[error("key of {got} bytes where the map has keys of {expected}")]
    KeySize {
        /// Length given.
        got: usize,
        /// Length declared.
        expected: usize,
    },
    /// A value has the wrong length.
    #[error("value of {got} bytes where the map has values of {expected}")]
    ValueSize {
        /// Length given.
        got: usize,
        /// Length declared; for all slots of a per-CPU map together.
        expected: usize,
    },
    /// There is no such entry.
    #[error("no such entry")]
    NotFound,
    /// There is such an entry already.
    #[error("the entry exists already")]
    Exists,
    /// The map holds as many entries as it was declared for, or the index is past the last one.
    #[error("the map has no room for the entry")]
    Full,
    /// The kind of map cannot do that.
    #[error("not possible with this kind of map")]
    Unsupported,
}

impl MapError {
    /// The error number programs get, positive.
    pub fn errno(&self) -> i32 {
        match self {
            MapError::NotFound => ENOENT,
            MapError::Exists => EEXIST,
            MapError::Full => E2BIG,
            _ => EINVAL,
        }
    }
}

const ENOENT: i32 = 2;
const E2BIG: i32 = 7;
const EEXIST: i32 = 17;
const EINVAL: i32 = 22;

/// A map. Shared between the programs of an object and its embedder by [`Arc`].
#[derive(Debug)]
pub struct Map {
    spec: MapSpec,
    store: Store,
}

#[derive(Debug)]
enum Store {
    Array(Array),
    Hash(Hash),
    RingBuf(RingBuf),
}

/// The values of a map in memory: one every `stride` bytes, each `value_size` long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Values<'r> {
    /// All of them.
    pub(crate) window: Window<'r>,
    /// Distance between two values in bytes; not zero.
    pub(crate) stride: usize,
    /// Length of one value in bytes.
    pub(crate) value_size: usize,
}

impl<'r> Values<'r> {
    /// The value that covers `len` bytes at `addr`.
    pub(crate) fn find(&self, addr: u64, len: usize) -> Option<Window<'r>> {
        let off = usize::try_from(addr.wrapping_sub(self.window.addr())).ok()?;
        if off >= self.window.len() {
            return None;
        }
        let start = off - off % self.stride;
        if (off - start).checked_add(len)? > self.value_size {
            return None;
        }
        self.window.sub(start, self.value_size)
    }
}

impl Map {
    /// Makes an empty map. `slots` is how many threads can run programs at once: a per-CPU map has
    /// one value for each.
    ///
    /// # Errors
    ///
    /// [`MapError::Spec`] when sizes, capacity or flags cannot be honoured.
    pub fn new(spec: MapSpec, slots: usize) -> Result<Arc<Map>, MapError> {
        let mut known = flags::RDONLY_PROG;
        match spec.kind {
            MapKind::Hash => known |= flags::NO_PREALLOC,
            MapKind::Array => known |= flags::MMAPABLE,
            MapKind::PerCpuArray => {}
            MapKind::RingBuf => known = 0,
        }
        if spec.flags & !known != 0 {
            return Err(spec.refuse(format!("flags {:#x} are not supported", spec.flags & !known)));
        }
        let store = match spec.kind {
            MapKind::Array => Store::Array(Array::new(&spec, 1)?),
            MapKind::PerCpuArray => Store::Array(Array::new(&spec, slots.max(1))?),
            MapKind::Hash => Store::Hash(Hash::new(&spec)?),
            MapKind::RingBuf => Store::RingBuf(RingBuf::new(&spec)?),
        };
        Ok(Arc::new(Map { spec, store }))
    }

    /// What was declared.
    pub fn spec(&self) -> &MapSpec {
        &self.spec
    }

    /// How many values each entry has: the threads of a per-CPU map, else one.
    pub fn slots(&self) -> usize {
        match &self.store {
            Store::Array(array) => array.slots(),
            _ => 1,
        }
    }

    /// Fills a one-entry array (a data section) from its first byte on. What does not fit is left
    /// out, and other kinds of map are left alone.
    pub fn init(&self, data: &[u8]) {
        if let Store::Array(array) = &self.store
            && let Some(value) = array.value(0, 0)
        {
            let fitting = &data[..data.len().min(value.len())];
            let written = value.write(0, fitting);
            debug_assert!(written, "cut to the value's length");
        }
    }

    /// The memory of the single value of a one-entry array, for direct access by programs.
    pub fn single_value(&self) -> Option<Window<'_>> {
        match &self.store {
            Store::Array(array) if self.spec.kind == MapKind::Array && self.spec.max_entries == 1 => {
                array.value(0, 0).map(|value| self.for_programs(value))
            }
            _ => None,
        }
    }

    /// The value of an entry, as a program running in `slot` may use it. `None` when there is no such
    /// entry or `key` has the wrong length.
    pub fn value(&self, key: &[u8], slot: usize) -> Option<Window<'_>> {
        let value = match &self.store {
            Store::Array(array) => array.value(array.index(key)?, self.own(slot)),
            Store::Hash(hash) => hash.value(key),
            Store::RingBuf(_) => None,
        };
        value.map(|value| self.for_programs(value))
    }

    /// The ring buffer, if the map is one.
    pub fn ring(&self) -> Option<&RingBuf> {
        match &self.store {
            Store::RingBuf(ring) => Some(ring),
            _ => None,
        }
    }

    /// All values a program running in `slot` may reach, for the interpreter's address check.
    pub(crate) fn values(&self, slot: usize) -> Option<Values<'_>> {
        let values = match &self.store {
            Store::Array(array) => array.values(self.own(slot)),
            Store::Hash(hash) => Some(hash.values()),
            Store::RingBuf(_) => None,
        };
        values.map(|values| Values { window: self.for_programs(values.window), ..values })
    }

    /// The slot whose values a program running in `slot` uses: those of a map that is not per-CPU are
    /// everybody's.
    fn own(&self, slot: usize) -> usize {
        if self.spec.kind == MapKind::PerCpuArray { slot } else { 0 }
    }

    fn for_programs<'a>(&self, window: Window<'a>) -> Window<'a> {
        if self.spec.programs_may_write() { window } else { window.read_only() }
    }

    /// Length of what [`Map::lookup`] gives and [`Map::update`] takes.
    fn full_value_size(&self) -> usize {
        self.spec.value_size as usize * self.slots()
    }

    fn check_key(&self, key: &[u8]) -> Result<(), MapError> {
        let expected = self.spec.key_size as usize;
        if key.len() == expected { Ok(()) } else { Err(MapError::KeySize { got: key.len(), expected }) }
    }

    /// A copy of an entry's value; for a per-CPU map the values of all slots one after the other,
    /// without padding.
    pub fn lookup(&self, key: &[u8]) -> Option<Vec<u8>> {
        match &self.store {
            Store::Array(array) => {
                let index = array.index(key)?;
                let mut out = Vec::with_capacity(self.full_value_size());
                for slot in 0..array.slots() {
                    out.extend_from_slice(&array.value(index, slot)?.to_vec());
                }
                Some(out)
            }
            Store::Hash(hash) => hash.lookup(key),
            Store::RingBuf(_) => None,
        }
    }

    /// A copy of the value one slot has; of a map that is not per-CPU slot 0 is the value.
    pub fn lookup_slot(&self, key: &[u8], slot: usize) -> Option<Vec<u8>> {
        match &self.store {
            Store::Array(array) => array.value(array.index(key)?, slot).map(|value| value.to_vec()),
            Store::Hash(hash) if slot == 0 => hash.lookup(key),
            _ => None,
        }
    }

    /// Sets an entry. For a per-CPU map `value` holds the values of all slots as [`Map::lookup`]
    /// gives them.
    ///
    /// # Errors
    ///
    /// Wrong lengths; [`MapError::Exists`] and [`MapError::NotFound`] as `mode` asks;
    /// [`MapError::Full`] when there is no room or the index is past the last;
    /// [`MapError::Unsupported`] for a ring buffer.
    pub fn update(&self, key: &[u8], value: &[u8], mode: UpdateMode) -> Result<(), MapError> {
        self.check_key(key)?;
        let expected = self.full_value_size();
        if value.len() != expected {
            return Err(MapError::ValueSize { got: value.len(), expected });
        }
        match &self.store {
            Store::Array(array) => {
                let index = array.index(key).ok_or(MapError::Full)?;
                if mode == UpdateMode::NoExist {
                    return Err(MapError::Exists);
                }
                for (slot, part) in value.chunks_exact(self.spec.value_size as usize).enumerate() {
                    array.set(index, slot, Window::from_bytes(part))?;
                }
                Ok(())
            }
            Store::Hash(hash) => hash.update(key, Window::from_bytes(value), mode),
            Store::RingBuf(_) => Err(MapError::Unsupported),
        }
    }

    /// Sets an entry as a program running in `slot` does it: only that slot's value of a per-CPU map.
    ///
    /// # Errors
    ///
    /// As [`Map::update`].
    pub fn update_slot(
        &self,
        key: &[u8],
        value: Window<'_>,
        mode: UpdateMode,
        slot: usize,
    ) -> Result<(), MapError> {
        self.check_key(key)?;
        let expected = self.spec.value_size as usize;
        if value.len() != expected {
            return Err(MapError::ValueSize { got: value.len(), expected });
        }
        match &self.store {
            Store::Array(array) => {
                let index = array.index(key).ok_or(MapError::Full)?;
                if mode == UpdateMode::NoExist {
                    return Err(MapError::Exists);
                }
                array.set(index, self.own(slot), value)
            }
            Store::Hash(hash) => hash.update(key, value, mode),
            Store::RingBuf(_) => Err(MapError::Unsupported),
        }
    }

    /// Removes an entry.
    ///
    /// # Errors
    ///
    /// [`MapError::NotFound`]; [`MapError::Unsupported`] for arrays and ring buffers.
    pub fn delete(&self, key: &[u8]) -> Result<(), MapError> {
        self.check_key(key)?;
        match &self.store {
            Store::Hash(hash) => hash.delete(key),
            _ => Err(MapError::Unsupported),
        }
    }

    /// The keys of all entries, in no particular order for a hash. Entries made or removed meanwhile
    /// may be missing or included.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        match &self.store {
            Store::Array(_) => (0..self.spec.max_entries).map(|i| i.to_ne_bytes().to_vec()).collect(),
            Store::Hash(hash) => hash.keys(),
            Store::RingBuf(_) => Vec::new(),
        }
    }

    /// Hands every finished record of a ring buffer to `each`, oldest first, and frees it. Returns
    /// how many there were; other kinds of map have none.
    pub fn consume(&self, each: impl FnMut(&[u8])) -> usize {
        self.ring().map_or(0, |ring| ring.consume(each))
    }

    /// Waits until a ring buffer has a finished record, for at most `timeout`. Whether it has one.
    pub fn wait(&self, timeout: Duration) -> bool {
        self.ring().is_some_and(|ring| ring.wait(timeout))
    }
}

/// Words for `count` values of `size` bytes each, and the distance between two of them.
fn layout(spec: &MapSpec, size: u64, count: u64) -> Result<(usize, usize), MapError> {
    let stride = size.next_multiple_of(8);
    let bytes = stride.saturating_mul(count);
    if bytes > MAX_BYTES {
        return Err(spec.refuse(format!(
            "{count} entries of {stride} bytes are {bytes} bytes, more than the {MAX_BYTES} a map may have"
        )));
    }
    Ok((stride as usize, (bytes / 8) as usize))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn spec(kind: MapKind, key_size: u32, value_size: u32, max_entries: u32) -> MapSpec {
        MapSpec {
            name: "m".into(),
            kind,
            key_size,
            value_size,
            max_entries,
            flags: 0,
            key_type: 0,
            value_type: 0,
            read_only: false,
        }
    }

    #[test]
    fn declarations_that_cannot_be_honoured_say_why() {
        for (spec, words) in [
            (spec(MapKind::Array, 8, 8, 1), "key"),
            (spec(MapKind::Array, 4, 0, 1), "value"),
            (spec(MapKind::Array, 4, 8, 0), "max_entries"),
            (spec(MapKind::Array, 4, 4096, 1 << 20), "more than"),
            (spec(MapKind::Hash, 0, 8, 1), "key"),
            (spec(MapKind::Hash, 513, 8, 1), "key"),
            (spec(MapKind::Hash, 4, 0, 1), "value"),
            (spec(MapKind::Hash, 4, 8, u32::MAX), "more than"),
            (spec(MapKind::RingBuf, 0, 0, 5000), "power of two"),
            (spec(MapKind::RingBuf, 0, 0, 2048), "4096"),
            (spec(MapKind::RingBuf, 4, 0, 4096), "key"),
            (MapSpec { flags: 1 << 20, ..spec(MapKind::Array, 4, 8, 1) }, "0x100000"),
        ] {
            let error = Map::new(spec, 1).unwrap_err().to_string();
            assert!(error.starts_with("map `m`: ") && error.contains(words), "{error}");
        }
    }

    #[test]
    fn only_values_are_found_not_what_lies_between() {
        let map = Map::new(spec(MapKind::Array, 4, 5, 3), 1).unwrap();
        let values = map.values(0).unwrap();
        let base = values.window.addr();
        assert!(values.find(base + 8, 5).is_some());
        assert!(values.find(base + 8 + 4, 1).is_some());
        assert!(values.find(base + 8 + 4, 2).is_none());
        assert!(values.find(base + 8 + 5, 1).is_none());
        assert!(values.find(base + 24, 1).is_none());
        assert!(values.find(base.wrapping_sub(1), 1).is_none());
    }

    #[test]
    fn arrays_follow_the_kernel() {
        let map = Map::new(spec(MapKind::Array, 4, 4, 2), 4).unwrap();
        let one = 1u32.to_ne_bytes();
        let two = 2u32.to_ne_bytes();
        assert_eq!(map.lookup(&one).unwrap(), [0; 4]);
        assert_eq!(map.lookup(&two), None);
        assert_eq!(map.update(&two, &[1; 4], UpdateMode::Any), Err(MapError::Full));
        assert_eq!(map.update(&one, &[1; 4], UpdateMode::NoExist), Err(MapError::Exists));
        assert_eq!(
            map.update(&one, &[1; 5], UpdateMode::Any),
            Err(MapError::ValueSize { got: 5, expected: 4 })
        );
        assert_eq!(
            map.update(&[1], &[1; 4], UpdateMode::Any),
            Err(MapError::KeySize { got: 1, expected: 4 })
        );
        assert_eq!(map.update(&one, &[9; 4], UpdateMode::Exist), Ok(()));
        assert_eq!(map.lookup(&one).unwrap(), [9; 4]);
        assert_eq!(map.delete(&one), Err(MapError::Unsupported));
        assert_eq!(map.keys().len(), 2);
        assert!(map.single_value().is_none());
        assert_eq!(map.consume(|_| ()), 0);
    }

    #[test]
    fn every_slot_reaches_the_values_of_a_plain_array() {
        let map = Map::new(spec(MapKind::Array, 4, 8, 2), 1).unwrap();
        let key = 1u32.to_ne_bytes();
        let window = Window::from_bytes(&[7; 8]);
        assert_eq!(map.update_slot(&key, window, UpdateMode::Any, 3), Ok(()));
        assert_eq!(map.value(&key, 5).unwrap().to_vec(), [7; 8]);
        assert!(map.values(5).is_some());
    }

    #[test]
    fn a_value_per_slot() {
        let map = Map::new(spec(MapKind::PerCpuArray, 4, 2, 2), 3).unwrap();
        let key = 1u32.to_ne_bytes();
        assert_eq!(map.update(&key, &[1, 1, 2, 2, 3, 3], UpdateMode::Any), Ok(()));
        assert_eq!(map.lookup_slot(&key, 1).unwrap(), [2, 2]);
        assert_eq!(map.lookup_slot(&key, 3), None);
        let window = Window::from_bytes(&[7, 7]);
        assert_eq!(map.update_slot(&key, window, UpdateMode::Any, 2), Ok(()));
        assert_eq!(map.lookup(&key).unwrap(), [1, 1, 2, 2, 7, 7]);
        // A program in one slot does not reach the values of another.
        let mine = map.values(1).unwrap();
        let theirs = map.value(&key, 0).unwrap();
        assert!(mine.find(theirs.addr(), 1).is_none());
        assert!(map.values(3).is_none());
    }

    #[test]
    fn data_sections() {
        let map = Map::new(MapSpec { read_only: true, ..spec(MapKind::Array, 4, 6, 1) }, 1).unwrap();
        map.init(&[1, 2, 3]);
        let value = map.single_value().unwrap();
        assert_eq!(value.to_vec(), [1, 2, 3, 0, 0, 0]);
        assert!(!value.write(0, &[1]));
        map.init(&[5; 100]);
        assert_eq!(value.to_vec(), [5; 6]);
    }
}
