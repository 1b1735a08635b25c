//! The compiler: machine code for programs that were proved.
//!
//! # What it guarantees
//!
//! * [`compile`] takes nothing but a [`Verified`] program. Its code has no checks of its own: that it keeps
//!   to its memory is the verifier's proof. The meaning of each instruction is the interpreter's.
//! * A run ends: jumps back and calls that may take long are charged to a budget.
//! * Code can be written or executed, never both, and stays until its [`Compiled`] is dropped.
//!
//! # What it does not know
//!
//! What helpers and kfuncs do: they are called as the interpreter calls them, but for a few that are only
//! a load or a look into a map.
//!
//! # How calls differ from the interpreter's
//!
//! After a call R1 to R5 hold anything; a proved program does not look at them. The frame of a function is
//! zeroed where the function may read it before it writes it.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use cranelift_codegen::Context;
use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{ExternalName, Function, UserFuncName};
use cranelift_codegen::isa::{OwnedTargetIsa, TargetFrontendConfig};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{FinalizedMachReloc, FinalizedRelocTarget};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

use crate::maps::Map;
use crate::program::Program;
use crate::validate::{self, InsnError};
use crate::verify::{Facts, Given, Verified};

mod alu;
mod calls;
mod code;
mod entry;
mod frame;
mod shape;
#[cfg(test)]
mod tests;
mod translate;

use code::Code;
pub use code::CodeError;
use translate::{Convention, Source};

/// Why a program cannot be compiled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The compiler does not make code for this machine.
    #[error("programs cannot be compiled on this machine: {reason}")]
    Machine {
        /// What is missing.
        reason: String,
    },
    /// The program is not well-formed.
    #[error(transparent)]
    Insn(#[from] InsnError),
    /// An instruction the compiler does not know.
    #[error("instruction {slot} cannot be compiled: opcode {code:#04x}")]
    BadInsn {
        /// Number of the instruction.
        slot: usize,
        /// Its opcode.
        code: u8,
    },
    /// A call of a helper, kfunc or function that does not exist.
    #[error("instruction {slot} calls what does not exist")]
    UnknownCall {
        /// Number of the instruction.
        slot: usize,
    },
    /// A wide load names a map the program does not have.
    #[error("instruction {slot}: there is no map {index}")]
    NoSuchMap {
        /// Number of the instruction.
        slot: usize,
        /// Index into [`Program::maps`].
        index: i32,
    },
    /// A wide load takes the address of a value in a map that has not just one.
    #[error("instruction {slot}: map `{map}` has not a single value to point to")]
    NoSingleValue {
        /// Number of the instruction.
        slot: usize,
        /// Name of the map.
        map: String,
    },
    /// The code generator refuses a function.
    #[error("function `{function}` cannot be compiled: {reason}")]
    Generator {
        /// Name of the function.
        function: String,
        /// What the generator says.
        reason: String,
    },
    /// There is no memory for the code.
    #[error(transparent)]
    Code(#[from] CodeError),
}

/// A compiled program. It keeps the program and its code.
pub struct Compiled {
    program: Arc<Program>,
    given: Given,
    /// What was believed of the program when the code was made.
    facts: Facts,
    code: Arc<Code>,
    /// Where in the code the first function is entered.
    entry: usize,
    functions: Arc<[CompiledFunction]>,
    slots: Arc<[SlotRange]>,
}

/// Where the code of a function is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompiledFunction {
    /// First slot of the function in the program.
    pub slot: usize,
    /// Its code, in [`Compiled::code`].
    pub code: Range<usize>,
    /// Where Rust enters it, in [`Compiled::code`], if it may: for the first function and those whose
    /// address the program takes.
    pub entry: Option<usize>,
    /// How many frames are live at once when it runs, its own included.
    pub height: usize,
    /// What a call costs.
    pub(crate) cost: u64,
}

/// Code that comes from one instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotRange {
    /// The code, in [`Compiled::code`].
    pub code: Range<usize>,
    /// Number of the instruction slot.
    pub slot: usize,
}

impl Compiled {
    /// The program.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// The same code for another proof of the same program. Code is made of the instructions and of what was found
    /// of them; if something else was found this time, there is none.
    pub fn shared(&self, verified: &Verified) -> Option<Compiled> {
        let same = Arc::ptr_eq(&self.program, verified.program()) && self.facts == *verified.facts();
        same.then(|| Compiled {
            program: Arc::clone(&self.program),
            given: verified.given().clone(),
            facts: self.facts.clone(),
            code: Arc::clone(&self.code),
            entry: self.entry,
            functions: Arc::clone(&self.functions),
            slots: Arc::clone(&self.slots),
        })
    }

