/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* mistakes: one set for each thing the verifier refuses, and `fine`, which it does not. */
#include "fuse_bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, uint32_t);
	__type(value, uint64_t);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

SEC("struct_ops/open_prefilter")
uint32_t BPF_PROG(fine, const struct bpf_fuse_meta_info *meta, struct fuse_open_in *in)
{
	uint32_t key = meta->opcode & 3;
	uint64_t *count = bpf_map_lookup_elem(&counts, &key);

	if (count)
		__sync_fetch_and_add(count, 1);
	in->flags &= ~04000;
	return BPF_FUSE_CONTINUE;
}

/* One more than there are. */
SEC("struct_ops/open_prefilter")
uint32_t BPF_PROG(bounds, const struct bpf_fuse_meta_info *meta, struct fuse_open_in *in)
{
	volatile char table[16] = {};
	uint64_t at = meta->nodeid;

	if (at > 16)
		return -EPERM;
	return table[at];
}

/* A lookup may find nothing. */
SEC("struct_ops/open_prefilter")
uint32_t BPF_PROG(null, const struct bpf_fuse_meta_info *meta, struct fuse_open_in *in)
{
	uint32_t key = meta->nodeid;
	uint64_t *count = bpf_map_lookup_elem(&counts, &key);

	*count += 1;
	return BPF_FUSE_CONTINUE;
}

/* A number is no address. */
SEC("struct_ops/open_prefilter")
uint32_t BPF_PROG(number, const struct bpf_fuse_meta_info *meta, struct fuse_open_in *in)
{
	return *(volatile uint32_t *)16;
}

/* What goes in is const after the operation. */
SEC("struct_ops/open_postfilter")
uint32_t BPF_PROG(constant, const struct bpf_fuse_meta_info *meta, const struct fuse_open_in *in,
		  struct fuse_open_out *out)
{
	((struct fuse_open_in *)in)->flags = 0;
	return BPF_FUSE_CONTINUE;
}

/* Whoever reads the map would learn an address. */
SEC("struct_ops/open_prefilter")
uint32_t BPF_PROG(leak, const struct bpf_fuse_meta_info *meta, struct fuse_open_in *in)
{
	uint32_t key = 0;
	uint64_t *count = bpf_map_lookup_elem(&counts, &key);

	if (count)
		*count = (uint64_t)in;
	return BPF_FUSE_CONTINUE;
}

/* A record is neither submitted nor discarded. */
SEC("struct_ops/open_prefilter")
uint32_t BPF_PROG(unreleased, const struct bpf_fuse_meta_info *meta, struct fuse_open_in *in)
{
	uint64_t *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return BPF_FUSE_CONTINUE;
	*event = meta->nodeid;
	if (in->flags & 1)
		return -EPERM;
	bpf_ringbuf_submit(event, 0);
	return BPF_FUSE_CONTINUE;
}

/* It never ends. */
SEC("struct_ops/open_prefilter")
uint32_t BPF_PROG(forever, const struct bpf_fuse_meta_info *meta, struct fuse_open_in *in)
{
	volatile uint32_t stop = 0;

	while (!stop)
		;
	return BPF_FUSE_CONTINUE;
}

SEC(".struct_ops")
struct fuse_ops fine_set = { .open_prefilter = (void *)fine, .name = "fine" };
SEC(".struct_ops")
struct fuse_ops bounds_set = { .open_prefilter = (void *)bounds, .name = "bounds" };
SEC(".struct_ops")
struct fuse_ops null_set = { .open_prefilter = (void *)null, .name = "null" };
SEC(".struct_ops")
struct fuse_ops number_set = { .open_prefilter = (void *)number, .name = "number" };
SEC(".struct_ops")
struct fuse_ops constant_set = { .open_postfilter = (void *)constant, .name = "constant" };
SEC(".struct_ops")
struct fuse_ops leak_set = { .open_prefilter = (void *)leak, .name = "leak" };
SEC(".struct_ops")
struct fuse_ops unreleased_set = { .open_prefilter = (void *)unreleased, .name = "unreleased" };
SEC(".struct_ops")
struct fuse_ops forever_set = { .open_prefilter = (void *)forever, .name = "forever" };

char _license[] SEC("license") = "Dual BSD/GPL";
