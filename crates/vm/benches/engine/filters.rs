//! The filters in `bpf/`, loaded without the crate that knows FUSE: what they are given is as they declare it themselves.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fuse_bpf_vm::btf::{Btf, Class, Kind};
use fuse_bpf_vm::contract::{
    ArgKind, ArgType, Callable, Contract, DynptrKind, Effects, Member, RetKind, StructOps,
};
use fuse_bpf_vm::link::{LoadOptions, Module};
use fuse_bpf_vm::mem::Access;
use fuse_bpf_vm::object::{Object, SectionKind};
use fuse_bpf_vm::program::Program;

/// What filters call beside the machine's own, as far as it concerns their verification.
static KFUNCS: [Callable; 3] = [
    Callable {
        name: "bpf_fuse_get_ro_dynptr",
        id: 0,
        proto: "void %s(const struct fuse_buffer *buffer, struct bpf_dynptr *dynptr__uninit)",
        args: &[ArgKind::Buffer { access: Access::Read }, ArgKind::DynptrUninit(DynptrKind::Buffer)],
        ret: RetKind::Void,
        effects: Effects::BUFFER_READ,
        run: |_| Ok(0),
    },
    Callable {
        name: "bpf_fuse_get_rw_dynptr",
        id: 0,
        proto: "void %s(struct fuse_buffer *buffer, struct bpf_dynptr *dynptr__uninit, uint64_t size, bool copy)",
        args: &[
            ArgKind::Buffer { access: Access::ReadWrite },
            ArgKind::DynptrUninit(DynptrKind::Buffer),
            ArgKind::Scalar,
            ArgKind::Scalar,
        ],
        ret: RetKind::Void,
        effects: Effects::BUFFER_WRITE,
        run: |_| Ok(0),
    },
    Callable {
        name: "bpf_fuse_return_len",
        id: 0,
        proto: "uint32_t %s(struct fuse_buffer *buffer)",
        args: &[ArgKind::Buffer { access: Access::Read }],
        ret: RetKind::Scalar,
        effects: Effects::BUFFER_READ,
        run: |_| Ok(0),
    },
];

/// What the members of `struct fuse_ops` are given, as the object itself declares it. All structs count as writable:
/// `const` is a promise of the C compiler's, and only what is refused depends on it.
fn members(btf: &Btf) -> Vec<Member> {
    let Some(ops) = btf.find(Class::Struct, "fuse_ops") else { return Vec::new() };
    let pointee = |ty: u32| match btf.kind(btf.resolve(ty).ok()?)? {
        Kind::Ptr { to } => btf.resolve(*to).ok(),
        _ => None,
    };
    let argument = |ty: u32| -> Option<ArgType> {
        let to = pointee(ty)?;
        let name: &'static str = Box::leak(btf.name(to).to_owned().into_boxed_str());
        let access = Access::ReadWrite;
        Some(match btf.size_of(to) {
            Ok(size) if name != "fuse_buffer" => ArgType::Struct { name, size: size as usize, access },
            _ => ArgType::Buffer { name, access },
        })
    };
    let members = btf.members(ops).unwrap_or_default().iter();
    members
        .filter_map(|member| match btf.kind(pointee(member.ty)?)? {
            Kind::Prototype { params, .. } => Some(Member {
                name: btf.string(member.name).to_owned(),
                args: params.iter().filter_map(|param| argument(param.ty)).collect(),
            }),
            _ => None,
        })
        .collect()
}

/// The programs of an object with what they are given.
pub(crate) fn filters(path: &Path) -> Vec<(String, Arc<Program>, Vec<ArgType>)> {
    let bytes = std::fs::read(path).unwrap();
    let object = Object::parse(&bytes).unwrap();
    let types = Btf::parse(object.section_of(SectionKind::Btf).unwrap().data).unwrap();
    let members = members(&types);
    let struct_ops = vec![StructOps { name: "fuse_ops", members: members.clone() }];
    let contract = Contract { struct_ops, kfuncs: &KFUNCS, types: None };
    let file = path.file_name().unwrap().to_string_lossy();
    let file = file.trim_end_matches(".bpf.o");
    // The types of one object are not enough to relocate what was written against others.
    let module = match Module::load(&bytes, &contract, &LoadOptions::default()) {
        Ok(module) => module,
        Err(error) => {
            println!("skipped: {file}: {error}");
            return Vec::new();
        }
    };
    let mut found: Vec<(String, Arc<Program>, Vec<ArgType>)> = Vec::new();
    for (name, program) in module.sets.iter().flat_map(|set| &set.members) {
        // One program may be several members.
        if !found.iter().any(|(_, other, _)| Arc::ptr_eq(other, program)) {
            let args = members.iter().find(|member| member.name == *name).unwrap().args.clone();
            found.push((format!("{file} {name}"), Arc::clone(program), args));
        }
    }
    found
}

pub(crate) fn objects() -> Vec<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../bpf");
    let files =
        ["filters", "tests", "rust"].into_iter().flat_map(|dir| std::fs::read_dir(root.join(dir)).unwrap());
    let mut objects: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    objects.retain(|path| path.extension().is_some_and(|extension| extension == "o"));
    objects.sort();
    objects
}
