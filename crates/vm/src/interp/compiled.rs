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
pub(crate) const RESERVE: u64 = 8;

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
    /// At an indirect jump to what is in no table: [`Notes::value`].
    BadIndirectJump = 4,
}

/// What compiled code and the calls it makes note for each other. The code reads and writes it through
/// [`Run::worker`]. A worker has one, so that a run that neither makes calls nor ends early does not touch it.
pub(crate) struct Notes {
    /// What is left of the budget, while a call is in progress; below zero when the run is over.
    pub(crate) fuel: Cell<i64>,
    /// The end of the frame of the function that makes a call, as an address.
    pub(crate) frame: Cell<u64>,
    /// The end of the last frame there is.
    pub(crate) last_frame: u64,
    /// The instruction at which the run ended early.
    pub(crate) at: Cell<u64>,
    /// A [`Reason`], if neither a call nor a panic ended the run: [`Reason::Budget`] until the code notes
    /// another one, and again when that was told.
    pub(crate) reason: Cell<u64>,
    /// What a function gives that is left early, if the run is not over; or where an indirect jump led.
    pub(crate) value: Cell<u64>,
}

impl Notes {
    /// Whether there are as many frames after that of the function that makes a call.
    fn holds(&self, frames: usize) -> bool {
        self.frame.get() + (frames * FRAME_STRIDE) as u64 <= self.last_frame
    }

    pub(super) fn new(stack: &[Cell<u64>]) -> Notes {
        Notes {
            fuel: Cell::new(0),
            frame: Cell::new(0),
            last_frame: stack.as_ptr() as u64 + ((MAX_FRAMES - 1) * FRAME_STRIDE + FRAME_SIZE) as u64,
            at: Cell::new(0),
            reason: Cell::new(Reason::Budget as u64),
            value: Cell::new(0),
        }
    }
}

/// One run of compiled code. Entry takes as long as there is to store: what can be had from the worker, or
/// is needed by calls only, is not here.
pub(crate) struct Run<'w, 'r> {
    pub(crate) worker: &'r Worker,
    /// What the run may use up, which is not more than fits in what is left.
    pub(crate) budget: u64,
    compiled: &'r Compiled,
    args: &'w [Arg<'r>],
    host: &'w mut dyn Host<'r>,
    /// Made by the first call that needs it.
    begun: Option<Begun<'r>>,
}

/// What only runs have that make calls.
struct Begun<'r> {
    tables: Tables<'r>,
    stop: Option<Box<Stop>>,
}

/// Why a call ended the run.
enum Stop {
    /// What it did wrong; the instruction is [`Notes::at`].
    Kind(FaultKind),
    /// What a function or program did wrong that the call ran.
    Fault(Fault),
    Panic(Box<dyn Any + Send>),
}

