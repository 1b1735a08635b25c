/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * places: programs that are right in one place and wrong in another. `clear` is the prefilter of `before`, where
 * its argument is writable, and the postfilter of `after`, where it is const. The program of `onward` is right, and
 * what it goes on to by a tail call is not.
 */
#include "fuse_bpf.h"

SEC("struct_ops/open_prefilter")
uint32_t BPF_PROG(clear, const struct bpf_fuse_meta_info *meta, struct fuse_open_in *in)
{
	in->flags = 0;
	return BPF_FUSE_CONTINUE;
}

SEC("struct_ops/open_prefilter")
uint32_t BPF_PROG(target, const struct bpf_fuse_meta_info *meta, struct fuse_open_in *in)
{
	return *(volatile uint32_t *)16;
}

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(uint32_t));
	__array(values, uint32_t(uint64_t *));
} targets SEC(".maps") = { .values = { (void *)&target } };

SEC("struct_ops/open_prefilter")
uint32_t onward(uint64_t *ctx)
{
	bpf_tail_call(ctx, &targets, 0);
	return BPF_FUSE_CONTINUE;
}

SEC(".struct_ops")
struct fuse_ops before = { .open_prefilter = (void *)clear, .name = "before" };
SEC(".struct_ops")
struct fuse_ops after = { .open_postfilter = (void *)clear, .name = "after" };
SEC(".struct_ops")
struct fuse_ops onward_set = { .open_prefilter = (void *)onward, .name = "onward" };

char _license[] SEC("license") = "Dual BSD/GPL";
