//! Arrays, with one value an entry or one a slot.

use std::sync::atomic::AtomicU64;

use super::{MapError, MapSpec, Values, layout};
use crate::mem::{Window, zeroed_words};

/// `slots` times `entries` values; those of one slot are together.
#[derive(Debug)]
pub(super) struct Array {
    words: Box<[AtomicU64]>,
    entries: usize,
    slots: usize,
    stride: usize,
    value_size: usize,
}

impl Array {
    pub(super) fn new(spec: &MapSpec, slots: usize) -> Result<Array, MapError> {
        if spec.key_size != 4 {
            return Err(spec.refuse(format!("an array's key is 4 bytes, not {}", spec.key_size)));
        }
        if spec.value_size == 0 {
            return Err(spec.refuse("the value has no size"));
        }
        if spec.max_entries == 0 {
            return Err(spec.refuse("max_entries is missing"));
        }
        let count = u64::from(spec.max_entries).saturating_mul(slots as u64);
        let (stride, words) = layout(spec, spec.value_size.into(), count)?;
        Ok(Array {
            words: zeroed_words(words),
            entries: spec.max_entries as usize,
            slots,
            stride,
            value_size: spec.value_size as usize,
        })
    }

    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    /// The entry a key means, if there is one.
    pub(super) fn index(&self, key: &[u8]) -> Option<usize> {
        let index = u32::from_ne_bytes(key.try_into().ok()?) as usize;
        (index < self.entries).then_some(index)
    }

    pub(super) fn value(&self, index: usize, slot: usize) -> Option<Window<'_>> {
        if index >= self.entries {
            return None;
        }
        self.values(slot)?.window.sub(index * self.stride, self.value_size)
    }

    pub(super) fn values(&self, slot: usize) -> Option<Values<'_>> {
        if slot >= self.slots {
            return None;
        }
        let len = self.entries * self.stride;
        let all = Window::from_shared(&self.words, self.words.len() * 8);
        let window = all.sub(slot * len, len)?;
        Some(Values { window, stride: self.stride, value_size: self.value_size })
    }

    pub(super) fn set(&self, index: usize, slot: usize, value: Window<'_>) -> Result<(), MapError> {
        let to = self.value(index, slot).ok_or(MapError::Full)?;
        if value.copy_to(&to) {
            Ok(())
        } else {
            Err(MapError::ValueSize { got: value.len(), expected: self.value_size })
        }
    }
}
