//! What a program may be given and may call, as data.
//!
//! The embedder declares its struct_ops types and its kfuncs here; the loader resolves names
//! against them and both the checks at run time and the verifier read the same declarations.

use std::sync::Arc;

use crate::btf::Btf;
use crate::interp::Call;
use crate::interp::FaultKind;
use crate::maps::MapKind;
use crate::mem::Access;

/// Everything an embedder offers to the programs it loads.
#[derive(Debug, Clone, Default)]
pub struct Contract {
    /// The struct_ops types a `.struct_ops` variable may have.
    pub struct_ops: Vec<StructOps>,
    /// Functions programs reach through `__ksym` externs, beside the ones of the machine itself
    /// ([`crate::helpers::KFUNCS`]).
    pub kfuncs: &'static [Callable],
    /// The types CO-RE relocations are resolved against: the layout of what programs are given.
    /// Without, every object's own.
    pub types: Option<Arc<Btf>>,
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
    /// Pointer to a struct of which only some bytes are there for the program: `size` of them, the first at `at`.
    Part {
        /// C name of the struct.
        name: &'static str,
        /// Offset of the first.
        at: usize,
        /// How many.
        size: usize,
        /// Whether the program may store to them.
        access: Access,
    },
    /// An opaque buffer, reached only through kfuncs and dynptrs.
    Buffer {
        /// C name of the buffer's struct, e.g. `fuse_buffer`.
        name: &'static str,
        /// Whether a kfunc may hand out write access.
        access: Access,
    },
    /// A number, by value.
    Scalar {
        /// C type, e.g. `enum fuse_opcode`.
        name: &'static str,
        /// What it always is, where that is known before the program runs.
        value: Option<u64>,
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
    /// What it does beside computing a result from its arguments.
    pub effects: Effects,
    /// The implementation.
    pub run: CallFn,
}

impl Callable {
    /// The number of parameters of [`Callable::proto`], and whether more may follow (`...`).
    pub fn parameters(&self) -> (usize, bool) {
        let list = self.proto.split_once("%s(").map_or("", |(_, rest)| rest.trim_end_matches(')')).trim();
        if matches!(list, "" | "void") {
            return (0, false);
        }
        let count = list.split(',').count();
        if list.ends_with("...") { (count - 1, true) } else { (count, false) }
    }
}

impl std::fmt::Debug for Callable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Callable").field("name", &self.name).field("id", &self.id).finish_non_exhaustive()
    }
}

bitflags::bitflags! {
    /// What running a callable or a program depends on and changes, beside its arguments.
    ///
    /// The verifier adds up the effects of all a program may reach; an embedder decides by them whether an
    /// answer may be remembered. A missing flag is a promise, so when in doubt a flag is set.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct Effects: u16 {
        /// The result can depend on the calling thread: user, group, process, command name.
        const CALLER = 1 << 0;
        /// The result can depend on the time.
        const TIME = 1 << 1;
        /// The result can depend on chance.
        const RANDOM = 1 << 2;
        /// The result can depend on the thread that runs the program (its slot).
        const THREAD = 1 << 3;
        /// The result can depend on what maps hold.
        const MAP_READ = 1 << 4;
        /// What maps hold can change.
        const MAP_WRITE = 1 << 5;
        /// Something is printed, recorded or signalled.
        const OUTPUT = 1 << 6;
        /// The result can depend on the bytes of an embedder's buffer or file.
        const BUFFER_READ = 1 << 7;
        /// The bytes or the length of an embedder's buffer can change.
        const BUFFER_WRITE = 1 << 8;
        /// The thread may sleep: only for programs that may.
        const SLEEPS = 1 << 9;
        /// Memory whose content is not the program's to know can be read (`bpf_probe_read_kernel`).
        const PROBES = 1 << 10;
        /// The bytes of an embedder's buffer can come to lie elsewhere: what was handed out before is a copy.
        const BUFFER_MOVE = 1 << 11;
    }
}

