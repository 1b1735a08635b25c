//! The object of `bpf/bench`, and its maps.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use fuse_bpf_vm::contract::Contract;
use fuse_bpf_vm::insn::pseudo;
use fuse_bpf_vm::link::{LoadOptions, Module};
use fuse_bpf_vm::maps::{Map, MapKind, UpdateMode};
use fuse_bpf_vm::program::Program;

use crate::kernel::Kernel;

/// Threads that run programs at once.
pub(crate) const THREADS: usize = 2;

/// A file beside the object.
pub(crate) fn file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../../bpf/bench", name].iter().collect()
}

/// The object, with its maps filled.
pub(crate) fn load() -> Module {
    let bytes = std::fs::read(file("engine.bpf.o")).unwrap();
    let module =
        Module::load(&bytes, &Contract::default(), &LoadOptions::default().with_slots(THREADS)).unwrap();
    for map in &module.maps {
        for (key, value) in entries(map) {
            map.update(&key, &value.repeat(map.slots()), UpdateMode::Any).unwrap();
        }
    }
    module
}

/// The program of this name.
pub(crate) fn program<'m>(module: &'m Module, name: &str) -> &'m Arc<Program> {
    module.programs.iter().find(|program| program.name == name).unwrap()
}

/// What is put in a map: the value of a number begins with that number. Not for sections of data.
fn entries(map: &Map) -> Vec<(Vec<u8>, Vec<u8>)> {
    let spec = map.spec();
    let count = match spec.max_entries {
        1 => return Vec::new(),
        64 => 8,
        all => all,
    };
    let number = |number: u32, size: u32| {
        let mut bytes = vec![0; size as usize];
        bytes[..4].copy_from_slice(&number.to_ne_bytes());
        bytes
    };
    let key = |index: u32| match spec.kind {
        MapKind::LpmTrie => [32u32, index].into_iter().flat_map(u32::to_ne_bytes).collect(),
        _ => number(index, spec.key_size),
    };
    (0..count).map(|index| (key(index), number(index, spec.value_size))).collect()
}

/// The kernel's copies of programs and maps.
pub(crate) struct Theirs {
    kernel: Kernel,
    maps: HashMap<u32, OwnedFd>,
}

impl Theirs {
    pub(crate) fn new() -> Theirs {
        Theirs { kernel: Kernel::new(), maps: HashMap::new() }
    }

    /// Loads a program and its maps.
    pub(crate) fn load(&mut self, program: &Program) -> Result<OwnedFd, String> {
        let mut insns = program.insns.clone();
        for insn in insns.iter_mut().filter(|insn| insn.is_wide()) {
            if matches!(insn.src, pseudo::MAP | pseudo::MAP_VALUE) {
                let map = &program.maps[insn.imm as usize];
                insn.imm = self.map(map).map_err(|error| format!("map {}: {error}", map.spec().name))?;
            }
        }
        self.kernel
            .load(&insns)
            .map_err(|error| format!("{error} {}", self.kernel.reason()).trim().to_owned())
    }

    /// The low half of R0, and nanoseconds for one of so many runs.
    pub(crate) fn run(&mut self, program: &OwnedFd, times: u32) -> (u32, u32) {
        self.kernel.run(program, times).unwrap()
    }

    fn map(&mut self, map: &Map) -> io::Result<i32> {
        if let Some(known) = self.maps.get(&map.id()) {
            return Ok(known.as_raw_fd());
        }
        let spec = map.spec();
        let sizes = [spec.key_size, spec.value_size, spec.max_entries];
        let made = self.kernel.map_with_flags(spec.kind as u32, sizes, spec.flags)?;
        let mut all = entries(map);
        if all.is_empty() {
            all.extend(map.lookup(&[0; 4]).map(|value| (vec![0; 4], value)));
        }
        for (key, value) in all {
            let copies = if spec.kind.is_per_cpu() { processors() } else { 1 };
            self.kernel.update(&made, &key, &value.repeat(copies))?;
        }
        let number = made.as_raw_fd();
        self.maps.insert(map.id(), made);
        Ok(number)
    }
}

/// How many values an entry of a per-CPU map has in the kernel.
fn processors() -> usize {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
    let last = text.trim().rsplit(['-', ',']).next().and_then(|last| last.parse::<usize>().ok());
    last.map_or(1, |last| last + 1)
}
