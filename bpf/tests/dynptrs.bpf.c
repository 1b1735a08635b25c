/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* dynptrs: what the kfuncs for buffers and dynptrs say, as text; and some helpers. */
#include "fuse_bpf.h"

#define SHOW(what, value) bpf_printk("%s %d", what, (int)(value))

SEC("struct_ops/setxattr_prefilter")
uint32_t BPF_PROG(setxattr_prefilter, const struct bpf_fuse_meta_info *meta, struct fuse_setxattr_in *in,
		  struct fuse_buffer *name, struct fuse_buffer *value)
{
	struct bpf_dynptr old, now, part;
	char text[4] = {};

	SHOW("flags", bpf_dynptr_from_fuse_buffer_ro(value, 1, &old));
	SHOW("null", bpf_dynptr_is_null(&old));
	SHOW("lent", bpf_dynptr_from_fuse_buffer_rw(value, 0, &now));
	SHOW("null", bpf_dynptr_is_null(&now));
	SHOW("size", bpf_dynptr_size(&now));
	SHOW("ro", bpf_dynptr_from_fuse_buffer_ro(value, 0, &old));
	SHOW("rdonly", bpf_dynptr_is_rdonly(&old));
	SHOW("size", bpf_dynptr_size(&old));
	SHOW("large", bpf_fuse_buffer_resize(value, 65537));
	SHOW("resize", bpf_fuse_buffer_resize(value, 6));
	SHOW("rw", bpf_dynptr_from_fuse_buffer_rw(value, 0, &now));
	SHOW("rdonly", bpf_dynptr_is_rdonly(&now));
	SHOW("size", bpf_dynptr_size(&now));
	SHOW("clone", bpf_dynptr_clone(&now, &part));
	SHOW("adjust", bpf_dynptr_adjust(&part, 1, 3));
	SHOW("size", bpf_dynptr_size(&part));
	SHOW("write", bpf_dynptr_write(&part, 0, "XY", 2, 0));
	SHOW("outside", bpf_dynptr_write(&part, 1, "XY", 2, 0));
	/* What was handed out before stays as it was. */
	bpf_dynptr_read(text, 3, &old, 0, 0);
	bpf_printk("old %s", text);
	bpf_dynptr_read(text, 3, &now, 0, 0);
	bpf_printk("now %s", text);
	return BPF_FUSE_CONTINUE;
}

SEC("struct_ops/mkdir_prefilter")
uint32_t BPF_PROG(mkdir_prefilter, const struct bpf_fuse_meta_info *meta, struct fuse_mkdir_in *in,
		  struct fuse_buffer *name)
{
	struct bpf_dynptr ptr;

	SHOW("rw", bpf_dynptr_from_fuse_buffer_rw(name, 0, &ptr));
	SHOW("null", bpf_dynptr_is_null(&ptr));
	SHOW("resize", bpf_fuse_buffer_resize(name, 2));
	return BPF_FUSE_CONTINUE;
}

const char long_text[] = "abcdef";

SEC("struct_ops/access_prefilter")
uint32_t BPF_PROG(access_prefilter, const struct bpf_fuse_meta_info *meta, struct fuse_access_in *in)
{
	char text[8];

	SHOW("cut", bpf_probe_read_kernel_str(text, 4, long_text));
	bpf_printk("%s", text);
	SHOW("whole", bpf_probe_read_kernel_str(text, sizeof(text), long_text));
	bpf_printk("%s", text);
	SHOW("empty", bpf_probe_read_str(text, 0, long_text));
	SHOW("nowhere", bpf_probe_read_str(text, sizeof(text), (void *)8));
	SHOW("own", bpf_probe_read_kernel_str(text, sizeof(text), ctx));
	SHOW("bytes", bpf_probe_read(text, 2, long_text + 1));
	bpf_printk("%s", text);
	SHOW("nobody", bpf_get_current_cgroup_id());
	SHOW("below", bpf_get_current_ancestor_cgroup_id(-1));
	return BPF_FUSE_CONTINUE;
}

/* What an operation has not is empty. */
FUSE_FILTER(names, nothing)
{
	struct bpf_dynptr ptr;

	SHOW("path", bpf_dynptr_from_fuse_buffer_ro(path, 0, &ptr));
	SHOW("size", bpf_dynptr_size(&ptr));
	SHOW("entries", bpf_dynptr_from_fuse_buffer_ro(entries, 0, &ptr));
	SHOW("size", bpf_dynptr_size(&ptr));
	return stage == FUSE_PRE ? BPF_FUSE_POSTFILTER : BPF_FUSE_CONTINUE;
}

SEC(".struct_ops")
struct fuse_ops dynptrs = {
	.setxattr_prefilter = (void *)setxattr_prefilter,
	.mkdir_prefilter = (void *)mkdir_prefilter,
	.access_prefilter = (void *)access_prefilter,
	.name = "dynptrs",
};

SEC(".struct_ops")
struct fuse_filter empty = { .names = (void *)nothing, .name = "empty" };

char _license[] SEC("license") = "Dual BSD/GPL";
