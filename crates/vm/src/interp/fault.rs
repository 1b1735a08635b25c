//! Why programs are stopped.

use std::fmt;

use crate::program::{Missing, Program, SourceLine};

/// Why a program was stopped: one variant for each rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultKind {
    /// A load outside all memory of the program.
    #[error("load of {size} bytes at {addr:#x} is outside the program's memory")]
    Load {
        /// Address.
        addr: u64,
        /// Bytes.
        size: usize,
    },
    /// A store or atomic outside all memory of the program.
    #[error("store of {size} bytes at {addr:#x} is outside the program's memory")]
    Store {
        /// Address.
        addr: u64,
        /// Bytes.
        size: usize,
    },
    /// A store or atomic to memory lent for loads only.
    #[error("store of {size} bytes at {addr:#x}, which is read-only")]
    ReadOnly {
        /// Address.
        addr: u64,
        /// Bytes.
        size: usize,
    },
    /// A load or store through a null pointer or a small offset from one.
    #[error("access through a null pointer, offset {addr}")]
    Null {
        /// Address, below 4096.
        addr: u64,
    },
    /// A load or store through the handle of an opaque buffer.
    #[error("direct access to an opaque buffer is disallowed; use a dynptr")]
    OpaqueBuffer,
    /// A load or store through a map pointer.
    #[error("direct access to a map is disallowed; look an entry up")]
    MapHandle,
    /// A load or store through the address of a function.
    #[error("direct access to a function is disallowed")]
    FunctionHandle,
    /// A load or store through R1 to R5 as a call left them.
    #[error("access through R{register}, which a call clobbered")]
    Clobbered {
        /// The register.
        register: u8,
    },
    /// An atomic whose address is not a multiple of its size.
    #[error("atomic of {size} bytes at {addr:#x}, which is not aligned")]
    Unaligned {
        /// Address.
        addr: u64,
        /// Bytes.
        size: usize,
    },
    /// An instruction that does not exist, or has a reserved field set.
    #[error("invalid instruction: opcode {code:#04x}, dst {dst}, src {src}, off {off}, imm {imm}")]
    BadInsn {
        /// Opcode.
        code: u8,
        /// Destination field.
        dst: u8,
        /// Source field.
        src: u8,
        /// Offset field.
        off: i16,
        /// Immediate field.
        imm: i32,
    },
    /// A call through a register.
    #[error("indirect calls are not supported")]
    IndirectCall,
    /// An instruction that sets the frame pointer.
    #[error("frame pointer is read only")]
    FramePointer,
    /// The program goes on outside its instructions.
    #[error("jump out of range: to instruction {target} of {len}")]
    BadJump {
        /// Number of the instruction that is not there.
        target: i64,
        /// How many there are.
        len: usize,
    },
    /// An indirect jump to what is in no jump table of its function.
    #[error("indirect jump to {target:#x}, which is in no jump table of the function")]
    BadIndirectJump {
        /// What the register holds.
        target: u64,
    },
    /// Too many functions are active at once.
    #[error("the call stack of {} frames is too deep", super::MAX_FRAMES + 1)]
    TooDeep,
    /// Compiled code came to an instruction that the verifier had proved not to be reached. Not the
    /// program's fault.
    #[error("an instruction that cannot be reached was reached")]
    Unreachable,
    /// The budget is used up.
    #[error("the program used up its budget of {budget} instructions")]
    Budget {
        /// The budget of the run.
        budget: u64,
    },
    /// A wide load names a map the program does not have.
    #[error("there is no map {index}")]
    NoSuchMap {
        /// Index into [`Program::maps`].
        index: i32,
    },
    /// A wide load takes the address of a value in a map that has not just one.
    #[error("map `{map}` has not a single value to point to")]
    NoSingleValue {
        /// Name of the map.
        map: String,
    },
    /// A call of a helper that does not exist here.
    #[error("unknown helper {id}")]
    UnknownHelper {
        /// Number of the helper.
        id: i32,
    },
    /// An instruction that needs something that does not exist here.
    #[error("{0}")]
    Missing(Missing),
    /// A call of a kfunc the program was not linked with.
    #[error("there is no kfunc {index}")]
    UnknownKfunc {
        /// Index into [`Program::kfuncs`].
        index: i32,
    },
    /// An argument of a helper or kfunc is not what it must be.
    #[error("{callable}: argument {arg} {reason}")]
    BadArgument {
        /// Name of the helper or kfunc.
        callable: &'static str,
        /// Number of the argument, from 1: the register.
        arg: u8,
        /// What is wrong with it.
        reason: ArgFault,
    },
    /// A helper or kfunc asks for an argument its declaration does not have. Not the program's fault.
    #[error("{callable}: argument {arg} is not declared as it is used")]
    Declaration {
        /// Name of the helper or kfunc.
        callable: &'static str,
        /// Number of the argument, from 1.
        arg: u8,
    },
    /// A compiled program was to be run with an argument it was not proved for, or with too many or too few.
    /// Not the program's fault.
    #[error("argument {arg} of the run is not what the program was proved for")]
    Given {
        /// Number of the argument, from 1.
        arg: usize,
    },
    /// A call of something that may not be called while the run holds a spin lock.
    #[error("function calls are not allowed while holding a lock")]
    Locked,
    /// A call of a function that takes a spin lock while the run holds one.
    #[error("locking two bpf_spin_locks are not allowed")]
    SecondLock,
    /// A run found more maps in other maps than can be tracked.
    #[error("more than {limit} maps found in other maps in one run")]
    TooManyMaps {
        /// The limit.
        limit: usize,
    },
    /// A run holds more slices than can be tracked.
    #[error("more than {limit} slices in one run")]
    TooManySlices {
        /// The limit.
        limit: usize,
    },
}

