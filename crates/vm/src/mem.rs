//! Memory that programs may touch.
//!
//! A [`Window`] is a borrowed range with a permission. It can only be made from a Rust borrow that
//! outlives it, so a load or store inside a window is always sound; the interpreter's checks decide
//! whether an address lies in one. Compiled code accesses the same memory directly, where the verifier
//! proved that it may.
//!
//! # How memory is accessed
//!
//! Memory behind `&[u8]` cannot change while it is lent and is read as the slice it is. Everything
//! else may be shared with other threads or aliased by other windows: it is accessed by relaxed
//! atomics of the width of the access when the address is naturally aligned and byte by byte
//! otherwise, and never through `&mut`. An access wider than its alignment may therefore be torn, as
//! it may on the hardware programs are written for. Two threads that race with accesses of different
//! width see some mixture of the bytes written.
#![allow(unsafe_code, reason = "loads and stores through checked windows; see the module header")]

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

/// What may be done with memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Loads only.
    Read,
    /// Loads and stores.
    ReadWrite,
}

/// Width of one load or store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// One byte.
    B,
    /// Two bytes.
    H,
    /// Four bytes.
    W,
    /// Eight bytes.
    DW,
}

impl Width {
    /// Number of bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Width::B => 1,
            Width::H => 2,
            Width::W => 4,
            Width::DW => 8,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Made from `&[u8]`: nobody can write it while it is lent.
    Frozen,
    /// Interior-mutable memory, loads only.
    Read,
    /// Interior-mutable memory, loads and stores.
    ReadWrite,
}

/// A range of memory lent to a program for at most `'r`.
///
/// Offsets are in bytes from the start of the window. Every access outside is refused, and every
/// store to a read-only window.
#[derive(Clone, Copy)]
pub struct Window<'r> {
    /// Start of `len` bytes that stay valid for `'r`: readable, and writable through shared
    /// references unless `kind` is [`Kind::Frozen`]. Only the constructors set it.
    ptr: *mut u8,
    len: usize,
    kind: Kind,
    life: PhantomData<&'r Cell<u8>>,
}

/// Zeroed memory for values shared between threads; pages cost nothing until they are touched.
pub(crate) fn zeroed_words(words: usize) -> Box<[AtomicU64]> {
    let words = Box::<[AtomicU64]>::new_zeroed_slice(words);
    // SAFETY: all bytes are zero, which is a valid `AtomicU64`.
    unsafe { words.assume_init() }
}

/// The atomic cell at an offset; `None` when it is outside, unaligned or frozen.
macro_rules! cell {
    ($name:ident, $int:ty, $atomic:ty) => {
        fn $name(&self, off: usize) -> Option<&$atomic> {
            let ptr = self.at(off, size_of::<$int>())?.cast::<$int>();
            if self.kind == Kind::Frozen || !ptr.is_aligned() {
                return None;
            }
            // SAFETY: `at` checked that the whole cell lies in the window, which is valid for `'r`
            // and, not being frozen, is interior-mutable; the address is aligned. A window is not
            // `Send`, so cells of this thread are not accessed by others, and memory shared between
            // threads is only ever accessed atomically.
            Some(unsafe { <$atomic>::from_ptr(ptr) })
        }
    };
}

impl<'r> Window<'r> {
    /// Immutable bytes: loads only.
    pub fn from_bytes(bytes: &'r [u8]) -> Self {
        Window { ptr: bytes.as_ptr().cast_mut(), len: bytes.len(), kind: Kind::Frozen, life: PhantomData }
    }

    /// Bytes this thread owns, for loads and stores.
    pub fn from_cells(cells: &'r [Cell<u8>]) -> Self {
        Window {
            ptr: cells.as_ptr().cast_mut().cast(),
            len: cells.len(),
            kind: Kind::ReadWrite,
            life: PhantomData,
        }
    }

    /// Words this thread owns, for loads and stores.
    pub fn from_words(words: &'r [Cell<u64>]) -> Self {
        Window {
            ptr: words.as_ptr().cast_mut().cast(),
            len: size_of_val(words),
            kind: Kind::ReadWrite,
            life: PhantomData,
        }
    }

