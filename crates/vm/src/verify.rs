//! The verifier: proves that a program keeps to what it was given.
//!
//! [`verify`] is the only way to a [`Verified`], and the compiler accepts nothing else.
//!
//! # What is proved
//!
//! On every path that can be taken, with any arguments, map contents and results of calls:
//!
//! * every load, store and atomic lies in an object the program was given, and is one it allows;
//! * every call is given what it declares ([`crate::contract::ArgKind`]); what is acquired is given back;
//! * no address is returned, or stored where others can read it;
//! * the path ends, or goes through loops that cost fuel each time round ([`Facts::fuel`]).
//!
//! # How
//!
//! As the Linux verifier does: all paths are walked with what is known of each register and slot of the stack
//! ([`state`](self), `scalar`). Where paths meet, a state that was seen before and knew no more makes the new one
//! superfluous (`compare`); numbers count in this only if they mattered behind that point, which a graph of where
//! numbers come from tells, and registers and slots of the stack only while they can still be read (`flow`). Loops are
//! walked round by round; those that are ended by something else (iterators, callbacks, `may_goto`) are walked until a
//! round brings nothing new.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::contract::ArgType;
use crate::program::Program;

mod call;
mod compare;
mod effects;
mod facts;
mod flow;
mod globals;
mod join;
mod log;
mod marks;
mod memory;
mod num;
mod print;
mod reject;
mod returns;
mod scalar;
mod stale;
mod state;
mod step;
mod tnum;
#[doc(hidden)]
pub mod trace;
mod walk;
mod watch;

pub use effects::{ArgumentUse, Uses};
pub use log::{LogLevel, verify_logged};
pub use reject::{Branch, Rejection, Rule};

/// Ids start after this one.
const REGION_NONE: u32 = 0;
/// Longest dynptr.
const MOST_DYNPTR: usize = crate::interp::MAX_DYNPTR_SIZE;

/// How a program is entered.
#[derive(Debug, Clone, Copy)]
pub enum Entry<'a> {
    /// R1 is the context: an array of one `u64` for each argument.
    Context(&'a [ArgType]),
    /// R1 is the address of so many writable bytes and R2 their number, as conformance suites call programs.
    Memory {
        /// Length in bytes.
        size: u32,
    },
}

/// How much work a verification may be.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Limits {
    /// Instructions looked at, all paths together (Linux: 1,000,000).
    pub insns: u64,
    /// Branches not yet followed (Linux: 8,192).
    pub branches: usize,
    /// About how many bytes of states are remembered, to be compared with. When there are more, the oldest are
    /// forgotten, which can only make for more instructions to look at.
    pub memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { insns: 1_000_000, branches: 8192, memory: 16 << 20 }
    }
}

/// What a program was proved for: an [`Entry`] that is kept.
#[derive(Debug, Clone)]
pub(crate) enum Given {
    /// Arguments of these types.
    Context(Box<[ArgType]>),
    /// So many bytes.
    Memory(u32),
    /// For tests of the engines: whatever it is run with.
    #[cfg(all(test, feature = "jit"))]
    Anything,
}

impl Given {
    fn new(entry: Entry<'_>) -> Given {
        match entry {
            Entry::Context(types) => Given::Context(types.into()),
            Entry::Memory { size } => Given::Memory(size),
        }
    }
}

/// A program that was proved, and for what.
#[derive(Debug, Clone)]
pub struct Verified {
    program: Arc<Program>,
    given: Given,
    facts: Facts,
    uses: Uses,
    stats: Stats,
}

impl Verified {
    /// The program.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// What it was proved for.
    #[cfg(feature = "jit")]
    pub(crate) fn given(&self) -> &Given {
        &self.given
    }

    /// What was found of its instructions.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What its result depends on and what it changes.
    pub fn uses(&self) -> &Uses {
        &self.uses
    }

    /// How the verification went.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }
}

/// For tests of the engines: a program as if it had been proved, and what is to be believed of it.
#[cfg(all(test, feature = "jit"))]
pub(crate) fn unproved(program: Arc<Program>, given: Given, facts: Facts) -> Verified {
    Verified { program, given, facts, uses: Uses::default(), stats: Stats::default() }
}

/// What holds of single instructions on every path, for the compiler.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Whether a slot can be reached. What cannot be need not be compiled.
    pub reached: Vec<bool>,
    /// By the slot of a call: the index of the only map it is ever given.
    pub maps: BTreeMap<usize, u32>,
    /// Slots of jumps backwards whose loops were not walked to their end: each time round costs fuel.
    pub fuel: Vec<usize>,
}

/// How a verification went, and what it found of the program as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Instructions looked at, all paths together.
    pub processed: u64,
    /// States remembered.
    pub states: usize,
    /// Instructions of the longest path; `None` if it goes through loops that only fuel bounds.
    pub longest: Option<u64>,
    /// Most functions active at once, the entry included.
    pub frames: usize,
}

/// Proves a program, or says why it cannot be. Read-only maps of the program stay as they are from then on.
/// [`verify_logged`] also tells how it went about it.
///
/// # Errors
///
/// The first rule that is broken on some path, and how it is reached.
pub fn verify(program: &Arc<Program>, entry: Entry<'_>, limits: Limits) -> Result<Verified, Box<Rejection>> {
    program.maps.iter().for_each(|map| map.freeze());
    let mut walker = walk::Walker::new(program, entry, limits);
    match walker.walk() {
        Ok(longest) => Ok(verified(walker, longest, None)),
        Err(rejection) => retried(program, entry, limits, rejection),
    }
}

/// What is too much work when all calls are walked may be proved function by function.
fn retried(
    program: &Arc<Program>,
    entry: Entry<'_>,
    limits: Limits,
    rejection: Box<Rejection>,
) -> Result<Verified, Box<Rejection>> {
    let again = matches!(rejection.rule, Rule::TooComplex { .. });
    let by_signature = again.then(|| globals::verify(program, entry, limits)).flatten();
    // How it was refused first says more than that it is not to be proved by signatures either.
    by_signature.and_then(Result::ok).ok_or(rejection)
}

/// What a walk to the end found; or several, of functions by themselves, the last of which is that of the entry.
fn verified(
    mut walker: walk::Walker<'_>,
    longest: Option<u64>,
    all: Option<globals::WalkTotals>,
) -> Verified {
    let found = all.unwrap_or_else(|| globals::WalkTotals::of(&mut walker));
    let fuel = if found.joined { walker.flow.backward.clone() } else { Vec::new() };
    let stats = Stats {
        processed: found.processed,
        states: found.states,
        longest: longest.filter(|_| !found.joined),
        frames: walker.deepest.max(1),
    };
    let maps = found.calls.iter().filter_map(|(&slot, &map)| map.map(|map| (slot, map))).collect();
    let facts = Facts { reached: found.reached, maps, fuel };
    Verified {
        program: Arc::clone(walker.program),
        given: Given::new(walker.start),
        facts,
        uses: found.uses,
        stats,
    }
}
