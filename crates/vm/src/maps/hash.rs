//! Hash maps.
//!
//! Entries live in slabs set aside at creation and are chained by index from fixed buckets. Each
//! bucket belongs to one of a few reader-writer locks: lookups share them, updates and removals hold
//! the bucket's alone. A second lock, taken inside the first and only by those two, hands out free
//! entries, so the map takes exactly as many as were declared.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{MAX_KEY_SIZE, MapError, MapSpec, UpdateMode, Values, layout};
use crate::mem::{Window, zeroed_words};

/// Most locks of one map; more threads than this seldom run.
const LOCKS: usize = 64;

/// An entry by number; 0 is none, entry `n` has its key and value at position `n - 1`.
type Link = u32;

#[derive(Debug)]
pub(super) struct Hash {
    seed: u64,
    /// First entry of each bucket; a power of two of them.
    buckets: Box<[AtomicU32]>,
    /// Lock `bucket % locks.len()` guards a bucket, the links and keys of its entries.
    locks: Box<[RwLock<()>]>,
    /// The entry after each, in its bucket or among the free.
    next: Box<[AtomicU32]>,
    free: Mutex<Free>,
    keys: Box<[AtomicU64]>,
    key_size: usize,
    key_stride: usize,
    values: Box<[AtomicU64]>,
    value_size: usize,
    value_stride: usize,
}

/// Entries not in use.
#[derive(Debug)]
struct Free {
    /// Those that were removed, chained.
    removed: Link,
    /// How many were ever used; the ones after it are free.
    used: u32,
}

/// Where a key is, or would be.
struct Found {
    /// The entry before it in its bucket; 0 if it is the first.
    before: Link,
    /// The entry; 0 if there is none.
    entry: Link,
}

fn links(count: usize) -> Box<[AtomicU32]> {
    (0..count).map(|_| AtomicU32::new(0)).collect()
}

impl Hash {
    pub(super) fn new(spec: &MapSpec) -> Result<Hash, MapError> {
        if spec.key_size == 0 || spec.key_size > MAX_KEY_SIZE {
            return Err(spec.refuse(format!("a key is 1 to {MAX_KEY_SIZE} bytes, not {}", spec.key_size)));
        }
        if spec.value_size == 0 {
            return Err(spec.refuse("the value has no size"));
        }
        if spec.max_entries == 0 {
            return Err(spec.refuse("max_entries is missing"));
        }
        let count = u64::from(spec.max_entries);
        let key_and_value = u64::from(spec.key_size).next_multiple_of(8) + u64::from(spec.value_size);
        layout(spec, key_and_value + 2 * size_of::<Link>() as u64, count)?;
        let (key_stride, key_words) = layout(spec, spec.key_size.into(), count)?;
        let (value_stride, value_words) = layout(spec, spec.value_size.into(), count)?;
        let buckets = spec.max_entries.checked_next_power_of_two().unwrap_or(1 << 31) as usize;
        Ok(Hash {
            seed: RandomState::new().build_hasher().finish(),
            buckets: links(buckets),
            locks: (0..buckets.min(LOCKS)).map(|_| RwLock::new(())).collect(),
            next: links(spec.max_entries as usize),
            free: Mutex::new(Free { removed: 0, used: 0 }),
            keys: zeroed_words(key_words),
            key_size: spec.key_size as usize,
            key_stride,
            values: zeroed_words(value_words),
            value_size: spec.value_size as usize,
            value_stride,
        })
    }

