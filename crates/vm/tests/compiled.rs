//! The tests of the interpreter once more: programs the verifier accepts are compiled.
#![cfg(all(feature = "jit", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

#[macro_use]
#[path = "exec/build.rs"]
mod build;
#[path = "exec/calls.rs"]
mod calls;
#[path = "exec/flow.rs"]
mod flow;
#[path = "exec/harness.rs"]
mod harness;
#[path = "exec/isa.rs"]
mod isa;
#[path = "exec/kinds.rs"]
mod kinds;
#[path = "exec/maps.rs"]
mod maps;
#[path = "exec/memory.rs"]
mod memory;

pub(crate) use harness::*;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use fuse_bpf_vm::contract::ArgType;
use fuse_bpf_vm::insn::{op, pseudo};
use fuse_bpf_vm::interp::{Arg, DEFAULT_BUDGET, Outcome, Worker};
use fuse_bpf_vm::jit::{CompileError, Compiled, compile};
use fuse_bpf_vm::maps::MapKind;
use fuse_bpf_vm::mem::Access;
use fuse_bpf_vm::program::{Function, Program};
use fuse_bpf_vm::validate::target;
use fuse_bpf_vm::verify::{Entry, Limits, verify};

static RUNS: AtomicU64 = AtomicU64::new(0);
/// Programs that others go on with, compiled.
static TARGETS: AtomicU64 = AtomicU64::new(0);

/// The program with the same content, compiled for these arguments, if the verifier accepts it.
fn compiled(program: &Program, args: &[Arg<'_>]) -> Option<Arc<Compiled>> {
    static KNOWN: Mutex<Option<HashMap<String, Option<Arc<Compiled>>>>> = Mutex::new(None);
    let types: Option<Vec<ArgType>> = args.iter().map(of).collect();
    let types = types?;
    let maps: Vec<u32> = program.maps.iter().map(|map| map.id()).collect();
    let kfuncs: Vec<&str> = program.kfuncs.iter().map(|kfunc| kfunc.name).collect();
    let key =
        format!("{types:?} {maps:?} {kfuncs:?} {:?}", (&program.insns, &program.functions, &program.poisons));
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let entry = known.get_or_insert_default().entry(key);
    let make = || {
        let copy = Program {
            name: program.name.clone(),
            section: program.section.clone(),
            sleepable: program.sleepable,
            insns: program.insns.clone(),
            maps: program.maps.clone(),
            kfuncs: program.kfuncs.clone(),
            functions: functions(program),
            lines: program.lines.clone(),
            poisons: program.poisons.clone(),
            jump_tables: program.jump_tables.clone(),
        };
        let mut limits = Limits::default();
        limits.insns = 100_000;
        let verified = verify(&Arc::new(copy), Entry::Context(&types), limits).ok()?;
        match compile(&verified) {
            Ok(compiled) => Some(Arc::new(compiled)),
            // The verifier is lenient with fields nobody looks at.
            Err(CompileError::Insn(_)) => None,
            Err(error) => panic!("{error}: {:?}", program.insns),
        }
    };
    entry.or_insert_with(make).clone()
}

/// The functions of a program, of which tests of the interpreter do not tell.
fn functions(program: &Program) -> Vec<Function> {
    let mut functions = program.functions.clone();
    for (slot, insn) in program.insns.iter().enumerate() {
        let local = insn.code == op::CALL_IMM && insn.src == pseudo::CALL_LOCAL;
        if (local || (insn.is_wide() && insn.src == pseudo::FUNC))
            && let Some(start) = target(slot, *insn).and_then(|target| usize::try_from(target).ok())
        {
            functions.push(Function { start, ..Function::default() });
        }
    }
    functions.sort_by_key(|function| function.start);
    functions.dedup_by_key(|function| function.start);
    functions
}

fn of(arg: &Arg<'_>) -> Option<ArgType> {
    match *arg {
        Arg::Scalar(_) => Some(ArgType::Scalar { name: "number", value: None }),
        Arg::Mem(window) => {
            Some(ArgType::Struct { name: "memory", size: window.len(), access: window.access() })
        }
        Arg::Buffer(_) => Some(ArgType::Buffer { name: "buffer", access: Access::ReadWrite }),
    }
}

/// Compiles what a program may go on with, where the verifier accepts it.
fn compile_targets(program: &Program, args: &[Arg<'_>], seen: &mut Vec<*const Program>) {
    for map in program.maps.iter().filter(|map| map.spec().kind == MapKind::ProgArray) {
        for index in 0..map.spec().max_entries {
            let Some(target) = map.program(index) else { continue };
            if seen.contains(&Arc::as_ptr(&target)) {
                continue;
            }
            seen.push(Arc::as_ptr(&target));
            if let Some(compiled) = compiled(&target, args) {
                seen.push(Arc::as_ptr(compiled.program()));
                map.set_compiled(index, compiled).unwrap();
                TARGETS.fetch_add(1, Ordering::Relaxed);
            }
            compile_targets(&target, args, seen);
        }
    }
}

/// What the tests of this file run programs with.
pub(crate) fn engine(
    worker: &mut Worker,
    program: &Program,
    args: &[Arg<'_>],
    host: &mut TestHost<'_>,
) -> Outcome {
    match compiled(program, args) {
        Some(compiled) => {
            compile_targets(program, args, &mut Vec::new());
            RUNS.fetch_add(1, Ordering::Relaxed);
            worker.run_compiled(&compiled, args, host, DEFAULT_BUDGET)
        }
        None => worker.run(program, args, host, DEFAULT_BUDGET),
    }
}

#[test]
fn programs_are_compiled() {
    let before = RUNS.load(Ordering::Relaxed);
    let program = build::program(code![build::mov(0, 7), build::exit()]);
    assert_eq!(run(&program, &[]), Ok(7));
    assert!(RUNS.load(Ordering::Relaxed) > before);
}

#[test]
fn programs_that_others_go_on_with_are_compiled() {
    let before = TARGETS.load(Ordering::Relaxed);
    flow::a_tail_call_goes_on_with_another_program_and_its_maps();
    assert!(TARGETS.load(Ordering::Relaxed) > before);
}