/// What is wrong with an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArgFault {
    /// Not the address of a map.
    #[error("is not a map")]
    NotMap,
    /// A map of a kind the helper does not work on.
    #[error("is a map of the wrong kind")]
    WrongMap,
    /// Null where it must not be.
    #[error("is null")]
    Null,
    /// Memory that does not lie in the program's.
    #[error("is not {size} bytes of the program's memory: {addr:#x}")]
    OutOfBounds {
        /// Address.
        addr: u64,
        /// Bytes needed.
        size: u64,
    },
    /// Memory that is written and must not be.
    #[error("is read-only memory")]
    ReadOnly,
    /// The stack, the context or a ring-buffer record, where memory is needed that stays until the
    /// run ends.
    #[error("is memory that can go away during the run")]
    Passing,
    /// Memory without a NUL in its first 64 KiB or before its end.
    #[error("is not a NUL-terminated string")]
    NotString,
    /// Not 16 aligned bytes of the stack.
    #[error("is not 16 bytes of stack, 8-byte aligned")]
    NotStack,
    /// Not a dynptr made in this run and still in its place.
    #[error("is not an initialized dynptr")]
    NotDynptr,
    /// Not a buffer among the arguments of the program.
    #[error("is not a buffer of this call")]
    NotBuffer,
    /// Not a record that is reserved.
    #[error("is not a reserved record")]
    NotRecord,
    /// Not a dynptr of a record that is reserved.
    #[error("is not a dynptr of a reserved record")]
    NotRecordDynptr,
    /// Not a function of the program.
    #[error("is not a function")]
    NotFunction,
    /// Not the stack, and not null.
    #[error("is neither stack nor null")]
    NotStackOrNull,
    /// Not 8 aligned bytes of the stack.
    #[error("is not 8 bytes of stack, 8-byte aligned")]
    NotIterator,
    /// Not the `struct bpf_spin_lock` of a map value.
    #[error("is not the bpf_spin_lock of a map value")]
    NotLock,
    /// Not the lock that the run holds.
    #[error("is not the lock that is held")]
    NotHeld,
    /// Not the context the program was given.
    #[error("is not the program's context")]
    NotContext,
}

/// A program that was stopped: where and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Name of the program.
    pub program: String,
    /// Number of the instruction slot in the linked program.
    pub slot: usize,
    /// Name of the function the slot lies in; empty if not known.
    pub function: String,
    /// The rule that was broken.
    pub kind: FaultKind,
    /// The line of C, if the object has line information.
    pub line: Option<SourceLine>,
}

impl Fault {
    /// A fault at an instruction of a program.
    pub(crate) fn at(program: &Program, slot: usize, kind: FaultKind) -> Fault {
        Fault {
            program: program.name.clone(),
            slot,
            function: program.function(slot).map(|function| function.name.clone()).unwrap_or_default(),
            kind,
            line: program.line(slot).cloned(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "program `{}`, instruction {}", self.program, self.slot)?;
        if !self.function.is_empty() && self.function != self.program {
            write!(f, " in `{}`", self.function)?;
        }
        write!(f, ": {}", self.kind)?;
        if let Some(line) = &self.line {
            write!(f, " ({line})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_one_line_that_says_where_and_why() {
        let mut fault = Fault {
            program: "redact".into(),
            slot: 7,
            function: "redact".into(),
            kind: FaultKind::Load { addr: 0x1000, size: 4 },
            line: None,
        };
        assert_eq!(
            fault.to_string(),
            "program `redact`, instruction 7: load of 4 bytes at 0x1000 is outside the program's memory"
        );
        fault.function = "strip".into();
        fault.kind = FaultKind::BadArgument { callable: "bpf_strncmp", arg: 3, reason: ArgFault::NotString };
        fault.line = Some(SourceLine {
            file: "r.c".into(),
            line: 3,
            column: 9,
            text: "  if (bpf_strncmp(a, 4, b))".into(),
        });
        assert_eq!(
            fault.to_string(),
            "program `redact`, instruction 7 in `strip`: bpf_strncmp: argument 3 is not a NUL-terminated string \
             (r.c:3:9: if (bpf_strncmp(a, 4, b)))"
        );
    }
}
