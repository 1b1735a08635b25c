//! The types CO-RE relocations of filters are resolved against, made from the tables.
//!
//! A filter compiled with a `vmlinux.h` of some kernel reads the fields it means, wherever that kernel
//! has them; one that asks for what is not here (`struct task_struct`) can test for it. What is in here is
//! what `bpf/include/fuse_bpf.h` declares, which a test compares.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use fuse_bpf_vm::btf::{Btf, Kind, Linkage, Member, Param, Writer};
use fuse_bpf_vm::contract::ArgType;
use fuse_bpf_vm::helpers;
use fuse_bpf_vm::mem::Access;

use super::NAME_MAX;
use super::contract::{DEFAULT_FILTER, FUSE_OPS, KFUNCS};
use super::family::{FAMILIES, FUSE_FILTER, Pointee, default_prototype};
use super::header::fuse_bpf_h;
use crate::abi::{self, StructDesc};

/// Integers of C: name, size in bytes, whether it has a sign.
const INTEGERS: [(&str, u8, bool); 11] = [
    ("char", 1, true),
    ("signed char", 1, true),
    ("unsigned char", 1, false),
    ("short", 2, true),
    ("unsigned short", 2, false),
    ("int", 4, true),
    ("unsigned int", 4, false),
    ("long", 8, true),
    ("unsigned long", 8, false),
    ("long long", 8, true),
    ("unsigned long long", 8, false),
];

/// Typedefs, each of an integer of C or of one before it.
const TYPEDEFS: [(&str, &str); 25] = [
    ("bool", "_Bool"),
    ("uint8_t", "unsigned char"),
    ("uint16_t", "unsigned short"),
    ("uint32_t", "unsigned int"),
    ("uint64_t", "unsigned long long"),
    ("int8_t", "signed char"),
    ("int16_t", "short"),
    ("int32_t", "int"),
    ("int64_t", "long long"),
    ("__u8", "uint8_t"),
    ("__u16", "uint16_t"),
    ("__u32", "uint32_t"),
    ("__u64", "uint64_t"),
    ("__s8", "int8_t"),
    ("__s16", "int16_t"),
    ("__s32", "int32_t"),
    ("__s64", "int64_t"),
    ("u8", "uint8_t"),
    ("u16", "uint16_t"),
    ("u32", "uint32_t"),
    ("u64", "uint64_t"),
    ("s8", "int8_t"),
    ("s16", "int16_t"),
    ("s32", "int32_t"),
    ("s64", "int64_t"),
];

/// The types filters may know.
///
/// Made once; without any if the tables were wrong, which a test excludes.
pub fn types() -> Arc<Btf> {
    static TYPES: LazyLock<Arc<Btf>> = LazyLock::new(|| Arc::new(Btf::parse(&section()).unwrap_or_default()));
    Arc::clone(&TYPES)
}

/// The same as the contents of a `.BTF` section, as `bpftool btf dump file` reads it.
pub fn section() -> Vec<u8> {
    let mut types = Types::default();
    for &(name, size, signed) in &INTEGERS {
        let id = types.writer.int(name, size, signed);
        types.named.insert(name.to_owned(), id);
    }
    let id = types.writer.int("_Bool", 1, false);
    types.named.insert("_Bool".to_owned(), id);
    for (name, of) in TYPEDEFS {
        let to = types.base(of);
        let id = types.writer.add(name, Kind::Typedef { to });
        types.named.insert(name.to_owned(), id);
    }
    types.machine();
    for desc in abi::STRUCTS {
        types.wire(desc);
    }
    types.series();
    types.enums(&fuse_bpf_h());
    types.ops();
    types.families();
    for kfunc in KFUNCS.iter().chain(helpers::KFUNCS) {
        types.kfunc(kfunc.name, kfunc.proto);
    }
    types.writer.finish()
}

/// Types in the making.
#[derive(Default)]
struct Types {
    writer: Writer,
    /// By C name: `uint32_t`, `struct fuse_attr`.
    named: HashMap<String, u32>,
}

impl Types {
    /// A type by its C name. A struct nobody described is declared only.
    fn base(&mut self, name: &str) -> u32 {
        if name == "void" {
            return 0;
        }
        if let Some(id) = self.named.get(name) {
            return *id;
        }
        let plain = name.strip_prefix("struct ").unwrap_or(name);
        let id = self.writer.add(plain, Kind::Forward { union: false });
        self.named.insert(name.to_owned(), id);
        id
    }

    fn pointer(&mut self, to: u32) -> u32 {
        self.writer.add("", Kind::Ptr { to })
    }

