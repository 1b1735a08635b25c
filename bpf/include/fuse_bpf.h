/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
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
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PROG_ARRAY = 3,
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_LRU_PERCPU_HASH = 10,
	BPF_MAP_TYPE_LPM_TRIE = 11,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_HASH_OF_MAPS = 13,
	BPF_MAP_TYPE_QUEUE = 22,
	BPF_MAP_TYPE_STACK = 23,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_INODE_STORAGE = 28,
	BPF_MAP_TYPE_BLOOM_FILTER = 30,
};
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

/* Structs of linux/fuse.h that filters are given. */
#if !defined(_LINUX_FUSE_H) && !defined(__VMLINUX_H__)

struct fuse_attr {
	uint64_t ino;
	uint64_t size;
	uint64_t blocks;
	uint64_t atime;
	uint64_t mtime;
	uint64_t ctime;
	uint32_t atimensec;
	uint32_t mtimensec;
	uint32_t ctimensec;
	uint32_t mode;
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint32_t rdev;
	uint32_t blksize;
	uint32_t flags;
};

struct fuse_kstatfs {
	uint64_t blocks;
	uint64_t bfree;
	uint64_t bavail;
	uint64_t files;
	uint64_t ffree;
	uint32_t bsize;
	uint32_t namelen;
	uint32_t frsize;
	uint32_t padding;
	uint32_t spare[6];
};

struct fuse_entry_out {
	uint64_t nodeid;
	uint64_t generation;
	uint64_t entry_valid;
	uint64_t attr_valid;
	uint32_t entry_valid_nsec;
	uint32_t attr_valid_nsec;
	struct fuse_attr attr;
};

struct fuse_getattr_in {
	uint32_t getattr_flags;
	uint32_t dummy;
	uint64_t fh;
};

struct fuse_attr_out {
	uint64_t attr_valid;
	uint32_t attr_valid_nsec;
	uint32_t dummy;
	struct fuse_attr attr;
};

struct fuse_mknod_in {
	uint32_t mode;
	uint32_t rdev;
	uint32_t umask;
	uint32_t padding;
};

struct fuse_mkdir_in {
	uint32_t mode;
	uint32_t umask;
};

struct fuse_rename_in {
	uint64_t newdir;
};

struct fuse_rename2_in {
	uint64_t newdir;
	uint32_t flags;
	uint32_t padding;
};

struct fuse_link_in {
	uint64_t oldnodeid;
};

struct fuse_setattr_in {
	uint32_t valid;
	uint32_t padding;
	uint64_t fh;
	uint64_t size;
	uint64_t lock_owner;
	uint64_t atime;
	uint64_t mtime;
	uint64_t ctime;
	uint32_t atimensec;
	uint32_t mtimensec;
	uint32_t ctimensec;
	uint32_t mode;
	uint32_t unused4;
	uint32_t uid;
	uint32_t gid;
	uint32_t unused5;
};

struct fuse_open_in {
	uint32_t flags;
	uint32_t open_flags;
};

struct fuse_create_in {
	uint32_t flags;
	uint32_t mode;
	uint32_t umask;
	uint32_t open_flags;
};

struct fuse_open_out {
	uint64_t fh;
	uint32_t open_flags;
	uint32_t padding;
};

struct fuse_release_in {
	uint64_t fh;
	uint32_t flags;
	uint32_t release_flags;
	uint64_t lock_owner;
};

struct fuse_flush_in {
	uint64_t fh;
	uint32_t unused;
	uint32_t padding;
	uint64_t lock_owner;
};

struct fuse_read_in {
	uint64_t fh;
	uint64_t offset;
	uint32_t size;
	uint32_t read_flags;
	uint64_t lock_owner;
	uint32_t flags;
	uint32_t padding;
};

struct fuse_write_in {
	uint64_t fh;
	uint64_t offset;
	uint32_t size;
	uint32_t write_flags;
	uint64_t lock_owner;
	uint32_t flags;
	uint32_t padding;
};

struct fuse_write_out {
	uint32_t size;
	uint32_t padding;
};

struct fuse_statfs_out {
	struct fuse_kstatfs st;
};

