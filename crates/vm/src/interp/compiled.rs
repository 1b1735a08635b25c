//! A run of compiled code: what the code and the calls it makes share with the interpreter.
//!
//! The stack, the addresses and handles a program sees, and the calls themselves are those of the
//! interpreter. What only calls need, the tables of what was lent, is made when the first call needs it.

use std::any::Any;
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::call::{Call, MAX_ARGS, View};
use super::memory::{Local, Tables, handle};
use super::{Arg, FRAME_SIZE, FRAME_STRIDE, Fault, FaultKind, MAX_FRAMES, Outcome, Worker};
use crate::contract::Callable;
use crate::host::Host;
use crate::jit::Compiled;
use crate::program::Program;

/// `may_goto` jumps once only this part of the budget is left, as in the interpreter.
const RESERVE: i64 = 8;

/// Bytes from the end of a frame to the end of the frame of a function it calls.
pub(crate) const NEXT_FRAME: i64 = FRAME_STRIDE as i64;

/// How a function of compiled code ended. Compiled code returns it in two registers.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Ended {
    /// R0.
    pub(crate) value: u64,
    /// What is left of the budget; below zero when the run is over.
    pub(crate) fuel: i64,
}

/// Why compiled code ended a run by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Reason {
    /// Nothing left of the budget.
    Budget = 0,
    /// No frame left.
    TooDeep = 1,
    /// At an instruction that was proved not to be reached.
    Unreachable = 2,
}

/// One run of compiled code. The code reads and writes the first fields, by their offsets.
#[repr(C)]
pub(crate) struct Run<'w, 'r> {
    /// What is left of the budget, while a call is in progress; below zero when the run is over.
    pub(crate) fuel: i64,
    /// `may_goto` jumps when no more than this is left.
    pub(crate) reserve: i64,
    /// The end of the frame of the function that makes a call, as an address.
    pub(crate) frame: u64,
    /// The end of the last frame there is.
    pub(crate) last_frame: u64,
    /// The thread's number.
    pub(crate) slot: u64,
    /// The instruction at which the run ended early.
    pub(crate) at: u64,
    /// A [`Reason`], if neither a call nor a panic ended the run.
    pub(crate) reason: u64,
    program: &'r Program,
    stack: &'w [Cell<u64>],
    context: &'w [Cell<u64>],
    args: &'w [Arg<'r>],
    /// The worker's, until they are needed.
    idle: &'w mut Tables<'static>,
    host: &'w mut dyn Host<'r>,
    /// Made by the first call.
    calls: Option<Calls<'r>>,
}

/// What a run needs that makes calls.
struct Calls<'r> {
    tables: Tables<'r>,
    /// Why a call ended the run.
    fault: Option<FaultKind>,
    /// The panic that did.
    panic: Option<Box<dyn Any + Send>>,
}

impl<'r> Run<'_, 'r> {
    /// Calls a helper or kfunc. Its result, or that the run is over.
    pub(crate) fn call_out(&mut self, callable: &'static Callable, regs: [u64; MAX_ARGS]) -> Ended {
        // Code of callables may be the embedder's, and no panic may pass through compiled code.
        let (fault, panic) = match catch_unwind(AssertUnwindSafe(|| self.call(callable, regs))) {
            Ok(Ok(value)) => return Ended { value, fuel: self.fuel },
            Ok(Err(fault)) => (Some(fault), None),
            Err(panic) => (None, Some(panic)),
        };
        if let Some(calls) = &mut self.calls {
            (calls.fault, calls.panic) = (fault, panic);
        }
        self.fuel = -1;
        Ended { value: 0, fuel: self.fuel }
    }

    fn call(&mut self, callable: &'static Callable, regs: [u64; MAX_ARGS]) -> Result<u64, FaultKind> {
        let mut local = Local::new(self.stack, self.context);
        local.enter_at(self.frame);
        let calls = self.calls.get_or_insert_with(|| begin(self.idle, self.program, self.args, self.slot));
        let mut work = 0;
        let view = View {
            program: self.program,
            local,
            tables: &mut calls.tables,
            host: &mut *self.host,
            slot: self.slot as usize,
            work: &mut work,
        };
        let result = Call::run(callable, regs, view);
        self.fuel = self.fuel.saturating_sub(i64::try_from(work).unwrap_or(i64::MAX));
        result
    }

    /// Whether there is nothing to give back or drop.
    fn is_plain(&self) -> bool {
        self.calls.is_none()
    }

    /// How a run ended that made calls or ended early.
    #[inline(never)]
    fn finish(mut self, ended: Ended, budget: u64) -> Outcome {
        let mut fault = None;
        if let Some(calls) = self.calls.take() {
            *self.idle = calls.tables.renew();
            if let Some(panic) = calls.panic {
                resume_unwind(panic);
            }
            fault = calls.fault;
        }
        if let Ok(left) = u64::try_from(ended.fuel) {
            return Outcome { result: Ok(ended.value), insns: budget.saturating_sub(left) };
        }
        let kind = fault.unwrap_or(match self.reason {
            reason if reason == Reason::TooDeep as u64 => FaultKind::TooDeep,
            reason if reason == Reason::Unreachable as u64 => FaultKind::Unreachable,
            _ => FaultKind::Budget { budget },
        });
        Outcome { result: Err(Fault::at(self.program, self.at as usize, kind)), insns: budget }
    }
}

