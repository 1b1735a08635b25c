//! The verifier: proves that a program keeps to what it was given.
//!
//! [`verify`] is the only way to a [`Verified`], and the compiler accepts nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::contract::Effects;
use crate::program::Program;

/// A program that was proved.
#[derive(Debug, Clone)]
pub struct Verified {
    program: Arc<Program>,
    facts: Facts,
    effects: Effects,
}

impl Verified {
    /// The program.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// What was found of its instructions.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What its result depends on and what it changes.
    pub fn effects(&self) -> Effects {
        self.effects
    }
}

/// For tests of the engines: a program as if it had been proved, and what is to be believed of it.
#[cfg(all(test, feature = "jit"))]
pub(crate) fn unproved(program: Arc<Program>, facts: Facts) -> Verified {
    Verified { program, facts, effects: Effects::empty() }
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
