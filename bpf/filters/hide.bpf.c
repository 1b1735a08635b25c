/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * hide: names that match do not exist.
 *
 * A hidden name is not found, not listed, not removed and not moved (ENOENT), and nothing can be made
 * under it (EACCES). Which names is in the maps: whole names in hide_names, the text of `prefix*` and
 * `*suffix` patterns in hide_affixes, of which the first hide_count[0] count.
 */
#include "fuse_bpf.h"

#define NAME 256
#define MAX_NAMES 4096
#define MAX_AFFIXES 1024
#define PREFIX 1
#define SUFFIX 2

struct name {
	char text[NAME];
};

struct affix {
	uint32_t kind;
	uint32_t len;
	char text[NAME];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_NAMES);
	__type(key, struct name);
	__type(value, uint32_t);
} hide_names SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_AFFIXES);
	__type(key, uint32_t);
	__type(value, struct affix);
} hide_affixes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, uint32_t);
} hide_count SEC(".maps");

/* One directory record on its way to its new place. */
struct record {
	uint64_t ino;
	uint64_t off;
	uint32_t namelen;
	uint32_t type;
	char text[NAME];
};

#define HEAD offsetof(struct record, text)
_Static_assert(HEAD == sizeof(struct fuse_dirent), "a record is a struct fuse_dirent with a bounded name");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct record);
} hide_scratch SEC(".maps");

/* Whether `len` bytes of a name, zero-padded to NAME, match a pattern. */
static __noinline int hidden(const char *name, uint32_t len)
{
	uint32_t zero = 0;
	uint32_t *count;

	if (bpf_map_lookup_elem(&hide_names, name))
		return 1;
	count = bpf_map_lookup_elem(&hide_count, &zero);
	if (!count)
		return 0;
	for (uint32_t i = 0; i < MAX_AFFIXES; i++) {
		struct affix *affix;
		uint32_t start, same;

		if (i >= *count)
			break;
		affix = bpf_map_lookup_elem(&hide_affixes, &i);
		if (!affix || affix->len > len || affix->len >= NAME)
			continue;
		start = affix->kind == SUFFIX ? len - affix->len : 0;
		for (same = 0; same < NAME; same++) {
			uint32_t at = start + same;

			/* The compiler must index by what is compared, or nothing is proved of it. */
			barrier_var(at);
			if (same >= affix->len)
				return 1;
			if (at >= NAME || name[at] != affix->text[same])
				break;
		}
	}
	return 0;
}

static __always_inline int buffer_hidden(struct fuse_buffer *buffer)
{
	struct name name = {};
	struct bpf_dynptr ptr;
	uint32_t len = bpf_fuse_return_len(buffer);

	/* The length counts the NUL. */
	if (len < 2 || len > NAME)
		return 0;
	len--;
	bpf_fuse_get_ro_dynptr(buffer, &ptr);
	if (bpf_dynptr_read(name.text, len & (NAME - 1), &ptr, 0, 0))
		return 0;
	return hidden(name.text, len);
}

