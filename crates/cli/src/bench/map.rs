//! Reading a file through a mapping.
#![allow(unsafe_code, reason = "a mapping is memory; it is made, read and unmade in one function")]

use std::fs::File;
use std::io;
use std::ptr;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// The sum of one byte of each page, so that each is read.
pub(super) fn touch(file: &File, len: usize) -> io::Result<u64> {
    // SAFETY: a new mapping at an address the kernel chooses; nothing else is there.
    let at = unsafe { mmap(ptr::null_mut(), len, ProtFlags::READ, MapFlags::SHARED, file, 0) }?;
    let mut sum = 0;
    for offset in (0..len).step_by(4096) {
        // SAFETY: inside of the mapping.
        let byte = unsafe { at.cast::<u8>().add(offset) };
        // SAFETY: readable while the file is at least `len` long, which the caller who wrote it knows.
        sum += u64::from(unsafe { byte.read_volatile() });
    }
    // SAFETY: exactly the mapping above, of which nothing is kept.
    unsafe { munmap(at, len) }?;
    Ok(sum)
}