/// What a callable expects in one register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgKind {
    /// Any number.
    Scalar,
    /// Any number or address.
    Any,
    /// A number that is known before the program runs (`__k`).
    Const,
    /// A map of one of these kinds.
    Map(&'static [MapKind]),
    /// Pointer to `key_size` readable bytes of the call's map.
    Key,
    /// Pointer to `value_size` readable bytes of the call's map.
    Value,
    /// As [`ArgKind::Value`], or null.
    ValueOrNull,
    /// Pointer to `value_size` bytes that receive a value of the call's map. If the map is a Bloom filter,
    /// they are only read: it is asked for them.
    ValueOut,
    /// Pointer to memory whose length is in the next register (which must be [`ArgKind::Size`] or
    /// [`ArgKind::ConstSize`]).
    Mem {
        /// What the callable does with it.
        access: Access,
        /// Whether a null pointer (with any size) is allowed.
        nullable: bool,
    },
    /// As [`ArgKind::Mem`] that is only read: the format of a line, for what comes after it.
    Format,
    /// A value for the call's [`ArgKind::Format`], one of up to three after it and its length; it may be missing. A
    /// number; or an address, if the format is known and prints no number there.
    Printed,
    /// As [`ArgKind::Mem`] that is only read, or null: words for the call's [`ArgKind::Format`] or
    /// [`ArgKind::Str`], each as [`ArgKind::Printed`].
    Words,
    /// Length in bytes of the preceding [`ArgKind::Mem`], [`ArgKind::Format`] or [`ArgKind::Words`] (`__sz`).
    Size,
    /// As [`ArgKind::Size`], but known before the program runs (`__szk`).
    ConstSize,
    /// Pointer to exactly this many bytes of memory, e.g. an out-parameter.
    Fixed {
        /// Length in bytes.
        len: usize,
        /// What the callable does with it.
        access: Access,
    },
    /// Pointer to a NUL-terminated string that cannot change: a constant in a read-only map.
    Str,
    /// Pointer to 16 writable bytes of stack that become a dynptr (`__uninit`).
    DynptrUninit(DynptrKind),
    /// Pointer to a dynptr on the stack.
    Dynptr,
    /// Pointer to a dynptr of a ring-buffer record, which the call takes.
    DynptrRecord,
    /// An opaque buffer of the embedder.
    Buffer {
        /// What the callable does with it.
        access: Access,
    },
    /// A ring-buffer record that was reserved and not yet released; the call takes it.
    Record,
    /// A function of the program.
    Function(Callback),
    /// What is handed to the callback: pointer to the stack or null.
    CallbackContext,
    /// Pointer to 8 writable bytes of stack, 8-byte aligned, that become an iterator over numbers. The
    /// bytes are its whole state: two `int`, the last number given and the end.
    IterUninit,
    /// Pointer to an iterator on the stack that is not yet destroyed.
    Iter,
    /// As [`ArgKind::Iter`]; the call destroys it.
    IterDestroy,
    /// Pointer to the `struct bpf_spin_lock` of a map value.
    Lock {
        /// Whether the call takes the lock; else it gives it back.
        take: bool,
    },
    /// The program's own context.
    Context,
    /// Nothing is looked at (`__ign`).
    Ignored,
}

impl ArgKind {
    /// Whether the callable writes to the program's memory by it.
    pub fn writes(self) -> bool {
        match self {
            ArgKind::Mem { access, .. } | ArgKind::Fixed { access, .. } => access == Access::ReadWrite,
            ArgKind::ValueOut | ArgKind::DynptrUninit(_) | ArgKind::IterUninit => true,
            _ => false,
        }
    }
}

/// What a new dynptr describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DynptrKind {
    /// Memory of the program.
    Local,
    /// A buffer of the embedder.
    Buffer,
    /// A ring-buffer record, which must be submitted or discarded.
    Record,
    /// What the call's other dynptr describes.
    Clone,
}

/// How a callable calls a function of the program. It returns 0 to go on and 1 to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callback {
    /// `long f(u64 index, void *ctx)`.
    Loop,
    /// `long f(struct bpf_map *map, const void *key, void *value, void *ctx)`.
    MapElement,
}

/// What R0 holds after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetKind {
    /// A number.
    Scalar,
    /// A number of 32 bits: the engines cut off what the implementation gives beyond.
    Word,
    /// Nothing; R0 is a number of no meaning.
    Void,
    /// A value of the call's map, or null. A map where the values of the call's map are maps.
    ValueOrNull,
    /// A ring-buffer record as long as the call's [`ArgKind::Const`], which must be submitted or discarded; or null.
    RecordOrNull,
    /// Part of the memory of the call's dynptr, as long as its [`ArgKind::ConstSize`] or [`ArgKind::Const`]; or null.
    SliceOrNull {
        /// Whether the program may store to it.
        access: Access,
    },
    /// The element of the call's iterator, a read-only `int`, or null when there are no more.
    ElementOrNull,
}

impl RetKind {
    /// Whether R0 is an address or null.
    pub fn is_pointer(self) -> bool {
        !matches!(self, RetKind::Scalar | RetKind::Word | RetKind::Void)
    }
}