struct fuse_fsync_in {
	uint64_t fh;
	uint32_t fsync_flags;
	uint32_t padding;
};

struct fuse_setxattr_in {
	uint32_t size;
	uint32_t flags;
	uint32_t setxattr_flags;
	uint32_t padding;
};

struct fuse_getxattr_in {
	uint32_t size;
	uint32_t padding;
};

struct fuse_getxattr_out {
	uint32_t size;
	uint32_t padding;
};

struct fuse_access_in {
	uint32_t mask;
	uint32_t padding;
};

struct fuse_fallocate_in {
	uint64_t fh;
	uint64_t offset;
	uint64_t length;
	uint32_t mode;
	uint32_t padding;
};

struct fuse_lseek_in {
	uint64_t fh;
	uint64_t offset;
	uint32_t whence;
	uint32_t padding;
};

struct fuse_lseek_out {
	uint64_t offset;
};

struct fuse_copy_file_range_in {
	uint64_t fh_in;
	uint64_t off_in;
	uint64_t nodeid_out;
	uint64_t fh_out;
	uint64_t off_out;
	uint64_t len;
	uint64_t flags;
};

struct fuse_dirent {
	uint64_t ino;
	uint64_t off;
	uint32_t namelen;
	uint32_t type;
	char name[];
};

enum fuse_opcode {
	FUSE_LOOKUP = 1,
	FUSE_FORGET = 2,
	FUSE_GETATTR = 3,
	FUSE_SETATTR = 4,
	FUSE_READLINK = 5,
	FUSE_SYMLINK = 6,
	FUSE_MKNOD = 8,
	FUSE_MKDIR = 9,
	FUSE_UNLINK = 10,
	FUSE_RMDIR = 11,
	FUSE_RENAME = 12,
	FUSE_LINK = 13,
	FUSE_OPEN = 14,
	FUSE_READ = 15,
	FUSE_WRITE = 16,
	FUSE_STATFS = 17,
	FUSE_RELEASE = 18,
	FUSE_FSYNC = 20,
	FUSE_SETXATTR = 21,
	FUSE_GETXATTR = 22,
	FUSE_LISTXATTR = 23,
	FUSE_REMOVEXATTR = 24,
	FUSE_FLUSH = 25,
	FUSE_INIT = 26,
	FUSE_OPENDIR = 27,
	FUSE_READDIR = 28,
	FUSE_RELEASEDIR = 29,
	FUSE_FSYNCDIR = 30,
	FUSE_GETLK = 31,
	FUSE_SETLK = 32,
	FUSE_SETLKW = 33,
	FUSE_ACCESS = 34,
	FUSE_CREATE = 35,
	FUSE_INTERRUPT = 36,
	FUSE_BMAP = 37,
	FUSE_DESTROY = 38,
	FUSE_IOCTL = 39,
	FUSE_POLL = 40,
	FUSE_NOTIFY_REPLY = 41,
	FUSE_BATCH_FORGET = 42,
	FUSE_FALLOCATE = 43,
	FUSE_READDIRPLUS = 44,
	FUSE_RENAME2 = 45,
	FUSE_LSEEK = 46,
	FUSE_COPY_FILE_RANGE = 47,
	FUSE_SETUPMAPPING = 48,
	FUSE_REMOVEMAPPING = 49,
	FUSE_SYNCFS = 50,
	FUSE_TMPFILE = 51,
	FUSE_STATX = 52,
	FUSE_COPY_FILE_RANGE_64 = 53,
};
#endif

/* Structs of the FUSE-BPF series. */

struct fuse_read_out {
	uint64_t offset;
	uint32_t again;
	uint32_t padding;
};

struct fuse_read_iter_out {
	uint64_t ret;
};

struct fuse_write_iter_out {
	uint64_t ret;
};

struct bpf_fuse_meta_info {
	uint64_t nodeid;
	uint32_t opcode;
	uint32_t error_in;
	uint32_t error_out;
	uint32_t padding;
};

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

/* struct fuse_ops: one pointer for each stage of each operation. */
struct fuse_ops {
	uint32_t (*default_filter)(const struct bpf_fuse_meta_info *meta);

	uint32_t (*open_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_open_in *in);

	uint32_t (*open_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_open_in *in,
			struct fuse_open_out *out);

