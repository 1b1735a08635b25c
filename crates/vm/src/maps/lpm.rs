//! Longest-prefix matching.
//!
//! Prefixes are kept in a hash map, all but the bits that count zeroed. A lookup asks it for each length
//! that some prefix has, the longest first, and takes no lock, like the lookups of that map.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::hash::{Change, Hash};
use super::{MapError, MapSpec, UpdateMode, Values};
use crate::mem::{Window, zeroed_words};

/// Bytes of the prefix length at the start of a key.
const HEAD: usize = 4;
/// Most bytes after it (`LPM_DATA_SIZE_MAX`).
const MAX_DATA: usize = 256;

#[derive(Debug)]
pub(super) struct Lpm {
    prefixes: Hash,
    /// Bytes of a key after the prefix length.
    data: usize,
    /// A bit for each length in bits that some prefix may have.
    lengths: Box<[AtomicU64]>,
    /// How many prefixes have each length. Whoever adds or removes one holds it.
    counts: Mutex<Box<[u32]>>,
}

/// A key cut to its prefix.
struct Prefix {
    bytes: [u8; HEAD + MAX_DATA],
    len: usize,
}

impl Prefix {
    fn key(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Cuts the prefix to `bits`, which is not more than it has.
    fn cut(&mut self, bits: usize) {
        self.bytes[..HEAD].copy_from_slice(&(bits as u32).to_ne_bytes());
        let data = &mut self.bytes[HEAD..self.len];
        let whole = bits / 8;
        if let Some(byte) = data.get_mut(whole) {
            *byte &= !(0xff >> (bits % 8));
        }
        if let Some(rest) = data.get_mut(whole + 1..) {
            rest.fill(0);
        }
    }
}

impl Lpm {
    pub(super) fn new(spec: &MapSpec) -> Result<Lpm, MapError> {
        let data = (spec.key_size as usize).saturating_sub(HEAD);
        if data == 0 || data > MAX_DATA {
            return Err(spec.refuse(format!(
                "a key is a 4-byte prefix length and 1 to {MAX_DATA} bytes, not {} in all",
                spec.key_size
            )));
        }
        let lengths = data * 8 + 1;
        Ok(Lpm {
            prefixes: Hash::new(spec, spec.key_size, 1, false)?,
            data,
            lengths: zeroed_words(lengths.div_ceil(64)),
            counts: Mutex::new(vec![0; lengths].into()),
        })
    }

    pub(super) fn values(&self) -> Option<Values<'_>> {
        self.prefixes.values(0)
    }

    pub(super) fn hash(&self) -> &Hash {
        &self.prefixes
    }

