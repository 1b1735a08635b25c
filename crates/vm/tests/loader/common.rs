//! Running the programs of an object, shared by tests of the loader.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;

use fuse_bpf_vm::btf::{Btf, Class};
use fuse_bpf_vm::contract::{Callable, Contract, Effects, Member, RetKind, StructOps};
use fuse_bpf_vm::host::Nobody;
use fuse_bpf_vm::interp::{Arg, DEFAULT_BUDGET, Fault, FaultKind, Worker};
use fuse_bpf_vm::link::Module;
use fuse_bpf_vm::mem::Window;
use fuse_bpf_vm::object::{Object, SectionKind};
use fuse_bpf_vm::program::{Missing, Program};

/// A kfunc that programs are linked with, and none runs.
pub(crate) const fn kfunc(name: &'static str, proto: &'static str) -> Callable {
    Callable {
        name,
        id: 0,
        proto,
        args: &[],
        ret: RetKind::Scalar,
        effects: Effects::empty(),
        run: |_| Ok(0),
    }
}

static KFUNCS: [Callable; 4] = [
    kfunc("test_add", "int %s(int a, int b)"),
    kfunc("test_map", "void *%s(void *map)"),
    kfunc("test_call", "int %s(void *callback)"),
    kfunc("test_maybe", "int %s(int a)"),
];

/// What the fixtures are written against.
pub(crate) fn contract() -> Contract {
    let member = |name: &str| Member { name: name.to_owned(), args: Vec::new() };
    let members = ["first", "second", "third"].map(member).into();
    Contract { struct_ops: vec![StructOps { name: "test_ops", members }], kfuncs: &KFUNCS, types: None }
}

pub(crate) fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(fixtures().join(name)).unwrap()
}

/// The types of an object.
pub(crate) fn types_of(bytes: &[u8]) -> Arc<Btf> {
    let object = Object::parse(bytes).unwrap();
    Arc::new(Btf::parse(object.section_of(SectionKind::Btf).unwrap().data).unwrap())
}

pub(crate) fn program<'m>(module: &'m Module, name: &str) -> &'m Arc<Program> {
    module.programs.iter().find(|p| p.name == name).unwrap_or_else(|| panic!("no program {name}"))
}

/// Runs a program that is given one struct.
pub(crate) fn run(program: &Program, memory: &[Cell<u8>]) -> Result<u64, Box<Fault>> {
    let args = [Arg::Mem(Window::from_cells(memory))];
    Worker::new(0).run(program, &args, &mut Nobody, DEFAULT_BUDGET).result.map_err(Box::new)
}

/// `struct thing` as core-types.bpf.c lays it out.
fn thing() -> Vec<Cell<u8>> {
    let mut bytes = vec![0; 160];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(4, &0xbeef_u16.to_le_bytes());
    put(6, &(-2_i16).to_le_bytes());
    put(16, &0x1234_5678_u32.to_le_bytes());
    put(70, &0x4321_u16.to_le_bytes());
    put(120, &(u64::MAX << 29 | 0x155 << 20 | 0xfffff).to_le_bytes());
    bytes.into_iter().map(Cell::new).collect()
}

/// Checks every program of core-kinds.bpf.c, linked against core-types.bpf.c.
pub(crate) fn check_core_kinds(module: &Module, target: &Btf) {
    let id = |btf: &Btf| u64::from(btf.find(Class::Struct, "thing").unwrap());
    for (name, expected) in [
        ("moved_offset", 16),
        ("moved_size", 4),
        ("narrow_size", 2),
        ("moved_exists", 1),
        ("gone_exists", 0),
        ("sign_signed", 1),
        ("unsign_signed", 0),
        ("bits_offset", 120),
        ("bits_size", 8),
        ("bits_left", 35),
        ("bits_right", 55),
        ("sign_left", 30),
        ("sign_right", 59),
        ("array_offset", 70),
        ("anonymous_offset", 8),
        ("flexible_offset", 156),
        ("absent_exists", 0),
        ("flavour_offset", 0),
        ("flavour_exists", 0),
        ("alias_offset", 4),
        ("type_exists", 1),
        ("type_absent", 0),
        ("type_changed", 0),
        ("type_size", 152),
        ("type_absent_size", 0),
        ("alias_size", 8),
        ("type_same", 1),
        ("type_differs", 0),
        ("local_id", id(&module.btf)),
        ("target_id", id(target)),
        ("target_absent", 0),
        ("red_value", 9),
        ("red_exists", 1),
        ("green_exists", 0),
        ("minus_value", -7_i64 as u64),
        ("gone_guarded", 77),
        ("read_moved", 0x1234_5678),
        ("read_narrow", 0xbeef),
        ("read_list", 0x4321),
        ("read_bits", 0x155),
    ] {
        // Clang 14 cannot ask whether types match.
        if let Some(program) = module.programs.iter().find(|p| p.name == name) {
            assert_eq!(run(program, &thing()), Ok(expected), "{name}");
        } else {
            assert!(matches!(name, "type_same" | "type_differs"), "no program {name}");
        }
    }
    for (name, what) in [
        ("gone_offset", "byte_off of `struct thing::gone`: there is no such field here"),
        ("green_value", "enumval_value of `enum color::GREEN`: there is no such enumerator here"),
        ("absent_read", "byte_off of `struct absent::a`: there is no such field here"),
        (
            "read_shrunk",
            "byte_off of `struct thing::shrunk`: the field has another size here, and is not an unsigned integer \
             or a pointer on both sides",
        ),
    ] {
        let fault = run(program(module, name), &thing()).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Missing(Missing::Core(what.into())), "{name}");
        assert!(fault.to_string().contains(&format!("unresolved CO-RE relocation {what};")), "{fault}");
    }
    let memory = thing();
    assert_eq!(run(program(module, "write_narrow"), &memory), Ok(0));
    // The half-word and nothing beside it.
    assert_eq!([4, 5, 6, 7].map(|at: usize| memory[at].get()), [0x34, 0x12, 0xfe, 0xff]);
}