	uint32_t (*opendir_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_open_in *in);

	uint32_t (*opendir_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_open_in *in,
			struct fuse_open_out *out);

	uint32_t (*create_open_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_create_in *in,
			struct fuse_buffer *name);

	uint32_t (*create_open_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_create_in *in,
			const struct fuse_buffer *name,
			struct fuse_entry_out *entry_out,
			struct fuse_open_out *out);

	uint32_t (*release_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_release_in *in);

	uint32_t (*release_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_release_in *in);

	uint32_t (*releasedir_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_release_in *in);

	uint32_t (*releasedir_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_release_in *in);

	uint32_t (*flush_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_flush_in *in);

	uint32_t (*flush_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_flush_in *in);

	uint32_t (*lseek_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_lseek_in *in);

	uint32_t (*lseek_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_lseek_in *in,
			struct fuse_lseek_out *out);

	uint32_t (*copy_file_range_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_copy_file_range_in *in);

	uint32_t (*copy_file_range_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_copy_file_range_in *in,
			struct fuse_write_out *out);

	uint32_t (*fsync_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_fsync_in *in);

	uint32_t (*fsync_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_fsync_in *in);

	uint32_t (*dir_fsync_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_fsync_in *in);

	uint32_t (*dir_fsync_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_fsync_in *in);

	uint32_t (*getxattr_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_getxattr_in *in,
			struct fuse_buffer *name);

	uint32_t (*getxattr_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_getxattr_in *in,
			const struct fuse_buffer *name,
			struct fuse_buffer *value,
			struct fuse_getxattr_out *out);

	uint32_t (*listxattr_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_getxattr_in *in);

	uint32_t (*listxattr_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_getxattr_in *in,
			struct fuse_buffer *value,
			struct fuse_getxattr_out *out);

	uint32_t (*setxattr_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_setxattr_in *in,
			struct fuse_buffer *name,
			struct fuse_buffer *value);

	uint32_t (*setxattr_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_setxattr_in *in,
			const struct fuse_buffer *name,
			const struct fuse_buffer *value);

	uint32_t (*removexattr_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_buffer *name);

	uint32_t (*removexattr_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_buffer *name);

	uint32_t (*read_iter_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_read_in *in);

	uint32_t (*read_iter_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_read_in *in,
			struct fuse_read_iter_out *out,
			struct fuse_buffer *data);

	uint32_t (*write_iter_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_write_in *in,
			struct fuse_buffer *data);

	uint32_t (*write_iter_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_write_in *in,
			struct fuse_write_iter_out *out,
			const struct fuse_buffer *data);

	uint32_t (*file_fallocate_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_fallocate_in *in);

	uint32_t (*file_fallocate_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_fallocate_in *in);

	uint32_t (*lookup_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_buffer *name);

	uint32_t (*lookup_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_buffer *name,
			struct fuse_entry_out *out,
			struct fuse_buffer *entries);

	uint32_t (*mknod_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_mknod_in *in,
			struct fuse_buffer *name);

	uint32_t (*mknod_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_mknod_in *in,
			const struct fuse_buffer *name);

	uint32_t (*mkdir_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_mkdir_in *in,
			struct fuse_buffer *name);

	uint32_t (*mkdir_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_mkdir_in *in,
			const struct fuse_buffer *name);

	uint32_t (*rmdir_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_buffer *name);

	uint32_t (*rmdir_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_buffer *name);

	uint32_t (*rename2_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_rename2_in *in,
			struct fuse_buffer *old_name,
			struct fuse_buffer *new_name);

	uint32_t (*rename2_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_rename2_in *in,
			const struct fuse_buffer *old_name,
			const struct fuse_buffer *new_name);

	uint32_t (*rename_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_rename_in *in,
			struct fuse_buffer *old_name,
			struct fuse_buffer *new_name);

	uint32_t (*rename_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_rename_in *in,
			const struct fuse_buffer *old_name,
			const struct fuse_buffer *new_name);

	uint32_t (*unlink_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_buffer *name);

	uint32_t (*unlink_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_buffer *name);

	uint32_t (*link_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_link_in *in,
			struct fuse_buffer *name);

