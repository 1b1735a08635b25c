/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* to_daemon: names that start with `d_` are the daemon's; everything else is below. */
#include "fuse_bpf.h"

FUSE_FILTER(names, by_name)
{
	char start[2] = {};
	struct bpf_dynptr ptr;

	if (stage == FUSE_POST)
		return BPF_FUSE_CONTINUE;
	bpf_dynptr_from_fuse_buffer_ro(name, 0, &ptr);
	bpf_dynptr_read(start, sizeof(start), &ptr, 0, 0);
	return start[0] == 'd' && start[1] == '_' ? BPF_FUSE_USER : BPF_FUSE_CONTINUE;
}

SEC(".struct_ops")
struct fuse_filter to_daemon = {
	.names = (void *)by_name,
	.name = "to_daemon",
};

char _license[] SEC("license") = "Dual BSD/GPL";
