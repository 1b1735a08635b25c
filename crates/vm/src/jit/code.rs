//! Memory for machine code.
//!
//! One region of address space is reserved for the process. Code takes whole pages of it. They can be
//! written while the code is copied in and executed afterwards, and never both at once.
//!
//! Pages are given back when their [`Code`] is dropped. Whoever runs code borrows it meanwhile, so no
//! thread is inside then.
#![allow(unsafe_code, reason = "maps, fills and protects the pages of code; see the module header")]

use std::ffi::c_void;
use std::io;
use std::ptr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mmap_anonymous, mprotect};

/// Address space set aside, in bytes. Direct calls reach across all of it.
const REGION: usize = 256 << 20;

/// How far before the machine's own code the region is asked for. Processors predict calls and returns between
/// places that are far apart less well, which takes a nanosecond or more. The heap is after the code.
const DISTANCE: usize = 1 << 30;

/// The region, and which of it is free.
#[derive(Debug)]
struct Arena {
    /// Address of the first byte.
    start: usize,
    page: usize,
    /// Free parts as offset and length, ascending, not adjacent. Both are multiples of the page size.
    free: Mutex<Vec<(usize, usize)>>,
}

/// Why there is no memory for code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodeError {
    /// The region is used up.
    #[error("no room for {size} bytes of code; at most {REGION} bytes are kept")]
    Full {
        /// Bytes asked for.
        size: usize,
    },
    /// The system refuses memory that is executed.
    #[error("memory for code: {0}")]
    System(#[source] io::Error),
}

impl From<rustix::io::Errno> for CodeError {
    fn from(errno: rustix::io::Errno) -> CodeError {
        CodeError::System(errno.into())
    }
}

/// Machine code that can be executed.
#[derive(Debug)]
pub(super) struct Code {
    /// Address of the first byte, the start of a page of the arena.
    start: usize,
    /// Bytes of code.
    len: usize,
    /// Bytes of the pages; only this value uses them.
    room: usize,
}

fn arena() -> Result<&'static Arena, CodeError> {
    static ARENA: OnceLock<Result<Arena, rustix::io::Errno>> = OnceLock::new();
    let arena = ARENA.get_or_init(|| {
        let own = arena as *const () as usize;
        // The system takes another address if that is in use or none.
        let wanted = ptr::without_provenance_mut(own.saturating_sub(DISTANCE) & !(REGION - 1));
        // SAFETY: a mapping at an address the system chooses, as it is not fixed, touches no existing memory.
        let start = unsafe { mmap_anonymous(wanted, REGION, ProtFlags::empty(), MapFlags::PRIVATE) }?;
        let free = Mutex::new(vec![(0, REGION)]);
        Ok(Arena { start: start as usize, page: rustix::param::page_size(), free })
    });
    arena.as_ref().map_err(|&errno| errno.into())
}

impl Arena {
    // Nothing panics while the lock is held.
    fn free(&self) -> MutexGuard<'_, Vec<(usize, usize)>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pages for `room` bytes, a multiple of the page size. Their address.
    fn take(&self, room: usize) -> Option<usize> {
        let mut free = self.free();
        let index = free.iter().position(|&(_, len)| len >= room)?;
        let (off, len) = free[index];
        if len == room {
            free.remove(index);
        } else {
            free[index] = (off + room, len - room);
        }
        Some(self.start + off)
    }

    fn give_back(&self, start: usize, room: usize) {
        let off = start - self.start;
        let mut free = self.free();
        let index = free.partition_point(|&(other, _)| other < off);
        free.insert(index, (off, room));
        // Join it with its neighbours.
        for i in [index + 1, index] {
            let after = free.get(i).copied();
            if let (Some((off, len)), Some(before)) = (after, i.checked_sub(1).and_then(|i| free.get_mut(i)))
                && before.0 + before.1 == off
            {
                before.1 += len;
                free.remove(i);
            }
        }
    }
}

impl Code {
    /// Makes bytes executable that do not depend on where they are.
    pub(super) fn new(bytes: &[u8]) -> Result<Code, CodeError> {
        let arena = arena()?;
        let full = CodeError::Full { size: bytes.len() };
        let room = bytes.len().max(1).checked_next_multiple_of(arena.page);
        let Some((start, room)) = room.and_then(|room| Some((arena.take(room)?, room))) else {
            return Err(full);
        };
        // From here on dropping it gives the pages back.
        let code = Code { start, len: bytes.len(), room };
        let pages = start as *mut c_void;
        // SAFETY: the pages were taken from the arena for this value, and nobody else uses them.
        unsafe { mprotect(pages, room, MprotectFlags::READ | MprotectFlags::WRITE) }?;
        // SAFETY: the pages hold at least as many bytes, can be written now, and are used by nobody else.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), pages.cast::<u8>(), bytes.len()) };
        // SAFETY: as above; that the bytes can no longer be written concerns nobody.
        unsafe { mprotect(pages, room, MprotectFlags::READ | MprotectFlags::EXEC) }?;
        Ok(code)
    }

    /// Address of the first byte.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: `new` filled these bytes and made them readable; nobody writes them until this value,
        // which the result borrows, is dropped.
        unsafe { std::slice::from_raw_parts(self.start as *const u8, self.len) }
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        let Ok(arena) = arena() else { return };
        let pages = self.start as *mut c_void;
        // SAFETY: the pages are this value's; whoever runs code in them or reads them borrows it.
        let closed = unsafe { mprotect(pages, self.room, MprotectFlags::empty()) };
        // SAFETY: as above. Their content is not needed again.
        let emptied = unsafe { madvise(pages, self.room, Advice::LinuxDontNeed) };
        // Pages the system did not take back are not used again: they would not be closed.
        if closed.is_ok() && emptied.is_ok() {
            arena.give_back(self.start, self.room);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_joined_when_given_back() {
        let arena = Arena { start: 1 << 20, page: 4096, free: Mutex::new(vec![(0, 10 * 4096)]) };
        let parts: Vec<usize> = (0..10).map(|_| arena.take(4096).unwrap()).collect();
        assert_eq!(arena.take(4096), None);
        for i in [3, 1, 2, 9, 0, 5, 7, 6, 8, 4] {
            arena.give_back(parts[i], 4096);
        }
        assert_eq!(*arena.free(), [(0, 10 * 4096)]);
        assert_eq!(arena.take(8 * 4096), Some(1 << 20));
        assert_eq!(arena.take(3 * 4096), None);
        assert_eq!(arena.take(2 * 4096), Some((1 << 20) + 8 * 4096));
    }

    #[test]
    fn code_is_readable_and_too_much_of_it_is_refused() {
        let bytes: Vec<u8> = (0..10_000).map(|i| i as u8).collect();
        let (one, two) = (Code::new(&bytes).unwrap(), Code::new(&bytes[1..]).unwrap());
        assert_eq!(one.bytes(), bytes);
        drop(one);
        assert_eq!(two.bytes(), &bytes[1..]);
        let refused = Code::new(&vec![0; REGION + 1]);
        assert!(matches!(refused, Err(CodeError::Full { size }) if size == REGION + 1));
    }
}
