//! Maps: typed storage shared by programs, the embedder and the command line.
//!
//! # What a map guarantees
//!
//! * All memory of a map is set aside when it is made, at most [`MAX_BYTES`]. Values never move: a
//!   pointer a program got from a lookup stays valid for the whole run.
//! * A value is plain shared memory. A program that stores to it while somebody else reads it is seen
//!   word by word, as with the kernel's maps. Removing an entry does not take the memory from
//!   programs that hold a pointer; it may be reused for another key meanwhile. What [`Map::lookup`]
//!   copies is the value of its key, whatever other threads do to the map.
//! * Lookups by key take no lock and write nothing that other threads read.
//! * Operations fail with the error numbers of `linux/bpf.h` maps ([`MapError::errno`]).
//!
//! Keys and values are bytes here; what they mean is in the object's BTF ([`MapSpec::key_type`]), and
//! [`Map::typed`] gives them as Rust types.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[cfg(feature = "jit")]
use crate::jit::Compiled;
use crate::mem::Window;
use crate::program::Program;

mod array;
mod bloom;
mod hash;
mod lock;
mod lpm;
mod outer;
mod programs;
mod queue;
mod ringbuf;
mod spec;
mod typed;

use array::Array;
use bloom::Bloom;
use hash::{Change, Hash};
pub(crate) use lock::Held;
use lock::LOCK_SIZE;
use lpm::Lpm;
use outer::Outer;
use programs::Programs;
pub(crate) use programs::Target;
use queue::Queue;
pub use ringbuf::{Reservation, RingBuf};
pub use spec::{MapError, MapKind, MapSpec, UpdateMode, flags};
pub use typed::Typed;

/// Most memory one map may take, in bytes.
pub const MAX_BYTES: u64 = 1 << 30;

/// Most bytes of a hash key: what fits on a program's stack.
pub const MAX_KEY_SIZE: u32 = 512;

/// Nodes an [`MapKind::InodeStorage`] has room for unless it is declared with another number.
pub const INODE_STORAGE_ENTRIES: u32 = 1 << 16;

/// Distance in bytes by which the values of two slots do not share memory the processor moves at once.
const SLOT_ALIGN: u64 = 128;

/// Bytes of a key of an [`MapKind::InodeStorage`].
const NODE_SIZE: u32 = 8;

/// A map. Shared between the programs of an object and its embedder by [`Arc`].
pub struct Map {
    spec: MapSpec,
    id: u32,
    slots: usize,
    per_cpu: bool,
    store: Store,
    /// Of a read-only map: whether it can no longer change.
    frozen: Mutex<bool>,
}

enum Store {
    Array(Array),
    Hash(Hash),
    Lpm(Lpm),
    Queue(Queue),
    Bloom(Bloom),
    RingBuf(RingBuf),
    Outer(Outer),
    Programs(Programs),
}

/// The values of a map in memory: one every `stride` bytes, each `value_size` long. Value `n` of an array
/// is entry `n`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Values<'r> {
    /// All of them.
    pub(crate) window: Window<'r>,
    /// Distance between two values in bytes; not zero.
    pub(crate) stride: usize,
    /// Length of one value in bytes.
    pub(crate) value_size: usize,
    /// Where in each value its spin lock is.
    pub(crate) lock: Option<u32>,
}

impl<'r> Values<'r> {
    /// The part of a value around `len` bytes at `addr` that is memory to programs: the spin lock is not.
    pub(crate) fn find(&self, addr: u64, len: usize) -> Option<Window<'r>> {
        let (start, off) = self.place(addr)?;
        let end = off.checked_add(len)?;
        if end > self.value_size {
            return None;
        }
        let (from, to) = match self.lock.map(|lock| lock as usize) {
            None => (0, self.value_size),
            Some(lock) if end <= lock => (0, lock),
            Some(lock) if off >= lock + LOCK_SIZE => (lock + LOCK_SIZE, self.value_size),
            Some(_) => return None,
        };
        self.window.sub(start + from, to - from)
    }

    /// The spin lock at `addr`, if there is one.
    pub(crate) fn lock_at(&self, addr: u64) -> Option<Window<'r>> {
        let (start, off) = self.place(addr)?;
        let lock = self.lock? as usize;
        (off == lock).then_some(())?;
        self.window.sub(start + lock, LOCK_SIZE)
    }

    /// Where the value at `addr` starts, and the distance from there.
    fn place(&self, addr: u64) -> Option<(usize, usize)> {
        let off = usize::try_from(addr.wrapping_sub(self.window.addr())).ok()?;
        if off >= self.window.len() {
            return None;
        }
        Some((off - off % self.stride, off % self.stride))
    }
}

