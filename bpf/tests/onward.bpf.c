/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* onward: members with different arguments that go on with the same program, which goes on with another. */
#include "fuse_bpf.h"

uint32_t second(uint64_t *ctx);
uint32_t third(uint64_t *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 3);
	__uint(key_size, sizeof(uint32_t));
	__array(values, uint32_t(uint64_t *));
} programs SEC(".maps") = { .values = { (void *)&second, (void *)&third } };

/* Much to do that nobody asks for: compiled programs pay for it in advance, interpreted ones do not. */
static __always_inline uint32_t work(uint64_t sum)
{
	uint32_t at;

	if (sum != 0xfedcba9876543210)
		return 1;
	barrier_var(sum);
#pragma clang loop unroll(full)
	for (at = 0; at < 100; at++)
		sum = (sum ^ at) * 31;
	return sum;
}

SEC("struct_ops/open_prefilter")
uint32_t third(uint64_t *ctx)
{
	const struct bpf_fuse_meta_info *meta = (void *)ctx[0];

	return work(meta->nodeid) ? -EACCES : -EPERM;
}

SEC("struct_ops/open_prefilter")
uint32_t second(uint64_t *ctx)
{
	const struct bpf_fuse_meta_info *meta = (void *)ctx[0];

	if (work(meta->nodeid) != 0)
		bpf_tail_call(ctx, &programs, 1);
	return BPF_FUSE_CONTINUE;
}

SEC("struct_ops/open_prefilter")
uint32_t BPF_PROG(open_prefilter, const struct bpf_fuse_meta_info *meta, struct fuse_open_in *in)
{
	bpf_tail_call(ctx, &programs, in->flags & 3);
	return BPF_FUSE_CONTINUE;
}

SEC("struct_ops/access_prefilter")
uint32_t BPF_PROG(access_prefilter, const struct bpf_fuse_meta_info *meta, struct fuse_access_in *in)
{
	bpf_tail_call(ctx, &programs, in->mask);
	return BPF_FUSE_CONTINUE;
}

SEC(".struct_ops")
struct fuse_ops onward = {
	.open_prefilter = (void *)open_prefilter,
	.access_prefilter = (void *)access_prefilter,
	.name = "onward",
};

char _license[] SEC("license") = "Dual BSD/GPL";
