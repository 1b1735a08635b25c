//! The interpreter: the reference meaning of the instruction set.

/// A helper or kfunc call in progress.
#[derive(Debug)]
pub struct Call<'c, 'r> {
    _run: std::marker::PhantomData<(&'c (), &'r ())>,
}

/// Why a program was stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultKind {}
