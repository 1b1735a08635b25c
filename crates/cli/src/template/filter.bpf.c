/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * @NAME@: an example to change.
 *
 * - Names that start with "secret" do not exist and cannot be made.
 * - Nothing that is called "keep" can be removed.
 * - Every file opened for writing is printed (fuse-bpf trace MNT), with how often that happened.
 *
 * A prefilter runs before the operation and may change its arguments; it returns
 *	BPF_FUSE_CONTINUE	do the operation,
 *	BPF_FUSE_POSTFILTER	do it, then ask the postfilter,
 *	a negative errno	fail.
 * A postfilter sees how it ended (meta->error_in), may change the results, and may fail it. Members that are
 * not set cost nothing. `fuse-bpf ops` lists all members with their arguments.
 */
#include "fuse_bpf.h"

#define O_ACCMODE 3

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, uint64_t);
} writes SEC(".maps");

/* Whether the name in a buffer starts with this text of n bytes. Buffers are opaque: they are read through
 * dynptrs. */
static __always_inline int starts_with(struct fuse_buffer *buffer, const char *text, uint32_t n)
{
	struct bpf_dynptr ptr;
	char name[8] = {};

	/* The length counts the NUL. */
	if (n > sizeof(name) || bpf_fuse_return_len(buffer) <= n)
		return 0;
	bpf_fuse_get_ro_dynptr(buffer, &ptr);
	if (bpf_dynptr_read(name, n, &ptr, 0, 0))
		return 0;
	for (uint32_t i = 0; i < n; i++)
		if (name[i] != text[i])
			return 0;
	return 1;
}

static __always_inline int is_secret(struct fuse_buffer *name)
{
	return starts_with(name, "secret", 6);
}

SEC("struct_ops/lookup_prefilter")
uint32_t BPF_PROG(lookup_prefilter, const struct bpf_fuse_meta_info *meta, struct fuse_buffer *name)
{
	return is_secret(name) ? -ENOENT : BPF_FUSE_CONTINUE;
}

SEC("struct_ops/create_open_prefilter")
uint32_t BPF_PROG(create_open_prefilter, const struct bpf_fuse_meta_info *meta, struct fuse_create_in *in,
		  struct fuse_buffer *name)
{
	return is_secret(name) ? -EACCES : BPF_FUSE_CONTINUE;
}

SEC("struct_ops/unlink_prefilter")
uint32_t BPF_PROG(unlink_prefilter, const struct bpf_fuse_meta_info *meta, struct fuse_buffer *name)
{
	/* With the NUL: exactly this name. */
	return starts_with(name, "keep", 4) && bpf_fuse_return_len(name) == 5 ? -EPERM : BPF_FUSE_CONTINUE;
}

SEC("struct_ops/open_prefilter")
uint32_t BPF_PROG(open_prefilter, const struct bpf_fuse_meta_info *meta, struct fuse_open_in *in)
{
	return in->flags & O_ACCMODE ? BPF_FUSE_POSTFILTER : BPF_FUSE_CONTINUE;
}

SEC("struct_ops/open_postfilter")
uint32_t BPF_PROG(open_postfilter, const struct bpf_fuse_meta_info *meta, const struct fuse_open_in *in,
		  struct fuse_open_out *out)
{
	uint32_t zero = 0;
	uint64_t *count = bpf_map_lookup_elem(&writes, &zero);

	if (!count)
		return BPF_FUSE_CONTINUE;
	__sync_fetch_and_add(count, 1);
	bpf_printk("@NAME@: node %d opened for writing by pid %d, error %d", (uint32_t)meta->nodeid,
		   (uint32_t)(bpf_get_current_pid_tgid() >> 32), (int32_t)meta->error_in);
	return BPF_FUSE_CONTINUE;
}

SEC(".struct_ops")
struct fuse_ops @NAME@ = {
	.lookup_prefilter = (void *)lookup_prefilter,
	.create_open_prefilter = (void *)create_open_prefilter,
	.unlink_prefilter = (void *)unlink_prefilter,
	.open_prefilter = (void *)open_prefilter,
	.open_postfilter = (void *)open_postfilter,
	.name = "@NAME@",
};

char _license[] SEC("license") = "Dual BSD/GPL";
