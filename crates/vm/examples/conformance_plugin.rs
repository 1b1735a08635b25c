//! A plugin for suites that check the instruction set one program at a time.
//!
//! Reads a program as hexadecimal bytes from standard input and memory as hexadecimal bytes from its
//! first argument, which may be empty or missing. Runs the program with the memory's address in R1
//! and its length in R2, and prints R0 in hexadecimal. Other arguments are ignored. If the program
//! cannot be read or does something wrong, says so on standard error and exits with 1.

use std::cell::Cell;
use std::error::Error;
use std::io::{Read, Write};
use std::process::ExitCode;

use fuse_bpf_vm::host::Nobody;
use fuse_bpf_vm::insn::Insn;
use fuse_bpf_vm::interp::{DEFAULT_BUDGET, Worker};
use fuse_bpf_vm::mem::Window;
use fuse_bpf_vm::program::{Function, Program};

fn hex(text: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let digits: Vec<u32> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).ok_or_else(|| format!("`{c}` is not a hexadecimal digit")))
        .collect::<Result<_, _>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err("half a byte at the end of the input".into());
    }
    Ok(pairs.iter().map(|[high, low]| (high * 16 + low) as u8).collect())
}

fn run() -> Result<u64, Box<dyn Error>> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let bytes = hex(&text)?;
    let (slots, rest) = bytes.as_chunks::<{ Insn::SIZE }>();
    if !rest.is_empty() {
        return Err("half an instruction at the end of the program".into());
    }
    let program = Program {
        name: "main".into(),
        section: String::new(),
        sleepable: false,
        insns: slots.iter().copied().map(Insn::decode).collect(),
        maps: Vec::new(),
        kfuncs: Vec::new(),
        functions: vec![Function { start: 0, name: "main".into(), ..Function::default() }],
        ..Program::default()
    };
    let memory = hex(&std::env::args().nth(1).unwrap_or_default())?;
    let memory: Vec<Cell<u8>> = memory.into_iter().map(Cell::new).collect();
    let mut worker = Worker::new(0);
    let outcome = worker.run_raw(&program, Window::from_cells(&memory), &mut Nobody, DEFAULT_BUDGET);
    Ok(outcome.result?)
}

fn main() -> ExitCode {
    let printed = match run() {
        Ok(value) => writeln!(std::io::stdout(), "{value:x}").map_err(Into::into),
        Err(error) => Err(error),
    };
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // With standard error gone there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}
