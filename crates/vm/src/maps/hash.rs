//! Hash maps, with one value an entry or one a slot; when full they refuse new entries or drop an old one.
//!
//! Entries live in slabs set aside at creation and are chained by index from fixed buckets. Lookups take no
//! lock and write nothing that others read: each bucket is one word, of the first entry, a version and a
//! lock bit. Whoever changes a chain or a value holds the bit and leaves another version; a reader walks
//! the chain, which may change under it, and what it found counts if the version is still the same.
//!
//! A removed entry goes to the end of a queue of free ones, so that it is used for another key as late as
//! possible: programs may still have a pointer to its value. The queue has a lock of its own, which is
//! taken inside a bucket's, never the other way round, so the map takes exactly as many entries as were
//! declared.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::lock::{copy_out, copy_value, of_value};
use super::{MAX_KEY_SIZE, MapError, MapSpec, SLOT_ALIGN, UpdateMode, Values, layout};
use crate::mem::{Window, zeroed_words};

/// In the word of a bucket, above the number of its first entry: somebody changes the bucket.
const LOCKED: u64 = 1 << 32;
/// One version in the word of a bucket.
const VERSION: u64 = 1 << 33;

/// How often a reader tries before it makes writers wait.
const TRIES: u32 = 64;
/// How often a lock is looked at before the thread lets others run.
const SPINS: u32 = 100;
/// Removed entries that wait while there are entries never used.
const LATE: u32 = 64;

/// An entry by number; 0 is none, entry `n` has its key and values at position `n - 1`.
type Link = u32;

#[derive(Debug)]
pub(super) struct Hash {
    seed: u64,
    /// A power of two of words.
    buckets: Box<[AtomicU64]>,
    /// Of each entry a header and the key, padded with zeros. The header is the number of the entry after
    /// it in its bucket and, above, the upper half of the key's hash.
    entries: Box<[AtomicU64]>,
    /// Words of one entry.
    entry_words: usize,
    key_size: usize,
    values: Box<[AtomicU64]>,
    value_size: usize,
    stride: usize,
    /// Distance between the values of two slots, in bytes.
    region: usize,
    slots: usize,
    lock: Option<u32>,
    capacity: u32,
    /// Whether each entry was used since the hand of `free` passed it. Only if entries may be dropped.
    used_lately: Option<Box<[AtomicU8]>>,
    free: Mutex<Free>,
}

/// Entries not in use.
#[derive(Debug, Default)]
struct Free {
    /// Those that were removed, in order, chained by their headers.
    first: Link,
    last: Link,
    removed: u32,
    /// How many were ever used; the ones after it are free.
    used: u32,
    /// The entry looked at last when one was to be dropped.
    hand: u32,
}

/// What is stored as the value of an entry.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change<'v> {
    /// The value of one slot; of an entry that is made, the others are zeroed.
    Slot(usize, Window<'v>),
    /// The values of all slots, one after the other.
    All(Window<'v>),
}

/// A bucket whose lock is held; [`Bucket::unlock`] releases it.
struct Bucket<'h> {
    word: &'h AtomicU64,
    /// The word without the lock.
    old: u64,
}

impl Bucket<'_> {
    fn first(&self) -> Link {
        self.old as u32
    }

    /// Releases the bucket as another version whose first entry is `first`.
    fn unlock(self, first: Link) {
        let version = self.old.wrapping_add(VERSION) & !(VERSION - 1);
        self.word.store(version | u64::from(first), Ordering::Release);
    }

    /// Releases the bucket, in which nothing was changed.
    fn unlock_same(self) {
        self.word.store(self.old, Ordering::Release);
    }
}

/// Waits a little, the longer the more often it was called.
fn pause(tries: &mut u32) {
    *tries += 1;
    if tries.is_multiple_of(SPINS) {
        std::thread::yield_now();
    } else {
        std::hint::spin_loop();
    }
}

