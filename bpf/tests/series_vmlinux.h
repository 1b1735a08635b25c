/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What `bpftool btf dump` of a kernel with the FUSE-BPF series would give a filter, as far as filters need it: the layouts
 * of the series (v4, or with SERIES_V3 those of v3), everything relocatable. Generated headers look like this one.
 */
#ifndef SERIES_VMLINUX_H
#define SERIES_VMLINUX_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef __u8 uint8_t;
typedef __u32 uint32_t;
typedef __u64 uint64_t;
typedef __u64 u64;
typedef __u32 u32;
typedef _Bool bool;
enum { false, true };

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#endif

struct bpf_dynptr {
	__u64 __opaque[2];
} __attribute__((aligned(8)));

struct fuse_attr {
	uint64_t ino, size, blocks, atime, mtime, ctime;
	uint32_t atimensec, mtimensec, ctimensec, mode, nlink, uid, gid, rdev, blksize, flags;
};

struct fuse_kstatfs {
	uint64_t blocks, bfree, bavail, files, ffree;
	uint32_t bsize, namelen, frsize, padding, spare[6];
};

struct fuse_entry_out {
	uint64_t nodeid, generation, entry_valid, attr_valid;
	uint32_t entry_valid_nsec, attr_valid_nsec;
	struct fuse_attr attr;
};

struct fuse_bpf_entry_out {
	uint32_t entry_type;
	uint32_t unused;
	union {
		struct {
			uint64_t unused2;
			uint64_t fd;
		};
		char name[16];
	};
};

struct fuse_open_in { uint32_t flags, open_flags; };
struct fuse_open_out { uint64_t fh; uint32_t open_flags, padding; };
struct fuse_create_in { uint32_t flags, mode, umask, open_flags; };
struct fuse_release_in { uint64_t fh; uint32_t flags, release_flags; uint64_t lock_owner; };
struct fuse_flush_in { uint64_t fh; uint32_t unused, padding; uint64_t lock_owner; };
struct fuse_lseek_in { uint64_t fh, offset; uint32_t whence, padding; };
struct fuse_lseek_out { uint64_t offset; };
struct fuse_copy_file_range_in { uint64_t fh_in, off_in, nodeid_out, fh_out, off_out, len, flags; };
struct fuse_write_out { uint32_t size, padding; };
struct fuse_fsync_in { uint64_t fh; uint32_t fsync_flags, padding; };
struct fuse_getxattr_in { uint32_t size, padding; };
struct fuse_getxattr_out { uint32_t size, padding; };
struct fuse_setxattr_in { uint32_t size, flags, setxattr_flags, padding; };
struct fuse_read_in {
	uint64_t fh, offset;
	uint32_t size, read_flags;
	uint64_t lock_owner;
	uint32_t flags, padding;
};
struct fuse_read_out { uint64_t offset; uint32_t again, padding; };
struct fuse_read_iter_out { uint64_t ret; };
struct fuse_write_in {
	uint64_t fh, offset;
	uint32_t size, write_flags;
	uint64_t lock_owner;
	uint32_t flags, padding;
};
struct fuse_write_iter_out { uint64_t ret; };
struct fuse_fallocate_in { uint64_t fh, offset, length; uint32_t mode, padding; };
struct fuse_mknod_in { uint32_t mode, rdev, umask, padding; };
struct fuse_mkdir_in { uint32_t mode, umask; };
struct fuse_rename_in { uint64_t newdir; };
struct fuse_rename2_in { uint64_t newdir; uint32_t flags, padding; };
struct fuse_link_in { uint64_t oldnodeid; };
struct fuse_getattr_in { uint32_t getattr_flags, dummy; uint64_t fh; };
struct fuse_attr_out { uint64_t attr_valid; uint32_t attr_valid_nsec, dummy; struct fuse_attr attr; };
struct fuse_setattr_in {
	uint32_t valid, padding;
	uint64_t fh, size, lock_owner, atime, mtime, ctime;
	uint32_t atimensec, mtimensec, ctimensec, mode, unused4, uid, gid, unused5;
};
struct fuse_statfs_out { struct fuse_kstatfs st; };
struct fuse_access_in { uint32_t mask, padding; };