    /// The first `len` bytes of memory shared between threads.
    ///
    /// # Panics
    ///
    /// If the words hold fewer than `len` bytes.
    #[inline]
    pub fn from_shared(words: &'r [AtomicU64], len: usize) -> Self {
        assert!(len <= size_of_val(words), "window longer than its memory");
        Window { ptr: words.as_ptr().cast_mut().cast(), len, kind: Kind::ReadWrite, life: PhantomData }
    }

    /// `len` bytes at an address, for loads.
    ///
    /// # Safety
    ///
    /// The bytes must stay readable for `'r`, and be written meanwhile only in ways the module header
    /// describes.
    #[cfg(feature = "jit")]
    pub(crate) unsafe fn from_addr(addr: u64, len: usize) -> Self {
        Window { ptr: addr as *mut u8, len, kind: Kind::Read, life: PhantomData }
    }

    /// The same memory, loads only.
    #[must_use]
    pub fn read_only(self) -> Self {
        let kind = if self.kind == Kind::ReadWrite { Kind::Read } else { self.kind };
        Window { kind, ..self }
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the window covers no byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What may be done with the memory.
    pub fn access(&self) -> Access {
        if self.kind == Kind::ReadWrite { Access::ReadWrite } else { Access::Read }
    }

    /// Whether the memory may be used this way.
    pub fn allows(&self, access: Access) -> bool {
        access == Access::Read || self.kind == Kind::ReadWrite
    }

    /// The address programs see.
    #[inline]
    pub fn addr(&self) -> u64 {
        self.ptr as u64
    }

    /// The part of `len` bytes at `off`, with the same permission; `None` when it is not inside.
    pub fn sub(&self, off: usize, len: usize) -> Option<Window<'r>> {
        self.at(off, len).map(|ptr| Window { ptr, len, ..*self })
    }

    /// Copies the bytes at `off` to `out`. `false`, and nothing done, when they are not all inside.
    #[must_use]
    pub fn read(&self, off: usize, out: &mut [u8]) -> bool {
        if self.at(off, out.len()).is_none() {
            return false;
        }
        if let Some(bytes) = self.frozen() {
            out.copy_from_slice(&bytes[off..][..out.len()]);
            return true;
        }
        let mut done = 0;
        while done < out.len() {
            let rest = &mut out[done..];
            match (self.cell64(off + done), rest.first_chunk_mut::<8>()) {
                (Some(cell), Some(to)) => {
                    *to = cell.load(Ordering::Relaxed).to_ne_bytes();
                    done += 8;
                }
                _ => {
                    rest[0] = self.cell8(off + done).map_or(0, |cell| cell.load(Ordering::Relaxed));
                    done += 1;
                }
            }
        }
        true
    }

    /// Copies `data` to the bytes at `off`. `false`, and nothing done, when they are not all inside
    /// or the window is read-only.
    #[must_use]
    pub fn write(&self, off: usize, data: &[u8]) -> bool {
        if self.kind != Kind::ReadWrite || self.at(off, data.len()).is_none() {
            return false;
        }
        let mut done = 0;
        while done < data.len() {
            let rest = &data[done..];
            match (self.cell64(off + done), rest.first_chunk::<8>()) {
                (Some(cell), Some(from)) => {
                    cell.store(u64::from_ne_bytes(*from), Ordering::Relaxed);
                    done += 8;
                }
                _ => {
                    if let Some(cell) = self.cell8(off + done) {
                        cell.store(rest[0], Ordering::Relaxed);
                    }
                    done += 1;
                }
            }
        }
        true
    }

    /// Copies this window to the start of `to`, which may overlap it. `false`, and nothing done, when
    /// `to` is shorter or read-only.
    #[must_use]
    pub fn copy_to(&self, to: &Window<'_>) -> bool {
        const CHUNK: usize = 256;
        if to.kind != Kind::ReadWrite || to.len < self.len {
            return false;
        }
        let mut buf = [0; CHUNK];
        let mut step = |off: usize| {
            let part = &mut buf[..CHUNK.min(self.len - off)];
            self.read(off, part) && to.write(off, part)
        };
        // As memmove: from the end when the destination starts inside the source.
        if to.addr() > self.addr() {
            (0..self.len).step_by(CHUNK).rev().all(&mut step)
        } else {
            (0..self.len).step_by(CHUNK).all(&mut step)
        }
    }

