//! Spin locks in map values (`struct bpf_spin_lock`): four bytes, 1 while held.
//!
//! Programs reach the word only through the helpers that take and release it: the machine lends no memory
//! that has it, and values are copied around it. So a word is 1 for as long as a [`Held`] of it exists.

use std::sync::atomic::Ordering;

use crate::mem::Window;

/// Bytes of a lock.
pub(super) const LOCK_SIZE: usize = 4;

/// How often a lock is looked at before the thread lets others run.
const SPINS: u32 = 100;

/// A spin lock that was taken. It is released when this is dropped.
#[derive(Debug)]
pub(crate) struct Held<'r> {
    word: Window<'r>,
}

impl<'r> Held<'r> {
    /// Takes the lock whose word is `word`, waiting for it; `None` if the word cannot be written.
    pub(crate) fn take(word: Window<'r>) -> Option<Held<'r>> {
        let mut spins = 0;
        let cell = word.atomic32(0)?;
        while cell.compare_exchange_weak(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            spins += 1;
            if spins % SPINS == 0 {
                std::thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
        Some(Held { word })
    }

    /// Address of the word.
    pub(crate) fn addr(&self) -> u64 {
        self.word.addr()
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(cell) = self.word.atomic32(0) {
            cell.store(0, Ordering::Release);
        }
    }
}

/// Takes the lock of a value, if it has one.
pub(super) fn of_value<'r>(value: &Window<'r>, lock: Option<u32>) -> Option<Held<'r>> {
    Held::take(value.sub(lock? as usize, LOCK_SIZE)?)
}

/// Copies a value but for its lock. `false`, and nothing done, if the lengths differ or `to` cannot be
/// written.
#[must_use]
pub(super) fn copy_value(from: Window<'_>, to: Window<'_>, lock: Option<u32>) -> bool {
    if from.len() != to.len() {
        return false;
    }
    let Some(lock) = lock.map(|lock| lock as usize) else {
        return from.copy_to(&to);
    };
    let part = |off: usize, len: usize| match (from.sub(off, len), to.sub(off, len)) {
        (Some(from), Some(to)) => from.copy_to(&to),
        _ => false,
    };
    let after = lock + LOCK_SIZE;
    part(0, lock) && part(after, from.len().saturating_sub(after))
}

/// A copy of a value, made under its lock; the lock itself reads as 0.
pub(super) fn copy_out(value: Window<'_>, lock: Option<u32>, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + value.len(), 0);
    let held = of_value(&value, lock);
    let whole = value.read(0, &mut out[start..]);
    drop(held);
    debug_assert!(whole, "a window holds all of itself");
    if let Some(lock) = lock.map(|lock| start + lock as usize) {
        out[lock..lock + LOCK_SIZE].fill(0);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn values_are_copied_around_the_lock() {
        let words = [const { Cell::new(0u64) }; 2];
        let to = Window::from_words(&words);
        assert!(to.write(0, &[9; 16]));
        assert!(copy_value(Window::from_bytes(&[1; 16]), to, Some(4)));
        assert_eq!(to.to_vec(), [1, 1, 1, 1, 9, 9, 9, 9, 1, 1, 1, 1, 1, 1, 1, 1]);
        assert!(copy_value(Window::from_bytes(&[2; 16]), to, Some(12)));
        assert_eq!(to.to_vec()[8..], [2, 2, 2, 2, 1, 1, 1, 1]);
        assert!(!copy_value(Window::from_bytes(&[2; 15]), to, None));
        assert!(to.write(4, &[0; 4]));
        let mut out = vec![5];
        copy_out(to, Some(4), &mut out);
        assert_eq!(out[..9], [5, 2, 2, 2, 2, 0, 0, 0, 0]);
        assert_eq!(to.to_vec()[4..8], [0; 4]);
    }

    #[test]
    fn a_lock_is_held_until_it_is_dropped() {
        let words = [const { Cell::new(0u64) }; 1];
        let word = Window::from_words(&words).sub(0, 4).unwrap();
        let held = Held::take(word).unwrap();
        assert_eq!((held.addr(), words[0].get()), (word.addr(), 1));
        drop(held);
        assert_eq!(words[0].get(), 0);
        assert!(Held::take(word.read_only()).is_none());
    }
}
