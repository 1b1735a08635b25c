//! A run of compiled code: what the code and the calls it makes share with the interpreter.
//!
//! The stack, the addresses and handles a program sees, and the calls themselves are those of the
//! interpreter. What only calls need, the tables of what was lent, is made when the first call needs it.
//!
//! A program that another one goes on with runs in the frame of the function that it takes the place of: its
//! result is that function's. It runs compiled if it was proved for the arguments of the run, which are its
//! context as well; else it is interpreted, and cannot reach the frames of functions that wait, since what
//! was proved of these relies on what they hold.

use std::any::Any;
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::call::{Call, Engine, MAX_ARGS, View};
use super::keep::Keep;
use super::machine::Machine;
use super::memory::{Local, Tables, handle};
use super::watch::Unwatched;
use super::{Arg, FRAME_SIZE, FRAME_STRIDE, Fault, FaultKind, MAX_FRAMES, Outcome, Worker};
use crate::contract::{ArgKind, ArgType, Callable};
use crate::host::Host;
use crate::jit::Compiled;
use crate::mem::{Access, Window};
use crate::program::Program;
use crate::verify::Given;

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
    /// At an instruction that needs what does not exist.
    Missing = 3,
    /// At an indirect jump to what is in no table: [`Run::value`].
    BadIndirectJump = 4,
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
    /// What a function gives that is left early, if the run is not over; or where an indirect jump led.
    pub(crate) value: u64,
    compiled: &'r Compiled,
    budget: u64,
    stack: &'w [Cell<u64>],
    context: &'w [Cell<u64>],
    args: &'w [Arg<'r>],
    /// The worker's, until they are needed.
    idle: &'w mut Tables<'static>,
    keep: Option<&'r mut Keep>,
    host: &'w mut dyn Host<'r>,
    /// Made by the first call that needs them.
    tables: Option<Tables<'r>>,
    stop: Option<Box<Stop>>,
}

/// Why a call ended the run.
enum Stop {
    /// What it did wrong; the instruction is [`Run::at`].
    Kind(FaultKind),
    /// What a function or program did wrong that the call ran.
    Fault(Fault),
    Panic(Box<dyn Any + Send>),
}

