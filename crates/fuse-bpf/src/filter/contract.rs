//! What the machine is told of `struct fuse_ops`: made from the table of operations.

use fuse_bpf_vm::contract::{
    ArgKind, ArgType, Callable, Contract, DynptrKind, Effects, Member, RetKind, StructOps,
};
use fuse_bpf_vm::host::Refused;
use fuse_bpf_vm::interp::{Call, Dynptr, FaultKind};
use fuse_bpf_vm::mem::Access;

use super::family::{FAMILIES, FUSE_FILTER};
use super::types::types;
use crate::abi::{Wire, bpf_fuse_meta_info};
use crate::errno::Errno;
use crate::ops::{FILTERS, Filter, OutArg};

/// Name of the struct_ops type.
pub const FUSE_OPS: &str = "fuse_ops";
/// Member that is asked where a set has no program.
pub const DEFAULT_FILTER: &str = "default_filter";

/// Before or after the backing operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Before.
    Pre,
    /// After.
    Post,
}

impl Stage {
    /// What the member's name ends in.
    pub fn suffix(self) -> &'static str {
        match self {
            Stage::Pre => "_prefilter",
            Stage::Post => "_postfilter",
        }
    }
}

/// The arguments of one member, as (type, name in the C prototype).
pub fn arguments(filter: &Filter, stage: Stage) -> Vec<(ArgType, &'static str)> {
    let access = match stage {
        Stage::Pre => Access::ReadWrite,
        Stage::Post => Access::Read,
    };
    let mut args = vec![meta()];
    if let Some(desc) = filter.input {
        args.push((ArgType::Struct { name: desc.name, size: desc.size, access }, "in"));
    }
    let buffers = |extension: bool| {
        let own = filter.buffers.iter().filter(move |buffer| buffer.extension == extension);
        own.map(move |buffer| (ArgType::Buffer { name: "fuse_buffer", access }, buffer.name))
    };
    args.extend(buffers(false));
    if stage == Stage::Post {
        args.extend(filter.outs.iter().map(|out| match out {
            OutArg::Struct { name, desc } => {
                (ArgType::Struct { name: desc.name, size: desc.size, access: Access::ReadWrite }, *name)
            }
            OutArg::Buffer { name, .. } => {
                (ArgType::Buffer { name: "fuse_buffer", access: Access::ReadWrite }, *name)
            }
        }));
    }
    // Programs written for the series take what it has, in its order.
    args.extend(buffers(true));
    args
}

fn meta() -> (ArgType, &'static str) {
    let desc = bpf_fuse_meta_info::DESC;
    (ArgType::Struct { name: desc.name, size: desc.size, access: Access::Read }, "meta")
}

