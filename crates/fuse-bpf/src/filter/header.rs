//! The C header filters are written against, made from the tables.
//!
//! `bpf/include/fuse_bpf.h` is this function's output; a test keeps it so. Names of types, members and
//! macros are those of the series and of `bpf_helpers.h`, so that programs written for them compile.

use std::fmt::Write as _;

use fuse_bpf_vm::contract::{ArgType, Callable};
use fuse_bpf_vm::helpers;
use fuse_bpf_vm::maps::MapKind;
use fuse_bpf_vm::mem::Access;

use super::Stage;
use super::contract::{KFUNCS, arguments};
use super::family;
use crate::abi::{self, StructDesc};
use crate::ops::{FILTERS, OPS, OutArg};

/// The text of `fuse_bpf.h`.
pub fn fuse_bpf_h() -> String {
    let mut kinds = String::new();
    for kind in MapKind::ALL {
        let _ = writeln!(kinds, "\t{} = {},", kind.c_name(), kind as u32);
    }
    let mut h = PRELUDE.replace(MAP_KINDS, &kinds);
    section(&mut h, "Structs of linux/fuse.h that filters are given");
    let _ = writeln!(h, "#if !defined(_LINUX_FUSE_H) && !defined(__VMLINUX_H__)");
    let structs = structs();
    for desc in structs.iter().filter(|desc| !of_the_series(desc)) {
        structure(&mut h, desc);
    }
    h.push_str("\nenum fuse_opcode {\n");
    for op in OPS {
        let _ = writeln!(h, "\tFUSE_{} = {},", op.name, op.opcode);
    }
    h.push_str("};\n#endif\n");

    section(&mut h, "Structs of the FUSE-BPF series");
    for desc in structs.iter().filter(|desc| of_the_series(desc)) {
        structure(&mut h, desc);
    }
    h.push_str(SERIES);

    section(&mut h, "struct fuse_ops: one pointer for each stage of each operation");
    h.push_str("struct fuse_ops {\n");
    h.push_str("\tuint32_t (*default_filter)(const struct bpf_fuse_meta_info *meta);\n");
    for filter in FILTERS {
        for stage in [Stage::Pre, Stage::Post] {
            let args: Vec<String> =
                arguments(filter, stage).iter().map(|(arg, name)| declaration(arg, name)).collect();
            let _ = writeln!(
                h,
                "\n\tuint32_t (*{}{})({});",
                filter.member,
                stage.suffix(),
                args.join(",\n\t\t\t")
            );
        }
    }
    h.push_str("\tchar name[BPF_FUSE_NAME_MAX];\n};\n");

    section(&mut h, "struct fuse_filter: one pointer for each family of operations");
    h.push_str(&family::header());

    section(&mut h, "Kfuncs");
    // Older versions of linux/bpf.h do not declare it.
    h.push_str("struct bpf_iter_num;\n");
    for kfunc in KFUNCS.iter().chain(helpers::KFUNCS) {
        let _ = writeln!(h, "extern {} __ksym;", prototype(kfunc, kfunc.name));
    }

    section(&mut h, "Helpers, unless libbpf's bpf_helpers.h declares them");
    h.push_str("#ifndef __BPF_HELPERS__\n");
    for helper in helpers::HELPERS {
        let name = format!("(*bpf_{})", helper.name.trim_start_matches("bpf_"));
        let _ = writeln!(h, "static {} = (void *){};", prototype(helper, &name), helper.id);
    }
    h.push_str(PRINTK);
    h.push_str("#endif\n\n#endif /* FUSE_BPF_H */\n");
    h
}

fn section(h: &mut String, title: &str) {
    let _ = writeln!(h, "\n/* {title}. */");
}

/// Whether a struct belongs to the series and not to `linux/fuse.h`.
fn of_the_series(desc: &StructDesc) -> bool {
    matches!(desc.name, "fuse_read_out" | "fuse_read_iter_out" | "fuse_write_iter_out" | "bpf_fuse_meta_info")
}