impl<'r> Run<'_, 'r> {
    /// Calls a helper or kfunc. Its result; or, below zero, that the function is left: the run is over, or
    /// another program went on in its place. [`Run::fuel`] and [`Run::value`] tell.
    pub(crate) fn call_out(&mut self, callable: &'static Callable, regs: [u64; MAX_ARGS]) -> Ended {
        // Code of callables may be the embedder's, and no panic may pass through compiled code.
        let stop = match catch_unwind(AssertUnwindSafe(|| self.call_inside(callable, regs))) {
            Ok(Ok(ended)) => return ended,
            Ok(Err(kind)) => Stop::Kind(kind),
            Err(panic) => Stop::Panic(panic),
        };
        // What stopped a callback comes first.
        self.stop.get_or_insert_with(|| Box::new(stop));
        self.fuel = -1;
        Ended { value: 0, fuel: -1 }
    }

    fn call_inside(
        &mut self,
        callable: &'static Callable,
        regs: [u64; MAX_ARGS],
    ) -> Result<Ended, FaultKind> {
        let locked = self.tables.as_ref().is_some_and(|tables| tables.lock.is_some());
        if locked && !callable.args.iter().any(|kind| matches!(kind, ArgKind::Lock { .. })) {
            return Err(FaultKind::Locked);
        }
        let local = self.local();
        let slot = self.slot as usize;
        let value = Call::run(callable, regs, View { engine: self, local, slot })?;
        let Some(target) = self.tables.as_mut().and_then(Tables::take_next) else {
            return Ok(Ended { value, fuel: self.fuel });
        };
        self.tables().begin(&target.program, slot);
        match target.codes.iter().find(|code| self.may_enter(code)) {
            Some(code) => self.go_on_with(code, regs[0])?,
            None => self.interpret(&target.program, regs[0])?,
        }
        Ok(Ended { value: 0, fuel: -1 })
    }

    /// Whether a program was proved for the arguments of this run, and has frames enough in place of the
    /// function in progress.
    fn may_enter(&self, code: &Compiled) -> bool {
        let height = code.functions().first().map_or(1, |function| function.height);
        // A run in plain memory has no context.
        self.context.len() == self.args.len()
            && fits(code.given(), self.args)
            && self.frame + (height.saturating_sub(1) * FRAME_STRIDE) as u64 <= self.last_frame
    }

    /// Runs another compiled program in place of the function in progress.
    fn go_on_with(&mut self, code: &'r Compiled, context: u64) -> Result<(), FaultKind> {
        self.charge(code.functions().first().map_or(0, |function| function.cost));
        if self.fuel < 0 {
            return Err(FaultKind::Budget { budget: self.budget });
        }
        let (frame, fuel) = (self.frame, self.fuel);
        let waiting = std::mem::replace(&mut self.compiled, code);
        let ended = code.enter(self, frame, fuel, context, 0);
        if ended.fuel < 0 {
            self.tell();
        }
        (self.value, self.fuel) = (ended.value, ended.fuel);
        self.compiled = waiting;
        Ok(())
    }

    /// Puts in words why code ended the run, while it is known which program it is of. The rule that was
    /// broken.
    fn tell(&mut self) -> FaultKind {
        let (stop, kind) = match self.stop.take().map(|stop| *stop) {
            Some(Stop::Panic(panic)) => (Stop::Panic(panic), FaultKind::Unreachable),
            stop => {
                let fault = self.fault(stop);
                let kind = fault.kind.clone();
                (Stop::Fault(fault), kind)
            }
        };
        self.stop = Some(Box::new(stop));
        kind
    }

    /// Interprets another program in place of the function in progress.
    #[cold]
    fn interpret(&mut self, program: &'r Program, context: u64) -> Result<(), FaultKind> {
        let (local, slot, budget) = (self.local(), self.slot as usize, self.budget);
        let left = u64::try_from(self.fuel).unwrap_or(0);
        let depth = self.frame.wrapping_sub(local.stack.addr()) as usize / FRAME_STRIDE;
        let Some(tables) = &mut self.tables else { return Err(FaultKind::Unreachable) };
        let local = local.from(depth);
        let mut machine = Machine::new(program, local, tables, &mut *self.host, (slot, budget), Unwatched);
        let outcome = machine.run_at(depth, left, context);
        match outcome.result {
            Ok(value) => {
                self.value = value;
                self.fuel = i64::try_from(budget - outcome.insns).unwrap_or(i64::MAX);
            }
            Err(fault) => {
                self.stop = Some(Box::new(Stop::Fault(fault)));
                self.fuel = -1;
            }
        }
        Ok(())
    }

    /// How a run ended that made calls or ended early.
    #[inline(never)]
    fn finish(mut self, ended: Ended) -> Outcome {
        let budget = self.budget;
        if let Some(tables) = self.tables.take() {
            *self.idle = tables.renew();
        }
        if let Ok(left) = u64::try_from(ended.fuel) {
            return Outcome { result: Ok(ended.value), insns: budget.saturating_sub(left) };
        }
        let stop = self.stop.take().map(|stop| *stop);
        let fault = match stop {
            Some(Stop::Panic(panic)) => resume_unwind(panic),
            stop => self.fault(stop),
        };
        Outcome { result: Err(fault), insns: budget }
    }

    /// The fault of what ended the run.
    #[cold]
    fn fault(&self, stop: Option<Stop>) -> Fault {
        let (program, slot) = (self.compiled.program(), self.at as usize);
        let kind = match stop {
            Some(Stop::Fault(fault)) => return fault,
            Some(Stop::Kind(kind)) => kind,
            _ => match self.reason {
                reason if reason == Reason::TooDeep as u64 => FaultKind::TooDeep,
                reason if reason == Reason::Unreachable as u64 => FaultKind::Unreachable,
                reason if reason == Reason::BadIndirectJump as u64 => {
                    FaultKind::BadIndirectJump { target: self.value }
                }
                reason if reason == Reason::Missing as u64 => {
                    program.poison(slot).cloned().map_or(FaultKind::Unreachable, FaultKind::Missing)
                }
                _ => FaultKind::Budget { budget: self.budget },
            },
        };
        Fault::at(program, slot, kind)
    }
}

