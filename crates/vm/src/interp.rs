//! The interpreter: the reference meaning of the instruction set.
//!
//! # What a run guarantees
//!
//! * Every load, store and atomic lies in memory the program was given: its stack, its context and
//!   arguments, values of its maps, records it reserved, slices of dynptrs. Arithmetic on addresses is
//!   free, only accesses are checked.
//! * It ends: each instruction and the work of each call takes from a budget.
//! * What a program does wrong ends the run with a [`Fault`] that names the rule; nothing panics.
//!
//! # What it does not know
//!
//! FUSE, files, how programs are loaded, and whether they were verified: a program that was gets the
//! same checks.
//!
//! # Registers
//!
//! On entry R1 points to the context, a read-only array of one `u64` for each argument, and R10 past
//! the end of the frame, 512 zeroed bytes. After every call R1 to R5 hold [`CLOBBERED`] plus their
//! number, which is the address of nothing. Registers never set are 0.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher, RandomState};

use crate::host::Host;
use crate::mem::Window;
use crate::program::Program;

mod alu;
mod call;
#[cfg(feature = "jit")]
pub(crate) mod compiled;
mod dynptr;
mod fault;
mod keep;
mod machine;
mod memory;
mod watch;

pub use call::Call;
pub use dynptr::{Dynptr, MAX_DYNPTR_SIZE};
pub use fault::{ArgFault, Fault, FaultKind};

use keep::Keep;
use machine::Machine;
#[cfg(feature = "jit")]
pub(crate) use memory::handle;
use memory::{Local, Tables};
#[doc(hidden)]
pub use watch::{Moment, Observer};
use watch::{Unwatched, Watch};

/// A budget for programs with loops over names and directory pages: the number of instructions the
/// kernel's verifier walks at most. About 10 ms.
pub const DEFAULT_BUDGET: u64 = 1_000_000;

/// Most functions that are active at once, the entry included (`MAX_CALL_FRAMES` of the kernel).
pub const MAX_FRAMES: usize = 8;

/// Bytes of stack a function has (`MAX_BPF_STACK`).
pub const FRAME_SIZE: usize = 512;

/// What R1 to R5 hold after a call, plus the number of the register.
pub const CLOBBERED: u64 = 0xfb0c_0000_0000_0000;

/// Distance between frames. What lies between is in no frame, so that a function that leaves its own
/// does not reach another.
const FRAME_STRIDE: usize = 2 * FRAME_SIZE;

/// One argument of a program.
#[derive(Debug, Clone, Copy)]
pub enum Arg<'r> {
    /// A number.
    Scalar(u64),
    /// A pointer to memory.
    Mem(Window<'r>),
    /// A handle of an opaque buffer: [`Host::buffer`] understands the number.
    Buffer(u32),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// R0 at the end, or why the program was stopped.
    pub result: Result<u64, Fault>,
    /// How much of the budget was used: instructions, and one for each 64 bytes of memory a call was
    /// given. Of compiled instructions only those in loops count.
    pub insns: u64,
}

/// What a thread needs to run programs: a stack and tables, reused from run to run. It stays on the
/// thread that made it.
// In this order: compiled code is shorter where what it notes and reads comes first.
#[repr(C)]
pub struct Worker {
    #[cfg(feature = "jit")]
    pub(crate) notes: compiled::Notes,
    pub(crate) slot: usize,
    stack: Box<[Cell<u64>]>,
    context: Vec<Cell<u64>>,
    /// Empty while a run has them.
    tables: Cell<Tables<'static>>,
    keep: Keep,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("slot", &self.slot).finish_non_exhaustive()
    }
}