	uint32_t (*link_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_link_in *in,
			const struct fuse_buffer *name);

	uint32_t (*getattr_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_getattr_in *in);

	uint32_t (*getattr_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_getattr_in *in,
			struct fuse_attr_out *out);

	uint32_t (*setattr_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_setattr_in *in);

	uint32_t (*setattr_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_setattr_in *in,
			struct fuse_attr_out *out);

	uint32_t (*statfs_prefilter)(const struct bpf_fuse_meta_info *meta);

	uint32_t (*statfs_postfilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_statfs_out *out);

	uint32_t (*get_link_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_buffer *name);

	uint32_t (*get_link_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_buffer *name,
			struct fuse_buffer *target);

	uint32_t (*symlink_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_buffer *name,
			struct fuse_buffer *path);

	uint32_t (*symlink_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_buffer *name,
			const struct fuse_buffer *path);

	uint32_t (*readdir_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_read_in *in);

	uint32_t (*readdir_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_read_in *in,
			struct fuse_read_out *out,
			struct fuse_buffer *buffer);

	uint32_t (*access_prefilter)(const struct bpf_fuse_meta_info *meta,
			struct fuse_access_in *in);

	uint32_t (*access_postfilter)(const struct bpf_fuse_meta_info *meta,
			const struct fuse_access_in *in);
	char name[BPF_FUSE_NAME_MAX];
};

/* struct fuse_filter: one pointer for each family of operations. */
/* Before and after the operation. */
enum fuse_stage {
	FUSE_PRE = 0,
	FUSE_POST = 1,
};

/*
 * What operations take and result in, with one member for each struct. Only what the operation in progress has is
 * there: everything else is refused, so ask which one it is first.
 */

struct fuse_names_in {
	struct fuse_create_in create;
	struct fuse_mknod_in mknod;
	struct fuse_mkdir_in mkdir;
	struct fuse_link_in link;
};

struct fuse_names_out {
	struct fuse_entry_out entry;
	struct fuse_open_out open;
};

struct fuse_renames_in {
	struct fuse_rename_in rename;
	struct fuse_rename2_in rename2;
};

struct fuse_files_in {
	struct fuse_open_in open;
	struct fuse_flush_in flush;
	struct fuse_fsync_in fsync;
	struct fuse_release_in release;
};

struct fuse_data_in {
	struct fuse_read_in read;
	struct fuse_write_in write;
	struct fuse_lseek_in lseek;
	struct fuse_fallocate_in fallocate;
	struct fuse_copy_file_range_in copy_file_range;
};

struct fuse_data_out {
	struct fuse_read_iter_out read_iter;
	struct fuse_write_iter_out write_iter;
	struct fuse_lseek_out lseek;
	struct fuse_write_out write;
};

struct fuse_attributes_in {
	struct fuse_getattr_in getattr;
	struct fuse_setattr_in setattr;
	struct fuse_access_in access;
};

struct fuse_attributes_out {
	struct fuse_attr_out attr;
	struct fuse_statfs_out statfs;
};

struct fuse_xattrs_in {
	struct fuse_getxattr_in getxattr;
	struct fuse_setxattr_in setxattr;
};

struct fuse_filter {
	uint32_t (*default_filter)(const struct bpf_fuse_meta_info *meta,
			enum fuse_opcode op,
			enum fuse_stage stage);

	/* names in one directory: FUSE_LOOKUP, FUSE_CREATE, FUSE_MKNOD, FUSE_MKDIR, FUSE_SYMLINK, FUSE_LINK, FUSE_UNLINK, FUSE_RMDIR */
	uint32_t (*names)(const struct bpf_fuse_meta_info *meta,
			enum fuse_opcode op,
			enum fuse_stage stage,
			struct fuse_names_in *in,
			struct fuse_buffer *name,
			struct fuse_buffer *path,
			struct fuse_names_out *out,
			struct fuse_buffer *entries);

	/* a name becomes another one: FUSE_RENAME, FUSE_RENAME2 */
	uint32_t (*renames)(const struct bpf_fuse_meta_info *meta,
			enum fuse_opcode op,
			enum fuse_stage stage,
			struct fuse_renames_in *in,
			struct fuse_buffer *old_name,
			struct fuse_buffer *new_name);

