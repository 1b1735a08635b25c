//! Memory that programs may touch.
//!
//! A [`Window`] is a borrowed range with a permission. It can only be made from a Rust borrow that
//! outlives it, so a load or store inside a window is always sound; the interpreter's checks decide
//! whether an address lies in one. This is one of the modules that may use `unsafe`.
#![allow(unsafe_code, reason = "loads and stores through checked windows; see the module header")]

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::AtomicU64;

/// What may be done with memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Loads only.
    Read,
    /// Loads and stores.
    ReadWrite,
}

/// A range of memory lent to a program for at most `'r`.
#[derive(Clone, Copy)]
pub struct Window<'r> {
    ptr: *mut u8,
    len: usize,
    access: Access,
    life: PhantomData<&'r Cell<u8>>,
}

impl<'r> Window<'r> {
    /// Immutable bytes: loads only.
    pub fn from_bytes(bytes: &'r [u8]) -> Self {
        Window { ptr: bytes.as_ptr().cast_mut(), len: bytes.len(), access: Access::Read, life: PhantomData }
    }

    /// Bytes this thread owns, for loads and stores.
    pub fn from_cells(cells: &'r [Cell<u8>]) -> Self {
        Window { ptr: cells.as_ptr().cast_mut().cast(), len: cells.len(), access: Access::ReadWrite, life: PhantomData }
    }

    /// The first `len` bytes of memory shared between threads.
    pub fn from_shared(words: &'r [AtomicU64], len: usize) -> Self {
        assert!(len <= words.len() * 8, "window longer than its memory");
        Window { ptr: words.as_ptr().cast_mut().cast(), len, access: Access::ReadWrite, life: PhantomData }
    }

    /// The same memory, loads only.
    pub fn read_only(self) -> Self {
        Window { access: Access::Read, ..self }
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
        self.access
    }

    /// The address programs see.
    pub fn addr(&self) -> u64 {
        self.ptr as u64
    }
}
