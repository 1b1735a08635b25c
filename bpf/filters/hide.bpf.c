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
	uint32_t len;

	bpf_dynptr_from_fuse_buffer_ro(buffer, 0, &ptr);
	len = bpf_dynptr_size(&ptr);
	/* The length counts the NUL. */
	if (len < 2 || len > NAME)
		return 0;
	len--;
	if (bpf_dynptr_read(name.text, len & (NAME - 1), &ptr, 0, 0))
		return 0;
	return hidden(name.text, len);
}

FUSE_FILTER(names, hide_name)
{
	if (stage == FUSE_POST)
		return BPF_FUSE_CONTINUE;
	if (op == FUSE_LOOKUP || op == FUSE_UNLINK || op == FUSE_RMDIR)
		return buffer_hidden(name) ? -ENOENT : BPF_FUSE_CONTINUE;
	return buffer_hidden(name) ? -EACCES : BPF_FUSE_CONTINUE;
}

FUSE_FILTER(renames, hide_both)
{
	if (stage == FUSE_POST)
		return BPF_FUSE_CONTINUE;
	if (buffer_hidden(old_name))
		return -ENOENT;
	return buffer_hidden(new_name) ? -EACCES : BPF_FUSE_CONTINUE;
}

/* Shortest record: a name of one byte. */
#define MIN_RECORD 32
#define PAGE 4096

/* Moves the records that stay to the front of the page and cuts it off behind them. */
FUSE_FILTER(records, hide_records)
{
	uint32_t zero = 0, from = 0, to = 0;
	struct bpf_dynptr page;
	struct record *record;

	if (stage == FUSE_PRE)
		return BPF_FUSE_POSTFILTER;
	if (bpf_dynptr_from_fuse_buffer_rw(buffer, 0, &page))
		return -EIO;
	record = bpf_map_lookup_elem(&hide_scratch, &zero);
	if (!record)
		return -EIO;
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
		bpf_fuse_buffer_resize(buffer, to);
		/* A page of which nothing is left is not the end of the directory. */
		if (to == 0)
			out->again = 1;
	}
	return BPF_FUSE_CONTINUE;
}

SEC(".struct_ops")
struct fuse_filter hide = {
	.names = (void *)hide_name,
	.renames = (void *)hide_both,
	.records = (void *)hide_records,
	.name = "hide",
};

char _license[] SEC("license") = "Dual BSD/GPL";
