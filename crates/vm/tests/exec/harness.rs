//! A host, and runs of programs.

use std::cell::Cell;

use fuse_bpf_vm::host::{Buffer, Caller, Host};
use fuse_bpf_vm::insn::Insn;
use fuse_bpf_vm::interp::{Arg, FaultKind, Worker};
use fuse_bpf_vm::mem::Window;
use fuse_bpf_vm::program::Program;

/// A buffer over fixed memory.
#[derive(Debug)]
pub(crate) struct TestBuffer<'r> {
    pub(crate) window: Window<'r>,
    pub(crate) writable: bool,
}

impl<'s, 'r: 's> Buffer<'s> for TestBuffer<'r> {
    fn len(&self) -> usize {
        self.window.len()
    }

    fn read(&self) -> Window<'s> {
        self.window.read_only()
    }

    fn write(&mut self, size: usize, _copy: bool) -> Option<Window<'s>> {
        self.window.sub(0, size).filter(|_| self.writable)
    }
}

/// A host with buffers that keeps what is printed.
#[derive(Debug, Default)]
pub(crate) struct TestHost<'r> {
    pub(crate) buffers: Vec<TestBuffer<'r>>,
    pub(crate) printed: Vec<String>,
    pub(crate) node: Option<u64>,
}

/// A run may be shorter than what is lent to it.
impl<'s, 'r: 's> Host<'s> for TestHost<'r> {
    fn buffer(&mut self, index: u32) -> Option<&mut dyn Buffer<'s>> {
        self.buffers.get_mut(index as usize).map(|buffer| buffer as _)
    }

    fn caller(&self) -> Caller {
        Caller { uid: 1000, gid: 100, tid: 43 }
    }

    fn process(&self) -> u32 {
        42
    }

    fn comm(&self) -> [u8; 16] {
        *b"tester\0\0\0\0\0\0\0\0\0\0"
    }

    fn node(&self) -> Option<u64> {
        self.node
    }

    fn print(&mut self, line: &str) {
        self.printed.push(line.into());
    }
}

/// Runs a program with arguments.
pub(crate) fn run<'r>(program: &'r Program, args: &[Arg<'r>]) -> Result<u64, FaultKind> {
    run_on(&mut Worker::new(0), program, args, &mut TestHost::default())
}

/// Runs a program on a worker with a host.
pub(crate) fn run_on<'r>(
    worker: &mut Worker,
    program: &'r Program,
    args: &[Arg<'r>],
    host: &mut TestHost<'r>,
) -> Result<u64, FaultKind> {
    crate::engine(worker, program, args, host).result.map_err(|fault| fault.kind)
}

/// Runs instructions that need nothing.
pub(crate) fn exec(insns: Vec<Insn>) -> Result<u64, FaultKind> {
    run(&crate::build::program(insns), &[])
}

/// Bytes a program may store to.
pub(crate) fn cells(bytes: &[u8]) -> Vec<Cell<u8>> {
    bytes.iter().copied().map(Cell::new).collect()
}