impl Hash {
    /// A map with values for `slots` slots that drops old entries if `drops`.
    pub(super) fn new(spec: &MapSpec, key_size: u32, slots: usize, drops: bool) -> Result<Hash, MapError> {
        if key_size == 0 || key_size > MAX_KEY_SIZE {
            return Err(spec.refuse(format!("a key is 1 to {MAX_KEY_SIZE} bytes, not {key_size}")));
        }
        spec.check_entries()?;
        let count = u64::from(spec.max_entries);
        let entry_words = 1 + key_size.div_ceil(8) as usize;
        let values = u64::from(spec.value_size).next_multiple_of(8).saturating_mul(slots as u64);
        // A bucket is as large as a header.
        layout(spec, values.saturating_add(entry_words as u64 * 8 + 16), count)?;
        let (_, words) = layout(spec, entry_words as u64 * 8, count)?;
        let (stride, value_words) = layout(spec, spec.value_size.into(), count)?;
        let (region, value_words) = match slots {
            1 => (value_words * 8, value_words),
            _ => layout(spec, (value_words as u64 * 8).next_multiple_of(SLOT_ALIGN), slots as u64)?,
        };
        let buckets = spec.max_entries.checked_next_power_of_two().unwrap_or(1 << 31) as usize;
        let lately = || (0..spec.max_entries).map(|_| AtomicU8::new(0)).collect();
        Ok(Hash {
            seed: RandomState::new().build_hasher().finish(),
            buckets: zeroed_words(buckets),
            entries: zeroed_words(words),
            entry_words,
            key_size: key_size as usize,
            values: zeroed_words(value_words),
            value_size: spec.value_size as usize,
            stride,
            region,
            slots,
            lock: spec.lock,
            capacity: spec.max_entries,
            used_lately: drops.then(lately),
            free: Mutex::default(),
        })
    }

    /// Length of a key in bytes.
    pub(super) fn key_size(&self) -> usize {
        self.key_size
    }