    pub(super) fn values(&self) -> Values<'_> {
        let window = Window::from_shared(&self.values, self.values.len() * 8);
        Values { window, stride: self.value_stride, value_size: self.value_size }
    }

    pub(super) fn value(&self, key: &[u8]) -> Option<Window<'_>> {
        let bucket = self.bucket(key);
        let _shared = self.read(bucket);
        self.value_of(self.find(bucket, key)?.entry)
    }

    pub(super) fn lookup(&self, key: &[u8]) -> Option<Vec<u8>> {
        let bucket = self.bucket(key);
        let _shared = self.read(bucket);
        self.value_of(self.find(bucket, key)?.entry).map(|value| value.to_vec())
    }

    pub(super) fn update(&self, key: &[u8], value: Window<'_>, mode: UpdateMode) -> Result<(), MapError> {
        let bucket = self.bucket(key);
        let _alone = self.write(bucket);
        let found = self.find(bucket, key).ok_or(MapError::Unsupported)?;
        let entry = match (found.entry, mode) {
            (0, UpdateMode::Exist) => return Err(MapError::NotFound),
            (0, _) => self.take_free().ok_or(MapError::Full)?,
            (_, UpdateMode::NoExist) => return Err(MapError::Exists),
            (entry, _) => entry,
        };
        let stored = self.value_of(entry).is_some_and(|to| value.copy_to(&to));
        debug_assert!(stored, "the caller checked the length of the value");
        if found.entry == 0 {
            let stored = self.key_of(entry).is_some_and(|to| to.write(0, key));
            debug_assert!(stored, "`find` checked the length of the key");
            self.link(entry).store(self.buckets[bucket].load(Ordering::Relaxed), Ordering::Relaxed);
            self.buckets[bucket].store(entry, Ordering::Relaxed);
        }
        Ok(())
    }

    pub(super) fn delete(&self, key: &[u8]) -> Result<(), MapError> {
        let bucket = self.bucket(key);
        let _alone = self.write(bucket);
        match self.find(bucket, key) {
            None | Some(Found { entry: 0, .. }) => Err(MapError::NotFound),
            Some(Found { before, entry }) => {
                let after = self.link(entry).load(Ordering::Relaxed);
                let from = if before == 0 { &self.buckets[bucket] } else { self.link(before) };
                from.store(after, Ordering::Relaxed);
                let mut free = self.free();
                self.link(entry).store(free.removed, Ordering::Relaxed);
                free.removed = entry;
                Ok(())
            }
        }
    }

    pub(super) fn keys(&self) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        for lock in 0..self.locks.len() {
            let _shared = self.read(lock);
            for bucket in (lock..self.buckets.len()).step_by(self.locks.len()) {
                let mut entry = self.buckets[bucket].load(Ordering::Relaxed);
                while let Some(key) = self.key_of(entry) {
                    keys.push(key.to_vec());
                    entry = self.link(entry).load(Ordering::Relaxed);
                }
            }
        }
        keys
    }

    /// Looks for a key in its bucket, whose lock the caller holds. `None` when the key has the wrong
    /// length.
    fn find(&self, bucket: usize, key: &[u8]) -> Option<Found> {
        if key.len() != self.key_size {
            return None;
        }
        let mut before = 0;
        let mut entry = self.buckets[bucket].load(Ordering::Relaxed);
        while entry != 0 && !self.has_key(entry, key) {
            before = entry;
            entry = self.link(entry).load(Ordering::Relaxed);
        }
        Some(Found { before, entry })
    }

    fn has_key(&self, entry: Link, key: &[u8]) -> bool {
        let start = (entry as usize - 1) * (self.key_stride / 8);
        let words = &self.keys[start..][..self.key_stride / 8];
        let mut chunks = words.iter().zip(key.chunks(8));
        chunks.all(|(word, chunk)| word.load(Ordering::Relaxed) == word_of(chunk))
    }

    fn link(&self, entry: Link) -> &AtomicU32 {
        &self.next[entry as usize - 1]
    }

    fn key_of(&self, entry: Link) -> Option<Window<'_>> {
        let at = (entry as usize).checked_sub(1)? * self.key_stride;
        Window::from_shared(&self.keys, self.keys.len() * 8).sub(at, self.key_size)
    }

    fn value_of(&self, entry: Link) -> Option<Window<'_>> {
        let at = (entry as usize).checked_sub(1)? * self.value_stride;
        Window::from_shared(&self.values, self.values.len() * 8).sub(at, self.value_size)
    }

    fn take_free(&self) -> Option<Link> {
        let mut free = self.free();
        if free.removed != 0 {
            let entry = free.removed;
            free.removed = self.link(entry).load(Ordering::Relaxed);
            return Some(entry);
        }
        if free.used as usize == self.next.len() {
            return None;
        }
        free.used += 1;
        Some(free.used)
    }

    fn bucket(&self, key: &[u8]) -> usize {
        let mut hash = self.seed ^ key.len() as u64;
        for chunk in key.chunks(8) {
            // The halves of a product of two words depend on every bit of both.
            let product = u128::from(hash ^ word_of(chunk)) * 0x9e37_79b9_7f4a_7c15;
            hash = (product as u64) ^ ((product >> 64) as u64) ^ hash.rotate_left(23);
        }
        (hash ^ (hash >> 32)) as usize & (self.buckets.len() - 1)
    }

    // Nothing panics while a lock is held, and the lists are whole between any two statements that
    // could: a poisoned lock is still good.
    fn read(&self, bucket: usize) -> RwLockReadGuard<'_, ()> {
        self.locks[bucket % self.locks.len()].read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, bucket: usize) -> RwLockWriteGuard<'_, ()> {
        self.locks[bucket % self.locks.len()].write().unwrap_or_else(PoisonError::into_inner)
    }

    fn free(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Up to eight bytes as a word, padded with zeros.
fn word_of(chunk: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..chunk.len()].copy_from_slice(chunk);
    u64::from_ne_bytes(word)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::tests::spec;
    use super::super::{Map, MapKind};
    use super::*;

    #[test]
    fn behaves_like_a_hash_map() {
        for key_size in [1usize, 3, 4, 8, 9, 16, 512] {
            let map = Map::new(spec(MapKind::Hash, key_size as u32, 4, 100), 1).unwrap();
            let mut model: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
            let mut random = 12345u64;
            for _ in 0..5000 {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let mut key = vec![7; key_size];
                key[key_size - 1] = (random >> 33) as u8;
                let value = ((random >> 20) as u32).to_ne_bytes();
                match (random >> 60) % 4 {
                    0 => assert_eq!(map.delete(&key).is_ok(), model.remove(&key).is_some()),
                    1 => assert_eq!(map.lookup(&key), model.get(&key).cloned()),
                    2 => {
                        let expected =
                            if model.contains_key(&key) { Ok(()) } else { Err(MapError::NotFound) };
                        assert_eq!(map.update(&key, &value, UpdateMode::Exist), expected);
                        model.entry(key).and_modify(|old| *old = value.to_vec());
                    }
                    _ => {
                        let expected = if model.contains_key(&key) {
                            Err(MapError::Exists)
                        } else if model.len() == 100 {
                            Err(MapError::Full)
                        } else {
                            model.insert(key.clone(), value.to_vec());
                            Ok(())
                        };
                        assert_eq!(map.update(&key, &value, UpdateMode::NoExist), expected);
                    }
                }
                assert!(model.len() <= 100);
            }
            let mut keys = map.keys();
            keys.sort();
            let mut expected: Vec<_> = model.keys().cloned().collect();
            expected.sort();
            assert_eq!(keys, expected);
        }
    }

    #[test]
    fn values_keep_their_address() {
        let map = Map::new(spec(MapKind::Hash, 4, 12, 1000), 1).unwrap();
        map.update(&[1; 4], &[1; 12], UpdateMode::Any).unwrap();
        let first = map.value(&[1; 4], 0).unwrap();
        assert_eq!(first.addr() % 8, 0);
        for i in 0..999u32 {
            map.update(&i.to_ne_bytes(), &[2; 12], UpdateMode::Any).unwrap();
        }
        assert_eq!(map.update(&[9; 4], &[1; 12], UpdateMode::Any), Err(MapError::Full));
        assert_eq!(map.value(&[1; 4], 0).unwrap().addr(), first.addr());
        map.update(&[1; 4], &[3; 12], UpdateMode::Any).unwrap();
        assert_eq!(first.to_vec(), [3; 12]);
    }

    #[test]
    fn wrong_key_lengths_are_refused() {
        let map = Map::new(spec(MapKind::Hash, 4, 1, 4), 1).unwrap();
        assert_eq!(map.lookup(&[0; 3]), None);
        assert!(map.value(&[0; 5], 0).is_none());
        assert_eq!(map.delete(&[0; 5]), Err(MapError::KeySize { got: 5, expected: 4 }));
    }

    #[test]
    fn keys_spread_over_buckets() {
        let hash = Hash::new(&spec(MapKind::Hash, 4, 1, 1024)).unwrap();
        let mut load = vec![0; 1024];
        for i in 0..1024u32 {
            load[hash.bucket(&(i * 4096).to_ne_bytes())] += 1;
        }
        assert!(load.iter().all(|&n| n < 12), "a bucket of {:?}", load.iter().max());
    }
}
