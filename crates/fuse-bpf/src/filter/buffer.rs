//! `struct fuse_buffer`: the variable-length arguments of filters.
//!
//! Programs never see its memory directly: kfuncs turn it into dynptrs. The rules are those of the
//! series' `get_writeable` (spec section 4.2) with its memory bugs mended: a shrunk copy is never
//! longer than its memory, constant memory is never handed out as writable, a failed request leaves
//! the buffer as it was, growth gives the requested size, and memory handed out earlier in a call
//! stays valid until the call ends.

use std::cell::Cell;

use bumpalo::Bump;
use fuse_bpf_vm::host::{Buffer, Refused};
use fuse_bpf_vm::mem::Window;

/// What a filter may do with a buffer (`linux/bpf_fuse.h` of the series).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferFlags {
    /// `BPF_FUSE_IMMUTABLE`: never writable.
    pub immutable: bool,
    /// `BPF_FUSE_VARIABLE_SIZE`: the length may change.
    pub variable: bool,
}

impl BufferFlags {
    /// Read only.
    pub const IMMUTABLE: BufferFlags = BufferFlags { immutable: true, variable: false };
    /// May be changed, shrunk and grown.
    pub const EDITABLE: BufferFlags = BufferFlags { immutable: false, variable: true };
}

/// Where the bytes are.
#[derive(Clone, Copy)]
enum Bytes<'r> {
    /// Somebody else's: the request.
    Lent(&'r [u8]),
    /// The call's own, as long as its capacity.
    Owned(&'r [Cell<u8>]),
}

/// A buffer argument of a call.
pub struct FuseBuffer<'r> {
    bytes: Bytes<'r>,
    size: usize,
    max: usize,
    flags: BufferFlags,
    modified: bool,
    arena: &'r Bump,
}

impl<'r> FuseBuffer<'r> {
    /// A buffer over bytes of the request; copied before the first write.
    pub fn lent(bytes: &'r [u8], flags: BufferFlags, max: usize, arena: &'r Bump) -> Self {
        FuseBuffer {
            bytes: Bytes::Lent(bytes),
            size: bytes.len(),
            max: max.max(bytes.len()),
            flags,
            modified: false,
            arena,
        }
    }

    /// An empty buffer with room for `max` bytes that filters may change.
    pub fn room(max: usize, arena: &'r Bump) -> Self {
        FuseBuffer {
            bytes: Bytes::Owned(cells(arena, max)),
            size: 0,
            max,
            flags: BufferFlags::EDITABLE,
            modified: false,
            arena,
        }
    }

    /// From now on nobody may write: what postfilters see of the arguments.
    pub fn freeze(&mut self) {
        self.flags.immutable = true;
    }

    /// Whether write access was ever handed out.
    pub fn modified(&self) -> bool {
        self.modified
    }

    /// The largest length, in bytes.
    pub fn max(&self) -> usize {
        self.max
    }

    /// A copy of the bytes, in the arena of the call.
    pub fn bytes(&self) -> &'r [u8] {
        match self.bytes {
            Bytes::Lent(bytes) => bytes.get(..self.size).unwrap_or(bytes),
            Bytes::Owned(cells) => {
                self.arena.alloc_slice_fill_iter(cells.iter().take(self.size).map(Cell::get))
            }
        }
    }

    /// Copies the bytes out, as many as fit; returns how many.
    pub fn copy_to(&self, to: &mut [u8]) -> usize {
        let len = self.size.min(to.len());
        match self.bytes {
            Bytes::Lent(bytes) => to[..len].copy_from_slice(bytes.get(..len).unwrap_or_default()),
            Bytes::Owned(cells) => to.iter_mut().zip(&cells[..len]).for_each(|(to, cell)| *to = cell.get()),
        }
        len
    }

    /// Replaces the bytes; what does not fit is cut off, and the number kept returned.
    pub fn fill(&mut self, bytes: &[u8]) -> usize {
        let Bytes::Owned(cells) = self.bytes else { return 0 };
        let kept = bytes.len().min(cells.len());
        for (cell, byte) in cells.iter().zip(bytes) {
            cell.set(*byte);
        }
        self.size = kept;
        kept
    }
}

/// A run that borrows the buffer may be shorter than the call that owns it.
impl<'s, 'r: 's> Buffer<'s> for FuseBuffer<'r> {
    fn len(&self) -> usize {
        self.size
    }

    fn read(&self) -> Window<'s> {
        match self.bytes {
            Bytes::Lent(bytes) => Window::from_bytes(bytes.get(..self.size).unwrap_or(bytes)),
            Bytes::Owned(cells) => Window::from_cells(cells.get(..self.size).unwrap_or(cells)).read_only(),
        }
    }

    fn write(&mut self, size: usize, copy: bool) -> Option<Window<'s>> {
        if self.flags.immutable {
            return None;
        }
        let size = match self.flags.variable {
            true if size > self.max => return None,
            true => size,
            false if size > self.size => return None,
            false => self.size,
        };
        let kept = if copy { self.size.min(size) } else { 0 };
        let own = match self.bytes {
            Bytes::Owned(own) if size <= own.len() => {
                if copy {
                    own.iter().take(size).skip(kept).for_each(|cell| cell.set(0));
                }
                own
            }
            Bytes::Owned(old) => {
                let new = cells(self.arena, size);
                for (to, from) in new.iter().zip(old).take(kept) {
                    to.set(from.get());
                }
                new
            }
            Bytes::Lent(old) => {
                let new = cells(self.arena, size);
                for (to, from) in new.iter().zip(old).take(kept) {
                    to.set(*from);
                }
                new
            }
        };
        self.bytes = Bytes::Owned(own);
        self.size = size;
        self.modified = true;
        Some(Window::from_cells(own.get(..size)?))
    }

    fn edit(&mut self) -> Result<Window<'s>, Refused> {
        match self.bytes {
            _ if self.flags.immutable => Err(Refused::Immutable),
            Bytes::Lent(_) => Err(Refused::Lent),
            Bytes::Owned(cells) => {
                self.modified = true;
                Ok(Window::from_cells(cells.get(..self.size).unwrap_or(cells)))
            }
        }
    }

    fn resize(&mut self, size: usize) -> Result<(), Refused> {
        if self.flags.immutable {
            return Err(Refused::Immutable);
        }
        self.write(size, true).map(|_| ()).ok_or(Refused::TooLarge)
    }
}

