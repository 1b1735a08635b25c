//! What a program may be given and may call, as data.
//!
//! The embedder declares its struct_ops types and its kfuncs here; the loader resolves names
//! against them and both the checks at run time and the verifier read the same declarations.

use crate::interp::Call;
use crate::interp::FaultKind;
use crate::mem::Access;

/// Everything an embedder offers to the programs it loads.
#[derive(Debug, Clone, Default)]
pub struct Contract {
    /// The struct_ops types a `.struct_ops` variable may have.
    pub struct_ops: Vec<StructOps>,
    /// Functions programs reach through `__ksym` externs, beside the ones of the machine itself
    /// ([`crate::helpers::KFUNCS`]).
    pub kfuncs: &'static [Callable],
}

/// One struct_ops type: a C struct whose function pointers are programs.
#[derive(Debug, Clone)]
pub struct StructOps {
    /// Name of the C struct, e.g. `fuse_ops`.
    pub name: &'static str,
    /// The members that may be programs. A member of the object's own BTF type that is missing
    /// here is an error unless it is null.
    pub members: Vec<Member>,
}

/// One function pointer of a struct_ops type.
#[derive(Debug, Clone)]
pub struct Member {
    /// Member name; objects are matched by it, never by offset.
    pub name: String,
    /// The arguments in order; the context of a program is an array of one `u64` for each.
    pub args: Vec<ArgType>,
}

/// The type of one struct_ops argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArgType {
    /// Pointer to a struct of `size` bytes.
    Struct {
        /// C name of the struct.
        name: &'static str,
        /// Size in bytes.
        size: usize,
        /// Whether the program may store to it.
        access: Access,
    },
    /// An opaque buffer, reached only through kfuncs and dynptrs.
    Buffer {
        /// C name of the buffer's struct, e.g. `fuse_buffer`.
        name: &'static str,
        /// Whether a kfunc may hand out write access.
        access: Access,
    },
}

/// The implementation of a helper or kfunc.
pub type CallFn = for<'c, 'r> fn(&mut Call<'c, 'r>) -> Result<u64, FaultKind>;

/// A helper or kfunc: its name, number, signature and implementation, declared once.
#[derive(Clone, Copy)]
pub struct Callable {
    /// Name as programs write it.
    pub name: &'static str,
    /// Helper number of `enum bpf_func_id`; 0 for a kfunc, which is resolved by name.
    pub id: u32,
    /// The C prototype without name and semicolon split off: `long %s(void *map, const void *key)`;
    /// `%s` stands for the name. The C headers are generated from it.
    pub proto: &'static str,
    /// The kinds of R1 to R5. Shorter than five when fewer are used.
    pub args: &'static [ArgKind],
    /// What R0 holds afterwards.
    pub ret: RetKind,
    /// The implementation.
    pub run: CallFn,
}

impl std::fmt::Debug for Callable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Callable").field("name", &self.name).field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a callable expects in one register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgKind {
    /// Any number.
    Scalar,
    /// A map.
    Map,
    /// Pointer to `key_size` readable bytes of the call's map.
    Key,
    /// Pointer to `value_size` readable bytes of the call's map.
    Value,
    /// Pointer to memory whose length is in the next register (which must be [`ArgKind::Size`]).
    Mem {
        /// What the callable does with it.
        access: Access,
        /// Whether a null pointer (with any size) is allowed.
        nullable: bool,
    },
    /// Length in bytes of the preceding [`ArgKind::Mem`].
    Size,
    /// Pointer to exactly this many bytes of memory, e.g. an out-parameter.
    Fixed {
        /// Length in bytes.
        len: usize,
        /// What the callable does with it.
        access: Access,
    },
    /// Pointer to a NUL-terminated string.
    Str,
    /// Pointer to 16 writable bytes of stack that become a dynptr.
    DynptrUninit,
    /// Pointer to a dynptr on the stack.
    Dynptr,
    /// An opaque buffer of the embedder.
    Buffer,
    /// A ring-buffer record that was reserved and not yet released.
    Record,
}

/// What R0 holds after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetKind {
    /// A number.
    Scalar,
    /// Nothing; R0 is zero.
    Void,
    /// A pointer into memory of the machine (map value, record, slice) or null.
    PointerOrNull,
}