	/* opening and closing: FUSE_OPEN, FUSE_OPENDIR, FUSE_FLUSH, FUSE_FSYNC, FUSE_FSYNCDIR, FUSE_RELEASE, FUSE_RELEASEDIR */
	uint32_t (*files)(const struct bpf_fuse_meta_info *meta,
			enum fuse_opcode op,
			enum fuse_stage stage,
			struct fuse_files_in *in,
			struct fuse_open_out *out);

	/* offsets and lengths in a file: FUSE_READ, FUSE_WRITE, FUSE_LSEEK, FUSE_FALLOCATE, FUSE_COPY_FILE_RANGE */
	uint32_t (*data)(const struct bpf_fuse_meta_info *meta,
			enum fuse_opcode op,
			enum fuse_stage stage,
			struct fuse_data_in *in,
			struct fuse_buffer *data,
			struct fuse_data_out *out);

	/* what an inode and its file system are: FUSE_GETATTR, FUSE_SETATTR, FUSE_STATFS, FUSE_ACCESS */
	uint32_t (*attributes)(const struct bpf_fuse_meta_info *meta,
			enum fuse_opcode op,
			enum fuse_stage stage,
			struct fuse_attributes_in *in,
			struct fuse_attributes_out *out);

	/* extended attributes: FUSE_GETXATTR, FUSE_SETXATTR, FUSE_LISTXATTR, FUSE_REMOVEXATTR */
	uint32_t (*xattrs)(const struct bpf_fuse_meta_info *meta,
			enum fuse_opcode op,
			enum fuse_stage stage,
			struct fuse_xattrs_in *in,
			struct fuse_buffer *name,
			struct fuse_buffer *value,
			struct fuse_getxattr_out *out);

	/* directory records, a page at a time: FUSE_READDIR */
	uint32_t (*records)(const struct bpf_fuse_meta_info *meta,
			enum fuse_opcode op,
			enum fuse_stage stage,
			struct fuse_read_in *in,
			struct fuse_read_out *out,
			struct fuse_buffer *buffer);

	/* targets of symbolic links: FUSE_READLINK */
	uint32_t (*links)(const struct bpf_fuse_meta_info *meta,
			enum fuse_opcode op,
			enum fuse_stage stage,
			struct fuse_buffer *name,
			struct fuse_buffer *target);
	char name[BPF_FUSE_NAME_MAX];
};

/*
 * FUSE_FILTER(member, function): the head of a program for a member of struct fuse_filter, with the
 * parameters that member has.
 */
#define ___fuse_filter(name, args...) BPF_STRUCT_OPS(name, args)
#define FUSE_FILTER(member, function) ___fuse_filter(function, FUSE_FILTER_##member)
#define FUSE_FILTER_default_filter \
	const struct bpf_fuse_meta_info *meta, enum fuse_opcode op, enum fuse_stage stage
#define FUSE_FILTER_names \
	const struct bpf_fuse_meta_info *meta, enum fuse_opcode op, enum fuse_stage stage, struct fuse_names_in *in, struct fuse_buffer *name, struct fuse_buffer *path, struct fuse_names_out *out, struct fuse_buffer *entries
#define FUSE_FILTER_renames \
	const struct bpf_fuse_meta_info *meta, enum fuse_opcode op, enum fuse_stage stage, struct fuse_renames_in *in, struct fuse_buffer *old_name, struct fuse_buffer *new_name
#define FUSE_FILTER_files \
	const struct bpf_fuse_meta_info *meta, enum fuse_opcode op, enum fuse_stage stage, struct fuse_files_in *in, struct fuse_open_out *out
#define FUSE_FILTER_data \
	const struct bpf_fuse_meta_info *meta, enum fuse_opcode op, enum fuse_stage stage, struct fuse_data_in *in, struct fuse_buffer *data, struct fuse_data_out *out
#define FUSE_FILTER_attributes \
	const struct bpf_fuse_meta_info *meta, enum fuse_opcode op, enum fuse_stage stage, struct fuse_attributes_in *in, struct fuse_attributes_out *out
