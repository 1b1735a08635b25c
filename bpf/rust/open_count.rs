// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//! open_count: a filter written in Rust. Files open for reading only; lookups of names longer than eight
//! bytes fail; both are counted in a map.
//!
//! docs/rust-filters.md says how it is built. Nothing of `core` that can panic is used: no indexing, no
//! arithmetic that is checked.
#![no_std]
#![allow(non_camel_case_types)]

use core::ffi::c_void;
use core::mem::transmute;

// What fuse_bpf.h declares. Structs of messages have fixed layouts, so no relocations are needed.

#[repr(C)]
pub struct fuse_open_in {
    flags: u32,
    open_flags: u32,
}

#[repr(C)]
pub struct fuse_buffer {
    opaque: [u8; 0],
}

unsafe extern "C" {
    /// A kfunc: found by its name, since rustc describes no types of what is defined elsewhere.
    fn bpf_fuse_return_len(buffer: *const fuse_buffer) -> u32;
}

/// Helper 1, by its number.
#[inline(always)]
unsafe fn bpf_map_lookup_elem(map: *const counters, key: *const u32) -> *mut u64 {
    let call: unsafe extern "C" fn(*const c_void, *const c_void) -> *mut c_void = unsafe { transmute(1usize) };
    unsafe { call(map.cast(), key.cast()).cast() }
}

/// `__uint(type, 2); __uint(max_entries, 2); __type(key, u32); __type(value, u64);`
#[repr(C)]
pub struct counters {
    r#type: *const [i32; 2],
    max_entries: *const [i32; 2],
    key: *const u32,
    value: *const u64,
}
unsafe impl Sync for counters {}

#[unsafe(no_mangle)]
#[unsafe(link_section = ".maps")]
pub static calls: counters = counters {
    r#type: core::ptr::null(),
    max_entries: core::ptr::null(),
    key: core::ptr::null(),
    value: core::ptr::null(),
};

/// Longest name that is found, NUL included; may be changed before the filter is loaded.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".rodata")]
pub static longest: u32 = 9;

#[inline(never)]
fn count(index: u32) {
    unsafe {
        let value = bpf_map_lookup_elem(&raw const calls, &raw const index);
        if !value.is_null() {
            value.write(value.read().wrapping_add(1));
        }
    }
}

/// The arguments of a program are the elements of its context.
#[unsafe(no_mangle)]
#[unsafe(link_section = "struct_ops/open_prefilter")]
pub unsafe extern "C" fn open(ctx: *const u64) -> u32 {
    count(0);
    let input = unsafe { ctx.add(1).read() } as *const fuse_open_in;
    // O_ACCMODE, EACCES.
    if unsafe { (*input).flags } & 3 != 0 { 13u32.wrapping_neg() } else { 0 }
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "struct_ops/lookup_prefilter")]
pub unsafe extern "C" fn lookup(ctx: *const u64) -> u32 {
    count(1);
    let name = unsafe { ctx.add(1).read() } as *const fuse_buffer;
    let limit = unsafe { (&raw const longest).read_volatile() };
    // ENOENT.
    if unsafe { bpf_fuse_return_len(name) } > limit { 2u32.wrapping_neg() } else { 0 }
}

/// The members that are set; others may be left out, since they are found by name.
#[repr(C)]
pub struct fuse_ops {
    open_prefilter: unsafe extern "C" fn(*const u64) -> u32,
    lookup_prefilter: unsafe extern "C" fn(*const u64) -> u32,
    name: [u8; 15],
}

#[unsafe(no_mangle)]
#[unsafe(link_section = ".struct_ops.link")]
pub static open_count: fuse_ops =
    fuse_ops { open_prefilter: open, lookup_prefilter: lookup, name: *b"open_count\0\0\0\0\0" };

#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
pub static LICENSE: [u8; 13] = *b"Dual BSD/GPL\0";
