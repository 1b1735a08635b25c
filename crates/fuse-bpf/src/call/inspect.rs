//! What became of a call, for people: `prog run` prints it.

use std::time::Duration;

use crate::abi::StructDesc;
use crate::filter::Stage;

/// One program that ran in a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Before or after the operation.
    pub stage: Stage,
    /// Name of the program.
    pub program: String,
    /// What it returned, or the fault that stopped it.
    pub value: Result<u32, String>,
    /// Whether its machine code ran.
    pub compiled: bool,
    /// Instructions executed; of machine code, what its loops and calls took from the budget.
    pub insns: u64,
    /// How long that took.
    pub time: Duration,
}

/// The arguments of a call as filters see them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Name in the C prototype and value, in order.
    pub arguments: Vec<(&'static str, Argument)>,
}

/// One argument of a call.
#[derive(Debug, Clone)]
pub enum Argument {
    /// A struct: its layout and its bytes.
    Struct(&'static StructDesc, Vec<u8>),
    /// A buffer.
    Buffer(Vec<u8>),
}

impl PartialEq for Argument {
    fn eq(&self, other: &Argument) -> bool {
        match (self, other) {
            (Argument::Struct(a, x), Argument::Struct(b, y)) => std::ptr::eq(*a, *b) && x == y,
            (Argument::Buffer(x), Argument::Buffer(y)) => x == y,
            _ => false,
        }
    }
}

impl Eq for Argument {}