/// The structs filters are given, and what they contain, in the order of [`abi::STRUCTS`].
fn structs() -> Vec<&'static StructDesc> {
    let given = |name: &str| {
        let wanted = |desc: &StructDesc| {
            desc.name == name || desc.fields.iter().any(|f| f.nested.is_some_and(|n| n.name == name))
        };
        name == "bpf_fuse_meta_info"
            || name == "fuse_dirent"
            || FILTERS.iter().any(|filter| {
                filter.input.is_some_and(wanted)
                    || filter
                        .outs
                        .iter()
                        .any(|out| matches!(out, OutArg::Struct { desc, .. } if wanted(desc)))
            })
    };
    abi::STRUCTS.iter().copied().filter(|desc| given(desc.name)).collect()
}

fn structure(h: &mut String, desc: &StructDesc) {
    let _ = writeln!(h, "\nstruct {} {{", desc.name);
    for field in desc.fields {
        let name = field.name.trim_start_matches("r#");
        let bounds = field.array.map(|n| format!("[{n}]")).unwrap_or_default();
        let _ = writeln!(h, "\t{} {name}{bounds};", field.ctype);
    }
    if desc.name == "fuse_dirent" {
        h.push_str("\tchar name[];\n");
    }
    h.push_str("};\n");
}

fn declaration(arg: &ArgType, name: &str) -> String {
    let (ty, access) = match arg {
        ArgType::Struct { name, access, .. }
        | ArgType::Part { name, access, .. }
        | ArgType::Buffer { name, access } => (name, access),
        ArgType::Scalar { name: ty, .. } => return format!("{ty} {name}"),
    };
    let constant = if *access == Access::Read { "const " } else { "" };
    format!("{constant}struct {ty} *{name}")
}

fn prototype(callable: &Callable, name: &str) -> String {
    callable.proto.replace("%s", name)
}

/// Where the kinds of maps go in the prelude.
const MAP_KINDS: &str = "@MAP_KINDS@";

const PRELUDE: &str = r#"/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Everything a fuse-bpf filter needs. Generated from the operation table; do not edit.
 *
 * May be included after vmlinux.h, linux/fuse.h, bpf/bpf_helpers.h or bpf/bpf_tracing.h: what they
 * declare is then left to them.
 */
#ifndef FUSE_BPF_H
#define FUSE_BPF_H

#ifndef __VMLINUX_H__
#include <stdbool.h>
#include <stddef.h>
#ifndef _STDINT_H
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long long int64_t;
#endif
#ifndef _LINUX_TYPES_H
typedef uint8_t __u8;
typedef uint16_t __u16;
typedef uint32_t __u32;
typedef uint64_t __u64;
typedef int8_t __s8;
typedef int16_t __s16;
typedef int32_t __s32;
typedef int64_t __s64;
#endif
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;
#ifndef __LINUX_BPF_H__
struct bpf_dynptr {
	uint64_t __opaque[2];
} __attribute__((aligned(8)));
struct bpf_iter_num {
	uint64_t __opaque[1];
} __attribute__((aligned(8)));
struct bpf_spin_lock {
	uint32_t val;
};
enum bpf_map_type {
@MAP_KINDS@};
enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
	BPF_EXIST = 2,
	BPF_F_LOCK = 4,
};
enum {
	BPF_F_NO_PREALLOC = 1 << 0,
	BPF_F_RDONLY_PROG = 1 << 7,
	BPF_F_INNER_MAP = 1 << 12,
};
enum {
	BPF_LOCAL_STORAGE_GET_F_CREATE = 1,
};
#endif
#endif

