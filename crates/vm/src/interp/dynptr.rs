//! Dynptrs: sized views of memory that programs hold on their stack and cannot look into.
//!
//! The 16 bytes on the stack only name an entry of the worker's table. An entry is found again if the
//! bytes are the ones written when it was made, at the address they were written to: a dynptr that was
//! forged, copied, overwritten or left over from an earlier run is refused.

use super::memory::renew;
use crate::maps::Reservation;
use crate::mem::{Access, Width, Window};

/// Most bytes a dynptr can describe (`DYNPTR_MAX_SIZE` of the kernel).
pub const MAX_DYNPTR_SIZE: usize = (1 << 24) - 1;

/// Bytes of a dynptr on the stack.
pub(super) const DYNPTR_BYTES: usize = 16;

/// Upper half of the first word of a dynptr; the lower is the index of its entry. The second word is
/// the entry's generation.
const MAGIC: u64 = 0xfbd7_0000;

/// A view of memory, never longer than [`MAX_DYNPTR_SIZE`]. Read-only if its memory is.
#[derive(Debug, Clone, Copy)]
pub struct Dynptr<'r> {
    window: Window<'r>,
    /// Address of the ring-buffer record the memory is a part of.
    record: Option<u64>,
}

impl<'r> Dynptr<'r> {
    /// A view of the whole window; `None` when it is too long.
    pub fn new(window: Window<'r>) -> Option<Dynptr<'r>> {
        (window.len() <= MAX_DYNPTR_SIZE).then_some(Dynptr { window, record: None })
    }

    /// A view of a whole ring-buffer record; `None` when it is too long.
    pub(super) fn of_record(record: &Reservation<'r>) -> Option<Dynptr<'r>> {
        let window = record.window();
        Dynptr::new(window).map(|dynptr| Dynptr { record: Some(window.addr()), ..dynptr })
    }

    /// Address of the ring-buffer record the memory is a part of.
    pub(super) fn record(&self) -> Option<u64> {
        self.record
    }

    /// A view of a part of this one's memory, as [`Dynptr::slice`] gives it.
    #[must_use]
    pub fn narrowed(&self, part: Window<'r>) -> Dynptr<'r> {
        Dynptr { window: part, ..*self }
    }

    /// Length in bytes.
    pub fn size(&self) -> usize {
        self.window.len()
    }

    /// Whether the memory may only be read.
    pub fn is_read_only(&self) -> bool {
        self.window.access() == Access::Read
    }

    /// The memory.
    pub fn window(&self) -> Window<'r> {
        self.window
    }

    /// `len` bytes at `off`; `None` when they are not all inside.
    pub fn slice(&self, off: u64, len: u64) -> Option<Window<'r>> {
        self.window.sub(usize::try_from(off).ok()?, usize::try_from(len).ok()?)
    }
}

/// A dynptr made in this run.
#[derive(Debug)]
struct Entry<'r> {
    /// Where its bytes are on the stack.
    addr: u64,
    generation: u64,
    /// `None` is the invalid dynptr a failed request leaves.
    dynptr: Option<Dynptr<'r>>,
}

impl Entry<'_> {
    /// No bytes on the stack name the entry any more: generations start at 1.
    fn forget(&mut self) {
        self.generation = 0;
        self.dynptr = None;
    }
}

/// The dynptrs of a run.
#[derive(Debug, Default)]
pub(super) struct Dynptrs<'r> {
    entries: Vec<Entry<'r>>,
    /// Counts dynptrs made by this worker in all runs.
    generation: u64,
}

impl<'r> Dynptrs<'r> {
    /// The same memory for another run, without entries.
    pub(super) fn renew<'a>(self) -> Dynptrs<'a> {
        Dynptrs { entries: renew(self.entries), generation: self.generation }
    }

    /// Makes a dynptr whose bytes are the 16 of `place`.
    pub(super) fn set(&mut self, place: Window<'_>, dynptr: Option<Dynptr<'r>>) {
        self.generation += 1;
        let entry = Entry { addr: place.addr(), generation: self.generation, dynptr };
        // There is at most one entry for each address of the stack.
        let index = match self.entries.iter().position(|old| old.addr == entry.addr) {
            Some(index) => {
                self.entries[index] = entry;
                index
            }
            None => {
                self.entries.push(entry);
                self.entries.len() - 1
            }
        };
        let written = place
            .store(0, Width::DW, (MAGIC << 32) | index as u64)
            .and_then(|()| place.store(8, Width::DW, self.generation));
        debug_assert!(written.is_some(), "the place is 16 bytes of stack");
    }

    /// Forgets the dynptr at `place`.
    pub(super) fn remove(&mut self, place: Window<'_>) {
        self.entries.iter_mut().filter(|entry| entry.addr == place.addr()).for_each(Entry::forget);
    }

    /// Forgets all dynptrs of a ring-buffer record.
    pub(super) fn remove_record(&mut self, addr: u64) {
        let of_record = |entry: &&mut Entry<'r>| entry.dynptr.is_some_and(|d| d.record == Some(addr));
        self.entries.iter_mut().filter(of_record).for_each(Entry::forget);
    }

    /// Whether there is a dynptr of a ring-buffer record.
    pub(super) fn has_record(&self, addr: u64) -> bool {
        self.entries.iter().any(|entry| entry.dynptr.is_some_and(|d| d.record == Some(addr)))
    }

    /// The dynptr whose bytes are the 16 of `place`; the outer `None` if there is none.
    pub(super) fn get(&self, place: Window<'_>) -> Option<Option<Dynptr<'r>>> {
        let word = place.load(0, Width::DW)?;
        if word >> 32 != MAGIC {
            return None;
        }
        let entry = self.entries.get(word as u32 as usize)?;
        let genuine = entry.generation != 0
            && entry.addr == place.addr()
            && Some(entry.generation) == place.load(8, Width::DW);
        genuine.then_some(entry.dynptr)
    }
}
