//! Helpers and kfuncs of the machine itself.
//!
//! Each is declared once, in the tables here: the loader resolves names and numbers by them, the
//! interpreter checks arguments by them, and the C headers are generated from them. Numbers and
//! semantics are those of `linux/bpf.h`; where Linux leaves a case to its verifier, the interpreter's
//! checks take its place.

use crate::contract::{ArgKind, Callable, Callback, DynptrKind, Effects, RetKind};
use crate::maps::MapKind;
use crate::mem::{Access, Window};

mod dynptr;
mod flow;
mod format;
mod map;
mod system;
mod text;

pub(crate) use format::{Printed, printed};
#[cfg(feature = "jit")]
pub(crate) use map::with_key;
pub(crate) use text::MAX_FORMAT;

/// Errors helpers return, as negative numbers in R0.
mod errno {
    pub(super) const EPERM: i32 = 1;
    pub(super) const ENOENT: i32 = 2;
    pub(super) const E2BIG: i32 = 7;
    pub(super) const EAGAIN: i32 = 11;
    pub(super) const EFAULT: i32 = 14;
    pub(super) const EINVAL: i32 = 22;
    pub(super) const ERANGE: i32 = 34;

    /// What R0 holds for an error.
    pub(super) fn fail(errno: i32) -> u64 {
        i64::from(-errno) as u64
    }
}

/// Zeroes memory that a call was given to write to and does not: the verifier takes it for written, so what it held
/// before, addresses for instance, must not be there any more.
fn wipe(memory: Window<'_>) {
    let zeros = [0; 64];
    for off in (0..memory.len()).step_by(zeros.len()) {
        if !memory.write(off, &zeros[..zeros.len().min(memory.len() - off)]) {
            return;
        }
    }
}

const fn mem(access: Access) -> ArgKind {
    ArgKind::Mem { access, nullable: false }
}

const fn mem_or_null(access: Access) -> ArgKind {
    ArgKind::Mem { access, nullable: true }
}

/// Maps in which values are found by a key.
const LOOKED_UP: ArgKind = ArgKind::Map(&[
    MapKind::Hash,
    MapKind::Array,
    MapKind::PerCpuHash,
    MapKind::PerCpuArray,
    MapKind::LruHash,
    MapKind::LruPerCpuHash,
    MapKind::LpmTrie,
    MapKind::ArrayOfMaps,
    MapKind::HashOfMaps,
]);
/// Maps whose entries are changed by a key.
const ENTRIES: ArgKind = ArgKind::Map(&[
    MapKind::Hash,
    MapKind::Array,
    MapKind::PerCpuHash,
    MapKind::PerCpuArray,
    MapKind::LruHash,
    MapKind::LruPerCpuHash,
    MapKind::LpmTrie,
]);
/// Maps whose entries can be gone through.
const VISITED: ArgKind = ArgKind::Map(&[
    MapKind::Hash,
    MapKind::Array,
    MapKind::PerCpuHash,
    MapKind::PerCpuArray,
    MapKind::LruHash,
    MapKind::LruPerCpuHash,
]);
const PER_CPU: ArgKind = ArgKind::Map(&[MapKind::PerCpuHash, MapKind::PerCpuArray, MapKind::LruPerCpuHash]);
const QUEUES: ArgKind = ArgKind::Map(&[MapKind::Queue, MapKind::Stack]);
const QUEUES_AND_BLOOM: ArgKind = ArgKind::Map(&[MapKind::Queue, MapKind::Stack, MapKind::Bloom]);
const PROGRAMS: ArgKind = ArgKind::Map(&[MapKind::ProgArray]);
const STORAGE: ArgKind = ArgKind::Map(&[MapKind::InodeStorage]);
const RING: ArgKind = ArgKind::Map(&[MapKind::RingBuf]);

const DYNPTR_LOCAL: ArgKind = ArgKind::DynptrUninit(DynptrKind::Local);
const DYNPTR_RECORD: ArgKind = ArgKind::DynptrUninit(DynptrKind::Record);
const DYNPTR_CLONE: ArgKind = ArgKind::DynptrUninit(DynptrKind::Clone);

use Access::{Read, ReadWrite};
use ArgKind::{
    CallbackContext, Const, ConstSize, Context, Dynptr, DynptrRecord, Fixed, Function, Ignored, Iter,
    IterDestroy, IterUninit, Key, Lock, Record, Scalar as Number, Size, Str, Value, ValueOrNull, ValueOut,
};