impl<'w, 'r: 'w> Run<'w, 'r> {
    /// Calls a helper or kfunc. Its result; or, below zero, that the function is left: the run is over, or
    /// another program went on in its place. [`Notes::fuel`] and [`Notes::value`] tell.
    pub(crate) fn call_out(&mut self, callable: &'static Callable, regs: [u64; MAX_ARGS]) -> Ended {
        // Code of callables may be the embedder's, and no panic may pass through compiled code.
        let stop = match catch_unwind(AssertUnwindSafe(|| self.call_inside(callable, regs))) {
            Ok(Ok(ended)) => return ended,
            Ok(Err(kind)) => Stop::Kind(kind),
            Err(panic) => Stop::Panic(panic),
        };
        // What stopped a callback comes first.
        self.begun().stop.get_or_insert_with(|| Box::new(stop));
        self.worker.notes.fuel.set(-1);
        Ended { value: 0, fuel: -1 }
    }

    fn call_inside(
        &mut self,
        callable: &'static Callable,
        regs: [u64; MAX_ARGS],
    ) -> Result<Ended, FaultKind> {
        let locked = self.begun.as_ref().is_some_and(|begun| begun.tables.lock.is_some());
        if locked && !callable.args.iter().any(|kind| matches!(kind, ArgKind::Lock { .. })) {
            return Err(FaultKind::Locked);
        }
        let local = self.local();
        let slot = self.worker.slot;
        let value = Call::run(callable, regs, View { engine: self, local, slot })?;
        let Some(target) = self.begun.as_mut().and_then(|begun| begun.tables.take_next()) else {
            return Ok(Ended { value, fuel: self.worker.notes.fuel.get() });
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
        self.worker.context.len() == self.args.len()
            && fits(code.given(), self.args)
            && self.worker.notes.holds(height.saturating_sub(1))
    }

    /// Runs another compiled program in place of the function in progress.
    fn go_on_with(&mut self, code: &'r Compiled, context: u64) -> Result<(), FaultKind> {
        self.charge(code.functions().first().map_or(0, |function| function.cost));
        let notes = &self.worker.notes;
        let (frame, fuel) = (notes.frame.get(), notes.fuel.get());
        if fuel < 0 {
            return Err(FaultKind::Budget { budget: self.budget });
        }
        let waiting = std::mem::replace(&mut self.compiled, code);
        let ended = code.enter(self, frame, fuel, context, 0);
        if ended.fuel < 0 {
            self.tell();
        }
        notes.value.set(ended.value);
        notes.fuel.set(ended.fuel);
        self.compiled = waiting;
        Ok(())
    }

    /// Puts in words why code ended the run, while it is known which program it is of. The rule that was
    /// broken.
    fn tell(&mut self) -> FaultKind {
        let (stop, kind) = match self.take_stop() {
            Some(Stop::Panic(panic)) => (Stop::Panic(panic), FaultKind::Unreachable),
            stop => {
                let fault = self.fault(stop);
                let kind = fault.kind.clone();
                (Stop::Fault(fault), kind)
            }
        };
        self.begun().stop = Some(Box::new(stop));
        kind
    }

    /// Interprets another program in place of the function in progress.
    #[cold]
    fn interpret(&mut self, program: &'r Program, context: u64) -> Result<(), FaultKind> {
        let (local, slot, budget) = (self.local(), self.worker.slot, self.budget);
        let notes = &self.worker.notes;
        let left = u64::try_from(notes.fuel.get()).unwrap_or(0);
        let depth = notes.frame.get().wrapping_sub(local.stack.addr()) as usize / FRAME_STRIDE;
        let Some(Begun { tables, stop }) = &mut self.begun else { return Err(FaultKind::Unreachable) };
        let local = local.from(depth);
        let mut machine = Machine::new(program, local, tables, &mut *self.host, (slot, budget), Unwatched);
        let outcome = machine.run_at(depth, left, context);
        match outcome.result {
            Ok(value) => {
                notes.value.set(value);
                notes.fuel.set(i64::try_from(budget - outcome.insns).unwrap_or(i64::MAX));
            }
            Err(fault) => {
                *stop = Some(Box::new(Stop::Fault(fault)));
                notes.fuel.set(-1);
            }
        }
        Ok(())
    }

    /// How a run ended that made calls or ended early. It leaves nothing to drop.
    #[inline(never)]
    fn finish(&mut self, ended: Ended) -> Outcome {
        let budget = self.budget;
        let stop = self.take_stop();
        if let Some(begun) = self.begun.take() {
            self.worker.tables.set(begun.tables.renew());
        }
        if let Ok(left) = u64::try_from(ended.fuel) {
            return Outcome { result: Ok(ended.value), insns: budget.saturating_sub(left) };
        }
        let fault = match stop {
            Some(Stop::Panic(panic)) => resume_unwind(panic),
            stop => self.fault(stop),
        };
        Outcome { result: Err(fault), insns: budget }
    }

    /// The fault of what ended the run.
    #[cold]
    fn fault(&self, stop: Option<Stop>) -> Fault {
        let (program, slot) = (self.compiled.program(), self.worker.notes.at.get() as usize);
        let reason = self.worker.notes.reason.replace(Reason::Budget as u64);
        let kind = match stop {
            Some(Stop::Fault(fault)) => return fault,
            Some(Stop::Kind(kind)) => kind,
            _ => match reason {
                reason if reason == Reason::TooDeep as u64 => FaultKind::TooDeep,
                reason if reason == Reason::Unreachable as u64 => FaultKind::Unreachable,
                reason if reason == Reason::BadIndirectJump as u64 => {
                    FaultKind::BadIndirectJump { target: self.worker.notes.value.get() }
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

impl<'w, 'r: 'w> Run<'w, 'r> {
    fn begun(&mut self) -> &mut Begun<'r> {
        self.begun.get_or_insert_with(|| begin(self.worker, self.compiled.program(), self.args))
    }

    fn take_stop(&mut self) -> Option<Stop> {
        self.begun.as_mut()?.stop.take().map(|stop| *stop)
    }

    /// The memory of the function that makes a call.
    fn local(&self) -> Local<'w> {
        let mut local = Local::new(&self.worker.stack, &self.worker.context);
        local.enter_at(self.worker.notes.frame.get());
        local
    }
}

impl<'w, 'r: 'w> Engine<'r> for Run<'w, 'r> {
    fn tables(&mut self) -> &mut Tables<'r> {
        &mut self.begun().tables
    }

    fn host(&mut self) -> &mut (dyn Host<'r> + '_) {
        self.host
    }

    fn charge(&mut self, work: u64) {
        let fuel = &self.worker.notes.fuel;
        fuel.set(fuel.get().saturating_sub(i64::try_from(work).unwrap_or(i64::MAX)));
    }

    /// If there is none left, the run ends when the callable returns.
    fn goes_on(&self) -> bool {
        self.worker.notes.fuel.get() >= 0
    }

    fn call(&mut self, function: u64, args: [u64; MAX_ARGS]) -> Result<u64, FaultKind> {
        let compiled = self.compiled;
        let slot = handle::number(handle::FUNCTION, function).unwrap_or(u32::MAX) as usize;
        let Some(function) = compiled.callback(slot) else {
            let len = compiled.program().insns.len();
            return Err(FaultKind::BadJump { target: slot as i64, len });
        };
        let notes = &self.worker.notes;
        if !notes.holds(function.height) {
            return Err(FaultKind::TooDeep);
        }
        self.charge(function.cost);
        let (frame, fuel) = (notes.frame.get(), notes.fuel.get());
        if fuel < 0 {
            return Err(FaultKind::Budget { budget: self.budget });
        }
        let ended = compiled.call_back(self, function, frame + FRAME_STRIDE as u64, fuel, args);
        notes.frame.set(frame);
        notes.fuel.set(ended.fuel);
        if ended.fuel >= 0 {
            return Ok(ended.value);
        }
        // The callback's instruction is to be told, not that of the call.
        Err(self.tell())
    }
}

/// What a run needs that makes its first call.
#[cold]
fn begin<'r>(worker: &'r Worker, program: &'r Program, args: &[Arg<'r>]) -> Begun<'r> {
    let mut tables = super::begin(&worker.tables, &worker.keep, program, worker.slot);
    for arg in args {
        tables.admit(arg);
    }
    Begun { tables, stop: None }
}

