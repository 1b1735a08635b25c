//! BPF filters around every operation of a FUSE mount of a directory.
//!
//! [`Builder`] mounts a directory through program sets ([`filter::FilterSet`]) loaded from objects that
//! clang made; [`ops::OPS`] is the one table of operations everything else reads.
//!
//! # What this crate does not know
//!
//! Command lines, terminals, exit codes. It logs through `tracing`.
#![deny(unsafe_code)]

pub mod abi;
pub mod backing;
mod builder;
pub mod call;
mod cgroup;
pub mod control;
pub mod daemon;
pub mod dryrun;
pub mod errno;
pub mod filter;
pub mod ops;
pub mod request;
pub mod serve;
pub mod session;
pub mod shipped;
pub mod transport;

pub use builder::{Builder, Mount, MountFailure, worker_slots};
pub use errno::Errno;
