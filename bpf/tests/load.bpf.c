/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * load: denies, rewrites and asks the daemon, by a hash of the operation and of its name or offset. Whoever knows the seed
 * knows what becomes of each operation (crates/fuse-bpf/tests/load).
 */
#include "fuse_bpf.h"

#define KEY 32

#define LOOKUP 1
#define SETATTR 4
#define SYMLINK 6
#define MKDIR 9
#define UNLINK 10
#define RMDIR 11
#define RENAME 12
#define LINK 13
#define READ 15
#define WRITE 16
#define SETXATTR 21
#define GETXATTR 22
#define REMOVEXATTR 24
#define READDIR 28
#define CREATE 35
#define FALLOCATE 43
#define COPY_FILE_RANGE 47

#define FATTR_MODE (1 << 0)
#define FATTR_SIZE (1 << 3)

/* What is done with an operation. */
#define DENY 0
#define REWRITE 1
#define ASK_BEFORE 2
#define ASK_AFTER 3
#define AFTERWARDS 4
#define HAND_OVER 5
#define PASS 6

struct key {
	char text[KEY];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, uint32_t);
} seed SEC(".maps");

/* How often each was decided. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 7);
	__type(key, uint32_t);
	__type(value, uint64_t);
} decided SEC(".maps");

static __noinline uint32_t hash(uint32_t opcode, const struct key *key)
{
	uint32_t zero = 0, *start = bpf_map_lookup_elem(&seed, &zero), h = 2166136261u;

	if (start)
		h ^= *start;
	h = (h ^ opcode) * 16777619u;
	if (!key)
		return h;
	for (int i = 0; i < KEY; i++)
		h = (h ^ (uint8_t)key->text[i]) * 16777619u;
	h ^= h >> 15;
	h *= 0x2c1b3c6du;
	h ^= h >> 12;
	return h;
}

static __always_inline uint32_t error(uint32_t h)
{
	switch ((h >> 8) & 3) {
	case 0:
		return -EPERM;
	case 1:
		return -EACCES;
	case 2:
		return -ENOSPC;
	default:
		return -EIO;
	}
}

static __always_inline uint32_t choose(uint32_t h)
{
	switch (h & 31) {
	case 0:
		return DENY;
	case 1:
	case 2:
		return REWRITE;
	case 3:
		return ASK_BEFORE;
	case 4:
		return ASK_AFTER;
	case 5:
		return AFTERWARDS;
	case 6:
		return HAND_OVER;
	default:
		return PASS;
	}
}

static __noinline uint32_t count(uint32_t choice)
{
	uint64_t *n = bpf_map_lookup_elem(&decided, &choice);

	if (n)
		__sync_fetch_and_add(n, 1);
	return choice;
}

/* The verdict of a prefilter that does not rewrite. */
static __always_inline uint32_t verdict(uint32_t choice, uint32_t h)
{
	switch (choice) {
	case DENY:
		return error(h);
	case ASK_BEFORE:
		return BPF_FUSE_USER_PREFILTER;
	case ASK_AFTER:
		return BPF_FUSE_USER_POSTFILTER;
	case AFTERWARDS:
		return BPF_FUSE_POSTFILTER;
	default:
		return BPF_FUSE_CONTINUE;
	}
}

/* The verdict of a postfilter. */
static __always_inline uint32_t judge(uint32_t h)
{
	return (h >> 10) & 3 ? BPF_FUSE_CONTINUE : error(h);
}

static __always_inline uint32_t name_of(const struct fuse_buffer *name, struct key *key)
{
	struct bpf_dynptr ptr;
	uint32_t len = bpf_fuse_return_len((struct fuse_buffer *)name);

	if (len > KEY)
		len = KEY;
	bpf_fuse_get_ro_dynptr(name, &ptr);
	if (len)
		bpf_dynptr_read(key->text, len, &ptr, 0, 0);
	return len;
}

static __always_inline void number(uint64_t offset, struct key *key)
{
	__builtin_memcpy(key->text, &offset, sizeof(offset));
}

static __always_inline void replace(struct fuse_buffer *buffer, void *text, uint32_t len)
{
	struct bpf_dynptr ptr;

	bpf_fuse_get_rw_dynptr(buffer, &ptr, len, false);
	bpf_dynptr_write(&ptr, 0, text, len, 0);
}

