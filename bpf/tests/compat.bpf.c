/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* compat: changes of every kind, of which v4 of the series honours some. */
#include "fuse_bpf.h"

#define FATTR_MODE 1
#define FATTR_UID 2

SEC("struct_ops/mkdir_prefilter")
uint32_t BPF_PROG(mkdir_pre, const struct bpf_fuse_meta_info *meta, struct fuse_mkdir_in *in, struct fuse_buffer *name)
{
	in->mode &= 0700;
	return BPF_FUSE_CONTINUE;
}

SEC("struct_ops/symlink_prefilter")
uint32_t BPF_PROG(symlink_pre, const struct bpf_fuse_meta_info *meta, struct fuse_buffer *name, struct fuse_buffer *path)
{
	struct bpf_dynptr ptr;

	bpf_fuse_get_rw_dynptr(path, &ptr, 6, false);
	bpf_dynptr_write(&ptr, 0, "other", 6, 0);
	return BPF_FUSE_CONTINUE;
}

SEC("struct_ops/read_iter_prefilter")
uint32_t BPF_PROG(read_pre, const struct bpf_fuse_meta_info *meta, struct fuse_read_in *in)
{
	in->offset += 2;
	return BPF_FUSE_POSTFILTER;
}

SEC("struct_ops/read_iter_postfilter")
uint32_t BPF_PROG(read_post, const struct bpf_fuse_meta_info *meta, const struct fuse_read_in *in,
		  struct fuse_read_iter_out *out, struct fuse_buffer *data)
{
	struct bpf_dynptr ptr;

	if (!bpf_dynptr_from_fuse_buffer_rw(data, 0, &ptr))
		bpf_dynptr_write(&ptr, 0, "X", 1, 0);
	return BPF_FUSE_CONTINUE;
}

SEC("struct_ops/setattr_prefilter")
uint32_t BPF_PROG(setattr_pre, const struct bpf_fuse_meta_info *meta, struct fuse_setattr_in *in)
{
	/* The mode is a value, which of them are set is the mask. */
	if (in->valid & FATTR_MODE)
		in->mode &= ~07;
	if (in->valid & FATTR_UID)
		in->valid &= ~FATTR_UID;
	return BPF_FUSE_CONTINUE;
}

SEC("struct_ops/getattr_prefilter")
uint32_t BPF_PROG(getattr_pre, const struct bpf_fuse_meta_info *meta, struct fuse_getattr_in *in)
{
	return BPF_FUSE_POSTFILTER;
}

SEC("struct_ops/getattr_postfilter")
uint32_t BPF_PROG(getattr_post, const struct bpf_fuse_meta_info *meta, const struct fuse_getattr_in *in,
		  struct fuse_attr_out *out)
{
	out->attr.nlink = 7;
	return BPF_FUSE_CONTINUE;
}

SEC("struct_ops/removexattr_prefilter")
uint32_t BPF_PROG(removexattr_pre, const struct bpf_fuse_meta_info *meta, struct fuse_buffer *name)
{
	return BPF_FUSE_POSTFILTER;
}

/* Tells by its own error whether it was told of one, and undoes it where that can be done. */
SEC("struct_ops/removexattr_postfilter")
uint32_t BPF_PROG(removexattr_post, const struct bpf_fuse_meta_info *meta, const struct fuse_buffer *name)
{
	if (!meta->error_in)
		return -EPERM;
	bpf_fuse_set_error_out(0);
	return BPF_FUSE_CONTINUE;
}

SEC(".struct_ops")
struct fuse_ops compat = {
	.mkdir_prefilter = (void *)mkdir_pre,
	.symlink_prefilter = (void *)symlink_pre,
	.read_iter_prefilter = (void *)read_pre,
	.read_iter_postfilter = (void *)read_post,
	.setattr_prefilter = (void *)setattr_pre,
	.getattr_prefilter = (void *)getattr_pre,
	.getattr_postfilter = (void *)getattr_post,
	.removexattr_prefilter = (void *)removexattr_pre,
	.removexattr_postfilter = (void *)removexattr_post,
	.name = "compat",
};

char _license[] SEC("license") = "Dual BSD/GPL";