    /// What the program was proved for, and so may be run with.
    pub(crate) fn given(&self) -> &Given {
        &self.given
    }

    /// The machine code.
    pub fn code(&self) -> &[u8] {
        self.code.bytes()
    }

    /// Address of the code in memory, for profilers and dumps.
    pub fn addr(&self) -> usize {
        self.code.start()
    }

    /// The functions that were compiled, in ascending order of slots.
    pub fn functions(&self) -> &[CompiledFunction] {
        &self.functions
    }

    /// Which code comes from which instruction, in ascending order of code. Code between two ranges is the
    /// compiler's own.
    pub fn slots(&self) -> &[SlotRange] {
        &self.slots
    }

    /// The slot that the code at an offset comes from.
    pub fn slot_at(&self, offset: usize) -> Option<usize> {
        let after = self.slots.partition_point(|range| range.code.start <= offset);
        let range = self.slots.get(after.checked_sub(1)?)?;
        range.code.contains(&offset).then_some(range.slot)
    }
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiled")
            .field("program", &self.program.name)
            .field("code", &self.code)
            .finish_non_exhaustive()
    }
}

/// The code generator for this machine, set up once.
fn isa() -> Result<&'static OwnedTargetIsa, CompileError> {
    static ISA: OnceLock<Result<OwnedTargetIsa, String>> = OnceLock::new();
    let isa = ISA.get_or_init(|| {
        if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
            return Err("only x86-64 is known".into());
        }
        let mut flags = settings::builder();
        let wanted = [
            ("opt_level", "speed"),
            // Maps are shared: two loads of one address may see two values.
            ("enable_alias_analysis", "false"),
            // Compiled functions use no more of the thread's stack than their registers take.
            ("enable_probestack", "false"),
            ("enable_verifier", if cfg!(all(test, debug_assertions)) { "true" } else { "false" }),
        ];
        for (name, value) in wanted {
            flags.set(name, value).map_err(|error| error.to_string())?;
        }
        let isa = cranelift_native::builder()?;
        isa.finish(settings::Flags::new(flags)).map_err(|error| error.to_string())
    });
    isa.as_ref().map_err(|reason| CompileError::Machine { reason: reason.clone() })
}

fn frontend_config() -> Result<TargetFrontendConfig, CompileError> {
    isa().map(|isa| isa.frontend_config())
}

/// Compiles a program.
///
/// # Errors
///
/// The machine is none the compiler knows, there is no memory for code, or the program has an instruction
/// the compiler does not know.
pub fn compile(verified: &Verified) -> Result<Compiled, CompileError> {
    let program = verified.program();
    validate::check_insns(&program.insns, &program.functions)?;
    let isa = isa()?;
    let facts = verified.facts();
    let shapes = shape::of(program, facts)?;
    let source = Source { program, facts, shapes: &shapes };
    let mut linker = Linker { starts: vec![None; shapes.functions.len()], ..Linker::default() };
    let mut generator =
        Generator { isa, context: Context::new(), builders: FunctionBuilderContext::new(), source };
    let mut functions = Vec::new();
    for (index, shape) in shapes.functions.iter().enumerate() {
        if !shape.called && !shape.entered {
            continue;
        }
        let convention = if shape.called { Convention::Inner } else { Convention::Outer };
        let start = generator.function(index, convention, &mut linker)?;
        linker.starts[index] = Some(start);
        let code = start..linker.code.len();
        let entry = match (shape.entered, shape.called) {
            (true, true) => Some(generator.wrapper(index, &mut linker)?),
            (true, false) => Some(start),
            (false, _) => None,
        };
        // Where calls look for frames themselves, how many it will be is not known.
        let height = if shapes.deep { 1 } else { shape.height };
        functions.push(CompiledFunction { slot: shape.slots.start, code, entry, height, cost: shape.cost });
    }
    linker.link()?;
    let entry = functions.first().and_then(|function| function.entry).unwrap_or_default();
    let code = Arc::new(Code::new(&linker.code)?);
    let (given, facts) = (verified.given().clone(), facts.clone());
    let (functions, slots) = (functions.into(), linker.slots.into());
    Ok(Compiled { program: Arc::clone(program), given, facts, code, entry, functions, slots })
}

/// Makes code of functions, one after the other.
struct Generator<'a> {
    isa: &'static OwnedTargetIsa,
    context: Context,
    builders: FunctionBuilderContext,
    source: Source<'a>,
}