/// What a run needs that makes its first call.
#[cold]
fn begin<'r>(idle: &mut Tables<'static>, program: &'r Program, args: &[Arg<'r>], slot: u64) -> Calls<'r> {
    let mut tables = std::mem::take(idle).renew();
    tables.begin(program, slot as usize);
    for arg in args {
        tables.admit(arg);
    }
    Calls { tables, fault: None, panic: None }
}

/// What the register of an argument holds.
fn register(arg: &Arg<'_>) -> u64 {
    match *arg {
        Arg::Scalar(value) => value,
        Arg::Mem(window) => window.addr(),
        Arg::Buffer(number) => handle::make(handle::BUFFER, number),
    }
}

/// What a wide load of a map gives.
pub(crate) fn map_handle(index: u32) -> u64 {
    handle::make(handle::MAP, index)
}

/// What a wide load of a function gives.
pub(crate) fn function_handle(slot: u32) -> u64 {
    handle::make(handle::FUNCTION, slot)
}

impl Worker {
    /// As [`Worker::run`], with a compiled program. Of instructions, only those in loops that may be long
    /// take from the budget.
    pub fn run_compiled<'r>(
        &mut self,
        compiled: &'r Compiled,
        args: &[Arg<'r>],
        host: &mut dyn Host<'r>,
        budget: u64,
    ) -> Outcome {
        self.context.clear();
        self.context.extend(args.iter().map(|arg| Cell::new(register(arg))));
        let context = self.context.as_ptr() as u64;
        self.enter(compiled, args, [context, 0], host, budget)
    }

    /// As [`Worker::run_raw`], with a compiled program.
    #[cfg(test)]
    pub(crate) fn run_compiled_raw<'r>(
        &mut self,
        compiled: &'r Compiled,
        memory: crate::mem::Window<'r>,
        host: &mut dyn Host<'r>,
        budget: u64,
    ) -> Outcome {
        self.context.clear();
        let registers = [memory.addr(), memory.len() as u64];
        self.enter(compiled, &[Arg::Mem(memory)], registers, host, budget)
    }

    // So that what is passed on stays in registers.
    #[inline(always)]
    fn enter<'r>(
        &mut self,
        compiled: &'r Compiled,
        args: &[Arg<'r>],
        registers: [u64; 2],
        host: &mut dyn Host<'r>,
        budget: u64,
    ) -> Outcome {
        let fuel = i64::try_from(budget).unwrap_or(i64::MAX);
        let frame = self.stack.as_ptr() as u64 + FRAME_SIZE as u64;
        // Taken out of this for [`Run::finish`] only: most runs leave nothing to drop.
        let mut run = ManuallyDrop::new(Run {
            fuel,
            reserve: fuel / RESERVE,
            frame,
            last_frame: frame + ((MAX_FRAMES - 1) * FRAME_STRIDE) as u64,
            slot: self.slot as u64,
            at: 0,
            reason: Reason::Budget as u64,
            program: compiled.program(),
            stack: &self.stack,
            context: &self.context,
            args,
            idle: &mut self.tables,
            host,
            calls: None,
        });
        let ended = compiled.enter(&mut run, frame, fuel, registers[0], registers[1]);
        if ended.fuel >= 0 && run.is_plain() {
            return Outcome { result: Ok(ended.value), insns: budget.saturating_sub(ended.fuel as u64) };
        }
        ManuallyDrop::into_inner(run).finish(ended, budget)
    }
}