#define FIND(member)                                                                                       \
	SEC("struct_ops/" #member)                                                                         \
	uint32_t BPF_PROG(member, const struct bpf_fuse_meta_info *meta, struct fuse_buffer *name)         \
	{                                                                                                  \
		return buffer_hidden(name) ? -ENOENT : BPF_FUSE_CONTINUE;                                  \
	}

#define MAKE(member, type)                                                                                 \
	SEC("struct_ops/" #member)                                                                         \
	uint32_t BPF_PROG(member, const struct bpf_fuse_meta_info *meta, struct type *in,                  \
			  struct fuse_buffer *name)                                                        \
	{                                                                                                  \
		return buffer_hidden(name) ? -EACCES : BPF_FUSE_CONTINUE;                                  \
	}

#define MOVE(member, type)                                                                                 \
	SEC("struct_ops/" #member)                                                                         \
	uint32_t BPF_PROG(member, const struct bpf_fuse_meta_info *meta, struct type *in,                  \
			  struct fuse_buffer *old_name, struct fuse_buffer *new_name)                      \
	{                                                                                                  \
		if (buffer_hidden(old_name))                                                               \
			return -ENOENT;                                                                    \
		return buffer_hidden(new_name) ? -EACCES : BPF_FUSE_CONTINUE;                              \
	}

FIND(lookup_prefilter)
FIND(unlink_prefilter)
FIND(rmdir_prefilter)
MAKE(create_open_prefilter, fuse_create_in)
MAKE(mknod_prefilter, fuse_mknod_in)
MAKE(mkdir_prefilter, fuse_mkdir_in)
MAKE(link_prefilter, fuse_link_in)
MOVE(rename_prefilter, fuse_rename_in)
MOVE(rename2_prefilter, fuse_rename2_in)

SEC("struct_ops/symlink_prefilter")
uint32_t BPF_PROG(symlink_prefilter, const struct bpf_fuse_meta_info *meta, struct fuse_buffer *name,
		  struct fuse_buffer *path)
{
	return buffer_hidden(name) ? -EACCES : BPF_FUSE_CONTINUE;
}

SEC("struct_ops/readdir_prefilter")
uint32_t BPF_PROG(readdir_prefilter, const struct bpf_fuse_meta_info *meta, struct fuse_read_in *in)
{
	return BPF_FUSE_POSTFILTER;
}

/* Shortest record: a name of one byte. */
#define MIN_RECORD 32
#define PAGE 4096

/* Moves the records that stay to the front of the page and cuts it off behind them. */
SEC("struct_ops/readdir_postfilter")
uint32_t BPF_PROG(readdir_postfilter, const struct bpf_fuse_meta_info *meta, const struct fuse_read_in *in,
		  struct fuse_read_out *out, struct fuse_buffer *buffer)
{
	uint32_t size = bpf_fuse_return_len(buffer);
	uint32_t zero = 0, from = 0, to = 0;
	struct bpf_dynptr page, rest;
	struct record *record;

	if (!size)
		return BPF_FUSE_CONTINUE;
	record = bpf_map_lookup_elem(&hide_scratch, &zero);
	if (!record)
		return -EIO;
	bpf_fuse_get_rw_dynptr(buffer, &page, size, true);
	for (int i = 0; i < PAGE / MIN_RECORD; i++) {
		uint32_t len, step;

		if (bpf_dynptr_read(record, HEAD, &page, from, 0))
			break;
		len = record->namelen;
		if (len == 0 || len >= NAME)
			return -EIO;
		__builtin_memset(record->text, 0, sizeof(record->text));
		if (bpf_dynptr_read(record->text, len & (NAME - 1), &page, from + HEAD, 0))
			break;
		step = (HEAD + len + 7) & ~7u;
		if (!hidden(record->text, len)) {
			if (to != from &&
			    bpf_dynptr_write(&page, to, record,
					     (HEAD + len) & (2 * NAME - 1), 0))
				return -EIO;
			to += step;
		}
		from += step;
	}
	if (to != from) {
		bpf_fuse_get_rw_dynptr(buffer, &rest, to, true);
		/* A page of which nothing is left is not the end of the directory. */
		if (to == 0)
			out->again = 1;
	}
	return BPF_FUSE_CONTINUE;
}

SEC(".struct_ops")
struct fuse_ops hide = {
	.lookup_prefilter = (void *)lookup_prefilter,
	.unlink_prefilter = (void *)unlink_prefilter,
	.rmdir_prefilter = (void *)rmdir_prefilter,
	.create_open_prefilter = (void *)create_open_prefilter,
	.mknod_prefilter = (void *)mknod_prefilter,
	.mkdir_prefilter = (void *)mkdir_prefilter,
	.link_prefilter = (void *)link_prefilter,
	.rename_prefilter = (void *)rename_prefilter,
	.rename2_prefilter = (void *)rename2_prefilter,
	.symlink_prefilter = (void *)symlink_prefilter,
	.readdir_prefilter = (void *)readdir_prefilter,
	.readdir_postfilter = (void *)readdir_postfilter,
	.name = "hide",
};

char _license[] SEC("license") = "Dual BSD/GPL";