struct fuse_buffer {
	void *data;
	unsigned size;
	unsigned alloc_size;
	unsigned max_size;
	int flags;
};

struct bpf_fuse_meta_info {
	uint64_t nodeid;
	uint32_t opcode;
	uint32_t error_in;
#ifndef SERIES_V3
	uint32_t error_out;
#endif
};

#define META const struct bpf_fuse_meta_info *meta
#define BUF struct fuse_buffer
/* A member pair: its name, the arguments both have, and what only the postfilter has. */
#define PAIR(name, args, outs) \
	uint32_t (*name##_prefilter) args; \
	uint32_t (*name##_postfilter) outs
struct fuse_ops {
#ifndef SERIES_V3
	uint32_t (*default_filter)(META);
#endif
	PAIR(open, (META, struct fuse_open_in *), (META, const struct fuse_open_in *, struct fuse_open_out *));
	PAIR(opendir, (META, struct fuse_open_in *), (META, const struct fuse_open_in *, struct fuse_open_out *));
	PAIR(create_open, (META, struct fuse_create_in *, BUF *),
	     (META, const struct fuse_create_in *, const BUF *, struct fuse_entry_out *, struct fuse_open_out *));
	PAIR(release, (META, struct fuse_release_in *), (META, const struct fuse_release_in *));
	PAIR(releasedir, (META, struct fuse_release_in *), (META, const struct fuse_release_in *));
	PAIR(flush, (META, struct fuse_flush_in *), (META, const struct fuse_flush_in *));
	PAIR(lseek, (META, struct fuse_lseek_in *), (META, const struct fuse_lseek_in *, struct fuse_lseek_out *));
	PAIR(copy_file_range, (META, struct fuse_copy_file_range_in *),
	     (META, const struct fuse_copy_file_range_in *, struct fuse_write_out *));
	PAIR(fsync, (META, struct fuse_fsync_in *), (META, const struct fuse_fsync_in *));
	PAIR(dir_fsync, (META, struct fuse_fsync_in *), (META, const struct fuse_fsync_in *));
	PAIR(getxattr, (META, struct fuse_getxattr_in *, BUF *),
	     (META, const struct fuse_getxattr_in *, const BUF *, BUF *, struct fuse_getxattr_out *));
	PAIR(listxattr, (META, struct fuse_getxattr_in *),
	     (META, const struct fuse_getxattr_in *, BUF *, struct fuse_getxattr_out *));
	PAIR(setxattr, (META, struct fuse_setxattr_in *, BUF *, BUF *),
	     (META, const struct fuse_setxattr_in *, const BUF *, const BUF *));
	PAIR(removexattr, (META, BUF *), (META, const BUF *));
	PAIR(read_iter, (META, struct fuse_read_in *), (META, const struct fuse_read_in *, struct fuse_read_iter_out *));
	PAIR(write_iter, (META, struct fuse_write_in *),
	     (META, const struct fuse_write_in *, struct fuse_write_iter_out *));
	PAIR(file_fallocate, (META, struct fuse_fallocate_in *), (META, const struct fuse_fallocate_in *));
	PAIR(lookup, (META, BUF *), (META, const BUF *, struct fuse_entry_out *, BUF *));
	PAIR(mknod, (META, struct fuse_mknod_in *, BUF *), (META, const struct fuse_mknod_in *, const BUF *));
	PAIR(mkdir, (META, struct fuse_mkdir_in *, BUF *), (META, const struct fuse_mkdir_in *, const BUF *));
	PAIR(rmdir, (META, BUF *), (META, const BUF *));
	PAIR(rename2, (META, struct fuse_rename2_in *, BUF *, BUF *),
	     (META, const struct fuse_rename2_in *, const BUF *, const BUF *));
	PAIR(rename, (META, struct fuse_rename_in *, BUF *, BUF *),
	     (META, const struct fuse_rename_in *, const BUF *, const BUF *));
	PAIR(unlink, (META, BUF *), (META, const BUF *));
	PAIR(link, (META, struct fuse_link_in *, BUF *), (META, const struct fuse_link_in *, const BUF *));
	PAIR(getattr, (META, struct fuse_getattr_in *), (META, const struct fuse_getattr_in *, struct fuse_attr_out *));
	PAIR(setattr, (META, struct fuse_setattr_in *), (META, const struct fuse_setattr_in *, struct fuse_attr_out *));
	PAIR(statfs, (META), (META, struct fuse_statfs_out *));
	PAIR(get_link, (META, BUF *), (META, const BUF *));
	PAIR(symlink, (META, BUF *, BUF *), (META, const BUF *, const BUF *));
	PAIR(readdir, (META, struct fuse_read_in *), (META, const struct fuse_read_in *, struct fuse_read_out *, BUF *));
	PAIR(access, (META, struct fuse_access_in *), (META, const struct fuse_access_in *));
	char name[15];
};
#undef PAIR
#undef BUF

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

/* What bpf_helpers.h and bpf_tracing.h have, as far as it is used. */
#define SEC(name) __attribute__((section(name), used))
#define __ksym __attribute__((section(".ksyms")))
static long (*bpf_trace_printk)(const char *fmt, __u32 fmt_size, ...) = (void *)6;
static long (*bpf_strncmp)(const char *s1, __u32 s1_sz, const char *s2) = (void *)182;
static long (*bpf_dynptr_read)(void *dst, __u32 len, const struct bpf_dynptr *src, __u32 offset, __u64 flags) =
	(void *)201;
static long (*bpf_dynptr_write)(const struct bpf_dynptr *dst, __u32 offset, void *src, __u32 len, __u64 flags) =
	(void *)202;
#define bpf_printk(fmt, args...) \
	({ \
		static const char ____fmt[] = fmt; \
		bpf_trace_printk(____fmt, sizeof(____fmt), ##args); \
	})

/* A program takes its arguments from an array. */
#define BPF_STRUCT_OPS(type, name, args...) \
	static __attribute__((always_inline)) type ____##name(unsigned long long *ctx, ##args); \
	SEC("struct_ops/" #name) type name(unsigned long long *ctx) \
	{ \
		return CALL(name, ##args); \
	} \
	static __attribute__((always_inline)) type ____##name(unsigned long long *ctx, ##args)
#define CALL_N(a, b, c, d, e, n, ...) CALL##n
#define CALL(name, args...) CALL_N(args, 5, 4, 3, 2, 1)(____##name)
#define CALL1(f) f(ctx, (void *)ctx[0])
#define CALL2(f) f(ctx, (void *)ctx[0], (void *)ctx[1])
#define CALL3(f) f(ctx, (void *)ctx[0], (void *)ctx[1], (void *)ctx[2])
#define CALL4(f) f(ctx, (void *)ctx[0], (void *)ctx[1], (void *)ctx[2], (void *)ctx[3])
#define CALL5(f) f(ctx, (void *)ctx[0], (void *)ctx[1], (void *)ctx[2], (void *)ctx[3], (void *)ctx[4])

/* The series' constants, which a vmlinux.h does not have. */
#define FUSE_ENTRY_BPF 2
#define FUSE_ENTRY_REMOVE_BPF 4
#define BPF_FUSE_CONTINUE 0
#define BPF_FUSE_USER 1
#define BPF_FUSE_USER_PREFILTER 2
#define BPF_FUSE_POSTFILTER 3
#define BPF_FUSE_USER_POSTFILTER 4
#define EPERM 1
#define ENOENT 2
#define EEXIST 17

extern void bpf_fuse_get_ro_dynptr(const struct fuse_buffer *buffer, struct bpf_dynptr *dynptr) __ksym;
extern void bpf_fuse_get_rw_dynptr(struct fuse_buffer *buffer, struct bpf_dynptr *dynptr, u64 size, bool copy) __ksym;
extern uint32_t bpf_fuse_return_len(struct fuse_buffer *buffer) __ksym;
extern void *bpf_dynptr_slice(const struct bpf_dynptr *p, u32 offset, void *buffer, u32 size) __ksym;

#endif
