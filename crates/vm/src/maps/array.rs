//! Arrays, with one value an entry or one a slot.

use std::sync::atomic::AtomicU64;

use super::lock::{copy_out, copy_value, of_value};
use super::{MapError, MapSpec, SLOT_ALIGN, Values, layout};
use crate::mem::{Window, zeroed_words};

/// `slots` times `entries` values; those of one slot are together.
#[derive(Debug)]
pub(super) struct Array {
    words: Box<[AtomicU64]>,
    entries: usize,
    slots: usize,
    /// Distance between the values of two slots, in bytes.
    region: usize,
    stride: usize,
    value_size: usize,
    lock: Option<u32>,
}

impl Array {
    pub(super) fn new(spec: &MapSpec, slots: usize) -> Result<Array, MapError> {
        spec.check_size("key", spec.key_size, 4)?;
        spec.check_entries()?;
        let (stride, words) = layout(spec, spec.value_size.into(), spec.max_entries.into())?;
        let (region, words) = match slots {
            1 => (words * 8, words),
            _ => layout(spec, (words as u64 * 8).next_multiple_of(SLOT_ALIGN), slots as u64)?,
        };
        Ok(Array {
            words: zeroed_words(words),
            entries: spec.max_entries as usize,
            slots,
            region,
            stride,
            value_size: spec.value_size as usize,
            lock: spec.lock,
        })
    }

    /// The entry a key means, if there is one.
    #[inline]
    pub(super) fn index(&self, key: &[u8]) -> Option<usize> {
        let index = u32::from_ne_bytes(key.try_into().ok()?) as usize;
        (index < self.entries).then_some(index)
    }

    #[inline]
    pub(super) fn value(&self, index: usize, slot: usize) -> Option<Window<'_>> {
        if index >= self.entries || slot >= self.slots {
            return None;
        }
        // Regions and strides are whole words.
        let words = self.words.get((slot * self.region + index * self.stride) / 8..)?;
        Some(Window::from_shared(words, self.value_size))
    }

    pub(super) fn values(&self, slot: usize) -> Option<Values<'_>> {
        if slot >= self.slots {
            return None;
        }
        let all = Window::from_shared(&self.words, self.words.len() * 8);
        let window = all.sub(slot * self.region, self.entries * self.stride)?;
        Some(Values { window, stride: self.stride, value_size: self.value_size, lock: self.lock })
    }

    /// Appends a copy of a value to `out`. Whether there is one.
    pub(super) fn copy(&self, index: usize, slot: usize, out: &mut Vec<u8>) -> bool {
        let value = self.value(index, slot);
        if let Some(value) = value {
            copy_out(value, self.lock, out);
        }
        value.is_some()
    }

    /// Sets a value, under its lock if `locked`.
    pub(super) fn set(
        &self,
        index: usize,
        slot: usize,
        value: Window<'_>,
        locked: bool,
    ) -> Result<(), MapError> {
        let to = self.value(index, slot).ok_or(MapError::Full)?;
        let _held = of_value(&to, self.lock.filter(|_| locked));
        if copy_value(value, to, self.lock) {
            Ok(())
        } else {
            Err(MapError::ValueSize { got: value.len(), expected: self.value_size })
        }
    }
}
