//! Bloom filters.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use super::hash::hash_of;
use super::{MapError, MapSpec, layout};
use crate::mem::{Window, zeroed_words};

/// Hash functions unless declared otherwise.
const USUAL: u64 = 5;

/// A set of values: bits that are set by the ones that were added.
#[derive(Debug)]
pub(super) struct Bloom {
    seed: u64,
    /// A power of two of bits.
    bits: Box<[AtomicU64]>,
    functions: u64,
}

impl Bloom {
    pub(super) fn new(spec: &MapSpec) -> Result<Bloom, MapError> {
        spec.check_size("key", spec.key_size, 0)?;
        spec.check_entries()?;
        if spec.extra > 15 {
            return Err(
                spec.refuse(format!("a Bloom filter has at most 15 hash functions, not {}", spec.extra))
            );
        }
        let functions = if spec.extra == 0 { USUAL } else { spec.extra };
        // As in the kernel: the number of bits that makes errors least likely, which is functions * entries
        // / ln 2, rounded up.
        let bits = (u64::from(spec.max_entries) * functions * 7 / 5).next_power_of_two().max(64);
        let (_, words) = layout(spec, 8, bits / 64)?;
        Ok(Bloom { seed: RandomState::new().build_hasher().finish(), bits: zeroed_words(words), functions })
    }

    pub(super) fn add(&self, value: Window<'_>) {
        for (word, bit) in self.places(value) {
            // Most bits of a filter in use are set: look first, so that threads share the memory.
            if word.load(Ordering::Relaxed) & bit == 0 {
                word.fetch_or(bit, Ordering::Relaxed);
            }
        }
    }

    /// Whether the value was added; a value that was not is seldom taken for one that was.
    pub(super) fn has(&self, value: Window<'_>) -> bool {
        self.places(value).all(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    fn places(&self, value: Window<'_>) -> impl Iterator<Item = (&AtomicU64, u64)> {
        let hash = hash_of(self.seed, &value.to_vec());
        // Two hashes make as many as are needed (Kirsch and Mitzenmacher).
        let (first, step) = (hash as u32 as u64, (hash >> 32) | 1);
        (0..self.functions).map(move |i| {
            let bit = first.wrapping_add(i.wrapping_mul(step)).wrapping_add(i * i * i / 6);
            let bit = bit & (self.bits.len() as u64 * 64 - 1);
            (&self.bits[bit as usize / 64], 1 << (bit % 64))
        })
    }
}