#ifndef EPERM
#define EPERM 1
#define ENOENT 2
#define EINTR 4
#define EIO 5
#define E2BIG 7
#define EAGAIN 11
#define ENOMEM 12
#define EACCES 13
#define EBUSY 16
#define EEXIST 17
#define EXDEV 18
#define ENOTDIR 20
#define EISDIR 21
#define EINVAL 22
#define EFBIG 27
#define ENOSPC 28
#define EROFS 30
#define ERANGE 34
#define ENAMETOOLONG 36
#define ENOSYS 38
#define ENODATA 61
#define EOPNOTSUPP 95
#define EDQUOT 122
#endif

#ifndef SEC
#define SEC(name) __attribute__((section(name), used))
#endif
#ifndef barrier_var
/* Makes the compiler forget what it knows of a variable, and keep it in one register. */
#define barrier_var(var) asm volatile("" : "+r"(var))
#endif
#ifndef __ksym
#define __ksym __attribute__((section(".ksyms")))
#endif
#ifndef __weak
#define __weak __attribute__((weak))
#endif
#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#ifndef __noinline
#define __noinline __attribute__((noinline))
#endif
#ifndef __uint
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name
#define __array(name, val) typeof(val) *name[]
#endif

/* BPF_PROG(name, args...): a program whose arguments are the elements of its context. */
#ifndef BPF_PROG
#define ___fuse_bpf_cat(a, b) a##b
#define ___fuse_bpf_apply(fn, n) ___fuse_bpf_cat(fn, n)
#define ___fuse_bpf_nth(_0, _1, _2, _3, _4, _5, _6, _7, _8, N, ...) N
#define ___fuse_bpf_narg(...) ___fuse_bpf_nth(_, ##__VA_ARGS__, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define ___fuse_bpf_ctx0() ctx
#define ___fuse_bpf_ctx1(x) ___fuse_bpf_ctx0(), (void *)ctx[0]
#define ___fuse_bpf_ctx2(x, args...) ___fuse_bpf_ctx1(args), (void *)ctx[1]
#define ___fuse_bpf_ctx3(x, args...) ___fuse_bpf_ctx2(args), (void *)ctx[2]
#define ___fuse_bpf_ctx4(x, args...) ___fuse_bpf_ctx3(args), (void *)ctx[3]
#define ___fuse_bpf_ctx5(x, args...) ___fuse_bpf_ctx4(args), (void *)ctx[4]
#define ___fuse_bpf_ctx6(x, args...) ___fuse_bpf_ctx5(args), (void *)ctx[5]
#define ___fuse_bpf_ctx7(x, args...) ___fuse_bpf_ctx6(args), (void *)ctx[6]
#define ___fuse_bpf_ctx8(x, args...) ___fuse_bpf_ctx7(args), (void *)ctx[7]
#define ___fuse_bpf_ctx(args...) ___fuse_bpf_apply(___fuse_bpf_ctx, ___fuse_bpf_narg(args))(args)
#define BPF_PROG(name, args...)                                              \
	name(unsigned long long *ctx);                                       \
	static __always_inline typeof(name(0)) ____##name(                   \
		unsigned long long *ctx, ##args);                            \
	typeof(name(0)) name(unsigned long long *ctx)                        \
	{                                                                    \
		_Pragma("GCC diagnostic push")                               \
		_Pragma("GCC diagnostic ignored \"-Wint-conversion\"")       \
		return ____##name(___fuse_bpf_ctx(args));                    \
		_Pragma("GCC diagnostic pop")                                \
	}                                                                    \
	static __always_inline typeof(name(0)) ____##name(                   \
		unsigned long long *ctx, ##args)
#endif

