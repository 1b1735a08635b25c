/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * hide: names that match do not exist.
 *
 * A hidden name is not found, not listed, not removed and not moved (ENOENT), and nothing can be made
 * under it (EACCES). Which names is in the maps of patterns.h.
 */
#include "patterns.h"

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

FUSE_FILTER(names, hide_name)
{
	if (stage == FUSE_POST)
		return BPF_FUSE_CONTINUE;
	if (op == FUSE_LOOKUP || op == FUSE_UNLINK || op == FUSE_RMDIR)
		return buffer_matches(name) ? -ENOENT : BPF_FUSE_CONTINUE;
	return buffer_matches(name) ? -EACCES : BPF_FUSE_CONTINUE;
}

FUSE_FILTER(renames, hide_both)
{
	if (stage == FUSE_POST)
		return BPF_FUSE_CONTINUE;
	if (buffer_matches(old_name))
		return -ENOENT;
	return buffer_matches(new_name) ? -EACCES : BPF_FUSE_CONTINUE;
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
		if (!matches(record->text, len)) {
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