const MAP_CHANGES: Effects = Effects::MAP_READ.union(Effects::MAP_WRITE);

/// Helpers by number, ascending.
pub static HELPERS: &[Callable] = HELPER_TABLE;

const HELPER_TABLE: &[Callable] = &[
    Callable {
        name: "bpf_map_lookup_elem",
        id: 1,
        proto: "void *%s(void *map, const void *key)",
        args: &[LOOKED_UP, Key],
        ret: RetKind::ValueOrNull,
        effects: Effects::MAP_READ,
        run: map::lookup,
    },
    Callable {
        name: "bpf_map_update_elem",
        id: 2,
        proto: "long %s(void *map, const void *key, const void *value, __u64 flags)",
        args: &[ENTRIES, Key, Value, Number],
        ret: RetKind::Scalar,
        effects: MAP_CHANGES,
        run: map::update,
    },
    Callable {
        name: "bpf_map_delete_elem",
        id: 3,
        proto: "long %s(void *map, const void *key)",
        args: &[ENTRIES, Key],
        ret: RetKind::Scalar,
        effects: MAP_CHANGES,
        run: map::delete,
    },
    Callable {
        name: "bpf_probe_read",
        id: 4,
        proto: "long %s(void *dst, __u32 size, const void *unsafe_ptr)",
        args: &[mem(ReadWrite), Size, ArgKind::Any],
        ret: RetKind::Scalar,
        effects: Effects::PROBES,
        run: system::probe_read_kernel,
    },
    Callable {
        name: "bpf_ktime_get_ns",
        id: 5,
        proto: "__u64 %s(void)",
        args: &[],
        ret: RetKind::Scalar,
        effects: Effects::TIME,
        run: system::ktime_get_ns,
    },
    Callable {
        name: "bpf_trace_printk",
        id: 6,
        proto: "long %s(const char *fmt, __u32 fmt_size, ...)",
        args: &[ArgKind::Format, Size, ArgKind::Printed, ArgKind::Printed, ArgKind::Printed],
        ret: RetKind::Scalar,
        effects: Effects::OUTPUT,
        run: text::trace_printk,
    },
    Callable {
        name: "bpf_get_prandom_u32",
        id: 7,
        proto: "__u32 %s(void)",
        args: &[],
        ret: RetKind::Word,
        effects: Effects::RANDOM,
        run: system::get_prandom_u32,
    },
    Callable {
        name: "bpf_get_smp_processor_id",
        id: 8,
        proto: "__u32 %s(void)",
        args: &[],
        ret: RetKind::Word,
        effects: Effects::THREAD,
        run: system::get_smp_processor_id,
    },
    Callable {
        name: "bpf_tail_call",
        id: 12,
        proto: "long %s(void *ctx, void *prog_array_map, __u32 index)",
        args: &[Context, PROGRAMS, Number],
        ret: RetKind::Scalar,
        effects: Effects::MAP_READ,
        run: flow::tail_call,
    },
    Callable {
        name: "bpf_get_current_pid_tgid",
        id: 14,
        proto: "__u64 %s(void)",
        args: &[],
        ret: RetKind::Scalar,
        effects: Effects::CALLER,
        run: system::get_current_pid_tgid,
    },
    Callable {
        name: "bpf_get_current_uid_gid",
        id: 15,
        proto: "__u64 %s(void)",
        args: &[],
        ret: RetKind::Scalar,
        effects: Effects::CALLER,
        run: system::get_current_uid_gid,
    },
    Callable {
        name: "bpf_get_current_comm",
        id: 16,
        proto: "long %s(void *buf, __u32 size_of_buf)",
        args: &[mem(ReadWrite), Size],
        ret: RetKind::Scalar,
        effects: Effects::CALLER,
        run: system::get_current_comm,
    },
    Callable {
        name: "bpf_probe_read_str",
        id: 45,
        proto: "long %s(void *dst, __u32 size, const void *unsafe_ptr)",
        args: &[mem(ReadWrite), Size, ArgKind::Any],
        ret: RetKind::Scalar,
        effects: Effects::PROBES,
        run: system::probe_read_kernel_str,
    },
    Callable {
        name: "bpf_get_current_cgroup_id",
        id: 80,
        proto: "__u64 %s(void)",
        args: &[],
        ret: RetKind::Scalar,
        effects: Effects::CALLER,
        run: system::get_current_cgroup_id,
    },
    Callable {
        name: "bpf_map_push_elem",
        id: 87,
        proto: "long %s(void *map, const void *value, __u64 flags)",
        args: &[QUEUES_AND_BLOOM, Value, Number],
        ret: RetKind::Scalar,
        effects: MAP_CHANGES,
        run: map::push,
    },
    Callable {
        name: "bpf_map_pop_elem",
        id: 88,
        proto: "long %s(void *map, void *value)",
        args: &[QUEUES, ValueOut],
        ret: RetKind::Scalar,
        effects: MAP_CHANGES,
        run: map::pop,
    },
    Callable {
        name: "bpf_map_peek_elem",
        id: 89,
        proto: "long %s(void *map, void *value)",
        args: &[QUEUES_AND_BLOOM, ValueOut],
        ret: RetKind::Scalar,
        effects: Effects::MAP_READ,
        run: map::peek,
    },
    Callable {
        name: "bpf_spin_lock",
        id: 93,
        proto: "long %s(struct bpf_spin_lock *lock)",
        args: &[Lock { take: true }],
        ret: RetKind::Scalar,
        effects: Effects::empty(),
        run: map::spin_lock,
    },
    Callable {
        name: "bpf_spin_unlock",
        id: 94,
        proto: "long %s(struct bpf_spin_lock *lock)",
        args: &[Lock { take: false }],
        ret: RetKind::Scalar,
        effects: Effects::empty(),
        run: map::spin_unlock,
    },
    Callable {
        name: "bpf_strtol",
        id: 105,
        proto: "long %s(const char *buf, unsigned long buf_len, __u64 flags, long *res)",
        args: &[mem(Read), Size, Number, Fixed { len: 8, access: ReadWrite }],
        ret: RetKind::Scalar,
        effects: Effects::empty(),
        run: text::strtol,
    },
    Callable {
        name: "bpf_strtoul",
        id: 106,
        proto: "long %s(const char *buf, unsigned long buf_len, __u64 flags, unsigned long *res)",
        args: &[mem(Read), Size, Number, Fixed { len: 8, access: ReadWrite }],
        ret: RetKind::Scalar,
        effects: Effects::empty(),
        run: text::strtoul,
    },
    Callable {
        name: "bpf_probe_read_kernel",
        id: 113,
        proto: "long %s(void *dst, __u32 size, const void *unsafe_ptr)",
        args: &[mem(ReadWrite), Size, ArgKind::Any],
        ret: RetKind::Scalar,
        effects: Effects::PROBES,
        run: system::probe_read_kernel,
    },
    Callable {
        name: "bpf_probe_read_kernel_str",
        id: 115,
        proto: "long %s(void *dst, __u32 size, const void *unsafe_ptr)",
        args: &[mem(ReadWrite), Size, ArgKind::Any],
        ret: RetKind::Scalar,
        effects: Effects::PROBES,
        run: system::probe_read_kernel_str,
    },
    Callable {
        name: "bpf_get_current_ancestor_cgroup_id",
        id: 123,
        proto: "__u64 %s(int ancestor_level)",
        args: &[Number],
        ret: RetKind::Scalar,
        effects: Effects::CALLER,
        run: system::get_current_ancestor_cgroup_id,
    },
    Callable {
        name: "bpf_ktime_get_boot_ns",
        id: 125,
        proto: "__u64 %s(void)",
        args: &[],
        ret: RetKind::Scalar,
        effects: Effects::TIME,
        run: system::ktime_get_boot_ns,
    },
    Callable {
        name: "bpf_ringbuf_output",
        id: 130,
        proto: "long %s(void *ringbuf, void *data, __u64 size, __u64 flags)",
        args: &[RING, mem(Read), Size, Number],
        ret: RetKind::Scalar,
        effects: Effects::OUTPUT,
        run: map::ringbuf_output,
    },
    Callable {
        name: "bpf_ringbuf_reserve",
        id: 131,
        proto: "void *%s(void *ringbuf, __u64 size, __u64 flags)",
        args: &[RING, Const, Number],
        ret: RetKind::RecordOrNull,
        effects: Effects::OUTPUT,
        run: map::ringbuf_reserve,
    },
    Callable {
        name: "bpf_ringbuf_submit",
        id: 132,
        proto: "void %s(void *data, __u64 flags)",
        args: &[Record, Number],
        ret: RetKind::Void,
        effects: Effects::OUTPUT,
        run: map::ringbuf_submit,
    },
    Callable {
        name: "bpf_ringbuf_discard",
        id: 133,
        proto: "void %s(void *data, __u64 flags)",
        args: &[Record, Number],
        ret: RetKind::Void,
        effects: Effects::OUTPUT,
        run: map::ringbuf_discard,
    },
    Callable {
        name: "bpf_ringbuf_query",
        id: 134,
        proto: "__u64 %s(void *ringbuf, __u64 flags)",
        args: &[RING, Number],
        ret: RetKind::Scalar,
        effects: Effects::MAP_READ,
        run: map::ringbuf_query,
    },
    Callable {
        name: "bpf_inode_storage_get",
        id: 145,
        proto: "void *%s(void *map, void *inode__ign, void *value, __u64 flags)",
        args: &[STORAGE, Ignored, ValueOrNull, Number],
        ret: RetKind::ValueOrNull,
        effects: MAP_CHANGES,
        run: map::inode_storage_get,
    },
    Callable {
        name: "bpf_inode_storage_delete",
        id: 146,
        proto: "int %s(void *map, void *inode__ign)",
        args: &[STORAGE, Ignored],
        ret: RetKind::Scalar,
        effects: MAP_CHANGES,
        run: map::inode_storage_delete,
    },
    Callable {
        name: "bpf_ktime_get_coarse_ns",
        id: 160,
        proto: "__u64 %s(void)",
        args: &[],
        ret: RetKind::Scalar,
        effects: Effects::TIME,
        run: system::ktime_get_coarse_ns,
    },
    Callable {
        name: "bpf_for_each_map_elem",
        id: 164,
        proto: "long %s(void *map, void *callback_fn, void *callback_ctx, __u64 flags)",
        args: &[VISITED, Function(Callback::MapElement), CallbackContext, Number],
        ret: RetKind::Scalar,
        effects: Effects::MAP_READ,
        run: flow::for_each_map_elem,
    },
    Callable {
        name: "bpf_snprintf",
        id: 165,
        proto: "long %s(char *str, __u32 str_size, const char *fmt, __u64 *data, __u32 data_len)",
        args: &[mem_or_null(ReadWrite), Size, Str, ArgKind::Words, Size],
        ret: RetKind::Scalar,
        effects: Effects::empty(),
        run: text::snprintf,
    },
    Callable {
        name: "bpf_trace_vprintk",
        id: 177,
        proto: "long %s(const char *fmt, __u32 fmt_size, const void *data, __u32 data_len)",
        args: &[ArgKind::Format, Size, ArgKind::Words, Size],
        ret: RetKind::Scalar,
        effects: Effects::OUTPUT,
        run: text::trace_vprintk,
    },
    Callable {
        name: "bpf_loop",
        id: 181,
        proto: "long %s(__u32 nr_loops, void *callback_fn, void *callback_ctx, __u64 flags)",
        args: &[Number, Function(Callback::Loop), CallbackContext, Number],
        ret: RetKind::Scalar,
        effects: Effects::empty(),
        run: flow::loops,
    },
    Callable {
        name: "bpf_strncmp",
        id: 182,
        proto: "long %s(const char *s1, __u32 s1_sz, const char *s2)",
        args: &[mem(Read), Size, Str],
        ret: RetKind::Scalar,
        effects: Effects::empty(),
        run: text::strncmp,
    },
    Callable {
        name: "bpf_map_lookup_percpu_elem",
        id: 195,
        proto: "void *%s(void *map, const void *key, __u32 cpu)",
        args: &[PER_CPU, Key, Number],
        ret: RetKind::ValueOrNull,
        effects: Effects::MAP_READ,
        run: map::lookup_percpu,
    },
    Callable {
        name: "bpf_dynptr_from_mem",
        id: 197,
        proto: "long %s(void *data, __u32 size, __u64 flags, struct bpf_dynptr *ptr)",
        args: &[mem(ReadWrite), Size, Number, DYNPTR_LOCAL],
        ret: RetKind::Scalar,
        effects: Effects::empty(),
        run: dynptr::from_mem,
    },
    Callable {
        name: "bpf_ringbuf_reserve_dynptr",
        id: 198,
        proto: "long %s(void *ringbuf, __u32 size, __u64 flags, struct bpf_dynptr *ptr)",
        args: &[RING, Number, Number, DYNPTR_RECORD],
        ret: RetKind::Scalar,
        effects: Effects::OUTPUT,
        run: map::ringbuf_reserve_dynptr,
    },
    Callable {
        name: "bpf_ringbuf_submit_dynptr",
        id: 199,
        proto: "void %s(struct bpf_dynptr *ptr, __u64 flags)",
        args: &[DynptrRecord, Number],
        ret: RetKind::Void,
        effects: Effects::OUTPUT,
        run: map::ringbuf_submit_dynptr,
    },
    Callable {
        name: "bpf_ringbuf_discard_dynptr",
        id: 200,
        proto: "void %s(struct bpf_dynptr *ptr, __u64 flags)",
        args: &[DynptrRecord, Number],
        ret: RetKind::Void,
        effects: Effects::OUTPUT,
        run: map::ringbuf_discard_dynptr,
    },
    Callable {
        name: "bpf_dynptr_read",
        id: 201,
        proto: "long %s(void *dst, __u32 len, const struct bpf_dynptr *src, __u32 offset, __u64 flags)",
        args: &[mem(ReadWrite), Size, Dynptr, Number, Number],
        ret: RetKind::Scalar,
        effects: Effects::empty(),
        run: dynptr::read,
    },
    Callable {
        name: "bpf_dynptr_write",
        id: 202,
        proto: "long %s(const struct bpf_dynptr *dst, __u32 offset, void *src, __u32 len, __u64 flags)",
        args: &[Dynptr, Number, mem(Read), Size, Number],
        ret: RetKind::Scalar,
        effects: Effects::empty(),
        run: dynptr::write,
    },
    Callable {
        name: "bpf_dynptr_data",
        id: 203,
        proto: "void *%s(const struct bpf_dynptr *ptr, __u32 offset, __u32 len)",
        args: &[Dynptr, Number, Const],
        ret: RetKind::SliceOrNull { access: ReadWrite },
        effects: Effects::empty(),
        run: dynptr::data,
    },
    Callable {
        name: "bpf_ktime_get_tai_ns",
        id: 208,
        proto: "__u64 %s(void)",
        args: &[],
        ret: RetKind::Scalar,
        effects: Effects::TIME,
        run: system::ktime_get_tai_ns,
    },
];