    /// A copy of the bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = vec![0; self.len];
        let whole = self.read(0, &mut out);
        debug_assert!(whole, "a window holds all of itself");
        out
    }

    /// One load, zero-extended; `None` when it is not inside.
    #[inline]
    pub fn load(&self, off: usize, width: Width) -> Option<u64> {
        let aligned = match width {
            Width::B => self.cell8(off).map(|cell| cell.load(Ordering::Relaxed).into()),
            Width::H => self.cell16(off).map(|cell| cell.load(Ordering::Relaxed).into()),
            Width::W => self.cell32(off).map(|cell| cell.load(Ordering::Relaxed).into()),
            Width::DW => self.cell64(off).map(|cell| cell.load(Ordering::Relaxed)),
        };
        aligned.or_else(|| self.load_bytes(off, width))
    }

    /// One store of the low bytes of `value`; `None` when it is not inside or the window is
    /// read-only.
    #[inline]
    pub fn store(&self, off: usize, width: Width, value: u64) -> Option<()> {
        if self.kind != Kind::ReadWrite {
            return None;
        }
        let aligned = match width {
            Width::B => self.cell8(off).map(|cell| cell.store(value as u8, Ordering::Relaxed)),
            Width::H => self.cell16(off).map(|cell| cell.store(value as u16, Ordering::Relaxed)),
            Width::W => self.cell32(off).map(|cell| cell.store(value as u32, Ordering::Relaxed)),
            Width::DW => self.cell64(off).map(|cell| cell.store(value, Ordering::Relaxed)),
        };
        aligned.or_else(|| self.store_bytes(off, width, value))
    }

    /// A load with acquire ordering; `None` when it is not inside or not aligned.
    pub(crate) fn load_acquire(&self, off: usize, width: Width) -> Option<u64> {
        if self.kind == Kind::Frozen {
            return self.load_bytes(off, width);
        }
        match width {
            Width::B => self.cell8(off).map(|cell| cell.load(Ordering::Acquire).into()),
            Width::H => self.cell16(off).map(|cell| cell.load(Ordering::Acquire).into()),
            Width::W => self.cell32(off).map(|cell| cell.load(Ordering::Acquire).into()),
            Width::DW => self.cell64(off).map(|cell| cell.load(Ordering::Acquire)),
        }
    }

    /// A store with release ordering; `None` when it is not inside, not aligned or read-only.
    pub(crate) fn store_release(&self, off: usize, width: Width, value: u64) -> Option<()> {
        if self.kind != Kind::ReadWrite {
            return None;
        }
        match width {
            Width::B => self.cell8(off).map(|cell| cell.store(value as u8, Ordering::Release)),
            Width::H => self.cell16(off).map(|cell| cell.store(value as u16, Ordering::Release)),
            Width::W => self.cell32(off).map(|cell| cell.store(value as u32, Ordering::Release)),
            Width::DW => self.cell64(off).map(|cell| cell.store(value, Ordering::Release)),
        }
    }

    /// The word at `off` for an atomic update, to be used at once; `None` when it is not inside, not
    /// aligned or read-only.
    pub(crate) fn atomic32(&self, off: usize) -> Option<&AtomicU32> {
        if self.kind == Kind::ReadWrite { self.cell32(off) } else { None }
    }

    /// As [`Window::atomic32`] for a double word.
    pub(crate) fn atomic64(&self, off: usize) -> Option<&AtomicU64> {
        if self.kind == Kind::ReadWrite { self.cell64(off) } else { None }
    }

    fn load_bytes(&self, off: usize, width: Width) -> Option<u64> {
        let mut bytes = [0; 8];
        let part = &mut bytes[..width.bytes()];
        self.read(off, part).then(|| match width {
            Width::B => bytes[0].into(),
            Width::H => u16::from_ne_bytes([bytes[0], bytes[1]]).into(),
            Width::W => u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]).into(),
            Width::DW => u64::from_ne_bytes(bytes),
        })
    }

    fn store_bytes(&self, off: usize, width: Width, value: u64) -> Option<()> {
        let done = match width {
            Width::B => self.write(off, &[value as u8]),
            Width::H => self.write(off, &(value as u16).to_ne_bytes()),
            Width::W => self.write(off, &(value as u32).to_ne_bytes()),
            Width::DW => self.write(off, &value.to_ne_bytes()),
        };
        done.then_some(())
    }

    /// Address of `len` bytes at `off`, if they are all inside.
    #[inline]
    fn at(&self, off: usize, len: usize) -> Option<*mut u8> {
        let end = off.checked_add(len)?;
        (end <= self.len).then(|| self.ptr.wrapping_add(off))
    }

    /// The bytes of a frozen window.
    fn frozen(&self) -> Option<&'r [u8]> {
        if self.kind != Kind::Frozen {
            return None;
        }
        // SAFETY: a frozen window was made from a `&'r [u8]` of which it is a part.
        Some(unsafe { std::slice::from_raw_parts(self.ptr, self.len) })
    }

    cell!(cell8, u8, AtomicU8);
    cell!(cell16, u16, AtomicU16);
    cell!(cell32, u32, AtomicU32);
    cell!(cell64, u64, AtomicU64);
}