impl<'w> Run<'w, '_> {
    /// The memory of the function that makes a call.
    fn local(&self) -> Local<'w> {
        let mut local = Local::new(self.stack, self.context);
        local.enter_at(self.frame);
        local
    }
}

impl<'r> Engine<'r> for Run<'_, 'r> {
    fn tables(&mut self) -> &mut Tables<'r> {
        self.tables.get_or_insert_with(|| {
            begin(self.idle, self.keep.take(), self.compiled.program(), self.args, self.slot)
        })
    }

    fn host(&mut self) -> &mut (dyn Host<'r> + '_) {
        self.host
    }

    fn charge(&mut self, work: u64) {
        self.fuel = self.fuel.saturating_sub(i64::try_from(work).unwrap_or(i64::MAX));
    }

    /// If there is none left, the run ends when the callable returns.
    fn goes_on(&self) -> bool {
        self.fuel >= 0
    }

    fn call(&mut self, function: u64, args: [u64; MAX_ARGS]) -> Result<u64, FaultKind> {
        let compiled = self.compiled;
        let slot = handle::number(handle::FUNCTION, function).unwrap_or(u32::MAX) as usize;
        let Some(function) = compiled.callback(slot) else {
            let len = compiled.program().insns.len();
            return Err(FaultKind::BadJump { target: slot as i64, len });
        };
        let frame = self.frame;
        if frame + (function.height * FRAME_STRIDE) as u64 > self.last_frame {
            return Err(FaultKind::TooDeep);
        }
        self.charge(function.cost);
        if self.fuel < 0 {
            return Err(FaultKind::Budget { budget: self.budget });
        }
        let fuel = self.fuel;
        let ended = compiled.call_back(self, function, frame + FRAME_STRIDE as u64, fuel, args);
        (self.frame, self.fuel) = (frame, ended.fuel);
        if ended.fuel >= 0 {
            return Ok(ended.value);
        }
        // The callback's instruction is to be told, not that of the call.
        Err(self.tell())
    }
}

/// What a run needs that makes its first call.
#[cold]
fn begin<'r>(
    idle: &mut Tables<'static>,
    keep: Option<&'r mut Keep>,
    program: &'r Program,
    args: &[Arg<'r>],
    slot: u64,
) -> Tables<'r> {
    let mut tables: Tables<'r> = std::mem::take(idle);
    if let Some(keep) = keep {
        keep.clear();
        tables.start(keep, program, slot as usize);
    }
    for arg in args {
        tables.admit(arg);
    }
    tables
}

/// What the register of an argument holds.
fn register(arg: &Arg<'_>) -> u64 {
    match *arg {
        Arg::Scalar(value) => value,
        Arg::Mem(window) => window.addr(),
        Arg::Buffer(number) => handle::of_buffer(number),
    }
}

/// Whether an argument is what a program was proved for.
#[inline(always)]
fn is(arg: &Arg<'_>, ty: &ArgType) -> bool {
    match (arg, ty) {
        (Arg::Mem(window), ArgType::Struct { size, access, .. }) => {
            window.len() >= *size && window.allows(*access)
        }
        (Arg::Mem(window), ArgType::Part { at, size, access, .. }) => {
            window.len() >= at + size && window.allows(*access)
        }
        (Arg::Buffer(_), ArgType::Buffer { .. }) => true,
        (Arg::Scalar(number), ArgType::Scalar { value, .. }) => value.is_none_or(|known| known == *number),
        _ => false,
    }
}