    pub(super) fn values(&self, slot: usize) -> Option<Values<'_>> {
        if slot >= self.slots {
            return None;
        }
        let all = Window::from_shared(&self.values, self.values.len() * 8);
        let window = all.sub(slot * self.region, self.capacity as usize * self.stride)?;
        Some(Values { window, stride: self.stride, value_size: self.value_size, lock: self.lock })
    }

    /// The value of an entry, as programs ask for it: it counts as used.
    #[inline]
    pub(super) fn value(&self, key: &[u8], slot: usize) -> Option<Window<'_>> {
        let entry = self.entry(key)?;
        if let Some(lately) = &self.used_lately {
            let lately = &lately[entry as usize - 1];
            if lately.load(Ordering::Relaxed) == 0 {
                lately.store(1, Ordering::Relaxed);
            }
        }
        self.value_of(entry, slot)
    }

    /// The entry of a key.
    #[inline]
    fn entry(&self, key: &[u8]) -> Option<Link> {
        if key.len() != self.key_size {
            return None;
        }
        let found = if let Ok(key) = <[u8; 8]>::try_from(key) {
            let word = u64::from_ne_bytes(key);
            self.find(mix(self.seed ^ 8, word), |entry| entry[1].load(Ordering::Relaxed) == word)
        } else if let Ok(key) = <[u8; 4]>::try_from(key) {
            let word = word_of(&key);
            self.find(mix(self.seed ^ 4, word), |entry| entry[1].load(Ordering::Relaxed) == word)
        } else {
            self.find(self.hash(key), |entry| same_key(entry, key))
        };
        (found != 0).then_some(found)
    }

    /// The entry with a hash that `same` recognises, or 0.
    #[inline]
    fn find(&self, hash: u64, same: impl Fn(&[AtomicU64]) -> bool) -> Link {
        let word = self.bucket(hash);
        let mut tries = 0;
        loop {
            // Acquire: what is chained was written before.
            let before = word.load(Ordering::Acquire);
            let found = self.walk(word, before, hash, &same).1;
            // Orders the loads of the walk before the next one: if an entry of the chain was taken away and
            // used again before the walk was over, that sees a later version.
            fence(Ordering::Acquire);
            if (word.load(Ordering::Relaxed) ^ before) & !LOCKED == 0 {
                return found;
            }
            if tries >= TRIES {
                let bucket = self.lock(word);
                let found = self.walk(word, bucket.old, hash, &same).1;
                bucket.unlock_same();
                return found;
            }
            pause(&mut tries);
        }
    }

    /// Looks through the chain of a bucket whose word was `before`. Returns the entry before the one that
    /// was found, and that one; each 0 if there is none.
    #[inline]
    fn walk(
        &self,
        word: &AtomicU64,
        before: u64,
        hash: u64,
        same: impl Fn(&[AtomicU64]) -> bool,
    ) -> (Link, Link) {
        let (mut previous, mut entry) = (0, before as Link);
        let mut steps = 0u32;
        while entry != 0 {
            let words = self.words(entry);
            let header = words[0].load(Ordering::Relaxed);
            if (header ^ hash) >> 32 == 0 && same(words) {
                break;
            }
            previous = entry;
            entry = header as Link;
            steps += 1;
            // Entries that are used again while they are walked through could make a circle.
            if steps.is_multiple_of(32) && (word.load(Ordering::Relaxed) ^ before) & !LOCKED != 0 {
                return (0, 0);
            }
        }
        (previous, entry)
    }

    /// A copy of an entry's value of one slot, or of all if `slot` is `None`.
    pub(super) fn lookup(&self, key: &[u8], slot: Option<usize>) -> Option<Vec<u8>> {
        if key.len() != self.key_size || slot.is_some_and(|slot| slot >= self.slots) {
            return None;
        }
        let hash = self.hash(key);
        let word = self.bucket(hash);
        let slots = slot.map_or(0..self.slots, |slot| slot..slot + 1);
        let mut out = Vec::with_capacity(slots.len() * self.value_size);
        let copy = |entry, out: &mut Vec<u8>| {
            out.clear();
            for value in slots.clone().filter_map(|slot| self.value_of(entry, slot)) {
                copy_out(value, self.lock, out);
            }
        };
        let mut tries = 0;
        while tries < TRIES {
            let before = word.load(Ordering::Acquire);
            if before & LOCKED == 0 {
                let entry = self.walk(word, before, hash, |entry| same_key(entry, key)).1;
                if entry != 0 {
                    copy(entry, &mut out);
                }
                fence(Ordering::Acquire);
                if word.load(Ordering::Relaxed) == before {
                    return (entry != 0).then_some(out);
                }
            }
            pause(&mut tries);
        }
        let bucket = self.lock(word);
        let entry = self.walk(word, bucket.old, hash, |entry| same_key(entry, key)).1;
        if entry != 0 {
            copy(entry, &mut out);
        }
        bucket.unlock_same();
        (entry != 0).then_some(out)
    }

    /// Makes or changes an entry; under its value's lock if `locked`. Whether it was made.
    pub(super) fn update(
        &self,
        key: &[u8],
        change: Change<'_>,
        mode: UpdateMode,
        locked: bool,
    ) -> Result<bool, MapError> {
        self.check_key(key)?;
        let hash = self.hash(key);
        let word = self.bucket(hash);
        loop {
            let bucket = self.lock(word);
            let found = self.walk(word, bucket.old, hash, |entry| same_key(entry, key)).1;
            let first = bucket.first();
            if found != 0 {
                if mode == UpdateMode::NoExist {
                    bucket.unlock_same();
                    return Err(MapError::Exists);
                }
                self.set_value(found, change, locked);
                bucket.unlock(first);
                if let Some(lately) = &self.used_lately {
                    lately[found as usize - 1].store(1, Ordering::Relaxed);
                }
                return Ok(false);
            }
            if mode == UpdateMode::Exist {
                bucket.unlock_same();
                return Err(MapError::NotFound);
            }
            let Some(entry) = self.take_free() else {
                bucket.unlock_same();
                self.drop_one()?;
                continue;
            };
            if let Change::Slot(..) = change {
                self.clear_value(entry);
            }
            self.set_value(entry, change, locked);
            let words = self.words(entry);
            for (word, chunk) in words[1..].iter().zip(key.chunks(8)) {
                word.store(word_of(chunk), Ordering::Relaxed);
            }
            words[0].store((hash >> 32) << 32 | u64::from(first), Ordering::Relaxed);
            bucket.unlock(entry);
            return Ok(true);
        }
    }

    pub(super) fn delete(&self, key: &[u8]) -> Result<(), MapError> {
        self.check_key(key)?;
        let hash = self.hash(key);
        let word = self.bucket(hash);
        let bucket = self.lock(word);
        let (before, entry) = self.walk(word, bucket.old, hash, |entry| same_key(entry, key));
        if entry == 0 {
            bucket.unlock_same();
            return Err(MapError::NotFound);
        }
        self.unlink(bucket, before, entry);
        Ok(())
    }

    /// Takes an entry out of its bucket.
    fn unlink(&self, bucket: Bucket<'_>, before: Link, entry: Link) {
        let after = self.words(entry)[0].load(Ordering::Relaxed) as Link;
        let mut first = bucket.first();
        if before == 0 {
            first = after;
        } else {
            let header = &self.words(before)[0];
            let tag = header.load(Ordering::Relaxed) >> 32 << 32;
            header.store(tag | u64::from(after), Ordering::Relaxed);
        }
        bucket.unlock(first);
        let mut free = self.free();
        self.give_back(&mut free, entry);
    }

    /// Drops an entry that was not used lately.
    fn drop_one(&self) -> Result<(), MapError> {
        let lately = self.used_lately.as_ref().ok_or(MapError::Full)?;
        let mut key = [0; MAX_KEY_SIZE as usize];
        let key = &mut key[..self.key_size];
        // After one round no entry counts as used but those used since.
        for _ in 0..u64::from(self.capacity) * 3 {
            let entry = {
                let mut free = self.free();
                if free.removed > 0 || free.used < self.capacity {
                    return Ok(());
                }
                free.hand = free.hand % self.capacity + 1;
                free.hand
            };
            if lately[entry as usize - 1].swap(0, Ordering::Relaxed) != 0 {
                continue;
            }
            self.read_key(entry, key);
            let hash = self.hash(key);
            let word = self.bucket(hash);
            let bucket = self.lock(word);
            let place = |words: &[AtomicU64]| std::ptr::eq(words, self.words(entry));
            let (before, found) = self.walk(word, bucket.old, hash, place);
            if found == entry {
                self.unlink(bucket, before, entry);
                return Ok(());
            }
            bucket.unlock_same();
        }
        Err(MapError::Full)
    }

    /// How many entries there are; one that is being made or removed may count or not.
    pub(super) fn len(&self) -> usize {
        let free = self.free();
        (free.used - free.removed) as usize
    }

    /// How many entries were ever used: positions below may hold one.
    pub(super) fn positions(&self) -> usize {
        self.free().used as usize
    }

    /// The entry at a position, if there is one: its key is copied to `key`, which must have its length.
    pub(super) fn at(&self, position: usize, key: &mut [u8]) -> Option<u32> {
        let entry = Link::try_from(position).ok().filter(|p| *p < self.capacity)? + 1;
        if key.len() != self.key_size {
            return None;
        }
        self.read_key(entry, key);
        // An entry that is not in use, or was used for another key meanwhile, is not found by its key.
        (self.entry(key) == Some(entry)).then_some(entry)
    }

    /// The value of an entry that [`Hash::at`] gave.
    #[inline]
    pub(super) fn value_of(&self, entry: u32, slot: usize) -> Option<Window<'_>> {
        if slot >= self.slots {
            return None;
        }
        // Regions and strides are whole words.
        let at = slot * self.region + (entry as usize).checked_sub(1)? * self.stride;
        Some(Window::from_shared(self.values.get(at / 8..)?, self.value_size))
    }

    pub(super) fn keys(&self) -> Vec<Vec<u8>> {
        let mut key = vec![0; self.key_size];
        let used = 0..self.positions();
        used.filter_map(|position| self.at(position, &mut key).map(|_| key.clone())).collect()
    }

    fn read_key(&self, entry: Link, key: &mut [u8]) {
        for (word, chunk) in self.words(entry)[1..].iter().zip(key.chunks_mut(8)) {
            chunk.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes()[..chunk.len()]);
        }
    }

    fn set_value(&self, entry: Link, change: Change<'_>, locked: bool) {
        let set = |slot, from: Option<Window<'_>>| {
            let stored = self.value_of(entry, slot).zip(from).is_some_and(|(to, from)| {
                let _held = of_value(&to, self.lock.filter(|_| locked));
                copy_value(from, to, self.lock)
            });
            debug_assert!(stored, "the caller checked the length of the value");
        };
        match change {
            Change::Slot(slot, value) => set(slot, Some(value)),
            Change::All(values) => (0..self.slots)
                .for_each(|slot| set(slot, values.sub(slot * self.value_size, self.value_size))),
        }
    }

    /// Zeroes the values of all slots, if there are several.
    fn clear_value(&self, entry: Link) {
        if self.slots == 1 {
            return;
        }
        for value in (0..self.slots).filter_map(|slot| self.value_of(entry, slot)) {
            for off in (0..self.value_size).step_by(8) {
                let cleared = value.write(off, &[0; 8][..8.min(self.value_size - off)]);
                debug_assert!(cleared, "the bytes lie in the value");
            }
        }
    }

    #[inline]
    fn words(&self, entry: Link) -> &[AtomicU64] {
        let start = (entry as usize - 1) * self.entry_words;
        &self.entries[start..start + self.entry_words]
    }

    #[inline]
    fn bucket(&self, hash: u64) -> &AtomicU64 {
        &self.buckets[hash as usize & (self.buckets.len() - 1)]
    }

    fn check_key(&self, key: &[u8]) -> Result<(), MapError> {
        let expected = self.key_size;
        if key.len() == expected { Ok(()) } else { Err(MapError::KeySize { got: key.len(), expected }) }
    }

    /// Takes a free entry.
    fn take_free(&self) -> Option<Link> {
        let mut free = self.free();
        let fresh = free.used < self.capacity;
        let entry = if free.removed > if fresh { LATE } else { 0 } {
            let entry = free.first;
            free.removed -= 1;
            free.first = self.words(entry)[0].load(Ordering::Relaxed) as Link;
            entry
        } else if fresh {
            free.used += 1;
            free.used
        } else {
            return None;
        };
        // The version that took the entry from its bucket is older than what is stored in it from now on.
        fence(Ordering::Release);
        Some(entry)
    }

    /// Puts a removed entry at the end of the free ones.
    fn give_back(&self, free: &mut Free, entry: Link) {
        // As in `take_free`.
        fence(Ordering::Release);
        if free.removed == 0 {
            free.first = entry;
        } else {
            self.words(free.last)[0].store(entry.into(), Ordering::Relaxed);
        }
        free.last = entry;
        free.removed += 1;
    }

    /// Takes the lock of a bucket.
    fn lock<'h>(&self, word: &'h AtomicU64) -> Bucket<'h> {
        let mut tries = 0;
        loop {
            let old = word.load(Ordering::Relaxed);
            if old & LOCKED == 0
                && word.compare_exchange_weak(old, old | LOCKED, Ordering::Acquire, Ordering::Relaxed).is_ok()
            {
                // A reader that sees what is stored from now on sees the lock as well.
                fence(Ordering::Release);
                return Bucket { word, old };
            }
            pause(&mut tries);
        }
    }

    /// Nothing panics while the lock is held: poison is of no concern.
    fn free(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn hash(&self, key: &[u8]) -> u64 {
        hash_of(self.seed, key)
    }
}

/// A hash of bytes: the lower and the upper half both depend on all of them.
#[inline]
pub(super) fn hash_of(seed: u64, key: &[u8]) -> u64 {
    key.chunks(8).fold(seed ^ key.len() as u64, |hash, chunk| mix(hash, word_of(chunk)))
}

/// The halves of a product of two words depend on every bit of both.
#[inline]
fn mix(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ word) * 0x9e37_79b9_7f4a_7c15;
    (product as u64).rotate_left(32) ^ (product >> 64) as u64 ^ hash.rotate_left(23)
}

fn same_key(entry: &[AtomicU64], key: &[u8]) -> bool {
    entry[1..].iter().zip(key.chunks(8)).all(|(word, chunk)| word.load(Ordering::Relaxed) == word_of(chunk))
}

/// Up to eight bytes as a word, padded with zeros.
#[inline]
fn word_of(chunk: &[u8]) -> u64 {
    if let Ok(bytes) = chunk.try_into() {
        return u64::from_ne_bytes(bytes);
    }
    let mut word = [0; 8];
    word[..chunk.len()].copy_from_slice(chunk);
    u64::from_ne_bytes(word)
}

#[cfg(test)]
mod tests;
