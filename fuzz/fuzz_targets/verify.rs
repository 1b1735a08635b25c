//! The verifier judges any instructions without a panic and in bounded time, and what it accepts does nothing wrong in the
//! interpreter, which checks every access for itself.
#![no_main]

use std::cell::Cell;
use std::sync::Arc;

use fuse_bpf_vm::host::Nobody;
use fuse_bpf_vm::insn::Insn;
use fuse_bpf_vm::interp::{FaultKind, Worker};
use fuse_bpf_vm::maps::{Map, MapKind, MapSpec};
use fuse_bpf_vm::mem::Window;
use fuse_bpf_vm::program::{Function, Program};
use fuse_bpf_vm::validate;
use fuse_bpf_vm::verify::{Entry, Limits, verify};
use libfuzzer_sys::fuzz_target;

/// Bytes of memory programs are given.
const MEMORY: usize = 64;

fuzz_target!(|bytes: &[u8]| {
    let insns: Vec<Insn> = bytes.as_chunks().0.iter().take(256).map(|slot| Insn::decode(*slot)).collect();
    let functions = vec![Function { start: 0, name: "fuzz".into(), ..Function::default() }];
    if validate::check_insns(&insns, &functions).is_err() {
        return;
    }
    // References are to the maps there are, as the loader sees to.
    let maps: Vec<_> = [(MapKind::Array, 4, 48, 1), (MapKind::Hash, 4, 16, 8), (MapKind::RingBuf, 0, 0, 4096)]
        .into_iter()
        .map(|(kind, key, value, entries)| Map::new(MapSpec::new("map", kind, key, value, entries), 1).expect("a map"))
        .collect();
    let refers = insns.iter().filter(|insn| insn.is_wide() && insn.src != 0);
    if refers.clone().any(|insn| insn.imm as usize >= maps.len() || (insn.src == 2 && insn.imm != 0)) {
        return;
    }
    let program = Arc::new(Program { name: "fuzz".into(), insns, maps, functions, ..Program::default() });
    let mut limits = Limits::default();
    limits.insns = 20_000;
    if verify(&program, Entry::Memory { size: MEMORY as u32 }, limits).is_err() {
        return;
    }
    let mut worker = Worker::new(0);
    for seed in [0u64, u64::MAX, 0x0123_4567_89ab_cdef] {
        let cells: Vec<Cell<u64>> = (0..MEMORY as u64 / 8).map(|i| Cell::new(seed.rotate_left(i as u32 * 7))).collect();
        let outcome = worker.run_raw(&program, Window::from_words(&cells), &mut Nobody, 100_000);
        if let Err(fault) = outcome.result {
            assert!(matches!(fault.kind, FaultKind::Budget { .. }), "accepted, and yet: {fault}");
        }
    }
});
