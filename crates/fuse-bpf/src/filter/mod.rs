//! Filters: program sets, the chains they form, and how a call is run through one.
//!
//! [`proof`] lets in, [`runnable`] is what runs, [`flow`] decides, [`buffer`] holds the variable-length arguments, [`entry`] reads what is attached to entries,
//! [`contract`] tells the machine what
//! `struct fuse_ops` is, [`types`] where its fields are, [`trace`] carries what filters print. Nothing here does I/O on the backing
//! directory. No program runs that was not proved for its place.

pub mod buffer;
pub mod contract;
pub mod entry;
pub mod family;
pub mod flow;
pub mod header;
pub mod machines;
pub mod proof;
pub mod runnable;
pub mod trace;
pub mod types;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fuse_bpf_vm::jit::CompileError;
use fuse_bpf_vm::link::{Kconfig, LoadError, Module, OpsSet};

pub use contract::Stage;
use family::{FAMILIES, FUSE_FILTER, Family};
pub use fuse_bpf_vm::contract::ArgType;
pub use fuse_bpf_vm::jit::Compiled;
pub use fuse_bpf_vm::program::SourceLine;
pub use fuse_bpf_vm::verify::{Branch, LogLevel, Rejection, Rule, Verified};
pub use proof::{Trial, Unproved};
pub use runnable::{Jit, LoadOptions, Runnable};

use crate::abi::verdict;
use crate::ops::{self, FILTERS, Filter, Op};

/// Longest name of a program set (series: `BPF_FUSE_NAME_MAX` with its NUL).
pub const NAME_MAX: usize = 14;

/// Why a filter cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// The file cannot be read.
    #[error("{}: cannot read the filter", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The object cannot be loaded.
    #[error("{object}: not a usable filter")]
    Load {
        /// The object.
        object: String,
        /// Why.
        #[source]
        source: Box<LoadError>,
    },
    /// A program cannot be proved safe where a set has it.
    #[error("{object}:{set}: {member} is refused: {rejection}")]
    Rejected {
        /// The object.
        object: String,
        /// The set.
        set: String,
        /// The member.
        member: String,
        /// The rule, the instruction and its C line.
        rejection: Box<Rejection>,
    },
    /// A program cannot be compiled, and [`Jit::Always`] asks for it.
    #[error("{object}: `{program}` cannot be compiled; without the compiler it can be interpreted")]
    Compile {
        /// The object.
        object: String,
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: Box<CompileError>,
    },
    /// The object has no program set.
    #[error(
        "{object}: no `struct fuse_filter` or `struct fuse_ops` variable in `.struct_ops` or `.struct_ops.link`"
    )]
    Empty {
        /// The object.
        object: String,
    },
    /// The object has several sets and none was named.
    #[error("{object}: has {} program sets, name one: {}", sets.len(), sets.iter().map(|s| format!("{object}:{s}")).collect::<Vec<_>>().join(", "))]
    Ambiguous {
        /// The object.
        object: String,
        /// Their names.
        sets: Vec<String>,
    },
    /// The object has no set of that name.
    #[error("{object}: no program set `{set}`; it has: {}", sets.join(", "))]
    Unknown {
        /// The object.
        object: String,
        /// What was asked for.
        set: String,
        /// What there is.
        sets: Vec<String>,
    },
    /// The set's name breaks the rules of registration.
    #[error("{object}: program set name `{name}` must be 1 to {NAME_MAX} letters, digits, `_` or `.`")]
    Name {
        /// The object.
        object: String,
        /// The name.
        name: String,
    },
    /// Two sets of one object have the same name.
    #[error("{object}: two program sets are called `{name}`")]
    Duplicate {
        /// The object.
        object: String,
        /// The name.
        name: String,
    },
    /// Another set is registered under the name.
    #[error("a program set called `{name}` is registered already; give one of them another `.name`")]
    Registered {
        /// The name.
        name: String,
    },
    /// More sets than a chain holds.
    #[error("a chain holds at most {} program sets", flow::MAX_SETS)]
    TooMany,
}