    /// The value of the longest prefix that the key's has.
    pub(super) fn value(&self, key: &[u8]) -> Option<Window<'_>> {
        self.longest(key, |prefix| self.prefixes.value(prefix, 0))
    }

    /// A copy of that value.
    pub(super) fn lookup(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.longest(key, |prefix| self.prefixes.lookup(prefix, None))
    }

    fn longest<T>(&self, key: &[u8], get: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        let (mut prefix, bits) = self.prefix(key)?;
        for word in (0..=bits / 64).rev() {
            let mut left = self.lengths[word].load(Ordering::Acquire);
            if word == bits / 64 {
                left &= u64::MAX >> (63 - bits % 64);
            }
            while left != 0 {
                let bit = left.ilog2();
                left ^= 1 << bit;
                prefix.cut(word * 64 + bit as usize);
                let found = get(prefix.key());
                if found.is_some() {
                    return found;
                }
            }
        }
        None
    }

    /// Makes or changes the entry of a prefix.
    pub(super) fn update(&self, key: &[u8], value: Window<'_>, mode: UpdateMode) -> Result<(), MapError> {
        let (prefix, bits) = self.prefix(key).ok_or(MapError::Prefix)?;
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let made = self.prefixes.update(prefix.key(), Change::All(value), mode, false);
        let made = made.map_err(|error| if error == MapError::Full { MapError::NoSpace } else { error })?;
        if made {
            counts[bits] += 1;
            self.lengths[bits / 64].fetch_or(1 << (bits % 64), Ordering::Release);
        }
        Ok(())
    }

    /// Removes the entry of a prefix.
    pub(super) fn delete(&self, key: &[u8]) -> Result<(), MapError> {
        let (prefix, bits) = self.prefix(key).ok_or(MapError::Prefix)?;
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        self.prefixes.delete(prefix.key())?;
        counts[bits] -= 1;
        if counts[bits] == 0 {
            self.lengths[bits / 64].fetch_and(!(1 << (bits % 64)), Ordering::Release);
        }
        Ok(())
    }

    /// A key cut to its prefix, and the length of that in bits; `None` when the key has the wrong length
    /// or its prefix is longer than it.
    fn prefix(&self, key: &[u8]) -> Option<(Prefix, usize)> {
        let (head, _) = key.split_first_chunk::<HEAD>()?;
        let bits = u32::from_ne_bytes(*head) as usize;
        if key.len() != HEAD + self.data || bits > self.data * 8 {
            return None;
        }
        let mut prefix = Prefix { bytes: [0; HEAD + MAX_DATA], len: key.len() };
        prefix.bytes[..key.len()].copy_from_slice(key);
        prefix.cut(bits);
        Some((prefix, bits))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::{Map, MapKind, MapSpec};
    use super::*;

    fn key(bits: u32, data: [u8; 4]) -> [u8; 8] {
        let [a, b, c, d] = bits.to_ne_bytes();
        [a, b, c, d, data[0], data[1], data[2], data[3]]
    }

    fn trie(max_entries: u32) -> std::sync::Arc<Map> {
        Map::new(MapSpec::new("routes", MapKind::LpmTrie, 8, 4, max_entries), 1).unwrap()
    }

    #[test]
    fn the_longest_prefix_wins() {
        let map = trie(3);
        let set = |bits, data, value: u8| map.update(&key(bits, data), &[value; 4], UpdateMode::Any);
        assert_eq!(set(0, [0; 4], 1), Ok(()));
        assert_eq!(set(8, [10, 9, 9, 9], 2), Ok(()));
        assert_eq!(set(23, [10, 1, 3, 7], 3), Ok(()));
        assert_eq!(set(24, [10, 1, 3, 0], 4), Err(MapError::NoSpace));
        assert_eq!(set(33, [10, 1, 3, 0], 4), Err(MapError::Prefix));
        assert_eq!(MapError::NoSpace.errno(), 28);
        let get = |bits, data| map.lookup(&key(bits, data)).map(|value| value[0]);
        assert_eq!(get(32, [192, 0, 0, 1]), Some(1));
        assert_eq!(get(32, [10, 2, 0, 1]), Some(2));
        assert_eq!(get(32, [10, 1, 2, 255]), Some(3));
        // A shorter key has only shorter prefixes.
        assert_eq!(get(22, [10, 1, 2, 255]), Some(2));
        assert_eq!(get(7, [10, 1, 2, 255]), Some(1));
        assert_eq!(get(33, [10, 1, 2, 255]), None);
        assert_eq!(set(8, [10, 0, 0, 0], 5), Ok(()));
        assert_eq!(get(32, [10, 2, 0, 1]), Some(5));
        assert_eq!(map.delete(&key(23, [10, 1, 2, 1])), Ok(()));
        assert_eq!(map.delete(&key(23, [10, 1, 2, 1])), Err(MapError::NotFound));
        assert_eq!(get(32, [10, 1, 2, 255]), Some(5));
        assert_eq!(map.keys().len(), 2);
        assert_eq!(map.update(&key(8, [10, 0, 0, 0]), &[1; 4], UpdateMode::NoExist), Err(MapError::Exists));
    }

    proptest! {
        #[test]
        fn behaves_like_a_list_of_prefixes(
            steps in prop::collection::vec((0u32..=32, any::<[u8; 4]>(), 0u8..4), 1..200)
        ) {
            let map = trie(1000);
            let mut model: BTreeMap<(u32, u32), u32> = BTreeMap::new();
            let mask = |bits: u32| if bits == 0 { 0 } else { u32::MAX << (32 - bits) };
            for (n, (bits, data, action)) in steps.into_iter().enumerate() {
                // Few different bytes, so that prefixes nest.
                let data = data.map(|byte| byte & 0x83);
                let number = u32::from_be_bytes(data);
                let prefix = (bits, number & mask(bits));
                match action {
                    0 => prop_assert_eq!(map.delete(&key(bits, data)).is_ok(), model.remove(&prefix).is_some()),
                    1 => {
                        let expected = model
                            .iter()
                            .filter(|((len, prefix), _)| *len <= bits && number & mask(*len) == *prefix)
                            .max_by_key(|((len, _), _)| *len)
                            .map(|(_, value)| value.to_ne_bytes().to_vec());
                        prop_assert_eq!(map.lookup(&key(bits, data)), expected);
                    }
                    _ => {
                        model.insert(prefix, n as u32);
                        let value = (n as u32).to_ne_bytes();
                        prop_assert_eq!(map.update(&key(bits, data), &value, UpdateMode::Any), Ok(()));
                    }
                }
            }
            prop_assert_eq!(map.keys().len(), model.len());
        }
    }
}
