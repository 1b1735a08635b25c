//! The eBPF machine of fuse-bpf.
//!
//! It loads the objects clang emits ([`object`], [`btf`], [`link`]), holds their maps ([`maps`]) and
//! runs their programs in an interpreter that checks every access ([`interp`], [`mem`]).
//!
//! # What this crate does not know
//!
//! FUSE, files, mounts, terminals. What a program may be given and may call arrives as data: a
//! [`contract::Contract`]. What one call lends a program arrives as [`mem::Window`]s and a
//! [`host::Host`].
#![deny(unsafe_code)]

// What builds programs is shared with the tests outside of the crate, which know it by this name.
#[cfg(all(test, feature = "jit"))]
extern crate self as fuse_bpf_vm;

#[cfg(all(test, feature = "jit"))]
#[macro_use]
#[path = "../tests/exec/build.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod build;

pub mod asm;
pub mod btf;
pub mod contract;
pub mod disasm;
pub mod helpers;
pub mod host;
pub mod insn;
pub mod interp;
#[cfg(feature = "jit")]
pub mod jit;
pub mod link;
pub mod maps;
pub mod mem;
pub mod object;
pub mod program;
pub mod validate;
pub mod verify;