/* BPF_STRUCT_OPS(name, args...): a filter, in the section its member is found by. */
#ifndef BPF_STRUCT_OPS
#define BPF_STRUCT_OPS(name, args...) \
	SEC("struct_ops/" #name)      \
	uint32_t BPF_PROG(name, ##args)
#endif
"#;

const SERIES: &str = r#"
#define BPF_FUSE_NAME_MAX 15
#define FUSE_BPF_MAX_ENTRIES 2

/* What a lookup postfilter may attach to an entry. */
enum fuse_bpf_type {
	FUSE_ENTRY_BACKING = 1,
	FUSE_ENTRY_BPF = 2,
	FUSE_ENTRY_REMOVE_BACKING = 3,
	FUSE_ENTRY_REMOVE_BPF = 4,
};

struct fuse_bpf_entry_out {
	uint32_t entry_type;
	uint32_t unused;
	union {
		struct {
			uint64_t unused2;
			uint64_t fd;
		};
		char name[BPF_FUSE_NAME_MAX + 1];
	};
};

/* Verdicts; a negative errno fails the operation. */
#define BPF_FUSE_CONTINUE 0
#define BPF_FUSE_USER 1
#define BPF_FUSE_USER_PREFILTER 2
#define BPF_FUSE_POSTFILTER 3
#define BPF_FUSE_USER_POSTFILTER 4
#define BPF_FUSE_CALL_DEFAULT 5

/* meta->opcode: the plain opcode and the stage. */
#define FUSE_OPCODE_FILTER 0x0ffff
#define FUSE_PREFILTER 0x10000
#define FUSE_POSTFILTER 0x20000

/* Opaque: reached through the kfuncs below. */
struct fuse_buffer {
	void *data;
	unsigned size;
	unsigned alloc_size;
	unsigned max_size;
	int flags;
};
"#;

const PRINTK: &str = r#"
#define ___fuse_bpf_fill0(arr, p, x)
#define ___fuse_bpf_fill1(arr, p, x) arr[p] = (unsigned long long)(x)
#define ___fuse_bpf_fill2(arr, p, x, args...) arr[p] = (unsigned long long)(x); ___fuse_bpf_fill1(arr, p + 1, args)
#define ___fuse_bpf_fill3(arr, p, x, args...) arr[p] = (unsigned long long)(x); ___fuse_bpf_fill2(arr, p + 1, args)
#define ___fuse_bpf_fill4(arr, p, x, args...) arr[p] = (unsigned long long)(x); ___fuse_bpf_fill3(arr, p + 1, args)
#define ___fuse_bpf_fill5(arr, p, x, args...) arr[p] = (unsigned long long)(x); ___fuse_bpf_fill4(arr, p + 1, args)
#define ___fuse_bpf_fill6(arr, p, x, args...) arr[p] = (unsigned long long)(x); ___fuse_bpf_fill5(arr, p + 1, args)
#define ___fuse_bpf_fill7(arr, p, x, args...) arr[p] = (unsigned long long)(x); ___fuse_bpf_fill6(arr, p + 1, args)
#define ___fuse_bpf_fill8(arr, p, x, args...) arr[p] = (unsigned long long)(x); ___fuse_bpf_fill7(arr, p + 1, args)

/* bpf_printk(fmt, args...): a line for `fuse-bpf trace`, with up to eight arguments. */
#define bpf_printk(fmt, args...)                                                        \
	({                                                                              \
		static const char ____fmt[] = fmt;                                      \
		unsigned long long ____args[___fuse_bpf_narg(args) + 1];                \
		___fuse_bpf_apply(___fuse_bpf_fill, ___fuse_bpf_narg(args))(____args, 0, ##args); \
		bpf_trace_vprintk(____fmt, sizeof(____fmt), ____args,                   \
				  ___fuse_bpf_narg(args) * sizeof(____args[0]));        \
	})
"#;

#[cfg(test)]
mod tests {
    use super::*;

    /// `BLESS=1 cargo test` rewrites the header.
    #[test]
    fn the_header_in_the_tree_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../bpf/include/fuse_bpf.h");
        let text = fuse_bpf_h();
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        let tree = std::fs::read_to_string(path).unwrap();
        assert!(tree == text, "{path} differs from the tables; run `BLESS=1 cargo test -p fuse-bpf header`");
    }
}
