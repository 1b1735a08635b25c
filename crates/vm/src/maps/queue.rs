//! Queues and stacks: values without keys.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{MapError, MapKind, MapSpec, layout};
use crate::mem::{Window, zeroed_words};

/// A ring of values. Whoever adds or takes one holds its lock, for the time of a copy.
#[derive(Debug)]
pub(super) struct Queue {
    words: Box<[AtomicU64]>,
    stride: usize,
    value_size: usize,
    capacity: usize,
    /// Whether the newest value is taken first.
    newest_first: bool,
    filled: Mutex<Filled>,
}

/// Which places of the ring hold values.
#[derive(Debug, Clone, Copy)]
struct Filled {
    oldest: usize,
    len: usize,
}

impl Queue {
    pub(super) fn new(spec: &MapSpec) -> Result<Queue, MapError> {
        spec.check_size("key", spec.key_size, 0)?;
        spec.check_entries()?;
        let (stride, words) = layout(spec, spec.value_size.into(), spec.max_entries.into())?;
        Ok(Queue {
            words: zeroed_words(words),
            stride,
            value_size: spec.value_size as usize,
            capacity: spec.max_entries as usize,
            newest_first: spec.kind == MapKind::Stack,
            filled: Mutex::new(Filled { oldest: 0, len: 0 }),
        })
    }

    /// Adds a value; when there is no room, in place of the oldest if `replace`.
    pub(super) fn push(&self, value: Window<'_>, replace: bool) -> Result<(), MapError> {
        let mut filled = self.filled();
        if filled.len == self.capacity {
            if !replace {
                return Err(MapError::Full);
            }
            filled.oldest = (filled.oldest + 1) % self.capacity;
            filled.len -= 1;
        }
        let place = self.place((filled.oldest + filled.len) % self.capacity);
        if value.len() != self.value_size || !place.is_some_and(|place| value.copy_to(&place)) {
            return Err(MapError::ValueSize { got: value.len(), expected: self.value_size });
        }
        filled.len += 1;
        Ok(())
    }

    /// Copies the value that is next to `to`, and takes it if `take`. Without one `to` is zeroed.
    pub(super) fn next(&self, to: Window<'_>, take: bool) -> Result<(), MapError> {
        let mut filled = self.filled();
        if filled.len == 0 {
            for off in 0..to.len() {
                if !to.write(off, &[0]) {
                    break;
                }
            }
            return Err(MapError::NotFound);
        }
        let nth = if self.newest_first { filled.len - 1 } else { 0 };
        let place = self.place((filled.oldest + nth) % self.capacity);
        if to.len() != self.value_size || !place.is_some_and(|place| place.copy_to(&to)) {
            return Err(MapError::ValueSize { got: to.len(), expected: self.value_size });
        }
        if take {
            filled.len -= 1;
            if !self.newest_first {
                filled.oldest = (filled.oldest + 1) % self.capacity;
            }
        }
        Ok(())
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.filled().len
    }

    fn place(&self, index: usize) -> Option<Window<'_>> {
        Window::from_shared(&self.words, self.words.len() * 8).sub(index * self.stride, self.value_size)
    }

    /// Poison is of no concern: numbers change after the copy they are about.
    fn filled(&self) -> MutexGuard<'_, Filled> {
        self.filled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