impl std::fmt::Debug for FuseBuffer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FuseBuffer")
            .field("size", &self.size)
            .field("max", &self.max)
            .field("flags", &self.flags)
            .field("modified", &self.modified)
            .finish_non_exhaustive()
    }
}

/// `len` zeroed bytes, 8-aligned, that live as long as the arena.
pub(crate) fn cells(arena: &Bump, len: usize) -> &[Cell<u8>] {
    let words = arena.alloc_slice_fill_copy(len.div_ceil(8), 0u64);
    let bytes = zerocopy::IntoBytes::as_mut_bytes(words);
    Cell::from_mut(&mut bytes[..len]).as_slice_of_cells()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(arena: &Bump) -> FuseBuffer<'_> {
        FuseBuffer::lent(b"secret\0", BufferFlags::EDITABLE, 256, arena)
    }

    #[test]
    fn immutable_buffers_are_never_writable() {
        let arena = Bump::new();
        let mut buffer = FuseBuffer::lent(b"a\0", BufferFlags::IMMUTABLE, 256, &arena);
        assert!(buffer.write(2, true).is_none());
        assert!(!buffer.modified());
        let mut frozen = name(&arena);
        frozen.freeze();
        assert!(frozen.write(1, false).is_none());
    }

    #[test]
    fn a_shrunk_copy_is_as_long_as_its_memory() {
        let arena = Bump::new();
        let mut buffer = name(&arena);
        assert_eq!(buffer.write(3, true).unwrap().len(), 3);
        assert_eq!(buffer.bytes(), b"sec");
    }

    #[test]
    fn a_grown_copy_has_the_requested_size_and_zeros() {
        let arena = Bump::new();
        let mut buffer = name(&arena);
        assert_eq!(buffer.write(10, true).unwrap().len(), 10);
        assert_eq!(buffer.bytes(), b"secret\0\0\0\0");
        // Shrinking and growing again shows no old bytes.
        buffer.write(2, true).unwrap();
        buffer.write(7, true).unwrap();
        assert_eq!(buffer.bytes(), b"se\0\0\0\0\0");
    }

    #[test]
    fn size_zero_gives_no_access_to_lent_memory() {
        let arena = Bump::new();
        let mut buffer = name(&arena);
        assert_eq!(buffer.write(0, true).unwrap().len(), 0);
        assert_eq!(buffer.bytes(), b"");
    }

    #[test]
    fn what_cannot_be_had_leaves_the_buffer_alone() {
        let arena = Bump::new();
        let mut buffer = name(&arena);
        assert!(buffer.write(257, true).is_none());
        assert_eq!(buffer.bytes(), b"secret\0");
        assert!(!buffer.modified());
    }

    #[test]
    fn older_windows_stay_readable() {
        let arena = Bump::new();
        let mut buffer = name(&arena);
        let old = buffer.write(7, true).unwrap();
        buffer.write(200, true).unwrap();
        let mut bytes = [0; 7];
        assert!(old.read(0, &mut bytes));
        assert_eq!(&bytes, b"secret\0");
    }

    #[test]
    fn what_is_lent_is_edited_after_it_was_resized() {
        let arena = Bump::new();
        let mut buffer = name(&arena);
        assert_eq!(buffer.edit().unwrap_err(), Refused::Lent);
        assert!(!buffer.modified());
        assert_eq!(buffer.resize(257), Err(Refused::TooLarge));
        buffer.resize(9).unwrap();
        let window = buffer.edit().unwrap();
        assert!(window.write(6, b"s\0"));
        assert_eq!(buffer.bytes(), b"secrets\0\0");
        // Of its own size, it is a copy.
        let mut copy = name(&arena);
        copy.resize(7).unwrap();
        assert_eq!(copy.edit().unwrap().len(), 7);
        let mut fixed = FuseBuffer::lent(b"a\0", BufferFlags::IMMUTABLE, 256, &arena);
        assert_eq!(
            (fixed.edit().unwrap_err(), fixed.resize(1)),
            (Refused::Immutable, Err(Refused::Immutable))
        );
    }

    #[test]
    fn room_is_filled_up_to_its_limit() {
        let arena = Bump::new();
        let mut buffer = FuseBuffer::room(4, &arena);
        assert_eq!(buffer.fill(b"abcdef"), 4);
        assert_eq!(buffer.bytes(), b"abcd");
        assert!(buffer.write(5, true).is_none());
    }
}
