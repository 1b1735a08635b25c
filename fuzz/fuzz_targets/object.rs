//! Loading arbitrary bytes never panics, and what loads is a valid program.
#![no_main]

use std::sync::{Arc, LazyLock};

use fuse_bpf_vm::btf::Btf;
use fuse_bpf_vm::contract::{Callable, Contract, Effects, Member, RetKind, StructOps};
use fuse_bpf_vm::insn::{op, poison, pseudo};
use fuse_bpf_vm::link::{Kconfig, LoadOptions, Module};
use fuse_bpf_vm::object::{Object, SectionKind};
use fuse_bpf_vm::{asm, disasm, validate};
use libfuzzer_sys::fuzz_target;

const fn kfunc(name: &'static str, proto: &'static str) -> Callable {
    Callable { name, id: 0, proto, args: &[], ret: RetKind::Scalar, effects: Effects::empty(), run: |_| Ok(0) }
}

/// What the fixtures of the loader's tests call.
static KFUNCS: [Callable; 4] =
    [kfunc("test_add", "int %s(int a, int b)"), kfunc("test_map", "void *%s(void *map)"),
        kfunc("test_call", "int %s(void *callback)"), kfunc("test_maybe", "int %s(int a)")];

/// Without types of a host, and with those core-kinds.bpf.c is written for.
static CONTRACTS: LazyLock<[Contract; 2]> = LazyLock::new(|| {
    let object = Object::parse(include_bytes!("../../crates/vm/tests/fixtures/core-types.bpf.o")).expect("an object");
    let section = object.section_of(SectionKind::Btf).expect("with types");
    let types = Btf::parse(section.data).expect("that are valid");
    [None, Some(Arc::new(types))].map(|types| {
        let member = |name: &str| Member { name: name.to_owned(), args: Vec::new() };
        let members = ["first", "second", "third"].map(member).into();
        Contract { struct_ops: vec![StructOps { name: "test_ops", members }], kfuncs: &KFUNCS, types }
    })
});

static OPTIONS: LazyLock<LoadOptions> = LazyLock::new(|| {
    let file = "CONFIG_HZ=250\nCONFIG_BPF=y\nCONFIG_FLAG=m\nCONFIG_FUSE_FS=m\nCONFIG_BASE=4096\nCONFIG_TEXT=\"abc\"\n";
    LoadOptions::default().with_kconfig(Kconfig::new().with_version(6, 18, 44).with_file(file))
});

fuzz_target!(|bytes: &[u8]| {
    for contract in CONTRACTS.iter() {
        let Ok(module) = Module::load(bytes, contract, &OPTIONS) else { continue };
        check(&module);
    }
});

fn check(module: &Module) {
    for program in &module.programs {
        validate::check_insns(&program.insns, &program.functions).expect("linked programs are valid");
        for (slot, insn) in program.insns.iter().enumerate() {
            let index = insn.imm as usize;
            if insn.is_wide() && matches!(insn.src, pseudo::MAP | pseudo::MAP_VALUE) {
                assert!(index < program.maps.len());
            }
            if insn.code == op::CALL_IMM && insn.src == pseudo::CALL_KFUNC {
                assert!(index < program.kfuncs.len());
            }
            program.line(slot);
        }
        assert!(program.poisons.is_sorted_by(|a, b| a.slot < b.slot));
        for entry in &program.poisons {
            let insn = program.insns[entry.slot];
            assert!(insn.code == op::CALL_IMM && matches!(insn.imm, poison::CORE | poison::KFUNC));
        }
        for table in &program.jump_tables {
            assert!(table.map < program.maps.len() && table.targets.is_sorted_by(|a, b| a < b));
            for target in &table.targets {
                assert_eq!(program.function(*target).map(|f| f.start), Some(table.function));
                assert_ne!(program.insns[*target].code, 0, "a second half");
            }
        }
        assert_eq!(asm::assemble(&disasm::disassemble(&program.insns)).as_ref(), Ok(&program.insns));
    }
}