/// Whether all are.
fn fits(given: &Given, args: &[Arg<'_>]) -> bool {
    match given {
        Given::Context(types) => {
            args.len() == types.len() && args.iter().zip(types).all(|(arg, ty)| is(arg, ty))
        }
        Given::Memory(_) => false,
        #[cfg(test)]
        Given::Anything => true,
    }
}

/// Puts arguments in the context, or gives the number, from 0, of the first that is not what the program was
/// proved for.
#[inline]
fn fill(context: &mut Vec<Cell<u64>>, given: &Given, args: &[Arg<'_>]) -> Result<(), usize> {
    if context.len() != args.len() {
        context.resize(args.len(), Cell::new(0));
    }
    let types = match given {
        Given::Context(types) => types,
        Given::Memory(_) => return Err(0),
        #[cfg(test)]
        Given::Anything => {
            context.iter().zip(args).for_each(|(cell, arg)| cell.set(register(arg)));
            return Ok(());
        }
    };
    for (i, ((cell, arg), ty)) in context.iter().zip(args).zip(types).enumerate() {
        if !is(arg, ty) {
            return Err(i);
        }
        cell.set(register(arg));
    }
    if args.len() == types.len() { Ok(()) } else { Err(args.len().min(types.len())) }
}

#[cold]
fn refused(compiled: &Compiled, arg: usize) -> Outcome {
    let kind = FaultKind::Given { arg: arg + 1 };
    Outcome { result: Err(Fault::at(compiled.program(), 0, kind)), insns: 0 }
}

impl Worker {
    /// As [`Worker::run`], with a compiled program. Of instructions, only those in loops that may be long
    /// take from the budget. The arguments are what the program was proved for, or it is not run
    /// ([`FaultKind::Given`]).
    pub fn run_compiled<'r>(
        &'r mut self,
        compiled: &'r Compiled,
        args: &[Arg<'r>],
        host: &mut dyn Host<'r>,
        budget: u64,
    ) -> Outcome {
        if let Err(arg) = fill(&mut self.context, compiled.given(), args) {
            return refused(compiled, arg);
        }
        let context = self.context.as_ptr() as u64;
        self.enter(compiled, args, [context, 0], host, budget)
    }

    /// As [`Worker::run_raw`], with a compiled program.
    pub fn run_compiled_raw<'r>(
        &'r mut self,
        compiled: &'r Compiled,
        memory: Window<'r>,
        host: &mut dyn Host<'r>,
        budget: u64,
    ) -> Outcome {
        match *compiled.given() {
            Given::Memory(size) if memory.len() == size as usize && memory.allows(Access::ReadWrite) => {}
            #[cfg(test)]
            Given::Anything => {}
            _ => return refused(compiled, 0),
        }
        self.context.clear();
        let registers = [memory.addr(), memory.len() as u64];
        self.enter(compiled, &[Arg::Mem(memory)], registers, host, budget)
    }

    // So that what is passed on stays in registers.
    #[inline(always)]
    fn enter<'r>(
        &'r mut self,
        compiled: &'r Compiled,
        args: &[Arg<'r>],
        registers: [u64; 2],
        host: &mut dyn Host<'r>,
        budget: u64,
    ) -> Outcome {
        let Worker { slot, stack, context, tables: idle, keep } = self;
        let fuel = i64::try_from(budget).unwrap_or(i64::MAX);
        let frame = stack.as_ptr() as u64 + FRAME_SIZE as u64;
        // Taken out of this for [`Run::finish`] only: most runs leave nothing to drop.
        let mut run = ManuallyDrop::new(Run {
            fuel,
            reserve: fuel / RESERVE,
            frame,
            last_frame: frame + ((MAX_FRAMES - 1) * FRAME_STRIDE) as u64,
            slot: *slot as u64,
            at: 0,
            reason: Reason::Budget as u64,
            value: 0,
            compiled,
            budget,
            stack,
            context,
            args,
            idle,
            keep: Some(keep),
            host,
            tables: None,
            stop: None,
        });
        let ended = compiled.enter(&mut run, frame, fuel, registers[0], registers[1]);
        if ended.fuel >= 0 && run.tables.is_none() {
            return Outcome { result: Ok(ended.value), insns: budget.saturating_sub(ended.fuel as u64) };
        }
        ManuallyDrop::into_inner(run).finish(ended)
    }
}