/// A loaded filter object: its maps and its program sets.
#[derive(Debug)]
pub struct FilterObject {
    name: String,
    module: Arc<Module>,
    sets: Vec<FilterSet>,
}

/// One `struct fuse_filter` or `struct fuse_ops`: the programs that filter the operations of an inode. A handle; clones are the
/// same set.
#[derive(Debug, Clone)]
pub struct FilterSet {
    /// All sets of its object.
    object: Arc<Vec<Registered>>,
    index: usize,
}

/// What is behind a [`FilterSet`].
#[derive(Debug)]
struct Registered {
    name: String,
    module: Arc<Module>,
    /// Whether it is a `struct fuse_filter`.
    families: bool,
    /// How many members are set.
    members: usize,
    /// Prefilter and postfilter of each row of [`FILTERS`].
    programs: Vec<[Option<Placed>; 2]>,
    /// By opcode: what is asked where a member is missing. Of a `struct fuse_ops` it is the same everywhere.
    defaults: Vec<[Option<Placed>; 2]>,
    faults: AtomicU64,
}

/// A program where it is asked.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) program: Arc<Runnable>,
    /// What it always says there, if that is known and asking does nothing else.
    pub(crate) verdict: Option<u32>,
}

impl FilterObject {
    /// Loads an object file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is malformed, asks for what this machine does not offer, or has a program
    /// that cannot be proved.
    pub fn load_file(path: &Path, options: impl Into<LoadOptions>) -> Result<FilterObject, FilterError> {
        Unproved::load_file(path, options)?.prove()
    }

    /// Loads an object from memory; `name` is what errors call it.
    ///
    /// # Errors
    ///
    /// When the object is malformed, asks for what this machine does not offer, or has a program that cannot be
    /// proved.
    pub fn load(
        name: &str,
        bytes: &[u8],
        options: impl Into<LoadOptions>,
    ) -> Result<FilterObject, FilterError> {
        Unproved::load(name, bytes, options)?.prove()
    }

    /// The program set of this name, or the only one.
    ///
    /// # Errors
    ///
    /// When there is no such set, or none was named and there are several.
    pub fn set(&self, name: Option<&str>) -> Result<FilterSet, FilterError> {
        let names: Vec<&str> = self.sets.iter().map(FilterSet::name).collect();
        let index = pick(&self.name, &names, name)?;
        Ok(self.sets[index].clone())
    }

    /// All program sets, in the order of the object.
    pub fn sets(&self) -> &[FilterSet] {
        &self.sets
    }

    /// What the machine loaded: programs and maps.
    pub fn module(&self) -> &Arc<Module> {
        &self.module
    }
}

/// Which of an object's sets is meant: the one of this name, or the only one.
fn pick(object: &str, sets: &[&str], name: Option<&str>) -> Result<usize, FilterError> {
    let names = || sets.iter().map(|&set| set.to_owned()).collect();
    match (name, sets) {
        (None, [_]) => Ok(0),
        (None, _) => Err(FilterError::Ambiguous { object: object.to_owned(), sets: names() }),
        (Some(name), sets) => sets.iter().position(|set| *set == name).ok_or_else(|| FilterError::Unknown {
            object: object.to_owned(),
            set: name.to_owned(),
            sets: names(),
        }),
    }
}

/// What `.kconfig` variables of filters hold: the version of the running kernel, and nothing else. Filters
/// that ask for a kernel's configuration do so for a kernel they do not run in.
fn kconfig() -> Kconfig {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    // 6.18.44-distribution.
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or_default());
    let mut next = || numbers.next().unwrap_or_default();
    let (major, minor, patch) = (next(), next(), next());
    Kconfig::new().with_version(major, minor, patch)
}

