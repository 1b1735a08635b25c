//! Proof before use: the programs of an object, before they are a filter.
//!
//! A program is judged for each member it fills, because the member says what it is given. Programs it may go on
//! to by a tail call are given the same and are judged with it. [`Unproved::prove`] is the only way to a
//! [`FilterObject`], so nothing runs that was not proved.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use fuse_bpf_vm::contract::ArgType;
use fuse_bpf_vm::disasm;
use fuse_bpf_vm::link::{LoadOptions, Module};
use fuse_bpf_vm::maps::MapKind;
use fuse_bpf_vm::program::Program;
use fuse_bpf_vm::verify::{Entry, Limits, Rejection, Verified, verify};

use super::{FilterError, FilterObject, FilterSet, NAME_MAX, Registered, contract, kconfig, pick};

/// An object that was loaded and of which nothing is proved yet.
#[derive(Debug)]
pub struct Unproved {
    name: String,
    module: Module,
}

/// A program in the place where it has to be proved.
#[derive(Debug, Clone)]
pub struct Trial {
    /// Its set.
    pub set: String,
    /// The member of the set.
    pub member: String,
    /// What the member's programs are given: type, and name in the C prototype.
    pub arguments: Vec<(ArgType, &'static str)>,
    /// The program.
    pub program: Arc<Program>,
    /// Whether the member's own program may go on to it by a tail call; else it is the member's own.
    pub tail: bool,
}

impl Trial {
    /// Proves the program, or says why it cannot be.
    ///
    /// # Errors
    ///
    /// The first rule that is broken on some path.
    pub fn judge(&self) -> Result<Verified, Box<Rejection>> {
        let args: Vec<ArgType> = self.arguments.iter().map(|(arg, _)| arg.clone()).collect();
        verify(&self.program, Entry::Context(&args), Limits::default())
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
    pub fn load_file(path: &Path, slots: usize) -> Result<Unproved, FilterError> {
        let bytes =
            std::fs::read(path).map_err(|source| FilterError::Read { path: path.to_owned(), source })?;
        Unproved::load(&path.display().to_string(), &bytes, slots)
    }

    /// Loads an object from memory; see [`FilterObject::load`].
    ///
    /// # Errors
    ///
    /// As [`FilterObject::load`], but for programs that are refused.
    pub fn load(name: &str, bytes: &[u8], slots: usize) -> Result<Unproved, FilterError> {
        let object = || name.to_owned();
        let mut options = LoadOptions::default();
        options.slots = slots;
        options.kconfig = kconfig();
        let module = Module::load(bytes, &contract::contract(), &options)
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
        Ok(Unproved { name: object(), module })
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
        let members: HashMap<String, _> = contract::members().into_iter().collect();
        let mut trials = Vec::new();
        for set in &self.module.sets {
            for (member, program) in &set.members {
                // The loader refuses members that the contract does not have.
                let Some(arguments) = members.get(member) else { continue };
                for (index, program) in reachable(program).into_iter().enumerate() {
                    trials.push(Trial {
                        set: set.name.clone(),
                        member: member.clone(),
                        arguments: arguments.clone(),
                        program,
                        tail: index > 0,
                    });
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
        // Members with the same arguments can share a program, and then its proof.
        let mut proofs: Vec<(Trial, Arc<Verified>)> = Vec::new();
        let mut own: HashMap<String, BTreeMap<String, Arc<Verified>>> = HashMap::new();
        for trial in self.trials() {
            let same = |known: &&(Trial, _)| {
                let types =
                    |trial: &Trial| trial.arguments.iter().map(|(ty, _)| ty.clone()).collect::<Vec<_>>();
                Arc::ptr_eq(&known.0.program, &trial.program) && types(&known.0) == types(&trial)
            };
            let proof = match proofs.iter().find(same) {
                Some((_, proof)) => Arc::clone(proof),
                None => Arc::new(trial.judge().map_err(|rejection| FilterError::Rejected {
                    object: self.name.clone(),
                    set: trial.set.clone(),
                    member: trial.member.clone(),
                    rejection,
                })?),
            };
            if !trial.tail {
                own.entry(trial.set.clone()).or_default().insert(trial.member.clone(), Arc::clone(&proof));
            }
            proofs.push((trial, proof));
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

/// A program, then every other it may go on to by tail calls.
fn reachable(program: &Arc<Program>) -> Vec<Arc<Program>> {
    let mut found = vec![Arc::clone(program)];
    let mut waiting = VecDeque::from([Arc::clone(program)]);
    while let Some(program) = waiting.pop_front() {
        for map in program.maps.iter().filter(|map| map.spec().kind == MapKind::ProgArray) {
            for next in (0..map.spec().max_entries).filter_map(|index| map.program(index)) {
                if !found.iter().any(|known| Arc::ptr_eq(known, &next)) {
                    found.push(Arc::clone(&next));
                    waiting.push_back(next);
                }
            }
        }
    }
    found
}
