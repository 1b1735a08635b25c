/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * mask: in files whose names match, what follows the first `=` of a line reads as stars.
 *
 * Lengths stay. Only these files are read through a filter; `mask` gives them the set `file` when they are looked up. They
 * cannot be written (EACCES), because what an editor has read are stars, and they keep a name that matches. From LIMIT on a
 * file reads as stars altogether. Which names is in the maps of patterns.h.
 */
#include "patterns.h"
#include "attached.h"

/* linux/fuse.h */
#define FATTR_SIZE (1 << 3)

/* How far into a file lines are told apart. */
#define LIMIT (32 * 1024)
#define CHUNK 256

struct chunk {
	char bytes[CHUNK];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct chunk);
} mask_scratch SEC(".maps");

/* 1 when two bytes are the same, else 0. */
static __always_inline uint32_t same(uint32_t a, uint32_t b)
{
	return ((a ^ b) - 1) >> 31;
}

/*
 * Masks a chunk; `secret` is 1 when it starts behind an `=`, else 0. Whether what follows does. Without branches, there
 * is one way through it for the verifier as well.
 */
static __noinline uint32_t mask_chunk(struct chunk *chunk, uint32_t secret)
{
	for (uint32_t i = 0; i < CHUNK; i++) {
		uint32_t byte = (uint8_t)chunk->bytes[i];
		uint32_t newline = same(byte, '\n');
		uint32_t stars = -(secret & ~newline & 1);

		chunk->bytes[i] = (byte & ~stars) | ('*' & stars);
		secret = (secret | same(byte, '=')) & ~newline & 1;
	}
	return secret;
}

/* From the start of the file to the end of what was read. */
struct walk {
	struct bpf_dynptr *data;
	struct chunk *chunk;
	/* Where in the file what was read begins and ends. */
	uint64_t start;
	uint64_t end;
	uint32_t secret;
};

/*
 * Masks a chunk of the file, and puts what was asked for of it where it was read. Content and place in its line are of one
 * moment so, whatever is written meanwhile.
 */
static long step(uint64_t index, void *context)
{
	struct walk *walk = context;
	struct chunk *chunk = walk->chunk;
	uint64_t base = index * CHUNK, from, to;
	int read = bpf_fuse_read_file(chunk, sizeof(*chunk), base);

	if (read <= 0)
		return 1;
	walk->secret = mask_chunk(chunk, walk->secret & 1);
	from = base < walk->start ? walk->start : base;
	to = base + read < walk->end ? base + read : walk->end;
	if (from >= to)
		return 0;
	read = to - from;
	from -= base;
	if (from < CHUNK && read > 0 && read <= CHUNK - from)
		bpf_dynptr_write(walk->data, base + from - walk->start, chunk->bytes + from, read, 0);
	return 0;
}

FUSE_FILTER(data, mask_data)
{
	struct bpf_dynptr bytes;
	struct walk walk = {};
	uint32_t zero = 0;
	uint64_t size;

	if (op == FUSE_WRITE && stage == FUSE_PRE)
		return -EACCES;
	if (op == FUSE_FALLOCATE && stage == FUSE_PRE)
		return -EACCES;
	if (op != FUSE_READ)
		return BPF_FUSE_CONTINUE;
	if (stage == FUSE_PRE)
		return BPF_FUSE_POSTFILTER;
	if (meta->error_in)
		return BPF_FUSE_CONTINUE;
	if (bpf_dynptr_from_fuse_buffer_rw(data, 0, &bytes))
		return -EIO;
	size = bpf_dynptr_size(&bytes);
	walk.chunk = bpf_map_lookup_elem(&mask_scratch, &zero);
	/* What is not known to be shown is not shown. */
	if (!walk.chunk || (size && bpf_dynptr_memset(&bytes, 0, size, '*')))
		return -EIO;
	walk.data = &bytes;
	walk.start = in->read.offset;
	walk.end = walk.start + size < LIMIT ? walk.start + size : LIMIT;
	bpf_loop((walk.end + CHUNK - 1) / CHUNK, step, &walk, 0);
	return BPF_FUSE_CONTINUE;
}

FUSE_FILTER(attributes, mask_attributes)
{
	if (op == FUSE_SETATTR && stage == FUSE_PRE && in->setattr.valid & FATTR_SIZE)
		return -EACCES;
	return BPF_FUSE_CONTINUE;
}

SEC(".struct_ops")
struct fuse_filter mask_names = {
	.names = (void *)attach,
	.renames = (void *)keep_names,
	.name = "mask",
};

SEC(".struct_ops")
struct fuse_filter mask_file = {
	.names = (void *)keep_links,
	.renames = (void *)keep_names,
	.data = (void *)mask_data,
	.attributes = (void *)mask_attributes,
	.files = (void *)keep_content,
	.name = ATTACHED,
};

char _license[] SEC("license") = "Dual BSD/GPL";