impl std::fmt::Debug for Window<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Window({:#x}+{}, {:?})", self.addr(), self.len, self.access())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTHS: [Width; 4] = [Width::B, Width::H, Width::W, Width::DW];

    #[test]
    fn loads_and_stores_agree_with_byte_order_at_every_alignment() {
        let words = [const { Cell::new(0u64) }; 4];
        let window = Window::from_words(&words);
        for width in WIDTHS {
            for off in 0..16 {
                assert!(window.write(0, &[0xee; 32]));
                assert_eq!(window.store(off, width, 0x1122_3344_5566_7788), Some(()));
                let mut expected = [0xee; 32];
                let value = 0x1122_3344_5566_7788u64.to_le_bytes();
                expected[off..off + width.bytes()].copy_from_slice(&value[..width.bytes()]);
                assert_eq!(window.to_vec(), expected);
                let mut wide = [0; 8];
                wide[..width.bytes()].copy_from_slice(&value[..width.bytes()]);
                assert_eq!(window.load(off, width), Some(u64::from_le_bytes(wide)));
                assert_eq!(window.load_acquire(off, width).is_some(), off % width.bytes() == 0);
            }
        }
    }

    #[test]
    fn nothing_outside_is_reached() {
        let cells = [const { Cell::new(7u8) }; 16];
        let window = Window::from_cells(&cells[4..12]);
        for width in WIDTHS {
            let last = 8 - width.bytes();
            assert!(window.load(last, width).is_some());
            for off in [last + 1, 8, usize::MAX, usize::MAX - 7] {
                assert_eq!(window.load(off, width), None);
                assert_eq!(window.store(off, width, 0), None);
                assert!(window.sub(off, width.bytes()).is_none());
                assert!(!window.read(off, &mut [0; 8][..width.bytes()]));
                assert!(!window.write(off, &[0; 8][..width.bytes()]));
            }
        }
        assert!(cells.iter().all(|cell| cell.get() == 7));
        assert!(window.sub(8, 0).is_some());
    }

    #[test]
    fn read_only_memory_is_not_written() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        let cells = [const { Cell::new(9u8) }; 8];
        for window in [Window::from_bytes(&bytes), Window::from_cells(&cells).read_only()] {
            assert_eq!(window.access(), Access::Read);
            assert!(!window.write(0, &[0]));
            for width in WIDTHS {
                assert_eq!(window.store(0, width, 0), None);
                assert_eq!(window.store_release(0, width, 0), None);
            }
            assert!(window.atomic32(0).is_none() && window.atomic64(0).is_none());
            assert!(!window.sub(0, 4).unwrap().write(0, &[0]));
        }
        assert_eq!(Window::from_bytes(&bytes).load(1, Width::W), Some(0x0504_0302));
    }

    #[test]
    fn overlapping_copies_are_moves() {
        let plain: Vec<u8> = (0..1000u32).map(|i| (i % 251) as u8).collect();
        for (from, to, len) in [(0, 1, 999), (1, 0, 999), (10, 300, 600), (300, 10, 600), (5, 5, 700)] {
            let cells: Vec<Cell<u8>> = plain.iter().copied().map(Cell::new).collect();
            let window = Window::from_cells(&cells);
            let mut expected = plain.clone();
            expected.copy_within(from..from + len, to);
            assert!(window.sub(from, len).unwrap().copy_to(&window.sub(to, len).unwrap()));
            assert_eq!(window.to_vec(), expected);
        }
        assert!(!Window::from_bytes(&plain).copy_to(&Window::from_bytes(&plain)));
    }
}
