/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * redact: ranges of files whose names match read as zeros.
 *
 * Only these files are read through a filter; `redact` gives them the set `file` when they are looked up. What
 * cannot be read cannot be written either, nor cut off, and the file keeps a name that matches (EACCES). Which names is in the
 * maps of patterns.h, which ranges in redact_ranges, of which the first redact_count[0] count.
 */
#include "patterns.h"

/* linux/fcntl.h, linux/falloc.h, linux/fuse.h */
#define O_APPEND 02000
#define FALLOC_FL_KEEP_SIZE 1
#define FATTR_SIZE (1 << 3)

#define MAX_RANGES 64

/* From start up to end. */
struct range {
	uint64_t start;
	uint64_t end;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_RANGES);
	__type(key, uint32_t);
	__type(value, struct range);
} redact_ranges SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, uint32_t);
} redact_count SEC(".maps");

#include "attached.h"

/* Whether [start, end) meets a range. With `data` what it meets is zeroed in it, where `start` is at 0. */
static __always_inline int redacted(uint64_t start, uint64_t end, struct bpf_dynptr *data)
{
	uint32_t zero = 0;
	uint32_t *count = bpf_map_lookup_elem(&redact_count, &zero);
	int met = 0;

	if (!count)
		return 1;
	for (uint32_t i = 0; i < MAX_RANGES; i++) {
		struct range *range;
		uint64_t from, to;

		if (i >= *count)
			break;
		range = bpf_map_lookup_elem(&redact_ranges, &i);
		if (!range)
			return 1;
		from = range->start > start ? range->start : start;
		to = range->end < end ? range->end : end;
		if (from >= to)
			continue;
		met = 1;
		if (data && bpf_dynptr_memset(data, from - start, to - from, 0))
			return -EIO;
	}
	return met;
}

FUSE_FILTER(data, redact_data)
{
	struct bpf_dynptr bytes;
	uint64_t offset;

	if (op == FUSE_READ && stage == FUSE_PRE)
		return BPF_FUSE_POSTFILTER;
	if (op == FUSE_READ) {
		if (meta->error_in)
			return BPF_FUSE_CONTINUE;
		if (bpf_dynptr_from_fuse_buffer_rw(data, 0, &bytes))
			return -EIO;
		offset = in->read.offset;
		return redacted(offset, offset + bpf_dynptr_size(&bytes), &bytes) < 0 ? -EIO : BPF_FUSE_CONTINUE;
	}
	if (stage == FUSE_POST)
		return BPF_FUSE_CONTINUE;
	if (op == FUSE_WRITE) {
		/* An append goes to the end, wherever that is then. */
		if (in->write.flags & O_APPEND)
			return -EACCES;
		offset = in->write.offset;
		return redacted(offset, offset + in->write.size, 0) ? -EACCES : BPF_FUSE_CONTINUE;
	}
	/* Ranges must stay where they are. */
	if (op == FUSE_FALLOCATE && in->fallocate.mode & ~FALLOC_FL_KEEP_SIZE)
		return -EACCES;
	return BPF_FUSE_CONTINUE;
}

FUSE_FILTER(attributes, redact_attributes)
{
	if (op == FUSE_SETATTR && stage == FUSE_PRE && in->setattr.valid & FATTR_SIZE)
		return redacted(in->setattr.size, ~0ull, 0) ? -EACCES : BPF_FUSE_CONTINUE;
	return BPF_FUSE_CONTINUE;
}

SEC(".struct_ops")
struct fuse_filter redact = {
	.names = (void *)attach,
	.renames = (void *)keep_names,
	.name = "redact",
};

SEC(".struct_ops")
struct fuse_filter redact_file = {
	.names = (void *)keep_links,
	.renames = (void *)keep_names,
	.data = (void *)redact_data,
	.attributes = (void *)redact_attributes,
	.files = (void *)keep_content,
	.name = ATTACHED,
};

char _license[] SEC("license") = "Dual BSD/GPL";
