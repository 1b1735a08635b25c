/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * readonly: nothing changes. Every operation that would change something fails with EROFS, as on a file
 * system mounted read-only; everything else goes through.
 */
#include "fuse_bpf.h"

#define O_ACCMODE 3
#define O_TRUNC 01000
#define W_OK 2

#define DENY(member, ...)                                                                                  \
	SEC("struct_ops/" #member)                                                                         \
	uint32_t BPF_PROG(member, const struct bpf_fuse_meta_info *meta, ##__VA_ARGS__)                    \
	{                                                                                                  \
		return -EROFS;                                                                             \
	}

DENY(create_open_prefilter, struct fuse_create_in *in, struct fuse_buffer *name)
DENY(mknod_prefilter, struct fuse_mknod_in *in, struct fuse_buffer *name)
DENY(mkdir_prefilter, struct fuse_mkdir_in *in, struct fuse_buffer *name)
DENY(symlink_prefilter, struct fuse_buffer *name, struct fuse_buffer *path)
DENY(link_prefilter, struct fuse_link_in *in, struct fuse_buffer *name)
DENY(unlink_prefilter, struct fuse_buffer *name)
DENY(rmdir_prefilter, struct fuse_buffer *name)
DENY(rename_prefilter, struct fuse_rename_in *in, struct fuse_buffer *old_name, struct fuse_buffer *new_name)
DENY(rename2_prefilter, struct fuse_rename2_in *in, struct fuse_buffer *old_name, struct fuse_buffer *new_name)
DENY(setattr_prefilter, struct fuse_setattr_in *in)
DENY(setxattr_prefilter, struct fuse_setxattr_in *in, struct fuse_buffer *name, struct fuse_buffer *value)
DENY(removexattr_prefilter, struct fuse_buffer *name)
DENY(write_iter_prefilter, struct fuse_write_in *in)
DENY(file_fallocate_prefilter, struct fuse_fallocate_in *in)
DENY(copy_file_range_prefilter, struct fuse_copy_file_range_in *in)

SEC("struct_ops/open_prefilter")
uint32_t BPF_PROG(open_prefilter, const struct bpf_fuse_meta_info *meta, struct fuse_open_in *in)
{
	return in->flags & (O_ACCMODE | O_TRUNC) ? -EROFS : BPF_FUSE_CONTINUE;
}

SEC("struct_ops/access_prefilter")
uint32_t BPF_PROG(access_prefilter, const struct bpf_fuse_meta_info *meta, struct fuse_access_in *in)
{
	return in->mask & W_OK ? -EROFS : BPF_FUSE_CONTINUE;
}

/* Operations without members of their own: an ioctl may set inode flags. */
SEC("struct_ops/default_filter")
uint32_t BPF_PROG(default_filter, const struct bpf_fuse_meta_info *meta)
{
	return (meta->opcode & FUSE_OPCODE_FILTER) == FUSE_IOCTL ? -EROFS : BPF_FUSE_CONTINUE;
}

SEC(".struct_ops")
struct fuse_ops readonly = {
	.default_filter = (void *)default_filter,
	.create_open_prefilter = (void *)create_open_prefilter,
	.mknod_prefilter = (void *)mknod_prefilter,
	.mkdir_prefilter = (void *)mkdir_prefilter,
	.symlink_prefilter = (void *)symlink_prefilter,
	.link_prefilter = (void *)link_prefilter,
	.unlink_prefilter = (void *)unlink_prefilter,
	.rmdir_prefilter = (void *)rmdir_prefilter,
	.rename_prefilter = (void *)rename_prefilter,
	.rename2_prefilter = (void *)rename2_prefilter,
	.setattr_prefilter = (void *)setattr_prefilter,
	.setxattr_prefilter = (void *)setxattr_prefilter,
	.removexattr_prefilter = (void *)removexattr_prefilter,
	.write_iter_prefilter = (void *)write_iter_prefilter,
	.file_fallocate_prefilter = (void *)file_fallocate_prefilter,
	.copy_file_range_prefilter = (void *)copy_file_range_prefilter,
	.open_prefilter = (void *)open_prefilter,
	.access_prefilter = (void *)access_prefilter,
	.name = "readonly",
};

char _license[] SEC("license") = "Dual BSD/GPL";