    fn array(&mut self, element: u32, len: usize) -> u32 {
        self.writer.add("", Kind::Array { element, len: len as u32 })
    }

    fn structure(&mut self, name: &str, size: usize, members: Vec<Member>) {
        let id = self.writer.add(name, Kind::Struct { size: size as u32, members });
        self.named.insert(format!("struct {name}"), id);
    }

    /// Types of the machine itself (`linux/bpf.h`).
    fn machine(&mut self) {
        let word = self.base("__u64");
        let pair = self.array(word, 2);
        let members = vec![self.writer.member("__opaque", pair, 0)];
        self.structure("bpf_dynptr", 16, members);
        let single = self.array(word, 1);
        let members = vec![self.writer.member("__opaque", single, 0)];
        self.structure("bpf_iter_num", 8, members);
        let half = self.base("__u32");
        let members = vec![self.writer.member("val", half, 0)];
        self.structure("bpf_spin_lock", 4, members);
    }

    /// A struct of the wire.
    fn wire(&mut self, desc: &StructDesc) {
        let mut members = Vec::new();
        for field in desc.fields {
            let mut ty = self.base(field.ctype);
            if let Some(len) = field.array {
                ty = self.array(ty, len);
            }
            let name = field.name.trim_start_matches("r#");
            members.push(self.writer.member(name, ty, field.offset as u32));
        }
        if desc.name == "fuse_dirent" {
            let char = self.base("char");
            let name = self.array(char, 0);
            members.push(self.writer.member("name", name, desc.size as u32));
        }
        self.structure(desc.name, desc.size, members);
    }

    /// Structs of the series that are no messages.
    fn series(&mut self) {
        let (half, word) = (self.base("uint32_t"), self.base("uint64_t"));
        let (int, unsigned, char) = (self.base("int"), self.base("unsigned int"), self.base("char"));
        let members = vec![self.writer.member("unused2", word, 0), self.writer.member("fd", word, 8)];
        let backing = self.writer.add("", Kind::Struct { size: 16, members });
        let name = self.array(char, NAME_MAX + 2);
        let members = vec![self.writer.member("", backing, 0), self.writer.member("name", name, 0)];
        let either = self.writer.add("", Kind::Union { size: 16, members });
        let w = &mut self.writer;
        let members =
            vec![w.member("entry_type", half, 0), w.member("unused", half, 4), w.member("", either, 8)];
        self.structure("fuse_bpf_entry_out", 24, members);
        let data = self.pointer(0);
        let w = &mut self.writer;
        let members = vec![
            w.member("data", data, 0),
            w.member("size", unsigned, 8),
            w.member("alloc_size", unsigned, 12),
            w.member("max_size", unsigned, 16),
            w.member("flags", int, 20),
        ];
        self.structure("fuse_buffer", 24, members);
    }

    /// The enums of the header: `enum name {`, lines `NAME = number,`, `};`.
    fn enums(&mut self, header: &str) {
        let mut lines = header.lines();
        while let Some(line) = lines.next() {
            let Some(name) = line.strip_prefix("enum ").and_then(|rest| rest.strip_suffix('{')) else {
                continue;
            };
            let body = lines.by_ref().take_while(|line| !line.starts_with('}'));
            let mut values = Vec::new();
            for (name, value) in body.filter_map(|line| line.trim().trim_end_matches(',').split_once(" = ")) {
                if let Ok(value) = value.parse() {
                    values.push(self.writer.value(name, value));
                }
            }
            let name = name.trim();
            let id = self.writer.add(name, Kind::Enum { size: 4, signed: false, values });
            self.named.insert(format!("enum {name}"), id);
        }
    }

    /// `struct fuse_ops`.
    fn ops(&mut self) {
        let result = self.base("uint32_t");
        let mut members = Vec::new();
        let mut offset = 0;
        let mut add = |types: &mut Types, name: &str, args: &[(ArgType, &str)]| {
            let mut params = Vec::new();
            for (arg, name) in args {
                let (ArgType::Struct { name: ty, access, .. } | ArgType::Buffer { name: ty, access }) = arg
                else {
                    continue;
                };
                let mut to = types.base(&format!("struct {ty}"));
                if *access == Access::Read {
                    to = types.writer.add("", Kind::Qualifier { to });
                }
                let ty = types.pointer(to);
                params.push(Param { name: types.writer.string(name), ty });
            }
            let proto = types.writer.add("", Kind::Prototype { result, params });
            let pointer = types.pointer(proto);
            members.push(types.writer.member(name, pointer, offset));
            offset += 8;
        };
        for (name, args) in super::contract::members() {
            add(self, &name, &args);
        }
        self.named_last(FUSE_OPS, members);
    }