/// Kfuncs of the machine.
pub static KFUNCS: &[Callable] = &[
    Callable {
        name: "bpf_dynptr_slice",
        id: 0,
        proto: "void *%s(const struct bpf_dynptr *ptr, __u64 offset, void *buffer__opt, __u64 buffer__szk)",
        args: &[Dynptr, Number, mem_or_null(ReadWrite), ConstSize],
        ret: RetKind::SliceOrNull { access: Read },
        effects: Effects::empty(),
        run: dynptr::slice,
    },
    Callable {
        name: "bpf_dynptr_slice_rdwr",
        id: 0,
        proto: "void *%s(const struct bpf_dynptr *ptr, __u64 offset, void *buffer__opt, __u64 buffer__szk)",
        args: &[Dynptr, Number, mem_or_null(ReadWrite), ConstSize],
        ret: RetKind::SliceOrNull { access: ReadWrite },
        effects: Effects::empty(),
        run: dynptr::slice_rdwr,
    },
    Callable {
        name: "bpf_dynptr_size",
        id: 0,
        proto: "__u64 %s(const struct bpf_dynptr *ptr)",
        args: &[Dynptr],
        ret: RetKind::Scalar,
        effects: Effects::empty(),
        run: dynptr::size,
    },
    Callable {
        name: "bpf_dynptr_is_null",
        id: 0,
        proto: "_Bool %s(const struct bpf_dynptr *ptr)",
        args: &[Dynptr],
        ret: RetKind::Word,
        effects: Effects::empty(),
        run: dynptr::is_null,
    },
    Callable {
        name: "bpf_dynptr_is_rdonly",
        id: 0,
        proto: "_Bool %s(const struct bpf_dynptr *ptr)",
        args: &[Dynptr],
        ret: RetKind::Word,
        effects: Effects::empty(),
        run: dynptr::is_rdonly,
    },
    Callable {
        name: "bpf_dynptr_adjust",
        id: 0,
        proto: "int %s(const struct bpf_dynptr *ptr, __u64 start, __u64 end)",
        args: &[Dynptr, Number, Number],
        ret: RetKind::Scalar,
        effects: Effects::empty(),
        run: dynptr::adjust,
    },
    Callable {
        name: "bpf_dynptr_clone",
        id: 0,
        proto: "int %s(const struct bpf_dynptr *ptr, struct bpf_dynptr *clone__uninit)",
        args: &[Dynptr, DYNPTR_CLONE],
        ret: RetKind::Scalar,
        effects: Effects::empty(),
        run: dynptr::clone,
    },
    Callable {
        name: "bpf_dynptr_copy",
        id: 0,
        proto: "int %s(struct bpf_dynptr *dst_ptr, __u64 dst_off, struct bpf_dynptr *src_ptr, __u64 src_off, __u64 size)",
        args: &[Dynptr, Number, Dynptr, Number, Number],
        ret: RetKind::Scalar,
        effects: Effects::empty(),
        run: dynptr::copy,
    },
    Callable {
        name: "bpf_dynptr_memset",
        id: 0,
        proto: "int %s(struct bpf_dynptr *ptr, __u64 offset, __u64 size, __u8 val)",
        args: &[Dynptr, Number, Number, Number],
        ret: RetKind::Scalar,
        effects: Effects::empty(),
        run: dynptr::memset,
    },
    Callable {
        name: "bpf_iter_num_new",
        id: 0,
        proto: "int %s(struct bpf_iter_num *it, int start, int end)",
        args: &[IterUninit, Number, Number],
        ret: RetKind::Scalar,
        effects: Effects::empty(),
        run: flow::iter_num_new,
    },
    Callable {
        name: "bpf_iter_num_next",
        id: 0,
        proto: "int *%s(struct bpf_iter_num *it)",
        args: &[Iter],
        ret: RetKind::ElementOrNull,
        effects: Effects::empty(),
        run: flow::iter_num_next,
    },
    Callable {
        name: "bpf_iter_num_destroy",
        id: 0,
        proto: "void %s(struct bpf_iter_num *it)",
        args: &[IterDestroy],
        ret: RetKind::Void,
        effects: Effects::empty(),
        run: flow::iter_num_destroy,
    },
];