impl Generator<'_> {
    fn function(
        &mut self,
        index: usize,
        convention: Convention,
        linker: &mut Linker,
    ) -> Result<usize, CompileError> {
        self.begin(index, convention);
        let builder = FunctionBuilder::new(&mut self.context.func, &mut self.builders);
        translate::function(self.source, index, convention, builder)?;
        self.emit(index, linker)
    }

    fn wrapper(&mut self, index: usize, linker: &mut Linker) -> Result<usize, CompileError> {
        self.begin(index, Convention::Outer);
        let builder = FunctionBuilder::new(&mut self.context.func, &mut self.builders);
        translate::wrapper(self.source, index, builder)?;
        self.emit(index, linker)
    }

    fn begin(&mut self, index: usize, convention: Convention) {
        self.context.clear();
        let signature = translate::signature(&self.source.shapes.functions[index], convention);
        self.context.func = Function::with_name_signature(UserFuncName::user(0, index as u32), signature);
    }

    /// Appends the code of the function in progress. Where it starts.
    fn emit(&mut self, index: usize, linker: &mut Linker) -> Result<usize, CompileError> {
        let refused = |reason: String| CompileError::Generator {
            function: self.source.program.functions[index].name.clone(),
            reason,
        };
        let result = self.context.compile(self.isa.as_ref(), &mut ControlPlane::default());
        result.map_err(|error| refused(format!("{:?}", error.inner)))?;
        let Some(compiled) = self.context.compiled_code() else {
            return Err(refused("no code".into()));
        };
        let start = linker.append(compiled.buffer.data(), self.isa.function_alignment().preferred as usize);
        for reloc in compiled.buffer.relocs() {
            let name = match &reloc.target {
                FinalizedRelocTarget::ExternalName(ExternalName::User(name)) => {
                    self.context.func.params.user_named_funcs().get(*name)
                }
                _ => None,
            };
            let name = name.ok_or_else(|| refused(format!("a reference to {:?}", reloc.target)))?;
            let index = name.index as usize;
            let done = match name.namespace {
                translate::VALUES => linker.place(start, reloc, self.source.program.maps.get(index)),
                _ => linker.refer(start, reloc, index),
            };
            done.map_err(refused)?;
        }
        for range in compiled.buffer.get_srclocs_sorted() {
            if !range.loc.is_default() {
                let code = start + range.start as usize..start + range.end as usize;
                linker.slots.push(SlotRange { code, slot: range.loc.bits() as usize });
            }
        }
        Ok(start)
    }
}

/// Puts functions together.
#[derive(Default)]
struct Linker {
    code: Vec<u8>,
    slots: Vec<SlotRange>,
    /// By function: where it starts.
    starts: Vec<Option<usize>>,
    /// Calls: where the distance is, what is added to it, and the function that is called.
    calls: Vec<(usize, i64, usize)>,
}

impl Linker {
    fn append(&mut self, bytes: &[u8], align: usize) -> usize {
        // `int3`, which is never reached.
        self.code.resize(self.code.len().next_multiple_of(align.max(16)), 0xcc);
        let start = self.code.len();
        self.code.extend_from_slice(bytes);
        start
    }

    fn refer(&mut self, start: usize, reloc: &FinalizedMachReloc, callee: usize) -> Result<(), String> {
        if reloc.kind != Reloc::X86CallPCRel4 {
            return Err(format!("a reference of kind {:?}", reloc.kind));
        }
        self.calls.push((start + reloc.offset as usize, reloc.addend, callee));
        Ok(())
    }

    /// Puts the address of a map's single value where code refers to it.
    fn place(
        &mut self,
        start: usize,
        reloc: &FinalizedMachReloc,
        map: Option<&Arc<Map>>,
    ) -> Result<(), String> {
        let value = map.and_then(|map| map.single_value());
        let at = start + reloc.offset as usize;
        match (reloc.kind, value, self.code.get_mut(at..at + 8)) {
            (Reloc::Abs8, Some(value), Some(place)) => {
                place.copy_from_slice(&value.addr().wrapping_add_signed(reloc.addend).to_le_bytes());
                Ok(())
            }
            _ => Err(format!("a reference of kind {:?}", reloc.kind)),
        }
    }

    fn link(&mut self) -> Result<(), CompileError> {
        for &(at, addend, callee) in &self.calls {
            let distance =
                self.starts[callee].and_then(|start| i32::try_from(start as i64 + addend - at as i64).ok());
            let place = self.code.get_mut(at..at + 4);
            let (Some(distance), Some(place)) = (distance, place) else {
                let reason = "too much code".into();
                return Err(CompileError::Machine { reason });
            };
            place.copy_from_slice(&distance.to_le_bytes());
        }
        Ok(())
    }
}
