//! The loader on what clang emits: every detail of a linked object, and every error.
#![expect(clippy::unwrap_used, reason = "a test without its fixture fails")]

#[path = "loader/common.rs"]
mod common;
#[path = "loader/relocated.rs"]
mod relocated;

use std::sync::Arc;

use common::{contract, fixture, fixtures, program};
use fuse_bpf_vm::btf::Btf;
use fuse_bpf_vm::btf::BtfError;
use fuse_bpf_vm::btf::Class;
use fuse_bpf_vm::disasm::disassemble;
use fuse_bpf_vm::host::Nobody;
use fuse_bpf_vm::interp::{Arg, DEFAULT_BUDGET, Worker};
use fuse_bpf_vm::link::LoadError;
use fuse_bpf_vm::link::LoadOptions;
use fuse_bpf_vm::link::Module;
use fuse_bpf_vm::maps::Map;
use fuse_bpf_vm::maps::MapKind;
use fuse_bpf_vm::object::Object;
use fuse_bpf_vm::object::Section;
use fuse_bpf_vm::validate;
use fuse_bpf_vm::validate::InsnProblem;

fn load(bytes: &[u8]) -> Result<Module, LoadError> {
    Module::load(bytes, &contract(), &LoadOptions::default())
}

fn error(name: &str) -> LoadError {
    load(&fixture(name)).expect_err(name)
}

fn map_names(maps: &[Arc<Map>]) -> Vec<&str> {
    maps.iter().map(|m| m.spec().name.as_str()).collect()
}

/// Where the contents of a section lie in an object.
fn range_of(bytes: &[u8], name: &str) -> std::ops::Range<usize> {
    let object = Object::parse(bytes).unwrap();
    let section: &Section<'_> = object.sections.iter().find(|s| s.name == name).unwrap();
    let start = section.data.as_ptr() as usize - bytes.as_ptr() as usize;
    start..start + section.data.len()
}

/// Gives a section another name of the same length.
fn rename(bytes: &mut [u8], from: &str, to: &str) {
    // In the ELF string table, which lies after that of BTF; `.rel` names share their ends with it.
    let pattern = format!("{from}\0");
    let at = bytes.windows(pattern.len()).rposition(|w| w == pattern.as_bytes()).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
}

#[test]
fn programs_are_found_with_their_sections() {
    let module = load(&fixture("full.bpf.o")).unwrap();
    let found: Vec<_> =
        module.programs.iter().map(|p| (p.name.as_str(), p.section.as_str(), p.sleepable)).collect();
    assert_eq!(
        found,
        [
            ("first_prog", "struct_ops/first_prog", false),
            ("second_prog", "struct_ops.s/second_prog", true),
            ("optional_prog", "?struct_ops/optional_prog", false),
        ]
    );
    assert_eq!(module.license.as_deref(), Some("GPL"));
    assert_eq!(module.notes, ["map `numbers`: `pinning` has no effect here"]);
}

#[test]
fn maps_have_the_numbers_of_their_definitions() {
    let module = load(&fixture("full.bpf.o")).unwrap();
    assert_eq!(
        map_names(&module.maps),
        [
            "table",
            "numbers",
            "counters",
            "ring",
            ".data",
            ".rodata",
            ".data.points",
            ".rodata.str1.1",
            ".bss"
        ]
    );
    let numbers: Vec<_> = module
        .maps
        .iter()
        .map(|m| m.spec())
        .map(|s| (s.kind, s.key_size, s.value_size, s.max_entries, s.flags, s.read_only))
        .collect();
    let data = |size, read_only| (MapKind::Array, 4, size, 1, 0, read_only);
    assert_eq!(
        numbers,
        [
            (MapKind::Hash, 4, 40, 128, 0, false),
            (MapKind::Array, 4, 24, 4, 1024, false),
            (MapKind::PerCpuArray, 4, 8, 2, 0, false),
            (MapKind::RingBuf, 0, 0, 65536, 0, false),
            data(4, false),
            data(14, true),
            data(8, false),
            data(7, true),
            data(64, false),
        ]
    );
    let table = module.maps[0].spec();
    assert_eq!(module.btf.name(table.value_type), "event");
    assert_eq!(module.btf.name(table.key_type), "u32");
    // The type of a ring buffer's values is that of its records, which have no fixed size.
    assert_eq!(module.btf.name(module.maps[3].spec().value_type), "event");
    let bss = module.maps[8].spec();
    assert_eq!(module.btf.name(bss.value_type), ".bss");
}

