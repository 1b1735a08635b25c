//! Programs run by the interpreter: what each instruction does, which memory can be reached, and what
//! helpers accept.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

#[macro_use]
mod build;
mod calls;
mod flow;
mod harness;
mod isa;
mod kinds;
mod maps;
mod memory;

pub(crate) use harness::*;

use fuse_bpf_vm::interp::{Arg, DEFAULT_BUDGET, Outcome, Worker};
use fuse_bpf_vm::program::Program;

/// What the tests of this file run programs with.
pub(crate) fn engine(
    worker: &mut Worker,
    program: &Program,
    args: &[Arg<'_>],
    host: &mut TestHost<'_>,
) -> Outcome {
    worker.run(program, args, host, DEFAULT_BUDGET)
}