impl Map {
    /// Makes an empty map. `slots` is how many threads can run programs at once: a per-CPU map has
    /// one value for each.
    ///
    /// # Errors
    ///
    /// [`MapError::Spec`] when sizes, capacity or flags cannot be honoured.
    pub fn new(mut spec: MapSpec, slots: usize) -> Result<Arc<Map>, MapError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        spec.check()?;
        let slots = if spec.kind.is_per_cpu() { slots.max(1) } else { 1 };
        let store = match spec.kind {
            MapKind::Array | MapKind::PerCpuArray => Store::Array(Array::new(&spec, slots)?),
            MapKind::Hash | MapKind::PerCpuHash => {
                Store::Hash(Hash::new(&spec, spec.key_size, slots, false)?)
            }
            MapKind::LruHash | MapKind::LruPerCpuHash => {
                Store::Hash(Hash::new(&spec, spec.key_size, slots, true)?)
            }
            MapKind::InodeStorage => {
                spec.check_size("key", spec.key_size, 4)?;
                if spec.max_entries == 0 {
                    spec.max_entries = INODE_STORAGE_ENTRIES;
                }
                Store::Hash(Hash::new(&spec, NODE_SIZE, slots, true)?)
            }
            MapKind::LpmTrie => Store::Lpm(Lpm::new(&spec)?),
            MapKind::Queue | MapKind::Stack => Store::Queue(Queue::new(&spec)?),
            MapKind::Bloom => Store::Bloom(Bloom::new(&spec)?),
            MapKind::RingBuf => Store::RingBuf(RingBuf::new(&spec)?),
            MapKind::ArrayOfMaps | MapKind::HashOfMaps => Store::Outer(Outer::new(&spec)?),
            MapKind::ProgArray => Store::Programs(Programs::new(&spec)?),
        };
        let per_cpu = spec.kind.is_per_cpu();
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(Map { spec, id, slots, per_cpu, store, frozen: Mutex::new(false) }))
    }

    /// Makes an array of one entry, a data section, that starts with these bytes. What does not fit is left
    /// out.
    ///
    /// # Errors
    ///
    /// As [`Map::new`]; [`MapError::Unsupported`] for other kinds of map.
    pub fn with_data(spec: MapSpec, slots: usize, data: &[u8]) -> Result<Arc<Map>, MapError> {
        let map = Map::new(spec, slots)?;
        let Store::Array(array) = &map.store else { return Err(MapError::Unsupported) };
        let value = array.value(0, 0).ok_or(MapError::Unsupported)?;
        let fitting = &data[..data.len().min(value.len())];
        let written = value.write(0, fitting);
        debug_assert!(written, "cut to the value's length");
        Ok(map)
    }

    /// From now on a read-only map stays as it is: a program's proof relies on what it holds.
    pub(crate) fn freeze(&self) {
        if self.spec.read_only {
            *self.frozen.lock().unwrap_or_else(PoisonError::into_inner) = true;
        }
    }

    /// What a change of the map has to hold on to until it is done.
    fn change(&self) -> Result<Option<MutexGuard<'_, bool>>, MapError> {
        if !self.spec.read_only {
            return Ok(None);
        }
        let frozen = self.frozen.lock().unwrap_or_else(PoisonError::into_inner);
        if *frozen { Err(MapError::Frozen) } else { Ok(Some(frozen)) }
    }

    /// What was declared.
    pub fn spec(&self) -> &MapSpec {
        &self.spec
    }

    /// A number no other map of the process has, unless there were four thousand million.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// How many values each entry has: the threads of a per-CPU map, else one.
    pub fn slots(&self) -> usize {
        self.slots
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
    /// entry or `key` has the wrong length, and in maps whose entries have no address.
    #[inline]
    pub fn value(&self, key: &[u8], slot: usize) -> Option<Window<'_>> {
        self.found(key, slot).map(|value| self.for_programs(value))
    }

    /// The address of the value of an entry, or 0: what `bpf_map_lookup_elem` returns in `slot`. The
    /// address is good for as long as the map.
    #[inline]
    pub fn address(&self, key: &[u8], slot: usize) -> u64 {
        self.found(key, slot).map_or(0, |value| value.addr())
    }

    #[inline]
    fn found(&self, key: &[u8], slot: usize) -> Option<Window<'_>> {
        match &self.store {
            Store::Hash(hash) => hash.value(key, self.own(slot)),
            Store::Array(array) => array.value(array.index(key)?, self.own(slot)),
            Store::Lpm(lpm) => lpm.value(key),
            _ => None,
        }
    }

    /// The ring buffer, if the map is one.
    pub fn ring(&self) -> Option<&RingBuf> {
        match &self.store {
            Store::RingBuf(ring) => Some(ring),
            _ => None,
        }
    }

    /// All values a program running in `slot` may reach.
    pub(crate) fn values(&self, slot: usize) -> Option<Values<'_>> {
        let values = match &self.store {
            Store::Array(array) => array.values(self.own(slot)),
            Store::Hash(hash) => hash.values(self.own(slot)),
            Store::Lpm(lpm) => lpm.values(),
            _ => None,
        };
        values.map(|values| Values { window: self.for_programs(values.window), ..values })
    }

    /// The slot whose values a program running in `slot` uses: those of a map that is not per-CPU are
    /// everybody's, and threads past the last slot share those of the others, so that every thread has one.
    #[inline]
    fn own(&self, slot: usize) -> usize {
        match (self.per_cpu, slot < self.slots) {
            (false, _) => 0,
            (true, true) => slot,
            (true, false) => slot % self.slots,
        }
    }

    fn for_programs<'a>(&self, window: Window<'a>) -> Window<'a> {
        if self.spec.programs_may_write() { window } else { window.read_only() }
    }

    /// Length of a key in bytes, as [`Map::lookup`] takes it.
    pub fn key_len(&self) -> usize {
        match &self.store {
            Store::Hash(hash) => hash.key_size(),
            _ => self.spec.key_size as usize,
        }
    }

    /// Length of what [`Map::lookup`] gives and [`Map::update`] takes.
    fn full_value_size(&self) -> usize {
        self.spec.value_size as usize * self.slots
    }

    fn check_key(&self, key: &[u8]) -> Result<(), MapError> {
        let expected = self.key_len();
        if key.len() == expected { Ok(()) } else { Err(MapError::KeySize { got: key.len(), expected }) }
    }

    fn check_value(&self, got: usize, expected: usize) -> Result<(), MapError> {
        if got == expected { Ok(()) } else { Err(MapError::ValueSize { got, expected }) }
    }

    /// A copy of an entry's value; for a per-CPU map the values of all slots one after the other,
    /// without padding. Of a prefix trie the value of the longest prefix, of a queue or stack the one
    /// that is next, which has an empty key. A value with a spin lock is copied under it.
    pub fn lookup(&self, key: &[u8]) -> Option<Vec<u8>> {
        match &self.store {
            Store::Array(array) => {
                let index = array.index(key)?;
                let mut out = Vec::with_capacity(self.full_value_size());
                (0..self.slots).all(|slot| array.copy(index, slot, &mut out)).then_some(out)
            }
            Store::Hash(hash) => hash.lookup(key, None),
            Store::Lpm(lpm) => lpm.lookup(key),
            Store::Queue(_) if key.is_empty() => self.peek().ok(),
            _ => None,
        }
    }

    /// A copy of the value one slot has; of a map that is not per-CPU slot 0 is the value.
    pub fn lookup_slot(&self, key: &[u8], slot: usize) -> Option<Vec<u8>> {
        match &self.store {
            Store::Array(array) => {
                let mut out = Vec::new();
                array.copy(array.index(key)?, slot, &mut out).then_some(out)
            }
            Store::Hash(hash) => hash.lookup(key, Some(slot)),
            _ if slot == 0 => self.lookup(key),
            _ => None,
        }
    }

    /// Sets an entry. For a per-CPU map `value` holds the values of all slots as [`Map::lookup`]
    /// gives them. A value with a spin lock is set under it.
    ///
    /// # Errors
    ///
    /// Wrong lengths; [`MapError::Exists`] and [`MapError::NotFound`] as `mode` asks;
    /// [`MapError::Full`] (of a prefix trie [`MapError::NoSpace`]) when there is no room or the index is
    /// past the last; [`MapError::Unsupported`] where there are no keys, or no bytes as values;
    /// [`MapError::Frozen`] when it is read-only and a program that uses it was proved.
    pub fn update(&self, key: &[u8], value: &[u8], mode: UpdateMode) -> Result<(), MapError> {
        self.check_key(key)?;
        self.check_value(value.len(), self.full_value_size())?;
        let _change = self.change()?;
        let value = Window::from_bytes(value);
        match &self.store {
            Store::Array(array) => {
                let index = Self::array_index(array, key, mode)?;
                let size = self.spec.value_size as usize;
                for slot in 0..self.slots {
                    let part = value.sub(slot * size, size).ok_or(MapError::Full)?;
                    array.set(index, slot, part, true)?;
                }
                Ok(())
            }
            Store::Hash(hash) => hash.update(key, Change::All(value), mode, true).map(|_| ()),
            Store::Lpm(lpm) => lpm.update(key, value, mode),
            _ => Err(MapError::Unsupported),
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
        self.store(key, value, mode, slot, false)
    }

    /// As [`Map::update_slot`] with the flags of `bpf_map_update_elem`.
    ///
    /// # Errors
    ///
    /// As [`Map::update`], and [`MapError::Flags`].
    pub fn update_flags(
        &self,
        key: &[u8],
        value: Window<'_>,
        flags: u64,
        slot: usize,
    ) -> Result<(), MapError> {
        let locked = flags & spec::UPDATE_LOCKED != 0;
        let mode = UpdateMode::from_flags(flags & !spec::UPDATE_LOCKED);
        let mode = mode.filter(|_| !locked || self.spec.lock.is_some()).ok_or(MapError::Flags { flags })?;
        self.store(key, value, mode, slot, locked)
    }

    fn store(
        &self,
        key: &[u8],
        value: Window<'_>,
        mode: UpdateMode,
        slot: usize,
        locked: bool,
    ) -> Result<(), MapError> {
        self.check_key(key)?;
        self.check_value(value.len(), self.spec.value_size as usize)?;
        let _change = self.change()?;
        let slot = self.own(slot);
        match &self.store {
            Store::Array(array) => array.set(Self::array_index(array, key, mode)?, slot, value, locked),
            Store::Hash(hash) => hash.update(key, Change::Slot(slot, value), mode, locked).map(|_| ()),
            Store::Lpm(lpm) => lpm.update(key, value, mode),
            _ => Err(MapError::Unsupported),
        }
    }

    /// The index of an entry to be changed.
    fn array_index(array: &Array, key: &[u8], mode: UpdateMode) -> Result<usize, MapError> {
        let index = array.index(key).ok_or(MapError::Full)?;
        if mode == UpdateMode::NoExist { Err(MapError::Exists) } else { Ok(index) }
    }

    /// Removes an entry; of a map of maps or of programs, what the entry has.
    ///
    /// # Errors
    ///
    /// [`MapError::NotFound`]; [`MapError::Unsupported`] for arrays of bytes and where there are no keys.
    pub fn delete(&self, key: &[u8]) -> Result<(), MapError> {
        self.check_key(key)?;
        let _change = self.change()?;
        match &self.store {
            Store::Hash(hash) => hash.delete(key),
            Store::Lpm(lpm) => lpm.delete(key),
            Store::Outer(outer) => outer.remove(key),
            Store::Programs(programs) => programs.remove(key),
            _ => Err(MapError::Unsupported),
        }
    }

    /// The keys of all entries, in no particular order for a hash. Entries made or removed meanwhile
    /// may be missing or included. Of a map of maps or of programs, the keys that have one.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        match &self.store {
            Store::Array(_) => (0..self.spec.max_entries).map(|i| i.to_ne_bytes().to_vec()).collect(),
            Store::Hash(hash) => hash.keys(),
            Store::Lpm(lpm) => lpm.hash().keys(),
            Store::Outer(outer) => outer.keys(),
            Store::Programs(programs) => programs.keys(),
            _ => Vec::new(),
        }
    }

    /// How many values a queue or stack holds, or entries any other map has.
    pub fn count(&self) -> usize {
        match &self.store {
            Store::Queue(queue) => queue.len(),
            Store::Hash(hash) => hash.len(),
            Store::Lpm(lpm) => lpm.hash().len(),
            Store::Array(_) => self.spec.max_entries as usize,
            _ => self.keys().len(),
        }
    }

    /// One more than the last position at which [`Map::at`] can find an entry now.
    pub(crate) fn positions(&self) -> usize {
        match &self.store {
            Store::Array(_) => self.spec.max_entries as usize,
            Store::Hash(hash) => hash.positions(),
            _ => 0,
        }
    }

    /// The entry at a position, if there is one: writes its key to `key` and returns the value of a program
    /// running in `slot`.
    pub(crate) fn at(&self, position: usize, key: Window<'_>, slot: usize) -> Option<Window<'_>> {
        let slot = self.own(slot);
        let (value, written) = match &self.store {
            Store::Array(array) => {
                let index = u32::try_from(position).ok()?;
                (array.value(position, slot)?, key.write(0, &index.to_ne_bytes()))
            }
            Store::Hash(hash) => {
                let mut bytes = [0; MAX_KEY_SIZE as usize];
                let bytes = bytes.get_mut(..hash.key_size())?;
                let entry = hash.at(position, bytes)?;
                (hash.value_of(entry, slot)?, key.write(0, bytes))
            }
            _ => return None,
        };
        written.then(|| self.for_programs(value))
    }

    /// Adds a value to a queue, stack or Bloom filter. A queue or stack that is full drops the oldest
    /// value if `replace`.
    ///
    /// # Errors
    ///
    /// A wrong length; [`MapError::Full`]; [`MapError::Unsupported`] for other kinds of map, and to replace
    /// in a Bloom filter.
    pub fn push(&self, value: &[u8], replace: bool) -> Result<(), MapError> {
        self.push_window(Window::from_bytes(value), replace)
    }

    pub(crate) fn push_window(&self, value: Window<'_>, replace: bool) -> Result<(), MapError> {
        self.check_value(value.len(), self.spec.value_size as usize)?;
        match &self.store {
            Store::Queue(queue) => queue.push(value, replace),
            Store::Bloom(bloom) if !replace => {
                bloom.add(value);
                Ok(())
            }
            _ => Err(MapError::Unsupported),
        }
    }

    /// Takes the next value of a queue or stack.
    ///
    /// # Errors
    ///
    /// [`MapError::NotFound`] when there is none, [`MapError::Unsupported`] for other kinds of map.
    pub fn pop(&self) -> Result<Vec<u8>, MapError> {
        self.next(true)
    }

    /// A copy of the next value of a queue or stack.
    ///
    /// # Errors
    ///
    /// As [`Map::pop`].
    pub fn peek(&self) -> Result<Vec<u8>, MapError> {
        self.next(false)
    }

    fn next(&self, take: bool) -> Result<Vec<u8>, MapError> {
        let mut value = vec![0; self.spec.value_size as usize];
        let cells = std::cell::Cell::from_mut(value.as_mut_slice()).as_slice_of_cells();
        self.next_window(Window::from_cells(cells), take)?;
        Ok(value)
    }

    pub(crate) fn next_window(&self, to: Window<'_>, take: bool) -> Result<(), MapError> {
        match &self.store {
            Store::Queue(queue) => queue.next(to, take),
            _ => Err(MapError::Unsupported),
        }
    }

    /// Whether a Bloom filter may have a value.
    ///
    /// # Errors
    ///
    /// A wrong length; [`MapError::Unsupported`] for other kinds of map.
    pub fn may_have(&self, value: &[u8]) -> Result<bool, MapError> {
        self.may_have_window(Window::from_bytes(value))
    }

    pub(crate) fn may_have_window(&self, value: Window<'_>) -> Result<bool, MapError> {
        self.check_value(value.len(), self.spec.value_size as usize)?;
        match &self.store {
            Store::Bloom(bloom) => Ok(bloom.has(value)),
            _ => Err(MapError::Unsupported),
        }
    }

    /// The map an entry of a map of maps has.
    pub fn inner(&self, key: &[u8]) -> Option<Arc<Map>> {
        match &self.store {
            Store::Outer(outer) => outer.get(key),
            _ => None,
        }
    }

    /// Puts a map in a map of maps. Programs that found the one that was there keep it to the end of their
    /// run.
    ///
    /// # Errors
    ///
    /// As [`Map::update`]; [`MapError::NotLikeInner`]; [`MapError::Unsupported`] for other kinds of map.
    pub fn set_inner(&self, key: &[u8], map: Arc<Map>, mode: UpdateMode) -> Result<(), MapError> {
        self.check_key(key)?;
        match &self.store {
            Store::Outer(outer) => outer.set(key, map, mode),
            _ => Err(MapError::Unsupported),
        }
    }

    /// The program an entry of a program array has.
    pub fn program(&self, index: u32) -> Option<Arc<Program>> {
        self.target(index).map(|target| Arc::clone(&target.program))
    }

    /// The same with its code.
    pub(crate) fn target(&self, index: u32) -> Option<Arc<Target>> {
        match &self.store {
            Store::Programs(programs) => programs.get(index),
            _ => None,
        }
    }

    /// Puts a program in a program array. It must take the same context as those that go on with it.
    ///
    /// Nothing says that it was proved: it is interpreted, and each of its accesses checked, also when a compiled
    /// program goes on with it. It reaches no frames but its own then.
    ///
    /// # Errors
    ///
    /// [`MapError::Full`] when the index is past the last; [`MapError::Unsupported`] for other kinds of
    /// map.
    pub fn set_program(&self, index: u32, program: Arc<Program>) -> Result<(), MapError> {
        match &self.store {
            Store::Programs(programs) => programs.set(index, program),
            _ => Err(MapError::Unsupported),
        }
    }

    /// Puts a compiled program in a program array, for others that take the same context. Compiled programs go on
    /// with its code, if it was proved for the arguments of the run, and interpreted ones with its instructions.
    /// Code of the program that is in the entry already stays: it may be for other arguments.
    ///
    /// # Errors
    ///
    /// As [`Map::set_program`].
    #[cfg(feature = "jit")]
    pub fn set_compiled(&self, index: u32, code: Arc<Compiled>) -> Result<(), MapError> {
        match &self.store {
            Store::Programs(programs) => programs.set_code(index, code),
            _ => Err(MapError::Unsupported),
        }
    }

    /// Takes all programs out of a program array; other kinds of map are left alone. Programs and their
    /// maps refer to each other, and this is what ends it.
    pub(crate) fn clear_programs(&self) {
        if let Store::Programs(programs) = &self.store {
            programs.clear();
        }
    }

    /// The entries as Rust types: `K` of the key's length, `V` of the value's.
    ///
    /// # Errors
    ///
    /// [`MapError::KeySize`] and [`MapError::ValueSize`] when the types have other lengths.
    pub fn typed<K, V>(&self) -> Result<Typed<'_, K, V>, MapError> {
        Typed::new(self)
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

impl std::fmt::Debug for Map {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Map").field("spec", &self.spec).field("slots", &self.slots).finish_non_exhaustive()
    }
}

/// Words for `count` values of `size` bytes each, and the distance between two of them.
fn layout(spec: &MapSpec, size: u64, count: u64) -> Result<(usize, usize), MapError> {
    let stride = size.saturating_add(7) / 8 * 8;
    let bytes = stride.saturating_mul(count);
    if bytes > MAX_BYTES {
        return Err(spec.refuse(format!(
            "{count} entries of {stride} bytes are {bytes} bytes, more than the {MAX_BYTES} a map may have"
        )));
    }
    Ok((stride as usize, (bytes / 8) as usize))
}

#[cfg(test)]
pub(crate) mod tests;