impl Worker {
    /// A worker for one thread. `slot` is the thread's number, from 0: which value of a per-CPU map
    /// it uses, and what programs get as their processor's number. Threads that run programs at once and
    /// have the same, or one past the slots a map was made with, share a value: their programs' plain
    /// additions may then get lost.
    pub fn new(slot: usize) -> Worker {
        let stack: Box<[_]> = (0..MAX_FRAMES * FRAME_STRIDE / 8).map(|_| Cell::new(0)).collect();
        Worker {
            slot,
            #[cfg(feature = "jit")]
            notes: compiled::Notes::new(&stack),
            stack,
            context: Vec::new(),
            tables: Cell::new(Tables::new(RandomState::new().build_hasher().finish())),
            keep: Keep::new(),
        }
    }

    /// The thread's number.
    pub fn slot(&self) -> usize {
        self.slot
    }

    /// Runs a program with `args` as its context until it exits, does something wrong or has used
    /// `budget`.
    ///
    /// Ring-buffer records the program reserved and did not submit are discarded at the end, and a spin
    /// lock it holds is released. Maps and programs it found in maps are kept until the next run.
    pub fn run<'r>(
        &'r mut self,
        program: &'r Program,
        args: &[Arg<'r>],
        host: &mut dyn Host<'r>,
        budget: u64,
    ) -> Outcome {
        self.go(program, Given::Arguments(args), host, budget, Unwatched)
    }

    /// As [`Worker::run`], showing `observer` each instruction: for tests.
    #[doc(hidden)]
    pub fn run_observed<'r>(
        &'r mut self,
        program: &'r Program,
        args: &[Arg<'r>],
        host: &mut dyn Host<'r>,
        budget: u64,
        observer: &mut dyn Observer,
    ) -> Outcome {
        self.go(program, Given::Arguments(args), host, budget, observer)
    }

    /// Runs a program that takes plain memory instead of arguments: R1 is its address and R2 its
    /// length, as conformance suites call programs.
    pub fn run_raw<'r>(
        &'r mut self,
        program: &'r Program,
        memory: Window<'r>,
        host: &mut dyn Host<'r>,
        budget: u64,
    ) -> Outcome {
        self.go(program, Given::Memory(memory), host, budget, Unwatched)
    }

    /// As [`Worker::run_raw`], showing `observer` each instruction: for tests.
    #[doc(hidden)]
    pub fn run_raw_observed<'r>(
        &'r mut self,
        program: &'r Program,
        memory: Window<'r>,
        host: &mut dyn Host<'r>,
        budget: u64,
        observer: &mut dyn Observer,
    ) -> Outcome {
        self.go(program, Given::Memory(memory), host, budget, observer)
    }

    fn go<'r, W: Watch>(
        &'r mut self,
        program: &'r Program,
        given: Given<'_, 'r>,
        host: &mut dyn Host<'r>,
        budget: u64,
        watch: W,
    ) -> Outcome {
        self.keep.clear();
        let Worker { slot, stack, context, tables: spare, keep, .. } = self;
        let mut tables = begin(spare, keep, program, *slot);
        context.clear();
        let memory = match given {
            Given::Arguments(args) => {
                context.extend(args.iter().map(|arg| Cell::new(tables.admit(arg))));
                None
            }
            Given::Memory(memory) => Some([tables.admit(&Arg::Mem(memory)), memory.len() as u64]),
        };
        let local = Local::new(stack, context);
        let registers = memory.unwrap_or([local.context.addr(), 0]);
        let mut machine = Machine::new(program, local, &mut tables, host, (*slot, budget), watch);
        let outcome = machine.run(registers);
        spare.set(tables.renew());
        outcome
    }
}

/// What a program is run on.
enum Given<'a, 'r> {
    /// A context of these arguments.
    Arguments(&'a [Arg<'r>]),
    /// Plain memory, and no context.
    Memory(Window<'r>),
}

/// The tables of a run that starts.
fn begin<'r>(spare: &Cell<Tables<'static>>, keep: &'r Keep, program: &'r Program, slot: usize) -> Tables<'r> {
    let mut tables: Tables<'r> = spare.take();
    tables.start(keep, program, slot);
    tables
}