/* A pair of programs. `find` fills the key; `rewrite` changes the arguments. */
#define ARGS(...) , ##__VA_ARGS__
#define DECIDED(member, op, pre, post, find, rewrite)                                                      \
	SEC("struct_ops/" #member "_prefilter")                                                            \
	uint32_t BPF_PROG(member##_prefilter, const struct bpf_fuse_meta_info *meta ARGS pre)              \
	{                                                                                                  \
		struct key key = {};                                                                       \
		uint32_t h, choice;                                                                        \
		find;                                                                                      \
		h = hash(op, &key);                                                                        \
		choice = count(choose(h));                                                                 \
		if (choice == REWRITE) {                                                                   \
			rewrite;                                                                           \
			return BPF_FUSE_CONTINUE;                                                          \
		}                                                                                          \
		if (op == READ && choice == HAND_OVER)                                                     \
			return BPF_FUSE_USER;                                                              \
		return verdict(choice, h);                                                                 \
	}                                                                                                  \
	SEC("struct_ops/" #member "_postfilter")                                                           \
	uint32_t BPF_PROG(member##_postfilter, const struct bpf_fuse_meta_info *meta ARGS post)            \
	{                                                                                                  \
		struct key key = {};                                                                       \
		find;                                                                                      \
		return judge(hash(op, &key));                                                              \
	}

#define NAME name_of(name, &key)
#define NUMBER(n) number(n, &key)
#define NOTHING (void)0
/* Attributes of the system's own are left alone. */
#define ATTRIBUTE                                                                                          \
	NAME;                                                                                              \
	if (key.text[0] != 'u')                                                                            \
	return BPF_FUSE_CONTINUE

DECIDED(create_open, CREATE, (struct fuse_create_in *in, struct fuse_buffer *name),
	(const struct fuse_create_in *in, const struct fuse_buffer *name, struct fuse_entry_out *entry_out,
	 struct fuse_open_out *out),
	NAME, in->mode = (in->mode & ~07777u) | 0640)
DECIDED(mkdir, MKDIR, (struct fuse_mkdir_in *in, struct fuse_buffer *name),
	(const struct fuse_mkdir_in *in, const struct fuse_buffer *name), NAME, in->mode = 0750)
DECIDED(unlink, UNLINK, (struct fuse_buffer *name), (const struct fuse_buffer *name), NAME, NOTHING)
DECIDED(rmdir, RMDIR, (struct fuse_buffer *name), (const struct fuse_buffer *name), NAME, NOTHING)
DECIDED(rename, RENAME, (struct fuse_rename_in *in, struct fuse_buffer *name, struct fuse_buffer *to),
	(const struct fuse_rename_in *in, const struct fuse_buffer *name, const struct fuse_buffer *to), NAME, NOTHING)
DECIDED(symlink, SYMLINK, (struct fuse_buffer *name, struct fuse_buffer *path),
	(const struct fuse_buffer *name, const struct fuse_buffer *path), NAME, replace(path, "rewritten", 10))
DECIDED(setxattr, SETXATTR, (struct fuse_setxattr_in *in, struct fuse_buffer *name, struct fuse_buffer *value),
	(const struct fuse_setxattr_in *in, const struct fuse_buffer *name, const struct fuse_buffer *value),
	ATTRIBUTE, replace(value, "rewritten", 9))
DECIDED(getxattr, GETXATTR, (struct fuse_getxattr_in *in, struct fuse_buffer *name),
	(const struct fuse_getxattr_in *in, const struct fuse_buffer *name, struct fuse_buffer *value,
	 struct fuse_getxattr_out *out),
	ATTRIBUTE, replace(name, "user.x0", 8))
DECIDED(removexattr, REMOVEXATTR, (struct fuse_buffer *name), (const struct fuse_buffer *name), ATTRIBUTE,
	replace(name, "user.x0", 8))
DECIDED(read_iter, READ, (struct fuse_read_in *in), (const struct fuse_read_in *in, struct fuse_read_iter_out *out),
	NUMBER(in->offset), in->size /= 2)
DECIDED(write_iter, WRITE, (struct fuse_write_in *in), (const struct fuse_write_in *in, struct fuse_write_iter_out *out),
	NUMBER(in->offset), in->offset += 100)
DECIDED(file_fallocate, FALLOCATE, (struct fuse_fallocate_in *in), (const struct fuse_fallocate_in *in),
	NUMBER(in->offset), in->length += 100)
DECIDED(copy_file_range, COPY_FILE_RANGE, (struct fuse_copy_file_range_in *in),
	(const struct fuse_copy_file_range_in *in, struct fuse_write_out *out), NUMBER(in->off_in), in->off_in += 64)

/* A new link may get another name. */
static __always_inline void other_name(struct fuse_buffer *name, struct key *key, uint32_t len)
{
	char text[2 + KEY] = "r-";

	__builtin_memcpy(text + 2, key->text, KEY);
	if (len <= KEY)
		replace(name, text, len + 2);
}
DECIDED(link, LINK, (struct fuse_link_in *in, struct fuse_buffer *name),
	(const struct fuse_link_in *in, const struct fuse_buffer *name), uint32_t len = NAME; (void)len,
	other_name(name, &key, len))

/* A size or a mode. */
#define SIZE_OR_MODE                                                                                       \
	if (in->valid & FATTR_SIZE)                                                                        \
		number(in->size, &key);                                                                    \
	else if (in->valid & FATTR_MODE)                                                                   \
		number(in->mode & 07777, &key);                                                            \
	else                                                                                               \
	return BPF_FUSE_CONTINUE
#define OTHER_SIZE_OR_MODE                                                                                 \
	if (in->valid & FATTR_SIZE)                                                                        \
		in->size += 7;                                                                             \
	else                                                                                               \
	in->mode = (in->mode & ~07777u) | 0604
DECIDED(setattr, SETATTR, (struct fuse_setattr_in *in), (const struct fuse_setattr_in *in, struct fuse_attr_out *out),
	SIZE_OR_MODE, OTHER_SIZE_OR_MODE)

/* `a-NAME` is another name of NAME, `u-NAME` is the daemon's, and of the others only those that begin with `n` are judged. */
SEC("struct_ops/lookup_prefilter")
uint32_t BPF_PROG(lookup_prefilter, const struct bpf_fuse_meta_info *meta, struct fuse_buffer *name)
{
	struct key key = {};
	uint32_t len = name_of(name, &key), h, choice;

	if (key.text[0] == 'u' && key.text[1] == '-') {
		count(HAND_OVER);
		return BPF_FUSE_USER;
	}
	if (key.text[0] == 'a' && key.text[1] == '-') {
		count(REWRITE);
		if (len > 2 && len < KEY / 2)
			replace(name, key.text + 2, (len - 2) & (KEY / 2 - 1));
		return BPF_FUSE_CONTINUE;
	}
	if (key.text[0] != 'n')
		return BPF_FUSE_CONTINUE;
	h = hash(LOOKUP, &key);
	choice = count(choose(h));
	return verdict(choice, h);
}

SEC("struct_ops/lookup_postfilter")
uint32_t BPF_PROG(lookup_postfilter, const struct bpf_fuse_meta_info *meta, const struct fuse_buffer *name,
		  struct fuse_entry_out *out, struct fuse_buffer *entries)
{
	struct key key = {};

	name_of(name, &key);
	return judge(hash(LOOKUP, &key));
}

/* The daemon sees pages go by. */
SEC("struct_ops/readdir_prefilter")
uint32_t BPF_PROG(readdir_prefilter, const struct bpf_fuse_meta_info *meta, struct fuse_read_in *in)
{
	return in->offset ? BPF_FUSE_CONTINUE : BPF_FUSE_USER_POSTFILTER;
}

/* All but data. */
#define MEMBERS                                                                        \
	.create_open_prefilter = (void *)create_open_prefilter,                                         \
	.create_open_postfilter = (void *)create_open_postfilter,                                       \
	.mkdir_prefilter = (void *)mkdir_prefilter,                                                     \
	.mkdir_postfilter = (void *)mkdir_postfilter,                                                   \
	.unlink_prefilter = (void *)unlink_prefilter,                                                   \
	.unlink_postfilter = (void *)unlink_postfilter,                                                 \
	.rmdir_prefilter = (void *)rmdir_prefilter,                                                     \
	.rmdir_postfilter = (void *)rmdir_postfilter,                                                   \
	.rename_prefilter = (void *)rename_prefilter,                                                   \
	.rename_postfilter = (void *)rename_postfilter,                                                 \
	.symlink_prefilter = (void *)symlink_prefilter,                                                 \
	.symlink_postfilter = (void *)symlink_postfilter,                                               \
	.setxattr_prefilter = (void *)setxattr_prefilter,                                               \
	.setxattr_postfilter = (void *)setxattr_postfilter,                                             \
	.getxattr_prefilter = (void *)getxattr_prefilter,                                               \
	.getxattr_postfilter = (void *)getxattr_postfilter,                                             \
	.removexattr_prefilter = (void *)removexattr_prefilter,                                         \
	.removexattr_postfilter = (void *)removexattr_postfilter,                                       \
	.file_fallocate_prefilter = (void *)file_fallocate_prefilter,                                   \
	.file_fallocate_postfilter = (void *)file_fallocate_postfilter,                                 \
	.copy_file_range_prefilter = (void *)copy_file_range_prefilter,                                 \
	.copy_file_range_postfilter = (void *)copy_file_range_postfilter,                               \
	.link_prefilter = (void *)link_prefilter,                                                       \
	.link_postfilter = (void *)link_postfilter,                                                     \
	.setattr_prefilter = (void *)setattr_prefilter,                                                 \
	.setattr_postfilter = (void *)setattr_postfilter,                                               \
	.lookup_prefilter = (void *)lookup_prefilter,                                                   \
	.lookup_postfilter = (void *)lookup_postfilter,                                                 \
	.readdir_prefilter = (void *)readdir_prefilter,

SEC(".struct_ops")
struct fuse_ops load = {
	MEMBERS
	.read_iter_prefilter = (void *)read_iter_prefilter,
	.read_iter_postfilter = (void *)read_iter_postfilter,
	.write_iter_prefilter = (void *)write_iter_prefilter,
	.write_iter_postfilter = (void *)write_iter_postfilter,
	.name = "load",
};

/* Where data is filtered copies are made by reading and writing. */
SEC(".struct_ops")
struct fuse_ops load_copies = {
	MEMBERS
	.name = "load_copies",
};

char _license[] SEC("license") = "Dual BSD/GPL";
