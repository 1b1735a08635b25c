//! One file for each command.

pub(crate) mod bench;
pub(crate) mod build;
pub(crate) mod mount;
pub(crate) mod new;
pub(crate) mod ops;
pub(crate) mod prog;
pub(crate) mod trace;
pub(crate) mod umount;
pub(crate) mod verify;
