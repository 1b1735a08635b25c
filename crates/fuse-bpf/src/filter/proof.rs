//! Proof before use: the programs of an object, before they are a filter.
//!
//! A program is judged for each member it fills, because the member says what it is given. Programs it may go on
//! to by a tail call are given the same and are judged with it. [`Unproved::prove`] is the only way to a
//! [`FilterObject`], so nothing runs that was not proved.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use fuse_bpf_vm::contract::ArgType;
use fuse_bpf_vm::disasm;
use fuse_bpf_vm::jit::Compiled;
use fuse_bpf_vm::link::{self, Module};
use fuse_bpf_vm::maps::{Map, MapKind};
use fuse_bpf_vm::program::Program;
use fuse_bpf_vm::verify::{self, Limits, LogLevel, Rejection, Verified};

use super::{
    FilterError, FilterObject, FilterSet, Jit, LoadOptions, NAME_MAX, Placed, Registered, Runnable, contract,
    family, kconfig, pick,
};

/// An object that was loaded and of which nothing is proved yet.
#[derive(Debug)]
pub struct Unproved {
    name: String,
    module: Module,
    options: LoadOptions,
}

/// A program in the place where it has to be proved.
#[derive(Debug, Clone)]
pub struct Trial {
    /// Its set.
    pub set: String,
    /// The member of the set. Of `struct fuse_filter`, whose members are proved for each operation of their families,
    /// with the operation and the stage: `names/unlink_prefilter`.
    pub member: String,
    /// What the member's programs are given: type, and name in the C prototype.
    pub arguments: Arc<[(ArgType, &'static str)]>,
    /// The program.
    pub program: Arc<Program>,
    /// Whether the member's own program may go on to it by a tail call; else it is the member's own.
    pub tail: bool,
    /// The same for members that give the same types, and only for these.
    class: usize,
}

impl Trial {
    /// Proves the program, or says why it cannot be.
    ///
    /// # Errors
    ///
    /// The first rule that is broken on some path.
    pub fn judge(&self) -> Result<Verified, Box<Rejection>> {
        verify::verify(&self.program, verify::Entry::Context(&self.types()), Limits::default())
    }

    /// As [`Trial::judge`], with a log of it in the form of the kernel's, written while it goes on.
    ///
    /// # Errors
    ///
    /// When the log cannot be written. The verdict is in the result.
    pub fn judge_logged(
        &self,
        level: LogLevel,
        sink: &mut dyn io::Write,
    ) -> io::Result<Result<Verified, Box<Rejection>>> {
        let args = self.types();
        verify::verify_logged(&self.program, verify::Entry::Context(&args), Limits::default(), level, sink)
    }

    /// Whether its member is one of `struct fuse_filter`.
    fn is_of_family(&self) -> bool {
        self.member.contains('/')
    }

    fn types(&self) -> Vec<ArgType> {
        self.arguments.iter().map(|(arg, _)| arg.clone()).collect()
    }

    /// The program's instructions as text, by slot.
    pub fn instructions(&self) -> Vec<(usize, String)> {
        let mut instructions = Vec::new();
        let mut slot = 0;
        while let Some((text, used)) = self.program.insns.get(slot..).and_then(disasm::first_line) {
            instructions.push((slot, text));
            slot += used;
        }
        instructions
    }
}

impl Unproved {
    /// Loads an object file.
    ///
    /// # Errors
    ///
    /// As [`FilterObject::load_file`], but for programs that are refused.
    pub fn load_file(path: &Path, options: impl Into<LoadOptions>) -> Result<Unproved, FilterError> {
        let bytes =
            std::fs::read(path).map_err(|source| FilterError::Read { path: path.to_owned(), source })?;
        Unproved::load(&path.display().to_string(), &bytes, options)
    }

    /// Loads an object from memory; see [`FilterObject::load`].
    ///
    /// # Errors
    ///
    /// As [`FilterObject::load`], but for programs that are refused.
    pub fn load(name: &str, bytes: &[u8], options: impl Into<LoadOptions>) -> Result<Unproved, FilterError> {
        let object = || name.to_owned();
        let options = options.into();
        let mut link = link::LoadOptions::default();
        link.slots = options.slots;
        link.kconfig = kconfig();
        let module = Module::load(bytes, &contract::contract(), &link)
            .map_err(|source| FilterError::Load { object: object(), source: Box::new(source) })?;
        for (index, set) in module.sets.iter().enumerate() {
            let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
            if set.name.is_empty() || set.name.len() > NAME_MAX || !set.name.chars().all(legal) {
                return Err(FilterError::Name { object: object(), name: set.name.clone() });
            }
            if module.sets[..index].iter().any(|s| s.name == set.name) {
                return Err(FilterError::Duplicate { object: object(), name: set.name.clone() });
            }
        }
        if module.sets.is_empty() {
            return Err(FilterError::Empty { object: object() });
        }
        Ok(Unproved { name: object(), module, options })
    }

    /// What errors call the object.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the program set of this name, or of the only one.
    ///
    /// # Errors
    ///
    /// As [`FilterObject::set`].
    pub fn set(&self, name: Option<&str>) -> Result<&str, FilterError> {
        let names: Vec<&str> = self.module.sets.iter().map(|set| set.name.as_str()).collect();
        pick(&self.name, &names, name).map(|index| names[index])
    }

    /// Everything that has to be proved: for each member of each set its program, then those it may go on to.
    pub fn trials(&self) -> Vec<Trial> {
        let mut tails: HashMap<*const Program, Vec<Arc<Program>>> = HashMap::new();
        let mut trials = Vec::new();
        for set in &self.module.sets {
            for (member, program) in &set.members {
                let programs = tails.entry(Arc::as_ptr(program)).or_insert_with(|| reachable(program));
                for Place { name, class, arguments } in places(&set.type_name, member) {
                    for (index, program) in programs.iter().enumerate() {
                        trials.push(Trial {
                            set: set.name.clone(),
                            member: name.clone(),
                            arguments: Arc::clone(arguments),
                            program: Arc::clone(program),
                            tail: index > 0,
                            class: *class,
                        });
                    }
                }
            }
        }
        trials
    }

    /// Proves every program of every set: a postfilter may attach any set of the object.
    ///
    /// # Errors
    ///
    /// [`FilterError::Rejected`] for the first that cannot be proved.
    pub fn prove(self) -> Result<FilterObject, FilterError> {
        // Members that give the same can share a program, and then its proof and its code.
        let mut proofs: HashMap<(*const Program, usize), Arc<Verified>> = HashMap::new();
        let mut ready: HashMap<*const Verified, Arc<Runnable>> = HashMap::new();
        // Other proofs of a program can share its code, too.
        let mut codes: HashMap<*const Program, Vec<Arc<Compiled>>> = HashMap::new();
        let mut own: HashMap<String, BTreeMap<String, Placed>> = HashMap::new();
        for trial in self.trials() {
            let proof = match proofs.entry((Arc::as_ptr(&trial.program), trial.class)) {
                Entry::Occupied(known) => Arc::clone(known.get()),
                Entry::Vacant(unknown) => {
                    let proof = trial.judge().map_err(|rejection| FilterError::Rejected {
                        object: self.name.clone(),
                        set: trial.set.clone(),
                        member: trial.member.clone(),
                        rejection,
                    })?;
                    Arc::clone(unknown.insert(Arc::new(proof)))
                }
            };
            // Of `struct fuse_ops` every program that is there is run.
            let verdict = if trial.is_of_family() && !trial.tail { Runnable::verdict(&proof) } else { None };
            let runnable = match ready.entry(Arc::as_ptr(&proof)) {
                Entry::Occupied(known) => Arc::clone(known.get()),
                Entry::Vacant(unknown) => {
                    // What is known without running it is run for people only.
                    let jit = if verdict.is_some() { Jit::Never } else { self.options.jit };
                    let codes = codes.entry(Arc::as_ptr(&trial.program)).or_default();
                    let runnable = Runnable::sharing(proof, jit, codes);
                    let runnable = runnable.map_err(|error| FilterError::Compile {
                        object: self.name.clone(),
                        program: trial.program.name.clone(),
                        source: Box::new(error),
                    })?;
                    Arc::clone(unknown.insert(Arc::new(runnable)))
                }
            };
            if trial.tail {
                // Compiled programs go on with its code where it was proved for the same, as here.
                runnable.code().into_iter().for_each(|code| put(&self.module, code));
            } else {
                own.entry(trial.set).or_default().insert(trial.member, Placed { program: runnable, verdict });
            }
        }
        let module = Arc::new(self.module);
        let sets: Vec<Registered> = module
            .sets
            .iter()
            .map(|set| Registered::new(set, &own.remove(&set.name).unwrap_or_default(), &module))
            .collect();
        let sets = Arc::new(sets);
        let sets = (0..sets.len()).map(|index| FilterSet { object: Arc::clone(&sets), index }).collect();
        Ok(FilterObject { name: self.name, module, sets })
    }
}

/// Where a program of a member may be asked.
#[derive(Debug)]
struct Place {
    name: String,
    /// The same for places that give the same types, and only for these.
    class: usize,
    arguments: Arc<[(ArgType, &'static str)]>,
}

/// The places of a member of a struct_ops type. The loader refuses members that the contract does not have.
fn places(type_name: &str, member: &str) -> &'static [Place] {
    type Places = HashMap<(&'static str, String), Vec<Place>>;
    static ALL: LazyLock<Places> = LazyLock::new(|| {
        let mut classes: Vec<Arc<[(ArgType, &'static str)]>> = Vec::new();
        let mut place = |(name, arguments): family::Place| {
            let same = |known: &Arc<[(ArgType, &'static str)]>| {
                known.len() == arguments.len()
                    && known.iter().zip(&arguments).all(|((known, _), (ty, _))| known == ty)
            };
            let class = classes.iter().position(same).unwrap_or(classes.len());
            let arguments: Arc<[_]> = arguments.into();
            if class == classes.len() {
                classes.push(Arc::clone(&arguments));
            }
            Place { name, class, arguments }
        };
        let mut all: Places = contract::members()
            .into_iter()
            .map(|(name, arguments)| ((contract::FUSE_OPS, name.clone()), vec![place((name, arguments))]))
            .collect();
        let families = family::FAMILIES.iter().map(|family| family.member);
        for member in std::iter::once(contract::DEFAULT_FILTER).chain(families) {
            let places = family::places(member).into_iter().map(&mut place).collect();
            all.insert((family::FUSE_FILTER, member.to_owned()), places);
        }
        all
    });
    ALL.iter().find(|((of, name), _)| *of == type_name && name == member).map_or(&[], |(_, places)| places)
}

/// The entries of a program array.
fn entries(map: &Map) -> Vec<(u32, Arc<Program>)> {
    if map.spec().kind != MapKind::ProgArray {
        return Vec::new();
    }
    let indices = map.keys().into_iter().filter_map(|key| key.try_into().ok().map(u32::from_ne_bytes));
    indices.filter_map(|index| Some((index, map.program(index)?))).collect()
}

/// Puts code where its program is in program arrays.
fn put(module: &Module, code: &Arc<Compiled>) {
    for map in &module.maps {
        for (index, program) in entries(map) {
            if Arc::ptr_eq(&program, code.program()) {
                let done = map.set_compiled(index, Arc::clone(code));
                debug_assert!(done.is_ok(), "the entry is there");
            }
        }
    }
}

/// A program, then every other it may go on to by tail calls.
fn reachable(program: &Arc<Program>) -> Vec<Arc<Program>> {
    let mut seen = HashSet::from([Arc::as_ptr(program)]);
    let mut found = vec![Arc::clone(program)];
    let mut next = 0;
    while let Some(program) = found.get(next).cloned() {
        next += 1;
        for (_, other) in program.maps.iter().flat_map(|map| entries(map)) {
            if seen.insert(Arc::as_ptr(&other)) {
                found.push(other);
            }
        }
    }
    found
}
