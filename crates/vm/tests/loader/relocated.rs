//! What an object takes from its host: layouts of types (CO-RE), values of variables, functions.

use std::sync::Arc;

use super::common::{check_core_kinds, contract, fixture, program, run, types_of};
use fuse_bpf_vm::btf::{Btf, Class, Kind};
use fuse_bpf_vm::contract::Contract;
use fuse_bpf_vm::insn::poison;
use fuse_bpf_vm::interp::FaultKind;
use fuse_bpf_vm::link::{ConfigValue, Kconfig, LoadError, LoadOptions, Module};
use fuse_bpf_vm::program::{Argument, Missing, Signature};
use fuse_bpf_vm::validate;

fn target() -> Arc<Btf> {
    types_of(&fixture("core-types.bpf.o"))
}

fn load_for(name: &str, types: Arc<Btf>) -> Result<Module, LoadError> {
    let contract = Contract { types: Some(types), ..contract() };
    Module::load(&fixture(name), &contract, &LoadOptions::default())
}

#[test]
fn core_relocations_follow_names_into_other_layouts() {
    let target = target();
    let module = load_for("core-kinds.bpf.o", Arc::clone(&target)).unwrap();
    check_core_kinds(&module, &target);
}

#[test]
fn poisoned_instructions_are_listed_and_valid() {
    let module = load_for("core-kinds.bpf.o", target()).unwrap();
    for program in &module.programs {
        assert_eq!(validate::check_insns(&program.insns, &program.functions), Ok(()));
        assert!(program.poisons.is_sorted_by_key(|p| p.slot));
        for poison in &program.poisons {
            assert_eq!(
                (program.insns[poison.slot].code, program.insns[poison.slot].imm),
                (0x85, poison::CORE)
            );
            assert_eq!(program.poison(poison.slot), Some(&poison.missing));
        }
    }
    // Of a wide load both slots.
    let green = program(&module, "green_value");
    assert_eq!(green.insns[1].imm, poison::CORE);
    assert_eq!((green.poison(0).is_some(), green.poison(1)), (true, None));
}

#[test]
fn without_types_of_a_host_the_objects_own_are_the_target() {
    let module = Module::load(&fixture("core-kinds.bpf.o"), &contract(), &LoadOptions::default()).unwrap();
    let value = |name: &str| run(program(&module, name), &[]).unwrap();
    assert_eq!(["gone_exists", "gone_offset", "absent_exists", "type_absent"].map(value), [1, 24, 1, 1]);
    assert!(module.programs.iter().all(|p| p.poisons.is_empty()));
}

#[test]
fn types_nobody_offers_poison_what_needs_them() {
    let module = load_for("core.bpf.o", Arc::new(Btf::default())).unwrap();
    let fault = run(program(&module, "core_prog"), &[]).unwrap_err();
    assert!(
        matches!(&fault.kind, FaultKind::Missing(Missing::Core(what)) if what.contains("struct kernel_thing"))
    );
}

#[test]
fn several_answers_are_an_error() {
    let error = load_for("twice.bpf.o", target()).unwrap_err();
    assert!(
        matches!(&error, LoadError::Core { section, offset: 8, relocation, .. }
            if section == "struct_ops/prog" && relocation == "byte_off of `struct twice::b`"),
        "{error}"
    );
    assert!(
        error.to_string().ends_with("several types of this name are offered here, and they differ"),
        "{error}"
    );
}

#[test]
fn what_is_written_is_what_was_read() {
    for name in ["core-types.bpf.o", "core-kinds.bpf.o", "full.bpf.o", "global.bpf.o"] {
        let btf = types_of(&fixture(name));
        let again = Btf::parse(&btf.to_bytes()).unwrap();
        assert_eq!(btf.len(), again.len());
        for id in 0..btf.len() as u32 {
            assert_eq!((btf.kind(id), btf.name(id)), (again.kind(id), again.name(id)), "{name}, type {id}");
        }
    }
}

fn kconfig() -> Kconfig {
    Kconfig::new()
        .with_version(6, 18, 44)
        .with_file(
            "CONFIG_HZ=250\nCONFIG_BPF=y\nCONFIG_FLAG=m\nCONFIG_FUSE_FS=m\nCONFIG_BASE=0xffffffff81000000\n",
        )
        .with("CONFIG_TEXT", ConfigValue::Text("abcdefghijk".into()))
}

#[test]
fn variables_of_the_host_have_the_values_it_gives() {
    let options = LoadOptions::default().with_kconfig(kconfig());
    let module = Module::load(&fixture("externs.bpf.o"), &contract(), &options).unwrap();
    for (name, expected) in [
        ("version", 6 << 16 | 18 << 8 | 44),
        ("cookie", 0),
        ("hz", 250),
        ("bpf", 1),
        ("flag", u64::from(b'm')),
        ("fuse", 2),
        // Cut so that it still ends.
        ("text", u64::from(b'g') << 16 | u64::from(b'b') << 8),
        ("base", 0xffff_ffff_8100_0000),
        ("absent", 0),
        ("variable", 0),
        // `test_add` by a flavour of its name.
        ("flavoured", 0),
    ] {
        assert_eq!(run(program(&module, name), &[]), Ok(expected), "{name}");
    }
    assert_eq!(program(&module, "flavoured").kfuncs[0].name, "test_add");
    let map = module.maps.iter().find(|m| m.spec().name == ".kconfig").unwrap();
    assert!(map.spec().read_only);
    let ty = map.spec().value_type;
    assert_eq!(module.btf.find(Class::Section, ".kconfig"), Some(ty));
    let Some(Kind::Section { vars, .. }) = module.btf.kind(ty) else { panic!("not a section") };
    let offset = |name: &str| vars.iter().find(|v| module.btf.name(v.ty) == name).unwrap().offset;
    assert!(offset("CONFIG_BASE") % 8 == 0 && offset("CONFIG_BASE") > 0);
}