    /// `struct fuse_filter` and its structs.
    fn families(&mut self) {
        for pointee in FAMILIES.iter().flat_map(|family| [family.input(), family.output()]).flatten() {
            if let Pointee::Each(each) = pointee {
                let members = each.members.iter().map(|(member, desc, offset)| {
                    let ty = self.base(&format!("struct {}", desc.name));
                    self.writer.member(member, ty, *offset as u32)
                });
                let members = members.collect();
                self.structure(each.name, each.size(), members);
            }
        }
        let result = self.base("uint32_t");
        let families = FAMILIES.iter().map(|family| (family.member, family.prototype()));
        let mut members = Vec::new();
        for (name, prototype) in std::iter::once((DEFAULT_FILTER, default_prototype())).chain(families) {
            let params = prototype.into_iter().map(|(ty, name)| {
                let ty = self.declared(&ty);
                Param { name: self.writer.string(name), ty }
            });
            let params = params.collect();
            let proto = self.writer.add("", Kind::Prototype { result, params });
            let pointer = self.pointer(proto);
            members.push(self.writer.member(name, pointer, members.len() as u32 * 8));
        }
        self.named_last(FUSE_FILTER, members);
    }

    /// A struct of pointers that ends with its name.
    fn named_last(&mut self, struct_name: &str, mut members: Vec<Member>) {
        let offset = members.len() * 8;
        let char = self.base("char");
        let name = self.array(char, NAME_MAX + 1);
        members.push(self.writer.member("name", name, offset as u32));
        self.structure(struct_name, (offset + NAME_MAX + 1).next_multiple_of(8), members);
    }

    /// A kfunc by its C prototype.
    fn kfunc(&mut self, name: &str, proto: &str) {
        let Some((result, rest)) = proto.split_once("%s(") else { return };
        let result = self.declared(result);
        let list = rest.trim_end_matches(')');
        let mut params = Vec::new();
        for text in list.split(',').map(str::trim).filter(|text| !matches!(*text, "void" | "")) {
            let start = text.rfind([' ', '*']).map_or(0, |at| at + 1);
            let (ty, name) = text.split_at(start);
            let ty = self.declared(ty);
            params.push(Param { name: self.writer.string(name), ty });
        }
        let to = self.writer.add("", Kind::Prototype { result, params });
        self.writer.add(name, Kind::Func { to, linkage: Linkage::Global });
    }

