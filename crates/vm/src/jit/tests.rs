//! Programs run by both engines. They are not proved: what goes wrong in the interpreter is not compiled.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod calls;
mod conformance;
#[path = "../../tests/exec/generate.rs"]
mod generate;
mod isa;
#[path = "../../tests/exec/kernel.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod kernel;
mod maps;
mod random;
#[path = "../../tests/exec/setting.rs"]
mod setting;

use std::sync::Arc;

use super::{CompileError, Compiled, compile};
use crate::host::{Buffer, Caller, Host};
use crate::insn::{Insn, op, pseudo};
use crate::interp::{Arg, DEFAULT_BUDGET, FaultKind, Outcome, Worker};
use crate::program::{Function, Program};
use crate::validate;
use crate::verify::{Facts, Given, unproved};

/// A host that keeps what is printed.
#[derive(Debug, Default)]
pub(super) struct TestHost {
    printed: Vec<String>,
}

impl<'r> Host<'r> for TestHost {
    fn buffer(&mut self, _: u32) -> Option<&mut dyn Buffer<'r>> {
        None
    }

    fn caller(&self) -> Caller {
        Caller { uid: 1000, gid: 100, tid: 43 }
    }

    fn process(&self) -> u32 {
        42
    }

    fn comm(&self) -> [u8; 16] {
        *b"tester\0\0\0\0\0\0\0\0\0\0"
    }

    fn print(&mut self, line: &str) {
        assert_ne!(line, "panic", "asked to");
        self.printed.push(line.into());
    }
}

/// Instructions from text.
fn asm(text: &str) -> Vec<Insn> {
    crate::asm::assemble(text).unwrap()
}

/// Finds the functions of a program by their calls.
fn functions(insns: &[Insn]) -> Vec<Function> {
    let mut starts = vec![0];
    for (slot, insn) in insns.iter().enumerate() {
        let local = insn.code == op::CALL_IMM && insn.src == pseudo::CALL_LOCAL;
        if local || (insn.is_wide() && insn.src == pseudo::FUNC) {
            starts.push(validate::target(slot, *insn).unwrap() as usize);
        }
    }
    starts.sort_unstable();
    starts.dedup();
    starts
        .into_iter()
        .map(|start| Function { start, name: format!("f{start}"), ..Function::default() })
        .collect()
}

fn whole(mut program: Program) -> Arc<Program> {
    program.functions = functions(&program.insns);
    Arc::new(program)
}

/// A program of instructions alone.
fn linked(insns: Vec<Insn>) -> Arc<Program> {
    whole(crate::build::program(insns))
}

fn compiled(program: &Arc<Program>) -> Compiled {
    compiled_with(program, Facts::default()).unwrap()
}

fn compiled_with(program: &Arc<Program>, facts: Facts) -> Result<Compiled, CompileError> {
    compile(&unproved(Arc::clone(program), Given::Anything, facts))
}

/// Runs compiled code with arguments.
fn run<'r>(compiled: &'r Compiled, args: &[Arg<'r>]) -> Result<u64, FaultKind> {
    run_for(compiled, args, DEFAULT_BUDGET).result.map_err(|fault| fault.kind)
}

fn run_for<'r>(compiled: &'r Compiled, args: &[Arg<'r>], budget: u64) -> Outcome {
    Worker::new(0).run_compiled(compiled, args, &mut TestHost::default(), budget)
}

/// Runs instructions that need nothing and go well, in both engines.
fn exec(insns: Vec<Insn>) -> u64 {
    let program = linked(insns);
    let expected =
        Worker::new(0).run(&program, &[], &mut TestHost::default(), DEFAULT_BUDGET).result.unwrap();
    assert_eq!(run(&compiled(&program), &[]), Ok(expected), "{:?}", program.insns);
    expected
}