#[test]
fn relocations_of_a_program_with_subprograms() {
    let module = load(&fixture("full.bpf.o")).unwrap();
    let first = program(&module, "first_prog");
    assert_eq!(map_names(&first.maps), ["table", "numbers", "counters", "ring", ".rodata", ".data", ".bss"]);
    let kfuncs: Vec<_> = first.kfuncs.iter().map(|k| k.name).collect();
    assert_eq!(kfuncs, ["test_map", "test_maybe", "test_add"]);
    let functions: Vec<_> = first.functions.iter().map(|f| (f.start, f.name.as_str())).collect();
    assert_eq!(functions, [(0, "first_prog"), (35, "helper_global"), (42, "twice")]);
    assert_eq!(
        disassemble(&first.insns),
        "\
r6 = *(u64 *)(r1 +0)
w1 = w6
call pc+32
w7 = w0
w1 = w6
call pc+36
w6 = w0
w6 += w7
r1 = map[0] ll
call kfunc#0
if r0 != 0 goto +4
r1 = map[1] ll
call kfunc#0
if r0 == 0 goto +1
w6 += 1
r1 = map[2] ll
call kfunc#0
r1 = map[3] ll
call kfunc#0
r1 = 0x1 ll
if r1 == 0 goto +3
w1 = w6
call kfunc#1
w6 = w0
r1 = map[4][0] ll
r2 = *(u64 *)(r1 +0)
w1 = w6
call kfunc#2
exit
call pc+6
r1 = map[5][0] ll
r1 = *(u32 *)(r1 +0)
w1 += w0
w0 = w1
exit
w0 = w1
r1 = map[6][48] ll
*(u32 *)(r1 +8) = r0
w0 <<= 1
r1 = map[6][0] ll
r1 = *(u64 *)(r1 +0)
w0 += w1
exit
"
    );
}

