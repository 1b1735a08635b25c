//! What a run found in maps and uses: maps in maps, and programs it went on to.
//!
//! Anybody may replace them in their map meanwhile. They are kept here from when a run finds them until
//! the worker's next run starts.

use std::cell::{Cell, OnceCell};
use std::sync::Arc;

use super::MAX_FRAMES;
use crate::maps::{MAX_KEY_SIZE, Map, Target};
use crate::mem::Window;

/// Things kept for a run.
#[derive(Debug)]
pub(super) struct Keep {
    maps: Arena<Arc<Map>>,
    programs: Arena<Arc<Target>>,
    /// Copies of the keys callbacks are shown, one for each frame that may be waiting for a callback.
    keys: Box<[Cell<u64>]>,
}

impl Keep {
    pub(super) fn new() -> Keep {
        let words = MAX_FRAMES * MAX_KEY_SIZE as usize / 8;
        Keep {
            maps: Arena::default(),
            programs: Arena::default(),
            keys: (0..words).map(|_| Cell::new(0)).collect(),
        }
    }

    /// Lets go of what was kept.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.maps.clear();
        self.programs.clear();
    }

    pub(super) fn map(&self, map: Arc<Map>) -> &Arc<Map> {
        self.maps.push(map)
    }

    pub(super) fn program(&self, target: Arc<Target>) -> &Target {
        self.programs.push(target)
    }

    /// Room for a key of `len` bytes, the `nth` in use; `None` when it is too long or one too many.
    pub(super) fn key(&self, nth: usize, len: usize) -> Option<Window<'_>> {
        if nth >= MAX_FRAMES || len > MAX_KEY_SIZE as usize {
            return None;
        }
        Window::from_words(&self.keys).sub(nth * MAX_KEY_SIZE as usize, len)
    }
}

/// First part of an arena, in elements; each next one is twice as long.
const FIRST: usize = 4;

/// Elements that are added through shared references and stay where they are.
#[derive(Debug)]
struct Arena<T> {
    parts: [OnceCell<Box<[OnceCell<T>]>>; 28],
    len: Cell<usize>,
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Arena { parts: [const { OnceCell::new() }; 28], len: Cell::new(0) }
    }
}

impl<T> Arena<T> {
    /// Adds an element. Memory runs out before the parts do.
    fn push(&self, value: T) -> &T {
        let at = self.len.get() + FIRST;
        self.len.set(self.len.get() + 1);
        // Part `n` has the elements from `FIRST << n` on, counted from `FIRST`.
        let part = at.ilog2() - FIRST.ilog2();
        let first = FIRST << part;
        let cells = self.parts[part as usize].get_or_init(|| (0..first).map(|_| OnceCell::new()).collect());
        cells[at - first].get_or_init(|| value)
    }

    #[inline]
    fn clear(&mut self) {
        if self.len.get() != 0 {
            self.empty();
        }
    }

    #[cold]
    fn empty(&mut self) {
        self.len.set(0);
        for part in &mut self.parts {
            for cell in part.get_mut().into_iter().flatten() {
                cell.take();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_stays_in_place_until_it_is_cleared() {
        let mut arena = Arena::default();
        let value = Arc::new(7);
        {
            let kept: Vec<&Arc<i32>> = (0..1000).map(|_| arena.push(Arc::clone(&value))).collect();
            assert!(kept.iter().all(|kept| ***kept == 7));
        }
        assert_eq!(Arc::strong_count(&value), 1001);
        arena.clear();
        assert_eq!(Arc::strong_count(&value), 1);
        arena.push(Arc::clone(&value));
        assert_eq!(Arc::strong_count(&value), 2);
    }

    #[test]
    fn keys_do_not_overlap() {
        let keep = Keep::new();
        let first = keep.key(0, 512).unwrap();
        let second = keep.key(1, 4).unwrap();
        assert_eq!(second.addr(), first.addr() + 512);
        assert!(keep.key(MAX_FRAMES - 1, 512).is_some());
        assert!(keep.key(MAX_FRAMES, 4).is_none());
        assert!(keep.key(0, 513).is_none());
    }
}
