/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * @NAME@: an example to change.
 *
 * - Names that start with "secret" do not exist, and nothing can be made that is called so.
 * - Nothing that is called "keep" can be removed.
 * - Every file opened for writing is printed (fuse-bpf trace MNT), with how often that happened.
 *
 * A program is for a family of operations: `op` tells which one it is asked about, `stage` whether that is done
 * yet. Before the operation it may change what the operation takes (`in`, some buffers), and returns
 *	BPF_FUSE_CONTINUE	do the operation,
 *	BPF_FUSE_POSTFILTER	do it, then ask again,
 *	a negative errno	fail.
 * Afterwards it sees how the operation ended (meta->error_in), may change the results (`out`), and may fail it.
 * What an operation does not have is refused when the filter is loaded, so ask for `op` and `stage` first. Members
 * that are not set cost nothing. `fuse-bpf ops --families` lists all members with their parameters.
 */
#include "fuse_bpf.h"

#define O_ACCMODE 3

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, uint64_t);
} writes SEC(".maps");

/* Whether the name in a buffer starts with this text of n bytes; its NUL counts. Buffers are opaque: they are read
 * through dynptrs. */
static __always_inline int starts_with(struct fuse_buffer *buffer, const char *text, uint32_t n)
{
	struct bpf_dynptr ptr;
	char name[8] = {};

	bpf_dynptr_from_fuse_buffer_ro(buffer, 0, &ptr);
	if (n > sizeof(name) || bpf_dynptr_read(name, n, &ptr, 0, 0))
		return 0;
	for (uint32_t i = 0; i < n; i++)
		if (name[i] != text[i])
			return 0;
	return 1;
}

FUSE_FILTER(names, guard_names)
{
	if (stage == FUSE_POST)
		return BPF_FUSE_CONTINUE;
	if (starts_with(name, "secret", 6))
		return op == FUSE_LOOKUP || op == FUSE_UNLINK || op == FUSE_RMDIR ? -ENOENT : -EACCES;
	/* With the NUL: exactly this name. */
	if (op == FUSE_UNLINK && starts_with(name, "keep", 5))
		return -EPERM;
	return BPF_FUSE_CONTINUE;
}

FUSE_FILTER(files, count_writes)
{
	uint32_t zero = 0;
	uint64_t *count;

	if (op != FUSE_OPEN)
		return BPF_FUSE_CONTINUE;
	if (stage == FUSE_PRE)
		return in->open.flags & O_ACCMODE ? BPF_FUSE_POSTFILTER : BPF_FUSE_CONTINUE;
	count = bpf_map_lookup_elem(&writes, &zero);
	if (!count)
		return BPF_FUSE_CONTINUE;
	__sync_fetch_and_add(count, 1);
	bpf_printk("@NAME@: node %d opened for writing by pid %d, error %d", (uint32_t)meta->nodeid,
		   (uint32_t)(bpf_get_current_pid_tgid() >> 32), (int32_t)meta->error_in);
	return BPF_FUSE_CONTINUE;
}

SEC(".struct_ops")
struct fuse_filter @NAME@ = {
	.names = (void *)guard_names,
	.files = (void *)count_writes,
	.name = "@NAME@",
};

char _license[] SEC("license") = "Dual BSD/GPL";