/// What the register of an argument holds, if it is what a program was proved for.
#[inline(always)]
fn admitted(arg: &Arg<'_>, ty: &ArgType) -> Option<u64> {
    match *ty {
        ArgType::Struct { size, access, .. } => {
            let Arg::Mem(window) = arg else { return None };
            (window.len() >= size && window.allows(access)).then(|| window.addr())
        }
        ArgType::Buffer { .. } => {
            let Arg::Buffer(number) = *arg else { return None };
            Some(handle::of_buffer(number))
        }
        ArgType::Part { at, size, access, .. } => {
            let Arg::Mem(window) = arg else { return None };
            (window.len() >= at + size && window.allows(access)).then(|| window.addr())
        }
        ArgType::Scalar { value, .. } => {
            let Arg::Scalar(number) = *arg else { return None };
            value.is_none_or(|known| known == number).then_some(number)
        }
    }
}

/// Whether all are.
fn fits(given: &Given, args: &[Arg<'_>]) -> bool {
    match given {
        Given::Context(types) => {
            args.len() == types.len() && args.iter().zip(types).all(|(arg, ty)| admitted(arg, ty).is_some())
        }
        Given::Memory(_) => false,
        #[cfg(test)]
        Given::Anything => true,
    }
}

/// Puts arguments in the context. Whether they are what a program was proved for.
#[inline(always)]
fn fill(context: &mut Vec<Cell<u64>>, given: &Given, args: &[Arg<'_>]) -> bool {
    let types = match given {
        Given::Context(types) => types,
        Given::Memory(_) => return false,
        #[cfg(test)]
        Given::Anything => {
            let register = |arg: &Arg<'_>| match *arg {
                Arg::Scalar(value) => value,
                Arg::Mem(window) => window.addr(),
                Arg::Buffer(number) => handle::of_buffer(number),
            };
            *context = args.iter().map(|arg| Cell::new(register(arg))).collect();
            return true;
        }
    };
    if args.len() != types.len() {
        return false;
    }
    if context.len() != args.len() {
        resize(context, args.len());
    }
    for ((cell, arg), ty) in context.iter().zip(args).zip(types) {
        let Some(value) = admitted(arg, ty) else { return false };
        cell.set(value);
    }
    true
}

#[cold]
#[inline(never)]
fn resize(context: &mut Vec<Cell<u64>>, len: usize) {
    context.resize(len, Cell::new(0));
}

/// The fault of a program that is not run, for the first argument it was not proved for.
#[cold]
#[inline(never)]
fn refused(compiled: &Compiled, args: &[Arg<'_>]) -> Outcome {
    let types: &[ArgType] = match compiled.given() {
        Given::Context(types) => types,
        _ => &[],
    };
    let least = args.len().min(types.len());
    let arg = args.iter().zip(types).position(|(arg, ty)| admitted(arg, ty).is_none()).unwrap_or(least);
    let kind = FaultKind::Given { arg: arg + 1 };
    Outcome { result: Err(Fault::at(compiled.program(), 0, kind)), insns: 0 }
}

impl Worker {
    /// As [`Worker::run`], with a compiled program. Of instructions, only those in loops that may be long
    /// take from the budget. The arguments are what the program was proved for, or it is not run
    /// ([`FaultKind::Given`]).
    #[inline]
    pub fn run_compiled<'r>(
        &'r mut self,
        compiled: &'r Compiled,
        args: &[Arg<'r>],
        host: &mut dyn Host<'r>,
        budget: u64,
    ) -> Outcome {
        if !fill(&mut self.context, compiled.given(), args) {
            return refused(compiled, args);
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
            _ => return refused(compiled, &[]),
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
        // What the last run kept goes before this one lends the worker out.
        self.keep.clear();
        let worker: &'r Worker = self;
        let fuel = i64::try_from(budget).unwrap_or(i64::MAX);
        let budget = fuel as u64;
        let frame = worker.stack.as_ptr() as u64 + FRAME_SIZE as u64;
        // Most runs leave nothing to drop; [`Run::finish`] drops what the others do.
        let mut run = ManuallyDrop::new(Run { worker, budget, compiled, args, host, begun: None });
        let ended = compiled.enter(&mut run, frame, fuel, registers[0], registers[1]);
        if ended.fuel >= 0 && run.begun.is_none() {
            return Outcome { result: Ok(ended.value), insns: budget.saturating_sub(ended.fuel as u64) };
        }
        run.finish(ended)
    }
}
