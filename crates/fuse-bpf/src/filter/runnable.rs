//! Proved programs in the form they run in: compiled, or as instructions.

use std::sync::Arc;

use fuse_bpf_vm::host::Host;
use fuse_bpf_vm::interp::{Arg, Outcome, Worker};
use fuse_bpf_vm::jit::{self, CompileError, Compiled};
use fuse_bpf_vm::verify::Verified;

use crate::call::BUDGET;

/// Whether proved programs are compiled to machine code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Jit {
    /// They are interpreted, and each access is checked again.
    Never,
    /// They are compiled where that is possible; where it is not, the log says why.
    #[default]
    Auto,
    /// A filter that cannot be compiled is refused.
    Always,
}

/// How a filter is loaded. A number stands for the default with so many slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadOptions {
    /// How many threads may run its programs at once: the slots of its per-CPU maps.
    pub(super) slots: usize,
    pub(super) jit: Jit,
}

impl LoadOptions {
    /// For so many threads.
    pub fn new(slots: usize) -> LoadOptions {
        LoadOptions { slots, jit: Jit::default() }
    }

    /// Whether to compile.
    pub fn jit(mut self, jit: Jit) -> LoadOptions {
        self.jit = jit;
        self
    }
}

impl From<usize> for LoadOptions {
    fn from(slots: usize) -> LoadOptions {
        LoadOptions::new(slots)
    }
}

/// A program that was proved, ready to run.
#[derive(Debug)]
pub struct Runnable {
    proof: Arc<Verified>,
    code: Option<Arc<Compiled>>,
}

impl Runnable {
    /// Makes a proved program ready.
    ///
    /// # Errors
    ///
    /// With [`Jit::Always`], why it cannot be compiled.
    pub fn new(proof: Arc<Verified>, jit: Jit) -> Result<Runnable, CompileError> {
        let code = match jit {
            Jit::Never => None,
            Jit::Always => Some(Arc::new(jit::compile(&proof)?)),
            Jit::Auto => match jit::compile(&proof) {
                Ok(code) => Some(Arc::new(code)),
                Err(error) => {
                    tracing::warn!("{}: interpreted, not compiled: {error}", proof.program().name);
                    None
                }
            },
        };
        Ok(Runnable { proof, code })
    }

    /// As [`Runnable::new`], with code that was made for another proof of the program if it does. New code is
    /// remembered.
    pub(super) fn sharing(
        proof: Arc<Verified>,
        jit: Jit,
        codes: &mut Vec<Arc<Compiled>>,
    ) -> Result<Runnable, CompileError> {
        if jit != Jit::Never
            && let Some(code) = codes.iter().find_map(|code| code.shared(&proof))
        {
            return Ok(Runnable { proof, code: Some(Arc::new(code)) });
        }
        let runnable = Runnable::new(proof, jit)?;
        codes.extend(runnable.code.clone());
        Ok(runnable)
    }

    /// The program and what was proved of it.
    pub fn proof(&self) -> &Verified {
        &self.proof
    }

    /// What the program always returns, if that is known, and running it would do nothing else: touch nothing but its
    /// arguments, and these only to read.
    pub(super) fn verdict(proof: &Verified) -> Option<u32> {
        let (uses, stats) = (proof.uses(), proof.stats());
        let idle =
            uses.effects.is_empty() && uses.arguments.iter().all(|argument| argument.written.is_empty());
        // A program that might be stopped for its length does not always return.
        let ends = stats.longest.is_some_and(|insns| insns <= BUDGET);
        if idle && ends { proof.returns().map(|value| value as u32) } else { None }
    }

    /// Its machine code, if it was compiled.
    pub fn code(&self) -> Option<&Arc<Compiled>> {
        self.code.as_ref()
    }

    pub(crate) fn run<'r>(
        &'r self,
        worker: &'r mut Worker,
        args: &[Arg<'r>],
        host: &mut dyn Host<'r>,
        budget: u64,
    ) -> Outcome {
        match &self.code {
            Some(code) => worker.run_compiled(code, args, host, budget),
            None => worker.run(self.proof.program(), args, host, budget),
        }
    }
}