impl Registered {
    /// `programs` has the set's by place: the member, and in a `struct fuse_filter` operation and stage.
    fn new(set: &OpsSet, programs: &BTreeMap<String, Placed>, module: &Arc<Module>) -> Registered {
        let families = set.type_name == FUSE_FILTER;
        let placed = |place: &str| programs.get(place).cloned();
        let member = |filter: &Filter, stage: Stage| match Family::of(filter) {
            Some(family) if families => {
                placed(&family::place(family.member, ops::by_opcode(filter.opcode)?, stage))
            }
            _ => placed(&format!("{}{}", filter.member, stage.suffix())),
        };
        let default = |op: &'static Op, stage| match families {
            true => placed(&family::place(contract::DEFAULT_FILTER, op, stage)),
            false => placed(contract::DEFAULT_FILTER),
        };
        let mut defaults = vec![[None, None]; usize::from(u8::MAX)];
        for op in family::operations() {
            if let Some(both) = defaults.get_mut(op.opcode as usize) {
                *both = [default(op, Stage::Pre), default(op, Stage::Post)];
            }
        }
        Registered {
            name: set.name.clone(),
            module: Arc::clone(module),
            families,
            members: set.members.len(),
            programs: FILTERS.iter().map(|f| [member(f, Stage::Pre), member(f, Stage::Post)]).collect(),
            defaults,
            faults: AtomicU64::new(0),
        }
    }
}

impl FilterSet {
    fn get(&self) -> &Registered {
        &self.object[self.index]
    }

    /// The set of this name in the same object: what a lookup postfilter may attach to an entry.
    pub fn sibling(&self, name: &str) -> Option<FilterSet> {
        let index = self.object.iter().position(|set| set.name == name)?;
        Some(FilterSet { object: Arc::clone(&self.object), index })
    }

    /// Whether both are sets of one loaded object, and share its maps.
    pub fn is_beside(&self, other: &FilterSet) -> bool {
        Arc::ptr_eq(&self.object, &other.object)
    }

    /// Its registration name.
    pub fn name(&self) -> &str {
        &self.get().name
    }

    /// The module its programs and maps belong to.
    pub fn module(&self) -> &Arc<Module> {
        &self.get().module
    }

    /// The program for one operation and stage, if the set has it.
    pub fn program(&self, filter: &Filter, stage: Stage) -> Option<&Arc<Runnable>> {
        self.placed(filter, stage).map(|placed| &placed.program)
    }

    /// What a `struct fuse_filter` says of one operation in one stage, where that is known without running anything.
    pub fn verdict(&self, filter: &Filter, stage: Stage) -> Option<u32> {
        self.placed(filter, stage)?.verdict
    }

    pub(crate) fn placed(&self, filter: &Filter, stage: Stage) -> Option<&Placed> {
        self.get().programs.get(row(filter)?)?[stage as usize].as_ref()
    }

    /// The program asked where a member is missing.
    pub(crate) fn default_filter(&self, op: &Op, stage: Stage) -> Option<&Placed> {
        self.get().defaults.get(family::opcode(op) as usize)?[stage as usize].as_ref()
    }

    /// Whether it is a `struct fuse_filter`, whose programs are for families of operations.
    pub fn has_families(&self) -> bool {
        self.get().families
    }

    /// How many members are set, and how many there are.
    pub fn members(&self) -> (usize, usize) {
        let all = if self.has_families() { FAMILIES.len() } else { 2 * FILTERS.len() };
        (self.get().members, all + 1)
    }

    /// How often a program of the set was stopped for a fault.
    pub fn faults(&self) -> u64 {
        self.get().faults.load(Ordering::Relaxed)
    }

