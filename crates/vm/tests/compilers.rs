//! Objects of every clang on this machine, for every version of the instruction set, load and mean the same.
#![expect(clippy::unwrap_used, reason = "a test without its fixture fails")]
#![expect(clippy::print_stdout, reason = "says what is skipped")]

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

#[path = "loader/common.rs"]
mod common;

use common::{check_core_kinds, contract, fixture, fixtures, kfunc, program, run, types_of};
use fuse_bpf_vm::btf::Class;
use fuse_bpf_vm::contract::{Callable, Contract, Member, StructOps};
use fuse_bpf_vm::link::{ConfigValue, Kconfig, LoadOptions, Module};
use fuse_bpf_vm::validate;

/// The compilers Debian 12 has, oldest first; others are used when they are there.
const EXPECTED: [u32; 4] = [14, 16, 19, 22];
const CPUS: [&str; 4] = ["v1", "v2", "v3", "v4"];

/// The compilers that are there.
fn compilers() -> Vec<String> {
    let mut found = Vec::new();
    for version in 13..=30 {
        let name = format!("clang-{version}");
        match Command::new(&name).arg("--version").output() {
            Ok(_) => found.push(name),
            Err(error) if EXPECTED.contains(&version) => {
                println!("skipped: {name}: {error} (package {name})")
            }
            Err(_) => {}
        }
    }
    found
}