#define FUSE_FILTER_xattrs \
	const struct bpf_fuse_meta_info *meta, enum fuse_opcode op, enum fuse_stage stage, struct fuse_xattrs_in *in, struct fuse_buffer *name, struct fuse_buffer *value, struct fuse_getxattr_out *out
#define FUSE_FILTER_records \
	const struct bpf_fuse_meta_info *meta, enum fuse_opcode op, enum fuse_stage stage, struct fuse_read_in *in, struct fuse_read_out *out, struct fuse_buffer *buffer
#define FUSE_FILTER_links \
	const struct bpf_fuse_meta_info *meta, enum fuse_opcode op, enum fuse_stage stage, struct fuse_buffer *name, struct fuse_buffer *target

/* Kfuncs. */
struct bpf_iter_num;
extern void bpf_fuse_get_ro_dynptr(const struct fuse_buffer *buffer, struct bpf_dynptr *dynptr__uninit) __ksym;
extern void bpf_fuse_get_rw_dynptr(struct fuse_buffer *buffer, struct bpf_dynptr *dynptr__uninit, uint64_t size, bool copy) __ksym;
extern uint32_t bpf_fuse_return_len(struct fuse_buffer *buffer) __ksym;
extern int bpf_fuse_read_file(void *dst, uint32_t dst__sz, uint64_t offset) __ksym;
extern int bpf_fuse_set_error_out(int error) __ksym;
extern int bpf_dynptr_from_fuse_buffer_ro(const struct fuse_buffer *buffer, uint64_t flags, struct bpf_dynptr *dynptr__uninit) __ksym;
extern int bpf_dynptr_from_fuse_buffer_rw(struct fuse_buffer *buffer, uint64_t flags, struct bpf_dynptr *dynptr__uninit) __ksym;
extern int bpf_fuse_buffer_resize(struct fuse_buffer *buffer, uint32_t size) __ksym;
extern void *bpf_dynptr_slice(const struct bpf_dynptr *ptr, __u64 offset, void *buffer__opt, __u64 buffer__szk) __ksym;
extern void *bpf_dynptr_slice_rdwr(const struct bpf_dynptr *ptr, __u64 offset, void *buffer__opt, __u64 buffer__szk) __ksym;
extern __u64 bpf_dynptr_size(const struct bpf_dynptr *ptr) __ksym;
extern _Bool bpf_dynptr_is_null(const struct bpf_dynptr *ptr) __ksym;
extern _Bool bpf_dynptr_is_rdonly(const struct bpf_dynptr *ptr) __ksym;
extern int bpf_dynptr_adjust(const struct bpf_dynptr *ptr, __u64 start, __u64 end) __ksym;
extern int bpf_dynptr_clone(const struct bpf_dynptr *ptr, struct bpf_dynptr *clone__uninit) __ksym;
extern int bpf_dynptr_copy(struct bpf_dynptr *dst_ptr, __u64 dst_off, struct bpf_dynptr *src_ptr, __u64 src_off, __u64 size) __ksym;
extern int bpf_dynptr_memset(struct bpf_dynptr *ptr, __u64 offset, __u64 size, __u8 val) __ksym;
extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym;