    pub(crate) fn count_fault(&self) {
        self.get().faults.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the set's postfilter of an operation looks at a buffer.
    fn looks_at_buffers(&self, filter: &Filter) -> bool {
        self.placed(filter, Stage::Post).is_some_and(|placed| {
            let uses = placed.program.proof().uses();
            !uses.buffers_read.is_empty() || !uses.buffers_written.is_empty()
        })
    }

    /// Whether the set has something to say of an operation.
    fn asks(&self, filter: Option<&'static Filter>) -> bool {
        let says = |placed: &Placed| placed.verdict != Some(verdict::CONTINUE);
        let Some(filter) = filter else {
            let mut others = family::operations().filter(|op| op.filter.is_none());
            return others.any(|op| self.default_filter(op, Stage::Pre).is_some_and(says));
        };
        let default = || {
            let op = ops::by_opcode(filter.opcode);
            op.and_then(|op| self.default_filter(op, Stage::Pre)).is_some_and(says)
        };
        match self.placed(filter, Stage::Pre) {
            Some(placed) => says(placed),
            // Afterwards nobody is asked who was not before.
            None => default() || !self.has_families() && self.placed(filter, Stage::Post).is_some(),
        }
    }
}

/// Program sets by name: what a daemon, or a set of another object, may attach to an entry (spec section 6).
#[derive(Debug, Default, Clone)]
pub struct Registry {
    sets: BTreeMap<String, FilterSet>,
}

impl Registry {
    /// Registers a set under its name. The same set twice is once.
    ///
    /// # Errors
    ///
    /// [`FilterError::Registered`] when another set has the name.
    pub fn register(&mut self, set: &FilterSet) -> Result<(), FilterError> {
        match self.sets.get(set.name()) {
            Some(known) if known != set => Err(FilterError::Registered { name: set.name().to_owned() }),
            _ => {
                self.sets.insert(set.name().to_owned(), set.clone());
                Ok(())
            }
        }
    }

    /// Takes a name back. Inodes that have the set keep it.
    pub fn unregister(&mut self, name: &str) -> Option<FilterSet> {
        self.sets.remove(name)
    }

    /// The set of this name.
    pub fn get(&self, name: &str) -> Option<FilterSet> {
        self.sets.get(name).cloned()
    }
}

impl PartialEq for FilterSet {
    fn eq(&self, other: &FilterSet) -> bool {
        Arc::ptr_eq(&self.object, &other.object) && self.index == other.index
    }
}

impl Eq for FilterSet {}

/// The number of a row of [`FILTERS`].
fn row(filter: &Filter) -> Option<usize> {
    FILTERS.iter().position(|known| std::ptr::eq(*known, filter))
}

/// The program sets of an inode, outermost first.
#[derive(Debug, Default)]
pub struct Chain {
    sets: Vec<FilterSet>,
    /// For each row of [`FILTERS`], whether any set has something to say; last, whether any has a
    /// `default_filter`.
    asked: Vec<bool>,
    /// The same for postfilters that look at a buffer.
    looked_at: Vec<bool>,
}

impl Chain {
    /// A chain of these sets.
    ///
    /// # Errors
    ///
    /// [`FilterError::TooMany`].
    pub fn new(sets: Vec<FilterSet>) -> Result<Chain, FilterError> {
        if sets.len() > flow::MAX_SETS {
            return Err(FilterError::TooMany);
        }
        let mut asked: Vec<bool> = FILTERS.iter().map(|f| sets.iter().any(|s| s.asks(Some(f)))).collect();
        asked.push(sets.iter().any(|s| s.asks(None)));
        let looked_at = FILTERS.iter().map(|f| sets.iter().any(|s| s.looks_at_buffers(f))).collect();
        Ok(Chain { sets, asked, looked_at })
    }

    /// The sets, outermost first.
    pub fn sets(&self) -> &[FilterSet] {
        &self.sets
    }

    /// Whether any set has something to say of this operation; `None` stands for an operation without
    /// members, which only a `default_filter` sees.
    pub fn asks(&self, filter: Option<&'static Filter>) -> bool {
        let row = match filter {
            Some(filter) => row(filter),
            None => Some(FILTERS.len()),
        };
        row.and_then(|row| self.asked.get(row)).copied().unwrap_or(false)
    }

    /// Whether any postfilter of this operation looks at a buffer: where none does, data is not put into one.
    pub fn sees_data(&self, filter: &'static Filter) -> bool {
        row(filter).and_then(|row| self.looked_at.get(row)).copied().unwrap_or(false)
    }
}