    /// A type as it stands in a declaration: `const struct fuse_buffer *`.
    fn declared(&mut self, text: &str) -> u32 {
        let stars = text.matches('*').count();
        let text = text.trim_end_matches(['*', ' ']).trim();
        let (constant, name) = text.strip_prefix("const ").map_or((false, text), |rest| (true, rest));
        let mut id = self.base(name);
        if constant {
            id = self.writer.add("", Kind::Qualifier { to: id });
        }
        for _ in 0..stars {
            id = self.pointer(id);
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use fuse_bpf_vm::btf::Class;
    use fuse_bpf_vm::object::{Object, SectionKind};

    use super::*;

    #[test]
    fn they_are_those_of_the_header() {
        let ours = types();
        // `everything` has every member of `struct fuse_ops`, `twins` a `struct fuse_filter`.
        for (object, least, wanted) in [("everything", 30, "fuse_ops"), ("twins", 40, "fuse_filter")] {
            let path = format!("{}/../../bpf/tests/{object}.bpf.o", env!("CARGO_MANIFEST_DIR"));
            let bytes = std::fs::read(path).unwrap();
            let object = Object::parse(&bytes).unwrap();
            let theirs = Btf::parse(object.section_of(SectionKind::Btf).unwrap().data).unwrap();
            assert!(theirs.find(Class::Struct, wanted).is_some());
            compare(&theirs, &ours, least);
        }
        // Nothing is left declared only but what the machine keeps to itself.
        for id in 0..ours.len() as u32 {
            if matches!(ours.kind(id), Some(Kind::Forward { .. })) {
                panic!("{} is not described", ours.name(id));
            }
        }
    }

    /// Compares every type of an object that belongs to filters.
    fn compare(theirs: &Btf, ours: &Btf, least: usize) {
        let mut compared = 0;
        for id in 0..theirs.len() as u32 {
            let name = theirs.name(id);
            let class = theirs.kind(id).unwrap().class();
            // A filter's own.
            if name == "start" {
                continue;
            }
            let ours_id = match class {
                Some(class @ (Class::Struct | Class::Enum)) if !name.is_empty() => ours.find(class, name),
                _ => continue,
            };
            let ours_id = ours_id.unwrap_or_else(|| panic!("no {class:?} {name}"));
            same(theirs, id, ours, ours_id, 0);
            compared += 1;
        }
        assert!(compared > least, "only {compared} types compared");
        for kfunc in KFUNCS.iter().chain(helpers::KFUNCS) {
            let id = ours.find(Class::Func, kfunc.name).unwrap();
            let Some(Kind::Func { to, .. }) = ours.kind(id) else { panic!("{} is no function", kfunc.name) };
            let Some(Kind::Prototype { params, .. }) = ours.kind(*to) else { panic!("no prototype") };
            assert_eq!(params.len(), kfunc.parameters().0, "{}", kfunc.name);
            if let Some(theirs_id) = theirs.find(Class::Func, kfunc.name) {
                same(theirs, theirs_id, ours, id, 0);
            }
        }
    }

    /// Panics unless types are the same but for the names of integers.
    fn same(a: &Btf, x: u32, b: &Btf, y: u32, depth: usize) {
        let (x, y) = (a.resolve(x).unwrap(), b.resolve(y).unwrap());
        let what = || format!("{} {:?} and {} {:?}", a.name(x), a.kind(x), b.name(y), b.kind(y));
        match (a.kind(x).unwrap(), b.kind(y).unwrap()) {
            (Kind::Struct { size: s, members: m }, Kind::Struct { size: t, members: n })
            | (Kind::Union { size: s, members: m }, Kind::Union { size: t, members: n }) => {
                assert_eq!((a.name(x), s, m.len()), (b.name(y), t, n.len()), "{}", what());
                for (m, n) in m.iter().zip(n) {
                    let (m_name, n_name) = (a.string(m.name), b.string(n.name));
                    assert_eq!((m_name, m.bit_offset, m.bits), (n_name, n.bit_offset, n.bits), "{}", what());
                    same(a, m.ty, b, n.ty, depth);
                }
            }
            (Kind::Ptr { to: x }, Kind::Ptr { to: y }) if depth < 2 => same(a, *x, b, *y, depth + 1),
            (Kind::Ptr { .. }, Kind::Ptr { .. }) | (Kind::Void, Kind::Void) => {}
            (Kind::Array { element: x, len: s }, Kind::Array { element: y, len: t }) => {
                assert_eq!(s, t, "{}", what());
                same(a, *x, b, *y, depth);
            }
            (
                Kind::Int { size: s, signed: p, bool: q, .. },
                Kind::Int { size: t, signed: r, bool: u, .. },
            ) => {
                assert_eq!((s, p, q), (t, r, u), "{}", what());
            }
            (Kind::Enum { values: v, .. }, Kind::Enum { values: w, .. }) => {
                let list = |btf: &Btf, values: &[fuse_bpf_vm::btf::EnumValue]| -> Vec<(String, i64)> {
                    values.iter().map(|v| (btf.string(v.name).to_owned(), v.value)).collect()
                };
                assert_eq!(list(a, v), list(b, w));
            }
            (Kind::Func { to: x, .. }, Kind::Func { to: y, .. }) => same(a, *x, b, *y, depth),
            (Kind::Prototype { result: x, params: p }, Kind::Prototype { result: y, params: q }) => {
                assert_eq!(p.len(), q.len(), "{}", what());
                same(a, *x, b, *y, depth);
                p.iter().zip(q).for_each(|(p, q)| same(a, p.ty, b, q.ty, depth));
            }
            _ => panic!("{}", what()),
        }
    }

    #[test]
    fn bpftool_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fuse-bpf.btf");
        std::fs::write(&path, section()).unwrap();
        let output =
            Command::new("bpftool").args(["btf", "dump", "file"]).arg(&path).args(["format", "c"]).output();
        let output = match output {
            Ok(output) => output,
            Err(error) => {
                println!("skipped: bpftool: {error} (package bpftool)");
                return;
            }
        };
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for line in [
            "struct fuse_ops {",
            "struct bpf_fuse_meta_info {",
            "\tuint64_t nodeid;",
            "enum fuse_opcode {",
            "struct fuse_filter {",
            "struct fuse_names_in {",
            "\tFUSE_LOOKUP = 1,",
            "struct fuse_buffer {",
            "\tuint32_t (*default_filter)(const struct bpf_fuse_meta_info *meta);",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }
}