/// The members of `struct fuse_ops` in order, with their arguments as (type, name in the C prototype).
pub fn members() -> Vec<(String, Vec<(ArgType, &'static str)>)> {
    let mut members = vec![(DEFAULT_FILTER.to_owned(), vec![meta()])];
    for filter in FILTERS {
        for stage in [Stage::Pre, Stage::Post] {
            members.push((format!("{}{}", filter.member, stage.suffix()), arguments(filter, stage)));
        }
    }
    members
}

/// The contract of filters: `struct fuse_ops`, its kfuncs and the types of both.
pub fn contract() -> Contract {
    let plain = |args: Vec<(ArgType, _)>| args.into_iter().map(|(arg, _)| arg).collect();
    let members = members().into_iter().map(|(name, args)| Member { name, args: plain(args) }).collect();
    let struct_ops = vec![StructOps { name: FUSE_OPS, members }, families()];
    Contract { struct_ops, kfuncs: KFUNCS, types: Some(types()) }
}

/// `struct fuse_filter`. What its programs are given is another thing for each operation, and `proof` knows it; the
/// loader asks for the names.
fn families() -> StructOps {
    let mut members = vec![Member { name: DEFAULT_FILTER.to_owned(), args: Vec::new() }];
    members.extend(FAMILIES.iter().map(|family| Member { name: family.member.to_owned(), args: Vec::new() }));
    StructOps { name: FUSE_FILTER, members }
}

/// What writes to a buffer in other memory than before.
const MOVES: Effects = Effects::BUFFER_READ.union(Effects::BUFFER_WRITE).union(Effects::BUFFER_MOVE);

/// The kfuncs of the series (spec section 4.1), and those that were asked for in its review: dynptrs of buffers as
/// of other memory, with what makes a copy apart from them.
pub static KFUNCS: &[Callable] = &[
    Callable {
        name: "bpf_fuse_get_ro_dynptr",
        id: 0,
        proto: "void %s(const struct fuse_buffer *buffer, struct bpf_dynptr *dynptr__uninit)",
        args: &[ArgKind::Buffer { access: Access::Read }, ArgKind::DynptrUninit(DynptrKind::Buffer)],
        ret: RetKind::Void,
        effects: Effects::BUFFER_READ,
        run: get_ro_dynptr,
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
        effects: MOVES,
        run: get_rw_dynptr,
    },
    Callable {
        name: "bpf_fuse_return_len",
        id: 0,
        proto: "uint32_t %s(struct fuse_buffer *buffer)",
        args: &[ArgKind::Buffer { access: Access::Read }],
        ret: RetKind::Word,
        effects: Effects::BUFFER_READ,
        run: return_len,
    },
    Callable {
        name: "bpf_fuse_read_file",
        id: 0,
        proto: "int %s(void *dst, uint32_t dst__sz, uint64_t offset)",
        args: &[ArgKind::Mem { access: Access::ReadWrite, nullable: false }, ArgKind::Size, ArgKind::Scalar],
        ret: RetKind::Scalar,
        effects: Effects::BUFFER_READ,
        run: read_file,
    },
    Callable {
        name: "bpf_fuse_set_error_out",
        id: 0,
        proto: "int %s(int error)",
        args: &[ArgKind::Scalar],
        ret: RetKind::Scalar,
        effects: Effects::OUTPUT,
        run: set_error_out,
    },
    Callable {
        name: "bpf_dynptr_from_fuse_buffer_ro",
        id: 0,
        proto: "int %s(const struct fuse_buffer *buffer, uint64_t flags, struct bpf_dynptr *dynptr__uninit)",
        args: &[
            ArgKind::Buffer { access: Access::Read },
            ArgKind::Scalar,
            ArgKind::DynptrUninit(DynptrKind::Buffer),
        ],
        ret: RetKind::Scalar,
        effects: Effects::BUFFER_READ,
        run: dynptr_ro,
    },
    Callable {
        name: "bpf_dynptr_from_fuse_buffer_rw",
        id: 0,
        proto: "int %s(struct fuse_buffer *buffer, uint64_t flags, struct bpf_dynptr *dynptr__uninit)",
        args: &[
            ArgKind::Buffer { access: Access::ReadWrite },
            ArgKind::Scalar,
            ArgKind::DynptrUninit(DynptrKind::Buffer),
        ],
        ret: RetKind::Scalar,
        effects: Effects::BUFFER_READ.union(Effects::BUFFER_WRITE),
        run: dynptr_rw,
    },
    Callable {
        name: "bpf_fuse_buffer_resize",
        id: 0,
        proto: "int %s(struct fuse_buffer *buffer, uint32_t size)",
        args: &[ArgKind::Buffer { access: Access::ReadWrite }, ArgKind::Scalar],
        ret: RetKind::Scalar,
        effects: MOVES,
        run: resize,
    },
];

fn get_ro_dynptr(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let window = call.buffer(0)?.read();
    call.set_dynptr(1, Dynptr::new(window))?;
    Ok(0)
}

fn get_rw_dynptr(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let size = usize::try_from(call.scalar(2)).unwrap_or(usize::MAX);
    let copy = call.scalar(3) & 1 != 0;
    let window = call.buffer(0)?.write(size, copy);
    call.set_dynptr(1, window.and_then(Dynptr::new))?;
    Ok(0)
}

/// Most bytes one call reads from a file.
const READ_FILE: usize = 4096;

fn read_file(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let (to, offset) = (call.required(0)?, call.scalar(2));
    let mut bytes = [0; READ_FILE];
    let part = bytes.get_mut(..to.len().min(READ_FILE)).unwrap_or_default();
    call.charge(part.len() as u64 / 8);
    let read = call.host().read_file(offset, part);
    // What is not read is zero.
    let written = to.write(0, part);
    debug_assert!(written, "it was lent to be written");
    Ok(read.map_or(i64::from(-libc::EBADF).cast_unsigned(), |read| read as u64))
}

fn set_error_out(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let result = call.scalar(0) as i32;
    let done = call.host().set_result(result);
    Ok(if done { 0 } else { i64::from(-libc::EINVAL).cast_unsigned() })
}

fn return_len(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    Ok(call.buffer(0)?.len() as u64)
}

/// What R0 holds for an error.
fn fail(error: Errno) -> u64 {
    i64::from(error.raw()).wrapping_neg() as u64
}

fn refused(refused: Refused) -> u64 {
    fail(match refused {
        Refused::Immutable => Errno::EPERM,
        Refused::Lent => Errno::EINVAL,
        Refused::TooLarge => Errno::E2BIG,
    })
}

fn dynptr_ro(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let dynptr = match call.scalar(1) {
        0 => Dynptr::new(call.buffer(0)?.read()),
        _ => None,
    };
    call.set_dynptr(2, dynptr)?;
    Ok(if dynptr.is_some() { 0 } else { fail(Errno::EINVAL) })
}

fn dynptr_rw(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let window = match call.scalar(1) {
        0 => call.buffer(0)?.edit().map_err(refused),
        _ => Err(fail(Errno::EINVAL)),
    };
    let made = window.and_then(|window| Dynptr::new(window).ok_or(fail(Errno::E2BIG)));
    call.set_dynptr(2, made.ok())?;
    Ok(made.err().unwrap_or(0))
}

fn resize(call: &mut Call<'_, '_>) -> Result<u64, FaultKind> {
    let size = call.scalar(1) as u32;
    // Copying is work.
    call.charge(u64::from(size.min(1 << 16)) / 64);
    Ok(call.buffer(0)?.resize(size as usize).map_or_else(refused, |()| 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_has_all_65_members() {
        let contract = contract();
        assert_eq!(contract.struct_ops[0].members.len(), 65);
    }

    #[test]
    fn a_postfilter_gets_const_inputs_and_writable_outputs() {
        let member = arguments(&crate::ops::CREATE_OPEN, Stage::Post);
        let names: Vec<_> = member.iter().map(|(_, name)| *name).collect();
        assert_eq!(names, ["meta", "in", "name", "entry_out", "out"]);
        assert!(matches!(member[1].0, ArgType::Struct { access: Access::Read, .. }));
        assert!(matches!(member[3].0, ArgType::Struct { access: Access::ReadWrite, .. }));
    }
}