#[test]
fn calls_lead_back_to_functions_already_there() {
    let module = load(&fixture("calls.bpf.o")).unwrap();
    let functions = |name: &str| {
        let functions = &program(&module, name).functions;
        functions.iter().map(|f| f.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(functions("calls_prog"), ["calls_prog", "leaf", "middle", "recursive"]);
    assert_eq!(functions("other_prog"), ["other_prog", "middle", "leaf"]);
    for program in &module.programs {
        // Each call names the function the source says it does: `leaf` multiplies, others call it.
        for (slot, insn) in program.insns.iter().enumerate().filter(|(_, i)| i.code == 0x85 && i.src == 1) {
            let target = validate::target(slot, *insn).unwrap();
            let callee = program.functions.iter().find(|f| f.start as i64 == target).unwrap();
            let caller = program.function(slot).unwrap();
            let expected: &[&str] = match caller.name.as_str() {
                "calls_prog" => &["leaf", "middle", "recursive"],
                "other_prog" => &["middle"],
                "middle" => &["leaf"],
                "recursive" => &["recursive"],
                other => panic!("`{other}` calls nothing"),
            };
            assert!(expected.contains(&callee.name.as_str()), "{} calls {}", caller.name, callee.name);
        }
    }
}

#[test]
fn callbacks_constants_and_absent_functions() {
    let module = load(&fixture("full.bpf.o")).unwrap();
    let second = program(&module, "second_prog");
    assert_eq!(map_names(&second.maps), [".rodata", ".data.points", ".bss"]);
    let text = disassemble(&second.insns);
    // The test of the absent function says no, and a call in spite of it names no helper.
    assert!(text.starts_with("r1 = 0x0 ll\nif r1 == 0 goto +3\nw1 = 1\ncall -2147483648\n"), "{text}");
    // A constant by section symbol and addend; a callback by section symbol and addend.
    assert!(text.contains("r1 = map[0][8] ll\ncall kfunc#0\nr1 = func pc+8 ll\ncall kfunc#1\n"), "{text}");
    assert_eq!(second.functions[1].name, "callback");
    assert_eq!(second.functions[1].start, 18);
    let optional = program(&module, "optional_prog");
    assert_eq!(map_names(&optional.maps), [".rodata.str1.1"]);
}

#[test]
fn sets_have_members_names_and_shared_programs() {
    let module = load(&fixture("full.bpf.o")).unwrap();
    let sets: Vec<_> = module
        .sets
        .iter()
        .map(|s| {
            let members: Vec<_> = s.members.iter().map(|(m, p)| (m.as_str(), p.name.as_str())).collect();
            (s.variable.as_str(), s.type_name.as_str(), s.name.as_str(), s.link, members)
        })
        .collect();
    assert_eq!(
        sets,
        [
            ("plain", "test_ops", "plain_name", false, vec![("first", "first_prog")]),
            ("shared", "test_ops", "shared", false, vec![("first", "first_prog"), ("second", "first_prog")]),
            ("linked", "test_ops", "linked_name", true, vec![("second", "second_prog")]),
            ("linked2", "test_ops", "linked2", true, vec![("third", "second_prog")]),
        ]
    );
    let shared = &module.sets[1].members;
    assert!(Arc::ptr_eq(&shared["first"], &shared["second"]));
    assert!(Arc::ptr_eq(&shared["first"], program(&module, "first_prog")));
}

#[test]
fn lines_follow_functions_to_their_slots() {
    let module = load(&fixture("full.bpf.o")).unwrap();
    let first = program(&module, "first_prog");
    let line = |slot: usize| first.line(slot).unwrap();
    let source = String::from_utf8(fixture("full.bpf.c")).unwrap();
    for (slot, text) in [
        (2, "a = helper_global(a) + twice(a);"),
        (9, "if (test_map(&table) || test_map(&numbers))"),
        (33, "return test_add(a, (int)mask);"),
        (35, "return twice(n) + limit;"),
        (42, "static NOINLINE int twice(int n)"),
        (45, "hits[2] = n;"),
    ] {
        assert_eq!(line(slot).text.trim(), text, "slot {slot}");
        assert!(line(slot).file.ends_with("full.bpf.c"));
        let number = line(slot).line as usize;
        assert_eq!(source.lines().nth(number - 1).unwrap().trim(), text, "slot {slot}");
    }
    assert!(first.lines.is_sorted_by_key(|l| l.slot));
    assert_eq!(first.function(41).unwrap().name, "helper_global");
}

#[test]
fn variables_have_their_places_in_the_types() {
    let module = load(&fixture("full.bpf.o")).unwrap();
    let btf: &Btf = &module.btf;
    let (id, _, vars) = btf.sections().find(|(_, name, _)| *name == ".bss").unwrap();
    assert_eq!(btf.size_of(id), Ok(64));
    let places: Vec<_> = vars.iter().map(|v| (btf.name(v.ty), v.offset, v.size)).collect();
    assert_eq!(places, [("total", 0, 8), ("unused_event", 8, 40), ("hits", 48, 16)]);
}

#[test]
fn values_render_like_c() {
    let module = load(&fixture("full.bpf.o")).unwrap();
    let btf: &Btf = &module.btf;
    let event = btf.find(Class::Struct, "event").unwrap();
    assert_eq!(btf.size_of(event), Ok(40));
    let mut bytes = vec![7, 0, 0, 0];
    bytes.extend(b"x\"y\0garbage\0");
    bytes.extend((-3i32).to_le_bytes());
    for n in [1, -2, 3, 4i32] {
        bytes.extend(n.to_le_bytes());
    }
    bytes.extend([0b1011_0101, 0, 0, 0]);
    assert_eq!(
        btf.render(event, &bytes),
        "{ .op = 7, .name = \"x\\\"y\", .color = BLUE, .at = [{ .x = 1, .y = -2 }, { .x = 3, .y = 4 }], \
         .low = 5, .high = 22 }"
    );
    // Cut short: what is missing is a question mark.
    assert_eq!(
        btf.render(event, &bytes[..6]),
        "{ .op = 7, .name = \"x\\\"\", .color = ?, .at = [?], .low = ?, .high = ? }"
    );
    assert_eq!(btf.render(9999, &bytes), "?");
    let bss = btf.find(Class::Section, ".data.points").unwrap();
    assert_eq!(btf.render(bss, &[3, 0, 0, 0, 4, 0, 0, 0]), "{ .origin = { .x = 3, .y = 4 } }");
}

#[test]
fn core_relocations_that_change_nothing_are_accepted() {
    let module = load(&fixture("core.bpf.o")).unwrap();
    assert_eq!(module.programs[0].name, "core_prog");
    let object = fixture("core.bpf.o");
    // The compiler did leave relocations to check: change one access and it is found.
    let code = range_of(&object, "struct_ops/core_prog");
    let mut bytes = object.clone();
    let slot = bytes[code.clone()].chunks(8).position(|slot| slot[0] == 0x61).unwrap();
    bytes[code.start + slot * 8 + 2] ^= 4;
    let changed = load(&bytes).unwrap_err();
    assert!(
        matches!(&changed, LoadError::Core { section, offset, relocation, .. }
            if relocation.starts_with("byte_off of `struct kernel_thing::") && section == "struct_ops/core_prog" && *offset == slot as u64 * 8),
        "{changed}"
    );
}

#[test]
fn maps_have_programs_and_maps_in_them() {
    let module = load(&fixture("maps.bpf.o")).unwrap();
    let map = |name: &str| module.maps.iter().find(|map| map.spec().name == name).unwrap();
    assert_eq!(map("accounts").spec().lock, Some(8));
    assert_eq!((map("seen").spec().extra, map("seen").spec().value_size), (3, 4));
    let outer = map("by_index").spec();
    let inner = outer.inner.as_ref().unwrap();
    assert_eq!((outer.kind, outer.value_size), (MapKind::ArrayOfMaps, 4));
    assert_eq!((inner.name.as_str(), inner.kind, inner.max_entries), ("by_index.inner", MapKind::Array, 2));
    assert!(Arc::ptr_eq(&map("by_index").inner(&2u32.to_ne_bytes()).unwrap(), map("second")));
    assert_eq!(map("by_index").keys().len(), 2);
    assert!(Arc::ptr_eq(&map("by_key").inner(&1u64.to_ne_bytes()).unwrap(), map("second")));
    let programs = Arc::clone(map("programs"));
    assert_eq!(programs.program(1).unwrap().name, "last");
    assert!(programs.program(0).is_none());

    let entry = module.programs.iter().find(|program| program.name == "entry").unwrap();
    let outcome = Worker::new(0).run(entry, &[Arg::Scalar(2)], &mut Nobody, DEFAULT_BUDGET);
    assert_eq!(outcome.result, Ok(42));
    let last = Arc::downgrade(&programs.program(1).unwrap());
    drop(module);
    assert!(programs.program(1).is_none() && last.upgrade().is_none());
}

#[test]
fn errors_name_section_and_offset() {
    let prog = || "struct_ops/prog".to_owned();
    assert_eq!(
        error("bad-kfunc.bpf.o"),
        LoadError::UnknownKfunc { section: prog(), offset: 0x28, name: "test_nowhere".into() }
    );
    assert_eq!(
        error("bad-helper.bpf.o"),
        LoadError::UnknownHelper { section: prog(), offset: 0x28, id: 9999 }
    );
    assert_eq!(error("bad-section.bpf.o"), LoadError::UnknownSection { section: "xdp".into(), offset: 0 });
    assert_eq!(error("bad-maps.bpf.o"), LoadError::LegacyMaps);
    assert_eq!(
        error("bad-map-kind.bpf.o"),
        LoadError::UnsupportedMapKind { map: "traces".into(), offset: 0x20, number: 7, kind: "stack trace" }
    );
    assert_eq!(
        error("bad-map-values.bpf.o"),
        LoadError::MapDefinition {
            map: "table".into(),
            offset: 0,
            reason: "only a program array has programs in `values`".into()
        }
    );
    assert_eq!(
        error("bad-kconfig.bpf.o"),
        LoadError::Kconfig {
            section: prog(),
            offset: 0,
            name: "CONFIG_HZ".into(),
            reason: "the host gives it no value; declare it __weak, or give it one when loading"
        }
    );
    assert_eq!(
        error("bad-ksym.bpf.o"),
        LoadError::KernelVariable { section: prog(), offset: 0, name: "some_variable".into() }
    );
    assert_eq!(
        error("bad-data-pointer.bpf.o"),
        LoadError::DataRelocation { section: ".data".into(), offset: 0x10, symbol: "target".into() }
    );
    assert_eq!(
        error("bad-callx.bpf.o"),
        LoadError::Instruction { section: prog(), offset: 0x10, problem: InsnProblem::CallThroughRegister }
    );
    assert!(matches!(error("bad-libc.bpf.o"), LoadError::LibraryCall { section, offset: 0x48, name }
            if section == prog() && name == "memcmp"));
}

#[test]
fn errors_of_sets_name_variable_and_member() {
    let link = || ".struct_ops.link".to_owned();
    assert_eq!(
        error("bad-ops-type.bpf.o"),
        LoadError::UnknownOpsType { section: link(), variable: "set".into(), type_name: "other_ops".into() }
    );
    assert_eq!(
        error("bad-ops-member.bpf.o"),
        LoadError::UnknownOpsMember {
            section: link(),
            offset: 8,
            variable: "set".into(),
            type_name: "test_ops".into(),
            member: "fourth".into()
        }
    );
    assert!(
        matches!(error("bad-ops-scalar.bpf.o"), LoadError::OpsMember { section, offset: 8, variable, member, .. }
            if section == link() && variable == "set" && member == "flags")
    );
    assert!(matches!(error("bad-ops-text.bpf.o"), LoadError::OpsMember { section, offset: 8, member, .. }
            if section == link() && member == "second"));
}

#[test]
fn errors_are_lower_case_without_full_stop() {
    for entry in std::fs::read_dir(fixtures()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.starts_with("bad-") && name.ends_with(".o") {
            let text = error(&name).to_string();
            assert!(!text.ends_with('.') && !text.starts_with(char::is_uppercase), "{text}");
        }
    }
}

#[test]
fn other_machines_and_formats_are_told_apart() {
    let good = fixture("small.bpf.o");
    assert!(load(&good).is_ok());
    let patched = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        load(&bytes).unwrap_err()
    };
    assert_eq!(load(b"").unwrap_err(), LoadError::NotElf);
    assert_eq!(load(b"#!/bin/sh\n").unwrap_err(), LoadError::NotElf);
    assert_eq!(patched(0, 0), LoadError::NotElf);
    assert_eq!(patched(18, 62), LoadError::WrongMachine { machine: 62 });
    assert_eq!(patched(5, 2), LoadError::BigEndian);
    assert_eq!(error("small.big-endian.o"), LoadError::BigEndian);
    assert!(
        matches!(patched(4, 1), LoadError::Malformed { section, offset: 4, .. } if section == "ELF header")
    );
    assert!(
        matches!(patched(16, 2), LoadError::Malformed { section, offset: 16, .. } if section == "ELF header")
    );
}

#[test]
fn damaged_sections_are_named() {
    let good = fixture("small.bpf.o");
    let renamed = |from: &str, to: &str| {
        let mut bytes = good.clone();
        rename(&mut bytes, from, to);
        load(&bytes).unwrap_err()
    };
    // Without types a set means nothing.
    assert_eq!(renamed(".BTF", ".XTF"), LoadError::MissingBtf { section: ".struct_ops.link".into() });
    assert_eq!(renamed(".bss", ".tss"), LoadError::UnknownSection { section: ".tss".into(), offset: 0 });
    assert_eq!(
        renamed("struct_ops/small_prog", "struct_opt/small_prog"),
        LoadError::UnknownSection { section: "struct_opt/small_prog".into(), offset: 0 }
    );
    let patched = |section: &str, at: usize, new: &[u8]| {
        let mut bytes = good.clone();
        let start = range_of(&good, section).start + at;
        bytes[start..start + new.len()].copy_from_slice(new);
        load(&bytes).unwrap_err()
    };
    let magic = BtfError::Malformed { offset: 0, reason: "wrong magic number" };
    assert_eq!(patched(".BTF", 0, &[0, 0]), LoadError::Btf { section: ".BTF".into(), source: magic.clone() });
    assert_eq!(patched(".BTF.ext", 0, &[0, 0]), LoadError::Btf { section: ".BTF.ext".into(), source: magic });
    let far = BtfError::Malformed { offset: 16, reason: "table lies outside the section" };
    assert_eq!(patched(".BTF", 16, &[0xff; 4]), LoadError::Btf { section: ".BTF".into(), source: far });
    // Instructions.
    let code = "struct_ops/small_prog";
    let bad = |offset, problem| LoadError::Instruction { section: code.into(), offset, problem };
    let size = range_of(&good, code).len();
    // Slot 4 stores a word; slots 0 and 1 are a 64-bit immediate load.
    assert_eq!(patched(code, 32, &[0xff]), bad(32, InsnProblem::UnknownOpcode { code: 0xff }));
    assert_eq!(patched(code, 32, &[0x30]), bad(32, InsnProblem::LegacyPacketAccess));
    assert_eq!(patched(code, 32, &[0xbf, 0x1a]), bad(32, InsnProblem::FramePointerWritten));
    assert_eq!(patched(code, 32, &[0xbf, 0x1b]), bad(32, InsnProblem::NoSuchRegister { register: 11 }));
    assert_eq!(patched(code, 36, &[1]), bad(32, InsnProblem::ReservedField { code: 0x63, field: "imm" }));
    assert_eq!(patched(code, 32, &[5, 0, 0xfc, 0xff]), bad(32, InsnProblem::JumpIntoWide { target: 1 }));
    assert_eq!(patched(code, 32, &[5, 0, 4, 0]), bad(32, InsnProblem::JumpOutOfRange { target: 9 }));
    assert_eq!(patched(code, 32, &[5, 0, 0xf0, 0xff]), bad(32, InsnProblem::JumpOutOfRange { target: -11 }));
    assert_eq!(patched(code, size - 8, &[0xb7]), bad(size as u64 - 8, InsnProblem::FallsOffEnd));
    let unlinked = LoadError::Unlinked { section: code.into(), offset: 32, src: 2 };
    assert_eq!(patched(code, 32, &[0x85, 0x20, 0, 0]), unlinked);
}

#[test]
fn relocations_to_nowhere_are_named() {
    let good = fixture("small.bpf.o");
    // The entries of the program's relocation table: offset, then type and symbol.
    let table = {
        let object = Object::parse(&good).unwrap();
        let code = object.sections.iter().find(|s| s.name == "struct_ops/small_prog").unwrap();
        let first = code.relocations[0];
        let entry =
            [first.offset.to_le_bytes(), (u64::from(first.kind) | (first.symbol as u64) << 32).to_le_bytes()];
        let entry = entry.concat();
        good.windows(16).position(|w| w == entry).unwrap()
    };
    let patched = |at: usize, new: &[u8]| {
        let mut bytes = good.clone();
        bytes[table + at..table + at + new.len()].copy_from_slice(new);
        load(&bytes).expect_err(&format!("{new:?} at {at}"))
    };
    let section = || "struct_ops/small_prog".to_owned();
    let reason = "relocation refers to a symbol that does not exist";
    let offset = u64::from_le_bytes(good[table..table + 8].try_into().unwrap());
    assert_eq!(patched(12, &[0xff, 0xff]), LoadError::Malformed { section: section(), offset, reason });
    let reason = "relocation lies outside its section";
    assert_eq!(patched(0, &[0, 0x10]), LoadError::Malformed { section: section(), offset: 0x1000, reason });
    assert!(
        matches!(patched(8, &[2]), LoadError::Relocation { section: s, offset: o, kind: 2, .. } if s == section() && o == offset)
    );
    assert!(
        matches!(patched(8, &[10]), LoadError::Relocation { section: s, offset: o, kind: 10, .. } if s == section() && o == offset)
    );
    assert!(
        matches!(patched(0, &[0x10]), LoadError::Relocation { section: s, offset: 0x10, .. } if s == section())
    );
    assert!(
        matches!(patched(0, &[offset as u8 + 1]), LoadError::Relocation { section: s, offset: o, .. } if s == section() && o == offset + 1)
    );
}

#[test]
fn jump_tables_that_lead_elsewhere_are_named() {
    let good = fixture("jumps.v4.bpf.o");
    assert!(load(&good).is_ok());
    let table = range_of(&good, ".jumptables").start;
    let code = range_of(&good, "struct_ops/jumps");
    let patched = |at: usize, new: &[u8]| {
        let mut bytes = good.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        load(&bytes).expect_err(&format!("{new:?} at {at:#x}"))
    };
    // Between slots, past the end, into the second half of a wide load.
    for entry in [1u64, 1 << 40, 520, u64::MAX - 7, 7 * 8] {
        let error = patched(table, &entry.to_le_bytes());
        assert!(
            matches!(&error, LoadError::Relocation { section, symbol, reason, .. }
                if section == "struct_ops/jumps" && symbol == "BPF.JT.1.0"
                    && *reason == "a jump of the table leaves the function"),
            "{entry:#x}: {error}"
        );
    }
    // An addend past the table.
    let at = good[code.clone()].chunks(8).position(|slot| slot[0] == 0x18).unwrap();
    let error = patched(code.start + at * 8 + 4, &[0x80]);
    assert!(
        matches!(&error, LoadError::Relocation { reason: "address lies outside its table", .. }),
        "{error}"
    );
    // Without a table there is nothing to jump by.
    let small = fixture("small.bpf.o");
    let mut bytes = small.clone();
    let start = range_of(&small, "struct_ops/small_prog").start + 32;
    bytes[start..start + 8].copy_from_slice(&[0x0d, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        load(&bytes).unwrap_err(),
        LoadError::Instruction {
            section: "struct_ops/small_prog".into(),
            offset: 32,
            problem: InsnProblem::IndirectJump
        }
    );
}

#[test]
fn core_relocations_that_make_no_sense_are_named() {
    let good = fixture("core-kinds.bpf.o");
    let ext = range_of(&good, ".BTF.ext");
    let word = |at: usize| u32::from_le_bytes(good[ext.start + at..][..4].try_into().unwrap()) as usize;
    // The header says where the records are; the first follows their size, a section and a count.
    let record = ext.start + word(4) + word(24) + 12;
    let patched = |at: usize, new: u32| {
        let mut bytes = good.clone();
        bytes[record + at..record + at + 4].copy_from_slice(&new.to_le_bytes());
        match load(&bytes) {
            Err(LoadError::Core { relocation, reason, .. }) => (relocation, reason),
            other => panic!("{other:?}"),
        }
    };
    let btf = range_of(&good, ".BTF");
    let text = String::from_utf8_lossy(&good[btf.clone()]).into_owned();
    let strings = u32::from_le_bytes(good[btf.start + 16..][..4].try_into().unwrap()) as usize + 24;
    // A member that does not exist: a path of another kind of type.
    let name = text[strings..].find("\0thing\0").unwrap() as u32 + 1;
    assert_eq!(
        patched(12, 13),
        ("kind 13".into(), "unknown kind of relocation; build with an older clang".into())
    );
    assert_eq!(patched(8, name).1, "the path to the field is broken");
    assert_eq!(patched(12, 8).1, "a path where there is nothing to follow");
    assert_eq!(patched(12, 10).1, "not an enum");
    assert_eq!(patched(4, 1 << 20), ("byte_off of `type 1048576`".into(), "there is no such type".into()));
    assert_eq!(patched(4, 0).1, "a type on the path has no size");
    // The number in the code is not what the object's own types say.
    assert!(patched(12, 1).1.starts_with("the code holds 0 where"), "{}", patched(12, 1).1);
}

#[test]
fn objects_cut_short_are_errors() {
    for name in ["small.bpf.o", "full.bpf.o", "maps.bpf.o"] {
        let bytes = fixture(name);
        for len in 0..bytes.len() {
            // Section headers come last, so nothing shorter can be complete.
            assert!(load(&bytes[..len]).is_err(), "{name} cut to {len} bytes");
        }
    }
}

#[test]
fn no_flipped_byte_makes_it_panic() {
    for (name, step) in [
        ("small.bpf.o", 1),
        ("full.bpf.o", 3),
        ("core.bpf.o", 3),
        ("externs.bpf.o", 3),
        ("jumps.v4.bpf.o", 5),
        ("maps.bpf.o", 3),
    ] {
        let mut bytes = fixture(name);
        for at in (0..bytes.len()).step_by(step) {
            for flip in [0xff, 0x01, 0x80] {
                bytes[at] ^= flip;
                if let Ok(module) = load(&bytes) {
                    for program in &module.programs {
                        disassemble(&program.insns);
                    }
                    for id in 0..module.btf.len() as u32 {
                        module.btf.render(id, &bytes[..64]);
                    }
                }
                bytes[at] ^= flip;
            }
        }
    }
}

#[test]
fn inputs_of_the_fuzzer_are_answered() {
    for entry in std::fs::read_dir(fixtures().join("fuzz")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let _ = load(&bytes);
        let _ = Btf::parse(&bytes);
    }
}
