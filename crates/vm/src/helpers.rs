//! Helpers and kfuncs of the machine itself.

use crate::contract::Callable;

/// Helpers by number.
pub static HELPERS: &[Callable] = &[];

/// Kfuncs of the machine.
pub static KFUNCS: &[Callable] = &[];
