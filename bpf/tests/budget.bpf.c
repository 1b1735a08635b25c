/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* budget: a loop that is proved to end, and whose end comes after the instructions one run may take. */
#include "fuse_bpf.h"

static long round(uint64_t index, void *ctx)
{
	return 0;
}

SEC("struct_ops/open_prefilter")
uint32_t BPF_PROG(open_prefilter, const struct bpf_fuse_meta_info *meta, struct fuse_open_in *in)
{
	bpf_loop(in->flags & 1 ? 1 << 22 : 1, round, NULL, 0);
	return BPF_FUSE_CONTINUE;
}

SEC(".struct_ops")
struct fuse_ops budget = { .open_prefilter = (void *)open_prefilter, .name = "budget" };

char _license[] SEC("license") = "Dual BSD/GPL";
