//! BPF filters around every operation of a FUSE mount of a directory.
#![deny(unsafe_code)]

pub mod abi;
pub mod errno;

pub use errno::Errno;