/// Compiles a source; `None` when the compiler does not know the processor or lacks the BPF target.
fn compile(clang: &str, cpu: &str, source: &Path) -> Option<Vec<u8>> {
    let include = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../bpf/include");
    let output = Command::new(clang)
        .args(["-target", "bpfel", "-g", "-O2", "-c", "-o", "-", &format!("-mcpu={cpu}"), "-I"])
        .args([&include, source])
        .output()
        .unwrap();
    if output.status.success() {
        return Some(output.stdout);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let cannot = errors.contains("unknown target CPU") || errors.contains("unknown target triple");
    assert!(cannot, "{clang} -mcpu={cpu} {}: {errors}", source.display());
    None
}

/// Calls `check` with what every compiler makes of a source.
fn each(source: &Path, mut check: impl FnMut(&str, &[u8])) {
    let mut count = 0;
    for clang in compilers() {
        for cpu in CPUS {
            match compile(&clang, cpu, source) {
                Some(object) => {
                    check(&format!("{clang} -mcpu={cpu} {}", source.display()), &object);
                    count += 1;
                }
                None => println!("skipped: {clang} knows no -mcpu={cpu}"),
            }
        }
    }
    println!("{}: {count} objects", source.display());
}

fn load(what: &str, object: &[u8], contract: &Contract) -> Module {
    let kconfig = Kconfig::new()
        .with_version(6, 18, 0)
        .with_file("CONFIG_HZ=250\nCONFIG_BPF=y\nCONFIG_FLAG=m\nCONFIG_FUSE_FS=m\nCONFIG_BASE=4096\n")
        .with("CONFIG_TEXT", ConfigValue::Text("abc".into()));
    let options = LoadOptions::default().with_kconfig(kconfig);
    let module = Module::load(object, contract, &options).unwrap_or_else(|error| panic!("{what}: {error}"));
    for program in &module.programs {
        assert_eq!(validate::check_insns(&program.insns, &program.functions), Ok(()), "{what}");
        assert!(!program.lines.is_empty(), "{what}: `{}` has no source lines", program.name);
    }
    module
}

#[test]
fn fixtures_load() {
    for name in ["full.bpf.c", "calls.bpf.c", "core.bpf.c", "externs.bpf.c", "global.bpf.c"] {
        each(&fixtures().join(name), |what, object| {
            let module = load(what, object, &contract());
            if name == "global.bpf.c" {
                let functions = &program(&module, "prog").functions;
                assert_eq!(functions.iter().filter(|f| f.signature.is_some()).count(), 6, "{what}");
            }
            if name == "externs.bpf.c" {
                assert_eq!(run(program(&module, "hz"), &[]), Ok(250), "{what}");
                assert_eq!(run(program(&module, "base"), &[]), Ok(4096), "{what}");
            }
        });
    }
}

#[test]
fn core_relocations_have_the_same_answers() {
    let target = types_of(&fixture("core-types.bpf.o"));
    let contract = Contract { types: Some(Arc::clone(&target)), ..contract() };
    each(&fixtures().join("core-kinds.bpf.c"), |what, object| {
        println!("{what}");
        check_core_kinds(&load(what, object, &contract), &target);
    });
}

/// `other` of jumps.bpf.c.
fn other(a: u64, b: u64) -> u64 {
    match a {
        0 => b.wrapping_mul(3),
        1 => b ^ 0x55,
        2 => b.wrapping_add(1000),
        3 => b.wrapping_sub(9),
        4 => b << 3,
        5 => b >> 1,
        6 => b | 1,
        7 => b.wrapping_mul(11),
        8 => b.wrapping_add(12),
        9 => b / 7,
        10 => b % 7,
        11 => b.wrapping_mul(b),
        12 => !b,
        13 => b & 0xf0,
        15 => b.wrapping_mul(5).wrapping_add(1),
        _ => b,
    }
}

/// `jumps` of jumps.bpf.c.
fn jumps([a, b, c]: [u64; 3]) -> u64 {
    let sum = match a {
        10 => b.wrapping_add(17),
        11 => b.wrapping_mul(c),
        12 => b.wrapping_sub(c),
        13 => b ^ c,
        15 => b | 5,
        16 => b & 0xff,
        17 => b << 2,
        18 => other(b, c),
        19 => c / 3,
        20 => c % 5,
        21 => c << 5,
        22 => c >> 2,
        23 => c.wrapping_add(19),
        24 => b.wrapping_sub(23),
        25 => !b,
        _ => 0,
    };
    sum.wrapping_add(other(c, b))
}

fn check_jumps(what: &str, module: &Module) {
    for a in 0..30 {
        for (b, c) in [(0, 0), (3, 18), (14, 7), (u64::MAX, 9), (12, u64::MAX / 3)] {
            let memory: Vec<_> = [a, b, c].iter().flat_map(|n| n.to_le_bytes()).map(Cell::new).collect();
            assert_eq!(run(program(module, "jumps"), &memory), Ok(jumps([a, b, c])), "{what}: {a} {b} {c}");
            assert_eq!(run(program(module, "again"), &memory), Ok(other(a, 100)), "{what}: {a}");
        }
    }
}

#[test]
fn large_switches_go_where_they_should() {
    let checked_in = load("jumps.v4.bpf.o", &fixture("jumps.v4.bpf.o"), &contract());
    assert_eq!(program(&checked_in, "jumps").jump_tables.len(), 2);
    check_jumps("jumps.v4.bpf.o", &checked_in);
    each(&fixtures().join("jumps.bpf.c"), |what, object| check_jumps(what, &load(what, object, &contract())));
}

/// The kfuncs of filters, which are not this crate's.
static FUSE: [Callable; 8] = [
    kfunc(
        "bpf_fuse_get_ro_dynptr",
        "void %s(const struct fuse_buffer *buffer, struct bpf_dynptr *dynptr__uninit)",
    ),
    kfunc(
        "bpf_fuse_get_rw_dynptr",
        "void %s(struct fuse_buffer *buffer, struct bpf_dynptr *dynptr__uninit, uint64_t size, bool copy)",
    ),
    kfunc("bpf_fuse_return_len", "uint32_t %s(struct fuse_buffer *buffer)"),
    kfunc(
        "bpf_dynptr_from_fuse_buffer_ro",
        "int %s(const struct fuse_buffer *buffer, uint64_t flags, struct bpf_dynptr *dynptr__uninit)",
    ),
    kfunc(
        "bpf_dynptr_from_fuse_buffer_rw",
        "int %s(struct fuse_buffer *buffer, uint64_t flags, struct bpf_dynptr *dynptr__uninit)",
    ),
    kfunc("bpf_fuse_buffer_resize", "int %s(struct fuse_buffer *buffer, uint32_t size)"),
    kfunc("bpf_fuse_set_error_out", "int %s(int error)"),
    kfunc("bpf_fuse_read_file", "int %s(void *dst, uint32_t dst__sz, uint64_t offset)"),
];

#[test]
fn filters_load() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../bpf");
    let sources = ["filters", "tests"].into_iter().flat_map(|dir| std::fs::read_dir(root.join(dir)).unwrap());
    let mut sources: Vec<_> = sources.map(|entry| entry.unwrap().path()).collect();
    sources.retain(|path| path.to_string_lossy().ends_with(".bpf.c"));
    assert!(sources.len() >= 4);
    for source in sources {
        each(&source, |what, object| {
            // Whatever the object declares is offered: what is in it is the embedder's to say.
            let types = types_of(object);
            let member = |m: &fuse_bpf_vm::btf::Member| types.string(m.name).to_owned();
            let struct_ops = |(name, names): (&'static str, &[&str])| {
                let ops = names.iter().find_map(|name| types.find(Class::Struct, name))?;
                let ops = types.members(ops).unwrap();
                let members = ops.iter().map(|m| Member { name: member(m), args: Vec::new() }).collect();
                Some(StructOps { name, members })
            };
            let both = [
                ("fuse_ops", ["fuse_ops", "fuse_ops___other"].as_slice()),
                ("fuse_filter", &["fuse_filter"]),
            ];
            let struct_ops: Vec<StructOps> = both.into_iter().filter_map(struct_ops).collect();
            assert!(!struct_ops.is_empty(), "{what}");
            load(what, object, &Contract { struct_ops, kfuncs: &FUSE, types: Some(Arc::clone(&types)) });
        });
    }
}

#[test]
fn objects_linked_by_bpftool_load() {
    let dir = std::env::temp_dir().join(format!("fuse-bpf-linked-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let linked = dir.join("linked.o");
    let inputs = ["core-kinds.bpf.o", "externs.bpf.o", "full.bpf.o"].map(|name| fixtures().join(name));
    let output = Command::new("bpftool").args(["gen", "object"]).arg(&linked).args(&inputs).output();
    match output {
        Err(error) => println!("skipped: bpftool: {error} (package bpftool)"),
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let target = types_of(&fixture("core-types.bpf.o"));
            let contract = Contract { types: Some(Arc::clone(&target)), ..contract() };
            let module = load("linked.o", &std::fs::read(&linked).unwrap(), &contract);
            check_core_kinds(&module, &target);
            assert_eq!(run(program(&module, "hz"), &[]), Ok(250));
            assert_eq!(module.sets.len(), 4);
        }
    }
    std::fs::remove_dir_all(&dir).unwrap();
}
