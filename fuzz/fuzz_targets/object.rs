//! Loading arbitrary bytes never panics, and what loads is a valid program.
#![no_main]

use std::sync::LazyLock;

use fuse_bpf_vm::contract::{Callable, Contract, Effects, Member, RetKind, StructOps};
use fuse_bpf_vm::insn::pseudo;
use fuse_bpf_vm::link::{LoadOptions, Module};
use fuse_bpf_vm::{asm, disasm, validate};
use libfuzzer_sys::fuzz_target;

const fn kfunc(name: &'static str, proto: &'static str) -> Callable {
    Callable { name, id: 0, proto, args: &[], ret: RetKind::Scalar, effects: Effects::empty(), run: |_| Ok(0) }
}

/// What the fixtures of the loader's tests call.
static KFUNCS: [Callable; 4] =
    [kfunc("test_add", "int %s(int a, int b)"), kfunc("test_map", "void *%s(void *map)"),
        kfunc("test_call", "int %s(void *callback)"), kfunc("test_maybe", "int %s(int a)")];

static CONTRACT: LazyLock<Contract> = LazyLock::new(|| {
    let member = |name: &str| Member { name: name.to_owned(), args: Vec::new() };
    let members = ["first", "second", "third"].map(member).into();
    Contract { struct_ops: vec![StructOps { name: "test_ops", members }], kfuncs: &KFUNCS, types: None }
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(module) = Module::load(bytes, &CONTRACT, &LoadOptions::default()) else { return };
    for program in &module.programs {
        validate::check_insns(&program.insns, &program.functions).expect("linked programs are valid");
        for insn in &program.insns {
            let index = insn.imm as usize;
            if insn.is_wide() && matches!(insn.src, pseudo::MAP | pseudo::MAP_VALUE) {
                assert!(index < program.maps.len());
            }
            if insn.code == 0x85 && insn.src == pseudo::CALL_KFUNC {
                assert!(index < program.kfuncs.len());
            }
        }
        for slot in 0..program.insns.len() {
            program.line(slot);
        }
        assert_eq!(asm::assemble(&disasm::disassemble(&program.insns)).as_ref(), Ok(&program.insns));
    }
});