/// Where each helper number is in the table, plus one; 0 is no helper.
const INDEX: [u8; 256] = {
    let mut index = [0; 256];
    let mut i = 0;
    while i < HELPER_TABLE.len() {
        index[HELPER_TABLE[i].id as usize] = i as u8 + 1;
        i += 1;
    }
    index
};

/// The helper with a number.
pub fn by_id(id: i32) -> Option<&'static Callable> {
    let place = *INDEX.get(usize::try_from(id).ok()?)?;
    HELPERS.get(usize::from(place).checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_helper_is_found_by_its_number_and_nothing_else_is() {
        for id in -1..70_000 {
            assert_eq!(
                by_id(id).map(|helper| helper.id as i32),
                HELPERS.iter().map(|h| h.id as i32).find(|&h| h == id)
            );
        }
        assert!(HELPERS.is_sorted_by(|a, b| a.id < b.id));
        assert!(by_id(i32::MIN).is_none());
    }

    #[test]
    fn declarations_are_consistent() {
        for callable in HELPERS.iter().chain(KFUNCS) {
            let proto = callable.proto;
            assert_eq!(proto.matches("%s(").count(), 1, "{proto}");
            assert!(proto.ends_with(')'), "{proto}");
            let params = proto.split_once("%s(").unwrap().1.trim_end_matches(')');
            let count = if params == "void" { 0 } else { params.split(',').count() };
            let expected = if proto.contains("...") { count - 1 + 3 } else { count };
            assert_eq!(callable.args.len(), expected, "{proto}");
            assert_eq!(callable.ret == RetKind::Void, proto.starts_with("void %s"), "{proto}");
            let pointer = proto.starts_with("void *%s") || proto.starts_with("int *%s");
            assert_eq!(callable.ret.is_pointer(), pointer, "{proto}");
            for (i, kind) in callable.args.iter().enumerate() {
                let follows = matches!(
                    i.checked_sub(1).map(|i| callable.args[i]),
                    Some(ArgKind::Mem { .. } | ArgKind::Format | ArgKind::Words)
                );
                assert_eq!(matches!(kind, ArgKind::Size | ArgKind::ConstSize), follows, "{proto}");
                if matches!(kind, ArgKind::Key | ArgKind::Value | ArgKind::ValueOrNull | ArgKind::ValueOut) {
                    assert!(callable.args[..i].iter().any(|arg| matches!(arg, ArgKind::Map(_))), "{proto}");
                }
            }
        }
    }
}
