//! Maps as Rust types.

use std::fmt;
use std::marker::PhantomData;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{Map, MapError, UpdateMode};

/// A map whose keys are `K` and whose values are `V`.
///
/// ```
/// use fuse_bpf_vm::maps::{Map, MapKind, MapSpec, UpdateMode};
///
/// let map = Map::new(MapSpec::new("sizes", MapKind::Hash, 4, 8, 100), 1)?;
/// let sizes = map.typed::<u32, u64>()?;
/// sizes.set(&7, &4096, UpdateMode::Any)?;
/// assert_eq!(sizes.get(&7), Some(4096));
/// assert_eq!(sizes.entries(), [(7, 4096)]);
/// # Ok::<(), fuse_bpf_vm::maps::MapError>(())
/// ```
pub struct Typed<'m, K, V> {
    map: &'m Map,
    types: PhantomData<fn(K) -> V>,
}

impl<'m, K, V> Typed<'m, K, V> {
    pub(super) fn new(map: &'m Map) -> Result<Self, MapError> {
        let (got, expected) = (size_of::<K>(), map.key_len());
        if got != expected {
            return Err(MapError::KeySize { got, expected });
        }
        let (got, expected) = (size_of::<V>(), map.spec().value_size as usize);
        if got != expected {
            return Err(MapError::ValueSize { got, expected });
        }
        Ok(Typed { map, types: PhantomData })
    }
}

impl<K: IntoBytes + Immutable, V: FromBytes + IntoBytes + Immutable> Typed<'_, K, V> {
    /// The value of an entry; of a per-CPU map slot 0's.
    pub fn get(&self, key: &K) -> Option<V> {
        V::read_from_bytes(&self.map.lookup_slot(key.as_bytes(), 0)?).ok()
    }

    /// The values all slots have.
    pub fn get_slots(&self, key: &K) -> Option<Vec<V>> {
        let bytes = self.map.lookup(key.as_bytes())?;
        bytes.chunks_exact(size_of::<V>().max(1)).map(|value| V::read_from_bytes(value).ok()).collect()
    }

    /// Sets an entry, in a per-CPU map to the same value in all slots.
    ///
    /// # Errors
    ///
    /// As [`Map::update`].
    pub fn set(&self, key: &K, value: &V, mode: UpdateMode) -> Result<(), MapError> {
        if self.map.slots() == 1 {
            return self.map.update(key.as_bytes(), value.as_bytes(), mode);
        }
        self.map.update(key.as_bytes(), &value.as_bytes().repeat(self.map.slots()), mode)
    }

    /// Removes an entry.
    ///
    /// # Errors
    ///
    /// As [`Map::delete`].
    pub fn remove(&self, key: &K) -> Result<(), MapError> {
        self.map.delete(key.as_bytes())
    }

    /// All entries; see [`Map::keys`].
    pub fn entries(&self) -> Vec<(K, V)>
    where
        K: FromBytes,
    {
        let keys = self.map.keys().into_iter().filter_map(|key| K::read_from_bytes(&key).ok());
        keys.filter_map(|key| self.get(&key).map(|value| (key, value))).collect()
    }
}

impl<V: FromBytes + IntoBytes + Immutable> Typed<'_, (), V> {
    /// Adds a value; see [`Map::push`].
    ///
    /// # Errors
    ///
    /// As [`Map::push`].
    pub fn push(&self, value: &V, replace: bool) -> Result<(), MapError> {
        self.map.push(value.as_bytes(), replace)
    }

    /// Takes the next value of a queue or stack; `None` when there is none.
    pub fn pop(&self) -> Option<V> {
        V::read_from_bytes(&self.map.pop().ok()?).ok()
    }

    /// Whether a Bloom filter may have a value.
    pub fn may_have(&self, value: &V) -> bool {
        self.map.may_have(value.as_bytes()) == Ok(true)
    }
}

impl<K, V> fmt::Debug for Typed<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Typed").field(self.map).finish()
    }
}
