//! Parsing, walking and writing arbitrary type information never panics and ends, and so does resolving CO-RE
//! relocations against it.
#![no_main]

use std::sync::Arc;

use fuse_bpf_vm::btf::{Btf, BtfExt};
use fuse_bpf_vm::contract::Contract;
use fuse_bpf_vm::link::{LoadOptions, Module};
use libfuzzer_sys::fuzz_target;

/// An object that asks for everything a relocation can.
const KINDS: &[u8] = include_bytes!("../../crates/vm/tests/fixtures/core-kinds.bpf.o");

fuzz_target!(|bytes: &[u8]| {
    let _ = BtfExt::parse(bytes);
    let Ok(btf) = Btf::parse(bytes) else { return };
    for id in (0..btf.len().min(256)).filter_map(|id| u32::try_from(id).ok()) {
        btf.name(id);
        btf.members(id);
        let _ = btf.size_of(id);
        let text = btf.render(id, bytes.get(..256).unwrap_or(bytes));
        assert!(text.len() < 1 << 20);
    }
    let again = Btf::parse(&btf.to_bytes()).expect("what is written can be read");
    assert_eq!(btf.len(), again.len());
    let contract = Contract { types: Some(Arc::new(btf)), ..Contract::default() };
    let _ = Module::load(KINDS, &contract, &LoadOptions::default());
});
