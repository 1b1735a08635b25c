//! Why a program is refused.

use crate::program::{Missing, SourceLine};

/// A rule a program breaks. The messages are in the words of the Linux verifier where it has the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rule {
    /// A register without a value.
    #[error("R{register} !read_ok")]
    Unset {
        /// The register.
        register: u8,
    },
    /// Arithmetic that makes no address of an address.
    #[error("R{register} pointer arithmetic with {what} prohibited")]
    Arithmetic {
        /// The register.
        register: u8,
        /// What was tried.
        what: &'static str,
    },
    /// Arithmetic on what may be null.
    #[error("R{register} pointer arithmetic on {kind}_or_null prohibited, null-check it first")]
    NullArithmetic {
        /// The register.
        register: u8,
        /// The kind of pointer.
        kind: &'static str,
    },
    /// An offset that is not bounded.
    #[error("math between {kind} pointer and register with unbounded min value is not allowed")]
    Unbounded {
        /// The kind of pointer.
        kind: &'static str,
    },
    /// An access through what is no address.
    #[error("R{register} invalid mem access '{what}'")]
    NotMemory {
        /// The register.
        register: u8,
        /// What it holds.
        what: String,
    },
    /// An access outside of an object.
    #[error("invalid access to {kind}, size={size} off={low}{} len={len}", if .low == .high { String::new() } else { format!("..{high}") })]
    Bounds {
        /// The kind of object.
        kind: &'static str,
        /// Its size in bytes.
        size: u64,
        /// Least offset of the access.
        low: i64,
        /// Greatest offset of the access.
        high: i64,
        /// Bytes accessed.
        len: u64,
    },
    /// An access to what of a struct is not there.
    #[error("invalid access to {name}, off={low}{} len={len}: of it there is {} here", if .low == .high { String::new() } else { format!("..{high}") }, if *.size == 0 { "nothing".to_owned() } else { format!("off={at} size={size}") })]
    Part {
        /// The struct.
        name: &'static str,
        /// Offset of the first byte that is there.
        at: usize,
        /// How many there are.
        size: u64,
        /// Least offset of the access.
        low: i64,
        /// Greatest offset of the access.
        high: i64,
        /// Bytes accessed.
        len: u64,
    },
    /// A write to what may only be read.
    #[error("write into {what} is not allowed: it is read-only")]
    ReadOnly {
        /// What it is.
        what: String,
    },
    /// An access to an opaque object.
    #[error("direct access to {name} is disallowed")]
    Opaque {
        /// Its C type.
        name: &'static str,
    },
    /// A load from the context that is not one of an argument.
    #[error("invalid bpf_context access off={off} size={size}")]
    Context {
        /// Offset in bytes.
        off: i64,
        /// Size in bytes.
        size: usize,
    },
    /// A pointer stored where others can read it.
    #[error("R{register} leaks addr into {to}")]
    Leak {
        /// The register.
        register: u8,
        /// Where it would go.
        to: &'static str,
    },
    /// Part of a pointer on the stack.
    #[error("corrupted spill memory: part of a pointer at off {off}")]
    PartOfPointer {
        /// Offset in the frame.
        off: i64,
    },
    /// An access to a dynptr or iterator on the stack that is not through its functions.
    #[error("stack at off {off} holds {what}, which only its functions may touch")]
    Special {
        /// Offset in the frame.
        off: i64,
        /// What is there.
        what: &'static str,
    },
    /// An atomic operation on what it cannot be done on, or unaligned.
    #[error("BPF_ATOMIC on R{register}: {reason}")]
    Atomic {
        /// The register.
        register: u8,
        /// Why not.
        reason: &'static str,
    },
    /// An argument of a call that does not fit.
    #[error("arg#{} of {callable}: R{register} {reason}", register - 1)]
    Argument {
        /// What is called.
        callable: &'static str,
        /// The register.
        register: u8,
        /// What does not fit.
        reason: String,
    },
    /// A call of a helper that does not exist here.
    #[error("unknown func {id}")]
    UnknownHelper {
        /// Its number.
        id: i32,
    },
    /// A call that may sleep from a program that may not.
    #[error("program must be sleepable to call sleepable {callable}: put it into a section struct_ops.s/")]
    Sleeps {
        /// What is called.
        callable: &'static str,
    },
    /// What was acquired is not given back at the end.
    #[error("Unreleased reference: {what} is still held at the end")]
    Unreleased {
        /// What it is.
        what: &'static str,
    },
    /// Something done while a lock is held.
    #[error("{what} is not allowed while holding a bpf_spin_lock")]
    Locked {
        /// What was tried.
        what: &'static str,
    },
    /// A lock that is given back and is not held, or another one.
    #[error("bpf_spin_unlock without the bpf_spin_lock of the same value")]
    NotLocked,
    /// A dynptr of a record that would be lost.
    #[error("cannot overwrite referenced dynptr")]
    DynptrLost,
    /// The address of a frame that ends.
    #[error("cannot {what}: the frame it points into ends")]
    Dangling {
        /// What was tried.
        what: &'static str,
    },
    /// A result outside of what is allowed.
    #[error("At {at} the register R0 should have been in [{min}, {max}]")]
    Return {
        /// Where.
        at: &'static str,
        /// Least allowed.
        min: i64,
        /// Greatest allowed.
        max: i64,
    },
    /// A loop that comes back to where it was.
    #[error("infinite loop detected")]
    InfiniteLoop,
    /// Too many functions active at once.
    #[error("the call stack of {limit} frames is too deep")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// An instruction that needs what does not exist here.
    #[error("{0}")]
    Missing(Missing),
    /// A jump to an address that is in no table.
    #[error("R{register} of an indirect jump is not an address from a jump table")]
    JumpTable {
        /// The register.
        register: u8,
    },
    /// More paths than are looked at.
    #[error("BPF program is too large. Processed {processed} insn")]
    TooComplex {
        /// Instructions looked at.
        processed: u64,
    },
    /// An instruction that cannot be judged.
    #[error("unknown opcode {code:#04x}")]
    Instruction {
        /// Its opcode.
        code: u8,
    },
}

/// A branch that was taken on the way to a rejection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// Slot of the jump.
    pub slot: usize,
    /// Whether it jumped.
    pub taken: bool,
    /// Its source.
    pub line: Option<SourceLine>,
}

/// A program that was refused: the rule, where, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{program}: insn {slot}: {rule}{}", line.as_ref().map_or(String::new(), |line| format!(" ({line})")))]
pub struct Rejection {
    /// Name of the program.
    pub program: String,
    /// Slot of the instruction.
    pub slot: usize,
    /// The instruction as text.
    pub insn: String,
    /// The rule.
    pub rule: Rule,
    /// Its source, if the object has line information.
    pub line: Option<SourceLine>,
    /// The branches on the way there, first to last.
    pub path: Vec<Branch>,
    /// Instructions looked at until then.
    pub processed: u64,
}