/* Helpers, unless libbpf's bpf_helpers.h declares them. */
#ifndef __BPF_HELPERS__
static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*bpf_map_update_elem)(void *map, const void *key, const void *value, __u64 flags) = (void *)2;
static long (*bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static long (*bpf_probe_read)(void *dst, __u32 size, const void *unsafe_ptr) = (void *)4;
static __u64 (*bpf_ktime_get_ns)(void) = (void *)5;
static long (*bpf_trace_printk)(const char *fmt, __u32 fmt_size, ...) = (void *)6;
static __u32 (*bpf_get_prandom_u32)(void) = (void *)7;
static __u32 (*bpf_get_smp_processor_id)(void) = (void *)8;
static long (*bpf_tail_call)(void *ctx, void *prog_array_map, __u32 index) = (void *)12;
static __u64 (*bpf_get_current_pid_tgid)(void) = (void *)14;
static __u64 (*bpf_get_current_uid_gid)(void) = (void *)15;
static long (*bpf_get_current_comm)(void *buf, __u32 size_of_buf) = (void *)16;
static long (*bpf_probe_read_str)(void *dst, __u32 size, const void *unsafe_ptr) = (void *)45;
static __u64 (*bpf_get_current_cgroup_id)(void) = (void *)80;
static long (*bpf_map_push_elem)(void *map, const void *value, __u64 flags) = (void *)87;
static long (*bpf_map_pop_elem)(void *map, void *value) = (void *)88;
static long (*bpf_map_peek_elem)(void *map, void *value) = (void *)89;
static long (*bpf_spin_lock)(struct bpf_spin_lock *lock) = (void *)93;
static long (*bpf_spin_unlock)(struct bpf_spin_lock *lock) = (void *)94;
static long (*bpf_strtol)(const char *buf, unsigned long buf_len, __u64 flags, long *res) = (void *)105;
static long (*bpf_strtoul)(const char *buf, unsigned long buf_len, __u64 flags, unsigned long *res) = (void *)106;
static long (*bpf_probe_read_kernel)(void *dst, __u32 size, const void *unsafe_ptr) = (void *)113;
static long (*bpf_probe_read_kernel_str)(void *dst, __u32 size, const void *unsafe_ptr) = (void *)115;
static __u64 (*bpf_get_current_ancestor_cgroup_id)(int ancestor_level) = (void *)123;
static __u64 (*bpf_ktime_get_boot_ns)(void) = (void *)125;
static long (*bpf_ringbuf_output)(void *ringbuf, void *data, __u64 size, __u64 flags) = (void *)130;
static void *(*bpf_ringbuf_reserve)(void *ringbuf, __u64 size, __u64 flags) = (void *)131;
static void (*bpf_ringbuf_submit)(void *data, __u64 flags) = (void *)132;
static void (*bpf_ringbuf_discard)(void *data, __u64 flags) = (void *)133;
static __u64 (*bpf_ringbuf_query)(void *ringbuf, __u64 flags) = (void *)134;
static void *(*bpf_inode_storage_get)(void *map, void *inode__ign, void *value, __u64 flags) = (void *)145;
static int (*bpf_inode_storage_delete)(void *map, void *inode__ign) = (void *)146;
static __u64 (*bpf_ktime_get_coarse_ns)(void) = (void *)160;
static long (*bpf_for_each_map_elem)(void *map, void *callback_fn, void *callback_ctx, __u64 flags) = (void *)164;
static long (*bpf_snprintf)(char *str, __u32 str_size, const char *fmt, __u64 *data, __u32 data_len) = (void *)165;
static long (*bpf_trace_vprintk)(const char *fmt, __u32 fmt_size, const void *data, __u32 data_len) = (void *)177;
static long (*bpf_loop)(__u32 nr_loops, void *callback_fn, void *callback_ctx, __u64 flags) = (void *)181;
static long (*bpf_strncmp)(const char *s1, __u32 s1_sz, const char *s2) = (void *)182;
static void *(*bpf_map_lookup_percpu_elem)(void *map, const void *key, __u32 cpu) = (void *)195;
static long (*bpf_dynptr_from_mem)(void *data, __u32 size, __u64 flags, struct bpf_dynptr *ptr) = (void *)197;
static long (*bpf_ringbuf_reserve_dynptr)(void *ringbuf, __u32 size, __u64 flags, struct bpf_dynptr *ptr) = (void *)198;
static void (*bpf_ringbuf_submit_dynptr)(struct bpf_dynptr *ptr, __u64 flags) = (void *)199;
static void (*bpf_ringbuf_discard_dynptr)(struct bpf_dynptr *ptr, __u64 flags) = (void *)200;
static long (*bpf_dynptr_read)(void *dst, __u32 len, const struct bpf_dynptr *src, __u32 offset, __u64 flags) = (void *)201;
static long (*bpf_dynptr_write)(const struct bpf_dynptr *dst, __u32 offset, void *src, __u32 len, __u64 flags) = (void *)202;
static void *(*bpf_dynptr_data)(const struct bpf_dynptr *ptr, __u32 offset, __u32 len) = (void *)203;
static __u64 (*bpf_ktime_get_tai_ns)(void) = (void *)208;

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
#endif

#endif /* FUSE_BPF_H */