#[test]
fn variables_without_a_value_are_named() {
    let load = |kconfig| {
        let options = LoadOptions::default().with_kconfig(kconfig);
        Module::load(&fixture("externs.bpf.o"), &contract(), &options).unwrap_err()
    };
    let reason = "the host gives it no value; declare it __weak, or give it one when loading";
    let section = || "struct_ops/version".to_owned();
    let name = || "LINUX_KERNEL_VERSION".to_owned();
    assert_eq!(
        load(Kconfig::new()),
        LoadError::Kconfig { section: section(), offset: 0, name: name(), reason }
    );
    for (name, value) in [
        ("CONFIG_HZ", ConfigValue::Text("250".into())),
        ("CONFIG_HZ", ConfigValue::Number(1 << 31)),
        ("CONFIG_BPF", ConfigValue::Module),
        ("CONFIG_FUSE_FS", ConfigValue::Number(1)),
        ("CONFIG_TEXT", ConfigValue::Yes),
    ] {
        let error = load(kconfig().with(name, value));
        assert!(matches!(&error, LoadError::Kconfig { name: found, .. } if found == name), "{error}");
    }
}

#[test]
fn absent_functions_are_poisoned() {
    let module = Module::load(&fixture("full.bpf.o"), &contract(), &LoadOptions::default()).unwrap();
    let second = program(&module, "second_prog");
    let found: Vec<_> = second.poisons.iter().map(|p| (p.slot, p.missing.clone())).collect();
    assert_eq!(found, [(4, Missing::Kfunc("test_absent".into()))]);
    assert_eq!(second.insns[4].imm, poison::KFUNC);
}

#[test]
fn kfuncs_are_compared_with_their_declarations() {
    let error =
        Module::load(&fixture("bad-kfunc-proto.bpf.o"), &contract(), &LoadOptions::default()).unwrap_err();
    assert_eq!(
        error,
        LoadError::KfuncPrototype {
            section: "struct_ops/prog".into(),
            offset: 0x18,
            name: "test_add".into(),
            found: 3,
            expected: "int test_add(int a, int b)".into()
        }
    );
}

#[test]
fn global_functions_say_what_they_take() {
    use Argument::{Context, Dynptr, Mem, Scalar, Unknown};
    let module = Module::load(&fixture("global.bpf.o"), &contract(), &LoadOptions::default()).unwrap();
    let prog = program(&module, "prog");
    let signature = |name: &str| {
        let function = prog.functions.iter().find(|f| f.name == name);
        function.unwrap_or_else(|| panic!("no function {name}")).signature.clone()
    };
    let some = |args: &[Argument]| Some(Signature { args: args.into(), void: false });
    let mem = |size, nullable| Mem { size, nullable };
    assert_eq!(signature("scalars"), some(&[Scalar, Scalar, Scalar]));
    assert_eq!(signature("pointers"), some(&[mem(16, true), mem(16, false), mem(4, true)]));
    assert_eq!(signature("tags"), some(&[Context, mem(16, false), mem(16, true)]));
    assert_eq!(signature("dynptr"), some(&[Dynptr]));
    assert_eq!(signature("unknown"), some(&[Unknown, Unknown]));
    assert_eq!(signature("nothing"), Some(Signature { args: vec![Scalar], void: true }));
    for name in ["local", "hidden", "prog"] {
        assert_eq!(signature(name), None, "{name}");
    }
}

#[test]
fn programs_in_rust_load() {
    let load = |name| Module::load(&fixture(name), &contract(), &LoadOptions::default());
    let module = load("options.rust.o").unwrap();
    let [set] = module.sets.as_slice() else { panic!("{:?}", module.sets) };
    assert_eq!((set.type_name.as_str(), set.name.as_str()), ("test_ops", "in rust"));
    assert_eq!(set.members.keys().collect::<Vec<_>>(), ["first"]);
    // A kfunc without a prototype, a constant, and variables of .bss and .data.
    let index: Vec<_> = 2u64.to_le_bytes().map(std::cell::Cell::new).into();
    let prog = program(&module, "prog");
    assert_eq!(prog.kfuncs[0].name, "test_add");
    // The first word of the context is the address of the memory: past the end of the table.
    assert_eq!(run(prog, &index), Ok(1 + 7));
    assert_eq!(run(prog, &index), Ok(1 + 14));
    let error = load("panics.rust.o").unwrap_err();
    assert!(
        matches!(&error, LoadError::RustCall { section, name, .. }
            if section == "struct_ops/prog" && name.contains("panic_bounds_check")),
        "{error}"
    );
}
